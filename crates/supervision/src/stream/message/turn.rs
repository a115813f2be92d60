//! The messages of a turn: `assistant`, `user`, their content, and stream events.

use std::borrow::Cow;

use super::record::records;
use super::result::Usage;
use crate::stream::raw::{FromRaw, Raw};

records! {
    /// The API's message in an [`Assistant`].
    AssistantBody<'a> {
        /// The same for all blocks of one answer.
        id: Cow<'a, str> = "id",
        /// The model; `<synthetic>` when the CLI itself wrote the message.
        model: Cow<'a, str> = "model",
        /// The content, usually one block.
        content: Blocks<'a> = "content",
        /// Tokens used.
        usage: Usage = "usage",
    }

    /// An `assistant` message: one content block of an answer, or an error that the CLI reports instead of one.
    Assistant<'a> {
        /// The API's message; the blocks of one answer come as several lines with the same `id`.
        message: AssistantBody<'a> = "message",
        /// The error class if this is an error, for example `rate_limit`, `authentication_failed`, `billing_error`.
        error: Cow<'a, str> = "error",
        /// The API's id of the failed request, if the API gave it one.
        request_id: Cow<'a, str> = "request_id",
        /// The text is an API error (2.1.329).
        is_api_error_message: bool = "is_api_error_message",
        /// The HTTP status of that error (2.1.329).
        api_error_status: u16 = "api_error_status",
        /// The API's name of that error, for example `rate_limit_error` (2.1.329).
        api_error_type: Cow<'a, str> = "api_error_type",
        /// The CLI's name of that error, for example `usage_limit_reached` (2.1.329).
        api_error: Cow<'a, str> = "api_error",
        /// The parameters of that error, for example `rate_limit_info` (2.1.329).
        api_error_params: Raw<'a> = "api_error_params",
        /// When it was written, ISO 8601.
        timestamp: Cow<'a, str> = "timestamp",
    }

    /// A `user` message: a tool result, a replay of a message from ccc, or a message of the CLI to the model.
    User<'a> {
        /// The API's message.
        message: UserBody<'a> = "message",
        /// This is the acknowledgement of a message from ccc.
        is_replay: bool = "isReplay",
        /// The CLI wrote it, not the user (Stop-hook feedback, continuations).
        is_synthetic: bool = "isSynthetic",
        /// ISO 8601. A replay without it is a duplicate, and no turn follows (facts §5).
        timestamp: Cow<'a, str> = "timestamp",
        /// The tool's result in the tool's own format.
        tool_use_result: Raw<'a> = "tool_use_result",
    }

    /// The API's message in a [`User`].
    UserBody<'a> {
        /// The content; a plain string is one text block.
        content: Blocks<'a> = "content",
    }

    /// A call of a tool.
    ToolUse<'a> {
        /// Its id.
        id: Cow<'a, str> = "id",
        /// The tool.
        name: Cow<'a, str> = "name",
        /// Its input, as sent.
        input: Raw<'a> = "input",
    }

    /// What a tool returned.
    ToolResult<'a> {
        /// The call.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// It failed, or was denied.
        is_error: bool = "is_error",
        /// The result: a string or blocks, see [`content_blocks`].
        content: Raw<'a> = "content",
    }

    /// `stream_event`: an event of the API's stream (with partial messages).
    StreamEvent<'a> {
        /// The event.
        event: StreamMessage<'a> = "event",
    }

    /// The event itself.
    StreamMessage<'a> {
        /// `message_start`, `content_block_start`, `content_block_delta`, `content_block_stop`, `message_delta`,
        /// `message_stop`.
        kind: Cow<'a, str> = "type",
        /// The added part.
        delta: StreamDelta<'a> = "delta",
        /// The block that begins, as received.
        content_block: Raw<'a> = "content_block",
    }

    /// A delta of a content block, or of a message's end.
    StreamDelta<'a> {
        /// `text_delta`, `thinking_delta`, `input_json_delta`, `signature_delta`.
        kind: Cow<'a, str> = "type",
        /// A piece of text.
        text: Cow<'a, str> = "text",
        /// A piece of thinking.
        thinking: Cow<'a, str> = "thinking",
        /// A piece of a tool's input.
        partial_json: Cow<'a, str> = "partial_json",
        /// A piece of the signature that proves that the thinking is the model's.
        signature: Cow<'a, str> = "signature",
        /// A citation of the text, as received.
        citation: Raw<'a> = "citation",
        /// Why the message ended.
        stop_reason: Cow<'a, str> = "stop_reason",
    }

    /// `tool_progress`: a timer in the CLI, not the tool, reports that a tool, a sub-agent or a hook still runs.
    /// 2.1.197 writes it only with `CLAUDE_CODE_REMOTE=1`, CLIs since 2.1.329 every 30 s. With `subagent_retry` it
    /// reports a sub-agent's retry.
    ToolProgress<'a> {
        /// A sub-agent's request failed at the provider, and the sub-agent tries again (2.1.332).
        subagent_retry: Raw<'a> = "subagent_retry",
    }

}

impl<'a> Assistant<'a> {
    /// The content blocks.
    #[must_use]
    pub fn blocks(&self) -> &[Block<'a>] {
        self.message.as_ref().and_then(|message| message.content.as_ref()).map_or(&[], |content| &content.0)
    }
}

impl<'a> User<'a> {
    /// The content blocks.
    #[must_use]
    pub fn blocks(&self) -> &[Block<'a>] {
        self.message.as_ref().and_then(|message| message.content.as_ref()).map_or(&[], |content| &content.0)
    }
}

/// A block of content.
#[derive(Debug, Clone, PartialEq)]
pub enum Block<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// Thinking.
    Thinking(Cow<'a, str>),
    /// A tool is called.
    ToolUse(ToolUse<'a>),
    /// A tool has answered.
    ToolResult(ToolResult<'a>),
    /// Anything else, unparsed.
    Other(Raw<'a>),
}

impl<'a> FromRaw<'a> for Block<'a> {
    fn from_raw(raw: Raw<'a>) -> Option<Self> {
        let text_of = |name| raw.member(name).and_then(Raw::text);
        let known = match text_of("type").as_deref() {
            Some("text") => text_of("text").map(Self::Text),
            Some("thinking") => text_of("thinking").map(Self::Thinking),
            Some("tool_use") => raw.read().map(Self::ToolUse),
            Some("tool_result") => raw.read().map(Self::ToolResult),
            _ => None,
        };
        Some(known.unwrap_or(Self::Other(raw)))
    }
}

/// Content in the API's format: a list of blocks, or a plain string, which counts as one text block.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Blocks<'a>(pub Vec<Block<'a>>);

impl<'a> FromRaw<'a> for Blocks<'a> {
    fn from_raw(raw: Raw<'a>) -> Option<Self> {
        if let Some(text) = raw.text() {
            return Some(Self(vec![Block::Text(text)]));
        }
        raw.read().map(Self)
    }
}

/// The blocks of a content value, for example of a [`ToolResult`].
#[must_use]
pub fn content_blocks(content: Raw<'_>) -> Vec<Block<'_>> {
    content.read::<Blocks<'_>>().map_or_else(Vec::new, |blocks| blocks.0)
}
