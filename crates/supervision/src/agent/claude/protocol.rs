//! The meaning of one process's lines, given what was sent to it.
//!
//! A turn of ccc goes through *sent*, *accepted* (its uuid was replayed), *answered* (its result came) and *ended*
//! (the CLI is idle and nothing is open). 2.1.329 names the uuids that a result answers. On 2.1.197 the turn's result
//! is the first one without an origin after the uuid was replayed. Earlier results belong to a turn of the CLI's own,
//! for example about a task that an earlier process left behind, or one that a scheduled job began.
//!
//! Only 2.1.197 accepts some turns without a replay (slash commands, an exceeded `--max-budget-usd`; measured). No
//! such turn reaches the model: on 2.1.197 a result without an origin and without model output before it is ccc's if
//! the CLI is idle after it.
//!
//! Without `session_state_changed` (an environment that removes ccc's variable) a result counts as idle.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::context::ContextUsed;
use super::cost::{COST_REQUEST, Cost};
use super::denials::Denials;
use super::failure::{Evidence, limit_report, outcome};
use super::hooks::Hooks;
use super::questions::{about_form, about_tool, plan_of};
use super::rules::{of_call, of_subject, subject};
use super::schedules::Schedules;
use super::spoken::{FinalText, Spoken};
use super::target::{background_ms, can_write, edit, error_of, first_line, hunks, output_of, target, timeout_ms};
use super::tasks::{Begun, Step, TaskEnd, Tasks};
use super::todo::Todo;
use super::usage::UsedTokens;
use super::wording::wording;
use crate::agent::{
    AgentEvent, Ask, AskedKind, Denial, OfferedCommand, Offers, Protocol, Say, StartedBy, ToolOutput, TurnEnd,
    TurnOutcome, WaitingFor,
};
use crate::stream::message::{
    ApiRetry, Assistant, Block, ControlAsk, Init, PermissionDenied, StreamDelta, StreamMessage, TaskStarted,
    TurnResult, User,
};
use crate::stream::{Envelope, Message, Raw, encode, parse_envelope, parse_message};
use crate::words::TurnId;

/// How many open tool calls are remembered; more than any turn has.
const MAX_OPEN_TOOLS: usize = 4_096;
/// How many calls of writing tools are remembered; with more, it is certain that some ran.
const MAX_WRITING_TOOLS: usize = 1_024;
/// How many unanswered permission requests are remembered; beyond that one is dropped, and the result reports its
/// denial.
const MAX_ASKED: usize = 64;
/// How long 2.1.329 lets a background command run that declared no timeout (its tool's own text).
const BACKGROUND_COMMAND_MS: u64 = 1_800_000;

/// The model name in a message that the CLI itself wrote.
const SYNTHETIC: &str = "<synthetic>";
/// The origin of a turn about the end of a background task.
const TASK_ORIGIN: &str = "task-notification";

/// The id prefix of ccc's credential exchanges.
pub(super) const CREDENTIAL_REQUEST: &str = "credential-";
/// The id of the request for another permission mode.
const MODE_REQUEST: &str = "mode-1";
/// The permission modes that every session can select, in the order of the CLI's own Shift-Tab.
const MODES: [&str; 3] = ["default", "acceptEdits", "plan"];
/// The id of the question about what the CLI offers.
const OFFERS_REQUEST: &str = "offers-1";
/// How many turns of the CLI's own may end before it reports a turn of ccc. Those that were queued before ccc's turn go first.
const MOST_OTHERS_BEFORE: u32 = 4;
/// How many commands and models of the answer are used; more than any CLI has.
const MAX_OFFERS: usize = 1_024;
/// How many messages are recognised when the CLI repeats them; after a compaction it repeats a few.
const MAX_SAID: usize = 64;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct ClaudeProtocol {
    state: State,
    /// A turn that follows the answered one has begun and has no result yet; used when the CLI does not report its
    /// state.
    follow_up_runs: bool,
    turn: Turn,
    session: Option<Session>,
    tasks: Tasks,
    schedules: Schedules,
    /// The uuids of the latest messages.
    said: VecDeque<Box<str>>,
    /// The latest call that carries a plan: the CLI's request about it names only the plan of its own file.
    planned: Option<(String, String)>,
    todo: Todo,
    spoken: Spoken,
    /// It is a critic: text in turns that it begins by itself is not its answer, and nothing that it schedules is
    /// waited for.
    judges: bool,
    /// Since the last result the model answered, or its provider reported an error.
    heard_model: bool,
    /// The model spoke in a turn of the CLI's own, after ccc's turn was written and before it was accepted.
    spoke_by_itself: bool,
    /// ccc's turn was merged into a turn of the CLI's own.
    mixed: bool,
    tools: BTreeMap<String, Tool>,
    /// Calls of writing tools, without the denied ones.
    writing: BTreeSet<String>,
    evidence: Evidence,
    denials: Denials,
    /// It is to be asked what it offers once it runs (`wants_offers`), or now (`asks_offers`).
    wants_offers: bool,
    asks_offers: bool,
    /// Unanswered permission requests by request id: the call, and the denial to report if it is denied.
    asked: BTreeMap<String, (Option<String>, Denial)>,
    cost: Cost,
    used: UsedTokens,
    context: ContextUsed,
    hooks: Hooks,
    compacting: bool,
    /// Whether any line of the protocol came.
    spoke: bool,
    /// It waits for somebody to act.
    action_required: bool,
    /// This CLI version names the user messages that a result answers.
    names_answers: bool,
    /// It was started with its own sandbox.
    in_sandbox: bool,
}

/// The state that the CLI reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// None reported yet.
    #[default]
    Unsaid,
    Running,
    Idle,
}

