//! Scenes of failures and limits.

use serde_json::json;

use super::Step::{Raw, Turn, Until};
use super::{Scene, ending, error, limited, scene, stopped};
use crate::scripted_api::{Ending, Reply, Script, When};

pub(super) fn failures() -> Vec<Scene> {
    let cut = |after_deltas| ending("four parts of text here", Ending::Cut { after_deltas });
    let error_event = Ending::ErrorEvent { after_deltas: 99, error_type: "overloaded_error".to_owned() };
    vec![
        scene(
            "api_retry",
            "two 500s, then an answer",
            error(2, 500, "api_error", "Internal server error"),
            vec![Turn("try")],
        ),
        scene(
            "overloaded_fallback",
            "529 until the fallback model answers",
            error(3, 529, "overloaded_error", "Overloaded"),
            vec![Turn("try")],
        )
        .args(&["--model", "claude-opus-4-6", "--fallback-model", "claude-sonnet-4-5"]),
        scene(
            "server_error",
            "500 to the last retry",
            error(9, 500, "api_error", "Internal server error"),
            vec![Turn("try")],
        )
        .env("CLAUDE_CODE_MAX_RETRIES", "1"),
        scene(
            "key_refused",
            "401 on a key",
            error(2, 401, "authentication_error", "invalid x-api-key"),
            vec![Turn("try")],
        )
        .env("CLAUDE_CODE_MAX_RETRIES", "1"),
        scene("forbidden", "403", error(1, 403, "permission_error", "not allowed"), vec![Turn("try")]),
        scene(
            "prompt_too_long",
            "400 prompt is too long",
            error(9, 400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            vec![Turn("try")],
        ),
        scene(
            "credit",
            "400 credit balance",
            error(9, 400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
            vec![Turn("try")],
        ),
        scene("refusal", "stop_reason refusal", Script::new().always(stopped("I", "refusal")), vec![Turn("no")]),
        scene(
            "max_tokens",
            "stop_reason max_tokens",
            Script::new().always(stopped("a b c", "max_tokens")),
            vec![Turn("more")],
        ),
        scene("empty_reply", "no content, ever", Script::new().always(Reply::blocks(Vec::new())), vec![Turn("hm")]),
        scene(
            "cut_in_block",
            "the connection is cut inside a block, then an answer",
            Script::new().then(cut(2)).always(Reply::text("whole")),
            vec![Turn("talk")],
        ),
        scene(
            "truncated_after_block",
            "the body ends properly after a block, without message_stop",
            Script::new().then(ending("some text", Ending::Truncate { after_deltas: 99 })).always(Reply::text("whole")),
            vec![Turn("talk")],
        ),
        scene(
            "cut_after_block",
            "the connection is cut after a block, every time",
            Script::new().always(cut(99)),
            vec![Turn("talk")],
        ),
        scene(
            "error_event",
            "an error event after a block, then an answer",
            Script::new().then(ending("some text", error_event)).always(Reply::text("whole")),
            vec![Turn("talk")],
        ),
        scene(
            "garbage",
            "HTML in place of events, every time",
            Script::new().always(Reply::Garbage { body: "<html>bad gateway</html>".to_owned() }),
            vec![Turn("talk")],
        )
        .env("CLAUDE_CODE_MAX_RETRIES", "1"),
        scene(
            "no_headers",
            "no answer to the first try",
            Script::new().then(Reply::StallBeforeHeaders).always(Reply::text("late")),
            vec![Turn("talk")],
        )
        .env("API_TIMEOUT_MS", "2000"),
    ]
}

pub(super) fn limits() -> Vec<Scene> {
    let swap = json!({"type": "update_environment_variables", "request_id": "swap-1",
        "variables": {"CLAUDE_CODE_OAUTH_TOKEN": "made-up-oauth-token-2"}});
    vec![
        scene(
            "limit_rejected",
            "429 of a subscription, its five hours spent",
            Script::new().always(Reply::limit_reached("five_hour", 3600)),
            vec![Turn("work")],
        )
        .oauth(),
        scene(
            "limit_rejected_weekly",
            "429 of a subscription, its week spent",
            Script::new().always(Reply::limit_reached("seven_day", 300_000)),
            vec![Turn("work")],
        )
        .oauth(),
        scene(
            "limit_warning",
            "allowed, then allowed_warning, on good replies",
            Script::new()
                .then(limited("allowed", 0.5, None))
                .then(limited("allowed_warning", 0.92, Some(0.9)))
                .always(limited("allowed_warning", 0.96, Some(0.95))),
            vec![Turn("work"), Turn("more"), Turn("still more")],
        )
        .oauth(),
        scene(
            "limit_hot_swap",
            "429, another token over stdin, and on",
            Script::new()
                .on(
                    When::header("authorization", "Bearer made-up-oauth-token-1"),
                    Reply::limit_reached("five_hour", 3600),
                )
                .always_on(When::header("authorization", "Bearer made-up-oauth-token-2"), Reply::text("went on")),
            vec![Turn("work"), Raw(swap), Until("control_response", "swap-1"), Turn("continue")],
        )
        .oauth(),
        scene(
            "oauth_refused",
            "401 on an OAuth token",
            error(9, 401, "authentication_error", "OAuth token has expired"),
            vec![Turn("work")],
        )
        .oauth(),
        scene(
            "key_limited",
            "429 on a key with a long retry-after",
            Script::new().always(Reply::Error {
                status: 429,
                error_type: "rate_limit_error".to_owned(),
                message: "Number of requests has exceeded your rate limit".to_owned(),
                headers: [("retry-after".to_owned(), "300".to_owned())].into(),
                limit: None,
            }),
            vec![Turn("work")],
        ),
    ]
}
