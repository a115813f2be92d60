//! From files, environment and flags to [`Settings`]: what the user wants, resolved once and without options.
//!
//! Layers, the higher over the lower: flags, `CCC_*` variables, `.ccc.json` of the project, `ccc.json` in the user's
//! configuration directory, `~/.claude/ccc.json`, defaults. Each layer is an option-only [`Layer`]; [`resolve`] picks
//! key by key, and [`Resolved`] keeps for each value where it came from ([`Origin`]).
//!
//! The environment is read once, into an [`Env`], and passed on as a value, so that a test can give another one.
//! A file that cannot be understood is an error with file, line and column, and nothing is started with half a
//! configuration; neither with a key that nobody knows.
//!
//! The module also knows where things are: directories ([`Dirs`]), the project ([`Project`]), the critic's prompt
//! ([`prompt::find`]) and the agent's program ([`agent::find`]). It writes nothing and prints nothing.

pub mod agent;
mod decode;
mod dirs;
pub mod env;
mod error;
mod file;
mod git_dirs;
mod keys;
mod layer;
mod project;
pub mod prompt;
mod resolve;
mod settings;
mod span;
mod token_entry;
mod trust;
mod until;
mod values;

pub use dirs::Dirs;
pub use env::Env;
pub use error::{ConfigError, FileFault, Position};
pub use file::{FileLayer, UnknownKey, load_file, parse_file};
pub use git_dirs::GitDirs;
pub use keys::{KEYS, Key};
pub use layer::{AgentLayer, BudgetsLayer, CheckEntry, CriticLayer, Layer, UsageLayer, schema};
pub use project::Project;
pub use resolve::{Flags, Origin, Resolved, Warning, files_of, overlay, resolve};
pub use settings::{AgentSettings, BudgetSettings, Check, CriticSettings, Settings, UsageSettings};
pub use span::{Span, SpanFault};
pub use token_entry::{Provider, TokenEntry, TokenEntryKind, TokenPlace};
pub use trust::{Consents, FromProject, Wish};
pub use until::{Until, UntilFault};
pub use values::{Cost, CriticPromptAs, OutputFormat, Percent, Transport};
