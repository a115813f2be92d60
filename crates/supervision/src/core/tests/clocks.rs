//! The wall clock is set during the run, or differs from the provider's: resets are compared with one clock, and a turn without
//! an answer is not repeated again and again.

use super::*;
use crate::agent::Role;
use crate::core::policy::learn;

const HOUR_MS: i64 = 3_600_000;
/// The true time at tick zero, which is the provider's, unix milliseconds.
const BEGAN_MS: i64 = 1_000_000_000;

/// A run whose clock is wrong, with tokens that are all rejected until a true time, and the turns that it sent.
struct Scene {
    core: Core,
    now: Tick,
    wrong_ms: i64,
    tokens: Vec<TokenFact>,
    /// The token and the tick of each sent turn.
    said: Vec<(String, Tick)>,
    /// The token of the current process.
    has: String,
    proc: u32,
}

impl Scene {
    fn begin(plan: Plan, tokens: &[&str]) -> Scene {
        let fact = |id: &&str| TokenFact {
            id: TokenId((*id).to_owned()),
            label: id.to_uppercase(),
            kind: TokenKind::OAuth,
            hot_group: None,
            model: None,
            windows: Vec::new(),
            limited_until_unix_ms: None,
            refused: false,
        };
        let tokens: Vec<TokenFact> = tokens.iter().map(fact).collect();
        let has = tokens.first().map(|token| token.id.0.clone()).unwrap_or_default();
        let (said, core) = (Vec::new(), Core::new(plan));
        let mut scene = Scene { core, now: Tick::ZERO, wrong_ms: 0, tokens: tokens.clone(), said, has, proc: 1 };
        scene.feed(Input::Began { unix_ms: BEGAN_MS, resumed: false, turn_recorded: None, tokens });
        scene
    }

    fn true_ms(&self) -> i64 {
        BEGAN_MS + i64::try_from(self.now.as_ms()).expect("a time")
    }

    fn wall_ms(&self) -> i64 {
        self.true_ms() + self.wrong_ms
    }

    fn known(&self, request: u32) -> Input {
        Input::Tokens { request: Some(request), tokens: self.tokens.clone(), unix_ms: Some(self.wall_ms()) }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "the world does nothing else")]
    /// Feeds an input and the immediate answers to its actions; gives the finish, if the run ended.
    fn feed(&mut self, input: Input) -> Option<Finish> {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.now = self.now.plus_ms(1);
            self.core.handle(self.now, input);
            while let Some(action) = self.core.poll_action() {
                match action {
                    Action::Spawn(spawn) => {
                        assert_eq!(spawn.role, Role::Agent);
                        self.proc = spawn.proc.0;
                        self.has = spawn.token.map(|token| token.0).unwrap_or_default();
                        inputs.push_back(Input::Spawned { proc: spawn.proc, pid: 7, transport: "pty".to_owned() });
                    }
                    Action::Send(_) => self.said.push((self.has.clone(), self.now)),
                    Action::SetCredential { token, proc } => {
                        self.has = token.0;
                        let line = format!(
                            r#"{{"type":"control_response","response":{{"subtype":"success","request_id":"credential-{proc}","response":{{"applied":["X"]}}}}}}"#
                        );
                        inputs.push_back(json(proc.0, line));
                    }
                    Action::ReportToken { request, token, report } => {
                        let known = self.tokens.iter_mut().find(|known| known.id == token).expect("a token");
                        learn(known, &report);
                        inputs.push_back(self.known(request));
                    }
                    Action::ReadTokens { request } => inputs.push_back(self.known(request)),
                    Action::CloseStdin { proc } | Action::Interrupt { proc } => {
                        inputs
                            .push_back(Input::Exited { proc, exit: ExitFact { code: Some(0), ..ExitFact::default() } });
                    }
                    Action::Finish(finish) => return Some(finish),
                    _ => {}
                }
            }
        }
        None
    }

    /// Rejects the last turn, with a reset at this true time if one is given.
    fn is_rejected(&mut self, resets_unix_ms: Option<i64>) -> Option<Finish> {
        let turn = self.core.unanswered_turn().expect("a turn").1.clone();
        let mut lines = accepted(&turn);
        let resets = resets_unix_ms.map_or(String::new(), |ms| format!(r#","resetsAt":{}"#, ms / 1_000));
        lines.push(format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","rateLimitType":"five_hour"{resets}}},"session_id":"{SESSION}"}}"#
        ));
        lines.extend(failed(&turn, 429, "rate_limit"));
        let proc = self.proc;
        lines.into_iter().find_map(|line| self.feed(json(proc, line)))
    }

    fn wait(&mut self) -> Option<Finish> {
        self.now = self.now.max(self.core.poll_timeout().expect("a deadline"));
        let unix_ms = self.wall_ms();
        self.feed(Input::Elapsed { unix_ms })
    }

    /// Rejects each turn and lets time pass, until the run ends or lasts more than two days.
    fn play_on(&mut self, resets_unix_ms: impl Fn(&Scene) -> Option<i64>) -> Finish {
        loop {
            let resets = resets_unix_ms(self);
            let ended = match self.core.unanswered_turn() {
                Some(_) => self.is_rejected(resets),
                None => self.wait(),
            };
            if let Some(finish) = ended {
                return finish;
            }
            assert!(self.said.len() < 40, "it goes on and on: {:?}", self.said);
        }
    }

    fn pauses_ms(&self) -> Vec<u64> {
        self.said.windows(2).map(|two| two[1].1.ms_since(two[0].1)).collect()
    }
}

