//! The steps of each request and message, for `benches/micro.rs`, which measures them to find the step that a change
//! made slower. Each step checks its result, so that none can do nothing.

use std::hint::black_box;
use std::sync::Arc;

use crate::config::settings::ArrivalProcess;
use crate::core::clock::{Nanos, ServerClock};
use crate::core::units::Rate;
use crate::engine::recorder::Recorder;
use crate::engine::request::RequestShape;
use crate::engine::schedule::{Schedule, ScheduleConfig, Slot};
use crate::engine::transport::http1::response::{ReadProgress, ResponseReader};
use crate::engine::transport::{Completion, RequestOutcome, Ticket};
use crate::message::template::DEFAULT_BODY;
use crate::message::{
    Arrival, ArrivalTracker, Checkpoint, DueTable, IdFields, IdSpace, IdWriter, MsgId, Template,
    Values,
};
use crate::pipeline::stamps::{Stamp, Stamper};

pub use crate::fleet::simulation::{SimulatedFleet, simulate};

/// The main job: 24,000 requests a second for 10 s.
const RATE: u64 = 24_000;
const SLOTS: u64 = 10 * RATE;
/// Time from one request to the next.
const GAP: Nanos = Nanos(1_000_000_000 / RATE);
/// Sampling interval: one message in `SAMPLE` is stamped.
const SAMPLE: u64 = 100;
/// First id: ten digits, as in long runs, and billions of ids before eleven digits.
const FIRST_ID: u64 = 1_000_000_000;

/// Runs a step of a request or a message as often as it likes, under a name.
pub type Measure<'a> = dyn FnMut(&str, &mut dyn FnMut()) + 'a;

/// Gives every step to `measure`, one after the other.
pub fn measure_steps(measure: &mut Measure<'_>) {
    schedule(measure);
    ids(measure);
    template(measure);
    response(measure);
    recorder(measure);
    stamp(measure);
    extract(measure);
}

fn msg_id(id: u64) -> MsgId {
    MsgId::new(id).expect("far below the largest")
}

fn id_space() -> IdSpace {
    IdSpace::from_authority(FIRST_ID, 1, SAMPLE)
}

fn schedule_of(arrivals: ArrivalProcess) -> Schedule {
    let rate: Rate = "24k".parse().expect("a rate");
    Schedule::new(ScheduleConfig {
        arrivals,
        duration: Some(Nanos::from_secs(10)),
        ..ScheduleConfig::constant(rate)
    })
}

/// Due time of the next request.
fn schedule(measure: &mut Measure<'_>) {
    let constant = schedule_of(ArrivalProcess::Constant);
    let expected = (0..SLOTS).map(|n| Slot { number: n, due: Nanos(n * 125_000 / 3) });
    assert!(constant.slots(0, 1).eq(expected), "slot n is due at n / rate");
    let mut slots = constant.slots(0, 1).cycle();
    measure("schedule/constant", &mut || _ = black_box(slots.next()));

    let poisson = schedule_of(ArrivalProcess::Poisson);
    let points: Vec<_> = poisson.slots(0, 1).map(|slot| slot.due.as_secs_f64()).collect();
    let mean = points.iter().sum::<f64>() / SLOTS as f64;
    assert!(points.len() as u64 == SLOTS && points.is_sorted() && (4.95..5.05).contains(&mean));
    let mut slots = poisson.slots(0, 1).cycle();
    measure("schedule/poisson", &mut || _ = black_box(slots.next()));
}

/// Id of the next message, and its due time in the table for the subscriber. Includes a new block of ids for
/// one message in 10,000.
fn ids(measure: &mut Measure<'_>) {
    let table = Arc::new(DueTable::default());
    let mut writer = IdWriter::new(id_space(), 0, Some(Arc::clone(&table)));
    let mut index = 0;
    measure("ids/assign", &mut || {
        let id = writer.assign(index, Nanos(index + 1));
        assert_eq!(id.map(MsgId::get), Some(FIRST_ID + index));
        index += 1;
    });
    if let Some(last) = index.checked_sub(1) {
        let mut arrivals = ArrivalTracker::new(id_space(), table, Nanos::ZERO);
        let arrival = arrivals.note(Some(msg_id(FIRST_ID + last)));
        assert_eq!(
            arrival,
            Arrival::First { due: Nanos(index) },
            "the receiver finds the due time"
        );
    }
}

