//! `ccc night FILE`.
#![allow(rustdoc::broken_intra_doc_links, reason = "in help texts a default stands in brackets")]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Command, ValueEnum};

use crate::cli::night::{self, Night, Wanted};
use crate::cli::{CliError, Context, ExitCode, inside};
use crate::config::{Cost, Percent, Until};

/// Work through a list of tasks, one after the other, each as a run of its own.
///
/// The list has one task a line, or is a Markdown list, or JSON with options for each task. Each task is worked in this directory
/// as `ccc --supervisor` does it. Started again with the same list, ccc continues where it was: what is finished is not run
/// again, and a run that was interrupted is continued. A task that is added to the file while ccc works is taken up.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct NightArgs {
    /// The list, or `-` for stdin.
    #[arg(value_name = "FILE", required_unless_present = "status")]
    pub file: Option<PathBuf>,

    /// Start no task after this time, and end the one at work: 07:00, +8h, or 2026-11-28T07:00.
    #[arg(long, value_name = "CLOCK")]
    pub until: Option<Until>,

    /// End when all runs together have cost this much, in US dollars.
    #[arg(long, value_name = "USD")]
    pub max_cost_usd: Option<Cost>,

    /// Start no task while less than this percentage of a usage window is left; it is kept for you [`usage.reserve`].
    #[arg(long, value_name = "PERCENT")]
    pub reserve: Option<Percent>,

    /// What to do when a task is not completed: stop, or continue with the next one [continue].
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true, hide_default_value = true, default_value_t = OnFailure::Continue)]
    pub on_failure: OnFailure,

    /// Forget what was done of this list, and work it from its beginning.
    #[arg(long)]
    pub again: bool,

    /// Show what would be done, and start nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Show how each task stands; without FILE, of the lists at work, or of the last one.
    #[arg(long, conflicts_with_all = ["until", "max_cost_usd", "reserve", "again", "dry_run"])]
    pub status: bool,

    /// Print one JSON object; only with --status or --dry-run.
    #[arg(long)]
    pub json: bool,

    /// Options of `ccc --supervisor` for every run, such as --check "make test" or --max-iterations 10; after another `--` those of
    /// the agent, as in: ccc night tasks.md -- --check "make test" -- --permission-mode acceptEdits
    #[arg(last = true, value_name = "RUN OPTIONS")]
    pub run_options: Vec<String>,
}

/// What is done when a task is not completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFailure {
    /// End the night.
    Stop,
    /// Start the next task.
    Continue,
}

/// Works through a list, or shows one. `root` is the definition of all commands.
///
/// # Errors
/// When the list or an option is wrong, another ccc works on the list, or nothing can be remembered.
pub fn run(args: NightArgs, typed: &[OsString], root: &Command, context: &Context) -> Result<ExitCode, CliError> {
    if args.json && !args.status && !args.dry_run {
        return Err(CliError::usage("--json needs --status or --dry-run")
            .hint("for the output of the runs as JSON, put it behind the two dashes: -- --output-format stream-json"));
    }
    if args.status {
        return night::status(args.file.as_deref(), args.json, context);
    }
    if !args.dry_run {
        inside::refuse("night", context)?;
    }
    let wanted = Wanted {
        file: args.file.unwrap_or_else(|| "-".into()),
        until: args.until,
        max_cost_usd: args.max_cost_usd,
        reserve: args.reserve,
        stops_at_failure: args.on_failure == OnFailure::Stop,
        again: args.again,
        dry_run: args.dry_run,
        json: args.json,
        run_options: args.run_options,
        typed: typed.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect(),
    };
    Night::new(wanted, root, context)?.run()
}
