//! The conversation: takes events of the run and of the keyboard, gives finished rows and a small view below them.
//!
//! [`Conversation::take`] takes news with the time at which it became known. [`Conversation::poll_job`] gives the client's next
//! job, [`Conversation::commit`] the finished rows, each once and in order, and [`Conversation::view`] what is shown below them.
//! The same news at the same times gives the same output.
//!
//! Pure: it knows no clock, file, terminal, socket or process. It decides nothing about the run: the user's wishes become orders,
//! which the run takes or refuses.

mod commands;
mod dialogs;
pub(in crate::ui) mod editing;
mod hearing;
mod pieces;
mod printing;
mod status;
mod typing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use commands::{Command, Spans, read as command};
pub use pieces::{Call, Check, Note, Piece};

use self::dialogs::Dialogs;
use self::printing::Printing;
use self::status::Status;
use super::composer::{Buffer, Completion, History, Popup};
use super::denials::Denials;
use super::format::{bound, count, money, seconds};
use super::keys::Typed;
use super::paint::{Look, Row, Size, View};
use super::parts::Parts;
use crate::agent::{Role, TodoItem};
use crate::core::{Budgets, Change, OperatorInput, QueuedTurn, RestKind, Show, WhenLeft};
use crate::words::Image;

/// How many orders may wait for their answers.
const ORDERS_LIMIT: usize = 64;
/// How long the draft takes only one row after a resize, because rows above the cursor could be left behind.
const CALM_MS: u64 = 500;
/// A second Ctrl-C within this time ends the run.
const AGAIN_MS: u64 = 2_000;
/// How many rows the draft and the to-do list take in the view.
const DRAFT_ROWS: usize = 8;
const TODO_ROWS: usize = 3;

/// What the conversation is about.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The directory the agent works in; paths below it are shown relative to it.
    pub cwd: String,
    /// The bounds in force, if known.
    pub budgets: Option<Budgets>,
    /// The phase of the run.
    pub phase: String,
    /// How many stops were judged.
    pub iteration: u32,
    /// The run's time at the moment of joining.
    pub now_ms: u64,
    /// The token in use, if known.
    pub label: String,
    /// Why nothing may be sent, if so.
    pub read_only: Option<String>,
    /// The run has a task.
    pub has_task: bool,
}

/// An event for the conversation.
#[derive(Debug, Clone)]
pub enum News {
    /// The client is connected to the run.
    Joined(About),
    /// The run shows something.
    Show {
        /// What it shows.
        show: Box<Show>,
        /// When, in the run's time.
        run_ms: u64,
        /// Whether it happened before the client joined.
        past: bool,
    },
    /// A part of a text in progress.
    Words {
        /// The speaker.
        role: Role,
        /// Whether it is thinking.
        thinking: bool,
        /// Its number in its text; see [`super::parts`].
        part: Option<u64>,
        /// The text.
        text: String,
    },
    /// The answer to an order.
    Answered {
        /// The order's number.
        order: u64,
        /// The result, or why the order was refused.
        answer: Result<Done, String>,
    },
    /// The user's input, of one read.
    Typed(Vec<Typed>),
    /// The window was resized.
    Resized,
    /// The view was painted.
    Painted,
    /// Files that match a query, the best first.
    Files {
        /// The query.
        query: String,
        /// Their paths.
        names: Vec<String>,
    },
    /// The result of reading an image.
    Looked {
        /// The path, as the user wrote it.
        path: String,
        /// The image, or why it is not sent; `Err(None)` when there is no image.
        image: Result<Image, Option<String>>,
    },
    /// The user's messages from earlier conversations, the oldest first.
    Earlier(Vec<String>),
    /// The bounds in force, which were unknown before.
    Bounds(Budgets),
    /// The connection to the run ended with orders unanswered; it is made anew.
    Reconnects,
    /// A message of the client itself.
    Remark(String),
    /// The run is over; the text to show.
    Ended(String),
    /// The run cannot be reached any more; the text to show.
    Lost(String),
    /// Time has passed.
    Time,
}

