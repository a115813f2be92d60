//! Permissions that wait for the user. Those of an unattended run are in `watched`.

use super::*;

const TIMEOUT_MS: u64 = 3 * 3_600_000;
const TOOL: &str = r#"{"type":"assistant","message":{"model":"m-1","content":[{"type":"tool_use","id":"t-1","name":"Bash","input":{"command":"touch x","timeout":1000}}]}}"#;
const NEEDS_ACTION: &str = r#"{"type":"system","subtype":"session_state_changed","state":"requires_action"}"#;

fn request(number: u32) -> String {
    format!(
        r#"{{"type":"control_request","request_id":"r-{number}","request":{{"subtype":"can_use_tool","tool_name":"Bash","tool_use_id":"t-{number}","input":{{"command":"touch x"}}}}}}"#
    )
}

/// A plan that asks, waits for an answer without clients, and takes one at the terminal.
fn waits() -> Plan {
    let unattended = Unattended::Wait { timeout_ms: TIMEOUT_MS };
    Plan { approvals: Approvals::Ask { unattended }, interactive: true, ..plan() }
}

/// A run whose agent asks for a permission, and the actions that follow.
fn asking() -> (Run, TurnId, Vec<Action>) {
    let (mut run, turn) = working(waits());
    run.lines(1, &accepted(&turn));
    run.line(1, TOOL);
    run.line(1, NEEDS_ACTION);
    let actions = run.line(1, &request(1));
    (run, turn, actions)
}

fn asked(actions: &[Action]) -> Option<&Question> {
    actions.iter().find_map(|action| if let Action::Ask(question) = action { Some(question) } else { None })
}

/// The answers to the CLI: the request, and whether it is allowed.
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
    assert_eq!(run.core.phase(), "asking");
    assert_eq!(run.core.awaited().map(|awaited| awaited.what), Some("your answer".to_owned()));

    // The tool's own timeout is 31 s and the longest one 15 minutes: neither counts.
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
fn a_permission_is_denied_by_the_user_or_by_the_clock_and_is_missing_only_then() {
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
        // What the user does not want is not missing, but the critic must not ask for it.
        let missing = run.core.tally.missing_permissions();
        assert_eq!(missing.is_some_and(|missing| missing.contains("Bash touch x (1x)")), !by_user);
        assert_eq!(run.core.tally.denials_for_review().len(), 1);
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
    // The CLI withdraws the request: a hook has decided, or the turn was interrupted.
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

    let mut run = reviewing(waits());
    run.spawned(2);
    assert_eq!(told(&run.line(2, &request(1))), [("r-1", false)]);
}

fn attends(run: &mut Run, clients: u32) -> Vec<Action> {
    run.feed(Input::Operator(OperatorInput::Attended { clients, why: None }))
}

fn rules(run: &mut Run, ask: u32, ruling: Ruling) -> (Taken, Vec<Action>) {
    let actions = run.feed(Input::Operator(OperatorInput::Rule { ask: AskId(ask), key: None, ruling }));
    (run.core.taken().clone(), actions)
}

const ALLOW: Ruling = Ruling::Allow { for_session: false, input: None };

fn deny(reason: &str) -> Ruling {
    Ruling::Deny { reason: reason.to_owned() }
}

/// A run whose agent asks, with this number of clients; without any it denies at once.
fn asks(clients: u32) -> (Run, TurnId) {
    let approvals = Approvals::Ask { unattended: Unattended::Deny };
    let (mut run, turn) = working(Plan { approvals, ..plan() });
    run.lines(1, &accepted(&turn));
    attends(&mut run, clients);
    run.shown.clear();
    (run, turn)
}

/// A request with this tool and input.
fn tool_request(number: u32, tool: &str, input: &str, more: &str) -> String {
    format!(
        r#"{{"type":"control_request","request_id":"r-{number}","request":{{"subtype":"can_use_tool","tool_name":"{tool}","tool_use_id":"t-{number}","input":{input}{more}}}}}"#
    )
}

const QUESTIONS: &str =
    r#"{"questions":[{"question":"Which port?","header":"Port","options":[{"label":"8080"}],"multiSelect":false}]}"#;

/// The requests that were shown since the last call, and how each was settled.
fn settled(run: &mut Run) -> Vec<(u32, Option<SettledHow>)> {
    let mut settled = Vec::new();
    for show in std::mem::take(&mut run.shown) {
        if let Show::Asked { ask } = &show {
            settled.push((ask.id.0, None));
        }
        if let Show::Settled { ask, how, .. } = &show {
            settled.push((ask.0, Some(*how)));
        }
    }
    settled
}

