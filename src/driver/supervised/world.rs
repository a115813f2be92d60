//! The world of a supervised command.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::console::Console;
use crate::core::supervised::{CommandAction, CommandCore, CommandExit, CommandInput, CommandOperator, KeysFor};
use crate::core::{Finish, Question, Show, Tick, TokenFact, TokenId};
use crate::driver::clock::Clock;
use crate::driver::control::{Control, Controls, HostLink};
use crate::driver::engine::{self, Steps, Then, drive, feed, write_summary};
use crate::driver::host::in_foreground;
use crate::driver::journal_news;
use crate::guard::SettingsOfAgent;
use crate::journal::{JournalNews, JournalWriter, RunDir, RunKind, RunSummary};
use crate::process::{
    CTRL_C, Exit, InteractiveChild, InteractiveSink, InteractiveTerminal, KeySink, Keys, Signal, TerminalGuard,
    UserTerminal,
};
use crate::ui::{Printer, Screen, ScreenOutput};
use redaction::Redactor;

/// How long ccc, leaving, waits for the end of what it has killed.
const KILL_PATIENCE: Duration = Duration::from_millis(500);
/// How long the last words may take to reach the screen.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The bytes of Ctrl-Z and Ctrl-\, where keys are ccc's.
const CTRL_Z: u8 = 0x1a;
const CTRL_BACKSLASH: u8 = 0x1c;
const ESCAPE: u8 = 0x1b;

/// Where tokens come from. Values pass through it on their way into the program's environment only.
pub trait TokenSupply: Debug + Send + Sync {
    /// What is known about all tokens.
    fn facts(&self) -> Vec<TokenFact>;
    /// Whether [`TokenSupply::environment`] may take its time.
    fn is_slow(&self, token: &TokenId) -> bool;
    /// The environment of a program with this token and no other, made of ours. May block.
    ///
    /// # Errors
    /// Why the token's value cannot be had, without any value.
    fn environment(&self, token: Option<&TokenId>) -> Result<Vec<(OsString, OsString)>, String>;
    /// A redactor of all values that are known by now.
    fn redactor(&self) -> Redactor;
    /// The run is over: calls that still block for a token return, and what was started for them is ended.
    fn give_up(&self);
    /// Asks the provider about the token, tells the other ccc processes, and gives what is known then. Blocks.
    fn look(&self, token: &TokenId) -> Looked;
}

/// What is known after the provider was asked about a token.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// What is known about all tokens.
    pub tokens: Vec<TokenFact>,
    /// Whether the provider has just called that token spent; `None` when it said nothing about it.
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
    /// For the summary.
    pub redactor: Redactor,
    /// When the run began, unix milliseconds.
    pub started_unix_ms: i64,
    /// The program: a path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its tokens.
    pub tokens: Arc<dyn TokenSupply>,
    /// The project's settings of the agent, when the program may read them.
    pub settings: Option<SettingsOfAgent>,
    /// The user's terminal, when stdout is one.
    pub terminal: Option<UserTerminal>,
    /// Whether what ccc says belongs on that terminal: stderr is one, too.
    pub talk_on_terminal: bool,
    /// What renders what ccc says.
    pub printer: Printer,
    /// Where it is said when not on the program's terminal.
    pub screen: Screen,
}

/// How it ended.
#[derive(Debug)]
pub struct CommandEnd {
    /// The outcome; `None` when the user left without waiting for one.
    pub finish: Option<Finish>,
    /// The program's own exit code at its last end.
    pub own_code: Option<u8>,
    /// The exit code that ccc passes on for the program.
    pub code_to_pass_on: Option<u8>,
    /// What the user should hear of the journal at last.
    pub journal_news: Option<JournalNews>,
    /// For the last words; what was said before has been written.
    pub screen: Screen,
}

/// Something happened.
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
    /// The program writes although the terminal was another job's when we looked.
    TerminalIsOurs,
    TokensKnown {
        request: u32,
        looked: Looked,
    },
    Environment {
        life: u32,
        environment: Result<Vec<(OsString, OsString)>, String>,
    },
}

/// Hosts the run of a command in the foreground until the core has finished.
///
/// # Errors
/// When the system gives no event loop, no signal handlers, or no threads.
pub fn run_command(setup: CommandSetup) -> std::io::Result<CommandEnd> {
    in_foreground(|_, controls| Ok(CommandRun::new(setup)?.drive(controls)))
}

/// The run of a command that waits for a host.
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
    /// Prepares it: the user's terminal is listened to, nothing is started.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn new(setup: CommandSetup) -> std::io::Result<Self> {
        let (inbox, events) = mpsc::unbounded_channel();
        // Given back however the run ends.
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
            run: Steps::new(setup.core, clock, setup.journal, setup.run_dir, setup.started_unix_ms),
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
            inbox,
            child: None,
            to_start: None,
            fetching: 0,
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

/// What the program and the user let us hear.
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
        // Nobody listens any more once the run is over.
        let _ = self.inbox.send(event);
    }
}

impl InteractiveSink for OutputReader {
    fn output(&self, chunk: &[u8]) {
        if let Some(console) = &self.console {
            console.program_wrote(chunk);
        }
        // A shell that brings a running job to the foreground says so to nobody.
        if self.terminal.as_ref().is_some_and(|terminal| !terminal.is_raw() && terminal.is_ours()) {
            self.post(Event::TerminalIsOurs);
        }
    }

