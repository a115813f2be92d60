//! The agent's requests to its user over the protocol, and its reactions to the answers (facts 2.1.332, B).

use serde_json::{Map, Value, json};

use super::machine::ScriptedAgent;
use super::script::{AskedTool, Form, Tool};
use super::turn::{Blocked, OpenTool, Turn};

/// The tool by which the model asks questions.
const QUESTIONS: &str = "AskUserQuestion";
/// The tool by which the model asks for approval of its plan.
const PLAN: &str = "ExitPlanMode";
/// The tool result of a request that the end of stdin interrupted.
const STREAM_CLOSED: &str =
    "Tool permission request failed: Error: Tool permission stream closed before response received";

/// A request that waits for its answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    request_id: String,
    about: About,
}

#[derive(Debug, Clone, PartialEq)]
enum About {
    Tool { call: String, tool: Tool },
    Questions { call: String, input: Map<String, Value> },
    Plan { call: String, input: Map<String, Value> },
    Form,
}

impl About {
    /// The call that the request is about, with its tool and its input.
    fn call(&self) -> Option<(&str, &str, &Map<String, Value>)> {
        match self {
            About::Tool { call, tool } => Some((call, &tool.name, &tool.input)),
            About::Questions { call, input } => Some((call, QUESTIONS, input)),
            About::Plan { call, input } => Some((call, PLAN, input)),
            About::Form => None,
        }
    }
}

impl ScriptedAgent {
    /// Calls a tool that needs a permission.
    pub(super) fn ask_for_tool(&mut self, turn: &mut Turn, asked: AskedTool) {
        let AskedTool { mut tool, suggestions, reason, withdrawn_ms } = asked;
        tool.input = self.absolute(tool.input);
        let call = self.call_tool(turn, &tool.name, &tool.input);
        let edits = matches!(tool.name.as_str(), "Write" | "Edit") && self.writer.permission_mode == "acceptEdits";
        let is_allowed = edits || self.writer.permission_mode == "bypassPermissions";
        if is_allowed || self.allowed_for_session.contains(&tool.name) {
            self.use_tool(turn, &call, tool);
            return;
        }
        if !self.may_ask() {
            self.deny(turn, &tool.name, &call, &tool.input);
            return;
        }
        let mut request = json!({"permission_suggestions": suggestions});
        if !reason.is_empty() {
            request["decision_reason"] = reason.into();
        }
        let withdrawn_at = withdrawn_ms.map(|ms| self.writer.now.ms.saturating_add(ms));
        self.ask(turn, About::Tool { call, tool }, request);
        turn.blocked = Blocked::Answer(withdrawn_at);
    }

    pub(super) fn ask_questions(&mut self, turn: &mut Turn, questions: Vec<Value>) {
        let input = Map::from_iter([("questions".to_owned(), Value::Array(questions))]);
        let call = self.call_tool(turn, QUESTIONS, &input);
        self.ask_or_refuse(turn, About::Questions { call, input });
    }

    /// Enters plan mode, which needs no permission, and asks for approval of the plan.
    pub(super) fn ask_for_plan(&mut self, turn: &mut Turn, plan: String) {
        if self.may_ask() {
            self.works_in("plan");
        }
        let input = Map::from_iter([("plan".to_owned(), Value::String(plan))]);
        let call = self.call_tool(turn, PLAN, &input);
        self.ask_or_refuse(turn, About::Plan { call, input });
    }

    pub(super) fn ask_with_form(&mut self, turn: &mut Turn, form: Form) {
        let Form { server, message, schema } = form;
        let request = json!({"subtype": "elicitation", "mcp_server_name": server, "message": message, "mode": "form",
            "requested_schema": schema});
        self.ask(turn, About::Form, request);
    }

    /// Whether requests are possible. The real CLI has the asking tools only with the prompt tool `stdio`.
    fn may_ask(&self) -> bool {
        self.options.asks && self.options.permission_mode != "dontAsk"
    }

    fn ask_or_refuse(&mut self, turn: &mut Turn, about: About) {
        if self.may_ask() {
            self.ask(turn, about, json!({"requires_user_interaction": true}));
        } else if let Some((call, name, _)) = about.call() {
            let text = format!("No such tool available: {name}. {name} is disabled for this session.");
            let details = Value::String(format!("Error: {text}"));
            self.writer.tool_result(call, &text, true, &details);
        }
    }

    fn ask(&mut self, turn: &mut Turn, about: About, mut request: Value) {
        if let Some((call, name, input)) = about.call() {
            request["subtype"] = "can_use_tool".into();
            request["tool_name"] = name.into();
            request["display_name"] = name.into();
            request["input"] = Value::Object(input.clone());
            request["tool_use_id"] = call.into();
            if let Some(description) = input.get("description") {
                request["description"] = description.clone();
            }
            turn.open_tool = Some(OpenTool::of(call));
        }
        self.tell_state("requires_action");
        let request_id = self.writer.uuid();
        self.writer.control_request(&request_id, &request);
        turn.asked = Some(Asked { request_id, about });
        turn.blocked = Blocked::Answer(None);
    }

