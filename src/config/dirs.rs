use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use super::env::{CCC_CONFIG_DIR, CCC_STATE_DIR, Env};
use crate::agent::AgentKind;

/// The user's directories. All paths are absolute unless a variable gives a relative one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// The user's home directory.
    pub home: PathBuf,
    /// Holds `ccc.json`.
    pub config: PathBuf,
    /// Holds `runs/` and the state that all ccc processes of the user share.
    pub state: PathBuf,
    /// Claude Code's own directory: `~/.claude`, or the value of `CLAUDE_CONFIG_DIR` (facts §9).
    pub claude: PathBuf,
}

impl Dirs {
    /// The directories of this process's user, with the overrides of `env`; `None` when there is no home directory.
    #[must_use]
    pub fn of_process(env: &Env) -> Option<Self> {
        let base = BaseDirs::new()?;
        let project = ProjectDirs::from("", "", "ccc")?;
        // Only Linux has a separate state directory; elsewhere state belongs in the local data directory.
        let state = project.state_dir().unwrap_or_else(|| project.data_local_dir());
        Some(Self::new(base.home_dir(), project.config_dir(), state, env))
    }

    /// The given directories, with the overrides of `env`.
    #[must_use]
    pub fn new(home: &Path, config: &Path, state: &Path, env: &Env) -> Self {
        let or = |name: &str, default: &Path| env.get(name).map_or_else(|| default.to_path_buf(), PathBuf::from);
        Self {
            home: home.to_path_buf(),
            config: or(CCC_CONFIG_DIR, config),
            state: or(CCC_STATE_DIR, state),
            claude: of_agent(AgentKind::CLAUDE_CODE, home, env),
        }
    }

    /// The own directory of this agent's CLI.
    #[must_use]
    pub fn of_agent(&self, agent: AgentKind, env: &Env) -> PathBuf {
        of_agent(agent, &self.home, env)
    }

    /// The user's configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("ccc.json")
    }

    /// The configuration file of the older ccc, next to the agent's own settings. It does not depend on
    /// `CLAUDE_CONFIG_DIR`, because the older ccc ignored that too.
    #[must_use]
    pub fn claude_config_file(&self) -> PathBuf {
        self.home.join(".claude").join("ccc.json")
    }
}

fn of_agent(agent: AgentKind, home: &Path, env: &Env) -> PathBuf {
    let cli = agent.installation();
    env.get(cli.dir_variable).map_or_else(|| home.join(cli.dir), PathBuf::from)
}
