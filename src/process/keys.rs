//! Reads the user's keys and passes them to the program, or to ccc during a question or a wait.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::child::STACK_BYTES;
use super::interactive::{CTRL_BACKSLASH, CTRL_C, CTRL_Z, InteractiveTerminal};
use super::user_terminal::UserTerminal;
use super::wake::{Wake, poll};

/// How many bytes may be queued for a program that does not read. Beyond that the terminal's own buffer fills, as without ccc.
const QUEUE_LIMIT_BYTES: usize = 64 * 1024;
/// How many keys are kept for a program that is still to be started, in bytes.
const KEPT_LIMIT_BYTES: usize = 4 * 1024;
/// How many bytes are read at once.
const BUFFER_BYTES: usize = 4 * 1024;

/// Receives the keys that do not go to the program.
pub trait KeySink: Send + 'static {
    /// The user typed this while keys went to ccc.
    fn typed(&self, keys: &[u8]);
    /// Ctrl-C was passed to the program; `as_signal` if its terminal turns it into a signal.
    fn passed_ctrl_c(&self, as_signal: bool);
    /// The terminal is gone.
    fn closed(&self);
}

/// The thread that reads keys. Dropping this ends the thread.
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
    /// Nowhere: keys stay unread.
    Nobody,
    InteractiveChild(InteractiveTerminal),
    Ourselves,
    /// To ccc, and kept for the next program.
    Kept,
}

impl Keys {
    /// Starts the thread, which reads no keys yet.
    ///
    /// # Errors
    /// When the system provides no thread or no descriptors.
    pub fn of(terminal: &UserTerminal, sink: impl KeySink) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::new(State { to: To::Nobody, over: false }), wake: Wake::new()? });
        let (theirs, terminal) = (Arc::clone(&shared), terminal.clone());
        let thread = thread::Builder::new().name("keys".to_owned()).stack_size(STACK_BYTES).spawn(move || {
            Reading { shared: theirs, queue: VecDeque::new(), kept: Kept::default() }.run(terminal.keys(), &sink)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// From now on keys go to the program.
    pub fn to_program(&self, terminal: &InteractiveTerminal) {
        self.turn(To::InteractiveChild(terminal.clone()));
    }

    /// From now on keys go to ccc.
    pub fn to_ccc(&self) {
        self.turn(To::Ourselves);
    }

    /// From now on keys go to ccc, and the next program gets them, too: what is typed before a program has started is meant for
    /// it. The keys of which its terminal would make signals are for ccc only.
    pub fn keep(&self) {
        self.turn(To::Kept);
    }

    /// From now on keys stay unread, because the terminal belongs to another job.
    pub fn pause(&self) {
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
    /// Keys queued for the program.
    queue: VecDeque<u8>,
    kept: Kept,
}

/// Keys that are kept for the next program.
#[derive(Debug, Default)]
struct Kept(Vec<u8>);

impl Kept {
    /// Ctrl-C takes back what was typed before it.
    fn add(&mut self, typed: &[u8]) {
        for &key in typed {
            match key {
                CTRL_C => self.0.clear(),
                CTRL_Z | CTRL_BACKSLASH => {}
                key if self.0.len() < KEPT_LIMIT_BYTES => self.0.push(key),
                _ => {}
            }
        }
    }

    fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
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
                // Keys queued for an earlier program must not reach this one.
                self.queue.clear();
                self.queue.extend(self.kept.take());
                child = Some(now.clone());
            }
            let reads = match &to {
                To::Nobody => false,
                To::InteractiveChild(_) => self.queue.len() < QUEUE_LIMIT_BYTES,
                To::Ourselves | To::Kept => true,
            };
            let writes = match &to {
                To::InteractiveChild(terminal) if !self.queue.is_empty() => Some((terminal.0.as_fd(), PollFlags::OUT)),
                To::InteractiveChild(_) | To::Nobody | To::Ourselves | To::Kept => None,
            };
            let wanted =
                [Some((self.shared.wake.fd(), PollFlags::IN)), reads.then(|| (keys.as_fd(), PollFlags::IN)), writes];
            let Ok([woken, readable, writable]) = poll(wanted, None) else { return };
            if woken {
                // Everything may have changed, so start again.
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
            To::Kept => {
                self.kept.add(typed);
                sink.typed(typed);
            }
            To::Nobody => {}
        }
    }

    /// Writes as much as the program's terminal accepts now.
    fn write(&mut self, terminal: &InteractiveTerminal) {
        while !self.queue.is_empty() {
            match rustix::io::write(&*terminal.0, self.queue.as_slices().0) {
                Ok(0) | Err(Errno::AGAIN) => return,
                Ok(count) => drop(self.queue.drain(..count)),
                Err(Errno::INTR) => {}
                // The program's terminal is gone, so these keys cannot be delivered.
                Err(_) => self.queue.clear(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_LIMIT_BYTES, Kept};

    #[test]
    fn kept_keys_have_none_that_would_be_a_signal_and_ctrl_c_takes_them_back() {
        let mut kept = Kept::default();
        kept.add(b"half\x03fix\x1a it\x1c\r");
        assert_eq!(kept.take(), b"fix it\r");
        assert_eq!(kept.take(), b"", "they are given once");
        kept.add(&[b'x'; KEPT_LIMIT_BYTES + 1]);
        assert_eq!(kept.take().len(), KEPT_LIMIT_BYTES);
    }
}
