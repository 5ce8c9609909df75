//! A target that keeps every request unchanged and answers as scripted.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The answer to a request.
type Answers = dyn Fn(&ScriptRequest) -> String + Send + Sync;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScriptRequest {
    /// Method, path and version.
    pub(super) line: String,
    /// Header lines, sorted: the order is that of a Lua table.
    pub(super) headers: Vec<String>,
    pub(super) body: String,
    /// Number of its connection, from 0.
    pub(super) connection: usize,
    /// Number of requests in the same read, this one included.
    pub(super) together: usize,
}

impl ScriptRequest {
    pub(super) fn path(&self) -> &str {
        self.line.split(' ').nth(1).expect("a path")
    }

    pub(super) fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|own| own == header)
    }
}

pub(super) struct ScriptTarget {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<ScriptRequest>>>,
}

/// A plain answer.
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl ScriptTarget {
    pub(super) fn start() -> Self {
        Self::answering(|_| OK.to_owned())
    }

    pub(super) fn answering(
        answers: impl Fn(&ScriptRequest) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::<Mutex<Vec<ScriptRequest>>>::default();
        let (kept, answers) = (Arc::clone(&seen), Arc::<Box<Answers>>::new(Box::new(answers)));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let (kept, answers) = (Arc::clone(&kept), Arc::clone(&answers));
                thread::spawn(move || serve(stream, connection, &kept, &**answers));
            }
        });
        Self { address, seen }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far, in the order in which they came.
    pub(super) fn requests(&self) -> Vec<ScriptRequest> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    kept: &Mutex<Vec<ScriptRequest>>,
    answers: &Answers,
) {
    let (mut text, mut chunk) = (Vec::new(), [0; 65_536]);
    while let Ok(count @ 1..) = stream.read(&mut chunk) {
        text.extend_from_slice(&chunk[..count]);
        let mut requests = Vec::new();
        while let Some((request, len)) = take(&text, connection) {
            requests.push(request);
            text.drain(..len);
        }
        let together = requests.len();
        requests.iter_mut().for_each(|request| request.together = together);
        let all: String = requests.iter().map(answers).collect();
        kept.lock().unwrap_or_else(PoisonError::into_inner).extend(requests);
        if stream.write_all(all.as_bytes()).is_err() || all.contains("Connection: close") {
            return;
        }
    }
}

/// The first whole request of a text, and its length.
fn take(text: &[u8], connection: usize) -> Option<(ScriptRequest, usize)> {
    let text = std::str::from_utf8(text).expect("these tests send text");
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n").map(str::to_owned);
    let line = lines.next()?;
    let mut headers: Vec<_> = lines.collect();
    headers.sort();
    let length = headers.iter().find_map(|header| header.strip_prefix("Content-Length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
    let body = rest.get(..length)?.to_owned();
    let len = head.len() + 4 + length;
    Some((ScriptRequest { line, headers, body, connection, together: 0 }, len))
}
