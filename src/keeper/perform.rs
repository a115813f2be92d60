//! The keeper's work: looks, decides, remembers, acts, waits.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ensure;
use super::facts::Seen;
use super::queue::load;
use super::store::{Kept, Store};
use crate::config::env::{CCC_STATE_DIR, PATH};
use crate::control::protocol::{Hello, Reply, Request};
use crate::control::{Client, ClientError};
use crate::files::VersionedError;
use crate::fleet::{Agent, KeptDown, State};
use crate::process::{Others, Watched, run_apart};
use crate::upkeep::{Act, Facts, Load, Rules, TokenUsage, Upkeep, Why};

/// How long continuing a run may take until it can be reached.
const RESUME_LIMIT: Duration = Duration::from_secs(90);
/// How long the start of an agent may take, with the checkout of a large repository.
const START_LIMIT: Duration = Duration::from_secs(600);
/// How long removing an agent may take.
const REMOVAL_LIMIT: Duration = Duration::from_secs(90);
/// How long telling the user of an end may take.
const TELL_LIMIT: Duration = Duration::from_secs(30);
/// How often agents are looked at whose end the system does not report, and after a fault.
const LOOK_MS: i64 = 10_000;
/// How soon an agent is looked at again that is about to begin, or whose ccc has ended while it was looked at.
const BEGINNING_MS: i64 = 2_000;
/// The longest wait.
const LONGEST_WAIT_MS: i64 = 10 * 60_000;
/// The shortest wait, so that a fault cannot make the keeper busy.
const SHORTEST_WAIT_MS: i64 = 50;
/// The phase of a run that is ending.
const ENDING: &str = "ending";

/// Where the tokens and settings of an agent are looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentPlace {
    /// Where it is configured: see [`AgentRecord::configured_in`](crate::fleet::AgentRecord::configured_in).
    pub configured_in: PathBuf,
    /// Where its CLI works.
    pub works_in: PathBuf,
}

/// What the keeper needs of the program around it.
pub trait World {
    /// The present time, unix milliseconds.
    fn now_unix_ms(&self) -> i64;
    /// The rules in force now.
    fn rules(&mut self, now_unix_ms: i64) -> Rules;
    /// Asks about the usage of the tokens that agents in these places use, each token once, and returns what is known. Blocks for
    /// as long as the providers take.
    fn usage(&mut self, places: &[AgentPlace], now_unix_ms: i64) -> Vec<TokenUsage>;
    /// Writes a line to the log.
    fn log(&mut self, line: &str);
}

/// Why the keeper cannot work.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Its state is of a newer ccc, or cannot be moved aside.
    #[error(transparent)]
    Store(#[from] VersionedError),
}

/// Keeps the agents of the state directory until there is nothing to keep. The caller holds the keeper's lock. With `anew`, earlier
/// failures are forgotten, because the machine has been started anew.
///
/// # Errors
/// When the keeper's state cannot be used.
pub fn keep(state_dir: &Path, anew: bool, world: &mut dyn World) -> Result<(), KeepError> {
    let store = Store::new(state_dir);
    let mut upkeep = match store.read() {
        Ok(kept) => kept.upkeep,
        Err(error @ VersionedError::Damaged { .. }) => {
            let aside = store.move_aside()?;
            world.log(&format!("{error}; it was moved to {}, and the keeper begins anew", aside.display()));
            Upkeep::default()
        }
        Err(error @ (VersionedError::Io(_) | VersionedError::TooNew { .. })) => return Err(error.into()),
    };
    upkeep.begin();
    if anew {
        upkeep.forget_failures();
    }
    let mut keeper = Keeper { state_dir, store, upkeep, written: None, world, others: Others::default() };
    match ensure::open_bell(state_dir) {
        Ok((bell, _)) => keeper.others.listen(&bell),
        Err(error) => keeper.world.log(&format!("the keeper cannot be woken: {error}")),
    }
    keeper.run();
    Ok(())
}

struct Keeper<'a> {
    state_dir: &'a Path,
    store: Store,
    upkeep: Upkeep,
    /// What is on the disk.
    written: Option<Upkeep>,
    world: &'a mut dyn World,
    others: Others,
}

