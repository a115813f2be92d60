//! The night itself: what happens next, and what must hold after it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::dice::Dice;
use super::faults::{Cli, Rates, mended, plan, script};
use super::laws::Laws;
use super::process::Process;
use super::{Night, Violation};
use crate::core::{
    Action, CheckEnd, CheckId, CheckResult, Core, Finish, Input, MeasureId, OperatorInput, Plan, ProcId, Tick, TreeFact,
};
use crate::demo::scripted::{Script, Signalled, Transcript};

/// Wall clock at the beginning of every night, unix milliseconds.
const EPOCH_UNIX_MS: i64 = 1_795_000_000_000;
/// Once the faults have stopped, the run must end within this virtual time.
const MUST_END_WITHIN_US: u64 = 3 * 24 * 3_600 * 1_000_000;
/// More transitions than any night that comes to an end has.
const MAX_STEPS: u64 = 20_000;
/// The deadline may lie in the past for so many timer events in a row.
const MAX_IDLE_TIMERS: u32 = 8;

/// Something that will happen.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Output(ProcId, Vec<u8>),
    Exited(ProcId),
    Input(ProcId, Vec<u8>, bool),
    InputEnded(ProcId),
    Signalled(ProcId, Signalled),
    Wake(ProcId),
    CommandEnds(ProcId),
    Killed(ProcId),
    CheckEnds(CheckId, CheckEnd),
    TreeMeasured(MeasureId, TreeFact),
    FaultsStop,
}

