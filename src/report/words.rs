//! The words that HTML and Markdown share.

use std::collections::BTreeMap;

use super::model::{Iteration, Report, RunState, TestsSource, Tokens};
use super::text::Excerpt;
use super::transcript::{Entry, EntryKind};
use crate::agent::Role;
use crate::journal::RunKind;
use crate::ui::format;

/// How the run stands.
pub(super) fn state(report: &Report) -> &'static str {
    match (report.outcome, report.state) {
        (Some(outcome), _) => outcome.in_words(),
        (None, RunState::Running) => "still running",
        (None, RunState::Ended | RunState::Broken) => "without an end",
    }
}

/// Why the run ended, in one sentence.
pub(super) fn why(report: &Report) -> String {
    let why = match (report.outcome, report.state) {
        (Some(_), _) if !report.reason.is_empty() => report.reason.to_string(),
        (Some(outcome), _) => outcome.meaning().to_owned(),
        (None, RunState::Running) => "the run has not ended; this is how it stands now".to_owned(),
        (None, RunState::Ended | RunState::Broken) => "ccc ended before the run did; the run can be resumed".to_owned(),
    };
    match denied(report) {
        Some(denied) if !why.contains("denied") => format!("{why}; {denied}"),
        _ => why,
    }
}

/// How many of the agent's calls were denied; `None` if none was.
pub(super) fn denied(report: &Report) -> Option<String> {
    format::denied(report.totals.tools_denied)
}

/// Whether a fact speaks for the work, or against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// For it.
    Good,
    /// Someone should look.
    Look,
    /// Against it.
    Bad,
    /// Neither.
    Open,
}

/// A fact of the answer to "was it right?", and the section that has more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) sign: Sign,
    pub(super) text: String,
    pub(super) section: &'static str,
}

/// What speaks for the work, and what against it.
pub(super) fn was_it_right(report: &Report) -> Vec<Fact> {
    let mut facts = vec![of_the_critic(report)];
    facts.extend(of_the_checks(report));
    if report.run.kind == RunKind::Agent {
        facts.push(of_the_tests(report));
    }
    if let Some(text) = denied(report) {
        facts.push(Fact { sign: Sign::Look, text, section: "denied" });
    }
    facts
}

fn of_the_critic(report: &Report) -> Fact {
    let fact = |sign, text: &str| Fact { sign, text: text.to_owned(), section: "asked" };
    match report.verdict.as_ref().map(|verdict| verdict.verdict.as_str()) {
        Some("completed") => fact(Sign::Good, "the critic agrees"),
        Some("needs_user") => fact(Sign::Look, "the critic asks you"),
        Some(_) => fact(Sign::Bad, "the critic found something missing"),
        None => fact(Sign::Open, "no critic has judged it"),
    }
}

/// The last result of each check.
fn of_the_checks(report: &Report) -> Option<Fact> {
    let mut last: BTreeMap<&str, bool> = BTreeMap::new();
    for check in report.iterations.iter().flat_map(|iteration| &iteration.checks) {
        last.insert(check.command.as_str(), check.passed);
    }
    let (all, passed) = (last.len(), last.values().filter(|passed| **passed).count());
    let text = match (all, passed) {
        (0, _) => return None,
        (1, 1) => "the check passes".to_owned(),
        (1, _) => "the check fails".to_owned(),
        (all, passed) if all == passed => format!("all {all} checks pass"),
        (all, passed) => format!("{} of {all} checks fail", all - passed),
    };
    Some(Fact { sign: if all == passed { Sign::Good } else { Sign::Bad }, text, section: "asked" })
}

fn of_the_tests(report: &Report) -> Fact {
    let findings = &report.tests.findings;
    let to_look_at = findings.iter().filter(|finding| finding.touch.is_suspicious()).count();
    let fact = |sign, text: String| Fact { sign, text, section: "tests" };
    match (to_look_at, findings.is_empty()) {
        (0, true) => fact(Sign::Open, "no test touched".to_owned()),
        (0, false) => fact(Sign::Good, "tests touched, none seen to be weakened".to_owned()),
        (n, _) => fact(Sign::Look, format!("{} in tests to look at", format::count(n, "change"))),
    }
}

/// The parts of a text, and whether each is a code span of Markdown; without the backticks around one.
pub(super) fn spans(text: &str) -> Vec<(bool, &str)> {
    let mut parts = Vec::new();
    // `from` is where the part that is no code begins, `at` where a span is looked for.
    let (mut from, mut at) = (0, 0);
    while let Some(open) = text.get(at..).and_then(|rest| rest.find('`')).map(|found| at + found) {
        let fence = ticks(text, open);
        let begin = open + fence;
        match closing(text, begin, fence) {
            Some(end) => {
                parts.push((false, text.get(from..open).unwrap_or_default()));
                parts.push((true, text.get(begin..end).unwrap_or_default()));
                (from, at) = (end + fence, end + fence);
            }
            None => at = begin,
        }
    }
    parts.push((false, text.get(from..).unwrap_or_default()));
    parts.retain(|(_, part)| !part.is_empty());
    parts
}

