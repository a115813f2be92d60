//! Why a turn failed, derived from status fields only.
//!
//! 2.1.197 gives the HTTP status on the result and an error class on the synthetic message before it; 2.1.329 adds
//! its own error names (`api_error`) and those of the API (`api_error_type`). On both, an API failure is
//! `subtype: success` with `is_error`.

use crate::agent::{FailureCause, LimitReport, LimitStatus, TurnOutcome};
use crate::stream::message::{Assistant, RateLimitInfo, TurnResult};

/// How many characters of a failure's message are kept.
const MESSAGE_CHARS: usize = 500;

/// The message for a 404 that does not come from the API.
const FOREIGN_404: &str =
    "status 404, and not from the provider's API: something on the way to it answers in its place";

/// Unix times above this are milliseconds: as seconds it would be the year 5138.
const LATEST_PLAUSIBLE_UNIX_S: i64 = 100_000_000_000;

/// What was reported about failures since the last result.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// The error that the CLI reported instead of a model answer.
    error: Option<ApiError>,
    /// The last limit state that was reported in this turn.
    limit: Option<LimitReport>,
    /// The same of an earlier turn: the event comes only when the state changes.
    earlier_limit: Option<LimitReport>,
}

#[derive(Debug, Clone, Default)]
struct ApiError {
    class: Option<String>,
    status: Option<u16>,
    name: Option<String>,
    api_type: Option<String>,
    /// The API gave the request an id, so the request reached it.
    has_request_id: bool,
    /// The limit that the error names.
    limit: Option<LimitReport>,
    /// This CLI version names its errors.
    names_errors: bool,
}

