use serde_json::{Value, json};

use super::{Replay, feed};
use crate::agent::{
    AgentEvent, AllowedBy, Ask, Asked, AskedKind, Denial, FailureCause, LimitStatus, Protocol, StartedBy, TurnOutcome,
    WaitingFor,
};
use crate::words::TurnId;

const SENT: &str = r#"{"host":"turn","uuid":"u-7"}"#;
const RUNNING: &str = r#"{"type":"system","subtype":"session_state_changed","state":"running"}"#;
const IDLE: &str = r#"{"type":"system","subtype":"session_state_changed","state":"idle"}"#;
const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s","model":"m","claude_code_version":"v"}"#;
const REPLAY: &str =
    r#"{"type":"user","isReplay":true,"uuid":"u-7","timestamp":"t","message":{"role":"user","content":"x"}}"#;
const REPLAY_BARE: &str = r#"{"type":"user","isReplay":true,"uuid":"u-7","message":{"role":"user","content":"x"}}"#;
const RESULT: &str = r#"{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"answer","stop_reason":"end_turn","terminal_reason":"completed"}"#;
const FOLLOW_UP: &str = r#"{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"about the task","stop_reason":"end_turn","terminal_reason":"completed","origin":{"kind":"task-notification"}}"#;
const TASK: &str = r#"{"type":"system","subtype":"task_started","task_id":"b1","tool_use_id":"toolu_b"}"#;
const TASK_DONE: &str = r#"{"type":"system","subtype":"task_notification","task_id":"b1","status":"completed"}"#;

fn told(lines: &[&str]) -> Replay {
    feed(&lines.join("\n"))
}

#[test]
fn a_result_before_the_replay_is_not_taken() {
    let mut replay = told(&[SENT, RUNNING, INIT, FOLLOW_UP, IDLE, RUNNING, INIT]);
    assert_eq!(replay.story(), "session\n");
    for line in [REPLAY, RESULT, IDLE] {
        replay.step(line);
    }
    assert_eq!(replay.story(), "session\naccepted 7\nstarted by 7\nended 7 done: answer\n");
}

#[test]
fn a_result_that_names_another_message_is_not_taken() {
    let other = RESULT.replace(r#""num_turns""#, r#""user_message_uuids":["u-6"],"num_turns""#);
    let replay = told(&[SENT, RUNNING, INIT, REPLAY, &other, IDLE]);
    assert_eq!(replay.story(), "session\naccepted 7\nstarted by 7\n");
    let ours = RESULT.replace(r#""num_turns""#, r#""user_message_uuids":["u-6","u-7"],"num_turns""#);
    let replay = told(&[SENT, RUNNING, INIT, &ours, IDLE]);
    assert_eq!(replay.story(), "session\naccepted 7\nstarted by 7\nended 7 done: answer\n", "no replay is needed");
}

#[test]
fn a_result_without_idle_does_not_end_the_turn() {
    let mut replay = told(&[SENT, RUNNING, INIT, REPLAY, RESULT]);
    assert!(replay.ends().is_empty());
    assert!(!replay.protocol.is_idle());
    replay.step(IDLE);
    assert_eq!(replay.ends().len(), 1);
    replay.step(IDLE);
    assert_eq!(replay.ends().len(), 1, "idle is said again and again");
}

#[test]
fn a_replay_without_timestamp_is_a_duplicate_unless_the_turn_began() {
    let began = r#"{"type":"command_lifecycle","command_uuid":"u-7","state":"started"}"#;
    let queued_other = r#"{"type":"command_lifecycle","command_uuid":"u-9","state":"queued"}"#;
    let table: &[(&[&str], &str)] = &[
        (&[SENT, REPLAY_BARE], "duplicate 7\n"),
        (&[SENT, IDLE, REPLAY_BARE], "duplicate 7\n"),
        (&[SENT, RUNNING, REPLAY_BARE], "accepted 7\nstarted by 7\n"),
        (&[SENT, began, RUNNING, REPLAY_BARE], "accepted 7\nstarted by 7\n"),
        (&[SENT, queued_other, RUNNING, REPLAY_BARE], "duplicate 7\n"),
    ];
    for (lines, story) in table {
        assert_eq!(told(lines).story(), *story, "{lines:?}");
    }
}

#[test]
fn text_that_quotes_limits_markers_and_protocol_changes_nothing() {
    let quoting = r#"5-hour limit reached · resets 6pm [TASK_COMPLETED] API Error: 429 {\"type\":\"result\",\"is_error\":true} {\"type\":\"rate_limit_event\"}"#;
    let story = |text: &str| {
        let said = format!(r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#);
        let tool = r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"toolu_1","name":"Read","input":{"file_path":"/f"}}]}}"#;
        let back = format!(
            r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"toolu_1","content":"{text}"}}]}},"tool_use_result":{{"stdout":"{text}"}}}}"#
        );
        let thrown = format!(r#"{{"type":"system","subtype":"notification","key":"{text}","text":"{text}"}}"#);
        let result = RESULT.replace("answer", text);
        let lines = [SENT, RUNNING, INIT, REPLAY, &said, tool, &back, &thrown, &result, IDLE];
        told(&lines).story().replace(&text.replace('\\', ""), "TEXT")
    };
    assert_eq!(story(quoting), story("harmless"));
    assert!(story(quoting).ends_with("ended 7 done: TEXT\n"));
}

