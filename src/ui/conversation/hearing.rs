//! Turns what the run shows into pieces and status.

use super::super::clean;
use super::super::composer::Completion;
use super::super::format::seconds;
use super::super::parts::{GAP, Joint};
use super::pieces::{Call, Check, Note, Piece};
use super::status::Retry;
use super::{Conversation, Job, Leave, Running};
use crate::agent::{Role, TurnKind};
use crate::core::{AfterWait, OperatorInput, Outcome, RestKind, SettledHow, Show};

/// How many permission modes are kept.
const MODES_LIMIT: usize = 16;
/// How many running tools are tracked.
const RUNNING_LIMIT: usize = 64;
/// How much of the agent's thinking is kept for display, in bytes.
const THINKING_BYTES: usize = 4 * 1024;
/// How many characters of a sub-agent's present activity are shown.
const INNER_CHARS: usize = 80;
/// How many characters of what a request was about are shown in the row of its decision.
const SUBJECT_CHARS: usize = 200;

/// Whether this shows that the request which failed was answered, or is not tried again.
fn ends_retry(show: &Show) -> bool {
    let is_answer = matches!(
        show,
        Show::Text { role: Role::Agent, .. }
            | Show::Thinking { role: Role::Agent, .. }
            | Show::Tool { role: Role::Agent, .. }
            | Show::ToolEnded { role: Role::Agent, .. }
    );
    is_answer
        || matches!(show, Show::Turn { .. } | Show::Rotation { .. } | Show::Rests { .. } | Show::Finished { .. })
        || matches!(show, Show::Phase { phase, .. } if phase != "working")
}

impl Running {
    /// Whether this is the call of this tool on this target.
    fn is(&self, subject: &(String, String)) -> bool {
        (&self.call.name, &self.call.target) == (&subject.0, &subject.1)
    }
}

impl Conversation {
    pub(super) fn hear_words(&mut self, role: Role, thinking: bool, part: Option<u64>, text: &str) {
        if role == Role::Agent {
            self.status.retry = None;
        }
        match (role, thinking) {
            // The critic's text is not shown: its verdict is.
            (Role::Critic, _) => {}
            (Role::Agent, true) => {
                match self.thought_parts.take(part) {
                    Joint::Follows => {}
                    Joint::Again => return,
                    Joint::Gap => {
                        // What is missing may be the beginning; another thought needs no mark.
                        self.thinking.clear();
                        self.thinking.push_str(if part == Some(0) { "" } else { GAP });
                    }
                }
                self.thinking.push_str(text);
                let cut = self.thinking.len().saturating_sub(THINKING_BYTES);
                if cut > 0 {
                    self.thinking.drain(..self.thinking.ceil_char_boundary(cut));
                }
            }
            (Role::Agent, false) => {
                self.thinking.clear();
                self.printing.add_partial(text, part);
            }
        }
    }

