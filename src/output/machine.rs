//! The machine of a run and its labels, as one line each.

use crate::core::units::{format_memory, format_some};
use crate::report::{Generator, Report, Tool};

/// Most machines that are described one by one.
const MOST_MACHINES: usize = 4;

/// The machines of the run and the revision of loadgen; `None` in reports of versions that did not save them.
pub(super) fn machine(report: &Report) -> Option<String> {
    let merged = report.run.parts.as_ref().map_or(&[][..], |parts| parts.machines.as_slice());
    let single = report.generator.as_slice();
    let machines = if merged.is_empty() { single } else { merged };
    let mut known: Vec<String> = Vec::new();
    for machine in machines {
        let text = described(machine);
        known.extend(text.filter(|text| !known.contains(text)));
    }
    if known.len() > MOST_MACHINES {
        known = kinds(machines);
    }
    let revision = revision(&report.tool).map(|revision| format!("; {revision}"));
    (!known.is_empty()).then(|| known.join(" and ") + &revision.unwrap_or_default())
}

/// Machines that differ in their names only, as one: `40 machines: 2 CPUs, 8.00GiB`. The most frequent ones come first.
fn kinds(machines: &[Generator]) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for machine in machines {
        let facts = facts(machine);
        match counts.iter_mut().find(|(known, _)| *known == facts) {
            Some((_, count)) => *count += 1,
            None => counts.push((facts, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut texts = Vec::new();
    for (facts, count) in counts.iter().take(MOST_MACHINES) {
        texts.push(format!("{}: {facts}", format_some(*count as u64, "machine", "machines")));
    }
    if let Some(more) = counts.len().checked_sub(MOST_MACHINES).filter(|more| *more > 0) {
        texts.push(format_some(more as u64, "more kind", "more kinds"));
    }
    texts
}

/// The revision from which loadgen was built.
fn revision(tool: &Tool) -> Option<String> {
    let revision = tool.revision.as_ref()?;
    Some(format!("{} {}, revision {revision}", tool.name, tool.version))
}

/// Name and facts; `None` if neither is known.
fn described(machine: &Generator) -> Option<String> {
    let Generator { host, cpu_model, kernel, .. } = machine;
    if host.is_none() && cpu_model.is_none() && kernel.is_none() {
        return None;
    }
    let name = host.as_deref().map(|host| format!("{host}: ")).unwrap_or_default();
    Some(name + &facts(machine))
}

fn facts(machine: &Generator) -> String {
    let mut facts: Vec<String> = machine.cpu_model.iter().cloned().collect();
    facts.push(cpus(machine));
    facts.extend(machine.memory_bytes.map(|bytes| format_memory(bytes as f64)));
    facts.extend(machine.kernel.clone());
    facts.join(", ")
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

    #[test]
    fn many_machines_of_a_kind_are_one() {
        let mut report = report();
        let mut machines: Vec<_> = (0..40).map(|n| host(&format!("web-{n}"), 2)).collect();
        machines[7].available_cores = Some(1);
        let parts = crate::report::Parts { machines, ..crate::report::Parts::default() };
        report.run.parts = Some(parts);
        let facts = "8.00GiB, Linux 6.1.0";
        assert_eq!(
            machine(&report),
            Some(format!(
                "39 machines: AMD EPYC 7B13, 2 CPUs, {facts} and 1 machine: AMD EPYC 7B13, 1 of 2 CPUs, {facts}"
            ))
        );
        for (number, machine) in
            report.run.parts.iter_mut().flat_map(|p| &mut p.machines).enumerate()
        {
            machine.cores = 2 + number as u64;
        }
        let text = machine(&report).expect("machines");
        assert!(text.ends_with(" and 36 more kinds"), "{text}");
    }
}
