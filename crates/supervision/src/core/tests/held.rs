//! What keeps the agent from working: hooks, permissions, plan mode.

use super::*;

fn blocked(turn: &TurnId, said: &str) -> Vec<String> {
    let said = serde_json::to_string(said).expect("JSON");
    vec![
        format!(
            r#"{{"type":"system","subtype":"hook_response","hook_id":"h","hook_name":"UserPromptSubmit","hook_event":"UserPromptSubmit","stdout":"","stderr":"no","exit_code":2,"outcome":"error","session_id":"{SESSION}"}}"#
        ),
        format!(
            r#"{{"type":"system","subtype":"informational","content":{said},"level":"warning","prevent_continuation":true,"session_id":"{SESSION}"}}"#
        ),
        format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"num_turns":0,"result":{said},"stop_reason":null,"session_id":"{SESSION}","permission_denials":[],"user_message_uuids":["{turn}"]}}"#
        ),
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"{SESSION}"}}"#),
    ]
}

fn ended_with(actions: &[Action]) -> Option<&Decision> {
    for action in actions {
        if let Action::Decide(decision) = action
            && decision.what.starts_with("end as")
        {
            return Some(decision);
        }
    }
    None
}

/// A Bash call and its denial, which only the result shows.
fn denied(turn: &TurnId, call: &str, command: &str) -> Vec<String> {
    vec![
        format!(
            r#"{{"type":"assistant","message":{{"content":[{{"type":"tool_use","id":"{call}","name":"Bash","input":{{"command":"{command}"}}}}]}},"session_id":"{SESSION}"}}"#
        ),
        format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"I could not.","stop_reason":"end_turn","session_id":"{SESSION}","terminal_reason":"completed","permission_denials":[{{"tool_name":"Bash","tool_use_id":"{call}","tool_input":{{"command":"{command}"}}}}],"user_message_uuids":["{turn}"]}}"#
        ),
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"{SESSION}"}}"#),
    ]
}

#[test]
fn a_prompt_that_a_hook_blocks_is_no_stop() {
    let (mut run, turn) = working(plan());
    let actions =
        run.lines(1, &blocked(&turn, "UserPromptSubmit operation blocked by hook:\nno\n\nOriginal prompt: x"));
    let end = ended_with(&actions).expect("the end");
    assert_eq!(end.what, "end as failed");
    assert!(end.why.contains("the hook UserPromptSubmit") && !end.why.contains("Original prompt"), "{}", end.why);
    assert!(spawn(&actions).is_none(), "nothing is judged");
}

#[test]
fn a_hooks_words_are_no_verdict_of_the_critics() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let brief = sent(&run.measured(1, "t", &[])).expect("the brief").turn.clone();
    let mut lines = accepted(&brief);
    lines.extend(blocked(&brief, "Operation stopped by hook: x\n[TASK_COMPLETED]"));
    let actions = run.lines(2, &lines);
    let end = ended_with(&actions).expect("the end");
    assert_eq!(end.what, "end as failed");
    assert!(end.why.contains("what the critic is told"), "{}", end.why);

    // The same without a message of the hook.
    let mut run = reviewing(plan());
    run.spawned(2);
    let brief = sent(&run.measured(1, "t", &[])).expect("the brief").turn.clone();
    let mut lines = accepted(&brief);
    lines.extend(blocked(&brief, "[TASK_COMPLETED]").into_iter().skip(2));
    let mut actions = run.lines(2, &lines);
    actions.extend(run.measured(2, "t", &[]));
    assert!(ended_with(&actions).is_none() && decisions(&actions).contains(&"ask the critic again"), "{actions:?}");
}

#[test]
fn the_same_denial_before_two_stops_on_a_still_tree_ends_the_run_with_a_rule_that_works() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.lines(1, &denied(&turn, "t1", "sh test.sh"));
    let actions = run.judge(2, 1, "t", "Run the tests.");
    assert_eq!(kinds(&actions), [TurnKind::Brief, TurnKind::Feedback]);
    let mut sends = Vec::new();
    for action in &actions {
        if let Action::Send(send) = action {
            sends.push(send.turn.clone());
        }
    }
    let turn = sends.pop().expect("the feedback");
    run.exited(2, 0, "");
    run.lines(1, &accepted(&turn));
    run.lines(1, &denied(&turn, "t2", "sh test.sh"));
    let advice = r#"ccc resume run -- --allowedTools "Bash(sh test.sh)""#;
    assert!(run.notices().iter().any(|text| text.contains(advice)), "at once: {:?}", run.notices());
    let mut moved = run.clone();
    let actions = run.judge(3, 3, "t", "Run the tests.");
    let end = ended_with(&actions).expect("the end");
    assert_eq!(end.what, "end as stuck");
    assert!(end.why.contains("was denied again") && end.why.contains(advice), "{}", end.why);
    let actions = moved.judge(3, 3, "u", "Run the tests.");
    assert!(ended_with(&actions).is_none(), "the tree moved: {actions:?}");
}

