//! Permissions that wait for the user. What an unattended run does with them stands in `watched`.

use super::*;

const TIMEOUT_MS: u64 = 3 * 3_600_000;
const TOOL: &str = r#"{"type":"assistant","message":{"model":"m-1","content":[{"type":"tool_use","id":"t-1","name":"Bash","input":{"command":"touch x","timeout":1000}}]}}"#;
const NEEDS_ACTION: &str = r#"{"type":"system","subtype":"session_state_changed","state":"requires_action"}"#;

fn request(number: u32) -> String {
    format!(
        r#"{{"type":"control_request","request_id":"r-{number}","request":{{"subtype":"can_use_tool","tool_name":"Bash","tool_use_id":"t-{number}","input":{{"command":"touch x"}}}}}}"#
    )
}

/// A run that waits for its user, whose agent asks for a permission; and what it does then.
fn asking() -> (Run, TurnId, Vec<Action>) {
    let (mut run, turn) = working(Plan { approvals: Approvals::Wait { timeout_ms: TIMEOUT_MS }, ..plan() });
    run.lines(1, &accepted(&turn));
    run.line(1, TOOL);
    run.line(1, NEEDS_ACTION);
    let actions = run.line(1, &request(1));
    (run, turn, actions)
}

fn asked(actions: &[Action]) -> Option<&Question> {
    actions.iter().find_map(|action| if let Action::Ask(question) = action { Some(question) } else { None })
}

/// What the CLI is told: the request, and whether it may.
fn told(actions: &[Action]) -> Vec<(&str, bool)> {
    let mut told = Vec::new();
    for action in actions {
        if let Action::AllowTool { request_id, .. } = action {
            told.push((request_id.as_str(), true));
        }
        if let Action::DenyTool { request_id, .. } = action {
            told.push((request_id.as_str(), false));
        }
    }
    told
}

fn answers(run: &mut Run, number: u32, choice: Answer) -> Vec<Action> {
    run.feed(Input::Operator(OperatorInput::Answer { number, choice }))
}

fn denied(run: &Run) -> bool {
    run.shown.iter().any(|show| matches!(show, Show::Denied { .. }))
}

#[test]
fn a_permission_that_waits_is_asked_and_nobodys_silence_until_it_is_answered() {
    let (mut run, turn, actions) = asking();
    let question = asked(&actions).expect("a question").clone();
    assert_eq!(told(&actions), []);
    assert_eq!(question.text(), "The agent asks to use Bash touch x. May it?");
    assert_eq!((question.default, question.timeout_ms), (Answer::Deny, TIMEOUT_MS));
    let About::Permission(request) = &question.about else { panic!("{question:?}") };
    assert_eq!(request.input, r#"{"command":"touch x"}"#);
    assert_eq!(run.core.phase(), "waiting");
    assert_eq!(run.core.awaited().map(|awaited| awaited.what), Some("your answer".to_owned()));

    // The tool's own limit is 31 s, the longest of all 15 minutes: neither counts.
    assert_eq!(run.core.poll_timeout(), Some(run.now.plus_ms(TIMEOUT_MS)));
    run.now = run.now.plus_ms(TIMEOUT_MS - 1_000);
    assert_eq!(told(&run.feed(Input::Elapsed { unix_ms: 1_000_000 })), []);
    assert_eq!(told(&answers(&mut run, question.number + 7, Answer::Allow)), [], "an answer to no question");
    assert_eq!(told(&answers(&mut run, question.number, Answer::Rotate)), [], "no answer to this question");
    assert_eq!(told(&answers(&mut run, question.number, Answer::Allow)), [("r-1", true)]);
    assert_eq!((run.core.phase(), denied(&run)), ("working", false));
    let due = run.core.poll_timeout().expect("the tool's limit");
    assert!(due >= run.now.plus_ms(30_000), "the time of the wait counts as silence: {due:?} at {:?}", run.now);
    assert_eq!(told(&answers(&mut run, question.number, Answer::Deny)), [], "it is answered once");

    let actions = run.lines(1, &super::answered(&turn, "Done."));
    assert!(spawn(&actions).is_some(), "the stop is judged: {actions:?}");
    assert_eq!(run.core.tally.missing_permissions(), None);
}

#[test]
fn a_permission_is_denied_by_the_user_or_by_the_clock_and_counts_then() {
    for by_user in [true, false] {
        let (mut run, _, actions) = asking();
        let number = asked(&actions).expect("a question").number;
        let actions = if by_user { answers(&mut run, number, Answer::Deny) } else { run.wait() };
        assert_eq!(told(&actions), [("r-1", false)]);
        let words = actions.iter().find_map(|action| {
            if let Action::DenyTool { denial, .. } = action { Some(denial.contains("by the user")) } else { None }
        });
        assert_eq!(words, Some(by_user));
        assert!(denied(&run));
        assert!(run.core.tally.missing_permissions().is_some_and(|missing| missing.contains("Bash touch x (1x)")));
        assert!(!run.core.is_asking());
    }
}

#[test]
fn of_several_permissions_one_is_on_the_screen_and_each_may_be_answered() {
    let (mut run, _, actions) = asking();
    let first = asked(&actions).expect("a question").number;
    let second = first + 1;
    assert_eq!(asked(&run.line(1, &request(2))), None, "one at a time");
    assert_eq!(asked(&run.line(1, &request(3))), None);
    assert_eq!(told(&answers(&mut run, second, Answer::Allow)), [("r-2", true)]);
    let actions = answers(&mut run, first, Answer::Deny);
    assert_eq!(told(&actions), [("r-1", false)]);
    assert_eq!(asked(&actions).map(|question| question.number), Some(first + 2));
    assert_eq!(run.core.poll_timeout(), run.core.question_deadline(), "the process waits for us still");
    // The CLI takes it back: a hook has decided, or the turn was interrupted.
    let actions = run.line(1, r#"{"type":"control_cancel_request","request_id":"r-3"}"#);
    assert_eq!((told(&actions), run.core.is_asking()), (vec![], false));
}

#[test]
fn nobody_is_asked_for_a_process_that_is_gone_or_a_run_that_ends_or_a_critic() {
    let (mut run, _, _) = asking();
    run.crashed(1);
    assert!(!run.core.is_asking());

    let (mut run, _, actions) = asking();
    let number = asked(&actions).expect("a question").number;
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
    assert!(!run.core.is_asking());
    assert_eq!(told(&answers(&mut run, number, Answer::Allow)), []);

    let mut run = reviewing(Plan { approvals: Approvals::Wait { timeout_ms: TIMEOUT_MS }, ..plan() });
    run.spawned(2);
    assert_eq!(told(&run.line(2, &request(1))), [("r-1", false)]);
}
