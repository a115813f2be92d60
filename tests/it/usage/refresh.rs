use std::time::Duration;

use ccc::core::{TokenId, TokenReport};
use ccc::tokens::usage::{
    Ask, FIRST_BACKOFF_MS, INTERVAL_MS, Judged, LoginPlace, NotAsked, OTHERS_WAIT, Refreshed, Usage, UsageCache,
};
use ccc::tokens::{Credential, CredentialKind, ProbeVerdict, Provider as Company, SeenValue, SharedTokens};
use secrecy::SecretString;

use super::probing::{SECRET, http};
use super::server::{Provider, Reply, account, now_ms};

const FREE: Ask = Ask { thorough: false, wait: Duration::ZERO };
const THOROUGH: Ask = Ask { thorough: true, wait: Duration::ZERO };

/// A state directory and a server that all hosts are.
struct World {
    dir: tempfile::TempDir,
    provider: Provider,
}

impl World {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("tempdir"), provider: Provider::start() }
    }

    fn cache(&self) -> UsageCache {
        UsageCache::new(self.dir.path())
    }

    fn usage(&self) -> Usage {
        let url = self.provider.url();
        let http = http(&[("ANTHROPIC_BASE_URL", &url), ("CCC_USAGE_BASE_URL", &url)]);
        let login = LoginPlace { file: self.dir.path().join(".credentials.json"), keychain: None };
        Usage::new(http, self.cache(), SharedTokens::new(self.dir.path()), login)
    }
}

fn held(kind: CredentialKind) -> Credential {
    Credential::held("L", kind, Company::Anthropic, SecretString::from(SECRET))
}

fn again(refreshed: &Refreshed) -> Option<i64> {
    match refreshed {
        Refreshed::NotDue { again_unix_ms } => Some(*again_unix_ms),
        Refreshed::Failed { again_unix_ms, .. } => *again_unix_ms,
        Refreshed::Learnt(_) | Refreshed::ByAnother | Refreshed::NotAsked(_) => None,
    }
}

#[test]
fn a_429_of_the_endpoint_is_remembered_with_a_pause_that_doubles() {
    let world = World::new();
    world.provider.answers("/api/oauth/usage", Reply::of(429, "{}").header("retry-after", 0));
    let token = held(CredentialKind::OAuth);
    let mut now = now_ms();
    let mut pauses_min = Vec::new();
    for _ in 0..5 {
        // A client of its own each time, as another process has it.
        let next = again(&world.usage().refresh_if_due(&token, FREE, now)).expect("a pause");
        assert_eq!(again(&world.usage().refresh_if_due(&token, THOROUGH, next - 1)), Some(next), "nothing in between");
        pauses_min.push((next - now) / 60_000);
        now = next;
    }
    assert_eq!(pauses_min, [5, 10, 20, 40, 60]);
    assert_eq!(world.provider.asked().len(), 5);

    world.provider.answers("/api/oauth/usage", account(1.0, 2.0));
    assert!(matches!(world.usage().refresh_if_due(&token, FREE, now), Refreshed::Learnt(_)));
    world.provider.answers("/api/oauth/usage", Reply::of(429, "{}"));
    now += INTERVAL_MS;
    assert_eq!(again(&world.usage().refresh_if_due(&token, FREE, now)), Some(now + FIRST_BACKOFF_MS));
}

