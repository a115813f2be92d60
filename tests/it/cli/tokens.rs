use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use assert_cmd::Command;
use ccc::config::Provider;
use ccc::core::{TokenReport, WindowFact};
use ccc::tokens::{Credential, CredentialKind, SharedTokens};
use serde_json::{Value, json};

use super::sandbox::Sandbox;
use crate::usage::server::{Provider as Company, Reply, account};

/// Every value in these tests has this in it, so that none can be shown unseen.
const MARK: &str = "made-up";
const HOUR_MS: i64 = 3_600_000;

#[allow(clippy::disallowed_methods, reason = "the program under test reads the same clock")]
fn now_unix_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the year 292278994")
}

/// A sandbox with tokens of every source.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (name, text) in [
        ("keys.txt", "made-up-f-1\n# the spare one\nmade-up-f-2 # of the team\nmade-up-l-1\n"),
        ("home/.claude/.credentials.json", r#"{"claudeAiOauth": {"accessToken": "made-up-login"}}"#),
    ] {
        let path = sandbox.write(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
    }
    let entries = json!({"tokens": [
        {"label": "plan", "kind": "oauth", "env": "PLAN"},
        {"label": "vault", "kind": "oauth", "command": "echo made-up-vault; touch ran"},
    ]});
    sandbox.write("home/.config/ccc/ccc.json", entries.to_string());
    sandbox
}

fn tokens(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.ccc(&[&["tokens"], args].concat());
    command
        .env("TZ", "UTC")
        .env("PLAN", "made-up-plan")
        .env("CCC_STATE_DIR", sandbox.path("state"))
        .env("ANTHROPIC_API_KEYS", "made-up-l-1,made-up-l-2")
        .env("ANTHROPIC_API_KEYS_FILE", sandbox.path("keys.txt"))
        .env("OPENAI_API_KEY_2", "made-up-openai");
    command
}

fn held(kind: CredentialKind, value: &str) -> Credential {
    Credential::held("as another ccc saw it", kind, Provider::Anthropic, value.to_owned().into())
}

/// Fingerprints and times, which change from one version of a test to another, as words.
fn plain(seen: &str) -> String {
    let hex = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    seen.split_inclusive(char::is_whitespace)
        .map(|part| {
            let word = part.trim_end();
            if hex(word) { part.replace(word, "[PRINT] ") } else { part.to_owned() }
        })
        .collect()
}

#[track_caller]
fn assert_no_value(what: &str, text: &str) {
    assert!(!text.contains(MARK), "{what} shows a value: {text}");
}

