//! Control messages, and what becomes of the commands that we send.

use std::borrow::Cow;

use super::record::records;
use crate::stream::raw::Raw;

records! {
    /// `control_request`: the CLI asks us; it waits until it is answered.
    ControlRequest<'a> {
        /// To be named in the answer.
        request_id: Cow<'a, str> = "request_id",
        /// What it asks.
        request: ControlAsk<'a> = "request",
    }

    /// What a [`ControlRequest`] asks. Everything else stands in the envelope's `request`.
    ControlAsk<'a> {
        /// `can_use_tool`, `hook_callback`, `elicitation` ...
        subtype: Cow<'a, str> = "subtype",
        /// Of `can_use_tool`: the tool.
        tool_name: Cow<'a, str> = "tool_name",
        /// Of `can_use_tool`: the tool call.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// Of `can_use_tool` and `hook_callback`: the input, as sent.
        input: Raw<'a> = "input",
        /// Of `elicitation`: the MCP server that wants something filled in.
        mcp_server_name: Cow<'a, str> = "mcp_server_name",
        /// Of `elicitation`: what it says.
        message: Cow<'a, str> = "message",
    }

    /// `control_cancel_request`: the CLI takes a request back.
    ControlCancel<'a> {
        /// Which.
        request_id: Cow<'a, str> = "request_id",
    }

    /// `control_response`: the answer to a request of ours (the members of its `response`).
    ControlResponse<'a> {
        /// `success` or `error`.
        subtype: Cow<'a, str> = "subtype",
        /// Which request.
        request_id: Cow<'a, str> = "request_id",
        /// The answer's body, as sent.
        response: Raw<'a> = "response",
    }

    /// `command_lifecycle` (2.1.329): what becomes of a user message that has a uuid.
    CommandLifecycle<'a> {
        /// The message's uuid.
        command_uuid: Cow<'a, str> = "command_uuid",
        /// `queued` on receipt, `started`, `completed`, `cancelled`.
        state: Cow<'a, str> = "state",
    }
}

impl<'a> ControlResponse<'a> {
    /// Whether the request succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.subtype.as_deref() == Some("success")
    }

    /// Of an environment update: the variables that were taken over. `None` on 2.1.197, which does not say; an empty list
    /// where they were refused, although the answer says success.
    #[must_use]
    pub fn applied(&self) -> Option<Vec<Cow<'a, str>>> {
        self.response?.member("applied")?.read()
    }
}
