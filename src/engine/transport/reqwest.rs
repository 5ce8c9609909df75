//! The reqwest transport: for HTTP/2, proxies and redirects.
//!
//! Each request is a task on the worker's own runtime; a channel returns the completions.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::redirect::Policy;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use rustls::ClientConfig;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use url::Url;

use super::cause::Cause;
use super::config::{Protocol, Proxy, TransportConfig};
use super::link::{TargetEndpoint, TargetLink};
use super::probe::alpn_protocols;
use super::{
    Completion, ConnectError, OutgoingRequest, RequestContent, RequestFailure, RequestOutcome,
    Ticket, Traffic, Transport,
};
use crate::core::backoff::SHORTEST_PAUSE;
use crate::core::clock::{self, Nanos};
use crate::engine::request::RequestSet;
use crate::engine::request::prototype::Prototypes;
use crate::net::tls;

/// Result of one request's task.
#[derive(Debug, Clone, Copy)]
struct TaskResult {
    place: usize,
    completion: Completion,
    /// Bytes of the response's body.
    bytes: u64,
}

/// The reqwest transport of one worker.
#[derive(Debug)]
pub(crate) struct ReqwestTransport {
    runtime: Runtime,
    /// Clients: with HTTP/2 one for each connection, else one with a pool of connections.
    clients: Vec<reqwest::Client>,
    requests: Prototypes,
    /// Places for requests in flight, with the time of sending. Place n belongs to client n mod their number.
    places: Vec<Option<(Ticket, Nanos)>>,
    /// Free places, the one that has been free longest first, so that the connections share the load.
    free: VecDeque<usize>,
    /// Places whose connection could not be opened, with the end of their pause: a target that is gone does not
    /// get attempts without pause. The pauses do not grow, as a place is not a connection.
    pausing: VecDeque<(Nanos, usize)>,
    results: UnboundedReceiver<TaskResult>,
    result_sender: UnboundedSender<TaskResult>,
    timer: Timer,
    traffic: Traffic,
}

impl ReqwestTransport {
    /// Sets up clients for `connections` connections with as many requests at once as the configuration has
    /// streams, each allowed `timeout`. Opens no connection: a client opens it when it needs it. `link` is
    /// `None` if a proxy finds the target.
    pub(crate) fn new(
        requests: &RequestSet,
        config: &TransportConfig,
        link: Option<&TargetLink>,
        connections: usize,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(setup_error)?;
        let (width, clients) = (
            connections * config.streams,
            if config.protocol == Protocol::Http2 { connections } else { 1 },
        );
        let url = requests.url();
        let tls = client_tls(url, config).map_err(setup_error)?;
        let clients = (0..clients).map(|_| {
            let builder = reqwest::Client::builder()
                .pool_max_idle_per_host(width)
                .redirect(redirects(config.redirects))
                .timeout(timeout)
                // Without this, the client would look for a process-wide default and panic: there is none.
                .tls_backend_preconfigured(tls.clone());
            let builder = if config.protocol == Protocol::Http2 {
                builder.http2_prior_knowledge()
            } else {
                builder
            };
            resolved_to_link(proxied(builder, config)?, url, config, link).build()
        });
        let clients = clients.collect::<Result<_, _>>().map_err(setup_error)?;
        let timer = {
            let _context = runtime.enter();
            Timer::new().map_err(setup_error)?
        };
        let (result_sender, results) = unbounded_channel();
        Ok(Self {
            runtime,
            clients,
            requests: Prototypes::new(requests, link)?,
            places: vec![None; width],
            free: (0..width).collect(),
            pausing: VecDeque::new(),
            results,
            result_sender,
            timer,
            traffic: Traffic::default(),
        })
    }