#[derive(Debug, Clone, Default)]
enum Turn {
    #[default]
    None,
    /// Written, not accepted yet.
    Sent {
        turn: TurnId,
        /// The CLI reported that it begins (2.1.329).
        started: bool,
        /// A result that may answer this turn.
        unclaimed: Option<Answer>,
        /// The turns that have ended since, none of which was reported to be this one.
        others: u32,
    },
    /// Running, or answered.
    Open { started_by: StartedBy, answer: Option<Answer>, waiting: Option<WaitingFor> },
}

#[derive(Debug, Clone)]
struct Answer {
    outcome: TurnOutcome,
    said: FinalText,
    unasked: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    id: String,
    model: String,
    permission_mode: String,
    cwd: String,
}

#[derive(Debug, Clone)]
struct Tool {
    target: String,
    name: String,
    /// What the class of such calls, and what allows them, depend on. They are derived only for a denial.
    subject: String,
    sub_agent: bool,
    /// A background sub-agent called it.
    in_background: bool,
    /// The declared time limit of a background call.
    background_ms: Option<u64>,
}

impl Protocol for ClaudeProtocol {
    fn copied(&self) -> Box<dyn Protocol> {
        Box::new(self.clone())
    }

    /// Each message is one line. The replies carry the ids of ccc's requests.
    fn encode(&self, say: &Say<'_>) -> Option<Vec<u8>> {
        let line = match *say {
            Say::Turn { turn, kind, text, images } => {
                let images = images.iter().map(|image| (image.media_type.as_str(), image.data.as_str()));
                encode::user_turn(&turn.0, &wording(kind, text), images)
            }
            Say::ReleaseStop => return None,
            Say::Interrupt => encode::interrupt("interrupt-1"),
            Say::Credential { variables } => encode::update_environment(&format!("{CREDENTIAL_REQUEST}1"), variables),
            Say::CostQuestion { number } => encode::get_session_cost(&format!("{COST_REQUEST}{number}")),
            Say::PermissionMode { mode } => encode::set_permission_mode(MODE_REQUEST, mode),
            Say::Model { model } => encode::set_model("model-1", model),
            Say::Permission { request_id, input, updates } => encode::allow_tool(request_id, input, updates),
            Say::Filled { request_id, content } => encode::fill_form(request_id, content),
            Say::Denial { request_id, words } => encode::deny_tool(request_id, words),
            Say::Cancel { request_id } => encode::cancel_form(request_id),
            Say::Refusal { request_id, why } => encode::control_error(request_id, why),
        };
        Some(line.into_bytes())
    }

    fn started(&mut self) {
        self.asks_offers = std::mem::take(&mut self.wants_offers);
    }

    fn poll_send(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.asks_offers).then(|| encode::initialize(OFFERS_REQUEST).into_bytes())
    }

    fn turn_sent(&mut self, turn: &TurnId) {
        self.next_turn();
        self.mixed = false;
        self.denials.take();
        self.asked.clear();
        self.follow_up_runs = false;
        self.turn = Turn::Sent { turn: turn.clone(), started: false, unclaimed: None, others: 0 };
    }

    fn tool_answered(&mut self, request_id: &str, is_allowed: bool) -> Option<Denial> {
        let (call, denial) = self.asked.remove(request_id)?;
        if is_allowed { None } else { self.deny(call.as_deref(), denial) }
    }

    fn line(&mut self, json: &str, out: &mut Vec<AgentEvent>) {
        let first = out.len();
        out.push(AgentEvent::Alive);
        let Some(envelope) = parse_envelope(json) else { return };
        self.spoke |= envelope.kind.is_some();
        // Computed before the message is handled, which may end the call that the line belongs to.
        let is_turns = self.is_turns(envelope.parent_tool_use_id.as_deref());
        let is_progress = if envelope.is_partial() {
            partial_is_progress(&envelope)
        } else {
            self.message(&envelope, out) && is_turns
        };
        if is_progress && let Some(sign) = out.get_mut(first) {
            *sign = AgentEvent::Progress;
        }
    }

    fn settle(&mut self) -> Option<TurnEnd> {
        match &self.turn {
            Turn::Open { answer: Some(_), .. } if self.state != State::Running && !self.follow_up_runs => {
                let left_open = self.tasks.give_up();
                self.schedules.give_up();
                self.take_end(left_open)
            }
            Turn::None | Turn::Sent { .. } | Turn::Open { .. } => None,
        }
    }

    fn is_idle(&self) -> bool {
        matches!(self.turn, Turn::None) && self.state != State::Running
    }

    fn has_spoken(&self) -> bool {
        self.spoke
    }

    fn could_write(&self) -> bool {
        !self.writing.is_empty()
    }

    fn open_tasks(&self) -> usize {
        self.tasks.open()
    }

    fn open_task_names(&self) -> Vec<String> {
        let mut names = self.tasks.open_names();
        names.extend(self.schedules.open_names());
        names
    }

    fn scheduled_names(&self) -> Vec<String> {
        self.schedules.names()
    }
}

impl ClaudeProtocol {
    /// The protocol of an agent; `wants_offers`: it is asked what it offers.
    pub(super) fn of_agent(wants_offers: bool) -> Self {
        Self { wants_offers, ..Self::default() }
    }

    /// The protocol of a critic.
    pub(super) fn of_critic() -> Self {
        Self { judges: true, ..Self::default() }
    }

    /// The protocol of a process that was started with its own sandbox.
    pub(super) fn in_sandbox(self) -> Self {
        Self { in_sandbox: true, ..self }
    }

