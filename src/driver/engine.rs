//! The one loop of every run, whatever it supervises.
//!
//! The order for each fact: journal it, let the machine handle it, journal the actions, write both to the journal at once, then
//! let the world perform the actions. So every action is recorded before it is performed (write-ahead), and a run whose ccc
//! dies between two steps can be resumed. Facts that result at once from performing are handled next. Entries on which only the
//! display depends are batched, for [`RECORD_WITHIN`] at most.
//!
//! Journal, summary, heartbeat, timers and the time in which ccc itself was stopped are handled alike for an agent's run and a
//! command's. A [`World`] only performs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::clock::Clock;
use super::control::{Control, Controls};
use super::heartbeat::{BeatTimer, HeartbeatFile, INTERVAL as BEAT_INTERVAL};
use super::machine::Machine;
use super::worker::Worker;
use crate::core::{Finish, Tick};
use crate::journal::{JournalAction, JournalInput, JournalNews, JournalWriter, RunDir, RunSummary, SUMMARY_VERSION};
use redaction::Redactor;

/// If the loop wakes this much later than planned, ccc itself was stopped (Ctrl-Z, memory pressure), not the others. That time
/// does not count; the heartbeat timer shows how long it was.
const LATE: Duration = Duration::from_millis(250);
/// How often the clock is redrawn for a viewer shortly after an event.
const SECOND: Duration = Duration::from_secs(1);
/// How long that lasts. Afterwards the clock is redrawn with each beat only: each redraw wakes two threads.
const JUST_MOVED: Duration = Duration::from_secs(5);
/// The longest time between two commits of entries that no action waits for: a commit to the journal's thread costs more than
/// an entry.
const RECORD_WITHIN: Duration = Duration::from_millis(20);
/// How many bytes of such entries may stay in memory.
const RECORD_BYTES: usize = 64 * 1024;
/// How long timeouts are postponed after a stop, so that queued facts are handled first.
const CATCH_UP: Duration = Duration::from_millis(500);
/// How many queued events are taken before controls and deadlines are checked again.
const AT_ONCE: usize = 64;
/// How long to wait for the last heartbeat.
const FILES_TIMEOUT: Duration = Duration::from_millis(500);

/// Performs the actions of a machine, and turns events into facts.
pub(super) trait World {
    /// The machine whose actions it performs.
    type Machine: Machine;
    /// Its events.
    type Event;

    /// The run that it belongs to.
    fn run(&self) -> &Engine<Self::Machine>;
    /// See [`World::run`].
    fn run_mut(&mut self) -> &mut Engine<Self::Machine>;
    /// Handles an event.
    fn event(&mut self, event: Self::Event);
    /// Handles a message from the host, including a resize and the end of a stop.
    fn control(&mut self, control: Control) -> Reaction;
    /// The machine has decided; none of its actions is performed yet.
    fn decided(&mut self, at_once: &mut VecDeque<InputOf<Self>>);
    /// Performs an action. Facts that result at once are put into `at_once`.
    fn perform(&mut self, now: Tick, action: ActionOf<Self>, at_once: &mut VecDeque<InputOf<Self>>);
    /// All actions of one fact are performed.
    fn performed(&mut self, at_once: &mut VecDeque<InputOf<Self>>) {
        let _ = at_once;
    }
    /// A fact and all that followed at once are done.
    fn settled(&mut self) {}
    /// The gathered entries are recorded; their output may be shown.
    fn gathered(&mut self) {}
    /// Tells the user news about the journal.
    fn tell(&mut self, news: &JournalNews);
    /// Adds to the summary what differs between kinds of runs.
    fn summary(&self, base: RunSummary) -> RunSummary;
    /// The redactor for the summary.
    fn redactor(&self) -> Arc<Redactor>;
    /// Writes a heartbeat for whatever supervises ccc.
    fn beat(&mut self);
    /// Checks for changes that cause no event. Called with each regular beat.
    fn look(&mut self) {}
    /// When a worker's answer is overdue.
    fn overdue_at(&self) -> Option<Instant> {
        None
    }
    /// Feeds a substitute for each overdue answer.
    fn answer_overdue(&mut self) {}
    /// Whether somebody watches the clock.
    fn is_watched(&self) -> bool {
        false
    }
    /// Redraws the clock: a watched second has passed, or a beat is due.
    fn second(&mut self) {}
}

pub(super) type InputOf<W> = <<W as World>::Machine as Machine>::Input;
pub(super) type ActionOf<W> = <<W as World>::Machine as Machine>::Action;

