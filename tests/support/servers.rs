//! Private Redis, Mosquitto and nginx servers.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{LIMIT, Process, children_of, eventually, find_program, free_port, require};

/// Attempts with other ports, in case another process takes the free port first.
const ATTEMPTS: usize = 5;

/// Name of a server program, and its flags before the configuration file.
#[derive(Debug, Clone, Copy)]
struct Program {
    name: &'static str,
    flags: &'static [&'static str],
}

const REDIS: Program = Program { name: "redis-server", flags: &[] };
const MOSQUITTO: Program = Program { name: "mosquitto", flags: &["-c"] };
const NGINX: Program = Program { name: "nginx", flags: &["-e", "stderr", "-c"] };

/// One server process, with the settings to start it again.
#[derive(Debug)]
struct ServerProcess {
    program: Program,
    port: u16,
    folder: TempDir,
    process: Process,
}

impl ServerProcess {
    /// Starts `program` with a configuration file that `config` writes for a port and a folder.
    fn start(program: Program, config: impl Fn(u16, &Path) -> String) -> Self {
        let attempt = |_| {
            let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary folder"));
            fs::write(folder.path().join("config"), config(port, folder.path())).expect("space");
            let process = launch(program, folder.path());
            let mut server = Self { program, port, folder, process };
            server.is_up().then_some(server)
        };
        let started = (0..ATTEMPTS).find_map(attempt);
        started.unwrap_or_else(|| panic!("{} did not start", program.name))
    }

    /// Waits until it takes connections; `false` when it ended instead. Another process may have got the port before it.
    fn is_up(&mut self) -> bool {
        eventually(&format!("the start of {}", self.program.name), || {
            let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
            let is_own = connected && self.listens();
            if self.process.is_running() { is_own.then_some(true) } else { Some(false) }
        })
    }

    /// Returns true if the process itself, or a child of it, listens on the port.
    fn listens(&self) -> bool {
        let owners = [vec![self.process.pid()], children_of(self.process.pid())].concat();
        let sockets = procfs::net::tcp().expect("the sockets of this machine");
        let listens = |tcp: &&procfs::net::TcpNetEntry| {
            tcp.state == procfs::net::TcpState::Listen && tcp.local_address.port() == self.port
        };
        let inodes: Vec<_> = sockets.iter().filter(listens).map(|tcp| tcp.inode).collect();
        owners.into_iter().any(|pid| has_socket(pid, &inodes))
    }

