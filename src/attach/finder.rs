//! The thread that searches files: those that git lists, ranked by the query. A newer query replaces a queued one.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher};
use tokio::sync::mpsc;

use super::message::Message;
use crate::driver::{TreeObserver, file_names};

/// How many names are offered.
const OFFERED: usize = 50;
/// How many names are searched.
const NAMES_LIMIT: usize = 200_000;
/// How many queries in a row use the same listing: the keys of about one word.
const REUSED: usize = 12;

/// Searches files.
#[derive(Debug)]
pub(super) struct Finder(Sender<String>);

impl Finder {
    pub(super) fn start(dir: PathBuf, ours: TreeObserver, messages: mpsc::Sender<Message>) -> std::io::Result<Finder> {
        let (questions, asked) = channel();
        thread::Builder::new().name("finder".to_owned()).spawn(move || answer(&dir, &ours, &asked, &messages))?;
        Ok(Finder(questions))
    }

    /// Starts a search; the result comes as [`Message::Files`].
    pub(super) fn find(&self, query: String) {
        // The thread ends only with the conversation.
        let _ = self.0.send(query);
    }
}

fn answer(dir: &std::path::Path, ours: &TreeObserver, asked: &Receiver<String>, messages: &mpsc::Sender<Message>) {
    let mut matcher = Matcher::new(Config::DEFAULT.match_paths());
    let mut names = Vec::new();
    let mut used = 0;
    while let Ok(mut query) = asked.recv() {
        while let Ok(newer) = asked.try_recv() {
            query = newer;
        }
        if used == 0 || used > REUSED || query.is_empty() {
            names = file_names(dir, ours, NAMES_LIMIT);
            used = 0;
        }
        used += 1;
        let pattern = Pattern::parse(&query, CaseMatching::Smart, Normalization::Never);
        let found = if query.is_empty() {
            names.iter().take(OFFERED).cloned().collect()
        } else {
            let ranked = pattern.match_list(names.iter().map(String::as_str), &mut matcher);
            ranked.into_iter().take(OFFERED).map(|(name, _)| name.to_owned()).collect()
        };
        if messages.blocking_send(Message::Files { query, names: found }).is_err() {
            return;
        }
    }
}
