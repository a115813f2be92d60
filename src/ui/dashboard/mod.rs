//! The dashboard: takes what the files and the events of all agents say, and the user's keys; gives a frame and jobs.
//!
//! [`Dashboard::take`] takes news with the time at which it became known, [`Dashboard::poll_job`] gives the next job, and
//! [`Dashboard::draw`] draws a frame. The same news at the same times gives the same frames.
//!
//! Pure: it knows no clock, file, terminal, socket or process. It decides nothing about a run: what the user wants becomes an
//! order, which the run takes or refuses. What nobody has said of an agent is shown as `–`.

mod agents;
mod drawing;
mod help;
mod keys;
mod shared;
mod transcript;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use jiff::tz::TimeZone;

pub use agents::{Listed, OpenId, OpenRequest, Standing};
pub use shared::SharedFile;

use self::agents::{Agent, Agents};
use self::shared::Shared;
use self::transcript::Transcript;
use super::composer::Buffer;
use super::conversation::{self, Done};
use super::keys::Typed;
use super::paint::Size;
use crate::core::{OperatorInput, Show};

/// How long a message to the user stays.
const NOTE_MS: u64 = 8_000;
/// How many orders may wait for their answers.
const ORDERS_LIMIT: usize = 64;

/// The usage of the windows of the token in use, in percent; `None` while unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct UsageShown {
    /// Of the window of five hours.
    pub session: Option<f64>,
    /// Of the window of seven days.
    pub weekly: Option<f64>,
}

/// From which percentages usage is yellow and red.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Yellow.
    pub warn: f64,
    /// Red.
    pub critical: f64,
}

/// An event for the dashboard.
#[derive(Debug, Clone)]
pub enum News {
    /// All agents, in the order of the tree.
    Agents(Vec<Listed>),
    /// The dashboard is connected to the run of an agent, which stands like this.
    Joined {
        /// The run.
        agent: String,
        /// Its phase.
        phase: String,
        /// How many stops were judged.
        iteration: u32,
        /// The events in force, with what is open.
        standing: Vec<Show>,
    },
    /// A run shows something.
    Show {
        /// The run.
        agent: String,
        /// What it shows.
        show: Box<Show>,
        /// The wall clock, if known.
        at_unix_ms: Option<i64>,
        /// Whether it happened before the dashboard was connected.
        is_past: bool,
    },
    /// The connection to a run has ended.
    Left {
        /// The run.
        agent: String,
    },
    /// The transcript of the selected agent begins.
    TranscriptBegins {
        /// The run.
        agent: String,
        /// The agent's directory.
        cwd: String,
        /// The run's present time, if it is running.
        now_ms: Option<u64>,
    },
    /// An event of the transcript of the selected agent.
    Transcript {
        /// The run.
        agent: String,
        /// The event.
        news: conversation::News,
    },
    /// Why the transcript shows nothing, or nothing more.
    TranscriptEnds {
        /// The run.
        agent: String,
        /// Why.
        why: String,
    },
    /// The files that several running agents change.
    Shared(Vec<SharedFile>),
    /// The usage is known.
    Usage(UsageShown),
    /// The user's input, of one read.
    Typed(Vec<Typed>),
    /// The screen has this size.
    Resized(Size),
    /// The answer to an order.
    Answered {
        /// The order's number.
        order: u64,
        /// The result, or why the order was refused.
        answer: Result<Done, String>,
    },
    /// A message for the user.
    Remark(String),
    /// Time has passed.
    Time,
}

/// A command of ccc that gets the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The command.
    pub command: &'static str,
    /// Its arguments.
    pub args: Vec<String>,
    /// Whether its output is left on the screen until a key is pressed.
    pub waits: bool,
}

/// A job for the dashboard's host.
#[derive(Debug, Clone, PartialEq)]
pub enum Job {
    /// Send this to the run; [`News::Answered`] with the same number answers.
    Order {
        /// The order's number.
        number: u64,
        /// The run.
        agent: String,
        /// The order.
        input: OperatorInput,
    },
    /// Answer this request with the typed text; [`News::Answered`] with the same number answers.
    Answer {
        /// The order's number.
        number: u64,
        /// The run.
        agent: String,
        /// The event that opened the request.
        show: Box<Show>,
        /// What the user typed.
        text: String,
    },
    /// Follow this run, and no other, for the transcript.
    Follow(Option<String>),
    /// Give the terminal to a command.
    HandOver(Errand),
    /// Draw everything anew.
    Redraw,
    /// Stop the process, as Ctrl-Z does.
    Suspend,
    /// Ring the bell, because an agent asks.
    Bell,
    /// Leave the terminal.
    Leave,
}

