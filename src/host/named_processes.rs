//! Processes that a user names: their CPU time and memory are measured although the run did not start them.

use std::fmt;

use procfs::process::{Process, all_processes};

use super::resources::{Component, ProcessId};

/// A component whose processes are named by a number or a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedProcess {
    /// Name of the component in the report.
    pub(crate) component: String,
    pub(crate) process: ProcessName,
}

/// Name of one process or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProcessName {
    /// Number of a process.
    Pid(u32),
    /// Name of a program: every process of it.
    Program(String),
}

/// Writes it as it is typed.
impl fmt::Display for NamedProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            ProcessName::Pid(pid) => write!(f, "{}={pid}", self.component),
            ProcessName::Program(name) => write!(f, "{}=name:{name}", self.component),
        }
    }
}

/// Reason for which named processes cannot be measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NamedProcessError {
    #[error(
        "--process {0}: there is no such process that this user can see; is it running on this machine, and in this \
         container?"
    )]
    NoPid(NamedProcess),
    #[error(
        "--process {0}: no process of this name; it is compared with the command name (ps -o comm), with the file \
         name of the program, and with the script of node, python, java and the like. Is it running on this machine, and in this container?"
    )]
    NoProgram(NamedProcess),
    #[error("--process {name}: process {pid} belongs to '{component}' already; name it once")]
    Twice { name: NamedProcess, pid: u32, component: String },
}

/// Programs whose processes are known by the file that they run: `node worker.js`.
const INTERPRETERS: [&str; 13] = [
    "node", "nodejs", "deno", "bun", "python", "ruby", "perl", "php", "java", "dotnet", "bash",
    "sh", "uwsgi",
];

/// Finds the processes. Those of one component are measured together.
pub(crate) fn find_processes(names: &[NamedProcess]) -> Result<Vec<Component>, NamedProcessError> {
    let mut found: Vec<Component> = Vec::new();
    for name in names {
        for process in processes_of(name)? {
            let holder = found
                .iter()
                .find(|component| component.processes.iter().any(|known| known.pid == process.pid));
            if let Some(holder) = holder {
                let (pid, component) = (process.pid, holder.name.to_string());
                return Err(NamedProcessError::Twice { name: name.clone(), pid, component });
            }
            match found.iter_mut().find(|component| *component.name == *name.component) {
                Some(component) => component.processes.push(process),
                None => found.push(Component {
                    name: name.component.as_str().into(),
                    processes: vec![process],
                    threads: None,
                }),
            }
        }
    }
    Ok(found)
}

fn processes_of(name: &NamedProcess) -> Result<Vec<ProcessId>, NamedProcessError> {
    match &name.process {
        ProcessName::Pid(pid) => {
            let found = Process::new(pid.cast_signed()).ok().and_then(|process| id_of(&process));
            found.map(|id| vec![id]).ok_or_else(|| NamedProcessError::NoPid(name.clone()))
        }
        ProcessName::Program(program) => {
            let all = all_processes().into_iter().flatten().flatten();
            let of_program = all.filter(|process| is_of_program(process, program));
            let mut found: Vec<_> = of_program.filter_map(|process| id_of(&process)).collect();
            found.retain(|id| id.pid != std::process::id());
            found.sort_by_key(|id| id.pid);
            if found.is_empty() {
                return Err(NamedProcessError::NoProgram(name.clone()));
            }
            Ok(found)
        }
    }
}

/// Identity of a process that has not ended.
fn id_of(process: &Process) -> Option<ProcessId> {
    let stat = process.stat().ok().filter(|stat| stat.state != 'Z')?;
    Some(ProcessId { pid: stat.pid.cast_unsigned(), started: Some(stat.starttime) })
}

fn is_of_program(process: &Process, program: &str) -> bool {
    let has_command_name = process.stat().is_ok_and(|stat| stat.comm == program);
    has_command_name
        || process.cmdline().is_ok_and(|words| {
            let mut files = words.iter().map(|word| word.rsplit('/').next().unwrap_or(word));
            let Some(executable) = files.next() else { return false };
            executable == program
                || INTERPRETERS.iter().any(|name| is_version_of(executable, name))
                    && files.any(|file| file == program)
        })
}

