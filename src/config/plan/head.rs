//! The head of a request as users write it: the path percent-encoded as a URL with its holes left open,
//! and header fields, checked, and asked what they say of the body.

use url::Url;

use super::{PlanError, refuse};
use crate::core::percent_decode;
use crate::core::secrets::mask_parts;
use crate::message::template::{EscapeContext, OWN_NAMES, is_word};
use crate::message::{Data, Template};

/// Parses a path and query with the rules of a URL.
pub(super) fn parse_path(path: &str) -> Result<Url, PlanError> {
    let base = Url::parse("http://host/").expect("a constant");
    let shown = mask_parts(path);
    match Some(path).filter(|path| path.starts_with('/') && !path.starts_with("//")) {
        Some(path) => base.join(path).map_err(|e| PlanError(format!("path '{shown}': {e}"))),
        None => refuse(format!("path '{shown}': write /PATH or /PATH?QUERY, without the host")),
    }
}

/// Restores the braces of holes and the characters of their names, which a URL percent-encodes.
pub(super) fn open_holes(text: &str, data: Option<&Data>) -> String {
    let is_hole = |name: &str| {
        is_word(name)
            || OWN_NAMES.contains(&name)
            || data.is_some_and(|data| data.names().any(|column| column == name))
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let found = [("%7B%7B", "%7D%7D"), ("{{", "}}")].into_iter().find_map(|(open, close)| {
            let inner = rest.strip_prefix(open)?;
            let end = inner.find(close)?;
            let name = percent_decode(&inner[..end]);
            is_hole(&name).then(|| (format!("{{{{{name}}}}}"), open.len() + end + close.len()))
        });
        let (piece, len) = found.unwrap_or_else(|| (next.to_string(), next.len_utf8()));
        out += &piece;
        rest = &rest[len..];
    }
    out
}

/// Splits and checks `Name: value`. Neither the text nor a value in its holes can inject a second
/// header.
pub(super) fn header(text: &str, data: Option<&Data>) -> Result<(String, Template), PlanError> {
    let Some((name, value)) = text.split_once(':') else {
        // Do not repeat the text: it may contain a secret.
        return refuse("a --header does not have a colon; write 'Name: value'");
    };
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || !name.bytes().all(is_token) || !is_field_value(value.as_bytes()) {
        return refuse(format!("--header '{name}' has a character that HTTP does not allow"));
    }
    if ["content-length", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return refuse(format!("--header '{name}' is set from the body; remove it"));
    }
    let template = Template::parse_with(value.as_bytes(), data, EscapeContext::Plain)
        .map_err(|e| PlanError(format!("--header '{name}': {e}")))?;
    let Some(data) = data else { return Ok((name.to_owned(), template)) };
    for column in data.names().filter(|column| value.contains(&format!("{{{{{column}}}}}"))) {
        if let Some(line) = data.first_unfit(column, is_field_value) {
            return refuse(format!(
                "--header '{name}': line {line} of the data has a character in '{column}' that \
                 HTTP does not allow in a header"
            ));
        }
    }
    Ok((name.to_owned(), template))
}

fn is_field_value(value: &[u8]) -> bool {
    !value.iter().any(|b| *b < b' ' && *b != b'\t' || *b == 127)
}

pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Escaping context of the body, from its Content-Type; JSON without one.
pub(super) fn place(headers: &[(String, Template)]) -> EscapeContext {
    let mut named = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let Some((_, value)) = named.next_back() else { return EscapeContext::Json };
    let text = String::from_utf8_lossy(value.as_text().unwrap_or_default()).to_lowercase();
    match text.split(';').next().unwrap_or_default().trim() {
        "application/x-www-form-urlencoded" => EscapeContext::Url,
        kind if kind.ends_with("/json") || kind.ends_with("+json") => EscapeContext::Json,
        _ => EscapeContext::Plain,
    }
}
