//! The loop of the dashboard.
#![allow(clippy::disallowed_methods, reason = "watch/ is an edge: the time of the real world")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use jiff::tz::TimeZone;
use ratatui_core::terminal::Terminal;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until};

use super::link::{Link, Wanted};
use super::message::{Message, Said};
use super::overlaps::{ChangedFiles, Overlaps};
use super::paper::Paper;
use super::roster::{self, Directories, Due, Found};
use super::{past, usage};
use crate::attach::screen::{Screen, ScreenSwitch};
use crate::attach::signals::Signals;
use crate::control::protocol::{Event, Request, Shown, Welcome, WordsOf};
use crate::control::request_of;
use crate::core::Show;
use crate::driver::unix_ms;
use crate::fleet::{Roster, State};
use crate::keeper;
use crate::process::{Foreground, KeySink, Keys, TerminalGuard, UserTerminal, own_job_can_stop, stop_own_job};
use crate::ui::conversation;
use crate::ui::dashboard::{Dashboard, Errand, Job, News, Thresholds};
use crate::ui::keys::Decoder;
use crate::ui::paint::Size;
use crate::upkeep::Rules;

/// The capacity of the loop's queue. Beyond it the sockets are not read, and the runs wait for nobody.
const MESSAGE_LIMIT: usize = 4_096;
/// How many messages are taken at once.
const BATCH: usize = 256;
/// The shortest time between two paints, except after a key.
const FRAME: Duration = Duration::from_millis(40);
/// No paint comes sooner after a resize.
const SETTLE: Duration = Duration::from_millis(30);
/// An escape byte that nothing follows for this long is the Escape key.
const ESCAPE: Duration = Duration::from_millis(30);
/// The timeout for writing the last bytes.
const LAST_PAINT: Duration = Duration::from_secs(2);
/// The shortest time between two readings of the files of runs.
const READ_AGAIN: Duration = Duration::from_millis(100);
/// How often all files are read: where every change is reported, where it is not, and while a run that is active cannot be
/// reached, because nothing reports its end.
const SELDOM: Duration = Duration::from_secs(60);
const OFTEN: Duration = Duration::from_secs(3);
/// The pause before a run is connected again.
const CONNECT_AGAIN: Duration = Duration::from_secs(2);
/// Who moves through the list follows no agent that is selected for a shorter time.
const FOLLOW_AFTER: Duration = Duration::from_millis(120);
/// How many of the latest events are asked for: of every run, for its last action and what it asks; of the selected one.
const TAIL: u64 = 60;
const TRANSCRIPT_TAIL: u64 = 400;

/// The whole screen, bracketed paste, unambiguous keys (the first level of kitty's protocol).
const SWITCH: ScreenSwitch = ScreenSwitch { on: "\x1b[?1049h\x1b[?2004h\x1b[>1u\x1b[?25l", off: "\x1b[<u\x1b[?1049l" };
/// Shown below what a command has written.
const PRESS: &str = "\r\n\x1b[0m-- a key leads back to the dashboard --";

/// The request that gives this answer to what the event asks, or why the text is no answer.
pub type Answers = fn(&Show, &str) -> Result<Request, String>;

/// What the dashboard needs.
pub struct WatchSetup {
    /// The state directory.
    pub state: PathBuf,
    /// The user's terminal.
    pub terminal: UserTerminal,
    /// Whether colours may be used.
    pub colour: bool,
    /// The user's time zone.
    pub zone: TimeZone,
    /// From which percentages usage is yellow and red.
    pub thresholds: Thresholds,
    /// What new agents wait for.
    pub rules: Rules,
    /// Unique text of this client, from which it makes its keys.
    pub seed: String,
    /// Reads typed answers.
    pub answers: Answers,
    /// Asks git which files an agent has changed.
    pub changed_files: ChangedFiles,
    /// The commands of this ccc.
    pub commands: Vec<String>,
}

/// How the dashboard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEnd {
    /// The user left it.
    Left,
    /// A signal ended it, or its terminal is gone.
    Cut,
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

/// Shows the dashboard until the user leaves it.
///
/// # Errors
/// When the system provides no threads or descriptors, or the terminal cannot be set.
pub fn watch(setup: WatchSetup) -> io::Result<WatchEnd> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        let (messages, inbox) = channel(MESSAGE_LIMIT);
        Ok(Session::new(setup, messages)?.run(inbox).await)
    });
    // A journal that is being read is not waited for.
    runtime.shutdown_background();
    end
}

