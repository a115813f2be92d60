//! Puts the files of a commit into the working tree.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;

use super::error::ProtectError;
use super::put_back::put_back;
use super::record::{Bytes, Entry, Record, Version, copy, temporary};
use crate::checkpoint::{CheckpointFile, FileForm, Pointer, contents_of, differing, files_of};
use crate::config::Glob;
use crate::files::{AtPath, DirTree, FileRights, PathError, make_private_dir, open_private};
use crate::git::{Call, Git, Repository};

/// How many files are exchanged at most, and how many bytes the commit's versions and the others may have each.
const FILES_LIMIT: usize = 10_000;
const BYTES_LIMIT: u64 = 256 * 1024 * 1024;
/// How often an exchange is begun anew, because a file was written meanwhile.
const TRIES: usize = 3;

/// What is to be exchanged.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// Git of ours.
    pub git: &'a Git,
    /// The run.
    pub run_id: &'a str,
    /// The run's own directory.
    pub run_dir: &'a Path,
    /// The directory in which the run works; the patterns are seen from it.
    pub cwd: &'a Path,
    /// The commit with the files.
    pub base: &'a str,
    /// The patterns of the files.
    pub patterns: &'a [Glob],
}

/// What was exchanged. Paths are seen from the run's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// The files that were written.
    pub restored: Vec<String>,
    /// The files that stay as they are, because the commit has only a pointer for them.
    pub without_content: Vec<String>,
    /// The patterns that name no file of the commit.
    pub unmatched: Vec<String>,
    /// All protected files of the commit.
    pub files: Vec<CheckpointFile>,
}

/// One file that is going to be written.
struct Wanted {
    path: PathBuf,
    form: FileForm,
    content: Vec<u8>,
    /// The inode, size and times of what lies there.
    stamp: Option<[i64; 7]>,
}

/// Puts the protected files of the commit into the working tree. An exchange that was not undone is undone first.
///
/// # Errors
/// When anything cannot be exchanged. Then the tree is as before, unless [`ProtectError::leaves_files`].
pub fn exchange(request: &Exchange<'_>) -> Result<Exchanged, ProtectError> {
    put_back(request.run_dir)?;
    let Tree { repository, top, below } = Tree::of(request.cwd)?;
    if repository.commit(request.git, request.base)?.is_none() {
        return Err(ProtectError::NoBase { base: request.base.to_owned() });
    }
    let mut exchanged = protected(request, &repository, &below)?;
    let mut tries = 1;
    loop {
        let differing = differing(request.git, &repository, exchanged.files.clone())?;
        let tree = DirTree::open(&top).map_err(|source| ProtectError::File { path: top.clone(), source })?;
        let (record, wanted, without) = prepared(request, &repository, &tree, &top, differing)?;
        exchanged.without_content = seen_from(&below, &without);
        if record.files.is_empty() {
            return Ok(exchanged);
        }
        record.write(request.run_dir)?;
        match write(&tree, &record, &wanted) {
            Ok(()) => {
                let paths: Vec<PathBuf> = wanted.into_iter().map(|wanted| wanted.path).collect();
                exchanged.restored = seen_from(&below, &paths);
                return Ok(exchanged);
            }
            Err(error) => {
                if let Err(fault) = put_back(request.run_dir) {
                    return Err(ProtectError::NotPutBack { exchange: Box::new(error), put_back: Box::new(fault) });
                }
                if !matches!(error, ProtectError::Changing { .. }) || tries >= TRIES {
                    return Err(error);
                }
                tries += 1;
            }
        }
    }
}

/// The working tree that a directory lies in.
pub(super) struct Tree {
    pub(super) repository: Repository,
    pub(super) top: PathBuf,
    /// The directory, seen from the top.
    pub(super) below: PathBuf,
}

impl Tree {
    pub(super) fn of(cwd: &Path) -> Result<Self, ProtectError> {
        let gone = || ProtectError::NoRepository { dir: cwd.to_owned() };
        let cwd = cwd.canonicalize().map_err(|_| gone())?;
        let repository = Repository::find(&cwd).ok_or_else(gone)?;
        let top = repository.top.clone().ok_or_else(gone)?;
        let below = cwd.strip_prefix(&top).unwrap_or(Path::new("")).to_owned();
        Ok(Self { repository, top, below })
    }
}

/// The patterns that name no file of the working tree of this directory which a checkpoint would keep.
///
/// # Errors
/// When git fails.
pub fn unmatched(git: &Git, cwd: &Path, patterns: &[Glob]) -> Result<Vec<String>, ProtectError> {
    let Tree { repository, below, .. } = Tree::of(cwd)?;
    let listed = Call::new(["ls-files", "-z", "--full-name", "--cached", "--others", "--exclude-standard"]);
    let listed = git.run(&repository.place(), &listed)?;
    let mut named = vec![false; patterns.len()];
    for file in listed.split(|byte| *byte == 0) {
        let Ok(seen) = Path::new(OsStr::from_bytes(file)).strip_prefix(&below) else { continue };
        let seen = seen.to_string_lossy();
        for (glob, named) in patterns.iter().zip(&mut named).filter(|(_, named)| !**named) {
            *named = glob.matches(&seen);
        }
    }
    Ok(patterns.iter().zip(named).filter(|(_, named)| !named).map(|(glob, _)| glob.to_string()).collect())
}