#[test]
fn unknown_lines_are_signs_of_life() {
    for line in [
        r#"{"type":"brand_new","payload":[1,2,3]}"#,
        r#"{"type":"system","subtype":"brand_new"}"#,
        r#"{"no":"type"}"#,
        "[1]",
        "null",
        r#"{"type":"result""#,
        r#"{"type":"assistant","message":17}"#,
        r#"{"type":"rate_limit_event"}"#,
        r#"{"type":"keep_alive"}"#,
        "{}",
        r#"{"type":"assistant"}"#,
        r#"{"type":"assistant","message":{"content":[]}}"#,
        r#"{"type":"user","message":{"role":"user","content":[]}}"#,
        r#"{"type":"stream_event"}"#,
        r#"{"type":"stream_event","event":{"type":"ping"}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_delta"}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":""}}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":""}}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":""}}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_start","content_block":{"type":"text","text":""}}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_start","content_block":{"type":"thinking","thinking":""}}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_stop"}}"#,
        r#"{"type":"system","subtype":"thinking_tokens"}"#,
        r#"{"type":"system","subtype":"thinking_tokens","estimated_tokens":9,"estimated_tokens_delta":0}"#,
        r#"{"type":"system","subtype":"status","status":"requesting"}"#,
        r#"{"type":"system","subtype":"notification","text":"still here"}"#,
        r#"{"type":"system","subtype":"informational","content":"still here"}"#,
        r#"{"type":"system","subtype":"hook_progress","hook_id":"h1","output":""}"#,
        r#"{"type":"control_response","response":{"subtype":"success","request_id":"x"}}"#,
        r#"{"type":"control_cancel_request","request_id":"x"}"#,
        r#"{"type":"tool_progress","tool_use_id":"toolu_X-heartbeat-0","tool_name":"Bash","parent_tool_use_id":null,"elapsed_time_seconds":30,"heartbeat":true}"#,
        r#"{"type":"tool_progress","tool_use_id":"hook-PreToolUse-toolu_X-heartbeat-0","tool_name":"PreToolUse","elapsed_time_seconds":30,"heartbeat":true}"#,
        r#"{"type":"tool_progress","tool_use_id":"bash-progress-1","tool_name":"Bash","elapsed_time_seconds":3}"#,
    ] {
        let mut protocol = super::ClaudeProtocol::default();
        let mut events = Vec::new();
        protocol.line(line, &mut events);
        assert_eq!(events, [AgentEvent::Alive], "{line}");
        assert!(protocol.is_idle(), "{line}");
    }
}

/// For each line whether it proves progress.
fn progress(lines: &[&str]) -> Vec<bool> {
    let mut protocol = super::ClaudeProtocol::default();
    let mut signs = Vec::new();
    for line in lines {
        if *line == SENT {
            protocol.turn_sent(&TurnId("u-7".to_owned()));
            continue;
        }
        let mut events = Vec::new();
        protocol.line(line, &mut events);
        let sign = |event: &AgentEvent| matches!(event, AgentEvent::Alive | AgentEvent::Progress);
        assert!(sign(&events[0]) && !events[1..].iter().any(sign), "one sign, first: {line}: {events:?}");
        signs.push(events[0] == AgentEvent::Progress);
    }
    signs
}

