//! What ccc remembers about a project between runs, in its own state directory: what the user has agreed to
//! ([`ConsentStore`]), and the critic's prompt of the last run ([`SeenPrompt`]). [`SettingsOfAgent`] says whether the
//! project's settings for the agent's CLI ask for more than the user has agreed to. [`CurrentProvider`] holds the
//! provider that the user has chosen. [`RunWalls`] says what the processes of a run may write.
//!
//! Records about a project are bound to its real path, in separate files in directories that only the user can write
//! to. A file that cannot be read counts as absent, so the user is asked again.

mod agent_sandbox;
mod agent_settings;
mod caches;
mod consent;
mod current_provider;
mod git_programs;
mod seen_prompt;
mod tree_lock;
mod walls;
mod withheld;

pub use agent_sandbox::{NoSandbox, find_sandbox};
pub use agent_settings::{AskedFor, SettingsOfAgent, named, unreadable};
pub use consent::{ConsentStore, Consented, StoreError};
pub use current_provider::CurrentProvider;
pub use git_programs::ChangedProgram;
pub use seen_prompt::{PromptNews, SeenPrompt};
pub use tree_lock::lock_tree;
pub use walls::{NoWalls, OwnSandbox, Places, RunWalls, TEMPORARY, remove_copies};
pub use withheld::{Withheld, production_credentials};

use std::path::Path;

/// The name of a project's record: the hash of its real path.
fn record_name(project: &Path) -> String {
    format!("{}.json", crate::journal::sha256_hex(project.as_os_str().as_encoded_bytes()))
}
