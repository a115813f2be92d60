//! Plays one turn: its steps in order, until it must wait.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::machine::{Effect, ScriptedAgent};
use super::messages::{Moment, Object, ResultFacts, error_word};
use super::options::CliVersion;
use super::requests::Asked;
use super::script::{ApiError, Background, Crash, Deny, Limit, LimitWarning, Retry, Step, Tool};
use super::transcript::Row;

const DENIED: &str = "Permission to use this tool has been denied because Claude Code is running in don't ask mode.";
/// Commands that the permission mode `dontAsk` allows.
const HARMLESS: &[&str] = &["cat", "git", "grep", "head", "ls", "pwd", "tail", "wc"];

/// The cause of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// The user, with these messages.
    User { text: String, uuids: Vec<String> },
    /// The end of a background task.
    Task { run: String },
    /// A schedule.
    Schedule,
}

/// The user's command that compacts the history.
const COMPACT: &str = "/compact";

impl Cause {
    /// Whether the turn is `/compact`, which plays no steps of the script.
    pub(super) fn compacts(&self) -> bool {
        matches!(self, Cause::User { text, .. } if text == COMPACT)
    }

    pub(super) fn uuids(&self) -> &[String] {
        match self {
            Cause::User { uuids, .. } => uuids,
            Cause::Task { .. } | Cause::Schedule => &[],
        }
    }
}

/// What the turn waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    /// Nothing.
    No,
    /// A time on the clock of [`Moment::ms`].
    Until(u64),
    /// The end of a command.
    Command,
    /// The answer to a request; at most until this time, when the request is withdrawn.
    Answer(Option<u64>),
    /// Forever: the agent hangs.
    Forever,
}

/// A running tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenTool {
    pub(super) id: String,
    task_told: bool,
}

impl OpenTool {
    /// A tool that runs this call.
    pub(super) fn of(call: &str) -> OpenTool {
        OpenTool { id: call.to_owned(), task_told: false }
    }
}

/// A working sub-agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SubAgent {
    task: String,
    /// The tool call of the sub-agent itself.
    tool: String,
}

/// A background command.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) tool: String,
    pub(super) command: String,
    pub(super) ends_ms: u64,
    pub(super) then: Vec<Step>,
}

/// The agent's present turn.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    pub(super) cause: Cause,
    steps: VecDeque<Step>,
    pub(super) blocked: Blocked,
    pub(super) running_tool: Option<Step>,
    pub(super) open_tool: Option<OpenTool>,
    sub_agent: Option<SubAgent>,
    pub(super) asked: Option<Asked>,
    pub(super) denials: Vec<Value>,
    pub(super) requests: u32,
    pub(super) began_ms: u64,
    /// The model's message in progress: its id and its blocks so far.
    message: Option<(String, u32)>,
    acknowledged: bool,
    failure: Option<Failure>,
    text: String,
    retried: u32,
    compacting: bool,
}

/// The failure of a turn.
#[derive(Debug, Clone, Default)]
struct Failure {
    status: Option<u16>,
    api_error: String,
    terminal_reason: String,
    stop_reason: &'static str,
    text: String,
}

impl Turn {
    pub(super) fn new(cause: Cause, steps: Vec<Step>, now: Moment) -> Turn {
        Turn {
            cause,
            steps: steps.into(),
            blocked: Blocked::No,
            running_tool: None,
            open_tool: None,
            sub_agent: None,
            asked: None,
            denials: Vec::new(),
            requests: 0,
            began_ms: now.ms,
            message: None,
            acknowledged: false,
            failure: None,
            text: String::new(),
            retried: 0,
            compacting: false,
        }
    }

    /// Drops the rest of a retry, because the host decides whether the request is retried.
    pub(super) fn give_up_retry(&mut self) {
        if matches!(self.steps.front(), Some(Step::Retry(_))) {
            self.steps.pop_front();
            self.retried = 0;
        }
    }
}

