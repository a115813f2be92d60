//! What the measured tree says about a verdict and about the agent's progress: who changed it.

use super::*;

/// A Bash call, as the CLI reports it.
fn command(call: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"role":"assistant","content":[{{"type":"tool_use","id":"{call}","name":"Bash","input":{{"command":"make"}}}}]}},"session_id":"{SESSION}"}}"#
    )
}

fn read(call: &str) -> String {
    command(call).replace("Bash", "Read")
}

fn tool_result(call: &str, failed: bool) -> String {
    format!(
        r#"{{"type":"user","message":{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"{call}","content":"x","is_error":{failed}}}]}},"session_id":"{SESSION}"}}"#
    )
}

/// The critic, process 2, gets its brief and makes these calls before it answers; then the tree is measured.
fn judged(run: &mut Run, calls: &[String], answer: &str, after: TreeFact) -> Vec<Action> {
    let mut actions = run.spawned(2);
    actions.extend(run.measured(1, "t", &[]));
    let brief = sent(&actions).expect("a brief").turn.clone();
    run.lines(2, &accepted(&brief));
    run.lines(2, calls);
    let mut actions = run.lines(2, &answered(&brief, answer));
    actions.extend(run.feed(Input::TreeMeasured { measure: MeasureId(2), tree: after }));
    actions
}

fn changed(path: &str) -> TreeFact {
    TreeFact { fingerprint: Some("u".to_owned()), changed: vec![path.to_owned()], ..TreeFact::default() }
}

const DONE: &str = "[TASK_COMPLETED]";

#[test]
fn an_approval_counts_unless_the_critic_could_have_written_what_changed() {
    let running = |tree: TreeFact| TreeFact { running: vec!["node (pid 7)".to_owned()], ..tree };
    let idle = |tree: TreeFact| TreeFact { idle: vec!["sleep (pid 8)".to_owned()], ..tree };
    let ran = || vec![command("c1"), tool_result("c1", false)];
    let looked = || vec![read("c1"), tool_result("c1", false)];
    let denied = r#"{"type":"system","subtype":"permission_denied","tool_name":"Bash","tool_use_id":"c1"}"#.to_owned();
    let table: Vec<(&str, Vec<String>, TreeFact, bool)> = vec![
        ("it ran nothing", vec![], changed("stop.log"), true),
        ("it only read", looked(), changed("stop.log"), true),
        ("its command was denied", vec![command("c1"), denied], changed("stop.log"), true),
        ("what the agent had started runs on and writes", ran(), running(changed("app.log")), true),
        ("what the agent had started only runs", ran(), idle(changed("app.log")), false),
        ("it ran a command", ran(), changed("src/a.rs"), false),
        ("a submodule counts like every file", ran(), changed("lib/code.txt"), false),
    ];
    for (what, calls, after, counts) in table {
        let mut run = reviewing(plan());
        let actions = judged(&mut run, &calls, DONE, after);
        assert_eq!(decisions(&actions).contains(&"end as completed"), counts, "{what}: {actions:?}");
        assert_eq!(decisions(&actions).contains(&"ask the critic again"), !counts, "{what}: {actions:?}");
    }
}

/// A second critic, process 3, judges the same stop on the tree `tree`. Gives its brief and the end.
fn second_critic(run: &mut Run, tree: &str) -> (String, Finish) {
    run.exited(2, 0, "");
    let mut actions = run.spawned(3);
    actions.extend(run.measured(3, tree, &[]));
    let send = sent(&actions).expect("a brief").clone();
    run.lines(3, &accepted(&send.turn));
    run.lines(3, &answered(&send.turn, DONE));
    run.measured(4, tree, &[]);
    run.exited(3, 0, "");
    (send.text, finish(&run.exited(1, 0, "")).expect("the end").clone())
}

#[test]
fn what_a_critic_whose_approval_does_not_count_has_changed_is_told_to_the_next_and_in_the_outcome() {
    let ran = [command("c1"), tool_result("c1", false)];
    let table = [("as it left it", "u", true), ("restored", "t", false)];
    for (what, tree, told) in table {
        let mut run = reviewing(plan());
        judged(&mut run, &ran, DONE, changed("src/a.rs"));
        let (brief, end) = second_critic(&mut run, tree);
        assert_eq!(end.outcome, Outcome::Completed, "{what}");
        assert_eq!(brief.contains("- src/a.rs\n"), told, "{what}: {brief}");
        assert_eq!(end.reason.contains("earlier critic ran commands, look at them: src/a.rs"), told, "{}", end.reason);
    }
}

#[test]
fn what_changed_while_something_of_the_agents_could_have_written_stands_in_the_outcome_and_among_the_decisions() {
    let mut run = reviewing(plan());
    let served = TreeFact { running: vec!["node (pid 7)".to_owned()], ..changed("src/a.rs") };
    let actions = judged(&mut run, &[command("c1"), tool_result("c1", false)], DONE, served);
    assert!(decisions(&actions).contains(&"let the verdict count"), "{actions:?}");
    run.exited(2, 0, "");
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!(end.outcome, Outcome::Completed);
    for named in ["src/a.rs", "node (pid 7)", "look at them"] {
        assert!(end.reason.contains(named), "{named}: {}", end.reason);
    }
}

#[test]
fn feedback_counts_whatever_the_critic_changed() {
    let mut run = reviewing(plan());
    let actions = judged(&mut run, &[command("c1"), tool_result("c1", false)], "Add a test.", changed("cache"));
    assert!(kinds(&actions).contains(&TurnKind::Feedback), "{actions:?}");
}

fn watching() -> Plan {
    Plan {
        critic: CriticPlan { limits: CriticLimits { watch_ms: 250, ..CriticLimits::DEFAULT }, ..plan().critic },
        ..plan()
    }
}