/// Why the loop woke.
enum Woken {
    Message(Message),
    Changed,
    Resized,
    Continued,
    /// SIGTERM or SIGHUP.
    End,
    /// SIGINT or SIGQUIT, which a command in the foreground gets, too.
    Interrupt,
    Due,
}

/// What has the terminal instead of the dashboard.
enum Away {
    /// A command with this pid; its output stays until a key is pressed, if `waits` or if it fails.
    Command { pid: u32, waits: bool },
    /// The output of a command, until a key is pressed.
    Output,
}

/// The run whose transcript is shown.
struct Followed {
    agent: String,
    number: u64,
    /// The connection; `None` for the journal of a run that has ended, and after the end.
    link: Option<Link>,
    /// A connection, perhaps an earlier one, or the journal has shown it: that stays.
    is_shown: bool,
    /// The run has told its end.
    has_ended: bool,
    /// When it may be followed again.
    again: Instant,
}

/// The state of the loop.
struct Session {
    setup: WatchSetup,
    dashboard: Dashboard,
    frames: Terminal<Paper>,
    screen: Screen,
    keys: Keys,
    decoder: Decoder,
    decoder_due: Option<Instant>,
    messages: Sender<Message>,
    signals: Signals,
    origin: Instant,
    /// The wall clock at that moment. The dashboard's times begin with it, so that no run began before them.
    origin_unix_ms: u64,
    roster: Roster,
    dirs: Directories,
    /// The runs to read, and whether all are.
    due: BTreeSet<String>,
    all_due: bool,
    is_reading: bool,
    read_at: Option<Instant>,
    all_read_at: Option<Instant>,
    /// The connections to the active runs, by run.
    links: BTreeMap<String, Link>,
    /// The runs of these connections, by the connection's number.
    linked: BTreeMap<u64, String>,
    /// When a run may be connected again.
    again: BTreeMap<String, Instant>,
    /// The agents or the connections have changed since they were compared.
    links_changed: bool,
    /// An active run is not connected, so nothing reports its end.
    lacks_link: bool,
    numbers: u64,
    /// The run to follow, and since when it is wanted.
    wanted: (Option<String>, Instant),
    followed: Option<Followed>,
    usage_at: Instant,
    overlaps: Overlaps,
    size: Size,
    away: Option<Away>,
    is_cut: bool,
    is_dirty: bool,
    is_urgent: bool,
    bell: bool,
    suspends: bool,
    errand: Option<Errand>,
    painted_at: Option<Instant>,
    settles_at: Option<Instant>,
    told_damage: bool,
    _guard: TerminalGuard,
}

fn size_of(terminal: &UserTerminal) -> Size {
    let size = terminal.size();
    size.map_or(Size { columns: 80, rows: 24 }, |size| Size { columns: size.ws_col.max(2), rows: size.ws_row.max(1) })
}

fn cells(size: Size) -> ratatui_core::layout::Size {
    ratatui_core::layout::Size::new(size.columns, size.rows)
}

impl Session {
    fn new(setup: WatchSetup, messages: Sender<Message>) -> io::Result<Session> {
        let signals = Signals::listen()?;
        let guard = setup.terminal.guard();
        let writes = messages.clone();
        let screen = Screen::open(&setup.terminal, SWITCH, move || writes.blocking_send(Message::Written).is_ok())?;
        let keys = Keys::of(&setup.terminal, Sink(messages.clone()))?;
        keys.to_ccc();
        let size = size_of(&setup.terminal);
        let Ok(frames) = Terminal::new(Paper::new(cells(size), setup.colour));
        let now = Instant::now();
        Ok(Session {
            dashboard: Dashboard::new(&setup.seed, size, setup.thresholds, setup.zone.clone()),
            frames,
            screen,
            keys,
            decoder: Decoder::new(),
            decoder_due: None,
            messages,
            signals,
            origin: now,
            origin_unix_ms: u64::try_from(unix_ms()).unwrap_or(0),
            roster: Roster::default(),
            dirs: Directories::of(&setup.state),
            due: BTreeSet::new(),
            all_due: true,
            is_reading: false,
            read_at: None,
            all_read_at: None,
            links: BTreeMap::new(),
            linked: BTreeMap::new(),
            again: BTreeMap::new(),
            links_changed: true,
            lacks_link: false,
            numbers: 0,
            wanted: (None, now),
            followed: None,
            usage_at: now,
            overlaps: Overlaps::default(),
            size,
            away: None,
            is_cut: false,
            is_dirty: true,
            is_urgent: true,
            bell: false,
            suspends: false,
            errand: None,
            painted_at: None,
            settles_at: None,
            told_damage: false,
            setup,
            _guard: guard,
        })
    }

