//! Findings of a ramp: the numbers of each conclusion, and the sentence that shows them.
//!
//! `analysis` makes them from the steps' reports. The sentence is saved beside the numbers, so that other tools
//! need not build it.

mod arrival;
mod bottleneck;
mod capacity;
mod caution;
mod knee;
mod noise;
mod overload;
mod sizing;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::core::json;
use crate::core::units::format_count;

pub(crate) use arrival::{
    ArrivalBreak, ArrivalHeld, ArrivalNeverHeld, ArrivalStep, OverloadedStep, ResponseAtBreak,
};
pub(crate) use bottleneck::{Bottleneck, BusiestComponent, EndState, Evidence, SeenAt, Suspect};
pub(crate) use capacity::{ClosedLoopCapacity, OpenLoopCapacity, Overload, Trend};
pub(crate) use caution::{Caution, StepReason};
pub(crate) use knee::{KneeEnd, KneeFinding};
pub(crate) use noise::{NoiseSign, NoisyStep};
pub(crate) use overload::{OverloadSign, StepBacklog};
pub(crate) use sizing::{ClosedLoopSizing, OpenLoopSizing};

/// A conclusion from the steps of a ramp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Finding {
    /// The question that it answers.
    pub kind: FindingKind,
    /// The conclusion as a sentence with its numbers.
    pub text: String,
    /// Name of the curve that it is about, if the ramp has several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) curve: String,
    /// The numbers; `null` in files of versions that did not save them, and for cases of a later version.
    #[serde(default, deserialize_with = "known_data")]
    pub(crate) data: Option<Conclusion>,
}

/// The question that a finding answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FindingKind {
    /// The highest rate that the target answers.
    Capacity,
    /// The number of connections that a rate needs.
    Sizing,
    /// The step at which arrival latency breaks.
    Arrival,
    /// The component that is saturated first.
    Bottleneck,
    /// The result of a search.
    Knee,
    /// A reason to be careful with the numbers.
    Caution,
    /// A kind of another version.
    #[serde(untagged)]
    #[cfg_attr(test, schemars(skip))]
    Other(String),
}

/// The numbers of a finding. In JSON `case` names the variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "case", rename_all = "snake_case")]
pub(crate) enum Conclusion {
    /// Capacity in an open loop.
    OpenLoopCapacity(OpenLoopCapacity),
    /// Capacity in a closed loop.
    ClosedLoopCapacity(ClosedLoopCapacity),
    /// Connections for a rate, measured in a closed loop.
    ClosedLoopSizing(ClosedLoopSizing),
    /// Connections for a rate, from the requests in flight in an open loop.
    OpenLoopSizing(OpenLoopSizing),
    /// Arrival latency broke.
    ArrivalBreak(ArrivalBreak),
    /// The load was too much from the first step on.
    ArrivalNeverHeld(ArrivalNeverHeld),
    /// Arrival latency did not break.
    ArrivalHeld(ArrivalHeld),
    /// The saturated component.
    Bottleneck(Bottleneck),
    /// The busiest component, if no step shows a saturated one.
    BusiestComponent(BusiestComponent),
    /// The result of a search.
    Knee(KneeFinding),
    /// A step whose numbers are chance.
    NoisyStep(NoisyStep),
    /// A reason to be careful.
    Caution(Caution),
}

impl Finding {
    /// A finding of which only the sentence is known.
    pub fn from_text(kind: FindingKind, text: String) -> Self {
        Self { kind, text, curve: String::new(), data: None }
    }

    /// The finding about one curve; `curve` is empty if the ramp has only one.
    pub(crate) fn new(curve: &str, data: Conclusion) -> Self {
        let text = if curve.is_empty() { data.to_string() } else { format!("[{curve}] {data}") };
        Self { kind: data.kind(), text, curve: curve.to_owned(), data: Some(data) }
    }

    /// Name of the step whose numbers are chance, if the finding is about one.
    pub(crate) fn noisy_step(&self) -> Option<&String> {
        match &self.data {
            Some(Conclusion::NoisyStep(noisy)) => Some(&noisy.step),
            _ => None,
        }
    }
}

impl FindingKind {
    /// The name in JSON and in tables.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Capacity => "capacity",
            Self::Sizing => "sizing",
            Self::Arrival => "arrival",
            Self::Bottleneck => "bottleneck",
            Self::Knee => "knee",
            Self::Caution => "caution",
            Self::Other(name) => name,
        }
    }
}

impl Conclusion {
    fn kind(&self) -> FindingKind {
        match self {
            Self::OpenLoopCapacity(_) | Self::ClosedLoopCapacity(_) => FindingKind::Capacity,
            Self::ClosedLoopSizing(_) | Self::OpenLoopSizing(_) => FindingKind::Sizing,
            Self::ArrivalBreak(_) | Self::ArrivalNeverHeld(_) | Self::ArrivalHeld(_) => {
                FindingKind::Arrival
            }
            Self::Bottleneck(_) | Self::BusiestComponent(_) => FindingKind::Bottleneck,
            Self::Knee(_) => FindingKind::Knee,
            Self::NoisyStep(_) | Self::Caution(_) => FindingKind::Caution,
        }
    }
}

impl fmt::Display for Conclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenLoopCapacity(data) => data.fmt(f),
            Self::ClosedLoopCapacity(data) => data.fmt(f),
            Self::ClosedLoopSizing(data) => data.fmt(f),
            Self::OpenLoopSizing(data) => data.fmt(f),
            Self::ArrivalBreak(data) => data.fmt(f),
            Self::ArrivalNeverHeld(data) => data.fmt(f),
            Self::ArrivalHeld(data) => data.fmt(f),
            Self::Bottleneck(data) => data.fmt(f),
            Self::BusiestComponent(data) => data.fmt(f),
            Self::Knee(data) => data.fmt(f),
            Self::NoisyStep(data) => data.fmt(f),
            Self::Caution(data) => data.fmt(f),
        }
    }
}

/// Reads the numbers of a finding, or nothing from another version's.
fn known_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Conclusion>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| json::from_value(&value)))
}

/// A rate as text, such as `22,500/s`.
fn per_second(rate: f64) -> String {
    format!("{}/s", format_count(rate.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_read_as_it_was_written() {
        let reason = StepReason { step: "rate 5".to_owned(), reason: "it was busy".to_owned() };
        let caution =
            Caution::GeneratorLimited { steps: vec!["rate 5".to_owned()], reasons: vec![reason] };
        let finding = Finding::new("stack a", Conclusion::Caution(caution));
        let json = serde_json::to_value(&finding).expect("plain data");
        assert_eq!(json["kind"], "caution");
        assert_eq!(json["data"]["case"], "caution");
        assert_eq!(
            json["text"],
            "[stack a] the generator was limited at: rate 5. At rate 5: it was busy"
        );
        assert_eq!(serde_json::from_value::<Finding>(json).expect("a finding"), finding);
    }

    #[test]
    fn findings_of_other_versions_are_read() {
        for text in [
            r#"{"kind":"capacity","text":"it holds 5/s"}"#,
            r#"{"kind":"capacity","text":"it holds 5/s","data":{"case":"later","per_s":5}}"#,
        ] {
            let finding: Finding = serde_json::from_str(text).expect("a finding");
            assert_eq!(
                finding,
                Finding::from_text(FindingKind::Capacity, "it holds 5/s".to_owned())
            );
        }
        let other: Finding = serde_json::from_str(r#"{"kind":"cost","text":""}"#).expect("one");
        assert_eq!(other.kind.name(), "cost");
    }
}
