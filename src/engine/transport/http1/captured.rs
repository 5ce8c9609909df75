//! Response that is captured for a script: its head unchanged, its body without the chunked coding.

/// Largest part of a body that is captured, in bytes.
const MOST_BODY: usize = 16 * 1024 * 1024;

/// Head and body of one response. The memory is reused for the next one.
#[derive(Debug, Default)]
pub(crate) struct CapturedResponse {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl CapturedResponse {
    /// Starts the next response with its head.
    pub(super) fn begin(&mut self, head: &[u8]) {
        self.body.clear();
        self.head.clear();
        self.head.extend_from_slice(head);
    }

    /// Adds a piece of the body, of which the first 16 MiB are kept.
    pub(super) fn add(&mut self, piece: &[u8]) {
        let room = MOST_BODY - self.body.len();
        self.body.extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

impl CapturedResponse {
    /// Body, at most its first 16 MiB.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(any(feature = "lua", test))]
impl CapturedResponse {
    /// Calls `each` with the name and the value of every header field, in their order.
    pub(crate) fn fields(&self, mut each: impl FnMut(&str, &[u8])) {
        let mut fields = [httparse::EMPTY_HEADER; super::MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        // It was parsed before it was captured.
        if response.parse(&self.head).is_ok() {
            response.headers.iter().for_each(|field| each(field.name, field.value));
        }
    }

    /// Head as it was received.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }
}
