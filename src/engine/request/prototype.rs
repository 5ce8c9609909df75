//! Rendering of requests for reqwest: what does not change is built once.

use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use url::Url;

use super::shape::{RequestSet, RequestShape, authority};
use crate::engine::transport::ConnectError;
use crate::engine::transport::link::{TargetEndpoint, TargetLink};
use crate::message::{Rendered, Template, Values};

/// All request shapes of a run.
#[derive(Debug)]
pub(crate) struct Prototypes(Vec<Prototype>);

impl Prototypes {
    /// Builds the shapes of `requests`. `link` is `None` if a proxy finds the target.
    pub(crate) fn new(
        requests: &RequestSet,
        link: Option<&TargetLink>,
    ) -> Result<Self, ConnectError> {
        let shapes = requests.shapes().iter();
        shapes.map(|shape| Prototype::new(shape, link)).collect::<Result<_, _>>().map(Self)
    }

    /// Returns shape `index` with `values` in its placeholders, and the length of its body in bytes.
    pub(crate) fn request(&mut self, index: usize, values: &Values) -> (Request, u64) {
        self.0[index].request(values)
    }
}

#[derive(Debug)]
struct Prototype {
    method: Method,
    url: Url,
    /// Path and query if they have placeholders.
    path: Option<Template>,
    /// Headers without placeholders.
    headers: HeaderMap,
    /// Headers with placeholders.
    changing: Vec<(HeaderName, Template)>,
    body: Rendered,
}

impl Prototype {
    fn new(shape: &RequestShape, link: Option<&TargetLink>) -> Result<Self, ConnectError> {
        let (mut headers, mut changing) = (HeaderMap::new(), Vec::new());
        for (name, value) in &shape.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid_header())?;
            match value.as_text() {
                Some(text) => {
                    let value = HeaderValue::from_bytes(text).map_err(|_| invalid_header())?;
                    headers.append(name, value);
                }
                None => changing.push((name, value.clone())),
            }
        }
        let method = Method::from_bytes(shape.method.as_bytes());
        let method = method.map_err(|e| ConnectError::Setup(e.to_string()))?;
        let mut url = shape.url.clone();
        // The credentials are in the Authorization header already.
        let _ = (url.set_username(""), url.set_password(None));
        url.set_fragment(None);
        if let Some(TargetEndpoint::Tcp(address)) = link.map(|link| &link.endpoint)
            && url.domain().is_some()
            && url.port().is_some_and(|port| port != address.port())
        {
            // A port in the URL would override that of --connect-to. The Host header keeps it.
            let _ = url.set_port(None);
        }
        // The client writes Host (in HTTP/2, `:authority`) from the URL, unless it differs.
        let own = authority(&url);
        if headers.get(HOST).is_some_and(|host| host.as_bytes() == own.as_bytes()) {
            headers.remove(HOST);
        }
        let body = Rendered::new(Template::default(), |_, _| (), shape.body.clone());
        let fixed = shape.path.as_text().and_then(|path| std::str::from_utf8(path).ok());
        let path = match fixed {
            Some(path) => {
                url = with_path(&url, path);
                None
            }
            None => Some(shape.path.clone()),
        };
        Ok(Self { method, url, path, headers, changing, body })
    }

    fn request(&mut self, values: &Values) -> (Request, u64) {
        let url = match &self.path {
            Some(path) => with_path(&self.url, &String::from_utf8_lossy(&written(path, values))),
            None => self.url.clone(),
        };
        let mut request = Request::new(self.method.clone(), url);
        *request.headers_mut() = self.headers.clone();
        for (name, value) in &self.changing {
            // The plan has checked all values.
            if let Ok(value) = HeaderValue::from_bytes(&written(value, values)) {
                request.headers_mut().append(name, value);
            }
        }
        let body = self.body.fill(values).to_vec();
        let len = body.len() as u64;
        *request.body_mut() = Some(body.into());
        (request, len)
    }
}

fn invalid_header() -> ConnectError {
    ConnectError::Setup("a header that HTTP does not allow".to_owned())
}

fn written(template: &Template, values: &Values) -> Vec<u8> {
    let mut out = Vec::with_capacity(template.len(values));
    template.write(values, &mut out);
    out
}

/// Returns the URL with the path and query of `target`.
fn with_path(url: &Url, target: &str) -> Url {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(query);
    url
}
