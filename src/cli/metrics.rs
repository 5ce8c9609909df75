//! `--metrics ADDR`: the progress of a run, or the counts of a service, as Prometheus metrics. The endpoint of a run
//! reads the same side channel as the terminal view and adds no work to the path of a request.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

#[cfg(feature = "pipeline")]
use super::args::ServiceMetrics;
use super::args::WatchArgs;
use super::logger;
use crate::config::plan::{Mode, Plan, Target};
use crate::config::settings::NodeShare;
use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::engine::request::RequestShape;
use crate::pipeline::access::{AccessControl, AccessError, AccessSettings};
use crate::pipeline::metrics::{Format, Histogram, MetricsText};
use crate::ramp::StepStart;
use crate::run::Progress;

/// Timeout for reading a request head, which also limits the idle time of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit of a connection's life, for clients that do not read their answers. Scrapers connect again.
const LIFETIME: Duration = Duration::from_secs(60);
/// Limit of open scrape connections, above any usual number of scrapers. One more closes the oldest.
const MOST_CONNECTIONS: usize = 32;
/// Upper bounds of the histograms in microseconds.
const BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Parses `ADDR:PORT`, or a port alone, which means 127.0.0.1.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse();
    let address =
        address.or_else(|_| text.parse().map(|port: u16| (Ipv4Addr::LOCALHOST, port).into()));
    address.map_err(|_| format!("'{text}' is neither a port nor ADDR:PORT, such as 127.0.0.1:9464"))
}

/// Latest progress and the labels of the run that it belongs to.
type Latest = Arc<Mutex<(Labels, Option<Progress>)>>;
pub(super) type Labels = Vec<(Cow<'static, str>, String)>;

/// Function that writes the metrics.
type MetricsSource = Arc<dyn Fn(Format) -> String + Send + Sync>;

/// HTTP listener that serves metrics until it is dropped.
#[derive(Debug)]
pub(super) struct MetricsListener {
    _server: JoinSet<()>,
}

impl MetricsListener {
    /// Starts to listen and prints the address to stderr.
    fn start(
        address: SocketAddr,
        settings: &AccessSettings,
        source: MetricsSource,
    ) -> anyhow::Result<Self> {
        settings.check_address(address)?;
        let access = AccessControl::open(settings)?;
        let listener = std::net::TcpListener::bind(address)
            .with_context(|| format!("--metrics {address}: cannot listen there"))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let mut server = JoinSet::new();
        server.spawn(Arc::clone(&access).reload_on_hangup());
        let scheme = if access.tls().is_some() { "https" } else { "http" };
        server.spawn(serve(listener, access, source));
        logger::say(log::Level::Info, &format!("metrics at {scheme}://{address}/metrics"));
        Ok(Self { _server: server })
    }
}

/// Metrics of runs.
#[derive(Debug)]
pub(super) struct Endpoint {
    latest: Latest,
    _listener: MetricsListener,
}

impl Endpoint {
    fn start(address: SocketAddr, settings: &AccessSettings) -> anyhow::Result<Self> {
        let latest = Latest::default();
        let shared = Arc::clone(&latest);
        let source = move |format| {
            let (labels, progress) = lock(&shared).clone();
            text(format, &labels, progress.as_ref())
        };
        let listener = MetricsListener::start(address, settings, Arc::new(source))?;
        Ok(Self { latest, _listener: listener })
    }

    /// Returns the callback for the progress of the run that `labels` describe.
    pub(super) fn updater(&self, labels: Labels) -> impl FnMut(&Progress) + Send + 'static {
        let latest = Arc::clone(&self.latest);
        *lock(&latest) = (labels, None);
        move |progress| lock(&latest).1 = Some(progress.clone())
    }
}

fn lock(latest: &Latest) -> std::sync::MutexGuard<'_, (Labels, Option<Progress>)> {
    latest.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WatchArgs {
    /// Starts the endpoint if `--metrics` is given.
    pub(super) fn endpoint(&self) -> anyhow::Result<Option<Endpoint>> {
        let access = self.metrics_access.settings();
        self.metrics.map(|address| Endpoint::start(address, &access)).transpose()
    }
}

