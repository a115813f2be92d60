use std::collections::BTreeMap;

/// Counters by name: how often each kind of event happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    /// Adds one to a counter.
    pub fn add(&mut self, what: &'static str) {
        self.add_times(what, 1);
    }

    /// Adds `times` to a counter.
    pub fn add_times(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    /// Adds the other counters to these.
    pub fn merge(&mut self, others: &Counts) {
        for (what, times) in others.iter() {
            self.add_times(what, times);
        }
    }

    /// The value of a counter; 0 if nothing was counted.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// All counters, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(what, times)| (*what, *times))
    }
}
