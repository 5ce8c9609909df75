//! The node of Redis that takes writes: the master that Sentinels name, or the node of a cluster that has the key.

use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisError,
};

use super::StackError;
use super::redis::{CONNECT_TIMEOUT, describe};
use super::secure::redis_client;
use crate::core::{Address, Scheme, SentinelAddress};

/// Codes of errors after which another node may take the command: this one is a replica, is loading, has lost its
/// master or its cluster, or came back with another password. It did not run the command.
const NOT_THE_NODE: [&str; 7] =
    ["READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "UNBLOCKED", "MOVED"];

/// Returns true if the connection must be made again, to the node that has the role or the key now.
pub(super) fn is_wrong_node(error: &RedisError) -> bool {
    error.code().is_some_and(|code| NOT_THE_NODE.contains(&code))
}

/// Host and port of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedisNode {
    host: String,
    port: u16,
}

impl RedisNode {
    /// The node of a cluster to which an error redirects.
    pub(super) fn redirected_to(error: &RedisError) -> Option<Self> {
        if error.code() != Some("MOVED") {
            return None;
        }
        let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
        let host = host.trim_matches(['[', ']']).to_owned();
        Some(Self { host, port: port.parse().ok()? })
    }

    /// The node of an address: the master that its Sentinels name, or `None` for the host of the URL.
    pub(super) async fn of(address: &Address) -> Result<Option<Self>, StackError> {
        match address.sentinel() {
            Some(sentinel) => master(address, sentinel).await.map(Some),
            None => Ok(None),
        }
    }

    fn connection_addr(&self, scheme: Scheme) -> ConnectionAddr {
        let (host, port) = (self.host.clone(), self.port);
        match scheme {
            Scheme::Plain => ConnectionAddr::Tcp(host, port),
            Scheme::Tls => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        }
    }
}

/// Data of a connection to the node, or to the host of the URL, with the credentials of the address.
pub(super) fn connection_info(
    address: &Address,
    node: Option<&RedisNode>,
) -> Result<ConnectionInfo, RedisError> {
    let info = address.secret_node_url().into_connection_info()?;
    Ok(match node {
        Some(node) => info.set_addr(node.connection_addr(address.scheme())),
        None => info,
    })
}

/// Asks the Sentinels in turn for the master.
async fn master(address: &Address, sentinel: &SentinelAddress) -> Result<RedisNode, StackError> {
    let mut reason = String::new();
    for (host, port) in sentinel.nodes() {
        let node = RedisNode { host: host.clone(), port: *port };
        match ask_sentinel(address, &node, sentinel.master()).await {
            Ok(Some((host, port))) => return Ok(RedisNode { host, port }),
            Ok(None) => {
                reason = format!("the Sentinel does not know the master '{}'", sentinel.master());
            }
            Err(error) => reason = format!("no Sentinel answers: {}", describe(&error)),
        }
    }
    Err(StackError::Unreachable { server: "Redis", address: Box::new(address.clone()), reason })
}

async fn ask_sentinel(
    address: &Address,
    sentinel: &RedisNode,
    master: &str,
) -> Result<Option<(String, u16)>, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT));
    let info = sentinel.connection_addr(address.scheme()).into_connection_info()?;
    let client = redis_client(address, info)?;
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("get-master-addr-by-name").arg(master);
    command.query_async(&mut connection).await
}
