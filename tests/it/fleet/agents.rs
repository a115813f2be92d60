//! One agent, and several: started, seen, waited for, removed.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::ownfaults::world::{TASK, World};
use crate::whole_runs::harness::{Ended, Ground, look_until};

/// A world whose project is a git repository, and whose agents do this in their first turn.
fn world(first: &Value) -> World {
    let script = json!({
        "agent": [first, [{"say": "Second done."}], [{"say": "Third done."}]],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
    });
    World::on(Ground::new(), &script)
}

/// A step that runs this command.
pub(super) fn bash(command: &str) -> Value {
    json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}})
}

/// A step that lasts until [`go`].
pub(super) fn waits(world: &World) -> Value {
    let home = world.ground.home().display().to_string();
    bash(&format!("echo begun >> {home}/begun; while [ ! -e {home}/go ]; do sleep 0.02; done"))
}

pub(super) fn go(world: &World) {
    fs::write(world.ground.home().join("go"), "").expect("written");
}

/// Starts an agent.
pub(super) fn new<'a>(world: &'a World, args: &[&str]) -> Ended<'a> {
    let agent = world.agent.display().to_string();
    let all: Vec<&str> = ["new", TASK, "--agent", &agent].into_iter().chain(args.iter().copied()).collect();
    world.run(&all)
}

pub(super) fn listed(world: &World) -> Vec<Value> {
    let ended = world.run(&["list", "--json"]);
    ended.assert_code(0);
    serde_json::from_str(&ended.stdout).expect("a JSON array")
}

pub(super) fn tree_of(listed: &Value) -> PathBuf {
    PathBuf::from(listed["tree"]["path"].as_str().expect("a worktree"))
}

#[test]
fn an_agent_works_on_a_branch_of_its_own_and_is_removed_without_loss() {
    let world = world(&json!([
        bash("echo one > one.txt && git add one.txt && git -c user.name=a -c user.email=a@b commit -qm One"),
        bash("echo two > two.txt; echo $CCC_PORT > port.txt; command -v ccc > ccc.txt"),
        {"say": "First done."}
    ]));
    let started = new(&world, &["--name", "login"]);
    started.assert_code(0);
    let id = started.stdout.trim().to_owned();
    assert!(started.stderr.contains("ccc look login"), "{}", started.stderr);
    let waited = world.run(&["wait", "login"]);
    waited.assert_code(0);
    assert_eq!(waited.stdout.trim(), "login: completed");
    let agent = listed(&world).pop().expect("an agent");
    assert_eq!((agent["name"].as_str(), agent["state"].as_str()), (Some("login"), Some("completed")));
    let tree = tree_of(&agent);
    assert!(fs::read_to_string(tree.join("ccc.txt")).expect("written").trim().ends_with("/ccc"));
    let port = fs::read_to_string(tree.join("port.txt")).expect("written");
    assert_eq!(port.trim(), agent["ports"][0].to_string());
    // The user's tree has none of it.
    assert_eq!(world.ground.git(&["status", "--porcelain"]), "");
    assert!(!world.ground.project().join("one.txt").exists());
    let diff = world.run(&["diff", "login"]);
    diff.assert_code(0);
    assert!(diff.stdout.contains("+one") && diff.stdout.contains("+two"), "{}", diff.stdout);
    let refused = world.run(&["kill", "login"]);
    refused.assert_code(2);
    assert!(refused.stderr.contains("--yes") && tree.exists(), "{}", refused.stderr);
    let killed = world.run(&["kill", "login", "--yes"]);
    killed.assert_code(0);
    assert!(!tree.exists(), "{}", killed.stderr);
    let salvage = format!("refs/ccc/salvage/{id}/1");
    assert!(killed.stderr.contains(&salvage) && killed.stderr.contains("agent/login"), "{}", killed.stderr);
    assert_eq!(world.ground.git(&["show", &format!("{salvage}:two.txt")]).trim(), "two");
    assert_eq!(world.ground.git(&["show", "agent/login:one.txt"]).trim(), "one");
    assert!(listed(&world).is_empty());
    // What the hint says shows all of it, and without what was saved the commits of the branch.
    let all: [(&[&str], &[&str]); 3] = [
        (&["+one", "+two"], &["update-ref", "-d", &salvage]),
        (&["+one"], &["branch", "-D", "agent/login"]),
        (&[], &["status"]),
    ];
    for (shown, then) in all {
        let diff = world.run(&["diff", &id]);
        diff.assert_code(2);
        let said = diff.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, command) = said.split_once(": git -C ").expect("a command");
        let (_, args) = command.split_once(' ').expect("what git does");
        let patch = world.ground.git(&args.split(' ').collect::<Vec<_>>());
        assert!(shown.iter().all(|line| patch.contains(line)), "{said}: {patch}");
        world.ground.git(then);
    }
    // Its run can still be read, and its name is free.
    world.run(&["explain", &id]).assert_code(0);
    new(&world, &["--name", "login", "--no-worktree", "--share-tree"]).assert_code(0);
    world.run(&["wait", "login"]).assert_code(0);
}

