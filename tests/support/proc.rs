//! Other processes as seen in `/proc`.

use procfs::process::{Process, all_processes};

/// The processes that `parent` started and that have not ended.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let processes = all_processes().expect("/proc is there").flatten();
    let stats = processes.filter_map(|process| process.stat().ok());
    let own = stats.filter(|stat| stat.ppid == parent.cast_signed() && stat.state != 'Z');
    own.map(|stat| stat.pid.cast_unsigned()).collect()
}

/// The child of `parent` that runs as this subcommand or program.
pub(crate) fn child_called(parent: u32, name: &str) -> Option<u32> {
    let is_called = |pid: &u32| {
        let words = command_line(*pid);
        // Not its folder, which may have any name.
        let program = words.first().and_then(|path| path.rsplit('/').next());
        let program = program.is_some_and(|program| program.contains(name));
        program || words.get(1).is_some_and(|word| word == name)
    };
    children_of(parent).into_iter().find(is_called)
}

/// The words a process was started with, as every user can read them.
pub(crate) fn command_line(pid: u32) -> Vec<String> {
    let process = Process::new(pid.cast_signed());
    process.and_then(|process| process.cmdline()).unwrap_or_default()
}

/// `true` if a process exists and has not ended.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = Process::new(pid.cast_signed()).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.state != 'Z')
}

/// Most memory that a process has had, in bytes.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|text| text.trim().strip_suffix(" kB"));
    kilobytes.and_then(|text| text.trim().parse::<u64>().ok()).expect("a number") * 1_024
}
