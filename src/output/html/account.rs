//! The account of requests and messages, answers by status, errors, and the state of the machine.

use super::located::{Located, ShownNumber, field, number};
use super::markup::{Unit, escape};
use super::share::{Share, bar};
use super::table::{Cell, head, table};
use crate::report::{Generator, Messages, Report, Requests, Script};

const BY_END: &str = "by what became of them";

/// A row of a table: a number, its name, and its meaning.
struct AccountEntry {
    number: ShownNumber,
    unit: Unit,
    name: &'static str,
    meaning: &'static str,
}

impl AccountEntry {
    fn new(number: ShownNumber, unit: Unit, name: &'static str, meaning: &'static str) -> Self {
        Self { number, unit, name, meaning }
    }

    fn count(number: ShownNumber, name: &'static str, meaning: &'static str) -> Self {
        Self::new(number, Unit::Count, name, meaning)
    }

    fn percent(number: ShownNumber, name: &'static str, meaning: &'static str) -> Self {
        Self::new(number, Unit::Percent, name, meaning)
    }

    fn seconds(number: ShownNumber, name: &'static str, meaning: &'static str) -> Self {
        Self::new(number, Unit::Seconds, name, meaning)
    }
}

/// The whole section.
pub(super) fn account(report: &Located<'_, Report>) -> String {
    let requests = field!(report, requests);
    let mut blocks = vec![request_account(&requests)];
    if let Some(messages) = field!(report, messages).known() {
        blocks.push(message_account(&messages));
    }
    blocks.push(answers(&requests));
    let errors = rows("Errors", ["", "count"], error_entries(&requests));
    blocks.push(format!("<h4>Errors</h4>{errors}{}", causes(&requests)));
    if let Some(generator) = field!(report, generator).known() {
        let machine = rows("Machine", ["", ""], machine_entries(&generator));
        blocks.push(format!("<h4>Machine</h4>{machine}"));
    }
    if let Some(script) = field!(report, script).known() {
        let file = escape(&script.file);
        let entries = rows("Script", ["", ""], script_entries(&script));
        blocks.push(format!("<h4>Script <code>{file}</code></h4>{entries}"));
    }
    let blocks: String = blocks.iter().map(|block| format!("<div>{block}</div>\n")).collect();
    format!("<div class=\"columns\">{blocks}</div>\n")
}

fn request_account(requests: &Located<'_, Requests>) -> String {
    let shares = [
        Share { name: "completed", class: "good", count: requests.completed },
        Share { name: "failed", class: "bad", count: requests.failed },
        Share { name: "unfinished", class: "response", count: requests.unfinished },
        Share { name: "dropped", class: "lateness", count: requests.dropped },
    ];
    bar("Requests", BY_END, &shares) + &rows("Requests", ["", "count"], request_entries(requests))
}

fn message_account(messages: &Located<'_, Messages>) -> String {
    let shares = [
        Share { name: "arrived", class: "good", count: messages.arrived },
        Share { name: "lost", class: "bad", count: messages.lost },
        Share { name: "missed", class: "response", count: messages.missed },
        Share { name: "unknown", class: "lateness", count: messages.unknown },
    ];
    bar("Messages", BY_END, &shares)
        + &rows("Messages", ["", "count"], message_entries(messages))
        + &examples("lost", &messages.examples.lost)
        + &examples("duplicated", &messages.examples.duplicated)
}

fn request_entries(requests: &Located<'_, Requests>) -> Vec<AccountEntry> {
    vec![
        AccountEntry::count(number!(requests, planned), "planned", "= sent + dropped"),
        AccountEntry::count(number!(requests, sent), "sent", "= completed + failed + unfinished"),
        AccountEntry::count(number!(requests, dropped), "dropped", "due, and not sent"),
        AccountEntry::count(number!(requests, completed), "completed", "answered, with any status"),
        AccountEntry::count(number!(requests, failed), "failed", "ended without an answer"),
        AccountEntry::count(
            number!(requests, unfinished),
            "unfinished",
            "on the wire when the drain ended",
        ),
        AccountEntry::count(
            number!(requests, refused),
            "refused",
            "answered, neither with 2xx nor with 3xx",
        ),
        AccountEntry::percent(
            number!(requests, error_percent),
            "errors",
            "refused, failed and unfinished, of those sent",
        ),
    ]
}

fn message_entries(messages: &Located<'_, Messages>) -> Vec<AccountEntry> {
    vec![
        AccountEntry::count(number!(messages, accepted), "accepted", "answered with 2xx"),
        AccountEntry::count(
            number!(messages, arrived),
            "arrived",
            "came to the subscriber, each counted once",
        ),
        AccountEntry::count(
            number!(messages, lost),
            "lost",
            "accepted, and not there when the drain ended",
        ),
        AccountEntry::count(
            number!(messages, missed),
            "missed",
            "possibly published while our subscriber was disconnected",
        ),
        AccountEntry::count(number!(messages, unknown), "unknown", "neither accepted nor arrived"),
        AccountEntry::count(number!(messages, duplicated), "duplicated", "further copies"),
        AccountEntry::count(
            number!(messages, reordered),
            "reordered",
            "arrived after one that was sent later",
        ),
        AccountEntry::count(
            number!(messages, unexpected),
            "unexpected",
            "on the topic, and not of this run",
        ),
        AccountEntry::count(
            number!(messages, foreign),
            "foreign",
            "of these, with an id of another run or publisher",
        ),
        AccountEntry::percent(number!(messages, lost_percent), "loss", "lost, of those accepted"),
    ]
}

