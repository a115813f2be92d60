//! The tokens of a real run: their values for a child's environment, and what all ccc processes of the user know about them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use secrecy::SecretString;

use super::inbox::{Event, Inbox};
use crate::agent::Say;
use crate::config::Env;
use crate::core::{ProcId, TokenFact, TokenId, TokenReport};
use crate::process::Cancel;
use crate::tokens::{Credential, Hosts, Http, Knowledge, Pool, SharedTokens, probe};
use redaction::Redactor;

/// Stack of the threads that fetch and probe; TLS needs more than the other threads.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// What a fetched value is for.
#[derive(Debug)]
pub(super) enum FetchedFor {
    /// This process starts with it.
    Spawn(ProcId),
    /// This live process switches to it.
    Exchange(ProcId),
}

/// See the module. Its `Debug` shows no value, since [`SecretString`] and [`Credential`] show none.
#[derive(Debug)]
pub struct Credentials {
    pool: Pool,
    ledger: Arc<Mutex<TokenRecords>>,
    /// Values that commands returned; cached, because password managers ask their user each time.
    fetched: BTreeMap<TokenId, SecretString>,
    /// Hosts and proxy for probes; without them no provider is asked.
    ask: Option<(Hosts, Env)>,
}

/// What is known about the tokens of the run. Access waits for a file and its lock, so a worker does it, not the loop.
#[derive(Debug)]
pub(super) struct TokenRecords {
    pool: Pool,
    known: Knowledge,
}

impl TokenRecords {
    /// All tokens with their current state.
    pub(super) fn read(&mut self) -> Vec<TokenFact> {
        self.known.read(&self.pool)
    }

    /// Reports a token to all ccc processes of the user; returns the state afterwards.
    pub(super) fn report(&mut self, id: &TokenId, reports: &[TokenReport], now_unix_ms: i64) -> Vec<TokenFact> {
        self.known.report(&self.pool, id, reports, now_unix_ms)
    }
}

/// A token's value, if it is available.
pub(super) enum Value {
    /// Available; `None` where the agent's CLI finds it by itself.
    Ready(Option<SecretString>),
    /// A command must return it.
    ToFetch(Credential),
}

impl Credentials {
    /// The credentials of a run. `ask` holds the hosts and the proxy for probes; without it no provider is asked.
    #[must_use]
    pub fn new(pool: Pool, shared: SharedTokens, ask: Option<(Hosts, Env)>) -> Credentials {
        let ledger = TokenRecords { pool: pool.clone(), known: Knowledge::new(shared) };
        Credentials { pool, ledger: Arc::new(Mutex::new(ledger)), fetched: BTreeMap::new(), ask }
    }

    pub(super) fn ledger(&self) -> Arc<Mutex<TokenRecords>> {
        Arc::clone(&self.ledger)
    }

    /// All tokens with their current state. Waits for the disk.
    #[must_use]
    pub fn read(&self) -> Vec<TokenFact> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).read()
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

    /// The warning, given once, for a newly fetched value that the redactor cannot hide.
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

    /// The line that swaps the credential of a live process; `None` when this one cannot be swapped.
    pub(super) fn exchange_line(
        &self,
        id: &TokenId,
        encode: impl FnOnce(&Say<'_>) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        self.pool.get(id)?.exchange_line(self.fetched.get(id), encode)
    }

    /// Asks the provider about a token on a separate thread; the answer comes as an event. No event comes when the provider
    /// cannot be asked. The HTTP client is made on that thread: it loads certificates, which a run without probes does not
    /// need.
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

    /// A redactor that knows the values of all tokens, including the fetched ones.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.pool.redactor_with(self.fetched.values())
    }
}

/// Fetches a value by its command on a separate thread, until `cancel` fires. The result comes as an event.
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
