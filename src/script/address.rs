//! `wrk.lookup`, `wrk.connect`, and the addresses they speak of.

use std::net::{TcpStream, ToSocketAddrs};

use mlua::{Error, Function, Lua, MetaMethod, UserData, UserDataMethods, UserDataRef, Value};

use crate::core::clock::Nanos;
use crate::engine::transport::link::{TargetEndpoint, connect_unix};

/// Where a worker connects, as a script holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address(pub(super) TargetEndpoint);

impl UserData for Address {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // As wrk writes it: an IPv6 address without brackets.
        methods.add_meta_method(MetaMethod::ToString, |_, Self(endpoint), ()| {
            Ok(match endpoint {
                TargetEndpoint::Tcp(address) => format!("{}:{}", address.ip(), address.port()),
                TargetEndpoint::Unix(path) => path.display().to_string(),
            })
        });
    }
}

/// `wrk.lookup(host, service)`: a table of the addresses.
pub(super) fn lookup(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|_, (host, service): (String, Value)| {
        let service = service.to_string()?;
        let refused = |cause: &dyn std::fmt::Display| {
            Error::runtime(format!("wrk.lookup: cannot resolve {host}:{service}: {cause}"))
        };
        let port = port_of(&service).ok_or_else(|| refused(&"no such service"))?;
        let found = (host.as_str(), port).to_socket_addrs().map_err(|e| refused(&e))?;
        Ok(found.map(|address| Address(TargetEndpoint::Tcp(address))).collect::<Vec<_>>())
    })
}

/// `wrk.connect(address)`: whether a connection can be made there.
pub(super) fn connect(lua: &Lua, timeout: Nanos) -> mlua::Result<Function> {
    lua.create_function(move |_, address: UserDataRef<Address>| {
        Ok(match &address.0 {
            TargetEndpoint::Tcp(address) => {
                TcpStream::connect_timeout(address, timeout.as_duration()).is_ok()
            }
            TargetEndpoint::Unix(path) => connect_unix(path, timeout.as_duration()).is_ok(),
        })
    })
}

/// The port of a number or of a service's name, from the system's list.
fn port_of(service: &str) -> Option<u16> {
    if let Ok(port) = service.parse() {
        return Some(port);
    }
    match service {
        "http" => return Some(80),
        "https" => return Some(443),
        _ => {}
    }
    let list = std::fs::read_to_string("/etc/services").ok()?;
    let mut entries = list.lines().map(|line| line.split('#').next().unwrap_or_default());
    entries.find_map(|entry| {
        let mut words = entry.split_whitespace();
        let (name, place) = (words.next()?, words.next()?);
        let is_meant = name == service || words.any(|alias| alias == service);
        place.strip_suffix("/tcp").filter(|_| is_meant)?.parse().ok()
    })
}
