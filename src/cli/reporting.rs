//! Makes the report of a run, by itself at the run's end and when the user asks for it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use jiff::tz::TimeZone;
use redaction::Redactor;

use super::context::TypedAgent;
use super::{Context, agent_tree, zone};
use crate::checkpoint::{self, AT_END};
use crate::core::{Finish, Outcome, Plan, Tick};
use crate::driver;
use crate::fleet::AgentRecord;
use crate::git::{Git, Repository};
use crate::journal::RunDir;
use crate::journal::disk::{SystemDisk, replace};
use crate::process::Cancel;
use crate::protect;
use crate::report::text::Washer;
use crate::report::{Changes, Difference, OfRun, Place, Report, changes, of_run, page};
use crate::ui::Ending;

/// The report's file in a run's directory.
pub(super) const REPORT_FILE: &str = "report.html";
/// How long the end of a run waits for its report. Then git, which may hang, is killed, and the report says less.
const END_WAIT: Duration = Duration::from_secs(2);
/// How long it waits for that report.
const KILLED_WAIT: Duration = Duration::from_millis(500);

/// A report that was written.
#[derive(Debug)]
pub(super) struct Written {
    /// The page.
    pub(super) path: PathBuf,
    /// The command that shows what the run has changed, if there is one.
    pub(super) diff: Option<String>,
    /// The command that makes the files what they were before the run, if there is one.
    pub(super) restore: Option<String>,
}

/// What a report is made with.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    env: Vec<(OsString, OsString)>,
    /// How the agent's program of a run is typed here.
    typed: TypedAgent,
    redactor: Redactor,
    zone: TimeZone,
    /// Ends its git; `None` if there are no descriptors for one.
    give_up: Option<Cancel>,
}

