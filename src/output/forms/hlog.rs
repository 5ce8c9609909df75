//! HdrHistogram's interval log, version 1.3: a line for each distribution, with its name as the tag; of
//! a ramp one for each step, too. The histograms are the report's own, in nanoseconds; as is the
//! format's custom, the readable maximum beside them is in milliseconds.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::DistributionName;
use crate::report::ramp::RampReport;
use crate::report::{Distribution, Report};

pub(super) fn run(report: &Report) -> String {
    let start = begin(&report.run.started_at);
    head(start) + &lines(report, start, "")
}

/// The step's name stands before the distribution's: `connections-4/arrival`.
pub(super) fn ramp(ramp: &RampReport) -> String {
    let start = begin(&ramp.started_at);
    let mut out = head(start);
    for step in &ramp.steps {
        let prefix = format!("{}/", tag(&step.name));
        out += &step.report.as_ref().map(|r| lines(r, start, &prefix)).unwrap_or_default();
    }
    out
}

fn begin(started_at: &str) -> SystemTime {
    humantime::parse_rfc3339(started_at).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn head(start: SystemTime) -> String {
    let seconds = since(start, SystemTime::UNIX_EPOCH).as_secs_f64();
    let date = humantime::format_rfc3339_millis(start);
    // Times of the lines count from the base time.
    format!(
        "#[Histogram log format version 1.3]\n\
         #[StartTime: {seconds:.3} (seconds since epoch), {date}]\n\
         #[BaseTime: {seconds:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    )
}

fn lines(report: &Report, start: SystemTime, prefix: &str) -> String {
    let begin = since(begin(&report.run.started_at), start).as_secs_f64();
    let length = report.run.duration_s;
    let mut out = String::new();
    for name in DistributionName::ALL {
        if let Some(distribution) = name.of(report) {
            let (name, max) = (name.name(), distribution.max.unwrap_or_default() / 1e3);
            let _ = writeln!(
                out,
                "Tag={prefix}{name},{begin:.3},{length:.3},{max:.3},{}",
                distribution.hdr
            );
        }
    }
    for (name, distribution) in of_requests(report) {
        let max = distribution.max.unwrap_or_default() / 1e3;
        let _ = writeln!(
            out,
            "Tag={prefix}{},{begin:.3},{length:.3},{max:.3},{}",
            tag(&name),
            distribution.hdr
        );
    }
    out
}

/// Each request's distributions, as `login/response`.
fn of_requests(report: &Report) -> impl Iterator<Item = (String, &Distribution)> {
    report.by_request.iter().flat_map(|request| {
        let arrival = request.arrival.as_ref().map(|arrival| ("arrival", arrival));
        let all = [("response", &request.response), ("service", &request.service)];
        let named = |(of, distribution)| (format!("{}/{of}", request.name), distribution);
        arrival.into_iter().chain(all).map(named)
    })
}

fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// A tag has neither spaces nor commas.
fn tag(name: &str) -> String {
    name.replace(|c: char| c.is_whitespace() || c == ',' || c.is_control(), "-")
}
