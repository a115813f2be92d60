//! Replaces the texts of a run by placeholders, so that every decision stays the same and the copy holds no private text.
//!
//! A text is replaced word by word ([`Placeholders`]). Everything between words (white space, line ends, ASCII punctuation,
//! escape sequences) stays, so a text keeps its length, its lines and its similarity to others. Other parts stay because
//! decisions depend on them and they are not private: the words of the agent's protocol ([`Vocabulary`]), the amount in its
//! line about the cost, the markers of a verdict, numbers up to twelve and number words, units of time, times of day, versions,
//! and the ids that ccc makes from the run's seed. Numbers in fields stay; other numbers in texts do not.
//!
//! Plans are destructured field by field, so the compiler reports a new field that is not handled here. Inputs enumerate their
//! own texts ([`TextEditor`]), and a critic's numbers are in a separate struct.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, Input as Haystack, MatchKind};
use serde_json::value::RawValue;

use super::placeholder::{Placeholders, UUID_BYTES, begins_with_uuid, shape, stands_for_a_uuid};
use crate::agent::{AgentKind, Vocabulary};
use crate::core::supervised::{BeatPlan, CommandInput, CommandPlan};
use crate::core::{
    COMPLETED_MARKER, CheckPlan, CriticPlan, Finish, Input, LINE_ENDS, NEEDS_USER_MARKER, NUMBER_WORDS, Plan,
    SandboxSettings, SessionStart, SetupPlan, TIME_UNITS, TextEditor, WallsPlan, spells_a_marker,
};
use crate::journal::RunSummary;
use crate::stream::Raw;

