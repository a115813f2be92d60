//! What ccc must keep to itself: exactly one credential reaches the agent, none the checks, and none the outside.

use std::fs;

use serde_json::json;

use super::world::{FEEDBACK, TASK, World};
use crate::real_cli::CleanHome;
use crate::whole_runs::harness::{Ground, Running};

const BEARER: &str = "made-up-bearer-token-of-the-tests-0123456789";
const OAUTH: &str = "sk-ant-oat01-made-up-oauth-token-of-the-tests";
const NAMES: [&str; 3] = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

/// All three credentials are set, and every process writes down the names that it was given.
fn world(script: &serde_json::Value) -> World {
    let ground = Ground::without_git().env(NAMES[1], BEARER).env(NAMES[2], OAUTH);
    World::with_prelude(ground, script, "env | cut -d= -f1 > $home/env-$role")
}

fn credentials_in(world: &World, file: &str) -> Vec<String> {
    let names = fs::read_to_string(world.ground.home().join(file)).expect("the names");
    names.lines().filter(|line| NAMES.contains(line)).map(str::to_owned).collect()
}

#[track_caller]
fn assert_silent(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in [CleanHome::KEY, BEARER, OAUTH] {
        assert!(!text.contains(secret), "{what} holds {secret}: {}", text.chars().take(4_000).collect::<String>());
    }
}

fn everything_below(dir: &std::path::Path, each: &mut impl FnMut(&std::path::Path)) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            everything_below(&entry.path(), each);
        } else {
            each(&entry.path());
        }
    }
}

#[test]
fn of_three_credentials_one_reaches_the_agent_and_its_critic_and_none_a_check() {
    let world = world(&json!({}));
    let check = format!("env | cut -d= -f1 > '{}/env-check'", world.ground.home().display());
    let mut command = world.command(&["--check", &check]);
    // Of another provider: left to the agent and its tools, and none of a check's business.
    command.env("OPENAI_API_KEY_2", "sk-made-up-of-another").env("CO_API_KEYS", "made-up-1,made-up-2");
    let ended = Running::spawn(&world.ground, &mut command).end();
    ended.assert_code(0);
    let agent = credentials_in(&world, "env-agent");
    assert_eq!(agent.len(), 1, "{agent:?}");
    assert_eq!(credentials_in(&world, "env-critic"), agent);
    assert_eq!(credentials_in(&world, "env-check"), Vec::<String>::new());
    let names = |file: &str| fs::read_to_string(world.ground.home().join(file)).expect("read");
    assert!(names("env-agent").contains("OPENAI_API_KEY_2"));
    assert!(!names("env-check").contains("_API_KEY"), "{}", names("env-check"));
    // And the user is told which one it is.
    let credential = ended.of_type("run")[0]["credential"].to_string();
    assert!(credential.contains(&agent[0]), "{credential} is not {agent:?}");

    fs::remove_file(world.ground.home().join("env-agent")).expect("rm");
    world.resume(&["-p", "And paint it."]).end().assert_code(0);
    assert_eq!(credentials_in(&world, "env-agent"), agent, "after a resumption");
}

#[test]
fn an_agent_that_tells_the_secrets_tells_them_to_nobody_but_ccc() {
    let all = format!("{} {BEARER} {OAUTH}", CleanHome::KEY);
    let no_credit =
        json!([{"api_error": {"status": 402, "error": "billing_error", "message": format!("not with {all}")}}]);
    let script = json!({
        "agent": [
            [
                {"say": format!("The keys are {all}.")},
                {"think": format!("Shall I tell {all}?")},
                {"tool": {"name": "Bash", "input": {"command": format!("curl -H 'x-api-key: {all}'")}, "result": format!("refused: {all}")}},
                {"tool": {"name": "Edit", "input": {"file_path": format!("{OAUTH}.txt"), "old_string": all, "new_string": "x"}}},
                {"deny": {"name": "Write", "input": {"file_path": format!("{OAUTH}.txt"), "content": all}}},
                {"garbage": format!("no JSON, but {all}")},
                {"stderr": format!("oh, {all}")},
                {"crash": {"code": 1}},
            ],
            [{"say": format!("I am done with {all}.")}],
            // Once with each of the tokens.
            no_credit,
            no_credit,
            no_credit,
        ],
        "critic": [[{"say": format!("{FEEDBACK} And why {all}?")}]],
    });
    for format in ["text", "stream-json", "json"] {
        let world = world(&script);
        fs::write(world.ground.project().join("said.txt"), &all).expect("write");
        let mut command =
            world.ccc(&["--supervisor", "-p", TASK, "--output-format", format, "--check", "cat said.txt", "--agent"]);
        command.arg(&world.agent);
        let ended = Running::spawn(&world.ground, &mut command).wait();
        assert_eq!(ended.status.code(), Some(1), "the last turn fails: {}{}", ended.stdout, ended.stderr);
        assert_silent(&format!("{format} stdout"), ended.stdout.as_bytes());
        assert_silent(&format!("{format} stderr"), ended.stderr.as_bytes());
        everything_below(&world.ground.state(), &mut |file| {
            assert_silent(&file.display().to_string(), &fs::read(file).expect("read"));
        });
        let id = world.run_id();
        for args in [&["export", id.as_str()][..], &["explain", &id], &["replay", &id], &["runs"], &["runs", "--json"]]
        {
            let shown = world.run(args);
            assert_eq!(shown.status.code(), Some(0), "{args:?}: {}", shown.stderr);
            assert_silent(&format!("{args:?}"), shown.stdout.as_bytes());
            assert_silent(&format!("{args:?}"), shown.stderr.as_bytes());
        }
        world.ground.assert_sound();
    }
}

#[test]
fn a_task_that_holds_a_key_reaches_the_agent_and_nobody_else() {
    let world = world(&json!({}));
    let task = format!("{TASK} Use {}", CleanHome::KEY);
    let check = format!("test -n '{OAUTH}'");
    for format in ["text", "stream-json"] {
        let mut command =
            world.ccc(&["--supervisor", "-p", &task, "--check", &check, "--output-format", format, "--agent"]);
        command.arg(&world.agent);
        let ended = Running::spawn(&world.ground, &mut command).end();
        ended.assert_code(0);
        assert_silent("stdout", ended.stdout.as_bytes());
        assert_silent("stderr", ended.stderr.as_bytes());
        let said = fs::read_dir(world.ground.home().join("scripted")).expect("sessions").flatten();
        let said: Vec<String> = said.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
        assert!(said.iter().any(|text| text.contains(CleanHome::KEY)), "the agent was told: {said:?}");
    }
    everything_below(&world.ground.state(), &mut |file| {
        assert_silent(&file.display().to_string(), &fs::read(file).expect("read"));
    });
}
