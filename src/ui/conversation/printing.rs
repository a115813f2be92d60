//! What is printed: finished pieces, and the lines of a text in progress.

use std::collections::VecDeque;

use super::super::markdown::{Block, Stream};
use super::super::paint::{Look, Row};
use super::super::parts::{GAP, Joint, Parts};
use super::pieces::{Note, Piece};

/// How many pieces are kept for reprinting.
const PIECES_LIMIT: usize = 100_000;
/// How many pieces are searched for a folded one.
const UNFOLDED_AMONG: usize = 200;
/// How many rows are reprinted at most.
const REPRINTED_ROWS: usize = 2_000;
/// How much of a complete text is laid out at a time.
const TEXT_BYTES: usize = 16 * 1024;
/// How much of a text in progress is printed before it is complete.
const SAID_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// The pieces, and what waits to be printed.
#[derive(Debug, Clone, Default)]
pub(super) struct Printing {
    pieces: VecDeque<Piece>,
    ready: VecDeque<Ready>,
    partial: PartialText,
    /// Whether the last printed row is empty, or nothing is printed.
    below_blank: bool,
    /// Whether something was printed.
    has_begun: bool,
    /// How many pieces were added.
    added: u64,
    /// How many folded pieces, from the last backwards, were shown whole since the last addition.
    unfolded: usize,
}

#[derive(Debug, Clone)]
enum Ready {
    Piece(Box<Piece>, bool),
    Text(Box<Text>),
    Block(Block),
    /// An empty row, unless the row before is empty.
    Apart,
    Row(Row),
}

/// A complete text that is laid out part by part: a text of 10 MB would delay the keyboard.
#[derive(Debug, Clone)]
struct Text {
    text: Box<str>,
    stream: Stream,
    /// How many bytes of it are laid out.
    at: usize,
}

impl Text {
    /// Adds the rows of the next part; `false` after the last.
    fn next(&mut self, columns: usize, rows: &mut Vec<Row>) -> bool {
        let end = self.text.floor_char_boundary(self.at + TEXT_BYTES);
        let mut blocks = self.stream.push(self.text.get(self.at..end).unwrap_or_default());
        self.at = end;
        let is_last = end == self.text.len();
        if is_last {
            blocks.extend(self.stream.finish());
        }
        rows.extend(blocks.into_iter().flat_map(|block| block.rows(columns)));
        !is_last
    }
}

/// A text in progress.
#[derive(Debug, Clone, Default)]
struct PartialText {
    text: String,
    stream: Stream,
    parts: Parts,
    /// How many of its blocks are printed or waiting.
    blocks: usize,
}

impl Printing {
    /// Adds a piece.
    pub(super) fn add(&mut self, piece: Piece) {
        self.keep(piece.clone());
        if let Piece::Said(text) = &piece {
            self.ready.push_back(Ready::Apart);
            self.ready.push_back(Ready::Text(Box::new(Text { text: text.clone(), stream: Stream::new(), at: 0 })));
        } else {
            self.ready.push_back(Ready::Piece(Box::new(piece), false));
        }
    }

    /// Adds a note.
    pub(super) fn note(&mut self, note: Note, text: &str) {
        self.add(Piece::Note(note, text.into()));
    }

    /// How many pieces were added.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// Prints a piece in full.
    pub(super) fn whole(&mut self, piece: Piece) {
        self.ready.push_back(Ready::Piece(Box::new(piece), true));
    }

    /// Separates what follows by an empty row.
    pub(super) fn pause(&mut self) {
        self.ready.push_back(Ready::Apart);
    }

    fn keep(&mut self, piece: Piece) {
        self.unfolded = 0;
        self.added += 1;
        self.pieces.push_back(piece);
        if self.pieces.len() > PIECES_LIMIT {
            self.pieces.pop_front();
        }
    }

    /// Adds a part of the agent's text in progress, with its number in the text. Where text is missing, a mark stands.
    pub(super) fn add_partial(&mut self, words: &str, part: Option<u64>) {
        let marked;
        let words = match self.partial.parts.take(part) {
            Joint::Follows => words,
            Joint::Again => return,
            Joint::Gap if self.partial.text.is_empty() => {
                marked = format!("{GAP}{words}");
                &marked
            }
            Joint::Gap => {
                marked = format!("\n\n{GAP}{words}");
                &marked
            }
        };
        if self.partial.text.len() + words.len() > SAID_LIMIT_BYTES {
            return;
        }
        self.partial.text.push_str(words);
        let blocks = self.partial.stream.push(words);
        self.say(blocks);
    }

    fn say(&mut self, blocks: Vec<Block>) {
        if self.partial.blocks == 0 && !blocks.is_empty() {
            self.ready.push_back(Ready::Apart);
        }
        self.partial.blocks += blocks.len();
        self.ready.extend(blocks.into_iter().map(Ready::Block));
    }

