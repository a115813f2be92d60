use serde_json::value::RawValue;

use ccc::demo::scripted::ScriptedAgent;
use supervision::agent::{AgentKind, Role};
use supervision::core::{ExitFact, LineFact, TokenId};
use supervision::stream::{Frame, FrameDecoder, LineLimit, parse_envelope};

/// The line limit of a simulated night: small, so that long lines are cheap.
const LINE_LIMIT: LineLimit = LineLimit::bytes(32 * 1024);
/// Partial output is told once in this time.
const PROGRESS_INTERVAL_US: u64 = 1_000_000;

/// A simulated process and its pipes.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) role: Role,
    pub(super) agent: ScriptedAgent,
    /// The session that it is in; of a fork, the one that it was forked from.
    pub(super) session: String,
    /// It was asked to make the history shorter.
    pub(super) compacts: bool,
    /// It has not exited, died or been killed.
    pub(super) alive: bool,
    /// It was killed and is not gone: it does nothing any more.
    pub(super) frozen: bool,
    pub(super) reading: bool,
    /// How it ended, once it is no longer alive; its stderr so far.
    pub(super) exit: ExitFact,
    pub(super) frames: FrameDecoder,
    /// Everything it wrote arrives in order: nothing arrives before this time, in microseconds.
    pub(super) out_us: u64,
    /// The same for what is written to it.
    pub(super) in_us: u64,
    /// Chunks and lines that are on their way to the core.
    pub(super) in_transit: usize,
    /// Turns that are on their way to it.
    pub(super) turns_in_transit: usize,
    /// When it is woken next.
    pub(super) wake_us: Option<u64>,
    /// It changed the tree.
    pub(super) changed_the_tree: bool,
    /// The token that it has.
    pub(super) has: Option<TokenId>,
    /// The token that the core has given it.
    pub(super) given: Option<TokenId>,
    /// It was given that one while it ran, and has not been answered since.
    pub(super) unproven: bool,
    /// Tries of its present request that have failed.
    pub(super) tries: usize,
    /// The core heard that its token is spent until then, unix milliseconds, in a turn that has not ended yet.
    pub(super) spent_ms: Option<i64>,
    /// The core asked it something and has not heard the end of it.
    pub(super) asked: bool,
    /// A line of its protocol was broken since: what its other lines are about, nobody can say.
    pub(super) lost_line: bool,
    /// The core asked it to end.
    pub(super) ending: bool,
    /// It is ended for another token's sake.
    pub(super) leaves: bool,
    /// When the core last asked it or heard what surely proves progress.
    pub(super) moved_us: u64,
    /// The same for what may prove it.
    pub(super) stirred_us: u64,
    /// It has said something of its protocol that is no mere sign of life.
    pub(super) spoke: bool,
    progress_us: Option<u64>,
}

/// What a line proves, judged apart from the adapter and so more coarsely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proves {
    /// That the process lives.
    Life,
    /// Perhaps that it makes progress: by what was said before.
    Perhaps,
    /// That it makes progress.
    Progress,
}

impl Proves {
    pub(super) fn of(line: &LineFact) -> Proves {
        let LineFact::Json(json) = line else { return Proves::Life };
        let Some(envelope) = parse_envelope(json.get()) else { return Proves::Life };
        match envelope.kind.as_deref() {
            // A block of text that begins or ends says nothing: there may be any number of empty ones.
            Some("stream_event") if json.get().contains(r#""type":"content_block_"#) => Proves::Perhaps,
            Some("assistant" | "user" | "result" | "stream_event") if envelope.parent_tool_use_id.is_none() => {
                Proves::Progress
            }
            Some("system" | "command_lifecycle" | "control_request" | "control_response" | "rate_limit_event") => {
                Proves::Perhaps
            }
            Some("assistant" | "user" | "result" | "stream_event") => Proves::Perhaps,
            Some(_) | None => Proves::Life,
        }
    }
}

/// What a chunk of output comes to.
#[derive(Debug)]
pub(super) enum Heard {
    Line(LineFact),
    Progress,
}

impl Process {
    pub(super) fn new(
        role: Role,
        agent: ScriptedAgent,
        session: String,
        token: Option<TokenId>,
        now_us: u64,
    ) -> Process {
        Process {
            role,
            agent,
            session,
            compacts: false,
            alive: true,
            frozen: false,
            reading: true,
            exit: ExitFact::default(),
            frames: FrameDecoder::new(LINE_LIMIT),
            out_us: now_us,
            in_us: now_us,
            in_transit: 0,
            turns_in_transit: 0,
            wake_us: None,
            changed_the_tree: false,
            has: token.clone(),
            given: token,
            unproven: false,
            tries: 0,
            spent_ms: None,
            asked: false,
            lost_line: false,
            ending: false,
            leaves: false,
            moved_us: now_us,
            stirred_us: now_us,
            spoke: false,
            progress_us: None,
        }
    }

    /// It runs and can do something.
    pub(super) fn acts(&self) -> bool {
        self.alive && !self.frozen
    }

    /// Takes in a chunk of its output, or with `None` its end.
    pub(super) fn hear(&mut self, kind: AgentKind, now_us: u64, chunk: Option<&[u8]>) -> Vec<Heard> {
        let mut heard = Vec::new();
        let progress_us = &mut self.progress_us;
        let on_frame = |frame: Frame<'_>| match frame {
            Frame::Json(envelope) if kind.is_partial(&envelope) => {
                if progress_us.is_none_or(|at| now_us.saturating_sub(at) >= PROGRESS_INTERVAL_US) {
                    *progress_us = Some(now_us);
                    heard.push(Heard::Progress);
                }
            }
            Frame::Json(envelope) => {
                let json = envelope.raw().json().to_owned();
                heard.push(Heard::Line(match RawValue::from_string(json) {
                    Ok(raw) => LineFact::Json(raw),
                    Err(error) => LineFact::Noise(error.to_string()),
                }));
            }
            Frame::Noise(bytes) => {
                heard.push(Heard::Line(LineFact::Noise(String::from_utf8_lossy(bytes).into_owned())))
            }
            Frame::TooLong { bytes } => heard.push(Heard::Line(LineFact::TooLong(bytes))),
        };
        match chunk {
            Some(chunk) => self.frames.push(chunk, on_frame),
            None => self.frames.finish(on_frame),
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::{LineFact, Proves, RawValue};

    /// Seed 12576.
    #[test]
    fn a_block_that_begins_or_ends_is_no_sure_progress() {
        let proves = |event: &str| {
            let line = format!(r#"{{"type":"stream_event","event":{{"type":"{event}","index":0}}}}"#);
            Proves::of(&LineFact::Json(RawValue::from_string(line).expect("JSON")))
        };
        assert_eq!(proves("message_start"), Proves::Progress);
        assert_eq!(proves("message_delta"), Proves::Progress);
        assert_eq!((proves("content_block_start"), proves("content_block_stop")), (Proves::Perhaps, Proves::Perhaps));
    }
}