#[test]
fn what_moves_by_itself_is_found_before_the_brief_and_left_out_afterwards() {
    let mut run = reviewing(watching());
    let mut actions = run.spawned(2);
    actions.extend(run.measured(1, "t", &[]));
    assert_eq!(sent(&actions), None, "not before the second look");
    let actions = run.wait();
    let again = Action::MeasureTree { measure: MeasureId(2), since: Some(MeasureId(1)), moving: Vec::new() };
    assert!(actions.contains(&again), "{actions:?}");
    let actions = run.measured(2, "t2", &["app.log"]);
    let brief = sent(&actions).expect("a brief").turn.clone();
    run.lines(2, &accepted(&brief));
    let actions = run.lines(2, &answered(&brief, "Add a test."));
    let left_out = vec!["app.log".to_owned()];
    let after = Action::MeasureTree { measure: MeasureId(3), since: Some(MeasureId(2)), moving: left_out };
    assert!(actions.contains(&after), "{actions:?}");
}

#[test]
fn a_tree_that_cannot_be_measured_asks_another_critic_once_and_then_stands_in_the_outcome() {
    let mut run = reviewing(plan());
    let unmeasured =
        || TreeFact { trouble: Some("git hangs".to_owned()), fault: Some(TreeFault::Hung), ..TreeFact::default() };
    let actions = judged(&mut run, &[], DONE, unmeasured());
    assert!(decisions(&actions).contains(&"ask another critic"), "{actions:?}");
    assert_eq!(spawn(&actions).map(|spawn| spawn.proc), Some(ProcId(3)));
    run.exited(2, 0, "");
    let mut actions = run.spawned(3);
    actions.extend(run.feed(Input::TreeMeasured { measure: MeasureId(3), tree: unmeasured() }));
    let brief = sent(&actions).expect("a brief").turn.clone();
    run.lines(3, &accepted(&brief));
    run.lines(3, &answered(&brief, DONE));
    run.feed(Input::TreeMeasured { measure: MeasureId(4), tree: unmeasured() });
    run.exited(3, 0, "");
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::Completed);
    assert!(end.reason.contains("could not be measured (git hangs)"), "{}", end.reason);
}

/// Gives feedback in each round, after the agent has made `calls`. Gives how the run ended.
fn rounds(calls: impl Fn(u32) -> Vec<String>, feedback: impl Fn(u32) -> String) -> Option<Outcome> {
    let (mut run, mut turn) = working(plan());
    let (mut critic, mut measure) = (2, 1);
    for round in 0..6 {
        run.lines(1, &accepted(&turn));
        run.lines(1, &calls(round));
        let actions = run.lines(1, &answered(&turn, "Done."));
        assert!(spawn(&actions).is_some(), "{actions:?}");
        let actions = run.judge(critic, measure, "t", &feedback(round));
        run.exited(critic, 0, "");
        critic += 1;
        measure += 2;
        let given = actions.iter().rev().find_map(|action| {
            if let Action::Send(send) = action {
                Some(send).filter(|send| send.kind == TurnKind::Feedback)
            } else {
                None
            }
        });
        let given = given.map(|send| send.turn.clone());
        match given {
            Some(next) => turn = next,
            None => return finish(&run.exited(1, 0, "")).map(|end| end.outcome),
        }
    }
    None
}

/// A Write call of the agent, with its result.
fn write(path: &str, content: &str, failed: bool) -> Vec<String> {
    let call = command("w1")
        .replace("Bash", "Write")
        .replace(r#"{"command":"make"}"#, &format!(r#"{{"file_path":"{path}","content":"{content}"}}"#));
    vec![call, tool_result("w1", failed)]
}

#[test]
fn writes_outside_of_what_is_measured_and_counts_that_move_are_progress() {
    let same = |_| "The steps are not all there yet. Add the next one.".to_owned();
    let counted = |round| format!("Only {round} of the six steps are in data/ yet. Add the next one.");
    let each = |round: u32| write(&format!("/project/data/step{round}.txt"), "x", false);
    assert_eq!(rounds(each, same), None, "each round writes another file");
    assert_eq!(rounds(|_| write("/project/data/a.txt", "x", false), same), Some(Outcome::Stuck), "the same each time");
    assert_eq!(rounds(|round| write(&round.to_string(), "x", true), same), Some(Outcome::Stuck), "each write fails");
    assert_eq!(rounds(|_| Vec::new(), counted), None, "the count moves");
    assert_eq!(rounds(|_| Vec::new(), same), Some(Outcome::Stuck));
}

#[test]
fn the_time_bound_holds_while_checks_run_and_while_a_critic_judges() {
    let bound = Budgets { max_duration_ms: Some(60_000), ..plan().budgets };
    let checks = vec![CheckPlan { command: "make".to_owned(), timeout_ms: 900_000 }];
    let table = [
        ("checking", Plan { checks, budgets: bound.clone(), ..plan() }, false),
        ("measuring", Plan { budgets: bound.clone(), ..plan() }, false),
        ("reviewing", Plan { budgets: bound, ..plan() }, true),
    ];
    for (what, plan, briefed) in table {
        let mut run = reviewing(plan);
        if briefed {
            run.spawned(2);
            let actions = run.measured(1, "t", &[]);
            let brief = sent(&actions).expect("a brief").turn.clone();
            run.lines(2, &accepted(&brief));
        }
        let mut actions = Vec::new();
        while !decisions(&actions).contains(&"end as budget") {
            assert!(run.now.as_ms() <= 60_000, "{what}");
            actions = run.wait();
        }
        assert_eq!(run.core.iteration(), 0, "{what}: the stop was not judged");
    }
}
