//! The agents: what the files of their runs say of them, and what is known from their events.

use std::collections::BTreeMap;

use super::super::clean;
use super::super::paint::{Colour, Look};
use super::super::requests;
use crate::agent::{Asked, AskedKind, ContextUse, Role, TurnKind};
use crate::core::{AskId, Outcome, RestKind, Show};
use crate::order::map_of;
use crate::order::sort_by_key;

/// How many characters of a word or name of a run are kept.
const WORD_CHARS: usize = 40;
/// How many characters of an action are kept.
const ACTION_CHARS: usize = 200;
/// How many open requests of one agent are kept.
const OPEN_LIMIT: usize = 64;

/// How an agent stands according to the files of its run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Its ccc lives; the phase of its core.
    Active(String),
    /// Its ccc lives, and it waits for its user.
    Ready,
    /// It has ended.
    Ended {
        /// The outcome, if this ccc knows it.
        outcome: Option<Outcome>,
        /// The outcome in words.
        words: String,
    },
    /// It was not started yet.
    Queued {
        /// What it waits for.
        why: String,
    },
    /// It has not ended, and no ccc works on it.
    Died,
}

impl Standing {
    /// Whether a ccc works on the run.
    #[must_use]
    pub fn is_active(&self) -> bool {
        match self {
            Standing::Active(_) | Standing::Ready => true,
            Standing::Ended { .. } | Standing::Queued { .. } | Standing::Died => false,
        }
    }

    /// Whether it works, or something may still start it.
    #[must_use]
    pub fn has_not_ended(&self) -> bool {
        match self {
            Standing::Active(_) | Standing::Ready | Standing::Queued { .. } | Standing::Died => true,
            Standing::Ended { .. } => false,
        }
    }
}

/// An agent as its files describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The run's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How many managers above it are in the list.
    pub depth: usize,
    /// Its task; empty while unknown.
    pub task: String,
    /// The branch of its own working tree.
    pub branch: Option<String>,
    /// How it stands.
    pub standing: Standing,
    /// When it was made.
    pub created_unix_ms: i64,
    /// When it ended.
    pub ended_unix_ms: Option<i64>,
    /// How many stops were judged; `None` while unknown.
    pub iteration: Option<u32>,
    /// What it has cost; `None` while unknown.
    pub cost_usd: Option<f64>,
    /// How much of the model's context its conversation uses; `None` while unknown.
    pub context: Option<ContextUse>,
    /// Why it has ended.
    pub reason: Option<String>,
    /// The command that continues it after it has ended, with what it needs.
    pub going_on: Option<String>,
}

/// The number of an open request within its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpenId {
    /// A request of the agent.
    Ask(AskId),
    /// A question of ccc.
    Question(u32),
}

/// Something that waits for the user.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRequest {
    /// Its number.
    pub id: OpenId,
    /// The event that opened it.
    pub show: Show,
    /// When; `None` if it was open when the dashboard came.
    pub since_unix_ms: Option<i64>,
}

impl OpenRequest {
    /// The request that this event opens.
    fn of(show: &Show, since_unix_ms: Option<i64>) -> Option<OpenRequest> {
        let id = if let Show::Asked { ask } = show {
            OpenId::Ask(ask.id)
        } else if let Show::Question { question, .. } = show {
            OpenId::Question(question.number)
        } else {
            return None;
        };
        Some(OpenRequest { id, show: show.clone(), since_unix_ms })
    }

    /// The number to name it by.
    #[must_use]
    pub fn number(&self) -> u32 {
        match self.id {
            OpenId::Ask(ask) => ask.0,
            OpenId::Question(number) => number,
        }
    }

    /// What it is about, in one line, with the time that is left.
    pub(super) fn about(&self, now_unix_ms: i64) -> String {
        if let Show::Question { question, .. } = &self.show {
            return clean::one_line(&question.text(), ACTION_CHARS);
        }
        let asked = requests::asked(&self.asked(now_unix_ms));
        let about = asked.split_once(": ").map_or(asked.as_str(), |(_, about)| about);
        clean::one_line(about, ACTION_CHARS)
    }

