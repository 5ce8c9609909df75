//! CPU time of all processes, and which of them belong to the experiment: this one, its children, the
//! servers under test, and what is connected with them on this machine.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};

use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, all_processes};

use super::Servers;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProcessCpu {
    parent: i32,
    /// Tells it from a later process with the same number.
    started: u64,
    /// CPU time with that of its children that have ended.
    ticks: u64,
}

/// All processes that this one may see.
#[derive(Debug, Default)]
pub(super) struct Processes(HashMap<i32, ProcessCpu>);

impl Processes {
    pub(super) fn read() -> Self {
        let all = all_processes().into_iter().flatten().flatten();
        let stats = all.filter_map(|process| process.stat().ok());
        Self(
            stats
                .map(|stat: procfs::process::Stat| {
                    let children = (stat.cutime + stat.cstime).max(0).cast_unsigned();
                    let ticks = stat.utime + stat.stime + children;
                    (stat.pid, ProcessCpu { parent: stat.ppid, started: stat.starttime, ticks })
                })
                .collect(),
        )
    }

    /// All processes that are not members.
    pub(super) fn others_than(&self, members: &HashSet<i32>) -> HashSet<i32> {
        self.0.keys().filter(|pid| !members.contains(pid)).copied().collect()
    }

    /// CPU time of these processes since an earlier reading.
    pub(super) fn ticks_since(&self, earlier: &Self, members: &HashSet<i32>) -> u64 {
        let used = |pid: &i32| {
            let now = self.0.get(pid)?;
            let before = earlier.0.get(pid).filter(|before| before.started == now.started);
            Some(now.ticks - before.map_or(0, |before| before.ticks).min(now.ticks))
        };
        let used: u64 = members.iter().filter_map(used).sum();
        // All the time of a child that has ended is its parent's now, with what was before.
        let ended = earlier
            .0
            .iter()
            .filter(|(pid, child)| !self.0.contains_key(pid) && members.contains(&child.parent));
        used.saturating_sub(ended.map(|(_, child)| child.ticks).sum())
    }

    fn add_children(&self, members: &mut HashSet<i32>) {
        loop {
            let new: Vec<_> = self
                .0
                .iter()
                .filter(|(pid, process): &(&i32, &ProcessCpu)| {
                    // Everything descends from the first process, which may listen for others.
                    process.parent > 1
                        && members.contains(&process.parent)
                        && !members.contains(pid)
                })
                .map(|(pid, _)| *pid)
                .collect();
            if new.is_empty() {
                return;
            }
            members.extend(new);
        }
    }
}

/// Sockets of this machine and the processes that hold them.
struct Sockets {
    tcp: Vec<TcpNetEntry>,
    holders: HashMap<u64, Vec<i32>>,
}

impl Sockets {
    fn read() -> Self {
        let mut tcp = procfs::net::tcp().unwrap_or_default();
        tcp.extend(procfs::net::tcp6().unwrap_or_default());
        let mut holders: HashMap<u64, Vec<i32>> = HashMap::new();
        for process in all_processes().into_iter().flatten().flatten() {
            for fd in process.fd().into_iter().flatten().flatten() {
                if let FDTarget::Socket(inode) = fd.target {
                    holders.entry(inode).or_default().push(process.pid);
                }
            }
        }
        Self { tcp, holders }
    }

    fn holders(&self, inode: u64) -> &[i32] {
        self.holders.get(&inode).map_or(&[], Vec::as_slice)
    }

    /// Sockets that listen on an address of this machine.
    fn listeners(&self, address: SocketAddr) -> impl Iterator<Item = &TcpNetEntry> {
        self.tcp.iter().filter(move |entry: &&TcpNetEntry| {
            let own = entry.local_address;
            let fits = own.ip().is_unspecified() || own.ip().to_canonical() == address.ip();
            entry.state == TcpState::Listen && own.port() == address.port() && fits
        })
    }

    /// Adds the processes at the other ends of the members' connections.
    fn add_peers(&self, members: &mut HashSet<i32>) {
        let ends =
            self.tcp.iter().map(|entry| ((entry.local_address, entry.remote_address), entry));
        let ends: HashMap<_, _> = ends.collect();
        for entry in &self.tcp {
            let is_member = self.holders(entry.inode).iter().any(|pid| members.contains(pid));
            let other = ends.get(&(entry.remote_address, entry.local_address));
            if let Some(other) = other.filter(|_| is_member) {
                members.extend(self.holders(other.inode));
            }
        }
    }
}

fn is_of_this_machine(address: SocketAddr) -> bool {
    address.ip().is_loopback() || UdpSocket::bind((address.ip(), 0)).is_ok()
}

/// Processes of the experiment, and whether those of all servers on this machine could be found: the
/// sockets of another user's process are seen by root only.
pub(super) fn experiment(processes: &Processes, servers: &Servers) -> (HashSet<i32>, bool) {
    let sockets = Sockets::read();
    let mut members = HashSet::from([std::process::id().cast_signed()]);
    members.extend(&servers.processes);
    let mut all_known = true;
    for address in &servers.addresses {
        let owners: Vec<i32> = sockets
            .listeners(SocketAddr::new(address.ip().to_canonical(), address.port()))
            .flat_map(|entry| sockets.holders(entry.inode))
            .copied()
            .collect();
        all_known &= !owners.is_empty() || !is_of_this_machine(*address);
        members.extend(owners);
    }
    if let Some(path) = &servers.unix {
        let unix = procfs::net::unix().unwrap_or_default();
        let owners = unix.iter().filter(|entry| entry.path.as_ref() == Some(path));
        let owners: Vec<_> = owners.flat_map(|entry| sockets.holders(entry.inode)).collect();
        all_known &= !owners.is_empty();
        members.extend(owners);
    }
    loop {
        let before = members.len();
        processes.add_children(&mut members);
        sockets.add_peers(&mut members);
        if members.len() == before {
            return (members, all_known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(all: &[(i32, i32, u64)]) -> Processes {
        let one = |(pid, parent, ticks): &(i32, i32, u64)| {
            (*pid, ProcessCpu { parent: *parent, started: 7, ticks: *ticks })
        };
        Processes(all.iter().map(one).collect())
    }

    #[test]
    fn time_is_that_of_the_members_since_the_first_reading() {
        let first = processes(&[(10, 2, 100), (11, 10, 40), (20, 2, 500)]);
        // The child has ended: its 45 ticks are its parent's now. A new child has come.
        let last = processes(&[(10, 2, 150), (12, 10, 8), (20, 2, 900)]);
        let mut members = HashSet::from([10]);
        last.add_children(&mut members);
        assert_eq!(members, HashSet::from([10, 12]));
        assert_eq!(last.ticks_since(&first, &members), 50 - 40 + 8);
    }

    #[test]
    fn a_server_on_this_machine_is_found_by_its_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let servers = Servers { addresses: vec![address], ..Servers::default() };
        let (members, all_known) = experiment(&Processes::read(), &servers);
        assert!(members.contains(&std::process::id().cast_signed()) && all_known);
        drop(listener);
        assert!(!experiment(&Processes::read(), &servers).1, "nobody listens there any more");
        let elsewhere = Servers {
            addresses: vec!["192.0.2.1:80".parse().expect("valid")],
            ..Servers::default()
        };
        assert!(experiment(&Processes::read(), &elsewhere).1, "that is another machine's");
    }
}