/// What the loop does after a message from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Nothing more.
    GoOn,
    /// The world is ready for the process to stop.
    Suspend,
    /// The user leaves without waiting for an outcome.
    Leave,
}

/// A queue of events.
pub(super) trait Source {
    type Event;
    /// The next event; `None` when there is no sender left. Cancel-safe.
    async fn recv(&mut self) -> Option<Self::Event>;
    /// The next event, if one is queued.
    fn try_recv(&mut self) -> Option<Self::Event>;
}

impl<T> Source for UnboundedReceiver<T> {
    type Event = T;
    async fn recv(&mut self) -> Option<T> {
        UnboundedReceiver::recv(self).await
    }
    fn try_recv(&mut self) -> Option<T> {
        UnboundedReceiver::try_recv(self).ok()
    }
}

/// A machine with its clock, its journal, its summary and its heartbeat.
#[derive(Debug)]
pub(super) struct Engine<M> {
    pub(super) clock: Clock,
    pub(super) core: M,
    pub(super) journal: JournalWriter,
    pub(super) run_dir: RunDir,
    pub(super) heart: HeartbeatFile,
    /// The thread that writes files other than the journal.
    pub(super) files: Worker,
    pub(super) started_unix_ms: i64,
    /// The outcome, once the machine has finished.
    pub(super) finish: Option<Finish>,
    pub(super) phase_written: String,
    /// When the outcome was first written down, unix milliseconds.
    ended_unix_ms: Option<i64>,
    /// Events are being taken in a batch: their output is written once they are recorded.
    pub(super) gathering: bool,
    /// The journal number of the fact in progress, and how many of its messages were shown.
    pub(super) fact: (u64, u32),
    /// Entries that no action waits for may stay in memory until then; `None` while there are none.
    record_by: Option<Instant>,
    /// The last commit.
    recorded: Instant,
}

impl<M: Machine> Engine<M> {
    pub(super) fn new(core: M, clock: Clock, journal: JournalWriter, run_dir: RunDir, started_unix_ms: i64) -> Self {
        let files = Worker::new("files");
        Engine {
            recorded: clock.instant_now(),
            clock,
            core,
            journal,
            heart: HeartbeatFile::new(run_dir.id(), run_dir.path(), files.clone()),
            files,
            run_dir,
            started_unix_ms,
            finish: None,
            phase_written: String::new(),
            ended_unix_ms: None,
            gathering: false,
            fact: (0, 0),
            record_by: None,
        }
    }
}

impl<M> Engine<M> {
    /// Closes the journal after the other files; waits for each only for a bounded time.
    pub(super) fn close(self) -> Closed<M> {
        self.files.finish(FILES_TIMEOUT);
        let (news, missing) = self.journal.end();
        Closed { core: self.core, finish: self.finish, news, missing }
    }
}

/// What an engine leaves.
pub(super) struct Closed<M> {
    pub(super) core: M,
    pub(super) finish: Option<Finish>,
    /// The last news about the journal.
    pub(super) news: Option<JournalNews>,
    /// What the journal lacks.
    pub(super) missing: Option<String>,
}

/// The last try to write the journal, after the last fact: what is said and written about the end says what the journal lacks.
pub(super) fn settle<W: World>(world: &mut W) {
    if let Some(news) = world.run_mut().journal.settle() {
        world.tell(&news);
    }
}

/// Why the loop woke.
enum Woken<E> {
    Control(Control),
    /// A deadline of the machine or the alarm.
    Due {
        by_tick: bool,
    },
    Beat,
    /// The batch of entries is due.
    Record,
    /// A worker's answer is overdue.
    Overdue,
    /// `None` when there is no sender left.
    Event(Option<E>),
}