fn assert_no_value_below(dir: &Path) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            assert_no_value_below(&path);
        } else {
            let bytes = fs::read(&path).expect("read");
            assert_no_value(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn the_list_shows_every_token_of_every_source_and_no_value() {
    let sandbox = sandbox();
    let seen = sandbox.seen(tokens(&sandbox, &["list"]));
    assert_no_value("the list", &seen);
    insta::assert_snapshot!(plain(&seen));
    assert_eq!(sandbox.seen(tokens(&sandbox, &[])), seen, "`list` is what `ccc tokens` does");
    assert!(!sandbox.path("project/ran").exists(), "a command is not run to be listed");
    assert!(!sandbox.path("state").exists(), "nothing is written");
}

#[test]
fn what_other_ccc_have_learnt_is_shown_with_times_and_percentages() {
    let sandbox = sandbox();
    let now = now_unix_ms();
    let shared = SharedTokens::new(&sandbox.path("state"));
    let window = |name: &str, utilization, hours: i64| WindowFact {
        name: name.to_owned(),
        utilization,
        // A minute and a half more, so that no boundary is passed while the test runs.
        resets_at_unix_s: Some((now + hours * HOUR_MS + 90_000) / 1_000),
    };
    let report = |credential: &Credential, reports: &[TokenReport]| {
        shared.report(credential, reports, now).expect("reported");
    };
    let windows =
        vec![window("five_hour", Some(0.424), 2), window("seven_day", None, 72), window("past", Some(0.9), -1)];
    report(&held(CredentialKind::OAuth, "made-up-plan"), &[TokenReport::Windows(windows), TokenReport::Works]);
    let until_unix_ms = now + 2 * HOUR_MS + 15 * 60_000 + 30_000;
    let limited = TokenReport::Limited { until_unix_ms, window: Some("five_hour".to_owned()) };
    report(&held(CredentialKind::ApiKey, "made-up-l-1"), &[limited]);
    report(&held(CredentialKind::ApiKey, "made-up-l-2"), &[TokenReport::Refused]);

    let seen = sandbox.seen(tokens(&sandbox, &["list"]));
    assert_no_value("the list", &seen);
    let line = |label: &str| seen.lines().find(|line| line.starts_with(label)).expect(label);
    assert!(line("plan ").ends_with("  ready"), "{seen}");
    assert!(seen.contains("\n    5 hours        42 % used, resets "), "{seen}");
    assert!(seen.contains("(in 2h 01m)\n"), "{seen}");
    assert!(seen.contains("\n    7 days        usage unknown, resets "), "{seen}");
    assert!(seen.contains("(in 3d 00h)\n"), "{seen}");
    assert!(seen.contains("\n    past          usage unknown\n"), "{seen}");
    let spent = line("ANTHROPIC_API_KEYS[1]");
    assert!(spent.contains("  limited until ") && spent.ends_with("(in 2h 15m)"), "{spent}");
    assert!(line("ANTHROPIC_API_KEYS[2]").ends_with("  refused"), "{seen}");
    assert!(line("keys.txt:3").ends_with("  unknown"), "{seen}");

    let output = tokens(&sandbox, &["list", "--json"]).output().expect("ccc runs");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_no_value("the JSON", &json.to_string());
    let row = |label: &str| {
        let rows = json["tokens"].as_array().expect("an array");
        rows.iter().find(|row| row["label"] == label).expect(label).clone()
    };
    assert_eq!(row("plan")["state"], "ready");
    assert_eq!(row("plan")["windows"][0], json!(window("five_hour", Some(0.424), 2)));
    assert_eq!(row("plan")["provider"], "anthropic");
    assert_eq!(row("plan")["id"], row("plan")["fingerprint"]);
    assert_eq!(row("ANTHROPIC_API_KEYS[1]")["limited_until_unix_ms"], until_unix_ms);
    assert_eq!(row("ANTHROPIC_API_KEYS[1]")["limited_window"], "five_hour");
    assert_eq!(row("ANTHROPIC_API_KEYS[2]")["state"], "refused");
    assert_eq!(row("vault")["fingerprint"], Value::Null);
    assert_eq!(row("OPENAI_API_KEY_2")["provider"], "openai");
    assert_no_value_below(&sandbox.path("state"));
}

#[test]
fn a_damaged_state_is_a_warning_and_a_missing_file_of_tokens_an_error() {
    let sandbox = sandbox();
    sandbox.write("state/tokens.json", "{");
    let seen = sandbox.seen(tokens(&sandbox, &["list"]));
    assert!(seen.starts_with("exit code 0\n"), "{seen}");
    assert!(seen.contains("warning: [ROOT]/state/tokens.json is damaged at line 1"), "{seen}");
    assert!(sandbox.path("state/tokens.json.damaged").exists());
    let mut command = tokens(&sandbox, &["list"]);
    command.env("CLAUDE_CODE_OAUTH_TOKENS_FILE", "gone.txt");
    insta::assert_snapshot!(sandbox.seen(command));
}

#[test]
fn no_run_begins_while_the_agents_settings_would_take_the_tokens_place() {
    let sandbox = Sandbox::new();
    sandbox
        .script("bin/claude", "case $1 in --version) echo '2.1.329 (Claude Code)';; *) touch \"$HOME/started\";; esac");
    sandbox.write("home/.claude/settings.json", r#"{"env": {"ANTHROPIC_AUTH_TOKEN": "made-up-setting"}}"#);
    sandbox.write("project/.claude/settings.local.json", r#"{"apiKeyHelper": "echo made-up-helper"}"#);
    let run = |args: &[&str]| {
        let mut command = sandbox.ccc(args);
        command.env("CLAUDE_CODE_OAUTH_TOKEN", "made-up-token");
        let seen = sandbox.seen(command);
        assert_no_value("the refusal", &seen);
        seen
    };
    insta::assert_snapshot!(run(&["--supervisor", "-p", "x"]));
    assert!(!sandbox.path("home/started").exists());
    let argument = r#"{"env": {"CLAUDE_CODE_OAUTH_TOKEN": "made-up-argument"}}"#;
    let seen = run(&["--supervisor", "-p", "x", "--", "--settings", argument]);
    assert!(seen.contains("`env.CLAUDE_CODE_OAUTH_TOKEN` in the agent's argument --settings"), "{seen}");
    let seen = run(&["doctor", "--offline"]);
    assert!(seen.contains("fail  token: `env.ANTHROPIC_AUTH_TOKEN` in [ROOT]/home/.claude/settings.json"), "{seen}");
    let seen = run(&["tokens"]);
    assert!(seen.contains("warning: `env.ANTHROPIC_AUTH_TOKEN` in "), "{seen}");
}

#[test]
fn a_token_that_a_command_prints_reaches_the_agent_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.script(
        "bin/claude",
        "case $1 in --version) echo '2.1.329 (Claude Code)';; *) env > \"$HOME/agent-env\"; exit 1;; esac",
    );
    let command = |label: &str, line: &str| json!({"kind": "oauth", "label": label, "command": line});
    let entries = json!({
        "tokens": [command("broken", "echo made-up-1 >&2; exit 3"), command("vault", "printf 'made-up-vault-value\\n'")],
        "budgets": {"max_restarts": 0}, "transport": "pipe",
    });
    sandbox.write("home/.config/ccc/ccc.json", entries.to_string());
    let start = || {
        let mut ccc = sandbox.ccc(&["--supervisor", "-p", "x"]);
        ccc.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
        ccc.env("CCC_STATE_DIR", sandbox.path("state")).env("ANTHROPIC_API_KEYS", "made-up-other");
        sandbox.seen(ccc)
    };
    let seen = start();
    assert_no_value("the run", &seen);
    let told = "rotated to vault (broken: the command of the token broken failed with exit code 3";
    assert!(seen.contains(told), "{seen}");
    let env = sandbox.read("home/agent-env");
    assert!(env.contains("CLAUDE_CODE_OAUTH_TOKEN=made-up-vault-value\n"), "{env}");
    assert!(!env.contains("ANTHROPIC_API_KEYS"), "{env}");
    assert_no_value_below(&sandbox.path("state"));
    sandbox.write("home/.config/ccc/ccc.json", json!({"tokens": [command("broken", "exit 3")]}).to_string());
    let mut ccc = sandbox.ccc(&["--supervisor", "-p", "x"]);
    ccc.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
    let seen = sandbox.seen(ccc);
    assert!(
        seen.contains("Failed: ") && seen.contains("the command of the token broken failed with exit code 3"),
        "{seen}"
    );
}

/// A provider that answers each token as its value says: `…-valid`, `…-limited`, `…-refused`.
struct Asked {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Asked {
    fn start(until_unix_s: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                drop(answer(stream, until_unix_s));
            }
        });
        Self { address, stopped, thread: Some(thread) }
    }

    fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn answer(stream: TcpStream, until_unix_s: i64) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        head.push_str(&line.to_lowercase());
        line.clear();
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    reader.read_exact(&mut vec![0; length])?;
    let (status, headers) = if head.contains("-limited") {
        let reset = format!("anthropic-ratelimit-unified-reset: {until_unix_s}\r\n");
        let claim = "anthropic-ratelimit-unified-representative-claim: five_hour\r\n";
        ("429 Too Many Requests", format!("anthropic-ratelimit-unified-status: rejected\r\n{reset}{claim}"))
    } else if head.contains("-refused") {
        ("401 Unauthorized", String::new())
    } else {
        ("200 OK", String::new())
    };
    let answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: 2\r\nconnection: close\r\n\r\n{{}}");
    reader.into_inner().write_all(answer.as_bytes())
}

#[test]
fn the_doctor_asks_the_provider_in_peoples_words_unless_it_is_not_to() {
    let sandbox = Sandbox::new();
    let provider = Asked::start(now_unix_ms() / 1_000 + 2 * 3_600 + 90);
    let doctor = |keys: &str, args: &[&str]| {
        let mut ccc = sandbox.ccc(&[&["doctor"], args].concat());
        ccc.env("TZ", "UTC").env("PATH", "/usr/bin:/bin").env("CCC_STATE_DIR", sandbox.path("state"));
        ccc.env("ANTHROPIC_BASE_URL", provider.base_url()).env("ANTHROPIC_API_KEYS", keys);
        let seen = sandbox.seen(ccc);
        assert_no_value("the doctor", &seen);
        seen
    };
    let offline = doctor("made-up-refused", &["--offline"]);
    assert!(!offline.contains("provider"), "{offline}");
    let seen = doctor("made-up-limited,made-up-refused,made-up-valid", &[]);
    assert!(seen.contains("warn  provider: ANTHROPIC_API_KEYS[1] is limited until "), "{seen}");
    assert!(seen.contains("warn  provider: ANTHROPIC_API_KEYS[2] is refused (HTTP 401)"), "{seen}");
    assert!(seen.contains("ok    provider: ANTHROPIC_API_KEYS[3] is ready"), "{seen}");
    let refused = doctor("made-up-refused", &[]);
    assert!(refused.contains("fail  provider: ANTHROPIC_API_KEYS[1] is refused"), "{refused}");
}

#[test]
fn check_asks_each_provider_says_what_it_answers_and_lets_all_ccc_know() {
    let sandbox = Sandbox::new();
    let command = json!({"label": "vault", "kind": "oauth", "command": "echo made-up-vault-valid"});
    let broken = json!({"label": "broken", "command": "echo made-up-broken >&2; exit 1"});
    sandbox.write("home/.config/ccc/ccc.json", json!({"tokens": [command, broken]}).to_string());
    let until_unix_s = now_unix_ms() / 1_000 + 2 * 3_600 + 90;
    let provider = Asked::start(until_unix_s);
    let check = |keys: &str, args: &[&str]| {
        let mut ccc = sandbox.ccc(&[&["tokens", "check"], args].concat());
        ccc.env("TZ", "UTC").env("PATH", "/usr/bin:/bin").env("CCC_STATE_DIR", sandbox.path("state"));
        ccc.env("ANTHROPIC_BASE_URL", provider.base_url()).env("ANTHROPIC_API_KEYS", keys);
        // Nobody listens on port 1.
        ccc.env("OPENAI_API_KEY", "made-up-openai").env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
        ccc
    };
    let seen = sandbox.seen(check("made-up-limited,made-up-refused,made-up-valid", &[]));
    assert_no_value("the check", &seen);
    assert!(seen.starts_with("exit code 0\n"), "{seen}");
    let line = |label: &str| seen.lines().find(|line| line.starts_with(label)).expect(label);
    assert!(line("vault ").ends_with("  ready"), "{seen}");
    assert!(
        line("broken ").contains("  not checked: the command of the token broken failed with exit code 1"),
        "{seen}"
    );
    assert!(line("ANTHROPIC_API_KEYS[1]").contains("  limited until "), "{seen}");
    assert!(line("ANTHROPIC_API_KEYS[1]").ends_with("(in 2h 01m), window: 5 hours"), "{seen}");
    assert!(line("ANTHROPIC_API_KEYS[2]").ends_with("  refused (HTTP 401)"), "{seen}");
    assert!(line("ANTHROPIC_API_KEYS[3]").ends_with("  ready"), "{seen}");
    assert!(line("OPENAI_API_KEY ").contains("  not reached: "), "{seen}");

    // The list, asked with the same tokens, knows it now.
    let mut list = sandbox.ccc(&["tokens"]);
    list.env("TZ", "UTC").env("CCC_STATE_DIR", sandbox.path("state"));
    list.env("ANTHROPIC_API_KEYS", "made-up-limited,made-up-refused,made-up-valid");
    let listed = sandbox.seen(list);
    let state = |number: u32, state: &str| {
        let label = format!("ANTHROPIC_API_KEYS[{number}]");
        let line = listed.lines().find(|line| line.starts_with(&label)).expect("a line");
        assert!(line.contains(&format!("  {state}")), "{listed}");
    };
    state(1, "limited until ");
    state(2, "refused");
    state(3, "ready");

    sandbox.write("home/.config/ccc/ccc.json", "{}");
    let output = check("made-up-limited,made-up-refused", &["--json"]).output().expect("ccc runs");
    assert_eq!(output.status.code(), Some(1), "none can be used");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["usable"], false);
    assert_eq!(json["tokens"][0]["answer"]["verdict"], "limited");
    assert_eq!(json["tokens"][0]["answer"]["until_unix_ms"], until_unix_s * 1_000);
    assert_eq!(json["tokens"][1]["answer"]["verdict"], "refused");
    assert_eq!(json["tokens"][1]["state"], "refused");
    assert_eq!(json["tokens"][2]["answer"]["verdict"], "unreachable");
    assert_no_value("the JSON", &json.to_string());
    assert_no_value_below(&sandbox.path("state"));
}

