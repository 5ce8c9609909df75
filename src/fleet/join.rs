//! Joining a fleet: agree on the terms, take a rank, and wait for the others.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::sleep;

use super::FleetError;
use super::heartbeat_loop::Heartbeats;
use super::keys::FleetKey;
use super::member::{Member, MemberParts};
use super::roster::{NodeFacts, Roster, RosterNode};
use super::size::FleetSize;
use super::store::{KEY_LIFETIME, Store};
use super::terms::{FleetWork, Gathering, Terms, hex};
use crate::config::settings::Settings;
use crate::core::Address;
use crate::core::units::{format_duration, format_some};
use crate::host::identity::HostFacts;

/// Silence after which a node is taken to be lost, in microseconds.
pub(super) const LOST_AFTER_US: u64 = 10_000_000;
/// Interval between two looks for the other nodes: so much, and a millisecond for each node, so that many nodes do not keep
/// Redis busy.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The longest interval.
const LONGEST_LOOK: Duration = Duration::from_secs(2);
/// Attempts to take a rank while others take them, too.
const ATTEMPTS: u64 = 3;
/// Advice where a key is gone that must be there.
const EVICTED: &str = "a key of the fleet is gone from Redis; does its maxmemory-policy remove keys with a lifetime (volatile-*)?";

/// The messages whose arrival each node sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub(crate) enum ArrivalsAt {
    /// Each node subscribes to all messages, and counts its own
    #[default]
    All,
    /// Each node subscribes to its own messages: the topic has its index
    Own,
    /// The nodes share one subscription, and each message goes to one of them
    Shared,
}

impl fmt::Display for ArrivalsAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Own => "own",
            Self::Shared => "shared",
        })
    }
}

/// The fleet that a node joins.
#[derive(Debug, Clone)]
pub(crate) struct JoinRequest {
    /// Name of the fleet.
    pub(crate) name: String,
    /// Rank that the launcher gave; without one, a free rank is taken.
    pub(crate) rank: Option<u64>,
    /// Number of nodes.
    pub(crate) nodes: FleetSize,
    /// Longest time in which nodes may join, since the first of them came.
    pub(crate) join_timeout: Duration,
    /// Redis in which the nodes meet.
    pub(crate) redis: Address,
    pub(crate) arrivals_at: ArrivalsAt,
    /// Text of the profile if the fleet runs a ramp.
    pub(crate) profile: Option<String>,
    /// Workers of this node.
    pub(crate) threads: u64,
    /// Gets `true` when all nodes are to stop.
    pub(crate) stop: watch::Sender<bool>,
    /// Stop the other nodes if one is lost.
    pub(crate) stops_on_loss: bool,
}

/// Number of nodes that have joined so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JoinCount {
    pub(crate) nodes: u64,
    pub(crate) of: FleetSize,
}

/// Joins a fleet and waits until its roster is written. `on_joined` is called when the number of nodes changes.
pub(crate) async fn join(
    request: &JoinRequest,
    settings: &Settings,
    mut on_joined: impl FnMut(JoinCount),
) -> Result<Member, FleetError> {
    let mut store = Store::open(&request.redis, &request.name).await?;
    if let Some(verdict) = store.get::<String>(FleetKey::Verdict).await? {
        drop(verdict);
        return Err(FleetError::Usage(format!(
            "--fleet {0}: a fleet of this name has ended within the last day; give each run a name of its own",
            request.name
        )));
    }
    let terms = agree(&mut store, request, settings).await?;
    let claim = claim(&mut store, request).await?;
    let control = Store::open(&request.redis, &request.name).await?;
    let beats = Heartbeats::begin(control, claim.rank, request);
    let gathered = gather(&mut store, request, &terms, &mut on_joined).await;
    let roster = gathered?;
    let Some(index) = roster.index_of(&claim.token) else {
        return Err(begun(&request.name, &roster));
    };
    let server = store.server_id().await;
    Ok(Member::new(MemberParts {
        store,
        beats,
        roster,
        index,
        server,
        arrivals_at: request.arrivals_at,
        redis: request.redis.clone(),
        name: request.name.clone(),
        token: claim.token,
    }))
}

/// The rank of this process.
struct Claim {
    rank: u64,
    token: String,
}

