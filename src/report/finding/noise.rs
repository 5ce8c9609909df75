//! Steps whose numbers are chance.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::per_second;
use crate::core::units::format_time;

/// Share of the CPU, in percent, from which other processes are named as the likely cause.
const BUSY_PERCENT: f64 = 5.0;

/// A step that is far from both of its neighbours, so that its load does not explain it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(crate) struct NoisyStep {
    /// Name of the step.
    pub(crate) step: String,
    /// Name of the step before it on the curve.
    pub(crate) before: String,
    /// Name of the step after it, which has more load.
    pub(crate) after: String,
    /// The number in which it differs.
    pub(crate) sign: NoiseSign,
    /// Share of all CPUs' time that other processes used during it, in percent; `null` if it is not known.
    pub(crate) other_cpu_percent: Option<f64>,
}

/// A number in which a step is far from both of its neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum NoiseSign {
    /// The 99th percentile of the arrival latency is far higher, in microseconds.
    SlowArrivals {
        /// At the step.
        p99_us: f64,
        /// At the step before.
        before_us: f64,
        /// At the step after.
        after_us: f64,
    },
    /// Far fewer requests were answered, good answers a second.
    LowRate {
        /// At the step.
        per_s: f64,
        /// At the step before.
        before_per_s: f64,
        /// At the step after.
        after_per_s: f64,
    },
    /// Far more requests were answered, good answers a second.
    HighRate {
        /// At the step.
        per_s: f64,
        /// At the step before.
        before_per_s: f64,
        /// At the step after.
        after_per_s: f64,
    },
}

impl fmt::Display for NoisyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, before, after, sign, other_cpu_percent } = self;
        match sign {
            NoiseSign::SlowArrivals { p99_us, before_us, after_us } => write!(
                f,
                "{step} is noise: its arrival p99 is {}, but {} at {before} and {} at {after}, which is more load",
                format_time(*p99_us),
                format_time(*before_us),
                format_time(*after_us)
            )?,
            NoiseSign::LowRate { per_s, before_per_s, after_per_s }
            | NoiseSign::HighRate { per_s, before_per_s, after_per_s } => write!(
                f,
                "{step} is noise: it answered {}, but {before} {} and {after} {}",
                per_second(*per_s),
                per_second(*before_per_s),
                per_second(*after_per_s)
            )?,
        }
        match other_cpu_percent {
            Some(percent) if *percent >= BUSY_PERCENT => write!(
                f,
                ". Other processes used {percent:.0}% of the CPU during it: end them and repeat the ramp"
            ),
            _ => f.write_str(". Repeat the ramp, with longer steps if this comes back"),
        }
    }
}
