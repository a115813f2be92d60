//! `heartbeat.json` in the run's directory tells other programs that ccc is alive, and the phase of its run.
//!
//! The file is replaced as a whole at each phase change and at least every five seconds. It is not synced, because a heartbeat
//! means nothing after a power cut.
//!
//! Regular beats alternate between two files, which change places: a file that replaces another one makes ext4 write its content
//! to the disk at once (`auto_da_alloc`), and so does one that was truncated. That was a fifth of an
//! idle run's processor time.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use serde::Serialize;
use tokio::time::Instant;

use super::clock::Clock;
use super::timer::Timer;
use super::worker::Worker;
use crate::files::open_private;
use crate::fleet::AGENT_FILE;
use crate::keeper;
use crate::process::observe_run;

/// The time between two beats. With the delays of a busy machine it stays below the promised five seconds.
pub(super) const INTERVAL: Duration = Duration::from_millis(4_500);
/// An agent looks after this number of beats whether a keeper works.
const KEEPER_BEATS: u32 = 3;
/// Stack of the thread that starts a keeper.
const KEEPER_STACK_BYTES: usize = 512 * 1024;
/// The file's name.
const FILE: &str = "heartbeat.json";
/// The next content, or the last but one. A run has one ccc, so one name is enough.
const NEXT: &str = ".heartbeat.json.next";
/// A file that was replaced at least so many milliseconds ago is written again. Nobody reads it any more: a reader opens the
/// file, reads it in one go and closes it.
const WRITTEN_AGAIN_AFTER_MS: i64 = 1_000;

/// The content of the file.
#[derive(Debug, Serialize)]
struct Beat<'a> {
    /// Seconds since 1970.
    unix_ts: i64,
    /// The ccc process.
    pid: u32,
    /// The run's id.
    run: &'a str,
    /// What the run is doing.
    phase: &'a str,
    /// What the run waits for, if the wait has an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaits: Option<Awaits<'a>>,
}

/// What a run waits for, and until when.
#[derive(Debug, Serialize)]
pub(super) struct Awaits<'a> {
    /// For example `the tool Bash (cargo test)`.
    pub(super) what: &'a str,
    /// Nothing has progressed since then, seconds since 1970.
    pub(super) since_unix_ts: i64,
    /// The deadline of the wait, seconds since 1970.
    pub(super) until_unix_ts: i64,
    /// The process has since written output that proves no progress, for example heartbeats.
    pub(super) alive: bool,
}

/// Wakes the loop for a beat, as rarely as the system allows.
#[derive(Debug)]
pub(super) struct BeatTimer {
    /// When the next beat is due.
    due: Instant,
    /// `None` where the system has none: the runtime's timer is used.
    timer: Option<Timer>,
}

impl BeatTimer {
    /// The first beat is one interval away.
    pub(super) fn new(clock: &Clock) -> BeatTimer {
        let mut pulse = BeatTimer { due: clock.instant_now(), timer: Timer::monotonic() };
        pulse.next_in(INTERVAL, clock);
        pulse
    }

    /// Sets the next beat to `wait` from now.
    pub(super) fn next_in(&mut self, wait: Duration, clock: &Clock) {
        self.due = clock.after(wait);
        if self.timer.as_ref().is_some_and(|timer| timer.set_after(wait).is_err()) {
            self.timer = None;
        }
    }

    /// Moves the next beat to `wait` from now, if it is later.
    pub(super) fn within(&mut self, wait: Duration, clock: &Clock) {
        if self.due > clock.after(wait) {
            self.next_in(wait, clock);
        }
    }

    /// How late the beat is; zero if it is in the future.
    pub(super) fn late(&self, clock: &Clock) -> Duration {
        clock.late(self.due)
    }

    /// Waits until the beat is due.
    pub(super) async fn beat(&self) {
        if let Some(timer) = &self.timer {
            return timer.fired().await;
        }
        tokio::time::sleep_until(self.due).await;
    }
}

/// A beat that is to be written.
#[derive(Debug)]
struct Waiting {
    json: Vec<u8>,
    unix_ms: i64,
    phase: String,
}

/// The heartbeat file of one run. It is written on the given thread, so a disk that hangs blocks only that thread; of the beats
/// that queue up only the last is written.
#[derive(Debug)]
pub(super) struct HeartbeatFile {
    run: String,
    files: Arc<Files>,
    thread: Worker,
}

