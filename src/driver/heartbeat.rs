//! `heartbeat.json` in the run's directory tells other programs that ccc is alive, and the phase of its run.
//!
//! It is replaced as a whole at each phase change and at least every five seconds, and is not synced, because a heartbeat
//! means nothing after a power cut.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::Serialize;
use tokio::time::Instant;

use super::clock::Clock;
use super::timer::Timer;
use super::worker::Worker;
use crate::files::open_private;
use crate::process::observe_run;

/// From one beat to the next. With what a busy machine adds it stays below the five seconds that are promised.
pub(super) const INTERVAL: Duration = Duration::from_millis(4_500);
/// The file's name.
const FILE: &str = "heartbeat.json";
/// What becomes the file. There is one ccc to a run, so one name is enough.
const NEXT: &str = ".heartbeat.json.next";

/// What stands in the file.
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
    /// What it waits for, where that has an end; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    awaits: Option<Awaits<'a>>,
}

/// What a run waits for.
#[derive(Debug, Serialize)]
pub(super) struct Awaits<'a> {
    /// In words, for example `the tool Bash (cargo test)`.
    pub(super) what: &'a str,
    /// Since then nothing has moved on, seconds since 1970.
    pub(super) since_unix_ts: i64,
    /// Until then it is waited for, seconds since 1970.
    pub(super) until_unix_ts: i64,
    /// The process wrote something meanwhile that proves no progress, for example heartbeats.
    pub(super) alive: bool,
}

/// The rhythm: what wakes the loop for a beat, as seldom as the system can.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When the next beat is due.
    due: Instant,
    /// `None` where there is none: then the runtime's timer does it.
    timer: Option<Timer>,
}

impl Pulse {
    /// The first beat is one interval away.
    pub(super) fn new(clock: &Clock) -> Pulse {
        let mut pulse = Pulse { due: clock.instant_now(), timer: Timer::monotonic() };
        pulse.next_in(INTERVAL, clock);
        pulse
    }

    /// The next beat is so far away.
    pub(super) fn next_in(&mut self, wait: Duration, clock: &Clock) {
        self.due = clock.after(wait);
        if self.timer.as_ref().is_some_and(|timer| timer.set_after(wait).is_err()) {
            self.timer = None;
        }
    }

    /// The next beat is no farther away than that.
    pub(super) fn within(&mut self, wait: Duration, clock: &Clock) {
        if self.due > clock.after(wait) {
            self.next_in(wait, clock);
        }
    }

    /// How late the beat is; nothing when it is still to come.
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

/// The heart of one run. It beats on the thread that it is given: a disk that hangs keeps that thread only, and of the beats that
/// wait for it the last one counts.
#[derive(Debug)]
pub(super) struct Heart {
    run: String,
    files: Arc<Files>,
    thread: Worker,
}

#[derive(Debug)]
struct Files {
    file: PathBuf,
    next: PathBuf,
    /// The beat that is to be written.
    waiting: Mutex<Option<Vec<u8>>>,
    /// After the next beat the children are looked at, too: a job of its own would wake the thread once more.
    looks: AtomicBool,
    /// The last beat could not be written, and that was said.
    failed: AtomicBool,
}

impl Heart {
    /// For the run with this id, in its directory.
    pub(super) fn new(run: &str, run_dir: &Path, thread: Worker) -> Heart {
        let files = Files {
            file: run_dir.join(FILE),
            next: run_dir.join(NEXT),
            waiting: Mutex::new(None),
            looks: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        };
        Heart { run: run.to_owned(), files: Arc::new(files), thread }
    }

    /// Replaces the file soon. That it cannot be written never disturbs the run.
    pub(super) fn beat(&self, phase: &str, awaits: Option<Awaits<'_>>, unix_ms: i64) {
        let unix_ts = unix_ms.div_euclid(1_000);
        let beat = Beat { unix_ts, pid: std::process::id(), run: &self.run, phase, awaits };
        // A struct of numbers and strings always serialises.
        let Ok(mut json) = serde_json::to_vec(&beat) else { return };
        json.push(b'\n');
        if self.files.waiting().replace(json).is_none() {
            let (files, run) = (Arc::clone(&self.files), self.run.clone());
            self.thread.give(move || {
                files.write();
                if files.looks.swap(false, Ordering::Relaxed) {
                    observe_run(&run);
                }
            });
        }
    }

    /// With the next beat what the children have started is looked at.
    pub(super) fn look(&self) {
        self.files.looks.store(true, Ordering::Relaxed);
    }
}

impl Files {
    fn waiting(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) {
        let Some(beat) = self.waiting().take() else { return };
        let written = self.replace(&beat);
        let has_failed = self.failed.swap(written.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (written, has_failed) {
            tracing::warn!(%error, file = %self.file.display(), "the heartbeat cannot be written");
        }
    }

    fn replace(&self, beat: &[u8]) -> io::Result<()> {
        let mut file = open_private(&self.next, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        file.write_all(beat)?;
        fs::rename(&self.next, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use std::time::Duration;

    use super::{Awaits, Heart};
    use crate::driver::worker::Worker;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn heart(run: &str, dir: &std::path::Path) -> (Heart, Worker) {
        let thread = Worker::new("files");
        (Heart::new(run, dir, thread.clone()), thread)
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