    fn at(&self) -> u64 {
        self.origin_unix_ms.saturating_add(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The moment of a time of the dashboard.
    fn moment(&self, at: u64) -> Instant {
        self.origin + Duration::from_millis(at.saturating_sub(self.origin_unix_ms))
    }

    fn tell(&mut self, news: News) {
        self.dashboard.take(self.at(), news);
        self.is_dirty = true;
    }

    fn remark(&mut self, text: impl Into<String>) {
        self.is_urgent = true;
        self.tell(News::Remark(text.into()));
    }

    async fn run(mut self, mut inbox: Receiver<Message>) -> WatchEnd {
        self.read_usage();
        loop {
            if self.is_cut && !matches!(self.away, Some(Away::Command { .. })) {
                self.give_back(&mut inbox).await;
                return WatchEnd::Cut;
            }
            if self.perform() {
                self.give_back(&mut inbox).await;
                return WatchEnd::Left;
            }
            if std::mem::take(&mut self.suspends) {
                self.suspend(&mut inbox).await;
            }
            if let Some(errand) = self.errand.take() {
                self.hand_over(errand, &mut inbox).await;
            }
            self.read_due();
            self.connect();
            self.follow();
            self.compare();
            self.paint();
            match self.wait(&mut inbox).await {
                Woken::Message(message) => {
                    self.receive(message);
                    // Hundreds of runs speak at once: the rest of the loop is not run for each of their lines.
                    for _ in 0..BATCH {
                        match inbox.try_recv() {
                            Ok(message) => self.receive(message),
                            Err(_) => break,
                        }
                    }
                }
                Woken::Changed => self.files_changed(),
                Woken::Resized => {
                    self.settles_at = Some(Instant::now() + SETTLE);
                    (self.is_dirty, self.is_urgent) = (true, true);
                }
                Woken::Continued if self.away.is_none() => {
                    // Another program may have written meanwhile and changed the terminal's modes.
                    let _ = self.screen.enter_again();
                    self.redraw();
                }
                Woken::Continued => {}
                Woken::End => {
                    self.is_cut = true;
                    if let Some(Away::Command { pid, .. }) = &self.away {
                        Foreground::end(*pid);
                    }
                }
                Woken::Interrupt => self.is_cut |= !matches!(self.away, Some(Away::Command { .. })),
                Woken::Due => self.time_passed(),
            }
        }
    }

    async fn wait(&mut self, inbox: &mut Receiver<Message>) -> Woken {
        let now = Instant::now();
        let frame = (self.is_dirty && self.away.is_none() && !self.screen.is_busy()).then(|| {
            let frame = if self.is_urgent { now } else { self.painted_at.map_or(now, |painted| painted + FRAME) };
            self.settles_at.map_or(frame, |settles| frame.max(settles))
        });
        let timed = self.dashboard.poll_timeout(self.at(), unix_ms());
        let timed = self.away.is_none().then(|| self.moment(timed));
        let read = (!self.is_reading).then(|| self.next_reading());
        let again = self.again.values().min().copied();
        let follow = self.next_follow();
        let overlaps = self.overlaps.next(now);
        let due = [frame, timed, self.decoder_due, read, again, follow, overlaps, Some(self.usage_at)];
        let due = due.into_iter().flatten().min().unwrap_or(now);
        let [terminate, hangup, interrupt, quit] = &mut self.signals.ends;
        tokio::select! {
            biased;
            _ = terminate.recv() => Woken::End,
            _ = hangup.recv() => Woken::End,
            _ = interrupt.recv() => Woken::Interrupt,
            _ = quit.recv() => Woken::Interrupt,
            _ = self.signals.continued.recv() => Woken::Continued,
            _ = self.signals.resized.recv() => Woken::Resized,
            () = sleep_until(due) => Woken::Due,
            () = self.dirs.changed() => Woken::Changed,
            message = inbox.recv() => message.map_or(Woken::End, Woken::Message),
        }
    }

    fn time_passed(&mut self) {
        let now = Instant::now();
        if self.decoder_due.is_some_and(|due| due <= now) {
            self.decoder_due = None;
            let typed = self.decoder.settle();
            self.is_urgent = true;
            self.tell(News::Typed(typed));
        }
        if self.usage_at <= now {
            self.read_usage();
        }
        if self.next_reading() <= now && self.due.is_empty() {
            self.all_due = true;
        }
        self.again.retain(|_, again| *again > now);
        // Some may be connected again now.
        self.links_changed = true;
        // Ages and the clock.
        self.tell(News::Time);
    }

    fn read_usage(&mut self) {
        self.usage_at = Instant::now() + SELDOM;
        let known = usage::usage_known(&self.setup.state, unix_ms());
        self.tell(News::Usage(known));
    }

    // The files of the runs.

    fn files_changed(&mut self) {
        let changes = self.dirs.take();
        self.all_due |= changes.all;
        if changes.usage {
            self.read_usage();
        }
        for id in changes.sockets {
            self.again.remove(&id);
            self.due.insert(id);
            self.links_changed = true;
        }
        // A run that is connected tells itself what its `run.json` says.
        let runs: Vec<String> = changes.runs.into_iter().filter(|id| !self.is_joined(id)).collect();
        self.due.extend(runs);
    }

    /// When files are read next.
    fn next_reading(&self) -> Instant {
        let soonest = self.read_at.map_or(self.origin, |read| read + READ_AGAIN);
        if self.all_due || !self.due.is_empty() {
            return soonest;
        }
        let pause = if self.dirs.is_watched() && !self.lacks_link { SELDOM } else { OFTEN };
        self.all_read_at.map_or(soonest, |read| (read + pause).max(soonest))
    }

    fn read_due(&mut self) {
        let is_due = self.all_due || !self.due.is_empty();
        if self.is_reading || !is_due || self.next_reading() > Instant::now() {
            return;
        }
        let ids = std::mem::take(&mut self.due);
        let due = if std::mem::take(&mut self.all_due) { Due::All } else { Due::These(ids) };
        self.is_reading = true;
        let (state, messages) = (self.setup.state.clone(), self.messages.clone());
        tokio::task::spawn_blocking(move || {
            let _ = messages.blocking_send(Message::Found(roster::read(&state, due)));
        });
    }

    fn found(&mut self, found: Found) {
        self.is_reading = false;
        self.read_at = Some(Instant::now());
        match found {
            Found::These(agents) => roster::merge(&mut self.roster, agents),
            Found::All(Ok(roster)) => {
                self.all_read_at = self.read_at;
                if let (false, Some((_, error))) = (self.told_damage, roster.damaged.first()) {
                    self.told_damage = true;
                    let error = error.to_string();
                    self.remark(error);
                }
                self.roster = roster;
            }
            Found::All(Err(why)) => {
                self.all_read_at = self.read_at;
                self.remark(why);
            }
        }
        self.links_changed = true;
        self.dirs.watch_runs(self.roster.agents.iter().map(|agent| agent.record.id.as_str()));
        let waiting = keeper::waiting(&self.setup.state, &self.roster.agents, &self.setup.rules, unix_ms());
        let listed = roster::listed(&self.roster, &waiting);
        self.tell(News::Agents(listed));
        self.overlaps.list(&self.roster);
        self.tell_overlaps();
    }

    /// Asks git about the next agent, if one is due.
    fn compare(&mut self) {
        let Some(record) = self.overlaps.begin(Instant::now()) else { return };
        let (changed_files, messages) = (self.setup.changed_files.clone(), self.messages.clone());
        tokio::task::spawn_blocking(move || {
            let _ = messages.blocking_send(Message::Changed(changed_files(&record)));
        });
    }

    fn tell_overlaps(&mut self) {
        if let Some(shared) = self.overlaps.news() {
            self.tell(News::Shared(shared));
        }
    }

    fn is_active(&self, id: &str) -> bool {
        self.roster.get(id).is_some_and(|agent| agent.state.is_active())
    }

    // The connections.

    /// Connects to the active runs that are not connected.
    fn connect(&mut self) {
        if !std::mem::take(&mut self.links_changed) {
            return;
        }
        let missing: Vec<_> = self
            .roster
            .agents
            .iter()
            .filter(|agent| agent.state.is_active())
            .filter(|agent| !self.links.contains_key(&agent.record.id) && !self.again.contains_key(&agent.record.id))
            .map(|agent| agent.dir.clone())
            .collect();
        for dir in missing {
            self.numbers += 1;
            let id = dir.id().to_owned();
            let wanted = Wanted { tail: TAIL, words: false };
            self.linked.insert(self.numbers, id.clone());
            self.links.insert(id, Link::open(dir, self.numbers, wanted, self.messages.clone()));
        }
        let mut active = self.roster.agents.iter().filter(|agent| agent.state.is_active());
        self.lacks_link = active.any(|agent| !self.is_joined(&agent.record.id));
    }

    fn is_joined(&self, id: &str) -> bool {
        self.links.get(id).is_some_and(|link| link.joined_unix_ms.is_some())
    }

    fn link_said(&mut self, number: u64, said: Said) {
        if let Said::Answered(order, answer) = said {
            self.is_urgent = true;
            self.tell(News::Answered { order, answer });
            return;
        }
        if self.followed.as_ref().is_some_and(|followed| followed.number == number) {
            self.transcript_said(said);
            return;
        }
        let Some(id) = self.linked.get(&number).cloned() else { return };
        match said {
            Said::Joined(welcome) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.joined_unix_ms = Some(unix_ms());
                }
                self.links_changed = true;
                let Welcome { phase, iteration, .. } = (*welcome).clone();
                let standing = welcome.standing().collect();
                self.tell(News::Joined { agent: id, phase, iteration, standing });
            }
            Said::Event(Event::Show(shown)) => {
                let Shown { at, show, .. } = *shown;
                self.overlaps.shown(&id, &show);
                let joined = self.links.get(&id).and_then(|link| link.joined_unix_ms);
                let is_past = joined.is_some_and(|joined| at < joined);
                let at_unix_ms = (at > 0).then_some(at);
                self.tell(News::Show { agent: id, show: Box::new(show), at_unix_ms, is_past });
            }
            // The connection is closed after both.
            Said::Event(Event::End { .. } | Event::Gone { .. } | Event::Words { .. } | Event::Unknown(_)) => {}
            Said::Closed(why) => {
                tracing::debug!(run = %id, %why, "not connected");
                self.links_changed = true;
                self.linked.remove(&number);
                self.links.remove(&id);
                self.again.insert(id.clone(), Instant::now() + CONNECT_AGAIN);
                // A ccc that has just been killed may still hold its lock: it is looked at again when it is not reached again.
                self.due.insert(id.clone());
                self.tell(News::Left { agent: id });
            }
            Said::Answered(..) => {}
        }
    }

