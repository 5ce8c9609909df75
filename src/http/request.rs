//! The request of a run: its head rendered once, its body's holes patched in place.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use url::Url;

use crate::message::{Rendered, Template};
use crate::plan::address::percent_decode;

/// Everything about the request that does not change during a run.
#[derive(Debug, Clone)]
pub struct RequestShape {
    /// Where it goes.
    pub url: Url,
    /// A valid token.
    pub method: String,
    /// In order, `Host`, `Content-Type` and `Authorization` among them.
    pub headers: Vec<(String, String)>,
    /// Body with its holes.
    pub body: Template,
}

impl RequestShape {
    /// Completes the user's headers with `Host`, `Content-Type` (JSON, where there is a body) and
    /// `Authorization` (from the URL's credentials), where they are not given.
    pub fn new(
        url: Url,
        method: String,
        mut headers: Vec<(String, String)>,
        body: Template,
    ) -> Self {
        let mut add = |name: &str, value: String| {
            if !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value));
            }
        };
        add("Host", authority(&url));
        if !body.is_empty() {
            add("Content-Type", "application/json".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            let user = percent_decode(url.username());
            let password = percent_decode(url.password().unwrap_or_default());
            let pair = format!("{user}:{password}");
            add("Authorization", format!("Basic {}", BASE64.encode(pair)));
        }
        Self { url, method, headers, body }
    }

    /// The bytes of HTTP/1.1, ready to be filled for each message.
    pub fn rendered(&self) -> Rendered {
        let mut head = format!("{} {}", self.method, self.url.path());
        if let Some(query) = self.url.query() {
            head.push('?');
            head.push_str(query);
        }
        head.push_str(" HTTP/1.1\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // RFC 9110, 8.6: a request whose method expects no content sends no Content-Length for none.
        let silent = self.body.is_empty() && matches!(self.method.as_str(), "GET" | "HEAD");
        Rendered::new(self.body.clone(), head.into_bytes(), if silent { bare } else { with_length })
    }

    /// Whether responses come without a body whatever their head says.
    pub fn expects_no_body(&self) -> bool {
        self.method == "HEAD"
    }

    /// The target as printed: without credentials.
    pub fn display(url: &Url) -> String {
        let mut shown = url.clone();
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.to_string()
    }
}

/// Host, and port where it is not the scheme's own: what `Host` says.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn with_length(head: &[u8], body_len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(head);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "Content-Length: {body_len}\r\n\r\n");
}

fn bare(head: &[u8], _body_len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(head);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Values;

    fn text(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> String {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let body = Template::parse(body.as_bytes()).expect("valid");
        let shape =
            RequestShape::new(Url::parse(url).expect("valid"), method.to_owned(), headers, body);
        let values = Values { msg_id: 99, worker: 0, seq: 0 };
        String::from_utf8(shape.rendered().fill(&values).to_vec()).expect("ascii")
    }

    #[test]
    fn a_post_has_host_type_and_length() {
        assert_eq!(
            text("http://localhost:8080/a?b=c", "POST", &[("X-A", "1")], r#"{"id":{{msg_id}}}"#),
            "POST /a?b=c HTTP/1.1\r\nX-A: 1\r\nHost: localhost:8080\r\nContent-Type: application/json\r\n\
             Content-Length: 9\r\n\r\n{\"id\":99}"
        );
    }

    #[test]
    fn a_get_without_a_body_has_neither() {
        assert_eq!(text("http://h", "GET", &[], ""), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }

    #[test]
    fn given_headers_are_kept_and_credentials_become_a_header() {
        assert_eq!(
            text("http://u:p@h/", "DELETE", &[("host", "other")], ""),
            "DELETE / HTTP/1.1\r\nhost: other\r\nAuthorization: Basic dTpw\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(
            RequestShape::display(&Url::parse("http://u:p@h/x").expect("valid")),
            "http://h/x"
        );
    }
}