    pub(super) fn hear(&mut self, show: Show, run_ms: u64, past: bool) {
        if ends_retry(&show) {
            self.status.retry = None;
        }
        match show {
            Show::Phase { phase, detail, iteration, goes_on_in_ms } => {
                self.was_judged |= matches!(phase.as_str(), "checking" | "reviewing");
                if matches!(phase.as_str(), "restarting" | "ending") {
                    self.breaks_off(run_ms, "did not end");
                }
                // The agent may start before it has a task.
                if phase != "starting" || self.status.rest != Some(RestKind::NoTask) {
                    self.status.rest = None;
                }
                self.status.enters(clean::one_line(&phase, 40), run_ms);
                self.status.detail = clean::one_line(&detail, 300);
                self.status.iteration = iteration;
                self.status.goes_on_at_ms = goes_on_in_ms.map(|ms| run_ms + ms);
                if phase != "waiting" {
                    self.dialogs.forget_question();
                }
            }
            Show::Session { model, agent_version, permission_mode, session_id } => {
                let text = format!(
                    "session {session_id}, {model}, version {agent_version}, permission mode {permission_mode}"
                );
                self.printing.note(Note::Information, &text);
                self.mode_is(&permission_mode);
            }
            Show::PermissionMode { mode } => self.mode_is(&mode),
            Show::Retrying { role: Role::Agent, attempt, max_attempts, delay_ms } => {
                self.status.retry = Some(Retry { attempt, max_attempts, at_ms: run_ms.saturating_add(delay_ms) });
            }
            Show::Retrying { .. } => {}
            Show::Turn { kind, text } => self.hear_turn(kind, &text, run_ms),
            Show::Text { role: Role::Agent, text, sub_agent: false, .. } => {
                self.thinking.clear();
                self.printing.said(&text);
            }
            Show::Thinking { role: Role::Agent, text, under: None } => {
                self.thinking.clear();
                if !text.trim().is_empty() {
                    self.printing.add(Piece::Thought(text.into()));
                }
            }
            // The texts of sub-agents and the critic are not shown: their results are.
            Show::Text { .. } | Show::Thinking { .. } => {}
            Show::Tool { role: Role::Agent, id, name, target, edit, under } => {
                self.thinking.clear();
                match under.and_then(|call| self.running.iter_mut().find(|running| running.id == call)) {
                    Some(parent) => {
                        parent.call.inner += 1;
                        parent.last_inner = clean::one_line(&format!("{name} {target}"), INNER_CHARS);
                    }
                    None => {
                        self.starts(id, Call { target: self.relative(&target), name, edit, ..Call::default() }, run_ms)
                    }
                }
            }
            Show::ToolEnded { role: Role::Agent, id, failed, error, output, hunks } => {
                let Some(at) = self.running.iter().position(|running| running.id == id) else { return };
                let mut running = self.running.remove(at);
                running.call.took_ms = run_ms.saturating_sub(running.since_ms);
                running.call.error = failed.then(|| if error.is_empty() { "failed".to_owned() } else { error });
                running.call.output = output;
                running.call.hunks = hunks;
                if !self.denials.ended(&id, failed) {
                    self.printing.add(Piece::Call(Box::new(running.call.bounded())));
                }
            }
            Show::Tool { .. } | Show::ToolEnded { .. } => {}
            Show::Denied { role: Role::Agent, tool, target } => {
                let denied = (tool, self.relative(&target));
                if self.denials.denied(&denied) {
                    self.printing.note(Note::Warning, &format!("denied: {} {}", denied.0, denied.1));
                }
            }
            Show::Denied { .. } => {}
            Show::Check { command, passed, summary, duration_ms, tail, setup, not_run: _ } => {
                self.printing.add(Piece::Check(Box::new(Check {
                    command,
                    passed,
                    summary,
                    took_ms: duration_ms,
                    tail,
                    setup,
                })));
            }
            Show::Verdict { verdict, text, .. } => self.hear_verdict(&verdict, &text),
            Show::Context { .. } => {}
            Show::Cost { usd } => self.status.cost_usd = usd,
            Show::Notice { text } => self.printing.note(Note::Warning, &text),
            Show::Information { text } => self.printing.note(Note::Information, &text),
            Show::Awaited { what, for_ms, left_ms, then, .. } => {
                let then = match then {
                    AfterWait::Hung => "restart",
                    AfterWait::Judged => "judged without it",
                    AfterWait::GoesOn => "continues",
                };
                let text = format!("waiting for {what} for {}; {then} in {}", seconds(for_ms), seconds(left_ms));
                self.status.detail = clean::one_line(&text, 300);
            }
            Show::Rotation { from, to, why } => {
                self.status.label = clean::one_line(&to, 40);
                self.status.windows = (None, None);
                self.printing.note(Note::Turn, &format!("rotated to {to} ({from}: {why})"));
            }
            Show::Spent { tokens, until_unix_ms, waits, now_unix_ms } => {
                let away = seconds(u64::try_from(until_unix_ms.saturating_sub(now_unix_ms)).unwrap_or(0));
                let labels: Vec<&str> = tokens.iter().map(|token| token.label.as_str()).collect();
                let then = if waits { "the run continues by itself" } else { "the run can continue" };
                self.printing.note(
                    Note::Warning,
                    &format!("no token can be used now ({}); {then} in {away}", labels.join(", ")),
                );
            }
            Show::Question { question, .. } => {
                self.dialogs.question(question);
                self.rings(past);
            }
            Show::Asked { ask } => {
                self.denials.asked(ask.id, (ask.tool.clone(), self.relative(&ask.target)));
                self.dialogs.ask(*ask);
                self.rings(past);
            }
            Show::Settled { ask, how, words } => {
                let was_printed = self.dialogs.settle(ask);
                let note = match how {
                    SettledHow::Allowed | SettledHow::AllowedForSession | SettledHow::Answered => Note::Good,
                    SettledHow::Denied | SettledHow::Policy => Note::Bad,
                    SettledHow::Withdrawn | SettledHow::Gone => Note::Information,
                };
                let is_ours = how == SettledHow::Withdrawn && self.is_interrupting;
                let subject = self.denials.settled(ask, note == Note::Bad || is_ours);
                // What it is about was not printed if it was settled before its turn.
                let about = subject.filter(|_| !was_printed).map(|(tool, target)| format!("{tool} {target}"));
                let about = about.map(|about| format!(" ({})", clean::one_line(about.trim(), SUBJECT_CHARS)));
                let said = if is_ours { "interrupted" } else { how.in_words() };
                let words = if words.is_empty() { String::new() } else { format!(": {words}") };
                self.printing.note(note, &format!("request {ask}{} {said}{words}", about.unwrap_or_default()));
            }
            Show::Queue { turns } => {
                let is_asked_back = |key: &str| {
                    let mut orders = self.orders.values();
                    orders.any(|order| {
                        let is_asked = matches!(order, OperatorInput::TakeBack { key: asked } if asked == key);
                        is_asked || matches!(order, OperatorInput::Say { key: Some(said), .. } if said == key)
                    })
                };
                self.said_images.retain(|key, _| turns.iter().any(|turn| turn.key == *key) || is_asked_back(key));
                self.queue = turns;
            }
            Show::Todo { items } => {
                self.todo_is_new = items.iter().any(|item| item.state != "completed");
                self.todo = items;
            }
            Show::Offers { offers } => {
                self.models.clone_from(&offers.models);
                for mode in offers.permission_modes.iter().rev() {
                    self.modes.retain(|known| known != mode);
                    self.modes.insert(0, mode.clone());
                }
                self.modes.truncate(MODES_LIMIT);
                self.offered = offers
                    .commands
                    .iter()
                    .map(|command| Completion {
                        text: format!("/{} ", command.name),
                        hint: clean::one_line(command.argument_hint.trim(), 200),
                        about: clean::one_line(command.description.trim(), 200),
                    })
                    .collect();
            }
            Show::Attended { clients } => self.status.attending = clients,
            Show::Rests { why, outcome, reason } => {
                self.breaks_off(run_ms, if why == RestKind::Interrupted { "interrupted" } else { "did not end" });
                self.status.goes_on_at_ms = None;
                self.status.is_paused |= why == RestKind::Paused;
                self.status.rest = Some(why);
                if why == RestKind::Interrupted {
                    self.printing.note(Note::Turn, "interrupted");
                }
                if let Some(outcome) = outcome {
                    // After a command that the CLI answers by itself, the run rests as before, and nothing was judged.
                    let is_told = !self.was_judged && self.rested.as_ref() == Some(&reason);
                    // The critic's question was shown with its verdict.
                    let is_told = is_told || outcome == Outcome::NeedsUser && self.verdict_is_told;
                    if !is_told {
                        self.tell_outcome(outcome, &reason);
                    }
                    (self.rested, self.was_judged) = (Some(reason), false);
                }
                if why != RestKind::NoTask {
                    self.printing.pause();
                }
            }
            Show::Windows { label, five_hour, seven_day } => {
                self.status.label = clean::one_line(&label, 40);
                self.status.windows = (five_hour, seven_day);
            }
            Show::Finished { outcome, reason } => {
                self.breaks_off(run_ms, "did not end");
                self.dialogs.clear();
                self.denials.clear();
                self.status.phase = "ended".to_owned();
                if !self.was_judged && self.rested.as_ref() == Some(&reason) {
                    self.printing.note(Note::Information, "ended");
                } else {
                    self.tell_outcome(outcome, &reason);
                }
            }
        }
    }