/// The result of an accepted order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It is done.
    Done,
    /// It is queued behind this many others.
    Queued(u32),
    /// It had been done before.
    Already,
}

/// A job for the client.
#[derive(Debug, Clone, PartialEq)]
pub enum Job {
    /// Send this to the run; [`News::Answered`] with the same number answers.
    Order {
        /// The order's number.
        number: u64,
        /// The order.
        input: OperatorInput,
    },
    /// Look for files.
    Find(String),
    /// Read the image at this path; [`News::Looked`] answers.
    Look(String),
    /// Store the user's message in the history.
    Remember(String),
    /// Stop the process, as Ctrl-Z does.
    Suspend,
    /// Leave the terminal.
    Leave(Leave),
    /// Ring the bell, because the user is asked.
    Bell,
}

/// Why the terminal is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The user detached; the run goes on.
    Detached,
    /// The run is over.
    Ended,
    /// The run cannot be reached any more.
    Lost,
}

/// A running tool.
#[derive(Debug, Clone)]
struct Running {
    id: String,
    call: Call,
    since_ms: u64,
    /// The present activity of its sub-agent.
    last_inner: String,
}

/// A message that waits for its images.
#[derive(Debug, Clone)]
struct Outgoing {
    buffer: Buffer,
    /// The paths that are still being read.
    waits: Vec<String>,
}

/// The conversation; see the module's description.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Whether something was sent to the agent.
    was_said_to: bool,
    /// Distinguishes the keys of this conversation's messages from those of others.
    seed: String,
    spans: Spans,
    numbers: u64,
    about: About,
    jobs: VecDeque<Job>,
    orders: BTreeMap<u64, OperatorInput>,
    /// The text shown when an order is accepted; for a message that is taken back, the message's text.
    promises: BTreeMap<u64, String>,
    printing: Printing,
    status: Status,
    thinking: String,
    thought_parts: Parts,
    running: Vec<Running>,
    todo: Vec<TodoItem>,
    todo_is_new: bool,
    queue: Vec<QueuedTurn>,
    buffer: Buffer,
    /// The message that was not sent at once, because it begins with a command that nobody has.
    doubted: Option<String>,
    /// Messages whose images are being read, the oldest first.
    outbox: VecDeque<Outgoing>,
    /// The images of messages queued in the run, by message key: a message that is taken back gets its images back.
    said_images: BTreeMap<String, Vec<Image>>,
    history: History,
    popup: Option<Popup>,
    offered: Vec<Completion>,
    models: Vec<String>,
    /// The permission modes through which Shift-Tab goes.
    modes: Vec<String>,
    /// The permission mode that was ordered last and is not in force yet.
    wanted_mode: Option<String>,
    dialogs: Dialogs,
    /// How many pieces there were when the dialog was printed: later ones stand between it and its choices.
    dialog_printed_at: u64,
    /// When the last text was typed into the draft.
    text_at: Option<u64>,
    denials: Denials,
    /// Whether this client interrupted the turn.
    is_interrupting: bool,
    /// A time of ours, and the run's time at that moment.
    clock: (u64, u64),
    columns: usize,
    resized_at: Option<u64>,
    ctrl_c_at: Option<u64>,
    /// The reason of the outcome with which the run rests; the end of the run repeats it.
    rested: Option<String>,
    /// Whether work has been judged since that outcome was shown.
    was_judged: bool,
    /// Whether the last verdict was shown with its text.
    verdict_is_told: bool,
    left: Option<Leave>,
    has_quit: bool,
}