impl ScriptedAgent {
    /// Plays the next step of the turn; `false` if the turn must wait.
    pub(super) fn step(&mut self) -> bool {
        let Some(mut turn) = self.turn.take() else { return false };
        match turn.blocked {
            Blocked::Forever => {
                self.turn = Some(turn);
                return false;
            }
            Blocked::Command | Blocked::Answer(None) => {
                self.end_tasks_in_turn();
                self.turn = Some(turn);
                return false;
            }
            Blocked::Answer(Some(ms)) if ms > self.writer.now.ms => {
                self.end_tasks_in_turn();
                self.turn = Some(turn);
                return false;
            }
            Blocked::Answer(Some(_)) => {
                turn.blocked = Blocked::No;
                self.withdraw(&mut turn);
                self.turn = Some(turn);
                return true;
            }
            Blocked::Until(ms) if ms > self.writer.now.ms => {
                self.end_tasks_in_turn();
                self.turn = Some(turn);
                return false;
            }
            Blocked::Until(_) | Blocked::No => turn.blocked = Blocked::No,
        }
        self.end_tasks_in_turn();
        if turn.compacting {
            turn.compacting = false;
            self.writer.status(None, turn.cause.uuids());
        }
        if let Some(Step::Tool(tool)) = turn.running_tool.take() {
            self.end_tool(&mut turn, &tool);
        } else if !turn.steps.is_empty()
            && let Some(step) = self.interposed.pop_front()
        {
            self.play(&mut turn, step);
        } else if let Some(step) = turn.steps.pop_front() {
            self.play(&mut turn, step);
        } else {
            self.end_turn(turn);
            return true;
        }
        if turn.failure.is_some() {
            self.end_turn(turn);
            return true;
        }
        self.turn = Some(turn);
        !self.writer.ended
    }

    fn blocked_for(&self, ms: u64) -> Blocked {
        Blocked::Until(self.writer.now.ms.saturating_add(ms))
    }

    /// Reports tasks that end during a turn within that turn, so that they begin no turn of their own.
    fn end_tasks_in_turn(&mut self) {
        while let Some(at) = self.background.iter().position(|task| task.ends_ms <= self.writer.now.ms) {
            let task = self.background.remove(at);
            self.tell_task_end(&task);
        }
    }

    fn play(&mut self, turn: &mut Turn, step: Step) {
        self.oddities.extend(step.oddity());
        match step {
            Step::Say(text) => self.say_text(turn, &text),
            Step::Think(text) => self.think(turn, &text),
            Step::Tool(tool) => self.begin_tool(turn, tool),
            Step::Deny(Deny { name, input }) => {
                let input = self.absolute(input);
                let id = self.call_tool(turn, &name, &input);
                self.deny(turn, &name, &id, &input);
            }
            Step::Ask(asked) => self.ask_for_tool(turn, asked),
            Step::Questions(questions) => self.ask_questions(turn, questions),
            Step::Plan(plan) => self.ask_for_plan(turn, plan),
            Step::Form(form) => self.ask_with_form(turn, form),
            Step::SleepMs(ms) => turn.blocked = self.blocked_for(ms),
            Step::Crash(crash) => {
                self.count_turn();
                match crash {
                    Crash::Signal(signal) => {
                        self.act(Effect::Die(signal));
                        self.writer.ended = true;
                    }
                    Crash::Code(code) => self.exit(code),
                }
            }
            Step::Stall => {
                self.count_turn();
                turn.blocked = Blocked::Forever;
            }
            Step::StopReading => self.act(Effect::StopReading),
            Step::IgnoreSignals => self.ignores_signals = true,
            Step::Garbage(text) => self.act(Effect::Line(text)),
            Step::HalfLine => self.writer.half_line(),
            Step::HugeLine(bytes) => self.say_text(turn, &"x".repeat(bytes)),
            Step::UnknownMessage => self.writer.unknown(),
            Step::Stderr(text) => self.act(Effect::Stderr(text)),
            Step::Retry(retry) => self.retry(turn, retry),
            Step::ApiError(error) => self.api_error(turn, &error),
            Step::Limit(limit) => self.limit(turn, &limit),
            Step::LimitWarning(LimitWarning { utilization, resets_in_s }) => {
                let resets_at = self.writer.now.unix_ms / 1_000 + resets_in_s;
                self.writer.rate_limit("allowed_warning", "five_hour", Some(resets_at), Some(utilization));
            }
            Step::Background(background) => self.start_background(turn, background),
            Step::SubAgent(ms) => self.start_sub_agent(turn, ms),
            Step::Schedule(schedule) => {
                if schedule.every {
                    self.append(Row::Scheduled { ms: schedule.ms, then: schedule.then.clone() });
                }
                self.scheduled.push((self.writer.now.ms.saturating_add(schedule.ms), schedule));
            }
            Step::Refuse => self.refuse_to_answer(turn),
            Step::CompactMs(ms) => {
                self.writer.status(Some("compacting"), turn.cause.uuids());
                turn.compacting = true;
                turn.blocked = self.blocked_for(ms);
            }
            Step::CostUsd(usd) => self.cost_usd += usd,
            Step::Orphan(orphan) => self.act(Effect::Orphan { ms: orphan.ms, holds_stdout: orphan.holds_stdout }),
        }
    }

