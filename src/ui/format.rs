//! Times and money as people read them.

/// A span: `820ms`, `12.3s`, `12m 05s`, `1h 02m 07s`.
pub(super) fn span(ms: u64) -> String {
    let s = ms / 1_000;
    if ms < 1_000 {
        format!("{ms}ms")
    } else if s < 60 {
        format!("{s}.{}s", ms % 1_000 / 100)
    } else {
        clock(ms)
    }
}

/// A span in whole seconds, for something that counts on: `12s`, `12m 05s`, `1h 02m 07s`.
pub(super) fn clock(ms: u64) -> String {
    let s = ms / 1_000;
    if s < 60 {
        format!("{s}s")
    } else if s < 3_600 {
        format!("{}m {:02}s", s / 60, s % 60)
    } else {
        format!("{}h {:02}m {:02}s", s / 3_600, s / 60 % 60, s % 60)
    }
}

/// A bound as the user wrote it: `8h`, `15m`, `90s`, `500ms`.
pub(super) fn bound(ms: u64) -> String {
    if ms == 0 || !ms.is_multiple_of(1_000) {
        return format!("{ms}ms");
    }
    let s = ms / 1_000;
    if s.is_multiple_of(3_600) {
        format!("{}h", s / 3_600)
    } else if s.is_multiple_of(60) && s > 60 {
        format!("{}m", s / 60)
    } else {
        format!("{s}s")
    }
}

/// Dollars; `unknown` rather than nothing spent.
pub(super) fn money(usd: Option<f64>) -> String {
    match usd {
        None => "unknown".to_owned(),
        // Small sums are not nothing.
        Some(usd) if usd > 0.0 && usd < 0.01 => format!("${usd:.4}"),
        Some(usd) => format!("${usd:.2}"),
    }
}

/// `word` with an `s` unless there is one of it, after its number.
pub(super) fn count(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        let shown: Vec<_> = [0, 820, 12_345, 59_999, 60_000, 725_000, 3_727_000].map(span).into();
        assert_eq!(shown, ["0ms", "820ms", "12.3s", "59.9s", "1m 00s", "12m 05s", "1h 02m 07s"]);
        assert_eq!(clock(12_345), "12s");
        assert_eq!([28_800_000, 900_000, 90_000, 60_000, 1_500].map(bound), ["8h", "15m", "90s", "60s", "1500ms"]);
    }

    #[test]
    fn unknown_money_is_not_nothing() {
        assert_eq!(money(None), "unknown");
        assert_eq!(money(Some(0.0)), "$0.00");
        assert_eq!(money(Some(1.239)), "$1.24");
    }
}
