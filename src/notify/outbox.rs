//! What is still to be sent: a file for each message and entry in the run's directory, until it is delivered or given up.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::message::Message;
use crate::config::NotifyEntry;
use crate::files::{NOTIFICATION, TimedLock, make_private_dir, read_versioned, replace_json};

/// The version of a file. A reader leaves those of a newer ccc.
const VERSION: u32 = 1;
/// The most files; while there are more, nothing is added.
const FILES_LIMIT: usize = 256;
/// How old a message may be that an earlier ccc has left: what is older is no news.
const AGE_LIMIT_MS: i64 = 3_600_000;

/// The messages of one run that are to be sent.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    dir: PathBuf,
}

/// A message for one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    version: u32,
    /// The entry's name.
    pub(super) entry: String,
    /// How many tries have failed.
    pub(super) tries: u32,
    /// How often it has failed as many times as one process tries.
    #[serde(default)]
    pub(super) rounds: u32,
    /// The message.
    pub(super) message: Message,
}

impl Item {
    pub(super) fn new(entry: &str, message: Message) -> Item {
        Item { version: VERSION, entry: entry.to_owned(), tries: 0, rounds: 0, message }
    }
}

/// A word of a file's name that stands for a text.
fn short(text: &str) -> String {
    Sha256::digest(text).iter().take(8).fold(String::new(), |mut word, byte| {
        let _ = write!(word, "{byte:02x}");
        word
    })
}

/// The end of the names of an entry's files.
fn end(entry: &str) -> String {
    format!("-{}.json", short(entry))
}

impl Outbox {
    /// The outbox of the run with this directory. Nothing is made.
    pub(super) fn of(run_dir: &Path) -> Outbox {
        Outbox { dir: run_dir.join("notify") }
    }

    /// Whether anything is kept, for whatever entry.
    pub(super) fn holds_any(&self) -> bool {
        let is_item = |entry: fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "json");
        fs::read_dir(&self.dir).is_ok_and(|entries| entries.flatten().any(is_item))
    }

    /// Whether this item is still kept.
    pub(super) fn holds(&self, item: &Item) -> bool {
        self.path(item).exists()
    }

    fn path(&self, item: &Item) -> PathBuf {
        let at = item.message.at_unix_ms.max(0);
        self.dir.join(format!("{at:015}-{}{}", short(&item.message.id), end(&item.entry)))
    }

    /// Keeps an item, or the number of its tries.
    ///
    /// # Errors
    /// When it cannot be written, or there are too many.
    pub(super) fn keep(&self, item: &Item) -> io::Result<()> {
        if item.tries == 0 && self.files().count() >= FILES_LIMIT {
            return Err(io::Error::other(format!("more than {FILES_LIMIT} messages wait to be sent")));
        }
        replace_json(&self.path(item), item, true)
    }

    /// Removes an item.
    pub(super) fn remove(&self, item: &Item) {
        if let Err(error) = std::fs::remove_file(self.path(item))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a message that was sent cannot be removed from the outbox");
        }
    }

    /// Claims what is to be sent for an entry; others that send for it are waited for this long. `None` if they still do.
    pub(super) fn claim(&self, entry: &str, wait: Duration) -> Option<TimedLock> {
        make_private_dir(&self.dir).ok()?;
        TimedLock::take(&self.dir.join(format!("{}.lock", short(entry))), wait).ok().flatten()
    }

    /// What an earlier process has left for an entry, the oldest first. What is too old or damaged is removed.
    pub(super) fn left_for(&self, entry: &str, now_unix_ms: i64) -> Vec<Item> {
        let end = end(entry);
        let mut paths: Vec<PathBuf> = self.files().filter(|path| path.to_string_lossy().ends_with(&end)).collect();
        paths.sort();
        let mut items = Vec::new();
        for path in paths {
            match read_versioned::<Item>(&path, NOTIFICATION, VERSION) {
                Ok(Some(item)) if now_unix_ms.saturating_sub(item.message.at_unix_ms) <= AGE_LIMIT_MS => {
                    items.push(item);
                }
                Ok(Some(_)) | Err(crate::files::VersionedError::Damaged { .. }) => drop(std::fs::remove_file(&path)),
                Ok(None) | Err(crate::files::VersionedError::Io(_) | crate::files::VersionedError::TooNew { .. }) => {}
            }
        }
        items
    }

    /// Whether something is left for one of these entries.
    pub(super) fn holds_for(&self, entries: &[NotifyEntry]) -> bool {
        let ends: Vec<String> = entries.iter().map(|entry| end(&entry.name)).collect();
        self.files().any(|path| ends.iter().any(|end| path.to_string_lossy().ends_with(end)))
    }

    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let entries = std::fs::read_dir(&self.dir).ok().into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ext| ext == "json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(entry: &str, at_unix_ms: i64) -> Item {
        Item::new(entry, Message::test("/w", at_unix_ms))
    }

    #[test]
    fn what_is_kept_is_found_in_order_until_it_is_removed_or_old() {
        let dir = tempfile::tempdir().expect("a directory");
        let outbox = Outbox::of(dir.path());
        assert!(outbox.files().count() == 0 && outbox.left_for("phone", 0).is_empty());
        let (first, second, other) = (item("phone", 1_000), item("phone", 2_000), item("chat", 1_500));
        for item in [&second, &first, &other] {
            outbox.keep(item).expect("kept");
        }
        assert_eq!(outbox.left_for("phone", 3_000), [first.clone(), second.clone()]);
        let tried = Item { tries: 2, ..first.clone() };
        outbox.keep(&tried).expect("kept");
        assert_eq!(outbox.left_for("phone", 3_000), [tried.clone(), second.clone()], "it replaces itself");
        outbox.remove(&tried);
        assert_eq!(outbox.left_for("phone", 3_000), [second]);
        assert_eq!(outbox.left_for("phone", 2_001 + AGE_LIMIT_MS), [], "it is too old");
        outbox.remove(&other);
        assert_eq!(outbox.files().count(), 0);
    }

    #[test]
    fn what_one_process_sends_no_other_does_and_a_damaged_file_is_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let outbox = Outbox::of(dir.path());
        let held = outbox.claim("phone", Duration::ZERO).expect("claimed");
        assert!(outbox.claim("phone", Duration::ZERO).is_none());
        assert!(outbox.claim("chat", Duration::ZERO).is_some());
        drop(held);
        assert!(outbox.claim("phone", Duration::ZERO).is_some());
        let phone = item("phone", 0);
        outbox.keep(&phone).expect("kept");
        std::fs::write(outbox.path(&phone), "{\"version\":1,").expect("write");
        assert_eq!(outbox.left_for("phone", 0), []);
        assert_eq!(outbox.files().count(), 0);
    }

    #[test]
    fn the_outbox_is_bounded() {
        let dir = tempfile::tempdir().expect("a directory");
        let outbox = Outbox::of(dir.path());
        for at in 0..FILES_LIMIT {
            std::fs::create_dir_all(&outbox.dir).expect("a directory");
            std::fs::write(outbox.dir.join(format!("{at}.json")), "").expect("write");
        }
        assert!(outbox.keep(&item("phone", 1)).is_err());
    }
}
