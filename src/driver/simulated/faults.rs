//! What the seed draws: which faults this night has and how often, and what agent and critics do in it.

use serde_json::{Map, Value};

use super::dice::Dice;
use crate::agent::AgentKind;
use crate::core::{Budgets, CheckPlan, CriticPlan, CriticPrompt, Plan, SessionStart, Timeouts, derive_uuid};
use crate::demo::scripted::{
    ApiError, Background, CliVersion, Crash, Deny, Limit, LimitWarning, Orphan, Retry, Script, Step, Tool,
};

/// How often things go wrong, per 1,000 occasions.
#[derive(Debug, Clone, Default)]
pub(super) struct Rates {
    /// A step of a script is a fault.
    pub(super) bad_step: u64,
    /// A process is killed from outside, at any moment.
    pub(super) killed: u64,
    /// A process cannot be started.
    pub(super) spawn_fails: u64,
    /// A completion comes twice.
    pub(super) doubled: u64,
    /// A completion comes late.
    pub(super) late: u64,
    /// A check fails.
    pub(super) check_fails: u64,
    /// A tree cannot be measured.
    pub(super) unmeasured: u64,
    /// ccc dies, per transition.
    pub(super) ccc_dies: u64,
    /// The wall clock jumps, per transition.
    pub(super) clock_jumps: u64,
    /// The timer comes late, as on a loaded machine.
    pub(super) late_timer: u64,
    /// The user says something, per transition.
    pub(super) operator_turn: u64,
    /// The user asks for the end, per transition.
    pub(super) operator_interrupt: u64,
    /// A critic changes the tree.
    pub(super) bad_critic: u64,
}

impl Rates {
    pub(super) fn draw(dice: &mut Dice) -> Rates {
        Rates {
            bad_step: dice.rate(300),
            killed: dice.rate(400),
            spawn_fails: dice.rate(200),
            doubled: dice.rate(500),
            late: dice.rate(500),
            check_fails: dice.rate(500),
            unmeasured: dice.rate(200),
            ccc_dies: dice.rate(15),
            clock_jumps: dice.rate(20),
            late_timer: dice.rate(300),
            operator_turn: dice.rate(15),
            operator_interrupt: if dice.one_in_thousand(100) { dice.between(1, 20) } else { 0 },
            bad_critic: dice.rate(200),
        }
    }
}

/// What kind of CLI this night has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cli {
    pub(super) version: CliVersion,
    pub(super) partial: bool,
    pub(super) session_states: bool,
}

impl Cli {
    pub(super) fn draw(dice: &mut Dice) -> Cli {
        Cli {
            version: if dice.one_in_thousand(300) { CliVersion::V197 } else { CliVersion::V329 },
            partial: dice.one_in_thousand(150),
            session_states: !dice.one_in_thousand(50),
        }
    }
}

/// Draws what agent and critics do.
pub(super) fn script(dice: &mut Dice, rates: &Rates) -> Script {
    let turns = dice.between(1, 10);
    let agent = (0..turns).map(|turn| agent_turn(dice, rates, turn)).collect();
    let reviews = dice.between(1, 6);
    let critic = (0..reviews).map(|review| critic_turn(dice, rates, review + 1 == reviews, review)).collect();
    Script { agent, critic }
}

/// The same script without its faults: what the night ends with.
pub(super) fn mended(script: &Script) -> Script {
    let mend = |turns: &[Vec<Step>]| {
        turns.iter().map(|steps| steps.iter().filter(|step| is_good(step)).cloned().collect()).collect()
    };
    Script { agent: mend(&script.agent), critic: mend(&script.critic) }
}

fn is_good(step: &Step) -> bool {
    match step {
        Step::Say(_) | Step::Think(_) | Step::SleepMs(_) | Step::CostUsd(_) | Step::UnknownMessage => true,
        Step::Tool(tool) => !tool.open && !tool.unchecked,
        Step::Deny(_)
        | Step::Crash(_)
        | Step::Stall
        | Step::StopReading
        | Step::IgnoreSignals
        | Step::Garbage(_)
        | Step::HalfLine
        | Step::HugeLine(_)
        | Step::Stderr(_)
        | Step::Retry(_)
        | Step::ApiError(_)
        | Step::Limit(_)
        | Step::LimitWarning(_)
        | Step::Background(_)
        | Step::CompactMs(_)
        | Step::Orphan(_) => false,
    }
}

fn agent_turn(dice: &mut Dice, rates: &Rates, turn: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..dice.between(1, 4) {
        steps.push(Step::SleepMs(dice.between(10, 20_000)));
        if dice.one_in_thousand(rates.bad_step) {
            bad_steps(dice, &mut steps);
        } else {
            steps.push(good_step(dice));
        }
    }
    steps.push(Step::Say(format!("turn {turn} is done")));
    steps
}