/// The commit's files that a pattern names, and the patterns that name none.
fn protected(request: &Exchange<'_>, repository: &Repository, below: &Path) -> Result<Exchanged, ProtectError> {
    let mut named = vec![false; request.patterns.len()];
    let mut files = files_of(request.git, repository, request.base)?;
    files.retain(|file| {
        let Ok(seen) = file.path.strip_prefix(below) else { return false };
        let seen = seen.to_string_lossy();
        let mut is_wanted = false;
        for (glob, named) in request.patterns.iter().zip(&mut named) {
            if glob.matches(&seen) {
                (is_wanted, *named) = (true, true);
            }
        }
        is_wanted && file.path.components().all(|part| matches!(part, Component::Normal(name) if name != ".git"))
    });
    let unmatched = request.patterns.iter().zip(named).filter(|(_, named)| !named).map(|(glob, _)| glob.to_string());
    Ok(Exchanged { unmatched: unmatched.collect(), files, ..Exchanged::default() })
}

/// Copies what lies there, and says what is going to be written. Third are the files of which the commit has a pointer only.
fn prepared(
    request: &Exchange<'_>,
    repository: &Repository,
    tree: &DirTree,
    top: &Path,
    files: Vec<CheckpointFile>,
) -> Result<(Record, Vec<Wanted>, Vec<PathBuf>), ProtectError> {
    let bytes = files.iter().fold(0_u64, |bytes, file| bytes.saturating_add(file.bytes));
    let too_much = |bytes| ProtectError::TooMuch { files: files.len(), bytes };
    if files.len() > FILES_LIMIT || bytes > BYTES_LIMIT {
        return Err(too_much(bytes));
    }
    let contents = contents_of(request.git, repository, &files)?;
    let dir = super::record::dir(request.run_dir);
    make_private_dir(&dir).map_err(PathError::of(dir))?;
    let mut record = Record::new(request.run_id, top);
    let (mut wanted, mut without_content, mut copied) = (Vec::new(), Vec::new(), 0_u64);
    for (file, content) in files.iter().zip(contents) {
        let path = &file.path;
        let fault = |source| ProtectError::File { path: path.clone(), source };
        if file.form != FileForm::Link && Pointer::parse(&content).is_some() {
            without_content.push(path.clone());
            continue;
        }
        let base = match file.form {
            FileForm::Plain => Version::with_content(&content, false),
            FileForm::Executable => Version::with_content(&content, true),
            FileForm::Link => {
                Version::Link { target: Bytes(PathBuf::from(OsStr::from_bytes(&content))), modified: None }
            }
        };
        let mut found = tree.look(path).map_err(fault)?;
        if let AtPath::File(_, meta) = &found {
            copied = copied.saturating_add(meta.len());
            if copied > BYTES_LIMIT {
                return Err(too_much(copied));
            }
        }
        let stamp = stamp_of(&found);
        let at = copy(request.run_dir, record.files.len());
        let before = kept(&mut found, &at, path)?;
        if let AtPath::Other(found) = found {
            return Err(ProtectError::InTheWay { path: path.clone(), found });
        }
        let Some(before) = before.filter(|before| !before.is_as(&base)) else { continue };
        for missing in tree.missing_dirs(path).map_err(fault)? {
            if !record.dirs.iter().any(|dir| dir.0 == missing) {
                record.dirs.push(Bytes(missing));
            }
        }
        record.files.push(Entry { path: Bytes(path.clone()), before, base });
        wanted.push(Wanted { path: path.clone(), form: file.form, content, stamp });
    }
    Ok((record, wanted, without_content))
}

/// What lies there; a file is copied, and the copy is on the disk.
fn kept(found: &mut AtPath, at: &Path, path: &Path) -> Result<Option<Version>, ProtectError> {
    let io = |source| ProtectError::Io(PathError { path: at.to_owned(), source });
    if !matches!(found, AtPath::File(..)) {
        return Version::of(found, &mut |_| Ok(()))
            .map_err(|source| ProtectError::File { path: path.to_owned(), source });
    }
    let mut to = open_private(at, OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC).map_err(io)?;
    let version = Version::of(found, &mut |piece| to.write_all(piece)).map_err(io)?;
    to.sync_all().map_err(io)?;
    Ok(version)
}

/// Writes the commit's files.
fn write(tree: &DirTree, record: &Record, wanted: &[Wanted]) -> Result<(), ProtectError> {
    for (number, file) in wanted.iter().enumerate() {
        let fault = |source| ProtectError::File { path: file.path.clone(), source };
        // What was written since it was copied must not be lost.
        if stamp_of(&tree.look(&file.path).map_err(fault)?) != file.stamp {
            return Err(ProtectError::Changing { path: file.path.clone() });
        }
        let temporary = temporary(&record.run, number);
        match file.form {
            FileForm::Plain | FileForm::Executable => {
                let rights = FileRights::New { executable: file.form == FileForm::Executable };
                tree.replace(&file.path, &temporary, &mut file.content.as_slice(), rights).map_err(fault)?;
            }
            FileForm::Link => {
                let target = Path::new(OsStr::from_bytes(&file.content));
                tree.replace_by_link(&file.path, &temporary, target, None).map_err(fault)?;
            }
        }
    }
    Ok(())
}

/// Tells two states of a file apart; `None` for what is no file.
fn stamp_of(found: &AtPath) -> Option<[i64; 7]> {
    let stamp = |meta: &fs::Metadata| {
        [
            meta.ino().cast_signed(),
            meta.size().cast_signed(),
            i64::from(meta.mode()),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ]
    };
    if let AtPath::File(_, meta) = found { Some(stamp(meta)) } else { None }
}

/// The paths as the run sees them.
pub(super) fn seen_from(below: &Path, paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.strip_prefix(below).unwrap_or(path).to_string_lossy().into_owned()).collect()
}
