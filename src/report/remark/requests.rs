//! Notes on requests, their answers and the generator's part of the times.

use std::fmt;

use super::{ANSWERS_REFUSED, Coded};
use crate::core::units::{format_count, format_some, format_time};

/// A fact about the requests that a reader must know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RequestNote {
    /// A stop was requested before the end.
    Interrupted,
    /// There was no answer.
    NoAnswer,
    /// Answers were 405.
    MethodRefused { refused: u64, method: MethodSetting },
    /// Answers were neither 2xx nor 3xx.
    Refused { refused: u64, completed: u64, most: String, first: Option<String> },
    /// Requests waited for a connection until the end.
    NeverSent { requests: u64, failed_attempts: u64, is_refused: bool },
    /// Requests were dropped at the limit of those in flight.
    Dropped { requests: u64 },
    /// A proxy carried them.
    Proxy { proxy: String },
    /// Redirects are followed.
    Redirects,
    /// The kernel gave no time of receipt.
    TimedWhenRead { answers: u64 },
    /// Answers that no request was waiting for.
    UnrequestedAnswers { answers: u64 },
    /// The generator's lateness is much of the slowest responses.
    Pacing { part: PacingPart, response_us: f64, pacing_us: f64 },
    /// The generator used most of its threads' time.
    Busy { percent: f64 },
    /// Waiting for a connection is much of the slowest responses.
    WaitForConnection {
        /// `p99`, `p90` or `p50`.
        percentile: &'static str,
        response_us: f64,
        waited_us: f64,
        connections: u64,
        cause: WaitCause,
    },
    /// Processes outside of the experiment used much of the CPUs; `can_name` if some may belong to the target.
    MachineShared { percent: f64, cores: u64, can_name: bool },
    /// The process was stopped for a time.
    Stopped { stopped_s: f64 },
    /// The load threads waited for a CPU.
    WaitedForCpu { percent: f64, is_other_use_known: bool },
    /// The target went away and did not come back.
    GaveUp { after_s: f64, requests: u64 },
}

/// Place where the method of requests is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MethodSetting {
    /// A Lua script.
    Script,
    /// The flag.
    Flag,
    /// A `[[request]]` of a profile.
    Profile,
}

impl MethodSetting {
    /// The place in words.
    pub(super) fn place(self) -> &'static str {
        match self {
            Self::Script => "wrk.method in the script",
            Self::Flag => "--method",
            Self::Profile => "`method` in each [[request]]",
        }
    }
}

/// Part of the generator's lateness.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PacingPart {
    /// The planned sleep between two looks at what is due.
    Tick { tick_us: f64 },
    /// Everything else.
    Lateness,
}

/// Cause of waiting for a connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum WaitCause {
    /// All connections are busy by the service time and the rate (Little's law).
    Busy { service_us: f64, rate: f64, busy: f64, is_target_slower: bool },
    /// Connections were away.
    Reconnecting { percent: f64, reconnects: u64, failed_attempts: u64 },
    /// The target answered nothing for a time.
    Stall,
}

impl Coded for RequestNote {
    fn code(&self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::NoAnswer => "no_answer",
            Self::MethodRefused { .. } => "method_refused",
            Self::Refused { .. } => ANSWERS_REFUSED,
            Self::NeverSent { .. } => "never_sent",
            Self::Dropped { .. } => "dropped",
            Self::Proxy { .. } => "through_proxy",
            Self::Redirects => "redirects_followed",
            Self::TimedWhenRead { .. } => "answers_timed_when_read",
            Self::UnrequestedAnswers { .. } => "unrequested_answers",
            Self::Pacing { .. } => "pacing_in_response",
            Self::Busy { .. } => "generator_busy",
            Self::WaitForConnection { .. } => "waiting_for_connection",
            Self::MachineShared { .. } => "machine_shared",
            Self::Stopped { .. } => "generator_stopped",
            Self::WaitedForCpu { .. } => "waited_for_cpu",
            Self::GaveUp { .. } => "target_gone",
        }
    }
}

