//! The laws that each night must keep, and what one looks like that is broken. They are checked in `laws` and `steering`, and where
//! the world knows what is right.

use std::fmt;

/// The laws of every night (design §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each one's sentence says what it means")]
pub enum Law {
    OneAgent,
    ExactlyOnce,
    Answered,
    WordsOnce,
    WordsKept,
    SentWhileIdle,
    SpentToken,
    /// `docs/decisions.md`, "Progress, restarts and processes": restarts are counted within an hour. What counts is an end that a
    /// restart follows, so neither an end without a fault, such as a change of the token, nor one after the user has interrupted
    /// the turn that the process worked on.
    Restarts,
    Shutdown,
    HonestOutcome,
    NothingLeft,
    NothingFollows,
    Replay,
    LossTold,
    Ends,
    BusyLoop,
    /// `docs/decisions.md`, "Progress, restarts and processes": a turn without progress is sent again at most 16 times, after longer
    /// and longer pauses. The count is each token's own. An answer is progress with the token that the process used for the request,
    /// so one that comes before the process has taken another token is progress with the one before.
    AskedAgain,
    Waited,
    FalseKill,
    Hang,
    JudgedAtRest,
    JudgedSoon,
    AskedOnce,
    /// `docs/decisions.md`, "Operators and approvals": the user's words go before feedback that is not sent. Feedback that was sent
    /// to a process that has ended counts as sent, unless the session's record has told that it is not there.
    UserFirst,
    NobodyDenies,
    RestsForSomebody,
    Paused,
    SetUpFirst,
    KeptFirst,
    OwnVersions,
    WorkersFirst,
    Sense,
    NoPanic,
}

impl Law {
    /// The law in one sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Law::OneAgent => "at most one agent lives at a time",
            Law::ExactlyOnce => "a turn reaches the model exactly once",
            Law::Answered => "a turn is answered, or continued, before another one is said",
            Law::WordsOnce => "the user's words are said once",
            Law::WordsKept => "the user's words are not lost",
            Law::SentWhileIdle => "only an idle process is spoken to",
            Law::SpentToken => "a rejected token is not used before its reset",
            Law::Restarts => "restarts in a row, within their window, stay within their limit",
            Law::Shutdown => "after a request for the end nothing is started, and the end comes soon",
            Law::HonestOutcome => "an outcome is what happened, with a reason",
            Law::NothingLeft => "a finished run has left nothing running",
            Law::NothingFollows => "a finished run asks for nothing",
            Law::Replay => "the same inputs lead to the same actions",
            Law::LossTold => "what the journal loses is told",
            Law::Ends => "without faults the run comes to its end",
            Law::BusyLoop => "deadlines lie ahead, and there are not many of them",
            Law::AskedAgain => "what is not answered is asked again after longer and longer pauses, and not for ever",
            Law::Waited => "the time waited is time that passed",
            Law::FalseKill => "a process that makes progress is not taken for hung",
            Law::Hang => "a process without progress is not left alone, whatever signs of life it gives",
            Law::JudgedAtRest => "a stop is judged while the agent rests, one check at a time",
            Law::JudgedSoon => {
                "the judging of a stop is given up a few times at most, whatever the agent begins by itself"
            }
            Law::AskedOnce => "what the agent asks is answered once, or taken back, or its process is gone",
            Law::UserFirst => "what the user says goes, in its order, before feedback that is not sent",
            Law::NobodyDenies => {
                "a request is open for as long as somebody attends, and then no longer than the rule says"
            }
            Law::RestsForSomebody => "a run rests only while somebody attends, or within its patience",
            Law::Paused => "nothing begins while the run is paused",
            Law::KeptFirst => "the tree is kept before the setup and before each process of the agent",
            Law::OwnVersions => {
                "the agent is told nothing while a check may have other versions of its files in the tree"
            }
            Law::SetUpFirst => "no agent starts before its tree is set up",
            Law::WorkersFirst => "a stop is not judged while workers run",
            Law::Sense => "an action is about something that is there",
            Law::NoPanic => "no input makes ccc panic",
        }
    }

    pub(super) fn broken(self, what: impl Into<String>) -> Broken {
        Broken { law: self, what: what.into() }
    }

    /// Breaks the law if `is_broken`.
    pub(super) fn broken_if<T: Into<String>>(self, is_broken: bool, what: impl FnOnce() -> T) -> Result<(), Broken> {
        if is_broken { Err(self.broken(what())) } else { Ok(()) }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A broken law, and the observation that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken<L = Law> {
    pub(super) law: L,
    pub(super) what: String,
}

/// The laws of nights, or those of fleets.
pub trait AnyLaw: fmt::Display {
    /// What a seed makes up.
    const PLAYED: &'static str;
    /// What a number names in messages.
    const NUMBERED: &'static str;

    /// The law of a night as one of these.
    fn of_night(law: Law) -> Self;
}

impl AnyLaw for Law {
    const PLAYED: &'static str = "night";
    const NUMBERED: &'static str = "seed";

    fn of_night(law: Law) -> Law {
        law
    }
}
