//! Running agents that change the same files: their work will meet in a conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Context, agent_tree};
use crate::fleet::Agent;

/// Of more running agents in one repository the files are not compared: git is asked about each.
const COMPARED_AT_MOST: usize = 16;

/// Two running agents that change the same files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlap {
    /// The ids of both.
    pub(super) ids: [String; 2],
    /// Their names.
    pub(super) names: [String; 2],
    /// The files, relative to the top of the repository.
    pub(super) files: Vec<PathBuf>,
}

/// The overlaps between these agents, of those that are active and have worktrees of one repository.
pub(super) fn overlaps<'a>(agents: impl Iterator<Item = &'a Agent>, context: &Context) -> Vec<Overlap> {
    let mut of_repository: BTreeMap<&PathBuf, Vec<&Agent>> = BTreeMap::new();
    for agent in agents.filter(|agent| agent.state.is_active()) {
        if let Some(tree) = &agent.record.tree {
            of_repository.entry(&tree.common_dir).or_default().push(agent);
        }
    }
    let mut found = Vec::new();
    for agents in of_repository.into_values().filter(|agents| (2..=COMPARED_AT_MOST).contains(&agents.len())) {
        // What git cannot say now is compared the next time.
        let files: Vec<(&Agent, BTreeSet<PathBuf>)> = std::thread::scope(|scope| {
            let asked: Vec<_> = agents
                .iter()
                .map(|agent| {
                    (*agent, scope.spawn(|| agent_tree::changed_files(&agent.record, context).unwrap_or_default()))
                })
                .collect();
            asked.into_iter().map(|(agent, files)| (agent, files.join().unwrap_or_default())).collect()
        });
        for (at, (one, ones)) in files.iter().enumerate() {
            for (other, others) in files.iter().skip(at + 1) {
                found.extend(overlap([one, other], [ones, others]));
            }
        }
    }
    found
}

fn overlap(agents: [&Agent; 2], files: [&BTreeSet<PathBuf>; 2]) -> Option<Overlap> {
    let [ones, others] = files;
    let both: Vec<PathBuf> = ones.intersection(others).cloned().collect();
    (!both.is_empty()).then(|| Overlap {
        ids: agents.map(|agent| agent.record.id.clone()),
        names: agents.map(|agent| agent.record.name.clone()),
        files: both,
    })
}
