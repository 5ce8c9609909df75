//! Errors of a first connection whose address has the scheme of TLS and the server does not, or the reverse. Errors
//! of TLS itself are explained by [`super::secure`].

use std::io::{self, ErrorKind};

use redis::RedisError;

use crate::core::{Address, Scheme};

/// Explains an error of a broker before its first answer.
pub(super) fn explain(address: &Address, error: io::Error) -> io::Error {
    let is_other_protocol = is_cut_off(&error) || error.kind() == ErrorKind::InvalidData;
    if address.scheme() == Scheme::Plain && is_other_protocol {
        return io::Error::other(
            "the server did not answer in MQTT; is this an mqtts:// address, with TLS?",
        );
    }
    error
}

/// Advice on an error of Redis before its first answer; empty if the scheme is not in doubt.
pub(super) fn advice(address: &Address, error: &RedisError) -> &'static str {
    match address.scheme() {
        Scheme::Tls if error.is_timeout() => {
            "; the server did not answer with TLS; is this a redis:// address?"
        }
        Scheme::Plain
            if error.is_connection_dropped() || error.kind() == redis::ErrorKind::Parse =>
        {
            "; the server did not answer as Redis; is this a rediss:// address, with TLS?"
        }
        Scheme::Tls | Scheme::Plain => "",
    }
}

/// Returns true if the peer closed the connection.
pub(super) fn is_cut_off(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}
