//! The usage that all ccc processes know, from the cache on the disk.

use std::path::Path;

use crate::tokens::usage::{TopWindow, UsageCache};
use crate::ui::dashboard::UsageShown;

/// The usage of the token in use. A window that has been reset since is unknown, and nobody is asked.
#[must_use]
pub fn usage_known(state: &Path, now_unix_ms: i64) -> UsageShown {
    let file = UsageCache::new(state).read();
    let now_unix_s = now_unix_ms.div_euclid(1_000);
    let percent = |window: Option<TopWindow>| {
        let is_present = |window: &TopWindow| window.resets_at_epoch.is_none_or(|at| at > now_unix_s);
        window.filter(is_present).and_then(|window| window.utilization)
    };
    UsageShown { session: percent(file.five_hour), weekly: percent(file.seven_day) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::TokenId;
    use crate::tokens::usage::{FIVE_HOUR, SEVEN_DAY, UsageWindow};

    #[test]
    fn a_window_that_has_been_reset_is_unknown_and_not_zero() {
        let state = tempfile::tempdir().expect("a directory");
        let now_ms = 1_800_000_000_000;
        assert_eq!(usage_known(state.path(), now_ms), UsageShown::default());
        let window = |name: &str, percent, at_s| UsageWindow::new(name.to_owned(), Some(percent), Some(at_s));
        let windows = [window(FIVE_HOUR, 45.0, 1_800_000_600), window(SEVEN_DAY, 62.0, 1_800_009_000)];
        let cache = UsageCache::new(state.path());
        cache.update(|file| file.show(TokenId("a".to_owned()), Some(now_ms), &windows)).expect("written");
        assert_eq!(usage_known(state.path(), now_ms), UsageShown { session: Some(45.0), weekly: Some(62.0) });
        let later = usage_known(state.path(), now_ms + 600_000);
        assert_eq!(later, UsageShown { session: None, weekly: Some(62.0) });
    }
}
