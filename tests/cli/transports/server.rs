//! A small HTTP/1.1 server on TCP, TLS or a unix socket: a thread per connection, an answer per request.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Requests and connections that a server has seen.
#[derive(Debug, Default)]
struct Seen {
    heads: Mutex<Vec<String>>,
    bytes: AtomicUsize,
    connections: AtomicUsize,
}

/// A server; its threads end with the test's process.
#[derive(Debug, Clone)]
pub(super) struct RecordingServer {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
}

/// Returns the answer to a request with this head.
type Script = Arc<dyn Fn(&str) -> String + Send + Sync>;

fn always_ok() -> Script {
    Arc::new(|_| OK.to_owned())
}

impl RecordingServer {
    pub(super) fn plain() -> Self {
        Self::scripted(|_| OK.to_owned())
    }

    pub(super) fn scripted(script: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::tcp((Ipv4Addr::LOCALHOST, 0).into(), None, Arc::new(script))
    }

    pub(super) fn tls(config: ServerConfig) -> Self {
        Self::tls_on((Ipv4Addr::LOCALHOST, 0).into(), config)
    }

    pub(super) fn tls_on(at: SocketAddr, config: ServerConfig) -> Self {
        Self::tcp(at, Some((Arc::new(config), Duration::ZERO)), always_ok())
    }

    /// Delays the handshake of each client by `pause`.
    pub(super) fn slow_tls(config: ServerConfig, pause: Duration) -> Self {
        let at = (Ipv4Addr::LOCALHOST, 0).into();
        Self::tcp(at, Some((Arc::new(config), pause)), always_ok())
    }

    /// Answers with a body of this size, over TLS.
    pub(super) fn verbose_tls(config: ServerConfig, size: usize) -> Self {
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size));
        let at = (Ipv4Addr::LOCALHOST, 0).into();
        let tls = Some((Arc::new(config), Duration::ZERO));
        Self::tcp(at, tls, Arc::new(move |_| answer.clone()))
    }

    fn tcp(at: SocketAddr, tls: Option<(Arc<ServerConfig>, Duration)>, script: Script) -> Self {
        let listener = TcpListener::bind(at).expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::<Seen>::default();
        let own = Arc::clone(&seen);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                own.connections.fetch_add(1, SeqCst);
                let (seen, tls, script) = (Arc::clone(&own), tls.clone(), Arc::clone(&script));
                // A client may leave, or refuse the certificate, without failing the test.
                thread::spawn(move || drop(serve_tcp(socket, tls, &seen, &script)));
            }
        });
        Self { address, seen }
    }

    pub(super) fn unix(path: &Path, tls: Option<ServerConfig>) -> Self {
        let listener = UnixListener::bind(path).expect("a path");
        let seen = Arc::<Seen>::default();
        let own = Arc::clone(&seen);
        let tls = tls.map(Arc::new);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                own.connections.fetch_add(1, SeqCst);
                let (seen, tls) = (Arc::clone(&own), tls.clone());
                thread::spawn(move || match tls {
                    Some(config) => {
                        let session = ServerConnection::new(config).expect("a configuration");
                        serve(StreamOwned::new(session, socket), &seen, &always_ok())
                    }
                    None => serve(socket, &seen, &always_ok()),
                });
            }
        });
        Self { address: (Ipv4Addr::UNSPECIFIED, 0).into(), seen }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Heads of the requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.seen.heads.lock().expect("no panic").clone()
    }

    /// Bytes of the bodies so far.
    pub(super) fn bytes(&self) -> usize {
        self.seen.bytes.load(SeqCst)
    }

    /// Connections so far, including the probe.
    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }
}

fn serve_tcp(
    socket: TcpStream,
    tls: Option<(Arc<ServerConfig>, Duration)>,
    seen: &Seen,
    script: &Script,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let Some((config, pause)) = tls else { return serve(socket, seen, script) };
    thread::sleep(pause);
    let session = ServerConnection::new(config).map_err(io::Error::other)?;
    serve(StreamOwned::new(session, socket), seen, script)
}

fn serve(mut stream: impl Read + Write, seen: &Seen, script: &Script) -> io::Result<()> {
    let mut kept = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = kept.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if fill(&mut stream, &mut kept)? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&kept[..end]).into_owned();
        let length: usize =
            field(&head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
        while kept.len() < end + length {
            if fill(&mut stream, &mut kept)? == 0 {
                return Ok(());
            }
        }
        kept.drain(..end + length);
        seen.bytes.fetch_add(length, SeqCst);
        let answer = script(&head);
        let closes = field(&head, "connection").is_some_and(|value| value == "close");
        seen.heads.lock().expect("no panic").push(head);
        stream.write_all(answer.as_bytes())?;
        stream.flush()?;
        if closes {
            return Ok(());
        }
    }
}

fn fill(stream: &mut impl Read, kept: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 16 * 1024];
    let len = stream.read(&mut piece)?;
    kept.extend_from_slice(&piece[..len]);
    Ok(len)
}

/// The value of a field.
pub(super) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}
