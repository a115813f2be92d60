//! The choice of the next token after limits, refusals and nearly used windows, for agent and critic.

use super::*;
use crate::core::policy::learn;

/// Wall time at tick zero in these tests, unix milliseconds.
const BEGAN_MS: i64 = 1_000_000;

/// A run, with answers to what the core asks about its tokens.
struct Scene {
    run: Run,
    tokens: Vec<TokenFact>,
}

fn token(id: &str, kind: TokenKind) -> TokenFact {
    TokenFact {
        id: TokenId(id.to_owned()),
        label: id.to_uppercase(),
        kind,
        hot_group: None,
        model: None,
        windows: Vec::new(),
        limited_until_unix_ms: None,
        refused: false,
    }
}

impl Scene {
    fn begin(plan: Plan, tokens: Vec<TokenFact>) -> (Scene, Vec<Action>) {
        let mut scene =
            Scene { run: Run { core: Core::new(plan), now: Tick::ZERO, shown: Vec::new() }, tokens: tokens.clone() };
        let actions = scene.feed(Input::Began { unix_ms: BEGAN_MS, resumed: false, turn_recorded: None, tokens });
        (scene, actions)
    }

    fn feed(&mut self, input: Input) -> Vec<Action> {
        let actions = self.run.feed(input);
        self.answer(actions)
    }

    /// Answers the core's questions about tokens; at most a few in a row.
    fn answer(&mut self, mut actions: Vec<Action>) -> Vec<Action> {
        let mut at = 0;
        while let Some(action) = actions.get(at).cloned() {
            at += 1;
            if let Action::ReportToken { token, report, .. } = &action {
                let known = self.tokens.iter_mut().find(|known| known.id == *token).expect("a token of the pool");
                learn(known, report);
            }
            if let Action::ReportToken { request, .. } | Action::ReadTokens { request } = action {
                let asks = Some(request);
                actions.extend(self.run.feed(Input::Tokens {
                    request: asks,
                    tokens: self.tokens.clone(),
                    unix_ms: None,
                }));
            }
        }
        actions
    }

    fn lines(&mut self, proc: u32, lines: &[String]) -> Vec<Action> {
        let actions = self.run.lines(proc, lines);
        self.answer(actions)
    }

    fn spawned(&mut self, proc: u32) -> Vec<Action> {
        let actions = self.run.spawned(proc);
        self.answer(actions)
    }

    fn ends(&mut self, proc: u32) -> Vec<Action> {
        let actions = self.run.exited(proc, 0, "");
        self.answer(actions)
    }

    fn wait(&mut self) -> Vec<Action> {
        let actions = self.run.wait();
        self.answer(actions)
    }

    fn applied(&mut self, proc: u32, applied: &str) -> Vec<Action> {
        let line = format!(
            r#"{{"type":"control_response","response":{{"subtype":"success","request_id":"credential-{proc}","response":{{"applied":[{applied}]}}}}}}"#
        );
        self.lines(proc, &[line])
    }
}

/// A run whose agent has the task, with the first of these tokens.
fn at_work(plan: Plan, tokens: Vec<TokenFact>) -> (Scene, TurnId) {
    let (mut scene, _) = Scene::begin(plan, tokens);
    let actions = scene.spawned(1);
    let turn = sent(&actions).expect("the task is sent").turn.clone();
    scene.lines(1, &accepted(&turn));
    (scene, turn)
}

/// A usage limit (facts §8, 2.1.329): the event, the synthetic message, the result, idle.
fn spent(turn: &TurnId, resets_in_s: Option<i64>) -> Vec<String> {
    let resets = resets_in_s.map_or(String::new(), |s| format!(r#","resetsAt":{}"#, BEGAN_MS / 1_000 + s));
    let mut lines = vec![format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","rateLimitType":"five_hour"{resets}}},"session_id":"{SESSION}"}}"#
    )];
    lines.extend(failed(turn, 429, "rate_limit"));
    lines
}

fn retry(status: u16) -> String {
    format!(
        r#"{{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":500,"error_status":{status},"error":"x","session_id":"{SESSION}"}}"#
    )
}

fn credentials(actions: &[Action]) -> Vec<&str> {
    actions
        .iter()
        .filter_map(
            |action| if let Action::SetCredential { token, .. } = action { Some(token.0.as_str()) } else { None },
        )
        .collect()
}

fn spawned_with(actions: &[Action]) -> Option<(Role, &str)> {
    spawn(actions).and_then(|spawn| Some((spawn.role, spawn.token.as_ref()?.0.as_str())))
}

fn two(kind: TokenKind) -> Vec<TokenFact> {
    vec![token("a", kind), token("b", kind)]
}

use crate::agent::Role;
use TokenKind::{ApiKey, OAuth};

#[test]
fn a_rejected_oauth_token_is_exchanged_in_the_live_process_and_the_turn_goes_on() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    let actions = scene.lines(1, &spent(&turn, Some(3_600)));
    assert_eq!(credentials(&actions), ["b"]);
    assert_eq!(sent(&actions), None, "nothing is said before the process has answered");
    let actions = scene.applied(1, r#""CLAUDE_CODE_OAUTH_TOKEN""#);
    let send = sent(&actions).expect("the turn goes on").clone();
    assert_eq!((send.proc, send.kind), (ProcId(1), TurnKind::Continue));
    let mut lines = accepted(&send.turn);
    lines.extend(answered(&send.turn, "Done."));
    let actions = scene.lines(1, &lines);
    assert_eq!(spawned_with(&actions), Some((Role::Critic, "b")), "the critic is under the same rule");
    assert_eq!(scene.run.core.restarts(), 0);
    assert_eq!(scene.tokens[0].limited_until_unix_ms, Some(BEGAN_MS + 3_600_000), "the others hear of it");
}

#[test]
fn a_refused_exchange_is_done_by_a_restart_that_counts_as_none() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    scene.lines(1, &spent(&turn, None));
    let actions = scene.applied(1, "");
    assert!(actions.contains(&Action::CloseStdin { proc: ProcId(1) }), "{actions:?}");
    let actions = scene.ends(1);
    assert_eq!(spawned_with(&actions), Some((Role::Agent, "b")));
    assert_eq!(kinds(&scene.spawned(2)), [TurnKind::Continue]);
    assert_eq!(scene.run.core.restarts(), 0);
}

