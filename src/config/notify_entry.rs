//! An entry of `notify` in a configuration file: whom a run tells of what, and how.
//!
//! A webhook's URL is often a secret itself, so of a URL only the host is shown, and the value of a header is always in a
//! variable.

#[cfg(test)]
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Span;
use super::providers::Unshown;
use super::token_entry::is_name;
use super::values::kind;
use crate::order::map_of;

/// The most entries: each has a thread of its own in each run that tells something.
const ENTRIES_LIMIT: usize = 16;
/// The longest name of an entry.
const NAME_LIMIT_BYTES: usize = 64;
/// The longest time that one try may take.
const TIMEOUT_LIMIT_MS: u64 = 60_000;

/// What a run tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NotifyEvent {
    /// The critic agreed that the task is done.
    Completed,
    /// Only the user can go on.
    NeedsUser,
    /// The same feedback again and again.
    Stuck,
    /// A bound is spent.
    Budget,
    /// Every token is at its limit: the run waits, or has ended for it.
    Limited,
    /// The agent was restarted.
    Restarts,
    /// The run failed.
    Failed,
    /// The agent asks for a permission, an answer, or the approval of a plan.
    Approval,
}

impl NotifyEvent {
    /// All events.
    pub const ALL: [NotifyEvent; 8] = [
        NotifyEvent::Completed,
        NotifyEvent::NeedsUser,
        NotifyEvent::Stuck,
        NotifyEvent::Budget,
        NotifyEvent::Limited,
        NotifyEvent::Restarts,
        NotifyEvent::Failed,
        NotifyEvent::Approval,
    ];
    /// What an entry without `events` tells of: all that needs the user or is an end. A restart needs nobody.
    const USUAL: [NotifyEvent; 7] = [
        NotifyEvent::Completed,
        NotifyEvent::NeedsUser,
        NotifyEvent::Stuck,
        NotifyEvent::Budget,
        NotifyEvent::Limited,
        NotifyEvent::Failed,
        NotifyEvent::Approval,
    ];

    /// Its name in the configuration and in what is sent.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            NotifyEvent::Completed => "completed",
            NotifyEvent::NeedsUser => "needs_user",
            NotifyEvent::Stuck => "stuck",
            NotifyEvent::Budget => "budget",
            NotifyEvent::Limited => "limited",
            NotifyEvent::Restarts => "restarts",
            NotifyEvent::Failed => "failed",
            NotifyEvent::Approval => "approval",
        }
    }
}

/// The form of what a webhook gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WebhookShape {
    /// The event as a command gets it.
    #[default]
    Json,
    /// ntfy: the last part of the URL's path is the topic.
    Ntfy,
    /// An incoming webhook of Slack.
    Slack,
    /// A webhook of Discord.
    Discord,
}

/// A program that is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub enum CommandLine {
    /// A line for `/bin/sh -c`.
    Shell(String),
    /// A program and its arguments.
    Words(Vec<String>),
}

/// Where a webhook's URL is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookPlace {
    /// The URL itself.
    Given(Unshown<String>),
    /// In the variable with this name.
    Env(String),
}

/// How an entry tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyWay {
    /// By a command that gets the event on stdin.
    Command(CommandLine),
    /// By a request.
    Webhook {
        /// Where it goes.
        place: WebhookPlace,
        /// The form of its body.
        shape: WebhookShape,
        /// Headers, each with the variable that holds its value.
        headers: BTreeMap<String, String>,
    },
    /// By a notification of the desktop.
    Desktop,
    /// By the terminal's bell.
    Bell,
}

impl NotifyWay {
    /// Its key in the configuration.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            NotifyWay::Command(_) => "command",
            NotifyWay::Webhook { .. } => "webhook",
            NotifyWay::Desktop => "desktop",
            NotifyWay::Bell => "bell",
        }
    }
}

/// An entry of `notify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyEntry {
    /// Its name; no other entry has the same.
    pub name: String,
    /// What it tells of.
    pub events: BTreeSet<NotifyEvent>,
    /// How.
    pub way: NotifyWay,
    /// How long one try may take.
    pub timeout: Option<Span>,
}

/// All entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notify(Vec<NotifyEntry>);