#[test]
fn check_asks_about_the_login_unless_it_has_expired() {
    let sandbox = Sandbox::new();
    let provider = Asked::start(0);
    let check = |expires_at: i64| {
        let login = json!({"claudeAiOauth": {"accessToken": "made-up-login-valid", "expiresAt": expires_at}});
        sandbox.write("home/.claude/.credentials.json", login.to_string());
        let mut ccc = sandbox.ccc(&["tokens", "check"]);
        ccc.env("ANTHROPIC_BASE_URL", provider.base_url()).env("CCC_STATE_DIR", sandbox.path("state"));
        let seen = sandbox.seen(ccc);
        assert_no_value("the check", &seen);
        seen
    };
    let seen = check(now_unix_ms() + HOUR_MS);
    assert!(seen.starts_with("exit code 0\n") && seen.contains("  ready\n"), "{seen}");
    let seen = check(now_unix_ms() - 1);
    assert!(seen.starts_with("exit code 1\n"), "{seen}");
    assert!(seen.contains("  not checked: the login has expired; run `claude`, which renews it"), "{seen}");
}

const PLAN: [(&str, &str); 1] = [("CLAUDE_CODE_OAUTH_TOKEN", "made-up-plan")];

fn at_once(sandbox: &Sandbox, company: &Company, args: &[&str]) -> Child {
    let mut command = std::process::Command::new(crate::program::ccc());
    command.env_clear().env("HOME", sandbox.path("home")).env("CCC_STATE_DIR", sandbox.path("state")).envs(PLAN);
    command.env("CCC_USAGE_BASE_URL", company.url()).env("ANTHROPIC_BASE_URL", company.url());
    command.current_dir(sandbox.path("project")).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("ccc starts")
}