    /// A result was read, or a new turn sent.
    fn next_turn(&mut self) {
        self.evidence.next_turn();
        self.hooks.next_turn();
        self.spoken.next_turn();
        self.heard_model = false;
        self.spoke_by_itself = false;
    }

    /// Whether the turn waits for the sub-agent that this call started. An unanswered turn waits for its main
    /// conversation (`None`) and for foreground sub-agents; an answered one also for background sub-agents.
    fn is_turns(&self, sub_agent: Option<&str>) -> bool {
        match sub_agent {
            Some(call) => !self.is_in_background(call) || matches!(self.turn, Turn::Open { answer: Some(_), .. }),
            None => true,
        }
    }

    /// Whether a sub-agent that this call started works in the background: the call has returned, or is itself a
    /// background one.
    fn is_in_background(&self, call: &str) -> bool {
        match self.tools.get(call) {
            Some(tool) => tool.in_background,
            None => self.tools.len() < MAX_OPEN_TOOLS,
        }
    }

    /// Handles a message. Returns whether it proves progress: it has text, a call or a result, or changes what is
    /// known of the turn. A timer of the CLI and a repeated report prove none.
    fn message(&mut self, envelope: &Envelope<'_>, out: &mut Vec<AgentEvent>) -> bool {
        let before = out.len();
        let carries = self.take_in(envelope, out);
        // Limits are repeated with each provider reply, whose content follows as other lines; the cost comes only
        // because ccc asked.
        let proves = |event: &AgentEvent| {
            !matches!(
                event,
                AgentEvent::Limit(_)
                    | AgentEvent::CostAnswered { .. }
                    | AgentEvent::Usage(_)
                    | AgentEvent::Context(_)
                    | AgentEvent::Offers(_)
            )
        };
        carries || out.iter().skip(before).any(proves)
    }

    /// Returns whether the message itself proves progress; otherwise its events may.
    fn take_in(&mut self, envelope: &Envelope<'_>, out: &mut Vec<AgentEvent>) -> bool {
        let sub_agent = envelope.parent_tool_use_id.as_deref();
        match parse_message(envelope) {
            Message::Init(init) => self.init(envelope, &init, out),
            Message::SessionState(session) => match session.state.as_deref() {
                Some("idle") => {
                    let changes = self.state != State::Idle;
                    self.action_required(false, out);
                    self.idle(out);
                    return changes;
                }
                Some(state) => {
                    let changes = self.state != State::Running;
                    self.state = State::Running;
                    self.action_required(state == "requires_action", out);
                    return changes;
                }
                None => {}
            },
            Message::CommandLifecycle(command) => {
                let first = !self.names_answers;
                self.names_answers = true;
                if let Turn::Sent { turn, started, .. } = &mut self.turn
                    && command.command_uuid.as_deref() == Some(turn.0.as_str())
                    && command.state.as_deref() == Some("started")
                {
                    return !std::mem::replace(started, true);
                }
                return first;
            }
            Message::User(user) => {
                self.user(envelope, &user, out);
                return user.is_replay != Some(true) && !user.blocks().is_empty();
            }
            Message::Assistant(assistant) => {
                if self.was_said(envelope.uuid.as_deref()) {
                    return false;
                }
                self.assistant(&assistant, sub_agent, out);
                return assistant.error.is_some() || assistant.blocks().iter().any(says_something);
            }
            Message::Result(result) => {
                self.result(envelope, &result, out);
                return true;
            }
            Message::TaskStarted(task) => {
                self.task_started(&task, out);
                // A command that has run for 3 s becomes a task: that is a timer of the CLI, and the call is known
                // already.
                return !task.tool_use_id.as_deref().is_some_and(|call| self.tools.contains_key(call));
            }
            Message::TaskProgress(task) => {
                let is_turns = self.is_turns(task.tool_use_id.as_deref());
                let moved = task.task_id.as_deref().is_some_and(|id| self.tasks.moved_on(id, Step::of(&task)));
                return is_turns && moved;
            }
            Message::TaskUpdated(task) => {
                let patched = task.patch.as_ref().and_then(|patch| patch.is_backgrounded);
                if let (Some(id), Some(in_background)) = (task.task_id.as_deref(), patched) {
                    self.tasks.moved(id, in_background);
                }
                let status = task.patch.as_ref().and_then(|patch| patch.status.as_deref());
                self.task_ended(task.task_id.as_deref(), status, out);
                return patched.is_some() || TaskEnd::of(status).is_some();
            }
            Message::TaskNotification(task) => {
                self.task_ended(task.task_id.as_deref(), task.status.as_deref(), out);
                return TaskEnd::of(task.status.as_deref()).is_some();
            }
            Message::BackgroundTasks(background) => {
                let tools = &self.tools;
                self.tasks.listed(background.tasks.as_deref().unwrap_or_default(), |id| tools.contains_key(id));
                self.end_or_wait(out);
            }
            Message::PermissionDenied(denied) => self.permission_denied(&denied, out),
            Message::RateLimit(event) => {
                if let Some(report) = event.rate_limit_info.as_ref().and_then(limit_report) {
                    self.evidence.limit(report.clone());
                    out.push(AgentEvent::Limit(report));
                }
            }
            Message::ApiRetry(retry) => out.push(retry_announced(&retry)),
            Message::Status(status) => {
                if let (Some(mode), Some(session)) = (status.permission_mode.as_deref(), &mut self.session)
                    && session.permission_mode != mode
                {
                    mode.clone_into(&mut session.permission_mode);
                    out.push(AgentEvent::PermissionMode(mode.to_owned()));
                }
                match status.status.as_deref() {
                    Some("compacting") => self.set_compacting(true, out),
                    // Compaction has ended. `requesting` may also be reported during it.
                    None => self.set_compacting(false, out),
                    Some(_) => {}
                }
            }
            Message::CompactBoundary => {
                self.set_compacting(false, out);
                out.extend(self.context.forgotten().map(AgentEvent::Context));
            }
            Message::ControlResponse(response) => {
                if response.request_id.as_deref().is_some_and(|id| id.starts_with(CREDENTIAL_REQUEST)) {
                    // 2.1.197 does not say what it accepted; then the next answer decides (facts §0.1).
                    let taken = response.applied().is_none_or(|applied| !applied.is_empty());
                    out.push(AgentEvent::CredentialAnswered { applied: response.is_success() && taken });
                }
                if response.request_id.as_deref() == Some(OFFERS_REQUEST) {
                    out.extend(response.response.map(offers).map(AgentEvent::Offers));
                }
                if response.request_id.as_deref() == Some(MODE_REQUEST) && !response.is_success() {
                    let why = response.error.as_deref().map_or_else(|| "it gives no reason".to_owned(), first_line);
                    out.push(AgentEvent::PermissionModeRefused { why });
                }
                let question =
                    response.request_id.as_deref().and_then(|id| id.strip_prefix(COST_REQUEST)?.parse().ok());
                if let Some(number) = question {
                    let text = response.response.and_then(|body| body.member("text")).and_then(Raw::text);
                    let process_usd = self.cost.answered(number, text.as_deref());
                    out.push(AgentEvent::CostAnswered { process_usd });
                }
            }
            Message::ControlRequest(request) => {
                if let Some(id) = request.request_id {
                    self.question(id.into_owned(), request.request.unwrap_or_default(), out);
                }
            }
            Message::ControlCancel(cancel) => {
                if let Some(id) = cancel.request_id
                    && self.asked.remove(&*id).is_some()
                {
                    out.push(AgentEvent::QuestionWithdrawn { request_id: id.into_owned() });
                }
            }
            Message::HookStarted(hook) => {
                if let Some(id) = hook.hook_id {
                    let name = first_line(&hook.hook_name.unwrap_or_default());
                    out.push(AgentEvent::HookStarted { id: id.into_owned(), name });
                }
            }
            // The hook has printed more; a timer alone also sends this message.
            Message::HookProgress(hook) => return hook.output.is_some_and(|output| !output.is_empty()),
            Message::HookResponse(hook) => {
                self.hooks.ended(&hook);
                out.extend(hook.hook_id.map(|id| AgentEvent::HookEnded { id: id.into_owned() }));
            }
            Message::StreamEvent(part) => {
                let delta = part.event.as_ref().and_then(|event| event.delta.as_ref());
                if let Some(reason) =
                    delta.and_then(|delta| delta.stop_reason.as_deref()).filter(|_| sub_agent.is_none())
                {
                    self.spoken.ended(reason);
                }
                return part.event.as_ref().is_some_and(is_step);
            }
            Message::ToolProgress(progress) => return progress.subagent_retry.is_some(),
            Message::ConversationReset => {
                out.extend(self.context.forgotten().map(AgentEvent::Context));
                return true;
            }
            Message::ModelFallback | Message::ModelRefusal => return true,
            Message::Informational(said) => {
                if said.prevent_continuation == Some(true) {
                    self.hooks.stopped(said.content.as_deref().unwrap_or_default());
                }
            }
            Message::Notification | Message::ThinkingTokens(_) | Message::KeepAlive | Message::Other(_) => {}
        }
        false
    }