fn denial(actions: &[Action]) -> Option<&str> {
    actions
        .iter()
        .find_map(|action| if let Action::DenyTool { denial, .. } = action { Some(denial.as_str()) } else { None })
}

fn allowed(actions: &[Action]) -> Option<(Option<&str>, &[String])> {
    actions.iter().find_map(|action| {
        if let Action::AllowTool { input, updates, .. } = action {
            Some((input.as_deref(), updates.as_slice()))
        } else {
            None
        }
    })
}

#[test]
fn while_somebody_attends_a_request_has_no_limit_and_is_settled_once() {
    let (mut run, _) = asks(1);
    assert_eq!(told(&run.line(1, &request(1))), []);
    assert_eq!((run.core.phase(), run.core.poll_timeout()), ("asking", None));
    assert_eq!(
        run.core.asks().map(|asked| (asked.id.0, asked.target)).collect::<Vec<_>>(),
        [(1, "touch x".to_owned())]
    );
    let (taken, actions) = rules(&mut run, 1, ALLOW);
    assert_eq!((taken, told(&actions)), (Taken::Done, vec![("r-1", true)]));
    assert_eq!(allowed(&actions), Some((None, [].as_slice())));
    let (taken, actions) = rules(&mut run, 1, deny("no"));
    assert_eq!((taken, told(&actions)), (Taken::Refused(Refused::NotOpen), vec![]), "the first ruling counts");
    assert_eq!(settled(&mut run), [(1, None), (1, Some(SettledHow::Allowed))]);
    assert_eq!(run.core.phase(), "working");
}

#[test]
fn what_was_open_when_ccc_died_is_over_in_the_next_life() {
    let (mut run, _) = asks(1);
    run.line(1, &request(1));
    run.line(1, &request(2));
    run.feed(Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() });
    let gone = Some(SettledHow::Gone);
    assert_eq!(settled(&mut run), [(1, None), (2, None), (1, gone), (2, gone)]);
    assert_eq!(rules(&mut run, 1, ALLOW).0, Taken::Refused(Refused::NotOpen));
}

#[test]
fn parallel_requests_are_answered_in_any_order() {
    let (mut run, _) = asks(2);
    for number in 1..=3 {
        run.line(1, &request(number));
    }
    assert_eq!(told(&rules(&mut run, 3, deny("not this")).1), [("r-3", false)]);
    assert_eq!(told(&rules(&mut run, 1, ALLOW).1), [("r-1", true)]);
    assert_eq!(run.core.phase(), "asking");
    assert_eq!(told(&rules(&mut run, 2, ALLOW).1), [("r-2", true)]);
    assert_eq!(run.core.phase(), "working");
}

#[test]
fn a_ruling_is_repeated_under_its_key_without_effect() {
    let (mut run, _) = asks(1);
    run.line(1, &request(1));
    let rule = OperatorInput::Rule { ask: AskId(1), key: Some("k".to_owned()), ruling: ALLOW };
    run.feed(Input::Operator(rule.clone()));
    assert_eq!(run.core.taken(), &Taken::Done);
    assert_eq!(told(&run.feed(Input::Operator(rule))), []);
    assert_eq!(run.core.taken(), &Taken::Already);
}

#[test]
fn who_leaves_may_come_back_before_anything_is_denied() {
    let (mut run, _) = asks(1);
    run.line(1, &request(1));
    attends(&mut run, 0);
    assert_eq!(run.core.poll_timeout(), Some(run.now.plus_ms(60_000)));
    attends(&mut run, 1);
    assert_eq!(run.core.poll_timeout(), None);
    attends(&mut run, 0);
    let actions = run.wait();
    assert_eq!(told(&actions), [("r-1", false)]);
    assert!(denial(&actions).is_some_and(|words| words.contains("unattended")));
    assert_eq!(settled(&mut run).last(), Some(&(1, Some(SettledHow::Policy))));
    assert_eq!(told(&run.line(1, &request(2))), [("r-2", false)], "nobody is there: at once");
    // A request within that minute waits for its end, too.
    attends(&mut run, 1);
    attends(&mut run, 0);
    let left = run.now;
    assert_eq!(told(&run.line(1, &request(4))), []);
    assert_eq!(run.core.poll_timeout(), Some(left.plus_ms(60_000)));
    assert_eq!(told(&run.wait()), [("r-4", false)]);
    // Another rule for requests, during the run.
    let waits = Change::Unattended(Unattended::Wait { timeout_ms: TIMEOUT_MS });
    run.feed(Input::Operator(OperatorInput::Set(waits)));
    assert_eq!(told(&run.line(1, &request(3))), []);
    assert_eq!(run.core.poll_timeout(), Some(run.now.plus_ms(TIMEOUT_MS)));
}

