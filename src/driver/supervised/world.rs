//! The world of a supervised command.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::control::protocol::{Code, Fault, Reply};
use crate::control::{Hub, Order};
use crate::core::supervised::{
    BeatReading, CommandAction, CommandCore, CommandExit, CommandInput, CommandOperator, KeysFor,
};
use crate::core::{Finish, Question, Show, Tick, TokenFact, TokenId};
use crate::driver::clock::Clock;
use crate::driver::console::Console;
use crate::driver::control::{Control, Controller, Controls, HostLink};
use crate::driver::engine::{self, Closed, Engine, Reaction, drive, feed, settle, write_summary};
use crate::driver::host::in_foreground;
use crate::driver::pending::Pending;
use crate::driver::{CommandWorkers, journal_news};
use crate::guard::SettingsOfAgent;
use crate::journal::{JournalNews, JournalWriter, RunDir, RunKind, RunSummary};
use crate::process::{
    CTRL_BACKSLASH, CTRL_C, CTRL_Z, Exit, InteractiveChild, InteractiveSink, InteractiveTerminal, KeySink, Keys,
    Signal, TerminalGuard, UserTerminal,
};
use crate::ui::{Printer, Screen, ScreenOutput};
use redaction::Redactor;

/// How long ccc waits, before it exits, for killed processes to end.
const KILL_TIMEOUT: Duration = Duration::from_millis(500);
/// The timeout for the final output to reach the screen.
const FINAL_OUTPUT_TIMEOUT: Duration = Duration::from_secs(2);
const ESCAPE: u8 = 0x1b;

/// The source of the tokens. Their values pass through it only into the program's environment.
pub trait TokenSupply: Debug + Send + Sync {
    /// The state of all tokens.
    fn facts(&self) -> Vec<TokenFact>;
    /// The environment of a program with this token and no other, based on that of ccc. May block.
    ///
    /// # Errors
    /// Why the token's value is not available, without any value.
    fn environment(&self, token: Option<&TokenId>) -> Result<Vec<(OsString, OsString)>, String>;
    /// A redactor of all values known so far.
    fn redactor(&self) -> Redactor;
    /// The run is over: pending calls for a token return, and their processes are ended.
    fn give_up(&self);
    /// Asks the provider about the token, informs the other ccc processes, and returns the state afterwards. Blocks.
    fn look(&self, token: &TokenId) -> Looked;
}

/// The result of asking the provider about a token.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// The state of all tokens.
    pub tokens: Vec<TokenFact>,
    /// Whether the provider just reported that token as limited; `None` when it did not say.
    pub spent: Option<bool>,
}

/// What a supervised command needs.
#[derive(Debug)]
pub struct CommandSetup {
    /// A fresh core.
    pub core: CommandCore,
    /// The run's directory.
    pub run_dir: RunDir,
    /// The journal.
    pub journal: JournalWriter,
    /// Applied to the summary.
    pub redactor: Redactor,
    /// When the run began, unix milliseconds.
    pub started_unix_ms: i64,
    /// The path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its tokens.
    pub tokens: Arc<dyn TokenSupply>,
    /// The project's settings of the agent, if the program may read them.
    pub settings: Option<SettingsOfAgent>,
    /// The user's terminal, if stdout is one.
    pub terminal: Option<UserTerminal>,
    /// Whether ccc's messages go to that terminal: stderr is a terminal, too.
    pub talk_on_terminal: bool,
    /// Renders ccc's messages.
    pub printer: Printer,
    /// Writes ccc's messages when they do not go to the program's terminal.
    pub screen: Screen,
    /// The worker threads for jobs that the loop does not wait for.
    pub workers: CommandWorkers,
    /// Publishes the run to clients of the control socket.
    pub hub: Option<Hub>,
}

/// How a command's run ended.
#[derive(Debug)]
pub struct CommandEnd {
    /// The outcome; `None` when the user left before there was one.
    pub finish: Option<Finish>,
    /// The program's own exit code at its last exit.
    pub own_code: Option<u8>,
    /// The program's exit code that ccc exits with.
    pub code_to_pass_on: Option<u8>,
    /// The last news about the journal for the user.
    pub journal_news: Option<JournalNews>,
    /// What the journal lacks and why, in words.
    pub journal_missing: Option<String>,
    /// For the final output; earlier output has been written.
    pub screen: Screen,
}

