//! The night as it is meant: a false "done", the critic's no, the fix, the critic's yes.

use serde_json::json;

use super::harness::{Ground, approval, bash, script, text};
use super::requests::{assert_result_fields, brief_of, is_critic, messages, tool_results, transcripts, user_texts};
use crate::scripted_api::{Reply, ScriptedApi};

const TASK: &str = "Write two into answer.txt";
const FEEDBACK: &str = "answer.txt says `one`.\n\n  It must say \"two\" — exactly — and nothing else. 漢字 ✓";

on_both! {
    fn a_false_done_is_rejected_mended_and_approved(cli) {
        let ground = Ground::new();
        let wrong = Reply::tool("Write", json!({"file_path": ground.project().join("answer.txt"), "content": "one\n"}));
        let right = bash("printf 'two\\n' > answer.txt");
        let api = ScriptedApi::start(script(
            vec![wrong, Reply::text("I am done."), right, Reply::text("Now it says two.")],
            vec![bash("cat answer.txt"), Reply::text(FEEDBACK), bash("cat answer.txt"), approval()],
        ))
        .unwrap();
        let running = ground.supervise(
            &api.base_url(),
            &cli.path,
            &["-p", TASK, "--", "--dangerously-skip-permissions"],
        );
        let ended = running.end();

        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["feedback", "completed"]);
        assert_eq!(ground.read("answer.txt"), "two\n");
        assert!(api.unmatched().is_empty(), "{:#?}", api.unmatched());
        let requests = api.requests();
        let (critic, agent): (Vec<_>, Vec<_>) = requests.iter().partition(|request| is_critic(request));
        assert_eq!((agent.len(), critic.len()), (4, 4));

        let last = &agent[3].body;
        assert_eq!(user_texts(last).iter().filter(|said| *said == TASK).count(), 1, "the task is said once");
        assert_eq!(user_texts(last).iter().filter(|said| *said == FEEDBACK).count(), 1, "the feedback is said once, verbatim");

        for (critic, agent) in [(critic[0], agent[1]), (critic[2], agent[3])] {
            for part in ["tools", "system", "model", "thinking", "max_tokens"] {
                assert_eq!(critic.body[part], agent.body[part], "the critic's {part} differs from the agent's");
            }
            let (longer, shorter) = (messages(critic), messages(agent));
            assert!(longer.len() > shorter.len());
            assert_eq!(longer[..shorter.len()], shorter[..], "the conversation before the brief differs");
        }
        assert!(tool_results(&critic[1].body).iter().any(|shown| shown.contains("one")), "the critic's tool ran");
        let brief = brief_of(critic[2]);
        assert!(brief.contains(TASK) && brief.contains(FEEDBACK), "{brief}");
        assert_eq!(brief.matches("User turn ").count(), 1, "feedback is no user turn: {brief}");
        assert!(brief.contains("Review 2 of at most 20."), "{brief}");

        let transcripts = transcripts(&ground);
        assert_eq!(transcripts.len(), 1, "a critic left a transcript: {transcripts:?}");
        let result = ended.result();
        assert_eq!(transcripts[0].file_stem().unwrap().to_str(), result["session_id"].as_str());
        assert_result_fields(&result, &["v", "type", "t_ms", "unix_ms"]);
        assert_eq!(result["outcome"], "completed");
        assert_eq!(result["iterations"], 2);
        assert_eq!(result["restarts"], 0);
        assert_eq!(result["result"], "Now it says two.");
        assert!(result["cost_usd"].as_f64().is_some_and(|usd| usd > 0.0), "{result}");
        let events = ended.events();
        assert_eq!(events[0]["type"], "run");
        assert_eq!(events[0]["agent_version"].as_str().map(|v| v.contains(&cli.version) || cli.label == "override"), Some(true));
        let turns: Vec<String> = ended.of_type("turn").iter().map(|turn| text(&turn["kind"])).collect();
        assert_eq!(turns, ["task", "feedback"], "a brief is not shown as a turn");
    }
}