    /// `init` precedes every turn, including one that the CLI begins by itself.
    fn init(&mut self, envelope: &Envelope<'_>, init: &Init<'_>, out: &mut Vec<AgentEvent>) {
        let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
        if let Some(id) = envelope.session_id.as_deref() {
            let session = Session {
                id: id.to_owned(),
                model: text(&init.model),
                permission_mode: text(&init.permission_mode),
                cwd: text(&init.cwd),
            };
            if self.session.as_ref() != Some(&session) {
                out.push(AgentEvent::SessionKnown {
                    session_id: session.id.clone(),
                    model: session.model.clone(),
                    agent_version: text(&init.claude_code_version),
                    permission_mode: session.permission_mode.clone(),
                    cwd: session.cwd.clone(),
                });
                self.session = Some(session);
            }
        }
        // Version 2.1.197 does not say it.
        if self.in_sandbox && init.sandbox_enabled == Some(false) {
            out.push(AgentEvent::SandboxMissing);
        }
        match &mut self.turn {
            Turn::None => self.begin_own(out),
            Turn::Sent { .. } => {}
            Turn::Open { started_by, answer, waiting } => {
                if answer.is_some() {
                    if !self.tasks.owes_a_turn() {
                        self.schedules.fired();
                    }
                    self.follow_up_runs = self.state == State::Unsaid;
                    *waiting = None;
                    out.push(AgentEvent::TurnStarted { started_by: started_by.clone() });
                }
            }
        }
    }

    fn begin_own(&mut self, out: &mut Vec<AgentEvent>) {
        if !self.tasks.owes_a_turn() {
            self.schedules.fired();
        }
        self.turn = Turn::Open { started_by: StartedBy::Itself, answer: None, waiting: None };
        out.push(AgentEvent::TurnStarted { started_by: StartedBy::Itself });
    }

    fn accept(&mut self, turn: TurnId, answer: Option<Answer>, out: &mut Vec<AgentEvent>) {
        let started_by = StartedBy::Us(turn.clone());
        self.mixed = std::mem::take(&mut self.spoke_by_itself);
        self.turn = Turn::Open { started_by: started_by.clone(), answer, waiting: None };
        out.push(AgentEvent::TurnAccepted { turn, duplicate: false });
        out.push(AgentEvent::TurnStarted { started_by });
    }

