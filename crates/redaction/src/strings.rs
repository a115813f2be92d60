/// Follows the strings of a JSON text, only as far as it is asked.
#[derive(Default)]
pub(crate) struct StringScan {
    at: usize,
    inside: bool,
}

impl StringScan {
    /// Whether a character of a string begins at `at` (and not the middle of an escape). Calls go forward only.
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

    /// Goes on after a secret, which never holds the end of a string.
    pub(crate) fn skip_to(&mut self, at: usize) {
        self.at = self.at.max(at);
    }
}
