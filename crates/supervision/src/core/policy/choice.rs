//! The choice among the tokens of a run (design §7). It is pure: the known facts and the time are arguments; the tokens' values
//! are elsewhere.

use crate::core::{TokenFact, TokenId, TokenReport, WindowFact};

/// A reset further away than this counts as an error: the longest known window is a week.
pub const LONGEST_RESET_MS: i64 = 8 * 24 * 3_600 * 1_000;
/// A limit that ends later than this is ignored, because a clock was wrong when it was written or is wrong now.
const BELIEVED_LIMIT_MS: i64 = LONGEST_RESET_MS + 3_600_000;

/// The most windows of one token that are tracked; no provider has nearly as many.
const MAX_WINDOWS: usize = 32;

/// What to do about the current token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Keep it.
    Stay,
    /// Use this one instead.
    Take(TokenId),
    /// All are limited; the first is ready again at this time, unix milliseconds.
    Spent {
        /// When the first is ready again.
        until_unix_ms: i64,
    },
    /// All were refused, or there is none.
    Nothing,
}

/// Chooses a token. `rotate_at` is the utilization from which another one is preferred, 0 to 1.
///
/// The current token stays while it is usable and below `rotate_at`, because a change costs the provider's cache. Among the
/// others, those of the same kind come first, since another kind is billed elsewhere (at the beginning: of the kind of the
/// first token); then the one with most headroom, where unknown counts as unused; then the order in which they were found.
#[must_use]
pub fn choose(tokens: &[TokenFact], current: Option<&TokenId>, rotate_at: f64, now_unix_ms: i64) -> Choice {
    let is_current = |token: &TokenFact| current == Some(&token.id);
    let kind = tokens.iter().find(|token| is_current(token)).or(tokens.first()).map(|token| token.kind);
    let is_near = |token: &TokenFact| utilization(token, now_unix_ms) >= rotate_at;
    let usable = || tokens.iter().filter(|token| is_usable(token, now_unix_ms));
    if usable().any(|token| is_current(token) && !is_near(token)) {
        return Choice::Stay;
    }
    // If all are near their limits, the current one stays.
    let rank = |token: &TokenFact| (is_near(token), is_near(token) && !is_current(token), kind != Some(token.kind));
    let best = usable().min_by(|one, other| {
        let headroom = || utilization(one, now_unix_ms).total_cmp(&utilization(other, now_unix_ms));
        rank(one).cmp(&rank(other)).then_with(headroom)
    });
    match best {
        Some(token) if is_current(token) => Choice::Stay,
        Some(token) => Choice::Take(token.id.clone()),
        None => {
            let free = tokens.iter().filter(|token| !token.refused).filter_map(|token| token.limited_until_unix_ms);
            free.min().map_or(Choice::Nothing, |until_unix_ms| Choice::Spent { until_unix_ms })
        }
    }
}

/// Whether requests with it should be accepted now.
#[must_use]
fn is_usable(token: &TokenFact, now_unix_ms: i64) -> bool {
    !token.refused && !is_limited(token.limited_until_unix_ms, now_unix_ms)
}

/// Whether a limit until this time is in effect now.
#[must_use]
pub fn is_limited(until_unix_ms: Option<i64>, now_unix_ms: i64) -> bool {
    until_unix_ms.is_some_and(|until| (1..=BELIEVED_LIMIT_MS).contains(&until.saturating_sub(now_unix_ms)))
}

/// The used part of its fullest window, 0 to 1; a window that has reset since counts as unused.
#[must_use]
pub fn utilization(token: &TokenFact, now_unix_ms: i64) -> f64 {
    let of = |window: &WindowFact| {
        let over = window.resets_at_unix_s.is_some_and(|reset| reset.saturating_mul(1_000) <= now_unix_ms);
        window.utilization.filter(|used| !over && used.is_finite()).unwrap_or(0.0)
    };
    token.windows.iter().map(of).fold(0.0, f64::max)
}

/// The announced reset, unix milliseconds, if it lies ahead and no further than the longest window. Any other value shows that
/// a clock is wrong or that the number is no time. It is not clamped to the longest window, because that wait would be
/// invented.
#[must_use]
pub fn announced_reset(resets_at_unix_s: Option<i64>, now_unix_ms: i64) -> Option<i64> {
    let announced = resets_at_unix_s.map(|reset| reset.saturating_mul(1_000));
    announced.filter(|reset| is_reset(*reset, now_unix_ms))
}

