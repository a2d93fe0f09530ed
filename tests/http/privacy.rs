//! Credentials over plain HTTP from another machine: one that this machine plays, in a network of its own.

use std::process::{Command, Output};

use crate::harness::{ADMIN_PASSWORD, ServerBuilder, is_possible};

/// Serves in a network of its own and asks twice from each side with a password, a bad token and a sign-in; what curl
/// says of statuses is on standard output, and the log on standard error.
const SCRIPT: &str = r#"
ip link set lo up
ip address add 192.0.2.1/32 dev lo
mkfifo ready
"$LODGE" serve --listen 0.0.0.0:3000 "$@" > ready &
server=$!
exec 3< ready
read -r line <&3
for host in 127.0.0.1 192.0.2.1 127.0.0.1 192.0.2.1; do
  ask() { curl --silent --max-time 60 --write-out "$host $1 %{http_code} %{stderr}%{stdout}\n" "http://$host:3000/api/v2/users/$2" "$3" "$4" "$5" "$6"; }
  ask password me --output /dev/null --user "admin:$PASSWORD"
  ask token me --output /dev/null --header "Authorization: Bearer of.bad.news"
  ask nothing me --output /dev/null --header "X-Nothing: x"
  ask sign_in sign_in --json '{"user":{"username":"admin","password":"'"$PASSWORD"'"}}' --output /dev/null
done
kill "$server"
wait "$server"
"#;

/// What the script makes of a server with these flags; `None` if this machine does not let us have a network of our own.
fn asked_from_both_sides(flags: &[&str]) -> Option<Output> {
    let builder = ServerBuilder::new();
    let mut command = builder.command(&[]);
    let lodge = command.get_program().to_owned();
    let directory = command.get_current_dir().unwrap().to_owned();
    let variables: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new("timeout");
    command.args(["120", "unshare", "--user", "--map-root-user", "--net", "sh", "-eu", "-c", SCRIPT, "sh"]);
    command.args(flags).current_dir(directory).env("LODGE", lodge).env("PASSWORD", ADMIN_PASSWORD);
    command.envs(variables.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let has_network = Command::new("unshare").args(["--user", "--map-root-user", "--net", "ip", "link"]).output();
    let has_network = has_network.is_ok_and(|output| output.status.success());
    if !is_possible("a network of our own", (!has_network).then_some("`ip` cannot have one")) {
        return None;
    }
    Some(command.output().unwrap())
}

fn statuses(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn a_password_from_another_machine_is_accepted_with_one_warning() {
    let Some(output) = asked_from_both_sides(&[]) else { return };

    let log = String::from_utf8_lossy(&output.stderr);
    let each = |host: &str| {
        ["password 200", "token 401", "nothing 401", "sign_in 201"].map(|outcome| format!("{host} {outcome}"))
    };
    let expected = ["127.0.0.1", "192.0.2.1", "127.0.0.1", "192.0.2.1"].map(each).concat();
    assert_eq!(statuses(&output), expected, "{log}");
    assert_eq!(log.matches("a password came over plain HTTP from 192.0.2.1").count(), 1, "{log}");
    assert_eq!(log.matches("over plain HTTP").count(), 1, "{log}");
}

#[test]
fn credentials_from_another_machine_are_refused_where_tls_is_required() {
    let Some(output) = asked_from_both_sides(&["--require-tls"]) else { return };

    let log = String::from_utf8_lossy(&output.stderr);
    let near =
        ["password 200", "token 401", "nothing 401", "sign_in 201"].map(|outcome| format!("127.0.0.1 {outcome}"));
    let far = ["password 403", "token 403", "nothing 401", "sign_in 403"].map(|outcome| format!("192.0.2.1 {outcome}"));
    assert_eq!(statuses(&output), [&near[..], &far, &near, &far].concat(), "{log}");
    assert!(!log.contains("over plain HTTP"), "{log}");
}
