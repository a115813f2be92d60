//! The lines of the real CLI, in both versions' shapes, with what follows from them left out where nobody reads it.
//! Taken from recordings of the real CLI; keys stand in its order.

use serde::Serialize;
use serde_json::Value;

use super::options::CliVersion;

/// A moment, as the caller sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Milliseconds on a clock that only goes forward.
    pub ms: u64,
    /// Wall clock, unix milliseconds.
    pub unix_ms: i64,
}

/// A JSON object, written key by key.
#[derive(Debug, Clone)]
pub(super) struct Object(String);

impl Object {
    pub(super) fn empty() -> Object {
        Object("{".to_owned())
    }

    pub(super) fn of(kind: &str) -> Object {
        Object::empty().put("type", kind)
    }

    pub(super) fn put<T: Serialize + ?Sized>(self, key: &str, value: &T) -> Object {
        // Serialising text, numbers and `Value`s into memory cannot fail; a null would show if it did.
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

/// Gives a process's messages their uuids and knows what stands in all of them.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub(super) version: CliVersion,
    pub(super) session_id: String,
    pub(super) cwd: String,
    pub(super) model: String,
    pub(super) permission_mode: String,
    /// Twelve hexadecimal digits that set this process's uuids apart.
    nonce: String,
    next: u32,
}

/// What a `result` says.
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
    /// Of that, since the last result.
    pub(super) since_usd: f64,
    pub(super) denials: &'a [Value],
    pub(super) answered: &'a [String],
    /// The background task whose end began this turn.
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
        Writer { version, session_id, cwd, model, permission_mode: mode, nonce: digits, next: 0 }
    }

    /// A uuid that no other message of any process has.
    pub(super) fn uuid(&mut self) -> String {
        self.next += 1;
        format!("{:08x}-0000-4000-8000-{}", self.next, self.nonce)
    }

    /// An id with this prefix, for messages, tools, tasks and requests.
    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}{:04}", &self.nonce[..8], self.next)
    }

    fn newest(&self) -> bool {
        self.version >= CliVersion::V332
    }

    fn closed(&mut self, object: Object) -> String {
        let uuid = self.uuid();
        object.put("uuid", &uuid).put("session_id", &self.session_id).end()
    }

    fn system(&mut self, subtype: &str) -> Object {
        Object::of("system").put("subtype", subtype)
    }

    pub(super) fn state(&mut self, state: &str) -> String {
        let object = self.system("session_state_changed").put("state", state);
        self.closed(object)
    }

    /// `None` where the version has no such message.
    pub(super) fn lifecycle(&mut self, uuid: &str, state: &str) -> Option<String> {
        if !self.newest() {
            return None;
        }
        let object = Object::of("command_lifecycle").put("command_uuid", uuid).put("state", state);
        Some(self.closed(object))
    }

    pub(super) fn init(&mut self, uuids: &[String]) -> String {
        let mut object = self
            .system("init")
            .put("cwd", &self.cwd)
            .put("session_id", &self.session_id)
            .raw("tools", r#"["Task","Bash","Edit","Read","TaskStop","WebFetch","Write"]"#)
            .raw("mcp_servers", "[]")
            .put("model", &self.model)
            .put("permissionMode", &self.permission_mode)
            .raw("slash_commands", r#"["clear","compact"]"#)
            .put("apiKeySource", "none")
            .put("claude_code_version", self.version.number())
            .put("output_style", "default");
        let uuid = self.uuid();
        object = object.put("uuid", &uuid);
        if self.newest() {
            object = object
                .put("original_cwd", &self.cwd)
                .put_if("user_message_uuids", (!uuids.is_empty()).then_some(uuids));
        }
        object.end()
    }

    pub(super) fn status(&mut self, status: Option<&str>, uuids: &[String]) -> String {
        let mut object = self.system("status").put("status", &status);
        if status.is_none() {
            object = object.put("compact_result", "success");
        }
        let uuid = self.uuid();
        object = object.put("session_id", &self.session_id).put("uuid", &uuid);
        if self.newest() && !uuids.is_empty() {
            object = object.put("user_message_uuids", uuids);
        }
        object.end()
    }

    /// The acknowledgement of a user message; one that repeats an earlier one has no time.
    pub(super) fn replay(&mut self, text: &str, uuid: Option<&str>, at: Option<Moment>) -> String {
        let content = [Value::from_iter([("type", "text"), ("text", text)])];
        let message = Object::empty().put("role", "user").put("content", &content).end();
        let own = self.uuid();
        Object::of("user")
            .raw("message", &message)
            .put("session_id", &self.session_id)
            .raw("parent_tool_use_id", "null")
            .put("uuid", uuid.unwrap_or(&own))
            .put_if("timestamp", at.map(timestamp))
            .raw("isReplay", "true")
            .end()
    }

    fn stream_event(&mut self, event: &str) -> String {
        let uuid = self.uuid();
        Object::of("stream_event")
            .raw("event", event)
            .put("session_id", &self.session_id)
            .raw("parent_tool_use_id", "null")
            .put("uuid", &uuid)
            .end()
    }

    pub(super) fn message_start(&mut self, id: &str) -> String {
        let message = Object::empty()
            .raw("content", "[]")
            .put("id", id)
            .put("model", &self.model)
            .raw("role", r#""assistant","stop_reason":null,"stop_sequence":null,"type":"message""#)
            .end();
        let event = Object::empty().raw("message", &message).put("type", "message_start").end();
        self.stream_event(&event)
    }

    pub(super) fn block_start(&mut self, index: u32, block: &str) -> String {
        let event =
            Object::empty().raw("content_block", block).put("index", &index).put("type", "content_block_start").end();
        self.stream_event(&event)
    }

    pub(super) fn block_delta(&mut self, index: u32, kind: &str, key: &str, part: &str) -> String {
        let delta = Object::empty().put(key, part).put("type", kind).end();
        let event = Object::empty().raw("delta", &delta).put("index", &index).put("type", "content_block_delta").end();
        self.stream_event(&event)
    }

    pub(super) fn block_stop(&mut self, index: u32) -> String {
        let event = Object::empty().put("index", &index).put("type", "content_block_stop").end();
        self.stream_event(&event)
    }

    pub(super) fn message_end(&mut self, stop_reason: &str) -> [String; 2] {
        let delta = Object::empty().put("stop_reason", stop_reason).raw("stop_sequence", "null").end();
        let event = Object::empty()
            .raw("delta", &delta)
            .put("type", "message_delta")
            .raw("usage", r#"{"output_tokens":1}"#)
            .end();
        [self.stream_event(&event), self.stream_event(r#"{"type":"message_stop"}"#)]
    }

    /// One whole block of a message.
    pub(super) fn assistant(&mut self, message_id: &str, block: &str, at: Moment, answered: &[String]) -> String {
        let message = Object::empty()
            .raw("content", &format!("[{block}]"))
            .put("id", message_id)
            .put("model", &self.model)
            .raw("role", r#""assistant","stop_reason":null,"stop_sequence":null,"type":"message""#)
            .raw(
                "usage",
                r#"{"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"input_tokens":10,"output_tokens":1}"#,
            )
            .end();
        let uuid = self.uuid();
        let mut object = Object::of("assistant")
            .raw("message", &message)
            .raw("parent_tool_use_id", "null")
            .put("session_id", &self.session_id)
            .put("uuid", &uuid);
        if self.newest() {
            object = object
                .put("timestamp", &timestamp(at))
                .put_if("user_message_uuids", (!answered.is_empty()).then_some(answered));
        }
        object.end()
    }

    /// What stands in the model's place when the provider fails.
    pub(super) fn synthetic(
        &mut self,
        text: &str,
        error: &str,
        status: Option<u16>,
        api_type: &str,
        at: Moment,
    ) -> String {
        let block = [Value::from_iter([("type", "text"), ("text", text)])];
        let id = self.uuid();
        let message = Object::empty()
            .put("id", &id)
            .put("model", "<synthetic>")
            .raw("role", r#""assistant","stop_reason":"stop_sequence","stop_sequence":"","type":"message""#)
            .put("content", &block)
            .end();
        let uuid = self.uuid();
        let mut object = Object::of("assistant")
            .raw("message", &message)
            .raw("parent_tool_use_id", "null")
            .put("session_id", &self.session_id)
            .put("uuid", &uuid);
        if self.newest() {
            object = object.put("timestamp", &timestamp(at));
        }
        object = object.put("error", error);
        if self.newest() {
            object = object.raw("is_api_error_message", "true").put("api_error_status", &status);
            object = object.put_if("api_error_type", (!api_type.is_empty()).then_some(api_type));
        } else if !api_type.is_empty() {
            // The older version passes the API's name of the error on to nobody, but the request's.
            object = object.put("request_id", "req_scripted");
        }
        object.end()
    }

    pub(super) fn tool_result(
        &mut self,
        tool: &str,
        content: &str,
        failed: bool,
        details: &Value,
        at: Moment,
    ) -> String {
        let block = Object::empty()
            .put("tool_use_id", tool)
            .put("type", "tool_result")
            .put("content", content)
            .put("is_error", &failed)
            .end();
        let message = Object::empty().put("role", "user").raw("content", &format!("[{block}]")).end();
        let uuid = self.uuid();
        Object::of("user")
            .raw("message", &message)
            .raw("parent_tool_use_id", "null")
            .put("session_id", &self.session_id)
            .put("uuid", &uuid)
            .put("timestamp", &timestamp(at))
            .put("tool_use_result", details)
            .end()
    }

    pub(super) fn interrupted_marker(&mut self, in_tool: bool, at: Moment) -> String {
        let text = if in_tool { "[Request interrupted by user for tool use]" } else { "[Request interrupted by user]" };
        let content = [Value::from_iter([("type", "text"), ("text", text)])];
        let message = Object::empty().put("role", "user").put("content", &content).end();
        let uuid = self.uuid();
        Object::of("user")
            .raw("message", &message)
            .raw("parent_tool_use_id", "null")
            .put("session_id", &self.session_id)
            .put("uuid", &uuid)
            .put("timestamp", &timestamp(at))
            .end()
    }

    /// `None` where the version has no such message.
    pub(super) fn permission_denied(&mut self, name: &str, tool: &str, why: &str) -> Option<String> {
        if !self.newest() {
            return None;
        }
        let object = self
            .system("permission_denied")
            .put("tool_name", name)
            .put("tool_use_id", tool)
            .put("decision_reason_type", "mode")
            .put("message", why);
        Some(self.closed(object))
    }

    pub(super) fn task_started(&mut self, task: &str, tool: &str, description: &str, background: bool) -> String {
        let mut object =
            self.system("task_started").put("task_id", task).put("tool_use_id", tool).put("description", description);
        if self.newest() {
            object = object.put("is_backgrounded", &background);
        }
        object = object.put("task_type", "local_bash");
        self.closed(object)
    }

    /// A sub-agent was started in the foreground.
    pub(super) fn agent_started(&mut self, task: &str, tool: &str, description: &str) -> String {
        let mut object =
            self.system("task_started").put("task_id", task).put("tool_use_id", tool).put("description", description);
        if self.newest() {
            object = object.raw("is_backgrounded", "false");
        }
        object = object.put("task_type", "local_agent");
        self.closed(object)
    }

    /// One whole block of a sub-agent's message; `parent` is the tool call that it works for.
    pub(super) fn nested_assistant(&mut self, parent: &str, block: &str, at: Moment) -> String {
        let id = self.id("msg_");
        let message = Object::empty()
            .raw("content", &format!("[{block}]"))
            .put("id", &id)
            .put("model", &self.model)
            .raw("role", r#""assistant","stop_reason":null,"stop_sequence":null,"type":"message""#)
            .end();
        self.nested("assistant", parent, &message, at)
    }

    /// What a sub-agent's tool gave.
    pub(super) fn nested_tool_result(&mut self, parent: &str, tool: &str, content: &str, at: Moment) -> String {
        let block = Object::empty()
            .put("tool_use_id", tool)
            .put("type", "tool_result")
            .put("content", content)
            .raw("is_error", "false")
            .end();
        let message = Object::empty().put("role", "user").raw("content", &format!("[{block}]")).end();
        self.nested("user", parent, &message, at)
    }

    fn nested(&mut self, kind: &str, parent: &str, message: &str, at: Moment) -> String {
        let uuid = self.uuid();
        Object::of(kind)
            .raw("message", message)
            .put("parent_tool_use_id", parent)
            .put("session_id", &self.session_id)
            .put("uuid", &uuid)
            .put("timestamp", &timestamp(at))
            .end()
    }

    pub(super) fn task_updated(&mut self, task: &str, at: Moment) -> String {
        let patch = Object::empty().put("status", "completed").put("end_time", &at.unix_ms).end();
        let object = self.system("task_updated").put("task_id", task).raw("patch", &patch);
        self.closed(object)
    }

    pub(super) fn task_notification(&mut self, task: &str, tool: &str, status: &str, summary: &str) -> String {
        let object = self
            .system("task_notification")
            .put("task_id", task)
            .put("tool_use_id", tool)
            .put("status", status)
            .put("output_file", "")
            .put("summary", summary);
        self.closed(object)
    }

    /// `None` where the version has no such message.
    pub(super) fn background_tasks(&mut self, tasks: &[(&str, &str)]) -> Option<String> {
        if !self.newest() {
            return None;
        }
        let list: Vec<String> = tasks
            .iter()
            .map(|(task, description)| {
                Object::empty()
                    .put("task_id", task)
                    .put("task_type", "local_bash")
                    .put("description", description)
                    .end()
            })
            .collect();
        let object = self.system("background_tasks_changed").raw("tasks", &format!("[{}]", list.join(",")));
        Some(self.closed(object))
    }

    pub(super) fn api_retry(&mut self, attempt: u32, delay_ms: u64, status: Option<u16>) -> String {
        let error = status.map_or("unknown", error_word);
        let uuid = self.uuid();
        self.system("api_retry")
            .put("attempt", &attempt)
            .raw("max_retries", "10")
            .put("retry_delay_ms", &delay_ms)
            .put("error_status", &status)
            .put("error", error)
            .put("session_id", &self.session_id)
            .put("uuid", &uuid)
            .end()
    }

    pub(super) fn rate_limit(
        &mut self,
        status: &str,
        window: &str,
        resets_at: Option<i64>,
        utilization: Option<f64>,
    ) -> String {
        let mut info = Object::empty().put("status", status).put_if("resetsAt", resets_at).put("rateLimitType", window);
        if let Some(utilization) = utilization {
            info = info.put("utilization", &utilization);
        }
        info = info.raw("isUsingOverage", "false");
        if self.newest()
            && let Some(resets_at) = resets_at
        {
            let windows = Object::empty()
                .put("utilization", &utilization.unwrap_or(1.0))
                .put("resetsAt", &resets_at)
                .put("status", status)
                .end();
            info = info.raw("unifiedWindows", &Object::empty().raw(window, &windows).end());
        }
        let object = Object::of("rate_limit_event").raw("rate_limit_info", &info.end());
        self.closed(object)
    }

    pub(super) fn unknown(&mut self) -> String {
        let object = Object::of("weather_report").put("forecast", "a type that nobody knows");
        self.closed(object)
    }

    pub(super) fn control_response(&self, request_id: &str, response: Option<&str>) -> String {
        let body = Object::empty().put("subtype", "success").put("request_id", request_id);
        let body = match response {
            Some(response) => body.raw("response", response),
            None => body,
        };
        Object::of("control_response").raw("response", &body.end()).end()
    }

    pub(super) fn control_error(&self, request_id: &str, error: &str) -> String {
        let body = Object::empty().put("subtype", "error").put("request_id", request_id).put("error", error);
        let body = if self.newest() { body.put("error_code", "unsupported_request") } else { body };
        Object::of("control_response").raw("response", &body.end()).end()
    }

    pub(super) fn result(&mut self, facts: &ResultFacts<'_>) -> String {
        let (usage, since) = (self.model_usage(facts.cost_usd), self.model_usage(facts.since_usd));
        let uuid = self.uuid();
        // The newest version does not put the type first.
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
            .raw("modelUsage", &usage)
            .put("permission_denials", facts.denials)
            .put_if("terminal_reason", facts.terminal_reason);
        if let Some(task) = facts.origin {
            let mut origin = Object::empty().put("kind", "task-notification");
            if self.newest() && !task.is_empty() {
                origin = origin.put("producer", "session-task").put("runId", task);
            }
            object = object.raw("origin", &origin.end());
        }
        object = object
            .put("is_error", &facts.is_error)
            .put("num_turns", &facts.num_turns)
            .put("subtype", facts.subtype)
            .put("api_error_status", &facts.status);
        if self.newest() {
            object = object.put_if("api_error", facts.api_error);
        }
        object = object.put_if("errors", facts.errors).put_if("result", facts.text);
        if self.newest() {
            object = object.put("type", "result");
        }
        object = object.put("duration_ms", &facts.duration_ms).put("uuid", &uuid);
        if self.newest() {
            object = object
                .put_if("user_message_uuid", facts.answered.last())
                .put_if("user_message_uuids", (!facts.answered.is_empty()).then_some(facts.answered))
                .raw("queued_turn_count", "0")
                .put("result_index", &facts.index)
                .raw("model_usage_since_last_result", &since);
        }
        object.end()
    }

    fn model_usage(&self, usd: f64) -> String {
        if usd <= 0.0 {
            return "{}".to_owned();
        }
        let cost = Object::empty()
            .raw("inputTokens", "10")
            .raw("outputTokens", "1")
            .put("costUSD", &usd)
            .raw("contextWindow", "1000000");
        Object::empty().raw(&self.model, &cost.end()).end()
    }
}

/// The word in an `error` field for a status.
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

/// A time as the CLI writes it.
fn timestamp(at: Moment) -> String {
    jiff::Timestamp::from_millisecond(at.unix_ms).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}
