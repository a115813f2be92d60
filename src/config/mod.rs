//! From files, environment and flags to [`Settings`]: what the user wants, resolved once and without options.
//!
//! Every setting stands once, in the table (`table.rs`); the types below are made from it.
//!
//! Layers, the higher over the lower: flags, `CCC_*` variables, `.ccc.json` of the project, `ccc.json` in the user's
//! configuration directory, `~/.claude/ccc.json`, defaults. Each layer is an option-only [`Layer`]; [`resolve`] picks
//! key by key, and [`Resolved`] keeps for each value where it came from ([`Origin`]).
//!
//! The environment is read once, into an [`Env`], and passed on as a value, so that a test can give another one.
//! A file that cannot be parsed, or has an unknown key, is an error with file, line and column: nothing is started with half a
//! configuration.
//!
//! The module also knows where things are: directories ([`Dirs`]), the project ([`Project`]), the critic's prompt
//! ([`prompt::find`]) and the agent's program ([`agent::find`]). It writes nothing and prints nothing.

pub mod agent;
mod check_entry;
mod decode;
mod dirs;
pub mod env;
mod error;
mod file;
mod git_dirs;
mod origin;
mod project;
pub mod prompt;
mod resolve;
mod schema;
#[macro_use]
mod setting;
mod span;
mod table;
mod token_entry;
mod trust;
mod until;
mod values;

pub use check_entry::CheckEntry;
pub use dirs::Dirs;
pub use env::Env;
pub use error::{ConfigError, FileFault, Position};
pub use file::{FileLayer, UnknownKey, load_file, parse_file};
pub use git_dirs::GitDirs;
pub use origin::Origin;
pub use project::Project;
pub use resolve::{Flags, Resolved, Warning, files_of, overlay, resolve};
pub use schema::{reference, schema};
pub use setting::{Form, Key};
pub use span::{Span, SpanFault};
pub use table::{
    AgentLayer, AgentSettings, BudgetSettings, BudgetsLayer, CriticLayer, CriticSettings, KEYS, Layer, Settings,
    UsageLayer, UsageSettings,
};
pub(crate) use table::{RESUME_OPTIONS, RUN_OPTIONS};
pub use token_entry::{TokenEntry, TokenEntryKind, TokenPlace};
pub use trust::{Consents, FromProject, Wish};
pub use until::{Until, UntilFault};
pub use values::{AgentName, Cost, CriticPromptAs, OutputFormat, Percent, Transport};

pub use crate::words::Provider;
