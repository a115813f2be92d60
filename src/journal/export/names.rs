//! Replaces the private names of a machine in a run whose texts are kept: the user, the host, and the directories of the
//! project and the home. The same name always gets the same replacement, in the plan and in the inputs.
//!
//! All other text, session ids, uuids and times are kept. A text that is truncated may be cut at another place.

use std::path::Path;

use aho_corasick::{AhoCorasick, Input as Haystack, MatchKind};
use serde::Serialize;

use crate::core::Plan;
use crate::journal::RunSummary;
use crate::order::sort_by_key;
use redaction::begins_a_word;

/// The shortest user or host name that is replaced; shorter ones occur in too many other words.
const MIN_NAME_BYTES: usize = 3;
/// Words of the protocols and of everyday output. They identify no user, and replacing them would break messages.
const PUBLIC_WORDS: [&str; 24] = [
    "agent",
    "assistant",
    "build",
    "claude",
    "code",
    "content",
    "critic",
    "error",
    "home",
    "host",
    "line",
    "localhost",
    "message",
    "model",
    "name",
    "project",
    "result",
    "root",
    "system",
    "task",
    "text",
    "tool",
    "type",
    "user",
];

/// The private names of a run's machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Private {
    /// The user's home directory.
    pub home: Option<String>,
    /// The user's name.
    pub user: Option<String>,
    /// The machine's names.
    pub hosts: Vec<String>,
}

/// Replaces private names consistently.
#[derive(Debug)]
pub struct Names {
    finder: Option<AhoCorasick>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    from: String,
    to: String,
    whole: Whole,
}

/// The delimiters that a match needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// A path: the component must end here.
    Path,
    /// A path with `-` for `/`, as Claude Code names its project directories: no letter or digit may follow.
    Slug,
    /// A name: no word character on either side.
    Word,
}

impl Names {
    /// For a run in `cwd` on this machine.
    #[must_use]
    pub fn new(cwd: &str, private: &Private) -> Names {
        let mut rules = Vec::new();
        path_rules(&mut rules, cwd, "/project");
        if let Some(home) = &private.home {
            path_rules(&mut rules, home, "/home/user");
        }
        if let Some(user) = &private.user {
            name_rule(&mut rules, user, "user");
        }
        for (index, host) in private.hosts.iter().enumerate() {
            name_rule(&mut rules, host, &format!("host{}", index + 1));
        }
        // If two names match at one place the longer one wins, so that the project is found before the home that contains it.
        sort_by_key(&mut rules, |rule| std::cmp::Reverse(rule.from.len()));
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(rules.iter().map(|rule| rule.from.as_str()))
            .ok();
        Names { finder, rules }
    }

    /// Replaces the names in a text or a JSON document.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let Some(finder) = &self.finder else {
            return text.to_owned();
        };
        let bytes = text.as_bytes();
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        let mut look_from = 0;
        while let Some(hit) = finder.find(Haystack::new(bytes).range(look_from..)) {
            let at = hit.start();
            look_from = at + 1;
            // The longest match may not fit (`/home/a/shopping`) where a shorter one does (`/home/a`).
            let fits = |rule: &&Rule| {
                bytes[at..].starts_with(rule.from.as_bytes()) && rule.fits(bytes, at, at + rule.from.len())
            };
            if let Some(rule) = self.rules.iter().find(fits) {
                out.push_str(&text[copied..at]);
                out.push_str(&rule.to);
                copied = at + rule.from.len();
                look_from = copied;
            }
        }
        out.push_str(&text[copied..]);
        out
    }

    /// Replaces the names in all texts of a value, which is then decoded again.
    ///
    /// # Errors
    /// When the value cannot be decoded after its names were replaced.
    pub fn value<T: Serialize>(
        &self,
        value: &T,
        decode: impl FnOnce(&str) -> Result<T, serde_json::Error>,
    ) -> Result<T, serde_json::Error> {
        decode(&self.text(&serde_json::to_string(value)?))
    }

    /// Replaces the names in a plan.
    ///
    /// # Errors
    /// As [`Names::value`].
    pub fn plan(&self, plan: &Plan) -> Result<Plan, serde_json::Error> {
        let mut plan = self.value(plan, Plan::of_json)?;
        // An installation path reveals much about a machine, and no decision depends on it.
        if let Some(name) = Path::new(&plan.agent_program).file_name() {
            plan.agent_program = name.to_string_lossy().into_owned();
        }
        Ok(plan)
    }

    /// Replaces the names in a run's summary.
    #[must_use]
    pub fn summary(&self, summary: &RunSummary) -> RunSummary {
        let optional = |text: &Option<String>| text.as_deref().map(|text| self.text(text));
        RunSummary {
            task: self.text(&summary.task),
            cwd: self.text(&summary.cwd),
            reason: optional(&summary.reason),
            result: optional(&summary.result),
            resume: optional(&summary.resume),
            ..summary.clone()
        }
    }
}

impl Rule {
    fn fits(&self, bytes: &[u8], start: usize, end: usize) -> bool {
        let after = bytes.get(end).copied().unwrap_or(b' ');
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
        match self.whole {
            Whole::Path => !word(after) && after != b'-',
            Whole::Slug => !word(after),
            Whole::Word => {
                // `\n` before `ame` is a JSON escape and not the name `name`.
                let in_escape = start > 0 && bytes[start - 1] == b'\\';
                !word(after) && !in_escape && begins_a_word(bytes, start, 0)
            }
        }
    }
}

fn path_rules(rules: &mut Vec<Rule>, path: &str, to: &str) {
    let path = path.trim_end_matches('/');
    if path.len() < 2 {
        return;
    }
    let mut add = |from: String, to: String, whole| {
        if rules.iter().all(|rule| rule.from != from) {
            rules.push(Rule { from, to, whole });
        }
    };
    // The form in a JSON string, which differs only for unusual paths.
    let quoted = serde_json::Value::String(path.to_owned()).to_string();
    add(quoted[1..quoted.len() - 1].to_owned(), to.to_owned(), Whole::Path);
    let slug =
        |path: &str| -> String { path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect() };
    add(slug(path), slug(to), Whole::Slug);
}

fn name_rule(rules: &mut Vec<Rule>, name: &str, to: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.len() < MIN_NAME_BYTES
        || !name.bytes().all(plain)
        || name.bytes().all(|byte| byte.is_ascii_digit())
        || PUBLIC_WORDS.contains(&name.to_ascii_lowercase().as_str())
        || rules.iter().any(|rule| rule.from == name)
    {
        return;
    }
    rules.push(Rule { from: name.to_owned(), to: to.to_owned(), whole: Whole::Word });
}