#[derive(Debug)]
struct Files {
    file: PathBuf,
    next: PathBuf,
    /// The next beat to write.
    waiting: Mutex<Option<Waiting>>,
    /// The time and the phase of the last beat that was written.
    last: Mutex<Option<(i64, String)>>,
    /// Also observe the children after the next beat: a separate job would wake the thread once more.
    looks: AtomicBool,
    /// The last beat could not be written, and this was logged.
    failed: AtomicBool,
    /// The keeper of the agents, if the run is one.
    keeper: KeeperLook,
}

impl HeartbeatFile {
    /// For the run with this id, in its directory.
    pub(super) fn new(run: &str, run_dir: &Path, thread: Worker) -> HeartbeatFile {
        let files = Files {
            file: run_dir.join(FILE),
            next: run_dir.join(NEXT),
            waiting: Mutex::new(None),
            last: Mutex::new(None),
            looks: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            keeper: KeeperLook::new(run, run_dir),
        };
        HeartbeatFile { run: run.to_owned(), files: Arc::new(files), thread }
    }

    /// Replaces the file soon. A failure never disturbs the run.
    pub(super) fn beat(&self, phase: &str, awaits: Option<Awaits<'_>>, unix_ms: i64) {
        let unix_ts = unix_ms.div_euclid(1_000);
        let beat = Beat { unix_ts, pid: std::process::id(), run: &self.run, phase, awaits };
        // A struct of numbers and strings always serializes.
        let Ok(mut json) = serde_json::to_vec(&beat) else { return };
        json.push(b'\n');
        let waiting = Waiting { json, unix_ms, phase: phase.to_owned() };
        if self.files.waiting().replace(waiting).is_none() {
            let (files, run) = (Arc::clone(&self.files), self.run.clone());
            self.thread.give(move || {
                files.write();
                files.keeper.look();
                if files.looks.swap(false, Ordering::Relaxed) {
                    observe_run(&run);
                }
            });
        }
    }

    /// Observes the children's processes with the next beat.
    pub(super) fn look(&self) {
        self.files.looks.store(true, Ordering::Relaxed);
    }
}

/// Looks from time to time whether a keeper works, on the thread of the beats. Only an agent does.
#[derive(Debug)]
struct KeeperLook {
    run_dir: PathBuf,
    beats: AtomicU32,
    /// One is being started.
    starts: Arc<AtomicBool>,
}

impl KeeperLook {
    fn new(run: &str, run_dir: &Path) -> KeeperLook {
        // Not all agents look at the same beat.
        let first = run.bytes().fold(0_u32, |sum, byte| sum.wrapping_add(byte.into())) % KEEPER_BEATS;
        KeeperLook { run_dir: run_dir.to_owned(), beats: AtomicU32::new(first), starts: Arc::default() }
    }

    fn look(&self) {
        if self.beats.fetch_add(1, Ordering::Relaxed) % KEEPER_BEATS != KEEPER_BEATS - 1 {
            return;
        }
        let state_dir = self.run_dir.parent().and_then(Path::parent);
        let Some(state_dir) = state_dir.filter(|_| self.run_dir.join(AGENT_FILE).exists()) else { return };
        if matches!(keeper::holder(state_dir), Ok(Some(_))) || self.starts.swap(true, Ordering::Relaxed) {
            return;
        }
        // The beats must not wait for the start.
        let (state_dir, starts) = (state_dir.to_owned(), Arc::clone(&self.starts));
        let start = move || {
            if let Err(error) = keeper::ensure_from_run(&state_dir) {
                tracing::warn!(%error, "no keeper works");
            }
            starts.store(false, Ordering::Relaxed);
        };
        if std::thread::Builder::new().name("keeper".to_owned()).stack_size(KEEPER_STACK_BYTES).spawn(start).is_err() {
            self.starts.store(false, Ordering::Relaxed);
        }
    }
}

