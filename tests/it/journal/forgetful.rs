//! A disk in memory that forgets at a power cut what was not synced.
//!
//! It keeps a log of all that was done. [`ForgetfulDisk::after_power_cut`] gives what would stand on the disk had the power
//! gone after some entry of the log, by the rules that POSIX leaves and file systems use: of what was not synced, names
//! and contents may be there or not, independently; a file may have its new length with pages of zeros, whichever pages
//! were not written; the last page may be torn anywhere.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ccc::journal::disk::{Disk, DiskFile};

const PAGE_BYTES: usize = 4_096;

/// What was done, in order.
#[derive(Debug, Clone)]
enum Op {
    MakeDir(PathBuf),
    /// A new file gets this name.
    Create(PathBuf, usize),
    Append(usize, Vec<u8>),
    SetLen(usize, usize),
    Rename(PathBuf, PathBuf),
    SyncFile(usize),
    SyncDir(PathBuf),
    /// Something happened in the world that the disk must not know less of.
    Did(u64),
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Op>,
    names: BTreeMap<PathBuf, usize>,
    dirs: Vec<PathBuf>,
    lengths: Vec<usize>,
    /// Syncs of payloads do nothing: a disk (or a program) that lies, to show that the tests notice.
    payloads_unsynced: bool,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct ForgetfulDisk(Arc<Mutex<State>>);

/// A disk whose payloads are never synced.
pub(super) fn lying() -> ForgetfulDisk {
    let disk = ForgetfulDisk::default();
    disk.0.lock().unwrap().payloads_unsynced = true;
    disk
}

#[derive(Debug)]
struct Handle(ForgetfulDisk, usize);

impl ForgetfulDisk {
    /// Notes that something was done in the world.
    pub(super) fn did(&self, n: u64) {
        self.0.lock().unwrap().log.push(Op::Did(n));
    }

    /// How many entries the log has.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().log.len()
    }

    /// The last thing that was done in the world before the cut.
    pub(super) fn done_before(&self, cut: usize) -> u64 {
        let state = self.0.lock().unwrap();
        let done = state.log[..cut].iter().filter_map(|op| if let Op::Did(n) = op { Some(*n) } else { None });
        done.max().unwrap_or(0)
    }

    /// What is on the disk when the power goes after so many entries of the log, made below `into`.
    pub(super) fn after_power_cut(&self, cut: usize, dice: &mut Dice, into: &Path) {
        let state = self.0.lock().unwrap();
        let log = &state.log[..cut];
        let files: Vec<Vec<u8>> = (0..state.lengths.len()).map(|file| content(log, file, dice)).collect();
        let mut dirs = vec![PathBuf::from("/")];
        let mut names: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (at, op) in log.iter().enumerate() {
            let (Op::MakeDir(path) | Op::Create(path, _) | Op::Rename(_, path)) = op else { continue };
            let parent = path.parent().unwrap();
            let synced = log[at..].iter().any(|later| matches!(later, Op::SyncDir(dir) if dir == parent));
            if !synced && dice.percent(50) {
                continue;
            }
            match op {
                Op::MakeDir(path) => dirs.push(path.clone()),
                Op::Create(path, file) => drop(names.insert(path.clone(), *file)),
                Op::Rename(from, to) => {
                    let file = file_named(&log[..at], from);
                    names.remove(from);
                    names.insert(to.clone(), file);
                }
                Op::Append(..) | Op::SetLen(..) | Op::SyncFile(_) | Op::SyncDir(_) | Op::Did(_) => {}
            }
        }
        let below = |path: &Path| into.join(path.strip_prefix("/").unwrap());
        for dir in &dirs {
            // A directory whose parent is gone is gone with it.
            if dir.parent().is_none_or(|parent| below(parent).is_dir()) {
                std::fs::create_dir_all(below(dir)).unwrap();
            }
        }
        for (path, file) in names {
            if below(path.parent().unwrap()).is_dir() {
                std::fs::write(below(&path), &files[file]).unwrap();
            }
        }
    }
}

