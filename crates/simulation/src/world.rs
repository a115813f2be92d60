//! The night itself: what happens next, and what must hold after it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use super::counts::Counts;
use super::dice::Dice;
use super::journal::Journal;
use super::laws::{Broken, Law, Laws};
use super::process::Process;
use super::provider::Provider;
use super::rates::{Cli, Every, Rates, plan};
use super::rejections::Rejections;
use super::script::{mended, script};
use super::trace::Trace;
use super::{Scenario, is_long};
use ccc::demo::scripted::{Script, Signalled, Transcript};
use ccc::journal::JournalInput;
use redaction::Redactor;
use supervision::core::{
    Action, Answer, CheckEnd, CheckId, CheckResult, Core, ExitFact, Finish, Input, LineFact, MeasureId, OperatorInput,
    Plan, ProcId, Spawn, Tick, TokenId, TreeFact,
};

/// Wall clock at the beginning of every night, unix milliseconds.
const EPOCH_UNIX_MS: i64 = 1_795_000_000_000;
/// How long a long night has faults.
const LONG_NIGHT_MS: u64 = 8 * 3_600_000;
/// How long any other has them at most.
const SHORT_NIGHT_MS: u64 = 3 * 3_600_000;
/// Once the faults have stopped, the run must end within this virtual time: a reset may be a week away.
const MUST_END_WITHIN_US: u64 = 12 * 24 * 3_600 * 1_000_000;
/// More transitions than any night that comes to an end has.
const MAX_STEPS: u64 = 150_000;
/// The deadline may lie in the past for so many timer events in a row.
const MAX_IDLE_TIMERS: u32 = 8;
/// So many timer events may come in one second.
const MAX_TIMERS_A_SECOND: u32 = 50;
/// So often ccc dies in one night at most: each time the whole journal is read.
const MAX_DEATHS: u32 = 40;
/// How late the timer may come, in microseconds.
const LATEST_TIMER_US: u64 = 3_000_000;
/// Sets the dice of the signs of life apart from the night's own.
const CHATTER: u64 = 0x6c69_6665;
/// How much longer than a tool's own time a silent process is left alone at most: the slack of the watch, and a timer
/// that comes late.
const SILENCE_SLACK_MS: u64 = 40_000;
/// How long the end may take after the user has asked for it: every step of the shutdown, each time with a late timer.
const SHUTDOWN_WITHIN_US: u64 = 60 * 1_000_000;
/// By this a turn that makes the history shorter is known.
const COMPACTS: &str = r#""/compact""#;
/// What the journal keeps while the disk is full, in bytes: little, so that losses are seen.
const BACKLOG_BYTES: (u64, u64) = (2_048, 128 * 1_024);

/// Something that will happen.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Output(ProcId, Vec<u8>),
    Exited(ProcId),
    Input(ProcId, Vec<u8>, bool),
    /// An exchange of its credential; what the process has afterwards, when it takes it.
    Credential(ProcId, Vec<u8>, Option<TokenId>),
    InputEnded(ProcId),
    Signalled(ProcId, Signalled),
    Wake(ProcId),
    /// It writes a sign of life.
    Chatter(ProcId),
    CommandEnds(ProcId),
    Killed(ProcId),
    /// A process that had survived its kill is gone.
    Thaws(ProcId),
    /// The value of its token is at hand: the process is started.
    Fetched(ProcId),
    /// The end of a process that was given up before it was started.
    NotStarted(ProcId),
    CheckEnds(CheckId, CheckEnd),
    TreeMeasured(MeasureId, TreeFact),
    Tokens(Option<u32>),
    Probed(TokenId),
    Answered(u32, Answer),
    DiskHasRoom,
    FaultsStop,
}

/// At which transition what befalls next.
#[derive(Debug, Clone, Copy)]
struct Due {
    death: u64,
    jump: u64,
    sleep: u64,
    words: u64,
    interrupt: u64,
    full_disk: u64,
    other_ccc: u64,
}

