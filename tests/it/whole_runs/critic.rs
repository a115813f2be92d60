//! Critics that fail, cheat or ask: never a verdict but by a whole answer of a critic that changed nothing.

use std::time::Duration;

use serde_json::json;

use super::harness::{BRIEF, DEADLINE, Ground, Running, approval, bash, script, send, text};
use super::requests::{brief_of, critics, system_text, tool_results, user_texts};
use crate::scripted_api::{Ending, Message, Reply, Script, ScriptedApi, When};

const DANGEROUS: &str = "--dangerously-skip-permissions";

fn said(text: &str) -> Reply {
    Reply::text(text)
}

on_both! {
    fn an_empty_answer_is_no_verdict_and_the_critic_is_asked_again(cli, current) {
        let ground = Ground::new();
        // The CLI itself asks once more after an empty reply.
        let empty = || Reply::blocks(vec![]);
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![empty(), empty(), approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["unusable", "completed"]);
    }

    fn an_approval_with_one_character_too_many_is_asked_for_again(cli, current) {
        for spoilt in ["Fine.\n\n[TASK_COMPLETED].", "Fine.\n```\n[TASK_COMPLETED]\n```"] {
            let ground = Ground::new();
            let api = ScriptedApi::start(script(vec![said("Done.")], vec![said(spoilt), approval()])).unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
            ended.assert_code(0);
            assert_eq!(ended.verdicts(), ["unusable", "completed"]);
            let turns: Vec<String> = ended.of_type("turn").iter().map(|turn| text(&turn["kind"])).collect();
            assert_eq!(turns, ["task"], "the agent hears nothing of it");
            let requests = api.requests();
            let brief = brief_of(critics(&requests)[1]);
            assert!(brief.contains("[TASK_COMPLETED] does not stand alone on the last line"), "{brief}");
        }
    }

    fn a_marker_counts_only_alone_on_the_last_line(cli, current) {
        let ground = Ground::new();
        let tricks = [
            "I will answer [TASK_COMPLETED] when the tests exist.",
            "What ends in [TASK_COMPLETED] is what I would say if the README were there.",
            "The user wrote `[TASK_COMPLETED]` into the code.\n[TASK_COMPLETED] is not true, add the licence.",
        ];
        let done = || said("Done.");
        let api = ScriptedApi::start(script(
            vec![done(), done(), done(), done()],
            tricks.iter().map(|text| said(text)).chain([said("Fine.\n\n**[TASK_COMPLETED]**\n")]).collect(),
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["feedback", "feedback", "feedback", "completed"]);
        let last = &api.requests()[6].body;
        for trick in tricks {
            assert_eq!(user_texts(last).iter().filter(|text| *text == trick).count(), 1, "{trick}");
        }
    }

    fn a_critic_that_the_users_rules_let_write_is_caught_by_name(cli) {
        let ground = Ground::new();
        ground.user_settings(&json!({"permissions": {"allow": ["Bash(python3:*)"]}}));
        let write = "python3 -c \"open('made-by-the-critic.txt','w').write('x')\"";
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![bash(write), approval(), approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        assert_eq!(ground.read("made-by-the-critic.txt"), "x", "the premise: the settings let it write");
        ended.assert_code(0);
        let verdicts = ended.of_type("verdict");
        assert_eq!(ended.verdicts(), ["unusable", "completed"]);
        assert!(verdicts[0]["text"].as_str().unwrap().contains("made-by-the-critic.txt"), "{verdicts:?}");
    }

    fn a_critic_that_writes_each_time_ends_the_run_as_failed_outside_of_git_too(cli, current) {
        let ground = Ground::without_git();
        ground.user_settings(&json!({"permissions": {"allow": ["Bash(python3:*)"]}}));
        let write = |n: u32| bash(&format!("python3 -c \"open('cheat{n}.txt','w').write('x')\""));
        let api = ScriptedApi::start(script(
            vec![said("Done.")],
            vec![write(1), approval(), write(2), approval()],
        ))
        .unwrap();
        let ground = ground.env("CCC_CRITIC_MAX_FAILURES", "2");
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(1);
        assert!(ended.reason().contains("cheat2.txt"), "{}", ended.reason());
        assert!(ended.result()["resume"].as_str().is_some_and(|command| command.contains("resume")), "the session is kept");
    }

    fn the_users_own_denials_do_not_let_the_critic_write(cli) {
        let ground = Ground::new();
        ground.user_settings(&json!({"permissions": {"allow": ["Write", "Edit", "Bash(touch:*)", "Bash(printf:*)"]}}));
        let project = ground.project();
        let calls = vec![
            Reply::tool("Write", json!({"file_path": project.join("a.txt"), "content": "x"})),
            Reply::tool("Read", json!({"file_path": project.join("README.md")})),
            Reply::tool("Edit", json!({"file_path": project.join("README.md"), "old_string": "A", "new_string": "B"})),
            bash("printf x > b.txt"),
            approval(),
        ];
        let api = ScriptedApi::start(script(vec![said("Done.")], calls)).unwrap();
        let args = ["-p", "do it", "--", "--disallowedTools", "WebFetch", "--append-system-prompt", "Be brief."];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["completed"], "{}", ended.stdout);
        assert_eq!(ground.git(&["status", "--porcelain"]), "", "the critic wrote");
        let requests = api.requests();
        let answers = tool_results(&critics(&requests)[4].body);
        let denied = answers.iter().filter(|answer| answer.contains("denied") || answer.contains("permission"));
        assert_eq!(denied.count(), 3, "all but the Read are denied: {answers:?}");
        let critic = critics(&requests)[0];
        assert!(!critic.body["tools"].to_string().contains("\"WebFetch\""), "the user's denial holds for the critic too");
        assert!(system_text(&critic.body).contains("Be brief."));
    }

    fn the_critics_prompt_can_be_its_system_prompt(cli) {
        let ground = Ground::new();
        ground.write("SUPERVISOR.md", "You are the STRICT-REVIEWER of this project.\n");
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
        let args = ["-p", "do it", "--critic-prompt", "system", "--", "--append-system-prompt", "Be brief."];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        let requests = api.requests();
        let critic = &critics(&requests)[0];
        assert!(system_text(&critic.body).contains("STRICT-REVIEWER"), "{}", system_text(&critic.body));
        assert!(!critic.body["messages"].to_string().contains("STRICT-REVIEWER"), "not said twice");
        assert!(!requests[0].body.to_string().contains("STRICT-REVIEWER"), "the agent does not see it");
    }

    fn the_critics_model_and_permissions_are_its_own(cli) {
        let ground = Ground::new();
        ground.write("SUPERVISOR.md", "You are the STRICT-REVIEWER of this project.\n");
        ground.write(".ccc.json", "{\"critic\": {\"allow\": [\"Bash(python3 -c:*)\"]}}");
        ground.trust();
        let look = || bash("python3 -c \"print(6*7)\"");
        let api = ScriptedApi::start(script(vec![look(), said("Done.")], vec![look(), approval()])).unwrap();
        let args = ["-p", "do it", "--critic-model", "claude-haiku-4-5", "--max-iterations", "1"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        let requests = api.requests();
        let critic = critics(&requests);
        assert!(critic[0].body["model"].as_str().unwrap().contains("haiku"), "{}", critic[0].body["model"]);
        assert!(!requests[0].body["model"].as_str().unwrap().contains("haiku"));
        assert!(tool_results(&critic[1].body).iter().any(|shown| shown.starts_with("42")), "{:?}", tool_results(&critic[1].body));
        let denied = ended.of_type("denied");
        assert_eq!((denied.len(), &denied[0]["role"]), (1, &json!("agent")), "only the agent lacks the permission: {denied:?}");
        let brief = brief_of(critic[0]);
        assert!(brief.contains("STRICT-REVIEWER") && brief.contains("python3"), "the denial is told: {brief}");
    }

    fn a_question_for_the_user_ends_the_night_with_it(cli, current) {
        let ground = Ground::new();
        let question = "Shall the old table be dropped?\nIt holds 3 rows.\n\n[NEEDS_USER]";
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![said(question)])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(3);
        let result = ended.result();
        assert_eq!(result["outcome"], "needs_user");
        assert!(ended.reason().contains("Shall the old table be dropped?"));
        assert_eq!(result["result"], "Shall the old table be dropped?\nIt holds 3 rows.");
        assert!(result["resume"].is_string());
    }

    fn a_critic_whose_model_falls_silent_is_asked_again(cli, current) {
        let ground = Ground::new().env("CCC_GRACE", "1s");
        let stall = Reply::Message(Message {
            ending: Ending::Stall { after_deltas: 1 },
            chunks: 4,
            ..Message::paced("I am looking at the files", 4, 0)
        });
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![stall, approval()])).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--stall-timeout", "4s"]).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["unusable", "completed"]);
        assert!(ended.of_type("verdict")[0]["text"].as_str().unwrap().contains("no sign of life"));
    }

    fn a_critic_that_never_comes_to_an_end_is_ended(cli, current) {
        let ground = Ground::new().env("CCC_CRITIC_TIMEOUT", "5s").env("CCC_CRITIC_MAX_FAILURES", "1").env("CCC_GRACE", "2s");
        let api = ScriptedApi::start(
            Script::new()
                .on(When::no_user_text(BRIEF), said("Done."))
                .always_on(When::any_user_text(BRIEF), bash("ls")),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(1);
        assert!(ended.reason().contains("did not come to a verdict"), "{}", ended.reason());
        assert!(ended.result()["resume"].is_string());
    }
}