    fn restart(&mut self) {
        self.process.kill();
        self.process = launch(self.program, self.folder.path());
        assert!(self.is_up(), "{} did not start again: {:?}", self.program.name, self.process);
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// Returns true if a process has one of these sockets open.
fn has_socket(pid: u32, inodes: &[u64]) -> bool {
    let files = procfs::process::Process::new(pid.cast_signed()).and_then(|process| process.fd());
    files.into_iter().flatten().flatten().any(|file| match file.target {
        procfs::process::FDTarget::Socket(inode) => inodes.contains(&inode),
        _ => false,
    })
}

fn launch(program: Program, folder: &Path) -> Process {
    let path = find_program(program.name).expect("it was required");
    let mut command = Command::new(path);
    Process::start(program.name, command.args(program.flags).arg(folder.join("config")))
}

/// A file of `tests/data`.
pub(crate) fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Files for the TLS of a server.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// The authority of its clients.
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Certificates {
    /// Those of `tests/data`.
    fn of_tests() -> Self {
        let (authority, certificate) = (data("ca.pem"), data("server.pem"));
        Self { authority, certificate, key: data("server.key") }
    }
}

/// A private Redis.
#[derive(Debug)]
pub(crate) struct Redis {
    server: ServerProcess,
    password: Option<&'static str>,
}

impl Redis {
    /// `None` where Redis is not installed and the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        Self::open(None, "port")
    }

    pub(crate) fn with_password(password: &'static str) -> Option<Self> {
        Self::open(Some(password), "port")
    }

    /// Speaks TLS only, under the certificate of `tests/data`.
    pub(crate) fn with_tls(password: &'static str) -> Option<Self> {
        Self::open(Some(password), "port 0\ntls-auth-clients no\ntls-port")
    }

    /// Does not know a command, as older ones do not.
    pub(crate) fn without_blmpop() -> Option<Self> {
        Self::open(None, "rename-command BLMPOP \"\"\nport")
    }

    /// A node of a cluster that has no slots yet.
    pub(crate) fn cluster_node() -> Option<Self> {
        Self::open(None, &format!("cluster-enabled yes\ncluster-port {}\nport", free_port()))
    }

    /// Speaks TLS only, and wants a client certificate of the authority.
    pub(crate) fn with_client_certificates(files: &Certificates) -> Option<Self> {
        Self::open_with(None, "port 0\ntls-auth-clients yes\ntls-port", files)
    }

    fn open(password: Option<&'static str>, port_key: &str) -> Option<Self> {
        Self::open_with(password, port_key, &Certificates::of_tests())
    }

    fn open_with(
        password: Option<&'static str>,
        port_key: &str,
        files: &Certificates,
    ) -> Option<Self> {
        if !(require("redis-server") && require("redis-cli")) {
            return None;
        }
        let config = |port, folder: &Path| {
            let secret = password.map_or(String::new(), |word| format!("requirepass {word}\n"));
            let folder = folder.display();
            let Certificates { authority, certificate, key } = files;
            format!(
                "bind 127.0.0.1\n{port_key} {port}\nsave \"\"\nappendonly no\ndir {folder}\n{secret}\
                 tls-ca-cert-file {authority}\ntls-cert-file {certificate}\ntls-key-file {key}\n"
            )
        };
        Some(Self { server: ServerProcess::start(REDIS, config), password })
    }

    pub(crate) fn url(&self) -> String {
        let login = self.password.map_or(String::new(), |word| format!(":{word}@"));
        format!("redis://{login}{}", self.address())
    }

    pub(crate) fn address(&self) -> String {
        self.server.address()
    }

    /// Output of `redis-cli` for a command.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        let port = self.server.port.to_string();
        let mut command = Command::new(find_program("redis-cli").expect("it was required"));
        command.args(["-h", "127.0.0.1", "-p", &port]).args(words);
        command.env("REDISCLI_AUTH", self.password.unwrap_or_default());
        let output = command.output().expect("redis-cli runs");
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("redis-cli prints text").trim_end().to_owned()
    }

    /// The length of a list.
    pub(crate) fn len(&self, list: &str) -> u64 {
        self.cli(&["LLEN", list]).parse().expect("LLEN gives a number")
    }

    /// The elements of a list, left to right.
    pub(crate) fn list(&self, list: &str) -> Vec<String> {
        self.cli(&["LRANGE", list, "0", "-1"]).lines().map(str::to_owned).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.server.process.signal(signal);
    }

    pub(crate) fn kill(&mut self) {
        self.server.process.kill();
    }

    /// Starts it again on the same port, empty.
    pub(crate) fn restart(&mut self) {
        self.server.restart();
    }
}

/// User and password of a broker.
#[derive(Debug, Clone, Copy)]
struct Login {
    user: &'static str,
    password: &'static str,
}

/// A Sentinel that watches a Redis, and fails over soon.
#[derive(Debug)]
pub(crate) struct Sentinel {
    port: u16,
    _process: Process,
    _folder: TempDir,
}

impl Sentinel {
    /// Watches `master` under the name `primary`.
    pub(crate) fn of(master: &Redis) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary folder"));
        let file = folder.path().join("config");
        let config = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor primary 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds primary 500\nsentinel failover-timeout primary 2000\n",
            folder.path().display(),
            master.server.port
        );
        fs::write(&file, config).expect("space");
        let mut command = Command::new(find_program("redis-server").expect("it was required"));
        command.arg0("redis-sentinel").arg(&file);
        let process = Process::start("redis-sentinel", &mut command);
        eventually("the start of the Sentinel", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
        });
        Self { port, _process: process, _folder: folder }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Output of `redis-cli` for a command.
    pub(crate) fn cli(&self, words: &[&str]) -> String {
        let mut command = Command::new(find_program("redis-cli").expect("it was required"));
        let output = command.args(["-p", &self.port.to_string()]).args(words).output();
        String::from_utf8(output.expect("redis-cli runs").stdout).expect("redis-cli prints text")
    }
}

