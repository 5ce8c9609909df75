//! Processes to measure that the run does not start.

use super::{PipelinePlan, PlanError, Target, refuse};
use crate::host::named_processes::{NamedProcess, ProcessName};

/// Names of components that every run has.
const OWN: [&str; 2] = ["generator", "subscriber"];

/// Reads `--process`: `api=1234` or `push=name:PROGRAM`.
pub(super) fn processes(
    texts: &[String],
    target: &Target,
    pipeline: &PipelinePlan,
) -> Result<Vec<NamedProcess>, PlanError> {
    texts.iter().map(|text| process(text, target, pipeline)).collect()
}

fn process(
    text: &str,
    target: &Target,
    pipeline: &PipelinePlan,
) -> Result<NamedProcess, PlanError> {
    let example = "write NAME=PID, or NAME=name:PROGRAM";
    let Some((component, process)) = text.split_once('=') else {
        return refuse(format!("--process '{text}': {example}"));
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if component.is_empty() || !component.chars().all(is_plain) {
        return refuse(format!(
            "--process '{text}': the name of a component has letters, digits, - and _; {example}"
        ));
    }
    if is_own(component, target, pipeline) {
        return refuse(format!(
            "--process '{text}': this run has a component '{component}' of its own; use another name"
        ));
    }
    let process = match process.strip_prefix("name:") {
        Some("") => {
            return refuse(format!("--process '{text}': the program is missing; {example}"));
        }
        Some(program) => ProcessName::Program(program.to_owned()),
        None => match process.parse() {
            Ok(pid) if (1..=i32::MAX.cast_unsigned()).contains(&pid) => ProcessName::Pid(pid),
            _ => {
                return refuse(format!(
                    "--process '{text}': '{process}' is not the number of a process; {example}"
                ));
            }
        },
    };
    Ok(NamedProcess { component: component.to_owned(), process })
}

/// Returns true if a component that the run starts itself has this name.
fn is_own(component: &str, target: &Target, pipeline: &PipelinePlan) -> bool {
    let starts = *target == Target::Pipeline;
    match component {
        "api" | "push" => starts,
        "redis" | "queue" => starts && pipeline.redis.is_none(),
        "mosquitto" | "broker" => starts && pipeline.mqtt.is_none(),
        _ => OWN.contains(&component),
    }
}

#[cfg(all(test, feature = "pipeline"))]
mod tests {
    use crate::config::plan::Plan;
    use crate::config::settings::Settings;

    fn plan(url: Option<&str>, process: &str) -> Result<String, String> {
        let plan = Plan::new(Settings {
            url: url.map(str::to_owned),
            processes: vec![process.to_owned()],
            ..Settings::default()
        });
        let plan = plan.map_err(|error| error.to_string())?;
        Ok(plan.processes.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn a_process_is_a_number_or_the_name_of_a_program() {
        let url = Some("http://h/");
        for text in ["api=1234", "push=name:go-pushserver", "api-2=name:my server"] {
            assert_eq!(plan(url, text).as_deref(), Ok(text));
        }
        assert_eq!(plan(None, "database=1").as_deref(), Ok("database=1"));
        for (url, text, part) in [
            (url, "1234", "write NAME=PID, or NAME=name:PROGRAM"),
            (url, "=1234", "the name of a component has letters"),
            (url, "a.b=1", "the name of a component has letters"),
            (url, "api=0", "'0' is not the number of a process"),
            (url, "api=go-api", "'go-api' is not the number of a process; write NAME=PID"),
            (url, "api=name:", "the program is missing"),
            (url, "generator=1", "this run has a component 'generator' of its own"),
            (None, "api=1", "this run has a component 'api' of its own"),
            (None, "mosquitto=name:mosquitto", "of its own; use another name"),
        ] {
            let error = plan(url, text).expect_err(text);
            assert!(error.contains(part) && error.contains("--process"), "{text}: {error}");
        }
    }
}
