//! How much of the model's context is used, from the real CLI's messages to what users see.

use std::fs;

use serde_json::Value;

use super::harness::{Ground, Running, approval, script};
use crate::scripted_api::{Block, Message, Reply, ScriptedApi, Usage};

on_both! {
    fn the_context_that_the_agent_uses_is_told_in_events_and_in_the_files_of_the_run(cli) {
        let ground = Ground::new();
        let answer = Message {
            blocks: vec![Block::Text { text: "I am done.".to_owned(), repeat: 1 }],
            usage: Usage { input_tokens: 60_000, ..Usage::default() },
            ..Message::default()
        };
        let api = ScriptedApi::start(script(vec![Reply::Message(answer)], vec![approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        let told = ended.of_type("context");
        let last = told.last().expect("an event");
        assert_eq!(last["used_tokens"], 60_000, "{told:?}");
        let window = last["window_tokens"].as_u64().expect("a window, from the result");
        assert!(window >= 200_000, "{told:?}");
        let summary: Value = serde_json::from_str(&fs::read_to_string(ended.run_dir().join("run.json")).unwrap()).unwrap();
        assert_eq!((&summary["context_tokens"], summary["context_window_tokens"].as_u64()), (&Value::from(60_000), Some(window)));
        let status = Running::spawn(&ground, &mut ground.command("http://127.0.0.1:9", ["status", "last"])).wait();
        assert!(status.stdout.contains(" (60k of "), "{}", status.stdout);
    }
}
