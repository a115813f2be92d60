//! The other runs that an agent's run knows, as its control socket asks for them: whose a client is, and the start of workers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

use super::detach::Ready;
use super::{Context, new_from_inside, telling};
use crate::config::{Flags, FleetSettings, Settings};
use crate::control::protocol::{Code, Fault};
use crate::control::{Family, Kin, LostWorker, Owner, Started, Wanted};
use crate::core::Plan;
use crate::files::open_private;
use crate::fleet::{Agent, AgentRecord, Role, Roster};
use crate::journal::{FileLock, RunDir};
use crate::keeper::ensure;
use crate::order::map_of;
use crate::process::{ATTEMPT_VARIABLE, Apart, RUN_ID_VARIABLE, SPAWN_VARIABLE, ancestors, own_mark};

/// The family of one run.
pub(super) struct RunFamily {
    state_dir: PathBuf,
    run: RunDir,
    cwd: PathBuf,
    fleet: FleetSettings,
    /// The checks of this run, which its agent may give to another.
    checks: Vec<String>,
    context: Context,
    /// One agent is started at a time, so that their number is right.
    starting: Mutex<()>,
    starts: AtomicU32,
}

impl fmt::Debug for RunFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunFamily").field("run", &self.run.id()).finish_non_exhaustive()
    }
}

impl RunFamily {
    /// The family of the run with this plan.
    pub(super) fn of(run: &RunDir, state_dir: &Path, plan: &Plan, context: &Context) -> RunFamily {
        // No project's file sets the bounds of the fleet, so a project without the user's agreement changes nothing here.
        let settings = context.settings(Flags::default()).map_or_else(|_| Settings::default(), |found| found.settings);
        RunFamily {
            state_dir: state_dir.to_owned(),
            run: run.clone(),
            cwd: PathBuf::from(&plan.cwd),
            fleet: settings.fleet,
            checks: plan.checks.iter().map(|check| check.command.clone()).collect(),
            context: context.at(Path::new(&plan.cwd)),
            starting: Mutex::new(()),
            starts: AtomicU32::new(0),
        }
    }

    fn record(&self, run: &str) -> Option<AgentRecord> {
        record(&self.state_dir, run)
    }

    /// The living ccc processes of all runs, with the ids of the runs.
    fn hosts(&self) -> BTreeMap<u32, String> {
        let runs = RunDir::all(&self.state_dir).unwrap_or_default();
        let host = |run: RunDir| {
            let holder = FileLock::holder(&run.lock()).ok().flatten()?;
            Some((holder.pid, run.id().to_owned()))
        };
        map_of(runs.into_iter().filter_map(host))
    }

    /// Refuses the start of one more agent.
    fn refuse_start(&self, own: Option<&AgentRecord>) -> Result<AgentRecord, Fault> {
        let refused = |message: String| Err(Fault::new(Code::Refused, message));
        let Some(own) = own else {
            return refused(format!(
                "run {} is no agent of the fleet: only an agent that `ccc new` has started may start agents",
                self.run.id()
            ));
        };
        if !own.role.is(&Role::Manager) {
            return refused(format!("{} is a worker: workers start no agents", own.name));
        }
        let (depth, most) = (own.depth.saturating_add(1), self.fleet.max_depth);
        if depth > most {
            return refused(format!(
                "{} may start no agents: they would stand {depth} deep, and fleet.max_depth is {most}",
                own.name
            ));
        }
        let roster = Roster::read(&self.state_dir).map_err(|error| Fault::new(Code::Refused, error.to_string()))?;
        let is_ours = |agent: &&Agent| agent.record.manager.as_deref() == Some(own.id.as_str());
        let running = roster.agents.iter().filter(is_ours).filter(|agent| agent.state.is_active()).count();
        let most = self.fleet.max_agents;
        if u32::try_from(running).unwrap_or(u32::MAX) >= most {
            return refused(format!(
                "{} has {running} running agents, and fleet.max_agents is {most}: wait until one has ended (ccc wait)",
                own.name
            ));
        }
        Ok(own.clone())
    }

    /// Writes what was piped to `ccc new` into a file of the run, because the agent is started without an input.
    fn spool(&self, text: &str) -> std::io::Result<PathBuf> {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        let path = self.run.path().join(format!("new-task-{number}"));
        let mut file = open_private(&path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC)?;
        file.write_all(text.as_bytes())?;
        Ok(path)
    }
}

/// The record of a run; `None` if it has none that can be read.
fn record(state: &Path, run: &str) -> Option<AgentRecord> {
    AgentRecord::read(&RunDir::at(state, run).ok()?).ok().flatten()
}

