use serde_json::{Value, json};

use super::feed;
use crate::agent::{AgentEvent, Edit, Hunk};

fn call(name: &str, input: &Value) -> AgentEvent {
    let line = json!({"type": "assistant", "message": {"role": "assistant", "content": [
        {"type": "tool_use", "id": "toolu_1", "name": name, "input": input}
    ]}, "parent_tool_use_id": null});
    let mut events = feed(&line.to_string()).said();
    assert_eq!(events.len(), 1);
    events.remove(0)
}

fn target(name: &str, input: &Value) -> String {
    let AgentEvent::ToolStarted { target, .. } = call(name, input) else {
        panic!("no tool");
    };
    target
}

#[test]
fn a_target_is_the_input_that_says_most() {
    let long = "x".repeat(200);
    let cut = format!("{}…", "x".repeat(120));
    let table: &[(&str, Value, &str)] = &[
        ("Bash", json!({"description": "d", "command": "cargo test\nrm -r target"}), "cargo test"),
        ("Bash", json!({"command": long}), &cut),
        ("Read", json!({"limit": 1, "file_path": "/a/b"}), "/a/b"),
        ("Write", json!({"content": "c", "file_path": "/a/b"}), "/a/b"),
        ("Grep", json!({"path": "/p", "pattern": "fn .*"}), "fn .*"),
        ("Glob", json!({"pattern": "**/*.rs"}), "**/*.rs"),
        ("WebFetch", json!({"prompt": "p", "url": "http://x"}), "http://x"),
        ("Agent", json!({"prompt": "p", "description": "look"}), "look"),
        ("Task", json!({"description": "look"}), "look"),
        ("mcp__db__query", json!({"limit": 3, "sql": "select 1"}), "select 1"),
        ("Bash", json!({"command": "printf '\u{1b}[31m'"}), "printf ' [31m'"),
        ("Bash", json!({}), ""),
        ("Unknown", json!(["no", "object"]), ""),
    ];
    for (name, input, expected) in table {
        assert_eq!(target(name, input), *expected, "{name} {input}");
    }
}

#[test]
fn a_command_declares_its_timeout() {
    for (name, input, expected) in [
        ("Bash", json!({"command": "x", "timeout": 20_000}), Some(20_000)),
        ("Bash", json!({"command": "x"}), None),
        ("Bash", json!({"command": "x", "timeout": -5}), None),
        ("Read", json!({"file_path": "x", "timeout": 7}), None),
    ] {
        let AgentEvent::ToolStarted { timeout_ms, .. } = call(name, &input) else {
            panic!("no tool");
        };
        assert_eq!(timeout_ms, expected, "{input}");
    }
}

#[test]
fn edits_are_shown_with_what_stood_there() {
    let edit = |path: &str, old: &str, new: &str| {
        Some(Edit { path: path.to_owned(), old: old.to_owned(), new: new.to_owned() })
    };
    let table = [
        ("Edit", json!({"file_path": "/f", "old_string": "a", "new_string": "b"}), edit("/f", "a", "b")),
        ("Write", json!({"file_path": "/f", "content": "b"}), edit("/f", "", "b")),
        (
            "NotebookEdit",
            json!({"notebook_path": "/n.ipynb", "cell_id": "c1", "new_source": "b"}),
            edit("/n.ipynb (cell c1, replace)", "", "b"),
        ),
        (
            "NotebookEdit",
            json!({"notebook_path": "/n.ipynb", "cell_id": "c1", "new_source": "", "edit_mode": "delete"}),
            edit("/n.ipynb (cell c1, delete)", "", ""),
        ),
        (
            "MultiEdit",
            json!({"file_path": "/f", "edits": [
                {"old_string": "a", "new_string": "b"}, {"old_string": "c", "new_string": "d"}
            ]}),
            edit("/f", "a\nc", "b\nd"),
        ),
        ("Edit", json!({"file_path": "/f", "old_string": "a"}), None),
        ("Read", json!({"file_path": "/f"}), None),
    ];
    for (name, input, expected) in table {
        let AgentEvent::ToolStarted { edit, .. } = call(name, &input) else {
            panic!("no tool");
        };
        assert_eq!(edit, expected, "{name} {input}");
    }
}

#[test]
fn an_edit_that_was_made_has_its_places_in_the_file_or_none() {
    let ended = |patch: &serde_json::Value| {
        let line = json!({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "t1", "content": "ok"}]},
            "tool_use_result": {"filePath": "/f", "structuredPatch": patch}});
        let hunks = feed(&line.to_string())
            .said()
            .into_iter()
            .find_map(|event| if let AgentEvent::ToolEnded { hunks, .. } = event { Some(hunks) } else { None });
        hunks.expect("the tool ended")
    };
    let hunk = json!({"oldStart": 7, "oldLines": 2, "newStart": 8, "newLines": 2, "lines": [" one", "-two", "+three"]});
    let lines = [" one", "-two", "+three"].map(str::to_owned).to_vec();
    assert_eq!(ended(&json!([hunk])), [Hunk { old_start: 7, new_start: 8, lines }]);
    let long = json!({"oldStart": 1, "oldLines": 0, "newStart": 1, "newLines": 1, "lines": ["+".repeat(40_000)]});
    let wrong =
        json!({"oldStart": 7, "oldLines": 3, "newStart": 8, "newLines": 2, "lines": [" one", "-two", "+three"]});
    for unusable in [json!([]), json!("x"), json!([hunk, 7]), json!([hunk, wrong]), json!([hunk, long]), json!([{}])] {
        assert_eq!(ended(&unusable), [], "no place is better than a wrong one: {unusable}");
    }
}
