//! The full client: reqwest behind the same trait, for HTTP/2, proxies and redirects.
//!
//! Each request is a task on a runtime of this worker's own; a channel brings the ends back.

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
use super::probe::protocols;
use super::prototype::Prototypes;
use super::request::Requests;
use super::{Completion, ConnectError, RequestFailure, RequestOutcome, Ticket, Traffic, Transport};
use crate::core::clock::{self, Nanos};
use crate::message::Values;
use crate::net::tls;

/// The pause before a place whose connection could not be made is used again: a target that is gone is
/// not to be knocked at without end.
const PAUSE: Nanos = Nanos::from_millis(20);

/// The reqwest transport of one worker.
#[derive(Debug)]
pub struct ReqwestTransport {
    runtime: Runtime,
    /// With HTTP/2 one for each connection, else one with a pool of them.
    clients: Vec<reqwest::Client>,
    requests: Prototypes,
    /// The requests on the wire, each in the place it has there. Place n is on client n mod their number.
    places: Vec<Option<(Ticket, Nanos)>>,
    /// Free places, the one that has been free longest first: so the connections share the load.
    free: VecDeque<usize>,
    /// Places that pause, and until when.
    pausing: VecDeque<(Nanos, usize)>,
    results: UnboundedReceiver<(usize, Completion, u64)>,
    report: UnboundedSender<(usize, Completion, u64)>,
    timer: Timer,
    traffic: Traffic,
}

impl ReqwestTransport {
    /// Sets clients up for `connections` connections with as many requests at once as the plan has
    /// streams, each allowed `timeout`. Opens no connection: a client makes it as it needs it. Without a
    /// link a proxy finds the target.
    pub fn new(
        requests: &Requests,
        (plan, link): (&TransportConfig, Option<&TargetLink>),
        connections: usize,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let setup = |e: &dyn std::fmt::Display| ConnectError::Setup(e.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| setup(&e))?;
        let (width, clients) = (
            connections * plan.streams,
            if plan.protocol == Protocol::Http2 { connections } else { 1 },
        );
        let url = requests.url();
        let tls = client_tls(url, plan).map_err(|e| setup(&e))?;
        let client = || {
            let builder = reqwest::Client::builder()
                .pool_max_idle_per_host(width)
                .redirect(redirects(plan.redirects))
                .timeout(timeout)
                // Without one the client looks for a process-wide default, and panics as there is none.
                .tls_backend_preconfigured(tls.clone());
            let builder = if plan.protocol == Protocol::Http2 {
                builder.http2_prior_knowledge()
            } else {
                builder
            };
            through(proxied(builder, plan)?, (url, plan), link).build()
        };
        let clients = (0..clients).map(|_| client()).collect::<Result<_, _>>();
        let timer = {
            let _context = runtime.enter();
            Timer::new().map_err(|e| setup(&e))?
        };
        let (report, results) = unbounded_channel();
        Ok(Self {
            runtime,
            clients: clients.map_err(|e| setup(&e))?,
            requests: Prototypes::new(requests, link)?,
            places: vec![None; width],
            free: (0..width).collect(),
            pausing: VecDeque::new(),
            results,
            report,
            timer,
            traffic: Traffic::default(),
        })
    }

    fn settle(&mut self, place: usize, ended: Completion, bytes: u64) -> Option<Completion> {
        self.places[place].take()?;
        match ended.outcome {
            RequestOutcome::Failed(RequestFailure::Connect, _) => {
                self.traffic.connect_failures += 1;
                self.pausing.push_back((clock::now() + PAUSE, place));
            }
            _ => self.free.push_back(place),
        }
        self.traffic.bytes_read += bytes;
        self.traffic.timed_when_read +=
            u64::from(matches!(ended.outcome, RequestOutcome::Answered { .. }));
        Some(ended)
    }

    /// Lets go the places that have paused.
    fn resume(&mut self) {
        let now = clock::now();
        while self.pausing.front().is_some_and(|(until, _)| *until <= now) {
            self.free.extend(self.pausing.pop_front().map(|(_, place)| place));
        }
    }
}

