//! What the user types while a question is open.
//!
//! The terminal is read only while a question is open, because later keys belong to the next program on this terminal (the
//! agent's own interface, the shell).

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::inbox::{Event, Inbox};
use crate::core::Question;

/// The longest line that is taken for an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 256;
/// Stack of the reading thread.
const STACK_BYTES: usize = 256 * 1024;

/// An open question; dropping it gives the terminal up.
#[derive(Debug)]
pub(super) struct Answers {
    /// Closing it ends the thread.
    give_up: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Answers {
    /// Listens for the answer; `None` when there is nobody to ask.
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
            // It ends at once: it waits for nothing but the terminal and us.
            let _ = thread.join();
        }
    }
}

/// Where the user types: the terminal that is stdin, or the controlling one where stdin is something else.
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

/// Waits until something was typed (true) or the question is settled (false).
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
