//! The saturated component, and the evidence for it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::per_second;
use crate::core::units::{format_count, format_time};
use crate::message::StagePair;

/// A component that has no capacity left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct Bottleneck {
    /// The component.
    pub(crate) component: Suspect,
    /// The place where it was seen.
    pub(crate) seen: SeenAt,
    /// A queue or CPU time shows it, and not only a stage.
    pub(crate) is_clear: bool,
    /// The evidence, strongest first.
    pub(crate) evidence: Vec<Evidence>,
    /// The api and push are the user's own: loadgen did not start them.
    #[serde(default)]
    pub(crate) is_foreign: bool,
}

/// A component, or several of which one is saturated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Suspect {
    Generator,
    Api,
    Push,
    /// Another component, by its name in the report's `resources`.
    Component(String),
    /// The broker or the subscriber, which no checkpoint separates.
    BrokerOrSubscriber,
    /// All cores of the machine.
    Machine,
}

/// The place of a ramp where a component was seen to be saturated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "is")]
pub(crate) enum SeenAt {
    /// At the step at which arrival latency breaks.
    #[serde(rename = "at_break")]
    Break,
    /// At another step that had too much load.
    #[serde(rename = "at_step")]
    Step {
        /// Name of the step.
        step: String,
    },
    /// At a failed trial of a search; its value as text.
    #[serde(rename = "at_trial")]
    Trial {
        /// Such as `10,200/s`.
        value: String,
    },
}

/// An observation that points to a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Evidence {
    /// The queue in front of it grew.
    QueueGrew {
        /// Messages a second.
        per_s: f64,
        /// The most messages seen in it.
        to: u64,
    },
    /// Its rate is limited by a flag.
    PushLimit {
        /// Messages a second.
        per_s: f64,
    },
    /// CPU time of the component.
    Cpu {
        /// Percent of its threads' time; of one core if the number of threads is not known.
        percent: f64,
        /// Threads that do its work, if known.
        threads: Option<u64>,
        /// True if hardly any time is left.
        is_full: bool,
    },
    /// CPU time of the busiest thread of a component that the run did not start.
    BusiestThread {
        /// Percent of a core.
        percent: f64,
        /// True if hardly any time is left.
        is_full: bool,
    },
    /// CPU time of all components.
    AllCores {
        /// Percent of the cores' time.
        percent: f64,
        /// Cores that the components share.
        cores: u64,
    },
    /// The stage that became slower than any other.
    StageGrew {
        /// The stage.
        #[serde(with = "stage_name")]
        #[cfg_attr(test, schemars(with = "String"))]
        stage: StagePair,
        /// Its median at the calm step, in microseconds.
        before_us: f64,
        /// Its median at this step.
        after_us: f64,
        /// The clock's error bound; a median of 0 is below it.
        error_bound_us: Option<f64>,
    },
}

/// The busiest component of the last step of a curve that shows no bottleneck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct BusiestComponent {
    /// The end of the curve.
    pub(crate) end: EndState,
    /// Name of the last step.
    pub(crate) step: String,
    /// Name of the component.
    pub(crate) component: String,
    /// Percent of its threads' time, or of a core.
    pub(crate) percent: f64,
    /// The percentage is that of its busiest thread: the run did not start the component.
    #[serde(default)]
    pub(crate) is_of_one_thread: bool,
}

/// The end of a curve on which arrival latency did not break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndState {
    /// The last rate was not answered in full.
    RateNotAnswered,
    /// A step had no answer at all.
    StepWithoutAnswer,
    /// Messages were lost.
    MessagesLost,
    /// The queue grew in a step.
    QueueGrew,
    /// Arrival broke, and no watched component shows why.
    BrokeWithoutCause,
    /// Every step was answered, and delivered its messages.
    NothingBroke,
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { component, seen, is_clear, evidence, is_foreign } = self;
        let place = match seen {
            SeenAt::Break => String::new(),
            SeenAt::Step { step: at } | SeenAt::Trial { value: at } => format!("at {at}, "),
        };
        f.write_str(if *is_clear {
            "the bottleneck is "
        } else {
            "neither a queue nor CPU time shows the bottleneck; the stages point to "
        })?;
        let task = component.task().filter(|_| *is_foreign);
        write!(f, "{component}{}: {place}", task.unwrap_or_default())?;
        let all: Vec<_> = evidence.iter().map(Evidence::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

impl Suspect {
    /// The task of a component that users may know by another name.
    fn task(&self) -> Option<&'static str> {
        match self {
            Self::Api => Some(" (what answers the requests)"),
            Self::Push => Some(" (what takes from the queue)"),
            _ => None,
        }
    }
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Generator => "generator",
            Self::Api => "api",
            Self::Push => "push",
            Self::Component(name) => name,
            Self::BrokerOrSubscriber => "the broker or the subscriber",
            Self::Machine => "the machine",
        })
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueGrew { per_s, to } => write!(
                f,
                "the queue before it grew by {}, to {}",
                per_second(*per_s),
                format_count(*to)
            ),
            Self::PushLimit { per_s } => {
                write!(f, "--push-limit lets {} through", per_second(*per_s))
            }
            Self::Cpu { percent, threads, is_full } => {
                let of = match threads {
                    Some(1) => "the time of its thread".to_owned(),
                    Some(threads) => format!("the time of its {threads} threads"),
                    None => "a core".to_owned(),
                };
                let end =
                    if *is_full || threads.is_none() { "" } else { ", so it is not CPU-bound" };
                write!(f, "it uses {percent:.0}% of {of}{end}")
            }
            Self::BusiestThread { percent, is_full } => {
                let end = if *is_full { "" } else { ", so no thread is CPU-bound" };
                write!(f, "its busiest thread uses {percent:.0}% of a core{end}")
            }
            Self::AllCores { percent, cores } => {
                let of = if *cores == 1 { "core" } else { "cores" };
                write!(
                    f,
                    "all components together use {percent:.0}% of the {cores} {of} they share"
                )
            }
            Self::StageGrew { stage, before_us, after_us, error_bound_us } => {
                let before = match error_bound_us {
                    Some(bound) if *before_us == 0.0 => format!("<{}", format_time(*bound)),
                    _ => format_time(*before_us),
                };
                write!(
                    f,
                    "of the stages, {} → {} grew the most: p50 {before} → {}",
                    stage.from.name(),
                    stage.to.name(),
                    format_time(*after_us)
                )
            }
        }
    }
}

impl fmt::Display for BusiestComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match self.end {
            EndState::RateNotAnswered => "not all of the rate was answered",
            EndState::StepWithoutAnswer => "a step had no answers",
            EndState::MessagesLost => "messages were lost",
            EndState::QueueGrew => "the queue grew",
            EndState::BrokeWithoutCause => {
                "no component that the run watches is saturated at the break, and no queue is seen to grow"
            }
            EndState::NothingBroke => "nothing broke",
        };
        let of = if self.is_of_one_thread {
            "a core for its busiest thread"
        } else {
            "the time of its threads"
        };
        write!(
            f,
            "{end}; the busiest component at {} is {}, with {:.0}% of {of}",
            self.step, self.component, self.percent
        )
    }
}

/// A stage in JSON: `popped-published`.
mod stage_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::message::StagePair;

    pub(super) fn serialize<S: Serializer>(
        stage: &StagePair,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(stage)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<StagePair, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
