//! Paths and versions of the other load generators and of nginx.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Each with the flag that prints its version.
const KNOWN: [(&str, &str); 6] = [
    ("nginx", "-v"),
    ("wrk", "-v"),
    ("h2load", "--version"),
    ("wrk2", "-v"),
    ("oha", "--version"),
    ("zrk", "--version"),
];

/// Installed programs.
#[derive(Debug)]
pub(crate) struct Programs(BTreeMap<&'static str, (PathBuf, String)>);

impl Programs {
    /// Looks for all of them. A variable that names no file is an error.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let mut found = BTreeMap::new();
        for (name, flag) in KNOWN {
            if let Some(path) = find(name)? {
                let version = version(&path, flag)?;
                found.insert(name, (path, version));
            }
        }
        Ok(Self(found))
    }

    /// Path of a program, if it is installed.
    pub(crate) fn path(&self, name: &str) -> Option<&PathBuf> {
        self.0.get(name).map(|(path, _)| path)
    }

    /// Those that are not installed.
    pub(crate) fn missing(&self) -> Vec<String> {
        let names = KNOWN.iter().map(|(name, _)| *name);
        names
            .filter(|name| !self.0.contains_key(name))
            .map(|name| format!("{name} (not installed)"))
            .collect()
    }

    /// All versions, loadgen's first.
    pub(crate) fn versions(&self) -> String {
        let own = format!("loadgen {}", env!("CARGO_PKG_VERSION"));
        let others = KNOWN.iter().filter_map(|(name, _)| {
            let (_, version) = self.0.get(name)?;
            Some(format!("{name} {version}"))
        });
        [own].into_iter().chain(others).collect::<Vec<_>>().join(", ")
    }
}

/// The file that its variable names, or else the one on `PATH` or in the folder where Debian installs servers.
fn find(name: &str) -> anyhow::Result<Option<PathBuf>> {
    let variable = name.to_uppercase();
    if let Some(path) = std::env::var_os(&variable).map(PathBuf::from) {
        ensure!(path.is_file(), "{variable}={}: there is no such file", path.display());
        return Ok(Some(path));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    Ok(folders.map(|folder| folder.join(name)).find(|file| file.is_file()))
}

/// The first word of its output that begins with a digit, as in `nginx version: nginx/1.22.1`.
fn version(path: &PathBuf, flag: &str) -> anyhow::Result<String> {
    let output = Command::new(path).arg(flag).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {}", path.display()))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let words = said.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    let version = words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    Ok(version.unwrap_or("of unknown version").to_owned())
}