/// Writes the terms if this node is the first, else compares them.
async fn agree(
    store: &mut Store,
    request: &JoinRequest,
    settings: &Settings,
) -> Result<Terms, FleetError> {
    let join_timeout_us = u64::try_from(request.join_timeout.as_micros()).unwrap_or(u64::MAX);
    let gathering = Gathering { nodes: request.nodes, join_timeout_us, written_us: store.now_us() };
    let work = FleetWork {
        settings,
        arrivals_at: request.arrivals_at,
        profile: request.profile.as_deref(),
    };
    let own = Terms::new(work, gathering);
    let text = serde_json::to_string_pretty(&own).unwrap_or_default();
    if store.put_new(FleetKey::Terms, text.as_bytes(), KEY_LIFETIME).await? {
        return Ok(own);
    }
    let first: Option<String> = store.get(FleetKey::Terms).await?;
    let first = first.ok_or_else(|| FleetError::Failed(EVICTED.to_owned()))?;
    let first: Terms = serde_json::from_str(&first).map_err(|_| {
        FleetError::Usage(format!(
            "--fleet {}: its terms in Redis cannot be read; were they written by another version of loadgen?",
            request.name
        ))
    })?;
    match first.difference(&first.like(work, request.nodes, join_timeout_us)) {
        Some(difference) => Err(FleetError::Usage(format!(
            "--fleet {}: this node has other settings than the first one: {difference}. Start all nodes with the same \
             command",
            request.name
        ))),
        None => Ok(first),
    }
}

/// Takes the rank of the launcher, or a free one.
async fn claim(store: &mut Store, request: &JoinRequest) -> Result<Claim, FleetError> {
    if let Some(roster) = read_roster(store).await? {
        return Err(begun(&request.name, &roster));
    }
    let facts = facts(request, store.now_us());
    let text = serde_json::to_string(&facts).unwrap_or_default();
    let ranks: Vec<u64> = match request.rank {
        Some(rank) => vec![rank],
        None => {
            // Each process begins at another rank: with many, most would try those of the others.
            let first = store.count_up(FleetKey::Asked).await?.min(request.nodes.most);
            (first..request.nodes.most).chain(0..first).collect()
        }
    };
    for rank in &ranks {
        if store.put_new_field(FleetKey::Members, *rank, &text).await? {
            return Ok(Claim { rank: *rank, token: facts.token });
        }
    }
    for _ in 0..ATTEMPTS {
        let members = members(store).await?;
        let alive = alive(store, &members).await?;
        let dead =
            ranks.iter().find(|rank| members.contains_key(rank) && !alive.contains_key(rank));
        let Some(rank) = dead else {
            return Err(FleetError::Usage(all_taken(request, &members)));
        };
        let old = members.get(rank).map(|member| member.text.as_str()).unwrap_or_default();
        if store.replace_field(FleetKey::Members, *rank, old, &text).await? {
            return Ok(Claim { rank: *rank, token: facts.token });
        }
    }
    Err(FleetError::Failed(format!(
        "--fleet {}: other processes took each free rank first; start this one again",
        request.name
    )))
}

/// This process as the roster shows it.
fn facts(request: &JoinRequest, now_us: u64) -> NodeFacts {
    let mut random = [0; 8];
    let host = HostFacts::read().name.unwrap_or_else(|| "unknown".to_owned());
    // Host and process are nearly unique without it.
    let _ = SystemRandom::new().fill(&mut random);
    let pid = std::process::id();
    NodeFacts {
        token: format!("{host}:{pid}:{}", hex(&random)),
        host,
        pid,
        joined_us: now_us,
        threads: request.threads,
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
    }
}

/// A node as it is written in Redis.
pub(super) struct WrittenMember {
    text: String,
    facts: NodeFacts,
}

pub(super) async fn members(store: &mut Store) -> Result<BTreeMap<u64, WrittenMember>, FleetError> {
    let written = store.fields::<String>(FleetKey::Members).await?;
    let mut members = BTreeMap::new();
    for (rank, text) in written {
        if let Ok(facts) = serde_json::from_str(&text) {
            members.insert(rank, WrittenMember { text, facts });
        }
    }
    Ok(members)
}

/// The members that joined or gave a heartbeat within the last ten seconds.
async fn alive<'a>(
    store: &mut Store,
    members: &'a BTreeMap<u64, WrittenMember>,
) -> Result<BTreeMap<u64, &'a NodeFacts>, FleetError> {
    let beats = store.fields::<u64>(FleetKey::Beats).await?;
    let now_us = store.now_us();
    let mut alive = BTreeMap::new();
    for (rank, member) in members {
        let last = beats.get(rank).copied().unwrap_or_default().max(member.facts.joined_us);
        if now_us.saturating_sub(last) < LOST_AFTER_US {
            alive.insert(*rank, &member.facts);
        }
    }
    Ok(alive)
}