    /// Handles an answer to a request; ignores late, repeated and unknown ones.
    pub(super) fn answered(&mut self, response: &Value) {
        let Some(turn) = &mut self.turn else { return };
        let named = response.get("request_id").and_then(Value::as_str);
        let Some(asked) = turn.asked.take_if(|asked| named == Some(asked.request_id.as_str())) else { return };
        let answer = response.get("response").cloned().unwrap_or_default();
        self.settle(asked, &answer);
    }

    /// Handles the end of stdin: the open request fails, and the turn continues.
    pub(super) fn answer_cannot_come(&mut self) {
        if let Some(asked) = self.turn.as_mut().and_then(|turn| turn.asked.take()) {
            self.settle(asked, &json!({"behavior": "deny", "message": STREAM_CLOSED}));
        }
    }

    /// Withdraws the request, because a hook has allowed the tool meanwhile.
    pub(super) fn withdraw(&mut self, turn: &mut Turn) {
        if let Some(Asked { request_id, about }) = turn.asked.take() {
            self.writer.control_cancel(&request_id);
            self.tell_state("running");
            if let About::Tool { call, tool } = about {
                self.use_tool(turn, &call, tool);
            }
        }
    }

    /// Cancels the open request of an interrupted turn.
    pub(super) fn cancel_request(&mut self, turn: &mut Turn) {
        if let Some(asked) = turn.asked.take() {
            self.writer.control_cancel(&asked.request_id);
        }
    }

    fn settle(&mut self, asked: Asked, answer: &Value) {
        let Some(mut turn) = self.turn.take() else { return };
        turn.blocked = Blocked::No;
        self.tell_state("running");
        let is_allowed = answer.get("behavior").and_then(Value::as_str) == Some("allow");
        match asked.about {
            About::Form => {}
            about if !is_allowed => {
                let words = answer.get("message").and_then(Value::as_str).unwrap_or_default();
                if let Some((call, name, input)) = about.call() {
                    self.writer.tool_result(call, words, true, &Value::String(format!("Error: {words}")));
                    turn.denials.push(json!({"tool_name": name, "tool_use_id": call, "tool_input": input}));
                }
                turn.open_tool = None;
            }
            About::Tool { call, mut tool } => {
                if let Some(input) = answer.get("updatedInput").and_then(Value::as_object).filter(|it| !it.is_empty()) {
                    tool.input = input.clone();
                }
                self.update_permissions(answer, &tool.name);
                self.use_tool(&mut turn, &call, tool);
            }
            About::Questions { call, .. } => {
                let answers = answer.get("updatedInput").and_then(|input| input.get("answers")?.as_object());
                let told: Vec<String> = answers
                    .into_iter()
                    .flatten()
                    .map(|(question, answer)| format!("\"{question}\"=\"{}\"", answer.as_str().unwrap_or_default()))
                    .collect();
                let text = match told.as_slice() {
                    [] => "The user did not answer the questions.".to_owned(),
                    told => format!(
                        "Your questions have been answered: {}. You can now continue with these answers in mind.",
                        told.join(", ")
                    ),
                };
                self.writer.tool_result(&call, &text, false, &json!({ "answers": answers }));
                turn.open_tool = None;
            }
            About::Plan { call, input } => {
                self.works_in("default");
                self.update_permissions(answer, PLAN);
                let plan = input.get("plan").and_then(Value::as_str).unwrap_or_default();
                let text =
                    format!("User has approved your plan. You can now start coding.\n\n## Approved Plan:\n{plan}");
                self.writer.tool_result(&call, &text, false, &json!({ "plan": plan }));
                turn.open_tool = None;
            }
        }
        self.turn = Some(turn);
    }

    /// Applies permission updates. A rule allows the whole tool, which is coarser than in the real CLI.
    fn update_permissions(&mut self, answer: &Value, tool: &str) {
        let updates = answer.get("updatedPermissions").and_then(Value::as_array);
        for update in updates.into_iter().flatten() {
            match update.get("type").and_then(Value::as_str) {
                Some("addRules") => drop(self.allowed_for_session.insert(tool.to_owned())),
                Some("setMode") => {
                    let mode = update.get("mode").and_then(Value::as_str).unwrap_or("default").to_owned();
                    self.works_in(&mode);
                }
                Some(_) | None => {}
            }
        }
    }

    /// Changes the permission mode.
    pub(super) fn works_in(&mut self, mode: &str) {
        if self.writer.permission_mode != mode {
            mode.clone_into(&mut self.writer.permission_mode);
            self.writer.permission_mode_changed();
        }
    }
}
