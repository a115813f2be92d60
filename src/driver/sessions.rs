//! The agent's own records of its sessions: read, never written.

use std::fs;
use std::path::{Path, PathBuf};

/// The most that is read of a record, in bytes.
const MAX_RECORD_BYTES: u64 = 256 * 1024 * 1024;

/// The record of a session: `<claude>/projects/<directory>/<session>.jsonl` (facts §2). `None` when there is none, or it
/// is too large. Looked for in every directory, because the newest CLI goes on in the record of the directory where the
/// session began (facts 2.1.329, A).
#[must_use]
pub fn session_record(claude_dir: &Path, session_id: &str) -> Option<String> {
    let fits = |path: &PathBuf| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_RECORD_BYTES);
    let projects = fs::read_dir(claude_dir.join("projects")).ok()?;
    let path = projects.flatten().map(|project| project.path().join(format!("{session_id}.jsonl"))).find(fits)?;
    let bytes = fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