#[test]
fn what_is_learnt_stands_in_both_files_and_is_not_asked_for_again_at_once() {
    let world = World::new();
    world.provider.answers("/api/oauth/usage", account(100.0, 30.5));
    let token = held(CredentialKind::OAuth);
    let now = now_ms();
    let Refreshed::Learnt(probed) = world.usage().refresh_if_due(&token, FREE, now) else { panic!("an answer") };
    let reset_s = now / 1_000 + 8_130;
    let ProbeVerdict::Limited { until_unix_ms: Some(until), window } = &probed.verdict else { panic!("{probed:?}") };
    assert!((until / 1_000 - reset_s).abs() <= 1, "{probed:?}");
    assert_eq!(window.as_deref(), Some("five_hour"));
    assert!(probed.reports(now).iter().any(|report| matches!(report, TokenReport::Limited { .. })));
    for later_ms in [0, 1, INTERVAL_MS - 1] {
        let refreshed = world.usage().refresh_if_due(&token, THOROUGH, now + later_ms);
        assert_eq!(again(&refreshed), Some(now + INTERVAL_MS), "{later_ms}");
    }
    assert_eq!(world.provider.asked().len(), 1);

    let id = token.id();
    let entry = world.cache().read().identities.remove(&id).expect("an entry");
    let percents: Vec<_> = entry.windows.iter().map(|window| (window.name.as_str(), window.utilization)).collect();
    assert_eq!(percents, [("five_hour", Some(100.0)), ("seven_day", Some(30.5)), ("seven_day_opus", None)]);
    let states = SharedTokens::new(world.dir.path()).read().expect("tokens.json");
    let state = states.get(&id).expect("a state");
    assert_eq!(state.limited_until_unix_ms, Some(*until));
    assert_eq!(state.windows[1].utilization, Some(0.305));
    let written: String = ["usage-cache.json", "tokens.json"]
        .iter()
        .map(|file| std::fs::read_to_string(world.dir.path().join(file)).expect("a file"))
        .collect();
    assert!(!written.contains(SECRET) && written.contains(&id.0));
}

#[test]
fn a_token_that_may_not_read_its_usage_is_not_asked_about_it_again() {
    let world = World::new();
    world.provider.answers("/api/oauth/usage", Reply::of(403, "{}"));
    let token = held(CredentialKind::OAuth);
    let now = now_ms();
    let forbidden = Refreshed::NotAsked(NotAsked::Forbidden);
    assert_eq!(world.usage().refresh_if_due(&token, FREE, now), forbidden);
    assert_eq!(world.usage().refresh_if_due(&token, FREE, now + INTERVAL_MS), forbidden);
    assert_eq!(world.provider.lines(), ["GET /api/oauth/usage"]);

    let reply = Reply::of(200, "{}")
        .header("anthropic-ratelimit-unified-status", "allowed")
        .header("anthropic-ratelimit-unified-5h-utilization", "0.42")
        .header("anthropic-ratelimit-unified-5h-reset", now / 1_000 + 600);
    world.provider.answers("/v1/messages", reply);
    let refreshed = world.usage().refresh_if_due(&token, THOROUGH, now + 2 * INTERVAL_MS);
    let Refreshed::Learnt(probed) = refreshed else { panic!("{refreshed:?}") };
    assert_eq!(probed.windows[0].utilization, Some(0.42));
    assert_eq!(world.provider.lines(), ["GET /api/oauth/usage", "POST /v1/messages"]);
    assert_eq!(
        again(&world.usage().refresh_if_due(&token, THOROUGH, now + 2 * INTERVAL_MS)),
        Some(now + 3 * INTERVAL_MS)
    );
}

#[test]
fn a_key_is_asked_only_when_that_is_wanted() {
    let world = World::new();
    world.provider.answers("/v1/messages", Reply::of(200, "{}"));
    let token = held(CredentialKind::ApiKey);
    let now = now_ms();
    assert_eq!(world.usage().refresh_if_due(&token, FREE, now), Refreshed::NotAsked(NotAsked::OnlyAnswersTell));
    assert_eq!(world.provider.asked().len(), 0);
    assert!(matches!(world.usage().refresh_if_due(&token, THOROUGH, now), Refreshed::Learnt(_)));
    assert_eq!(world.provider.asked().len(), 1);
}

#[test]
fn what_is_no_answer_is_said_and_waits_for_its_turn_too() {
    for (reply, says) in [
        (Reply::of(200, "{"), "has an unexpected format"),
        (Reply::of(200, "[]"), "has an unexpected format"),
        (Reply::of(200, &format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20))), "was incomplete"),
        (Reply::of(500, SECRET), "HTTP 500"),
        (Reply::silent(), "did not answer within 5s"),
    ] {
        let world = World::new();
        world.provider.answers("/api/oauth/usage", reply);
        let token = held(CredentialKind::OAuth);
        let now = now_ms();
        let refreshed = world.usage().refresh_if_due(&token, FREE, now);
        let Refreshed::Failed { why, again_unix_ms } = refreshed else { panic!("{refreshed:?}") };
        assert!(why.contains(says) && !why.contains(SECRET), "{why}");
        assert_eq!(again_unix_ms, Some(now + INTERVAL_MS));
        assert_eq!(again(&world.usage().refresh_if_due(&token, FREE, now)), Some(now + INTERVAL_MS));
        let entry = world.cache().read().identities.remove(&token.id()).expect("an entry");
        assert_eq!((entry.fault.as_deref(), entry.fetched_unix_ms), (Some(why.as_str()), None));
    }
}

