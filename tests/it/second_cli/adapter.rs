//! The adapter of a made-up CLI in the shapes of an app server: JSON-RPC lines, a handshake, threads whose ids the server
//! chooses, a key that is exchanged by a request. It forks no session, reports no limits and cannot be told what it costs.

use std::collections::VecDeque;

use ccc::agent::{
    Adapter, AgentEvent, Ask, Asked, Caps, ExitCause, FailureCause, Installation, LaunchRequest, Protocol, Role, Say,
    SessionOpen, StartedBy, TokenCount, TurnEnd, TurnOutcome,
};
use ccc::core::{ExitFact, Launch, TokenKind, TurnId};
use ccc::words::Provider;
use serde_json::{Value, json};

use super::server::{DIR_VARIABLE, SERVES};

/// The family; see the module.
#[derive(Debug)]
pub(super) struct SecondCli;

impl Adapter for SecondCli {
    fn name(&self) -> &'static str {
        "second_cli"
    }

    fn caps(&self, _: &str) -> Caps {
        Caps {
            fork: false,
            read_only_critic: true,
            interrupt: true,
            hot_tokens: &[TokenKind::ApiKey],
            limit_events: false,
            prompt_snapshot: false,
            own_interface: false,
        }
    }

    fn program(&self) -> &'static str {
        "second"
    }

    fn installation(&self) -> Installation {
        Installation {
            product: "Second",
            install: "install-second",
            also_at: None,
            tested: ["1.0.0", "1.0.0"],
            dir_variable: DIR_VARIABLE,
            dir: ".second",
            files: &[],
            records: ("sessions", 3),
            settings_files: false,
        }
    }

    fn provider(&self) -> Provider {
        Provider::OpenAi
    }

    fn is_record(&self, file_name: &str, session_id: &str) -> bool {
        file_name.strip_suffix(".jsonl").is_some_and(|name| name.ends_with(&format!("-{session_id}")))
    }

    fn launch(&self, request: &LaunchRequest<'_>) -> Launch {
        let cookies = [("CCC_RUN_ID", request.run_id.to_owned()), ("CCC_ATTEMPT", request.proc.to_string())];
        let serves = (SERVES.to_owned(), "1".to_owned());
        Launch {
            env_set: cookies.map(|(name, value)| (name.to_owned(), value)).into_iter().chain([serves]).collect(),
            cwd: request.cwd.to_owned(),
            ..Launch::default()
        }
    }

    fn protocol(&self, request: &LaunchRequest<'_>) -> Box<dyn Protocol> {
        let sandbox = if request.role == Role::Critic { "read-only" } else { "workspace-write" };
        let open = match &request.open {
            SessionOpen::Resume(id) => ("thread/resume", json!({"threadId": id})),
            SessionOpen::New(_) => ("thread/start", json!({"cwd": request.cwd, "sandbox": sandbox})),
            SessionOpen::Latest | SessionOpen::Copy(..) | SessionOpen::Fork(_) => {
                panic!("it can do neither: {:?}", request.open)
            }
        };
        Box::new(Connection { open, ..Connection::default() })
    }

    fn exit_cause(&self, exit: &ExitFact, _: bool) -> ExitCause {
        if exit.code == Some(0) { ExitCause::Clean } else { ExitCause::Crash }
    }
}

