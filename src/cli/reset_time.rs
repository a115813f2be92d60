//! When something is free again, for people: the local time and how far away it is.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `14:05 (in 2h 15m)`; with the day of the week when it is another day, with the date when it is a week away.
pub(super) fn reset_time(unix_ms: i64, now_unix_ms: i64, zone: &TimeZone) -> String {
    const WEEK_MS: i64 = 6 * 24 * 3_600_000;
    let away_ms = unix_ms.saturating_sub(now_unix_ms);
    let away = away(away_ms);
    let zoned = |ms| Timestamp::from_millisecond(ms).ok().map(|time| time.to_zoned(zone.clone()));
    let (Some(then), Some(now)) = (zoned(unix_ms), zoned(now_unix_ms)) else { return format!("in {away}") };
    let form = if then.date() == now.date() {
        "%H:%M"
    } else if away_ms.abs() < WEEK_MS {
        "%a %H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    format!("{} (in {away})", then.strftime(form))
}

/// `3d 4h`, `2h 15m`, `15m`, `30s`; nothing that is past is away.
pub(super) fn away(ms: i64) -> String {
    let s = ms.max(0).div_euclid(1_000);
    let (days, hours, minutes) = (s / 86_400, s / 3_600 % 24, s / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::reset_time;

    #[test]
    fn a_reset_is_a_local_time_and_how_far_away_it_is() {
        // Fri 2026-11-20 18:06:57 UTC
        const NOW_MS: i64 = 1_795_198_017_000;
        for (seconds, expected) in [
            (8_100, "20:21 (in 2h 15m)"),
            (8_159, "20:22 (in 2h 15m)"),
            (3_600, "19:06 (in 1h 00m)"),
            (900, "18:21 (in 15m)"),
            (30, "18:07 (in 30s)"),
            (0, "18:06 (in 0s)"),
            (-5, "18:06 (in 0s)"),
            (21_600, "Sat 00:06 (in 6h 00m)"),
            (273_600, "Mon 22:06 (in 3d 4h)"),
            (604_800, "2026-11-27 18:06 (in 7d 0h)"),
        ] {
            assert_eq!(reset_time(NOW_MS + seconds * 1_000, NOW_MS, &TimeZone::UTC), expected, "{seconds}");
        }
        let east = TimeZone::fixed(jiff::tz::offset(6));
        assert_eq!(reset_time(NOW_MS + 8_100_000, NOW_MS, &east), "02:21 (in 2h 15m)");
        assert_eq!(reset_time(i64::MAX, NOW_MS, &east), "in 106751970389d 13h");
    }
}
