use super::banner::row;
use super::clean;
use super::format::{money, seconds};
use super::object::Object;
use super::style::{Ink, Style};
use crate::core::{Finish, Outcome, Tick};

/// What is said at the end.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// What the core said.
    pub finish: &'a Finish,
    /// The run's name.
    pub run_id: &'a str,
    /// The run's directory.
    pub run_dir: &'a str,
    /// The directory the agent worked in: its session can be taken up from there only.
    pub cwd: &'a str,
    /// The agent's program as a person would type it, for example `claude`; empty when no program can take the session up.
    pub agent: &'a str,
    /// The report's path, when there is one.
    pub report: Option<&'a str>,
}

impl Ending<'_> {
    /// The shell command that goes on with the work: the run itself when it was interrupted, else its session.
    fn resume(&self) -> Option<String> {
        if self.finish.session_rejected {
            return None;
        }
        if self.finish.outcome == Outcome::Interrupted {
            return Some(format!("ccc resume {}", quoted(self.run_id)));
        }
        let session = self.finish.session_id.as_deref().filter(|_| !self.agent.is_empty())?;
        Some(format!("cd {} && {} --resume {}", quoted(self.cwd), quoted(self.agent), quoted(session)))
    }

    /// Adds the fields of the final object.
    pub(super) fn fields(&self, tick: Tick, object: Object) -> Object {
        let finish = self.finish;
        object
            .field("outcome", &finish.outcome.as_str())
            .field("reason", &finish.reason)
            .field("run_id", &self.run_id)
            .field("session_id", &finish.session_id)
            .field("iterations", &finish.iterations)
            .field("restarts", &finish.restarts)
            .field("rotations", &finish.rotations)
            .field("waited_ms", &finish.waited_ms)
            .field("duration_ms", &tick.as_ms())
            .field("cost_usd", &finish.cost_usd)
            .field("result", &finish.result)
            .field("report", &self.report)
            .field("resume", &self.resume())
    }

    /// The final block for people.
    pub(super) fn text(&self, tick: Tick, style: Style) -> String {
        let finish = self.finish;
        let (ink, words) = in_words(finish.outcome);
        let mut out = format!("{}: {}\n", style.paint(ink, words), clean::one_line(&finish.reason, REASON_CHARS));
        let mut line = |label: &str, value: &str| out.push_str(&row(style, label, value));
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
        line("journal", self.run_dir);
        if let Some(report) = self.report {
            line("report", report);
        }
        let more = match finish.outcome {
            Outcome::Completed => None,
            Outcome::NeedsUser => Some(" -p \"your answer\""),
            Outcome::Budget => Some(" with a higher bound, for example --max-iterations"),
            Outcome::Stuck | Outcome::Limits | Outcome::Failed | Outcome::Interrupted => Some(""),
        };
        if let Some(more) = more.filter(|_| !finish.session_rejected) {
            line("go on", &format!("ccc resume {}{more}", quoted(self.run_id)));
        }
        if let Some(session) = finish.session_id.as_ref().filter(|_| !self.agent.is_empty() && !finish.session_rejected)
        {
            let command = format!("{} --resume {}", quoted(self.agent), quoted(session));
            line("talk to it", &format!("{command}   in {}", self.cwd));
        }
        line("why", &format!("ccc explain {}", quoted(self.run_id)));
        out
    }
}

/// Characters of the reason.
const REASON_CHARS: usize = 1_000;

fn in_words(outcome: Outcome) -> (Ink, &'static str) {
    match outcome {
        Outcome::Completed => (Ink::Good, "Completed"),
        Outcome::NeedsUser => (Ink::Warn, "Needs you"),
        Outcome::Budget => (Ink::Warn, "Budget spent"),
        Outcome::Stuck => (Ink::Bad, "Stuck"),
        Outcome::Limits => (Ink::Warn, "Out of usage"),
        Outcome::Failed => (Ink::Bad, "Failed"),
        Outcome::Interrupted => (Ink::Warn, "Interrupted"),
    }
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=~".contains(c);
    if !word.is_empty() && !word.starts_with('~') && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_command_can_be_pasted_whatever_the_directory_is_called() {
        assert_eq!(quoted("/home/me/a-b_c.d"), "/home/me/a-b_c.d");
        assert_eq!(quoted("/home/me/my work"), "'/home/me/my work'");
        assert_eq!(quoted("it's; rm"), r"'it'\''s; rm'");
        assert_eq!(quoted("~x"), "'~x'");
        assert_eq!(quoted(""), "''");
    }
}
