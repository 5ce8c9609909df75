//! Connections to Redis: `TCP_NODELAY` on, timeouts that suit their use, reconnecting on demand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, Value};

use super::StackError;
use super::redis_node::{RedisNode, connection_info, is_wrong_node};
use super::secure::{redis_client, tls_advice};
use super::wrong_scheme;
use crate::core::Address;
use crate::core::Backoff;
use crate::core::clock::{self, Nanos};

/// Timeout of one attempt to connect.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout of a command that does not block.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time after which a connection is taken to have been of use: a loss begins with the shortest pause again. A replica
/// accepts connections and refuses each write.
const USEFUL: Duration = Duration::from_secs(2);
/// Most commands that wait to be written. With the default of 50, callers would wait as well.
const PIPELINE: usize = 4_096;
/// The hash in which runs reserve their ids. (`loadgen:msgid` of older versions is left alone: it holds
/// small numbers, which other publishers use too.)
pub(crate) const ID_KEY: &str = "loadgen:ids";
/// Its field with the first id that is not reserved.
const NEXT: &str = "next";
/// Its field with the number of runs that have reserved ids and have not ended.
const RUNS: &str = "runs";

/// Kind of commands on a connection: some may block on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Commands answer at once.
    Commands,
    /// Blocking pops. They have no timeout here: the caller must not give up a reply that carries messages before
    /// it knows that none comes.
    Blocking,
}

/// Connects once.
pub async fn connect(address: &Address, usage: Use) -> Result<MultiplexedConnection, StackError> {
    let node = RedisNode::of(address).await?;
    connect_node(address, node.as_ref(), usage).await
}

/// Connects once to a node, by default to the host of the address.
async fn connect_node(
    address: &Address,
    node: Option<&RedisNode>,
    usage: Use,
) -> Result<MultiplexedConnection, StackError> {
    let info = connection_info(address, node).map_err(|e| refused(address, &e))?;
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    let client =
        redis_client(address, info.set_tcp_settings(tcp)).map_err(|e| refused(address, &e))?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(match usage {
            Use::Commands => Some(RESPONSE_TIMEOUT),
            Use::Blocking => None,
        })
        .set_pipeline_buffer_size(PIPELINE);
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(|e| refused_first(address, &e))?;
    // A server that wants a password accepts the connection and refuses the first command.
    let ping = redis::cmd("PING");
    match tokio::time::timeout(CONNECT_TIMEOUT, ping.query_async::<()>(&mut connection)).await {
        // A user that may not even do this is known and logged in.
        Ok(answer) => answer
            .or_else(|e| if is_denied(&e) { Ok(()) } else { Err(refused_first(address, &e)) })?,
        Err(_) => return Err(refused_first(address, &timed_out())),
    }
    Ok(connection)
}

/// The error of a server that cannot be reached or refused a command, with its address.
pub(crate) fn refused(address: &Address, error: &RedisError) -> StackError {
    unreachable(address, explain(address, error))
}

/// The error of a server before its first answer: the scheme of the address may be the wrong one.
fn refused_first(address: &Address, error: &RedisError) -> StackError {
    unreachable(address, explain(address, error) + wrong_scheme::advice(address, error))
}

fn unreachable(address: &Address, reason: String) -> StackError {
    StackError::Unreachable { server: "Redis", address: Box::new(address.clone()), reason }
}

fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// Text of an error of Redis, and what to do about it.
fn explain(address: &Address, error: &RedisError) -> String {
    if let Some(advice) = io_error(error).and_then(|error| tls_advice(address, error)) {
        return advice;
    }
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

/// The error of the socket, or of TLS on it, behind an error of Redis.
fn io_error(error: &RedisError) -> Option<&std::io::Error> {
    let cause = std::error::Error::source(error)?;
    match cause.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>() {
        Some(shared) => shared.downcast_ref(),
        None => cause.downcast_ref(),
    }
}

/// Text of an error of Redis, once: an error repeats its text in its cause.
pub(crate) fn describe(error: &RedisError) -> String {
    let text = error.to_string();
    match std::error::Error::source(error).map(ToString::to_string) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

/// A connection that is made again after it was lost, with pauses between the attempts. A use never waits for it:
/// while Redis is away it fails at once.
#[derive(Debug)]
pub(crate) struct Link {
    address: Address,
    usage: Use,
    connection: Option<MultiplexedConnection>,
    backoff: Backoff,
    retry_at: Instant,
    connected_at: Instant,
    losses: u64,
    /// Node of a cluster that has the key, once a node has named it.
    redirect: Option<RedisNode>,
}

impl Link {
    /// Connects for the first time. An error if Redis does not answer.
    pub(crate) async fn open(address: Address, usage: Use) -> Result<Self, StackError> {
        let connection = Some(connect(&address, usage).await?);
        Ok(Self {
            address,
            usage,
            connection,
            backoff: Backoff::default(),
            retry_at: Instant::now(),
            connected_at: Instant::now(),
            losses: 0,
            redirect: None,
        })
    }

    /// Returns the connection, if it is open or can be made now.
    pub(crate) async fn get(&mut self) -> Option<&mut MultiplexedConnection> {
        if self.connection.is_none() && Instant::now() >= self.retry_at {
            match self.connect_again().await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.connected_at = Instant::now();
                    log::info!("connected to Redis at {} again", self.address);
                }
                Err(_) => self.retry_at = Instant::now() + self.backoff.pause(),
            }
        }
        self.connection.as_mut()
    }

    /// Connects to the node that was named last, or asks for the node again.
    async fn connect_again(&mut self) -> Result<MultiplexedConnection, StackError> {
        match self.redirect.take() {
            Some(node) => connect_node(&self.address, Some(&node), self.usage).await,
            None => connect(&self.address, self.usage).await,
        }
    }

    /// Returns true if the last error named another node: the command can be tried again at once.
    pub(crate) fn is_redirected(&self) -> bool {
        self.redirect.is_some()
    }

    /// Returns true if the connection is open, as far as is known.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Number of times the connection was lost.
    pub(crate) fn losses(&self) -> u64 {
        self.losses
    }

    /// Address of Redis.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Takes in that a command failed. A connection that was lost, or leads to a node that does not take commands
    /// now, is dropped; after another error it stays.
    pub(crate) fn failed(&mut self, error: &RedisError) {
        let is_lost =
            error.is_unrecoverable_error() || error.is_timeout() || error.kind() == ErrorKind::Io;
        if !is_lost && !is_wrong_node(error) {
            return;
        }
        if self.connection.take().is_some() {
            self.losses += 1;
            log::warn!("lost Redis at {}: {}", self.address, describe(error));
            if self.connected_at.elapsed() >= USEFUL {
                self.backoff.reset();
            }
        }
        self.redirect = RedisNode::redirected_to(error);
        let pause = if self.is_redirected() { Duration::ZERO } else { self.backoff.pause() };
        self.retry_at = Instant::now() + pause;
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

/// Reserves `count` ids for a run and returns the first. The reservations of all runs on this Redis
/// follow each other; the first of them begins at `random_base`. The key expires `lifetime` after the
/// last reservation.
pub(crate) async fn reserve_ids(
    connection: &mut MultiplexedConnection,
    count: u64,
    random_base: u64,
    lifetime: Duration,
) -> Result<u64, RedisError> {
    let mut pipeline = redis::pipe();
    pipeline.cmd("MULTI").ignore();
    pipeline.cmd("HSETNX").arg(ID_KEY).arg(NEXT).arg(random_base).ignore();
    pipeline.cmd("HINCRBY").arg(ID_KEY).arg(RUNS).arg(1).ignore();
    pipeline.cmd("EXPIRE").arg(ID_KEY).arg(lifetime.as_secs()).ignore();
    pipeline.cmd("HINCRBY").arg(ID_KEY).arg(NEXT).arg(count).ignore();
    pipeline.cmd("EXEC");
    // Not by the library's transactions: they panic where MULTI is refused.
    let ((_, _, _, end),): ((Value, Value, Value, u64),) = pipeline.query_async(connection).await?;
    Ok(end.saturating_sub(count))
}

/// Attempts to end a reservation while other runs reserve.
const RELEASES: usize = 10;

/// Ends the reservation of one run; the last run removes the key. Ids are not given back: messages that
/// carry them may still be under way.
pub(crate) async fn release_ids(connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
    for _ in 0..RELEASES {
        redis::cmd("WATCH").arg(ID_KEY).query_async::<()>(connection).await?;
        let runs: Option<i64> =
            redis::cmd("HGET").arg(ID_KEY).arg(RUNS).query_async(connection).await?;
        let change = match runs {
            // It has expired, or Redis came back without it.
            None => return redis::cmd("UNWATCH").query_async(connection).await,
            Some(..=1) => redis::cmd("DEL").arg(ID_KEY).to_owned(),
            Some(_) => redis::cmd("HINCRBY").arg(ID_KEY).arg(RUNS).arg(-1).to_owned(),
        };
        let mut pipeline = redis::pipe();
        pipeline.cmd("MULTI").ignore().add_command(change).ignore().cmd("EXEC");
        // `None`: the key was changed meanwhile.
        let (done,): (Option<Vec<Value>>,) = pipeline.query_async(connection).await?;
        if done.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

/// The value of a field of `INFO`.
pub async fn info(
    connection: &mut MultiplexedConnection,
    field: &str,
) -> Result<Option<String>, RedisError> {
    let text: String = redis::cmd("INFO").arg("server").query_async(connection).await?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(line.map(|value| value.trim().to_owned()))
}

/// Returns true if Redis refused a command because the user lacks a permission.
pub(crate) fn is_denied(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}