/// Runs until the machine has finished, or the user has left.
pub(super) async fn drive<W: World>(
    world: &mut W,
    events: &mut impl Source<Event = W::Event>,
    controls: &mut Controls,
) {
    let mut alarm = Alarm::new();
    // One timer serves the heartbeat, the clock of the status line and the detection of stops, so that an idle run wakes well
    // below once a second.
    let mut pulse = BeatTimer::new(&world.run().clock);
    let mut beaten = world.run().clock.instant_now();
    let mut moved = beaten;
    let mut not_before: Option<Instant> = None;
    while world.run().finish.is_none() {
        let run = world.run();
        let deadline = run.core.poll_timeout().map(|tick| run.clock.instant(tick));
        let deadline = deadline.map(|deadline| not_before.map_or(deadline, |instant| deadline.max(instant)));
        alarm.set(run.core.poll_wall_timeout(), &run.clock);
        let record_by = run.record_by;
        let overdue_at = world.overdue_at().map(|at| not_before.map_or(at, |instant| at.max(instant)));
        let slept = world.run().clock.instant_now();
        let woken = tokio::select! {
            biased;
            control = controls.next() => Woken::Control(control),
            () = sleep_until(deadline) => Woken::Due { by_tick: true },
            () = alarm.rang() => Woken::Due { by_tick: false },
            () = pulse.beat() => Woken::Beat,
            () = sleep_until(record_by) => Woken::Record,
            () = sleep_until(overdue_at) => Woken::Overdue,
            event = events.recv() => Woken::Event(event),
        };
        let clock = &mut world.run_mut().clock;
        let paused = pulse.late(clock).min(clock.late(slept));
        if paused > LATE {
            tracing::debug!(ms = paused.as_millis(), "ccc stood still");
            clock.paused(paused);
            pulse.next_in(Duration::ZERO, clock);
            not_before = Some(clock.after(CATCH_UP));
        }
        match woken {
            Woken::Control(control) => match world.control(control) {
                Reaction::GoOn => {}
                Reaction::Leave => return,
                Reaction::Suspend => {
                    record(world);
                    let since = world.run().clock.instant_now();
                    controls.suspend().await;
                    let clock = &mut world.run_mut().clock;
                    let paused = clock.late(since);
                    clock.paused(paused);
                    beaten += paused;
                    pulse.next_in(Duration::ZERO, clock);
                    not_before = Some(clock.after(CATCH_UP));
                    world.control(Control::Continued);
                }
            },
            Woken::Due { by_tick: true } if paused > LATE => {}
            Woken::Due { by_tick } => {
                let clock = &world.run().clock;
                let late = by_tick && deadline.is_some_and(|deadline| clock.late(deadline) > LATE);
                // Postponed once only: a loop that is always late must still have timeouts.
                if late && not_before.is_none() {
                    not_before = Some(clock.after(CATCH_UP));
                    continue;
                }
                not_before = None;
                let elapsed = W::Machine::elapsed(clock.unix_ms());
                feed(world, elapsed);
            }
            Woken::Beat => {
                let clock = &world.run().clock;
                not_before = not_before.filter(|instant| clock.late(*instant).is_zero());
                if clock.late(beaten) + LATE >= BEAT_INTERVAL {
                    beaten = clock.instant_now();
                    world.look();
                    world.beat();
                }
                world.second();
                let clock = &world.run().clock;
                let watched = world.is_watched().then(|| clock.late(moved));
                pulse.next_in(to_next_beat(clock.late(beaten), watched), clock);
            }
            Woken::Record => record(world),
            // The workers were stopped as well, so they get the same time to catch up.
            Woken::Overdue if paused > LATE => {}
            Woken::Overdue => world.answer_overdue(),
            Woken::Event(Some(event)) => {
                take_events(world, event, events);
                if world.is_watched() {
                    let clock = &world.run().clock;
                    moved = clock.instant_now();
                    pulse.within(SECOND, clock);
                }
            }
            Woken::Event(None) => return,
        }
    }
}

/// How long until the loop looks at the clock again. `beaten` is the time since the last beat, `moved` since the last event, if
/// somebody watches.
fn to_next_beat(beaten: Duration, moved: Option<Duration>) -> Duration {
    let beat = BEAT_INTERVAL.saturating_sub(beaten);
    if moved.is_some_and(|moved| moved < JUST_MOVED) { beat.min(SECOND) } else { beat }
}

/// Takes an event and those queued behind it, [`AT_ONCE`] at most. Their entries and lines are written together with those of
/// other events that follow soon: two writes per line would be most of a line's cost.
fn take_events<W: World>(world: &mut W, first: W::Event, events: &mut impl Source<Event = W::Event>) {
    let mut next = Some(first);
    let mut taken = 0;
    world.run_mut().gathering = true;
    while let Some(event) = next {
        taken += 1;
        world.event(event);
        let more = taken < AT_ONCE && world.run().finish.is_none();
        next = if more { events.try_recv() } else { None };
    }
    let run = world.run_mut();
    run.gathering = false;
    match run.record_by {
        // Wait for the commit: nothing is shown before it is recorded.
        Some(by) if run.clock.late(by).is_zero() => {}
        Some(_) => record(world),
        None => world.gathered(),
    }
}

