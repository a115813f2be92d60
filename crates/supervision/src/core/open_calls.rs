//! The open tool calls. The cost of a lookup does not grow with the number of earlier calls.

use std::collections::BTreeMap;

use super::Tick;

/// The most open calls that are tracked one by one; no turn has nearly as many. Of further ones only the longest timeout counts.
pub(super) const MAX_OPEN_CALLS: usize = 1_024;

/// An open tool call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) limit_ms: u64,
    pub(super) since: Tick,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenCalls {
    calls: BTreeMap<String, Call>,
    /// The number of tracked calls for each timeout.
    limits_ms: BTreeMap<u64, u32>,
    /// Open calls beyond [`MAX_OPEN_CALLS`], and their longest timeout.
    more: u64,
    more_limit_ms: u64,
}

impl OpenCalls {
    /// A call began.
    pub(super) fn began(&mut self, id: &str, call: Call) {
        self.forget(id);
        if self.calls.len() >= MAX_OPEN_CALLS {
            self.more = self.more.saturating_add(1);
            self.more_limit_ms = self.more_limit_ms.max(call.limit_ms);
            return;
        }
        *self.limits_ms.entry(call.limit_ms).or_default() += 1;
        self.calls.insert(id.to_owned(), call);
    }

    /// A call ended. An untracked one counts as one of those beyond.
    pub(super) fn ended(&mut self, id: &str) {
        if !self.forget(id) {
            self.more = self.more.saturating_sub(1);
            if self.more == 0 {
                self.more_limit_ms = 0;
            }
        }
    }

    /// All have ended.
    pub(super) fn clear(&mut self) {
        *self = OpenCalls::default();
    }

    /// The longest timeout of an open call.
    pub(super) fn longest_ms(&self) -> Option<u64> {
        let followed = self.limits_ms.last_key_value().map(|(limit_ms, _)| *limit_ms);
        followed.max((self.more > 0).then_some(self.more_limit_ms))
    }

    /// The call that has been open longest. Linear, so called only to show it.
    pub(super) fn oldest(&self) -> Option<&Call> {
        self.calls.values().min_by_key(|call| call.since)
    }

    fn forget(&mut self, id: &str) -> bool {
        let Some(call) = self.calls.remove(id) else { return false };
        if let Some(count) = self.limits_ms.get_mut(&call.limit_ms) {
            *count -= 1;
            if *count == 0 {
                self.limits_ms.remove(&call.limit_ms);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, MAX_OPEN_CALLS, OpenCalls};
    use crate::core::Tick;

    fn call(limit_ms: u64, since: u64) -> Call {
        Call { name: "Bash".to_owned(), target: String::new(), limit_ms, since: Tick(since) }
    }

    #[test]
    fn the_longest_limit_and_the_oldest_call_are_known_whatever_ends_first() {
        let mut open = OpenCalls::default();
        assert_eq!(open.longest_ms(), None);
        for (id, limit_ms, since) in [("a", 5, 3), ("b", 9, 1), ("c", 9, 2), ("c", 7, 2)] {
            open.began(id, call(limit_ms, since));
        }
        assert_eq!((open.longest_ms(), open.oldest().map(|call| call.since.0)), (Some(9), Some(1)));
        open.ended("b");
        assert_eq!((open.longest_ms(), open.oldest().map(|call| call.since.0)), (Some(7), Some(2)));
        open.ended("unknown");
        open.ended("c");
        open.ended("a");
        assert_eq!((open.longest_ms(), open.calls.len(), open.limits_ms.len()), (None, 0, 0));
    }

    #[test]
    fn what_is_held_does_not_grow_with_the_calls() {
        let mut open = OpenCalls::default();
        for number in 0..200_000u64 {
            open.began(&number.to_string(), call(number, number));
        }
        assert_eq!((open.calls.len(), open.limits_ms.len()), (MAX_OPEN_CALLS, MAX_OPEN_CALLS));
        assert_eq!(open.longest_ms(), Some(199_999), "one beyond the bound may take its time, too");
        for number in MAX_OPEN_CALLS as u64..200_000 {
            open.ended(&number.to_string());
        }
        assert_eq!(open.longest_ms(), Some(MAX_OPEN_CALLS as u64 - 1));
    }
}
