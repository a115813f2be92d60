//! Hooks of the user's that keep prompts from the model, or the agent from its stop.

use serde_json::{Value, json};

use super::harness::{BRIEF, Ground, approval, bash, script};
use super::requests::{agents, critics};
use crate::scripted_api::{Reply, Rule, Script, ScriptedApi, Times, When};

const DANGEROUS: &str = "--dangerously-skip-permissions";

fn hook(event: &str, command: &str) -> Value {
    json!({"hooks": {event: [{"hooks": [{"type": "command", "command": command}]}]}})
}

on_both! {
    fn a_hook_that_blocks_every_prompt_ends_the_run_by_its_name(cli) {
        for command in [
            "echo not in this project >&2; exit 2",
            r#"echo '{"decision":"block","reason":"not in this project"}'"#,
            r#"echo '{"continue":false,"stopReason":"not in this project"}'"#,
        ] {
            let ground = Ground::new();
            ground.user_settings(&hook("UserPromptSubmit", command));
            let api = ScriptedApi::start(script(vec![Reply::text("Done.")], vec![approval()])).unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--", DANGEROUS]).end();
            ended.assert_code(1);
            assert_eq!(api.requests().len(), 0, "{command}");
            assert!(ended.verdicts().is_empty(), "nothing was judged: {:?}", ended.verdicts());
            let reason = ended.reason();
            for part in ["the hook UserPromptSubmit", "not in this project", "ccc resume "] {
                assert!(reason.contains(part), "{part} is missing in {reason}");
            }
            assert_eq!(ended.result()["iterations"], 0);
        }
    }

    fn a_hook_that_holds_every_stop_is_told_once_and_ends_the_run_at_the_second_stop(cli) {
        let ground = Ground::new();
        // The critic's own stops are not what this is about.
        let holds = "if grep -q dontAsk; then exit 0; fi; echo the report is missing >&2; exit 2";
        ground.user_settings(&hook("Stop", holds));
        let forever = |when: When, reply: Reply| Rule { when, times: Times::Forever, reply };
        let api = ScriptedApi::start(
            Script::new()
                .rule(forever(When::no_user_text(BRIEF), Reply::text("I am done.")))
                .rule(forever(When::any_user_text(BRIEF), Reply::text("Add the report."))),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--", DANGEROUS]).end();
        ended.assert_code(5);
        let reason = ended.reason();
        assert!(reason.contains("the hook Stop") && reason.contains("the report is missing"), "{reason}");
        let told: Vec<Value> = ended.of_type("notice");
        let told = told.iter().filter(|notice| notice["text"].as_str().is_some_and(|text| text.contains("the hook Stop")));
        assert_eq!(told.count(), 1);
        // Nine at each of two stops, by the CLI's own cap.
        assert_eq!(agents(&api.requests()).len(), 18);
    }

    fn a_hook_that_makes_the_agent_work_is_left_alone(cli) {
        let ground = Ground::new();
        let holds = "test -f report.txt || { echo write report.txt >&2; exit 2; }";
        ground.user_settings(&hook("Stop", holds));
        let api = ScriptedApi::start(script(
            vec![Reply::text("Done."), bash("echo x > report.txt"), Reply::text("Now it is there.")],
            vec![approval()],
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--", DANGEROUS]).end();
        ended.assert_code(0);
        assert_eq!((agents(&api.requests()).len(), critics(&api.requests()).len()), (3, 1));
    }
}
