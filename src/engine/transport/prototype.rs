//! The requests of a run as reqwest takes them: what stays the same is made once.

use std::sync::Arc;

use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request};
use url::Url;

use super::ConnectError;
use super::link::{TargetEndpoint, TargetLink};
use super::request::{RequestShape, Requests, authority};
use crate::message::{Mix, Rendered, Template, Values};

/// All requests of a run.
#[derive(Debug)]
pub(super) struct Prototypes {
    all: Vec<Prototype>,
    mix: Arc<Mix>,
}

impl Prototypes {
    pub(super) fn new(
        requests: &Requests,
        link: Option<&TargetLink>,
    ) -> Result<Self, ConnectError> {
        let prototype = |shape| Prototype::new(shape, link);
        let all = requests.shapes().iter().map(prototype).collect::<Result<_, _>>()?;
        Ok(Self { all, mix: Arc::clone(requests.mix()) })
    }

    /// The request of the message with these values, and the length of its body.
    pub(super) fn request(&mut self, values: &Values) -> (Request, u64) {
        let turn = self.mix.turn(values.turn);
        self.all[turn.request].request(&Values { turn: turn.nth, ..*values })
    }
}

#[derive(Debug)]
struct Prototype {
    method: Method,
    url: Url,
    /// Path and query, where they have holes.
    path: Option<Template>,
    headers: HeaderMap,
    /// Headers that have holes; in `headers` they have none of their values.
    changing: Vec<(HeaderName, Template)>,
    body: Rendered,
}

impl Prototype {
    fn new(shape: &RequestShape, link: Option<&TargetLink>) -> Result<Self, ConnectError> {
        let (mut headers, mut changing) = (HeaderMap::new(), Vec::new());
        for (name, value) in &shape.headers {
            let setup = || ConnectError::Setup("a header that HTTP does not allow".to_owned());
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| setup())?;
            match value.as_text() {
                Some(text) => {
                    headers.append(name, HeaderValue::from_bytes(text).map_err(|_| setup())?);
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
            // A port in the URL would win over that of --connect-to. It stays in the Host header.
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
            // The plan has checked what fills it.
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

fn written(template: &Template, values: &Values) -> Vec<u8> {
    let mut out = Vec::with_capacity(template.len(values));
    template.write(values, &mut out);
    out
}

/// The URL with another path and query.
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
