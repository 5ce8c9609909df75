//! A look at a fleet from outside: its progress, and its end.

use super::FleetError;
use super::collector::FleetState;
use super::join::read_roster;
use super::keys::FleetKey;
use super::member::Announcement;
use super::size::FleetSize;
use super::store::Store;
use super::terms::Terms;
use crate::core::Address;
use crate::report::Row;
use crate::run::Progress;

/// A visitor of a fleet. It writes nothing but the wish to stop.
pub(crate) struct Visitor {
    store: Store,
    name: String,
}

/// State of a fleet as a visitor sees it.
#[derive(Debug)]
pub(crate) enum FleetSight {
    /// The nodes are joining.
    Gathering {
        /// Nodes that have joined.
        joined: u64,
        /// Nodes that are waited for.
        of: FleetSize,
    },
    /// The nodes are at work.
    Running(Box<Progress>),
    /// The fleet has ended.
    Ended(Announcement),
}

impl Visitor {
    /// Connects to the Redis that the fleet meets in.
    pub(crate) async fn open(redis: &Address, name: &str) -> Result<Self, FleetError> {
        let store = Store::open(redis, name).await?;
        Ok(Self { store, name: name.to_owned() })
    }

    /// Looks at the fleet.
    pub(crate) async fn look(&mut self) -> Result<FleetSight, FleetError> {
        if let Some(verdict) = self.store.get::<String>(FleetKey::Verdict).await? {
            let announced = serde_json::from_str(&verdict);
            return announced.map(FleetSight::Ended).map_err(|_| self.unreadable());
        }
        let terms = self.terms().await?;
        if read_roster(&mut self.store).await?.is_none() {
            let joined = self.store.count(FleetKey::Members).await?;
            return Ok(FleetSight::Gathering { joined, of: terms.nodes });
        }
        let round = self.store.get(FleetKey::Round).await?;
        self.store.set_round(round);
        self.store.compare_clocks().await?;
        let state = FleetState::read(&mut self.store).await?;
        let last: Option<String> = self.store.last_row(FleetKey::Seconds).await?;
        let last = last.and_then(|row| serde_json::from_str::<Row>(&row).ok());
        Ok(FleetSight::Running(Box::new(state.progress(last))))
    }

    /// Tells all nodes to stop.
    pub(crate) async fn stop(&mut self) -> Result<(), FleetError> {
        if self.store.get::<String>(FleetKey::Verdict).await?.is_some() {
            return Err(FleetError::Usage(format!("the fleet {} has ended already", self.name)));
        }
        self.terms().await?;
        self.store.stop_all("loadgen stop").await?;
        Ok(())
    }

    async fn terms(&mut self) -> Result<Terms, FleetError> {
        let text: Option<String> = self.store.get(FleetKey::Terms).await?;
        let text = text.ok_or_else(|| {
            FleetError::Usage(format!(
                "there is no fleet '{}' in this Redis; is it the one of --fleet-redis, or else of --redis?",
                self.name
            ))
        })?;
        serde_json::from_str(&text).map_err(|_| self.unreadable())
    }

    fn unreadable(&self) -> FleetError {
        FleetError::Failed(format!(
            "what Redis has of the fleet {} cannot be read; is it of another version of loadgen?",
            self.name
        ))
    }
}
