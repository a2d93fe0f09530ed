//! Settings as they are read and checked.

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

fn tcp(address: &str) -> ListenAddress {
    ListenAddress::Tcp(address.to_owned())
}

/// The command line with a file of that content.
fn with_file(content: impl AsRef<[u8]>, flags: &[&str]) -> Result<Command, clap::Error> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lodge.toml");
    fs::write(&file, content).unwrap();
    let arguments = [&["lodge", "--config", file.to_str().unwrap()], flags].concat();
    parse(&arguments.into_iter().map(OsString::from).collect::<Vec<_>>())
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
    let output = settings(wrong.map(|(flag, value)| [flag, value]).as_flattened()).unwrap_err().to_string();
    assert_eq!(output.lines().count(), wrong.len(), "{output}");
    for (flag, _) in wrong {
        assert!(output.contains(flag), "{output}");
    }
}

#[test]
fn the_defaults_are_right() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.body_limit, 524_288);
    assert_eq!(settings.session_lifetime, Duration::from_hours(24));
    assert_eq!((settings.scrypt_cost, settings.password_wait), (17, Duration::from_secs(5)));
    assert_eq!(settings.secret_path(), Path::new("data/secret"));
    assert_eq!((settings.throttle_after, settings.trusted_proxy), (5, Vec::new()));
    assert_eq!((settings.listen, settings.base_path), (vec![tcp(DEFAULT_LISTEN)], None));
}

