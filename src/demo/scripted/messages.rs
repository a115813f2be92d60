//! The output lines of the real CLI, in the forms of both versions. They are taken from recordings, with the keys in the CLI's
//! order. Fields that no reader uses are omitted.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::Value;

use super::machine::Effect;
use super::options::CliVersion;

/// The present time, given by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Monotonic clock, milliseconds.
    pub ms: u64,
    /// Wall clock, unix milliseconds.
    pub unix_ms: i64,
}

/// A JSON object that is written key by key.
#[derive(Debug, Clone)]
pub(super) struct Object(String);

impl Object {
    pub(super) fn empty() -> Object {
        Object("{".to_owned())
    }

    pub(super) fn of(kind: &str) -> Object {
        Object::empty().put("type", kind)
    }

    fn system(subtype: &str) -> Object {
        Object::of("system").put("subtype", subtype)
    }

    /// A message with the role `user`; `block` is JSON.
    fn spoken(block: &str) -> Object {
        Object::empty().put("role", "user").raw("content", &format!("[{block}]"))
    }

    pub(super) fn put<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Object {
        // Serializing text, numbers and `Value`s into memory cannot fail. A failure would appear as null.
        let value = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        self.raw(key, &value)
    }

    pub(super) fn raw(mut self, key: &str, json: &str) -> Object {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        self.0.push_str(json);
        self
    }

    fn object(self, key: &str, value: Object) -> Object {
        self.raw(key, &value.end())
    }

    pub(super) fn put_if<T: Serialize>(self, key: &str, value: Option<T>) -> Object {
        match value {
            Some(value) => self.put(key, &value),
            None => self,
        }
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Writes a process's messages, each with its uuid and the common fields.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) version: CliVersion,
    pub(super) session_id: String,
    pub(super) cwd: String,
    pub(super) model: String,
    pub(super) permission_mode: String,
    /// Twelve hexadecimal digits that distinguish this process's uuids.
    nonce: String,
    next: u32,
    /// The present time.
    pub(super) now: Moment,
    /// The effects that are still to be performed.
    pub(super) effects: VecDeque<Effect>,
    /// Whether the process has exited or died, so that no effect follows.
    pub(super) ended: bool,
}

/// The facts in a `result`.
#[derive(Debug, Clone, Default)]
pub(super) struct ResultFacts<'a> {
    pub(super) subtype: &'static str,
    pub(super) is_error: bool,
    pub(super) status: Option<u16>,
    pub(super) api_error: Option<&'a str>,
    pub(super) text: Option<&'a str>,
    pub(super) stop_reason: Option<&'a str>,
    pub(super) terminal_reason: Option<&'a str>,
    pub(super) errors: Option<&'a [String]>,
    pub(super) num_turns: u32,
    pub(super) duration_ms: u64,
    pub(super) cost_usd: f64,
    /// The part of `cost_usd` since the last result.
    pub(super) since_usd: f64,
    pub(super) denials: &'a [Value],
    pub(super) answered: &'a [String],
    /// The background task whose end began the turn.
    pub(super) origin: Option<&'a str>,
    pub(super) index: u32,
}

impl Writer {
    pub(super) fn new(
        version: CliVersion,
        session_id: String,
        cwd: String,
        model: String,
        mode: String,
        nonce: &str,
    ) -> Writer {
        let hash = crate::core::derive_uuid(nonce, "scripted", 0);
        let digits: String = hash.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        Writer {
            version,
            session_id,
            cwd,
            model,
            permission_mode: mode,
            nonce: digits,
            next: 0,
            now: Moment::default(),
            effects: VecDeque::new(),
            ended: false,
        }
    }

    /// A uuid that no other message of any process has.
    pub(super) fn uuid(&mut self) -> String {
        self.next += 1;
        format!("{:08x}-0000-4000-8000-{}", self.next, self.nonce)
    }

