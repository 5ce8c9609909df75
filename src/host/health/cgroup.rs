//! Throttling by a CPU quota, from `cpu.stat` of this process's cgroup and those above it, version 2 or 1.

use std::path::{Path, PathBuf};

use procfs::process::{MountInfo, Process};

use crate::core::clock::Nanos;

/// Counts of one `cpu.stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Throttling {
    pub(super) periods: u64,
    pub(super) throttled: u64,
    pub(super) time: Nanos,
}

/// The most throttled of the cgroups that this process is in: a quota above it counts for it as well.
/// Zero without a quota.
pub(super) fn own() -> Throttling {
    let files = Process::myself().ok().and_then(|own| {
        let mounts = own.mountinfo().ok()?.0;
        let groups = own.cgroups().ok()?.0;
        let folders = groups.iter().filter_map(|group| {
            let is_v2 = group.hierarchy == 0;
            if !is_v2 && !group.controllers.iter().any(|name| name == "cpu") {
                return None;
            }
            folder(&mounts, is_v2, &group.pathname)
        });
        Some(folders.flat_map(|(root, folder)| stat_files(&root, &folder)).collect::<Vec<_>>())
    });
    most_throttled(&files.unwrap_or_default())
}

/// The mounted root of a hierarchy, and the folder of a cgroup below it.
fn folder(mounts: &[MountInfo], is_v2: bool, group: &str) -> Option<(PathBuf, PathBuf)> {
    let mount = mounts.iter().find(|mount| match mount.fs_type.as_str() {
        "cgroup2" => is_v2,
        "cgroup" => !is_v2 && mount.super_options.contains_key("cpu"),
        _ => false,
    })?;
    // In a container the mount may show only a part of the hierarchy.
    let below = Path::new(group).strip_prefix(&mount.root).unwrap_or(Path::new(""));
    Some((mount.mount_point.clone(), mount.mount_point.join(below)))
}

/// `cpu.stat` of a folder and of all above it up to the root.
fn stat_files(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let above = folder.ancestors().take_while(|folder| folder.starts_with(root));
    above.map(|folder| folder.join("cpu.stat")).collect()
}

fn most_throttled(files: &[PathBuf]) -> Throttling {
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    texts.map(|text| parse(&text)).max_by_key(|stat| (stat.time, stat.periods)).unwrap_or_default()
}

/// Version 2 gives microseconds, version 1 nanoseconds under another name.
fn parse(text: &str) -> Throttling {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse::<u64>().ok())
    };
    let micros = value("throttled_usec").map(|micros| micros.saturating_mul(1_000));
    Throttling {
        periods: value("nr_periods").unwrap_or_default(),
        throttled: value("nr_throttled").unwrap_or_default(),
        time: Nanos(micros.or_else(|| value("throttled_time")).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let expected = Throttling { periods: 41, throttled: 40, time: Nanos(3_600_000_000) };
        let two = "usage_usec 9\nnr_periods 41\nnr_throttled 40\nthrottled_usec 3600000\n";
        assert_eq!(parse(two), expected);
        assert_eq!(parse("nr_periods 41\nnr_throttled 40\nthrottled_time 3600000000\n"), expected);
        assert_eq!(parse("usage_usec 9\n"), Throttling::default());
    }

    #[test]
    fn a_quota_above_the_own_cgroup_counts() {
        let root = tempfile::tempdir().expect("a folder");
        let own = root.path().join("pod/container");
        std::fs::create_dir_all(&own).expect("a folder");
        let write = |folder: &Path, text: &str| std::fs::write(folder.join("cpu.stat"), text);
        write(&own, "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n").expect("a file");
        let pod = root.path().join("pod");
        write(&pod, "nr_periods 10\nnr_throttled 9\nthrottled_usec 500\n").expect("a file");
        let read = most_throttled(&stat_files(root.path(), &own));
        assert_eq!(read, Throttling { periods: 10, throttled: 9, time: Nanos(500_000) });
    }
}
