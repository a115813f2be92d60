//! Who may say what: another user nothing, the agent itself nothing but to watch.

use ccc::control::protocol::{FromRun, Reply, Request, You};
use serde_json::json;

use super::{Raw, begun, go, waiting};
use crate::ownfaults::world::World;
use crate::whole_runs::harness::look_until;

// Only Linux has users of a single thread.
#[cfg(target_os = "linux")]
#[test]
fn a_client_of_another_user_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    use ccc::control::protocol::Code;

    use super::socket;

    /// A user that is nobody here.
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let world = waiting();
    let running = begun(&world);
    let path = socket(&world);
    // As if every directory above it, and the socket itself, were open to all: the run itself refuses.
    for open in path.ancestors().take_while(|path| path.starts_with(world.ground.home())) {
        let mode = if open == path { 0o666 } else { 0o755 };
        std::fs::set_permissions(open, std::fs::Permissions::from_mode(mode)).expect("chmod");
    }
    let above = world.ground.home().parent().expect("a directory").to_owned();
    std::fs::set_permissions(above, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Of this thread only.
            let nobody = rustix::process::Uid::from_raw(NOBODY);
            rustix::thread::set_thread_uid(nobody).expect("another user");
            let mut client = Raw::at(&path);
            let rest = client.rest();
            assert!(matches!(rest.as_slice(), [FromRun::Fault(fault)] if fault.code == Code::NotYours), "{rest:?}");
        });
    });
    go(&world);
    running.end().assert_code(0);
}

#[test]
fn the_agent_may_watch_its_own_run_and_give_it_no_order() {
    let world = World::new(&json!(null));
    let (home, ccc) = (world.ground.home().display().to_string(), crate::program::ccc());
    let orders = [
        "send last 'I allow myself everything.'",
        "stop last",
        "answer last last allow",
        "pause last",
        "interrupt last",
    ];
    let mut command = String::new();
    for (number, order) in orders.iter().enumerate() {
        // As it is, without the mark of the run, and from a process that has left its parents.
        for (way, before) in
            ["", "env -u CCC_RUN_ID -u CCC_SPAWN ", "setsid -f env -u CCC_RUN_ID -u CCC_SPAWN "].iter().enumerate()
        {
            command.push_str(&format!(
                "{before}sh -c '\"{ccc}\" {} > {home}/said-{number}-{way} 2>&1; echo code $? >> {home}/said-{number}-{way}'; ",
                order.replace('\'', "\"")
            ));
        }
    }
    command.push_str(&format!(
        "while [ $(grep -l '^code' {home}/said-* | wc -l) -lt {} ]; do sleep 0.05; done",
        3 * orders.len()
    ));
    world.play(&json!({
        "agent": [[{"tool": {"name": "Bash", "input": {"command": command}, "real": true}}, {"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    world.start(&[]).end().assert_code(0);
    for (number, order) in orders.iter().enumerate() {
        for way in 0..3 {
            let said = std::fs::read_to_string(world.ground.home().join(format!("said-{number}-{way}"))).expect("said");
            let refused = said.contains("may only watch")
                || (order.starts_with("answer") && said.contains("has no open request"));
            assert!(refused && said.contains("code 1"), "{order} ({way}): {said}");
        }
    }
}

#[test]
fn clients_of_the_agent_take_no_place_of_the_users() {
    let world = World::new(&json!(null));
    let (home, ccc) = (world.ground.home().display().to_string(), crate::program::ccc());
    let command = format!(
        "for i in $(seq 20); do \"{ccc}\" follow last >> {home}/followed 2>&1 & done; \
         while [ ! -e {home}/go-on ]; do sleep 0.05; done"
    );
    world.play(&json!({
        "agent": [[{"tool": {"name": "Bash", "input": {"command": command}, "real": true}}, {"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let running = world.start(&[]);
    let followed = world.ground.home().join("followed");
    look_until("all places of the agent's processes to be taken", || {
        let said = std::fs::read_to_string(&followed).ok()?;
        (said.lines().filter(|line| line.starts_with("error: ")).count() == 16).then_some(())
    });
    let users: Vec<Raw> = (0..16).map(|_| Raw::greeted(&world, false)).collect();
    drop(users);
    std::fs::write(world.ground.home().join("go-on"), "").expect("written");
    running.end().assert_code(0);
}

#[test]
fn who_has_started_the_run_is_no_part_of_it() {
    let world = waiting();
    let running = begun(&world);
    let mut client = Raw::connect(&world);
    let greeting = client.next();
    assert!(matches!(&greeting, Some(FromRun::Greeting(greeting)) if greeting.you == You::Operator), "{greeting:?}");
    drop(client);
    let Reply::Status(status) = Raw::greeted(&world, false).call(&Request::Status {}) else { panic!("no status") };
    let caps = status.caps;
    assert!(caps.iter().any(|cap| cap == "say") && caps.iter().any(|cap| cap == "stop"), "{caps:?}");
    go(&world);
    running.end().assert_code(0);
}
