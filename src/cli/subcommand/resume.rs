//! `ccc resume [RUN]`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;
use rustix::fs::OFlags;

use super::attach::{self, ConversationMode};
use super::run::{self, PlanParts};
use crate::agent::AgentKind;
use crate::cli::credentials::{self, RunTokens};
use crate::cli::keeper_world::ensure_keeper;
use crate::cli::options::Options;
use crate::cli::presentation::Presentation;
use crate::cli::queued_start::{self, Starting};
use crate::cli::redacted_texts::{RedactedTexts, is_redacted};
use crate::cli::run_places::RunPlaces;
use crate::cli::settled::overlaid;
use crate::cli::start::{
    Continuation, RunRequest, go_on, keep_critic_settings, keep_interface_settings, keep_prompt, lock_error,
    state_error,
};
use crate::cli::{
    CliError, Context, ErrorKind, ExitCode, agent, agent_tree, detach, inside, limit_check, native, notifying, steer,
    telling, trust,
};
use crate::config::{AgentName, CheckEntry, Flags, Project, Settings, Span, Warning, overlay, prompt};
use crate::core::{
    Action, AgentArguments, Bound, CheckPlan, Core, Finish, Input, Needs, OperatorInput, Outcome, Plan, shell,
};
use crate::driver::{self, Rebuilt};
use crate::files::open_private;
use crate::fleet::{AgentRecord, AgentTree, KeptDown, Queued, State};
use crate::git::Repository;
use crate::journal::{EntryKind, FileLock, JournalReader, LockError, RunDir, RunKind, RunSummary, run_kind};
use crate::notify::Follower;
use crate::order::sort_by;
use crate::ui::clean::lines as shown;
use crate::ui::format::count;
use crate::ui::raised;
use redaction::Redactor;

/// Continue a run that has ended or was interrupted.
///
/// The run is rebuilt from its journal and continues in its own directory, in the same session of the agent, with the
/// settings that it was started with and those given here. When SUPERVISOR.md or the configuration has changed since,
/// ccc says so, and --reload applies the change. Use this also after a crash of ccc or a
/// reboot.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ResumeArgs {
    /// Its name, its id, the beginning of either, `last` for the one that was active last, or its directory. Without it, the newest
    /// unfinished run of this directory, unless a newer one here is completed.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// Continue all agents whose runs have not ended or were interrupted, in the background: after a reboot.
    #[arg(long, conflicts_with_all = ["run", "prompt"])]
    pub all: bool,

    /// Send this to the agent first: the answer to a question, or something more to do.
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<String>,

    /// Wait for a reset, even if the run was started with --no-wait; --max-wait implies this.
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,

    /// Use the current SUPERVISOR.md and configuration. What was given on the command line before is kept.
    #[arg(long)]
    pub reload: bool,

    /// Continue in the background, print the run's id and return.
    #[arg(long)]
    pub detach: bool,

    /// Hold a conversation line by line, without cursor movement.
    #[arg(long)]
    pub plain: bool,

    /// This process is to outlive the terminal.
    #[arg(long, hide = true)]
    pub hosted: bool,

    /// Start this agent only if it still waits in the queue.
    #[arg(long, hide = true)]
    pub queued: bool,

    /// Not if the agent is kept down: the keeper continues it, and no user.
    #[arg(long, hide = true)]
    pub unless_kept_down: bool,

    /// The conversation goes on with the next message.
    #[arg(long, hide = true)]
    pub conversation: bool,

    /// The bounds on money and on the clock are those that are given now: they are of the night, not of the run.
    #[arg(long, hide = true)]
    pub lift_bounds: bool,

    /// Warnings about the settings that stand in this file were given before: each is given once for a list of tasks.
    #[arg(long, hide = true)]
    pub warned: Option<PathBuf>,

    /// Continue although another run works in the run's directory or repository.
    #[arg(long)]
    pub share_tree: bool,

    /// Give the agent only the arguments after `--`, without those that were given before.
    #[arg(long)]
    pub replace_args: bool,

    /// The settings.
    #[command(flatten)]
    pub settings: Options<true>,

    /// More arguments for the agent. If an option is given twice, the later value counts. Arguments that its CLI has
    /// refused are left out.
    #[arg(last = true, value_name = "AGENT ARGS")]
    pub agent_args: Vec<String>,
}

impl ResumeArgs {
    /// These arguments as a layer of the configuration.
    fn flags(&self) -> Flags {
        let mut layer = (*self.settings.0).clone();
        if self.wait || layer.budgets.max_wait.is_some() {
            layer.no_wait = layer.no_wait.or(Some(false));
        }
        // Presentation and transport are set anew each time.
        Presentation::leave_out(&mut layer);
        Flags { layer, agent_args: self.agent_args.clone() }
    }

    /// How a conversation that continues here is shown; `None` without a terminal, or if an argument is given that belongs to a
    /// run without one.
    fn conversation_at(&self, context: &Context) -> Option<ConversationMode> {
        let has_words = self.prompt.is_some() || !context.stdin.is_terminal();
        let is_other = self.detach || self.hosted || self.settings.0.output_format.is_some();
        if has_words || is_other { None } else { ConversationMode::of(self.plain, context) }
    }

