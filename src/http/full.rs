//! The full client: reqwest behind the same trait, for https, HTTP/2 and proxies.
//!
//! Each request is a task on a runtime of this worker's own; a channel brings the ends back.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::request::RequestShape;
use super::{ConnectError, Ended, Failure, Outcome, Ticket, Traffic, Transport};
use crate::clock::{self, Nanos};
use crate::message::Values;
use crate::message::template::Rendered;
use crate::tls;

/// The reqwest transport of one worker.
#[derive(Debug)]
pub struct FullTransport {
    runtime: Runtime,
    client: reqwest::Client,
    prototype: Prototype,
    body: Rendered,
    /// Concurrent requests allowed: the connections asked for.
    width: usize,
    /// What is on the wire, to be named if it is abandoned.
    in_flight: Vec<(Ticket, Nanos)>,
    results: UnboundedReceiver<(Ended, u64)>,
    report: UnboundedSender<(Ended, u64)>,
    timer: Timer,
    traffic: Traffic,
}

#[derive(Debug)]
struct Prototype {
    method: reqwest::Method,
    url: url::Url,
    headers: HeaderMap,
}

impl FullTransport {
    /// Sets the client up for `width` requests at once, each allowed `timeout`. Opens no connection:
    /// a pooled client makes them as it needs them.
    pub fn new(
        shape: &RequestShape,
        width: usize,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let setup = |e: &dyn std::fmt::Display| ConnectError::Setup(e.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| setup(&e))?;
        let tls = match shape.url.scheme() {
            "https" => tls::client_config(&["h2", "http/1.1"]),
            // Only a proxy may want it; a machine without certificates can still speak plain http.
            _ => tls::client_config(&["http/1.1"]).or_else(|_| tls::unused_config()),
        };
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(width)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            // Without one the client looks for a process-wide default, and panics as there is none.
            .tls_backend_preconfigured(tls.map_err(|e| setup(&e))?)
            .build()
            .map_err(|e| setup(&e))?;
        let timer = {
            let _context = runtime.enter();
            Timer::new().map_err(|e| setup(&e))?
        };
        let (report, results) = unbounded_channel();
        Ok(Self {
            runtime,
            client,
            prototype: Prototype::new(shape)?,
            body: Rendered::new(shape.body.clone(), Vec::new(), |_, _, _| ()),
            width,
            in_flight: Vec::with_capacity(width),
            results,
            report,
            timer,
            traffic: Traffic::default(),
        })
    }

    fn settle(&mut self, ended: Ended, bytes: u64) -> Option<Ended> {
        let at = self.in_flight.iter().position(|(ticket, _)| ticket.id == ended.ticket.id)?;
        self.in_flight.swap_remove(at);
        self.traffic.bytes_read += bytes;
        self.traffic.timed_when_read +=
            u64::from(matches!(ended.outcome, Outcome::Answered { .. }));
        if ended.outcome == Outcome::Failed(Failure::Connect) {
            self.traffic.connect_failures += 1;
        }
        Some(ended)
    }
}

impl Prototype {
    fn new(shape: &RequestShape) -> Result<Self, ConnectError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &shape.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_bytes(value.as_bytes());
            match (name, value) {
                // The client writes Host (in HTTP/2, `:authority`) from the URL, unless it differs.
                (Ok(name), Ok(value)) => headers.append(name, value),
                _ => {
                    return Err(ConnectError::Setup(
                        "a header that HTTP does not allow".to_owned(),
                    ));
                }
            };
        }
        let method = reqwest::Method::from_bytes(shape.method.as_bytes());
        let method = method.map_err(|e| ConnectError::Setup(e.to_string()))?;
        let mut url = shape.url.clone();
        // The credentials are in the Authorization header already.
        let _ = (url.set_username(""), url.set_password(None));
        if url.port().is_none() || url.scheme() == "https" {
            headers.remove(reqwest::header::HOST);
        }
        Ok(Self { method, url, headers })
    }

    fn request(&self, body: Vec<u8>) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        *request.headers_mut() = self.headers.clone();
        *request.body_mut() = Some(body.into());
        request
    }
}

