use serde_json::value::RawValue;

use ccc::demo::scripted::ScriptedAgent;
use supervision::agent::{AgentKind, Role};
use supervision::core::{ExitFact, LineFact, TokenId};
use supervision::stream::{Frame, FrameDecoder, LineLimit, parse_envelope};

/// The line limit of a simulated night: small, so that long lines are cheap.
const LINE_LIMIT: LineLimit = LineLimit::bytes(32 * 1024);
/// Progress by partial output is reported at most once per this time.
const PROGRESS_INTERVAL_US: u64 = 1_000_000;

/// A simulated process and its pipes.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) role: Role,
    pub(super) agent: ScriptedAgent,
    /// Its session; for a fork, the session that it was forked from.
    pub(super) session: String,
    /// Whether its turn is `/compact`.
    pub(super) compacts: bool,
    /// Whether it has not exited, died or been killed.
    pub(super) alive: bool,
    /// Whether it survived its kill: it still exists, but does nothing.
    pub(super) frozen: bool,
    pub(super) reading: bool,
    /// How it ended; before its end, its stderr so far.
    pub(super) exit: ExitFact,
    pub(super) frames: FrameDecoder,
    /// The time before which no further output arrives, in microseconds; it keeps the output in order.
    pub(super) out_us: u64,
    /// The same for what is written to the process.
    pub(super) in_us: u64,
    /// How many chunks and lines are on their way to the core.
    pub(super) in_transit: usize,
    /// How many turns are on their way to the process.
    pub(super) turns_in_transit: usize,
    /// When its next wake-up is due.
    pub(super) wake_us: Option<u64>,
    /// Whether it changed the tree.
    pub(super) changed_the_tree: bool,
    /// The token that the process uses.
    pub(super) has: Option<TokenId>,
    /// The token that the core knows the process to use.
    pub(super) given: Option<TokenId>,
    /// The token that the core has sent to the process; the core has not read whether the process takes it.
    pub(super) exchange: Option<TokenId>,
    /// Whether a token was sent to it while it ran, and the provider has not answered since the core read that it takes it.
    pub(super) unproven: bool,
    /// How many tries of its present request have failed.
    pub(super) tries: usize,
    /// Until when its token is limited, unix milliseconds, as the core read in a turn that has not ended.
    pub(super) spent_ms: Option<i64>,
    /// Whether the core has sent it a turn and has not read the turn's end.
    pub(super) asked: bool,
    /// Whether a line of its output was damaged since the last turn was sent. The other lines may then be about something else.
    pub(super) lost_line: bool,
    /// Whether the core asked it to end.
    pub(super) ending: bool,
    /// Whether the core ends it without a fault of its own, for example to change the token.
    pub(super) leaves: bool,
    /// When the core last sent it a turn or read certain proof of progress, in microseconds.
    pub(super) moved_us: u64,
    /// When the core last sent it a turn or read possible proof of progress, in microseconds.
    pub(super) stirred_us: u64,
    /// Whether it has written a protocol line that is more than a sign of life.
    pub(super) spoke: bool,
    progress_us: Option<u64>,
}

/// What a line proves. Judged independently of the adapter, and therefore more coarsely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proves {
    /// The process is alive.
    Life,
    /// The process may be making progress; that depends on earlier lines.
    Perhaps,
    /// The process makes progress.
    Progress,
}

impl Proves {
    pub(super) fn of(line: &LineFact) -> Proves {
        let LineFact::Json(json) = line else { return Proves::Life };
        let Some(envelope) = parse_envelope(json.get()) else { return Proves::Life };
        match envelope.kind.as_deref() {
            // The begin or the end of a block proves little, because any number of blocks may be empty.
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

/// What the core learns from a chunk of output.
#[derive(Debug)]
pub(super) enum OutputItem {
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
            exchange: None,
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

    /// Whether it runs and can act.
    pub(super) fn acts(&self) -> bool {
        self.alive && !self.frozen
    }

    /// The token with which its next request is sent, as far as the core knows.
    pub(super) fn asks_with(&self) -> Option<&TokenId> {
        self.exchange.as_ref().or(self.given.as_ref())
    }

    /// The core read that it takes the token that was sent to it, or not.
    pub(super) fn exchanged(&mut self, takes_it: bool) {
        if let Some(token) = self.exchange.take().filter(|_| takes_it) {
            self.given = Some(token);
        }
    }

    /// Reads a chunk of its output; `None` is the end of the output.
    pub(super) fn hear(&mut self, kind: AgentKind, now_us: u64, chunk: Option<&[u8]>) -> Vec<OutputItem> {
        let mut heard = Vec::new();
        let progress_us = &mut self.progress_us;
        let on_frame = |frame: Frame<'_>| match frame {
            Frame::Json(envelope) if kind.is_partial(&envelope) => {
                if progress_us.is_none_or(|at| now_us.saturating_sub(at) >= PROGRESS_INTERVAL_US) {
                    *progress_us = Some(now_us);
                    heard.push(OutputItem::Progress);
                }
            }
            Frame::Json(envelope) => {
                let json = envelope.raw().json().to_owned();
                heard.push(OutputItem::Line(match RawValue::from_string(json) {
                    Ok(raw) => LineFact::Json(raw),
                    Err(error) => LineFact::Noise(error.to_string()),
                }));
            }
            Frame::Noise(bytes) => {
                heard.push(OutputItem::Line(LineFact::Noise(String::from_utf8_lossy(bytes).into_owned())))
            }
            Frame::TooLong { bytes } => heard.push(OutputItem::Line(LineFact::TooLong(bytes))),
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