    fn user(&mut self, envelope: &Envelope<'_>, user: &User<'_>, out: &mut Vec<AgentEvent>) {
        if user.is_replay == Some(true)
            && let Turn::Sent { turn, started, .. } = &self.turn
            && envelope.uuid.as_deref() == Some(turn.0.as_str())
        {
            let turn = turn.clone();
            // A duplicate has no timestamp and no turn. Merged messages have no timestamp either, but for them a turn
            // has begun.
            let begun = *started || (self.state == State::Running && !self.names_answers);
            if user.timestamp.is_some() || begun {
                self.accept(turn, None, out);
            } else {
                self.turn = Turn::None;
                out.push(AgentEvent::TurnAccepted { turn, duplicate: true });
            }
        }
        if user.is_synthetic == Some(true)
            && envelope.parent_tool_use_id.is_none()
            && let Some((hook, said)) = self.hooks.sent_back(user)
        {
            // Hooks run only after an answer that the model itself ended.
            out.push(if self.spoken.is_cut() { AgentEvent::CutShort } else { AgentEvent::SentBack { hook, said } });
        }
        if let Some(time) = user.timestamp.as_deref() {
            self.schedules.time(time);
        }
        for block in user.blocks() {
            if let Block::ToolResult(result) = block
                && let Some(id) = result.tool_use_id.as_deref()
            {
                self.tools.remove(id);
                self.tasks.tool_returned(id);
                let failed = result.is_error == Some(true);
                self.schedules.returned(id, failed, user.tool_use_result);
                if self.todo.returned(id, failed, user.tool_use_result) {
                    out.push(AgentEvent::Todo(self.todo.items()));
                }
                let error = result.content.filter(|_| failed).map(error_of).unwrap_or_default();
                let output = result.content.map(output_of).map(|text| ToolOutput::of(&text));
                let hunks = hunks(user.tool_use_result.filter(|_| !failed));
                out.push(AgentEvent::ToolEnded { id: id.to_owned(), failed, error, output, hunks });
            }
        }
    }

    /// Whether a message with this uuid came before: after a compaction the CLI repeats the messages that it has kept.
    fn was_said(&mut self, uuid: Option<&str>) -> bool {
        let Some(uuid) = uuid else { return false };
        if self.said.iter().any(|said| **said == *uuid) {
            return true;
        }
        if self.said.len() == MAX_SAID {
            self.said.pop_front();
        }
        self.said.push_back(uuid.into());
        false
    }

    /// `parent`: the call whose sub-agent wrote the message.
    fn assistant(&mut self, assistant: &Assistant<'_>, parent: Option<&str>, out: &mut Vec<AgentEvent>) {
        let sub_agent = parent.is_some();
        let under = || parent.map(str::to_owned);
        let in_background = parent.is_some_and(|call| self.is_in_background(call));
        if !sub_agent && self.state == State::Running && matches!(self.turn, Turn::None) {
            self.begin_own(out);
        }
        if let Some(time) = assistant.timestamp.as_deref() {
            self.schedules.time(time);
        }
        let body = assistant.message.as_ref();
        let by_cli = body.and_then(|body| body.model.as_deref()) == Some(SYNTHETIC) && assistant.error.is_none();
        if !sub_agent && !by_cli {
            self.heard_model = true;
            self.spoke_by_itself |= matches!(self.turn, Turn::Sent { started: false, .. });
            self.spoken.message(body.and_then(|body| body.id.as_deref()).unwrap_or_default());
        }
        if let Some(body) = body
            && let (Some(id), Some(usage)) = (body.id.as_deref(), &body.usage)
        {
            out.extend(self.used.message(id, usage).map(AgentEvent::Usage));
            if !sub_agent && !by_cli {
                let model = body.model.as_deref().unwrap_or_default();
                out.extend(self.context.message(model, usage).map(AgentEvent::Context));
            }
        }
        if assistant.error.is_some() || assistant.is_api_error_message == Some(true) {
            if !sub_agent {
                self.evidence.api_error(assistant);
            }
            return;
        }
        for block in assistant.blocks() {
            if !sub_agent {
                self.hooks.model_said(matches!(block, Block::Text(_) | Block::Thinking(_)));
            }
            match block {
                Block::Text(text) => {
                    if !sub_agent && !by_cli {
                        self.spoken.text(text);
                    }
                    if !text.trim().is_empty() {
                        out.push(AgentEvent::Text { text: text.clone().into_owned(), under: under() });
                    }
                }
                Block::ToolUse(call) => {
                    let (Some(id), Some(name)) = (call.id.as_deref(), call.name.as_deref()) else {
                        continue;
                    };
                    let tool = Tool {
                        target: target(name, call.input),
                        name: name.to_owned(),
                        subject: subject(name, call.input),
                        sub_agent,
                        in_background,
                        background_ms: background_ms(name, call.input),
                    };
                    out.push(AgentEvent::ToolStarted {
                        id: id.to_owned(),
                        name: name.to_owned(),
                        target: tool.target.clone(),
                        timeout_ms: timeout_ms(name, call.input),
                        edit: edit(name, call.input),
                        under: under(),
                        in_background,
                    });
                    self.schedules.called(id, name, call.input, &tool.target);
                    if let Some(plan) = plan_of(name, call.input) {
                        self.planned = Some((id.to_owned(), plan));
                    }
                    if !sub_agent && self.todo.called(id, name, call.input) {
                        out.push(AgentEvent::Todo(self.todo.items()));
                    }
                    if can_write(name) && self.writing.len() < MAX_WRITING_TOOLS {
                        self.writing.insert(id.to_owned());
                    }
                    if self.tools.len() < MAX_OPEN_TOOLS {
                        self.tools.insert(id.to_owned(), tool);
                    }
                }
                Block::Thinking(text) => {
                    if !text.trim().is_empty() {
                        out.push(AgentEvent::Thinking { text: text.clone().into_owned(), under: under() });
                    }
                }
                Block::ToolResult(_) | Block::Other(_) => {}
            }
        }
    }

