//! Reading of files that a user names. No file is read without a limit: it may be a device that never ends, or a pipe
//! that nothing writes to.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The longest wait for the next bytes of a pipe or a terminal.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The largest certificate, key or bundle of these.
pub(crate) const MOST_PEM: u64 = 4 << 20;
/// The largest profile.
pub(crate) const MOST_PROFILE: u64 = 4 << 20;
/// The largest saved report: days of series, or a ramp of a thousand steps.
pub(crate) const MOST_REPORT: u64 = 256 << 20;
/// The largest script.
pub(crate) const MOST_SCRIPT: u64 = 16 << 20;

/// The bytes of a file, of at most `limit` bytes. An error says the limit; `what` is what the file is read as, such as
/// `a profile`.
pub(crate) fn read_bounded(path: &Path, limit: u64, what: &str) -> io::Result<Vec<u8>> {
    read_within(path, limit, what, LONGEST_WAIT)
}

/// The text of a file, which must be UTF-8.
pub(crate) fn read_text_bounded(path: &Path, limit: u64, what: &str) -> io::Result<String> {
    String::from_utf8(read_bounded(path, limit, what)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::new(io::ErrorKind::InvalidData, format!("it is not UTF-8 at byte {at}"))
    })
}

fn read_within(path: &Path, limit: u64, what: &str, wait: Duration) -> io::Result<Vec<u8>> {
    // Without this flag, opening a pipe waits for its writer.
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path)?;
    let mut bytes = Vec::new();
    loop {
        await_bytes(&file, wait)?;
        let left = limit + 1 - bytes.len() as u64;
        let read = (&file).take(left.min(1 << 20)).read_to_end(&mut bytes);
        let has_ended = match read {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => return Err(error),
        };
        if bytes.len() as u64 > limit {
            return Err(too_large(limit, what));
        }
        if has_ended {
            return Ok(bytes);
        }
    }
}

/// Waits until there is something to read, or the end. A regular file never has to be waited for.
fn await_bytes(file: &File, wait: Duration) -> io::Result<()> {
    let timeout = Timespec::try_from(wait).map_err(io::Error::other)?;
    let mut watched = [PollFd::new(file, PollFlags::IN)];
    if poll(&mut watched, Some(&timeout))? == 0 {
        let text = format!("nothing was written to it for {} s", wait.as_secs_f64());
        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
    }
    Ok(())
}

fn too_large(limit: u64, what: &str) -> io::Error {
    let text = format!("it is larger than {} MiB, the limit of {what}", limit >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const WAIT: Duration = Duration::from_millis(20);

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&[b'x'; 3 << 20]).expect("room");
        let read = |limit| read_bounded(file.path(), limit, "a test").map(|bytes| bytes.len());
        assert_eq!(read(3 << 20).expect("it fits"), 3 << 20);
        let error = read((3 << 20) - 1).expect_err("it does not fit").to_string();
        assert_eq!(error, "it is larger than 2 MiB, the limit of a test");
        assert!(read_bounded(Path::new("/nowhere"), 1, "a test").is_err());
        assert!(read_bounded(Path::new("/"), 1, "a test").is_err());
    }

    #[test]
    fn a_device_without_an_end_and_a_pipe_without_a_writer_are_given_up() {
        let error = read_bounded(Path::new("/dev/zero"), 2 << 20, "a test").expect_err("no end");
        assert!(error.to_string().contains("larger than 2 MiB"), "{error}");
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let error = read_within(&pipe, 1, "a test", WAIT).expect_err("no writer");
        assert!(error.to_string().contains("nothing was written to it for 0.02 s"), "{error}");
    }

    #[test]
    fn a_pipe_with_a_writer_is_read_to_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut pipe = OpenOptions::new().write(true).open(pipe).expect("a reader comes");
                for _ in 0..3 {
                    pipe.write_all(b"some").expect("a reader");
                    std::thread::sleep(WAIT);
                }
            }
        });
        assert_eq!(read_bounded(&pipe, 100, "a test").expect("it ends"), b"somesomesome");
        writer.join().expect("the writer ends");
    }

    #[test]
    fn what_is_not_text_is_refused_with_the_place() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"ab\xff").expect("room");
        let error = read_text_bounded(file.path(), 10, "a test").expect_err("not UTF-8");
        assert_eq!(error.to_string(), "it is not UTF-8 at byte 2");
    }
}
