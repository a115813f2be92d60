//! Turns that agent and critic begin by themselves.

use super::*;

/// A turn that ccc did not begin, as 2.1.332 and 2.1.197 report it.
fn by_itself(answer: &str) -> Vec<String> {
    let text = serde_json::to_string(answer).expect("JSON");
    vec![
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"running","session_id":"{SESSION}"}}"#),
        format!(
            r#"{{"type":"system","subtype":"init","cwd":"/project","session_id":"{SESSION}","model":"m-1","permissionMode":"default","claude_code_version":"2.1.329"}}"#
        ),
        format!(r#"{{"type":"system","subtype":"status","status":"requesting","session_id":"{SESSION}"}}"#),
        format!(
            r#"{{"type":"assistant","message":{{"id":"own","model":"m-1","content":[{{"type":"text","text":{text}}}]}},"session_id":"{SESSION}"}}"#
        ),
        format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":{text},"stop_reason":"end_turn","session_id":"{SESSION}","terminal_reason":"completed","permission_denials":[]}}"#
        ),
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"{SESSION}"}}"#),
    ]
}

const APPROVAL: &str = "The report is written.\n\n[TASK_COMPLETED]";

#[test]
fn an_agent_that_never_reports_a_turn_is_restarted_and_the_sessions_record_decides() {
    for (recorded, kind) in [(true, TurnKind::Continue), (false, TurnKind::Task)] {
        let (mut run, turn) = working(plan());
        let mut actions = Vec::new();
        for _ in 0..4 {
            assert!(decisions(&actions).is_empty(), "{actions:?}");
            actions = run.lines(1, &by_itself("Nothing new."));
        }
        assert_eq!(decisions(&actions), ["end the agent's process"]);
        let exit = ExitFact { signal: Some(9), turn_recorded: Some(recorded), ..ExitFact::default() };
        let actions = run.feed(Input::Exited { proc: ProcId(1), exit });
        let proc = spawn(&actions).expect("a restart").proc.0;
        let actions = run.spawned(proc);
        let again = sent(&actions).expect("a turn");
        assert_eq!((again.kind, again.turn == turn), (kind, !recorded));
    }
}

#[test]
fn what_a_critic_says_before_it_was_asked_is_no_verdict() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let actions = run.lines(2, &by_itself(APPROVAL));
    assert!(decisions(&actions).is_empty(), "{actions:?}");
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("it is asked all the same").turn.clone();
    let mut lines = accepted(&brief);
    lines.extend(answered(&brief, "Not done: the tests are missing."));
    run.lines(2, &lines);
    let actions = run.measured(2, "t", &[]);
    assert_eq!(decisions(&actions), ["give the feedback to the agent"]);
}

#[test]
fn what_a_critic_says_before_it_has_read_the_brief_is_no_verdict() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("the brief").turn.clone();
    let mut actions = run.lines(2, &by_itself(APPROVAL));
    assert!(decisions(&actions).is_empty(), "{actions:?}");
    assert!(
        !actions.iter().any(|action| matches!(action, Action::MeasureTree { .. })),
        "it is not judged: {actions:?}"
    );
    // 2.1.197 names no message in its results, and does not report which one it has read.
    let nameless = |line: &String| {
        line.replace(&format!(r#","user_message_uuids":["{brief}"]"#), "").replace("command_lifecycle", "unheard_of")
    };
    let mut lines: Vec<String> = accepted(&brief).iter().map(nameless).collect();
    lines.extend(answered(&brief, "Not done: the tests are missing.").iter().map(nameless));
    actions = run.lines(2, &lines);
    assert!(actions.iter().any(|action| matches!(action, Action::MeasureTree { .. })), "{actions:?}");
    let actions = run.measured(2, "t", &[]);
    assert_eq!(decisions(&actions), ["give the feedback to the agent"]);
}

#[test]
fn an_answer_to_more_than_the_brief_is_no_verdict() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("the brief").turn.clone();
    // A job's turn had begun, and the brief became part of it.
    let mut lines = by_itself("looking")[..4].to_vec();
    lines.extend(accepted(&brief));
    lines.extend(answered(&brief, APPROVAL));
    let actions = run.lines(2, &lines);
    assert!(decisions(&actions).contains(&"ask the critic again"), "{actions:?}");
    assert_eq!(finish(&actions), None);
}