#[test]
fn an_exchange_that_is_not_answered_is_done_by_a_restart() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    scene.lines(1, &spent(&turn, None));
    let actions = scene.wait();
    assert!(actions.contains(&Action::CloseStdin { proc: ProcId(1) }), "{actions:?}");
    assert_eq!(spawned_with(&scene.ends(1)), Some((Role::Agent, "b")));
}

#[test]
fn an_exchange_that_the_next_answer_does_not_bear_out_is_done_again_by_a_restart() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    scene.lines(1, &spent(&turn, Some(3_600)));
    let actions = scene.applied(1, r#""CLAUDE_CODE_OAUTH_TOKEN""#);
    let turn = sent(&actions).expect("a turn").turn.clone();
    scene.lines(1, &accepted(&turn));
    let actions = scene.lines(1, &spent(&turn, Some(3_600)));
    assert!(actions.contains(&Action::CloseStdin { proc: ProcId(1) }), "{actions:?}");
    assert_eq!(scene.tokens[1].limited_until_unix_ms, None, "it is not the second token's fault");
    assert_eq!(spawned_with(&scene.ends(1)), Some((Role::Agent, "b")));
}

#[test]
fn a_rejection_with_another_reset_is_about_the_other_token() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    scene.lines(1, &spent(&turn, Some(3_600)));
    let actions = scene.applied(1, r#""CLAUDE_CODE_OAUTH_TOKEN""#);
    let turn = sent(&actions).expect("a turn").turn.clone();
    scene.lines(1, &accepted(&turn));
    let actions = scene.lines(1, &spent(&turn, Some(60)));
    assert_eq!(decisions(&actions), ["wait for the reset"]);
    assert_eq!(scene.tokens[1].limited_until_unix_ms, Some(BEGAN_MS + 60_000));
}

#[test]
fn an_api_key_is_exchanged_by_a_restart() {
    let (mut scene, turn) = at_work(plan(), two(ApiKey));
    // The CLI did not retry, because the provider asked for a long pause (facts §8).
    let actions = scene.lines(1, &failed(&turn, 429, "rate_limit"));
    assert_eq!(credentials(&actions), Vec::<&str>::new());
    assert!(actions.contains(&Action::CloseStdin { proc: ProcId(1) }), "{actions:?}");
    let actions = scene.ends(1);
    assert_eq!(spawned_with(&actions), Some((Role::Agent, "b")));
    assert_eq!(kinds(&scene.spawned(2)), [TurnKind::Continue]);
}

#[test]
fn a_token_brings_the_model_of_its_service_with_it_and_takes_it_along_when_it_is_left() {
    // The models of the two tokens, and the model after the rotation: "m-1" is the session's.
    for (models, expected) in [
        ([None, None], Some("m-1")),
        ([None, Some("kimi-k2")], Some("kimi-k2")),
        ([Some("m-1"), None], None),
        ([Some("m-1"), Some("kimi-k2")], Some("kimi-k2")),
    ] {
        let of = |id: &str, model: Option<&str>| TokenFact { model: model.map(str::to_owned), ..token(id, ApiKey) };
        let (mut scene, turn) = at_work(plan(), vec![of("a", models[0]), of("b", models[1])]);
        scene.lines(1, &failed(&turn, 429, "rate_limit"));
        let actions = scene.ends(1);
        assert_eq!(spawned_with(&actions), Some((Role::Agent, "b")), "{models:?}");
        let args = &spawn(&actions).expect("a start").launch.args;
        let asked = args.iter().position(|arg| arg == "--model").map(|at| args[at + 1].as_str());
        assert_eq!(asked, expected, "{models:?}");
    }
}

#[test]
fn the_cli_is_not_left_to_try_a_spent_key_for_minutes() {
    let (mut scene, _) = at_work(plan(), two(ApiKey));
    let actions = scene.lines(1, &[retry(429)]);
    assert_eq!(actions.iter().filter(|action| matches!(action, Action::ProbeToken { .. })).count(), 1);
    assert_eq!(decisions(&scene.lines(1, &[retry(429)])), Vec::<&str>::new());
    let actions = scene.lines(1, &[retry(429)]);
    assert!(actions.contains(&Action::Interrupt { proc: ProcId(1) }), "{actions:?}");
    assert_eq!(spawned_with(&scene.ends(1)), Some((Role::Agent, "b")));
    assert_eq!(kinds(&scene.spawned(2)), [TurnKind::Continue]);
}

#[test]
fn a_single_key_is_left_to_the_clis_own_back_off_until_the_provider_says_that_it_is_spent() {
    let (mut scene, _) = at_work(plan(), vec![token("a", ApiKey)]);
    for _ in 0..5 {
        assert_eq!(decisions(&scene.lines(1, &[retry(429)])), Vec::<&str>::new());
    }
    let mut known = scene.tokens.clone();
    known[0].limited_until_unix_ms = Some(BEGAN_MS + 600_000);
    let actions = scene.feed(Input::Tokens { request: None, tokens: known, unix_ms: None });
    assert_eq!(decisions(&actions), ["wait for the reset"]);
    assert!(actions.contains(&Action::Interrupt { proc: ProcId(1) }), "{actions:?}");
    scene.ends(1);
    assert_eq!(scene.run.core.phase(), "waiting");
}

