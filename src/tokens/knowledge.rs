//! What one run knows about its tokens: what all ccc processes of the user share, and reports that this run could not
//! share yet.

use std::mem::discriminant;
use std::time::Duration;

use super::pool::Pool;
use super::shared::{SharedTokens, TokenStates};
use crate::core::{TokenFact, TokenId, TokenReport};

/// How long a run waits for the lock of the shared state, which is held for a few milliseconds.
const LOCK_WAIT: Duration = Duration::from_millis(250);
/// If the lock could not be taken, its holder may be stopped, so the run does not wait for it again for this long, in
/// milliseconds.
const STOPPED_FOR_MS: i64 = 30_000;

/// See the module.
#[derive(Debug)]
pub struct Knowledge {
    shared: SharedTokens,
    /// The last known state: used unchanged when the shared file cannot be read.
    states: TokenStates,
    /// Reports that could not be shared: they apply to this run, and are sent with the next report that succeeds. For each
    /// token the last report of each kind is kept.
    untold: Vec<(TokenId, TokenReport)>,
    /// Until then the lock is tried but not waited for, unix milliseconds.
    no_wait_until_ms: i64,
}

impl Knowledge {
    /// A state in which nothing was read or reported yet.
    #[must_use]
    pub fn new(shared: SharedTokens) -> Knowledge {
        Knowledge { shared, states: TokenStates::default(), untold: Vec::new(), no_wait_until_ms: i64::MIN }
    }

    /// All tokens of the pool with what is known now.
    pub fn read(&mut self, pool: &Pool) -> Vec<TokenFact> {
        match self.shared.read() {
            Ok(states) => self.states = states,
            Err(error) => tracing::warn!(%error, "the shared state of the tokens cannot be read"),
        }
        self.facts(pool)
    }

    /// Shares a report about a token of the pool with all ccc processes of the user; returns what is known then. A
    /// report that cannot be shared still applies to this run.
    pub fn report(&mut self, pool: &Pool, id: &TokenId, reports: &[TokenReport], now_unix_ms: i64) -> Vec<TokenFact> {
        let Some(credential) = pool.get(id) else { return self.read(pool) };
        let waiting = self.no_wait_until_ms.saturating_sub(now_unix_ms);
        let wait = if (1..=STOPPED_FOR_MS).contains(&waiting) { Duration::ZERO } else { LOCK_WAIT };
        let shared = self.shared.clone().waiting_at_most(wait);
        let before = self.untold.iter().filter(|(untold, _)| untold == id).map(|(_, report)| report.clone());
        let all: Vec<TokenReport> = before.chain(reports.iter().cloned()).collect();
        match shared.report(credential, &all, now_unix_ms) {
            Ok(states) => {
                self.states = states;
                self.untold.retain(|(untold, _)| untold != id);
                self.no_wait_until_ms = i64::MIN;
            }
            Err(error) => {
                tracing::warn!(%error, "the shared state of the tokens cannot be written");
                self.no_wait_until_ms = now_unix_ms.saturating_add(STOPPED_FOR_MS);
                for report in reports {
                    let same = discriminant(report);
                    self.untold.retain(|(untold, old)| untold != id || discriminant(old) != same);
                    self.untold.push((id.clone(), report.clone()));
                }
            }
        }
        self.facts(pool)
    }

    fn facts(&self, pool: &Pool) -> Vec<TokenFact> {
        if self.untold.is_empty() {
            return pool.facts(&self.states);
        }
        let mut states = self.states.clone();
        for (id, report) in &self.untold {
            if let Some(credential) = pool.get(id) {
                states.learn(credential, report);
            }
        }
        pool.facts(&states)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use secrecy::SecretString;

    use super::{Knowledge, STOPPED_FOR_MS};
    use crate::config::{Env, Provider};
    use crate::core::{TokenFact, TokenId, TokenReport, WindowFact};
    use crate::tokens::{Credential, CredentialKind, Pool, SharedTokens};

    const NOW: i64 = 1_795_000_000_000;
    const HOUR_MS: i64 = 3_600_000;

    fn one_token(dir: &Path) -> (Knowledge, Pool, TokenId) {
        let key = SecretString::from("sk-ant-made-up-first");
        let credential = Credential::held("a key", CredentialKind::ApiKey, Provider::Anthropic, key);
        let id = credential.id();
        let pool = Pool::of(vec![credential], &Env::default(), Provider::Anthropic);
        (Knowledge::new(SharedTokens::new(dir)), pool, id)
    }

    fn limited(until_unix_ms: i64, window: Option<&str>) -> TokenReport {
        TokenReport::Limited { until_unix_ms, window: window.map(str::to_owned) }
    }

    fn until(facts: &[TokenFact]) -> Option<i64> {
        facts.first().and_then(|fact| fact.limited_until_unix_ms)
    }

    #[test]
    fn a_lock_whose_holder_is_stopped_is_waited_for_once_and_what_was_not_told_is_told_later() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut known, pool, id) = one_token(dir.path());
        let end = NOW + HOUR_MS;
        let holder = File::create(dir.path().join("tokens.lock")).expect("the lock");
        holder.lock().expect("it is free");
        for step in 0..1_000 {
            let facts = known.report(&pool, &id, &[limited(end - step, None), TokenReport::Refused], NOW + step);
            assert_eq!(until(&facts), Some(end - step));
        }
        assert_eq!(known.untold.len(), 2, "the last of each kind");
        assert!(known.no_wait_until_ms > NOW && known.no_wait_until_ms <= NOW + 1_000 + STOPPED_FOR_MS);
        let facts = known.read(&pool);
        assert_eq!((until(&facts), facts[0].refused), (Some(end - 999), true), "it holds for this run");
        drop(holder);
        known.report(&pool, &id, &[TokenReport::Windows(Vec::new())], NOW + 2_000);
        assert!(known.untold.is_empty());
        let told = SharedTokens::new(dir.path()).read().expect("the state");
        assert_eq!(told.get(&id).and_then(|state| state.limited_until_unix_ms), Some(end - 999));
    }

    #[test]
    fn what_cannot_be_told_is_merged_with_what_is_known_as_what_is_told() {
        let window = |used| WindowFact {
            name: "five_hour".to_owned(),
            utilization: used,
            resets_at_unix_s: Some((NOW + HOUR_MS) / 1_000),
        };
        let first = [TokenReport::Windows(vec![window(Some(0.7))]), limited(NOW + 3 * HOUR_MS, Some("seven_day"))];
        let second = [TokenReport::Windows(vec![window(None)]), limited(NOW + HOUR_MS, Some("five_hour"))];
        let known_when = |writable: bool| {
            let dir = tempfile::tempdir().expect("a directory");
            let (mut known, pool, id) = one_token(dir.path());
            known.report(&pool, &id, &first, NOW);
            if !writable {
                // A directory at the path of the new file makes writing fail.
                fs::create_dir_all(dir.path().join("tokens.json.new/full")).expect("mkdir");
            }
            known.report(&pool, &id, &second, NOW);
            assert_eq!(known.untold.is_empty(), writable);
            known.read(&pool)
        };
        let told = known_when(true);
        assert_eq!((until(&told), &told[0].windows), (Some(NOW + 3 * HOUR_MS), &vec![window(Some(0.7))]));
        assert_eq!(known_when(false), told);
    }
}
