use super::*;

const NOW: i64 = 1_800_000_000_000;
const RESET: i64 = NOW + 3_600_000;

fn agent(id: &str, standing: Standing) -> AgentFact {
    AgentFact {
        id: id.to_owned(),
        standing,
        is_manager: id.starts_with('m'),
        manager: id.starts_with('w').then(|| "m1".to_owned()),
        end_untold: false,
        kept_down: false,
        ignores_usage: false,
        seen_unix_ms: NOW,
        is_idle: false,
        since_unix_ms: None,
    }
}

const RUNNING: Standing = Standing::Running { ending: false };
const ENDING: Standing = Standing::Running { ending: true };

fn window(name: &str, percent: f64) -> WindowUse {
    WindowUse { name: name.to_owned(), percent: Some(percent), resets_unix_ms: Some(RESET) }
}

fn token(id: &str, windows: Vec<WindowUse>) -> TokenUsage {
    TokenUsage { id: id.to_owned(), label: format!("token {id}"), windows, limited_until_unix_ms: None, refused: false }
}

/// A keeper that has just asked, and heard this.
fn keeper(usage: Vec<TokenUsage>) -> Upkeep {
    Upkeep { asked_unix_ms: Some(NOW), heard_unix_ms: Some(NOW), usage, ..Upkeep::default() }
}

/// What is decided, as words; the state is written and read between two decisions, as by a keeper that is killed.
fn acts(upkeep: &mut Upkeep, now: i64, agents: &[AgentFact]) -> Vec<String> {
    acts_by(upkeep, now, agents, &Rules::default())
}

fn acts_by(upkeep: &mut Upkeep, now: i64, agents: &[AgentFact], rules: &Rules) -> Vec<String> {
    let json = serde_json::to_string(upkeep).expect("it is written");
    *upkeep = serde_json::from_str(&json).expect("it is read");
    // These tests look at one question at a time.
    upkeep.asked_unix_ms = Some(now);
    let decided = upkeep.decide(&Facts { now_unix_ms: now, agents, load: Load::default() }, rules);
    decided
        .acts
        .iter()
        .map(|act| match act {
            Act::AskUsage => "ask".to_owned(),
            Act::Tell { run, notice, .. } => {
                upkeep.told(*notice, run);
                format!("tell {run} {notice}")
            }
            Act::TellOfLost { run, worker } => format!("{run} has lost {worker}"),
            Act::TellUser { run, .. } => {
                upkeep.told_of_end(run);
                format!("the user has lost {run}")
            }
            Act::Stop { run, .. } => format!("stop {run}"),
            Act::End { run, .. } => format!("end {run}"),
            Act::Resume { run, why } => format!("resume {run} {why:?}"),
        })
        .collect()
}

const NONE: [&str; 0] = [];

#[test]
fn each_crossing_is_told_once_and_exactly_at_the_threshold_counts() {
    let agents = [agent("m1", RUNNING), agent("m2", RUNNING), agent("w", RUNNING), agent("m3", Standing::Stopped)];
    let mut upkeep = keeper(Vec::new());
    let mut at = |percents: &[f64]| {
        let windows = ["five_hour", "seven_day"].iter().zip(percents).map(|(name, percent)| window(name, *percent));
        upkeep.heard(vec![token("a", windows.collect()), token("b", vec![window("five_hour", 1.0)])]);
        acts(&mut upkeep, NOW, &agents)
    };
    assert_eq!(at(&[79.99, 0.0]), NONE);
    assert_eq!(at(&[80.0, 0.0]), ["tell m1 1", "tell m2 1"], "exactly at the threshold");
    assert_eq!(at(&[85.0, 0.0]), NONE, "it was said");
    assert_eq!(at(&[85.0, 80.0]), ["tell m1 2", "tell m2 2"], "another window");
    assert_eq!(at(&[79.0, 80.0]), NONE, "down");
    assert_eq!(at(&[81.0, 80.0]), ["tell m1 3", "tell m2 3"], "up again is a new crossing");
    assert_eq!(at(&[90.0, 80.0]), ["tell m1 4", "tell m2 4"], "critical, and the other token has headroom");
    assert_eq!(at(&[99.0, 80.0]), NONE);
    assert_eq!(at(&[85.0, 80.0]), NONE, "down to the first threshold");
    assert_eq!(at(&[95.0, 80.0]), ["tell m1 5", "tell m2 5"]);
}