    fn result(&mut self, envelope: &Envelope<'_>, result: &TurnResult<'_>, out: &mut Vec<AgentEvent>) {
        out.extend(self.cost.count(result).map(|process_usd| AgentEvent::Cost { process_usd }));
        out.extend(self.used.result(result).map(AgentEvent::Usage));
        let model = self.session.as_ref().map_or("", |session| session.model.as_str());
        out.extend(self.context.result(result, model).map(AgentEvent::Context));
        self.tasks.result_came();
        self.follow_up_runs = false;
        for denial in result.permission_denials.iter().flatten() {
            let tool = denial.tool_name.as_deref().unwrap_or_default();
            let denied = self.deny(denial.tool_use_id.as_deref(), called(tool, denial.tool_input));
            out.extend(denied.map(AgentEvent::Denied));
        }
        let answers = answered_uuids(result);
        self.names_answers |= !answers.is_empty();
        let stop_reason_is_null = envelope.member("stop_reason").is_some_and(|reason| reason.is_null());
        let unasked = result.num_turns == Some(0);
        let outcome = match outcome(result, stop_reason_is_null, &self.evidence) {
            TurnOutcome::Done if unasked => self.hooks.blocked().unwrap_or(TurnOutcome::Done),
            outcome @ (TurnOutcome::Done | TurnOutcome::Interrupted | TurnOutcome::Failed { .. }) => outcome,
        };
        let said = match outcome {
            TurnOutcome::Done => self.spoken.answer(result.result.as_deref().unwrap_or_default()),
            TurnOutcome::Interrupted | TurnOutcome::Failed { .. } => FinalText::default(),
        };
        let said_nothing = unasked && outcome == TurnOutcome::Done;
        let answer = Answer { outcome, said, unasked };
        let no_uuids = answers.is_empty() && !self.names_answers && result.origin.is_none();
        // A turn of ccc would have been replayed before any model output.
        let may_be_unreplayed = unasked || !self.heard_model;
        // It is about a background task of this process, which only ccc's turns can have started.
        let about_task = result.origin.as_ref().and_then(|origin| origin.kind.as_deref()) == Some(TASK_ORIGIN);
        let spoke_by_itself = self.spoke_by_itself;
        self.next_turn();
        match &mut self.turn {
            // An empty result, or the report that the session to resume does not exist.
            Turn::None if result.num_turns == Some(0) => {}
            Turn::None => {
                self.begin_own(out);
                self.answer(answer, said_nothing);
            }
            Turn::Sent { turn, unclaimed, others, .. } => {
                *others += 1;
                if answers.contains(&turn.0.as_str()) {
                    let turn = turn.clone();
                    self.spoke_by_itself = spoke_by_itself;
                    self.accept(turn, Some(answer), out);
                } else if no_uuids && may_be_unreplayed {
                    *unclaimed = Some(answer);
                }
            }
            Turn::Open { started_by: StartedBy::Us(turn), answer: None, .. } => {
                if answers.contains(&turn.0.as_str()) || no_uuids {
                    self.answer(answer, false);
                }
            }
            // A job that fired before the CLI was idle: a turn of its own, which is not part of a verdict.
            Turn::Open { started_by: StartedBy::Us(turn), .. }
                if self.judges && !about_task && !answers.contains(&turn.0.as_str()) => {}
            Turn::Open { .. } => self.answer(answer, said_nothing),
        }
        if self.state == State::Unsaid {
            self.tasks.idle();
        }
        self.end_or_wait(out);
    }

    /// Records an answer to the open turn. Of several answers (a turn about a background task may follow), the last
    /// decides the outcome, and the last non-empty one is the text. A successful turn about a background task does
    /// not replace the failure of ccc's own turn.
    fn answer(&mut self, new: Answer, said_nothing: bool) {
        if let Turn::Open { answer, started_by, .. } = &mut self.turn {
            match answer {
                None => *answer = Some(new),
                Some(_) if said_nothing => {}
                Some(old) => {
                    let ours_failed =
                        matches!(started_by, StartedBy::Us(_)) && matches!(old.outcome, TurnOutcome::Failed { .. });
                    if !ours_failed || new.outcome != TurnOutcome::Done {
                        old.outcome = new.outcome;
                    }
                    if !new.said.text.trim().is_empty() {
                        old.said = new.said;
                    }
                    old.unasked &= new.unasked;
                }
            }
        }
    }

    fn idle(&mut self, out: &mut Vec<AgentEvent>) {
        self.state = State::Idle;
        self.tasks.idle();
        match &mut self.turn {
            Turn::Sent { turn, unclaimed: Some(answer), .. } => {
                let (turn, answer) = (turn.clone(), answer.clone());
                self.accept(turn, Some(answer), out);
            }
            // An idle CLI has taken up all that it was given.
            Turn::Sent { others, .. } if *others >= MOST_OTHERS_BEFORE => {
                *others = 0;
                out.push(AgentEvent::TurnUnreported);
            }
            // It began and never answered.
            Turn::Open { started_by: StartedBy::Itself, answer: answer @ None, .. } => {
                *answer = Some(Answer { outcome: TurnOutcome::Done, said: FinalText::default(), unasked: true });
            }
            Turn::None | Turn::Sent { .. } | Turn::Open { .. } => {}
        }
        self.end_or_wait(out);
    }

