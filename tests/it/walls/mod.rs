//! The walls around a run, with both real CLIs: what agents have really been seen to destroy stays, and ordinary work goes on.
//!
//! Everything here happens in homes that are thrown away, outside of the directories for temporary files, which may be written
//! behind the walls. Each command looks for the mark of such a home first.

mod agent_sandbox;
mod attacks;
mod ground;

use std::fs;

use serde_json::{Value, json};

use crate::scripted_api::{Block, Reply, ScriptedApi};
use crate::walls::attacks::{ATTACKS, Attack, WORK};
use crate::walls::ground::World;
use crate::whole_runs::harness::{Ground, approval, bash, look_until, script, text};
use crate::whole_runs::requests::{critics, tool_results};
use ccc::process::Means;

const SKIPS: [&str; 2] = ["--", "--dangerously-skip-permissions"];
/// What the system, and ccc's hook, say when something is denied.
const DENIALS: [&str; 6] = [
    "Permission denied",
    "Operation not permitted",
    "Read-only file system",
    "Device or resource busy",
    "may not push",
    "EACCES",
];

/// Whether walls can be tested here; says loudly if not.
fn means() -> Option<Means> {
    let means = Means::find();
    if means.wall.is_none() || !means.mounts {
        eprintln!("\n*** NOT TESTED: this system has no Landlock, or allows no mounts: {means:?} ***\n");
        return None;
    }
    Some(means)
}

fn call(attack: &Attack) -> Block {
    match attack {
        Attack::Shell(command) => {
            Block::tool("Bash", json!({"command": ground::guarded(command), "description": "a step"}))
        }
        Attack::Write(file, content) => Block::tool("Write", json!({"file_path": file, "content": content})),
    }
}

on_both! {
    fn what_agents_have_destroyed_stays_and_work_goes_on(cli) {
        let Some(_) = means() else { return };
        let world = World::new();
        let before = world.seen();
        let home = world.home();
        let attacks: Vec<Attack> = ATTACKS.iter().map(|attack| attack.at(&home)).collect();
        let calls = WORK.iter().map(|work| Attack::Shell(work)).chain(attacks.iter().cloned());
        let agent = vec![Reply::blocks(calls.map(|attack| call(&attack)).collect()), Reply::text("Done.")];
        // On a copy all of it works; without one, nothing of it is done to the tree.
        let critic = "echo x > by-critic && rm README.md && mkdir -p target && test ! -e README.md && echo COPY-WORKS";
        let api = ScriptedApi::start(script(agent, vec![bash(critic), approval()])).unwrap();
        let check = "(echo x > ../sibling/by-check) 2>/dev/null; test ! -e ../sibling/by-check && test -f work.txt";
        let args: Vec<&str> = ["-p", "do it", "--check", check].into_iter().chain(SKIPS).collect();
        let ended = world.ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["completed"], "{}", ended.stdout);
        world.assert_unharmed(&before);

        let requests = api.requests();
        let results = tool_results(&requests[1].body);
        assert_eq!(results.len(), WORK.len() + ATTACKS.len(), "{results:#?}");
        let (work, attacked) = results.split_at(WORK.len());
        for result in work {
            assert!(result.contains("-WORKS"), "{result}");
        }
        let denied = attacked.iter().filter(|result| DENIALS.iter().any(|denial| result.contains(denial))).count();
        assert!(denied * 10 >= ATTACKS.len() * 8, "{denied} of {} were denied: {attacked:#?}", ATTACKS.len());

        // The critic worked on a copy that nothing is left of.
        let of_critic = critics(&requests);
        let journal = fs::read_to_string(ended.run_dir().join("journal.jsonl")).unwrap();
        let header: Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
        let in_force = text(&header["walls"]);
        assert!(in_force.starts_with("Landlock "), "{header}");
        let has_copy = in_force.contains("the critic gets a copy of the tree");
        let worked = tool_results(&of_critic[1].body).iter().any(|result| result.contains("COPY-WORKS"));
        assert_eq!(worked, has_copy, "{in_force}: {of_critic:#?}");
        assert!(world.project().join("README.md").is_file() && !world.project().join("by-critic").exists());
        let left: Vec<String> = fs::read_dir(ended.run_dir()).unwrap().flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned()).filter(|name| name.starts_with("critic-tree")).collect();
        assert!(left.is_empty(), "{left:?}");

        // It shares the agent's prompt, and the CLI keeps its own files.
        for part in ["tools", "system"] {
            assert_eq!(of_critic[0].body[part], requests[1].body[part], "the critic's {part} differs from the agent's");
        }
        let kept: Value = serde_json::from_slice(&fs::read(home.join(".claude.json")).unwrap()).unwrap();
        assert!(kept["projects"].is_object(), "{kept}");
        assert!(fs::read_dir(home.join(".claude/projects")).unwrap().next().is_some(), "the session's record");

        // What is in force is said, as it stands in the journal.
        assert!(ended.stderr.contains(&in_force), "{}", ended.stderr);
    }
}

#[test]
fn the_same_without_walls_destroys_something_each_time() {
    let world = World::new();
    for attack in ATTACKS {
        let copy = world.copied();
        let before = copy.seen();
        copy.suffer(&attack.at(&copy.home()));
        // A killed process needs a moment to die.
        look_until(&format!("harm without walls by {attack:?}"), || (copy.seen() != before).then_some(()));
    }
}

#[test]
fn walls_that_are_asked_for_and_cannot_be_had_are_an_error() {
    let world = World::new();
    world.ground.user_settings(&json!({"sandbox": {"enabled": true}}));
    let agent =
        world.ground.scripted_agent(&json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]}));
    let run = |guard: &str| {
        let args = ["--supervisor", "-p", "do it", "--guard", guard, "--agent", agent.to_str().unwrap()];
        world.ground.start("http://127.0.0.1:9", args).wait()
    };
    let ended = run("landlock");
    ended.assert_code(2);
    assert!(
        ended.stderr.contains("guard.mode is landlock") && ended.stderr.contains("--guard auto"),
        "{}",
        ended.stderr
    );
    assert!(world.ground.runs().is_empty(), "nothing was begun");
    let ended = run("auto");
    assert!(ended.stderr.contains("there are no walls around the agent"), "{}", ended.stderr);
}

#[test]
fn without_walls_what_git_would_run_is_named_at_the_end_when_the_agent_has_changed_it() {
    let command = "printf '#!/bin/sh\\n' > .git/hooks/post-commit; git config core.pager evil; : > .git/config.worktree; \
                   mkdir .git/evil; echo evil > .git/commondir";
    let tool = json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}});
    let play = json!({"agent": [[tool, {"say": "Done."}]], "critic": [[{"say": "[TASK_COMPLETED]"}]]});
    let world = crate::ownfaults::world::World::on(Ground::new(), &play);
    let agent = world.agent.display().to_string();
    let ended = world.run(&["--supervisor", "-p", "do it", "--agent", &agent, "--plain", "--guard", "off"]);
    ended.assert_code(0);
    let said = ended.stderr.replace('\n', " ");
    for (file, is_named) in [("hooks/post-commit", true), (".git/config", true), ("config.worktree", false)] {
        assert_eq!(said.contains(&format!("{file} was changed during the run")), is_named, "{file}: {said}");
    }
    // With it git would take hooks and configuration from the agent's directory.
    assert!(said.contains(".git/commondir was made during the run"), "{said}");
    assert!(!world.ground.project().join(".git/commondir").exists(), "it leads git to the agent's directory");
    assert_eq!(world.ground.read(".git/commondir.kept-by-ccc"), "evil\n");
}
