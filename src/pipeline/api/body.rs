//! Reading the body of a request, within the bounds of its size, its time and the memory of all bodies.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::limits::{MemoryBudget, Reservation};

/// Bounds of the bodies of requests.
#[derive(Debug)]
pub(super) struct BodyLimits {
    /// Largest body in bytes.
    pub(super) max_body: usize,
    /// Time allowed for a body.
    pub(super) time: Duration,
    /// Memory that all bodies share.
    pub(super) memory: Arc<MemoryBudget>,
}

/// A body that was read, with the memory that it takes.
#[derive(Debug)]
pub(super) struct ReceivedBody {
    pub(super) bytes: Bytes,
    _reservation: Reservation,
}

/// Reason for which a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// It is larger than allowed.
    TooLarge,
    /// All bodies together would take more memory than allowed.
    OutOfMemory,
    /// The client ended it early.
    Incomplete,
    /// It did not come in time.
    TooSlow,
}

impl BodyLimits {
    /// Reads a body.
    pub(super) async fn read(&self, mut body: Incoming) -> Result<ReceivedBody, BodyError> {
        // The head gives the length: the body need not be read.
        if body.size_hint().lower() > self.max_body as u64 {
            return Err(BodyError::TooLarge);
        }
        let read = timeout(self.time, self.collect(&mut body)).await;
        let read = read.unwrap_or(Err(BodyError::TooSlow));
        if read.as_ref().is_err_and(|error| *error == BodyError::OutOfMemory) {
            // A client that is still sending would not see an answer before its connection is reset.
            let _ = timeout(self.time, self.discard(&mut body)).await;
        }
        read
    }

    async fn collect(&self, body: &mut Incoming) -> Result<ReceivedBody, BodyError> {
        let declared = body.size_hint().exact().unwrap_or(0);
        let mut reservation = self.memory.reserve(declared).ok_or(BodyError::OutOfMemory)?;
        let first = self.next(body).await?;
        self.admit(first.len(), &mut reservation)?;
        if body.is_end_stream() {
            return Ok(ReceivedBody { bytes: first, _reservation: reservation });
        }
        let mut whole = BytesMut::with_capacity(declared as usize);
        whole.extend_from_slice(&first);
        drop(first);
        loop {
            let part = self.next(body).await?;
            if part.is_empty() {
                return Ok(ReceivedBody { bytes: whole.freeze(), _reservation: reservation });
            }
            self.admit(whole.len() + part.len(), &mut reservation)?;
            whole.extend_from_slice(&part);
        }
    }

    /// Checks a body of which `len` bytes are here.
    fn admit(&self, len: usize, reservation: &mut Reservation) -> Result<(), BodyError> {
        if len > self.max_body {
            return Err(BodyError::TooLarge);
        }
        if reservation.grow_to(len as u64) { Ok(()) } else { Err(BodyError::OutOfMemory) }
    }

    /// Returns the next bytes; none at the end of the body.
    async fn next(&self, body: &mut Incoming) -> Result<Bytes, BodyError> {
        while let Some(frame) = body.frame().await {
            match frame.map_err(|_| BodyError::Incomplete)?.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(bytes),
                // Trailers are not used.
                _ => {}
            }
        }
        Ok(Bytes::new())
    }

    /// Reads the rest of a body, as far as one that is allowed can be long, and drops it.
    async fn discard(&self, body: &mut Incoming) {
        let mut read = 0;
        while let Ok(part) = self.next(body).await
            && !part.is_empty()
            && read <= self.max_body
        {
            read += part.len();
        }
    }
}
