//! The life cycle of the command: start, watch, end, restart.

use std::collections::VecDeque;

use super::beat::{BeatState, BeatWatch};
use super::looks::Looks;
use super::{
    BeatReading, CommandAction, CommandExit, CommandInput, CommandOperator, CommandPlan, CommandSignal, RestartOn,
};
use crate::core::policy::{Asked, Clock, Pause, RestartCount, Tokens, WINDOW_MS, Waited, pause_ms};
use crate::core::{Decision, Finish, Needs, Note, Outcome, Show, SpawnFault, Tick, TokenId};

/// The timeout of SIGKILL. A program that is stuck in the kernel is then given up.
const KILL_LIMIT_MS: u64 = 15_000;
/// How long after a Ctrl-C as a signal an end counts as the user's.
const CTRL_C_SIGNAL_MS: u64 = 30_000;
/// The same for a Ctrl-C as a key, which the program may interpret otherwise.
const CTRL_C_KEY_MS: u64 = 3_000;
/// SIGINT and SIGQUIT, with which a terminal ends a program.
const TERMINAL_SIGNALS: [i32; 2] = [2, 3];
/// A shell's exit codes for a program that may not be executed, or does not exist.
const NEVER_AGAIN: [(i32, &str); 2] =
    [(126, "something it needs may not be executed"), (127, "something it needs was not found")];

/// The state machine of one supervised command.
#[derive(Debug, Clone)]
pub struct CommandCore {
    pub(super) plan: CommandPlan,
    pub(super) clock: Clock,
    actions: VecDeque<CommandAction>,
    stage: Stage,
    /// The run ends because the user's agreement is missing.
    needs_agreement: bool,
    /// The program, from `Spawn` to `Exited`.
    life: Option<Life>,
    lives: u32,
    /// The failures that count against the limit of restarts.
    failures: RestartCount,
    restarts: u32,
    rotations: u32,
    waited: Waited,
    pub(super) tokens: Tokens,
    pub(super) looks: Looks,
    /// ccc itself is stopped, and the program with it.
    suspended: bool,
    ctrl_c: Option<(Tick, bool)>,
    ends_asked: u32,
    told_malformed: bool,
    /// The program's last end by itself.
    own_end: Option<OwnEnd>,
    /// The exit code of that end is passed on.
    passed_on: bool,
}

/// Who gets the user's key presses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysFor {
    /// The program.
    Program,
    /// ccc, because no program runs or it is stopped.
    Ourselves,
    /// Nobody, because ccc is stopped or about to be. They stay in the terminal, for the shell or for the program later.
    Nobody,
}

/// An end of the program that ccc did not cause.
#[derive(Debug, Clone, Copy)]
struct OwnEnd {
    /// Its exit code, or 128 plus the signal's number, as in shells.
    code: i32,
    signalled: bool,
}

/// What the run is doing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Stage {
    NotBegun,
    /// The program is being started.
    Starting,
    Running,
    /// The user is asked; the program is stopped.
    Asking(Asked),
    /// All tokens are limited; the program is stopped, or not started.
    Waiting(Pause),
    /// The program is being ended.
    Ending {
        after: After,
        due: Tick,
        killed: bool,
    },
    /// The program has failed, and the provider is asked whether its token was the reason.
    Judging {
        failure: String,
    },
    /// The next start is due at this tick.
    Pausing {
        until: Tick,
    },
    Finished,
}

/// What follows the end of the program.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum After {
    /// It failed for this reason: start it again, if allowed.
    Restart(String),
    /// Start it again with this token.
    Take(TokenId),
    /// The run is over.
    Finish(Outcome, String),
}

/// One start of the program.
#[derive(Debug, Clone)]
struct Life {
    number: u32,
    token: Option<TokenId>,
    held: bool,
    beat: Option<BeatWatch>,
}

impl CommandCore {
    /// A run that has not begun.
    #[must_use]
    pub fn new(plan: CommandPlan) -> Self {
        Self {
            plan,
            clock: Clock::default(),
            actions: VecDeque::new(),
            stage: Stage::NotBegun,
            needs_agreement: false,
            life: None,
            lives: 0,
            failures: RestartCount::default(),
            restarts: 0,
            rotations: 0,
            waited: Waited::default(),
            tokens: Tokens::default(),
            looks: Looks::default(),
            suspended: false,
            ctrl_c: None,
            ends_asked: 0,
            told_malformed: false,
            own_end: None,
            passed_on: false,
        }
    }

