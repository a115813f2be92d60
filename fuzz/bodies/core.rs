//! The core under inputs in any order, true to life or not: total, the same each time, with deadlines that lead somewhere.

use std::collections::{BTreeMap, BTreeSet};

use ccc::agent::{AgentKind, HOOK_GONE, Role};
use ccc::core::{
    Action, Answer, Approvals, AskId, Budgets, Change, CheckEnd, CheckId, CheckResult, Core, ExitFact, Input, LineFact,
    MeasureId, OperatorInput, Plan, ProcId, Ruling, SpawnFault, Tick, TokenFact, TokenId, TokenKind, TreeFact, TurnId,
    Unattended, WindowFact,
};
use serde_json::json;
use serde_json::value::RawValue;

use super::bytes::Bytes;

/// Inputs of one night.
const MOST_INPUTS: usize = 400;
/// Actions that one input may lead to.
const MOST_ACTIONS: usize = 1_000;
/// Times in a row that a deadline may be due at the very moment it is answered: the rungs of an end, a few processes.
const MOST_ELAPSED_AT_ONCE: usize = 64;
/// What the core may add to the plan's own limits before it looks again, milliseconds: its pauses, the longest wait that
/// an agent may announce.
const MOST_ADDED_MS: u64 = 48 * 3_600_000;
/// Facts after the user wants the end at once, until it has come.
const MOST_TO_THE_END: usize = 100;

/// This byte in front: the agent shows its own interface.
const NATIVE: u8 = 239;

/// The first bytes draw the plan, the others the night.
pub(crate) fn check(data: &[u8]) {
    let native = data.strip_prefix(&[NATIVE]);
    let mut bytes = Bytes::new(native.unwrap_or(data));
    let mut plan = plan(&mut bytes);
    if native.is_some() {
        plan.agent = AgentKind::CLAUDE_NATIVE;
        plan.conversation = true;
    }
    let mut night = Night::new(plan);
    let tokens = tokens(&mut bytes, 1_800_000_000_000);
    night.tell(Input::Began { unix_ms: 1_800_000_000_000, resumed: false, turn_recorded: None, tokens });
    let mut inputs = 0;
    while !bytes.is_empty() && inputs < MOST_INPUTS {
        night.step(&mut bytes);
        inputs += 1;
    }
    night.end();
}

/// Up to three tokens, in any state.
fn tokens(bytes: &mut Bytes<'_>, unix_ms: i64) -> Vec<TokenFact> {
    use TokenKind::{ApiKey, AuthToken, Login, OAuth};
    (0..bytes.below(4))
        .map(|at| TokenFact {
            id: TokenId(format!("t{at}")),
            label: format!("T{at}"),
            kind: bytes.one_of(&[OAuth, OAuth, ApiKey, AuthToken, Login]),
            hot_group: None,
            model: None,
            windows: vec![WindowFact {
                name: "five_hour".to_owned(),
                utilization: bytes.one_of(&[None, Some(0.5), Some(0.97), Some(f64::MAX)]),
                resets_at_unix_s: bytes.one_of(&[None, Some(unix_ms / 1_000 + 60), Some(i64::MAX), Some(i64::MIN)]),
            }],
            limited_until_unix_ms: bytes.one_of(&[None, None, Some(unix_ms + 60_000), Some(0)]),
            refused: bytes.byte() < 32,
        })
        .collect()
}