#[test]
fn a_message_that_could_not_be_told_is_told_again_until_it_is_or_its_time_has_passed() {
    let mut upkeep = keeper(vec![token("a", vec![window("five_hour", 80.0)])]);
    let agents = [agent("m1", RUNNING)];
    let facts = |now| Facts { now_unix_ms: now, agents: &agents, load: Load::default() };
    let rules = Rules { check_interval_ms: i64::MAX, ..Rules::default() };
    let tells = |upkeep: &mut Upkeep, now| upkeep.decide(&facts(now), &rules).acts;
    let first = tells(&mut upkeep, NOW);
    assert!(matches!(&first[..], [Act::Tell { notice: 1, run, text }]
        if run == "m1" && text == "[ccc] 80 % of the window of 5 hours of token a is used. Start only agents that are needed."));
    assert_eq!(tells(&mut upkeep, NOW + TELL_AGAIN_MS - 1), []);
    assert_eq!(tells(&mut upkeep, NOW + TELL_AGAIN_MS), first, "with the same number, so that it is received once");
    assert_eq!(tells(&mut upkeep, NOW + NOTICE_MS), []);
    assert!(upkeep.notices.is_empty());
    let silent = Rules { notify_managers: false, ..rules };
    let mut upkeep = keeper(vec![token("a", vec![window("five_hour", 80.0)])]);
    assert_eq!(upkeep.decide(&facts(NOW), &silent).acts, []);
}

#[test]
fn with_no_headroom_all_are_stopped_once_and_taken_up_in_steps_after_the_reset() {
    let mut upkeep = keeper(vec![token("a", vec![window("five_hour", 90.0)])]);
    let mut ignoring = agent("i", RUNNING);
    ignoring.ignores_usage = true;
    let all = |standing| [agent("m1", standing), agent("w1", standing), agent("w2", standing), ignoring.clone()];
    assert_eq!(acts(&mut upkeep, NOW, &all(RUNNING)), ["stop m1", "stop w1", "stop w2"]);
    assert_eq!(acts(&mut upkeep, NOW + 1, &all(RUNNING)), NONE, "a second order would kill it");
    assert_eq!(acts(&mut upkeep, NOW + STOP_AGAIN_MS, &all(ENDING)), NONE);
    assert_eq!(acts(&mut upkeep, NOW + STOP_AGAIN_MS, &all(Standing::Stopped)), NONE);
    let decided = upkeep.decide(
        &Facts { now_unix_ms: NOW + STOP_AGAIN_MS, agents: &all(Standing::Stopped), load: Load::default() },
        &Rules::default(),
    );
    assert_eq!((decided.wake_unix_ms, decided.rests), (Some(NOW + STOP_AGAIN_MS + 120_000), false));
    assert!(upkeep.continues(&agent("w1", Standing::Stopped), NOW, &Rules::default()), "after the reset");
    assert!(!upkeep.continues(&agent("other", Standing::Stopped), NOW, &Rules::default()));
    // One of them is continued by the user, and another is to stay down.
    let mut agents = all(Standing::Stopped);
    agents[2] = agent("w2", RUNNING);
    agents[1].kept_down = true;
    assert_eq!(acts(&mut upkeep, RESET - 1, &agents), NONE);
    agents[1] = agent("w1", Standing::Died);
    let at = |upkeep: &mut Upkeep, now, agents: &[AgentFact]| {
        upkeep.usage[0].windows[0].resets_unix_ms = Some(RESET);
        acts(upkeep, now, agents)
    };
    assert_eq!(at(&mut upkeep, RESET, &agents), ["resume m1 TakenUp"]);
    upkeep.resumed("m1", Why::TakenUp, None, RESET, &Rules::default());
    agents[0] = agent("m1", RUNNING);
    assert_eq!(at(&mut upkeep, RESET + 4_999, &agents), NONE);
    assert_eq!(upkeep.stopped.len(), 0);
}

#[test]
fn agents_are_taken_up_one_after_the_other_with_a_pause() {
    let ids: Vec<String> = (0..5).map(|n| format!("w{n}")).collect();
    let stopped = |id: &String| {
        (
            id.clone(),
            Stopped {
                episode: 1,
                since_unix_ms: NOW,
                has_ended: true,
                released: false,
                again_unix_ms: 0,
                failures: 0,
                given_up: None,
            },
        )
    };
    let mut upkeep = Upkeep { stopped: ids.iter().map(stopped).collect(), ..keeper(Vec::new()) };
    let mut agents: Vec<AgentFact> = ids.iter().map(|id| agent(id, Standing::Stopped)).collect();
    let mut starts = Vec::new();
    let mut now = NOW;
    while starts.len() < 5 {
        for act in acts(&mut upkeep, now, &agents) {
            let run =
                act.strip_prefix("resume ").and_then(|act| act.strip_suffix(" TakenUp")).expect("a start").to_owned();
            upkeep.resumed(&run, Why::TakenUp, None, now, &Rules::default());
            let at = agents.iter().position(|agent| agent.id == run).expect("an agent");
            agents[at].standing = RUNNING;
            starts.push(now);
        }
        now += 250;
        assert!(now < NOW + 60_000, "{starts:?}");
    }
    for pair in starts.windows(2) {
        assert!((5_000..7_500).contains(&(pair[1] - pair[0])), "{starts:?}");
    }
}

