//! The adapters: what a CLI family can do, how it is launched and addressed, and what its lines mean.
//!
//! The core sees only [`AgentEvent`]s and never the messages of one CLI, so other CLIs can be added: an adapter is a
//! folder here that implements [`Adapter`], and [`Protocol`] for each process, which follows the turn. Both are pure:
//! the core owns a protocol, copies it with itself and replays it over old runs.
//!
//! The contract with the core:
//! - Every line yields first either [`AgentEvent::Progress`] (the request advances) or [`AgentEvent::Alive`] (the
//!   process only lives). The adapter decides which by the meaning of its CLI's lines. An unknown line is `Alive` and
//!   never an error.
//! - [`AgentEvent::TurnEnded`] comes exactly once per turn, and only when the agent is idle again with nothing open
//!   in the background: the *stop* of the design.
//! - While a turn is answered but something is still pending, [`AgentEvent::Waiting`] names it. The core sets a limit
//!   and after it takes the end from [`Protocol::settle`].
//! - The core answers every [`AgentEvent::Question`] with [`Say::Permission`], [`Say::Denial`], [`Say::Filled`],
//!   [`Say::Cancel`] or [`Say::Refusal`], at once or within a limit of its own, unless
//!   [`AgentEvent::QuestionWithdrawn`] comes first. When the core reports its answer, [`Protocol::tool_answered`]
//!   returns what the protocol knows of the call.
//! - When the CLI then continues an answered turn by itself, [`AgentEvent::TurnStarted`] comes again with the same
//!   [`StartedBy`], and the turn still has one end. Its text is the last non-empty one, its outcome the last.
//! - A failure before a turn was accepted, for example of a resume, has no `TurnEnded`: the process ends, and
//!   [`Adapter::exit_cause`] says why.

mod adapter;
mod args;
mod asked;
pub mod brief;
mod claude;
mod claude_native;
mod event;
mod kind;
mod vocabulary;

pub use adapter::{Adapter, Protocol, Say};
pub use args::{AmendedArgs, ArgsProblem, InterfaceArgs, UserArgs};
pub use asked::{AnswerForm, Asked, AskedField, AskedKind, AskedOption, AskedQuestion, Edit, Hunk};
pub use event::{
    AgentEvent, AllowedBy, Ask, Caps, ContextUse, Denial, ExitCause, FailureCause, LimitReport, LimitStatus,
    OfferedCommand, Offers, Role, StartedBy, TodoItem, TokenCount, ToolOutput, ToolRequest, TurnEnd, TurnKind,
    TurnOutcome, WaitingFor,
};

pub use claude_native::HOOK_GONE;
pub use kind::AgentKind;
pub use vocabulary::Vocabulary;

use crate::words::ProcId;

/// Where a CLI and its files are. The adapter states it; the driver, which alone reads files, looks there. Paths are
/// relative and use `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation {
    /// The product's name, as its vendor writes it.
    pub product: &'static str,
    /// The command that installs it, or its newest version.
    pub install: &'static str,
    /// Where the program may be, besides `PATH`, below the user's home directory.
    pub also_at: Option<&'static str>,
    /// The oldest and the newest version that ccc is tested with.
    pub tested: [&'static str; 2],
    /// The variable that names the CLI's own directory.
    pub dir_variable: &'static str,
    /// The default of that directory, below the user's home directory.
    pub dir: &'static str,
    /// The files beside that directory that the CLI writes, too.
    pub files: &'static [&'static str],
    /// Where the session records are: a folder below the CLI's own directory, and how many levels below it the files
    /// are. [`Adapter::is_record`] identifies them by name.
    pub records: (&'static str, usize),
    /// Whether the CLI has settings files in Claude Code's format. Such files can hold credentials, hosts, hooks and
    /// a permission mode, and ccc reads them. Without them the agent gets only the tokens that ccc is given.
    pub settings_files: bool,
}