fn plan(bytes: &mut Bytes<'_>) -> Plan {
    // What a person may write into a configuration: never zero, up to years.
    let mut span = |usual: u64| match bytes.byte() {
        0..=223 => usual,
        224..=239 => 1,
        _ => 3_650 * 86_400_000,
    };
    let (start_ms, stall_ms, tool_ms, grace_ms) = (span(60_000), span(180_000), span(900_000), span(3_000));
    let critic_ms = span(1_800_000);
    let check_ms = span(900_000);
    let session = "11111111-0000-4000-8000-000000000001";
    // From JSON, so that a field with a default is none that has to be named here.
    let plan = json!({
        "seed": "s",
        "run_id": "r",
        "task": bytes.one_of(&["do it", "", "/compact"]),
        "cwd": "/p",
        "agent": "claude_code",
        "agent_version": bytes.one_of(&["2.1.332", "2.1.197", ""]),
        "agent_args": [],
        "session": match bytes.below(3) {
            0 => json!({ "new": session }),
            1 => json!({ "resume": session }),
            _ => json!("latest"),
        },
        "checks": (0..bytes.below(3)).map(|_| json!({"command": "make", "timeout_ms": check_ms})).collect::<Vec<_>>(),
        "critic": {
            "prompt": "Judge.",
            "prompt_as": if bytes.coin() { "system" } else { "message" },
            "prompt_file": null,
            "model": null,
            "allow": [],
            "max_failures": bytes.one_of(&[3, 1, u32::MAX]),
            "timeout_ms": critic_ms,
        },
        "budgets": budgets(bytes),
        "timeouts": { "start_ms": start_ms, "stall_ms": stall_ms, "tool_ms": tool_ms, "grace_ms": grace_ms },
        "share_prompt_prefix": bytes.coin(),
        "no_wait": bytes.coin(),
        "rotate_at": 0.95,
        "interactive": bytes.coin(),
        "answer_timeout_ms": 60_000,
    });
    let mut plan: Plan = serde_json::from_value(plan).expect("a plan");
    // By what was drawn already: so the inputs that fuzzing found mean what they did.
    if plan.share_prompt_prefix {
        let unattended = if plan.interactive { Unattended::Deny } else { Unattended::Wait { timeout_ms: 60_000 } };
        plan.approvals = Approvals::Ask { unattended };
    }
    plan.conversation = plan.no_wait;
    plan
}

/// What the user does in mid-run.
fn steering(bytes: &mut Bytes<'_>) -> OperatorInput {
    let key = format!("k{}", bytes.below(4));
    match bytes.below(14) {
        0..=2 => OperatorInput::Say { key: Some(key), text: bytes.text(20), images: Vec::new() },
        3 => OperatorInput::TakeBack { key },
        4 => OperatorInput::StopTurn,
        5 => OperatorInput::Pause,
        6 => OperatorInput::Continue,
        7 => {
            let ruling = Ruling::Allow { for_session: bytes.coin(), input: None };
            OperatorInput::Rule { ask: AskId(u32::from(bytes.byte() % 8)), key: None, ruling }
        }
        8 => {
            let ruling = Ruling::Deny { reason: bytes.text(20) };
            OperatorInput::Rule { ask: AskId(u32::from(bytes.byte() % 8)), key: None, ruling }
        }
        9 => OperatorInput::Judge,
        10 => OperatorInput::Rotate { to: None },
        11 => OperatorInput::Set(Change::Supervisor(bytes.coin())),
        12 => OperatorInput::Set(Change::Model("m-2".to_owned())),
        _ => OperatorInput::Attended { clients: bytes.below(3) as u32, why: None },
    }
}

fn budgets(bytes: &mut Bytes<'_>) -> Budgets {
    Budgets {
        max_iterations: bytes.one_of(&[20, 1, u32::MAX]),
        max_duration_ms: bytes.one_of(&[None, Some(1), Some(28_800_000)]),
        max_cost_usd: bytes.one_of(&[None, Some(0.5), Some(f64::MAX), Some(f64::MIN_POSITIVE)]),
        max_restarts: bytes.one_of(&[5, 0, u32::MAX]),
        max_repeats: bytes.one_of(&[3, 1, u32::MAX]),
        max_wait_ms: bytes.one_of(&[None, Some(0), Some(3_600_000)]),
        until_unix_ms: bytes.one_of(&[None, Some(0), Some(1_800_000_060_000)]),
        ..Budgets::DEFAULT
    }
}

/// A core, one that is told the same through the journal's text, and what is known from their actions.
struct Night {
    core: Core,
    replayed: Core,
    now: Tick,
    unix_ms: i64,
    /// Processes that were asked for and are not known to be gone.
    live: BTreeMap<ProcId, (Role, bool)>,
    /// Of those, the ones that a kill was asked for.
    killed: BTreeSet<ProcId>,
    newest: ProcId,
    /// The last question about the tokens.
    request: Option<u32>,
    sent: BTreeMap<ProcId, TurnId>,
    check: CheckId,
    measure: MeasureId,
    longest_ms: u64,
}

