//! Simultaneous inputs may arrive in any order: the user's inputs, lines, ends of processes, timers. In every order a turn
//! reaches the session once, the user's messages arrive once and in their order, and each request gets one answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::{Just, Strategy, any, proptest};
use proptest::test_runner::Config;

use super::*;
use crate::agent::Role;

/// Every run ends within this many steps.
const MOST_STEPS: usize = 3_000;
/// How many of the drawn orders let a deadline pass although another input is possible.
const EARLY_DEADLINES: u32 = 4;
/// How often a process dies for no reason.
const DEATHS: u32 = 2;

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The user's next input.
    User,
    /// The system has started this process.
    Started(ProcId),
    /// This process reads its stdin.
    Reads(ProcId),
    /// Its next line is read.
    Line(ProcId),
    /// It has ended.
    Ends(ProcId),
    /// The tree was measured.
    Measured(MeasureId),
    /// The next deadline has passed.
    Deadline,
}

/// A process, its unread stdin and its unread stdout.
#[derive(Debug, Default)]
struct Fake {
    role: Option<Role>,
    started: bool,
    inbox: VecDeque<Send>,
    out: VecDeque<String>,
    /// The last turn that it read.
    turn: Option<TurnId>,
    /// The request whose answer it waits for, and the lines that follow.
    asks: Option<(String, Vec<String>)>,
    /// The request that it has withdrawn, perhaps unread.
    took_back: Option<String>,
    ending: bool,
}

/// A run, its processes and its user.
struct Scene {
    run: Run,
    fakes: BTreeMap<ProcId, Fake>,
    measures: VecDeque<MeasureId>,
    user: VecDeque<OperatorInput>,
    /// The texts and the ids of the turns in the session, in order.
    session: Vec<String>,
    ids: BTreeSet<TurnId>,
    /// The user's accepted messages that were not withdrawn.
    said: Vec<String>,
    /// Messages that need not arrive: withdrawn, or their turn was interrupted.
    given_up: BTreeSet<String>,
    /// The text of the last turn that was sent.
    sent: String,
    requests: u32,
    verdicts: u32,
    deaths: u32,
    early: u32,
    finish: Option<Finish>,
}

impl Scene {
    fn new(user: Vec<OperatorInput>) -> Scene {
        let unattended = Unattended::Wait { timeout_ms: 600_000 };
        let plan = Plan { approvals: Approvals::Ask { unattended }, ..plan() };
        let mut scene = Scene {
            run: Run { core: Core::new(plan), now: Tick::ZERO, shown: Vec::new() },
            fakes: BTreeMap::new(),
            measures: VecDeque::new(),
            user: user.into(),
            session: Vec::new(),
            ids: BTreeSet::new(),
            said: Vec::new(),
            given_up: BTreeSet::new(),
            sent: String::new(),
            requests: 0,
            verdicts: 0,
            deaths: 0,
            early: 0,
            finish: None,
        };
        scene.tell(Input::Began { unix_ms: 1_000_000, resumed: false, turn_recorded: None, tokens: Vec::new() });
        scene
    }

    /// What could come next.
    fn sources(&self) -> Vec<Source> {
        let mut sources = Vec::new();
        sources.extend((!self.user.is_empty()).then_some(Source::User));
        for (&proc, fake) in &self.fakes {
            sources.extend((!fake.started).then_some(Source::Started(proc)));
            let reads = fake.started && !fake.inbox.is_empty() && fake.out.is_empty() && fake.asks.is_none();
            sources.extend(reads.then_some(Source::Reads(proc)));
            sources.extend((!fake.out.is_empty()).then_some(Source::Line(proc)));
            let dies = fake.started && self.deaths < DEATHS && fake.role == Some(Role::Agent);
            sources.extend((fake.ending || dies).then_some(Source::Ends(proc)));
        }
        sources.extend(self.measures.front().map(|measure| Source::Measured(*measure)));
        let waits = self.run.core.poll_timeout().is_some();
        if waits && (sources.is_empty() || self.early < EARLY_DEADLINES) {
            sources.push(Source::Deadline);
        }
        sources
    }