#[test]
fn words_calls_results_and_changes_prove_progress() {
    for line in [
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"x"}]}}"#,
        r#"{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"hm"}]}}"#,
        r#"{"type":"assistant","message":{"content":[{"type":"redacted_thinking","data":"x"}]}}"#,
        r#"{"type":"assistant","message":{"content":[]},"error":"overloaded"}"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"x"}]}}"#,
        r#"{"type":"user","message":{"role":"user","content":"go on"},"isSynthetic":true}"#,
        r#"{"type":"stream_event","event":{"type":"message_start"}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_start","content_block":{"type":"tool_use","name":"Bash"}}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}}"#,
        r#"{"type":"system","subtype":"thinking_tokens","estimated_tokens":9,"estimated_tokens_delta":3}"#,
        r#"{"type":"system","subtype":"hook_started","hook_id":"h1","hook_name":"Stop"}"#,
        r#"{"type":"system","subtype":"hook_progress","hook_id":"h1","output":"half done"}"#,
        r#"{"type":"system","subtype":"hook_response","hook_id":"h1"}"#,
        r#"{"type":"system","subtype":"status","status":"compacting"}"#,
        r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":500}"#,
        r#"{"type":"system","subtype":"model_fallback","trigger":"overloaded"}"#,
        r#"{"type":"control_request","request_id":"r","request":{"subtype":"news"}}"#,
        r#"{"type":"tool_progress","tool_use_id":"agent-retry-1","tool_name":"Agent","elapsed_time_seconds":0,"subagent_retry":{"agent_id":"a","attempt":2,"max_retries":10,"retry_delay_ms":900}}"#,
        INIT,
        RUNNING,
        RESULT,
        TASK,
    ] {
        assert_eq!(progress(&[line]), [true], "{line}");
    }
    // Repeated reports change nothing.
    let queued = r#"{"type":"command_lifecycle","command_uuid":"u-7","state":"queued"}"#;
    let started = r#"{"type":"command_lifecycle","command_uuid":"u-7","state":"started"}"#;
    let story = [SENT, RUNNING, RUNNING, queued, queued, started, started, INIT, INIT, REPLAY, REPLAY];
    assert_eq!(progress(&story), [true, false, true, false, true, false, true, false, true, false]);
    let step = |tools: u32, ms: u32| {
        format!(
            r#"{{"type":"system","subtype":"task_progress","task_id":"b1","tool_use_id":"toolu_b","usage":{{"total_tokens":12,"tool_uses":{tools},"duration_ms":{ms}}},"last_tool_name":"Bash"}}"#
        )
    };
    let call =
        r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"toolu_b","name":"Agent","input":{}}]}}"#;
    assert_eq!(
        progress(&[SENT, RUNNING, INIT, REPLAY, call, TASK])[5 - 1..],
        [false],
        "a call that is known became a task"
    );
    let steps = [SENT, RUNNING, INIT, REPLAY, call, TASK, &step(1, 30), &step(1, 60), &step(2, 90)];
    assert_eq!(progress(&steps)[5..], [true, false, true], "its running time goes on by itself");
}

#[test]
fn a_sub_agent_in_the_background_proves_progress_only_once_the_turn_waits_for_it() {
    let call =
        r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"toolu_b","name":"Agent","input":{}}]}}"#;
    let returned = r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"toolu_b","content":"launched"}]}}"#;
    let row = r#"{"type":"assistant","parent_tool_use_id":"toolu_b","message":{"content":[{"type":"tool_use","id":"toolu_c","name":"Agent","input":{}}]}}"#;
    let nested = r#"{"type":"assistant","parent_tool_use_id":"toolu_c","message":{"content":[{"type":"tool_use","id":"toolu_d","name":"Bash","input":{}}]}}"#;
    let foreground = progress(&[SENT, RUNNING, INIT, REPLAY, call, TASK, row, nested]);
    assert_eq!(foreground[5..], [true, true], "the call has not returned: the turn waits for it");
    let background = progress(&[SENT, RUNNING, INIT, REPLAY, call, TASK, returned, row, nested, RESULT, row, nested]);
    assert_eq!(background[6..], [false, false, true, true, true]);
    let replay = told(&[SENT, RUNNING, INIT, REPLAY, call, TASK, returned, row, nested]);
    let behind: Vec<bool> = replay
        .events
        .iter()
        .filter_map(
            |event| if let AgentEvent::ToolStarted { in_background, .. } = event { Some(*in_background) } else { None },
        )
        .collect();
    assert_eq!(behind, [false, true, true]);
}

