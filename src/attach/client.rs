//! The loop of an attached terminal.
#![allow(clippy::disallowed_methods, reason = "attach/ is an edge: the time of the real world")]

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until};

use super::finder::Finder;
use super::images::{self, Bases};
use super::link::{self, Link};
use super::memory::Memory;
use super::message::Message;
use super::past;
use super::preview::Preview;
use super::screen::{Screen, ScreenSwitch};
use super::signals::Signals;
use crate::config::Span;
use crate::control::protocol::{Event, FromRun, Reply, Request, Shown, Welcome, WordsOf};
use crate::control::{ClientError, request_of};
use crate::core::{Budgets, Outcome, Show, WhenLeft};
use crate::driver::{ChildEnv, TreeObserver, unix_ms};
use crate::journal::{JournalReader, RunDir, RunSummary};
use crate::notify::Ring;
use crate::process::{Cancel, KeySink, Keys, UserTerminal, stop_own_job};
use crate::ui::conversation::{About, Conversation, Job, Leave, News};
use crate::ui::keys::Decoder;
use crate::ui::paint::{Painter, Size};

/// The capacity of the loop's queue.
const MESSAGE_LIMIT: usize = 1_024;
/// Events that may be held while history is read; beyond that, history is shown as far as it was read.
const HELD_LIMIT: usize = 16 * 1_024;
/// Batches of history that may be queued.
const PASTS_LIMIT: usize = 4;
/// Bytes of finished rows in one paint; a terminal accepts them quickly.
const PAINT_BYTES: usize = 32 * 1_024;
/// The shortest time between two paints, except after a key.
const FRAME: Duration = Duration::from_millis(33);
/// No paint comes sooner after a resize.
const SETTLE: Duration = Duration::from_millis(60);
/// An escape byte that nothing follows for this long is the Escape key.
const ESCAPE: Duration = Duration::from_millis(30);
/// The timeout for writing the last rows.
const LAST_PAINT: Duration = Duration::from_secs(2);
/// How often the run is reconnected without a new event between.
const RECONNECTS: u32 = 3;

/// What attaching a terminal needs.
#[derive(Debug)]
pub struct AttachSetup {
    /// The run.
    pub run: RunDir,
    /// The user's terminal.
    pub terminal: UserTerminal,
    /// Whether it is a conversation, which continues without a message; another run that is completed needs one.
    pub is_conversation: bool,
    /// Only watch.
    pub read_only: bool,
    /// Whether colours may be used.
    pub colour: bool,
    /// The state directory.
    pub state: PathBuf,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The environment, for git.
    pub env: ChildEnv,
    /// Unique text of this client, from which it makes its keys.
    pub seed: String,
    /// Bell and desktop of this terminal, if the user wants to be told by them.
    pub ring: Option<Ring>,
}

/// How the session ended.
#[derive(Debug, Clone, PartialEq)]
pub enum EndReason {
    /// The run continues, if only for a minute.
    Detached(WhenLeft),
    /// The run is over.
    Ended {
        /// The outcome, if it was reported.
        outcome: Option<Outcome>,
        /// The user of this terminal has quit.
        by_user: bool,
    },
    /// The run's ccc has died.
    Lost,
    /// A signal ended the client, or its terminal is gone. The run continues, if only for a minute.
    Cut(WhenLeft),
}

/// How the session ended, and whether the terminal is writable.
#[derive(Debug, Clone, PartialEq)]
pub struct AttachEnd {
    /// How the session ended.
    pub left: EndReason,
    /// The terminal accepts nothing: a write to it would block forever.
    pub terminal_is_blocked: bool,
}

/// Passes keys to the loop.
struct Sink(Sender<Message>);

impl KeySink for Sink {
    fn typed(&self, keys: &[u8]) {
        let _ = self.0.blocking_send(Message::Keys(keys.to_owned()));
    }

    fn passed_ctrl_c(&self, _as_signal: bool) {}

    fn closed(&self) {
        let _ = self.0.blocking_send(Message::KeysClosed);
    }
}

