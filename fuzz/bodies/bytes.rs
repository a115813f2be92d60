//! Makes choices out of a fuzzer's bytes. When they are spent every choice is the first one.

/// The bytes that are left.
pub(crate) struct Bytes<'a> {
    rest: &'a [u8],
}

/// Numbers at which programs break.
const EDGES: [u64; 16] = [
    0,
    1,
    2,
    59_999,
    180_000,
    900_000,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    9_007_199_254_740_991,
    9_223_372_036_854_775,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX / 1_000,
    u64::MAX - 1,
    u64::MAX,
];

impl<'a> Bytes<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((first, rest)) => {
                self.rest = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A small number, or one of the edges.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..=199 => u64::from(small) * u64::from(small),
            edge => EDGES[usize::from(edge) % EDGES.len()],
        }
    }

    /// Text of at most `most` bytes, its length drawn first; what is no UTF-8 is replaced.
    pub(crate) fn text(&mut self, most: usize) -> String {
        let length = self.below(most + 1).min(self.rest.len());
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}