impl Keeper<'_> {
    fn run(&mut self) {
        // With the state directory the agents are removed, too.
        while self.state_dir.is_dir() {
            let now = self.world.now_unix_ms();
            let rules = self.world.rules(now);
            let seen = match Seen::look(self.state_dir, now) {
                Ok(seen) => seen,
                Err(error) => {
                    self.world.log(&format!("the agents cannot be looked at: {error}"));
                    self.wait_until(now, now + LOOK_MS);
                    continue;
                }
            };
            let before = self.upkeep.clone();
            let load = if seen.waits() { load() } else { Load::default() };
            let decided = self.upkeep.decide(&Facts { now_unix_ms: now, agents: &seen.facts, load }, &rules);
            // An act that is not on the disk could be done twice.
            if !self.is_written() {
                self.upkeep = before;
                self.wait_until(now, now + LOOK_MS);
                continue;
            }
            if decided.rests {
                self.world.log("no agent is left: the keeper ends");
                return;
            }
            let acted = !decided.acts.is_empty();
            for act in decided.acts {
                self.perform(act, &seen, &rules);
            }
            self.is_written();
            let now = self.world.now_unix_ms();
            let mut wake = decided.wake_unix_ms.unwrap_or(now + LONGEST_WAIT_MS);
            match self.others.watch(&seen.pids) {
                Watched::All => {}
                // Its lock is about to be released: a process that it has forked may have it for a moment.
                Watched::OneIsGone => wake = wake.min(now + BEGINNING_MS),
                Watched::NotAll => wake = wake.min(now + LOOK_MS),
            }
            if seen.begins || seen.unwatched || acted {
                wake = wake.min(now + BEGINNING_MS);
            }
            self.wait_until(now, wake);
        }
    }

    fn wait_until(&mut self, now: i64, wake: i64) {
        let wait = wake.saturating_sub(now).clamp(SHORTEST_WAIT_MS, LONGEST_WAIT_MS);
        if let Err(error) = self.others.wait(Duration::from_millis(wait.unsigned_abs())) {
            self.world.log(&format!("the keeper cannot wait for the ends of processes: {error}"));
            self.others = Others::default();
        }
    }

    /// Writes what the keeper remembers, if it has changed.
    fn is_written(&mut self) -> bool {
        if self.written.as_ref() == Some(&self.upkeep) {
            return true;
        }
        match self.store.write(&Kept::of(self.upkeep.clone())) {
            Ok(()) => {
                self.written = Some(self.upkeep.clone());
                true
            }
            Err(error) => {
                self.world.log(&format!("nothing is done, because it could not be remembered: {error}"));
                false
            }
        }
    }

    fn perform(&mut self, act: Act, seen: &Seen, rules: &Rules) {
        match act {
            Act::AskUsage => {
                let mut places: Vec<AgentPlace> = seen
                    .agents
                    .iter()
                    .filter(|agent| agent.state.is_active() || agent.state == State::Queued)
                    .map(place)
                    .collect();
                places.extend(seen.agents.iter().filter(|agent| self.is_down_by_us(&agent.record.id)).map(place));
                places.sort();
                places.dedup();
                let now = self.world.now_unix_ms();
                let usage = self.world.usage(&places, now);
                self.upkeep.heard(usage);
            }
            Act::Tell { notice, run, text } => {
                let at =
                    self.upkeep.notices.iter().find(|waiting| waiting.id == notice).map(|waiting| waiting.at_unix_ms);
                let key = format!("keeper-{notice}-{}", at.unwrap_or_default());
                let said = seen
                    .agent(&run)
                    .map_or(Ok(()), |agent| tell(agent, &Request::Say { key: Some(key), text, images: Vec::new() }));
                match said {
                    Ok(()) => {
                        self.world.log(&format!("{run} was told of the usage"));
                        self.upkeep.told(notice, &run);
                    }
                    Err(error) => self.world.log(&format!("{run} could not be told of the usage: {error}")),
                }
            }
            Act::TellOfLost { run, worker } => {
                let Some(manager) = seen.agent(&run) else { return };
                // The run looks for itself before it believes it.
                match tell(manager, &Request::WorkerLost { id: worker.clone() }) {
                    Ok(()) => {
                        self.world.log(&format!("{run} was told of the end of its worker {worker}"));
                        self.upkeep.told_of_lost(&worker);
                    }
                    Err(error) => self.world.log(&format!("{run} could not be told of its worker {worker}: {error}")),
                }
            }
            Act::TellUser { run, why } => {
                // A run that was killed has told nothing of its end. What cannot be sent now is tried again by the command itself.
                match self.ccc(&["notify", "lost", &run, &why], &[], TELL_LIMIT) {
                    Ok(()) => self.world.log(&format!("{run} is not continued any more: {why}")),
                    Err(error) => self.world.log(&format!("{run}: the user could not be told of its end: {error}")),
                }
                self.upkeep.told_of_end(&run);
            }
            Act::Stop { run, reason } => {
                let Some(agent) = seen.agent(&run) else { return };
                match stop(agent, &reason) {
                    Ok(()) => self.world.log(&format!("{run} is stopped: {reason}")),
                    Err(error) => {
                        self.world.log(&format!("{run} could not be stopped: {error}"));
                        self.upkeep.stop_failed(&run);
                    }
                }
            }
            Act::End { run, reason } => {
                let Some(agent) = seen.agent(&run) else { return };
                match self.end(agent, &reason) {
                    Ok(()) => self.world.log(&format!("{run} was ended: {reason}")),
                    Err(error) => {
                        self.world.log(&format!("{run} could not be ended: {error}"));
                        self.upkeep.stop_failed(&run);
                    }
                }
            }
            Act::Resume { run, why } => {
                let failure = self.resume(&run, why, seen).err();
                let word = match why {
                    Why::Died => "its ccc died",
                    Why::TakenUp => "the usage allows it",
                    Why::Queued => "there is room for it",
                };
                let what = if why == Why::Queued { "started" } else { "continued" };
                match &failure {
                    None => self.world.log(&format!("{run} was {what}: {word}")),
                    Some(failure) => self.world.log(&format!("{run} could not be {what}: {failure}")),
                }
                let now = self.world.now_unix_ms();
                self.upkeep.resumed(&run, why, failure, now, rules);
            }
        }
    }

    /// Whether the keeper starts this agent later, so that its tokens matter.
    fn is_down_by_us(&self, run: &str) -> bool {
        self.upkeep.stopped.contains_key(run) || self.upkeep.revivals.contains_key(run)
    }

    fn resume(&mut self, run: &str, why: Why, seen: &Seen) -> Result<(), String> {
        let mut args = vec!["resume", run, "--detach", "--unless-kept-down"];
        let agent = seen.agent(run);
        if agent.is_some_and(|agent| shares_tree(agent, seen)) {
            args.push("--share-tree");
        }
        let path = agent.and_then(|agent| agent.record.path.as_deref());
        let env: Vec<(&str, &OsStr)> = path.map(|path| (PATH, OsStr::new(path))).into_iter().collect();
        if why == Why::Queued {
            // It is started once: what has left the queue meanwhile is left alone.
            args.push("--queued");
            return self.ccc(&args, &env, START_LIMIT);
        }
        self.ccc(&args, &env, RESUME_LIMIT)
    }

    /// Ends the agent and removes it, as the user would; if that is not possible, it is stopped and kept down.
    fn end(&mut self, agent: &Agent, reason: &str) -> Result<(), String> {
        let now = self.world.now_unix_ms();
        KeptDown::write(&agent.dir, reason, now).map_err(|error| error.to_string())?;
        match self.ccc(&["kill", &agent.record.id, "--yes"], &[], REMOVAL_LIMIT) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.world.log(&format!("{} cannot be removed, and is stopped: {error}", agent.record.id));
                stop(agent, reason).map_err(|error| error.to_string())
            }
        }
    }

    /// Runs a command of ccc to its end.
    fn ccc(&self, args: &[&str], env: &[(&str, &OsStr)], limit: Duration) -> Result<(), String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let env = [&[(CCC_STATE_DIR, self.state_dir.as_os_str())], env].concat();
        let ended = run_apart(&args, &env, self.state_dir, limit).map_err(|error| error.to_string())?;
        match ended.code {
            Some(0) => Ok(()),
            Some(code) => Err(first_error(&ended.said).unwrap_or_else(|| format!("exit code {code}"))),
            None => {
                Err(first_error(&ended.said).unwrap_or_else(|| format!("it took longer than {} s", limit.as_secs())))
            }
        }
    }
}