#[test]
fn a_refused_token_is_refused_for_all() {
    let world = World::new();
    world.provider.answers("/api/oauth/usage", Reply::of(401, "{}"));
    let token = held(CredentialKind::OAuth);
    let refreshed = world.usage().refresh_if_due(&token, FREE, now_ms());
    let Refreshed::Learnt(probed) = refreshed else { panic!("{refreshed:?}") };
    assert_eq!(probed.verdict, ProbeVerdict::Refused { status: 401 });
    let states = SharedTokens::new(world.dir.path()).read().expect("tokens.json");
    assert!(states.get(&token.id()).expect("a state").is_refused(token.fingerprint.as_ref()));
}

#[test]
fn while_one_asks_another_reads_or_waits() {
    let world = World::new();
    world.provider.answers("/api/oauth/usage", account(10.0, 20.0).after(Duration::from_millis(500)));
    let token = held(CredentialKind::OAuth);
    let now = now_ms();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.usage().refresh_if_due(&token, FREE, now));
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while world.provider.asked().is_empty() {
            assert!(std::time::Instant::now() < deadline, "the first asks");
            std::thread::yield_now();
        }
        assert_eq!(world.usage().refresh_if_due(&token, FREE, now), Refreshed::ByAnother);
        let waits = Ask { wait: OTHERS_WAIT, ..FREE };
        assert_eq!(again(&world.usage().refresh_if_due(&token, waits, now)), Some(now + INTERVAL_MS));
        let answered = world.cache().read().identities.remove(&token.id()).expect("an entry");
        assert!(answered.fetched_unix_ms.is_some(), "the answer was waited for");
        assert!(matches!(first.join().expect("the first"), Refreshed::Learnt(_)));
    });
    let lock = world.dir.path().join("usage").join(format!("{}.lock", token.id()));
    let held = std::fs::File::open(&lock).expect("the lock's file");
    held.lock().expect("locked");
    let later = now + INTERVAL_MS;
    assert_eq!(world.usage().refresh_if_due(&token, FREE, later), Refreshed::ByAnother);
    std::thread::scope(|scope| {
        let ask = Ask { wait: OTHERS_WAIT, ..FREE };
        let waiting = scope.spawn(move || world.usage().refresh_if_due(&token, ask, later));
        held.unlock().expect("unlocked");
        assert!(matches!(waiting.join().expect("the second"), Refreshed::Learnt(_)));
    });
}

#[test]
fn without_a_place_for_the_record_nothing_is_asked() {
    let world = World::new();
    world.provider.answers("/api/oauth/usage", account(1.0, 2.0));
    std::fs::write(world.dir.path().join("usage"), "no directory").expect("write");
    let refreshed = world.usage().refresh_if_due(&held(CredentialKind::OAuth), FREE, now_ms());
    let Refreshed::Failed { why, .. } = refreshed else { panic!("{refreshed:?}") };
    assert!(why.contains("so nothing is asked"), "{why}");
    assert_eq!(world.provider.asked().len(), 0);
    assert_eq!(world.cache().read().identities.get(&TokenId(String::new())), None);
}

/// The verdict, and whether it was kept.
fn judged(world: &World, token: &Credential, now_unix_ms: i64) -> (ProbeVerdict, bool) {
    match world.usage().verdict(token, Duration::ZERO, now_unix_ms) {
        Judged::Verdict { probed, kept, .. } => (probed.verdict, kept),
        other @ (Judged::ByAnother | Judged::NotAsked(_) | Judged::Failed(_)) => panic!("{other:?}"),
    }
}

