//! Passes events from a run to its clients. The run appends, the control thread takes; neither waits for the other.
//!
//! The latest events are kept, up to [`KEPT`] and [`KEPT_BYTES`]. A client is only a position in them: one that does not read
//! in time is overtaken, is told so, and can resume from the number of the last event it saw. Parts of a text in progress are
//! kept separately and dropped first. An event is encoded in the control thread, once for all clients, and only if there is a
//! client.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::protocol::{Event, Shown, Welcome, WordsOf, encode_event};
use crate::agent::Role;
use crate::core::{AskId, Budgets, Finish, Show, Tick};
use crate::order::sort_by_key;

/// How many events are kept.
const KEPT: usize = 2_048;
/// How many bytes of texts are kept, approximately.
const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// How many parts of texts are kept.
const KEPT_WORDS: usize = 256;
/// The assumed size of an event without its texts.
const EVENT_BYTES: usize = 500;
/// How many events a client takes at once.
const AT_ONCE: usize = 64;
/// How many bytes a client takes at once; a single event may be longer.
const AT_ONCE_BYTES: usize = 256 * 1024;

/// Used by the run and by its clients; clones share the state.
#[derive(Debug, Clone)]
pub struct Hub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wants_words: AtomicBool,
    /// Entries before this position may be taken.
    moved: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Arc<Entry>>,
    words: VecDeque<Arc<Entry>>,
    bytes: usize,
    /// The position of the next entry.
    next: u64,
    /// Entries before this position are recorded, and may be taken.
    released: u64,
    /// Events before this position were dropped.
    gone: u64,
    /// The journal number of the latest fact with something to show.
    n: u64,
    t: u64,
    standing: RunState,
    /// The bounds in force.
    bounds: Option<Budgets>,
    followers: u32,
    word_followers: u32,
    /// The run is over, with this outcome.
    over: Option<Option<Box<Finish>>>,
}

/// The current state of the run.
#[derive(Debug, Default)]
struct RunState {
    phase: String,
    iteration: u32,
    /// The latest event of each kind whose events replace each other.
    latest: Vec<(&'static str, Arc<Entry>)>,
    /// The open requests of the agent.
    open: Vec<(AskId, Arc<Entry>)>,
}

#[derive(Debug)]
struct Entry {
    place: u64,
    event: Event,
    bytes: usize,
    line: OnceLock<Vec<u8>>,
}

impl Entry {
    fn line(&self) -> &[u8] {
        self.line.get_or_init(|| encode_event(&self.event))
    }

    fn shown(&self) -> Option<&Shown> {
        if let Event::Show(shown) = &self.event { Some(shown) } else { None }
    }

