//! The load of the machine: its memory, and the pressure that the kernel measures (PSI).

use crate::process::system::machine::MachineLoad;

/// More than the files have.
const MEMINFO_BYTES: usize = 8 * 1024;
const PRESSURE_BYTES: usize = 512;

/// Measures the load: reads three files of the kernel.
#[must_use]
pub fn machine_load() -> MachineLoad {
    let mut buffer = [0; MEMINFO_BYTES];
    let meminfo = super::read_once("/proc/meminfo", &mut buffer).and_then(|text| std::str::from_utf8(text).ok());
    let (available_bytes, total_bytes) = meminfo.map_or((None, None), memory);
    MachineLoad {
        available_bytes,
        total_bytes,
        memory_pressure: pressure("/proc/pressure/memory"),
        cpu_pressure: pressure("/proc/pressure/cpu"),
    }
}

fn pressure(path: &str) -> Option<f64> {
    let mut buffer = [0; PRESSURE_BYTES];
    // A kernel with `psi=0` has the files, and refuses to read them.
    some_avg10(std::str::from_utf8(super::read_once(path, &mut buffer)?).ok()?)
}

/// What is available, and the total.
fn memory(meminfo: &str) -> (Option<u64>, Option<u64>) {
    let bytes = |name: &str| {
        let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    };
    (bytes("MemAvailable"), bytes("MemTotal"))
}

/// The share of the last 10 s in which some process waited, in percent.
fn some_avg10(pressure: &str) -> Option<f64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    let percent: f64 = some.split_ascii_whitespace().find_map(|field| field.strip_prefix("avg10="))?.parse().ok()?;
    Some(percent).filter(|percent| percent.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read_and_what_is_missing_is_not_known() {
        let meminfo = "MemTotal:       24684096 kB\nMemFree:         4463312 kB\nMemAvailable:    6797060 kB\n";
        assert_eq!(memory(meminfo), (Some(6_797_060 * 1024), Some(24_684_096 * 1024)));
        assert_eq!(memory("MemTotal: 1 kB\n"), (None, Some(1024)));
        assert_eq!(memory("MemAvailable: many kB\nMemTotal: 1\n"), (None, None));
        let cpu = "some avg10=4.46 avg60=4.97 avg300=12.69 total=18619423507\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(some_avg10(cpu), Some(4.46));
        for text in ["", "full avg10=1.00\n", "some avg60=1.00\n", "some avg10=NaN\n", "some avg10=x\n"] {
            assert_eq!(some_avg10(text), None, "{text}");
        }
        let load = machine_load();
        assert!(load.available_bytes.is_some() && load.available_bytes <= load.total_bytes, "{load:?}");
    }
}
