//! What is made from the declarations of commands and settings: completions, manual pages, an example of the file.

use std::{
    fs::{self, File},
    process::Command,
};

use crate::harness::{CommandOutput, ServerBuilder, is_possible, run};

fn lodge(arguments: &[&str]) -> CommandOutput {
    run(&mut ServerBuilder::new().command(arguments))
}

#[test]
fn completions_are_for_the_shell_that_is_named() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = lodge(&["completions", shell]).expect(0).out;
        assert!(script.contains("password") && script.contains("data-dir"), "{shell}: {script}");
    }
    lodge(&["completions", "cmd"]).expect(2);
}

#[test]
fn bash_completes_commands_and_flags() {
    let missing = Command::new("bash").arg("--version").output().is_err().then_some("bash");
    if !is_possible("bash_completes_commands_and_flags", missing) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("lodge.bash");
    fs::write(&script, lodge(&["completions", "bash"]).expect(0).out).unwrap();
    let complete = format!(
        "source {}; COMP_WORDS=(lodge user pass); COMP_CWORD=2; _lodge lodge pass user; echo \"${{COMPREPLY[*]}}\"",
        script.display()
    );

    let completed = run(Command::new("bash").args(["--norc", "-c", &complete])).expect(0);

    assert_eq!(completed.out, "password\n");
}

#[test]
fn each_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();

    lodge(&["man", "--directory", directory.path().to_str().unwrap()]).expect(0);

    for page in ["lodge.1", "lodge-user.1", "lodge-user-password.1", "lodge-serve.1"] {
        assert!(fs::read_to_string(directory.path().join(page)).unwrap().contains(".SH NAME"), "{page}");
    }
    let page = lodge(&["man", "user", "password"]).expect(0).out;
    assert!(page.contains("lodge user password admin"), "{page}");
    assert_eq!(lodge(&["man", "user", "dance"]).expect(1).err, "lodge: there is no command user dance\n");
    lodge(&["man", "--directory", "/dev/null/pages"]).expect(10);
}

#[test]
fn a_full_output_is_reported_by_its_code() {
    for arguments in [&["man"][..], &["completions", "bash"], &["settings", "example"], &["proxy-config", "nginx"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = ServerBuilder::new().command(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(10), "{arguments:?}");
    }
}

#[test]
fn the_example_of_the_settings_passes_their_check() {
    let builder = ServerBuilder::new();
    let file = builder.data_dir().with_file_name("lodge.toml");
    let example = lodge(&["settings", "example"]).expect(0).out;
    assert!(example.contains("\n#listen = \"127.0.0.1:3000\"\n"), "{example}");
    let check = |text: &str| {
        fs::write(&file, text).unwrap();
        run(builder.command(&["settings", "check"]).arg("--config").arg(&file))
    };

    assert_eq!(check(&example).expect(0).out, "the settings can be used\n");
    let changed = example.replace("#session-lifetime = \"24h\"", "session-lifetime = \"1h\"");
    assert_ne!(changed, example);
    check(&changed).expect(0);
    let wrong = check(&example.replace("#session-lifetime = \"24h\"", "session-lifetime = \"never\"")).expect(2);
    assert!(wrong.err.contains("--session-lifetime: "), "{}", wrong.err);
    let unknown = check("sesion-lifetime = \"1h\"\n").expect(2);
    assert!(unknown.err.contains("`sesion-lifetime` is not a setting"), "{}", unknown.err);
    assert!(!builder.data_dir().exists());
}