#[test]
fn a_verdict_is_kept_for_two_minutes_unless_a_run_has_heard_the_contrary() {
    let world = World::new();
    world.provider.answers("/api/oauth/usage", account(1.0, 2.0));
    world.provider.answers("/v1/messages", Reply::of(200, "{}"));
    let token = held(CredentialKind::OAuth);
    let now = now_ms();
    assert!(matches!(world.usage().refresh_if_due(&token, FREE, now), Refreshed::Learnt(_)));
    assert_eq!(judged(&world, &token, now + 1), (ProbeVerdict::Valid, true), "what `ccc usage` has learnt");
    assert_eq!(judged(&world, &token, now + INTERVAL_MS - 1), (ProbeVerdict::Valid, true));
    let limited = TokenReport::Limited { until_unix_ms: now + 3_600_000, window: None };
    let shared = SharedTokens::new(world.dir.path());
    shared.report(&token, &[limited], now + 2).expect("reported");
    assert_eq!(judged(&world, &token, now + 3), (ProbeVerdict::Valid, false));
    assert_eq!(world.provider.lines(), ["GET /api/oauth/usage", "POST /v1/messages"]);
    assert_eq!(judged(&world, &token, now + 4 + INTERVAL_MS), (ProbeVerdict::Valid, false));
    assert_eq!(world.provider.lines()[2..], ["GET /api/oauth/usage"]);
}

#[test]
fn a_verdict_of_one_host_says_nothing_about_another() {
    let world = World::new();
    world.provider.answers("/v1/messages", Reply::of(200, "{}"));
    let token = held(CredentialKind::ApiKey);
    let now = now_ms();
    assert_eq!(judged(&world, &token, now), (ProbeVerdict::Valid, false));
    assert_eq!(judged(&world, &token, now + 1), (ProbeVerdict::Valid, true));
    // Nobody listens there.
    let login = LoginPlace { file: world.dir.path().join(".credentials.json"), keychain: None };
    let elsewhere = http(&[("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")]);
    let usage = Usage::new(elsewhere, world.cache(), SharedTokens::new(world.dir.path()), login);
    let Judged::Verdict { probed, kept, .. } = usage.verdict(&token, Duration::ZERO, now + 2) else {
        panic!("a verdict")
    };
    assert!(matches!(probed.verdict, ProbeVerdict::Unreachable { .. }) && !kept, "{probed:?}");
}

#[test]
fn what_says_nothing_about_the_token_is_asked_again_and_a_refused_login_is_no_news_for_others() {
    let world = World::new();
    world.provider.answers("/v1/messages", Reply::of(500, "{}"));
    let key = held(CredentialKind::ApiKey);
    let now = now_ms();
    for asked in 1..3 {
        let (verdict, kept) = judged(&world, &key, now);
        assert!(matches!(verdict, ProbeVerdict::Unreachable { .. } | ProbeVerdict::Unknown { .. }), "{verdict:?}");
        assert_eq!((kept, world.provider.asked().len()), (false, asked));
    }

    world.provider.answers("/api/oauth/usage", Reply::of(401, "{}"));
    let write = |value: &str| {
        let text = format!("{{\"claudeAiOauth\":{{\"accessToken\":\"{value}\"}}}}");
        std::fs::write(world.dir.path().join(".credentials.json"), text).expect("write");
        let seen = SeenValue { value: SecretString::from(value), expires_at_unix_ms: None };
        Credential::found_by_agent("login", CredentialKind::Login, "login", Some(seen))
    };
    let login = write(SECRET);
    let refused = ProbeVerdict::Refused { status: 401 };
    assert_eq!(judged(&world, &login, now), (refused.clone(), false));
    assert_eq!(judged(&world, &login, now), (refused, true));
    assert_eq!(SharedTokens::new(world.dir.path()).read().expect("tokens.json").get(&login.id()), None);
    // The user has logged in again.
    world.provider.answers("/v1/messages", Reply::of(200, "{}"));
    assert_eq!(judged(&world, &write("sk-ant-oat01-made-up-second"), now), (ProbeVerdict::Valid, false));
}
