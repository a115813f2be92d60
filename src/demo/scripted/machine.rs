//! The scripted agent as a state machine: input, effects, and its present turn.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::messages::{Moment, ResultFacts, Writer};
use super::options::{CliVersion, Open, Options};
use super::script::{Schedule, Script, Step};
use super::transcript::{Row, Transcript};
use super::turn::{Blocked, Cause, OpenTool, Task, Turn};

/// The cost of a request to the model, in dollars.
const REQUEST_USD: f64 = 0.01;
/// How long `/compact` takes.
const COMPACTION_MS: u64 = 1_000;

/// Something that the host performs for the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write this line, with a line end, to stdout.
    Line(String),
    /// Write these bytes to stdout as they are.
    Raw(Vec<u8>),
    /// Write this line to stderr.
    Stderr(String),
    /// Append this row to the session's transcript.
    Append(Row),
    /// A critic's turn has ended: add one to the session's count.
    CountCritic,
    /// Write a file.
    WriteFile {
        /// The path.
        path: String,
        /// The content.
        content: String,
    },
    /// Replace the first `old` in a file by `new`.
    EditFile {
        /// The path.
        path: String,
        /// The present text.
        old: String,
        /// The new text.
        new: String,
    },
    /// Run a command in the shell, and report its end with [`ScriptedAgent::command_finished`].
    Run {
        /// The command line.
        command: String,
    },
    /// Stop the running command.
    StopCommand,
    /// Start a process that outlives the agent.
    Orphan {
        /// How long it lives.
        ms: u64,
        /// Whether the process keeps the agent's stdout open.
        holds_stdout: bool,
    },
    /// Stop reading stdin.
    StopReading,
    /// Exit. Nothing follows.
    Exit(u8),
    /// Die by this signal. Nothing follows.
    Die(i32),
}

/// A signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
}

/// A user message that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) text: String,
    pub(super) uuid: Option<String>,
}

/// One process of the scripted agent. See the module's documentation.
#[derive(Debug, Clone)]
pub struct ScriptedAgent {
    pub(super) script: Arc<Script>,
    pub(super) options: Options,
    pub(super) transcript: Transcript,
    pub(super) critics_ended: usize,
    pub(super) writer: Writer,
    pub(super) turn: Option<Turn>,
    queue: VecDeque<Message>,
    pub(super) background: Vec<Task>,
    /// Scheduled turns, each with its due time.
    pub(super) scheduled: Vec<(u64, Schedule)>,
    /// Steps that are played before those of the script.
    pub(super) interposed: VecDeque<Step>,
    /// The oddities played since [`ScriptedAgent::take_oddities`] was called last.
    pub(super) oddities: Vec<&'static str>,
    input_ended: bool,
    pub(super) ignores_signals: bool,
    /// Tools that need no further permission.
    pub(super) allowed_for_session: BTreeSet<String>,
    last_failed: bool,
    pub(super) cost_usd: f64,
    cost_told_usd: f64,
    results: u32,
    lost_tasks_told: bool,
}

impl ScriptedAgent {
    /// A process that has not begun; [`ScriptedAgent::begin`] starts it.
    ///
    /// `transcript` belongs to the session that the options name ([`Options::open`]); `None` if that session has none.
    /// `critics_ended` is the number of ended turns of that session's critics.
    #[must_use]
    pub fn new(
        script: Arc<Script>,
        options: Options,
        transcript: Option<Transcript>,
        critics_ended: usize,
    ) -> ScriptedAgent {
        let session_id = match &options.open {
            Open::New(id) | Open::Resume(id) => id.clone(),
            Open::Unnamed | Open::Latest | Open::Fork(_) => options.session_id.clone(),
        };
        let known = transcript.as_ref().and_then(|transcript| transcript.model.clone());
        let model = options.model.clone().or(known).unwrap_or_else(|| options.version.default_model().to_owned());
        let writer = Writer::new(
            options.version,
            session_id,
            options.cwd.clone(),
            model,
            options.permission_mode.clone(),
            &options.nonce,
        );
        let mut agent = ScriptedAgent {
            script,
            transcript: Transcript::default(),
            critics_ended,
            writer,
            turn: None,
            queue: VecDeque::new(),
            background: Vec::new(),
            scheduled: Vec::new(),
            interposed: VecDeque::new(),
            oddities: Vec::new(),
            input_ended: false,
            ignores_signals: false,
            allowed_for_session: BTreeSet::new(),
            last_failed: false,
            cost_usd: 0.0,
            cost_told_usd: 0.0,
            results: 0,
            lost_tasks_told: false,
            options,
        };
        agent.open_session(transcript);
        agent
    }