/// A private Mosquitto.
#[derive(Debug)]
pub(crate) struct Mosquitto {
    server: ServerProcess,
    login: Option<Login>,
}

impl Mosquitto {
    /// `None` where Mosquitto is not installed and the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        Self::open(None, "")
    }

    /// Mosquitto's default settings: with Nagle's algorithm, and at most 1,000 messages queued for a client.
    pub(crate) fn stock() -> Option<Self> {
        if !["mosquitto", "mosquitto_pub", "mosquitto_sub"].into_iter().all(require) {
            return None;
        }
        let config = |port, _: &Path| {
            format!("listener {port} 127.0.0.1\nuser root\nallow_anonymous true\nlog_dest stderr\n")
        };
        Some(Self { server: ServerProcess::start(MOSQUITTO, config), login: None })
    }

    /// Queues at most `messages` for a client that is not connected.
    pub(crate) fn with_queue_limit(messages: u64) -> Option<Self> {
        let limits = format!("sys_interval 1\nmax_queued_messages {messages}\n");
        Self::open_with(None, &limits)
    }

    /// Closes the connection on a packet of more than `bytes`.
    pub(crate) fn with_packet_limit(bytes: u64) -> Option<Self> {
        Self::open(None, &format!("max_packet_size {bytes}\n"))
    }

    pub(crate) fn with_login(user: &'static str, password: &'static str) -> Option<Self> {
        Self::open(Some(Login { user, password }), "")
    }

    /// Speaks TLS only, under the certificate of `tests/data`.
    pub(crate) fn with_tls(user: &'static str, password: &'static str) -> Option<Self> {
        let (certificate, key) = (data("server.pem"), data("server.key"));
        let tls = format!("certfile {certificate}\nkeyfile {key}\n");
        Self::open(Some(Login { user, password }), &tls)
    }

    /// Speaks TLS only, and wants a client certificate of the authority.
    pub(crate) fn with_client_certificates(files: &Certificates) -> Option<Self> {
        let Certificates { authority, certificate, key } = files;
        let tls = format!(
            "cafile {authority}\ncertfile {certificate}\nkeyfile {key}\nrequire_certificate true\n"
        );
        Self::open(None, &tls)
    }

    /// Keeps no messages for clients that are away, and publishes its figures every second.
    pub(crate) fn without_persistence() -> Option<Self> {
        if !require("mosquitto") {
            return None;
        }
        let config = |port, _: &Path| {
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n\
                 max_queued_messages 10000000\nmax_inflight_messages 0\npersistence false\n\
                 sys_interval 1\nlog_dest none\n"
            )
        };
        Some(Self { server: ServerProcess::start(MOSQUITTO, config), login: None })
    }

    fn open(login: Option<Login>, tls: &str) -> Option<Self> {
        Self::open_with(login, &format!("{tls}max_queued_messages 10000000\n"))
    }

    fn open_with(login: Option<Login>, more: &str) -> Option<Self> {
        if !["mosquitto", "mosquitto_pub", "mosquitto_sub"].into_iter().all(require) {
            return None;
        }
        let config = |port, folder: &Path| {
            let access = match login {
                Some(login) => format!("password_file {}", password_file(folder, login)),
                None => "allow_anonymous true".to_owned(),
            };
            // What a subscriber that is away or slow has not got yet is kept, also over a restart.
            let folder = folder.display();
            format!(
                "listener {port} 127.0.0.1\n{more}user root\n{access}\nset_tcp_nodelay true\n\
                 max_inflight_messages 0\nqueue_qos0_messages true\n\
                 persistence true\npersistence_location {folder}/\nlog_dest stderr\n"
            )
        };
        Some(Self { server: ServerProcess::start(MOSQUITTO, config), login })
    }

    pub(crate) fn url(&self) -> String {
        let login =
            self.login.map_or(String::new(), |login| format!("{}:{}@", login.user, login.password));
        format!("mqtt://{login}{}", self.address())
    }

    pub(crate) fn address(&self) -> String {
        self.server.address()
    }

    /// Log so far.
    pub(crate) fn log(&self) -> String {
        self.server.process.stderr()
    }

    /// Command of `mosquitto_pub` or `mosquitto_sub` with the address of this broker.
    pub(crate) fn client(&self, program: &str) -> Command {
        let mut command = Command::new(find_program(program).expect("it was required"));
        command.args(["-h", "127.0.0.1", "-p", &self.server.port.to_string()]);
        if let Some(Login { user, password }) = self.login {
            command.args(["-u", user, "-P", password]);
        }
        command
    }

    pub(crate) fn publish(&self, topic: &str, payload: &str) {
        let mut command = self.client("mosquitto_pub");
        command.args(["-q", "1", "-t", topic, "-m", payload]);
        let finished = Process::start("mosquitto_pub", &mut command).finish();
        assert_eq!(finished.code, Some(0), "{finished:?}");
    }

    /// Stops it in good order, which keeps its subscriptions.
    pub(crate) fn stop(&mut self) {
        self.server.process.signal(Signal::TERM);
        let ended = || (!self.server.process.is_running()).then_some(());
        super::within(LIMIT, ended).expect("mosquitto ends when asked");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.server.process.signal(signal);
    }

    /// Starts it again on the same port.
    pub(crate) fn restart(&mut self) {
        self.server.restart();
    }
}