/// Whether ccc lives through a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    /// It dies while the journal is written: nothing is done.
    DiesWriting,
    /// It dies when so many percent of the actions are done.
    DiesDoing(u64),
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
    pub(super) journal: Journal,
    pub(super) now_us: u64,
    /// True time beyond the ticks: ccc was dead, or the machine slept.
    pub(super) away_ms: i64,
    /// By how much the wall clock is wrong.
    wrong_ms: i64,
    pub(super) events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    /// The timer does not fire before this.
    pub(super) timer_held_us: u64,
    /// Timer events in the present second.
    timers: (u64, u32),
    pub(super) processes: BTreeMap<ProcId, Process>,
    pub(super) started: u32,
    /// Processes that wait for the value of their token.
    pub(super) fetching: BTreeMap<ProcId, Spawn>,
    /// Processes write signs of life all night long; of what kind and how often, these dice say.
    pub(super) chatter: Option<Dice>,
    /// The machine wakes ccc at a wall time.
    alarm: bool,
    /// A kill from outside comes within this time.
    pub(super) kills_within_ms: u64,
    /// What stands in each session's record.
    pub(super) transcripts: BTreeMap<String, Transcript>,
    pub(super) critics_ended: usize,
    pub(super) tree: u64,
    pub(super) trees: BTreeMap<MeasureId, u64>,
    pub(super) running_check: Option<CheckId>,
    pub(super) provider: Provider,
    pub(super) rejections: Rejections,
    pub(super) faults_on: bool,
    faults_stopped_us: u64,
    due: Due,
    pub(super) laws: Laws,
    pub(super) counts: Counts,
    /// The present actions end processes for another token's sake.
    pub(super) leaving: bool,
    /// When the user asked for the end.
    pub(super) interrupted_us: Option<u64>,
    /// Since when the run has stood waiting.
    waiting_since_us: Option<u64>,
    /// How long it has stood waiting at least.
    pub(super) waited_us: u64,
    pub(super) finish: Option<Finish>,
    /// ccc died, and its journal cannot be gone on with.
    pub(super) unresumable: bool,
    pub(super) steps: u64,
    pub(super) deaths: u32,
    /// How many ccc there have been.
    pub(super) lives: u32,
    trace: Option<Rc<RefCell<Trace>>>,
}

impl World {
    pub(super) fn new(seed: u64, redactor: &Redactor, trace: Option<Rc<RefCell<Trace>>>) -> Result<World, Broken> {
        let long = is_long(seed);
        let mut dice = Dice::new(seed);
        let rates = Rates::draw(&mut dice, long);
        let cli = Cli::draw(&mut dice);
        let script = Arc::new(script(&mut dice, &rates, cli, long));
        let plan = plan(seed, cli, long, &mut dice);
        let provider = Provider::draw(&mut dice);
        let backlog_bytes = usize::try_from(dice.between(BACKLOG_BYTES.0, BACKLOG_BYTES.1)).unwrap_or(0);
        let due = Due::draw(&mut dice, &rates.every);
        Ok(World {
            seed,
            rates,
            cli,
            script,
            core: Core::new(plan.clone()),
            journal: Journal::begin(&plan, redactor.clone(), backlog_bytes)?,
            plan,
            dice,
            now_us: 0,
            away_ms: 0,
            wrong_ms: 0,
            events: BTreeMap::new(),
            next_event: 0,
            timer_held_us: 0,
            timers: (0, 0),
            processes: BTreeMap::new(),
            started: 0,
            fetching: BTreeMap::new(),
            chatter: seed.is_multiple_of(4).then(|| Dice::new(seed ^ CHATTER)),
            alarm: !seed.is_multiple_of(3),
            kills_within_ms: if long { LONG_NIGHT_MS } else { 90_000 },
            transcripts: BTreeMap::new(),
            critics_ended: 0,
            tree: 0,
            trees: BTreeMap::new(),
            running_check: None,
            provider,
            rejections: Rejections::draw(seed, long),
            faults_on: true,
            faults_stopped_us: 0,
            due,
            laws: Laws::default(),
            counts: Counts::default(),
            leaving: false,
            interrupted_us: None,
            waiting_since_us: None,
            waited_us: 0,
            finish: None,
            unresumable: false,
            steps: 0,
            deaths: 0,
            lives: 1,
            trace,
        })
    }

