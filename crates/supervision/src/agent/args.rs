use thiserror::Error;

use crate::words::SessionStart;

/// What the user's own arguments for the agent (those after `--`) mean to ccc. The arguments themselves are passed on
/// by [`Adapter::launch`](super::Adapter::launch).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserArgs {
    /// The session that they name: `New` when they choose the id of a new one, `Resume` or `Latest` when they go on with
    /// one. `None`: the run chooses an id itself.
    pub session: Option<SessionStart>,
    /// The model that they ask for.
    pub model: Option<String>,
    /// The permission mode that they ask for, in the CLI's own words.
    pub permission_mode: Option<String>,
    /// Settings of their own: a file, or JSON.
    pub settings: Option<String>,
    /// The file that holds them, as it was written, when it is a file.
    pub settings_file: Option<String>,
    /// Which of the CLI's settings files are read, in its own words; all unless given.
    pub setting_sources: Option<Vec<String>>,
    /// They switch all permission checks off, or allow the agent to.
    pub skips_permissions: bool,
}

/// The user's arguments for the agent after its CLI has complained about them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AmendedArgs {
    /// Those that the complaint is about; none when that cannot be told.
    pub refused: Vec<String>,
    /// All without those, and with what a mistyped option was meant to be.
    pub kept: Vec<String>,
    /// Of these the ones that are not proven.
    pub instead: Vec<String>,
}

/// Why the user's arguments for the agent cannot be used. Nothing has been started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgsProblem {
    /// ccc decides this itself, or the option makes the agent something that ccc cannot supervise.
    #[error("the agent's option {option} cannot be used under ccc: {reason}")]
    Refused {
        /// The option as the user wrote it.
        option: String,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// A prompt among the options.
    #[error("{text:?} would be a prompt for the agent: give the task to ccc itself, with `-p TASK` before `--`")]
    Prompt {
        /// The argument, cut.
        text: String,
    },
    /// An option lacks its value.
    #[error("the agent's option {option} needs a value")]
    MissingValue {
        /// The option.
        option: String,
    },
    /// Two options name different sessions.
    #[error("the agent's options {first} and {second} name different sessions: give one of them")]
    TwoSessions {
        /// The first of them.
        first: String,
        /// The second of them.
        second: String,
    },
}
