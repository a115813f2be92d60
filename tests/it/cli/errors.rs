use ccc::cli::run;

use super::sandbox::Sandbox;

/// Runs each command line and writes down what is seen of it.
fn table(sandbox: &Sandbox, lines: &[&[&str]]) -> String {
    let seen: Vec<String> =
        lines.iter().map(|args| format!("$ ccc {}\n{}", args.join(" "), sandbox.run(args))).collect();
    seen.join("\n")
}

/// Command lines that make no sense.
const SENSELESS: &[&[&str]] = &[
    &["-p", "do it"],
    &["--max-iterations", "3"],
    &["--", "--model", "opus"],
    &["--supervisor", "-p", "x", "--prompt-file", "f"],
    &["--supervisor", "-p", "x", "runs"],
    &["--supervisor", "-p", "x", "--max-iterations", "0"],
    &["--supervisor", "-p", "x", "--stall-timeout", "90"],
    &["--supervisor", "-p", "x", "--max-duration", "1.5h"],
    &["--supervisor", "-p", "x", "--max-cost-usd", "-1"],
    &["--supervisor", "-p", "x", "--transport", "ptty"],
    &["--supervisor", "-p", "x", "--check", " "],
    &["--supervisor", "-p", "x", "--max-iteration", "3"],
    &["dcotor"],
    &["fix the tests"],
    &["frobnicate"],
    &["--supervisor", "fix it"],
    &["--supervisor", "fix", "the", "parser"],
    &["--supervisor", "-p", "fix", "the", "parser"],
    &["--supervisor", "-p", "init", "the", "parser"],
    &["--supervisor", "--check", "make", "-p", "fix", "it", "--no-wait"],
    &["--supervisor", "-p", "pay", "$5", "now"],
    &["resume", "2026", "-p", "use", "tabs"],
    &["config", "files"],
    &["tokens", "help"],
    &["tokens", "chekc"],
    &["--frobnicate"],
    &["help", "dcotor"],
    &["help", "frobnicate"],
    &["runs", "--frobnicate"],
    &["runs", "here"],
    &["resume", "--model", "opus"],
    &["supervise"],
    &["supervise", "make", "test"],
    &["supervise", "--port", "3", "make"],
    &["replay"],
    &["replay", "run", "--speed", "0"],
    &["export"],
];

#[test]
fn command_lines_that_make_no_sense_say_why_and_what_to_do() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(table(&sandbox, SENSELESS));
}

/// Without it the run would begin, end at once, and blame its budget.
#[test]
fn a_time_in_the_past_begins_no_run() {
    let sandbox = Sandbox::new();
    let configured = Sandbox::new();
    configured.write("project/.ccc.json", r#"{"budgets": {"until": "2020-01-01T00:00"}}"#);
    for (sandbox, args) in [
        (&sandbox, vec!["--supervisor", "-p", "x", "--until", "2020-01-01T00:00"]),
        (&sandbox, vec!["resume", "--until", "2020-01-01T00:00"]),
        (&sandbox, vec!["--supervisor", "-p", "x", "--until", "+0s"]),
        (&configured, vec!["--supervisor", "-p", "x"]),
    ] {
        let seen = sandbox.run(&args);
        assert!(seen.starts_with("exit code 2\n") && seen.contains("--until"), "{args:?}: {seen}");
    }
}

/// Each error and hint on a terminal of 80 columns: no row is wider but one word or a command, which is copied whole.
#[test]
fn what_is_wrong_with_a_command_line_fits_a_terminal_of_80_columns() {
    let sandbox = Sandbox::new();
    let more: &[&[&str]] = &[
        &["--supervisor"],
        &["--supervisor", "-p", ""],
        &["--supervisor", "-p", "x"],
        &["--supervisor", "-p", "x", "--agent", "./missing"],
        &["resume"],
        &["resume", "20260101-000000-aaaa"],
        &["explain"],
        &["export", "last"],
        &["trust", "--revoke"],
        &["usage"],
        &["runs"],
    ];
    for args in SENSELESS.iter().chain(more) {
        let (mut context, _, err) = super::library::context(&sandbox, &[], Vec::new());
        context.printer = context.printer.with_columns(80);
        run(["ccc"].iter().chain(*args), &context);
        for row in err.text().lines() {
            let text = row.trim_start();
            let is_whole = !text.contains(' ') || text.starts_with("ccc ");
            assert!(row.chars().count() <= 80 || is_whole, "ccc {args:?}: {row:?} in\n{}", err.text());
        }
    }
}

#[test]
fn a_task_that_is_none_is_a_usage_error() {
    let sandbox = Sandbox::new();
    sandbox.write("project/empty", "");
    sandbox.write("project/blank", " \n\t\n");
    sandbox.write("project/latin1", b"caf\xe9");
    insta::assert_snapshot!(table(
        &sandbox,
        &[
            &["--supervisor"],
            &["--supervisor", "-p", ""],
            &["--supervisor", "-p", " \t"],
            &["--supervisor", "--prompt-file", "empty"],
            &["--supervisor", "--prompt-file", "blank"],
            &["--supervisor", "--prompt-file", "-"],
            &["--supervisor", "--prompt-file", "latin1"],
            &["--supervisor", "--prompt-file", "missing"],
            &["--supervisor", "--prompt-file", "."],
        ]
    ));
}

#[test]
fn an_agent_that_is_not_there_is_said_before_anything_is_started() {
    let sandbox = Sandbox::new();
    sandbox.write("project/text", "no program");
    insta::assert_snapshot!(table(
        &sandbox,
        &[
            &["--supervisor", "-p", "x"],
            &["--supervisor", "-p", "x", "--agent", "./missing"],
            &["--supervisor", "-p", "x", "--agent", "./text"],
            &["--supervisor", "-p", "x", "--agent", "no-such-agent"],
        ]
    ));
}

#[test]
fn a_bad_configuration_stops_a_run_before_anything_is_started() {
    let sandbox = Sandbox::new();
    let marker = sandbox.path("started");
    sandbox.script("bin/claude", &format!("echo 2.1.329; echo > {}", marker.display()));
    sandbox.write("project/.ccc.json", "{");
    let seen = sandbox.run(&["--supervisor", "-p", "x"]);
    assert!(seen.starts_with("exit code 2\n"), "{seen}");
    assert!(!marker.exists(), "the agent was started");
}

#[test]
fn without_a_current_directory_the_error_says_so() {
    let sandbox = Sandbox::new();
    let gone = sandbox.path("gone");
    std::fs::create_dir(&gone).expect("mkdir");
    let shell =
        format!("cd {gone} && rmdir {gone} && exec {ccc} config", gone = gone.display(), ccc = crate::program::ccc());
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &shell])
        .env_clear()
        .env("HOME", sandbox.path("home"))
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("sh runs");
    insta::assert_snapshot!(sandbox.render(&output), @r"
    exit code 2
    --- stdout
    --- stderr
    error: the current directory does not exist any more or cannot be read
      hint: change to a directory that exists
    ");
}
