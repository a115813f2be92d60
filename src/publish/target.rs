//! Where a branch is pushed, as the repository's configuration says.

use std::path::{Path, PathBuf};

use crate::git::{Call, Git, GitError, Place};

/// The branch of a remote that a local branch is pushed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The remote.
    pub remote: String,
    /// The branch there, as `refs/heads/main`.
    pub reference: String,
}

impl Target {
    /// `origin/main`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let branch = self.reference.strip_prefix("refs/heads/").unwrap_or(&self.reference);
        format!("{}/{branch}", self.remote)
    }
}

/// Why it is not known where a branch is pushed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    /// There is no such branch.
    #[error("there is no branch {branch} in {}", dir.display())]
    NoBranch {
        /// The branch.
        branch: String,
        /// The repository.
        dir: PathBuf,
    },
    /// The branch has no upstream.
    #[error("the branch {branch} has no upstream, so it is not known where to push it")]
    NoUpstream {
        /// The branch.
        branch: String,
        /// The repository.
        dir: PathBuf,
        /// The remote that is meant if there is only one, or `origin`.
        remote: Option<String>,
    },
    /// The branch follows another one of the same repository.
    #[error("the upstream of the branch {branch} is a branch of this repository, not of a remote")]
    Local {
        /// The branch.
        branch: String,
        /// The repository.
        dir: PathBuf,
    },
    /// The user pushes to another remote than the one that the branch follows.
    #[error("the branch {branch} follows {upstream}, but git pushes it to {push}")]
    Elsewhere {
        /// The branch.
        branch: String,
        /// The repository.
        dir: PathBuf,
        /// The remote that it follows.
        upstream: String,
        /// The remote that it is pushed to.
        push: String,
    },
    /// The repository has no remote.
    #[error("the repository {} has no remote", dir.display())]
    NoRemote {
        /// The repository.
        dir: PathBuf,
    },
    /// The named remote does not exist.
    #[error("there is no remote {remote} in {}", dir.display())]
    NoSuchRemote {
        /// The remote.
        remote: String,
        /// The repository.
        dir: PathBuf,
    },
    /// There are several remotes, and nothing says which is meant.
    #[error("it is not known to which remote to push: {}", remotes.join(", "))]
    Which {
        /// The remotes.
        remotes: Vec<String>,
        /// The repository.
        dir: PathBuf,
    },
}

impl NoTarget {
    /// What to type.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            NoTarget::NoBranch { dir, .. } => format!("to list the branches: git -C {} branch", dir.display()),
            NoTarget::NoUpstream { branch, dir, remote: Some(remote) } => {
                format!("to set it: git -C {} push -u {remote} {branch}", dir.display())
            }
            NoTarget::NoUpstream { branch, dir, remote: None } => {
                format!("to set it: git -C {} push -u REMOTE {branch}", dir.display())
            }
            NoTarget::Local { branch, dir } => {
                format!("to set another one: git -C {} push -u REMOTE {branch}", dir.display())
            }
            NoTarget::Elsewhere { branch, dir, push, .. } => {
                format!("merge without --push; then: git -C {} push {push} {branch}", dir.display())
            }
            NoTarget::NoRemote { dir } => format!("to add one: git -C {} remote add origin URL", dir.display()),
            NoTarget::NoSuchRemote { remote, dir } => {
                format!("to add it: git -C {} remote add {remote} URL", dir.display())
            }
            NoTarget::Which { dir, .. } => {
                format!("to choose one: git -C {} config remote.pushDefault REMOTE", dir.display())
            }
        }
    }
}

/// What a branch follows and where it is pushed; empty where nothing is configured.
struct Follows {
    remote: String,
    reference: String,
    push: String,
}

fn follows(git: &Git, place: &Place, branch: &str) -> Result<Option<Follows>, GitError> {
    let reference = format!("refs/heads/{branch}");
    if git.ask(place, &Call::new(["show-ref", "--verify", "-q", &reference]))?.code != 0 {
        return Ok(None);
    }
    // `for-each-ref` would not tell a remote that is not configured.
    let configured = |key: &str| Ok(git.ask(place, &Call::new(["config", "--get", key]))?.text());
    let own = |name: &str| configured(&format!("branch.{branch}.{name}"));
    let pushed = own("pushRemote")?;
    let push = if pushed.is_empty() { configured("remote.pushDefault")? } else { pushed };
    Ok(Some(Follows { remote: own("remote")?, reference: own("merge")?, push }))
}

