//! `ccc diff AGENT`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::agent::record_of;
use crate::cli::{CliError, Context, ExitCode, agent_tree, steer};

/// Show what an agent has changed since its branch began, committed or not.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DiffArgs {
    /// Its name, its id, or the beginning of its id.
    #[arg(value_name = "AGENT")]
    pub agent: String,

    /// Only these files or directories, relative to the top of the repository.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Print only how many lines were added and removed in each file.
    #[arg(long)]
    pub stat: bool,

    /// Print one JSON object: the changed files with their added and removed lines.
    #[arg(long, conflicts_with = "stat")]
    pub json: bool,
}

/// Shows the changes.
///
/// # Errors
/// When there is no such agent, it works in no worktree of its own, or git fails.
pub fn run(args: DiffArgs, context: &Context) -> Result<ExitCode, CliError> {
    let dir = steer::find(&args.agent, context)?;
    let record = record_of(&dir, &args.agent)?;
    if args.stat || args.json {
        let sums = agent_tree::sums(&record, context)?;
        if args.json {
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
                "id": record.id,
                "name": record.name,
                "base": record.tree.as_ref().map(|tree| &tree.base),
                "branch": record.tree.as_ref().map(|tree| &tree.branch),
                "files": files,
            }));
            return Ok(ExitCode::COMPLETED);
        }
        for file in &sums.files {
            let lines = match file.lines {
                Some((added, removed)) => format!("+{added}\t-{removed}"),
                None => "binary\t".to_owned(),
            };
            context.printer.line(format_args!("{lines}\t{}", file.path.display()));
        }
        return Ok(ExitCode::COMPLETED);
    }
    let paths: Vec<&Path> = args.paths.iter().map(PathBuf::as_path).collect();
    let patch = agent_tree::patch(&record, &paths, context)?;
    context.printer.data(&String::from_utf8_lossy(&patch));
    Ok(ExitCode::COMPLETED)
}
