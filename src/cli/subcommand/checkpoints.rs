//! `ccc checkpoints RUN`.

use clap::Args;

use crate::checkpoint::{self, Summary};
use crate::cli::kept::KeptRun;
use crate::cli::{CliError, Context, ExitCode, steer, zone};
use crate::ui::{clean, format};

/// List the checkpoints of a run: its files before the agent started, and as they were each time it stopped.
///
/// Ignored files are in no checkpoint. To compare: ccc diff RUN 1..2. To take work back: ccc restore RUN 1
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CheckpointsArgs {
    /// Its name, its id, or the beginning of either; without it, the run that was active last.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// Print one JSON object for each checkpoint.
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
///
/// # Errors
/// When there is no such run, its directory is in no repository, or git fails.
pub fn run(args: CheckpointsArgs, context: &Context) -> Result<ExitCode, CliError> {
    let kept = KeptRun::of(steer::find_begun_or_last(args.run.as_deref(), context)?, context)?;
    if kept.entries.is_empty() && !args.json {
        context.printer.talk(format_args!("run {} has no checkpoints", kept.dir.id()));
    }
    let zone = zone::of_process();
    let mut before: Option<&str> = None;
    for entry in &kept.entries {
        let changed = before
            .map(|before| checkpoint::summary(&kept.git, &kept.repository.shared(), before, &entry.tree))
            .transpose()
            .map_err(CliError::failed)?;
        before = Some(&entry.tree);
        if args.json {
            let changed = changed.as_ref();
            context.printer.json(serde_json::json!({
                "run": kept.dir.id(),
                "number": entry.number,
                "commit": entry.commit,
                "head": entry.parent,
                "unix_s": entry.unix_s,
                "why": entry.why,
                "files": changed.map(|changed| changed.files.len()),
                "added": changed.map(|changed| changed.added),
                "removed": changed.map(|changed| changed.removed),
            }));
        } else {
            let when = format::date_and_time(entry.unix_s.saturating_mul(1000), &zone);
            let changed = changed.as_ref().map_or_else(String::new, extent);
            context.printer.line(format_args!(
                "{:>4}  {when}  {changed:<22}  {}",
                entry.number,
                clean::one_line(&entry.why, 60)
            ));
        }
    }
    Ok(ExitCode::COMPLETED)
}

/// `3 files +20 -4`, or that nothing differs.
fn extent(changed: &Summary) -> String {
    match changed.files.len() {
        0 => "no change".to_owned(),
        1 => format!("1 file +{} -{}", changed.added, changed.removed),
        files => format!("{files} files +{} -{}", changed.added, changed.removed),
    }
}