#[test]
fn the_others_are_told_of_a_wait_because_of_too_many_requests_and_choose_as_before() {
    for kind in [ApiKey, OAuth] {
        let (mut scene, _) = at_work(plan(), vec![token("a", kind)]);
        let actions = scene.lines(1, &[retry(429)]);
        let now = scene.run.core.unix_ms();
        let mut told = None;
        for action in &actions {
            if let Action::ReportToken { report: TokenReport::Throttled { until_unix_ms }, .. } = action {
                told = Some(*until_unix_ms);
            }
        }
        assert!(told.is_some_and(|until| (now + 490..=now + 500).contains(&until)), "{actions:?}");
        assert!(!policy::is_limited(scene.tokens[0].limited_until_unix_ms, now) && !scene.tokens[0].refused);
        assert_eq!(decisions(&scene.lines(1, &[retry(529)])), Vec::<&str>::new());
    }
}

#[test]
fn a_refused_token_is_retired_while_the_cli_still_tries() {
    for kind in [ApiKey, OAuth] {
        let (mut scene, _) = at_work(plan(), two(kind));
        let actions = scene.lines(1, &[retry(401)]);
        assert!(scene.tokens[0].refused, "{kind}");
        if kind == OAuth {
            assert_eq!(credentials(&actions), ["b"], "inside the back-off: the turn does not even fail (facts §0.1)");
            assert_eq!(decisions(&scene.applied(1, r#""CLAUDE_CODE_OAUTH_TOKEN""#)), Vec::<&str>::new());
        } else {
            assert!(actions.contains(&Action::Interrupt { proc: ProcId(1) }), "{actions:?}");
            assert_eq!(spawned_with(&scene.ends(1)), Some((Role::Agent, "b")));
        }
    }
}

#[test]
fn a_failure_after_an_exchange_at_work_may_be_about_the_token_before() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    scene.lines(1, &[retry(401)]);
    scene.applied(1, r#""CLAUDE_CODE_OAUTH_TOKEN""#);
    let actions = scene.lines(1, &failed(&turn, 401, "authentication_failed"));
    assert_eq!(kinds(&actions), [TurnKind::Continue]);
    assert!(!scene.tokens[1].refused);
}

#[test]
fn a_key_that_has_never_worked_ends_at_the_second_refusal_and_one_that_has_is_left_to_the_cli() {
    let (mut scene, _) = at_work(plan(), vec![token("a", ApiKey)]);
    assert_eq!(decisions(&scene.lines(1, &[retry(401)])), Vec::<&str>::new());
    let actions = scene.lines(1, &[retry(401)]);
    assert_eq!(decisions(&actions), ["end as failed"], "{actions:?}");
    assert!(scene.tokens[0].refused);

    let (mut scene, turn) = at_work(plan(), vec![token("a", ApiKey)]);
    scene.lines(1, &answered(&turn, "Done."));
    scene.spawned(2);
    for _ in 0..5 {
        assert_eq!(decisions(&scene.lines(2, &[retry(401)])), Vec::<&str>::new(), "it has worked: that may pass");
    }
}

#[test]
fn when_all_are_refused_the_run_ends_and_names_them() {
    let (mut scene, turn) = at_work(plan(), two(ApiKey));
    scene.lines(1, &failed(&turn, 401, "authentication_failed"));
    scene.ends(1);
    let actions = scene.spawned(2);
    let turn = sent(&actions).expect("a turn").turn.clone();
    scene.lines(2, &accepted(&turn));
    // The last token is tried once more: logins are refreshed by other processes.
    let actions = scene.lines(2, &failed(&turn, 401, "authentication_failed"));
    assert_eq!(decisions(&actions), ["wait and try the credential once more"]);
    let turn = sent(&scene.wait()).expect("it is tried once more").turn.clone();
    scene.lines(2, &accepted(&turn));
    scene.lines(2, &failed(&turn, 401, "authentication_failed"));
    let actions = scene.ends(2);
    let finish = finish(&actions).expect("the end");
    assert_eq!(finish.outcome, Outcome::Failed);
    assert!(finish.reason.starts_with("every credential was refused (A, B)"), "{}", finish.reason);
    assert_eq!(finish.rotations, 1);
}

#[test]
fn when_all_are_spent_the_run_waits_for_the_first_reset_and_goes_on_with_that_token() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    scene.tokens[1].limited_until_unix_ms = Some(BEGAN_MS + 600_000);
    let actions = scene.lines(1, &spent(&turn, Some(3_600)));
    assert_eq!(decisions(&actions), ["wait for the reset"]);
    let mut decided = Vec::new();
    let mut all = Vec::new();
    while all.iter().all(|action| !matches!(action, Action::SetCredential { .. })) {
        assert!(scene.run.now < Tick::ZERO.plus_ms(700_000), "{decided:?}");
        all = scene.wait();
        decided.extend(decisions(&all).into_iter().map(str::to_owned));
    }
    assert!(scene.run.now >= Tick::ZERO.plus_ms(600_000));
    assert_eq!(decided, ["go on", "rotate from A to B"]);
}

#[test]
fn no_wait_ends_with_limits_when_all_are_spent_and_not_before() {
    let mut impatient = plan();
    impatient.no_wait = true;
    let (mut scene, turn) = at_work(impatient, two(OAuth));
    let actions = scene.lines(1, &spent(&turn, Some(3_600)));
    assert_eq!(credentials(&actions), ["b"]);
    let actions = scene.applied(1, r#""CLAUDE_CODE_OAUTH_TOKEN""#);
    let turn = sent(&actions).expect("a turn").turn.clone();
    let mut lines = accepted(&turn);
    lines.extend(answered(&turn, "Done."));
    scene.lines(1, &lines);
    scene.spawned(2);
    let actions = scene.feed(Input::TreeMeasured {
        measure: MeasureId(1),
        tree: TreeFact { fingerprint: Some("t".to_owned()), ..TreeFact::default() },
    });
    let brief = sent(&actions).expect("a brief").turn.clone();
    scene.lines(2, &accepted(&brief));
    scene.lines(2, &spent(&brief, Some(3_600)));
    scene.ends(2);
    let actions = scene.ends(1);
    let finish = finish(&actions).expect("the end");
    assert_eq!((finish.outcome, finish.rotations, finish.iterations), (Outcome::Limits, 1, 0));
}

/// A plan with bounds on time, and how its run ends at a reset in an hour, if it ends at once.
#[test]
fn a_wait_that_is_known_to_pass_a_bound_ends_the_run_at_once() {
    let hour_ms = 3_600_000;
    let clock = |ms: i64| Some(BEGAN_MS + ms);
    let rows: [(Budgets, Option<&str>); 7] = [
        (plan().budgets, None),
        (Budgets { max_wait_ms: Some(hour_ms / 2), ..plan().budgets }, Some("--max-wait")),
        (Budgets { max_wait_ms: Some(2 * hour_ms), ..plan().budgets }, None),
        (Budgets { until_unix_ms: clock(1_800_000), ..plan().budgets }, Some("--until")),
        (Budgets { until_unix_ms: clock(7_200_000), ..plan().budgets }, None),
        (Budgets { max_duration_ms: Some(hour_ms / 2), ..plan().budgets }, Some("--max-duration")),
        (Budgets { max_duration_ms: Some(2 * hour_ms), ..plan().budgets }, None),
    ];
    for (budgets, bound) in rows {
        let (mut scene, turn) = at_work(Plan { budgets: budgets.clone(), ..plan() }, vec![token("a", OAuth)]);
        let mut actions = scene.lines(1, &spent(&turn, Some(3_600)));
        actions.extend(scene.ends(1));
        let end = finish(&actions).map(|finish| (finish.outcome, finish.reason.as_str()));
        match (end, bound) {
            (None, None) => {}
            (Some((Outcome::Limits, reason)), Some(bound)) => assert!(reason.contains(bound), "{bound}: {reason}"),
            other => panic!("{budgets:?}: {other:?}"),
        }
    }
}

#[test]
fn a_critics_wait_that_passes_a_bound_ends_the_run_and_its_stop_is_judged_later() {
    let budgets = Budgets { max_wait_ms: Some(60_000), ..plan().budgets };
    let (mut scene, turn) = at_work(Plan { budgets, ..plan() }, vec![token("a", OAuth)]);
    scene.lines(1, &answered(&turn, "Done."));
    scene.spawned(2);
    let tree = TreeFact { fingerprint: Some("t".to_owned()), ..TreeFact::default() };
    let actions = scene.feed(Input::TreeMeasured { measure: MeasureId(1), tree });
    let brief = sent(&actions).expect("a brief").turn.clone();
    scene.lines(2, &accepted(&brief));
    scene.lines(2, &spent(&brief, Some(3_600)));
    scene.ends(2);
    let actions = scene.ends(1);
    let finish = finish(&actions).expect("the end");
    assert_eq!((finish.outcome, finish.iterations), (Outcome::Limits, 0));
    assert!(finish.reason.contains("--max-wait"), "{}", finish.reason);
}

#[test]
fn the_time_of_until_ends_the_run_by_the_wall_clock() {
    let until = BEGAN_MS + 60_000;
    let budgets = Budgets { until_unix_ms: Some(until), ..plan().budgets };
    let (mut scene, _) = at_work(Plan { budgets, ..plan() }, vec![token("a", OAuth)]);
    assert_eq!(scene.run.core.poll_wall_timeout(), Some(until), "it is woken also when the clock is set");
    assert!(finish(&scene.run.feed(Input::Elapsed { unix_ms: until - 1 })).is_none());
    let mut actions = scene.run.feed(Input::Elapsed { unix_ms: until });
    actions.extend(scene.ends(1));
    let finish = finish(&actions).expect("the end");
    assert_eq!(finish.outcome, Outcome::Budget);
    assert!(finish.reason.contains("--until"), "{}", finish.reason);
}

#[test]
fn the_critics_limit_rotates_and_is_neither_verdict_nor_failure() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    scene.lines(1, &answered(&turn, "Done."));
    scene.spawned(2);
    let tree = TreeFact { fingerprint: Some("t".to_owned()), ..TreeFact::default() };
    let actions = scene.feed(Input::TreeMeasured { measure: MeasureId(1), tree });
    let brief = sent(&actions).expect("a brief").turn.clone();
    scene.lines(2, &accepted(&brief));
    let actions = scene.lines(2, &spent(&brief, Some(3_600)));
    assert_eq!(spawned_with(&actions), Some((Role::Critic, "b")));
    assert_eq!(scene.run.core.iteration(), 1);
    assert_eq!(scene.run.core.token(), Some(&TokenId("b".to_owned())));
}

#[test]
fn a_crowded_window_rotates_at_the_next_stop_before_the_critic_and_the_agent_follows() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    let warning = format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"allowed_warning","rateLimitType":"five_hour","utilization":0.96,"resetsAt":{}}},"session_id":"{SESSION}"}}"#,
        BEGAN_MS / 1_000 + 3_600
    );
    let actions = scene.lines(1, &[warning]);
    assert_eq!(credentials(&actions), Vec::<&str>::new(), "not in the middle of a turn");
    assert_eq!(scene.tokens[0].windows.first().and_then(|window| window.utilization), Some(0.96));
    let actions = scene.lines(1, &answered(&turn, "Done."));
    assert_eq!(decisions(&actions), ["rotate from A to B", "ask the critic"]);
    assert_eq!(spawned_with(&actions), Some((Role::Critic, "b")));
    scene.spawned(2);
    let tree = || TreeFact { fingerprint: Some("t".to_owned()), ..TreeFact::default() };
    let actions = scene.feed(Input::TreeMeasured { measure: MeasureId(1), tree: tree() });
    let brief = sent(&actions).expect("a brief").turn.clone();
    let mut lines = accepted(&brief);
    lines.extend(answered(&brief, "Not yet."));
    scene.lines(2, &lines);
    let actions = scene.feed(Input::TreeMeasured { measure: MeasureId(2), tree: tree() });
    assert_eq!(credentials(&actions), ["b"], "the agent is brought to it before it is asked");
    assert_eq!(kinds(&scene.applied(1, r#""CLAUDE_CODE_OAUTH_TOKEN""#)), [TurnKind::Feedback]);
}

#[test]
fn a_start_while_all_are_limited_waits_and_then_starts() {
    let mut limited = two(OAuth);
    for token in &mut limited {
        token.limited_until_unix_ms = Some(BEGAN_MS + 5_000);
    }
    let (mut scene, actions) = Scene::begin(plan(), limited);
    assert_eq!(decisions(&actions), ["begin", "wait for the reset"]);
    assert!(spawn(&actions).is_none());
    let mut actions = Vec::new();
    while spawn(&actions).is_none() {
        actions = scene.wait();
    }
    assert!(scene.run.now >= Tick::ZERO.plus_ms(5_000) && scene.run.now < Tick::ZERO.plus_ms(11_000));
    assert_eq!(spawned_with(&actions), Some((Role::Agent, "a")));
}

#[test]
fn a_crowd_backs_off_on_the_same_subscription_however_long_it_lasts() {
    for kind in [OAuth, TokenKind::Login] {
        let (mut scene, mut turn) = at_work(plan(), two(kind));
        for _ in 0..5 {
            let actions = scene.lines(1, &failed(&turn, 429, "rate_limit"));
            assert!(decisions(&actions).iter().any(|what| what.starts_with("wait ")), "{kind}: {actions:?}");
            let actions = scene.wait();
            turn = sent(&actions).expect("it goes on").turn.clone();
            scene.lines(1, &accepted(&turn));
        }
        assert_eq!(scene.run.core.rotations(), 0, "{kind}: a throttle is no quota");
        assert_eq!(scene.tokens[0].limited_until_unix_ms, None, "{kind}");
    }
}

#[test]
fn an_interactive_run_asks_and_takes_the_answer_or_the_default() {
    for (answer, expected) in [
        (Some(Answer::Rotate), "rotate from A to B"),
        (None, "rotate from A to B"),
        (Some(Answer::Wait), "wait for the reset"),
        (Some(Answer::Exit), "end as limits"),
        (Some(Answer::KeepGoing), "go on with the same token"),
    ] {
        let mut asking = plan();
        asking.interactive = true;
        let (mut scene, turn) = at_work(asking, two(OAuth));
        let actions = scene.lines(1, &spent(&turn, Some(3_600)));
        let question = actions
            .iter()
            .find_map(|action| if let Action::Ask(question) = action { Some(question.clone()) } else { None })
            .expect("a question");
        let About::Limit(about) = &question.about else { panic!("{question:?}") };
        assert_eq!((about.next.as_deref(), question.default), (Some("B"), Answer::Rotate));
        assert_eq!(scene.run.core.phase(), "waiting");
        let stale = OperatorInput::Answer { number: question.number + 1, choice: Answer::Exit };
        assert_eq!(decisions(&scene.feed(Input::Operator(stale))), Vec::<&str>::new());
        let actions = match answer {
            Some(choice) => scene.feed(Input::Operator(OperatorInput::Answer { number: question.number, choice })),
            None => scene.wait(),
        };
        assert_eq!(decisions(&actions).first().copied(), Some(expected), "{answer:?}: {actions:?}");
        let goes_on = matches!(answer, Some(Answer::KeepGoing));
        assert_eq!(kinds(&actions) == [TurnKind::Continue], goes_on, "{answer:?}");
    }
}

/// Found by the fuzz target `core`: a deadline that stays due keeps the driver from reading the answer.
#[test]
fn while_a_token_is_chosen_no_deadline_of_those_who_wait_for_it_is_due() {
    let mut asking = plan();
    asking.interactive = true;
    let mut spent_token = token("a", OAuth);
    spent_token.limited_until_unix_ms = Some(BEGAN_MS + 3_600_000);
    let (scene, _) = Scene::begin(asking, vec![spent_token]);
    assert_eq!(scene.run.core.phase(), "waiting", "the user is asked");
    let due = scene.run.core.poll_timeout().expect("the question's");
    assert_eq!(due.ms_since(scene.run.now), plan().answer_timeout_ms);

    // The same for a critic that waits longer than its timeout, when the tokens are read again.
    let (mut scene, turn) = at_work(plan(), vec![token("a", OAuth)]);
    scene.lines(1, &answered(&turn, "Done."));
    let mut actions = scene.spawned(2);
    actions.extend(scene.run.measured(1, "t", &[]));
    let brief = sent(&actions).expect("a brief").turn.clone();
    scene.lines(2, &accepted(&brief));
    scene.lines(2, &spent(&brief, Some(36_000)));
    scene.ends(2);
    assert_eq!(scene.run.core.phase(), "reviewing");
    let reads = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::ReadTokens { .. }));
    while !reads(&scene.run.wait()) {
        assert!(scene.run.now < Tick::ZERO.plus_ms(40_000_000), "the wait has no end");
    }
    assert!(scene.run.core.poll_timeout().is_none_or(|due| due > scene.run.now));
}

