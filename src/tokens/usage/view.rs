//! The known usage of each identity, from the cache and from the answers that runs have received.

use super::super::credential::{Credential, CredentialKind};
use super::super::shared::TokenState;
use super::cache::Entry;
use super::window::{ExtraUsage, FIVE_HOUR, SEVEN_DAY, UsageWindow};
use crate::core::TokenId;
use crate::order::sort_by_key;

/// The known usage of one identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Its handle.
    pub id: TokenId,
    /// The token's source.
    pub label: String,
    /// Its kind.
    pub kind: CredentialKind,
    /// Its windows, those of the subscription first.
    pub windows: Vec<UsageWindow>,
    /// Usage beyond the subscription.
    pub extra_usage: Option<ExtraUsage>,
    /// When that was reported, unix milliseconds.
    pub checked_unix_ms: Option<i64>,
    /// It is limited until then, unix milliseconds.
    pub limited_until_unix_ms: Option<i64>,
    /// It is throttled: a run that uses it waits until then, unix milliseconds.
    pub throttled_until_unix_ms: Option<i64>,
    /// It was refused.
    pub refused: bool,
    /// Requests with it were answered, and no answer has said anything about its usage.
    pub is_silent: bool,
}

impl Identity {
    /// Merges what is known. Runs receive more reports than the endpoint gives: for a window with a later report from
    /// a run, that report counts.
    #[must_use]
    pub fn new(credential: &Credential, entry: Option<&Entry>, state: Option<&TokenState>, now_unix_ms: i64) -> Self {
        let fetched = entry.and_then(|entry| entry.fetched_unix_ms);
        let mut windows: Vec<UsageWindow> = entry.map(|entry| entry.windows.clone()).unwrap_or_default();
        let heard = state.filter(|state| !state.windows.is_empty());
        for fact in heard.into_iter().flat_map(|state| &state.windows) {
            // A query stores its answer in both at the same moment, and the state lacks what it does not share: windows that reset
            // soon.
            let later = heard.map(|state| state.seen_unix_ms) > fetched;
            match windows.iter_mut().find(|window| window.name == fact.name) {
                Some(window) if later && fact.utilization.is_some() => *window = fact.into(),
                Some(_) => {}
                None => windows.push(fact.into()),
            }
        }
        let mut windows: Vec<UsageWindow> = windows.iter().map(|window| window.at(now_unix_ms)).collect();
        sort_by_key(&mut windows, |window| match window.name.as_str() {
            FIVE_HOUR => 0,
            SEVEN_DAY => 1,
            name if name.starts_with(SEVEN_DAY) => 2,
            _ => 3,
        });
        Self {
            id: credential.id(),
            label: credential.label.clone(),
            kind: credential.kind,
            windows,
            extra_usage: entry.and_then(|entry| entry.extra_usage.clone()),
            checked_unix_ms: fetched.max(heard.map(|state| state.seen_unix_ms)),
            limited_until_unix_ms: state.and_then(|state| state.limited_at(now_unix_ms)),
            throttled_until_unix_ms: state.and_then(|state| state.throttled_at(now_unix_ms)),
            is_silent: state.is_some_and(|state| {
                let is_only_limited = state.limited_until_unix_ms.is_some() || state.throttled_until_unix_ms.is_some();
                state.windows.is_empty() && !is_only_limited && state.refused_value.is_none()
            }),
            refused: state.is_some_and(|state| state.is_refused(credential.fingerprint.as_ref())),
        }
    }

