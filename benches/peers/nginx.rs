//! A private nginx that answers three bytes to anything, on core 0.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use procfs::process::{Process, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::programs::Programs;

/// Attempts with other ports, in case another process takes the free port first.
const ATTEMPTS: usize = 5;
/// Limit of its start, and of its end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running nginx; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Nginx {
    port: u16,
    master: Child,
    folder: TempDir,
}

impl Nginx {
    pub(crate) fn start(programs: &Programs) -> anyhow::Result<Self> {
        let path =
            programs.path("nginx").context("the target is nginx, and it is not installed")?;
        for _ in 0..ATTEMPTS {
            let mut nginx = Self::launch(path)?;
            if nginx.is_up()? {
                return Ok(nginx);
            }
        }
        bail!("nginx did not start in {ATTEMPTS} attempts")
    }

    fn launch(path: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("config"), config(port, folder.path()))?;
        // The kernel ends nginx with the bench, also if the bench is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(path);
        command.arg("-e").arg(folder.path().join("log"));
        command.arg("-c").arg(folder.path().join("config"));
        let master = command.stdin(Stdio::null()).spawn().context("cannot run setpriv nginx")?;
        Ok(Self { port, master, folder })
    }

    /// Waits until it takes connections; `false` when it ended instead.
    fn is_up(&mut self) -> anyhow::Result<bool> {
        let began = Instant::now();
        while self.master.try_wait()?.is_none() {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(true);
            }
            if began.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                bail!("nginx takes no connections: {log}");
            }
            sleep(Duration::from_millis(10));
        }
        Ok(false)
    }

    /// CPU seconds of its worker so far; resolution 10 ms.
    pub(crate) fn cpu_s(&self) -> anyhow::Result<f64> {
        let master = i32::try_from(self.master.id())?;
        let stats = all_processes()?.flatten().filter_map(|process: Process| process.stat().ok());
        let worker =
            stats.into_iter().find(|stat| stat.ppid == master).context("nginx lost its worker")?;
        Ok((worker.utime + worker.stime) as f64 / procfs::ticks_per_second() as f64)
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // On SIGTERM the master ends its worker; a killed master would leave it running.
        let asked = kill_process(Pid::from_child(&self.master), Signal::TERM);
        let began = Instant::now();
        while asked.is_ok() && began.elapsed() < PATIENCE {
            if !matches!(self.master.try_wait(), Ok(None)) {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        let _ = self.master.kill();
        let _ = self.master.wait();
    }
}

fn config(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths = kinds.map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n")).concat();
    format!(
        "daemon off;\n\
         worker_processes 1;\n\
         worker_cpu_affinity 01;\n\
         pid {folder}/pid;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         {paths}    access_log off;\n    \
             keepalive_requests 1000000000;\n    \
             keepalive_timeout 1h;\n    \
             server {{\n        \
                 listen 127.0.0.1:{port};\n        \
                 location / {{ return 200 \"OK\\n\"; }}\n    \
             }}\n\
         }}\n"
    )
}