#[cfg(feature = "pipeline")]
impl ServiceMetrics {
    /// Starts to serve the metrics that `source` writes, if `--metrics` is given.
    pub(super) fn serve(
        &self,
        source: impl Fn(Format) -> String + Send + Sync + 'static,
    ) -> anyhow::Result<Option<MetricsListener>> {
        let access = self.access.settings();
        let source = Arc::new(source);
        self.metrics.map(|address| MetricsListener::start(address, &access, source)).transpose()
    }
}

/// Returns a callback that calls `first` and, if present, `second`.
pub(super) fn tee(
    mut first: impl FnMut(&Progress) + Send + 'static,
    mut second: Option<impl FnMut(&Progress) + Send + 'static>,
) -> impl FnMut(&Progress) + Send + 'static {
    move |progress| {
        first(progress);
        if let Some(second) = &mut second {
            second(progress);
        }
    }
}

/// Labels that identify a step of a ramp.
pub(super) fn step_labels(step: &StepStart<'_>) -> Labels {
    vec![
        ("version".into(), env!("CARGO_PKG_VERSION").to_owned()),
        ("step".into(), step.name.to_owned()),
        ("number".into(), format!("{}/{}", step.number, step.of)),
    ]
}

/// Labels that describe a run, without secrets.
pub(super) fn run_labels(plan: &Plan) -> Labels {
    let load = &plan.load;
    let target = match &plan.target {
        Target::Pipeline => "pipeline".to_owned(),
        Target::Url(url) => RequestShape::display(url),
    };
    let NodeShare { index, count } = plan.load.node.share;
    let mut labels: Labels = vec![
        ("version".into(), env!("CARGO_PKG_VERSION").to_owned()),
        ("target".into(), target),
        ("connections".into(), load.connections.to_string()),
        ("threads".into(), load.threads.to_string()),
        ("node".into(), format!("{index}/{count}")),
    ];
    match load.mode {
        Mode::Closed => labels.push(("mode".into(), "closed".to_owned())),
        Mode::Open { rate, arrivals, .. } => {
            labels.push(("mode".into(), "open".to_owned()));
            labels.push(("rate".into(), rate.to_string()));
            labels.push(("arrivals".into(), arrivals.name().to_owned()));
        }
    }
    for (key, value) in &plan.labels {
        let name = label_name(key);
        // `a.b` and `a-b` have one name.
        if labels.iter().all(|(known, _)| *known != name) {
            labels.push((name, value.clone()));
        }
    }
    labels
}

/// Name of the metric's label for a label of the user: Prometheus takes letters, digits and `_`.
fn label_name(key: &str) -> Cow<'static, str> {
    Cow::Owned(format!("label_{}", key.replace(['.', '-'], "_")))
}

/// Accepts and serves connections; never returns.
async fn serve(listener: TcpListener, access: Arc<AccessControl>, source: MetricsSource) {
    // Dropping it closes all connections.
    let mut open = JoinSet::new();
    let mut oldest_first = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                while open.try_join_next().is_some() {}
                oldest_first.retain(|connection: &AbortHandle| !connection.is_finished());
                if oldest_first.len() >= MOST_CONNECTIONS
                    && let Some(oldest) = oldest_first.pop_front()
                {
                    oldest.abort();
                }
                let connection =
                    open.spawn(serve_connection(stream, Arc::clone(&access), Arc::clone(&source)));
                oldest_first.push_back(connection);
            }
            // The usual cause is a lack of file descriptors: wait until others are closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, access: Arc<AccessControl>, source: MetricsSource) {
    let served = async {
        let Some(tls) = access.tls() else { return serve_http(stream, &access, source).await };
        // The client causes errors of the handshake, so they are ignored.
        if let Ok(stream) = tls.accept(stream).await {
            serve_http(stream, &access, source).await;
        }
    };
    let _ = tokio::time::timeout(LIFETIME, served).await;
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    access: &AccessControl,
    source: MetricsSource,
) {
    let handler = service_fn(move |request: Request<Incoming>| {
        let answer = match access.check(request.version(), request.headers(), true) {
            Ok(()) => answer(&request, &source),
            Err(error) => refused(error),
        };
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), handler);
    // The client causes these errors (a reset, a partial or invalid request), so they are ignored.
    let _ = connection.await;
}

