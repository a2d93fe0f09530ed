//! The settings as arguments of a command line.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args, Command, FromArgMatches, error::ErrorKind, value_parser};

use super::{
    BasePath, ListenAddress, Setting, Settings, SettingsError, listen, secret_path,
    setting::{Checks, Written},
};
use crate::logging::Format;

/// The settings of `lodge serve` as they are given, not yet checked.
#[derive(Clone, Debug)]
pub struct ServeArguments(Written);

impl ServeArguments {
    /// Checks every setting; `admin_password` is the value of [`super::ADMIN_PASSWORD`] in the environment.
    ///
    /// # Errors
    /// [`SettingsError`] with every setting that is wrong.
    pub fn settings(&self, admin_password: Option<String>) -> Result<Settings, SettingsError> {
        let mut checks = Checks::default();
        let settings = Settings::read(&Written { admin_password, ..self.0.clone() }, &mut checks);
        settings.filter(|_| checks.0.is_empty()).ok_or(SettingsError(checks.0))
    }

    /// The addresses on which a server with these settings listens, and whether it serves TLS; other settings are not
    /// checked.
    ///
    /// # Errors
    /// [`SettingsError`] if they are no addresses.
    pub fn reached_at(&self) -> Result<(Vec<ListenAddress>, bool), SettingsError> {
        let mut checks = Checks::default();
        let addresses = checks.note("listen", listen::addresses().read(self.0.get("listen")));
        let is_encrypted = ["tls_cert", "tls_self_signed"].iter().any(|name| self.0.get(name).is_some());
        addresses.map(|addresses| (addresses, is_encrypted)).ok_or(SettingsError(checks.0))
    }

    /// How the log is written; text if it is invalid, which the check of the settings reports.
    #[must_use]
    pub fn log_format(&self) -> Format {
        let given = self.0.get("log_format").and_then(|format| format.to_str());
        given.and_then(|format| Format::parse(format).ok()).unwrap_or_default()
    }

    /// The data directory; nothing else is looked at.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.0.get("data_dir").map(PathBuf::from).unwrap_or_default()
    }

    /// Each setting that has a value as `name = value`, for the audit log: none is a secret.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let text = |name| self.0.get(name).map(|value| value.to_string_lossy());
        let declared = Settings::declared().into_iter();
        declared.filter_map(|setting| Some(format!("{} = {}", setting.flag(), text(setting.name)?))).collect()
    }
}

/// Where a server's data is, for the commands that work with it: settings of `lodge serve` under the same names.
#[derive(Clone, Debug)]
pub struct DataArguments {
    /// The file with further settings, if one is given.
    pub config: Option<PathBuf>,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The file with the secret, if it is given.
    pub secret_file: Option<PathBuf>,
}

impl DataArguments {
    const NAMES: [&str; 3] = ["config", "data_dir", "secret_file"];

    /// The file with the secret of a server whose data is in that directory.
    #[must_use]
    pub fn secret_path(&self, data_dir: &Path) -> PathBuf {
        secret_path(self.secret_file.as_ref(), data_dir)
    }
}

/// The base path of a server, for commands that print its addresses: a setting of `lodge serve` under the same name.
#[derive(Clone, Debug, Default)]
pub struct BasePathArguments {
    /// The base path, if there is one.
    pub base_path: Option<BasePath>,
}

impl BasePathArguments {
    const NAME: &str = "base_path";

    fn declared() -> impl Iterator<Item = Setting> {
        Settings::declared().into_iter().filter(|setting| ["config", Self::NAME].contains(&setting.name))
    }
}

impl FromArgMatches for BasePathArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let declared: Vec<_> = Self::declared().collect();
        let given = Written::of(&declared, matches).get(Self::NAME).map(|text| text.to_string_lossy().into_owned());
        let parsed = given.map(|text| BasePath::parse(&text)).transpose();
        let refuse = |why| clap::Error::raw(ErrorKind::ValueValidation, format!("--base-path: {why}\n"));
        Ok(Self { base_path: parsed.map_err(refuse)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for BasePathArguments {
    fn augment_args(command: Command) -> Command {
        command.args(Self::declared().map(|setting| setting.argument()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(Written::of(&Settings::declared(), matches)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ServeArguments {
    fn augment_args(command: Command) -> Command {
        command.args(Settings::declared().iter().map(super::Setting::argument))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for DataArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let [config, data_dir, secret_file] = Self::NAMES.map(|name| matches.get_one::<PathBuf>(name).cloned());
        Ok(Self { config, data_dir: data_dir.expect("it has a default"), secret_file })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for DataArguments {
    fn augment_args(command: Command) -> Command {
        let declared = Settings::declared();
        let shared = declared.iter().filter(|setting| Self::NAMES.contains(&setting.name));
        // Global, so that they may follow a verb of the command's own: `lodge locks clear --data-dir`.
        command.args(shared.map(|setting| setting.argument().value_parser(value_parser!(PathBuf)).global(true)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
