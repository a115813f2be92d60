//! The user's texts of earlier conversations: `history.jsonl` in the state directory, one text per line, oldest first.
//!
//! It is optional: whatever cannot be read or written is skipped.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::files::open_private;
use crate::ui::composer::{ENTRY_LIMIT_BYTES, HISTORY_LIMIT};
use redaction::Redactor;

const FILE: &str = "history.jsonl";
/// A longer file is rewritten with its newest entries.
const FILE_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    text: String,
}

/// The history file of a state directory.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    redactor: Redactor,
}

impl Memory {
    pub(super) fn of(state: &Path) -> Memory {
        Memory { path: state.join(FILE), redactor: Redactor::new() }
    }

    /// The newest entries, oldest first.
    pub(super) fn read(&self) -> Vec<String> {
        let Ok(file) = open_private(&self.path, OFlags::RDONLY) else { return Vec::new() };
        let mut text = Vec::new();
        if file.take(2 * FILE_LIMIT_BYTES).read_to_end(&mut text).is_err() {
            return Vec::new();
        }
        let text = String::from_utf8_lossy(&text);
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok()).map(|entry| entry.text);
        let mut entries: Vec<String> = entries.filter(|text| text.len() <= ENTRY_LIMIT_BYTES).collect();
        entries.drain(..entries.len().saturating_sub(HISTORY_LIMIT));
        entries
    }

    /// Adds an entry, with secrets redacted.
    pub(super) fn add(&self, text: &str) -> io::Result<()> {
        let mut file = open_private(&self.path, OFlags::RDWR | OFlags::CREATE | OFlags::APPEND)?;
        // Another conversation may be writing; the lock keeps its line complete. If the lock is held, this entry is dropped.
        if file.try_lock().is_err() {
            return Ok(());
        }
        if file.metadata()?.len() > FILE_LIMIT_BYTES {
            let mut kept = self.read();
            kept.drain(..kept.len() / 2);
            file.set_len(0)?;
            for text in kept {
                file.write_all(line(&text)?.as_bytes())?;
            }
        }
        file.write_all(line(&self.redactor.text(text))?.as_bytes())
    }
}

fn line(text: &str) -> io::Result<String> {
    let json = serde_json::to_string(&Entry { text: text.to_owned() })?;
    Ok(format!("{json}\n"))
}
