//! What was said and done in a run, within a bound: first long texts are cut, then entries are left out from the middle.

use std::collections::VecDeque;

use serde::Serialize;

use super::text::{Excerpt, Text};
use crate::agent::Role;

/// The bytes of a transcript in HTML, estimated.
const MAX_BYTES: usize = 3_200_000;
/// The bytes of a text, one after the other as the transcript grows.
const CAPS_BYTES: [usize; 4] = [6_000, 1_500, 400, 160];
/// What an entry takes besides its texts.
const ENTRY_BYTES: usize = 200;

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The user's message.
    User,
    /// A message of ccc to the agent: feedback, the output of checks, continue.
    Told,
    /// Text of the agent or the critic.
    Said,
    /// Thinking of one of them.
    Thought,
    /// A tool that one of them used.
    Tool,
    /// A check.
    Check,
    /// A verdict of the critic.
    Verdict,
    /// What else happened.
    Note,
}

impl EntryKind {
    /// Whether it stays when others are left out.
    fn stays(self) -> bool {
        match self {
            EntryKind::User | EntryKind::Told | EntryKind::Check | EntryKind::Verdict => true,
            EntryKind::Said | EntryKind::Thought | EntryKind::Tool | EntryKind::Note => false,
        }
    }

    /// The class in HTML.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            EntryKind::User => "user",
            EntryKind::Told => "told",
            EntryKind::Said => "said",
            EntryKind::Thought => "thought",
            EntryKind::Tool => "tool",
            EntryKind::Check => "check",
            EntryKind::Verdict => "verdict",
            EntryKind::Note => "note",
        }
    }
}

/// Something that was said or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number in the run, from 1; links name it.
    pub n: u64,
    /// When, milliseconds after the run's beginning on the wall clock.
    pub at_ms: u64,
    /// The number of its iteration in the report, from 1.
    pub iteration: usize,
    /// What it is.
    pub kind: EntryKind,
    /// Who said or did it, if it was not ccc or the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether it failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// In one line.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub title: Text,
    /// In full.
    #[serde(skip_serializing_if = "Excerpt::is_empty")]
    pub body: Excerpt,
}

impl Entry {
    fn bytes(&self) -> usize {
        let text = |text: &Text| {
            let escaped =
                text.as_str().bytes().filter(|byte| matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'')).count();
            text.as_str().len() + 4 * escaped
        };
        ENTRY_BYTES + text(&self.title) + text(&self.body.text) + text(&self.body.tail)
    }
}

/// The transcript of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Transcript {
    /// How many entries there were.
    pub total: u64,
    /// How many of them are left out.
    pub left_out: u64,
    /// The others, in order.
    pub entries: Vec<Entry>,
}

/// A transcript that is being recorded.
#[derive(Debug, Default)]
pub(super) struct TranscriptRecorder {
    front: Vec<Entry>,
    back: VecDeque<Entry>,
    front_bytes: usize,
    bytes: usize,
    cap: usize,
    total: u64,
    left_out: u64,
}

impl TranscriptRecorder {
    /// How many bytes a text may have now.
    pub(super) fn cap_bytes(&self) -> usize {
        CAPS_BYTES.get(self.cap).or(CAPS_BYTES.last()).copied().unwrap_or_default()
    }

    /// Adds an entry; returns its number.
    pub(super) fn push(&mut self, mut entry: Entry) -> u64 {
        self.total += 1;
        entry.n = self.total;
        entry.body.shrink(self.cap_bytes());
        self.bytes += entry.bytes();
        self.back.push_back(entry);
        self.keep_the_bound();
        self.total
    }

    /// Changes an entry that is still there.
    pub(super) fn change(&mut self, n: u64, change: impl FnOnce(&mut Entry)) {
        let cap = self.cap_bytes();
        let entry = match self.back.binary_search_by_key(&n, |entry| entry.n) {
            Ok(at) => self.back.get_mut(at),
            Err(_) => match self.front.binary_search_by_key(&n, |entry| entry.n) {
                Ok(at) => self.front.get_mut(at),
                Err(_) => None,
            },
        };
        let Some(entry) = entry else { return };
        let before = entry.bytes();
        change(entry);
        entry.body.shrink(cap);
        self.bytes = self.bytes.saturating_sub(before) + entry.bytes();
        self.keep_the_bound();
    }

