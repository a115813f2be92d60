use super::super::paint::{Colour, Look, Row};
use super::{inline, table};

/// A longer table or fence is shown before it is closed.
const HELD_LINES: usize = 200;
const HELD_BYTES: usize = 64 * 1024;
/// A longer line is split.
const LINE_LIMIT_BYTES: usize = 64 * 1024;

/// A part of a text that no longer changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A line of a paragraph, a heading, a list or a quotation.
    Line(String),
    /// Lines of code, shown as they are; the language is printed before the first.
    Code {
        /// The language that the fence names; `None` in a later part of a long fence.
        language: Option<String>,
        /// The lines.
        lines: Vec<String>,
    },
    /// A table: its head, its delimiter and its rows, as typed.
    Table(Vec<String>),
}

/// A text that arrives in parts.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// The incomplete line.
    open: String,
    held: Held,
    /// Whether the last line was blank, or there was none.
    below_blank: bool,
    has_begun: bool,
}

#[derive(Debug, Clone, Default)]
enum Held {
    #[default]
    Nothing,
    /// A fence: its end mark and its lines.
    Fence {
        mark: char,
        length: usize,
        indent: usize,
        language: Option<String>,
        lines: Vec<String>,
        bytes: usize,
    },
    /// A line that may be the head of a table.
    Head(String),
    Table {
        lines: Vec<String>,
        bytes: usize,
    },
}

impl Stream {
    /// An empty text.
    #[must_use]
    pub fn new() -> Stream {
        Stream::default()
    }

    /// Appends to the text; returns the blocks that are finished.
    pub fn push(&mut self, text: &str) -> Vec<Block> {
        let mut blocks = Vec::new();
        for part in text.split_inclusive('\n') {
            self.open.push_str(part);
            if let Some(line) = self.open.strip_suffix('\n') {
                let line = line.strip_suffix('\r').unwrap_or(line).to_owned();
                self.open.clear();
                self.line(line, &mut blocks);
            } else {
                // An endless line is shown in parts.
                while self.open.len() > LINE_LIMIT_BYTES {
                    let cut = self.open.floor_char_boundary(LINE_LIMIT_BYTES);
                    let rest = self.open.split_off(cut);
                    let line = std::mem::replace(&mut self.open, rest);
                    self.line(line, &mut blocks);
                }
            }
        }
        blocks
    }

    /// Ends the text; returns the remaining blocks.
    pub fn finish(&mut self) -> Vec<Block> {
        let mut blocks = Vec::new();
        if !self.open.is_empty() {
            let line = std::mem::take(&mut self.open);
            self.line(line, &mut blocks);
        }
        self.release(&mut blocks);
        *self = Stream::default();
        blocks
    }

    /// The unfinished end of the text, to be shown in one row.
    #[must_use]
    pub fn tail(&self) -> &str {
        let held = match &self.held {
            Held::Nothing => None,
            Held::Fence { lines, .. } | Held::Table { lines, .. } => lines.last().map(String::as_str),
            Held::Head(line) => Some(line.as_str()),
        };
        if self.open.trim().is_empty() { held.unwrap_or_default() } else { &self.open }
    }

    fn line(&mut self, line: String, blocks: &mut Vec<Block>) {
        match std::mem::take(&mut self.held) {
            Held::Fence { mark, length, indent, language, mut lines, bytes } => {
                if closes(&line, mark, length) {
                    blocks.push(Block::Code { language, lines });
                    self.below_blank = false;
                    return;
                }
                let indented = line.bytes().take(indent).take_while(|byte| *byte == b' ').count();
                let bytes = bytes + line.len();
                lines.push(line.get(indented..).unwrap_or_default().to_owned());
                if lines.len() > HELD_LINES || bytes > HELD_BYTES {
                    blocks.push(Block::Code { language, lines });
                    self.held = Held::Fence { mark, length, indent, language: None, lines: Vec::new(), bytes: 0 };
                } else {
                    self.held = Held::Fence { mark, length, indent, language, lines, bytes };
                }
            }
            Held::Head(head) => {
                if table::is_delimiter(&line, &head) {
                    self.has_begun = true;
                    let bytes = head.len() + line.len();
                    self.held = Held::Table { lines: vec![head, line], bytes };
                } else {
                    self.plain(head, blocks);
                    self.line(line, blocks);
                }
            }
            Held::Table { mut lines, bytes } => {
                let bytes = bytes + line.len();
                if !table::is_row(&line) || lines.len() > HELD_LINES || bytes > HELD_BYTES {
                    blocks.push(Block::Table(lines));
                    self.below_blank = false;
                    self.line(line, blocks);
                } else {
                    lines.push(line);
                    self.held = Held::Table { lines, bytes };
                }
            }
            Held::Nothing => {
                if let Some((mark, length, indent, language)) = fence(&line) {
                    self.has_begun = true;
                    self.held =
                        Held::Fence { mark, length, indent, language: Some(language), lines: Vec::new(), bytes: 0 };
                } else if table::is_row(&line) {
                    self.held = Held::Head(line);
                } else {
                    self.plain(line, blocks);
                }
            }
        }
    }

