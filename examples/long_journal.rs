//! Writes the journal of a long night: `long_journal DIR [--inputs N | --messages N]`. Then `time ccc replay --check DIR` measures a
//! replay, and with messages `time ccc report DIR/journal.jsonl -o FILE` a report.
#![allow(clippy::disallowed_methods, reason = "a program of its own, outside the supervisor")]

#[path = "../benches/long_night/mod.rs"]
mod long_night;

use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;

use ccc::journal::{Header, JournalWriter};
use clap::Parser;
use redaction::Redactor;

/// How many bytes are sent to the journal's thread at once, as in a run where no act follows.
const AT_ONCE_BYTES: usize = 64 * 1024;

/// Writes the journal of a long night.
#[derive(Debug, Parser)]
struct Args {
    /// The run's directory; must not exist.
    dir: PathBuf,
    /// How many inputs it has, about.
    #[arg(long, default_value_t = 1_000_000)]
    inputs: usize,
    /// How many messages agent and tools say, about, each with texts of its own.
    #[arg(long, conflicts_with = "inputs")]
    messages: Option<usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let of_inputs = || long_night::Length::of_inputs(args.inputs);
    let length = args.messages.map_or_else(of_inputs, long_night::Length::of_messages);
    let plan = long_night::plan(length)?;
    let blobs = args.dir.join("blobs");
    std::fs::create_dir(&args.dir)?;
    std::fs::create_dir(&blobs)?;
    let path = args.dir.join("journal.jsonl");
    let header = Header::new(&plan, env!("CARGO_PKG_VERSION"))?;
    let mut journal = JournalWriter::create(&path, &blobs, &header, Redactor::new())?;
    let mut inputs = 0_u64;
    let mut news = None;
    long_night::play(plan, length, |tick, input, actions| {
        inputs += 1;
        journal.input(tick, input);
        for action in actions {
            journal.action(tick, action);
        }
        if journal.pending_bytes() > AT_ONCE_BYTES {
            news = news.take().or_else(|| journal.commit());
        }
    })?;
    if let Some(news) = news.or_else(|| journal.close()) {
        return Err(format!("{}: {news:?}", path.display()).into());
    }
    writeln!(stdout(), "{}: {inputs} inputs, {} bytes", path.display(), std::fs::metadata(&path)?.len())?;
    Ok(())
}
