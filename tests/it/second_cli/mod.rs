//! A second agent CLI goes through the same driver and core as the first: nothing outside of its own two files knows it.

mod adapter;
mod server;

use std::ffi::OsString;
use std::fs;

use ccc::agent::AgentKind;
use ccc::core::{Outcome, Plan};
use ccc::driver::{self, Program, Run};
use ccc::journal::FileSink;
use ccc::tokens::{Credential, CredentialKind, Provider};
use serde_json::Value;

use crate::ownfaults::hosted::{plan, setup};
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

#[test]
fn a_json_rpc_agent_without_fork_or_limit_events_goes_through_a_crash_a_rotation_and_two_reviews() {
    let _turn = alone();
    AgentKind::bring(&[&SecondCli]);
    let ground = Ground::without_git();
    let program = std::env::current_exe().expect("this program");
    let plan = Plan {
        agent: AgentKind::of(&SecondCli),
        agent_program: program.display().to_string(),
        agent_version: "1.0.0".to_owned(),
        task: TASK.to_owned(),
        ..plan(&ground, 1)
    };
    let keys = [("spent", SPENT_KEY), ("good", GOOD_KEY)].map(|(label, value)| {
        Credential::held(label, CredentialKind::ApiKey, Provider::Anthropic, value.to_owned().into())
    });
    let mut setup =
        setup(&ground, plan, keys.into(), |journal, blobs| FileSink::open(journal, blobs).expect("a journal"));
    let dir = ground.home().join("second");
    setup.program =
        Program { path: program, first_args: ["--exact", TEST, "--nocapture", "--ignored"].map(OsString::from).into() };
    setup.env.0.push((DIR_VARIABLE.into(), dir.clone().into()));
    setup.agent_dir = dir;
    let (_host, controls, _) = driver::controls(driver::unix_ms);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let end = runtime.block_on(Run::new(setup).expect("descriptors").drive(controls));

    let finish = end.finish.expect("an outcome");
    assert_eq!((finish.outcome, finish.restarts, finish.rotations), (Outcome::Completed, 1, 1), "{}", finish.reason);
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
