//! What the keeper needs of the program around it: the user's settings, the tokens of the agents, and a log.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::credentials::{self, at_once, gather, in_keychain};
use super::run_places::RunPlaces;
use super::{CliError, Context, detach, zone};
use crate::config::{Consents, Flags, MemorySize, Project, Settings, resolve};
use crate::driver;
use crate::keeper::{AgentPlace, Ensured, World, ensure};
use crate::tokens::usage::{Ask, Identity, OTHERS_WAIT, Usage, UsageCache};
use crate::tokens::{Credential, SharedTokens};
use crate::upkeep::{Memory, RoomLimits, Rules, TokenUsage, WindowUse};

/// With `--revive`: an agent that was last alive before this many milliseconds is not revived.
const REVIVED_ANEW_WITHIN_MS: i64 = 7 * 24 * 3_600_000;

/// The rules that these settings give at this time.
pub(crate) fn rules_of(settings: &Settings, now_unix_ms: i64, zone: &TimeZone) -> Rules {
    let usage = &settings.usage;
    let now = Timestamp::from_millisecond(now_unix_ms).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone());
    let reserved = usage.reserve.iter().map(|reserve| reserve.percent_at(&now)).max().unwrap_or(0);
    let percent = |percent| f64::from(u8::from(percent));
    let critical_percent = percent(usage.critical_threshold).min(100.0 - f64::from(reserved));
    Rules {
        watches_usage: usage.enabled,
        warn_percent: percent(usage.warn_threshold).min(critical_percent),
        critical_percent,
        check_interval_ms: i64::try_from(usage.check_interval.as_ms()).unwrap_or(i64::MAX),
        notify_managers: usage.notify_managers,
        ends_agents: usage.auto_nuke_on_critical,
        room: room_of(settings),
        ..Rules::default()
    }
}

/// What new agents wait for.
pub(super) fn room_of(settings: &Settings) -> RoomLimits {
    let admission = &settings.admission;
    RoomLimits {
        min_available: memory_of(admission.min_available_memory),
        max_memory_pressure: admission.max_memory_pressure.limit(),
        max_cpu_pressure: admission.max_cpu_pressure.limit(),
        max_running: Some(settings.agent.max_running).filter(|limit| *limit > 0),
        ..RoomLimits::default()
    }
}

/// The amount; `None` for 0.
pub(super) fn memory_of(size: MemorySize) -> Option<Memory> {
    match size {
        MemorySize::Bytes(0) | MemorySize::Percent(0) => None,
        MemorySize::Bytes(bytes) => Some(Memory::Bytes(bytes)),
        MemorySize::Percent(percent) => Some(Memory::Percent(percent)),
    }
}

/// The settings of the keeper: the user's own, without any project's.
fn settings(context: &Context) -> Option<Settings> {
    let dirs = context.dirs().ok()?;
    let nowhere = Project::find(&dirs.state);
    Some(resolve(dirs, &nowhere, &context.env, &Consents::default(), Flags::default()).ok()?.settings)
}

/// The rules of the keeper now. A configuration that cannot be understood gives the defaults: the keeper must go on.
pub(crate) fn rules(context: &Context, now_unix_ms: i64) -> Rules {
    let settings = settings(context).unwrap_or_default();
    rules_of(&settings, now_unix_ms, &zone::of_user(&context.env).0)
}

/// What is known about the usage of the tokens that agents in this place get. Asks the provider where that is due.
pub(super) fn usage_in(place: &Path, context: &Context, now_unix_ms: i64) -> Vec<TokenUsage> {
    let place = AgentPlace { configured_in: place.to_owned(), works_in: place.to_owned() };
    KeeperWorld::new(context, false, None).usage(&[place], now_unix_ms)
}

/// Makes sure that a keeper works, for a command that starts an agent. That none could be started is only said: no agent depends
/// on it.
pub(crate) fn ensure_keeper(context: &Context) {
    let Ok(dirs) = context.dirs() else { return };
    match ensure(&dirs.state, &context.env) {
        Ok(Ensured::Works { .. } | Ensured::Started | Ensured::LeftToRuns) => {}
        Err(error) => context.printer.warn(format_args!(
            "{error}; until one works, nothing watches the usage, and an agent whose ccc dies is not continued"
        )),
    }
}

/// The keeper's world.
pub(super) struct KeeperWorld<'a> {
    context: &'a Context,
    anew: bool,
    grace_ms: Option<u32>,
    step_ms: Option<u32>,
}

impl<'a> KeeperWorld<'a> {
    pub(super) fn new(context: &'a Context, anew: bool, grace_ms: Option<u32>) -> KeeperWorld<'a> {
        KeeperWorld { context, anew, grace_ms, step_ms: None }
    }

    /// With this pause between two starts of agents, without jitter.
    pub(super) fn with_step(self, step_ms: Option<u32>) -> KeeperWorld<'a> {
        KeeperWorld { step_ms, ..self }
    }