    /// Adds a line of text. Leading blank lines and repeated blank lines are dropped.
    fn plain(&mut self, line: String, blocks: &mut Vec<Block>) {
        let is_blank = line.trim().is_empty();
        if is_blank && (self.below_blank || !self.has_begun) {
            return;
        }
        self.has_begun = true;
        self.below_blank = is_blank;
        blocks.push(Block::Line(if is_blank { String::new() } else { line }));
    }

    /// Returns what is held, closed or not.
    fn release(&mut self, blocks: &mut Vec<Block>) {
        match std::mem::take(&mut self.held) {
            Held::Nothing => {}
            Held::Fence { language, lines, .. } => blocks.push(Block::Code { language, lines }),
            Held::Head(line) => self.plain(line, blocks),
            Held::Table { lines, .. } => blocks.push(Block::Table(lines)),
        }
    }
}

/// The mark that opens a fence, its length, the fence's indentation, and the language.
fn fence(line: &str) -> Option<(char, usize, usize, String)> {
    let body = line.trim_start_matches(' ');
    let mark = body.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = body.chars().take_while(|c| *c == mark).count();
    let language = body.get(length..)?.trim();
    let is_fence = length >= 3 && !(mark == '`' && language.contains('`'));
    is_fence.then(|| (mark, length, line.len() - body.len(), language.to_owned()))
}

fn closes(line: &str, mark: char, length: usize) -> bool {
    let line = line.trim();
    line.chars().count() >= length && line.chars().all(|c| c == mark)
}

impl Block {
    /// Its rows, at most `columns` wide; the terminal breaks code and what cannot be broken here.
    #[must_use]
    pub fn rows(&self, columns: usize) -> Vec<Row> {
        match self {
            Block::Line(line) => line_rows(line, columns),
            Block::Table(lines) => table::rows(lines, columns),
            Block::Code { language, lines } => {
                let mut rows = Vec::new();
                if let Some(language) = language.as_deref().filter(|language| !language.is_empty()) {
                    rows.push(Row::of(Look::DIM, &format!("  {language}")));
                }
                rows.extend(lines.iter().map(|line| Row::of(Look::PLAIN, "  ").and(Look::of(Colour::Cyan), line)));
                rows
            }
        }
    }
}

pub(super) fn line_rows(line: &str, columns: usize) -> Vec<Row> {
    if line.is_empty() {
        return vec![Row::new()];
    }
    let body = line.trim_start_matches(' ');
    let indent = " ".repeat((line.len() - body.len()).min(columns / 2));
    let (lead, lead_look, look, text) = if let Some(heading) = heading(body) {
        (String::new(), Look::PLAIN, Look::BOLD, heading)
    } else if is_rule(body) {
        return vec![Row::of(Look::DIM, &"─".repeat(columns.min(40)))];
    } else if let Some(quoted) = body.strip_prefix('>') {
        ("▏ ".to_owned(), Look::DIM, Look { italic: true, ..Look::PLAIN }, quoted.strip_prefix(' ').unwrap_or(quoted))
    } else if let Some((marker, text)) = item(body) {
        (marker, Look::DIM, Look::PLAIN, text)
    } else {
        (String::new(), Look::PLAIN, Look::PLAIN, body)
    };
    let mut row = Row::of(Look::PLAIN, &indent).and(lead_look, &lead);
    let is_quoted = lead.starts_with('▏');
    let hang = if is_quoted { row.clone() } else { Row::of(Look::PLAIN, &" ".repeat(row.columns())) };
    inline::push(&mut row, look, text);
    row.wrapped(columns, &hang)
}