    /// The agent works in this permission mode.
    fn mode_is(&mut self, mode: &str) {
        self.wanted_mode = None;
        self.status.mode = clean::one_line(mode, 40);
        if !mode.is_empty() && !self.modes.iter().any(|known| known == mode) {
            self.modes.push(mode.to_owned());
        }
    }

    fn hear_turn(&mut self, kind: TurnKind, text: &str, run_ms: u64) {
        self.breaks_off(run_ms, "did not end");
        self.denials.begin_turn();
        self.was_said_to = true;
        self.is_interrupting = false;
        self.verdict_is_told = false;
        self.status.rest = None;
        // A turn begins only in a run that is not paused.
        self.status.is_paused = false;
        self.status.since_ms = Some(run_ms);
        match kind {
            TurnKind::Task | TurnKind::Operator => {
                if !text.trim().is_empty() {
                    self.printing.add(Piece::You(text.into()));
                }
            }
            TurnKind::Worker => self.printing.note(Note::Information, text),
            TurnKind::Compact => self.printing.note(Note::Information, "the session's history is shortened"),
            TurnKind::Continue => self.printing.note(Note::Information, "the agent continues where it was"),
            // These texts were shown when they arose.
            TurnKind::Feedback | TurnKind::CheckFailure | TurnKind::Brief => {}
        }
    }

