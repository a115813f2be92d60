//! Queries usage on demand: one process at a time, within the budget.

use std::fmt;
use std::io;
use std::time::Duration;

use secrecy::SecretString;

use super::super::credential::{Credential, CredentialKind, Source};
use super::super::fetch::FetchError;
use super::super::fingerprint::Fingerprint;
use super::super::hosts::HostError;
use super::super::http::{Http, TIMEOUT};
use super::super::offers::UsageEndpoint;
use super::super::probe::{self, ProbeVerdict, Probed};
use super::super::shared::SharedTokens;
use super::account::{LoginFault, LoginPlace};
use super::budget;
use super::cache::{Entry, LastVerdict, UsageCache};
use super::endpoint::{self, Said};
use super::statement::Account;
use super::window::UsageWindow;
use crate::core::{TokenId, TokenReport};

/// How long to wait for another process's query: as long as it may take (usage, a message, a list of models), and a
/// little more.
pub const OTHERS_WAIT: Duration = Duration::from_secs(3 * TIMEOUT.as_secs() + 2);

/// What a query may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// It may have a cost: a token that may not read its usage sends a message of one token, and a token's command is
    /// run.
    pub thorough: bool,
    /// How long to wait while another process queries the same token.
    pub wait: Duration,
}

/// The result of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Refreshed {
    /// There was an answer. It is stored in the cache and in `tokens.json`.
    Learnt(Probed),
    /// This or another process queried it recently. The result is in the cache.
    NotDue {
        /// When it may be queried again, unix milliseconds.
        again_unix_ms: i64,
    },
    /// Another process is querying it now.
    ByAnother,
    /// It must not be queried.
    NotAsked(NotAsked),
    /// There was no answer, or no meaningful one.
    Failed {
        /// Why, for the user.
        why: String,
        /// When it may be queried again, unix milliseconds.
        again_unix_ms: Option<i64>,
    },
}

/// The result of a request for a verdict.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// There is a verdict.
    Verdict {
        /// The verdict, with the token's windows.
        probed: Probed,
        /// When the provider was queried, unix milliseconds.
        at_unix_ms: i64,
        /// The query was made before this call, by this process or another.
        kept: bool,
    },
    /// Another process is querying it now and has not finished in time.
    ByAnother,
    /// It must not be queried.
    NotAsked(NotAsked),
    /// It could not be queried; why, for the user.
    Failed(String),
}

/// The depth of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Nothing that has a cost.
    Free,
    /// A token that may not read its usage sends a message.
    Thorough,
    /// A message is sent whenever the endpoint does not answer the question.
    Verdict,
}

/// Why a token is not queried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAsked {
    /// The agent's CLI runs the helper, not ccc.
    Helper,
    /// Only answers' headers or the agent's events report its usage.
    OnlyAnswersTell,
    /// The endpoint has refused: the token may not read its usage.
    Forbidden,
    /// No host is chosen, or it is invalid.
    Host(HostError),
    /// There is no usable login.
    Login(LoginFault),
    /// The token's command printed none.
    Fetch(FetchError),
}

impl fmt::Display for NotAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotAsked::Helper => f.write_str(
                "only the agent's CLI runs this helper; to have its token checked, put the command into `tokens` of the \
                 configuration",
            ),
            NotAsked::OnlyAnswersTell => f.write_str("its usage is known only from the answers to its requests"),
            NotAsked::Forbidden => f.write_str("it may not read its usage; usage is known only from the answers to its requests"),
            NotAsked::Host(error) => error.fmt(f),
            NotAsked::Login(fault) => fault.fmt(f),
            NotAsked::Fetch(error) => error.fmt(f),
        }
    }
}

/// Queries usage and stores it for all ccc processes of the user.
#[derive(Debug, Clone)]
pub struct Usage {
    http: Http,
    cache: UsageCache,
    tokens: SharedTokens,
    login: LoginPlace,
}

