//! The files of a checkpoint: which of them lie otherwise in the working tree, and what they contain.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::index::TemporaryIndex;
use super::verbatim::Verbatim;
use crate::git::{Call, Git, GitError, Repository, records, settings_without_programs};

/// How many bytes of content are read with one call, unless a single file has more.
const BYTES_PER_CALL: u64 = 64 * 1024 * 1024;

/// What a file of a checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileForm {
    /// A file.
    Plain,
    /// A file that can be executed.
    Executable,
    /// A symbolic link, whose content is its target.
    Link,
}

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointFile {
    /// Its path, relative to the top of the tree.
    pub path: PathBuf,
    /// What it is.
    pub form: FileForm,
    /// How many bytes it has.
    pub bytes: u64,
    /// The object with its content.
    object: String,
}

/// The files of this commit. Submodules are left out.
///
/// # Errors
/// When the commit is missing, and when git fails.
pub fn files_of(git: &Git, repository: &Repository, commit: &str) -> Result<Vec<CheckpointFile>, GitError> {
    let call = Call::new(["ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", commit]);
    let listed = git.run(&repository.place(), &call)?;
    // Each entry is `MODE KIND OBJECT  SIZE TAB PATH`.
    let entry = |entry: &[u8]| {
        let tab = memchr::memchr(b'\t', entry)?;
        let text = std::str::from_utf8(&entry[..tab]).ok()?;
        let mut parts = text.split_ascii_whitespace();
        let (mode, _, object, bytes) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let form = match mode {
            "100644" => FileForm::Plain,
            "100755" => FileForm::Executable,
            "120000" => FileForm::Link,
            _ => return None,
        };
        let path = PathBuf::from(OsStr::from_bytes(&entry[tab + 1..]));
        Some(CheckpointFile { path, form, bytes: bytes.parse().ok()?, object: object.to_owned() })
    };
    Ok(records(&listed).filter_map(entry).collect())
}

/// Those of these files that do not lie in the working tree as they are here: with another content, form or right to be executed,
/// below a link, or not at all.
///
/// # Errors
/// When git fails.
pub fn differing(
    git: &Git,
    repository: &Repository,
    files: Vec<CheckpointFile>,
) -> Result<Vec<CheckpointFile>, CheckpointError> {
    if files.is_empty() {
        return Ok(files);
    }
    let place = repository.place();
    let mut settings: Vec<(OsString, OsString)> = settings_without_programs(git, &place)?;
    // What a repository says about its file system must not hide a difference.
    for (name, value) in [
        ("core.fileMode", "true"),
        ("core.symlinks", "true"),
        ("core.ignoreStat", "false"),
        ("core.sparseCheckout", "false"),
    ] {
        settings.push((name.into(), value.into()));
    }
    let index = TemporaryIndex::new(git, &place, None, None)?;
    let mut entries = Vec::new();
    for file in &files {
        let mode = match file.form {
            FileForm::Plain => "100644",
            FileForm::Executable => "100755",
            FileForm::Link => "120000",
        };
        entries.extend_from_slice(format!("{mode} {}\t", file.object).as_bytes());
        entries.extend_from_slice(file.path.as_os_str().as_bytes());
        entries.push(0);
    }
    let verbatim = Verbatim::of(git, &place, files.first().map(|file| file.object.as_str()))?;
    let call = |args: &[&str]| verbatim.call(Call::new(args).index(index.path()).settings(&settings));
    git.run(&place, &call(&["update-index", "-z", "--index-info"]).input(entries))?;
    // Git compares the contents, because this index knows no times. It exits with 1 when one differs.
    git.ask(&place, &call(&["update-index", "-q", "--refresh"]))?;
    let listed = git.run(&place, &call(&["diff-files", "-z", "--name-only", "--ignore-submodules=all"]))?;
    let mut changed: BTreeSet<&Path> = records(&listed).map(|path| Path::new(OsStr::from_bytes(path))).collect();
    let left_out = not_checked_out(git, repository)?;
    changed.retain(|path| !left_out.contains(*path));
    Ok(files.into_iter().filter(|file| changed.contains(file.path.as_path())).collect())
}

/// The files that a sparse tree does not have. The checkpoint has them as `HEAD`, although they were not there. Behind
/// walls an agent cannot make a tree sparse, because it cannot write git's configuration.
fn not_checked_out(git: &Git, repository: &Repository) -> Result<BTreeSet<PathBuf>, GitError> {
    let (place, Some(top)) = (repository.place(), repository.top.as_deref()) else { return Ok(BTreeSet::new()) };
    let is_sparse = git.ask(&place, &Call::new(["config", "--type=bool", "--get", "core.sparseCheckout"]))?;
    if is_sparse.text() != "true" {
        return Ok(BTreeSet::new());
    }
    let listed = git.run(&place, &Call::new(["ls-files", "-t", "-z"]))?;
    let skipped =
        records(&listed).filter_map(|entry| entry.strip_prefix(b"S ")).map(|path| Path::new(OsStr::from_bytes(path)));
    Ok(skipped.filter(|path| fs::symlink_metadata(top.join(path)).is_err()).map(Path::to_owned).collect())
}

/// The contents of these files, in their order, byte for byte.
///
/// # Errors
/// When an object is missing or damaged, and when git fails.
pub fn contents_of(git: &Git, repository: &Repository, files: &[CheckpointFile]) -> Result<Vec<Vec<u8>>, GitError> {
    let damaged = || GitError::failed("`git cat-file` gives no whole file".to_owned());
    let mut contents = Vec::with_capacity(files.len());
    let mut rest = files;
    while !rest.is_empty() {
        let mut bytes = 0_u64;
        let fits = |file: &&CheckpointFile| {
            bytes = bytes.saturating_add(file.bytes);
            bytes <= BYTES_PER_CALL
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (now, later) = rest.split_at(count);
        let asked: String = now.iter().map(|file| format!("{}\n", file.object)).collect();
        let output = git.run(&repository.shared(), &Call::new(["cat-file", "--batch"]).input(asked))?;
        let mut output = output.as_slice();
        for file in now {
            // `OBJECT blob SIZE`, the content, and a line end.
            let end = memchr::memchr(b'\n', output).ok_or_else(damaged)?;
            let head = std::str::from_utf8(&output[..end]).map_err(|_| damaged())?;
            if head.split(' ').nth(1) == Some("missing") {
                return Err(GitError::failed(format!("the object of {} is missing", file.path.display())));
            }
            let size: usize = head.rsplit(' ').next().and_then(|size| size.parse().ok()).ok_or_else(damaged)?;
            let content = output.get(end + 1..).and_then(|rest| rest.get(..size)).ok_or_else(damaged)?;
            contents.push(content.to_vec());
            output = output.get(end + 1 + size + 1..).unwrap_or_default();
        }
        rest = later;
    }
    Ok(contents)
}
