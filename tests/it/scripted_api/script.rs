//! What a script says: rules, what they match, and what they answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The rules of one scripted API, tried in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// The first one that matches and is not used up answers.
    pub(crate) rules: Vec<Rule>,
    /// What side questions (messages of one token, the naming of a session) are answered; a text if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) side: Option<Reply>,
}

/// One line of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Whom it answers; everybody if left out.
    #[serde(default)]
    pub(crate) when: When,
    /// How often it answers; once if left out.
    #[serde(default)]
    pub(crate) times: Times,
    /// What it answers.
    pub(crate) reply: Reply,
}

/// How often a rule answers before the next one gets its turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Times {
    /// One request.
    #[default]
    Once,
    /// So many requests.
    N(u32),
    /// All that come.
    Forever,
}

/// Conditions on a request; all that are given must hold, so the default one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct When {
    /// The last user message has a text block that contains this (a message of tool results has none).
    pub(crate) last_user_text: Option<String>,
    /// Some user message contains this: true all through a critic's tool calls, once its brief was said.
    pub(crate) any_user_text: Option<String>,
    /// No user message contains this: the agent, where a critic is known by its brief.
    pub(crate) no_user_text: Option<String>,
    /// The last user message has a tool result that contains this.
    pub(crate) tool_result: Option<String>,
    /// The number of the request among those that are conversation, from 1.
    pub(crate) nth: Option<u64>,
    /// Header names (lower case) and the values they must have; `Bearer ` belongs to the value.
    pub(crate) headers: BTreeMap<String, String>,
    /// The request's `stream`: the CLI repeats some failures without streaming.
    pub(crate) stream: Option<bool>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Reply {
    /// A model's message, streamed or not as the request asks.
    Message(Message),
    /// An HTTP error with the API's error body.
    Error {
        /// The HTTP status.
        status: u16,
        /// The body's `error.type`, such as `overloaded_error`.
        error_type: String,
        /// The body's `error.message`.
        message: String,
        /// Headers beyond the content type, such as `retry-after`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// A subscription's limit state, said in headers.
        #[serde(default)]
        limit: Option<Limit>,
    },
    /// The request is read, and nothing is ever answered.
    StallBeforeHeaders,
    /// Status 200 and a stream's content type, then this body, which is no SSE.
    Garbage {
        /// The body.
        body: String,
    },
}

/// A model's message and the manner of its delivery.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Message {
    /// Its content blocks; none makes an empty reply.
    pub(crate) blocks: Vec<Block>,
    /// `tool_use` if a block is one, else `end_turn`, unless said here.
    pub(crate) stop_reason: Option<String>,
    /// Into how many deltas each block is cut; at least one, at most one per character.
    pub(crate) chunks: usize,
    /// Pause before each delta.
    pub(crate) chunk_delay_ms: u64,
    /// Pause before the headers.
    pub(crate) first_delay_ms: u64,
    /// How it ends.
    pub(crate) ending: Ending,
    /// What it says that it cost.
    pub(crate) usage: Usage,
    /// Further response headers.
    pub(crate) headers: BTreeMap<String, String>,
    /// A subscription's limit state, said in headers.
    pub(crate) limit: Option<Limit>,
}

/// One content block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Block {
    /// Text for the user.
    Text {
        /// The text.
        text: String,
        /// How often it stands in a row; once if left out. Long replies stay short scripts.
        #[serde(default = "once")]
        repeat: usize,
    },
    /// Thinking.
    Thinking {
        /// The thoughts.
        text: String,
    },
    /// A tool call, which the real CLI then really makes.
    ToolUse {
        /// The tool's name.
        name: String,
        /// Its input.
        input: Value,
    },
}

fn once() -> usize {
    1
}

/// How a message ends. Deltas are counted over the whole message. Where fewer deltas than `after_deltas`
/// exist, the break comes after the last block's `content_block_stop`; with 0 it comes right after the headers.
/// Endings other than `Complete` hold for streamed messages only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Ending {
    /// With `message_stop`.
    #[default]
    Complete,
    /// It falls silent and keeps the connection.
    Stall {
        /// So many deltas come.
        after_deltas: usize,
    },
    /// The connection is cut.
    Cut {
        /// So many deltas come.
        after_deltas: usize,
    },
    /// The body ends as HTTP wants it, but without `message_stop`.
    Truncate {
        /// So many deltas come.
        after_deltas: usize,
    },
    /// An `error` event is the last one.
    ErrorEvent {
        /// So many deltas come.
        after_deltas: usize,
        /// The event's `error.type`.
        error_type: String,
    },
}

/// Token counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Usage {
    /// Input tokens outside the cache.
    pub(crate) input_tokens: u64,
    /// Output tokens.
    pub(crate) output_tokens: u64,
    /// Input tokens that the cache served.
    pub(crate) cache_read_input_tokens: u64,
    /// Input tokens that were written to the cache.
    pub(crate) cache_creation_input_tokens: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { input_tokens: 10, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 }
    }
}

