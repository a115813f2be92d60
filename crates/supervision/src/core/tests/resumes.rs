//! ccc itself ends and resumes: the core is rebuilt from its inputs and gets `Began`.

use super::*;

fn resumed(run: &mut Run) -> Vec<Action> {
    run.feed(Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() })
}

#[test]
fn before_the_acknowledgement_the_same_turn_is_sent_again() {
    let (mut run, turn) = working(plan());
    let proc = spawn(&resumed(&mut run)).expect("an agent").proc.0;
    let actions = run.spawned(proc);
    assert_eq!(sent(&actions).map(|send| &send.turn), Some(&turn));
}

#[test]
fn after_the_acknowledgement_it_is_continued() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    let proc = spawn(&resumed(&mut run)).expect("an agent").proc.0;
    assert_eq!(kinds(&run.spawned(proc)), [TurnKind::Continue]);
}

#[test]
fn a_resumed_run_makes_ids_that_the_lost_end_of_its_journal_cannot_have_used() {
    for (new_ids_when_resumed, is_known) in [(true, false), (false, true)] {
        let plan = Plan { new_ids_when_resumed, ..plan() };
        let (mut run, turn) = working(plan);
        run.lines(1, &accepted(&turn));
        // This message comes too late for the journal, because the disk is full.
        let mut lost = run.clone();
        let words = OperatorInput::Say { key: None, text: "Use tabs.".to_owned(), images: Vec::new() };
        lost.feed(Input::Operator(words));
        let actions = lost.lines(1, &answered(&turn, "Done."));
        let before = sent(&actions).expect("the user's words").turn.clone();

        let proc = spawn(&resumed(&mut run)).expect("an agent").proc.0;
        let actions = run.spawned(proc);
        let after = sent(&actions).expect("the turn goes on").turn.clone();
        assert_eq!(before == after, is_known, "{before} {after}");
    }
}

#[test]
fn a_review_is_made_again_and_counts_once() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let actions = resumed(&mut run);
    let again = spawn(&actions).expect("a critic");
    assert!(again.launch.args.contains(&"--fork-session".to_owned()), "no agent is needed for it");
    assert_eq!(run.core.iteration(), 1);
}

#[test]
fn a_wait_goes_on_and_ends_at_the_same_moment() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.lines(1, &failed(&turn, 529, "overloaded"));
    let due = run.core.poll_timeout();
    let actions = resumed(&mut run);
    assert_eq!((spawn(&actions), sent(&actions)), (None, None));
    assert_eq!(run.core.poll_timeout(), due);
    let proc = spawn(&run.wait()).expect("an agent, for the old one is gone").proc.0;
    assert_eq!(kinds(&run.spawned(proc)), [TurnKind::Continue]);
}

#[test]
fn an_interrupted_run_goes_on_with_its_turn_and_a_completed_one_stays_so() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
    run.crashed(1);
    assert!(run.core.is_finished());
    let proc = spawn(&resumed(&mut run)).expect("an agent").proc.0;
    assert_eq!(kinds(&run.spawned(proc)), [TurnKind::Continue]);

    let mut done = reviewing(plan());
    done.judge(2, 1, "t", "[TASK_COMPLETED]");
    let actions = resumed(&mut done);
    assert_eq!(
        finish(&actions).map(|end| end.outcome),
        Some(Outcome::Completed),
        "died while closing: nothing is judged again"
    );
}

#[test]
fn an_answer_to_a_question_is_said_before_anything_is_judged() {
    let mut run = reviewing(plan());
    run.judge(2, 1, "t", "Which database?\n[NEEDS_USER]");
    run.exited(2, 0, "");
    run.exited(1, 0, "");
    assert!(run.core.is_finished());
    run.feed(Input::Operator(OperatorInput::Turn { text: "SQLite".to_owned() }));
    let actions = resumed(&mut run);
    let proc = spawn(&actions).expect("an agent").proc.0;
    let actions = run.spawned(proc);
    assert_eq!(sent(&actions).map(|send| (send.kind, send.text.as_str())), Some((TurnKind::Operator, "SQLite")));
}

