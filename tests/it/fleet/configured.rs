//! The files that settle how an agent works are those of the project in which it was asked for, also when they are not committed and
//! so are not in its worktree.

use std::fs;

use serde_json::{Value, json};

use super::agents::{listed, tree_of};
use crate::ownfaults::world::{TASK, World};
use crate::whole_runs::harness::{Ended, Ground, Running, journal};

/// An agent that is never done, in a project whose files are not committed: its bound, its check, and the critic's prompt.
fn world() -> World {
    let no = json!([{"say": "Not yet.\n\nMore is missing.\n\n[TASK_NOT_COMPLETED]"}]);
    let script = json!({"agent": vec![json!([{"say": "Done."}]); 6], "critic": vec![no; 6]});
    let world = World::on(Ground::new(), &script);
    world.ground.write(".gitignore", ".ccc.json\nSUPERVISOR.md\n");
    world.ground.git(&["add", ".gitignore"]);
    world.ground.git(&["commit", "-qm", "Ignored"]);
    world.ground.write("SUPERVISOR.md", "Look closely.\n");
    configure(&world, 1);
    world.ground.trust();
    world
}

fn configure(world: &World, max_iterations: u32) {
    let bounds = json!({"max_iterations": max_iterations, "max_cost_usd": 5.0});
    let check = format!("echo here >> {}/checked", world.ground.home().display());
    world.ground.write(".ccc.json", &json!({"budgets": bounds, "checks": [check]}).to_string());
}

fn typed<'a>(world: &'a World, dir: &std::path::Path, args: &[&str]) -> Ended<'a> {
    let mut command = world.ccc(args);
    command.current_dir(dir);
    Running::spawn(&world.ground, &mut command).wait()
}

/// The budgets that the last plan of the run has.
fn budgets(world: &World) -> Value {
    let entries = journal(&world.run_dir());
    let mut plans = entries.iter().filter_map(|entry| {
        [entry.pointer("/plan/budgets"), entry.pointer("/in/operator/plan/budgets")].into_iter().flatten().next()
    });
    plans.next_back().cloned().unwrap_or_else(|| panic!("no plan in {:?}", entries.first()))
}

#[test]
fn an_agent_goes_on_with_the_files_of_the_project_that_are_not_committed() {
    let world = world();
    let agent = world.agent.display().to_string();
    world.run(&["new", TASK, "--agent", &agent, "--name", "fox"]).assert_code(0);
    world.run(&["wait", "fox"]);
    let tree = tree_of(&listed(&world)[0]);
    assert!(!tree.join(".ccc.json").exists() && !tree.join("SUPERVISOR.md").exists());
    assert_eq!(budgets(&world)["max_iterations"], 1, "{}", budgets(&world));
    // Also where another project is, or none.
    for dir in [world.ground.project(), world.ground.home(), tree] {
        let resumed = typed(&world, &dir, &["resume", "fox"]);
        resumed.assert_code(4);
        assert!(!resumed.stderr.contains("changed since"), "{}: {}", dir.display(), resumed.stderr);
    }
    let home = world.ground.home();
    // Read again, the bound and the check are what they were.
    let reloaded = typed(&world, &home, &["resume", "fox", "--reload"]);
    reloaded.assert_code(4);
    assert!(reloaded.stderr.contains("SUPERVISOR.md"), "{}", reloaded.stderr);
    assert_eq!((&budgets(&world)["max_iterations"], &budgets(&world)["max_cost_usd"]), (&json!(1), &json!(5.0)));
    let checked = || fs::read_to_string(home.join("checked")).unwrap_or_default().lines().count();
    assert_eq!(checked(), 1);
    // A change in the project is one, and is taken.
    configure(&world, 2);
    let told = typed(&world, &home, &["resume", "fox"]);
    assert!(told.stderr.contains("changed since") && told.stderr.contains("budgets"), "{}", told.stderr);
    typed(&world, &home, &["resume", "fox", "--reload"]).assert_code(4);
    assert_eq!((budgets(&world)["max_iterations"].clone(), checked()), (json!(2), 2));
}

#[test]
fn an_agent_asked_for_in_a_directory_that_is_not_committed_is_configured_there() {
    let world = world();
    let dir = world.ground.project().join("web");
    fs::create_dir(&dir).expect("made");
    fs::write(dir.join(".ccc.json"), r#"{"budgets": {"max_iterations": 2}}"#).expect("written");
    let agent = world.agent.display().to_string();
    typed(&world, &dir, &["new", TASK, "--agent", &agent, "--name", "fox"]).assert_code(0);
    world.run(&["wait", "fox"]);
    assert_eq!(budgets(&world)["max_iterations"], 2);
    let resumed = world.run(&["resume", "fox", "--reload"]);
    resumed.assert_code(4);
    assert_eq!(budgets(&world)["max_iterations"], 2, "{}", resumed.stderr);
    // Without its directory nothing can be read again, and what the run has counts.
    fs::remove_dir_all(&dir).expect("removed");
    let refused = world.run(&["resume", "fox", "--reload"]);
    refused.assert_code(2);
    assert!(
        refused.stderr.contains("does not exist any more") && refused.stderr.contains("ccc resume"),
        "{}",
        refused.stderr
    );
    let resumed = world.run(&["resume", "fox"]);
    resumed.assert_code(4);
    assert!(!resumed.stderr.contains("changed since"), "{}", resumed.stderr);
}

#[test]
fn a_setup_that_is_not_committed_is_corrected_in_the_project_and_tried_again() {
    let script = json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]]});
    let world = World::on(Ground::new(), &script);
    let configure = |command: &str| {
        world.ground.write(".ccc.json", &json!({"worktree": {"setup": [command]}}).to_string());
        world.ground.trust();
    };
    configure("false");
    let agent = world.agent.display().to_string();
    drop(world.run(&["new", TASK, "--agent", &agent, "--name", "fox"]));
    drop(world.run(&["wait", "fox"]));
    configure("touch set-up");
    // Without the word the former command fails again.
    let same = world.run(&["setup", "fox"]);
    same.assert_code(1);
    assert!(same.stderr.contains("changed since this run began: the configuration (setup)"), "{}", same.stderr);
    let mended = world.run(&["setup", "fox", "--reload", "--json"]);
    mended.assert_code(0);
    let told: Value = serde_json::from_str(mended.stdout.trim()).expect("one object");
    assert_eq!(told["outcome"], "completed", "{told}");
    assert!(tree_of(&listed(&world)[0]).join("set-up").exists());
}
