//! Ramps on servers that refuse requests, or never answer them: neither is what they hold.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{Ramp, findings, names, steps};

/// Answer of a server to its nth request.
type Act = fn(usize) -> Option<&'static str>;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const AWAY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// Serves requests without a body until the test ends; its URL.
fn serve(act: Act) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let count = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = count.clone();
            std::thread::spawn(move || answer(stream, act, &count));
        }
    });
    url
}

fn answer(mut stream: TcpStream, act: Act, count: &AtomicUsize) {
    let (mut seen, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        seen.extend_from_slice(&bytes[..read]);
        while let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            seen.drain(..end + 4);
            if let Some(text) = act(count.fetch_add(1, Relaxed)) {
                let _ = stream.write_all(text.as_bytes());
            }
        }
    }
}

#[test]
fn a_search_does_not_count_refused_requests_as_capacity() {
    let url = serve(|n| Some(if n % 4 == 0 { OK } else { AWAY }));
    let ramp = Ramp::start(&format!(
        "url = '{url}'\nduration = '500ms'\nconnections = 2\n\
         [search]\nrate = '100..800'\nholds = 'requests.failed == 0'\nconfirm = 1\n"
    ));
    let (_, printed, report) = ramp.finish();
    let knee = &findings(&report, "knee")[0];
    assert!(knee.starts_with("there is no value at which"), "{printed}");
    assert!(knee.contains("% of the answers were neither 2xx nor 3xx"), "{printed}");
    assert!(steps(&report).iter().all(|step| step["error"].is_null()), "{printed}");
}

#[test]
fn a_ramp_without_any_answer_fails() {
    let url = serve(|_| None);
    let ramp = Ramp::start(&format!(
        "url = '{url}'\nduration = '300ms'\ndrain = '100ms'\n[sweep]\nconnections = [1, 2]\n"
    ));
    let (code, printed, report) = ramp.finish();
    assert_eq!((code, names(&report).len()), (Some(1), 2), "{printed}");
    assert!(printed.contains("2 of 2 steps, 2 of them failed"), "{printed}");
    assert_eq!(printed.matches("nothing succeeded\n").count(), 2, "{printed}");
    assert!(printed.contains("\nRESULT  FAILED (2 of 2 steps"), "{printed}");
    assert_eq!(findings(&report, "capacity"), [""; 0], "{printed}");
    assert!(findings(&report, "caution")[0].starts_with("not a single request was answered at"));
    assert!(!printed.contains("nothing broke"), "{printed}");
}
