//! The user's control of a running run: messages, their withdrawal, interruptions, pauses, settings; and rests.

use super::*;
use crate::agent::Role;
use crate::words::Image;

const HOUR_MS: u64 = 3_600_000;

fn operator(run: &mut Run, operator: OperatorInput) -> (Taken, Vec<Action>) {
    let actions = run.feed(Input::Operator(operator));
    (run.core.taken().clone(), actions)
}

fn say(run: &mut Run, key: &str, text: &str) -> (Taken, Vec<Action>) {
    let key = Some(key.to_owned());
    operator(run, OperatorInput::Say { key, text: text.to_owned(), images: Vec::new() })
}

fn attends(run: &mut Run, clients: u32) -> Vec<Action> {
    operator(run, OperatorInput::Attended { clients, why: None }).1
}

fn refused(refused: Refused) -> Taken {
    Taken::Refused(refused)
}

#[test]
fn what_is_not_enforced_here_is_recorded_and_told() {
    let (mut run, _) = working(plan());
    let given = OperatorInput::NotEnforced { setting: "agent.memory_max".to_owned(), why: "no systemd".to_owned() };
    assert_eq!(operator(&mut run, given).0, Taken::Done);
    assert_eq!(run.notices(), ["agent.memory_max is not enforced: no systemd"]);
}

/// The end of a turn as the CLI reports it after an interruption.
pub(super) fn interrupted(turn: &TurnId) -> Vec<String> {
    vec![
        format!(
            r#"{{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":1,"stop_reason":null,"session_id":"{SESSION}","terminal_reason":"aborted_tools","user_message_uuids":["{turn}"]}}"#
        ),
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"{SESSION}"}}"#),
    ]
}

/// The turns that these actions send to the agent, in order.
fn words(actions: &[Action]) -> Vec<(TurnKind, &str)> {
    let mut words = Vec::new();
    for action in actions {
        if let Action::Send(send) = action {
            words.push((send.kind, send.text.as_str()));
        }
    }
    words
}

fn interrupts(actions: &[Action]) -> bool {
    actions.contains(&Action::Interrupt { proc: ProcId(1) })
}

fn at_work() -> (Run, TurnId) {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    (run, turn)
}

/// A conversation with a client, a running agent and no message.
fn conversation() -> Run {
    conversation_of(plan())
}

fn conversation_of(plan: Plan) -> Run {
    let plan = Plan { conversation: true, task: String::new(), ..plan };
    let (mut run, actions) = Run::begin(plan);
    assert!(spawn(&actions).is_some(), "the agent starts before anything is said: {actions:?}");
    run.spawned(1);
    attends(&mut run, 1);
    run
}

#[test]
fn words_are_said_once_as_soon_as_the_turn_is_over_and_before_any_judging() {
    let (mut run, turn) = at_work();
    assert_eq!(say(&mut run, "a", "Use tabs.").0, Taken::Queued { ahead: 0 });
    assert_eq!(say(&mut run, "b", "In English.").0, Taken::Queued { ahead: 1 });
    assert_eq!(say(&mut run, "a", "Use tabs.").0, Taken::Already);
    let queue = Show::Queue {
        turns: vec![
            QueuedTurn { key: "a".to_owned(), text: "Use tabs.".to_owned() },
            QueuedTurn { key: "b".to_owned(), text: "In English.".to_owned() },
        ],
    };
    assert_eq!(run.shown.iter().rfind(|show| matches!(show, Show::Queue { .. })), Some(&queue));
    let actions = run.lines(1, &answered(&turn, "Done."));
    assert_eq!(words(&actions), [(TurnKind::Operator, "Use tabs.")]);
    let first = sent(&actions).expect("a turn").turn.clone();
    assert_eq!(say(&mut run, "a", "Use tabs.").0, Taken::Already, "also when it was given");
    let actions = run.work(1, &first, "Done.");
    assert_eq!(words(&actions), [(TurnKind::Operator, "In English.")]);
    assert_eq!(run.shown.iter().rfind(|show| matches!(show, Show::Queue { .. })), Some(&Show::Queue { turns: vec![] }));
    assert_eq!(spawn(&actions), None, "no critic yet");

    // A resumed run has the keys from the journal.
    run.crashed(1);
    run.feed(Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() });
    assert_eq!(say(&mut run, "b", "In English.").0, Taken::Already);
}

#[test]
fn what_waits_can_be_taken_back_and_what_was_given_cannot() {
    let (mut run, turn) = at_work();
    let take_back = |run: &mut Run, key: &str| operator(run, OperatorInput::TakeBack { key: key.to_owned() }).0;
    assert_eq!(take_back(&mut run, "a"), refused(Refused::Nothing));
    say(&mut run, "a", "Use tabs.");
    say(&mut run, "b", "In English.");
    assert_eq!(take_back(&mut run, "a"), Taken::Done);
    assert_eq!(take_back(&mut run, "a"), refused(Refused::TooLate), "it does not wait any more");
    let actions = run.lines(1, &answered(&turn, "Done."));
    assert_eq!(words(&actions), [(TurnKind::Operator, "In English.")]);
    assert_eq!(take_back(&mut run, "b"), refused(Refused::TooLate));
    // A message without a key gets one.
    let words = OperatorInput::Say { key: None, text: "And tests.".to_owned(), images: Vec::new() };
    operator(&mut run, words);
    let Some(Show::Queue { turns }) = run.shown.last() else { panic!("{:?}", run.shown.last()) };
    let key = turns[0].key.clone();
    assert_eq!(take_back(&mut run, &key), Taken::Done);
}

#[test]
fn more_than_a_run_takes_is_refused_by_name() {
    let (mut run, _) = at_work();
    assert_eq!(say(&mut run, "e", " \n").0, refused(Refused::Nothing));
    assert_eq!(say(&mut run, "t", &"x".repeat(1024 * 1024 + 1)).0, refused(Refused::TooMuch));
    let image = |bytes: usize| Image { media_type: "image/png".to_owned(), data: "A".repeat(bytes) };
    let mib = 1024 * 1024 / 3 * 4;
    for (images, taken) in [
        (vec![image(5 * mib + 8)], refused(Refused::TooMuch)),
        ((0..5).map(|_| image(3 * mib + mib / 2)).collect(), refused(Refused::TooMuch)),
        (vec![image(4 * mib)], Taken::Queued { ahead: 0 }),
    ] {
        let said = OperatorInput::Say { key: None, text: String::new(), images };
        assert_eq!(operator(&mut run, said).0, taken);
    }
    let words = Refused::TooMuch.in_words();
    assert!(words.contains("16 MiB of images, of 5 MiB each"), "{words}");
    for number in 1..64 {
        assert_eq!(say(&mut run, &format!("k{number}"), "more").0, Taken::Queued { ahead: number });
    }
    assert_eq!(say(&mut run, "k64", "more").0, refused(Refused::TooMuch));
    assert_eq!(say(&mut run, "k63", "more").0, Taken::Already);
}