/// A token's value, and whether it may read its usage, if it says so itself.
struct Value {
    token: SecretString,
    reads_usage: Option<bool>,
}

/// The current query, with the token's value.
#[derive(Clone, Copy)]
struct Question<'a> {
    credential: &'a Credential,
    token: &'a SecretString,
    depth: Depth,
    now_unix_ms: i64,
}

impl Usage {
    /// Stores its results in these two files.
    #[must_use]
    pub fn new(http: Http, cache: UsageCache, tokens: SharedTokens, login: LoginPlace) -> Self {
        Self { http, cache, tokens, login }
    }

    /// The HTTP client.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Queries a token unless it was queried recently. Blocks until the answer comes, and for `ask.wait`, so a loop
    /// calls it in a thread; nothing happens between calls.
    ///
    /// The result is stored in the cache and in `tokens.json`. A request is recorded before it is sent, so a process
    /// that dies while asking still uses up the budget.
    #[must_use]
    pub fn refresh_if_due(&self, credential: &Credential, ask: Ask, now_unix_ms: i64) -> Refreshed {
        if !ask.thorough && (credential.usage_endpoint().is_none() || credential.needs_fetching()) {
            return Refreshed::NotAsked(NotAsked::OnlyAnswersTell);
        }
        let id = credential.id();
        let mut known = self.entry(&id);
        if let Some(again_unix_ms) = budget::again_at(&known, now_unix_ms) {
            // It is worth waiting for the answer. If the asking process has died, its lock is free.
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
        // The process that held the lock may have sent a query.
        known = self.entry(&id);
        if let Some(again_unix_ms) = budget::again_at(&known, now_unix_ms) {
            return Refreshed::NotDue { again_unix_ms };
        }
        let depth = if ask.thorough { Depth::Thorough } else { Depth::Free };
        self.ask(credential, known, depth, now_unix_ms)
    }

    /// Says whether a token can be used: from a recent result if there is one, otherwise by a query. The usage
    /// endpoint is queried only when due; if it does not answer the question, a message of one token does. Blocks
    /// like [`Usage::refresh_if_due`], and stores its results likewise.
    #[must_use]
    pub fn verdict(&self, credential: &Credential, wait: Duration, now_unix_ms: i64) -> Judged {
        if let Source::Agent(seen) = &credential.source {
            if credential.kind == CredentialKind::Helper {
                return Judged::NotAsked(NotAsked::Helper);
            }
            if seen.as_ref().and_then(|seen| seen.expires_at_unix_ms).is_some_and(|at| at <= now_unix_ms) {
                return Judged::NotAsked(NotAsked::Login(LoginFault::Expired));
            }
        }
        let id = credential.id();
        let (lock, waited) = match self.cache.poll_lock(&id, Duration::ZERO) {
            Ok(None) => (self.cache.poll_lock(&id, wait), true),
            lock => (lock, false),
        };
        let known = self.entry(&id);
        // If another process was waited for, its verdict is used even when it says little.
        let kept = known.verdict.as_ref().filter(|last| self.still_holds(last, credential, waited, now_unix_ms));
        if let Some(last) = kept {
            let windows = known.windows.iter().map(|window| window.at(now_unix_ms).fact()).collect();
            let probed = Probed { verdict: last.said.clone(), windows, tells_of_limits: false };
            return Judged::Verdict { probed, at_unix_ms: last.at_unix_ms, kept: true };
        }
        let _lock = match lock {
            Ok(Some(lock)) => lock,
            Ok(None) => return Judged::ByAnother,
            Err(error) => return Judged::Failed(self.unwritable(&error)),
        };
        match self.ask(credential, known, Depth::Verdict, now_unix_ms) {
            Refreshed::Learnt(probed) => Judged::Verdict { probed, at_unix_ms: now_unix_ms, kept: false },
            Refreshed::NotAsked(why) => Judged::NotAsked(why),
            Refreshed::Failed { why, .. } => Judged::Failed(why),
            Refreshed::ByAnother | Refreshed::NotDue { .. } => Judged::ByAnother,
        }
    }

    /// Whether a stored verdict can be used instead of a query.
    fn still_holds(&self, last: &LastVerdict, credential: &Credential, waited: bool, now_unix_ms: i64) -> bool {
        let age_ms = now_unix_ms.saturating_sub(last.at_unix_ms);
        // The other process may have begun at any time, and a clock may have been set back.
        let is_recent = age_ms.saturating_abs() < budget::INTERVAL_MS;
        let says_something = match &last.said {
            ProbeVerdict::Valid | ProbeVerdict::Refused { .. } | ProbeVerdict::Limited { until_unix_ms: None, .. } => {
                true
            }
            ProbeVerdict::Limited { until_unix_ms: Some(until), .. } => *until > now_unix_ms,
            // These may change at any moment.
            ProbeVerdict::Throttled { .. } | ProbeVerdict::Unreachable { .. } | ProbeVerdict::Unknown { .. } => waited,
        };
        // A command's value is not known before the command has run, and counts as unchanged.
        let same_value = credential.fingerprint.as_ref().is_none_or(|print| print.as_str() == last.value);
        let same_hosts = last.hosts == self.asked_at(credential);
        // A run may have received the opposite since.
        let states = self.tokens.read().unwrap_or_default();
        let contradicted = states.get(&credential.id()).is_some_and(|state| {
            state.seen_unix_ms > last.at_unix_ms
                && last.said == ProbeVerdict::Valid
                && (state.limited_at(now_unix_ms).is_some() || state.is_refused(credential.fingerprint.as_ref()))
        });
        is_recent && says_something && same_value && same_hosts && !contradicted
    }

    /// The base URLs of a token's queries. They contain no secret: a URL with a password or a query is refused.
    fn asked_at(&self, credential: &Credential) -> String {
        let hosts = self.http.hosts();
        let url = |service| hosts.base(service).map_or_else(|_| String::new(), |base| base.join(""));
        let api = url(credential.service());
        credential.usage_endpoint().map_or_else(|| api.clone(), |usage| format!("{api} {}", url(usage.service)))
    }

    /// Queries a token. Requires its lock.
    fn ask(&self, credential: &Credential, mut known: Entry, depth: Depth, now_unix_ms: i64) -> Refreshed {
        let id = credential.id();
        let value = match self.value(credential, now_unix_ms) {
            Ok(value) => value,
            Err(not_asked) => return Refreshed::NotAsked(not_asked),
        };
        let print = Fingerprint::of(&value.token);
        let again_unix_ms = budget::again_at(&known, now_unix_ms);
        let endpoint = match credential.usage_endpoint() {
            None => Err(NotAsked::OnlyAnswersTell),
            Some(_) if value.reads_usage == Some(false) || known.forbidden_value.as_deref() == Some(print.as_str()) => {
                Err(NotAsked::Forbidden)
            }
            Some(endpoint) => self.http.hosts().base(endpoint.service).map(|_| endpoint).map_err(NotAsked::Host),
        };
        if let (Err(not_asked), Depth::Free) = (&endpoint, depth) {
            return Refreshed::NotAsked(not_asked.clone());
        }
        known.label.clone_from(&credential.label);
        known.kind = Some(credential.kind);
        if again_unix_ms.is_none() {
            budget::asking(&mut known, now_unix_ms);
        }
        // The endpoint's backoff does not change when only a message is sent.
        known.asking = true;
        if let Err(error) = self.store(&id, &known) {
            return self.unrecorded(&error);
        }
        let question = Question { credential, token: &value.token, depth, now_unix_ms };
        let refreshed = match endpoint {
            Ok(endpoint) if again_unix_ms.is_none() => self.by_endpoint(endpoint, question, &mut known),
            Ok(_) | Err(_) => self.by_answer(question, &mut known),
        };
        known.asking = false;
        if let Refreshed::Learnt(probed) = &refreshed {
            known.verdict = Some(LastVerdict {
                said: probed.verdict.clone(),
                at_unix_ms: now_unix_ms,
                value: print.as_str().to_owned(),
                hosts: self.asked_at(credential),
            });
        }
        // The result is returned even if it cannot be stored; the request itself is on record.
        let _ = self.store(&id, &known);
        if let Refreshed::Learnt(probed) = &refreshed {
            let reports = reports_of(credential, probed, now_unix_ms);
            if !reports.is_empty() {
                let _ = self.tokens.report(credential, &reports, now_unix_ms);
            }
        }
        refreshed
    }

    fn by_endpoint(&self, usage_endpoint: &UsageEndpoint, question: Question<'_>, known: &mut Entry) -> Refreshed {
        let Question { credential, token, depth, now_unix_ms } = question;
        let said = match endpoint::ask(&self.http, usage_endpoint, token, now_unix_ms) {
            Ok(said) => said,
            Err(fault) if depth == Depth::Verdict => {
                known.fault = Some(fault.to_string());
                return Refreshed::Learnt(probe::unreachable_by(&fault));
            }
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
                if depth != Depth::Free {
                    return self.by_answer(question, known);
                }
                Refreshed::NotAsked(NotAsked::Forbidden)
            }
            // The CLI renews a login when it uses it, so the login is not permanently refused.
            Said::Refused if credential.kind == CredentialKind::Login && depth != Depth::Verdict => {
                failed(known, "the login is not accepted; run `claude`, which renews it".to_owned())
            }
            Said::Refused => {
                let probed = Probed {
                    verdict: ProbeVerdict::Refused { status: 401 },
                    windows: Vec::new(),
                    tells_of_limits: false,
                };
                known.fault = Some(probed.verdict.to_string());
                Refreshed::Learnt(probed)
            }
            Said::TooOften => {
                budget::too_often(known, now_unix_ms);
                self.unsaid(question, known, "the usage endpoint was asked too often".to_owned())
            }
            Said::Failed(why) => self.unsaid(question, known, why),
        }
    }