#[test]
fn a_run_that_waited_for_a_token_goes_on_when_it_is_resumed_with_a_new_one() {
    let (mut scene, turn) = at_work(plan(), vec![token("a", OAuth)]);
    scene.lines(1, &spent(&turn, Some(36_000)));
    assert_eq!(scene.run.core.phase(), "waiting");
    let resumed = |tokens| Input::Began { unix_ms: BEGAN_MS + 60_000, resumed: true, turn_recorded: None, tokens };
    let mut same = Scene { run: scene.run.clone(), tokens: scene.tokens.clone() };
    assert_eq!(decisions(&same.feed(resumed(same.tokens.clone()))), ["go on waiting"]);
    scene.tokens.push(token("b", ApiKey));
    let tokens = scene.tokens.clone();
    let actions = scene.feed(resumed(tokens));
    assert_eq!(decisions(&actions).first().copied(), Some("go on"));
    assert_eq!(spawned_with(&actions), Some((Role::Agent, "b")));
}

#[test]
fn when_all_tokens_were_refused_before_they_are_tried_once_more() {
    let mut refused = two(ApiKey);
    for token in &mut refused {
        token.refused = true;
    }
    let (mut scene, turn) = at_work(plan(), refused);
    let actions = scene.lines(1, &failed(&turn, 401, "authentication_failed"));
    assert_eq!(decisions(&actions), ["rotate from A to B", "restart the agent with the other token"]);
    scene.ends(1);
    let turn = sent(&scene.spawned(2)).expect("a turn").turn.clone();
    scene.lines(2, &accepted(&turn));
    let actions = scene.lines(2, &answered(&turn, "Done."));
    assert_eq!(spawned_with(&actions), Some((Role::Critic, "b")));
    assert!(!scene.tokens[1].refused, "the others hear that it works again");
}