    /// Everything that the user decides on, as lines, with the time that is left.
    pub(super) fn whole(&self, now_unix_ms: i64) -> String {
        if let Show::Question { question, .. } = &self.show {
            let choices = question.choices().into_iter().enumerate();
            let choices =
                choices.map(|(at, choice)| format!("  {} {} ({})\n", at + 1, choice.text, choice.answer.name()));
            return format!("{}\n{}", question.text(), choices.collect::<String>());
        }
        let ask = self.asked(now_unix_ms);
        let mut text = requests::block(&ask, true);
        for one in &ask.questions {
            text.push_str(&format!("  {}\n", one.question));
            for (at, option) in one.options.iter().enumerate() {
                let about = if option.description.is_empty() { "" } else { ": " };
                text.push_str(&format!("    {} {}{about}{}\n", at + 1, option.label, option.description));
            }
        }
        for field in &ask.fields {
            text.push_str(&format!("  {} ({})\n", field.name, field.kind));
        }
        if !ask.rules.is_empty() {
            text.push_str(&format!("  `session` also allows: {}\n", ask.rules.join(", ")));
        }
        text
    }

    /// The answers that it takes, in a few words.
    pub(super) fn answers(&self) -> String {
        if let Show::Question { question, .. } = &self.show {
            let names: Vec<&str> = question.choices().iter().map(|choice| choice.answer.name()).collect();
            return names.join(" · ");
        }
        let ask = self.asked(0);
        if matches!(ask.kind, AskedKind::Permission | AskedKind::Plan) {
            let session = if ask.rules.is_empty() { "" } else { " · session" };
            format!("allow{session} · deny · or why not")
        } else if ask.questions.len() == 1 {
            "a number · a text · deny".to_owned()
        } else {
            "a JSON object with all answers · deny".to_owned()
        }
    }

    /// The request, with the time that is left at this moment. Nothing is said of it if its beginning is not known.
    fn asked(&self, now_unix_ms: i64) -> Asked {
        let Show::Asked { ask } = &self.show else { return Asked::default() };
        let passed = self.since_unix_ms.map(|since| u64::try_from(now_unix_ms.saturating_sub(since)).unwrap_or(0));
        // Whole seconds, because it counts down.
        let left = ask.deny_in_ms.zip(passed).map(|(ms, passed)| ms.saturating_sub(passed).div_ceil(1_000) * 1_000);
        Asked { deny_in_ms: left, ..(**ask).clone() }
    }
}

/// What is known of an agent from the events of its run.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    /// Whether the dashboard is connected to the run.
    pub(super) is_reached: bool,
    phase: Option<String>,
    rest: Option<RestKind>,
    iteration: Option<u32>,
    cost_usd: Option<f64>,
    action: Option<String>,
    outcome: Option<Outcome>,
    pub(super) open: Vec<OpenRequest>,
    /// How much of the model's context is used; the outer `None` while no event has said it.
    context: Option<Option<ContextUse>>,
}

impl Live {
    /// The connection begins with this state; what is open now is all that is open.
    pub(super) fn joined(&mut self, phase: &str, iteration: u32, standing: &[Show]) {
        let before = std::mem::take(&mut self.open);
        *self = Live {
            is_reached: true,
            phase: Some(clean::one_line(phase, WORD_CHARS)),
            iteration: Some(iteration),
            cost_usd: self.cost_usd,
            action: self.action.take(),
            context: self.context,
            ..Live::default()
        };
        for show in standing {
            self.hear(show, None);
        }
        for open in &mut self.open {
            let known = before.iter().find(|known| known.id == open.id && known.show == open.show);
            open.since_unix_ms = known.and_then(|known| known.since_unix_ms);
        }
    }

    /// The connection has ended. What was open cannot be answered here any more.
    pub(super) fn left(&mut self) {
        self.is_reached = false;
        self.open.clear();
    }

    /// Takes an event; `at` is its wall clock, if known. Returns whether it asks the user something new.
    pub(super) fn hear(&mut self, show: &Show, at: Option<i64>) -> bool {
        if let Some(action) = action(show) {
            self.action = Some(clean::one_line(&action, ACTION_CHARS));
        }
        if let Some(open) = OpenRequest::of(show, at) {
            return self.opens(open);
        }
        if let Show::Phase { phase, iteration, .. } = show {
            // The hub keeps the rest beside the phase that it belongs to.
            if phase != "resting" {
                self.rest = None;
            }
            self.phase = Some(clean::one_line(phase, WORD_CHARS));
            self.iteration = Some(*iteration);
            if phase != "waiting" {
                self.open.retain(|open| matches!(open.id, OpenId::Ask(_)));
            }
        } else if let Show::Rests { why, .. } = show {
            self.rest = Some(*why);
        } else if let Show::Turn { .. } = show {
            self.rest = None;
        } else if let Show::Settled { ask, .. } = show {
            self.open.retain(|open| open.id != OpenId::Ask(*ask));
        } else if let Show::Cost { usd } = show {
            self.cost_usd = usd.or(self.cost_usd);
        } else if let Show::Context { used_tokens, window_tokens } = show {
            let window_tokens = *window_tokens;
            self.context = Some(used_tokens.map(|used_tokens| ContextUse { used_tokens, window_tokens }));
        } else if let Show::Finished { outcome, .. } = show {
            self.outcome = Some(*outcome);
            self.open.clear();
        }
        false
    }

