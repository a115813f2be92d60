//! Tests that an agent has bent: named to the critic, in the run's record and at its end.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{Ground, action, approval, bash, input, look_until, script, text};
use super::requests::{brief_of, critics};
use crate::ownfaults::world::World;
use crate::scripted_api::{Reply, ScriptedApi};

/// A test with two assertions, and the script of a check.
fn project(ground: &Ground) {
    fs::create_dir_all(ground.project().join("tests")).expect("a directory");
    fs::create_dir_all(ground.project().join("scripts")).expect("a directory");
    ground.write("tests/test_sum.py", "def test_sum():\n    assert 1 + 1 == 2\n    assert 2 + 2 == 4\n");
    ground.write("scripts/verify.sh", "grep -q assert tests/test_sum.py\n");
}

/// What the agent does to the test.
const WEAKENS: &str = "printf 'def test_sum():\\n    assert 1 + 1 == 2\\n' > tests/test_sum.py";

fn briefs(journal: &[Value]) -> Vec<String> {
    let sends = journal.iter().filter_map(|entry| action(entry, "send")).filter(|send| send["kind"] == "brief");
    sends.map(|send| text(&send["text"])).collect()
}

#[test]
fn a_bent_test_and_a_changed_check_are_named_to_the_critic_and_in_the_outcome() {
    let tool = |command: &str| json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}});
    let play = json!({
        "agent": [
            [tool(WEAKENS), tool("echo true > scripts/verify.sh; echo x > tests/test_new.py; echo true > made.sh"), {"say": "Done."}],
            [tool("echo 'grep -q assert tests/test_sum.py' > scripts/verify.sh"), {"say": "Restored."}],
        ],
        "critic": [[{"say": "Restore scripts/verify.sh."}], [{"say": "[TASK_COMPLETED]"}]],
    });
    let world = World::on(Ground::new(), &play);
    project(&world.ground);
    let ended = world.start(&["--check", "sh scripts/verify.sh", "--check", "sh made.sh"]).end();
    ended.assert_code(0);
    let journal = ended.journal();
    let briefs = briefs(&journal);
    assert!(!briefs[0].contains("- made.sh"), "a new file is not a changed check: {}", briefs[0]);
    let both = "- tests/test_sum.py: fewer assertions\n- scripts/verify.sh: a check's command names it\n\n";
    assert!(briefs[0].contains(both), "{}", briefs[0]);
    assert!(!briefs[0].contains("test_new"), "a new test bends none: {}", briefs[0]);
    assert!(briefs[1].contains("- tests/test_sum.py: fewer assertions\n\n"), "{}", briefs[1]);
    let named = json!([{"path": "tests/test_sum.py", "touches": ["fewer_assertions"]}]);
    let summary: Value =
        serde_json::from_slice(&fs::read(world.run_dir().join("run.json")).expect("read")).expect("JSON");
    assert_eq!(summary["tests_touched"], named);
    assert_eq!(ended.result()["tests_touched"], named);
    // The reference that the brief names shows the change.
    let run = text(&summary["id"]);
    assert!(briefs[1].contains(&format!("`git diff refs/ccc/{run}/1`")), "{}", briefs[1]);
    let diff = world.ground.git(&["diff", &format!("refs/ccc/{run}/1")]);
    assert!(diff.contains("-    assert 2 + 2 == 4"), "{diff}");
    // What a replay decides is what was decided.
    world.run(&["replay", "last", "--check"]).assert_code(0);
}