#[test]
fn trusted_proxies_are_networks_or_addresses_separated_by_commas() {
    let networks = |text| settings(&["--trusted-proxy", text]).map(|settings| settings.trusted_proxy);
    let network = |text: &str| TrustedProxy::Network(text.parse().unwrap());
    let expected = [network("10.0.0.0/8"), TrustedProxy::Unix, network("fd00::/8"), network("192.0.2.7/32")];
    assert_eq!(networks("10.0.0.0/8, unix, fd00::/8,192.0.2.7").unwrap(), expected);
    for wrong in ["", ",", "10.0.0.0/33", "10.0.0.0/8,", "proxy.example.org", "::/0", "unix:/run/http.sock"] {
        assert!(networks(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn the_limits_of_the_audit_logs_files_have_bounds() {
    let limits = [["--audit-file-size", "128KiB"], ["--audit-file-age", "3days"], ["--audit-keep", "4"]];
    let audit = settings(limits.as_flattened()).unwrap();
    let expected = (128 << 10, Duration::from_hours(72), 4);
    assert_eq!((audit.audit_file_size, audit.audit_file_age, audit.audit_keep), expected);

    let wrong = [["--audit-file-size", "63KiB"], ["--audit-file-age", "0s"], ["--audit-keep", "1"]];
    let output = settings(wrong.as_flattened()).unwrap_err().to_string();
    assert_eq!(output.lines().count(), wrong.len(), "{output}");
}

#[test]
fn a_flag_comes_before_the_file_and_the_file_before_the_default() {
    let file = "listen = \"0.0.0.0:80\"\nscrypt-cost = 12\n";

    let settings = with_file(file, &["--listen", "127.0.0.1:0"]).unwrap().serve.settings(None).unwrap();

    assert_eq!(settings.listen, [tcp("127.0.0.1:0")]);
    assert_eq!(settings.scrypt_cost, 12);
}

#[test]
fn an_unknown_setting_in_the_file_is_named() {
    let output = with_file("listne = \"0.0.0.0:80\"\n", &[]).err().unwrap().to_string();

    assert!(output.contains("`listne` is not a setting with a value; is `listen` meant?"), "{output}");
}

#[test]
fn the_nearest_name_is_suggested_if_it_is_near() {
    let suggested = |key: &str| {
        let output = with_file(format!("{key} = 1\n"), &[]).err().unwrap().to_string();
        let (_, near) = output.split_once("is `")?;
        near.split_once('`').map(|(name, _)| name.to_owned())
    };
    for (key, near) in [
        ("trottle-after", "throttle-after"),
        ("scrypt_cots", "scrypt-cost"),
        ("MAX-API-KEY", "max-api-keys"),
        ("listens", "listen"),
        ("base-pahts", "base-path"),
    ] {
        assert_eq!(suggested(key).as_deref(), Some(near), "{key}");
    }
    for far in ["port", "x", "accept-loss", "database-url", &"listen".repeat(20)] {
        assert_eq!(suggested(far), None, "{far}");
    }
}

#[test]
fn several_values_are_given_one_by_one_or_as_a_list_in_the_file() {
    let both = [tcp("127.0.0.1:0"), ListenAddress::Unix("/run/lodge/http.sock".into())];
    let one_by_one = settings(&["--listen", "127.0.0.1:0", "--listen", "unix:/run/lodge/http.sock"]).unwrap();
    assert_eq!(one_by_one.listen, both);

    let file = "listen = [\"127.0.0.1:0\", \"unix:/run/lodge/http.sock\"]\ncors-origin = [\"https://a.example\"]\n";
    let in_file = with_file(file, &[]).unwrap().serve.settings(None).unwrap();
    assert_eq!(in_file.listen, both);
    assert_eq!(in_file.cors_origin, ["https://a.example"]);

    for wrong in ["listen = []", "listen = [1]", "scrypt-cost = [\"12\"]", "listen = [[\"127.0.0.1:0\"]]"] {
        let output = with_file(wrong, &[]).err().unwrap().to_string();
        assert!(output.contains("is not a setting with a value"), "{wrong}: {output}");
    }
}

#[test]
fn an_address_is_given_once_and_a_socket_by_its_whole_path() {
    let refused = |text: &str| settings(&["--listen", text]).unwrap_err().to_string();
    assert!(refused("127.0.0.1:80, 127.0.0.1:80").contains("`127.0.0.1:80` is given twice"));
    let long = format!("unix:/{}", "a".repeat(107));
    for wrong in
        ["", "unix:", "unix:http.sock", "unix:/run/", "unix:/run/a\0b", &long, "localhost", ":80", "[::1]:65536"]
    {
        assert!(settings(&["--listen", wrong]).is_err(), "{wrong}");
    }
    let longest = format!("/{}", "a".repeat(106));
    let socket = settings(&["--listen", &format!("unix:{longest}")]).unwrap().listen;
    assert_eq!(socket, [ListenAddress::Unix(longest.into())]);
}

#[test]
fn a_file_that_begins_with_a_byte_order_mark_is_read_without_it_and_one_in_utf16_is_refused() {
    let marked = with_file("\u{feff}scrypt-cost = 12\r\n", &[]).unwrap();
    assert_eq!(marked.serve.settings(None).unwrap().scrypt_cost, 12);

    let output = with_file(b"\xff\xfes\0c\0", &[]).err().unwrap().to_string();
    assert!(output.contains("lodge.toml: it is text in UTF-16; save it as UTF-8"), "{output}");
}

#[test]
fn a_password_is_read_without_a_byte_order_mark_and_an_empty_variable_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "\u{feff}a house with a view\r\n").unwrap();
    let serve = |arguments: &[&str]| Command::parse_from([&["lodge"], arguments].concat()).serve;
    let password = |arguments: &[&str], variable: &str| {
        let given = serve(arguments).settings(Some(variable.to_owned())).unwrap().admin_password;
        given.map(|password| password.expose().clone())
    };

    let from_file = password(&["--admin-password-file", file.to_str().unwrap()], "");

    assert_eq!(from_file.as_deref(), Some("a house with a view"));
    assert_eq!(password(&[], ""), None);
}

#[test]
fn every_bound_is_a_value_and_every_default_is_within_the_bounds() {
    let declared = Settings::declared();
    assert!(declared.len() > 35, "{}", declared.len());
    for setting in declared {
        let flag = format!("--{}", setting.flag());
        for value in setting.bounds.into_iter().flatten().chain(setting.default.map(str::to_owned)) {
            settings(&[&flag, &value]).unwrap();
        }
    }
}

#[test]
fn accept_loss_and_config_cannot_be_given_in_the_file() {
    let output = with_file("accept-loss = true\nconfig = \"other.toml\"\n", &[]).err().unwrap().to_string();

    assert!(
        output.contains("`accept-loss` is not a setting") && output.contains("`config` is not a setting"),
        "{output}"
    );
}

#[test]
fn origins_are_separated_by_commas_and_each_is_checked() {
    let origins = |text| settings(&["--cors-origin", text]).map(|settings| settings.cors_origin);
    assert_eq!(origins("https://a.example, http://[::1]:3000").unwrap(), ["https://a.example", "http://[::1]:3000"]);
    for wrong in ["", "https://a.example,", "https://a.example,*"] {
        assert!(origins(wrong).is_err(), "{wrong}");
    }
}
