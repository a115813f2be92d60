//! The listing of a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The contents of a tree. Paths are relative to its top.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Every file.
    pub(super) files: BTreeSet<PathBuf>,
    /// The directories in which a new file would appear.
    pub(super) directories: BTreeSet<PathBuf>,
    /// The repositories, each with a hash over its head and its index.
    pub(super) repositories: BTreeMap<PathBuf, u128>,
    /// The targets of the references, loose and packed, by the path of the loose file.
    pub(super) references: BTreeMap<PathBuf, String>,
    /// Git files that change with a head, an index or a reference; absolute if they are outside the tree.
    pub(super) state: BTreeSet<PathBuf>,
}