    /// Sends a request. The older version acknowledges the user's message only when the answer begins.
    fn request(&mut self, turn: &mut Turn) {
        turn.requests += 1;
        self.pay_request();
        if self.options.partial {
            self.writer.status(Some("requesting"), turn.cause.uuids());
        }
        if self.writer.newest() {
            self.acknowledge(turn);
        }
    }

    fn acknowledge(&mut self, turn: &mut Turn) {
        if std::mem::replace(&mut turn.acknowledged, true) || !self.options.replay {
            return;
        }
        if let Cause::User { text, uuids } = &turn.cause {
            self.writer.replay(text, uuids.last().map(String::as_str), false);
        }
    }

    /// One complete block of the model, with its partial messages.
    fn block(&mut self, turn: &mut Turn, block: &str, empty: &str, deltas: (&str, &str, &str)) {
        let (id, index) = match turn.message.take() {
            Some(message) => message,
            None => {
                self.request(turn);
                let id = self.writer.id("msg_");
                if self.options.partial {
                    self.writer.message_start(&id);
                }
                self.acknowledge(turn);
                (id, 0)
            }
        };
        if self.options.partial {
            self.writer.block_start(index, empty);
            let (kind, key, text) = deltas;
            for part in parts(text) {
                self.writer.block_delta(index, kind, key, part);
            }
        }
        self.writer.assistant(&id, block, turn.cause.uuids());
        if self.options.partial {
            self.writer.block_stop(index);
        }
        turn.message = Some((id, index + 1));
    }

    fn end_message(&mut self, turn: &mut Turn, stop_reason: &str) {
        if turn.message.take().is_some() && self.options.partial {
            self.writer.message_end(stop_reason);
        }
    }

