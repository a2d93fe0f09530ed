//! TLS: certificates given and self-signed, and requests over it.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair};

use crate::{
    harness::{ADMIN_PASSWORD, Server, ServerBuilder},
    http::conversation::Conversation,
};

/// The output of curl for a path, its status and its version of HTTP first, if it takes the server's certificate for good.
pub(super) fn curl(server: &Server, authority: &Path, path: &str, flags: &[&str]) -> Result<String, i32> {
    let port = server.address.port();
    let mut command = Command::new("curl");
    command.args(["--silent", "--max-time", "60", "--include", "--cacert"]).arg(authority).args(flags);
    let output = command.arg(format!("https://127.0.0.1:{port}{path}")).output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(output.status.code().unwrap())
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A certificate for 127.0.0.1 with its key, each in PEM.
pub(super) fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Writes a file as an administrator would put it in place: whole, and private.
pub(super) fn put(path: &Path, text: &str) {
    let beside = path.with_extension("beside");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(beside, path).unwrap();
}

/// Files for a certificate and its key beside the server's directory, not yet there.
pub(super) fn files(builder: &ServerBuilder) -> [PathBuf; 2] {
    ["cert.pem", "key.pem"].map(|name| builder.data_dir().with_file_name(name))
}

pub(super) fn with_files(builder: ServerBuilder, [certificate, key]: &[PathBuf; 2]) -> ServerBuilder {
    builder.flag("--tls-cert", certificate.to_str().unwrap()).flag("--tls-key", key.to_str().unwrap())
}

#[test]
fn a_self_signed_certificate_is_served_and_kept_while_its_names_are_the_same() {
    let mut server = ServerBuilder::new().variable("LODGE_TLS_SELF_SIGNED", "localhost, 127.0.0.1").start_unasked();
    let (certificate, key) = (server.data_dir().join("tls/cert.pem"), server.data_dir().join("tls/key.pem"));
    let first = fs::read(&certificate).unwrap();

    let answered = curl(&server, &certificate, "/api/v2/users/me", &["--user", &format!("admin:{ADMIN_PASSWORD}")]);

    assert!(answered.unwrap().contains(r#""username":"admin""#));
    assert_eq!([mode(&certificate), mode(&key), mode(key.parent().unwrap())], [0o600, 0o600, 0o700]);
    server.restart();
    assert_eq!(fs::read(&certificate).unwrap(), first);
    assert!(curl(&server, &certificate, "/healthz", &[]).is_ok());
    server.set_variable("LODGE_TLS_SELF_SIGNED", "127.0.0.1");
    server.restart();
    assert_ne!(fs::read(&certificate).unwrap(), first);
    assert!(curl(&server, &certificate, "/healthz", &[]).is_ok());
}

#[test]
fn a_self_signed_certificate_is_logged_with_its_fingerprint() {
    let builder = ServerBuilder::new();
    let mut child = builder
        .command(&["serve", "--tls-self-signed", "127.0.0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);

    let (announced, ready) = (lines.next().unwrap(), lines.next().unwrap());

    child.kill().unwrap();
    child.wait().unwrap();
    let certificate = builder.data_dir().join("tls/cert.pem");
    let known =
        Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(certificate).output();
    let known = String::from_utf8(known.unwrap().stdout).unwrap();
    let fingerprint = announced.strip_prefix("the certificate for 127.0.0.1 has the SHA-256 fingerprint ").unwrap();
    assert_eq!(known.trim().rsplit_once('=').unwrap().1, fingerprint);
    assert!(ready.starts_with("lodge is listening on https://127.0.0.1:"), "{ready}");
}

#[test]
fn tls_is_spoken_in_its_versions_1_2_and_1_3_and_http_1_1_inside_and_browsers_are_told_to_stay() {
    let server = ServerBuilder::new().flag("--tls-self-signed", "127.0.0.1").start_unasked();
    let certificate = server.data_dir().join("tls/cert.pem");
    let ask = |flags: &[&str]| curl(&server, &certificate, "/healthz", flags);

    for flags in [["--tls-max", "1.2"], ["--tlsv1.3", "--http2"], ["--http1.1", "--compressed"]] {
        let answer = ask(&flags).unwrap();

        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(
            answer.to_ascii_lowercase().contains("\r\nstrict-transport-security: max-age=31536000\r\n"),
            "{answer}"
        );
    }
    // With the security level that lets curl itself speak the old versions.
    assert_eq!(ask(&["--tls-max", "1.1", "--tlsv1.0", "--ciphers", "DEFAULT@SECLEVEL=0"]), Err(35));
}

#[test]
fn plain_http_is_not_answered_where_tls_is_served() {
    let server = ServerBuilder::new().flag("--tls-self-signed", "127.0.0.1").start_unasked();
    let mut conversation = Conversation::with(server.address);

    conversation.say("GET /healthz HTTP/1.1\r\nHost: lodge\r\n\r\n");

    let heard = conversation.hear_out();
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
}

#[test]
fn a_handshake_that_does_not_come_to_its_end_is_given_up_while_others_are_answered() {
    let builder = ServerBuilder::new().flag("--tls-self-signed", "127.0.0.1").flag("--head-deadline", "1s");
    let server = builder.start_unasked();
    let certificate = server.data_dir().join("tls/cert.pem");
    let mut stalled: Vec<_> = (0..600).map(|_| Conversation::with(server.address)).collect();
    for conversation in &mut stalled {
        conversation.say([22, 3, 1]);
    }

    assert!(curl(&server, &certificate, "/healthz", &[]).is_ok());

    for mut conversation in stalled {
        assert_eq!(conversation.hear_out(), b"");
    }
}

#[test]
fn new_files_are_loaded_while_serving_and_invalid_ones_are_not() {
    let builder = ServerBuilder::new();
    let paths = files(&builder);
    let [certificate, key] = &paths;
    let (first, second) = (pair(), pair());
    let trusted = |name: &str, text: &str| {
        let path = certificate.with_file_name(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (trusts_first, trusts_second) = (trusted("first", &first.0), trusted("second", &second.0));
    put(certificate, &first.0);
    put(key, &first.1);
    let server = with_files(builder, &paths).start_unasked();
    let is_served_to = |authority: &Path| curl(&server, authority, "/healthz", &[]).is_ok();
    assert!(is_served_to(&trusts_first) && !is_served_to(&trusts_second));

    put(certificate, &second.0);
    server.wait_for_log("the certificate cannot be reloaded");
    assert!(is_served_to(&trusts_first), "a certificate without its key is not taken");

    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(key, &second.1).unwrap();
    server.wait_for_log("can be read by others");
    assert!(is_served_to(&trusts_first), "a key that others may have read is not taken");

    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    server.wait_for_log("the certificate was reloaded");
    assert!(is_served_to(&trusts_second) && !is_served_to(&trusts_first));
}

#[test]
fn health_asks_a_server_with_tls_whatever_certificate_it_serves() {
    let builder = ServerBuilder::new();
    let paths = files(&builder);
    let (certificate, key) = pair();
    put(&paths[0], &certificate);
    put(&paths[1], &key);
    let given = with_files(builder, &paths).start_unasked();
    let made = ServerBuilder::new().variable("LODGE_TLS_SELF_SIGNED", "lodge.example.org").start_unasked();
    // Where there is no local socket, the address is asked.
    for server in [&given, &made] {
        fs::remove_file(server.socket()).unwrap();
    }
    let health = |server: &Server, flags: &[&str]| -> Output {
        let mut command = server.command(&["health", "--listen", &server.address.to_string()]);
        command.args(flags).output().unwrap()
    };
    let with_certificate = || health(&given, &["--tls-cert", paths[0].to_str().unwrap()]);

    let before = with_certificate();
    put(&paths[0], &pair().0);
    let half_renewed = with_certificate();
    let asked = [before, half_renewed, health(&made, &[]), health(&given, &[])];

    assert_eq!(asked.each_ref().map(|output| output.status.code()), [0, 0, 0, 1].map(Some), "{asked:?}");
}

#[test]
fn settings_of_tls_that_cannot_be_served_are_named_before_anything_is_opened() {
    let builder = ServerBuilder::new();
    let paths = files(&builder);
    let beside = |name: &str| paths[0].with_file_name(name).to_str().unwrap().to_owned();
    let (certificate, key) = pair();
    put(&paths[0], &certificate);
    put(&paths[1], &key);
    put(Path::new(&beside("foreign")), &pair().1);
    put(Path::new(&beside("empty")), "");
    fs::write(beside("open"), &key).unwrap();
    fs::set_permissions(beside("open"), fs::Permissions::from_mode(0o644)).unwrap();
    let (cert, key) = (beside("cert.pem"), beside("key.pem"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (nowhere, foreign, empty, open) = (beside("nowhere"), beside("foreign"), beside("empty"), beside("open"));

    for (flags, expected) in [
        (vec!["--tls-cert", &cert], vec!["--tls-cert: its key is needed"]),
        (vec!["--tls-key", &key], vec!["--tls-key: its certificate is needed"]),
        (vec!["--tls-cert", &nowhere, "--tls-key", &nowhere], vec!["--tls-cert:", "--tls-key:", "cannot be read"]),
        (vec!["--tls-cert", &empty, "--tls-key", &empty], vec!["no certificate in PEM", "no private key in PEM"]),
        (vec!["--tls-cert", &cert, "--tls-key", &foreign], vec!["--tls-key:", "cannot be used together"]),
        (vec!["--tls-cert", &cert, "--tls-key", &open], vec!["--tls-key:", "can be read by others (mode 644)"]),
        (vec!["--tls-cert", &key, "--tls-key", &cert], vec!["no certificate in PEM", "no private key in PEM"]),
        (vec!["--tls-self-signed", "a b"], vec!["--tls-self-signed: `a b` is not a host name or an address"]),
        (vec!["--tls-self-signed", "a", "--tls-cert", &cert], vec!["--tls-self-signed: it cannot be given together"]),
        (vec!["--tls-cert", &nowhere, "--tls-key", &key, "--head-limit", "1"], vec!["--tls-cert:", "--head-limit:"]),
    ] {
        // A server that takes them ends too, because its address is in use.
        let mut command = builder.command(&["serve"]);
        let output =
            command.args(&flags).env("LODGE_LISTEN", taken.local_addr().unwrap().to_string()).output().unwrap();

        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {stderr}");
        assert!(expected.iter().all(|words| stderr.contains(words)), "{flags:?}: {stderr}");
        assert!(!builder.data_dir().exists(), "{flags:?}");
    }
}

#[test]
fn a_handshake_message_that_does_not_end_is_not_kept() {
    let builder = ServerBuilder::new().flag("--tls-self-signed", "127.0.0.1").flag("--head-deadline", "1h");
    let server = builder.start_unasked();
    // A ClientHello of 65,520 bytes, of which two whole records arrive.
    let record = |first: [u8; 4]| [[22, 3, 1, 0x40, 0].as_slice(), &first, &[0; (16 << 10) - 4]].concat();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();

    stream.write_all(&[record([1, 0, 0xff, 0xf0]), record([0; 4])].concat()).unwrap();

    let ended = stream.read(&mut [0; 1]).map_err(|error| error.kind());
    assert!(matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)), "{ended:?}");
}