#[test]
fn a_user_who_writes_while_a_stop_is_judged_is_answered_first() {
    let check = CheckPlan { command: "make".to_owned(), timeout_ms: 1_000 };
    for checks in [vec![], vec![check]] {
        let is_checked = !checks.is_empty();
        let mut run = reviewing(Plan { checks, ..plan() });
        assert_eq!(run.core.phase(), if is_checked { "checking" } else { "reviewing" });
        let (taken, actions) = say(&mut run, "a", "Use tabs.");
        assert_eq!(taken, Taken::Queued { ahead: 0 });
        assert_eq!(words(&actions), [(TurnKind::Operator, "Use tabs.")], "the agent is idle");
        let cancels = actions.contains(&Action::CancelCheck { check: CheckId(1) });
        let ends_critic = actions.contains(&Action::CloseStdin { proc: ProcId(2) });
        assert_eq!((cancels, ends_critic), (is_checked, !is_checked), "{actions:?}");
        let turn = sent(&actions).expect("a turn").turn.clone();
        run.work(1, &turn, "Done.");
        assert_eq!(run.core.phase(), if is_checked { "checking" } else { "reviewing" }, "it is judged anew");
        assert_eq!(run.core.iteration(), 1, "the stop that was not judged does not count");
    }
}

#[test]
fn words_that_are_said_while_the_critic_waits_for_a_reset_wait_for_it_too() {
    for interrupted in [false, true] {
        let mut run = reviewing(plan());
        run.spawned(2);
        let brief = sent(&run.measured(1, "t", &[])).expect("a brief").turn.clone();
        run.lines(2, &accepted(&brief));
        run.line(
            2,
            r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":5000,"rateLimitType":"five_hour"}}"#,
        );
        run.lines(2, &failed(&brief, 429, "rate_limit"));
        run.exited(2, 1, "");
        if interrupted {
            operator(&mut run, OperatorInput::StopTurn);
        }
        assert_eq!(words(&say(&mut run, "a", "Use tabs.").1), [], "the limit is the agent's, too");
        assert_eq!(run.core.phase(), "waiting");
        assert!(run.core.awaited().is_some());
        run.now = run.now.plus_ms(4_200_000);
        let actions = run.feed(Input::Elapsed { unix_ms: 5_200_000 });
        assert_eq!(words(&actions), [(TurnKind::Operator, "Use tabs.")]);
    }
}

