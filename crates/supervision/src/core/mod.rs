//! The state machine of one run: facts in, decisions out.
//!
//! [`Core::handle`] takes one [`Input`] (a fact, in the past tense) and the time at which it became known;
//! [`Core::poll_action`] gives what is to be done about it, one [`Action`] (an imperative) at a time;
//! [`Core::poll_timeout`] names the one earliest deadline at which the driver must come back with [`Input::Elapsed`].
//! The same plan and the same inputs always give the same actions: so a recorded run can be replayed.
//!
//! Not here: clocks, files, processes, threads, environment, random numbers, sockets. The crate's dependencies and `clippy.toml`
//! forbid them.
//! A feature that seems to need one of them needs a new input and a new action instead.

mod action;
mod arguments;
mod asking;
mod bounds;
mod checks;
mod convergence;
mod conversation;
mod doubt;
mod exchange;
mod failures;
mod finish;
mod flood;
mod id;
mod input;
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
mod question;
mod remedy;
mod restart;
mod retry;
mod review;
mod reviewing;
mod rotation;
mod sent_back;
mod session;
pub mod shell;
mod shutdown;
mod spending;
mod stops;
pub mod supervised;
mod tick;
mod token;
mod tree;
mod usage;
mod verdict;
mod watch;
mod work;
mod writes;

#[cfg(test)]
pub(crate) mod tests;

pub use action::{Action, Decision, Finish, Note, Send, Show, Signal, Spawn, SpentToken};
pub use arguments::AgentArguments;
pub use bounds::{Amount, Bound, BoundRow, Budgets, SpentBound, bound_in_words, dollars};
pub use conversation::words_before_continue;
pub use doubt::HEAD_OR_INDEX;
pub use id::{CheckId, MeasureId, derive_uuid};
pub use input::{Input, LineFact, OperatorInput, SpawnFault, TreeFact, TreeFault};
pub use likeness::same as same_feedback;
pub use likeness::{NUMBER_WORDS, TIME_UNITS};
pub use machine::Core;
pub use needs::Needs;
pub use outcome::{Outcome, OutcomeRow, Told, Tone};
pub use plan::{Approvals, CheckPlan, CriticPlan, CriticPrompt, Plan, Timeouts};
pub use question::{About, Answer, AtLimit, Choice, Question};
pub use tick::Tick;
pub use token::{TokenFact, TokenId, TokenReport, WindowFact};
pub use verdict::{COMPLETED_MARKER, NEEDS_USER_MARKER, Verdict};
pub use verdict::{LINE_ENDS, spells_a_marker};
pub use watch::{Awaited, Then};

pub use crate::words::{CheckEnd, CheckResult, ExitFact, Launch, ProcId, SessionStart, TokenKind, TurnId};
