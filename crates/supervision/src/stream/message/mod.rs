//! The known messages of the CLI, decoded on demand from an [`Envelope`].
//!
//! The field names are the CLI's. A field that is missing, `null` or of another type is `None`; the adapter decides
//! whether that matters. A list skips items of another type. Nothing here is interpreted: names of states, errors and
//! windows stay strings, because the CLI adds new ones. Everything else remains readable in [`Envelope::line`].

mod control;
mod record;
mod result;
mod system;
#[cfg(test)]
mod tests;
mod turn;

pub use control::{CommandLifecycle, ControlAsk, ControlCancel, ControlRequest, ControlResponse};
pub use result::{Denial, LimitWindow, ModelUsage, Origin, RateLimit, RateLimitInfo, TurnResult, Usage};
pub use system::{
    ApiRetry, BackgroundTask, BackgroundTasks, Hook, Informational, Init, PermissionDenied, SessionState, Status,
    TaskNotification, TaskPatch, TaskProgress, TaskStarted, TaskUpdated, ThinkingTokens,
};
pub use turn::{
    Assistant, AssistantBody, Block, Blocks, StreamDelta, StreamEvent, StreamMessage, ToolProgress, ToolResult,
    ToolUse, User, UserBody, content_blocks,
};

use super::envelope::Envelope;
pub use super::raw::Entries;
use super::raw::{FromRaw, Raw};

/// One message of the CLI. The common members (`uuid`, `session_id`, `parent_tool_use_id` ...) are in the
/// [`Envelope`].
#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// `system/init`: before every turn.
    Init(Box<Init<'a>>),
    /// `system/status`.
    Status(Status<'a>),
    /// `system/api_retry`.
    ApiRetry(ApiRetry),
    /// `system/compact_boundary`.
    CompactBoundary,
    /// `system/hook_started`.
    HookStarted(Hook<'a>),
    /// `system/hook_progress`.
    HookProgress(Hook<'a>),
    /// `system/hook_response`.
    HookResponse(Hook<'a>),
    /// `system/notification`.
    Notification,
    /// `system/task_started`.
    TaskStarted(TaskStarted<'a>),
    /// `system/task_progress`.
    TaskProgress(TaskProgress<'a>),
    /// `system/task_updated`.
    TaskUpdated(TaskUpdated<'a>),
    /// `system/task_notification`.
    TaskNotification(TaskNotification<'a>),
    /// `system/model_fallback`.
    ModelFallback,
    /// `system/model_refusal_no_fallback`.
    ModelRefusal,
    /// `system/thinking_tokens`.
    ThinkingTokens(ThinkingTokens),
    /// `system/session_state_changed`.
    SessionState(SessionState<'a>),
    /// `system/background_tasks_changed`.
    BackgroundTasks(BackgroundTasks<'a>),
    /// `system/permission_denied`.
    PermissionDenied(PermissionDenied<'a>),
    /// `system/informational`.
    Informational(Informational<'a>),
    /// `assistant`.
    Assistant(Box<Assistant<'a>>),
    /// `user`.
    User(Box<User<'a>>),
    /// `stream_event`.
    StreamEvent(StreamEvent<'a>),
    /// `tool_progress`.
    ToolProgress(ToolProgress<'a>),
    /// `rate_limit_event`.
    RateLimit(Box<RateLimit<'a>>),
    /// `control_request`.
    ControlRequest(ControlRequest<'a>),
    /// `control_cancel_request`: the CLI withdraws a request.
    ControlCancel(ControlCancel<'a>),
    /// `control_response`.
    ControlResponse(ControlResponse<'a>),
    /// `command_lifecycle`.
    CommandLifecycle(CommandLifecycle<'a>),
    /// `conversation_reset`.
    ConversationReset,
    /// `result`: the end of a turn.
    Result(Box<TurnResult<'a>>),
    /// `keep_alive`.
    KeepAlive,
    /// Anything else, unparsed.
    Other(Raw<'a>),
}

/// Decodes the message in an envelope. Never fails: an unknown message is [`Message::Other`].
#[must_use]
pub fn parse_message<'a>(envelope: &Envelope<'a>) -> Message<'a> {
    read_known(envelope).unwrap_or_else(|| Message::Other(envelope.raw()))
}

fn read_known<'a>(envelope: &Envelope<'a>) -> Option<Message<'a>> {
    Some(match envelope.kind.as_deref()? {
        "system" => return read_system(envelope),
        "assistant" => Message::Assistant(Box::new(read(envelope)?)),
        "user" => Message::User(Box::new(read(envelope)?)),
        "stream_event" => Message::StreamEvent(read(envelope)?),
        "tool_progress" => Message::ToolProgress(read(envelope)?),
        "rate_limit_event" => Message::RateLimit(Box::new(read(envelope)?)),
        "control_request" => Message::ControlRequest(read(envelope)?),
        "control_cancel_request" => Message::ControlCancel(read(envelope)?),
        "control_response" => Message::ControlResponse(envelope.response?.read()?),
        "command_lifecycle" => Message::CommandLifecycle(read(envelope)?),
        "conversation_reset" => Message::ConversationReset,
        "result" => Message::Result(Box::new(read(envelope)?)),
        "keep_alive" => Message::KeepAlive,
        _ => return None,
    })
}

fn read_system<'a>(envelope: &Envelope<'a>) -> Option<Message<'a>> {
    Some(match envelope.subtype.as_deref()? {
        "init" => Message::Init(Box::new(read(envelope)?)),
        "status" => Message::Status(read(envelope)?),
        "api_retry" => Message::ApiRetry(read(envelope)?),
        "compact_boundary" => Message::CompactBoundary,
        "hook_started" => Message::HookStarted(read(envelope)?),
        "hook_progress" => Message::HookProgress(read(envelope)?),
        "hook_response" => Message::HookResponse(read(envelope)?),
        "notification" => Message::Notification,
        "task_started" => Message::TaskStarted(read(envelope)?),
        "task_progress" => Message::TaskProgress(read(envelope)?),
        "task_updated" => Message::TaskUpdated(read(envelope)?),
        "task_notification" => Message::TaskNotification(read(envelope)?),
        "model_fallback" => Message::ModelFallback,
        "model_refusal_no_fallback" => Message::ModelRefusal,
        "thinking_tokens" => Message::ThinkingTokens(read(envelope)?),
        "session_state_changed" => Message::SessionState(read(envelope)?),
        "background_tasks_changed" => Message::BackgroundTasks(read(envelope)?),
        "permission_denied" => Message::PermissionDenied(read(envelope)?),
        "informational" => Message::Informational(read(envelope)?),
        _ => return None,
    })
}

fn read<'a, T: FromRaw<'a>>(envelope: &Envelope<'a>) -> Option<T> {
    envelope.raw().read()
}
