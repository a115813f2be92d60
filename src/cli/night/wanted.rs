//! What the user wants of a list.

use std::path::PathBuf;

use crate::config::{Cost, Percent, Until};

/// What is typed after `ccc night`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Wanted {
    /// The list; `-` is stdin.
    pub(in crate::cli) file: PathBuf,
    /// When it ends.
    pub(in crate::cli) until: Option<Until>,
    /// What all runs together may cost.
    pub(in crate::cli) max_cost_usd: Option<Cost>,
    /// The share of the usage that is kept for the user.
    pub(in crate::cli) reserve: Option<Percent>,
    /// The first task that is not completed ends it.
    pub(in crate::cli) stops_at_failure: bool,
    /// What was done of the list is forgotten.
    pub(in crate::cli) again: bool,
    /// Only what would be done is shown.
    pub(in crate::cli) dry_run: bool,
    /// It is shown as JSON.
    pub(in crate::cli) json: bool,
    /// The options of the runs.
    pub(in crate::cli) run_options: Vec<String>,
    /// All that was typed, without the program's name.
    pub(in crate::cli) typed: Vec<String>,
}