    fn opens(&mut self, open: OpenRequest) -> bool {
        if let Some(known) = self.open.iter_mut().find(|known| known.id == open.id) {
            known.since_unix_ms = known.since_unix_ms.or(open.since_unix_ms);
            known.show = open.show;
            return false;
        }
        let has_room = self.open.len() < OPEN_LIMIT;
        if has_room {
            self.open.push(open);
        }
        has_room
    }
}

/// What the agent does, in one line; `None` for an event that is no action.
fn action(show: &Show) -> Option<String> {
    let by = |role: Role| if role == Role::Critic { "critic: " } else { "" };
    if let Show::Tool { role, name, target, .. } = show {
        return Some(format!("{}{name} {target}", by(*role)));
    }
    if let Show::Text { role: Role::Agent, text, sub_agent: false, .. } = show {
        let first = text.lines().find(|line| !line.trim().is_empty())?;
        return Some(format!("“{}”", first.trim()));
    }
    if let Show::Turn { kind, text } = show {
        return Some(match kind {
            TurnKind::Task | TurnKind::Operator => format!("you: {}", text.trim()),
            TurnKind::Feedback => "gets the critic's feedback".to_owned(),
            TurnKind::CheckFailure => "gets a check's failure".to_owned(),
            TurnKind::Continue => "continues".to_owned(),
            TurnKind::Compact => "its history is shortened".to_owned(),
            TurnKind::Worker => "is told of a worker's end".to_owned(),
            TurnKind::Brief => return None,
        });
    }
    if let Show::Check { command, passed, .. } = show {
        return Some(format!("check {}: {command}", if *passed { "passed" } else { "failed" }));
    }
    if let Show::Verdict { verdict, .. } = show {
        let words = Outcome::named(verdict).map_or(verdict.as_str(), |outcome| outcome.in_words());
        return Some(format!("critic: {words}"));
    }
    if let Show::Denied { tool, target, .. } = show {
        return Some(format!("denied: {tool} {target}"));
    }
    if let Show::Retrying { role: Role::Agent, attempt, max_attempts, .. } = show {
        return Some(format!("retry {attempt}/{max_attempts}"));
    }
    if let Show::Rotation { to, .. } = show {
        return Some(format!("rotated to {to}"));
    }
    if let Show::Finished { reason, .. } | Show::Notice { text: reason } = show {
        return Some(reason.clone());
    }
    None
}

/// An agent, from its files and its events.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) listed: Listed,
    pub(super) live: Live,
}

impl Agent {
    /// Whether a ccc works on its run, as far as is known.
    pub(super) fn is_active(&self) -> bool {
        self.live.is_reached && self.live.outcome.is_none() || self.listed.standing.is_active()
    }

    /// The word for its state, and how it looks.
    pub(super) fn state(&self) -> (String, Look) {
        let live = Some(&self.live).filter(|live| live.is_reached);
        if let Some(outcome) = live.and_then(|live| live.outcome) {
            return (outcome.in_words().to_owned(), of_outcome(Some(outcome)));
        }
        if live.is_some_and(|live| !live.open.is_empty()) {
            return ("asks you".to_owned(), Look { bold: true, ..Look::of(Colour::Yellow) });
        }
        match live.and_then(|live| live.rest) {
            Some(RestKind::Paused) => return of_phase("paused"),
            Some(RestKind::Workers) => return of_phase("waiting"),
            Some(
                RestKind::NoTask
                | RestKind::Interrupted
                | RestKind::Judged
                | RestKind::Unsupervised
                | RestKind::TakenUp,
            ) => return ready(),
            None => {}
        }
        if let Some(phase) = live.and_then(|live| live.phase.as_deref()) {
            return if Outcome::named(phase).is_some() { ready() } else { of_phase(phase) };
        }
        match &self.listed.standing {
            Standing::Active(phase) => of_phase(phase),
            Standing::Ready => ready(),
            Standing::Ended { outcome, words } => (clean::one_line(words, WORD_CHARS), of_outcome(*outcome)),
            Standing::Queued { .. } => ("queued".to_owned(), Look::of(Colour::Yellow)),
            Standing::Died => ("died".to_owned(), Look::of(Colour::Red)),
        }
    }

