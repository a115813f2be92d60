//! Windows that are resized while lines are printed: every line stays, once, in order.

use std::path::Path;
use std::time::{Duration, Instant};

use super::tmux::Tmux;
use crate::whole_runs::harness::look_until;

const LINES: usize = 80;
const STORM: Duration = Duration::from_millis(2_400);

/// Pseudo-random numbers from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Rows of old viewports that are left, and how often the window was resized.
fn storm(seed: u64, draft_rows: u16) -> (usize, usize) {
    let dir = tempfile::tempdir().unwrap();
    let done = dir.path().join("done");
    let program = Path::new(env!("CARGO_BIN_EXE_ccc")).with_file_name("examples").join("inline_storm");
    let (program, done_arg) = (program.to_str().unwrap().to_owned(), done.to_str().unwrap().to_owned());
    let tmux = Tmux::start(90, 24, &[&program, &done_arg, &LINES.to_string(), &draft_rows.to_string()]);
    let (_never, silent) = std::sync::mpsc::channel::<()>();
    let mut chance = Chance(seed);
    let mut resizes = 0;
    let end = Instant::now() + STORM;
    while Instant::now() < end {
        let (columns, rows) = (20 + chance.below(100) as u16, 6 + chance.below(34) as u16);
        tmux.resize(columns, rows);
        resizes += 1;
        let pause = [5, 20, 60, 150][chance.below(4) as usize];
        let _ = silent.recv_timeout(Duration::from_millis(pause));
    }
    tmux.resize(100, 30);
    look_until("the end of the storm", || done.exists().then_some(()));
    for all in [tmux.everything(), tmux.joined()] {
        let seen: Vec<&str> = all.lines().map(str::trim_end).filter(|line| line.contains("unique line")).collect();
        let expected: Vec<String> = (1..=LINES).map(|line| format!("unique line {line:03}")).collect();
        assert_eq!(seen, expected, "seed {seed}, {resizes} resizes:\n{all}");
    }
    let old = |line: &&str| ["> draft", "status", "hint"].iter().any(|begin| line.starts_with(begin));
    (tmux.everything().lines().filter(old).count().saturating_sub(usize::from(draft_rows) + 2), resizes)
}

/// Storms of these seeds, a few at a time.
fn storms(seeds: std::ops::Range<u64>, draft_rows: u16) {
    for seed in seeds {
        let (old_rows, resizes) = storm(seed, draft_rows);
        println!("seed {seed}: {resizes} resizes, {old_rows} rows of old viewports left");
        assert!(old_rows <= resizes, "seed {seed}: {old_rows} rows of old viewports are left by {resizes} resizes");
    }
}

#[test]
fn resizing_loses_no_line_with_a_draft_of_one_row() {
    storms(0..5, 1);
}

#[test]
fn resizing_loses_no_line_with_a_draft_of_many_rows() {
    storms(10..15, 5);
}
