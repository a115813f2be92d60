//! `ccc diff RUN [N[..M]]`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::checkpoint::{self, Summary};
use crate::cli::kept::{KeptRun, Range, refuse_outside};
use crate::cli::{CliError, Context, ExitCode, agent_tree, steer};
use crate::fleet::AgentRecord;
use crate::ui::clean;

/// How many characters of a path are shown.
const PATH_CHARS: usize = 400;

/// Show what a run has changed, committed or not, as a patch.
///
/// Of an agent with a worktree: what it has changed since its branch began. Of another run: what has changed since its first
/// checkpoint. With numbers of checkpoints, what has changed between them; see `ccc checkpoints RUN`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DiffArgs {
    /// Its name, its id, or the beginning of either; without it, the run that was active last.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// The number of a checkpoint, to compare it with the files as they are now, or two numbers such as 1..3.
    #[arg(value_name = "N[..M]")]
    pub range: Option<Range>,

    /// Only these files or directories, relative to the top of the repository.
    #[arg(value_name = "PATH", last = true)]
    pub paths: Vec<PathBuf>,

    /// Print only how many lines were added and removed in each file.
    #[arg(long)]
    pub stat: bool,

    /// Print one JSON object: the changed files with their added and removed lines.
    #[arg(long, conflicts_with = "stat")]
    pub json: bool,
}

/// Two numbers of checkpoints, such as 1..3, where a run is named.
fn between(run: &str) -> Option<Range> {
    run.parse().ok().filter(|range| matches!(range, Range::Between(..)))
}

/// Shows the changes.
///
/// # Errors
/// When there is no such run or checkpoint, or git fails.
pub fn run(args: DiffArgs, context: &Context) -> Result<ExitCode, CliError> {
    let DiffArgs { run, range, .. } = &args;
    // Two numbers name no run: they are of the last one.
    let (run, range) = match (run.as_deref().and_then(between), range) {
        (Some(between), None) => (None, Some(between)),
        (Some(_) | None, range) => (run.as_deref(), range.clone()),
    };
    let dir = steer::find_begun_or_last(run, context)?;
    let record = AgentRecord::read(&dir).ok().flatten();
    let own_tree = record.as_ref().filter(|record| record.tree.is_some() && range.is_none());
    if let Some(tree) = record.as_ref().and_then(|record| record.tree.as_ref()) {
        refuse_outside("", &args.paths, &tree.path)?;
    }
    let counts = args.stat || args.json;
    let paths: Vec<&Path> = args.paths.iter().map(PathBuf::as_path).collect();
    let shown = match own_tree {
        Some(record) if counts => Shown::Counts(agent_tree::sums(record, context)?),
        Some(record) => Shown::Patch(agent_tree::patch(record, &paths, context)?),
        None => {
            let kept = KeptRun::of(dir.clone(), context)?;
            kept.refuse_outside("", &args.paths)?;
            let (from, to) = kept.ends(range.as_ref())?;
            match range {
                None => kept.tell_of_later(&to, None, context),
                Some(Range::Since(from)) => kept.tell_of_later(&to, Some(from), context),
                Some(Range::Between(..)) => {}
            }
            let place = kept.repository.shared();
            if counts {
                let sums = checkpoint::summary(&kept.git, &place, &from, &to);
                Shown::Counts(sums.map_err(CliError::failed)?)
            } else {
                let patch = checkpoint::diff(&kept.git, &place, &from, &to, &paths);
                Shown::Patch(patch.map_err(CliError::failed)?)
            }
        }
    };
    match shown {
        Shown::Patch(patch) => print(&patch, context),
        Shown::Counts(sums) if args.json => json(dir.id(), record.as_ref(), &sums, context),
        Shown::Counts(sums) => stat(&sums, context),
    }
    Ok(ExitCode::COMPLETED)
}

/// Prints a patch. On a terminal what an agent wrote must not act on it; a program gets the patch as it is.
fn print(patch: &[u8], context: &Context) {
    if context.printer.columns().is_some() {
        context.printer.data(&clean::lines(&String::from_utf8_lossy(patch)));
    } else {
        context.printer.bytes(patch);
    }
}

/// What is shown of a difference.
enum Shown {
    Patch(Vec<u8>),
    Counts(Summary),
}

fn stat(sums: &Summary, context: &Context) {
    for file in &sums.files {
        let lines = match file.lines {
            Some((added, removed)) => format!("+{added}\t-{removed}"),
            None => "binary\t".to_owned(),
        };
        context
            .printer
            .line(format_args!("{lines}\t{}", clean::one_line(&file.path.display().to_string(), PATH_CHARS)));
    }
}

fn json(id: &str, record: Option<&AgentRecord>, sums: &Summary, context: &Context) {
    let tree = record.and_then(|record| record.tree.as_ref());
    let files: Vec<serde_json::Value> = sums
        .files
        .iter()
        .map(|file| {
            serde_json::json!({
                "path": file.path,
                "renamed_from": file.renamed_from,
                "added": file.lines.map(|(added, _)| added),
                "removed": file.lines.map(|(_, removed)| removed),
            })
        })
        .collect();
    context.printer.json(serde_json::json!({
        "id": id,
        "name": record.map(|record| &record.name),
        "base": tree.map(|tree| &tree.base),
        "branch": tree.map(|tree| &tree.branch),
        "files": files,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;

    #[test]
    fn a_patch_cannot_act_on_a_terminal_and_a_program_gets_it_as_it_is() {
        let patch = b"+\x1b]52;c;ZXZpbA==\x07\x1b[2J\xe2\x80\xae\n";
        let shown = |columns| {
            let seen = Captured::default();
            print(patch, &seen.context(Path::new("/"), columns));
            seen.text()
        };
        let on_terminal = shown(Some(80));
        assert!(!on_terminal.contains(['\x1b', '\x07', '\u{202e}']) && on_terminal.starts_with('+'), "{on_terminal:?}");
        assert_eq!(shown(None).as_bytes(), patch);
    }
}
