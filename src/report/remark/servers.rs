//! Notes on the servers of the pipeline, their clocks and the stamps in them.

use std::fmt;

use super::Coded;
use crate::core::units::{format_count, format_some, format_time};

/// A fact about servers, clocks or stamps that a reader must know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ServerNote {
    /// Queue or broker are loadgen's own.
    Embedded { queue: bool, broker: bool },
    /// The connection to a Redis was lost.
    RedisLost {
        address: String,
        times: u64,
        /// Parts of the report that are incomplete by it, with their verb: `stages lack`.
        lacking: &'static str,
    },
    /// The user of a Redis may not run commands.
    CommandsDenied { address: String, commands: Vec<&'static str> },
    /// The queue's key is not a list.
    QueueNotList { queue: String, address: String },
    /// The key of the queue is not a stream.
    QueueNotStream { queue: String, address: String },
    /// The stream of the queue has no such group, or Redis does not tell its lag.
    QueueGroupUnknown { group: String, queue: String, address: String },
    /// The clock of a Redis jumped.
    ClockJumped { address: String, by_us: i64, at_s: f64 },
    /// Stamp lists cannot be read.
    StampsDenied { lists: Vec<&'static str>, refused: String },
    /// Stamps are not of the expected form.
    StampsUnreadable {
        list: &'static str,
        unreadable: u64,
        read: u64,
        /// The form of the first one, without its values.
        form: String,
    },
    /// A stamp list was replaced, or grew faster than it was read.
    StampsSkipped { list: &'static str, window: u64 },
    /// Stamps were trimmed or expired before they were read.
    StampsGone { list: &'static str, unread: u64 },
    /// No stamp of a list is of this run.
    StampsForeign { list: &'static str, read: u64 },
    /// Stamps have coarse times.
    StampsCoarse { list: &'static str, unit: StampUnit },
    /// Stamps of this process were dropped.
    StampsDropped { stamps: u64 },
    /// Sampled messages are not in the stages.
    LeftOutOfStages { messages: u64 },
    /// A process of `--process` ended during the run.
    ProcessEnded { component: String, pid: u32, at_s: f64 },
    /// The nodes of a merged report began apart.
    StartSkew {
        /// Delay of the last node behind the first, in words.
        skew: String,
    },
}

/// The unit in which all stamps of a list are whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StampUnit {
    /// Microseconds, as expected.
    Microsecond,
    /// Milliseconds.
    Millisecond,
    /// Seconds.
    Second,
}

impl Coded for ServerNote {
    fn code(&self) -> &'static str {
        match self {
            Self::Embedded { .. } => "embedded_servers",
            Self::RedisLost { .. } => "redis_lost",
            Self::CommandsDenied { .. } => "redis_commands_denied",
            Self::QueueNotList { .. } => "queue_not_list",
            Self::QueueNotStream { .. } => "queue_not_stream",
            Self::QueueGroupUnknown { .. } => "queue_group_unknown",
            Self::ClockJumped { .. } => "clock_jumped",
            Self::StampsDenied { .. } => "stamps_denied",
            Self::StampsUnreadable { .. } => "stamps_unreadable",
            Self::StampsSkipped { .. } => "stamps_skipped",
            Self::StampsGone { .. } => "stamps_gone",
            Self::StampsForeign { .. } => "stamps_foreign",
            Self::StampsCoarse { .. } => "stamps_coarse",
            Self::StampsDropped { .. } => "stamps_dropped",
            Self::LeftOutOfStages { .. } => "left_out_of_stages",
            Self::ProcessEnded { .. } => "process_ended",
            Self::StartSkew { .. } => "start_skew",
        }
    }
}

impl ServerNote {
    /// Writes a note on the depth of the queue.
    fn fmt_queue(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueNotList { queue, address } => write!(
                f,
                "'{queue}' of Redis at {address} is not a list, so the queue depth is not measured; name \
                 the list with --queue, or a stream with --queue-depth stream:KEY/GROUP"
            ),
            Self::QueueNotStream { queue, address } => write!(
                f,
                "'{queue}' of Redis at {address} is not a stream, so the queue depth is not measured; name \
                 the queue with --queue-depth list:KEY or stream:KEY/GROUP"
            ),
            Self::QueueGroupUnknown { group, queue, address } => write!(
                f,
                "the queue depth is not known: the stream '{queue}' of Redis at {address} has no group \
                 '{group}', or Redis does not tell the lag of a group (before version 7, and after entries were \
                 deleted from the middle)"
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ServerNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { queue, broker } => {
                f.write_str(embedded(*queue, *broker))?;
                f.write_str(" (embedded): these are not the figures of a real deployment")
            }
            Self::RedisLost { address, times, lacking } => write!(
                f,
                "lost Redis at {address} {}: {lacking} what was meanwhile",
                format_some(*times, "time", "times")
            ),
            Self::CommandsDenied { address, commands } => {
                let lacking: Vec<_> = commands.iter().map(|command| lacking(command)).collect();
                write!(
                    f,
                    "the user of Redis at {address} may not run {}, so the report lacks {}; grant the \
                     rights with ACL SETUSER",
                    commands.join(", "),
                    lacking.join(", ")
                )
            }
            Self::QueueNotList { .. }
            | Self::QueueNotStream { .. }
            | Self::QueueGroupUnknown { .. } => self.fmt_queue(f),
            Self::ClockJumped { address, by_us, at_s } => write!(
                f,
                "the clock of Redis at {address} jumped {} about {at_s:.0} s into the run: stages of \
                 messages on their way then are not to be trusted and are left out",
                jump(*by_us)
            ),
            Self::StampsDenied { lists, refused } => {
                let lists: Vec<_> = lists.iter().map(|list| format!("'{list}'")).collect();
                write!(
                    f,
                    "stamps cannot be read from Redis ({}): {refused}; their stages are missing",
                    lists.join(", ")
                )
            }
            Self::StampsUnreadable { list, unreadable, read, form } => write!(
                f,
                "{} of {} stamps in the Redis list '{list}' cannot be read; the first has the form {form}, \
                 and a stamp is {{\"id\":12000,\"time\":\"1426087754.105100\"}}",
                format_count(*unreadable),
                format_count(*read)
            ),
            Self::StampsSkipped { list, window } => write!(
                f,
                "the Redis list '{list}' was replaced, or grew by more than {} stamps between two readings: \
                 not all of it was read",
                format_count(*window)
            ),
            Self::StampsGone { list, unread } => write!(
                f,
                "{} stamps were gone from the Redis list '{list}' before they were read, and their stages are \
                 missing: raise --stamps-keep of the services, or --sample",
                format_count(*unread)
            ),
            Self::StampsForeign { list, read } => write!(
                f,
                "none of the {} stamps in the Redis list '{list}' has an id of this run; does the service \
                 stamp the id that it was sent?",
                format_count(*read)
            ),
            Self::StampsCoarse { list, unit } => write!(
                f,
                "the stamps in the Redis list '{list}' are in whole {unit}, and their stages are not more \
                 exact; stamp with six digits of microseconds"
            ),
            Self::StampsDropped { stamps } => {
                write!(f, "{} of arrivals dropped", format_some(*stamps, "stamp", "stamps"))
            }
            Self::LeftOutOfStages { messages } => write!(
                f,
                "{} left out of the stages, as the time of a stamp cannot be right: a clock was set, or a \
                 service does not stamp in the time of Redis",
                format_some(*messages, "sampled message is", "sampled messages are")
            ),
            Self::ProcessEnded { component, pid, at_s } => write!(
                f,
                "process {pid} of '{component}' ended about {at_s:.0} s into the measured time: its CPU time counts \
                 until then, and a process in its place is not measured"
            ),
            Self::StartSkew { skew } => f.write_str(skew),
        }
    }
}

fn embedded(queue: bool, broker: bool) -> &'static str {
    if queue && broker {
        "queue and broker are loadgen's own stand-ins"
    } else if queue {
        "the queue is loadgen's own stand-in"
    } else {
        "the broker is loadgen's own stand-in"
    }
}

/// Part of the report that is missing without a command.
fn lacking(command: &str) -> &'static str {
    match command {
        "TIME" => "the stages of services' stamps",
        "INFO" => "the version",
        _ => "the queue depth",
    }
}

/// `forward by 2.0 s`
fn jump(by_us: i64) -> String {
    let direction = if by_us > 0 { "forward" } else { "back" };
    match by_us.unsigned_abs() {
        us @ 1_000_000.. => format!("{direction} by {:.1} s", us as f64 / 1e6),
        us => format!("{direction} by {}", format_time(us as f64)),
    }
}

impl fmt::Display for StampUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Microsecond => "microseconds",
            Self::Millisecond => "milliseconds",
            Self::Second => "seconds",
        })
    }
}
