//! The agent's own interface on the user's terminal (`--native`).
//!
//! The interface runs on its own pseudo-terminal, as the program of `ccc supervise` does: its output goes to the user's screen
//! and the user's keys go to it, without passing through the loop. The loop learns what the interface does from its hooks.
//! While the interface is on the screen, ccc writes nothing there.

use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::console::Console;
use super::control::{HostLink, Request};
use super::inbox::{Event, Inbox};
use super::worker::Worker;
use crate::agent::HOOK_GONE;
use crate::control::Hook;
use crate::core::{ExitFact, LineFact, ProcId};
use crate::process::{
    CTRL_C, CTRL_Z, Exit, InteractiveChild, InteractiveSink, InteractiveSpec, InteractiveTerminal, KeySink, Keys,
    Signal, SpawnError, SystemPtys, TerminalGuard, UserTerminal, own_job_can_stop, spawn_interactive,
};
use crate::ui::clean;
use redaction::SharedRedactor;

/// The timeout for ccc's messages to reach the screen.
const FINAL_OUTPUT_TIMEOUT: Duration = Duration::from_secs(2);
/// An interface that wrote no more than this before it ended has not drawn a screen: the output is its error message.
const SAID_BYTES: usize = 2 * 1024;

/// What a run with the agent's own interface needs in addition.
#[derive(Debug, Clone)]
pub struct Interface {
    /// The terminal that the interface runs on.
    pub terminal: UserTerminal,
    /// The environment by which its hooks reach the run; set once the control socket is up.
    pub hooks: Arc<OnceLock<Vec<(OsString, OsString)>>>,
}

/// The user's terminal, and the interface that runs on it.
#[derive(Debug)]
pub(super) struct InterfaceTerminal {
    terminal: UserTerminal,
    hooks: Arc<OnceLock<Vec<(OsString, OsString)>>>,
    console: Console,
    keys: Keys,
    guard: TerminalGuard,
    inbox: Inbox,
    redactor: SharedRedactor,
    child: Option<(ProcId, Arc<InteractiveChild>)>,
    /// An interface has run.
    has_run: bool,
    /// The held Stop hook of that process, which waits for an answer.
    stop: Option<(ProcId, oneshot::Sender<String>)>,
}

impl InterfaceTerminal {
    /// Takes over the terminal. It is restored however the run ends.
    ///
    /// # Errors
    /// When the system provides no threads.
    pub(super) fn on(interface: Interface, inbox: Inbox, redactor: SharedRedactor) -> io::Result<InterfaceTerminal> {
        let Interface { terminal, hooks } = interface;
        let guard = terminal.guard();
        let console = Console::on(terminal.clone())?;
        let keys = Keys::of(&terminal, Typing(inbox.clone()))?;
        let (child, has_run, stop) = (None, false, None);
        let interface =
            InterfaceTerminal { terminal, hooks, console, keys, guard, inbox, redactor, child, has_run, stop };
        interface.take();
        Ok(interface)
    }

    /// Starts the interface.
    pub(super) fn spawn(&mut self, proc: ProcId, mut spec: InteractiveSpec) -> Result<u32, SpawnError> {
        spec.env.extend(self.hooks.get().into_iter().flatten().cloned());
        // ccc's earlier messages must stand above the interface.
        self.console.finish(FINAL_OUTPUT_TIMEOUT);
        let output = Output {
            proc,
            inbox: self.inbox.clone(),
            console: self.console.clone(),
            terminal: self.terminal.clone(),
            redactor: self.redactor.clone(),
            said: Arc::default(),
        };
        let child = spawn_interactive(&spec, self.terminal.likeness().as_ref(), output, &SystemPtys)?;
        let pid = child.pid();
        self.child = Some((proc, Arc::new(child)));
        self.has_run = true;
        self.route_keys();
        Ok(pid)
    }

    /// The interface, if this is its process.
    pub(super) fn child(&self, proc: ProcId) -> Option<&Arc<InteractiveChild>> {
        self.child.as_ref().filter(|(number, _)| *number == proc).map(|(_, child)| child)
    }