/// The default request with this id.
fn default_request(id: u64) -> String {
    let body = format!(r#"{{"MsgID":{id},"source":"client-id","target":"target-id"}}"#);
    format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Bytes of the next request: with patched digits, and rendered again, as when the id has one more digit.
fn template(measure: &mut Measure<'_>) {
    let target = "http://127.0.0.1:8080/".parse().expect("a URL");
    let body = Template::parse(DEFAULT_BODY.as_bytes()).expect("the default is valid");
    let shape = RequestShape::new(target, "POST".to_owned(), Vec::new(), body);
    for (name, ids) in [
        ("template/patch", [FIRST_ID, FIRST_ID + 1]),
        ("template/render", [FIRST_ID, 10 * FIRST_ID]),
    ] {
        let wanted = ids.map(default_request);
        let mut request = shape.rendered();
        let mut turn = 0;
        measure(name, &mut || {
            turn ^= 1;
            let values = Values { msg_id: black_box(ids[turn]), ..Values::default() };
            let bytes = request.fill(&values);
            assert_eq!(bytes.len(), wanted[turn].len());
            black_box(bytes.as_ptr());
        });
        for (id, wanted) in ids.into_iter().zip(wanted) {
            let bytes = request.fill(&Values { msg_id: id, ..Values::default() });
            assert_eq!(String::from_utf8_lossy(bytes), wanted);
        }
    }
}

const PAGE_LEN: usize = 615;

/// A small page of nginx, with its header fields in its order.
fn page(framing: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
         Content-Type: text/html\r\n{framing}\r\nLast-Modified: Sun, 01 Nov 2026 10:00:00 GMT\r\n\
         Connection: keep-alive\r\nETag: \"69055c90-267\"\r\nAccept-Ranges: bytes\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// A complete response in one read.
fn response(measure: &mut Measure<'_>) {
    let text = "x".repeat(PAGE_LEN);
    let whole = page(&format!("Content-Length: {PAGE_LEN}"), &text);
    let chunked =
        page("Transfer-Encoding: chunked", &format!("{PAGE_LEN:x}\r\n{text}\r\n0\r\n\r\n"));
    for (name, input) in [("response/length", whole), ("response/chunked", chunked)] {
        let mut reader = ResponseReader::new(false);
        let done = ReadProgress::Done { status: 200, keep_alive: true, used: input.len() };
        measure(name, &mut || assert_eq!(reader.feed(black_box(&input)), Ok(done)));
    }
}

/// All records of one request: planned, sent, answered; and the row of the interval after a second's load.
fn recorder(measure: &mut Measure<'_>) {
    let start = Nanos::from_secs(1_000);
    let mut recorder = Recorder::new(id_space(), SAMPLE, start).of_open_loop();
    let (mut due, mut count, mut sampled) = (start, 0, 0);
    measure("recorder/request", &mut || {
        // Latencies from 0.2 to 4.2 ms, so that they are in many buckets.
        let (seen, sent) = (due + Nanos(20_000), due + Nanos(30_000));
        let at = sent + Nanos(200_000 + count * 7_919 % 4_000_000);
        let ticket = Ticket { due, ready: seen, id: msg_id(FIRST_ID + count) };
        recorder.planned(due, seen);
        recorder.sent(count, due);
        recorder.completed(&Completion {
            ticket,
            sent,
            at,
            outcome: RequestOutcome::Answered { status: 200 },
            connect: None,
        });
        (due, count) = (due + GAP, count + 1);
        if count.is_multiple_of(RATE) {
            sampled += recorder.interval(count / RATE - 1, 0).sampled.len() as u64;
        }
    });
    sampled += recorder.interval(count / RATE, 0).sampled.len() as u64;
    let result = &recorder.result;
    let counters = result.counters;
    assert_eq!((counters.planned, counters.sent, counters.completed), (count, count, count));
    assert_eq!((result.response.count(), result.accepted.len()), (count, count));
    assert_eq!(sampled, count.div_ceil(SAMPLE));
}

/// Stamp of a service for a message that is sampled or not; then encoding for the Redis list, and decoding.
fn stamp(measure: &mut Measure<'_>) {
    let (stamper, mut passages) = Stamper::new(SAMPLE);
    let mut count = 0;
    measure("stamp/note 1 in 100", &mut || {
        let (id, at) = (msg_id(FIRST_ID + count), Nanos(count));
        stamper.stamp(Checkpoint::Popped, id, at);
        if count.is_multiple_of(SAMPLE) {
            assert_eq!(passages.try_recv(), Ok((Checkpoint::Popped, id, at)));
        }
        count += 1;
    });
    assert_eq!((stamper.dropped(), passages.len()), (0, 0));

    let mut clock = ServerClock::new(true);
    clock.observe(Nanos(1_000), Nanos(1_000), 1_426_087_754_105_100);
    let text = r#"{"id":1000000000,"time":"1426087754.105100"}"#;
    measure("stamp/encode", &mut || {
        let server_us = clock.server_micros(black_box(Nanos(1_000))).expect("it was observed");
        let stamp = Stamp::new(msg_id(FIRST_ID), server_us);
        let encoded = serde_json::to_string(&stamp).expect("plain data");
        assert_eq!(encoded, text);
    });
    measure("stamp/decode", &mut || {
        let (id, server_us) = Stamp::read(black_box(text).as_bytes()).expect("a stamp");
        let at = clock.monotonic(server_us, Nanos(2_000));
        assert_eq!((id, at), (FIRST_ID, Some(Nanos(1_000))));
    });
}

/// MsgID of a received body, with the check that the body is JSON.
fn extract(measure: &mut Measure<'_>) {
    let fields = IdFields::default();
    let body = DEFAULT_BODY.replace("{{msg_id}}", &FIRST_ID.to_string());
    measure("extract/msg_id", &mut || {
        assert_eq!(fields.extract(black_box(body.as_bytes())), Ok(msg_id(FIRST_ID)));
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_step_gives_its_result() {
        let mut names = Vec::new();
        super::measure_steps(&mut |name, step| {
            (0..30_000).for_each(|_| step());
            names.push(name.to_owned());
        });
        assert!(names.len() > 8, "{names:?}");
    }
}