/// What the agent of the run `one` is to the run `other`: its manager, or one of its workers.
pub(super) fn kin(state: &Path, one: &str, other: &str) -> Option<Kin> {
    let is_manager_of = |run: &str, of: &str| record(state, of).is_some_and(|of| of.manager.as_deref() == Some(run));
    if is_manager_of(other, one) { Some(Kin::Worker) } else { is_manager_of(one, other).then_some(Kin::Manager) }
}

impl Family for RunFamily {
    fn owner(&self, pid: u32) -> Option<Owner> {
        let path = ancestors(pid);
        if path.is_empty() {
            return None;
        }
        let hosts = self.hosts();
        let (at, run) = path.iter().enumerate().find_map(|(at, pid)| Some((at, hosts.get(pid)?.clone())))?;
        // A user may work in what an agent has started, such as a terminal multiplexer, and start this run there.
        if run == self.run.id() || own_mark().as_deref() == Some(run.as_str()) {
            return None;
        }
        let record = self.record(&run);
        let kin = kin(&self.state_dir, &run, self.run.id());
        let name = record.map_or_else(|| run.clone(), |record| record.name);
        Some(Owner { run, name, kin, is_host: at == 0 })
    }

    fn start(&self, wanted: &Wanted) -> Result<Started, Fault> {
        let _one = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.refuse_start(self.record(self.run.id()).as_ref())?;
        let refused = |message: String| Fault::new(Code::Refused, message);
        let options = new_from_inside::allowed(&wanted.args, &self.checks).map_err(refused)?;
        let (cwd, root) = (PathBuf::from(&wanted.cwd).canonicalize(), self.cwd.canonicalize());
        let cwd = cwd.ok().zip(root.ok()).filter(|(cwd, root)| cwd.starts_with(root)).map(|(cwd, _)| cwd);
        let Some(cwd) = cwd else {
            return Err(refused(format!("an agent starts agents only in its own directory, {}", self.cwd.display())));
        };
        let spool = wanted.stdin.as_deref().map(|text| self.spool(text)).transpose();
        let spool = spool.map_err(|error| refused(format!("the task cannot be kept: {error}")))?;
        let mut args: Vec<OsString> =
            ["new", "--hosted", "--manager", own.id.as_str()].into_iter().map(OsString::from).collect();
        args.extend(options.into_iter().map(OsString::from));
        if let Some(spool) = &spool {
            args.extend([OsString::from("--prompt-file"), spool.as_os_str().to_owned()]);
        }
        let started = Apart::start(&args, &cwd, &[RUN_ID_VARIABLE, ATTEMPT_VARIABLE, SPAWN_VARIABLE]);
        let said = started.and_then(Apart::ready);
        if let Some(spool) = &spool {
            let _ = std::fs::remove_file(spool);
        }
        let line = said.map_err(|error| refused(format!("the agent cannot be started: {error}")))?;
        let line = line.map_err(|said| refused(format!("the agent was not started: {said}")))?;
        let ready: Ready = serde_json::from_str(&line).map_err(|error| refused(error.to_string()))?;
        let name = self.record(&ready.run_id).map_or_else(|| ready.run_id.clone(), |record| record.name);
        // It may be looking at the agents only every few minutes. If none can be started, the heartbeat of an agent tries again.
        if let Err(error) = ensure(&self.state_dir, &self.context.env) {
            tracing::debug!(%error, "the keeper was not told of a new agent");
        }
        Ok(Started { id: ready.run_id, name })
    }

    fn worker(&self, id: &str) -> Result<String, Fault> {
        match self.record(id).filter(|other| other.manager.as_deref() == Some(self.run.id())) {
            Some(worker) => Ok(worker.name),
            None => Err(Fault::new(Code::Refused, format!("run {id} is no worker of this run"))),
        }
    }

