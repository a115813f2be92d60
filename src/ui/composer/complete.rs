use super::super::paint::{Colour, Look, Row};

/// How many choices are shown at once.
const SHOWN: usize = 6;
/// The column from which the descriptions stand, at least and at most; a longer name moves its own to the right.
const ABOUT_FROM: usize = 22;
const ABOUT_TO: usize = 40;

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
    /// What else the user types after it: the arguments of a command.
    pub hint: String,
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

    /// The rows of the list, each cut to the width. The descriptions stand in one column.
    #[must_use]
    pub fn rows(&self, columns: usize) -> Vec<Row> {
        let all = self.choices.len();
        let first = self.chosen.saturating_sub(SHOWN / 2).min(all.saturating_sub(SHOWN));
        let shown = || self.choices.iter().enumerate().skip(first).take(SHOWN);
        let heads: Vec<Row> = shown().map(|(at, choice)| choice.head(at == self.chosen, columns)).collect();
        let about_at = heads.iter().map(Row::columns).max().unwrap_or(0).clamp(ABOUT_FROM, ABOUT_TO) + 2;
        let mut rows = Vec::new();
        for (mut row, (_, choice)) in heads.into_iter().zip(shown()) {
            if !choice.about.is_empty() {
                let gap = about_at.saturating_sub(row.columns()).max(2);
                row.push(Look::PLAIN, &format!("{:gap$}{}", "", choice.about));
            }
            rows.push(row.cut(columns));
        }
        let place = if all > SHOWN { format!("{}/{all} · ", self.chosen + 1) } else { String::new() };
        rows.push(Row::of(Look::DIM, &format!("  {place}↑↓ moves · Tab takes · Esc closes")).cut(columns));
        rows
    }
}

impl Completion {
    /// Its name and its arguments. Long arguments are cut, so that the description keeps its room.
    fn head(&self, is_chosen: bool, columns: usize) -> Row {
        let cyan = Look::of(Colour::Cyan);
        let look = if is_chosen { Look { reversed: true, ..cyan } } else { cyan };
        let row = Row::of(Look::PLAIN, "  ").and(look, self.text.trim_end());
        if self.hint.is_empty() {
            return row;
        }
        let room = ABOUT_TO.min(columns / 2).max(row.columns() + 4);
        row.and(Look::DIM, &format!(" {}", self.hint)).cut(room)
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
        let choices = (0..9)
            .map(|number| Completion { text: format!("file{number}"), hint: String::new(), about: String::new() })
            .collect();
        let mut popup = Popup::of(Context::Command { query: String::new() }, choices).expect("choices");
        popup.turn(false);
        assert_eq!(popup.chosen().map(|choice| choice.text.as_str()), Some("file8"));
        assert_eq!(popup.rows(80).len(), SHOWN + 1);
        assert!(popup.rows(80)[SHOWN - 1].text().contains("file8"));
        assert_eq!(popup.rows(80)[SHOWN].text(), "  9/9 · ↑↓ moves · Tab takes · Esc closes");
        popup.turn(true);
        assert!(popup.rows(80)[0].text().contains("file0"));
        assert!(popup.rows(80)[SHOWN].text().contains("1/9"), "what is not shown is counted");
    }

    #[test]
    fn arguments_and_description_stand_apart_and_within_the_width() {
        let choice = |text: &str, hint: &str, about: &str| Completion {
            text: text.to_owned(),
            hint: hint.to_owned(),
            about: about.to_owned(),
        };
        let choices = vec![
            choice("/compact ", "[focus]", "Shortens the history"),
            choice("/cost", "", "What it has cost"),
            choice("/config ", &"a very long argument ".repeat(9), &"a very long description ".repeat(9)),
        ];
        let popup = Popup::of(Context::Command { query: "co".to_owned() }, choices).expect("choices");
        let rows = popup.rows(60);
        let texts: Vec<String> = rows.iter().map(Row::text).collect();
        let starts: Vec<Option<usize>> = ["Shortens", "What it", "a very long d"]
            .iter()
            .zip(&texts)
            .map(|(part, row)| row.find(part).map(|at| row.get(..at).unwrap_or_default().chars().count()))
            .collect();
        assert!(starts.iter().all(|at| *at == Some(32)), "{starts:?}: {texts:#?}");
        assert!(texts[0].starts_with("  /compact [focus]  "), "{texts:#?}");
        assert!(rows.iter().all(|row| row.columns() <= 60), "{texts:#?}");
        assert_eq!(rows[1].text(), "  /cost                         What it has cost");
        let chosen = Look { reversed: true, ..Look::of(Colour::Cyan) };
        let row = Row::of(Look::PLAIN, "  ").and(chosen, "/compact").and(Look::DIM, " [focus]");
        assert_eq!(rows[0], row.and(Look::PLAIN, "              Shortens the history"));
    }
}