    // The transcript.

    /// When the wanted run is followed, if it is not yet.
    fn next_follow(&self) -> Option<Instant> {
        let (Some(wanted), since) = &self.wanted else { return None };
        match &self.followed {
            Some(followed) if followed.agent == *wanted => {
                let is_due = followed.link.is_none() && (self.is_active(wanted) || !followed.is_shown);
                is_due.then_some(followed.again)
            }
            Some(_) | None => Some(*since + FOLLOW_AFTER),
        }
    }

    fn follow(&mut self) {
        let now = Instant::now();
        if self.wanted.0.is_none() {
            self.followed = None;
        }
        if self.next_follow().is_none_or(|due| due > now) {
            return;
        }
        let Some(agent) = self.wanted.0.clone() else { return };
        let Some(dir) = self.roster.get(&agent).map(|agent| agent.dir.clone()) else {
            self.wanted.1 = now + CONNECT_AGAIN;
            return;
        };
        self.numbers += 1;
        let number = self.numbers;
        let link = if self.is_active(&agent) {
            let wanted = Wanted { tail: TRANSCRIPT_TAIL, words: true };
            Some(Link::open(dir, number, wanted, self.messages.clone()))
        } else {
            let messages = self.messages.clone();
            tokio::task::spawn_blocking(move || {
                let events = past::last_events(&dir);
                let _ = messages.blocking_send(Message::Past { number, events });
            });
            None
        };
        let was_shown = self.followed.as_ref().is_some_and(|followed| followed.agent == agent && followed.is_shown);
        let is_shown = was_shown || link.is_none();
        let again = now + CONNECT_AGAIN;
        self.followed = Some(Followed { agent, number, link, is_shown, has_ended: false, again });
    }