    /// Whether the interface runs, and so owns the screen.
    pub(super) fn is_taken(&self) -> bool {
        self.child.is_some()
    }

    /// The interface has exited.
    pub(super) fn gone(&mut self, proc: ProcId) {
        if self.child.take_if(|(number, _)| *number == proc).is_some() {
            self.route_keys();
        }
        self.stop.take_if(|(number, _)| *number == proc);
    }

    /// Shows whole lines from ccc, unless the interface owns the screen.
    pub(super) fn say(&self, text: String) {
        if !self.is_taken() {
            self.console.say(text);
        }
    }

    /// The fact that a hook reports; `None` when its process is gone.
    pub(super) fn hook(&mut self, hook: Hook) -> Option<(ProcId, LineFact)> {
        let Hook { attempt, json, reply } = hook;
        let proc = ProcId(attempt);
        self.child(proc)?;
        if json == HOOK_GONE {
            // By now another Stop may be held, whose client is still connected.
            self.stop.take_if(|(_, reply)| reply.is_closed())?;
        }
        if let Some(reply) = reply {
            self.stop = Some((proc, reply));
        }
        let line = match RawValue::from_string(self.redactor.now().json_str(&json).into_owned()) {
            Ok(raw) => LineFact::Json(raw),
            Err(error) => LineFact::Noise(error.to_string()),
        };
        Some((proc, line))
    }

    /// Answers the held Stop. The answer is lost if its client has disconnected.
    pub(super) fn answer(&mut self, proc: ProcId, bytes: &[u8]) {
        if let Some((_, reply)) = self.stop.take_if(|(number, _)| *number == proc) {
            let _ = reply.send(String::from_utf8_lossy(bytes).into_owned());
        }
    }

    /// Types these keys on behalf of the user.
    pub(super) fn type_in(&self, proc: ProcId, keys: &[u8]) {
        if let Some(terminal) = self.child(proc).and_then(|child| child.terminal()) {
            terminal.type_in(keys);
        }
    }

    /// Kills the interface if it runs.
    pub(super) fn kill(&self, processes: &Worker) {
        if let Some((_, child)) = self.child.clone() {
            processes.give(move || child.kill_tree());
        }
    }

    /// The terminal was resized.
    pub(super) fn resize(&self) {
        let guest = self.child.as_ref().and_then(|(_, child)| child.terminal());
        if let (Some(size), Some(terminal)) = (self.terminal.size(), guest) {
            InteractiveTerminal::resize(terminal, size);
        }
    }

    /// The interface has stopped itself (Ctrl-Z), or the key was typed while none runs. ccc stops as well, if the shell can
    /// continue it.
    pub(super) fn stopped(&self, host: &HostLink) {
        if !own_job_can_stop() || !host.ask(Request::CtrlZ) {
            self.goes_on();
        }
    }

    /// ccc is about to be stopped: restores the terminal for the shell.
    pub(super) fn give(&self) {
        self.keys.pause();
        self.console.finish(FINAL_OUTPUT_TIMEOUT);
        self.terminal.restore();
    }

    /// ccc continues after a stop of itself or of another job.
    pub(super) fn goes_on(&self) {
        self.take();
        self.resize();
        if let Some((_, child)) = &self.child {
            child.signal(Signal::Continue);
        }
    }

    /// Sets raw mode again. The terminal may have become ours without any notice.
    pub(super) fn take(&self) {
        if let Err(error) = self.terminal.make_raw() {
            tracing::warn!(%error, "the terminal cannot be set");
        }
        self.route_keys();
    }

    /// Gives the keys to the interface, or to ccc while none runs.
    fn route_keys(&self) {
        match self.child.as_ref().and_then(|(_, child)| child.terminal()) {
            // The terminal belongs to another job; reading it would stop this one.
            _ if !self.terminal.is_raw() => self.keys.pause(),
            Some(terminal) => self.keys.to_program(terminal),
            // Between two interfaces a key may be the rest of words of which the first one got the beginning.
            None if self.has_run => self.keys.to_ccc(),
            None => self.keys.keep(),
        }
    }

