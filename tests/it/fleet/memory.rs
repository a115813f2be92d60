//! The memory and the processes of agents are limited by scopes of systemd, where it makes them.

use std::fs;

use serde_json::json;

use crate::ownfaults::world::{TASK, World};
use crate::whole_runs::harness::Ground;

/// A world with this program in the place of systemd-run, in which agents may use 4 GiB and 512 processes.
fn world(systemd_run: &str) -> World {
    let ground = Ground::new();
    let program = ground.script("systemd-run", systemd_run);
    let path =
        format!("{}:{}", program.parent().expect("a directory").display(), std::env::var("PATH").expect("a PATH"));
    let ground = ground.env("PATH", path).env("CCC_AGENT_MEMORY_MAX", "4G").env("CCC_AGENT_TASKS_MAX", "512");
    World::on(
        ground,
        &json!({
            "agent": [[{"say": "First done."}]],
            "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
        }),
    )
}

fn new(world: &World) -> (String, String) {
    let agent = world.agent.display().to_string();
    let started = world.run(&["new", TASK, "--agent", &agent, "--name", "login"]);
    started.assert_code(0);
    world.run(&["wait", "login"]).assert_code(0);
    (started.stdout.trim().to_owned(), started.stderr.clone())
}

#[test]
fn each_process_of_an_agent_is_started_in_a_scope_with_its_limit() {
    let world = world("echo \"$*\" >> \"$HOME/scopes\"; while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"");
    let (id, said) = new(&world);
    assert!(!said.contains("not enforced"), "{said}");
    let asked = fs::read_to_string(world.ground.home().join("scopes")).expect("it was asked");
    let scopes: Vec<&str> = asked.lines().filter(|line| line.contains(&format!("--unit=ccc-{id}-"))).collect();
    // One for the agent, one for the critic.
    assert_eq!(scopes.len(), 2, "{asked}");
    let units = scopes.iter().map(|line| line.split(' ').find(|word| word.starts_with("--unit=")));
    let mut units: Vec<_> = units.collect();
    units.dedup();
    assert_eq!(units.len(), 2, "{asked}");
    for scope in scopes {
        for part in [
            "--scope",
            "--collect",
            "--property=MemoryMax=4294967296",
            "--property=TasksMax=512",
            "-- ",
            &world.agent.display().to_string(),
        ] {
            assert!(scope.contains(part), "{part}: {scope}");
        }
    }
}

#[test]
fn where_systemd_makes_no_scope_the_user_is_told_what_is_not_enforced() {
    let world = world("echo 'Failed to connect to bus' >&2; exit 1");
    let (id, said) = new(&world);
    // It is a fact of the run, which its report and `ccc explain` name.
    let journal = fs::read_to_string(world.run_dir().join("journal.jsonl")).expect("a journal");
    let setting =
        if cfg!(target_os = "linux") { "agent.memory_max for all processes together" } else { "agent.memory_max" };
    let told = format!(r#"{{"operator":{{"not_enforced":{{"setting":"{setting}"#);
    assert!(journal.contains(&told) && journal.contains(r#""why":"systemd-run makes"#), "{id}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [setting, "is not enforced", "systemd-run makes no scope: Failed to connect to bus"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// As it is told to the kernel, in KiB.
#[cfg(target_os = "linux")]
#[test]
fn without_systemd_each_process_of_the_agent_has_the_limit_and_a_failed_allocation_is_named() {
    let ground = Ground::new();
    let program = ground.script("systemd-run", "exit 1");
    let path =
        format!("{}:{}", program.parent().expect("a directory").display(), std::env::var("PATH").expect("a PATH"));
    let ground = ground.env("PATH", path).env("CCC_AGENT_MEMORY_MAX", "4G");
    let crash = json!([[
        {"stderr": "memory allocation of 32866304 bytes failed"},
        {"crash": {"signal": 6}},
    ]]);
    let steps = json!({
        "agent": [crash[0], [{"say": "First done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    });
    let world = World::with_prelude(ground, &steps, "ulimit -d >> \"$home/limits\"");
    let (_, said) = new(&world);
    let limits = fs::read_to_string(world.ground.home().join("limits")).expect("they were started");
    let mut limits: Vec<&str> = limits.lines().collect();
    assert!(limits.len() >= 3, "the agent twice, the critic: {limits:?}");
    limits.dedup();
    // Where ccc may make control groups, there is no need for it.
    if limits == ["unlimited"] && !said.contains("is not enforced") {
        return;
    }
    assert_eq!(limits, ["4194304"], "{said}");
    let journal = fs::read_to_string(world.run_dir().join("journal.jsonl")).expect("a journal");
    assert!(journal.contains(r#""out_of_memory":true"#), "{journal}");
    assert!(world.run(&["explain", "login"]).stdout.contains("its memory (agent.memory_max) was used up"));
}
