//! The place where a request carries its MsgID. Without it no arrival can be joined to the request.

use super::{Request, RequestPlan};
use crate::config::plan::{PlanError, refuse};
use crate::message::{MessageBody, Template};

impl Request {
    /// Returns whether each request carries its MsgID: in the body, in a header, or in the URL. Without it no
    /// arrival can be joined to the request, so it is not a message.
    pub fn carries_id(&self) -> bool {
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

    /// The note about requests without a MsgID, whose messages cannot be followed; `None` where every
    /// request carries its MsgID.
    pub(crate) fn id_note(&self) -> Option<String> {
        let without: Vec<_> = (self.requests.iter())
            .filter(|request| !request.carries_id())
            .map(|request| request.name.as_str())
            .collect();
        if without.is_empty() {
            None
        } else if self.is_without_ids() {
            Some(
                "{{msg_id}} is not in the body, a header or the URL of any request: arrivals cannot be \
                 joined to requests, so none is measured. Put {{msg_id}} where the service copies it \
                 into the message"
                    .to_owned(),
            )
        } else {
            Some(format!(
                "{{{{msg_id}}}} is not in the body, a header or the URL of {}: messages and arrival are \
                 of the other requests",
                without.join(", ")
            ))
        }
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
