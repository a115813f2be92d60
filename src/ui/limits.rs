//! Limits in words: when each token is ready again.

use jiff::tz::TimeZone;

use super::format::due;
use super::token_state::{READY, REFUSED, limited};
use crate::core::SpentToken;

/// Every token with its reset, and when the run continues by itself or can be continued.
pub(super) fn spent(
    tokens_known: &[SpentToken],
    until_unix_ms: i64,
    waits: bool,
    now_unix_ms: i64,
    zone: &TimeZone,
) -> String {
    let state = |token: &SpentToken| match (token.refused, token.until_unix_ms) {
        (true, _) => format!("{}: {REFUSED}", token.label),
        (false, None) if !token.held => format!("{}: {READY}", token.label),
        (false, until) => format!("{}: {}", token.label, limited(until, now_unix_ms, zone)),
    };
    let tokens: Vec<String> = tokens_known.iter().map(state).collect();
    let at = due(until_unix_ms, now_unix_ms, zone);
    let has_ready = tokens_known.iter().any(|token| !token.refused && !token.held && token.until_unix_ms.is_none());
    // A ready token means that the user chose to wait.
    let why = if has_ready { "waiting for the reset" } else { "no token can be used now" };
    let then = if waits { "the run continues by itself" } else { "the run can continue" };
    format!("{why}; {then}: {at}\n{}", tokens.join("\n"))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::spent;
    use crate::core::SpentToken;

    const NOW: i64 = 1_795_198_017_000;

    #[test]
    fn every_token_is_told_with_its_reset_in_the_users_zone() {
        let token = |label: &str, until_unix_ms, refused| SpentToken {
            label: label.to_owned(),
            until_unix_ms,
            refused,
            held: false,
        };
        let tokens = [token("A", Some(NOW + 8_100_000), false), token("B", None, true)];
        let zone = TimeZone::get("Europe/Berlin").expect("a zone");
        let told = spent(&tokens, NOW + 8_100_000, true, NOW, &TimeZone::UTC);
        assert_eq!(
            told,
            "no token can be used now; the run continues by itself: 20:21 (in 2h 15m)\n\
             A: limited until 20:21 (in 2h 15m)\nB: refused"
        );
        let not_waiting = spent(&tokens, NOW + 8_100_000, false, NOW, &TimeZone::UTC);
        assert!(not_waiting.starts_with("no token can be used now; the run can continue: 20:21 (in 2h 15m)\n"));
        assert!(spent(&tokens, NOW, true, NOW, &zone).contains("21:21 (in 2h 15m)"));
    }

    #[test]
    fn a_wait_beside_a_ready_token_does_not_say_that_there_is_none() {
        let token = |label: &str, until_unix_ms| SpentToken {
            label: label.to_owned(),
            until_unix_ms,
            refused: false,
            held: false,
        };
        let tokens = [token("A", Some(NOW + 8_100_000)), token("B", None)];
        assert_eq!(
            spent(&tokens, NOW + 8_100_000, true, NOW, &TimeZone::UTC),
            "waiting for the reset; the run continues by itself: 20:21 (in 2h 15m)\n\
             A: limited until 20:21 (in 2h 15m)\nB: ready"
        );
    }

    #[test]
    fn a_reset_that_nobody_announced_is_not_invented() {
        let token = SpentToken { label: "A".to_owned(), until_unix_ms: None, refused: false, held: true };
        assert_eq!(
            spent(&[token], NOW + 4_000, true, NOW, &TimeZone::UTC),
            "no token can be used now; the run continues by itself: 18:07:01 (in 4s)\n\
             A: limited, reset unknown"
        );
    }
}
