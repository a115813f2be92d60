//! An agent that has removed or replaced `.git` of its worktree: each command names what to type, and works after that.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::agents::{bash, listed, new, tree_of};
use crate::ownfaults::world::World;
use crate::whole_runs::harness::{Ended, Ground};

/// What the agent has done to `.git`.
const DEEDS: [&str; 6] = [
    "rm .git",
    "rm .git && git init -q && git add . && git -c user.name=a -c user.email=a@b commit -qm Own",
    "mv .git kept && ln -s kept .git && echo gitdir: /nowhere > kept",
    "rm .git && ln -s nothing .git",
    "rm .git && ln -s PROJECT/.git .git",
    "echo gitdir: /tmp > .git",
];

/// A completed agent whose work is committed, and what it has done to `.git` after that.
fn broken(deed: &str) -> World {
    let ground = Ground::new();
    let deed = deed.replace("PROJECT", &ground.project().display().to_string());
    let script = json!({
        "agent": [
            [
                bash("echo one > one.txt && git add one.txt && git -c user.name=a -c user.email=a@b commit -qm One"),
                bash(&deed),
                {"say": "Done."}
            ],
            [{"say": "Done again."}]
        ],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 2],
    });
    let world = World::on(ground, &script);
    new(&world, &["--name", "fox"]).assert_code(0);
    world.run(&["wait", "fox"]).assert_code(0);
    world
}

/// Types what a refused command says, and the command again.
#[track_caller]
fn again<'a>(world: &'a World, args: &[&str], deed: &str) -> Ended<'a> {
    let refused = world.run(args);
    let said = refused.stderr.split_once("to mend it, type this, and then the same command again: ");
    let Some(command) = said.and_then(|(_, rest)| rest.lines().next()) else {
        panic!("{args:?} after {deed:?}: {}", refused.stderr)
    };
    let typed = Command::new("sh").args(["-c", command]).current_dir("/").status().expect("a shell");
    assert!(typed.success(), "{command}");
    let ended = world.run(args);
    assert!(ended.status.success(), "{args:?} after {deed:?} and {command}: {}", ended.stderr);
    ended
}

fn holds(dir: &Path, name: &str) -> bool {
    fs::symlink_metadata(dir.join(name)).is_ok()
}

#[test]
fn whatever_an_agent_has_made_of_its_git_file_each_command_names_what_mends_it() {
    for deed in DEEDS {
        let world = broken(deed);
        let tree = tree_of(&listed(&world)[0]);
        assert!(again(&world, &["diff", "fox"], deed).stdout.contains("+one"), "{deed}");
        world.run(&["merge", "fox"]).assert_code(0);
        world.run(&["kill", "fox", "--yes"]).assert_code(0);
        assert!(!holds(&tree, ""), "{deed}");
        assert_eq!(world.ground.read("one.txt"), "one\n");
    }
}

#[test]
fn each_command_on_an_agent_whose_git_file_is_gone_can_be_typed_again() {
    let (own, link) = (DEEDS[1], DEEDS[2]);
    for (deed, args) in [
        (own, ["merge", "fox"].as_slice()),
        (own, &["kill", "fox", "--yes"]),
        (link, &["gc"]),
        (own, &["resume", "fox", "-p", "More."]),
        (link, &["checkpoints", "fox"]),
    ] {
        let world = broken(deed);
        if args == ["gc"] {
            // It removes work that is merged.
            world.ground.git(&["merge", "-q", "agent/fox"]);
        }
        again(&world, args, deed);
    }
}
