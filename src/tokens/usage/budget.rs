//! How often a token's usage may be queried. Pure.
//!
//! The endpoint gives about 28 to 30 answers an hour for one identity, and its `Retry-After: 0` is false
//! (docs/lessons.md), so the interval and the backoff are ccc's own.

use super::cache::Entry;

/// The interval between requests, in milliseconds: at most 30 an hour. An answer counts as fresh for this long.
pub const INTERVAL_MS: i64 = 120_000;
/// The first backoff after a 429, in milliseconds; it doubles each time.
pub const FIRST_BACKOFF_MS: i64 = 300_000;
/// The longest backoff, in milliseconds.
pub const LONGEST_BACKOFF_MS: i64 = 3_600_000;

/// When a token may be queried again, unix milliseconds; `None` is now. A time beyond the longest backoff results
/// from a clock that was set back since, and does not count.
pub(super) fn again_at(entry: &Entry, now_unix_ms: i64) -> Option<i64> {
    entry.next_unix_ms.filter(|next| (1..=LONGEST_BACKOFF_MS).contains(&next.saturating_sub(now_unix_ms)))
}

/// Records that a request is about to be sent: even if its answer never comes, the next request must wait.
pub(super) fn asking(entry: &mut Entry, now_unix_ms: i64) {
    entry.next_unix_ms = Some(now_unix_ms.saturating_add(INTERVAL_MS));
    entry.asking = true;
}

/// Records a 429.
pub(super) fn too_often(entry: &mut Entry, now_unix_ms: i64) {
    let pause_ms = entry
        .backoff_ms
        .map_or(FIRST_BACKOFF_MS, |last| last.saturating_mul(2).clamp(FIRST_BACKOFF_MS, LONGEST_BACKOFF_MS));
    entry.backoff_ms = Some(pause_ms);
    entry.next_unix_ms = Some(now_unix_ms.saturating_add(pause_ms));
}

/// Records an answer.
pub(super) fn answered(entry: &mut Entry, now_unix_ms: i64) {
    entry.backoff_ms = None;
    entry.fetched_unix_ms = Some(now_unix_ms);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn the_next_question_waits_for_its_interval_whatever_came_of_the_last() {
        let mut entry = Entry::default();
        assert_eq!(again_at(&entry, NOW), None);
        asking(&mut entry, NOW);
        for (later_ms, expected) in
            [(0, true), (1, true), (INTERVAL_MS - 1, true), (INTERVAL_MS, false), (INTERVAL_MS + 1, false)]
        {
            assert_eq!(again_at(&entry, NOW + later_ms).is_some(), expected, "{later_ms}");
        }
        answered(&mut entry, NOW);
        assert_eq!(again_at(&entry, NOW), Some(NOW + INTERVAL_MS));
    }

    #[test]
    fn a_429_doubles_the_pause_up_to_an_hour_and_an_answer_ends_it() {
        let mut entry = Entry::default();
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            asking(&mut entry, now);
            too_often(&mut entry, now);
            let next = again_at(&entry, now).expect("a pause");
            pauses.push((next - now) / 60_000);
            now = next;
            assert_eq!(again_at(&entry, now), None);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        answered(&mut entry, now);
        too_often(&mut entry, now);
        assert_eq!(again_at(&entry, now), Some(now + FIRST_BACKOFF_MS));
    }

    #[test]
    fn a_clock_that_was_set_back_stops_nothing() {
        let mut entry = Entry::default();
        asking(&mut entry, NOW);
        assert_eq!(again_at(&entry, NOW - 2 * LONGEST_BACKOFF_MS), None);
    }

    #[test]
    fn the_persisted_pause_is_not_trusted_blindly() {
        let mut entry = Entry { backoff_ms: Some(i64::MAX), ..Entry::default() };
        too_often(&mut entry, NOW);
        assert_eq!(entry.backoff_ms, Some(LONGEST_BACKOFF_MS));
        let mut entry = Entry { backoff_ms: Some(-5), ..Entry::default() };
        too_often(&mut entry, NOW);
        assert_eq!(entry.backoff_ms, Some(FIRST_BACKOFF_MS));
    }
}
