//! Private Redis and Mosquitto: children on free loopback ports, configured over standard input, so
//! that not even a folder is left behind when we are killed.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use super::child::{Child, Launch};
use super::{StackError, mqtt, redis};
use crate::core::Address;

/// The longest time that a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts on another port if another program takes the free one before our child does.
const PORT_ATTEMPTS: usize = 5;
/// The longest time that a server may take to end.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(2);

/// The programs.
const REDIS: &str = "redis-server";
const MOSQUITTO: &str = "mosquitto";

/// A server of ours.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// Address on which it listens.
    pub address: Address,
    /// Its process.
    pub child: Child,
}

/// Returns true if the programs are installed of those servers that are needed.
pub(crate) fn are_installed(needs_redis: bool, needs_broker: bool) -> bool {
    (!needs_redis || find(REDIS).is_some()) && (!needs_broker || find(MOSQUITTO).is_some())
}

fn find(program: &str) -> Option<String> {
    find_on(&std::env::var_os("PATH").unwrap_or_default(), program)
}

/// Finds a program on that `PATH`. Debian puts servers into `/usr/sbin` and leaves that out of the
/// `PATH` of users, so `/usr/sbin` is searched as well, but only where `/usr/bin` is on it: a user who removes the
/// system's programs from `PATH` does not want these either.
fn find_on(path: &OsStr, program: &str) -> Option<String> {
    let on_path = || std::env::split_paths(path).filter(|folder| folder.is_absolute());
    let servers = on_path().any(|folder| folder == Path::new("/usr/bin"));
    let folders = on_path().chain(servers.then(|| "/usr/sbin".into()));
    let found = folders.map(|folder| folder.join(program)).find(|file| is_executable(file))?;
    found.to_str().map(str::to_owned)
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Returns a port without a listener at this moment.
fn free_port() -> Result<u16, StackError> {
    let failed = |e: std::io::Error| StackError::Start {
        program: "the stack".to_owned(),
        reason: format!("no free loopback port: {e}"),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    listener.local_addr().map(|address| address.port()).map_err(failed)
}

/// Starts `redis-server`: no persistence, no configuration file, nothing written.
pub(crate) async fn start_redis() -> Result<Spawned, StackError> {
    let missing = StackError::Missing { program: REDIS, package: REDIS, flag: "--redis URL" };
    let program = find(REDIS).ok_or(missing)?;
    let config = |port| {
        format!(
            "bind 127.0.0.1\nport {port}\nsave \"\"\nappendonly no\ndaemonize no\ndir /\n\
             maxclients 10000\ntcp-backlog 511\nloglevel warning\n"
        )
    };
    start(
        |port| Launch {
            name: "redis",
            program: &program,
            args: vec!["-".to_owned()],
            env: Vec::new(),
            stdin: Some(config(port)),
        },
        "redis",
        |address| async move { redis::connect(&address, redis::Use::Commands).await.map(|_| ()) },
    )
    .await
}

/// Starts `mosquitto`: anonymous on loopback, and never dropping what a subscriber is slow to take.
pub(crate) async fn start_mosquitto() -> Result<Spawned, StackError> {
    let missing =
        StackError::Missing { program: MOSQUITTO, package: MOSQUITTO, flag: "--mqtt URL" };
    let program = find(MOSQUITTO).ok_or(missing)?;
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
    start(
        |port| Launch {
            name: "mosquitto",
            program: &program,
            args: vec!["-c".to_owned(), "/dev/stdin".to_owned()],
            env: Vec::new(),
            stdin: Some(config(port)),
        },
        "mqtt",
        |address| async move {
            mqtt::connect(&address, &mqtt::client_id("probe"), mqtt::ReceiptTimes::Read)
                .await
                .map(|_| ())
        },
    )
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
                // The server of another program may have the port: then ours has ended.
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_is_found_on_path_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("redis-server");
        std::fs::write(&file, "").expect("space");
        let path = std::env::join_paths([Path::new("/nowhere"), folder.path()]).expect("a path");
        assert_eq!(find_on(&path, REDIS), None, "it cannot be run");
        let runnable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, runnable).expect("it is ours");
        assert_eq!(find_on(&path, REDIS).as_deref(), file.to_str());
        assert_eq!(find_on(&path, MOSQUITTO), None);
    }

    #[test]
    fn the_folder_of_servers_belongs_to_a_path_of_the_system() {
        let Some(tool) = Path::new("/usr/sbin").read_dir().ok().and_then(|folder| {
            let names = folder.flatten().map(|entry| entry.path());
            let runnable = names.filter(|file| is_executable(file));
            let only_there = |name: &OsStr| !Path::new("/usr/bin").join(name).exists();
            let mut names = runnable.filter_map(|file| Some(file.file_name()?.to_owned()));
            names.find(|name| only_there(name))
        }) else {
            return;
        };
        let tool = tool.to_str().expect("plain names");
        assert!(find_on(OsStr::new("/usr/bin"), tool).is_some());
        for trimmed in ["", "/bin/nowhere", "/nowhere:/usr/bin/nowhere"] {
            assert_eq!(find_on(OsStr::new(trimmed), tool), None, "{trimmed}");
        }
    }
}
