//! A long night out of recorded turns: the real core asks, and the recordings of the real CLI answer.
//!
//! The agent's turns are the recorded one with three tools, its middle repeated; the critic never agrees before the last iteration. What it
//! is not: a night with faults. Times advance by a few milliseconds a line, so no deadline passes.

use std::collections::VecDeque;
use std::error::Error;
use std::path::Path;

use ccc::agent::Role;
use ccc::core::{Action, Core, ExitFact, Input, LineFact, Plan, ProcId, Tick, TreeFact};
use ccc::journal::JournalReader;
use serde_json::value::RawValue;

/// One turn with a thought, four tools and an answer.
const AGENT_TURN: &str = include_str!("../../fixtures/streams/2.1.332/tools.jsonl");
/// One turn with the answer «hello».
const CRITIC_TURN: &str = include_str!("../../fixtures/streams/2.1.332/text.jsonl");
/// The recordings' session and turn.
const SESSION: &str = "00000000-0000-4000-8000-000000000002";
const TURN: &str = "00000000-0000-4000-8000-000000000003";
/// Microseconds from one input to the next.
const STEP_US: u64 = 3_000;

/// How long the night is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    /// Stops judged.
    pub(crate) iterations: u32,
    /// How often the middle of a turn comes.
    pub(crate) repeats: usize,
    /// Whether each repetition has texts and outputs of its own, as long as those of real work.
    pub(crate) is_varied: bool,
}

impl Length {
    /// The default number of iterations, and turns so long that the night has about this many inputs.
    pub(crate) fn of_inputs(inputs: usize) -> Length {
        let iterations = 20;
        let middle = split(&whole_lines(AGENT_TURN)).1.len();
        Length { iterations, repeats: (inputs / iterations as usize / middle).max(1), is_varied: false }
    }