    /// The session's id.
    #[must_use]
    pub fn session_id(&self) -> &str {
        &self.writer.session_id
    }

    /// Starts the process.
    pub fn begin(&mut self, now: Moment) {
        self.writer.now = now;
        if !self.writer.newest() {
            let schedules = self.transcript.schedules.clone();
            self.scheduled.extend(schedules.into_iter().map(|schedule| (now.ms.saturating_add(schedule.ms), schedule)));
        }
        if let Some(prompt) = self.options.prompt.clone() {
            self.input_ended = true;
            self.queue.push_back(Message { text: prompt, uuid: None });
        }
        self.run();
    }

    /// Takes a line of stdin, without its line end.
    pub fn line(&mut self, now: Moment, line: &str) {
        self.writer.now = now;
        if self.writer.ended {
            return;
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || (line.trim().is_empty() && self.writer.newest()) {
            return;
        }
        match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(message)) => self.message(&Value::Object(message)),
            Ok(Value::Null) | Err(_) => self.refuse_line(line),
            Ok(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {}
        }
        self.run();
    }

    /// Handles the end of stdin.
    pub fn input_ended(&mut self, now: Moment) {
        self.writer.now = now;
        self.input_ended = true;
        self.answer_cannot_come();
        self.run();
    }

    /// Takes the end of a command that [`Effect::Run`] started, with its output.
    pub fn command_finished(&mut self, now: Moment, output: &str, code: Option<i32>) {
        self.writer.now = now;
        if let Some(turn) = &mut self.turn
            && turn.blocked == Blocked::Command
        {
            turn.blocked = Blocked::No;
            if let Some(Step::Tool(tool)) = turn.running_tool.as_mut() {
                tool.result = match code {
                    Some(0) => output.to_owned(),
                    Some(code) => format!("Exit code {code}\n{output}"),
                    None => format!("Exit code 137\n{output}"),
                };
                tool.failed = code != Some(0);
            }
        }
        self.run();
    }

    /// Advances the time to `now`; see [`ScriptedAgent::wake_at`].
    pub fn wake(&mut self, now: Moment) {
        self.writer.now = now;
        self.run();
    }

    /// Puts these steps before the next step of the script. They replace earlier interposed steps that have not been played. They
    /// stand for external events that no script knows, such as a provider's failure, and wait for a turn that has a step left.
    pub fn interpose(&mut self, steps: Vec<Step>) {
        if let Some(turn) = &mut self.turn {
            turn.give_up_retry();
        }
        self.interposed = steps.into();
    }

    /// The number of interposed steps that have not been played.
    #[must_use]
    pub fn interposed(&self) -> usize {
        self.interposed.len()
    }

