//! Answers of the API server.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};

use super::body::{BodyError, BodyLimits};
use super::enqueue::{Enqueuer, Refusal};
use super::settings::ApiCounts;
use crate::core::clock;
use crate::core::units::format_duration;
use crate::message::{Checkpoint, IdFields};
use crate::pipeline::access::{AccessControl, AccessError};
use crate::pipeline::metrics::Format;
use crate::pipeline::queue::{NotReady, QueueWriter};
use crate::pipeline::stamps::Stamper;
use crate::pipeline::{Shutdown, is_stopped};

/// The service of one lane.
pub(super) struct LaneService<W> {
    pub(super) access: Arc<AccessControl>,
    pub(super) bodies: BodyLimits,
    pub(super) id_fields: IdFields,
    pub(super) counts: Arc<ApiCounts>,
    pub(super) stamper: Stamper,
    pub(super) shutdown: Shutdown,
    pub(super) enqueuer: Enqueuer<W>,
}

/// A request whose message is on its way to the queue. Dropped without an answer after the shutdown, it is counted.
struct OpenRequest<'a, W> {
    service: &'a LaneService<W>,
    is_answered: bool,
}

impl<W> Drop for OpenRequest<'_, W> {
    fn drop(&mut self) {
        if !self.is_answered && is_stopped(&self.service.shutdown) {
            self.service.counts.unanswered.add(1);
        }
    }
}

type Answer = Response<Full<Bytes>>;

impl<W: QueueWriter> LaneService<W> {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
        let needs_token = !is_probe || request.method() != Method::GET;
        let checked = self.access.check(request.version(), request.headers(), needs_token);
        if let Err(error) = checked {
            self.counts.denied.add(1);
            return deny(error);
        }
        match (request.method(), request.uri().path()) {
            (&Method::POST, _) => self.accept(request).await,
            (&Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
            (&Method::GET, "/readyz") => match self.enqueuer.check_ready().await {
                Ok(()) => text(StatusCode::OK, "ok\n"),
                Err(NotReady(why)) => {
                    text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"))
                }
            },
            (&Method::GET, "/metrics") => {
                let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
                let format = Format::accepted(accept.unwrap_or_default());
                let mut answer =
                    text(StatusCode::OK, self.counts.metrics(format, self.bodies.memory.used()));
                let kind = HeaderValue::from_static(format.content_type());
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
    async fn accept(&self, request: Request<Incoming>) -> Answer {
        let received = clock::now();
        let body = match self.bodies.read(request.into_body()).await {
            Ok(body) => body,
            Err(error) => return self.refuse_body(error),
        };
        let id = match self.id_fields.extract_checked(&body.bytes) {
            Ok(id) => id,
            Err(error) => {
                self.counts.malformed.add(1);
                return text(StatusCode::BAD_REQUEST, format!("the body {error}\n"));
            }
        };
        self.stamper.stamp(Checkpoint::Api, id, received);
        let mut open = OpenRequest { service: self, is_answered: false };
        let result = self.enqueuer.put(body, id).await;
        open.is_answered = true;
        match result {
            Ok(()) => {
                self.counts.accepted.add(1);
                Response::new(Full::default())
            }
            Err(Refusal::QueueAway) => self.refuse_for_now("the queue's Redis is away\n"),
            Err(Refusal::QueueFull) => self.refuse_for_now("the queue is full\n"),
        }
    }

    /// Answers a request whose body was not read.
    fn refuse_body(&self, error: BodyError) -> Answer {
        if error == BodyError::OutOfMemory {
            self.counts.out_of_memory.add(1);
            return self.refuse_for_now("too many bytes of bodies are in flight\n");
        }
        self.counts.unreadable.add(1);
        let (limit, time) = (self.bodies.max_body, format_duration(self.bodies.time));
        match error {
            BodyError::TooSlow => {
                let why = format!("the body did not come within {time}\n");
                text(StatusCode::REQUEST_TIMEOUT, why)
            }
            BodyError::Incomplete => text(StatusCode::BAD_REQUEST, "the body is incomplete\n"),
            BodyError::TooLarge | BodyError::OutOfMemory => {
                let why = format!("the body is larger than {limit} bytes\n");
                text(StatusCode::PAYLOAD_TOO_LARGE, why)
            }
        }
    }

    /// Answers a request that may succeed later.
    fn refuse_for_now(&self, why: &'static str) -> Answer {
        self.counts.unavailable.add(1);
        let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, why);
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }
}

fn deny(error: AccessError) -> Answer {
    let mut answer = text(error.status(), error.text());
    if error == AccessError::NoToken {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}