    /// Ends an answered turn when the CLI is idle with nothing open, or reports what it waits for. An interrupted
    /// turn does not wait: the interrupt asked for its end.
    fn end_or_wait(&mut self, out: &mut Vec<AgentEvent>) {
        if self.follow_up_runs {
            return;
        }
        let open = self.tasks.open();
        let owed = self.tasks.owes_a_turn();
        let scheduled = if self.judges { 0 } else { self.schedules.open() };
        let first_in_ms = self.schedules.first_in_ms();
        let Turn::Open { answer: Some(answer), waiting, .. } = &mut self.turn else {
            return;
        };
        let now_waiting = match answer.outcome {
            _ if self.state == State::Running => Some(WaitingFor::Idle { open }),
            // A failure is reported at once: a reached limit must be known before the next request to the provider.
            TurnOutcome::Interrupted | TurnOutcome::Failed { .. } => None,
            TurnOutcome::Done if open > 0 => Some(WaitingFor::Background { open, longest_ms: self.tasks.longest_ms() }),
            TurnOutcome::Done if owed => Some(WaitingFor::FollowUp),
            TurnOutcome::Done => (scheduled > 0).then_some(WaitingFor::Scheduled { open: scheduled, first_in_ms }),
        };
        match now_waiting {
            Some(what) => {
                if *waiting != Some(what) {
                    *waiting = Some(what);
                    out.push(AgentEvent::Waiting(what));
                }
            }
            None => out.extend(self.take_end(open).map(AgentEvent::TurnEnded)),
        }
    }

    fn take_end(&mut self, left_open: usize) -> Option<TurnEnd> {
        match std::mem::take(&mut self.turn) {
            Turn::Open { started_by, answer: Some(answer), .. } => {
                if left_open == 0 {
                    self.tools.clear();
                }
                Some(TurnEnd {
                    outcome: answer.outcome,
                    started_by,
                    text: answer.said.text,
                    last_block: answer.said.last_block,
                    denials: self.denials.take(),
                    left_open,
                    unasked: answer.unasked,
                    mixed: std::mem::take(&mut self.mixed),
                })
            }
            unanswered @ (Turn::None | Turn::Sent { .. } | Turn::Open { .. }) => {
                self.turn = unanswered;
                None
            }
        }
    }

    fn task_started(&mut self, task: &TaskStarted<'_>, out: &mut Vec<AgentEvent>) {
        if let Some(id) = task.task_id.as_deref() {
            let tool_use_id = task.tool_use_id.as_deref();
            let nested = tool_use_id.and_then(|call| self.tools.get(call)).is_some_and(|tool| tool.sub_agent);
            let declared_ms = tool_use_id.and_then(|call| self.tools.get(call)).and_then(|tool| tool.background_ms);
            // Only a CLI that reports where a task runs has a time limit for all background commands (facts 2.1.329,
            // A).
            let command = task.task_type.as_deref() == Some("local_bash");
            let default_ms = (command && task.is_backgrounded.is_some()).then_some(BACKGROUND_COMMAND_MS);
            let name = tool_use_id.and_then(|call| self.tools.get(call)).map(|tool| tool.target.as_str());
            let name = first_line(name.or(task.description.as_deref()).unwrap_or_default());
            let begun = Begun {
                tool_use_id,
                in_background: task.is_backgrounded,
                nested,
                limit_ms: declared_ms.or(default_ms),
                name: &name,
            };
            self.tasks.started(id, begun);
            self.end_or_wait(out);
        }
    }

    fn task_ended(&mut self, id: Option<&str>, status: Option<&str>, out: &mut Vec<AgentEvent>) {
        if let (Some(id), Some(end)) = (id, TaskEnd::of(status)) {
            let tools = &self.tools;
            self.tasks.ended(id, end, |call| tools.contains_key(call));
            self.end_or_wait(out);
        }
    }

    fn question(&mut self, request_id: String, asked: ControlAsk<'_>, out: &mut Vec<AgentEvent>) {
        let subtype = asked.subtype.as_deref().unwrap_or_default().to_owned();
        match subtype.as_str() {
            "can_use_tool" => {
                let denial = called(asked.tool_name.as_deref().unwrap_or_default(), asked.input);
                let task = asked.agent_id.as_deref();
                let under = task.map(|task| self.tasks.call_of(task).unwrap_or(task).to_owned());
                let mut about = about_tool(&asked, under);
                if about.kind == AskedKind::Plan && about.plan.is_none() {
                    let call = asked.tool_use_id.as_deref();
                    let planned = self.planned.as_ref().filter(|(id, _)| call == Some(id.as_str()));
                    about.plan = planned.map(|(_, plan)| plan.clone());
                }
                let ask = Ask::ForUser(Box::new(about));
                self.asks(&request_id, asked.tool_use_id.map(Cow::into_owned), denial);
                out.push(AgentEvent::Question { request_id, subtype, ask });
            }
            "elicitation" => {
                let ask = Ask::ForUser(Box::new(about_form(&asked)));
                self.asks(&request_id, None, Denial::default());
                out.push(AgentEvent::Question { request_id, subtype, ask });
            }
            _ => out.push(AgentEvent::Question { request_id, subtype, ask: Ask::Unknown }),
        }
    }

    fn asks(&mut self, request_id: &str, call: Option<String>, denial: Denial) {
        if self.asked.len() >= MAX_ASKED {
            self.asked.pop_first();
        }
        self.asked.insert(request_id.to_owned(), (call, denial));
    }