#[test]
fn a_limit_that_is_told_by_a_turn_that_nobody_waits_for_counts_all_the_same() {
    const REJECTED: &str = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":5000,"rateLimitType":"five_hour"}}"#;
    // The interrupted turn, and a turn that the agent begins by itself while the run rests.
    for own in [false, true] {
        let (mut run, turn) = at_work();
        operator(&mut run, OperatorInput::StopTurn);
        let mut failed = failed(&turn, 429, "rate_limit");
        if own {
            run.lines(1, &interrupted(&turn));
            let state =
                |state: &str| format!(r#"{{"type":"system","subtype":"session_state_changed","state":"{state}"}}"#);
            run.line(1, &state("running"));
            run.line(1, r#"{"type":"system","subtype":"init","session_id":"s","model":"m-1","cwd":"/project"}"#);
            for line in &mut failed {
                *line = line.replace(&format!(r#","user_message_uuids":["{turn}"]"#), "");
            }
        }
        run.line(1, REJECTED);
        run.lines(1, &failed);
        assert_eq!(run.core.phase(), "waiting", "it rests");
        assert_eq!(run.core.awaited(), None);
        assert_eq!(words(&say(&mut run, "a", "Use tabs.").1), [], "own turn: {own}");
        assert!(run.core.awaited().is_some(), "the reset is waited for");
        run.now = run.now.plus_ms(4_200_000);
        let actions = run.feed(Input::Elapsed { unix_ms: 5_200_000 });
        assert_eq!(words(&actions), [(TurnKind::Operator, "Use tabs.")]);
    }
}

#[test]
fn words_that_wait_survive_an_answer_that_is_too_long() {
    for waiting in [&["Use tabs."][..], &["Use tabs.", "Add tests."]] {
        let (mut run, turn) = at_work();
        for text in waiting {
            say(&mut run, text, text);
        }
        run.lines(1, &failed(&turn, 200, "max_output_tokens"));
        let actions = run.wait();
        let [(TurnKind::Operator, text)] = words(&actions)[..] else { panic!("{actions:?}") };
        assert!(text.starts_with("Use tabs.\n\n") && text.contains("longer than one answer may be"), "{text}");
        let turn = sent(&actions).expect("the words").turn.clone();
        let next = run.work(1, &turn, "Done.");
        let later: Vec<_> = words(&next).into_iter().filter(|(kind, _)| *kind == TurnKind::Operator).collect();
        assert_eq!(later.len(), waiting.len() - 1, "{next:?}");
    }
}

#[test]
fn a_limit_that_an_interrupted_critic_met_is_waited_for_by_the_next_one() {
    const REJECTED: &str = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":5000,"rateLimitType":"five_hour"}}"#;
    for no_wait in [false, true] {
        let mut run = reviewing(Plan { no_wait, ..plan() });
        run.spawned(2);
        let actions = run.measured(1, "t", &[]);
        let brief = sent(&actions).expect("the brief").turn.clone();
        operator(&mut run, OperatorInput::StopTurn);
        run.line(2, REJECTED);
        run.lines(2, &failed(&brief, 429, "rate_limit"));
        let (_, actions) = operator(&mut run, OperatorInput::Judge);
        assert!(spawn(&actions).is_none(), "{actions:?}");
        if no_wait {
            assert_eq!(run.core.phase(), "ending");
            continue;
        }
        assert!(run.core.awaited().is_some(), "the reset is waited for");
        run.now = run.now.plus_ms(4_200_000);
        let actions = run.feed(Input::Elapsed { unix_ms: 5_200_000 });
        assert_eq!(spawn(&actions).map(|spawn| spawn.role), Some(Role::Critic));
    }
}

#[test]
fn a_turn_that_the_session_has_already_is_not_continued_when_the_user_interrupts_it() {
    let (mut run, turn) = working(plan());
    operator(&mut run, OperatorInput::StopTurn);
    let known = format!(
        r#"{{"type":"user","message":{{"role":"user","content":"x"}},"uuid":"{turn}","isReplay":true,"session_id":"{SESSION}"}}"#
    );
    assert_eq!(words(&run.line(1, &known)), []);
    assert_eq!(run.core.phase(), "waiting");
    let due = run.core.poll_timeout().expect("the patience");
    assert!(due.ms_since(run.now) >= 60_000, "the agent is not ended: {due:?}");
}

#[test]
fn a_conversation_that_rests_for_a_spent_bound_goes_on_when_it_is_resumed_with_another() {
    let budgets = |max_iterations| Budgets { max_iterations, ..plan().budgets };
    for raised in [false, true] {
        let plan = Plan { conversation: true, task: String::new(), budgets: budgets(1), ..plan() };
        let (mut run, _) = Run::begin(plan);
        run.spawned(1);
        attends(&mut run, 1);
        let (_, actions) = say(&mut run, "a", "Write a parser.");
        let turn = sent(&actions).expect("a turn").turn.clone();
        run.work(1, &turn, "Done.");
        run.judge(2, 1, "t", "Add a test.");
        assert_eq!(run.core.phase(), "budget");
        if raised {
            run.feed(Input::Operator(OperatorInput::Budgets(budgets(3))));
        }
        let again = Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() };
        let actions = run.feed(again);
        assert_eq!(spawn(&actions).is_some(), raised, "{actions:?}");
        if let Some(proc) = spawn(&actions).map(|spawn| spawn.proc.0) {
            assert_eq!(words(&run.spawned(proc)), [(TurnKind::Feedback, "Add a test.")]);
        }
    }
}

#[test]
fn what_is_said_to_a_run_that_rests_is_taken_up_before_its_rest_ends() {
    let mut run = conversation();
    attends(&mut run, 0);
    run.feed(Input::Operator(OperatorInput::Turn { text: "Write a parser.".to_owned() }));
    let actions = run.wait();
    assert_eq!(words(&actions), [(TurnKind::Operator, "Write a parser.")]);
    assert_eq!(run.core.phase(), "working");
}

#[test]
fn words_go_before_feedback_that_is_not_sent() {
    let mut run = reviewing(plan());
    // The agent's process has ended during the review: the feedback waits for another one.
    run.crashed(1);
    run.judge(2, 1, "t", "Add a test.");
    assert_eq!(say(&mut run, "a", "Use tabs.").0, Taken::Queued { ahead: 0 });
    let actions = run.spawned(3);
    assert_eq!(words(&actions), [(TurnKind::Operator, "Use tabs.")]);
    let turn = sent(&actions).expect("a turn").turn.clone();
    run.lines(3, &accepted(&turn));
    say(&mut run, "b", "In English.");
    let actions = run.lines(3, &answered(&turn, "Done."));
    assert_eq!(words(&actions), [(TurnKind::Operator, "In English.")], "what was said meanwhile, too");
    let turn = sent(&actions).expect("a turn").turn.clone();
    let actions = run.work(3, &turn, "Done.");
    assert_eq!(words(&actions), [(TurnKind::Feedback, "Add a test.")], "and then it is given");
}

#[test]
fn an_interrupted_turn_is_not_continued_and_the_run_rests_until_something_is_said() {
    let (mut run, turn) = at_work();
    let (taken, actions) = operator(&mut run, OperatorInput::StopTurn);
    assert_eq!((taken, interrupts(&actions)), (Taken::Done, true));
    assert_eq!(operator(&mut run, OperatorInput::StopTurn).0, Taken::Already);
    let actions = run.lines(1, &interrupted(&turn));
    assert_eq!(words(&actions), []);
    assert_eq!((run.core.phase(), run.core.is_finished()), ("waiting", false));
    assert!(run.shown.iter().any(|show| matches!(show, Show::Rests { why: RestKind::Interrupted, .. })));
    assert_eq!(operator(&mut run, OperatorInput::StopTurn).0, refused(Refused::Nothing));
    let (_, actions) = say(&mut run, "a", "Do it otherwise.");
    assert_eq!(words(&actions), [(TurnKind::Operator, "Do it otherwise.")]);
    let turn = sent(&actions).expect("a turn").turn.clone();
    let actions = run.work(1, &turn, "Done.");
    assert!(spawn(&actions).is_some(), "this stop is judged");
}

#[test]
fn a_turn_that_waits_for_a_reset_is_given_up_and_the_next_message_waits_for_the_reset() {
    const REJECTED: &str = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":5000,"rateLimitType":"five_hour"}}"#;
    let (mut run, turn) = at_work();
    run.line(1, REJECTED);
    run.lines(1, &failed(&turn, 429, "rate_limit"));
    assert!(run.core.awaited().is_some(), "the reset is waited for");
    let (taken, actions) = operator(&mut run, OperatorInput::StopTurn);
    assert_eq!((taken, words(&actions)), (Taken::Done, vec![]));
    assert_eq!(run.core.awaited(), None, "it rests");
    assert_eq!(operator(&mut run, OperatorInput::StopTurn).0, refused(Refused::Nothing));
    assert_eq!(words(&say(&mut run, "a", "Use tabs.").1), []);
    assert!(run.core.awaited().is_some(), "the same reset");
    run.now = run.now.plus_ms(4_200_000);
    let actions = run.feed(Input::Elapsed { unix_ms: 5_200_000 });
    assert_eq!(words(&actions), [(TurnKind::Operator, "Use tabs.")], "and no *continue*");
}

#[test]
fn after_an_interruption_the_words_that_wait_are_said() {
    let (mut run, turn) = at_work();
    say(&mut run, "a", "Stop. Use tabs.");
    operator(&mut run, OperatorInput::StopTurn);
    assert_eq!(words(&run.lines(1, &interrupted(&turn))), [(TurnKind::Operator, "Stop. Use tabs.")]);
}

#[test]
fn a_turn_that_was_answered_before_the_interruption_came_is_not_judged_unasked() {
    let (mut run, turn) = at_work();
    operator(&mut run, OperatorInput::StopTurn);
    let actions = run.lines(1, &answered(&turn, "Done."));
    assert_eq!((spawn(&actions), run.core.phase()), (None, "waiting"));
    let (taken, actions) = operator(&mut run, OperatorInput::Judge);
    assert_eq!(taken, Taken::Done);
    assert!(spawn(&actions).is_some_and(|spawn| spawn.role == Role::Critic), "{actions:?}");
}

#[test]
fn an_agent_that_does_not_end_its_turn_is_ended_and_its_turn_is_not_continued() {
    let (mut run, _) = at_work();
    operator(&mut run, OperatorInput::StopTurn);
    assert_eq!(run.core.poll_timeout(), Some(run.now.plus_ms(plan().timeouts.grace_ms)));
    let mut steps = Vec::new();
    while run.core.agent_proc().is_some() {
        steps.extend(run.wait());
        if steps.iter().any(|action| matches!(action, Action::KillTree { .. })) {
            steps.extend(run.crashed(1));
        }
    }
    assert_eq!((spawn(&steps), run.core.phase()), (None, "waiting"), "{steps:?}");
    let (_, actions) = say(&mut run, "a", "Go on.");
    let proc = spawn(&actions).expect("it is started again for it").proc.0;
    assert_eq!(words(&run.spawned(proc)), [(TurnKind::Operator, "Go on.")]);
}

#[test]
fn an_interruption_gives_up_a_judging_and_what_ccc_itself_would_say() {
    let mut run = reviewing(plan());
    assert_eq!(operator(&mut run, OperatorInput::StopTurn).0, Taken::Done);
    assert_eq!((run.core.phase(), run.core.iteration()), ("waiting", 0));

    let mut run = reviewing(plan());
    run.crashed(1);
    run.judge(2, 1, "t", "Add a test.");
    assert_eq!(operator(&mut run, OperatorInput::StopTurn).0, Taken::Done, "the feedback is not said");
    assert_eq!(words(&run.spawned(3)), []);

    // ccc does not drop the user's messages.
    let (mut run, _) = Run::begin(plan());
    assert_eq!(operator(&mut run, OperatorInput::StopTurn).0, refused(Refused::Nothing));
    assert_eq!(words(&run.spawned(1)), [(TurnKind::Task, "write a parser")]);
}

#[test]
fn a_pause_lets_the_turn_end_and_begins_nothing_until_it_is_over() {
    let (mut run, turn) = at_work();
    assert_eq!(operator(&mut run, OperatorInput::Continue).0, refused(Refused::Nothing));
    assert_eq!(operator(&mut run, OperatorInput::Pause).0, Taken::Done);
    assert_eq!(operator(&mut run, OperatorInput::Pause).0, Taken::Already);
    let actions = run.lines(1, &answered(&turn, "Done."));
    assert_eq!((spawn(&actions), run.core.phase()), (None, "paused"));
    assert_eq!(words(&say(&mut run, "a", "Use tabs.").1), []);
    let due = run.core.poll_timeout().expect("the patience");
    assert!(due.ms_since(run.now) > 23 * HOUR_MS, "nothing is due: {due:?}");
    let (taken, actions) = operator(&mut run, OperatorInput::Continue);
    assert_eq!((taken, words(&actions)), (Taken::Done, vec![(TurnKind::Operator, "Use tabs.")]));

    // An ended process is not replaced meanwhile, and no deadline stays due.
    let (mut run, _) = at_work();
    operator(&mut run, OperatorInput::Pause);
    assert_eq!(spawn(&run.crashed(1)), None);
    assert!(run.core.poll_timeout().is_some_and(|due| due > run.now.plus_ms(HOUR_MS)), "{:?}", run.core.poll_timeout());
    let (_, mut actions) = operator(&mut run, OperatorInput::Continue);
    if spawn(&actions).is_none() {
        actions = run.wait();
    }
    let proc = spawn(&actions).expect("an agent").proc.0;
    assert_eq!(kinds(&run.spawned(proc)), [TurnKind::Continue]);
}

#[test]
fn a_pause_during_the_judging_begins_neither_a_check_nor_a_critic_and_the_stop_is_judged_after_it() {
    let check = |command: &str| CheckPlan { command: command.to_owned(), timeout_ms: 1_000 };
    let passes = |run: &mut Run, number: u32| {
        let result = CheckResult {
            end: CheckEnd::Exited(0),
            duration_ms: 1,
            tail: String::new(),
            omitted_bytes: 0,
            missing: None,
            protected: None,
        };
        run.feed(Input::CheckFinished { check: CheckId(number), result })
    };
    let begins = |actions: &[Action]| {
        spawn(actions).is_some() || actions.iter().any(|action| matches!(action, Action::RunCheck { .. }))
    };
    for checks in [vec![check("make"), check("make test")], vec![check("make")]] {
        let mut run = reviewing(Plan { checks, ..plan() });
        operator(&mut run, OperatorInput::Pause);
        let actions = passes(&mut run, 1);
        assert!(!begins(&actions), "{actions:?}");
        assert_eq!((run.core.phase(), run.core.iteration()), ("paused", 0));
        let (_, actions) = operator(&mut run, OperatorInput::Continue);
        assert!(begins(&actions), "{actions:?}");
        assert_eq!((run.core.phase(), run.core.iteration()), ("checking", 1));
    }

    // A running critic finishes, and is not replaced if it fails. The user had asked for this review.
    let mut run = reviewing(Plan { supervised: false, ..plan() });
    operator(&mut run, OperatorInput::Judge);
    operator(&mut run, OperatorInput::Pause);
    run.spawned(2);
    assert!(sent(&run.measured(1, "t", &[])).is_some(), "it is asked");
    run.crashed(2);
    for _ in 0..5 {
        if run.core.phase() == "reviewing" {
            let actions = run.wait_once();
            assert!(!begins(&actions), "{actions:?}");
        }
    }
    assert_eq!(run.core.phase(), "paused");
    let (_, actions) = operator(&mut run, OperatorInput::Continue);
    assert!(begins(&actions), "{actions:?}");
}

#[test]
fn stops_are_judged_as_the_user_wants_it() {
    let (mut run, turn) = at_work();
    assert_eq!(operator(&mut run, OperatorInput::Set(Change::Supervisor(false))).0, Taken::Done);
    assert_eq!(spawn(&run.lines(1, &answered(&turn, "Done."))), None);
    assert!(run.shown.iter().any(|show| matches!(show, Show::Rests { why: RestKind::Unsupervised, .. })));
    let (_, actions) = operator(&mut run, OperatorInput::Judge);
    assert!(spawn(&actions).is_some(), "once, because the user says so");
    assert_eq!(operator(&mut run, OperatorInput::Judge).0, Taken::Already);
    let (_, actions) = operator(&mut run, OperatorInput::Set(Change::Supervisor(false)));
    assert!(!actions.is_empty() && run.core.phase() == "waiting", "the judging is given up: {actions:?}");
    let (_, actions) = operator(&mut run, OperatorInput::Set(Change::Supervisor(true)));
    assert!(spawn(&actions).is_some(), "what was not judged is judged");
}

#[test]
fn the_model_is_changed_in_the_live_process_and_in_those_that_follow() {
    let args = ["--model", "sonnet"].map(str::to_owned).to_vec();
    let (mut run, turn) = working(Plan { agent_args: args, ..plan() });
    run.lines(1, &accepted(&turn));
    let model = |model: &str| OperatorInput::Set(Change::Model(model.to_owned()));
    for none in ["", " ", "claude opus", "opus\n", "op\u{1b}[2Jus", &"x".repeat(129)] {
        assert!(matches!(operator(&mut run, model(none)).0, Taken::Refused(Refused::BadAnswer(_))));
    }
    let (taken, actions) = operator(&mut run, model("opus"));
    assert_eq!(taken, Taken::Done);
    assert!(actions.contains(&Action::SetModel { proc: ProcId(1), model: "opus".to_owned() }), "{actions:?}");
    let actions = run.crashed(1);
    let args = &spawn(&actions).expect("a restart").launch.args;
    let models: Vec<&[String]> = args.windows(2).filter(|pair| pair[0] == "--model").collect();
    assert_eq!(models, [["--model", "opus"]], "{args:?}");
}

#[test]
fn the_permission_mode_is_changed_in_the_live_process_and_in_those_that_follow() {
    let args = ["--permission-mode", "default"].map(str::to_owned).to_vec();
    let (mut run, turn) = working(Plan { agent_args: args, ..plan() });
    run.lines(1, &accepted(&turn));
    let mode = |mode: &str| OperatorInput::Set(Change::PermissionMode(mode.to_owned()));
    for none in ["", "accept edits", "x\n"] {
        assert!(matches!(operator(&mut run, mode(none)).0, Taken::Refused(Refused::BadAnswer(_))), "{none:?}");
    }
    let (taken, _) = operator(&mut run, mode("plan"));
    assert!(matches!(taken, Taken::Refused(Refused::BadAnswer(why)) if why.contains("nobody approves plans")));
    let asked = |mode: &str| Action::SetPermissionMode { proc: ProcId(1), mode: mode.to_owned() };
    let (taken, actions) = operator(&mut run, mode("acceptEdits"));
    assert_eq!(taken, Taken::Done);
    assert!(actions.contains(&asked("acceptEdits")), "{actions:?}");
    run.lines(1, &[r#"{"type":"system","subtype":"status","status":null,"permissionMode":"acceptEdits"}"#.to_owned()]);
    assert_eq!(run.shown.last(), Some(&Show::PermissionMode { mode: "acceptEdits".to_owned() }));
    // The CLI refuses a mode: the user is told, and the mode before stays chosen.
    let (_, actions) = operator(&mut run, mode("bypassPermissions"));
    assert!(actions.contains(&asked("bypassPermissions")), "{actions:?}");
    let refusal = r#"{"type":"control_response","response":{"subtype":"error","request_id":"mode-1","error":"it was not launched so","error_code":"bypass_not_launched"}}"#;
    run.lines(1, &[refusal.to_owned()]);
    let told = Show::Notice { text: "the agent keeps its permission mode: it was not launched so".to_owned() };
    let kept = Show::PermissionMode { mode: "acceptEdits".to_owned() };
    assert!(run.shown.ends_with(&[told, kept]), "{:?}", run.shown);
    let actions = run.crashed(1);
    let args = &spawn(&actions).expect("a restart").launch.args;
    let modes: Vec<&[String]> = args.windows(2).filter(|pair| pair[0] == "--permission-mode").collect();
    assert_eq!(modes, [["--permission-mode", "acceptEdits"]], "{args:?}");
}

#[test]
fn a_conversation_begins_without_a_task_rests_after_each_verdict_and_ends_with_the_last() {
    let mut run = conversation();
    assert_eq!(operator(&mut run, OperatorInput::Judge).0, refused(Refused::Nothing));
    let (_, actions) = say(&mut run, "1", "Write a parser.");
    assert_eq!(words(&actions), [(TurnKind::Task, "Write a parser.")]);
    assert_eq!(run.core.plan().task, "Write a parser.");
    let mut turn = sent(&actions).expect("a turn").turn.clone();
    let (mut critic, mut measure) = (2, 1);
    for next in ["And tests.", "And a manual."] {
        run.work(1, &turn, "Done.");
        run.judge(critic, measure, "t", "[TASK_COMPLETED]");
        run.exited(critic, 0, "");
        assert_eq!((run.core.phase(), run.core.is_finished()), ("completed", false));
        let (_, actions) = say(&mut run, next, next);
        assert_eq!(words(&actions), [(TurnKind::Operator, next)]);
        turn = sent(&actions).expect("a turn").turn.clone();
        (critic, measure) = (critic + 1, measure + 2);
    }
    run.work(1, &turn, "Done.");
    run.judge(critic, measure, "t", "[TASK_COMPLETED]");
    run.exited(critic, 0, "");
    operator(&mut run, OperatorInput::Interrupt { reason: "quit".to_owned() });
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.iterations), (Outcome::Completed, 3));
}

/// A plan with this bound on iterations.
fn bounded(max_iterations: u32) -> Plan {
    let plan = plan();
    Plan { budgets: Budgets { max_iterations, ..plan.budgets }, ..plan }
}

/// A turn of a conversation, judged with this answer on an unchanged tree. Gives the actions that follow.
fn judged(run: &mut Run, critic: u32, turn: &TurnId, answer: &str) -> Vec<Action> {
    let measure = |run: &mut Run, actions: &[Action]| {
        let measures = actions
            .iter()
            .find_map(|action| if let Action::MeasureTree { measure, .. } = action { Some(measure.0) } else { None });
        measures.map(|measure| run.measured(measure, "t", &[])).unwrap_or_default()
    };
    let actions = run.work(1, turn, "Done.");
    let mut actions = measure(run, &actions);
    actions.extend(run.spawned(critic));
    let brief = sent(&actions).expect("a brief").turn.clone();
    let actions = run.work(critic, &brief, answer);
    let mut done = measure(run, &actions);
    done.extend(actions);
    done.extend(run.exited(critic, 0, ""));
    done
}

#[test]
fn a_conversation_whose_iterations_are_spent_rests_and_each_message_has_all_of_them() {
    let mut run = conversation_of(bounded(2));
    let (_, actions) = say(&mut run, "1", "Write a parser.");
    let mut turn = sent(&actions).expect("a turn").turn.clone();
    let actions = judged(&mut run, 2, &turn, "No tests.");
    assert_eq!(run.core.iteration(), 1);
    turn = sent(&actions).expect("feedback").turn.clone();
    let actions = judged(&mut run, 3, &turn, "No manual.");
    assert_eq!((sent(&actions), run.core.phase()), (None, "budget"), "the bound holds for what the user has asked for");
    let Some(Show::Rests { outcome: Some(Outcome::Budget), reason, .. }) = run.shown.last() else {
        panic!("{:?}", run.shown.last())
    };
    assert_eq!(reason, "2 of 2 iterations are spent");
    // The user continues: first the new message, then the unsent feedback.
    let (_, actions) = say(&mut run, "2", "In English.");
    assert_eq!(words(&actions), [(TurnKind::Operator, "In English.")]);
    assert_eq!(run.core.iteration(), 0);
    turn = sent(&actions).expect("a turn").turn.clone();
    let actions = run.work(1, &turn, "Done.");
    assert_eq!(words(&actions), [(TurnKind::Feedback, "No manual.")]);
    turn = sent(&actions).expect("feedback").turn.clone();
    judged(&mut run, 4, &turn, "[TASK_COMPLETED]");
    assert_eq!((run.core.iteration(), run.core.phase()), (1, "completed"));
    operator(&mut run, OperatorInput::Interrupt { reason: "quit".to_owned() });
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.iterations, end.spent), (Outcome::Completed, 3, None), "the whole run's");
}

#[test]
fn a_conversation_that_is_left_with_its_iterations_spent_ends_so() {
    let mut run = conversation_of(bounded(1));
    let (_, actions) = say(&mut run, "1", "Write a parser.");
    let turn = sent(&actions).expect("a turn").turn.clone();
    judged(&mut run, 2, &turn, "No tests.");
    assert_eq!(run.core.phase(), "budget");
    attends(&mut run, 0);
    run.wait();
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.reason.as_str()), (Outcome::Budget, "the only iteration is spent"));
    assert_eq!(end.spent.map(|spent| spent.bound), Some(Bound::Iterations));
}