    /// A new id with this prefix, for messages, tools, tasks and requests.
    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}{:04}", &self.nonce[..8], self.next)
    }

    /// Adds an effect, unless the process has ended.
    pub(super) fn act(&mut self, effect: Effect) {
        if !self.ended {
            self.effects.push_back(effect);
        }
    }

    fn say(&mut self, object: Object) {
        self.act(Effect::Line(object.end()));
    }

    pub(super) fn newest(&self) -> bool {
        self.version >= CliVersion::V332
    }

    /// The value in the newest version; `None` in the older one.
    fn new_only<T>(&self, value: T) -> Option<T> {
        self.newest().then_some(value)
    }

    /// The user messages that a line answers; `None` in the version that does not name them.
    fn answered<'a>(&self, uuids: &'a [String]) -> Option<&'a [String]> {
        self.new_only(uuids).filter(|uuids| !uuids.is_empty())
    }

    fn with_ids(&mut self, object: Object) -> Object {
        let uuid = self.uuid();
        object.put("uuid", &uuid).put("session_id", &self.session_id)
    }

    fn say_with_ids(&mut self, object: Object) {
        let object = self.with_ids(object);
        self.say(object);
    }

    pub(super) fn state(&mut self, state: &str) {
        self.say_with_ids(Object::system("session_state_changed").put("state", state));
    }

    /// Writes nothing in the version that has no such message.
    pub(super) fn lifecycle(&mut self, uuid: &str, state: &str) {
        if self.newest() {
            self.say_with_ids(Object::of("command_lifecycle").put("command_uuid", uuid).put("state", state));
        }
    }

    pub(super) fn init(&mut self, uuids: &[String]) {
        let uuid = self.uuid();
        let object = Object::system("init")
            .put("cwd", &self.cwd)
            .put("session_id", &self.session_id)
            .raw("tools", r#"["Task","Bash","Edit","Read","TaskStop","WebFetch","Write"]"#)
            .raw("mcp_servers", "[]")
            .put("model", &self.model)
            .put("permissionMode", &self.permission_mode)
            .raw("slash_commands", r#"["clear","compact"]"#)
            .put("apiKeySource", "none")
            .put("claude_code_version", self.version.number())
            .put("output_style", "default")
            .put("uuid", &uuid)
            .put_if("original_cwd", self.new_only(&self.cwd))
            .put_if("user_message_uuids", self.answered(uuids));
        self.say(object);
    }

    pub(super) fn status(&mut self, status: Option<&str>, uuids: &[String]) {
        let uuid = self.uuid();
        let object = Object::system("status")
            .put("status", &status)
            .put_if("compact_result", status.is_none().then_some("success"))
            .put("session_id", &self.session_id)
            .put("uuid", &uuid)
            .put_if("user_message_uuids", self.answered(uuids));
        self.say(object);
    }

    /// The acknowledgement of a user message; the repetition of an earlier one has no time.
    pub(super) fn replay(&mut self, text: &str, uuid: Option<&str>, repeats: bool) {
        let own = self.uuid();
        let object = Object::of("user")
            .object("message", Object::spoken(&text_block(text)))
            .put("session_id", &self.session_id)
            .raw("parent_tool_use_id", "null")
            .put("uuid", uuid.unwrap_or(&own))
            .put_if("timestamp", (!repeats).then(|| self.timestamp()))
            .raw("isReplay", "true");
        self.say(object);
    }

    fn stream_event(&mut self, event: Object) {
        let uuid = self.uuid();
        let object = Object::of("stream_event")
            .object("event", event)
            .put("session_id", &self.session_id)
            .raw("parent_tool_use_id", "null")
            .put("uuid", &uuid);
        self.say(object);
    }

    pub(super) fn message_start(&mut self, id: &str) {
        let message = self.model_message(id, "");
        self.stream_event(Object::empty().object("message", message).put("type", "message_start"));
    }

    pub(super) fn block_start(&mut self, index: u32, block: &str) {
        let event = Object::empty().raw("content_block", block).put("index", &index);
        self.stream_event(event.put("type", "content_block_start"));
    }

    pub(super) fn block_delta(&mut self, index: u32, kind: &str, key: &str, part: &str) {
        let delta = Object::empty().put(key, part).put("type", kind);
        self.stream_event(
            Object::empty().object("delta", delta).put("index", &index).put("type", "content_block_delta"),
        );
    }

    pub(super) fn block_stop(&mut self, index: u32) {
        self.stream_event(Object::empty().put("index", &index).put("type", "content_block_stop"));
    }

    pub(super) fn message_end(&mut self, stop_reason: &str) {
        let delta = Object::empty().put("stop_reason", stop_reason).raw("stop_sequence", "null");
        let event = Object::empty().object("delta", delta).put("type", "message_delta");
        self.stream_event(event.raw("usage", r#"{"output_tokens":1}"#));
        self.stream_event(Object::of("message_stop"));
    }

    /// The model's message with these blocks.
    fn model_message(&self, id: &str, blocks: &str) -> Object {
        Object::empty()
            .raw("content", &format!("[{blocks}]"))
            .put("id", id)
            .put("model", &self.model)
            .raw("role", r#""assistant","stop_reason":null,"stop_sequence":null,"type":"message""#)
    }

    /// A message from or to the model. `parent` is the tool call of the sub-agent to which it belongs.
    fn turn_message(&mut self, kind: &str, message: Object, parent: Option<&str>) -> Object {
        let uuid = self.uuid();
        Object::of(kind)
            .object("message", message)
            .put("parent_tool_use_id", &parent)
            .put("session_id", &self.session_id)
            .put("uuid", &uuid)
    }

    /// One complete block of a message.
    pub(super) fn assistant(&mut self, message_id: &str, block: &str, answered: &[String]) {
        let message = self.model_message(message_id, block).raw(
            "usage",
            r#"{"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"input_tokens":10,"output_tokens":1}"#,
        );
        let object = self
            .turn_message("assistant", message, None)
            .put_if("timestamp", self.new_only(self.timestamp()))
            .put_if("user_message_uuids", self.answered(answered));
        self.say(object);
    }

    /// The message that the CLI writes in place of the model's when the provider fails.
    pub(super) fn synthetic(&mut self, text: &str, error: &str, status: Option<u16>, api_type: &str) {
        let id = self.uuid();
        let message = Object::empty()
            .put("id", &id)
            .put("model", "<synthetic>")
            .raw("role", r#""assistant","stop_reason":"stop_sequence","stop_sequence":"","type":"message""#)
            .raw("content", &format!("[{}]", text_block(text)));
        let api_type = Some(api_type).filter(|name| !name.is_empty());
        let object = self
            .turn_message("assistant", message, None)
            .put_if("timestamp", self.new_only(self.timestamp()))
            .put("error", error)
            .put_if("is_api_error_message", self.new_only(true))
            .put_if("api_error_status", self.new_only(status))
            .put_if("api_error_type", api_type.filter(|_| self.newest()))
            // The older version writes the request's id instead of the API's name of the error.
            .put_if("request_id", api_type.filter(|_| !self.newest()).map(|_| "req_scripted"));
        self.say(object);
    }

    pub(super) fn tool_result(&mut self, tool: &str, content: &str, failed: bool, details: &Value) {
        let object = self.tool_returned(tool, content, failed, None).put("tool_use_result", details);
        self.say(object);
    }

    /// The result of a sub-agent's tool.
    pub(super) fn nested_tool_result(&mut self, parent: &str, tool: &str, content: &str) {
        let object = self.tool_returned(tool, content, false, Some(parent));
        self.say(object);
    }

    fn tool_returned(&mut self, tool: &str, content: &str, failed: bool, parent: Option<&str>) -> Object {
        let block = Object::empty()
            .put("tool_use_id", tool)
            .put("type", "tool_result")
            .put("content", content)
            .put("is_error", &failed);
        let timestamp = self.timestamp();
        self.turn_message("user", Object::spoken(&block.end()), parent).put("timestamp", &timestamp)
    }

    pub(super) fn interrupted_marker(&mut self, in_tool: bool) {
        let text = if in_tool { "[Request interrupted by user for tool use]" } else { "[Request interrupted by user]" };
        let timestamp = self.timestamp();
        let object = self.turn_message("user", Object::spoken(&text_block(text)), None).put("timestamp", &timestamp);
        self.say(object);
    }

    /// Writes nothing in the version that has no such message.
    pub(super) fn permission_denied(&mut self, name: &str, tool: &str, why: &str) {
        if self.newest() {
            let object = Object::system("permission_denied").put("tool_name", name).put("tool_use_id", tool);
            self.say_with_ids(object.put("decision_reason_type", "mode").put("message", why));
        }
    }

    /// Reports a command that was started in the background (`local_bash`), or a sub-agent in the foreground (`local_agent`).
    pub(super) fn task_started(&mut self, task: &str, tool: &str, description: &str, kind: &str) {
        let object = Object::system("task_started")
            .put("task_id", task)
            .put("tool_use_id", tool)
            .put("description", description)
            .put_if("is_backgrounded", self.new_only(kind == "local_bash"))
            .put("task_type", kind);
        self.say_with_ids(object);
    }

    /// One complete block of a sub-agent's message; `parent` is the tool call that started the sub-agent.
    pub(super) fn nested_assistant(&mut self, parent: &str, block: &str) {
        let (id, timestamp) = (self.id("msg_"), self.timestamp());
        let message = self.model_message(&id, block);
        let object = self.turn_message("assistant", message, Some(parent)).put("timestamp", &timestamp);
        self.say(object);
    }

    pub(super) fn task_updated(&mut self, task: &str) {
        let patch = Object::empty().put("status", "completed").put("end_time", &self.now.unix_ms);
        self.say_with_ids(Object::system("task_updated").put("task_id", task).object("patch", patch));
    }

    pub(super) fn task_notification(&mut self, task: &str, tool: &str, status: &str, summary: &str) {
        let object = Object::system("task_notification")
            .put("task_id", task)
            .put("tool_use_id", tool)
            .put("status", status)
            .put("output_file", "")
            .put("summary", summary);
        self.say_with_ids(object);
    }

    /// Lists the ids and descriptions of the running tasks. Writes nothing in the version that has no such message.
    pub(super) fn background_tasks(&mut self, tasks: &[(&str, &str)]) {
        if self.newest() {
            let list = tasks.iter().map(|(task, description)| {
                let object = Object::empty().put("task_id", task).put("task_type", "local_bash");
                object.put("description", description).end()
            });
            let list = list.collect::<Vec<_>>().join(",");
            self.say_with_ids(Object::system("background_tasks_changed").raw("tasks", &format!("[{list}]")));
        }
    }

    pub(super) fn api_retry(&mut self, attempt: u32, delay_ms: u64, status: Option<u16>) {
        let uuid = self.uuid();
        let object = Object::system("api_retry")
            .put("attempt", &attempt)
            .raw("max_retries", "10")
            .put("retry_delay_ms", &delay_ms)
            .put("error_status", &status)
            .put("error", status.map_or("unknown", error_word))
            .put("session_id", &self.session_id)
            .put("uuid", &uuid);
        self.say(object);
    }

    pub(super) fn rate_limit(&mut self, status: &str, window: &str, resets_at: Option<i64>, utilization: Option<f64>) {
        let mut info = Object::empty()
            .put("status", status)
            .put_if("resetsAt", resets_at)
            .put("rateLimitType", window)
            .put_if("utilization", utilization)
            .raw("isUsingOverage", "false");
        if let Some(resets_at) = resets_at.filter(|_| self.newest()) {
            let state = Object::empty()
                .put("utilization", &utilization.unwrap_or(1.0))
                .put("resetsAt", &resets_at)
                .put("status", status);
            info = info.object("unifiedWindows", Object::empty().object(window, state));
        }
        self.say_with_ids(Object::of("rate_limit_event").object("rate_limit_info", info));
    }

    pub(super) fn unknown(&mut self) {
        let object = self.unknown_message();
        self.say(object);
    }

    /// Writes the first half of a line.
    pub(super) fn half_line(&mut self) {
        let line = self.unknown_message().end();
        self.act(Effect::Raw(line.as_bytes()[..line.len() / 2].to_vec()));
    }

    fn unknown_message(&mut self) -> Object {
        self.with_ids(Object::of("weather_report").put("forecast", "a type that nobody knows"))
    }

    pub(super) fn control_response(&mut self, request_id: &str, response: Option<&str>) {
        let body = Object::empty().put("subtype", "success").put("request_id", request_id);
        let body = match response {
            Some(response) => body.raw("response", response),
            None => body,
        };
        self.say(Object::of("control_response").object("response", body));
    }

    pub(super) fn control_error(&mut self, request_id: &str, error: &str) {
        let body = Object::empty().put("subtype", "error").put("request_id", request_id).put("error", error);
        let body = body.put_if("error_code", self.new_only("unsupported_request"));
        self.say(Object::of("control_response").object("response", body));
    }

    /// A control request of the CLI.
    pub(super) fn control_request(&mut self, request_id: &str, request: &Value) {
        self.say(Object::of("control_request").put("request_id", request_id).put("request", request));
    }

    /// The CLI cancels its request.
    pub(super) fn control_cancel(&mut self, request_id: &str) {
        self.say(Object::of("control_cancel_request").put("request_id", request_id));
    }

    /// The CLI's repetition of our answer to its request, where user messages are replayed.
    pub(super) fn echo(&mut self, message: &Value) {
        let line = message.to_string();
        self.act(Effect::Line(line));
    }

    pub(super) fn permission_mode_changed(&mut self) {
        let uuid = self.uuid();
        let object = Object::system("status")
            .raw("status", "null")
            .put("permissionMode", &self.permission_mode)
            .put("session_id", &self.session_id)
            .put("uuid", &uuid);
        self.say(object);
    }

    pub(super) fn result(&mut self, facts: &ResultFacts<'_>) {
        let uuid = self.uuid();
        // In the newest version the type is not the first key.
        let mut object = if self.newest() { Object::empty() } else { Object::of("result") };
        object = object
            .put("duration_api_ms", &facts.duration_ms)
            .put("stop_reason", &facts.stop_reason)
            .put("session_id", &self.session_id)
            .put("total_cost_usd", &facts.cost_usd)
            .raw(
                "usage",
                r#"{"input_tokens":10,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}"#,
            )
            .object("modelUsage", self.model_usage(facts.cost_usd))
            .put("permission_denials", facts.denials)
            .put_if("terminal_reason", facts.terminal_reason);
        if let Some(task) = facts.origin {
            let mut origin = Object::empty().put("kind", "task-notification");
            if self.newest() && !task.is_empty() {
                origin = origin.put("producer", "session-task").put("runId", task);
            }
            object = object.object("origin", origin);
        }
        object = object
            .put("is_error", &facts.is_error)
            .put("num_turns", &facts.num_turns)
            .put("subtype", facts.subtype)
            .put("api_error_status", &facts.status)
            .put_if("api_error", facts.api_error.filter(|_| self.newest()))
            .put_if("errors", facts.errors)
            .put_if("result", facts.text)
            .put_if("type", self.new_only("result"))
            .put("duration_ms", &facts.duration_ms)
            .put("uuid", &uuid);
        if self.newest() {
            object = object
                .put_if("user_message_uuid", facts.answered.last())
                .put_if("user_message_uuids", self.answered(facts.answered))
                .raw("queued_turn_count", "0")
                .put("result_index", &facts.index)
                .object("model_usage_since_last_result", self.model_usage(facts.since_usd));
        }
        self.say(object);
    }

    fn model_usage(&self, usd: f64) -> Object {
        if usd <= 0.0 {
            return Object::empty();
        }
        let cost = Object::empty()
            .raw("inputTokens", "10")
            .raw("outputTokens", "1")
            .put("costUSD", &usd)
            .raw("contextWindow", "1000000");
        Object::empty().object(&self.model, cost)
    }

    /// The time in the CLI's form.
    fn timestamp(&self) -> String {
        let time = jiff::Timestamp::from_millisecond(self.now.unix_ms);
        time.map_or_else(|_| String::new(), |time| format!("{time:.3}"))
    }
}

fn text_block(text: &str) -> String {
    Value::from_iter([("type", "text"), ("text", text)]).to_string()
}

/// The value of an `error` field for this status.
pub(super) fn error_word(status: u16) -> &'static str {
    match status {
        401 | 403 => "authentication_failed",
        404 => "model_not_found",
        429 => "rate_limit",
        529 => "overloaded",
        500..=599 => "server_error",
        400..=499 => "invalid_request",
        _ => "unknown",
    }
}
