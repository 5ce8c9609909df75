//! Brokers to test: the embedded one on a thread of this process, and Mosquitto as a child.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use loadgen::pipeline::servers::embedded::broker::{self, BrokerLimits};
use tokio::sync::watch;

/// Longer than anything here takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A broker that ends with its guard.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Embedded(watch::Sender<bool>, Option<JoinHandle<std::io::Result<()>>>),
    Mosquitto(Child),
}

impl Broker {
    pub(crate) fn embedded() -> Self {
        Self::embedded_with(BrokerLimits::default())
    }

    pub(crate) fn embedded_with(settings: BrokerLimits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = listener.local_addr().expect("it listens");
        let (stop, shutdown) = watch::channel(false);
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(broker::run_with(listener, settings, shutdown))
        };
        let thread = std::thread::spawn(serve);
        Self { address, running: Running::Embedded(stop, Some(thread)) }
    }

    /// `None` where it is not installed.
    pub(crate) fn mosquitto() -> Option<Self> {
        let program = find("mosquitto")?;
        (0..5).find_map(|_| Self::start_mosquitto(&program))
    }

    fn start_mosquitto(program: &PathBuf) -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
        let address = free.local_addr().expect("it listens");
        drop(free);
        let config = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nuser root\nset_tcp_nodelay true\n\
             max_queued_messages 10000000\nmax_inflight_messages 0\npersistence false\n\
             sys_interval 1\nlog_dest none\n",
            address.port()
        );
        let mut command = Command::new(program);
        command.args(["-c", "/dev/stdin"]).stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.stdout(Stdio::null()).spawn().expect("mosquitto starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(config.as_bytes()).expect("mosquitto reads");
        drop(stdin);
        // A guard from here on.
        let mut broker = Self { address, running: Running::Mosquitto(child) };
        let deadline = Instant::now() + LIMIT;
        while broker.is_running() && Instant::now() < deadline {
            if TcpStream::connect(address).is_ok() {
                return Some(broker);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    fn is_running(&mut self) -> bool {
        match &mut self.running {
            Running::Embedded(_, thread) => thread.as_ref().is_some_and(|t| !t.is_finished()),
            Running::Mosquitto(child) => child.try_wait().is_ok_and(|status| status.is_none()),
        }
    }

    /// Asks the embedded one to stop; how long that took.
    pub(crate) fn stop(&mut self) -> Duration {
        let begin = Instant::now();
        if let Running::Embedded(stop, thread) = &mut self.running {
            let _ = stop.send(true);
            if let Some(thread) = thread.take() {
                thread.join().expect("the broker does not panic").expect("nor fails");
            }
        }
        begin.elapsed()
    }

    /// `mosquitto_pub` or `mosquitto_sub`, told of this broker.
    pub(crate) fn foreign(&self, program: &str) -> Command {
        let mut command = Command::new(find(program).expect("it comes with mosquitto-clients"));
        command.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()]);
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        match &mut self.running {
            // A panic of its thread fails the test, whatever the test itself thought of it.
            Running::Embedded(..) if !std::thread::panicking() => _ = self.stop(),
            Running::Embedded(stop, _) => _ = stop.send(true),
            Running::Mosquitto(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Where a program is: on `PATH`, or where Debian puts servers.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!ci, "{name} is not installed; with CI=true no test is skipped");
        let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {name} is not installed ***");
    }
    found
}
