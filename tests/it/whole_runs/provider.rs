//! Failures of the provider and of the network before it, told apart by fields: what passes is waited out, what does not is
//! remedied in turn, and the end says what can help.

use serde_json::{Value, json};

use super::harness::{BRIEF, Ground, approval, bash, script, text};
use super::limits::{KEYS, key, rotations, used, when, with_keys, with_oauth};
use super::requests::{agents, user_texts};
use crate::real_cli::RealCli;
use crate::scripted_api::{Block, Message, Reply, Script, ScriptedApi, Times, When};

const FILTERED: &str = "Output blocked by content filtering policy";

fn invalid(message: &str) -> Reply {
    Reply::error(400, "invalid_request_error", message)
}

/// A run whose first key is always rejected so: the second takes the turn, once. Gives the result.
fn completed_with_the_other_key(cli: &RealCli, rejection: Reply) -> Value {
    let ground = with_keys(Ground::new(), 2);
    let api = ScriptedApi::start(
        Script::new().rule(when(key(KEYS[0]), Times::Forever, rejection)).then(Reply::text("Done.")).then(approval()),
    )
    .unwrap();
    let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
    ended.assert_code(0);
    assert_eq!(used(&api.requests()).iter().rev().take(2).collect::<Vec<_>>(), [&1, &1]);
    assert_eq!(rotations(&ended), json!(1));
    ended.result().clone()
}

fn any(times: Times, reply: Reply) -> crate::scripted_api::Rule {
    when(When::default(), times, reply)
}

