//! A small HTTP client: one request, one connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::LIMIT;

/// Answer of a server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim())
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }
}

/// Sends these bytes and reads until the server closes.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a valid timeout");
    stream.set_write_timeout(Some(LIMIT)).expect("a valid timeout");
    // A server may answer and close before it has read everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    Answer::parse(&text).unwrap_or_else(|| panic!("no HTTP answer, {read:?}: {text}"))
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(address, format!("GET {path} HTTP/1.1\r\n{COMMON}\r\n").as_bytes())
}

pub(crate) fn post(address: SocketAddr, body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let head = format!("POST / HTTP/1.1\r\n{COMMON}Content-Length: {}\r\n\r\n", body.len());
    exchange(address, &[head.as_bytes(), body].concat())
}

const COMMON: &str = "Host: test\r\nConnection: close\r\n";
