//! The state machine of one run: it takes facts and gives decisions.
//!
//! [`Core::handle`] takes one [`Input`] (a fact, in the past tense) and the time at which it became known;
//! [`Core::poll_action`] gives the decided [`Action`]s (imperatives) one at a time; [`Core::poll_timeout`] gives the earliest
//! deadline, at which the driver must send [`Input::Elapsed`]. The same plan and inputs always give the same actions, so a
//! recorded run can be replayed.
//!
//! The core has no clocks, files, processes, threads, environment, random numbers or sockets: the crate's dependencies and
//! `clippy.toml` forbid them. A feature that seems to need one of them needs a new input and a new action instead.

mod action;
mod arguments;
mod asking;
mod bounds;
mod checkpoints;
mod checks;
mod context_used;
mod convergence;
mod conversation;
mod credential;
mod doubt;
mod exchange;
mod failures;
mod flood;
mod id;
mod input;
mod interface;
mod journalled;
mod likeness;
mod machine;
mod needs;
mod open_calls;
mod outcome;
mod own_turns;
mod plan;
pub mod policy;
mod process;
mod processes;
mod protection;
mod question;
mod remedy;
mod restart;
mod resting;
mod retry;
mod review;
mod rotation;
mod sent_back;
mod session;
mod setup;
pub mod shell;
mod shutdown;
mod spending;
mod steered;
mod stop_under_review;
mod stops;
pub mod supervised;
mod tally;
mod tests_compared;
mod tick;
mod token;
mod tokens_used;
mod tree;
mod verdict;
mod watch;
mod work;
mod workers;
mod writes;

#[cfg(test)]
pub(crate) mod tests;

pub use action::{
    Action, Decision, Finish, Note, QueuedTurn, RestKind, Send, SettledHow, Show, Signal, Spawn, WhenLeft,
};
pub use arguments::AgentArguments;
pub use bounds::{Amount, Bound, BoundRow, Budgets, SpentBound, bound_in_words, dollars};
pub use conversation::{MAX_IMAGES_MIB, base64_bytes, words_before_continue};
pub use doubt::HEAD_OR_INDEX;
pub use id::{CheckId, CheckpointId, MeasureId, derive_uuid};
pub use input::{
    Change, CheckpointAt, CheckpointFact, Input, LineFact, OperatorInput, Ruling, SpawnFault, TextEditor, TreeFact,
    TreeFault,
};
pub use journalled::{BlobRef, Gap, JournalLine};
pub use likeness::same as same_feedback;
pub use likeness::{NUMBER_WORDS, TIME_UNITS};
pub use machine::Core;
pub use needs::Needs;
pub use outcome::{EndWords, GoesOn, Outcome, OutcomeRow, Tone};
pub use plan::{
    Approvals, CheckPlan, CriticLimits, CriticPlan, CriticPrompt, Guard, Plan, Push, SandboxSettings, SetupPlan,
    Timeouts, Unattended, WallsPlan,
};
pub use protection::Protected;
pub use question::{About, Answer, AtLimit, Choice, Question};
pub use steered::{Refused, Taken, is_one_word};
pub use strum::VariantNames;
pub use tick::Tick;
pub use token::{SpentToken, TokenFact, TokenId, TokenReport, WindowFact};
pub use verdict::{COMPLETED_MARKER, NEEDS_USER_MARKER, Verdict};
pub use verdict::{LINE_ENDS, spells_a_marker};
pub use watch::{AfterWait, Awaited};

pub use crate::words::{
    AskId, CheckEnd, CheckResult, ExitFact, Image, Launch, ProcId, ProtectedFiles, SessionStart, TestTouch, TokenKind,
    TouchedTest, TouchedTests, TurnId,
};
