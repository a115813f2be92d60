//! Gives the news of one run to the entries of the configuration, without holding it up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::tz::TimeZone;
use redaction::Redactor;

use super::backoff::pause;
use super::courier::{Courier, Failure};
use super::follower::{Follower, Standing};
use super::message::{Message, Subject};
use super::outbox::{Item, Outbox};
use super::terminal::Terminal;
use crate::config::{NotifyEntry, NotifyWay};
use crate::core::Show;
use crate::files::TimedLock;
use crate::ui::format;

/// How long the end of a run waits for its messages. What is not sent then is left to another process.
pub const END_WAIT: Duration = Duration::from_secs(3);
/// How long it waits for the commands that it has killed.
const KILLED_WAIT: Duration = Duration::from_secs(1);
/// How many messages wait for the thread that keeps them; more come only while the disk hangs.
const QUEUE_LIMIT: usize = 256;
/// How long a process that delivers what a run has left works, with the pauses between its tries. What is left then stays for the
/// next process.
const DELIVERY_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How many processes, or later events of the run, try a message again after it has failed as often as one of them tries.
const ROUNDS: u32 = 3;
/// How long a process that delivers what a run has left waits for another that does the same.
const CLAIM_WAIT: Duration = Duration::from_secs(60);

/// What a notifier needs besides the run.
#[derive(Debug)]
pub struct Setting {
    /// The entries.
    pub entries: Vec<NotifyEntry>,
    /// Delivers.
    pub courier: Courier,
    /// What the run has of a terminal.
    pub at: At,
    /// The user's time zone.
    pub zone: TimeZone,
}

/// What a run has of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The one that its ccc writes to.
    Terminal(Terminal),
    /// One that belongs to the agent's own interface.
    Interface,
    /// None; terminals may attach to it.
    Background,
}

/// Whether messages of the run are left that a ccc which was killed has not sent.
#[must_use]
pub fn has_left(run_dir: &Path) -> bool {
    Outbox::of(run_dir).holds_any()
}

/// Tells what one run comes to.
#[derive(Debug)]
pub struct Notifier {
    setting: Setting,
    subject: Subject,
    follower: Follower,
    /// How many clients attend the run.
    attended: u32,
    /// What the run's journal lacks, for the news of the end.
    journal_lacks: Option<String>,
    /// To the thread that keeps messages; `None` until there is one.
    to_keep: Option<SyncSender<Item>>,
    outbox: Outbox,
    post: Arc<Post>,
}

/// What was not told at the end of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// The names of entries whose messages were given up, each with the reason.
    pub given_up: Vec<(String, String)>,
    /// Something is left in the outbox.
    pub unsent: bool,
}

/// What the threads share.
#[derive(Debug, Default)]
struct Post {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Items that are neither delivered nor given up.
    open: usize,
    /// Nothing more is tried.
    stops: bool,
    given_up: BTreeMap<String, String>,
}

impl Post {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) {
        let mut state = self.state();
        state.open = state.open.saturating_sub(1);
        self.changed.notify_all();
    }

    /// Waits until all is told, for this long at most. True if it is.
    fn wait_for_all(&self, limit: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), limit, |state| state.open > 0);
        waited.is_ok_and(|(state, _)| state.open == 0)
    }

    /// Waits between two tries. False if nothing more is to be tried.
    fn rest(&self, pause: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), pause, |state| !state.stops);
        waited.is_ok_and(|(state, _)| !state.stops)
    }

    fn stop(&self) {
        self.state().stops = true;
        self.changed.notify_all();
    }

    /// Delivers an item, however often it must be tried; it stays in the outbox if that is to stop.
    fn deliver(&self, item: &mut Item, entry: &NotifyEntry, courier: &Courier, outbox: &Outbox) {
        loop {
            if self.state().stops {
                return;
            }
            let Err(Failure { why, again, after }) = courier.attempt(entry, &item.message) else {
                outbox.remove(item);
                return;
            };
            // What was killed at the end of the run has not failed.
            if self.state().stops {
                return;
            }
            item.tries = item.tries.saturating_add(1);
            tracing::debug!(entry = entry.name, tries = item.tries, why, "a message was not delivered");
            let Some(pause) = pause(item.tries, after).filter(|_| again) else {
                item.rounds = item.rounds.saturating_add(1);
                if again && item.rounds < ROUNDS {
                    // The receiver may answer later: the next event tries it again, or the next process.
                    item.tries = 0;
                    let _ = outbox.keep(item);
                    return;
                }
                outbox.remove(item);
                self.state().given_up.insert(entry.name.clone(), why);
                return;
            };
            let _ = outbox.keep(item);
            if !self.rest(pause) {
                return;
            }
        }
    }
}

