//! What the kernel counts about a scope's memory.

use std::path::Path;

/// More than the files have.
const BYTES: usize = 16 * 1024;

/// Where control groups are: of version 2, and of version 2 beside version 1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// Whether the kernel has ended processes of this scope because its memory was used up. The process is in the scope; it may be a
/// zombie.
pub(in crate::process) fn is_out_of_memory(pid: u32, unit: &str) -> bool {
    let Some(groups) = text(&format!("/proc/{pid}/cgroup")) else { return false };
    ROOTS.iter().any(|root| oom_kills(Path::new(root), &groups, unit) > 0)
}

/// The text of a file of the kernel.
fn text(path: &str) -> Option<String> {
    let mut buffer = vec![0; BYTES];
    let read = super::read_once(path, &mut buffer)?;
    std::str::from_utf8(read).ok().map(str::to_owned)
}

/// How many processes of the scope the kernel has ended. `groups` is the content of `/proc/PID/cgroup`.
fn oom_kills(root: &Path, groups: &str, unit: &str) -> u64 {
    let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return 0 };
    // The process may have died before it was moved into its scope; the counts of other groups are not its own.
    if Path::new(group).file_name().is_none_or(|name| name != unit) {
        return 0;
    }
    let events = root.join(group).join("memory.events");
    let Some(events) = events.to_str().and_then(text) else { return 0 };
    let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_kills_of_the_own_scope_are_counted_and_no_others() {
        let root = tempfile::tempdir().expect("a directory");
        let scope = root.path().join("user.slice/ccc-a-1.scope");
        fs::create_dir_all(&scope).expect("made");
        fs::write(scope.join("memory.events"), "low 0\nhigh 0\nmax 71\noom 2\noom_kill 1\noom_group_kill 0\n")
            .expect("written");
        let kills = |groups: &str, unit: &str| oom_kills(root.path(), groups, unit);
        let groups = "4:memory:/x\n0::/user.slice/ccc-a-1.scope\n";
        assert_eq!(kills(groups, "ccc-a-1.scope"), 1);
        assert_eq!(kills(groups, "ccc-a-2.scope"), 0, "another scope");
        assert_eq!(kills("0::/user.slice/ccc-a-1.scope (deleted)\n", "ccc-a-1.scope"), 0);
        assert_eq!(kills("4:memory:/user.slice/ccc-a-1.scope\n", "ccc-a-1.scope"), 0, "not of version 2");
        fs::write(scope.join("memory.events"), "oom_kill 0\n").expect("written");
        assert_eq!(kills(groups, "ccc-a-1.scope"), 0);
        assert!(!is_out_of_memory(std::process::id(), "ccc-none.scope"));
    }
}
