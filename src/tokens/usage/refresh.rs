//! Asking for usage: by whoever needs to know, one process at a time, within the budget.

use std::fmt;
use std::io;
use std::time::Duration;

use secrecy::SecretString;

use super::super::credential::{Credential, CredentialKind, Fingerprint};
use super::super::fetch::FetchError;
use super::super::hosts::{HostError, Service};
use super::super::http::{Http, TIMEOUT};
use super::super::probe::{self, ProbeVerdict, Probed};
use super::super::shared::SharedTokens;
use super::account::{LoginFault, LoginPlace};
use super::cache::{Entry, UsageCache};
use super::endpoint::{self, Said};
use super::window::UsageWindow;
use super::{budget, endpoint::Account};
use crate::config::Provider;
use crate::core::TokenId;

/// How long another process's question is waited for: as long as it may take, and a little.
pub const OTHERS_WAIT: Duration = Duration::from_secs(2 * TIMEOUT.as_secs() + 2);

/// How far a question may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Also what costs something: a token that may not read its usage sends a message of one token, and a token's command
    /// is run.
    pub thorough: bool,
    /// How long to wait when another process is asking about the same token.
    pub wait: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Refreshed {
    /// There was an answer. It stands in the cache and in `tokens.json`.
    Learnt(Probed),
    /// It was asked not long ago, by this process or another. What was learnt then stands in the cache.
    NotDue {
        /// Unix milliseconds.
        again_unix_ms: i64,
    },
    /// Another process is asking just now.
    ByAnother,
    /// Nobody is to be asked.
    NotAsked(NotAsked),
    /// There was no answer, or none that says anything.
    Failed {
        /// Why, for the user.
        why: String,
        /// When it may be asked again, unix milliseconds.
        again_unix_ms: Option<i64>,
    },
}

/// Why nobody is asked about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAsked {
    /// Only the headers of answers tell, or the agent's events.
    OnlyAnswersTell,
    /// The endpoint has refused to tell: the token may not read its usage.
    Forbidden,
    /// The user means another host.
    Host(HostError),
    /// There is no login to ask with.
    Login(LoginFault),
    /// The token's command gave none.
    Fetch(FetchError),
}

impl fmt::Display for NotAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAsked::OnlyAnswersTell => f.write_str("its usage is told by the answers to it"),
            NotAsked::Forbidden => f.write_str("it may not read its usage, which the answers to it tell"),
            NotAsked::Host(error) => error.fmt(f),
            NotAsked::Login(fault) => fault.fmt(f),
            NotAsked::Fetch(error) => error.fmt(f),
        }
    }
}

/// Asks for usage and remembers it for all ccc processes of the user.
#[derive(Debug, Clone)]
pub struct Usage {
    http: Http,
    cache: UsageCache,
    tokens: SharedTokens,
    login: LoginPlace,
}

/// A token's value, and whether it may read its usage as far as it says so itself.
struct Value {
    token: SecretString,
    reads_usage: Option<bool>,
}

impl Usage {
    /// Keeps what it learns in these two files.
    #[must_use]
    pub fn new(http: Http, cache: UsageCache, tokens: SharedTokens, login: LoginPlace) -> Self {
        Self { http, cache, tokens, login }
    }

