use std::collections::BTreeMap;

/// How often what happened, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    /// Once more.
    pub fn add(&mut self, what: &'static str) {
        self.add_times(what, 1);
    }

    /// So many times more.
    pub fn add_times(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    /// All that the others counted, too.
    pub fn merge(&mut self, others: &Counts) {
        for (what, times) in others.iter() {
            self.add_times(what, times);
        }
    }

    /// How often this happened.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(what, times)| (*what, *times))
    }
}
