//! Failures: the run proves nothing as a whole.

use std::fmt;

use super::{COMPONENT_ENDED, Coded, MethodSetting};
use crate::core::units::format_some;

/// The run proves nothing. The words of the sentence up to the first colon name the failure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// Every answer was neither 2xx nor 3xx.
    AllRefused(RefusedAnswers),
    /// There was no answer at all.
    NoAnswer(Silence),
    /// Messages were accepted, and none arrived.
    NothingArrived {
        /// Messages accepted.
        accepted: u64,
        /// Facts that the report shows of them.
        missing: Missing,
    },
    /// A component that loadgen started ended during the run.
    ComponentEnded {
        /// The component.
        name: String,
        /// Its exit status, in the words of the system.
        status: String,
        /// Time since measuring began, in seconds.
        at_s: f64,
    },
}

/// Answers that were all refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedAnswers {
    /// The status of all answers, or of most.
    pub(crate) status: String,
    /// All answers had this status.
    pub(crate) is_only_status: bool,
    /// The place where the method is set, for a method that is not allowed.
    pub(crate) method: MethodSetting,
    /// The first of them.
    pub(crate) first: FirstAnswer,
}

/// Knowledge of the first refused answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FirstAnswer {
    /// The beginning of its body.
    Kept(String),
    /// It was not asked for.
    NotAsked,
    /// The engine does not keep it.
    NotKept,
}

/// Reason why no request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Silence {
    /// No free local port.
    NoLocalPort,
    /// Too few open files are allowed.
    TooManyOpenFiles,
    /// The target's name has no address.
    Dns,
    /// TLS failed.
    Tls,
    /// Requests were sent, and no error says why there was no answer.
    Unknown,
    /// Not one connection.
    NoConnection { target: String },
    /// The time limit of a request.
    Timeout,
    /// The answers were not HTTP.
    NotHttp { target: String },
    /// The target closed the connections.
    Closed,
}

/// Facts that a report shows of messages that were accepted and did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The subscriber lost its connection.
    SubscriberAway,
    /// Messages without an id of the run came.
    WithoutId { unexpected: u64 },
    /// Messages with ids of another run or publisher came.
    OfAnotherRun { foreign: u64 },
    /// Messages were left in the queue.
    InQueue { waiting: u64 },
    /// Nothing, and the queue is empty.
    NotInQueue,
    /// Nothing.
    Unknown,
}

impl Coded for Failure {
    fn code(&self) -> &'static str {
        match self {
            Self::AllRefused(_) | Self::NoAnswer(_) => "nothing_succeeded",
            Self::NothingArrived { .. } => "nothing_arrived",
            Self::ComponentEnded { .. } => COMPONENT_ENDED,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllRefused(refusal) => write!(f, "nothing succeeded: {refusal}"),
            Self::NoAnswer(silence) => write!(f, "nothing succeeded: {silence}"),
            Self::NothingArrived { accepted, missing } => {
                let accepted = format_some(*accepted, "message was", "messages were");
                write!(f, "nothing arrived: {accepted} accepted. {missing}")
            }
            Self::ComponentEnded { name, status, at_s } => write!(
                f,
                "{name} ended: {status}, about {at_s:.0} s into the run. Look for a lack of memory, or \
                 start it by itself to see why it ends"
            ),
        }
    }
}

impl fmt::Display for RefusedAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, is_only_status, first, .. } = self;
        let which = if *is_only_status { "all" } else { "most" };
        write!(f, "no answer was 2xx or 3xx, {which} were {status}. ")?;
        self.write_advice(f)?;
        match first {
            FirstAnswer::Kept(text) if text.is_empty() => {
                f.write_str(". The first one has no body")
            }
            FirstAnswer::Kept(text) => write!(f, ". The first one says: {text}"),
            FirstAnswer::NotAsked => f.write_str(". --show-payload shows the first answer"),
            FirstAnswer::NotKept => Ok(()),
        }
    }
}

impl RefusedAnswers {
    fn write_advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, method, .. } = self;
        f.write_str(match status.as_str() {
            "400" => {
                "Check the body (-b gives your own), its Content-Type and --id-field. An https:// port, too, answers plain HTTP with 400"
            }
            "415" | "422" => "Check the body (-b gives your own), its Content-Type and --id-field",
            "401" | "403" => "Check the token or the password: a --header, or the user in the URL",
            "404" | "410" => "Check the path of the URL",
            "405" => {
                let place = method.place();
                return write!(f, "Check {place}: the target does not take this method there");
            }
            "407" => "Check the user and the password of the proxy",
            "413" => "The body is larger than the target allows",
            "429" => "The target limits the rate: lower --rate",
            _ if status.starts_with('5') => "Look into the log of the target",
            _ => "Check what the target expects, and look into its log",
        })
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLocalPort => {
                "this machine had no free local port. Use fewer connections, and keep them open"
            }
            Self::TooManyOpenFiles => {
                "this machine allows too few open files. Raise ulimit -n, or lower --connections"
            }
            Self::Dns => "the name of the target has no address. Check the host in the URL",
            Self::Tls => {
                "TLS failed. Check the scheme of the URL and the certificate (--cacert FILE, or -k)"
            }
            Self::Unknown => {
                "no request was answered. Is the target overloaded, or --drain too short?"
            }
            Self::NoConnection { target } => {
                return write!(
                    f,
                    "there was no connection to the target. Does it run and listen at {target}?"
                );
            }
            Self::Timeout => {
                "no request was answered within --timeout. Is the target overloaded, or --timeout too \
                 short?"
            }
            Self::NotHttp { target } => {
                let hint = if target.starts_with("http://") { "Is this an https:// address? " } else { "" };
                return write!(f, "no answer was HTTP. {hint}Check the scheme and the port of {target}");
            }
            Self::Closed => {
                "the target closed the connections without an answer. Look into the log of the target"
            }
        })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubscriberAway => f.write_str(
                "Our subscriber lost its connection to the broker, and messages may have been published \
                 meanwhile. Does the broker stay up, and is the network to it whole?",
            ),
            Self::WithoutId { unexpected } => write!(
                f,
                "{} on the topic had no id of this run. Check --id-field, and --topic",
                format_some(*unexpected, "message", "messages")
            ),
            Self::OfAnotherRun { foreign } => write!(
                f,
                "{} of another run on the topic. If an earlier run left them in the queue, wait until it is empty \
                 and run again; else check --id-field, and --topic",
                format_some(*foreign, "message was", "messages were")
            ),
            Self::InQueue { waiting } => write!(
                f,
                "{} in the queue at the end. Does the service run that takes from this queue and publishes \
                 (push)?",
                format_some(*waiting, "message was", "messages were")
            ),
            Self::NotInQueue => f.write_str(
                "The queue is empty. Does the service that takes from it (push) publish to the broker of \
                 --mqtt, and to the topic of --topic?",
            ),
            Self::Unknown => f.write_str(
                "Does the service run that takes from the queue and publishes (push), and is --topic its \
                 topic? With --redis and --queue the report says if they wait in the queue",
            ),
        }
    }
}