/// Returns true if a file is a program, or a version of it: `python3.11` of `python`.
fn is_version_of(file: &str, program: &str) -> bool {
    let version = file.strip_prefix(program);
    version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A process that is ended with the test.
    struct Sleeper(Child);

    impl Sleeper {
        /// Starts it with this first argument.
        fn start(name: &str) -> Self {
            use std::os::unix::process::CommandExt as _;
            let child = Command::new("sleep").arg0(name).arg("600").spawn();
            Self(child.expect("sleep is installed"))
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn named(component: &str, process: ProcessName) -> NamedProcess {
        NamedProcess { component: component.to_owned(), process }
    }

    #[test]
    fn a_script_is_found_by_its_name_and_an_editor_of_it_is_not() {
        assert!(is_version_of("python3.11", "python") && is_version_of("node", "node"));
        assert!(!is_version_of("nodemon", "node") && !is_version_of("vim", "sh"));
        let script = format!("loadgen-test-{}.py", std::process::id());
        let code = "import sys, time; sys.stdin.readline()";
        let python = Command::new("python3")
            .args(["-c", code, &format!("/srv/{script}")])
            .stdin(std::process::Stdio::piped())
            .spawn();
        let python = Sleeper(python.expect("python3 is installed"));
        let reader = Command::new("tail").args(["-f", "/dev/null", "--", &script]).spawn();
        let _reader = Sleeper(reader.expect("tail is installed"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let found = loop {
            match find_processes(&[program("push", &script)]) {
                Ok(found) => break found,
                Err(error) if std::time::Instant::now() > deadline => panic!("{error}"),
                Err(_) => std::thread::yield_now(),
            }
        };
        let pids: Vec<_> = found[0].processes.iter().map(|id| id.pid).collect();
        assert_eq!(pids, [python.0.id()]);
    }

    fn program(component: &str, name: &str) -> NamedProcess {
        named(component, ProcessName::Program(name.to_owned()))
    }

    #[test]
    fn processes_are_found_by_number_and_by_name() {
        let name = format!("loadgen-test-{}", std::process::id());
        let (one, two) = (Sleeper::start(&format!("/a folder/{name}")), Sleeper::start(&name));
        let mut pids = [one.0.id(), two.0.id()];
        pids.sort_unstable();
        // Until the program is executed, the child has the name of this process.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let found = loop {
            match find_processes(&[program("push", &name)]) {
                Ok(found) if found[0].processes.len() == 2 => break found,
                _ if std::time::Instant::now() > deadline => panic!("they are not found"),
                _ => std::thread::yield_now(),
            }
        };
        assert_eq!((found.len(), &*found[0].name), (1, "push"));
        assert_eq!(found[0].processes.iter().map(|id| id.pid).collect::<Vec<_>>(), pids);
        assert!(found[0].processes.iter().all(|id| id.started.is_some()));
        let both = pids.map(|pid| named("api", ProcessName::Pid(pid)));
        let found = find_processes(&both).expect("both run");
        assert_eq!((found.len(), found[0].processes.len()), (1, 2));
        let twice = [named("api", ProcessName::Pid(pids[0])), program("push", &name)];
        let error = find_processes(&twice).expect_err("twice").to_string();
        assert!(error.contains("belongs to 'api' already"), "{error}");
    }

    #[test]
    fn a_process_that_is_not_there_is_told_as_it_was_named() {
        let absent = program("push", "no such program");
        let error = find_processes(std::slice::from_ref(&absent)).expect_err("none").to_string();
        assert!(error.starts_with("--process push=name:no such program: no process"), "{error}");
        let absent = named("api", ProcessName::Pid(u32::MAX >> 2));
        let error = find_processes(std::slice::from_ref(&absent)).expect_err("none").to_string();
        assert!(error.starts_with("--process api=1073741823: there is no such process"), "{error}");
    }
}
