//! When a failed delivery is tried again.

use std::time::Duration;

/// The pauses between the tries; after the last one it is given up.
const PAUSES_S: [u64; 4] = [2, 10, 60, 180];
/// The longest pause that a server may ask for.
const ASKED_LIMIT: Duration = Duration::from_secs(300);

/// The pause after this number of failed tries; `None` when it is given up. `asked`: what the server wants.
#[must_use]
pub(super) fn pause(tries: u32, asked: Option<Duration>) -> Option<Duration> {
    let at = usize::try_from(tries.saturating_sub(1)).ok()?;
    let usual = Duration::from_secs(*PAUSES_S.get(at)?);
    Some(asked.map_or(usual, |asked| asked.min(ASKED_LIMIT).max(usual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_grow_and_end_and_a_server_may_ask_for_a_longer_one() {
        let s = Duration::from_secs;
        let pauses: Vec<_> = (1..=6).map(|tries| pause(tries, None)).collect();
        assert_eq!(pauses, [Some(s(2)), Some(s(10)), Some(s(60)), Some(s(180)), None, None]);
        assert_eq!(pause(1, Some(s(30))), Some(s(30)));
        assert_eq!(pause(1, Some(s(0))), Some(s(2)), "a server shortens none");
        assert_eq!(pause(2, Some(s(86_400))), Some(s(300)), "nor is it waited for without end");
        assert_eq!(pause(5, Some(s(1))), None);
    }
}