    /// The checks given now, which replace the run's.
    fn checks(&self) -> &[CheckEntry] {
        self.settings.0.checks.as_deref().unwrap_or_default()
    }
}

impl ResumeArgs {
    /// The agent's arguments from the command line: those before, merged with those given now.
    fn agent_args_after(&self, agent: AgentKind, before: &[String]) -> Vec<String> {
        if self.replace_args {
            self.agent_args.clone()
        } else {
            agent.merged_args(before, &self.agent_args, &is_redacted)
        }
    }
}

/// Continues a run.
///
/// # Errors
/// When there is no such run, it is in use or completed, or its journal is damaged.
pub fn run(args: ResumeArgs, typed: &[OsString], context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("resume", context)?;
    if args.all {
        return all(context);
    }
    if args.detach && !args.hosted {
        let started = detach::start(typed, Some("resume"), args.settings.0.output_format, context)?;
        let run = args.run.as_deref().and_then(|run| RunDir::resolve(&context.dirs().ok()?.state, Some(run)).ok());
        if run.is_some_and(|run| is_agent(&run)) {
            ensure_keeper(context);
        }
        return Ok(started);
    }
    if let Some(warned) = &args.warned {
        context.printer.warn_once_by(warned.clone());
    }
    run::refuse_past(args.settings.0.budgets.until)?;
    let state = &context.dirs()?.state;
    let mode = args.conversation_at(context);
    let converses = args.conversation || mode.is_some();
    let run_dir = match args.run.as_deref() {
        Some(wanted) => RunDir::resolve(state, Some(wanted)).map_err(|error| steer::no_such_run(&error))?,
        None => newest_unfinished(state, converses, context)?,
    };
    if let Some(mode) = mode.filter(|_| steer::is_conversation(&run_dir)) {
        // It rests for a minute after its last client has left. With settings, it must be resumed, and says that it is in use.
        if matches!(FileLock::holder(&run_dir.lock()), Ok(Some(_))) && args.flags() == Flags::default() {
            context.printer.talk(format_args!("the run {} is still active: attached to it", run_dir.id()));
            return attach::join(run_dir, Some(mode), false, context);
        }
        return attach::converse(typed, Some("resume"), mode, args.flags(), context);
    }
    let run_lock = match run_dir.take_lock(std::process::id(), driver::unix_ms()) {
        // Another ccc is starting it.
        Err(LockError::Held { .. }) if args.queued => return Ok(ExitCode::COMPLETED),
        Err(LockError::Held { .. }) if Queued::is_there(&run_dir) => return Err(is_being_started(&run_dir)),
        locked => locked.map_err(|error| lock_error(&error))?,
    };
    if let Some(queued) = queued_start::unstarted(&run_dir)? {
        if args.queued && !queued_start::may_start(&run_dir) {
            return Ok(ExitCode::COMPLETED);
        }
        refuse_changes(&args, &run_dir)?;
        return queued_start::start(
            queued,
            run_dir,
            run_lock,
            &Starting { hosted: args.hosted, layer: &args.settings.0 },
            context,
        );
    }
    if args.queued {
        return Ok(ExitCode::COMPLETED);
    }
    // Whoever keeps an agent down writes that first, and then ends the run that holds the lock.
    if args.unless_kept_down && KeptDown::read(&run_dir).is_some() {
        return Err(CliError::new(ErrorKind::Usage, format!("run {} is kept down", run_dir.id()))
            .hint(format!("to continue it all the same: ccc resume {}", run_dir.id())));
    }
    if run_kind(&run_dir.journal()).is_ok_and(|kind| kind == RunKind::Command) {
        return Err(CliError::new(
            ErrorKind::Usage,
            format!("run {} supervises a command (`ccc supervise`), and cannot be continued", run_dir.id()),
        )
        .hint("to start the command again: ccc supervise -- CMD"));
    }
    open_private(&run_dir.journal(), OFlags::RDONLY).map_err(|error| {
        CliError::new(ErrorKind::Io, format!("{}: {error}", run_dir.journal().display()))
            .hint("a run continues only from a journal that belongs to you")
    })?;
    let mut last_finish = None;
    let mut follower = Follower::default();
    let rebuilt = driver::rebuild(&run_dir.journal(), |_, action| {
        if let Some(show) = action.as_show() {
            // It was told.
            let _ = follower.follow(show);
        }
        if let Action::Finish(finish) = action {
            last_finish = Some(finish.clone());
        }
    })
    .map_err(|error| {
        let by_hand =
            session_by_hand(&run_dir, context).map(|line| format!("; to continue the session without ccc: {line}"));
        CliError::new(ErrorKind::Failed, format!("the run cannot be resumed: {error}")).hint(format!(
            "to see the run up to that point: ccc explain {}{}",
            run_dir.id(),
            by_hand.unwrap_or_default()
        ))
    })?;
    if let Some(torn) = rebuilt.tail.torn {
        context.printer.talk(format_args!(
            "the end of the journal is incomplete: the last {} bytes, from line {} on, are dropped; the run continues from entry {}",
            torn.bytes,
            torn.line,
            rebuilt.tail.next_n - 1
        ));
    }
    refuse_placeholders(&args)?;
    let recorded = rebuilt.core.plan().clone();
    let plan = without_refused(&rebuilt.core, &args, context);
    let words = words(&args, &run_dir, rebuilt.core.is_finished().then_some(()).and(last_finish.as_ref()), context)?;
    if let (true, Some(finish)) = (rebuilt.core.is_finished(), &last_finish)
        && finish.outcome == Outcome::Completed
        && rebuilt.finish_recorded
        && words.is_none()
        && !args.conversation
    {
        mend_summary(&run_dir, finish);
        notifying::deliver_left(&run_dir, context);
        return Err(CliError::new(
            ErrorKind::Usage,
            format!("run {} is completed: there is nothing to continue", run_dir.id()),
        )
        .hint(format!("to give it more to do: ccc resume {} -p \"TEXT\"", run_dir.id())));
    }
    if !Path::new(&plan.cwd).is_dir() {
        return Err(CliError::new(
            ErrorKind::Environment,
            format!("the run's directory {} does not exist any more", plan.cwd),
        )
        .hint(how_to_restore(&run_dir, context)));
    }
    check_tree(&run_dir, &args, context)?;
    if !Path::new(&plan.agent_program).exists() {
        return Err(CliError::new(
            ErrorKind::Environment,
            format!("the run's agent {} does not exist any more", plan.agent_program),
        )
        .hint("install it again at this path"));
    }
    let lost = lost_words(&rebuilt.core, context)?;
    let unsaid = if words.is_none() { lost.clone() } else { Vec::new() };
    if let Some(refusal) = gaps(&plan, &args).and_said(unsaid).refusal(run_dir.id()) {
        return Err(refusal);
    }
    let places = RunPlaces::of(&run_dir, Path::new(&plan.cwd));
    if let Some(gone) = places.gone.as_ref().filter(|_| args.reload) {
        return Err(CliError::new(
            ErrorKind::Environment,
            format!("{} does not exist any more, so the run's configuration cannot be read again", gone.display()),
        )
        .hint(format!("to continue with the settings that it has: ccc resume {}", run_dir.id())));
    }
    let present = Present::find(&plan, given_before(&plan), args.reload, &places.configured, context)?;
    for warning in &present.warnings {
        context.printer.warn_of_settings(warning);
    }
    let changed = changed_plan(&plan, &args, &present, &run_dir, &places, context)?;
    let changed = changed.or_else(|| (plan != recorded).then(|| plan.clone()));
    let settings = present.settings;
    let agent_args = changed.as_ref().map_or(&plan.agent_args, |changed| &changed.agent_args).clone();
    let gathered = credentials::gather(context, &places, &settings, plan.agent, &agent_args)?;
    if let Some(refusal) = credentials::refusal(&gathered.conflicts) {
        return Err(refusal);
    }
    let settings_of_agent = trust::require_agent_settings(plan.agent, &agent_args, &places.works, context)?;
    for warning in &gathered.warnings {
        context.printer.warn_of_settings(warning);
    }
    credentials::warn_of_none(plan.agent, &gathered.pool, context)?;
    let ask = credentials::ask(context, &places.works, &settings.usage)?;
    limit_check::ask_where_all_are_limited(&gathered.pool, &ask, context)?;
    let tokens = RunTokens::new(gathered.pool, state, plan.rotate_at, Some(ask));
    let real = Path::new(&plan.cwd).canonicalize().unwrap_or_default();
    if context.cwd()?.canonicalize().unwrap_or_default() != real {
        context.printer.talk(format_args!("continuing in {}, where the run belongs", plan.cwd));
    }
    let interface = if native::is_native(&plan) { Some(native::at_terminal()?) } else { None };
    let mut first_inputs = telling::first_inputs(&run_dir, &rebuilt.core, context);
    if real != Path::new(&plan.cwd) {
        first_inputs.push(OperatorInput::Moved { real: real.display().to_string() });
    }
    if let Some(changed) = changed {
        first_inputs.push(OperatorInput::Plan(Box::new(changed)));
    }
    match words {
        Some(text) if lost.is_empty() => first_inputs.push(OperatorInput::Turn { text }),
        Some(text) => {
            context.printer.talk(format_args!(
                "your message replaces the one that the journal has without its secrets: {}",
                lost.iter().map(|lost| shown(lost)).collect::<Vec<_>>().join("; ")
            ));
            first_inputs.push(OperatorInput::Restate { text, instead_of: lost });
        }
        None => {}
    }
    if args.conversation {
        first_inputs.push(OperatorInput::TakeUp);
        // Each message gets all iterations. Any other bound stays spent until the user raises it.
        let spent = last_finish.as_ref().and_then(|finish| Some((finish.spent?, &finish.reason)));
        if let Some((spent, reason)) = spent.filter(|(spent, _)| spent.bound != Bound::Iterations) {
            let more = raised(spent);
            context
                .printer
                .talk(format_args!("{reason}; to raise the bound: /budget, or: ccc resume {}{more}", run_dir.id()));
        }
    }
    // A user who continues an agent wants it to go on.
    if is_agent(&run_dir) {
        if !args.unless_kept_down
            && let Err(error) = KeptDown::clear(&run_dir)
        {
            context.printer.warn(format_args!("{}: the keeper still leaves the agent alone: {error}", run_dir.id()));
        }
        // The process that has started a host does it for it.
        if !args.hosted {
            ensure_keeper(context);
        }
    }
    let request = RunRequest {
        presentation: Presentation::of(&settings, &args.settings.0).of_interface(interface.is_some()),
        credential_sentence: tokens.sentence(),
        tokens: &tokens,
        prompt_origin: if args.reload { present.prompt_origin } else { "the run's journal".to_owned() },
        extra_env: Vec::new(),
        notify: settings.notify.clone(),
        keep_awake: settings.keep_awake,
        hosted: args.hosted,
        interface,
        share_tree: args.share_tree,
        settings_of_agent,
    };
    let Rebuilt { core, tail, started_unix_ms, .. } = rebuilt;
    let continuation = Continuation { core, tail, started_unix_ms, first_inputs, follower };
    go_on(continuation, run_dir, run_lock, &request, context)
}