#[test]
fn a_critic_that_works_by_itself_again_and_again_is_ended_and_so_is_one_that_ran_a_command() {
    let mut run = reviewing(plan());
    run.spawned(2);
    for _ in 0..3 {
        assert!(decisions(&run.lines(2, &by_itself("tick"))).is_empty());
    }
    assert!(decisions(&run.lines(2, &by_itself("tick"))).contains(&"ask the critic again"));

    let mut run = reviewing(plan());
    run.spawned(2);
    let mut lines = by_itself("tick");
    lines.insert(
        3,
        format!(
            r#"{{"type":"assistant","message":{{"id":"x","model":"m-1","content":[{{"type":"tool_use","id":"c1","name":"Bash","input":{{"command":"make"}}}}]}},"session_id":"{SESSION}"}}"#
        ),
    );
    let mut actions = run.lines(2, &lines);
    actions.extend(run.measured(1, "t", &[]));
    assert!(
        decisions(&actions).contains(&"ask the critic again"),
        "what it changed is not in the first look: {actions:?}"
    );
    assert_eq!(sent(&actions), None);
}

#[test]
fn judging_that_the_agent_breaks_off_is_bounded_and_told_and_then_it_is_done_without_the_agent() {
    let mut run = reviewing(plan());
    let (mut critic, mut measure) = (2, 1);
    for times in 1..=2 {
        run.spawned(critic);
        run.measured(measure, "t", &[]);
        run.shown.clear();
        let actions = run.lines(1, &by_itself("looked, nothing yet"));
        assert!(decisions(&actions).contains(&"judge again later"), "{actions:?}");
        let told = format!("({times} of at most 2 times in a row)");
        assert!(run.notices().iter().any(|notice| notice.contains(&told)), "{:?}", run.notices());
        if times == 1 {
            critic = spawn(&actions).expect("it is judged anew when the agent stops").proc.0;
            measure += 1;
        } else {
            assert_eq!(spawn(&actions), None, "not while the agent lives: {actions:?}");
            assert!(actions.contains(&Action::CloseStdin { proc: ProcId(1) }), "{actions:?}");
            assert!(run.notices().iter().any(|notice| notice.contains("its process is ended")), "{:?}", run.notices());
        }
    }
    let actions = run.exited(1, 0, "");
    let held = spawn(&actions).expect("a critic");
    assert_eq!(held.role, crate::agent::Role::Critic);
    let proc = held.proc.0;
    let actions = run.judge(proc, measure + 1, "t", "Add a test.");
    let again =
        actions.iter().rev().find_map(|action| if let Action::Spawn(spawn) = action { Some(spawn) } else { None });
    let again = again.expect("the agent is started again with the feedback");
    assert_eq!(again.role, crate::agent::Role::Agent);
    let iteration = |show: &Show| if let Show::Verdict { iteration, .. } = show { Some(*iteration) } else { None };
    let verdict = run.shown.iter().rev().find_map(iteration);
    assert_eq!(verdict, Some(1), "what was not judged is no iteration");
}

#[test]
fn a_verdict_does_not_hold_when_the_agent_goes_on_before_it_is_used() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("the brief").turn.clone();
    let mut lines = accepted(&brief);
    lines.extend(answered(&brief, APPROVAL));
    run.lines(2, &lines);
    // The CLI reports that a turn runs, but not yet which.
    run.lines(1, &by_itself("x")[..1]);
    let actions = run.measured(2, "t", &[]);
    assert_eq!(decisions(&actions), ["judge again later"]);
    assert_eq!(finish(&actions), None);
}

#[test]
fn a_critic_over_the_output_limit_is_told_to_write_less() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("the brief").turn.clone();
    assert!(!sent(&actions).expect("the brief").text.contains("Write less"));
    let mut lines = accepted(&brief);
    lines.extend(failed(&brief, 200, "max_output_tokens"));
    let mut actions = run.lines(2, &lines);
    assert!(decisions(&actions).contains(&"ask the critic again"), "{actions:?}");
    while spawn(&actions).is_none_or(|spawn| spawn.proc != ProcId(3)) {
        actions = run.wait();
    }
    run.spawned(3);
    let actions = run.measured(2, "t", &[]);
    assert!(sent(&actions).expect("the next brief").text.contains("Write less"));
}

/// A turn in which the agent calls this tool.
fn turn_with(turn: &TurnId, tool: &str, result: &str) -> Vec<String> {
    let mut lines = accepted(turn);
    lines.push(format!(
        r#"{{"type":"assistant","timestamp":"2026-11-27T09:51:03.500Z","message":{{"id":"a","model":"m-1","content":[{{"type":"tool_use","id":"t1","name":"{tool}","input":{{"cron":"* * * * *","reason":"CI"}}}}]}},"session_id":"{SESSION}"}}"#
    ));
    lines.push(format!(
        r#"{{"type":"user","timestamp":"2026-11-27T09:51:03.560Z","message":{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t1","content":"x"}}]}},"tool_use_result":{result},"session_id":"{SESSION}"}}"#
    ));
    lines.extend(answered(turn, "CI runs."));
    lines
}

