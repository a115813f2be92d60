//! One night: plays the next event, then checks the laws.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use super::counts::Counts;
use super::dice::Dice;
use super::family::Family;
use super::journal::Journal;
use super::law::{Broken, Law};
use super::laws::Laws;
use super::operator::Operator;
use super::process::Process;
use super::provider::Provider;
use super::rates::{Cli, Every, Rates, plan};
use super::rejections::Rejections;
use super::script::{mended, script};
use super::steering::Steering;
use super::trace::Trace;
use super::{Scenario, is_long};
use ccc::demo::scripted::{Script, Signalled, Transcript};
use redaction::Redactor;
use supervision::core::{
    Action, Answer, Approvals, AskId, CheckEnd, CheckId, CheckResult, CheckpointFact, CheckpointId, Core, ExitFact,
    Finish, Input, LineFact, MeasureId, OperatorInput, Plan, ProcId, Ruling, Spawn, Taken, Tick, TokenId, TouchedTests,
    TreeFact,
};

/// The wall clock at the beginning of every night, unix milliseconds.
pub(super) const EPOCH_UNIX_MS: i64 = 1_795_000_000_000;
/// How long the faults of a long night last.
const LONG_NIGHT_MS: u64 = 8 * 3_600_000;
/// The longest time that the faults of any other night last.
const SHORT_NIGHT_MS: u64 = 3 * 3_600_000;
/// The virtual time within which the run must end once the faults have stopped. A reset may be a week away.
const MUST_END_WITHIN_US: u64 = 12 * 24 * 3_600 * 1_000_000;
/// A night with more transitions than this counts as one that does not end.
const MAX_STEPS: u64 = 150_000;
/// How many timer events in a row may leave the core's deadline in the past.
const MAX_IDLE_TIMERS: u32 = 8;
/// How many timer events may occur in one second.
const MAX_TIMERS_A_SECOND: u32 = 50;
/// How often ccc may die in one night. The limit keeps nights fast, because each death reads the whole journal.
const MAX_DEATHS: u32 = 40;
/// How late the timer may come, in microseconds.
const LATEST_TIMER_US: u64 = 3_000_000;
/// Separates the dice of the signs of life from the night's own.
const CHATTER: u64 = 0x6c69_6665;
/// How long a process may be silent beyond a tool's own time: the tolerance of the watch and a late timer.
const SILENCE_SLACK_MS: u64 = 40_000;
/// The longest shutdown after the user has asked for the end: all its steps, each with a late timer.
const SHUTDOWN_WITHIN_US: u64 = 60 * 1_000_000;
/// The text that marks a turn as `/compact`.
const COMPACTS: &str = r#""/compact""#;
/// How much the journal keeps in memory while the disk is full, in bytes. The bounds are small, so that losses occur.
const BACKLOG_BYTES: (u64, u64) = (2_048, 128 * 1_024);

/// A scheduled event.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Output(ProcId, Vec<u8>),
    Exited(ProcId),
    Input(ProcId, Vec<u8>, bool),
    /// The process reads an exchange of its credential. The token is the one that it uses afterwards if it accepts.
    Credential(ProcId, Vec<u8>, Option<TokenId>),
    InputEnded(ProcId),
    Signalled(ProcId, Signalled),
    Wake(ProcId),
    /// The process writes a sign of life.
    Chatter(ProcId),
    CommandEnds(ProcId),
    Killed(ProcId),
    /// A process that had survived its kill ends.
    Thaws(ProcId),
    /// The value of a token has been fetched, so the process starts.
    Fetched(ProcId),
    /// A process was asked to end before it had started.
    NotStarted(ProcId),
    CheckEnds(CheckId, CheckEnd),
    TreeMeasured(MeasureId, TreeFact),
    CheckpointTaken(CheckpointId, CheckpointFact),
    TestsCompared(CheckpointId, TouchedTests, Option<String>),
    Tokens(Option<u32>),
    Probed(TokenId),
    Answered(u32, Answer),
    /// The user performs an act.
    Operates,
    /// The user answers a request, with this key.
    Rules(AskId, Ruling, Option<String>),
    WorkerStarts(usize),
    WorkerEnds(usize),
    DiskHasRoom,
    FaultsStop,
}