fn is_being_started(run: &RunDir) -> CliError {
    let id = run.id();
    CliError::new(ErrorKind::Usage, format!("the agent of run {id} is just being started by another ccc"))
        .hint(format!("to see how far it is: ccc status {id}"))
}

/// Refuses to change an agent at its start.
fn refuse_changes(args: &ResumeArgs, run_dir: &RunDir) -> Result<(), CliError> {
    if args.prompt.is_none() && !args.reload && !args.replace_args && args.flags() == Flags::default() {
        return Ok(());
    }
    let id = run_dir.id();
    Err(CliError::new(
        ErrorKind::Usage,
        format!("the agent of run {id} has not started yet: it starts with the task and the settings of `ccc new`"),
    )
    .hint(format!("to start it at once: ccc resume {id}; to start another one instead: ccc kill {id}")))
}

/// Refuses to continue an agent in a worktree that git cannot read: there would be no checkpoints, and nothing to merge. The keeper,
/// whose user is away, continues it, because the agent may mend what it has broken.
fn check_tree(run: &RunDir, args: &ResumeArgs, context: &Context) -> Result<(), CliError> {
    let tree = AgentRecord::read(run).ok().flatten().and_then(|record| record.tree);
    let Some(tree) = tree.filter(|tree| tree.path.is_dir()) else { return Ok(()) };
    match agent_tree::check(&tree) {
        Err(error) if args.unless_kept_down => {
            context.printer.warn(error.with_hint());
            Ok(())
        }
        checked => checked,
    }
}