    fn stopped(&self, signal: i32) {
        self.post(Event::Stopped { life: self.life, signal });
    }

    fn exited(&self, exit: Exit) {
        // All that it wrote has been shown, and the next one has not begun.
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
        // SIGHUP comes with it.
    }
}

/// Whose keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeysTo {
    Nobody,
    Program(u32),
    Ourselves,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) run: Steps<CommandCore>,
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
    pub(super) inbox: mpsc::UnboundedSender<Event>,
    /// The program and the number of its life.
    pub(super) child: Option<(u32, InteractiveChild)>,
    /// The life that is started when the value of its token is at hand.
    pub(super) to_start: Option<u32>,
    /// How many threads wait for such a value.
    pub(super) fetching: usize,
    pub(super) question: Option<Question>,
    /// The core has ordered a stop of ccc itself and has not heard of its end.
    pub(super) suspended: bool,
    /// How often the end was asked for.
    ends: u32,
}

impl World {
    /// Ends what still runs, gives the terminal back, and only then lets go.
    async fn leave(mut self, mut events: mpsc::UnboundedReceiver<Event>) -> CommandEnd {
        write_summary(&mut self, "finished");
        self.tokens.give_up();
        if let Some((_, child)) = &self.child {
            child.kill_tree();
        }
        if self.child.is_some() || self.fetching > 0 {
            let deadline = self.run.clock.after(KILL_PATIENCE);
            while self.child.is_some() || self.fetching > 0 {
                tokio::select! {
                    event = events.recv() => match event {
                        Some(Event::Exited { .. }) => self.child = None,
                        Some(Event::Environment { .. }) => self.fetching = self.fetching.saturating_sub(1),
                        None => break,
                        Some(_) => {}
                    },
                    () = tokio::time::sleep_until(deadline) => break,
                }
            }
        }
        if let Some(console) = &self.console {
            console.finish(LAST_WORDS);
        }
        drop(self.keys.take());
        drop(self.terminal_guard.take());
        let (core, finish, journal_news) = self.run.close();
        let (own_code, code_to_pass_on) = (core.own_code(), core.code_to_pass_on());
        CommandEnd { finish, own_code, code_to_pass_on, journal_news, screen: self.screen }
    }

    fn operator(&mut self, operator: CommandOperator) {
        feed(self, CommandInput::Operator(operator));
    }

    /// Keys that are ccc's: the control keys, and the answer to a question.
    fn typed(&mut self, keys: &[u8]) {
        // Arrow keys and reports of the mouse hold letters and digits that nobody typed.
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

    /// SIGCONT: the end of a stop that the core has ordered, or of one that somebody else has caused.
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
        if let (Some(size), Some(terminal)) = (size, self.guest_terminal()) {
            terminal.resize(size);
        }
        // In a pipeline the program's descriptors may be the terminal itself, whose signals come to us only.
        if let (None, Some((_, child))) = (&self.terminal, &self.child) {
            child.signal(Signal::WindowChange);
        }
    }

    pub(super) fn guest_terminal(&self) -> Option<&InteractiveTerminal> {
        self.child.as_ref().and_then(|(_, child)| child.terminal())
    }

    pub(super) fn take_terminal(&mut self) {
        if let Some(terminal) = &self.terminal
            && let Err(error) = terminal.make_raw()
        {
            tracing::warn!(%error, "the terminal cannot be set");
        }
    }

    /// Gives the terminal back for a while.
    pub(super) fn give_terminal(&mut self) {
        if let (Some(keys), Some(terminal)) = (&self.keys, &self.terminal) {
            keys.to_nobody();
            self.keys_to = KeysTo::Nobody;
            if let Some(console) = &self.console {
                console.finish(LAST_WORDS);
            }
            terminal.restore();
        }
    }

    /// Sees to it that keys go where the core has them.
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
            (KeysTo::Program(_), Some(terminal)) => keys.to_guest(terminal),
            (KeysTo::Ourselves, _) => keys.to_ourselves(),
            (KeysTo::Program(_) | KeysTo::Nobody, _) => keys.to_nobody(),
        }
    }

    pub(super) fn show(&mut self, now: Tick, show: &Show) {
        // How it ended is the last word of the command, and not in the program's way.
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

    fn run(&self) -> &Steps<CommandCore> {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Steps<CommandCore> {
        &mut self.run
    }

    fn control(&mut self, control: Control) -> Then {
        match control {
            Control::End(reason) => {
                self.ends += 1;
                if self.ends >= 3 {
                    return Then::Leave;
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
        }
        Then::GoOn
    }

    fn decided(&mut self, _: &mut VecDeque<CommandInput>) {
        // Before anything is shown: who answers at once shall be heard.
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
        self.show(now, &Show::Notice { text: journal_news(news) });
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
            Event::Environment { life, environment } => {
                self.fetching = self.fetching.saturating_sub(1);
                // Before the program can say what a command has given.
                let redactor = self.tokens.redactor();
                *self.run.journal.redactor_mut() = redactor.clone();
                self.redactor = Arc::new(redactor);
                // Given up meanwhile.
                if self.to_start.take_if(|waiting| *waiting == life).is_none() {
                    return;
                }
                let input = self.spawn_with(life, environment);
                feed(self, input);
            }
        }
    }
}