    /// The default number of iterations, and turns so long that agent and tools say about this many messages, each its own.
    #[allow(dead_code, reason = "a benchmark of the core needs no texts")]
    pub(crate) fn of_messages(messages: usize) -> Length {
        let iterations = 20;
        let lines = whole_lines(AGENT_TURN);
        let is_message =
            |line: &&&str| line.starts_with(r#"{"type":"assistant""#) || line.starts_with(r#"{"type":"user""#);
        let middle = split(&lines).1.iter().filter(is_message).count();
        Length { iterations, repeats: (messages / iterations as usize / middle).max(1), is_varied: true }
    }
}

/// The plan of the journal that is kept for compatibility, with room for this night.
pub(crate) fn plan(length: Length) -> Result<Plan, Box<dyn Error>> {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compat/1.0");
    let mut plan = JournalReader::open(&journal)?.plan()?;
    plan.budgets.max_iterations = length.iterations + 1;
    plan.budgets.max_duration_ms = None;
    plan.budgets.max_cost_usd = None;
    plan.checks.clear();
    Ok(plan)
}

/// Plays the night to its end; `step` sees each input before the core and then the core's actions.
pub(crate) fn play(
    plan: Plan,
    length: Length,
    mut step: impl FnMut(Tick, &Input, &[Action]),
) -> Result<Core, Box<dyn Error>> {
    let agent_lines = whole_lines(AGENT_TURN);
    let critic_lines = whole_lines(CRITIC_TURN);
    let mut core = Core::new(plan);
    let mut next = VecDeque::from([Input::Began {
        unix_ms: 1_795_202_302_000,
        resumed: false,
        turn_recorded: None,
        tokens: Vec::new(),
    }]);
    let mut tick = Tick::ZERO;
    let mut critics = Vec::new();
    let mut round = 0;
    let mut actions = Vec::new();
    while let Some(input) = next.pop_front() {
        tick = Tick(tick.0 + STEP_US);
        actions.clear();
        core.handle(tick, input.clone());
        while let Some(action) = core.poll_action() {
            actions.push(action);
        }
        step(tick, &input, &actions);
        for action in &actions {
            match action {
                Action::Spawn(spawn) => {
                    if spawn.role == Role::Critic {
                        critics.push(spawn.proc);
                        round += 1;
                    }
                    next.push_back(Input::Spawned {
                        proc: spawn.proc,
                        pid: 1_000 + round,
                        transport: "pty".to_owned(),
                    });
                }
                Action::Send(send) if critics.contains(&send.proc) => {
                    let answer = if round >= length.iterations {
                        "All is there.\\n\\n[TASK_COMPLETED]".to_owned()
                    } else {
                        format!("In round {round} the test for case {} is missing.", round * 7919 % 1000)
                    };
                    for line in &critic_lines {
                        let line = line.replace(TURN, &send.turn.0).replace("hello", &answer);
                        next.push_back(said(send.proc, line.replace(SESSION, "00000000-0000-4000-8000-00000000c817"))?);
                    }
                }
                Action::Send(send) => {
                    let session = core.session_id().unwrap_or(SESSION).to_owned();
                    let (head, middle, tail) = split(&agent_lines);
                    let middles = std::iter::repeat_n(middle, length.repeats).flatten();
                    for (at, line) in head.iter().chain(middles).chain(tail).enumerate() {
                        let mut line = line.replace(TURN, &send.turn.0).replace(SESSION, &session);
                        if length.is_varied {
                            line = varied(&line, round as usize, at.saturating_sub(head.len()) / middle.len().max(1));
                        }
                        next.push_back(said(send.proc, line)?);
                    }
                }
                Action::MeasureTree { measure, since, .. } => {
                    let fingerprint = Some(format!("{round:064x}"));
                    let _ = since;
                    next.push_back(Input::TreeMeasured {
                        measure: *measure,
                        tree: TreeFact { fingerprint, ..TreeFact::default() },
                    });
                }
                Action::CloseStdin { proc } => {
                    let exit = ExitFact { code: Some(0), ..ExitFact::default() };
                    next.push_back(Input::Exited { proc: *proc, exit });
                }
                Action::Interrupt { .. }
                | Action::AllowTool { .. }
                | Action::FillForm { .. }
                | Action::SetModel { .. }
                | Action::ReleaseStop { .. }
                | Action::DenyTool { .. }
                | Action::CancelForm { .. }
                | Action::Refuse { .. }
                | Action::AskCost { .. }
                | Action::SetPermissionMode { .. }
                | Action::Signal { .. }
                | Action::KillTree { .. }
                | Action::SetCredential { .. }
                | Action::ReportToken { .. }
                | Action::ReadTokens { .. }
                | Action::ProbeToken { .. }
                | Action::Ask(_)
                | Action::RunCheck { .. }
                | Action::CancelCheck { .. }
                | Action::TakeCheckpoint { .. }
                | Action::CompareTests { .. }
                | Action::Decide(_)
                | Action::Note(_)
                | Action::Show(_)
                | Action::Finish(_) => {}
            }
        }
    }
    if core.is_finished() { Ok(core) } else { Err("the night has no end: the core waits for something else".into()) }
}

/// A line with ids, texts and outputs of its own. Most outputs are short, some have thousands of lines.
fn varied(line: &str, round: usize, repeat: usize) -> String {
    let number = round * 10_000 + repeat;
    let chance = number.wrapping_mul(2_654_435_761) % 1_000;
    let rows = match chance {
        0..700 => 6 + chance % 20,
        700..950 => 40 + chance % 80,
        _ => 300 + chance % 500,
    };
    let output: Vec<String> = (0..rows)
        .map(|row| {
            format!("test case_{row:04} of module_{} ... ok in {} ms, \\\"<{row}>\\\"", number % 97, row * 7 % 31)
        })
        .collect();
    let text =
        "I have looked at how the lengths are counted here & there; the next thing is the case of an empty file. ";
    line.replace("\"uuid\":\"00000000-", &format!("\"uuid\":\"{number:08x}-"))
        .replace("toolu_0000", &format!("toolu_{number}_"))
        .replace("msg_0000", &format!("msg_{number}_"))
        .replace("a.txt", &format!("src/module_{}.rs", number % 97))
        .replace("I look.", &text.repeat(1 + chance % 5))
        .replace("out\\nerr", &output.join("\\n"))
        .replace("1\\tone\\n2\\tthree\\n3\\t", &output.join("\\n"))
}

fn said(proc: ProcId, line: String) -> Result<Input, serde_json::Error> {
    Ok(Input::Line { proc, line: LineFact::Json(RawValue::from_string(line)?) })
}

/// The lines that reach the core: partial messages are dropped before.
fn whole_lines(stream: &str) -> Vec<&str> {
    stream.lines().filter(|line| !ccc::stream::is_partial(line)).collect()
}

/// A turn's beginning up to its replay, what may be repeated, and its end from the result on.
fn split<'a, 'b>(lines: &'b [&'a str]) -> (&'b [&'a str], &'b [&'a str], &'b [&'a str]) {
    let begin = lines.iter().position(|line| line.contains("\"isReplay\"")).map_or(0, |at| at + 1);
    let end = lines.iter().position(|line| line.contains("\"result_index\"")).unwrap_or(lines.len());
    (&lines[..begin], &lines[begin..end], &lines[end..])
}
