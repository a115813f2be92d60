//! The files that several running agents change.

use std::collections::{BTreeMap, BTreeSet};

use super::super::clean;

/// How many files and agents are named.
const FILES_SHOWN: usize = 3;
const AGENTS_SHOWN: usize = 4;

/// A file that several running agents change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFile {
    /// Its path in the repository.
    pub file: String,
    /// The runs of these agents.
    pub agents: Vec<String>,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    files: Vec<SharedFile>,
    agents: BTreeSet<String>,
}

impl Shared {
    pub(super) fn of(files: Vec<SharedFile>) -> Shared {
        let agents = files.iter().flat_map(|file| file.agents.iter().cloned()).collect();
        Shared { files, agents }
    }

    /// How many agents share a file with another one.
    pub(super) fn count(&self) -> usize {
        self.agents.len()
    }

    pub(super) fn has(&self, agent: &str) -> bool {
        self.agents.contains(agent)
    }

    /// Which files this agent shares with which others, in one line; `None` if it shares none.
    pub(super) fn told(&self, agent: &str, name_of: impl Fn(&str) -> String) -> Option<String> {
        let mut by_other: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for shared in self.files.iter().filter(|shared| shared.agents.iter().any(|id| id == agent)) {
            for other in shared.agents.iter().filter(|other| *other != agent) {
                by_other.entry(other).or_default().push(&shared.file);
            }
        }
        let others = by_other.len();
        let mut parts: Vec<String> = by_other
            .into_iter()
            .take(AGENTS_SHOWN)
            .map(|(other, files)| {
                let mut names: Vec<String> =
                    files.iter().take(FILES_SHOWN).map(|file| clean::one_line(file, 200)).collect();
                if files.len() > FILES_SHOWN {
                    names.push(format!("and {} more", files.len() - FILES_SHOWN));
                }
                format!("{}: {}", clean::one_line(&name_of(other), 40), names.join(", "))
            })
            .collect();
        if others > AGENTS_SHOWN {
            parts.push(format!("and {} more agents", others - AGENTS_SHOWN));
        }
        (others > 0).then(|| format!("changes the same files as {}", parts.join(" · ")))
    }
}