/// The error that a command of ccc has printed, in one line.
fn first_error(said: &str) -> Option<String> {
    const CHARS: usize = 300;
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines.clone().find_map(|line| line.strip_prefix("error: ")).or_else(|| lines.clone().next_back())?;
    Some(error.chars().filter(|c| !c.is_control()).take(CHARS).collect())
}

/// Whether another agent works in the same working tree, which the user has then allowed. With a run that is no agent it is not
/// shared.
fn shares_tree(agent: &Agent, seen: &Seen) -> bool {
    let works_there = |other: &Agent| {
        other.record.id != agent.record.id
            && other.record.tree.is_none()
            && other.record.project == agent.record.project
            && other.state.is_active()
    };
    agent.record.tree.is_none() && seen.agents.iter().any(works_there)
}

fn place(agent: &Agent) -> AgentPlace {
    let record = &agent.record;
    let tree = record.tree.as_ref().map(|tree| &tree.path);
    let works_in = tree.filter(|path| path.is_dir()).unwrap_or(&record.project).clone();
    AgentPlace { configured_in: record.configured_in(&works_in), works_in }
}

fn connect(agent: &Agent) -> Result<Client, ClientError> {
    Client::connect(&agent.dir, &Hello::new("keeper", false))
}

/// Tells a run something that it takes once however often it is told. A run that does not take it is not asked again: it is of an
/// older ccc, or what it was told of has changed.
fn tell(agent: &Agent, request: &Request) -> Result<(), ClientError> {
    connect(agent)?.call(request).map(drop)
}

/// Stops a run, unless it is ending: a second order would end it at once.
fn stop(agent: &Agent, reason: &str) -> Result<(), ClientError> {
    let mut client = connect(agent)?;
    if client.welcome().phase == ENDING {
        return Ok(());
    }
    if let Reply::Fault(fault) = client.call(&Request::Stop { reason: Some(reason.to_owned()) })?
        && !fault.is_ending()
    {
        return Err(ClientError::Refused { run: agent.record.id.clone(), fault });
    }
    Ok(())
}