impl fmt::Display for RequestNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => {
                f.write_str("interrupted: the numbers are of the part that was run")
            }
            Self::NoAnswer => f.write_str("no request was answered"),
            Self::MethodRefused { refused, method } => write!(
                f,
                "{} answered with 405: the target does not take that method there; {} names another",
                format_some(*refused, "request was", "requests were"),
                method.place()
            ),
            Self::Refused { refused, completed, most, first } => {
                let (refused, completed) = (format_count(*refused), format_count(*completed));
                write!(
                    f,
                    "{refused} of {completed} answers were neither 2xx nor 3xx, most of them {most}"
                )?;
                first.iter().try_for_each(|text| write!(f, "; the first one says: {text}"))
            }
            Self::NeverSent { requests, failed_attempts, is_refused } => {
                write_never_sent(f, *requests, *failed_attempts, *is_refused)
            }
            Self::Dropped { requests } => write!(
                f,
                "{} dropped at --max-in-flight; each counts as long as the oldest in flight had waited",
                format_some(*requests, "request was", "requests were")
            ),
            Self::Proxy { proxy } => {
                write!(f, "through the proxy {proxy}, by reqwest: times and errors are its too")
            }
            Self::Redirects => f.write_str(
                "redirects are followed, by reqwest: a request ends with the last answer",
            ),
            Self::TimedWhenRead { answers } => write!(
                f,
                "the kernel noted no time of receipt for {}: timed when read",
                format_some(*answers, "answer", "answers")
            ),
            Self::UnrequestedAnswers { answers } => write!(
                f,
                "{} came that no request was waiting for: the target answers more than it is asked; their \
                 connections were closed",
                format_some(*answers, "answer", "answers")
            ),
            Self::Pacing { part, response_us, pacing_us } => write!(
                f,
                "of the response's p99 of {}, up to {} is {part}",
                format_time(*response_us),
                format_time(*pacing_us)
            ),
            Self::Busy { percent } => write!(
                f,
                "the generator was busy {percent:.0}% of its threads' time: Requests/sec may be its limit, \
                 not the target's"
            ),
            Self::WaitForConnection { percentile, response_us, waited_us, connections, cause } => {
                let (response, waited) = (format_time(*response_us), format_time(*waited_us));
                write!(
                    f,
                    "of the response's {percentile} of {response}, up to {waited} is waiting for "
                )?;
                write_connections(f, *connections)?;
                write!(f, ": {cause}")
            }
            Self::MachineShared { percent, cores, can_name } => {
                write_shared(f, *percent, *cores, *can_name)
            }
            Self::Stopped { stopped_s } => write!(
                f,
                "loadgen was stopped for {stopped_s:.1} s; the longest times have that in them"
            ),
            Self::WaitedForCpu { percent, is_other_use_known } => {
                let who = if *is_other_use_known {
                    "mostly the servers under test and loadgen itself had it"
                } else {
                    "which processes had it cannot be told without root"
                };
                write!(f, "the load threads waited {percent:.0}% of their time for a CPU; {who}")
            }
            Self::GaveUp { after_s, requests } => write!(
                f,
                "no connection to the target stood for {after_s} s: given up after {} requests, short of \
                 --requests",
                format_count(*requests)
            ),
        }
    }
}

fn write_connections(f: &mut fmt::Formatter<'_>, connections: u64) -> fmt::Result {
    match connections {
        1 => f.write_str("the one connection"),
        n => write!(f, "one of {} connections", format_count(n)),
    }
}

fn write_shared(
    f: &mut fmt::Formatter<'_>,
    percent: f64,
    cores: u64,
    can_name: bool,
) -> fmt::Result {
    let cores = format_some(cores, "CPU", "CPUs");
    let name = if can_name { ", or name those of your pipeline with --process" } else { "" };
    write!(
        f,
        "other processes used {percent:.0}% of the {cores}: long times may be their doing, not the target's. End \
         them{name}"
    )
}

/// If connections could not be made, more of them do not help.
fn write_never_sent(
    f: &mut fmt::Formatter<'_>,
    requests: u64,
    failed_attempts: u64,
    is_refused: bool,
) -> fmt::Result {
    let requests = format_some(requests, "request", "requests");
    write!(f, "{requests} never got a free connection")?;
    if failed_attempts > 0 {
        let attempts = format_some(failed_attempts, "attempt", "attempts");
        write!(f, " ({attempts} to connect failed")?;
        f.write_str(if is_refused {
            ": connection refused; does the target still run?)"
        } else {
            ")"
        })?;
    }
    f.write_str("; they count with the age they had reached")
}

impl fmt::Display for PacingPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tick { tick_us } => write!(
                f,
                "the wait for the generator's next wake, as --tick is {}",
                format_time(*tick_us)
            ),
            Self::Lateness => f.write_str("the generator's own lateness"),
        }
    }
}

impl fmt::Display for WaitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { service_us, rate, busy, is_target_slower } => {
                write!(
                    f,
                    "at {} a request, {} requests/s keep {} connections busy; ",
                    format_time(*service_us),
                    format_count(rate.round() as u64),
                    format_count(busy.ceil() as u64)
                )?;
                f.write_str(if *is_target_slower {
                    "the target is slower than the rate, or needs more --connections"
                } else {
                    "take more --connections"
                })
            }
            Self::Reconnecting { percent, reconnects, failed_attempts } => write!(
                f,
                "connections were closed or being made again for {percent:.1}% of their time ({}, {}); look \
                 why the target closes or refuses them",
                format_some(*reconnects, "reconnect", "reconnects"),
                format_some(*failed_attempts, "failed attempt", "failed attempts")
            ),
            Self::Stall => f.write_str(
                "the target answered nothing for a time, and all connections were busy. With more \
                 --connections the requests wait at the target instead",
            ),
        }
    }
}
