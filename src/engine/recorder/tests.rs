//! Records of requests with each outcome.

use std::sync::Arc;

use super::*;
use crate::engine::transport::cause::Cause;
use crate::engine::transport::{RequestFailure, Ticket};
use crate::message::{Assignment, Mix};

fn recorder() -> Recorder {
    Recorder::new(IdSpace::from_authority(0, 1, 100), 100, Nanos::from_secs(1))
}

fn ended(due_ms: u64, sent_ms: u64, at_ms: u64, outcome: RequestOutcome) -> Completion {
    let id = MsgId::new(due_ms).expect("small");
    let due = Nanos::from_millis(due_ms);
    let ticket = Ticket { due, ready: due, id };
    let (sent, at) = (Nanos::from_millis(sent_ms), Nanos::from_millis(at_ms));
    Completion { ticket, sent, at, outcome, connect: None }
}

fn max_ms(latencies: &Latencies) -> Option<u64> {
    latencies.max().map(|max| (max.0 + 500_000) / 1_000_000)
}

#[test]
fn the_three_times_are_kept_apart() {
    let mut recorder = recorder();
    recorder.completed(&ended(1_100, 1_130, 1_150, RequestOutcome::Answered { status: 200 }));
    let result = &recorder.result;
    assert_eq!(
        (max_ms(&result.lateness), max_ms(&result.service), max_ms(&result.response)),
        (Some(30), Some(20), Some(50))
    );
    assert_eq!((result.accepted.len(), recorder.sampled.len()), (1, 1));
}

#[test]
fn overload_enters_the_latencies_and_a_broken_connection_does_not() {
    let mut recorder = recorder();
    recorder.completed(&ended(
        1_000,
        1_000,
        1_001,
        RequestOutcome::Failed(RequestFailure::Read, Cause::Reset),
    ));
    assert_eq!(recorder.result.response.count(), 0);
    recorder.completed(&ended(
        1_000,
        1_010,
        3_010,
        RequestOutcome::Failed(RequestFailure::Timeout, Cause::Timeout),
    ));
    recorder.completed(&ended(1_000, 1_000, 6_000, RequestOutcome::Unfinished));
    recorder.dropped(0, Nanos::from_millis(1_000), Nanos::from_millis(7_000), true);
    assert_eq!(recorder.result.response.count(), 3);
    assert_eq!(max_ms(&recorder.result.response).map(|ms| ms / 10), Some(700));
    assert_eq!(recorder.result.service.count(), 2, "a dropped slot was never served");
    let counters = recorder.result.counters;
    assert_eq!((counters.failed, counters.unfinished, counters.dropped), (2, 1, 1));
    assert_eq!((counters.errors.read, counters.errors.timeout), (1, 1));
}

#[test]
fn a_refused_message_is_answered_and_not_accepted() {
    let mut recorder = recorder();
    recorder.completed(&ended(1_000, 1_000, 1_001, RequestOutcome::Answered { status: 503 }));
    assert_eq!((recorder.result.counters.completed, recorder.result.accepted.len()), (1, 0));
    assert_eq!(recorder.result.status.iter().collect::<Vec<_>>(), [(503, 1)]);
}

#[test]
fn each_request_of_a_mix_has_results_and_only_messages_are_accepted() {
    let (space, mix) = (IdSpace::from_authority(0, 1, 100), Arc::new(Mix::new(&[1, 1], 3)));
    let assignment = Assignment::new(Arc::clone(&mix), space, 0, 1);
    let mixture = Mixture { assignment, carries_id: vec![true, false] };
    let mut recorder = Recorder::new(space, 100, Nanos::ZERO).of_mix(mixture);
    for slot in 0..60 {
        let status = if slot < 30 { 200 } else { 404 };
        recorder.sent(slot, Nanos::from_millis(slot));
        recorder.completed(&ended(slot, slot, slot + 2, RequestOutcome::Answered { status }));
    }
    (60..64).for_each(|slot| recorder.dropped(slot, Nanos::from_secs(9), Nanos(1), false));
    let result = &recorder.result;
    for request in &result.by_request {
        let Counters { planned, sent, dropped, completed, .. } = request.counters;
        assert_eq!((planned, sent, dropped, completed), (32, 30, 2, 30));
        assert_eq!(request.status.iter().collect::<Vec<_>>(), [(200, 15), (404, 15)]);
        assert_eq!((request.response.count(), request.service.count()), (32, 30));
    }
    assert_eq!((result.messages_sent, result.messages_ended, result.accepted.len()), (30, 30, 15));
    let mut all = LoadResult::default();
    all.absorb(recorder.result);
    assert_eq!(all.by_request[1].counters.sent, 30);
}

#[test]
fn the_warm_up_leaves_no_trace() {
    let mut recorder = recorder();
    let before = Nanos::from_millis(999);
    recorder.planned(before, before);
    recorder.sent(0, before);
    recorder.completed(&ended(999, 999, 1_500, RequestOutcome::Answered { status: 200 }));
    assert_eq!(recorder.result.counters, Counters::default());
    assert_eq!(recorder.interval(0, 0).response.count(), 0);
}

#[test]
fn an_interval_has_the_completions_since_the_last_one() {
    let mut recorder = recorder();
    recorder.completed(&ended(1_000, 1_000, 1_001, RequestOutcome::Answered { status: 200 }));
    assert_eq!(recorder.interval(0, 3).completed, 1);
    recorder.completed(&ended(
        1_100,
        1_100,
        1_101,
        RequestOutcome::Failed(RequestFailure::Protocol, Cause::NotHttp),
    ));
    recorder.completed(&ended(1_100, 1_100, 1_101, RequestOutcome::Answered { status: 503 }));
    let second = recorder.interval(1, 2);
    assert_eq!((second.completed, second.refused, second.failed), (1, 1, 1));
    assert_eq!(second.response.count(), 1);
    assert_eq!(recorder.interval(2, 0).refused, 0);
}
