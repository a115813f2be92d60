/// Tracks the strings of a JSON text, as far as needed.
#[derive(Default)]
pub(crate) struct StringScan {
    at: usize,
    inside: bool,
}

impl StringScan {
    /// Whether a character of a string (not the middle of an escape) begins at `at`. Positions must not decrease
    /// between calls.
    pub(crate) fn is_inside(&mut self, bytes: &[u8], at: usize) -> bool {
        while self.at < at {
            let Some(step) = memchr::memchr2(b'"', b'\\', &bytes[self.at..at]) else {
                self.at = at;
                break;
            };
            let here = self.at + step;
            if bytes[here] == b'"' {
                self.inside = !self.inside;
                self.at = here + 1;
            } else {
                let escape = if bytes.get(here + 1) == Some(&b'u') { 6 } else { 2 };
                self.at = here + escape;
            }
        }
        self.inside && self.at == at
    }

    /// Continues after a secret, which never contains the end of a string.
    pub(crate) fn skip_to(&mut self, at: usize) {
        self.at = self.at.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::StringScan;

    #[test]
    fn where_a_character_of_a_string_begins() {
        let text = br#"{"a\u0041b":"\"c"}"#;
        let begins: Vec<usize> = {
            let mut scan = StringScan::default();
            (0..text.len()).filter(|at| scan.is_inside(text, *at)).collect()
        };
        let letters: Vec<char> = begins.iter().map(|at| char::from(text[*at])).collect();
        assert_eq!(begins, [2, 3, 9, 10, 13, 15, 16], "{letters:?}");
    }

    #[test]
    fn what_a_secret_holds_ends_no_string() {
        let mut scan = StringScan::default();
        let text = br#""ab"cd"#;
        assert!(scan.is_inside(text, 1));
        scan.skip_to(5);
        assert!(scan.is_inside(text, 5), "the mark in its middle was passed over");
    }
}