    fn step(&mut self, drawn: Option<u8>) {
        let mut sources = self.sources();
        if drawn.is_none() {
            // After the drawn order, each source comes in turn, and no process dies unasked.
            sources.retain(|source| match source {
                Source::Ends(proc) => self.fakes[proc].ending,
                Source::Deadline => false,
                Source::User | Source::Started(_) | Source::Reads(_) | Source::Line(_) | Source::Measured(_) => true,
            });
            if sources.is_empty() {
                sources.push(Source::Deadline);
            }
        }
        assert!(!sources.is_empty(), "nothing moves the run, which is {}", self.run.core.phase());
        match sources[usize::from(drawn.unwrap_or(0)) % sources.len()] {
            Source::User => self.user_does(),
            Source::Started(proc) => {
                self.fake(proc).started = true;
                self.tell(Input::Spawned { proc, pid: 1, transport: "pipe".to_owned() });
            }
            Source::Reads(proc) => self.reads(proc),
            Source::Line(proc) => {
                let line = self.fake(proc).out.pop_front().expect("a line");
                let line = LineFact::Json(RawValue::from_string(line).expect("JSON"));
                self.tell(Input::Line { proc, line });
            }
            Source::Ends(proc) => {
                let is_killed = !self.fakes[&proc].ending;
                self.deaths += u32::from(is_killed);
                self.fakes.remove(&proc);
                let turn_recorded = self.run.core.unanswered_turn().map(|(_, turn)| self.ids.contains(turn));
                let (code, signal) = if is_killed { (None, Some(9)) } else { (Some(0), None) };
                self.tell(Input::Exited {
                    proc,
                    exit: ExitFact { code, signal, turn_recorded, ..ExitFact::default() },
                });
            }
            Source::Measured(measure) => {
                self.measures.pop_front();
                let tree = TreeFact { fingerprint: Some(self.session.len().to_string()), ..TreeFact::default() };
                self.tell(Input::TreeMeasured { measure, tree });
            }
            Source::Deadline => {
                self.early += u32::from(drawn.is_some());
                let due = self.run.core.poll_timeout().expect("a deadline");
                self.run.now = self.run.now.max(due);
                let unix_ms = 1_000_000 + i64::try_from(self.run.now.as_ms()).expect("a time");
                self.tell(Input::Elapsed { unix_ms });
            }
        }
    }

    fn fake(&mut self, proc: ProcId) -> &mut Fake {
        self.fakes.get_mut(&proc).expect("a process")
    }

    fn user_does(&mut self) {
        let input = self.user.pop_front().expect("an input");
        let before = self.sent.clone();
        self.tell(Input::Operator(input.clone()));
        let taken = self.run.core.taken().clone();
        match (input, taken) {
            (OperatorInput::Say { text, .. }, Taken::Queued { .. }) => self.said.push(text),
            (OperatorInput::TakeBack { key }, Taken::Done) => {
                assert!(!self.session.iter().any(|said| said.contains(&key)), "{key} was given before");
                self.given_up.insert(key);
            }
            (OperatorInput::StopTurn, Taken::Done) if !before.is_empty() => {
                self.given_up.insert(before);
            }
            _ => {}
        }
    }

    /// The process reads a turn. The agent sometimes asks for a permission first.
    fn reads(&mut self, proc: ProcId) {
        let send = self.fake(proc).inbox.pop_front().expect("a turn");
        let mut lines = accepted(&send.turn);
        if send.kind == TurnKind::Brief {
            self.verdicts += 1;
            let verdict = if self.verdicts < 3 { "Something is missing." } else { "[TASK_COMPLETED]" };
            lines.extend(answered(&send.turn, verdict));
            self.fake(proc).out.extend(lines);
            return;
        }
        assert!(self.ids.insert(send.turn.clone()), "turn {} reaches the session twice", send.turn);
        for given_up in &self.given_up {
            assert!(!given_up.starts_with("key") || !send.text.contains(given_up), "{given_up} was taken back");
        }
        self.session.push(send.text.clone());
        let ends = answered(&send.turn, "Done.");
        self.requests += 1;
        let number = self.requests;
        let fake = self.fake(proc);
        fake.turn = Some(send.turn.clone());
        fake.out.extend(lines);
        if number.is_multiple_of(2) {
            let id = format!("r-{number}");
            fake.out.push_back(format!(
                r#"{{"type":"control_request","request_id":"{id}","request":{{"subtype":"can_use_tool","tool_name":"Bash","tool_use_id":"t-{number}","input":{{"command":"x"}}}}}}"#
            ));
            fake.asks = Some((id, ends));
        } else {
            fake.out.extend(ends);
        }
    }

