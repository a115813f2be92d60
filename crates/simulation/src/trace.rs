//! The trace of a night: one line for each transition, in fixed columns.

use std::fmt;

use supervision::core::{Action, Input, LineFact, Tick, TokenFact};

/// How much of an action is shown, in characters.
const SHOWN_CHARS: usize = 70;

/// The trace so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    lines: Vec<String>,
    /// The input that is being handled.
    pending: Option<String>,
    /// What stands before each line: in a fleet, the time and the agent.
    whose: String,
}

/// The headings of the columns.
fn heads() -> String {
    format!("{:>6} {:>14} {:<10} {:>3}  {:<66} {}", "n", "time", "phase", "it", "input", "actions")
}

impl Trace {
    /// Remembers the input before it is handled, so that the trace shows it even if the handling never ends.
    pub(super) fn begins(&mut self, now: Tick, input: &Input) {
        self.pending = Some(format!("{:>6} {:>14} !! {}", "", clock(now), heard(input)));
    }

    /// Adds one transition: its number, its time, the phase before it, the iteration after it, the input and the
    /// actions.
    pub(super) fn transition(
        &mut self,
        n: u64,
        now: Tick,
        phase: &str,
        iteration: u32,
        input: &Input,
        actions: &[Action],
    ) {
        self.pending = None;
        let asked: Vec<String> = actions.iter().filter_map(shown).collect();
        let (time, input) = (clock(now), cut(&heard(input), 66));
        self.push(format!("{n:>6} {time:>14} {phase:<10} {iteration:>3}  {input:<66} {}", asked.join(" ")));
    }

    /// Adds an event of the world that ccc does not see.
    pub(super) fn mark(&mut self, now: Tick, what: &str) {
        let time = clock(now);
        self.push(format!("{:>6} {time:>14} ~~ {what}", ""));
    }

    /// Whose the next lines are.
    pub(super) fn is_of(&mut self, whose: String) {
        self.whose = whose;
    }

    /// Adds a line that is not a run's.
    pub(super) fn line(&mut self, line: &str) {
        self.lines.push(format!("{}{line}", self.whose));
    }

    fn push(&mut self, line: String) {
        if self.lines.is_empty() && self.whose.is_empty() {
            self.lines.push(heads());
        }
        self.lines.push(format!("{}{}", self.whose, line.trim_end()));
    }

    pub(super) fn take_lines(&mut self) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.extend(self.pending.take());
        lines
    }
}

/// `h:mm:ss.mmm` of the run.
fn clock(now: Tick) -> String {
    let ms = now.as_ms();
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{hours}:{minutes:02}:{seconds:02}.{:03}", ms % 1_000)
}

fn cut(text: &str, most: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
}

fn shown(action: &Action) -> Option<String> {
    if let Action::Show(_) = action {
        None
    } else if let Action::Decide(decision) = action {
        Some(format!("«{}: {}»", decision.what, cut(&decision.why, SHOWN_CHARS)))
    } else if let Action::Note(note) = action {
        Some(format!("({})", cut(&format!("{}: {}", note.about, note.text), SHOWN_CHARS)))
    } else if let Action::Send(send) = action {
        Some(format!("Send({} {:?} {})", send.proc, send.kind, cut(&send.turn.0, 8)))
    } else if let Action::Spawn(spawn) = action {
        let token = spawn.token.as_ref().map(|token| format!(" {token}")).unwrap_or_default();
        Some(format!("Spawn({} {:?}{token})", spawn.proc, spawn.role))
    } else if let Action::Finish(finish) = action {
        Some(format!("Finish({} {})", finish.outcome.as_str(), cut(&finish.reason, SHOWN_CHARS)))
    } else {
        Some(cut(&plain(action), SHOWN_CHARS))
    }
}

fn heard(input: &Input) -> String {
    if let Input::Line { proc, line: LineFact::Json(json) } = input {
        format!("Line {proc} {}", shape(json.get()))
    } else if let Input::Tokens { request, tokens, .. } = input {
        let state = |token: &TokenFact| match (token.refused, token.limited_until_unix_ms) {
            (true, _) => "refused".to_owned(),
            (false, Some(until_ms)) => format!("until {}", until_ms / 1_000),
            (false, None) => "free".to_owned(),
        };
        let states: Vec<String> = tokens.iter().map(state).collect();
        format!("Tokens {request:?} {}", states.join(", "))
    } else {
        plain(input)
    }
}

/// The complete value, with less punctuation.
fn plain(it: &impl fmt::Debug) -> String {
    format!("{it:?}")
        .replace("ProcId(", "(")
        .replace(['{', '}', '"'], "")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The kind of a protocol line, in a few words.
fn shape(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let words = ["type", "subtype", "state", "status", "isReplay", "is_error", "api_error_status", "origin"];
    let parts: Vec<String> =
        words.iter().filter_map(|word| value.get(*word).map(|it| it.to_string().replace('"', ""))).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::Trace;
    use supervision::core::{Action, Input, ProcId, Tick};

    #[test]
    fn columns_stand_in_their_places() {
        let mut trace = Trace::default();
        let input = Input::Spawned { proc: ProcId(7), pid: 1, transport: "pty".to_owned() };
        trace.transition(12, Tick(3_723_004_000), "working", 2, &input, &[Action::KillTree { proc: ProcId(7) }]);
        trace.mark(Tick(0), "ccc dies");
        let lines = trace.take_lines();
        let column = |head: &str| lines[0].find(head).expect("a head");
        assert_eq!(lines[1].find("Spawned proc: (7)"), Some(column("input")));
        assert_eq!(lines[1].find("KillTree proc: (7)"), Some(column("actions")));
        assert_eq!(lines[1].find("working"), Some(column("phase")));
        assert!(lines[1].contains(" 1:02:03.004 ") && lines[2].contains("0:00:00.000 ~~ ccc dies"), "{lines:#?}");
    }
}