/// Attaches the terminal to the run until the user leaves or the run ends.
///
/// # Errors
/// When the run cannot be reached, or the system provides no threads.
pub fn attach(setup: AttachSetup) -> Result<AttachEnd, ClientError> {
    let lost = |error: std::io::Error| ClientError::Lost { run: setup.run.id().to_owned(), why: error.to_string() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(lost)?;
    runtime.block_on(async {
        let (messages, inbox) = channel(MESSAGE_LIMIT);
        let (link, welcome) = Link::open(&setup.run, setup.read_only, None, 0, messages.clone())?;
        let session = Session::new(&setup, &welcome, link, messages).map_err(lost)?;
        Ok(session.run(inbox).await)
    })
}

/// The bounds of a run according to its journal.
fn bounds(run: &RunDir) -> Option<Budgets> {
    JournalReader::open(&run.journal()).ok()?.plan().ok().map(|plan| plan.budgets)
}

/// Parses a typed span of time.
///
/// # Errors
/// When it cannot be parsed.
pub fn span_ms(text: &str) -> Result<u64, String> {
    text.parse::<Span>().map(|span| span.as_ms()).map_err(|fault| fault.to_string())
}

/// The token in use, if the run has reported it.
fn label(welcome: &Welcome) -> String {
    let told =
        welcome.standing().filter_map(|show| if let Show::Windows { label, .. } = show { Some(label) } else { None });
    told.last().unwrap_or_default()
}

/// Why the loop woke.
enum Woken {
    Message(Message),
    Resized,
    Continued,
    End,
    Due,
}

async fn next(pasts: &mut Option<Receiver<Message>>) -> Option<Message> {
    match pasts {
        Some(pasts) => pasts.recv().await,
        None => None,
    }
}

struct Session<'a> {
    setup: &'a AttachSetup,
    conversation: Conversation,
    painter: Painter,
    screen: Screen,
    keys: Keys,
    decoder: Decoder,
    decoder_due: Option<Instant>,
    link: Option<Link>,
    messages: Sender<Message>,
    finder: Option<Finder>,
    bases: Bases,
    memory: Memory,
    signals: Signals,
    origin: Instant,
    /// The number of the order for each request.
    orders: BTreeMap<u64, u64>,
    /// Events held until history is read; `None` afterwards.
    held: Option<VecDeque<Event>>,
    /// A preview of the held events.
    preview: Option<Preview>,
    /// Batches of history.
    pasts: Option<Receiver<Message>>,
    /// The last fact that was shown, and the index of its last item.
    last: (u64, Option<u32>),
    reconnects: u32,
    /// The connection that ended while history was read: the number of the next one, and why it ended.
    closed: Option<(u32, Option<String>)>,
    /// The run takes no clients any more, so the rest of its journal is read: why the last connection ended.
    gone: Option<String>,
    unknown: u64,
    outcome: Option<Outcome>,
    /// The run has told the bounds in force; its journal begins with those that it had at first.
    knows_bounds: bool,
    is_dirty: bool,
    is_urgent: bool,
    bell: bool,
    ring: Option<Ring>,
    /// What the terminal gets with the next paint.
    rung: String,
    suspends: bool,
    /// The terminal is gone.
    is_cut: bool,
    painted_at: Option<Instant>,
    settles_at: Option<Instant>,
    _guard: crate::process::TerminalGuard,
}

