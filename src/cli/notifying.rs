//! Whom a run tells what it comes to: the notifier of a run, and what is still to be sent when the run has ended.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};

use redaction::Redactor;

use super::{Context, zone};
use crate::config::{Consents, Flags, Notify, resolve};
use crate::core::{Finish, Plan, Show};
use crate::driver::unix_ms;
use crate::fleet::AgentRecord;
use crate::journal::{FileLock, RunDir, RunSummary};
use crate::notify::{At, Courier, Follower, Left, Notifier, Ring, Setting, Subject, Terminal, has_left};
use crate::process;

/// The run, as it is called in what is told.
pub(super) fn subject(run_dir: &RunDir, plan: &Plan) -> Subject {
    named(run_dir, plan.cwd.clone())
}

fn named(run_dir: &RunDir, cwd: String) -> Subject {
    let name = AgentRecord::read(run_dir).ok().flatten().map(|record| record.name);
    Subject { run: run_dir.id().to_owned(), name, cwd }
}

/// The terminal of a run in the foreground.
pub(super) fn at(context: &Context) -> At {
    if io::stderr().is_terminal() { At::Terminal(Terminal::of(&context.env)) } else { At::Background }
}

/// The notifier of a run; `None` if nobody is to be told. `follower` has followed the journal of a resumed run.
pub(super) fn notifier(
    notify: &Notify,
    subject: Subject,
    follower: Follower,
    run_dir: &RunDir,
    redactor: &Redactor,
    at: At,
    context: &Context,
) -> Option<Notifier> {
    if notify.entries().is_empty() {
        return None;
    }
    let setting = Setting {
        entries: notify.entries().to_vec(),
        courier: courier(redactor.clone(), context)?,
        at,
        zone: zone::of_process(),
    };
    Notifier::new(setting, subject, follower, run_dir.path(), unix_ms())
}

/// The bell and the desktop of this terminal, which is attached to a run.
pub(super) fn ring(run_dir: &RunDir, context: &Context) -> Option<Ring> {
    // A configuration that cannot be read is said where it is needed.
    let dirs = context.dirs().ok()?;
    let resolved =
        resolve(dirs, &context.project().ok()?, &context.env, &Consents::default(), Flags::default()).ok()?;
    let cwd = RunSummary::read(&run_dir.summary()).ok()?.cwd;
    let subject = named(run_dir, cwd);
    Ring::new(resolved.settings.notify.entries(), Terminal::of(&context.env), subject, zone::of_process())
}

/// Delivers for the user; `None` if the process has no descriptors left.
pub(super) fn courier(redactor: Redactor, context: &Context) -> Option<Courier> {
    let home = context.dirs().ok()?.home.clone();
    Courier::new(&context.env, &home, redactor)
        .inspect_err(|error| {
            context.printer.warn_of_settings(format_args!("nobody is told what the run comes to: {error}"))
        })
        .ok()
}

/// Tells the end of a supervised command, within the limits of the end of a run.
pub(super) fn tell_end(
    notify: &Notify,
    run_dir: &RunDir,
    cwd: String,
    (finish, journal_missing): (&Finish, Option<String>),
    redactor: &Redactor,
    context: &Context,
) {
    let subject = named(run_dir, cwd);
    let notifier = notifier(notify, subject, Follower::default(), run_dir, redactor, at(context), context);
    let Some(mut notifier) = notifier else { return };
    notifier.journal_lacks(journal_missing);
    let end = Show::Finished { outcome: finish.outcome, reason: finish.reason.clone() };
    if let Some(bytes) = notifier.follow(&end, unix_ms(), redactor) {
        context.printer.talk_raw(&bytes);
    }
    at_the_end(notifier, run_dir, context);
}

/// Sends what the run has told last, within limits. What a receiver does not take in time another process sends.
pub(super) fn at_the_end(notifier: Notifier, run_dir: &RunDir, context: &Context) {
    let Left { given_up, unsent } = notifier.finish();
    for (name, why) in given_up {
        context.printer.warn_of_settings(format_args!(
            "`{name}` of `notify` was not told: {why}; to try it: ccc notify test {}",
            crate::core::shell::quoted(&name)
        ));
    }
    if unsent {
        deliver_apart(run_dir, context);
    }
}

/// Sends what a ccc of the run that was killed has left, in a process of its own.
pub(super) fn deliver_left(run_dir: &RunDir, context: &Context) {
    if has_left(run_dir.path()) {
        deliver_apart(run_dir, context);
    }
}

/// The same for a command that only reads: not inside an agent, and not while a ccc works on the run, which sends for itself.
pub(super) fn deliver_left_of_ended(run_dir: &RunDir, context: &Context) {
    let is_inside = context.env.get(process::RUN_ID_VARIABLE).is_some();
    if !is_inside && has_left(run_dir.path()) && matches!(FileLock::holder(&run_dir.lock()), Ok(None)) {
        deliver_apart(run_dir, context);
    }
}

fn deliver_apart(run_dir: &RunDir, context: &Context) {
    let args = ["notify", "deliver", run_dir.id()].map(OsString::from);
    if let Err(error) = process::leave_apart(&args, run_dir.path()) {
        context.printer.warn(format_args!("not everybody was told what the run came to: {error}"));
    }
}
