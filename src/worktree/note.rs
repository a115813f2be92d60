//! What the user should know about a new working tree.

use std::fmt;
use std::path::PathBuf;

/// How many names a note shows.
const SHOWN: usize = 10;

/// What the user should know about a new working tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Files of the user's tree that have uncommitted changes, which the agent does not see.
    NotInBase {
        /// The files.
        files: Vec<PathBuf>,
    },
    /// Files are as they are stored, because these filters are programs.
    FiltersOff {
        /// The filters, each with the number of its files.
        filters: Vec<(String, usize)>,
    },
    /// Files of Git LFS whose content is not in the repository's own store.
    LfsMissing {
        /// How many.
        files: usize,
        /// The working tree.
        tree: PathBuf,
    },
    /// Submodules that cannot be cloned without the network.
    SubmodulesMissing {
        /// Their paths.
        paths: Vec<PathBuf>,
        /// The working tree.
        tree: PathBuf,
    },
    /// Listed ignored files that were not copied.
    NotCopied {
        /// The files, each with the reason.
        files: Vec<(PathBuf, String)>,
    },
    /// Directories that were not cloned.
    NotCloned {
        /// The directories, each with the reason.
        dirs: Vec<(PathBuf, String)>,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInBase { files } => {
                write!(f, "not committed, so not in the agent's worktree: {}", named(files))?;
                // What the agent's ccc reads is read where the agent was asked for.
                let are_settings = |path: &PathBuf| path.file_name().is_some_and(|name| name == ".ccc.json");
                if files.iter().any(are_settings) {
                    write!(f, " (the settings of .ccc.json count all the same)")
                } else {
                    Ok(())
                }
            }
            Self::FiltersOff { filters } => {
                let names: Vec<String> =
                    filters.iter().map(|(name, files)| format!("{name} ({files} files)")).collect();
                write!(f, "files of these filters are as they are stored: {}", names.join(", "))
            }
            Self::LfsMissing { files, tree } => {
                let tree = tree.display();
                write!(f, "{files} files of Git LFS are pointers; to fetch them: git -C {tree} lfs pull")
            }
            Self::SubmodulesMissing { paths, tree } => {
                let tree = tree.display();
                write!(f, "not checked out: {}; to fetch: git -C {tree} submodule update --init", named(paths))
            }
            Self::NotCopied { files } => write!(f, "not copied: {}", with_reasons(files)),
            Self::NotCloned { dirs } => write!(f, "not cloned: {}", with_reasons(dirs)),
        }
    }
}

fn named(paths: &[PathBuf]) -> String {
    listed(paths, |path| path.display().to_string())
}

fn with_reasons(paths: &[(PathBuf, String)]) -> String {
    listed(paths, |(path, why)| format!("{} ({why})", path.display()))
}

fn listed<T>(items: &[T], told: impl Fn(&T) -> String) -> String {
    let mut told: Vec<String> = items.iter().take(SHOWN).map(told).collect();
    if items.len() > SHOWN {
        told.push(format!("and {} more", items.len() - SHOWN));
    }
    told.join(", ")
}
