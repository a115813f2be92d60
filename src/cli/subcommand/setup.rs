//! `ccc setup RUN`.

use std::ffi::OsString;

use clap::Args;

use super::resume::{self, ResumeArgs};
use crate::cli::options::Options;
use crate::cli::queue::not_started;
use crate::cli::{CliError, Context, ExitCode, detach, inside, steer};
use crate::config::{Layer, OutputFormat};
use crate::driver;
use crate::fleet::Queued;
use crate::journal::RunDir;

/// Run the setup of an agent's worktree again, and start the agent when it passes.
///
/// `worktree.setup` in the configuration lists the commands that set a new worktree up. If one of them fails, the agent does
/// not start. This command begins with the failed one: those that had passed are not run again.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SetupArgs {
    /// Its name, its id, the beginning of either, or `last` for the one that was active last.
    #[arg(value_name = "RUN")]
    pub run: String,

    /// Use the current configuration, for example after a command of the setup was corrected there.
    #[arg(long)]
    pub reload: bool,

    /// Print one JSON object at the end of the run, as `ccc resume --output-format json`.
    #[arg(long, conflicts_with = "detach")]
    pub json: bool,

    /// Continue in the background, print the run's id and return.
    #[arg(long)]
    pub detach: bool,

    /// This process is to outlive the terminal.
    #[arg(long, hide = true)]
    pub hosted: bool,
}

/// Resumes a run whose setup has failed or was not finished.
///
/// # Errors
/// When there is no such run, its setup has passed, or it cannot be resumed.
pub fn run(args: SetupArgs, typed: &[OsString], context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("setup", context)?;
    if args.detach && !args.hosted {
        return detach::start(typed, Some("setup"), None, context);
    }
    let run_dir =
        RunDir::resolve(&context.dirs()?.state, Some(&args.run)).map_err(|error| steer::no_such_run(&error))?;
    if Queued::is_there(&run_dir) {
        return Err(not_started(&run_dir));
    }
    // A journal that cannot be read is the matter of `ccc resume`, which says what can be done.
    if let Ok(rebuilt) = driver::rebuild(&run_dir.journal(), |_, _| {})
        && rebuilt.core.is_set_up()
    {
        let what = if rebuilt.core.plan().setup.is_empty() { "has no setup" } else { "is set up" };
        return Err(CliError::usage(format!("run {} {what}: there is nothing to try again", run_dir.id()))
            .hint(format!("to continue it: ccc resume {}", run_dir.id())));
    }
    let mut settings = Box::<Layer>::default();
    settings.output_format = args.json.then_some(OutputFormat::Json);
    let resume = ResumeArgs {
        run: Some(run_dir.id().to_owned()),
        all: false,
        prompt: None,
        wait: false,
        reload: args.reload,
        detach: args.detach,
        plain: false,
        hosted: args.hosted,
        queued: false,
        unless_kept_down: false,
        conversation: false,
        lift_bounds: false,
        warned: None,
        share_tree: false,
        replace_args: false,
        settings: Options(settings),
        agent_args: Vec::new(),
    };
    resume::run(resume, typed, context)
}
