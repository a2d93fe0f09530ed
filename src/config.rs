//! Settings: flags over environment (`LODGE_*`) over a file over defaults.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, CommandFactory, FromArgMatches};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    auth::{Cost, Rules},
    secret::Secret,
    store::Room,
};

/// The settings of `lodge serve` as they are written, not yet checked.
#[derive(Args, Clone, Debug)]
pub struct ServeArguments {
    /// A file with settings in TOML, each under the name of its flag: `listen = "0.0.0.0:3000"`
    #[arg(long, env = "LODGE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// The address and port to serve on; port 0 takes a free one
    #[arg(long, env = "LODGE_LISTEN", value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    listen: String,

    /// The directory that everything is kept in; made if it does not exist, and readable by its owner alone
    #[arg(long, env = "LODGE_DATA_DIR", value_name = "DIRECTORY", default_value = "data")]
    data_dir: PathBuf,

    /// The file with the server's secret, at least 32 bytes; made on the first start [default: `secret` in the data directory]
    #[arg(long, env = "LODGE_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// A file with the first administrator's password; LODGE_ADMIN_PASSWORD holds the password itself. Without either, the
    /// first start makes a random one and writes it to `initial-admin-password` in the data directory
    #[arg(long, env = "LODGE_ADMIN_PASSWORD_FILE", value_name = "FILE")]
    admin_password_file: Option<PathBuf>,

    /// How long a session lasts: 1s to 3650days
    #[arg(long, env = "LODGE_SESSION_LIFETIME", value_name = "DURATION", default_value = "24h")]
    session_lifetime: String,

    /// How large a request's body may be: 64KiB to 64MiB
    #[arg(long, env = "LODGE_BODY_LIMIT", value_name = "SIZE", default_value = "512KiB")]
    body_limit: String,

    /// How many bytes a new password has at least: 8 to 128
    #[arg(long, env = "LODGE_PASSWORD_MIN_LENGTH", value_name = "BYTES", default_value = "8")]
    password_min_length: String,

    /// What a password hash costs, as log2 of scrypt's N: 10 (1 MiB) to 20 (1 GiB); below 17 a warning is logged
    #[arg(long, env = "LODGE_SCRYPT_COST", value_name = "LOG2_N", default_value = "17")]
    scrypt_cost: String,

    /// How many configurations a user may have: 1 to 100000
    #[arg(long, env = "LODGE_MAX_CONFIGURATIONS", value_name = "NUMBER", default_value = "1000")]
    max_configurations: String,

    /// How many API keys a user may have: 1 to 100000
    #[arg(long, env = "LODGE_MAX_API_KEYS", value_name = "NUMBER", default_value = "100")]
    max_api_keys: String,

    /// How much memory the store's cache may take: 1MiB to 64GiB
    #[arg(long, env = "LODGE_CACHE_SIZE", value_name = "SIZE", default_value = "64MiB")]
    cache_size: String,

    /// How much room must be left on the disk for a write to be accepted: 0B to 1TiB
    #[arg(long, env = "LODGE_DISK_RESERVE", value_name = "SIZE", default_value = "64MiB")]
    disk_reserve: String,

    /// The size of a file that is given up when the store must be opened on a full disk: 0B to 1TiB
    #[arg(long, env = "LODGE_BALLAST", value_name = "SIZE", default_value = "64MiB")]
    ballast: String,

    /// A directory to which backups are made while serving
    #[arg(long, env = "LODGE_BACKUP_DIR", value_name = "DIRECTORY")]
    backup_dir: Option<PathBuf>,

    /// How often a backup is made: 1s to 3650days
    #[arg(long, env = "LODGE_BACKUP_EVERY", value_name = "DURATION", default_value = "24h")]
    backup_every: String,

    /// How many backups are kept; the oldest go: 1 to 100000
    #[arg(long, env = "LODGE_BACKUP_KEEP", value_name = "NUMBER", default_value = "7")]
    backup_keep: String,

    /// Goes on with what is left of a store that has lost something; what was there is kept beside it
    #[arg(long)]
    accept_loss: bool,

    /// What is logged, in the syntax of env_logger: `info`, `warn`, `lodge::request=off,info`
    #[arg(long, env = "LODGE_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Where the server listens unless told otherwise.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:3000";

/// The environment variable with the first administrator's password.
pub const ADMIN_PASSWORD: &str = "LODGE_ADMIN_PASSWORD";

/// The settings of `lodge serve`, each within its bounds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen: a host and a port.
    pub listen: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where the server's secret is.
    pub secret_file: PathBuf,
    /// The first administrator's password, if one is given.
    pub admin_password: Option<Secret<String>>,
    /// The bounds for users and their records.
    pub rules: Rules,
    /// What a password hash costs.
    pub scrypt_cost: Cost,
    /// How large a body may be.
    pub body_limit_bytes: usize,
    /// How large the store's cache may be.
    pub cache_bytes: u64,
    /// How much room is kept on the disk.
    pub room: Room,
    /// When backups are made, if they are.
    pub backups: Option<BackupSchedule>,
    /// Whether to go on with what is left of a store that has lost something.
    pub accept_loss: bool,
    /// What is logged.
    pub log: String,
}