#[test]
fn a_spent_bound_can_be_raised() {
    let one = Budgets { max_iterations: 1, ..plan().budgets };
    let mut run = reviewing(Plan { budgets: one.clone(), ..plan() });
    run.judge(2, 1, "t", "Add a test.");
    run.exited(2, 0, "");
    run.exited(1, 0, "");
    run.feed(Input::Operator(OperatorInput::Budgets(Budgets { max_iterations: 3, ..one })));
    let actions = resumed(&mut run);
    let proc = spawn(&actions).expect("an agent").proc.0;
    let actions = run.spawned(proc);
    let send = sent(&actions).expect("the feedback that was not given any more");
    assert_eq!((send.kind, send.text.as_str()), (TurnKind::Feedback, "Add a test."));
}

#[test]
fn a_spent_bound_that_is_not_raised_ends_the_run_at_once() {
    let one = Budgets { max_iterations: 1, ..plan().budgets };
    let mut run = reviewing(Plan { budgets: one, ..plan() });
    run.judge(2, 1, "t", "Add a test.");
    run.exited(2, 0, "");
    run.exited(1, 0, "");
    let actions = resumed(&mut run);
    assert_eq!(spawn(&actions), None, "nothing is started: {actions:?}");
    let end = finish(&actions).expect("the end");
    assert_eq!((end.outcome, end.iterations), (Outcome::Budget, 1));
    assert!(end.reason.contains("raise the bound"), "{}", end.reason);
}

#[test]
fn a_stop_that_was_not_judged_does_not_count() {
    let mut run = reviewing(plan());
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
    run.crashed(2);
    let actions = run.crashed(1);
    assert_eq!(finish(&actions).map(|end| end.iterations), Some(0));
    resumed(&mut run);
    assert_eq!(run.core.iteration(), 1);
}

#[test]
fn a_session_lost_before_it_was_saved_is_told_what_was_said_in_it() {
    let mut run = reviewing(plan());
    run.crashed(1);
    let actions = run.judge(2, 1, "t", "Add a test.");
    let agent =
        actions.iter().rev().find_map(|action| if let Action::Spawn(spawn) = action { Some(spawn) } else { None });
    let proc = agent.expect("an agent for the feedback").proc.0;
    run.spawned(proc);
    let actions = run.exited(proc, 1, &format!("No conversation found with session ID: {SESSION}\n"));
    let proc = spawn(&actions).expect("the session is begun").proc.0;
    let actions = run.spawned(proc);
    let text = &sent(&actions).expect("a turn").text;
    assert!(text.contains("write a parser") && text.contains("Add a test."), "{text}");
}

#[test]
fn what_the_user_gives_a_run_starts_nothing_before_it_is_told_that_ccc_had_ended() {
    let bounds = OperatorInput::Budgets(plan().budgets);
    for given in [bounds, OperatorInput::Turn { text: "also the tests".to_owned() }] {
        let (mut run, turn) = working(plan());
        run.lines(1, &accepted(&turn));
        let again = spawn(&run.crashed(1)).expect("a restart at once").proc;
        run.spawned(again.0);
        assert_eq!(spawn(&run.crashed(again.0)), None, "the next one has a back-off");
        run.now = run.core.poll_timeout().expect("its end");
        let actions = run.feed(Input::Operator(given.clone()));
        assert_eq!(spawn(&actions), None, "it would be forgotten: {given:?}");
        assert!(spawn(&resumed(&mut run)).is_some(), "{given:?}");
    }
}

/// How the journal of a run records a task that contains a token.
const MARKED: &str = "Deploy with token [redacted:github]";