on_both! {
    fn an_answer_that_a_filter_blocks_is_tried_again(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(
            Script::new().rule(any(Times::Once, invalid(FILTERED))).then(Reply::text("Done.")).then(approval()),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 0);
    }

    fn a_session_that_is_rejected_is_compacted_and_then_gone_on_with_in_a_new_one(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(
            Script::new()
                .on(When::any_user_text(BRIEF), approval())
                .on(When::any_user_text("is on disk"), Reply::text("Done."))
                .then(bash("echo one >> steps.txt"))
                .always(invalid(FILTERED)),
        )
        .unwrap();
        let args = ["-p", "do it", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ground.read("steps.txt"), "one\n");
        let kinds: Vec<String> = ended.of_type("turn").iter().map(|turn| text(&turn["kind"])).collect();
        assert_eq!(kinds.iter().filter(|kind| *kind == "compact").count(), 1, "{kinds:?}");
        let sessions: Vec<String> = ended.of_type("session").iter().map(|it| text(&it["session_id"])).collect();
        let last = sessions.last().expect("a session").clone();
        assert!(sessions.iter().any(|id| *id != last), "{sessions:?}");
        assert_eq!(text(&ended.result()["session_id"]), last);
        let requests = api.requests();
        let texts = user_texts(&agents(&requests).pop().unwrap().body);
        assert!(texts.iter().any(|said| said.contains("The user said:\ndo it")), "{texts:#?}");
    }

    fn what_is_rejected_in_a_new_session_too_ends_without_advice_that_cannot_help(cli) {
        let ground = Ground::without_git();
        let api = ScriptedApi::start(Script::new().always(invalid(FILTERED))).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(1);
        assert!(ended.reason().contains("in a new session too"), "{}", ended.reason());
        assert!(ended.reason().contains("start a new run"), "{}", ended.reason());
        assert_eq!(ended.result()["resume"], json!(null), "{}", ended.result());
    }

    fn a_request_that_a_network_forbids_is_waited_for(cli) {
        for (status, error, times) in [(403, "forbidden", 2), (407, "proxy", 1)] {
            let ground = Ground::new();
            let api = ScriptedApi::start(
                Script::new()
                    .rule(any(Times::N(times), Reply::error(status, error, "Request not allowed")))
                    .then(Reply::text("Done."))
                    .then(approval()),
            )
            .unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
            ended.assert_code(0);
            assert!(ended.result()["waited_ms"].as_u64().unwrap() >= 9_000, "{status}: {}", ended.result());
        }
    }

    fn a_model_that_has_answered_and_is_not_found_is_waited_for(cli) {
        for error in ["not_found_error", "proxy"] {
            let ground = Ground::new();
            // The CLI itself asks a second time, without streaming.
            let unknown = Reply::error(404, error, "model: claude-opus-5-5");
            let api = ScriptedApi::start(
                Script::new().then(bash("echo one >> steps.txt")).rule(any(Times::N(2), unknown))
                    .then(Reply::text("Done."))
                    .then(approval()),
            )
            .unwrap();
            let args = ["-p", "do it", "--", "--dangerously-skip-permissions"];
            let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
            ended.assert_code(0);
            assert_eq!(ground.read("steps.txt"), "one\n");
            assert!(ended.result()["waited_ms"].as_u64().unwrap() >= 9_000, "{error}: {}", ended.result());
            assert!(!ended.stdout.contains("Run --model"), "advice that is not ccc's: {}", ended.stdout);
        }
    }

    fn a_model_that_one_key_does_not_have_is_asked_for_with_the_other(cli) {
        let result = completed_with_the_other_key(cli, Reply::error(404, "not_found_error", "model: claude-opus-5-5"));
        assert_eq!(result["waited_ms"], 0);
    }

    fn before_a_400_ends_the_run_another_key_gets_the_turn(cli) {
        completed_with_the_other_key(cli, invalid("You have reached your specified API usage limits."));
    }

    fn a_key_that_has_never_worked_ends_the_run_at_the_second_refusal(cli) {
        let ground = Ground::without_git();
        let api = ScriptedApi::start(
            Script::new().always(Reply::error(401, "authentication_error", "invalid x-api-key")),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(1);
        assert!(ended.reason().contains("refused"), "{}", ended.reason());
        let took_ms = ended.result()["duration_ms"].as_u64().unwrap();
        // Up to 5 s where nothing else runs; the CLI's own tries would take three minutes.
        assert!(took_ms < 15_000, "{took_ms} ms");
        assert!(api.request_count() <= 4, "{} requests", api.request_count());
    }

    fn after_a_cut_answer_the_model_is_told_to_write_less(cli) {
        let ground = Ground::new();
        let cut = || Reply::Message(Message {
            blocks: vec![Block::text("a very long answer")],
            stop_reason: Some("max_tokens".to_owned()),
            ..Message::default()
        });
        let less = "write less at a time";
        let api = ScriptedApi::start(
            Script::new()
                .on(When::any_user_text(BRIEF), approval())
                .on(When::any_user_text(less), Reply::text("Done."))
                .always(cut()),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        let turns = ended.of_type("turn");
        assert!(turns.iter().any(|turn| text(&turn["text"]).contains(less)), "{turns:#?}");
    }

    fn a_throttle_never_rotates_a_subscription(cli) {
        let ground = with_oauth(Ground::new(), 2);
        let crowd = Reply::error(429, "rate_limit_error", "Number of requests has exceeded your rate limit");
        let api = ScriptedApi::start(
            Script::new().rule(any(Times::N(2), crowd)).then(Reply::text("Done.")).then(approval()),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(rotations(&ended), json!(0));
    }
}

#[test]
fn a_context_that_needs_credits_goes_to_another_token_and_ends_with_the_clis_advice() {
    let Some(cli) = super::harness::cli("current") else { return };
    let needs = || Reply::error(429, "rate_limit_error", "Extra usage is required for long context requests.");
    for others in [true, false] {
        let ground = with_oauth(Ground::new(), if others { 2 } else { 1 });
        let first = When::header("authorization", &format!("Bearer {}", super::limits::OAUTHS[0]));
        let api = ScriptedApi::start(
            Script::new().rule(when(first, Times::Forever, needs())).then(Reply::text("Done.")).then(approval()),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        if others {
            ended.assert_code(0);
            assert_eq!(rotations(&ended), json!(1));
        } else {
            ended.assert_code(1);
            assert!(ended.reason().contains("usage credits"), "{}", ended.reason());
        }
    }
}

#[test]
fn a_run_whose_session_was_rejected_is_resumed_in_a_new_one() {
    let Some(cli) = super::harness::cli("current") else { return };
    let ground = Ground::new();
    let api = ScriptedApi::start(Script::new().always(invalid(FILTERED))).unwrap();
    let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
    ended.assert_code(1);
    let before = text(&ended.result()["session_id"]);
    let again = ScriptedApi::start(script(vec![Reply::text("Done.")], vec![approval()])).unwrap();
    let run = text(&ended.result()["run_id"]);
    let resumed = ground.start(&again.base_url(), ["resume", "--output-format", "stream-json", &run]).end();
    resumed.assert_code(0);
    assert_ne!(text(&resumed.result()["session_id"]), before);
}
