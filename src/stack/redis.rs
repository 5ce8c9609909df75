//! Connections to Redis: `TCP_NODELAY` on, timeouts that suit their use, reconnecting on demand.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, IntoConnectionInfo as _, RedisError};

use super::{Backoff, StackError};
use crate::clock::{self, Nanos};
use crate::message::{IdSpace, MsgId};
use crate::plan::Address;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a command that does not block may take.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a blocking pop may take, which asks the server to block for a second at most: by then
/// the server, or the network to it, is gone without a word.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(10);
/// Commands that may wait to be written; the default of 50 would queue in front of it.
const PIPELINE: usize = 4_096;
/// The key that counts the ids given out.
pub const ID_KEY: &str = "loadgen:msgid";

/// Whether a connection's commands may block on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Commands answer at once.
    Commands,
    /// Blocking pops: the client must not give up on a reply that carries messages.
    Blocking,
}

/// Connects once.
pub async fn connect(address: &Address, usage: Use) -> Result<MultiplexedConnection, StackError> {
    let failed = |e: &RedisError| StackError::Unreachable {
        server: "Redis",
        address: Box::new(address.clone()),
        reason: explain(e),
    };
    let info = address.secret_url().into_connection_info().map_err(|e| failed(&e))?;
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    let client = Client::open(info.set_tcp_settings(tcp)).map_err(|e| failed(&e))?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(match usage {
            Use::Commands => RESPONSE_TIMEOUT,
            Use::Blocking => BLOCKING_TIMEOUT,
        }))
        .set_pipeline_buffer_size(PIPELINE);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(|e| failed(&e))?;
    // A server that wants a password accepts the connection and refuses the first command.
    let ping = redis::cmd("PING");
    match tokio::time::timeout(CONNECT_TIMEOUT, ping.query_async::<()>(&mut connection)).await {
        Ok(answer) => answer.map_err(|e| failed(&e))?,
        Err(_) => return Err(failed(&timed_out())),
    }
    Ok(connection)
}

fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// What Redis said, and what to do about it.
fn explain(error: &RedisError) -> String {
    let advice = match (error.kind(), error.code()) {
        (_, Some("NOAUTH")) => "; it wants a password: redis://:PASSWORD@HOST",
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => {
            "; the user or password is not right, or it wants none"
        }
        (ErrorKind::Io, _) if error.is_connection_refusal() => "; is it running there?",
        _ => "",
    };
    format!("{}{advice}", describe(error))
}

fn describe(error: &RedisError) -> String {
    let text = error.to_string();
    match std::error::Error::source(error).map(ToString::to_string) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

/// A connection that is made again when it was lost, with pauses in between, and never waited for:
/// while Redis is away each use says so at once.
#[derive(Debug)]
pub struct Link {
    address: Address,
    usage: Use,
    connection: Option<MultiplexedConnection>,
    backoff: Backoff,
    retry_at: Instant,
    losses: u64,
}

impl Link {
    /// Connects for the first time; here Redis being away is an error.
    pub async fn open(address: Address, usage: Use) -> Result<Self, StackError> {
        let connection = Some(connect(&address, usage).await?);
        Ok(Self {
            address,
            usage,
            connection,
            backoff: Backoff::default(),
            retry_at: Instant::now(),
            losses: 0,
        })
    }

    /// The connection, if it stands or can be made right now.
    pub async fn get(&mut self) -> Option<&mut MultiplexedConnection> {
        if self.connection.is_none() && Instant::now() >= self.retry_at {
            match connect(&self.address, self.usage).await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.backoff.reset();
                    log::info!("connected to Redis at {} again", self.address);
                }
                Err(_) => self.retry_at = Instant::now() + self.backoff.pause(),
            }
        }
        self.connection.as_mut()
    }

    /// Whether the connection stands, as far as is known.
    pub fn stands(&self) -> bool {
        self.connection.is_some()
    }

    /// How often the connection was lost.
    pub fn losses(&self) -> u64 {
        self.losses
    }

    /// Where Redis is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Tells a failed command: a lost connection is dropped, a refused command leaves it.
    pub fn failed(&mut self, error: &RedisError) {
        if error.is_unrecoverable_error() || error.is_timeout() || error.kind() == ErrorKind::Io {
            if self.connection.take().is_some() {
                self.losses += 1;
                log::warn!("lost Redis at {}: {}", self.address, describe(error));
            }
            self.retry_at = Instant::now() + self.backoff.pause();
        }
    }
}

/// The log server's time in microseconds since 1970, with the clock before and after.
pub async fn server_time(
    connection: &mut MultiplexedConnection,
) -> Result<(Nanos, Nanos, u64), RedisError> {
    let asked = clock::now();
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
    Ok((asked, clock::now(), seconds * 1_000_000 + micros))
}

/// Takes `count` ids from the authority for good, and gives the first.
pub async fn lease_ids(
    connection: &mut MultiplexedConnection,
    count: u64,
) -> Result<u64, RedisError> {
    let end: u64 = redis::cmd("INCRBY").arg(ID_KEY).arg(count).query_async(connection).await?;
    Ok(end.saturating_sub(count))
}

/// Leases the ids of node `k` of `N`, whose `workers` send up to `per_worker` messages each.
pub async fn lease_space(
    connection: &mut MultiplexedConnection,
    per_worker: u64,
    (workers, sample): (u64, u64),
    node: (u64, u64),
) -> Result<IdSpace, RedisError> {
    let needed = IdSpace::needed_on(node.1, per_worker, workers, sample).min(MsgId::MAX);
    let base = lease_ids(connection, needed).await?;
    if base.saturating_add(needed) > MsgId::MAX {
        let cure = format!("the MsgIDs below 2^53 are used up; DEL {ID_KEY} begins anew");
        return Err(std::io::Error::other(cure).into());
    }
    Ok(IdSpace::from_authority(base, workers, sample).on_node(node))
}

/// The value of a field of `INFO`.
pub async fn info(connection: &mut MultiplexedConnection, field: &str) -> Option<String> {
    let text: String = redis::cmd("INFO").arg("server").query_async(connection).await.ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.map(|value| value.trim().to_owned())
}
