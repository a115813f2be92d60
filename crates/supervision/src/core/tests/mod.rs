//! Table tests of the machine: inputs bring a run to a state, and its actions are compared. The lines are those of Claude Code
//! 2.1.329, cut down to the relevant fields.

mod arguments;
mod asking;
mod both;
mod capabilities;
mod checkpoints;
mod clocks;
mod corpus;
mod doubts;
mod ends;
mod held;
mod interface;
mod interleaved;
mod needs;
mod own_turns;
mod protection;
mod resumes;
mod reviews;
mod rotations;
mod setup;
mod spending;
mod steered;
mod tests_compared;
mod turns;
mod usage;
mod watched;
mod without_critic;
mod workers;

use super::*;
use crate::agent::{AgentKind, TurnKind};
use serde_json::value::RawValue;

pub(super) const SESSION: &str = "00000000-0000-4000-8000-000000000001";

pub(crate) fn plan() -> Plan {
    Plan {
        seed: "seed".to_owned(),
        run_id: "run".to_owned(),
        agent_program: "/bin/claude".to_owned(),
        agent_version: "2.1.329".to_owned(),
        critic: CriticPlan::new("JUDGE"),
        allow_checks: true,
        share_prompt_prefix: true,
        ..Plan::new("write a parser", "/project", SessionStart::New(SESSION.to_owned()))
    }
}

/// A run and its clock.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) core: Core,
    pub(super) now: Tick,
    /// What was shown since the last call.
    pub(super) shown: Vec<Show>,
}

impl Run {
    pub(super) fn begin(plan: Plan) -> (Run, Vec<Action>) {
        let mut run = Run { core: Core::new(plan), now: Tick::ZERO, shown: Vec::new() };
        let actions =
            run.feed(Input::Began { unix_ms: 1_000_000, resumed: false, turn_recorded: None, tokens: Vec::new() });
        (run, actions)
    }

    /// Feeds an input; gives its decisions and the actions with an effect. Asserts that a question is shown after the terminal
    /// is read, because that discards earlier input.
    pub(super) fn feed(&mut self, input: Input) -> Vec<Action> {
        self.now = self.now.plus_ms(1);
        self.core.handle(self.now, input);
        let mut actions = Vec::new();
        while let Some(action) = self.core.poll_action() {
            if let Action::Show(show) = action {
                let listens = actions.iter().any(|action| matches!(action, Action::Ask(_)));
                assert!(listens || !matches!(show, Show::Question { .. }), "an answer typed at once is lost");
                self.shown.push(show);
            } else {
                actions.push(action);
            }
        }
        actions
    }

    /// The notices shown since the last call.
    pub(super) fn notices(&self) -> Vec<&str> {
        let mut notices = Vec::new();
        for show in &self.shown {
            if let Show::Notice { text } = show {
                notices.push(text.as_str());
            }
        }
        notices
    }

    pub(super) fn line(&mut self, proc: u32, json: &str) -> Vec<Action> {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        self.feed(Input::Line { proc: ProcId(proc), line: LineFact::Json(raw) })
    }

    pub(super) fn lines(&mut self, proc: u32, lines: &[String]) -> Vec<Action> {
        lines.iter().flat_map(|line| self.line(proc, line)).collect()
    }

    pub(super) fn spawned(&mut self, proc: u32) -> Vec<Action> {
        self.feed(Input::Spawned { proc: ProcId(proc), pid: 4_000 + proc, transport: "pty".to_owned() })
    }

    pub(super) fn crashed(&mut self, proc: u32) -> Vec<Action> {
        let exit = ExitFact { code: None, signal: Some(9), ..ExitFact::default() };
        self.feed(Input::Exited { proc: ProcId(proc), exit })
    }

    pub(super) fn exited(&mut self, proc: u32, code: i32, stderr: &str) -> Vec<Action> {
        let exit = ExitFact { code: Some(code), signal: None, stderr_tail: stderr.to_owned(), ..ExitFact::default() };
        self.feed(Input::Exited { proc: ProcId(proc), exit })
    }

    pub(super) fn measured(&mut self, measure: u32, tree: &str, changed: &[&str]) -> Vec<Action> {
        let tree = TreeFact {
            fingerprint: Some(tree.to_owned()),
            changed: changed.iter().map(|path| (*path).to_owned()).collect(),
            ..TreeFact::default()
        };
        self.feed(Input::TreeMeasured { measure: MeasureId(measure), tree })
    }

    /// Lets time pass up to the next deadline of the core, skipping those that only show a wait.
    pub(super) fn wait(&mut self) -> Vec<Action> {
        loop {
            let shown = self.shown.len();
            let actions = self.wait_once();
            let told = self.shown.len() > shown;
            let only_told = told && self.shown.iter().skip(shown).all(|show| matches!(show, Show::Awaited { .. }));
            if !(actions.is_empty() && only_told) {
                return actions;
            }
        }
    }

