//! What is printed at a run's end: the outcome, the reason, and what to do next.

use jiff::tz::TimeZone;

use super::advice;
use super::format::{denied as denied_calls, due, money, seconds};
use super::object::Object;
use super::rows::{command, labelled, rows};
use super::style::{Ink, Style};
use crate::core::shell::{quoted, words};
use crate::core::{Finish, Needs, Outcome, Plan, Tick, Tone, TouchedTests};

/// What is printed at the end.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// The core's account of the end.
    pub finish: &'a Finish,
    /// The run's last plan, with its id, directory and bounds, and the user's arguments for the agent.
    pub plan: &'a Plan,
    /// The run's directory.
    pub run_dir: &'a str,
    /// The agent's program as a person types it, for example `claude`; empty when no program can continue the session.
    pub agent: &'a str,
    /// Options for the agent that are missing in the plan given here, because they hold a secret.
    pub left_out: &'a [String],
    /// The report's path, if there is one.
    pub report: Option<&'a str>,
    /// The command that shows what has changed, if there is one.
    pub diff: Option<&'a str>,
    /// The command that makes the files what they were before the run, if there is one.
    pub restore: Option<&'a str>,
    /// What the journal lacks and why, if it is not complete.
    pub journal_missing: Option<&'a str>,
    /// Whether the result and the rest are shown at one place, so that the result needs a label.
    pub labels_result: bool,
}

impl<'a> Ending<'a> {
    /// An end without what only its printing needs.
    #[must_use]
    pub fn of(finish: &'a Finish, plan: &'a Plan, left_out: &'a [String], agent: &'a str) -> Self {
        Self {
            finish,
            plan,
            run_dir: "",
            agent,
            left_out,
            report: None,
            diff: None,
            restore: None,
            journal_missing: None,
            labels_result: false,
        }
    }

    /// The shell command that continues the work: a completed run's session, else the run itself. `None` when the run
    /// failed before a session began and other arguments would not help.
    pub(crate) fn resume(&self, tick: Tick) -> Option<String> {
        let refused = matches!(self.finish.needs, Some(Needs::Arguments { .. }));
        let sets_up = self.finish.needs == Some(Needs::Setup);
        if self.finish.session_id.is_none() && self.finish.outcome != Outcome::Interrupted && !refused && !sets_up {
            return None;
        }
        self.go_on(tick).or_else(|| self.session())
    }

    /// The command that continues the run; `None` when it is completed or the provider rejects its session.
    pub(crate) fn go_on(&self, tick: Tick) -> Option<String> {
        let finish = self.finish;
        if finish.needs == Some(Needs::Setup) {
            return Some(format!("ccc setup {}", quoted(&self.plan.run_id)));
        }
        let more = advice::more(finish, self.plan, tick.as_ms());
        (finish.outcome != Outcome::Completed && !finish.session_rejected)
            .then(|| format!("ccc resume {}{more}", quoted(&self.plan.run_id)))
    }

    /// The command that continues the agent's session without ccc, in the session's directory.
    pub(crate) fn session(&self) -> Option<String> {
        let session =
            self.finish.session_id.as_deref().filter(|_| !self.agent.is_empty() && !self.finish.session_rejected)?;
        // The CLI's interface would refuse these arguments too.
        let (agent, given) = (self.plan.agent, &self.plan.agent_args);
        let given = match &self.finish.needs {
            Some(Needs::Arguments { proven, .. }) => agent.amended_args(given, proven, &self.finish.reason).kept,
            Some(
                Needs::Permission { .. } | Needs::Reset { .. } | Needs::Checks { .. } | Needs::Agreement | Needs::Setup,
            )
            | None => given.clone(),
        };
        let args = agent.interface_args(session, &given)?;
        Some(format!("cd {} && {}{}", quoted(&self.plan.cwd), quoted(self.agent), words(&args)))
    }

    /// Why the run ended; after a limit, also when the reset is.
    fn reason(&self, zone: &TimeZone) -> String {
        let reason = &self.finish.reason;
        match self.finish.needs {
            Some(Needs::Reset { at_unix_ms, announced: true, now_unix_ms }) => {
                format!("{reason}; the reset is at {}", due(at_unix_ms, now_unix_ms, zone))
            }
            Some(Needs::Arguments { .. }) if advice::refused_in_configuration(self.plan, reason) => {
                format!("{reason}; to fix it, correct `agent.args` in the configuration")
            }
            Some(
                Needs::Reset { announced: false, .. }
                | Needs::Permission { .. }
                | Needs::Arguments { .. }
                | Needs::Checks { .. }
                | Needs::Agreement
                | Needs::Setup,
            )
            | None => reason.clone(),
        }
    }