/// Whom a run tells of what: exactly one of `command`, `webhook`, `desktop` and `bell` is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(test, schemars(rename = "NotifyEntry"))]
struct WrittenEntry {
    /// A name of your own for it, for `ccc notify test NAME`; without one it is called after its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What it tells of; without it, of all but restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<NotifyEvent>>,
    /// A command that gets the event as JSON on stdin: a text for `/bin/sh -c`, or a list of a program and its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<CommandLine>,
    /// A URL that gets the event by POST, or {"env": NAME} for the variable that holds the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(schema_with = "webhook_schema"))]
    webhook: Option<Value>,
    /// The form of what the webhook gets: json (default), ntfy, slack or discord.
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<WebhookShape>,
    /// Headers of the request, each with the variable that holds its value: {"Authorization": {"env": "NTFY_AUTH"}}.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, InVariable>,
    /// A notification of the desktop.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    desktop: bool,
    /// The bell of the terminal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bell: bool,
    /// How long one try may take (10s).
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<Span>,
}

/// The variable that holds a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct InVariable {
    /// Its name.
    env: String,
}

/// Why an entry of `notify` is invalid. No message quotes a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum EntryFault {
    #[error("an entry needs exactly one of `command`, `webhook`, `desktop` and `bell`")]
    NotOneWay,
    #[error("`command` is empty")]
    EmptyCommand,
    #[error("`webhook` is a URL in quotes, or {{\"env\": NAME}} for the variable that holds it")]
    NoWebhook,
    #[error("`env` is the name of a variable: letters, digits and `_`")]
    NoVariable,
    #[error("`{0}` is not the name of a header: letters, digits and `-`")]
    NoHeader(String),
    #[error("`{0}` belongs to a `webhook`")]
    Stray(&'static str),
    #[error("a terminal needs no `timeout`")]
    StrayTimeout,
    #[error("`timeout` is at most 60s")]
    LongTimeout,
    #[error("`events` is empty: the entry would tell of nothing")]
    NoEvents,
    #[error("`name` is empty, longer than {NAME_LIMIT_BYTES} bytes, or contains a control character")]
    BadName,
    #[error("two entries have the name `{0}`")]
    SameName(String),
    #[error("there are more than {ENTRIES_LIMIT} entries")]
    TooMany,
}

#[cfg(test)]
fn webhook_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            {"type": "string"},
            {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"], "additionalProperties": false},
        ]
    })
}

fn variable(value: &InVariable) -> Result<String, EntryFault> {
    if value.env.is_empty() || !is_name(&value.env) { Err(EntryFault::NoVariable) } else { Ok(value.env.clone()) }
}

fn place(value: Value) -> Result<WebhookPlace, EntryFault> {
    match value {
        Value::String(url) if !url.trim().is_empty() => Ok(WebhookPlace::Given(Unshown::new(url.trim().to_owned()))),
        value @ Value::Object(_) => {
            let named: InVariable = serde_json::from_value(value).map_err(|_| EntryFault::NoWebhook)?;
            Ok(WebhookPlace::Env(variable(&named)?))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(EntryFault::NoWebhook)
        }
    }
}

