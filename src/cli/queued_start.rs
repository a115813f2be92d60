//! The start of an agent that has waited in the queue: by the keeper when there is room, or by the user at once.
//!
//! The caller holds the run's lock, so two cannot start one agent. Until the run has a journal the start can be repeated: what a
//! start that was killed has left is removed first.

use std::path::Path;
use std::time::Duration;

use super::agent::{record_error, record_of};
use super::credentials::{self, RunTokens};
use super::presentation::Presentation;
use super::queue::{QUEUED_PHASE, queued_error};
use super::run_places::RunPlaces;
use super::start::{Claimed, RunRequest, prepare_new};
use super::{CliError, Context, ErrorKind, ExitCode, agent_tree, dead_run, detach, keeper_world, limit_check, trust};
use crate::config::{Flags, Layer, Project, Settings};
use crate::core::Plan;
use crate::driver;
use crate::files::TimedLock;
use crate::fleet::{AgentRecord, KeptDown, Queued};
use crate::journal::{FileLock, JournalReader, RunDir, RunSummary};
use crate::ui::format::date_and_time;
use redaction::Redactor;

/// How long another ccc is waited for that has taken the run between a failed start and its taking back.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How the start was asked for.
pub(super) struct Starting<'a> {
    /// This process outlives the terminal.
    pub(super) hosted: bool,
    /// How the run is shown, as given on the command line.
    pub(super) layer: &'a Layer,
}

/// What is known of the agent of this run, if it has not been started yet. The caller holds the run's lock.
///
/// # Errors
/// When its record cannot be used.
pub(super) fn unstarted(run_dir: &RunDir) -> Result<Option<Queued>, CliError> {
    let Some(queued) = Queued::read(run_dir).map_err(|error| queued_error(&error))? else { return Ok(None) };
    let journal = run_dir.journal();
    if std::fs::symlink_metadata(&journal).is_err() {
        return Ok(Some(queued));
    }
    let io = |error: std::io::Error| CliError::new(ErrorKind::Io, format!("{}: {error}", journal.display()));
    if has_begun(run_dir) {
        Queued::clear(run_dir).map_err(|error| queued_error(&error))?;
        return Ok(None);
    }
    // Its writer was killed before the first line was complete, and nothing is done before that.
    std::fs::remove_file(&journal).map_err(io)?;
    Ok(Some(queued))
}

/// Whether the run can go on from its journal.
fn has_begun(run_dir: &RunDir) -> bool {
    JournalReader::open(&run_dir.journal()).is_ok_and(|reader| reader.plan().is_ok())
}

/// Whether the keeper may start the agent of this run: nobody has stopped or removed it meanwhile.
pub(super) fn may_start(run_dir: &RunDir) -> bool {
    let is_removed = |record: AgentRecord| record.removed_unix_ms.is_some();
    let has_ended = |summary: RunSummary| summary.outcome.is_some();
    KeptDown::read(run_dir).is_none()
        && AgentRecord::read(run_dir).is_ok_and(|record| record.is_some_and(|record| !is_removed(record)))
        && !RunSummary::read(&run_dir.summary()).is_ok_and(has_ended)
}

/// Starts the agent.
///
/// # Errors
/// When it cannot be started. Then it still waits.
pub(super) fn start(
    queued: Queued,
    run_dir: RunDir,
    run_lock: FileLock,
    starting: &Starting<'_>,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let record = record_of(&run_dir, run_dir.id())?;
    if record.removed_unix_ms.is_some() {
        return Err(CliError::new(ErrorKind::Usage, format!("agent {} was removed before it started", record.name))
            .hint("to start another one: ccc new \"TASK\""));
    }
    let place = context.in_directory(&queued.cwd);
    refuse_gone(&queued, context)?;
    let project = Project::find(&queued.cwd);
    let settings = settings(&queued.plan, &project, starting.layer, &place)?;
    let gathered =
        credentials::gather(&place, &RunPlaces::same(&project), &settings, queued.plan.agent, &queued.plan.agent_args)?;
    if let Some(refusal) = credentials::refusal(&gathered.conflicts) {
        return Err(refusal);
    }
    let settings_of_agent =
        trust::require_agent_settings(queued.plan.agent, &queued.plan.agent_args, &project, &place)?;
    for warning in &gathered.warnings {
        context.printer.warn(warning);
    }
    credentials::warn_of_none(queued.plan.agent, &gathered.pool, context)?;
    let ask = credentials::ask(&place, &project, &settings.usage)?;
    limit_check::ask_where_all_are_limited(&gathered.pool, &ask, context)?;
    let tokens = RunTokens::new(gathered.pool, &context.dirs()?.state, queued.plan.rotate_at, Some(ask));
    if let Err(error) = KeptDown::clear(&run_dir) {
        context.printer.warn(format_args!("{}: the keeper leaves the agent alone: {error}", run_dir.id()));
    }
    if !starting.hosted {
        keeper_world::ensure_keeper(context);
    }
    let request = RunRequest {
        presentation: Presentation::of(&settings, starting.layer),
        credential_sentence: tokens.sentence(),
        tokens: &tokens,
        prompt_origin: queued.prompt_origin.clone(),
        extra_env: Vec::new(),
        notify: settings.notify.clone(),
        keep_awake: settings.keep_awake,
        hosted: starting.hosted,
        interface: None,
        share_tree: queued.share_tree,
        settings_of_agent,
    };
    // A start that was killed may have left a git at work.
    dead_run::end_left(&run_dir, context);
    let unmade = Unmade { run_dir: &run_dir, record: &record, context };
    unmade.set_phase(&queued.plan, "starting")?;
    // Making its working tree may take minutes, in which the user may have stopped it.
    let made = unmade.make(&queued, &settings, &place).and_then(|plan| match KeptDown::read(&run_dir) {
        None => Ok(plan),
        Some(down) => {
            Err(CliError::new(ErrorKind::Usage, format!("the agent was stopped before it started: {}", down.why)))
        }
    });
    let plan = match made {
        Ok(plan) => plan,
        Err(error) => {
            unmade.take_back(&queued.plan);
            // Until here nothing else ends or starts the agent.
            drop(run_lock);
            return Err(error);
        }
    };
    let claimed = Claimed { run_dir: run_dir.clone(), run_lock };
    let mut prepared = match prepare_new(plan, Some(claimed), &request, context) {
        Ok(prepared) => prepared,
        Err(error) => {
            // What ends or starts the agent now finds it as it was.
            if let Ok(Some(_lock)) = TimedLock::take(&run_dir.lock(), LOCK_WAIT) {
                unmade.take_back(&queued.plan);
            }
            return Err(error);
        }
    };
    // What begins the run again is its journal from now on, if the disk has taken it. Otherwise it is still `queued.json`.
    if prepared.begin_journal().is_ok()
        && has_begun(&run_dir)
        && let Err(error) = Queued::clear(&run_dir)
    {
        context.printer.warn(error);
    }
    prepared.supervise(&request, context)
}

