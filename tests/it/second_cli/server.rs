//! The made-up CLI itself: this test binary, started again with [`SERVES`] in its environment. It keeps its threads under the
//! directory that [`DIR_VARIABLE`] names, and writes down all that it hears in `heard.jsonl` there.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

/// Set where this binary is to serve.
pub(super) const SERVES: &str = "SECOND_CLI_SERVES";
/// Names its directory.
pub(super) const DIR_VARIABLE: &str = "SECOND_CLI_DIR";
/// The test that serves.
pub(super) const TEST: &str = "second_cli::server::serves";
/// The key whose account has nothing left.
pub(super) const SPENT_KEY: &str = "made-up-key-that-is-spent";
/// The other one.
pub(super) const GOOD_KEY: &str = "made-up-key-with-credit";
/// What the critic says first.
pub(super) const FEEDBACK: &str = "The second half is missing.";

struct Server {
    dir: PathBuf,
    key: String,
    thread: Option<String>,
    is_critic: bool,
}

#[test]
#[ignore = "it is the CLI, and is started by a run"]
fn serves() {
    if std::env::var_os(SERVES).is_none() {
        return;
    }
    let dir = PathBuf::from(std::env::var_os(DIR_VARIABLE).expect("a directory"));
    let key = std::env::var("OPENAI_API_KEY").unwrap_or_default();
    let mut server = Server { dir, key, thread: None, is_critic: false };
    for line in std::io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line.expect("stdin")).expect("JSON");
        server.note("heard.jsonl", &message);
        server.answer(&message);
    }
    std::process::exit(0);
}

fn tell(message: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{message}").and_then(|()| out.flush()).expect("stdout");
}

fn notify(method: &str, params: &Value) {
    tell(&json!({"method": method, "params": params}));
}

impl Server {
    fn note(&self, file: &str, row: &Value) {
        let path = self.dir.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("open");
        writeln!(file, "{row}").expect("written");
    }

    /// How often this was called before, over all processes.
    fn times(&self, what: &str) -> u32 {
        let path = self.dir.join(what);
        let times = fs::read_to_string(&path).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        fs::write(path, (times + 1).to_string()).expect("written");
        times
    }

    fn record(&self, thread: &str) -> String {
        format!("sessions/2026/11/27/rollout-20261127T101112-{thread}.jsonl")
    }

    fn answer(&mut self, message: &Value) {
        let (id, params) = (&message["id"], &message["params"]);
        let reply = |result: Value| tell(&json!({"id": id, "result": result}));
        match message["method"].as_str() {
            Some("initialize") => reply(json!({"userAgent": "second/1.0.0"})),
            Some("thread/start") => {
                self.is_critic = params["sandbox"] == "read-only";
                let thread = format!("thread-{}", self.times("threads"));
                self.opened(id, thread);
            }
            Some("thread/resume") => {
                let thread = params["threadId"].as_str().expect("an id").to_owned();
                match self.dir.join(self.record(&thread)).exists() {
                    true => self.opened(id, thread),
                    false => tell(&json!({"id": id, "error": {"code": -32600, "message": "no rollout found"}})),
                }
            }
            Some("account/login/start") => {
                params["apiKey"].as_str().expect("a key").clone_into(&mut self.key);
                reply(json!({"type": "apiKey"}));
            }
            Some("turn/start") => {
                let thread = self.thread.clone().expect("a thread was opened");
                self.note(
                    &self.record(&thread),
                    &json!({"clientId": params["clientUserMessageId"], "input": params["input"]}),
                );
                reply(json!({"turn": {"id": "turn-1"}}));
                notify("turn/started", &json!({"turn": {"id": "turn-1"}}));
                if self.is_critic { self.judge() } else { self.work() }
            }
            // The answer to our question about a command.
            None if *id == 7 => {
                assert_eq!(message["result"]["decision"], "decline");
                end_turn("Second half done, without the network.");
            }
            _ => {}
        }
    }

    fn opened(&mut self, id: &Value, thread: String) {
        self.note(&self.record(&thread), &json!({"opened": thread}));
        tell(&json!({"id": id, "result": {"thread": {"id": thread}, "model": "made-up"}}));
        self.thread = Some(thread);
    }

    fn work(&self) {
        if self.key == SPENT_KEY && self.times("turns with the spent key") > 0 {
            let error = json!({"message": "You've hit your usage limit.", "codexErrorInfo": "usageLimitExceeded"});
            notify("turn/completed", &json!({"turn": {"id": "turn-1", "status": "failed", "error": error}}));
            return;
        }
        match self.times("turns") {
            0 => {
                let command = json!({"type": "commandExecution", "id": "c1", "command": "touch half"});
                notify("item/started", &json!({"item": command}));
                fs::write("half", "").expect("written");
                // In the middle of its turn.
                std::process::abort();
            }
            1 => end_turn("First half done."),
            _ => tell(
                &json!({"id": 7, "method": "item/commandExecution/requestApproval", "params": {"command": "curl"}}),
            ),
        }
    }

    fn judge(&self) {
        match self.times("critics") {
            0 => end_turn(FEEDBACK),
            _ => end_turn("Both halves are there.\n\n[TASK_COMPLETED]"),
        }
    }
}

fn end_turn(text: &str) {
    notify("item/completed", &json!({"item": {"type": "agentMessage", "text": text}}));
    let last = json!({"inputTokens": 100, "cachedInputTokens": 80, "outputTokens": 7});
    notify("thread/tokenUsage/updated", &json!({"tokenUsage": {"last": last}}));
    notify("turn/completed", &json!({"turn": {"id": "turn-1", "status": "completed"}}));
}
