//! A RESP client that hides nothing: bytes go out as a test writes them, and replies come back as they
//! are on the wire.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::LIMIT;

pub(crate) struct QueueClient {
    server: &'static str,
    stream: TcpStream,
    input: Vec<u8>,
}

/// A command as an array of bulk strings.
pub(crate) fn encode(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// A command of words between spaces.
pub(crate) fn words(text: &str) -> Vec<u8> {
    encode(&text.split(' ').collect::<Vec<_>>())
}

impl QueueClient {
    pub(crate) fn new(address: SocketAddr, server: &'static str) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(LIMIT)).expect("not zero");
        Self { server, stream, input: Vec::new() }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("it takes bytes");
    }

    /// The next reply, as on the wire.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Vec<u8> {
        loop {
            if let Some(len) = reply_len(&self.input) {
                return self.input.drain(..len).collect();
            }
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(count @ 1..) => self.input.extend(&chunk[..count]),
                other => panic!("{}: no reply: {other:?}, only {:?}", self.server, self.text()),
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.input).into_owned()
    }

    /// The next reply with its line ends as spaces: `*2 $1 a $1 b`.
    #[track_caller]
    pub(crate) fn shown(&mut self) -> String {
        let reply = self.reply();
        String::from_utf8_lossy(&reply).replace("\r\n", " ").trim_end().to_owned()
    }

    #[track_caller]
    pub(crate) fn call(&mut self, text: &str) -> String {
        self.send(&words(text));
        self.shown()
    }

    /// Sends commands one by one and holds each reply against the expected one.
    #[track_caller]
    pub(crate) fn script(&mut self, lines: &[(&str, &str)]) {
        for (command, expected) in lines {
            assert_eq!(self.call(command), *expected, "{}: {command}", self.server);
        }
    }

    /// Nothing comes for a moment.
    #[track_caller]
    pub(crate) fn expect_silence(&mut self) {
        self.stream.set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
        let read = self.stream.read(&mut [0; 64]);
        self.stream.set_read_timeout(Some(LIMIT)).expect("not zero");
        let kind = read.map_err(|e| e.kind());
        assert!(matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{kind:?}");
    }

    /// The connection is closed, after this.
    #[track_caller]
    pub(crate) fn rest(mut self) -> String {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return self.text(),
                Ok(count) => self.input.extend(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.text(),
                Err(error) => panic!("{} does not close: {error}", self.server),
            }
        }
    }
}

/// The length of the reply at the beginning, once it is whole.
fn reply_len(input: &[u8]) -> Option<usize> {
    let end = input.windows(2).position(|two| two == b"\r\n")? + 2;
    let number = || std::str::from_utf8(&input[1..end - 2]).ok()?.parse::<i64>().ok();
    let count = |n: i64| usize::try_from(n).ok();
    match input[0] {
        b'$' => match count(number()?) {
            Some(len) => (input.len() >= end + len + 2).then_some(end + len + 2),
            None => Some(end),
        },
        b'*' => (0..count(number()?).unwrap_or(0))
            .try_fold(end, |at, _| reply_len(&input[at..]).map(|len| at + len)),
        _ => Some(end),
    }
}
