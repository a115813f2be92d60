//! The tokens of the run in the real world: their values on the way into a child's environment, and what all ccc
//! processes of the user know about them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::mem::discriminant;
use std::thread;
use std::time::Duration;

use secrecy::SecretString;

use super::inbox::{Event, Inbox};
use crate::agent::Say;
use crate::config::Env;
use crate::core::policy::learn;
use crate::core::{ProcId, TokenFact, TokenId, TokenReport};
use crate::journal::Redactor;
use crate::process::Cancel;
use crate::tokens::{Credential, Hosts, Http, Pool, SharedTokens, TokenStates, probe};

/// Stack of the threads that fetch and probe; TLS is deeper than the rest.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// How long the run's loop waits for the lock of the shared state, which is held for some milliseconds.
const LOCK_WAIT: Duration = Duration::from_millis(250);
/// When it was not to be had, its holder may have been stopped: for so long nobody waits for it again, in milliseconds.
const STOPPED_FOR_MS: i64 = 30_000;

/// What a fetched value is for.
#[derive(Debug)]
pub(super) enum FetchedFor {
    /// This process is to be started with it.
    Spawn(ProcId),
    /// This live process is to go on with it.
    Exchange(ProcId),
}

/// See the module. Its `Debug` shows no value, since [`SecretString`] and [`Credential`] show none.
#[derive(Debug)]
pub struct Credentials {
    pool: Pool,
    shared: SharedTokens,
    /// What was known last: used as it is when the shared file cannot be had.
    states: TokenStates,
    /// What could not be told to the others: it holds for this run, and is told with the next report that gets through. Of
    /// each token the last report of each kind.
    untold: Vec<(TokenId, TokenReport)>,
    /// Until then the lock is asked for and not waited for, unix milliseconds.
    no_wait_until_ms: i64,
    /// Values that a command gave; kept, since password managers ask their user each time.
    fetched: BTreeMap<TokenId, SecretString>,
    /// Where providers are asked; without it none is.
    ask: Option<(Hosts, Env)>,
}

/// A token's value, as far as it is at hand.
pub(super) enum Value {
    /// It is; `None` where the agent's CLI finds it by itself.
    Ready(Option<SecretString>),
    /// A command gives it.
    ToFetch(Credential),
}

impl Credentials {
    /// The credentials of a run. `ask` says where providers are asked, and with which proxy; without it none is.
    #[must_use]
    pub fn new(pool: Pool, shared: SharedTokens, ask: Option<(Hosts, Env)>) -> Credentials {
        let states = TokenStates::default();
        Credentials {
            pool,
            shared,
            states,
            untold: Vec::new(),
            no_wait_until_ms: i64::MIN,
            fetched: BTreeMap::new(),
            ask,
        }
    }

    /// All tokens with what is known by now.
    pub fn read(&mut self) -> Vec<TokenFact> {
        match self.shared.read() {
            Ok(states) => self.states = states,
            Err(error) => tracing::warn!(%error, "the shared state of the tokens cannot be read"),
        }
        self.facts()
    }

    /// Tells all ccc processes of the user about a token; gives what is known then.
    pub(super) fn report(&mut self, id: &TokenId, reports: &[TokenReport], now_unix_ms: i64) -> Vec<TokenFact> {
        let Some(credential) = self.pool.get(id) else { return self.read() };
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
        self.facts()
    }

    fn facts(&self) -> Vec<TokenFact> {
        let mut facts = self.pool.facts(&self.states);
        for (id, report) in &self.untold {
            if let Some(fact) = facts.iter_mut().find(|fact| fact.id == *id) {
                learn(fact, report);
            }
        }
        facts
    }

    /// The value of a token.
    pub(super) fn value(&self, id: Option<&TokenId>) -> Value {
        let Some(credential) = id.and_then(|id| self.pool.get(id)) else { return Value::Ready(None) };
        match credential.held_value().or_else(|| self.fetched.get(&credential.id())) {
            Some(value) => Value::Ready(Some(value.clone())),
            None if credential.needs_fetching() => Value::ToFetch(credential.clone()),
            None => Value::Ready(None),
        }
    }

    /// What to say once about a value that was fetched for the first time and that no redactor hides.
    pub(super) fn unhidden(&self, id: &TokenId, value: &SecretString) -> Option<String> {
        let credential = self.pool.get(id).filter(|_| !self.fetched.contains_key(id))?;
        credential.unhidden(value)
    }

    /// Keeps a fetched value.
    pub(super) fn keep(&mut self, id: TokenId, value: SecretString) {
        self.fetched.insert(id, value);
    }

