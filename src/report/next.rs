//! How the user goes on after a run, and takes it back: the exact commands.

use super::model::{Report, RunState, Step};
use super::text::Washer;
use crate::core::shell::quoted;
use crate::journal::RunKind;

/// Where the work of a run lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a worktree of the agent's own, on a branch of its own.
    Agent {
        /// The agent's name.
        name: String,
    },
    /// In a repository, with checkpoints.
    Checkpoints {
        /// The first one's number.
        first: u64,
    },
    /// In a repository.
    Repository,
    /// In a directory that is in no repository, or is gone.
    Elsewhere,
}

impl Report {
    /// Adds the commands. `resume` continues the run, `talk` its session without ccc.
    pub fn add_steps(&mut self, id: &str, resume: Option<&str>, talk: Option<&str>, place: &Place, washer: &Washer) {
        let step = |does: &str, command: &str| Step { does: washer.text(does), command: washer.text(command) };
        let quoted_id = quoted(id);
        let mut go_on = Vec::new();
        match self.state {
            RunState::Running => go_on.push(step("Attach to it:", &format!("ccc attach {quoted_id}"))),
            RunState::Ended | RunState::Broken => {}
        }
        if let Some(resume) = resume {
            go_on.push(step("Continue it:", resume));
        }
        if self.run.kind == RunKind::Agent {
            go_on.extend(to_look(id, place).into_iter().map(|(does, command)| step(does, &command)));
        }
        if let Some(talk) = talk {
            go_on.push(step("Talk to the agent, in its own session and without ccc:", talk));
        }
        go_on.push(step("See why each decision was made:", &format!("ccc explain {quoted_id}")));
        go_on.push(step("See everything that was said and done:", &format!("ccc replay {quoted_id}")));
        self.go_on = go_on;
        if self.run.kind == RunKind::Agent {
            let cwd = quoted(self.run.cwd.as_str());
            self.undo = undo(id, &cwd, place).into_iter().map(|(does, command)| step(does, &command)).collect();
        }
    }
}

/// How the work is looked at, and taken over.
fn to_look(id: &str, place: &Place) -> Vec<(&'static str, String)> {
    match place {
        Place::Agent { name } => {
            let name = quoted(name);
            vec![
                ("See what it changed, on its own branch:", format!("ccc diff {name}")),
                ("Take the work into the branch that it began from:", format!("ccc merge {name}")),
            ]
        }
        Place::Checkpoints { .. } => vec![("See what has changed since the run began:", place.diff(id))],
        Place::Repository | Place::Elsewhere => Vec::new(),
    }
}

impl Place {
    /// The command that shows what a run has changed since it began.
    fn diff(&self, id: &str) -> String {
        match self {
            Place::Agent { name } => format!("ccc diff {}", quoted(name)),
            Place::Checkpoints { .. } => format!("ccc diff {}", quoted(id)),
            Place::Repository | Place::Elsewhere => String::new(),
        }
    }

    /// The commands that a run's end names: what has changed, and the files as they were before; `None` where there are none.
    #[must_use]
    pub fn in_short(&self, id: &str) -> (Option<String>, Option<String>) {
        match self {
            Place::Agent { .. } => (Some(self.diff(id)), None),
            Place::Checkpoints { first } => (Some(self.diff(id)), Some(format!("ccc restore {} {first}", quoted(id)))),
            Place::Repository | Place::Elsewhere => (None, None),
        }
    }
}

/// What each command that takes the work back does, and the command.
fn undo(id: &str, cwd: &str, place: &Place) -> Vec<(&'static str, String)> {
    match place {
        Place::Agent { name } => vec![(
            "Remove the agent and its working tree; what is not merged stays on its branch:",
            format!("ccc kill {}", quoted(name)),
        )],
        Place::Checkpoints { first } => {
            let id = quoted(id);
            vec![
                (
                    "Make the files what they were before the run; what is there is kept first:",
                    format!("ccc restore {id} {first}"),
                ),
                ("Or what they were at another stop, by its number in this list:", format!("ccc checkpoints {id}")),
            ]
        }
        Place::Repository => vec![
            (
                "No checkpoint was kept. See what is not committed; changes of your own from before are among it:",
                format!("git -C {cwd} status"),
            ),
            (
                "Put all of it aside (git stash pop brings it back):",
                format!("git -C {cwd} stash push --include-untracked"),
            ),
        ],
        Place::Elsewhere => vec![(
            "The directory is in no git repository, so there is nothing that the changes could be taken back with.",
            String::new(),
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands of a place, those to go on and those to take it back.
    fn commands(place: &Place) -> (String, String) {
        let told = |steps: &[(&str, String)]| steps.iter().map(|(_, it)| it.as_str()).collect::<Vec<_>>().join("; ");
        (told(&to_look("r1", place)), told(&undo("r1", "/p", place)))
    }

    #[test]
    fn a_merge_goes_on_and_a_restore_takes_back() {
        let agent = Place::Agent { name: "login".to_owned() };
        assert_eq!(commands(&agent), ("ccc diff login; ccc merge login".to_owned(), "ccc kill login".to_owned()));
        let kept = Place::Checkpoints { first: 1 };
        assert_eq!(commands(&kept), ("ccc diff r1".to_owned(), "ccc restore r1 1; ccc checkpoints r1".to_owned()));
        assert_eq!(kept.in_short("r1"), (Some("ccc diff r1".to_owned()), Some("ccc restore r1 1".to_owned())));
        assert_eq!(agent.in_short("r1"), (Some("ccc diff login".to_owned()), None));
        assert_eq!(Place::Elsewhere.in_short("r1"), (None, None));
        assert!(commands(&Place::Repository).1.contains("git -C /p stash push"));
    }
}