    /// Asks about a token unless it was asked not long ago. Blocks for as long as the answer and `ask.wait` take, so a
    /// loop calls it in a thread; nothing happens between calls.
    ///
    /// What is learnt stands in the cache and in `tokens.json` afterwards. A question is written down before it is sent,
    /// so that one who dies while asking uses up the budget all the same.
    #[must_use]
    pub fn refresh_if_due(&self, credential: &Credential, ask: Ask, now_unix_ms: i64) -> Refreshed {
        let has_account = credential.provider == Provider::Anthropic
            && matches!(credential.kind, CredentialKind::OAuth | CredentialKind::Login);
        if !ask.thorough && (!has_account || credential.needs_fetching()) {
            return Refreshed::NotAsked(NotAsked::OnlyAnswersTell);
        }
        let id = credential.id();
        let mut known = self.entry(&id);
        if let Some(again_unix_ms) = budget::again_at(&known, now_unix_ms) {
            // The answer is worth waiting for. When who asked has died, its lock is free.
            return match known.asking.then(|| self.cache.poll_lock(&id, ask.wait)) {
                Some(Ok(None)) => Refreshed::ByAnother,
                Some(Ok(Some(_)) | Err(_)) | None => Refreshed::NotDue { again_unix_ms },
            };
        }
        let _lock = match self.cache.poll_lock(&id, ask.wait) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Refreshed::ByAnother,
            Err(error) => return self.unrecorded(&error),
        };
        // Whoever had the lock may have asked.
        known = self.entry(&id);
        if let Some(again_unix_ms) = budget::again_at(&known, now_unix_ms) {
            return Refreshed::NotDue { again_unix_ms };
        }
        let value = match self.value(credential, now_unix_ms) {
            Ok(value) => value,
            Err(not_asked) => return Refreshed::NotAsked(not_asked),
        };
        let print = Fingerprint::of(&value.token);
        let endpoint = if !has_account {
            Err(NotAsked::OnlyAnswersTell)
        } else if value.reads_usage == Some(false) || known.forbidden_value.as_deref() == Some(print.as_str()) {
            Err(NotAsked::Forbidden)
        } else {
            self.http.hosts().base(Service::Usage).map(drop).map_err(NotAsked::Host)
        };
        if let (Err(not_asked), false) = (&endpoint, ask.thorough) {
            return Refreshed::NotAsked(not_asked.clone());
        }
        known.label.clone_from(&credential.label);
        known.kind = Some(credential.kind);
        budget::asking(&mut known, now_unix_ms);
        if let Err(error) = self.store(&id, &known) {
            return self.unrecorded(&error);
        }
        let refreshed = match endpoint {
            Ok(()) => self.by_endpoint(credential, &value.token, &mut known, ask.thorough, now_unix_ms),
            Err(_) => self.by_answer(credential, &value.token, &mut known, now_unix_ms),
        };
        known.asking = false;
        // What cannot be written is still told; the question itself is on record.
        let _ = self.store(&id, &known);
        if let Refreshed::Learnt(probed) = &refreshed {
            let reports = probed.reports(now_unix_ms);
            if !reports.is_empty() {
                let _ = self.tokens.report(credential, &reports, now_unix_ms);
            }
        }
        refreshed
    }

    fn by_endpoint(
        &self,
        credential: &Credential,
        token: &SecretString,
        known: &mut Entry,
        thorough: bool,
        now_unix_ms: i64,
    ) -> Refreshed {
        let said = match endpoint::ask(&self.http, token, now_unix_ms) {
            Ok(said) => said,
            Err(fault) => return failed(known, fault.to_string()),
        };
        match said {
            Said::Usage(account) => {
                let probed = probe::of_account(&account, now_unix_ms);
                budget::answered(known, now_unix_ms);
                let Account { windows, extra } = account;
                known.windows = windows;
                known.extra_usage = extra;
                known.forbidden_value = None;
                known.fault = None;
                Refreshed::Learnt(probed)
            }
            Said::Forbidden => {
                known.forbidden_value = Some(Fingerprint::of(token).as_str().to_owned());
                known.fault = None;
                if thorough {
                    return self.by_answer(credential, token, known, now_unix_ms);
                }
                Refreshed::NotAsked(NotAsked::Forbidden)
            }
            // Its CLI renews a login when it uses it, so it is not spoilt.
            Said::Refused if credential.kind == CredentialKind::Login => {
                failed(known, "the login is not accepted; run `claude`, which renews it".to_owned())
            }
            Said::Refused => {
                let probed = Probed { verdict: ProbeVerdict::Refused { status: 401 }, windows: Vec::new() };
                known.fault = Some(probed.verdict.to_string());
                Refreshed::Learnt(probed)
            }
            Said::TooOften => {
                budget::too_often(known, now_unix_ms);
                failed(known, "the usage endpoint was asked too often".to_owned())
            }
            Said::Failed(why) => failed(known, why),
        }
    }

    /// Asks by a question whose answer's headers tell.
    fn by_answer(
        &self,
        credential: &Credential,
        token: &SecretString,
        known: &mut Entry,
        now_unix_ms: i64,
    ) -> Refreshed {
        let probed = if credential.provider == Provider::Anthropic {
            probe::by_message(&self.http, credential.kind, token, now_unix_ms)
        } else {
            probe::probe(&self.http, credential, token, now_unix_ms)
        };
        match &probed.verdict {
            ProbeVerdict::Valid | ProbeVerdict::Limited { .. } | ProbeVerdict::Throttled { .. } => {
                budget::answered(known, now_unix_ms);
                for fact in &probed.windows {
                    known.windows.retain(|window| window.name != fact.name);
                    known.windows.push(UsageWindow::from(fact));
                }
                known.fault = None;
            }
            verdict @ (ProbeVerdict::Refused { .. }
            | ProbeVerdict::Unreachable { .. }
            | ProbeVerdict::Unknown { .. }) => {
                known.fault = Some(verdict.to_string());
            }
        }
        Refreshed::Learnt(probed)
    }

    fn value(&self, credential: &Credential, now_unix_ms: i64) -> Result<Value, NotAsked> {
        if credential.kind == CredentialKind::Login {
            let login = self.login.read().map_err(NotAsked::Login)?;
            if login.expires_at_unix_ms.is_some_and(|at| at <= now_unix_ms) {
                return Err(NotAsked::Login(LoginFault::Expired));
            }
            return Ok(Value { token: login.token, reads_usage: login.reads_usage });
        }
        match credential.value() {
            Ok(Some(token)) => Ok(Value { token, reads_usage: None }),
            Ok(None) => Err(NotAsked::OnlyAnswersTell),
            Err(error) => Err(NotAsked::Fetch(error)),
        }
    }

    fn entry(&self, id: &TokenId) -> Entry {
        self.cache.read().identities.remove(id).unwrap_or_default()
    }

    fn store(&self, id: &TokenId, entry: &Entry) -> io::Result<()> {
        self.cache.update(|file| {
            file.identities.insert(id.clone(), entry.clone());
        })
    }

    /// Without a record of its questions, ten processes would each ask for themselves.
    fn unrecorded(&self, error: &io::Error) -> Refreshed {
        let why = format!("{} cannot be written, so nothing is asked: {error}", self.cache.path().display());
        Refreshed::Failed { why, again_unix_ms: None }
    }
}

fn failed(known: &mut Entry, why: String) -> Refreshed {
    known.fault = Some(why.clone());
    Refreshed::Failed { why, again_unix_ms: known.next_unix_ms }
}