/// The text of a heading, which follows a run of `#`.
fn heading(body: &str) -> Option<&str> {
    let level = body.bytes().take_while(|byte| *byte == b'#').count();
    let text = body.get(level..)?.strip_prefix(' ')?;
    (1..=6).contains(&level).then(|| text.trim_end_matches('#').trim())
}

fn is_rule(body: &str) -> bool {
    let body = body.trim_end();
    let mut marks = body.chars().filter(|c| *c != ' ');
    let Some(first) = marks.next().filter(|c| matches!(c, '-' | '*' | '_')) else { return false };
    marks.clone().count() >= 2 && marks.all(|c| c == first)
}

/// The marker of a list item as it is shown, and the item's text.
fn item(body: &str) -> Option<(String, &str)> {
    if let Some(text) = body.strip_prefix("- ").or_else(|| body.strip_prefix("* ")).or_else(|| body.strip_prefix("+ "))
    {
        let boxes = [("[ ] ", "☐ "), ("[x] ", "☑ "), ("[X] ", "☑ ")];
        let found = boxes.iter().find_map(|(typed, shown)| Some((*shown, text.strip_prefix(typed)?)));
        let (marker, text) = found.unwrap_or(("• ", text));
        return Some((marker.to_owned(), text));
    }
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let after = body.get(digits..)?;
    let text = after.strip_prefix(". ").or_else(|| after.strip_prefix(") "))?;
    ((1..=9).contains(&digits)).then(|| (body.get(..digits + 2).unwrap_or_default().to_owned(), text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::paint::text_of;
    use super::super::rows;
    use super::*;

    fn shown(text: &str, columns: usize) -> String {
        text_of(&rows(text, columns))
    }

    #[test]
    fn what_models_write_is_laid_out() {
        let text = "# Plan\n\n\nI look at **the parser** and `main.rs`:\n\n- one thing that is long enough to be broken\n  - [x] nested\n2. second\n\n> quoted words that are long as well\n\n---\nsee [docs](https://a.b) or <https://c.d>.\n";
        insta::assert_snapshot!(shown(text, 30), @r"
        Plan

        I look at the parser and
        main.rs:

        • one thing that is long
          enough to be broken
          ☑ nested
        2. second

        ▏ quoted words that are long
        ▏ as well

        ──────────────────────────────
        see docs (https://a.b) or
        https://c.d.
        ");
    }

    #[test]
    fn marks_that_are_no_marks_stay() {
        for text in
            ["a * b * c", "snake_case_name and _x", "2 < 3 & 4 > 1", "* ", "+ + foo", "1986\\. x", "**open", "a[1] [x]"]
        {
            let shown = shown(text, 80);
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            assert_eq!(letters(&shown), letters(text), "{text}: {shown}");
        }
        assert_eq!(shown("a * b", 80), "a * b\n");
        assert_eq!(shown("use snake_case_name", 80), "use snake_case_name\n");
    }

    #[test]
    fn a_table_is_laid_out_when_it_is_closed() {
        let text = "| file | lines |\n|---|--:|\n| `a.rs` | 1 |\n| long/name.rs | 200 |\n\nafter\n";
        insta::assert_snapshot!(shown(text, 40), @r"
        file         │ lines
        ─────────────┼──────
        a.rs         │     1
        long/name.rs │   200

        after
        ");
        insta::assert_snapshot!(shown(text, 16), @r"
        file: a.rs
        lines: 1

        file:
          long/name.rs
        lines: 200

        after
        ");
        let mut stream = Stream::new();
        assert!(stream.push("| a |\n|---|\n| b |\n").is_empty());
        assert_eq!(stream.tail(), "| b |");
        assert_eq!(stream.push("\n").len(), 2);
    }

    #[test]
    fn the_cells_of_a_table_that_is_too_wide_are_broken_at_words() {
        let text = "| option | what it does |\n|---|---|\n| `--plain` | no cursor movement, for **screen readers** |\n| `-p` | a task |\n";
        insta::assert_snapshot!(shown(text, 30), @r"
        option  │ what it does
        ────────┼─────────────────────
        --plain │ no cursor movement,
                │ for screen readers
        ────────┼─────────────────────
        -p      │ a task
        ");
        for columns in 10..60 {
            let shown = shown(text, columns);
            assert!(!shown.contains('|'), "{shown}");
            assert!(shown.lines().all(|line| crate::ui::columns::of(line) <= columns.max(12)), "{columns}: {shown}");
        }
    }

    #[test]
    fn an_unfinished_line_has_its_looks() {
        let shown = |line: &str| super::super::unfinished(line, 40).map(|row| row.text());
        assert_eq!(shown("see **the parser").as_deref(), Some("see the parser"));
        assert_eq!(shown("see **").as_deref(), Some("see "));
        assert_eq!(shown("- run `cargo te").as_deref(), Some("• run cargo te"));
        assert_eq!(shown(&"word ".repeat(20)).map(|row| row.len() < 41), Some(true));
    }

    #[test]
    fn a_fence_is_shown_when_it_is_closed_or_too_long() {
        let mut stream = Stream::new();
        assert!(stream.push("```rust\nfn main() {}\n").is_empty());
        let blocks = stream.push("```\n");
        assert_eq!(blocks, [Block::Code { language: Some("rust".to_owned()), lines: vec!["fn main() {}".to_owned()] }]);
        let long = format!("```\n{}", "line\n".repeat(HELD_LINES + 5));
        let mut stream = Stream::new();
        assert_eq!(stream.push(&long).len(), 1);
        assert_eq!(stream.finish().len(), 1);
        assert_eq!(shown("```\n**no** marks\n# here\n```", 20), "  **no** marks\n  # here\n");
    }

    #[test]
    fn code_is_printed_whole_however_long_its_lines_are() {
        let line = "x".repeat(300);
        assert_eq!(rows(&format!("```\n{line}\n```\n"), 40).len(), 1);
    }

    #[test]
    fn a_line_that_never_ends_is_shown_in_parts() {
        let mut stream = Stream::new();
        assert_eq!(stream.push(&"x".repeat(200_000)).len(), 3);
        assert!(stream.tail().len() <= LINE_LIMIT_BYTES);
    }

    #[test]
    fn a_delimiter_with_another_number_of_cells_begins_no_table() {
        assert_eq!(shown("- | **a**\n- |\n|", 20), "• | a\n• |\n|\n");
        assert_eq!(shown("a | b\n--|--|--\nc | d\n", 20), "a | b\n--|--|--\nc | d\n");
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_blocks(
            parts in proptest::collection::vec(prop_oneof![
                Just("```\n".to_owned()), Just("| a | b |\n".to_owned()), Just("|---|---|\n".to_owned()), Just("\n".to_owned()),
                Just("- item **bold**\n".to_owned()), any::<String>(), "[a-z|*`_ \n]{0,20}",
            ], 0..14),
            size in 1usize..9, columns in 4usize..60,
        ) {
            let text = parts.concat();
            let mut stream = Stream::new();
            let mut chunked = Vec::new();
            let chars: Vec<char> = text.chars().collect();
            for chunk in chars.chunks(size) {
                chunked.extend(stream.push(&chunk.iter().collect::<String>()));
            }
            chunked.extend(stream.finish());
            let mut stream = Stream::new();
            let mut whole = stream.push(&text);
            whole.extend(stream.finish());
            prop_assert_eq!(&chunked, &whole);
            for block in &whole {
                prop_assert!(block.rows(columns).iter().all(|row| !row.text().chars().any(char::is_control)));
            }
        }

        #[test]
        fn no_letter_is_lost(words in proptest::collection::vec("[a-z]{1,6}|\\*\\*[a-z]{1,5}\\*\\*|`[a-z]{1,5}`|\n|- |# |> |\\|", 0..40), columns in 4usize..60) {
            let text = words.join(" ");
            // Cells of several rows are printed side by side.
            let letters = |text: &str| {
                let mut letters: Vec<char> = text.chars().filter(|c| c.is_alphabetic()).collect();
                letters.sort_unstable();
                letters
            };
            prop_assert_eq!(letters(&shown(&text, columns)), letters(&text));
        }
    }
}
