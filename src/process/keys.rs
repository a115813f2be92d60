//! Reads the user's keys and hands them to the program, or to ccc while it has a question or a wait of its own.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::child::STACK_BYTES;
use super::interactive::{CTRL_C, InteractiveTerminal};
use super::user_terminal::UserTerminal;
use super::wake::{Wake, poll};

/// How much may wait for a program that does not read, in bytes; then the terminal's own buffer fills, as it does for any
/// program that does not read.
const QUEUE_LIMIT_BYTES: usize = 64 * 1024;
/// How much is read at once.
const BUFFER_BYTES: usize = 4 * 1024;

/// Where keys go that are not the program's.
pub trait KeySink: Send + 'static {
    /// The user typed this while keys were ccc's.
    fn typed(&self, keys: &[u8]);
    /// Ctrl-C was handed to the program; `as_signal` when its terminal makes a signal of it.
    fn passed_ctrl_c(&self, as_signal: bool);
    /// The terminal is gone.
    fn closed(&self);
}

/// The thread that reads keys. Dropping it ends it.
#[derive(Debug)]
pub struct Keys {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Wake,
}

#[derive(Debug)]
struct State {
    to: To,
    over: bool,
}

#[derive(Debug, Clone)]
enum To {
    /// Nobody: they stay where they are.
    Nobody,
    InteractiveChild(InteractiveTerminal),
    Ourselves,
}

impl Keys {
    /// Starts reading; at first keys go to nobody.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptors.
    pub fn of(terminal: &UserTerminal, sink: impl KeySink) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::new(State { to: To::Nobody, over: false }), wake: Wake::new()? });
        let (theirs, terminal) = (Arc::clone(&shared), terminal.clone());
        let thread = thread::Builder::new()
            .name("keys".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || Reading { shared: theirs, queue: VecDeque::new() }.run(terminal.keys(), &sink))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// From now on keys are the program's.
    pub fn to_guest(&self, terminal: &InteractiveTerminal) {
        self.turn(To::InteractiveChild(terminal.clone()));
    }

    /// From now on keys are ccc's.
    pub fn to_ourselves(&self) {
        self.turn(To::Ourselves);
    }

    /// From now on keys are left alone: the terminal is another job's.
    pub fn to_nobody(&self) {
        self.turn(To::Nobody);
    }

    fn turn(&self, to: To) {
        self.shared.state().to = to;
        self.shared.wake.wake();
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.shared.state().over = true;
        self.shared.wake.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Reading {
    shared: Arc<Shared>,
    /// Keys that wait for the program.
    queue: VecDeque<u8>,
}

impl Reading {
    fn run(&mut self, keys: &OwnedFd, sink: &impl KeySink) {
        let mut buffer = [0; BUFFER_BYTES];
        let mut child: Option<InteractiveTerminal> = None;
        loop {
            let to = {
                let state = self.shared.state();
                if state.over {
                    return;
                }
                state.to.clone()
            };
            if let To::InteractiveChild(now) = &to
                && child.as_ref().is_none_or(|before| !Arc::ptr_eq(&before.0, &now.0))
            {
                // What waited for another one is not for this one.
                self.queue.clear();
                child = Some(now.clone());
            }
            let reads = match &to {
                To::Nobody => false,
                To::InteractiveChild(_) => self.queue.len() < QUEUE_LIMIT_BYTES,
                To::Ourselves => true,
            };
            let writes = match &to {
                To::InteractiveChild(terminal) if !self.queue.is_empty() => Some((terminal.0.as_fd(), PollFlags::OUT)),
                To::InteractiveChild(_) | To::Nobody | To::Ourselves => None,
            };
            let wanted =
                [Some((self.shared.wake.fd(), PollFlags::IN)), reads.then(|| (keys.as_fd(), PollFlags::IN)), writes];
            let Ok([woken, readable, writable]) = poll(wanted, None) else { return };
            if woken {
                // It may all be different now.
                self.shared.wake.drain();
                continue;
            }
            if writable && let To::InteractiveChild(terminal) = &to {
                self.write(terminal);
            }
            if readable {
                match rustix::io::read(keys, &mut buffer) {
                    Ok(count @ 1..) => self.take(buffer.get(..count).unwrap_or_default(), &to, sink),
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Ok(0) | Err(_) => {
                        sink.closed();
                        return;
                    }
                }
            }
        }
    }

    fn take(&mut self, typed: &[u8], to: &To, sink: &impl KeySink) {
        match to {
            To::InteractiveChild(terminal) => {
                if typed.contains(&CTRL_C) {
                    sink.passed_ctrl_c(terminal.ctrl_c_is_a_signal());
                }
                self.queue.extend(typed);
                self.write(terminal);
            }
            To::Ourselves => sink.typed(typed),
            To::Nobody => {}
        }
    }

    /// Writes what the program's terminal takes now.
    fn write(&mut self, terminal: &InteractiveTerminal) {
        while !self.queue.is_empty() {
            match rustix::io::write(&*terminal.0, self.queue.as_slices().0) {
                Ok(0) | Err(Errno::AGAIN) => return,
                Ok(count) => drop(self.queue.drain(..count)),
                Err(Errno::INTR) => {}
                // The program's terminal is gone, so nobody can read these keys.
                Err(_) => self.queue.clear(),
            }
        }
    }
}
