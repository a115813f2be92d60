//! What is told: one message, as a command and a webhook get it.

use jiff::tz::TimeZone;
use redaction::Redactor;
use serde::{Deserialize, Serialize};

use super::follower::{News, Standing};
use crate::config::NotifyEvent;
use crate::core::shell::quoted;
use crate::ui::{clean, format};

/// The version of the message. Within it, fields are only added.
const VERSION: u32 = 1;
/// The longest text, in characters: half of what the strictest receiver takes.
const TEXT_LIMIT_CHARS: usize = 1_000;

/// The run that tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its id.
    pub run: String,
    /// The agent's name, if the run is one.
    pub name: Option<String>,
    /// Where it works.
    pub cwd: String,
}

/// A message: the JSON that a command gets on stdin, and a webhook of the shape `json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The version of the form, as its writer knows it.
    pub version: u32,
    /// Tells this message from every other; one that is sent again has the same.
    pub id: String,
    /// The event's name in the configuration, or `test`.
    pub event: String,
    /// The run's id.
    pub run: String,
    /// The agent's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where the run works.
    pub cwd: String,
    /// What happened, in a few words.
    pub title: String,
    /// Why.
    pub text: String,
    /// The command to type next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// When it happened, unix milliseconds.
    pub at_unix_ms: i64,
    /// When a wait ends, unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<i64>,
}

impl Subject {
    /// What the user calls it.
    fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.run)
    }

    /// The last part of the directory.
    fn place(&self) -> &str {
        self.cwd.rsplit('/').find(|part| !part.is_empty()).unwrap_or("/")
    }
}

impl Message {
    /// The message of this news, without secrets.
    #[must_use]
    pub fn of(news: &News, subject: &Subject, now_unix_ms: i64, zone: &TimeZone, redactor: &Redactor) -> Message {
        let called = quoted(subject.called());
        let what = match (news.event, news.standing) {
            (NotifyEvent::Completed, _) => "completed",
            (NotifyEvent::NeedsUser, _) => "needs you",
            (NotifyEvent::Stuck, _) => "is stuck",
            (NotifyEvent::Budget, _) => "has spent its budget",
            (NotifyEvent::Failed, _) => "failed",
            (NotifyEvent::Restarts, _) => "restarted its agent",
            (NotifyEvent::Approval, _) => "asks you",
            (NotifyEvent::Limited, Standing::Ended) => "ended at a usage limit",
            (NotifyEvent::Limited, Standing::GoesOn | Standing::Rests) => "waits for a usage limit",
        };
        let command = match (news.event, news.standing) {
            (NotifyEvent::NeedsUser, Standing::Ended) => Some(format!("ccc resume {called} -p \"YOUR ANSWER\"")),
            (NotifyEvent::Limited, Standing::Ended) => Some(format!("ccc resume {called}")),
            (_, Standing::Ended) => Some(format!("ccc report {called}")),
            (NotifyEvent::Limited, Standing::GoesOn) => None,
            (_, Standing::GoesOn | Standing::Rests) => Some(format!("ccc attach {called}")),
        };
        let mut text = news.text.clone();
        if let Some(until_unix_ms) = news.until_unix_ms {
            text = format!("{text}; it goes on by itself at {}", format::due(until_unix_ms, now_unix_ms, zone));
        }
        let safe = |text: &str| clean::lines(&redactor.text(text));
        Message {
            version: VERSION,
            id: format!("{}-{}", subject.run, news.key),
            event: news.event.name().to_owned(),
            run: subject.run.clone(),
            name: subject.name.clone(),
            cwd: safe(&subject.cwd),
            title: safe(&format!("ccc: {} {what} ({})", subject.called(), subject.place())),
            text: cut(safe(text.trim()), TEXT_LIMIT_CHARS),
            command,
            at_unix_ms: now_unix_ms,
            until_unix_ms: news.until_unix_ms,
        }
    }

    /// The message of `ccc notify test`.
    #[must_use]
    pub fn test(cwd: &str, now_unix_ms: i64) -> Message {
        Message {
            version: VERSION,
            id: format!("test-{now_unix_ms}"),
            event: "test".to_owned(),
            run: "test".to_owned(),
            name: None,
            cwd: clean::lines(cwd),
            title: "ccc: a test".to_owned(),
            text: "Your runs will tell you here what they came to.".to_owned(),
            command: Some("ccc runs".to_owned()),
            at_unix_ms: now_unix_ms,
            until_unix_ms: None,
        }
    }

    /// Text and command, for receivers that show text.
    #[must_use]
    pub fn body(&self) -> String {
        let parts = [Some(self.text.as_str()).filter(|text| !text.is_empty()), self.command.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

/// The beginning of a text, marked if something is missing.
pub(super) fn cut(text: String, limit_chars: usize) -> String {
    match text.char_indices().nth(limit_chars.saturating_sub(1)) {
        Some((at, last)) if at + last.len_utf8() < text.len() => {
            format!("{}…", text.get(..at).unwrap_or_default())
        }
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: NotifyEvent, standing: Standing, text: &str) -> Message {
        let news = News { event, standing, text: text.to_owned(), until_unix_ms: None, key: "k".to_owned() };
        let subject = Subject { run: "r1".to_owned(), name: Some("fix".to_owned()), cwd: "/home/me/shop".to_owned() };
        let redactor = Redactor::with_values(["made-up-secret-value"]);
        Message::of(&news, &subject, 0, &TimeZone::UTC, &redactor)
    }

    #[test]
    fn a_message_says_what_happened_where_and_what_to_type() {
        for (event, standing, title, command) in [
            (NotifyEvent::Completed, Standing::Ended, "ccc: fix completed (shop)", Some("ccc report fix")),
            (NotifyEvent::Completed, Standing::Rests, "ccc: fix completed (shop)", Some("ccc attach fix")),
            (
                NotifyEvent::NeedsUser,
                Standing::Ended,
                "ccc: fix needs you (shop)",
                Some("ccc resume fix -p \"YOUR ANSWER\""),
            ),
            (NotifyEvent::Limited, Standing::GoesOn, "ccc: fix waits for a usage limit (shop)", None),
            (NotifyEvent::Limited, Standing::Ended, "ccc: fix ended at a usage limit (shop)", Some("ccc resume fix")),
            (NotifyEvent::Approval, Standing::GoesOn, "ccc: fix asks you (shop)", Some("ccc attach fix")),
        ] {
            let message = message(event, standing, "because");
            assert_eq!((message.title.as_str(), message.command.as_deref()), (title, command), "{event:?}");
        }
    }

    #[test]
    fn a_message_has_no_secret_no_control_character_and_a_bounded_text() {
        let told = message(NotifyEvent::Failed, Standing::Ended, "made-up-secret-value \u{1b}]0;x\u{7} said");
        let json = serde_json::to_string(&told).expect("JSON");
        assert!(!json.contains("made-up-secret-value") && !told.text.contains('\u{1b}'), "{json}");
        let long = message(NotifyEvent::Failed, Standing::Ended, &"ä".repeat(5_000));
        assert_eq!(long.text.chars().count(), TEXT_LIMIT_CHARS);
        assert!(long.text.ends_with('…'));
    }
}
