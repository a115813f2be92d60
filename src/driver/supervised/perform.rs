//! Performs the actions of a command's core in the real world.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::beat_file;
use super::world::{Event, OutputReader, World};
use crate::core::supervised::{BeatReading, CommandAction, CommandExit, CommandInput, CommandSignal};
use crate::core::{SpawnFault, Tick, TokenId};
use crate::driver::control::Request;
use crate::driver::engine::feed;
use crate::driver::perform::fault_of;
use crate::driver::worker::Worker;
use crate::guard::SettingsOfAgent;
use crate::process::{
    Cookie, InteractiveChild, InteractiveSpec, InteractiveTerminal, Signal, SystemPtys, UserTerminal, own_job_can_stop,
    spawn_interactive,
};

/// Stack of the thread that asks about a token; TLS runs on it.
const STACK_BYTES: usize = 1024 * 1024;
/// How many reads of the heartbeat file may be queued at its worker: one in progress, and one of a new life.
const UNREAD_LIMIT: usize = 2;

impl World {
    pub(super) fn perform_action(&mut self, now: Tick, action: CommandAction, at_once: &mut VecDeque<CommandInput>) {
        match action {
            CommandAction::Spawn { life, token } => {
                self.to_start = Some((life, token));
                self.prepare(life);
            }
            CommandAction::Signal { life, signal } => {
                match signal {
                    CommandSignal::Int => self.give_up_start(life, Signal::Interrupt, at_once),
                    CommandSignal::Term => self.give_up_start(life, Signal::Terminate, at_once),
                    CommandSignal::Tstp | CommandSignal::Cont => {}
                }
                let signal = match signal {
                    CommandSignal::Int => Signal::Interrupt,
                    CommandSignal::Term => Signal::Terminate,
                    CommandSignal::Tstp => Signal::TerminalStop,
                    CommandSignal::Cont => Signal::Continue,
                };
                self.order(life, move |child| child.signal(signal));
            }
            CommandAction::Hold { life } => {
                self.order(life, InteractiveChild::hold);
                self.open_page();
            }
            CommandAction::Continue { life } => {
                let alternate = self.console.as_ref().is_some_and(|console| console.is_alternate());
                if let Some(console) = &self.console {
                    console.close_page();
                }
                self.order(life, move |child| {
                    child.resume();
                    if alternate {
                        // ccc's page has replaced the program's screen: a resize makes it repaint.
                        child.signal(Signal::WindowChange);
                    }
                });
            }
            CommandAction::KillTree { life } => {
                self.give_up_start(life, Signal::Kill, at_once);
                self.order(life, InteractiveChild::kill_tree);
            }
            CommandAction::Suspend => {
                // If no shell could continue ccc, the program continues at once, and the terminal keeps its modes, because keys
                // typed meanwhile belong to the program.
                if own_job_can_stop() {
                    self.give_terminal();
                    self.suspended = self.host.is_there();
                    if self.suspended {
                        // Earlier orders are carried out before ccc stops.
                        let host = self.host.clone();
                        self.workers.processes.give(move || {
                            let _ = host.ask(Request::StopJob);
                        });
                    } else {
                        self.take_terminal();
                    }
                }
                if !self.suspended {
                    at_once.push_back(CommandInput::Resumed { unix_ms: self.run.clock.unix_ms() });
                }
            }
            CommandAction::ReadBeat { life } => self.read_beat(life),
            CommandAction::LookAtToken { request, token } => self.look_at_token(request, token),
            CommandAction::Ask(question) => self.question = Some(question),
            CommandAction::AskNoMore { number } => {
                if let (Some(_), Some(hub)) = (self.question.take_if(|question| question.number == number), &self.hub) {
                    hub.nothing_is_asked();
                }
            }
            CommandAction::Decide(_) | CommandAction::Note(_) => {}
            CommandAction::Show(show) => self.show_of_fact(now, &show),
            CommandAction::Finish(finish) => self.run.finish = Some(finish),
        }
    }

    /// Queues an order to the program, behind earlier ones.
    pub(super) fn order(&self, life: u32, order: impl FnOnce(&InteractiveChild) + Send + 'static) {
        if let Some((_, child)) = self.child.as_ref().filter(|(number, _)| *number == life) {
            let child = Arc::clone(child);
            self.workers.processes.give(move || order(&child));
        }
    }