    fn transcript_said(&mut self, said: Said) {
        let Some(followed) = &mut self.followed else { return };
        let agent = followed.agent.clone();
        match said {
            Said::Joined(welcome) => {
                followed.is_shown = true;
                let now_ms = Some(welcome.t / 1_000);
                self.tell(News::TranscriptBegins { agent, cwd: welcome.cwd.clone(), now_ms });
            }
            Said::Event(Event::Show(shown)) => {
                followed.has_ended |= matches!(shown.show, Show::Finished { .. });
                self.transcribe(agent, *shown);
            }
            Said::Event(Event::Words { role, kind, part, text }) => {
                let thinking = kind == WordsOf::Thinking;
                self.tell(News::Transcript { agent, news: conversation::News::Words { role, thinking, part, text } });
            }
            Said::Event(Event::End { .. }) => followed.has_ended = true,
            Said::Event(Event::Gone { .. } | Event::Unknown(_)) | Said::Answered(..) => {}
            Said::Closed(why) => {
                let (has_ended, was_joined) = (followed.has_ended, followed.is_shown);
                followed.link = None;
                followed.again = Instant::now() + CONNECT_AGAIN;
                if has_ended {
                    return;
                }
                let run = self.roster.get(&agent).map_or(agent.as_str(), |agent| agent.record.name.as_str());
                let why = if was_joined {
                    format!("the connection has ended; to continue a run that has died: ccc resume {run}")
                } else {
                    why
                };
                self.tell(News::TranscriptEnds { agent, why });
            }
        }
    }