impl Evidence {
    /// A synthetic `assistant` message with an error in the main conversation.
    pub(super) fn api_error(&mut self, assistant: &Assistant<'_>) {
        let said = assistant;
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        self.error = Some(ApiError {
            class: owned(&said.error),
            status: said.api_error_status,
            name: owned(&said.api_error),
            api_type: owned(&said.api_error_type),
            has_request_id: said.request_id.is_some(),
            limit: said
                .api_error_params
                .and_then(|params| params.member("rate_limit_info"))
                .and_then(|info| info.read::<RateLimitInfo<'_>>())
                .and_then(|info| limit_report(&info)),
            names_errors: said.is_api_error_message == Some(true),
        });
    }

    /// A `rate_limit_event`.
    pub(super) fn limit(&mut self, report: LimitReport) {
        self.limit = Some(report);
    }

    /// A result was read, or a new turn sent.
    pub(super) fn next_turn(&mut self) {
        self.error = None;
        self.earlier_limit = self.limit.take().or(self.earlier_limit.take());
    }
}

/// The state of a limit. `None` for an unknown state, and for a rejection that names neither window nor reset: both
/// versions report a temporary 429 that is no usage limit in this way (measured), and it must not count as a reached
/// limit.
pub(super) fn limit_report(info: &RateLimitInfo<'_>) -> Option<LimitReport> {
    let status = match info.status.as_deref()? {
        "allowed" => LimitStatus::Allowed,
        "allowed_warning" => LimitStatus::Warning,
        "rejected" => LimitStatus::Rejected,
        _ => return None,
    };
    let window = info.rate_limit_type.as_deref().map(str::to_owned);
    let resets_at_unix_s = info.resets_at_unix_s.map(seconds);
    if status == LimitStatus::Rejected && window.is_none() && resets_at_unix_s.is_none() {
        return None;
    }
    let all = info.unified_windows.as_ref();
    let named = |name: &str| window.as_deref() == Some(name);
    let others = all.map_or_else(Vec::new, |windows| {
        windows
            .0
            .iter()
            .filter(|(name, _)| !named(name))
            .map(|(name, state)| (name.to_string(), state.utilization, state.resets_at_unix_s.map(seconds)))
            .collect()
    });
    let utilization = info.utilization.or_else(|| {
        let (_, state) = all?.0.iter().find(|(name, _)| named(name))?;
        state.utilization
    });
    Some(LimitReport { status, window, resets_at_unix_s, utilization, others })
}

fn seconds(time: i64) -> i64 {
    if time > LATEST_PLAUSIBLE_UNIX_S { time / 1_000 } else { time }
}

/// How a turn ended, from its result. `stop_reason_is_null`: the field is present and null, not missing.
pub(super) fn outcome(result: &TurnResult<'_>, stop_reason_is_null: bool, evidence: &Evidence) -> TurnOutcome {
    let ended_by = result.terminal_reason.as_deref();
    if ended_by.is_some_and(|reason| reason.starts_with("aborted_")) {
        return TurnOutcome::Interrupted;
    }
    let succeeded = result.subtype.as_deref() == Some("success") && result.is_error != Some(true);
    if !succeeded {
        let cause = cause(result, evidence);
        // The CLI reads every 404 as an unknown model and advises accordingly.
        let foreign_404 = cause == FailureCause::Unavailable && status(result, evidence) == Some(404);
        let message = if foreign_404 { FOREIGN_404.to_owned() } else { message(result) };
        return TurnOutcome::Failed { cause, message };
    }
    // When the connection is cut after a complete block, 2.1.197 reports success without a stop reason (facts §8;
    // 2.1.329 continues by itself). Turns without a request (`num_turns` 0) have no stop reason either, and are fine.
    if stop_reason_is_null && ended_by == Some("completed") && result.num_turns.is_some_and(|turns| turns > 0) {
        return TurnOutcome::Failed {
            cause: FailureCause::Unavailable,
            message: "the connection to the provider was lost in the middle of the answer".to_owned(),
        };
    }
    TurnOutcome::Done
}

fn status(result: &TurnResult<'_>, evidence: &Evidence) -> Option<u16> {
    result.api_error_status.or(evidence.error.as_ref().and_then(|error| error.status))
}

fn cause(result: &TurnResult<'_>, evidence: &Evidence) -> FailureCause {
    let none = ApiError::default();
    let error = evidence.error.as_ref().unwrap_or(&none);
    match result.subtype.as_deref() {
        Some("success" | "error_during_execution") | None => {}
        Some(limit) => {
            return FailureCause::CliLimit { which: limit.strip_prefix("error_").unwrap_or(limit).to_owned() };
        }
    }
    if result.stop_reason.as_deref() == Some("refusal") {
        return FailureCause::ModelRefusal;
    }
    if let Some("prompt_too_long" | "blocking_limit" | "rapid_refill_breaker") = result.terminal_reason.as_deref() {
        return FailureCause::PromptTooLong;
    }
    let name = result.api_error.as_deref().or(error.name.as_deref());
    match name {
        Some("usage_limit_reached") => return quota_or_throttle(error, evidence, true),
        Some("max_output_tokens") => return FailureCause::MaxOutput,
        Some("connection_failed" | "network_edge_blocked") => return FailureCause::Unavailable,
        Some("long_context_credits_required" | "model_requires_usage_credits") => return FailureCause::CreditsRequired,
        _ => {}
    }
    let status = status(result, evidence);
    let api_type = result.api_error_type.as_deref().or(error.api_type.as_deref());
    match status {
        Some(403 | 404) if !is_of_the_api(api_type, error) => return FailureCause::Unavailable,
        Some(407) => return FailureCause::Unavailable,
        _ => {}
    }
    match error.class.as_deref() {
        Some("billing_error") => return FailureCause::Billing,
        Some("authentication_failed" | "oauth_org_not_allowed") => return FailureCause::Refused,
        Some("model_not_found") => return FailureCause::ModelNotFound,
        Some("max_output_tokens") => return FailureCause::MaxOutput,
        Some("rate_limit") => return quota_or_throttle(error, evidence, false),
        _ => {}
    }
    match status {
        Some(401 | 403) => FailureCause::Refused,
        Some(402) => FailureCause::Billing,
        Some(404) => FailureCause::ModelNotFound,
        Some(408) => FailureCause::Unavailable,
        Some(413) => FailureCause::PromptTooLong,
        Some(429) => quota_or_throttle(error, evidence, false),
        Some(400..=499) => FailureCause::InvalidRequest,
        Some(500..=599) => FailureCause::Unavailable,
        Some(_) => FailureCause::Unknown,
        None => match (error.class.as_deref(), api_type) {
            (_, Some("rate_limit_error")) => quota_or_throttle(error, evidence, false),
            (Some("invalid_request"), _) => FailureCause::InvalidRequest,
            // An API error without a status had no response: refused, timed out or cut (facts §8).
            (Some(_), _) => FailureCause::Unavailable,
            (None, _) => FailureCause::Unknown,
        },
    }
}

/// Whether a 403 is the API's own answer about the credential, or a 404 about the model. A proxy, a VPN, a web filter
/// and the network's edge (`forbidden`) use none of the API's error names. 2.1.197 passes no name on; there the API's
/// own answers carry a request id.
fn is_of_the_api(api_type: Option<&str>, error: &ApiError) -> bool {
    match api_type {
        Some(name) => name.ends_with("_error"),
        None => !error.names_errors && error.has_request_id,
    }
}

/// A reached limit, or throttling: it is a reached limit if a limit was named.
fn quota_or_throttle(error: &ApiError, evidence: &Evidence, certain: bool) -> FailureCause {
    // The event of an earlier turn counts only when the CLI does not name its errors (2.1.197).
    let earlier = evidence.earlier_limit.as_ref().filter(|_| !error.names_errors);
    let limit = error.limit.as_ref().or(evidence.limit.as_ref()).or(earlier);
    match limit.filter(|limit| limit.status == LimitStatus::Rejected) {
        Some(limit) => FailureCause::Quota { resets_at_unix_s: limit.resets_at_unix_s },
        None if certain => FailureCause::Quota { resets_at_unix_s: None },
        None => FailureCause::Throttled { retry_after_ms: None },
    }
}

fn message(result: &TurnResult<'_>) -> String {
    let text = match result.result.as_deref() {
        Some(text) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => result.errors.as_deref().unwrap_or_default().join("; "),
    };
    text.chars().take(MESSAGE_CHARS).collect()
}
