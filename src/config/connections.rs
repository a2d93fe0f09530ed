//! The settings that bound what strangers' connections may cost.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::{
    Checks,
    values::{duration_within, number, origins, size, usize_of},
};

/// The settings of connections as they are written, not yet checked.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ConnectionArguments {
    /// How large a request's body may be: 64KiB to 64MiB
    #[arg(long, env = "LODGE_BODY_LIMIT", value_name = "SIZE", default_value = "512KiB")]
    body_limit: String,

    /// How large a request's headers may be: 4KiB to 64KiB
    #[arg(long, env = "LODGE_HEAD_LIMIT", value_name = "SIZE", default_value = "16KiB")]
    head_limit: String,

    /// How long a request's path and query may be: 1KiB to 32KiB
    #[arg(long, env = "LODGE_PATH_LIMIT", value_name = "SIZE", default_value = "8KiB")]
    path_limit: String,

    /// How deep the JSON of a body may be nested: 4 to 100
    #[arg(long, env = "LODGE_JSON_DEPTH", value_name = "LEVELS", default_value = "32")]
    json_depth: String,

    /// How long a request's head, or a TLS handshake, may take to arrive: 1s to 1h
    #[arg(long, env = "LODGE_HEAD_DEADLINE", value_name = "DURATION", default_value = "10s")]
    head_deadline: String,

    /// How long a request's body may take to arrive: 1s to 1h
    #[arg(long, env = "LODGE_BODY_DEADLINE", value_name = "DURATION", default_value = "30s")]
    body_deadline: String,

    /// How long a connection is kept on which nothing is asked: 1s to 1h
    #[arg(long, env = "LODGE_IDLE_DEADLINE", value_name = "DURATION", default_value = "75s")]
    idle_deadline: String,

    /// How long a client may be slower than 32 KiB a second in taking an answer: 1s to 1h
    #[arg(long, env = "LODGE_SEND_DEADLINE", value_name = "DURATION", default_value = "30s")]
    send_deadline: String,

    /// How long a client that does not keep up may take over one answer altogether: 1s to 1h
    #[arg(long, env = "LODGE_ANSWER_DEADLINE", value_name = "DURATION", default_value = "5m")]
    answer_deadline: String,

    /// How many connections are served at once; further ones wait: 16 to 1000000
    #[arg(long, env = "LODGE_MAX_CONNECTIONS", value_name = "NUMBER", default_value = "16384")]
    max_connections: String,

    /// How many of these one address may have, or one /64 of IPv6: 1 to 1000000; a quarter of them unless it is given, and then
    /// this machine's own have no bound. Trusted proxies have none
    #[arg(long, env = "LODGE_MAX_CONNECTIONS_PER_ADDRESS", value_name = "NUMBER")]
    max_connections_per_address: Option<String>,

    /// How much memory large bodies and answers under way may take together; beyond it they get 503: 64MiB to 64GiB
    #[arg(long, env = "LODGE_TRANSFER_MEMORY", value_name = "SIZE", default_value = "256MiB")]
    transfer_memory: String,

    /// The origins whose pages may use the API from a browser, separated by commas: `https://console.example.org`
    #[arg(long, env = "LODGE_CORS_ORIGIN", value_name = "ORIGIN,...")]
    cors_origin: Option<String>,
}

/// What the requests of a connection may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many bytes a body has at most.
    pub body_bytes: usize,
    /// How many bytes the headers have at most.
    pub head_bytes: usize,
    /// How many bytes path and query have at most.
    pub path_bytes: usize,
    /// How deep the JSON of a body is nested at most.
    pub json_depth: usize,
    /// How long a head or a TLS handshake may take to arrive.
    pub head_deadline: Duration,
    /// How long a body may take to arrive.
    pub body_deadline: Duration,
    /// How long an idle connection is kept.
    pub idle_deadline: Duration,
    /// How long a client may be too slow in taking an answer.
    pub send_deadline: Duration,
    /// How long a client that does not keep up may take over one answer.
    pub answer_deadline: Duration,
    /// How many connections are served at once.
    pub connections: usize,
    /// How many of these one address may have, if it is set.
    pub connections_per_address: Option<usize>,
    /// How much memory large bodies and answers under way may take together.
    pub transfer_bytes: usize,
}

impl ConnectionArguments {
    /// The limits and the origins, once all of them have been looked at.
    pub(super) fn checked(&self, checks: &mut Checks) -> Option<(Limits, Vec<String>)> {
        let hour = |text: &str| duration_within(text, Duration::from_secs(1)..=Duration::from_hours(1), "1h", "30s");
        let body_bytes = checks.note("body-limit", size(&self.body_limit, 64 << 10, 64 << 20));
        let head_bytes = checks.note("head-limit", size(&self.head_limit, 4 << 10, 64 << 10));
        let path_bytes = checks.note("path-limit", size(&self.path_limit, 1 << 10, 32 << 10));
        let json_depth = checks.note("json-depth", number(&self.json_depth, 4, 100));
        let head_deadline = checks.note("head-deadline", hour(&self.head_deadline));
        let body_deadline = checks.note("body-deadline", hour(&self.body_deadline));
        let idle_deadline = checks.note("idle-deadline", hour(&self.idle_deadline));
        let send_deadline = checks.note("send-deadline", hour(&self.send_deadline));
        let answer_deadline = checks.note("answer-deadline", hour(&self.answer_deadline));
        let connections = checks.note("max-connections", number(&self.max_connections, 16, 1_000_000));
        let per_address = self.max_connections_per_address.as_deref();
        let per_address = per_address.map(|text| number(text, 1, 1_000_000)).transpose();
        let connections_per_address = checks.note("max-connections-per-address", per_address);
        let transfer_bytes = checks.note("transfer-memory", size(&self.transfer_memory, 64 << 20, 64 << 30));
        let origins = checks.note("cors-origin", self.cors_origin.as_deref().map_or(Ok(Vec::new()), origins));
        let limits = Limits {
            body_bytes: usize_of(body_bytes?),
            head_bytes: usize_of(head_bytes?),
            path_bytes: usize_of(path_bytes?),
            json_depth: json_depth?,
            head_deadline: head_deadline?,
            body_deadline: body_deadline?,
            idle_deadline: idle_deadline?,
            send_deadline: send_deadline?,
            answer_deadline: answer_deadline?,
            connections: connections?,
            connections_per_address: connections_per_address?,
            transfer_bytes: usize_of(transfer_bytes?),
        };
        Some((limits, origins?))
    }
}
