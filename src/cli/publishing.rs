//! `ccc merge --push` and `--pr`: which branches go where is settled before anything is changed, and then they are pushed.

use std::path::{Path, PathBuf};

use super::run_in_short::in_short;
use super::{CliError, Context, agent_tree};
use crate::checkpoint;
use crate::config::Env;
use crate::fleet::{AgentRecord, AgentTree};
use crate::git::{Call, Git, Place, contains};
use crate::journal::RunDir;
use crate::publish::{self, Gh, NoTarget, PullRequest, Pushed, Pusher, Rejected, Target};
use crate::tokens::without_credentials;
use crate::ui::run_summary;
use crate::worktree::{is_branch_of_agent, unshared_in_words};

/// The command that the user repeats when something was in the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Again<'a> {
    /// `--push` or `--pr`.
    pub(super) option: &'static str,
    /// The branch that was named.
    pub(super) into: Option<&'a str>,
}

impl Again<'_> {
    fn of(&self, name: &str) -> String {
        let into = self.into.map(|into| format!(" --into {into}")).unwrap_or_default();
        format!("ccc merge {name} {}{into}", self.option)
    }
}

/// The repository of an agent's worktree.
struct Repository {
    git: Git,
    place: Place,
    /// The user's working tree, or the repository if that is gone: hooks run there.
    dir: PathBuf,
}

impl Repository {
    fn of(record: &AgentRecord, tree: &AgentTree, context: &Context) -> Result<Repository, CliError> {
        let is_there = tree.repository.is_dir();
        Ok(Repository {
            git: agent_tree::git(&record.id, context)?,
            place: Place::repository(&tree.common_dir),
            dir: if is_there { &tree.repository } else { &tree.common_dir }.clone(),
        })
    }

    fn commit(&self, branch: &str) -> Result<Option<String>, CliError> {
        let reference = format!("refs/heads/{branch}");
        let call = Call::new(["rev-parse", "-q", "--verify", &reference]);
        let answer = self.git.ask(&self.place, &call).map_err(CliError::failed)?;
        Ok((answer.code == 0).then(|| answer.text()))
    }
}

fn nowhere(no_target: &NoTarget) -> CliError {
    CliError::usage(no_target).hint(no_target.remedy())
}

/// The environment of the user's git and `gh`: hooks run in it, so it has none of the agents' credentials.
fn environment(context: &Context) -> Env {
    without_credentials(&context.env, &[])
}

/// A branch that is pushed when the work of agents has been merged into it.
#[derive(Debug)]
pub(super) struct BaseBranch {
    common_dir: PathBuf,
    branch: String,
    target: Target,
    dir: PathBuf,
    pusher: Pusher,
}

/// The branches that these agents are merged into, each once. Their remotes are asked whether they would take them as they are now,
/// so that a remote that has moved, or cannot be reached, is known before anything is merged. With `all`, a manager's branch without an
/// upstream is left out: the work of its workers is pushed with its own.
///
/// # Errors
/// When one of them cannot be pushed.
pub(super) fn base_branches<'a>(
    agents: impl Iterator<Item = &'a AgentRecord>,
    into: Option<&str>,
    all: bool,
    context: &Context,
) -> Result<Vec<BaseBranch>, CliError> {
    let mut found: Vec<BaseBranch> = Vec::new();
    for record in agents {
        // Without a worktree or a branch to merge into, the merge itself says what is missing.
        let Some(tree) = &record.tree else { continue };
        let Some(branch) = into.or(tree.onto.as_deref()) else { continue };
        if found.iter().any(|known| known.branch == branch && known.common_dir == tree.common_dir) {
            continue;
        }
        let repository = Repository::of(record, tree, context)?;
        let target = publish::upstream(&repository.git, &repository.place, &repository.dir, branch);
        let target = match target.map_err(CliError::failed)? {
            Err(NoTarget::NoUpstream { .. }) if all && is_branch_of_agent(branch) => continue,
            target => target.map_err(|no_target| nowhere(&no_target))?,
        };
        let pusher = Pusher::new(&environment(context), &repository.dir);
        pusher.try_out(branch, &target).map_err(|rejected| {
            let to = target.in_words();
            let message = format!("nothing is merged, because {branch} cannot be pushed to {to}:\n{rejected}");
            CliError::failed(message).hint(remedy(&rejected, branch, &target, &repository.dir))
        })?;
        let (common_dir, branch) = (tree.common_dir.clone(), branch.to_owned());
        found.push(BaseBranch { common_dir, branch, target, dir: repository.dir, pusher });
    }
    Ok(found)
}

