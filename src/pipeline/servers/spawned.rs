//! Private Redis and Mosquitto: children on free loopback ports, configured over standard input, so
//! that not even a folder is left behind when we are killed.

use std::ffi::OsStr;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};
use rustix::fs::{MemfdFlags, memfd_create};

use super::child::{Child, Launch};
use super::password::Password;
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

/// Name and package of a program, and the flag that makes it unnecessary.
#[derive(Debug, Clone, Copy)]
struct ServerProgram {
    name: &'static str,
    flag: &'static str,
    /// Scheme of its address, and its name in errors.
    scheme: &'static str,
}

const REDIS_SERVER: ServerProgram =
    ServerProgram { name: REDIS, flag: "--redis URL", scheme: "redis" };
const MOSQUITTO_SERVER: ServerProgram =
    ServerProgram { name: MOSQUITTO, flag: "--mqtt URL", scheme: "mqtt" };

/// User of Mosquitto. Redis has only its default user, without a name.
const MQTT_USER: &str = "loadgen";

impl ServerProgram {
    fn path(self) -> Result<String, StackError> {
        let (program, package) = (self.name, self.name);
        find(self.name).ok_or(StackError::Missing { program, package, flag: self.flag })
    }

    /// Error that the system is the cause of.
    fn failed(self, error: &std::io::Error) -> StackError {
        StackError::Start { program: self.name.to_owned(), reason: error.to_string() }
    }
}

/// Configuration of a private Redis. It writes nothing, and a client that has the password cannot make it write, or
/// change its settings. The commands that are left out exist in all versions.
fn redis_config(port: u16, password: &Password) -> String {
    format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {}\nsave \"\"\nappendonly no\ndbfilename \"\"\n\
         daemonize no\ndir /\nmaxclients 10000\ntcp-backlog 511\nloglevel warning\n\
         rename-command CONFIG \"\"\nrename-command SAVE \"\"\nrename-command BGSAVE \"\"\n\
         rename-command BGREWRITEAOF \"\"\nrename-command SHUTDOWN \"\"\n\
         rename-command SLAVEOF \"\"\nrename-command DEBUG \"\"\n",
        password.secret()
    )
}

/// Configuration of a private Mosquitto. It never drops what a subscriber is slow to take.
///
/// Started by root it would become another user, and with that the kernel takes back the signal that
/// ends it when we die. For other users the line has no effect. By default Mosquitto drops QoS 0 messages for a
/// subscriber that is 1,000 behind, in silence; 0 would mean "drop all" in some 2.0 versions.
fn mosquitto_config(port: u16, passwords: &OwnedFd) -> String {
    format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file /proc/self/fd/{}\n\
         user root\nset_tcp_nodelay true\nmax_queued_messages 10000000\n\
         max_inflight_messages 0\npersistence false\nsys_interval 1\nlog_dest stderr\n\
         log_type error\nlog_type warning\n",
        passwords.as_raw_fd()
    )
}

/// Starts `redis-server`: no persistence, no configuration file, nothing written.
pub(crate) async fn start_redis() -> Result<Spawned, StackError> {
    let program = REDIS_SERVER.path()?;
    let mut last = None;
    for _ in 0..PORT_ATTEMPTS {
        // A program that takes the port first gets the password: each attempt has another one.
        let password = Password::random().map_err(|e| REDIS_SERVER.failed(&e))?;
        let port = free_port()?;
        let launch = Launch {
            name: "redis",
            program: &program,
            args: vec!["-".to_owned()],
            env: Vec::new(),
            stdin: Some(redis_config(port, &password)),
        };
        let address =
            Address::loopback(REDIS_SERVER.scheme, port).with_login("", password.secret());
        let probe = || async { redis::connect(&address, redis::Use::Commands).await.map(|_| ()) };
        match await_start(Child::start(launch).await?, port, probe).await {
            Ok(child) => return Ok(Spawned { address, child }),
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.unwrap_or_else(|| no_port(REDIS_SERVER)))
}

/// Starts `mosquitto`. Its password file has no name in the file system, and goes with it.
pub(crate) async fn start_mosquitto() -> Result<Spawned, StackError> {
    let program = MOSQUITTO_SERVER.path()?;
    let mut last = None;
    for _ in 0..PORT_ATTEMPTS {
        let failed = |e: std::io::Error| MOSQUITTO_SERVER.failed(&e);
        let password = Password::random().map_err(failed)?;
        let passwords = password.mosquitto_line(MQTT_USER).and_then(|line| private_file(&line));
        // Open until the child has started: it inherits the file.
        let passwords = passwords.map_err(failed)?;
        let port = free_port()?;
        let launch = Launch {
            name: "mosquitto",
            program: &program,
            args: vec!["-c".to_owned(), "/dev/stdin".to_owned()],
            env: Vec::new(),
            stdin: Some(mosquitto_config(port, &passwords)),
        };
        let address = Address::loopback(MOSQUITTO_SERVER.scheme, port)
            .with_login(MQTT_USER, password.secret());
        let probe = || async {
            let id = mqtt::client_id("probe");
            mqtt::connect(&address, &id, mqtt::ReceiptTimes::Read).await.map(|_| ())
        };
        match await_start(Child::start(launch).await?, port, probe).await {
            Ok(child) => return Ok(Spawned { address, child }),
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.unwrap_or_else(|| no_port(MOSQUITTO_SERVER)))
}

fn no_port(server: ServerProgram) -> StackError {
    StackError::Start {
        program: server.scheme.to_owned(),
        reason: "no port could be had".to_owned(),
    }
}

/// A file in memory that children inherit, and that only its owner may open.
fn private_file(text: &str) -> std::io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create("passwords", MemfdFlags::empty())?);
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())?;
    Ok(file.into())
}

/// Waits until a server answers. Fails if it ends or takes too long.
async fn await_start<F: Future<Output = Result<(), StackError>>>(
    mut child: Child,
    port: u16,
    probe: impl Fn() -> F,
) -> Result<Child, StackError> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if child.ended().is_some() {
            return Err(child.failure("it ended at once").await);
        }
        match probe().await {
            // The server of another program may have the port: then ours ends soon.
            Ok(()) if listens(child.pid(), port) => return Ok(child),
            _ if Instant::now() >= deadline => {
                return Err(child.failure("it does not answer within 10 s").await);
            }
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Returns false if another process than this child listens on the loopback port. True if `/proc` does not show it.
fn listens(pid: u32, port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let (Ok(sockets), Ok(process)) = (procfs::net::tcp(), Process::new(pid.cast_signed())) else {
        return true;
    };
    let listener = sockets
        .iter()
        .find(|entry| entry.state == TcpState::Listen && entry.local_address == address);
    let (Some(listener), Ok(files)) = (listener, process.fd()) else { return true };
    files.flatten().any(|file| file.target == FDTarget::Socket(listener.inode))
}

#[cfg(test)]
mod tests {
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
