//! Load on a server, made by wrk.

use std::{net::SocketAddr, path::Path, process::Command};

use serde::Deserialize;

/// What is asked for, again and again.
pub enum Requests {
    /// One and the same GET.
    Get { path: String, authorization: String },
    /// A random one of these GETs each time.
    GetAny(Vec<(String, String)>),
    /// New configurations, each with a key of its own, of random ones of these users.
    Create { authorizations: Vec<String>, prefix: String },
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Outcome {
    pub requests: u64,
    pub microseconds: f64,
    pub errors: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Outcome {
    /// Requests a second.
    pub fn rate(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer requests than 2^52")]
        let requests = self.requests as f64;
        requests * 1e6 / self.microseconds
    }
}

/// Prints what wrk counted as one line of JSON.
const DONE: &str = r#"
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"microseconds":%d,"errors":%d,"p50":%d,"p90":%d,"p99":%d,"p999":%d}\n',
    summary.requests, summary.duration, errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9)))
end
"#;

/// Puts that load on a server for some seconds.
///
/// # Panics
/// If wrk is not there, or a request was not answered with success.
pub fn run(directory: &Path, server: SocketAddr, requests: &Requests, connections: usize, seconds: u64) -> Outcome {
    let script = directory.join(format!("{connections}-{seconds}.lua"));
    std::fs::write(&script, script_of(requests)).unwrap();
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", &connections.to_string(), "--duration", &format!("{seconds}s")]);
    let url = match requests {
        Requests::Get { path, authorization } => {
            wrk.args(["--header", &format!("Authorization: {authorization}")]);
            format!("http://{server}{path}")
        }
        Requests::GetAny(_) | Requests::Create { .. } => format!("http://{server}/"),
    };
    let output = wrk.arg("--script").arg(&script).arg(url).output();
    let output = output.expect("wrk is installed (Debian's package wrk)");
    let said = String::from_utf8_lossy(&output.stdout);
    let outcome = said.lines().rev().find_map(|line| serde_json::from_str::<Outcome>(line).ok());
    let outcome = outcome.unwrap_or_else(|| panic!("wrk: {said}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(outcome.errors, 0, "requests failed: {said}");
    outcome
}

fn script_of(requests: &Requests) -> String {
    let request = match requests {
        Requests::Get { .. } => String::new(),
        Requests::GetAny(targets) => {
            let targets: Vec<_> =
                targets.iter().map(|(path, authorization)| format!("{{{path:?},{authorization:?}}}")).collect();
            format!(
                "local targets = {{{}}}\nlocal prepared = {{}}\n\
                 function init()\n  math.randomseed(os.time())\n  for at, target in ipairs(targets) do\n    \
                 prepared[at] = wrk.format('GET', target[1], {{Authorization = target[2]}})\n  end\nend\n\
                 function request() return prepared[math.random(#prepared)] end\n",
                targets.join(",\n")
            )
        }
        Requests::Create { authorizations, prefix } => {
            let users: Vec<_> = authorizations.iter().map(|authorization| format!("{authorization:?}")).collect();
            format!(
                "local users = {{{}}}\nlocal number = 0\n\
                 function request()\n  number = number + 1\n  local headers = {{['Content-Type'] = 'application/json', \
                 Authorization = users[number % #users + 1]}}\n  local body = string.format('{{\"key\":\"{prefix}-%d\",\
                 \"value\":\"a value of usual length\"}}', number)\n  \
                 return wrk.format('POST', '/api/v2/users/me/configurations', headers, body)\nend\n",
                users.join(",")
            )
        }
    };
    request + DONE
}