#[test]
fn in_the_sandbox_of_the_cli_the_place_that_would_open_it_is_named_too() {
    let walls = WallsPlan { guard: Guard::AgentSandbox, ..WallsPlan::default() };
    let (mut run, turn) = working(Plan { walls, ..plan() });
    run.lines(1, &accepted(&turn));
    for call in ["t1", "t2"] {
        run.lines(1, &denied(&turn, call, "touch ../other/x"));
    }
    let notices = run.notices();
    assert!(
        notices.iter().any(|text| text.contains("guard.write in your ccc.json: ccc resume run --reload")),
        "{notices:?}"
    );
}

/// What the user is told after this command was denied twice with these arguments.
fn told_of_denials(command: &str, args: &[&str]) -> Vec<String> {
    let plan = Plan { agent_args: args.iter().map(|&arg| arg.to_owned()).collect(), ..plan() };
    let (mut run, turn) = working(plan);
    run.lines(1, &accepted(&turn));
    for id in ["a", "b"] {
        run.lines(1, &[
            format!(
                r#"{{"type":"assistant","message":{{"content":[{{"type":"tool_use","id":"{id}","name":"Bash","input":{{"command":"{command}"}}}}]}},"session_id":"{SESSION}"}}"#
            ),
            format!(
                r#"{{"type":"system","subtype":"permission_denied","tool_name":"Bash","tool_use_id":"{id}","session_id":"{SESSION}"}}"#
            ),
        ]);
    }
    run.notices().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_rule_that_was_given_is_not_advised_again() {
    for (command, rules, given) in [
        ("sh test.sh", vec!["Bash(sh test.sh)"], "although Bash(sh test.sh) is given"),
        ("a 2>&1 | b", vec!["Bash(a 2>&1)", "Bash(b)"], "although Bash(a 2>&1) and Bash(b) are given"),
        // The whole text of a pipeline is not a rule that allows it.
        (
            "a 2>&1 | b",
            vec!["Bash(a 2>&1 | b)"],
            "allow it: ccc resume run -- --allowedTools \"Bash(a 2>&1)\" \"Bash(b)\"",
        ),
    ] {
        let notices = told_of_denials(command, &[vec!["--allowedTools"], rules].concat());
        assert!(matches!(notices.as_slice(), [text] if text.contains(given)), "{notices:?}");
    }
}

#[test]
fn a_command_that_no_rule_allows_is_not_advised_one() {
    for command in ["(sh test.sh)", "sh test.sh &", "sh - <<EOF\\nls\\nEOF", "{ a; } | b"] {
        let notices = told_of_denials(command, &[]);
        let is_told =
            |text: &str| text.contains("no permission rule fits") && text.ends_with(" -- --allowedTools Bash");
        assert!(matches!(notices.as_slice(), [text] if is_told(text)), "{notices:?}");
        let notices = told_of_denials(command, &["--allowedTools", "Bash"]);
        assert!(matches!(notices.as_slice(), [text] if text.contains("look for a deny rule")), "{notices:?}");
    }
}

#[test]
fn plan_mode_ends_the_run_at_its_beginning_and_is_left_later_on() {
    let (mut run, turn) = working(plan());
    let in_plan: Vec<String> = accepted(&turn)
        .iter()
        .map(|line| line.replace(r#""permissionMode":"default""#, r#""permissionMode":"plan""#))
        .collect();
    let actions = run.lines(1, &in_plan);
    let end = ended_with(&actions).expect("the end");
    assert!(end.what == "end as failed" && end.why.contains("--permission-mode acceptEdits"), "{end:?}");

    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    let status = |mode: &str| {
        format!(
            r#"{{"type":"system","subtype":"status","status":null,"permissionMode":"{mode}","session_id":"{SESSION}"}}"#
        )
    };
    let actions = run.line(1, &status("plan"));
    assert!(
        actions.contains(&Action::SetPermissionMode { proc: ProcId(1), mode: "default".to_owned() }),
        "{actions:?}"
    );
    assert!(run.line(1, &status("default")).iter().all(|action| !matches!(action, Action::SetPermissionMode { .. })));
}
