//! Tests of the meaning of the CLI's lines, on streams recorded from two versions and on crafted ones for cases that
//! could not be provoked. 2.1.332 sends the same lines as 2.1.329; its full recordings are in `fixtures/streams/`.
//!
//! `streams/<case>.<version>.jsonl` are recordings of the real CLIs, reduced to the relevant members, interleaved
//! with the host's actions (`{"host": …}`). The model was scripted; the lines are the CLI's.

mod asked;
mod command_line;
mod crafted;
mod own_turns;
mod recorded;
mod tools;

use std::fmt::Write as _;

use super::protocol::ClaudeProtocol;
use crate::agent::{AgentEvent, Ask, AskedKind, FailureCause, Protocol, StartedBy, TurnEnd, TurnOutcome, WaitingFor};
use crate::words::TurnId;

/// The versions of the recordings.
const RECORDED: &[&str] = &["2.1.197", "2.1.329"];

/// A protocol that replays a recording, and the events that result.
struct Replay {
    protocol: ClaudeProtocol,
    events: Vec<AgentEvent>,
}

/// The list of all recordings, embedded at compile time.
macro_rules! recordings {
    ($($case:literal)*) => {
        fn recording(case: &str, version: &str) -> &'static str {
            match (case, version) {
                $(
                    ($case, "2.1.197") => include_str!(concat!("streams/", $case, ".2.1.197.jsonl")),
                    ($case, "2.1.329") => include_str!(concat!("streams/", $case, ".2.1.329.jsonl")),
                )*
                ("fail_400", "2.1.197") => include_str!("streams/fail_400.2.1.197.jsonl"),
                _ => panic!("no recording of {case} with {version}"),
            }
        }
    };
}

recordings! {
    "agent"
    "background_agent"
    "background_command"
    "background_ends_in_turn"
    "background_stopped"
    "budget"
    "denied"
    "duplicate_after_resume"
    "empty"
    "fail_401"
    "fail_403"
    "fail_404"
    "fail_408"
    "fail_413"
    "fail_500"
    "fail_529"
    "fail_credit"
    "fail_cut"
    "fail_long"
    "fail_max_tokens"
    "fail_no_login"
    "fail_quota"
    "fail_refusal"
    "fail_refused_connection"
    "fail_throttled_key"
    "fail_throttled_oauth"
    "fail_timeout"
    "fork"
    "interrupt_tool"
    "long_command_fails"
    "max_turns"
    "moved_to_background"
    "plain"
    "resume_with_dead_background"
    "slash_commands"
    "sub_agent_background"
    "tools"
    "two_background_commands"
    "unknown_session"
}

fn replay(case: &str, version: &str) -> Replay {
    feed(recording(case, version))
}

fn feed(lines: &str) -> Replay {
    feed_to(ClaudeProtocol::default(), lines)
}

fn feed_to(protocol: ClaudeProtocol, lines: &str) -> Replay {
    let mut replay = Replay { protocol, events: Vec::new() };
    for line in lines.lines() {
        replay.step(line);
    }
    replay
}

impl Replay {
    fn step(&mut self, line: &str) {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        match value["host"].as_str() {
            Some("turn") => {
                let turn = TurnId(value["uuid"].as_str().expect("a uuid").to_owned());
                self.protocol.turn_sent(&turn);
            }
            Some("exit") => self.protocol = ClaudeProtocol::default(),
            Some(_) => {}
            None => {
                let before = self.events.len();
                self.protocol.line(line, &mut self.events);
                assert!(self.events.len() > before, "no event for {line}");
                // The answer of an unattended run.
                if let Some(AgentEvent::Question { request_id, ask: Ask::ForUser(asked), .. }) = self.events.last()
                    && asked.kind != AskedKind::Form
                {
                    let request_id = request_id.clone();
                    self.events.extend(self.protocol.tool_answered(&request_id, false).map(AgentEvent::Denied));
                }
            }
        }
    }

    /// The events without `Alive` and `Progress`.
    fn said(&self) -> Vec<AgentEvent> {
        let sign = |event: &&AgentEvent| matches!(event, AgentEvent::Alive | AgentEvent::Progress);
        self.events.iter().filter(|event| !sign(event)).cloned().collect()
    }