/// What a text is typed for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TypedFor {
    /// A message to this agent.
    Message(String),
    /// The task of a new agent.
    Task,
}

/// What the keys mean now.
#[derive(Debug, Clone)]
enum Mode {
    /// They move in the list and act on the selected agent.
    Agents,
    /// They move in the questions of all agents.
    Inbox {
        /// The selected question.
        selected: Option<(String, OpenId)>,
    },
    /// They write a text.
    Typing { wanted: TypedFor, buffer: Buffer },
    /// They answer this request.
    Answering { agent: String, open: Box<OpenRequest>, buffer: Buffer, from_inbox: bool, since: u64 },
    /// They confirm the stop of this agent.
    Stopping { agent: String },
    /// They leave the help.
    Help { first: usize },
}

/// An order that waits for its answer.
#[derive(Debug, Clone)]
struct Ordered {
    /// What is said when it is done.
    done: String,
    /// The text that is lost if it is refused, and what it was typed for.
    text: Option<(TypedFor, String)>,
    /// The request that it answers.
    answers: Option<(String, OpenId)>,
}

/// The dashboard; see the module's description.
#[derive(Debug, Clone)]
pub struct Dashboard {
    agents: Agents,
    selected: Option<String>,
    /// Where the selected agent stood: another takes its place when it goes.
    selected_at: usize,
    transcript: Transcript,
    mode: Mode,
    /// Texts that were typed and not sent.
    drafts: BTreeMap<String, Buffer>,
    jobs: VecDeque<Job>,
    orders: BTreeMap<u64, Ordered>,
    /// Requests that were answered and are not settled yet.
    answered: Vec<(String, OpenId)>,
    numbers: u64,
    note: Option<(String, u64)>,
    shared: Shared,
    usage: UsageShown,
    thresholds: Thresholds,
    zone: TimeZone,
    size: Size,
    /// A unique text, from which the keys of messages are made.
    seed: String,
    is_listed: bool,
}

impl Dashboard {
    /// A dashboard that knows no agents yet. `seed` is a text that no other dashboard has.
    #[must_use]
    pub fn new(seed: &str, size: Size, thresholds: Thresholds, zone: TimeZone) -> Dashboard {
        Dashboard {
            agents: Agents::default(),
            selected: None,
            selected_at: 0,
            transcript: Transcript::new(size),
            mode: Mode::Agents,
            drafts: BTreeMap::new(),
            jobs: VecDeque::new(),
            orders: BTreeMap::new(),
            answered: Vec::new(),
            numbers: 0,
            note: None,
            shared: Shared::default(),
            usage: UsageShown::default(),
            thresholds,
            zone,
            size,
            seed: seed.to_owned(),
            is_listed: false,
        }
    }

    /// Takes an event that became known at `at`, in milliseconds since a moment before all runs began.
    pub fn take(&mut self, at: u64, news: News) {
        match news {
            News::Agents(listed) => {
                self.is_listed = true;
                self.agents.list(listed);
                self.keep_selection();
            }
            News::Joined { agent, phase, iteration, standing } => {
                self.agents.live(&agent).joined(&phase, iteration, &standing);
                self.forget_settled(at);
            }
            News::Show { agent, show, at_unix_ms, is_past } => {
                if self.agents.live(&agent).hear(&show, at_unix_ms) && !is_past {
                    self.jobs.push_back(Job::Bell);
                }
                self.forget_settled(at);
            }
            News::Left { agent } => {
                self.agents.live(&agent).left();
                self.forget_settled(at);
            }
            News::TranscriptBegins { agent, cwd, now_ms } if self.is_selected(&agent) => {
                self.transcript.begin(at, &cwd, now_ms);
            }
            News::Transcript { agent, news } if self.is_selected(&agent) => self.transcript.take(at, news),
            News::TranscriptEnds { agent, why } if self.is_selected(&agent) => self.transcript.remark = Some(why),
            // Of an agent that was selected before.
            News::TranscriptBegins { .. } | News::Transcript { .. } | News::TranscriptEnds { .. } => {}
            News::Shared(files) => self.shared = Shared::of(files),
            News::Usage(usage) => self.usage = usage,
            News::Typed(typed) => self.typed(at, typed),
            News::Resized(size) => {
                self.size = size;
                self.transcript.resized(size);
            }
            News::Answered { order, answer } => self.was_answered(at, order, answer),
            News::Remark(text) => self.tell(at, text),
            News::Time => {}
        }
        if self.note.as_ref().is_some_and(|(_, until)| at >= *until) {
            self.note = None;
        }
    }

