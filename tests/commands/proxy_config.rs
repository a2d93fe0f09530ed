//! `lodge proxy-config`, as far as it reads what the server's settings are.

use std::fs;

use crate::harness::{CommandOutput, ServerBuilder, run};

const PROGRAMS: [&str; 5] = ["nginx", "caddy", "traefik", "envoy", "haproxy"];

fn printed(builder: &ServerBuilder, arguments: &[&str]) -> CommandOutput {
    run(&mut builder.command(&[&["proxy-config"], arguments].concat()))
}

/// A file with settings of a server, beside its data directory.
fn settings(builder: &ServerBuilder, text: &str) -> String {
    let file = builder.data_dir().with_file_name("lodge.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn the_base_path_is_that_of_the_flag_the_environment_or_the_servers_file() {
    let builder = ServerBuilder::new();
    let file = settings(&builder, "base-path = \"/accounts\"\nlisten = \"0.0.0.0:3001\"\n");
    let named = ServerBuilder::new().variable("LODGE_BASE_PATH", "/named");

    for program in PROGRAMS {
        let asks = |output: CommandOutput| {
            let text = output.expect(0).out;
            let (before, _) = text.split_once("/api/v2/forward-auth").unwrap();
            before.rsplit(['/', ' ', '"', ':']).next().unwrap().to_owned()
        };
        assert_eq!(asks(printed(&builder, &[program, "--config", &file])), "accounts", "{program}");
        assert_eq!(asks(printed(&named, &[program])), "named", "{program}");
        assert_eq!(asks(printed(&named, &[program, "--base-path", "/flag"])), "flag", "{program}");
        assert_ne!(asks(printed(&builder, &[program])), "accounts", "{program}");
    }
}

#[test]
fn the_servers_own_addresses_are_not_the_proxys() {
    let builder = ServerBuilder::new();
    let file = settings(&builder, "listen = \"0.0.0.0:3001\"\n");

    for program in ["nginx", "caddy", "traefik", "haproxy"] {
        let text = printed(&builder, &[program, "--config", &file]).expect(0).out;
        assert!(!text.contains("3001") && text.contains("8080"), "{program}: {text}");
    }
}

#[test]
fn a_base_path_that_a_configuration_could_read_otherwise_is_refused() {
    let builder = ServerBuilder::new();
    for wrong in ["accounts", "/a b", "/a;b", "/a\"b", "/a{b", "/../a", "/a`", "/a$b"] {
        let refused = printed(&builder, &["nginx", "--base-path", wrong]).expect(2);
        assert!(refused.err.contains("--base-path: "), "{wrong}: {}", refused.err);
    }
}
