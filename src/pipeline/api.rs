//! The API server: takes a message over HTTP and answers when the queue has it.
//!
//! A listener hands connections out to lanes in turn. A lane is a thread with its own runtime, HTTP
//! server and Redis connection, so that lanes share nothing on the way of a message.

use std::convert::Infallible;
use std::fmt::Display;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::enqueue::{Enqueuer, Refused};
use super::metrics::{Counter, Metric, exposition};
use super::stamps::{self, Place, Stamper};
use super::{Shutdown, stopped};
use crate::clock;
use crate::message::IdFields;
use crate::plan::Address;
use crate::stack::StackError;

/// How long a head may take, and how long a body may.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long connections may take to finish what they hold once it is time to stop.
const GRACE: Duration = Duration::from_millis(700);
/// The largest body where none is set.
pub const DEFAULT_MAX_BODY: usize = 1024 * 1024;

/// What an API server needs to know.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Where the queue is.
    pub redis: Address,
    /// The log server; the queue's Redis unless told otherwise.
    pub log_server: Address,
    /// The list's key.
    pub queue: String,
    /// Answer 503 while more messages than this wait in the queue.
    pub max_queue: Option<u64>,
    /// Largest body in bytes.
    pub max_body: usize,
    /// Lanes, at least 1.
    pub threads: usize,
    /// One message in so many is stamped.
    pub sample: u64,
    /// Where a message carries its id.
    pub id_fields: IdFields,
}

/// What an API server did.
#[derive(Debug, Default)]
pub struct ApiCounts {
    /// Messages in the queue.
    pub accepted: Counter,
    /// Bodies that were no message.
    pub malformed: Counter,
    /// Bodies that were too large or came too slowly.
    pub unreadable: Counter,
    /// Messages refused because Redis was away or the queue full.
    pub unavailable: Counter,
    /// Messages in the queue when it was last looked at.
    pub queue_depth: Counter,
}

impl ApiCounts {
    fn exposition(&self) -> String {
        let metrics: [Metric; 5] = [
            (
                "loadgen_api_accepted_total",
                "counter",
                "Messages put into the queue.",
                self.accepted.get(),
            ),
            (
                "loadgen_api_malformed_total",
                "counter",
                "Bodies without a valid MsgID.",
                self.malformed.get(),
            ),
            (
                "loadgen_api_unreadable_total",
                "counter",
                "Bodies too large or too slow.",
                self.unreadable.get(),
            ),
            (
                "loadgen_api_unavailable_total",
                "counter",
                "Messages refused with 503.",
                self.unavailable.get(),
            ),
            (
                "loadgen_api_queue_depth",
                "gauge",
                "Messages in the queue, as last seen.",
                self.queue_depth.get(),
            ),
        ];
        exposition(&metrics)
    }
}

/// Serves on `listener` until `shutdown`. `ready` is called once requests are answered.
pub async fn run(
    listener: TcpListener,
    settings: ApiSettings,
    counts: Arc<ApiCounts>,
    ready: impl FnOnce(),
    mut shutdown: Shutdown,
) -> Result<(), StackError> {
    let (stamper, writer) = stamps::start(&settings.log_server, settings.sample).await?;
    let settings = Arc::new(settings);
    let (up, mut all_up) = mpsc::channel(settings.threads);
    let mut lanes = Vec::new();
    let mut threads = Vec::new();
    for lane in 0..settings.threads {
        let (hand_over, connections) = mpsc::unbounded_channel();
        let lane_settings = LaneSettings {
            settings: Arc::clone(&settings),
            counts: Arc::clone(&counts),
            stamper: stamper.clone(),
            shutdown: shutdown.clone(),
        };
        let up = up.clone();
        let start = std::thread::Builder::new().name(format!("api-{lane}"));
        threads.push(
            start.spawn(move || serve_lane(lane_settings, connections, &up)).map_err(failed)?,
        );
        lanes.push(hand_over);
    }
    drop((up, stamper));
    for _ in 0..settings.threads {
        if let Some(Err(error)) = all_up.recv().await {
            return Err(error);
        }
    }
    listener.set_nonblocking(true).map_err(failed)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
    ready();
    tokio::select! {
        () = accept(&listener, &lanes) => {}
        () = stopped(&mut shutdown) => {}
    }
    drop((listener, lanes));
    let all = tokio::task::spawn_blocking(move || threads.into_iter().all(|t| t.join().is_ok()));
    if !all.await.unwrap_or(false) {
        return Err(failed("a lane panicked"));
    }
    let _ = writer.await;
    Ok(())
}

fn failed(reason: impl Display) -> StackError {
    StackError::Start { program: "api".to_owned(), reason: reason.to_string() }
}

