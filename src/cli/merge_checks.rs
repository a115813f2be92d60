//! The checks that `ccc merge` runs on its result, before the branch is set.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CliError, Context, agent_tree, steer};
use crate::config::{CheckEntry, Flags, Glob, Project, Settings};
use crate::core::Plan;
use crate::fleet::AgentRecord;
use crate::journal::RunDir;
use crate::process::{Cancel, CommandEnding, CommandSpec, Cookie, run_command};
use crate::protect::{self, Exchange, Moves};
use crate::ui::clean;
use crate::worktree::Unlanded;

/// How many lines of a failed check's output are shown.
const CHECK_LINES: usize = 20;
/// How much of the names of protected files is shown, in characters.
const FILES_CHARS: usize = 200;

/// Commands, and the files that they see as the branch has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MergeChecks {
    agent: String,
    commands: Vec<(String, Duration)>,
    protect: Vec<Glob>,
    /// From the top of the project to the directory in which the agent was asked for: the patterns are seen from there.
    below: PathBuf,
    /// The files that the last run of them saw so although the result has others.
    restored: Vec<String>,
}

impl MergeChecks {
    /// Those of the configuration, and those that the user gave the agent; or the `given` ones instead. Commands and patterns that an
    /// agent has given its worker do not count: the worker's checks are run behind walls only, and a pattern can keep work from
    /// being checked.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub(super) fn of(
        dir: &RunDir,
        record: &AgentRecord,
        given: &[String],
        none: bool,
        context: &Context,
    ) -> Result<Self, CliError> {
        if none {
            return Ok(Self::default());
        }
        let works_in = record.tree.as_ref().map_or(&record.project, |tree| &tree.path);
        let configured = Some(record.configured_in(works_in)).filter(|dir| dir.is_dir());
        let configured = configured.unwrap_or_else(|| record.project.clone());
        let settings: Settings = context.settings_of(&Project::find(&configured), Flags::default())?.settings;
        let limit = settings.tool_timeout;
        let timed = |entry: &CheckEntry| {
            let timeout = entry.timeout().unwrap_or(limit);
            (entry.command().to_owned(), Duration::from_millis(timeout.as_ms()))
        };
        let plan: Option<Plan> = steer::plan(dir).filter(|_| record.manager.is_none());
        let mut protect = settings.protect.clone();
        for pattern in plan.iter().flat_map(|plan| &plan.protect).filter_map(|pattern| pattern.parse().ok()) {
            if !protect.contains(&pattern) {
                protect.push(pattern);
            }
        }
        let commands = if given.is_empty() {
            let mut commands: Vec<_> = settings.checks.iter().map(timed).collect();
            for of_run in plan.iter().flat_map(|plan| &plan.checks) {
                if !commands.iter().any(|(command, _)| *command == of_run.command) {
                    commands.push((of_run.command.clone(), Duration::from_millis(of_run.timeout_ms)));
                }
            }
            commands
        } else {
            let limit = Duration::from_millis(limit.as_ms());
            given.iter().map(|command| (command.clone(), limit)).collect()
        };
        let below = configured.strip_prefix(&record.project).map(Path::to_owned).unwrap_or_default();
        Ok(Self { agent: record.id.clone(), commands, protect, below, restored: Vec::new() })
    }

    /// How many there are.
    pub(super) fn number(&self) -> usize {
        self.commands.len()
    }

    /// The protected files that they saw as the branch has them, because the result has others.
    pub(super) fn restored(&self) -> &[String] {
        &self.restored
    }

    /// Runs them; the error says which failed, with which files, and what it printed.
    pub(super) fn run(&mut self, result: &Unlanded<'_>, context: &Context) -> Result<(), String> {
        self.restored.clear();
        for (command, timeout) in self.commands.clone() {
            self.protected(result, context, |with| checked(&command, timeout, result.tree, with, context))?;
        }
        Ok(())
    }

    /// Runs a check while the protected files are as the branch has them; it is told what that concerns.
    fn protected(
        &mut self,
        result: &Unlanded<'_>,
        context: &Context,
        check: impl FnOnce(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.protect.is_empty() {
            return check("");
        }
        let branch = result.into.strip_prefix("refs/heads/").unwrap_or(result.into);
        let unlike = |why: &dyn std::fmt::Display| format!("the protected files cannot be as {branch} has them: {why}");
        let git = agent_tree::git(&self.agent, context).map_err(|error| unlike(&error))?;
        // The tree is thrown away after the merge, so nothing has to outlive this process.
        let kept = tempfile::Builder::new().prefix("ccc-merge-").tempdir().map_err(|error| unlike(&error))?;
        let cwd = Some(result.tree.join(&self.below)).filter(|cwd| cwd.is_dir());
        let exchange = Exchange {
            git: &git,
            run_id: &self.agent,
            run_dir: kept.path(),
            cwd: cwd.as_deref().unwrap_or(result.tree),
            base: result.before,
            patterns: &self.protect,
        };
        let exchanged = protect::exchange(&exchange).map_err(|error| unlike(&error))?;
        let with = match exchanged.restored.is_empty() {
            true => String::new(),
            false => {
                format!(", with {} as {branch} has it", clean::one_line(&exchanged.restored.join(", "), FILES_CHARS))
            }
        };
        let moves = Moves::watch(&exchange, &exchanged);
        let passed = check(&with);
        let written = protect::written_since(&exchange, &exchanged, moves.as_ref());
        protect::put_back(kept.path()).map_err(|error| unlike(&error))?;
        self.restored = exchanged.restored;
        passed?;
        match written.map_err(|error| unlike(&error))?.first() {
            Some(path) => Err(format!(
                "{}, a protected file, was written while the check ran, so it does not count",
                path.display()
            )),
            None => Ok(()),
        }
    }
}

/// Runs one check in this directory. `with` says which files it sees that the result does not have.
fn checked(command: &str, timeout: Duration, place: &Path, with: &str, context: &Context) -> Result<(), String> {
    let spec = CommandSpec {
        env: context.bare_env(),
        timeout,
        cookie: Cookie { run_id: String::new(), attempt: 0 },
        ..CommandSpec::shell(command, place.to_owned())
    };
    let not_run = |error: &dyn std::fmt::Display| format!("the check `{command}` cannot be run: {error}");
    let cancel = Cancel::new().map_err(|error| not_run(&error))?;
    let result = run_command(&spec, &cancel).map_err(|error| not_run(&error))?;
    let ended = match (result.ending, result.exit.code) {
        (CommandEnding::Exited, Some(0)) => return Ok(()),
        (CommandEnding::Exited, Some(code)) => format!("exited with {code}"),
        (CommandEnding::Exited, None) => "was ended by a signal".to_owned(),
        (CommandEnding::TimedOut, _) => format!("did not end within {}s", timeout.as_secs()),
        (CommandEnding::Cancelled, _) => "was given up".to_owned(),
    };
    let text = clean::lines(&String::from_utf8_lossy(&result.tail));
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(CHECK_LINES)..).unwrap_or_default().join("\n");
    let shown = if shown.is_empty() { String::new() } else { format!(":\n{shown}") };
    Err(format!("the check `{command}` {ended} on the result{with}{shown}"))
}
