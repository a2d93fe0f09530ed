//! Load on a server, made by wrk.

use std::{net::SocketAddr, path::Path, process::Command};

use serde::Deserialize;

use super::common::report::{Line, median};

/// What is asked for, again and again.
pub enum Requests {
    /// One and the same GET.
    Get { path: String, authorization: String },
    /// A random one of these GETs each time.
    GetAny(Vec<(String, String)>),
    /// One and the same POST of JSON.
    Post { path: String, authorization: String, body: String },
    /// New configurations, each with a key of its own, of random ones of these users.
    Create { authorizations: Vec<String>, prefix: String },
    /// Sign-ins of random ones of these users; one in four with another password, until `max_refused` were refused.
    SignIn { usernames: Vec<String>, password: String, max_refused: u32 },
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Outcome {
    pub requests: u64,
    pub microseconds: f64,
    /// Requests that were not answered.
    pub errors: u64,
    /// Responses other than a success.
    pub refusals: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    /// How sign-ins were answered.
    pub answers: Answers,
}

/// How often each status was answered.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Answers {
    pub created: u64,
    pub unauthorized: u64,
    pub too_many: u64,
    pub unavailable: u64,
    pub others: u64,
}

impl Outcome {
    /// Requests a second.
    pub fn rate(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer requests than 2^52")]
        let requests = self.requests as f64;
        requests * 1e6 / self.microseconds
    }
}

/// Counts the answers to sign-ins, in the thread that gets them.
const COUNT: &str = r"
local names = {[201] = 'created', [401] = 'unauthorized', [429] = 'too_many', [503] = 'unavailable'}
created, unauthorized, too_many, unavailable, others = 0, 0, 0, 0, 0
function response(status)
  local name = names[status] or 'others'
  _G[name] = _G[name] + 1
end
";

/// Prints what wrk counted as one line of JSON.
const DONE: &str = r#"
local only
function setup(thread) only = thread end
function done(summary, latency, requests)
  local errors = summary.errors
  local function count(name) return string.format('"%s":%d', name, only:get(name) or 0) end
  io.write(string.format(
    '\n{"requests":%d,"microseconds":%d,"errors":%d,"refusals":%d,"p50":%d,"p90":%d,"p99":%d,"p999":%d,"answers":{%s}}\n',
    summary.requests, summary.duration, errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9),
    table.concat({count('created'), count('unauthorized'), count('too_many'), count('unavailable'), count('others')}, ',')
  ))
end
"#;

/// Puts that load on a server for some seconds.
///
/// # Panics
/// If wrk is not there, or a request was not answered with success.
pub fn run(directory: &Path, server: SocketAddr, requests: &Requests, connections: usize, seconds: u64) -> Outcome {
    let outcome = press(directory, server, requests, connections, seconds);
    assert_eq!(outcome.refusals, 0, "requests were refused");
    outcome
}

/// As [`run`], whatever the answers are.
pub fn press(directory: &Path, server: SocketAddr, requests: &Requests, connections: usize, seconds: u64) -> Outcome {
    let script = directory.join(format!("{connections}-{seconds}.lua"));
    std::fs::write(&script, script_of(requests)).unwrap();
    let mut wrk = Command::new("wrk");
    // Longer than anything takes here, so that it is part of the percentiles.
    wrk.args(["--timeout", "30s"]);
    wrk.args(["--threads", "1", "--connections", &connections.to_string(), "--duration", &format!("{seconds}s")]);
    let url = match requests {
        Requests::Get { path, authorization } => {
            wrk.args(["--header", &format!("Authorization: {authorization}")]);
            format!("http://{server}{path}")
        }
        Requests::GetAny(_) | Requests::Post { .. } | Requests::Create { .. } | Requests::SignIn { .. } => {
            format!("http://{server}/")
        }
    };
    let output = wrk.arg("--script").arg(&script).arg(url).output();
    let output = output.expect("wrk is installed (Debian's package wrk)");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let outcome = stdout.lines().rev().find_map(|line| serde_json::from_str::<Outcome>(line).ok());
    let outcome = outcome.unwrap_or_else(|| panic!("wrk: {stdout}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(outcome.errors, 0, "requests failed: {stdout}");
    outcome
}

/// The medians of the percentiles of some rounds.
pub fn percentiles(name: &str, rounds: &[Outcome]) -> Line {
    let of = |percentile: fn(&Outcome) -> f64| median(rounds.iter().map(percentile).collect());
    let points = vec![
        (0.5, of(|outcome| outcome.p50)),
        (0.1, of(|outcome| outcome.p90)),
        (0.01, of(|outcome| outcome.p99)),
        (0.001, of(|outcome| outcome.p999)),
    ];
    Line { name: name.to_owned(), points }
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
        Requests::Post { path, authorization, body } => format!(
            "local prepared\nfunction init()\n  prepared = wrk.format('POST', {path:?}, {{['Content-Type'] = \
             'application/json', Authorization = {authorization:?}}}, [[{body}]])\nend\n\
             function request() return prepared end\n"
        ),
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
        Requests::SignIn { usernames, password, max_refused } => {
            let users: Vec<_> = usernames.iter().map(|username| format!("{username:?}")).collect();
            format!(
                "{COUNT}local users = {{{}}}\nmath.randomseed(os.time())\nlocal number = 0\n\
                 function request()\n  number = number + 1\n  local is_wrong = number % 4 == 0 and unauthorized < \
                 {max_refused}\n  local password = is_wrong and 'not the password' or {password:?}\n  local body = \
                 string.format('{{\"user\":{{\"username\":\"%s\",\"password\":\"%s\"}}}}', \
                 users[math.random(#users)], password)\n  return wrk.format('POST', '/api/v2/users/sign_in', \
                 {{['Content-Type'] = 'application/json'}}, body)\nend\n",
                users.join(",")
            )
        }
    };
    request + DONE
}
