//! The CLI's own words, as they occur in its messages of all known versions (`fixtures/streams/`), and all texts that
//! this adapter compares with.

use super::{cost, exit, hooks, options, protocol, rules, target};
use crate::agent::Vocabulary;

/// Member names of its messages, of its tools' inputs and of hook answers.
#[rustfmt::skip]
const MEMBERS: &[&str] = &[
    "abandoned_blocks", "aborted", "action", "additional_directories", "agentId", "agentType", "agent_id", "agents",
    "all_uuids", "allow", "analytics_disabled", "anchor_uuid", "apiKeySource", "api_error", "api_error_params",
    "api_error_status", "api_error_type", "api_message_id", "api_refusal_category", "api_refusal_explanation",
    "applied", "attempt", "auto", "background", "backgroundTaskId", "bashCount", "begun_message_ids", "budget",
    "by_type", "cacheCreationEphemeral1hInputTokens", "cacheCreationEphemeral5mInputTokens",
    "cacheCreationInputTokens", "cacheReadInputTokens", "cache_creation", "cache_creation_input_tokens",
    "cache_read_input_tokens", "callback_id", "canContinueAgent", "canReadOutputFile", "canonicalModel",
    "capabilities", "cell_id", "citation", "claude_code_version", "command", "command_uuid", "compact_error",
    "compact_metadata", "compact_result", "completed", "concurrency_limit", "container", "content", "content_block",
    "contextWindow", "context_management", "continue", "costBasis", "costUSD", "cumulative_dropped_tokens", "cut",
    "cwd", "decision", "decision_reason_type", "delta", "deny", "depth_limit", "description", "diagnostics",
    "disableAllHooks", "display_name", "duration_api_ms", "duration_ms", "editFileCount", "edit_mode", "edits",
    "elapsed_time_seconds", "end_time", "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens", "error",
    "error_code", "error_status", "errors", "estimated_tokens", "estimated_tokens_delta", "event", "exit_code",
    "failed", "fallback_credit", "fallback_model", "fast_mode_disabled_reason", "fast_mode_state", "file",
    "filePath", "file_path", "first_content_frame_ms", "first_request_cache_read_input_tokens",
    "first_request_input_tokens", "five_hour", "foreground", "from_block_index", "general-purpose", "glob",
    "harnessNoteCount", "harnessSectionHash", "harnessTailCount", "head_uuid", "heartbeat", "hookSpecificOutput",
    "hook_event", "hook_id", "hook_name", "hooks", "id", "index", "inference_geo", "input", "inputTokens",
    "input_tokens", "interrupted", "isAsync", "isImage", "isMeta", "isReplay", "isSidechain", "isSynthetic",
    "isUsingOverage", "is_api_error_message", "is_backgrounded", "is_error", "iteration", "iterations", "key",
    "killed", "kind", "last_tool_name", "level", "limit", "lines", "linesAdded", "linesRemoved", "local_command",
    "logical_parent_uuid", "maxOutputTokens", "max_depth", "max_retries", "mcp_server_name", "mcp_servers",
    "memory_paths", "message", "messaging_socket_path", "mode", "model", "modelUsage",
    "model_usage_since_last_result", "name", "newLines", "newStart", "newString", "new_conversation_id",
    "new_source", "new_string", "nextFireAt", "noOutputExpected", "non_execution_kind", "notebook_path", "numLines", "num_turns",
    "offset", "oldLines", "oldStart", "oldString", "old_string", "origin", "originalFile", "original_cwd",
    "original_model", "otherToolCount", "outcome", "output", "outputFile", "outputTokens", "output_file",
    "output_style", "output_tokens", "output_tokens_details", "overage", "overageDisabledReason", "overageResetsAt",
    "overageStatus", "owed_rows", "parent", "parent_tool_use_id", "partial_json", "patch", "path", "pattern",
    "per_turn_effort_active", "permissionMode", "permission_decision", "permission_denials", "permissions",
    "plugins", "post_tokens", "pre_tokens", "preserved_messages", "preserved_segment", "prevent_continuation",
    "priority", "producer", "product_feedback_disabled", "prompt", "properties", "property_order", "provider",
    "query", "queued_turn_count", "rateLimitType", "rate_limit_info", "readCount", "reason", "reason_type", "recurring",
    "refusal_retry", "refused", "refused_message_id", "refused_user_message_uuid", "replaceAll", "replace_all",
    "request", "request_id", "request_sent_wall_ms", "requested", "requested_schema", "required", "resetsAt",
    "resolvedModel", "response", "result", "result_index", "retry_delay_ms", "role", "runId", "run_id",
    "run_in_background", "safety_stops", "sandbox_enabled", "scheduledFor", "searchCount", "served_by_anthropic",
    "server_display_name", "server_tool_use", "service_tier", "session_id", "seven_day", "seven_day_opus",
    "seven_day_sonnet", "signature", "skills", "slash_commands", "source", "spawn_depth", "spawned",
    "spawned_by_subagents", "speed", "startLine", "started_in_background", "state", "status", "stderr", "stdout",
    "still_queued", "stop_details", "stop_reason", "stop_sequence", "structuredPatch", "structured_output",
    "subagent_retry", "subagent_stats", "subagent_type", "subtype", "summary", "summary_is_report",
    "surpassedThreshold", "system", "tail_uuid", "task_description", "task_id", "task_type", "tasks",
    "terminal_reason", "terminal_slash_commands", "text", "thinking", "thinkingTokens", "thinking_display",
    "thinking_duration_ms", "thinking_tokens", "time_to_request_ms", "timeout", "timestamp", "title", "toolStats",
    "tool_input", "tool_name", "tool_result_meta", "tool_use_id", "tool_use_meta", "tool_use_result", "tool_uses",
    "tools", "toolsUsed", "totalDurationMs", "totalLines", "totalTokens", "totalToolUseCount", "total_cost_usd",
    "total_tokens", "trigger", "ttft_ms", "ttft_stream_ms", "type", "ultrathink_available",
    "ultrathink_typed_raises", "unifiedWindows", "unset", "url", "usage", "user", "userModified",
    "user_message_uuid", "user_message_uuids", "utilization", "uuid", "uuids", "view_mode", "wakeup_source",
    "webSearchRequests", "web_fetch_requests", "web_search_requests", "wrong",
    "decision_reason", "directories", "enum", "multiSelect", "options", "permission_suggestions", "plan", "questions", "rules", "suppress_always_allow_rule", "behavior", "ruleContent", "toolName", "header", "label", "question", "argumentHint", "value", "commands", "models", "destination", "annotations", "answers", "notes", "updatedInput", "subject", "task", "taskId", "todos",
    // Of hook inputs.
    "hook_event_name", "transcript_path", "permission_mode", "prompt_id", "last_assistant_message", "background_tasks", "session_crons",
    "stop_hook_active", "tool_response", "error_details", "notification_type", "agent_type", "effort", "is_interrupt", "custom_instructions", "leafUuid", "parentUuid",
];

