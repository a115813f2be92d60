//! `ccc notify test`.

use serde_json::{Value, json};

use super::sandbox::Sandbox;

/// A sandbox with these entries.
fn with(entries: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("config/ccc.json", json!({"notify": entries}).to_string());
    sandbox
}

fn seen(sandbox: &Sandbox, args: &[&str]) -> String {
    let mut command = sandbox.ccc(args);
    command.env("CCC_CONFIG_DIR", sandbox.path("config"));
    sandbox.seen(command)
}

#[test]
fn each_entry_is_tried_and_the_exit_code_says_whether_all_were_told() {
    let sandbox = with(&json!([
        {"name": "file", "command": "while read -r line; do echo \"$line\"; done > got"},
        {"name": "down", "command": ["/bin/sh", "-c", "echo it is down; exit 4"]},
        {"name": "chat", "webhook": "http://127.0.0.1:9/hush", "shape": "slack"},
        {"name": "ring", "bell": true},
    ]));
    let all = seen(&sandbox, &["notify", "test"]);
    insta::assert_snapshot!(all);
    let message: Value = serde_json::from_str(&sandbox.read("home/got")).expect("a message");
    assert_eq!((&message["event"], &message["version"]), (&json!("test"), &json!(1)));
    let one = seen(&sandbox, &["notify", "test", "file", "--json"]);
    assert!(one.starts_with("exit code 0\n") && one.contains(r#""name":"file","sent":true"#), "{one}");
}

#[test]
fn the_entries_are_listed_with_what_they_are_told() {
    let entries = json!([
        {"name": "phone", "webhook": "https://ntfy.example/hush", "shape": "ntfy"},
        {"bell": true, "events": ["approval", "completed"]},
    ]);
    insta::assert_snapshot!(seen(&with(&entries), &["notify"]));
}

#[test]
fn without_an_entry_or_with_a_wrong_name_it_says_what_to_write() {
    insta::assert_snapshot!(
        [
            seen(&with(&json!([])), &["notify", "test"]),
            seen(&with(&json!([{"bell": true}, {"desktop": true}])), &["notify", "test", "phone"]),
        ]
        .join("\n")
    );
}

#[test]
fn a_file_of_the_project_cannot_say_whom_runs_tell() {
    let sandbox = with(&json!([]));
    sandbox.write("project/.ccc.json", r#"{"notify": [{"command": "echo > ../ran"}]}"#);
    for args in [&["notify", "test"][..], &["--supervisor", "-p", "x"], &["trust", "--yes"]] {
        let seen = seen(&sandbox, args);
        assert!(seen.contains("must not decide whom your runs tell"), "{seen}");
        assert!(!seen.starts_with("exit code 0\n"), "{seen}");
    }
    assert!(!sandbox.path("ran").exists() && !sandbox.path("home/ran").exists());
}

#[test]
fn the_configuration_is_shown_without_the_path_of_a_webhook() {
    let sandbox = with(&json!([{"webhook": "https://hooks.example/services/hush"}]));
    for args in [&["config"][..], &["config", "show", "--json"]] {
        let seen = seen(&sandbox, args);
        assert!(seen.contains("https://hooks.example/") && !seen.contains("hush"), "{seen}");
    }
}

#[test]
fn an_agent_may_not_have_it_run_anything() {
    let sandbox = with(&json!([{"command": "echo > ran"}]));
    let run = "20261128-070000-abcd";
    sandbox.write(&format!("state/runs/{run}/journal.jsonl"), "");
    for args in [&["notify", "test"][..], &["notify", "deliver", run]] {
        let mut command = sandbox.ccc(args);
        command
            .env("CCC_CONFIG_DIR", sandbox.path("config"))
            .env("CCC_STATE_DIR", sandbox.path("state"))
            .env("CCC_RUN_ID", run);
        let seen = sandbox.seen(command);
        assert!(seen.starts_with("exit code 2\n") && seen.contains("an agent may not use it"), "{seen}");
    }
    assert!(!sandbox.path("home/ran").exists());
}
