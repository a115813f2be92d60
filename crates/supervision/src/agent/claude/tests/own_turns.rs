//! Turns that the CLI begins by itself, and answers of several blocks. The lines are those of both versions
//! (measured), reduced to the relevant members.

use super::{ClaudeProtocol, Replay, feed, feed_to};
use crate::agent::Protocol;

const SENT: &str = r#"{"host":"turn","uuid":"u-7"}"#;
const RUNNING: &str = r#"{"type":"system","subtype":"session_state_changed","state":"running"}"#;
const IDLE: &str = r#"{"type":"system","subtype":"session_state_changed","state":"idle"}"#;
const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s","model":"m","claude_code_version":"v"}"#;
const REQUESTING: &str = r#"{"type":"system","subtype":"status","status":"requesting"}"#;
const REPLAY: &str =
    r#"{"type":"user","isReplay":true,"uuid":"u-7","timestamp":"t","message":{"role":"user","content":"x"}}"#;
const STARTED: &str = r#"{"type":"command_lifecycle","command_uuid":"u-7","state":"started"}"#;
const STARTED_OTHER: &str =
    r#"{"type":"command_lifecycle","command_uuid":"w-1","state":"started","wakeup_source":"schedule_wakeup"}"#;

fn says(message: &str, text: &str) -> String {
    let text = serde_json::to_string(text).expect("JSON");
    format!(
        r#"{{"type":"assistant","message":{{"id":"{message}","model":"m","content":[{{"type":"text","text":{text}}}]}}}}"#
    )
}

