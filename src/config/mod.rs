//! Resolves files, environment and flags once into [`Settings`], in which every setting with a default has a value.
//!
//! Every setting is defined once, in the table (`table.rs`); the types below are generated from it.
//!
//! The layers, from strongest to weakest: flags, `CCC_*` variables, the project's `.ccc.json`, `ccc.json` in the
//! user's configuration directory, `~/.claude/ccc.json`, defaults. In a [`Layer`] every setting is optional;
//! [`resolve`] merges the layers key by key, and [`Resolved`] keeps the source of each value ([`Origin`]).
//!
//! The environment is read once, into an [`Env`], and passed as a value, so that a test can pass another one.
//! A file that cannot be parsed, or has an unknown key, is an error with file, line and column: ccc starts nothing
//! with a partial configuration.
//!
//! The module also finds directories ([`Dirs`]), the project ([`Project`]), the critic's prompt ([`prompt::find`])
//! and the agent's program ([`agent::find`]). It writes nothing and prints nothing.

#[macro_use]
mod written;
pub mod agent;
mod check_entry;
mod decode;
mod dirs;
pub mod env;
mod error;
mod file;
mod git_dirs;
mod glob;
mod memory;
mod notify_entry;
mod origin;
mod project;
pub mod prompt;
mod providers;
mod reserve;
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
mod when_alone;

pub use check_entry::CheckEntry;
pub use dirs::Dirs;
pub use env::Env;
pub use error::{ConfigError, FileFault, Position};
pub use file::{FileLayer, UnknownKey, load_file, parse_file};
pub use git_dirs::GitDirs;
pub use glob::{Glob, GlobFault};
pub use memory::{MemorySize, MemorySizeFault, PercentOrOff, PercentOrOffFault};
pub use notify_entry::{CommandLine, Notify, NotifyEntry, NotifyEvent, NotifyWay, WebhookPlace, WebhookShape};
pub use origin::Origin;
pub use project::Project;
pub use providers::{EnvValue, NamedProvider, Providers, Unshown, UnshownObject, merged};
pub use reserve::{Reserve, ReserveFault, Seconds, SecondsFault};
pub use resolve::{Flags, Resolved, Warning, files_of, overlay, resolve};
pub use schema::schema;
pub use setting::{Form, Key};
pub use span::{Span, SpanFault};
pub use table::{
    AdmissionLayer, AdmissionSettings, AgentLayer, AgentSettings, ApprovalsLayer, ApprovalsSettings, BudgetSettings,
    BudgetsLayer, CriticLayer, CriticSettings, FleetLayer, FleetSettings, KEYS, Layer, Settings, UsageLayer,
    UsageSettings, WorktreeLayer, WorktreeSettings,
};
pub(crate) use table::{RESUME_OPTIONS, RUN_OPTIONS};
pub use token_entry::{TokenEntry, TokenEntryKind, TokenPlace};
pub use trust::{Consents, FromProject, Wish};
pub use until::{Until, UntilFault};
pub use values::{AgentName, Cost, CriticPromptAs, GuardMode, OutputFormat, Percent, PushTo, Transport};
pub use when_alone::{WhenAlone, WhenAloneFault};

pub use crate::words::Provider;