#[test]
fn a_conversation_that_rests_for_a_spent_bound_goes_on_when_the_user_raises_it() {
    let mut run = conversation_of(bounded(1));
    let (_, actions) = say(&mut run, "1", "Write a parser.");
    let turn = sent(&actions).expect("a turn").turn.clone();
    judged(&mut run, 2, &turn, "No tests.");
    assert_eq!(run.core.phase(), "budget");
    let mut set = |max_iterations| {
        let budgets = bounded(max_iterations).budgets;
        operator(&mut run, OperatorInput::Set(Change::Budgets(budgets)))
    };
    let (taken, actions) = set(1);
    assert_eq!((taken, sent(&actions)), (Taken::Done, None), "the same bound is spent as before");
    let (_, actions) = set(2);
    assert_eq!(words(&actions), [(TurnKind::Feedback, "No tests.")]);
    let turn = sent(&actions).expect("feedback").turn.clone();
    judged(&mut run, 3, &turn, "[TASK_COMPLETED]");
    assert_eq!(run.core.phase(), "completed");
    operator(&mut run, OperatorInput::Interrupt { reason: "quit".to_owned() });
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.spent), (Outcome::Completed, None));
}

#[test]
fn a_stuck_agent_is_told_what_to_do_by_the_user_who_is_there() {
    let mut run = conversation();
    let (_, actions) = say(&mut run, "1", "Write a parser.");
    let mut turn = sent(&actions).expect("a turn").turn.clone();
    let mut critic = 2;
    while run.core.phase() != "stuck" {
        assert!(critic < 10, "{}", run.core.phase());
        let actions = judged(&mut run, critic, &turn, "No tests.");
        if let Some(send) = sent(&actions) {
            turn = send.turn.clone();
        }
        critic += 1;
    }
    let (_, actions) = say(&mut run, "2", "The tests are in tests.sh.");
    assert_eq!(words(&actions), [(TurnKind::Operator, "The tests are in tests.sh.")]);
    turn = sent(&actions).expect("a turn").turn.clone();
    judged(&mut run, critic, &turn, "[TASK_COMPLETED]");
    assert_eq!(run.core.phase(), "completed");
}

