//! Refusal of connections that another user of this machine, or another machine, opened.

use rustix::process::{Uid, geteuid};
use tokio::net::TcpStream;

use crate::net::peer_user::PeerUsers;

/// Tells connections of this process's user, and of root, from those of others.
#[derive(Debug)]
pub(super) struct OwnUser {
    users: PeerUsers,
    own: u32,
}

impl OwnUser {
    /// Returns `None`, and warns, if the kernel does not tell who opened a connection.
    pub(super) fn new() -> Option<Self> {
        match PeerUsers::open() {
            Ok(users) => Some(Self { users, own: geteuid().as_raw() }),
            Err(error) => {
                log::warn!(
                    "--own-user-only: the kernel does not tell who opens a connection ({error}); other users of \
                     this machine are not refused"
                );
                None
            }
        }
    }

    /// Returns true if this process's user or root opened the connection and still has it open.
    pub(super) fn opened(&self, stream: &TcpStream) -> bool {
        let (Ok(client), Ok(server)) = (stream.peer_addr(), stream.local_addr()) else {
            return false;
        };
        match self.users.user_of(client, server) {
            Ok(Some(user)) if user == self.own || user == Uid::ROOT.as_raw() => true,
            Ok(Some(user)) => {
                log::warn!("refused a connection of user {user} from {client} (--own-user-only)");
                false
            }
            // It was closed already, or another machine opened it.
            Ok(None) => false,
            Err(error) => {
                log::warn!("refused a connection from {client}: its user is not known: {error}");
                false
            }
        }
    }
}
