//! Errors of Lua as one line that begins with the script's file and line.

use mlua::Error;

use super::ScriptError;

/// Name of the prelude's chunk. Messages leave it out: its line numbers mean nothing to a user.
pub(super) const PRELUDE_NAME: &str = "loadgen";

/// Describes an error, with the line of the script if Lua knows it. `begins` is the first line of the function
/// that was called; it is used if the error has no other line, as after a tail call (`return f()`).
pub(super) fn explain(
    error: &Error,
    file: &str,
    begins: Option<usize>,
    place: impl Into<String>,
) -> ScriptError {
    let (cause, traceback) = root(error);
    let cause = match cause {
        Error::SyntaxError { message, .. } | Error::RuntimeError(message) => message.clone(),
        other => other.to_string(),
    };
    let (message, own_traceback) = split(&cause);
    let text = if line_of(message, file).is_some() {
        message.to_owned()
    } else {
        // An error of loadgen's own functions has no line: uses that of the call in the traceback.
        let message = without_place(message);
        let line = line_of(traceback.unwrap_or(own_traceback), file).map(str::to_owned);
        match line.or_else(|| begins.map(|line| line.to_string())) {
            Some(line) => format!("{file}:{line}: {message}"),
            None => format!("{file}: {message}"),
        }
    };
    // The error about a missing module has many lines.
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    ScriptError { text, place: place.into() }
}

/// Returns the message without the line of the prelude.
fn without_place(message: &str) -> &str {
    let rest = message.strip_prefix(PRELUDE_NAME).and_then(|rest| rest.strip_prefix(':'));
    let parts = rest.and_then(|rest| rest.split_once(": "));
    parts
        .filter(|(line, _)| line.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(message, |(_, message)| message)
}

/// Returns the root cause and the traceback of the call that it ended.
fn root(error: &Error) -> (&Error, Option<&str>) {
    let mut found = (error, None);
    loop {
        found = match found.0 {
            Error::CallbackError { traceback, cause } => {
                (cause, Some(traceback.as_str()).or(found.1))
            }
            Error::BadArgument { cause, .. } | Error::WithContext { cause, .. } => (cause, found.1),
            _ => return found,
        };
    }
}

/// Splits a text into the message and the traceback after it.
fn split(text: &str) -> (&str, &str) {
    text.split_once("\nstack traceback:").unwrap_or((text, ""))
}

/// Returns the number after `file:` in a text.
fn line_of<'a>(text: &'a str, file: &str) -> Option<&'a str> {
    let mut rest = text;
    while let Some(at) = rest.find(file) {
        rest = &rest[at + file.len()..];
        let digits = rest.strip_prefix(':')?;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        if end > 0 {
            return Some(&digits[..end]);
        }
    }
    None
}
