//! `simulate`: plays any number of nights, each drawn from its seed.

mod fleet_command;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ccc::cli::{CliError, Context, ExitCode, Printer};
use clap::Parser;
use simulation::{AnyLaw, Counts, Law, Scenario, Simulator, Violation, is_long};

/// How many nights a thread plays before it reports.
const CHUNK: u64 = 64;
/// How often the progress is printed.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// How many broken nights are listed.
const NAMED: usize = 20;
/// A night of eight hours has at least this virtual time, in milliseconds.
const EIGHT_HOURS_MS: u64 = 8 * 3_600_000;
/// The names of sums.
const EIGHT_HOURS: &str = "nights of eight hours";
const VIRTUAL_MS: &str = "virtual time in milliseconds";
/// Those of a night that have a row each.
const SUMS: [&str; 6] = ["transitions", "processes", "stops judged", "restarts", "rotations", "deaths of ccc"];

/// Play nights that seeds make up: virtual time, scripted agents, and faults at rates that the seed draws.
///
/// After each step the laws of a run are looked at, and at the end its journal is replayed. A night that breaks a law is
/// told with its seed, the law and its trace, one line a transition; the same seed shows the same night again. The exit
/// code is 1 then.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "simulate", version, args_conflicts_with_subcommands = true)]
struct SimulateArgs {
    #[command(subcommand)]
    what: Option<What>,

    /// Which seeds, from A up to but without B.
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "0..2000", conflicts_with = "trace")]
    seeds: Range<u64>,

    /// How many threads play; as many as there are cores, unless given.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Play only the nights of these seeds whose work fills eight hours.
    #[arg(long, conflicts_with = "trace")]
    eight_hours: bool,

    /// Show the night of one seed, one line a transition.
    #[arg(long, value_name = "SEED")]
    trace: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
enum What {
    Fleet(fleet_command::FleetArgs),
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().map_err(|error| error.to_string());
    let (from, to) = text.split_once("..").ok_or("two numbers are needed, for example 0..2000")?;
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err("there is no seed in this range".to_owned()) } else { Ok(range) }
}

/// Sums over many nights or fleets; the order in which they were played does not matter.
struct Totals<L> {
    played: u64,
    /// The numbers of what was played, by name.
    sums: Counts,
    outcomes: Counts,
    events: Counts,
    broken: u64,
    /// The first broken ones, by seed.
    named: BTreeMap<u64, (L, String)>,
}

impl<L> Default for Totals<L> {
    fn default() -> Totals<L> {
        let (sums, outcomes, events) = (Counts::default(), Counts::default(), Counts::default());
        Totals { played: 0, sums, outcomes, events, broken: 0, named: BTreeMap::new() }
    }
}

impl<L: AnyLaw> Totals<L> {
    fn add<T>(&mut self, played: Result<T, Box<Violation<L>>>, sum: impl FnOnce(&mut Self, T)) {
        self.played += 1;
        match played {
            Ok(played) => sum(self, played),
            Err(violation) => {
                self.broken += 1;
                self.named.insert(violation.seed, (violation.law, violation.what));
                self.keep_first();
            }
        }
    }

    fn merge(&mut self, others: Totals<L>) {
        self.played += others.played;
        self.sums.merge(&others.sums);
        self.outcomes.merge(&others.outcomes);
        self.events.merge(&others.events);
        self.broken += others.broken;
        self.named.extend(others.named);
        self.keep_first();
    }

    fn keep_first(&mut self) {
        while self.named.len() > NAMED {
            self.named.pop_last();
        }
    }

    /// A row with this sum.
    fn row(&self, sum: &'static str) -> (&'static str, String) {
        (sum, grouped(self.sums.of(sum)))
    }

    fn simulated_hours(&self) -> String {
        grouped(self.sums.of(VIRTUAL_MS) / 3_600_000)
    }

