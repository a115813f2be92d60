//! Whether there is room on this machine for one more agent.
//!
//! [`room`] gets what was measured and answers [`Room::Free`], or says in words and figures what the agent waits for.

use std::fmt;

/// How long after its start an agent's memory is not yet part of what is measured as used.
pub const YOUNG_MS: i64 = 30_000;
/// The memory that a new agent is expected to use: its CLI and the first tools.
pub const AGENT_BYTES: u64 = 512 << 20;

/// An amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// So many bytes.
    Bytes(u64),
    /// A share of the memory of the machine.
    Percent(u8),
}

impl Memory {
    /// In bytes, on a machine with this much memory; `None` for a share where that is not known.
    #[must_use]
    pub fn bytes_of(self, total_bytes: Option<u64>) -> Option<u64> {
        match self {
            Memory::Bytes(bytes) => Some(bytes),
            Memory::Percent(percent) => total_bytes.map(|total| total / 100 * u64::from(percent)),
        }
    }
}

/// What was measured on the machine. What the system does not report is `None`, and keeps nothing from starting.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// The memory that new programs can get without swapping.
    pub available_bytes: Option<u64>,
    /// The memory of the machine.
    pub total_bytes: Option<u64>,
    /// The share of the last 10 s in which some process waited for memory, in percent.
    pub memory_pressure: Option<f64>,
    /// The share of the last 10 s in which some process waited for a processor, in percent.
    pub cpu_pressure: Option<f64>,
}

/// The limits in force; `None` is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoomLimits {
    /// This much memory stays available beside the new agent.
    pub min_available: Option<Memory>,
    /// At this pressure on memory no agent is started.
    pub max_memory_pressure: Option<f64>,
    /// At this pressure on the processors no agent is started, while others run.
    pub max_cpu_pressure: Option<f64>,
    /// So many agents run at the same time.
    pub max_running: Option<u32>,
    /// What a new agent is expected to use.
    pub agent_bytes: u64,
}

impl Default for RoomLimits {
    fn default() -> RoomLimits {
        RoomLimits {
            min_available: Some(Memory::Percent(10)),
            max_memory_pressure: Some(20.0),
            max_cpu_pressure: Some(90.0),
            max_running: None,
            agent_bytes: AGENT_BYTES,
        }
    }
}

/// The facts about one more agent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RoomFacts {
    /// What was measured.
    pub load: Load,
    /// How many agents run or are being started.
    pub running: u32,
    /// How many of them have started so recently that their memory is not part of what was measured.
    pub young: u32,
    /// How many agents wait that came before it.
    pub before: u32,
}

/// Whether one more agent may start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Room {
    /// It may.
    Free,
    /// It waits.
    Wait(Shortage),
}

/// What an agent waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shortage {
    /// Others came before it.
    Before {
        /// How many.
        agents: u32,
    },
    /// As many agents run as may.
    Running {
        /// How many run.
        running: u32,
        /// How many may.
        limit: u32,
    },
    /// Too little memory is available.
    Memory {
        /// What is available.
        available_bytes: u64,
        /// What stays available beside it.
        kept_bytes: u64,
        /// What it and those that have just started are expected to use.
        agents_bytes: u64,
    },
    /// Processes wait for memory.
    MemoryPressure {
        /// The share of the time, in percent.
        percent: f64,
        /// The limit.
        limit: f64,
    },
    /// Processes wait for a processor.
    CpuPressure {
        /// The share of the time, in percent.
        percent: f64,
        /// The limit.
        limit: f64,
    },
}

/// Whether one more agent may start. Exactly at a limit of pressure counts as over it.
#[must_use]
pub fn room(facts: &RoomFacts, limits: &RoomLimits) -> Room {
    if facts.before > 0 {
        return Room::Wait(Shortage::Before { agents: facts.before });
    }
    let running = facts.running;
    if let Some(limit) = limits.max_running.filter(|limit| running >= *limit) {
        return Room::Wait(Shortage::Running { running, limit });
    }
    let load = &facts.load;
    let kept = limits.min_available.and_then(|memory| memory.bytes_of(load.total_bytes));
    if let Some((available_bytes, kept_bytes)) = load.available_bytes.zip(kept) {
        let agents_bytes = limits.agent_bytes.saturating_mul(u64::from(facts.young).saturating_add(1));
        if available_bytes < kept_bytes.saturating_add(agents_bytes) {
            return Room::Wait(Shortage::Memory { available_bytes, kept_bytes, agents_bytes });
        }
    }
    let over =
        |percent: Option<f64>, limit: Option<f64>| percent.zip(limit).filter(|(percent, limit)| percent >= limit);
    if let Some((percent, limit)) = over(load.memory_pressure, limits.max_memory_pressure) {
        return Room::Wait(Shortage::MemoryPressure { percent, limit });
    }
    // Without agents the load is of other programs, which may go on for ever, and share the processors with one agent well.
    if let Some((percent, limit)) = over(load.cpu_pressure, limits.max_cpu_pressure).filter(|_| running > 0) {
        return Room::Wait(Shortage::CpuPressure { percent, limit });
    }
    Room::Free
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortage::Before { agents: 1 } => write!(f, "1 other agent waits before it"),
            Shortage::Before { agents } => write!(f, "{agents} other agents wait before it"),
            Shortage::Running { running: 1, limit } => write!(f, "1 agent runs, and agent.max_running is {limit}"),
            Shortage::Running { running, limit } => {
                write!(f, "{running} agents run, and agent.max_running is {limit}")
            }
            Shortage::Memory { available_bytes, kept_bytes, agents_bytes } => write!(
                f,
                "{} of memory are available; {} are needed for agents that start, and {} stay free \
                 (admission.min_available_memory)",
                Size(*available_bytes),
                Size(*agents_bytes),
                Size(*kept_bytes)
            ),
            Shortage::MemoryPressure { percent, limit } => write!(
                f,
                "processes wait for memory {percent:.0} % of the time, and admission.max_memory_pressure is {limit:.0}"
            ),
            Shortage::CpuPressure { percent, limit } => write!(
                f,
                "processes wait for a processor {percent:.0} % of the time, and admission.max_cpu_pressure is {limit:.0}"
            ),
        }
    }
}