    /// Frees the place of a completed request. Returns `None` if the request was abandoned.
    fn complete(&mut self, result: TaskResult) -> Option<Completion> {
        let TaskResult { place, completion, bytes } = result;
        self.places[place].take()?;
        match completion.outcome {
            RequestOutcome::Failed(RequestFailure::Connect, _) => {
                self.traffic.connect_failures += 1;
                self.pausing.push_back((clock::now() + SHORTEST_PAUSE, place));
            }
            _ => self.free.push_back(place),
        }
        self.traffic.bytes_read += bytes;
        self.traffic.timed_when_read +=
            u64::from(matches!(completion.outcome, RequestOutcome::Answered { .. }));
        Some(completion)
    }

    /// Frees the places whose pause is over.
    fn resume(&mut self) {
        let now = clock::now();
        while self.pausing.front().is_some_and(|(until, _)| *until <= now) {
            self.free.extend(self.pausing.pop_front().map(|(_, place)| place));
        }
    }
}

fn setup_error(error: impl std::fmt::Display) -> ConnectError {
    ConnectError::Setup(error.to_string())
}

fn client_tls(url: &Url, config: &TransportConfig) -> Result<ClientConfig, rustls::Error> {
    let tls = tls::client_config(&config.tls, &alpn_protocols(config));
    match url.scheme() {
        "https" => tls,
        // A redirect may need TLS; a machine without certificates can still use plain http.
        _ => tls.or_else(|_| tls::unused_config()),
    }
}

/// Follows at most `most` redirects; the next one counts as the response.
fn redirects(most: usize) -> Policy {
    match most {
        0 => Policy::none(),
        _ => Policy::custom(move |attempt| {
            if attempt.previous().len() > most { attempt.stop() } else { attempt.follow() }
        }),
    }
}

/// Sets the proxy of the configuration; that of the environment is reqwest's default.
fn proxied(
    builder: ClientBuilder,
    config: &TransportConfig,
) -> Result<ClientBuilder, reqwest::Error> {
    Ok(match &config.proxy {
        Some(Proxy::Environment(..)) => builder,
        Some(Proxy::Url(url)) => builder.proxy(reqwest::Proxy::all(url.clone())?),
        None => builder.no_proxy(),
    })
}

/// Connects to the address at which the target was found, without resolving its name again. A redirect may
/// name another port of the target, which only `--connect-to` overrides.
fn resolved_to_link(
    builder: ClientBuilder,
    url: &Url,
    config: &TransportConfig,
    link: Option<&TargetLink>,
) -> ClientBuilder {
    match (link.map(|link| &link.endpoint), url.domain()) {
        (Some(TargetEndpoint::Unix(path)), _) => builder.unix_socket(path.clone()),
        (Some(TargetEndpoint::Tcp(address)), Some(name)) => match config.connect_to {
            Some(_) => builder.resolve(name, *address),
            None => builder.resolve(name, SocketAddr::new(address.ip(), 0)),
        },
        (Some(TargetEndpoint::Tcp(_)), None) | (None, _) => builder,
    }
}

/// Sends a request and reads the response to its end. Returns the bytes of its body.
async fn exchange(client: reqwest::Client, request: reqwest::Request) -> (RequestOutcome, u64) {
    let mut bytes = 0;
    let result = async {
        let mut response = client.execute(request).await?;
        while let Some(piece) = response.chunk().await? {
            bytes += piece.len() as u64;
        }
        Ok::<_, reqwest::Error>(response.status().as_u16())
    };
    let outcome = match result.await {
        Ok(status) => RequestOutcome::Answered { status },
        Err(error) => {
            let failure = classify(&error);
            RequestOutcome::Failed(failure, cause_of(&error, failure))
        }
    };
    (outcome, bytes)
}

fn classify(error: &reqwest::Error) -> RequestFailure {
    if error.is_timeout() {
        return RequestFailure::Timeout;
    }
    if error.is_connect() {
        return RequestFailure::Connect;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(http) = inner.downcast_ref::<hyper::Error>() {
            if http.is_parse() {
                return RequestFailure::Protocol;
            }
            if http.is_body_write_aborted() {
                return RequestFailure::Write;
            }
        }
        // An invalid chunked coding appears as an input error of the body.
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData)
        {
            return RequestFailure::Protocol;
        }
        cause = inner.source();
    }
    RequestFailure::Read
}

