//! What the selected agent does, as rows: the pieces of the conversation, without its draft and its dialogs.

use std::collections::VecDeque;

use super::super::clean;
use super::super::columns;
use super::super::conversation::{Conversation, News};
use super::super::paint::{Look, Row, Size};
use crate::agent::Role;
use crate::core::Show;

/// How many events are kept for another width.
const NEWS_LIMIT: usize = 1_000;
/// How many rows are kept.
const ROWS_LIMIT: usize = 2_000;
/// How many characters of a remark are shown.
const REMARK_CHARS: usize = 500;
/// Bytes of rows that are made at once.
const BYTES: usize = 64 * 1_024;

/// The transcript of the selected agent.
#[derive(Debug, Clone)]
pub(super) struct Transcript {
    /// Why nothing is shown, or nothing more.
    pub(super) remark: Option<String>,
    cwd: String,
    /// What the dashboard's time is ahead of the run's, if known.
    ahead_ms: Option<i64>,
    conversation: Conversation,
    news: VecDeque<News>,
    rows: VecDeque<Row>,
    size: Size,
    /// How many rows below the shown ones are not shown.
    below: usize,
}

impl Transcript {
    pub(super) fn new(size: Size) -> Transcript {
        Transcript {
            remark: None,
            cwd: String::new(),
            ahead_ms: None,
            conversation: Conversation::watching(""),
            news: VecDeque::new(),
            rows: VecDeque::new(),
            size,
            below: 0,
        }
    }

    /// Begins the transcript of an agent that works in `cwd`: paths below it are shown relative to it. At `at` the run's time
    /// is `now_ms`, if known.
    pub(super) fn begin(&mut self, at: u64, cwd: &str, now_ms: Option<u64>) {
        let conversation = Conversation::watching(cwd);
        let ahead_ms = now_ms.map(|now_ms| at.wrapping_sub(now_ms).cast_signed());
        *self = Transcript { cwd: cwd.to_owned(), ahead_ms, conversation, ..Transcript::new(self.size) };
    }

    /// Takes an event of the run.
    pub(super) fn take(&mut self, at: u64, news: News) {
        if let News::Show { show, .. } = &news
            && completes_words(show)
        {
            self.news.retain(|kept| !matches!(kept, News::Words { .. }));
        }
        self.news.push_back(news.clone());
        if self.news.len() > NEWS_LIMIT {
            self.news.pop_front();
        }
        self.hear(at, news);
    }

    fn hear(&mut self, at: u64, news: News) {
        // An event of the past happened then, and not when it was told.
        let then = if let News::Show { run_ms, .. } = &news {
            self.ahead_ms.map(|by| run_ms.saturating_add_signed(by))
        } else {
            None
        };
        let at = then.unwrap_or(at);
        self.conversation.take(at, news);
        // A transcript performs nothing.
        while self.conversation.poll_job().is_some() {}
        let before = self.rows.len();
        let mut added = 0;
        while self.conversation.is_ready() {
            let rows = self.conversation.commit(self.size, BYTES);
            // A word that is wider than the screen is whole in the conversation's rows.
            let rows = rows.iter().flat_map(|row| row.broken(self.size.room()));
            let before = self.rows.len();
            self.rows.extend(rows);
            added += self.rows.len() - before;
        }
        let surplus = self.rows.len().saturating_sub(ROWS_LIMIT);
        self.rows.drain(..surplus);
        // Who reads further up keeps what is shown.
        if self.below > 0 && before > 0 {
            self.below = (self.below + added).min(self.rows.len());
        }
    }

    /// The screen has this size.
    pub(super) fn resized(&mut self, size: Size) {
        let is_other = self.size.columns != size.columns;
        self.size = size;
        if is_other {
            self.lay_out();
        }
    }

    fn lay_out(&mut self) {
        self.conversation = Conversation::watching(&self.cwd);
        self.rows.clear();
        self.below = 0;
        for news in self.news.clone() {
            let at = if let News::Show { run_ms, .. } = &news { *run_ms } else { 0 };
            self.hear(at, news);
        }
    }

    /// Shows rows further up, or down again.
    pub(super) fn scroll(&mut self, up: bool, by: usize) {
        self.below =
            if up { (self.below + by).min(self.rows.len().saturating_sub(1)) } else { self.below.saturating_sub(by) };
    }

    /// The last rows, at most `count`; below them what is in progress.
    pub(super) fn shown(&self, count: usize, at: u64) -> Vec<Row> {
        let mut last: Vec<Row> = Vec::new();
        if self.below == 0 {
            last.extend(self.conversation.in_progress(at));
            last.extend(self.remark.iter().flat_map(|remark| self.remarked(remark)));
        } else {
            last.push(Row::of(Look::DIM, &format!("… {} more below; PageDown", self.below)));
        }
        let last: Vec<Row> = last.into_iter().map(|row| row.cut(self.size.room())).take(count).collect();
        let room = count - last.len();
        let end = self.rows.len().saturating_sub(self.below);
        let begin = end.saturating_sub(room);
        self.rows.range(begin..end).cloned().chain(last).collect()
    }

    fn remarked(&self, remark: &str) -> Vec<Row> {
        let rows = columns::wrap(&clean::one_line(remark, REMARK_CHARS), self.size.room());
        rows.iter().map(|row| Row::of(Look::DIM, row)).collect()
    }

    /// Whether anything is shown.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Whether the text in progress is complete with this event, or broken off.
fn completes_words(show: &Show) -> bool {
    matches!(
        show,
        Show::Text { role: Role::Agent, sub_agent: false, .. }
            | Show::Thinking { role: Role::Agent, under: None, .. }
            | Show::Turn { .. }
            | Show::Rests { .. }
            | Show::Finished { .. }
    )
}