/// What a thread reports to the run.
#[derive(Debug)]
pub(super) enum Event {
    Stopped {
        life: u32,
        signal: i32,
    },
    Exited {
        life: u32,
        exit: Exit,
    },
    CtrlC {
        as_signal: bool,
    },
    Typed(Vec<u8>),
    /// The program writes, although the terminal belonged to another job at the last check.
    TerminalIsOurs,
    TokensKnown {
        request: u32,
        looked: Looked,
    },
    /// The program's environment, and why it must not start, if so.
    Prepared {
        life: u32,
        environment: Result<Vec<(OsString, OsString)>, String>,
        objection: Option<String>,
    },
    BeatRead {
        life: u32,
        reading: BeatReading,
    },
}

/// Hosts the run of a command in the foreground until the core has finished. `sources` gets the controller, so that other
/// sources than the signals of the process can control the run.
///
/// # Errors
/// When the system provides no event loop, no signal handlers, or no threads.
pub fn run_command(setup: CommandSetup, sources: impl FnOnce(&Controller)) -> std::io::Result<CommandEnd> {
    in_foreground(|controller, controls| {
        sources(controller);
        Ok(CommandRun::new(setup)?.drive(controls))
    })
}

/// The run of a command that is prepared, and not yet driven by a host.
#[derive(Debug)]
pub struct CommandRun {
    setup: CommandSetup,
    inbox: mpsc::UnboundedSender<Event>,
    events: mpsc::UnboundedReceiver<Event>,
    terminal_guard: Option<TerminalGuard>,
    console: Option<Console>,
    keys: Option<Keys>,
}

impl CommandRun {
    /// Prepares the run: starts to read the user's terminal, but no program.
    ///
    /// # Errors
    /// When the system provides no threads.
    pub fn new(setup: CommandSetup) -> std::io::Result<Self> {
        let (inbox, events) = mpsc::unbounded_channel();
        // Restores the terminal however the run ends.
        let terminal_guard = setup.terminal.as_ref().map(UserTerminal::guard);
        let console = setup.terminal.clone().map(Console::on).transpose()?;
        let keys =
            setup.terminal.as_ref().map(|terminal| Keys::of(terminal, OutputReader::of(inbox.clone()))).transpose()?;
        Ok(Self { setup, inbox, events, terminal_guard, console, keys })
    }

    /// Runs until the core has finished; see [`Run::drive`](crate::driver::Run::drive).
    pub async fn drive(self, mut controls: Controls) -> CommandEnd {
        let Self { setup, inbox, mut events, terminal_guard, console, keys } = self;
        let clock = Clock::starting_at(Tick::ZERO, controls.wall_clock());
        let mut world = World {
            run: Engine::new(setup.core, clock, setup.journal, setup.run_dir, setup.started_unix_ms),
            host: controls.host(),
            redactor: Arc::new(setup.redactor),
            program: setup.program,
            args: setup.args,
            tokens: setup.tokens,
            settings: setup.settings,
            terminal: setup.terminal,
            talk_on_terminal: setup.talk_on_terminal,
            console,
            keys,
            keys_to: KeysTo::Nobody,
            terminal_guard,
            printer: setup.printer,
            screen: setup.screen,
            hub: setup.hub,
            inbox,
            child: None,
            to_start: None,
            preparing: 0,
            beats: Pending::new(setup.workers.heartbeat_patience),
            unread: 0,
            workers: setup.workers,
            question: None,
            suspended: false,
            ends: 0,
        };
        world.take_terminal();
        let (unix_ms, tokens) = (world.run.clock.unix_ms(), world.tokens.facts());
        feed(&mut world, CommandInput::Began { unix_ms, tokens });
        drive(&mut world, &mut events, &mut controls).await;
        world.leave(events).await
    }
}

/// Posts the events of the program and of the keyboard.
#[derive(Debug, Clone)]
pub(super) struct OutputReader {
    pub(super) inbox: mpsc::UnboundedSender<Event>,
    pub(super) life: u32,
    pub(super) console: Option<Console>,
    pub(super) terminal: Option<UserTerminal>,
}

impl OutputReader {
    fn of(inbox: mpsc::UnboundedSender<Event>) -> Self {
        Self { inbox, life: 0, console: None, terminal: None }
    }

    fn post(&self, event: Event) {
        // Nobody receives it once the run is over.
        let _ = self.inbox.send(event);
    }
}

impl InteractiveSink for OutputReader {
    fn output(&self, chunk: &[u8]) {
        if let Some(console) = &self.console {
            console.program_wrote(chunk);
        }
        // Nothing announces that a shell has brought a running job to the foreground.
        if self.terminal.as_ref().is_some_and(|terminal| !terminal.is_raw() && terminal.is_ours()) {
            self.post(Event::TerminalIsOurs);
        }
    }

