use std::process::{Command, Stdio};

use std::io::Read;

use super::sandbox::Sandbox;

/// What `ccc` writes to a terminal.
pub(super) fn on_a_terminal(sandbox: &Sandbox, args: &[&str], vars: &[(&str, &str)]) -> String {
    let pair = portable_pty::native_pty_system().openpty(portable_pty::PtySize::default()).expect("a PTY");
    let mut command = portable_pty::CommandBuilder::new(crate::program::ccc());
    command.env_clear();
    command.env("HOME", sandbox.path("home"));
    for (name, value) in vars {
        command.env(name, value);
    }
    command.args(args);
    command.cwd(sandbox.path("project"));
    let mut child = pair.slave.spawn_command(command).expect("ccc runs");
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    // The end of a PTY is EIO.
    while let Ok(count @ 1..) = reader.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
    }
    child.wait().expect("ccc ends");
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn colour_is_for_terminals_and_not_with_no_color() {
    let sandbox = Sandbox::new();
    for args in [&["doctor"][..], &["nonsense"], &["--help"], &["-p", "x"]] {
        let shown = on_a_terminal(&sandbox, args, &[]);
        assert!(shown.contains("\x1b["), "{args:?}: {shown}");
        let plain = on_a_terminal(&sandbox, args, &[("NO_COLOR", "1")]);
        assert!(!plain.is_empty() && !plain.contains('\x1b'), "{args:?}: {plain}");
        assert!(!sandbox.run(args).contains('\x1b'), "{args:?} in a pipe");
    }
}

#[test]
fn without_a_task_a_terminal_is_a_conversation_and_everything_else_is_told_to_give_one() {
    // A terminal that says nothing of itself gets the conversation in lines; it goes as far as looking for an agent.
    let shown = on_a_terminal(&Sandbox::new(), &["--supervisor"], &[("NO_COLOR", "1")]);
    assert!(shown.contains("error: no agent found") && !shown.contains("there is no task"), "{shown}");
    // What runs in the background has nobody who could say the task.
    let shown = on_a_terminal(&Sandbox::new(), &["--supervisor", "--detach"], &[("NO_COLOR", "1")]);
    assert!(shown.contains("error: there is no task"), "{shown}");
}

#[test]
fn ccc_alone_prints_a_short_help() {
    insta::assert_snapshot!(Sandbox::new().run(&[]));
}

#[test]
fn help_lists_every_option_and_goes_to_stdout() {
    insta::assert_snapshot!(Sandbox::new().run(&["--help"]));
}

#[test]
fn ccc_help_gives_what_the_option_gives() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["help"]), sandbox.run(&["--help"]));
    for words in [&["resume"][..], &["supervise"], &["tokens", "check"]] {
        let asked: Vec<&str> = ["help"].into_iter().chain(words.iter().copied()).collect();
        let option: Vec<&str> = words.iter().copied().chain(["--help"]).collect();
        let shown = sandbox.run(&asked);
        assert!(shown.starts_with("exit code 0"), "{shown}");
        assert_eq!(shown, sandbox.run(&option));
    }
}

#[test]
fn every_command_has_its_help() {
    let sandbox = Sandbox::new();
    let all: Vec<String> = [
        "resume",
        "attach",
        "follow",
        "send",
        "interrupt",
        "pause",
        "continue",
        "answer",
        "stop",
        "runs",
        "replay",
        "report",
        "export",
        "explain",
        "logs",
        "init",
        "notify",
        "prompt",
        "config",
        "doctor",
        "demo",
        "completions",
        "man",
        "gc",
        "runs prune",
    ]
    .iter()
    .map(|command| {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        format!("$ ccc {command} --help\n{}", sandbox.run(&words))
    })
    .collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn the_version_is_one_line_on_stdout() {
    insta::assert_snapshot!(Sandbox::new().run(&["--version"]), @r"
    exit code 0
    --- stdout
    ccc 0.1.0
    --- stderr
    ");
}

#[test]
fn the_manual_has_pages_for_ccc_and_its_commands() {
    let sandbox = Sandbox::new();
    let main = sandbox.run(&["man"]);
    assert!(main.starts_with("exit code 0\n--- stdout\n"), "{main}");
    assert!(main.contains(".TH ccc 1") && main.contains("\\-\\-max\\-iterations"), "{main}");
    assert!(!main.contains("scripted\\-agent"), "hidden commands stay hidden: {main}");
    let page = sandbox.run(&["man", "replay"]);
    assert!(page.contains("\\-\\-bless"), "{page}");
    insta::assert_snapshot!(sandbox.run(&["man", "scripted-agent"]), @r"
    exit code 2
    --- stdout
    --- stderr
    error: there is no command `scripted-agent`
      hint: to list the commands: ccc --help
    ");
}

#[test]
fn a_reader_that_went_away_is_no_failure_and_no_panic() {
    let sandbox = Sandbox::new();
    for args in [&["man"][..], &["config", "schema"], &["--help"], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(crate::program::ccc())
            .env_clear()
            .env("HOME", sandbox.path("home"))
            .current_dir(sandbox.root())
            .args(args)
            .stdout(Stdio::from(writer))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .expect("ccc runs");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn data_that_did_not_reach_its_file_is_a_failure() {
    let sandbox = Sandbox::new();
    let full = std::fs::File::create("/dev/full").expect("/dev/full");
    let output = Command::new(crate::program::ccc())
        .env_clear()
        .env("HOME", sandbox.path("home"))
        .current_dir(sandbox.root())
        .args(["config", "schema"])
        .stdout(Stdio::from(full))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .expect("ccc runs");
    insta::assert_snapshot!(sandbox.render(&output), @r"
    exit code 1
    --- stdout
    --- stderr
    error: writing to stdout failed: there is no space left on the device
      hint: free some disk space, or write to another place
    ");
}
