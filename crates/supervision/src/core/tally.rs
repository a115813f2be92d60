//! The totals of a run: counters, cost, denials, and the text about missing permissions.

use std::collections::{BTreeMap, BTreeSet};

use super::policy::{Pause, Waited};
use super::{Bound, ProcId, Tick};
use crate::agent::Denial;
use crate::order::sort_by_key;

/// The most denied tools that the reason of an outcome names.
const NAMED_DENIALS: usize = 3;
/// The most distinct denials that are kept; further ones are only counted.
const MAX_DENIALS: usize = 256;

/// The counters of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// The counter of each bound that counts events.
    counted: BTreeMap<Bound, u32>,
    rotations: u32,
    waited: Waited,
    /// Microseconds of rest.
    rested_us: u64,
    cost_usd: BTreeMap<ProcId, f64>,
    order: DenialOrder,
    /// All denied calls of the agent's tools.
    tools_denied: u32,
    denials: Denials,
    denials_since_review: Denials,
    /// Denials of each kind of call.
    kinds: BTreeMap<Kind, u32>,
    /// The kinds denied before the current stop, and before the previous one, each with its place in their order.
    denied_at_stop: [BTreeMap<Kind, (usize, Denial)>; 2],
}

/// The order in which denials of the same number are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum DenialOrder {
    /// By their text.
    #[default]
    Text,
    /// By their first occurrence. So the order is the same when the texts are replaced by placeholders.
    Occurrence,
}

/// A tool and the class of its calls.
type Kind = (String, String);

fn kind(denial: &Denial) -> Kind {
    (denial.tool.clone(), denial.class.clone())
}

/// Denials, counted.
#[derive(Debug, Clone, Default)]
struct Denials {
    times: BTreeMap<Denial, u32>,
    /// The keys of `times`, in order of their first occurrence.
    occurred: Vec<Denial>,
    /// The number of further ones.
    more: u32,
}

impl Denials {
    fn add(&mut self, denial: Denial) {
        let is_new = !self.times.contains_key(&denial);
        if !count(&mut self.times, denial.clone()) {
            self.more = self.more.saturating_add(1);
        } else if is_new {
            self.occurred.push(denial);
        }
    }

    /// The most frequent first.
    fn most_first(&self, order: DenialOrder) -> Vec<(&Denial, u32)> {
        let times = |denial| self.times.get(denial).copied().unwrap_or_default();
        let mut list: Vec<(&Denial, u32)> = match order {
            DenialOrder::Text => self.times.iter().map(|(denial, times)| (denial, *times)).collect(),
            DenialOrder::Occurrence => self.occurred.iter().map(|denial| (denial, times(denial))).collect(),
        };
        sort_by_key(&mut list, |(_, times)| std::cmp::Reverse(*times));
        list
    }
}

/// Counts one more of this key; false if there is no room for a new key.
fn count<K: Ord>(times: &mut BTreeMap<K, u32>, key: K) -> bool {
    let has_room = times.len() < MAX_DENIALS;
    match times.get_mut(&key) {
        Some(times) => *times = times.saturating_add(1),
        None if has_room => drop(times.insert(key, 1)),
        None => return false,
    }
    true
}

impl Tally {
    /// A run that begins, with this order of its denials.
    pub(super) fn new(order: DenialOrder) -> Self {
        Self { order, ..Self::default() }
    }

    /// Increments the counter of a bound.
    pub(super) fn count(&mut self, bound: Bound) {
        let counted = self.counted.entry(bound).or_default();
        *counted = counted.saturating_add(1);
    }

    /// The counter of a bound, over the whole run.
    pub(super) fn counted(&self, bound: Bound) -> u32 {
        self.counted.get(&bound).copied().unwrap_or_default()
    }

    /// The run changed to another token.
    pub(super) fn rotated(&mut self) {
        self.rotations += 1;
    }

    pub(super) fn rotations(&self) -> u32 {
        self.rotations
    }

    /// This wait is over now.
    pub(super) fn waited(&mut self, pause: &Pause, now: Tick) {
        self.waited.add(pause, now);
    }

    /// Adds a rest.
    pub(super) fn rested(&mut self, since: Tick, now: Tick) {
        self.rested_us = self.rested_us.saturating_add(now.us_since(since));
    }

    /// The total rest, which is not working time.
    pub(super) fn rested_ms(&self) -> u64 {
        self.rested_us / 1_000
    }

    pub(super) fn waited_ms(&self) -> u64 {
        self.waited.ms()
    }

