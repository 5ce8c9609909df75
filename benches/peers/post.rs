//! The request that all generators send.

use loadgen::message::template::DEFAULT_BODY;

/// The body that loadgen sends by itself, with this for its MsgID.
pub(crate) fn body(id: &str) -> String {
    DEFAULT_BODY.replace("{{msg_id}}", id)
}

/// A script for wrk and wrk2 that sends what loadgen does: a counter in the body.
pub(crate) fn script() -> String {
    let body = body("' .. count .. '");
    format!(
        "local count = 0\n\
         local headers = {{ ['Content-Type'] = 'application/json' }}\n\
         request = function()\n  \
           count = count + 1\n  \
           return wrk.format('POST', '/', headers, '{body}')\n\
         end\n"
    )
}
