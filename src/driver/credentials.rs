//! The tokens of the run in the real world: their values on the way into a child's environment, and what all ccc
//! processes of the user know about them.

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

/// Stack of the threads that fetch and probe; TLS is deeper than the rest.
const STACK_BYTES: usize = 2 * 1024 * 1024;

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
    ledger: Arc<Mutex<Ledger>>,
    /// Values that a command gave; kept, since password managers ask their user each time.
    fetched: BTreeMap<TokenId, SecretString>,
    /// Where providers are asked; without it none is.
    ask: Option<(Hosts, Env)>,
}

/// What is known about the tokens of the run. It waits for a file and its lock, so the loop leaves it to a worker.
#[derive(Debug)]
pub(super) struct Ledger {
    pool: Pool,
    known: Knowledge,
}

impl Ledger {
    /// All tokens with what is known by now.
    pub(super) fn read(&mut self) -> Vec<TokenFact> {
        self.known.read(&self.pool)
    }

    /// Tells all ccc processes of the user about a token; gives what is known then.
    pub(super) fn report(&mut self, id: &TokenId, reports: &[TokenReport], now_unix_ms: i64) -> Vec<TokenFact> {
        self.known.report(&self.pool, id, reports, now_unix_ms)
    }
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
        let ledger = Ledger { pool: pool.clone(), known: Knowledge::new(shared) };
        Credentials { pool, ledger: Arc::new(Mutex::new(ledger)), fetched: BTreeMap::new(), ask }
    }

    pub(super) fn ledger(&self) -> Arc<Mutex<Ledger>> {
        Arc::clone(&self.ledger)
    }

    /// All tokens with what is known by now. Waits for the disk.
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
