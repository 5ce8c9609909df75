//! Scripted HTTP servers: a thread per connection, and a scripted act for each request.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// The largest body that is read; a larger one is answered without.
pub(crate) const LARGEST_BODY: usize = 8 << 20;

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Request line and fields, without the empty line.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut named = fields.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.trim())
    }
}

/// Reaction of a target to a request.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// Answers and keeps the connection.
    Say(&'static [u8]),
    /// Answers and closes.
    SayAndClose(&'static [u8]),
    /// Answers after a while.
    SayAfter(Duration, &'static [u8]),
    /// Answers a byte at a time.
    Dribble(&'static [u8]),
    /// Answers the first, then the second again and again without end.
    SayAgainAndAgain(&'static [u8], &'static [u8]),
    /// Keeps the connection and sends nothing.
    Silence,
    /// Closes with a reset.
    Reset,
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, answer) = match self {
            Self::Say(answer) => ("Say", *answer),
            Self::SayAndClose(answer) => ("SayAndClose", *answer),
            Self::SayAfter(_, answer) => ("SayAfter", *answer),
            Self::Dribble(answer) => ("Dribble", *answer),
            Self::SayAgainAndAgain(first, _) => ("SayAgainAndAgain", *first),
            Self::Silence => ("Silence", b"".as_slice()),
            Self::Reset => ("Reset", b"".as_slice()),
        };
        write!(f, "{name}({:?})", String::from_utf8_lossy(answer))
    }
}

#[derive(Default)]
struct Shared {
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    /// Requests being answered, now and at most.
    busy: AtomicUsize,
    most_busy: AtomicUsize,
    gone: AtomicBool,
}

/// A server that runs until it is dropped.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Target {
    /// A server that does the same with every request.
    pub(crate) fn always(act: Act) -> Self {
        Self::scripted(move |_| act)
    }

    /// A server that asks `script`, on the connection's thread.
    pub(crate) fn scripted(script: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        Self::start((Ipv4Addr::LOCALHOST, 0).into(), usize::MAX, script).expect("a loopback port")
    }

    /// A server on `at` that stops listening after `most` connections.
    pub(crate) fn start(
        at: SocketAddr,
        most: usize,
        script: impl Fn(&Request) -> Act + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        let address = listener.local_addr()?;
        let shared = Arc::<Shared>::default();
        let (own, script) = (Arc::clone(&shared), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming().take(most) {
                if own.gone.load(SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                own.connections.fetch_add(1, SeqCst);
                let (own, script) = (Arc::clone(&own), Arc::clone(&script));
                // A client may leave without failing the test.
                thread::spawn(move || drop(serve(&stream, &own, &*script)));
            }
        });
        Ok(Self { address, shared })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no panic").clone()
    }

    /// Connections so far, including the probe.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// The most requests that were being answered at once.
    pub(crate) fn most_busy(&self) -> usize {
        self.shared.most_busy.load(SeqCst)
    }

    /// Waits until a request has come.
    pub(crate) fn wait_for_load(&self) {
        let begun = Instant::now();
        while self.shared.requests.lock().expect("no panic").is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "no request came");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.shared.gone.store(true, SeqCst);
        // Wakes the listener, if it still listens.
        let _ = TcpStream::connect(self.address);
    }
}

/// A script that answers at once, except for one period after the first request: requests in it are answered at its
/// end.
pub(crate) fn stalling(
    after: Duration,
    lasts: Duration,
) -> impl Fn(&Request) -> Act + Send + Sync + 'static {
    let first = OnceLock::new();
    move |_| {
        let since = first.get_or_init(Instant::now).elapsed();
        match (after + lasts).checked_sub(since) {
            Some(left) if since >= after => Act::SayAfter(left, OK),
            _ => Act::Say(OK),
        }
    }
}

fn serve(stream: &TcpStream, shared: &Shared, script: &dyn Fn(&Request) -> Act) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    while let Some(request) = read_request(&mut input)? {
        let busy = shared.busy.fetch_add(1, SeqCst) + 1;
        shared.most_busy.fetch_max(busy, SeqCst);
        let act = script(&request);
        shared.requests.lock().expect("no panic").push(request);
        let kept = perform(act, stream);
        if matches!(act, Act::Silence) {
            // It is being answered until the client leaves.
            let _ = input.fill_buf();
        }
        shared.busy.fetch_sub(1, SeqCst);
        if !kept? {
            break;
        }
    }
    Ok(())
}

/// The next request; `None` when the client has closed.
pub(crate) fn read_request(input: &mut impl io::BufRead) -> io::Result<Option<Request>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let mut request = Request { head: head.trim_end().to_owned(), body: String::new() };
    let length: usize = match request.field("Content-Length") {
        Some(length) => length.parse().map_err(io::Error::other)?,
        None => 0,
    };
    if length <= LARGEST_BODY {
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        request.body = String::from_utf8(body).map_err(io::Error::other)?;
    }
    Ok(Some(request))
}

/// Performs an act. Returns `true` if the connection is kept.
fn perform(act: Act, mut stream: &TcpStream) -> io::Result<bool> {
    match act {
        Act::Say(answer) => stream.write_all(answer)?,
        Act::SayAfter(pause, answer) => {
            thread::sleep(pause);
            stream.write_all(answer)?;
        }
        Act::Dribble(answer) => {
            for byte in answer {
                stream.write_all(&[*byte])?;
                thread::sleep(Duration::from_micros(200));
            }
        }
        Act::SayAgainAndAgain(first, again) => {
            stream.write_all(first)?;
            loop {
                stream.write_all(again)?;
                // Fast enough to overflow any limit within a timeout, slow enough to leave a core free.
                thread::sleep(Duration::from_micros(500));
            }
        }
        Act::Silence => {}
        Act::SayAndClose(answer) => {
            stream.write_all(answer)?;
            return Ok(false);
        }
        Act::Reset => {
            rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
            return Ok(false);
        }
    }
    Ok(true)
}
