//! Messages of type `system`.

use std::borrow::Cow;

use super::record::records;
use crate::stream::raw::Raw;

records! {
    /// `system/init`, before every turn, including those that the CLI starts by itself.
    Init<'a> {
        /// The working directory.
        cwd: Cow<'a, str> = "cwd",
        /// The model. To resume or fork with the same one, pass it on (facts §4).
        model: Cow<'a, str> = "model",
        /// The permission mode.
        permission_mode: Cow<'a, str> = "permissionMode",
        /// The CLI's version.
        claude_code_version: Cow<'a, str> = "claude_code_version",
        /// Whether the CLI's own sandbox is in force; version 2.1.197 does not say it.
        sandbox_enabled: bool = "sandbox_enabled",
    }

    /// `system/status`.
    Status<'a> {
        /// `requesting` (only with partial messages), `compacting`; absent when compacting has ended.
        status: Cow<'a, str> = "status",
        /// The new permission mode, if it has changed.
        permission_mode: Cow<'a, str> = "permissionMode",
    }

    /// `system/api_retry`: a request failed and will be sent again.
    ApiRetry {
        /// The number of this retry, from 1.
        attempt: u32 = "attempt",
        /// The maximum number of retries.
        max_retries: u32 = "max_retries",
        /// The delay before it, milliseconds.
        retry_delay_ms: f64 = "retry_delay_ms",
        /// The HTTP status; absent when there was no response.
        error_status: u16 = "error_status",
    }

    /// `system/hook_started`, `system/hook_progress` (its output so far, when that has grown) and
    /// `system/hook_response`. The first has no field from `output` on; only the last has an exit code and an
    /// outcome.
    Hook<'a> {
        /// Its id.
        hook_id: Cow<'a, str> = "hook_id",
        /// For example `SessionStart:startup`.
        hook_name: Cow<'a, str> = "hook_name",
        /// For example `SessionStart`.
        hook_event: Cow<'a, str> = "hook_event",
        /// Its output.
        output: Cow<'a, str> = "output",
        /// Its stdout.
        stdout: Cow<'a, str> = "stdout",
        /// Its exit code.
        exit_code: i64 = "exit_code",
    }

    /// `system/task_started`: a sub-agent, a background command, or a command that has run for about 3 s.
    TaskStarted<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// The tool call that started it.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// A description for people.
        description: Cow<'a, str> = "description",
        /// `local_agent`, `local_bash`.
        task_type: Cow<'a, str> = "task_type",
        /// Whether it runs in the background (2.1.329).
        is_backgrounded: bool = "is_backgrounded",
    }

    /// `system/task_progress`.
    TaskProgress<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// The tool call that started it.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// The tool that it used last.
        last_tool_name: Cow<'a, str> = "last_tool_name",
        /// Its usage, as received.
        usage: Raw<'a> = "usage",
    }

    /// `system/task_updated`.
    TaskUpdated<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// The changes.
        patch: TaskPatch<'a> = "patch",
    }

    /// The changes of a task.
    TaskPatch<'a> {
        /// Its new state, for example `completed`.
        status: Cow<'a, str> = "status",
        /// Whether it now runs in the background (2.1.329).
        is_backgrounded: bool = "is_backgrounded",
    }

    /// `system/task_notification`: a task ended.
    TaskNotification<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// `completed`, `failed`, `stopped`.
        status: Cow<'a, str> = "status",
    }

    /// `system/thinking_tokens`: the estimated thinking so far (with partial messages).
    ThinkingTokens {
        /// Tokens so far.
        estimated_tokens: u64 = "estimated_tokens",
        /// Tokens since the last such message.
        estimated_tokens_delta: u64 = "estimated_tokens_delta",
    }

    /// `system/session_state_changed` (only if enabled by an environment variable).
    SessionState<'a> {
        /// `running`, `idle`, `requires_action`. `idle` also comes while a background command runs (facts §4).
        state: Cow<'a, str> = "state",
    }

    /// `system/background_tasks_changed` (2.1.329): everything that now runs in the background.
    BackgroundTasks<'a> {
        /// The complete list; empty when nothing runs.
        tasks: Vec<BackgroundTask<'a>> = "tasks",
    }

    /// A background task.
    BackgroundTask<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// A description for people.
        description: Cow<'a, str> = "description",
    }

    /// `system/permission_denied` (2.1.329).
    PermissionDenied<'a> {
        /// The tool.
        tool_name: Cow<'a, str> = "tool_name",
        /// The tool call.
        tool_use_id: Cow<'a, str> = "tool_use_id",
    }

    /// `system/informational`: a text for people.
    Informational<'a> {
        /// The text.
        content: Cow<'a, str> = "content",
        /// A hook prevents the CLI from continuing.
        prevent_continuation: bool = "prevent_continuation",
    }
}