impl Notifier {
    /// The notifier of the run with this directory; `None` if there is no entry. `follower` has read the journal of a resumed
    /// run. What an earlier ccc of the run could not send is sent now.
    #[must_use]
    pub fn new(
        setting: Setting,
        subject: Subject,
        follower: Follower,
        run_dir: &Path,
        now_unix_ms: i64,
    ) -> Option<Notifier> {
        if setting.entries.is_empty() {
            return None;
        }
        let outbox = Outbox::of(run_dir);
        let mut notifier = Notifier {
            setting,
            subject,
            follower,
            attended: 0,
            journal_lacks: None,
            to_keep: None,
            outbox,
            post: Arc::new(Post::default()),
        };
        if notifier.outbox.holds_for(&notifier.setting.entries) {
            notifier.start(now_unix_ms);
        }
        Some(notifier)
    }

    /// Sets what the run's journal lacks, in words, which the news of its end says too.
    pub fn journal_lacks(&mut self, missing: Option<String>) {
        self.journal_lacks = missing;
    }

    /// Follows what the run shows. Returns what the terminal is to get, without moving its cursor.
    pub fn follow(&mut self, show: &Show, now_unix_ms: i64, redactor: &Redactor) -> Option<String> {
        if let Show::Attended { clients } = show {
            self.attended = *clients;
        }
        let mut news = self.follower.follow(show)?;
        // Not a part of what the news is told apart by.
        let denied = format::denied(self.follower.denied()).filter(|_| !news.text.contains("denied"));
        if let (Standing::Ended | Standing::Rests, Some(denied)) = (news.standing, denied) {
            news.text = format!("{}; {denied}", news.text);
        }
        if let (Standing::Ended, Some(missing)) = (news.standing, &self.journal_lacks) {
            news.text = format!("{}; {missing}", news.text);
        }
        let message = Message::of(&news, &self.subject, now_unix_ms, &self.setting.zone, redactor);
        let entries = &self.setting.entries;
        let (bytes, has_terminal) = match self.setting.at {
            At::Terminal(terminal) => (terminal.rung(entries, &news, &message), true),
            At::Interface => (String::new(), false),
            // The terminals that are attached ring themselves.
            At::Background => (String::new(), self.attended > 0),
        };
        let is_sent = |entry: &&NotifyEntry| match entry.way {
            NotifyWay::Bell => false,
            NotifyWay::Desktop => !has_terminal,
            NotifyWay::Command(_) | NotifyWay::Webhook { .. } => true,
        };
        let told = entries.iter().filter(|entry| entry.events.contains(&news.event));
        let to_send: Vec<Item> = told.filter(is_sent).map(|entry| Item::new(&entry.name, message.clone())).collect();
        for item in to_send {
            self.send(item, now_unix_ms);
        }
        (!bytes.is_empty()).then_some(bytes)
    }

    fn send(&mut self, item: Item, now_unix_ms: i64) {
        if self.to_keep.is_none() {
            self.start(now_unix_ms);
        }
        let Some(to_keep) = &self.to_keep else { return };
        self.post.state().open += 1;
        if let Err(TrySendError::Full(item) | TrySendError::Disconnected(item)) = to_keep.try_send(item) {
            self.post.state().given_up.insert(item.entry, "too many messages wait to be kept".to_owned());
            self.post.closed();
        }
    }

    /// Starts the thread that keeps messages and gives them to the threads of the entries.
    fn start(&mut self, now_unix_ms: i64) {
        let (to_keep, kept) = sync_channel(QUEUE_LIMIT);
        let clerk = Clerk {
            entries: self.setting.entries.clone(),
            courier: self.setting.courier.clone(),
            outbox: self.outbox.clone(),
            post: Arc::clone(&self.post),
            lanes: BTreeMap::new(),
        };
        // It counts as open until it has looked for what is left.
        self.post.state().open += 1;
        let begun = thread::Builder::new().name("notify".to_owned()).spawn(move || clerk.work(&kept, now_unix_ms));
        match begun {
            Ok(_) => self.to_keep = Some(to_keep),
            Err(error) => {
                tracing::warn!(%error, "messages cannot be sent");
                self.post.closed();
            }
        }
    }

