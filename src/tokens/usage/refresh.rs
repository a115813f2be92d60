//! Asks for usage when a process needs to know it: one process at a time, within the budget.

use std::fmt;
use std::io;
use std::time::Duration;

use secrecy::SecretString;

use super::super::credential::{Credential, CredentialKind, Source};
use super::super::fetch::FetchError;
use super::super::fingerprint::Fingerprint;
use super::super::hosts::{HostError, Service};
use super::super::http::{Http, TIMEOUT};
use super::super::probe::{self, ProbeVerdict, Probed};
use super::super::shared::SharedTokens;
use super::account::{LoginFault, LoginPlace};
use super::cache::{Entry, LastVerdict, UsageCache};
use super::endpoint::{self, Said};
use super::window::UsageWindow;
use super::{budget, endpoint::Account};
use crate::config::Provider;
use crate::core::{TokenId, TokenReport};

/// How long another process's question is waited for: as long as it may take (usage, a message, a list of models), and a
/// little.
pub const OTHERS_WAIT: Duration = Duration::from_secs(3 * TIMEOUT.as_secs() + 2);

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

/// What is known of a token now that a verdict was wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    /// There is a verdict.
    Verdict {
        /// It, with the token's windows.
        probed: Probed,
        /// When the provider was asked, unix milliseconds.
        at_unix_ms: i64,
        /// It was asked before this call, by this process or another.
        kept: bool,
    },
    /// Another process is asking just now, and takes long.
    ByAnother,
    /// Nobody is to be asked.
    NotAsked(NotAsked),
    /// It could not be asked, for the user.
    Failed(String),
}

/// How far one question goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Nothing that costs something.
    Free,
    /// A token that may not read its usage sends a message.
    Thorough,
    /// Whatever the endpoint does not say, a message says.
    Verdict,
}

/// Why nobody is asked about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAsked {
    /// The agent's CLI runs the helper, not ccc.
    Helper,
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
            NotAsked::Helper => f.write_str(
                "the agent's CLI runs the helper by itself; put its command into `tokens` of the configuration to have it \
                 asked",
            ),
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

/// What is asked now, with the token's value at hand.
#[derive(Clone, Copy)]
struct Question<'a> {
    credential: &'a Credential,
    token: &'a SecretString,
    depth: Depth,
    now_unix_ms: i64,
}

impl Usage {
    /// Keeps what it learns in these two files.
    #[must_use]
    pub fn new(http: Http, cache: UsageCache, tokens: SharedTokens, login: LoginPlace) -> Self {
        Self { http, cache, tokens, login }
    }

