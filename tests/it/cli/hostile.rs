//! What stands in the state directory was written by agents, too: no command lets it act on a terminal.

use serde_json::{Value, json};

use super::sandbox::Sandbox;

const ID: &str = "20261121-101822-c0de";
const HOSTILE: &str = "Tidy\u{9b}2J up\u{9d}0;owned\u{7}\u{202e}\u{200b}\u{e0041}\u{ad}\u{7f}";

/// Characters that a terminal obeys or that nobody sees; the line ends of the text itself are none.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{200b}' | '\u{e0041}' | '\u{ad}')
}

fn with_a_hostile_run() -> Sandbox {
    let sandbox = Sandbox::new();
    let summary = json!({
        "version": 1, "id": ID, "task": HOSTILE, "cwd": format!("/tmp/{HOSTILE}"), "session_id": null,
        "agent_version": null, "pid": 1, "started_unix_ms": 1_795_000_000_000_i64,
        "updated_unix_ms": 1_795_000_000_000_i64, "ended_unix_ms": 1_795_000_000_000_i64, "phase": "finished",
        "iteration": 1, "outcome": "completed", "reason": HOSTILE, "restarts": 0, "rotations": 0, "waited_ms": 0,
        "cost_usd": null, "result": HOSTILE, "resume": null,
    });
    sandbox.write(&format!("state/runs/{ID}/run.json"), summary.to_string());
    sandbox
}

fn stdout(sandbox: &Sandbox, args: &[&str]) -> String {
    let output = sandbox.ccc(args).env("CCC_STATE_DIR", sandbox.path("state")).output().expect("ccc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_run_with_a_hostile_task_is_listed_harmlessly() {
    let sandbox = with_a_hostile_run();
    let json = stdout(&sandbox, &["runs", "--json"]);
    assert!(!json.contains(acts), "{json:?}");
    let runs: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(runs[0]["task"], HOSTILE, "it means the same");
    let list = stdout(&sandbox, &["runs"]);
    assert!(list.contains(ID) && !list.contains(acts), "{list:?}");
}
