//! What it costs to write and to read a journal. Files are in memory: the disk is not what is measured.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark may fail loudly, and has no readers of its items")]

use std::io;
use std::path::Path;

use ccc::core::{Input, LineFact, Plan, ProcId, Tick};
use ccc::journal::{Header, JournalReader, JournalWriter, Sink};
use divan::counter::{BytesCount, ItemsCount};
use redaction::Redactor;
use serde_json::value::RawValue;

fn main() {
    divan::main();
}

const ENTRIES: usize = 1_000;

#[derive(Default)]
struct Memory(Vec<u8>);

impl Sink for &mut Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn truncate(&mut self, len_bytes: u64) -> io::Result<()> {
        self.0.truncate(usize::try_from(len_bytes).unwrap());
        Ok(())
    }
    fn put_blob(&mut self, _: &str, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn sync_soon(&mut self, _: u64) -> Option<ccc::journal::Durable> {
        None
    }
    fn take_sync_error(&mut self) -> Option<String> {
        None
    }
    fn close(self) {}
}

fn header() -> Header {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compat/1.0");
    let plan: Plan = JournalReader::open(&journal).unwrap().plan().unwrap();
    Header::new(&plan, "0.1.0").unwrap()
}

/// An agent's line of about `bytes` bytes.
fn line(bytes: usize) -> Input {
    let words = "the tests pass now; next: docs\\n";
    let json = format!(
        r#"{{"type":"assistant","message":{{"id":"msg_01","role":"assistant","content":[{{"type":"text","text":"{}"}}]}},"session_id":"3f2b8c1e-0000-4000-8000-000000000001"}}"#,
        words.repeat(bytes.saturating_sub(160) / words.len())
    );
    Input::Line { proc: ProcId(1), line: LineFact::Json(RawValue::from_string(json).unwrap()) }
}

fn journal(input: &Input) -> Vec<u8> {
    let mut memory = Memory::default();
    let mut writer = JournalWriter::with_sink(&mut memory, &header(), Redactor::new()).unwrap();
    for tick in 0..ENTRIES as u64 {
        writer.input(Tick(tick * 1_000_000), input);
    }
    writer.commit();
    drop(writer);
    memory.0
}

fn read_all(bencher: divan::Bencher, input: &Input) {
    let bytes = journal(input);
    bencher.counter(ItemsCount::new(ENTRIES)).counter(BytesCount::new(bytes.len())).bench(|| {
        let reader = JournalReader::from_reader(Path::new("j"), divan::black_box(bytes.as_slice()));
        reader.unwrap().map(|entry| entry.unwrap().n).max()
    });
}

#[divan::bench]
fn read_small(bencher: divan::Bencher) {
    read_all(bencher, &Input::Elapsed { unix_ms: 1_795_202_302_000 });
}

#[divan::bench(args = [400, 4_000])]
fn read_lines(bencher: divan::Bencher, bytes: usize) {
    read_all(bencher, &line(bytes));
}

#[divan::bench(args = [400, 4_000, 40_000])]
fn write_lines(bencher: divan::Bencher, bytes: usize) {
    let input = line(bytes);
    let header = header();
    let redactor = Redactor::with_values(["sk-ant-api03-0123456789abcdef"]);
    bencher.counter(ItemsCount::new(ENTRIES)).bench(|| {
        let mut memory = Memory::default();
        let mut writer = JournalWriter::with_sink(&mut memory, &header, redactor.clone()).unwrap();
        for tick in 0..ENTRIES as u64 {
            writer.input(Tick(tick), divan::black_box(&input));
            writer.commit();
        }
        writer.next_n()
    });
}

#[divan::bench(args = [400, 40_000])]
fn redact_clean(bencher: divan::Bencher, bytes: usize) {
    let json = serde_json::to_string(&line(bytes)).unwrap();
    let redactor = Redactor::with_values(["sk-ant-api03-0123456789abcdef"]);
    bencher.counter(BytesCount::new(json.len())).bench(|| redactor.json_str(divan::black_box(&json)).len());
}