fn ended(child: Child) -> String {
    let output = child.wait_with_output().expect("ccc ends");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    assert_no_value("ccc", &text);
    text
}

#[test]
fn many_checks_and_refreshes_at_once_ask_the_usage_endpoint_once() {
    let (sandbox, company) = (Sandbox::new(), Company::start());
    company.answers("/api/oauth/usage", account(12.0, 34.0).after(Duration::from_millis(300)));
    let all: Vec<_> = (0..4)
        .map(|_| {
            let check = at_once(&sandbox, &company, &["tokens", "check"]);
            (check, at_once(&sandbox, &company, &["usage", "--refresh"]))
        })
        .collect();
    let mut kept = 0;
    for (check, usage) in all {
        let (check, usage) = (ended(check), ended(usage));
        assert!(check.contains("  ready") && check.contains("12 % used"), "{check}");
        assert!(usage.contains("12 %  OK"), "{usage}");
        kept += usize::from(check.contains("  ready (checked ") && check.contains("s ago)\n"));
    }
    assert!(kept >= 3, "what another has learnt is said with its age: {kept}");
    assert_eq!(company.lines(), ["GET /api/oauth/usage"]);
}

#[test]
fn a_check_keeps_the_usage_endpoints_pause_and_a_message_tells_instead() {
    let (sandbox, company) = (Sandbox::new(), Company::start());
    company.answers("/api/oauth/usage", Reply::of(429, "{}").header("retry-after", 0));
    company.answers("/v1/messages", Reply::of(200, "{}"));
    let check = || ended(at_once(&sandbox, &company, &["tokens", "check"]));
    let seen = check();
    assert!(seen.contains("  ready\n"), "{seen}");
    assert_eq!(company.lines(), ["GET /api/oauth/usage", "POST /v1/messages"]);
    let seen = check();
    assert!(seen.contains("  ready (checked "), "{seen}");
    assert_eq!(company.lines().len(), 2, "nothing is asked again at once");

    // Three minutes later: the verdict is old, and the pause of five minutes still lasts.
    let cache = || serde_json::from_str::<Value>(&sandbox.read("state/usage-cache.json")).expect("JSON");
    let mut older = cache();
    let (_, entry) = older["identities"].as_object_mut().expect("identities").iter_mut().next().expect("one");
    for key in ["/verdict/at_unix_ms", "/next_unix_ms"] {
        let time = entry.pointer_mut(key).expect(key);
        *time = json!(time.as_i64().expect("a time") - 180_000);
    }
    let (next, backoff) = (entry["next_unix_ms"].clone(), entry["backoff_ms"].clone());
    sandbox.write("state/usage-cache.json", older.to_string());
    company.answers("/v1/messages", Reply::of(401, "{}"));
    let output = at_once(&sandbox, &company, &["tokens", "check"]).wait_with_output().expect("ccc ends");
    let seen = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && seen.contains("  refused (HTTP 401)\n"), "{seen}");
    assert_eq!(company.lines(), ["GET /api/oauth/usage", "POST /v1/messages", "POST /v1/messages"]);
    let (_, entry) = cache()["identities"].as_object().expect("identities").clone().into_iter().next().expect("one");
    assert_eq!((&entry["next_unix_ms"], &entry["backoff_ms"]), (&next, &backoff), "the pause is as it was");
}

