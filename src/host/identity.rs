//! The machine as a reader of a report knows it: name, CPU, kernel and memory.

use std::fs::File;
use std::io::Read as _;

/// Bytes that are read of a file of /proc. The whole of /proc/cpuinfo takes long on a machine of many CPUs.
const MOST_READ: u64 = 4_096;
/// Names of the line with the model in /proc/cpuinfo: of x86, of ARM and of POWER.
const MODEL: [&str; 3] = ["model name", "Model", "cpu"];

/// Description of this machine. A `None` cannot be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostFacts {
    /// Name of the host.
    pub(crate) name: Option<String>,
    /// Model of the CPUs.
    pub(crate) cpu_model: Option<String>,
    /// Name and release of the kernel.
    pub(crate) kernel: Option<String>,
    /// Memory in bytes.
    pub(crate) memory_bytes: Option<u64>,
}

impl HostFacts {
    /// Reads them from /proc.
    pub(crate) fn read() -> Self {
        let kind = begin_of("/proc/sys/kernel/ostype");
        let release = begin_of("/proc/sys/kernel/osrelease");
        Self {
            name: begin_of("/proc/sys/kernel/hostname"),
            cpu_model: begin_of("/proc/cpuinfo").and_then(|text| model_in(&text)),
            kernel: kind.zip(release).map(|(kind, release)| format!("{kind} {release}")),
            memory_bytes: begin_of("/proc/meminfo").and_then(|text| memory_in(&text)),
        }
    }
}

/// The begin of a file without white space around it; `None` if there is none.
fn begin_of(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MOST_READ).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The model in the text of /proc/cpuinfo.
fn model_in(text: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, model) = lines.find(|(key, _)| MODEL.contains(&key.trim()))?;
    let words: Vec<_> = model.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The memory in the text of /proc/meminfo.
fn memory_in(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        let x86 = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel\t\t: 1\nmodel name\t: AMD  EPYC 7B13\n";
        assert_eq!(model_in(x86).as_deref(), Some("AMD EPYC 7B13"));
        let arm = "processor\t: 0\nBogoMIPS\t: 108.00\n\nModel\t\t: Raspberry Pi 4 Model B\n";
        assert_eq!(model_in(arm).as_deref(), Some("Raspberry Pi 4 Model B"));
        assert_eq!(model_in("processor\t: 0\nmodel name\t:\n"), None);
        assert_eq!(
            memory_in("MemTotal:        8131072 kB\nMemFree: 1 kB\n"),
            Some(8_131_072 * 1_024)
        );
        assert_eq!(memory_in("MemTotal: many kB\n"), None);
    }

    #[test]
    fn this_machine_has_a_kernel_and_memory() {
        let facts = HostFacts::read();
        assert!(facts.kernel.is_some_and(|kernel| kernel.starts_with("Linux ")));
        assert!(facts.memory_bytes.is_some_and(|bytes| bytes > 1 << 20));
    }
}