    /// The table of these rows, between the seeds and the counters.
    fn summary(&self, seeds: &Range<u64>, rows: Vec<(&str, String)>, events: &str) -> String {
        let before = [("seeds", format!("{}..{}", seeds.start, seeds.end))];
        let after =
            [("outcomes", list(&self.outcomes)), (events, list(&self.events)), ("broken", grouped(self.broken))];
        let mut text = String::new();
        for (head, value) in before.into_iter().chain(rows).chain(after) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{head:<16} {value}");
        }
        text
    }

    /// The list of the broken ones.
    fn breaches(&self) -> String {
        let mut text = String::new();
        for (seed, (law, what)) in &self.named {
            let _ = writeln!(text, "{} {seed} breaks the law that {law}: {what}", L::NUMBERED);
        }
        let unnamed = self.broken.saturating_sub(self.named.len() as u64);
        if unnamed > 0 {
            let _ = writeln!(text, "and {} more", grouped(unnamed));
        }
        text
    }

    /// Fails if a law was broken, after the list of the broken ones and the trace of the first. `command` shows it again.
    fn verdict(
        &self,
        trace: impl Fn(u64) -> Vec<String>,
        command: &str,
        printer: &Printer,
    ) -> Result<ExitCode, CliError> {
        let Some((seed, (law, _))) = self.named.first_key_value() else { return Ok(ExitCode::COMPLETED) };
        printer.data(&format!("\n{}\n", self.breaches()));
        trace(*seed).iter().for_each(|line| printer.line(line));
        let (broken, played, one) = (self.broken, self.played, L::PLAYED);
        Err(CliError::failed(format!("{broken} of {played} {one}s are broken; seed {seed} breaks the law that {law}"))
            .hint(format!("see that {one} again: cargo run --release -p simulation -- {command} {seed}")))
    }
}

/// Shows one night or fleet, and fails if it breaks a law.
fn show<T, L: AnyLaw>(
    lines: &[String],
    played: Result<T, Box<Violation<L>>>,
    printer: &Printer,
) -> Result<ExitCode, CliError> {
    lines.iter().for_each(|line| printer.line(line));
    let broken = |violation: Box<Violation<L>>| {
        CliError::failed(format!("{} {} breaks the law that {}", L::NUMBERED, violation.seed, violation.law))
    };
    played.map(|_| ExitCode::COMPLETED).map_err(broken)
}

