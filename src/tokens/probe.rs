//! Checks with one cheap request whether a provider accepts a token.
//!
//! - For an OAuth token that may read its usage, the usage endpoint is queried; that is free and starts no window.
//! - Other Anthropic tokens send a message of one token to the cheapest model. `count_tokens` would be free, but has
//!   its own limits: its answer says nothing about the message limits, which a run needs. If the host does not know
//!   the model (a gateway), the list of models at least says whether the token is accepted.
//! - The other providers are asked for their list of models.
//!
//! Only status, headers and structured fields count, never an answer's text. No request is repeated.

use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Credential;
use super::http::{Answer, Http, HttpFault, Question};
use super::offers::{self, Asked};
use super::rate_headers::{self, RateHeaders, Unified};
use super::usage::{self, Account, FIVE_HOUR, SEVEN_DAY, Said};
use crate::core::policy::announced_reset;
use crate::core::{TokenReport, WindowFact};
use crate::json::from_json;

/// From this wait on a 429 means a reached limit and not throttling, in milliseconds. Buckets of requests and tokens
/// per minute refill within a minute; a longer wait means a window of hours or a spending limit, for which another
/// token helps and waiting does not.
pub const QUOTA_RETRY_AFTER_MS: u64 = 60_000;

/// The cheapest model for messages.
const PROBE_MODEL: &str = "claude-haiku-4-5";

/// A provider's verdict on a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum ProbeVerdict {
    /// It is accepted.
    Valid,
    /// It is limited.
    Limited {
        /// Until then, unix milliseconds, if known.
        until_unix_ms: Option<i64>,
        /// The window whose limit is reached, if known.
        window: Option<String>,
    },
    /// Too many requests at this moment; its limit is not reached.
    Throttled {
        /// For this long, in milliseconds, if known.
        retry_after_ms: Option<u64>,
    },
    /// It is not accepted.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// There was no answer, or the provider failed.
    Unreachable {
        /// Why, for the user.
        why: String,
    },
    /// The answer says nothing about the token.
    Unknown {
        /// Why, for the user.
        why: String,
    },
}

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probed {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: ProbeVerdict,
    /// Its windows, as far as the answer reported them.
    pub windows: Vec<WindowFact>,
    /// A limited token would have been rejected. That does not hold for a list of models, or for an account that
    /// reports no window: for those, *valid* only means that the token is accepted.
    #[serde(skip)]
    pub tells_of_limits: bool,
}

impl fmt::Display for ProbeVerdict {
    /// As text, without times: the caller adds those, because it knows the time zone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeVerdict::Valid => f.write_str("ready"),
            ProbeVerdict::Limited { .. } => f.write_str("limited"),
            ProbeVerdict::Throttled { .. } => f.write_str("throttled for a moment"),
            ProbeVerdict::Refused { status } => write!(f, "refused (HTTP {status})"),
            ProbeVerdict::Unreachable { why } => write!(f, "not reached: {why}"),
            ProbeVerdict::Unknown { why } => write!(f, "unknown: {why}"),
        }
    }
}

impl Probed {
    /// The same for an answer that a limited token would also have got.
    fn of_acceptance(self) -> Self {
        Self { tells_of_limits: false, ..self }
    }

    fn bare(verdict: ProbeVerdict) -> Self {
        Self { verdict, windows: Vec::new(), tells_of_limits: true }
    }

    /// Whether the provider says that the token is limited; `None` when it says neither.
    #[must_use]
    pub fn says_spent(&self) -> Option<bool> {
        match &self.verdict {
            ProbeVerdict::Limited { .. } => Some(true),
            ProbeVerdict::Valid => Some(false),
            ProbeVerdict::Throttled { .. }
            | ProbeVerdict::Refused { .. }
            | ProbeVerdict::Unreachable { .. }
            | ProbeVerdict::Unknown { .. } => None,
        }
    }