impl<'a> Session<'a> {
    fn new(
        setup: &'a AttachSetup,
        welcome: &Welcome,
        link: Link,
        messages: Sender<Message>,
    ) -> std::io::Result<Session<'a>> {
        let signals = Signals::listen()?;
        let guard = setup.terminal.guard();
        let writes = messages.clone();
        let screen = Screen::open(&setup.terminal, ScreenSwitch::IN_SCROLLBACK, move || {
            writes.blocking_send(Message::Written).is_ok()
        })?;
        let keys = Keys::of(&setup.terminal, Sink(messages.clone()))?;
        keys.to_ccc();
        let memory = Memory::of(&setup.state);
        let mut conversation = Conversation::new(&setup.seed, span_ms);
        let about = About {
            cwd: welcome.cwd.clone(),
            budgets: welcome.bounds.clone().or_else(|| bounds(&setup.run)),
            phase: welcome.phase.clone(),
            iteration: welcome.iteration,
            now_ms: welcome.t / 1_000,
            label: label(welcome),
            read_only: setup.read_only.then(|| "this terminal is read-only".to_owned()),
            has_task: RunSummary::read(&setup.run.summary()).is_ok_and(|run| !run.task.is_empty()),
        };
        let ours = TreeObserver::of_process(&setup.state, &setup.env, setup.run.id(), Cancel::new()?);
        conversation.take(0, News::Joined(about));
        conversation.take(0, News::Earlier(memory.read()));
        let preview = Preview::of(&conversation);
        Ok(Session {
            setup,
            conversation,
            painter: Painter::new(setup.colour),
            screen,
            keys,
            decoder: Decoder::new(),
            decoder_due: None,
            link: Some(link),
            messages: messages.clone(),
            bases: Bases { cwd: PathBuf::from(&welcome.cwd), home: setup.home.clone() },
            finder: Finder::start(PathBuf::from(&welcome.cwd), ours, messages).ok(),
            memory,
            signals,
            origin: Instant::now(),
            orders: BTreeMap::new(),
            held: Some(VecDeque::new()),
            preview: Some(preview),
            pasts: None,
            last: (0, None),
            reconnects: 0,
            closed: None,
            gone: None,
            unknown: 0,
            outcome: None,
            knows_bounds: welcome.bounds.is_some(),
            is_dirty: true,
            is_urgent: true,
            bell: false,
            ring: setup.ring.clone(),
            rung: String::new(),
            suspends: false,
            is_cut: false,
            painted_at: None,
            settles_at: None,
            _guard: guard,
        })
    }

    fn at(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn tell(&mut self, told: News) {
        self.conversation.take(self.at(), told);
        self.is_dirty = true;
    }

    async fn run(mut self, mut inbox: Receiver<Message>) -> AttachEnd {
        loop {
            if self.is_cut {
                let end = self.leave(Leave::Detached, &mut inbox).await;
                let left = match end.left {
                    EndReason::Detached(then) => EndReason::Cut(then),
                    other @ (EndReason::Cut(_) | EndReason::Ended { .. } | EndReason::Lost) => other,
                };
                return AttachEnd { left, ..end };
            }
            if let Some(leave) = self.perform() {
                return self.leave(leave, &mut inbox).await;
            }
            if std::mem::take(&mut self.suspends) {
                self.suspend(&mut inbox).await;
            }
            self.paint();
            let woken = self.wait(&mut inbox).await;
            match woken {
                Woken::Message(message) => self.receive(message),
                Woken::Resized => {
                    self.painter.resized();
                    self.settles_at = Some(Instant::now() + SETTLE);
                    self.tell(News::Resized);
                }
                Woken::Continued => {
                    // Another program may have written meanwhile and changed the terminal's modes.
                    let _ = self.screen.enter_again();
                    self.painter.disturbed();
                    self.is_dirty = true;
                }
                Woken::End => self.is_cut = true,
                Woken::Due => {
                    if self.decoder_due.is_some_and(|due| due <= Instant::now()) {
                        self.decoder_due = None;
                        let typed = self.decoder.settle();
                        self.is_urgent = true;
                        self.tell(News::Typed(typed));
                    }
                    self.tell(News::Time);
                }
            }
        }
    }

    async fn wait(&mut self, inbox: &mut Receiver<Message>) -> Woken {
        let now = Instant::now();
        let frame = (self.is_dirty && !self.screen.is_busy()).then(|| {
            let frame = self.painted_at.map_or(now, |painted| painted + FRAME);
            let frame = if self.is_urgent { now } else { frame };
            self.settles_at.map_or(frame, |settles| frame.max(settles))
        });
        let told = self.conversation.poll_timeout(self.at()).map(|due| self.origin + Duration::from_millis(due));
        let due = [frame, told, self.decoder_due].into_iter().flatten().min();
        let due = due.unwrap_or_else(|| now + Duration::from_secs(3_600));
        let [terminate, hangup, interrupt, quit] = &mut self.signals.ends;
        tokio::select! {
            biased;
            _ = terminate.recv() => Woken::End,
            _ = hangup.recv() => Woken::End,
            _ = interrupt.recv() => Woken::End,
            _ = quit.recv() => Woken::End,
            _ = self.signals.continued.recv() => Woken::Continued,
            _ = self.signals.resized.recv() => Woken::Resized,
            message = inbox.recv() => message.map_or(Woken::End, Woken::Message),
            // Take the next batch of history only when the previous one is printed.
            Some(past) = next(&mut self.pasts), if !self.conversation.is_ready() => Woken::Message(past),
            () = sleep_until(due) => Woken::Due,
        }
    }

    /// Waits until the present paint is written, with a timeout for a blocked terminal.
    async fn written(&mut self, inbox: &mut Receiver<Message>) {
        let limit = Instant::now() + LAST_PAINT;
        while self.screen.is_busy() {
            match tokio::time::timeout_at(limit, inbox.recv()).await {
                Ok(Some(message)) => self.receive(message),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Writes these last bytes and restores the terminal. On a blocked terminal only the modes are restored.
    async fn give_back(&mut self, last: Vec<u8>, inbox: &mut Receiver<Message>) {
        self.written(inbox).await;
        if !self.screen.is_busy() {
            self.screen.last(last);
            self.written(inbox).await;
        }
        self.screen.restore();
    }

    fn size(&self) -> Size {
        let size = self.setup.terminal.size();
        size.map_or(Size { columns: 80, rows: 24 }, |size| Size {
            columns: size.ws_col.max(2),
            rows: size.ws_row.max(1),
        })
    }

    /// Paints if something has changed and a paint is due.
    fn paint(&mut self) {
        let now = Instant::now();
        let is_settling = self.settles_at.is_some_and(|settles| now < settles);
        let is_early = !self.is_urgent && self.painted_at.is_some_and(|painted| now < painted + FRAME);
        if !self.is_dirty || self.screen.is_busy() || is_settling || is_early {
            return;
        }
        self.settles_at = None;
        let size = self.size();
        let at = self.at();
        let rows = self.conversation.commit(size, PAINT_BYTES);
        let mut view = self.conversation.view(size, at);
        if let Some(preview) = &mut self.preview {
            view = preview.above(view, size);
        }
        let mut bytes = self.painter.paint(size, &rows, &view).unwrap_or_default();
        if std::mem::take(&mut self.bell) {
            bytes.push(0x07);
        }
        // None of it moves the cursor.
        bytes.extend(std::mem::take(&mut self.rung).into_bytes());
        if !bytes.is_empty() {
            self.screen.paint(bytes);
        }
        self.conversation.take(at, News::Painted);
        self.painted_at = Some(now);
        // Rows beyond one paint are printed as fast as the terminal accepts them.
        self.is_dirty = self.conversation.is_ready();
        self.is_urgent = self.is_dirty;
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Run { link, said } if self.is_present(link) => self.receive_from_run(*said),
            Message::Closed { link, why } if self.is_present(link) => self.connection_closed(why),
            Message::Run { .. } | Message::Closed { .. } => {}
            Message::Keys(bytes) => {
                let typed = self.decoder.take(&bytes);
                self.decoder_due = self.decoder.is_open().then(|| Instant::now() + ESCAPE);
                if !typed.is_empty() {
                    self.is_urgent = true;
                    self.tell(News::Typed(typed));
                }
            }
            Message::KeysClosed => self.is_cut = true,
            Message::Written => {
                self.screen.written();
                // The terminal may have wrapped rows that were made for another size: do not repaint above.
                if self.drawn_for_other_size() {
                    self.painter.resized();
                    self.is_dirty = true;
                }
            }
            Message::Files { query, names } => {
                self.is_urgent = true;
                self.tell(News::Files { query, names });
            }
            Message::Looked { path, image } => {
                self.is_urgent = true;
                self.tell(News::Looked { path, image });
            }
            Message::Past(shows) => {
                for Shown { n, i, t, show, .. } in shows {
                    if self.is_news(n, i) {
                        self.reconnects = 0;
                        if let Show::Finished { outcome, .. } = &show {
                            self.outcome = Some(*outcome);
                        }
                        if let Some(ring) = &mut self.ring {
                            // It was told.
                            let _ = ring.follow(&show, 0);
                        }
                        self.tell(News::Show { show: Box::new(show), run_ms: t / 1_000, past: true });
                    }
                }
            }
            Message::PastOver(trouble) => {
                if let Some(why) = trouble {
                    self.tell(News::Remark(why));
                }
                self.pasts = None;
                match (self.gone.take(), self.closed.take()) {
                    (Some(why), _) => self.is_gone(&why),
                    (None, Some(closed)) => self.reconnect(closed),
                    (None, None) => self.release(),
                }
            }
        }
    }

    /// Whether this is the number of the connection in use.
    fn is_present(&self, number: u32) -> bool {
        self.link.as_ref().is_some_and(|link| link.number == number)
    }

    fn drawn_for_other_size(&self) -> bool {
        self.painter.size().is_some_and(|drawn| drawn != self.size())
    }

    fn receive_from_run(&mut self, said: FromRun) {
        match said {
            FromRun::Reply { re, reply } => {
                let follows = self.link.as_ref().is_some_and(|link| link.following == re);
                if let (true, Reply::Following { from }) = (follows, &reply) {
                    self.recall(*from);
                } else if let Some(order) = self.orders.remove(&re) {
                    self.is_urgent = true;
                    self.tell(News::Answered { order, answer: link::answer(reply) });
                }
            }
            FromRun::Event(event) => match &mut self.held {
                Some(held) if held.len() < HELD_LIMIT => {
                    if let (Event::Show(shown), Some(preview)) = (&event, &mut self.preview) {
                        let (show, run_ms) = (Box::new(shown.show.clone()), shown.t / 1_000);
                        preview.take(run_ms, News::Show { show, run_ms, past: true });
                        self.is_dirty = true;
                    }
                    held.push_back(event);
                }
                Some(_) => {
                    self.release();
                    self.receive_event(event);
                }
                None => self.receive_event(event),
            },
            FromRun::Fault(fault) => self.tell(News::Remark(fault.message)),
            FromRun::Greeting(_) | FromRun::Welcome(_) => {}
        }
    }

    /// Reads the history before `from` that is not known yet: the beginning of the run, or events that the hub dropped for a
    /// slow client.
    fn recall(&mut self, from: u64) {
        let after = self.last.0.saturating_sub(1);
        if self.held.is_none() {
            if from <= after + 1 {
                return;
            }
            self.held = Some(VecDeque::new());
        }
        let (messages, pasts) = channel(PASTS_LIMIT);
        self.pasts = Some(pasts);
        let journal = self.setup.run.journal();
        let thread = std::thread::Builder::new().name("past".to_owned());
        if let Err(error) = thread.spawn(move || past::tell(&journal, after, from, &messages)) {
            self.tell(News::Remark(format!("earlier events cannot be shown: {error}")));
            self.release();
        }
    }

    /// Whether this item was not shown yet; marks it as shown. A remark has no position in the run, and is always new.
    fn is_news(&mut self, n: u64, i: Option<u32>) -> bool {
        let is_news = i.is_none() || (n, i) > self.last;
        if i.is_some() && is_news {
            self.last = (n, i);
        }
        is_news
    }

    /// History is complete: shows the events that were held meanwhile.
    fn release(&mut self) {
        self.preview = None;
        self.is_dirty = true;
        for event in self.held.take().unwrap_or_default() {
            self.receive_event(event);
        }
    }

    fn receive_event(&mut self, event: Event) {
        match event {
            Event::Show(shown) => {
                let Shown { n, i, t, show, .. } = *shown;
                if !self.is_news(n, i) {
                    return;
                }
                self.reconnects = 0;
                // A run that had just begun had no journal yet when this client connected.
                if !self.knows_bounds
                    && let (Show::Session { .. }, Some(bounds)) = (&show, bounds(&self.setup.run))
                {
                    self.knows_bounds = true;
                    self.tell(News::Bounds(bounds));
                }
                if let Show::Finished { outcome, .. } = &show {
                    self.outcome = Some(*outcome);
                }
                if let Some(bytes) = self.ring.as_mut().and_then(|ring| ring.follow(&show, unix_ms())) {
                    self.rung.push_str(&bytes);
                }
                self.tell(News::Show { show: Box::new(show), run_ms: t / 1_000, past: false });
            }
            Event::Words { role, kind, part, text } => {
                self.tell(News::Words { role, thinking: kind == WordsOf::Thinking, part, text });
            }
            Event::End { finish } => {
                self.outcome = self.outcome.or(finish.as_ref().map(|finish| finish.outcome));
                self.has_ended();
            }
            Event::Gone { why } => self.connection_closed(Some(why)),
            Event::Unknown(name) => {
                self.unknown += 1;
                if self.unknown == 1 {
                    let text = format!("the run was started by a newer ccc: events such as `{name}` are not shown");
                    self.tell(News::Remark(text));
                }
            }
        }
    }

    /// The connection has ended. If the run is alive, reconnects: the run may have disconnected a slow client. History that is
    /// being read is read first, because a client that is behind would only be disconnected again.
    fn connection_closed(&mut self, why: Option<String>) {
        let Some(old) = self.link.take() else { return };
        let closed = (old.number + 1, why);
        drop(old);
        self.orders.clear();
        self.tell(News::Reconnects);
        // The history is read up to the next connection's first event, so what was held comes again.
        if let Some(held) = &mut self.held {
            held.clear();
        }
        if self.held.is_some() && self.pasts.is_some() {
            self.closed = Some(closed);
        } else {
            self.reconnect(closed);
        }
    }

    /// Connects again, and gets what was not shown yet.
    fn reconnect(&mut self, (number, why): (u32, Option<String>)) {
        self.reconnects += 1;
        let run = self.setup.run.id();
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        if self.reconnects > RECONNECTS {
            let lost = format!(
                "the run disconnected this terminal {RECONNECTS} times in a row{why}; to attach again: ccc attach {run}"
            );
            self.release();
            self.tell(News::Lost(lost));
            return;
        }
        // An incomplete fact is sent again; its known items are skipped.
        let since = self.last.0.checked_sub(1);
        match Link::open(&self.setup.run, self.setup.read_only, since, number, self.messages.clone()) {
            Ok((link, _)) => self.link = Some(link),
            Err(_) => self.read_rest(why),
        }
    }

    /// Reads what the run's journal has after the last event: the run takes no clients any more.
    fn read_rest(&mut self, why: String) {
        self.release();
        let (messages, pasts) = channel(PASTS_LIMIT);
        self.pasts = Some(pasts);
        let (run, after) = (self.setup.run.clone(), self.last.0.saturating_sub(1));
        let thread = std::thread::Builder::new().name("past".to_owned());
        match thread.spawn(move || past::tell_rest(&run, after, &messages)) {
            Ok(_) => self.gone = Some(why),
            Err(_) => self.is_gone(&why),
        }
    }

    /// All that the run has recorded is shown: says how it ended, or that its ccc has died.
    fn is_gone(&mut self, why: &str) {
        if self.outcome.is_some() {
            self.has_ended();
            return;
        }
        let run = self.setup.run.id();
        self.tell(News::Lost(format!("the run's ccc process has ended{why}; to continue the run: ccc resume {run}")));
    }

    fn has_ended(&mut self) {
        // Without a turn there is nothing to resume.
        let id = self.setup.run.id();
        let text = match (self.conversation.was_said_to(), self.setup.is_conversation) {
            (false, _) => String::new(),
            (true, true) => format!("to continue the conversation: ccc resume {id}"),
            (true, false) if self.outcome == Some(Outcome::Completed) => {
                format!("to give it more to do: ccc resume {id} -p \"TEXT\"")
            }
            // The run has written down what it needs before it tells its end.
            (true, false) => {
                let summary = RunSummary::read(&self.setup.run.summary()).ok();
                let going_on = summary.as_ref().and_then(RunSummary::going_on).map(str::to_owned);
                format!("to continue the run: {}", going_on.unwrap_or_else(|| format!("ccc resume {id}")))
            }
        };
        self.tell(News::Ended(text));
    }

    /// Performs the jobs of the conversation; returns how to leave, if it does.
    fn perform(&mut self) -> Option<Leave> {
        while let Some(job) = self.conversation.poll_job() {
            self.is_dirty = true;
            match job {
                Job::Order { number, input } => {
                    let request = request_of(input);
                    let asked = request.and_then(|request| self.link.as_mut().and_then(|link| link.ask(&request)));
                    match asked {
                        Some(id) => {
                            self.orders.insert(id, number);
                        }
                        None => self.tell(News::Answered {
                            order: number,
                            answer: Err("the run cannot be reached".to_owned()),
                        }),
                    }
                }
                Job::Find(query) => {
                    if let Some(finder) = &self.finder {
                        finder.find(query);
                    }
                }
                // A failure to save history is not reported.
                Job::Look(path) => self.look(path),
                Job::Remember(text) => drop(self.memory.add(&text)),
                Job::Suspend => self.suspends = true,
                Job::Leave(leave) => return Some(leave),
                Job::Bell => self.bell = true,
            }
        }
        None
    }

    /// Reads an image on a thread, so that a slow disk does not block the keyboard.
    fn look(&mut self, path: String) {
        let (bases, messages) = (self.bases.clone(), self.messages.clone());
        let asked = path.clone();
        let read = move || {
            let image = images::read(&path, &bases);
            let _ = messages.blocking_send(Message::Looked { path, image });
        };
        if let Err(error) = std::thread::Builder::new().name("image".to_owned()).spawn(read) {
            self.tell(News::Looked { path: asked, image: Err(Some(error.to_string())) });
        }
    }

    /// Stops as a job of the shell, and continues afterwards.
    async fn suspend(&mut self, inbox: &mut Receiver<Message>) {
        if !crate::process::own_job_can_stop() {
            return;
        }
        if let Some(link) = &mut self.link {
            link.ask(&Request::Away {});
        }
        self.keys.pause();
        let erased = self.painter.erase();
        self.give_back(erased, inbox).await;
        let _ = stop_own_job();
        let _ = self.screen.enter();
        self.keys.to_ccc();
        self.painter.disturbed();
        if let Some(link) = &mut self.link {
            link.ask(&Request::Back {});
        }
        (self.is_dirty, self.is_urgent) = (true, true);
    }

    /// Prints the remaining rows, erases the view and restores the terminal.
    async fn leave(mut self, leave: Leave, inbox: &mut Receiver<Message>) -> AttachEnd {
        self.written(inbox).await;
        let limit = Instant::now() + LAST_PAINT;
        let mut last = Vec::new();
        let size = self.size();
        // A user who detaches does not wait for unprinted rows: attaching again shows them.
        while leave != Leave::Detached && self.conversation.is_ready() && Instant::now() < limit {
            let rows = self.conversation.commit(size, PAINT_BYTES);
            let view = self.conversation.view(size, self.at());
            last.extend(self.painter.paint(size, &rows, &view).unwrap_or_default());
        }
        last.extend(self.painter.erase());
        self.give_back(last, inbox).await;
        let left = match leave {
            Leave::Detached => EndReason::Detached(self.conversation.when_left()),
            Leave::Ended => EndReason::Ended { outcome: self.outcome, by_user: self.conversation.has_quit() },
            Leave::Lost => EndReason::Lost,
        };
        AttachEnd { left, terminal_is_blocked: self.screen.is_busy() }
    }
}
