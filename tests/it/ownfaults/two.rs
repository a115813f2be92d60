//! Two ccc on one session: the second is refused, and the first does not notice.

use std::cell::RefCell;
use std::fs;

use serde_json::json;

use super::world::{FEEDBACK, TASK, World, two_turns};
use crate::whole_runs::harness::{Running, look_until};

const SESSION: &str = "3f2b8c1e-0000-4000-8000-000000000001";

/// A first ccc on the session, busy with a check until the file `go` is there.
fn first<'w>(world: &'w World, args: &[&str]) -> Running<'w> {
    let check = format!(
        "echo x > '{home}/checking'; while [ ! -e '{home}/go' ]; do sleep 0.02; done",
        home = world.ground.home().display()
    );
    let mut all = vec!["--check", check.as_str(), "--"];
    all.extend(args);
    let running = world.start(&all);
    world.until_file("checking");
    running
}

#[track_caller]
fn second_is_refused(world: &World, first: &Running<'_>, args: &[&str]) {
    let run = world.run_id();
    // A process that a shell has just made looks like the shell: two looks must agree.
    let last = RefCell::new(Vec::new());
    let alive = look_until("the processes of the first", || {
        let before = last.replace(processes(world));
        let now = last.borrow();
        (!now.is_empty() && *now == before).then_some(before)
    });
    let all: Vec<&str> = ["--"].iter().chain(args).copied().collect();
    let refused = world.start(&all).wait();
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    for word in [SESSION, "in use", &first.pid().to_string(), &run, "hint:"] {
        assert!(refused.stderr.contains(word), "no {word:?} in {}", refused.stderr);
    }
    assert_eq!(world.ground.runs().len(), 1, "a half-made run was left");
    assert_eq!(world.lives(), 1, "the refused one wrote into the journal");
    // The first may have begun something meanwhile.
    let still = processes(world);
    assert!(alive.iter().all(|pid| still.contains(pid)), "something of the first was ended: {alive:?} {still:?}");
}

#[test]
fn a_session_can_be_begun_by_one_ccc_only() {
    let world = World::new(&two_turns());
    let running = first(&world, &["--session-id", SESSION]);
    second_is_refused(&world, &running, &["--session-id", SESSION]);
    second_is_refused(&world, &running, &["--resume", SESSION]);
    second_is_refused(&world, &running, &["-r", SESSION]);
    world.ground.write("../home/go", "");
    running.end().assert_code(0);
    world.assert_said_once(&[TASK, FEEDBACK]);
}

#[test]
fn a_session_can_be_gone_on_with_by_one_ccc_only() {
    let world = World::new(&json!({"agent": [], "critic": []}));
    let before = world.start(&["--", "--session-id", SESSION]).end();
    before.assert_code(0);
    fs::remove_dir_all(world.run_dir()).expect("rm");

    let running = first(&world, &["--resume", SESSION]);
    second_is_refused(&world, &running, &["--resume", SESSION]);
    world.ground.write("../home/go", "");
    let ended = running.end();
    ended.assert_code(0);
    assert_eq!(ended.result()["session_id"], SESSION);
}

/// Has the scripted agent's sessions lie where the CLI keeps those of the project.
fn link_records(world: &World) {
    let named = world.ground.project().display().to_string();
    let named: String = named.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    let projects = world.ground.home().join(".claude/projects");
    fs::create_dir_all(&projects).expect("a folder");
    std::os::unix::fs::symlink(world.ground.home().join("scripted"), projects.join(named)).expect("a link");
}

/// A session that has ended, whose run is forgotten.
fn ended_session(world: &World) {
    world.start(&["--", "--session-id", SESSION]).end().assert_code(0);
    fs::remove_dir_all(world.run_dir()).expect("rm");
}

#[test]
fn the_latest_session_can_be_gone_on_with_by_one_ccc_only_before_its_id_is_told() {
    let world = World::new(&json!({"agent": [], "critic": []}));
    ended_session(&world);
    link_records(&world);
    // The first agent is started and says nothing: nobody knows its session from it.
    world.hold("agent");
    let running = world.start(&["--", "--continue"]);
    world.until_file("held");
    let refused = world.start(&["--share-tree", "--", "--continue"]).wait();
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    for word in [SESSION, "in use", &running.pid().to_string(), "hint:"] {
        assert!(refused.stderr.contains(word), "no {word:?} in {}", refused.stderr);
    }
    assert_eq!(world.ground.runs().len(), 1, "a half-made run was left");
    second_is_refused_sharing(&world, &running, &["--resume", SESSION]);
    running.signal(rustix::process::Signal::TERM);
    running.wait();
}

#[track_caller]
fn second_is_refused_sharing(world: &World, first: &Running<'_>, args: &[&str]) {
    let all: Vec<&str> = ["--share-tree", "--"].iter().chain(args).copied().collect();
    let refused = world.start(&all).wait();
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains(&first.pid().to_string()), "{}", refused.stderr);
}

