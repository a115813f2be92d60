//! The end of a turn, its cost, and the limits.

use std::borrow::Cow;

use super::record::records;
use crate::stream::raw::{Entries, Raw};

records! {
    /// `result`: a turn has ended. An API failure is `subtype: success` with `is_error` (facts §0.2).
    TurnResult<'a> {
        /// `success`, `error_during_execution`, `error_max_turns`, `error_max_budget_usd`,
        /// `error_max_structured_output_retries`.
        subtype: Cow<'a, str> = "subtype",
        /// Whether it failed.
        is_error: bool = "is_error",
        /// The HTTP status of an API failure; absent also when there was no response.
        api_error_status: u16 = "api_error_status",
        /// The CLI's name of the failure: `usage_limit_reached`, `connection_failed`, `max_output_tokens` (2.1.329).
        api_error: Cow<'a, str> = "api_error",
        /// The API's name of the failure: `rate_limit_error` (2.1.329).
        api_error_type: Cow<'a, str> = "api_error_type",
        /// Model turns in the turn; 0 for a slash command, a duplicate, or a spurious result after a resume.
        num_turns: u64 = "num_turns",
        /// The final answer, or the text of the failure.
        result: Cow<'a, str> = "result",
        /// Why the last answer ended.
        stop_reason: Cow<'a, str> = "stop_reason",
        /// Cost of this process so far, US dollars.
        total_cost_usd: f64 = "total_cost_usd",
        /// Tokens and cost of this process so far, by model.
        model_usage: Entries<'a, ModelUsage> = "modelUsage",
        /// The same since the last result (2.1.329).
        model_usage_since_last_result: Entries<'a, ModelUsage> = "model_usage_since_last_result",
        /// The tool calls that were denied in the turn.
        permission_denials: Vec<Denial<'a>> = "permission_denials",
        /// `completed`, `api_error` (2.1.329), `aborted_streaming`, `aborted_tools`, `max_turns`, `prompt_too_long` ...
        terminal_reason: Cow<'a, str> = "terminal_reason",
        /// The errors, for the `error_*` subtypes.
        errors: Vec<Cow<'a, str>> = "errors",
        /// The origin of the turn if it was not the host.
        origin: Origin<'a> = "origin",
        /// The user message that this result answers (2.1.329).
        user_message_uuid: Cow<'a, str> = "user_message_uuid",
        /// All user messages that this result answers (2.1.329); absent for a turn that the CLI began.
        user_message_uuids: Vec<Cow<'a, str>> = "user_message_uuids",
    }

    /// The origin of a turn that the host did not begin.
    Origin<'a> {
        /// For example `task-notification`.
        kind: Cow<'a, str> = "kind",
    }

    /// A denied tool call.
    Denial<'a> {
        /// The tool.
        tool_name: Cow<'a, str> = "tool_name",
        /// The call.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// Its input, as received.
        tool_input: Raw<'a> = "tool_input",
    }

    /// Tokens of an answer or turn.
    Usage {
        /// Input, not from the cache.
        input_tokens: u64 = "input_tokens",
        /// Output.
        output_tokens: u64 = "output_tokens",
        /// Input from the cache.
        cache_read_input_tokens: u64 = "cache_read_input_tokens",
        /// Input written to the cache.
        cache_creation_input_tokens: u64 = "cache_creation_input_tokens",
    }

    /// Tokens and cost of a process so far, for one model.
    ModelUsage {
        /// Input, not from the cache.
        input_tokens: u64 = "inputTokens",
        /// Output.
        output_tokens: u64 = "outputTokens",
        /// Input from the cache.
        cache_read_input_tokens: u64 = "cacheReadInputTokens",
        /// Input written to the cache.
        cache_creation_input_tokens: u64 = "cacheCreationInputTokens",
        /// The cost, US dollars.
        cost_usd: f64 = "costUSD",
        /// How many tokens the model takes.
        context_window: u64 = "contextWindow",
    }

    /// `rate_limit_event` (OAuth only).
    RateLimit<'a> {
        /// The state of the limits.
        rate_limit_info: RateLimitInfo<'a> = "rate_limit_info",
    }

    /// The state of the limits, for the currently most relevant window.
    RateLimitInfo<'a> {
        /// `allowed`, `allowed_warning`, `rejected`.
        status: Cow<'a, str> = "status",
        /// When the window resets, unix seconds; absent when this is no usage limit.
        resets_at_unix_s: i64 = "resetsAt",
        /// Which window: `five_hour`, `seven_day` ...
        rate_limit_type: Cow<'a, str> = "rateLimitType",
        /// How much is used, 0 to 1.
        utilization: f64 = "utilization",
        /// All windows (2.1.329).
        unified_windows: Entries<'a, LimitWindow> = "unifiedWindows",
    }

    /// One usage window.
    LimitWindow {
        /// How much is used, 0 to 1.
        utilization: f64 = "utilization",
        /// When it resets, unix seconds.
        resets_at_unix_s: i64 = "resetsAt",
    }
}
