//! A second agent CLI goes through the same driver and core as the first: nothing outside of its own two files knows it.

mod adapter;
mod server;

use std::fs;
use std::process::Command;

use ccc::agent::AgentKind;
use ccc::{cli, driver};
use serde_json::{Value, json};

use crate::process::observer::alone;
use crate::whole_runs::harness::{Ground, action, journal, text};
use adapter::SecondCli;
use server::{DIR_VARIABLE, FEEDBACK, GOOD_KEY, SPENT_KEY, TEST};

const TASK: &str = "Build both halves.";

/// What the CLI heard by this method.
fn heard(ground: &Ground, method: &str) -> Vec<Value> {
    let rows = fs::read_to_string(ground.home().join("second/heard.jsonl")).expect("it heard something");
    let rows = rows.lines().map(|row| serde_json::from_str::<Value>(row).expect("JSON"));
    rows.filter(|row| row["method"] == method).map(|row| row["params"].clone()).collect()
}

/// The arguments of ccc, one a line, where this binary is to be a ccc that embeds the adapter.
const ARGS: &str = "SECOND_CLI_CCC_ARGS";

#[test]
#[ignore = "it is ccc, and is started by a test"]
fn is_ccc() {
    let Ok(args) = std::env::var(ARGS) else { return };
    AgentKind::register(&[&SecondCli]);
    let code = cli::run(std::iter::once("ccc").chain(args.lines()), &cli::Context::of_process());
    std::process::exit(code.into());
}

/// This binary with one of its tests alone.
fn only(test: &str) -> String {
    let binary = std::env::current_exe().expect("this program");
    format!("{} --exact {test} --nocapture --ignored", binary.display())
}

/// ccc with the adapter, with these arguments.
fn ccc(ground: &Ground, args: &[&str]) -> Command {
    let line = only("second_cli::is_ccc");
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    let like = ground.command("http://127.0.0.1:9", [""; 0]);
    command.args(words).env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env(ARGS, args.join("\n")).current_dir(ground.project()).stdin(std::process::Stdio::null());
    command
}

#[test]
fn a_json_rpc_agent_that_a_setting_chooses_goes_through_a_crash_a_rotation_and_two_reviews() {
    let _turn = alone();
    AgentKind::register(&[&SecondCli]);
    let ground = Ground::without_git();
    let program = format!("[ \"$1\" = --version ] && echo 'second 1.0.0' && exit\nexec {}", only(TEST));
    let bin = ground.script("second", &program).parent().expect("a folder").to_owned();
    let dir = ground.home().join("second");
    let path = std::env::join_paths([bin, "/usr/bin".into(), "/bin".into()]).expect("a PATH");
    let ground = ground
        .env("PATH", path)
        .env(DIR_VARIABLE, &dir)
        .env("OPENAI_BASE_URL", "http://127.0.0.1:9")
        .env("OPENAI_API_KEYS", format!("{SPENT_KEY},{GOOD_KEY}"));
    ground.user_config(&json!({"agent": {"kind": "second_cli"}}));
    let output = ccc(&ground, &["--supervisor", "--transport", "pipe", "--output-format", "json", "-p", TASK]).output();
    let output = output.expect("ccc runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let object = said.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let finish: Value = serde_json::from_str(object).unwrap_or_default();
    assert_eq!(
        (&finish["outcome"], &finish["restarts"], &finish["rotations"]),
        (&json!("completed"), &json!(1), &json!(1)),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The first process began a thread, the second went on with it; each critic began one of its own, which may not write.
    let begun: Vec<String> = heard(&ground, "thread/start").iter().map(|params| text(&params["sandbox"])).collect();
    assert_eq!(begun, ["workspace-write", "read-only", "read-only"]);
    assert_eq!(
        heard(&ground, "thread/resume").iter().map(|params| text(&params["threadId"])).collect::<Vec<_>>(),
        ["thread-0"]
    );
    assert_eq!(heard(&ground, "account/login/start").len(), 1, "the key was exchanged in the live process");
    // The record of the thread told that the turn before the crash had been taken in: it is not said twice.
    let turns: Vec<(String, String)> = heard(&ground, "turn/start")
        .iter()
        .map(|params| (text(&params["threadId"]), text(&params["input"][0]["text"])))
        .collect();
    let to_agent: Vec<&str> =
        turns.iter().filter(|(thread, _)| thread == "thread-0").map(|(_, said)| &**said).collect();
    assert_eq!((to_agent[0], to_agent.iter().filter(|said| said.contains(TASK)).count()), (TASK, 1), "{to_agent:#?}");
    assert!(to_agent.last().is_some_and(|said| said.contains(FEEDBACK)), "{to_agent:#?}");
    // A critic that sees no conversation is told it.
    let briefs: Vec<&str> = turns.iter().filter(|(thread, _)| thread != "thread-0").map(|(_, said)| &**said).collect();
    assert!(briefs[0].contains(TASK) && briefs[0].contains("First half done."), "{}", briefs[0]);
    assert!(briefs[1].contains(FEEDBACK) && briefs[1].contains("Second half done"), "{}", briefs[1]);

    let run = ground.runs().pop().expect("the run");
    let entries = journal(&run);
    assert!(entries.iter().any(|entry| action(entry, "answer").is_some()), "the question was answered");
    assert!(!fs::read_to_string(run.join("journal.jsonl")).expect("a journal").contains(GOOD_KEY));
    let comparison = driver::compare(&run.join("journal.jsonl")).expect("its agent is known by name");
    assert_eq!(comparison.difference, None, "the handshake follows from the lines");
}