impl Night {
    fn new(plan: Plan) -> Night {
        let limits =
            [plan.timeouts.stall_ms, plan.timeouts.tool_ms, plan.timeouts.grace_ms, plan.critic.limits.timeout_ms];
        let longest_ms = limits.into_iter().max().unwrap_or_default();
        Night {
            core: Core::new(plan.clone()),
            replayed: Core::new(plan),
            now: Tick::ZERO,
            unix_ms: 1_800_000_000_000,
            live: BTreeMap::new(),
            killed: BTreeSet::new(),
            newest: ProcId(1),
            request: None,
            sent: BTreeMap::new(),
            check: CheckId(1),
            measure: MeasureId(1),
            longest_ms,
        }
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only some inputs say what is alive")]
    fn tell(&mut self, input: Input) {
        let written = serde_json::to_string(&input).expect("an input is written as JSON");
        let read: Input = serde_json::from_str(&written).expect("an input is read as it was written");
        let (resumed, gone) = match &input {
            Input::Began { resumed, .. } => (*resumed, None),
            Input::Exited { proc, .. } | Input::SpawnFailed { proc, .. } => (false, Some(*proc)),
            _ => (false, None),
        };
        if resumed {
            self.live.clear();
        }
        gone.map(|proc| self.live.remove(&proc));
        if let Input::Spawned { proc, .. } = &input
            && let Some((_, runs)) = self.live.get_mut(proc)
        {
            *runs = true;
        }
        let was_over = self.core.is_finished() && !resumed;
        self.core.handle(self.now, input);
        self.replayed.handle(self.now, read);
        let mut actions = 0;
        while let Some(action) = self.core.poll_action() {
            let text = serde_json::to_string(&action).expect("an action is written as JSON");
            let again = self.replayed.poll_action().map(|action| serde_json::to_string(&action).expect("as well"));
            assert_eq!(Some(&text), again.as_ref(), "a replay does the same");
            serde_json::from_str::<Action>(&text).expect("an action is read as it was written");
            assert!(!was_over || matches!(action, Action::Note(_) | Action::Decide(_)), "the run is over: {text}");
            self.note(&action);
            actions += 1;
            assert!(actions < MOST_ACTIONS, "no end of actions");
        }
        assert!(self.replayed.poll_action().is_none(), "a replay does the same");
        assert_eq!(self.core.poll_timeout(), self.replayed.poll_timeout());
        self.deadline_leads_somewhere();
    }

    #[allow(clippy::wildcard_enum_match_arm, reason = "only some actions are held to something")]
    fn note(&mut self, action: &Action) {
        match action {
            Action::Spawn(spawn) => {
                let agents = self.live.iter().filter(|(proc, (role, _))| {
                    *role == Role::Agent && spawn.role == Role::Agent && !self.killed.contains(proc)
                });
                assert_eq!(agents.count(), 0, "a second agent");
                assert!(spawn.proc >= self.newest, "a number is used again");
                self.newest = spawn.proc;
                self.live.insert(spawn.proc, (spawn.role, false));
            }
            Action::Send(send) => {
                let to = self.live.get(&send.proc);
                assert!(to.is_some_and(|(_, runs)| *runs), "said to process {}, which does not run", send.proc);
                self.sent.insert(send.proc, send.turn.clone());
            }
            Action::KillTree { proc } => {
                self.killed.insert(*proc);
            }
            Action::RunCheck { check, .. } => self.check = *check,
            Action::MeasureTree { measure, .. } => self.measure = *measure,
            Action::Finish(finish) => {
                assert!(self.core.is_finished(), "a finish that is none");
                assert!(!finish.reason.trim().is_empty(), "an end without a reason");
                assert!(finish.cost_usd.is_none_or(f64::is_finite), "a cost of {:?}", finish.cost_usd);
            }
            Action::ReportToken { request, .. } | Action::ReadTokens { request } => self.request = Some(*request),
            _ => {}
        }
    }

    /// A deadline is not beyond what the plan and the named limits allow, and answering it moves it.
    fn deadline_leads_somewhere(&self) {
        let Some(due) = self.core.poll_timeout() else { return };
        let most_ms = self.longest_ms.saturating_mul(3).saturating_add(MOST_ADDED_MS);
        assert!(due <= self.now.plus_ms(most_ms), "the next look is at {} ms, {} in", due.as_ms(), self.core.phase());
        if due > self.now {
            return;
        }
        let mut core = self.core.clone();
        for _ in 0..MOST_ELAPSED_AT_ONCE {
            core.handle(self.now, Input::Elapsed { unix_ms: self.unix_ms });
            while core.poll_action().is_some() {}
            if core.poll_timeout().is_none_or(|due| due > self.now) {
                return;
            }
        }
        panic!("the deadline at {} ms stays due, {}", due.as_ms(), core.phase());
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.unix_ms = self.unix_ms.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
    }

    fn proc(&self, bytes: &mut Bytes<'_>) -> ProcId {
        match bytes.byte() {
            0..=191 => self.newest,
            192..=239 => ProcId(self.newest.0.saturating_sub(1)),
            any => ProcId(u32::from(any)),
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() {
            0..=39 => {
                let proc = self.proc(bytes);
                self.tell(Input::Spawned { proc, pid: 1, transport: "pty".to_owned() });
            }
            40..=89 => self.turn(bytes),
            90..=149 => {
                let proc = self.proc(bytes);
                let line = self.line(proc, bytes);
                self.tell(Input::Line { proc, line });
            }
            150..=164 => {
                let proc = self.proc(bytes);
                let exit = exit(bytes);
                self.tell(Input::Exited { proc, exit });
            }
            165..=179 => {
                let measure = if bytes.byte() < 224 { self.measure } else { MeasureId(bytes.byte().into()) };
                let tree = TreeFact {
                    fingerprint: bytes.one_of(&[Some("a"), Some("b"), None]).map(str::to_owned),
                    changed: (0..bytes.below(2)).map(|_| "src/lib.rs".to_owned()).collect(),
                    trouble: bytes.one_of(&[None, None, Some("git failed")]).map(str::to_owned),
                    ..TreeFact::default()
                };
                self.tell(Input::TreeMeasured { measure, tree });
            }
            180..=194 => {
                let check = if bytes.byte() < 224 { self.check } else { CheckId(bytes.byte().into()) };
                let end = match bytes.below(6) {
                    0 => CheckEnd::Exited(0),
                    1 => CheckEnd::Exited(101),
                    2 => CheckEnd::Signalled(9),
                    3 => CheckEnd::TimedOut,
                    4 => CheckEnd::NotStarted("no sh".to_owned()),
                    _ => CheckEnd::Cancelled,
                };
                let result = CheckResult {
                    end,
                    duration_ms: bytes.number(),
                    tail: bytes.text(20),
                    omitted_bytes: bytes.number(),
                    missing: bytes.number().is_multiple_of(8).then(|| bytes.text(8)),
                    protected: None,
                };
                self.tell(Input::CheckFinished { check, result });
            }
            195..=214 => self.time(bytes),
            215..=219 => {
                let proc = self.proc(bytes);
                let fault = bytes.one_of(&[
                    SpawnFault::Exhausted,
                    SpawnFault::NotFound,
                    SpawnFault::NotExecutable,
                    SpawnFault::BadDirectory,
                    SpawnFault::Other,
                ]);
                self.tell(Input::SpawnFailed { proc, fault, message: "no".to_owned() });
            }
            220..=223 => {
                let proc = self.proc(bytes);
                self.tell(Input::Progress { proc });
            }
            224 => {
                let proc = self.proc(bytes);
                let lines = 1 << bytes.below(40);
                self.tell(Input::Noise { proc, lines, bytes: 2 * lines, sample: LineFact::Noise(bytes.text(20)) });
            }
            225..=226 => {
                let operator = steering(bytes);
                self.tell(Input::Operator(operator));
            }
            227 => {
                let proc = self.proc(bytes);
                self.tell(Input::WriteFailed { proc, message: "broken pipe".to_owned() });
            }
            228..=235 => {
                let operator = match bytes.below(5) {
                    4 => {
                        use Answer::{Exit, KeepGoing, Rotate, Wait};
                        let number = u32::from(bytes.byte() % 4);
                        OperatorInput::Answer { number, choice: bytes.one_of(&[Rotate, Wait, Exit, KeepGoing]) }
                    }
                    0 => OperatorInput::Turn { text: bytes.text(20) },
                    1 => OperatorInput::Budgets(budgets(bytes)),
                    _ => OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() },
                };
                self.tell(Input::Operator(operator));
            }
            236..=243 => {
                let (resumed, turn_recorded) = (bytes.byte() < 200, bytes.one_of(&[None, Some(true), Some(false)]));
                let tokens = tokens(bytes, self.unix_ms);
                self.tell(Input::Began { unix_ms: self.unix_ms, resumed, turn_recorded, tokens });
            }
            249 => {
                self.tell(Input::Operator(OperatorInput::TakeUp));
                if bytes.coin() {
                    let tokens = tokens(bytes, self.unix_ms);
                    let began = Input::Began { unix_ms: self.unix_ms, resumed: true, turn_recorded: None, tokens };
                    self.tell(began);
                }
            }
            244..=248 => {
                let request = if bytes.coin() { self.request } else { None };
                let tokens = tokens(bytes, self.unix_ms);
                self.tell(Input::Tokens { request, tokens, unix_ms: None });
            }
            250.. => self.silence(bytes),
        }
    }

    /// Time passes: to the deadline, a little, or in a jump of the clock.
    fn time(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(4) {
            0 | 1 => {
                let due = self.core.poll_timeout().unwrap_or(self.now);
                self.pass(due.ms_since(self.now).saturating_add(1));
            }
            2 => {
                let ms = bytes.number().min(365 * 86_400_000);
                self.pass(ms);
            }
            _ => self.unix_ms = i64::try_from(bytes.number()).unwrap_or(i64::MIN),
        }
        self.tell(Input::Elapsed { unix_ms: self.unix_ms });
    }

    /// Nobody says anything any more; only the clock goes on.
    fn silence(&mut self, bytes: &mut Bytes<'_>) {
        for _ in 0..=bytes.below(12) {
            let Some(due) = self.core.poll_timeout() else { return };
            self.pass(due.ms_since(self.now).saturating_add(1));
            self.tell(Input::Elapsed { unix_ms: self.unix_ms });
        }
    }

    /// A turn as the CLI tells it, of the process that was spoken to last.
    fn turn(&mut self, bytes: &mut Bytes<'_>) {
        let proc = self.newest;
        let uuid = self.sent.get(&proc).map(|turn| turn.0.clone()).unwrap_or_default();
        let answer = bytes.one_of(&[
            "Done.",
            "Looks good.\n[TASK_COMPLETED]",
            "Add the missing test.",
            "Which database?\n[NEEDS_USER]",
            "",
            "[NEEDS_USER]",
        ]);
        let cost = bytes.one_of(&[0.01, 0.4, 1e300, -1.0]);
        if self.is_interface(proc) {
            let task = self.core.plan().task.clone();
            for line in [
                hook("SessionStart", &json!({"source":"startup","model":"m"})),
                hook(
                    "UserPromptSubmit",
                    &json!({"prompt":bytes.one_of(&[task.as_str(), "And tabs."]),"prompt_id":uuid}),
                ),
                hook("Stop", &json!({"last_assistant_message":answer,"background_tasks":[],"session_crons":[]})),
            ] {
                self.tell(Input::Line { proc, line });
            }
            return;
        }
        let lines = [
            json!({"type":"system","subtype":"session_state_changed","state":"running"}),
            json!({"type":"system","subtype":"init","session_id":"s","model":"m","cwd":"/p"}),
            json!({"type":"user","isReplay":true,"uuid":uuid,"timestamp":"t","message":{"role":"user","content":"x"}}),
            json!({"type":"result","subtype":"success","is_error":false,"num_turns":1,"stop_reason":"end_turn",
                   "result":answer,"total_cost_usd":cost,"user_message_uuids":[uuid]}),
            json!({"type":"system","subtype":"session_state_changed","state":"idle"}),
        ];
        for line in lines {
            let raw = RawValue::from_string(line.to_string()).expect("JSON");
            self.tell(Input::Line { proc, line: LineFact::Json(raw) });
        }
    }

    /// Whether this process is the agent's own interface, which is heard by its hooks.
    fn is_interface(&self, proc: ProcId) -> bool {
        self.core.plan().agent == AgentKind::CLAUDE_NATIVE && self.core.role(proc) == Some(Role::Agent)
    }

    /// One line that the CLI may write, or one of its hooks may tell, at any time.
    fn line(&self, proc: ProcId, bytes: &mut Bytes<'_>) -> LineFact {
        if self.is_interface(proc) {
            return told(bytes);
        }
        let uuid = match bytes.byte() {
            0..=199 => self.sent.get(&proc).map(|turn| turn.0.clone()).unwrap_or_default(),
            _ => bytes.text(8),
        };
        let id = bytes.one_of(&["t1", "t2", ""]);
        let message = match bytes.below(22) {
            0 => {
                json!({"type":"system","subtype":"session_state_changed","state":bytes.one_of(&["running","idle","?"])})
            }
            1 => {
                json!({"type":"system","subtype":"init","session_id":bytes.one_of(&["s","s2",""]),"model":bytes.one_of(&["m","n"]),"cwd":bytes.one_of(&["/p","/q"])})
            }
            2 => {
                json!({"type":"user","isReplay":true,"uuid":uuid,"timestamp":bytes.one_of(&[Some("t"),None]),"message":{"role":"user","content":"x"}})
            }
            3 => result(bytes, &uuid),
            4 => json!({"type":"assistant","message":{"content":[{"type":"text","text":bytes.text(20)}]}}),
            5 => {
                json!({"type":"assistant","message":{"content":[{"type":"tool_use","id":id,"name":bytes.one_of(&["Bash","Edit"]),"input":{"command":"x","timeout":bytes.number()}}]}})
            }
            6 => {
                json!({"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":id,"is_error":bytes.coin()}]}})
            }
            7 => {
                json!({"type":"system","subtype":"task_started","task_id":id,"tool_use_id":bytes.one_of(&["t1","t2"]),"is_backgrounded":bytes.one_of(&[None,Some(true),Some(false)])})
            }
            8 => {
                json!({"type":"system","subtype":"task_updated","task_id":id,"patch":{"status":bytes.one_of(&["completed","killed","running"]),"is_backgrounded":bytes.coin()}})
            }
            9 => {
                json!({"type":"system","subtype":"task_notification","task_id":id,"status":bytes.one_of(&["completed","stopped"])})
            }
            10 => json!({"type":"system","subtype":"background_tasks_changed","tasks":[{"task_id":id}]}),
            11 => json!({"type":"system","subtype":"background_tasks_changed","tasks":[]}),
            12 => {
                json!({"type":"rate_limit_event","rate_limit_info":{"status":bytes.one_of(&["rejected","allowed","allowed_warning"]),"resetsAt":bytes.number(),"rateLimitType":bytes.one_of(&[Some("five_hour"),None]),"utilization":bytes.one_of(&[0.5,1e308,-1.0])}})
            }
            13 => {
                json!({"type":"system","subtype":"api_retry","attempt":bytes.number(),"max_retries":bytes.number(),"retry_delay_ms":bytes.number(),"error_status":bytes.one_of(&[Some(529),None])})
            }
            14 => {
                json!({"type":"system","subtype":"status","status":bytes.one_of(&[Some("compacting"),Some("requesting"),None])})
            }
            15 => json!({"type":"control_request","request_id":id,"request":{"subtype":"can_use_tool"}}),
            16 => json!({"type":"system","subtype":"permission_denied","tool_name":"Bash","tool_use_id":id}),
            17 => json!({"type":"command_lifecycle","command_uuid":uuid,"state":bytes.one_of(&["started","queued"])}),
            18 => {
                json!({"type":"assistant","isApiErrorMessage":bytes.coin(),"error":bytes.one_of(&["rate_limit","authentication_failed","billing_error","server_error"]),"api_error_status":bytes.one_of(&[429,401,500]),"message":{"content":[]}})
            }
            19 => return LineFact::Noise(bytes.text(20)),
            20 => return LineFact::TooLong(bytes.number()),
            _ => match RawValue::from_string(bytes.text(60)) {
                Ok(raw) => return LineFact::Json(raw),
                Err(_) => json!({"type":"keep_alive"}),
            },
        };
        LineFact::Json(RawValue::from_string(message.to_string()).expect("JSON"))
    }

    /// The user wants the end at once, every process dies when it is killed, and then the run is over.
    fn end(&mut self) {
        let interrupt = || Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() });
        self.tell(interrupt());
        self.tell(interrupt());
        for _ in 0..MOST_TO_THE_END {
            if self.core.is_finished() {
                return;
            }
            let dead: Vec<ProcId> = self.live.keys().copied().filter(|proc| self.killed.contains(proc)).collect();
            for proc in dead {
                self.tell(Input::Exited { proc, exit: ExitFact::default() });
            }
            if let Some(due) = self.core.poll_timeout() {
                self.pass(due.ms_since(self.now).saturating_add(1));
                self.tell(Input::Elapsed { unix_ms: self.unix_ms });
            }
        }
        panic!("asked to end twice, and goes on {}", self.core.phase());
    }
}

