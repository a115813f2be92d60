//! The review of a stop.

use super::*;

#[test]
fn a_stop_spawns_a_fork_that_is_briefed_only_after_the_tree_was_measured() {
    let (mut run, turn) = working(plan());
    let actions = run.work(1, &turn, "Done.");
    let critic = spawn(&actions).expect("a critic");
    for arg in ["--fork-session", "--no-session-persistence", "dontAsk", "Write(//**)"] {
        assert!(critic.launch.args.iter().any(|given| given == arg), "{arg} in {:?}", critic.launch.args);
    }
    assert!(actions.contains(&Action::MeasureTree { measure: MeasureId(1), since: None, moving: Vec::new() }));
    assert_eq!(sent(&run.spawned(2)), None, "not before the tree is known");
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("the brief");
    assert_eq!((brief.proc, brief.kind), (ProcId(2), TurnKind::Brief));
    assert!(brief.text.starts_with("JUDGE") && brief.text.contains("write a parser"));
}

#[test]
fn approval_closes_the_idle_agent_and_finishes_when_all_are_gone() {
    let mut run = reviewing(plan());
    let actions = run.judge(2, 1, "t", "Seen.\n\n[TASK_COMPLETED]");
    assert!(actions.contains(&Action::CloseStdin { proc: ProcId(1) }));
    assert_eq!(finish(&actions), None);
    assert_eq!(finish(&run.exited(2, 0, "")), None, "the agent still lives");
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!((end.outcome, end.iterations, end.result.as_str()), (Outcome::Completed, 1, "Done."));
    assert!(run.core.is_finished());
}

#[test]
fn feedback_is_the_agents_next_turn_word_for_word() {
    let mut run = reviewing(plan());
    let actions = run.judge(2, 1, "t", "Add a test for empty input.");
    let send = actions.iter().rev().find_map(|action| if let Action::Send(send) = action { Some(send) } else { None });
    let send = send.expect("a turn");
    assert_eq!(
        (send.proc, send.kind, send.text.as_str()),
        (ProcId(1), TurnKind::Feedback, "Add a test for empty input.")
    );
}

#[test]
fn while_the_agent_works_the_iteration_of_its_next_stop_is_shown() {
    let mut run = reviewing(plan());
    let actions = run.judge(2, 1, "t", "Add a test for empty input.");
    let send = actions.iter().rev().find_map(|action| if let Action::Send(send) = action { Some(send) } else { None });
    let turn = send.expect("a turn").turn.clone();
    assert_eq!((run.core.iteration(), run.core.iteration_under_way()), (1, 2));
    run.work(1, &turn, "Done.");
    let phase = |show: &Show| {
        if let Show::Phase { phase, iteration, .. } = show { Some((phase.clone(), *iteration)) } else { None }
    };
    let phases: Vec<(String, u32)> = run.shown.iter().filter_map(phase).collect();
    let phases: Vec<(&str, u32)> = phases.iter().map(|(phase, iteration)| (phase.as_str(), *iteration)).collect();
    assert_eq!(phases, [("starting", 1), ("working", 1), ("reviewing", 1), ("working", 2), ("reviewing", 2)]);
    // What ends meanwhile has judged no more stops than before.
    let (mut run, _) = working(plan());
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
    assert_eq!(run.shown.iter().filter_map(phase).next_back(), Some(("ending".to_owned(), 0)));
}

#[test]
fn an_approval_with_one_character_too_many_is_asked_for_again_and_the_agent_hears_nothing() {
    for (spoilt, meant) in [
        ("Seen.\n[TASK_COMPLETED].", "[TASK_COMPLETED]"),
        ("Seen.\n```\n[TASK_COMPLETED]\n```", "[TASK_COMPLETED]"),
        ("Seen.\n✅ [TASK_COMPLETED]", "[TASK_COMPLETED]"),
        ("Seen.\n[TASK_COMPLETED]\nWell done.", "[TASK_COMPLETED]"),
        ("Which database?\n[NEEDS_USER].", "[NEEDS_USER]"),
    ] {
        let mut run = reviewing(plan());
        let mut actions = run.judge(2, 1, "t", spoilt);
        assert!(decisions(&actions).contains(&"ask the critic again"), "{spoilt:?}: {actions:?}");
        assert_eq!(kinds(&actions), [TurnKind::Brief], "{spoilt:?} is no turn of the agent's");
        while spawn(&actions).is_none_or(|spawn| spawn.proc != ProcId(3)) {
            actions = run.wait();
        }
        run.spawned(3);
        let actions = run.measured(3, "t", &[]);
        let brief = sent(&actions).expect("the next critic's brief");
        assert_eq!((brief.proc, brief.kind), (ProcId(3), TurnKind::Brief));
        let why = format!("{meant} does not stand alone on the last line");
        assert!(brief.text.contains(&why) && brief.text.contains(spoilt), "{spoilt:?}: {}", brief.text);
    }
}