/// The transition at which each event occurs next.
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

/// Whether ccc survives a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Survival {
    Lives,
    /// ccc dies while it writes the journal, before any action is performed.
    DiesWriting,
    /// ccc dies after this percentage of the actions has been performed.
    DiesDoing(u64),
}

/// The state of a night.
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
    /// True time that the ticks do not include, because ccc was dead or the machine slept.
    pub(super) away_ms: i64,
    /// The error of the wall clock, in milliseconds.
    pub(super) wrong_ms: i64,
    pub(super) events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    /// The time before which the timer does not fire.
    pub(super) timer_held_us: u64,
    /// The present second, and the number of timer events in it.
    timers: (u64, u32),
    pub(super) processes: BTreeMap<ProcId, Process>,
    pub(super) started: u32,
    /// Processes that start when the value of their token has been fetched.
    pub(super) fetching: BTreeMap<ProcId, Spawn>,
    /// The dice that draw the signs of life; `None` if the processes of this night write none.
    pub(super) chatter: Option<Dice>,
    /// Whether the machine can wake ccc at a wall-clock time.
    alarm: bool,
    /// The time within which a kill from outside comes, in milliseconds.
    pub(super) kills_within_ms: u64,
    /// Each session's transcript.
    pub(super) transcripts: BTreeMap<String, Transcript>,
    pub(super) critics_ended: usize,
    pub(super) tree: u64,
    pub(super) trees: BTreeMap<MeasureId, u64>,
    pub(super) running_check: Option<CheckId>,
    pub(super) provider: Provider,
    pub(super) rejections: Rejections,
    pub(super) operator: Operator,
    pub(super) family: Family,
    /// The result of the user's last input.
    pub(super) taken: Option<Taken>,
    pub(super) faults_on: bool,
    faults_stopped_us: u64,
    due: Due,
    pub(super) laws: Laws,
    pub(super) counts: Counts,
    /// Whether the present actions end processes without a fault of their own, for example to change the token.
    pub(super) leaving: bool,
    /// Whether the present actions interrupt the agent's turn because the user said so.
    pub(super) stopping: bool,
    /// When the user asked for the end.
    pub(super) interrupted_us: Option<u64>,
    /// When the present wait began.
    waiting_since_us: Option<u64>,
    /// The minimum time that the run has waited.
    pub(super) waited_us: u64,
    pub(super) finish: Option<Finish>,
    /// Whether the run cannot be resumed, because ccc died and its journal lacks entries.
    pub(super) unresumable: bool,
    /// Whether the run is an agent of a fleet, which decides when another ccc takes it up.
    pub(super) in_fleet: bool,
    /// Its ccc has died, and no other has taken it up. Whether its journal has everything.
    pub(super) down: Option<bool>,
    pub(super) steps: u64,
    pub(super) deaths: u32,
    /// How many ccc processes have worked on the run.
    pub(super) lives: u32,
    trace: Option<Rc<RefCell<Trace>>>,
}

