//! Failures of a run that proves nothing as a whole: nothing succeeded, or nothing arrived. This is judged from the
//! report alone, so that saved and merged reports are judged by the same rules as new ones.

use std::cmp::Reverse;

use super::{Errors, Messages, Report, Requests};
use crate::core::units::format_some;

/// The failures of the whole run, each with what to look at. The first words, up to the colon, name it.
/// An interrupted run has none: it was not meant to prove anything.
pub(crate) fn failures(report: &Report) -> Vec<String> {
    if report.run.interrupted {
        return Vec::new();
    }
    nothing_succeeded(report).or_else(|| nothing_arrived(report)).into_iter().collect()
}

/// The name of a failure, without its details: `nothing arrived`, `node 1: push ended`.
pub(crate) fn failure_name(failure: &str) -> &str {
    let start = match failure.split_once(": ") {
        Some((node, _)) if node.starts_with("node ") => node.len() + 2,
        _ => 0,
    };
    let end = failure[start..].find(": ").map_or(failure.len(), |at| start + at);
    &failure[..end]
}

fn nothing_succeeded(report: &Report) -> Option<String> {
    let requests = &report.requests;
    if requests.planned == 0 || requests.completed > requests.refused() {
        return None;
    }
    let why = match most_frequent_status(requests) {
        Some(status) => refusal(report, status),
        None => silence(report),
    };
    Some(format!("nothing succeeded: {why}"))
}

/// The status of most answers.
fn most_frequent_status(requests: &Requests) -> Option<&str> {
    let most = requests.status.iter().max_by_key(|(status, count)| (**count, Reverse(*status)));
    most.map(|(status, _)| status.as_str())
}

/// All answers were refusals, most of them with `status`.
fn refusal(report: &Report, status: &str) -> String {
    let which = if report.requests.status.len() == 1 { "all" } else { "most" };
    let advice = match status {
        "400" | "415" | "422" => "Check the body, its Content-Type and --id-field",
        "401" | "403" => "Check the token or the password: a --header, or the user in the URL",
        "404" | "410" => "Check the path of the URL",
        "405" => {
            return format!(
                "no answer was 2xx or 3xx, {which} were 405. Check {}: the target does not take this method \
                 there",
                method_setting(report)
            );
        }
        "407" => "Check the user and the password of the proxy",
        "413" => "The body is larger than the target allows",
        "429" => "The target limits the rate: lower --rate",
        _ if status.starts_with('5') => "Look into the log of the target",
        _ => "Check what the target expects, and look into its log",
    };
    format!("no answer was 2xx or 3xx, {which} were {status}. {advice}")
}

/// The place where the method of the requests is set.
fn method_setting(report: &Report) -> &'static str {
    if report.script.is_some() {
        "wrk.method in the script"
    } else if report.by_request.is_empty() {
        "--method"
    } else {
        "`method` in each [[request]]"
    }
}

/// There was not a single answer.
fn silence(report: &Report) -> String {
    let Errors { connect, read, write, timeout, protocol, .. } = report.requests.errors;
    let target = &report.run.target;
    if let Some(why) = most_frequent_cause(&report.requests).and_then(cause_advice) {
        return why.to_owned();
    }
    let most = connect.max(read).max(write).max(timeout).max(protocol);
    let (what, advice) = match most {
        0 => (
            "no request was answered",
            "Is the target overloaded, or --drain too short?".to_owned(),
        ),
        n if n == connect => (
            "there was no connection to the target",
            format!("Does it run and listen at {target}?"),
        ),
        n if n == timeout => (
            "no request was answered within --timeout",
            "Is the target overloaded, or --timeout too short?".to_owned(),
        ),
        n if n == protocol => {
            ("no answer was HTTP", format!("Check the scheme and the port of {target}"))
        }
        _ => (
            "the target closed the connections without an answer",
            "Look into the log of the target".to_owned(),
        ),
    };
    format!("{what}. {advice}")
}

/// The cause of most failures.
fn most_frequent_cause(requests: &Requests) -> Option<&str> {
    let causes = requests.errors.by_cause.iter();
    let most = causes.max_by_key(|(cause, count)| (**count, Reverse(*cause)));
    most.map(|(cause, _)| cause.as_str())
}

/// Returns the cause and its cure in words, for causes that say more than the kind of the error.
fn cause_advice(cause: &str) -> Option<&'static str> {
    match cause {
        "no_local_port" => {
            Some("this machine had no free local port. Use fewer connections, and keep them open")
        }
        "too_many_open_files" => {
            Some("this machine allows too few open files. Raise ulimit -n, or lower --connections")
        }
        "dns" => Some("the name of the target has no address. Check the host in the URL"),
        "tls" => Some(
            "TLS failed. Check the scheme of the URL and the certificate (--cacert FILE, or -k)",
        ),
        _ => None,
    }
}

fn nothing_arrived(report: &Report) -> Option<String> {
    let messages = report.messages.as_ref()?;
    // The messages of a script that writes ids of its own cannot be recognised.
    if messages.arrived > 0 || messages.accepted == 0 {
        return None;
    }
    let accepted = format_some(messages.accepted, "message was", "messages were");
    Some(format!("nothing arrived: {accepted} accepted. {}", missing_advice(report, messages)))
}