/// Types, subtypes, states, error classes, reasons, modes and events.
#[rustfmt::skip]
const VALUES: &[&str] = &[
    "<synthetic>", "aborted_streaming", "aborted_tools", "accept", "acceptEdits", "allowed", "allowed_warning",
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "api_error", "api_retry", "approve", "assistant", "async_launched",
    "authentication_error", "authentication_failed", "auto", "background_tasks_changed", "base64", "billing_error",
    "block", "blocking_limit", "budget_exhausted", "builtin", "bypassPermissions", "can_use_tool", "cancel",
    "cancelled", "citations_delta", "CLAUDE_CODE_OAUTH_TOKEN", "clear", "command_lifecycle", "compact", "compact_boundary",
    "compacting", "completed", "connected", "connection_failed", "content_block_delta", "content_block_start",
    "content_block_stop", "control_cancel_request", "control_request", "control_response", "conversation_reset",
    "create", "default", "disabled", "dontAsk", "elicitation", "end_turn", "error", "error_during_execution",
    "error_max_budget_usd", "error_max_structured_output_retries", "error_max_turns", "failed", "firstParty",
    "five_hour", "forbidden", "form", "general-purpose", "hook_callback", "hook_progress", "hook_response",
    "hook_started", "idle", "image", "image/png", "immediate", "info", "informational", "init", "input_json_delta",
    "invalid_request", "invalid_request_error", "keep_alive", "killed", "list", "local_agent", "local_bash",
    "long_context_credits_required", "loop_wakeup", "manual", "max_output_tokens", "max_tokens", "max_turns",
    "message", "message_delta", "message_start", "message_stop", "mode", "model_context_window_exceeded", "model_fallback", "model_not_found",
    "model_refusal_no_fallback", "model_requires_usage_credits", "needs-auth", "network_edge_blocked", "none",
    "not_found_error", "notice", "Notification", "notification", "oauth_org_not_allowed", "off", "output_limit",
    "overage", "overloaded", "overloaded_error", "pause_turn", "pending", "permission-rule", "permission_denied",
    "permission_error", "PermissionDenied", "PermissionRequest", "ping", "plan", "PostCompact", "PostToolUse",
    "PostToolUseFailure", "PreCompact", "PreToolUse", "prompt_too_long", "queued", "rapid_refill_breaker",
    "rate_limit", "rate_limit_error", "rate_limit_event", "refusal", "reject", "rejected", "requesting",
    "requires_action", "result", "rule", "running", "schedule_wakeup", "server_error", "session-task",
    "session_state_changed", "SessionEnd", "SessionStart", "seven_day", "seven_day_opus", "seven_day_sonnet",
    "signature_delta", "standard", "started", "status", "Stop", "stop_sequence", "stopped", "stream_event",
    "structured_output_retry_exhausted", "SubagentStart", "SubagentStop", "subcommandResults", "success", "system",
    "task-notification", "task_notification", "task_progress", "task_started", "task_updated", "text", "text/plain",
    "text_delta", "thinking", "thinking_delta", "thinking_tokens", "tool_progress", "tool_result", "tool_use",
    "trigger", "unknown", "unsupported_request", "update", "usage_limit_reached", "user", "user-rejected",
    "UserPromptSubmit", "warning",
    "addRules", "addDirectories", "setMode", "allow", "localSettings", "session", "string", "integer", "number", "boolean", "object",
    "HookGone", "StopFailure", "prompt_input_exit", "logout", "startup", "resume", "other", "permission_prompt",
];

