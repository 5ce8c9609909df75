//! Lua script that writes the requests, compatible with wrk.

use std::path::PathBuf;

use super::read::{MOST_SCRIPT, read_bounded};
use super::request::method::method;
use super::{PlanError, refuse};
use crate::config::settings::{Engine, Settings};
use crate::core::secrets::mask_arguments;

/// Script and its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptPlan {
    /// Path of the script; errors name it.
    pub file: PathBuf,
    /// The file's text.
    pub source: Vec<u8>,
    /// The arguments of its `init`.
    pub args: Vec<String>,
    /// Method of requests for which the script sets none; `None` means GET.
    pub method: Option<String>,
    /// The URL as it was given.
    pub url: Option<String>,
}

/// Checks the settings of the script and reads its file.
pub(super) fn script(settings: &Settings, engine: Engine) -> Result<Option<ScriptPlan>, PlanError> {
    let Some(file) = settings.script.clone() else {
        return match mask_arguments(&settings.script_args).first() {
            Some(argument) => refuse(format!(
                "'{argument}': arguments after -- are for a script; give one with --script FILE"
            )),
            None => Ok(None),
        };
    };
    if !cfg!(feature = "lua") {
        return refuse(
            "--script: this loadgen was built without Lua; build it with the default features \
             (cargo build --release), which need make and a C compiler",
        );
    }
    if engine != Engine::Raw {
        return refuse(
            "--script needs --engine raw, which sends requests as the script writes them; it cannot be \
             combined with --engine reqwest, --http2, --proxy or --redirects",
        );
    }
    let Settings { body, body_file, body_lines, data, mix, url, headers, .. } = settings;
    if body.is_some() || body_file.is_some() || body_lines.is_some() || data.is_some() {
        return refuse(
            "--body, --body-file, --body-lines and --data cannot be combined with --script; set \
             wrk.body in the script",
        );
    }
    if !mix.is_empty() {
        return refuse(
            "[[request]] tables cannot be combined with --script, which writes every request",
        );
    }
    if url.iter().chain(headers).any(|text| text.contains("{{")) {
        return refuse(
            "{{…}} in the URL or a --header is not replaced if --script writes the requests; \
             insert the values in the script",
        );
    }
    let source = read_bounded(&file, MOST_SCRIPT, "a script")
        .map_err(|e| PlanError(format!("--script {}: {e}", file.display())))?;
    Ok(Some(ScriptPlan {
        file,
        source: without_interpreter(source),
        args: settings.script_args.clone(),
        method: settings.method.as_deref().map(method).transpose()?,
        url: settings.url.clone(),
    }))
}

/// Removes a first line that begins with `#` (`#!` names an interpreter), which is not Lua. Keeps its newline, so
/// that line numbers stay correct.
fn without_interpreter(mut source: Vec<u8>) -> Vec<u8> {
    if source.starts_with(b"#") {
        let end = source.iter().position(|byte| *byte == b'\n').unwrap_or(source.len());
        source.drain(..end);
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreters_line_goes_and_its_end_stays() {
        assert_eq!(without_interpreter(b"#!/usr/bin/lua\nx=1\n".to_vec()), b"\nx=1\n");
        assert_eq!(without_interpreter(b"#x".to_vec()), b"");
        assert_eq!(without_interpreter(b"x=1".to_vec()), b"x=1");
    }
}
