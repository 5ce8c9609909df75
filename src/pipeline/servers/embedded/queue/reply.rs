//! Replies as bytes: RESP2.

/// `+OK`.
pub(super) fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// A short word.
pub(super) fn simple(out: &mut Vec<u8>, text: &str) {
    out.push(b'+');
    line(out, text.as_bytes());
}

/// An error; what a peer had a hand in cannot end its line.
pub(super) fn error(out: &mut Vec<u8>, text: &str) {
    out.push(b'-');
    out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

/// A number.
pub(super) fn integer(out: &mut Vec<u8>, value: i64) {
    header(out, b':', value);
}

/// Writes the number of elements of something in memory.
pub(super) fn count(out: &mut Vec<u8>, value: usize) {
    integer(out, value as i64);
}

/// A string.
pub(super) fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    header(out, b'$', bytes.len() as i64);
    line(out, bytes);
}

/// A string that is not there.
pub(super) fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"$-1\r\n");
}

/// The beginning of an array of `len` elements.
pub(super) fn array(out: &mut Vec<u8>, len: usize) {
    header(out, b'*', len as i64);
}

/// An array that is not there.
pub(super) fn null_array(out: &mut Vec<u8>) {
    out.extend_from_slice(b"*-1\r\n");
}

fn header(out: &mut Vec<u8>, kind: u8, value: i64) {
    out.push(kind);
    line(out, itoa::Buffer::new().format(value).as_bytes());
}

fn line(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}
