//! Limits that the kernel keeps for each process by itself.

/// What one child may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::process) struct EachLimits {
    pub(in crate::process) data_bytes: Option<u64>,
    pub(in crate::process) tasks: Option<u64>,
}
