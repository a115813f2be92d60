//! The meaning of one process's hooks.
//!
//! A turn has no id here. It is ccc's when it begins with the launch message or answers a held stop; otherwise it is
//! the user's, and the core assigns its id. It ends with a `Stop` hook, which is held, or with `StopFailure`. No hook
//! reports an interruption (both versions): the turn stays open until the next hook.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::claude::{can_write, edit, error_of, first_line, hunks, output_of, target, timeout_ms};
use super::{failure, launch};
use crate::agent::{AgentEvent, LaunchRequest, Protocol, Say, StartedBy, ToolOutput, TurnEnd, TurnOutcome, WaitingFor};
use crate::stream::Raw;
use crate::words::TurnId;

/// The `SessionEnd` reasons that mean that the user left. A signal has the reason `other`, and after `clear` another
/// session follows.
const LEAVES: [&str; 2] = ["prompt_input_exit", "logout"];

/// The prefix of the CLI's own prompt that wakes the agent when a background task has ended (2.1.332).
const TASK_NOTIFICATION: &str = "<task-notification>";

/// The key that interrupts a turn.
const ESCAPE: &[u8] = b"\x1b";

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct NativeProtocol {
    agent_version: String,
    /// The message that the process was started with.
    words: Option<String>,
    session: Option<Session>,
    turn: Turn,
    /// The user's turn that has begun has no id yet.
    unnamed: bool,
    /// The CLI's own id for the turn that began last.
    prompt_id: String,
    /// A `Stop` hook waits for its answer.
    held: bool,
    /// The held stop is to be accepted without a decision about it.
    lets_go: bool,
    /// The user said something during the turn, and the turn has not read it: it will be a turn of its own.
    pending: bool,
    /// The answered turn, while its background tasks continue.
    waits: Option<Waits>,
    /// The open tool calls: id to name.
    tools: BTreeMap<String, String>,
    scheduled: Vec<String>,
    /// A dialog is open.
    action_required: bool,
    compacting: bool,
    wrote: bool,
    spoke: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
enum Turn {
    #[default]
    None,
    /// Given to the process, which has not confirmed it.
    Sent(TurnId),
    /// Running.
    Open(StartedBy),
}

#[derive(Debug, Clone, PartialEq)]
struct Waits {
    started_by: StartedBy,
    text: String,
    tasks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Session {
    id: String,
    model: String,
    permission_mode: String,
    cwd: String,
}

/// The stdin of a hook, as far as it is read. A field that is missing or of another type is empty.
#[derive(Default)]
struct Hook<'a> {
    event: String,
    session_id: String,
    cwd: String,
    model: String,
    permission_mode: String,
    prompt: String,
    prompt_id: String,
    tool: String,
    call: String,
    agent_id: Option<String>,
    input: Option<Raw<'a>>,
    response: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
    answer: String,
    reason: String,
    tasks: Vec<String>,
    crons: Vec<String>,
}

impl<'a> Hook<'a> {
    fn read(json: &'a str) -> Option<Hook<'a>> {
        let text = |value: Raw<'_>| value.text().unwrap_or_default().into_owned();
        let mut hook = Hook::default();
        for (name, value) in Raw::parse(json)?.members() {
            match &*name {
                "hook_event_name" => hook.event = text(value),
                "session_id" => hook.session_id = text(value),
                "cwd" => hook.cwd = text(value),
                "model" => hook.model = text(value),
                "permission_mode" => hook.permission_mode = text(value),
                "prompt" => hook.prompt = text(value),
                "prompt_id" => hook.prompt_id = text(value),
                "tool_name" => hook.tool = text(value),
                "tool_use_id" => hook.call = text(value),
                "agent_id" => hook.agent_id = Some(text(value)),
                "tool_input" => hook.input = Some(value),
                "tool_response" => hook.response = Some(value),
                "error" => hook.error = Some(value),
                "last_assistant_message" => hook.answer = text(value),
                "reason" => hook.reason = text(value),
                "background_tasks" => hook.tasks = names(value),
                "session_crons" => hook.crons = names(value),
                _ => {}
            }
        }
        (!hook.event.is_empty()).then_some(hook)
    }
}

/// The beginning of each item's name.
fn names(list: Raw<'_>) -> Vec<String> {
    let named = ["description", "command", "prompt", "id"];
    let said = |item: Raw<'_>| named.iter().find_map(|name| Some(first_line(&item.member(name)?.text()?)));
    list.items().map(|item| said(item).unwrap_or_default()).collect()
}

impl NativeProtocol {
    pub(super) fn of(request: &LaunchRequest<'_>) -> NativeProtocol {
        NativeProtocol {
            agent_version: request.agent_version.to_owned(),
            words: request.words.map(launch::said),
            session: None,
            turn: Turn::None,
            unnamed: false,
            prompt_id: String::new(),
            held: false,
            lets_go: false,
            pending: false,
            waits: None,
            tools: BTreeMap::new(),
            scheduled: Vec::new(),
            action_required: false,
            compacting: false,
            wrote: false,
            spoke: false,
        }
    }

    /// Handles one hook; true when it proves progress.
    fn hook(&mut self, hook: &Hook<'_>, out: &mut Vec<AgentEvent>) -> bool {
        self.spoke = true;
        if hook.event == "HookGone" {
            self.is_abandoned(out);
            return true;
        }
        self.session(hook, out);
        match hook.event.as_str() {
            "SessionStart" => {}
            // The CLI's own prompt: a background task has ended and wakes the agent.
            "UserPromptSubmit" if hook.prompt.starts_with(TASK_NOTIFICATION) => self.goes_on(hook, out),
            "UserPromptSubmit" => self.prompt(hook, out),
            "PreToolUse" => {
                self.goes_on(hook, out);
                self.tool_started(hook, out);
            }
            "PostToolUse" | "PostToolUseFailure" => {
                self.goes_on(hook, out);
                self.tool_ended(hook, out);
            }
            "PermissionRequest" => {
                self.goes_on(hook, out);
                self.action_required(true, out);
            }
            "PreCompact" => self.compacting(true, out),
            "PostCompact" => self.compacting(false, out),
            "Stop" => self.stopped(hook, out),
            "StopFailure" => {
                self.goes_on(hook, out);
                let message = first_line(&hook.answer);
                let class = hook.error.and_then(Raw::text).unwrap_or_default();
                self.end(TurnOutcome::Failed { cause: failure::cause(&class), message }, &hook.answer, out);
            }
            "SessionEnd" if LEAVES.contains(&hook.reason.as_str()) => {
                out.push(AgentEvent::UserLeaves { reason: hook.reason.clone() });
            }
            _ => return false,
        }
        true
    }

    /// Reports a new session id or model, or a changed permission mode, which not every hook names.
    fn session(&mut self, hook: &Hook<'_>, out: &mut Vec<AgentEvent>) {
        if hook.session_id.is_empty() || hook.event == "SessionEnd" {
            return;
        }
        let before = self.session.clone();
        let kept = |now: &str, before: Option<&String>| {
            if now.is_empty() { before.cloned().unwrap_or_default() } else { now.to_owned() }
        };
        let now = Session {
            id: hook.session_id.clone(),
            model: kept(&hook.model, before.as_ref().map(|session| &session.model)),
            permission_mode: kept(&hook.permission_mode, before.as_ref().map(|session| &session.permission_mode)),
            cwd: kept("", before.as_ref().map(|session| &session.cwd).or(Some(&hook.cwd))),
        };
        match &before {
            Some(before) if before.id == now.id && before.model == now.model => {
                if before.permission_mode != now.permission_mode {
                    out.push(AgentEvent::PermissionMode(now.permission_mode.clone()));
                }
            }
            Some(_) | None => out.push(AgentEvent::SessionKnown {
                session_id: now.id.clone(),
                model: now.model.clone(),
                agent_version: self.agent_version.clone(),
                permission_mode: now.permission_mode.clone(),
                cwd: now.cwd.clone(),
            }),
        }
        self.session = Some(now);
    }

    /// A prompt was submitted: ccc's own when it equals the launch message.
    fn prompt(&mut self, hook: &Hook<'_>, out: &mut Vec<AgentEvent>) {
        self.action_required(false, out);
        self.compacting(false, out);
        let (prompt, words) = (&hook.prompt, self.words.take());
        // A message during a running turn carries that turn's id (2.1.332; 2.1.197 reports it when the turn reads
        // it). With another id it is a turn of its own, because the turn before was interrupted.
        let joins =
            matches!(self.turn, Turn::Open(_)) && !hook.prompt_id.is_empty() && hook.prompt_id == self.prompt_id;
        self.prompt_id.clone_from(&hook.prompt_id);
        if let Turn::Sent(turn) = &self.turn
            && words.as_deref().map(str::trim) == Some(prompt.trim())
        {
            let turn = turn.clone();
            self.accept(turn, out);
            return;
        }
        // The user's message has priority: a held stop that is still being judged is accepted.
        self.lets_go |= std::mem::take(&mut self.held);
        out.push(AgentEvent::UserSaid { text: prompt.clone() });
        if joins {
            self.pending = true;
        } else {
            self.begin_own(out);
        }
        self.unnamed = true;
    }

    /// A hook during a turn: the sent turn was accepted, or the CLI has begun a turn by itself.
    fn goes_on(&mut self, hook: &Hook<'_>, out: &mut Vec<AgentEvent>) {
        self.compacting(false, out);
        if hook.agent_id.is_none() && !hook.prompt_id.is_empty() {
            self.prompt_id.clone_from(&hook.prompt_id);
        }
        if hook.event != "PermissionRequest" {
            self.action_required(false, out);
        }
        match &self.turn {
            // A background sub-agent of a turn that is over.
            Turn::None if hook.agent_id.is_some() => {}
            Turn::None => {
                let waits = self.waits.take();
                match waits.map(|waits| waits.started_by) {
                    Some(started_by) => {
                        self.turn = Turn::Open(started_by.clone());
                        out.push(AgentEvent::TurnStarted { started_by });
                    }
                    None => self.begin_own(out),
                }
            }
            Turn::Sent(turn) => {
                let turn = turn.clone();
                self.accept(turn, out);
            }
            Turn::Open(_) => {}
        }
    }

    fn accept(&mut self, turn: TurnId, out: &mut Vec<AgentEvent>) {
        let started_by = StartedBy::Us(turn.clone());
        self.turn = Turn::Open(started_by.clone());
        self.pending = false;
        out.push(AgentEvent::TurnAccepted { turn, duplicate: false });
        out.push(AgentEvent::TurnStarted { started_by });
    }

    fn begin_own(&mut self, out: &mut Vec<AgentEvent>) {
        (self.waits, self.pending) = (None, false);
        self.tools.clear();
        self.turn = Turn::Open(StartedBy::Itself);
        out.push(AgentEvent::TurnStarted { started_by: StartedBy::Itself });
    }

    fn tool_started(&mut self, hook: &Hook<'_>, out: &mut Vec<AgentEvent>) {
        self.tools.insert(hook.call.clone(), hook.tool.clone());
        out.push(AgentEvent::ToolStarted {
            id: hook.call.clone(),
            name: hook.tool.clone(),
            target: target(&hook.tool, hook.input),
            timeout_ms: timeout_ms(&hook.tool, hook.input),
            edit: edit(&hook.tool, hook.input),
            under: hook.agent_id.clone(),
            in_background: hook.agent_id.is_some() && !matches!(self.turn, Turn::Open(_)),
        });
    }

    fn tool_ended(&mut self, hook: &Hook<'_>, out: &mut Vec<AgentEvent>) {
        self.tools.remove(&hook.call);
        // With a tool result of the turn itself the CLI also gives the model what the user has said meanwhile.
        self.pending &= hook.agent_id.is_some();
        self.wrote |= can_write(&hook.tool);
        let failed = hook.event == "PostToolUseFailure";
        let error = hook.error.filter(|_| failed).map(error_of).unwrap_or_default();
        let output = hook.response.or(hook.error).map(text_of).map(|text| ToolOutput::of(&text));
        let hunks = hunks(hook.response.filter(|_| !failed));
        out.push(AgentEvent::ToolEnded { id: hook.call.clone(), failed, error, output, hunks });
    }

    fn stopped(&mut self, hook: &Hook<'_>, out: &mut Vec<AgentEvent>) {
        self.goes_on(hook, out);
        self.scheduled.clone_from(&hook.crons);
        self.held = true;
        if !hook.answer.trim().is_empty() {
            out.push(AgentEvent::Text { text: hook.answer.clone(), under: None });
        }
        let pending = std::mem::take(&mut self.pending);
        if hook.tasks.is_empty() && !pending {
            self.end(TurnOutcome::Done, &hook.answer, out);
            return;
        }
        // Background tasks and the user's messages reach the agent only after the stop is accepted.
        let Turn::Open(started_by) = std::mem::take(&mut self.turn) else { return };
        (self.held, self.lets_go) = (false, true);
        self.tools.clear();
        let mut tasks = hook.tasks.clone();
        tasks.extend(pending.then(|| "the answer to what the user has said meanwhile".to_owned()));
        out.push(AgentEvent::Waiting(WaitingFor::Background { open: tasks.len(), longest_ms: None }));
        self.waits = Some(Waits { started_by, text: hook.answer.clone(), tasks });
    }

    fn end(&mut self, outcome: TurnOutcome, text: &str, out: &mut Vec<AgentEvent>) {
        self.action_required(false, out);
        self.tools.clear();
        let Turn::Open(started_by) = std::mem::take(&mut self.turn) else { return };
        out.push(AgentEvent::TurnEnded(turn_end(outcome, started_by, text, 0)));
    }

    fn is_abandoned(&mut self, out: &mut Vec<AgentEvent>) {
        if std::mem::take(&mut self.held) {
            out.push(AgentEvent::StopAbandoned);
        }
    }

    fn action_required(&mut self, on: bool, out: &mut Vec<AgentEvent>) {
        if std::mem::replace(&mut self.action_required, on) != on {
            out.push(AgentEvent::ActionRequired(on));
        }
    }

    fn compacting(&mut self, on: bool, out: &mut Vec<AgentEvent>) {
        if std::mem::replace(&mut self.compacting, on) != on {
            out.push(AgentEvent::Compacting(on));
        }
    }
}

fn turn_end(outcome: TurnOutcome, started_by: StartedBy, text: &str, left_open: usize) -> TurnEnd {
    TurnEnd {
        outcome,
        started_by,
        text: text.to_owned(),
        // A hook does not say where the last block begins, so all of the text is examined.
        last_block: 0,
        denials: Vec::new(),
        left_open,
        unasked: false,
        mixed: false,
    }
}

/// A tool's output as text: what a command printed, or the JSON of anything else.
fn text_of(response: Raw<'_>) -> String {
    let printed = ["stdout", "stderr"].iter().filter_map(|name| response.member(name)?.text());
    let printed: Vec<String> = printed.filter(|text| !text.is_empty()).map(|text| text.into_owned()).collect();
    let blocks = || response.member("content").map(output_of).filter(|text| !text.is_empty());
    let text =
        if printed.is_empty() { response.text().map(|text| text.into_owned()) } else { Some(printed.join("\n")) };
    text.or_else(blocks).unwrap_or_else(|| if response.is_null() { String::new() } else { output_of(response) })
}

impl Protocol for NativeProtocol {
    fn copied(&self) -> Box<dyn Protocol> {
        Box::new(self.clone())
    }

    fn encode(&self, say: &Say<'_>) -> Option<Vec<u8>> {
        match *say {
            // The driver has at most one waiting hook; the core decides by `takes_turn` whether to send a turn.
            Say::Turn { text, .. } => Some(json!({"decision": "block", "reason": text}).to_string().into_bytes()),
            Say::ReleaseStop => Some(b"{}".to_vec()),
            Say::Interrupt => Some(ESCAPE.to_vec()),
            Say::Credential { .. }
            | Say::CostQuestion { .. }
            | Say::PermissionMode { .. }
            | Say::Model { .. }
            | Say::Permission { .. }
            | Say::Filled { .. }
            | Say::Denial { .. }
            | Say::Cancel { .. }
            | Say::Refusal { .. } => None,
        }
    }

    fn turn_sent(&mut self, turn: &TurnId) {
        if std::mem::take(&mut self.unnamed) {
            self.turn = Turn::Open(StartedBy::Us(turn.clone()));
            return;
        }
        (self.held, self.waits, self.pending) = (false, None, false);
        self.turn = Turn::Sent(turn.clone());
    }

    fn stop_released(&mut self) {
        self.held = false;
    }

    fn interrupted(&mut self) {
        (self.turn, self.waits, self.pending) = (Turn::None, None, false);
        self.tools.clear();
    }

    /// Accepts a stop about which nothing is decided.
    fn poll_send(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.lets_go).then(|| b"{}".to_vec())
    }

    fn line(&mut self, json: &str, out: &mut Vec<AgentEvent>) {
        let first = out.len();
        out.push(AgentEvent::Alive);
        self.unnamed = false;
        let Some(hook) = Hook::read(json) else { return };
        if self.hook(&hook, out)
            && let Some(sign) = out.get_mut(first)
        {
            *sign = AgentEvent::Progress;
        }
    }

    fn settle(&mut self) -> Option<TurnEnd> {
        let Waits { started_by, text, tasks } = self.waits.take()?;
        Some(turn_end(TurnOutcome::Done, started_by, &text, tasks.len()))
    }

    fn is_idle(&self) -> bool {
        self.turn == Turn::None && self.waits.is_none()
    }

    fn takes_turn(&self) -> bool {
        self.is_idle() && self.held
    }

    fn has_spoken(&self) -> bool {
        self.spoke
    }

    fn could_write(&self) -> bool {
        self.wrote
    }

    fn open_tasks(&self) -> usize {
        self.waits.as_ref().map_or(0, |waits| waits.tasks.len())
    }

    fn open_task_names(&self) -> Vec<String> {
        self.waits.as_ref().map(|waits| waits.tasks.clone()).unwrap_or_default()
    }

    fn scheduled_names(&self) -> Vec<String> {
        self.scheduled.clone()
    }
}
