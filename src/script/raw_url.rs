//! URL as it was typed. Scripts replace parts of its path (`{id}`), which a parsed URL encodes, and wrk gives
//! them the path and the port as they were typed.

/// Returns path and query without the fragment. Percent-encodes bytes that a request line cannot contain.
/// Returns `None` if the text does not have the usual form, `scheme://authority/path`.
pub(super) fn path(url: &str) -> Option<String> {
    let (_, rest) = split(url)?;
    let text = rest.split('#').next().unwrap_or_default();
    let mut path = String::with_capacity(text.len() + 1);
    if !text.starts_with('/') {
        path.push('/');
    }
    for byte in text.bytes() {
        match byte {
            // URL parsers remove these.
            b'\t' | b'\n' | b'\r' => {}
            0x21..=0x7e => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(path)
}

/// Returns true if the URL contains a port, even if it is the default of its scheme.
pub(super) fn has_port(url: &str) -> bool {
    let Some((authority, _)) = split(url) else { return false };
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    // The colons of an IPv6 address are in brackets.
    let after_host = host_and_port.rsplit(']').next().unwrap_or_default();
    after_host.split_once(':').is_some_and(|(_, port)| !port.trim().is_empty())
}

/// Splits a URL into the authority and the rest.
fn split(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.trim_matches(|c: char| c <= ' ').split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    // Parsers accept backslashes and more than two slashes; these cases are left to them.
    (!authority.is_empty() && !authority.contains('\\')).then_some((authority, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_as_typed_except_for_what_must_be_encoded() {
        for (url, typed) in [
            ("http://h/users/{id}", "/users/{id}"),
            ("http://h:1/a/../b|\"<x>^`\\c?q={{a}}&r='#part?", "/a/../b|\"<x>^`\\c?q={{a}}&r='"),
            (" http://u:p@[::1]:80/%7b%20 b\u{e4}\t\u{7f} ", "/%7b%20%20b%C3%A4%7F"),
            ("http://h?x=/y", "/?x=/y"),
            ("http://h", "/"),
            ("http://h#/part", "/"),
        ] {
            assert_eq!(path(url).as_deref(), Some(typed), "{url}");
        }
        for odd in ["http:h/x", "http:///h/x", "http:\\\\h\\x", "http://h\\x/y"] {
            assert_eq!(path(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_port_is_found_only_if_it_was_typed() {
        for url in ["http://h:80/", "https://u:p@[::1]:443", "http://[::1]:80?x", "http://h:080#x"]
        {
            assert!(has_port(url), "{url}");
        }
        for url in ["http://h/:80", "http://u:80@h/", "http://[::1]/", "http://h:/", "http://h?a:1"]
        {
            assert!(!has_port(url), "{url}");
        }
    }
}