    /// Waits for what is still to be sent, within limits, and says what is not.
    #[must_use]
    pub fn finish(mut self) -> Left {
        self.to_keep = None;
        if !self.post.wait_for_all(END_WAIT) {
            self.post.stop();
            self.setting.courier.give_up();
            self.post.wait_for_all(KILLED_WAIT);
        }
        let given_up = self.post.state().given_up.clone().into_iter().collect();
        Left { given_up, unsent: self.outbox.holds_for(&self.setting.entries) }
    }
}

/// Keeps messages in the outbox, and starts a thread for each entry that has one.
struct Clerk {
    entries: Vec<NotifyEntry>,
    courier: Courier,
    outbox: Outbox,
    post: Arc<Post>,
    lanes: BTreeMap<String, Sender<Item>>,
}

impl Clerk {
    fn work(mut self, kept: &Receiver<Item>, now_unix_ms: i64) {
        for entry in self.entries.clone() {
            self.take_up(&entry, now_unix_ms);
        }
        self.post.closed();
        while let Ok(item) = kept.recv() {
            if let Err(error) = self.outbox.keep(&item) {
                // It is sent all the same.
                tracing::warn!(%error, "a message cannot be kept until it is sent");
            }
            self.pass(item);
        }
    }

    /// Sends what an earlier process has left for this entry, unless another is sending it.
    fn take_up(&mut self, entry: &NotifyEntry, now_unix_ms: i64) {
        let Some(claim) = self.outbox.claim(&entry.name, Duration::ZERO) else { return };
        let left = self.outbox.left_for(&entry.name, now_unix_ms);
        if left.is_empty() {
            return;
        }
        self.lanes.insert(entry.name.clone(), self.lane(entry, Some(claim)));
        for item in left {
            self.post.state().open += 1;
            self.pass(item);
        }
    }

    fn pass(&mut self, item: Item) {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == item.entry) else {
            self.post.closed();
            return;
        };
        if !self.lanes.contains_key(&item.entry) {
            self.lanes.insert(item.entry.clone(), self.lane(entry, None));
        }
        if self.lanes.get(&item.entry).is_none_or(|lane| lane.send(item).is_err()) {
            self.post.closed();
        }
    }

    /// Starts the thread of an entry: a receiver that hangs delays no other.
    fn lane(&self, entry: &NotifyEntry, claim: Option<TimedLock>) -> Sender<Item> {
        let (sender, items) = channel();
        let (entry, courier) = (entry.clone(), self.courier.clone());
        let (outbox, post) = (self.outbox.clone(), Arc::clone(&self.post));
        let body = move || lane(&items, &entry, &courier, &outbox, &post, claim);
        if let Err(error) = thread::Builder::new().name("notify entry".to_owned()).spawn(body) {
            tracing::warn!(%error, "messages of an entry cannot be sent");
        }
        sender
    }
}

/// The thread of one entry.
fn lane(
    items: &Receiver<Item>,
    entry: &NotifyEntry,
    courier: &Courier,
    outbox: &Outbox,
    post: &Post,
    claim: Option<TimedLock>,
) {
    // While this process sends, no other that is started for the same run does.
    let _claim = claim.or_else(|| outbox.claim(&entry.name, Duration::ZERO));
    while let Ok(mut item) = items.recv() {
        post.deliver(&mut item, entry, courier, outbox);
        // The receiver answers again: what it did not take before is sent, too.
        if !outbox.holds(&item) {
            for mut before in outbox.left_for(&entry.name, item.message.at_unix_ms) {
                if before.rounds > 0 {
                    post.deliver(&mut before, entry, courier, outbox);
                }
            }
        }
        post.closed();
    }
}

/// Sends what a run has left in its outbox, and returns what was given up. Blocks for five minutes at most if receivers do not
/// answer; what is not sent then is left.
#[must_use]
pub fn deliver(run_dir: &Path, entries: &[NotifyEntry], courier: &Courier, now_unix_ms: i64) -> Vec<(String, String)> {
    deliver_within(DELIVERY_LIMIT, run_dir, entries, courier, now_unix_ms)
}