impl Maker {
    pub(super) fn new(context: &Context, redactor: Redactor) -> Maker {
        let env = context.env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Maker { env, typed: context.typed_agents(), redactor, zone: zone::of_process(), give_up: Cancel::new().ok() }
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The report of the run with this journal.
    ///
    /// # Errors
    /// When nothing of the journal can be read.
    pub(super) fn report(&self, journal: &Path) -> Result<Report, driver::ReplayError> {
        self.made(journal).map(|(report, ..)| report)
    }

    /// The report, the run's id, and where its work lies.
    fn made(&self, journal: &Path) -> Result<(Report, String, Place), driver::ReplayError> {
        let OfRun { mut report, plan, finish, tick, id } = of_run(journal, &self.redactor)?;
        let washer = Washer::new(self.redactor.clone());
        let mut place = Place::Elsewhere;
        if let Some(plan) = &plan {
            let found;
            (place, found) = self.changes(journal, plan, &id);
            if let Some(found) = found {
                report.add_changes(&found, &washer);
            }
        }
        let (resume, talk) = commands(&id, plan.as_ref(), finish.as_ref(), tick, self);
        report.add_steps(&id, resume.as_deref(), talk.as_deref(), &place, &washer);
        Ok((report, id, place))
    }

    /// Keeps the files of a run that has ended while its agent worked: no stop has. A failure only makes the report say less.
    fn keep_the_end(&self, plan: &Plan) {
        if let Some(give_up) = self.give_up.clone() {
            let git = Git::new(&self.env, &plan.run_id, give_up);
            let _ = checkpoint::keep(&git, Path::new(&plan.cwd), &plan.run_id, AT_END, None);
        }
    }

    /// Writes the page into the run's directory; the file is there as a whole or not at all.
    ///
    /// # Errors
    /// When the journal cannot be read or the file cannot be written.
    pub(super) fn write(&self, journal: &Path) -> io::Result<Written> {
        let path = journal.with_file_name(REPORT_FILE);
        let (report, id, place) = self.made(journal).map_err(io::Error::other)?;
        let page = page(&report, &self.zone).map_err(io::Error::other)?;
        replace(&SystemDisk, &path, page.as_bytes())?;
        let (diff, restore) = place.in_short(&id);
        Ok(Written { path, diff, restore })
    }

    /// Where the work lies, and what changed there. Git's failures only make the report say less.
    fn changes(&self, journal: &Path, plan: &Plan, id: &str) -> (Place, Option<Changes>) {
        let Some(repository) = Repository::find(Path::new(&plan.cwd)) else { return (Place::Elsewhere, None) };
        let Some(give_up) = self.give_up.clone() else { return (Place::Repository, None) };
        let git = Git::new(&self.env, id, give_up);
        let found = changes(&git, &repository, id).ok().flatten();
        let agent = agent_of(journal).filter(|record| record.tree.is_some());
        let checkpoints = found.as_ref().and_then(|found| {
            let whole = found.whole.as_ref()?;
            Some(Place::Checkpoints { first: whole.from? })
        });
        let Some(record) = agent else { return (checkpoints.unwrap_or(Place::Repository), found) };
        let place = Place::Agent { name: record.name.clone() };
        let found = found.or_else(|| {
            let patch = agent_tree::patch_in(&record, &git, journal)?;
            Some(Changes { stops: Vec::new(), whole: Some(Difference { patch, ..Difference::default() }) })
        });
        (place, found)
    }
}

/// Where the work of a run lies, whose directory is `cwd`.
pub(super) fn place(run: &RunDir, cwd: &str, context: &Context) -> Place {
    let agent = AgentRecord::read(run).ok().flatten().filter(|record| record.tree.is_some());
    if let Some(record) = agent {
        return Place::Agent { name: record.name };
    }
    let Some(repository) = Repository::find(Path::new(cwd)) else { return Place::Elsewhere };
    let entries = agent_tree::git(run.id(), context).ok();
    let entries = entries.and_then(|git| checkpoint::list(&git, &repository.shared(), run.id()).ok());
    match entries.as_ref().and_then(|entries| entries.first()) {
        Some(first) => Place::Checkpoints { first: first.number },
        None => Place::Repository,
    }
}

/// The agent that a run is, if it is one.
fn agent_of(journal: &Path) -> Option<AgentRecord> {
    let dir = journal.parent()?;
    let state = dir.parent()?.parent()?;
    let run = RunDir::at(state, dir.file_name()?.to_str()?).ok()?;
    AgentRecord::read(&run).ok().flatten()
}

/// The command that continues the run, and the one that continues its session without ccc.
fn commands(
    id: &str,
    plan: Option<&Plan>,
    finish: Option<&Finish>,
    tick: Tick,
    maker: &Maker,
) -> (Option<String>, Option<String>) {
    let Some(plan) = plan else { return (None, None) };
    let Some(finish) = finish else {
        return (Some(format!("ccc resume {}", crate::core::shell::quoted(id))), None);
    };
    let (shown, left_out) = driver::shown_plan(plan, &maker.redactor);
    let agent = maker.typed.of(plan);
    let ending = Ending::of(finish, &shown, &left_out, &agent);
    (ending.go_on(tick), ending.session())
}

/// Writes the report at the end of a run. It neither fails the end nor delays it for long: a report that cannot be written, or
/// takes too long, is left out, and `ccc report` makes it later.
pub(super) fn at_the_end(
    run_dir: &RunDir,
    plan: &Plan,
    outcome: Outcome,
    redactor: &Redactor,
    context: &Context,
) -> Option<Written> {
    let maker = Maker::new(context, redactor.clone());
    let (journal, give_up) = (run_dir.journal(), maker.give_up.clone());
    // A run completes at a stop. Protected files that are still exchanged are not the agent's.
    let is_unkept = plan.checkpoints && outcome != Outcome::Completed && !protect::is_pending(run_dir.path());
    let unkept = is_unkept.then(|| plan.clone());
    let (done, written) = mpsc::channel();
    thread::Builder::new()
        .name("report".to_owned())
        .spawn(move || {
            if let Some(plan) = unkept {
                maker.keep_the_end(&plan);
            }
            let _ = done.send(maker.write(&journal).ok());
        })
        .ok()?;
    // A thread that panics drops its end of the channel.
    match written.recv_timeout(END_WAIT) {
        Ok(written) => written,
        Err(_) => {
            give_up?.kill();
            written.recv_timeout(KILLED_WAIT).ok().flatten()
        }
    }
}
