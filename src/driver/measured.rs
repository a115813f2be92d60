use std::sync::Arc;

use super::tree::Snapshot;
use crate::process::LeftRunning;

/// A measurement of the tree, and the processes that the agent had left running when it began.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) left: LeftRunning,
}