fn deliver_within(
    limit: Duration,
    run_dir: &Path,
    entries: &[NotifyEntry],
    courier: &Courier,
    now_unix_ms: i64,
) -> Vec<(String, String)> {
    let outbox = Outbox::of(run_dir);
    let post = Arc::new(Post::default());
    for entry in entries {
        let (outbox, of_thread, entry, courier) = (outbox.clone(), Arc::clone(&post), entry.clone(), courier.clone());
        post.state().open += 1;
        let send = move || {
            if let Some(_claim) = outbox.claim(&entry.name, CLAIM_WAIT.min(limit)) {
                for mut item in outbox.left_for(&entry.name, now_unix_ms) {
                    of_thread.deliver(&mut item, &entry, &courier, &outbox);
                }
            }
            of_thread.closed();
        };
        if thread::Builder::new().name("notify entry".to_owned()).spawn(send).is_err() {
            post.closed();
        }
    }
    if !post.wait_for_all(limit) {
        post.stop();
        courier.give_up();
        // A request that hangs ends with the process.
        post.wait_for_all(KILLED_WAIT);
    }
    let given_up = post.state().given_up.clone();
    given_up.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Env, Notify};
    use crate::core::Outcome;
    use crate::tokens::answering_server;

    fn entries(json: &serde_json::Value) -> Vec<NotifyEntry> {
        serde_json::from_value::<Notify>(json.clone()).expect("entries").entries().to_vec()
    }

    fn courier(home: &Path) -> Courier {
        Courier::new(&Env::from_pairs([("PATH", "/usr/bin:/bin")]), home, Redactor::new()).expect("descriptors")
    }

    fn notifier(entries: Vec<NotifyEntry>, dir: &Path, terminal: Option<Terminal>) -> Option<Notifier> {
        let at = terminal.map_or(At::Background, At::Terminal);
        let setting = Setting { entries, courier: courier(dir), at, zone: TimeZone::UTC };
        let subject = Subject { run: "r1".to_owned(), name: None, cwd: "/w".to_owned() };
        Notifier::new(setting, subject, Follower::default(), dir, 1_000)
    }

    fn completed(reason: &str) -> Show {
        Show::Finished { outcome: Outcome::Completed, reason: reason.to_owned() }
    }

    fn appends(dir: &Path, name: &str) -> (serde_json::Value, PathBuf) {
        let file = dir.join(name);
        let command = format!("cat >> {}", file.display());
        (serde_json::json!({"name": name, "command": command}), file)
    }

    fn told(file: &Path) -> Vec<Message> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("a message")).collect()
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn without_an_entry_there_is_no_notifier_and_no_thread() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(notifier(Vec::new(), dir.path(), None).is_none());
    }

    #[test]
    fn each_entry_is_told_of_its_events_once_and_nothing_is_left() {
        let dir = tempfile::tempdir().expect("a directory");
        let ((mut all, all_file), (mut some, some_file)) = (appends(dir.path(), "all"), appends(dir.path(), "some"));
        all["events"] = serde_json::json!(["completed", "failed"]);
        some["events"] = serde_json::json!(["failed"]);
        let bell = serde_json::json!({"bell": true});
        let terminal = Terminal::of(&Env::default());
        let entries = entries(&serde_json::json!([all, some, bell]));
        let mut notifier = notifier(entries, dir.path(), Some(terminal)).expect("a notifier");
        let redactor = Redactor::with_values(["made-up-secret-value"]);
        let end = completed("made-up-secret-value is there");
        assert_eq!(notifier.follow(&end, 2_000, &redactor).as_deref(), Some("\x07"));
        assert_eq!(notifier.follow(&end, 3_000, &redactor), None, "it was told");
        assert_eq!(notifier.finish(), Left::default());
        let messages = told(&all_file);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(!messages[0].text.contains("made-up") && messages[0].at_unix_ms == 2_000, "{messages:?}");
        assert_eq!(told(&some_file), []);
    }

    #[test]
    fn the_news_of_the_end_says_what_the_journal_lacks() {
        let dir = tempfile::tempdir().expect("a directory");
        let (all, file) = appends(dir.path(), "all");
        let mut notifier = notifier(entries(&serde_json::json!([all])), dir.path(), None).expect("a notifier");
        notifier.journal_lacks(Some("the journal lacks its last entries".to_owned()));
        assert_eq!(notifier.follow(&completed("the critic agrees"), 2_000, &Redactor::new()), None);
        assert_eq!(notifier.finish(), Left::default());
        assert_eq!(told(&file)[0].text, "the critic agrees; the journal lacks its last entries");
    }

    #[test]
    fn a_run_in_the_background_asks_the_desktop_while_no_terminal_is_attached() {
        let dir = tempfile::tempdir().expect("a directory");
        let (program, shown) = (dir.path().join("notify-send"), dir.path().join("shown"));
        std::fs::write(&program, format!("#!/bin/sh\necho \"$*\" >> {}\n", shown.display())).expect("write");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let env = Env::from_pairs([("PATH", dir.path().as_os_str())]);
        let told = |at: At, clients: u32, number: u32| {
            let courier = Courier::new(&env, dir.path(), Redactor::new()).expect("descriptors");
            let entries = entries(&serde_json::json!([{"desktop": true}]));
            let setting = Setting { entries, courier, at, zone: TimeZone::UTC };
            let subject = Subject { run: format!("r{number}"), name: None, cwd: "/w".to_owned() };
            let mut notifier = Notifier::new(setting, subject, Follower::default(), dir.path(), 0).expect("a notifier");
            assert_eq!(notifier.follow(&Show::Attended { clients }, 0, &Redactor::new()), None);
            assert_eq!(notifier.follow(&completed("<so>"), 0, &Redactor::new()), None);
            assert_eq!(notifier.finish(), Left::default());
        };
        told(At::Background, 1, 1);
        told(At::Background, 0, 2);
        // The user of the interface attends it, and has no terminal of ccc's.
        told(At::Interface, 1, 3);
        let expected = ["r2", "r3"]
            .map(|run| format!("--app-name=ccc -- ccc: {run} completed (w) &lt;so&gt;\nccc report {run}\n"));
        assert_eq!(std::fs::read_to_string(&shown).expect("shown"), expected.concat());
    }

    #[test]
    fn what_fails_is_tried_again_after_a_pause() {
        let dir = tempfile::tempdir().expect("a directory");
        let down = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
        let (url, requests) = answering_server(&[down, OK]);
        let mut notifier =
            notifier(entries(&serde_json::json!([{"webhook": url}])), dir.path(), None).expect("a notifier");
        assert_eq!(notifier.follow(&completed("x"), 2_000, &Redactor::new()), None);
        assert_eq!(notifier.finish(), Left::default());
        let (first, second) = (requests.recv().expect("a request"), requests.recv().expect("a second one"));
        assert_eq!(first, second, "the same id");
    }

    #[test]
    fn a_process_that_delivers_ends_at_its_limit_and_leaves_what_nobody_took() {
        let dir = tempfile::tempdir().expect("a directory");
        let down = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
        let (url, _requests) = answering_server(&[down, down, down, down, down]);
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let silent = format!("http://{}", silent.local_addr().expect("an address"));
        let entries =
            entries(&serde_json::json!([{"name": "down", "webhook": url}, {"name": "silent", "webhook": silent}]));
        let outbox = Outbox::of(dir.path());
        for name in ["down", "silent"] {
            outbox.keep(&Item::new(name, Message::test("/w", 900))).expect("kept");
        }
        let limit = Duration::from_millis(2_500);
        let begun = crate::driver::unix_ms();
        assert_eq!(deliver_within(limit, dir.path(), &entries, &courier(dir.path()), 1_000), []);
        let took = crate::driver::unix_ms() - begun;
        assert!((2_500..9_000).contains(&took), "{took} ms");
        let left = |name: &str| outbox.left_for(name, 1_000).iter().map(|item| item.tries).collect::<Vec<_>>();
        assert_eq!(left("down"), [2], "its tries are remembered");
        assert_eq!(left("silent").len(), 1);
    }

    #[test]
    fn what_failed_as_often_as_one_process_tries_is_sent_with_the_next_event_and_given_up_in_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let outbox = Outbox::of(dir.path());
        let message = |at: i64| Message::test("/w", at);
        // Its last try of this process fails.
        let mut last = Item::new("a", message(900));
        last.tries = 4;
        outbox.keep(&last).expect("kept");
        let down = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
        let (url, requests) = answering_server(&[down, OK, OK]);
        let web = entries(&serde_json::json!([{"name": "a", "webhook": url}]));
        assert_eq!(deliver(dir.path(), &web, &courier(dir.path()), 1_000), []);
        let kept = outbox.left_for("a", 1_000);
        assert_eq!(kept.iter().map(|item| (item.tries, item.rounds)).collect::<Vec<_>>(), [(0, 1)]);
        // The next event reaches the receiver, and so does what is left.
        let mut run = notifier(web.clone(), dir.path(), None).expect("a notifier");
        assert_eq!(run.follow(&completed("x"), 1_000, &Redactor::new()), None);
        assert_eq!(run.finish(), Left::default());
        assert!(!outbox.holds_for(&web));
        let bodies: Vec<String> = (0..3).map(|_| requests.recv().expect("a request")).collect();
        assert!(bodies[1..].iter().any(|body| body.contains(r#""event":"test""#)), "{bodies:?}");
        // In the last round it is given up, and said.
        last.rounds = ROUNDS - 1;
        outbox.keep(&last).expect("kept");
        let (url, _requests) = answering_server(&[down]);
        let web = entries(&serde_json::json!([{"name": "a", "webhook": url}]));
        let given_up = deliver(dir.path(), &web, &courier(dir.path()), 1_000);
        assert_eq!(given_up.len(), 1, "{given_up:?}");
        assert!(!outbox.holds_for(&web));
    }

    #[test]
    fn what_is_refused_is_given_up_and_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let (url, _requests) = answering_server(&["HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"]);
        let mut notifier =
            notifier(entries(&serde_json::json!([{"name": "a", "webhook": url}])), dir.path(), None).expect("one");
        assert_eq!(notifier.follow(&completed("x"), 2_000, &Redactor::new()), None);
        let left = notifier.finish();
        assert!(!left.unsent, "{left:?}");
        let [(name, why)] = left.given_up.as_slice() else { panic!("{left:?}") };
        assert!(name == "a" && why.contains("404"), "{left:?}");
    }

    #[test]
    fn a_receiver_that_hangs_holds_up_neither_others_nor_the_end_and_gets_its_message_later() {
        let dir = tempfile::tempdir().expect("a directory");
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", silent.local_addr().expect("an address"));
        let (quick, file) = appends(dir.path(), "quick");
        let hangs = |url: &str| entries(&serde_json::json!([{"name": "hangs", "webhook": url}, quick.clone()]));
        let mut run = notifier(hangs(&url), dir.path(), None).expect("a notifier");
        assert_eq!(run.follow(&completed("x"), 2_000, &Redactor::new()), None);
        let left = run.finish();
        assert_eq!(left, Left { given_up: Vec::new(), unsent: true });
        assert_eq!(told(&file).len(), 1);
        // Another process sends it. The first one would have ended, and its claim with it.
        let other = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(other.path().join("notify")).expect("a directory");
        for file in Outbox::of(dir.path()).files() {
            std::fs::copy(&file, other.path().join("notify").join(file.file_name().expect("a name"))).expect("copied");
        }
        let (url, requests) = answering_server(&[OK]);
        assert_eq!(deliver(other.path(), &hangs(&url), &courier(dir.path()), 3_000), []);
        assert!(requests.recv().expect("a request").contains(r#""event":"completed""#));
        assert_eq!(told(&file).len(), 1, "that one was told");
        assert!(!Outbox::of(other.path()).holds_for(&hangs(&url)));
    }

    #[test]
    fn what_a_dead_ccc_had_kept_the_next_one_sends_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let (entry, file) = appends(dir.path(), "phone");
        let entries = entries(&serde_json::json!([entry]));
        let message = Message { text: "kept".to_owned(), ..Message::test("/w", 900) };
        Outbox::of(dir.path()).keep(&Item::new("phone", message)).expect("kept");
        let next = notifier(entries.clone(), dir.path(), None).expect("a notifier");
        assert_eq!(next.finish(), Left::default());
        let last = notifier(entries, dir.path(), None).expect("a notifier");
        assert_eq!(last.finish(), Left::default());
        let texts: Vec<String> = told(&file).into_iter().map(|message| message.text).collect();
        assert_eq!(texts, ["kept"]);
    }
}