fn ends(message_end: &str) -> String {
    format!(r#"{{"type":"stream_event","event":{{"type":"message_delta","delta":{{"stop_reason":"{message_end}"}}}}}}"#)
}

fn result(text: &str, members: &str) -> String {
    let text = serde_json::to_string(text).expect("JSON");
    format!(
        r#"{{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":{text},"stop_reason":"end_turn","terminal_reason":"completed"{members}}}"#
    )
}

fn told(lines: &[&str]) -> Replay {
    feed(&lines.join("\n"))
}

fn told_critic(lines: &[&str]) -> Replay {
    feed_to(ClaudeProtocol::of_critic(), &lines.join("\n"))
}

const OURS: &str = r#","user_message_uuids":["u-7"]"#;

#[test]
fn a_turn_that_a_job_began_before_ours_was_read_is_not_taken_for_ours() {
    let (job, said) = (
        says("a", "The report is written.\n\n[TASK_COMPLETED]"),
        result("The report is written.\n\n[TASK_COMPLETED]", ""),
    );
    let mut replay = told(&[SENT, RUNNING, INIT, REQUESTING, &job, &said, IDLE]);
    assert_eq!(replay.story(), "session\n", "2.1.197 replays every turn for which it asks the model");
    assert!(!replay.protocol.is_idle(), "ours is still to be read");
    for line in [RUNNING, INIT, REQUESTING, REPLAY, &says("b", "no"), &result("no", ""), IDLE] {
        replay.step(line);
    }
    assert_eq!(replay.story(), "session\naccepted 7\nstarted by 7\nended 7 done: no\n");
    assert!(!replay.ends()[0].mixed);
    // The same without an idle state in between, and with a failed request of the job.
    let failed = said.replace(r#""is_error":false"#, r#""is_error":true,"api_error_status":500"#);
    let error = r#"{"type":"assistant","message":{"model":"<synthetic>","content":[{"type":"text","text":"x"}]},"error":"server_error"}"#;
    for (job, said) in [(job.as_str(), &said), (error, &failed)] {
        let lines = [SENT, RUNNING, INIT, REQUESTING, job, said, INIT, REQUESTING, REPLAY, &result("no", ""), IDLE];
        assert_eq!(told(&lines).story(), "session\naccepted 7\nstarted by 7\nended 7 done: no\n");
    }
}

#[test]
fn a_turn_that_is_not_reported_while_the_cli_ends_turns_of_its_own_is_told() {
    let (job, said) = (says("a", "nothing new"), result("nothing new", ""));
    let own = [RUNNING, INIT, REQUESTING, &job, &said, IDLE];
    let mut replay = told(&[SENT]);
    for _ in 0..3 {
        own.iter().for_each(|line| replay.step(line));
    }
    assert_eq!(replay.story(), "session\n", "those that were queued before ours go first");
    own.iter().for_each(|line| replay.step(line));
    assert_eq!(replay.story(), "session\nturn unreported\n");
}

#[test]
fn a_command_of_the_cli_that_asks_no_model_is_ours_without_a_replay() {
    let nothing = result("", "").replace(r#""num_turns":1"#, r#""num_turns":0"#);
    let spent = result("", "").replace("success", "error_max_budget_usd");
    for said in [&nothing, &spent] {
        assert_eq!(told(&[SENT, RUNNING, INIT, said, IDLE]).ends().len(), 1, "{said}");
    }
}

#[test]
fn a_turn_of_ours_that_was_taken_into_one_of_the_clis_own_is_told_as_mixed() {
    let own = says("a", "looking at CI");
    let newest = [SENT, STARTED_OTHER, RUNNING, INIT, &own, STARTED, &says("b", "done"), &result("done", OURS), IDLE];
    let previous = [SENT, RUNNING, INIT, REQUESTING, &own, REPLAY, &says("b", "done"), &result("done", ""), IDLE];
    for lines in [&newest[..], &previous[..]] {
        let replay = told(lines);
        let end = replay.ends()[0];
        assert!(end.mixed, "{lines:?}");
        assert_eq!(end.text, "done");
    }
    let apart = [SENT, STARTED, RUNNING, INIT, REQUESTING, REPLAY, &own, &result("looking at CI", OURS), IDLE];
    assert!(!told(&apart).ends()[0].mixed);
}

#[test]
fn what_a_critic_says_in_a_turn_of_its_own_is_not_its_answer() {
    let about_task = r#","origin":{"kind":"task-notification"}"#;
    for (members, text) in [("", "Not done."), (about_task, "Fine."), (OURS, "Fine.")] {
        let begin = [SENT, STARTED, RUNNING, INIT, REPLAY, &says("a", "Not done."), &result("Not done.", OURS)];
        let follows = [INIT, &says("b", "Fine."), &result("Fine.", members), IDLE];
        let lines = [&begin[..], &follows[..]].concat();
        assert_eq!(told_critic(&lines).ends()[0].text, text, "{members}");
        assert_eq!(
            told(&lines).ends()[0].text,
            "Fine.",
            "an agent's last words are its own, no matter what began the turn"
        );
    }
}

#[test]
fn all_text_blocks_of_the_last_message_are_the_answer() {
    let blocks = [says("a", "Missing: 1. the tests."), says("a", "Please do that.")];
    for members in [OURS, ""] {
        let lines = [SENT, RUNNING, INIT, REPLAY, &blocks[0], &blocks[1], &result("Please do that.", members), IDLE];
        let replay = told(&lines);
        let end = replay.ends()[0];
        assert_eq!(end.text, "Missing: 1. the tests.\n\nPlease do that.");
        assert_eq!(&end.text[end.last_block..], "Please do that.");
    }
}

#[test]
fn an_answer_cut_at_the_output_limit_goes_on_by_the_cli_itself_and_not_by_a_hook() {
    let go_on = r#"{"type":"user","isSynthetic":true,"message":{"role":"user","content":[{"type":"text","text":"Output token limit hit."}]}}"#;
    let (first, second) = (says("a", "Missing: the te"), says("b", "sts."));
    for end in ["max_tokens", "end_turn"] {
        let replay = told(&[
            SENT,
            RUNNING,
            INIT,
            REPLAY,
            &first,
            &ends(end),
            go_on,
            &second,
            &ends("end_turn"),
            &result("sts.", OURS),
            IDLE,
        ]);
        let (event, text) = match end {
            "max_tokens" => ("cut short", "Missing: the tests."),
            _ => ("sent back by Stop: Output token limit hit.", "sts."),
        };
        assert_eq!(replay.story(), format!("session\naccepted 7\nstarted by 7\n{event}\nended 7 done: {text}\n"));
    }
}

fn calls(tool: &str, input: &str) -> String {
    format!(
        r#"{{"type":"assistant","timestamp":"2026-11-27T09:51:03.500Z","message":{{"id":"a","model":"m","content":[{{"type":"tool_use","id":"t1","name":"{tool}","input":{input}}}]}}}}"#
    )
}

fn returns(result: &str) -> String {
    format!(
        r#"{{"type":"user","timestamp":"2026-11-27T09:51:03.560Z","message":{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t1","content":"x"}}]}},"tool_use_result":{result}}}"#
    )
}

#[test]
fn a_wake_up_that_was_taken_in_is_waited_for_and_its_turn_is_part_of_ours() {
    let wakeup = calls("ScheduleWakeup", r#"{"delaySeconds":60,"reason":"CI","prompt":"look"}"#);
    let taken = returns(r#"{"scheduledFor":1795773180000,"clampedDelaySeconds":60,"wasClamped":false}"#);
    let refused = returns(r#"{"scheduledFor":0,"clampedDelaySeconds":0,"wasClamped":false}"#);
    let turn = |returned: &str| {
        told(&[SENT, RUNNING, INIT, REPLAY, &wakeup, returned, &says("b", "CI runs."), &result("CI runs.", OURS), IDLE])
    };
    assert_eq!(turn(&refused).ends().len(), 1, "2.1.197 takes none in");
    let mut replay = turn(&taken);
    assert!(
        replay.story().ends_with("tool done\nwaiting for 1 scheduled, first in Some(116440)\n"),
        "{}",
        replay.story()
    );
    assert_eq!(replay.protocol.open_task_names(), ["a wake-up (CI)"]);
    assert_eq!(replay.protocol.open_tasks(), 0, "nothing runs that its end would have to wait for");
    let mut given_up = replay.protocol.clone();
    assert_eq!(given_up.settle().map(|end| end.left_open), Some(0));
    assert_eq!(given_up.scheduled_names(), ["a wake-up (CI)"], "it comes all the same");

    let late = says("c", "CI is green.")
        .replace(r#""type":"assistant""#, r#""type":"assistant","timestamp":"2026-11-27T09:53:01.000Z""#);
    for line in [STARTED_OTHER, RUNNING, INIT, &late, &result("CI is green.", ""), IDLE] {
        replay.step(line);
    }
    assert!(replay.story().ends_with("started by 7\nended 7 done: CI is green.\n"), "{}", replay.story());
    assert!(replay.protocol.scheduled_names().is_empty());
}

#[test]
fn a_job_that_comes_again_and_again_is_named_and_not_waited_for() {
    for (result_of_call, ends) in [
        (r#"{"id":"j","humanSchedule":"Every minute","recurring":true,"durable":false}"#, 1),
        (r#"{"id":"j","humanSchedule":"30 14 28 11 *","recurring":false,"durable":false}"#, 0),
    ] {
        let call = calls("CronCreate", r#"{"cron":"* * * * *","prompt":"tick"}"#);
        let lines = [SENT, RUNNING, INIT, REPLAY, &call, &returns(result_of_call), &result("ok", OURS), IDLE];
        let replay = told(&lines);
        assert_eq!(replay.ends().len(), ends, "{result_of_call}");
        assert_eq!(replay.protocol.scheduled_names(), ["the scheduled job * * * * *"]);
        // A critic's schedules are not waited for.
        assert_eq!(told_critic(&lines).ends().len(), 1, "{result_of_call}");
    }
}
