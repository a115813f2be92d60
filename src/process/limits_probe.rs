//! Which limits can be kept here, found out by trying them.

use std::ffi::OsString;
use std::path::Path;

use super::scope::{By, Limiter, NoScope, Scope, ScopeLimits};
use super::system::{self, EachLimits, GroupPlace, Walls};

/// A single process must be allowed this much, in bytes. Below it the current and the previous CLI end at their start at some limits,
/// because of what they reserve, and not at others (measured: up to 1.7 GiB).
const LEAST_OF_A_PROCESS: u64 = 2 << 30;

/// How the limits are kept, and which are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limiting {
    /// How; `None` if none is kept.
    pub by: Option<Limiter>,
    /// What is not kept.
    pub lacking: Option<Lacking>,
}

/// Limits that are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// That on memory.
    pub memory: bool,
    /// That on memory, for all processes together: it is kept for each by itself.
    pub memory_together: bool,
    /// That on processes.
    pub tasks: bool,
    /// Why.
    pub why: String,
}

impl Limiting {
    /// Finds out how these limits can be kept for children behind these walls. Blocks until systemd has answered.
    #[must_use]
    pub fn find(limits: ScopeLimits, env: &[(OsString, OsString)], cwd: &Path, walls: Option<&Walls>) -> Limiting {
        if limits.is_none() {
            return Limiting { by: None, lacking: None };
        }
        let without = match Scope::find(limits, env, cwd) {
            Ok(scope) => return Limiting::whole(By::Scope(scope)),
            Err(why) => why,
        };
        match GroupPlace::find(limits) {
            Some(place) => Limiting::whole(By::Group(place)),
            None => Limiting::of_each(limits, &without, system::LIMITS_EACH, || {
                walls.is_some_and(|walls| system::counts_tasks_behind(walls, cwd))
            }),
        }
    }

    fn whole(by: By) -> Limiting {
        Limiting { by: Some(Limiter(by)), lacking: None }
    }

    fn of_each(
        limits: ScopeLimits,
        without: &NoScope,
        is_for_each: bool,
        counts_tasks: impl FnOnce() -> bool,
    ) -> Limiting {
        let ScopeLimits { memory_max_bytes: memory, tasks_max: tasks } = limits;
        let data_bytes = memory.filter(|bytes| is_for_each && *bytes >= LEAST_OF_A_PROCESS);
        let counted = tasks.filter(|_| is_for_each && counts_tasks());
        let each = EachLimits { data_bytes, tasks: counted.map(u64::from) };
        let mut why = without.to_string();
        if data_bytes.is_some() {
            why.push_str("; each process by itself is limited");
        } else if memory.is_some() && is_for_each {
            why.push_str("; with 2G or more, each process by itself would be limited");
        }
        let lacking = Lacking {
            memory: memory.is_some() && data_bytes.is_none(),
            memory_together: data_bytes.is_some(),
            tasks: tasks.is_some() && counted.is_none(),
            why,
        };
        let is_any = lacking.memory || lacking.memory_together || lacking.tasks;
        Limiting {
            by: (each != EachLimits::default()).then_some(Limiter(By::Each(each))),
            lacking: is_any.then_some(lacking),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Limited;

    fn of_each(memory_max_bytes: Option<u64>, tasks_max: Option<u32>, counts: bool) -> Limiting {
        Limiting::of_each(ScopeLimits { memory_max_bytes, tasks_max }, &NoScope::NoProgram, true, || counts)
    }

    fn by(limiting: &Limiting) -> Option<EachLimits> {
        match &limiting.by.as_ref()?.0 {
            By::Each(limits) => Some(*limits),
            By::Scope(_) | By::Group(_) => panic!("{limiting:?}"),
        }
    }

    #[test]
    fn without_control_groups_memory_is_limited_for_each_process_and_processes_where_they_are_counted() {
        let four = of_each(Some(4 << 30), Some(64), true);
        assert_eq!(by(&four), Some(EachLimits { data_bytes: Some(4 << 30), tasks: Some(64) }));
        let lacking = four.lacking.expect("not for all together");
        assert!(lacking.memory_together && !lacking.memory && !lacking.tasks);
        assert_eq!(lacking.why, "there is no systemd-run; each process by itself is limited");

        let uncounted = of_each(Some(4 << 30), Some(64), false);
        assert_eq!(by(&uncounted), Some(EachLimits { data_bytes: Some(4 << 30), tasks: None }));
        assert!(uncounted.lacking.expect("it is not limited").tasks);

        let tasks = of_each(None, Some(64), true);
        assert_eq!((by(&tasks), tasks.lacking), (Some(EachLimits { data_bytes: None, tasks: Some(64) }), None));
    }

    #[test]
    fn a_limit_at_which_the_cli_might_not_start_is_not_set() {
        let little = of_each(Some(LEAST_OF_A_PROCESS - 1), None, true);
        assert_eq!(little.by, None);
        let lacking = little.lacking.expect("it is not limited");
        assert!(
            lacking.memory
                && !lacking.memory_together
                && lacking.why.ends_with("each process by itself would be limited")
        );
        assert!(of_each(Some(LEAST_OF_A_PROCESS), None, true).by.is_some());
    }

    /// The kernel counts root's processes and never refuses one.
    #[test]
    fn processes_behind_walls_are_counted_apart_for_others_than_root() {
        let Some(means) = Some(crate::process::Means::find()).filter(|means| means.wall.is_some()) else {
            eprintln!("NOT TESTED: there are no walls");
            return;
        };
        let counted = system::counts_tasks_behind(&Walls::default(), Path::new("/"));
        assert_eq!(counted, means.mounts && !rustix::process::geteuid().is_root());
    }

    #[test]
    fn the_number_of_processes_is_limited_only_behind_walls() {
        let by = Limiter(By::Each(EachLimits { data_bytes: Some(4 << 30), tasks: Some(64) }));
        let limited = Limited { by, name: "run-1-1".to_owned() };
        let is_counted =
            |has_walls| limited.inside(has_walls).expect("no group is made").is_some_and(|it| it.is_counted());
        assert!(is_counted(true) && !is_counted(false));
    }

    #[test]
    fn a_system_without_such_limits_keeps_none() {
        let limits = ScopeLimits { memory_max_bytes: Some(4 << 30), tasks_max: Some(64) };
        let none = Limiting::of_each(limits, &NoScope::NoProgram, false, || panic!("not asked"));
        assert_eq!(none.by, None);
        assert_eq!(none.lacking.expect("none is kept").why, "there is no systemd-run");
    }
}
