//! The questions about the current token: when the next one is due, and which is open.

use crate::core::Tick;

/// The timeout of the provider's answer; after it the known state counts.
const LOOK_LIMIT_MS: u64 = 45_000;

/// The questions to the provider about the current token, and to the user.
#[derive(Debug, Clone, Default)]
pub(super) struct Looks {
    /// When the provider is asked next.
    next: Option<Tick>,
    /// The open question and its timeout.
    open: Option<(u32, Tick)>,
    requests: u32,
    questions: u32,
    waits: u32,
    told_refused: bool,
}

impl Looks {
    /// The timeout of the open question.
    pub(super) fn open_until(&self) -> Option<Tick> {
        self.open.map(|(_, due)| due)
    }

    /// The next deadline while the program runs. At most one question is open.
    pub(super) fn due(&self) -> Option<Tick> {
        self.open_until().or(self.next)
    }

    /// Whether this answers the open question.
    pub(super) fn answered(&mut self, request: u32) -> bool {
        self.open.take_if(|(number, _)| *number == request).is_some()
    }

    pub(super) fn give_up(&mut self) {
        self.open = None;
    }

    /// Whether the next question is due.
    pub(super) fn is_due(&self, now: Tick) -> bool {
        self.open.is_none() && self.next.is_some_and(|due| now >= due)
    }

    /// When the provider is asked next.
    pub(super) fn at(&mut self, next: Option<Tick>) {
        self.next = next;
    }

    /// Begins a question to the provider; gives its number.
    pub(super) fn ask(&mut self, now: Tick) -> u32 {
        self.requests += 1;
        self.open = Some((self.requests, now.plus_ms(LOOK_LIMIT_MS)));
        self.requests
    }

    /// The number of the next question to the user.
    pub(super) fn question(&mut self) -> u32 {
        self.questions += 1;
        self.questions
    }

    /// The number of the next wait.
    pub(super) fn wait(&mut self) -> u32 {
        self.waits += 1;
        self.waits
    }

    /// Whether to tell the user of a refusal: once.
    pub(super) fn tells_refusal(&mut self) -> bool {
        !std::mem::replace(&mut self.told_refused, true)
    }
}