/// Writes the broker's file of users, with this one in it.
fn password_file(folder: &Path, login: Login) -> String {
    let file = folder.join("users");
    let program = find_program("mosquitto_passwd").expect("it comes with mosquitto");
    let status = Command::new(program)
        .args(["-b", "-c"])
        .arg(&file)
        .args([login.user, login.password])
        .status();
    assert!(status.expect("mosquitto_passwd runs").success());
    file.display().to_string()
}

/// A private nginx that answers everything with `ok`, under the certificate of `tests/data`.
#[derive(Debug)]
pub(crate) struct Nginx {
    server: ServerProcess,
    h2c: u16,
}

impl Nginx {
    /// `None` where nginx is not installed and the test is skipped.
    pub(crate) fn start() -> Option<Self> {
        if !require("nginx") {
            return None;
        }
        let h2c = free_port();
        // One process: killed, a master would leave its workers behind.
        let config = |port, folder: &Path| {
            let (certificate, key) = (data("server.pem"), data("server.key"));
            let folder = folder.display();
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let temporary = temporary.map(|kind| format!("{kind}_temp_path {folder}/{kind};\n"));
            format!(
                "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\n\
                 events {{ worker_connections 1024; }}\nhttp {{\naccess_log off;\n{}\
                 keepalive_requests 1000000;\nssl_certificate {certificate};\n\
                 ssl_certificate_key {key};\nserver {{\nlisten 127.0.0.1:{port} ssl http2;\n\
                 listen 127.0.0.1:{h2c} http2;\nlisten unix:{folder}/socket;\n\
                 listen unix:{folder}/h2c http2;\n\
                 location / {{ return 200 ok; }}\nlocation = /from {{ return 302 /to; }}\n}}\n}}\n",
                temporary.concat()
            )
        };
        Some(Self { server: ServerProcess::start(NGINX, config), h2c })
    }

    /// Speaks TLS, and over it HTTP/2 and HTTP/1.1.
    pub(crate) fn secure(&self) -> String {
        format!("https://localhost:{}/", self.server.port)
    }

    /// Speaks HTTP/2 without TLS, and nothing else.
    pub(crate) fn h2c(&self) -> String {
        format!("http://127.0.0.1:{}/", self.h2c)
    }

    /// Speaks HTTP/1.1; `h2c` speaks HTTP/2.
    pub(crate) fn socket(&self, name: &str) -> String {
        self.server.folder.path().join(name).display().to_string()
    }
}