/// What one process has been told and has told.
#[derive(Debug, Clone, Default)]
struct Connection {
    /// The request that opens the thread.
    open: (&'static str, Value),
    out: VecDeque<Vec<u8>>,
    spoke: bool,
    thread: Option<String>,
    /// The turn that was sent, and its id with the server.
    turn: Option<TurnId>,
    turn_id: Option<String>,
    said: String,
    ran: bool,
    used: TokenCount,
}

fn line(message: &Value) -> Vec<u8> {
    format!("{message}\n").into_bytes()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Connection {
    fn send(&mut self, message: &Value) {
        self.out.push_back(line(message));
    }

    /// A reply to one of our requests; these have words for ids.
    fn replied(&mut self, id: &str, result: &Value, out: &mut Vec<AgentEvent>) {
        match id {
            "initialize" => {
                self.send(&json!({"method": "initialized"}));
                let (method, params) = self.open.clone();
                self.send(&json!({"id": "open", "method": method, "params": params}));
            }
            "open" => {
                let thread = text(&result["thread"]["id"]);
                out.push(AgentEvent::SessionKnown {
                    session_id: thread.clone(),
                    model: text(&result["model"]),
                    agent_version: String::new(),
                    permission_mode: String::new(),
                    cwd: text(&result["cwd"]),
                });
                self.thread = Some(thread);
            }
            "login" => out.push(AgentEvent::CredentialAnswered { applied: !result.is_null() }),
            "turn" => self.turn_id = result["turn"]["id"].as_str().map(str::to_owned),
            _ => {}
        }
    }

    fn told(&mut self, method: &str, params: &Value, out: &mut Vec<AgentEvent>) {
        let item = &params["item"];
        match (method, item["type"].as_str()) {
            ("turn/started", _) => {
                if let Some(turn) = self.turn.clone() {
                    out.push(AgentEvent::TurnAccepted { turn: turn.clone(), duplicate: false });
                    out.push(AgentEvent::TurnStarted { started_by: StartedBy::Us(turn) });
                }
            }
            ("item/started", Some("commandExecution")) => {
                self.ran = true;
                out.push(AgentEvent::ToolStarted {
                    id: text(&item["id"]),
                    name: "command".to_owned(),
                    target: text(&item["command"]),
                    timeout_ms: None,
                    edit: None,
                    under: None,
                    in_background: false,
                });
            }
            ("item/completed", Some("commandExecution")) => out.push(AgentEvent::ToolEnded {
                id: text(&item["id"]),
                failed: item["exitCode"] != 0,
                error: String::new(),
                output: None,
                hunks: Vec::new(),
            }),
            ("item/completed", Some("agentMessage")) => {
                self.said = text(&item["text"]);
                out.push(AgentEvent::Text { text: self.said.clone(), under: None });
            }
            ("thread/tokenUsage/updated", _) => {
                let of = |name: &str| params["tokenUsage"]["last"][name].as_u64().unwrap_or_default();
                let (input, cached, output) = (of("inputTokens"), of("cachedInputTokens"), of("outputTokens"));
                self.used = self.used.plus(TokenCount { input: input - cached, cached, output });
                out.push(AgentEvent::Usage(self.used));
            }
            ("turn/completed", _) => out.extend(self.ended(&params["turn"]).map(AgentEvent::TurnEnded)),
            _ => {}
        }
    }

    fn ended(&mut self, turn: &Value) -> Option<TurnEnd> {
        let started_by = StartedBy::Us(self.turn.take()?);
        self.turn_id = None;
        let outcome = match turn["status"].as_str() {
            Some("completed") => TurnOutcome::Done,
            Some("interrupted") => TurnOutcome::Interrupted,
            _ => {
                let cause = match turn["error"]["codexErrorInfo"].as_str() {
                    Some("usageLimitExceeded") => FailureCause::Quota { resets_at_unix_s: None },
                    Some("unauthorized") => FailureCause::Refused,
                    _ => FailureCause::Unknown,
                };
                TurnOutcome::Failed { cause, message: text(&turn["error"]["message"]) }
            }
        };
        Some(TurnEnd {
            outcome,
            started_by,
            text: std::mem::take(&mut self.said),
            last_block: 0,
            denials: Vec::new(),
            left_open: 0,
            unasked: false,
            mixed: false,
        })
    }
}

impl Protocol for Connection {
    fn copied(&self) -> Box<dyn Protocol> {
        Box::new(self.clone())
    }

    fn started(&mut self) {
        self.send(&json!({"id": "initialize", "method": "initialize", "params": {"clientInfo": {"name": "ccc"}}}));
    }

    fn poll_send(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    fn encode(&self, say: &Say<'_>) -> Option<Vec<u8>> {
        let answer = |id: &str, key: &str, answer: Value| {
            let id: Value = serde_json::from_str(id).expect("it was written by us");
            json!({"id": id, key: answer})
        };
        let message = match *say {
            Say::Turn { turn, text, .. } => json!({"id": "turn", "method": "turn/start", "params": {
                "threadId": self.thread, "clientUserMessageId": turn.0, "input": [{"type": "text", "text": text}]
            }}),
            Say::Interrupt => json!({"id": "interrupt", "method": "turn/interrupt", "params": {
                "threadId": self.thread, "turnId": self.turn_id
            }}),
            Say::Credential { variables } => json!({"id": "login", "method": "account/login/start", "params": {
                "type": "apiKey", "apiKey": variables.iter().map(|(_, value)| *value).next()
            }}),
            Say::Permission { request_id, .. } => answer(request_id, "result", json!({"decision": "accept"})),
            Say::Denial { request_id, .. } => answer(request_id, "result", json!({"decision": "decline"})),
            Say::Cancel { request_id } => answer(request_id, "result", Value::Null),
            Say::Refusal { request_id, why } => answer(request_id, "error", json!({"code": -32601, "message": why})),
            Say::ReleaseStop
            | Say::CostQuestion { .. }
            | Say::PermissionMode { .. }
            | Say::Model { .. }
            | Say::Filled { .. } => {
                return None;
            }
        };
        Some(line(&message))
    }

    fn turn_sent(&mut self, turn: &TurnId) {
        self.turn = Some(turn.clone());
    }

    fn line(&mut self, json: &str, out: &mut Vec<AgentEvent>) {
        let message: Value = serde_json::from_str(json).unwrap_or_default();
        out.push(if message.get("method").is_some() { AgentEvent::Progress } else { AgentEvent::Alive });
        match (message["method"].as_str(), message.get("id")) {
            (Some(method), Some(id)) => out.push(AgentEvent::Question {
                request_id: id.to_string(),
                subtype: method.to_owned(),
                ask: match method {
                    "item/commandExecution/requestApproval" => Ask::ForUser(Box::new(Asked {
                        tool: "command".to_owned(),
                        target: text(&message["params"]["command"]),
                        ..Asked::default()
                    })),
                    _ => Ask::Unknown,
                },
            }),
            (Some(method), None) => self.told(method, &message["params"], out),
            (None, Some(id)) => self.replied(&text(id), &message["result"], out),
            (None, None) => return,
        }
        self.spoke = true;
    }

    fn is_idle(&self) -> bool {
        self.thread.is_some() && self.turn.is_none()
    }

    fn has_spoken(&self) -> bool {
        self.spoke
    }

    fn could_write(&self) -> bool {
        self.ran
    }
}