/// How the user has the run's directory again.
fn how_to_restore(run: &RunDir, context: &Context) -> String {
    let tree = AgentRecord::read(run).ok().flatten().and_then(|record| record.tree);
    match tree.filter(|tree| !tree.path.exists()) {
        Some(tree) if !has_branch(run, &tree, context) => format!(
            "the agent was removed, and its branch {} with it; what was not merged is kept: git -C {} for-each-ref \
             refs/ccc/salvage/{}",
            tree.branch,
            shell::quoted(&tree.repository.display().to_string()),
            run.id()
        ),
        // Git still has the tree in its list, locked: so it must be told twice.
        Some(AgentTree { path, branch, repository, .. }) => {
            let paths = [&repository, &path].map(|path| shell::quoted(&path.display().to_string()));
            let [repository, path] = paths;
            format!(
                "its commits are on the branch {branch}; to have its worktree again: git -C {repository} worktree add -f -f {path} \
                 {}",
                shell::quoted(&branch)
            )
        }
        None => "restore it at this path: the agent's session belongs to that directory".to_owned(),
    }
}

/// Whether the branch of this tree is still there. One that cannot be looked at counts as there.
fn has_branch(run: &RunDir, tree: &AgentTree, context: &Context) -> bool {
    let Some(repository) = Repository::find(&tree.repository) else { return true };
    let Ok(git) = agent_tree::git(run.id(), context) else { return true };
    repository.commit(&git, &format!("refs/heads/{}", tree.branch)).map_or(true, |commit| commit.is_some())
}

/// Continues all agents that can go on without a word of the user's, one after the other.
fn all(context: &Context) -> Result<ExitCode, CliError> {
    let agents = agent::roster(context)?.agents;
    let goes_on = |state: &State| match state {
        State::Died => true,
        State::Ended(outcome) => outcome.is(&Outcome::Interrupted),
        State::Active(_) | State::Ready | State::Queued => false,
    };
    let queued = agents.iter().filter(|agent| agent.state == State::Queued).count();
    let mut failed = Vec::new();
    let mut continued = 0;
    for agent in agents.iter().filter(|agent| goes_on(&agent.state)) {
        let typed = ["ccc", "resume", agent.dir.id(), "--detach"].map(OsString::from);
        match detach::host(&typed, Some("resume"), false)? {
            Ok(ready) => {
                continued += 1;
                context.printer.line(format_args!("{}: {}", agent.record.name, ready.run_id));
            }
            // It has said why.
            Err(_) => failed.push(agent.record.name.as_str()),
        }
    }
    if queued > 0 {
        ensure_keeper(context);
        let wait = if queued == 1 { "waits" } else { "wait" };
        context.printer.talk(format_args!(
            "{} {wait} in the queue: the keeper starts them when there is room; to see what for: ccc list",
            count(queued, "agent")
        ));
    }
    if !failed.is_empty() {
        return Err(CliError::new(ErrorKind::Failed, format!("not continued: {}", failed.join(", ")))
            .hint("to see how each stands: ccc list"));
    }
    if continued == 0 && queued == 0 {
        context.printer.talk("no agent is to be continued");
    }
    Ok(ExitCode::COMPLETED)
}