/// JSON in strings of JSON is parsed to this depth; deeper JSON is treated as text.
const NESTED_MAX: u32 = 4;
/// Numbers up to this one can also be written as words, with the same meaning.
const SMALL_NUMBER: u32 = 12;
/// Values that ccc itself writes into fields.
const OWN_VALUES: [&str; 10] =
    ["pty", "pipe", "pipes", "Ctrl-C", "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "claude", "anthropic"];
/// A ticked box, which may precede a verdict.
const TICK: &str = "x";

/// Replaces texts consistently.
#[derive(Debug)]
pub struct Scrubber {
    vocabulary: Vocabulary,
    members: HashSet<&'static str>,
    values: HashSet<&'static str>,
    words: HashSet<&'static str>,
    tools: HashSet<&'static str>,
    /// The present text is one of the agent's arguments.
    in_argument: bool,
    phrases: Option<AhoCorasick>,
    placeholders: Placeholders,
    /// Ids derived from the run's seed.
    own_ids: HashSet<String>,
    /// Why a document of the present input is not valid JSON any more.
    fault: Option<serde_json::Error>,
}

impl Scrubber {
    /// For a run of this agent, or of a command.
    #[must_use]
    pub fn new(agent: Option<AgentKind>) -> Scrubber {
        let vocabulary = agent.map(|agent| agent.vocabulary()).unwrap_or_default();
        let tools: HashSet<&str> = vocabulary.tools.iter().copied().collect();
        let values = vocabulary.values.iter().chain(&OWN_VALUES).chain(&tools);
        let values: HashSet<&str> = values.copied().collect();
        let members: HashSet<&str> = vocabulary.members.iter().copied().collect();
        let words: HashSet<&str> = vocabulary.words.iter().copied().collect();
        let mut phrases = vocabulary.phrases.clone();
        phrases.extend([COMPLETED_MARKER, NEEDS_USER_MARKER]);
        let any_case = NUMBER_WORDS.iter().chain(TIME_UNITS).copied().chain([TICK]);
        let small = (0..=SMALL_NUMBER).map(|number| number.to_string());
        let reserved = values.iter().chain(&members).chain(&words).chain(&phrases).copied().chain(any_case);
        let reserved = reserved.flat_map(|text| text.split(|char: char| !char.is_alphanumeric()));
        let reserved = reserved.map(str::to_lowercase).chain(small).collect();
        let phrases = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(phrases).ok();
        let placeholders = Placeholders::without(reserved);
        let own_ids = HashSet::new();
        Scrubber {
            vocabulary,
            members,
            values,
            words,
            tools,
            in_argument: false,
            phrases,
            placeholders,
            own_ids,
            fault: None,
        }
    }

    /// Notes the ids that the core has made, because the agent will repeat them. `action` is an action of the scrubbed run, as
    /// JSON.
    pub fn saw(&mut self, action: &str) {
        for at in memchr::memchr_iter(b'-', action.as_bytes()) {
            let begin = at.checked_sub(8).and_then(|begin| action.get(begin..));
            if let Some(uuid) = begin.filter(|text| begins_with_uuid(text)).and_then(|text| text.get(..UUID_BYTES))
                && !stands_for_a_uuid(uuid)
            {
                self.own_ids.insert(uuid.to_owned());
            }
        }
    }

    /// Whether `scrubbed` can be the scrubbed form of `original`, a text that ccc has composed of its own words and others.
    #[must_use]
    pub fn came_of(&mut self, original: &str, scrubbed: &str) -> bool {
        let mut with_uuids = String::with_capacity(original.len());
        let mut at = 0;
        while let Some(rest) = original.get(at..).filter(|rest| !rest.is_empty()) {
            let uuid = rest.get(..UUID_BYTES).filter(|_| begins_with_uuid(rest));
            match uuid {
                Some(uuid) if !self.own_ids.contains(uuid) => with_uuids.push_str(&self.placeholders.of_uuid(uuid)),
                Some(uuid) => with_uuids.push_str(uuid),
                None => with_uuids.extend(rest.chars().next()),
            }
            at += uuid.map_or_else(|| rest.chars().next().map_or(1, char::len_utf8), str::len);
        }
        let (mut ours, mut theirs) = (pieces(&with_uuids), pieces(scrubbed));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                (Some(one), Some(other)) if one == other => {}
                (Some(one), Some(other)) => match self.placeholders.given(one) {
                    Some(placeholder) if placeholder == other => {}
                    // A word that was truncated together with its text.
                    None if shape(one) == shape(other) => {}
                    Some(_) | None => return false,
                },
                (Some(_), None) | (None, Some(_)) => return false,
            }
        }
    }

    /// Replaces a text.
    #[must_use]
    pub fn text(&mut self, text: &str) -> String {
        self.text_at(text, 0)
    }

    fn text_at(&mut self, text: &str, depth: u32) -> String {
        if text.is_empty() || self.values.contains(text) || is_time(text) || is_version(text) {
            return text.to_owned();
        }
        if depth < NESTED_MAX && text.trim_start().starts_with('{') && Raw::parse(text).is_some() {
            return self.json(text, depth + 1);
        }
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive(LINE_ENDS) {
            if spells_a_marker(line) {
                out.push_str(line);
            } else {
                self.line(line, &mut out);
            }
        }
        out
    }

    fn replace(&mut self, text: &mut String) {
        *text = self.text(text);
    }

    fn replace_all(&mut self, texts: &mut [String]) {
        texts.iter_mut().for_each(|text| self.replace(text));
    }

    fn line(&mut self, line: &str, out: &mut String) {
        let mut kept = self.phrases_in(line).into_iter().peekable();
        let mut at = self.vocabulary.kept_bytes.map_or(0, |kept_bytes| kept_bytes(line));
        out.push_str(line.get(..at).unwrap_or_default());
        while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
            while kept.next_if(|(start, _)| *start < at).is_some() {}
            let first = rest.chars().next().unwrap_or_default();
            let end = if let Some((_, end)) = kept.next_if(|(start, _)| *start == at) {
                out.push_str(line.get(at..end).unwrap_or_default());
                end
            } else if begins_with_uuid(rest) {
                let uuid = rest.get(..UUID_BYTES).unwrap_or_default();
                if self.own_ids.contains(uuid) {
                    out.push_str(uuid);
                } else {
                    out.push_str(&self.placeholders.of_uuid(uuid));
                }
                at + UUID_BYTES
            } else if first.is_alphanumeric() {
                let end = rest.find(|char: char| !char.is_alphanumeric()).map_or(line.len(), |length| at + length);
                let word = line.get(at..end).unwrap_or_default();
                let begins_a_rule = line.get(end..).unwrap_or_default().starts_with('(');
                if self.tools.contains(word) && (begins_a_rule || self.in_argument) {
                    out.push_str(word);
                } else {
                    out.push_str(&self.word(word));
                }
                end
            } else if let Some(length) = sequence_bytes(rest) {
                out.push_str(rest.get(..length).unwrap_or_default());
                at + length
            } else if first.is_ascii() || first.is_whitespace() || first.is_control() {
                out.push(first);
                at + first.len_utf8()
            } else {
                out.push_str(&self.placeholders.of(rest.get(..first.len_utf8()).unwrap_or_default()));
                at + first.len_utf8()
            };
            at = end;
        }
    }

    /// The positions of phrases that are kept, unless they are parts of other words.
    fn phrases_in(&self, line: &str) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(hit) = self.phrases.as_ref().and_then(|finder| finder.find(Haystack::new(line).range(from..))) {
            let (before, phrase, after) = (&line[..hit.start()], &line[hit.range()], &line[hit.end()..]);
            let is_word = |char: char| char.is_alphanumeric();
            let begins = !phrase.starts_with(is_word) || !before.ends_with(is_word) || ends_with_sequence(before);
            let ends = !phrase.ends_with(is_word) || !after.starts_with(is_word);
            if begins && ends {
                found.push((hit.start(), hit.end()));
                from = hit.end();
            } else {
                from = hit.start() + line[hit.start()..].chars().next().map_or(1, char::len_utf8);
            }
        }
        found
    }

    fn word(&mut self, word: &str) -> String {
        if self.words.contains(word) {
            return word.to_owned();
        }
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = word.trim_start_matches('0');
            let small = number.is_empty() || number.parse::<u32>().is_ok_and(|number| number <= SMALL_NUMBER);
            let zeros = &word[..word.len() - number.len()];
            return if small { word.to_owned() } else { format!("{zeros}{}", self.placeholders.of(number)) };
        }
        let lower = word.to_lowercase();
        if NUMBER_WORDS.iter().chain(TIME_UNITS).chain([&TICK]).any(|known| *known == lower) {
            return word.to_owned();
        }
        self.placeholders.of(word)
    }

    /// Replaces the texts of a JSON document, and the numbers of members that the protocol does not define. Everything else
    /// stays byte for byte.
    fn json(&mut self, json: &str, depth: u32) -> String {
        let bytes = json.as_bytes();
        let mut out = String::with_capacity(json.len());
        let mut at = 0;
        let mut known = false;
        while let Some(&byte) = bytes.get(at) {
            let end = match byte {
                b'"' => {
                    let end = string_end(bytes, at);
                    let written = json.get(at..end).unwrap_or_default();
                    let text = Raw::parse(written).and_then(Raw::text).unwrap_or_default();
                    let is_member = json.get(end..).unwrap_or_default().trim_start().starts_with(':');
                    if is_member {
                        known = self.members.contains(&*text);
                    }
                    let scrubbed = match is_member {
                        true if known => text.clone().into_owned(),
                        true => self.text_at(&text, NESTED_MAX),
                        false => self.text_at(&text, depth),
                    };
                    if scrubbed == *text {
                        out.push_str(written);
                    } else {
                        out.push_str(&serde_json::Value::String(scrubbed).to_string());
                    }
                    end
                }
                b'-' | b'0'..=b'9' => {
                    let number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                    let length = bytes.iter().skip(at).take_while(|byte| number(byte)).count();
                    let written = json.get(at..at + length).unwrap_or_default();
                    if known {
                        out.push_str(written)
                    } else {
                        out.push_str(&self.number(written))
                    }
                    at + length
                }
                _ => {
                    let plain = |byte: &u8| !matches!(byte, b'"' | b'-' | b'0'..=b'9');
                    let length = bytes.iter().skip(at).take_while(|byte| plain(byte)).count();
                    out.push_str(json.get(at..at + length).unwrap_or_default());
                    at + length
                }
            };
            at = end;
        }
        out
    }

    /// Replaces the digits of a number.
    fn number(&mut self, number: &str) -> String {
        let mut out = String::with_capacity(number.len());
        for piece in pieces(number) {
            match piece.bytes().all(|byte| byte.is_ascii_digit()) {
                true => out.push_str(&self.word(piece)),
                false => out.push_str(piece),
            }
        }
        out
    }

    /// Replaces an argument of the agent's command line; option names stay.
    fn argument(&mut self, argument: &str) -> String {
        let is_option = |text: &str| self.vocabulary.is_option.is_some_and(|known| known(text));
        if is_option(argument) {
            return argument.to_owned();
        }
        let attached = match argument.split_once('=') {
            Some((name, value)) if is_option(name) => Some((argument.len() - value.len(), value)),
            Some(_) | None => argument.get(..2).filter(|name| is_option(name)).map(|name| (name.len(), &argument[2..])),
        };
        let (name, value) = attached.map_or(("", argument), |(at, value)| (&argument[..at], value));
        self.in_argument = true;
        let value = self.text(value);
        self.in_argument = false;
        format!("{name}{value}")
    }

    fn arguments(&mut self, arguments: &mut [String]) {
        for argument in arguments {
            *argument = self.argument(argument);
        }
    }

    /// Replaces the texts of a plan.
    #[must_use]
    pub fn plan(&mut self, mut plan: Plan) -> Plan {
        let Plan {
            seed: _,
            run_id: _,
            task,
            earlier_turns,
            cwd,
            agent,
            agent_program,
            agent_first_args,
            agent_version,
            agent_args,
            session,
            setup,
            checks,
            protect,
            critic,
            budgets: _,
            timeouts: _,
            one_tree: _,
            allow_checks: _,
            share_prompt_prefix: _,
            no_wait: _,
            rotate_at: _,
            interactive: _,
            answer_timeout_ms: _,
            approvals: _,
            conversation: _,
            new_ids_when_resumed: _,
            denials_as_they_occurred: _,
            supervised: _,
            without_critic: _,
            checkpoints: _,
            tests_compared: _,
            conversation_patience_ms: _,
            agent_memory_max_bytes: _,
            agent_tasks_max: _,
            walls,
            interface_settings,
            given,
        } = &mut plan;
        // Paths and names of the user, on which no decision depends.
        let sandbox = walls.sandbox.take().map(|SandboxSettings { agent, critic }| SandboxSettings {
            agent: self.text(&agent),
            critic: self.text(&critic),
        });
        *walls = WallsPlan { guard: walls.guard, push: walls.push, sandbox, ..WallsPlan::default() };
        self.replace_all(interface_settings.as_mut_slice());
        self.replace(task);
        self.replace_all(earlier_turns);
        self.replace(cwd);
        // An installation path reveals much about a machine, and no decision depends on it.
        if !agent_program.is_empty() {
            agent.program().clone_into(agent_program);
        }
        self.replace_all(agent_first_args);
        self.replace(agent_version);
        self.arguments(agent_args);
        match session {
            SessionStart::New(id) | SessionStart::Resume(id) => self.replace(id),
            SessionStart::Latest => {}
        }
        for SetupPlan { command, timeout_ms: _ } in setup {
            self.replace(command);
        }
        for CheckPlan { command, timeout_ms: _ } in checks {
            self.replace(command);
        }
        self.replace_all(protect);
        self.critic(critic);
        // It holds the user's own arguments, and no decision depends on it.
        *given = None;
        plan
    }

    fn critic(&mut self, critic: &mut CriticPlan) {
        let CriticPlan {
            prompt,
            prompt_as: _,
            prompt_file,
            model,
            allow,
            limits: _,
            without_hooks: _,
            settings_file,
            on_a_copy: _,
        } = critic;
        self.replace(prompt);
        self.replace_all(prompt_file.as_mut_slice());
        self.replace_all(model.as_mut_slice());
        self.arguments(allow);
        self.replace_all(settings_file.as_mut_slice());
    }

    /// Replaces the texts of an input.
    ///
    /// # Errors
    /// When a scrubbed line is not valid JSON any more.
    pub fn input(&mut self, mut input: Input) -> Result<Input, serde_json::Error> {
        input.edit_texts(self);
        self.fault.take().map_or(Ok(input), Err)
    }

    /// Replaces the texts of a command's plan.
    #[must_use]
    pub fn command_plan(&mut self, mut plan: CommandPlan) -> CommandPlan {
        let CommandPlan {
            seed: _,
            run_id: _,
            command,
            cwd,
            provider,
            rotate_at: _,
            monitor_interval_ms: _,
            heartbeat,
            restart_on: _,
            restart_delay_ms: _,
            max_restarts: _,
            grace_ms: _,
            no_wait: _,
            interactive: _,
            answer_timeout_ms: _,
        } = &mut plan;
        if let Some(BeatPlan { file, timeout_ms: _, interval_ms: _, grace_ms: _ }) = heartbeat {
            self.replace(file);
        }
        self.replace_all(command);
        self.replace(cwd);
        self.replace_all(provider.as_mut_slice());
        plan
    }

    /// Replaces the texts of an input of a command's run.
    #[must_use]
    pub fn command_input(&mut self, mut input: CommandInput) -> CommandInput {
        input.edit_texts(self);
        input
    }

    /// Replaces the texts of a run's summary. `ended` is the end of the scrubbed run.
    #[must_use]
    pub fn summary(&mut self, mut summary: RunSummary, ended: Option<&Finish>) -> RunSummary {
        let RunSummary {
            version: _,
            id,
            task,
            cwd,
            session_id,
            agent_version,
            pid: _,
            started_unix_ms: _,
            updated_unix_ms: _,
            ended_unix_ms: _,
            // A word of ccc's own.
            phase: _,
            iteration: _,
            outcome: _,
            reason,
            restarts: _,
            rotations: _,
            waited_ms: _,
            cost_usd: _,
            result,
            resume,
            kind: _,
            demo: _,
            context_tokens: _,
            context_window_tokens: _,
            tests_touched,
            tools_denied: _,
            elapsed_ms: _,
            // The error of a disk, in words of ccc's own and of the system.
            journal_missing: _,
        } = &mut summary;
        self.replace(task);
        self.replace(cwd);
        self.replace_all(session_id.as_mut_slice());
        self.replace_all(agent_version.as_mut_slice());
        *reason = reason.as_ref().and(ended).map(|finish| finish.reason.clone());
        *tests_touched = tests_touched.as_ref().and(ended).map(|finish| finish.tests.files.clone());
        *result = result.as_ref().and(ended).map(|finish| finish.result.clone());
        *resume = resume.as_ref().map(|_| format!("ccc resume {id}"));
        summary
    }
}

