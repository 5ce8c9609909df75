//! Causes of failed requests and failed attempts to connect, as the operating system or the protocol names them.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// The cause of a failure. The first three are shortages of this machine, not faults of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Every local port is taken (EADDRNOTAVAIL).
    NoLocalPort,
    /// The limit on open files is reached (EMFILE, ENFILE).
    TooManyOpenFiles,
    /// The kernel has no memory or no buffer left (ENOMEM, ENOBUFS).
    OutOfMemory,
    /// The connection was refused.
    Refused,
    /// The connection was reset.
    Reset,
    /// The peer closed the connection before the response was complete.
    Closed,
    /// Network, host or unix socket cannot be reached.
    Unreachable,
    /// The name has no address.
    Dns,
    /// TLS failed.
    Tls,
    /// It took too long.
    Timeout,
    /// The response was not HTTP.
    NotHttp,
    /// The response was received before its request was sent: it answers another request.
    EarlyAnswer,
    /// Any other cause.
    Other,
}

impl Cause {
    /// All causes with their names in the report.
    pub(crate) const ALL: [(Self, &str); 13] = [
        (Self::NoLocalPort, "no_local_port"),
        (Self::TooManyOpenFiles, "too_many_open_files"),
        (Self::OutOfMemory, "out_of_memory"),
        (Self::Refused, "refused"),
        (Self::Reset, "reset"),
        (Self::Closed, "closed"),
        (Self::Unreachable, "unreachable"),
        (Self::Dns, "dns"),
        (Self::Tls, "tls"),
        (Self::Timeout, "timeout"),
        (Self::NotHttp, "not_http"),
        (Self::EarlyAnswer, "early_answer"),
        (Self::Other, "other"),
    ];

    /// The cause of an error of a socket, or of TLS on it.
    pub(crate) fn of(error: &io::Error) -> Self {
        if let Some(errno) = Errno::from_io_error(error) {
            return Self::of_errno(errno);
        }
        match error.kind() {
            ErrorKind::TimedOut => Self::Timeout,
            ErrorKind::UnexpectedEof => Self::Closed,
            _ if is_tls(error) => Self::Tls,
            _ => Self::Other,
        }
    }

    fn of_errno(errno: Errno) -> Self {
        match errno {
            Errno::ADDRNOTAVAIL => Self::NoLocalPort,
            Errno::MFILE | Errno::NFILE => Self::TooManyOpenFiles,
            Errno::NOMEM | Errno::NOBUFS => Self::OutOfMemory,
            Errno::CONNREFUSED => Self::Refused,
            Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE => Self::Reset,
            Errno::NETUNREACH
            | Errno::HOSTUNREACH
            | Errno::NETDOWN
            | Errno::HOSTDOWN
            | Errno::NOENT => Self::Unreachable,
            Errno::TIMEDOUT => Self::Timeout,
            _ => Self::Other,
        }
    }
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Failures by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CauseCounts([u64; Cause::ALL.len()]);

impl CauseCounts {
    /// Counts one failure.
    pub(crate) fn count(&mut self, cause: Cause) {
        self.0[cause as usize] += 1;
    }

    /// Adds those of another worker.
    pub(crate) fn add(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own += other);
    }

    /// Failures since `earlier`.
    #[must_use]
    pub(crate) fn since(mut self, earlier: Self) -> Self {
        self.0.iter_mut().zip(earlier.0).for_each(|(own, earlier)| *own -= earlier);
        self
    }

    /// The causes that occurred, with their counts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Cause, &'static str, u64)> + '_ {
        let all = Cause::ALL.iter().zip(self.0);
        all.filter(|(_, count)| *count > 0).map(|((cause, name), count)| (*cause, *name, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_counted_under_its_name() {
        for (place, (cause, name)) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, place, "{name}");
            let mut counts = CauseCounts::default();
            counts.count(cause);
            counts.add(counts);
            assert_eq!(counts.iter().collect::<Vec<_>>(), [(cause, name, 2)]);
            assert_eq!(counts.since(counts), CauseCounts::default());
        }
    }

    #[test]
    fn an_error_of_the_kernel_has_its_cause() {
        for (errno, cause) in [
            (Errno::ADDRNOTAVAIL, Cause::NoLocalPort),
            (Errno::MFILE, Cause::TooManyOpenFiles),
            (Errno::NOBUFS, Cause::OutOfMemory),
            (Errno::CONNREFUSED, Cause::Refused),
            (Errno::PIPE, Cause::Reset),
            (Errno::HOSTUNREACH, Cause::Unreachable),
            (Errno::PERM, Cause::Other),
        ] {
            assert_eq!(Cause::of(&errno.into()), cause, "{errno:?}");
        }
        let tls = io::Error::other(rustls::Error::DecryptError);
        assert_eq!(Cause::of(&tls), Cause::Tls);
        assert_eq!(Cause::of(&ErrorKind::TimedOut.into()), Cause::Timeout);
        assert_eq!(Cause::of(&ErrorKind::UnexpectedEof.into()), Cause::Closed);
    }
}