/// When backups are made, and how many are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSchedule {
    /// Where they are kept.
    pub directory: PathBuf,
    /// How long after one the next is made.
    pub every: Duration,
    /// How many are kept.
    pub keep: usize,
}

/// Settings that cannot be used: all of them, a sentence each.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(Vec<String>);

impl ServeArguments {
    /// Checks every setting; `admin_password` is what the environment says of it.
    ///
    /// # Errors
    /// [`SettingsError`] with every setting that is wrong.
    pub fn settings(self, admin_password: Option<String>) -> Result<Settings, SettingsError> {
        let mut checks = Checks::default();
        let checked = (
            checks.note("listen", address(&self.listen)),
            checks.note("admin-password-file", password(self.admin_password_file.as_deref(), admin_password)),
            checks.note("session-lifetime", duration(&self.session_lifetime)),
            checks.note("body-limit", size(&self.body_limit, 64 << 10, 64 << 20)),
            checks.note("password-min-length", number(&self.password_min_length, 8, 128)),
            checks.note("scrypt-cost", cost(&self.scrypt_cost)),
            checks.note("max-configurations", number(&self.max_configurations, 1, 100_000)),
            checks.note("max-api-keys", number(&self.max_api_keys, 1, 100_000)),
            checks.note("cache-size", size(&self.cache_size, 1 << 20, 64 << 30)),
            checks.note("disk-reserve", size(&self.disk_reserve, 0, 1 << 40)),
            checks.note("ballast", size(&self.ballast, 0, 1 << 40)),
            checks.note("backup-every", duration(&self.backup_every)),
            checks.note("backup-keep", number(&self.backup_keep, 1, 100_000)),
            checks.note("log", filter(&self.log)),
        );
        let (
            Some(listen),
            Some(admin_password),
            Some(session_lifetime),
            Some(body_limit_bytes),
            Some(password_shortest),
            Some(scrypt_cost),
            Some(most_configurations),
            Some(most_api_keys),
            Some(cache_bytes),
            Some(reserve_bytes),
            Some(ballast_bytes),
            Some(backup_every),
            Some(backup_keep),
            Some(()),
        ) = checked
        else {
            return Err(SettingsError(checks.0));
        };
        Ok(Settings {
            listen,
            secret_file: self.secret_file.unwrap_or_else(|| self.data_dir.join("secret")),
            admin_password,
            rules: Rules {
                session_lifetime,
                password_shortest,
                most_configurations,
                most_api_keys,
                initial_password_file: self.data_dir.join("initial-admin-password"),
            },
            scrypt_cost,
            body_limit_bytes: usize::try_from(body_limit_bytes).unwrap_or(usize::MAX),
            cache_bytes,
            room: Room { reserve_bytes, ballast_bytes },
            backups: self.backup_dir.map(|directory| BackupSchedule {
                directory,
                every: backup_every,
                keep: backup_keep,
            }),
            accept_loss: self.accept_loss,
            log: self.log,
            data_dir: self.data_dir,
        })
    }
}

/// What has been found wrong with the settings, a sentence each.
#[derive(Default)]
struct Checks(Vec<String>);

impl Checks {
    fn note<T>(&mut self, flag: &str, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|why| self.0.push(format!("--{flag}: {why}"))).ok()
    }
}

/// Reads a command line, with the settings of the file that it or the environment names in place of the defaults.
///
/// # Errors
/// What clap says of the command line, or what is wrong with the file.
pub fn parse<C: CommandFactory + FromArgMatches>(arguments: &[OsString]) -> Result<C, clap::Error> {
    let command = C::command();
    let lenient = command.clone().ignore_errors(true).get_matches_from(arguments);
    let verb = lenient.subcommand().map_or(&lenient, |(_, verb)| verb);
    let file = verb.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let command = match file {
        Some(file) => with_file(command, &file)?,
        None => command,
    };
    C::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// The command with the file's settings as its defaults, for itself and for its verb `serve`.
fn with_file(mut command: clap::Command, file: &Path) -> Result<clap::Command, clap::Error> {
    let refuse =
        |why: String| clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{}: {why}\n", file.display()));
    let text = fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| refuse(error.message().to_owned()))?;
    let mut wrong = Vec::new();
    for (name, value) in table {
        let id = name.replace('-', "_");
        let is_setting = id != "config" && command.get_arguments().any(|argument| argument.get_id() == id.as_str());
        match setting(&value).filter(|_| is_setting) {
            Some(text) => command = with_default(command, &id, &text),
            None => wrong.push(format!("`{name}` is not a setting with a value")),
        }
    }
    if wrong.is_empty() { Ok(command) } else { Err(refuse(wrong.join("; "))) }
}

