//! Brings the files of a working tree into a temporary index.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::index::TemporaryIndex;
use super::left_out::{LeftOut, LeftOutWhy};
use super::lfs::{POINTER, Pointer};
use super::verbatim::{Verbatim, converts};
use crate::git::{Call, Git, GitError, GitFault, Place, records};
use crate::order::sort_by;

/// How often git is asked to add the files. A file that vanishes meanwhile makes it fail.
const TRIES: usize = 4;
/// How many paths stand in one command line.
const PATHS_PER_CALL: usize = 200;

/// One working tree with a temporary index.
pub(super) struct Contents<'a> {
    pub(super) git: &'a Git,
    pub(super) place: &'a Place,
    /// The git directory that all working trees share.
    pub(super) common: &'a Path,
    pub(super) top: &'a Path,
    pub(super) index: &'a TemporaryIndex,
    /// Those that switch off the programs of the repository. Every command that writes an index may compare contents.
    pub(super) settings: &'a [(OsString, OsString)],
    /// The configuration may convert contents.
    pub(super) may_convert: bool,
    pub(super) file_limit_bytes: u64,
    pub(super) untracked_limit_bytes: u64,
    /// Files are added byte for byte.
    pub(super) verbatim: Option<&'a Verbatim>,
}

/// What the listing says about the tree.
#[derive(Default)]
struct Listed {
    /// Paths that are not added.
    excluded: BTreeSet<PathBuf>,
    left_out: Vec<LeftOut>,
    /// Tracked files over the limit: they count only if they have changed.
    large: Vec<(PathBuf, u64)>,
    submodules: BTreeSet<PathBuf>,
    /// Submodules whose directory is gone.
    gone: Vec<PathBuf>,
    /// Tracked files that git is told not to look at.
    hidden: Vec<PathBuf>,
    skipped: Vec<PathBuf>,
    /// Tracked paths with a conflict, with the mode and object of one side.
    conflicts: Vec<(PathBuf, OsString)>,
    files: Vec<PathBuf>,
    /// The files of attributes.
    attributes: Vec<PathBuf>,
    /// The untracked files that are added, and their bytes.
    untracked: (u64, u64),
}