/// What a resume of a session loads of its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    /// Everything.
    Whole,
    /// Everything by now, but nothing of what follows that resume: a second one goes back to the same place.
    Stuck,
    /// Not the latest turns.
    Cut,
}

/// How a process opens its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOpen {
    /// Begin a session under this id.
    New(String),
    /// Resume this session.
    Resume(String),
    /// Continue the first session in a copy of it that has the second id; only where [`Caps::fork`] allows it.
    Copy(String, String),
    /// Continue the directory's latest session; the user's own arguments already say so.
    Latest,
    /// A copy of this session that is not persisted; only where [`Caps::fork`] allows it.
    Fork(String),
}

/// What to launch. The adapter turns it into a [`crate::words::Launch`].
#[derive(Debug, Clone)]
pub struct LaunchRequest<'a> {
    /// The run, for the environment cookie `CCC_RUN_ID`.
    pub run_id: &'a str,
    /// The process, for the environment cookie `CCC_ATTEMPT`.
    pub proc: ProcId,
    /// Agent or critic.
    pub role: Role,
    /// How the session is opened.
    pub open: SessionOpen,
    /// The model to request: that of the last `init` when the session is resumed or forked.
    pub model: Option<&'a str>,
    /// The user has chosen that model during the run, so it overrides the user's own arguments.
    pub model_is_chosen: bool,
    /// The permission mode that the user has chosen during the run; it overrides the user's own arguments.
    pub permission_mode: Option<&'a str>,
    /// Somebody may answer the agent's questions: the CLI is told to ask, and to report what it offers.
    pub asks: bool,
    /// The CLI's version, empty when unknown.
    pub agent_version: &'a str,
    /// The user's own arguments after `--`. A critic takes those that shape the prompt and none that grant permissions.
    pub user_args: &'a [String],
    /// Keep git's state out of the prompt where the CLI has no prompt snapshot.
    pub share_prompt_prefix: bool,
    /// A file whose text is appended to the critic's system prompt.
    pub system_prompt_file: Option<&'a str>,
    /// Commands that an agent may run without asking: the user's checks.
    pub allowed_commands: &'a [String],
    /// Tool patterns that a critic may use besides the read-only ones.
    pub critic_allow: &'a [String],
    /// Whether the critic may run every command, because it works on a copy of the tree.
    pub critic_runs_all: bool,
    /// The agent is prevented from moving to another working tree by itself.
    pub one_tree: bool,
    /// A copy of the settings that the user's arguments give, which switches the CLI's own sandbox on
    /// ([`Adapter::settings_in_sandbox`]); it takes their place.
    pub sandbox: Option<&'a str>,
    /// A critic runs without the hooks from the user's settings.
    pub without_hooks: bool,
    /// A copy without hooks of the settings file that the user's arguments name; a critic gets it instead.
    pub hookless_settings: Option<&'a str>,
    /// The first message, given on the command line when the agent is the CLI's own interface
    /// ([`Caps::own_interface`]).
    pub words: Option<&'a str>,
    /// A copy with ccc's hooks of the settings file that the user's arguments name
    /// ([`Adapter::settings_with_hooks`]); the CLI's own interface gets it instead.
    pub interface_settings: Option<&'a str>,
    /// The working directory, absolute.
    pub cwd: &'a str,
}

impl<'a> LaunchRequest<'a> {
    /// A request for this role, session and directory, without any of the user's settings.
    #[must_use]
    pub fn new(role: Role, open: SessionOpen, cwd: &'a str) -> LaunchRequest<'a> {
        LaunchRequest {
            run_id: "",
            proc: ProcId(1),
            role,
            open,
            model: None,
            model_is_chosen: false,
            permission_mode: None,
            asks: false,
            agent_version: "",
            user_args: &[],
            share_prompt_prefix: false,
            system_prompt_file: None,
            allowed_commands: &[],
            critic_allow: &[],
            critic_runs_all: false,
            one_tree: false,
            sandbox: None,
            without_hooks: false,
            hookless_settings: None,
            words: None,
            interface_settings: None,
            cwd,
        }
    }
}
