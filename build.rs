//! Sets `LOADGEN_REVISION` to the git revision of the source, if it can be told: the variable itself, the file that
//! `cargo package` writes, or the checkout.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// Name of the variable.
const VARIABLE: &str = "LOADGEN_REVISION";
/// File of a packaged crate with the revision it was made from.
const PACKAGED: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let revision = env::var(VARIABLE).ok().or_else(packaged).or_else(checked_out);
    let short: String = revision.unwrap_or_default().chars().take(12).collect();
    if !short.is_empty() && short.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
    {
        println!("cargo::rustc-env={VARIABLE}={short}");
    }
}

/// The revision of a packaged crate.
fn packaged() -> Option<String> {
    let text = fs::read_to_string(PACKAGED).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(ToOwned::to_owned)
}

/// The revision of the checkout. A source archive inside the checkout of something else has none.
fn checked_out() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let own = env::var("CARGO_MANIFEST_DIR").ok()?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(own).ok()? {
        return None;
    }
    // It changes with each commit and each checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "HEAD"])
}

fn git(words: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(words).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