    /// The journal number of the fact that it belongs to.
    fn n(&self) -> u64 {
        self.shown().map_or(0, |shown| shown.n)
    }
}

/// What an event means for clients that join later.
enum Keeping {
    /// It replaces earlier events of this name.
    Latest(&'static str),
    /// The agent has made a request, which stays open until it is settled.
    Opens(AskId),
    /// The request is settled.
    Settles(AskId),
    /// Nothing: the event is over.
    Passing,
}

/// How an event is kept, and the size of its texts.
fn weighed(show: &Show) -> (Keeping, usize) {
    use Keeping::{Latest, Opens, Passing, Settles};
    match show {
        Show::Phase { detail, .. } => (Latest("phase"), detail.len()),
        Show::Session { .. } => (Latest("session"), 0),
        Show::PermissionMode { .. } => (Latest("permission_mode"), 0),
        Show::Retrying { .. } => (Passing, 0),
        Show::Turn { text, .. } | Show::Text { text, .. } | Show::Verdict { text, .. } => (Passing, text.len()),
        Show::Tool { target, edit, .. } => {
            let edit = edit.as_ref().map_or(0, |edit| edit.old.len() + edit.new.len());
            (Passing, target.len() + edit)
        }
        Show::ToolEnded { error, output, hunks, .. } => {
            let output = output.as_ref().map_or(0, |output| output.head.len() + output.tail.len());
            let changed: usize = hunks.iter().flat_map(|hunk| &hunk.lines).map(String::len).sum();
            (Passing, error.len() + output + changed)
        }
        Show::Denied { target, .. } => (Passing, target.len()),
        Show::Check { command, summary, tail, .. } => (Passing, command.len() + summary.len() + tail.len()),
        Show::Cost { .. } => (Latest("cost"), 0),
        Show::Context { .. } => (Latest("context"), 0),
        Show::Notice { text } | Show::Information { text } => (Passing, text.len()),
        Show::Awaited { what, .. } => (Latest("awaited"), what.len()),
        Show::Rotation { why, .. } => (Latest("rotation"), why.len()),
        Show::Spent { .. } => (Latest("spent"), 0),
        Show::Question { .. } => (Latest("question"), 0),
        Show::Thinking { text, .. } => (Passing, text.len()),
        Show::Asked { ask } => {
            (Opens(ask.id), ask.input.len() + ask.said.len() + ask.plan.as_ref().map_or(0, String::len))
        }
        Show::Settled { ask, words, .. } => (Settles(*ask), words.len()),
        Show::Queue { turns } => (Latest("queue"), turns.iter().map(|turn| turn.text.len()).sum()),
        Show::Todo { items } => (Latest("todo"), items.iter().map(|item| item.text.len()).sum()),
        Show::Offers { offers } => {
            (Latest("offers"), offers.commands.iter().map(|command| command.description.len()).sum())
        }
        Show::Attended { .. } => (Latest("attended"), 0),
        Show::Rests { reason, .. } => (Latest("rests"), reason.len()),
        Show::Windows { .. } => (Latest("windows"), 0),
        Show::Finished { reason, .. } => (Passing, reason.len()),
    }
}

impl Hub {
    /// For a run whose journal has `n` entries already.
    #[must_use]
    pub fn new(n: u64) -> Hub {
        let state = State { n, ..State::default() };
        Hub(Arc::new(Shared {
            state: Mutex::new(state),
            wants_words: AtomicBool::new(false),
            moved: watch::Sender::new(0),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a client wants texts in progress.
    #[must_use]
    pub fn wants_words(&self) -> bool {
        self.0.wants_words.load(Ordering::Relaxed)
    }

    /// Appends something shown: item `i` of the journal's fact `n`. Clients get it with the next [`Hub::release`].
    pub fn show(&self, n: u64, i: Option<u32>, tick: Tick, unix_ms: i64, show: Show) {
        let (keeping, weight) = weighed(&show);
        let phase =
            if let Show::Phase { phase, iteration, .. } = &show { Some((phase.clone(), *iteration)) } else { None };
        let event = Event::Show(Box::new(Shown { n, i, t: tick.0, at: unix_ms, show }));
        let mut state = self.state();
        let entry = state.entry(event, EVENT_BYTES + weight);
        (state.n, state.t) = (n, tick.0);
        if let Some((phase, iteration)) = phase {
            (state.standing.phase, state.standing.iteration) = (phase, iteration);
        }
        state.standing.keep(keeping, &entry);
        state.bytes += entry.bytes;
        state.events.push_back(entry);
        while state.events.len() > KEPT || (state.bytes > KEPT_BYTES && state.events.len() > 1) {
            let Some(oldest) = state.events.pop_front() else { break };
            state.bytes -= oldest.bytes;
            state.gone = oldest.place + 1;
        }
    }

    /// No question is open any more.
    pub fn nothing_is_asked(&self) {
        self.state().standing.latest.retain(|(name, _)| *name != "question");
    }

    /// Appends the part of this number of a text in progress.
    pub fn words(&self, role: Role, kind: WordsOf, part: u64, text: String) {
        if !self.wants_words() {
            return;
        }
        let mut state = self.state();
        let entry = state.entry(Event::Words { role, kind, part: Some(part), text }, 0);
        state.words.push_back(entry);
        if state.words.len() > KEPT_WORDS {
            state.words.pop_front();
        }
    }

    /// Everything appended so far is recorded, and may be sent.
    pub fn release(&self) {
        let mut state = self.state();
        let news = state.released != state.next;
        state.released = state.next;
        if news && state.followers > 0 {
            self.0.moved.send_replace(state.released);
        }
    }

    /// The run is over.
    pub fn end(&self, finish: Option<Finish>) {
        let mut state = self.state();
        state.over = Some(finish.map(Box::new));
        state.released = state.next;
        self.0.moved.send_replace(u64::MAX);
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state().over.is_some()
    }

    /// Sets the bounds in force.
    pub fn is_bounded_by(&self, budgets: &Budgets) {
        self.state().bounds = Some(budgets.clone());
    }

    /// Adds the current state of the run.
    pub(super) fn welcome(&self, base: Welcome) -> Welcome {
        let state = self.state();
        let latest = state.standing.latest.iter().map(|(_, entry)| entry);
        let standing: Vec<Arc<Entry>> =
            latest.chain(state.standing.open.iter().map(|(_, entry)| entry)).cloned().collect();
        let (phase, iteration) = (state.standing.phase.clone(), state.standing.iteration);
        let (n, t, bounds) = (state.n, state.t, state.bounds.clone());
        drop(state);
        let shows = standing.iter().filter_map(|entry| entry.shown());
        let standing: Vec<Value> = shows.filter_map(|shown| serde_json::to_value(&shown.show).ok()).collect();
        Welcome { n, t, phase, iteration, standing, bounds, ..base }
    }

    /// Follows the run: first the latest `tail` events that are kept, or those of facts after `since`, or none; then all new
    /// ones. Also returns the first fact whose events are all included.
    pub(super) fn follow(&self, tail: Option<u64>, since: Option<u64>, words: bool) -> (Follower, u64) {
        let mut state = self.state();
        let begin = match (tail, since) {
            (_, Some(since)) => state.events.partition_point(|entry| entry.n() <= since),
            (Some(tail), None) => state.events.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX)),
            (None, None) => state.events.len(),
        };
        // The events of a fact are sent completely or not at all.
        let begin = (begin..state.events.len()).find(|at| state.is_whole_from(*at));
        let first = begin.and_then(|begin| state.events.get(begin));
        let (place, from) = first.map_or((state.next, state.n + 1), |entry| (entry.place, entry.n()));
        state.followers += 1;
        state.word_followers += u32::from(words);
        self.0.wants_words.store(state.word_followers > 0, Ordering::Relaxed);
        drop(state);
        let follower = Follower { hub: self.clone(), place, words, moved: self.0.moved.subscribe(), told_end: false };
        (follower, from)
    }
}

impl RunState {
    fn keep(&mut self, keeping: Keeping, entry: &Arc<Entry>) {
        match keeping {
            Keeping::Latest(name) => {
                self.latest.retain(|(kept, _)| *kept != name);
                self.latest.push((name, Arc::clone(entry)));
            }
            Keeping::Opens(ask) => {
                self.open.retain(|(open, _)| *open != ask);
                self.open.push((ask, Arc::clone(entry)));
            }
            Keeping::Settles(ask) => self.open.retain(|(open, _)| *open != ask),
            Keeping::Passing => {}
        }
        // A run in a new phase is not resting any more, and its wait is over.
        if let Some(Shown { show: Show::Phase { phase, .. }, .. }) = entry.shown() {
            self.latest.retain(|(name, _)| *name != "awaited" && (*name != "rests" || phase == "resting"));
        }
    }
}

impl State {
    fn entry(&mut self, event: Event, bytes: usize) -> Arc<Entry> {
        let place = self.next;
        self.next += 1;
        Arc::new(Entry { place, event, bytes, line: OnceLock::new() })
    }

    /// Whether the fact of this event is complete from here on.
    fn is_whole_from(&self, at: usize) -> bool {
        let Some(entry) = self.events.get(at) else { return false };
        match at.checked_sub(1).and_then(|before| self.events.get(before)) {
            Some(before) => before.n() != entry.n(),
            None => self.gone == 0 || entry.shown().is_some_and(|shown| shown.i == Some(0)),
        }
    }
}

/// A client's position in the events.
#[derive(Debug)]
pub(super) struct Follower {
    hub: Hub,
    place: u64,
    words: bool,
    moved: watch::Receiver<u64>,
    told_end: bool,
}

/// What a client gets next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ForClient {
    /// Complete lines.
    Lines(Vec<u8>),
    /// Nothing for now.
    Nothing,
    /// The run is over, and everything was sent.
    Over,
    /// Events that it should have got were dropped.
    Overtaken,
}

impl Follower {
    /// Waits until there may be something to take.
    pub(super) async fn moved(&mut self) {
        // The hub exists as long as its follower.
        let _ = self.moved.changed().await;
    }