/// Where the code span ends that begins here after so many backticks.
fn closing(text: &str, begin: usize, fence: usize) -> Option<usize> {
    let mut at = begin;
    loop {
        let found = at + text.get(at..)?.find('`')?;
        let length = ticks(text, found);
        if length == fence {
            return Some(found);
        }
        at = found + length;
    }
}

/// How many backticks stand here.
fn ticks(text: &str, at: usize) -> usize {
    text.get(at..).unwrap_or_default().bytes().take_while(|byte| *byte == b'`').count()
}

/// What is said when no test was touched.
pub(super) fn no_tests(source: &TestsSource) -> &'static str {
    match source {
        TestsSource::Edits => {
            "No edit of the agent's tools touched a test. Changes by commands that it ran are not seen here."
        }
        TestsSource::Checkpoints => "No file of tests was touched.",
    }
}

/// What stands over the points of the last verdict.
pub(super) fn verdict_heading(report: &Report) -> &'static str {
    match report.verdict.as_ref().map(|verdict| verdict.verdict.as_str()) {
        Some("completed") => "What shows that it is done",
        Some("needs_user") => "What the critic asks you",
        _ => "What was missing, by the last verdict",
    }
}

/// What stands before each point of the last verdict.
pub(super) fn verdict_mark(report: &Report) -> &'static str {
    match report.verdict.as_ref().map(|verdict| verdict.verdict.as_str()) {
        Some("completed") => "✓",
        Some("needs_user") => "?",
        _ => "✗",
    }
}

/// A verdict.
pub(super) fn verdict(verdict: &str) -> &'static str {
    match verdict {
        "completed" => "the critic agrees",
        "feedback" => "feedback",
        "needs_user" => "the critic asks you",
        _ => "no usable verdict",
    }
}

/// How an iteration ended.
pub(super) fn end_of(iteration: &Iteration) -> &'static str {
    match &iteration.verdict {
        Some(word) => verdict(word.as_str()),
        None if iteration.checks.iter().any(|check| !check.passed) => "a check failed",
        None => "not judged",
    }
}

/// Where it is known from what happened to tests.
pub(super) fn tests_source(source: &TestsSource) -> &'static str {
    match source {
        TestsSource::Edits => {
            "Found in the edits of the agent's tools by names and marks; changes by commands that it ran are not seen here."
        }
        TestsSource::Checkpoints => "Found in the changes of the files by names and marks.",
    }
}

/// The tokens of agent and critic.
pub(super) fn both(report: &Report) -> Tokens {
    let (agent, critic) = (report.totals.agent_tokens, report.totals.critic_tokens);
    Tokens {
        input: agent.input.saturating_add(critic.input),
        cached: agent.cached.saturating_add(critic.cached),
        output: agent.output.saturating_add(critic.output),
    }
}

/// What the agent has cost.
pub(super) fn agent_cost(report: &Report) -> String {
    let all = report.totals.cost_usd;
    format::money(all.map(|all| (all - report.totals.critic_cost_usd.unwrap_or_default()).max(0.0)))
}

/// What the critic has cost, and its part of the whole.
pub(super) fn critic_cost(report: &Report) -> String {
    let (critic, all) = (report.totals.critic_cost_usd, report.totals.cost_usd);
    match critic.zip(all).filter(|(_, all)| *all > 0.0) {
        Some((critic, all)) => format!("{} ({:.0} %)", format::money(Some(critic)), critic / all * 100.0),
        None => format::money(critic),
    }
}

/// How much of a text is left out.
pub(super) fn left_out(body: &Excerpt) -> String {
    match body.left_out_chars {
        // The source was cut already, and nobody knows by how much.
        1 => "the middle is left out".to_owned(),
        n => format!("{n} characters are left out"),
    }
}

/// What an entry of the transcript is.
pub(super) fn lead(entry: &Entry) -> &'static str {
    match (entry.kind, entry.role) {
        (EntryKind::User, _) => "you",
        (EntryKind::Told, _) => "ccc to the agent:",
        (EntryKind::Said, Some(Role::Critic)) => "critic",
        (EntryKind::Said, Some(Role::Agent) | None) => "agent",
        (EntryKind::Thought, Some(Role::Critic)) => "the critic thinks",
        (EntryKind::Thought, Some(Role::Agent) | None) => "the agent thinks",
        (EntryKind::Tool, Some(Role::Critic)) => "critic ●",
        (EntryKind::Tool, Some(Role::Agent) | None) => "●",
        (EntryKind::Check, _) => "",
        (EntryKind::Verdict, _) => "verdict:",
        (EntryKind::Note, _) => "ccc",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_spans_of_a_text_are_found() {
        assert_eq!(spans("`sh t.sh` passes"), [(true, "sh t.sh"), (false, " passes")]);
        assert_eq!(spans("a `` b ` c `` d"), [(false, "a "), (true, " b ` c "), (false, " d")]);
        assert_eq!(spans("an open ` and ``"), [(false, "an open ` and ``")]);
        assert_eq!(spans("a ``` b `c`"), [(false, "a ``` b "), (true, "c")]);
        assert!(spans("").is_empty());
    }
}
