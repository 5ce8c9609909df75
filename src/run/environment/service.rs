//! A server or service that a run starts: a child process, or threads of this one.

use std::sync::{Arc, Mutex};

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
    /// The component whose CPU time and memory are measured.
    pub(super) fn component(&self) -> Component {
        match self {
            Self::Child(child) => Component::new(child.name(), child.pid(), None),
            Self::Thread { name, .. } => {
                let threads = match *name {
                    "api" => "api-",
                    "push" => "push-",
                    "queue" => "queue-",
                    _ => "broker-",
                };
                Component::new(name, std::process::id(), Some(threads))
            }
        }
    }

    /// Stops it, and waits at most [`STOP_GRACE`] for its end.
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

/// Port in the line that a service prints when it listens.
pub(super) fn listening_port(line: &str) -> Option<u16> {
    line.strip_prefix("listening on ")?.rsplit(':').next()?.parse().ok()
}

/// Reports once that a service is ready, or its error.
#[derive(Clone)]
struct ServiceStart(Arc<Mutex<Option<StartSender>>>);

type StartSender = oneshot::Sender<Result<(), RunError>>;

impl ServiceStart {
    fn new(sender: StartSender) -> Self {
        Self(Arc::new(Mutex::new(Some(sender))))
    }

    /// Sends the first result; later ones are ignored.
    fn report(&self, result: Result<(), RunError>) {
        if let Some(sender) = self.0.lock().ok().and_then(|mut sender| sender.take()) {
            // Fails if the run does not wait for the service any more.
            let _ = sender.send(result);
        }
    }
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
        let up = ServiceStart::new(up);
        let started = up.clone();
        let ready = Box::new(move || started.report(Ok(())));
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                if let Err(error) = runtime.block_on(service(ready, shutdown)) {
                    log::warn!("{name}: {error}");
                    up.report(Err(RunError::Stack(error)));
                }
            }
            Err(error) => up.report(Err(RunError::Thread(error))),
        }
        let _ = ended.send(());
    });
    spawned.map_err(RunError::Thread)?;
    is_up.await.map_err(|_| RunError::Lost(name))??;
    Ok(Service::Thread { name, stop, done })
}
