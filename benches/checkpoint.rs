//! What a checkpoint takes of a working tree of 5,000 files, the most of it git's own time.
//!
//! `cargo bench --bench checkpoint`

#![allow(clippy::expect_used, missing_docs, reason = "a benchmark may fail loudly, and has no readers of its items")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use ccc::checkpoint::{Kept, keep};
use ccc::git::Git;
use ccc::process::{Cancel, become_subreaper};
use divan::Bencher;
use tempfile::TempDir;

const DIRECTORIES: usize = 50;
const FILES_IN_EACH: usize = 100;

/// The directories, until the end: ext4 does not use the number of a removed file again for five seconds, and searches long for
/// another one after thousands were removed.
static KEPT: Mutex<Vec<TempDir>> = Mutex::new(Vec::new());

/// A repository whose files are committed.
struct Repository {
    dir: PathBuf,
    git: Git,
    last: Option<Kept>,
}

impl Repository {
    fn new() -> Repository {
        let dir = tempfile::tempdir().expect("a directory");
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for number in 0..DIRECTORIES * FILES_IN_EACH {
            let path = file(dir.path(), number);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            // About the size of a source file.
            fs::write(&path, format!("line of file {number}\n").repeat(200)).expect("written");
            // Of a file that is as new as the index, git compares the content.
            fs::File::open(&path).and_then(|file| file.set_modified(long_ago)).expect("its time is set");
        }
        let own = ["-c", "user.name=b", "-c", "user.email=b@example.invalid"];
        for args in [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "-m", "base"]] {
            let git = Command::new("git").args(own).args(args).current_dir(dir.path()).status().expect("git runs");
            assert!(git.success(), "{args:?}");
        }
        let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let git = Git::new(&env, "20261128-100000-aaaa", Cancel::new().expect("a pipe"));
        let path = dir.path().to_owned();
        KEPT.lock().expect("not poisoned").push(dir);
        Repository { dir: path, git, last: None }
    }

    /// As a run does, which knows its last checkpoint.
    fn keep(&mut self) {
        let kept = keep(&self.git, &self.dir, "20261128-100000-aaaa", "bench", self.last.as_ref());
        self.last = Some(kept.expect("a checkpoint"));
    }
}

fn file(top: &Path, number: usize) -> PathBuf {
    top.join(format!("src/{}/file{number}.rs", number / FILES_IN_EACH))
}

/// So many files are changed between two checkpoints.
#[divan::bench(args = [0, 1, 5, 20], sample_count = 50, sample_size = 1)]
fn of_5_000_files_with_changes(bencher: Bencher<'_, '_>, changed: usize) {
    let mut repository = Repository::new();
    repository.keep();
    let dir = repository.dir.clone();
    let mut round = 0;
    bencher
        .with_inputs(|| {
            round += 1;
            for number in 0..changed {
                let text = format!("round {round} of file {number}\n").repeat(200);
                fs::write(file(&dir, number * 97), text).expect("written");
            }
        })
        .bench_local_values(|()| repository.keep());
}

fn main() {
    // As ccc does at its start. A process that does not adopt orphans looks through `/proc` for them after each command.
    become_subreaper();
    divan::main();
    KEPT.lock().expect("not poisoned").clear();
}