    /// The endpoint gave no useful answer: if a verdict is needed, a message is sent.
    fn unsaid(&self, question: Question<'_>, known: &mut Entry, why: String) -> Refreshed {
        if question.depth != Depth::Verdict {
            return failed(known, why);
        }
        let refreshed = self.by_answer(question, known);
        known.fault.get_or_insert(why);
        refreshed
    }

    /// Sends a request whose answer's headers report the limits.
    fn by_answer(&self, question: Question<'_>, known: &mut Entry) -> Refreshed {
        let Question { credential, token, now_unix_ms, depth: _ } = question;
        let probed = probe::by_answer(&self.http, credential, token, now_unix_ms);
        match &probed.verdict {
            ProbeVerdict::Valid | ProbeVerdict::Limited { .. } | ProbeVerdict::Throttled { .. } => {
                known.fetched_unix_ms = Some(now_unix_ms);
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

    /// Without a record of its requests, ten processes would each send their own.
    fn unrecorded(&self, error: &io::Error) -> Refreshed {
        Refreshed::Failed { why: self.unwritable(error), again_unix_ms: None }
    }

    fn unwritable(&self, error: &io::Error) -> String {
        format!("{} cannot be written, so nothing is asked: {error}", self.cache.path().display())
    }
}

/// What to share with all ccc processes. The agent's CLI refreshes a refused login, so its refusal says nothing about
/// the next time.
#[must_use]
pub fn reports_of(credential: &Credential, probed: &Probed, now_unix_ms: i64) -> Vec<TokenReport> {
    let mut reports = probed.reports(now_unix_ms);
    if credential.kind == CredentialKind::Login {
        reports.retain(|report| *report != TokenReport::Refused);
    }
    reports
}

fn failed(known: &mut Entry, why: String) -> Refreshed {
    known.fault = Some(why.clone());
    Refreshed::Failed { why, again_unix_ms: known.next_unix_ms }
}