/// Whether the run is an agent of the fleet.
fn is_agent(run: &RunDir) -> bool {
    matches!(AgentRecord::read(run), Ok(Some(_)))
}

/// The shell command that continues the session of a run without ccc; `None` when the run's summary has no session.
fn session_by_hand(run_dir: &RunDir, context: &Context) -> Option<String> {
    let summary = RunSummary::read(&run_dir.summary()).ok()?;
    let agent = AgentKind::default();
    let args = agent.interface_args(&summary.session_id?, &[])?;
    let plan = JournalReader::open(&run_dir.journal()).ok().and_then(|reader| reader.plan().ok());
    let program = plan.map_or_else(|| agent.program().to_owned(), |plan| context.typed_agent(&plan));
    Some(format!("cd {} && {}{}", shell::quoted(&summary.cwd), shell::quoted(&program), shell::words(&args)))
}

/// Messages of the user that the agent has not received yet, and in which the journal has a mark in place of a secret.
fn lost_words(core: &Core, context: &Context) -> Result<Vec<String>, CliError> {
    let record = match core.session_id() {
        Some(id) => {
            let agent = core.plan().agent;
            driver::session_record(agent, &context.dirs()?.of_agent(agent, &context.env), id)
        }
        None => None,
    };
    let unanswered = core.unanswered_turn().zip(record.as_ref());
    let recorded = unanswered.and_then(|((_, turn), record)| core.plan().agent.has_turn(record, turn));
    let words = core.user_words_to_say(recorded, record.is_some()).into_iter();
    Ok(words.filter(|text| is_redacted(text)).map(str::to_owned).collect())
}

/// The settings with which the run would continue, and in which the journal has a mark in place of a secret.
fn gaps(plan: &Plan, args: &ResumeArgs) -> RedactedTexts {
    let before = given_before(plan);
    let given = args.agent_args_after(plan.agent, &plan.given_agent_args());
    let checks_given = !args.checks().is_empty() || before.as_ref().is_some_and(|given| given.layer.checks.is_some());
    let reloaded = args.reload && before.is_some();
    if args.checks().is_empty() {
        return RedactedTexts::of(plan, &given, !reloaded, checks_given);
    }
    let checks = given_checks(args, 0);
    RedactedTexts::of(&Plan { checks, ..plan.clone() }, &given, !reloaded, checks_given)
}

/// The longest answer read from a terminal, in bytes. A longer one can be given with -p.
const MAX_ANSWER_BYTES: u64 = 16 * 1024;

/// The user's message to the run: the text of -p. A run that ended with a question does not continue without an answer, so the
/// user is asked at a terminal.
fn words(
    args: &ResumeArgs,
    run_dir: &RunDir,
    finish: Option<&Finish>,
    context: &Context,
) -> Result<Option<String>, CliError> {
    if let Some(text) = args.prompt.clone().filter(|text| !text.trim().is_empty()) {
        return Ok(Some(text));
    }
    // The message is sent in the conversation.
    if args.conversation {
        return Ok(None);
    }
    // A check that cannot be run or a missing agreement must be fixed instead; there is no question to answer.
    let asks = |finish: &&Finish| {
        finish.outcome == Outcome::NeedsUser && !matches!(finish.needs, Some(Needs::Checks { .. } | Needs::Agreement))
    };
    let Some(finish) = finish.filter(asks) else { return Ok(None) };
    if context.stdin.is_terminal() {
        context.printer.talk(format_args!("run {} asks you:\n\n{}\n", run_dir.id(), shown(&finish.result)));
        context.printer.talk_raw("your answer: ");
        let answer = context.stdin.read_line(MAX_ANSWER_BYTES);
        if !answer.is_empty() {
            return Ok(Some(answer));
        }
    }
    Err(CliError::new(ErrorKind::Usage, format!("run {} needs an answer: {}", run_dir.id(), shown(&finish.reason)))
        .hint(format!("to answer: ccc resume {} -p \"TEXT\"", run_dir.id())))
}

/// The present configuration and critic's prompt, overridden by what was given on the command line.
struct Present {
    settings: Settings,
    prompt: String,
    prompt_origin: String,
    /// What was given on the command line, if the journal has it.
    given: Option<Flags>,
    warnings: Vec<Warning>,
}

