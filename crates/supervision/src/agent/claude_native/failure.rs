//! Why a turn failed, from the error class in the `StopFailure` hook. The hook gives neither a status nor a reset
//! time.

use crate::agent::FailureCause;

/// The cause for this error class (both versions, and the names that the programs declare).
pub(super) fn cause(class: &str) -> FailureCause {
    match class {
        // A reached limit and throttling have the same name.
        "rate_limit" => FailureCause::Throttled { retry_after_ms: None },
        "authentication_failed" | "oauth_org_not_allowed" => FailureCause::Refused,
        "server_error" | "overloaded" => FailureCause::Unavailable,
        "billing_error" => FailureCause::Billing,
        "model_not_found" => FailureCause::ModelNotFound,
        "invalid_request" => FailureCause::InvalidRequest,
        "max_output_tokens" => FailureCause::MaxOutput,
        _ => FailureCause::Unknown,
    }
}