/// A 404 from the API (2.1.329).
fn unknown_model(turn: &TurnId) -> Vec<String> {
    let named = |line: String| {
        line.replace(r#""error":"#, r#""is_api_error_message":true,"error":"#)
            .replace(r#""api_error_status":404"#, r#""api_error_status":404,"api_error_type":"not_found_error""#)
    };
    failed(turn, 404, "model_not_found").into_iter().map(named).collect()
}

#[test]
fn a_model_that_has_never_answered_is_asked_for_with_each_token_once_and_then_the_run_says_how_to_choose_another() {
    let (mut scene, turn) = at_work(plan(), two(TokenKind::ApiKey));
    let actions = scene.lines(1, &unknown_model(&turn));
    assert!(decisions(&actions).contains(&"rotate from A to B"), "{actions:?}");
    let actions = scene.ends(1);
    assert_eq!(spawned_with(&actions), Some((Role::Agent, "b")));
    let again = sent(&scene.spawned(2)).expect("the turn").turn.clone();
    scene.lines(2, &accepted(&again));
    scene.lines(2, &unknown_model(&again));
    let end = finish(&scene.ends(2)).expect("the end").clone();
    assert_eq!(end.outcome, Outcome::Failed);
    assert!(end.reason.contains("does not know the model m-1"), "{}", end.reason);
    assert!(end.reason.ends_with("ccc resume run -- --model MODEL"), "{}", end.reason);
}

#[test]
fn a_model_that_has_answered_is_waited_for_then_asked_for_with_the_other_token_and_waited_for_again() {
    let (mut scene, turn) = at_work(plan(), two(TokenKind::ApiKey));
    let words = format!(
        r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":"I look."}}]}},"session_id":"{SESSION}"}}"#
    );
    scene.lines(1, &[words]);
    let actions = scene.lines(1, &unknown_model(&turn));
    assert!(decisions(&actions)[0].starts_with("wait 1"), "{actions:?}");
    let turn = sent(&scene.wait()).expect("it goes on").turn.clone();
    scene.lines(1, &accepted(&turn));
    let actions = scene.lines(1, &unknown_model(&turn));
    assert!(decisions(&actions).contains(&"rotate from A to B"), "{actions:?}");
    assert_eq!(spawned_with(&scene.ends(1)), Some((Role::Agent, "b")));
    let turn = sent(&scene.spawned(2)).expect("the turn").turn.clone();
    scene.lines(2, &accepted(&turn));
    let actions = scene.lines(2, &unknown_model(&turn));
    assert!(decisions(&actions)[0].starts_with("wait 2"), "{actions:?}");
    let turn = sent(&scene.wait()).expect("it goes on").turn.clone();
    scene.lines(2, &accepted(&turn));
    assert!(spawn(&scene.lines(2, &answered(&turn, "Done."))).is_some(), "the critic is asked");
}

#[test]
fn the_model_of_the_critic_alone_ends_the_run_with_the_option_for_it() {
    let mut own = plan();
    own.critic.model = Some("m-2".to_owned());
    for (plan, waits) in [(own, false), (plan(), true)] {
        let mut run = reviewing(plan);
        let words = r#"{"type":"assistant","message":{"content":[{"type":"text","text":"I look."}]}}"#;
        run.line(1, words);
        run.spawned(2);
        let brief = sent(&run.measured(1, "t", &[])).expect("a brief").turn.clone();
        run.lines(2, &accepted(&brief));
        let actions = run.lines(2, &unknown_model(&brief));
        if waits {
            assert!(decisions(&actions).contains(&"wait and ask the critic again"), "{actions:?}");
            continue;
        }
        run.exited(2, 0, "");
        let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
        assert_eq!(end.outcome, Outcome::Failed);
        assert!(end.reason.contains("m-2") && end.reason.ends_with("--critic-model MODEL"), "{}", end.reason);
    }
}

#[test]
fn a_token_whose_command_fails_gives_way_and_the_last_one_ends_the_run() {
    let (mut scene, actions) = Scene::begin(plan(), two(OAuth));
    assert_eq!(spawned_with(&actions), Some((Role::Agent, "a")));
    let failed = |proc| Input::SpawnFailed {
        proc: ProcId(proc),
        fault: SpawnFault::NoCredential,
        message: "A: `op read x` ended with code 1".to_owned(),
    };
    let actions = scene.feed(failed(1));
    assert_eq!(spawned_with(&actions), Some((Role::Agent, "b")));
    assert_eq!(scene.run.core.restarts(), 0);
    let actions = scene.feed(failed(2));
    let finish = finish(&actions).expect("the end");
    assert_eq!(finish.outcome, Outcome::Failed);
    assert!(finish.reason.contains("`op read x` ended"), "{}", finish.reason);
}

#[test]
fn a_token_that_works_again_is_told_to_the_others() {
    let (mut scene, turn) = at_work(plan(), two(OAuth));
    scene.tokens[0].refused = true;
    let tokens = scene.tokens.clone();
    scene.feed(Input::Tokens { request: None, tokens, unix_ms: None });
    scene.lines(1, &answered(&turn, "Done."));
    assert!(!scene.tokens[0].refused);
}

#[test]
fn a_turn_that_a_wait_broke_off_goes_on_after_it_also_when_ccc_itself_ended_meanwhile() {
    for recorded in [None, Some(false)] {
        let (mut scene, turn) = at_work(plan(), vec![token("a", TokenKind::ApiKey)]);
        scene.lines(1, &accepted(&turn));
        scene.lines(1, &[retry(429)]);
        let reset_unix_ms = BEGAN_MS + 90_000;
        scene.tokens[0].limited_until_unix_ms = Some(reset_unix_ms);
        let actions = scene.feed(Input::Tokens { request: None, tokens: scene.tokens.clone(), unix_ms: None });
        assert!(decisions(&actions).contains(&"wait for the reset"), "{actions:?}");
        let tokens = scene.tokens.clone();
        scene.feed(Input::Began { unix_ms: BEGAN_MS, resumed: true, turn_recorded: recorded, tokens });
        let actions = scene.wait();
        let proc = spawn(&actions).expect("an agent, when the wait is over").proc.0;
        let kind = if recorded == Some(false) { TurnKind::Task } else { TurnKind::Continue };
        assert_eq!(kinds(&scene.spawned(proc)), [kind]);
    }
}

#[test]
fn a_critic_that_fails_while_another_token_is_chosen_is_asked_again_when_it_is_settled() {
    let mut tokens = two(OAuth);
    tokens.push(token("c", OAuth));
    let (mut scene, turn) = at_work(plan(), tokens);
    scene.lines(1, &accepted(&turn));
    let critic = spawn(&scene.lines(1, &answered(&turn, "Done."))).expect("a critic").proc.0;
    scene.spawned(critic);
    let actions = scene.run.measured(1, "t", &[]);
    let brief = sent(&scene.answer(actions)).expect("a brief").turn.clone();
    scene.lines(critic, &[retry(401)]);
    scene.applied(critic, r#""CLAUDE_CODE_OAUTH_TOKEN""#);
    // The second token is refused as well, and the CLI gives up before the shared state is read.
    let asks = scene.run.lines(critic, &[retry(401)]);
    assert!(asks.iter().any(|action| matches!(action, Action::ReportToken { .. })), "{asks:?}");
    scene.run.lines(critic, &failed(&brief, 401, "authentication_failed"));
    scene.run.exited(critic, 1, "");
    let actions = scene.answer(asks);
    assert_eq!(spawned_with(&actions), Some((Role::Critic, "c")), "{actions:?}");
}

#[test]
fn going_on_in_spite_of_a_limit_ends_with_the_answer_that_proves_it_free() {
    let mut asks = plan();
    asks.interactive = true;
    let (mut scene, turn) = at_work(asks, vec![token("a", OAuth)]);
    scene.lines(1, &accepted(&turn));
    let actions = scene.lines(1, &spent(&turn, Some(36_000)));
    let number =
        actions.iter().find_map(|action| if let Action::Ask(asked) = action { Some(asked.number) } else { None });
    let answer = OperatorInput::Answer { number: number.expect("a question"), choice: Answer::KeepGoing };
    let again = sent(&scene.feed(Input::Operator(answer))).expect("it is said again").turn.clone();
    scene.lines(1, &accepted(&again));
    let told = scene.lines(1, &answered(&again, "Done."));
    let works = |action: &Action| matches!(action, Action::ReportToken { report: TokenReport::Works, .. });
    assert!(told.iter().any(works), "the other ccc may use it, too: {told:?}");
    // The token is limited again, as another ccc reports while the critic fails.
    let critic = spawn(&told).expect("a critic").proc.0;
    scene.spawned(critic);
    scene.tokens[0].limited_until_unix_ms = Some(BEGAN_MS + 7_200_000);
    let mut actions = scene.feed(Input::Tokens { request: None, tokens: scene.tokens.clone(), unix_ms: None });
    actions.extend(scene.ends(critic));
    actions.extend(scene.wait());
    assert_eq!(spawned_with(&actions), None, "{actions:?}");
    assert!(actions.iter().any(|action| matches!(action, Action::Ask(_))), "it is asked again: {actions:?}");
}

#[test]
fn an_exchange_is_borne_out_by_words_of_the_model_before_the_turn_ends() {
    let says = r#"{"type":"assistant","message":{"model":"m-1","content":[{"type":"text","text":"I go on."}]}}"#;
    for words in [None, Some(says)] {
        let mut tokens = two(OAuth);
        tokens.push(token("c", OAuth));
        let (mut scene, turn) = at_work(plan(), tokens);
        scene.lines(1, &accepted(&turn));
        assert_eq!(credentials(&scene.lines(1, &[retry(401)])), ["b"]);
        scene.applied(1, r#""CLAUDE_CODE_OAUTH_TOKEN""#);
        scene.lines(1, &words.map(str::to_owned).into_iter().collect::<Vec<_>>());
        let limited = scene.lines(1, &spent(&turn, Some(3_600)));
        let reported = scene.tokens[1].limited_until_unix_ms.is_some();
        assert_eq!(reported, words.is_some(), "{words:?}: {limited:?}");
    }
}

#[test]
fn a_wait_for_a_reset_is_gone_on_with_after_a_turn_that_the_agent_began_by_itself() {
    let (mut run, turn) = working(plan());
    let critic = spawn(&run.work(1, &turn, "Done.")).expect("a critic").proc.0;
    let mut actions = run.spawned(critic);
    actions.extend(run.measured(1, "t", &[]));
    let brief = sent(&actions).expect("a brief").turn.clone();
    let waits = run.lines(critic, &spent(&brief, Some(36_000)));
    assert_eq!(decisions(&waits), ["wait for the reset"]);
    run.exited(critic, 1, "");
    // A schedule fires; the failure of the provider is known already.
    let own = TurnId("own".to_owned());
    let woke = run.lines(1, &accepted(&own)[1..3]);
    assert_eq!(decisions(&woke), ["judge again later"]);
    let failed = failed(&own, 429, "rate_limit").join("\n").replace(r#","user_message_uuids":["own"]"#, "");
    let actions = run.lines(1, &failed.lines().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(decisions(&actions), ["wait for the reset"], "{actions:?}");
    run.now = Tick::ZERO.plus_ms(3_000_000);
    let early = run.feed(Input::Elapsed { unix_ms: BEGAN_MS + 3_000_000 });
    assert_eq!((sent(&early), spawn(&early)), (None, None), "{early:?}");
}

#[test]
fn who_does_not_want_to_wait_does_not_wait_for_a_key_that_the_cli_has_given_up_on() {
    for (kind, ends_at_once) in [(ApiKey, true), (OAuth, false)] {
        let mut no_wait = plan();
        no_wait.no_wait = true;
        let (mut scene, turn) = at_work(no_wait, vec![token("a", kind)]);
        let actions = scene.lines(1, &failed(&turn, 429, "rate_limit"));
        let end = |actions: &[Action]| decisions(actions).contains(&"end as limits");
        assert_eq!(end(&actions), ends_at_once, "{kind}: {actions:?}");
        if !ends_at_once {
            let again = sent(&scene.wait()).expect("a momentary crowd is tried once more").turn.clone();
            scene.lines(1, &accepted(&again));
            assert!(end(&scene.lines(1, &failed(&again, 429, "rate_limit"))));
        }
    }
}

#[test]
fn the_user_takes_another_token_by_its_name_or_the_next_that_may_be_used() {
    let spent = TokenFact { limited_until_unix_ms: Some(BEGAN_MS + 600_000), ..token("c", TokenKind::ApiKey) };
    let tokens = vec![token("a", TokenKind::ApiKey), token("b", TokenKind::ApiKey), spent];
    let rotate = |scene: &mut Scene, to: Option<&str>| {
        let to = to.map(|to| TokenId(to.to_owned()));
        let actions = scene.feed(Input::Operator(OperatorInput::Rotate { to }));
        let decided: Vec<String> = decisions(&actions).into_iter().map(str::to_owned).collect();
        (scene.run.core.taken().clone(), decided)
    };
    let (mut scene, _) = Scene::begin(plan(), tokens);
    let actions = scene.run.spawned(1);
    let turn = sent(&actions).expect("the task").turn.clone();
    scene.run.lines(1, &accepted(&turn));
    let refused = (Taken::Refused(Refused::NoSuchToken), vec![]);
    assert_eq!(rotate(&mut scene, Some("Z")), refused);
    assert_eq!(rotate(&mut scene, Some("c")), refused, "it is spent");
    assert_eq!(rotate(&mut scene, Some("A")), (Taken::Already, vec![]));
    let (taken, decided) = rotate(&mut scene, Some("B"));
    assert_eq!(taken, Taken::Done);
    assert_eq!(decided, ["rotate from A to B", "restart the agent with the other token"]);
    let actions = scene.run.crashed(1);
    assert_eq!(spawn(&actions).and_then(|spawn| spawn.token.clone()), Some(TokenId("b".to_owned())));
    assert_eq!(rotate(&mut scene, None).1[0], "rotate from B to A", "the next that may be used");
}
