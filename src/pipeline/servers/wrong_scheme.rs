//! Errors of a first connection whose address has the scheme of TLS and the server does not, or the reverse.

use std::io::{self, ErrorKind};

use redis::RedisError;

use crate::core::{Address, Scheme};

/// Explains an error of a broker before its first answer.
pub(super) fn explain(address: &Address, error: io::Error) -> io::Error {
    match address.scheme() {
        Scheme::Tls if is_not_tls(&error) => {
            io::Error::other("the server did not answer with TLS; is this an mqtt:// address?")
        }
        Scheme::Plain if is_cut_off(&error) || error.kind() == ErrorKind::InvalidData => {
            io::Error::other(
                "the server did not answer in MQTT; is this an mqtts:// address, with TLS?",
            )
        }
        Scheme::Tls | Scheme::Plain => error,
    }
}

/// Advice on an error of Redis before its first answer; empty if the scheme is not in doubt.
pub(super) fn advice(address: &Address, error: &RedisError) -> &'static str {
    let is_cut_off = error.is_connection_dropped();
    match address.scheme() {
        Scheme::Tls if is_cut_off || error.is_timeout() || is_invalid(&error.to_string()) => {
            "; the server did not answer with TLS; is this a redis:// address?"
        }
        Scheme::Plain if is_cut_off || error.kind() == redis::ErrorKind::Parse => {
            "; the server did not answer as Redis; is this a rediss:// address, with TLS?"
        }
        Scheme::Tls | Scheme::Plain => "",
    }
}

fn is_not_tls(error: &io::Error) -> bool {
    is_cut_off(error) || is_invalid(&error.to_string())
}

/// Returns true if the text of an error is that of rustls about bytes that are not TLS.
fn is_invalid(text: &str) -> bool {
    ["corrupt message", "InvalidMessage", "InvalidContentType"]
        .iter()
        .any(|part| text.contains(part))
}

fn is_cut_off(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}
