//! Secrets in text that is shown: reports, messages, metrics. Each function returns the text with [`HIDDEN`] in
//! place of every value that may be a secret. A value may be a secret because of its name (`password`,
//! `X-Amz-Signature`) or because of its form (`Bearer …`, a JSON Web Token, the user of a URL).

mod arguments;
mod body;
mod name;
mod text;

use url::Url;
use url::form_urlencoded;

pub(crate) use arguments::mask_arguments;
pub(crate) use body::mask_body;
pub(crate) use name::is_secret_name;
pub(crate) use text::mask_text;

/// The text in place of a secret.
pub(crate) const HIDDEN: &str = "***";

/// Headers whose values are shown. The value of any other header is hidden.
const SHOWN_HEADERS: [&str; 9] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-encoding",
    "content-type",
    "host",
    "user-agent",
];

/// A `Name: value` header. The value is shown only where the header is known to hold no secret.
pub(crate) fn mask_header(header: &str) -> String {
    let name = header.split(':').next().unwrap_or_default().trim();
    if SHOWN_HEADERS.iter().any(|shown| name.eq_ignore_ascii_case(shown)) {
        mask_text(header)
    } else {
        format!("{name}: {HIDDEN}")
    }
}

/// A URL without its user, its password, and the secret ones of its parameters: those of the query, of the
/// fragment, and of the path (`;token=…`). A text that is not a URL is hidden as a whole.
pub(crate) fn mask_url(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) => mask_parts(url.as_str()),
        Err(_) => HIDDEN.to_owned(),
    }
}

/// Something that may be a URL without its scheme, or only a path: its user and its secret parameters are
/// hidden, the rest stays as it is.
pub(crate) fn mask_parts(url: &str) -> String {
    let (rest, fragment) = split_at(url, '#');
    let (head, query) = split_at(rest, '?');
    format!("{}{}{}", mask_head(head), mask_pairs(query), mask_pairs(fragment))
}

/// The text before a sign, and the rest with it.
fn split_at(text: &str, sign: char) -> (&str, &str) {
    text.split_at(text.find(sign).unwrap_or(text.len()))
}

/// Scheme, host and path. A user stands before the `@` of the host.
fn mask_head(head: &str) -> String {
    let host_begins = head.find("://").map_or(0, |at| at + "://".len());
    let host_ends = head[host_begins..].find('/').map_or(head.len(), |at| host_begins + at);
    let (scheme, host) = (&head[..host_begins], &head[host_begins..host_ends]);
    let host = match host.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => host.to_owned(),
    };
    let segments = head[host_ends..].split('/').map(mask_pairs).collect::<Vec<_>>().join("/");
    format!("{scheme}{host}{segments}")
}

/// `name=value` pairs between `&` or `;`, as in queries and forms.
fn mask_pairs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(['&', ';', '?', '#']) {
        let end = piece.trim_end_matches(['&', ';', '?', '#']);
        out += &mask_pair(end);
        out += &piece[end.len()..];
    }
    out
}

fn mask_pair(pair: &str) -> String {
    let Some((name, value)) = pair.split_once('=') else {
        return if has_secret_form(pair) { HIDDEN.to_owned() } else { pair.to_owned() };
    };
    if !value.is_empty() && (is_secret_name(&decoded(name)) || has_secret_form(value)) {
        format!("{name}={HIDDEN}")
    } else {
        pair.to_owned()
    }
}

fn has_secret_form(value: &str) -> bool {
    let value = decoded(value);
    mask_text(&value) != value
}

/// `a+b%40c` → `a b@c`.
fn decoded(text: &str) -> String {
    let pair = format!("x={text}");
    let value = form_urlencoded::parse(pair.as_bytes()).next();
    value.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
