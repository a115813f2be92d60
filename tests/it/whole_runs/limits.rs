//! Limits and refusals with several tokens, on the real CLI: rotation hot and cold, waiting, going on.

use serde_json::{Value, json};

use super::harness::{BRIEF, Ended, Ground, approval, bash, cli, files, journal, look_until, script, text};
use super::requests::{agents, is_critic, user_texts};
use crate::scripted_api::{Limit, Message, Recorded, Reply, Rule, Script, ScriptedApi, Times, When, Window};

const ANTHROPIC_API_KEY: &str = "ANTHROPIC_API_KEY";
pub(super) const OAUTHS: [&str; 3] =
    ["sk-ant-oat01-first-made-up", "sk-ant-oat01-second-made-up", "sk-ant-oat01-third-made-up"];
pub(super) const KEYS: [&str; 3] =
    ["sk-ant-api03-first-made-up", "sk-ant-api03-second-made-up", "sk-ant-api03-third-made-up"];
const DANGEROUS: [&str; 4] = ["-p", "do it", "--", "--dangerously-skip-permissions"];

/// A ground with so many OAuth tokens and nothing else.
pub(crate) fn with_oauth(ground: Ground, tokens: usize) -> Ground {
    ground.env(ANTHROPIC_API_KEY, "").env("CLAUDE_CODE_OAUTH_TOKENS", OAUTHS[..tokens].join(","))
}

/// A ground with so many API keys and nothing else.
pub(super) fn with_keys(ground: Ground, keys: usize) -> Ground {
    ground.env(ANTHROPIC_API_KEY, "").env("ANTHROPIC_API_KEYS", KEYS[..keys].join(","))
}

/// Answers these requests so, as often.
pub(super) fn when(when: When, times: Times, reply: Reply) -> Rule {
    Rule { when, times, reply }
}

/// The 429 of a spent window, with and without the time of its reset.
pub(crate) fn rejected(reset_in_s: Option<u64>) -> Reply {
    if let Some(reset_in_s) = reset_in_s {
        return Reply::limit_reached("five_hour", reset_in_s);
    }
    let headers = [("status", "rejected"), ("representative-claim", "five_hour")];
    let named = |(name, value): (&str, &str)| (format!("anthropic-ratelimit-unified-{name}"), value.to_owned());
    Reply::Error {
        status: 429,
        error_type: "rate_limit_error".to_owned(),
        message: "This request would exceed your account's rate limit.".to_owned(),
        headers: headers.into_iter().map(named).collect(),
        limit: None,
    }
}

/// The 429 of a key, with the pause that it asks for in seconds.
pub(super) fn throttled(retry_after: &str) -> Reply {
    Reply::Error {
        status: 429,
        error_type: "rate_limit_error".to_owned(),
        message: "Number of request tokens has exceeded your rate limit".to_owned(),
        headers: [("retry-after".to_owned(), retry_after.to_owned())].into(),
        limit: None,
    }
}

/// A text, with the state of the five-hour window.
fn with_window(text: &str, utilization: f64, reset_in_s: u64) -> Reply {
    let window = Window { utilization, reset_in_s, surpassed_threshold: Some(0.9) };
    let limit = Limit {
        status: "allowed_warning".to_owned(),
        claim: "five_hour".to_owned(),
        reset_in_s,
        five_hour: Some(window),
        seven_day: None,
    };
    Reply::Message(Message { limit: Some(limit), ..Message::paced(text, 1, 0) })
}

pub(crate) fn bearer(token: &str) -> When {
    When::header("authorization", &format!("Bearer {token}"))
}

pub(super) fn key(key: &str) -> When {
    When::header("x-api-key", key)
}

/// With which credential each conversational request came, by its place in the lists above.
pub(crate) fn used(requests: &[Recorded]) -> Vec<usize> {
    let place = |request: &Recorded| {
        let sent = request.headers.get("x-api-key").or(request.headers.get("authorization")).map_or("", String::as_str);
        let sent = sent.trim_start_matches("Bearer ");
        OAUTHS.iter().chain(&KEYS).position(|token| *token == sent).map_or(99, |at| at % OAUTHS.len())
    };
    requests.iter().map(place).collect()
}