fn refused(error: AccessError) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(error.text().into()));
    *answer.status_mut() = error.status();
    if error == AccessError::NoToken {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

fn answer(request: &Request<Incoming>, source: &MetricsSource) -> Response<Full<Bytes>> {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
            let format = Format::accepted(accept.unwrap_or_default());
            let kind = HeaderValue::from_static(format.content_type());
            (StatusCode::OK, kind, source(format))
        }
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, plain, "read it by GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, plain, "the metrics are at /metrics\n".to_owned()),
    };
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    }
    answer
}

/// Returns the metrics text. Before the first progress it contains the labels of the run only.
fn text(
    format: Format,
    labels: &[(Cow<'static, str>, String)],
    progress: Option<&Progress>,
) -> String {
    let mut out = MetricsText::new(format);
    out.info("loadgen_run", "What is run.", labels);
    let Some(progress) = progress else { return out.finish() };
    let totals = &progress.totals;
    out.counter("loadgen_requests_sent", "Requests sent, without warm-up.", totals.sent);
    out.counter("loadgen_requests_completed", "Requests answered.", totals.completed);
    let help = "Of those answered, the ones with neither 2xx nor 3xx.";
    out.counter("loadgen_requests_refused", help, totals.refused);
    out.counter("loadgen_requests_failed", "Requests that failed.", totals.failed);
    out.counter("loadgen_requests_dropped", "Requests not sent.", totals.dropped);
    let help = "Requests on the wire or waiting for a connection.";
    out.gauge("loadgen_requests_in_flight", help, progress.in_flight);
    let help = "Time from due to answered.";
    histogram(&mut out, "loadgen_response_seconds", help, &totals.response);
    if let Some(arrived) = progress.arrived {
        out.counter("loadgen_messages_arrived", "Messages that arrived.", totals.arrived);
        let missing = progress.accepted.saturating_sub(arrived);
        out.gauge("loadgen_messages_missing", "Messages accepted and not here yet.", missing);
        let help = "Time from due to arrived.";
        histogram(&mut out, "loadgen_arrival_seconds", help, &totals.arrival);
    }
    if let Some(depth) = progress.queue_depth {
        out.gauge("loadgen_queue_depth", "Messages in the queue.", depth);
    }
    out.finish()
}

fn histogram(out: &mut MetricsText, name: &str, help: &str, values: &Latencies) {
    let below = values.counts_up_to(&BOUNDS_US.map(|micros| Nanos(micros * 1_000)));
    let bounds = BOUNDS_US.iter().map(|micros| *micros as f64 / 1e6);
    let buckets = bounds.zip(below).collect();
    let histogram = Histogram { buckets, sum: values.sum_s(), count: values.count() };
    out.histogram(name, help, &histogram);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_this_machines_own() {
        assert_eq!(parse_address("9464"), Ok(SocketAddr::from(([127, 0, 0, 1], 9464))));
        assert_eq!(parse_address("0.0.0.0:0"), Ok(SocketAddr::from(([0, 0, 0, 0], 0))));
        assert!(parse_address("[::1]:9464").is_ok_and(|address| address.is_ipv6()));
        for text in ["", ":9464", "host", "70000", "127.0.0.1", "http://127.0.0.1:80/"] {
            let error = parse_address(text).expect_err(text);
            assert!(error.contains("ADDR:PORT"), "{error}");
        }
    }
}
