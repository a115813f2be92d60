//! The adapters: what one CLI family can do, how it is launched and spoken to, and what its lines mean.
//!
//! The core sees [`AgentEvent`]s only and never one CLI's messages, so that other CLIs can follow: an adapter is one more folder
//! here that implements [`Adapter`], and [`Protocol`] for each of its processes, which follows the turn. Both are pure: a
//! protocol is owned by the core, copied with it, and replayed over old runs.
//!
//! The contract with the core:
//! - Every line yields first either [`AgentEvent::Progress`] (the request moves on) or [`AgentEvent::Alive`] (only the process
//!   lives). The adapter decides which, by the meaning of its CLI's lines. An unknown line is `Alive` and never an error.
//! - [`AgentEvent::TurnEnded`] comes exactly once for each turn, and only when the agent is idle again with nothing
//!   open in the background: the *stop* of the design.
//! - While a turn is answered but something is still armed, [`AgentEvent::Waiting`] says for what; the core has a limit
//!   for it and then takes the end by [`Protocol::settle`].
//! - Every [`AgentEvent::Question`] is answered by the core, by [`Say::Permission`], [`Say::Denial`], [`Say::Cancel`] or
//!   [`Say::Refusal`], at once or within a limit of the core's, unless [`AgentEvent::QuestionWithdrawn`] comes before. What the
//!   protocol knows of the call it tells when the core says its answer ([`Protocol::tool_answered`]).
//! - When the CLI then goes on with an answered turn by itself, [`AgentEvent::TurnStarted`] comes again under the same
//!   [`StartedBy`], and the turn still has one end. Its text is the last that says something, its outcome the last.
//! - Failures before a turn was taken in, for example of a resume, have no `TurnEnded`: the process ends, and
//!   [`Adapter::exit_cause`] says why.

mod adapter;
mod args;
pub mod brief;
mod claude;
mod event;
mod kind;
mod vocabulary;

pub use adapter::{Adapter, Protocol, Say};
pub use args::{AmendedArgs, ArgsProblem, UserArgs};
pub use event::{
    AgentEvent, AllowedBy, Ask, Caps, Denial, Edit, ExitCause, FailureCause, LimitReport, LimitStatus, Role, StartedBy,
    TokenCount, ToolRequest, TurnEnd, TurnKind, TurnOutcome, WaitingFor,
};

pub use kind::AgentKind;
pub use vocabulary::Vocabulary;

use crate::words::ProcId;

/// Where a CLI and what it keeps are found: said by the adapter, looked up by the driver, which alone reads files. Paths are
/// relative and have `/` between their parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation {
    /// The product's name, as its makers write it.
    pub product: &'static str,
    /// The command that installs it, or its newest version.
    pub install: &'static str,
    /// Where the program may be besides `PATH`, below the user's home directory.
    pub also_at: Option<&'static str>,
    /// The oldest and the newest version that ccc is tested with.
    pub tested: [&'static str; 2],
    /// The variable that names the CLI's own directory.
    pub dir_variable: &'static str,
    /// Where that directory is without it, below the user's home directory.
    pub dir: &'static str,
    /// Where the records of sessions are, below the CLI's own directory: this folder, and how many levels of folders below it
    /// the files lie. [`Adapter::is_record`] knows them by their names.
    pub records: (&'static str, usize),
    /// Whether the CLI has settings files in the form of Claude Code's: they can hold credentials, hosts, hooks and a permission
    /// mode, and ccc reads them. Without them the agent gets nothing but the tokens that ccc is given.
    pub settings_files: bool,
}

/// How a process opens its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOpen {
    /// Begin a session under this id.
    New(String),
    /// Go on with this session.
    Resume(String),
    /// Go on with the directory's latest session; the user's arguments say so themselves.
    Latest,
    /// A copy of this session that leaves no trace; only where [`Caps::fork`] says so.
    Fork(String),
}

/// What is to be launched. The adapter turns it into a [`crate::words::Launch`].
#[derive(Debug, Clone)]
pub struct LaunchRequest<'a> {
    /// The run, for the environment cookie `CCC_RUN_ID`.
    pub run_id: &'a str,
    /// The process, for the environment cookie `CCC_ATTEMPT`.
    pub proc: ProcId,
    /// Whether it works or judges.
    pub role: Role,
    /// How the session is opened.
    pub open: SessionOpen,
    /// The model to ask for: that of the last `init` when the session is resumed or forked.
    pub model: Option<&'a str>,
    /// The CLI's version, empty when unknown.
    pub agent_version: &'a str,
    /// The user's own arguments after `--`. A critic takes those that shape the prompt and none that grant permissions.
    pub user_args: &'a [String],
    /// Keep git's state out of the prompt where the CLI has no prompt snapshot.
    pub share_prompt_prefix: bool,
    /// A file appended to the critic's system prompt.
    pub system_prompt_file: Option<&'a str>,
    /// Commands that an agent may run without being asked: the user's checks.
    pub allowed_commands: &'a [String],
    /// Tool patterns that a critic may use besides the read-only ones.
    pub critic_allow: &'a [String],
    /// The agent is kept from moving into another working tree by itself.
    pub one_tree: bool,
    /// A critic runs without the hooks of the user's settings.
    pub without_hooks: bool,
    /// A file with the settings of the file that the user's arguments name, but without hooks; a critic gets it instead.
    pub hookless_settings: Option<&'a str>,
    /// The working directory, absolute.
    pub cwd: &'a str,
}

impl<'a> LaunchRequest<'a> {
    /// With nothing of the user's: for this role, this session and this directory.
    #[must_use]
    pub fn new(role: Role, open: SessionOpen, cwd: &'a str) -> LaunchRequest<'a> {
        LaunchRequest {
            run_id: "",
            proc: ProcId(1),
            role,
            open,
            model: None,
            agent_version: "",
            user_args: &[],
            share_prompt_prefix: false,
            system_prompt_file: None,
            allowed_commands: &[],
            critic_allow: &[],
            one_tree: false,
            without_hooks: false,
            hookless_settings: None,
            cwd,
        }
    }
}
