//! The same command line through the library: no process, no global state.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ccc::cli::subcommand::run::{Prepared, RunArgs, prepare};
use ccc::cli::{Cli, Context, Printer, Stdin, run};
use ccc::config::{Dirs, Env};
use ccc::tokens::CredentialKind;
use clap::Parser;

use super::sandbox::Sandbox;

#[derive(Clone, Default)]
pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("lock").clone()).expect("UTF-8")
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lock").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn context(sandbox: &Sandbox, vars: &[(&str, &str)], stdin: Vec<u8>) -> (Context, Shared, Shared) {
    let (out, err) = (Shared::default(), Shared::default());
    let bin = sandbox.path("bin");
    let env = Env::from_pairs(vars.iter().copied().chain([("PATH", bin.to_str().expect("UTF-8"))]));
    let home = sandbox.path("home");
    let dirs = Dirs::new(&home, &home.join("config"), &home.join("state"), &env);
    let context = Context::new(
        env,
        dirs,
        sandbox.path("project"),
        Printer::to(Box::new(out.clone()), Box::new(err.clone())),
        Stdin::of(io::Cursor::new(stdin)),
    );
    (context, out, err)
}

fn prepared(sandbox: &Sandbox, args: &[&str], vars: &[(&str, &str)], stdin: &[u8]) -> Prepared {
    sandbox.script("bin/claude", "echo '2.1.329 (Claude Code)'");
    let (context, _, _) = context(sandbox, vars, stdin.to_vec());
    let line = ["ccc", "--supervisor"].iter().chain(args);
    let args: RunArgs = Cli::try_parse_from(line).expect("arguments").run;
    prepare(&args, "ccc --supervisor -p \"TASK\"", " --", &context).expect("a run can begin")
}

/// Agrees to what the project's files ask for.
fn agreed(sandbox: &Sandbox) {
    let (context, _, err) = context(sandbox, &[], Vec::new());
    assert_eq!(run(["ccc", "trust", "--yes"], &context), 0, "{}", err.text());
}

#[test]
fn it_can_be_called_twice_with_different_surroundings() {
    let (one, two) = (Sandbox::new(), Sandbox::new());
    two.write("project/.ccc.json", r#"{"grace": "9s"}"#);
    for (sandbox, grace) in [(&one, "\"3s\""), (&two, "\"9s\""), (&one, "\"3s\"")] {
        let (context, out, err) = context(sandbox, &[], Vec::new());
        assert_eq!(run(["ccc", "config"], &context), 0);
        assert!(out.text().lines().any(|line| line.starts_with("grace") && line.contains(grace)));
        assert_eq!(err.text(), "");
        assert_eq!(run(["ccc", "nonsense"], &context), 2);
        assert!(err.text().contains("nonsense"));
    }
}

#[test]
fn the_task_comes_from_the_option_the_file_or_stdin() {
    let sandbox = Sandbox::new();
    sandbox.write("project/task.md", "from the file\n");
    for (args, task) in [
        (&["-p", "- as typed"][..], "- as typed"),
        (&["--prompt-file", "task.md"], "from the file\n"),
        (&["--prompt-file", "-"], "from stdin\n"),
        (&[], "from stdin\n"),
    ] {
        assert_eq!(prepared(&sandbox, args, &[], b"from stdin\n").task, task, "{args:?}");
    }
}

#[test]
fn a_task_of_a_megabyte_is_taken_whole() {
    let sandbox = Sandbox::new();
    let task = "word ".repeat(210_000);
    assert!(task.len() > 1024 * 1024);
    sandbox.write("project/task.md", &task);
    assert!(prepared(&sandbox, &["--prompt-file", "task.md"], &[], b"").task == task);
    assert!(prepared(&sandbox, &[], &[], task.as_bytes()).task == task);
}

#[test]
fn flags_stand_over_variables_and_files() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "project/.ccc.json",
        r#"{"agent": {"args": ["--model", "opus"]}, "checks": ["a"], "grace": "4s", "stall_timeout": "1m"}"#,
    );
    agreed(&sandbox);
    let prepared = prepared(
        &sandbox,
        &[
            "-p",
            "x",
            "--check",
            "b",
            "--check",
            "c",
            "--stall-timeout",
            "2m",
            "--max-iterations",
            "9",
            "--no-wait",
            "--transport",
            "pipe",
            "--",
            "--add-dir",
            "/x",
        ],
        &[("CCC_MAX_ITERATIONS", "8"), ("CCC_STALL_TIMEOUT", "3m"), ("CCC_MAX_RESTARTS", "0")],
        b"",
    );
    let resolved = &prepared.resolved;
    let rows: Vec<String> = resolved
        .rows()
        .into_iter()
        .filter(|(_, _, origin)| **origin != ccc::config::Origin::Default)
        .map(|(key, value, origin)| format!("{} = {value} from {origin}", key.path))
        .collect();
    let file = sandbox.path("project/.ccc.json");
    let text = rows.join("\n").replace(file.to_str().expect("UTF-8"), ".ccc.json");
    insta::assert_snapshot!(text);
    assert_eq!(prepared.agent.version.as_deref(), Some("2.1.329"));
}

#[test]
fn the_agent_gets_one_credential_and_the_start_says_which() {
    let sandbox = Sandbox::new();
    let prepared = prepared(
        &sandbox,
        &["-p", "x"],
        &[
            ("ANTHROPIC_API_KEY", ""),
            ("ANTHROPIC_AUTH_TOKEN", "made-up-bearer"),
            ("CLAUDE_CODE_OAUTH_TOKEN", "made-up-oauth"),
        ],
        b"",
    );
    let pool = &prepared.tokens.pool;
    let first = pool.first().expect("one");
    assert_eq!(first.kind, CredentialKind::AuthToken);
    let child = pool.child_env(&first.id(), None);
    assert_eq!(child.set.len(), 1);
    assert_eq!(child.unset, ["ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"]);
    let fingerprint = first.fingerprint.as_ref().expect("a fingerprint");
    assert_eq!(
        pool.sentence(Some(&first.id())),
        format!(
            "ANTHROPIC_AUTH_TOKEN (bearer token, fingerprint {fingerprint}); \
             in reserve: CLAUDE_CODE_OAUTH_TOKEN"
        )
    );
    assert!(!format!("{prepared:?}").contains("made-up"));
}
