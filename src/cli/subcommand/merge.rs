//! `ccc merge AGENT…`.

use clap::Args;

use crate::cli::agent::{record_of, roster};
use crate::cli::merge_checks::MergeChecks;
use crate::cli::publishing::{self, Again, Proposal};
use crate::cli::{CliError, Context, ExitCode, agent_tree, dead_run, inside, steer};
use crate::control::Client;
use crate::control::protocol::{Hello, Request};
use crate::core::Outcome;
use crate::fleet::{AgentRecord, State};
use crate::journal::{RunDir, Word};
use crate::ui::{clean, format};
use crate::worktree::{MergeOutcome, Refusal, Strategy, Unlanded};

/// How much of the names of protected files is shown, in characters.
const FILES_CHARS: usize = 200;

/// Merge the work of agents into the branch that they started from.
///
/// The merge is made in a scratch worktree, and the checks of the configuration and those of the agent are run on the result.
/// Protected files (`protect`) are for the checks as the branch has them. Only when they pass, the branch is set, and your working tree with it if the branch is checked out there and has no
/// uncommitted changes. A conflict or a failed check changes nothing, and neither does a nested
/// repository whose commit only the agent's worktree has. What an agent has not committed is not merged.
///
/// With --push the branch is pushed afterwards, as it then is, to its upstream. With --pr nothing is merged here: the agent's branch
/// is pushed, and `gh` opens a pull request with a summary of the run. Both run your git with your hooks and credentials, and never
/// force anything. An agent may use neither.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct MergeArgs {
    /// Names, ids, or the beginnings of either.
    #[arg(value_name = "AGENT", required_unless_present = "all")]
    pub agents: Vec<String>,

    /// Merge all agents that have completed, the oldest first.
    #[arg(long, conflicts_with = "agents")]
    pub all: bool,

    /// Merge into this branch.
    #[arg(long, value_name = "BRANCH")]
    pub into: Option<String>,

    /// Put the agent's commits on top of the branch instead of making a merge commit.
    #[arg(long)]
    pub rebase: bool,

    /// Run this command on the result instead of all other checks; may be given several times.
    #[arg(long, value_name = "CMD", allow_hyphen_values = true)]
    pub check: Vec<String>,

    /// Run no checks.
    #[arg(long, conflicts_with = "check")]
    pub no_checks: bool,

    /// When an agent's work cannot be merged, tell the agent why: it becomes its next turn.
    #[arg(long)]
    pub tell: bool,

    /// Push the branch afterwards to its upstream.
    #[arg(long)]
    pub push: bool,

    /// Merge nothing: push the agent's branch, and open a pull request for it.
    #[arg(long, conflicts_with_all = ["push", "rebase", "check", "no_checks", "tell"])]
    pub pr: bool,

    /// Print one JSON object for each agent, and with --push one for each branch.
    #[arg(long)]
    pub json: bool,
}

/// Merges the agents' work, one after the other.
///
/// # Errors
/// When there is no such agent, or the work of one is not merged.
pub fn run(args: MergeArgs, context: &Context) -> Result<ExitCode, CliError> {
    if args.push || args.pr {
        inside::refuse(if args.pr { "merge --pr" } else { "merge --push" }, context)?;
    }
    if !args.check.is_empty() {
        // ccc runs checks without asking, outside of the agent's permissions.
        inside::refuse("merge --check", context)?;
    }
    let manager = inside::manager("merge", context)?;
    let is_own = |record: &AgentRecord| manager.as_ref().is_none_or(|own| record.manager.as_deref() == Some(own.id()));
    let mut agents = Vec::new();
    if args.all {
        let is_completed = |state: &State| matches!(state, State::Ended(Word::Known(Outcome::Completed)));
        let all = roster(context)?.agents.into_iter();
        agents.extend(
            all.filter(|agent| is_completed(&agent.state) && agent.record.tree.is_some() && is_own(&agent.record))
                .map(|agent| (agent.dir, agent.record)),
        );
    }
    for named in &args.agents {
        let dir = steer::find_begun(named, context)?;
        let record = record_of(&dir, named)?;
        if !is_own(&record) {
            return Err(CliError::usage(format!("{} is not a worker of yours", record.name))
                .hint("an agent merges only its own workers: ccc merge --all"));
        }
        agents.push((dir, record));
    }
    if agents.is_empty() {
        context.printer.talk("no agent has completed; to see how each stands: ccc list");
    }
    if args.pr { propose(&agents, &args, context) } else { merge_all(&agents, &args, context) }
}