impl Present {
    /// With `all` the whole configuration is used, and its requests need the user's agreement. Otherwise only its tokens are
    /// used.
    fn find(
        plan: &Plan,
        given: Option<Flags>,
        all: bool,
        project: &Project,
        context: &Context,
    ) -> Result<Present, CliError> {
        let mut flags = given.clone().unwrap_or_default();
        // Presentation and transport are set anew each time.
        Presentation::leave_out(&mut flags.layer);
        let mut resolved = context.settings_of(project, flags.clone())?;
        if all && trust::require(&resolved.not_agreed, project, context)? {
            resolved = context.settings_of(project, flags.clone())?;
        }
        let (warnings, named) = (resolved.warnings.clone(), resolved.named_prompt.clone());
        let mut settings = trust::require_tokens(resolved, flags, true, project, context)?;
        if given.is_none() {
            settings.agent.args.clone_from(&plan.agent_args);
        }
        settings.agent.kind = AgentName(plan.agent);
        let prompt = prompt::find(named.as_ref(), project, context.dirs()?)?;
        Ok(Present { settings, prompt_origin: prompt.origin.place(), prompt: prompt.text, given, warnings })
    }

    /// The run's plan under these settings.
    fn plan(&self, plan: &Plan, context: &Context) -> Result<Plan, CliError> {
        let now = run::plan(PlanParts {
            task: String::new(),
            cwd: String::new(),
            program: String::new(),
            first_args: Vec::new(),
            agent_version: String::new(),
            prompt: self.prompt.clone(),
            agent_dir: &context.dirs()?.of_agent(plan.agent, &context.env),
            settings: &self.settings,
            given: self.given.clone(),
            conversation: plan.conversation,
            native: native::is_native(plan),
            // The user's own tree is not set up by ccc, whatever the configuration says now.
            own_tree: !plan.setup.is_empty(),
        })?;
        let mut now = plan.changed_to(now);
        if now.critic.prompt_as == plan.critic.prompt_as {
            now.critic.prompt_file.clone_from(&plan.critic.prompt_file);
        }
        now.interface_settings.clone_from(&plan.interface_settings);
        now.critic.settings_file.clone_from(&plan.critic.settings_file);
        // Whether there is one is found out when the run begins again.
        now.critic.on_a_copy = plan.critic.on_a_copy;
        Ok(now)
    }
}

/// The command-line settings from the start of the run and from its resumptions, if the journal has them.
fn given_before(plan: &Plan) -> Option<Flags> {
    plan.given.clone().and_then(|given| serde_json::from_value(given).ok())
}

/// These settings with those given now added.
fn given_now(before: Option<&Flags>, args: &ResumeArgs, agent: AgentKind) -> Option<Flags> {
    let (before, now) = (before?, args.flags());
    Some(Flags {
        layer: overlay(before.layer.clone(), now.layer),
        agent_args: args.agent_args_after(agent, &before.agent_args),
    })
}

/// The run's plan without the arguments that the agent's CLI has refused. It keeps the arguments that the CLI accepted before; if
/// there are none and others are given now, it has none from the command line.
fn without_refused(core: &Core, args: &ResumeArgs, context: &Context) -> Plan {
    let mut plan = core.plan().clone();
    if !core.arguments_are_refused() {
        return plan;
    }
    let accepted = match core.accepted_arguments() {
        Some(accepted) => accepted.clone(),
        None if args.agent_args.is_empty() && !args.replace_args => return plan,
        None => AgentArguments { all: plan.configured_agent_args().to_vec(), given: Vec::new() },
    };
    if accepted.all == plan.agent_args {
        return plan;
    }
    context.printer.talk(format_args!(
        "the agent's CLI refused these arguments, so they are left out:{}",
        shell::words(plan.agent_args.iter().filter(|arg| !accepted.all.contains(arg)))
    ));
    if let Some(mut given) = given_before(&plan) {
        given.agent_args = accepted.given;
        plan.given = serde_json::to_value(given).ok();
    }
    plan.agent_args = accepted.all;
    plan
}

/// Refuses the placeholders of ccc's hints (TEXT, CMD, VALUE), which a user may copy without replacing them.
fn refuse_placeholders(args: &ResumeArgs) -> Result<(), CliError> {
    let says = args.prompt.as_deref().map(str::trim) == Some("TEXT");
    let checks = args.checks().iter().any(|check| check.command().trim() == "CMD");
    let values = args.agent_args.iter().any(|arg| arg == "VALUE");
    let (word, what) = match (says, checks, values) {
        (true, _, _) => ("TEXT", "your message to the agent"),
        (false, true, _) => ("CMD", "the command of a check"),
        (false, false, true) => ("VALUE", "the value of an option"),
        (false, false, false) => return Ok(()),
    };
    Err(CliError::new(ErrorKind::Usage, format!("{word} is a placeholder for {what}"))
        .hint(format!("type the same command again, with your own text instead of {word}")))
}

