//! Failures of a run that proves nothing as a whole: nothing succeeded, or nothing arrived. This is judged from the
//! report alone, so that saved and merged reports are judged by the same rules as new ones.

use std::cmp::Reverse;

use super::remark::{Failure, FirstAnswer, MethodSetting, Missing, RefusedAnswers, Silence};
use super::{EngineName, Errors, Messages, Report, Requests};

/// The failure of the whole run, if there is one. An interrupted run has none: it was not meant to prove anything.
pub(crate) fn failure(report: &Report) -> Option<Failure> {
    if report.run.interrupted {
        return None;
    }
    nothing_succeeded(report).or_else(|| nothing_arrived(report))
}

fn nothing_succeeded(report: &Report) -> Option<Failure> {
    let requests = &report.requests;
    if requests.planned == 0 || requests.completed > requests.refused() {
        return None;
    }
    Some(match most_frequent_status(requests) {
        Some(status) => Failure::AllRefused(RefusedAnswers {
            status: status.to_owned(),
            is_only_status: requests.status.len() == 1,
            method: method_setting(report),
            first: first_answer(report),
        }),
        None => Failure::NoAnswer(silence(report)),
    })
}

fn first_answer(report: &Report) -> FirstAnswer {
    match &report.requests.refusal {
        Some(text) => FirstAnswer::Kept(text.clone()),
        None if report.run.engine == EngineName::Raw => FirstAnswer::NotAsked,
        None => FirstAnswer::NotKept,
    }
}

/// The status of most answers.
fn most_frequent_status(requests: &Requests) -> Option<&str> {
    let most = requests.status.iter().max_by_key(|(status, count)| (**count, Reverse(*status)));
    most.map(|(status, _)| status.as_str())
}

/// The place where the method of the requests is set.
fn method_setting(report: &Report) -> MethodSetting {
    if report.script.is_some() {
        MethodSetting::Script
    } else if report.by_request.is_empty() {
        MethodSetting::Flag
    } else {
        MethodSetting::Profile
    }
}

/// There was not a single answer.
fn silence(report: &Report) -> Silence {
    let Errors { connect, read, write, timeout, protocol, .. } = report.requests.errors;
    let target = report.run.target.clone();
    if let Some(cause) = most_frequent_cause(&report.requests).and_then(silence_by) {
        return cause;
    }
    match connect.max(read).max(write).max(timeout).max(protocol) {
        0 => Silence::Unknown,
        n if n == connect => Silence::NoConnection { target },
        n if n == timeout => Silence::Timeout,
        n if n == protocol => Silence::NotHttp { target },
        _ => Silence::Closed,
    }
}

/// The cause of most failures.
fn most_frequent_cause(requests: &Requests) -> Option<&str> {
    let causes = requests.errors.by_cause.iter();
    let most = causes.max_by_key(|(cause, count)| (**count, Reverse(*cause)));
    most.map(|(cause, _)| cause.as_str())
}

/// Causes that say more than the kind of the error.
fn silence_by(cause: &str) -> Option<Silence> {
    match cause {
        "no_local_port" => Some(Silence::NoLocalPort),
        "too_many_open_files" => Some(Silence::TooManyOpenFiles),
        "dns" => Some(Silence::Dns),
        "tls" => Some(Silence::Tls),
        _ => None,
    }
}

fn nothing_arrived(report: &Report) -> Option<Failure> {
    let messages = report.messages.as_ref()?;
    // The messages of a script that writes ids of its own cannot be recognised.
    if messages.arrived > 0 || messages.accepted == 0 {
        return None;
    }
    let missing = missing(report, messages);
    Some(Failure::NothingArrived { accepted: messages.accepted, missing })
}

/// Knowledge of messages that were accepted and did not arrive.
fn missing(report: &Report, messages: &Messages) -> Missing {
    let mut rows = report.series.iter().rev();
    let queued = messages.queued_after.or_else(|| rows.find_map(|row| row.queue_depth));
    let waiting = queued.unwrap_or(0);
    if messages.missed > 0 {
        Missing::SubscriberAway
    } else if messages.foreign > 0 && messages.foreign == messages.unexpected {
        Missing::OfAnotherRun { foreign: messages.foreign }
    } else if messages.unexpected > 0 {
        Missing::WithoutId { unexpected: messages.unexpected }
    } else if waiting > 0 {
        Missing::InQueue { waiting }
    } else if queued.is_some() {
        Missing::NotInQueue
    } else {
        Missing::Unknown
    }
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
        super::failure(&report(change)).map(|failure| failure.to_string())
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
            "nothing arrived: 1,000 messages were accepted. The queue is empty. Does the service that takes \
             from it (push) publish to the broker of --mqtt, and to the topic of --topic?"
        );
        let unknown = missing(|report| {
            report.series.iter_mut().for_each(|row| row.queue_depth = None);
        });
        assert!(unknown.expect("it failed").contains("With --redis and --queue the report says"));
        let after = |report: &mut Report| {
            report.messages.as_mut().expect("it listened").queued_after = Some(1_000);
        };
        assert!(missing(after).expect("it failed").contains("1,000 messages were in the queue"));
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
        let foreign = |report: &mut Report| {
            let messages = report.messages.as_mut().expect("it listened");
            (messages.unexpected, messages.foreign) = (12, 12);
        };
        let foreign = missing(foreign).expect("it failed");
        assert!(
            foreign.contains("12 messages were of another run on the topic. If an earlier run")
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
}
