//! Generated documents: completions, the manual page, the first profile of `init`.

use std::fs;
use std::process::Command;

use super::{assert_refused, entries};
use crate::support::{Process, loadgen, require, run};

/// Output of a command, which must not be empty.
#[track_caller]
fn printed(words: &str) -> String {
    let finished = run(words);
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    assert!(!finished.stdout.is_empty());
    finished.stdout
}

/// Completions that bash offers for the last word of a command line.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let quoted = words.join("' '");
    let ask = format!(
        "{script}\nCOMP_WORDS=('{quoted}'); COMP_CWORD={}\n\
         _loadgen loadgen '{}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    let finished = Process::start("bash", Command::new("bash").args(["-c", &ask])).finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let script = printed("completions bash");
    for (words, wanted) in [
        (["loadgen", "--max-in"], "--max-in-flight"),
        (["loadgen", "compl"], "completions"),
        (["loadgen", "pu"], "push"),
    ] {
        assert_eq!(offered(&script, &words), [wanted], "{words:?}");
    }
    assert_eq!(offered(&script, &["loadgen", "--arrivals", "p"]), ["poisson"]);
    assert_eq!(offered(&script, &["loadgen", "push", "--coup"]), ["--coupling"]);
    assert_eq!(offered(&script, &["loadgen", "emb"]), [""], "what is not for users is not offered");
}

#[test]
fn completions_exist_for_every_known_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&format!("completions {shell}"));
        assert!(script.contains("max-in-flight") && script.contains("subscribe"), "{shell}");
        assert!(!script.contains("embedded queue"), "{shell}");
    }
    assert_refused(&run("completions tcsh"), 2, &["tcsh", "zsh"]);
    assert_refused(&run("completions"), 2, &["<SHELL>"]);
}

#[test]
fn the_manual_page_contains_the_help() {
    let page = printed("man");
    let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    let first = [
        "NAME",
        "SYNOPSIS",
        "OPTIONS",
        "LOAD",
        "REQUEST",
        "CONNECTION",
        "PIPELINE",
        "REPORT",
        "FLEET",
        "MESSAGES",
        "COMMANDS",
    ];
    assert_eq!(headings[..first.len()], first);
    // Every flag of the help, written as roff writes a hyphen.
    for words in ["--help", "api --help", "push --help", "init --help"] {
        let help = printed(words);
        let flags: Vec<_> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
        assert!(flags.len() > 1, "{words} has flags");
        for flag in flags {
            // `--http2[=<BOOL>]` is the flag --http2.
            let flag = flag.split('[').next().unwrap_or(flag);
            let flag = flag.trim_matches(|c: char| !c.is_alphanumeric() && c != '-');
            assert!(page.contains(&flag.replace('-', r"\-")), "{words}: {flag}");
        }
    }
    assert!(!page.contains("embedded queue") && !page.contains("SS \"loadgen embedded\""));
}

#[test]
fn the_manual_page_is_valid_roff() {
    if !require("groff") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("loadgen.1");
    fs::write(&file, printed("man")).expect("a file");
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tutf8", "-ww", "-z"]).arg(&file);
    let finished = Process::start("groff", &mut groff).finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
}

#[test]
fn a_profile_written_by_init_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let init =
        |words: &str| Process::start("loadgen", loadgen(words).current_dir(folder.path())).finish();
    let finished = init("init");
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.contains("--profile loadgen.toml"), "{finished:?}");
    assert_eq!(entries(folder.path()), ["loadgen.toml"]);
    let file = folder.path().join("loadgen.toml");
    let text = fs::read_to_string(&file).expect("a file");
    assert_eq!(printed("init -"), text);

    fs::write(&file, "mine").expect("a file");
    assert_refused(&init("init"), 1, &["loadgen.toml", "--force"]);
    assert_eq!(fs::read_to_string(&file).expect("a file"), "mine", "nothing was lost");
    assert_eq!(init("init --force").code, Some(0));
    assert_eq!(fs::read_to_string(&file).expect("a file"), text);
    assert_refused(&init("init missing/p.toml"), 1, &["missing/p.toml"]);

    // Read with its settings: one that is wrong on top of them is refused, not the profile.
    assert_refused(&init("--profile loadgen.toml --threads 9999"), 2, &["--threads"]);
}