    fn lost(&self, id: &str) -> Result<LostWorker, Fault> {
        self.worker(id)?;
        let refused = |message: String| Fault::new(Code::Refused, message);
        let dir = RunDir::at(&self.state_dir, id).map_err(|error| refused(error.to_string()))?;
        let record = self.record(id).ok_or_else(|| refused(format!("run {id} has no record")))?;
        telling::end_of_lost(&Agent::of(dir, record), &self.state_dir, &self.context).map_err(refused)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    const OURS: &str = "20261128-100000-aaaa";

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn record(state: &Path, id: &str, role: Role, manager: Option<&str>, depth: u32) -> RunDir {
        let dir = RunDir::create(state, id).expect("a run");
        let record = AgentRecord {
            manager: manager.map(str::to_owned),
            depth,
            ..AgentRecord::new(id, &format!("name-{id}"), role, 1, Path::new("/p"))
        };
        record.write(&dir).expect("written");
        dir
    }

    fn family(state: &Path, fleet: FleetSettings) -> RunFamily {
        RunFamily {
            state_dir: state.to_owned(),
            run: RunDir::at(state, OURS).expect("a run"),
            cwd: "/p".into(),
            fleet,
            checks: Vec::new(),
            context: Context::of_process(),
            starting: Mutex::new(()),
            starts: AtomicU32::new(0),
        }
    }

    #[test]
    fn a_client_belongs_to_the_nearest_run_of_whose_ccc_it_descends() {
        let state = tempfile::tempdir().expect("a directory");
        record(state.path(), OURS, Role::Manager, Some("20261128-090000-bbbb"), 1);
        let family = family(state.path(), Settings::default().fleet);
        // It has no mark of a run, as after `env -i`.
        let child = Ended(Command::new("sleep").arg("60").env_clear().spawn().expect("sleep starts"));
        let (below, us) = (child.0.id(), std::process::id());
        assert_eq!(family.owner(below), None, "no run is active");
        for (other, role, manager, kin) in [
            ("20261128-110000-cccc", Role::Worker, Some(OURS), Some(Kin::Worker)),
            ("20261128-090000-bbbb", Role::Manager, None, Some(Kin::Manager)),
            ("20261128-120000-dddd", Role::Manager, None, None),
        ] {
            let run = record(state.path(), other, role, manager, 0);
            let lock = run.take_lock(us, 1).expect("the lock");
            let owner = |is_host| Owner { run: other.to_owned(), name: format!("name-{other}"), kin, is_host };
            assert_eq!(family.owner(below), Some(owner(false)), "{other}");
            assert_eq!(family.owner(us), Some(owner(true)), "{other}");
            drop(lock);
        }
        let own = RunDir::at(state.path(), OURS).expect("a run").take_lock(us, 1).expect("the lock");
        assert_eq!(family.owner(below), None, "its own");
        drop(own);
    }

    #[test]
    fn only_a_manager_within_the_bounds_of_the_fleet_starts_agents() {
        let state = tempfile::tempdir().expect("a directory");
        let fleet = |max_depth, max_agents| FleetSettings { max_depth, max_agents };
        let refusal = |family: &RunFamily| {
            let record = family.record(OURS);
            family.refuse_start(record.as_ref()).map_or_else(|fault| fault.message, |_| String::new())
        };
        assert!(refusal(&family(state.path(), fleet(2, 16))).contains("no agent of the fleet"));
        let own = record(state.path(), OURS, Role::Manager, None, 1);
        assert_eq!(refusal(&family(state.path(), fleet(2, 16))), "");
        assert!(refusal(&family(state.path(), fleet(1, 16))).contains("2 deep, and fleet.max_depth is 1"));
        let worker = record(state.path(), "20261128-110000-cccc", Role::Worker, Some(OURS), 2);
        assert_eq!(refusal(&family(state.path(), fleet(2, 1))), "", "one that has ended does not count");
        let _lock = worker.take_lock(std::process::id(), 1).expect("the lock");
        assert!(refusal(&family(state.path(), fleet(2, 1))).contains("has 1 running agents"));
        std::fs::remove_dir_all(own.path()).expect("removed");
        record(state.path(), OURS, Role::Worker, None, 0);
        assert!(refusal(&family(state.path(), fleet(2, 16))).contains("workers start no agents"));
    }

    #[test]
    fn an_agent_starts_agents_only_in_its_own_directory() {
        let state = tempfile::tempdir().expect("a directory");
        record(state.path(), OURS, Role::Manager, None, 0);
        let cwd = state.path().join("project");
        std::fs::create_dir(&cwd).expect("made");
        let family = RunFamily { cwd, ..family(state.path(), Settings::default().fleet) };
        for (args, cwd, part) in [
            (vec!["x".to_owned()], "/", "only in its own directory"),
            (vec!["x".to_owned()], "/nowhere/at/all", "only in its own directory"),
            (vec!["--no-worktree".to_owned()], "/", "may not give --no-worktree"),
        ] {
            let wanted = Wanted { args, cwd: cwd.to_owned(), stdin: None };
            let fault = family.start(&wanted).expect_err(part);
            assert!(fault.message.contains(part), "{}", fault.message);
        }
    }
}
