//! PLACEHOLDER, to be replaced by the embedded broker: it only has its signature.

use std::io;
use std::net::TcpListener;

use tokio::sync::watch;

/// Serves MQTT on `listener` until `shutdown`.
pub async fn run(_listener: TcpListener, _shutdown: watch::Receiver<bool>) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the embedded broker is not built in yet"))
}
