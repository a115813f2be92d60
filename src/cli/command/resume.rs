//! `ccc resume [RUN]`.

use std::num::NonZeroU32;
use std::path::Path;

use clap::Args;
use rustix::fs::OFlags;

use crate::cli::conduct::{Continuation, Night, go_on, lock_error, state_error};
use crate::cli::credentials::{self, RunTokens};
use crate::cli::{CliError, Context, ErrorKind, ExitCode, trust};
use crate::config::{Cost, Flags, OutputFormat, Project, Span, Transport};
use crate::core::{Action, Finish, OperatorInput, Outcome};
use crate::driver;
use crate::files::open_private;
use crate::journal::{Redactor, RunDir, RunKind, RunSummary, run_kind};

/// Go on with a run that was interrupted.
///
/// The run is rebuilt from its journal and goes on in its own directory, with the settings it was started with, on the
/// agent's same session. This is also how ccc survives its own death and a reboot.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ResumeArgs {
    /// The run's id, the beginning of it, `last` for the newest of all, or its directory. Without it, the newest
    /// unfinished run of this directory, unless a newer one here is completed.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// Say this to the agent first: the answer to a question, or something more to do.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<String>,

    /// A new bound on the judged stops of the whole run.
    #[arg(long, value_name = "N")]
    pub max_iterations: Option<NonZeroU32>,

    /// A new bound on the working time of the whole run, such as 90s, 15m, 8h or 1h30m.
    #[arg(long, value_name = "TIME")]
    pub max_duration: Option<Span>,

    /// A new bound on the cost of the whole run, in US dollars.
    #[arg(long, value_name = "USD")]
    pub max_cost_usd: Option<Cost>,

    /// What to write to stdout: text for people, json for one object at the end, stream-json for one per event.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub output_format: Option<OutputFormat>,

    /// At a terminal, do not go on into the agent's own interface when the task is done.
    #[arg(long)]
    pub no_hand_over: bool,

    /// Go on although another run works in the run's directory or repository.
    #[arg(long)]
    pub share_tree: bool,

    /// How the agent's output reaches ccc: pty or pipe.
    #[arg(long, value_enum, value_name = "HOW")]
    pub transport: Option<Transport>,
}

/// Goes on with a run.
///
/// # Errors
/// When there is no such run, it is in use, is done, or its journal is damaged.
pub fn run(args: ResumeArgs, context: &Context) -> Result<ExitCode, CliError> {
    let state = &context.dirs()?.state;
    let run_dir = match args.run.as_deref() {
        Some(wanted) => RunDir::resolve(state, Some(wanted)).map_err(|error| unknown_run(&error.to_string()))?,
        None => newest_unfinished(state, context)?,
    };
    let run_lock = run_dir.take_lock(std::process::id(), driver::unix_ms()).map_err(|error| lock_error(&error))?;
    if run_kind(&run_dir.journal()).is_ok_and(|kind| kind == RunKind::Command) {
        return Err(CliError::new(ErrorKind::Usage, format!("run {} is that of a command", run_dir.id()))
            .hint("a command has no session to go on with; start it again: ccc supervise -- CMD"));
    }
    open_private(&run_dir.journal(), OFlags::RDONLY).map_err(|error| {
        CliError::new(ErrorKind::Io, format!("{}: {error}", run_dir.journal().display()))
            .hint("a run goes on from a journal of your own only")
    })?;
    let mut last_finish = None;
    let rebuilt = driver::rebuild(&run_dir.journal(), |_, action| {
        if let Action::Finish(finish) = action {
            last_finish = Some(finish.clone());
        }
    })
    .map_err(|error| {
        CliError::new(ErrorKind::Failed, format!("the run cannot be resumed: {error}")).hint(
            "`ccc explain RUN` shows what stands before it. To go on with the session without ccc, get its id\nfrom `ccc runs --json`, then run in its directory: claude --resume ID",
        )
    })?;
    if let Some(torn) = rebuilt.tail.torn {
        context.printer.talk(format_args!(
            "the journal's end was not written whole: {} bytes from line {} on are dropped,\nthe run goes on from entry {}",
            torn.bytes,
            torn.line,
            rebuilt.tail.next_n - 1
        ));
    }
    let plan = rebuilt.core.plan().clone();
    if let (true, Some(finish)) = (rebuilt.core.is_finished(), &last_finish)
        && finish.outcome == Outcome::Completed
        && rebuilt.finish_recorded
        && args.prompt.is_none()
    {
        mend_summary(&run_dir, finish);
        return Err(CliError::new(
            ErrorKind::Usage,
            format!("run {} is completed: there is nothing to go on with", run_dir.id()),
        )
        .hint(format!("say what more there is to do: ccc resume {} -p \"TEXT\"", run_dir.id())));
    }
    if !Path::new(&plan.cwd).is_dir() {
        return Err(CliError::new(
            ErrorKind::Environment,
            format!("the run's directory {} does not exist any more", plan.cwd),
        )
        .hint("put it back where it was: the agent's session belongs to that directory"));
    }
    if !Path::new(&plan.agent_program).exists() {
        return Err(CliError::new(
            ErrorKind::Environment,
            format!("the run's agent {} does not exist any more", plan.agent_program),
        )
        .hint("install it there again"));
    }
    let resolved = context.settings(Flags::default())?;
    // The agent starts in the run's directory, so the settings there are the ones that it reads.
    let project = Project::find(Path::new(&plan.cwd));
    let settings = trust::require_tokens(resolved, true, &context.project()?, context)?;
    let gathered = credentials::gather(context, &project, &settings.tokens, &plan.agent_args)?;
    if let Some(refusal) = credentials::refusal(&gathered.conflicts) {
        return Err(refusal);
    }
    trust::require_agent_settings(&plan.agent_args, &project, context)?;
    for warning in &gathered.warnings {
        context.printer.warn(warning);
    }
    let tokens = RunTokens::new(
        gathered.pool,
        state,
        plan.rotate_at,
        Some(credentials::ask(context, &project, &settings.usage)?),
    );
    let here = context.cwd()?.canonicalize().unwrap_or_default();
    if here != Path::new(&plan.cwd) {
        context.printer.talk(format_args!("going on in {}, where the run belongs", plan.cwd));
    }
    let mut first_inputs = Vec::new();
    let mut budgets = plan.budgets.clone();
    if let Some(bound) = args.max_iterations {
        budgets.max_iterations = bound.get();
    }
    if let Some(bound) = args.max_duration {
        budgets.max_duration_ms = Some(bound.as_ms());
    }
    if let Some(bound) = args.max_cost_usd {
        budgets.max_cost_usd = Some(bound.usd());
    }
    if budgets != plan.budgets {
        first_inputs.push(OperatorInput::Budgets(budgets));
    }
    if let Some(text) = args.prompt.filter(|text| !text.trim().is_empty()) {
        first_inputs.push(OperatorInput::Turn { text });
    }
    let night = Night {
        form: args.output_format.unwrap_or(settings.output_format),
        transport: args.transport.unwrap_or(settings.transport),
        credential_sentence: tokens.sentence(),
        tokens: &tokens,
        prompt_origin: "the run's journal".to_owned(),
        extra_env: Vec::new(),
        hand_over: !args.no_hand_over,
        share_tree: args.share_tree,
    };
    let continuation =
        Continuation { core: rebuilt.core, tail: rebuilt.tail, started_unix_ms: rebuilt.started_unix_ms, first_inputs };
    go_on(continuation, run_dir, run_lock, &night, context)
}

