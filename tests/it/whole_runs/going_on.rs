//! Going on: with a run after its end, and with a session that the user names.

use serde_json::json;

use super::harness::{Ended, Ground, Running, action, approval, bash, script, text};
use super::requests::{agents, brief_of, critics, user_texts};
use crate::scripted_api::{Reply, ScriptedApi};

fn said(text: &str) -> Reply {
    Reply::text(text)
}

fn resume<'a>(ground: &'a Ground, base_url: &str, args: &[&str]) -> Ended<'a> {
    let fixed = ["resume", "--output-format", "stream-json"];
    Running::spawn(ground, &mut ground.command(base_url, fixed.iter().chain(args))).end()
}

on_both! {
    fn an_answered_question_goes_on_in_the_same_session(cli, current) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(
            vec![said("Done."), bash("echo blue > colour.txt"), said("It is blue now.")],
            vec![said("Which colour shall it be?\n[NEEDS_USER]"), approval()],
        ))
        .unwrap();
        let args = ["-p", "Paint it", "--", "--dangerously-skip-permissions"];
        let first = ground.supervise(&api.base_url(), &cli.path, &args).end();
        first.assert_code(3);
        let second = resume(&ground, &api.base_url(), &["-p", "Blue, please."]);
        second.assert_code(0);
        assert_eq!(ground.read("colour.txt"), "blue\n");
        assert_eq!(second.result()["session_id"], first.result()["session_id"]);
        assert_eq!(second.result()["run_id"], first.result()["run_id"]);
        assert_eq!(ground.runs().len(), 1);
        let requests = api.requests();
        let texts = user_texts(&agents(&requests)[1].body);
        for said in ["Paint it", "Blue, please."] {
            assert_eq!(texts.iter().filter(|text| text.trim() == said).count(), 1, "{said}: {texts:#?}");
        }
        let brief = brief_of(critics(&requests)[1]);
        assert!(brief.contains("User turn 1:") && brief.contains("Paint it"), "{brief}");
        assert!(brief.contains("User turn 2:") && brief.contains("Blue, please."), "{brief}");
        assert!(api.unmatched().is_empty());

        let third = resume(&ground, &api.base_url(), &[&text(&second.result()["run_id"])]);
        third.assert_code(2);
        assert!(third.stderr.contains("nothing to continue"), "{}", third.stderr);
    }

    fn a_spent_budget_is_raised_and_the_run_goes_on_where_it_was(cli, current) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(
            vec![said("Done."), said("The licence is there.")],
            vec![said("The licence is missing."), approval(), approval()],
        ))
        .unwrap();
        let first = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--max-iterations", "1"]).end();
        first.assert_code(4);
        let second = resume(&ground, &api.base_url(), &["--max-iterations", "5"]);
        second.assert_code(0);
        let requests = api.requests();
        let fed: usize = agents(&requests)
            .last()
            .map(|request| user_texts(&request.body).iter().filter(|text| text.contains("The licence is missing.")).count())
            .unwrap();
        assert_eq!(fed, 1, "the feedback of the last judged stop reaches the agent when the run goes on");
    }

    fn a_mistyped_option_of_a_resume_is_not_kept(cli, current) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(
            vec![said("Done."), said("The licence is there.")],
            vec![said("The licence is missing."), approval()],
        ))
        .unwrap();
        let args = ["-p", "do it", "--max-iterations", "1", "--", "--effort", "low"];
        ground.supervise(&api.base_url(), &cli.path, &args).end().assert_code(4);
        let bad = ["--max-iterations", "8", "--", "--permision-mode", "acceptEdits"];
        let refused = resume(&ground, &api.base_url(), &bad);
        refused.assert_code(1);
        let go_on = text(&refused.result()["resume"]);
        assert!(go_on.ends_with(" -- --permission-mode acceptEdits"), "{go_on}: {}", refused.reason());
        let again = Running::spawn(&ground, &mut ground.typed(&api.base_url(), &go_on)).end();
        again.assert_code(0);
        let spawned = again.journal().iter().filter(|entry| action(entry, "spawn").is_some()).count();
        assert!(spawned >= 3, "the first life, the refused one, and this one: {spawned}");
    }

    fn a_refused_key_is_replaced_and_the_run_goes_on(cli, current) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(
            vec![
                Reply::error(403, "permission_error", "this key is revoked"),
                Reply::error(403, "permission_error", "this key is revoked"),
                said("Done."),
            ],
            vec![approval()],
        ))
        .unwrap();
        // A refused credential is tried once more after a pause, since another process may refresh a login.
        ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end().assert_code(1);
        let second = resume(&ground, &api.base_url(), &[]);
        second.assert_code(0);
        let requests = api.requests();
        let texts = user_texts(&agents(&requests)[2].body);
        assert_eq!(texts.iter().filter(|said| said.trim() == "do it").count(), 1, "{texts:#?}");
    }

    fn a_session_that_the_user_names_is_taken_up(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(
            vec![said("Begun."), said("More."), said("Latest.")],
            vec![approval(), approval(), approval()],
        ))
        .unwrap();
        let first = ground.supervise(&api.base_url(), &cli.path, &["-p", "First task"]).end();
        first.assert_code(0);
        let session = text(&first.result()["session_id"]);
        let second = ground.supervise(&api.base_url(), &cli.path, &["-p", "Second task", "--", "--resume", &session]).end();
        second.assert_code(0);
        assert_eq!(second.result()["session_id"], session.as_str());
        let third = ground.supervise(&api.base_url(), &cli.path, &["-p", "Third task", "--", "--continue"]).end();
        third.assert_code(0);
        assert_eq!(third.result()["session_id"], session.as_str());
        let requests = api.requests();
        let texts = user_texts(&agents(&requests)[2].body);
        for said in ["First task", "Second task", "Third task"] {
            assert_eq!(texts.iter().filter(|text| text.trim() == said).count(), 1, "{said}: {texts:#?}");
        }
        let brief = brief_of(critics(&requests)[1]);
        let (first, second) = (brief.find("User turn 1:\n```\nFirst task"), brief.find("User turn 2:\n```\nSecond task"));
        assert!(first.is_some() && second.is_some(), "the critic is told what the user said before this run: {brief}");
        assert!(ground.runs().len() == 3 && api.unmatched().is_empty());
    }

    fn a_session_that_does_not_exist_is_an_error_and_not_a_new_one(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(vec![], vec![])).unwrap();
        let args = ["-p", "do it", "--", "--resume", "99999999-9999-4999-8999-999999999999"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(1);
        assert!(ended.reason().contains("does not exist in this directory"), "{}", ended.reason());
        assert_eq!(api.request_count(), 0);
    }

    fn a_model_that_the_user_names_holds_for_agent_critic_and_restart(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
        let args = ["-p", "do it", "--", "--model", "claude-haiku-4-5"];
        ground.supervise(&api.base_url(), &cli.path, &args).end().assert_code(0);
        for request in api.requests() {
            assert!(request.body["model"].as_str().unwrap().contains("haiku"), "{}", request.body["model"]);
        }
    }
}

#[test]
fn runs_report_and_explain_know_the_night() {
    let ground = Ground::new();
    let program = ground.scripted_agent(&json!({"agent": [[{"say": "Done."}], [{"say": "Done."}]], "critic": [[{"say": "Add tests."}], [{"say": "[TASK_COMPLETED]"}]]}));
    let ended = ground.supervise("http://127.0.0.1:9", &program, &["-p", "do it"]).end();
    ended.assert_code(0);
    let run_id = text(&ended.result()["run_id"]);
    for (args, word) in [
        (vec!["runs"], "completed"),
        (vec!["explain", &run_id], "the critic agrees"),
        (vec!["replay", &run_id], "Add tests."),
    ] {
        let seen = Running::spawn(&ground, &mut ground.command("http://127.0.0.1:9", &args)).end();
        seen.assert_code(0);
        assert!(seen.stdout.contains(word), "{args:?}: {}{}", seen.stdout, seen.stderr);
    }
}
