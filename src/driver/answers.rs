//! Reads what the user types while a question is open.
//!
//! The terminal is read only during that time, because later keys belong to the next program on it (the agent's own interface,
//! the shell).

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::inbox::{Event, Inbox};
use crate::core::Question;

/// The longest line that is accepted as an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 256;
/// Stack of the reader thread.
const STACK_BYTES: usize = 256 * 1024;

/// An open question; dropping it stops reading the terminal.
#[derive(Debug)]
pub(super) struct Answers {
    /// Closing it ends the thread.
    give_up: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Answers {
    /// Starts to read the answer; `None` when there is no terminal.
    pub(super) fn listen(question: Question, keyboard: Option<&File>, inbox: Inbox) -> Option<Answers> {
        let terminal = keyboard?.try_clone().ok()?;
        let (given_up, give_up) = io::pipe().ok()?;
        let body = move || listen(terminal, &given_up, &question, &inbox);
        let thread = thread::Builder::new().name("answer".to_owned()).stack_size(STACK_BYTES).spawn(body).ok()?;
        Some(Answers { give_up: Some(give_up), thread: Some(thread) })
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        drop(self.give_up.take());
        if let Some(thread) = self.thread.take() {
            // The thread ends at once: it polls only the terminal and this pipe.
            let _ = thread.join();
        }
    }
}

/// The terminal to read from: stdin if it is one, else the controlling terminal.
#[must_use]
pub fn keyboard() -> Option<File> {
    if rustix::termios::isatty(rustix::stdio::stdin()) {
        return rustix::stdio::stdin().try_clone_to_owned().ok().map(File::from);
    }
    File::open("/dev/tty").ok()
}

fn listen(mut terminal: File, given_up: &PipeReader, question: &Question, inbox: &Inbox) {
    let mut line = Vec::new();
    loop {
        match wait_for(&terminal, given_up) {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
        let mut chunk = [0u8; 64];
        let read = match terminal.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        for &byte in chunk.iter().take(read) {
            if byte != b'\n' && byte != b'\r' {
                if line.len() < MAX_ANSWER_BYTES {
                    line.push(byte);
                }
                continue;
            }
            let typed = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            match question.read(&typed) {
                Some(choice) => {
                    inbox.post(Event::Answered { number: question.number, choice });
                    return;
                }
                None => inbox.post(Event::NotUnderstood { typed }),
            }
        }
    }
}

/// Waits until something was typed (true) or the question is closed (false).
fn wait_for(terminal: &File, given_up: &PipeReader) -> io::Result<bool> {
    loop {
        let mut ready = [
            PollFd::from_borrowed_fd(terminal.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(given_up.as_fd(), PollFlags::IN),
        ];
        match poll(&mut ready, None) {
            Ok(_) if !ready[1].revents().is_empty() => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
