//! Tests of the simulator: the seed alone determines a night, and a broken law is found. A faulty core is imitated by giving the
//! world actions that no core may ask for.

use std::collections::VecDeque;

use super::law::{Broken, Law};
use super::laws::Laws;
use super::process::Process;
use super::world::{Event, World};
use super::{Scenario, SharedTrace, Simulator, guarded, is_long, watched};
use redaction::Redactor;
use serde_json::value::RawValue;
use supervision::agent::TurnKind;
use supervision::core::{
    Action, CheckId, Decision, Finish, Input, LineFact, Note, Outcome, ProcId, Send, Tick, TokenId, TurnId,
};

/// How many seeds are searched.
const SEEDS: u64 = 500;
const EIGHT_HOURS_MS: u64 = 8 * 3_600_000;

fn world(seed: u64, trace: Option<SharedTrace>) -> World {
    World::new(seed, true, &Redactor::new(), trace).expect("a journal's header")
}

/// A night without faults, just after the start of its first agent.
fn begun() -> (World, ProcId) {
    let begin = |seed| {
        let mut world = world(seed, None);
        world.faults_on = false;
        let tokens = world.provider.known.clone();
        let unix_ms = world.wall_ms();
        let began = Input::Began { unix_ms, resumed: false, turn_recorded: None, tokens };
        world.feed_plainly(began).expect("a beginning keeps every law");
        let proc = world.processes.iter().find(|(_, process)| process.acts()).map(|(proc, _)| *proc)?;
        Some((world, proc))
    };
    (0..SEEDS).find_map(begin).expect("a night that begins with an agent")
}

fn asked(world: &mut World, action: Action) -> Option<Law> {
    world.perform(action, &mut VecDeque::new()).err().map(|broken| broken.law)
}

fn turn(proc: ProcId) -> Action {
    let turn = TurnId("00000000-0000-4000-8000-000000000001".to_owned());
    Action::Send(Send { proc, turn, kind: TurnKind::Task, text: "work".to_owned(), images: Vec::new() })
}

fn failed() -> Finish {
    Finish::new(Outcome::Failed, "it is told to")
}

fn check(number: u32) -> Action {
    Action::RunCheck { check: CheckId(number), command: "make".to_owned(), timeout_ms: 1_000, base: None }
}

#[test]
fn a_seed_gives_the_same_night_and_the_same_trace_twice() {
    for seed in [3, 11, 1_137] {
        let (one, other) = (Simulator::new(), Simulator::new());
        assert_eq!(one.simulate(seed), other.simulate(seed), "{seed}");
        let trace = one.trace(seed);
        assert_eq!(trace, other.trace(seed), "{seed}");
        assert_eq!(trace, one.trace(seed), "{seed}: a night leaves nothing behind for the next");
        assert_ne!(trace, one.trace(seed + 1), "{seed}");
    }
}

#[test]
fn a_long_night_has_work_for_eight_hours_of_virtual_time() {
    let nights = (0..SEEDS)
        .filter(|&seed| is_long(seed))
        .map(|seed| Simulator::new().alone().simulate(seed).unwrap_or_else(|broken| panic!("{broken}")));
    // Count only completed nights, because any other outcome may come sooner, and only nights without rejected turns, because the
    // agent does not work on a rejected turn.
    let whole = |night: &Scenario| night.faults.of("rejected request tried again") == 0;
    let completed = nights.filter(|night| night.outcome == Some(Outcome::Completed) && whole(night));
    let completed: Vec<Scenario> = completed.collect();
    assert!(completed.len() >= 2, "{completed:?}");
    for night in completed {
        assert!(night.virtual_ms >= EIGHT_HOURS_MS, "the work of seed {} is done too soon: {night:?}", night.seed);
    }
}

#[test]
fn a_violation_names_its_seed_its_law_and_the_night_so_far() {
    let seed = 11;
    let broken = watched(seed, |trace| {
        let mut world = world(seed, trace);
        // The user asks for the end, but the core is not told.
        world.laws.interrupted();
        world.play()
    });
    let violation = broken.expect_err("an agent is started all the same");
    assert_eq!((violation.seed, violation.law), (seed, Law::Shutdown));
    let text = violation.to_string();
    let said = format!("seed {seed} breaks the law that {}: a process is started after", Law::Shutdown);
    assert!(text.starts_with(&said), "{text}");
    assert!(violation.trace[1].contains("Began"), "{text}");
    assert!(violation.trace.iter().all(|line| text.contains(line.as_str())), "{text}");

    let other = watched(seed, |trace| match trace {
        None => Err(Law::Sense.broken("only when nobody looks")),
        Some(_) => world(seed, trace).play(),
    });
    assert_eq!(other.expect_err("seen once").law, Law::Replay, "a night that is not the same twice is broken by that");
}

