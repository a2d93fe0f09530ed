//! Settings: flags over environment (`LODGE_*`) over a file over defaults.
//!
//! Each setting is one row in [`Settings`]. Its flag, its environment variable, its key in the file, its line of
//! `--help` and of the README's table, its check and the typed field all follow from that row.

mod arguments;
mod assertions;
mod base_path;
mod example;
mod file;
mod kinds;
mod limits;
mod listen;
mod metrics;
mod nearest;
mod origins;
mod password;
mod setting;
mod sign_in;
mod tls;
mod web_address;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

pub use self::{
    arguments::{BasePathArguments, DataArguments, ServeArguments},
    assertions::{Audience, SigningAlgorithm},
    base_path::BasePath,
    example::example,
    file::parse,
    kinds::TrustedProxy,
    limits::{BackupSchedule, Limits},
    listen::ListenAddress,
    metrics::OpenMetrics,
    nearest::nearest,
    password::{ADMIN_PASSWORD, without_line_ends},
    setting::{Setting, Written, readme_table},
    sign_in::{CookieDomain, SIGN_IN_PATH, SignInPage, SignInSettings, SignInTarget},
    tls::TlsSettings,
    web_address::{WebAddress, WebOrigin},
};
use self::{
    assertions::issuer,
    kinds::{
        directory, duration, file, filter, list, number, optional, size, socket_address, switch, text, trusted_proxy,
    },
    listen::addresses,
    origins::origin,
    setting::settings,
};
use crate::{logging::Format, secret::Secret, tls::Names};

/// Where the server listens by default.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:3000";