#[test]
fn a_name_that_is_taken_and_a_tree_that_cannot_be_made_leave_nothing_behind() {
    let world = world(&json!([{"say": "First done."}]));
    new(&world, &["--name", "login"]).assert_code(0);
    world.run(&["wait", "login"]).assert_code(0);
    let runs = world.ground.runs().len();
    let refused = new(&world, &["--name", "login"]);
    refused.assert_code(2);
    assert!(refused.stderr.contains("the name `login` belongs to run"), "{}", refused.stderr);
    let refused = new(&world, &["--name", "other", "--base", "nothing-like-it"]);
    refused.assert_code(2);
    assert!(
        refused.stderr.contains("nothing-like-it") && refused.stderr.contains("git branch -a"),
        "{}",
        refused.stderr
    );
    let refused = new(&world, &["--name", "2bad"]);
    refused.assert_code(2);
    assert_eq!(world.ground.runs().len(), runs);
    assert_eq!(world.ground.git(&["branch", "--list", "agent/*"]).lines().count(), 1);
    assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 2);
    let refused = world.run(&["new"]);
    refused.assert_code(2);
    assert!(refused.stderr.contains("ccc new \"TASK\""), "{}", refused.stderr);
    // What was not given away is free, and several agents share a name by numbers.
    new(&world, &["--name", "other", "--count", "2"]).assert_code(0);
    world.run(&["wait", "other", "other-2"]).assert_code(0);
}