#[test]
fn one_token_with_headroom_is_enough_and_an_unknown_usage_is_none() {
    let full = || token("a", vec![window("five_hour", 95.0)]);
    let unknown = WindowUse { percent: None, ..window("five_hour", 0.0) };
    let refused = TokenUsage { refused: true, ..token("b", vec![window("five_hour", 1.0)]) };
    let limited =
        |until| TokenUsage { limited_until_unix_ms: Some(until), ..token("b", vec![window("five_hour", 1.0)]) };
    let other = |percent| token("b", vec![window("five_hour", 5.0), window("seven_day", percent)]);
    let agents = [agent("w", RUNNING)];
    for (usage, stops) in [
        (vec![full()], true),
        (vec![full(), other(89.9)], false),
        (vec![full(), other(90.0)], true),
        (vec![other(89.9), full()], false),
        (vec![full(), token("b", vec![unknown])], false),
        (vec![full(), token("b", Vec::new())], false),
        (vec![full(), refused.clone()], true),
        (vec![full(), limited(NOW)], false),
        (vec![full(), limited(NOW + 1)], true),
        (vec![refused], false),
        (vec![limited(NOW + 1)], false),
        (Vec::new(), false),
    ] {
        let mut upkeep = keeper(usage.clone());
        let expected = if stops { vec!["stop w"] } else { Vec::new() };
        assert_eq!(acts(&mut upkeep, NOW, &agents), expected, "{usage:?}");
        let refuses = matches!(admission(&usage, false, NOW, &Rules::default()), Admission::Refused(_));
        assert_eq!(refuses, stops, "{usage:?}");
    }
}

#[test]
fn a_new_agent_is_refused_at_the_threshold_unless_the_user_ignores_it() {
    let usage = [token("a", vec![window("five_hour", 50.0), window("seven_day", 90.0)])];
    let rules = Rules::default();
    let full = Full {
        token: "token a".to_owned(),
        window: "seven_day".to_owned(),
        percent: 90.0,
        resets_unix_ms: Some(RESET),
    };
    assert_eq!(admission(&usage, false, NOW, &rules), Admission::Refused(full.clone()));
    assert_eq!(admission(&usage, true, NOW, &rules), Admission::Ignored(full));
    assert_eq!(admission(&usage, false, RESET, &rules), Admission::Unknown, "after the reset");
    let below = [token("a", vec![window("five_hour", 89.99)])];
    assert_eq!(admission(&below, false, NOW, &rules), Admission::Allowed);
    // A reserve for the user lowers the threshold.
    let reserved = Rules { critical_percent: 50.0, warn_percent: 50.0, ..Rules::default() };
    assert!(matches!(admission(&below, false, NOW, &reserved), Admission::Refused(_)));
    let off = Rules { watches_usage: false, ..Rules::default() };
    assert_eq!(admission(&usage, false, NOW, &off), Admission::Allowed);
    let mut upkeep = keeper(usage.to_vec());
    assert_eq!(acts_by(&mut upkeep, NOW, &[agent("m", RUNNING)], &off), NONE);
}

#[test]
fn where_the_user_wants_it_agents_are_ended_instead() {
    let rules = Rules { ends_agents: true, ..Rules::default() };
    let mut upkeep = keeper(vec![token("a", vec![window("five_hour", 90.0)])]);
    assert_eq!(acts_by(&mut upkeep, NOW, &[agent("w", RUNNING)], &rules), ["end w"]);
    let mut ended = agent("w", Standing::Stopped);
    ended.kept_down = true;
    assert_eq!(acts_by(&mut upkeep, RESET, &[ended], &rules), NONE);
}

