//! Whether the harness holds: each real CLI says a text and makes a tool call against the scripted API.

use std::time::Duration;

use serde_json::json;

use super::{CleanHome, RealCli, STREAM_FLAGS, Session};
use crate::scripted_api::{Reply, Script, ScriptedApi};

const DEADLINE: Duration = Duration::from_secs(60);
const FIRST: &str = "11111111-1111-4111-8111-111111111111";
const SECOND: &str = "22222222-2222-4222-8222-222222222222";

#[test]
fn the_current_cli_says_a_text_and_writes_a_file() {
    text_then_write("current");
}

#[test]
fn the_previous_cli_says_a_text_and_writes_a_file() {
    text_then_write("previous");
}

fn text_then_write(label: &str) {
    // An override takes the place of the current one.
    let wanted = |cli: &RealCli| cli.label == label || (label == "current" && cli.label == "override");
    for cli in RealCli::all().into_iter().filter(wanted) {
        let home = CleanHome::new().unwrap();
        let file = home.project().join("made.txt");
        let script = Script::new()
            .then(Reply::text("hello from the script"))
            .then(Reply::tool("Write", json!({"file_path": file, "content": "written\n"})))
            .then(Reply::text("wrote it"));
        let api = ScriptedApi::start(script).unwrap();
        let mut command = home.command(&cli, &api.base_url());
        command.args(STREAM_FLAGS).args(["--permission-mode", "acceptEdits"]);
        let mut session = Session::spawn(&mut command).unwrap();

        session.say("say hello", FIRST).unwrap();
        let result = session.turn_over(DEADLINE).unwrap();
        assert_eq!(result.json["result"], "hello from the script", "{cli:?}");
        let replayed = session.seen().iter().any(|l| l.json["isReplay"] == true && l.json["uuid"] == FIRST);
        assert!(replayed, "{cli:?} did not acknowledge the turn");

        let init = session.seen().iter().find(|l| l.kind() == "system/init").unwrap();
        if label == cli.label {
            assert_eq!(init.json["claude_code_version"], cli.version);
        }

        session.say("write a file", SECOND).unwrap();
        let result = session.turn_over(DEADLINE).unwrap();
        assert_eq!(result.json["result"], "wrote it", "{cli:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "written\n");

        let exit = session.close(DEADLINE).unwrap();
        assert_eq!(exit.status.code(), Some(0), "{}", exit.stderr);
        assert_eq!(api.request_count(), 3, "{:?}", api.side_requests());
        assert!(api.unmatched().is_empty());
        assert_eq!(api.requests()[0].headers["x-api-key"], CleanHome::KEY);
    }
}
