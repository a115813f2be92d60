//! `simulate fleet`: plays any number of fleets, each drawn from its seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::thread;

use ccc::cli::{CliError, Context, ExitCode};
use clap::Args;
use simulation::{Counts, FleetLaw, FleetNight, FleetSimulator, FleetViolation};

use super::{NAMED, failed, grouped, in_chunks, list, seeds};

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

/// Sums over many fleets; the order in which they were played does not matter.
#[derive(Debug, Clone, Default)]
struct Totals {
    fleets: u64,
    agents: u64,
    virtual_ms: u64,
    steps: u64,
    outcomes: Counts,
    events: Counts,
    broken: u64,
    /// The first broken fleets, by seed.
    named: BTreeMap<u64, (FleetLaw, String)>,
}

impl Totals {
    fn add(&mut self, played: Result<FleetNight, Box<FleetViolation>>) {
        self.fleets += 1;
        match played {
            Ok(night) => {
                self.agents += night.agents;
                self.virtual_ms += night.virtual_ms;
                self.steps += night.steps;
                self.outcomes.merge(&night.outcomes);
                self.events.merge(&night.events);
            }
            Err(violation) => {
                self.broken += 1;
                self.named.insert(violation.seed, (violation.law, violation.what));
            }
        }
    }

    fn merge(&mut self, others: Totals) {
        self.fleets += others.fleets;
        self.agents += others.agents;
        self.virtual_ms += others.virtual_ms;
        self.steps += others.steps;
        self.outcomes.merge(&others.outcomes);
        self.events.merge(&others.events);
        self.broken += others.broken;
        self.named.extend(others.named);
        while self.named.len() > NAMED {
            self.named.pop_last();
        }
    }

    fn summary(&self, seeds: &Range<u64>) -> String {
        let rows = [
            ("seeds", format!("{}..{}", seeds.start, seeds.end)),
            ("fleets", grouped(self.fleets)),
            ("agents", grouped(self.agents)),
            ("simulated hours", grouped(self.virtual_ms / 3_600_000)),
            ("steps", grouped(self.steps)),
            ("outcomes", list(&self.outcomes)),
            ("events", list(&self.events)),
            ("broken", grouped(self.broken)),
        ];
        let mut text = String::new();
        for (head, value) in rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{head:<16} {value}");
        }
        text
    }
}

/// Plays all fleets, and fails afterwards if a law was broken.
pub(super) fn run(args: &FleetArgs, context: &Context) -> Result<ExitCode, CliError> {
    let printer = &context.printer;
    let simulator = FleetSimulator::new();
    if let Some(seed) = args.trace {
        for line in simulator.trace(seed) {
            printer.line(line);
        }
        return match simulator.simulate(seed) {
            Ok(_) => Ok(ExitCode::COMPLETED),
            Err(violation) => Err(failed(format!("fleet {seed} breaks the law that {}", violation.law))),
        };
    }
    let jobs = args.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let play = |chunk: Range<u64>| {
        let mut totals = Totals::default();
        chunk.for_each(|seed| totals.add(simulator.simulate(seed)));
        totals
    };
    let tell = |totals: &Totals| {
        printer.talk(format_args!("{} fleets, {} broken", grouped(totals.fleets), grouped(totals.broken)));
    };
    let (totals, elapsed) = in_chunks(&args.seeds, CHUNK, jobs, play, Totals::merge, tell);
    printer.data(&totals.summary(&args.seeds));
    printer.line(format_args!(
        "{:<16} {:.0} fleets a minute on {jobs} thread(s), in {:.1} s",
        "speed",
        totals.fleets as f64 / elapsed.as_secs_f64().max(1e-9) * 60.0,
        elapsed.as_secs_f64(),
    ));
    let Some((seed, (law, _))) = totals.named.first_key_value() else { return Ok(ExitCode::COMPLETED) };
    let mut breaches = String::new();
    for (seed, (law, what)) in &totals.named {
        let _ = writeln!(breaches, "fleet {seed} breaks the law that {law}: {what}");
    }
    printer.data(&format!("\n{breaches}\n"));
    for line in simulator.trace(*seed) {
        printer.line(line);
    }
    Err(failed(format!(
        "{} of {} fleets are broken; seed {seed} breaks the law that {law}",
        totals.broken, totals.fleets
    ))
    .hint(format!("see that fleet again: cargo run --release -p simulation -- fleet --trace {seed}")))
}