/// Whether a wall time may be a reset: it lies ahead, and no further than the longest window.
pub(super) fn is_reset(unix_ms: i64, now_unix_ms: i64) -> bool {
    (1..=LONGEST_RESET_MS).contains(&unix_ms.saturating_sub(now_unix_ms))
}

/// Updates a token by a report.
pub fn learn(token: &mut TokenFact, report: &TokenReport) {
    match report {
        TokenReport::Windows(windows) => merge_windows(&mut token.windows, windows),
        TokenReport::Limited { until_unix_ms, .. } => token.limited_until_unix_ms = Some(*until_unix_ms),
        TokenReport::Throttled { .. } => {}
        TokenReport::Refused => token.refused = true,
        TokenReport::Accepted => token.refused = false,
        TokenReport::Works => {
            token.limited_until_unix_ms = None;
            token.refused = false;
        }
    }
}

/// Merges reported windows into the known ones. A value that a report lacks stays, unless the window has reset.
pub fn merge_windows(known: &mut Vec<WindowFact>, told: &[WindowFact]) {
    for new in told {
        let has_room = known.len() < MAX_WINDOWS;
        match known.iter_mut().find(|old| old.name == new.name) {
            Some(old) => {
                let is_same = match (old.resets_at_unix_s, new.resets_at_unix_s) {
                    (Some(old), Some(new)) => old == new,
                    (None, _) | (_, None) => true,
                };
                old.utilization = new.utilization.or(old.utilization.filter(|_| is_same));
                old.resets_at_unix_s = new.resets_at_unix_s.or(old.resets_at_unix_s);
            }
            None if has_room => known.push(new.clone()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, MAX_WINDOWS, announced_reset, choose, learn, merge_windows, utilization};
    use crate::core::{TokenFact, TokenId, TokenKind, TokenReport, WindowFact};

    const NOW: i64 = 1_800_000_000_000;

    fn token(id: &str, kind: TokenKind, used: Option<f64>) -> TokenFact {
        let window =
            WindowFact { name: "five_hour".to_owned(), utilization: used, resets_at_unix_s: Some(NOW / 1_000 + 60) };
        TokenFact {
            id: TokenId(id.to_owned()),
            label: id.to_uppercase(),
            kind,
            hot_group: None,
            model: None,
            windows: vec![window],
            limited_until_unix_ms: None,
            refused: false,
        }
    }

    fn limited(mut token: TokenFact, in_ms: i64) -> TokenFact {
        token.limited_until_unix_ms = Some(NOW + in_ms);
        token
    }

    fn refused(mut token: TokenFact) -> TokenFact {
        token.refused = true;
        token
    }

    #[test]
    fn the_choice_by_what_is_known() {
        use TokenKind::{ApiKey, OAuth};
        let take = |id: &str| Choice::Take(TokenId(id.to_owned()));
        let [a, b, c] = [Some(0.5), Some(0.2), Some(0.1)].map(|used| token("x", OAuth, used));
        let named = |token: TokenFact, id: &str| TokenFact { id: TokenId(id.to_owned()), ..token };
        let (a, b, c) = (named(a, "a"), named(b, "b"), named(c, "c"));
        let key = token("key", ApiKey, None);
        let full = |id| token(id, OAuth, Some(0.96));
        let table: Vec<(&str, Vec<TokenFact>, Option<&str>, Choice)> = vec![
            ("none", vec![], None, Choice::Nothing),
            ("a good one stays, though another has more headroom", vec![a.clone(), b.clone()], Some("a"), Choice::Stay),
            ("most headroom first", vec![a.clone(), b.clone(), c.clone()], None, take("c")),
            ("near its limit", vec![full("a"), b.clone(), c.clone()], Some("a"), take("c")),
            (
                "at the beginning the kind that the CLI itself would use",
                vec![token("key", ApiKey, Some(0.5)), b.clone()],
                None,
                take("key"),
            ),
            ("all near: it stays until it is rejected", vec![full("a"), full("b")], Some("a"), Choice::Stay),
            (
                "all near, another with more headroom: it stays all the same",
                vec![full("a"), token("b", OAuth, Some(0.955))],
                Some("a"),
                Choice::Stay,
            ),
            ("rejected", vec![limited(a.clone(), 1), b.clone()], Some("a"), take("b")),
            (
                "a limit of eight days and an hour",
                vec![limited(a.clone(), 694_800_000), b.clone()],
                Some("a"),
                take("b"),
            ),
            ("a longer one is not believed", vec![limited(a.clone(), 694_800_001), b.clone()], Some("a"), Choice::Stay),
            ("rejected, the other near", vec![limited(a.clone(), 1), full("b")], Some("a"), take("b")),
            ("its limit is over", vec![limited(a.clone(), 0), b.clone()], Some("a"), Choice::Stay),
            ("refused", vec![refused(a.clone()), b.clone()], Some("a"), take("b")),
            (
                "its own kind first: another is billed elsewhere",
                vec![limited(a.clone(), 1), key.clone(), b.clone()],
                Some("a"),
                take("b"),
            ),
            ("another kind rather than none", vec![limited(a.clone(), 1), key.clone()], Some("a"), take("key")),
            (
                "all spent",
                vec![limited(a.clone(), 9), limited(b.clone(), 5), refused(c.clone())],
                Some("a"),
                Choice::Spent { until_unix_ms: NOW + 5 },
            ),
            ("all refused", vec![refused(a.clone()), refused(b.clone())], Some("a"), Choice::Nothing),
            ("unknown counts as unused", vec![limited(a, 1), b, token("new", OAuth, None)], Some("a"), take("new")),
        ];
        for (what, tokens, current, expected) in table {
            let current = current.map(|id| TokenId(id.to_owned()));
            assert_eq!(choose(&tokens, current.as_ref(), 0.95, NOW), expected, "{what}");
        }
    }

    #[test]
    fn a_window_that_has_begun_anew_is_unused() {
        let mut token = token("a", TokenKind::OAuth, Some(0.99));
        assert!((utilization(&token, NOW) - 0.99).abs() < 1e-9);
        assert!(utilization(&token, NOW + 60_000) < 1e-9);
        token.windows[0].utilization = Some(f64::NAN);
        assert!(utilization(&token, NOW) < 1e-9);
    }

    #[test]
    fn a_reset_is_neither_past_nor_years_away() {
        assert_eq!(announced_reset(Some(NOW / 1_000 + 7), NOW), Some(NOW + 7_000));
        assert_eq!(announced_reset(Some(NOW / 1_000), NOW), None);
        assert_eq!(announced_reset(None, NOW), None, "no reset is invented");
        assert_eq!(announced_reset(Some(NOW / 1_000 - 7), NOW), None);
        assert_eq!(announced_reset(Some(NOW), NOW), None, "milliseconds taken for seconds");
        assert_eq!(announced_reset(Some(i64::MAX), NOW), None);
        let week = NOW / 1_000 + 7 * 24 * 3_600;
        assert_eq!(announced_reset(Some(week), NOW), Some(week * 1_000));
    }

    #[test]
    fn so_many_windows_are_followed_and_those_that_are_known_still_change() {
        let window =
            |name: usize, used| WindowFact { name: name.to_string(), utilization: Some(used), resets_at_unix_s: None };
        let mut known = Vec::new();
        merge_windows(&mut known, &(0..=MAX_WINDOWS).map(|name| window(name, 0.1)).collect::<Vec<_>>());
        assert_eq!(known, (0..MAX_WINDOWS).map(|name| window(name, 0.1)).collect::<Vec<_>>());
        merge_windows(&mut known, &[window(MAX_WINDOWS - 1, 0.2), window(MAX_WINDOWS + 1, 0.3)]);
        assert_eq!((known.len(), known.last()), (MAX_WINDOWS, Some(&window(MAX_WINDOWS - 1, 0.2))));
    }

    #[test]
    fn reports_change_what_is_known() {
        let mut token = token("a", TokenKind::OAuth, Some(0.5));
        learn(&mut token, &TokenReport::Limited { until_unix_ms: 7, window: None });
        assert_eq!(token.limited_until_unix_ms, Some(7));
        learn(&mut token, &TokenReport::Refused);
        assert!(token.refused);
        learn(&mut token, &TokenReport::Works);
        assert!(!token.refused && token.limited_until_unix_ms.is_none());
        let window =
            |name: &str, used| WindowFact { name: name.to_owned(), utilization: Some(used), resets_at_unix_s: None };
        let reset = token.windows[0].resets_at_unix_s;
        learn(&mut token, &TokenReport::Windows(vec![window("five_hour", 0.7), window("seven_day", 0.1)]));
        let still = WindowFact { resets_at_unix_s: reset, ..window("five_hour", 0.7) };
        assert_eq!(token.windows, [still, window("seven_day", 0.1)], "what a report leaves open is as it was");
        let anew = WindowFact { utilization: None, resets_at_unix_s: Some(NOW), ..window("five_hour", 0.0) };
        learn(&mut token, &TokenReport::Windows(vec![anew.clone()]));
        assert_eq!(token.windows[0], anew, "it has begun anew");
    }
}
