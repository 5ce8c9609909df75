//! Secrets in running text: a message, an argument, the value of a field.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::name::is_secret_name;
use super::{HIDDEN, mask_parts};

/// The beginning of every JSON Web Token: `{"` in base64.
const TOKEN_BEGINS: &str = "eyJ";
/// Fewer characters behind it are a word.
const SHORTEST_TOKEN: usize = 16;

/// A text with the secrets in it hidden: users and secret parameters of URLs, values of secret names
/// (`password=…`, `Authorization: …`), what follows `Bearer` or `Basic`, and JSON Web Tokens.
pub(crate) fn mask_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word_len = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
        if word_len == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(word_len);
        let taken = mask_word(word, after, &mut out);
        rest = &rest[taken..];
    }
    out
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+')
}

/// Writes a word and what belongs to it; returns how many bytes that is.
fn mask_word(word: &str, after: &str, out: &mut String) -> usize {
    if after.starts_with("://") {
        let url_len = after.find(ends_url).unwrap_or(after.len());
        *out += &mask_parts(&[word, &after[..url_len]].concat());
        return word.len() + url_len;
    }
    if is_token(word) {
        *out += HIDDEN;
        return word.len();
    }
    let value = match word.to_ascii_lowercase().as_str() {
        "bearer" => after_spaces(after),
        "basic" => after_spaces(after).filter(|(begin, len)| is_login(&after[*begin..begin + len])),
        _ => named_value(word, after),
    };
    *out += word;
    let Some((begin, len)) = value.filter(|(_, len)| *len > 0) else { return word.len() };
    *out += &after[..begin];
    *out += HIDDEN;
    word.len() + begin + len
}

/// The place and the length of a secret name's value, in the text behind the name.
fn named_value(name: &str, after: &str) -> Option<(usize, usize)> {
    let closed = after.trim_start_matches(['"', '\'', '\\']);
    let sign = closed.trim_start_matches(' ');
    if !sign.starts_with(['=', ':']) || !is_secret_name(name) {
        return None;
    }
    let value = sign[1..].trim_start_matches([' ', '\\']);
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let value = quote.map_or(value, |quote| &value[quote.len_utf8()..]);
    let is_header =
        ["authorization", "cookie"].iter().any(|part| name.to_lowercase().ends_with(part));
    let len = value
        .find(|c: char| match quote {
            Some(quote) => c == quote,
            None if is_header => matches!(c, '\n' | '\r' | '`' | '"' | '\''),
            None => c.is_whitespace() || matches!(c, '&' | ',' | ';' | '"' | '\'' | '`'),
        })
        .unwrap_or(value.len());
    Some((after.len() - value.len(), len))
}

fn after_spaces(after: &str) -> Option<(usize, usize)> {
    let value = after.trim_start_matches([' ', '+']);
    let len = value.find(|c: char| c.is_whitespace() || ends_url(c)).unwrap_or(value.len());
    (value.len() < after.len()).then_some((after.len() - value.len(), len))
}

/// Returns true for `user:password` in base64.
fn is_login(text: &str) -> bool {
    BASE64.decode(text).is_ok_and(|login| login.contains(&b':'))
}

fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')
}

/// Returns true if a word is a JSON Web Token: parts in base64 between dots.
fn is_token(word: &str) -> bool {
    word.starts_with(TOKEN_BEGINS) && word.len() >= SHORTEST_TOKEN
}