#[test]
fn a_critic_that_crashes_is_asked_again_and_after_three_crashes_the_session_is_kept() {
    let ground = Ground::new();
    let crash = json!([{"say": "Looking"}, {"crash": {"signal": 9}}]);
    let exit = json!([{"stderr": "segmentation fault"}, {"crash": {"code": 3}}]);
    let agent = ground.scripted_agent(
        &json!({"agent": [[{"say": "Done."}]], "critic": [crash, exit, [{"say": "Good.\n[TASK_COMPLETED]"}]]}),
    );
    let ended = ground.supervise("http://127.0.0.1:9", &agent, &["-p", "do it"]).end();
    ended.assert_code(0);
    assert_eq!(ended.verdicts(), ["unusable", "unusable", "completed"]);
    let texts: Vec<String> = ended.of_type("verdict").iter().map(|verdict| text(&verdict["text"])).collect();
    assert!(texts[0].contains("signal 9") && texts[1].contains("code 3"), "{texts:?}");
    assert!(texts[1].contains("segmentation fault"), "{texts:?}");

    let ground = Ground::new();
    let agent = ground.scripted_agent(&json!({"agent": [[{"say": "Done."}]], "critic": [crash, crash, crash, crash]}));
    let ended = ground.supervise("http://127.0.0.1:9", &agent, &["-p", "do it"]).end();
    ended.assert_code(1);
    assert_eq!(ended.verdicts(), ["unusable", "unusable", "unusable"]);
    assert!(ended.reason().contains("the critic failed 3 times in a row"), "{}", ended.reason());
    assert!(ended.result()["resume"].is_string(), "the session is kept");
}

on_both! {
    fn a_critic_killed_in_mid_answer_is_asked_again(cli, current) {
        let ground = Ground::new();
        let slow = Reply::Message(Message {
            ending: Ending::Stall { after_deltas: 2 },
            ..Message::paced("All is well and so on", 4, 0)
        });
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![slow, approval()])).unwrap();
        let running: Running<'_> = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--", DANGEROUS]);
        api.wait_for_requests(2, DEADLINE).unwrap();
        send(running.child_pid("critic"), rustix::process::Signal::KILL);
        let ended = running.end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["unusable", "completed"]);
        assert!(ended.result()["duration_ms"].as_u64().unwrap() < Duration::from_secs(60).as_millis() as u64);
    }
}
