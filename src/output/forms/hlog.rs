//! HdrHistogram's interval log, version 1.3: a line for each distribution, with its name as the tag. A ramp has such lines
//! for each step. Histograms are in nanoseconds and copied from the report: hdrhistogram's own writer would unpack and pack
//! each again. The maximum beside them is in milliseconds, as is usual in this format.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::DistributionName;
use crate::report::ramp::RampReport;
use crate::report::{Distribution, Report};

pub(super) fn run(report: &Report) -> String {
    let start = begin(&report.run.started_at);
    head(start) + &lines(report, start, "")
}

/// Tags consist of the names of step and distribution: `connections-4/arrival`.
pub(super) fn ramp(ramp: &RampReport) -> String {
    let start = begin(&ramp.started_at);
    let mut out = head(start);
    for step in &ramp.steps {
        let prefix = format!("{}/", tag(&step.name));
        if let Some(report) = &step.report {
            out += &lines(report, start, &prefix);
        }
    }
    out
}

fn begin(started_at: &str) -> SystemTime {
    humantime::parse_rfc3339(started_at).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn head(start: SystemTime) -> String {
    let seconds = since(start, SystemTime::UNIX_EPOCH).as_secs_f64();
    let date = humantime::format_rfc3339_millis(start);
    // Times of the lines are relative to the base time.
    format!(
        "#[Histogram log format version 1.3]\n\
         #[StartTime: {seconds:.3} (seconds since epoch), {date}]\n\
         #[BaseTime: {seconds:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    )
}

fn lines(report: &Report, start: SystemTime, prefix: &str) -> String {
    let begin_s = since(begin(&report.run.started_at), start).as_secs_f64();
    let length_s = report.run.duration_s;
    let mut out = String::new();
    for (name, distribution) in distributions(report) {
        let max_ms = distribution.max.unwrap_or_default() / 1e3;
        let _ = writeln!(
            out,
            "Tag={prefix}{},{begin_s:.3},{length_s:.3},{max_ms:.3},{}",
            tag(&name),
            distribution.hdr
        );
    }
    out
}

/// The main distributions, and those of each request as `login/response`.
fn distributions(report: &Report) -> Vec<(String, &Distribution)> {
    let mut all = Vec::new();
    for name in DistributionName::ALL {
        all.extend(name.of(report).map(|distribution| (name.name().to_owned(), distribution)));
    }
    for request in &report.by_request {
        let name = &request.name;
        all.extend(request.arrival.as_ref().map(|arrival| (format!("{name}/arrival"), arrival)));
        all.push((format!("{name}/response"), &request.response));
        all.push((format!("{name}/service"), &request.service));
    }
    all
}

fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// A name without the characters that the format does not allow in tags: spaces and commas.
fn tag(name: &str) -> String {
    name.replace(|c: char| c.is_whitespace() || c == ',' || c.is_control(), "-")
}