/// Opens a pull request for the work of each agent.
fn propose(agents: &[(RunDir, AgentRecord)], args: &MergeArgs, context: &Context) -> Result<ExitCode, CliError> {
    let into = args.into.as_deref();
    let proposals: Result<Vec<Proposal<'_>>, CliError> =
        agents.iter().map(|(dir, record)| Proposal::of(dir, record, into, context)).collect();
    let mut failed = Vec::new();
    for (proposal, (_, record)) in proposals?.iter().zip(agents) {
        if !proposal.propose(Again { option: "--pr", into }, args.json, context)? {
            failed.push(record.name.as_str());
        }
    }
    ended(&[("without a pull request", failed)])
}

/// Merges the work of all agents, and pushes the branches that have it.
fn merge_all(agents: &[(RunDir, AgentRecord)], args: &MergeArgs, context: &Context) -> Result<ExitCode, CliError> {
    let into = args.into.as_deref();
    let bases = if args.push {
        publishing::base_branches(agents.iter().map(|(_, record)| record), into, args.all, context)?
    } else {
        Vec::new()
    };
    let (mut merged, mut failed) = (Vec::new(), Vec::new());
    let mut fault = None;
    for (at, (dir, record)) in agents.iter().enumerate() {
        match merge(dir, record, args, context) {
            Ok(Attempt::Merged) => merged.push(record),
            // The same would be said of each other agent; a program gets its line for each.
            Ok(Attempt::InTheWay) if !args.json => {
                failed.extend(agents.iter().skip(at).map(|(_, record)| record.name.as_str()));
                break;
            }
            Ok(Attempt::NotMerged | Attempt::InTheWay) => failed.push(record.name.as_str()),
            // It concerns this agent alone.
            Err(error) if args.all => {
                let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                context.printer.warn(format_args!("{}: {}{hint}", record.name, error.message));
                failed.push(record.name.as_str());
            }
            // What was merged before is pushed all the same.
            Err(error) => {
                fault = Some(error);
                break;
            }
        }
    }
    let mut kept = Vec::new();
    for base in &bases {
        let Some(record) = merged.iter().rfind(|record| base.is_of(record, into)) else { continue };
        if !base.push(&record.name, Again { option: "--push", into }, args.json, context) {
            kept.push(base.branch());
        }
    }
    match fault {
        Some(fault) => Err(fault),
        None => ended(&[("not merged", failed), ("not pushed", kept)]),
    }
}

/// The end of the command, from what was not done.
fn ended(left: &[(&str, Vec<&str>)]) -> Result<ExitCode, CliError> {
    let left = left.iter().filter(|(_, names)| !names.is_empty());
    let left: Vec<String> = left.map(|(what, names)| format!("{what}: {}", names.join(", "))).collect();
    if left.is_empty() {
        return Ok(ExitCode::COMPLETED);
    }
    Err(CliError::failed(left.join("; ")))
}

/// What became of one agent's work.
enum Attempt {
    Merged,
    /// The reason lies in this agent's work.
    NotMerged,
    /// The user's working tree is in the way of every merge.
    InTheWay,
}

