//! A password manager that waits for its user while the run is ended.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::harness::{Ground, action, is_alive, journal, look_until};
use crate::supervise::tty::Tty;

const NOWHERE: &str = "http://127.0.0.1:9";
/// Within this the run has ended: well before the manager would have given up, or have been given up.
const AT_ONCE: Duration = Duration::from_secs(8);

/// A ground whose first token comes from a command that says its processes and then waits, one of them in a session of
/// its own and without any environment.
pub(crate) fn locked(ground: &Ground) {
    let command = "echo $$ >> vault.pids; env -i setsid sh -c 'echo $$ >> vault.pids; sleep 600' & sleep 600";
    let token = json!({"kind": "oauth", "label": "vault", "command": command, "timeout": "5m"});
    ground.write("../home/ccc-config/ccc.json", &json!({"tokens": [token]}).to_string());
}

/// The processes of the command, once both run.
pub(crate) fn hanging(ground: &Ground) -> Vec<u32> {
    look_until("the hanging command", || {
        let text = fs::read_to_string(ground.project().join("vault.pids")).ok()?;
        let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        (pids.len() == 2 && text.ends_with('\n')).then_some(pids)
    })
}

#[track_caller]
pub(crate) fn assert_nothing_is_left(ground: &Ground, pids: &[u32]) {
    let left: Vec<&u32> = pids.iter().filter(|pid| is_alive(**pid)).collect();
    assert!(left.is_empty(), "of the command's {pids:?} are alive after the end of ccc: {left:?}");
    assert!(!ground.home().join("started").exists(), "the agent was started");
}

/// An agent that tells when it is started.
fn agent(ground: &Ground) -> std::path::PathBuf {
    let started = ground.home().join("started");
    ground.script(
        "claude",
        &format!(
            "[ \"$1\" = --version ] && {{ echo '2.1.329 (Claude Code)'; exit 0; }}\ntouch '{}'",
            started.display()
        ),
    )
}

#[test]
fn an_interrupt_while_a_password_manager_hangs_ends_the_run_at_once() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let ground = Ground::without_git();
        locked(&ground);
        let running = ground.supervise(NOWHERE, &agent(&ground), &["-p", "do it"]);
        let pids = hanging(&ground);
        let asked = Instant::now();
        running.signal(signal);
        let ended = running.end();
        assert!(asked.elapsed() < AT_ONCE, "{signal:?}: it took {:?}", asked.elapsed());
        ended.assert_code(130);
        assert_eq!(ended.result()["outcome"], "interrupted");
        assert_nothing_is_left(&ground, &pids);
    }
}

#[test]
fn ctrl_c_at_the_terminal_while_a_password_manager_hangs_ends_the_run_at_once() {
    let ground = Ground::without_git();
    locked(&ground);
    let mut command = ground.command(NOWHERE, ["--supervisor", "-p", "do it", "--agent"]);
    command.arg(agent(&ground));
    let mut tty = Tty::start(&command);
    let pids = hanging(&ground);
    let pid = tty.pid();
    let asked = Instant::now();
    tty.type_in(b"\x03");
    assert_eq!(tty.end(), 130, "{}", tty.text());
    assert!(asked.elapsed() < AT_ONCE, "it took {:?}", asked.elapsed());
    assert!(ground.alive(pid).is_empty(), "{:#?}", ground.alive(pid));
    assert_nothing_is_left(&ground, &pids);
    ground.assert_sound();
}

#[test]
fn an_interrupt_while_the_second_password_manager_hangs_ends_the_live_agent_at_once() {
    let ground = Ground::without_git();
    locked(&ground);
    let vaults: serde_json::Value = serde_json::from_str(&ground.read("../home/ccc-config/ccc.json")).unwrap();
    let open = json!({"kind": "oauth", "label": "open", "command": "echo sk-ant-oat01-made-up-and-open"});
    ground.write("../home/ccc-config/ccc.json", &json!({"tokens": [open, vaults["tokens"][0]]}).to_string());
    let program = ground.scripted_agent(&json!({
        "agent": [[{"say": "I begin."}, {"limit": {"resets_in_s": 3_600}}], [{"say": "Done."}]],
        "critic": [[{"say": "[TASK_COMPLETED]"}]],
    }));
    let running = ground.supervise(NOWHERE, &program, &["-p", "do it"]);
    let pids = hanging(&ground);
    let asked = Instant::now();
    running.signal(Signal::INT);
    let ended = running.end();
    assert!(asked.elapsed() < AT_ONCE, "it took {:?}", asked.elapsed());
    ended.assert_code(130);
    assert_nothing_is_left(&ground, &pids);
}

#[test]
fn a_slow_password_manager_is_asked_once_for_the_live_agent_and_its_successor() {
    let ground = Ground::without_git();
    let slow = "echo run >> runs; until [ -e unlocked ]; do sleep 0.05; done; echo sk-ant-oat01-made-up-and-slow";
    let token =
        |label: &str, command: &str| json!({"kind": "oauth", "label": label, "command": command, "timeout": "5m"});
    let tokens = json!({"tokens": [token("open", "echo sk-ant-oat01-made-up-and-open"), token("slow", slow)]});
    ground.write("../home/ccc-config/ccc.json", &tokens.to_string());
    let program = ground.scripted_agent(&json!({
        "agent": [[{"say": "I begin."}, {"limit": {"resets_in_s": 3_600}}], [{"say": "Done."}]],
        "critic": [[{"say": "[TASK_COMPLETED]"}]],
    }));
    let running = ground.supervise(NOWHERE, &program, &["-p", "do it"]);
    look_until("a successor of the live agent", || {
        let spawns = journal(&ground.runs().pop()?).iter().filter(|entry| action(entry, "spawn").is_some()).count();
        (spawns == 2).then_some(())
    });
    ground.write("unlocked", "");
    let ended = running.end();
    ended.assert_code(0);
    assert_eq!(ended.result()["rotations"], 1);
    assert_eq!(ground.read("runs"), "run\n", "its user was asked twice");
}