/// Refuses to start an agent whose directory or program is gone.
fn refuse_gone(queued: &Queued, context: &Context) -> Result<(), CliError> {
    if !queued.cwd.is_dir() {
        return Err(CliError::new(
            ErrorKind::Environment,
            format!("the directory {} in which the agent was made does not exist any more", queued.cwd.display()),
        )
        .hint(format!("restore it, or remove the agent: ccc kill {}", queued.plan.run_id)));
    }
    if !Path::new(&queued.plan.agent_program).exists() {
        return Err(CliError::new(
            ErrorKind::Environment,
            format!("the agent's program {} does not exist any more", queued.plan.agent_program),
        )
        .hint("install it again at this path"));
    }
    let (until, now_unix_ms) = (queued.plan.budgets.until_unix_ms, driver::unix_ms());
    if let Some(until) = until.filter(|until| *until <= now_unix_ms) {
        let zone = super::zone::of_process();
        context.printer.warn(format_args!(
            "its time was over at {} (--until), while it waited in the queue: the run ends at once",
            date_and_time(until, &zone)
        ));
    }
    Ok(())
}

/// The settings of the place, with what was given to `ccc new`.
fn settings(plan: &Plan, project: &Project, layer: &Layer, context: &Context) -> Result<Settings, CliError> {
    let given = plan.given.clone().and_then(|given| serde_json::from_value(given).ok());
    let mut flags: Flags = given.unwrap_or_default();
    Presentation::leave_out(&mut flags.layer);
    flags.layer.output_format = layer.output_format;
    let resolved = context.settings_of(project, flags.clone())?;
    let warnings = resolved.warnings.clone();
    for warning in &warnings {
        context.printer.warn(warning);
    }
    trust::require_tokens(resolved, flags, true, project, context)
}

/// What is made for the agent at its start.
struct Unmade<'a> {
    run_dir: &'a RunDir,
    record: &'a AgentRecord,
    context: &'a Context,
}

impl Unmade<'_> {
    /// Makes its working tree, and reserves its ports. Returns the plan with the directory in which it works.
    fn make(&self, queued: &Queued, settings: &Settings, place: &Context) -> Result<Plan, CliError> {
        agent_tree::clear_unstarted(self.record, self.context)?;
        let (mut plan, mut record) = (queued.plan.clone(), self.record.clone());
        record.tree = None;
        if queued.own_tree {
            let (tree, dir) = agent_tree::make(&record, queued.base.as_deref(), &settings.worktree, place)?;
            record.tree = Some(tree);
            plan.cwd = agent_tree::in_utf8(&dir)?;
        }
        record.ports = agent_tree::ports(&record, &settings.worktree, self.context)?;
        record.write(self.run_dir).map_err(|error| record_error(&error))?;
        Ok(plan)
    }

    /// Removes what was made for an agent whose run has not begun: it waits again, unless it was stopped or removed meanwhile. The
    /// caller holds the run's lock.
    fn take_back(&self, plan: &Plan) {
        // A run with a journal has begun: it is kept, with its reason.
        if self.run_dir.journal().exists() {
            return;
        }
        let now = AgentRecord::read(self.run_dir).ok().flatten();
        let removed_unix_ms = now.and_then(|record| record.removed_unix_ms);
        let record = AgentRecord { tree: None, ports: Vec::new(), removed_unix_ms, ..self.record.clone() };
        let cleared = agent_tree::clear_unstarted(&record, self.context);
        let unported = agent_tree::unmake(&record, false, self.context).map(drop);
        let written = record.write(self.run_dir).map_err(|error| record_error(&error));
        let has_ended = RunSummary::read(&self.run_dir.summary()).is_ok_and(|run| run.outcome.is_some());
        let waits = if has_ended { Ok(()) } else { self.set_phase(plan, QUEUED_PHASE) };
        for error in [cleared, unported, written, waits].into_iter().filter_map(Result::err) {
            self.context.printer.warn(error.with_hint());
        }
    }

    /// Writes the summary of a run before its first step.
    fn set_phase(&self, plan: &Plan, phase: &str) -> Result<(), CliError> {
        let beginning = detach::beginning(plan, driver::unix_ms(), &Redactor::default());
        let summary = RunSummary { phase: phase.to_owned(), ..beginning };
        summary.write(&self.run_dir.summary(), &Redactor::default()).map_err(|error| {
            CliError::new(ErrorKind::Io, format!("{}: {error}", self.run_dir.summary().display()))
                .hint("free some disk space, or set CCC_STATE_DIR to another directory")
        })
    }
}