/// Hands connections to the lanes in turn, for ever.
async fn accept(
    listener: &tokio::net::TcpListener,
    lanes: &[mpsc::UnboundedSender<std::net::TcpStream>],
) {
    let mut turn = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A standard stream: each lane's runtime has an event loop of its own.
                if let Ok(stream) = stream.into_std() {
                    let _ = lanes[turn % lanes.len()].send(stream);
                    turn += 1;
                }
            }
            Err(error) => {
                // Out of descriptors, mostly: some will be closed.
                log::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

struct LaneSettings {
    settings: Arc<ApiSettings>,
    counts: Arc<ApiCounts>,
    stamper: Stamper,
    shutdown: Shutdown,
}

type LaneUp = mpsc::Sender<Result<(), StackError>>;

fn serve_lane(
    lane: LaneSettings,
    connections: mpsc::UnboundedReceiver<std::net::TcpStream>,
    up: &LaneUp,
) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => LocalSet::new().block_on(&runtime, run_lane(lane, connections, up)),
        Err(error) => {
            let _ = up.try_send(Err(failed(error)));
        }
    }
}

async fn run_lane(
    lane: LaneSettings,
    mut connections: mpsc::UnboundedReceiver<std::net::TcpStream>,
    up: &LaneUp,
) {
    let LaneSettings { settings, counts, stamper, shutdown } = lane;
    let enqueuer = match Enqueuer::start(&settings, Arc::clone(&counts), stamper.clone()).await {
        Ok(enqueuer) => enqueuer,
        Err(error) => {
            let _ = up.send(Err(error)).await;
            return;
        }
    };
    let _ = up.send(Ok(())).await;
    let service = Rc::new(Service { settings, counts, stamper, enqueuer });
    let mut open = JoinSet::new();
    // Ends when the listener is gone, and takes with it the connections that were handed over.
    while let Some(stream) = connections.recv().await {
        open.spawn_local(serve_connection(stream, Rc::clone(&service), shutdown.clone()));
        while open.try_join_next().is_some() {}
    }
    let finish = async { while open.join_next().await.is_some() {} };
    if timeout(GRACE, finish).await.is_err() {
        log::warn!("{} connections did not finish in time", open.len());
    }
}

async fn serve_connection(
    stream: std::net::TcpStream,
    service: Rc<Service>,
    mut shutdown: Shutdown,
) {
    // The peer may have gone already; then there is nothing to serve.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let handler = service_fn(move |request| {
        let service = Rc::clone(&service);
        async move { Ok::<_, Infallible>(service.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), handler);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopped(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            // Errors are the peer's: a reset, half a request, garbage.
            let _ = connection.await;
        }
    }
}

struct Service {
    settings: Arc<ApiSettings>,
    counts: Arc<ApiCounts>,
    stamper: Stamper,
    enqueuer: Enqueuer,
}

type Answer = Response<Full<Bytes>>;

impl Service {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::POST, _) => self.take(request).await,
            (&Method::GET, "/healthz") => match self.enqueuer.is_up().await {
                true => text(StatusCode::OK, "ok\n"),
                false => text(StatusCode::SERVICE_UNAVAILABLE, "Redis is away\n"),
            },
            (&Method::GET, "/metrics") => {
                let mut answer = text(StatusCode::OK, self.counts.exposition());
                let kind = HeaderValue::from_static("text/plain; version=0.0.4");
                answer.headers_mut().insert(CONTENT_TYPE, kind);
                answer
            }
            _ => {
                let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "send messages by POST\n");
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                answer
            }
        }
    }

    /// Reads a message and puts it into the queue.
    async fn take(&self, request: Request<Incoming>) -> Answer {
        let received = clock::now();
        let body = match self.read_body(request.into_body()).await {
            Ok(body) => body,
            Err(answer) => {
                self.counts.unreadable.add(1);
                return answer;
            }
        };
        let id = match self.settings.id_fields.extract(&body) {
            Ok(id) => id,
            Err(error) => {
                self.counts.malformed.add(1);
                return text(StatusCode::BAD_REQUEST, format!("the body {error}\n"));
            }
        };
        self.stamper.stamp(Place::Api, id, received);
        match self.enqueuer.put(body, id).await {
            Ok(()) => {
                self.counts.accepted.add(1);
                Response::new(Full::default())
            }
            Err(refused) => {
                self.counts.unavailable.add(1);
                let why = match refused {
                    Refused::RedisAway => "the queue's Redis is away\n",
                    Refused::QueueFull => "the queue is full\n",
                };
                let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, why);
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                answer
            }
        }
    }

    async fn read_body(&self, body: Incoming) -> Result<Bytes, Answer> {
        let limit = self.settings.max_body;
        let too_large = || {
            let why = format!("the body is larger than {limit} bytes\n");
            text(StatusCode::PAYLOAD_TOO_LARGE, why)
        };
        // Known from the head: no need to read it.
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        match timeout(READ_TIMEOUT, Limited::new(body, limit).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(text(StatusCode::BAD_REQUEST, "the body broke off\n")),
            Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "the body did not come within 10 s\n")),
        }
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}
