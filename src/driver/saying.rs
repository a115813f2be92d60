//! A text in progress, passed on in whole words.

use std::time::{Duration, Instant};

/// The longest word that is buffered, in bytes: a text without spaces is shown only when it is complete.
const WORD_BYTES: usize = 4 * 1024;
/// The shortest time between two parts that are shown: a frame of the dashboard, which shows no more in it.
const SAYING_INTERVAL: Duration = Duration::from_millis(40);

/// The buffered rest of a text in progress. Only whole words are passed on, so that a secret cannot pass the redactor in two
/// halves.
#[derive(Default)]
pub(super) struct StreamedText {
    waiting: String,
    /// The number of the next part. A number is left out where text is.
    part: u64,
    told_at: Option<Instant>,
}

impl StreamedText {
    /// Adds a part; returns the whole words to pass on now, with their number.
    pub(super) fn add(&mut self, part: &str, now: Instant) -> Option<(u64, String)> {
        self.waiting.push_str(part);
        if self.waiting.len() > WORD_BYTES {
            self.skip();
            self.told_at = Some(now);
            return None;
        }
        if self.told_at.is_some_and(|at| now.duration_since(at) < SAYING_INTERVAL) {
            return None;
        }
        let end = self.waiting.rfind([' ', '\n']).map(|at| at + 1)?;
        self.told_at = Some(now);
        let rest = self.waiting.split_off(end);
        let number = self.part;
        self.part += 1;
        Some((number, std::mem::replace(&mut self.waiting, rest)))
    }

    /// Another text begins.
    pub(super) fn begin(&mut self) {
        self.waiting.clear();
        self.part = 0;
    }

    /// Something else came, for example the complete text.
    pub(super) fn forget(&mut self) {
        if !self.waiting.is_empty() {
            self.skip();
        }
    }

    /// Text of it is not passed on.
    pub(super) fn skip(&mut self) {
        self.waiting.clear();
        self.part += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{SAYING_INTERVAL, StreamedText, WORD_BYTES};

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a moment to count from")]
    fn only_whole_words_are_told_and_not_too_often() {
        let start = Instant::now();
        let mut saying = StreamedText::default();
        let told = |part, words: &str| Some((part, words.to_owned()));
        assert_eq!(saying.add("sk-ant-", start), None, "half a word may be half a secret");
        assert_eq!(saying.add("abc is my ke", start), told(0, "sk-ant-abc is my "));
        assert_eq!(saying.add("y and ", start + Duration::from_millis(1)), None);
        assert_eq!(saying.add("more", start + SAYING_INTERVAL), told(1, "key and "));
        // Where text is left out, so is a number.
        saying.forget();
        assert_eq!(saying.add(&"x".repeat(WORD_BYTES + 1), start + 2 * SAYING_INTERVAL), None);
        assert_eq!(saying.add("y ", start + 4 * SAYING_INTERVAL), told(4, "y "));
        saying.forget();
        assert_eq!(saying.add("z ", start + 6 * SAYING_INTERVAL), told(5, "z "), "nothing waited");
        saying.begin();
        assert_eq!(saying.add("a ", start + 8 * SAYING_INTERVAL), told(0, "a "));
        saying.skip();
        assert_eq!(saying.add("c ", start + 10 * SAYING_INTERVAL), told(2, "c "), "nobody wanted the part between");
    }
}