/// The task stands once in the last request of the agent: whatever happened, the model sees it once.
pub(super) fn assert_task_seen_once(requests: &[Recorded]) {
    let last = agents(requests).pop().expect("a request of the agent").body.clone();
    let texts = user_texts(&last);
    assert_eq!(texts.iter().filter(|said| said.trim().starts_with("do it")).count(), 1, "{texts:#?}");
}

/// No value of a token in anything that ccc wrote or said.
pub(super) fn assert_no_secret(ground: &Ground, ended: &Ended<'_>) {
    for secret in OAUTHS.iter().chain(&KEYS) {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{secret} was said");
        for file in files(&ground.state()) {
            let bytes = std::fs::read(&file).unwrap_or_default();
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} stands in {}", file.display());
        }
    }
}

pub(super) fn rotations(ended: &Ended<'_>) -> Value {
    ended.result()["rotations"].clone()
}

on_both! {
    fn the_first_token_rejected_in_mid_turn_is_exchanged_without_a_restart(cli) {
        for reset_in_s in [Some(3_600), None] {
            let ground = with_oauth(Ground::new(), 2);
            let api = ScriptedApi::start(
                Script::new()
                    .then(bash("echo one >> steps.txt"))
                    .rule(when(bearer(OAUTHS[0]), Times::Forever, rejected(reset_in_s)))
                    .then(Reply::text("Done."))
                    .then(approval()),
            )
            .unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
            ended.assert_code(0);
            assert_eq!(used(&api.requests()), [0, 0, 1, 1], "{reset_in_s:?}");
            assert_eq!((rotations(&ended), ended.result()["restarts"].clone()), (json!(1), json!(0)));
            assert_eq!(ended.of_type("session").len(), 1, "one process of the agent lived through it");
            assert_eq!(ground.read("steps.txt"), "one\n");
            assert_task_seen_once(&api.requests());
            assert_no_secret(&ground, &ended);
        }
    }

    fn a_spent_api_key_gives_way_to_the_next_by_a_restart(cli) {
        // A long pause asked for: the CLI gives up at once. A short one: it would try for three minutes.
        for retry_after in ["300", "1"] {
            let ground = with_keys(Ground::new(), 2);
            let api = ScriptedApi::start(
                Script::new()
                    .then(bash("echo one >> steps.txt"))
                    .rule(when(key(KEYS[0]), Times::Forever, throttled(retry_after)))
                    .then(Reply::text("Done."))
                    .then(approval()),
            )
            .unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &DANGEROUS).end();
            ended.assert_code(0);
            let requests = api.requests();
            assert_eq!(used(&requests).iter().rev().take(2).collect::<Vec<_>>(), [&1, &1], "{retry_after}");
            assert_eq!((rotations(&ended), ended.result()["restarts"].clone()), (json!(1), json!(0)));
            assert!(ended.result()["duration_ms"].as_u64().unwrap() < 60_000, "it was left to try: {retry_after}");
            assert_eq!(ground.read("steps.txt"), "one\n");
            assert_task_seen_once(&requests);
            assert_no_secret(&ground, &ended);
        }
    }

    fn a_refused_token_is_retired_and_the_next_one_taken(cli) {
        for (status, oauth) in [(401, true), (403, true), (401, false), (403, false)] {
            let ground = if oauth { with_oauth(Ground::new(), 2) } else { with_keys(Ground::new(), 2) };
            let first = if oauth { bearer(OAUTHS[0]) } else { key(KEYS[0]) };
            let error = if status == 401 { "authentication_error" } else { "permission_error" };
            let api = ScriptedApi::start(
                Script::new()
                    .rule(when(first, Times::Forever, Reply::error(status, error, "no")))
                    .then(Reply::text("Done."))
                    .then(approval()),
            )
            .unwrap();
            let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
            ended.assert_code(0);
            assert_eq!(used(&api.requests()).iter().rev().take(2).collect::<Vec<_>>(), [&1, &1], "{status} {oauth}");
            assert_eq!(rotations(&ended), json!(1), "{status} {oauth}");
            assert!(ended.result()["duration_ms"].as_u64().unwrap() < 60_000);
            assert_task_seen_once(&api.requests());
            assert_no_secret(&ground, &ended);
            // The next run does not even try it: shown once for each status and once for each kind of credential.
            if (status == 401) != oauth {
                continue;
            }
            let again = ScriptedApi::start(script(vec![Reply::text("Done.")], vec![approval()])).unwrap();
            ground.supervise(&again.base_url(), &cli.path, &["-p", "do it"]).end().assert_code(0);
            assert_eq!(used(&again.requests()), [1, 1]);
        }
    }

    fn with_all_tokens_spent_the_run_waits_for_the_first_reset_and_goes_on(cli) {
        let ground = with_oauth(Ground::new(), 2);
        let api = ScriptedApi::start(
            Script::new()
                .rule(when(bearer(OAUTHS[0]), Times::Once, Reply::limit_reached("five_hour", 3_600)))
                .rule(when(bearer(OAUTHS[1]), Times::Once, Reply::limit_reached("five_hour", 3)))
                .then(Reply::text("Done."))
                .then(approval()),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(used(&api.requests()), [0, 1, 1, 1]);
        assert!(ended.result()["waited_ms"].as_u64().unwrap() >= 2_000, "{}", ended.result());
        let spent = ended.of_type("spent").pop().expect("it says what it waits for");
        assert_eq!(spent["tokens"].as_array().map(Vec::len), Some(2), "{spent}");
        assert_task_seen_once(&api.requests());
        assert_no_secret(&ground, &ended);
    }

    fn the_critics_limit_rotates_both(cli) {
        let ground = with_oauth(Ground::new(), 2);
        let api = ScriptedApi::start(
            Script::new()
                .then(Reply::text("Done."))
                .then(Reply::limit_reached("five_hour", 3_600))
                .then(Reply::text("The tests are missing."))
                .then(Reply::text("Now."))
                .then(approval()),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        let requests = api.requests();
        assert_eq!(used(&requests), [0, 0, 1, 1, 1]);
        let roles: Vec<bool> = requests.iter().map(is_critic).collect();
        assert_eq!(roles, [false, true, true, false, true]);
        assert_eq!(ended.verdicts(), ["feedback", "completed"]);
        assert_eq!(ended.result()["iterations"], 2);
        assert_no_secret(&ground, &ended);
    }

    fn a_crowded_window_rotates_at_the_next_stop(cli) {
        let ground = with_oauth(Ground::new(), 2);
        let api = ScriptedApi::start(
            Script::new()
                .then(with_window("First half.", 0.97, 3_600))
                .rule(when(bearer(OAUTHS[1]), Times::Forever, approval())),
        )
        .unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!(used(&api.requests()), [0, 1]);
        assert_eq!(rotations(&ended), json!(1));
    }

    fn a_start_while_limited_waits(cli) {
        let ground = with_oauth(Ground::new(), 1);
        let api = ScriptedApi::start(Script::new().always(Reply::limit_reached("five_hour", 4))).unwrap();
        ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--no-wait"]).end().assert_code(75);
        let asked = api.request_count();
        // ccc asks once whether the limit still holds.
        let still = script(vec![Reply::text("Done.")], vec![approval()]).side(Reply::limit_reached("five_hour", 4));
        let api = ScriptedApi::start(still).unwrap();
        let ended = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end();
        ended.assert_code(0);
        assert_eq!((asked, api.request_count()), (1, 2));
        assert!(ended.result()["waited_ms"].as_u64().unwrap() > 0, "{}", ended.result());
        let first_wait = ended.events().iter().position(|event| event["type"] == "spent").expect("it waits");
        let first_turn = ended.events().iter().position(|event| event["type"] == "turn").expect("it works");
        assert!(first_wait < first_turn, "nothing is asked before the reset");
    }

    fn a_limit_that_was_lifted_early_is_asked_about_at_the_start_and_at_a_resume(cli) {
        for resumes in [true, false] {
            let ground = with_oauth(Ground::new(), 1);
            let api = ScriptedApi::start(Script::new().always(Reply::limit_reached("seven_day", 3 * 86_400))).unwrap();
            ground.supervise(&api.base_url(), &cli.path, &["-p", "do it", "--no-wait"]).end().assert_code(75);
            let api = ScriptedApi::start(script(vec![Reply::text("Done.")], vec![approval()])).unwrap();
            let ended = match resumes {
                true => ground.start(&api.base_url(), ["resume", "--output-format", "stream-json"]).end(),
                false => ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]).end(),
            };
            ended.assert_code(0);
            assert_eq!((api.request_count(), &ended.result()["result"]), (2, &json!("Done.")));
            assert!(ended.stderr.contains("a limit ended before its reset"), "{}", ended.stderr);
            assert!(ended.of_type("spent").is_empty(), "it does not wait");
        }
    }

    fn killed_while_waiting_and_resumed_it_waits_on(cli) {
        let ground = with_oauth(Ground::new(), 1);
        let limited = || Reply::limit_reached("five_hour", 6);
        // ccc asks at the resume whether the limit still holds.
        let api = ScriptedApi::start(
            Script::new().then(limited()).then(Reply::text("Done.")).then(approval()).side(limited()),
        )
        .unwrap();
        let mut running = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]);
        running.until("a wait", |event| event["type"] == "spent");
        running.signal(rustix::process::Signal::KILL);
        drop(running.wait());
        let mut resumed = ground.start(&api.base_url(), ["resume", "--output-format", "stream-json"]);
        let run = ground.runs().pop().expect("a run");
        look_until("going on waiting", || {
            journal(&run).iter().any(|entry| text(&entry["act"]["decide"]["what"]) == "go on waiting").then_some(())
        });
        resumed.until("the turn that goes on", |event| event["type"] == "turn");
        let ended = resumed.end();
        ended.assert_code(0);
        assert!(ended.stderr.contains("  task       do it"), "it says what it continues with: {}", ended.stderr);
        assert_eq!(api.request_count(), 3);
        assert_task_seen_once(&api.requests());
    }
}

