//! Lua's errors as one line that begins with the script's file and line.

use mlua::Error;

use super::ScriptError;

/// The name of the prelude's chunk, which is in no message: its lines mean nothing to a reader.
pub(super) const PRELUDE_NAME: &str = "loadgen";

/// What happened, with the place in the script where Lua knows it. `begins` is the line where the function
/// begins that was called: a call at its very end (`return f()`) leaves no other trace.
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
        // An error of loadgen's own functions names no line: take that of the call from the traceback.
        let message = without_place(message);
        let line = line_of(traceback.unwrap_or(own_traceback), file).map(str::to_owned);
        match line.or_else(|| begins.map(|line| line.to_string())) {
            Some(line) => format!("{file}:{line}: {message}"),
            None => format!("{file}: {message}"),
        }
    };
    // A module that is not found has many lines.
    let text = text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    ScriptError { text, place: place.into() }
}

/// The message without a line of the prelude.
fn without_place(message: &str) -> &str {
    let rest = message.strip_prefix(PRELUDE_NAME).and_then(|rest| rest.strip_prefix(':'));
    let parts = rest.and_then(|rest| rest.split_once(": "));
    let is_place = |line: &str| line.bytes().all(|byte| byte.is_ascii_digit());
    parts.filter(|(line, _)| is_place(line)).map_or(message, |(_, message)| message)
}

/// The first cause, and the traceback of the call that it ended.
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

/// The message, and the traceback behind it.
fn split(text: &str) -> (&str, &str) {
    text.split_once("\nstack traceback:").unwrap_or((text, ""))
}

/// The number behind `file:` in a text.
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