    fn transcribe(&mut self, agent: String, shown: Shown) {
        // Nothing rings for the transcript.
        let (show, run_ms) = (Box::new(shown.show), shown.t / 1_000);
        self.tell(News::Transcript { agent, news: conversation::News::Show { show, run_ms, past: true } });
    }

    fn past(&mut self, number: u64, events: Result<Vec<Shown>, String>) {
        let Some(followed) = self.followed.as_ref().filter(|followed| followed.number == number) else { return };
        let agent = followed.agent.clone();
        let cwd = self.roster.get(&agent).and_then(|agent| agent.summary.as_ref()).map(|summary| summary.cwd.clone());
        self.tell(News::TranscriptBegins { agent: agent.clone(), cwd: cwd.unwrap_or_default(), now_ms: None });
        let name = self.roster.get(&agent).filter(|agent| agent.state == State::Died).map(|agent| &agent.record.name);
        let died = name.map(|name| format!("no ccc works on this run any more; to continue it: ccc resume {name}"));
        // The dashboard says what it waits for.
        if self.roster.get(&agent).is_some_and(|agent| agent.state == State::Queued) {
            return;
        }
        match events {
            Ok(events) => {
                events.into_iter().for_each(|shown| self.transcribe(agent.clone(), shown));
                died.into_iter().for_each(|why| self.tell(News::TranscriptEnds { agent: agent.clone(), why }));
            }
            Err(why) => self.tell(News::TranscriptEnds { agent, why }),
        }
    }

    // The terminal.

    fn receive(&mut self, message: Message) {
        match message {
            Message::Link { number, said } => self.link_said(number, said),
            Message::Found(found) => self.found(found),
            Message::Past { number, events } => self.past(number, events),
            Message::Changed(files) => {
                self.overlaps.read(Instant::now(), files);
                self.tell_overlaps();
            }
            Message::Keys(_) if matches!(self.away, Some(Away::Output)) => self.come_back(),
            Message::Keys(bytes) => {
                let typed = self.decoder.take(&bytes);
                self.decoder_due = self.decoder.is_open().then(|| Instant::now() + ESCAPE);
                if !typed.is_empty() {
                    self.is_urgent = true;
                    self.tell(News::Typed(typed));
                }
            }
            Message::KeysClosed => self.is_cut = true,
            Message::Written => self.screen.written(),
            Message::Returned(status) => self.returned(status),
        }
    }

    /// Performs the dashboard's jobs; returns whether the user leaves it.
    fn perform(&mut self) -> bool {
        while let Some(job) = self.dashboard.poll_job() {
            self.is_dirty = true;
            match job {
                Job::Order { number, agent, input } => {
                    let request = request_of(input).ok_or_else(|| "a client cannot ask for this".to_owned());
                    self.send(number, &agent, request);
                }
                Job::Answer { number, agent, show, text } => {
                    let request = (self.setup.answers)(&show, &text);
                    self.send(number, &agent, request);
                }
                Job::Follow(agent) => self.wanted = (agent, Instant::now()),
                Job::HandOver(errand) => self.errand = Some(errand),
                Job::Redraw => self.redraw(),
                Job::Suspend => self.suspends = true,
                Job::Bell => self.bell = true,
                Job::Leave => return true,
            }
        }
        false
    }

