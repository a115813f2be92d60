//! Requests to workers whose answers the run waits for, each kind with a timeout: a disk that hangs blocks the worker, not the
//! run.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The unanswered requests of one kind.
#[derive(Debug)]
pub(super) struct Pending<K, V> {
    timeouts: Duration,
    asked: BTreeMap<K, (V, Instant)>,
}

impl<K: Ord, V> Pending<K, V> {
    /// No requests; each will wait for these timeouts.
    pub(super) fn new(timeouts: Duration) -> Self {
        Self { timeouts, asked: BTreeMap::new() }
    }

    /// Adds a request. `about` is kept until the answer.
    pub(super) fn ask(&mut self, question: K, about: V, now: Instant) {
        self.asked.insert(question, (about, now));
    }

    /// The answer has come, or is not needed any more. `None` when there was no such request.
    pub(super) fn answered(&mut self, question: &K) -> Option<V> {
        self.asked.remove(question).map(|(about, _)| about)
    }

    /// Whether the request is unanswered.
    pub(super) fn is_asked(&self, question: &K) -> bool {
        self.asked.contains_key(question)
    }

    /// When the first request is overdue.
    pub(super) fn due(&self) -> Option<Instant> {
        self.asked.values().map(|(_, since)| *since + self.timeouts).min()
    }

    /// Removes and returns the overdue requests.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(K, V)> {
        let timeouts = self.timeouts;
        let overdue = self.asked.extract_if(.., |_, (_, since)| *since + timeouts <= now);
        overdue.map(|(question, (about, _))| (question, about)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Pending;

    #[test]
    fn an_answer_is_waited_for_until_its_limit_and_comes_once() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pending = Pending::new(Duration::from_secs(10));
        assert_eq!(pending.due(), None);
        pending.ask(1, "first", start);
        pending.ask(2, "second", after(3));
        pending.ask(3, "third", after(4));
        assert_eq!(pending.due(), Some(after(10)));
        assert_eq!(pending.answered(&2), Some("second"));
        assert_eq!(pending.answered(&2), None, "it came already");
        assert_eq!(pending.overdue(after(9)), []);
        assert_eq!(pending.overdue(after(10)), [(1, "first")]);
        assert_eq!(pending.answered(&1), None, "it is late");
        assert_eq!(pending.due(), Some(after(14)));
        assert_eq!(pending.overdue(after(60)), [(3, "third")]);
        assert_eq!(pending.due(), None);
    }
}
