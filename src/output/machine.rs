//! The machine of a run and its labels, as one line each.

use crate::core::units::format_memory;
use crate::report::{Generator, Report, Tool};

/// The machines of the run and the revision of loadgen; `None` in reports of versions that did not save them.
pub(super) fn machine(report: &Report) -> Option<String> {
    let merged = report.run.parts.as_ref().map_or(&[][..], |parts| parts.machines.as_slice());
    let single = report.generator.as_slice();
    let mut known: Vec<String> = Vec::new();
    for machine in if merged.is_empty() { single } else { merged } {
        let text = described(machine);
        known.extend(text.filter(|text| !known.contains(text)));
    }
    let revision = revision(&report.tool).map(|revision| format!("; {revision}"));
    (!known.is_empty()).then(|| known.join(" and ") + &revision.unwrap_or_default())
}

/// The revision from which loadgen was built.
fn revision(tool: &Tool) -> Option<String> {
    let revision = tool.revision.as_ref()?;
    Some(format!("{} {}, revision {revision}", tool.name, tool.version))
}

fn described(machine: &Generator) -> Option<String> {
    let Generator { host, cpu_model, kernel, memory_bytes, .. } = machine;
    if host.is_none() && cpu_model.is_none() && kernel.is_none() {
        return None;
    }
    let mut facts: Vec<String> = cpu_model.iter().cloned().collect();
    facts.push(cpus(machine));
    facts.extend(memory_bytes.map(|bytes| format_memory(bytes as f64)));
    facts.extend(kernel.clone());
    let name = host.as_deref().map(|host| format!("{host}: ")).unwrap_or_default();
    Some(name + &facts.join(", "))
}

fn cpus(machine: &Generator) -> String {
    let noun = if machine.cores == 1 { "CPU" } else { "CPUs" };
    match machine.available_cores.filter(|available| *available < machine.cores) {
        Some(available) => format!("{available} of {} {noun}", machine.cores),
        None => format!("{} {noun}", machine.cores),
    }
}

/// The labels of the run; `None` without any.
pub(super) fn labels(report: &Report) -> Option<String> {
    let labels = &report.run.labels;
    let texts: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let text = include_str!("../../tests/data/run.json");
        Report::from_json(text).expect("a saved report")
    }

    fn host(name: &str, available: u64) -> Generator {
        Generator {
            host: Some(name.to_owned()),
            cpu_model: Some("AMD EPYC 7B13".to_owned()),
            kernel: Some("Linux 6.1.0".to_owned()),
            memory_bytes: Some(8 << 30),
            cores: 2,
            available_cores: Some(available),
            ..Generator::default()
        }
    }

    #[test]
    fn a_report_of_before_has_no_machine() {
        assert_eq!((machine(&report()), labels(&report())), (None, None));
    }

    #[test]
    fn the_machine_is_one_line_with_the_revision() {
        let mut report = report();
        report.generator = Some(host("one", 2));
        let plain = "one: AMD EPYC 7B13, 2 CPUs, 8.00GiB, Linux 6.1.0";
        assert_eq!(machine(&report).as_deref(), Some(plain));
        report.tool.revision = Some("1eb6622".to_owned());
        let whole = format!("{plain}; loadgen 0.1.0, revision 1eb6622");
        assert_eq!(machine(&report), Some(whole));
        report.run.labels = [("env", "ci"), ("commit", "a b")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        assert_eq!(labels(&report).as_deref(), Some("commit=a b, env=ci"));
    }

    #[test]
    fn a_merged_report_has_the_machines_of_all_nodes() {
        let mut report = report();
        report.generator = Some(Generator { cores: 4, ..Generator::default() });
        let machines = vec![host("one", 2), host("two", 1), host("one", 2)];
        report.run.parts =
            Some(crate::report::Parts { machines, ..crate::report::Parts::default() });
        let text = machine(&report).expect("two machines");
        assert!(text.starts_with("one: ") && text.contains(" and two: AMD EPYC 7B13, 1 of 2 CPUs"));
        assert_eq!(text.matches("one: ").count(), 1, "{text}");
    }
}