    fn tell(&mut self, input: Input) {
        for action in self.run.feed(input) {
            assert!(self.finish.is_none(), "after the end: {action:?}");
            self.does(action);
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only some actions reach the processes")]
    fn does(&mut self, action: Action) {
        match action {
            Action::Spawn(spawn) => {
                let agents = self.fakes.values().filter(|fake| fake.role == Some(Role::Agent)).count();
                assert!(spawn.role == Role::Critic || agents == 0, "a second agent");
                self.fakes.insert(spawn.proc, Fake { role: Some(spawn.role), ..Fake::default() });
            }
            Action::Send(send) => {
                if send.kind != TurnKind::Brief {
                    self.sent.clone_from(&send.text);
                }
                if let Some(fake) = self.fakes.get_mut(&send.proc) {
                    assert!(fake.inbox.is_empty(), "two turns at once");
                    fake.inbox.push_back(send);
                }
            }
            Action::AllowTool { proc, request_id, .. } | Action::DenyTool { proc, request_id, .. } => {
                let Some(fake) = self.fakes.get_mut(&proc) else { return };
                // The answer may cross with the withdrawal.
                if fake.asks.is_none() && fake.took_back.take_if(|id| *id == request_id).is_some() {
                    return;
                }
                let (asked, ends) = fake.asks.take().expect("it is answered what was not asked, or twice");
                assert_eq!(asked, request_id);
                fake.out.extend(ends);
            }
            Action::Interrupt { proc } => {
                if let Some(fake) = self.fakes.get_mut(&proc)
                    && let Some((id, _)) = fake.asks.take()
                    && let Some(turn) = &fake.turn
                {
                    fake.out.push_back(format!(r#"{{"type":"control_cancel_request","request_id":"{id}"}}"#));
                    fake.out.extend(super::steered::interrupted(turn));
                    fake.took_back = Some(id);
                }
            }
            Action::CloseStdin { proc } | Action::Signal { proc, .. } | Action::KillTree { proc } => {
                if let Some(fake) = self.fakes.get_mut(&proc) {
                    fake.ending = true;
                }
            }
            Action::MeasureTree { measure, .. } => self.measures.push_back(measure),
            Action::Finish(finish) => self.finish = Some(finish),
            _ => {}
        }
    }

    /// Plays the whole run, first in this order.
    fn play(&mut self, order: &[u8]) {
        for step in 0..MOST_STEPS {
            if self.finish.is_some() {
                return;
            }
            self.step(order.get(step).copied());
        }
        panic!("no end, {}", self.run.core.phase());
    }

    fn check(&self) {
        let finish = self.finish.as_ref().expect("an end");
        let mut at = 0;
        for text in &self.said {
            let times = self.session.iter().filter(|turn| turn.contains(text.as_str())).count();
            assert!(times <= 1, "{text} is said {times} times: {:?}", self.session);
            let given_up = self.given_up.iter().any(|given_up| text.contains(given_up) || given_up.contains(text));
            let found = self.session.iter().position(|turn| turn.contains(text.as_str()));
            assert!(found.is_some() || given_up || finish.outcome != Outcome::Completed, "{text} is lost: {finish:?}");
            if let Some(found) = found {
                assert!(found >= at, "{text} is out of order: {:?}", self.session);
                at = found;
            }
        }
    }
}

fn say(key: &str) -> OperatorInput {
    OperatorInput::Say { key: Some(key.to_owned()), text: format!("the words of {key}."), images: Vec::new() }
}

fn rule(ask: u32, allow: bool) -> OperatorInput {
    let ruling = if allow {
        Ruling::Allow { for_session: false, input: None }
    } else {
        Ruling::Deny { reason: "no".to_owned() }
    };
    OperatorInput::Rule { ask: AskId(ask), key: None, ruling }
}

/// All inputs of the user, in any order; at the end the run is continued and left alone.
fn inputs() -> impl Strategy<Value = Vec<OperatorInput>> {
    let attends = |clients| OperatorInput::Attended { clients, why: None };
    let all = vec![
        say("key1"),
        say("key2"),
        say("key2"),
        say("key3"),
        OperatorInput::TakeBack { key: "key3".to_owned() },
        OperatorInput::TakeBack { key: "key1".to_owned() },
        OperatorInput::StopTurn,
        OperatorInput::Pause,
        OperatorInput::Continue,
        OperatorInput::Judge,
        attends(1),
        attends(0),
        attends(2),
        rule(1, true),
        rule(1, false),
        rule(2, true),
        rule(3, false),
    ];
    Just(all).prop_shuffle().prop_map(move |mut inputs| {
        inputs.extend([OperatorInput::Continue, OperatorInput::Judge, attends(0)]);
        inputs
    })
}

proptest! {
    #![proptest_config(Config { cases: 512, failure_persistence: None, ..Config::default() })]
    #[test]
    fn in_any_order_each_turn_is_delivered_once_and_each_request_answered_once(
        user in inputs(),
        order in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut scene = Scene::new(user);
        scene.play(&order);
        scene.check();
    }
}
