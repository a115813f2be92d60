//! Quotes the words of a command line that a user copies into a shell.

/// Quotes a word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=~".contains(c);
    if !word.is_empty() && !word.starts_with('~') && word.chars().all(plain) {
        return word.to_owned();
    }
    if !word.contains(['"', '$', '`', '\\', '!', '\n']) {
        return format!("\"{word}\"");
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Quotes words and puts a space before each.
pub fn words<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    words.into_iter().map(|word| format!(" {}", quoted(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::{quoted, words};

    #[test]
    fn a_command_can_be_pasted_whatever_stands_in_it() {
        assert_eq!(quoted("/home/me/a-b_c.d"), "/home/me/a-b_c.d");
        assert_eq!(quoted("/home/me/my work"), "\"/home/me/my work\"");
        assert_eq!(quoted("it's; rm"), "\"it's; rm\"");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted("~x"), "\"~x\"");
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(words(&["--allowedTools".to_owned(), "Bash(ls -l)".to_owned()]), " --allowedTools \"Bash(ls -l)\"");
    }
}