/// What to type when a push was rejected.
fn remedy(rejected: &Rejected, branch: &str, target: &Target, dir: &Path) -> String {
    let dir = dir.display();
    let there = target.reference.strip_prefix("refs/heads/").unwrap_or(&target.reference);
    if rejected.has_moved {
        format!("to see what {branch} lacks: git -C {dir} fetch {} {there}", target.remote)
    } else {
        format!("to see what is wrong: git -C {dir} push --dry-run {} {branch}:{there}", target.remote)
    }
}

impl BaseBranch {
    /// Its name.
    pub(super) fn branch(&self) -> &str {
        &self.branch
    }

    /// Whether the agent's work was merged into this branch.
    pub(super) fn is_of(&self, record: &AgentRecord, into: Option<&str>) -> bool {
        record.tree.as_ref().is_some_and(|tree| {
            tree.common_dir == self.common_dir && into.or(tree.onto.as_deref()) == Some(self.branch.as_str())
        })
    }

    /// Pushes the branch, and says so. False if it was rejected; then it is pushed by the same command for the agent `name`, which
    /// has nothing to merge any more.
    pub(super) fn push(&self, name: &str, again: Again<'_>, json: bool, context: &Context) -> bool {
        let to = self.target.in_words();
        let pushed = self.pusher.push(&self.branch, &self.target);
        if json {
            let (outcome, reason) = match &pushed {
                Ok(Pushed { was_there: true, .. }) => ("up_to_date", None),
                Ok(Pushed { was_there: false, .. }) => ("pushed", None),
                Err(rejected) => ("rejected", Some(rejected.words.as_str())),
            };
            context.printer.json(serde_json::json!({
                "branch": self.branch, "remote": self.target.remote, "reference": self.target.reference,
                "outcome": outcome, "reason": reason,
            }));
            return pushed.is_ok();
        }
        match pushed {
            Ok(Pushed { was_there: true, .. }) => context.printer.line(format_args!("{}: {to} has it", self.branch)),
            Ok(Pushed { said, .. }) => {
                context.printer.line(format_args!("{}: pushed to {to}", self.branch));
                told(&said, context);
            }
            Err(rejected) => {
                let message = format!("{} is merged here, but was not pushed to {to}:\n{rejected}", self.branch);
                let remedy = remedy(&rejected, &self.branch, &self.target, &self.dir);
                context.printer.error(message, Some(&format!("{remedy}; then: {}", again.of(name))));
                return false;
            }
        }
        true
    }
}

fn told(said: &str, context: &Context) {
    for line in said.lines() {
        context.printer.talk(format_args!("remote: {line}"));
    }
}

/// An agent's branch for which a pull request is opened.
pub(super) struct Proposal<'a> {
    dir: &'a RunDir,
    record: &'a AgentRecord,
    branch: &'a str,
    /// The branch to merge into, here and as the remote names it.
    base: String,
    base_there: String,
    target: Target,
    repository: Repository,
}

/// What has come of a proposal.
enum Proposed {
    /// There is nothing that the base has not.
    Nothing,
    /// It is open, at this address.
    Opened(String),
    /// It was open before.
    WasOpen(String),
    /// The branch was not pushed: it names commits that only the agent's worktree has.
    Unshared(String),
    /// The branch was not pushed.
    Rejected(Rejected),
    /// The branch is pushed, and there is no `gh`.
    NoGh,
    /// The branch is pushed, and `gh` has failed.
    GhFailed(String),
}

