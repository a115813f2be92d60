//! The agent's own session records: read, never written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::agent::AgentKind;
use crate::files::{self, SESSION_RECORD};

/// The record of a session, searched where the adapter keeps records below the agent's directory. `None` when it is absent or
/// too large.
#[must_use]
pub fn session_record(agent: AgentKind, agent_dir: &Path, session_id: &str) -> Option<String> {
    let (folder, levels) = agent.installation().records;
    let path = find(&agent_dir.join(folder), levels, &|path| {
        let is_named = path.file_name().and_then(|name| name.to_str());
        is_named.is_some_and(|name| agent.is_record(name, session_id))
            && fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= SESSION_RECORD.limit_bytes)
    })?;
    let bytes = files::read(&path, SESSION_RECORD).ok()?;
    Some(String::from_utf8(bytes).unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned()))
}

/// The session that the agent most likely continues with `--continue` in this directory: the one whose record was written last.
/// `None` when there is no record, or the adapter does not know where records are.
#[must_use]
pub fn latest_session(agent: AgentKind, agent_dir: &Path, cwd: &str) -> Option<String> {
    let (folder, _) = agent.installation().records;
    let records = fs::read_dir(agent_dir.join(folder).join(agent.records_of(cwd)?)).ok()?.flatten();
    let named = records.filter_map(|entry| {
        let path = entry.path();
        let id = path.file_stem()?.to_str()?.to_owned();
        let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        agent.is_record(path.file_name()?.to_str()?, &id).then_some((meta.modified().ok()?, id))
    });
    named.max().map(|(_, id)| id)
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
    use std::time::{Duration, SystemTime};

    use super::{latest_session, session_record};
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

    #[test]
    fn the_latest_session_is_that_of_this_directory_whose_record_was_written_last() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, seconds: u64| {
            let path = dir.path().join("projects").join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            let file = std::fs::File::create(path).expect("made");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).expect("set");
        };
        let latest = || latest_session(AgentKind::CLAUDE_CODE, dir.path(), "/home/a.b/my_work");
        assert_eq!(latest(), None);
        write("-home-a-b-my-work/old.jsonl", 10);
        write("-home-a-b-my-work/new.jsonl", 20);
        write("-home-a-b-my-work/notes.txt", 30);
        write("-home-a-b-my-work/new/subagents/agent-1.jsonl", 40);
        write("-home-a-b/other.jsonl", 50);
        assert_eq!(latest().as_deref(), Some("new"));
    }
}
