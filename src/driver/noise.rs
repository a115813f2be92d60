//! Counts lines of a process that carry no information, or none that is new, so that a flood of them costs one fact per second.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher as _};
use std::time::{Duration, Instant};

use crate::core::LineFact;

/// How often a series of such lines is reported.
pub(super) const NOISE_INTERVAL: Duration = Duration::from_secs(1);
/// How many lines within [`NOISE_INTERVAL`] are passed on singly, so that a stack trace stays readable.
pub(super) const NOISE_LINES: u64 = 64;
/// At this count the core is told once before the interval is over.
pub(super) const FLOOD_LINES: u64 = 10_000;

/// Lines that were only counted; those passed on singly are not included.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// The first of the counted lines.
    pub(super) sample: LineFact,
}

/// What happens with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hearing {
    /// It is passed on.
    Whole,
    /// It is counted.
    Counted,
}

/// The lines of one kind from one process.
#[derive(Debug, Default)]
pub(super) struct NoiseRun {
    since: Option<Instant>,
    /// All lines in the current interval, including those passed on.
    seen: u64,
    /// How many lines of the current interval may still be passed on.
    left: u64,
    told_early: bool,
    counted: Option<Run>,
}

impl NoiseRun {
    /// Takes one more line. `sample` makes its text, and is called only for the first counted line. Counts that are due are
    /// passed to `tell`.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        bytes: usize,
        sample: impl FnOnce() -> LineFact,
        mut tell: impl FnMut(Run),
    ) -> Hearing {
        let over = self.since.is_none_or(|since| now.saturating_duration_since(since) >= NOISE_INTERVAL);
        if over {
            self.counted.take().into_iter().for_each(&mut tell);
            // While the flood lasts, lines are counted from the first one on.
            let flooded = self.seen > NOISE_LINES;
            self.left = if flooded { 0 } else { NOISE_LINES };
            self.told_early &= flooded;
            self.since = Some(now);
            self.seen = 0;
        }
        self.seen = self.seen.saturating_add(1);
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return Hearing::Whole;
        }
        let counted = self.counted.get_or_insert_with(|| Run { lines: 0, bytes: 0, sample: sample() });
        counted.lines = counted.lines.saturating_add(1);
        counted.bytes = counted.bytes.saturating_add(bytes as u64);
        if counted.lines >= FLOOD_LINES && !self.told_early {
            self.told_early = true;
            self.counted.take().into_iter().for_each(&mut tell);
        }
        Hearing::Counted
    }

    /// The output has ended; returns the remaining count.
    pub(super) fn finish(&mut self) -> Option<Run> {
        self.counted.take()
    }
}

/// How many distinct lines are remembered; a line equal to one of them is a repetition.
const RECENT_LINES: usize = 8;

/// Finds repetitions in the output of one process: an agent that writes the same valid line over and over would fill the disk
/// with its journal. At a low rate lines are not compared, because only a high rate can fill the disk.
#[derive(Debug, Default)]
pub(super) struct Repetitions {
    since: Option<Instant>,
    /// Lines in the current interval.
    seen: u64,
    /// The previous interval had many lines.
    many_before: bool,
    /// Hashes of the last distinct lines; empty at a low rate.
    recent: VecDeque<u64>,
    run: NoiseRun,
}

