//! A response that is kept for a script to see: its head as it came, its body without the chunked coding.

/// The most that is kept of a body.
const MOST_BODY: usize = 16 * 1024 * 1024;

/// One response's head and body. The memory is used again for the next one.
#[derive(Debug, Default)]
pub struct CapturedResponse {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl CapturedResponse {
    /// Begins with the head of the next response.
    pub(super) fn begin(&mut self, head: &[u8]) {
        self.body.clear();
        self.head.clear();
        self.head.extend_from_slice(head);
    }

    /// Adds a piece of the body, which is cut at 16 MiB.
    pub(super) fn add(&mut self, piece: &[u8]) {
        let room = MOST_BODY - self.body.len();
        self.body.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// Calls `each` with the name and the value of every header field, in their order.
    pub fn fields(&self, mut each: impl FnMut(&str, &[u8])) {
        let mut fields = [httparse::EMPTY_HEADER; super::MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        // It was parsed before it was kept.
        if response.parse(&self.head).is_ok() {
            response.headers.iter().for_each(|field| each(field.name, field.value));
        }
    }

    /// The head as it came.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The body, of which at most 16 MiB are kept.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}
