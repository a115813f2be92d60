//! What agent and critic begin by themselves, and answers in several pieces.

use std::time::Duration;

use serde_json::json;

use super::harness::{BRIEF, Ended, Ground, approval, script, text};
use super::requests::{agents, brief_of, critics, user_texts};
use crate::scripted_api::{Block, Message, Reply, Rule, Script, ScriptedApi, Times, When};

const DANGEROUS: &str = "--dangerously-skip-permissions";

fn notices(ended: &Ended<'_>) -> Vec<String> {
    ended.of_type("notice").iter().map(|notice| text(&notice["text"])).collect()
}

fn told(ended: &Ended<'_>, part: &str) -> usize {
    notices(ended).iter().filter(|notice| notice.contains(part)).count()
}

fn forever(when: When, reply: Reply) -> Rule {
    Rule { when, times: Times::Forever, reply }
}

fn cut() -> Reply {
    let blocks = vec![Block::text("This is long.")];
    Reply::Message(Message { blocks, stop_reason: Some("max_tokens".to_owned()), ..Message::default() })
}

/// The tool's description is asked for first where the CLI defers it.
fn with_tool(cli: &str, tool: &str, call: Reply, then: Vec<Reply>) -> Vec<Reply> {
    let mut replies = Vec::new();
    if cli != "previous" {
        replies.push(Reply::tool("ToolSearch", json!({"query": format!("select:{tool}"), "max_results": 3})));
    }
    replies.push(call);
    replies.extend(then);
    replies
}

on_both! {
    fn a_wake_up_beyond_the_limit_for_background_work_is_told_and_named_in_the_outcome(cli) {
        let ground = Ground::new();
        let wakeup = Reply::tool("ScheduleWakeup", json!({"delaySeconds": 600, "reason": "waiting for CI", "prompt": "look"}));
        let api = ScriptedApi::start(script(vec![wakeup, Reply::text("CI is running.")], vec![approval()])).unwrap();
        let args = ["-p", "do it", "--background-timeout", "5s", "--", DANGEROUS];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        // 2.1.197 takes no wake-up in.
        let taken = usize::from(cli.label != "previous");
        assert_eq!(told(&ended, "not waited for any longer (--background-timeout): a wake-up (waiting for CI)"), taken);
        let named = ended.reason().contains("; what it had scheduled ends with it: a wake-up (waiting for CI)");
        assert_eq!(named, taken == 1, "{}", ended.reason());
        let requests = api.requests();
        assert_eq!(brief_of(critics(&requests)[0]).contains("- a wake-up (waiting for CI)"), taken == 1);
    }

    fn a_job_that_runs_once_is_waited_for_and_its_turn_comes_before_the_critic(cli) {
        let ground = Ground::new().env("TZ", "UTC");
        // A minute that begins in 15 to 75 seconds: the CLI has started before. At :00 and :30 a job may come early.
        let mut at = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC) + jiff::Span::new().seconds(75);
        if at.minute() % 30 == 0 {
            at += jiff::Span::new().minutes(1);
        }
        let cron = format!("{} {} {} {} *", at.minute(), at.hour(), at.day(), at.month());
        let job = Reply::tool("CronCreate", json!({"cron": cron, "prompt": "tick: look at CI", "recurring": false}));
        let said = |part: &str, reply: Reply| Rule { when: When::last_user_text(part), times: Times::Once, reply };
        let mut script = Script::new().rule(said("tick: look at CI", Reply::text("CI is green.")));
        let first_turn = with_tool(&cli.label, "CronCreate", job, vec![Reply::text("CI is running.")]);
        let requests_of_first_turn = first_turn.len();
        for reply in first_turn {
            script = script.on(When::no_user_text(BRIEF), reply);
        }
        let api = ScriptedApi::start(script.on(When::any_user_text(BRIEF), approval())).unwrap();
        let mut running = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--", DANGEROUS]);
        running.until("what is waited for", |event| event.to_string().contains("what the agent has scheduled for itself"));
        // Up to two minutes, and up to 30 s that the CLI adds.
        api.wait_for_requests(requests_of_first_turn + 1, Duration::from_secs(160)).unwrap();
        let ended = running.end();
        ended.assert_code(0);
        assert_eq!(ended.result()["result"], "CI is green.");
        assert_eq!(ended.verdicts(), ["completed"]);
        let requests = api.requests();
        assert!(user_texts(&critics(&requests)[0].body).iter().any(|said| said.contains("tick: look at CI")));
        assert!(!ended.reason().contains("scheduled"), "{}", ended.reason());
    }

    fn all_text_blocks_of_the_critics_answer_count(cli, current) {
        let ground = Ground::new();
        let blocks = |texts: [&str; 2]| Reply::blocks(texts.map(Block::text).to_vec());
        let api = ScriptedApi::start(script(
            vec![Reply::text("Done."), Reply::text("Done now.")],
            vec![
                blocks(["Missing: 1. the test for empty input. 2. the README.", "Please do these two things."]),
                blocks(["Not done: the tests are missing, write them now.", "\n\n[TASK_COMPLETED]"]),
                approval(),
            ],
        ))
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["feedback", "unusable", "completed"]);
        let requests = api.requests();
        let heard = user_texts(&agents(&requests)[1].body);
        let whole = "Missing: 1. the test for empty input. 2. the README.\n\nPlease do these two things.";
        assert!(heard.iter().any(|said| said == whole), "{heard:?}");
        let brief = brief_of(critics(&requests)[2]);
        assert!(brief.contains("in a text block of its own") && brief.contains("Not done: the tests are missing"), "{brief}");
    }

    fn an_answer_that_the_cli_lets_go_on_is_not_blamed_on_a_hook_and_a_critic_is_told_to_write_less(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(
            Script::new()
                .rule(forever(When::any_user_text("The last review was cut off"), approval()))
                .rule(forever(When::any_user_text(BRIEF), cut()))
                .rule(Rule { when: When::default(), times: Times::N(2), reply: cut() })
                .then(Reply::text("That is all.")),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["unusable", "completed"]);
        assert_eq!(told(&ended, "the hook"), 0, "{:?}", notices(&ended));
        // Only the newest says that it lets the model go on.
        assert_eq!(told(&ended, "cut at the output limit"), usize::from(cli.label != "previous"));
        assert_eq!(ended.result()["result"], "This is long.This is long.That is all.");
    }
}

#[test]
fn a_job_that_breaks_off_each_review_is_told_and_then_it_is_judged_without_the_agent() {
    let ground = Ground::new();
    let program = ground.scripted_agent(&json!({
        "agent": [[{"schedule": {"ms": 1500, "every": true, "then": [{"say": "Looked, nothing yet."}]}}, {"say": "I look at it."}], [{"say": "Done."}]],
        "critic": [[{"sleep_ms": 4_000}, {"say": "Add a test."}], [{"sleep_ms": 4_000}, {"say": "Good.\n[TASK_COMPLETED]"}]],
    }));
    let ended = ground.supervise("http://127.0.0.1:9", &program, &["-p", "do it", "--max-iterations", "2"]).end();
    ended.assert_code(0);
    assert_eq!(ended.verdicts(), ["feedback", "completed"]);
    assert_eq!(ended.result()["iterations"], 2);
    for times in ["(1 of at most 2 times in a row)", "(2 of at most 2 times in a row)"] {
        assert_eq!(told(&ended, times), 1, "{:?}", notices(&ended));
    }
    assert_eq!(told(&ended, "its process is ended until that is done"), 1, "{:?}", notices(&ended));
}