impl Files {
    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) {
        let Some(beat) = self.waiting().take() else { return };
        let written = self.replace(beat);
        let has_failed = self.failed.swap(written.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (written, has_failed) {
            tracing::warn!(%error, file = %self.file.display(), "the heartbeat cannot be written");
        }
    }

    fn replace(&self, beat: Waiting) -> io::Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let alternates = last.as_ref().is_some_and(|(unix_ms, phase)| {
            *phase == beat.phase && beat.unix_ms.saturating_sub(*unix_ms) >= WRITTEN_AGAIN_AFTER_MS
        });
        *last = Some((beat.unix_ms, beat.phase));
        let truncated = if alternates { OFlags::empty() } else { OFlags::TRUNC };
        let mut file = open_private(&self.next, OFlags::WRONLY | OFlags::CREATE | truncated)?;
        file.write_all(&beat.json)?;
        if alternates {
            file.set_len(u64::try_from(beat.json.len()).unwrap_or(u64::MAX))?;
            // Not each file system can do this, and someone may have removed the file.
            if renameat_with(CWD, &self.next, CWD, &self.file, RenameFlags::EXCHANGE).is_ok() {
                return Ok(());
            }
        }
        fs::rename(&self.next, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use std::time::Duration;

    use super::{Awaits, HeartbeatFile};
    use crate::driver::worker::Worker;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn heart(run: &str, dir: &std::path::Path) -> (HeartbeatFile, Worker) {
        let thread = Worker::new("files");
        (HeartbeatFile::new(run, dir, thread.clone()), thread)
    }

    #[test]
    fn each_beat_replaces_the_file_whole_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (heart, thread) = heart("20261120-191822-k3f9", dir.path());
        for (phase, unix_ms) in [("starting", 1_795_202_692_900), ("working", 1_795_202_697_400)] {
            heart.beat(phase, None, unix_ms);
            thread.finish(DEADLINE);
            let path = dir.path().join("heartbeat.json");
            let text = std::fs::read_to_string(&path).expect("a heartbeat");
            let pid = std::process::id();
            let unix_ts = unix_ms / 1_000;
            assert_eq!(
                text,
                format!(
                    "{{\"unix_ts\":{unix_ts},\"pid\":{pid},\"run\":\"20261120-191822-k3f9\",\"phase\":\"{phase}\"}}\n"
                )
            );
            assert_eq!(path.metadata().expect("metadata").permissions().mode() & 0o777, 0o600);
            assert_eq!(std::fs::read_dir(dir.path()).expect("the directory").count(), 1, "nothing is left beside it");
        }
    }

    #[test]
    fn regular_beats_alternate_between_two_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let (heart, thread) = heart("run", dir.path());
        let path = dir.path().join("heartbeat.json");
        let mut inodes = Vec::new();
        for (what, unix_s) in [("the tool Bash (make all)", 1_000), ("", 1_005), ("the tool Read", 1_010), ("x", 1_015)]
        {
            let awaits = Awaits { what, since_unix_ts: 1, until_unix_ts: 2, alive: false };
            heart.beat("working", Some(awaits), unix_s * 1_000);
            thread.finish(DEADLINE);
            let text = std::fs::read_to_string(&path).expect("a heartbeat");
            assert!(text.starts_with(&format!("{{\"unix_ts\":{unix_s},")), "{text}");
            let awaits = format!("{{\"what\":\"{what}\",\"since_unix_ts\":1,\"until_unix_ts\":2,\"alive\":false}}}}\n");
            assert!(text.ends_with(&awaits) && text.lines().count() == 1, "{text}");
            inodes.push(path.metadata().expect("metadata").ino());
        }
        assert_eq!(inodes[0], inodes[2]);
        assert_eq!(inodes[1], inodes[3]);
        assert_ne!(inodes[0], inodes[1]);
    }

    #[test]
    fn a_beat_says_what_is_waited_for_and_until_when() {
        let dir = tempfile::tempdir().expect("a directory");
        let (heart, thread) = heart("run", dir.path());
        let awaits = Awaits { what: "the tool Bash (make)", since_unix_ts: 10, until_unix_ts: 50, alive: true };
        heart.beat("working", Some(awaits), 20_000);
        thread.finish(DEADLINE);
        let text = std::fs::read_to_string(dir.path().join("heartbeat.json")).expect("a heartbeat");
        let awaits = r#""awaits":{"what":"the tool Bash (make)","since_unix_ts":10,"until_unix_ts":50,"alive":true}}"#;
        assert!(text.trim_end().ends_with(awaits), "{text}");
    }

    #[test]
    fn a_directory_that_is_gone_disturbs_nobody() {
        let dir = tempfile::tempdir().expect("a directory");
        let (heart, thread) = heart("run", &dir.path().join("gone"));
        for _ in 0..2 {
            heart.beat("working", None, 0);
            thread.finish(DEADLINE);
        }
        assert!(heart.files.failed.load(std::sync::atomic::Ordering::Relaxed));
    }

    #[test]
    fn while_the_disk_hangs_beats_are_counted_by_the_last_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let (heart, thread) = heart("run", dir.path());
        let (go, hangs) = std::sync::mpsc::channel::<()>();
        thread.give(move || {
            let _ = hangs.recv();
        });
        for unix_ms in 0..10_000 {
            heart.beat("working", None, unix_ms * 1_000);
        }
        drop(go);
        thread.finish(DEADLINE);
        let text = std::fs::read_to_string(dir.path().join("heartbeat.json")).expect("a heartbeat");
        assert!(text.starts_with("{\"unix_ts\":9999,"), "{text}");
    }
}
