//! The keys of a fleet in Redis.

/// Keys of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FleetKey {
    /// The settings that all nodes have in common, as the first node wrote them.
    Terms,
    /// Number of processes that have asked for a rank.
    Asked,
    /// Hash of the nodes that have joined, by rank.
    Members,
    /// The nodes that the load is divided among. It is written once.
    Roster,
    /// Hash of the time of each node's last heartbeat.
    Beats,
    /// Hash of the nodes that cannot take part, with the reason.
    Failed,
    /// Set while all nodes are to stop.
    Stop,
    /// Number of the round that began last.
    Round,
    /// Hash of the nodes' parts of the load.
    Parts,
    /// Hash of the nodes that are ready for the first slot.
    Ready,
    /// Time of the first slot.
    Start,
    /// Hash of what each node has measured so far.
    Live,
    /// Token of the collector.
    Collector,
    /// List of the seconds of the whole fleet.
    Seconds,
    /// Hash of the nodes' reports.
    Reports,
    /// Lists of the arrivals that others have seen for a node, each with its rank at the end.
    Arrivals,
    /// Hash of the nodes that expect no more messages.
    Drained,
    /// Result of a round, which all nodes have in common.
    Merged,
    /// Exit code and result of the fleet.
    Verdict,
}

impl FleetKey {
    /// Those that live as long as the fleet.
    pub(super) const ALL: [Self; 19] = [
        Self::Terms,
        Self::Asked,
        Self::Members,
        Self::Roster,
        Self::Beats,
        Self::Failed,
        Self::Stop,
        Self::Round,
        Self::Parts,
        Self::Ready,
        Self::Start,
        Self::Live,
        Self::Collector,
        Self::Seconds,
        Self::Reports,
        Self::Arrivals,
        Self::Drained,
        Self::Merged,
        Self::Verdict,
    ];

    /// Returns true if each round has its own.
    pub(super) fn is_of_round(self) -> bool {
        matches!(
            self,
            Self::Parts
                | Self::Ready
                | Self::Start
                | Self::Live
                | Self::Seconds
                | Self::Reports
                | Self::Arrivals
                | Self::Drained
                | Self::Merged
        )
    }

    /// Its name in Redis, after that of the fleet.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terms => "terms",
            Self::Asked => "asked",
            Self::Members => "members",
            Self::Roster => "roster",
            Self::Beats => "beats",
            Self::Failed => "failed",
            Self::Stop => "stop",
            Self::Round => "round",
            Self::Parts => "parts",
            Self::Ready => "ready",
            Self::Start => "start",
            Self::Live => "live",
            Self::Collector => "collector",
            Self::Seconds => "seconds",
            Self::Reports => "reports",
            Self::Arrivals => "arrivals",
            Self::Drained => "drained",
            Self::Merged => "merged",
            Self::Verdict => "verdict",
        }
    }
}
