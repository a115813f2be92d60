//! Files that the checks see as they were when the run began, whatever the agent has made of them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::harness::{Ground, action, approval, bash, look_until, script, text};
use super::requests::{brief_of, critics};
use crate::ownfaults::world::World;
use crate::scripted_api::{Reply, ScriptedApi};

/// The test of the project, which passes when the work is done.
const TEST: &str = "test -f done.txt\n";
/// What the agent makes of it.
const BENT: &str = "exit 0\n";
const BENDS: &str = "printf 'exit 0\\n' > tests/t.sh; chmod 755 tests/t.sh; touch -d '2001-02-03 04:05:06' tests/t.sh";

fn project(ground: &Ground) {
    fs::create_dir_all(ground.project().join("tests")).expect("a directory");
    ground.write("tests/t.sh", TEST);
}

fn tool(command: &str) -> Value {
    json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}})
}

/// An agent that bends the test, and does the work when it is told that this does not count.
fn play() -> Value {
    json!({
        "agent": [[tool(BENDS), {"say": "Done."}], [tool("touch done.txt; echo new > tests/new.sh"), {"say": "Now."}]],
        "critic": [[{"say": "[TASK_COMPLETED]"}]],
    })
}

/// The test as it lies there: content, mode, and time.
fn state(ground: &Ground) -> (String, u32, i64) {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(ground.project().join("tests/t.sh")).expect("metadata");
    (ground.read("tests/t.sh"), meta.mode() & 0o777, meta.mtime())
}

fn bent() -> (String, u32, i64) {
    (BENT.to_owned(), 0o755, 981_173_106)
}

#[test]
fn a_bent_test_passes_without_protection_and_fails_with_it() {
    let world = World::on(Ground::new().env("TZ", "UTC"), &play());
    project(&world.ground);
    let free = world.start(&["--check", "sh tests/t.sh"]).end();
    free.assert_code(0);
    assert_eq!((free.result()["iterations"].clone(), free.result()["protected"].clone()), (json!(1), Value::Null));

    let world = World::on(Ground::new().env("TZ", "UTC"), &play());
    project(&world.ground);
    let ended = world.start(&["--check", "sh tests/t.sh", "--protect", "tests/**", "--protect", "spec/**"]).end();
    ended.assert_code(0);
    let checks: Vec<Value> = ended.of_type("check").iter().map(|check| check["passed"].clone()).collect();
    assert_eq!(checks, [json!(false), json!(true)], "{}", ended.stdout);
    assert_eq!(state(&world.ground), bent(), "the agent's version lies there again");
    assert_eq!(world.ground.read("tests/new.sh"), "new\n", "what it has added stays");
    let result = ended.result();
    assert_eq!(result["protected"], json!({"restored": ["tests/t.sh"], "unmatched": ["spec/**"]}));
    assert_eq!(result["iterations"], 2, "{result}");
    let told = "`protect` names no file that was there when the run began: spec/**";
    assert_eq!(ended.stdout.matches(told).count(), 1, "{}", ended.stdout);
    let place = world.ground.project().canonicalize().expect("a path");
    let warned = format!("warning: `protect` names no file in {}: spec/**; a file", place.display());
    assert!(ended.stderr.contains(&warned), "also at the start: {}", ended.stderr);
    let journal = ended.journal();
    let sends: Vec<&Value> = journal.iter().filter_map(|entry| action(entry, "send")).collect();
    let said =
        |kind: &str| sends.iter().find(|send| send["kind"] == kind).map(|send| text(&send["text"])).expect("said");
    assert!(
        said("check_failure").contains("your changes to them do not count: tests/t.sh"),
        "{}",
        said("check_failure")
    );
    assert!(said("brief").contains("because the user protects them"), "{}", said("brief"));
    // The checkpoint of the stop has the agent's version.
    let run = text(&result["run_id"]);
    assert_eq!(world.ground.git(&["show", &format!("refs/ccc/{run}/2:tests/t.sh")]).trim(), BENT.trim());
    assert!(!world.run_dir().join("protected").exists());
    world.run(&["replay", "last", "--check"]).assert_code(0);
}

/// A script whose check stays in its first run until it is told, with the base's version of the test in the tree.
fn holding_check(world: &World) -> String {
    let home = world.ground.home();
    let body = format!(
        "[ -e '{home}/checked' ] || {{ echo $$ > '{home}/checking'; exec sleep 600; }}\nexec sh tests/t.sh",
        home = home.display()
    );
    world.ground.script("check", &body).display().to_string()
}

/// A run that is in the middle of its check.
fn in_check(play: &Value) -> (World, String) {
    let world = World::on(Ground::new().env("TZ", "UTC"), play);
    project(&world.ground);
    let check = holding_check(&world);
    (world, check)
}