    /// The oddities ([`Step::oddity`]) played since the last call, for counting.
    pub fn take_oddities(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.oddities)
    }

    /// When to call [`ScriptedAgent::wake`], on the clock of [`Moment::ms`]; `None` if the agent only waits for input.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        if self.writer.ended {
            return None;
        }
        let turn = self.turn.as_ref().and_then(|turn| match turn.blocked {
            Blocked::Until(ms) => Some(ms),
            Blocked::Answer(withdrawn_at) => withdrawn_at,
            Blocked::No | Blocked::Command | Blocked::Forever => None,
        });
        let hangs = self.turn.as_ref().is_some_and(|turn| turn.blocked == Blocked::Forever);
        let task = self.background.iter().map(|task| task.ends_ms).min().filter(|_| !hangs);
        let scheduled = self.scheduled.iter().map(|(at_ms, _)| *at_ms).min().filter(|_| self.turn.is_none());
        turn.into_iter().chain(task).chain(scheduled).min()
    }

    /// The next effect to perform.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.writer.effects.pop_front()
    }

    /// Whether the agent hangs: it answers nothing and finishes nothing.
    #[must_use]
    pub fn hangs(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.blocked == Blocked::Forever)
    }

    /// Whether the agent is in a turn.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.turn.is_some()
    }

    /// Handles a signal (facts §3).
    pub fn signal(&mut self, now: Moment, signal: Signalled) {
        self.writer.now = now;
        if self.writer.ended || self.ignores_signals {
            return;
        }
        let newest = self.writer.newest();
        match signal {
            Signalled::Interrupt => {
                if self.turn.is_some() {
                    self.interrupt_turn();
                }
                self.exit(0);
            }
            Signalled::Terminate | Signalled::HangUp => {
                // The newest version ends its running tool and writes the tool's result; the older one leaves the tool running.
                if newest && let Some(tool) = self.turn.as_ref().and_then(|turn| turn.open_tool.clone()) {
                    self.act(Effect::StopCommand);
                    self.writer.tool_result(&tool.id, "Exit code 137", true, &Value::Null);
                }
                self.exit(if signal == Signalled::Terminate { 143 } else { 129 });
            }
        }
    }

    fn open_session(&mut self, transcript: Option<Transcript>) {
        match (&self.options.open, transcript) {
            (Open::New(id), Some(_)) => {
                let why = format!("Error: Session ID {id} is already in use.");
                self.refuse(&why);
            }
            (Open::Resume(id) | Open::Fork(id), None) => {
                let error = format!("No conversation found with session ID: {id}");
                let errors = [error.clone()];
                self.writer.result(&ResultFacts {
                    subtype: "error_during_execution",
                    is_error: true,
                    errors: Some(&errors),
                    ..ResultFacts::default()
                });
                self.refuse(&error);
            }
            (Open::New(_) | Open::Unnamed, None) | (Open::Latest, None) => {}
            (Open::Resume(_) | Open::Fork(_) | Open::Latest | Open::Unnamed, Some(transcript)) => {
                // The newest version continues the session's cost, also in a fork; the older one starts at zero.
                if self.writer.newest() {
                    self.cost_usd = transcript.cost_usd;
                    self.cost_told_usd = transcript.cost_usd;
                }
                self.transcript = transcript;
            }
        }
    }

    fn refuse(&mut self, why: &str) {
        self.act(Effect::Stderr(why.to_owned()));
        self.exit(1);
    }

    fn refuse_line(&mut self, line: &str) {
        let why = match self.options.version {
            CliVersion::V197 => "Error parsing streaming input line: SyntaxError".to_owned(),
            CliVersion::V332 => {
                format!(
                    "Error parsing streaming input line (type=unknown, {} chars): SyntaxError",
                    line.chars().count()
                )
            }
        };
        self.refuse(&why);
    }

    fn message(&mut self, message: &Value) {
        let text_of = |key: &str| message.get(key).and_then(Value::as_str);
        match text_of("type") {
            Some("user") => self.user_message(message),
            Some("control_request") => {
                let request = message.get("request").unwrap_or(&Value::Null);
                self.control(text_of("request_id").unwrap_or_default(), request);
            }
            Some("control_response") => {
                if self.options.replay {
                    self.writer.echo(message);
                }
                self.answered(message.get("response").unwrap_or(&Value::Null));
            }
            Some("update_environment_variables") => {
                let applied =
                    message.get("variables").is_some_and(|vars| vars.get("CLAUDE_CODE_OAUTH_TOKEN").is_some());
                let response = match (self.options.version, applied) {
                    (CliVersion::V197, _) => None,
                    (CliVersion::V332, true) => Some(r#"{"applied":["CLAUDE_CODE_OAUTH_TOKEN"]}"#),
                    (CliVersion::V332, false) => Some(r#"{"applied":[]}"#),
                };
                self.writer.control_response(text_of("request_id").unwrap_or_default(), response);
            }
            Some(_) | None => {}
        }
    }

    fn control(&mut self, request_id: &str, request: &Value) {
        let text_of = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        match text_of("subtype") {
            "interrupt" => {
                let response = (self.writer.newest()).then_some(r#"{"still_queued":[]}"#);
                self.writer.control_response(request_id, response);
                let hangs = self.turn.as_ref().is_some_and(|turn| turn.blocked == Blocked::Forever);
                if self.turn.is_some() && !hangs {
                    self.interrupt_turn();
                }
            }
            "get_session_cost" => {
                let label = if self.writer.newest() { "Estimated" } else { "Total" };
                let decimals = if self.cost_usd > 0.5 { 2 } else { 4 };
                let text = format!("{label} cost:        ${:.decimals$}\nTotal duration (API):  0s", self.cost_usd);
                let response = serde_json::json!({ "text": text }).to_string();
                self.writer.control_response(request_id, Some(&response));
            }
            "initialize" => {
                let offers = serde_json::json!({
                    "commands": [{"name": "compact", "description": "Shortens the history", "argumentHint": "[focus]"}],
                    "models": [{"value": "default"}, {"value": "opus"}],
                });
                self.writer.control_response(request_id, Some(&offers.to_string()));
            }
            "set_permission_mode" => {
                let mode = text_of("mode").to_owned();
                self.writer.control_response(request_id, Some("{}"));
                self.works_in(&mode);
            }
            "set_model" => {
                text_of("model").clone_into(&mut self.writer.model);
                self.writer.control_response(request_id, Some("{}"));
            }
            "stop_task" => self.writer.control_response(request_id, Some("{}")),
            unknown => {
                let error = format!("Unsupported control request subtype: {unknown}");
                self.writer.control_error(request_id, &error);
            }
        }
    }

    fn user_message(&mut self, message: &Value) {
        let body = message.get("message").unwrap_or(&Value::Null);
        if let Some(role) = body.get("role").and_then(Value::as_str)
            && role != "user"
        {
            self.refuse(&format!("Error: Expected message role 'user', got '{role}'"));
            return;
        }
        let text = match body.get("content") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(blocks)) => {
                let texts = blocks.iter().filter_map(|block| block.get("text").and_then(Value::as_str));
                texts.collect::<Vec<_>>().join("\n")
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                "(no content)".to_owned()
            }
        };
        let uuid = message.get("uuid").and_then(Value::as_str).map(str::to_owned);
        if let Some(uuid) = &uuid {
            let waiting = self.queue.iter().any(|queued| queued.uuid.as_ref() == Some(uuid));
            if waiting || self.transcript.uuids.contains(uuid) {
                self.acknowledge_duplicate(&text, uuid);
                return;
            }
        }
        self.tell_lost_tasks();
        if self.turn.is_none() && self.queue.is_empty() {
            self.tell_state("running");
        }
        self.tell_lifecycle(uuid.as_deref(), "queued");
        self.queue.push_back(Message { text, uuid });
    }

    fn acknowledge_duplicate(&mut self, text: &str, uuid: &str) {
        if self.options.replay {
            self.writer.replay(text, Some(uuid), true);
        }
        if self.turn.is_none() && self.results == 0 {
            self.tell_lifecycle(Some(uuid), "completed");
            self.tell_state("idle");
        }
    }

    /// A resumed process first reports the background tasks that the process before it left unfinished (facts §4).
    fn tell_lost_tasks(&mut self) {
        if std::mem::replace(&mut self.lost_tasks_told, true) || self.is_critic() {
            return;
        }
        let lost = self.transcript.open_tasks.clone();
        for (task, tool) in &lost {
            let summary = "Background shell command didn't finish before the previous session ended";
            self.writer.task_notification(task, tool, "stopped", summary);
            self.append(Row::TaskEnded { task: task.clone() });
        }
        if !lost.is_empty() {
            self.writer.init(&[]);
            self.result(&ResultFacts {
                subtype: "success",
                text: Some(""),
                origin: Some(""),
                ..ResultFacts::default()
            });
        }
    }

    /// Plays steps until it must wait.
    fn run(&mut self) {
        while !self.writer.ended {
            if self.turn.is_some() {
                if self.step() {
                    continue;
                }
                return;
            }
            if let Some(at) = self.background.iter().position(|task| task.ends_ms <= self.writer.now.ms) {
                let task = self.background.remove(at);
                self.begin_follow_up(task);
            } else if !self.queue.is_empty() {
                self.begin_turn();
            } else if let Some(at) = self.scheduled.iter().position(|(at_ms, _)| *at_ms <= self.writer.now.ms) {
                let (_, schedule) = self.scheduled.remove(at);
                if schedule.every {
                    self.scheduled.push((self.writer.now.ms.saturating_add(schedule.ms.max(1)), schedule.clone()));
                }
                self.begin_scheduled(schedule.then);
            } else if self.input_ended && (self.background.is_empty() || !self.writer.newest()) {
                self.exit(u8::from(self.last_failed));
            } else {
                return;
            }
        }
    }

    /// Merges all waiting messages into one turn with the last message's uuid (facts §5).
    fn begin_turn(&mut self) {
        let waiting: Vec<Message> = self.queue.drain(..).collect();
        let Some((last, earlier)) = waiting.split_last() else { return };
        for message in earlier {
            if self.options.replay {
                self.writer.replay(&message.text, message.uuid.as_deref(), true);
            }
        }
        let text = waiting.iter().map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n");
        let uuids: Vec<String> = waiting.iter().filter_map(|message| message.uuid.clone()).collect();
        self.tell_lifecycle(last.uuid.as_deref(), "started");
        self.writer.init(&uuids);
        let model = self.writer.model.clone();
        self.append(Row::User { uuid: last.uuid.clone(), text: text.clone(), model });
        let cause = Cause::User { text, uuids };
        let steps = if cause.compacts() { vec![Step::CompactMs(COMPACTION_MS)] } else { self.scripted_steps() };
        self.turn = Some(Turn::new(cause, steps, self.writer.now));
    }

    fn scripted_steps(&self) -> Vec<Step> {
        let (turns, at, otherwise) = if self.is_critic() {
            (&self.script.critic, self.critics_ended, "The script has no further verdict.\n\n[TASK_COMPLETED]")
        } else {
            (&self.script.agent, self.transcript.turns_ended, "The script has no further turn.")
        };
        turns.get(at).cloned().unwrap_or_else(|| vec![Step::Say(otherwise.to_owned())])
    }

    fn begin_follow_up(&mut self, task: Task) {
        self.tell_task_end(&task);
        self.tell_state("running");
        self.writer.init(&[]);
        let steps = if task.then.is_empty() {
            vec![Step::Say("The background command has ended.".to_owned())]
        } else {
            task.then
        };
        self.turn = Some(Turn::new(Cause::Task { run: task.id }, steps, self.writer.now));
    }

    /// Begins a scheduled turn. No message announces it, and `result.origin` is absent (facts §1).
    fn begin_scheduled(&mut self, steps: Vec<Step>) {
        self.tell_state("running");
        let uuid = self.writer.uuid();
        self.tell_lifecycle(Some(&uuid), "started");
        self.writer.init(&[]);
        let steps =
            if steps.is_empty() { vec![Step::Say("It was time to look at it again.".to_owned())] } else { steps };
        self.turn = Some(Turn::new(Cause::Schedule, steps, self.writer.now));
    }

    pub(super) fn tell_task_end(&mut self, task: &Task) {
        self.writer.task_updated(&task.id);
        let summary = format!("Background command \"{}\" completed (exit code 0)", task.command);
        self.writer.task_notification(&task.id, &task.tool, "completed", &summary);
        self.append(Row::TaskEnded { task: task.id.clone() });
        self.tell_background();
    }

    pub(super) fn tell_background(&mut self) {
        let tasks: Vec<(&str, &str)> =
            self.background.iter().map(|task| (task.id.as_str(), task.command.as_str())).collect();
        self.writer.background_tasks(&tasks);
    }

    /// Ends the turn as interrupted.
    fn interrupt_turn(&mut self) {
        let Some(mut turn) = self.turn.take() else { return };
        self.cancel_request(&mut turn);
        let in_tool = turn.open_tool.is_some();
        if let Some(OpenTool { id, .. }) = &turn.open_tool {
            self.act(Effect::StopCommand);
            let text = "The user doesn't want to proceed with this tool use. The tool use was rejected.";
            self.writer.tool_result(id, text, true, &Value::String("User rejected tool use".to_owned()));
        }
        self.writer.interrupted_marker(in_tool);
        self.result(&ResultFacts {
            subtype: "error_during_execution",
            is_error: true,
            terminal_reason: Some(if in_tool { "aborted_tools" } else { "aborted_streaming" }),
            stop_reason: in_tool.then_some("tool_use"),
            errors: Some(&[]),
            num_turns: turn.requests,
            duration_ms: self.writer.now.ms.saturating_sub(turn.began_ms),
            denials: &turn.denials,
            answered: turn.cause.uuids(),
            ..ResultFacts::default()
        });
        self.close_turn(&turn, true);
    }

    /// Writes the messages that follow a result.
    pub(super) fn close_turn(&mut self, turn: &Turn, failed: bool) {
        self.last_failed = failed;
        self.tell_lifecycle(
            turn.cause.uuids().last().map(String::as_str),
            if failed { "cancelled" } else { "completed" },
        );
        if self.queue.is_empty() {
            self.tell_state("idle");
        }
    }

    /// Counts a turn of the script as ended, by a result or by the end of the process, so that the next turn plays the next list.
    pub(super) fn count_turn(&mut self) {
        if self.is_critic() {
            self.critics_ended += 1;
            self.act(Effect::CountCritic);
        } else {
            self.append(Row::TurnEnded);
        }
    }

    pub(super) fn result(&mut self, facts: &ResultFacts<'_>) {
        let since_usd = self.cost_usd - std::mem::replace(&mut self.cost_told_usd, self.cost_usd);
        self.writer.result(&ResultFacts { cost_usd: self.cost_usd, since_usd, index: self.results, ..facts.clone() });
        self.results += 1;
        if since_usd > 0.0 {
            self.append(Row::Cost { usd: self.cost_usd });
        }
    }

    pub(super) fn pay_request(&mut self) {
        self.cost_usd += REQUEST_USD;
    }

    pub(super) fn is_critic(&self) -> bool {
        matches!(self.options.open, Open::Fork(_))
    }

    pub(super) fn tell_state(&mut self, state: &str) {
        if self.options.session_states {
            self.writer.state(state);
        }
    }

    fn tell_lifecycle(&mut self, uuid: Option<&str>, state: &str) {
        if let Some(uuid) = uuid {
            self.writer.lifecycle(uuid, state);
        }
    }

    pub(super) fn append(&mut self, row: Row) {
        self.transcript.add(&row);
        if !self.options.ephemeral {
            self.act(Effect::Append(row));
        }
    }

    pub(super) fn exit(&mut self, code: u8) {
        self.act(Effect::Exit(code));
        self.writer.ended = true;
    }

    pub(super) fn act(&mut self, effect: Effect) {
        self.writer.act(effect);
    }
}