/// Advice for messages that were accepted and did not arrive.
fn missing_advice(report: &Report, messages: &Messages) -> String {
    let waiting = report.series.iter().rev().find_map(|row| row.queue_depth).unwrap_or(0);
    if messages.missed > 0 {
        return "Our subscriber lost its connection to the broker, and messages may have been published \
                meanwhile. Does the broker stay up, and is the network to it whole?"
            .to_owned();
    }
    if messages.unexpected > 0 {
        let others = format_some(messages.unexpected, "message", "messages");
        return format!(
            "{others} on the topic had no id of this run. Check --id-field, and --topic"
        );
    }
    if waiting > 0 {
        return format!(
            "{} in the queue at the end. Does the push server run, and take from this queue?",
            format_some(waiting, "message was", "messages were")
        );
    }
    "Does the push server run, and publish to the topic of --topic?".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of 1,000 messages that all arrived.
    fn report(change: impl FnOnce(&mut Report)) -> Report {
        let text = include_str!("../../tests/data/run.json");
        let mut report = Report::from_json(text).expect("a saved report");
        change(&mut report);
        report
    }

    fn failure(change: impl FnOnce(&mut Report)) -> Option<String> {
        let found = failures(&report(change));
        assert!(found.len() <= 1, "{found:?}");
        found.into_iter().next()
    }

    fn statuses(report: &mut Report, statuses: &[(&str, u64)]) {
        let status = |(status, count): &(&str, u64)| ((*status).to_owned(), *count);
        report.requests.status = statuses.iter().map(status).collect();
        report.requests.completed = statuses.iter().map(|(_, count)| count).sum();
        report.requests.complete();
    }

    #[test]
    fn a_run_whose_answers_were_all_refusals_fails_and_says_what_to_look_at() {
        for (all, part) in [
            (&[("404", 9)][..], "all were 404. Check the path of the URL"),
            (&[("401", 9)], "all were 401. Check the token"),
            (&[("403", 5), ("500", 4)], "most were 403. Check the token"),
            (&[("405", 9)], "all were 405. Check wrk.method in the script"),
            (&[("400", 9)], "all were 400. Check the body"),
            (&[("503", 9)], "all were 503. Look into the log"),
        ] {
            let found = failure(|report| statuses(report, all)).expect("it failed");
            assert!(found.starts_with("nothing succeeded: no answer was 2xx or 3xx"), "{found}");
            assert!(found.contains(part), "{found}");
        }
        let of_flag = failure(|report| {
            statuses(report, &[("405", 9)]);
            report.script = None;
        });
        assert!(of_flag.is_some_and(|found| found.contains("all were 405. Check --method")));
        assert_eq!(failure(|report| statuses(report, &[("404", 9), ("302", 1)])), None);
        assert_eq!(failure(|_| ()), None);
    }

    #[test]
    fn a_run_without_an_answer_fails_with_its_most_frequent_error() {
        let silent = |errors: Errors| {
            let found = failure(|report| {
                statuses(report, &[]);
                report.requests.errors = errors;
            });
            found.expect("it failed")
        };
        let none = Errors::default();
        assert!(silent(none.clone()).contains("no request was answered. "));
        let connect = silent(Errors { connect: 9, timeout: 1, ..none.clone() });
        assert!(connect.contains("no connection to the target. Does it run and listen at http://"));
        assert!(silent(Errors { timeout: 9, ..none.clone() }).contains("within --timeout"));
        assert!(silent(Errors { protocol: 9, ..none.clone() }).contains("no answer was HTTP"));
        assert!(silent(Errors { read: 9, ..none.clone() }).contains("closed the connections"));
        let by_cause = [("no_local_port".to_owned(), 9), ("refused".to_owned(), 1)].into();
        let ports = silent(Errors { connect: 10, by_cause, ..none });
        assert!(ports.contains("no free local port. Use fewer connections"), "{ports}");
    }

    #[test]
    fn a_run_of_which_nothing_arrived_fails() {
        let missing = |change: fn(&mut Report)| {
            failure(|report| {
                report.series.iter_mut().for_each(|row| row.queue_depth = Some(0));
                let messages = report.messages.as_mut().expect("it listened");
                (messages.accepted, messages.arrived, messages.unexpected) = (1_000, 0, 0);
                change(report);
            })
        };
        let plain = missing(|_| ()).expect("it failed");
        assert_eq!(
            plain,
            "nothing arrived: 1,000 messages were accepted. Does the push server run, and publish to \
             the topic of --topic?"
        );
        let last =
            |report: &mut Report| report.series.last_mut().expect("a row").queue_depth = Some(7);
        assert!(missing(last).expect("it failed").contains("7 messages were in the queue"));
        let others = |report: &mut Report| {
            report.messages.as_mut().expect("it listened").unexpected = 12;
        };
        let others = missing(others).expect("it failed");
        assert!(
            others.contains("12 messages on the topic had no id of this run. Check --id-field")
        );
        assert_eq!(missing(|report| report.messages.as_mut().expect("it").accepted = 0), None);
        assert_eq!(missing(|report| report.messages.as_mut().expect("it").arrived = 1), None);
    }

    #[test]
    fn an_interrupted_run_and_one_without_a_request_have_not_failed() {
        assert_eq!(
            failure(|report| {
                statuses(report, &[("404", 9)]);
                report.run.interrupted = true;
            }),
            None
        );
        assert_eq!(
            failure(|report| {
                statuses(report, &[]);
                (report.requests.planned, report.requests.sent) = (0, 0);
            }),
            None
        );
    }

    #[test]
    fn the_name_of_a_failure_is_what_stands_before_its_details() {
        for (failure, name) in [
            ("nothing arrived: 5 messages were accepted.", "nothing arrived"),
            ("node 0, 2: nothing arrived: 5 were accepted.", "node 0, 2: nothing arrived"),
            ("push ended", "push ended"),
        ] {
            assert_eq!(failure_name(failure), name);
        }
    }
}
