//! Where the settings of a run are looked for, and where its agent works. An agent with a worktree of its own works elsewhere than it
//! was asked for: its worktree lacks the files that are not committed, such as the project's configuration.

use std::path::{Path, PathBuf};

use crate::config::Project;
use crate::fleet::AgentRecord;
use crate::journal::RunDir;

/// The two places of a run.
#[derive(Debug, Clone)]
pub(super) struct RunPlaces {
    /// Where the project's configuration, the critic's prompt and files that the configuration names are looked for.
    pub(super) configured: Project,
    /// Where the agent's CLI starts, and so looks for its own settings.
    pub(super) works: Project,
    /// The directory in which the run was asked for, if it is gone. Then its settings are looked for where the agent works.
    pub(super) gone: Option<PathBuf>,
}

impl RunPlaces {
    /// Those of a run that is not an agent, or has not begun.
    pub(super) fn same(project: &Project) -> RunPlaces {
        RunPlaces { configured: project.clone(), works: project.clone(), gone: None }
    }

    /// Those of this run, which works in `cwd`.
    pub(super) fn of(run: &RunDir, cwd: &Path) -> RunPlaces {
        match AgentRecord::read(run).ok().flatten() {
            Some(record) => RunPlaces::between(record.configured_in(cwd), cwd),
            None => RunPlaces::same(&Project::find(cwd)),
        }
    }

    /// Those of a run that was asked for here and works there.
    pub(super) fn between(configured: PathBuf, works: &Path) -> RunPlaces {
        let works = Project::find(works);
        if configured.is_dir() {
            RunPlaces { configured: Project::find(&configured), works, gone: None }
        } else {
            RunPlaces { configured: works.clone(), works, gone: Some(configured) }
        }
    }
}
