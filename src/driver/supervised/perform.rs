//! How the real world performs what the core of a command asks for.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::beat_file;
use super::world::{Event, OutputReader, World};
use crate::core::supervised::{BeatReading, CommandAction, CommandExit, CommandInput, CommandSignal};
use crate::core::{SpawnFault, Tick, TokenId};
use crate::driver::control::Request;

use crate::driver::perform::fault_of;
use crate::guard::SettingsOfAgent;
use crate::process::{
    Cookie, InteractiveChild, InteractiveSpec, InteractiveTerminal, Signal, SystemPtys, UserTerminal, own_job_can_stop,
    spawn_interactive,
};

/// Stack of the threads that ask for tokens: TLS is done on them.
const STACK_BYTES: usize = 1024 * 1024;

impl World {
    pub(super) fn perform_action(&mut self, now: Tick, action: CommandAction, at_once: &mut VecDeque<CommandInput>) {
        match action {
            CommandAction::Spawn { life, token } => self.spawn(life, token, at_once),
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
                if let Some(child) = self.living(life) {
                    child.signal(signal);
                }
            }
            CommandAction::Hold { life } => {
                // Done when the core goes on: a stop that is reported later is the program's own.
                if let Some(child) = self.living(life) {
                    child.hold();
                }
                self.open_page();
            }
            CommandAction::LetGo { life } => {
                let alternate = self.console.as_ref().is_some_and(|console| console.is_alternate());
                if let Some(console) = &self.console {
                    console.close_page();
                }
                if let Some(child) = self.living(life) {
                    child.let_go();
                    if alternate {
                        // Our page took the place of what it had painted.
                        child.signal(Signal::WindowChange);
                    }
                }
            }
            CommandAction::KillTree { life } => {
                self.give_up_start(life, Signal::Kill, at_once);
                if let Some(child) = self.living(life) {
                    child.kill_tree();
                }
            }
            CommandAction::Suspend => {
                // Where nobody could let ccc go on, the program goes on at once, and the terminal keeps its modes: what is
                // typed meanwhile is the program's.
                if own_job_can_stop() {
                    self.give_terminal();
                    self.suspended = self.host.ask(Request::StopJob);
                    if !self.suspended {
                        self.take_terminal();
                    }
                }
                if !self.suspended {
                    at_once.push_back(CommandInput::Resumed { unix_ms: self.run.clock.unix_ms() });
                }
            }
            CommandAction::ReadBeat { life } => {
                let reading = match &self.run.core.plan().heartbeat {
                    Some(plan) => beat_file::read(Path::new(&plan.file), self.run.clock.unix_ms()),
                    None => BeatReading::Missing,
                };
                at_once.push_back(CommandInput::Beat { life, reading });
            }
            CommandAction::LookAtToken { request, token } => self.look_at_token(request, token),
            CommandAction::Ask(question) => self.question = Some(question),
            CommandAction::AskNoMore { number } => {
                self.question.take_if(|question| question.number == number);
            }
            CommandAction::Decide(_) | CommandAction::Note(_) => {}
            CommandAction::Show(show) => self.show(now, &show),
            CommandAction::Finish(finish) => self.run.finish = Some(finish),
        }
    }

    fn living(&self, life: u32) -> Option<&InteractiveChild> {
        self.child.as_ref().filter(|(number, _)| *number == life).map(|(_, child)| child)
    }

    /// What a painted screen would be spoilt by is said on a page of its own.
    fn open_page(&self) {
        let paints = self.guest_terminal().is_some_and(|terminal| !InteractiveTerminal::reads_lines(terminal));
        if let Some(console) = &self.console
            && (paints || console.is_alternate())
        {
            console.open_page();
        }
    }

    fn spawn(&mut self, life: u32, token: Option<TokenId>, at_once: &mut VecDeque<CommandInput>) {
        if !token.as_ref().is_some_and(|token| self.tokens.is_slow(token)) {
            let environment = self.tokens.environment(token.as_ref());
            at_once.push_back(self.spawn_with(life, environment));
            return;
        }
        let (tokens, inbox) = (Arc::clone(&self.tokens), self.inbox.clone());
        let body = move || {
            let environment = tokens.environment(token.as_ref());
            let _ = inbox.send(Event::Environment { life, environment });
        };
        self.to_start = Some(life);
        self.fetching += 1;
        if let Err(error) = thread::Builder::new().name("token".to_owned()).stack_size(STACK_BYTES).spawn(body) {
            self.to_start = None;
            self.fetching -= 1;
            let (fault, message) = (SpawnFault::Exhausted, error.to_string());
            at_once.push_back(CommandInput::SpawnFailed { life, fault, message });
        }
    }

    /// A program that still waits for its token's value need not be started any more: the signal is its end.
    fn give_up_start(&mut self, life: u32, signal: Signal, at_once: &mut VecDeque<CommandInput>) {
        if self.to_start.take_if(|waiting| *waiting == life).is_some() {
            let exit = CommandExit { signal: Some(signal.number()), ..CommandExit::default() };
            at_once.push_back(CommandInput::Exited { life, exit });
        }
    }

    pub(super) fn spawn_with(
        &mut self,
        life: u32,
        environment: Result<Vec<(OsString, OsString)>, String>,
    ) -> CommandInput {
        let env = match environment {
            Ok(env) => env,
            Err(message) => return CommandInput::SpawnFailed { life, fault: SpawnFault::NoCredential, message },
        };
        if let Some(message) = self.settings.as_ref().and_then(SettingsOfAgent::objection) {
            return CommandInput::SpawnFailed { life, fault: SpawnFault::NotAgreed, message };
        }
        let spec = InteractiveSpec {
            program: self.program.clone(),
            args: self.args.clone(),
            env,
            cwd: PathBuf::from(&self.run.core.plan().cwd),
            cookie: Cookie { run_id: self.run.core.plan().run_id.clone(), attempt: life },
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
                self.child = Some((life, child));
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
        // Without a thread there is no answer, and the core does not wait for ever for one.
        if let Err(error) = thread::Builder::new().name("token".to_owned()).stack_size(STACK_BYTES).spawn(body) {
            tracing::warn!(%error, "the provider could not be asked");
        }
    }
}
