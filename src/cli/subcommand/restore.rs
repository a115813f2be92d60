//! `ccc restore RUN N`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::kill::agreed;
use crate::checkpoint::{self, Entry, RestorePlan};
use crate::cli::kept::KeptRun;
use crate::cli::{CliError, Context, ExitCode, continued, inside};
use crate::journal::FileLock;
use crate::ui::clean;

/// How many files are named.
const NAMED: usize = 10;

/// Make the files of a run those of one of its checkpoints.
///
/// What is there is kept first, as a checkpoint of its own, so that a restore can be taken back. Only files change: the branch,
/// its commits, the index and ignored files stay. The run must not be active.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RestoreArgs {
    /// Its name, its id, the beginning of either, or `last` for the one that was active last.
    #[arg(value_name = "RUN")]
    pub run: String,

    /// The number of the checkpoint, see `ccc checkpoints RUN`.
    #[arg(value_name = "N")]
    pub number: u64,

    /// Only this file or directory, relative to the top of the repository; can be given several times.
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,

    /// Only say what would change.
    #[arg(long)]
    pub dry_run: bool,

    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Restores the files.
///
/// # Errors
/// When there is no such run or checkpoint, the run is active, nobody agrees, or git fails.
pub fn run(args: RestoreArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("restore", context)?;
    let kept = KeptRun::find(&args.run, context)?;
    let entry = kept.entry(args.number)?;
    let id = kept.dir.id();
    let Some(tree) = &kept.tree else { return Err(kept.without_tree()) };
    refuse_elsewhere(&args, id, tree, context)?;
    if !args.dry_run && matches!(FileLock::holder(&kept.dir.lock()), Ok(Some(_))) {
        return Err(CliError::usage(format!("run {id} is active, and writes these files"))
            .hint(format!("to end it first, so that it can go on later: ccc stop {id}")));
    }
    if !args.dry_run {
        continued::refuse(&kept.dir, context)?;
    }
    let paths: Vec<&Path> = args.paths.iter().map(PathBuf::as_path).collect();
    let plan_from = |now: &str| {
        checkpoint::plan_restore(&kept.git, &kept.repository, now, &entry.tree, &paths).map_err(CliError::failed)
    };
    kept.refuse_outside("--path ", &args.paths)?;
    let now = kept.now()?;
    for path in &paths {
        refuse_unknown(path, &now, entry, &kept)?;
    }
    let plan = plan_from(&now)?;
    for path in &plan.submodules {
        context.printer.warn(format_args!("the submodule {} stays as it is", path.display()));
    }
    if plan.is_empty() || args.dry_run {
        said(&args, id, &plan, None, context);
        if !plan.is_empty() {
            kept.tell_of_later(&now, Some(entry.number), context);
        }
        return Ok(ExitCode::COMPLETED);
    }
    if !args.yes {
        tell(&plan, context);
        kept.tell_of_later(&now, Some(entry.number), context);
    }
    let at = tree.display();
    let question = format!("Make {} in {at} those of checkpoint {} of {id}?", files(&plan), entry.number);
    agreed(args.yes, &question, "restore", context)?;
    let why = format!("before restoring checkpoint {}", entry.number);
    let before = checkpoint::keep(&kept.git, tree, id, &why, None).map_err(CliError::failed)?;
    // What was kept is what is restored from: a file that was written meanwhile is in it.
    let plan = plan_from(&before.commit)?;
    checkpoint::restore(&kept.git, &kept.repository, &before.commit, &plan).map_err(|error| {
        let error = CliError::failed(error);
        error.hint(format!("what was there is checkpoint {}: ccc diff {id} {0}", before.number))
    })?;
    said(&args, id, &plan, Some(before.number), context);
    if !args.json {
        let head = kept.repository.commit(&kept.git, "HEAD").map_err(CliError::failed)?;
        if head != entry.parent
            && let Some(parent) = &entry.parent
        {
            context.printer.talk(format_args!(
                "the branch stays where it is; when the checkpoint was taken, it was at {}",
                parent.get(..12).unwrap_or(parent)
            ));
        }
    }
    Ok(ExitCode::COMPLETED)
}

/// Refuses `last` where the last run worked in another place than the current directory: there its files are not in view.
fn refuse_elsewhere(args: &RestoreArgs, id: &str, tree: &Path, context: &Context) -> Result<(), CliError> {
    let real = |dir: &Path| dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    if args.run != "last" || args.dry_run || real(context.cwd()?).starts_with(real(tree)) {
        return Ok(());
    }
    let message = format!("the last run, {id}, worked in {}, and not here", tree.display());
    Err(CliError::usage(message).hint(format!(
        "to change the files there: ccc restore {id} {}; to list the runs of this directory: ccc runs --here",
        args.number
    )))
}

/// Refuses a path that neither the checkpoint nor the files as they are have: it is mistyped.
fn refuse_unknown(path: &Path, now: &str, entry: &Entry, kept: &KeptRun) -> Result<(), CliError> {
    for tree in [now, entry.tree.as_str()] {
        if checkpoint::has_path(&kept.git, &kept.repository, tree, path).map_err(CliError::failed)? {
            return Ok(());
        }
    }
    let (path, number) = (clean::one_line(&path.display().to_string(), 200), entry.number);
    Err(CliError::usage(format!("--path {path} is neither in checkpoint {number} nor among the files now"))
        .hint(format!("to see which files differ: ccc restore {} {number} --dry-run", kept.dir.id())))
}

/// What was done, or would be. `before`: the checkpoint that has what was there.
fn said(args: &RestoreArgs, id: &str, plan: &RestorePlan, before: Option<u64>, context: &Context) {
    if args.json {
        context.printer.json(serde_json::json!({
            "run": id,
            "number": args.number,
            "restored": before.is_some(),
            "before": before,
            "written": plan.written,
            "removed": plan.removed,
        }));
        return;
    }
    if plan.is_empty() {
        context.printer.line(format_args!("nothing to restore: the files are those of checkpoint {}", args.number));
        return;
    }
    match before {
        Some(before) => {
            context.printer.line(format_args!("restored {} to checkpoint {} of {id}", files(plan), args.number));
            if args.yes {
                // Nobody was asked, so nobody has seen them.
                tell(plan, context);
            }
            context.printer.talk(format_args!(
                "what was there is checkpoint {before}; to take the restore back: ccc restore {id} {before}"
            ));
        }
        None => {
            context.printer.line(format_args!("would change {}", files(plan)));
            tell(plan, context);
        }
    }
}

/// Names the files.
fn tell(plan: &RestorePlan, context: &Context) {
    let what = |path| if plan.added.contains(path) { "add" } else { "change" };
    let written = plan.written.iter().map(|path| (what(path), path));
    let removed = plan.removed.iter().map(|path| ("remove", path));
    let all = plan.written.len() + plan.removed.len();
    for (what, path) in written.chain(removed).take(NAMED) {
        context.printer.talk(format_args!("  {what} {}", clean::one_line(&path.display().to_string(), 200)));
    }
    if all > NAMED {
        context.printer.talk(format_args!("  and {} more", all - NAMED));
    }
}

fn files(plan: &RestorePlan) -> String {
    match plan.written.len() + plan.removed.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}