    /// The same, without skipping.
    pub(super) fn wait_once(&mut self) -> Vec<Action> {
        let deadline = self.core.poll_timeout().expect("a deadline");
        self.now = self.now.max(deadline);
        let unix_ms = 1_000_000 + i64::try_from(self.now.as_ms()).expect("a time");
        self.feed(Input::Elapsed { unix_ms })
    }

    /// The waits shown since the last call.
    pub(super) fn awaited(&mut self) -> Vec<Show> {
        std::mem::take(&mut self.shown).into_iter().filter(|show| matches!(show, Show::Awaited { .. })).collect()
    }

    /// The agent accepts a turn and answers it.
    pub(super) fn work(&mut self, proc: u32, turn: &TurnId, answer: &str) -> Vec<Action> {
        let mut lines = accepted(turn);
        lines.extend(answered(turn, answer));
        self.lines(proc, &lines)
    }

    /// A critic gets its brief and answers; the tree stays at `tree`.
    pub(super) fn judge(&mut self, proc: u32, before: u32, tree: &str, answer: &str) -> Vec<Action> {
        let mut actions = self.spawned(proc);
        actions.extend(self.measured(before, tree, &[]));
        let brief = sent(&actions).expect("a brief").turn.clone();
        let mut lines = accepted(&brief);
        lines.extend(answered(&brief, answer));
        actions.extend(self.lines(proc, &lines));
        actions.extend(self.measured(before + 1, tree, &[]));
        actions
    }
}

/// A run whose agent has been given the task.
pub(super) fn working(plan: Plan) -> (Run, TurnId) {
    let (mut run, _) = Run::begin(plan);
    let actions = run.spawned(1);
    let turn = sent(&actions).expect("the task is sent").turn.clone();
    (run, turn)
}

/// A run whose agent has stopped; its critic is process 2, the tree's measurement number 1.
pub(super) fn reviewing(plan: Plan) -> Run {
    let (mut run, turn) = working(plan);
    run.work(1, &turn, "Done.");
    run
}

pub(super) fn accepted(turn: &TurnId) -> Vec<String> {
    vec![
        format!(r#"{{"type":"command_lifecycle","command_uuid":"{turn}","state":"started","session_id":"{SESSION}"}}"#),
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"running","session_id":"{SESSION}"}}"#),
        format!(
            r#"{{"type":"system","subtype":"init","cwd":"/project","session_id":"{SESSION}","model":"m-1","permissionMode":"default","claude_code_version":"2.1.329","user_message_uuids":["{turn}"]}}"#
        ),
        format!(
            r#"{{"type":"user","message":{{"role":"user","content":"x"}},"uuid":"{turn}","isReplay":true,"timestamp":"2026-11-20T00:00:00Z","session_id":"{SESSION}"}}"#
        ),
    ]
}

pub(super) fn answered(turn: &TurnId, answer: &str) -> Vec<String> {
    let answer = serde_json::to_string(answer).expect("JSON");
    vec![
        format!(
            r#"{{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":{answer},"stop_reason":"end_turn","session_id":"{SESSION}","terminal_reason":"completed","permission_denials":[],"user_message_uuids":["{turn}"]}}"#
        ),
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"{SESSION}"}}"#),
    ]
}

pub(super) fn failed(turn: &TurnId, status: u16, error: &str) -> Vec<String> {
    vec![
        format!(
            r#"{{"type":"assistant","message":{{"model":"<synthetic>","content":[{{"type":"text","text":"API Error"}}]}},"error":"{error}","session_id":"{SESSION}"}}"#
        ),
        format!(
            r#"{{"type":"result","subtype":"success","is_error":true,"api_error_status":{status},"num_turns":1,"result":"API Error","stop_reason":"stop_sequence","session_id":"{SESSION}","terminal_reason":"api_error","user_message_uuids":["{turn}"]}}"#
        ),
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"{SESSION}"}}"#),
    ]
}

pub(super) fn sent(actions: &[Action]) -> Option<&Send> {
    actions.iter().find_map(|action| if let Action::Send(send) = action { Some(send) } else { None })
}

pub(super) fn spawn(actions: &[Action]) -> Option<&Spawn> {
    actions.iter().find_map(|action| if let Action::Spawn(spawn) = action { Some(spawn) } else { None })
}

pub(super) fn finish(actions: &[Action]) -> Option<&Finish> {
    actions.iter().find_map(|action| if let Action::Finish(finish) = action { Some(finish) } else { None })
}

pub(super) fn decisions(actions: &[Action]) -> Vec<&str> {
    let mut what = Vec::new();
    for action in actions {
        if let Action::Decide(decision) = action {
            what.push(decision.what.as_str());
        }
    }
    what
}

pub(super) fn kinds(actions: &[Action]) -> Vec<TurnKind> {
    actions.iter().filter_map(|action| if let Action::Send(send) = action { Some(send.kind) } else { None }).collect()
}
