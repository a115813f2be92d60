//! The project's settings for the agent's CLI that need the user's agreement, and which of them have it.

use std::path::{Path, PathBuf};

use super::ConsentStore;
use crate::agent::AgentKind;
use crate::config::{Consents, Dirs, Env, Project, Wish};
use crate::tokens::{MANAGED_SETTINGS, ProjectWishes, SettingsPlaces, UnsafeFile, wishes_of_project, wishes_of_user};
use crate::ui::clean;

/// How many characters of an objection are shown. The bound exists because the objection has names from the project's
/// files.
const OBJECTION_CHARS: usize = 1_000;

/// The project's settings for the agent's CLI, under one state of the user's agreement. They are checked before a run,
/// and again before the start of each process that reads them, because an agent may have changed them.
#[derive(Debug, Clone)]
pub struct SettingsOfAgent {
    agent: AgentKind,
    dirs: Dirs,
    cwd: PathBuf,
    root: PathBuf,
    argument: Option<String>,
    sources: Option<Vec<String>>,
    managed: PathBuf,
    env: Env,
    consents: Consents,
    /// What the user's own file asked for then. The agent can write it, and so choose who answers for the critic.
    users: ProjectWishes,
}

/// What the settings ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskedFor {
    /// What the user has agreed to.
    pub agreed: Vec<Wish>,
    /// What the user has not agreed to.
    pub not_agreed: Vec<Wish>,
    /// Files that may ask for anything.
    pub unreadable: Vec<UnsafeFile>,
}

impl SettingsOfAgent {
    /// The settings for this agent in this project, with the user's `--settings` and `--setting-sources`. The user's
    /// agreement is read now, so that what an agent later writes into the state directory is no agreement.
    #[must_use]
    pub fn new(
        agent: AgentKind,
        project: &Project,
        dirs: &Dirs,
        env: &Env,
        argument: Option<String>,
        sources: Option<Vec<String>>,
    ) -> Self {
        let mut settings = Self {
            agent,
            dirs: dirs.clone(),
            cwd: project.cwd.clone(),
            root: project.root().to_owned(),
            argument,
            sources,
            managed: PathBuf::from(MANAGED_SETTINGS),
            env: env.clone(),
            consents: ConsentStore::new(&dirs.state).of(project.root()),
            users: ProjectWishes::default(),
        };
        settings.users = settings.of_user();
        settings
    }

    fn places(&self) -> SettingsPlaces<'_> {
        SettingsPlaces {
            dirs: &self.dirs,
            cwd: &self.cwd,
            argument: self.argument.as_deref(),
            sources: self.sources.as_deref(),
            managed: &self.managed,
        }
    }

    /// What the user's own file asks for now.
    fn of_user(&self) -> ProjectWishes {
        if self.agent.installation().settings_files { wishes_of_user(self.places()) } else { ProjectWishes::default() }
    }

    /// What the settings ask for now.
    #[must_use]
    pub fn look(&self) -> AskedFor {
        if !self.agent.installation().settings_files {
            return AskedFor::default();
        }
        let found = wishes_of_project(self.places(), &self.root, &self.env);
        let (agreed, not_agreed) = found.wishes.into_iter().partition(|wish| self.consents.cover(wish));
        AskedFor { agreed, not_agreed, unreadable: found.unreadable }
    }

    /// Why nothing that reads the settings may be started now; `None` when there is no objection.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        let asked = self.look();
        let text = match asked.unreadable.first() {
            Some(file) => unreadable(file, &self.root),
            None if asked.not_agreed.is_empty() => self.changed_of_user()?,
            None => format!("you have not agreed to {}", named(&asked.not_agreed)),
        };
        Some(clean::one_line(&text, OBJECTION_CHARS))
    }

    /// What the user's own file asks for now and did not when the run began, or the other way round.
    #[must_use]
    pub fn changed_of_user(&self) -> Option<String> {
        let now = self.of_user();
        if let Some(file) = now.unreadable.first().filter(|_| now.unreadable != self.users.unreadable) {
            return Some(unreadable(file, &self.dirs.home));
        }
        let before = &self.users.wishes;
        let new = now.wishes.iter().filter(|wish| !before.contains(wish));
        let gone = before.iter().filter(|wish| now.wishes.iter().all(|other| other.key != wish.key));
        let changed: Vec<Wish> = new.chain(gone).cloned().collect();
        let is_any = !changed.is_empty();
        is_any.then(|| format!("{} in your home directory was changed since ccc began with this run", named(&changed)))
    }
}

/// What is wrong with a settings file that may ask for anything.
#[must_use]
pub fn unreadable(file: &UnsafeFile, root: &Path) -> String {
    let name = file.path.strip_prefix(root).unwrap_or(&file.path).display();
    format!("the agent's settings file {name} {}, so it may ask for anything", file.why)
}

/// The settings with their files, such as `checks and agent.path of .ccc.json`.
#[must_use]
pub fn named(wishes: &[Wish]) -> String {
    let mut files: Vec<(&str, Vec<&str>)> = Vec::new();
    for wish in wishes {
        match files.iter_mut().find(|(name, _)| *name == wish.name) {
            Some((_, keys)) => keys.push(&wish.key),
            None => files.push((&wish.name, vec![&wish.key])),
        }
    }
    let parts = files.into_iter().map(|(name, keys)| format!("{} of {name}", listed(&keys)));
    clean::one_line(&parts.collect::<Vec<_>>().join(", and "), usize::MAX)
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