    fn read_beat(&mut self, life: u32) {
        self.beats.ask(life, (), self.run.clock.instant_now());
        // On a disk that hangs the worker gets no further jobs; the read then becomes overdue.
        if self.unread >= UNREAD_LIMIT {
            return;
        }
        let file = self.run.core.plan().heartbeat.as_ref().map(|plan| PathBuf::from(&plan.file));
        let (clock, inbox) = (self.run.clock, self.inbox.clone());
        self.unread += 1;
        self.workers.heartbeat.give(move || {
            let read = |file: PathBuf| beat_file::read(&file, clock.unix_ms());
            let reading = file.map_or(BeatReading::Missing, read);
            let _ = inbox.send(Event::BeatRead { life, reading });
        });
    }

    /// The heartbeat file was read, or the read failed.
    pub(super) fn beat_read(&mut self, life: u32, reading: BeatReading) {
        feed(self, CommandInput::Beat { life, reading });
        self.prepare(life);
    }

    /// Opens a page if ccc's messages would damage the program's screen.
    fn open_page(&self) {
        let paints = self.program_terminal().is_some_and(|terminal| !InteractiveTerminal::reads_lines(terminal));
        if let Some(console) = &self.console
            && (paints || console.is_alternate())
        {
            console.open_page();
        }
    }

    /// Prepares the start of this life, if one is due. The heartbeat file is read first, because its old content is no
    /// heartbeat of this life.
    fn prepare(&mut self, life: u32) {
        if self.beats.is_asked(&life) {
            return;
        }
        let Some((_, token)) = self.to_start.clone().filter(|(waiting, _)| *waiting == life) else { return };
        let (tokens, settings, inbox) = (Arc::clone(&self.tokens), self.settings.clone(), self.inbox.clone());
        self.preparing += 1;
        // A separate thread for each start: a password manager that hangs must not block the next one.
        Worker::new("start").give(move || {
            let environment = tokens.environment(token.as_ref());
            let objection = settings.as_ref().and_then(SettingsOfAgent::objection);
            let _ = inbox.send(Event::Prepared { life, environment, objection });
        });
    }

    /// Cancels the start of a program; it counts as ended by the signal.
    fn give_up_start(&mut self, life: u32, signal: Signal, at_once: &mut VecDeque<CommandInput>) {
        if self.to_start.take_if(|(waiting, _)| *waiting == life).is_some() {
            let exit = CommandExit { signal: Some(signal.number()), ..CommandExit::default() };
            at_once.push_back(CommandInput::Exited { life, exit });
        }
    }

    pub(super) fn spawn_with(
        &mut self,
        life: u32,
        environment: Result<Vec<(OsString, OsString)>, String>,
        objection: Option<String>,
    ) -> CommandInput {
        let env = match environment {
            Ok(env) => env,
            Err(message) => return CommandInput::SpawnFailed { life, fault: SpawnFault::NoCredential, message },
        };
        if let Some(message) = objection {
            return CommandInput::SpawnFailed { life, fault: SpawnFault::NotAgreed, message };
        }
        let spec = InteractiveSpec {
            program: self.program.clone(),
            args: self.args.clone(),
            env,
            cwd: PathBuf::from(&self.run.core.plan().cwd),
            cookie: Cookie { run_id: self.run.core.plan().run_id.clone(), attempt: life },
            // The user started this command, and it does what the user could do.
            walls: None,
        };
        let likeness = self.terminal.as_ref().and_then(UserTerminal::likeness);
        let reader = OutputReader {
            inbox: self.inbox.clone(),
            life,
            console: self.console.clone(),
            terminal: self.terminal.clone(),
        };
        match spawn_interactive(&spec, likeness.as_ref(), reader, &SystemPtys) {
            Ok(child) => {
                let pid = child.pid();
                self.child = Some((life, Arc::new(child)));
                CommandInput::Spawned { life, pid }
            }
            Err(error) => CommandInput::SpawnFailed { life, fault: fault_of(&error), message: error.to_string() },
        }
    }

    fn look_at_token(&mut self, request: u32, token: TokenId) {
        let (tokens, inbox) = (Arc::clone(&self.tokens), self.inbox.clone());
        let body = move || {
            let looked = tokens.look(&token);
            let _ = inbox.send(Event::TokensKnown { request, looked });
        };
        // Without a thread there is no answer; the core has a timeout for it.
        if let Err(error) = thread::Builder::new().name("token".to_owned()).stack_size(STACK_BYTES).spawn(body) {
            tracing::warn!(%error, "the provider could not be asked");
        }
    }
}
