//! The URL of the target. An error says what was probably meant.

use url::{ParseError, Url};

use super::{PlanError, Target, refuse};
use crate::core::secrets::mask_parts;

/// Shape of a URL, for errors.
const SHAPE: &str = "write http://HOST[:PORT]/PATH";

/// Reads the URL; without one, the target is the pipeline that loadgen starts.
pub(super) fn target(url: Option<&str>) -> Result<Target, PlanError> {
    let Some(text) = url else { return Ok(Target::Pipeline) };
    if text.trim().is_empty() {
        return refuse(format!(
            "the URL is empty; {SHAPE}, or leave it out to start the whole pipeline"
        ));
    }
    let Some((scheme, rest)) = text.split_once("://") else { return refuse(without_scheme(text)) };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => http_url(text).map(Target::Url),
        other => refuse(other_scheme(other, rest)),
    }
}

fn http_url(text: &str) -> Result<Url, PlanError> {
    match Url::parse(text) {
        Ok(url) if url.port() == Some(0) => {
            refuse("the URL has port 0, to which no connection can be made; a port is 1 to 65535")
        }
        Ok(url) => Ok(url),
        Err(ParseError::InvalidPort) => {
            refuse("the URL is not valid: its port is not a number from 1 to 65535")
        }
        Err(ParseError::EmptyHost) => refuse(format!("the URL names no host; {SHAPE}")),
        Err(error) => refuse(format!("the URL is not valid: {error}")),
    }
}

/// Error about a URL of another scheme.
fn other_scheme(scheme: &str, rest: &str) -> String {
    match scheme {
        "mqtt" | "mqtts" => "the URL is that of a broker; give it with --mqtt".to_owned(),
        "redis" | "rediss" => "the URL is that of Redis; give it with --redis".to_owned(),
        "ws" | "wss" => {
            "the URL is of a WebSocket, which loadgen does not support; give an http:// or \
                         https:// URL"
                .to_owned()
        }
        "unix" => format!(
            "a Unix socket is given with --unix-socket /{}, beside a URL such as http://localhost/",
            rest.trim_start_matches('/')
        ),
        _ => match nearest_scheme(scheme) {
            Some(meant) => {
                let shown = mask_parts(&format!("{meant}://{rest}"));
                format!("the URL begins with {scheme}://; did you mean {shown}?")
            }
            None => {
                format!("the URL begins with {scheme}://; it must begin with http:// or https://")
            }
        },
    }
}

/// `http` or `https`, if a scheme is one of them with a typing error.
fn nearest_scheme(scheme: &str) -> Option<&'static str> {
    let distance = |known: &&str| strsim::osa_distance(known, scheme);
    let nearest = ["http", "https"].into_iter().min_by_key(distance)?;
    (strsim::osa_distance(nearest, scheme) <= scheme.len() / 3).then_some(nearest)
}

/// Error about a text without `://`.
fn without_scheme(text: &str) -> String {
    // A text with a user and without `://` cannot be masked.
    let shown = if text.contains('@') { "***".into() } else { mask_parts(text) };
    match probable_url(text) {
        Some(url) => format!("'{shown}' is not a URL; did you mean {}?", mask_parts(url.as_str())),
        None => format!("'{shown}' is not a URL; {SHAPE}"),
    }
}

/// The URL that was probably meant by `localhost:8080/`, `:8080` or `http:/host`.
fn probable_url(text: &str) -> Option<Url> {
    for scheme in ["https", "http"] {
        let begins =
            text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
        let rest = text.get(scheme.len()..).filter(|rest| begins && rest.starts_with([':', '/']));
        let Some(rest) = rest.map(|rest| rest.trim_start_matches([':', '/'])) else { continue };
        return Url::parse(&format!("{scheme}://{rest}")).ok();
    }
    if text.starts_with(':') {
        return Url::parse(&format!("http://localhost{text}")).ok();
    }
    let host = text.split(['/', '?', '#']).next().unwrap_or(text);
    let is_host = host == "localhost" || host.contains(['.', ':']);
    let url = Url::parse(&format!("http://{text}")).ok();
    url.filter(|_| is_host && !text.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        target(Some(text)).expect_err(text).to_string()
    }

    #[test]
    fn a_url_with_a_mistake_is_answered_with_the_url_that_was_meant() {
        for (text, part) in [
            ("localhost:8080/", "did you mean http://localhost:8080/?"),
            ("127.0.0.1:8080", "did you mean http://127.0.0.1:8080/?"),
            ("[::1]:80/a", "did you mean http://[::1]/a?"),
            ("example.com/a?b=1", "did you mean http://example.com/a"),
            (":8080/", "did you mean http://localhost:8080/?"),
            ("http:/host", "did you mean http://host/?"),
            ("https:host:8443/a", "did you mean https://host:8443/a?"),
            ("http//host", "did you mean http://host/?"),
            ("htp://host/", "the URL begins with htp://; did you mean http://host/?"),
            ("htttps://host/", "did you mean https://host/?"),
            ("ftp://host/", "must begin with http:// or https://"),
            ("mqtt://host", "that of a broker; give it with --mqtt"),
            ("rediss://host", "that of Redis; give it with --redis"),
            ("ws://host/", "WebSocket"),
            ("unix:///run/a.sock", "--unix-socket /run/a.sock"),
            ("http://host:65536/", "not a number from 1 to 65535"),
            ("http://host:80a/", "not a number from 1 to 65535"),
            ("http://host:0/", "a port is 1 to 65535"),
            ("http://", "names no host"),
            ("http://a b/", "the URL is not valid"),
            ("nonsense", "'nonsense' is not a URL; write http://HOST"),
            ("", "the URL is empty"),
            (" ", "the URL is empty"),
        ] {
            let said = refused(text);
            assert!(said.contains(part), "{text}: {said}");
        }
    }

    #[test]
    fn a_password_in_a_mistaken_url_is_not_repeated() {
        for text in ["user:onyx@host:80/", "http:/user:onyx@host/", "htp://user:onyx@host/"] {
            assert!(!refused(text).contains("onyx"), "{}", refused(text));
        }
    }

    #[test]
    fn urls_of_both_schemes_are_taken_in_any_case() {
        for text in ["http://h", "HTTPS://h:1/", "http://[::1]:8080/a?b=c"] {
            assert!(matches!(target(Some(text)), Ok(Target::Url(_))), "{text}");
        }
        assert_eq!(target(None), Ok(Target::Pipeline));
    }
}
