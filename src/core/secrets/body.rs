//! Secrets in bodies of requests.

use super::name::names_a_secret;
use super::text::mask_text;
use super::{HIDDEN, is_secret_name, mask_pairs};

/// JSON in strings of JSON is looked into as deep as this.
const DEEPEST: usize = 4;

/// Last words of the first and the last line of a private key in PEM.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// A body as it is shown. In JSON and in forms the values of secret names are hidden and the rest stays; a body of
/// another kind that speaks of a secret is hidden as a whole.
pub(crate) fn mask_body(body: &str) -> String {
    mask_at(body, 0)
}

fn mask_at(body: &str, depth: usize) -> String {
    let begins = body.trim_start().chars().next();
    if depth == DEEPEST || body.contains(PRIVATE_KEY) {
        return HIDDEN.to_owned();
    }
    // What has no double quotes is not JSON (`{'password': 'x'}`).
    if matches!(begins, Some('{' | '[' | '"')) && body.contains('"') {
        return mask_json(body, depth);
    }
    let is_form = body.contains('=') && !body.contains(|c: char| c.is_whitespace() || c == '<');
    if is_form {
        return mask_pairs(body);
    }
    let is_markup = begins == Some('<');
    if names_a_secret(body) || is_markup && is_secret_name(body) {
        return HIDDEN.to_owned();
    }
    mask_text(body)
}

/// JSON with holes (`{{msg_id}}`) in it, which no parser reads: its strings are found one by one.
fn mask_json(text: &str, depth: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(quote) = rest.find('"') {
        out += &rest[..quote];
        let (literal, after) = rest[quote..].split_at(string_len(&rest[quote..]));
        let gap = after.len() - after.trim_start().len();
        if !after[gap..].starts_with(':') {
            out += &mask_string(literal, depth);
            rest = after;
            continue;
        }
        let colon = &after[gap + 1..];
        let value = colon.trim_start();
        out += literal;
        out += &after[..after.len() - value.len()];
        rest = value;
        if is_secret_name(&unquoted(literal)) {
            out += &format!("\"{HIDDEN}\"");
            rest = &value[value_len(value)..];
        }
    }
    out + rest
}

/// A string that is a value.
fn mask_string(literal: &str, depth: usize) -> String {
    let value = unquoted(literal);
    let masked = match value.trim_start().chars().next() {
        Some('{' | '[') => mask_at(&value, depth + 1),
        _ => mask_text(&value),
    };
    if masked == value { literal.to_owned() } else { serde_json::Value::String(masked).to_string() }
}

fn unquoted(literal: &str) -> String {
    serde_json::from_str(literal).unwrap_or_else(|_| literal.trim_matches('"').to_owned())
}

/// The length of a string with its quotes; all of the text if the string does not end.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a value: a string, a list or object to its end, or a word.
fn value_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        match next {
            '"' => at += string_len(&text[at..]),
            '{' | '[' => (depth, at) = (depth + 1, at + 1),
            '}' | ']' | ',' if depth == 0 => return at,
            '}' | ']' => (depth, at) = (depth - 1, at + 1),
            next => at += next.len_utf8(),
        }
        let is_whole = depth == 0 && matches!(next, '"' | '}' | ']');
        if is_whole {
            return at;
        }
    }
    at
}