/// The words for a rank, or all ranks, that other processes have.
fn all_taken(request: &JoinRequest, members: &BTreeMap<u64, WrittenMember>) -> String {
    let name = &request.name;
    match request.rank.and_then(|rank| Some((rank, members.get(&rank)?))) {
        Some((rank, owner)) => {
            let NodeFacts { host, pid, joined_us, .. } = &owner.facts;
            let since = std::time::UNIX_EPOCH + Duration::from_micros(*joined_us);
            format!(
                "--fleet {name}: node {rank} is process {pid} on {host} since {}; two processes cannot have one rank",
                humantime::format_rfc3339_seconds(since)
            )
        }
        None => {
            let hosts: Vec<_> = members.values().map(|member| member.facts.host.as_str()).collect();
            format!(
                "--fleet {name} has its {} already: {}. Start it with a larger --nodes, or this process under another \
                 name",
                format_some(request.nodes.most, "node", "nodes"),
                hosts.join(", ")
            )
        }
    }
}

/// The error of a process that came after the start.
fn begun(name: &str, roster: &Roster) -> FleetError {
    FleetError::Begun(format!(
        "--fleet {name} has begun with its {}; this process came later and sends nothing",
        format_some(roster.nodes.len() as u64, "node", "nodes")
    ))
}

pub(super) async fn read_roster(store: &mut Store) -> Result<Option<Roster>, FleetError> {
    let text: Option<String> = store.get(FleetKey::Roster).await?;
    let read = |text: String| serde_json::from_str(&text);
    text.map(read).transpose().map_err(|_| FleetError::Failed(EVICTED.to_owned()))
}

/// Waits until the roster is written; the node that sees enough nodes writes it.
async fn gather(
    store: &mut Store,
    request: &JoinRequest,
    terms: &Terms,
    on_joined: &mut impl FnMut(JoinCount),
) -> Result<Roster, FleetError> {
    let deadline_us = terms.written_us.saturating_add(terms.join_timeout_us);
    let mut shown = 0;
    loop {
        if let Some(roster) = read_roster(store).await? {
            return Ok(roster);
        }
        if store.get::<String>(FleetKey::Stop).await?.is_some() {
            return Err(FleetError::Failed(format!("--fleet {}: it was stopped", request.name)));
        }
        let joined = store.count(FleetKey::Members).await?;
        if joined != shown {
            shown = joined;
            on_joined(JoinCount { nodes: joined, of: terms.nodes });
        }
        let is_over = store.now_us() >= deadline_us;
        if joined >= terms.nodes.most || is_over {
            write_roster(store, terms, is_over).await?;
        }
        if is_over && read_roster(store).await?.is_none() {
            let members = members(store).await?;
            let alive = alive(store, &members).await?;
            let hosts: Vec<_> = alive.values().map(|facts| facts.host.as_str()).collect();
            return Err(FleetError::Failed(format!(
                "--fleet {}: {} of {} joined within {} (--join-timeout): {}",
                request.name,
                format_some(alive.len() as u64, "node", "nodes"),
                terms.nodes,
                format_duration(Duration::from_micros(terms.join_timeout_us)),
                hosts.join(", ")
            )));
        }
        sleep((LOOK_EVERY + Duration::from_millis(terms.nodes.most)).min(LONGEST_LOOK)).await;
    }
}

/// Writes the roster if enough nodes are there and none of them is lost.
async fn write_roster(store: &mut Store, terms: &Terms, is_over: bool) -> Result<(), FleetError> {
    let members = members(store).await?;
    let alive = alive(store, &members).await?;
    let needed = if is_over { terms.nodes.fewest } else { terms.nodes.most };
    if (alive.len() as u64) < needed {
        return Ok(());
    }
    let node = |(rank, facts): (&u64, &&NodeFacts)| RosterNode {
        rank: *rank,
        facts: NodeFacts::clone(facts),
    };
    let roster = Roster { nodes: alive.iter().map(node).collect() };
    let text = serde_json::to_string(&roster).unwrap_or_default();
    store.put_new(FleetKey::Roster, text.as_bytes(), KEY_LIFETIME).await?;
    Ok(())
}
