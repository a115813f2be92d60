//! What the agent asks is answered from outside while the run goes on.

use serde_json::json;

use super::harness::{Ground, approval, bash, look_until, script};
use super::requests::agents;
use crate::scripted_api::{Reply, ScriptedApi};

on_both! {
    fn a_permission_a_denial_with_its_reason_and_a_question_are_answered_from_outside(cli) {
        let ground = Ground::new().env("CCC_APPROVALS_UNATTENDED", "wait 2m");
        let ask = Reply::tool("AskUserQuestion", json!({"questions": [{
            "question": "Which colour?", "header": "Colour", "multiSelect": false,
            "options": [{"label": "red", "description": "warm"}, {"label": "blue", "description": "cold"}],
        }]}));
        let turns = vec![bash("touch made.txt"), bash("touch other.txt"), ask, Reply::text("I took it.")];
        let api = ScriptedApi::start(script(turns, vec![approval()])).unwrap();
        let running = ground.supervise(&api.base_url(), &cli.path, &["-p", "paint it"]);
        for (request, answer) in [("1", "allow"), ("2", "Use another name."), ("3", "blue")] {
            look_until(&format!("request {request} is taken"), || {
                let mut command = ground.command("http://127.0.0.1:9", ["answer", "last", request, answer]);
                command.output().expect("ccc runs").status.success().then_some(())
            });
        }
        let ended = running.end();
        ended.assert_code(0);
        assert!(ground.project().join("made.txt").exists(), "what was allowed was done");
        assert!(!ground.project().join("other.txt").exists(), "what was denied was not");
        let requests = api.requests();
        let read = |at: usize| agents(&requests)[at].body.to_string();
        assert!(read(2).contains("and says: Use another name."), "the model reads the reason");
        assert!(read(3).contains(r#"\"Which colour?\"=\"blue\""#), "the model reads the answer: {}", read(3));
        assert_eq!(ended.of_type("asked").len(), 3, "{}", ended.stdout);
        let how: Vec<String> = ended.of_type("settled").iter().map(|it| it["how"].to_string()).collect();
        assert_eq!(how, [r#""allowed""#, r#""denied""#, r#""answered""#]);
    }
}