#[test]
fn a_critic_that_changed_the_tree_has_no_verdict() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("a brief").turn.clone();
    let mut lines = accepted(&brief);
    lines.push(format!(
        r#"{{"type":"assistant","message":{{"content":[{{"type":"tool_use","id":"c1","name":"Bash","input":{{"command":"make"}}}}]}},"session_id":"{SESSION}"}}"#
    ));
    lines.extend(answered(&brief, "[TASK_COMPLETED]"));
    run.lines(2, &lines);
    let actions = run.measured(2, "u", &["src/a.rs"]);
    assert_eq!(finish(&actions), None);
    assert!(decisions(&actions).contains(&"ask the critic again"), "{actions:?}");
    let again = spawn(&actions).expect("another critic");
    assert_eq!(again.proc, ProcId(3));
}

#[test]
fn critics_that_fail_are_never_a_verdict_and_end_the_run_with_the_session_intact() {
    let mut run = reviewing(plan());
    let mut proc = 2;
    let mut measure = 1;
    for failure in 1..=3 {
        run.spawned(proc);
        let actions = run.measured(measure, "t", &[]);
        let brief = sent(&actions).expect("a brief").turn.clone();
        let mut actions = match failure {
            1 => run.crashed(proc),
            2 => run.exited(proc, 1, "boom"),
            _ => {
                let mut lines = accepted(&brief);
                lines.extend(answered(&brief, "  \n"));
                run.lines(proc, &lines);
                measure += 1;
                run.measured(measure, "t", &[])
            }
        };
        if failure < 3 {
            if spawn(&actions).is_none() {
                actions = run.wait();
            }
            proc = spawn(&actions).expect("another critic").proc.0;
            measure += 1;
        } else {
            assert!(decisions(&actions).contains(&"end as failed"), "{actions:?}");
        }
    }
    run.exited(proc, 0, "");
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!((end.outcome, end.session_id.as_deref()), (Outcome::Failed, Some(SESSION)));
    assert!(end.reason.contains("the critic failed 3 times"), "{}", end.reason);
}

#[test]
fn a_critic_that_never_ends_is_ended() {
    let short = CriticPlan { limits: CriticLimits { timeout_ms: 60_000, ..CriticLimits::DEFAULT }, ..plan().critic };
    let mut run = reviewing(Plan { critic: short, ..plan() });
    run.spawned(2);
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("a brief").turn.clone();
    run.lines(2, &accepted(&brief));
    let actions = run.wait();
    assert!(actions.contains(&Action::Interrupt { proc: ProcId(2) }), "{actions:?}");
    assert!(decisions(&actions).contains(&"ask the critic again"));
}

#[test]
fn failing_checks_spend_no_critic_and_passing_ones_are_told_to_it() {
    let checks = vec![
        CheckPlan { command: "make test".to_owned(), timeout_ms: 1_000 },
        CheckPlan { command: "make lint".to_owned(), timeout_ms: 1_000 },
    ];
    let result = |code| CheckResult {
        end: CheckEnd::Exited(code),
        duration_ms: 5,
        tail: format!("said {code}"),
        omitted_bytes: 0,
        missing: None,
        protected: None,
    };
    let (mut run, turn) = working(Plan { checks, ..plan() });
    let actions = run.work(1, &turn, "Done.");
    assert!(actions.contains(&Action::RunCheck {
        check: CheckId(1),
        command: "make test".to_owned(),
        timeout_ms: 1_000,
        base: None,
    }));
    assert_eq!(spawn(&actions), None);
    let mut fails = run.clone();
    let passes = &mut run;

    let actions = fails.feed(Input::CheckFinished { check: CheckId(1), result: result(2) });
    assert!(
        actions.iter().any(|action| matches!(action, Action::RunCheck { check: CheckId(2), .. })),
        "all checks are run"
    );
    fails.feed(Input::CheckFinished { check: CheckId(2), result: result(0) });
    let actions = fails.measured(1, "t", &[]);
    let send = sent(&actions).expect("feedback");
    assert_eq!(send.kind, TurnKind::CheckFailure);
    assert!(send.text.contains("said 2") && !send.text.contains("make lint"), "{}", send.text);
    assert_eq!(spawn(&actions), None, "no critic");

    passes.measured(1, "t", &[]);
    passes.feed(Input::CheckFinished { check: CheckId(1), result: result(0) });
    let actions = passes.feed(Input::CheckFinished { check: CheckId(2), result: result(0) });
    assert!(spawn(&actions).is_some(), "a critic");
    passes.spawned(2);
    let actions = passes.measured(2, "t", &[]);
    let brief = sent(&actions).expect("a brief");
    assert!(brief.text.contains("`make test`: passed") && brief.text.contains("`make lint`: passed"), "{}", brief.text);
}