fn file_named(log: &[Op], name: &Path) -> usize {
    let mut names: BTreeMap<&Path, usize> = BTreeMap::new();
    for op in log {
        match op {
            Op::Create(path, file) => drop(names.insert(path, *file)),
            Op::Rename(from, to) => {
                if let Some(file) = names.remove(from.as_path()) {
                    names.insert(to, file);
                }
            }
            Op::MakeDir(_) | Op::Append(..) | Op::SetLen(..) | Op::SyncFile(_) | Op::SyncDir(_) | Op::Did(_) => {}
        }
    }
    names[name]
}

/// A file's content after the cut.
fn content(log: &[Op], file: usize, dice: &mut Dice) -> Vec<u8> {
    let synced_at = log.iter().rposition(|op| matches!(op, Op::SyncFile(synced) if *synced == file));
    let apply = |bytes: &mut Vec<u8>, op: &Op| {
        if let Op::Append(of, more) = op
            && *of == file
        {
            bytes.extend_from_slice(more);
        }
        if let Op::SetLen(of, len) = op
            && *of == file
        {
            bytes.resize(*len, 0);
        }
    };
    let mut durable = Vec::new();
    for op in &log[..synced_at.unwrap_or(0)] {
        apply(&mut durable, op);
    }
    let pending: Vec<&Op> = log[synced_at.unwrap_or(0)..]
        .iter()
        .filter(|op| matches!(op, Op::Append(of, _) | Op::SetLen(of, _) if *of == file))
        .collect();
    let mut bytes = durable.clone();
    for op in pending.iter().take(dice.below(pending.len() + 1)) {
        apply(&mut bytes, op);
    }
    // Of the pages that were not synced each is written or not; the last may be written in part.
    let mut page = 0;
    while page < bytes.len() {
        let end = (page + PAGE_BYTES).min(bytes.len());
        let old_end = durable.len().min(end);
        let changed = durable.get(page..old_end.max(page)) != bytes.get(page..end);
        if changed && dice.percent(40) {
            let keep = if dice.percent(50) { page } else { page + dice.below(end - page) };
            for (at, byte) in bytes.iter_mut().enumerate().take(end).skip(keep) {
                *byte = durable.get(at).copied().unwrap_or(0);
            }
        }
        page = end;
    }
    bytes
}

impl Disk for ForgetfulDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.dirs.iter().any(|dir| dir == path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if path.parent().is_some_and(|parent| parent != Path::new("/") && !state.dirs.iter().any(|dir| dir == parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.dirs.push(path.to_owned());
        state.log.push(Op::MakeDir(path.to_owned()));
        Ok(())
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        if let Some(above) = path.parent().filter(|above| *above != Path::new("/")) {
            self.make_dirs(above)?;
        }
        match self.make_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.0.lock().unwrap();
        let file = match state.names.get(path) {
            Some(file) => *file,
            None => new_file(&mut state, path),
        };
        Ok(Box::new(Handle(self.clone(), file)))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = new_file(&mut state, path);
        state.log.push(Op::Append(file, bytes.to_owned()));
        state.lengths[file] = bytes.len();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        state.log.push(Op::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let payload = path.parent().is_some_and(|dir| dir.ends_with("blobs"));
        let op = match state.names.get(path) {
            Some(_) if payload && state.payloads_unsynced => return Ok(()),
            Some(file) => Op::SyncFile(*file),
            None => Op::SyncDir(path.to_owned()),
        };
        state.log.push(op);
        Ok(())
    }
}

fn new_file(state: &mut State, path: &Path) -> usize {
    let file = state.lengths.len();
    state.lengths.push(0);
    state.names.insert(path.to_owned(), file);
    state.log.push(Op::Create(path.to_owned(), file));
    file
}

impl DiskFile for Handle {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock().unwrap();
        state.log.push(Op::Append(self.1, bytes.to_owned()));
        state.lengths[self.1] += bytes.len();
        Ok(bytes.len())
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        let mut state = self.0.0.lock().unwrap();
        let len = usize::try_from(len_bytes).unwrap();
        state.log.push(Op::SetLen(self.1, len));
        state.lengths[self.1] = len;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.0.lock().unwrap().log.push(Op::SyncFile(self.1));
        Ok(())
    }
}

/// Chance from a seed (splitmix64).
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
