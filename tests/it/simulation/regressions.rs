//! What simulated nights have found in the core, as small as it can be told.

use ccc::agent::AgentKind;
use ccc::core::{
    Action, Budgets, CheckEnd, CheckId, CheckPlan, CheckResult, Core, CriticPlan, CriticPrompt, ExitFact, Input,
    LineFact, MeasureId, Plan, ProcId, Send, SessionStart, Tick, Timeouts, TreeFact,
};
use serde_json::json;
use serde_json::value::RawValue;

/// A core and what it asked for last.
struct Bench {
    core: Core,
    now: Tick,
    asked: Vec<Action>,
}

impl Bench {
    fn begun(checks: u64) -> Bench {
        let mut bench = Bench { core: Core::new(plan(checks)), now: Tick::ZERO, asked: Vec::new() };
        bench.tell(Input::Began { unix_ms: 1_000_000, resumed: false, turn_recorded: None, tokens: Vec::new() });
        bench
    }

    fn tell(&mut self, input: Input) {
        self.core.handle(self.now, input);
        self.asked = std::iter::from_fn(|| self.core.poll_action()).collect();
    }

    fn line(&mut self, proc: u32, message: serde_json::Value) {
        let raw = RawValue::from_string(message.to_string()).expect("JSON");
        self.tell(Input::Line { proc: ProcId(proc), line: LineFact::Json(raw) });
    }

    /// The process starts, is given its turn and takes it in.
    fn start(&mut self, proc: u32) -> Send {
        self.tell(Input::Spawned { proc: ProcId(proc), pid: 1, transport: "pipe".to_owned() });
        self.sent().unwrap_or_else(|| panic!("nothing is sent: {:?}", self.asked))
    }

    fn sent(&self) -> Option<Send> {
        self.asked.iter().find_map(|action| if let Action::Send(send) = action { Some(send.clone()) } else { None })
    }

    /// The process answers that turn; `members` make the result.
    fn answer(&mut self, send: &Send, members: serde_json::Value) {
        let proc = send.proc.0;
        self.line(proc, json!({"type":"system","subtype":"session_state_changed","state":"running"}));
        self.line(proc, json!({"type":"system","subtype":"init","session_id":"s","model":"m","cwd":"/p"}));
        self.line(
            proc,
            json!({"type":"user","isReplay":true,"uuid":send.turn.0,"timestamp":"t","message":{"role":"user","content":"x"}}),
        );
        let mut result = json!({"type":"result","subtype":"success","num_turns":1,"stop_reason":"end_turn"});
        let object = result.as_object_mut().expect("an object");
        object.extend(members.as_object().expect("members").clone());
        self.line(proc, result);
        self.line(proc, json!({"type":"system","subtype":"session_state_changed","state":"idle"}));
    }

    fn measured(&mut self, measure: u32) {
        let tree = TreeFact { fingerprint: Some("t".to_owned()), changed: Vec::new(), trouble: None };
        self.tell(Input::TreeMeasured { measure: MeasureId(measure), tree });
    }

    fn check_ended(&mut self, code: i32) {
        let result =
            CheckResult { end: CheckEnd::Exited(code), duration_ms: 1, tail: "no".to_owned(), omitted_bytes: 0 };
        self.tell(Input::CheckFinished { check: CheckId(1), result });
    }
}

fn plan(checks: u64) -> Plan {
    Plan {
        seed: "s".to_owned(),
        run_id: "r".to_owned(),
        task: "do it".to_owned(),
        cwd: "/p".to_owned(),
        earlier_turns: Vec::new(),
        agent: AgentKind::ClaudeCode,
        agent_program: String::new(),
        agent_first_args: Vec::new(),
        agent_version: String::new(),
        agent_args: Vec::new(),
        session: SessionStart::New("11111111-0000-4000-8000-000000000001".to_owned()),
        checks: (0..checks).map(|_| CheckPlan { command: "make".to_owned(), timeout_ms: 1_000 }).collect(),
        critic: CriticPlan {
            prompt: "Judge.".to_owned(),
            prompt_as: CriticPrompt::Message,
            prompt_file: None,
            model: None,
            allow: Vec::new(),
            max_failures: 3,
            timeout_ms: 900_000,
        },
        budgets: Budgets {
            max_iterations: 5,
            max_duration_ms: None,
            max_cost_usd: None,
            max_restarts: 3,
            max_repeats: 3,
        },
        timeouts: Timeouts { start_ms: 60_000, stall_ms: 180_000, tool_ms: 900_000, grace_ms: 3_000 },
        share_prompt_prefix: false,
        no_wait: false,
        rotate_at: 0.95,
        interactive: false,
        answer_timeout_ms: 60_000,
    }
}

fn good() -> serde_json::Value {
    json!({"is_error": false, "result": "done"})
}

#[test]
fn a_check_whose_end_is_told_twice_before_the_tree_is_measured_does_not_hang_the_run() {
    let mut bench = Bench::begun(1);
    let task = bench.start(1);
    bench.answer(&task, good());
    assert!(bench.asked.iter().any(|action| matches!(action, Action::RunCheck { .. })), "{:?}", bench.asked);
    bench.check_ended(1);
    bench.check_ended(1);
    assert!(bench.asked.iter().all(|action| matches!(action, Action::Note(_))), "{:?}", bench.asked);
    bench.measured(1);
    assert!(bench.sent().is_some_and(|send| send.text.contains("make")), "{:?}", bench.asked);
}

#[test]
fn a_run_that_goes_on_while_the_critic_waits_for_the_reset_waits_on() {
    let mut bench = Bench::begun(0);
    let task = bench.start(1);
    bench.answer(&task, good());
    bench.tell(Input::Spawned { proc: ProcId(2), pid: 2, transport: "pipe".to_owned() });
    bench.measured(1);
    let brief = bench.sent().expect("the brief");
    let info = json!({"status":"rejected","resetsAt":5_000,"rateLimitType":"five_hour"});
    bench.line(2, json!({"type":"rate_limit_event","rate_limit_info":info}));
    bench.answer(&brief, json!({"is_error": true, "api_error_status": 429, "result": "limit"}));
    bench.tell(Input::Exited { proc: ProcId(2), exit: ExitFact::default() });
    let iteration = bench.core.iteration();

    bench.tell(Input::Began { unix_ms: 1_100_000, resumed: true, turn_recorded: None, tokens: Vec::new() });
    let spawns = |bench: &Bench| bench.asked.iter().filter(|action| matches!(action, Action::Spawn(_))).count();
    assert_eq!((bench.core.phase(), spawns(&bench)), ("waiting", 0), "{:?}", bench.asked);
    bench.now = bench.now.plus_ms(1);
    bench.tell(Input::Elapsed { unix_ms: 4_999_000 });
    assert_eq!(spawns(&bench), 0, "before the reset");
    bench.tell(Input::Elapsed { unix_ms: 5_100_000 });
    assert_eq!((bench.core.phase(), spawns(&bench)), ("reviewing", 1), "{:?}", bench.asked);
    assert_eq!(bench.core.iteration(), iteration, "it is the same stop");
}