fn restated(run: &mut Run, instead_of: &[&str]) {
    let instead_of = instead_of.iter().map(|&text| text.to_owned()).collect();
    let words = OperatorInput::Restate { text: "Deploy with token t".to_owned(), instead_of };
    run.feed(Input::Operator(words));
}

#[test]
fn words_said_anew_count_instead_of_those_that_the_journal_has_with_marks() {
    let (mut run, turn) = working(Plan { task: MARKED.to_owned(), ..plan() });
    assert_eq!(run.core.user_words_to_say(None, true), [MARKED], "it was not acknowledged");
    assert_eq!(run.core.user_words_to_say(Some(true), true), Vec::<&str>::new(), "it stands in the session");
    restated(&mut run, &[MARKED]);
    let proc = spawn(&resumed(&mut run)).expect("an agent").proc.0;
    let actions = run.spawned(proc);
    let said = sent(&actions).expect("a turn").clone();
    assert_eq!((said.kind, said.text.as_str()), (TurnKind::Task, "Deploy with token t"));
    assert_ne!(said.turn, turn, "other words have another uuid");
    run.lines(proc, &accepted(&said.turn));
    let actions = run.lines(proc, &answered(&said.turn, "Done."));
    let critic = spawn(&actions).expect("a critic").proc.0;
    let mut actions = run.spawned(critic);
    actions.extend(run.measured(1, "t", &[]));
    let brief = sent(&actions).expect("a brief").text.clone();
    assert!(brief.contains("Deploy with token t") && !brief.contains("[redacted"), "{brief}");
    assert_eq!(run.core.user_words_to_say(None, false), ["Deploy with token t"], "a new session is told it again");
}

#[test]
fn a_run_that_had_not_begun_begins_with_the_words_said_anew() {
    let mut core = Core::new(Plan { task: MARKED.to_owned(), ..plan() });
    assert_eq!(core.user_words_to_say(None, false), [MARKED]);
    let given = OperatorInput::Restate { text: "Deploy".to_owned(), instead_of: vec![MARKED.to_owned()] };
    assert_eq!(given.applied_to(core.plan()).task, "Deploy");
    core.handle(Tick(1), Input::Operator(given));
    assert_eq!(core.user_words_to_say(None, false), ["Deploy"]);
}

#[test]
fn the_runs_directory_under_another_path_is_no_other_directory() {
    for (real, told) in [("/moved/project", false), ("/moved/other", true)] {
        let (mut run, _) = working(Plan { cwd: "/project".to_owned(), ..plan() });
        run.feed(Input::Operator(OperatorInput::Moved { real: real.to_owned() }));
        let proc = spawn(&resumed(&mut run)).expect("an agent").proc.0;
        run.spawned(proc);
        let init = format!(
            r#"{{"type":"system","subtype":"init","session_id":"{SESSION}","model":"m","cwd":"/moved/project","permissionMode":"default","claude_code_version":"2.1.332"}}"#
        );
        run.line(proc, &init);
        let notices = run.notices();
        assert_eq!(notices.iter().any(|text| text.contains("do not see it")), told, "{real}: {notices:?}");
    }
}

fn says(run: &mut Run, text: &str) -> Vec<Action> {
    run.feed(Input::Operator(OperatorInput::Say { key: None, text: text.to_owned(), images: Vec::new() }))
}