fn remotes(git: &Git, place: &Place) -> Result<Vec<String>, GitError> {
    Ok(git.text(place, &Call::new(["remote"]))?.lines().map(str::to_owned).collect())
}

/// The only one, or `origin`.
fn usual(remotes: &[String]) -> Option<String> {
    match remotes {
        [only] => Some(only.clone()),
        all => all.iter().find(|name| *name == "origin").cloned(),
    }
}

/// Whether this names a remote, or is itself the address of one.
fn exists(remote: &str, remotes: &[String]) -> bool {
    remotes.iter().any(|known| known == remote) || remote.contains(['/', ':'])
}

/// The upstream of this branch. `dir` is the repository, for errors.
///
/// # Errors
/// When git cannot be asked.
pub fn upstream(git: &Git, place: &Place, dir: &Path, branch: &str) -> Result<Result<Target, NoTarget>, GitError> {
    let (branch, dir) = (branch.to_owned(), dir.to_owned());
    let Some(Follows { remote, reference, push }) = follows(git, place, &branch)? else {
        return Ok(Err(NoTarget::NoBranch { branch, dir }));
    };
    let remotes = remotes(git, place)?;
    Ok(Err(if remote == "." {
        NoTarget::Local { branch, dir }
    } else if remotes.is_empty() && remote.is_empty() {
        NoTarget::NoRemote { dir }
    } else if remote.is_empty() || reference.is_empty() {
        NoTarget::NoUpstream { branch, dir, remote: usual(&remotes) }
    } else if !exists(&remote, &remotes) {
        NoTarget::NoSuchRemote { remote, dir }
    } else if !push.is_empty() && push != remote {
        NoTarget::Elsewhere { branch, dir, upstream: remote, push }
    } else {
        return Ok(Ok(Target { remote, reference }));
    }))
}

/// The remote to which a branch is pushed that has begun at `base`: the one that git pushes `base` to, the one that `base` follows,
/// the only one, or `origin`.
///
/// # Errors
/// When git cannot be asked.
pub fn remote_for(
    git: &Git,
    place: &Place,
    dir: &Path,
    base: Option<&str>,
) -> Result<Result<String, NoTarget>, GitError> {
    let remotes = remotes(git, place)?;
    let configured = match base {
        Some(base) => follows(git, place, base)?,
        None => None,
    };
    let configured = configured
        .and_then(|found| [found.push, found.remote].into_iter().find(|remote| !remote.is_empty() && remote != "."));
    let dir = dir.to_owned();
    Ok(match configured {
        Some(remote) if exists(&remote, &remotes) => Ok(remote),
        Some(remote) => Err(NoTarget::NoSuchRemote { remote, dir }),
        None if remotes.is_empty() => Err(NoTarget::NoRemote { dir }),
        None => usual(&remotes).ok_or(NoTarget::Which { remotes, dir }),
    })
}

/// How `gh` names a branch that was pushed to `remote`: with its owner, if that is another one than the owner of the repository
/// that `base` follows.
///
/// # Errors
/// When git cannot be asked.
pub fn head_of(git: &Git, place: &Place, remote: &str, base: &str, branch: &str) -> Result<String, GitError> {
    let upstream = follows(git, place, base)?.map(|found| found.remote).filter(|name| !name.is_empty());
    let owner = |remote: &str| -> Result<Option<String>, GitError> {
        let answer = git.ask(place, &Call::new(["remote", "get-url", "--push", "--", remote]))?;
        Ok(if answer.code == 0 { owner_in(&answer.text()) } else { None })
    };
    let owners = match upstream {
        Some(upstream) if upstream != remote => owner(&upstream)?.zip(owner(remote)?),
        Some(_) | None => None,
    };
    Ok(match owners {
        Some((theirs, ours)) if theirs != ours => format!("{ours}:{branch}"),
        Some(_) | None => branch.to_owned(),
    })
}

/// The last directory but one of an address: `https://github.com/OWNER/NAME.git`, `git@github.com:OWNER/NAME`.
fn owner_in(address: &str) -> Option<String> {
    let mut parts = address.trim_end_matches('/').rsplit(['/', ':']);
    let _name = parts.next()?;
    parts.next().filter(|owner| !owner.is_empty()).map(str::to_owned)
}