/// Cause of a failure, from the client's chain of errors.
fn cause_of(error: &reqwest::Error, failure: RequestFailure) -> Cause {
    match failure {
        RequestFailure::Timeout => return Cause::Timeout,
        RequestFailure::Protocol => return Cause::NotHttp,
        RequestFailure::Connect | RequestFailure::Read | RequestFailure::Write => {}
    }
    let first = std::error::Error::source(error);
    let mut known = Cause::Other;
    for inner in std::iter::successors(first, |inner| inner.source()) {
        // The connector's error has this text, and its type is not public.
        if inner.to_string() == "dns error" {
            return Cause::Dns;
        }
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            known = Cause::of(io);
        }
        let http = inner.downcast_ref::<hyper::Error>();
        if http.is_some_and(hyper::Error::is_incomplete_message) {
            known = Cause::Closed;
        }
    }
    known
}

impl Transport for ReqwestTransport {
    fn idle(&self) -> usize {
        self.free.len()
    }

    fn send(&mut self, outgoing: OutgoingRequest<'_>) {
        let RequestContent::Shape { index, values } = outgoing.content else {
            unreachable!("the plan refuses scripts, which write text, with reqwest")
        };
        let Some(place) = self.free.pop_front() else { return };
        let (request, len) = self.requests.request(index, &values);
        self.traffic.bytes_written += len;
        let client = self.clients[place % self.clients.len()].clone();
        let exchange = exchange(client, request);
        let result_sender = self.result_sender.clone();
        let (ticket, sent) = (outgoing.ticket, clock::now());
        self.places[place] = Some((ticket, sent));
        self.runtime.spawn(async move {
            let (outcome, bytes) = exchange.await;
            let at = clock::now();
            let completion = Completion { ticket, sent, at, outcome, connect: None };
            // The receiver is dropped only together with the runtime.
            let _ = result_sender.send(TaskResult { place, completion, bytes });
        });
    }

    fn wait(&mut self, until: Nanos, completed: &mut Vec<Completion>) {
        let until = self.pausing.front().map_or(until, |(end, _)| until.min(*end));
        let (results, timer) = (&mut self.results, &self.timer);
        let first = self.runtime.block_on(async {
            tokio::select! {
                biased;
                result = results.recv() => result,
                () = timer.sleep_until(until) => None,
            }
        });
        let mut next = first;
        while let Some(result) = next {
            completed.extend(self.complete(result));
            next = self.results.try_recv().ok();
        }
        self.resume();
    }

    fn abandon(&mut self, completed: &mut Vec<Completion>) {
        let at = clock::now();
        for (ticket, sent) in self.places.iter_mut().filter_map(Option::take) {
            let outcome = RequestOutcome::Unfinished;
            completed.push(Completion { ticket, sent, at, outcome, connect: None });
        }
    }

    fn oldest_due(&self) -> Option<Nanos> {
        self.places.iter().flatten().map(|(ticket, _)| ticket.due).min()
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}

/// Timer with nanosecond resolution: tokio's own rounds up to the next millisecond.
#[derive(Debug)]
struct Timer {
    fd: AsyncFd<OwnedFd>,
}

impl Timer {
    fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: an `OwnedFd` is open, and stays the same descriptor, until it is dropped.
        #[expect(unsafe_code, reason = "tokio has no safe function to wait on an own descriptor")]
        let fd = unsafe { AsyncFd::register(timer)? };
        Ok(Self { fd })
    }

    async fn sleep_until(&self, until: Nanos) {
        if until <= clock::now() {
            // Lets the tasks run once nevertheless: under overload `until` is always past.
            return tokio::task::yield_now().await;
        }
        // The kernel's largest time is far enough away to mean never.
        let until = until.min(Nanos(i64::MAX as u64));
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: until.as_timespec(),
        };
        // Setting the timer also clears its last expiry.
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