/// A number of bytes for the user.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: u64 = 1 << 20;
        let tenths = |unit: u64| (self.0 / (unit / 1024)).saturating_mul(10) / 1024;
        let (unit, name) = if self.0 < 1024 * MIB { (MIB, "MiB") } else { (1024 * MIB, "GiB") };
        let tenths = tenths(unit);
        if tenths % 10 == 0 {
            write!(f, "{} {name}", tenths / 10)
        } else {
            write!(f, "{}.{} {name}", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    /// 8 GiB, of which 4 are available, without pressure.
    fn facts() -> RoomFacts {
        let load = Load {
            available_bytes: Some(4 * GIB),
            total_bytes: Some(8 * GIB),
            memory_pressure: Some(0.0),
            cpu_pressure: Some(0.0),
        };
        RoomFacts { load, running: 3, young: 0, before: 0 }
    }

    fn with(change: impl FnOnce(&mut RoomFacts)) -> RoomFacts {
        let mut facts = facts();
        change(&mut facts);
        facts
    }

    fn said(facts: &RoomFacts, limits: &RoomLimits) -> String {
        match room(facts, limits) {
            Room::Free => String::new(),
            Room::Wait(shortage) => shortage.to_string(),
        }
    }

    #[test]
    fn an_agent_starts_while_memory_and_load_allow_it_and_else_the_figures_are_said() {
        let limits = RoomLimits { max_running: Some(4), ..RoomLimits::default() };
        let table = [
            (with(|_| {}), ""),
            (with(|facts| facts.before = 1), "1 other agent waits before it"),
            (with(|facts| facts.before = 2), "2 other agents wait before it"),
            (with(|facts| facts.running = 4), "4 agents run, and agent.max_running is 4"),
            (with(|facts| facts.load.available_bytes = Some(8 * GIB / 100 * 10 + AGENT_BYTES)), ""),
            (
                with(|facts| facts.load.available_bytes = Some(GIB)),
                "1 GiB of memory are available; 512 MiB are needed for agents that start, and 819.1 MiB stay free \
                 (admission.min_available_memory)",
            ),
            (with(|facts| facts.young = 5), ""),
            (
                with(|facts| facts.young = 7),
                "4 GiB of memory are available; 4 GiB are needed for agents that start, and 819.1 MiB stay free \
                 (admission.min_available_memory)",
            ),
            (with(|facts| facts.load.memory_pressure = Some(19.9)), ""),
            (
                with(|facts| facts.load.memory_pressure = Some(20.0)),
                "processes wait for memory 20 % of the time, and admission.max_memory_pressure is 20",
            ),
            (
                with(|facts| facts.load.cpu_pressure = Some(97.4)),
                "processes wait for a processor 97 % of the time, and admission.max_cpu_pressure is 90",
            ),
            // No agent makes that load.
            (
                with(|facts| {
                    facts.load.cpu_pressure = Some(97.4);
                    facts.running = 0;
                }),
                "",
            ),
            // What is not measured keeps nothing.
            (with(|facts| facts.load = Load::default()), ""),
            (with(|facts| facts.load.total_bytes = None), ""),
        ];
        for (facts, expected) in table {
            assert_eq!(said(&facts, &limits), expected, "{facts:?}");
        }
    }

    #[test]
    fn each_limit_can_be_switched_off() {
        let none = RoomLimits {
            min_available: None,
            max_memory_pressure: None,
            max_cpu_pressure: None,
            max_running: None,
            agent_bytes: AGENT_BYTES,
        };
        let load = Load {
            available_bytes: Some(0),
            total_bytes: Some(GIB),
            memory_pressure: Some(100.0),
            cpu_pressure: Some(100.0),
        };
        let full = RoomFacts { load, running: 1_000, young: 1_000, before: 0 };
        assert_eq!(room(&full, &none), Room::Free);
        for limits in [
            RoomLimits { min_available: Some(Memory::Bytes(1)), ..none },
            RoomLimits { min_available: Some(Memory::Percent(1)), ..none },
            RoomLimits { max_memory_pressure: Some(100.0), ..none },
            RoomLimits { max_cpu_pressure: Some(100.0), ..none },
            RoomLimits { max_running: Some(1_000), ..none },
        ] {
            assert!(matches!(room(&full, &limits), Room::Wait(_)), "{limits:?}");
        }
    }

    #[test]
    fn sizes_are_rounded_down_to_a_tenth() {
        for (bytes, said) in [
            (0, "0 MiB"),
            (512 << 20, "512 MiB"),
            (GIB - 1, "1023.9 MiB"),
            (GIB, "1 GiB"),
            (GIB * 3 / 2, "1.5 GiB"),
            (u64::MAX, "17179869183.9 GiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), said);
        }
    }
}
