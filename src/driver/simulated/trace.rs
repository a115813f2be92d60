//! One line for each transition.

use super::world::World;
use crate::core::{Action, Input, LineFact};

impl World {
    pub(super) fn tell(&mut self, phase: &str, input: &Input, actions: &[Action]) {
        let Some(trace) = &mut self.trace else { return };
        let short = |text: String, most: usize| text.chars().take(most).collect::<String>();
        let asked: Vec<String> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Show(_) => None,
                Action::Decide(decision) => Some(format!("«{}: {}»", decision.what, short(decision.why.clone(), 60))),
                Action::Note(note) => Some(format!("({})", short(format!("{}: {}", note.about, note.text), 50))),
                Action::Send(send) => {
                    Some(format!("Send {} {:?} {}", send.proc, send.kind, short(send.turn.0.clone(), 8)))
                }
                Action::Spawn(spawn) => Some(format!("Spawn {} {:?}", spawn.proc, spawn.role)),
                Action::Interrupt { .. }
                | Action::Answer { .. }
                | Action::CloseStdin { .. }
                | Action::Signal { .. }
                | Action::KillTree { .. }
                | Action::SetCredential { .. }
                | Action::ReportToken { .. }
                | Action::ReadTokens { .. }
                | Action::ProbeToken { .. }
                | Action::Ask(_)
                | Action::RunCheck { .. }
                | Action::CancelCheck { .. }
                | Action::MeasureTree { .. }
                | Action::Finish(_) => Some(short(format!("{action:?}"), 70)),
            })
            .collect();
        let input = match input {
            Input::Line { proc, line: LineFact::Json(json) } => format!("Line {proc} {}", shape(json.get())),
            Input::Began { .. }
            | Input::Tokens { .. }
            | Input::Spawned { .. }
            | Input::SpawnFailed { .. }
            | Input::Line { .. }
            | Input::Progress { .. }
            | Input::WriteFailed { .. }
            | Input::Exited { .. }
            | Input::CheckFinished { .. }
            | Input::TreeMeasured { .. }
            | Input::Operator(_)
            | Input::Elapsed { .. } => short(format!("{input:?}"), 90),
        };
        let ms = self.now_us as f64 / 1_000.0;
        trace.push(format!("{ms:>14.3} {phase:<10} {input:<60} {}", asked.join(" ")));
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