#[test]
fn a_panic_is_a_broken_law() {
    let broken = guarded::<Scenario, Law>(|| panic!("told to"));
    assert_eq!(broken.expect_err("caught").law, Law::NoPanic);
}

#[test]
fn what_is_asked_for_is_held_against_what_is_there() {
    let (mut world, proc) = begun();
    assert_eq!(asked(&mut world, turn(ProcId(99))), Some(Law::Sense), "there is no such process");
    let process = |world: &mut World, change: fn(&mut Process)| change(world.processes.get_mut(&proc).expect("it"));
    process(&mut world, |process| process.turns_in_transit = 1);
    assert_eq!(asked(&mut world, turn(proc)), Some(Law::SentWhileIdle), "another turn is on its way");
    process(&mut world, |process| {
        process.turns_in_transit = 0;
        process.ending = true;
    });
    assert_eq!(asked(&mut world, turn(proc)), Some(Law::SentWhileIdle), "it was asked to end");

    assert_eq!(asked(&mut world, check(1)), None);
    assert_eq!(asked(&mut world, check(2)), Some(Law::JudgedAtRest), "one check at a time");
}

#[test]
fn an_answer_to_what_was_not_asked_is_seen() {
    let (mut world, proc) = begun();
    let deny = || Action::DenyTool { proc, request_id: "r".to_owned(), denial: "no".to_owned() };
    assert_eq!(asked(&mut world, deny()), Some(Law::AskedOnce), "nobody asked");
    hears(&mut world, proc, r#"{"type":"control_request","request_id":"r","request":{"subtype":"can_use_tool"}}"#);
    assert_eq!(asked(&mut world, deny()), None);
    assert_eq!(asked(&mut world, deny()), Some(Law::AskedOnce), "twice");
    world.laws.steering.paused(true);
    assert_eq!(asked(&mut world, check(1)), Some(Law::Paused));
}

fn hears(world: &mut World, proc: ProcId, line: &str) {
    let line = LineFact::Json(RawValue::from_string(line.to_owned()).expect("JSON"));
    world.core_hears(&Input::Line { proc, line });
}

/// Seeds 12555 and 16397.
#[test]
fn an_interruption_excuses_the_end_of_the_process_whose_turn_it_interrupts_and_no_other() {
    const TURN_ENDED: &str = r#"{"type":"result","state":"idle"}"#;
    let decide = |what: &str| Action::Decide(Decision { what: what.to_owned(), why: "so".to_owned() });
    let interrupted = |ends_it: bool| {
        let (mut world, proc) = begun();
        if ends_it {
            assert_eq!(asked(&mut world, Action::Interrupt { proc }), None);
        }
        assert_eq!(asked(&mut world, decide("interrupt the turn")), None);
        assert_eq!(asked(&mut world, Action::Interrupt { proc }), None);
        hears(&mut world, proc, TURN_ENDED);
        (world.processes[&proc].ending, world.laws.steering.stops())
    };
    assert_eq!(interrupted(false), (false, false), "it is over with its turn");
    assert_eq!(interrupted(true), (true, true), "it is over with its process, which was being ended");

    let (mut world, proc) = begun();
    world.laws.turn_stopped();
    assert!(!world.laws.steering.stops(), "no turn was interrupted: a stop was judged");
    assert_eq!(asked(&mut world, decide("restart the agent with the other token")), None);
    assert_eq!(asked(&mut world, Action::Interrupt { proc }), None);
    assert!(world.processes[&proc].ending && world.processes[&proc].leaves);
}

/// Seed 16507.
#[test]
fn an_answer_before_the_process_has_taken_another_token_is_about_the_one_before() {
    const ANSWER: &str = r#"{"type":"assistant"}"#;
    let (one, two) = (TokenId("one".to_owned()), TokenId("two".to_owned()));
    let is_forgiven = |of: &TokenId, exchange: Option<&str>| {
        let (mut world, proc) = begun();
        world.processes.get_mut(&proc).expect("it").given = Some(one.clone());
        assert_eq!(asked(&mut world, Action::SetCredential { proc, token: two.clone() }), None);
        if let Some(response) = exchange {
            let response = format!(r#"{{"subtype":"success","request_id":"credential-1"{response}}}"#);
            hears(&mut world, proc, &format!(r#"{{"type":"control_response","response":{response}}}"#));
        }
        for _ in 0..3 {
            world.laws.asks(Some(of), 5).expect("a few times at once");
        }
        hears(&mut world, proc, ANSWER);
        world.laws.asks(Some(of), 5).is_ok()
    };
    let (silent, taken, refused) =
        (Some(""), Some(r#","response":{"applied":["A"]}"#), Some(r#","response":{"applied":[]}"#));
    for (exchange, answers) in [(None, &one), (refused, &one), (silent, &two), (taken, &two)] {
        for token in [&one, &two] {
            assert_eq!(is_forgiven(token, exchange), token == answers, "{token:?} {exchange:?}");
        }
    }
}

#[test]
fn judging_that_is_given_up_again_and_again_is_seen() {
    let (mut world, proc) = begun();
    let given_up = || Action::Decide(Decision { what: "judge again later".to_owned(), why: "it goes on".to_owned() });
    assert_eq!([asked(&mut world, given_up()), asked(&mut world, given_up())], [None, None]);
    assert_eq!(asked(&mut world, given_up()), Some(Law::JudgedSoon));

    let (mut rests, _) = begun();
    let after_verdict = || {
        let why = "the agent began a turn by itself after the verdict".to_owned();
        Action::Decide(Decision { what: "judge again later".to_owned(), why })
    };
    assert!((0..5).all(|_| asked(&mut rests, after_verdict()).is_none()), "each of these stops was judged");

    let mut judged = Laws::default();
    let Action::Send(send) = turn(proc) else { return };
    for _ in 0..2 {
        judged.abandoned().expect("once");
        judged.abandoned().expect("twice");
        judged.send(&send).expect("what was judged leads on, and the count starts anew");
    }
}

#[test]
fn a_run_that_is_over_has_left_nothing_and_asks_for_nothing() {
    let (mut world, proc) = begun();
    assert_eq!(asked(&mut world, Action::Finish(failed())), Some(Law::NothingLeft), "the agent lives");
    world.processes.remove(&proc);
    world.running_check = Some(CheckId(1));
    assert_eq!(asked(&mut world, Action::Finish(failed())), Some(Law::NothingLeft), "the check runs");
    world.running_check = None;
    world.waited_us = 1_000;
    assert_eq!(asked(&mut world, Action::Finish(failed())), Some(Law::Waited), "the run stood waiting");
    world.waited_us = 0;
    assert_eq!(asked(&mut world, Action::Finish(failed())), None);
    let note = Action::Note(Note { about: "late".to_owned(), text: String::new() });
    assert_eq!(asked(&mut world, note), Some(Law::NothingFollows));
}

#[test]
fn a_silent_process_is_not_left_alone_and_no_other_is_ended() {
    let (mut world, proc) = begun();
    let decision =
        || Action::Decide(Decision { what: "end the agent's process".to_owned(), why: "silence".to_owned() });
    world.rates.bad_step = 1;
    assert_eq!(asked(&mut world, decision()), Some(Law::FalseKill), "it has only just begun");
    if let Some(process) = world.processes.get_mut(&proc) {
        process.asked = true;
    }
    assert!(world.nobody_hangs().is_ok());
    world.now_us = (world.plan.timeouts.tool_ms + 60_000) * 1_000;
    assert_eq!(asked(&mut world, decision()), None, "it was silent for long enough");
    world.rates.bad_step = 0;
    assert_eq!(asked(&mut world, decision()), Some(Law::FalseKill), "nothing hangs in such a night");
    assert_eq!(world.nobody_hangs().err().map(|broken| broken.law), Some(Law::Hang));
}

#[test]
fn a_journal_that_loses_in_silence_or_tells_another_story_is_seen() {
    let (mut world, _) = begun();
    assert_eq!(world.journal.replay(), Ok(()));
    let commit = |world: &mut World| world.journal.commit().err().map(|broken: Broken| broken.law);
    assert_eq!(commit(&mut world), Some(Law::LossTold), "nothing new stands there");
    let note = Action::Note(Note { about: "made up".to_owned(), text: String::new() });
    world.journal.action(Tick(world.now_us), &note);
    assert_eq!(commit(&mut world), None);
    assert_eq!(world.journal.replay().err().map(|broken| broken.law), Some(Law::Replay));
}

#[test]
fn a_night_without_an_end_and_a_loop_without_a_pause_are_seen() {
    let mut endless = world(11, None);
    endless.steps = 1_000_000;
    assert_eq!(endless.play().expect_err("no end").law, Law::Ends);

    let (mut nothing_comes, _) = begun();
    nothing_comes.events.retain(|_, event| matches!(event, Event::FaultsStop));
    let law = (0..1_000).find_map(|_| nothing_comes.timer().err()).map(|broken| broken.law);
    assert_eq!(law, Some(Law::BusyLoop), "a thousand deadlines in one moment");
}