    pub(super) fn play(mut self) -> Result<Scenario, Broken> {
        self.night()?;
        let (outcome, reason) =
            self.finish.map_or((None, String::new()), |finish| (Some(finish.outcome), finish.reason));
        Ok(Scenario {
            seed: self.seed,
            outcome,
            reason,
            steps: self.steps,
            virtual_ms: self.now_us / 1_000,
            processes: self.started,
            deaths: self.deaths,
            iterations: self.core.iteration(),
            restarts: self.core.restarts(),
            rotations: self.core.rotations(),
            faults: self.counts,
        })
    }

    fn night(&mut self) -> Result<(), Broken> {
        let stop_ms = if is_long(self.seed) { LONG_NIGHT_MS } else { self.dice.between(0, SHORT_NIGHT_MS) };
        self.schedule(stop_ms, Event::FaultsStop);
        let tokens = self.provider.known.clone();
        self.feed(Input::Began { unix_ms: self.wall_ms(), resumed: false, turn_recorded: None, tokens })?;
        loop {
            while self.finish.is_none() && !self.unresumable {
                self.advance()?;
                self.comes_to_an_end()?;
            }
            if self.unresumable {
                return self.journal.replay();
            }
            self.nothing_follows()?;
            if !self.fault(self.rates.goes_on) {
                return self.journal.replay();
            }
            self.go_on()?;
        }
    }

    fn comes_to_an_end(&self) -> Result<(), Broken> {
        if self.finish.is_some() {
            return Ok(());
        }
        let over = |since_us: u64, within_us: u64| self.now_us > since_us.saturating_add(within_us);
        if self.steps > MAX_STEPS {
            return Err(Law::Ends.broken(format!("no end after {MAX_STEPS} transitions")));
        }
        if !self.faults_on && over(self.faults_stopped_us, MUST_END_WITHIN_US) {
            return Err(Law::Ends.broken(format!("the run goes on (phase {})", self.core.phase())));
        }
        if self.interrupted_us.is_some_and(|us| over(us, SHUTDOWN_WITHIN_US)) {
            return Err(Law::Shutdown.broken(format!("a minute later it is still {}", self.core.phase())));
        }
        Ok(())
    }