#[test]
fn a_login_in_the_keychain_is_a_source_whose_value_is_read_only_to_be_asked_about() {
    let (sandbox, company) = (Sandbox::new(), Company::start());
    company.answers("/api/oauth/usage", account(7.0, 8.0));
    sandbox.script("bin/claude", "echo '2.1.329 (Claude Code)'");
    let item = json!({"claudeAiOauth": {"accessToken": "made-up-in-keychain", "scopes": ["user:profile"]}});
    let log = sandbox.path("asked");
    let script = format!("echo \"$4\" >> '{}'; [ \"$4\" != -w ] || echo '{item}'", log.display());
    let security = sandbox.script("bin/security", &script);
    let ccc = |args: &[&str]| {
        let mut ccc = sandbox.ccc(args);
        ccc.env("CCC_SECURITY", &security).env("CCC_STATE_DIR", sandbox.path("state"));
        ccc.env("CCC_USAGE_BASE_URL", company.url()).env("ANTHROPIC_BASE_URL", company.url());
        let seen = sandbox.seen(ccc);
        assert_no_value("ccc", &seen);
        seen
    };
    let seen = ccc(&["tokens", "list"]);
    assert!(seen.contains("the Keychain  login  Anthropic  -  unknown\n"), "{seen}");
    let seen = ccc(&["doctor", "--offline"]);
    assert!(seen.contains("ok    token: the Keychain (login)\n"), "{seen}");
    assert_eq!(sandbox.read("asked"), "\n\n", "looked for, its value not read");
    let seen = ccc(&["tokens", "check"]);
    assert!(seen.starts_with("exit code 0\n") && seen.contains("  ready\n"), "{seen}");
    assert_eq!(sandbox.read("asked"), "\n\n\n-w\n", "its value is read once");
    let seen = ccc(&["tokens", "check"]);
    assert!(seen.contains("  ready (checked "), "{seen}");
    assert!(ccc(&["tokens"]).contains("  ready\n"));
    assert_eq!(sandbox.read("asked"), "\n\n\n-w\n", "what was there a moment ago is not looked for");
    assert_no_value_below(&sandbox.path("state"));

    sandbox.write("bin/security", "#!/bin/sh\nexit 44\n");
    fs::remove_dir_all(sandbox.path("state")).expect("removed");
    assert!(ccc(&["doctor", "--offline"]).contains("fail  token: none found"));
    assert!(!ccc(&["tokens", "list"]).contains("Keychain"));
    sandbox.write("bin/security", "#!/bin/sh\nexit 36\n");
    let seen = ccc(&["doctor", "--offline"]);
    assert!(seen.contains("warn  token: none found") && seen.contains("the Keychain is locked"), "{seen}");
}