    /// Shows the outcome of a stop or of the run.
    fn tell_outcome(&mut self, outcome: Outcome, reason: &str) {
        // The message may not have been a task, so the note does not say that a task is done.
        match reason.strip_prefix("the critic agrees that the task is done") {
            Some(but) if outcome == Outcome::Completed => {
                self.printing.note(Note::Good, &format!("reviewed: the critic agrees{but}"));
            }
            Some(_) | None => {
                let note = if outcome == Outcome::Completed { Note::Good } else { Note::Warning };
                self.printing.note(note, &format!("{}: {reason}", outcome.in_words()));
            }
        }
    }

    fn hear_verdict(&mut self, verdict: &str, text: &str) {
        self.verdict_is_told = verdict == "needs_user";
        match verdict {
            "feedback" => self.printing.add(Piece::Feedback(text.trim().into())),
            // The outcome that follows shows this.
            "completed" => {}
            "needs_user" => self.printing.note(Note::Open, &format!("the critic asks you: {}", text.trim())),
            other => {
                let words = Outcome::named(other).map_or(other, |outcome| outcome.in_words());
                self.printing.note(Note::Bad, &format!("the critic gave no verdict ({words}): {}", text.trim()));
            }
        }
    }

    fn starts(&mut self, id: String, call: Call, run_ms: u64) {
        if self.running.len() == RUNNING_LIMIT {
            self.running.remove(0);
        }
        self.denials.started(&id, (call.name.clone(), call.target.clone()));
        self.running.push(Running { id, call, since_ms: run_ms, last_inner: String::new() });
    }

    /// Closes everything that was in progress in the turn. `how` says why, in a word or two.
    fn breaks_off(&mut self, run_ms: u64, how: &str) {
        self.printing.broken_off();
        self.thinking.clear();
        for mut running in std::mem::take(&mut self.running) {
            running.call.took_ms = run_ms.saturating_sub(running.since_ms);
            running.call.error = Some(how.to_owned());
            if !self.denials.ended(&running.id, true) {
                self.printing.add(Piece::Call(Box::new(running.call.bounded())));
            }
        }
        if self.todo_is_new {
            self.printing.add(Piece::Todo(self.todo.clone().into()));
            self.todo_is_new = false;
        }
    }

    /// Prints what the dialog whose turn has come is about: it stands directly above its choices.
    pub(super) fn print_dialog(&mut self) {
        let Some(dialog) = self.dialogs.turn() else { return };
        let (asked, step) = (dialog.asked().cloned(), dialog.step_text());
        if let Some(asked) = asked {
            let subject = (asked.tool.clone(), self.relative(&asked.target));
            if let Some(running) = self.running.iter_mut().rev().find(|running| running.is(&subject)) {
                running.call.was_asked = asked.edit.is_some() && running.call.edit == asked.edit;
            }
            self.printing.add(Piece::Asked(Box::new(asked)));
        }
        if let Some(step) = step {
            self.printing.note(Note::Open, &step);
        }
        self.dialog_printed_at = self.printing.added();
    }

    fn rings(&mut self, past: bool) {
        if !past && self.left.is_none() && !self.jobs.contains(&Job::Leave(Leave::Detached)) {
            self.jobs.push_back(Job::Bell);
        }
    }

    /// Makes a path below the agent's directory relative to it.
    fn relative(&self, path: &str) -> String {
        let below = path.strip_prefix(self.about.cwd.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
        match below {
            Some(below) if !self.about.cwd.is_empty() => below.to_owned(),
            Some(_) | None => path.to_owned(),
        }
    }
}