/// Handles one fact and those that result from it at once.
pub(super) fn feed<W: World>(world: &mut W, input: InputOf<W>) {
    let mut next = Some(input);
    let mut at_once = VecDeque::new();
    while let Some(input) = next {
        let run = world.run_mut();
        let now = run.clock.now();
        let n = run.journal.input(now, &input);
        run.fact = (n, 0);
        tracing::debug!(n, t_us = now.0, input = input.kind());
        run.core.handle(now, input);
        let mut actions = Vec::new();
        while let Some(action) = run.core.poll_action() {
            run.journal.action(now, &action);
            actions.push(action);
        }
        // Entries that are only shown may be committed a moment later; an action may not.
        if actions.iter().any(JournalAction::is_recorded) || run.journal.pending_bytes() > RECORD_BYTES {
            record(world);
        } else {
            run.record_by.get_or_insert(run.recorded + RECORD_WITHIN);
        }
        world.decided(&mut at_once);
        for action in actions {
            tracing::debug!(action = action.kind());
            world.perform(now, action, &mut at_once);
        }
        world.performed(&mut at_once);
        next = at_once.pop_front();
    }
    world.settled();
    let phase = world.run().core.phase();
    if phase != world.run().phase_written {
        // The summary covers recorded facts only.
        record(world);
        write_summary(world, phase);
    }
}

/// Commits the journal's entries, then shows their output.
pub(super) fn record<W: World>(world: &mut W) {
    let run = world.run_mut();
    (run.record_by, run.recorded) = (None, run.clock.instant_now());
    if let Some(news) = world.run_mut().journal.commit() {
        world.tell(&news);
    }
    world.gathered();
}