    /// The tokens that agents in this place get, and the client that asks about them at the hosts that are used there.
    fn tokens_in(&self, place: &AgentPlace, shared: &SharedTokens) -> Result<(Vec<Credential>, Usage), CliError> {
        let context = self.context.at(&place.works_in);
        let places = RunPlaces::between(place.configured_in.clone(), &place.works_in);
        // What the user has not agreed to is not used, and nobody is here who could.
        let settings = context.settings_of(&places.configured, Flags::default())?.settings;
        let agent = settings.agent.kind.0;
        let mut credentials = gather(&context, &places, &settings, agent, &[])?.pool.credentials().to_vec();
        let found = in_keychain(agent, &credentials, driver::unix_ms(), &context)?;
        credentials.extend(found.ok().flatten());
        let usage = credentials::usage(&settings.usage, shared.clone(), &context)?;
        Ok((credentials, usage))
    }
}

impl World for KeeperWorld<'_> {
    fn now_unix_ms(&self) -> i64 {
        driver::unix_ms()
    }

    fn rules(&mut self, now_unix_ms: i64) -> Rules {
        let mut rules = rules(self.context, now_unix_ms);
        if let Some(grace_ms) = self.grace_ms {
            rules.grace_ms = i64::from(grace_ms);
        }
        if let Some(step_ms) = self.step_ms {
            (rules.step_ms, rules.step_jitter_ms) = (i64::from(step_ms), 0);
        }
        if self.anew {
            rules.revived_within_ms = REVIVED_ANEW_WITHIN_MS;
        }
        rules
    }

    fn usage(&mut self, places: &[AgentPlace], now_unix_ms: i64) -> Vec<TokenUsage> {
        let Ok(dirs) = self.context.dirs() else { return Vec::new() };
        let (cache, shared) = (UsageCache::new(&dirs.state), SharedTokens::new(&dirs.state));
        let mut asked: Vec<(Credential, Usage)> = Vec::new();
        for place in places {
            match self.tokens_in(place, &shared) {
                Ok((credentials, usage)) => {
                    let new =
                        credentials.into_iter().filter(|new| asked.iter().all(|(known, _)| known.id() != new.id()));
                    let new: Vec<Credential> = new.collect();
                    asked.extend(new.into_iter().map(|credential| (credential, usage.clone())));
                }
                Err(error) => {
                    self.log(&format!("{}: its tokens are not asked about: {error}", place.works_in.display()))
                }
            }
        }
        let ask = Ask { thorough: false, wait: OTHERS_WAIT };
        let _ = at_once(&asked, |(credential, usage)| usage.refresh_if_due(credential, ask, now_unix_ms));
        let (file, states) = (cache.read(), shared.read().unwrap_or_default());
        let known = |(credential, _): &(Credential, Usage)| {
            let id = credential.id();
            of(&Identity::new(credential, file.identities.get(&id), states.get(&id), now_unix_ms))
        };
        asked.iter().map(known).collect()
    }

    fn log(&mut self, line: &str) {
        let at = Timestamp::from_second(driver::unix_ms().div_euclid(1_000)).unwrap_or(Timestamp::UNIX_EPOCH);
        let line = format!("{at} {line}");
        let _ = crate::process::bound_host_log(line.len() + 1);
        detach::log(&line);
    }
}

fn of(identity: &Identity) -> TokenUsage {
    let windows = identity.windows.iter().map(|window| WindowUse {
        name: window.name.clone(),
        percent: window.utilization,
        resets_unix_ms: window.resets_at_epoch.map(|at| at.saturating_mul(1_000)),
    });
    TokenUsage {
        id: identity.id.0.clone(),
        label: identity.label.clone(),
        windows: windows.collect(),
        limited_until_unix_ms: identity.limited_until_unix_ms,
        refused: identity.refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_lowers_the_thresholds_of_the_agents_while_it_holds() {
        // 2027-01-15 08:00:00 UTC, a Friday.
        let now = 1_800_000_000_000;
        let reserve = |text: &str| vec![text.parse().expect("a reserve")];
        let usage = |reserve| {
            let mut settings = Settings::default();
            settings.usage.reserve = reserve;
            settings
        };
        let at = |settings: &Settings| {
            let rules = rules_of(settings, now, &TimeZone::UTC);
            (rules.warn_percent, rules.critical_percent)
        };
        assert_eq!(at(&usage(Vec::new())), (80.0, 90.0));
        assert_eq!(at(&usage(reserve("5%"))), (80.0, 90.0));
        assert_eq!(at(&usage(reserve("20%"))), (80.0, 80.0));
        assert_eq!(at(&usage(reserve("50% mon-fri 08:00-18:00"))), (50.0, 50.0));
        assert_eq!(at(&usage(reserve("50% mon-fri 09:00-18:00"))), (80.0, 90.0));
        let rules = rules_of(&Settings::default(), now, &TimeZone::UTC);
        assert_eq!(rules, Rules::default(), "the defaults of the settings are those of the rules");
    }
}