impl Contents<'_> {
    /// Stages all files, and returns what is left out.
    pub(super) fn stage(&self) -> Result<Vec<LeftOut>, CheckpointError> {
        let mut tries = 1;
        let mut unreadable = false;
        loop {
            let mut listed = self.list(unreadable)?;
            let (files, bytes) = listed.untracked;
            if bytes > self.untracked_limit_bytes {
                return Err(CheckpointError::TooMuchUntracked { top: self.top.to_owned(), files, bytes });
            }
            self.mark(&listed)?;
            self.keep_unchanged(&mut listed)?;
            match self.add(&listed) {
                Ok(()) => {
                    self.submodules(&listed)?;
                    sort_by(&mut listed.left_out, |a, b| a.path.cmp(&b.path));
                    return Ok(listed.left_out);
                }
                Err(error) if error.fault == GitFault::Failed && tries < TRIES => {
                    tries += 1;
                    unreadable = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn call<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Call {
        Call::new(args).index(self.index.path()).settings(self.settings)
    }

    fn list(&self, unreadable: bool) -> Result<Listed, CheckpointError> {
        let call = self.call(["ls-files", "-s", "-o", "-v", "-z", "--exclude-standard"]);
        let output = self.git.run(self.place, &call)?;
        let mut listed = Listed::default();
        for entry in records(&output) {
            let Some((tag, rest)) = entry.split_at_checked(2) else { continue };
            if tag == b"? " {
                self.untracked(rest, &mut listed);
            } else if let Some(tab) = memchr::memchr(b'\t', rest) {
                self.tracked(tag[0], &rest[..tab], Path::new(OsStr::from_bytes(&rest[tab + 1..])), &mut listed);
            }
        }
        if unreadable {
            let is_unreadable = |path: &PathBuf| {
                let path = self.top.join(path);
                fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file())
                    && rustix::fs::access(&path, rustix::fs::Access::READ_OK).is_err()
            };
            for path in std::mem::take(&mut listed.files).into_iter().filter(is_unreadable) {
                listed.leave_out(path, LeftOutWhy::Unreadable);
            }
        }
        Ok(listed)
    }

    fn untracked(&self, name: &[u8], listed: &mut Listed) {
        let path = PathBuf::from(OsStr::from_bytes(name.strip_suffix(b"/").unwrap_or(name)));
        let Ok(meta) = fs::symlink_metadata(self.top.join(&path)) else { return };
        listed.note_attributes(&path);
        if name.ends_with(b"/") && meta.is_dir() {
            listed.leave_out(path, LeftOutWhy::Repository);
        } else if is_special(&meta) {
            listed.leave_out(path, LeftOutWhy::Special);
        } else if meta.is_file() && meta.len() > self.file_limit_bytes {
            listed.leave_out(path, LeftOutWhy::TooLarge { bytes: meta.len() });
        } else {
            let (files, bytes) = listed.untracked;
            listed.untracked = (files + 1, bytes.saturating_add(meta.len()));
            listed.files.push(path);
        }
    }

    /// `entry` is the mode, the object and the stage, as `100644 3b18… 0`.
    fn tracked(&self, tag: u8, entry: &[u8], path: &Path, listed: &mut Listed) {
        let meta = fs::symlink_metadata(self.top.join(path)).ok();
        listed.note_attributes(path);
        if !entry.ends_with(b" 0") {
            let side = entry.split(|byte| *byte == b' ').take(2).collect::<Vec<_>>().join(&b',');
            listed.conflicts.push((path.to_owned(), OsStr::from_bytes(&side).to_owned()));
        }
        match &meta {
            None if entry.starts_with(b"160000") => listed.gone.push(path.to_owned()),
            None => return,
            Some(meta) if entry.starts_with(b"160000") && meta.is_dir() => {
                listed.submodules.insert(path.to_owned());
                listed.excluded.insert(path.to_owned());
            }
            Some(meta) if is_special(meta) => listed.leave_out(path.to_owned(), LeftOutWhy::Special),
            Some(meta) if meta.is_file() && meta.len() > self.file_limit_bytes => {
                listed.large.push((path.to_owned(), meta.len()));
            }
            Some(_) => listed.files.push(path.to_owned()),
        }
        if tag.is_ascii_lowercase() {
            listed.hidden.push(path.to_owned());
        }
        if tag.eq_ignore_ascii_case(&b'S') {
            listed.skipped.push(path.to_owned());
        }
    }

    /// Removes the marks that keep git from looking at files that are there.
    fn mark(&self, listed: &Listed) -> Result<(), GitError> {
        for (option, paths) in [("--no-assume-unchanged", &listed.hidden), ("--no-skip-worktree", &listed.skipped)] {
            for paths in paths.chunks(PATHS_PER_CALL) {
                self.git.run(self.place, &self.call(["update-index", option, "--"]).args(paths))?;
            }
        }
        Ok(())
    }

    /// Excludes large files that have changed, and files of Git LFS that have not.
    fn keep_unchanged(&self, listed: &mut Listed) -> Result<(), CheckpointError> {
        let lfs = if listed.attributes.is_empty() { Vec::new() } else { self.lfs_files()? };
        if listed.large.is_empty() && lfs.is_empty() {
            return Ok(());
        }
        let call = self.call(["diff-files", "-z", "--name-only", "--ignore-submodules=all"]);
        let output = self.git.run(self.place, &call)?;
        let changed: BTreeSet<&Path> = records(&output).map(|path| Path::new(OsStr::from_bytes(path))).collect();
        for (path, object) in lfs {
            if changed.contains(path.as_path()) && self.is_as_its_pointer_says(&path, &object)? {
                listed.large.retain(|(large, _)| *large != path);
                listed.excluded.insert(path);
            }
        }
        for (path, bytes) in std::mem::take(&mut listed.large) {
            if changed.contains(path.as_path()) {
                listed.leave_out(path, LeftOutWhy::TooLarge { bytes });
            } else {
                listed.excluded.insert(path);
            }
        }
        Ok(())
    }

    /// The tracked files of Git LFS, with their objects.
    fn lfs_files(&self) -> Result<Vec<(PathBuf, OsString)>, GitError> {
        let call = self.call(["ls-files", "-s", "-z", "--", ":(top,attr:filter=lfs)"]);
        let output = self.git.run(self.place, &call)?;
        let entry = |entry: &[u8]| {
            let tab = memchr::memchr(b'\t', entry)?;
            let object = entry[..tab].split(|byte| *byte == b' ').nth(1)?;
            let path = PathBuf::from(OsStr::from_bytes(&entry[tab + 1..]));
            Some((path, OsStr::from_bytes(object).to_owned()))
        };
        Ok(records(&output).filter_map(entry).collect())
    }

    fn is_as_its_pointer_says(&self, path: &Path, object: &OsStr) -> Result<bool, GitError> {
        let size = self.git.text(self.place, &Call::new(["cat-file", "-s"]).arg(object))?;
        if size.parse::<u64>().map_or(true, |bytes| bytes > POINTER.limit_bytes) {
            return Ok(false);
        }
        let text = self.git.run(self.place, &Call::new(["cat-file", "blob"]).arg(object))?;
        Ok(Pointer::parse(&text).is_some_and(|pointer| pointer.stands_for(&self.top.join(path))))
    }

    fn add(&self, listed: &Listed) -> Result<(), GitError> {
        let mut paths = b":/\0".to_vec();
        for path in &listed.excluded {
            paths.extend_from_slice(b":(exclude,top,literal)");
            paths.extend_from_slice(path.as_os_str().as_bytes());
            paths.push(0);
        }
        let file = self.index.file("paths", &paths).map_err(|error| GitError::failed(error.to_string()))?;
        let call = self.call(["add", "-A", "--sparse", "--pathspec-file-nul"]);
        let mut from_file = OsString::from("--pathspec-from-file=");
        from_file.push(&file);
        let mut call = call.arg(from_file);
        if let Some(verbatim) = self.verbatim {
            call = verbatim.call(call);
            let attributes: Vec<PathBuf> = listed.attributes.iter().map(|path| self.top.join(path)).collect();
            if self.may_convert || converts(self.git, self.common, &attributes) {
                self.index.distrust_times().map_err(|error| GitError::failed(error.to_string()))?;
            }
        }
        self.git.run(self.place, &call)?;
        // A tree cannot be written from a conflict. Those of the files that were added are resolved by that.
        for (path, side) in listed.conflicts.iter().filter(|(path, _)| listed.excluded.contains(path)) {
            let mut entry = side.clone();
            entry.push(",");
            entry.push(path);
            self.git.run(self.place, &self.call(["update-index", "--cacheinfo"]).arg(entry))?;
        }
        Ok(())
    }

    /// Records the commits that are checked out in the submodules. Git itself would ask for their status, with the filters of
    /// their own configurations.
    fn submodules(&self, listed: &Listed) -> Result<(), GitError> {
        for paths in listed.gone.chunks(PATHS_PER_CALL) {
            self.git.run(self.place, &self.call(["update-index", "--force-remove", "--"]).args(paths))?;
        }
        for path in &listed.submodules {
            let top = self.top.join(path);
            if fs::symlink_metadata(top.join(".git")).is_err() {
                continue;
            }
            let head = self.git.ask(&Place::tree(&top), &Call::new(["rev-parse", "-q", "--verify", "HEAD"]))?;
            if head.code == 0 {
                let mut entry = OsString::from(format!("160000,{},", head.text()));
                entry.push(path);
                self.git.run(self.place, &self.call(["update-index", "--cacheinfo"]).arg(entry))?;
            }
        }
        Ok(())
    }
}

impl Listed {
    fn note_attributes(&mut self, path: &Path) {
        if path.file_name().is_some_and(|name| name == ".gitattributes") {
            self.attributes.push(path.to_owned());
        }
    }

    fn leave_out(&mut self, path: PathBuf, why: LeftOutWhy) {
        if self.excluded.insert(path.clone()) {
            self.left_out.push(LeftOut { path, why });
        }
    }
}

fn is_special(meta: &fs::Metadata) -> bool {
    let kind = meta.file_type();
    kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device()
}
