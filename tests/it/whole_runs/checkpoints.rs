//! The checkpoints of a run, listed, compared and restored.

use std::fs;

use serde_json::{Value, json};

use super::harness::{Ground, Running};
use crate::ownfaults::world::{TASK, World};

/// A world whose agent writes one file in its first turn and another in its second.
fn world() -> World {
    let bash = |command: &str| json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}});
    let script = json!({
        "agent": [
            [bash("echo one > one.txt; echo changed > README.md"), {"say": "First done."}],
            [bash("echo two > two.txt"), {"say": "Second done."}],
        ],
        "critic": [
            [{"say": "A second file is missing.\n\n[CONTINUE]"}],
            [{"say": "All is there.\n\n[TASK_COMPLETED]"}],
        ],
    });
    World::on(Ground::new(), &script)
}

fn listed(world: &World) -> Vec<Value> {
    let ended = world.run(&["checkpoints", "last", "--json"]);
    ended.assert_code(0);
    ended.stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

#[test]
fn a_run_keeps_its_tree_at_each_stop_and_a_restore_can_be_taken_back() {
    let world = world();
    fs::write(world.ground.project().join("mine.txt"), "the user's, and not committed\n").expect("written");
    let before = world.ground.git(&["status", "--porcelain", "--branch"]);
    let agent = world.agent.display().to_string();
    world.run(&["--supervisor", "-p", TASK, "--agent", &agent, "--plain"]).assert_code(0);
    let entries = listed(&world);
    let told: Vec<_> = entries.iter().map(|entry| (entry["number"].as_u64(), entry["files"].as_u64())).collect();
    assert_eq!(told, [(Some(1), None), (Some(2), Some(2)), (Some(3), Some(1))], "{entries:?}");
    let shown = world.run(&["checkpoints", "last"]);
    assert!(
        shown.stdout.contains("before the agent began") && shown.stdout.contains("the agent stopped"),
        "{}",
        shown.stdout
    );

    let diff = |args: &[&str]| {
        let all: Vec<&str> = ["diff", "last"].into_iter().chain(args.iter().copied()).collect();
        let ended = world.run(&all);
        ended.assert_code(0);
        ended.stdout
    };
    let first = diff(&["1..2"]);
    assert!(first.contains("+one") && !first.contains("+two"), "{first}");
    assert!(diff(&[]).contains("+two") && diff(&["2"]).contains("+two") && diff(&["3"]).is_empty());
    assert!(!diff(&["1..3", "--", "one.txt"]).contains("+two"));
    // What the user has written since is in a comparison with the files as they are, which says so.
    fs::write(world.ground.project().join("later.txt"), "the user's, after the run\n").expect("written");
    let said = |args: &[&str]| world.run(args).stderr.contains("changed after the run's last checkpoint (3)");
    for args in [
        &["diff", "last"][..],
        &["diff", "last", "2"],
        &["restore", "last", "1"],
        &["restore", "last", "1", "--dry-run"],
    ] {
        assert!(said(args), "{args:?}");
    }
    for args in [&["diff", "last", "1..3"][..], &["diff", "last", "3"], &["restore", "last", "3", "--dry-run"]] {
        assert!(!said(args), "{args:?}");
    }
    fs::remove_file(world.ground.project().join("later.txt")).expect("removed");
    let unknown = world.run(&["diff", "last", "1..9"]);
    unknown.assert_code(2);
    assert!(unknown.stderr.contains("no checkpoint 9: it has 1 to 3"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("ccc checkpoints "), "{}", unknown.stderr);

    let mistyped = world.run(&["restore", "last", "1", "--yes", "--path", "none.txt"]);
    mistyped.assert_code(2);
    assert!(mistyped.stderr.contains("--path none.txt is neither in checkpoint 1"), "{}", mistyped.stderr);
    let partly = world.run(&["restore", "last", "1", "--dry-run", "--path", "one.txt"]);
    partly.assert_code(0);
    assert!(partly.stdout.contains("would change 1 file"), "{}", partly.stdout);
    let asked = world.run(&["restore", "last", "1"]);
    asked.assert_code(2);
    assert!(asked.stderr.contains("--yes") && world.ground.project().join("one.txt").exists(), "{}", asked.stderr);
    let mut elsewhere = world.ccc(&["restore", "last", "1", "--yes"]);
    let elsewhere = Running::spawn(&world.ground, elsewhere.current_dir(world.ground.home())).wait();
    elsewhere.assert_code(2);
    assert!(
        elsewhere.stderr.contains("and not here") && world.ground.project().join("one.txt").exists(),
        "{}",
        elsewhere.stderr
    );
    let restored = world.run(&["restore", "last", "1", "--yes"]);
    restored.assert_code(0);
    assert!(restored.stdout.contains("restored 3 files to checkpoint 1"), "{}", restored.stdout);
    assert!(!world.ground.project().join("one.txt").exists());
    assert_eq!(world.ground.git(&["status", "--porcelain", "--branch"]), before);
    let nothing = world.run(&["restore", "last", "1", "--yes"]);
    nothing.assert_code(0);
    assert!(nothing.stdout.contains("nothing to restore"), "{}", nothing.stdout);
    // What was there is the last checkpoint, which had it already.
    assert!(restored.stderr.contains(" 3"), "{}", restored.stderr);
    world.run(&["restore", "last", "3", "--yes"]).assert_code(0);
    assert_eq!(fs::read_to_string(world.ground.project().join("two.txt")).expect("back"), "two\n");
}

#[test]
fn a_run_that_is_told_not_to_keep_its_tree_has_no_checkpoints() {
    let world = world();
    let agent = world.agent.display().to_string();
    let mut command = world.ccc(&["--supervisor", "-p", TASK, "--agent", &agent, "--plain"]);
    assert!(command.env("CCC_CHECKPOINTS", "0").output().expect("ccc").status.success());
    assert!(listed(&world).is_empty());
    assert_eq!(world.ground.git(&["for-each-ref", "refs/ccc"]), "");
}

#[test]
fn the_last_run_is_taken_and_named_where_none_is_given() {
    let world = world();
    let agent = world.agent.display().to_string();
    world.run(&["--supervisor", "-p", TASK, "--agent", &agent, "--plain"]).assert_code(0);
    let id = world.run_id();
    let of = |args: &[&str]| {
        let ended = world.run(args);
        ended.assert_code(0);
        let named = format!("the last run, {id}: {TASK}");
        assert!(ended.stderr.contains(&named), "{args:?}: {}", ended.stderr);
        ended.stdout
    };
    assert!(of(&["diff"]).contains("+two") && of(&["checkpoints"]).contains("the agent stopped"));
    let between = of(&["diff", "1..2"]);
    assert!(between.contains("+one") && !between.contains("+two"), "{between}");
    assert!(of(&["diff", "--stat", "--", "one.txt"]).contains("one.txt"));
    of(&["logs", "--no-pager"]);
    let looked = of(&["look"]);
    for command in [format!("ccc diff {id}"), format!("ccc restore {id} 1")] {
        assert!(looked.contains(&command), "{command}: {looked}");
    }
    // A restore changes files, so it needs a run.
    let restore = world.run(&["restore", "--yes"]);
    assert_eq!(restore.status.code(), Some(2), "{}", restore.stderr);
    for args in [&["restore", &id, "1", "--yes", "--path", "../x"][..], &["diff", &id, "--", "../x"]] {
        let refused = world.run(args);
        refused.assert_code(2);
        assert!(refused.stderr.contains("../x does not name a file below"), "{}", refused.stderr);
    }
}

#[test]
fn the_way_back_that_an_agent_has_removed_is_there_again_and_the_user_is_told() {
    let bash = |command: &str| json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}});
    let script = json!({
        "agent": [[bash("git update-ref -d refs/ccc/$CCC_RUN_ID/1; echo one > README.md"), {"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    });
    let world = World::on(Ground::new(), &script);
    let before = world.ground.read("README.md");
    let agent = world.agent.display().to_string();
    let ended = world.run(&["--supervisor", "-p", TASK, "--agent", &agent, "--plain"]);
    ended.assert_code(0);
    let told = "the reference of an earlier checkpoint of this run was changed or removed, and ccc has made it good";
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&format!("{}{}", ended.stdout, ended.stderr)).contains(told), "{}{}", ended.stdout, ended.stderr);
    world.run(&["restore", "last", "1", "--yes"]).assert_code(0);
    assert_eq!(world.ground.read("README.md"), before);
}
