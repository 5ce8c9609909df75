//! Files that are replaced as a whole: a draft in the same folder is written, synced and renamed. A crash leaves the old
//! file or the new one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::is_special;

/// Bytes written to test an output file; more than a report needs.
const RESERVE: usize = 1 << 20;
/// Most symbolic links that are followed one after another, as in Linux.
const MOST_LINKS: usize = 40;
/// Mode of a new file, which the umask reduces.
const NEW_MODE: u32 = 0o666;
/// Mode of a draft until it gets that of the file that it replaces.
const PRIVATE_MODE: u32 = 0o600;

/// Replaces a file by a new one with its mode and, where the system allows it, its owner and group.
pub(in crate::cli) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let old = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
    let mut draft = draft_of(path, if old.is_some() { PRIVATE_MODE } else { NEW_MODE })?;
    draft.write_all(content)?;
    if let Some(old) = old {
        take_access(draft.as_file(), &old)?;
    }
    draft.as_file().sync_all()?;
    draft.persist(path)?;
    sync_folder(path)
}

/// Writes a file that must not exist yet.
pub(in crate::cli) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut draft = draft_of(path, NEW_MODE)?;
    draft.write_all(content)?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path)?;
    sync_folder(path)
}

/// Tries whether [`replace`] will be able to write this file, with 1 MiB.
pub(super) fn try_replace(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if is_special(path) {
        // Do not open it: a reader would take the close for the end of the report.
        return Ok(());
    }
    // An existing file must be writable.
    if path.exists() {
        OpenOptions::new().write(true).open(path)?;
    }
    let mut draft = draft_of(path, PRIVATE_MODE)?;
    draft.write_all(&vec![0; RESERVE])?;
    draft.as_file().sync_all()?;
    draft.close()
}

/// The file that a symbolic link leads to, which may not exist yet. The rename would replace the link.
pub(in crate::cli) fn link_target(path: &Path) -> PathBuf {
    if !path.is_symlink() {
        return path.to_owned();
    }
    if let Ok(target) = fs::canonicalize(path) {
        return target;
    }
    // A pipe behind /proc/self/fd has no path of its own.
    if path.exists() {
        return path.to_owned();
    }
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(next) = fs::read_link(&target) else { break };
        target = folder_of(&target).join(next);
    }
    target
}

/// An empty file with a random name in the same folder, so that the rename stays on one file system. It is created
/// by `O_EXCL`, which follows no link, and removed when it is dropped.
fn draft_of(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".part")
        .rand_bytes(12)
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder_of(path))
}

/// Gives a draft the owner, group and mode of the file that it replaces. Where the group cannot be kept, it gets no
/// rights, since they were meant for another one.
fn take_access(draft: &File, old: &fs::Metadata) -> io::Result<()> {
    // Only root may give a file away.
    let _ = fchown(draft, Some(old.uid()), None);
    let _ = fchown(draft, None, Some(old.gid()));
    let has_group = draft.metadata()?.gid() == old.gid();
    let rights = if has_group { 0o777 } else { 0o707 };
    draft.set_permissions(Permissions::from_mode(old.mode() & rights))
}

fn folder_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Makes a rename last over a crash. Not every file system can sync a folder, and not every folder can be read.
fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(folder_of(path)).and_then(|folder| folder.sync_all()) {
        Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("r.json");
        fs::write(&file, "old").expect("a file");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("a mode");
        // Root may give it away; others keep what they have.
        let _ = std::os::unix::fs::chown(&file, Some(65_534), Some(65_534));
        let old = fs::metadata(&file).expect("a file");
        replace(&file, b"new").expect("it is replaced");
        let new = fs::metadata(&file).expect("a file");
        assert_eq!(fs::read(&file).expect("a file"), b"new");
        assert_eq!((new.mode(), new.uid(), new.gid()), (old.mode(), old.uid(), old.gid()));
        assert_ne!(new.ino(), old.ino(), "it was replaced as a whole");
        assert_eq!(names(folder.path()), ["r.json"]);
    }

    #[test]
    fn a_link_leads_to_its_file_also_before_that_exists() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("data")).expect("a folder");
        let link = folder.path().join("r.json");
        symlink("data/today.json", &link).expect("a link");
        let target = link_target(&link);
        assert_eq!(target, folder.path().join("data/today.json"));
        replace(&target, b"1").expect("it is written");
        assert!(link.is_symlink() && fs::read(&link).expect("a file") == b"1");
        assert_eq!(link_target(&link), fs::canonicalize(&target).expect("a file"));
        // A circle ends.
        symlink("b", folder.path().join("a")).expect("a link");
        symlink("a", folder.path().join("b")).expect("a link");
        assert!(try_replace(&link_target(&folder.path().join("a"))).is_ok());
    }

    #[test]
    fn a_link_planted_after_the_check_is_replaced_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, victim) = (folder.path().join("r.json"), folder.path().join("victim"));
        fs::write(&victim, "precious").expect("a file");
        symlink(&victim, &file).expect("a link");
        replace(&file, b"new").expect("it is written");
        assert!(write_new(&file, b"x").is_err_and(|e| e.kind() == io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&victim).expect("a file"), b"precious");
        assert!(!file.is_symlink());
    }
}