    /// The next job.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// When the frame next changes without an event: ages and the clock are shown, both in whole seconds.
    #[must_use]
    pub fn poll_timeout(&self, at: u64, now_unix_ms: i64) -> u64 {
        let second = 1_000 - u64::try_from(now_unix_ms.rem_euclid(1_000)).unwrap_or(0);
        let minute = 60_000 - u64::try_from(now_unix_ms.rem_euclid(60_000)).unwrap_or(0);
        let moves = self.agents.all().iter().any(Agent::is_active);
        let due = at + if moves { second } else { minute };
        self.note.as_ref().map_or(due, |(_, until)| due.min(*until))
    }

    fn is_selected(&self, agent: &str) -> bool {
        self.selected.as_deref() == Some(agent)
    }

    fn selected(&self) -> Option<&Agent> {
        self.selected.as_deref().and_then(|id| self.agents.get(id))
    }

    fn tell(&mut self, at: u64, text: impl Into<String>) {
        self.note = Some((text.into(), at + NOTE_MS));
    }

    /// After a change of the list: the selected agent stays selected wherever it stands; the next takes the place of one that
    /// is gone.
    fn keep_selection(&mut self) {
        let at = self.selected.as_deref().and_then(|id| self.agents.position(id));
        match at {
            Some(at) => self.selected_at = at,
            None => {
                let last = self.agents.all().len().saturating_sub(1);
                self.select_at(self.selected_at.min(last));
            }
        }
    }

    fn select_at(&mut self, at: usize) {
        let id = self.agents.all().get(at).map(|agent| agent.listed.id.clone());
        self.selected_at = at;
        if self.selected != id {
            self.selected = id.clone();
            self.transcript.begin(0, "", None);
            self.jobs.push_back(Job::Follow(id));
        }
    }

    fn select(&mut self, id: &str) {
        if let Some(at) = self.agents.position(id) {
            self.select_at(at);
        }
    }

    /// What waits for the user, without what was answered a moment ago.
    fn inbox(&self) -> Vec<(&Agent, &OpenRequest)> {
        let mut inbox = self.agents.inbox();
        inbox.retain(|(agent, open)| {
            !self.answered.iter().any(|(id, answered)| *id == agent.listed.id && *answered == open.id)
        });
        inbox
    }

    /// Forgets answers whose requests are settled, and leaves the answer to one that was settled elsewhere.
    fn forget_settled(&mut self, at: u64) {
        let agents = &self.agents;
        let is_open = |agent: &str, open: OpenId| {
            agents.get(agent).is_some_and(|agent| agent.live.open.iter().any(|known| known.id == open))
        };
        self.answered.retain(|(agent, open)| is_open(agent, *open));
        if let Mode::Answering { agent, open, from_inbox, .. } = &self.mode
            && !is_open(agent, open.id)
        {
            let gone = format!("request {} is not open any more; nothing was answered", open.number());
            self.mode = if *from_inbox { self.inbox_mode() } else { Mode::Agents };
            self.tell(at, gone);
        }
    }

    /// Gives an order to the run of an agent. `done` is said when it is carried out.
    fn order(&mut self, at: u64, agent: &str, input: OperatorInput, ordered: Ordered) {
        if let Some(number) = self.number(at, ordered) {
            self.jobs.push_back(Job::Order { number, agent: agent.to_owned(), input });
        }
    }

    fn number(&mut self, at: u64, ordered: Ordered) -> Option<u64> {
        if self.orders.len() >= ORDERS_LIMIT {
            self.tell(at, "the runs do not answer; wait until they have answered the earlier orders");
            return None;
        }
        self.numbers += 1;
        self.orders.insert(self.numbers, ordered);
        Some(self.numbers)
    }

    fn was_answered(&mut self, at: u64, order: u64, answer: Result<Done, String>) {
        let Some(ordered) = self.orders.remove(&order) else { return };
        match answer {
            Ok(Done::Done) => self.tell(at, ordered.done),
            Ok(Done::Already) => self.tell(at, format!("{}; it had been done before", ordered.done)),
            Ok(Done::Queued(0)) => self.tell(at, format!("{}: it is the agent's next turn", ordered.done)),
            Ok(Done::Queued(ahead)) => self.tell(at, format!("{}; sent before it: {ahead}", ordered.done)),
            Err(why) => {
                if let Some(answered) = ordered.answers {
                    self.answered.retain(|known| *known != answered);
                }
                // What was typed is there again when the same key is pressed.
                if let Some((wanted, text)) = ordered.text {
                    let mut buffer = Buffer::new();
                    buffer.insert(&text);
                    self.drafts.insert(draft_of(&wanted), buffer);
                }
                self.tell(at, why);
            }
        }
    }
}

/// The key of a draft.
fn draft_of(wanted: &TypedFor) -> String {
    match wanted {
        TypedFor::Message(agent) => agent.clone(),
        TypedFor::Task => String::new(),
    }
}