#[test]
fn a_conversation_that_is_taken_up_rests_whatever_had_become_of_it_and_goes_on_with_the_next_message() {
    let conversation = || Plan { conversation: true, ..plan() };
    let at_work = || {
        let (mut run, turn) = working(conversation());
        run.lines(1, &accepted(&turn));
        run
    };
    let ended = |mut run: Run| {
        run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
        run.crashed(1);
        run.crashed(2);
        assert!(run.core.is_finished());
        run
    };
    let judged = |answer: &str| {
        let mut run = reviewing(conversation());
        run.judge(2, 1, "t", answer);
        run.exited(2, 0, "");
        run.exited(1, 0, "");
        assert!(run.core.is_finished(), "{answer}");
        run
    };
    let waiting = || {
        let (mut run, turn) = working(conversation());
        run.lines(1, &accepted(&turn));
        run.lines(1, &failed(&turn, 529, "overloaded"));
        run
    };
    for (run, outcome, goes_on) in [
        (at_work(), None, true),
        (ended(at_work()), Some(Outcome::Interrupted), true),
        (waiting(), None, true),
        (reviewing(conversation()), None, false),
        (judged("All is there.\n[TASK_COMPLETED]"), Some(Outcome::Completed), false),
        (judged("Which database?\n[NEEDS_USER]"), Some(Outcome::NeedsUser), false),
    ] {
        let before = |run: &mut Run| {
            run.feed(Input::Operator(OperatorInput::TakeUp));
            let actions = resumed(run);
            assert_eq!((spawn(&actions), sent(&actions)), (None, None), "{outcome:?}: nothing is begun");
            let rests = run.shown.iter().rev().find_map(|show| {
                if let Show::Rests { why, outcome, .. } = show { Some((*why, *outcome)) } else { None }
            });
            assert_eq!(rests, Some((RestKind::TakenUp, outcome)));
        };
        // Without a message it ends as it had ended before.
        let mut left = Run { core: run.core.clone(), now: run.now, shown: Vec::new() };
        before(&mut left);
        let end = finish(&left.wait()).expect("the end").clone();
        assert_eq!(end.outcome, outcome.unwrap_or(Outcome::Interrupted));
        // With a message it continues, and the interrupted turn follows.
        let mut run = run;
        before(&mut run);
        let mut actions = says(&mut run, "Use tabs.");
        if let Some(agent) = spawn(&actions) {
            actions = run.spawned(agent.proc.0);
        }
        let send = sent(&actions).expect("a turn");
        assert_eq!(send.kind, TurnKind::Operator);
        assert!(send.text.starts_with("Use tabs.") && (send.text != "Use tabs.") == goes_on, "{}", send.text);
    }
}

#[test]
fn only_a_conversation_is_taken_up() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.feed(Input::Operator(OperatorInput::TakeUp));
    assert!(matches!(run.core.taken(), Taken::Refused(Refused::NotForThisRun)), "{:?}", run.core.taken());
    assert!(spawn(&resumed(&mut run)).is_some(), "it works on");
}

#[test]
fn a_session_whose_resume_would_lose_turns_is_continued_in_a_copy() {
    for is_cut in [false, true] {
        let (mut run, turn) = working(plan());
        run.lines(1, &accepted(&turn));
        let session = run.core.session_after(None).expect("a session").to_owned();
        let actions = run.feed(Input::BranchLost { is_cut });
        assert_eq!(decisions(&actions), ["continue in a copy of the session"]);
        assert!(run.notices().iter().any(|notice| notice.contains("a copy of the session")), "{:?}", run.notices());
        let actions = resumed(&mut run);
        let again = spawn(&actions).expect("an agent");
        let args = again.launch.args.join(" ");
        assert!(args.contains(&format!("--resume {session} --fork-session --session-id ")), "{args}");
        let actions = run.spawned(again.proc.0);
        let said = sent(&actions).expect("the turn goes on");
        let (kind, again) = if is_cut { (TurnKind::Task, 1) } else { (TurnKind::Continue, 0) };
        assert_eq!(said.kind, kind);
        assert_eq!(said.text.matches(&run.core.plan().task).count(), again, "{}", said.text);
    }
}

#[test]
fn a_critic_is_no_fork_of_a_session_that_lacks_turns() {
    let mut run = reviewing(plan());
    run.spawned(2);
    run.feed(Input::BranchLost { is_cut: true });
    let actions = resumed(&mut run);
    let critic = spawn(&actions).expect("a critic");
    assert!(!critic.launch.args.contains(&"--fork-session".to_owned()), "{:?}", critic.launch.args);
}