    /// Sends a request to the run of an agent.
    fn send(&mut self, number: u64, agent: &str, request: Result<Request, String>) {
        let sent = request.and_then(|request| match self.links.get(agent) {
            Some(link) if link.order(number, request) => Ok(()),
            Some(_) => Err("the run does not answer; wait until it has answered the earlier orders".to_owned()),
            None => Err(format!("the run cannot be reached; to see why: ccc attach {agent}")),
        });
        if let Err(why) = sent {
            self.tell(News::Answered { order: number, answer: Err(why) });
        }
    }

    fn redraw(&mut self) {
        let Ok(()) = self.frames.clear();
        (self.is_dirty, self.is_urgent) = (true, true);
    }

    /// Draws if something has changed and a frame is due.
    fn paint(&mut self) {
        let now = Instant::now();
        let is_settling = self.settles_at.is_some_and(|settles| now < settles);
        let is_early = !self.is_urgent && self.painted_at.is_some_and(|painted| now < painted + FRAME);
        if !self.is_dirty || self.away.is_some() || self.screen.is_busy() || is_settling || is_early {
            return;
        }
        self.settles_at = None;
        let size = size_of(&self.setup.terminal);
        if size != self.size {
            self.size = size;
            self.frames.backend_mut().resize(cells(size));
            self.tell(News::Resized(size));
        }
        let at = self.at();
        let Ok(_) = self.frames.draw(|frame| self.dashboard.draw(frame, at, unix_ms()));
        let mut bytes = self.frames.backend_mut().take();
        if std::mem::take(&mut self.bell) {
            bytes.push(0x07);
        }
        if !bytes.is_empty() {
            self.screen.paint(bytes);
        }
        self.painted_at = Some(now);
        (self.is_dirty, self.is_urgent) = (false, false);
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

    /// Leaves the alternate screen and restores the terminal. On a blocked terminal only the modes are restored.
    async fn give_back(&mut self, inbox: &mut Receiver<Message>) {
        self.written(inbox).await;
        if !self.screen.is_busy() {
            self.screen.last(Vec::new());
            self.written(inbox).await;
        }
        self.screen.restore();
    }

    /// Stops as a job of the shell, and continues afterwards.
    async fn suspend(&mut self, inbox: &mut Receiver<Message>) {
        if !own_job_can_stop() {
            return;
        }
        self.keys.pause();
        self.give_back(inbox).await;
        let _ = stop_own_job();
        self.come_back();
    }

    /// Gives the terminal to a command of ccc.
    async fn hand_over(&mut self, errand: Errand, inbox: &mut Receiver<Message>) {
        let Errand { command, args, waits } = errand;
        if !self.setup.commands.iter().any(|known| known == command) {
            self.remark(format!("this ccc has no command `{command}`"));
            return;
        }
        self.keys.pause();
        self.give_back(inbox).await;
        match Foreground::start([command.to_owned()].into_iter().chain(args)) {
            Ok(child) => {
                self.away = Some(Away::Command { pid: child.pid(), waits });
                let messages = self.messages.clone();
                tokio::task::spawn_blocking(move || {
                    let _ = messages.blocking_send(Message::Returned(child.wait()));
                });
            }
            Err(error) => {
                self.come_back();
                self.remark(format!("ccc {command}: {error}"));
            }
        }
    }

    /// The command that had the terminal has ended.
    fn returned(&mut self, status: io::Result<ExitStatus>) {
        let Some(Away::Command { waits, .. }) = self.away else { return };
        let has_failed = !status.is_ok_and(|status| status.success());
        if self.is_cut || !waits && !has_failed {
            self.come_back();
            return;
        }
        self.away = Some(Away::Output);
        let _ = self.setup.terminal.make_raw();
        let _ = self.setup.terminal.write(PRESS.as_bytes());
        self.keys.to_ccc();
    }

    /// The terminal is the dashboard's again.
    fn come_back(&mut self) {
        if let Some(Away::Output) = self.away.take() {
            let _ = self.setup.terminal.write(b"\r\n");
        }
        let _ = self.screen.enter();
        self.keys.to_ccc();
        self.all_due = true;
        self.redraw();
    }
}
