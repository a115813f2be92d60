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
        let mut go_on = Vec::new();
        let quoted_id = quoted(id);
        match self.state {
            RunState::Running => go_on.push(step("Attach to it:", &format!("ccc attach {quoted_id}"))),
            RunState::Ended | RunState::Broken => {}
        }
        if let Some(resume) = resume {
            go_on.push(step("Continue it:", resume));
        }
        if let Some(talk) = talk {
            go_on.push(step("Talk to the agent, in its own session and without ccc:", talk));
        }
        go_on.push(step("See why each decision was made:", &format!("ccc explain {quoted_id}")));
        go_on.push(step("See everything that was said and done:", &format!("ccc replay {quoted_id}")));
        self.go_on = go_on;
        if self.run.kind == RunKind::Agent {
            let cwd = quoted(self.run.cwd.as_str());
            self.undo = undo(id, &cwd, place).into_iter().map(|(does, command)| step(&does, &command)).collect();
        }
    }
}

/// What each command does, and the command.
fn undo(id: &str, cwd: &str, place: &Place) -> Vec<(String, String)> {
    let own = |does: &str, command: String| (does.to_owned(), command);
    match place {
        Place::Agent { name } => {
            let name = quoted(name);
            vec![
                own("The work is on a branch of its own. See what it changed:", format!("ccc diff {name}")),
                own("Take it into the branch that it began from:", format!("ccc merge {name}")),
                own("Or remove the agent; what is not merged stays on its branch:", format!("ccc kill {name}")),
            ]
        }
        Place::Checkpoints { first } => vec![
            own("See what has changed since the run began:", format!("ccc diff {id}")),
            own(
                "Make the files what they were before the run; what is there is kept first:",
                format!("ccc restore {id} {first}"),
            ),
        ],
        Place::Repository => vec![
            own(
                "No checkpoint was kept. See what is not committed; changes of your own from before are among it:",
                format!("git -C {cwd} status"),
            ),
            own(
                "Put all of it aside (git stash pop brings it back):",
                format!("git -C {cwd} stash push --include-untracked"),
            ),
        ],
        Place::Elsewhere => vec![own(
            "The directory is in no git repository, so there is nothing that the changes could be taken back with.",
            String::new(),
        )],
    }
}