    /// What asks the providers.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// Asks about a token unless it was asked not long ago. Blocks for as long as the answer and `ask.wait` take, so a
    /// loop calls it in a thread; nothing happens between calls.
    ///
    /// What is learnt stands in the cache and in `tokens.json` afterwards. A question is written down before it is sent,
    /// so that one who dies while asking uses up the budget all the same.
    #[must_use]
    pub fn refresh_if_due(&self, credential: &Credential, ask: Ask, now_unix_ms: i64) -> Refreshed {
        if !ask.thorough && (!has_account(credential) || credential.needs_fetching()) {
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
        // The process that had the lock may have asked.
        known = self.entry(&id);
        if let Some(again_unix_ms) = budget::again_at(&known, now_unix_ms) {
            return Refreshed::NotDue { again_unix_ms };
        }
        let depth = if ask.thorough { Depth::Thorough } else { Depth::Free };
        self.ask(credential, known, depth, now_unix_ms)
    }

    /// Says whether a token can be used: by what was learnt about it not long ago, else by asking. The usage endpoint is
    /// asked only when that is due; what it does not say, a message of one token does. Blocks like
    /// [`Usage::refresh_if_due`], and keeps what it learns as that does.
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
        // What another has said while it was waited for is an answer, even when it says little.
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

    /// Whether a verdict can be said again instead of asking.
    fn still_holds(&self, last: &LastVerdict, credential: &Credential, waited: bool, now_unix_ms: i64) -> bool {
        let age_ms = now_unix_ms.saturating_sub(last.at_unix_ms);
        // Who was waited for began when it liked; and a clock may have been set back.
        let is_recent = age_ms.saturating_abs() < budget::INTERVAL_MS;
        let says_something = match &last.said {
            ProbeVerdict::Valid | ProbeVerdict::Refused { .. } | ProbeVerdict::Limited { until_unix_ms: None, .. } => {
                true
            }
            ProbeVerdict::Limited { until_unix_ms: Some(until), .. } => *until > now_unix_ms,
            // The next moment may be better.
            ProbeVerdict::Throttled { .. } | ProbeVerdict::Unreachable { .. } | ProbeVerdict::Unknown { .. } => waited,
        };
        // A command's value is not known before the command has run, and is taken for the same.
        let same_value = credential.fingerprint.as_ref().is_none_or(|print| print.as_str() == last.value);
        let same_hosts = last.hosts == self.asked_at(credential);
        // A run may have heard the contrary since.
        let states = self.tokens.read().unwrap_or_default();
        let contradicted = states.get(&credential.id()).is_some_and(|state| {
            state.seen_unix_ms > last.at_unix_ms
                && last.said == ProbeVerdict::Valid
                && (state.limited_at(now_unix_ms).is_some() || state.is_refused(credential.fingerprint.as_ref()))
        });
        is_recent && says_something && same_value && same_hosts && !contradicted
    }

    /// Where a token is asked about. A base URL holds no secret: one with a password or a query is refused.
    fn asked_at(&self, credential: &Credential) -> String {
        let hosts = self.http.hosts();
        let url = |service| hosts.base(service).map_or_else(|_| String::new(), |base| base.join(""));
        let api = url(credential.service());
        if has_account(credential) { format!("{api} {}", url(Service::Usage)) } else { api }
    }

    /// Asks about a token, with its lock held.
    fn ask(&self, credential: &Credential, mut known: Entry, depth: Depth, now_unix_ms: i64) -> Refreshed {
        let id = credential.id();
        let value = match self.value(credential, now_unix_ms) {
            Ok(value) => value,
            Err(not_asked) => return Refreshed::NotAsked(not_asked),
        };
        let print = Fingerprint::of(&value.token);
        let again_unix_ms = budget::again_at(&known, now_unix_ms);
        let endpoint = if !has_account(credential) {
            Err(NotAsked::OnlyAnswersTell)
        } else if value.reads_usage == Some(false) || known.forbidden_value.as_deref() == Some(print.as_str()) {
            Err(NotAsked::Forbidden)
        } else {
            self.http.hosts().base(Service::Usage).map(drop).map_err(NotAsked::Host)
        };
        if let (Err(not_asked), Depth::Free) = (&endpoint, depth) {
            return Refreshed::NotAsked(not_asked.clone());
        }
        known.label.clone_from(&credential.label);
        known.kind = Some(credential.kind);
        if again_unix_ms.is_none() {
            budget::asking(&mut known, now_unix_ms);
        }
        // A pause of the endpoint stays as it is while something else is asked.
        known.asking = true;
        if let Err(error) = self.store(&id, &known) {
            return self.unrecorded(&error);
        }
        let question = Question { credential, token: &value.token, depth, now_unix_ms };
        let refreshed = if endpoint.is_ok() && again_unix_ms.is_none() {
            self.by_endpoint(question, &mut known)
        } else {
            self.by_answer(question, &mut known)
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
        // What cannot be written is still told; the question itself is on record.
        let _ = self.store(&id, &known);
        if let Refreshed::Learnt(probed) = &refreshed {
            let reports = reports_of(credential, probed, now_unix_ms);
            if !reports.is_empty() {
                let _ = self.tokens.report(credential, &reports, now_unix_ms);
            }
        }
        refreshed
    }

    fn by_endpoint(&self, question: Question<'_>, known: &mut Entry) -> Refreshed {
        let Question { credential, token, depth, now_unix_ms } = question;
        let said = match endpoint::ask(&self.http, token, now_unix_ms) {
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
            // Its CLI renews a login when it uses it, so it is not spoilt.
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

    /// The endpoint said nothing of use: where a verdict is wanted, a message tells.
    fn unsaid(&self, question: Question<'_>, known: &mut Entry, why: String) -> Refreshed {
        if question.depth != Depth::Verdict {
            return failed(known, why);
        }
        let refreshed = self.by_answer(question, known);
        known.fault.get_or_insert(why);
        refreshed
    }

    /// Asks by a question whose answer's headers tell.
    fn by_answer(&self, question: Question<'_>, known: &mut Entry) -> Refreshed {
        let Question { credential, token, now_unix_ms, depth: _ } = question;
        let probed = if credential.provider == Provider::Anthropic {
            probe::by_message(&self.http, credential, token, now_unix_ms)
        } else {
            probe::probe(&self.http, credential, token, now_unix_ms)
        };
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

    /// Without a record of its questions, ten processes would each ask for themselves.
    fn unrecorded(&self, error: &io::Error) -> Refreshed {
        Refreshed::Failed { why: self.unwritable(error), again_unix_ms: None }
    }

    fn unwritable(&self, error: &io::Error) -> String {
        format!("{} cannot be written, so nothing is asked: {error}", self.cache.path().display())
    }
}

/// Whether the usage endpoint knows tokens of this kind.
fn has_account(credential: &Credential) -> bool {
    credential.provider == Provider::Anthropic
        && matches!(credential.kind, CredentialKind::OAuth | CredentialKind::Login)
}

/// What all ccc should know. A login that is refused is exchanged by the agent's CLI, so its refusal says nothing about
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
