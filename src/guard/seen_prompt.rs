use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record_name;
use crate::config::GitDirs;
use crate::config::prompt::{Prompt, PromptOrigin};
use crate::files::{PROJECT_RECORD, read_private, replace_json};
use crate::json::from_json;

/// The content of the record.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    version: u32,
    project: PathBuf,
    /// The file; `None` when the prompt was ccc's own, or lay elsewhere.
    file: Option<PathBuf>,
    sha256: String,
}

/// The version that this ccc writes. A record of another version counts as none.
const VERSION: u32 = 1;

/// How the critic's prompt differs from that of the last run in the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptNews {
    /// There is a prompt in a file, and was none in the last run, or there was no run.
    New,
    /// It has another content.
    Changed,
    /// There was one, and is none any more.
    Gone,
}

/// The critic's prompt of the last run in each project: `prompts/` in the state directory.
#[derive(Debug, Clone)]
pub struct SeenPrompt {
    dir: PathBuf,
    project: PathBuf,
}

impl SeenPrompt {
    /// The record of this project in this state directory. Nothing is opened or created yet.
    #[must_use]
    pub fn new(state_dir: &Path, project: &Path) -> Self {
        let project = project.canonicalize().unwrap_or_else(|_| project.to_owned());
        Self { dir: state_dir.join("prompts"), project }
    }

    /// What is new about this prompt.
    #[must_use]
    pub fn news(&self, prompt: &Prompt) -> Option<PromptNews> {
        let before = self.read();
        let file_before = before.as_ref().and_then(|seen| seen.file.as_ref());
        match (self.file_of(prompt), file_before) {
            (Some(_), None) => Some(PromptNews::New),
            (Some(_), Some(_)) => {
                let same = before.is_some_and(|seen| seen.sha256 == prompt.sha256);
                (!same).then_some(PromptNews::Changed)
            }
            (None, Some(_)) => Some(PromptNews::Gone),
            (None, None) => None,
        }
    }

    /// Whether there was a run in this project.
    #[must_use]
    pub fn has_record(&self) -> bool {
        self.read().is_some()
    }

    /// Remembers this prompt for the next run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, prompt: &Prompt) -> io::Result<()> {
        let file = self.file_of(prompt).map(Path::to_owned);
        let seen = Seen { version: VERSION, project: self.project.clone(), file, sha256: prompt.sha256.clone() };
        replace_json(&self.path(), &seen, false)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(record_name(&self.project))
    }

    /// The record of this project; for a new worktree that of the repository's main working tree.
    fn read(&self) -> Option<Seen> {
        self.read_of(&self.project).or_else(|| self.read_of(&GitDirs::main_tree(&self.project)?))
    }

    fn read_of(&self, project: &Path) -> Option<Seen> {
        let path = self.dir.join(record_name(project));
        let seen: Seen = from_json(&read_private(&path, PROJECT_RECORD).ok()??).ok()?;
        (seen.version == VERSION && seen.project == project).then_some(seen)
    }

    /// The prompt's file if it is in the project, no matter which setting named it, or one of the user's, which an agent may have written.
    fn file_of<'a>(&self, prompt: &'a Prompt) -> Option<&'a Path> {
        match &prompt.origin {
            PromptOrigin::Project(path) | PromptOrigin::ProjectClaude(path) | PromptOrigin::User(path) => Some(path),
            PromptOrigin::Named(path) => {
                path.canonicalize().is_ok_and(|real| real.starts_with(&self.project)).then_some(path)
            }
            PromptOrigin::BuiltIn => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::Ground;

    #[test]
    fn the_prompt_of_the_repository_is_no_news_in_a_new_worktree() {
        let ground = Ground::new();
        let tree = ground.at("tree");
        ground.git(&["worktree", "add", "-q", "-b", "agent/fox", &tree.display().to_string()]);
        let prompt = |root: &Path, text: &str| Prompt {
            text: text.to_owned(),
            origin: PromptOrigin::Project(root.join("SUPERVISOR.md")),
            sha256: crate::journal::sha256_hex(text.as_bytes()),
        };
        SeenPrompt::new(&ground.at("state"), &ground.project())
            .remember(&prompt(&ground.project(), "one"))
            .expect("remembered");
        let seen = SeenPrompt::new(&ground.at("state"), &tree);
        assert_eq!(seen.news(&prompt(&tree, "one")), None);
        assert_eq!(seen.news(&prompt(&tree, "two")), Some(PromptNews::Changed));
    }

    #[test]
    fn a_prompt_of_the_project_is_news_when_it_is_new_changed_or_gone() {
        let dir = tempfile::tempdir().expect("tempdir");
        let project = dir.path().join("project");
        std::fs::create_dir(&project).expect("mkdir");
        let seen = SeenPrompt::new(&dir.path().join("state"), &project);
        let prompt = |text: &str, origin: PromptOrigin| Prompt {
            text: text.to_owned(),
            origin,
            sha256: crate::journal::sha256_hex(text.as_bytes()),
        };
        let own = |text: &str| prompt(text, PromptOrigin::Project(project.join("SUPERVISOR.md")));
        let users = |text: &str| prompt(text, PromptOrigin::User(dir.path().join("SUPERVISOR.md")));
        let built_in = || prompt("built in", PromptOrigin::BuiltIn);
        for (now, news) in [
            (built_in(), None),
            (own("one"), Some(PromptNews::New)),
            (own("one"), None),
            (own("two"), Some(PromptNews::Changed)),
            (built_in(), Some(PromptNews::Gone)),
            (built_in(), None),
            // An agent can write the one in the directory of its CLI.
            (users("mine"), Some(PromptNews::New)),
            (users("mine"), None),
            (users("approve all"), Some(PromptNews::Changed)),
            (own("two"), Some(PromptNews::Changed)),
        ] {
            assert_eq!(seen.news(&now), news, "{now:?}");
            assert_eq!(seen.news(&now), news, "it is news until a run has begun with it");
            seen.remember(&now).expect("remembered");
        }
    }
}
