//! `simulate fleet`: plays any number of fleets, each drawn from its seed.

use std::num::NonZeroUsize;
use std::ops::Range;

use ccc::cli::{CliError, Context, ExitCode};
use clap::Args;
use simulation::{FleetLaw, FleetNight, FleetSimulator};

use super::{Totals, VIRTUAL_MS, grouped, in_chunks, jobs, seeds, show};

/// How many fleets a thread plays before it reports.
const CHUNK: u64 = 4;

/// Play fleets that seeds make up: many agents, their keepers, shared tokens, and deaths anywhere.
///
/// Each agent keeps the laws of a night, and all of them those of a fleet. A fleet that breaks a law is told with its
/// seed, the law and its trace; the same seed shows the same fleet again. The exit code is 1 then.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(super) struct FleetArgs {
    /// Which seeds, from A up to but without B.
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "0..200", conflicts_with = "trace")]
    seeds: Range<u64>,

    /// How many threads play; as many as there are cores, unless given.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Show the fleet of one seed, one line a transition.
    #[arg(long, value_name = "SEED")]
    trace: Option<u64>,
}

/// The names of sums that have a row each.
const AGENTS: &str = "agents";
const STEPS: &str = "steps";

fn sum(totals: &mut Totals<FleetLaw>, fleet: FleetNight) {
    totals.sums.add_times(AGENTS, fleet.agents);
    totals.sums.add_times(VIRTUAL_MS, fleet.virtual_ms);
    totals.sums.add_times(STEPS, fleet.steps);
    totals.outcomes.merge(&fleet.outcomes);
    totals.events.merge(&fleet.events);
}

/// Plays all fleets, and fails afterwards if a law was broken.
pub(super) fn run(args: &FleetArgs, context: &Context) -> Result<ExitCode, CliError> {
    let printer = &context.printer;
    let simulator = FleetSimulator::new();
    if let Some(seed) = args.trace {
        return show(&simulator.trace(seed), simulator.simulate(seed), printer);
    }
    let jobs = jobs(args.jobs);
    let play = |chunk: Range<u64>| {
        let mut totals = Totals::default();
        chunk.for_each(|seed| totals.add(simulator.simulate(seed), sum));
        totals
    };
    let tell = |totals: &Totals<FleetLaw>| {
        printer.talk(format_args!("{} fleets, {} broken", grouped(totals.played), grouped(totals.broken)));
    };
    let (totals, elapsed) = in_chunks(&args.seeds, CHUNK, jobs, play, Totals::merge, tell);
    let fleets = ("fleets", grouped(totals.played));
    let rows = vec![fleets, totals.row(AGENTS), ("simulated hours", totals.simulated_hours()), totals.row(STEPS)];
    printer.data(&totals.summary(&args.seeds, rows, "events"));
    printer.line(format_args!(
        "{:<16} {:.0} fleets a minute on {jobs} thread(s), in {:.1} s",
        "speed",
        totals.played as f64 / elapsed.as_secs_f64().max(1e-9) * 60.0,
        elapsed.as_secs_f64(),
    ));
    totals.verdict(|seed| simulator.trace(seed), "fleet --trace", printer)
}
