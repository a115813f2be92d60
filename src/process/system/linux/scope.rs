//! What the kernel counts about a scope's memory.

use std::path::Path;

/// What the kernel adds to the name of a group that was removed.
const GONE: &str = " (deleted)";
/// More than the files have.
const BYTES: usize = 16 * 1024;

/// Where control groups are: of version 2, and of version 2 beside version 1.
pub(super) const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// How many processes the kernel has ended in this group and below it because memory was used up; `None` where it does not count.
pub(in crate::process) fn out_of_memory_kills(group: &str) -> Option<u64> {
    ROOTS.iter().find_map(|root| kills(Path::new(root), group))
}

/// Whether the kernel has ended processes of this scope because its memory was used up. The process is in the scope; it may be a
/// zombie. systemd removes a scope that has no process left, maybe before its count was read. The group around it has counted that,
/// too: `before` is its count at the start of the process.
pub(in crate::process) fn is_out_of_memory(pid: u32, unit: &str, around: Option<&str>, before: Option<u64>) -> bool {
    let groups = text(&format!("/proc/{pid}/cgroup"));
    ROOTS.iter().any(|root| has_killed(Path::new(root), groups.as_deref(), unit, around, before))
}

fn has_killed(root: &Path, groups: Option<&str>, unit: &str, around: Option<&str>, before: Option<u64>) -> bool {
    let Some(group) = groups.and_then(group_of) else { return false };
    // The process may have died before it was moved into its scope; the counts of other groups are not its own.
    let (own, is_gone) = group.strip_suffix(GONE).map_or((group, false), |group| (group, true));
    if Path::new(own).file_name().is_none_or(|name| name != unit) {
        return false;
    }
    if let Some(kills) = (!is_gone).then(|| kills(root, own)).flatten() {
        return kills > 0;
    }
    around.and_then(|around| kills(root, around)).zip(before).is_some_and(|(now, before)| now > before)
}

/// The group around the scope with this name, of a process whose `/proc/PID/cgroup` this is; `None` if it is in none.
pub(in crate::process) fn around_scope(groups: &str, unit: &str) -> Option<String> {
    Some(group_of(groups)?.strip_suffix(unit)?.strip_suffix('/')?.to_owned())
}

pub(super) fn group_of(groups: &str) -> Option<&str> {
    groups.lines().find_map(|line| line.strip_prefix("0::/"))
}

/// The text of a file of the kernel.
pub(super) fn text(path: &str) -> Option<String> {
    let mut buffer = vec![0; BYTES];
    let read = super::read_once(path, &mut buffer)?;
    std::str::from_utf8(read).ok().map(str::to_owned)
}

pub(super) fn kills(root: &Path, group: &str) -> Option<u64> {
    let events = text(root.join(group).join("memory.events").to_str()?)?;
    let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
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
        let killed = |groups: &str, unit: &str| has_killed(root.path(), Some(groups), unit, None, None);
        let groups = "4:memory:/x\n0::/user.slice/ccc-a-1.scope\n";
        assert!(killed(groups, "ccc-a-1.scope"));
        assert!(!killed(groups, "ccc-a-2.scope"), "another scope");
        assert!(!killed("0::/user.slice/ccc-a-1.scope (deleted)\n", "ccc-a-1.scope"));
        assert!(!killed("4:memory:/user.slice/ccc-a-1.scope\n", "ccc-a-1.scope"), "not of version 2");
        fs::write(scope.join("memory.events"), "oom_kill 0\n").expect("written");
        assert!(!killed(groups, "ccc-a-1.scope"));
        assert!(!is_out_of_memory(std::process::id(), "ccc-none.scope", None, None));
    }

    #[test]
    fn of_a_scope_that_is_gone_the_group_around_it_has_the_count() {
        let root = tempfile::tempdir().expect("a directory");
        let around = root.path().join("user.slice/app.slice");
        fs::create_dir_all(&around).expect("made");
        fs::write(around.join("memory.events"), "oom 9\noom_kill 4\n").expect("written");
        let killed = |groups: &str, before| {
            has_killed(root.path(), Some(groups), "ccc-a-1.scope", Some("user.slice/app.slice"), before)
        };
        for groups in ["0::/user.slice/app.slice/ccc-a-1.scope (deleted)\n", "0::/user.slice/app.slice/ccc-a-1.scope\n"]
        {
            assert!(killed(groups, Some(3)), "{groups}");
            assert!(!killed(groups, Some(4)), "{groups}: the count is older");
            assert!(!killed(groups, None), "{groups}: not known");
        }
        assert!(!killed("0::/user.slice/app.slice\n", Some(3)), "it died before it was in its scope");
    }

    #[test]
    fn the_group_around_a_scope_is_found_by_its_name() {
        let around = |groups: &str| around_scope(groups, "ccc-a-1.scope");
        assert_eq!(around("3:x:/y\n0::/user.slice/ccc-a-1.scope\n").as_deref(), Some("user.slice"));
        assert_eq!(around("0::/init.scope\n"), None);
        assert_eq!(around("0::/xccc-a-1.scope\n"), None);
    }
}