#[test]
fn a_credential_that_is_too_short_to_be_hidden_is_named_by_its_label() {
    let sandbox = Sandbox::new();
    sandbox.script("bin/claude", "case $1 in --version) echo '2.1.329 (Claude Code)';; *) exit 1;; esac");
    sandbox.script("bin/git", &format!("echo {}", sandbox.path("project").display()));
    let told = |label: &str| format!("the credential {label} cannot be removed from the journal and the output");
    let ccc = |args: &[&str], value: &str| {
        let mut ccc = sandbox.ccc(args);
        ccc.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
        ccc.env("CCC_STATE_DIR", sandbox.path("state")).env("CCC_MAX_RESTARTS", "0");
        if !value.is_empty() {
            ccc.env("CLAUDE_CODE_OAUTH_TOKEN", value);
        }
        let seen = sandbox.seen(ccc);
        assert!(!seen.contains("qzjxkvw"), "{seen}");
        seen
    };
    let run = ["--supervisor", "-p", "x"];
    for (value, times) in [("qzjxkvw", 1), ("qzjxkvwq", 0)] {
        for args in [&["doctor", "--offline"][..], &run, &["supervise", "--provider", "anthropic", "--", "true"]] {
            let seen = ccc(args, value);
            assert_eq!(seen.matches(&told("CLAUDE_CODE_OAUTH_TOKEN")).count(), times, "{args:?} {value}: {seen}");
            assert_eq!(seen.matches("it is shorter than 8 bytes").count(), times, "{args:?} {value}: {seen}");
            assert_eq!(seen.matches("use a longer credential, or remove this one").count(), times, "{seen}");
        }
    }
    let vault =
        json!({"tokens": [{"label": "vault", "kind": "oauth", "command": "echo qzjxkvw"}], "transport": "pipe"});
    sandbox.write("home/.config/ccc/ccc.json", vault.to_string());
    let seen = ccc(&run, "");
    assert_eq!(seen.matches(&told("vault")).count(), 1, "{seen}");
}
