//! The place where a request carries its MsgID. Without it no arrival can be joined to the request.

use super::{Request, RequestPlan};
use crate::config::plan::{PlanError, refuse};
use crate::message::{MessageBody, Template};

/// Warning before a run, and note after it, that no arrival can be measured.
pub(crate) const NO_REQUEST_CARRIES_ID: &str = "{{msg_id}} is not in the body, a header or the URL of any \
     request: arrivals cannot be joined to requests, so none is measured. Put {{msg_id}}, {{msg_uuid}} or \
     {{traceparent}} where the service copies it into the message";

impl Request {
    /// Returns whether each request carries its MsgID: in the body, in a header, or in the URL. Without it no
    /// arrival can be joined to the request, so it is not a message.
    pub(crate) fn carries_id(&self) -> bool {
        head_carries_id(&self.path, &self.headers) || self.body.carries_id()
    }
}

/// Returns whether the MsgID is in the URL or in a header.
pub(super) fn head_carries_id(path: &Template, headers: &[(String, Template)]) -> bool {
    path.carries_id() || headers.iter().any(|(_, value)| value.carries_id())
}

impl RequestPlan {
    /// Returns whether no request carries its MsgID.
    pub(crate) fn is_without_ids(&self) -> bool {
        !self.requests.iter().any(Request::carries_id)
    }

    /// Names of the requests that do not carry their MsgID.
    pub(crate) fn names_without_id(&self) -> Vec<String> {
        let without = self.requests.iter().filter(|request| !request.carries_id());
        without.map(|request| request.name.clone()).collect()
    }
}

/// Refuses lines of which only some carry the MsgID, unless the head carries it for all.
pub(super) fn check_lines(body: &MessageBody, in_head: bool) -> Result<(), PlanError> {
    match body.first_line_without_id().filter(|_| !in_head) {
        Some(line) => refuse(format!(
            "--body-lines: line {line} does not contain {{{{msg_id}}}}, but others do; put it into all lines or none"
        )),
        None => Ok(()),
    }
}
