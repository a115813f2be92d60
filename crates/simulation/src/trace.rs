//! The trace of a night: one line for each transition, in fixed columns.

use supervision::core::{Action, Input, LineFact, Tick};

/// How much of an action is shown, in characters.
const SHOWN_CHARS: usize = 70;

/// The lines so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    lines: Vec<String>,
    /// The input that is being handled.
    pending: Option<String>,
}

/// The heads of the columns.
fn heads() -> String {
    format!("{:>6} {:>14} {:<10} {:>3}  {:<66} {}", "n", "time", "phase", "it", "input", "actions")
}

impl Trace {
    /// An input is about to be handled: should that never end, the trace shows it.
    pub(super) fn begins(&mut self, now: Tick, input: &Input) {
        self.pending = Some(format!("{:>6} {:>14} !! {}", "", clock(now), heard(input)));
    }

    /// One transition: its number, its time, the phase and iteration before it, what came in and what was asked for.
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

    /// Something that ccc does not see.
    pub(super) fn mark(&mut self, now: Tick, what: &str) {
        let time = clock(now);
        self.push(format!("{:>6} {time:>14} ~~ {what}", ""));
    }

    fn push(&mut self, line: String) {
        if self.lines.is_empty() {
            self.lines.push(heads());
        }
        self.lines.push(line.trim_end().to_owned());
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
    Some(match action {
        Action::Show(_) => return None,
        Action::Decide(decision) => format!("«{}: {}»", decision.what, cut(&decision.why, SHOWN_CHARS)),
        Action::Note(note) => format!("({})", cut(&format!("{}: {}", note.about, note.text), SHOWN_CHARS)),
        Action::Send(send) => format!("Send({} {:?} {})", send.proc, send.kind, cut(&send.turn.0, 8)),
        Action::Spawn(spawn) => {
            let token = spawn.token.as_ref().map(|token| format!(" {token}")).unwrap_or_default();
            format!("Spawn({} {:?}{token})", spawn.proc, spawn.role)
        }
        Action::Interrupt { proc } => format!("Interrupt({proc})"),
        Action::AllowTool { proc, .. } => format!("AllowTool({proc})"),
        Action::DenyTool { proc, .. } => format!("DenyTool({proc})"),
        Action::CancelForm { proc, .. } => format!("CancelForm({proc})"),
        Action::Refuse { proc, .. } => format!("Refuse({proc})"),
        Action::AskCost { proc, number } => format!("AskCost({proc} {number})"),
        Action::SetPermissionMode { proc, mode } => format!("SetPermissionMode({proc}, {mode})"),
        Action::CloseStdin { proc } => format!("CloseStdin({proc})"),
        Action::Signal { proc, signal } => format!("Signal({proc} {signal:?})"),
        Action::KillTree { proc } => format!("KillTree({proc})"),
        Action::SetCredential { proc, token } => format!("SetCredential({proc} {token})"),
        Action::ReportToken { request, token, report } => {
            format!("ReportToken({request} {token} {})", cut(&format!("{report:?}"), SHOWN_CHARS))
        }
        Action::ReadTokens { request } => format!("ReadTokens({request})"),
        Action::ProbeToken { token } => format!("ProbeToken({token})"),
        Action::Ask(question) => format!("Ask({} {:?})", question.number, question.default),
        Action::RunCheck { check, .. } => format!("RunCheck({})", check.0),
        Action::CancelCheck { check } => format!("CancelCheck({})", check.0),
        Action::MeasureTree { measure, .. } => format!("MeasureTree({})", measure.0),
        Action::Finish(finish) => format!("Finish({} {})", finish.outcome.as_str(), cut(&finish.reason, SHOWN_CHARS)),
    })
}

fn heard(input: &Input) -> String {
    match input {
        Input::Began { resumed, turn_recorded, tokens, .. } => {
            format!("Began resumed={resumed} recorded={turn_recorded:?} tokens={}", tokens.len())
        }
        Input::Tokens { request, tokens, .. } => {
            let states: Vec<String> = tokens
                .iter()
                .map(|token| match (token.refused, token.limited_until_unix_ms) {
                    (true, _) => "refused".to_owned(),
                    (false, Some(until_ms)) => format!("until {}", until_ms / 1_000),
                    (false, None) => "free".to_owned(),
                })
                .collect();
            format!("Tokens {request:?} {}", states.join(", "))
        }
        Input::Spawned { proc, .. } => format!("Spawned {proc}"),
        Input::SpawnFailed { proc, fault, .. } => format!("SpawnFailed {proc} {fault:?}"),
        Input::Line { proc, line: LineFact::Json(json) } => format!("Line {proc} {}", shape(json.get())),
        Input::Line { proc, line: LineFact::Noise(text) } => format!("Line {proc} noise {text}"),
        Input::Line { proc, line: LineFact::TooLong(bytes) } => format!("Line {proc} too long: {bytes}"),
        Input::Noise { proc, lines, .. } => format!("Noise {proc} {lines} lines"),
        Input::Progress { proc } => format!("Progress {proc}"),
        Input::WriteFailed { proc, message } => format!("WriteFailed {proc} {message}"),
        Input::Exited { proc, exit } => {
            format!("Exited {proc} code={:?} signal={:?} recorded={:?}", exit.code, exit.signal, exit.turn_recorded)
        }
        Input::CheckFinished { check, result } => format!("CheckFinished {} {:?}", check.0, result.end),
        Input::TreeMeasured { measure, tree } => {
            format!("TreeMeasured {} {:?} changed={}", measure.0, tree.fingerprint, tree.changed.len())
        }
        Input::Operator(operator) => format!("{operator:?}"),
        Input::Elapsed { unix_ms } => format!("Elapsed {}", unix_ms / 1_000),
    }
}

/// What kind of line it is, in a few words.
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
        assert_eq!(lines[1].find("Spawned 7"), Some(column("input")));
        assert_eq!(lines[1].find("KillTree(7)"), Some(column("actions")));
        assert_eq!(lines[1].find("working"), Some(column("phase")));
        assert!(lines[1].contains(" 1:02:03.004 ") && lines[2].contains("0:00:00.000 ~~ ccc dies"), "{lines:#?}");
    }
}