/// Updates `run.json` and the heartbeat.
pub(super) fn write_summary<W: World>(world: &mut W, phase: &str) {
    phase.clone_into(&mut world.run_mut().phase_written);
    let run = world.run_mut();
    let now = run.clock.unix_ms();
    if run.finish.is_some() {
        // It is written more than once, and the end is the first time.
        run.ended_unix_ms.get_or_insert(now);
    }
    let run = world.run();
    let finish = run.finish.as_ref();
    let base = RunSummary {
        version: SUMMARY_VERSION,
        id: run.run_dir.id().to_owned(),
        task: String::new(),
        cwd: String::new(),
        session_id: None,
        agent_version: None,
        pid: std::process::id(),
        started_unix_ms: run.started_unix_ms,
        updated_unix_ms: now,
        ended_unix_ms: run.ended_unix_ms,
        phase: phase.to_owned(),
        iteration: 0,
        outcome: finish.map(|finish| finish.outcome.into()),
        reason: finish.map(|finish| finish.reason.clone()),
        restarts: 0,
        rotations: 0,
        waited_ms: finish.map_or(0, |finish| finish.waited_ms),
        cost_usd: None,
        context_tokens: None,
        context_window_tokens: None,
        tests_touched: None,
        tools_denied: None,
        elapsed_ms: Some(run.clock.now().as_ms()),
        journal_missing: run.journal.missing(),
        result: None,
        resume: None,
        kind: None,
        demo: None,
    };
    let (summary, redactor) = (world.summary(base), world.redactor());
    let run = world.run_mut();
    let path = run.run_dir.summary();
    if let Err(error) = summary.write_with(&mut run.journal, &path, &redactor) {
        tracing::warn!(%error, "the run's summary could not be written");
    }
    world.beat();
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::time::Duration;

    use serde::{Deserialize, Serialize};
    use tokio::sync::mpsc::unbounded_channel;

    use super::{Engine, Reaction, World, drive};
    use crate::core::{Core, Finish, Tick};
    use crate::driver;
    use crate::driver::clock::{Clock, unix_ms};
    use crate::driver::control::{Control, Request, controls};
    use crate::driver::machine::{Life, Machine};
    use crate::journal::{
        Header, JournalAction, JournalInput, JournalNews, JournalWriter, RunDir, RunKind, RunSummary,
    };
    use redaction::Redactor;

    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    enum Fact {
        Told(u32),
        Elapsed,
    }

    impl JournalInput for Fact {
        const RUN: RunKind = RunKind::Agent;
        const KINDS: &'static [&'static str] = &["fact"];
        fn kind(&self) -> &'static str {
            "fact"
        }
        fn unix_ms(&self) -> Option<i64> {
            None
        }
    }

    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    enum Deed {
        Do(u32),
        Show(u32),
    }

    impl JournalAction for Deed {
        const KINDS: &'static [&'static str] = &["deed"];
        fn kind(&self) -> &'static str {
            "deed"
        }
        fn is_recorded(&self) -> bool {
            matches!(self, Deed::Do(_))
        }
    }

    /// Does what it is told; numbers above ten are only shown.
    #[derive(Debug, Default)]
    struct Obedient {
        deeds: VecDeque<Deed>,
        heard: Vec<Fact>,
        timeout: Option<Tick>,
    }

    impl Machine for Obedient {
        type Input = Fact;
        type Action = Deed;
        fn handle(&mut self, _: Tick, input: Fact) {
            match input {
                Fact::Told(number) if number > 10 => self.deeds.push_back(Deed::Show(number)),
                Fact::Told(number) => self.deeds.push_back(Deed::Do(number)),
                Fact::Elapsed => self.timeout = None,
            }
            self.heard.push(input);
        }
        fn poll_action(&mut self) -> Option<Deed> {
            self.deeds.pop_front()
        }
        fn poll_timeout(&self) -> Option<Tick> {
            self.timeout
        }
        fn poll_wall_timeout(&self) -> Option<i64> {
            None
        }
        fn phase(&self) -> &'static str {
            "obeying"
        }
        fn is_finished(&self) -> bool {
            false
        }
        fn elapsed(_: i64) -> Fact {
            Fact::Elapsed
        }
        fn life(_: &Fact) -> Life {
            Life::GoesOn
        }
    }

    /// Performs by noting what was in the journal at that time. `Do(1)` brings the fact 2 at once; `Do(9)` ends the run.
    struct Scripted {
        run: Engine<Obedient>,
        done: Vec<(Deed, bool)>,
        _dir: tempfile::TempDir,
    }

    impl World for Scripted {
        type Machine = Obedient;
        type Event = u32;
        fn run(&self) -> &Engine<Obedient> {
            &self.run
        }
        fn run_mut(&mut self) -> &mut Engine<Obedient> {
            &mut self.run
        }
        fn event(&mut self, event: u32) {
            super::feed(self, Fact::Told(event));
        }
        fn control(&mut self, control: Control) -> Reaction {
            match control {
                Control::Interrupt => Reaction::Leave,
                Control::Suspend => Reaction::Suspend,
                Control::End(_)
                | Control::Continued
                | Control::Resized(_)
                | Control::Operator(_)
                | Control::Order(_)
                | Control::Hook(_)
                | Control::Attending(_)
                | Control::Remark(_) => Reaction::GoOn,
            }
        }
        fn decided(&mut self, _: &mut VecDeque<Fact>) {}
        fn perform(&mut self, _: Tick, deed: Deed, at_once: &mut VecDeque<Fact>) {
            let journal = std::fs::read_to_string(self.run.run_dir.journal()).expect("a journal");
            let is_recorded = journal.contains(&serde_json::to_string(&deed).expect("JSON"));
            match deed {
                Deed::Do(1) => at_once.push_back(Fact::Told(2)),
                Deed::Do(9) => self.run.finish = Some(finish()),
                Deed::Do(_) | Deed::Show(_) => {}
            }
            self.done.push((deed, is_recorded));
        }
        fn tell(&mut self, _: &JournalNews) {}
        fn summary(&self, base: RunSummary) -> RunSummary {
            base
        }
        fn redactor(&self) -> Arc<Redactor> {
            Arc::default()
        }
        fn beat(&mut self) {}
    }

    fn finish() -> Finish {
        let json = r#"{"outcome":"completed","reason":"","result":"","session_id":null,"iterations":0,"restarts":0,
            "rotations":0,"waited_ms":0,"cost_usd":null}"#;
        serde_json::from_str(json).expect("a finish")
    }

    fn scripted() -> Scripted {
        let dir = tempfile::tempdir().expect("a directory");
        let run_dir = RunDir::create(dir.path(), "20261120-191822-k3f9").expect("a run directory");
        let journal = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/compat/1.1/journal.jsonl");
        let plan = driver::rebuild(std::path::Path::new(journal), |_, _| {}).expect("a run").core.plan().clone();
        let header = Header::new(Core::new(plan).plan(), "0.1.0").expect("a header");
        let journal = JournalWriter::create(&run_dir.journal(), &run_dir.blobs(), &header, Redactor::new());
        let clock = Clock::starting_at(Tick::ZERO, unix_ms);
        let run = Engine::new(Obedient::default(), clock, journal.expect("a journal"), run_dir, 0);
        Scripted { run, done: Vec::new(), _dir: dir }
    }

    #[tokio::test]
    async fn an_act_is_performed_after_its_entry_and_what_it_brings_before_the_next_event() {
        let mut world = scripted();
        let (post, mut events) = unbounded_channel();
        for event in [1, 11, 3, 9] {
            post.send(event).expect("the loop listens");
        }
        let (_host, mut run, _requests) = controls(unix_ms);
        drive(&mut world, &mut events, &mut run).await;
        let done: Vec<&Deed> = world.done.iter().map(|(deed, _)| deed).collect();
        assert_eq!(done, [&Deed::Do(1), &Deed::Do(2), &Deed::Show(11), &Deed::Do(3), &Deed::Do(9)]);
        for (deed, is_recorded) in &world.done {
            assert_eq!(*is_recorded, deed.is_recorded(), "{deed:?} came before its entry");
        }
    }

    #[tokio::test]
    async fn an_entry_that_no_act_waits_for_is_recorded_a_moment_later_without_one() {
        let mut world = scripted();
        let journal = world.run.run_dir.journal();
        let (post, mut events) = unbounded_channel();
        let (_host, mut run, _requests) = controls(unix_ms);
        post.send(11).expect("the loop listens");
        let reader = async {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
            while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("\"Told\":11")) {
                assert!(tokio::time::Instant::now() < deadline, "it stays in memory");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            post.send(9).expect("the loop listens");
        };
        tokio::join!(drive(&mut world, &mut events, &mut run), reader);
        assert_eq!(world.run.core.heard, [Fact::Told(11), Fact::Told(9)]);
    }

    #[tokio::test]
    async fn entries_that_no_act_waits_for_go_to_the_journal_many_at_a_time() {
        let mut world = scripted();
        let mut writes = std::collections::BTreeSet::new();
        for number in 11..5_000 {
            super::feed(&mut world, Fact::Told(number));
            writes.insert(std::fs::metadata(world.run.run_dir.journal()).map_or(0, |meta| meta.len()));
        }
        assert!(world.run.journal.pending_bytes() <= super::RECORD_BYTES + 1_024);
        assert!((2..10).contains(&writes.len()), "{} writes", writes.len());
    }

    #[test]
    fn the_clock_is_drawn_each_second_while_something_moves_and_with_the_beat_in_silence() {
        let ms = Duration::from_millis;
        for (beaten, moved, expected) in [
            (0, None, 4_500),
            (0, Some(0), 1_000),
            (3_000, Some(4_999), 1_000),
            (4_000, Some(4_000), 500),
            (0, Some(5_000), 4_500),
            (4_000, Some(9_000), 500),
            (9_000, None, 0),
        ] {
            assert_eq!(super::to_next_beat(ms(beaten), moved.map(ms)), ms(expected), "{beaten} {moved:?}");
        }
    }

    #[tokio::test]
    async fn the_time_of_a_stop_does_not_count_and_what_was_told_in_it_is_heard() {
        let mut world = scripted();
        world.run.core.timeout = Some(Tick(3_600_000_000));
        let (_post, mut events) = unbounded_channel::<u32>();
        let (host, mut run, mut requests) = controls(unix_ms);
        let stop = Duration::from_millis(600);
        let shell = async {
            host.tell(Control::Suspend);
            assert_eq!(requests.recv().await, Some(Request::Suspend));
            tokio::time::sleep(stop).await;
            host.tell(Control::Interrupt);
            host.tell(Control::Continued);
        };
        let begun = world.run.clock.instant_now();
        tokio::join!(drive(&mut world, &mut events, &mut run), shell);
        let (took, counted) = (world.run.clock.late(begun), Duration::from_micros(world.run.clock.now().0));
        assert!(took >= stop && counted + stop <= took + Duration::from_millis(5), "{counted:?} of {took:?}");
        assert_eq!(world.run.core.heard, []);
    }

    #[tokio::test]
    async fn a_timeout_is_told_once_when_it_is_due() {
        let mut world = scripted();
        world.run.core.timeout = Some(Tick(200_000));
        let (post, mut events) = unbounded_channel();
        let (_host, mut run, _requests) = controls(unix_ms);
        let end = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            post.send(9).expect("the loop listens");
        };
        tokio::join!(drive(&mut world, &mut events, &mut run), end);
        assert_eq!(world.run.core.heard, [Fact::Elapsed, Fact::Told(9)]);
    }
}
