//! The requests of a run: each rendered once, its holes patched in place.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use url::Url;

use crate::core::percent_decode;
use crate::core::secrets::mask_parts;
use crate::message::{MessageBody, Mix, Rendered, Template};

/// Everything about the request that does not change during a run.
#[derive(Debug, Clone)]
pub struct RequestShape {
    /// Where it goes.
    pub url: Url,
    /// A valid token.
    pub method: String,
    /// In order, `Host`, `Content-Type` and `Authorization` among them.
    pub headers: Vec<(String, Template)>,
    /// Path and query with their holes.
    pub path: Template,
    /// Body with its holes.
    pub body: MessageBody,
}

impl RequestShape {
    /// Completes the user's headers with `Host`, `Content-Type` (JSON, where there is a body) and
    /// `Authorization` (from the URL's credentials), where they are not given.
    pub fn new(
        url: Url,
        method: String,
        mut headers: Vec<(String, Template)>,
        body: impl Into<MessageBody>,
    ) -> Self {
        let body = body.into();
        let mut add = |name: &str, value: String| {
            if !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), Template::text(value)));
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
        let path = Template::text(&url[url::Position::BeforePath..url::Position::AfterQuery]);
        Self { url, method, headers, path, body }
    }

    /// The same with another path and query than the URL's.
    #[must_use]
    pub fn with_path(self, path: Template) -> Self {
        Self { path, ..self }
    }

    /// The bytes of HTTP/1.1, ready to be filled for each message.
    pub fn rendered(&self) -> Rendered {
        let mut head = Template::text(format!("{} ", self.method));
        head.append(self.path.clone());
        head.append(Template::text(" HTTP/1.1\r\n"));
        for (name, value) in &self.headers {
            head.append(Template::text(format!("{name}: ")));
            head.append(value.clone());
            head.append(Template::text("\r\n"));
        }
        // RFC 9110, 8.6: a request whose method expects no content sends no Content-Length for none.
        let silent = self.body.is_empty() && matches!(self.method.as_str(), "GET" | "HEAD");
        Rendered::new(head, if silent { bare } else { with_length }, self.body.clone())
    }

    /// Whether responses come without a body whatever their head says.
    pub fn expects_no_body(&self) -> bool {
        self.method == "HEAD"
    }

    /// The target as it is printed: without credentials and without the values of secret parameters.
    pub fn display(url: &Url) -> String {
        let mut shown = url.clone();
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        // Holes as they were typed.
        mask_parts(shown.as_str()).replace("%7B%7B", "{{").replace("%7D%7D", "}}")
    }
}

/// All requests of a run, to one host.
#[derive(Debug, Clone)]
pub struct Requests {
    url: Url,
    shapes: Vec<RequestShape>,
    mix: Arc<Mix>,
}

impl From<RequestShape> for Requests {
    fn from(only: RequestShape) -> Self {
        let url = only.url.clone();
        Self { url, shapes: vec![only], mix: Arc::new(Mix::new(&[1], 0)) }
    }
}

impl Requests {
    /// At least one shape, all of them at the host of `url`; `mix` chooses between as many.
    pub fn new(url: Url, shapes: Vec<RequestShape>, mix: Arc<Mix>) -> Self {
        Self { url, shapes, mix }
    }

    /// The host they go to, and how.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Each of them.
    pub fn shapes(&self) -> &[RequestShape] {
        &self.shapes
    }

    /// Which of them a slot sends.
    pub fn mix(&self) -> &Arc<Mix> {
        &self.mix
    }
}

/// Host, and port where it is not the scheme's own: what `Host` says.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn with_length(body_len: usize, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "Content-Length: {body_len}\r\n\r\n");
}

fn bare(_body_len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Values;

    fn text(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> String {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), Template::text(v))).collect();
        let body = Template::parse(body.as_bytes()).expect("valid");
        let shape =
            RequestShape::new(Url::parse(url).expect("valid"), method.to_owned(), headers, body);
        let values = Values { msg_id: 99, ..Values::default() };
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
        let url = Url::parse("http://h/{{seq}}?access_token=onyx&sig=onyx&page=1").expect("valid");
        assert_eq!(RequestShape::display(&url), "http://h/{{seq}}?access_token=***&sig=***&page=1");
    }
}
