//! Answers of the API server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::enqueue::{Enqueuer, Refusal};
use super::settings::ApiCounts;
use crate::core::clock;
use crate::message::{Checkpoint, IdFields};
use crate::pipeline::metrics::Format;
use crate::pipeline::queue::QueueWriter;
use crate::pipeline::stamps::Stamper;

/// Time allowed for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The service of one lane.
pub(super) struct LaneService<W> {
    /// Largest body in bytes.
    pub(super) max_body: usize,
    pub(super) id_fields: IdFields,
    pub(super) counts: Arc<ApiCounts>,
    pub(super) stamper: Stamper,
    pub(super) enqueuer: Enqueuer<W>,
}

type Answer = Response<Full<Bytes>>;

impl<W: QueueWriter> LaneService<W> {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::POST, _) => self.accept(request).await,
            (&Method::GET, "/healthz") => {
                if self.enqueuer.is_up().await {
                    text(StatusCode::OK, "ok\n")
                } else {
                    text(StatusCode::SERVICE_UNAVAILABLE, "Redis is away\n")
                }
            }
            (&Method::GET, "/metrics") => {
                let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
                let format = Format::accepted(accept.unwrap_or_default());
                let mut answer = text(StatusCode::OK, self.counts.metrics(format));
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
        let body = match self.read_body(request.into_body()).await {
            Ok(body) => body,
            Err(answer) => {
                self.counts.unreadable.add(1);
                return answer;
            }
        };
        let id = match self.id_fields.extract(&body) {
            Ok(id) => id,
            Err(error) => {
                self.counts.malformed.add(1);
                return text(StatusCode::BAD_REQUEST, format!("the body {error}\n"));
            }
        };
        self.stamper.stamp(Checkpoint::Api, id, received);
        match self.enqueuer.put(body, id).await {
            Ok(()) => {
                self.counts.accepted.add(1);
                Response::new(Full::default())
            }
            Err(refused) => {
                self.counts.unavailable.add(1);
                let why = match refused {
                    Refusal::QueueAway => "the queue's Redis is away\n",
                    Refusal::QueueFull => "the queue is full\n",
                };
                let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, why);
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                answer
            }
        }
    }

    async fn read_body(&self, body: Incoming) -> Result<Bytes, Answer> {
        let limit = self.max_body;
        // The head tells the length: the body need not be read.
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large(limit));
        }
        match timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
            Ok(Err(_)) => Err(text(StatusCode::BAD_REQUEST, "the body broke off\n")),
            Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "the body did not come within 10 s\n")),
        }
    }
}

fn too_large(limit: usize) -> Answer {
    text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes\n"))
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}
