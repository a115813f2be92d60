//! The agent's own records of its sessions: read, never written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::{self, SESSION_RECORD};

/// The record of a session: `<claude>/projects/<directory>/<session>.jsonl` (facts §2). `None` when there is none, or it
/// is too large. Looked for in every directory, because the newest CLI goes on in the record of the directory where the
/// session began (facts 2.1.329, A).
#[must_use]
pub fn session_record(claude_dir: &Path, session_id: &str) -> Option<String> {
    let fits = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= SESSION_RECORD.limit_bytes)
    };
    let projects = fs::read_dir(claude_dir.join("projects")).ok()?;
    let path = projects.flatten().map(|project| project.path().join(format!("{session_id}.jsonl"))).find(fits)?;
    let bytes = files::read(&path, SESSION_RECORD).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
