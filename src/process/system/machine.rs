/// The load of the machine. What the system does not report is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MachineLoad {
    /// The memory that new programs can get without swapping.
    pub available_bytes: Option<u64>,
    /// The memory of the machine.
    pub total_bytes: Option<u64>,
    /// The share of the last 10 s in which some process waited for memory, in percent.
    pub memory_pressure: Option<f64>,
    /// The share of the last 10 s in which some process waited for a processor, in percent.
    pub cpu_pressure: Option<f64>,
}