    /// The program's exit code at its last end; 128 plus the signal's number after a signal.
    #[must_use]
    pub fn own_code(&self) -> Option<u8> {
        self.own_end.and_then(|end| u8::try_from(end.code).ok())
    }

    /// The exit code that ccc passes on from the program.
    #[must_use]
    pub fn code_to_pass_on(&self) -> Option<u8> {
        self.own_code().filter(|_| self.passed_on)
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &CommandPlan {
        &self.plan
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.stage == Stage::Finished
    }

    /// Who gets the user's key presses.
    #[must_use]
    pub fn keys(&self) -> KeysFor {
        match &self.life {
            _ if self.suspended => KeysFor::Nobody,
            Some(life) if !life.held => KeysFor::Program,
            Some(_) | None => KeysFor::Ourselves,
        }
    }

    /// Number of restarts after a failure.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Number of changes to another token.
    #[must_use]
    pub fn rotations(&self) -> u32 {
        self.rotations
    }

    /// The phase, in one word.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        match &self.stage {
            _ if self.suspended => "paused",
            Stage::NotBegun | Stage::Starting => "starting",
            Stage::Running => "running",
            Stage::Asking(_) => "asking",
            Stage::Waiting(_) => "waiting",
            Stage::Ending { .. } => "ending",
            Stage::Judging { .. } | Stage::Pausing { .. } => "restarting",
            Stage::Finished => "finished",
        }
    }

    /// The next action; `None` if there is none for now.
    pub fn poll_action(&mut self) -> Option<CommandAction> {
        self.actions.pop_front()
    }

    /// The earliest deadline, at which the driver must send `Elapsed`; `None` if only other inputs can advance the run.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Tick> {
        if self.suspended {
            return None;
        }
        let beat = || self.life.as_ref().and_then(|life| life.beat.as_ref()).and_then(BeatWatch::next_look);
        match &self.stage {
            Stage::NotBegun | Stage::Finished | Stage::Starting => None,
            Stage::Running => [beat(), self.looks.due()].into_iter().flatten().min(),
            Stage::Asking(asked) => Some(asked.due()),
            Stage::Waiting(pause) => self.looks.open_until().or_else(|| Some(pause.wake(self.clock))),
            Stage::Ending { due, .. } => Some(*due),
            Stage::Judging { .. } => self.looks.open_until(),
            Stage::Pausing { until } => Some(*until),
        }
    }

    /// The wall time, unix milliseconds, at which the driver must send `Elapsed`, because a reset does not depend on the
    /// machine's sleep. An earlier `Elapsed` does no harm.
    #[must_use]
    pub fn poll_wall_timeout(&self) -> Option<i64> {
        let Stage::Waiting(pause) = &self.stage else { return None };
        pause.until_unix_ms().filter(|_| !self.suspended && self.looks.open_until().is_none())
    }

    /// Handles a fact.
    pub fn handle(&mut self, now: Tick, input: CommandInput) {
        if self.stage == Stage::Finished {
            return;
        }
        self.clock.advance(now);
        match input {
            CommandInput::Began { unix_ms, tokens } => {
                self.clock.see(unix_ms);
                self.tokens.know(tokens, self.clock);
                if self.stage == Stage::NotBegun {
                    self.start();
                } else {
                    self.ignored("a second beginning");
                }
            }
            CommandInput::Spawned { life, pid: _ } => self.spawned(life),
            CommandInput::SpawnFailed { life, fault, message } => self.spawn_failed(life, fault, message),
            CommandInput::Exited { life, exit } => self.exited(life, &exit),
            CommandInput::Stopped { life, signal } => self.stopped(life, signal),
            CommandInput::CtrlC { as_signal } => self.ctrl_c = Some((self.clock.now(), as_signal)),
            CommandInput::Beat { life, reading } => self.beat(life, &reading),
            CommandInput::Tokens { request, tokens, unix_ms, spent } => {
                self.clock.see(unix_ms);
                if self.looks.answered(request) {
                    self.learn_answer(tokens, spent);
                    self.tokens_known();
                } else {
                    self.ignored("a late answer about tokens");
                }
            }
            CommandInput::Operator(operator) => self.operator(operator),
            CommandInput::Resumed { unix_ms } => {
                self.clock.see(unix_ms);
                self.resumed();
            }
            CommandInput::Elapsed { unix_ms } => {
                self.clock.see(unix_ms);
                self.elapsed();
            }
        }
    }

    /// The wall clock now, unix milliseconds, by the core's last reading.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    pub(super) fn act(&mut self, action: CommandAction) {
        self.actions.push_back(action);
    }

    pub(super) fn decide(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.act(CommandAction::Decide(Decision { what: what.into(), why: why.into() }));
    }

    pub(super) fn tell(&mut self, text: impl Into<String>) {
        self.act(CommandAction::Show(Show::Notice { text: text.into() }));
    }

    pub(super) fn inform(&mut self, text: impl Into<String>) {
        self.act(CommandAction::Show(Show::Information { text: text.into() }));
    }

    pub(super) fn ignored(&mut self, what: &str) {
        self.act(CommandAction::Note(Note { about: "ignored".to_owned(), text: what.to_owned() }));
    }

    fn is_current(&self, life: u32) -> bool {
        self.life.as_ref().is_some_and(|it| it.number == life)
    }

    /// What the run is doing.
    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Changes the stage.
    pub(super) fn enter(&mut self, stage: Stage) {
        self.stage = stage;
    }

    /// Whether the program runs or is being started.
    pub(super) fn is_alive(&self) -> bool {
        self.life.is_some()
    }

    /// Counts a change to another token.
    pub(super) fn rotated(&mut self) {
        self.rotations += 1;
    }

    /// This wait is over now.
    pub(super) fn count_wait(&mut self, pause: &Pause) {
        self.waited.add(pause, self.clock.now());
    }

    /// Stops the program.
    pub(super) fn hold(&mut self) {
        if let Some(life) = self.life.as_mut().filter(|life| !life.held) {
            life.held = true;
            let life = life.number;
            self.act(CommandAction::Hold { life });
        }
    }

    /// Continues the stopped program.
    pub(super) fn resume_program(&mut self) {
        if let Some(life) = self.life.as_mut().filter(|life| life.held) {
            life.held = false;
            let life = life.number;
            self.act(CommandAction::Continue { life });
        }
        self.stage = Stage::Running;
        self.restart_beat();
    }

    /// Sends a signal to the program, if there is one.
    fn signal(&mut self, signal: CommandSignal) {
        if let Some(life) = self.life.as_ref().map(|life| life.number) {
            self.act(CommandAction::Signal { life, signal });
        }
    }

    /// Kills the program and all its descendants.
    fn kill(&mut self) {
        let Some(life) = self.life.as_ref().map(|life| life.number) else { return };
        if let Stage::Ending { due, killed, .. } = &mut self.stage {
            (*due, *killed) = (self.clock.now().plus_ms(KILL_LIMIT_MS), true);
        }
        self.act(CommandAction::KillTree { life });
    }

    /// Starts the program with the current token.
    pub(super) fn spawn(&mut self) {
        self.lives += 1;
        let number = self.lives;
        let token = self.tokens.current().cloned();
        let beat = self.plan.heartbeat.as_ref().map(|_| BeatWatch::starting(self.clock.now()));
        if beat.is_some() {
            // Read the old content first, because the new program did not write it.
            self.act(CommandAction::ReadBeat { life: number });
        }
        self.ctrl_c = None;
        self.own_end = None;
        self.life = Some(Life { number, token: token.clone(), held: false, beat });
        self.stage = Stage::Starting;
        self.act(CommandAction::Spawn { life: number, token });
    }

    fn spawned(&mut self, life: u32) {
        if !self.is_current(life) {
            self.ignored("the start of a program that was not asked for");
            return;
        }
        self.restart_beat();
        if self.stage == Stage::Starting {
            self.stage = Stage::Running;
            self.look_at_token();
        }
    }

    fn restart_beat(&mut self) {
        let now = self.clock.now();
        if let (Some(plan), Some(beat)) = (&self.plan.heartbeat, self.life.as_mut().and_then(|life| life.beat.as_mut()))
        {
            beat.restart(now, plan);
        }
    }

    fn spawn_failed(&mut self, life: u32, fault: SpawnFault, message: String) {
        if !self.is_current(life) {
            self.ignored("a failed start that was not asked for");
            return;
        }
        self.life = None;
        if let Stage::Ending { after: After::Finish(outcome, reason), .. } = &self.stage {
            let (outcome, reason) = (*outcome, reason.clone());
            self.finish(outcome, reason);
            return;
        }
        match fault {
            SpawnFault::NotFound | SpawnFault::NotExecutable | SpawnFault::BadDirectory => {
                self.finish(Outcome::Failed, message);
            }
            SpawnFault::NoCredential => self.token_not_had(message),
            SpawnFault::NotAgreed => {
                self.needs_agreement = true;
                self.finish(Outcome::NeedsUser, format!("{message}; the command is not started again with it"));
            }
            SpawnFault::Exhausted | SpawnFault::Other => self.failed(&message),
        }
    }

    fn exited(&mut self, life: u32, exit: &CommandExit) {
        if !self.is_current(life) {
            self.ignored("the end of a program that was not there");
            return;
        }
        self.suspended = false;
        let token = self.life.take().and_then(|life| life.token);
        if exit.leaked > 0 {
            self.tell(format!("processes of the program that could not be ended: {}", exit.leaked));
        }
        self.leave_stage();
        match std::mem::replace(&mut self.stage, Stage::Starting) {
            Stage::Ending { after, .. } => self.proceed(after),
            Stage::NotBegun
            | Stage::Starting
            | Stage::Running
            | Stage::Asking(_)
            | Stage::Waiting(_)
            | Stage::Judging { .. }
            | Stage::Pausing { .. }
            | Stage::Finished => self.ended_by_itself(exit, token.as_ref()),
        }
    }

    /// Withdraws an open question and counts a wait, since the stage changes.
    fn leave_stage(&mut self) {
        if let Stage::Asking(asked) = &self.stage {
            let number = asked.question().number;
            self.act(CommandAction::AskNoMore { number });
        } else if let Stage::Waiting(pause) = self.stage {
            self.count_wait(&pause);
        }
    }

    fn ended_by_itself(&mut self, exit: &CommandExit, token: Option<&TokenId>) {
        if exit.code == Some(0) {
            self.finish(Outcome::Completed, "the program ended with exit code 0".to_owned());
            return;
        }
        let how = how(exit);
        let signalled = exit.code.is_none() && exit.signal.is_some();
        self.own_end = exit.code.or(exit.signal.map(|signal| 128 + signal)).map(|code| OwnEnd { code, signalled });
        if self.is_the_users_end(exit) {
            self.finish(Outcome::Interrupted, format!("ended by Ctrl-C: the program {how}"));
            return;
        }
        if let Some((_, what)) = NEVER_AGAIN.iter().find(|(code, _)| exit.code == Some(*code)) {
            self.passed_on = self.plan.restart_on != RestartOn::Failure;
            self.finish(
                Outcome::Failed,
                format!("the program {how}, by which a shell says that {what}; it is not started again"),
            );
            return;
        }
        let failure = format!("the program {how}");
        if token.is_some() && self.look_at_token() {
            self.stage = Stage::Judging { failure };
        } else {
            self.failed(&failure);
        }
    }

    fn is_the_users_end(&self, exit: &CommandExit) -> bool {
        let by_terminal = exit.signal.is_some_and(|signal| TERMINAL_SIGNALS.contains(&signal))
            || exit.code.is_some_and(|code| TERMINAL_SIGNALS.iter().any(|signal| code == 128 + signal));
        by_terminal
            || self.ctrl_c.is_some_and(|(at, as_signal)| {
                self.clock.now().ms_since(at) <= if as_signal { CTRL_C_SIGNAL_MS } else { CTRL_C_KEY_MS }
            })
    }

    /// The program failed: restarts it after a pause, or ends the run.
    pub(super) fn failed(&mut self, failure: &str) {
        let ends = match (self.plan.restart_on, self.own_end) {
            (RestartOn::Never, _) => true,
            (RestartOn::Signal, Some(end)) => !end.signalled,
            (RestartOn::Signal, None) | (RestartOn::Failure, _) => false,
        };
        if ends {
            self.passed_on = self.own_end.is_some();
            self.finish(Outcome::Failed, failure.to_owned());
            return;
        }
        let (max, failures) = (self.plan.max_restarts, self.failures.ended(self.clock.now()));
        if failures > max {
            let minutes = WINDOW_MS / 60_000;
            let so_often = match max {
                0 => "restarts are not allowed (--max-restarts 0)".to_owned(),
                1 => format!("it was restarted once already within {minutes} min, the most that --max-restarts allows"),
                _ => format!(
                    "it was restarted {max} times already within {minutes} min, the most that --max-restarts allows"
                ),
            };
            self.finish(Outcome::Failed, format!("{failure}; {so_often}"));
            return;
        }
        self.restarts += 1;
        let pause_ms = pause_ms(failures, self.plan.restart_delay_ms, &self.plan.seed);
        self.decide(format!("restart {failures} of {max}"), failure);
        let seconds = (pause_ms as f64 / 100.0).round() / 10.0;
        let otherwise = if self.restarts == 1 { "; --restart never passes its code on instead" } else { "" };
        self.tell(format!("{failure}; starting it again in {seconds} s (restart {failures} of {max}{otherwise})"));
        self.stage = Stage::Pausing { until: self.clock.now().plus_ms(pause_ms) };
    }

    /// Ends the program, if there is one; then does `after`.
    pub(super) fn end(&mut self, after: After) {
        let Some(life) = self.life.as_mut() else {
            self.proceed(after);
            return;
        };
        let number = life.number;
        let held = std::mem::take(&mut life.held);
        self.act(CommandAction::Signal { life: number, signal: CommandSignal::Term });
        if held {
            // A stopped process handles no signal but SIGKILL, so continue it.
            self.act(CommandAction::Continue { life: number });
        }
        self.stage = Stage::Ending { after, due: self.clock.now().plus_ms(self.plan.grace_ms), killed: false };
    }

    fn proceed(&mut self, after: After) {
        match after {
            After::Restart(failure) => self.failed(&failure),
            After::Take(token) => {
                self.take(token);
                self.spawn();
            }
            After::Finish(outcome, reason) => self.finish(outcome, reason),
        }
    }

    pub(super) fn finish(&mut self, outcome: Outcome, reason: String) {
        self.stage = Stage::Finished;
        self.decide(format!("end: {}", outcome.as_str()), reason.clone());
        self.act(CommandAction::Show(Show::Finished { outcome, reason: reason.clone() }));
        self.act(CommandAction::Finish(Finish {
            restarts: self.restarts,
            rotations: self.rotations,
            waited_ms: self.waited.ms(),
            needs: self.needs_agreement.then_some(Needs::Agreement),
            ..Finish::new(outcome, reason)
        }));
    }

    fn stopped(&mut self, life: u32, signal: i32) {
        let running = matches!(self.stage, Stage::Running | Stage::Starting);
        if !self.is_current(life) || !running || self.suspended {
            self.ignored("a stop of the program");
            return;
        }
        self.decide("stop with the program", format!("it was stopped by signal {signal}"));
        self.suspend();
    }

    fn suspend(&mut self) {
        self.suspended = true;
        self.act(CommandAction::Suspend);
    }

    fn resumed(&mut self) {
        if !std::mem::take(&mut self.suspended) {
            return;
        }
        let (now, grace_ms) = (self.clock.now(), self.plan.grace_ms);
        if let Stage::Ending { due, killed: false, .. } = &mut self.stage {
            *due = now.plus_ms(grace_ms);
        }
        if let Stage::Asking(asked) = &mut self.stage {
            asked.ask_on(self.clock);
        }
        // A program that ccc stopped for a reset stays stopped.
        if self.life.as_ref().is_some_and(|life| !life.held) {
            self.restart_beat();
            self.signal(CommandSignal::Cont);
        }
    }

    fn operator(&mut self, operator: CommandOperator) {
        match operator {
            CommandOperator::Interrupt => match self.life.as_ref().filter(|life| !life.held) {
                Some(_) => {
                    self.ctrl_c = Some((self.clock.now(), true));
                    self.signal(CommandSignal::Int);
                }
                None => self.end_asked("Ctrl-C".to_owned()),
            },
            CommandOperator::Suspend if self.suspended => self.ignored("a second Ctrl-Z"),
            // The program either stops, which is reported, or ignores SIGTSTP.
            CommandOperator::Suspend if self.is_alive() && matches!(self.stage, Stage::Running | Stage::Starting) => {
                self.signal(CommandSignal::Tstp);
            }
            CommandOperator::Suspend => self.suspend(),
            CommandOperator::End { reason } => self.end_asked(reason),
            CommandOperator::Answer { number, choice } => {
                if let Stage::Asking(asked) = &self.stage
                    && asked.question().number == number
                {
                    let asked = asked.clone();
                    self.answered(asked, choice);
                } else {
                    self.ignored("an answer to no question");
                }
            }
        }
    }

    fn end_asked(&mut self, reason: String) {
        self.ends_asked += 1;
        self.suspended = false;
        if let Stage::Ending { after, killed, .. } = &mut self.stage {
            *after = After::Finish(Outcome::Interrupted, reason);
            if self.ends_asked > 1 && !*killed {
                self.kill();
            }
            return;
        }
        self.leave_stage();
        self.decide("end the program", reason.clone());
        self.end(After::Finish(Outcome::Interrupted, reason));
    }

    fn beat(&mut self, life: u32, reading: &BeatReading) {
        let now = self.clock.now();
        let Some(plan) = self.plan.heartbeat.clone() else {
            self.ignored("a heartbeat that nobody watches");
            return;
        };
        if !self.is_current(life) {
            self.ignored("a heartbeat of another life");
            return;
        }
        if let BeatReading::Malformed(why) = reading
            && !std::mem::replace(&mut self.told_malformed, true)
        {
            self.tell(format!("{}: this is no heartbeat ({why}); it counts as none", plan.file));
        }
        let Some(watch) = self.life.as_mut().and_then(|life| life.beat.as_mut()) else { return };
        let pulse = watch.read(now, reading, &plan);
        // A stopped program writes no heartbeat, and an ending one needs none.
        if self.stage != Stage::Running || self.suspended {
            return;
        }
        if let BeatState::Stale { for_ms, first } = pulse {
            let seconds = for_ms / 1_000;
            let failure = if first {
                format!("no first heartbeat within {seconds} s in {}", plan.file)
            } else {
                format!("no heartbeat for {seconds} s in {}", plan.file)
            };
            self.decide("end the program", failure.clone());
            self.end(After::Restart(failure));
        }
    }

    fn elapsed(&mut self) {
        let now = self.clock.now();
        let look_overdue = self.looks.open_until().is_some_and(|due| now >= due);
        match &mut self.stage {
            Stage::NotBegun | Stage::Starting | Stage::Finished => {}
            Stage::Running => {
                if look_overdue {
                    self.looks.give_up();
                }
                self.look_when_due();
                let beat = self.life.as_mut().and_then(|life| life.beat.as_mut().map(|beat| (life.number, beat)));
                if let Some((life, beat)) = beat
                    && beat.next_look().is_some_and(|due| now >= due)
                {
                    beat.looking();
                    self.act(CommandAction::ReadBeat { life });
                }
            }
            Stage::Asking(asked) => {
                if now >= asked.due() {
                    let asked = asked.clone();
                    self.decide("take the default", "nobody answered");
                    let default = asked.question().default;
                    self.answered(asked, default);
                }
            }
            Stage::Waiting(pause) => {
                let pause = *pause;
                self.waiting_elapsed(&pause, look_overdue);
            }
            Stage::Ending { after, due, killed } => {
                if now < *due {
                    return;
                }
                if self.life.is_none() {
                    return;
                }
                if *killed {
                    let reason = match after {
                        After::Finish(_, reason) | After::Restart(reason) => reason.clone(),
                        After::Take(_) => "another token was to be taken".to_owned(),
                    };
                    self.life = None;
                    self.finish(Outcome::Failed, format!("{reason}; the program could not be killed"));
                } else {
                    self.decide("kill the program", "it did not end by SIGTERM within the grace");
                    self.kill();
                }
            }
            Stage::Judging { failure } => {
                if look_overdue {
                    let failure = failure.clone();
                    self.looks.give_up();
                    self.failed(&failure);
                }
            }
            Stage::Pausing { until } => {
                if now >= *until {
                    self.start();
                }
            }
        }
    }
}

/// How the program ended, as the end of a sentence.
fn how(exit: &CommandExit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}