/// The run's plan with what is given now and, with --reload, with the present configuration; `None` if nothing changes. Without
/// --reload it informs the user of a changed configuration.
fn changed_plan(
    plan: &Plan,
    args: &ResumeArgs,
    present: &Present,
    run_dir: &RunDir,
    places: &RunPlaces,
    context: &Context,
) -> Result<Option<Plan>, CliError> {
    let flags = args.flags();
    if plan.agent.read_user_args(&flags.agent_args)?.session.is_some() {
        return Err(CliError::new(ErrorKind::Usage, "a run always continues its own session")
            .hint("leave out --resume, --continue and --session-id; to use another session, start another run"));
    }
    let mut changed = if args.reload {
        let given = given_now(present.given.as_ref(), args, plan.agent);
        Present::find(plan, given, true, &places.configured, context)?.plan(plan, context)?
    } else {
        // A change that the user made during the run is not a change of the files.
        let began = as_given(&run_dir.journal()).unwrap_or_else(|| plan.clone());
        let mut news = differences(&began, &present.plan(&began, context)?, present.given.is_some());
        // What was read is not what the run began with.
        news.retain(|_| places.gone.is_none());
        if !news.is_empty() {
            let words = args.prompt.as_deref().map(|text| format!(" -p {}", shell::quoted(text))).unwrap_or_default();
            context.printer.talk(format_args!(
                "changed since this run began: {}\nthe run keeps the old version; to use the new one:\n    ccc resume {} --reload{words}",
                news.join(", "),
                run_dir.id()
            ));
        }
        plan.clone()
    };
    if !(args.reload && present.given.is_some()) {
        let mut before = present.given.clone();
        if args.lift_bounds {
            (changed.budgets.max_cost_usd, changed.budgets.until_unix_ms) = (None, None);
            if let Some(before) = &mut before {
                (before.layer.budgets.max_cost_usd, before.layer.budgets.until) = (None, None);
            }
        }
        set_given(&mut changed, &flags);
        if !args.checks().is_empty() {
            changed.checks = given_checks(args, changed.timeouts.tool_ms);
        }
        let configured = changed.configured_agent_args().to_vec();
        let given = args.agent_args_after(plan.agent, &changed.given_agent_args());
        changed.agent_args = configured.into_iter().chain(given).collect();
        changed.given = given_now(before.as_ref(), args, plan.agent).and_then(|given| serde_json::to_value(given).ok());
    }
    if changed.critic != plan.critic {
        keep_prompt(&mut changed, run_dir)?;
    }
    keep_critic_settings(&mut changed, run_dir)?;
    keep_interface_settings(&mut changed, run_dir)?;
    Ok((changed != *plan).then_some(changed))
}

/// The plan of a run as given at its start and when it was resumed, without what the user has set during the run.
fn as_given(journal: &Path) -> Option<Plan> {
    let reader = JournalReader::open(journal).ok()?;
    let mut given = reader.plan().ok()?;
    let mut present = given.clone();
    for entry in reader {
        let EntryKind::In(Input::Operator(operator)) = entry.ok()?.kind else { continue };
        let next = operator.applied_to(&present);
        if !matches!(operator, OperatorInput::Set(_)) {
            // A plan that was given after a setting also contains that setting.
            let mut next = next.clone();
            if next.budgets == present.budgets {
                next.budgets = given.budgets;
            }
            if next.critic.model == present.critic.model {
                next.critic.model = given.critic.model;
            }
            if next.supervised == present.supervised {
                next.supervised = given.supervised;
            }
            if next.approvals == present.approvals {
                next.approvals = given.approvals;
            }
            given = next;
        }
        present = next;
    }
    Some(given)
}

/// The checks given now, each with this timeout.
fn given_checks(args: &ResumeArgs, timeout_ms: u64) -> Vec<CheckPlan> {
    args.checks().iter().map(|check| CheckPlan { command: check.command().to_owned(), timeout_ms }).collect()
}

/// Applies what is given now to the plan.
fn set_given(plan: &mut Plan, flags: &Flags) {
    plan.budgets = overlaid(&plan.budgets, &flags.layer.budgets);
    if let Some(model) = &flags.layer.critic.model {
        plan.critic.model = Some(model.clone());
    }
    if let Some(protect) = &flags.layer.protect {
        plan.protect = protect.iter().map(ToString::to_string).collect();
    }
    plan.timeouts.stall_ms = flags.layer.stall_timeout.map_or(plan.timeouts.stall_ms, Span::as_ms);
    if let Some(tool_ms) = flags.layer.tool_timeout.map(Span::as_ms) {
        // A check without a timeout of its own has the timeout of a tool.
        for check in plan.checks.iter_mut().filter(|check| check.timeout_ms == plan.timeouts.tool_ms) {
            check.timeout_ms = tool_ms;
        }
        plan.timeouts.tool_ms = tool_ms;
    }
    plan.no_wait = flags.layer.no_wait.unwrap_or(plan.no_wait);
}

