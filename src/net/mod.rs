//! Sockets: receive timestamps of the kernel, and TLS. The engine and the pipeline share them.

pub(crate) mod kernel_timestamp;
pub(crate) mod tls;