    /// Completes the agent's text.
    pub(super) fn said(&mut self, text: &str) {
        let partial = std::mem::take(&mut self.partial);
        if partial.blocks == 0 {
            if !text.trim().is_empty() {
                self.add(Piece::Said(text.into()));
            }
            return;
        }
        let printed = partial.text.get(..partial.text.rfind('\n').map_or(0, |at| at + 1)).unwrap_or_default();
        if let Some(rest) = text.strip_prefix(partial.text.as_str()) {
            // The streamed part is a prefix of the text: print the rest.
            let mut stream = partial.stream;
            let mut blocks = stream.push(rest);
            blocks.extend(stream.finish());
            self.ready.extend(blocks.into_iter().map(Ready::Block));
            self.keep(Piece::Said(text.into()));
        } else if text.starts_with(printed) {
            // The same text gives the same blocks, however it was split: skip the printed ones.
            let mut stream = Stream::new();
            let mut blocks = stream.push(text);
            blocks.extend(stream.finish());
            self.ready.extend(blocks.into_iter().skip(partial.blocks).map(Ready::Block));
            self.keep(Piece::Said(text.into()));
        } else {
            self.note(Note::Information, "… the whole of it:");
            self.add(Piece::Said(text.into()));
        }
    }

    /// Ends a text in progress that was not completed.
    pub(super) fn broken_off(&mut self) {
        let blocks = self.partial.stream.finish();
        if !self.partial.text.trim().is_empty() {
            self.say(blocks);
            let partial = std::mem::take(&mut self.partial);
            self.keep(Piece::Said(partial.text.into()));
        }
        self.partial = PartialText::default();
    }

    /// The part of the text in progress that is not printed.
    pub(super) fn tail(&self) -> &str {
        self.partial.stream.tail()
    }

    /// Whether the last printed row is text, from which what stands below it is to be set apart.
    pub(super) fn needs_gap(&self) -> bool {
        self.has_begun && !self.below_blank
    }

    /// Whether something waits to be printed.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Finished rows in order, each once, up to about `bytes`.
    pub(super) fn commit(&mut self, columns: usize, bytes: usize) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut used = 0;
        while used < bytes {
            let Some(ready) = self.ready.pop_front() else { break };
            let from = rows.len();
            match ready {
                Ready::Apart => self.apart(&mut rows),
                Ready::Row(row) => rows.push(row),
                Ready::Block(block) => rows.extend(block.rows(columns)),
                Ready::Text(mut text) => {
                    if text.next(columns, &mut rows) {
                        self.ready.push_front(Ready::Text(text));
                    }
                }
                Ready::Piece(piece, whole) => {
                    if piece.stands_apart() {
                        self.apart(&mut rows);
                    }
                    rows.extend(piece.rows(columns, whole));
                    if matches!(*piece, Piece::You(_)) {
                        rows.push(Row::new());
                    }
                }
            }
            used += rows.iter().skip(from).map(|row| row.bytes() + 1).sum::<usize>().max(1);
            if let Some(last) = rows.last() {
                (self.below_blank, self.has_begun) = (last.is_empty(), true);
            }
        }
        rows
    }

    fn apart(&mut self, rows: &mut Vec<Row>) {
        let is_below_blank = rows.last().map_or(self.below_blank || !self.has_begun, Row::is_empty);
        if !is_below_blank {
            rows.push(Row::new());
        }
    }

    /// Prints the last folded piece in full; called again, the one before. Returns `false` if there is none; the next call begins
    /// at the last again.
    pub(super) fn unfold(&mut self, columns: usize) -> bool {
        let is_folded = |piece: &&Piece| {
            // Texts of the agent and the user are never folded, and are long.
            !matches!(piece, Piece::Said(_)) && piece.rows(columns, true).len() > piece.rows(columns, false).len()
        };
        let piece = self.pieces.iter().rev().take(UNFOLDED_AMONG).filter(is_folded).nth(self.unfolded).cloned();
        match piece {
            Some(piece) => {
                self.unfolded += 1;
                self.whole(piece);
                true
            }
            None => {
                self.unfolded = 0;
                false
            }
        }
    }

    /// Reprints the last rows at the present width.
    pub(super) fn reprint(&mut self, columns: usize) {
        let mut again: VecDeque<Row> = VecDeque::new();
        for piece in self.pieces.iter().rev() {
            for row in piece.rows(columns, false).into_iter().rev() {
                again.push_front(row);
            }
            if piece.stands_apart() {
                again.push_front(Row::new());
            }
            if again.len() > REPRINTED_ROWS {
                break;
            }
        }
        let left = again.len().saturating_sub(REPRINTED_ROWS);
        // Waiting output is among the pieces. Of the text in progress, the printed blocks are repeated.
        self.ready.clear();
        self.ready.push_back(Ready::Row(Row::of(Look::DIM, "— printed again —")));
        self.ready.extend(again.into_iter().skip(left).map(Ready::Row));
        if self.partial.blocks > 0 {
            self.ready.push_back(Ready::Apart);
            let blocks = Stream::new().push(&self.partial.text);
            self.ready.extend(blocks.into_iter().map(Ready::Block));
        }
    }
}
