//! Tokens in the program's environment, rotation, and waiting for a reset.

use std::fs::File;
use std::process::Command;

use super::provider::{Provider, State, unix_s};
use super::tty::Tty;
use super::{NOWHERE, state_of, supervise, until_lines};
use crate::real_cli::CleanHome;
use crate::whole_runs::harness::{Ground, action, look_until};

/// The second key; the first is the ground's own.
const SECOND: &str = "sk-ant-api03-second-key-that-nobody-may-see-000000000000000000000000000000000";
const FIRST: &str = CleanHome::KEY;
/// Writes down which key a life has, without writing the key.
const WHICH: &str = "if [ \"$ANTHROPIC_API_KEY\" = \"$WANT_SECOND\" ]; then echo second >> lives; \
                     else echo first >> lives; fi; env | grep -c -E '^(ANTHROPIC|CLAUDE_CODE)_.*(KEY|TOKEN)' >> counts; ";

fn ground() -> Ground {
    // The comparison's other side must not be the variable itself, which is taken away.
    Ground::without_git().env("ANTHROPIC_API_KEY_2", SECOND).env("WANT_SECOND", SECOND)
}

const OPTIONS: [&str; 4] = ["--provider", "anthropic", "--monitor-interval", "100ms"];

#[test]
fn a_rejected_token_gives_way_to_the_next_one() {
    let provider = Provider::start();
    let ground = ground();
    let script = format!("{WHICH} [ $(wc -l < lives) -lt 2 ] || exit 0; sleep 600");
    let running = supervise(&ground, &provider.url, &OPTIONS, &script);
    until_lines(&ground.project().join("counts"), 1);
    provider.set(FIRST, State::RejectedUntil(unix_s() + 3_600));
    let ended = running.end();
    ended.assert_code(0);
    assert_eq!(ground.read("lives"), "first\nsecond\n");
    assert_eq!(ground.read("counts"), "1\n1\n", "exactly one token is in the environment");
    assert!(
        ended.stderr.contains("rotated to ANTHROPIC_API_KEY_2 (ANTHROPIC_API_KEY: it is limited)"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("restart 1"), "a limit is no failure: {}", ended.stderr);
    assert!(!ended.stderr.contains(SECOND) && !ended.stdout.contains(SECOND));
}

#[test]
fn a_limit_that_cannot_be_told_to_others_holds_for_this_command() {
    let provider = Provider::start();
    let ground = ground();
    let options: Vec<&str> = OPTIONS.iter().copied().chain(["--no-wait"]).collect();
    let running = supervise(&ground, &provider.url, &options, &format!("{WHICH} sleep 600"));
    until_lines(&ground.project().join("counts"), 1);
    // Another ccc that was stopped while it wrote.
    let holder = File::create(ground.state().join("tokens.lock")).expect("the lock");
    holder.lock().expect("it is free now and then");
    provider.set(FIRST, State::RejectedUntil(unix_s() + 3_600));
    until_lines(&ground.project().join("counts"), 2);
    provider.set(SECOND, State::RejectedUntil(unix_s() + 7_200));
    let ended = running.end();
    ended.assert_code(75);
    assert_eq!(ground.read("lives"), "first\nsecond\n", "the first is known to be spent");
}

#[test]
fn a_token_that_is_nearly_used_up_gives_way_too() {
    let provider = Provider::start();
    let ground = ground();
    provider.set(FIRST, State::Used(0.94));
    let script = format!("{WHICH} [ $(wc -l < lives) -lt 2 ] || exit 0; sleep 600");
    let running = supervise(&ground, &provider.url, &OPTIONS, &script);
    until_lines(&ground.project().join("lives"), 1);
    look_until("several questions", || (provider.asked_about(FIRST) > 2).then_some(()));
    assert_eq!(ground.read("lives"), "first\n", "94 % are not 95");
    provider.set(FIRST, State::Used(0.95));
    let ended = running.end();
    ended.assert_code(0);
    assert_eq!(ground.read("lives"), "first\nsecond\n");
    assert!(ended.stderr.contains(": 95 % of it is used)"), "{}", ended.stderr);
}

#[test]
fn a_refused_token_gives_way_too() {
    let provider = Provider::start();
    let ground = ground();
    provider.set(FIRST, State::Refused);
    let script = format!("{WHICH} [ \"$ANTHROPIC_API_KEY\" != \"$WANT_SECOND\" ] || exit 0; sleep 600");
    let ended = supervise(&ground, &provider.url, &OPTIONS, &script).end();
    ended.assert_code(0);
    assert!(ended.stderr.contains(": it was refused)"), "{}", ended.stderr);
}

#[test]
fn while_all_are_spent_the_whole_group_stands_still_and_goes_on_at_the_reset() {
    let provider = Provider::start();
    let ground = ground();
    let pids = ground.project().join("pids");
    let script = "echo $$ > pids; setsid sh -c 'echo $$ >> pids; while :; do sleep 0.05; done' & \
                  while [ ! -e free ]; do sleep 0.05; done; exit 0";
    let running = supervise(&ground, &provider.url, &OPTIONS, script);
    let before = until_lines(&pids, 2);
    provider.set(FIRST, State::RejectedUntil(unix_s() + 3_600));
    // The second life is whole before its token is rejected, too.
    let lines = look_until("the second life", || Some(until_lines(&pids, 2)).filter(|lines| *lines != before));
    let stands = || lines.iter().all(|line| line.parse().ok().and_then(state_of) == Some('T'));
    let journal = ground.runs().first().expect("a run").join("journal.jsonl");
    // A standstill may be that of an earlier reset, which was noticed when it had just passed.
    let knows = |reset: i64| {
        let limited = format!("\"limited_until_unix_ms\":{}", reset * 1_000);
        std::fs::read_to_string(&journal).is_ok_and(|text| text.contains(&limited))
    };
    let mut wait_s = 5;
    // On a loaded machine a reset may pass before the rejection is noticed: then a later one is announced.
    let reset = loop {
        let reset = unix_s() + wait_s;
        provider.set(SECOND, State::RejectedUntil(reset));
        let for_it = look_until("a standstill for this reset, or the reset", || {
            let for_it = knows(reset) && stands();
            (for_it || unix_s() >= reset).then_some(for_it)
        });
        if for_it {
            break reset;
        }
        wait_s *= 2;
        assert!(wait_s < 120, "nothing stands still");
    };
    ground.write("free", "");
    let ended = running.end();
    ended.assert_code(0);
    assert!(unix_s() >= reset, "it went on before the reset");
    assert!(ended.stderr.contains("ANTHROPIC_API_KEY_2: limited until"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the wait is over"), "{}", ended.stderr);
    assert!(ended.journal().iter().any(|entry| action(entry, "hold").is_some()));
}

#[test]
fn without_a_token_the_variables_are_named_and_nothing_is_started() {
    let ground = Ground::without_git();
    let ask = |program: &str, options: &[&str]| {
        let last = ["--", program];
        let args = ["supervise"].iter().chain(options).chain(&last);
        let mut command = ground.command(NOWHERE, args);
        command.env_remove("ANTHROPIC_API_KEY");
        let output = command.output().expect("ccc runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let codex = ground.script("codex", "exit 0");
    let (code, said) = ask(codex.to_str().unwrap(), &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("no OpenAI token") && said.contains("OPENAI_API_KEY"), "{said}");
    let (code, said) = ask("true", &[]);
    assert_eq!(code, Some(2));
    for variable in ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "COHERE_API_KEY", "--no-tokens"] {
        assert!(said.contains(variable), "{variable}: {said}");
    }
    assert!(ground.runs().is_empty());
    assert_eq!(ask("true", &["--no-tokens"]).0, Some(0));
}

#[test]
fn the_question_at_a_limit_is_answered_by_a_key_or_by_its_default() {
    for (key, lives) in [(Some(b"k".as_slice()), "first\n"), (Some(b"1"), "first\nsecond\n"), (None, "first\nsecond\n")]
    {
        let provider = Provider::start();
        let ground = ground();
        provider.set(FIRST, State::RejectedUntil(unix_s() + 3_600));
        let script = format!("{WHICH} [ $(wc -l < lives) -lt 2 ] || exit 0; while [ ! -e end ]; do sleep 0.05; done");
        let timeout = if key.is_some() { "60s" } else { "300ms" };
        let options = ["--interactive", "--answer-timeout", timeout];
        let last = ["--", "sh", "-c", &script];
        let args = ["supervise"].iter().chain(&OPTIONS).chain(&options).chain(&last);
        let mut command: Command = ground.command(&provider.url, args);
        command.env("CCC_GRACE", "300ms");
        let mut tty = Tty::start(&command);
        tty.until("ANTHROPIC_API_KEY is limited. What now?");
        tty.until("4) keep going");
        if let Some(key) = key {
            tty.type_in(key);
        }
        if lives == "first\n" {
            // It goes on, is not asked again, and ends by itself.
            let asked = provider.asked_about(FIRST);
            look_until("another question to the provider", || (provider.asked_about(FIRST) > asked).then_some(()));
            let listed = ground.command(&provider.url, ["runs", "--live", "--json"]).output().expect("ccc runs");
            let runs: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
            assert_eq!(runs[0]["live"]["asks"], serde_json::json!([]), "what is answered is open no more: {runs}");
            ground.write("end", "");
        }
        assert_eq!(tty.end(), 0, "{}", tty.text());
        assert_eq!(ground.read("lives"), lives, "{key:?}");
        assert_eq!(tty.text().matches("What now?").count(), 1, "{}", tty.text());
        assert!(!tty.text().contains(FIRST) && !tty.text().contains(SECOND));
        ground.assert_sound();
    }
}