impl Repetitions {
    /// Takes one more line. `sample` makes its text; counts that are due before it are passed to `tell`.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        line: &str,
        sample: impl FnOnce() -> LineFact,
        mut tell: impl FnMut(Run),
    ) -> Hearing {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= NOISE_INTERVAL) {
            self.many_before = self.seen > NOISE_LINES;
            self.since = Some(now);
            self.seen = 0;
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen <= NOISE_LINES && !self.many_before {
            self.recent.clear();
            self.finish().into_iter().for_each(tell);
            return Hearing::Whole;
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(line.as_bytes());
        let hash = hasher.finish();
        if self.recent.contains(&hash) {
            return self.run.hear(now, line.len(), sample, tell);
        }
        if self.recent.len() == RECENT_LINES {
            self.recent.pop_front();
        }
        self.recent.push_back(hash);
        // Report the repetitions before the new line.
        self.finish().into_iter().for_each(&mut tell);
        Hearing::Whole
    }

    /// The output has ended; returns the remaining count.
    pub(super) fn finish(&mut self) -> Option<Run> {
        self.run.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{FLOOD_LINES, Hearing, NOISE_INTERVAL, NOISE_LINES, NoiseRun, Repetitions, Run};
    use crate::core::LineFact;

    #[allow(clippy::disallowed_methods, reason = "an origin to count from")]
    fn origin() -> std::time::Instant {
        std::time::Instant::now()
    }

    /// For each second with this many lines: how many were passed on, and the reported counts.
    fn heard(seconds: &[u64]) -> (Vec<(u64, Vec<u64>)>, Option<u64>) {
        let (mut run, from) = (NoiseRun::default(), origin());
        let rows = seconds.iter().zip(0u32..).map(|(lines, second)| {
            let now = from + NOISE_INTERVAL * second;
            let mut told = Vec::new();
            let whole = (0..*lines).filter(|_| {
                let sample = || LineFact::Noise("y".to_owned());
                run.hear(now, 2, sample, |Run { lines, bytes, .. }| {
                    assert_eq!(bytes, 2 * lines);
                    told.push(lines);
                }) == Hearing::Whole
            });
            (whole.count() as u64, told)
        });
        let rows = rows.collect();
        (rows, run.finish().map(|run| run.lines))
    }

    #[test]
    fn few_lines_are_handed_on_and_many_are_counted() {
        let (few, many) = (NOISE_LINES, NOISE_LINES + 5);
        assert_eq!(heard(&[few, few, 1]), (vec![(few, vec![]), (few, vec![]), (1, vec![])], None));
        assert_eq!(heard(&[many]), (vec![(few, vec![])], Some(5)));
        assert_eq!(
            heard(&[many, many, 3, 3]),
            (vec![(few, vec![]), (0, vec![5]), (0, vec![many]), (3, vec![3])], None),
            "a flood that goes on is counted whole, and over when few come"
        );
    }

    #[test]
    fn a_flood_is_told_once_before_its_second_is_over_and_then_once_a_second() {
        let flood = FLOOD_LINES * 3;
        let (rows, rest) = heard(&[flood, flood, flood]);
        assert_eq!(rows[0], (NOISE_LINES, vec![FLOOD_LINES]));
        assert_eq!(rows[1], (0, vec![flood - NOISE_LINES - FLOOD_LINES]));
        assert_eq!(rows[2], (0, vec![flood]));
        assert_eq!(rest, Some(flood));
    }

    /// Lines at one moment: how many were passed on, and how many were reported as repetitions.
    fn repeated(lines: impl Iterator<Item = String>) -> (u64, u64) {
        let (mut repetitions, now) = (Repetitions::default(), origin());
        let (mut whole, mut told) = (0, 0);
        for line in lines {
            let sample = || LineFact::Noise(line.clone());
            if repetitions.hear(now, &line, sample, |run| told += run.lines) == Hearing::Whole {
                whole += 1;
            }
        }
        (whole, told + repetitions.finish().map_or(0, |run| run.lines))
    }

    #[test]
    fn a_repeated_line_is_counted_and_a_line_of_its_own_never() {
        let few = 3 * NOISE_LINES;
        let (whole, told) = repeated((0..100_000).map(|_| "same".to_owned()));
        assert!(whole <= few && whole + told == 100_000, "{whole} handed on, {told} told");
        let (whole, told) = repeated((0..100_000).map(|number| format!("line {}", number % 5)));
        assert!(whole <= few && whole + told == 100_000, "some in turn: {whole} handed on, {told} told");
        assert_eq!(repeated((0..100_000).map(|number| number.to_string())), (100_000, 0), "each is another");
        assert_eq!(repeated((0..NOISE_LINES).map(|_| "same".to_owned())), (NOISE_LINES, 0), "few");
    }

    #[test]
    fn what_was_repeated_is_told_before_what_is_new() {
        let (mut repetitions, now) = (Repetitions::default(), origin());
        let mut order = Vec::new();
        for line in std::iter::repeat_n("same", 1_000).chain(["new"]) {
            let mut told = 0;
            let hearing = repetitions.hear(now, line, || LineFact::Noise(line.to_owned()), |run| told += run.lines);
            order.extend((told > 0).then(|| format!("{told} times")));
            order.extend((hearing == Hearing::Whole).then(|| line.to_owned()));
        }
        assert!(order.ends_with(&["871 times".to_owned(), "new".to_owned()]), "{:?}", order.last_chunk::<3>());
    }
}