#[test]
fn a_turn_that_the_agent_begins_by_itself_makes_the_review_stale() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let wakes =
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"running","session_id":"{SESSION}"}}"#);
    let init = format!(
        r#"{{"type":"system","subtype":"init","cwd":"/project","session_id":"{SESSION}","model":"m-1","claude_code_version":"2.1.329"}}"#
    );
    let actions = run.lines(1, &[wakes, init]);
    assert!(decisions(&actions).contains(&"judge again later"), "{actions:?}");
    assert_eq!(run.core.iteration(), 0, "the stale stop does not count");
    let result = format!(
        r#"{{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":"Woke.","stop_reason":"end_turn","session_id":"{SESSION}","origin":{{"kind":"scheduled"}}}}"#
    );
    let idle =
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"{SESSION}"}}"#);
    let actions = run.lines(1, &[result, idle]);
    assert!(spawn(&actions).is_some(), "judged anew at the next stop: {actions:?}");
    assert_eq!(run.core.iteration(), 1);
}

#[test]
fn late_completions_are_noted_and_change_nothing() {
    let mut run = reviewing(plan());
    run.judge(2, 1, "t", "Add a test.");
    for input in [
        Input::TreeMeasured { measure: MeasureId(1), tree: TreeFact { fingerprint: None, ..TreeFact::default() } },
        Input::CheckFinished {
            check: CheckId(9),
            result: CheckResult {
                end: CheckEnd::Exited(1),
                duration_ms: 0,
                tail: String::new(),
                omitted_bytes: 0,
                missing: None,
                protected: None,
            },
        },
        Input::Exited { proc: ProcId(77), exit: ExitFact::default() },
        Input::Progress { proc: ProcId(77) },
    ] {
        let actions = run.feed(input);
        assert!(matches!(actions.as_slice(), [Action::Note(note)] if note.about == "ignored"), "{actions:?}");
    }
}

#[test]
fn a_measurement_that_never_ends_does_not_hold_the_review_up() {
    let mut run = reviewing(plan());
    run.spawned(2);
    let mut actions = Vec::new();
    while sent(&actions).is_none() {
        assert!(run.now.as_ms() < 120_000, "the critic is briefed all the same");
        actions = run.wait();
    }
    assert_eq!(kinds(&actions), [TurnKind::Brief]);
    let late = run.measured(1, "t", &[]);
    assert!(matches!(late.as_slice(), [Action::Note(note)] if note.about == "ignored"), "{late:?}");
}

#[test]
fn what_the_agents_own_background_work_writes_is_not_the_critics_doing() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    let task = format!(
        r#"{{"type":"system","subtype":"background_tasks_changed","tasks":[{{"task_id":"b1","task_type":"local_bash","description":"serve"}}],"session_id":"{SESSION}"}}"#
    );
    run.line(1, &task);
    run.lines(1, &answered(&turn, "The server runs."));
    let actions = run.wait();
    assert!(decisions(&actions).contains(&"take the turn as ended"), "{actions:?}");
    run.spawned(2);
    let actions = run.measured(1, "t", &[]);
    let brief = sent(&actions).expect("a brief");
    assert!(brief.text.contains("1 background task"), "{}", brief.text);
    let mut lines = accepted(&brief.turn);
    lines.extend(answered(&brief.turn, "[TASK_COMPLETED]"));
    run.lines(2, &lines);
    let actions = run.measured(2, "u", &["server.log"]);
    assert!(decisions(&actions).contains(&"end as completed"), "{actions:?}");
}