impl Conversation {
    /// An empty conversation. `seed` is a text that no other conversation has; `spans` reads durations.
    #[must_use]
    pub fn new(seed: &str, spans: Spans) -> Conversation {
        Conversation {
            seed: seed.to_owned(),
            spans,
            numbers: 0,
            about: About::default(),
            jobs: VecDeque::new(),
            orders: BTreeMap::new(),
            promises: BTreeMap::new(),
            printing: Printing::default(),
            status: Status::default(),
            thinking: String::new(),
            thought_parts: Parts::default(),
            running: Vec::new(),
            todo: Vec::new(),
            todo_is_new: false,
            queue: Vec::new(),
            buffer: Buffer::new(),
            doubted: None,
            outbox: VecDeque::new(),
            said_images: BTreeMap::new(),
            history: History::default(),
            popup: None,
            offered: Vec::new(),
            models: Vec::new(),
            modes: Vec::new(),
            wanted_mode: None,
            dialogs: Dialogs::default(),
            dialog_printed_at: 0,
            text_at: None,
            denials: Denials::default(),
            is_interrupting: false,
            clock: (0, 0),
            columns: 80,
            resized_at: None,
            ctrl_c_at: None,
            rested: None,
            was_judged: false,
            was_said_to: false,
            verdict_is_told: false,
            left: None,
            has_quit: false,
        }
    }

    /// A conversation that only shows a run whose agent works in `cwd`: without a greeting, and without orders.
    #[must_use]
    pub fn watching(cwd: &str) -> Conversation {
        let mut conversation = Conversation::new("", |text| Err(text.to_owned()));
        conversation.about.cwd = cwd.to_owned();
        conversation.about.read_only = Some(String::new());
        conversation
    }

    /// The text, thought or tool in progress at `at`, in one row.
    #[must_use]
    pub fn in_progress(&self, at: u64) -> Option<Row> {
        if self.is_busy() { self.at_work(at) } else { None }
    }

    /// Takes an event that became known at `at`.
    pub fn take(&mut self, at: u64, told: News) {
        match told {
            News::Joined(about) => self.joined(at, about),
            News::Show { show, run_ms, past } => {
                self.clock = (at, run_ms);
                self.hear(*show, run_ms, past);
            }
            News::Words { role, thinking, part, text } => self.hear_words(role, thinking, part, &text),
            News::Answered { order, answer } => self.answered(order, answer),
            News::Typed(typed) => self.typed(at, typed),
            News::Resized => {
                self.resized_at = Some(at);
            }
            News::Painted => self.dialogs.painted(at),
            News::Files { query, names } => self.found(&query, names),
            News::Looked { path, image } => self.looked(&path, image),
            News::Earlier(entries) => self.history = History::of(entries),
            News::Bounds(budgets) if self.about.budgets.is_none() => self.bounded_by(budgets),
            News::Bounds(_) => {}
            News::Reconnects => self.dialogs.reopen(),
            News::Remark(text) => self.printing.note(Note::Warning, &text),
            News::Ended(text) => self.ends(Leave::Ended, Note::Information, &text),
            News::Lost(text) => self.ends(Leave::Lost, Note::Warning, &text),
            News::Time => {}
        }
        self.print_dialog();
    }

    /// The next job for the client.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    /// Finished rows that are not printed yet, each once and in order, up to about `bytes`.
    pub fn commit(&mut self, size: Size, bytes: usize) -> Vec<Row> {
        self.columns = size.room();
        self.printing.commit(size.room(), bytes)
    }

    /// Whether the user has ended the run by `/quit`.
    #[must_use]
    pub fn has_quit(&self) -> bool {
        self.has_quit
    }

