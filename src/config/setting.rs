//! The declaration of settings, and what is derived from it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt::Write as _,
};

use clap::{Arg, ArgAction, ArgMatches, builder::BoolishValueParser, value_parser};

use super::kinds::{Kind, Sources};

/// The declaration of a setting.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name, in snake case.
    pub(super) name: &'static str,
    /// Its description: a phrase without a full stop.
    pub(super) help: String,
    /// Its default value.
    pub(super) default: Option<&'static str>,
    /// The name of its value in `--help`; `None` for a switch, which has no value.
    pub(super) value_name: Option<&'static str>,
    /// Its lowest and its highest value.
    pub(super) bounds: Option<[String; 2]>,
    pub(super) sources: Sources,
    /// Whether its flag may be repeated, and its value in the file may be a list.
    pub(super) is_list: bool,
}

impl Setting {
    pub(super) fn of<T>(name: &'static str, help: &str, default: Option<&'static str>, kind: &Kind<T>) -> Self {
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let Kind { value_name, bounds, sources, is_list, .. } = kind;
        let (value_name, bounds, sources, is_list) = (*value_name, bounds.clone(), *sources, *is_list);
        Self { name, help, default, value_name, bounds, sources, is_list }
    }

    /// Its flag and its key in the file.
    pub(super) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    fn variable(&self) -> Option<String> {
        (self.sources != Sources::Flag).then(|| format!("LODGE_{}", self.name.to_uppercase()))
    }

    /// Its argument on the command line.
    pub(super) fn argument(&self) -> Arg {
        let bounds = self.bounds.as_ref().map(|[least, most]| format!(" [{least} to {most}]")).unwrap_or_default();
        let argument = Arg::new(self.name).long(self.flag()).help(format!("{}{bounds}", self.help));
        let argument = match self.value_name {
            Some(name) => {
                let action = if self.is_list { ArgAction::Append } else { ArgAction::Set };
                argument.action(action).value_name(name).value_parser(value_parser!(OsString))
            }
            None => argument.action(ArgAction::SetTrue).value_parser(BoolishValueParser::new()),
        };
        let argument = self.default.into_iter().fold(argument, Arg::default_value);
        self.variable().into_iter().fold(argument, Arg::env)
    }

    /// Its value from the command line, the environment, the file or the default.
    fn text(&self, matches: &ArgMatches) -> Option<OsString> {
        match self.value_name {
            // Raw, because a subcommand may have an argument of that name with another type.
            Some(_) if self.is_list => {
                let values: Vec<_> = matches.get_raw(self.name)?.collect();
                Some(values.join(OsStr::new(",")))
            }
            Some(_) => matches.get_raw(self.name)?.next_back().map(OsStr::to_owned),
            None => Some(matches.get_flag(self.name).to_string().into()),
        }
    }

    /// Its line in the README's table, with the first clause of the description; the rest and the bounds are in
    /// `--help`.
    fn row(&self) -> String {
        let code = |text: String| format!("`{text}`");
        let flag = code(format!("--{}", self.flag()));
        let names: Vec<_> = [flag].into_iter().chain(self.variable().map(code)).collect();
        let default = self.default.map(|default| code(default.to_owned())).unwrap_or_default();
        let clause = self.help.split_once("; ").map_or(self.help.as_str(), |(clause, _)| clause);
        format!("{} | {default} | {clause}", names.join(" "))
    }
}

/// The settings as they are given, not yet checked.
#[derive(Clone, Debug)]
pub struct Written {
    pub(super) texts: BTreeMap<&'static str, OsString>,
    /// The value of `LODGE_ADMIN_PASSWORD` in the environment.
    pub(super) admin_password: Option<String>,
}

impl Written {
    pub(super) fn of(declared: &[Setting], matches: &ArgMatches) -> Self {
        let texts = declared.iter().filter_map(|setting| Some((setting.name, setting.text(matches)?))).collect();
        Self { texts, admin_password: None }
    }

    /// The given value of a setting.
    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        self.texts.get(name)
    }
}

/// The errors found in the settings, one sentence each.
#[derive(Default)]
pub(super) struct Checks(pub(super) Vec<String>);

impl Checks {
    /// Returns the value, or records the error.
    pub(super) fn note<T>(&mut self, name: &str, checked: Result<T, String>) -> Option<T> {
        checked.map_err(|why| self.0.push(format!("--{}: {why}", name.replace('_', "-")))).ok()
    }
}

/// Declares the settings: a struct with a field for each, and the declarations that everything else is derived from.
///
/// A row has a phrase that describes the setting, its name, its type, its kind and possibly its default. The fields
/// after
/// `with` are computed from several settings, or from a setting and the environment.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $settings:ident {
            $($(#[doc = $help:literal])+ $name:ident: $type:ty = $kind:expr $(=> $default:expr)?;)+
        }
        with {
            $($(#[doc = $about:literal])+ $made:ident: $of:ty = $make:path;)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $settings {
            $($(#[doc = $help])+ pub $name: $type,)+
            $($(#[doc = $about])+ pub $made: $of,)+
        }

        impl $settings {
            /// Every setting, in the order of `--help`.
            pub(super) fn declared() -> Vec<$crate::config::setting::Setting> {
                vec![$($crate::config::setting::Setting::of(
                    stringify!($name),
                    concat!($($help),+),
                    None$(.or(Some($default)))?,
                    &$crate::config::kinds::of::<$type>($kind),
                )),+]
            }

            /// Checks every setting, also after an invalid one.
            fn read(
                written: &$crate::config::setting::Written,
                checks: &mut $crate::config::setting::Checks,
            ) -> Option<Self> {
                $(let $name = checks.note(stringify!($name), $kind.read(written.get(stringify!($name))));)+
                $(let $made = $make(written, checks);)+
                Some(Self { $($name: $name?,)+ $($made: $made?),+ })
            }
        }
    };
}
pub(super) use settings;

/// The README's table of settings, generated from their declarations.
#[must_use]
pub fn readme_table() -> String {
    let mut table = "setting | default | what it does\n---|---|---\n".to_owned();
    for setting in super::Settings::declared() {
        let _ = writeln!(table, "{}", setting.row());
    }
    table
}