    /// Restores the terminal at the end of the run.
    pub(super) fn leave(self) {
        self.console.finish(FINAL_OUTPUT_TIMEOUT);
        drop(self.keys);
        drop(self.guard);
    }
}

/// Events of the interface other than its hooks.
#[derive(Debug, Clone)]
struct Output {
    proc: ProcId,
    inbox: Inbox,
    console: Console,
    terminal: UserTerminal,
    redactor: SharedRedactor,
    /// The beginning of its output, for an error message.
    said: Arc<Mutex<Said>>,
}

#[derive(Debug, Default)]
struct Said {
    bytes: Vec<u8>,
    is_more: bool,
}

impl InteractiveSink for Output {
    fn output(&self, chunk: &[u8]) {
        self.console.program_wrote(chunk);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.is_more {
            said.bytes.extend(chunk);
            said.is_more = said.bytes.len() > SAID_BYTES;
        }
        drop(said);
        // Nothing announces that a shell has brought a running job to the foreground.
        if !self.terminal.is_raw() && self.terminal.is_ours() {
            self.inbox.post(Event::TerminalIsOurs);
        }
    }

    fn stopped(&self, _signal: i32) {
        self.inbox.post(Event::Stopped { proc: self.proc });
    }

    fn exited(&self, exit: Exit) {
        // All its output has been shown, and the next process has not begun.
        self.console.tidy();
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        let stderr_tail =
            if said.is_more { String::new() } else { plain(&self.redactor.now().tail(&said.bytes, false)) };
        let exit = ExitFact {
            code: exit.code,
            signal: exit.signal,
            stderr_tail,
            swept: exit.swept,
            turn_recorded: None,
            dropped_lines: 0,
            leaked: exit.leaked,
            out_of_memory: exit.out_of_memory,
        };
        self.inbox.post(Event::Exited { proc: self.proc, exit });
    }
}

/// The plain text of terminal output: an interface saves the cursor and sets the title around its messages, and an error is
/// recognized by the beginning of its line.
fn plain(written: &str) -> String {
    clean::lines(&anstream::adapter::strip_str(&apart(written)).to_string().replace('\r', ""))
}

/// The same output with white space wherever it moves the cursor: what is apart on the screen must not be glued together.
fn apart(written: &str) -> String {
    let mut parts = written.split("\x1b[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| ('@'..='~').contains(&c));
        match end.and_then(|end| part[end..].chars().next()) {
            Some('A' | 'B' | 'E' | 'F' | 'H' | 'd' | 'f') => text.push('\n'),
            Some('C' | 'G') => text.push(' '),
            Some(_) | None => {}
        }
        text.push_str("\x1b[");
        text.push_str(part);
    }
    text
}

/// Receives keys that are typed while no interface runs.
#[derive(Debug)]
struct Typing(Inbox);

impl KeySink for Typing {
    fn typed(&self, keys: &[u8]) {
        for &key in keys {
            match key {
                CTRL_C => self.0.post(Event::CtrlC),
                CTRL_Z => self.0.post(Event::CtrlZ),
                _ => {}
            }
        }
    }

    fn passed_ctrl_c(&self, _as_signal: bool) {
        // The interface handles the key itself.
    }

    fn closed(&self) {
        // SIGHUP follows.
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    /// The output of 2.1.197 for a session that it does not have.
    #[test]
    fn what_an_interface_says_before_it_ends_has_nothing_of_its_screen() {
        let written = "\x1b7\x1b8No conversation found with session ID: 5d0c\r\n\x1b(B\x0f\x1b7\x1b8\x1b]0;\x07\nResume this \
                       session with:\r\nclaude --resume 5d0c\r\n";
        let said = "No conversation found with session ID: 5d0c\n\nResume this session with:\nclaude --resume 5d0c\n";
        assert_eq!(plain(written), said);
        let moved = "not available\x1b[2;1Hat\x1b[1Chttps://a.b\x1b[0m\x1b[1B\x1b[";
        assert_eq!(plain(moved), "not available\nat https://a.b\n");
    }
}
