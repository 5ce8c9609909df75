//! Whatever runs beside the generator: a child process, or threads of this one.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use crate::host::resources::Component;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::child::Child;
use crate::pipeline::servers::spawned::STOP_GRACE;
use crate::run::RunError;

/// A server or service.
#[derive(Debug)]
pub(super) enum Service {
    Child(Child),
    Thread { name: &'static str, stop: watch::Sender<bool>, done: oneshot::Receiver<()> },
}

impl Service {
    /// As what it is watched.
    pub(super) fn component(&self) -> Component {
        match self {
            Self::Child(child) => {
                Component { name: child.name().into(), pid: child.pid(), threads: None }
            }
            Self::Thread { name, .. } => Component {
                name: (*name).into(),
                pid: std::process::id(),
                threads: Some(match *name {
                    "api" => "api-",
                    "push" => "push-",
                    "queue" => "queue-",
                    _ => "broker-",
                }),
            },
        }
    }

    /// Asks it to end, and waits a moment for it.
    pub(super) async fn stop(self) {
        match self {
            Self::Child(child) => child.stop(STOP_GRACE).await,
            Self::Thread { stop, done, .. } => {
                let _ = stop.send(true);
                let _ = tokio::time::timeout(STOP_GRACE, done).await;
            }
        }
    }
}

/// The port of the line a service prints when it listens.
pub(super) fn listening_port(line: &str) -> Option<u16> {
    line.strip_prefix("listening on ")?.rsplit(':').next()?.parse().ok()
}

/// Runs a service on a thread with a runtime of its own, and returns once it is ready.
pub(super) async fn start_thread<F, R>(name: &'static str, service: F) -> Result<Service, RunError>
where
    F: FnOnce(Box<dyn FnOnce()>, watch::Receiver<bool>) -> R + Send + 'static,
    R: Future<Output = Result<(), StackError>>,
{
    let (stop, shutdown) = watch::channel(false);
    let (ended, done) = oneshot::channel();
    let (up, is_up) = oneshot::channel();
    let thread = std::thread::Builder::new().name(format!("{name}-main"));
    let spawned = thread.spawn(move || {
        let up = Arc::new(std::sync::Mutex::new(Some(up)));
        let send_ready = |up: &std::sync::Mutex<Option<oneshot::Sender<_>>>, result| {
            if let Some(up) = up.lock().ok().and_then(|mut up| up.take()) {
                let _ = up.send(result);
            }
        };
        let ready = {
            let up = Arc::clone(&up);
            Box::new(move || send_ready(&up, Ok(())))
        };
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                if let Err(error) = runtime.block_on(service(ready, shutdown)) {
                    log::warn!("{name}: {error}");
                    send_ready(&up, Err(RunError::Stack(error)));
                }
            }
            Err(error) => send_ready(&up, Err(RunError::Thread(error))),
        }
        let _ = ended.send(());
    });
    spawned.map_err(RunError::Thread)?;
    is_up.await.map_err(|_| RunError::Lost(name))??;
    Ok(Service::Thread { name, stop, done })
}
