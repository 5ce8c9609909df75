//! The URL as it was typed. Scripts put their own texts in the place of pieces of its path (`{id}`), which
//! a parsed URL has in another form, and wrk gives them the path and the port as they stand there.

/// Path and query without the fragment. What cannot stand in a request line is percent-encoded. `None`
/// where the text has not the usual form, `scheme://authority/path`.
pub(super) fn path(url: &str) -> Option<String> {
    let (_, rest) = split(url)?;
    let text = rest.split('#').next().unwrap_or_default();
    let mut path = String::with_capacity(text.len() + 1);
    if !text.starts_with('/') {
        path.push('/');
    }
    for byte in text.bytes() {
        match byte {
            // These a parser of URLs leaves out.
            b'\t' | b'\n' | b'\r' => {}
            0x21..=0x7e => path.push(char::from(byte)),
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(path)
}

/// Whether it names a port, be it the one that its scheme has anyway.
pub(super) fn has_port(url: &str) -> bool {
    let Some((authority, _)) = split(url) else { return false };
    let place = authority.rsplit('@').next().unwrap_or_default();
    // The colons of an IPv6 address are in brackets.
    let behind_host = place.rsplit(']').next().unwrap_or_default();
    behind_host.split_once(':').is_some_and(|(_, port)| !port.trim().is_empty())
}

/// Authority, and what follows it.
fn split(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.trim_matches(|c: char| c <= ' ').split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    // Where a parser makes slashes of backslashes, or takes more than two, it knows better.
    (!authority.is_empty() && !authority.contains('\\')).then_some((authority, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_what_was_typed_as_far_as_it_can_be_sent() {
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
    fn a_port_is_found_where_one_was_typed() {
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
