use super::super::paint::{Colour, Look, Row};

/// How many choices are shown at once.
const SHOWN: usize = 6;
/// The width of a choice's name before its description, in columns.
const NAME_COLUMNS: usize = 24;

/// What can be completed at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Context {
    /// A file name after the `@` at `from`.
    File {
        /// The position of the `@`, in bytes.
        from: usize,
        /// The text after the `@`.
        query: String,
    },
    /// The name of a command: the draft begins with `/`.
    Command {
        /// The text after the `/`.
        query: String,
    },
}

impl Context {
    /// What can be completed at the cursor of `text`.
    #[must_use]
    pub fn at(text: &str, cursor: usize) -> Option<Context> {
        let before = text.get(..cursor)?;
        if let Some(command) = before.strip_prefix('/')
            && !command.contains(char::is_whitespace)
        {
            return Some(Context::Command { query: command.to_owned() });
        }
        let from = before.rfind('@')?;
        let query = before.get(from + 1..)?;
        let begins =
            before.get(..from)?.chars().next_back().is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '"' | '\''));
        (begins && !query.contains(char::is_whitespace)).then(|| Context::File { from, query: query.to_owned() })
    }
}

/// A choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The text inserted into the draft.
    pub text: String,
    /// The description.
    pub about: String,
}

/// The list of choices below the composer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Popup {
    /// What is completed.
    pub context: Context,
    choices: Vec<Completion>,
    chosen: usize,
}

impl Popup {
    /// A list of choices; `None` if there are none.
    #[must_use]
    pub fn of(context: Context, choices: Vec<Completion>) -> Option<Popup> {
        (!choices.is_empty()).then_some(Popup { context, choices, chosen: 0 })
    }

    /// Selects the next choice, or the one before.
    pub fn turn(&mut self, forward: bool) {
        let last = self.choices.len() - 1;
        self.chosen = match (forward, self.chosen) {
            (true, at) if at == last => 0,
            (true, at) => at + 1,
            (false, 0) => last,
            (false, at) => at - 1,
        };
    }

    /// The selected choice.
    #[must_use]
    pub fn chosen(&self) -> Option<&Completion> {
        self.choices.get(self.chosen)
    }

    /// The rows of the list.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let all = self.choices.len();
        let first = self.chosen.saturating_sub(SHOWN / 2).min(all.saturating_sub(SHOWN));
        let mut rows = Vec::new();
        for (at, choice) in self.choices.iter().enumerate().skip(first).take(SHOWN) {
            let look = if at == self.chosen {
                Look { reversed: true, ..Look::of(Colour::Cyan) }
            } else {
                Look::of(Colour::Cyan)
            };
            let mut row = Row::of(Look::PLAIN, "  ").and(look, &choice.text);
            if !choice.about.is_empty() {
                let gap = NAME_COLUMNS.saturating_sub(row.columns()).max(2);
                row.push(Look::DIM, &format!("{:gap$}{}", "", choice.about));
            }
            rows.push(row);
        }
        let place = if all > SHOWN { format!("{}/{all} · ", self.chosen + 1) } else { String::new() };
        rows.push(Row::of(Look::DIM, &format!("  {place}↑↓ moves · Tab takes · Esc closes")));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_completed_stands_at_the_cursor() {
        let file = |from, query: &str| Some(Context::File { from, query: query.to_owned() });
        let command = |query: &str| Some(Context::Command { query: query.to_owned() });
        for (text, expected) in [
            ("/", command("")),
            ("/mod", command("mod")),
            ("/model opus", None),
            ("see @src/ma", file(4, "src/ma")),
            ("@", file(0, "")),
            ("(@a", file(1, "a")),
            ("mail a@b", None),
            ("see @a and", None),
            ("", None),
        ] {
            assert_eq!(Context::at(text, text.len()), expected, "{text}");
        }
        assert_eq!(Context::at("@abc", 2), file(0, "a"));
    }

    #[test]
    fn choices_turn_round_and_scroll() {
        let choices = (0..9).map(|number| Completion { text: format!("file{number}"), about: String::new() }).collect();
        let mut popup = Popup::of(Context::Command { query: String::new() }, choices).expect("choices");
        popup.turn(false);
        assert_eq!(popup.chosen().map(|choice| choice.text.as_str()), Some("file8"));
        assert_eq!(popup.rows().len(), SHOWN + 1);
        assert!(popup.rows()[SHOWN - 1].text().contains("file8"));
        assert_eq!(popup.rows()[SHOWN].text(), "  9/9 · ↑↓ moves · Tab takes · Esc closes");
        popup.turn(true);
        assert!(popup.rows()[0].text().contains("file0"));
        assert!(popup.rows()[SHOWN].text().contains("1/9"), "what is not shown is counted");
    }
}
