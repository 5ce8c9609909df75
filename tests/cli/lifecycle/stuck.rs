//! Readers of a report that do not read: the run can be ended, and the other outputs are written.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::process::Signal;

use crate::support::{
    Act, OK, Process, Target, eventually, fill_pipe, loadgen, matches_schema, signal_to,
};

/// Waits for a whole report.
fn await_report(file: &Path) {
    let read = || serde_json::from_slice(&fs::read(file).ok()?).ok();
    matches_schema(&eventually("the report", read), "report.schema.json");
}

#[test]
fn a_reader_of_stdout_that_does_not_read_stops_neither_files_nor_signals() {
    let target = Target::always(Act::Say(OK));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("r.json");
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    fill_pipe(&writer);
    let mut command = loadgen(&format!("{} -n 20 -o {}", target.url(), file.display()));
    command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::null());
    let mut run = command.spawn().expect("it starts");
    await_report(&file);
    signal_to(run.id(), Signal::INT);
    let status = eventually("its end", || run.try_wait().expect("an own child"));
    assert_eq!(status.code(), Some(130));
    await_report(&file);
}

#[test]
fn a_reader_of_a_named_pipe_that_does_not_read_stops_neither_the_others_nor_signals() {
    let target = Target::always(Act::Say(OK));
    let folder = tempfile::tempdir().expect("a folder");
    let (pipe, file) = (folder.path().join("r.html"), folder.path().join("r.json"));
    let made = Command::new("mkfifo").arg(&pipe).status().expect("coreutils");
    assert!(made.success());
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let _reader =
        OpenOptions::new().read(true).custom_flags(flags).open(&pipe).expect("a named pipe");
    fill_pipe(OpenOptions::new().write(true).open(&pipe).expect("a named pipe"));
    let outputs = format!("-o {} -o {}", pipe.display(), file.display());
    let command = format!("{} -n 20 {outputs}", target.url());
    let mut run = Process::start("loadgen", &mut loadgen(&command));
    run.await_line(|line| line.starts_with("RESULT").then_some(()));
    await_report(&file);
    run.signal(Signal::INT);
    let finished = run.finish();
    assert_eq!(finished.code, Some(130), "{finished:?}");
    assert!(finished.stderr.contains("did not take the whole report"), "{finished:?}");
}