    /// What to share with all ccc processes. Windows that reset within a minute are left out: they only reflect
    /// throttling, which is no reason to rotate, and are over before anybody reads them.
    #[must_use]
    pub fn reports(&self, now_unix_ms: i64) -> Vec<TokenReport> {
        let lasting = |window: &&WindowFact| {
            window.resets_at_unix_s.is_none_or(|at| {
                at.saturating_mul(1_000).saturating_sub(now_unix_ms)
                    >= i64::try_from(QUOTA_RETRY_AFTER_MS).unwrap_or(i64::MAX)
            })
        };
        let windows: Vec<WindowFact> = self.windows.iter().filter(lasting).cloned().collect();
        let verdict = match &self.verdict {
            // An account may be usable for most models and limited for the one that was probed.
            ProbeVerdict::Valid => {
                let is_spent = |window: &WindowFact| window.utilization.is_some_and(|used| used >= 1.0);
                let report = if self.tells_of_limits { TokenReport::Works } else { TokenReport::Accepted };
                (!windows.iter().any(is_spent)).then_some(report)
            }
            // A reset that was not announced is not shared: each run estimates by itself how long it avoids such a
            // token.
            ProbeVerdict::Limited { until_unix_ms, window } => {
                announced_reset(until_unix_ms.map(|at| at.div_euclid(1_000)), now_unix_ms)
                    .map(|until_unix_ms| TokenReport::Limited { until_unix_ms, window: window.clone() })
            }
            ProbeVerdict::Refused { .. } => Some(TokenReport::Refused),
            ProbeVerdict::Throttled { .. } | ProbeVerdict::Unreachable { .. } | ProbeVerdict::Unknown { .. } => None,
        };
        let windows = (!windows.is_empty()).then_some(TokenReport::Windows(windows));
        windows.into_iter().chain(verdict).collect()
    }
}

/// Probes a token whose value is `secret`. Blocks for at most a few times [`super::HTTP_TIMEOUT`].
///
/// For an OAuth token or the agent's login this queries the usage endpoint, whose request budget is small: frequent
/// callers use [`super::usage`].
#[must_use]
pub fn probe(http: &Http, credential: &Credential, secret: &SecretString, now_unix_ms: i64) -> Probed {
    let asked_by_answer = || by_answer(http, credential, secret, now_unix_ms);
    let Some(endpoint) = credential.usage_endpoint() else { return asked_by_answer() };
    match usage::ask(http, endpoint, secret, now_unix_ms) {
        Ok(Said::Usage(account)) => of_account(&account, now_unix_ms),
        Ok(Said::Refused) => Probed::bare(ProbeVerdict::Refused { status: 401 }),
        // If the endpoint does not tell, an answer's headers do.
        Ok(Said::Forbidden | Said::TooOften | Said::Failed(_)) | Err(HttpFault::Host(_)) => asked_by_answer(),
        Err(fault) => unreachable_by(&fault),
    }
}