fn critic_turn(dice: &mut Dice, rates: &Rates, last: bool, review: u64) -> Vec<Step> {
    let slow = dice.one_in_thousand(100);
    let mut steps = vec![Step::SleepMs(if slow { dice.between(60_000, 1_200_000) } else { dice.between(100, 30_000) })];
    if dice.one_in_thousand(rates.bad_step) {
        bad_steps(dice, &mut steps);
    }
    if dice.one_in_thousand(rates.bad_critic) {
        steps.push(Step::Tool(Tool { unchecked: true, ..write(dice) }));
    }
    let verdict = match dice.between(0, 11) {
        0 => "Which one do you want?\n\n[NEEDS_USER]".to_owned(),
        1 => "I would say [TASK_COMPLETED] if it were done.".to_owned(),
        2 => "The same as always is missing, in the same words, every time.".to_owned(),
        3 => " \n".to_owned(),
        _ if last => "All is there.\n\n**[TASK_COMPLETED]**".to_owned(),
        n => format!("Review {review} finds {n} things missing."),
    };
    steps.push(Step::Say(verdict));
    steps
}

fn good_step(dice: &mut Dice) -> Step {
    match dice.between(0, 7) {
        0 => Step::Think("which way?".to_owned()),
        1 => Step::Tool(Tool {
            name: "Bash".to_owned(),
            ms: dice.between(1, 30_000),
            result: "ok".to_owned(),
            ..Tool::default()
        }),
        2..=4 => Step::Tool(write(dice)),
        5 => Step::CostUsd(0.05),
        6 => Step::UnknownMessage,
        _ => Step::Say("going on".to_owned()),
    }
}

fn write(dice: &mut Dice) -> Tool {
    let input = Map::from_iter([
        ("file_path".to_owned(), Value::String("f".to_owned())),
        ("content".to_owned(), Value::String(dice.between(0, u64::MAX / 2).to_string())),
    ]);
    Tool { name: "Write".to_owned(), input, real: true, ms: 10, ..Tool::default() }
}

fn bad_steps(dice: &mut Dice, steps: &mut Vec<Step>) {
    let status = dice.choose(&[Some(500), Some(529), None, Some(429), Some(400), Some(401)], None);
    let step = match dice.between(0, 21) {
        0 => Step::Crash(Crash::Signal(9)),
        1 => Step::Crash(Crash::Code(1)),
        2 => {
            steps.push(Step::Tool(Tool { name: "Bash".to_owned(), open: true, ..Tool::default() }));
            Step::Crash(Crash::Signal(11))
        }
        3 => {
            steps.push(Step::HalfLine);
            Step::Crash(Crash::Signal(6))
        }
        4 => {
            if dice.one_in_thousand(500) {
                steps.push(Step::Tool(Tool { name: "Bash".to_owned(), open: true, ..Tool::default() }));
            }
            Step::Stall
        }
        5 => {
            steps.push(Step::IgnoreSignals);
            Step::Stall
        }
        6 => Step::StopReading,
        7 => Step::Garbage("%%% not JSON {\"type\":".to_owned()),
        8 => Step::Garbage("null".to_owned()),
        9 => Step::HalfLine,
        10 => Step::HugeLine(40_000),
        11 => Step::Retry(Retry { attempts: 3, status: Some(529), delay_ms: dice.between(500, 40_000) }),
        12 | 13 => Step::ApiError(ApiError { status, error: String::new(), message: String::new() }),
        14 | 15 => {
            let resets_in_s = (!dice.one_in_thousand(300)).then(|| i64::try_from(dice.between(1, 18_000)).unwrap_or(1));
            Step::Limit(Limit { resets_in_s, window: String::new() })
        }
        16 => Step::LimitWarning(LimitWarning { utilization: 0.92, resets_in_s: 3_600 }),
        17 | 18 => Step::Background(Background { ms: dice.between(1, 3_000_000), ..Background::default() }),
        19 => Step::CompactMs(dice.between(1_000, 400_000)),
        20 => Step::Orphan(Orphan { ms: 60_000, holds_stdout: false }),
        _ => Step::Deny(Deny { name: "WebFetch".to_owned(), input: Map::new() }),
    };
    steps.push(step);
}

/// The settings of this night's run.
pub(super) fn plan(seed: u64, cli: Cli, dice: &mut Dice) -> Plan {
    let seed = seed.to_string();
    let checks =
        (0..dice.between(0, 2)).map(|at| CheckPlan { command: format!("check {at}"), timeout_ms: 600_000 }).collect();
    Plan {
        run_id: "simulated".to_owned(),
        task: "do the work".to_owned(),
        cwd: "/p".to_owned(),
        earlier_turns: Vec::new(),
        agent: AgentKind::ClaudeCode,
        agent_program: String::new(),
        agent_first_args: Vec::new(),
        agent_version: cli.version.number().to_owned(),
        agent_args: Vec::new(),
        session: SessionStart::New(derive_uuid(&seed, "session", 0)),
        checks,
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
            max_iterations: u32::try_from(dice.between(1, 12)).unwrap_or(1),
            max_duration_ms: dice.one_in_thousand(200).then(|| dice.between(60_000, 20_000_000)),
            max_cost_usd: dice.one_in_thousand(100).then_some(0.5),
            max_restarts: u32::try_from(dice.between(0, 5)).unwrap_or(0),
            max_repeats: 3,
        },
        timeouts: Timeouts { start_ms: 60_000, stall_ms: 180_000, tool_ms: 900_000, grace_ms: 3_000 },
        share_prompt_prefix: true,
        no_wait: dice.one_in_thousand(100),
        rotate_at: 0.95,
        interactive: false,
        answer_timeout_ms: 60_000,
        seed,
    }
}