    /// Adds the fields of the final object.
    pub(super) fn fields(&self, tick: Tick, object: Object) -> Object {
        let finish = self.finish;
        let object = object
            .field("outcome", &finish.outcome.as_str())
            .field("reason", &finish.reason)
            .field("run_id", &self.plan.run_id)
            .field("session_id", &finish.session_id)
            .field("iterations", &finish.iterations)
            .field("restarts", &finish.restarts)
            .field("rotations", &finish.rotations)
            .field("waited_ms", &finish.waited_ms)
            .field("duration_ms", &tick.as_ms())
            .field("cost_usd", &finish.cost_usd)
            .field("result", &finish.result)
            .field("tests_touched", &finish.tests.files)
            .field("protected", &finish.protected)
            .field("report", &self.report)
            .field("resume", &self.resume(tick));
        match self.journal_missing {
            Some(missing) => object.field("journal_missing", &missing),
            None => object,
        }
    }

    /// The reason, and how many of the agent's calls were denied, unless the reason is about that.
    fn reason_and_denials(&self, denied: u32, zone: &TimeZone) -> String {
        let reason = self.reason(zone);
        let is_about_it = matches!(self.finish.needs, Some(Needs::Permission { .. })) || reason.contains("denied");
        match denied_calls(denied).filter(|_| !is_about_it) {
            Some(denied) => format!("{reason}; {denied}"),
            None => reason,
        }
    }

    /// The tests that were changed, in one line; `None` if none were.
    fn touched_tests(&self) -> Option<String> {
        let TouchedTests { files, more } = &*self.finish.tests;
        let named: Vec<String> =
            files.iter().take(NAMED_TESTS).map(|file| format!("{} ({})", file.path, file.in_words())).collect();
        let unnamed = files.len().saturating_sub(NAMED_TESTS) as u64 + more;
        let more = if unnamed > 0 { format!(" and {unnamed} more") } else { String::new() };
        (!named.is_empty()).then(|| format!("changed: {}{more}", named.join(", ")))
    }

    /// The final block for people. `denied`: how many of the agent's calls were denied; `not_run`: the checks of which the shell did
    /// not run something, each with the reason.
    pub(super) fn text(
        &self,
        tick: Tick,
        denied: u32,
        not_run: &[(String, String)],
        style: Style,
        zone: &TimeZone,
    ) -> String {
        let finish = self.finish;
        let words = finish.outcome.in_words();
        let (first, rest) = words.split_at(1);
        let words = format!("{}{rest}", first.to_ascii_uppercase());
        let mut out = sentence(style, &words, ink_of(finish.outcome), &self.reason_and_denials(denied, zone));
        let mut line = |label: &str, value: &str| out.push_str(&labelled(style, label, value, VALUE_CHARS));
        line("iterations", &finish.iterations.to_string());
        line("restarts", &finish.restarts.to_string());
        if finish.rotations > 0 {
            line("rotations", &finish.rotations.to_string());
        }
        line("elapsed", &seconds(tick.as_ms()));
        if finish.waited_ms > 0 {
            line("waited", &seconds(finish.waited_ms));
        }
        line("cost", &money(finish.cost_usd));
        // The reason names those for which the run has ended.
        for (check, why) in
            not_run.iter().filter(|(check, _)| !finish.reason.contains(check.as_str())).take(NAMED_CHECKS)
        {
            line("not run", &format!("a command of the check `{check}` {why}"));
        }
        if let Some(tests) = self.touched_tests() {
            line("tests", &tests);
        }
        if let Some(protected) = finish.protected.as_deref() {
            line("protected", &protected.at_end(NAMED_TESTS));
        }
        // Paths are copied, as commands are.
        out.push_str(&command(style, "journal", self.run_dir));
        let mut line = |label: &str, value: &str| out.push_str(&labelled(style, label, value, VALUE_CHARS));
        if let Some(missing) = self.journal_missing {
            line("incomplete", &format!("{missing}; `ccc resume`, `report` and `explain` know only what it has"));
        }
        if let Some(report) = self.report {
            out.push_str(&command(style, "report", report));
        }
        if finish.needs == Some(Needs::Agreement) {
            out.push_str(&command(style, "review it", &format!("cd {} && ccc trust", quoted(&self.plan.cwd))));
        }
        // The reason may say it already.
        if let Some(go_on) = self.go_on(tick).filter(|go_on| !finish.reason.ends_with(go_on.as_str())) {
            out.push_str(&command(style, "continue", &go_on));
        }
        if let Some(session) = self.session() {
            out.push_str(&command(style, "talk to it", &session));
            if !self.left_out.is_empty() {
                let options = format!("with your original {}, which contains a secret", self.left_out.join(", "));
                out.push_str(&labelled(style, "", &options, VALUE_CHARS));
            }
        }
        for (label, it) in [("changes", self.diff), ("undo", self.restore)] {
            if let Some(it) = it {
                out.push_str(&command(style, label, it));
            }
        }
        out.push_str(&command(style, "why", &format!("ccc explain {}", quoted(&self.plan.run_id))));
        out
    }
}

