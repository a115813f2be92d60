//! Draws the script of the agent and the critics from the seed.

use serde_json::{Map, Value};

use super::dice::Dice;
use super::rates::{Cli, Rates};
use ccc::demo::scripted::{Background, CliVersion, Crash, Deny, Orphan, Schedule, Script, Step, Tool};

/// The minimum duration of the work of a long night without faults.
const LONG_WORK_MS: u64 = 8 * 3_600_000;

/// Draws the script of the agent and the critics.
///
/// The older CLI does not say which turn a result belongs to, so ccc assumes that an idle CLI has read everything sent to it. A
/// CLI that has stopped reading and still begins turns of its own would break that assumption. None has been observed, so the
/// scripts of the older CLI never stop reading.
pub(super) fn script(dice: &mut Dice, rates: &Rates, cli: Cli, long: bool) -> Script {
    let mut script = draw(dice, rates, long);
    if cli.version == CliVersion::V197 {
        for steps in script.agent.iter_mut().chain(&mut script.critic) {
            steps.retain(|step| !matches!(step, Step::StopReading));
        }
    }
    script
}

fn draw(dice: &mut Dice, rates: &Rates, long: bool) -> Script {
    let mut agent = Vec::new();
    if long {
        let mut left_ms = LONG_WORK_MS;
        while left_ms > 0 {
            let turn_ms = dice.between(300_000, 3_000_000);
            agent.push(long_turn(dice, rates, agent.len(), turn_ms));
            left_ms = left_ms.saturating_sub(turn_ms);
        }
    } else {
        for turn in 0..dice.between(1, 10) {
            agent.push(short_turn(dice, rates, usize::try_from(turn).unwrap_or(0)));
        }
    }
    let reviews = if long { agent.len() as u64 } else { dice.between(1, 6) };
    let critic = (0..reviews).map(|review| critic_turn(dice, rates, review, reviews, long)).collect();
    Script { agent, critic }
}

/// The script without its faults, played after the faults have stopped.
pub(super) fn mended(script: &Script) -> Script {
    let mend = |turns: &[Vec<Step>]| {
        turns.iter().map(|steps| steps.iter().filter(|step| is_good(step)).cloned().collect()).collect()
    };
    Script { agent: mend(&script.agent), critic: mend(&script.critic) }
}

fn is_good(step: &Step) -> bool {
    match step {
        Step::Say(_) | Step::Think(_) | Step::CostUsd(_) | Step::UnknownMessage | Step::SubAgent(_) => true,
        // A pause of more than two minutes may be mistaken for a stall, so it is a fault.
        Step::SleepMs(ms) => *ms <= 120_000,
        Step::Tool(tool) => !tool.open && !tool.unchecked,
        Step::Deny(_)
        | Step::Ask(_)
        | Step::Questions(_)
        | Step::Plan(_)
        | Step::Form(_)
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
        | Step::Schedule(_)
        | Step::Refuse
        | Step::CompactMs(_)
        | Step::Orphan(_) => false,
    }
}

fn short_turn(dice: &mut Dice, rates: &Rates, turn: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..dice.between(1, 4) {
        steps.push(Step::SleepMs(dice.between(10, 20_000)));
        step(dice, rates, &mut steps);
    }
    steps.push(Step::Say(format!("turn {turn} is done")));
    steps
}

fn long_turn(dice: &mut Dice, rates: &Rates, turn: usize, turn_ms: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut left_ms = turn_ms;
    while left_ms > 0 {
        let ms = dice.between(500, 40_000);
        steps.push(Step::SleepMs(ms));
        step(dice, rates, &mut steps);
        left_ms = left_ms.saturating_sub(ms);
    }
    steps.push(Step::Say(format!("turn {turn} is done")));
    steps
}

fn step(dice: &mut Dice, rates: &Rates, steps: &mut Vec<Step>) {
    if dice.chance(rates.bad_step) {
        bad_steps(dice, steps);
    } else if dice.chance(rates.own_step) {
        steps.push(own_step(dice));
    } else {
        let step = good_step(dice);
        // Consecutive steps without output would add up to a stall, so a silent step is followed by output.
        let silent = matches!(step, Step::CostUsd(_) | Step::UnknownMessage);
        steps.push(step);
        if silent {
            steps.push(Step::Think("how much is left?".to_owned()));
        }
    }
}