/// Sends and reads to the end; the body is counted, not kept.
async fn exchange(client: reqwest::Client, request: reqwest::Request) -> (Outcome, u64) {
    let mut bytes = 0;
    let result = async {
        let mut response = client.execute(request).await?;
        while let Some(piece) = response.chunk().await? {
            bytes += piece.len() as u64;
        }
        Ok::<_, reqwest::Error>(response.status().as_u16())
    };
    let outcome = match result.await {
        Ok(status) => Outcome::Answered { status },
        Err(error) => Outcome::Failed(classify(&error)),
    };
    (outcome, bytes)
}

fn classify(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Timeout;
    }
    if error.is_connect() {
        return Failure::Connect;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(http) = inner.downcast_ref::<hyper::Error>() {
            if http.is_parse() {
                return Failure::Protocol;
            }
            if http.is_body_write_aborted() {
                return Failure::Write;
            }
        }
        // What breaks the chunked coding comes as an input error of the body.
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData)
        {
            return Failure::Protocol;
        }
        cause = inner.source();
    }
    Failure::Read
}

impl Transport for FullTransport {
    fn idle(&self) -> usize {
        self.width - self.in_flight.len()
    }

    fn send(&mut self, ticket: Ticket, values: &Values) {
        let body = self.body.fill(values).to_vec();
        self.traffic.bytes_written += body.len() as u64;
        let exchange = exchange(self.client.clone(), self.prototype.request(body));
        let report = self.report.clone();
        let sent = clock::now();
        self.in_flight.push((ticket, sent));
        self.runtime.spawn(async move {
            let (outcome, bytes) = exchange.await;
            // The receiver goes only with the whole transport.
            let _ = report.send((Ended { ticket, sent, at: clock::now(), outcome }, bytes));
        });
    }

    fn wait(&mut self, _rest: Nanos, until: Nanos, ended: &mut Vec<Ended>) {
        let (results, timer) = (&mut self.results, &self.timer);
        let first = self.runtime.block_on(async {
            tokio::select! {
                biased;
                result = results.recv() => result,
                () = timer.sleep_until(until) => None,
            }
        });
        let mut next = first;
        while let Some((end, bytes)) = next {
            ended.extend(self.settle(end, bytes));
            next = self.results.try_recv().ok();
        }
    }

    fn abandon(&mut self, ended: &mut Vec<Ended>) {
        let at = clock::now();
        for (ticket, sent) in self.in_flight.drain(..) {
            ended.push(Ended { ticket, sent, at, outcome: Outcome::Unfinished });
        }
    }

    fn oldest_due(&self) -> Option<Nanos> {
        self.in_flight.iter().map(|(ticket, _)| ticket.due).min()
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}

/// A timer to the nanosecond: tokio's own rounds up to the next millisecond.
#[derive(Debug)]
struct Timer {
    fd: AsyncFd<OwnedFd>,
}

impl Timer {
    fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: an `OwnedFd` is open, and stays the same one, until it is dropped.
        #[expect(
            unsafe_code,
            reason = "tokio has no safe call to wait on a descriptor of one's own"
        )]
        let fd = unsafe { AsyncFd::register(timer)? };
        Ok(Self { fd })
    }

    async fn sleep_until(&self, until: Nanos) {
        if until <= clock::now() {
            // Still lets the tasks run once: under overload `until` is always past.
            return tokio::task::yield_now().await;
        }
        // Farther away than a kernel's time can say is the same as never.
        let until = until.min(Nanos(i64::MAX as u64));
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: until.as_timespec(),
        };
        // Setting a timer anew also clears an expiry of the last one.
        let set = timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &once);
        if set.is_err() {
            return tokio::time::sleep(Duration::from_millis(1)).await;
        }
        while clock::now() < until {
            match self.fd.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => return,
            }
        }
    }
}