impl TextEditor for Scrubber {
    fn text(&mut self, text: &mut String) {
        self.replace(text);
    }

    fn json(&mut self, text: &mut String) {
        if Raw::parse(text).is_some() {
            *text = Scrubber::json(self, text, 0);
        } else {
            self.replace(text);
        }
    }

    fn raw_json(&mut self, json: &mut Box<RawValue>) {
        match RawValue::from_string(Scrubber::json(self, json.get(), 0)) {
            Ok(scrubbed) => *json = scrubbed,
            Err(fault) => self.fault = Some(fault),
        }
    }

    fn plan(&mut self, plan: &mut Plan) {
        *plan = Scrubber::plan(self, plan.clone());
    }
}

/// Splits a text into words and single characters between them.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let length = match first.is_alphanumeric() {
            true => rest.find(|char: char| !char.is_alphanumeric()).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some(piece)
    })
}

/// The length of the escape sequence `ESC [ … letter` at the beginning of the text.
fn sequence_bytes(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\u{1b}[")?;
    let parameters = inner.bytes().take_while(|byte| byte.is_ascii_digit() || b";:<=>?".contains(byte)).count();
    let last = inner.as_bytes().get(parameters)?;
    last.is_ascii_alphabetic().then_some(2 + parameters + 1)
}

/// Whether a text ends with an escape sequence, whose last letter belongs to no word.
fn ends_with_sequence(text: &str) -> bool {
    let last = text.rfind("\u{1b}[").and_then(|at| text.get(at..));
    last.is_some_and(|last| sequence_bytes(last) == Some(last.len()))
}

/// The end of the string that begins at the quote `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(&byte) = bytes.get(end) {
        end += match byte {
            b'"' => return end + 1,
            b'\\' => 2,
            _ => 1,
        };
    }
    bytes.len()
}