/// The differences between the settings with which a run began and the present ones. If the command line is unknown, only the
/// critic's prompt can be compared.
fn differences(plan: &Plan, present: &Plan, given_is_known: bool) -> Vec<String> {
    let mut differs = Vec::new();
    if plan.critic.prompt != present.critic.prompt {
        differs.push("the critic's prompt (SUPERVISOR.md)".to_owned());
    }
    if !given_is_known {
        return differs;
    }
    let of = |plan: &Plan| {
        let mut plan = plan.clone();
        (plan.given, plan.critic.prompt, plan.critic.prompt_file) = (None, String::new(), None);
        plan.critic.settings_file = None;
        // `+8h` is another moment each time it is read.
        plan.budgets.until_unix_ms = None;
        serde_json::to_value(plan).unwrap_or_default()
    };
    let (before, now) = (of(plan), of(present));
    let keys = before.as_object().into_iter().chain(now.as_object()).flat_map(|object| object.keys());
    let changed: std::collections::BTreeSet<String> = keys
        .filter(|key| before.get(key.as_str()) != now.get(key.as_str()))
        .map(|key| key.trim_end_matches("_ms").replace('_', " "))
        .collect();
    if !changed.is_empty() {
        let changed: Vec<String> = changed.into_iter().collect();
        differs.push(format!("the configuration ({})", changed.join(", ")));
    }
    differs
}

/// The newest run of this directory that is not completed. If the user `converses`, a newer completed conversation is preferred.
fn newest_unfinished(state: &Path, converses: bool, context: &Context) -> Result<RunDir, CliError> {
    let here = context.cwd()?.canonicalize().unwrap_or_default();
    let list = RunDir::list(state).map_err(|error| state_error(&error))?;
    let is_completed = |run: &RunSummary| run.outcome.as_ref().is_some_and(|outcome| outcome.is(&Outcome::Completed));
    // A directory that was moved and has its old name again, for example by a link, counts as the same directory.
    let is_here = |cwd: &str| Path::new(cwd) == here || Path::new(cwd).canonicalize().is_ok_and(|real| real == here);
    let completed = |(_, run): &&(RunDir, RunSummary)| is_completed(run) && run.kind.is_none() && is_here(&run.cwd);
    let newest_completed = list.runs.iter().find(completed).map(|(dir, _)| dir.clone());
    let told = list.runs.into_iter().filter(|(dir, run)| {
        !is_completed(run) && !Queued::is_there(dir) && run.kind.as_ref().is_none_or(|kind| kind.is(&RunKind::Agent))
    });
    let mut unfinished: Vec<(RunDir, String)> = told.map(|(dir, run)| (dir, run.cwd)).collect();
    // If a power cut has damaged a summary, the journal itself tells whether the run can continue.
    unfinished.extend(list.damaged.into_iter().filter_map(|(dir, _)| {
        let cwd = unfinished_by_journal(&dir)?;
        Some((dir, cwd))
    }));
    sort_by(&mut unfinished, |(a, _), (b, _)| b.id().cmp(a.id()));
    if let Some(newest) = newest_completed.as_ref().filter(|_| converses)
        && unfinished.iter().find(|(_, cwd)| is_here(cwd)).is_none_or(|(dir, _)| dir.id() < newest.id())
        && steer::is_conversation(newest)
    {
        return Ok(newest.clone());
    }
    if let Some((dir, _)) = unfinished.iter().find(|(_, cwd)| is_here(cwd)) {
        // `ccc resume` without a name means the newest run in this directory.
        if let Some(newer) = newest_completed.filter(|newer| newer.id() > dir.id()) {
            return Err(CliError::new(
                ErrorKind::Usage,
                format!(
                    "the newest run in this directory, {}, is completed; the run {} before it is not",
                    newer.id(),
                    dir.id()
                ),
            )
            .hint(format!("to continue the older one: ccc resume {}", dir.id())));
        }
        return Ok(dir.clone());
    }
    let elsewhere: Vec<String> = unfinished.iter().take(5).map(|(dir, cwd)| format!("{} in {cwd}", dir.id())).collect();
    Err(match elsewhere.as_slice() {
        [] => unknown_run("there is no unfinished run", context),
        [..] => unknown_run(
            &format!("there is no unfinished run in this directory; in other directories: {}", elsewhere.join(", ")),
            context,
        ),
    })
}

/// The directory of a run that is not completed according to its journal; `None` if it is completed or the journal cannot be
/// read.
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

/// Corrects the summary of a completed run whose ccc was killed after the journal's last entry, before it wrote the summary. A
/// failure is only logged, because the journal is authoritative.
fn mend_summary(run: &RunDir, finish: &Finish) {
    let Ok(mut summary) = RunSummary::read(&run.summary()) else { return };
    if summary.outcome.is_some() {
        return;
    }
    summary.outcome = Some(finish.outcome.into());
    summary.reason = Some(finish.reason.clone());
    summary.result = Some(finish.result.clone());
    summary.iteration = finish.iterations;
    summary.phase = "finished".to_owned();
    summary.ended_unix_ms = Some(summary.updated_unix_ms);
    if let Err(error) = summary.write(&run.summary(), &Redactor::new()) {
        tracing::warn!(%error, "the run's summary could not be written");
    }
}

fn unknown_run(message: &str, context: &Context) -> CliError {
    let hint = if steer::has_runs(context) { "to list the runs: ccc runs; then: ccc resume RUN" } else { steer::START };
    CliError::new(ErrorKind::Usage, message).hint(hint)
}