fn critic_turn(dice: &mut Dice, rates: &Rates, review: u64, reviews: u64, long: bool) -> Vec<Step> {
    let last = review + 1 == reviews;
    let slow = dice.percent(10) && !long;
    let mut steps = vec![Step::SleepMs(if slow { dice.between(60_000, 1_200_000) } else { dice.between(100, 30_000) })];
    if dice.chance(rates.bad_review) {
        bad_steps(dice, &mut steps);
    }
    if dice.chance(rates.bad_critic) {
        steps.push(Step::Tool(Tool { unchecked: true, ..write(dice) }));
    }
    // A long night has no verdict except the last, which ends it, so that its work takes eight hours.
    let verdict = match dice.between(if long && !last { 2 } else { 0 }, 11) {
        0 => "Which one do you want?\n\n[NEEDS_USER]".to_owned(),
        1 => "I would say [TASK_COMPLETED] if it were done.".to_owned(),
        // A changing number in the feedback counts as progress, so a critic that sees no progress repeats its text exactly.
        2 | 5 | 7 | 9 => "The same as always is missing, in the same words, every time.".to_owned(),
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

/// The text of the agent's scheduled job. If it were mistaken for a verdict, it would be an approval.
pub(super) const JOB_SAYS: &str = "The job is done.\n\n[TASK_COMPLETED]";

/// An activity of the CLI beside the turn, or by itself after the turn.
fn own_step(dice: &mut Dice) -> Step {
    match dice.between(0, 3) {
        0 => Step::Background(Background { ms: dice.between(1, 3_000_000), ..Background::default() }),
        1 => Step::Background(Background {
            ms: dice.between(1, 60_000),
            then: short_words(dice),
            ..Background::default()
        }),
        2 => {
            let ms = dice.between(1, 120_000);
            let mut then = short_words(dice);
            then.push(Step::Say(JOB_SAYS.to_owned()));
            Step::Schedule(Schedule { ms, every: ms.is_multiple_of(3), then })
        }
        _ => Step::SubAgent(dice.between(1, 600_000)),
    }
}

fn short_words(dice: &mut Dice) -> Vec<Step> {
    vec![Step::SleepMs(dice.between(1, 20_000)), Step::Say("That is that.".to_owned())]
}

fn write(dice: &mut Dice) -> Tool {
    let input = Map::from_iter([
        ("file_path".to_owned(), Value::String("f".to_owned())),
        ("content".to_owned(), Value::String(dice.between(0, u64::MAX / 2).to_string())),
    ]);
    Tool { name: "Write".to_owned(), input, real: true, ms: 10, ..Tool::default() }
}

fn open_tool() -> Step {
    Step::Tool(Tool { name: "Bash".to_owned(), open: true, ..Tool::default() })
}

fn bad_steps(dice: &mut Dice, steps: &mut Vec<Step>) {
    let step = match dice.between(0, 17) {
        0 => Step::Crash(Crash::Signal(9)),
        1 => Step::Crash(Crash::Code(1)),
        2 => {
            steps.push(open_tool());
            Step::Crash(Crash::Signal(11))
        }
        3 => {
            steps.push(Step::HalfLine);
            Step::Crash(Crash::Signal(6))
        }
        4 => {
            if dice.percent(50) {
                steps.push(open_tool());
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
        11 => Step::Refuse,
        12 => Step::CompactMs(dice.between(1_000, 400_000)),
        13 => Step::Orphan(Orphan { ms: 60_000, holds_stdout: false }),
        14 => Step::Stderr("something is odd".to_owned()),
        15 => Step::SleepMs(dice.between(120_001, 2_000_000)),
        16 => {
            steps.push(Step::Garbage("\u{1b}[31mpanic".to_owned()));
            steps.push(Step::HalfLine);
            Step::Stall
        }
        _ => Step::Deny(Deny { name: "WebFetch".to_owned(), input: Map::new() }),
    };
    steps.push(step);
}
