//! `--connect-to HOST1:PORT1:HOST2:PORT2`, as in curl.

use url::{Host, Url};

use super::{PlanError, refuse};

/// Rule that sends connections for `from` to `to`. An empty part of `from` matches any value; an empty part
/// of `to` keeps that of the URL.
#[derive(Debug, PartialEq, Eq)]
struct Rule<'a> {
    from: (&'a str, Option<u16>),
    to: (&'a str, Option<u16>),
}

/// Returns host (without brackets) and port of the first rule that matches the URL, or `None`.
pub(super) fn redirected(rules: &[String], url: &Url) -> Result<Option<(String, u16)>, PlanError> {
    let rules = rules.iter().map(|text| match parse(text) {
        Some(rule) => Ok(rule),
        None => refuse(format!(
            "--connect-to '{text}' is not HOST1:PORT1:HOST2:PORT2; each part may be empty, and an \
             IPv6 address is written in []"
        )),
    });
    let rules = rules.collect::<Result<Vec<_>, _>>()?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let Some(rule) = rules.iter().find(|rule| rule.matches(host, port)) else { return Ok(None) };
    let new_host = if rule.to.0.is_empty() { host } else { rule.to.0 };
    Ok(Some((new_host.to_owned(), rule.to.1.unwrap_or(port))))
}

impl Rule<'_> {
    fn matches(&self, host: &str, port: u16) -> bool {
        let (from_host, from_port) = self.from;
        (from_host.is_empty() || from_host.eq_ignore_ascii_case(host))
            && from_port.is_none_or(|from_port| from_port == port)
    }
}

fn parse(text: &str) -> Option<Rule<'_>> {
    let (from_host, rest) = host(text)?;
    let (from_port, rest) = rest.split_once(':')?;
    let (to_host, to_port) = host(rest)?;
    Some(Rule { from: (from_host, port(from_port)?), to: (to_host, port(to_port)?) })
}

/// Splits a host, without brackets, from the text after its colon.
fn host(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = match text.strip_prefix('[') {
        Some(inside) => {
            let (address, rest) = inside.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, rest.strip_prefix(':')?)
        }
        None => text.split_once(':')?,
    };
    let is_host = name.is_empty() || name.contains(':') || Host::parse(name).is_ok();
    is_host.then_some((name, rest))
}

fn port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(rules: &[&str], url: &str) -> Result<Option<(String, u16)>, String> {
        let rules: Vec<_> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        redirected(&rules, &Url::parse(url).expect("a URL")).map_err(|e| e.to_string())
    }

    #[test]
    fn the_first_rule_that_fits_says_where() {
        let to = |host: &str, port| Ok(Some((host.to_owned(), port)));
        for (rules, url, expected) in [
            (&["h:80:10.0.0.1:8080"][..], "http://h/", to("10.0.0.1", 8080)),
            (&["H:80:other:"], "http://h/", to("other", 80)),
            (&["::[::1]:9000"], "https://h/", to("::1", 9000)),
            (&["[::1]:80:h:"], "http://[::1]/", to("h", 80)),
            (&[":::9"], "http://[::1]:5/", to("::1", 9)),
            (&["h:81:a:1", "x::b:2", "::c:3"], "http://h/", to("c", 3)),
            (&["h:81:a:1"], "http://h/", Ok(None)),
            (&[], "http://h/", Ok(None)),
        ] {
            assert_eq!(place(rules, url), expected, "{rules:?} {url}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in
            ["", "a", "a:1:b", "a:1:b:c", "a:99999:b:1", "a:1:b:2:3", "[::1:1:b:2", "[x]:1::"]
        {
            let error = place(&[text], "http://h/").expect_err(text);
            assert!(error.contains("--connect-to") && error.contains("HOST1"), "{error}");
        }
    }
}