fn with_default(command: clap::Command, id: &str, text: &str) -> clap::Command {
    let set = |command: clap::Command| command.mut_arg(id, |argument| argument.default_value(text.to_owned()));
    let has_serve = command.find_subcommand("serve").is_some();
    set(if has_serve { command.mut_subcommand("serve", set) } else { command })
}

fn setting(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

fn address(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    parts
        .map(|_| text.to_owned())
        .ok_or_else(|| format!("`{text}` is not an address with a port, such as {DEFAULT_LISTEN}"))
}

fn number(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("`{text}` is not a number from {least} to {most}"))
}

fn size(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let size = text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64());
    let within = size.filter(|size| (least..=most).contains(size));
    within.ok_or_else(|| {
        let (least, most) = (bytesize::ByteSize(least), bytesize::ByteSize(most));
        format!("`{text}` is not a size from {least} to {most}, such as 512KiB")
    })
}

fn cost(text: &str) -> Result<Cost, String> {
    text.parse().ok().and_then(Cost::new).ok_or_else(|| format!("`{text}` is not a number from 10 to 20"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let bounds = Duration::from_secs(1)..=Duration::from_hours(3650 * 24);
    let duration = humantime::parse_duration(text).ok().filter(|duration| bounds.contains(duration));
    duration.ok_or_else(|| format!("`{text}` is not a duration from 1s to 3650days, such as 24h"))
}

fn filter(text: &str) -> Result<(), String> {
    env_filter::Builder::new()
        .try_parse(text)
        .map(|_| ())
        .map_err(|_| format!("`{}` is not a log filter, such as info", text.escape_default()))
}

/// The password that the file or the environment gives; a file's last line break is not part of it.
fn password(file: Option<&Path>, environment: Option<String>) -> Result<Option<Secret<String>>, String> {
    match (file, environment) {
        (Some(_), Some(_)) => Err(format!("the password is given by {ADMIN_PASSWORD} too; give it once")),
        (Some(file), None) => read_password(file).map(Some).map_err(|error| format!("{}: {error}", file.display())),
        (None, environment) => Ok(environment.map(Secret::new)),
    }
}

fn read_password(file: &Path) -> io::Result<Secret<String>> {
    let text = Zeroizing::new(fs::read_to_string(file)?);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        serve: ServeArguments,
    }

    fn settings(arguments: &[&str]) -> Result<Settings, SettingsError> {
        let arguments = [&["lodge"], arguments].concat();
        Command::parse_from(arguments).serve.settings(None)
    }

    #[test]
    fn every_wrong_setting_is_named_at_once() {
        let wrong =
            settings(&["--listen", "nowhere", "--scrypt-cost", "40", "--session-lifetime", "0s", "--body-limit", "1"]);
        let said = wrong.unwrap_err().to_string();
        assert_eq!(said.lines().count(), 4, "{said}");
        for flag in ["--listen", "--scrypt-cost", "--session-lifetime", "--body-limit"] {
            assert!(said.contains(flag), "{said}");
        }
    }

    #[test]
    fn the_defaults_are_right() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.body_limit_bytes, 524_288);
        assert_eq!(settings.rules.session_lifetime, Duration::from_hours(24));
        assert_eq!(settings.scrypt_cost, Cost::RECOMMENDED);
        assert_eq!(settings.secret_file, Path::new("data/secret"));
    }

    #[test]
    fn a_flag_comes_before_the_file_and_the_file_before_the_default() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lodge.toml");
        fs::write(&file, "listen = \"0.0.0.0:80\"\nscrypt-cost = 12\n").unwrap();
        let arguments = ["lodge", "--config", file.to_str().unwrap(), "--listen", "127.0.0.1:0"].map(OsString::from);

        let settings = parse::<Command>(&arguments).unwrap().serve.settings(None).unwrap();

        assert_eq!(settings.listen, "127.0.0.1:0");
        assert_eq!(settings.scrypt_cost, Cost::new(12).unwrap());
    }

    #[test]
    fn an_unknown_setting_in_the_file_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("lodge.toml");
        fs::write(&file, "listne = \"0.0.0.0:80\"\n").unwrap();
        let arguments = ["lodge", "--config", file.to_str().unwrap()].map(OsString::from);

        let said = parse::<Command>(&arguments).err().unwrap().to_string();

        assert!(said.contains("listne"), "{said}");
    }
}