    /// Whether rows wait to be printed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.printing.is_ready()
    }

    /// What happens to the run when this terminal leaves it.
    #[must_use]
    pub fn when_left(&self) -> WhenLeft {
        let is_last = self.about.read_only.is_none() && self.status.attending <= 1;
        if is_last { RestKind::when_left(&self.status.phase, &self.status.detail) } else { WhenLeft::GoesOn }
    }

    /// Whether anything was sent to the agent. A run without a message leaves nothing to return to.
    #[must_use]
    pub fn was_said_to(&self) -> bool {
        self.was_said_to
    }

    /// When the view next changes without an event.
    #[must_use]
    pub fn poll_timeout(&self, at: u64) -> Option<u64> {
        let calm = self.resized_at.map(|resized| resized + CALM_MS).filter(|due| *due > at);
        let again = self.ctrl_c_at.map(|pressed| pressed + AGAIN_MS).filter(|due| *due > at);
        // The time in the status row is updated every second.
        let second =
            (self.is_busy() || self.status.goes_on_at_ms.is_some()).then(|| at + 1_000 - self.run_ms(at) % 1_000);
        [calm, again, second].into_iter().flatten().min()
    }

    /// The view below the printed rows. The input or the dialog comes first, because the cursor rests there.
    #[must_use]
    pub fn view(&self, size: Size, at: u64) -> View {
        let columns = size.room();
        let most = size.view_rows();
        let is_calm = self.resized_at.is_none_or(|resized| at >= resized + CALM_MS);
        let room = if is_calm { DRAFT_ROWS.min(most.saturating_sub(1).max(1)) } else { 1 };
        let mut view = match self.dialogs.first() {
            Some(_) if self.about.read_only.is_some() => {
                View { rows: vec![Row::of(Look::DIM, "  another terminal has to answer")], ..View::default() }
            }
            // What it is about is printed below the decision that is on its way.
            Some(_) if !self.dialogs.is_printed() => {
                View { rows: vec![Row::of(Look::DIM, "  your decision is sent")], ..View::default() }
            }
            Some(dialog) => {
                let mut view = dialog.view(columns, most.saturating_sub(4).max(1));
                let waiting = self.dialogs.waiting();
                let is_apart = self.printing.added() != self.dialog_printed_at;
                if waiting > 0 || is_apart {
                    let more = match waiting {
                        0 => String::new(),
                        1 => "; 1 more request waits".to_owned(),
                        more => format!("; {more} more requests wait"),
                    };
                    let room = columns.saturating_sub(super::columns::of(&more) + 11);
                    let about = super::columns::cut(&dialog.about(), room);
                    view.rows.push(Row::of(Look::DIM, "  this is: ").and(Look::PLAIN, &about).and(Look::DIM, &more));
                }
                if !self.buffer.is_empty() {
                    let draft = super::columns::cut_front(
                        self.buffer.text().lines().last().unwrap_or_default(),
                        columns.saturating_sub(9),
                    );
                    view.rows.push(Row::of(Look::DIM, "  draft: ").and(Look::PLAIN, &draft));
                }
                view
            }
            None if self.left.is_some() => View::default(),
            None => editing::framed(self.buffer.draft(columns.saturating_sub(3).max(2)), "", room),
        };
        if self.left.is_some() {
            return view;
        }
        // The prompt stands apart also while a text is being printed.
        if self.printing.needs_gap() {
            view.above.push(Row::new());
        }
        if let Some(words) = self.history.searched() {
            view.rows
                .push(Row::of(Look::DIM, &format!("  search: {words}▏ Ctrl-R older · Enter takes it · Esc gives up")));
        }
        if let Some(popup) = &self.popup {
            view.rows.extend(popup.rows(columns));
        }
        let thinks = self.running.is_empty() && !self.thinking.is_empty();
        view.rows.push(self.status.row(self.run_ms(at), self.queue.len(), thinks, columns));
        if let Some(row) = self.at_work(at) {
            view.rows.push(row);
        }
        if self.todo_is_new {
            view.rows.extend(self.todo_rows(columns));
        }
        for turn in &self.queue {
            view.rows.push(Row::of(Look::DIM, &format!("  queued: {}", super::clean::one_line(&turn.text, columns))));
        }
        let sent = self.orders.values().filter_map(|order| {
            let OperatorInput::Say { text, .. } = order else { return None };
            Some(text.as_str())
        });
        for text in sent.chain(self.outbox.iter().map(|outgoing| outgoing.buffer.text())) {
            view.rows.push(Row::of(Look::DIM, &format!("  sending: {}", super::clean::one_line(text, columns))));
        }
        if let Some(hint) = self.hint(at) {
            view.rows.push(Row::of(Look::DIM, &hint));
        }
        view.rows.truncate(most);
        view
    }

    /// The run's time at `at`.
    fn run_ms(&self, at: u64) -> u64 {
        self.clock.1 + at.saturating_sub(self.clock.0)
    }

    /// Whether something is in progress that can be interrupted.
    fn is_busy(&self) -> bool {
        let is_still = matches!(self.status.phase.as_str(), "" | "paused" | "ending" | "ended");
        self.left.is_none() && self.status.rest.is_none() && !is_still
    }

    /// The text, thought or tool in progress, in one row.
    fn at_work(&self, at: u64) -> Option<Row> {
        let run_ms = self.run_ms(at);
        if self.status.phase == "reviewing" {
            return Some(Row::of(Look::DIM, "  the work is being reviewed"));
        }
        let tail = self.printing.tail();
        if !tail.trim().is_empty() {
            return super::markdown::unfinished(tail, self.columns);
        }
        if let Some(running) = self.running.first() {
            let mut row = running.call.head();
            let more = match self.running.len() {
                0 | 1 => String::new(),
                all => format!(" and {} more", all - 1),
            };
            row = row.cut(self.columns.saturating_sub(24).max(8));
            row.push(Look::DIM, &format!("{more} · {}", seconds(run_ms.saturating_sub(running.since_ms))));
            if running.call.inner > 0 {
                row.push(Look::DIM, &format!(" · {} ↳ {}", count(running.call.inner, "call"), running.last_inner));
            }
            return Some(row);
        }
        let thought = self.thinking.trim();
        (!thought.is_empty()).then(|| {
            Row::of(
                Look::DIM,
                &super::columns::cut_front(&format!("∴ {}", super::clean::one_line(thought, 4_096)), self.columns),
            )
        })
    }

    fn todo_rows(&self, columns: usize) -> Vec<Row> {
        let is_open = |item: &&TodoItem| item.state != "completed";
        let done = self.todo.len() - self.todo.iter().filter(is_open).count();
        let mut rows: Vec<Row> = self
            .todo
            .iter()
            .filter(is_open)
            .take(TODO_ROWS)
            .flat_map(|item| pieces::todo_rows(item, columns))
            .collect();
        rows.truncate(TODO_ROWS);
        if let Some(last) = rows.last_mut() {
            last.push(Look::DIM, &format!("  ({done} of {} done)", self.todo.len()));
        }
        rows
    }

    /// The possible actions at this moment, in a few words.
    fn hint(&self, at: u64) -> Option<String> {
        if self.ctrl_c_at.is_some_and(|pressed| at < pressed + AGAIN_MS) {
            return Some("  Ctrl-C again ends the run; its session is kept".to_owned());
        }
        if let Some(why) = &self.about.read_only {
            return Some(format!("  {why} · Ctrl-D leaves"));
        }
        if self.dialogs.first().is_some() {
            return Some("  Ctrl-O shows it whole · Esc interrupts".to_owned());
        }
        if !self.queue.is_empty() {
            let esc = if self.is_busy() { " · Esc interrupts" } else { "" };
            return Some(format!("  Up takes back the last{esc}"));
        }
        if self.buffer.is_empty() {
            let esc = if self.is_busy() { "Esc interrupts · " } else { "" };
            return Some(format!("  {esc}Ctrl-D detaches · /help"));
        }
        None
    }

    fn joined(&mut self, at: u64, about: About) {
        self.clock = (at, about.now_ms);
        self.status.phase.clone_from(&about.phase);
        self.status.iteration = about.iteration;
        self.status.max_iterations = about.budgets.as_ref().map(|budgets| budgets.max_iterations);
        self.status.label = super::clean::one_line(&about.label, 40);
        self.printing.note(Note::Information, &greeting(&about));
        self.about = about;
    }

    pub(super) fn bounded_by(&mut self, budgets: Budgets) {
        self.status.max_iterations = Some(budgets.max_iterations);
        self.about.budgets = Some(budgets);
    }

    fn ends(&mut self, leave: Leave, note: Note, text: &str) {
        if self.left.is_some() {
            return;
        }
        self.printing.broken_off();
        self.dialogs.clear();
        self.denials.clear();
        self.running.clear();
        if !text.is_empty() {
            self.printing.note(note, text);
        }
        self.left = Some(leave);
        self.jobs.push_back(Job::Leave(leave));
    }

    /// Sends an order to the run; returns its number.
    fn order(&mut self, input: OperatorInput) -> Option<u64> {
        if let Some(why) = &self.about.read_only {
            let text = format!("{why}: {}", commands::subject(&input));
            self.printing.note(Note::Warning, &text);
            return None;
        }
        if self.orders.len() >= ORDERS_LIMIT {
            self.printing
                .note(Note::Warning, "the run does not answer; wait until it has received the earlier messages");
            return None;
        }
        self.numbers += 1;
        self.orders.insert(self.numbers, input.clone());
        self.jobs.push_back(Job::Order { number: self.numbers, input });
        Some(self.numbers)
    }

    /// Handles the answer to an order.
    fn answered(&mut self, order: u64, answer: Result<Done, String>) {
        let Some(input) = self.orders.remove(&order) else { return };
        let promise = self.promises.remove(&order);
        match (answer, input) {
            (Ok(_), OperatorInput::TakeBack { key }) => {
                self.queue.retain(|turn| turn.key != key);
                let Some(text) = promise else { return };
                let written = self.buffer.content();
                let both = if written.is_empty() { text } else { format!("{text}\n{written}") };
                let mut images = self.said_images.remove(&key).unwrap_or_default();
                images.extend(self.buffer.images().map(|image| Image::clone(image)));
                self.buffer.restore(&both, &images);
            }
            (Ok(_), OperatorInput::Set(Change::PermissionMode(mode))) => self.status.mode = mode,
            (Ok(_), input) => {
                self.status.is_paused |= input == OperatorInput::Pause;
                self.status.is_paused &= input != OperatorInput::Continue;
                if let Some(text) = promise {
                    self.printing.note(Note::Turn, &text);
                }
            }
            (Err(why), input) => {
                if let OperatorInput::Set(Change::PermissionMode(_)) = input {
                    self.wanted_mode = None;
                }
                if let OperatorInput::Rule { ask, .. } = input {
                    self.dialogs.refused(ask);
                }
                self.printing.note(Note::Warning, &format!("{}: {why}", commands::subject(&input)));
                // Restore the draft, so that the user's text is not lost.
                if let OperatorInput::Say { text, images, .. } = input
                    && self.buffer.is_empty()
                {
                    self.buffer.restore(&text, &images);
                }
            }
        }
    }
}

/// The first rows: what this is, where, with which token and bounds, and how to learn more. Three rows of 79 columns.
fn greeting(about: &About) -> String {
    let mut where_at = vec![super::clean::one_line(&about.cwd, 200)];
    where_at.extend(Some(super::clean::one_line(&about.label, 40)).filter(|label| !label.is_empty()));
    if let Some(budgets) = &about.budgets {
        where_at.push(count(usize::try_from(budgets.max_iterations).unwrap_or(usize::MAX), "iteration"));
        where_at.extend(budgets.max_duration_ms.map(bound));
        where_at.extend(budgets.max_cost_usd.map(|usd| money(Some(usd))));
        where_at.extend(budgets.max_tokens.map(|tokens| format!("{tokens} tokens")));
    }
    let how = if about.read_only.is_some() {
        "this terminal is read-only; Ctrl-D leaves"
    } else if about.has_task {
        "type a message; @ inserts a file name, / a command · /help"
    } else {
        "type your task; @ inserts a file name, / a command · /help"
    };
    format!("supervised: a critic reviews each stop (/supervisor off ends that)\n{}\n{how}", where_at.join(" · "))
}
