use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::{Value, json};

use super::sandbox::Sandbox;
use crate::usage::server::{Provider, Reply, account, now_ms};

const TOKEN: &str = "sk-ant-oat01-made-up-0123456789";
const STATE: &str = "home/.local/state/ccc";

fn usage(sandbox: &Sandbox, provider: &Provider, args: &[&str], pairs: &[(&str, &str)]) -> Command {
    let mut command = sandbox.ccc(&[&["usage"], args].concat());
    command.env("CCC_USAGE_BASE_URL", provider.url()).env("ANTHROPIC_BASE_URL", provider.url());
    command.envs(pairs.iter().copied()).env("TZ", "UTC");
    command
}

/// Its exit code and all that it wrote.
fn seen(sandbox: &Sandbox, provider: &Provider, args: &[&str], pairs: &[(&str, &str)]) -> String {
    let seen = sandbox.seen(usage(sandbox, provider, args, pairs));
    assert!(!seen.contains("made-up-0123456789"), "{seen}");
    seen
}

const OAUTH: [(&str, &str); 1] = [("CLAUDE_CODE_OAUTH_TOKEN", TOKEN)];

#[test]
fn the_windows_are_shown_and_kept_and_not_asked_for_again() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    provider.answers("/api/oauth/usage", account(82.5, 91.0));
    let first = seen(&sandbox, &provider, &[], &OAUTH);
    assert!(first.starts_with("exit code 0\n"), "{first}");
    for says in [
        "CLAUDE_CODE_OAUTH_TOKEN (OAuth token, fingerprint ",
        "): CRITICAL\n",
        "82.5 %  WARN      resets ",
        "(in 2h 15m)\n",
        "91 %  CRITICAL  resets ",
        "(in 3d 04h)\n",
        "7 days, opus      unknown until the next answer\n",
        "last checked 0s ago (",
    ] {
        assert!(first.contains(says), "{says}: {first}");
    }
    let second = seen(&sandbox, &provider, &[], &OAUTH);
    assert!(second.contains("82.5 %  WARN"), "{second}");
    let third = seen(&sandbox, &provider, &["--refresh"], &OAUTH);
    assert!(third.contains("82.5 %  WARN") && third.contains("the next request is possible in 1m"), "{third}");
    assert_eq!(provider.lines(), ["GET /api/oauth/usage"], "one question for three commands");
    assert_eq!(provider.asked()[0].headers["authorization"], format!("Bearer {TOKEN}"));

    let cache: Value = serde_json::from_str(&sandbox.read(&format!("{STATE}/usage-cache.json"))).expect("JSON");
    assert_eq!(cache["five_hour"]["utilization"], 82.5);
    assert!(cache["five_hour"]["resets_at"].is_string());
    assert!((cache["five_hour"]["resets_at_epoch"].as_i64().expect("epoch") - now_ms() / 1_000 - 8_130).abs() < 60);
    assert_eq!(cache["seven_day"]["utilization"], 91.0);
    assert!(cache["fetched_at"].is_string());
    for file in ["usage-cache.json", "tokens.json"] {
        let path = sandbox.path(&format!("{STATE}/{file}"));
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600, "{file}");
        assert!(!fs::read_to_string(path).expect("text").contains(TOKEN), "{file}");
    }
    let json = seen(&sandbox, &provider, &["--json"], &OAUTH);
    let (_, stdout) = json.split_once("--- stdout\n").expect("stdout");
    let json: Value = serde_json::from_str(stdout.split("--- stderr").next().expect("stdout")).expect("JSON");
    for key in ["identity", "fetched_at", "fetched_at_epoch", "five_hour", "seven_day"] {
        assert_eq!(json[key], cache[key], "{key}");
    }
    assert_eq!(json["identities"][0]["windows"][1]["state"], "CRITICAL");
}