/// How many threads play.
fn jobs(wanted: Option<NonZeroUsize>) -> usize {
    wanted.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

/// The counters in one line.
fn list(counts: &Counts) -> String {
    let parts: Vec<String> = counts.iter().map(|(what, times)| format!("{what} {}", grouped(times))).collect();
    parts.join(", ")
}

fn main() -> std::process::ExitCode {
    let args = SimulateArgs::parse();
    let context = Context::of_process();
    let code = run(args, &context).unwrap_or_else(|error| {
        context.printer.error(&error.message, error.hint.as_deref());
        error.exit_code()
    });
    std::process::ExitCode::from(code.as_u8())
}

/// Plays all nights, and fails afterwards if a law was broken.
fn run(args: SimulateArgs, context: &Context) -> Result<ExitCode, CliError> {
    let printer = &context.printer;
    if let Some(What::Fleet(args)) = &args.what {
        return fleet_command::run(args, context);
    }
    let simulator = Simulator::new();
    if let Some(seed) = args.trace {
        return show(&simulator.trace(seed), simulator.simulate(seed), printer);
    }
    let jobs = jobs(args.jobs);
    let (totals, elapsed) = play_all(&simulator, &args, jobs, context);
    let nights = format!("{}, of eight hours {}", grouped(totals.played), grouped(totals.sums.of(EIGHT_HOURS)));
    let mut rows = vec![("nights", nights), ("simulated hours", totals.simulated_hours())];
    rows.extend(SUMS.map(|sum| totals.row(sum)));
    printer.data(&totals.summary(&args.seeds, rows, "faults"));
    let per_minute = |count: u64| count as f64 / elapsed.as_secs_f64().max(1e-9) * 60.0;
    printer.line(format_args!(
        "{:<16} {:.0} nights and {:.0} simulated hours a minute on {jobs} thread(s), in {:.1} s",
        "speed",
        per_minute(totals.played),
        per_minute(totals.sums.of(VIRTUAL_MS)) / 3_600_000.0,
        elapsed.as_secs_f64(),
    ));
    totals.verdict(|seed| simulator.trace(seed), "--trace", printer)
}

fn sum(totals: &mut Totals<Law>, night: Scenario) {
    let Scenario { steps, processes, iterations, restarts, rotations, deaths, .. } = night;
    totals.sums.add_times(EIGHT_HOURS, u64::from(night.virtual_ms >= EIGHT_HOURS_MS));
    totals.sums.add_times(VIRTUAL_MS, night.virtual_ms);
    let others = [processes, iterations, restarts, rotations, deaths].map(u64::from);
    for (sum, times) in SUMS.into_iter().zip([steps].into_iter().chain(others)) {
        totals.sums.add_times(sum, times);
    }
    totals.outcomes.add(night.outcome.map_or("lost journal", |outcome| outcome.as_str()));
    totals.events.merge(&night.faults);
}

fn play_all(simulator: &Simulator, args: &SimulateArgs, jobs: usize, context: &Context) -> (Totals<Law>, Duration) {
    let play = |chunk: Range<u64>| {
        let mut totals = Totals::default();
        for seed in chunk.filter(|&seed| !args.eight_hours || is_long(seed)) {
            totals.add(simulator.simulate(seed), sum);
        }
        totals
    };
    let tell = |totals: &Totals<Law>| {
        context.printer.talk(format_args!(
            "{} nights, {} simulated hours, {} broken",
            grouped(totals.played),
            totals.simulated_hours(),
            grouped(totals.broken)
        ));
    };
    in_chunks(&args.seeds, CHUNK, jobs, play, Totals::merge, tell)
}

/// Plays all seeds on several threads, adds up what each chunk gives, and tells the sum from time to time.
#[allow(clippy::disallowed_methods, reason = "how long the playing took is told, and decides nothing")]
fn in_chunks<T: Default + Send>(
    seeds: &Range<u64>,
    chunk: u64,
    jobs: usize,
    play: impl Fn(Range<u64>) -> T + Sync,
    merge: impl Fn(&mut T, T),
    tell: impl Fn(&T),
) -> (T, Duration) {
    let began = Instant::now();
    let mut told = began;
    let next = AtomicU64::new(seeds.start);
    let mut totals = T::default();
    let (done, chunks) = mpsc::sync_channel::<T>(jobs * 2);
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (done, next, play) = (done.clone(), &next, &play);
            scope.spawn(move || {
                loop {
                    let from = next.fetch_add(chunk, Ordering::Relaxed);
                    if from >= seeds.end || done.send(play(from..from.saturating_add(chunk).min(seeds.end))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        while let Ok(chunk) = chunks.recv() {
            merge(&mut totals, chunk);
            if told.elapsed() >= PROGRESS_INTERVAL {
                told = Instant::now();
                tell(&totals);
            }
        }
    });
    (totals, began.elapsed())
}

/// A number with its thousands separated.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{NAMED, SUMS, Totals, grouped, seeds, sum};
    use simulation::{Law, Simulator, Violation};

    #[test]
    fn a_range_of_seeds_is_two_numbers() {
        assert_eq!(seeds("3..5"), Ok(3..5));
        assert_eq!(seeds("0..1_000_000"), Ok(0..1_000_000));
        for wrong in ["5", "5..3", "3..3", "a..b", "-1..3", ".."] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([grouped(7), grouped(1_234), grouped(1_234_567)], ["7", "1,234", "1,234,567"]);
    }

    #[test]
    fn the_sum_is_the_same_in_any_order_and_broken_nights_are_named_from_the_first_on() {
        let simulator = Simulator::new();
        let broken = |seed| Box::new(Violation { seed, law: Law::OneAgent, what: "two".to_owned(), trace: Vec::new() });
        let (mut forth, mut back) = (Totals::default(), Totals::default());
        for seed in 0..20u64 {
            forth.add(simulator.simulate(seed), sum);
            back.add(simulator.simulate(19 - seed), sum);
        }
        for seed in 100..130u64 {
            forth.add(Err(broken(seed)), sum);
            let mut one = Totals::default();
            one.add(Err(broken(229 - seed)), sum);
            back.merge(one);
        }
        let rows = |totals: &Totals<Law>| SUMS.map(|sum| totals.row(sum)).to_vec();
        assert_eq!(forth.summary(&(0..20), rows(&forth), "faults"), back.summary(&(0..20), rows(&back), "faults"));
        assert_eq!(forth.breaches(), back.breaches());
        assert_eq!((forth.named.len(), forth.broken), (NAMED, 30));
        assert!(forth.breaches().starts_with("seed 100 breaks the law that at most one agent"), "{}", forth.breaches());
        assert!(forth.breaches().ends_with("and 10 more\n"), "{}", forth.breaches());
    }
}
