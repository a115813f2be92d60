//! What the seed draws before the night: the rates of the faults, the version of the CLI, and the run's settings.

use super::dice::Dice;
use ccc::demo::scripted::CliVersion;
use supervision::core::{Budgets, CheckPlan, CriticLimits, CriticPlan, Plan, SessionStart, derive_uuid};

/// How often each fault occurs, per [`OCCASIONS`](super::dice::OCCASIONS).
#[derive(Debug, Clone, Default)]
pub(super) struct Rates {
    /// A step of a script is a fault.
    pub(super) bad_step: u64,
    /// A step of a script starts a schedule, a background task or a sub-agent of the CLI.
    pub(super) own_step: u64,
    /// A critic's turn contains a fault.
    pub(super) bad_review: u64,
    /// A critic changes the tree.
    pub(super) bad_critic: u64,
    /// A process is killed from outside, at any moment.
    pub(super) killed: u64,
    /// A process survives its kill.
    pub(super) unkillable: u64,
    /// A process cannot be started.
    pub(super) spawn_fails: u64,
    /// The command that prints a credential fails.
    pub(super) no_credential: u64,
    /// The value of a token must be fetched before a process can start with it.
    pub(super) fetched: u64,
    /// A completion arrives twice.
    pub(super) doubled: u64,
    /// A completion arrives late.
    pub(super) late: u64,
    /// The timer fires late, as on a loaded machine.
    pub(super) late_timer: u64,
    /// A check fails.
    pub(super) check_fails: u64,
    /// A tree cannot be measured.
    pub(super) unmeasured: u64,
    /// The provider gets into trouble when a request arrives.
    pub(super) trouble: u64,
    /// A rejection names an odd reset, or none.
    pub(super) odd_reset: u64,
    /// An answer warns that a usage window is nearly full.
    pub(super) crowded: u64,
    /// A process refuses an exchange of its credential.
    pub(super) exchange_refused: u64,
    /// A process reports that it accepted an exchange of its credential, but keeps the old one.
    pub(super) exchange_lies: u64,
    /// The user does not answer a question.
    pub(super) unanswered: u64,
    /// A death of ccc tears the journal's last lines.
    pub(super) torn: u64,
    /// The user continues a finished run.
    pub(super) goes_on: u64,
    /// The most transitions between two occurrences of each event.
    pub(super) every: Every,
}

/// The most transitions between two occurrences of an event that can occur at any transition; 0 for never. The next occurrence is
/// drawn in advance instead of at each transition, so that a long night does not collect too many.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Every {
    /// ccc dies.
    pub(super) death: u64,
    /// The wall clock jumps.
    pub(super) jump: u64,
    /// The machine sleeps.
    pub(super) sleep: u64,
    /// The user sends a message.
    pub(super) words: u64,
    /// The user asks for the end.
    pub(super) interrupt: u64,
    /// The disk is full for a while.
    pub(super) full_disk: u64,
    /// Another ccc of the user learns something about a token.
    pub(super) other_ccc: u64,
}

impl Rates {
    pub(super) fn draw(dice: &mut Dice, long: bool) -> Rates {
        let of = |short: u64, in_long: u64| if long { in_long } else { short };
        Rates {
            bad_step: dice.rate(of(30_000, 500)),
            own_step: dice.rate(of(15_000, 500)),
            bad_review: dice.rate(of(30_000, 20_000)),
            bad_critic: dice.rate(of(20_000, 10_000)),
            killed: dice.rate(of(40_000, 30_000)),
            unkillable: dice.rate(80_000),
            spawn_fails: dice.rate(of(20_000, 10_000)),
            no_credential: if dice.percent(10) { dice.rate(10_000) } else { 0 },
            fetched: if dice.percent(30) { dice.rate(50_000) } else { 0 },
            doubled: dice.rate(50_000),
            late: dice.rate(50_000),
            late_timer: dice.rate(30_000),
            check_fails: dice.rate(of(50_000, 30_000)),
            unmeasured: dice.rate(20_000),
            trouble: dice.rate(of(15_000, 400)),
            odd_reset: dice.rate(80_000),
            crowded: dice.rate(of(10_000, 300)),
            exchange_refused: dice.rate(40_000),
            exchange_lies: dice.rate(30_000),
            unanswered: dice.rate(60_000),
            torn: dice.rate(100_000),
            goes_on: dice.rate(20_000),
            every: Every::draw(dice, long),
        }
    }
}

impl Every {
    fn draw(dice: &mut Dice, long: bool) -> Every {
        let mut of = |percent: u64, short: (u64, u64), in_long: (u64, u64)| {
            let (from, to) = if long { in_long } else { short };
            if dice.percent(percent) { dice.between(from, to) } else { 0 }
        };
        Every {
            death: of(50, (40, 600), (800, 6_000)),
            jump: of(40, (30, 600), (100, 4_000)),
            sleep: of(40, (40, 600), (200, 4_000)),
            words: of(40, (60, 800), (300, 4_000)),
            interrupt: of(10, (10, 400), (200, 8_000)),
            full_disk: of(25, (30, 400), (300, 4_000)),
            other_ccc: of(40, (20, 400), (200, 3_000)),
        }
    }
}

/// The CLI of this night.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cli {
    pub(super) version: CliVersion,
    pub(super) partial: bool,
    pub(super) session_states: bool,
}

impl Cli {
    pub(super) fn draw(dice: &mut Dice) -> Cli {
        Cli {
            version: if dice.percent(30) { CliVersion::V197 } else { CliVersion::V332 },
            partial: dice.percent(10),
            session_states: !dice.percent(5),
        }
    }
}

/// The settings of this night's run.
pub(super) fn plan(seed: u64, cli: Cli, long: bool, dice: &mut Dice) -> Plan {
    let seed = seed.to_string();
    let checks =
        (0..dice.between(0, 2)).map(|at| CheckPlan { command: format!("check {at}"), timeout_ms: 600_000 }).collect();
    let max_iterations = if long { dice.between(60, 200) } else { dice.between(1, 12) };
    let session = SessionStart::New(derive_uuid(&seed, "session", 0));
    Plan {
        run_id: "simulated".to_owned(),
        agent_version: cli.version.number().to_owned(),
        checks,
        critic: CriticPlan {
            limits: CriticLimits { timeout_ms: 900_000, watch_ms: 250, ..CriticLimits::DEFAULT },
            without_hooks: true,
            ..CriticPlan::new("Judge.")
        },
        budgets: Budgets {
            max_iterations: u32::try_from(max_iterations).unwrap_or(1),
            max_duration_ms: dice.percent(if long { 5 } else { 20 }).then(|| dice.between(60_000, 20_000_000)),
            max_cost_usd: dice.percent(if long { 3 } else { 10 }).then_some(0.5),
            max_restarts: u32::try_from(dice.between(if long { 2 } else { 0 }, 5)).unwrap_or(0),
            ..Budgets::DEFAULT
        },
        one_tree: true,
        allow_checks: true,
        share_prompt_prefix: true,
        no_wait: dice.percent(10),
        interactive: dice.percent(15),
        seed,
        ..Plan::new("do the work", "/p", session)
    }
}
