use std::time::Duration;

use ccc::config::Env;
use ccc::config::agent::{VersionFault, ask_version};

use super::sandbox::Sandbox;

/// The doctor, which says nothing of the load of this machine, nor of its kernel.
fn doctor(sandbox: &Sandbox, more: &[&str]) -> assert_cmd::Command {
    let mut command = sandbox.ccc(&[&["doctor", "--offline"], more].concat());
    for limit in ["MIN_AVAILABLE_MEMORY", "MAX_MEMORY_PRESSURE", "MAX_CPU_PRESSURE"] {
        command.env(format!("CCC_ADMISSION_{limit}"), "0");
    }
    command.env("CCC_GUARD", "off");
    command
}

#[test]
fn without_agent_login_and_git_each_is_said_with_what_to_do() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.seen(doctor(&sandbox, &[])));
}

#[test]
fn with_all_in_place_the_doctor_is_content() {
    let sandbox = Sandbox::new();
    sandbox.script("bin/claude", "echo '2.1.329 (Claude Code)'");
    sandbox.script("bin/git", &format!("echo {}", sandbox.path("project").display()));
    sandbox.script("bin/systemd-inhibit", "exit 0");
    let mut command = doctor(&sandbox, &["--json"]);
    command.env("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-made-up");
    let seen = sandbox.seen(command);
    assert!(!seen.contains("made-up"), "{seen}");
    insta::assert_snapshot!(seen);
}

#[test]
fn the_version_decides_between_fail_warn_and_ok() {
    for (prints, code, says) in [
        ("echo 2.1.196", 1, "is older than 2.1.197"),
        ("echo 2.1.197", 0, "version 2.1.197\n"),
        ("echo 2.2.0", 0, "version 2.2.0: used, not tested"),
        ("echo hello", 1, "did not print a version number"),
        ("exit 3", 1, "did not print a version number"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.script("bin/claude", prints);
        let mut command = sandbox.ccc(&["doctor", "--offline"]);
        command.env("ANTHROPIC_API_KEY", "made-up");
        let seen = sandbox.seen(command);
        assert!(seen.starts_with(&format!("exit code {code}\n")), "{prints}: {seen}");
        assert!(seen.contains(says), "{prints}: {seen}");
    }
}

#[test]
fn a_program_that_does_not_answer_is_killed_and_reported() {
    let sandbox = Sandbox::new();
    // Returning at all shows the kill: the child is waited for.
    let program = sandbox.script("bin/claude", "read -r line < /dev/tty; while :; do :; done");
    let fault = ask_version(&program, &Env::of_process(), Duration::from_millis(200)).expect_err("no answer");
    assert!(matches!(fault, VersionFault::Timeout(_)), "{fault:?}");
}

#[test]
fn the_agent_is_found_at_its_usual_places_in_order() {
    let sandbox = Sandbox::new();
    let line = || {
        let seen = sandbox.run(&["doctor", "--offline"]);
        seen.lines().find(|line| line.contains("agent:")).expect("a line").to_owned()
    };
    sandbox.script("home/.claude/local/claude", "echo 2.1.329");
    assert!(line().contains("[ROOT]/home/.claude/local/claude,"), "{}", line());
    sandbox.script("bin/claude", "echo 2.1.329");
    assert!(line().contains("[ROOT]/bin/claude,"), "{}", line());
    sandbox.script("project/tool", "echo 2.1.329");
    sandbox.write("project/.ccc.json", r#"{"agent": {"path": "./tool"}}"#);
    let unasked = line();
    assert!(
        unasked.starts_with("fail") && unasked.contains("./tool: not started, because you have not agreed"),
        "{unasked}"
    );
    sandbox.trust();
    assert!(line().contains("[ROOT]/project/tool,"), "{}", line());
}

#[test]
fn a_bad_configuration_and_a_directory_that_is_none_are_findings() {
    let sandbox = Sandbox::new();
    sandbox.write("project/.ccc.json", "{");
    sandbox.write("file", "");
    let mut command = sandbox.ccc(&["doctor", "--offline"]);
    command.env("CCC_STATE_DIR", sandbox.path("file/state"));
    let seen = sandbox.seen(command);
    assert!(seen.contains("fail  configuration: [ROOT]/project/.ccc.json: is not valid JSON"), "{seen}");
    assert!(seen.contains("fail  state directory: [ROOT]/file/state cannot be written"), "{seen}");
    assert!(seen.contains("ok    config directory:"), "{seen}");
    assert!(!sandbox.path("home/.config").exists(), "the doctor makes no directories");
}