/// A whole night.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) dice: Dice,
    pub(super) rates: Rates,
    pub(super) cli: Cli,
    pub(super) script: Arc<Script>,
    pub(super) plan: Plan,
    pub(super) core: Core,
    /// All that the core was told and what it asked for: its journal.
    pub(super) journal: Vec<(Tick, Input, Vec<Action>)>,
    pub(super) now_us: u64,
    /// True time beyond the ticks: ccc was dead.
    pub(super) dead_ms: i64,
    /// By how much the wall clock is wrong.
    pub(super) wrong_ms: i64,
    pub(super) events: BTreeMap<(u64, u64), Event>,
    pub(super) next_event: u64,
    /// The timer does not fire before this.
    pub(super) timer_held_us: u64,
    pub(super) processes: BTreeMap<ProcId, Process>,
    pub(super) started: u32,
    pub(super) transcript: Option<Transcript>,
    pub(super) critics_ended: usize,
    pub(super) tree: u64,
    pub(super) trees: BTreeMap<MeasureId, u64>,
    pub(super) running_check: Option<CheckId>,
    pub(super) faults_on: bool,
    pub(super) faults_stopped_us: u64,
    pub(super) laws: Laws,
    pub(super) broken: Option<String>,
    pub(super) finish: Option<Finish>,
    pub(super) steps: u64,
    pub(super) deaths: u32,
    pub(super) trace: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(seed: u64, traced: bool) -> World {
        let mut dice = Dice::new(seed);
        let rates = Rates::draw(&mut dice);
        let cli = Cli::draw(&mut dice);
        let script = Arc::new(script(&mut dice, &rates));
        let plan = plan(seed, cli, &mut dice);
        World {
            seed,
            rates,
            cli,
            script,
            core: Core::new(plan.clone()),
            plan,
            dice,
            journal: Vec::new(),
            now_us: 0,
            dead_ms: 0,
            wrong_ms: 0,
            events: BTreeMap::new(),
            next_event: 0,
            timer_held_us: 0,
            processes: BTreeMap::new(),
            started: 0,
            transcript: None,
            critics_ended: 0,
            tree: 0,
            trees: BTreeMap::new(),
            running_check: None,
            faults_on: true,
            faults_stopped_us: 0,
            laws: Laws::default(),
            broken: None,
            finish: None,
            steps: 0,
            deaths: 0,
            trace: traced.then(Vec::new),
        }
    }

    pub(super) fn play(mut self) -> Result<Night, Box<Violation>> {
        match self.night() {
            Ok(finish) => Ok(Night {
                seed: self.seed,
                outcome: finish.outcome,
                reason: finish.reason,
                steps: self.steps,
                virtual_ms: self.now_us / 1_000,
                processes: self.started,
                deaths: self.deaths,
                iterations: finish.iterations,
            }),
            Err(what) => {
                Err(Box::new(Violation { seed: self.seed, what, trace: self.trace.take().unwrap_or_default() }))
            }
        }
    }

    pub(super) fn trace_of_night(mut self) -> Vec<String> {
        let end = self.night().map_or_else(|what| format!("violated: {what}"), |finish| format!("{finish:?}"));
        let mut trace = self.trace.take().unwrap_or_default();
        trace.push(end);
        trace
    }

    fn night(&mut self) -> Result<Finish, String> {
        let stop_ms = self.dice.between(0, 3 * 3_600_000);
        self.schedule(stop_ms, Event::FaultsStop);
        self.feed(Input::Began { unix_ms: self.wall_ms(), resumed: false, turn_recorded: None, tokens: Vec::new() })?;
        while self.finish.is_none() {
            self.advance()?;
            if self.steps > MAX_STEPS {
                return Err(format!("no end after {MAX_STEPS} transitions"));
            }
            if !self.faults_on && self.now_us > self.faults_stopped_us + MUST_END_WITHIN_US {
                return Err("the faults have stopped, and the run does not end".to_owned());
            }
        }
        self.replay()?;
        self.nothing_follows()?;
        self.finish.clone().ok_or_else(|| "no end".to_owned())
    }

    /// The next thing that happens: the timer, or an event.
    fn advance(&mut self) -> Result<(), String> {
        let event_us = self.events.keys().next().map(|(us, _)| *us);
        let timer_us = self.core.poll_timeout().map(|tick| tick.0.max(self.now_us).max(self.timer_held_us));
        match (timer_us, event_us) {
            (None, None) => Err(format!("nothing will ever move the run (phase {})", self.core.phase())),
            (Some(timer_us), event_us) if event_us.is_none_or(|event_us| timer_us <= event_us) => {
                if self.faults_on && self.timer_held_us < timer_us && self.dice.one_in_thousand(self.rates.late_timer) {
                    self.timer_held_us = timer_us + self.dice.between(1, 3_000_000);
                    return Ok(());
                }
                self.now_us = timer_us;
                self.timer()
            }
            (Some(_) | None, _) => match self.events.pop_first() {
                Some(((us, _), event)) => {
                    self.now_us = self.now_us.max(us);
                    self.happen(event)
                }
                None => Ok(()),
            },
        }
    }

    fn timer(&mut self) -> Result<(), String> {
        for _ in 0..MAX_IDLE_TIMERS {
            self.feed(Input::Elapsed { unix_ms: self.wall_ms() })?;
            let overdue = self.core.poll_timeout().is_some_and(|tick| tick.0 <= self.now_us);
            if !overdue {
                return Ok(());
            }
        }
        Err(format!("the deadline stays in the past (phase {})", self.core.phase()))
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Output(proc, chunk) => self.output(proc, Some(&chunk)),
            Event::Exited(proc) => self.exited(proc),
            Event::Input(proc, bytes, turn) => self.with_process(proc, |process, now| {
                process.turns_in_transit -= usize::from(turn);
                if process.reading {
                    process.agent.line(now, String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
                }
            }),
            Event::InputEnded(proc) => self.with_process(proc, |process, now| {
                if process.reading {
                    process.agent.input_ended(now);
                }
            }),
            Event::Signalled(proc, signal) => self.with_process(proc, |process, now| process.agent.signal(now, signal)),
            Event::Wake(proc) => self.with_process(proc, |process, now| {
                process.wake_us = None;
                process.agent.wake(now);
            }),
            Event::CommandEnds(proc) => {
                self.with_process(proc, |process, now| process.agent.command_finished(now, "ok", Some(0)))
            }
            Event::Killed(proc) => {
                self.end_process(proc, None, Some(9));
                Ok(())
            }
            Event::CheckEnds(check, end) => {
                if self.running_check == Some(check) {
                    self.running_check = None;
                }
                let result = CheckResult { end, duration_ms: 10, tail: "output".to_owned(), omitted_bytes: 0 };
                self.feed_maybe_twice(Input::CheckFinished { check, result })
            }
            Event::TreeMeasured(measure, tree) => self.feed_maybe_twice(Input::TreeMeasured { measure, tree }),
            Event::FaultsStop => {
                self.faults_on = false;
                self.faults_stopped_us = self.now_us;
                self.script = Arc::new(mended(&self.script));
                Ok(())
            }
        }
    }

    fn feed_maybe_twice(&mut self, input: Input) -> Result<(), String> {
        if self.fault(self.rates.doubled) {
            self.feed(input.clone())?;
        }
        self.feed(input)
    }

    /// One transition: journal, handle, journal, perform; then whatever befalls ccc between two of them.
    pub(super) fn feed(&mut self, input: Input) -> Result<(), String> {
        let mut next = Some(input);
        let mut at_once = VecDeque::new();
        while let Some(input) = next {
            if self.finish.is_some() {
                return Ok(());
            }
            let phase = self.core.phase();
            let actions = self.handle(input.clone());
            self.tell(phase, &input, &actions);
            self.journal.push((Tick(self.now_us), input, actions.clone()));
            self.steps += 1;
            let dies = !self.core.is_finished() && self.fault(self.rates.ccc_dies);
            if dies && self.dice.one_in_thousand(500) {
                return self.die();
            }
            for action in actions {
                self.perform(action, &mut at_once)?;
            }
            if let Some(what) = self.broken.take() {
                return Err(what);
            }
            if dies {
                return self.die();
            }
            next = at_once.pop_front();
        }
        self.befall()
    }

    fn handle(&mut self, input: Input) -> Vec<Action> {
        let told_unix_ms = match &input {
            Input::Began { unix_ms, .. } | Input::Elapsed { unix_ms } => Some(*unix_ms),
            Input::Tokens { .. }
            | Input::Spawned { .. }
            | Input::SpawnFailed { .. }
            | Input::Line { .. }
            | Input::Progress { .. }
            | Input::WriteFailed { .. }
            | Input::Exited { .. }
            | Input::CheckFinished { .. }
            | Input::TreeMeasured { .. }
            | Input::Operator(_) => None,
        };
        self.laws.time(i64::try_from(self.now_us / 1_000).unwrap_or(i64::MAX), told_unix_ms);
        self.core.handle(Tick(self.now_us), input);
        std::iter::from_fn(|| self.core.poll_action()).collect()
    }

    /// What the user and the clock do by themselves.
    fn befall(&mut self) -> Result<(), String> {
        if self.finish.is_some() || self.core.phase() == "finished" {
            return Ok(());
        }
        if self.fault(self.rates.clock_jumps) {
            let jump_ms = i64::try_from(self.dice.between(1, 3_600_000)).unwrap_or(1);
            self.wrong_ms += if self.dice.one_in_thousand(500) { jump_ms } else { -jump_ms };
        }
        if self.fault(self.rates.operator_turn) {
            let text = format!("the user's word number {}", self.steps);
            if self.core.phase() != "ending" {
                self.laws.said(text.clone());
            }
            return self.feed_plainly(Input::Operator(OperatorInput::Turn { text }));
        }
        if self.fault(self.rates.operator_interrupt) {
            self.laws.interrupted();
            return self.feed_plainly(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
        }
        Ok(())
    }

    /// A transition after which nothing befalls anyone, so that misfortunes do not breed.
    fn feed_plainly(&mut self, input: Input) -> Result<(), String> {
        let mut at_once = VecDeque::from([input]);
        while let Some(input) = at_once.pop_front() {
            let phase = self.core.phase();
            let actions = self.handle(input.clone());
            self.tell(phase, &input, &actions);
            self.journal.push((Tick(self.now_us), input, actions.clone()));
            self.steps += 1;
            for action in actions {
                self.perform(action, &mut at_once)?;
            }
        }
        self.broken.take().map_or(Ok(()), Err)
    }

    /// What the session's record says of an unanswered turn; in every other night there is no record to look into.
    pub(super) fn turn_recorded(&self) -> Option<bool> {
        let (_, turn) = self.core.unanswered_turn()?;
        let readable = self.plan.seed.bytes().fold(0u8, |sum, byte| sum.wrapping_add(byte)) % 2 == 0;
        self.transcript.as_ref().filter(|_| readable).map(|transcript| transcript.has_turn(&turn.0))
    }

    /// ccc dies: all processes are swept, and the core is built anew from the journal.
    fn die(&mut self) -> Result<(), String> {
        self.deaths += 1;
        self.processes.clear();
        self.events.retain(|_, event| matches!(event, Event::FaultsStop));
        self.running_check = None;
        self.timer_held_us = 0;
        self.core = self.replay()?;
        self.laws.resumed();
        self.dead_ms += i64::try_from(self.dice.between(1_000, 7_200_000)).unwrap_or(0);
        self.feed_plainly(Input::Began {
            unix_ms: self.wall_ms(),
            resumed: true,
            turn_recorded: self.turn_recorded(),
            tokens: Vec::new(),
        })
    }

    /// The journal's inputs, given to a fresh core, must lead to the journal's actions.
    fn replay(&self) -> Result<Core, String> {
        let mut core = Core::new(self.plan.clone());
        for (at, (tick, input, recorded)) in self.journal.iter().enumerate() {
            core.handle(*tick, input.clone());
            let replayed: Vec<Action> = std::iter::from_fn(|| core.poll_action()).collect();
            if replayed != *recorded {
                return Err(format!("a replay differs at transition {at}: {replayed:?} instead of {recorded:?}"));
            }
        }
        Ok(core)
    }

    /// A finished run asks for nothing, whatever still comes in.
    fn nothing_follows(&mut self) -> Result<(), String> {
        let last: Vec<Input> = self.journal.iter().rev().take(20).map(|(_, input, _)| input.clone()).collect();
        for input in last.into_iter().chain([Input::Elapsed { unix_ms: self.wall_ms() }]) {
            if matches!(input, Input::Began { .. }) {
                continue;
            }
            let actions = self.handle(input);
            if let Some(action) = actions.iter().find(|action| !matches!(action, Action::Note(_))) {
                return Err(format!("a finished run asks for something: {action:?}"));
            }
        }
        match self.core.poll_timeout() {
            Some(tick) => Err(format!("a finished run waits for {tick:?}")),
            None => Ok(()),
        }
    }

    pub(super) fn fault(&mut self, rate: u64) -> bool {
        self.faults_on && self.dice.one_in_thousand(rate)
    }

    pub(super) fn schedule(&mut self, in_ms: u64, event: Event) {
        self.at(self.now_us.saturating_add(in_ms.saturating_mul(1_000)), event);
    }

    pub(super) fn at(&mut self, us: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((us, self.next_event), event);
    }

    /// The time that servers and agents have.
    pub(super) fn true_ms(&self) -> i64 {
        EPOCH_UNIX_MS + self.dead_ms + i64::try_from(self.now_us / 1_000).unwrap_or(i64::MAX)
    }

    /// The time that ccc is told.
    fn wall_ms(&self) -> i64 {
        self.true_ms() + self.wrong_ms
    }
}