impl WrittenEntry {
    /// The entry, and its name if it has one.
    fn read(self) -> Result<(Option<String>, NotifyEntry), EntryFault> {
        let WrittenEntry { name, events, command, webhook, shape, headers, desktop, bell, timeout } = self;
        let is_webhook = webhook.is_some();
        let way = match (command, webhook, desktop, bell) {
            (Some(command), None, false, false) => {
                let is_empty = match &command {
                    CommandLine::Shell(line) => line.trim().is_empty(),
                    CommandLine::Words(words) => words.first().is_none_or(|program| program.trim().is_empty()),
                };
                if is_empty {
                    return Err(EntryFault::EmptyCommand);
                }
                NotifyWay::Command(command)
            }
            (None, Some(webhook), false, false) => {
                let is_header = |name: &str| {
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                };
                let header = |(name, value): (&String, &InVariable)| {
                    if is_header(name) {
                        Ok((name.clone(), variable(value)?))
                    } else {
                        Err(EntryFault::NoHeader(name.clone()))
                    }
                };
                let headers = headers.iter().map(header).collect::<Result<_, _>>()?;
                NotifyWay::Webhook { place: place(webhook)?, shape: shape.unwrap_or_default(), headers }
            }
            (None, None, true, false) => NotifyWay::Desktop,
            (None, None, false, true) => NotifyWay::Bell,
            (Some(_), Some(_), _, _)
            | (Some(_), _, true, _)
            | (Some(_), _, _, true)
            | (_, Some(_), true, _)
            | (_, Some(_), _, true)
            | (None, None, true, true)
            | (None, None, false, false) => return Err(EntryFault::NotOneWay),
        };
        if !is_webhook && shape.is_some() {
            return Err(EntryFault::Stray("shape"));
        }
        if matches!(way, NotifyWay::Bell) && timeout.is_some() {
            return Err(EntryFault::StrayTimeout);
        }
        if timeout.is_some_and(|timeout| timeout.as_ms() > TIMEOUT_LIMIT_MS) {
            return Err(EntryFault::LongTimeout);
        }
        let events = match events {
            None => BTreeSet::from(NotifyEvent::USUAL),
            Some(events) if events.is_empty() => return Err(EntryFault::NoEvents),
            Some(events) => events.into_iter().collect(),
        };
        if name.as_deref().is_some_and(|name| {
            name.trim().is_empty() || name.len() > NAME_LIMIT_BYTES || name.contains(char::is_control)
        }) {
            return Err(EntryFault::BadName);
        }
        Ok((name, NotifyEntry { name: String::new(), events, way, timeout }))
    }
}

impl Notify {
    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[NotifyEntry] {
        &self.0
    }

    fn read(written: Vec<WrittenEntry>) -> Result<Notify, EntryFault> {
        if written.len() > ENTRIES_LIMIT {
            return Err(EntryFault::TooMany);
        }
        let read: Vec<(Option<String>, NotifyEntry)> =
            written.into_iter().map(WrittenEntry::read).collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        for name in read.iter().filter_map(|(name, _)| name.clone()) {
            if let Some(twice) = names.replace(name) {
                return Err(EntryFault::SameName(twice));
            }
        }
        let mut entries = Vec::new();
        for (name, mut entry) in read {
            entry.name = name.unwrap_or_else(|| {
                let key = entry.way.key();
                let numbered = (1..).map(|n| if n == 1 { key.to_owned() } else { format!("{key}-{n}") });
                numbered.into_iter().find(|name| !names.contains(name)).unwrap_or_default()
            });
            names.insert(entry.name.clone());
            entries.push(entry);
        }
        Ok(Notify(entries))
    }
}

/// The scheme and host of a URL, without a user name, a path and a query: what may be shown of it.
fn host_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { "(not shown)".to_owned() } else { format!("{scheme}://{host}/…") }
}

impl fmt::Display for WebhookPlace {
    /// Without the path, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebhookPlace::Given(url) => f.write_str(&host_of(url.get())),
            WebhookPlace::Env(name) => write!(f, "${name}"),
        }
    }
}

impl Serialize for Notify {
    /// For output: of a URL only the host is left.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|entry| {
            let mut written = WrittenEntry {
                name: Some(entry.name.clone()),
                events: Some(entry.events.iter().copied().collect()),
                timeout: entry.timeout,
                ..WrittenEntry::default()
            };
            match &entry.way {
                NotifyWay::Command(line) => written.command = Some(line.clone()),
                NotifyWay::Webhook { place, shape, headers } => {
                    written.webhook = Some(match place {
                        WebhookPlace::Given(_) => Value::String(place.to_string()),
                        WebhookPlace::Env(name) => serde_json::json!({"env": name}),
                    });
                    written.shape = Some(*shape);
                    written.headers = map_of(
                        headers.iter().map(|(name, variable)| (name.clone(), InVariable { env: variable.clone() })),
                    );
                }
                NotifyWay::Desktop => written.desktop = true,
                NotifyWay::Bell => written.bell = true,
            }
            written
        }))
    }
}

impl<'de> Deserialize<'de> for Notify {
    // Written by hand, because a derived message would quote a value.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let Value::Array(entries) = value else {
            return Err(D::Error::custom(format!("expected a list of entries, found {}", kind(&value))));
        };
        let read = |entry: Value| match entry {
            entry @ Value::Object(_) => WrittenEntry::deserialize(entry).map_err(D::Error::custom),
            entry @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => Err(
                D::Error::custom(format!("an entry is an object such as {{\"bell\": true}}, found {}", kind(&entry))),
            ),
        };
        let written = entries.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Notify::read(written).map_err(D::Error::custom)
    }
}