    fn stopped(&self, signal: i32) {
        self.post(Event::Stopped { life: self.life, signal });
    }

    fn exited(&self, exit: Exit) {
        // All its output has been shown, and the next program has not begun.
        if let Some(console) = &self.console {
            console.tidy();
        }
        self.post(Event::Exited { life: self.life, exit });
    }
}

impl KeySink for OutputReader {
    fn typed(&self, keys: &[u8]) {
        self.post(Event::Typed(keys.to_vec()));
    }

    fn passed_ctrl_c(&self, as_signal: bool) {
        self.post(Event::CtrlC { as_signal });
    }

    fn closed(&self) {
        // SIGHUP follows.
    }
}

/// Who gets the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeysTo {
    Nobody,
    Program(u32),
    Ourselves,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) run: Engine<CommandCore>,
    pub(super) host: HostLink,
    redactor: Arc<Redactor>,
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) tokens: Arc<dyn TokenSupply>,
    pub(super) settings: Option<SettingsOfAgent>,
    pub(super) terminal: Option<UserTerminal>,
    talk_on_terminal: bool,
    pub(super) console: Option<Console>,
    keys: Option<Keys>,
    keys_to: KeysTo,
    terminal_guard: Option<TerminalGuard>,
    printer: Printer,
    screen: Screen,
    pub(super) hub: Option<Hub>,
    pub(super) inbox: mpsc::UnboundedSender<Event>,
    /// The program and the number of its life.
    pub(super) child: Option<(u32, Arc<InteractiveChild>)>,
    /// The life to start once its preparation is done, and its token.
    pub(super) to_start: Option<(u32, Option<TokenId>)>,
    /// How many threads are preparing a start.
    pub(super) preparing: usize,
    /// Lives whose heartbeat file is being read.
    pub(super) beats: Pending<u32, ()>,
    /// Reads that the worker has not finished.
    pub(super) unread: usize,
    pub(super) workers: CommandWorkers,
    pub(super) question: Option<Question>,
    /// The core has ordered a stop of ccc itself, and has not been told of its end.
    pub(super) suspended: bool,
    /// How often the user or the system has asked for the end.
    ends: u32,
}

impl World {
    /// Ends what still runs and restores the terminal, then releases everything.
    async fn leave(mut self, mut events: mpsc::UnboundedReceiver<Event>) -> CommandEnd {
        settle(&mut self);
        write_summary(&mut self, "finished");
        self.tokens.give_up();
        if let Some((_, child)) = self.child.clone() {
            self.workers.processes.give(move || child.kill_tree());
        }
        if self.child.is_some() || self.preparing > 0 {
            let deadline = self.run.clock.after(KILL_TIMEOUT);
            while self.child.is_some() || self.preparing > 0 {
                tokio::select! {
                    event = events.recv() => match event {
                        Some(Event::Exited { .. }) => self.child = None,
                        Some(Event::Prepared { .. }) => self.preparing = self.preparing.saturating_sub(1),
                        None => break,
                        Some(_) => {}
                    },
                    () = tokio::time::sleep_until(deadline) => break,
                }
            }
        }
        if let Some(console) = &self.console {
            console.finish(FINAL_OUTPUT_TIMEOUT);
        }
        drop(self.keys.take());
        drop(self.terminal_guard.take());
        let Closed { core, finish, news: journal_news, missing: journal_missing } = self.run.close();
        let (own_code, code_to_pass_on) = (core.own_code(), core.code_to_pass_on());
        CommandEnd { finish, own_code, code_to_pass_on, journal_news, journal_missing, screen: self.screen }
    }

    fn operator(&mut self, operator: CommandOperator) {
        feed(self, CommandInput::Operator(operator));
    }

    /// Handles keys that ccc reads: the control keys, and the answer to a question.
    fn typed(&mut self, keys: &[u8]) {
        // Escape sequences of arrow keys and the mouse contain letters and digits that nobody typed.
        if keys.first() == Some(&ESCAPE) {
            return;
        }
        for key in keys {
            match *key {
                CTRL_C => self.operator(CommandOperator::Interrupt),
                CTRL_Z => self.operator(CommandOperator::Suspend),
                CTRL_BACKSLASH => self.operator(CommandOperator::End { reason: "Ctrl-\\".to_owned() }),
                key => {
                    let Some(question) = &self.question else { continue };
                    let typed = char::from(key).to_string();
                    if let Some(choice) = question.read(&typed) {
                        let number = question.number;
                        self.operator(CommandOperator::Answer { number, choice });
                    }
                }
            }
        }
    }