fn client_tls(url: &Url, plan: &TransportConfig) -> Result<ClientConfig, rustls::Error> {
    let tls = tls::target_config(&plan.tls, &protocols(plan));
    match url.scheme() {
        "https" => tls,
        // A redirect may want it; a machine without certificates can still speak plain http.
        _ => tls.or_else(|_| tls::unused_config()),
    }
}

/// Follows so many; the next one is the answer.
fn redirects(most: usize) -> Policy {
    match most {
        0 => Policy::none(),
        _ => Policy::custom(move |attempt| {
            if attempt.previous().len() > most { attempt.stop() } else { attempt.follow() }
        }),
    }
}

/// The environment's proxy only where the plan says so.
fn proxied(
    builder: ClientBuilder,
    plan: &TransportConfig,
) -> Result<ClientBuilder, reqwest::Error> {
    Ok(match &plan.proxy {
        Some(Proxy::Environment(..)) => builder,
        Some(Proxy::Url(url)) => builder.proxy(reqwest::Proxy::all(url.clone())?),
        None => builder.no_proxy(),
    })
}

/// To where the target was found: its name is not resolved again. A redirect may name another port of
/// it, which only `--connect-to` overrules.
fn through(
    builder: ClientBuilder,
    (url, plan): (&Url, &TransportConfig),
    link: Option<&TargetLink>,
) -> ClientBuilder {
    match (link.map(|link| &link.endpoint), url.domain()) {
        (Some(TargetEndpoint::Unix(path)), _) => builder.unix_socket(path.clone()),
        (Some(TargetEndpoint::Tcp(address)), Some(name)) => match plan.connect_to {
            Some(_) => builder.resolve(name, *address),
            None => builder.resolve(name, SocketAddr::new(address.ip(), 0)),
        },
        (Some(TargetEndpoint::Tcp(_)), None) | (None, _) => builder,
    }
}

/// Sends and reads to the end; the body is counted, not kept.
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
        // What breaks the chunked coding comes as an input error of the body.
        if let Some(io) = inner.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData)
        {
            return RequestFailure::Protocol;
        }
        cause = inner.source();
    }
    RequestFailure::Read
}

/// The cause at the end of the client's chain of errors.
fn cause_of(error: &reqwest::Error, failure: RequestFailure) -> Cause {
    match failure {
        RequestFailure::Timeout => return Cause::Timeout,
        RequestFailure::Protocol => return Cause::NotHttp,
        RequestFailure::Connect | RequestFailure::Read | RequestFailure::Write => {}
    }
    let first = std::error::Error::source(error);
    let mut known = Cause::Other;
    for inner in std::iter::successors(first, |inner| inner.source()) {
        // The connector has this text for it, and no type that is public.
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

    fn send(&mut self, ticket: Ticket, values: &Values) {
        let Some(place) = self.free.pop_front() else { return };
        let (request, len) = self.requests.request(values);
        self.traffic.bytes_written += len;
        let client = self.clients[place % self.clients.len()].clone();
        let exchange = exchange(client, request);
        let report = self.report.clone();
        let sent = clock::now();
        self.places[place] = Some((ticket, sent));
        self.runtime.spawn(async move {
            let (outcome, bytes) = exchange.await;
            let ended = Completion { ticket, sent, at: clock::now(), outcome, connect: None };
            // The receiver goes only with the whole transport.
            let _ = report.send((place, ended, bytes));
        });
    }

    fn wait(&mut self, until: Nanos, ended: &mut Vec<Completion>) {
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
        while let Some((place, end, bytes)) = next {
            ended.extend(self.settle(place, end, bytes));
            next = self.results.try_recv().ok();
        }
        self.resume();
    }

    fn abandon(&mut self, ended: &mut Vec<Completion>) {
        let at = clock::now();
        for (ticket, sent) in self.places.iter_mut().filter_map(Option::take) {
            let outcome = RequestOutcome::Unfinished;
            ended.push(Completion { ticket, sent, at, outcome, connect: None });
        }
    }

    fn oldest_due(&self) -> Option<Nanos> {
        self.places.iter().flatten().map(|(ticket, _)| ticket.due).min()
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
