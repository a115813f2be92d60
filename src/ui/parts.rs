//! Whether the parts of a text in progress follow each other: a client that attaches in the middle has not got the first ones.

/// What stands where a part of a text is missing.
pub const GAP: &str = "… ";

/// How a part joins the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// It continues the text.
    Follows,
    /// Text is missing before it.
    Gap,
    /// It was there before.
    Again,
}

/// Counts the parts of a text in progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    next: u64,
}

impl Parts {
    /// Takes the part with this number; an older ccc gives none.
    pub fn take(&mut self, part: Option<u64>) -> Joint {
        let Some(part) = part else { return Joint::Follows };
        let joint = match part {
            _ if part == self.next => Joint::Follows,
            // Another text begins, although this one was not completed.
            0 => Joint::Gap,
            _ if part < self.next => return Joint::Again,
            _ => Joint::Gap,
        };
        self.next = part.saturating_add(1);
        joint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_does_not_follow_the_last_one_is_a_gap_and_one_that_came_before_comes_once() {
        let mut parts = Parts::default();
        let mut take = |part| parts.take(part);
        assert_eq!([0, 1, 2].map(|part| take(Some(part))), [Joint::Follows; 3]);
        assert_eq!([1, 2, 3].map(|part| take(Some(part))), [Joint::Again, Joint::Again, Joint::Follows]);
        assert_eq!([5, 6].map(|part| take(Some(part))), [Joint::Gap, Joint::Follows]);
        assert_eq!([0, 1].map(|part| take(Some(part))), [Joint::Gap, Joint::Follows], "another text");
        assert_eq!(take(None), Joint::Follows);
        assert_eq!(Parts::default().take(Some(7)), Joint::Gap);
    }
}