#[test]
fn many_agents_start_at_once_and_are_ended_by_one_command() {
    let world = World::on(Ground::new(), &Value::Null);
    world.play(&json!({
        "agent": [[waits(&world), {"say": "First done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let agent = world.agent.display().to_string();
    let starting: Vec<_> = (0..6)
        .map(|_| world.ccc(&["new", TASK, "--agent", &agent]).stderr(std::process::Stdio::null()).spawn().expect("ccc"))
        .collect();
    for mut one in starting {
        assert!(one.wait().expect("it ends").success());
    }
    look_until("six agents that work", || {
        let begun = fs::read_to_string(world.ground.home().join("begun")).unwrap_or_default();
        (begun.lines().count() == 6).then_some(())
    });
    let agents = listed(&world);
    let mut names: Vec<&str> = agents.iter().filter_map(|agent| agent["name"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut ports: Vec<i64> = agents.iter().filter_map(|agent| agent["ports"][0].as_i64()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!((agents.len(), names.len(), ports.len()), (6, 6, 6), "{agents:?}");
    let shown = world.run(&["tree"]);
    assert_eq!(shown.stdout.lines().filter(|line| line.contains("working")).count(), 6, "{}", shown.stdout);
    let nuked = world.run(&["nuke", "--yes"]);
    nuked.assert_code(0);
    let archive = world.ground.state().join("archive");
    let said = nuked.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("their journals are in {}", archive.display())), "{}", nuked.stderr);
    // Where it is read is told of each.
    for wanted in [names[0], agents[0]["id"].as_str().expect("an id")] {
        let gone = world.run(&["explain", wanted]);
        gone.assert_code(2);
        let said = gone.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, path) = said.split_once("type: ccc explain ").expect("a command");
        let path = path.split(' ').next().expect("a path");
        assert!(path.starts_with(&archive.display().to_string()), "{path}");
        world.run(&["explain", path]).assert_code(0);
    }
    assert!(listed(&world).is_empty());
    assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(fs::read_dir(world.ground.state().join("archive")).expect("an archive").count(), 6);
    look_until("the end of all processes", || world.ground.alive(0).is_empty().then_some(()));
    look_until("the end of the keeper", || world.ground.keeper().is_none().then_some(()));
}

#[test]
fn after_a_reboot_all_agents_that_had_not_ended_go_on() {
    let world = World::on(Ground::new(), &Value::Null);
    world.play(&json!({
        "agent": [[waits(&world), {"say": "First done."}], [{"say": "Second done."}], [{"say": "Third done."}]],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
    }));
    for name in ["one", "two"] {
        new(&world, &["--name", name]).assert_code(0);
    }
    look_until("two agents that work", || {
        let begun = fs::read_to_string(world.ground.home().join("begun")).unwrap_or_default();
        (begun.lines().count() == 2).then_some(())
    });
    // All processes at once, as a power cut ends them: first the keeper, which would revive the others, then the hosts.
    let mut hosts = world.ground.alive(0);
    hosts.sort_by_key(|(_, command)| !command.contains("--hosted"));
    let keeper = world.ground.keeper();
    for pid in keeper.into_iter().chain(hosts.into_iter().map(|(pid, _)| pid)) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    look_until("the end of all processes", || world.ground.alive(0).is_empty().then_some(()));
    // A program that a host was just starting may hold the host's lock until it has begun.
    look_until("two agents that have died", || {
        listed(&world).iter().all(|agent| agent["state"] == "died").then_some(())
    });
    go(&world);
    let resumed = world.run(&["resume", "--all"]);
    resumed.assert_code(0);
    assert_eq!(resumed.stdout.lines().count(), 2, "{}", resumed.stdout);
    world.run(&["wait", "one", "two"]).assert_code(0);
    let again = world.run(&["resume", "--all"]);
    again.assert_code(0);
    assert!(again.stderr.contains("no agent is to be continued"), "{}", again.stderr);
}

#[test]
fn work_that_is_merged_is_cleared_away_and_no_other() {
    let world = world(&json!([
        bash("echo one > one.txt && git add one.txt && git -c user.name=a -c user.email=a@b commit -qm $(git branch --show-current)"),
        {"say": "First done."}
    ]));
    for name in ["merged", "open"] {
        new(&world, &["--name", name, "--no-supervisor"]).assert_code(0);
        world.run(&["wait", name]).assert_code(0);
    }
    world.ground.git(&["merge", "-q", "agent/merged"]);
    let told = world.run(&["gc", "--dry-run"]);
    told.assert_code(0);
    let what = "the worktree of merged and its branch agent/merged: its work is merged";
    assert_eq!(told.stdout.trim(), format!("would remove {what}"));
    assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 3);
    let cleared = world.run(&["gc"]);
    cleared.assert_code(0);
    assert_eq!(cleared.stdout.trim(), format!("removed {what}"));
    assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 2);
    assert_eq!(world.ground.git(&["branch", "--list", "agent/*", "--format=%(refname:short)"]).trim(), "agent/open");
    let again = world.run(&["gc"]);
    again.assert_code(0);
    assert_eq!(again.stdout, "");
}

#[test]
fn an_agents_own_check_decides_over_its_merge_and_one_without_any_is_said() {
    let world = world(&json!([
        bash("echo one > one.txt && git add one.txt && git -c user.name=a -c user.email=a@b commit -qm one"),
        {"say": "Done."}
    ]));
    new(&world, &["--name", "bad", "--check", "false", "--max-iterations", "1"]).assert_code(0);
    world.run(&["wait", "bad"]);
    let merged = world.run(&["merge", "bad"]);
    merged.assert_code(1);
    assert!(merged.stderr.contains("the check `false` exited with 1 on the result"), "{}", merged.stderr);
    let anyway = world.run(&["merge", "bad", "--no-checks"]);
    anyway.assert_code(0);
    assert!(anyway.stderr.contains("no check was run on the result (--no-checks)"), "{}", anyway.stderr);
}

/// What the agent makes of the protected test decides over nothing, and is merged as it is.
#[test]
fn the_checks_of_a_merge_see_protected_files_as_the_branch_has_them() {
    for (work, bent, code) in [("bad", "true", 1), ("good", "false", 0)] {
        let world = world(&json!([
            bash(&format!(
                "echo {work} > work.txt && echo {bent} > tests/t.sh && git add -A && \
                 git -c user.name=a -c user.email=a@b commit -qm {work}"
            )),
            {"say": "Done."}
        ]));
        world.ground.write("tests/t.sh", "grep -q good work.txt\n");
        world.ground.git(&["add", "-A"]);
        world.ground.git(&["commit", "-qm", "a test"]);
        let args = ["--name", "fox", "--check", "sh tests/t.sh", "--protect", "tests/**", "--max-iterations", "1"];
        new(&world, &args).assert_code(0);
        world.run(&["wait", "fox"]);
        let merged = world.run(&["merge", "fox"]);
        merged.assert_code(code);
        let (said, test) = if code == 0 {
            ("what is merged is the agent's version: tests/t.sh", "false\n")
        } else {
            (
                "the check `sh tests/t.sh` exited with 1 on the result, with tests/t.sh as main has it\n",
                "grep -q good work.txt\n",
            )
        };
        assert!(merged.stderr.contains(said), "{}", merged.stderr);
        if code == 1 {
            // It has spent its iterations, so that has to be lifted for it to correct anything.
            let hint = "to have the agent correct it: ccc resume";
            let hint = merged.stderr.lines().find(|line| line.contains(hint)).expect("a hint");
            assert!(
                hint.contains(" --max-iterations ") && hint.contains(" -p 'Your work could not be merged"),
                "{hint}"
            );
        }
        let tests = std::fs::read_to_string(world.ground.project().join("tests/t.sh")).expect("read");
        assert_eq!(tests, test);
    }
}

#[test]
fn commits_that_are_not_on_an_agents_branch_are_named_at_its_merge_and_at_its_end() {
    let world = world(&json!([
        bash("git checkout -q --detach && echo one > one.txt && git add one.txt && git -c user.name=a -c user.email=a@b commit -qm one"),
        {"say": "Done."}
    ]));
    new(&world, &["--name", "away", "--no-supervisor"]).assert_code(0);
    world.run(&["wait", "away"]).assert_code(0);
    let merged = world.run(&["merge", "away"]);
    merged.assert_code(1);
    assert!(merged.stderr.contains("its commits are not on its branch"), "{}", merged.stderr);
    let by_hand =
        merged.stderr.rsplit("git merge ").next().and_then(|rest| rest.split_whitespace().next()).expect("a command");
    let killed = world.run(&["kill", "away", "--yes"]);
    killed.assert_code(0);
    let said = format!("{}{}", killed.stdout, killed.stderr);
    let see = said.split("to see it: git ").nth(1).and_then(|rest| rest.lines().next()).expect("a command").to_owned();
    let seen = world.ground.git(&see.split(' ').collect::<Vec<_>>());
    assert!(seen.contains("+one"), "{see}: {seen}");
    world.ground.git(&["merge", "-q", by_hand]);
    assert!(world.ground.project().join("one.txt").is_file());
}

#[test]
fn work_that_is_not_committed_is_not_merged_and_the_command_that_asks_for_it_is_told() {
    let world = world(&json!([bash("echo one > one.txt"), {"say": "Done."}]));
    new(&world, &["--name", "open", "--no-supervisor"]).assert_code(0);
    world.run(&["wait", "open"]).assert_code(0);
    let merged = world.run(&["merge", "open"]);
    merged.assert_code(1);
    for part in [
        "not committed, so not merged: one.txt",
        "nothing to merge: its work is not committed",
        "to have the agent correct it: ccc resume ",
    ] {
        assert!(merged.stderr.contains(part), "{part}: {}", merged.stderr);
    }
    let paused = world.run(&["pause", "open"]);
    paused.assert_code(2);
    for part in ["it has completed", "ccc resume", "-p \"TEXT\""] {
        assert!(paused.stderr.contains(part), "{part}: {}", paused.stderr);
    }
}

#[test]
fn running_agents_that_change_the_same_file_are_named() {
    let world = World::on(Ground::new(), &Value::Null);
    let write = bash("name=$(basename $(git branch --show-current)); echo $name > same.txt; echo mine > $name.txt");
    world.play(&json!({
        "agent": [[write, waits(&world), {"say": "First done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    for name in ["one", "two"] {
        new(&world, &["--name", name]).assert_code(0);
    }
    look_until("two agents that have written", || {
        let begun = fs::read_to_string(world.ground.home().join("begun")).unwrap_or_default();
        (begun.lines().count() == 2).then_some(())
    });
    let shown = world.run(&["list"]);
    assert!(shown.stdout.contains("one and two change the same files: same.txt\n"), "{}", shown.stdout);
    let agents = listed(&world);
    assert_eq!(agents[0]["also_changed_by"], json!({"two": ["same.txt"]}));
    assert_eq!(agents[1]["also_changed_by"], json!({"one": ["same.txt"]}));
    go(&world);
    world.run(&["wait", "one", "two"]).assert_code(0);
    assert!(!world.run(&["list"]).stdout.contains("change the same files"));
}
