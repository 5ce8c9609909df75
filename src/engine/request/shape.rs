//! Shapes of the requests of a run: method, headers, path and body with their placeholders.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use url::Url;

use crate::core::percent_decode;
use crate::core::secrets::mask_parts;
use crate::message::{MessageBody, Mix, Rendered, Template};

/// Request with placeholders that are filled in for each message.
#[derive(Debug, Clone)]
pub(crate) struct RequestShape {
    /// Target.
    pub url: Url,
    /// Method, a valid token.
    pub method: String,
    /// Headers in order, also `Host`, `Content-Type` and `Authorization`.
    pub headers: Vec<(String, Template)>,
    /// Path and query with their placeholders.
    pub path: Template,
    /// Body with its placeholders.
    pub body: MessageBody,
}

impl RequestShape {
    /// Adds the headers that the user has not given: `Host`, `Content-Type` (JSON, if there is a body) and
    /// `Authorization` (from the URL's credentials).
    pub(crate) fn new(
        url: Url,
        method: String,
        mut headers: Vec<(String, Template)>,
        body: impl Into<MessageBody>,
    ) -> Self {
        let body = body.into();
        add_missing(&mut headers, "Host", authority(&url));
        if !body.is_empty() {
            add_missing(&mut headers, "Content-Type", "application/json".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            let user = percent_decode(url.username());
            let password = percent_decode(url.password().unwrap_or_default());
            let pair = format!("{user}:{password}");
            let value = format!("Basic {}", BASE64.encode(pair));
            add_missing(&mut headers, "Authorization", value);
        }
        let path = Template::text(&url[url::Position::BeforePath..url::Position::AfterQuery]);
        Self { url, method, headers, path, body }
    }

    /// Replaces the path and the query of the URL.
    #[must_use]
    pub(crate) fn with_path(self, path: Template) -> Self {
        Self { path, ..self }
    }

    /// Renders the request as HTTP/1.1, to be filled in for each message.
    pub(crate) fn rendered(&self) -> Rendered {
        let mut head = Template::text(format!("{} ", self.method));
        head.append(self.path.clone());
        head.append(Template::text(" HTTP/1.1\r\n"));
        for (name, value) in &self.headers {
            head.append(Template::text(format!("{name}: ")));
            head.append(value.clone());
            head.append(Template::text("\r\n"));
        }
        // RFC 9110, 8.6: a request whose method expects no content sends no Content-Length for none.
        let no_length = self.body.is_empty() && matches!(self.method.as_str(), "GET" | "HEAD");
        Rendered::new(
            head,
            if no_length { end_head } else { end_head_with_length },
            self.body.clone(),
        )
    }

    /// Returns true if the method is HEAD, whose responses have no body.
    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// Returns the target for printing: without credentials and values of secret parameters.
    pub(crate) fn display(url: &Url) -> String {
        let mut shown = url.clone();
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        // Placeholders as they were typed.
        mask_parts(shown.as_str()).replace("%7B%7B", "{{").replace("%7D%7D", "}}")
    }
}

/// All request shapes of a run, to one host.
#[derive(Debug, Clone)]
pub(crate) struct RequestSet {
    #[cfg_attr(not(feature = "reqwest"), allow(dead_code, reason = "only reqwest needs it"))]
    url: Url,
    shapes: Vec<RequestShape>,
    mix: Arc<Mix>,
}

impl From<RequestShape> for RequestSet {
    fn from(only: RequestShape) -> Self {
        let url = only.url.clone();
        Self { url, shapes: vec![only], mix: Arc::new(Mix::new(&[1], 0)) }
    }
}

impl RequestSet {
    /// `shapes` has at least one element; all of them go to the host of `url`, and `mix` is of as many.
    pub(crate) fn new(url: Url, shapes: Vec<RequestShape>, mix: Arc<Mix>) -> Self {
        Self { url, shapes, mix }
    }

    /// URL with the scheme and the host of all requests.
    #[cfg_attr(not(feature = "reqwest"), allow(dead_code, reason = "only reqwest needs it"))]
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Request shapes, at least one.
    pub(crate) fn shapes(&self) -> &[RequestShape] {
        &self.shapes
    }

    /// Order of the shapes by slot.
    pub(crate) fn mix(&self) -> &Arc<Mix> {
        &self.mix
    }
}

/// Adds a header unless the user has given it.
fn add_missing(headers: &mut Vec<(String, Template)>, name: &str, value: String) {
    if !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
        headers.push((name.to_owned(), Template::text(value)));
    }
}

/// Value of the `Host` header: the host, and the port unless it is the default of the scheme.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn end_head_with_length(body_len: usize, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "Content-Length: {body_len}\r\n\r\n");
}

fn end_head(_body_len: usize, out: &mut Vec<u8>) {
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