#[test]
fn an_agent_that_the_user_continues_is_not_stopped_again_before_the_next_crossing() {
    let mut upkeep = keeper(vec![token("a", vec![window("five_hour", 90.0)])]);
    let running = [agent("w", RUNNING)];
    assert_eq!(acts(&mut upkeep, NOW, &running), ["stop w"]);
    assert_eq!(acts(&mut upkeep, NOW + 1_000, &[agent("w", Standing::Stopped)]), NONE);
    assert_eq!(acts(&mut upkeep, NOW + STOP_AGAIN_MS, &running), NONE);
    upkeep.heard(vec![token("a", vec![window("five_hour", 20.0)])]);
    assert_eq!(acts(&mut upkeep, NOW + 200_000, &running), NONE);
    assert!(upkeep.stopped.is_empty());
    upkeep.heard(vec![token("a", vec![window("five_hour", 90.0)])]);
    assert_eq!(acts(&mut upkeep, NOW + 300_000, &running), ["stop w"]);
    // The order did not arrive: it is given again.
    upkeep.stop_failed("w");
    assert_eq!(acts(&mut upkeep, NOW + 301_000, &running), ["stop w"]);
    upkeep.begin();
    assert_eq!(acts(&mut upkeep, NOW + 302_000, &[agent("w", ENDING)]), NONE, "it has arrived");
    assert_eq!(acts(&mut upkeep, NOW + 302_000, &running), ["stop w"], "the keeper was killed before it was sent");
}

#[test]
fn a_dead_agent_is_revived_within_the_limits_and_then_marked() {
    let rules = Rules::default();
    let mut upkeep = keeper(Vec::new());
    let dead = [agent("w", Standing::Died)];
    let at = |upkeep: &Upkeep| upkeep.continued_at(&dead[0], NOW, &rules);
    assert_eq!(at(&upkeep), Some(NOW + FIRST_REVIVAL_MS), "also before the keeper has seen it");
    assert_eq!(acts(&mut upkeep, NOW, &dead), NONE, "it may be between two steps of its start");
    assert_eq!(at(&upkeep), Some(NOW + FIRST_REVIVAL_MS));
    assert_eq!(acts(&mut upkeep, NOW + FIRST_REVIVAL_MS, &dead), ["resume w Died"]);
    upkeep.resumed("w", Why::Died, None, NOW + FIRST_REVIVAL_MS, &rules);
    assert_eq!(acts(&mut upkeep, NOW + 5_000, &[agent("w", RUNNING)]), NONE);
    // It dies again at once.
    let again = NOW + 6_000;
    assert_eq!(acts(&mut upkeep, again, &dead), NONE);
    assert_eq!(at(&upkeep), Some(NOW + FIRST_REVIVAL_MS + 10_000));
    assert_eq!(upkeep.continued_at(&agent("w", RUNNING), NOW, &rules), None);
    assert_eq!(acts(&mut upkeep, NOW + FIRST_REVIVAL_MS + 9_999, &dead), NONE, "not before the pause");
    assert_eq!(acts(&mut upkeep, NOW + FIRST_REVIVAL_MS + 10_000, &dead), ["resume w Died"]);
    upkeep.resumed("w", Why::Died, Some("the agent does not exist".to_owned()), again, &rules);
    assert_eq!(acts(&mut upkeep, NOW + FIRST_REVIVAL_MS + 29_999, &dead), NONE, "the pause doubles");
    assert_eq!(acts(&mut upkeep, NOW + FIRST_REVIVAL_MS + 30_000, &dead), ["resume w Died"]);
    assert_eq!(acts(&mut upkeep, NOW + 600_000, &dead), ["the user has lost w"]);
    assert_eq!(at(&upkeep), None);
    let why = upkeep.given_up("w").expect("given up").why.clone();
    assert_eq!(why, "it was revived 3 times in an hour: the agent does not exist");
    let decided = upkeep.decide(&Facts { now_unix_ms: NOW + 7_200_000, agents: &dead, load: Load::default() }, &rules);
    assert_eq!(decided.acts, [], "it stays down");
    // The user continues it.
    assert_eq!(acts(&mut upkeep, NOW + 7_300_000, &[agent("w", RUNNING)]), NONE);
    assert_eq!(upkeep.given_up("w"), None);
    let later = [AgentFact { seen_unix_ms: NOW + 7_400_000, ..agent("w", Standing::Died) }];
    assert_eq!(acts(&mut upkeep, NOW + 7_400_000, &later), NONE);
    assert_eq!(acts(&mut upkeep, NOW + 7_401_000, &later), ["resume w Died"]);
}

