//! Messages of type `system`.

use std::borrow::Cow;

use super::record::records;
use crate::stream::raw::Raw;

records! {
    /// `system/init`, before every turn, also before those that the CLI starts by itself.
    Init<'a> {
        /// The working directory.
        cwd: Cow<'a, str> = "cwd",
        /// Names of the tools; the tool `Agent` of the wire is called `Task` here.
        tools: Vec<Cow<'a, str>> = "tools",
        /// MCP servers and whether they are connected.
        mcp_servers: Vec<McpServer<'a>> = "mcp_servers",
        /// The model. To resume or fork under the same, pass it on (facts §4).
        model: Cow<'a, str> = "model",
        /// The permission mode.
        permission_mode: Cow<'a, str> = "permissionMode",
        /// Where an API key came from; `none` for OAuth.
        api_key_source: Cow<'a, str> = "apiKeySource",
        /// The CLI's version.
        claude_code_version: Cow<'a, str> = "claude_code_version",
        /// Names of slash commands.
        slash_commands: Vec<Cow<'a, str>> = "slash_commands",
        /// Names of sub-agents.
        agents: Vec<Cow<'a, str>> = "agents",
        /// Names of skills.
        skills: Vec<Cow<'a, str>> = "skills",
        /// What this version can do (2.1.329).
        capabilities: Vec<Cow<'a, str>> = "capabilities",
        /// The user messages that this turn answers (2.1.329).
        user_message_uuids: Vec<Cow<'a, str>> = "user_message_uuids",
        /// Where the session was begun (2.1.329).
        original_cwd: Cow<'a, str> = "original_cwd",
    }

    /// An MCP server.
    McpServer<'a> {
        /// Its name.
        name: Cow<'a, str> = "name",
        /// `connected`, `failed` ...
        status: Cow<'a, str> = "status",
    }

    /// `system/status`.
    Status<'a> {
        /// `requesting` (with partial messages only), `compacting`; none when compacting has ended.
        status: Cow<'a, str> = "status",
        /// `success` or `failed`, when compacting has ended.
        compact_result: Cow<'a, str> = "compact_result",
        /// Why compacting failed.
        compact_error: Cow<'a, str> = "compact_error",
        /// The permission mode from now on, when it has changed.
        permission_mode: Cow<'a, str> = "permissionMode",
        /// The user messages that this turn answers (2.1.329).
        user_message_uuids: Vec<Cow<'a, str>> = "user_message_uuids",
    }

    /// `system/api_retry`: a request failed and will be sent again.
    ApiRetry<'a> {
        /// Which retry this is, from 1.
        attempt: u32 = "attempt",
        /// How many there will be.
        max_retries: u32 = "max_retries",
        /// The wait before it, milliseconds.
        retry_delay_ms: f64 = "retry_delay_ms",
        /// The HTTP status; none when there was no response.
        error_status: u16 = "error_status",
        /// For example `authentication_failed`, `rate_limit`, `overloaded`.
        error: Cow<'a, str> = "error",
    }

    /// `system/compact_boundary`.
    CompactBoundary<'a> {
        /// What was compacted.
        compact_metadata: CompactMetadata<'a> = "compact_metadata",
    }

    /// What a compaction did.
    CompactMetadata<'a> {
        /// `manual` or `auto`.
        trigger: Cow<'a, str> = "trigger",
        /// Tokens before.
        pre_tokens: u64 = "pre_tokens",
        /// Tokens after.
        post_tokens: u64 = "post_tokens",
        /// How long it took, milliseconds.
        duration_ms: f64 = "duration_ms",
    }

    /// `system/hook_started`, `system/hook_progress` (what it has said so far, when that has grown) and `system/hook_response`.
    /// The first has no field from `output` on, only the last an exit code and an outcome.
    Hook<'a> {
        /// Its id.
        hook_id: Cow<'a, str> = "hook_id",
        /// For example `SessionStart:startup`.
        hook_name: Cow<'a, str> = "hook_name",
        /// For example `SessionStart`.
        hook_event: Cow<'a, str> = "hook_event",
        /// What it said.
        output: Cow<'a, str> = "output",
        /// Its stdout.
        stdout: Cow<'a, str> = "stdout",
        /// Its stderr.
        stderr: Cow<'a, str> = "stderr",
        /// Its exit code.
        exit_code: i64 = "exit_code",
        /// `success`, `error`, `cancelled` ...
        outcome: Cow<'a, str> = "outcome",
    }

    /// `system/notification`: a text for the screen.
    Notification<'a> {
        /// What it is about, for example `stop-hook-error` (which is no error, facts §1).
        key: Cow<'a, str> = "key",
        /// The text.
        text: Cow<'a, str> = "text",
        /// For example `immediate`.
        priority: Cow<'a, str> = "priority",
    }

    /// `system/task_started`: a sub-agent, a background command, or a command that runs for about 3 s already.
    TaskStarted<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// The tool call that started it.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// A description for people.
        description: Cow<'a, str> = "description",
        /// The kind of sub-agent.
        subagent_type: Cow<'a, str> = "subagent_type",
        /// `local_agent`, `local_bash`.
        task_type: Cow<'a, str> = "task_type",
        /// A sub-agent's prompt.
        prompt: Cow<'a, str> = "prompt",
        /// Which life of the task (2.1.329).
        run_id: Cow<'a, str> = "run_id",
        /// Whether it runs in the background (2.1.329).
        is_backgrounded: bool = "is_backgrounded",
        /// How many sub-agents stand above it (2.1.329).
        spawn_depth: u32 = "spawn_depth",
    }

    /// `system/task_progress`.
    TaskProgress<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// The tool call that started it.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// A description for people.
        description: Cow<'a, str> = "description",
        /// The tool that it used last.
        last_tool_name: Cow<'a, str> = "last_tool_name",
        /// What it has used, as sent.
        usage: Raw<'a> = "usage",
        /// Which life of the task (2.1.329).
        run_id: Cow<'a, str> = "run_id",
    }

    /// `system/task_updated`.
    TaskUpdated<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// What changed.
        patch: TaskPatch<'a> = "patch",
        /// Which life of the task (2.1.329).
        run_id: Cow<'a, str> = "run_id",
    }

    /// What changed in a task.
    TaskPatch<'a> {
        /// Its new state, for example `completed`.
        status: Cow<'a, str> = "status",
        /// When it ended, unix milliseconds.
        end_time_unix_ms: f64 = "end_time",
        /// Whether it now runs in the background (2.1.329).
        is_backgrounded: bool = "is_backgrounded",
    }

    /// `system/task_notification`: a task ended.
    TaskNotification<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// The tool call that started it.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// `completed`, `failed`, `stopped`.
        status: Cow<'a, str> = "status",
        /// The file with its output.
        output_file: Cow<'a, str> = "output_file",
        /// What it did, in a sentence; a sub-agent's report when `summary_is_report`.
        summary: Cow<'a, str> = "summary",
        /// (2.1.329)
        summary_is_report: bool = "summary_is_report",
        /// What it used, as sent.
        usage: Raw<'a> = "usage",
        /// Which life of the task (2.1.329).
        run_id: Cow<'a, str> = "run_id",
    }

    /// `system/model_fallback`: another model goes on.
    ModelFallback<'a> {
        /// Why, for example `overloaded`.
        trigger: Cow<'a, str> = "trigger",
        /// The model so far.
        original_model: Cow<'a, str> = "original_model",
        /// The model from now on.
        fallback_model: Cow<'a, str> = "fallback_model",
    }

    /// `system/model_refusal_no_fallback`: the model refused to answer.
    ModelRefusal<'a> {
        /// The model.
        original_model: Cow<'a, str> = "original_model",
        /// The text shown to a user.
        content: Cow<'a, str> = "content",
        /// The API's request.
        request_id: Cow<'a, str> = "request_id",
    }

    /// `system/thinking_tokens`: how much was thought so far (with partial messages).
    ThinkingTokens {
        /// Tokens so far.
        estimated_tokens: u64 = "estimated_tokens",
        /// Tokens since the last of these.
        estimated_tokens_delta: u64 = "estimated_tokens_delta",
    }

    /// `system/session_state_changed` (only when asked for by the environment).
    SessionState<'a> {
        /// `running`, `idle`, `requires_action`. `idle` also comes while a background command runs (facts §4).
        state: Cow<'a, str> = "state",
    }

    /// `system/background_tasks_changed` (2.1.329): all that runs in the background from now on.
    BackgroundTasks<'a> {
        /// The whole list; empty when there is nothing.
        tasks: Vec<BackgroundTask<'a>> = "tasks",
    }

    /// Something that runs in the background.
    BackgroundTask<'a> {
        /// Its id.
        task_id: Cow<'a, str> = "task_id",
        /// Which life of the task.
        run_id: Cow<'a, str> = "run_id",
        /// `local_agent`, `local_bash`.
        task_type: Cow<'a, str> = "task_type",
        /// A description for people.
        description: Cow<'a, str> = "description",
    }

    /// `system/permission_denied` (2.1.329).
    PermissionDenied<'a> {
        /// The tool.
        tool_name: Cow<'a, str> = "tool_name",
        /// The tool call.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// What decided, for example `mode` or `rule`.
        decision_reason_type: Cow<'a, str> = "decision_reason_type",
        /// What the model was told.
        message: Cow<'a, str> = "message",
    }

    /// `system/informational`: a text for people.
    Informational<'a> {
        /// The text.
        content: Cow<'a, str> = "content",
        /// For example `info`, `warning`.
        level: Cow<'a, str> = "level",
        /// A hook keeps the CLI from going on with what it was asked.
        prevent_continuation: bool = "prevent_continuation",
    }
}
