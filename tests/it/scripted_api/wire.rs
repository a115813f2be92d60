//! A scripted message as bytes: the stream of events, or the one JSON object.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::script::{Block, Ending, Limit, Message, Usage, Window};

/// A streamed message, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Pieces in order, each with the pause before it; a piece is one or more whole events.
    pub(crate) pieces: Vec<(u64, String)>,
    /// What comes after the last piece.
    pub(crate) last: Last,
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// A proper end of the body.
    End,
    /// Silence.
    Stall,
    /// A cut connection.
    Cut,
}

/// The events of a message; `number` makes its ids unique, `model` is the one that was asked for.
pub(crate) fn plan(message: &Message, number: u64, model: &str) -> Plan {
    let (limit, last, error) = match &message.ending {
        Ending::Complete => (usize::MAX, Last::End, None),
        Ending::Stall { after_deltas } => (*after_deltas, Last::Stall, None),
        Ending::Cut { after_deltas } => (*after_deltas, Last::Cut, None),
        Ending::Truncate { after_deltas } => (*after_deltas, Last::End, None),
        Ending::ErrorEvent { after_deltas, error_type } => (*after_deltas, Last::End, Some(error_type)),
    };
    let mut out = Pieces { pieces: vec![(0, String::new())], pace_ms: message.chunk_delay_ms };
    let mut deltas = 0;
    if limit > 0 {
        let mut start = skeleton(message, number, model);
        start["content"] = json!([]);
        start["usage"]["output_tokens"] = json!(1);
        out.event("message_start", &json!({"type": "message_start", "message": start}));
        for (index, block) in message.blocks.iter().enumerate() {
            out.event(
                "content_block_start",
                &json!({"type": "content_block_start", "index": index, "content_block": opening(block, number, index)}),
            );
            for delta in deltas_of(block, message.chunks) {
                out.pause();
                out.event(
                    "content_block_delta",
                    &json!({"type": "content_block_delta", "index": index, "delta": delta}),
                );
                deltas += 1;
                if deltas == limit {
                    return out.broken(last, error);
                }
            }
            if let Block::Thinking { .. } = block {
                let delta = json!({"type": "signature_delta", "signature": "c2lnbmVk"});
                out.event(
                    "content_block_delta",
                    &json!({"type": "content_block_delta", "index": index, "delta": delta}),
                );
            }
            out.event("content_block_stop", &json!({"type": "content_block_stop", "index": index}));
        }
    }
    if message.ending != Ending::Complete {
        return out.broken(last, error);
    }
    out.event(
        "message_delta",
        &json!({
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason(message), "stop_sequence": null},
            "usage": {"output_tokens": message.usage.output_tokens},
        }),
    );
    out.event("message_stop", &json!({"type": "message_stop"}));
    Plan { pieces: out.pieces, last }
}

/// The message as one object, for a request that does not stream.
pub(crate) fn whole(message: &Message, number: u64, model: &str) -> Value {
    let mut body = skeleton(message, number, model);
    let blocks = message.blocks.iter().enumerate().map(|(index, block)| {
        let mut value = opening(block, number, index);
        match block {
            Block::Text { .. } => value["text"] = json!(text_of(block)),
            Block::Thinking { text } => {
                value["thinking"] = json!(text);
                value["signature"] = json!("c2lnbmVk");
            }
            Block::ToolUse { input, .. } => value["input"] = input.clone(),
        }
        value
    });
    body["content"] = blocks.collect();
    body["stop_reason"] = json!(stop_reason(message));
    body
}

/// The API's error body.
pub(crate) fn error_body(error_type: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": error_type, "message": message}})
}

/// A limit state as headers; `now_s` is the Unix time of the reply.
pub(crate) fn limit_headers(limit: &Limit, now_s: u64) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let mut put = |name: &str, value: String| {
        headers.insert(format!("anthropic-ratelimit-unified-{name}"), value);
    };
    put("status", limit.status.clone());
    put("representative-claim", limit.claim.clone());
    put("reset", (now_s + limit.reset_in_s).to_string());
    for (short, window) in [("5h", &limit.five_hour), ("7d", &limit.seven_day)] {
        let Some(Window { utilization, reset_in_s, surpassed_threshold }) = window else {
            continue;
        };
        put(&format!("{short}-status"), limit.status.clone());
        put(&format!("{short}-utilization"), utilization.to_string());
        put(&format!("{short}-reset"), (now_s + reset_in_s).to_string());
        if let Some(threshold) = surpassed_threshold {
            put(&format!("{short}-surpassed-threshold"), threshold.to_string());
        }
    }
    headers
}

struct Pieces {
    pieces: Vec<(u64, String)>,
    pace_ms: u64,
}

impl Pieces {
    fn pause(&mut self) {
        if self.pace_ms > 0 {
            self.pieces.push((self.pace_ms, String::new()));
        }
    }

    fn event(&mut self, name: &str, data: &Value) {
        if let Some((_, piece)) = self.pieces.last_mut() {
            let _infallible = write!(piece, "event: {name}\ndata: {data}\n\n");
        }
    }

    fn broken(mut self, last: Last, error: Option<&String>) -> Plan {
        if let Some(error_type) = error {
            self.event("error", &error_body(error_type, "scripted"));
        }
        Plan { pieces: self.pieces, last }
    }
}

fn skeleton(message: &Message, number: u64, model: &str) -> Value {
    let Usage { input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens } = message.usage;
    json!({
        "id": format!("msg_{number:06}"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": {
            "input_tokens": input_tokens,
            "cache_creation_input_tokens": cache_creation_input_tokens,
            "cache_read_input_tokens": cache_read_input_tokens,
            "output_tokens": output_tokens,
        },
    })
}

fn opening(block: &Block, number: u64, index: usize) -> Value {
    match block {
        Block::Text { .. } => json!({"type": "text", "text": ""}),
        Block::Thinking { .. } => json!({"type": "thinking", "thinking": "", "signature": ""}),
        Block::ToolUse { name, .. } => {
            json!({"type": "tool_use", "id": format!("toolu_{number:06}_{index}"), "name": name, "input": {}})
        }
    }
}

fn text_of(block: &Block) -> String {
    match block {
        Block::Text { text, repeat } => text.repeat(*repeat),
        Block::Thinking { text } => text.clone(),
        Block::ToolUse { input, .. } => input.to_string(),
    }
}

fn deltas_of(block: &Block, chunks: usize) -> Vec<Value> {
    let text = text_of(block);
    split(&text, chunks)
        .into_iter()
        .map(|part| match block {
            Block::Text { .. } => json!({"type": "text_delta", "text": part}),
            Block::Thinking { .. } => json!({"type": "thinking_delta", "thinking": part}),
            Block::ToolUse { .. } => json!({"type": "input_json_delta", "partial_json": part}),
        })
        .collect()
}

/// The text in about equal parts, at least one, cut between characters.
fn split(text: &str, chunks: usize) -> Vec<&str> {
    let step = text.len().div_ceil(chunks.max(1)).max(1);
    let mut parts = Vec::with_capacity(chunks.max(1));
    let mut rest = text;
    while rest.len() > step {
        let cut = (step..=rest.len()).find(|&at| rest.is_char_boundary(at)).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(cut);
        parts.push(part);
        rest = tail;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(rest);
    }
    parts
}

fn stop_reason(message: &Message) -> &str {
    match &message.stop_reason {
        Some(reason) => reason,
        None if message.blocks.iter().any(|b| matches!(b, Block::ToolUse { .. })) => "tool_use",
        None => "end_turn",
    }
}