    fn say_text(&mut self, turn: &mut Turn, text: &str) {
        let block = Object::empty().put("text", text).put("type", "text").end();
        self.block(turn, &block, r#"{"text":"","type":"text"}"#, ("text_delta", "text", text));
        self.append(Row::Assistant { text: text.chars().take(200).collect() });
        text.clone_into(&mut turn.text);
    }

    fn think(&mut self, turn: &mut Turn, text: &str) {
        let block = Object::empty().put("signature", "").put("thinking", text).put("type", "thinking").end();
        let empty = r#"{"signature":"","thinking":"","type":"thinking"}"#;
        self.block(turn, &block, empty, ("thinking_delta", "thinking", text));
    }

    pub(super) fn call_tool(&mut self, turn: &mut Turn, name: &str, input: &Map<String, Value>) -> String {
        let id = self.writer.id("toolu_");
        let block = Object::empty().put("id", &id).put("input", input).put("name", name).put("type", "tool_use").end();
        let empty = Object::empty().put("id", &id).raw("input", "{}").put("name", name).put("type", "tool_use").end();
        let json = Value::Object(input.clone()).to_string();
        self.block(turn, &block, &empty, ("input_json_delta", "partial_json", &json));
        self.end_message(turn, "tool_use");
        id
    }

    fn begin_tool(&mut self, turn: &mut Turn, mut tool: Tool) {
        tool.input = self.absolute(tool.input);
        let id = self.call_tool(turn, &tool.name, &tool.input);
        if !tool.unchecked && !self.is_allowed(&tool) {
            self.deny(turn, &tool.name, &id, &tool.input);
            return;
        }
        self.use_tool(turn, &id, tool);
    }

    /// Runs an allowed call.
    pub(super) fn use_tool(&mut self, turn: &mut Turn, call: &str, mut tool: Tool) {
        turn.open_tool = Some(OpenTool::of(call));
        if tool.open {
            return;
        }
        if tool.ms > 0 {
            turn.blocked = self.blocked_for(tool.ms);
        }
        if tool.real {
            self.do_really(turn, &mut tool);
        }
        turn.running_tool = Some(Step::Tool(tool));
    }

    fn do_really(&mut self, turn: &mut Turn, tool: &mut Tool) {
        let text = |key: &str| tool.input.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let path = text("file_path");
        match tool.name.as_str() {
            "Write" => {
                self.act(Effect::WriteFile { path: path.clone(), content: text("content") });
                tool.result = format!("File created successfully at: {path}");
            }
            "Edit" => {
                self.act(Effect::EditFile { path: path.clone(), old: text("old_string"), new: text("new_string") });
                tool.result = format!("The file {path} has been updated successfully.");
            }
            "Bash" => {
                self.act(Effect::Run { command: text("command") });
                turn.blocked = Blocked::Command;
            }
            _ => {}
        }
    }

    fn end_tool(&mut self, turn: &mut Turn, tool: &Tool) {
        let Some(OpenTool { id, .. }) = turn.open_tool.take() else { return };
        if let Some(SubAgent { task, tool: nested }) = turn.sub_agent.take() {
            self.end_sub_agent(&id, &task, &nested);
        }
        let mut details = json!({"stdout": tool.result, "stderr": "", "interrupted": false});
        if !tool.patch.is_empty() {
            details = json!({"filePath": tool.input.get("file_path"), "structuredPatch": tool.patch});
        }
        self.writer.tool_result(&id, &tool.result, tool.failed, &details);
    }

    pub(super) fn deny(&mut self, turn: &mut Turn, name: &str, id: &str, input: &Map<String, Value>) {
        self.writer.permission_denied(name, id, DENIED);
        let details = Value::String(format!("Error: {DENIED}"));
        self.writer.tool_result(id, DENIED, true, &details);
        turn.denials.push(json!({"tool_name": name, "tool_use_id": id, "tool_input": input}));
    }

    /// Whether the tool is allowed: in the mode `dontAsk` by the table of facts §7; every other mode allows what the script does.
    fn is_allowed(&self, tool: &Tool) -> bool {
        if self.options.permission_mode != "dontAsk" {
            return true;
        }
        let command = tool.input.get("command").and_then(Value::as_str).unwrap_or_default();
        let granted = self.options.allowed_tools.iter().any(|pattern| match pattern.split_once('(') {
            None => *pattern == tool.name,
            Some((name, rest)) => {
                let prefix = rest.trim_end_matches(')').trim_end_matches('*').trim_end_matches([':', ' ']);
                name == tool.name && command.starts_with(prefix)
            }
        });
        granted
            || match tool.name.as_str() {
                "Read" | "Grep" | "Glob" => true,
                "Bash" => command.split_whitespace().next().is_some_and(|word| HARMLESS.contains(&word)),
                _ => false,
            }
    }

    pub(super) fn absolute(&self, mut input: Map<String, Value>) -> Map<String, Value> {
        if let Some(Value::String(path)) = input.get_mut("file_path")
            && !path.starts_with('/')
        {
            *path = format!("{}/{path}", self.options.cwd);
        }
        input
    }

    fn start_background(&mut self, turn: &mut Turn, background: Background) {
        let command = if background.command.is_empty() { "make everything".to_owned() } else { background.command };
        let input = Map::from_iter([
            ("command".to_owned(), Value::String(command.clone())),
            ("run_in_background".to_owned(), Value::Bool(true)),
        ]);
        let tool = self.call_tool(turn, "Bash", &input);
        let id = self.writer.id("b");
        let task = Task {
            id: id.clone(),
            tool: tool.clone(),
            command: command.clone(),
            ends_ms: self.writer.now.ms.saturating_add(background.ms),
            then: background.then,
        };
        self.background.push(task);
        self.tell_background();
        self.writer.task_started(&id, &tool, &command, "local_bash");
        self.append(Row::TaskStarted { task: id.clone(), tool: tool.clone() });
        let text = format!("Command running in background with ID: {id}. You will be notified when it completes.");
        let details = json!({"stdout": "", "stderr": "", "interrupted": false, "backgroundTaskId": id});
        self.writer.tool_result(&tool, &text, false, &details);
    }

    /// Starts a sub-agent in the foreground: a lasting tool call, with a nested tool call under its id (facts §1).
    fn start_sub_agent(&mut self, turn: &mut Turn, ms: u64) {
        let prompt = Map::from_iter([
            ("description".to_owned(), Value::String("Looks around".to_owned())),
            ("run_in_background".to_owned(), Value::Bool(false)),
        ]);
        let tool =
            Tool { name: "Agent".to_owned(), input: prompt, ms, result: "Nothing.".to_owned(), ..Tool::default() };
        self.begin_tool(turn, tool);
        let Some(id) = turn.open_tool.as_ref().map(|open| open.id.clone()) else { return };
        let (task, nested) = (self.writer.id("a"), self.writer.id("toolu_"));
        self.writer.task_started(&task, &id, "Looks around", "local_agent");
        let call = Object::empty()
            .put("id", &nested)
            .raw("input", r#"{"command":"ls"}"#)
            .put("name", "Bash")
            .put("type", "tool_use")
            .end();
        self.writer.nested_assistant(&id, &call);
        turn.sub_agent = Some(SubAgent { task, tool: nested });
    }

    fn end_sub_agent(&mut self, tool: &str, task: &str, nested: &str) {
        self.writer.nested_tool_result(tool, nested, "f");
        self.writer.task_updated(task);
        self.writer.task_notification(task, tool, "completed", "Looks around");
    }

    fn refuse_to_answer(&mut self, turn: &mut Turn) {
        self.request(turn);
        self.acknowledge(turn);
        let text = "API Error: Claude Code is unable to respond to this request";
        self.writer.synthetic(text, "invalid_request", None, "");
        turn.failure = Some(Failure { stop_reason: "refusal", text: text.to_owned(), ..Failure::default() });
    }

    fn retry(&mut self, turn: &mut Turn, retry: Retry) {
        if turn.retried >= retry.attempts {
            turn.retried = 0;
            return;
        }
        turn.retried += 1;
        self.writer.api_retry(turn.retried, retry.delay_ms, retry.status);
        self.acknowledge(turn);
        turn.blocked = self.blocked_for(retry.delay_ms);
        turn.steps.push_front(Step::Retry(retry));
    }

    fn api_error(&mut self, turn: &mut Turn, error: &ApiError) {
        self.request(turn);
        self.acknowledge(turn);
        let word = match error.error.as_str() {
            "" => error.status.map_or("unknown", error_word),
            word => word,
        };
        let text = match (error.message.as_str(), error.status) {
            ("", Some(status)) => format!("API Error: {status}"),
            ("", None) => "API Error: Unable to connect to API (ConnectionRefused)".to_owned(),
            (message, _) => message.to_owned(),
        };
        self.writer.synthetic(&text, word, error.status, &error.api_type);
        turn.failure = Some(Failure {
            status: error.status,
            api_error: error.api_error.clone(),
            terminal_reason: error.terminal_reason.clone(),
            stop_reason: "stop_sequence",
            text,
        });
    }

    fn limit(&mut self, turn: &mut Turn, limit: &Limit) {
        self.request(turn);
        let window = if limit.window.is_empty() { "five_hour" } else { &limit.window };
        let resets_at = limit.resets_in_s.map(|seconds| self.writer.now.unix_ms / 1_000 + seconds);
        self.writer.rate_limit("rejected", window, resets_at, None);
        self.acknowledge(turn);
        let text = match self.options.version {
            CliVersion::V197 => "You've hit your session limit".to_owned(),
            CliVersion::V332 => "You've hit your 5-hour limit".to_owned(),
        };
        self.writer.synthetic(&text, "rate_limit", Some(429), "");
        turn.failure = Some(Failure {
            status: Some(429),
            api_error: "usage_limit_reached".to_owned(),
            terminal_reason: String::new(),
            stop_reason: "stop_sequence",
            text,
        });
    }

    fn end_turn(&mut self, mut turn: Turn) {
        let compacts = turn.cause.compacts();
        if compacts {
            self.acknowledge(&mut turn);
        } else if turn.failure.is_none() && turn.text.is_empty() {
            self.say_text(&mut turn, "Done.");
        }
        self.end_message(&mut turn, "end_turn");
        let newest = self.writer.newest();
        let origin = match &turn.cause {
            Cause::User { .. } | Cause::Schedule => None,
            Cause::Task { run } => Some(run.as_str()),
        };
        let failure = turn.failure.clone();
        let text = failure.as_ref().map_or(turn.text.as_str(), |failure| failure.text.as_str());
        self.result(&ResultFacts {
            subtype: "success",
            is_error: failure.is_some(),
            status: failure.as_ref().and_then(|failure| failure.status),
            api_error: failure.as_ref().map(|failure| failure.api_error.as_str()).filter(|name| !name.is_empty()),
            text: Some(text),
            stop_reason: match &failure {
                Some(failure) => Some(failure.stop_reason),
                None => (!compacts).then_some("end_turn"),
            },
            terminal_reason: Some(match &failure {
                Some(failure) if !failure.terminal_reason.is_empty() => &failure.terminal_reason,
                Some(_) if newest => "api_error",
                Some(_) | None => "completed",
            }),
            num_turns: turn.requests,
            duration_ms: self.writer.now.ms.saturating_sub(turn.began_ms),
            denials: &turn.denials,
            answered: turn.cause.uuids(),
            origin,
            ..ResultFacts::default()
        });
        if compacts {
            if failure.is_none() {
                self.append(Row::Compacted);
            }
        } else if matches!(turn.cause, Cause::User { .. }) {
            self.count_turn();
        }
        self.close_turn(&turn, failure.is_some());
    }
}

/// Splits a text into parts as a model streams it: about a dozen characters each, at most a hundred parts.
fn parts(text: &str) -> Vec<&str> {
    let size = (text.len() / 100).max(12);
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, tail) = rest.split_at(rest.ceil_char_boundary(size));
        parts.push(part);
        rest = tail;
    }
    parts
}