    /// Whether anything is known about its usage.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.windows.iter().any(|window| window.utilization.is_some())
    }

    /// The usage of its fullest window, in percent.
    #[must_use]
    pub fn fullest(&self) -> Option<f64> {
        self.windows.iter().filter_map(|window| window.utilization).max_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Provider;
    use crate::core::WindowFact;

    const NOW: i64 = 1_800_000_000_000;

    fn fact(name: &str, utilization: Option<f64>, in_s: i64) -> WindowFact {
        WindowFact { name: name.to_owned(), utilization, resets_at_unix_s: Some(NOW / 1_000 + in_s) }
    }

    fn state(seen_unix_ms: i64, windows: Vec<WindowFact>) -> TokenState {
        TokenState {
            label: String::new(),
            kind: CredentialKind::OAuth,
            provider: Provider::Anthropic,
            windows,
            limited_until_unix_ms: None,
            limited_window: None,
            throttled_until_unix_ms: None,
            refused_value: None,
            seen_unix_ms,
        }
    }

    fn shown(entry: Option<&Entry>, state: Option<&TokenState>) -> (Vec<(String, Option<f64>)>, Option<i64>) {
        let credential = Credential::held("L", CredentialKind::OAuth, Provider::Anthropic, "made-up".to_owned().into());
        let identity = Identity::new(&credential, entry, state, NOW);
        let windows = identity.windows.into_iter().map(|window| (window.name, window.utilization));
        (windows.collect(), identity.checked_unix_ms.map(|at| at - NOW))
    }

    #[test]
    fn what_was_heard_last_counts_and_what_nobody_said_is_unknown() {
        let entry = Entry {
            fetched_unix_ms: Some(NOW - 60_000),
            windows: vec![
                UsageWindow::new("extra_window".to_owned(), Some(3.0), None),
                UsageWindow::new(FIVE_HOUR.to_owned(), Some(40.0), Some(NOW / 1_000 + 600)),
                UsageWindow::new("seven_day_opus".to_owned(), Some(99.0), Some(NOW / 1_000 - 1)),
            ],
            ..Entry::default()
        };
        let name = |name: &str, used| (name.to_owned(), used);
        let own = [name(FIVE_HOUR, Some(40.0)), name("seven_day_opus", None), name("extra_window", Some(3.0))];
        assert_eq!(shown(Some(&entry), None), (own.to_vec(), Some(-60_000)), "a window that began anew is unknown");

        let heard = vec![fact(FIVE_HOUR, Some(0.55), 600), fact(SEVEN_DAY, Some(0.29), 9_000)];
        let with = |five: f64| {
            let week = name(SEVEN_DAY, Some(29.0));
            vec![name(FIVE_HOUR, Some(five)), week, own[1].clone(), own[2].clone()]
        };
        assert_eq!(shown(Some(&entry), Some(&state(NOW - 5, heard.clone()))), (with(55.0), Some(-5)));
        assert_eq!(shown(Some(&entry), Some(&state(NOW - 90_000, heard.clone()))), (with(40.0), Some(-60_000)));
        assert_eq!(shown(Some(&entry), Some(&state(NOW - 60_000, heard.clone()))), (with(40.0), Some(-60_000)));

        assert_eq!(shown(None, None), (vec![], None));
        assert_eq!(shown(None, Some(&state(NOW, vec![]))), (vec![], None), "seen, but nothing said about usage");
        let credential =
            Credential::held("L", CredentialKind::ApiKey, Provider::Anthropic, "made-up".to_owned().into());
        let is_silent = |state: Option<&TokenState>| Identity::new(&credential, None, state, NOW).is_silent;
        assert!(is_silent(Some(&state(NOW, vec![]))) && !is_silent(None));
        let limited = TokenState { limited_until_unix_ms: Some(NOW), ..state(NOW, vec![]) };
        let refused = TokenState { refused_value: Some("f".to_owned()), ..state(NOW, vec![]) };
        assert!(!is_silent(Some(&limited)) && !is_silent(Some(&refused)), "none of these was an answer");
        assert!(!is_silent(Some(&state(NOW, heard))));
        let silent = state(NOW, vec![fact(FIVE_HOUR, None, 600)]);
        assert_eq!(shown(None, Some(&silent)), (vec![name(FIVE_HOUR, None)], Some(0)));
    }
}