#[test]
fn what_the_request_offers_is_allowed_for_the_session() {
    let (mut run, _) = asks(1);
    let session = Ruling::Allow { for_session: true, input: None };
    run.line(1, &request(1));
    let (taken, _) = rules(&mut run, 1, session.clone());
    assert!(matches!(taken, Taken::Refused(Refused::BadAnswer(_))), "it offers nothing: {taken:?}");
    let suggestions = r#","permission_suggestions":[{"type":"addRules","rules":[{"toolName":"Bash","ruleContent":"touch *"}],"behavior":"allow","destination":"localSettings"}]"#;
    run.line(1, &tool_request(2, "Bash", r#"{"command":"touch y"}"#, suggestions));
    let (taken, actions) = rules(&mut run, 2, session);
    assert_eq!(taken, Taken::Done);
    let (input, updates) = allowed(&actions).expect("it is allowed");
    assert_eq!((input, updates.len()), (None, 1));
    assert!(updates[0].contains("touch *") && updates[0].contains(r#""destination":"session""#), "{updates:?}");
    assert_eq!(settled(&mut run).last(), Some(&(2, Some(SettledHow::AllowedForSession))));
}

#[test]
fn the_users_words_reach_the_model_and_an_edited_input_the_tool() {
    let (mut run, _) = asks(1);
    run.line(1, &request(1));
    let (_, actions) = rules(&mut run, 1, deny("Use another name."));
    assert_eq!(denial(&actions), Some("The user did not allow this, and says: Use another name."));
    run.line(1, &request(2));
    let edited = |input: &str| Ruling::Allow { for_session: false, input: Some(input.to_owned()) };
    assert!(matches!(rules(&mut run, 2, edited("touch y")).0, Taken::Refused(Refused::BadAnswer(_))));
    let (_, actions) = rules(&mut run, 2, edited(r#"{"command":"touch y"}"#));
    assert_eq!(allowed(&actions).and_then(|(input, _)| input), Some(r#"{"command":"touch y"}"#));
}

#[test]
fn questions_are_answered_with_their_whole_input_or_in_words_where_that_is_not_known() {
    let answers = |answer: &str| Ruling::Answers {
        answers: [("Which port?".to_owned(), answer.to_owned())].into(),
        notes: [("Which port?".to_owned(), "only in tests".to_owned())].into(),
    };
    let (mut run, _) = asks(1);
    run.line(1, &tool_request(1, "AskUserQuestion", QUESTIONS, ""));
    assert!(matches!(rules(&mut run, 1, ALLOW).0, Taken::Refused(Refused::BadAnswer(_))));
    let (_, actions) = rules(&mut run, 1, answers("8080"));
    let (input, _) = allowed(&actions).expect("an answer");
    let input: serde_json::Value = serde_json::from_str(input.expect("an input")).expect("JSON");
    assert_eq!(
        (&input["answers"]["Which port?"], input["questions"].as_array().map(Vec::len)),
        (&"8080".into(), Some(1))
    );
    // A redacted question cannot be sent back, because it differs from the original.
    let marked = QUESTIONS.replace("8080", "[redacted:value]");
    run.line(1, &tool_request(2, "AskUserQuestion", &marked, ""));
    let (_, actions) = rules(&mut run, 2, answers("9090"));
    assert_eq!(denial(&actions), Some(r#"The user answered: "Which port?"="9090" notes: only in tests"#));
    assert!(!denied(&run), "no permission is missing by that");
    assert_eq!(run.core.tally.missing_permissions(), None);
}

#[test]
fn nobody_answers_questions_and_plans_of_an_unattended_run() {
    let (mut run, _) = asks(0);
    let actions = run.line(1, &tool_request(1, "AskUserQuestion", QUESTIONS, ""));
    assert!(denial(&actions).is_some_and(|words| words.contains("Decide by yourself")), "{actions:?}");
    let actions = run.line(1, &tool_request(2, "ExitPlanMode", r##"{"plan":"# Plan"}"##, ""));
    assert!(denial(&actions).is_some_and(|words| words.contains("Go on with the work")), "{actions:?}");
    assert!(
        actions.contains(&Action::SetPermissionMode { proc: ProcId(1), mode: "default".to_owned() }),
        "{actions:?}"
    );
    assert_eq!(run.core.tally.missing_permissions(), None);
    let form = r#"{"type":"control_request","request_id":"r-3","request":{"subtype":"elicitation","mcp_server_name":"t","message":"Name?"}}"#;
    assert!(run.line(1, form).contains(&Action::CancelForm { proc: ProcId(1), request_id: "r-3".to_owned() }));
}

#[test]
fn a_plan_is_approved_with_or_without_edits_or_sent_back_and_plan_mode_waits_for_that() {
    let (mut run, _) = asks(1);
    let mode = r#"{"type":"system","subtype":"status","status":null,"permissionMode":"plan"}"#;
    assert_eq!(run.line(1, mode), [], "somebody is there to approve a plan");
    let plan = |number| tool_request(number, "ExitPlanMode", r##"{"plan":"# Plan"}"##, "");
    run.line(1, &plan(1));
    let (_, actions) = rules(&mut run, 1, deny("Also add tests."));
    assert_eq!(denial(&actions), Some("Also add tests."));
    run.line(1, &plan(2));
    let (_, actions) = rules(&mut run, 2, Ruling::Allow { for_session: true, input: None });
    let (_, updates) = allowed(&actions).expect("it is approved");
    assert!(updates[0].contains("acceptEdits"), "{updates:?}");
    run.line(1, &plan(3));
    assert_eq!(rules(&mut run, 3, ALLOW).0, Taken::Done);
}

#[test]
fn a_form_is_filled_in_or_cancelled() {
    let (mut run, _) = asks(1);
    let form = |number: u32| {
        format!(
            r#"{{"type":"control_request","request_id":"r-{number}","request":{{"subtype":"elicitation","mcp_server_name":"t","message":"Name?"}}}}"#
        )
    };
    run.line(1, &form(1));
    let fill = |content: &str| Ruling::Fill { content: content.to_owned() };
    assert!(matches!(rules(&mut run, 1, fill("Ann")).0, Taken::Refused(Refused::BadAnswer(_))));
    let (_, actions) = rules(&mut run, 1, fill(r#"{"name":"Ann"}"#));
    let filled = Action::FillForm { proc: ProcId(1), request_id: "r-1".into(), content: r#"{"name":"Ann"}"#.into() };
    assert!(actions.contains(&filled), "{actions:?}");
    run.line(1, &form(2));
    let cancelled = Action::CancelForm { proc: ProcId(1), request_id: "r-2".to_owned() };
    assert!(rules(&mut run, 2, deny("")).1.contains(&cancelled));
    run.line(1, &form(3));
    run.line(1, r#"{"type":"control_cancel_request","request_id":"r-3"}"#);
    assert_eq!(settled(&mut run).last(), Some(&(3, Some(SettledHow::Withdrawn))));
}

#[test]
fn what_is_open_goes_with_its_process_and_with_ccc() {
    let (mut run, _) = asks(1);
    run.line(1, &request(1));
    run.line(1, &request(2));
    run.crashed(1);
    let gone = Some(SettledHow::Gone);
    assert_eq!(settled(&mut run), [(1, None), (2, None), (1, gone), (2, gone)]);
    assert_eq!(rules(&mut run, 1, ALLOW).0, Taken::Refused(Refused::NotOpen));

    let (mut run, _) = asks(1);
    run.line(1, &request(1));
    let again = Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() };
    let actions = run.feed(again);
    assert_eq!(run.core.asks().count(), 0);
    assert_eq!(rules(&mut run, 1, ALLOW).0, Taken::Refused(Refused::NotOpen));
    let proc = spawn(&actions).expect("an agent").proc.0;
    run.spawned(proc);
    assert_eq!(told(&run.line(proc, &request(2))), [("r-2", false)], "nobody attends this life yet");
}

#[test]
fn one_request_too_many_is_denied_while_the_others_wait() {
    let (mut run, _) = asks(1);
    for number in 1..=64 {
        assert_eq!(told(&run.line(1, &request(number))), []);
    }
    let actions = run.line(1, &request(65));
    assert_eq!(told(&actions), [("r-65", false)]);
    assert!(denial(&actions).is_some_and(|words| words.contains("too many requests")));
    assert_eq!(run.core.asks().count(), 64);
}

#[test]
fn an_agent_that_may_ask_is_started_so_and_its_critic_only_where_the_prompt_would_differ() {
    for (version, critic_too) in [("2.1.332", false), ("2.1.197", true)] {
        let approvals = Approvals::Ask { unattended: Unattended::Deny };
        let plan = Plan { approvals, agent_version: version.to_owned(), ..plan() };
        let asks =
            |spawn: &Spawn| spawn.launch.args.windows(2).any(|pair| pair == ["--permission-prompt-tool", "stdio"]);
        let (mut run, actions) = Run::begin(plan);
        assert!(asks(spawn(&actions).expect("an agent")));
        let actions = run.spawned(1);
        let turn = sent(&actions).expect("the task").turn.clone();
        let actions = run.work(1, &turn, "Done.");
        assert_eq!(asks(spawn(&actions).expect("a critic")), critic_too, "{version}");
    }
}
