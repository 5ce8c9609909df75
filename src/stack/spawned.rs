//! Private Redis and Mosquitto: children on free loopback ports, configured over standard input, so
//! that not even a folder is left behind when we are killed.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use super::child::{Child, Launch};
use super::{StackError, mqtt, redis};
use crate::plan::Address;

/// How long a server may take to come up.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts on another port, should somebody take the free one before our child does.
const PORT_ATTEMPTS: usize = 5;
/// How long a server may take to end.
pub const STOP_GRACE: Duration = Duration::from_secs(2);

/// A server of ours.
#[derive(Debug)]
pub struct Spawned {
    /// Where it listens.
    pub address: Address,
    /// Its process.
    pub child: Child,
}

/// Whether a program is on `PATH`, or where Debian puts servers, which is not on every user's `PATH`.
fn find(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(program)).find(|file| is_executable(file))?;
    found.to_str().map(str::to_owned)
}

fn is_executable(file: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A port nobody listens on right now.
fn free_port() -> Result<u16, StackError> {
    let failed = |e: std::io::Error| StackError::Start {
        program: "the stack".to_owned(),
        reason: format!("no free loopback port: {e}"),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    listener.local_addr().map(|address| address.port()).map_err(failed)
}

/// Starts `redis-server`: no persistence, no configuration file, nothing written.
pub async fn start_redis() -> Result<Spawned, StackError> {
    let missing = StackError::Missing {
        program: "redis-server",
        package: "redis-server",
        flag: "--redis URL",
    };
    let program = find("redis-server").ok_or(missing)?;
    let config = |port| {
        format!(
            "bind 127.0.0.1\nport {port}\nsave \"\"\nappendonly no\ndaemonize no\ndir /\n\
             maxclients 10000\ntcp-backlog 511\nloglevel warning\n"
        )
    };
    let launch = |port| Launch {
        name: "redis",
        program: &program,
        args: vec!["-".to_owned()],
        env: Vec::new(),
        stdin: Some(config(port)),
    };
    start(launch, "redis", |address| async move {
        redis::connect(&address, redis::Use::Commands).await.map(|_| ())
    })
    .await
}

/// Starts `mosquitto`: anonymous on loopback, and never dropping what a subscriber is slow to take.
pub async fn start_mosquitto() -> Result<Spawned, StackError> {
    let missing =
        StackError::Missing { program: "mosquitto", package: "mosquitto", flag: "--mqtt URL" };
    let program = find("mosquitto").ok_or(missing)?;
    // Started by root it would become another user, and with that the kernel takes back the signal
    // that ends it when we die. To anybody else the line says nothing.
    // By default Mosquitto drops QoS 0 messages for a subscriber that is 1,000 behind, in silence;
    // 0 would mean "drop all" in some 2.0 versions.
    let config = |port| {
        format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n\
             max_queued_messages 10000000\nmax_inflight_messages 0\npersistence false\n\
             sys_interval 1\nlog_dest stderr\nlog_type error\nlog_type warning\n"
        )
    };
    let launch = |port| Launch {
        name: "mosquitto",
        program: &program,
        args: vec!["-c".to_owned(), "/dev/stdin".to_owned()],
        env: Vec::new(),
        stdin: Some(config(port)),
    };
    start(launch, "mqtt", |address| async move {
        mqtt::connect(&address, &mqtt::client_id("probe")).await.map(|_| ())
    })
    .await
}

/// Starts a server on a free port and waits until it answers.
async fn start<'a, F: Future<Output = Result<(), StackError>>>(
    launch: impl Fn(u16) -> Launch<'a>,
    scheme: &str,
    probe: impl Fn(Address) -> F,
) -> Result<Spawned, StackError> {
    let mut last = None;
    for _ in 0..PORT_ATTEMPTS {
        let port = free_port()?;
        let address = Address::loopback(scheme, port);
        let mut child = Child::start(launch(port)).await?;
        let deadline = Instant::now() + START_TIMEOUT;
        let failure = loop {
            if child.ended().is_some() {
                break child.failure("it ended at once").await;
            }
            match probe(address.clone()).await {
                // Somebody else's server may have taken the port: ours has ended then.
                Ok(()) if child.ended().is_none() => return Ok(Spawned { address, child }),
                Err(_) if Instant::now() >= deadline => {
                    break child.failure("it does not answer within 10 s").await;
                }
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        last = Some(failure);
    }
    Err(last.unwrap_or(StackError::Start {
        program: scheme.to_owned(),
        reason: "no port could be had".to_owned(),
    }))
}
