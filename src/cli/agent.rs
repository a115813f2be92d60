//! Makes what an agent of the fleet needs before its run begins: the directory of its run, its name, its record and its working
//! tree.

use std::cell::RefCell;
use std::path::Path;

use jiff::tz::TimeZone;

use super::queue::{QUEUED_PHASE, queued_error};
use super::start::{Claimed, Made, RunRequest, state_error, state_hint};
use super::{CliError, Context, agent_tree, detach, keeper_world, steer};
use crate::config::env::PATH;
use crate::config::{Project, Settings};
use crate::core::Plan;
use crate::driver;
use crate::files::VersionedError;
use crate::fleet::{AgentRecord, Queued, Role};
use crate::journal::{NameError, RunDir, RunNames, RunSummary, name_of_task};
use crate::keeper;
use crate::ui::format;
use crate::upkeep::{Admission, Full, Room, Rules};

/// What is asked for a new agent, besides its run.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// Its name; `None` for one made of the task.
    pub(super) name: Option<String>,
    /// It is started with others of this name, so a number may follow the name.
    pub(super) is_one_of_several: bool,
    /// What it may do.
    pub(super) role: Role,
    /// Its manager, as the user names it.
    pub(super) manager: Option<String>,
    /// Whether it gets a working tree of its own.
    pub(super) own_tree: bool,
    /// Where its branch begins.
    pub(super) base: Option<String>,
    /// Whether a critic judges its work.
    pub(super) supervised: bool,
    /// Whether it starts although the usage is critical.
    pub(super) ignore_usage: bool,
    /// Whether it starts although there is no room on the machine.
    pub(super) ignore_load: bool,
}

/// An agent that is being made. What was made is taken back if its run cannot begin.
pub(super) struct NewAgent<'a> {
    wish: Wish,
    manager: Option<AgentRecord>,
    context: &'a Context,
    made: RefCell<Option<OnDisk>>,
}

/// What stands on the disk.
struct OnDisk {
    run_dir: RunDir,
    name: Option<String>,
    record: Option<AgentRecord>,
}