fn until_checking(world: &World) {
    world.until_file("checking");
    assert_eq!(world.ground.read("tests/t.sh"), TEST, "the check sees the version of the run's beginning");
}

/// Lets ccc die in the middle of a check.
fn killed_in_check() -> World {
    let (world, check) = in_check(&play());
    let running = world.start(&["--check", &check, "--protect", "tests/**"]);
    until_checking(&world);
    world.kill(running);
    assert_eq!(world.ground.read("tests/t.sh"), TEST, "the premise: nothing has put it back");
    world.ground.write("../home/checked", "");
    world
}

#[test]
fn killed_in_the_middle_of_a_check_the_resumed_run_finds_the_agents_version() {
    let world = killed_in_check();
    let ended = world.resume(&[]).end();
    ended.assert_code(0);
    assert!(ended.stderr.contains("put back the agent's versions of 1 protected file"), "{}", ended.stderr);
    assert_eq!(ended.result()["protected"]["restored"], json!(["tests/t.sh"]));
    assert_eq!(state(&world.ground), bent());
    assert_eq!(ended.of_type("check").len(), 2, "the stop was judged again: {}", ended.stdout);
    world.run(&["replay", "last", "--check"]).assert_code(0);
}

#[test]
fn a_resumed_run_may_protect_other_files() {
    let world = killed_in_check();
    let ended = world.resume(&["--protect", "spec/**"]).end();
    ended.assert_code(0);
    assert_eq!(ended.result()["protected"], json!({"unmatched": ["spec/**"]}));
    assert_eq!(ended.result()["iterations"], 1, "the bent test passes: {}", ended.stdout);
}

#[test]
fn killed_in_the_middle_of_a_check_the_next_command_that_touches_the_tree_puts_the_agents_version_back() {
    for command in
        [&["checkpoints", "last"][..], &["diff", "last"], &["restore", "last", "1", "--dry-run"], &["stop", "last"]]
    {
        let world = killed_in_check();
        let ended = world.run(command);
        ended.assert_code(0);
        assert!(
            ended.stderr.contains("put back the agent's versions of 1 protected file"),
            "{command:?}: {}",
            ended.stderr
        );
        assert_eq!(state(&world.ground), bent(), "{command:?}");
        let again = world.run(&["checkpoints", "last"]);
        assert!(!again.stderr.contains("put back"), "once: {}", again.stderr);
    }
    // Also another run there, before it takes the files for its own beginning.
    let world = killed_in_check();
    let ended = world.start(&[]).end();
    assert!(ended.stderr.contains("put back the agent's versions of 1 protected file"), "{}", ended.stderr);
    let run = text(&ended.result()["run_id"]);
    assert_eq!(world.ground.git(&["show", &format!("refs/ccc/{run}/1:tests/t.sh")]).trim(), BENT.trim());
}

#[test]
fn what_was_written_after_the_kill_is_not_overwritten() {
    let world = killed_in_check();
    world.ground.write("tests/t.sh", "the user's own\n");
    let ended = world.run(&["checkpoints", "last"]);
    ended.assert_code(0);
    assert_eq!(world.ground.read("tests/t.sh"), "the user's own\n");
    let kept = world.run_dir().join("protected-kept/0");
    assert!(ended.stderr.contains(&format!("written since the check began, and left as it is: tests/t.sh (the agent's version from before the check is {})", kept.display())), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(kept).expect("kept"), BENT);
}

#[test]
fn an_interrupted_check_leaves_the_agents_version() {
    for again in [false, true] {
        let (world, check) = in_check(&play());
        let running = world.start(&["--check", &check, "--protect", "tests/**"]);
        until_checking(&world);
        running.signal(rustix::process::Signal::INT);
        if again {
            running.signal(rustix::process::Signal::INT);
        }
        let ended = running.wait();
        assert_eq!(ended.status.code(), Some(130), "{}{}", ended.stdout, ended.stderr);
        assert_eq!(state(&world.ground), bent(), "again: {again}");
        assert!(!world.run_dir().join("protected").exists());
    }
}