#[test]
fn an_answered_turn_is_settled_with_what_is_left_open() {
    let mut replay = told(&[SENT, RUNNING, INIT, REPLAY, TASK, RESULT]);
    assert_eq!(replay.protocol.settle(), None, "it has not said that it is idle");
    replay.step(IDLE);
    assert_eq!(replay.events.last(), Some(&AgentEvent::Waiting(WaitingFor::Background { open: 1, longest_ms: None })));
    assert_eq!(replay.protocol.open_tasks(), 1);
    assert!(!replay.protocol.is_idle());

    let end = replay.protocol.settle().expect("an end");
    assert_eq!((end.left_open, end.text.as_str()), (1, "answer"));
    assert_eq!(end.started_by, StartedBy::Us(TurnId("u-7".to_owned())));
    assert!(replay.protocol.is_idle());
    assert_eq!(replay.protocol.settle(), None, "only once");

    // A given-up task does not hold up the next turn, and its end starts a turn of the CLI's own.
    let next = |line: &str| line.replace("u-7", "u-8");
    for line in [&next(SENT), RUNNING, INIT, &next(REPLAY), RESULT, IDLE, TASK_DONE, RUNNING, INIT, FOLLOW_UP, IDLE] {
        replay.step(line);
    }
    assert!(
        replay.story().ends_with("ended 8 done: answer\nstarted by itself\nended itself done: about the task\n"),
        "{}",
        replay.story()
    );
}

#[test]
fn a_follow_up_that_never_comes_is_settled() {
    let mut replay = told(&[SENT, RUNNING, INIT, REPLAY, TASK, RESULT, IDLE, TASK_DONE]);
    assert_eq!(replay.events.last(), Some(&AgentEvent::Waiting(WaitingFor::FollowUp)));
    assert_eq!(replay.protocol.settle().map(|end| end.left_open), Some(0));
}

#[test]
fn a_running_follow_up_is_not_settled_and_decides_the_outcome() {
    let mut replay = told(&[SENT, RUNNING, INIT, REPLAY, TASK, RESULT, IDLE, TASK_DONE, RUNNING, INIT]);
    assert_eq!(replay.protocol.settle(), None);
    let failed = FOLLOW_UP
        .replace(r#""is_error":false"#, r#""is_error":true,"api_error_status":500"#)
        .replace("about the task", "API Error: 500");
    replay.step(&failed);
    replay.step(IDLE);
    let end = replay.ends()[0];
    assert_eq!(
        end.outcome,
        TurnOutcome::Failed { cause: FailureCause::Unavailable, message: "API Error: 500".to_owned() }
    );
    assert_eq!(end.text, "answer", "the last answer is kept");
}

#[test]
fn a_running_follow_up_is_known_by_its_init_where_the_state_is_not_said() {
    let other = |line: &str| line.replace("b1", "b2").replace("toolu_b", "toolu_c");
    let (task, done) = (other(TASK), other(TASK_DONE));
    let replay = told(&[SENT, INIT, REPLAY, TASK, &task, RESULT, TASK_DONE, INIT, &done]);
    let due = replay.events.iter().filter(|event| matches!(event, AgentEvent::Waiting(WaitingFor::FollowUp))).count();
    assert_eq!(due, 0, "it runs, and what ends meanwhile makes nothing due: {}", replay.story());
    let replay = told(&[SENT, INIT, REPLAY, TASK, &task, RESULT, TASK_DONE, INIT, &done, FOLLOW_UP]);
    assert!(replay.story().ends_with("ended 7 done: about the task\n"), "{}", replay.story());
}

#[test]
fn a_follow_up_that_went_well_does_not_make_a_failed_turn_good() {
    let limited = failed(r#""api_error_status":429"#);
    let replay =
        told(&[SENT, RUNNING, INIT, REPLAY, TASK, REJECTED, &limited, IDLE, TASK_DONE, RUNNING, INIT, FOLLOW_UP, IDLE]);
    let end = replay.ends()[0];
    assert!(matches!(&end.outcome, TurnOutcome::Failed { cause: FailureCause::Quota { .. }, .. }), "{:?}", end.outcome);
    let [_, own] = replay.ends()[..] else {
        panic!("the failed turn, and the one about the task: {:?}", replay.ends())
    };
    assert_eq!((&own.started_by, &own.outcome), (&StartedBy::Itself, &TurnOutcome::Done));

    let at_once = told(&[SENT, RUNNING, INIT, REPLAY, TASK, REJECTED, &limited, IDLE]);
    assert_eq!(at_once.ends().len(), 1, "a spent limit is told while the background task still runs");
}

#[test]
fn a_turn_of_its_own_is_told_apart_from_ours() {
    let replay = told(&[IDLE, RUNNING, INIT, RESULT, IDLE]);
    assert_eq!(replay.story(), "session\nstarted by itself\nended itself done: answer\n");
    let silent = told(&[IDLE, RUNNING, INIT, IDLE]);
    assert_eq!(silent.story(), "session\nstarted by itself\nended itself done: \n", "it has an end all the same");
    let nothing = told(&[RUNNING, &FOLLOW_UP.replace(r#""num_turns":1"#, r#""num_turns":0"#), IDLE]);
    assert_eq!(nothing.story(), "", "no turn, no end");
    let unknown = r#"{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,"errors":["No conversation found"]}"#;
    assert_eq!(told(&[unknown]).story(), "", "the exit says so");
}

#[test]
fn an_interrupted_turn_ends_without_waiting_for_background_work() {
    let aborted = r#"{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":2,"stop_reason":null,"terminal_reason":"aborted_streaming"}"#;
    let replay = told(&[SENT, RUNNING, INIT, REPLAY, TASK, aborted, IDLE]);
    let end = replay.ends()[0];
    assert_eq!((&end.outcome, end.left_open), (&TurnOutcome::Interrupted, 1));
}

#[test]
fn the_list_of_background_tasks_corrects_what_was_missed() {
    let none = r#"{"type":"system","subtype":"background_tasks_changed","tasks":[]}"#;
    let one = r#"{"type":"system","subtype":"background_tasks_changed","tasks":[{"task_id":"b9"}]}"#;
    let replay = told(&[SENT, RUNNING, INIT, REPLAY, TASK, none, RESULT, IDLE]);
    assert_eq!(replay.ends().len(), 1, "not in the list: not open");
    let mut replay = told(&[SENT, RUNNING, INIT, REPLAY, one, RESULT, IDLE]);
    assert_eq!(replay.events.last(), Some(&AgentEvent::Waiting(WaitingFor::Background { open: 1, longest_ms: None })));
    replay.step(none);
    assert_eq!(replay.ends().len(), 1);
}

#[test]
fn a_task_of_an_earlier_process_is_nobodys() {
    let replay = told(&[TASK_DONE, SENT, RUNNING, INIT, REPLAY, TASK_DONE, RESULT, IDLE]);
    assert_eq!(replay.ends().len(), 1);
}

fn error(outside: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"model":"<synthetic>","content":[{{"type":"text","text":"x"}}]}},{outside}}}"#
    )
}

