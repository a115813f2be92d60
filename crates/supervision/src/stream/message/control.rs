//! Control messages, and the progress of commands that ccc sends.

use std::borrow::Cow;

use super::record::records;
use crate::stream::raw::Raw;

records! {
    /// `control_request`: the CLI asks ccc and waits for the answer.
    ControlRequest<'a> {
        /// The id to repeat in the answer.
        request_id: Cow<'a, str> = "request_id",
        /// What it asks.
        request: ControlAsk<'a> = "request",
    }

    /// The request of a [`ControlRequest`]. Its other members are in the envelope's `request`.
    ControlAsk<'a> {
        /// `can_use_tool`, `hook_callback`, `elicitation` ...
        subtype: Cow<'a, str> = "subtype",
        /// Of `can_use_tool`: the tool.
        tool_name: Cow<'a, str> = "tool_name",
        /// Of `can_use_tool`: the tool call.
        tool_use_id: Cow<'a, str> = "tool_use_id",
        /// Of `can_use_tool` and `hook_callback`: the input, as received.
        input: Raw<'a> = "input",
        /// Of `can_use_tool`: the call's own description.
        description: Cow<'a, str> = "description",
        /// Of `can_use_tool`: the reason of the request, if known.
        decision_reason: Cow<'a, str> = "decision_reason",
        /// Of `can_use_tool`: the CLI's suggestions for lasting permissions, as received.
        permission_suggestions: Raw<'a> = "permission_suggestions",
        /// Of `can_use_tool`: no lasting permission may be offered (2.1.329).
        suppress_always_allow_rule: bool = "suppress_always_allow_rule",
        /// Of `can_use_tool`: the task of the sub-agent that asks.
        agent_id: Cow<'a, str> = "agent_id",
        /// Of `elicitation`: the form's JSON Schema.
        requested_schema: Raw<'a> = "requested_schema",
        /// Of `elicitation`: the MCP server that requests the form.
        mcp_server_name: Cow<'a, str> = "mcp_server_name",
        /// Of `elicitation`: its message.
        message: Cow<'a, str> = "message",
    }

    /// `control_cancel_request`: the CLI withdraws a request.
    ControlCancel<'a> {
        /// The request.
        request_id: Cow<'a, str> = "request_id",
    }

    /// `control_response`: the answer to a request of ccc (the members of its `response`).
    ControlResponse<'a> {
        /// `success` or `error`.
        subtype: Cow<'a, str> = "subtype",
        /// The request.
        request_id: Cow<'a, str> = "request_id",
        /// The answer's body, as received.
        response: Raw<'a> = "response",
        /// Why the request failed.
        error: Cow<'a, str> = "error",
    }

    /// `command_lifecycle` (2.1.329): the state of a user message with a uuid.
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

    /// For an environment update: the variables that the CLI adopted. `None` on 2.1.197, which does not report them;
    /// an empty list when they were refused, although the answer says success.
    #[must_use]
    pub fn applied(&self) -> Option<Vec<Cow<'a, str>>> {
        self.response?.member("applied")?.read()
    }
}