    fn keep_the_bound(&mut self) {
        while self.bytes > MAX_BYTES && self.cap + 1 < CAPS_BYTES.len() {
            self.cap += 1;
            let cap = self.cap_bytes();
            self.bytes = 0;
            for entry in &mut self.back {
                entry.body.shrink(cap);
                self.bytes += entry.bytes();
            }
        }
        while self.bytes > MAX_BYTES {
            if self.front.is_empty() {
                // The first half of what is there stays as the beginning.
                let half = self.back.len() / 2;
                self.front.extend(self.back.drain(..half));
                self.front_bytes = self.front.iter().map(Entry::bytes).sum();
            }
            let Some(entry) = self.back.pop_front() else { break };
            // What stays may take three quarters of the whole, so that the end always has its place.
            if entry.kind.stays() && self.front_bytes + entry.bytes() < MAX_BYTES / 4 * 3 {
                self.front_bytes += entry.bytes();
                self.front.push(entry);
                continue;
            }
            self.bytes = self.bytes.saturating_sub(entry.bytes());
            self.left_out += 1;
        }
    }

    pub(super) fn end(self) -> Transcript {
        let mut entries = self.front;
        entries.extend(self.back);
        Transcript { total: self.total, left_out: self.left_out, entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::Washer;

    fn entry(kind: EntryKind, text: &str) -> Entry {
        let body = Washer::default().excerpt(text, usize::MAX / 2);
        Entry { n: 0, at_ms: 0, iteration: 1, kind, role: None, failed: false, title: Text::default(), body }
    }

    #[test]
    fn a_short_transcript_is_whole() {
        let mut recorder = TranscriptRecorder::default();
        for n in 0..500 {
            recorder.push(entry(EntryKind::Said, &format!("message {n} {}", "x".repeat(900))));
        }
        recorder.change(3, |entry| entry.failed = true);
        let transcript = recorder.end();
        assert_eq!((transcript.total, transcript.left_out, transcript.entries.len()), (500, 0, 500));
        assert!(transcript.entries[2].failed && transcript.entries.iter().all(|entry| entry.body.left_out_chars == 0));
    }

    #[test]
    fn a_long_transcript_keeps_its_beginning_its_end_and_what_the_user_and_the_critic_said() {
        let mut recorder = TranscriptRecorder::default();
        let long = entry(EntryKind::Tool, &"<>&\"' and text ".repeat(100));
        for n in 0..60_000_u64 {
            let kind = if n % 1_000 == 500 { EntryKind::Verdict } else { EntryKind::Tool };
            recorder.push(Entry { kind, ..long.clone() });
        }
        let transcript = recorder.end();
        assert_eq!(transcript.total, 60_000);
        assert_eq!(transcript.left_out + transcript.entries.len() as u64, 60_000);
        let bytes: usize = transcript.entries.iter().map(Entry::bytes).sum();
        assert!(bytes <= MAX_BYTES, "{bytes}");
        assert_eq!(transcript.entries.first().map(|entry| entry.n), Some(1));
        assert_eq!(transcript.entries.last().map(|entry| entry.n), Some(60_000));
        assert!(transcript.entries.windows(2).all(|two| two[0].n < two[1].n));
        let verdicts = transcript.entries.iter().filter(|entry| entry.kind == EntryKind::Verdict).count();
        assert_eq!(verdicts, 60);
    }

    #[test]
    fn a_flood_of_what_stays_is_bounded_too() {
        let mut recorder = TranscriptRecorder::default();
        let message = entry(EntryKind::User, &"x".repeat(900));
        for _ in 0..60_000 {
            recorder.push(message.clone());
        }
        let transcript = recorder.end();
        let bytes: usize = transcript.entries.iter().map(Entry::bytes).sum();
        assert!(bytes <= MAX_BYTES, "{bytes}");
        assert_eq!(transcript.entries.last().map(|entry| entry.n), Some(60_000));
    }
}