fn error_entries(requests: &Located<'_, Requests>) -> Vec<AccountEntry> {
    vec![
        AccountEntry::count(number!(requests, errors.connect), "connect", "no connection"),
        AccountEntry::count(number!(requests, errors.read), "read", "broken off"),
        AccountEntry::count(number!(requests, errors.write), "write", "not written whole"),
        AccountEntry::count(number!(requests, errors.timeout), "timeout", "not answered in time"),
        AccountEntry::count(number!(requests, errors.protocol), "protocol", "not answered in HTTP"),
        AccountEntry::count(
            number!(requests, unrequested_answers),
            "unrequested",
            "answers that no request was waiting for",
        ),
        AccountEntry::count(number!(requests, reconnects), "reconnects", "connections made again"),
    ]
}

fn script_entries(script: &Located<'_, Script>) -> Vec<AccountEntry> {
    vec![
        AccountEntry::seconds(number!(script, time_s), "time", "all threads' together"),
        AccountEntry::percent(number!(script, time_percent), "share", "of the threads' time"),
        AccountEntry::new(
            number!(script, per_request_us),
            Unit::Time,
            "a request",
            "before it is sent, or after its answer",
        ),
        AccountEntry::count(
            number!(script, unnumbered),
            "unnumbered",
            "requests without an id of loadgen.msg_id()",
        ),
    ]
}

fn machine_entries(generator: &Located<'_, Generator>) -> Vec<AccountEntry> {
    vec![
        AccountEntry::count(number!(generator, cores), "CPUs", "of the machine"),
        AccountEntry::seconds(
            number!(generator, measured_s),
            "measured",
            "the time that the rest is of",
        ),
        AccountEntry::seconds(
            number!(generator, run_queue_s),
            "run queue",
            "load threads waiting for a CPU",
        ),
        AccountEntry::percent(
            number!(generator, run_queue_percent),
            "run queue",
            "of the load threads' time",
        ),
        AccountEntry::percent(
            number!(generator, other_cpu_percent),
            "other processes",
            "of all CPUs' time",
        ),
        AccountEntry::percent(
            number!(generator, steal_percent),
            "steal",
            "of all CPUs' time, by a hypervisor",
        ),
        AccountEntry::count(number!(generator, periods), "periods", "of the cgroup's CPU quota"),
        AccountEntry::count(number!(generator, throttled_periods), "throttled", "of these periods"),
        AccountEntry::seconds(number!(generator, throttled_s), "throttled", "all CPUs' together"),
        AccountEntry::seconds(number!(generator, stopped_s), "stopped", "the whole process"),
        AccountEntry::percent(
            number!(generator, reconnecting_percent),
            "reconnecting",
            "of the connections' time",
        ),
        AccountEntry::seconds(
            number!(generator, reconnect_pause_s),
            "pauses",
            "before connecting again",
        ),
    ]
}

fn rows(caption: &str, column_names: [&str; 2], entries: Vec<AccountEntry>) -> String {
    let mut rows = Vec::new();
    for AccountEntry { number, unit, name, meaning } in entries {
        let meaning = format!("<span class=\"meaning\">{}</span>", escape(meaning));
        let name = format!("{} {meaning}", escape(name));
        rows.push(vec![Cell::from(name), number.cell(unit)]);
    }
    table(caption, &head(column_names), rows)
}

/// Answers by status.
fn answers(requests: &Located<'_, Requests>) -> String {
    let mut rows = Vec::new();
    for (status, count) in field!(requests, status).entries() {
        rows.push(vec![Cell::from(escape(&status)), count.number().cell(Unit::Count)]);
    }
    if rows.is_empty() {
        return "<h4>Answers</h4><p>No request was answered.</p>".to_owned();
    }
    format!("<h4>Answers</h4>{}", table("Answers", &head(["status", "count"]), rows))
}

/// Failures by cause; empty if there are none.
fn causes(requests: &Located<'_, Requests>) -> String {
    let mut rows = Vec::new();
    for (cause, count) in field!(requests, errors.by_cause).entries() {
        let cause = escape(&cause.replace('_', " "));
        rows.push(vec![Cell::from(cause), count.number().cell(Unit::Count)]);
    }
    if rows.is_empty() {
        return String::new();
    }
    table("Causes of failures", &head(["cause", "count"]), rows)
}

/// The first ids of lost or duplicated messages; empty if there are none.
fn examples(kind: &str, ids: &[u64]) -> String {
    if ids.is_empty() {
        return String::new();
    }
    let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
    format!("<p>First {kind}: <code>{}</code></p>", ids.join(" "))
}