#[test]
fn who_is_not_to_be_revived_is_left_alone() {
    let mut kept_down = agent("k", Standing::Died);
    kept_down.kept_down = true;
    let mut old = agent("o", Standing::Died);
    old.seen_unix_ms = NOW - Rules::default().revived_within_ms;
    let agents =
        [kept_down, old, agent("e", Standing::Ended), agent("s", Standing::Stopped), agent("n", Standing::Starting)];
    let mut upkeep = keeper(Vec::new());
    for at in [0, FIRST_REVIVAL_MS, 600_000] {
        assert_eq!(acts(&mut upkeep, NOW + at, &agents), NONE);
        assert!(agents.iter().all(|agent| !upkeep.continues(agent, NOW + at, &Rules::default())));
    }
    // Nobody is started past the threshold, except who ignores it.
    let mut upkeep = keeper(vec![token("a", vec![window("five_hour", 90.0)])]);
    let mut ignoring = agent("i", Standing::Died);
    ignoring.ignores_usage = true;
    let agents = [agent("d", Standing::Died), ignoring];
    assert_eq!(acts(&mut upkeep, NOW, &agents), NONE);
    assert_eq!(acts(&mut upkeep, NOW + FIRST_REVIVAL_MS, &agents), ["resume i Died"]);
    assert_eq!(acts(&mut upkeep, NOW + 60_000, &[agent("d", Standing::Died)]), NONE);
    assert!(upkeep.continues(&agent("d", Standing::Died), NOW + 60_000, &Rules::default()), "after the reset");
    assert_eq!(acts(&mut upkeep, RESET - 1, &[agent("d", Standing::Died)]), NONE);
    assert_eq!(acts(&mut upkeep, RESET, &[agent("d", Standing::Died)]), ["resume d Died"]);
}

#[test]
fn after_a_reboot_the_agents_are_revived_in_steps() {
    let mut upkeep = keeper(Vec::new());
    let agents: Vec<AgentFact> = (0..4).map(|n| agent(&format!("w{n}"), Standing::Died)).collect();
    assert_eq!(acts(&mut upkeep, NOW, &agents), NONE);
    for (n, at) in [(0, 1_000), (1, 8_000), (2, 15_000), (3, 22_000)] {
        let mut agents = agents.clone();
        agents[..n].iter_mut().for_each(|agent| agent.standing = RUNNING);
        assert_eq!(acts(&mut upkeep, NOW + at, &agents), [format!("resume w{n} Died")]);
    }
}

#[test]
fn usage_is_asked_about_once_in_an_interval_and_only_while_an_agent_lives() {
    let rules = Rules::default();
    let mut upkeep = Upkeep::default();
    let agents: Vec<AgentFact> = (0..20).map(|n| agent(&format!("w{n}"), RUNNING)).collect();
    let mut asked = Vec::new();
    for second in 0..600 {
        let facts = Facts { now_unix_ms: NOW + second * 1_000, agents: &agents, load: Load::default() };
        if upkeep.decide(&facts, &rules).acts.contains(&Act::AskUsage) {
            asked.push(second);
            upkeep.heard(Vec::new());
            // A keeper that is killed now does not ask again.
            upkeep = serde_json::from_str(&serde_json::to_string(&upkeep).expect("written")).expect("read");
            upkeep.begin();
        }
    }
    assert_eq!(asked, [0, 120, 240, 360, 480]);
    // One that is killed before it has heard the answer looks for it again.
    upkeep.asked_unix_ms = Some(NOW + 600_000);
    upkeep.begin();
    let facts = Facts { now_unix_ms: NOW + 600_001, agents: &agents, load: Load::default() };
    assert_eq!(upkeep.decide(&facts, &rules).acts, [Act::AskUsage]);
    let ended = [agent("w", Standing::Ended)];
    let decided = Upkeep::default().decide(&Facts { now_unix_ms: NOW, agents: &ended, load: Load::default() }, &rules);
    assert_eq!((decided.acts, decided.rests, decided.wake_unix_ms), (Vec::new(), false, Some(NOW + 60_000)));
}

#[test]
fn the_keeper_rests_when_nothing_was_to_be_kept_for_the_grace_period() {
    let rules = Rules { watches_usage: false, ..Rules::default() };
    let mut upkeep = Upkeep::default();
    let mut rests = |at: i64, standing| {
        upkeep
            .decide(&Facts { now_unix_ms: NOW + at, agents: &[agent("w", standing)], load: Load::default() }, &rules)
            .rests
    };
    assert!(!rests(0, Standing::Ended));
    assert!(!rests(59_999, Standing::Ended));
    assert!(rests(60_000, Standing::Ended));
    assert!(!rests(60_001, RUNNING));
    assert!(!rests(60_002, Standing::Ended));
    assert!(!rests(120_001, Standing::Ended));
    assert!(rests(120_002, Standing::Ended));
}