#[test]
fn ten_at_once_make_one_request_and_all_know_its_answer() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    provider.answers("/api/oauth/usage", account(12.0, 34.0).after(Duration::from_millis(300)));
    let all: Vec<_> = (0..10)
        .map(|_| {
            let mut command = std::process::Command::new(crate::program::ccc());
            command
                .env_clear()
                .env("HOME", sandbox.path("home"))
                .env("CCC_USAGE_BASE_URL", provider.url())
                .envs(OAUTH)
                .current_dir(sandbox.path("project"))
                .arg("usage")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command.spawn().expect("ccc starts")
        })
        .collect();
    for child in all {
        let output = child.wait_with_output().expect("ccc ends");
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success() && stdout.contains("12 %  OK"), "{stdout}{:?}", output.stderr);
    }
    assert_eq!(provider.asked().len(), 1);
}

#[test]
fn a_setup_token_is_unknown_until_an_answer_tells() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    provider.answers("/api/oauth/usage", Reply::of(403, "{}"));
    let first = seen(&sandbox, &provider, &[], &OAUTH);
    assert!(first.starts_with("exit code 1\n"), "nothing is known: {first}");
    assert!(first.contains("5 hours           unknown until the first answer\n"), "{first}");
    assert!(first.contains("may not read its usage") && !first.contains('%'), "unknown is not 0 %: {first}");

    // What a run hears stands in tokens.json.
    let id = first.split_once("fingerprint ").expect("an id").1[..8].to_owned();
    let in_an_hour = now_ms() / 1_000 + 3_630;
    let heard = json!({
        "version": {"major": 1, "minor": 0},
        "tokens": {id: {
            "label": "L", "kind": "oauth", "provider": "anthropic", "seen_unix_ms": now_ms(),
            "windows": [{"name": "five_hour", "utilization": 0.81, "resets_at_unix_s": in_an_hour}],
        }},
    });
    sandbox.write(&format!("{STATE}/tokens.json"), heard.to_string());
    let second = seen(&sandbox, &provider, &[], &OAUTH);
    assert!(
        second.starts_with("exit code 0\n")
            && second.contains("81 %  WARN      resets ")
            && second.contains("(in 1h 00m)"),
        "{second}"
    );
    let cache: Value = serde_json::from_str(&sandbox.read(&format!("{STATE}/usage-cache.json"))).expect("JSON");
    assert_eq!((&cache["five_hour"]["utilization"], &cache["seven_day"]), (&json!(81.0), &Value::Null));
    assert_eq!(provider.asked().len(), 1);
}

fn login(sandbox: &Sandbox, expires_at_unix_ms: i64, scopes: &[&str]) -> String {
    let login = json!({"claudeAiOauth": {
        "accessToken": TOKEN, "refreshToken": "sk-ant-ort01-made-up-0123456789",
        "expiresAt": expires_at_unix_ms, "scopes": scopes, "subscriptionType": "max",
    }})
    .to_string();
    sandbox.write("home/.claude/.credentials.json", &login);
    login
}

#[test]
fn the_agents_login_is_asked_about_and_only_read() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    provider.answers("/api/oauth/usage", account(5.0, 6.0));
    let before = login(&sandbox, now_ms() + 3_600_000, &["user:inference", "user:profile"]);
    let shown = seen(&sandbox, &provider, &[], &[]);
    assert!(shown.starts_with("exit code 0\n") && shown.contains("5 %  OK"), "{shown}");
    assert_eq!(provider.asked()[0].headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(sandbox.read("home/.claude/.credentials.json"), before);
}

#[test]
fn an_expired_login_is_said_and_neither_sent_nor_renewed() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    login(&sandbox, now_ms() - 1, &["user:profile"]);
    let shown = seen(&sandbox, &provider, &["--refresh"], &[]);
    assert!(shown.starts_with("exit code 1\n"), "{shown}");
    assert!(shown.contains("the login has expired; run `claude`, which renews it"), "{shown}");
    assert_eq!(provider.asked().len(), 0);
}

#[test]
fn a_login_without_the_profile_scope_is_not_asked_about() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    login(&sandbox, now_ms() + 3_600_000, &["user:inference"]);
    let shown = seen(&sandbox, &provider, &[], &[]);
    assert!(shown.contains("may not read its usage"), "{shown}");
    assert_eq!(provider.asked().len(), 0);
}

