//! The agent's own records of its sessions: read, never written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::agent::AgentKind;
use crate::files::{self, SESSION_RECORD};

/// The record of a session, from where the adapter says that records are below the agent's directory. `None` when there is none,
/// or it is too large.
#[must_use]
pub fn session_record(agent: AgentKind, agent_dir: &Path, session_id: &str) -> Option<String> {
    let (folder, levels) = agent.installation().records;
    let path = find(&agent_dir.join(folder), levels, &|path| {
        let is_named = path.file_name().and_then(|name| name.to_str());
        is_named.is_some_and(|name| agent.is_record(name, session_id))
            && fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= SESSION_RECORD.limit_bytes)
    })?;
    let bytes = files::read(&path, SESSION_RECORD).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn find(folder: &Path, levels: usize, fits: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    match levels {
        0 => entries.find(|path| fits(path)),
        _ => entries.find_map(|path| find(&path, levels - 1, fits)),
    }
}

#[cfg(test)]
mod tests {
    use super::session_record;
    use crate::agent::AgentKind;

    #[test]
    fn a_record_is_found_in_whatever_project_it_lies_and_no_other_file_is_taken_for_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        let record = || session_record(AgentKind::CLAUDE_CODE, dir.path(), "5d0c");
        write("projects/5d0c.jsonl", "not in a project");
        write("projects/-a/5d0c.jsonl.bak", "a copy");
        write("projects/-a/deep/5d0c.jsonl", "a sub-agent's");
        assert_eq!(record(), None);
        write("projects/-b/5d0c.jsonl", "it");
        assert_eq!(record().as_deref(), Some("it"));
    }
}