/// Merges one agent's work. If it was not merged, the reason is told.
fn merge(dir: &RunDir, record: &AgentRecord, args: &MergeArgs, context: &Context) -> Result<Attempt, CliError> {
    let name = &record.name;
    dead_run::put_files_back(dir, context)?;
    // The merge may change the files of the user's tree, in which a run may be at work.
    dead_run::put_files_back_in(&record.project, context)?;
    let mut checks = MergeChecks::of(dir, record, &args.check, args.no_checks, context)?;
    let strategy = if args.rebase { Strategy::Rebase } else { Strategy::Merge };
    let uncommitted = agent_tree::uncommitted(record, context)?;
    for file in &uncommitted {
        context.printer.warn(format_args!("{name}: not committed, so not merged: {}", file.display()));
    }
    let elsewhere = agent_tree::stands_elsewhere(record, context)?;
    if let (Some(commit), Some(tree)) = (&elsewhere, &record.tree) {
        let short = |commit: &str| commit.get(..12).unwrap_or(commit).to_owned();
        let (commit, base) = (short(commit), short(&tree.base));
        context.printer.warn(format_args!(
            "{name}: its worktree stands at {commit}, which its branch {} does not have, so that is not merged; to see it: git log \
             {base}..{commit}; to merge it: git merge {commit}",
            tree.branch
        ));
    }
    let mut check = |result: &Unlanded<'_>| checks.run(result, context);
    let outcome = agent_tree::merge(record, args.into.as_deref(), strategy, &mut check, context)?;
    let (is_merged, word, what) = match &outcome {
        MergeOutcome::Merged(merged) => {
            let into = merged.into.strip_prefix("refs/heads/").unwrap_or(&merged.into);
            let commit = merged.commit.get(..12).unwrap_or(&merged.commit);
            (true, "merged", format!("merged into {into} as {commit}"))
        }
        MergeOutcome::NothingToMerge if elsewhere.is_some() => {
            (false, "nothing", "has nothing to merge: its commits are not on its branch".to_owned())
        }
        MergeOutcome::NothingToMerge if uncommitted.is_empty() => (true, "nothing", "has nothing to merge".to_owned()),
        MergeOutcome::NothingToMerge => {
            (false, "nothing", "has nothing to merge: its work is not committed".to_owned())
        }
        MergeOutcome::Conflict { files } => {
            let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            (false, "conflict", format!("conflicts with the branch in {}", files.join(", ")))
        }
        MergeOutcome::ChecksFailed { why } => (false, "checks_failed", why.clone()),
        MergeOutcome::Refused(refusal) => (false, "refused", refusal.to_string()),
    };
    if args.json {
        context.printer.json(serde_json::json!({"id": record.id, "name": name, "outcome": word, "reason": what}));
    } else if is_merged {
        context.printer.line(format_args!("{name}: {what}"));
        if matches!(outcome, MergeOutcome::Merged(_)) {
            context.printer.talk(match checks.number() {
                0 if args.no_checks => "no check was run on the result (--no-checks)".to_owned(),
                0 => "no check was run on the result: none is configured, and the agent had none".to_owned(),
                number => format!("{} on the result: passed", format::count(number, "check")),
            });
            if !checks.restored().is_empty() {
                let files = clean::one_line(&checks.restored().join(", "), FILES_CHARS);
                context.printer.warn(format_args!(
                    "{name}: the checks saw protected files as the branch had them, and what is merged is the agent's version: {files}"
                ));
            }
        }
    } else {
        let is_the_agents = matches!(
            outcome,
            MergeOutcome::Conflict { .. }
                | MergeOutcome::ChecksFailed { .. }
                | MergeOutcome::NothingToMerge
                | MergeOutcome::Refused(Refusal::Unshared { .. })
        );
        let hint = match steer::is_alive(dir) {
            true => format!("to have the agent correct it, as its next turn: ccc merge {name} --tell"),
            false => format!("to have the agent correct it: {}", to_correct(dir, record, &what)),
        };
        context.printer.error(format_args!("{name}: {what}"), (is_the_agents && !args.tell).then_some(hint.as_str()));
    }
    Ok(match outcome {
        MergeOutcome::Merged(_) => Attempt::Merged,
        MergeOutcome::NothingToMerge if is_merged => Attempt::Merged,
        MergeOutcome::Conflict { .. }
        | MergeOutcome::ChecksFailed { .. }
        | MergeOutcome::NothingToMerge
        | MergeOutcome::Refused(Refusal::Unshared { .. }) => {
            if args.tell {
                tell_agent(dir, record, &what, context);
            }
            Attempt::NotMerged
        }
        MergeOutcome::Refused(refusal) => match refusal {
            Refusal::NotClean { .. }
            | Refusal::Unfinished { .. }
            | Refusal::CheckedOutTwice { .. }
            | Refusal::HalfWritten { .. } => Attempt::InTheWay,
            Refusal::NoBranch
            | Refusal::BranchGone { .. }
            | Refusal::InTheWay { .. }
            | Refusal::Filters { .. }
            | Refusal::Unshared { .. }
            | Refusal::BranchMoved { .. } => Attempt::NotMerged,
        },
    })
}

/// What an agent is told whose work was not merged.
fn why_not_merged(record: &AgentRecord, what: &str) -> String {
    let branch = record.tree.as_ref().and_then(|tree| tree.onto.as_deref()).unwrap_or("its base");
    let what = what.trim_end();
    let end = if what.contains('\n') { "\n" } else { ". " };
    format!(
        "Your work could not be merged into {branch}: {what}{end}Bring your branch up to date with {branch}, correct this, and commit."
    )
}

/// The command that tells this an agent which has ended, with what its run needs to go on. What a check has printed is left out.
fn to_correct(dir: &RunDir, record: &AgentRecord, what: &str) -> String {
    steer::going_on_with(dir, &why_not_merged(record, what.lines().next().unwrap_or_default()))
}

/// Tells an agent why its work was not merged.
fn tell_agent(dir: &RunDir, record: &AgentRecord, what: &str, context: &Context) {
    let text = why_not_merged(record, what);
    let said = Client::connect(dir, &Hello::new("merge", false))
        .and_then(|mut client| client.call(&Request::Say { key: None, text, images: Vec::new() }));
    match said {
        Ok(_) => context.printer.talk(format_args!("{} is told", record.name)),
        Err(_) => context.printer.talk(format_args!(
            "{} has ended; to give it this to do: {}",
            record.name,
            to_correct(dir, record, what)
        )),
    }
}