impl<'a> NewAgent<'a> {
    /// Checks the wish as far as nothing has to be made for it.
    ///
    /// # Errors
    /// When there is no such manager.
    pub(super) fn new(wish: Wish, context: &'a Context) -> Result<NewAgent<'a>, CliError> {
        let manager = match &wish.manager {
            Some(named) => Some(record_of(&steer::find(named, context)?, named)?),
            None => None,
        };
        Ok(NewAgent { wish, manager, context, made: RefCell::new(None) })
    }

    /// Makes the agent, and settles in the plan where and how it works. While there is no room on the machine, only its name and its
    /// record are made, and it waits.
    ///
    /// # Errors
    /// When the name is taken, or something cannot be made.
    pub(super) fn claim(
        &self,
        plan: &mut Plan,
        project: &Project,
        settings: &Settings,
        request: &RunRequest<'_>,
    ) -> Result<Made, CliError> {
        let state = &self.context.dirs()?.state;
        let rules = keeper_world::rules_of(settings, driver::unix_ms(), &super::zone::of_process());
        self.admitted(state, &rules)?;
        plan.without_critic = !self.wish.supervised;
        let gate = keeper::gate(state).map_err(|error| {
            CliError::io(format!("{}: {error}", state.join(keeper::KEEPER_DIR).display()))
                .hint("make the state directory writable, or set CCC_STATE_DIR to another one")
        })?;
        let shortage = self.shortage(state, &rules);
        let claimed = Claimed::new(state, &plan.run_id)?;
        *self.made.borrow_mut() = Some(OnDisk { run_dir: claimed.run_dir.clone(), name: None, record: None });
        let name = self.name(state, plan)?;
        if let Some(made) = self.made.borrow_mut().as_mut() {
            made.name = Some(name.clone());
        }
        let mut record = AgentRecord {
            manager: self.manager.as_ref().map(|manager| manager.id.clone()),
            depth: self.manager.as_ref().map_or(0, |manager| manager.depth.saturating_add(1)),
            ignore_usage: self.wish.ignore_usage,
            cwd: Some(project.cwd.clone()),
            path: self.context.env.get(PATH).and_then(|path| path.to_str()).map(str::to_owned),
            ..AgentRecord::new(&plan.run_id, &name, self.wish.role, driver::unix_ms(), project.root())
        };
        record.write(&claimed.run_dir).map_err(|error| record_error(&error))?;
        if let Some(why) = shortage {
            self.queue(plan, &record, &claimed.run_dir, &why, request)?;
            return Ok(Made::Queued(claimed.run_dir, why));
        }
        // It counts as running from now on.
        drop(gate);
        if self.wish.own_tree {
            let (tree, dir) = agent_tree::make(&record, self.wish.base.as_deref(), &settings.worktree, self.context)?;
            plan.cwd = agent_tree::in_utf8(&dir)?;
            record.tree = Some(tree);
            self.has(&record);
        }
        record.ports = agent_tree::ports(&record, &settings.worktree, self.context)?;
        record.write(&claimed.run_dir).map_err(|error| record_error(&error))?;
        self.has(&record);
        Ok(Made::Run(claimed))
    }

    /// What the agent waits for; `None` if it starts now.
    fn shortage(&self, state: &Path, rules: &Rules) -> Option<String> {
        if self.wish.ignore_load {
            return None;
        }
        match keeper::room_for_one_more(state, rules, driver::unix_ms()) {
            Ok(Room::Free) => None,
            Ok(Room::Wait(shortage)) => Some(shortage.to_string()),
            // What cannot be read keeps nobody.
            Err(error) => {
                self.context.printer.warn(error);
                None
            }
        }
    }

    /// Lets the agent wait: everything that its start needs is kept.
    fn queue(
        &self,
        plan: &Plan,
        record: &AgentRecord,
        run_dir: &RunDir,
        why: &str,
        request: &RunRequest<'_>,
    ) -> Result<(), CliError> {
        let cwd = self.context.cwd()?;
        if self.wish.own_tree {
            agent_tree::can_be_made(record, self.wish.base.as_deref(), self.context)?;
        }
        let now_unix_ms = driver::unix_ms();
        let mut queued = Queued::new(plan.clone(), cwd, why.to_owned(), now_unix_ms);
        queued.own_tree = self.wish.own_tree;
        queued.base.clone_from(&self.wish.base);
        queued.share_tree = request.share_tree;
        queued.prompt_origin.clone_from(&request.prompt_origin);
        let text = serde_json::to_string(&queued).unwrap_or_default();
        let redactor = request.tokens.redactor();
        if redactor.text(&text) != text {
            return Err(CliError::usage(format!("the agent cannot wait in the queue ({why}): its task or settings contain a token, which is not written to a file"),
            )
            .hint("to start it at once, add --ignore-load; or leave the token out"));
        }
        let summary = RunSummary { phase: QUEUED_PHASE.to_owned(), ..detach::beginning(plan, now_unix_ms, &redactor) };
        summary.write(&run_dir.summary(), &redactor).map_err(|error| {
            CliError::io(format!("{}: {error}", run_dir.summary().display()))
                .hint("free some disk space, or set CCC_STATE_DIR to another directory")
        })?;
        queued.write(run_dir).map_err(|error| queued_error(&error))
    }

    /// Refuses a new agent while the usage is critical.
    fn admitted(&self, state: &Path, rules: &Rules) -> Result<(), CliError> {
        let now_unix_ms = driver::unix_ms();
        let zone = super::zone::of_process();
        match keeper::admits(state, rules, now_unix_ms, self.wish.ignore_usage) {
            Ok(Admission::Allowed | Admission::Unknown) => Ok(()),
            Ok(Admission::Ignored(full)) => {
                self.context.printer.warn(full_in_words(&full, now_unix_ms, &zone));
                Ok(())
            }
            Ok(Admission::Refused(full)) => {
                Err(CliError::failed(format!("no agent is started: {}", full_in_words(&full, now_unix_ms, &zone)))
                    .hint("to start it all the same, add --ignore-usage; to see the usage: ccc usage"))
            }
            // What cannot be read refuses nobody: the agent's own run watches its limits.
            Err(error) => {
                self.context.printer.warn(error);
                Ok(())
            }
        }
    }

    /// What was made so far.
    fn has(&self, record: &AgentRecord) {
        if let Some(made) = self.made.borrow_mut().as_mut() {
            made.record = Some(record.clone());
        }
    }

    fn name(&self, state: &Path, plan: &Plan) -> Result<String, CliError> {
        let names = RunNames::new(state);
        match &self.wish.name {
            Some(name) if self.wish.is_one_of_several => names.claim_free(name, &plan.run_id),
            Some(name) => names.claim(name, &plan.run_id).map(|()| name.clone()),
            None => names.claim_free(&name_of_task(&plan.task), &plan.run_id),
        }
        .map_err(|error| name_error(&error))
    }

    /// Removes what was made for an agent whose run has not begun.
    pub(super) fn take_back(&self) {
        let Some(OnDisk { run_dir, name, record }) = self.made.borrow_mut().take() else { return };
        // A run with a journal has begun: it is kept, with its reason.
        if run_dir.journal().exists() {
            return;
        }
        if let Some(record) = record
            && let Err(error) = agent_tree::unmake(&record, false, self.context)
        {
            self.context.printer.warn(error);
        }
        if let (Some(name), Ok(dirs)) = (name, self.context.dirs()) {
            let _ = RunNames::new(&dirs.state).release(&name, run_dir.id());
        }
        let _ = std::fs::remove_dir_all(run_dir.path());
    }
}

/// That no token has headroom.
fn full_in_words(full: &Full, now_unix_ms: i64, zone: &TimeZone) -> String {
    let reset = match full.resets_unix_ms {
        Some(reset) => format!("; it resets {}", format::due(reset, now_unix_ms, zone)),
        None => String::new(),
    };
    format!("the window {} is used by {:.0} % and no other token has room{reset}", full.window, full.percent)
}

/// The record of a run that must be an agent.
///
/// # Errors
/// When the run is not an agent, or its record cannot be read.
pub(super) fn record_of(run: &RunDir, named: &str) -> Result<AgentRecord, CliError> {
    AgentRecord::read(run).map_err(|error| record_error(&error))?.ok_or_else(|| {
        CliError::usage(format!("{named} is a run, but not an agent of the fleet")).hint("to list the agents: ccc list")
    })
}

/// The error for a record that cannot be read or written.
pub(super) fn record_error(error: &VersionedError) -> CliError {
    CliError::io(error).hint(state_hint(error))
}

fn name_error(error: &NameError) -> CliError {
    let text = error.to_string();
    match error {
        NameError::Bad { .. } => CliError::usage(text).hint("choose another name: ccc new --name NAME"),
        NameError::Taken { name, .. } => CliError::usage(text)
            .hint(format!("choose another name; to see that agent: ccc look {name}; to remove it: ccc kill {name}")),
        NameError::Io(_) => CliError::io(text).hint(state_hint(error)),
    }
}

/// The agents' roster.
///
/// # Errors
/// When the directory of runs cannot be read.
pub(super) fn roster(context: &Context) -> Result<crate::fleet::Roster, CliError> {
    let roster = crate::fleet::Roster::read(&context.dirs()?.state).map_err(|error| state_error(&error))?;
    for (_, error) in &roster.damaged {
        context.printer.warn(error);
    }
    Ok(roster)
}
