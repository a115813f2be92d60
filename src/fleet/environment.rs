//! What an agent's processes have in their environment besides that of their run.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::record::AgentRecord;
use crate::worktree::port_variables;

/// Adds to the environment of an agent's processes: its ports, and a `PATH` on which `ccc` is found, so that the agent can look
/// at the fleet. `program` is the ccc of this process; its directory comes last, so it hides no other program.
pub fn add_environment(record: &AgentRecord, program: Option<&Path>, env: &mut Vec<(OsString, OsString)>) {
    for (name, value) in port_variables(&record.ports) {
        env.retain(|(known, _)| *known != name);
        env.push((name, value));
    }
    let Some(dir) = program.filter(|program| program.file_name() == Some(OsStr::new("ccc"))).and_then(Path::parent)
    else {
        return;
    };
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join("ccc").is_file()) {
        return;
    }
    let dirs = std::env::split_paths(&path).filter(|dir| !dir.as_os_str().is_empty());
    // A directory with a colon in its name cannot be on a PATH.
    if let Ok(path) = std::env::join_paths(dirs.chain([dir.to_owned()])) {
        env.retain(|(name, _)| name != "PATH");
        env.push(("PATH".into(), path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Role;

    #[test]
    fn an_agent_finds_its_ports_and_ccc_behind_its_own_programs() {
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("ccc");
        std::fs::write(&program, "").expect("written");
        let record = AgentRecord {
            ports: vec![20_001, 20_002],
            ..AgentRecord::new("20261128-100000-aaaa", "login", Role::Worker, 0, Path::new("/p"))
        };
        let value = |env: &[(OsString, OsString)], wanted: &str| {
            let values: Vec<_> =
                env.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.clone()).collect();
            assert!(values.len() <= 1, "{wanted}: {values:?}");
            values.into_iter().next().unwrap_or_default().into_string().expect("UTF-8")
        };
        let mut env = vec![("PATH".into(), "/usr/bin:/bin".into()), ("CCC_PORT".into(), "1".into())];
        add_environment(&record, Some(&program), &mut env);
        assert_eq!(value(&env, "CCC_PORT"), "20001");
        assert_eq!(value(&env, "CCC_PORT_1"), "20002");
        let path = format!("/usr/bin:/bin:{}", dir.path().display());
        assert_eq!(value(&env, "PATH"), path);
        add_environment(&record, Some(&program), &mut env);
        assert_eq!(value(&env, "PATH"), path, "it is on the path already");
    }
}