/// A sentence such as `Failed: why`, in rows; later rows are indented.
fn sentence(style: Style, words: &str, ink: Ink, text: &str) -> String {
    let (lead, rest) = (format!("{words}: "), "  ");
    // The lead takes part in the wrapping of the first row, but only its words are coloured.
    let whole = rows(style, rest.len(), &format!("{lead}{text}"), REASON_CHARS).join(&format!("\n{rest}"));
    match whole.strip_prefix(words) {
        Some(after) => format!("{}{after}\n", style.paint(ink, words)),
        None => format!("{whole}\n"),
    }
}

/// How many characters of the reason are shown.
const REASON_CHARS: usize = 4_000;

/// How many checks that were not run are named.
const NAMED_CHECKS: usize = 3;

/// How many changed tests are named.
const NAMED_TESTS: usize = 3;

/// How many characters of a labelled value are shown.
const VALUE_CHARS: usize = 500;

fn ink_of(outcome: Outcome) -> Ink {
    match outcome.row().tone {
        Tone::Good => Ink::Good,
        Tone::Warn => Ink::Warn,
        Tone::Bad => Ink::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let journal = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/runs/demo/journal.jsonl");
        let reader = crate::journal::JournalReader::open(std::path::Path::new(journal)).expect("a journal");
        reader.plan().expect("a plan")
    }

    #[test]
    fn a_path_at_the_end_stands_whole_on_one_line_with_as_much_room_as_there_is() {
        let (plan, finish) = (plan(), Finish::new(Outcome::Completed, ""));
        let beside = "/state/runs/20261129-134655-q3px/report.html";
        let below = "/home/me/.local/state/ccc/runs/20261129-134655-q3px/report-of-it.html";
        let whole = "/home/me/projects/of the user/.local/state/ccc/runs/20261129-134655-q3px/report.html";
        for (path, row) in [(beside, ""), (below, "\n    "), (whole, "\n")] {
            let ending = Ending {
                finish: &finish,
                plan: &plan,
                run_dir: path,
                agent: "",
                left_out: &[],
                report: Some(path),
                diff: None,
                restore: None,
                journal_missing: None,
                labels_result: false,
            };
            let text = ending.text(Tick::ZERO, 0, &[], Style::in_rows(false, Some(80)), &TimeZone::UTC);
            for label in ["journal", "report"] {
                let gap = if row.is_empty() { " ".repeat(11 - label.len()) } else { row.to_owned() };
                assert!(text.contains(&format!("  {label}{gap}{path}\n")), "{text}");
            }
        }
    }

    #[test]
    fn an_end_says_how_many_calls_were_denied_and_names_the_commands_that_show_and_undo() {
        let plan = plan();
        let told = |reason: &str, needs, denied| {
            let finish = Finish { needs, ..Finish::new(Outcome::Completed, reason) };
            let ending = Ending {
                finish: &finish,
                plan: &plan,
                run_dir: "/state/r1",
                agent: "claude",
                left_out: &[],
                report: Some("/state/r1/report.html"),
                diff: Some("ccc diff r1"),
                restore: Some("ccc restore r1 1"),
                journal_missing: Some("the journal lacks its last entries, because they could not be written (full)"),
                labels_result: false,
            };
            let not_run = [("./chekc.sh".to_owned(), "was not found".to_owned())];
            ending.text(Tick::ZERO, denied, &not_run, Style::in_rows(false, Some(80)), &TimeZone::UTC)
        };
        let text = told("the critic agrees", None, 2);
        assert!(text.starts_with("Completed: the critic agrees; 2 tool calls were denied\n"), "{text}");
        for row in
            ["  report     /state/r1/report.html\n", "  changes    ccc diff r1\n", "  undo       ccc restore r1 1\n"]
        {
            assert!(text.contains(row), "{text}");
        }
        let lacks =
            text.split_once("  incomplete the journal lacks its last entries, because").expect("a row of its own");
        assert!(lacks.0.contains("  journal    /state/r1\n") && lacks.1.contains("(full)"), "{text}");
        assert!(text.contains("  not run    a command of the check `./chekc.sh` was not found\n"), "{text}");
        assert!(!told("`./chekc.sh` failed with exit code 127", None, 0).contains("not run"), "it is said");
        assert!(told("the critic agrees", None, 0).starts_with("Completed: the critic agrees\n"));
        assert!(told("Write was denied 2 times", None, 2).starts_with("Completed: Write was denied 2 times\n"));
    }
}
