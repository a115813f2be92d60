/// A rate counts the faults per this many occasions.
pub(super) const OCCASIONS: u64 = 100_000;

/// A reproducible random source (SplitMix64). The same seed gives the same night on every machine and in every release, which a
/// general crate does not promise.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        // Mix the bits, so that neighbouring seeds do not give similar nights.
        let mut dice = Dice(seed ^ 0x5851_f42d_4c95_7f2d);
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `from..=to`.
    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        let span = to.saturating_sub(from).saturating_add(1);
        from + if span == 0 { self.next() } else { self.next() % span }
    }

    /// As [`Dice::between`], for numbers that may be negative.
    pub(super) fn between_signed(&mut self, from: i64, to: i64) -> i64 {
        let span = u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        from.saturating_add(i64::try_from(self.between(0, span)).unwrap_or(0))
    }

    /// True in `rate` of [`OCCASIONS`] cases.
    pub(super) fn chance(&mut self, rate: u64) -> bool {
        self.next() % OCCASIONS < rate
    }

    /// True in `times` of 100 cases.
    pub(super) fn percent(&mut self, times: u64) -> bool {
        self.chance(times * OCCASIONS / 100)
    }

    /// Draws a rate. It is 0 in half of all nights, so that faults also occur alone.
    pub(super) fn rate(&mut self, most: u64) -> u64 {
        if self.percent(50) { 0 } else { self.between(1, most.max(1)) }
    }

    pub(super) fn choose<T: Copy>(&mut self, from: &[T], otherwise: T) -> T {
        let at = self.between(0, (from.len() as u64).saturating_sub(1));
        usize::try_from(at).ok().and_then(|at| from.get(at)).copied().unwrap_or(otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::{Dice, OCCASIONS};

    #[test]
    fn the_same_seed_rolls_the_same_and_another_does_not() {
        let roll = |seed| {
            let mut dice = Dice::new(seed);
            (0..8).map(|_| dice.between(0, 1_000_000)).collect::<Vec<_>>()
        };
        assert_eq!(roll(7), roll(7));
        assert_ne!(roll(7), roll(8));
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut dice = Dice::new(1);
        for _ in 0..1_000 {
            assert!((3..=5).contains(&dice.between(3, 5)));
            assert!((-4..=4).contains(&dice.between_signed(-4, 4)));
        }
        assert_eq!(dice.between(9, 9), 9);
        assert!(!dice.chance(0) && dice.chance(OCCASIONS));
        assert!(!dice.percent(0) && dice.percent(100));
    }
}