#[test]
fn a_background_process_that_writes_during_the_check_keeps_what_it_wrote() {
    let (world, check) =
        in_check(&json!({"agent": [[tool(BENDS), {"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    world.ground.write("done.txt", "");
    let running = world.start(&["--check", &check, "--protect", "tests/**"]);
    until_checking(&world);
    world.ground.write("tests/t.sh", "newer\n");
    world.ground.write("../home/checked", "");
    let pid: i32 = world.until_file("checking").trim().parse().expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    let ended = running.wait();
    assert!(
        ended
            .stdout
            .contains("a protected file was written while the check ran, and stays as it is: tests/t.sh (the agent's"),
        "{}",
        ended.stdout
    );
    assert_eq!(world.ground.read("tests/t.sh"), "newer\n");
}

/// As a process does that the agent has left behind.
#[test]
fn a_check_during_which_the_agents_version_comes_back_does_not_count_as_passed() {
    let play = json!({"agent": [[tool(BENDS), {"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]});
    let world = World::on(Ground::new().env("TZ", "UTC"), &play);
    project(&world.ground);
    let home = world.ground.home().display().to_string();
    let body =
        format!("echo x > '{home}/checking'; while [ ! -e '{home}/checked' ]; do sleep 0.05; done; exec sh tests/t.sh");
    let check = world.ground.script("check", &body).display().to_string();
    let running = world.start(&["--check", &check, "--protect", "tests/**", "--max-iterations", "1"]);
    until_checking(&world);
    world.ground.write("tests/t.sh", BENT);
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(world.ground.project().join("tests/t.sh"), runs).expect("as the agent has it");
    world.ground.write("../home/checked", "");
    let ended = running.wait();
    ended.assert_code(4);
    assert_eq!(ended.of_type("check").iter().map(|check| check["passed"].clone()).collect::<Vec<_>>(), [json!(false)]);
    let summary = "exit code 0; something that still runs wrote protected files while it ran";
    assert!(ended.stdout.contains(summary), "{}", ended.stdout);
    assert_eq!(ended.result()["protected"]["written_meanwhile"], json!(["tests/t.sh"]));
    assert_eq!(world.ground.read("tests/t.sh"), BENT);
}

/// The agent has left the test alone, so nothing had to be exchanged for the check.
#[test]
fn a_check_during_which_a_protected_file_is_written_that_was_as_it_should_be_does_not_count_as_passed() {
    for check in ["echo exit 0 > tests/t.sh; sh tests/t.sh", "rm tests/t.sh; mkdir tests/t.sh", "rm tests/t.sh"] {
        let play = json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]});
        let world = World::on(Ground::new().env("TZ", "UTC"), &play);
        project(&world.ground);
        let ended = world.start(&["--check", check, "--protect", "tests/**", "--max-iterations", "1"]).wait();
        ended.assert_code(4);
        let passed: Vec<Value> = ended.of_type("check").iter().map(|check| check["passed"].clone()).collect();
        assert_eq!(passed, [json!(false)], "{check}: {}", ended.stdout);
        assert_eq!(ended.result()["protected"]["written_meanwhile"], json!(["tests/t.sh"]), "{check}");
    }
}

/// While the directory is away, a check sees what stands in its place, and at the end all is as it should be.
#[test]
#[cfg(target_os = "linux")]
fn a_check_during_which_the_directory_of_a_protected_file_is_away_does_not_count_as_passed() {
    let agent = json!([[{"say": "Done."}]]);
    let world = World::on(Ground::new(), &json!({"agent": agent, "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    project(&world.ground);
    let swaps = "mv tests aside; mkdir tests; echo 'exit 0' > tests/t.sh; sh tests/t.sh; rm -r tests; mv aside tests";
    let ended = world.start(&["--check", swaps, "--protect", "tests/**", "--max-iterations", "1"]).end();
    let result = ended.result();
    assert_eq!(ended.of_type("check")[0]["passed"], false, "{}", ended.stdout);
    let written = result["protected"]["written_meanwhile"].as_array().expect("a list");
    assert!(written.contains(&json!("tests")), "{result}");
}

#[test]
fn while_a_check_sees_protected_files_nothing_else_begins_in_the_tree() {
    let (world, check) = in_check(&play());
    let running = world.start(&["--check", &check, "--protect", "tests/**"]);
    until_checking(&world);
    let agent = world.agent.display().to_string();
    let another = |more: &[&str]| {
        let args = ["--supervisor", "-p", "Another task.", "--agent", &agent, "--share-tree", "--check", "true"];
        world.run(&[&args, more].concat())
    };
    let other = another(&[]);
    other.assert_code(2);
    assert!(other.stderr.contains("is at work in") && other.stderr.contains("with protected"), "{}", other.stderr);
    assert_eq!(world.ground.read("tests/t.sh"), TEST, "nothing was put back under the check");
    running.signal(rustix::process::Signal::INT);
    assert_eq!(running.wait().status.code(), Some(130));
    assert_eq!(state(&world.ground), bent());
    let shared = another(&["--protect", "tests/**"]);
    shared.assert_code(2);
    assert!(shared.stderr.contains("cannot be had in a tree"), "{}", shared.stderr);
}

#[test]
fn without_the_checkpoint_of_its_beginning_a_run_ends_for_the_user() {
    let forgets =
        "git for-each-ref --format='delete %(refname)' refs/ccc | git update-ref --stdin; git gc -q --prune=now";
    let play = json!({"agent": [[tool(&format!("{BENDS}; {forgets}")), {"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]});
    let world = World::on(Ground::new().env("TZ", "UTC"), &play);
    project(&world.ground);
    let ended = world.start(&["--check", "sh tests/t.sh", "--protect", "tests/**"]).end();
    ended.assert_code(3);
    let reason = text(&ended.result()["reason"]);
    assert!(reason.contains("is not in the repository any more") && reason.contains("ccc resume"), "{reason}");
    assert_eq!(state(&world.ground), bent());
}

#[test]
fn without_a_repository_it_is_said_that_nothing_is_protected() {
    let world = World::on(Ground::without_git(), &play());
    project(&world.ground);
    let ended = world.start(&["--check", "sh tests/t.sh", "--protect", "tests/**"]).end();
    ended.assert_code(0);
    let why = "the directory is in no git repository";
    assert!(ended.stdout.contains(&format!("`protect` has no effect: {why}")), "{}", ended.stdout);
    assert_eq!(ended.result()["protected"], json!({"no_effect": why}));
}

#[test]
fn in_a_repository_without_commits_the_files_of_the_beginning_are_seen() {
    let world = World::on(Ground::without_git().env("TZ", "UTC"), &play());
    project(&world.ground);
    world.ground.git(&["init", "-q"]);
    let ended = world.start(&["--check", "sh tests/t.sh", "--protect", "tests/**"]).end();
    ended.assert_code(0);
    assert_eq!(ended.result()["protected"], json!({"restored": ["tests/t.sh"]}));
    assert_eq!(state(&world.ground), bent());
}

#[test]
fn the_end_names_the_files_for_people() {
    let world = World::on(Ground::new(), &play());
    project(&world.ground);
    let agent = world.agent.display().to_string();
    let args =
        ["--supervisor", "-p", "do it", "--agent", &agent, "--plain", "--check", "sh tests/t.sh", "--protect", "tests"];
    let ended = world.run(&args);
    ended.assert_code(0);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("protected the checks ran with these as they were when the run began: tests/t.sh"),
        "{said}"
    );
    assert!(said.contains("it ran with these as they were when the run began: tests/t.sh"), "{said}");
}

/// The working tree of the only agent.
fn tree_of_agent(world: &World) -> PathBuf {
    let listed = world.ground.git(&["worktree", "list", "--porcelain"]);
    let paths: Vec<&str> = listed.lines().filter_map(|line| line.strip_prefix("worktree ")).collect();
    PathBuf::from(paths.get(1).expect("a worktree"))
}

#[test]
fn an_agent_that_died_in_a_check_is_removed_with_its_own_version_kept() {
    let (world, check) = in_check(&play());
    world.ground.git(&["add", "-A"]);
    world.ground.git(&["commit", "-qm", "the test"]);
    world.ground.user_config(&json!({"checks": [check], "protect": ["tests/**"]}));
    let agent = world.agent.display().to_string();
    world.run(&["new", "do it", "--name", "bends", "--agent", &agent]).assert_code(0);
    world.until_file("checking");
    let tree = tree_of_agent(&world);
    assert_eq!(fs::read_to_string(tree.join("tests/t.sh")).expect("read"), TEST);
    // It is not to be revived before it is removed.
    world.run(&["keeper", "stop"]);
    let summary: Value =
        serde_json::from_slice(&fs::read(world.run_dir().join("run.json")).expect("read")).expect("JSON");
    let pid = i32::try_from(summary["pid"].as_i64().expect("a pid")).expect("a pid");
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).expect("a pid"), rustix::process::Signal::KILL)
        .expect("killed");
    look_until("the end of ccc", || (!super::harness::is_alive(pid.cast_unsigned())).then_some(()));
    let killed = world.run(&["kill", "bends", "--yes"]);
    killed.assert_code(0);
    let kept = world.ground.git(&["for-each-ref", "--format=%(refname)", "refs/ccc/salvage"]);
    assert_eq!(world.ground.git(&["show", &format!("{}:tests/t.sh", kept.trim())]).trim(), BENT.trim());
}

on_both! {
    fn the_real_cli_bends_a_test_and_its_check_fails_all_the_same(cli, current) {
        let ground = Ground::new();
        project(&ground);
        let agent = vec![bash("printf 'exit 0\\n' > tests/t.sh"), Reply::text("Done."), bash("touch done.txt"), Reply::text("Now.")];
        let api = ScriptedApi::start(script(agent, vec![approval()])).unwrap();
        let args = ["-p", "do it", "--check", "sh tests/t.sh", "--protect", "tests/**", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        let checks: Vec<Value> = ended.of_type("check").iter().map(|check| check["passed"].clone()).collect();
        assert_eq!(checks, [json!(false), json!(true)], "{}", ended.stdout);
        assert_eq!(ground.read("tests/t.sh"), BENT);
        let requests = api.requests();
        let brief = brief_of(critics(&requests)[0]);
        assert!(brief.contains("because the user protects them") && brief.contains("\n- tests/t.sh\n"), "{brief}");
    }
}