    /// The environment of a child with this token and no other.
    #[must_use]
    pub fn child_env(&self, base: &[(OsString, OsString)], id: Option<&TokenId>) -> Vec<(OsString, OsString)> {
        let change = match id {
            Some(id) => self.pool.child_env(id, self.fetched.get(id)),
            None => self.pool.child_env_without(),
        };
        change.apply(base.iter().cloned())
    }

    /// The line that exchanges the credential of a live process; `None` when this one cannot be exchanged.
    pub(super) fn exchange_line(
        &self,
        id: &TokenId,
        encode: impl FnOnce(&Say<'_>) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        self.pool.get(id)?.exchange_line(self.fetched.get(id), encode)
    }

    /// Asks the provider about a token, in a thread of its own; what it says comes as an event. Nothing comes when it
    /// cannot be asked. The client is made there: it reads certificates, which a run that asks nobody need not pay for.
    pub(super) fn probe(&self, id: &TokenId, inbox: Inbox, now_unix_ms: i64) {
        let (Some(credential), Some((hosts, env))) = (self.pool.get(id).cloned(), self.ask.clone()) else { return };
        let Value::Ready(Some(value)) = self.value(Some(id)) else { return };
        let body = move || {
            let probed = probe(&Http::new(hosts, &env), &credential, &value, now_unix_ms);
            tracing::debug!(token = %credential.id(), verdict = %probed.verdict, "asked the provider");
            inbox.post(Event::Probed { token: credential.id(), reports: probed.reports(now_unix_ms) });
        };
        start("probe", body);
    }

    /// A redactor that knows the values of all tokens, the fetched ones among them.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.pool.redactor_with(self.fetched.values())
    }
}

/// Fetches a value by its command, in a thread of its own, until `cancel` says that nobody waits for it any more. What
/// came of it comes as an event.
pub(super) fn fetch(credential: Credential, inbox: Inbox, cancel: Cancel) {
    let (token, without) = (credential.id(), inbox.clone());
    let body = move || {
        let value = credential.value_unless(&cancel).map_err(|error| error.to_string());
        inbox.post(Event::Fetched { token: credential.id(), value });
    };
    if !start("fetch", body) {
        without.post(Event::Fetched { token, value: Err("there is no thread to fetch it".to_owned()) });
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> bool {
    let started = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(body);
    if let Err(error) = &started {
        tracing::warn!(%error, "no thread for {name}");
    }
    started.is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use secrecy::SecretString;

    use super::{Credentials, STOPPED_FOR_MS};
    use crate::config::Env;
    use crate::core::{TokenFact, TokenId, TokenReport};
    use crate::tokens::{Credential, CredentialKind, Pool, Provider, SharedTokens};

    const NOW: i64 = 1_795_000_000_000;

    fn credentials(dir: &Path) -> (Credentials, TokenId) {
        let key = SecretString::from("sk-ant-made-up-first");
        let credential = Credential::held("a key", CredentialKind::ApiKey, Provider::Anthropic, key);
        let id = credential.id();
        let pool = Pool::of(vec![credential], &Env::default(), Provider::Anthropic);
        (Credentials::new(pool, SharedTokens::new(dir), None), id)
    }

    #[test]
    fn a_lock_whose_holder_is_stopped_is_waited_for_once_and_what_was_not_told_is_told_later() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut credentials, id) = credentials(dir.path());
        let until = NOW + 3_600_000;
        let limited = |until_unix_ms| TokenReport::Limited { until_unix_ms, window: None };
        let holder = File::create(dir.path().join("tokens.lock")).expect("the lock");
        holder.lock().expect("it is free");
        for step in 0..1_000 {
            let facts = credentials.report(&id, &[limited(until - step), TokenReport::Refused], NOW + step);
            assert_eq!(facts.first().and_then(|fact: &TokenFact| fact.limited_until_unix_ms), Some(until - step));
        }
        assert_eq!(credentials.untold.len(), 2, "the last of each kind");
        assert!(credentials.no_wait_until_ms > NOW && credentials.no_wait_until_ms <= NOW + 1_000 + STOPPED_FOR_MS);
        drop(holder);
        credentials.report(&id, &[TokenReport::Windows(Vec::new())], NOW + 2_000);
        assert!(credentials.untold.is_empty());
        let told = SharedTokens::new(dir.path()).read().expect("the state");
        assert_eq!(told.get(&id).and_then(|state| state.limited_until_unix_ms), Some(until - 999));
    }
}