/// A subscription's limit state: the `anthropic-ratelimit-unified-*` headers. Resets are relative, so that a
/// script stays valid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    /// `allowed`, `allowed_warning` or `rejected`.
    pub(crate) status: String,
    /// The window that decides: `five_hour` or `seven_day`.
    pub(crate) claim: String,
    /// When that window resets, in seconds from the reply.
    pub(crate) reset_in_s: u64,
    /// The five-hour window.
    #[serde(default)]
    pub(crate) five_hour: Option<Window>,
    /// The weekly window.
    #[serde(default)]
    pub(crate) seven_day: Option<Window>,
}

/// One usage window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// The used part, 0 to 1.
    pub(crate) utilization: f64,
    /// When it resets, in seconds from the reply.
    pub(crate) reset_in_s: u64,
    /// The warning threshold that was passed, 0 to 1.
    #[serde(default)]
    pub(crate) surpassed_threshold: Option<f64>,
}

#[allow(dead_code, reason = "the examples use a part of what the tests use")]
impl Script {
    /// A script without rules; nothing is answered by it.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a rule that answers any request once.
    pub(crate) fn then(self, reply: Reply) -> Self {
        self.rule(Rule { when: When::default(), times: Times::Once, reply })
    }

    /// Adds a rule that answers all requests from there on.
    pub(crate) fn always(self, reply: Reply) -> Self {
        self.rule(Rule { when: When::default(), times: Times::Forever, reply })
    }

    /// Adds a rule for requests that match, once.
    pub(crate) fn on(self, when: When, reply: Reply) -> Self {
        self.rule(Rule { when, times: Times::Once, reply })
    }

    /// Adds a rule for all requests that match.
    pub(crate) fn always_on(self, when: When, reply: Reply) -> Self {
        self.rule(Rule { when, times: Times::Forever, reply })
    }

    /// Answers all side questions so.
    pub(crate) fn side(mut self, reply: Reply) -> Self {
        self.side = Some(reply);
        self
    }

    /// Adds a rule.
    pub(crate) fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

#[allow(dead_code, reason = "the examples use a part of what the tests use")]
impl When {
    /// Requests whose last user message contains the text.
    pub(crate) fn last_user_text(text: &str) -> Self {
        Self { last_user_text: Some(text.to_owned()), ..Self::default() }
    }

    /// Requests of a conversation in which the user said the text at some time.
    pub(crate) fn any_user_text(text: &str) -> Self {
        Self { any_user_text: Some(text.to_owned()), ..Self::default() }
    }

    /// Requests of a conversation in which the user never said the text.
    pub(crate) fn no_user_text(text: &str) -> Self {
        Self { no_user_text: Some(text.to_owned()), ..Self::default() }
    }

    /// Requests whose header has the value.
    pub(crate) fn header(name: &str, value: &str) -> Self {
        Self { headers: BTreeMap::from([(name.to_ascii_lowercase(), value.to_owned())]), ..Self::default() }
    }

    /// The n-th conversational request, from 1.
    pub(crate) fn nth(n: u64) -> Self {
        Self { nth: Some(n), ..Self::default() }
    }
}

#[allow(dead_code, reason = "the examples use a part of what the tests use")]
impl Reply {
    /// A message of one text.
    pub(crate) fn text(text: &str) -> Self {
        Self::blocks(vec![Block::text(text)])
    }

    /// A message of one tool call.
    pub(crate) fn tool(name: &str, input: Value) -> Self {
        Self::blocks(vec![Block::tool(name, input)])
    }

    /// A message of several blocks.
    pub(crate) fn blocks(blocks: Vec<Block>) -> Self {
        Self::Message(Message { blocks, ..Message::default() })
    }

    /// An HTTP error without further headers.
    pub(crate) fn error(status: u16, error_type: &str, message: &str) -> Self {
        Self::Error {
            status,
            error_type: error_type.to_owned(),
            message: message.to_owned(),
            headers: BTreeMap::new(),
            limit: None,
        }
    }

    /// The 429 of a subscription whose window is spent.
    pub(crate) fn limit_reached(claim: &str, reset_in_s: u64) -> Self {
        let full = |name: &str| {
            (claim == name).then_some(Window { utilization: 1.0, reset_in_s, surpassed_threshold: Some(1.0) })
        };
        Self::Error {
            status: 429,
            error_type: "rate_limit_error".to_owned(),
            message: "This request would exceed your account's rate limit. Please try again later.".to_owned(),
            headers: BTreeMap::from([("retry-after".to_owned(), reset_in_s.to_string())]),
            limit: Some(Limit {
                status: "rejected".to_owned(),
                claim: claim.to_owned(),
                reset_in_s,
                five_hour: full("five_hour"),
                seven_day: full("seven_day"),
            }),
        }
    }
}

#[allow(dead_code, reason = "the examples use a part of what the tests use")]
impl Block {
    /// A text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text { text: text.to_owned(), repeat: 1 }
    }

    /// A tool call.
    pub(crate) fn tool(name: &str, input: Value) -> Self {
        Self::ToolUse { name: name.to_owned(), input }
    }
}

#[allow(dead_code, reason = "the examples use a part of what the tests use")]
impl Message {
    /// A message of one text, cut into deltas with a pause before each.
    pub(crate) fn paced(text: &str, chunks: usize, chunk_delay_ms: u64) -> Self {
        Self { blocks: vec![Block::text(text)], chunks, chunk_delay_ms, ..Self::default() }
    }
}
