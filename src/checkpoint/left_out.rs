//! What is not in a checkpoint.

use std::fmt;
use std::path::PathBuf;

/// A path that is not in a checkpoint as it lies in the working tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The path, relative to the top of the tree.
    pub path: PathBuf,
    /// Why it is left out.
    pub why: LeftOutWhy,
}

/// Why a path is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOutWhy {
    /// The file is larger than the limit.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// A FIFO, a socket or a device: there is no content.
    Special,
    /// A git repository that is no submodule.
    Repository,
    /// The file cannot be read.
    Unreadable,
}

impl LeftOutWhy {
    /// Whether content is lost if only the checkpoint is kept.
    #[must_use]
    pub fn has_content(self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::Repository | Self::Unreadable => true,
            Self::Special => false,
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.why {
            LeftOutWhy::TooLarge { bytes } => write!(f, "{path} ({} MiB)", bytes.div_ceil(1024 * 1024)),
            LeftOutWhy::Special => write!(f, "{path} (not a file)"),
            LeftOutWhy::Repository => write!(f, "{path} (a repository of its own)"),
            LeftOutWhy::Unreadable => write!(f, "{path} (cannot be read)"),
        }
    }
}
