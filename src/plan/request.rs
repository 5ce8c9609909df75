//! What is sent: method, headers, body.

use super::{MAX_BODY, PlanError, refuse};
use crate::message::{IdFields, Template, template::DEFAULT_BODY};
use crate::profile::{Node, Settings};

/// What is sent.
#[derive(Debug, Clone)]
pub struct RequestPlan {
    /// Method, a valid token.
    pub method: String,
    /// Names and values, valid for HTTP/1.1.
    pub headers: Vec<(String, String)>,
    /// Body with its holes.
    pub body: Template,
    /// The JSON field that carries the MsgID.
    pub id_fields: IdFields,
    /// This process's share of the slots and of the ids.
    pub node: Node,
}

impl RequestPlan {
    /// Tells the target that each connection ends with its response.
    pub(super) fn close_connections(&mut self) {
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
            self.headers.push(("Connection".to_owned(), "close".to_owned()));
        }
    }
}

/// Checks the settings of the request and reads its body's file.
pub(super) fn request(settings: &Settings) -> Result<RequestPlan, PlanError> {
    let method = settings.method.clone().unwrap_or_else(|| "POST".to_owned());
    if method.is_empty() || !method.bytes().all(is_token) {
        return refuse(format!("--method '{method}' is not an HTTP method"));
    }
    let headers = settings.headers.iter().map(|h| header(h)).collect::<Result<_, _>>()?;
    let body = match (&settings.body, &settings.body_file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(file)) => std::fs::read(file)
            .map_err(|e| PlanError(format!("--body-file {}: {e}", file.display())))?,
        (None, None) if matches!(method.as_str(), "GET" | "HEAD") => Vec::new(),
        (None, None) => DEFAULT_BODY.as_bytes().to_vec(),
    };
    if body.len() > MAX_BODY {
        return refuse("--body is larger than 16 MiB, which does not go through the pipeline");
    }
    Ok(RequestPlan {
        method,
        headers,
        body: Template::parse(&body).map_err(|e| PlanError(format!("--body: {e}")))?,
        id_fields: settings.id_field.as_deref().map_or_else(IdFields::default, IdFields::only),
        node: settings.node.unwrap_or(Node { index: 0, count: 1 }),
    })
}

/// Splits and checks `Name: value`, so that no header can smuggle in a second one.
fn header(text: &str) -> Result<(String, String), PlanError> {
    let Some((name, value)) = text.split_once(':') else {
        return refuse(format!("--header '{text}' is not of the form 'Name: value'"));
    };
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty()
        || !name.bytes().all(is_token)
        || value.bytes().any(|b| b < b' ' && b != b'\t' || b == 127)
    {
        return refuse(format!("--header '{name}' has a character that HTTP does not allow"));
    }
    if ["content-length", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return refuse(format!("--header '{name}' is set from the body; leave it out"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