#[cfg(test)]
impl JsonSchema for Notify {
    fn schema_name() -> Cow<'static, str> {
        "Notify".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let entry = generator.subschema_for::<WrittenEntry>();
        json_schema!({"type": "array", "maxItems": ENTRIES_LIMIT, "items": entry})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Notify, String> {
        serde_json::from_str::<Notify>(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_has_one_way_and_what_does_not_fit_is_said() {
        for (text, says) in [
            (r#"{"bell": true}"#, "expected a list of entries, found an object"),
            (r#"["bell"]"#, "an entry is an object"),
            (r"[{}]", "exactly one of"),
            (r#"[{"bell": true, "desktop": true}]"#, "exactly one of"),
            (r#"[{"command": "a", "webhook": "https://x.example/hush"}]"#, "exactly one of"),
            (r#"[{"command": " "}]"#, "`command` is empty"),
            (r#"[{"command": []}]"#, "`command` is empty"),
            (r#"[{"webhook": ""}]"#, "`webhook` is a URL"),
            (r#"[{"webhook": {"env": "A B"}}]"#, "the name of a variable"),
            (r#"[{"webhook": "https://x.example/hush", "headers": {"A B": {"env": "A"}}}]"#, "the name of a header"),
            (r#"[{"bell": true, "shape": "ntfy"}]"#, "belongs to a `webhook`"),
            (r#"[{"bell": true, "timeout": "3s"}]"#, "needs no `timeout`"),
            (r#"[{"command": "a", "timeout": "2m"}]"#, "at most 60s"),
            (r#"[{"bell": true, "events": []}]"#, "tell of nothing"),
            (r#"[{"bell": true, "events": ["done"]}]"#, "unknown variant `done`"),
            (r#"[{"bell": true, "name": ""}]"#, "`name` is empty"),
            (r#"[{"bell": true, "name": "a"}, {"desktop": true, "name": "a"}]"#, "two entries have the name `a`"),
            (r#"[{"bell": true, "sound": "x"}]"#, "unknown field `sound`"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("hush"), "{text}: {error}");
        }
        let seventeen = format!("[{}]", vec![r#"{"bell": true}"#; 17].join(","));
        assert!(read(&seventeen).expect_err("too many").contains("more than 16"));
    }

    #[test]
    fn an_entry_without_a_name_is_called_after_its_way() {
        let entries =
            read(r#"[{"bell": true}, {"bell": true, "name": "bell-2"}, {"bell": true}, {"command": ["a", "b"]}]"#);
        let entries = entries.expect("entries");
        let names: Vec<&str> = entries.entries().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["bell", "bell-2", "bell-3", "command"]);
    }

    #[test]
    fn an_entry_without_events_tells_of_all_but_restarts() {
        let entries = read(r#"[{"bell": true}]"#).expect("entries");
        let told = &entries.entries()[0].events;
        let left_out: Vec<_> = NotifyEvent::ALL.into_iter().filter(|event| !told.contains(event)).collect();
        assert_eq!(left_out, [NotifyEvent::Restarts]);
        for event in NotifyEvent::ALL {
            assert_eq!(serde_json::to_value(event).expect("JSON"), event.name());
        }
    }

    #[test]
    fn of_a_webhook_only_the_host_is_shown() {
        let text = r#"[{"webhook": "https://me:hush@hooks.example/services/hush?key=hush", "shape": "slack",
            "headers": {"Authorization": {"env": "AUTH"}}}, {"webhook": {"env": "HOOK"}}, {"webhook": "hush"}]"#;
        let entries = read(text).expect("entries");
        let shown = serde_json::to_value(&entries).expect("JSON");
        assert_eq!(shown[0]["webhook"], "https://hooks.example/…");
        assert_eq!(shown[0]["headers"]["Authorization"]["env"], "AUTH");
        assert_eq!(shown[1]["webhook"]["env"], "HOOK");
        for shown in [shown.to_string(), format!("{entries:?}")] {
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}