    /// Records the cost of a process so far; true if the sum changed.
    pub(super) fn cost(&mut self, proc: ProcId, usd: f64) -> bool {
        if !usd.is_finite() || usd < 0.0 {
            return false;
        }
        self.cost_usd.insert(proc, usd) != Some(usd)
    }

    /// The sum over all processes; `None` while none has reported a cost.
    pub(super) fn cost_usd(&self) -> Option<f64> {
        // Round to a millionth of a dollar; the sum of binary fractions would read 0.13999999999999999.
        (!self.cost_usd.is_empty()).then(|| (self.cost_usd.values().sum::<f64>() * 1e6).round() / 1e6)
    }

    /// What each process has cost, as far as it is known.
    pub(super) fn cost_by_process(&self) -> &BTreeMap<ProcId, f64> {
        &self.cost_usd
    }

    /// Counts a call of the agent's tools that was denied by whatever.
    pub(super) fn tool_denied(&mut self) {
        self.tools_denied = self.tools_denied.saturating_add(1);
    }

    /// How many calls of the agent's tools were denied.
    pub(super) fn tools_denied(&self) -> u32 {
        self.tools_denied
    }

    /// Counts a denial; true if it is the second of its kind.
    pub(super) fn denied(&mut self, denial: Denial) -> bool {
        let kind = kind(&denial);
        let at_stop = &mut self.denied_at_stop[0];
        if at_stop.len() < MAX_DENIALS {
            let place = at_stop.get(&kind).map_or(at_stop.len(), |(place, _)| *place);
            at_stop.insert(kind.clone(), (place, denial.clone()));
        }
        let second = count(&mut self.kinds, kind.clone()) && self.kinds.get(&kind) == Some(&2);
        self.denials.add(denial.clone());
        self.denials_since_review.add(denial);
        second
    }

    /// The user denied this: only the critic is told.
    pub(super) fn denied_by_user(&mut self, denial: Denial) {
        self.denials_since_review.add(denial);
    }

    /// A stop was judged and the work continues. Gives a denial whose kind was also denied before the previous stop.
    pub(super) fn stop_passed(&mut self) -> Option<Denial> {
        let now = std::mem::take(&mut self.denied_at_stop[0]);
        let before: BTreeSet<Kind> = self.denied_at_stop[1].keys().cloned().collect();
        let again = in_order(&now, self.order).into_iter().find(|denial| before.contains(&kind(denial))).cloned();
        self.denied_at_stop[1] = now;
        again
    }

    /// The user has changed the permissions: clears the denials. True if there were any.
    pub(super) fn permissions_changed(&mut self) -> bool {
        let denied = !self.denials.times.is_empty();
        self.denials = Denials::default();
        self.denials_since_review = Denials::default();
        self.kinds.clear();
        self.denied_at_stop = Default::default();
        denied
    }

    /// The denials before the current stop and the previous one, one of each kind.
    pub(super) fn denied_lately(&self) -> impl Iterator<Item = &Denial> {
        self.denied_at_stop.iter().flat_map(|denied| in_order(denied, self.order))
    }

    /// All denials, the most frequent first.
    pub(super) fn denied_most_first(&self) -> Vec<&Denial> {
        self.denials.most_first(self.order).into_iter().map(|(denial, _)| denial).collect()
    }

    /// The most frequent denial.
    pub(super) fn most_denied(&self) -> Option<&Denial> {
        self.denials.most_first(self.order).first().map(|(denial, _)| *denial)
    }

    /// The denials since the last review, most frequent first.
    pub(super) fn denials_for_review(&self) -> Vec<(Denial, u32)> {
        let list = self.denials_since_review.most_first(self.order);
        list.into_iter().map(|(denial, times)| (denial.clone(), times)).collect()
    }

    pub(super) fn reviewed(&mut self) {
        self.denials_since_review = Denials::default();
    }

    /// What the reason of an outcome adds about missing permissions.
    pub(super) fn missing_permissions(&self) -> Option<String> {
        let more = match self.denials.more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named: Vec<String> = (self.denials.most_first(self.order).into_iter())
            .take(NAMED_DENIALS)
            .map(|(denial, times)| format!("{} {} ({times}x)", denial.tool, denial.target))
            .collect();
        (!named.is_empty()).then(|| format!("permissions were missing for: {}{more}", named.join(", ")))
    }
}

fn in_order(denied: &BTreeMap<Kind, (usize, Denial)>, order: DenialOrder) -> Vec<&Denial> {
    let mut list: Vec<&(usize, Denial)> = denied.values().collect();
    if order == DenialOrder::Occurrence {
        sort_by_key(&mut list, |(place, _)| *place);
    }
    list.into_iter().map(|(_, denial)| denial).collect()
}