/// Probes with the provider's cheapest request.
pub(super) fn by_answer(http: &Http, credential: &Credential, secret: &SecretString, now_unix_ms: i64) -> Probed {
    let Some(row) = offers::kind(credential.provider, credential.kind) else {
        let why = format!("{} has no tokens of the kind {}", credential.provider, credential.kind);
        return Probed::bare(ProbeVerdict::Unknown { why });
    };
    let (service, base) = (credential.service(), credential.base());
    let ask =
        |path, body| http.ask(&Question { service, base, path, body, headers: row.headers, secret, sent: row.sent });
    let by_models = |path| {
        let models = ask(path, None);
        models.map_or_else(|fault| unreachable_by(&fault), |answer| judge(&answer, now_unix_ms).of_acceptance())
    };
    match offers::offer(credential.provider).asked {
        Asked::Models(path) => by_models(path),
        Asked::Message => {
            let model = credential.route.as_ref().and_then(|route| route.model.as_deref()).unwrap_or(PROBE_MODEL);
            let message = json!({"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "."}]});
            match ask("/v1/messages", Some(&message.to_string())) {
                Err(fault) => unreachable_by(&fault),
                Ok(answer) if answer.status == 404 => by_models("/v1/models?limit=1"),
                Ok(answer) => judge(&answer, now_unix_ms),
            }
        }
    }
}

pub(super) fn unreachable_by(fault: &HttpFault) -> Probed {
    let why = fault.to_string();
    Probed::bare(match fault {
        HttpFault::Host(_) | HttpFault::NoToken | HttpFault::Proxy { .. } | HttpFault::Certificates { .. } => {
            ProbeVerdict::Unknown { why }
        }
        HttpFault::Timeout { .. }
        | HttpFault::NoSuchHost { .. }
        | HttpFault::Connection { .. }
        | HttpFault::Tls { .. }
        | HttpFault::Protocol { .. }
        | HttpFault::ProxyRefused { .. } => ProbeVerdict::Unreachable { why },
    })
}

/// The verdict that follows from an account's usage.
pub(super) fn of_account(account: &Account, now_unix_ms: i64) -> Probed {
    let pays_on =
        account.extra.as_ref().is_some_and(|extra| extra.is_enabled && extra.utilization.is_none_or(|p| p < 100.0));
    // Windows of single models do not affect the other models.
    let spent = account
        .windows
        .iter()
        .filter(|window| [FIVE_HOUR, SEVEN_DAY].contains(&window.name.as_str()))
        .map(|window| window.at(now_unix_ms))
        .filter(|window| window.utilization.is_some_and(|percent| percent >= 100.0))
        .max_by_key(|window| window.resets_at_epoch);
    let verdict = match spent {
        Some(window) if !pays_on => ProbeVerdict::Limited {
            until_unix_ms: window.resets_at_epoch.map(|at| at.saturating_mul(1_000)),
            window: Some(window.name),
        },
        Some(_) | None => ProbeVerdict::Valid,
    };
    let windows: Vec<WindowFact> = account.windows.iter().map(usage::UsageWindow::fact).collect();
    let tells_of_limits = windows.iter().any(|window| window.utilization.is_some());
    Probed { verdict, windows, tells_of_limits }
}

/// The verdict that follows from an answer.
fn judge(answer: &Answer, now_unix_ms: i64) -> Probed {
    let limits = rate_headers::read(answer.headers(), now_unix_ms);
    let verdict = match answer.status {
        200..=299 => ProbeVerdict::Valid,
        429 => limited(&limits, field(answer, "/error/code"), now_unix_ms),
        401..=403 => ProbeVerdict::Refused { status: answer.status },
        // Google reports an unknown key as a bad request.
        400 if field(answer, "/error/details/0/reason").as_deref() == Some("API_KEY_INVALID") => {
            ProbeVerdict::Refused { status: 400 }
        }
        408 | 500..=599 => {
            ProbeVerdict::Unreachable { why: format!("the provider answered with HTTP {}", answer.status) }
        }
        status => ProbeVerdict::Unknown { why: format!("the provider answered with HTTP {status}") },
    };
    Probed { verdict, windows: limits.windows, tells_of_limits: true }
}

/// A text field of an error's body.
fn field(answer: &Answer, pointer: &str) -> Option<String> {
    let body: Value = from_json(answer.body.as_deref()?).ok()?;
    Some(body.pointer(pointer)?.as_str()?.to_owned())
}

/// The meaning of a 429: limited, or throttled.
fn limited(limits: &RateHeaders, code: Option<String>, now_unix_ms: i64) -> ProbeVerdict {
    let after = |ms: u64| i64::try_from(ms).ok().and_then(|ms| now_unix_ms.checked_add(ms));
    if let Some(Unified { rejected: true, resets_at_unix_ms, claim }) = &limits.unified {
        let until_unix_ms = resets_at_unix_ms.or_else(|| limits.retry_after_ms.and_then(after));
        return ProbeVerdict::Limited { until_unix_ms, window: claim.clone() };
    }
    if code.as_deref() == Some("insufficient_quota") {
        return ProbeVerdict::Limited { until_unix_ms: limits.retry_after_ms.and_then(after), window: None };
    }
    match limits.retry_after_ms {
        Some(ms) if ms >= QUOTA_RETRY_AFTER_MS => {
            ProbeVerdict::Limited { until_unix_ms: after(ms), window: fullest(&limits.windows) }
        }
        Some(ms) => ProbeVerdict::Throttled { retry_after_ms: Some(ms) },
        None => {
            let far = after(QUOTA_RETRY_AFTER_MS).map(|ms| ms.div_euclid(1_000));
            let spent = limits
                .windows
                .iter()
                .filter(|window| window.utilization.is_some_and(|used| used >= 1.0) && window.resets_at_unix_s >= far);
            match spent.max_by_key(|window| window.resets_at_unix_s) {
                Some(window) => ProbeVerdict::Limited {
                    until_unix_ms: window.resets_at_unix_s.map(|at| at.saturating_mul(1_000)),
                    window: Some(window.name.clone()),
                },
                None => ProbeVerdict::Throttled { retry_after_ms: None },
            }
        }
    }
}

/// The window whose limit is reached, if any.
fn fullest(windows: &[WindowFact]) -> Option<String> {
    let spent = windows.iter().filter(|window| window.utilization.is_some_and(|used| used >= 1.0));
    spent.max_by_key(|window| window.resets_at_unix_s).map(|window| window.name.clone())
}

#[cfg(test)]
mod tests {
    use super::super::usage::{ExtraUsage, UsageWindow};
    use super::*;

    /// 2027-01-15 08:00:00 UTC.
    const NOW: i64 = 1_800_000_000_000;

    fn limited(in_ms: Option<i64>, window: Option<&str>) -> ProbeVerdict {
        ProbeVerdict::Limited { until_unix_ms: in_ms.map(|ms| NOW + ms), window: window.map(str::to_owned) }
    }

    fn verdict(status: u16, headers: &[(&str, &str)], body: Option<&str>) -> ProbeVerdict {
        let mut answer = Answer::made_up(status, headers);
        answer.body = body.map(|text| text.as_bytes().to_vec());
        judge(&answer, NOW).verdict
    }

    #[test]
    fn each_answer_has_its_verdict() {
        for (status, expected) in [
            (200, ProbeVerdict::Valid),
            (204, ProbeVerdict::Valid),
            (401, ProbeVerdict::Refused { status: 401 }),
            (402, ProbeVerdict::Refused { status: 402 }),
            (403, ProbeVerdict::Refused { status: 403 }),
            (429, ProbeVerdict::Throttled { retry_after_ms: None }),
        ] {
            assert_eq!(verdict(status, &[], None), expected, "{status}");
        }
        for status in [408, 500, 503, 529] {
            assert!(matches!(verdict(status, &[], None), ProbeVerdict::Unreachable { .. }), "{status}");
        }
        for status in [302, 400, 404, 413, 418] {
            assert!(matches!(verdict(status, &[], None), ProbeVerdict::Unknown { .. }), "{status}");
        }
        let google = |reason: &str| format!(r#"{{"error":{{"code":400,"details":[{{"reason":"{reason}"}}]}}}}"#);
        assert_eq!(verdict(400, &[], Some(&google("API_KEY_INVALID"))), ProbeVerdict::Refused { status: 400 });
        assert!(matches!(verdict(400, &[], Some(&google("OTHER"))), ProbeVerdict::Unknown { .. }));
    }

    #[test]
    fn a_429_is_a_quota_from_a_minute_on() {
        let throttled = |ms| ProbeVerdict::Throttled { retry_after_ms: Some(ms) };
        let reset = ("anthropic-ratelimit-unified-reset", "1800000300");
        let claim = ("anthropic-ratelimit-unified-representative-claim", "five_hour");
        let rejected = ("anthropic-ratelimit-unified-status", "rejected");
        let spent_day = [
            ("anthropic-ratelimit-tokens-limit", "100"),
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2027-01-15T09:00:00Z"),
        ];
        let spent_moment = [spent_day[0], spent_day[1], ("anthropic-ratelimit-tokens-reset", "2027-01-15T08:00:20Z")];
        let table: &[(&[(&str, &str)], ProbeVerdict)] = &[
            (&[("retry-after", "1")], throttled(1_000)),
            (&[("retry-after", "59.9")], throttled(59_900)),
            (&[("retry-after", "60")], limited(Some(60_000), None)),
            (&[("retry-after", "300")], limited(Some(300_000), None)),
            (&[("retry-after", "Fri, 15 Jan 2027 08:05:00 GMT")], limited(Some(300_000), None)),
            (&[("retry-after", "soon")], ProbeVerdict::Throttled { retry_after_ms: None }),
            (&[rejected, reset, claim], limited(Some(300_000), Some("five_hour"))),
            (&[rejected, claim, ("retry-after", "7")], limited(Some(7_000), Some("five_hour"))),
            (&[rejected], limited(None, None)),
            (&[("anthropic-ratelimit-unified-status", "allowed"), reset, ("retry-after", "3")], throttled(3_000)),
            (&spent_day, limited(Some(3_600_000), Some("tokens"))),
            (&spent_moment, ProbeVerdict::Throttled { retry_after_ms: None }),
        ];
        for (headers, expected) in table {
            assert_eq!(&verdict(429, headers, None), expected, "{headers:?}");
        }
        let quota = r#"{"error":{"code":"insufficient_quota"}}"#;
        assert_eq!(verdict(429, &[], Some(quota)), limited(None, None));
    }

    #[test]
    fn an_account_is_spent_when_a_window_of_all_models_is() {
        let window = |name: &str, percent: f64, in_s: Option<i64>| {
            UsageWindow::new(name.to_owned(), Some(percent), in_s.map(|s| NOW / 1_000 + s))
        };
        let extra = |is_enabled, utilization| {
            Some(ExtraUsage { is_enabled, monthly_limit: None, used_credits: None, utilization, currency: None })
        };
        let spent = vec![window(FIVE_HOUR, 100.0, Some(60)), window(SEVEN_DAY, 101.0, Some(9_000))];
        for (windows, extra, expected) in [
            (vec![window(FIVE_HOUR, 99.9, Some(60))], None, ProbeVerdict::Valid),
            (vec![window(FIVE_HOUR, 100.0, Some(60))], None, limited(Some(60_000), Some(FIVE_HOUR))),
            (vec![window(FIVE_HOUR, 100.0, None)], None, limited(None, Some(FIVE_HOUR))),
            (vec![window(FIVE_HOUR, 100.0, Some(-1))], None, ProbeVerdict::Valid),
            (vec![window("seven_day_opus", 100.0, Some(60))], None, ProbeVerdict::Valid),
            (spent.clone(), None, limited(Some(9_000_000), Some(SEVEN_DAY))),
            (spent.clone(), extra(false, None), limited(Some(9_000_000), Some(SEVEN_DAY))),
            (spent.clone(), extra(true, Some(20.0)), ProbeVerdict::Valid),
            (spent, extra(true, Some(100.0)), limited(Some(9_000_000), Some(SEVEN_DAY))),
            (Vec::new(), None, ProbeVerdict::Valid),
        ] {
            let account = Account { windows, extra };
            assert_eq!(of_account(&account, NOW).verdict, expected, "{account:?}");
        }
    }

    #[test]
    fn reports_say_what_lasts() {
        let window = |name: &str, in_s: i64| WindowFact {
            name: name.to_owned(),
            utilization: Some(0.97),
            resets_at_unix_s: Some(NOW / 1_000 + in_s),
        };
        let windows = vec![window("tokens", 20), window("five_hour", 60)];
        let probed = |verdict| Probed { verdict, windows: windows.clone(), tells_of_limits: true };
        let lasting = TokenReport::Windows(vec![window("five_hour", 60)]);
        for (verdict, report) in [
            (ProbeVerdict::Valid, Some(TokenReport::Works)),
            (ProbeVerdict::Refused { status: 401 }, Some(TokenReport::Refused)),
            (
                limited(Some(90_000), Some("five_hour")),
                Some(TokenReport::Limited { until_unix_ms: NOW + 90_000, window: Some("five_hour".to_owned()) }),
            ),
            (limited(None, None), None),
            (limited(Some(-7_000), Some("five_hour")), None),
            (ProbeVerdict::Throttled { retry_after_ms: Some(1) }, None),
            (ProbeVerdict::Unreachable { why: String::new() }, None),
            (ProbeVerdict::Unknown { why: String::new() }, None),
        ] {
            let expected: Vec<_> = std::iter::once(lasting.clone()).chain(report).collect();
            assert_eq!(probed(verdict.clone()).reports(NOW), expected, "{verdict:?}");
        }
        assert_eq!(Probed::bare(ProbeVerdict::Valid).reports(NOW), [TokenReport::Works]);
        assert_eq!(Probed::bare(ProbeVerdict::Valid).of_acceptance().reports(NOW), [TokenReport::Accepted]);
        let nothing = of_account(&Account { windows: Vec::new(), ..Account::default() }, NOW);
        assert_eq!(nothing.reports(NOW), [TokenReport::Accepted], "an account that tells nothing proves nothing");
    }
}
