//! Which of the user's arguments the agent's CLI accepts, and what follows those that it rejects.

use super::*;

const REFUSED: &str = "error: unknown option '--permision-mode'\n";

fn list(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn with(args: &str) -> Plan {
    let agent_args = list(args);
    Plan { given: Some(serde_json::json!({"agent_args": agent_args})), agent_args, ..plan() }
}

fn resumed_with(run: &mut Run, args: &str) -> u32 {
    run.feed(Input::Operator(OperatorInput::Plan(Box::new(with(args)))));
    let began = Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() };
    spawn(&run.feed(began)).expect("an agent").proc.0
}

fn needs(actions: &[Action]) -> Needs {
    finish(actions).expect("the end").needs.clone().expect("a need")
}

fn arguments(proven: &str, falls_back: bool) -> Needs {
    Needs::Arguments { proven: list(proven), falls_back }
}

#[test]
fn a_new_run_whose_arguments_are_refused_needs_others() {
    let (mut run, _) = Run::begin(with("--model m --permision-mode acceptEdits"));
    run.spawned(1);
    let actions = run.exited(1, 1, REFUSED);
    let mended = "--model m --permission-mode acceptEdits";
    assert_eq!(needs(&actions), arguments("", false));
    assert!(run.core.arguments_are_refused());
    assert_eq!(run.core.accepted_arguments(), None);
    // With corrected arguments the run continues, and they become the ones to fall back on.
    let proc = resumed_with(&mut run, mended);
    assert!(!run.core.arguments_are_refused());
    let turn = sent(&run.spawned(proc)).expect("the task").turn.clone();
    run.lines(proc, &accepted(&turn));
    let known = run.core.accepted_arguments().expect("they are taken");
    assert_eq!((&known.all, &known.given), (&list(mended), &list(mended)));
}

#[test]
fn what_worked_before_a_resume_is_known_when_its_arguments_are_refused() {
    let (mut run, turn) = working(with("--model m"));
    run.lines(1, &accepted(&turn));
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
    run.crashed(1);
    let proc = resumed_with(&mut run, "--model m --permision-mode acceptEdits");
    run.spawned(proc);
    let actions = run.exited(proc, 1, REFUSED);
    assert_eq!(needs(&actions), arguments("--model m", true));
    assert_eq!(run.core.accepted_arguments().map(|args| args.all.clone()), Some(list("--model m")));
    // The next arguments are rejected as well.
    let proc = resumed_with(&mut run, "--model m --mcp-config nowhere.json");
    run.spawned(proc);
    let actions = run.exited(proc, 1, "Error: Invalid MCP configuration:\n");
    assert_eq!(needs(&actions), arguments("--model m", true));
}

#[test]
fn what_the_configuration_gives_is_not_to_be_given_again() {
    let plan = Plan { given: Some(serde_json::json!({"agent_args": ["--model", "m"]})), ..with("--bogus --model m") };
    let (mut run, _) = Run::begin(plan);
    run.spawned(1);
    let actions = run.exited(1, 1, "error: unknown option '--bogus'\n");
    assert_eq!(needs(&actions), arguments("--bogus", false));
}

#[test]
fn a_death_that_says_nothing_about_the_arguments_refuses_none() {
    // An agent has written a line with them.
    let (mut run, turn) = working(with("--model m"));
    run.lines(1, &accepted(&turn));
    let mut actions = run.crashed(1);
    for _ in 0..20 {
        if finish(&actions).is_some() {
            break;
        }
        let Some(proc) = spawn(&actions).map(|spawn| spawn.proc.0) else {
            actions = run.wait();
            continue;
        };
        run.spawned(proc);
        actions = run.crashed(proc);
    }
    assert_eq!(finish(&actions).map(|end| &end.needs), Some(&None), "{actions:?}");
    assert!(!run.core.arguments_are_refused());
    // Without arguments there is nothing to reject.
    let (mut run, _) = Run::begin(plan());
    run.spawned(1);
    let actions = run.exited(1, 1, "error: unknown option '--include-partial-messages'\n");
    assert_eq!(finish(&actions).map(|end| &end.needs), Some(&None));
}