/// Its tools.
#[rustfmt::skip]
const TOOLS: &[&str] = &[
    "Agent", "AskUserQuestion", "Bash", "BashOutput", "CronCreate", "CronDelete", "CronList", "Edit",
    "EnterPlanMode", "EnterWorktree", "ExitPlanMode", "ExitWorktree", "Glob", "Grep", "KillShell", "LS",
    "ListMcpResourcesTool", "Monitor", "MultiEdit", "NotebookEdit", "NotebookRead", "PowerShell", "Read",
    "ReadMcpResourceTool", "ReportFindings", "ScheduleWakeup", "SendMessage", "Skill", "StructuredOutput", "Task",
    "TaskCreate", "TaskGet", "TaskList", "TaskOutput", "TaskStop", "TaskUpdate", "TodoWrite", "ToolSearch",
    "WebFetch", "WebSearch", "Write",
];

/// Substrings that decisions depend on: endings of error names, beginnings of interruptions, the rule for a host, the
/// folder of worktrees.
const PIECES: &[&str] = &["_error", "error_", "aborted_", "(domain:", "/.claude/worktrees/", "<task-notification>"];

/// See [`Vocabulary`].
pub(super) fn vocabulary() -> Vocabulary {
    let complaints = [
        exit::REFUSED,
        exit::COMPLAINT,
        exit::SESSION_IN_USE.0,
        exit::SESSION_IN_USE.1,
        exit::SESSION_UNKNOWN,
        exit::MESSAGE_UNREADABLE,
    ];
    let others = [hooks::REPEATED_PROMPT.trim_start(), protocol::CREDENTIAL_REQUEST, cost::COST_REQUEST];
    Vocabulary {
        members: MEMBERS,
        values: VALUES,
        tools: [TOOLS, target::READING_TOOLS].concat(),
        words: rules::DO_MANY_THINGS,
        phrases: [exit::BAD_USAGE, &complaints, PIECES, &others].concat(),
        kept_bytes: Some(cost::cost_line_bytes),
        is_option: Some(options::is_known),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{MEMBERS, VALUES};
    use crate::recordings::recordings;

    /// The quoted strings after `before` in a folder's code, without its tests.
    fn quoted(folder: &str, before: &[&str]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for file in recordings(&format!("crates/supervision/src/{folder}"), ".rs") {
            if file.name.contains("/tests") {
                continue;
            }
            let code = file.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for mark in before {
                for rest in code.split(mark).skip(1) {
                    found.extend(rest.split('"').next().map(str::to_owned));
                }
            }
        }
        found
    }

    #[test]
    fn every_member_that_is_read_is_in_the_vocabulary() {
        let mut read =
            quoted("stream/message", &["> = \"", "bool = \"", "u64 = \"", "f64 = \"", "i64 = \"", "u16 = \""]);
        read.extend(quoted("agent/claude", &["member(\"", "text_of(\"", "text(\""]));
        assert!(read.len() > 100, "{read:?}");
        let missing: Vec<&String> = read.iter().filter(|name| !MEMBERS.contains(&name.as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_word_that_messages_are_told_apart_by_is_in_the_vocabulary() {
        let mut matched = quoted("stream/message", &["        \""]);
        matched.retain(|word| word.chars().all(|char| char.is_ascii_lowercase() || char == '_'));
        matched.extend(quoted("agent/claude", &["Some(\"", "== Some(\"", "as_deref() == Some(\""]));
        assert!(matched.len() > 50, "{matched:?}");
        // The members of a tool's input are matched in the same form.
        let missing: Vec<&String> = matched
            .iter()
            .filter(|word| !VALUES.contains(&word.as_str()) && !MEMBERS.contains(&word.as_str()))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