/// Whether a text is only a timestamp, such as `2026-11-20T19:18:22.123Z`.
fn is_time(text: &str) -> bool {
    text.len() <= 40
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"TZ:+-.".contains(&byte))
        && text.parse::<jiff::Timestamp>().is_ok()
}

/// Whether a text is only the version of a program: `2.1.332`, `2.1.332 (Claude Code)`.
fn is_version(text: &str) -> bool {
    let number = text.strip_suffix(" (Claude Code)").unwrap_or(text);
    let parts: Vec<&str> = number.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::{Verdict, same_feedback};

    fn scrubber() -> Scrubber {
        Scrubber::new(Some(AgentKind::CLAUDE_CODE))
    }

    #[test]
    fn words_go_and_what_decides_stays() {
        let (mut scrubber, mut wrong) = (scrubber(), Vec::new());
        for (text, scrubbed) in [
            ("Mend parser.rs, please.", "Qqqq qqqqqq.qq, qqqqqz."),
            ("mend Parser", "qqqq Qqqqqq"),
            ("12 of 13 failed, 1,234 passed in 0.53s", "12 qz 13 qqqqqj, 1,100 qqqqqk qj 0.00q"),
            ("only one of six after 53 ms", "qqqz one qz six qqqqq 14 ms"),
            ("Grüße, 世界 🦀!", "Qqªªq, ࠀࠀ \u{1000c}!"),
            ("ok\n**[TASK_COMPLETED]**\n", "qk\n**[TASK_COMPLETED]**\n"),
            ("[task completed]", "[task completed]"),
            (
                "\u{1b}[31mError: Session ID abc is already in use.\u{1b}[39m",
                "\u{1b}[31mError: Session ID qqq is already in use.\u{1b}[39m",
            ),
            ("Bash(sh test.sh) and Bash", "Bash(sh qqqj.sh) qqz Qqqz"),
            ("2026-11-20T19:18:22.123Z", "2026-11-20T19:18:22.123Z"),
            ("2.1.332 (Claude Code)", "2.1.332 (Claude Code)"),
            ("a/da2dfb22-28b7-8051-af8a-25323516ba41.jsonl", "q/00000000-0000-4000-8000-000000000001.qqqqz"),
            ("permission_error", "permission_error"),
            ("private_error", "qqqqqqq_error"),
        ] {
            let told = scrubber.text(text);
            if told != scrubbed {
                wrong.push((text, told));
            }
        }
        assert_eq!(wrong, []);
    }

    #[test]
    fn json_keeps_its_members_its_numbers_and_its_form() {
        let mut scrubber = scrubber();
        for (json, scrubbed) in [
            (
                r#"{ "type":"user", "uuid":null, "n_private":[true, 4711.5e3] }"#,
                r#"{ "type":"user", "uuid":null, "q_qqqqqqq":[true, 1000.5e3] }"#,
            ),
            (r#"{"timeout":30000,"command":"ls \u00e9"}"#, r#"{"timeout":30000,"command":"qq ª"}"#),
            (
                r#"{"stdout":"{\"decision\":\"block\",\"reason\":\"no\\nway\"}"}"#,
                r#"{"stdout":"{\"decision\":\"block\",\"reason\":\"qz\\nqqq\"}"}"#,
            ),
            (
                r#"{"modelUsage":{"claude-opus-5-5[1m]":{"costUSD":0.1}}}"#,
                r#"{"modelUsage":{"qqqqqq-qqqq-5-5[0q]":{"costUSD":0.1}}}"#,
            ),
            ("4711", "1000"),
        ] {
            assert_eq!(scrubber.json(json, 0), scrubbed, "{json}");
        }
    }

    #[test]
    fn ids_that_follow_from_the_seed_stay() {
        let (ours, theirs) = ("b63a8d68-7fd3-8094-9286-8ee4794fc6ed", "da2dfb22-28b7-8051-af8a-25323516ba41");
        let mut scrubber = scrubber();
        scrubber.saw(&format!(r#"{{"send":{{"turn":"{ours}"}}}}"#));
        assert_eq!(scrubber.text(ours), ours);
        assert_ne!(scrubber.text(theirs), theirs);
        assert!(scrubber.came_of(
            &format!("turn {ours} of {theirs} said"),
            "turn b63a8d68-7fd3-8094-9286-8ee4794fc6ed of 00000000-0000-4000-8000-000000000001 said"
        ));
    }

    #[test]
    fn options_stay_and_their_values_go() {
        let arguments = [
            "--permission-mode",
            "acceptEdits",
            "--append-system-prompt=be kind",
            "--allowedTools",
            "Bash(sh t.sh),Read",
            "--unheard-of",
            "-nmine",
        ];
        let mut scrubbed = arguments.map(str::to_owned);
        scrubber().arguments(&mut scrubbed);
        assert_eq!(
            scrubbed,
            [
                "--permission-mode",
                "acceptEdits",
                "--append-system-prompt=qq qqqq",
                "--allowedTools",
                "Bash(sh q.sh),Read",
                "--qqqqqqq-qz",
                "-nqqqz"
            ]
        );
    }

    /// Parts of critics' answers.
    fn answer() -> impl Strategy<Value = String> {
        let pieces = vec![
            COMPLETED_MARKER,
            NEEDS_USER_MARKER,
            "[task_completed]",
            "TASK COMPLETED",
            "\n",
            "\n",
            "\r\n",
            "\u{2028}",
            " ",
            "**",
            "`",
            "```",
            "> ",
            "- ",
            "# ",
            ".",
            "✅",
            "\u{200b}",
            "Not",
            "fine",
            "Verdict:",
            "[x]",
            "[X]",
            "[a]",
            "1. ",
            "漢字",
            "é",
            "{}",
            "{\"a\":1}",
            "\u{1b}[1m",
            "needs",
            "user",
            "12",
            "x",
        ];
        prop::collection::vec(prop::sample::select(pieces), 0..14).prop_map(|pieces| pieces.concat())
    }

    /// Sentences with counts, times and names.
    fn feedback() -> impl Strategy<Value = String> {
        let words = vec![
            "only",
            "one",
            "of",
            "six",
            "12",
            "13",
            "99",
            "100",
            "1,200",
            "3/6",
            "14/20",
            "failed",
            "passed",
            "after",
            "53",
            "ms",
            "0.5s",
            "10001",
            "9999",
            "test",
            "parser.rs",
            "the",
            "Twelve",
            "1.",
            "zero",
            "0",
            "007",
            "2026-11-27",
            "v1.2.3",
            "é",
            "\n",
        ];
        prop::collection::vec(prop::sample::select(words), 1..16).prop_map(|words| words.join(" "))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn an_answer_means_what_it_meant(answer in answer()) {
            let scrubbed = scrubber().text(&answer);
            prop_assert_eq!(Verdict::read(&scrubbed).word(), Verdict::read(&answer).word(), "{:?} {:?}", answer, scrubbed);
            prop_assert_eq!(scrubbed.len(), answer.len());
            prop_assert_eq!(scrubbed.lines().count(), answer.lines().count());
        }

        #[test]
        fn what_was_alike_is_alike_and_what_was_not_is_not(one in feedback(), other in feedback(), at in 0_usize..16, other_word in feedback()) {
            let mut words: Vec<&str> = one.split(' ').collect();
            let at = at % words.len();
            let word = other_word.split(' ').next().unwrap_or_default();
            words[at] = word;
            let near = words.join(" ");
            let mut scrubber = scrubber();
            let scrubbed = scrubber.text(&one);
            for text in [&other, &near] {
                let there = scrubber.text(text);
                prop_assert_eq!(same_feedback(&scrubbed, &there), same_feedback(&one, text), "{:?} {:?}", one, text);
                prop_assert_eq!(scrubbed == there, one == *text);
            }
        }

        #[test]
        fn any_text_keeps_its_length_and_any_json_its_grammar(text in any::<String>()) {
            let mut scrubber = scrubber();
            let scrubbed = scrubber.text(&text);
            prop_assert_eq!(scrubbed.len(), text.len());
            prop_assert_eq!(scrubbed.chars().count(), text.chars().count());
            prop_assert_eq!(&scrubber.text(&text), &scrubbed);
            let json = serde_json::json!({ "text": text, text.as_str(): [text, 1] }).to_string();
            prop_assert!(Raw::parse(&scrubber.json(&json, 0)).is_some());
        }
    }
}
