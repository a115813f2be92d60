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

use ccc::cli::{CliError, Context, ErrorKind, ExitCode};
use clap::Parser;
use simulation::{Counts, Law, Scenario, Simulator, Violation, is_long};

/// How many nights a thread plays before it reports.
const CHUNK: u64 = 64;
/// How often the progress is printed.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
/// How many broken nights are listed.
const NAMED: usize = 20;
/// A night of eight hours has at least this virtual time, in milliseconds.
const EIGHT_HOURS_MS: u64 = 8 * 3_600_000;

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

/// Sums over many nights; the order in which they were played does not matter.
#[derive(Debug, Clone, Default)]
struct Totals {
    nights: u64,
    eight_hours: u64,
    virtual_ms: u64,
    transitions: u64,
    processes: u64,
    iterations: u64,
    restarts: u64,
    rotations: u64,
    deaths: u64,
    outcomes: Counts,
    faults: Counts,
    broken: u64,
    /// The first broken nights, by seed.
    named: BTreeMap<u64, (Law, String)>,
}

impl Totals {
    fn add(&mut self, played: Result<Scenario, Box<Violation>>) {
        self.nights += 1;
        match played {
            Ok(night) => {
                self.eight_hours += u64::from(night.virtual_ms >= EIGHT_HOURS_MS);
                self.virtual_ms += night.virtual_ms;
                self.transitions += night.steps;
                self.processes += u64::from(night.processes);
                self.iterations += u64::from(night.iterations);
                self.restarts += u64::from(night.restarts);
                self.rotations += u64::from(night.rotations);
                self.deaths += u64::from(night.deaths);
                self.outcomes.add(night.outcome.map_or("lost journal", |outcome| outcome.as_str()));
                self.faults.merge(&night.faults);
            }
            Err(violation) => {
                self.broken += 1;
                self.named.insert(violation.seed, (violation.law, violation.what));
                self.keep_first();
            }
        }
    }

    fn merge(&mut self, others: Totals) {
        self.nights += others.nights;
        self.eight_hours += others.eight_hours;
        self.virtual_ms += others.virtual_ms;
        self.transitions += others.transitions;
        self.processes += others.processes;
        self.iterations += others.iterations;
        self.restarts += others.restarts;
        self.rotations += others.rotations;
        self.deaths += others.deaths;
        self.outcomes.merge(&others.outcomes);
        self.faults.merge(&others.faults);
        self.broken += others.broken;
        self.named.extend(others.named);
        self.keep_first();
    }

    fn keep_first(&mut self) {
        while self.named.len() > NAMED {
            self.named.pop_last();
        }
    }

    fn summary(&self, seeds: &Range<u64>) -> String {
        let rows = [
            ("seeds", format!("{}..{}", seeds.start, seeds.end)),
            ("nights", format!("{}, of eight hours {}", grouped(self.nights), grouped(self.eight_hours))),
            ("simulated hours", grouped(self.virtual_ms / 3_600_000)),
            ("transitions", grouped(self.transitions)),
            ("processes", grouped(self.processes)),
            ("stops judged", grouped(self.iterations)),
            ("restarts", grouped(self.restarts)),
            ("rotations", grouped(self.rotations)),
            ("deaths of ccc", grouped(self.deaths)),
            ("outcomes", list(&self.outcomes)),
            ("faults", list(&self.faults)),
            ("broken", grouped(self.broken)),
        ];
        let mut text = String::new();
        for (head, value) in rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{head:<16} {value}");
        }
        text
    }

    /// The list of broken nights, and the command that shows a night.
    fn breaches(&self) -> String {
        let mut text = String::new();
        for (seed, (law, what)) in &self.named {
            let _ = writeln!(text, "seed {seed} breaks the law that {law}: {what}");
        }
        let unnamed = self.broken.saturating_sub(self.named.len() as u64);
        if unnamed > 0 {
            let _ = writeln!(text, "and {} more", grouped(unnamed));
        }
        text
    }
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
        for line in simulator.trace(seed) {
            printer.line(line);
        }
        return match simulator.simulate(seed) {
            Ok(_) => Ok(ExitCode::COMPLETED),
            Err(violation) => Err(failed(format!("seed {seed} breaks the law that {}", violation.law))),
        };
    }
    let jobs = args.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let (totals, elapsed) = play_all(&simulator, &args, jobs, context);
    printer.data(&totals.summary(&args.seeds));
    let per_minute = |count: u64| count as f64 / elapsed.as_secs_f64().max(1e-9) * 60.0;
    printer.line(format_args!(
        "{:<16} {:.0} nights and {:.0} simulated hours a minute on {jobs} thread(s), in {:.1} s",
        "speed",
        per_minute(totals.nights),
        per_minute(totals.virtual_ms) / 3_600_000.0,
        elapsed.as_secs_f64(),
    ));
    let Some((seed, (law, _))) = totals.named.first_key_value() else { return Ok(ExitCode::COMPLETED) };
    printer.data(&format!("\n{}\n", totals.breaches()));
    for line in simulator.trace(*seed) {
        printer.line(line);
    }
    Err(failed(format!(
        "{} of {} nights are broken; seed {seed} breaks the law that {law}",
        totals.broken, totals.nights
    ))
    .hint(format!("see that night again: cargo run --release -p simulation -- --trace {seed}")))
}

fn failed(message: String) -> CliError {
    CliError::new(ErrorKind::Failed, message)
}

fn play_all(simulator: &Simulator, args: &SimulateArgs, jobs: usize, context: &Context) -> (Totals, Duration) {
    let play = |chunk: Range<u64>| {
        let mut totals = Totals::default();
        for seed in chunk.filter(|&seed| !args.eight_hours || is_long(seed)) {
            totals.add(simulator.simulate(seed));
        }
        totals
    };
    let tell = |totals: &Totals| {
        context.printer.talk(format_args!(
            "{} nights, {} simulated hours, {} broken",
            grouped(totals.nights),
            grouped(totals.virtual_ms / 3_600_000),
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
    use super::{NAMED, Totals, grouped, seeds};
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
            forth.add(simulator.simulate(seed));
            back.add(simulator.simulate(19 - seed));
        }
        for seed in 100..130u64 {
            forth.add(Err(broken(seed)));
            let mut one = Totals::default();
            one.add(Err(broken(229 - seed)));
            back.merge(one);
        }
        assert_eq!(forth.summary(&(0..20)), back.summary(&(0..20)));
        assert_eq!(forth.breaches(), back.breaches());
        assert_eq!((forth.named.len(), forth.broken), (NAMED, 30));
        assert!(forth.breaches().starts_with("seed 100 breaks the law that at most one agent"), "{}", forth.breaches());
        assert!(forth.breaches().ends_with("and 10 more\n"), "{}", forth.breaches());
    }
}
