//! What git and `gh` say, for the user.

use crate::ui::clean;
use redaction::Redactor;

/// How many of the last lines are kept.
const LINES: usize = 12;

/// The last lines of this text that say something, without secrets.
pub(super) fn words(text: &[u8]) -> String {
    let text = without_userinfo(&clean::lines(&String::from_utf8_lossy(text)));
    let text = Redactor::new().text(&text).into_owned();
    let says_something = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && line != "remote:" && !line.starts_with("hint: ")
    };
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(says_something).collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}

/// The text with `https://HOST` in the place of `https://USER:PASSWORD@HOST`.
pub(super) fn without_userinfo(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        cleaned.push_str(before);
        let authority = after.find(|c: char| c == '/' || c.is_whitespace() || c == '\'' || c == '"');
        let authority = authority.map_or(after, |end| &after[..end]);
        rest = authority.rfind('@').map_or(after, |at| &after[at + 1..]);
    }
    cleaned.push_str(rest);
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_secrets_and_hints_are_left_out_of_what_git_says() {
        let said = "remote: \nremote: Rejected by policy.\nhint: Updates were rejected\n\x1b[2J\n\
                    fatal: unable to access 'https://me:hunter2@example.org/a@b.git/': 403\n";
        let words = words(said.as_bytes());
        assert!(words.starts_with("remote: Rejected by policy.\n"), "{words}");
        assert!(words.ends_with("fatal: unable to access 'https://example.org/a@b.git/': 403"), "{words}");
        assert!(!words.contains("hint") && !words.contains("hunter2") && !words.contains('\x1b'), "{words}");
        let token = format!("ghp_{}", "a1".repeat(18));
        let said = format!("one https://{token}@h/x and {token}, ssh://git@h:22/y");
        let words = self::words(said.as_bytes());
        assert!(
            !words.contains(&token) && words.contains("https://h/x and ") && words.contains("ssh://h:22/y"),
            "{words}"
        );
        let many: String = (0..40).map(|number| format!("line {number}\n")).collect();
        let words = self::words(many.as_bytes());
        assert!(words.lines().count() == LINES && words.ends_with("line 39"), "{words}");
    }
}