const IN_TWO_MINUTES: &str = r#"{"scheduledFor":1795773180000,"clampedDelaySeconds":60,"wasClamped":false}"#;

#[test]
fn a_wake_up_is_waited_for_within_the_limit_for_background_work() {
    let bounded = |background_ms| Plan { timeouts: Timeouts { background_ms, ..plan().timeouts }, ..plan() };
    for (background_ms, waited_ms) in [(None, 146_440), (Some(130_000), 130_000), (Some(60_000), 0)] {
        let (mut run, turn) = working(bounded(background_ms));
        let actions = run.lines(1, &turn_with(&turn, "ScheduleWakeup", IN_TWO_MINUTES));
        assert_eq!(spawn(&actions), None, "nothing is judged while it is armed");
        let from = run.now;
        let actions = run.wait();
        assert!(decisions(&actions).contains(&"take the turn as ended"), "{actions:?}");
        assert!(spawn(&actions).is_some(), "then it is judged: {actions:?}");
        assert!(run.now.ms_since(from).abs_diff(waited_ms) <= 2, "{background_ms:?}: {}", run.now.ms_since(from));
        assert!(run.notices().iter().any(|notice| notice.contains("a wake-up (CI)")), "{:?}", run.notices());
    }

    let (mut run, turn) = working(plan());
    run.lines(1, &turn_with(&turn, "ScheduleWakeup", IN_TWO_MINUTES));
    assert!(
        run.awaited().iter().any(|show| matches!(show, Show::Awaited { what, .. } if what.contains("a wake-up (CI)"))),
        "what is waited for is told"
    );
    let mut woken = by_itself("CI is green.");
    woken[3] =
        woken[3].replace(r#""type":"assistant""#, r#""type":"assistant","timestamp":"2026-11-27T09:53:01.000Z""#);
    let actions = run.lines(1, &woken);
    assert!(spawn(&actions).is_some(), "judged when it is over: {actions:?}");
}

#[test]
fn a_completed_run_names_what_the_agent_had_scheduled() {
    let (mut run, turn) = working(plan());
    let job = r#"{"id":"j","humanSchedule":"Every minute","recurring":true,"durable":false}"#;
    let actions = run.lines(1, &turn_with(&turn, "CronCreate", job));
    assert!(spawn(&actions).is_some(), "a job that comes again and again is not waited for");
    run.spawned(2);
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("the brief").clone();
    assert!(brief.text.contains("- the scheduled job * * * * *"), "{}", brief.text);
    let mut lines = accepted(&brief.turn);
    lines.extend(answered(&brief.turn, "Seen.\n[TASK_COMPLETED]"));
    run.lines(2, &lines);
    run.measured(2, "t", &[]);
    run.exited(2, 0, "");
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::Completed);
    assert!(
        end.reason.ends_with("; what it had scheduled ends with it: the scheduled job * * * * *"),
        "{}",
        end.reason
    );
}

#[test]
fn a_marker_in_a_text_block_apart_from_the_rest_approves_nothing_and_feedback_is_whole() {
    for (blocks, decision) in [
        (["Not done: the tests are missing.", "\n\n[TASK_COMPLETED]"], "ask the critic again"),
        (["Missing: 1. the tests.", "Please do that."], "give the feedback to the agent"),
    ] {
        let mut run = reviewing(plan());
        run.spawned(2);
        let actions = run.measured(1, "t", &[]);
        let brief = sent(&actions).expect("the brief").turn.clone();
        let mut lines = accepted(&brief);
        for block in blocks {
            let text = serde_json::to_string(block).expect("JSON");
            lines.push(format!(
                r#"{{"type":"assistant","message":{{"id":"last","model":"m-1","content":[{{"type":"text","text":{text}}}]}},"session_id":"{SESSION}"}}"#
            ));
        }
        lines.extend(answered(&brief, blocks[1]));
        run.lines(2, &lines);
        let actions = run.measured(2, "t", &[]);
        assert!(decisions(&actions).contains(&decision), "{blocks:?}: {actions:?}");
        if let Some(send) = sent(&actions) {
            assert_eq!(send.text, "Missing: 1. the tests.\n\nPlease do that.");
        }
    }
}
