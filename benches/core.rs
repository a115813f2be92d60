//! How many inputs a second the core decides on, and a replay compares: `cargo bench --bench core`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may fail loudly, and has no readers of its items")]

mod long_night;

use ccc::core::{Core, Input, Tick};
use ccc::journal::{Header, JournalWriter};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use long_night::Length;
use redaction::Redactor;

const INPUTS: usize = 100_000;

fn main() {
    divan::main();
}

/// The core alone: everything is in memory and read already.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn handle(bencher: Bencher<'_, '_>) {
    let length = Length::of_inputs(INPUTS);
    let plan = long_night::plan(length).unwrap();
    let mut inputs: Vec<(Tick, Input)> = Vec::new();
    long_night::play(plan.clone(), length, |tick, input, _| inputs.push((tick, input.clone()))).unwrap();
    bencher.counter(ItemsCount::new(inputs.len())).with_inputs(|| inputs.clone()).bench_local_values(|inputs| {
        let mut core = Core::new(plan.clone());
        let mut actions = 0;
        for (tick, input) in inputs {
            core.handle(tick, input);
            while let Some(action) = core.poll_action() {
                divan::black_box(&action);
                actions += 1;
            }
        }
        assert!(core.is_finished());
        actions
    });
}

/// What `ccc replay --check` does: read the journal from the disk's cache, decide, compare.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn replay(bencher: Bencher<'_, '_>) {
    let length = Length::of_inputs(INPUTS);
    let plan = long_night::plan(length).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    let header = Header::new(&plan, "0.1.0").unwrap();
    let mut journal = JournalWriter::create(&path, dir.path(), &header, Redactor::new()).unwrap();
    let mut inputs = 0_usize;
    long_night::play(plan, length, |tick, input, actions| {
        inputs += 1;
        journal.input(tick, input);
        for action in actions {
            journal.action(tick, action);
        }
        journal.commit();
    })
    .unwrap();
    assert!(journal.close().is_none());
    let bytes = std::fs::metadata(&path).unwrap().len();
    bencher.counter(ItemsCount::new(inputs)).counter(BytesCount::new(bytes)).bench_local(|| {
        let comparison = ccc::driver::compare(&path).unwrap();
        assert_eq!(comparison.difference, None);
        comparison.actions
    });
}
