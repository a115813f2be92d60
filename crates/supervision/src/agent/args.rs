use thiserror::Error;

use crate::words::SessionStart;

/// The meaning to ccc of the user's own arguments for the agent (those after `--`).
/// [`Adapter::launch`](super::Adapter::launch) passes the arguments themselves on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserArgs {
    /// The session that they name: `New` when they choose the id of a new one, `Resume` or `Latest` when they
    /// continue one. `None`: the run chooses an id itself.
    pub session: Option<SessionStart>,
    /// The model that they select.
    pub model: Option<String>,
    /// The permission mode that they select, in the CLI's own words.
    pub permission_mode: Option<String>,
    /// The settings that they give: a file, or JSON.
    pub settings: Option<String>,
    /// The settings file's path as the user wrote it, when the settings are a file.
    pub settings_file: Option<String>,
    /// Which of the CLI's settings files are read, in its own words; all unless given.
    pub setting_sources: Option<Vec<String>>,
    /// The permission rules that they add to those of the settings, as far as a space or a comma separates them.
    pub allowed: Vec<String>,
    /// They switch all permission checks off, or allow the agent to.
    pub skips_permissions: bool,
}

/// The user's arguments for the agent's own interface when ccc starts it without supervision. All of them are passed
/// on unchanged except those that give settings, because the CLI uses only one of two such options.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InterfaceArgs {
    /// All arguments except those that give settings.
    pub rest: Vec<String>,
    /// The settings that the arguments give, as JSON or as a file.
    pub settings: Option<String>,
    /// Which of the CLI's settings files are read, in its own words; all unless given.
    pub setting_sources: Option<Vec<String>>,
    /// Whether they choose the model.
    pub choose_model: bool,
}

/// The user's arguments for the agent after its CLI has rejected some of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AmendedArgs {
    /// The arguments that the complaint is about; empty when that cannot be told.
    pub refused: Vec<String>,
    /// All other arguments, with mistyped options corrected.
    pub kept: Vec<String>,
    /// Those of `kept` that the CLI has not accepted yet.
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