#[test]
fn a_state_of_a_newer_keeper_is_read_and_nothing_in_it_breaks() {
    let upkeep: Upkeep = serde_json::from_str(r#"{"asked_unix_ms": 5, "dreams": [1], "stopped": {}}"#).expect("read");
    assert_eq!(upkeep, Upkeep { asked_unix_ms: Some(5), ..Upkeep::default() });
}

const QUEUED: Standing = Standing::Queued;

#[test]
fn agents_that_wait_for_room_start_one_at_a_time_and_the_oldest_first() {
    let rules = Rules { room: RoomLimits { max_running: Some(2), ..RoomLimits::default() }, ..Rules::default() };
    let mut upkeep = keeper(Vec::new());
    let mut agents = [agent("a", RUNNING), agent("c", QUEUED), agent("b", QUEUED), agent("d", QUEUED)];
    let step = rules.step_ms + rules.step_jitter_ms;
    assert_eq!(acts_by(&mut upkeep, NOW, &agents, &rules), ["resume c Queued"], "the order is that of the facts");
    agents[1] = agent("c", Standing::Starting);
    assert_eq!(acts_by(&mut upkeep, NOW + step, &agents, &rules), NONE, "two run");
    let facts = Facts { now_unix_ms: NOW + step, agents: &agents, load: Load::default() };
    assert_eq!(upkeep.decide(&facts, &rules).wake_unix_ms, Some(NOW + step + LOAD_AGAIN_MS), "it is measured again");
    agents[0] = agent("a", Standing::Ended);
    assert_eq!(acts_by(&mut upkeep, NOW + step, &agents, &rules), ["resume b Queued"]);
    let no_limit = Rules::default();
    assert_eq!(acts_by(&mut upkeep, NOW + step + 1, &agents, &no_limit), NONE, "there is a pause between two starts");
    agents[2].standing = RUNNING;
    agents[3].kept_down = true;
    assert_eq!(acts_by(&mut upkeep, NOW + 2 * step, &agents, &no_limit), NONE, "the user has stopped it");
    let waiting = [agent("d", QUEUED)];
    let facts = Facts { now_unix_ms: NOW + 9 * step, agents: &waiting, load: Load::default() };
    assert!(!upkeep.decide(&facts, &rules).rests, "while one waits there is something to keep");
}

#[test]
fn an_agent_that_waits_does_not_start_without_memory_or_headroom() {
    let little = Load { available_bytes: Some(1), total_bytes: Some(1 << 30), ..Load::default() };
    let agents = [agent("a", QUEUED)];
    let mut upkeep = keeper(Vec::new());
    let rules = Rules::default();
    let decided = upkeep.decide(&Facts { now_unix_ms: NOW, agents: &agents, load: little }, &rules);
    assert_eq!((decided.acts, decided.wake_unix_ms), (Vec::new(), Some(NOW + LOAD_AGAIN_MS)));
    let mut upkeep = keeper(vec![token("a", vec![window("five_hour", 90.0)])]);
    assert_eq!(acts(&mut upkeep, NOW, &agents), NONE);
    let mut ignoring = agents.clone();
    ignoring[0].ignores_usage = true;
    assert_eq!(acts(&mut upkeep, NOW, &ignoring), ["resume a Queued"]);
    assert_eq!(acts(&mut upkeep, RESET, &agents), ["resume a Queued"], "after the reset");
}

#[test]
fn an_agent_that_cannot_be_started_lets_others_pass_and_is_given_up_in_the_end() {
    let rules = Rules::default();
    let agents = [agent("a", QUEUED), agent("b", QUEUED)];
    let mut upkeep = keeper(Vec::new());
    let mut now = NOW;
    assert_eq!(acts(&mut upkeep, now, &agents), ["resume a Queued"]);
    upkeep.resumed("a", Why::Queued, Some("no such base".to_owned()), now, &rules);
    now += rules.step_ms + rules.step_jitter_ms;
    assert_eq!(acts(&mut upkeep, now, &agents), ["resume b Queued"]);
    upkeep.resumed("b", Why::Queued, None, now, &rules);
    for _ in 1..rules.most_revivals {
        now += 10 * rules.revival_backoff_ms;
        assert_eq!(acts(&mut upkeep, now, &agents[..1]), ["resume a Queued"]);
        upkeep.resumed("a", Why::Queued, Some("no such base".to_owned()), now, &rules);
    }
    now += 10 * rules.revival_backoff_ms;
    assert_eq!(acts(&mut upkeep, now, &agents[..1]), ["the user has lost a"]);
    assert_eq!(upkeep.given_up("a").map(|it| it.why.as_str()), Some("it could not be started: no such base"));
    upkeep.forget_failures();
    assert_eq!(acts(&mut upkeep, now, &agents[..1]), ["resume a Queued"], "the machine was started anew");
}

#[test]
fn what_has_just_started_counts_with_the_memory_that_it_will_use() {
    let mut agents = [agent("a", RUNNING), agent("b", RUNNING), agent("c", Standing::Starting), agent("d", QUEUED)];
    agents[0].since_unix_ms = Some(NOW - YOUNG_MS);
    agents[1].since_unix_ms = Some(NOW - YOUNG_MS + 1);
    let facts = facts_of_room(&Facts { now_unix_ms: NOW, agents: &agents, load: Load::default() }, 7);
    assert_eq!((facts.running, facts.young, facts.before), (3, 2, 7));
    // A manager that waits for a worker in the queue must not keep it there.
    agents[0].is_idle = true;
    let facts = facts_of_room(&Facts { now_unix_ms: NOW, agents: &agents, load: Load::default() }, 0);
    assert_eq!((facts.running, facts.young), (2, 2));
}

#[test]
fn a_manager_is_told_once_of_a_worker_that_has_died_and_is_not_revived() {
    let mut upkeep = keeper(Vec::new());
    let rules = Rules { step_ms: 0, step_jitter_ms: 0, ..Rules::default() };
    let mut kept_down = agent("w2", Standing::Died);
    kept_down.kept_down = true;
    let agents = |manager, worker| [agent("m1", manager), agent("w1", worker), kept_down.clone()];
    let mut at = |ms: i64, manager, worker| acts_by(&mut upkeep, NOW + ms, &agents(manager, worker), &rules);
    assert_eq!(at(0, Standing::Stopped, Standing::Died), NONE, "it is told when it is continued");
    assert_eq!(at(500, RUNNING, Standing::Died), ["m1 has lost w2"]);
    // Nobody has said that it was received: the keeper was killed, or the manager could not be reached.
    assert_eq!(at(500 + TELL_AGAIN_MS - 1, RUNNING, RUNNING), NONE);
    assert_eq!(at(500 + TELL_AGAIN_MS, RUNNING, RUNNING), ["m1 has lost w2"]);
    upkeep.told_of_lost("w2");
    let mut at = |ms: i64, worker| acts_by(&mut upkeep, NOW + ms, &agents(RUNNING, worker), &rules);
    assert_eq!(at(60_000, RUNNING), NONE);
    // One that is revived is not lost; one whose revivals are spent is.
    assert_eq!(at(60_001, Standing::Died), NONE);
    for (ms, revived) in [(61_001, true), (71_001, true), (91_001, true)] {
        assert_eq!(at(ms, Standing::Died) == ["resume w1 Died"], revived, "{ms}");
    }
    assert_eq!(at(131_001, Standing::Died), ["m1 has lost w1", "the user has lost w1"]);
    upkeep.told_of_lost("w1");
    let mut at = |ms: i64, worker| acts_by(&mut upkeep, NOW + ms, &agents(RUNNING, worker), &rules);
    assert_eq!(at(141_001, Standing::Died), NONE);
    // Somebody continues it, and it dies again: that is another end.
    assert_eq!(at(142_000, RUNNING), NONE);
    assert_eq!(at(143_000, Standing::Died), ["m1 has lost w1", "the user has lost w1"]);
}

#[test]
fn the_user_is_told_once_of_an_agent_that_is_not_continued_any_more_and_before_the_keeper_ends() {
    let mut upkeep = keeper(Vec::new());
    let rules = Rules { step_ms: 0, step_jitter_ms: 0, grace_ms: 0, ..Rules::default() };
    let mut kept_down = agent("b", Standing::Died);
    kept_down.kept_down = true;
    let agents = |standing| [agent("a", standing), kept_down.clone()];
    let mut now = NOW;
    for _ in 0..rules.most_revivals {
        assert_eq!(acts_by(&mut upkeep, now, &agents(Standing::Died), &rules), NONE);
        now += 100_000;
        assert_eq!(acts_by(&mut upkeep, now, &agents(Standing::Died), &rules), ["resume a Died"]);
        now += 1_000;
        assert_eq!(acts_by(&mut upkeep, now, &agents(RUNNING), &rules), NONE);
    }
    let dead = agents(Standing::Died);
    let facts = Facts { now_unix_ms: now, agents: &dead, load: Load::default() };
    upkeep.asked_unix_ms = Some(now);
    // Nobody says that it was done, as when the keeper is killed: then it is done again, although nothing else is left to do.
    for _ in 0..2 {
        let decided = upkeep.decide(&facts, &rules);
        assert!(
            !decided.rests && matches!(&decided.acts[..], [Act::TellUser { run, .. }] if run == "a"),
            "{decided:?}"
        );
    }
    upkeep.told_of_end("a");
    let decided = upkeep.decide(&facts, &rules);
    assert!(decided.rests && decided.acts.is_empty(), "{decided:?}");
    let lost = ["the user has lost a"];
    // Somebody continues it, and it is given up again: that is another end.
    assert_eq!(acts_by(&mut upkeep, now, &agents(RUNNING), &rules), NONE);
    assert_eq!(acts_by(&mut upkeep, now, &agents(Standing::Died), &rules), lost);
}

#[test]
fn the_end_of_a_worker_that_its_ccc_could_not_tell_is_told_to_the_running_manager() {
    let mut upkeep = keeper(Vec::new());
    let untold = || AgentFact { end_untold: true, ..agent("w1", Standing::Ended) };
    let facts = |manager, worker: AgentFact| [agent("m1", manager), worker, agent("w2", Standing::Ended)];
    assert_eq!(acts(&mut upkeep, NOW, &facts(Standing::Stopped, untold())), NONE, "it is told when it is continued");
    assert_eq!(acts(&mut upkeep, NOW, &facts(RUNNING, untold())), ["m1 has lost w1"]);
    assert_eq!(acts(&mut upkeep, NOW + TELL_AGAIN_MS - 1, &facts(RUNNING, untold())), NONE);
    assert_eq!(acts(&mut upkeep, NOW + TELL_AGAIN_MS, &facts(RUNNING, untold())), ["m1 has lost w1"]);
    upkeep.told_of_lost("w1");
    assert_eq!(acts(&mut upkeep, NOW + 2 * TELL_AGAIN_MS, &facts(RUNNING, untold())), NONE);
    // Continued by the user, it ends again.
    assert_eq!(acts(&mut upkeep, NOW + 3 * TELL_AGAIN_MS, &facts(RUNNING, agent("w1", RUNNING))), NONE);
    assert_eq!(acts(&mut upkeep, NOW + 4 * TELL_AGAIN_MS, &facts(RUNNING, untold())), ["m1 has lost w1"]);
}

#[test]
fn an_agent_that_was_stopped_for_the_usage_has_not_ended() {
    let mut upkeep = keeper(vec![token("a", vec![window("five_hour", 90.0)])]);
    assert!(!upkeep.is_taken_up_later("w1"));
    assert_eq!(acts(&mut upkeep, NOW, &[agent("w1", RUNNING)]), ["stop w1"]);
    assert!(upkeep.is_taken_up_later("w1"), "from the order on");
    acts(&mut upkeep, NOW + 1, &[agent("w1", Standing::Stopped)]);
    assert!(upkeep.is_taken_up_later("w1"));
    acts(&mut upkeep, NOW + 2, &[agent("w1", RUNNING)]);
    assert!(!upkeep.is_taken_up_later("w1"), "somebody else has continued it");
}

/// Fleet 118.
#[test]
fn an_agent_that_the_user_keeps_down_and_continues_is_not_stopped_again_before_the_next_crossing() {
    let mut upkeep = keeper(vec![token("a", vec![window("five_hour", 90.0)])]);
    let down = || AgentFact { kept_down: true, ..agent("w1", Standing::Stopped) };
    assert_eq!(acts(&mut upkeep, NOW, &[agent("w1", RUNNING)]), ["stop w1"]);
    assert_eq!(acts(&mut upkeep, NOW + 1, &[agent("w1", Standing::Stopped)]), NONE);
    assert_eq!(acts(&mut upkeep, NOW + 2, &[down()]), NONE);
    assert_eq!(acts(&mut upkeep, NOW + STOP_AGAIN_MS, &[agent("w1", RUNNING)]), NONE, "the user has continued it");
    assert_eq!(acts(&mut upkeep, NOW + STOP_AGAIN_MS + 1, &[down()]), NONE);
    assert_eq!(acts(&mut upkeep, RESET, &[down()]), NONE, "and the user has stopped it");
    assert!(upkeep.stopped.is_empty(), "after the reset it is forgotten");
}