    /// The relevant events, one per line.
    fn story(&self) -> String {
        let mut story = String::new();
        for event in &self.events {
            match event {
                AgentEvent::Alive
                | AgentEvent::Progress
                | AgentEvent::Text { .. }
                | AgentEvent::Thinking { .. }
                | AgentEvent::Todo(_)
                | AgentEvent::Offers(_)
                | AgentEvent::Cost { .. }
                | AgentEvent::CostAnswered { .. }
                | AgentEvent::Usage(_)
                | AgentEvent::Context(_) => {}
                AgentEvent::SessionKnown { .. } => story.push_str("session\n"),
                AgentEvent::TurnAccepted { turn, duplicate } => {
                    let how = if *duplicate { "duplicate" } else { "accepted" };
                    writeln!(story, "{how} {}", short(turn)).unwrap();
                }
                AgentEvent::TurnStarted { started_by } => writeln!(story, "started by {}", who(started_by)).unwrap(),
                AgentEvent::ToolStarted { name, target, .. } => writeln!(story, "tool {name} {target}").unwrap(),
                AgentEvent::ToolEnded { failed, .. } => {
                    story.push_str(if *failed { "tool failed\n" } else { "tool done\n" });
                }
                AgentEvent::Denied(denial) => writeln!(story, "denied {} {}", denial.tool, denial.target).unwrap(),
                AgentEvent::Question { subtype, .. } => writeln!(story, "question {subtype}").unwrap(),
                AgentEvent::QuestionWithdrawn { request_id } => writeln!(story, "withdrawn {request_id}").unwrap(),
                AgentEvent::CredentialAnswered { applied } => writeln!(story, "credential {applied}").unwrap(),
                AgentEvent::Limit(limit) => {
                    writeln!(story, "limit {:?} {}", limit.status, limit.window.as_deref().unwrap_or("-")).unwrap();
                }
                AgentEvent::RetryAnnounced { attempt, max_attempts, status, .. } => {
                    writeln!(story, "retry {attempt}/{max_attempts} {status:?}").unwrap();
                }
                AgentEvent::HookStarted { name, .. } => writeln!(story, "hook {name}").unwrap(),
                AgentEvent::HookEnded { .. } => writeln!(story, "hook over").unwrap(),
                AgentEvent::SentBack { hook, said } => writeln!(story, "sent back by {hook}: {said}").unwrap(),
                AgentEvent::PermissionModeRefused { why } => writeln!(story, "permission mode refused: {why}").unwrap(),
                AgentEvent::SandboxMissing => writeln!(story, "runs without its sandbox").unwrap(),
                AgentEvent::PermissionMode(mode) => writeln!(story, "permission mode {mode}").unwrap(),
                AgentEvent::Compacting(on) => writeln!(story, "compacting {on}").unwrap(),
                AgentEvent::Waiting(WaitingFor::Background { open, .. }) => {
                    writeln!(story, "waiting for {open}").unwrap()
                }
                // It follows every result, and the turn's end implies it.
                AgentEvent::Waiting(WaitingFor::Idle { .. }) => {}
                AgentEvent::ActionRequired(on) => writeln!(story, "action required {on}").unwrap(),
                AgentEvent::Waiting(WaitingFor::Scheduled { open, first_in_ms }) => {
                    writeln!(story, "waiting for {open} scheduled, first in {first_in_ms:?}").unwrap();
                }
                AgentEvent::UserSaid { text } => writeln!(story, "the user said {text}").unwrap(),
                AgentEvent::StopAbandoned => story.push_str("stop abandoned\n"),
                AgentEvent::UserLeaves { reason } => writeln!(story, "the user leaves: {reason}").unwrap(),
                AgentEvent::TurnUnreported => story.push_str("turn unreported\n"),
                AgentEvent::CutShort => story.push_str("cut short\n"),
                AgentEvent::Waiting(WaitingFor::FollowUp) => story.push_str("waiting for the follow-up\n"),
                AgentEvent::TurnEnded(end) => writeln!(story, "{}", ended(end)).unwrap(),
            }
        }
        story
    }

    fn ends(&self) -> Vec<&TurnEnd> {
        self.events
            .iter()
            .filter_map(|event| if let AgentEvent::TurnEnded(end) = event { Some(end) } else { None })
            .collect()
    }

    fn last_cause(&self) -> Option<FailureCause> {
        match &self.ends().last()?.outcome {
            TurnOutcome::Failed { cause, .. } => Some(cause.clone()),
            TurnOutcome::Done | TurnOutcome::Interrupted => None,
        }
    }
}

fn ended(end: &TurnEnd) -> String {
    let how = match &end.outcome {
        TurnOutcome::Done => "done".to_owned(),
        TurnOutcome::Interrupted => "interrupted".to_owned(),
        TurnOutcome::Failed { cause, .. } => format!("failed {cause:?}"),
    };
    format!("ended {} {how}: {}", who(&end.started_by), end.text.lines().next().unwrap_or_default())
}

fn who(started_by: &StartedBy) -> &str {
    match started_by {
        StartedBy::Us(turn) => short(turn),
        StartedBy::Itself => "itself",
    }
}

/// The uuids of the recordings differ in their last digits.
fn short(turn: &TurnId) -> &str {
    turn.0.rsplit('-').next().unwrap_or_default().trim_start_matches('0')
}
