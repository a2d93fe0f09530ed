//! The settings as they are written on the command line, in the environment or in a file.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{DEFAULT_LISTEN, connections::ConnectionArguments, tls::TlsArguments};

/// The settings of `lodge serve` as they are written, not yet checked. All are told in the audit log: none is a secret.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServeArguments {
    /// A file with settings in TOML, each under the name of its flag: `listen = "0.0.0.0:3000"`
    #[arg(long, env = "LODGE_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// The address and port to serve on; port 0 takes a free one
    #[arg(long, env = "LODGE_LISTEN", value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    pub(super) listen: String,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) tls: TlsArguments,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) connections: ConnectionArguments,

    /// The directory that everything is kept in; made if it does not exist, and readable by its owner alone
    #[arg(long, env = "LODGE_DATA_DIR", value_name = "DIRECTORY", default_value = "data")]
    pub(super) data_dir: PathBuf,

    /// The file with the server's secret, at least 32 bytes; made on the first start [default: `secret` in the data directory]
    #[arg(long, env = "LODGE_SECRET_FILE", value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,

    /// A file with the first administrator's password; LODGE_ADMIN_PASSWORD holds the password itself. Without either, the
    /// first start makes a random one and writes it to `initial-admin-password` in the data directory
    #[arg(long, env = "LODGE_ADMIN_PASSWORD_FILE", value_name = "FILE")]
    pub(super) admin_password_file: Option<PathBuf>,

    /// How long a session lasts: 1s to 3650days
    #[arg(long, env = "LODGE_SESSION_LIFETIME", value_name = "DURATION", default_value = "24h")]
    pub(super) session_lifetime: String,

    /// How many bytes a new password has at least: 8 to 128
    #[arg(long, env = "LODGE_PASSWORD_MIN_LENGTH", value_name = "BYTES", default_value = "8")]
    pub(super) password_min_length: String,

    /// What a password hash costs, as log2 of scrypt's N: 10 (1 MiB) to 20 (1 GiB); below 17 a warning is logged
    #[arg(long, env = "LODGE_SCRYPT_COST", value_name = "LOG2_N", default_value = "17")]
    pub(super) scrypt_cost: String,

    /// How long a password may wait for its answer while others are verified; then, or at once where that is certain, it is
    /// 503: 1s to 1h
    #[arg(long, env = "LODGE_PASSWORD_WAIT", value_name = "DURATION", default_value = "5s")]
    pub(super) password_wait: String,

    /// How many attempts may fail for an account from an address before the next one waits, and ten times that for an address
    /// over all accounts: 1 to 1000; with 0 no attempt ever waits, which is for tests
    #[arg(long, env = "LODGE_THROTTLE_AFTER", value_name = "NUMBER", default_value = "5")]
    pub(super) throttle_after: String,

    /// The networks of proxies whose word on the client's address counts (Forwarded, X-Forwarded-For), separated by commas:
    /// `10.0.0.0/8,fd00::/8`
    #[arg(long, env = "LODGE_TRUSTED_PROXY", value_name = "NETWORKS")]
    pub(super) trusted_proxy: Option<String>,

    /// How many configurations a user may have: 1 to 100000
    #[arg(long, env = "LODGE_MAX_CONFIGURATIONS", value_name = "NUMBER", default_value = "1000")]
    pub(super) max_configurations: String,

    /// How many API keys a user may have: 1 to 100000
    #[arg(long, env = "LODGE_MAX_API_KEYS", value_name = "NUMBER", default_value = "100")]
    pub(super) max_api_keys: String,

    /// How much memory the store's cache may take: 1MiB to 64GiB
    #[arg(long, env = "LODGE_CACHE_SIZE", value_name = "SIZE", default_value = "32MiB")]
    pub(super) cache_size: String,

    /// How much room must be left on the disk for a write to be accepted: 0B to 1TiB
    #[arg(long, env = "LODGE_DISK_RESERVE", value_name = "SIZE", default_value = "64MiB")]
    pub(super) disk_reserve: String,

    /// The size of a file that is given up when the store must be opened on a full disk: 0B to 1TiB
    #[arg(long, env = "LODGE_BALLAST", value_name = "SIZE", default_value = "64MiB")]
    pub(super) ballast: String,

    /// A directory to which backups are made while serving
    #[arg(long, env = "LODGE_BACKUP_DIR", value_name = "DIRECTORY")]
    pub(super) backup_dir: Option<PathBuf>,

    /// How often a backup is made: 1s to 3650days
    #[arg(long, env = "LODGE_BACKUP_EVERY", value_name = "DURATION", default_value = "24h")]
    pub(super) backup_every: String,

    /// How many backups are kept; the oldest go: 1 to 100000
    #[arg(long, env = "LODGE_BACKUP_KEEP", value_name = "NUMBER", default_value = "7")]
    pub(super) backup_keep: String,

    /// How large a file of the audit log may become before the next is begun: 64KiB to 1GiB
    #[arg(long, env = "LODGE_AUDIT_FILE_SIZE", value_name = "SIZE", default_value = "16MiB")]
    pub(super) audit_file_size: String,

    /// How old the first entry of such a file may become before the next is begun: 1s to 3650days
    #[arg(long, env = "LODGE_AUDIT_FILE_AGE", value_name = "DURATION", default_value = "7days")]
    pub(super) audit_file_age: String,

    /// How many files of the audit log are kept; the oldest go: 2 to 100000
    #[arg(long, env = "LODGE_AUDIT_KEEP", value_name = "NUMBER", default_value = "100")]
    pub(super) audit_keep: String,

    /// Goes on with what is left of a store that has lost something, if an administrator is left; what was there is kept
    /// beside it
    #[arg(long)]
    pub(super) accept_loss: bool,

    /// What is logged, in the syntax of env_logger: `info`, `warn`, `lodge::request=off,info`
    #[arg(long, env = "LODGE_LOG", value_name = "FILTER", default_value = "info")]
    pub(super) log: String,
}
