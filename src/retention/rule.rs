//! Which of the finished runs go.

use crate::order::sort_by_key;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Runs that were at work since then stay; `None` for no such bound.
    pub older_than_ms: Option<u64>,
    /// So many of the newest runs stay, however old or large they are.
    pub keep: usize,
    /// While all runs together take more, the oldest go.
    pub max_bytes: Option<u64>,
}

/// What the rule has to know of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighed {
    /// When it was last at work.
    pub last_unix_ms: i64,
    /// What its directory takes; only a rule with a size looks at it.
    pub bytes: u64,
    /// Whether it may go.
    pub is_finished: bool,
}

/// Why a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// It is too old.
    Age,
    /// There are enough newer ones.
    Count,
    /// All together take too much.
    Size,
}

impl Because {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Because::Age => "age",
            Because::Count => "count",
            Because::Size => "size",
        }
    }
}

impl Rule {
    /// Which of these runs go, the newest first: each by its place in `runs`, which are in that order.
    #[must_use]
    pub fn chosen(&self, runs: &[Weighed], now_unix_ms: i64) -> Vec<(usize, Because)> {
        let is_old = |run: &Weighed, age_ms: u64| {
            now_unix_ms.saturating_sub(run.last_unix_ms) > i64::try_from(age_ms).unwrap_or(i64::MAX)
        };
        let open = |at: &usize| runs.get(*at).is_some_and(|run| run.is_finished);
        let may_go: Vec<usize> = (self.keep..runs.len()).filter(open).collect();
        let mut chosen = Vec::new();
        for at in &may_go {
            let Some(run) = runs.get(*at) else { continue };
            match (self.older_than_ms, self.max_bytes) {
                (Some(age_ms), _) if is_old(run, age_ms) => chosen.push((*at, Because::Age)),
                (None, None) => chosen.push((*at, Because::Count)),
                (Some(_), _) | (None, Some(_)) => {}
            }
        }
        if let Some(max_bytes) = self.max_bytes {
            let goes = |at: &usize| chosen.iter().any(|(gone, _)| gone == at);
            let stays = runs.iter().enumerate().filter(|(at, _)| !goes(at));
            let mut total = stays.fold(0_u64, |sum, (_, run)| sum.saturating_add(run.bytes));
            let oldest_first: Vec<usize> = may_go.iter().rev().copied().filter(|at| !goes(at)).collect();
            for at in oldest_first {
                if total <= max_bytes {
                    break;
                }
                total = total.saturating_sub(runs.get(at).map_or(0, |run| run.bytes));
                chosen.push((at, Because::Size));
            }
        }
        sort_by_key(&mut chosen, |(at, _)| *at);
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;
    const NOW_MS: i64 = 1_795_198_017_000;

    /// Runs of these ages in days, each of 10 bytes; a negative age is an unfinished one.
    fn chosen(rule: Rule, ages: &[i64]) -> Vec<(usize, Because)> {
        let run = |age: &i64| Weighed {
            last_unix_ms: NOW_MS - age.abs() * i64::try_from(DAY_MS).expect("small"),
            bytes: 10,
            is_finished: *age >= 0,
        };
        rule.chosen(&ages.iter().map(run).collect::<Vec<_>>(), NOW_MS)
    }

    #[test]
    fn age_count_and_size_choose_the_oldest_and_none_that_is_not_finished() {
        use Because::{Age, Count, Size};
        let rule = |older_than_days: Option<u64>, keep, max_bytes| Rule {
            older_than_ms: older_than_days.map(|days| days * DAY_MS),
            keep,
            max_bytes,
        };
        let ages = [1, 2, -40, 50, 60, 70];
        assert_eq!(chosen(rule(Some(30), 0, None), &ages), [(3, Age), (4, Age), (5, Age)]);
        assert_eq!(chosen(rule(Some(50), 0, None), &ages), [(4, Age), (5, Age)], "not older than that");
        assert_eq!(chosen(rule(Some(30), 5, None), &ages), [(5, Age)], "the newest five stay");
        assert_eq!(chosen(rule(None, 1, None), &ages), [(1, Count), (3, Count), (4, Count), (5, Count)]);
        assert_eq!(chosen(rule(None, 0, Some(40)), &ages), [(4, Size), (5, Size)]);
        assert_eq!(chosen(rule(Some(65), 0, Some(40)), &ages), [(4, Size), (5, Age)]);
        assert_eq!(chosen(rule(None, 5, Some(0)), &ages), [(5, Size)], "the newest stay, whatever they take");
        assert_eq!(chosen(rule(None, 0, Some(0)), &ages).len(), 5, "all that are finished");
        assert_eq!(chosen(rule(None, 0, Some(60)), &ages), []);
        assert_eq!(chosen(rule(None, 9, None), &ages), []);
    }
}