/// The newest run of this directory that is not completed.
fn newest_unfinished(state: &Path, context: &Context) -> Result<RunDir, CliError> {
    let here = context.cwd()?.canonicalize().unwrap_or_default();
    let list = RunDir::list(state).map_err(|error| state_error(&error))?;
    let completed = |(_, run): &&(RunDir, RunSummary)| {
        run.outcome == Some(Outcome::Completed) && run.kind.is_none() && Path::new(&run.cwd) == here
    };
    let newest_completed = list.runs.iter().find(completed).map(|(dir, _)| dir.id().to_owned());
    let told = list
        .runs
        .into_iter()
        .filter(|(_, run)| run.outcome != Some(Outcome::Completed) && run.kind != Some(RunKind::Command));
    let mut unfinished: Vec<(RunDir, String)> = told.map(|(dir, run)| (dir, run.cwd)).collect();
    // Where a summary is damaged (a power cut), the journal itself says whether there is something to go on with.
    unfinished.extend(list.damaged.into_iter().filter_map(|(dir, _)| {
        let cwd = unfinished_by_journal(&dir)?;
        Some((dir, cwd))
    }));
    unfinished.sort_by(|(a, _), (b, _)| b.id().cmp(a.id()));
    if let Some((dir, _)) = unfinished.iter().find(|(_, cwd)| Path::new(cwd) == here) {
        // Whoever types `ccc resume` means the last thing that happened here.
        if let Some(newer) = newest_completed.filter(|newer| newer.as_str() > dir.id()) {
            return Err(CliError::new(
                ErrorKind::Usage,
                format!("the newest run here, {newer}, is completed; {} before it is not", dir.id()),
            )
            .hint(format!("to go on with the older one: ccc resume {}", dir.id())));
        }
        return Ok(dir.clone());
    }
    let elsewhere: Vec<String> = unfinished.iter().take(5).map(|(dir, cwd)| format!("{} in {cwd}", dir.id())).collect();
    Err(match elsewhere.as_slice() {
        [] => unknown_run("there is no unfinished run"),
        [..] => {
            unknown_run(&format!("there is no unfinished run in this directory; elsewhere: {}", elsewhere.join(", ")))
        }
    })
}

/// The directory of a run that its journal shows as not completed; `None` also when it cannot be read.
fn unfinished_by_journal(run: &RunDir) -> Option<String> {
    let mut completed = false;
    let rebuilt = driver::rebuild(&run.journal(), |_, action| {
        if let Action::Finish(finish) = action {
            completed = finish.outcome == Outcome::Completed;
        }
    })
    .ok()?;
    (!(completed && rebuilt.core.is_finished())).then(|| rebuilt.core.plan().cwd.clone())
}

/// A ccc that was killed between the journal's last entry and the summary left one that shows the run as going on.
/// That it cannot be written is no matter here: the journal is what counts.
fn mend_summary(run: &RunDir, finish: &Finish) {
    let Ok(mut summary) = RunSummary::read(&run.summary()) else { return };
    if summary.outcome.is_some() {
        return;
    }
    summary.outcome = Some(finish.outcome);
    summary.reason = Some(finish.reason.clone());
    summary.result = Some(finish.result.clone());
    summary.iteration = finish.iterations;
    summary.phase = "finished".to_owned();
    summary.ended_unix_ms = Some(summary.updated_unix_ms);
    if let Err(error) = summary.write(&run.summary(), &Redactor::new()) {
        tracing::warn!(%error, "the run's summary could not be written");
    }
}

fn unknown_run(message: &str) -> CliError {
    CliError::new(ErrorKind::Usage, message).hint("`ccc runs` lists the runs; name one: ccc resume RUN")
}