impl World {
    /// `alone`: without a user during the run.
    pub(super) fn new(
        seed: u64,
        alone: bool,
        redactor: &Redactor,
        trace: Option<Rc<RefCell<Trace>>>,
    ) -> Result<World, Broken> {
        let long = is_long(seed);
        let mut dice = Dice::new(seed);
        let rates = Rates::draw(&mut dice, long);
        let cli = Cli::draw(&mut dice);
        let mut script = script(&mut dice, &rates, cli, long);
        let mut plan = plan(seed, cli, long, &mut dice);
        let mut operator = Operator::draw(seed, long, alone);
        operator.shape(&mut plan, &mut script, long, alone);
        let family = Family::draw(seed, alone, &mut plan);
        let steering = Steering::of(plan.conversation);
        let provider = Provider::draw(&mut dice);
        let backlog_bytes = usize::try_from(dice.between(BACKLOG_BYTES.0, BACKLOG_BYTES.1)).unwrap_or(0);
        let due = Due::draw(&mut dice, &rates.every);
        Ok(World {
            seed,
            rates,
            cli,
            script: Arc::new(script),
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
            operator,
            family,
            taken: None,
            faults_on: true,
            faults_stopped_us: 0,
            due,
            laws: Laws::of(steering),
            counts: Counts::default(),
            leaving: false,
            stopping: false,
            interrupted_us: None,
            waiting_since_us: None,
            waited_us: 0,
            finish: None,
            unresumable: false,
            in_fleet: false,
            down: None,
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
        self.user_comes();
        self.family_comes();
        let tokens = self.provider.known.clone();
        self.feed(Input::Began { unix_ms: self.wall_ms(), resumed: false, turn_recorded: None, tokens })?;
        loop {
            while self.goes_on() {
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

    /// Whether a ccc works on the run.
    pub(super) fn goes_on(&self) -> bool {
        self.finish.is_none() && !self.unresumable && self.down.is_none()
    }

    pub(super) fn comes_to_an_end(&self) -> Result<(), Broken> {
        if self.finish.is_some() {
            return Ok(());
        }
        let over = |since_us: u64, within_us: u64| self.now_us > since_us.saturating_add(within_us);
        Law::Ends.broken_if(self.steps > MAX_STEPS, || format!("no end after {MAX_STEPS} transitions"))?;
        if !self.faults_on && over(self.faults_stopped_us, MUST_END_WITHIN_US) {
            return Err(Law::Ends.broken(format!("the run goes on (phase {})", self.core.phase())));
        }
        Law::Shutdown.broken_if(self.interrupted_us.is_some_and(|us| over(us, SHUTDOWN_WITHIN_US)), || {
            format!("a minute later it is still {}", self.core.phase())
        })?;
        Ok(())
    }

    /// When the timer fires next, and when the next event occurs.
    pub(super) fn next_us(&self) -> (Option<u64>, Option<u64>) {
        let event_us = self.events.keys().next().map(|(us, _)| *us);
        let timer_us = self.core.poll_timeout().map(|tick| tick.0).into_iter().chain(self.alarm_us()).min();
        (timer_us.map(|us| us.max(self.now_us).max(self.timer_held_us)), event_us)
    }

    /// Handles the next timer or event.
    pub(super) fn advance(&mut self) -> Result<(), Broken> {
        let (timer_us, event_us) = self.next_us();
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

    /// The tick at which the wall clock reaches the time for which ccc wants a wake-up.
    fn alarm_us(&self) -> Option<u64> {
        let at_ms = self.core.poll_wall_timeout().filter(|_| self.alarm)?;
        let left_ms = u64::try_from(at_ms.saturating_sub(self.wall_ms())).unwrap_or(0);
        // The wall clock has whole milliseconds, and so does the alarm.
        Some(self.now_us.saturating_add(left_ms.saturating_mul(1_000)))
    }

    pub(super) fn timer(&mut self) -> Result<(), Broken> {
        let second = self.now_us / 1_000_000;
        self.timers = if self.timers.0 == second { (second, self.timers.1 + 1) } else { (second, 1) };
        Law::BusyLoop
            .broken_if(self.timers.1 > MAX_TIMERS_A_SECOND, || format!("{} timer events in a second", self.timers.1))?;
        for _ in 0..MAX_IDLE_TIMERS {
            self.feed(Input::Elapsed { unix_ms: self.wall_ms() })?;
            let overdue = self.core.poll_timeout().is_some_and(|tick| tick.0 <= self.now_us);
            if !overdue || !self.goes_on() {
                return self.nobody_hangs();
            }
        }
        Err(Law::BusyLoop.broken(format!("the deadline stays in the past (phase {})", self.core.phase())))
    }

    pub(super) fn nobody_hangs(&self) -> Result<(), Broken> {
        let patience_us = (self.plan.timeouts.tool_ms + SILENCE_SLACK_MS) * 1_000;
        // The time while the user is asked does not count.
        let is_asked = self.core.asks().next().is_some();
        let left_alone = |process: &Process| {
            !is_asked
                && process.acts()
                && process.asked
                && !process.ending
                && self.now_us > process.stirred_us + patience_us
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
                let result = CheckResult {
                    end,
                    duration_ms: 10,
                    tail: "output".to_owned(),
                    omitted_bytes: 0,
                    missing: None,
                    protected: None,
                };
                self.feed_maybe_twice(Input::CheckFinished { check, result })
            }
            Event::TreeMeasured(measure, tree) => self.feed_maybe_twice(Input::TreeMeasured { measure, tree }),
            Event::CheckpointTaken(checkpoint, fact) => {
                self.family.keeping = self.family.keeping.saturating_sub(1);
                self.feed_maybe_twice(Input::CheckpointTaken { checkpoint, fact })
            }
            Event::TestsCompared(checkpoint, tests, trouble) => {
                self.feed_maybe_twice(Input::TestsCompared { checkpoint, tests, trouble })
            }
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
            Event::Operates => {
                if !self.operator.is_there() {
                    return Ok(());
                }
                self.user_comes();
                self.operates()
            }
            Event::Rules(ask, ruling, key) => self.rules(ask, ruling, key),
            Event::WorkerStarts(worker) => self.worker_starts(worker),
            Event::WorkerEnds(worker) => self.worker_ends(worker),
            Event::DiskHasRoom => {
                self.mark("the disk has room again");
                self.journal.set_room(None);
                Ok(())
            }
            Event::FaultsStop => self.faults_stop(),
        }
    }

    pub(super) fn faults_stop(&mut self) -> Result<(), Broken> {
        self.mark("the faults stop");
        self.faults_on = false;
        self.faults_stopped_us = self.now_us;
        self.script = Arc::new(mended(&self.script));
        self.journal.set_room(None);
        self.user_goes_home()
    }

    /// Somebody asks for the end of the run.
    pub(super) fn asks_for_the_end(&mut self, reason: &str) -> Result<(), Broken> {
        self.counts.add("request for the end");
        self.laws.interrupted();
        self.interrupted_us.get_or_insert(self.now_us);
        self.feed_plainly(Input::Operator(OperatorInput::Interrupt { reason: reason.to_owned() }))
    }

    /// Schedules the user's next act by the clock.
    pub(super) fn user_comes(&mut self) {
        if self.operator.is_there() {
            let ms = self.operator.pause_ms();
            self.schedule(ms, Event::Operates);
        }
    }

    pub(super) fn feed_maybe_twice(&mut self, input: Input) -> Result<(), Broken> {
        let lives = self.lives;
        self.feed(input.clone())?;
        // If ccc died at the first one, the next ccc must not get the second.
        if self.lives == lives && self.finish.is_none() && self.fault(self.rates.doubled) {
            self.counts.add("doubled completion");
            self.feed(input)?;
        }
        Ok(())
    }

    /// Feeds an input and everything that follows from it at once, then lets faults and events of the world occur.
    pub(super) fn feed(&mut self, input: Input) -> Result<(), Broken> {
        let lives = self.lives;
        self.feed_once(input)?;
        // A new ccc has already had its own events.
        if self.lives == lives { self.perform_due_events() } else { Ok(()) }
    }

    /// As [`World::feed`], but without the faults and events that follow. ccc may still die.
    pub(super) fn feed_once(&mut self, input: Input) -> Result<(), Broken> {
        let mut next = Some(input);
        let mut at_once = VecDeque::new();
        while let Some(input) = next {
            if !self.goes_on() {
                return Ok(());
            }
            let fate = self.fate();
            let actions = self.transition(input, fate)?;
            let done = match fate {
                Survival::Lives => actions.len(),
                Survival::DiesWriting => 0,
                Survival::DiesDoing(percent) => actions.len() * usize::try_from(percent).unwrap_or(0) / 100,
            };
            for action in actions.into_iter().take(done) {
                self.perform(action, &mut at_once)?;
            }
            // The death of ccc after the end of the run changes nothing.
            if fate != Survival::Lives && self.finish.is_none() {
                let back = self.die(fate == Survival::DiesWriting);
                // The caller waits for an answer that will not come.
                self.taken = None;
                return back;
            }
            self.send_of_protocols();
            next = at_once.pop_front();
        }
        Ok(())
    }

    /// As [`World::feed`] without faults and events, so that one fault does not cause another.
    pub(super) fn feed_plainly(&mut self, input: Input) -> Result<(), Broken> {
        let mut at_once = VecDeque::from([input]);
        while let Some(input) = at_once.pop_front() {
            for action in self.transition(input, Survival::Lives)? {
                self.perform(action, &mut at_once)?;
            }
            self.send_of_protocols();
        }
        Ok(())
    }

    /// Writes what the protocols send by themselves, such as a handshake; the core does not decide on it.
    fn send_of_protocols(&mut self) {
        while let Some((proc, bytes)) = self.core.poll_send() {
            self.write(proc, bytes, false);
        }
    }

    fn fate(&mut self) -> Survival {
        if !self.faults_on || self.steps < self.due.death || self.deaths >= MAX_DEATHS {
            return Survival::Lives;
        }
        self.due.death = next(&mut self.dice, self.steps, self.rates.every.death);
        if self.fault(self.rates.torn) { Survival::DiesWriting } else { Survival::DiesDoing(self.dice.between(0, 100)) }
    }

    /// One transition: journal the input, handle it, journal the actions, commit.
    fn transition(&mut self, input: Input, fate: Survival) -> Result<Vec<Action>, Broken> {
        let told_unix_ms = input.unix_ms();
        self.laws.time(i64::try_from(self.now_us / 1_000).unwrap_or(i64::MAX), told_unix_ms);
        self.nobody_waits_too_long()?;
        if fate != Survival::DiesWriting {
            self.core_hears(&input);
        }
        // If ccc dies while it writes this, the journal may or may not contain it.
        if let Input::CheckFinished { check, result } = &input {
            self.family.command_ended(*check, &result.end);
        }
        let operator = if let Input::Operator(operator) = &input { Some(operator.clone()) } else { None };
        self.steps += 1;
        (self.leaving, self.stopping) = (false, false);
        let now = Tick(self.now_us);
        let phase = self.core.phase();
        let told = self.trace.as_ref().map(|trace| {
            trace.borrow_mut().begins(now, &input);
            input.clone()
        });
        self.journal.input(now, &input);
        self.core.handle(now, input);
        if let Some(operator) = operator {
            self.taken = Some(self.core.taken().clone());
            if fate == Survival::DiesWriting {
                self.operator_may_have_done(&operator);
            } else {
                self.operator_did(&operator)?;
            }
        }
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

    /// Adds up the time that the run waits, as seen from outside. A wait during a question to the user is not visible from
    /// outside.
    fn count_wait(&mut self) {
        let waits = self.core.phase() == "waiting" && !self.core.is_asking() && !self.rests();
        match self.waiting_since_us {
            Some(since_us) if !waits => {
                self.waited_us += self.now_us - since_us;
                self.waiting_since_us = None;
            }
            None if waits => self.waiting_since_us = Some(self.now_us),
            Some(_) | None => {}
        }
    }

    /// Whether the run rests for its user: it neither works nor waits for anything that ends.
    fn rests(&self) -> bool {
        match self.core.phase() {
            "paused" | "completed" | "needs_user" => true,
            "waiting" => !self.core.is_asking() && self.core.awaited().is_none(),
            _ => false,
        }
    }

    /// Checks the laws about unattended requests and rests.
    fn nobody_waits_too_long(&self) -> Result<(), Broken> {
        let plan = self.core.plan();
        let unattended = if let Approvals::Ask { unattended } = plan.approvals { Some(unattended) } else { None };
        self.laws.steering.passes(unattended, self.rests(), plan.conversation_patience_ms)
    }

    /// Performs the due events of the user, the clock, the disk and other ccc processes.
    fn perform_due_events(&mut self) -> Result<(), Broken> {
        if !self.faults_on || !self.goes_on() {
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
        if self.operator.is_due(steps) {
            self.operates()?;
        }
        if !self.goes_on() {
            return Ok(());
        }
        if steps >= self.due.words {
            self.due.words = next(&mut self.dice, steps, every.words);
            return self.speak();
        }
        if steps >= self.due.interrupt {
            self.due.interrupt = next(&mut self.dice, steps, every.interrupt);
            return self.asks_for_the_end("Ctrl-C");
        }
        Ok(())
    }

    /// Sends a message of the user.
    pub(super) fn speak(&mut self) -> Result<(), Broken> {
        self.counts.add("words of the user");
        let text = format!("the user's word number {}.", self.steps);
        if self.core.phase() != "ending" {
            self.laws.said(text.clone());
        }
        self.feed_plainly(Input::Operator(OperatorInput::Turn { text }))
    }

    /// Whether the session's record contains the unanswered turn. In half of the nights no record can be read.
    pub(super) fn turn_recorded(&self) -> Option<bool> {
        let (session, turn) = self.core.unanswered_turn()?;
        let transcript = self.transcripts.get(session);
        let readable = self.plan.seed.bytes().fold(0u8, |sum, byte| sum.wrapping_add(byte)) % 2 == 0;
        transcript.filter(|_| readable).map(|transcript| transcript.has_turn(&turn.0))
    }

    /// Checks the law that a finished run asks for no action, whatever input arrives.
    pub(super) fn nothing_follows(&self) -> Result<(), Broken> {
        let mut core = self.core.clone();
        let (proc, check, measure) = (ProcId(self.started), CheckId(1), MeasureId(1));
        let result = CheckResult {
            end: CheckEnd::Exited(1),
            duration_ms: 1,
            tail: String::new(),
            omitted_bytes: 0,
            missing: None,
            protected: None,
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
            Input::CheckpointTaken { checkpoint: CheckpointId(1), fact: CheckpointFact::default() },
            Input::TestsCompared { checkpoint: CheckpointId(1), tests: TouchedTests::default(), trouble: None },
            Input::Tokens { request: Some(1), tokens: self.provider.known.clone(), unix_ms: Some(self.wall_ms()) },
            Input::Operator(OperatorInput::Answer { number: 1, choice: Answer::Wait }),
            Input::Operator(OperatorInput::Interrupt { reason: "late".to_owned() }),
            Input::Operator(OperatorInput::Say { key: None, text: "late".to_owned(), images: Vec::new() }),
            Input::Operator(OperatorInput::Rule {
                ask: AskId(1),
                key: None,
                ruling: Ruling::Deny { reason: String::new() },
            }),
            Input::Operator(OperatorInput::WorkerStarted {
                id: "late".to_owned(),
                name: "late".to_owned(),
                again: false,
            }),
            Input::Operator(OperatorInput::WorkerEnded {
                id: "late".to_owned(),
                name: "late".to_owned(),
                text: "late".to_owned(),
                at_unix_ms: Some(1),
            }),
            Input::Operator(OperatorInput::StopTurn),
            Input::Operator(OperatorInput::Pause),
            Input::Operator(OperatorInput::Judge),
            Input::Operator(OperatorInput::Attended { clients: 7, why: None }),
            Input::Operator(OperatorInput::Attended { clients: 0, why: None }),
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

    /// Draws anew when each event occurs next, after the rates were changed.
    pub(super) fn draws_due(&mut self) {
        self.due = Due::draw(&mut self.dice, &self.rates.every);
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

    /// The time on the clock of the provider and the agents.
    pub(super) fn true_ms(&self) -> i64 {
        EPOCH_UNIX_MS + self.away_ms + i64::try_from(self.now_us / 1_000).unwrap_or(i64::MAX)
    }

    /// The time on the clock of ccc's machine.
    pub(super) fn wall_ms(&self) -> i64 {
        self.true_ms() + self.wrong_ms
    }

    /// Writes an event that ccc does not see into the trace.
    pub(super) fn mark(&mut self, what: &str) {
        let now = Tick(self.now_us);
        if let Some(trace) = &self.trace {
            trace.borrow_mut().mark(now, what);
        }
    }

    /// Resets the waited time, because the journal that records waits has lost entries.
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

/// Draws the transition of the next occurrence, at most `every` transitions ahead.
fn next(dice: &mut Dice, steps: u64, every: u64) -> u64 {
    if every == 0 { u64::MAX } else { steps + dice.between(1, every) }
}
