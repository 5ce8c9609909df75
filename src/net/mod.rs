//! Sockets: receive timestamps of the kernel, users of peers, and TLS. The engine and the pipeline share them.

pub(crate) mod kernel_timestamp;
pub(crate) mod peer_user;
pub(crate) mod tls;
