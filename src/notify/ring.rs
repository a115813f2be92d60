//! Bell and desktop of a terminal that is attached to a run in the background: that run has no terminal of its own.

use jiff::tz::TimeZone;
use redaction::Redactor;

use super::follower::Follower;
use super::message::{Message, Subject};
use super::terminal::Terminal;
use crate::config::{NotifyEntry, NotifyWay};
use crate::core::Show;

/// Rings at the attached terminal.
#[derive(Debug, Clone)]
pub struct Ring {
    entries: Vec<NotifyEntry>,
    terminal: Terminal,
    subject: Subject,
    zone: TimeZone,
    follower: Follower,
}

impl Ring {
    /// For the run with this subject; `None` if no entry is for a terminal.
    #[must_use]
    pub fn new(entries: &[NotifyEntry], terminal: Terminal, subject: Subject, zone: TimeZone) -> Option<Ring> {
        let is_here = |entry: &&NotifyEntry| match entry.way {
            NotifyWay::Desktop | NotifyWay::Bell => true,
            NotifyWay::Command(_) | NotifyWay::Webhook { .. } => false,
        };
        let entries: Vec<NotifyEntry> = entries.iter().filter(is_here).cloned().collect();
        (!entries.is_empty()).then(|| Ring { entries, terminal, subject, zone, follower: Follower::default() })
    }

    /// What the terminal is to get for what the run shows. What is shown of its past goes through here, too, so that it is not told
    /// again; what that returns is not for the terminal.
    pub fn follow(&mut self, show: &Show, now_unix_ms: i64) -> Option<String> {
        let news = self.follower.follow(show)?;
        // What a client gets holds no secret of the run any more.
        let message = Message::of(&news, &self.subject, now_unix_ms, &self.zone, &Redactor::new());
        Some(self.terminal.rung(&self.entries, &news, &message)).filter(|bytes| !bytes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Env, Notify};
    use crate::core::Outcome;

    fn ring(json: &str) -> Option<Ring> {
        let entries: Notify = serde_json::from_str(json).expect("entries");
        let subject = Subject { run: "r1".to_owned(), name: None, cwd: "/w".to_owned() };
        Ring::new(entries.entries(), Terminal::of(&Env::default()), subject, TimeZone::UTC)
    }

    #[test]
    fn an_attached_terminal_rings_for_its_entries_once() {
        assert!(ring(r#"[{"command": "a"}]"#).is_none());
        let mut ring =
            ring(r#"[{"command": "a"}, {"desktop": true}, {"bell": true, "events": ["failed"]}]"#).expect("one");
        let end = |outcome| Show::Finished { outcome, reason: "so".to_owned() };
        let rung = ring.follow(&end(Outcome::Completed), 0);
        assert_eq!(rung.as_deref(), Some("\x1b]9;ccc: r1 completed (w): so\x07"));
        assert_eq!(ring.follow(&end(Outcome::Completed), 0), None);
        let rung = ring.follow(&end(Outcome::Failed), 0);
        assert_eq!(rung.as_deref(), Some("\x1b]9;ccc: r1 failed (w): so\x07\x07"));
    }
}