#[test]
fn ten_at_once_share_three_tokens() {
    let Some(cli) = cli("current") else { return };
    let shared = tempfile::tempdir().expect("a shared state directory");
    let grounds: Vec<Ground> =
        (0..10).map(|_| with_oauth(Ground::new(), 3).env("CCC_STATE_DIR", shared.path())).collect();
    let api = ScriptedApi::start(
        Script::new()
            .rule(when(bearer(OAUTHS[0]), Times::Forever, Reply::limit_reached("five_hour", 3_600)))
            .rule(when(bearer(OAUTHS[1]), Times::Forever, Reply::limit_reached("five_hour", 3_600)))
            .rule(when(When::any_user_text(BRIEF), Times::Forever, approval()))
            .always(Reply::text("Done.")),
    )
    .unwrap();
    let running: Vec<_> =
        grounds.iter().map(|ground| ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"])).collect();
    for run in running {
        let ended = run.wait();
        ended.assert_code(0);
        assert_eq!(ended.verdicts(), ["completed"]);
    }
    let used = used(&api.requests());
    assert_eq!(used.iter().filter(|&&token| token == 2).count(), 20, "each run asks twice with the third: {used:?}");
    // Whoever starts after the others have met the limits does not try those tokens again.
    assert!(used.iter().filter(|&&token| token == 0).count() <= 10, "{used:?}");
}