#[test]
fn the_keychain_is_asked_when_there_is_no_file() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    provider.answers("/api/oauth/usage", account(7.0, 8.0));
    let item = json!({"claudeAiOauth": {"accessToken": TOKEN, "scopes": ["user:profile"]}});
    for (script, says) in [
        ("exit 44".to_owned(), "there is no token to ask about"),
        ("exit 36".to_owned(), "the Keychain is locked"),
        (format!("echo '{item}'"), "the Keychain (login): OK"),
    ] {
        let security = sandbox.script("bin/security", &script);
        let shown = seen(&sandbox, &provider, &[], &[("CCC_SECURITY", security.to_str().expect("UTF-8"))]);
        assert!(shown.contains(says), "{script}: {shown}");
    }
    assert_eq!(provider.asked().len(), 1);
}

#[test]
fn without_any_token_the_error_says_what_to_do() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["usage"]));
}

#[test]
fn an_api_key_is_unknown_until_it_is_asked_by_a_message() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    let key = [("ANTHROPIC_API_KEY", "sk-ant-api03-made-up-0123456789")];
    let reset = jiff::Timestamp::from_second(now_ms() / 1_000 + 3_630).expect("a time");
    let reply = Reply::of(200, "{}")
        .header("anthropic-ratelimit-requests-limit", 50)
        .header("anthropic-ratelimit-requests-remaining", 4)
        .header("anthropic-ratelimit-requests-reset", reset);
    provider.answers("/v1/messages", reply);
    let shown = seen(&sandbox, &provider, &[], &key);
    assert!(shown.starts_with("exit code 1\n") && shown.contains("unknown until the first answer"), "{shown}");
    assert_eq!(provider.asked().len(), 0);
    let shown = seen(&sandbox, &provider, &["--refresh"], &key);
    assert!(
        shown.starts_with("exit code 0\n")
            && shown.contains("92 %  CRITICAL  resets ")
            && shown.contains("(in 1h 00m)"),
        "{shown}"
    );
    assert_eq!(provider.lines(), ["POST /v1/messages"]);
}

#[test]
fn a_projects_file_does_not_decide_where_tokens_are_sent() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    sandbox.write("project/.ccc.json", json!({"usage": {"base_url": provider.url()}}).to_string());
    let mut command = sandbox.ccc(&["usage"]);
    command.envs(OAUTH);
    let shown = sandbox.seen(command);
    assert!(shown.starts_with("exit code 2\n"), "{shown}");
    assert!(shown.contains("a project's file must not choose where your tokens are sent"), "{shown}");
    assert!(shown.contains("hint: move `usage.base_url` into "), "{shown}");
    assert!(shown.contains("ccc.json, or set CCC_USAGE_BASE_URL"), "{shown}");
    assert_eq!(provider.asked().len(), 0);

    fs::remove_file(sandbox.path("project/.ccc.json")).expect("removed");
    sandbox.write("home/.config/ccc/ccc.json", json!({"usage": {"base_url": provider.url()}}).to_string());
    provider.answers("/api/oauth/usage", account(1.0, 2.0));
    let mut command = sandbox.ccc(&["usage"]);
    command.envs(OAUTH);
    let shown = sandbox.seen(command);
    assert!(shown.starts_with("exit code 0\n"), "the user's own file does: {shown}");
    assert_eq!(provider.asked().len(), 1);
}

#[test]
fn the_thresholds_are_settings() {
    let (sandbox, provider) = (Sandbox::new(), Provider::start());
    provider.answers("/api/oauth/usage", account(30.0, 60.0));
    let pairs = [OAUTH[0], ("CCC_USAGE_WARN_THRESHOLD", "20"), ("CCC_USAGE_CRITICAL_THRESHOLD", "50")];
    let shown = seen(&sandbox, &provider, &[], &pairs);
    assert!(shown.contains("30 %  WARN") && shown.contains("60 %  CRITICAL"), "{shown}");
    let pairs = [OAUTH[0], ("CCC_USAGE_WARN_THRESHOLD", "95")];
    let shown = seen(&sandbox, &provider, &[], &pairs);
    assert!(shown.starts_with("exit code 2\n") && shown.contains("CCC_USAGE_WARN_THRESHOLD"), "{shown}");
}