    /// How many stops were judged.
    pub(super) fn iteration(&self) -> Option<u32> {
        self.live.iteration.or(self.listed.iteration)
    }

    /// What it has cost.
    pub(super) fn cost_usd(&self) -> Option<f64> {
        self.live.cost_usd.or(self.listed.cost_usd)
    }

    /// How much of the model's context its conversation uses.
    pub(super) fn context(&self) -> Option<ContextUse> {
        self.live.context.unwrap_or(self.listed.context)
    }

    /// How long it has existed, or existed until its end.
    pub(super) fn age_ms(&self, now_unix_ms: i64) -> u64 {
        let until = if self.is_active() { now_unix_ms } else { self.listed.ended_unix_ms.unwrap_or(now_unix_ms) };
        u64::try_from(until.saturating_sub(self.listed.created_unix_ms)).unwrap_or(0)
    }

    /// What it did last, or why it ended.
    pub(super) fn last_action(&self) -> Option<String> {
        let reason = || self.listed.reason.as_deref().map(|reason| clean::one_line(reason, ACTION_CHARS));
        match &self.listed.standing {
            Standing::Ended { .. } => reason().or_else(|| self.live.action.clone()),
            Standing::Queued { why } => Some(clean::one_line(&format!("waits: {why}"), ACTION_CHARS)),
            Standing::Active(_) | Standing::Ready | Standing::Died => self.live.action.clone(),
        }
    }
}

fn ready() -> (String, Look) {
    ("ready".to_owned(), Look::of(Colour::Cyan))
}

fn of_phase(phase: &str) -> (String, Look) {
    let look = match phase {
        "asking" => return ("asks you".to_owned(), Look { bold: true, ..Look::of(Colour::Yellow) }),
        "waiting" | "paused" | "restarting" => Look::of(Colour::Yellow),
        "checking" | "reviewing" => Look::of(Colour::Magenta),
        _ => Look::PLAIN,
    };
    (clean::one_line(phase, WORD_CHARS), look)
}

fn of_outcome(outcome: Option<Outcome>) -> Look {
    match outcome {
        Some(Outcome::Completed) => Look::of(Colour::Green),
        Some(Outcome::Failed | Outcome::Stuck) => Look::of(Colour::Red),
        Some(Outcome::NeedsUser | Outcome::Budget | Outcome::Limits) => Look::of(Colour::Yellow),
        Some(Outcome::Interrupted) | None => Look::DIM,
    }
}

/// All agents, in the order of the tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Agents {
    all: Vec<Agent>,
    /// What runs have reported that are not in the list yet.
    unlisted: BTreeMap<String, Live>,
}

impl Agents {
    /// Replaces what the files say; what the events said is kept.
    pub(super) fn list(&mut self, listed: Vec<Listed>) {
        let mut lives = map_of(std::mem::take(&mut self.all).into_iter().map(|agent| (agent.listed.id, agent.live)));
        lives.append(&mut self.unlisted);
        self.all = listed
            .into_iter()
            .map(|listed| {
                let mut live = lives.remove(&listed.id).unwrap_or_default();
                if !listed.standing.is_active() && !live.is_reached {
                    // The files of a run that has ended say more than its last events.
                    (live.iteration, live.outcome, live.phase, live.rest) = (None, None, None, None);
                }
                Agent { listed, live }
            })
            .collect();
    }

    pub(super) fn all(&self) -> &[Agent] {
        &self.all
    }

    pub(super) fn get(&self, id: &str) -> Option<&Agent> {
        self.all.iter().find(|agent| agent.listed.id == id)
    }

    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.all.iter().position(|agent| agent.listed.id == id)
    }

    /// What the events of this run have said; events may come before the list has the run.
    pub(super) fn live(&mut self, id: &str) -> &mut Live {
        match self.all.iter_mut().find(|agent| agent.listed.id == id) {
            Some(agent) => &mut agent.live,
            None => self.unlisted.entry(id.to_owned()).or_default(),
        }
    }

    /// Everything that waits for the user, the oldest first: what was open before the dashboard came is older than the rest.
    pub(super) fn inbox(&self) -> Vec<(&Agent, &OpenRequest)> {
        let mut inbox: Vec<(&Agent, &OpenRequest)> =
            self.all.iter().flat_map(|agent| agent.live.open.iter().map(move |open| (agent, open))).collect();
        sort_by_key(&mut inbox, |(agent, open)| {
            (open.since_unix_ms.unwrap_or(i64::MIN), agent.listed.created_unix_ms, open.id)
        });
        inbox
    }
}