    /// SIGCONT: the end of a stop that the core ordered, or of one from outside.
    fn continued(&mut self) {
        self.take_terminal();
        self.resize();
        if std::mem::take(&mut self.suspended) {
            let unix_ms = self.run.clock.unix_ms();
            feed(self, CommandInput::Resumed { unix_ms });
        }
    }

    fn resize(&mut self) {
        let size = self.terminal.as_ref().and_then(UserTerminal::size);
        if let (Some(size), Some(terminal)) = (size, self.program_terminal()) {
            terminal.resize(size);
        }
        // In a pipeline the program may use the terminal itself, but only ccc gets its signals.
        if let (None, Some((life, _))) = (&self.terminal, &self.child) {
            self.order(*life, |child| child.signal(Signal::WindowChange));
        }
    }

    pub(super) fn program_terminal(&self) -> Option<&InteractiveTerminal> {
        self.child.as_ref().and_then(|(_, child)| child.terminal())
    }

    pub(super) fn take_terminal(&mut self) {
        if let Some(terminal) = &self.terminal
            && let Err(error) = terminal.make_raw()
        {
            tracing::warn!(%error, "the terminal cannot be set");
        }
    }

    /// Restores the terminal for the time of a stop.
    pub(super) fn give_terminal(&mut self) {
        if let (Some(keys), Some(terminal)) = (&self.keys, &self.terminal) {
            keys.pause();
            self.keys_to = KeysTo::Nobody;
            if let Some(console) = &self.console {
                console.finish(FINAL_OUTPUT_TIMEOUT);
            }
            terminal.restore();
        }
    }

    /// Leaves typed keys in the terminal until [`World::route_keys`] has decided who gets them.
    fn hold_keys(&mut self) {
        if let Some(keys) = &self.keys {
            keys.pause();
            self.keys_to = KeysTo::Nobody;
        }
    }

    /// Routes the keys as the core has decided.
    fn route_keys(&mut self) {
        let (Some(keys), Some(terminal)) = (&self.keys, &self.terminal) else { return };
        let to = match (&self.child, self.run.core.keys()) {
            _ if !terminal.is_raw() || self.suspended => KeysTo::Nobody,
            (_, KeysFor::Nobody) => KeysTo::Nobody,
            (Some((life, _)), KeysFor::Program) => KeysTo::Program(*life),
            (None, KeysFor::Program) | (_, KeysFor::Ourselves) => KeysTo::Ourselves,
        };
        if to == self.keys_to {
            return;
        }
        self.keys_to = to;
        match (to, self.child.as_ref().and_then(|(_, child)| child.terminal())) {
            (KeysTo::Program(_), Some(terminal)) => keys.to_program(terminal),
            (KeysTo::Ourselves, _) => keys.to_ccc(),
            (KeysTo::Program(_) | KeysTo::Nobody, _) => keys.pause(),
        }
    }

    /// Shows what the core decided to show.
    pub(super) fn show_of_fact(&mut self, now: Tick, show: &Show) {
        let i = self.run.fact.1;
        self.run.fact.1 += 1;
        self.tell_clients(now, show, Some(i));
        self.say(now, show);
    }

    /// Shows a remark of ccc's own, which is not part of the run.
    fn remark(&mut self, now: Tick, text: String) {
        let show = Show::Notice { text };
        self.tell_clients(now, &show, None);
        self.say(now, &show);
    }

    fn tell_clients(&self, now: Tick, show: &Show, i: Option<u32>) {
        if let Some(hub) = &self.hub {
            hub.show(self.run.fact.0, i, now, self.run.clock.unix_ms(), show.clone());
            hub.release();
        }
    }

    fn say(&mut self, now: Tick, show: &Show) {
        // The command prints the outcome at its end, where it does not disturb the program's screen.
        if matches!(show, Show::Finished { .. }) {
            return;
        }
        self.printer.clock(now, self.run.clock.unix_ms());
        let output = self.printer.render(now, show);
        if output.is_empty() {
            return;
        }
        let output = ScreenOutput::talk(format!("ccc {}", output.text));
        match &self.console {
            Some(console) if self.talk_on_terminal => console.say(output.text),
            Some(_) | None => drop(self.screen.put(output)),
        }
    }
}

impl engine::World for World {
    type Machine = CommandCore;
    type Event = Event;

