//! The end of a turn, what it cost, and the limits.

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
        /// The HTTP status of an API failure; none also when there was no response.
        api_error_status: u16 = "api_error_status",
        /// The CLI's name of the failure: `usage_limit_reached`, `connection_failed`, `max_output_tokens` (2.1.329).
        api_error: Cow<'a, str> = "api_error",
        /// The API's name of it: `rate_limit_error` (2.1.329).
        api_error_type: Cow<'a, str> = "api_error_type",
        /// The whole turn, milliseconds.
        duration_ms: f64 = "duration_ms",
        /// Of it waiting for the API, milliseconds.
        duration_api_ms: f64 = "duration_api_ms",
        /// To the first token, milliseconds.
        ttft_ms: f64 = "ttft_ms",
        /// To the first request, milliseconds.
        time_to_request_ms: f64 = "time_to_request_ms",
        /// When the request was sent, unix milliseconds (2.1.329).
        request_sent_wall_ms: f64 = "request_sent_wall_ms",
        /// To the first frame with content, milliseconds (2.1.329).
        first_content_frame_ms: f64 = "first_content_frame_ms",
        /// Model turns in it; 0 for a slash command, a duplicate, or a spurious result after a resume.
        num_turns: u64 = "num_turns",
        /// The final answer, or the text of the failure.
        result: Cow<'a, str> = "result",
        /// Why the last answer ended.
        stop_reason: Cow<'a, str> = "stop_reason",
        /// Cost of this process so far, US dollars.
        total_cost_usd: f64 = "total_cost_usd",
        /// Tokens.
        usage: Usage = "usage",
        /// Tokens and cost of this process so far, by model.
        model_usage: Entries<'a, ModelUsage> = "modelUsage",
        /// The same since the last result, as sent (2.1.329).
        model_usage_since_last_result: Raw<'a> = "model_usage_since_last_result",
        /// What was denied in it.
        permission_denials: Vec<Denial<'a>> = "permission_denials",
        /// `completed`, `api_error` (2.1.329), `aborted_streaming`, `aborted_tools`, `max_turns`, `prompt_too_long` ...
        terminal_reason: Cow<'a, str> = "terminal_reason",
        /// What went wrong, of the `error_*` subtypes.
        errors: Vec<Cow<'a, str>> = "errors",
        /// What `--json-schema` asked for, as sent.
        structured_output: Raw<'a> = "structured_output",
        /// What began the turn if not the host.
        origin: Origin<'a> = "origin",
        /// The user message that this answers (2.1.329).
        user_message_uuid: Cow<'a, str> = "user_message_uuid",
        /// All user messages that this answers (2.1.329); absent for a turn that the CLI began.
        user_message_uuids: Vec<Cow<'a, str>> = "user_message_uuids",
        /// Which result of the process this is (2.1.329).
        result_index: u64 = "result_index",
        /// How many turns are queued behind it (2.1.329).
        queued_turn_count: u64 = "queued_turn_count",
        /// What sub-agents did, as sent (2.1.329).
        subagent_stats: Raw<'a> = "subagent_stats",
        /// How often the model refused in it (2.1.329).
        safety_stops: u64 = "safety_stops",
        /// Input tokens of the turn's first request (2.1.329).
        first_request_input_tokens: u64 = "first_request_input_tokens",
        /// Of them read from the cache (2.1.329).
        first_request_cache_read_input_tokens: u64 = "first_request_cache_read_input_tokens",
    }

    /// What began a turn that the host did not ask for.
    Origin<'a> {
        /// For example `task-notification`.
        kind: Cow<'a, str> = "kind",
        /// (2.1.329)
        producer: Cow<'a, str> = "producer",
        /// (2.1.329)
        run_id: Cow<'a, str> = "runId",
    }

    /// A denied tool call.
    Denial<'a> {
        /// The tool.
        tool_name: Cow<'a, str> = "tool_name",
        /// The call.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// Its input, as sent.
        tool_input: Raw<'a> = "tool_input",
    }

    /// Tokens of an answer or turn.
    Usage {
        /// Not from the cache.
        input_tokens: u64 = "input_tokens",
        /// Written.
        output_tokens: u64 = "output_tokens",
        /// Read from the cache.
        cache_read_input_tokens: u64 = "cache_read_input_tokens",
        /// Written to the cache.
        cache_creation_input_tokens: u64 = "cache_creation_input_tokens",
    }

    /// Tokens and cost of a process so far, under one model.
    ModelUsage {
        /// Not from the cache.
        input_tokens: u64 = "inputTokens",
        /// Written.
        output_tokens: u64 = "outputTokens",
        /// Read from the cache.
        cache_read_input_tokens: u64 = "cacheReadInputTokens",
        /// Written to the cache.
        cache_creation_input_tokens: u64 = "cacheCreationInputTokens",
        /// US dollars.
        cost_usd: f64 = "costUSD",
        /// Tokens that fit in its context.
        context_window: u64 = "contextWindow",
        /// Tokens that it may write at once.
        max_output_tokens: u64 = "maxOutputTokens",
    }

    /// `rate_limit_event` (OAuth only).
    RateLimit<'a> {
        /// The state of the limits.
        rate_limit_info: RateLimitInfo<'a> = "rate_limit_info",
    }

    /// The state of the limits, for the window that matters most now.
    RateLimitInfo<'a> {
        /// `allowed`, `allowed_warning`, `rejected`.
        status: Cow<'a, str> = "status",
        /// When the window begins anew, unix seconds; absent when it was no usage limit.
        resets_at_unix_s: i64 = "resetsAt",
        /// Which window: `five_hour`, `seven_day` ...
        rate_limit_type: Cow<'a, str> = "rateLimitType",
        /// How much is used, 0 to 1.
        utilization: f64 = "utilization",
        /// The threshold that was passed, 0 to 1.
        surpassed_threshold: f64 = "surpassedThreshold",
        /// Whether paid extra usage is drawn on.
        is_using_overage: bool = "isUsingOverage",
        /// The state of extra usage (2.1.329).
        overage_status: Cow<'a, str> = "overageStatus",
        /// Why there is none (2.1.329).
        overage_disabled_reason: Cow<'a, str> = "overageDisabledReason",
        /// When extra usage begins anew, unix seconds (2.1.329).
        overage_resets_at_unix_s: i64 = "overageResetsAt",
        /// All windows (2.1.329).
        unified_windows: Entries<'a, LimitWindow> = "unifiedWindows",
    }

    /// One usage window.
    LimitWindow {
        /// How much is used, 0 to 1.
        utilization: f64 = "utilization",
        /// When it begins anew, unix seconds.
        resets_at_unix_s: i64 = "resetsAt",
        /// The threshold that was passed, 0 to 1.
        surpassed_threshold: f64 = "surpassedThreshold",
    }
}