fn failed(members: &str) -> String {
    RESULT.replace(r#""is_error":false"#, &format!(r#""is_error":true,{members}"#))
}

const REJECTED: &str = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","rateLimitType":"seven_day","resetsAt":1795206313}}"#;

#[test]
fn causes_that_were_not_recorded() {
    let quota = FailureCause::Quota { resets_at_unix_s: Some(1_795_206_313) };
    let throttled = FailureCause::Throttled { retry_after_ms: None };
    let rate_limit = error(r#""error":"rate_limit""#);
    let named = error(r#""error":"rate_limit","is_api_error_message":true"#);
    let spent = error(r#""error":"rate_limit","is_api_error_message":true,"api_error":"usage_limit_reached""#);
    let overloaded = error(r#""error":"overloaded""#);
    let status_429 = failed(r#""api_error_status":429"#);
    let table: &[(&[&str], FailureCause)] = &[
        (&[REJECTED, &rate_limit, &status_429], quota.clone()),
        (&[REJECTED, &status_429], quota.clone()),
        (&[&rate_limit, &status_429], throttled.clone()),
        (&[&spent, &status_429], FailureCause::Quota { resets_at_unix_s: None }),
        (&[REJECTED, &spent, &status_429], quota),
        (&[&named, &status_429], throttled),
        (&[&overloaded, &failed(r#""api_error_status":null"#)], FailureCause::Unavailable),
        (&[&error(r#""error":"oauth_org_not_allowed""#), &failed(r#""api_error_status":null"#)], FailureCause::Refused),
        (&[&error(r#""error":"unknown""#), &failed(r#""api_error_status":null"#)], FailureCause::Unavailable),
        (&[&failed(r#""api_error_status":422"#)], FailureCause::InvalidRequest),
        (&[&failed(r#""api_error_status":403,"api_error_type":"forbidden""#)], FailureCause::Unavailable),
        (&[&failed(r#""api_error_status":403"#)], FailureCause::Unavailable),
        (&[&failed(r#""api_error_status":407"#)], FailureCause::Unavailable),
        (
            &[
                &error(r#""error":"model_not_found","is_api_error_message":true,"api_error_status":404"#),
                &failed(r#""api_error_status":404"#),
            ],
            FailureCause::Unavailable,
        ),
        (
            &[
                &error(r#""error":"model_not_found","is_api_error_message":true"#),
                &failed(r#""api_error_status":404,"api_error_type":"not_found_error""#),
            ],
            FailureCause::ModelNotFound,
        ),
        (&[&error(r#""error":"model_not_found""#), &failed(r#""api_error_status":404"#)], FailureCause::Unavailable),
        (
            &[&error(r#""error":"model_not_found","request_id":"req_1""#), &failed(r#""api_error_status":404"#)],
            FailureCause::ModelNotFound,
        ),
        (&[&failed(r#""api_error_status":403,"api_error_type":"permission_error""#)], FailureCause::Refused),
        (
            &[&error(r#""error":"authentication_failed","request_id":"req_1""#), &failed(r#""api_error_status":403"#)],
            FailureCause::Refused,
        ),
        (
            &[&failed(r#""api_error_status":429,"api_error":"long_context_credits_required""#)],
            FailureCause::CreditsRequired,
        ),
        (&[&failed(r#""api_error_status":402"#)], FailureCause::Billing),
        (&[&failed(r#""api_error_status":null"#)], FailureCause::Unknown),
        (&[&RESULT.replace("success", "error_during_execution")], FailureCause::Unknown),
        (
            &[&RESULT.replace("success", "error_max_structured_output_retries")],
            FailureCause::CliLimit { which: "max_structured_output_retries".to_owned() },
        ),
    ];
    for (lines, cause) in table {
        let mut replay = told(&[SENT, RUNNING, INIT, REPLAY]);
        for line in lines.iter().chain(&[IDLE]) {
            replay.step(line);
        }
        assert_eq!(replay.last_cause().as_ref(), Some(cause), "{lines:?}");
    }
}

#[test]
fn a_sub_agents_error_is_not_the_turns() {
    let sub = r#"{"type":"assistant","parent_tool_use_id":"toolu_1","error":"rate_limit","message":{"content":[{"type":"text","text":"x"}]}}"#;
    let status = failed(r#""api_error_status":500"#);
    let replay = told(&[SENT, RUNNING, INIT, REPLAY, sub, &status, IDLE]);
    assert_eq!(replay.last_cause(), Some(FailureCause::Unavailable));
}

#[test]
fn a_window_rejected_in_an_earlier_turn_is_still_rejected_where_no_event_says_otherwise() {
    let next = |line: &str| line.replace("u-7", "u-8");
    let again = |between: &[&str], error: &str| {
        let status = failed(r#""api_error_status":429"#);
        let rate_limit = self::error(r#""error":"rate_limit""#);
        let mut replay = told(&[
            SENT,
            RUNNING,
            INIT,
            REPLAY,
            REJECTED,
            &rate_limit,
            &status,
            IDLE,
            &next(SENT),
            RUNNING,
            INIT,
            &next(REPLAY),
        ]);
        for line in between.iter().chain(&[error, status.as_str(), IDLE]) {
            replay.step(line);
        }
        replay.last_cause()
    };
    let old = error(r#""error":"rate_limit""#);
    let new = error(r#""error":"rate_limit","is_api_error_message":true"#);
    let allowed = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed"}}"#;
    let throttled = Some(FailureCause::Throttled { retry_after_ms: None });
    assert_eq!(again(&[], &old), Some(FailureCause::Quota { resets_at_unix_s: Some(1_795_206_313) }));
    assert_eq!(again(&[allowed], &old), throttled);
    assert_eq!(again(&[], &new), throttled, "this version would have said so");
}

#[test]
fn a_reset_in_milliseconds_is_read_as_such() {
    let ms = REJECTED.replace("1795206313", "1795206313000");
    for line in [REJECTED, &ms] {
        match &told(&[line]).said()[..] {
            [AgentEvent::Limit(limit)] => {
                assert_eq!((limit.status, limit.resets_at_unix_s), (LimitStatus::Rejected, Some(1_795_206_313)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_answer_cut_off_without_a_stop_reason_is_no_success() {
    let cut = RESULT.replace(r#""stop_reason":"end_turn""#, r#""stop_reason":null"#);
    let local = cut.replace(r#""num_turns":1"#, r#""num_turns":0"#);
    let without = RESULT.replace(r#""stop_reason":"end_turn","#, "");
    let cause = |result: &str| told(&[SENT, RUNNING, INIT, REPLAY, result, IDLE]).last_cause();
    assert_eq!(cause(&cut), Some(FailureCause::Unavailable));
    assert_eq!(cause(&local), None, "a slash command has no stop reason");
    assert_eq!(cause(&without), None, "a version that has no such field");
}

#[test]
fn questions_retries_and_compaction_are_told() {
    let replay = told(&[
        r#"{"type":"system","subtype":"session_state_changed","state":"requires_action"}"#,
        r#"{"type":"control_request","request_id":"r1","request":{"subtype":"can_use_tool","tool_name":"Bash","tool_use_id":"t1","input":{"command":"touch x"}}}"#,
        r#"{"type":"system","subtype":"session_state_changed","state":"running"}"#,
        r#"{"type":"control_request","request_id":"r2","request":{"subtype":"elicitation","mcp_server_name":"forms","message":"Your name?\nPlease."}}"#,
        r#"{"type":"control_request","request_id":"r3","request":{"subtype":"hook_callback","callback_id":"c"}}"#,
        r#"{"type":"system","subtype":"api_retry","attempt":2,"max_retries":10,"retry_delay_ms":591.6,"error_status":529,"error":"overloaded"}"#,
        r#"{"type":"system","subtype":"api_retry","attempt":3,"max_retries":10,"retry_delay_ms":-1,"error_status":null}"#,
        r#"{"type":"system","subtype":"status","status":"compacting"}"#,
        r#"{"type":"system","subtype":"status","status":"requesting"}"#,
        r#"{"type":"system","subtype":"status","status":null,"compact_result":"success"}"#,
        r#"{"type":"system","subtype":"compact_boundary","compact_metadata":{}}"#,
    ]);
    let denial = Denial {
        tool: "Bash".to_owned(),
        target: "touch x".to_owned(),
        class: "touch".to_owned(),
        allowed_by: AllowedBy::Rules { option: "--allowedTools".to_owned(), rules: vec!["Bash(touch x)".to_owned()] },
    };
    let request = Asked {
        tool: "Bash".to_owned(),
        target: "touch x".to_owned(),
        input: r#"{"command":"touch x"}"#.to_owned(),
        ..Asked::default()
    };
    let retry = |attempt, delay_ms, status| AgentEvent::RetryAnnounced { attempt, max_attempts: 10, delay_ms, status };
    let question = |id: &str, subtype: &str, ask| AgentEvent::Question {
        request_id: id.to_owned(),
        subtype: subtype.to_owned(),
        ask,
    };
    let form =
        Asked { kind: AskedKind::Form, tool: "forms".to_owned(), said: "Your name?".to_owned(), ..Asked::default() };
    let for_user = |asked| Ask::ForUser(Box::new(asked));
    assert_eq!(
        replay.said(),
        [
            AgentEvent::ActionRequired(true),
            question("r1", "can_use_tool", for_user(request)),
            AgentEvent::Denied(denial),
            AgentEvent::ActionRequired(false),
            question("r2", "elicitation", for_user(form)),
            question("r3", "hook_callback", Ask::Unknown),
            retry(2, 592, Some(529)),
            retry(3, 0, None),
            AgentEvent::Compacting(true),
            AgentEvent::Compacting(false),
        ]
    );
}

#[test]
fn the_users_hooks_are_told_by_their_ids() {
    let hook = |kind: &str, more: &str| {
        format!(r#"{{"type":"system","subtype":"{kind}","hook_id":"h1","hook_name":"Stop","hook_event":"Stop"{more}}}"#)
    };
    let (began, ended) = (hook("hook_started", ""), hook("hook_response", r#","output":"","exit_code":0"#));
    assert_eq!(
        told(&[&began, &ended, r#"{"type":"system","subtype":"hook_started"}"#]).said(),
        [
            AgentEvent::HookStarted { id: "h1".to_owned(), name: "Stop".to_owned() },
            AgentEvent::HookEnded { id: "h1".to_owned() },
        ]
    );
}

#[test]
fn the_session_is_told_when_it_changes() {
    let cleared = INIT.replace(r#""session_id":"s""#, r#""session_id":"s2""#);
    let replay = told(&[SENT, RUNNING, INIT, REPLAY, INIT, &cleared, INIT]);
    let known: Vec<_> = replay
        .events
        .iter()
        .filter_map(|event| {
            if let AgentEvent::SessionKnown { session_id, model, agent_version, .. } = event {
                Some((session_id.as_str(), model.as_str(), agent_version.as_str()))
            } else {
                None
            }
        })
        .collect();
    assert_eq!(known, [("s", "m", "v"), ("s2", "m", "v"), ("s", "m", "v")]);
}

#[test]
fn a_command_in_the_background_has_the_time_that_the_cli_gives_it() {
    let call = |input: &str| {
        format!(
            r#"{{"type":"assistant","message":{{"content":[{{"type":"tool_use","id":"toolu_b","name":"Bash","input":{input}}}]}}}}"#
        )
    };
    let task = |more: &str| {
        format!(r#"{{"type":"system","subtype":"task_started","task_id":"b1","tool_use_id":"toolu_b"{more}}}"#)
    };
    let newest = r#","task_type":"local_bash","is_backgrounded":true"#;
    let older = r#","task_type":"local_bash""#;
    let longest = |input: &str, more: &str| {
        let replay = told(&[SENT, RUNNING, INIT, REPLAY, &call(input), &task(more), RESULT, IDLE]);
        let Some(AgentEvent::Waiting(WaitingFor::Background { open: 1, longest_ms })) = replay.events.last() else {
            panic!("it waits: {:?}", replay.events.last())
        };
        *longest_ms
    };
    assert_eq!(longest(r#"{"command":"x","run_in_background":true,"timeout":60000}"#, newest), Some(60_000));
    assert_eq!(longest(r#"{"command":"x","run_in_background":true,"timeout":99000000}"#, newest), Some(7_200_000));
    assert_eq!(longest(r#"{"command":"x","run_in_background":true}"#, newest), Some(1_800_000));
    assert_eq!(longest(r#"{"command":"x","timeout":60000}"#, newest), Some(1_800_000), "that was its time in front");
    assert_eq!(longest(r#"{"command":"x","run_in_background":true}"#, older), None, "2.1.197 has no limit");
    let agent = r#","task_type":"local_agent","is_backgrounded":true"#;
    assert_eq!(longest(r#"{"command":"x"}"#, agent), None, "an agent has none");
}

#[test]
fn a_message_that_is_repeated_after_a_compaction_is_told_once() {
    let say = |uuid: &str, text: &str| {
        let message = json!({"id": uuid, "model": "<synthetic>", "content": [{"type": "text", "text": text}]});
        json!({"type": "assistant", "uuid": uuid, "message": message}).to_string()
    };
    let boundary = r#"{"type":"system","subtype":"compact_boundary","compact_metadata":{"trigger":"manual"}}"#;
    let replay = told(&[&say("a", "Cost: 1"), boundary, &say("a", "Cost: 1"), &say("b", "Cost: 1")]);
    let texts = replay.events.iter().filter(|event| matches!(event, AgentEvent::Text { .. })).count();
    assert_eq!(texts, 2, "{:?}", replay.events);
}

#[test]
fn a_plan_that_only_the_call_carries_is_in_the_request_about_it() {
    let call = |id: &str, plan: &str| {
        let input = json!({ "plan": plan });
        let block = json!({"type": "tool_use", "id": id, "name": "ExitPlanMode", "input": input});
        json!({"type": "assistant", "message": {"id": "m", "content": [block]}}).to_string()
    };
    let ask = |call: &str, input: Value| {
        let request =
            json!({"subtype": "can_use_tool", "tool_name": "ExitPlanMode", "input": input, "tool_use_id": call});
        json!({"type": "control_request", "request_id": "r", "request": request}).to_string()
    };
    let plan = |lines: &[&str]| {
        let replay = told(lines);
        let asked = replay.events.into_iter().find_map(|event| {
            if let AgentEvent::Question { ask: Ask::ForUser(asked), .. } = event { Some(asked) } else { None }
        });
        asked.expect("a question").plan
    };
    let mine = call("t1", "# Mine");
    assert_eq!(plan(&[&mine, &ask("t1", json!({}))]).as_deref(), Some("# Mine"));
    assert_eq!(plan(&[&mine, &ask("t1", json!({"plan": ""}))]).as_deref(), Some("# Mine"));
    assert_eq!(plan(&[&mine, &ask("t1", json!({"plan": "# The file"}))]).as_deref(), Some("# The file"));
    assert_eq!(plan(&[&mine, &ask("t2", json!({}))]), None, "of another call");
}

#[test]
fn a_result_without_idle_is_told() {
    let replay = told(&[SENT, RUNNING, INIT, REPLAY, RESULT]);
    assert_eq!(replay.events.last(), Some(&AgentEvent::Waiting(WaitingFor::Idle { open: 0 })));
    let replay = told(&[SENT, RUNNING, INIT, REPLAY, TASK, RESULT]);
    assert_eq!(replay.events.last(), Some(&AgentEvent::Waiting(WaitingFor::Idle { open: 1 })));
}