impl<'a> Proposal<'a> {
    /// Where the branch of this agent goes.
    ///
    /// # Errors
    /// When the agent has no branch, or no remote can be found for it.
    pub(super) fn of(
        dir: &'a RunDir,
        record: &'a AgentRecord,
        into: Option<&str>,
        context: &Context,
    ) -> Result<Proposal<'a>, CliError> {
        let tree = record.tree.as_ref().ok_or_else(|| agent_tree::without_tree(record))?;
        let Some(base) = into.or(tree.onto.as_deref()).map(str::to_owned) else {
            let message = format!("{} started from no branch, so it is not known what to merge it into", record.name);
            return Err(CliError::usage(message)
                .hint(format!("to name the branch: ccc merge {} --pr --into BRANCH", record.name)));
        };
        let repository = Repository::of(record, tree, context)?;
        let Repository { git, place, dir: at } = &repository;
        if repository.commit(&tree.branch)?.is_none() {
            return Err(nowhere(&NoTarget::NoBranch { branch: tree.branch.clone(), dir: at.clone() }));
        }
        let remote = publish::remote_for(git, place, at, Some(&base)).map_err(CliError::failed)?;
        let remote = remote.map_err(|no_target| nowhere(&no_target))?;
        let upstream = publish::upstream(git, place, at, &base).map_err(CliError::failed)?;
        let there = upstream.ok().and_then(|target| target.reference.strip_prefix("refs/heads/").map(str::to_owned));
        let base_there = there.unwrap_or_else(|| base.clone());
        let target = Target { remote, reference: format!("refs/heads/{}", tree.branch) };
        Ok(Proposal { dir, record, branch: &tree.branch, base, base_there, target, repository })
    }

    /// Pushes the branch and opens the pull request, and says so. False if there is none.
    ///
    /// # Errors
    /// When git cannot be asked.
    pub(super) fn propose(&self, again: Again<'_>, json: bool, context: &Context) -> Result<bool, CliError> {
        let (name, to) = (&self.record.name, self.target.in_words());
        for file in agent_tree::uncommitted(self.record, context)? {
            context.printer.warn(format_args!("{name}: not committed, so not pushed: {}", file.display()));
        }
        let proposed = self.proposed(context)?;
        let by_hand = format!("gh pr create --head {} --base {}", self.branch, self.base_there);
        let (word, what, hint) = match &proposed {
            Proposed::Nothing => ("nothing", format!("has nothing that {} has not", self.base), None),
            Proposed::Opened(url) => ("opened", format!("pull request {url}"), None),
            Proposed::WasOpen(url) => ("was_open", format!("pushed to the open pull request {url}"), None),
            Proposed::Unshared(words) => ("unshared", words.clone(), None),
            Proposed::Rejected(rejected) => {
                let hint = remedy(rejected, self.branch, &self.target, &self.repository.dir);
                ("rejected", format!("was not pushed to {to}:\n{rejected}"), Some(hint))
            }
            Proposed::NoGh => (
                "no_gh",
                format!("is pushed to {to}, but there is no pull request: the program gh is not on the PATH"),
                Some(format!("install it from https://cli.github.com, then: {}", again.of(name))),
            ),
            Proposed::GhFailed(words) => (
                "gh_failed",
                format!("is pushed to {to}, but there is no pull request:\n{words}"),
                Some(format!("to try again: {}; or by hand: {by_hand}", again.of(name))),
            ),
        };
        let (is_done, url) = match &proposed {
            Proposed::Opened(url) | Proposed::WasOpen(url) => (true, Some(url)),
            Proposed::Nothing => (true, None),
            Proposed::Unshared(_) | Proposed::Rejected(_) | Proposed::NoGh | Proposed::GhFailed(_) => (false, None),
        };
        if json {
            context.printer.json(serde_json::json!({
                "id": self.record.id, "name": name, "outcome": word, "reason": what, "url": url,
                "branch": self.branch, "remote": self.target.remote, "base": self.base_there,
            }));
        } else if is_done {
            context.printer.line(format_args!("{name}: {what}"));
        } else {
            context.printer.error(format_args!("{name}: {what}"), hint.as_deref());
        }
        Ok(is_done)
    }

    fn proposed(&self, context: &Context) -> Result<Proposed, CliError> {
        let Repository { git, place, dir } = &self.repository;
        let Some(commit) = self.repository.commit(self.branch)? else { return Ok(Proposed::Nothing) };
        let base = self.repository.commit(&self.base)?;
        let started = self.record.tree.as_ref().map(|tree| tree.base.clone());
        let base = base.or(started).unwrap_or_else(|| commit.clone());
        if contains(git, place, &base, &commit).map_err(CliError::failed)? {
            return Ok(Proposed::Nothing);
        }
        let unshared = agent_tree::unshared(self.record, &base, &commit, context)?;
        if !unshared.is_empty() {
            return Ok(Proposed::Unshared(unshared_in_words(&unshared)));
        }
        let env = environment(context);
        match Pusher::new(&env, dir).push(self.branch, &self.target) {
            Ok(pushed) => told(&pushed.said, context),
            Err(rejected) => return Ok(Proposed::Rejected(rejected)),
        }
        let Some(gh) = Gh::find(&env, dir) else { return Ok(Proposed::NoGh) };
        let head = publish::head_of(git, place, &self.target.remote, &self.base, self.branch);
        let head = head.map_err(CliError::failed)?;
        // An earlier call may have been ended after it had opened one.
        if let Some(url) = gh.open(&head) {
            return Ok(Proposed::WasOpen(url));
        }
        let common = git.ask(place, &Call::new(["merge-base", &base, &commit])).map_err(CliError::failed)?;
        let from = if common.code == 0 { common.text() } else { base };
        let changes = checkpoint::summary(git, place, &from, &commit).map_err(CliError::failed)?;
        let run = in_short(self.dir, Some(&changes));
        let request = PullRequest {
            head,
            base: self.base_there.clone(),
            title: run_summary::title(&run.task),
            body: run_summary::markdown(&run),
        };
        Ok(match gh.create(&request) {
            Ok(url) => Proposed::Opened(url),
            Err(error) => Proposed::GhFailed(error.words),
        })
    }
}