#[cfg(test)]
mod tests {
    use super::{DenialOrder, MAX_DENIALS, Tally};
    use crate::agent::Denial;
    use crate::core::ProcId;

    #[test]
    fn cost_is_the_last_word_of_each_process_summed_and_unknown_until_the_first() {
        let mut tally = Tally::default();
        assert_eq!(tally.cost_usd(), None);
        assert!(tally.cost(ProcId(1), 0.5));
        assert!(!tally.cost(ProcId(1), 0.5));
        assert!(tally.cost(ProcId(1), 0.75));
        assert!(tally.cost(ProcId(2), 0.25));
        assert!(!tally.cost(ProcId(3), f64::NAN));
        assert_eq!(tally.cost_usd(), Some(1.0));
    }

    fn denial(tool: &str, class: &str) -> Denial {
        Denial { tool: tool.to_owned(), target: class.to_owned(), class: class.to_owned(), ..Denial::default() }
    }

    #[test]
    fn the_second_denial_of_a_kind_is_known_at_once_and_one_over_two_stops_at_the_second() {
        let mut tally = Tally::default();
        let again = Denial { target: "sh test.sh --all".to_owned(), ..denial("Bash", "sh test.sh") };
        assert!(!tally.denied(denial("Bash", "sh test.sh")));
        assert!(!tally.denied(denial("Bash", "touch")), "another kind");
        assert_eq!(tally.stop_passed(), None, "the first stop");
        assert!(tally.denied(again.clone()), "the second of its kind, by another call");
        assert!(!tally.denied(again.clone()), "told once");
        assert_eq!(tally.stop_passed(), Some(again));
        assert_eq!(tally.stop_passed(), None, "nothing was denied before this one");
    }

    #[test]
    fn what_is_held_of_denials_does_not_grow_with_them() {
        let mut tally = Tally::default();
        for number in 0..200_000 {
            tally.denied(denial("Bash", &number.to_string()));
        }
        assert_eq!((tally.kinds.len(), tally.denied_at_stop[0].len()), (MAX_DENIALS, MAX_DENIALS));
        assert_eq!(tally.denials_for_review().len(), MAX_DENIALS);
        let missing = tally.missing_permissions().expect("they are missing");
        assert!(missing.contains(&format!(" and {} more", 200_000 - MAX_DENIALS)), "{missing}");
    }

    #[test]
    fn denials_of_the_same_number_are_named_in_the_order_in_which_they_occurred() {
        for (order, expected) in [(DenialOrder::Occurrence, ["z", "a", "m"]), (DenialOrder::Text, ["a", "m", "z"])] {
            let mut tally = Tally::new(order);
            for _ in 0..2 {
                for target in ["z", "a", "m"] {
                    let denial = Denial { class: target.to_owned(), ..denial("Bash", target) };
                    tally.denied(denial);
                }
            }
            let targets =
                |denials: Vec<&Denial>| denials.into_iter().map(|denial| denial.target.clone()).collect::<Vec<_>>();
            assert_eq!(targets(tally.denied_most_first()), expected);
            assert_eq!(tally.most_denied().map(|denial| denial.target.as_str()), Some(expected[0]));
            assert_eq!(targets(tally.denials_for_review().iter().map(|(denial, _)| denial).collect()), expected);
            assert_eq!(targets(tally.denied_lately().collect()), expected);
            let missing = tally.missing_permissions().expect("they are missing");
            assert!(missing.contains(&expected.map(|target| format!("Bash {target} (2x)")).join(", ")), "{missing}");
            assert_eq!(tally.stop_passed(), None);
            for target in ["m", "z"] {
                let denial = Denial { class: target.to_owned(), ..denial("Bash", target) };
                tally.denied(denial);
            }
            let again = tally.stop_passed().expect("two kinds were denied before both stops");
            assert_eq!(again.target, "m", "the first of them, in either order");
        }
    }

    #[test]
    fn missing_permissions_are_named_most_frequent_first() {
        let mut tally = Tally::default();
        assert_eq!(tally.missing_permissions(), None);
        for tool in ["Write", "Bash", "Bash"] {
            tally.denied(denial(tool, "x"));
        }
        assert_eq!(
            tally.missing_permissions().as_deref(),
            Some("permissions were missing for: Bash x (2x), Write x (1x)")
        );
        tally.reviewed();
        assert!(tally.denials_for_review().is_empty());
        assert!(tally.missing_permissions().is_some());
    }
}
