//! What became of every request and every message, and the answers by kind.

use super::grid::{Share, bar};
use super::markup::{Figures, Unit, escape, head, key, table};
use crate::report::Report;

/// Path, name, and what it means.
type Entry = (&'static str, &'static str, &'static str);

const REQUESTS: [Entry; 7] = [
    ("/requests/planned", "planned", "= sent + dropped"),
    ("/requests/sent", "sent", "= completed + failed + unfinished"),
    ("/requests/dropped", "dropped", "due, and not sent"),
    ("/requests/completed", "completed", "answered, with any status"),
    ("/requests/failed", "failed", "ended without an answer"),
    ("/requests/unfinished", "unfinished", "on the wire when the drain ended"),
    ("/requests/refused", "refused", "answered, neither with 2xx nor with 3xx"),
];
const ERROR_PERCENT: Entry =
    ("/requests/error_percent", "errors", "refused, failed and unfinished, of those sent");
const LOST_PERCENT: Entry = ("/messages/lost_percent", "loss", "lost, of those accepted");
const MESSAGES: [Entry; 9] = [
    ("/messages/accepted", "accepted", "answered with 2xx"),
    ("/messages/arrived", "arrived", "came to the subscriber, each counted once"),
    ("/messages/lost", "lost", "accepted, and not there when the drain ended"),
    ("/messages/missed", "missed", "possibly published while our subscriber was disconnected"),
    ("/messages/unknown", "unknown", "neither accepted nor arrived"),
    ("/messages/duplicated", "duplicated", "further copies"),
    ("/messages/reordered", "reordered", "arrived after one that was sent later"),
    ("/messages/unexpected", "unexpected", "on the topic, and not of this run"),
    ("/messages/foreign", "foreign", "of these, with an id of another run or publisher"),
];
const ERRORS: [Entry; 7] = [
    ("/requests/errors/connect", "connect", "no connection"),
    ("/requests/errors/read", "read", "broken off"),
    ("/requests/errors/write", "write", "not written whole"),
    ("/requests/errors/timeout", "timeout", "not answered in time"),
    ("/requests/errors/protocol", "protocol", "not answered in HTTP"),
    ("/requests/unrequested_answers", "unrequested", "answers that no request was waiting for"),
    ("/requests/reconnects", "reconnects", "connections made again"),
];

const SCRIPT: [(Entry, Unit); 4] = [
    (("/script/time_s", "time", "all threads' together"), Unit::Seconds),
    (("/script/time_percent", "share", "of the threads' time"), Unit::Percent),
    (("/script/per_request_us", "a request", "before it is sent, or after its answer"), Unit::Time),
    (
        ("/script/unnumbered", "unnumbered", "requests without an id of loadgen.msg_id()"),
        Unit::Count,
    ),
];

const MACHINE: [(Entry, Unit); 12] = [
    (("/generator/cores", "CPUs", "of the machine"), Unit::Count),
    (("/generator/measured_s", "measured", "the time that the rest is of"), Unit::Seconds),
    (("/generator/run_queue_s", "run queue", "load threads waiting for a CPU"), Unit::Seconds),
    (("/generator/run_queue_percent", "run queue", "of the load threads' time"), Unit::Percent),
    (("/generator/other_cpu_percent", "other processes", "of all CPUs' time"), Unit::Percent),
    (("/generator/steal_percent", "steal", "of all CPUs' time, by a hypervisor"), Unit::Percent),
    (("/generator/periods", "periods", "of the cgroup's CPU quota"), Unit::Count),
    (("/generator/throttled_periods", "throttled", "of these periods"), Unit::Count),
    (("/generator/throttled_s", "throttled", "all CPUs' together"), Unit::Seconds),
    (("/generator/stopped_s", "stopped", "the whole process"), Unit::Seconds),
    (
        ("/generator/reconnecting_percent", "reconnecting", "of the connections' time"),
        Unit::Percent,
    ),
    (("/generator/reconnect_pause_s", "pauses", "before connecting again"), Unit::Seconds),
];

/// The section.
pub(super) fn account(figures: &Figures<'_>, report: &Report) -> String {
    let share = |name, class, path| Share { name, class, path };
    let requests = [
        share("completed", "good", "/requests/completed"),
        share("failed", "bad", "/requests/failed"),
        share("unfinished", "response", "/requests/unfinished"),
        share("dropped", "lateness", "/requests/dropped"),
    ];
    let messages = [
        share("arrived", "good", "/messages/arrived"),
        share("lost", "bad", "/messages/lost"),
        share("missed", "response", "/messages/missed"),
        share("unknown", "lateness", "/messages/unknown"),
    ];
    let mut of_requests = bar(figures, "Requests", &requests);
    of_requests += &counts_and_share(figures, "Requests", &REQUESTS, ERROR_PERCENT);
    let mut blocks = vec![of_requests];
    if report.messages.is_some() {
        let mut of_messages = bar(figures, "Messages", &messages);
        of_messages += &counts_and_share(figures, "Messages", &MESSAGES, LOST_PERCENT);
        of_messages += &examples(report);
        blocks.push(of_messages);
    }
    blocks.push(answers(figures, report));
    let errors = entries(figures, "Errors", &ERRORS) + &causes(figures, report);
    blocks.push(format!("<h4>Errors</h4>{errors}"));
    if report.generator.is_some() {
        blocks.push(format!("<h4>Machine</h4>{}", rows(figures, "Machine", ["", ""], &MACHINE)));
    }
    if let Some(script) = &report.script {
        let file = format!("<h4>Script <code>{}</code></h4>", escape(&script.file));
        blocks.push(file + &rows(figures, "Script", ["", ""], &SCRIPT));
    }
    let blocks: String = blocks.iter().map(|block| format!("<div>{block}</div>\n")).collect();
    format!("<div class=\"columns\">{blocks}</div>\n")
}

fn entries(figures: &Figures<'_>, caption: &str, entries: &[Entry]) -> String {
    rows(figures, caption, ["", "count"], &counts(entries))
}

/// Counts, and below them the share that some of them are.
fn counts_and_share(
    figures: &Figures<'_>,
    caption: &str,
    entries: &[Entry],
    share: Entry,
) -> String {
    let mut all = counts(entries);
    all.push((share, Unit::Percent));
    rows(figures, caption, ["", "count"], &all)
}

fn counts(entries: &[Entry]) -> Vec<(Entry, Unit)> {
    entries.iter().map(|entry| (*entry, Unit::Count)).collect()
}

fn rows(
    figures: &Figures<'_>,
    caption: &str,
    heads: [&str; 2],
    entries: &[(Entry, Unit)],
) -> String {
    let row = |((path, name, meaning), unit): &(Entry, Unit)| {
        let meaning = format!("<span class=\"meaning\">{}</span>", escape(meaning));
        vec![format!("{} {meaning}", escape(name)), figures.show(path, *unit)]
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    table(caption, &head(heads), &rows)
}

fn answers(figures: &Figures<'_>, report: &Report) -> String {
    let row = |status: &String| {
        let count = figures.show(&format!("/requests/status{}", key(status)), Unit::Count);
        vec![escape(status), count]
    };
    let rows: Vec<_> = report.requests.status.keys().map(row).collect();
    if rows.is_empty() {
        "<h4>Answers</h4><p>No request was answered.</p>".to_owned()
    } else {
        format!("<h4>Answers</h4>{}", table("Answers", &head(["status", "count"]), &rows))
    }
}

/// Failures by cause; nothing where none failed.
fn causes(figures: &Figures<'_>, report: &Report) -> String {
    let by_cause = &report.requests.errors.by_cause;
    if by_cause.is_empty() {
        return String::new();
    }
    let row = |cause: &String| {
        let path = format!("/requests/errors/by_cause{}", key(cause));
        vec![escape(&cause.replace('_', " ")), figures.show(&path, Unit::Count)]
    };
    let rows: Vec<_> = by_cause.keys().map(row).collect();
    table("Causes of failures", &head(["cause", "count"]), &rows)
}

/// The first ids of what went wrong.
fn examples(report: &Report) -> String {
    let Some(messages) = &report.messages else { return String::new() };
    let examples = &messages.examples;
    let named = [("lost", &examples.lost), ("duplicated", &examples.duplicated)];
    let present = named.into_iter().filter(|(_, ids)| !ids.is_empty());
    let line = |(kind, ids): (&str, &Vec<u64>)| {
        let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
        format!("<p>First {kind}: <code>{}</code></p>", ids.join(" "))
    };
    present.map(line).collect()
}