settings! {
    /// The settings of `lodge serve`, each within its bounds.
    Settings {
        /// A TOML file with settings; each has the name of its flag: `listen = "0.0.0.0:3000"`
        config: Option<PathBuf> = optional(file()).never_in_file();

        /// Where to serve: addresses with a port, or `unix:/run/lodge/http.sock`; separated by commas or given one by one. Port 0
        /// takes a free one; a Unix socket is for the server's user and group (0660), without TLS. Sockets that a service manager
        /// passes (`LISTEN_FDS`) are served instead
        listen: Vec<ListenAddress> = addresses() => DEFAULT_LISTEN;

        /// The path below which everything is served; for a reverse proxy that does not remove it: with `/accounts` the API is at
        /// `/accounts/api/v2`, and `/healthz` and `/readyz` are at both places
        base_path: Option<BasePath> = optional(text("PATH", BasePath::parse));

        /// The certificate to serve TLS with, in PEM; followed by those that signed it, and read again when the file
        /// changes
        tls_cert: Option<PathBuf> = optional(file());

        /// The certificate's private key, in PEM; only the server's user, root and, for root's file, the server's groups may
        /// be able to read it
        tls_key: Option<PathBuf> = optional(file());

        /// Names and addresses for a self-signed certificate; its fingerprint is printed
        tls_self_signed: Option<Names> = optional(text("NAME,...", Names::parse)).given_one_by_one();

        /// Refuses credentials that come over plain HTTP from another machine
        require_tls: bool = switch();

        /// Serves no console: `/`, `/docs` and `/assets/` are 404
        no_console: bool = switch();

        /// The origins whose pages may use the API from a browser; separated by commas: `https://console.example.org`
        cors_origin: Vec<String> = list("ORIGIN,...", origin);

        /// Where `/sign-in` may lead people; the page to sign in at for services that ask by forward authentication. Origins with
        /// commas between them: `https://files.example.org,https://*.example.org`
        sign_in_targets: Vec<SignInTarget> = list("ORIGIN,...", SignInTarget::parse);

        /// The domain whose hosts get that page's cookie; without it, the page's own host alone: `example.org`
        cookie_domain: Option<CookieDomain> = optional(text("DOMAIN", CookieDomain::parse));

        /// Where browsers reach that page; without it, at the host of each service, whose proxy passes `/sign-in` on to Lodge:
        /// `https://lodge.example.org/sign-in`
        sign_in_url: Option<WebAddress> = optional(text("URL", sign_in::address));

        /// A Unix socket for all local users; a caller whose uid is the `user_id` of exactly one account is that account,
        /// without a password, unless an Authorization header comes with the request
        user_socket: Option<PathBuf> = optional(file());

        /// Lets administrators in there too; a uid that is an administrator's is one
        user_socket_administrators: bool = switch();

        /// Serves `/metrics` without a credential on this address; it is one of this machine alone, such as `127.0.0.1:9464`,
        /// unless `--metrics-public` is given. Port 0 takes a free one
        metrics_listen: Option<SocketAddr> = optional(socket_address());

        /// Lets `--metrics-listen` have an address that other machines reach
        metrics_public: bool = switch();

        /// The directory of all the server's data; `serve` creates it, and closes it to other users
        data_dir: PathBuf = directory() => "data";

        /// The file with the server's secret; at least 32 bytes, created by the first start, `secret` in the data
        /// directory by default
        secret_file: Option<PathBuf> = optional(file());

        /// A file with the first administrator's password; `LODGE_ADMIN_PASSWORD` holds the password itself. Without
        /// either, the first start generates one and writes it to `initial-admin-password` in the data directory
        admin_password_file: Option<PathBuf> = optional(file());

        /// How long a session lasts
        session_lifetime: Duration = duration("1s", "3650days") => "24h";

        /// How large a request's body may be; 12 KiB for a sign-in
        body_limit: usize = size("64KiB", "64MiB") => "512KiB";

        /// How large a request's headers may be
        head_limit: usize = size("4KiB", "64KiB") => "16KiB";

        /// How long a request's path and query may be
        path_limit: usize = size("1KiB", "32KiB") => "8KiB";

        /// How deep the JSON of a body may be nested
        json_depth: usize = number(4, 100) => "32";

        /// How long a request's head, or a TLS handshake, may take to arrive
        head_deadline: Duration = duration("1s", "1h") => "10s";

        /// How long a request's body may take to arrive
        body_deadline: Duration = duration("1s", "1h") => "30s";

        /// How long a connection without a request is kept open
        idle_deadline: Duration = duration("1s", "1h") => "75s";

        /// How long a client may read more slowly than 32 KiB a second
        send_deadline: Duration = duration("1s", "1h") => "30s";

        /// How long a slow client may take over one response; altogether, however steadily it reads
        answer_deadline: Duration = duration("1s", "1h") => "5m";

        /// How many connections are served at once; further ones wait
        max_connections: usize = number(16, 1_000_000) => "16384";

        /// How many of these one address, or /64 of IPv6, may have; a /48 may have twice as many. A quarter of them unless it is
        /// given, and then this machine's own addresses have no bound. Trusted proxies have none
        max_connections_per_address: Option<usize> = optional(number(1, 1_000_000));

        /// How much memory large bodies and responses may take; beyond it requests get 503
        transfer_memory: usize = size("64MiB", "64GiB") => "256MiB";

        /// How many bytes a new password has at least
        password_min_length: usize = number(8, 128) => "8";

        /// Has users who change their own password or e-mail address give `current_password`; administrators who change
        /// others' are not asked
        require_current_password: bool = switch();

        /// What a password hash costs, as log2 of scrypt's N; 10 takes 1 MiB, 17 takes 128 MiB, 20 takes 1 GiB, and
        /// below 17 a warning is logged
        scrypt_cost: u8 = number(10, 20) => "17";

        /// How long a password may wait for its check; then, or at once where that is certain, the response is 503. A check that
        /// has begun is finished, so that every response comes within this and the time of one hash
        password_wait: Duration = duration("1s", "1h") => "5s";

        /// How many attempts may fail before a lockout; counted for an account from one address, ten times as many for
        /// an address over all accounts. 0 turns lockouts off, which is for tests
        throttle_after: u32 = number(0, 1000) => "5";

        /// The networks of trusted proxies; their Forwarded or X-Forwarded-For header names the client's address.
        /// Separated by commas: `10.0.0.0/8,fd00::/8`; `unix` is what connects to a Unix socket of `--listen`
        trusted_proxy: Vec<TrustedProxy> = list("NETWORK,...", trusted_proxy);

        /// The services that assertions may be for; the names that a proxy asks with (`aud=files`), separated by commas. Without
        /// any the server signs none
        assertion_audience: Vec<Audience> = list("NAME,...", Audience::parse);

        /// The `iss` of assertions
        assertion_issuer: String = text("NAME", issuer) => "lodge";

        /// How assertions are signed: `ES256` or `EdDSA`; another one is used within half an hour of the start
        assertion_algorithm: SigningAlgorithm = text("ALGORITHM", SigningAlgorithm::parse) => "ES256";

        /// How long a key signs assertions; the next one is published a quarter of an hour before it signs
        assertion_key_lifetime: Duration = duration("1h", "3650days") => "30days";

        /// How many configurations a user may have
        max_configurations: usize = number(1, 100_000) => "1000";

        /// How many API keys a user may have
        max_api_keys: usize = number(1, 100_000) => "100";

        /// How long the former value of a rotated API key may stay valid
        key_overlap_max: Duration = duration("0s", "3650days") => "7days";

        /// How much memory the store's cache may take
        cache_size: u64 = size("1MiB", "64GiB") => "32MiB";

        /// How much disk space must be left for writes; with less they are refused
        disk_reserve: u64 = size("0B", "1TiB") => "64MiB";

        /// The size of a file that is deleted to open the store on a full disk
        ballast: u64 = size("0B", "1TiB") => "64MiB";

        /// The size of a file of the journal; it takes this room before it is written, the first ones are smaller, and so are all
        /// on a small disk
        journal_segment: u64 = size("64KiB", "1GiB") => "16MiB";

        /// How much of the journal may follow a checkpoint; then the next is made
        checkpoint_size: u64 = size("1MiB", "1TiB") => "32MiB";

        /// How old a checkpoint may become; then the next is made, if anything was written since
        checkpoint_every: Duration = duration("1s", "3650days") => "24h";

        /// Where the server makes backups by itself; a directory
        backup_dir: Option<PathBuf> = optional(directory());

        /// How long after one backup the server makes the next
        backup_every: Duration = duration("1s", "3650days") => "24h";

        /// How many of these are kept; the oldest are deleted, and other files are left alone
        backup_keep: usize = number(1, 100_000) => "7";

        /// How large a file of the audit log may become; then the next is begun
        audit_file_size: u64 = size("64KiB", "1GiB") => "16MiB";

        /// How old the first entry of such a file may become; then the next is begun
        audit_file_age: Duration = duration("1s", "3650days") => "7days";

        /// How many such files are kept; the oldest are deleted
        audit_keep: usize = number(2, 100_000) => "100";

        /// Goes on with what is left of a damaged store; the longest history without a gap. The damaged store is kept beside it
        accept_loss: bool = switch().only_as_flag();

        /// What is logged; in the syntax of env_logger: `info`, `warn`, `lodge::request=off,info`
        log: String = filter() => "info";

        /// How the log is written: `text` or `json`; one object a line, panics, failures and what is printed at the start too
        log_format: Format = text("FORMAT", Format::parse) => "text";
    }
    with {
        /// Whether and with which certificate TLS is served.
        tls: TlsSettings = tls::checked;

        /// Whether there is a page to sign in at.
        sign_in: SignInSettings = sign_in::checked;

        /// Where metrics are served without a credential, if anywhere.
        open_metrics: OpenMetrics = metrics::checked;

        /// The first administrator's password, if one is given.
        admin_password: Option<Secret<String>> = password::checked;
    }
}

/// All invalid settings, one sentence each.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(Vec<String>);

impl Settings {
    /// Where the server's secret is.
    #[must_use]
    pub fn secret_path(&self) -> PathBuf {
        secret_path(self.secret_file.as_ref(), &self.data_dir)
    }
}

fn secret_path(secret_file: Option<&PathBuf>, data_dir: &Path) -> PathBuf {
    secret_file.cloned().unwrap_or_else(|| data_dir.join("secret"))
}

#[cfg(test)]
mod tests;
