//! Whom a run tells what it comes to: the notifier of a run, and what is still to be sent when the run has ended.

use std::ffi::OsString;

use redaction::Redactor;

use super::{Context, zone};
use crate::config::Notify;
use crate::core::Plan;
use crate::driver::unix_ms;
use crate::fleet::AgentRecord;
use crate::journal::RunDir;
use crate::notify::{Courier, Follower, Left, Notifier, Setting, Subject, Terminal};
use crate::process;

/// The run, as it is called in what is told.
pub(super) fn subject(run_dir: &RunDir, plan: &Plan) -> Subject {
    let name = AgentRecord::read(run_dir).ok().flatten().map(|record| record.name);
    Subject { run: run_dir.id().to_owned(), name, cwd: plan.cwd.clone() }
}

/// The notifier of a run; `None` if nobody is to be told. `follower` has followed the journal of a resumed run.
pub(super) fn notifier(
    notify: &Notify,
    subject: Subject,
    follower: Follower,
    run_dir: &RunDir,
    redactor: &Redactor,
    at_terminal: bool,
    context: &Context,
) -> Option<Notifier> {
    if notify.entries().is_empty() {
        return None;
    }
    let setting = Setting {
        entries: notify.entries().to_vec(),
        courier: courier(redactor.clone(), context)?,
        terminal: at_terminal.then(|| Terminal::of(&context.env)),
        zone: zone::of_process(),
    };
    Notifier::new(setting, subject, follower, run_dir.path(), unix_ms())
}

/// Delivers for the user; `None` if the process has no descriptors left.
pub(super) fn courier(redactor: Redactor, context: &Context) -> Option<Courier> {
    let home = context.dirs().ok()?.home.clone();
    Courier::new(&context.env, &home, redactor)
        .inspect_err(|error| context.printer.warn(format_args!("nobody is told what the run comes to: {error}")))
        .ok()
}

/// Sends what the run has told last, within limits. What a receiver does not take in time another process sends.
pub(super) fn at_the_end(notifier: Notifier, run_dir: &RunDir, context: &Context) {
    let Left { given_up, unsent } = notifier.finish();
    for (name, why) in given_up {
        context.printer.warn(format_args!(
            "`{name}` of `notify` was not told: {why}; to try it: ccc notify test {}",
            crate::core::shell::quoted(&name)
        ));
    }
    if unsent {
        let args = ["notify", "deliver", run_dir.id()].map(OsString::from);
        if let Err(error) = process::leave_apart(&args, run_dir.path()) {
            context.printer.warn(format_args!("not everybody was told what the run came to: {error}"));
        }
    }
}