fn json(proc: u32, line: String) -> Input {
    Input::Line { proc: ProcId(proc), line: LineFact::Json(RawValue::from_string(line).expect("JSON")) }
}

#[test]
fn a_clock_that_steps_forward_costs_one_more_request_and_then_the_other_token_is_taken() {
    let mut scene = Scene::begin(plan(), &["a", "b"]);
    let resets = Some(BEGAN_MS + HOUR_MS);
    scene.wrong_ms = 6 * HOUR_MS;
    // The core learns of the clock's step only with the next `Tokens`.
    assert_eq!(scene.is_rejected(resets), None);
    while scene.said.last().map(|(token, _)| token.as_str()) == Some("a") {
        let ended = if scene.core.unanswered_turn().is_some() { scene.is_rejected(resets) } else { scene.wait() };
        assert_eq!(ended, None);
        assert!(scene.said.len() < 5, "{:?}", scene.said);
    }
    let with: Vec<&str> = scene.said.iter().map(|(token, _)| token.as_str()).collect();
    assert!(with.len() <= 3 && with.last() == Some(&"b"), "{with:?}");
    assert!(scene.now < Tick::ZERO.plus_ms(1_000), "nothing is waited for while another token is free");
}

#[test]
fn a_single_token_behind_a_clock_that_steps_forward_is_asked_after_longer_and_longer_pauses() {
    let mut scene = Scene::begin(plan(), &["a"]);
    scene.wrong_ms = 6 * HOUR_MS;
    let finish = scene.play_on(|_| Some(BEGAN_MS + HOUR_MS));
    assert_eq!(finish.outcome, Outcome::Limits, "{}", finish.reason);
    assert!(finish.reason.contains("16 times in a row"), "{}", finish.reason);
    let pauses = scene.pauses_ms();
    assert_eq!(scene.said.len(), 16, "{pauses:?}");
    assert!(pauses[3..].windows(2).all(|two| two[1] >= two[0]), "each after a longer pause: {pauses:?}");
    assert!(pauses[2] >= 2_000 && scene.now > Tick::ZERO.plus_ms(5 * 3_600_000), "a window is outlasted: {pauses:?}");
    assert_eq!(scene.tokens[0].limited_until_unix_ms.filter(|&until| until != BEGAN_MS + HOUR_MS), None);
}

#[test]
fn a_clock_that_steps_back_waits_for_the_announced_reset_and_not_in_a_loop() {
    let mut scene = Scene::begin(plan(), &["a"]);
    scene.wrong_ms = -6 * HOUR_MS;
    assert_eq!(scene.is_rejected(Some(BEGAN_MS + HOUR_MS)), None);
    while scene.core.unanswered_turn().is_none() {
        assert_eq!(scene.wait(), None);
    }
    assert_eq!(scene.said.len(), 2);
    assert!(scene.pauses_ms()[0] >= 3_600_000, "{:?}", scene.pauses_ms());
}

#[test]
fn a_reset_that_is_past_a_second_or_years_away_is_backed_off_from_by_seconds_and_none_is_invented() {
    const NINE_DAYS_MS: i64 = 9 * 24 * 3_600_000;
    for ahead_ms in [-7_000, 0, 1_000, NINE_DAYS_MS, 1_000_000 * NINE_DAYS_MS] {
        for tokens in [&["a"][..], &[]] {
            let mut scene = Scene::begin(plan(), tokens);
            let finish = scene.play_on(|scene| Some(scene.true_ms() + ahead_ms));
            assert_eq!(finish.outcome, Outcome::Limits, "{}", finish.reason);
            let pauses = scene.pauses_ms();
            assert!((1_000..=10_000).contains(&pauses[0]), "{ahead_ms}: {pauses:?}");
            assert!(pauses.iter().take(3).sum::<u64>() < 30_000, "a flat five minutes: {pauses:?}");
            assert_eq!(scene.said.len(), 16, "{ahead_ms}: {pauses:?}");
            if ahead_ms <= 0 || ahead_ms >= NINE_DAYS_MS {
                let told = scene.tokens.first().and_then(|token| token.limited_until_unix_ms);
                assert_eq!(told, None, "no other ccc is told a reset that nobody announced");
            }
        }
    }
}

#[test]
fn whatever_the_cause_a_turn_without_progress_is_not_said_more_than_a_few_times_at_once() {
    // The agent dies in each turn without output; the user allows a hundred restarts.
    let budgets = Budgets { max_restarts: 100, ..plan().budgets };
    let mut scene = Scene::begin(Plan { budgets, ..plan() }, &["a"]);
    for _ in 0..12 {
        while scene.core.unanswered_turn().is_none() {
            assert_eq!(scene.wait(), None);
        }
        let exit = ExitFact { code: None, signal: Some(9), ..ExitFact::default() };
        let proc = ProcId(scene.proc);
        assert_eq!(scene.feed(Input::Exited { proc, exit }), None);
    }
    let pauses = scene.pauses_ms();
    assert!(pauses[2..].windows(2).all(|two| two[1] >= two[0]), "{pauses:?}");
    assert!(*pauses.last().expect("a pause") >= 512_000, "{pauses:?}");
}