    /// Takes what is available, a limited amount at a time.
    pub(super) fn take(&mut self) -> ForClient {
        // Mark as seen before looking, so that anything later wakes again.
        self.moved.borrow_and_update();
        let state = self.hub.state();
        if self.place < state.gone {
            return ForClient::Overtaken;
        }
        let from = |entries: &VecDeque<Arc<Entry>>| {
            let begin = entries.partition_point(|entry| entry.place < self.place);
            let released = entries.iter().skip(begin).take_while(|entry| entry.place < state.released);
            released.take(AT_ONCE).cloned().collect::<Vec<_>>()
        };
        let mut taken = from(&state.events);
        if self.words {
            taken.extend(from(&state.words));
            sort_by_key(&mut taken, |entry| entry.place);
            taken.truncate(AT_ONCE);
        }
        let over = state.over.clone();
        drop(state);
        let mut bytes = Vec::new();
        for entry in taken {
            if bytes.len() > AT_ONCE_BYTES {
                break;
            }
            self.place = entry.place + 1;
            bytes.extend_from_slice(entry.line());
        }
        match over {
            _ if !bytes.is_empty() => ForClient::Lines(bytes),
            Some(_) if self.told_end => ForClient::Over,
            Some(finish) => {
                self.told_end = true;
                ForClient::Lines(encode_event(&Event::End { finish }))
            }
            None => ForClient::Nothing,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.hub.state();
        state.followers -= 1;
        state.word_followers -= u32::from(self.words);
        self.hub.0.wants_words.store(state.word_followers > 0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Asked;
    use crate::control::protocol::{FromRun, decode};
    use crate::core::SettledHow;

    fn notice(text: &str) -> Show {
        Show::Notice { text: text.to_owned() }
    }

    fn put(hub: &Hub, n: u64, i: u32, text: &str) {
        hub.show(n, Some(i), Tick(n), 0, notice(text));
    }

    /// Everything that a client gets now.
    fn all(follower: &mut Follower) -> (Vec<String>, ForClient) {
        let mut told = Vec::new();
        loop {
            let taken = follower.take();
            let ForClient::Lines(bytes) = taken else { return (told, taken) };
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                let Ok(FromRun::Event(event)) = decode(line) else { panic!("no event: {line:?}") };
                told.push(match event {
                    Event::Show(shown) => {
                        let Show::Notice { text } = shown.show else { panic!("{shown:?}") };
                        text
                    }
                    Event::Words { text, .. } => format!("“{text}"),
                    Event::End { .. } => "end".to_owned(),
                    Event::Gone { .. } | Event::Unknown(_) => panic!("{event:?}"),
                });
            }
        }
    }

    #[test]
    fn a_client_gets_whole_facts_from_where_it_asks_and_what_is_recorded_only() {
        let hub = Hub::new(7);
        let (mut before, from) = hub.follow(Some(9), None, false);
        assert_eq!(from, 8);
        for (n, i, text) in [(8, 0, "a"), (8, 1, "b"), (9, 0, "c"), (11, 0, "d"), (11, 1, "e")] {
            put(&hub, n, i, text);
        }
        assert_eq!(all(&mut before), (vec![], ForClient::Nothing), "nothing is recorded yet");
        hub.release();
        put(&hub, 12, 0, "f");
        assert_eq!(all(&mut before).0, ["a", "b", "c", "d", "e"]);
        // `tail`, `since`, the first complete fact, and the events that come.
        for (tail, since, from, told) in [
            (None, None, 13, vec![]),
            (Some(0), None, 13, vec![]),
            (Some(2), None, 12, vec!["f"]),
            (Some(3), None, 11, vec!["d", "e", "f"]),
            (Some(99), None, 8, vec!["a", "b", "c", "d", "e", "f"]),
            (None, Some(8), 9, vec!["c", "d", "e", "f"]),
            (None, Some(10), 11, vec!["d", "e", "f"]),
            (None, Some(99), 13, vec![]),
        ] {
            hub.release();
            let (mut follower, first) = hub.follow(tail, since, false);
            assert_eq!(
                (first, all(&mut follower).0),
                (from, told.iter().map(|s| (*s).to_owned()).collect()),
                "{tail:?} {since:?}"
            );
        }
    }

    #[test]
    fn one_that_does_not_read_is_overtaken_and_memory_stays_bounded() {
        let hub = Hub::new(0);
        let (mut slow, _) = hub.follow(None, None, false);
        let text = "x".repeat(1024);
        for n in 1..=3 * KEPT as u64 {
            put(&hub, n, 0, &text);
        }
        hub.release();
        assert_eq!(slow.take(), ForClient::Overtaken);
        let state = hub.state();
        assert!(state.bytes <= KEPT_BYTES && state.events.len() <= KEPT, "{} bytes", state.bytes);
        drop(state);
        // A single event larger than the limit is sent nevertheless.
        let (mut follower, _) = hub.follow(None, None, false);
        put(&hub, 99_999, 0, &"y".repeat(KEPT_BYTES));
        hub.release();
        assert_eq!(all(&mut follower).0.len(), 1);
        // The first events of the fact were dropped, so none of it is sent.
        let hub = Hub::new(0);
        put(&hub, 1, 0, "");
        for i in 0..KEPT as u32 {
            put(&hub, 2, i, "");
        }
        put(&hub, 2, KEPT as u32, "");
        put(&hub, 3, 0, "");
        assert_eq!(hub.follow(Some(u64::MAX), None, false).1, 3);
    }

    #[test]
    fn words_come_in_their_place_to_who_wants_them_and_are_the_first_to_go() {
        let hub = Hub::new(0);
        hub.words(Role::Agent, WordsOf::Text, 0, "nobody ".to_owned());
        assert!(!hub.wants_words());
        let (mut with, _) = hub.follow(None, None, true);
        let (mut without, _) = hub.follow(None, None, false);
        assert!(hub.wants_words());
        put(&hub, 1, 0, "before");
        hub.words(Role::Agent, WordsOf::Text, 0, "I ".to_owned());
        put(&hub, 2, 0, "after");
        hub.release();
        assert_eq!(all(&mut with).0, ["before", "“I ", "after"]);
        assert_eq!(all(&mut without).0, ["before", "after"]);
        for _ in 0..2 * KEPT_WORDS {
            hub.words(Role::Agent, WordsOf::Text, 1, "so ".to_owned());
        }
        put(&hub, 3, 0, "last");
        hub.release();
        let (told, rest) = all(&mut with);
        assert_eq!(
            (told.len(), told.last().map(String::as_str), rest),
            (KEPT_WORDS + 1, Some("last"), ForClient::Nothing)
        );
        drop(with);
        assert!(!hub.wants_words());
    }

    #[test]
    fn the_end_is_told_once_after_all_that_came_before() {
        let hub = Hub::new(0);
        let (mut follower, _) = hub.follow(None, None, false);
        put(&hub, 1, 0, "last words");
        hub.end(None);
        assert_eq!(all(&mut follower), (vec!["last words".to_owned(), "end".to_owned()], ForClient::Over));
        assert!(hub.is_over());
    }

    #[test]
    fn a_welcome_tells_the_latest_of_what_replaces_each_other() {
        let hub = Hub::new(0);
        let phase = |phase: &str, iteration| Show::Phase {
            phase: phase.to_owned(),
            detail: String::new(),
            iteration,
            goes_on_in_ms: None,
        };
        hub.show(1, Some(0), Tick(1), 0, phase("working", 0));
        hub.show(2, Some(0), Tick(2), 0, Show::Cost { usd: Some(1.5) });
        hub.show(3, Some(0), Tick(3), 0, notice("passing"));
        let ask = |id| Show::Asked { ask: Box::new(Asked { id: AskId(id), ..Asked::default() }) };
        hub.show(3, Some(1), Tick(3), 0, ask(1));
        hub.show(3, Some(2), Tick(3), 0, ask(2));
        let settled = Show::Settled { ask: AskId(1), how: SettledHow::Allowed, words: String::new() };
        hub.show(3, Some(3), Tick(3), 0, settled);
        hub.show(4, Some(0), Tick(4), 0, phase("checking", 2));
        let base = Welcome {
            n: 0,
            phase: String::new(),
            iteration: 0,
            cwd: String::new(),
            journal: String::new(),
            started_unix_ms: 0,
            t: 0,
            caps: Vec::new(),
            attending: 0,
            standing: Vec::new(),
            bounds: None,
        };
        assert_eq!(hub.welcome(base.clone()).bounds, None);
        hub.is_bounded_by(&Budgets { max_iterations: 50, ..Budgets::DEFAULT });
        let welcome = hub.welcome(base);
        assert_eq!(welcome.bounds.as_ref().map(|bounds| bounds.max_iterations), Some(50));
        assert_eq!((welcome.n, welcome.t, welcome.phase.as_str(), welcome.iteration), (4, 4, "checking", 2));
        assert_eq!(
            welcome.standing().collect::<Vec<_>>(),
            [Show::Cost { usd: Some(1.5) }, phase("checking", 2), ask(2)]
        );
    }
}