/// What a hook of the agent's interface tells.
fn told(bytes: &mut Bytes<'_>) -> LineFact {
    let turn = bytes.one_of(&["p1", "p1", "p2", ""]);
    let call = bytes.one_of(&["t1", "t2", ""]);
    let of = |fields: serde_json::Value| {
        let mut fields = fields;
        fields["prompt_id"] = turn.into();
        fields
    };
    match bytes.below(16) {
        0 => hook("SessionStart", &json!({"source":"resume","model":bytes.one_of(&["m","n",""])})),
        1 => hook("UserPromptSubmit", &of(json!({"prompt":bytes.text(20)}))),
        2 => hook("UserPromptSubmit", &of(json!({"prompt":"<task-notification>done"}))),
        3 => hook("PreToolUse", &of(json!({"tool_name":"Bash","tool_use_id":call,"tool_input":{"command":"x"}}))),
        4 => hook("PostToolUse", &of(json!({"tool_name":"Write","tool_use_id":call,"tool_response":{"stdout":"y"}}))),
        5 => {
            hook("PostToolUseFailure", &of(json!({"tool_name":"Bash","tool_use_id":call,"error":"no","agent_id":"a"})))
        }
        6 => hook("PermissionRequest", &of(json!({"tool_name":"Bash"}))),
        7 => hook(
            "StopFailure",
            &of(json!({
                "error":bytes.one_of(&["rate_limit","authentication_failed","server_error","billing_error","max_output_tokens","invalid_request","model_not_found","?"]),
                "last_assistant_message":"API Error"
            })),
        ),
        8 => hook("SessionEnd", &json!({"reason":bytes.one_of(&["prompt_input_exit","other","clear"])})),
        9 => hook("PreCompact", &json!({})),
        10 => hook("Stop", &of(json!({"last_assistant_message":bytes.text(20),"background_tasks":[{"id":"b"}]}))),
        11..=13 => hook("Stop", &of(json!({"last_assistant_message":"Done."}))),
        14 => LineFact::Noise(bytes.text(20)),
        _ => LineFact::Json(RawValue::from_string(HOOK_GONE.to_owned()).expect("JSON")),
    }
}