/// The agent has answered, and has left a command running.
fn left_running(run: &mut Run, turn: &TurnId) -> Vec<Action> {
    run.lines(1, &accepted(turn));
    run.line(1, r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t-1","name":"Bash","input":{"command":"npm run dev","run_in_background":true}}]},"parent_tool_use_id":null}"#);
    run.line(1, r#"{"type":"system","subtype":"task_started","task_id":"b1","tool_use_id":"t-1","description":"Serve","task_type":"local_bash","is_backgrounded":true}"#);
    run.line(1, r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t-1","content":"started"}]},"parent_tool_use_id":null}"#);
    run.lines(1, &answered(turn, "It runs."))
}

#[test]
fn words_do_not_wait_for_what_the_agent_left_running() {
    // A message while the run waits for the command.
    let (mut run, turn) = working(plan());
    assert_eq!(words(&left_running(&mut run, &turn)), []);
    let (taken, actions) = say(&mut run, "a", "Are you there?");
    assert_eq!((taken, words(&actions)), (Taken::Queued { ahead: 0 }, vec![(TurnKind::Operator, "Are you there?")]));

    // A message before the turn was answered.
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    say(&mut run, "a", "Are you there?");
    let actions = left_running(&mut run, &turn);
    assert_eq!(words(&actions), [(TurnKind::Operator, "Are you there?")]);

    // During a pause nothing is sent.
    let (mut run, turn) = working(plan());
    left_running(&mut run, &turn);
    operator(&mut run, OperatorInput::Pause);
    assert_eq!(words(&say(&mut run, "a", "Are you there?").1), []);
}

#[test]
fn an_interruption_ends_a_wait_for_background_work_and_not_the_work() {
    let (mut run, turn) = working(plan());
    left_running(&mut run, &turn);
    let (taken, actions) = operator(&mut run, OperatorInput::StopTurn);
    assert_eq!((taken, interrupts(&actions)), (Taken::Done, false), "{actions:?}");
    assert_eq!(run.core.phase(), "waiting");
    let (_, actions) = say(&mut run, "a", "Go on.");
    assert_eq!(words(&actions), [(TurnKind::Operator, "Go on.")], "in the same process");
}

#[test]
fn a_command_of_the_clis_own_is_not_judged() {
    let mut run = conversation();
    let local = |run: &mut Run, actions: &[Action]| {
        let turn = sent(actions).expect("a turn").turn.clone();
        let uuids = format!(r#""user_message_uuids":["{turn}"]"#);
        let mut actions = run.line(
            1,
            &format!(
                r#"{{"type":"command_lifecycle","command_uuid":"{turn}","state":"started","session_id":"{SESSION}"}}"#
            ),
        );
        actions.extend(run.line(1, &format!(r#"{{"type":"result","subtype":"success","is_error":false,"num_turns":0,"result":"17.4k tokens","stop_reason":null,"terminal_reason":"completed","session_id":"{SESSION}",{uuids}}}"#)));
        actions.extend(run.line(
            1,
            &format!(
                r#"{{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"{SESSION}"}}"#
            ),
        ));
        actions
    };
    // /context as the first message does not become the task.
    let (_, actions) = say(&mut run, "0", "/context");
    let actions = local(&mut run, &actions);
    assert_eq!((spawn(&actions), run.core.phase(), run.core.plan().task.as_str()), (None, "waiting", ""));
    let (_, actions) = say(&mut run, "1", "Write a parser.");
    assert_eq!(words(&actions), [(TurnKind::Task, "Write a parser.")]);
    let turn = sent(&actions).expect("a turn").turn.clone();
    judged(&mut run, 2, &turn, "[TASK_COMPLETED]");
    assert_eq!(run.core.phase(), "completed");
    let (_, actions) = say(&mut run, "2", "/context");
    let actions = local(&mut run, &actions);
    assert_eq!((spawn(&actions), run.core.phase()), (None, "completed"), "the verdict stands: {actions:?}");
    let (_, actions) = say(&mut run, "3", "And tests.");
    let turn = sent(&actions).expect("a turn").turn.clone();
    let actions = run.work(1, &turn, "Done.");
    assert!(actions.iter().any(|action| matches!(action, Action::MeasureTree { .. })), "this is judged: {actions:?}");
}

#[test]
fn a_rest_ends_a_while_after_the_last_client_has_gone_and_a_run_at_work_does_not() {
    // Without a message.
    let mut run = conversation();
    assert_eq!(run.core.poll_timeout(), None, "somebody is there");
    attends(&mut run, 0);
    attends(&mut run, 1);
    assert_eq!(run.core.poll_timeout(), None, "somebody is back");
    attends(&mut run, 0);
    run.wait();
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.reason.as_str()), (Outcome::Interrupted, "nothing was said"));

    // After a verdict the run ends with it.
    let mut run = conversation();
    let (_, actions) = say(&mut run, "1", "Write a parser.");
    let turn = sent(&actions).expect("a turn").turn.clone();
    run.work(1, &turn, "Done.");
    attends(&mut run, 0);
    attends(&mut run, 1);
    run.judge(2, 1, "t", "Which one?\n[NEEDS_USER]");
    run.exited(2, 0, "");
    assert_eq!(run.core.phase(), "needs_user");
    attends(&mut run, 0);
    run.wait();
    assert_eq!(finish(&run.exited(1, 0, "")).map(|end| end.outcome), Some(Outcome::NeedsUser));

    // When the last client left long ago, a verdict ends the run at once; when it may come back, a minute after it has left. An
    // interrupted run ends after a day.
    for (away_ms, phase) in [(60_000, "ending"), (59_000, "completed")] {
        let mut run = conversation();
        let (_, actions) = say(&mut run, "1", "Write a parser.");
        let turn = sent(&actions).expect("a turn").turn.clone();
        attends(&mut run, 0);
        let left = run.now;
        assert_eq!(run.core.phase(), "working");
        run.now = run.now.plus_ms(away_ms);
        run.work(1, &turn, "Done.");
        run.judge(2, 1, "t", "[TASK_COMPLETED]");
        run.exited(2, 0, "");
        assert_eq!(run.core.phase(), phase);
        if phase == "completed" {
            run.wait();
            assert_eq!(run.core.phase(), "ending");
            assert!(run.now.ms_since(left) < 121_000, "a minute after the verdict");
        }
    }

    let mut run = conversation();
    let (_, actions) = say(&mut run, "1", "Write a parser.");
    let turn = sent(&actions).expect("a turn").turn.clone();
    run.lines(1, &accepted(&turn));
    operator(&mut run, OperatorInput::StopTurn);
    run.lines(1, &interrupted(&turn));
    attends(&mut run, 0);
    let due = run.core.poll_timeout().expect("the patience");
    assert_eq!(due.ms_since(run.now), 24 * HOUR_MS);
    run.wait();
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.reason.contains("nobody has attended it for 24h")), (Outcome::Interrupted, true));
}

#[test]
fn nobody_is_waited_for_long_in_a_run_with_a_task_of_its_own() {
    // A client that interrupts sends the next message soon or never; a run in CI does not rest for a day.
    let (mut run, turn) = at_work();
    operator(&mut run, OperatorInput::StopTurn);
    run.lines(1, &interrupted(&turn));
    let due = run.core.poll_timeout().expect("the patience");
    assert_eq!(due.ms_since(run.now), 60_000);
    run.wait();
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    let reason = "the turn was interrupted, and nobody has said anything for 60s";
    assert_eq!((end.outcome, end.reason.as_str()), (Outcome::Interrupted, reason));

    // A message in time continues the run, and so does an attached client.
    let (mut run, turn) = at_work();
    operator(&mut run, OperatorInput::StopTurn);
    run.lines(1, &interrupted(&turn));
    assert_eq!(words(&say(&mut run, "a", "Go on.").1), [(TurnKind::Operator, "Go on.")]);
    let (mut run, turn) = at_work();
    attends(&mut run, 1);
    operator(&mut run, OperatorInput::StopTurn);
    run.lines(1, &interrupted(&turn));
    assert!(run.core.poll_timeout().is_none_or(|due| due > run.now.plus_ms(HOUR_MS)), "{:?}", run.core.poll_timeout());

    let (mut run, turn) = at_work();
    operator(&mut run, OperatorInput::Set(Change::Supervisor(false)));
    run.lines(1, &answered(&turn, "Done."));
    run.wait();
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    let reason = "the agent has stopped, and nothing is judged, and nobody has said anything for 60s";
    assert_eq!((end.outcome, end.reason.as_str()), (Outcome::Interrupted, reason));
}

#[test]
fn a_rest_is_no_working_time() {
    let budgets = Budgets { max_duration_ms: Some(HOUR_MS), ..plan().budgets };
    let (mut run, turn) = working(Plan { budgets, ..plan() });
    run.lines(1, &accepted(&turn));
    operator(&mut run, OperatorInput::StopTurn);
    run.lines(1, &interrupted(&turn));
    run.now = run.now.plus_ms(3 * HOUR_MS);
    let (_, actions) = say(&mut run, "a", "Go on.");
    assert_eq!(words(&actions), [(TurnKind::Operator, "Go on.")]);
    let actions = run.feed(Input::Elapsed { unix_ms: 1_000_000 });
    assert_eq!((finish(&actions), run.core.phase()), (None, "working"), "{actions:?}");
    run.now = run.now.plus_ms(HOUR_MS);
    run.feed(Input::Elapsed { unix_ms: 1_000_000 });
    assert_eq!(run.core.phase(), "ending");
}

#[test]
fn words_that_are_taken_back_before_the_agent_is_there_leave_the_rest_as_it_was() {
    let plan = Plan { conversation: true, task: String::new(), ..plan() };
    let (mut run, _) = Run::begin(plan);
    attends(&mut run, 1);
    say(&mut run, "a", "Write a parser.");
    assert_eq!(operator(&mut run, OperatorInput::TakeBack { key: "a".to_owned() }).0, Taken::Done);
    assert_eq!(run.core.plan().task, "");
    assert_eq!(words(&run.spawned(1)), []);
    let (_, actions) = say(&mut run, "b", "Write a lexer.");
    assert_eq!(words(&actions), [(TurnKind::Task, "Write a lexer.")]);
}

#[test]
fn a_conversation_whose_tokens_are_all_spent_at_its_beginning_waits_for_its_task_all_the_same() {
    let spent = TokenFact {
        id: TokenId("a".to_owned()),
        label: "A".to_owned(),
        kind: TokenKind::ApiKey,
        hot_group: None,
        windows: Vec::new(),
        limited_until_unix_ms: Some(1_060_000),
        refused: false,
        model: None,
    };
    let plan = Plan { conversation: true, task: String::new(), ..plan() };
    let mut run = Run { core: Core::new(plan), now: Tick::ZERO, shown: Vec::new() };
    let tokens = |limited| vec![TokenFact { limited_until_unix_ms: limited, ..spent.clone() }];
    run.feed(Input::Began { unix_ms: 1_000_000, resumed: false, turn_recorded: None, tokens: tokens(Some(1_060_000)) });
    attends(&mut run, 1);
    for request in 0..6 {
        run.feed(Input::Tokens { request: Some(request), tokens: tokens(Some(1_060_000)), unix_ms: None });
    }
    while run.core.phase() == "waiting" && run.core.poll_timeout().is_some() {
        run.wait();
        for request in 0..6 {
            run.feed(Input::Tokens { request: Some(request), tokens: tokens(None), unix_ms: None });
        }
    }
    assert!(!run.core.is_finished() && run.core.phase() == "waiting", "{}", run.core.phase());
    let (_, mut actions) = say(&mut run, "a", "Write a parser.");
    let proc = spawn(&actions).map(|spawn| spawn.proc.0).expect("an agent");
    actions = run.spawned(proc);
    assert_eq!(words(&actions), [(TurnKind::Task, "Write a parser.")]);
}

#[test]
fn a_run_that_ends_takes_nothing_more() {
    let (mut run, _) = at_work();
    operator(&mut run, OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() });
    for word in [
        OperatorInput::Say { key: None, text: "more".to_owned(), images: Vec::new() },
        OperatorInput::StopTurn,
        OperatorInput::Pause,
        OperatorInput::Judge,
        OperatorInput::Rotate { to: None },
        OperatorInput::Set(Change::Supervisor(false)),
        OperatorInput::Rule { ask: AskId(1), key: None, ruling: Ruling::Deny { reason: String::new() } },
    ] {
        assert_eq!(operator(&mut run, word).0, refused(Refused::Ending));
    }
    run.exited(1, 0, "");
    assert!(run.core.is_finished());
    run.shown.clear();
    attends(&mut run, 1);
    assert_eq!(run.shown, [], "nothing follows an end");
}

#[test]
fn images_go_with_the_words_and_survive_a_restart() {
    let (mut run, turn) = at_work();
    let image = Image { media_type: "image/png".to_owned(), data: "AA==".to_owned() };
    let words = OperatorInput::Say { key: None, text: "Look.".to_owned(), images: vec![image.clone()] };
    operator(&mut run, words);
    let actions = run.lines(1, &answered(&turn, "Done."));
    assert_eq!(sent(&actions).map(|send| send.images.as_slice()), Some([image.clone()].as_slice()));
    // The turn was not accepted: it is sent again, with the image.
    let exit = ExitFact { signal: Some(9), turn_recorded: Some(false), ..ExitFact::default() };
    let actions = run.feed(Input::Exited { proc: ProcId(1), exit });
    let proc = spawn(&actions).expect("a restart").proc.0;
    let actions = run.spawned(proc);
    assert_eq!(sent(&actions).map(|send| send.images.as_slice()), Some([image].as_slice()));
}
