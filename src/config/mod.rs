//! Settings: flags over environment (`LODGE_*`) over a file over defaults.

mod arguments;
mod connections;
mod file;
mod tls;
mod values;

use std::{path::PathBuf, time::Duration};

use ipnet::IpNet;
use thiserror::Error;

use self::values::{address, cost, duration, filter, networks, number, password, size, wait};
pub use self::{arguments::ServeArguments, connections::Limits, file::parse, tls::TlsSettings};
use crate::{audit::RetentionPolicy, auth::Cost, secret::Secret, service::Policy, store::DiskReserve};

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
    pub policy: Policy,
    /// The proxies whose word on the client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// What a password hash costs.
    pub scrypt_cost: Cost,
    /// How long a password may wait for its answer.
    pub password_wait: Duration,
    /// Whether and how TLS is served.
    pub tls: TlsSettings,
    /// Whether credentials are refused that come over plain HTTP from another machine.
    pub require_tls: bool,
    /// What connections may cost.
    pub limits: Limits,
    /// The origins whose pages may use the API.
    pub origins: Vec<String>,
    /// How large the store's cache may be.
    pub cache_bytes: u64,
    /// How much room is kept on the disk.
    pub room: DiskReserve,
    /// When backups are made, if they are.
    pub backups: Option<BackupSchedule>,
    /// When a file of the audit log ends, and how many are kept.
    pub audit: RetentionPolicy,
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
        let settings = self.checked(admin_password, &mut checks);
        settings.ok_or(SettingsError(checks.0))
    }

    fn checked(self, admin_password: Option<String>, checks: &mut Checks) -> Option<Settings> {
        // All are looked at before the first that is wrong ends this.
        let listen = checks.note("listen", address(&self.listen));
        let tls = self.tls.checked(checks);
        let connections = self.connections.checked(checks);
        let admin_password =
            checks.note("admin-password-file", password(self.admin_password_file.as_deref(), admin_password));
        let session_lifetime = checks.note("session-lifetime", duration(&self.session_lifetime));
        let min_password_bytes = checks.note("password-min-length", number(&self.password_min_length, 8, 128));
        let scrypt_cost = checks.note("scrypt-cost", cost(&self.scrypt_cost));
        let password_wait = checks.note("password-wait", wait(&self.password_wait));
        let throttle_after = checks.note("throttle-after", number(&self.throttle_after, 0, 1000));
        let trusted_proxies = checks.note("trusted-proxy", networks(self.trusted_proxy.as_deref()));
        let max_configurations = checks.note("max-configurations", number(&self.max_configurations, 1, 100_000));
        let max_api_keys = checks.note("max-api-keys", number(&self.max_api_keys, 1, 100_000));
        let cache_bytes = checks.note("cache-size", size(&self.cache_size, 1 << 20, 64 << 30));
        let reserve_bytes = checks.note("disk-reserve", size(&self.disk_reserve, 0, 1 << 40));
        let ballast_bytes = checks.note("ballast", size(&self.ballast, 0, 1 << 40));
        let every = checks.note("backup-every", duration(&self.backup_every));
        let keep = checks.note("backup-keep", number(&self.backup_keep, 1, 100_000));
        let audit_size = checks.note("audit-file-size", size(&self.audit_file_size, 64 << 10, 1 << 30));
        let audit_age = checks.note("audit-file-age", duration(&self.audit_file_age));
        let audit_keep = checks.note("audit-keep", number(&self.audit_keep, 2, 100_000));
        let log = checks.note("log", filter(&self.log).map(|()| self.log));

        let (every, keep) = (every?, keep?);
        let (limits, origins) = connections?;
        Some(Settings {
            listen: listen?,
            secret_file: self.secret_file.unwrap_or_else(|| self.data_dir.join("secret")),
            admin_password: admin_password?,
            policy: Policy {
                session_lifetime: session_lifetime?,
                min_password_bytes: min_password_bytes?,
                throttle_after: throttle_after?,
                max_configurations: max_configurations?,
                max_api_keys: max_api_keys?,
                initial_password_file: self.data_dir.join("initial-admin-password"),
            },
            trusted_proxies: trusted_proxies?,
            scrypt_cost: scrypt_cost?,
            password_wait: password_wait?,
            tls: tls?,
            require_tls: self.tls.require_tls,
            limits,
            origins,
            cache_bytes: cache_bytes?,
            room: DiskReserve { reserve_bytes: reserve_bytes?, ballast_bytes: ballast_bytes? },
            backups: self.backup_dir.map(|directory| BackupSchedule { directory, every, keep }),
            audit: RetentionPolicy { size_bytes: audit_size?, age: audit_age?, keep: audit_keep? },
            accept_loss: self.accept_loss,
            log: log?,
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

    fn refuse<T>(&mut self, flag: &str, why: &str) -> Option<T> {
        self.note(flag, Err(why.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, fs, path::Path};

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
        let wrong = [
            ("--listen", "nowhere"),
            ("--scrypt-cost", "40"),
            ("--session-lifetime", "0s"),
            ("--body-limit", "1"),
            ("--throttle-after", "1001"),
            ("--password-wait", "2h"),
            ("--trusted-proxy", "10.0.0.0/8,0.0.0.0/0"),
        ];
        let said = settings(wrong.map(|(flag, value)| [flag, value]).as_flattened()).unwrap_err().to_string();
        assert_eq!(said.lines().count(), wrong.len(), "{said}");
        for (flag, _) in wrong {
            assert!(said.contains(flag), "{said}");
        }
    }

    #[test]
    fn the_defaults_are_right() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.limits.body_bytes, 524_288);
        assert_eq!(settings.policy.session_lifetime, Duration::from_hours(24));
        assert_eq!((settings.scrypt_cost, settings.password_wait), (Cost::RECOMMENDED, Duration::from_secs(5)));
        assert_eq!(settings.secret_file, Path::new("data/secret"));
        assert_eq!((settings.policy.throttle_after, settings.trusted_proxies), (5, Vec::new()));
    }

    #[test]
    fn trusted_proxies_are_networks_or_addresses_separated_by_commas() {
        let networks = |text| settings(&["--trusted-proxy", text]).map(|settings| settings.trusted_proxies);
        let shown = |text| networks(text).map(|networks| networks.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(shown("10.0.0.0/8, fd00::/8,192.0.2.7").unwrap(), ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"]);
        for wrong in ["", ",", "10.0.0.0/33", "10.0.0.0/8,", "proxy.example.org", "::/0"] {
            assert!(networks(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_of_the_audit_log_end_and_go_as_they_are_told_to_within_bounds() {
        let said = [["--audit-file-size", "128KiB"], ["--audit-file-age", "3days"], ["--audit-keep", "4"]];
        let audit = settings(said.as_flattened()).unwrap().audit;
        assert_eq!(audit, RetentionPolicy { size_bytes: 128 << 10, age: Duration::from_hours(72), keep: 4 });

        let wrong = [["--audit-file-size", "63KiB"], ["--audit-file-age", "0s"], ["--audit-keep", "1"]];
        let said = settings(wrong.as_flattened()).unwrap_err().to_string();
        assert_eq!(said.lines().count(), wrong.len(), "{said}");
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