fn hook(event: &str, fields: &serde_json::Value) -> LineFact {
    let mut hook = json!({"hook_event_name":event,"session_id":"s","cwd":"/p","permission_mode":"default"});
    for (name, value) in fields.as_object().into_iter().flatten() {
        hook[name] = value.clone();
    }
    LineFact::Json(RawValue::from_string(hook.to_string()).expect("JSON"))
}

fn result(bytes: &mut Bytes<'_>, uuid: &str) -> serde_json::Value {
    let subtype =
        bytes.one_of(&["success", "error_during_execution", "error_max_turns", "error_max_budget_usd", "odd"]);
    let is_error = bytes.coin();
    let status =
        bytes.one_of(&[None, Some(401), Some(402), Some(404), Some(413), Some(429), Some(400), Some(500), Some(7)]);
    let named =
        bytes.one_of(&[None, Some("usage_limit_reached"), Some("max_output_tokens"), Some("connection_failed")]);
    let reason = bytes.one_of(&[None, Some("completed"), Some("aborted_streaming"), Some("prompt_too_long")]);
    let uuids: Vec<&str> = (0..bytes.below(2)).map(|_| uuid).collect();
    let denials: Vec<_> = (0..bytes.below(3))
        .map(|_| json!({"tool_name":"Bash","tool_use_id":"t1","tool_input":{"command":"x"}}))
        .collect();
    json!({"type":"result","subtype":subtype,"is_error":is_error,"api_error_status":status,"api_error":named,
           "terminal_reason":reason,"num_turns":bytes.below(3),"stop_reason":bytes.one_of(&[Some("end_turn"),Some("refusal"),None]),
           "result":bytes.text(10),"user_message_uuids":uuids,"origin":bytes.one_of(&[None,Some("x")]),
           "permission_denials":denials,"total_cost_usd":bytes.number()})
}

#[allow(clippy::needless_update, reason = "a field with a default is none that has to be named here")]
fn exit(bytes: &mut Bytes<'_>) -> ExitFact {
    ExitFact {
        code: bytes.one_of(&[Some(0), Some(1), Some(2), Some(127), None]),
        signal: bytes.one_of(&[None, Some(9), Some(15)]),
        stderr_tail: match bytes.below(4) {
            0 => String::new(),
            1 => "Error: Session ID x is already in use.".to_owned(),
            2 => "No conversation found with session ID: x".to_owned(),
            _ => bytes.text(40),
        },
        swept: bytes.below(3) as u32,
        turn_recorded: bytes.one_of(&[None, Some(true), Some(false)]),
        ..ExitFact::default()
    }
}