    /// The next thing that happens: the timer, or an event.
    fn advance(&mut self) -> Result<(), Broken> {
        let event_us = self.events.keys().next().map(|(us, _)| *us);
        let timer_us = self.core.poll_timeout().map(|tick| tick.0).into_iter().chain(self.alarm_us()).min();
        let timer_us = timer_us.map(|us| us.max(self.now_us).max(self.timer_held_us));
        match (timer_us, event_us) {
            (None, None) => {
                Err(Law::Ends.broken(format!("nothing will ever move the run (phase {})", self.core.phase())))
            }
            (Some(timer_us), event_us) if event_us.is_none_or(|event_us| timer_us <= event_us) => {
                if self.timer_held_us < timer_us && self.fault(self.rates.late_timer) {
                    self.counts.add("late timer");
                    self.timer_held_us = timer_us + self.dice.between(1, LATEST_TIMER_US);
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

    /// When the wall clock shows the time at which ccc wants to be woken.
    fn alarm_us(&self) -> Option<u64> {
        let at_ms = self.core.poll_wall_timeout().filter(|_| self.alarm)?;
        let left_ms = u64::try_from(at_ms.saturating_sub(self.wall_ms())).unwrap_or(0);
        // The wall clock shows whole milliseconds, and so does the alarm.
        Some(self.now_us.saturating_add(left_ms.saturating_mul(1_000)))
    }

    pub(super) fn timer(&mut self) -> Result<(), Broken> {
        let second = self.now_us / 1_000_000;
        self.timers = if self.timers.0 == second { (second, self.timers.1 + 1) } else { (second, 1) };
        if self.timers.1 > MAX_TIMERS_A_SECOND {
            return Err(Law::BusyLoop.broken(format!("{} timer events in a second", self.timers.1)));
        }
        for _ in 0..MAX_IDLE_TIMERS {
            self.feed(Input::Elapsed { unix_ms: self.wall_ms() })?;
            let overdue = self.core.poll_timeout().is_some_and(|tick| tick.0 <= self.now_us);
            if !overdue || self.finish.is_some() {
                return self.nobody_hangs();
            }
        }
        Err(Law::BusyLoop.broken(format!("the deadline stays in the past (phase {})", self.core.phase())))
    }

    pub(super) fn nobody_hangs(&self) -> Result<(), Broken> {
        let patience_us = (self.plan.timeouts.tool_ms + SILENCE_SLACK_MS) * 1_000;
        let left_alone = |process: &Process| {
            process.acts() && process.asked && !process.ending && self.now_us > process.stirred_us + patience_us
        };
        match self.processes.iter().find(|(_, process)| left_alone(process)) {
            Some((proc, process)) => {
                let silent_s = (self.now_us - process.stirred_us) / 1_000_000;
                Err(Law::Hang.broken(format!("process {proc} was asked and has made no progress for {silent_s} s")))
            }
            None => Ok(()),
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Output(proc, chunk) => self.output(proc, Some(&chunk)),
            Event::Exited(proc) => self.exited(proc),
            Event::Input(proc, bytes, turn) => {
                let line = String::from_utf8_lossy(&bytes);
                let line = line.trim_end_matches('\n');
                if turn && let Some(process) = self.processes.get_mut(&proc) {
                    process.compacts = line.contains(COMPACTS);
                }
                let reads = |process: &mut Process, now| {
                    process.turns_in_transit -= usize::from(turn);
                    if process.reading {
                        process.agent.line(now, line);
                    }
                };
                if turn { self.with_provider(proc, reads) } else { self.with_process(proc, reads) }
            }
            Event::Credential(proc, bytes, has) => self.with_process(proc, |process, now| {
                if process.reading {
                    process.agent.line(now, String::from_utf8_lossy(&bytes).trim_end_matches('\n'));
                    if has.is_some() {
                        process.has = has;
                        process.tries = 0;
                    }
                }
            }),
            Event::InputEnded(proc) => self.with_process(proc, |process, now| {
                if process.reading {
                    process.agent.input_ended(now);
                }
            }),
            Event::Signalled(proc, signal) => self.with_process(proc, |process, now| process.agent.signal(now, signal)),
            Event::Wake(proc) => self.with_provider(proc, |process, now| {
                process.wake_us = None;
                process.agent.wake(now);
            }),
            Event::Chatter(proc) => {
                self.chatter(proc);
                Ok(())
            }
            Event::CommandEnds(proc) => {
                self.with_process(proc, |process, now| process.agent.command_finished(now, "ok", Some(0)))
            }
            Event::Killed(proc) => {
                if self.processes.get(&proc).is_some_and(Process::acts) {
                    self.counts.add("kill from outside");
                    self.end_process(proc, None, Some(9));
                }
                Ok(())
            }
            Event::Thaws(proc) => {
                self.end_process(proc, None, Some(9));
                Ok(())
            }
            Event::Fetched(proc) => match self.fetching.remove(&proc) {
                Some(spawn) => {
                    let input = self.start(&spawn)?;
                    self.feed(input)
                }
                None => Ok(()),
            },
            Event::NotStarted(proc) => self.feed(Input::Exited { proc, exit: ExitFact::default() }),
            Event::CheckEnds(check, end) => {
                if self.running_check == Some(check) {
                    self.running_check = None;
                }
                let result =
                    CheckResult { end, duration_ms: 10, tail: "output".to_owned(), omitted_bytes: 0, missing: None };
                self.feed_maybe_twice(Input::CheckFinished { check, result })
            }
            Event::TreeMeasured(measure, tree) => self.feed_maybe_twice(Input::TreeMeasured { measure, tree }),
            Event::Tokens(request) => {
                let tokens = self.provider.known.clone();
                self.feed(Input::Tokens { request, tokens, unix_ms: Some(self.wall_ms()) })
            }
            Event::Probed(token) => {
                let now_ms = self.true_ms();
                self.provider.probed(&token, now_ms);
                let tokens = self.provider.known.clone();
                self.feed(Input::Tokens { request: None, tokens, unix_ms: Some(self.wall_ms()) })
            }
            Event::Answered(number, choice) => self.answered(number, choice),
            Event::DiskHasRoom => {
                self.mark("the disk has room again");
                self.journal.set_room(None);
                Ok(())
            }
            Event::FaultsStop => {
                self.mark("the faults stop");
                self.faults_on = false;
                self.faults_stopped_us = self.now_us;
                self.script = Arc::new(mended(&self.script));
                self.journal.set_room(None);
                Ok(())
            }
        }
    }

    pub(super) fn feed_maybe_twice(&mut self, input: Input) -> Result<(), Broken> {
        let lives = self.lives;
        self.feed(input.clone())?;
        // Nobody else hears it a second time when ccc died of the first.
        if self.lives == lives && self.finish.is_none() && self.fault(self.rates.doubled) {
            self.counts.add("doubled completion");
            self.feed(input)?;
        }
        Ok(())
    }

    /// A fact and all that follows from it at once; then whatever befalls ccc, its user and its machine.
    pub(super) fn feed(&mut self, input: Input) -> Result<(), Broken> {
        let mut next = Some(input);
        let mut at_once = VecDeque::new();
        while let Some(input) = next {
            if self.finish.is_some() || self.unresumable {
                return Ok(());
            }
            let fate = self.fate();
            let actions = self.transition(input, fate)?;
            let done = match fate {
                Fate::Lives => actions.len(),
                Fate::DiesWriting => 0,
                Fate::DiesDoing(percent) => actions.len() * usize::try_from(percent).unwrap_or(0) / 100,
            };
            for action in actions.into_iter().take(done) {
                self.perform(action, &mut at_once)?;
            }
            // Once the end has been told, nobody misses ccc.
            if fate != Fate::Lives && self.finish.is_none() {
                return self.die(fate == Fate::DiesWriting);
            }
            self.send_of_protocols();
            next = at_once.pop_front();
        }
        self.befall()
    }

    /// The same when nothing befalls anyone, so that misfortunes do not breed.
    pub(super) fn feed_plainly(&mut self, input: Input) -> Result<(), Broken> {
        let mut at_once = VecDeque::from([input]);
        while let Some(input) = at_once.pop_front() {
            for action in self.transition(input, Fate::Lives)? {
                self.perform(action, &mut at_once)?;
            }
            self.send_of_protocols();
        }
        Ok(())
    }

    /// What the protocols say by themselves, such as a handshake; it is no decision.
    fn send_of_protocols(&mut self) {
        while let Some((proc, bytes)) = self.core.poll_send() {
            self.write(proc, bytes, false);
        }
    }

    fn fate(&mut self) -> Fate {
        if !self.faults_on || self.steps < self.due.death || self.deaths >= MAX_DEATHS {
            return Fate::Lives;
        }
        self.due.death = next(&mut self.dice, self.steps, self.rates.every.death);
        if self.fault(self.rates.torn) { Fate::DiesWriting } else { Fate::DiesDoing(self.dice.between(0, 100)) }
    }

    /// One transition: journal, handle, journal, commit.
    fn transition(&mut self, input: Input, fate: Fate) -> Result<Vec<Action>, Broken> {
        let told_unix_ms = input.unix_ms();
        self.laws.time(i64::try_from(self.now_us / 1_000).unwrap_or(i64::MAX), told_unix_ms);
        if fate != Fate::DiesWriting {
            self.core_hears(&input);
        }
        self.steps += 1;
        self.leaving = false;
        let now = Tick(self.now_us);
        let phase = self.core.phase();
        let told = self.trace.as_ref().map(|trace| {
            trace.borrow_mut().begins(now, &input);
            input.clone()
        });
        self.journal.input(now, &input);
        self.core.handle(now, input);
        let mut actions = Vec::new();
        while let Some(action) = self.core.poll_action() {
            self.journal.action(now, &action);
            actions.push(action);
        }
        if let Some(news) = self.journal.commit()? {
            self.counts.add("news of the journal");
            self.mark(&ccc::driver::journal_news(&news));
        }
        if let (Some(trace), Some(input)) = (&self.trace, told) {
            trace.borrow_mut().transition(self.steps, now, phase, self.core.iteration(), &input, &actions);
        }
        self.count_wait();
        Ok(actions)
    }

    /// How long the run stands waiting, seen from outside. While somebody is asked this cannot be seen.
    fn count_wait(&mut self) {
        let waits = self.core.phase() == "waiting" && !self.core.is_asking();
        match self.waiting_since_us {
            Some(since_us) if !waits => {
                self.waited_us += self.now_us - since_us;
                self.waiting_since_us = None;
            }
            None if waits => self.waiting_since_us = Some(self.now_us),
            Some(_) | None => {}
        }
    }

    /// What the user, the clock, the disk and others do by themselves.
    fn befall(&mut self) -> Result<(), Broken> {
        if !self.faults_on || self.finish.is_some() || self.unresumable {
            return Ok(());
        }
        let (steps, every) = (self.steps, self.rates.every);
        if steps >= self.due.jump {
            self.due.jump = next(&mut self.dice, steps, every.jump);
            self.counts.add("clock jump");
            let most_ms = if self.dice.percent(80) { 3_600_000 } else { 400 * 24 * 3_600_000 };
            self.wrong_ms += self.dice.between_signed(-most_ms, most_ms);
            self.mark(&format!("the clock jumps, and is wrong by {} s", self.wrong_ms / 1_000));
        }
        if steps >= self.due.sleep {
            self.due.sleep = next(&mut self.dice, steps, every.sleep);
            self.counts.add("machine sleep");
            let slept_ms = self.dice.between_signed(1_000, 12 * 3_600_000);
            self.away_ms += slept_ms;
            self.mark(&format!("the machine slept for {} s", slept_ms / 1_000));
        }
        if steps >= self.due.full_disk {
            self.due.full_disk = next(&mut self.dice, steps, every.full_disk);
            self.counts.add("full disk");
            self.mark("the disk is full");
            let room = self.dice.between(0, 2_000);
            self.journal.set_room(usize::try_from(room).ok());
            let ms = self.dice.between(1_000, 1_800_000);
            self.schedule(ms, Event::DiskHasRoom);
        }
        if steps >= self.due.other_ccc {
            self.due.other_ccc = next(&mut self.dice, steps, every.other_ccc);
            self.counts.add("news of another ccc");
            let now_ms = self.true_ms();
            self.provider.elsewhere(&mut self.dice, now_ms);
        }
        if steps >= self.due.words {
            self.due.words = next(&mut self.dice, steps, every.words);
            return self.speak();
        }
        if steps >= self.due.interrupt {
            self.due.interrupt = next(&mut self.dice, steps, every.interrupt);
            self.counts.add("request for the end");
            self.laws.interrupted();
            self.interrupted_us.get_or_insert(self.now_us);
            return self.feed_plainly(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
        }
        Ok(())
    }

    /// The user says something.
    pub(super) fn speak(&mut self) -> Result<(), Broken> {
        self.counts.add("words of the user");
        let text = format!("the user's word number {}.", self.steps);
        if self.core.phase() != "ending" {
            self.laws.said(text.clone());
        }
        self.feed_plainly(Input::Operator(OperatorInput::Turn { text }))
    }

    /// What the session's record says of an unanswered turn; in every other night there is no record to look into.
    pub(super) fn turn_recorded(&self) -> Option<bool> {
        let (session, turn) = self.core.unanswered_turn()?;
        let transcript = self.transcripts.get(session);
        let readable = self.plan.seed.bytes().fold(0u8, |sum, byte| sum.wrapping_add(byte)) % 2 == 0;
        transcript.filter(|_| readable).map(|transcript| transcript.has_turn(&turn.0))
    }

    /// A finished run asks for nothing, whatever still comes in.
    fn nothing_follows(&self) -> Result<(), Broken> {
        let mut core = self.core.clone();
        let (proc, check, measure) = (ProcId(self.started), CheckId(1), MeasureId(1));
        let result = CheckResult {
            end: CheckEnd::Exited(1),
            duration_ms: 1,
            tail: String::new(),
            omitted_bytes: 0,
            missing: None,
        };
        let tree = TreeFact::default();
        let late = [
            Input::Spawned { proc, pid: 1, transport: "simulated".to_owned() },
            Input::Line { proc, line: LineFact::Noise("late".to_owned()) },
            Input::Noise { proc, lines: 1_000_000, bytes: 2_000_000, sample: LineFact::Noise("late".to_owned()) },
            Input::Progress { proc },
            Input::WriteFailed { proc, message: "late".to_owned() },
            Input::Exited { proc, exit: ExitFact::default() },
            Input::CheckFinished { check, result },
            Input::TreeMeasured { measure, tree },
            Input::Tokens { request: Some(1), tokens: self.provider.known.clone(), unix_ms: Some(self.wall_ms()) },
            Input::Operator(OperatorInput::Answer { number: 1, choice: Answer::Wait }),
            Input::Operator(OperatorInput::Interrupt { reason: "late".to_owned() }),
            Input::Elapsed { unix_ms: self.wall_ms() },
        ];
        for input in late {
            core.handle(Tick(self.now_us), input);
            let asked = std::iter::from_fn(|| core.poll_action()).find(|action| !matches!(action, Action::Note(_)));
            if let Some(action) = asked {
                return Err(Law::NothingFollows.broken(format!("{action:?}")));
            }
        }
        match core.poll_timeout() {
            Some(tick) => Err(Law::NothingFollows.broken(format!("it waits for {tick:?}"))),
            None => Ok(()),
        }
    }

    pub(super) fn fault(&mut self, rate: u64) -> bool {
        self.faults_on && rate > 0 && self.dice.chance(rate)
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
        EPOCH_UNIX_MS + self.away_ms + i64::try_from(self.now_us / 1_000).unwrap_or(i64::MAX)
    }

    /// The time that ccc is told.
    pub(super) fn wall_ms(&self) -> i64 {
        self.true_ms() + self.wrong_ms
    }

    /// What ccc does not see, for the trace.
    pub(super) fn mark(&mut self, what: &str) {
        let now = Tick(self.now_us);
        if let Some(trace) = &self.trace {
            trace.borrow_mut().mark(now, what);
        }
    }

    /// What is known of waits stands in a journal that is not whole.
    pub(super) fn forget_waits(&mut self) {
        self.waited_us = 0;
        self.waiting_since_us = None;
    }
}

impl Due {
    fn draw(dice: &mut Dice, every: &Every) -> Due {
        Due {
            death: next(dice, 0, every.death),
            jump: next(dice, 0, every.jump),
            sleep: next(dice, 0, every.sleep),
            words: next(dice, 0, every.words),
            interrupt: next(dice, 0, every.interrupt),
            full_disk: next(dice, 10, every.full_disk),
            other_ccc: next(dice, 0, every.other_ccc),
        }
    }
}

/// At which transition something happens again that happens at least once in `every`.
fn next(dice: &mut Dice, steps: u64, every: u64) -> u64 {
    if every == 0 { u64::MAX } else { steps + dice.between(1, every) }
}
