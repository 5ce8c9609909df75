//! `wrk.lookup`, `wrk.connect`, and their addresses.

use std::net::{TcpStream, ToSocketAddrs};

use mlua::{Error, Function, Lua, MetaMethod, UserData, UserDataMethods, UserDataRef, Value};

use crate::core::clock::Nanos;
use crate::engine::transport::link::{TargetEndpoint, connect_unix};

/// Lua's value for the endpoint of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScriptAddress(pub(super) TargetEndpoint);

impl UserData for ScriptAddress {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // In wrk's form: an IPv6 address without brackets.
        methods.add_meta_method(MetaMethod::ToString, |_, Self(endpoint), ()| {
            Ok(match endpoint {
                TargetEndpoint::Tcp(address) => format!("{}:{}", address.ip(), address.port()),
                TargetEndpoint::Unix(path) => path.display().to_string(),
            })
        });
    }
}

/// Creates `wrk.lookup(host, service)`, which returns a table of addresses.
pub(super) fn lookup(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|_, (host, service): (String, Value)| {
        let service = service.to_string()?;
        let Some(port) = port_of(&service) else {
            return Err(cannot_resolve(&host, &service, "no such service"));
        };
        let found = (host.as_str(), port).to_socket_addrs();
        let found = found.map_err(|error| cannot_resolve(&host, &service, error))?;
        Ok(found.map(|address| ScriptAddress(TargetEndpoint::Tcp(address))).collect::<Vec<_>>())
    })
}

fn cannot_resolve(host: &str, service: &str, cause: impl std::fmt::Display) -> Error {
    Error::runtime(format!("wrk.lookup: cannot resolve {host}:{service}: {cause}"))
}

/// Creates `wrk.connect(address)`, which returns true if a connection can be opened.
pub(super) fn connect(lua: &Lua, timeout: Nanos) -> mlua::Result<Function> {
    lua.create_function(move |_, address: UserDataRef<ScriptAddress>| {
        Ok(match &address.0 {
            TargetEndpoint::Tcp(address) => {
                TcpStream::connect_timeout(address, timeout.as_duration()).is_ok()
            }
            TargetEndpoint::Unix(path) => connect_unix(path, timeout.as_duration()).is_ok(),
        })
    })
}

/// Returns the port of a number or of a service's name, from the system's list.
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
        let (name, port) = (words.next()?, words.next()?);
        let is_named = name == service || words.any(|alias| alias == service);
        port.strip_suffix("/tcp").filter(|_| is_named)?.parse().ok()
    })
}