    fn action_required(&mut self, required: bool, out: &mut Vec<AgentEvent>) {
        if self.action_required != required {
            self.action_required = required;
            out.push(AgentEvent::ActionRequired(required));
        }
    }

    fn permission_denied(&mut self, denied: &PermissionDenied<'_>, out: &mut Vec<AgentEvent>) {
        let tool = denied.tool_name.as_deref().unwrap_or_default();
        let call = denied.tool_use_id.as_deref();
        let denial = match call.and_then(|id| self.tools.get(id)) {
            Some(known) => {
                let (class, allowed_by) = of_subject(&known.name, &known.subject);
                Denial { tool: tool.to_owned(), target: known.target.clone(), class, allowed_by }
            }
            None => called(tool, None),
        };
        out.extend(self.deny(call, denial).map(AgentEvent::Denied));
    }

    fn deny(&mut self, call: Option<&str>, denial: Denial) -> Option<Denial> {
        if let Some(id) = call
            && self.writing.len() < MAX_WRITING_TOOLS
        {
            self.writing.remove(id);
        }
        self.denials.add(call, denial)
    }

    fn set_compacting(&mut self, compacting: bool, out: &mut Vec<AgentEvent>) {
        if self.compacting != compacting {
            self.compacting = compacting;
            out.push(AgentEvent::Compacting(compacting));
        }
    }
}

/// Whether a block has content.
fn says_something(block: &Block<'_>) -> bool {
    match block {
        Block::Text(text) | Block::Thinking(text) => !text.is_empty(),
        Block::ToolUse(_) | Block::ToolResult(_) | Block::Other(_) => true,
    }
}

/// Whether this is a step of a streamed answer. A `ping` is not: it comes while nothing else does. Nor is the start or
/// end of a text or thinking block, because any number of empty ones may come. The start of a tool call names the tool,
/// so it is a step.
fn is_step(event: &StreamMessage<'_>) -> bool {
    match event.kind.as_deref() {
        Some("message_start" | "message_delta" | "message_stop") => true,
        Some("content_block_start") => {
            let kind = event.content_block.and_then(|block| block.member("type")).and_then(Raw::text);
            kind.is_some_and(|kind| !matches!(&*kind, "text" | "thinking"))
        }
        Some(_) | None => false,
    }
}

/// Whether a partial line has content: at least one character of a block, or more thinking tokens than before. A
/// delta of an unknown kind counts; an empty one of a known kind is only a sign of life.
pub(super) fn partial_is_progress(line: &Envelope<'_>) -> bool {
    let message = parse_message(line);
    if let Message::StreamEvent(part) = &message {
        part.event.as_ref().and_then(|event| event.delta.as_ref()).is_some_and(carries_something)
    } else if let Message::ThinkingTokens(thinking) = &message {
        thinking.estimated_tokens_delta.or(thinking.estimated_tokens).is_some_and(|tokens| tokens > 0)
    } else {
        false
    }
}

fn carries_something(delta: &StreamDelta<'_>) -> bool {
    let pieces = [&delta.text, &delta.thinking, &delta.partial_json, &delta.signature];
    match delta.kind.as_deref() {
        Some("text_delta" | "thinking_delta" | "input_json_delta" | "signature_delta") | None => {
            pieces.into_iter().flatten().any(|piece| !piece.is_empty())
        }
        Some("citations_delta") => delta.citation.is_some_and(|citation| !citation.is_null()),
        Some(_) => true,
    }
}

/// The CLI's answer about what it offers.
fn offers(answer: Raw<'_>) -> Box<Offers> {
    let [commands, models, begun_in] = answer.members_named(["commands", "models", "current_permission_mode"]);
    let items = |list: Option<_>| list.into_iter().flat_map(Raw::items).take(MAX_OFFERS);
    let text = |value: Option<Raw<'_>>| value.and_then(Raw::text).map(|text| first_line(&text)).unwrap_or_default();
    let command = |item: Raw<'_>| {
        let [name, description, argument_hint] = item.members_named(["name", "description", "argumentHint"]).map(text);
        OfferedCommand { name, description, argument_hint }
    };
    let models = items(models).map(|item| text(item.member("value"))).filter(|model| !model.is_empty());
    let mut permission_modes = MODES.map(str::to_owned).to_vec();
    // A mode such as `bypassPermissions` can be selected only if the session began in it.
    let begun_in = text(begun_in);
    if !begun_in.is_empty() && !permission_modes.contains(&begun_in) {
        permission_modes.push(begun_in);
    }
    let commands = items(commands).map(command).collect();
    Box::new(Offers { commands, models: models.collect(), permission_modes })
}

/// The denial of a call with this input.
fn called(tool: &str, input: Option<Raw<'_>>) -> Denial {
    let (class, allowed_by) = of_call(tool, input);
    Denial { tool: tool.to_owned(), target: target(tool, input), class, allowed_by }
}

fn answered_uuids<'r>(result: &'r TurnResult<'_>) -> Vec<&'r str> {
    let many = result.user_message_uuids.iter().flatten().map(|uuid| &**uuid);
    many.chain(result.user_message_uuid.as_deref()).collect()
}

fn retry_announced(retry: &ApiRetry) -> AgentEvent {
    let delay_ms = retry.retry_delay_ms.unwrap_or_default().max(0.0).round();
    AgentEvent::RetryAnnounced {
        attempt: retry.attempt.unwrap_or_default(),
        max_attempts: retry.max_retries.unwrap_or_default(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a delay is a small positive number, and the cast saturates"
        )]
        delay_ms: delay_ms as u64,
        status: retry.error_status,
    }
}
