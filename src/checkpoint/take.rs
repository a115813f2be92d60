//! Writes the tree and the commit of a checkpoint.

use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::error::CheckpointError;
use super::index::TemporaryIndex;
use super::left_out::LeftOut;
use super::verbatim::Verbatim;
use crate::files::PathError;
use crate::git::{Call, ContentSettings, Git, Repository};

/// The default limit of a file's size. A larger one would stay in the repository's objects until git collects them.
pub const FILE_LIMIT_BYTES: u64 = 50 * 1024 * 1024;
/// Whose commits checkpoints are.
const NAME: &str = "ccc";
const EMAIL: &str = "ccc@localhost";

/// A working tree to be written as a tree of git.
#[derive(Debug, Clone)]
pub struct TreeRequest {
    /// The repository, with its working tree.
    pub repository: Repository,
    /// The commit that is checked out.
    pub head: Option<String>,
    /// The index of the working tree, which is not changed; `None` to begin with the files of `head`.
    pub index: Option<PathBuf>,
    /// A larger file is left out.
    pub file_limit_bytes: u64,
    /// With more bytes in untracked files, nothing is written.
    pub untracked_limit_bytes: u64,
    /// Files are taken byte for byte. Otherwise line ends, encodings and `$Id$` are converted as for a commit, so the tree can be
    /// compared with one.
    pub verbatim: bool,
}

impl TreeRequest {
    /// The working tree that `dir` lies in, as it is checked out, with the default limit.
    ///
    /// # Errors
    /// When `dir` is in no working tree of a repository, and when git fails.
    pub fn of(git: &Git, dir: &Path) -> Result<Self, CheckpointError> {
        let Some(repository) = Repository::find(dir) else {
            return Err(CheckpointError::NoRepository { dir: dir.to_owned() });
        };
        if repository.top.is_none() {
            return Err(CheckpointError::Bare { dir: repository.dirs.own });
        }
        let head = repository.commit(git, "HEAD")?;
        let index = Some(repository.dirs.own.join("index"));
        Ok(Self {
            repository,
            head,
            index,
            file_limit_bytes: FILE_LIMIT_BYTES,
            untracked_limit_bytes: u64::MAX,
            verbatim: false,
        })
    }
}

/// A working tree as a tree of git, which no reference keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenTree {
    /// The tree.
    pub tree: String,
    /// What is not in it.
    pub left_out: Vec<LeftOut>,
}

/// Writes a working tree as a tree of git. It changes nothing but git's objects.
///
/// # Errors
/// When the repository is bare, when git fails, or when the temporary index cannot be written.
pub fn write_tree(git: &Git, request: &TreeRequest) -> Result<WrittenTree, CheckpointError> {
    let place = request.repository.place();
    let Some(top) = request.repository.top.as_deref() else {
        return Err(CheckpointError::Bare { dir: request.repository.dirs.own.clone() });
    };
    let configured = ContentSettings::read(git, &place)?;
    if request.repository.is_bare(&configured) {
        return Err(CheckpointError::Bare { dir: request.repository.dirs.own.clone() });
    }
    let index = TemporaryIndex::new(git, &place, request.index.as_deref(), request.head.as_deref())?;
    let settings = configured.without_programs();
    let &TreeRequest { file_limit_bytes, untracked_limit_bytes, .. } = request;
    let verbatim = request.verbatim.then(|| Verbatim::of(git, &place, request.head.as_deref())).transpose()?;
    let contents = Contents {
        git,
        place: &place,
        common: &request.repository.dirs.common,
        top,
        index: &index,
        settings: &settings,
        may_convert: configured.may_convert(),
        file_limit_bytes,
        untracked_limit_bytes,
        verbatim: verbatim.as_ref(),
    };
    let left_out = contents.stage()?;
    let tree = git.text(&place, &Call::new(["write-tree"]).index(index.path()).settings(&settings))?;
    Ok(WrittenTree { tree, left_out })
}

/// Makes a commit of this tree, which no reference keeps.
///
/// # Errors
/// When git fails.
pub fn commit_tree(
    git: &Git,
    repository: &Repository,
    tree: &str,
    parent: Option<&str>,
    message: &str,
) -> Result<String, CheckpointError> {
    // A message can be longer than an argument.
    let mut file = tempfile::NamedTempFile::new().map_err(PathError::of(std::env::temp_dir()))?;
    let path = file.path().to_owned();
    std::io::Write::write_all(file.as_file_mut(), message.as_bytes()).map_err(PathError::of(path.clone()))?;
    let mut call = Call::new(["-c", "i18n.commitEncoding=UTF-8", "commit-tree", tree, "-F"]).arg(&path);
    for (variable, value) in [
        ("GIT_AUTHOR_NAME", NAME),
        ("GIT_AUTHOR_EMAIL", EMAIL),
        ("GIT_COMMITTER_NAME", NAME),
        ("GIT_COMMITTER_EMAIL", EMAIL),
    ] {
        call = call.env(variable, value);
    }
    if let Some(parent) = parent {
        call = call.args(["-p", parent]);
    }
    Ok(git.text(&repository.place(), &call)?)
}
