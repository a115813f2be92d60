//! The completion scripts, in the shells that are installed here.

use std::process::{Command, Stdio};

use super::sandbox::Sandbox;

const STATE: &str = "home/.local/state/ccc";

/// What a bash completes for these words, of which the last one is being typed.
fn in_bash(sandbox: &Sandbox, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "eval \"$(ccc completions bash)\"; COMP_WORDS=(ccc {}); COMP_CWORD={}; COMP_TYPE=9; \
         _clap_complete_ccc ccc {} ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len(),
        quoted.last().expect("a word"),
    );
    let program = std::path::PathBuf::from(crate::program::ccc());
    let dir = program.parent().expect("a directory").display().to_string();
    let output = Command::new("bash")
        .args(["--norc", "--noprofile", "-c", &script])
        .env_clear()
        .env("HOME", sandbox.path("home"))
        .env("PATH", format!("{dir}:/usr/bin:/bin"))
        .current_dir(sandbox.path("project"))
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn bash_completes_runs_agents_providers_and_commands_and_asks_nobody() {
    let sandbox = Sandbox::new();
    let secret = r#"{"providers": {"work": {"env": {"ANTHROPIC_API_KEY": {"command": "touch $HOME/asked; exit 1"}}}}}"#;
    sandbox.write("home/.config/ccc/ccc.json", secret);
    for second in 0..1_000 {
        let id = format!("20261120-{:02}{:02}{:02}-aaaa", second / 3600, second / 60 % 60, second % 60);
        std::fs::create_dir_all(sandbox.path(&format!("{STATE}/runs/{id}"))).expect("made");
    }
    sandbox.write(&format!("{STATE}/names/login"), "20261120-000001-aaaa\n");
    for dir in ["", "/names", "/names/login"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if dir.ends_with("login") { 0o600 } else { 0o700 };
        let path = sandbox.path(&format!("{STATE}{dir}"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
    }
    assert_eq!(in_bash(&sandbox, &["explain", "20261120-001639"]), ["20261120-001639-aaaa"]);
    assert_eq!(in_bash(&sandbox, &["status", "lo"]), ["login"]);
    assert_eq!(in_bash(&sandbox, &["providers", "use", "w"]), ["work"]);
    assert_eq!(in_bash(&sandbox, &["expl"]), ["explain"]);
    assert!(in_bash(&sandbox, &["runs", "--h"]).contains(&"--here".to_owned()));
    assert!(!sandbox.path("home/asked").exists(), "no command of a provider is run");
    let all = in_bash(&sandbox, &["report", ""]);
    assert!(all.len() < 120 && all.contains(&"20261120-001639-aaaa".to_owned()), "the newest: {}", all.len());
}

#[test]
fn every_shell_has_its_script() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let seen = sandbox.run(&["completions", shell]);
        assert!(seen.starts_with("exit code 0\n") && seen.contains("CCC_COMPLETE"), "{shell}: {seen}");
        assert!(seen.ends_with("--- stderr\n"), "{shell}");
    }
    let unknown = sandbox.run(&["completions", "tcsh"]);
    assert!(unknown.starts_with("exit code 2\n"), "{unknown}");
}

#[test]
fn an_unknown_shell_gets_an_empty_answer() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.ccc(&["--", "ccc", ""]);
    command.env("CCC_COMPLETE", "tcsh");
    assert_eq!(sandbox.seen(command), "exit code 0\n--- stdout\n--- stderr\n");
}