#[test]
fn a_changed_check_is_said_at_the_end_and_in_the_report() {
    let tool = |command: &str| json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}});
    let play = json!({"agent": [[tool("echo true > scripts/verify.sh"), {"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]});
    let world = World::on(Ground::new(), &play);
    project(&world.ground);
    let agent = world.agent.display().to_string();
    let args = ["--supervisor", "-p", "do it", "--agent", &agent, "--plain", "--check", "./scripts/verify.sh || true"];
    let ended = world.run(&args);
    ended.assert_code(0);
    let said = "changed: scripts/verify.sh (a check's command names it)";
    assert!(format!("{}{}", ended.stdout, ended.stderr).contains(said), "{}{}", ended.stdout, ended.stderr);
    let report = world.run(&["report", "last", "--format", "json"]);
    report.assert_code(0);
    let report: Value = serde_json::from_str(&report.stdout).expect("a report");
    let of_check = json!({"touch": "of_check", "path": "scripts/verify.sh"});
    assert!(report["tests"]["findings"].as_array().expect("findings").contains(&of_check), "{}", report["tests"]);
}

#[test]
fn a_comparison_that_hangs_loses_no_review() {
    let tool = |command: &str| json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}});
    let play = json!({"agent": [[tool(WEAKENS), {"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]});
    let ground = Ground::new();
    project(&ground);
    let real = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|dir| dir.join("git"))
        .find(|git| git.exists())
        .expect("git");
    let hangs = ground.home().join("asked");
    let git = ground.script(
        "git",
        &format!(
            "case \" $* \" in *' diff-tree '*' --name-only '*) echo > '{}'; exec sleep 600 ;; esac\nexec '{}' \"$@\"",
            hangs.display(),
            real.display()
        ),
    );
    let world = World::on(ground, &play);
    let began = Instant::now();
    let path = std::env::join_paths(
        [git.parent().expect("a directory").to_owned()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )
    .expect("a PATH");
    let mut command = world.command(&[]);
    let ended = super::harness::Running::spawn(&world.ground, command.env("PATH", path)).end();
    ended.assert_code(0);
    assert!(hangs.exists(), "the comparison was not asked for");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(ended.verdicts(), ["completed"]);
    let journal = ended.journal();
    assert!(!briefs(&journal)[0].contains("test_sum.py"));
    assert!(journal.iter().all(|entry| input(entry, "tests_compared").is_none()), "it had no answer");
}

on_both! {
    fn the_critic_of_the_real_cli_reads_which_test_was_bent(cli, current) {
        let ground = Ground::new();
        project(&ground);
        let api = ScriptedApi::start(script(vec![bash(WEAKENS), Reply::text("Done.")], vec![approval()])).unwrap();
        let args = ["-p", "do it", "--check", "sh scripts/verify.sh", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        let requests = api.requests();
        let brief = brief_of(critics(&requests)[0]);
        assert!(brief.contains("These tests were changed since the run began:\n\n- tests/test_sum.py: fewer assertions\n"), "{brief}");
        assert_eq!(ended.result()["tests_touched"][0]["path"], "tests/test_sum.py");
    }
}

/// The report of the last run: the paths of the files that differ over the whole run, and of the tests that are named.
fn reported(world: &World) -> (Vec<String>, Vec<String>) {
    let report = world.run(&["report", "last", "--format", "json"]);
    report.assert_code(0);
    let report: Value = serde_json::from_str(&report.stdout).expect("a report");
    let paths = |list: &Value| -> Vec<String> {
        let mut paths: Vec<String> = list.as_array().into_iter().flatten().map(|each| text(&each["path"])).collect();
        paths.dedup();
        paths
    };
    (paths(&report["diff"]["files"]), paths(&report["tests"]["findings"]))
}

/// The stop after the restart finds the files as they were before it, so it has no checkpoint of its own.
#[test]
fn a_test_that_was_bent_before_the_agent_died_is_in_the_report() {
    let tool = |command: &str| json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}});
    let bends = format!("[ -e bent ] || {{ {WEAKENS}; touch bent; kill -9 $PPID; }}");
    let turn = json!([tool(&bends), {"say": "Done."}]);
    let world = World::on(Ground::new(), &json!({"agent": [turn, turn], "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    project(&world.ground);
    let ended = world.start(&[]).end();
    ended.assert_code(0);
    assert_eq!(ended.result()["restarts"], 1, "{}", ended.stdout);
    let (files, tests) = reported(&world);
    assert!(files.contains(&"tests/test_sum.py".to_owned()) && tests == ["tests/test_sum.py"], "{files:?} {tests:?}");
}

#[test]
fn a_run_that_ends_while_its_agent_works_reports_what_it_has_changed_and_not_what_the_user_changes_later() {
    let tool = |command: &str| json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}});
    let play = json!({"agent": [[tool(WEAKENS), tool("touch bent; sleep 600"), {"say": "Never said."}]]});
    let world = World::on(Ground::new(), &play);
    project(&world.ground);
    let running = world.start(&[]);
    look_until("the work", || world.ground.project().join("bent").exists().then_some(()));
    world.run(&["stop", "last"]).assert_code(0);
    drop(running.wait());
    world.ground.write("tests/test_mine.py", "assert True\n");
    let as_it_ended = (vec!["bent".to_owned(), "tests/test_sum.py".to_owned()], vec!["tests/test_sum.py".to_owned()]);
    assert_eq!(reported(&world), as_it_ended);
    // It goes on with what the user has written, which stays the user's.
    world.play(&json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    world.resume(&[]).end().assert_code(0);
    assert_eq!(reported(&world), as_it_ended);
    let whys: Vec<String> = world
        .run(&["checkpoints", "last", "--json"])
        .stdout
        .lines()
        .map(|line| text(&serde_json::from_str::<Value>(line).expect("an object")["why"]))
        .collect();
    assert_eq!(whys, ["before the agent began", "the run ended", "before the run went on"]);
}
