//! Processes that a run left running and that do not carry the run's mark. They are listed in the record in the run's directory
//! ([`process::record_descendants`]).

use std::path::PathBuf;

use rustix::fs::OFlags;

use super::Context;
use crate::driver;
use crate::files::{self, open_private, read_private};
use crate::journal::RunDir;
use crate::process::{self, Recording, Survivor};
use crate::ui::format;

fn file(run_dir: &RunDir) -> PathBuf {
    run_dir.path().join("processes")
}

fn read(run_dir: &RunDir) -> String {
    let bytes = read_private(&file(run_dir), files::PROCESSES).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Records the processes that the run starts, until the returned value is dropped. Without a record the next ccc finds
/// only the processes that carry the run's mark.
pub(super) fn record(run_dir: &RunDir, context: &Context) -> Option<Recording> {
    let earlier = read(run_dir);
    let begun = open_private(&file(run_dir), OFlags::RDWR | OFlags::CREATE)
        .and_then(|file| process::record_descendants(run_dir.id(), file, &earlier));
    begun
        .inspect_err(|error| {
            context.printer.warn(format_args!(
                "{}: {error}; if ccc is killed, `ccc resume` cannot find programs that have replaced their environment",
                file(run_dir).display()
            ));
        })
        .ok()
}

/// Ends the processes that a dead run left, and reports each.
pub(super) fn end_of_dead_run(run_dir: &RunDir, context: &Context) {
    for survivor in process::end_recorded(&read(run_dir)) {
        if survivor.ended {
            context
                .printer
                .talk(format_args!("ended {}, which the run had left when its ccc process died", named(&survivor)));
        } else {
            warn(&survivor, context);
        }
    }
}

/// Ends the processes that a finished run left, and reports those that cannot be ended.
pub(super) fn end_of_run(run_dir: &RunDir, context: &Context) {
    let mut all_ended = true;
    for survivor in process::end_recorded(&read(run_dir)).iter().filter(|survivor| !survivor.ended) {
        all_ended = false;
        warn(survivor, context);
    }
    if all_ended {
        let _ = std::fs::remove_file(file(run_dir));
    }
}

fn warn(survivor: &Survivor, context: &Context) {
    context.printer.warn(format_args!(
        "{} was started by the run and ccc cannot end it; to end it:\n    {}",
        named(survivor),
        survivor.command()
    ));
}

/// A process in words, such as `sleep (pid 7, since 14:05)`.
fn named(survivor: &Survivor) -> String {
    let since = survivor.since_unix_ms.map_or_else(
        || "an unknown time".to_owned(),
        |unix_ms| format::moment(unix_ms, driver::unix_ms(), &crate::cli::zone::of_process()),
    );
    format!("{} (pid {}, since {since})", survivor.name, survivor.pid)
}