#[test]
fn a_session_that_the_agent_names_and_another_ccc_has_ends_the_run_and_not_the_other() {
    let world = World::new(&json!({"agent": [], "critic": []}));
    ended_session(&world);
    let running = first(&world, &["--resume", SESSION]);
    let run = world.run_id();
    // Without records in the usual place the latest session cannot be told beforehand.
    let second = world.start(&["--share-tree", "--", "--continue"]).wait();
    assert_eq!(second.status.code(), Some(130), "{}", second.stderr);
    let said = format!("{}{}", second.stdout, second.stderr);
    for word in ["the session cannot be taken", SESSION, "in use", &run] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    world.ground.write("../home/go", "");
    running.end().assert_code(0);
}

#[test]
fn a_second_run_in_the_same_tree_is_refused_and_names_the_first() {
    let world = World::new(&two_turns());
    world.ground.write("sub/file", "");
    let running = first(&world, &[]);
    let id = world.run_id();
    let root = world.ground.project();
    let pid = running.pid().to_string();
    let mut below = world.command(&[]);
    below.current_dir(root.join("sub"));
    let (mut nested, mut above) = (world.command(&[]), world.command(&[]));
    fs::create_dir_all(root.join("nested/.git")).expect("a repository of its own");
    nested.current_dir(root.join("nested"));
    above.current_dir(root.parent().expect("a parent"));
    let seconds = [
        ("the same directory", world.command(&[])),
        ("a directory of the same repository", below),
        ("a repository in the directory", nested),
        ("the directory above", above),
    ];
    fs::create_dir(root.join(".git")).expect("a repository");
    // The first began without one, so its tree is the directory itself; this repository's top is the same.
    for (what, mut second) in seconds {
        let refused = Running::spawn(&world.ground, &mut second).wait();
        assert_eq!(refused.status.code(), Some(2), "{what}: {}", refused.stderr);
        for word in [
            root.to_str().expect("UTF-8"),
            "in use",
            &pid,
            &format!("ccc attach {id}"),
            &format!("ccc stop {id}"),
            "--share-tree",
        ] {
            assert!(refused.stderr.contains(word), "{what}: no {word:?} in {}", refused.stderr);
        }
        assert_eq!(world.ground.runs().len(), 1, "{what}: a half-made run was left");
    }
    fs::remove_dir(root.join(".git")).expect("removed");
    world.ground.write("../home/go", "");
    running.end().assert_code(0);
    world.start(&[]).end().assert_code(0);
}

#[test]
fn runs_that_mean_to_share_a_tree_do() {
    let world = World::new(&two_turns());
    let running = first(&world, &[]);
    let sharing = world.start(&["--share-tree"]).wait();
    assert_eq!(sharing.status.code(), Some(0), "{}", sharing.stderr);
    world.ground.write("../home/go", "");
    running.end().assert_code(0);
}

#[test]
fn a_tree_is_free_again_when_its_ccc_was_killed_and_a_resumed_run_takes_it() {
    let world = World::new(&two_turns());
    let running = first(&world, &[]);
    world.kill(running);
    let dead = world.run_id();
    fs::remove_file(world.ground.home().join("checking")).expect("removed");
    let other = first(&world, &[]);
    let refused = world.run(&["resume", &dead]);
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    for word in ["in use", &other.pid().to_string(), "--share-tree"] {
        assert!(refused.stderr.contains(word), "no {word:?} in {}", refused.stderr);
    }
    world.ground.write("../home/go", "");
    other.end().assert_code(0);
    let resumed = world.run(&["resume", &dead]);
    assert_eq!(resumed.status.code(), Some(0), "{}", resumed.stderr);
}

#[test]
fn a_session_is_free_again_when_its_ccc_was_killed() {
    let world = World::new(&two_turns());
    let running = first(&world, &["--session-id", SESSION]);
    world.kill(running);
    world.ground.write("../home/go", "");
    let ended = world.resume(&[]).end();
    ended.assert_code(0);
    world.assert_no_survivors();
    world.assert_said_once(&[TASK, FEEDBACK]);
}

#[test]
fn a_run_is_not_resumed_while_another_has_its_session() {
    let world = World::new(&two_turns());
    let running = first(&world, &["--session-id", SESSION]);
    world.kill(running);
    let dead = world.run_id();
    fs::remove_file(world.ground.home().join("checking")).expect("rm");
    let other = first(&world, &["--resume", SESSION]);
    let refused = world.run(&["resume", &dead]);
    assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains(&other.pid().to_string()), "{}", refused.stderr);
    assert!(!world.ground.alive(other.pid()).is_empty());
    world.ground.write("../home/go", "");
    other.end().assert_code(0);
}

/// The processes of the first, without those that its check starts anew all the time.
fn processes(world: &World) -> Vec<u32> {
    world.ground.alive(0).into_iter().filter(|(_, command)| !command.starts_with("sleep")).map(|(pid, _)| pid).collect()
}