    fn run(&self) -> &Engine<CommandCore> {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Engine<CommandCore> {
        &mut self.run
    }

    fn control(&mut self, control: Control) -> Reaction {
        match control {
            Control::End(reason) => {
                self.ends += 1;
                if self.ends >= 3 {
                    return Reaction::Leave;
                }
                self.operator(CommandOperator::End { reason });
            }
            Control::Interrupt => self.operator(CommandOperator::Interrupt),
            Control::Suspend => self.operator(CommandOperator::Suspend),
            Control::Continued => self.continued(),
            Control::Resized(_) => self.resize(),
            Control::Operator(operator) => {
                if let Some(operator) = CommandOperator::of(operator) {
                    self.operator(operator);
                }
            }
            Control::Order(Order { input, done }) => {
                let reply = match CommandOperator::of(input) {
                    Some(operator) => {
                        self.operator(operator);
                        Reply::Done
                    }
                    None => Reply::Fault(Fault::new(
                        Code::Refused,
                        "this run supervises a command, and does not accept messages",
                    )),
                };
                // A client that is gone does not receive it.
                let _ = done.send(reply);
            }
            Control::Attending(_) | Control::Hook(_) => {}
            Control::Remark(text) => {
                let now = self.run.clock.now();
                self.remark(now, text);
            }
        }
        Reaction::GoOn
    }

    fn decided(&mut self, _: &mut VecDeque<CommandInput>) {
        // Before anything is shown, so that an immediate answer is read.
        self.route_keys();
    }

    fn perform(&mut self, now: Tick, action: CommandAction, at_once: &mut VecDeque<CommandInput>) {
        self.perform_action(now, action, at_once);
    }

    fn settled(&mut self) {
        self.route_keys();
    }

    fn tell(&mut self, news: &JournalNews) {
        let now = self.run.clock.now();
        self.remark(now, journal_news(news));
    }

    fn summary(&self, base: RunSummary) -> RunSummary {
        let plan = self.run.core.plan();
        RunSummary {
            task: RunSummary::task_of(&plan.command.join(" "), &self.redactor),
            cwd: plan.cwd.clone(),
            restarts: self.run.core.restarts(),
            rotations: self.run.core.rotations(),
            kind: Some(RunKind::Command.into()),
            ..base
        }
    }

    fn redactor(&self) -> Arc<Redactor> {
        Arc::clone(&self.redactor)
    }

    fn beat(&mut self) {
        let unix_ms = self.run.clock.unix_ms();
        self.run.heart.beat(&self.run.phase_written, None, unix_ms);
    }

    fn overdue_at(&self) -> Option<Instant> {
        self.beats.due()
    }

    fn answer_overdue(&mut self) {
        for (life, ()) in self.beats.overdue(self.run.clock.instant_now()) {
            self.beat_read(life, BeatReading::Malformed("it could not be read in time".to_owned()));
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Stopped { life, signal } => feed(self, CommandInput::Stopped { life, signal }),
            Event::Exited { life, exit } => {
                self.child = None;
                let exit = CommandExit {
                    code: exit.code,
                    signal: exit.signal,
                    swept: exit.swept,
                    leaked: exit.leaked,
                    output_bytes: self.console.as_ref().map(Console::take_written_bytes),
                };
                feed(self, CommandInput::Exited { life, exit });
            }
            Event::CtrlC { as_signal } => feed(self, CommandInput::CtrlC { as_signal }),
            Event::Typed(keys) => self.typed(&keys),
            Event::TerminalIsOurs => {
                if !self.suspended {
                    self.take_terminal();
                    self.route_keys();
                }
            }
            Event::TokensKnown { request, looked: Looked { tokens, spent } } => {
                let unix_ms = self.run.clock.unix_ms();
                feed(self, CommandInput::Tokens { request, tokens, unix_ms, spent });
            }
            Event::BeatRead { life, reading } => {
                self.unread = self.unread.saturating_sub(1);
                if self.beats.answered(&life).is_some() {
                    self.beat_read(life, reading);
                }
            }
            Event::Prepared { life, environment, objection } => {
                self.preparing = self.preparing.saturating_sub(1);
                // The redactor must know a fetched value before the program can print it.
                let redactor = self.tokens.redactor();
                *self.run.journal.redactor_mut() = redactor.clone();
                self.redactor = Arc::new(redactor);
                // Cancelled meanwhile.
                if self.to_start.take_if(|(waiting, _)| *waiting == life).is_none() {
                    return;
                }
                // The program's first output may be visible before its start is known: keys typed in answer belong to it.
                self.hold_keys();
                let input = self.spawn_with(life, environment, objection);
                // Before its entry is written, because its first output may be answered at once.
                self.route_keys();
                feed(self, input);
            }
        }
    }
}
