//! The depth of queues that loadgen has not made (`--queue-depth`).

use crate::support::{JsonReport, Nginx, Redis, report_of};

/// The depths that are on the timeline.
fn depths(report: &JsonReport) -> Vec<Option<u64>> {
    let rows = report.list("series");
    let mut depths: Vec<_> = rows.iter().map(|row| row["queue_depth"].as_u64()).collect();
    depths.dedup();
    depths
}

#[test]
fn the_depth_is_that_of_the_list_stream_or_group_that_is_named() {
    let (Some(redis), Some(nginx)) = (Redis::start(), Nginx::start()) else { return };
    for n in ["1", "2", "3", "4", "5"] {
        redis.cli(&["XADD", "a/b", "*", "n", n]);
    }
    redis.cli(&["XGROUP", "CREATE", "a/b", "push", "0"]);
    redis.cli(&["XREADGROUP", "GROUP", "push", "one", "COUNT", "2", "STREAMS", "a/b", ">"]);
    redis.cli(&["RPUSH", "list", "1", "2", "3"]);
    redis.cli(&["RPUSH", "myapp", "1"]);
    for (queue, depth, code) in [
        ("", Some(1), None),
        ("--queue-depth list:list", Some(3), None),
        ("--queue-depth stream:a/b/push", Some(5), None),
        ("--queue-depth stream:list/push", None, Some("queue_not_stream")),
        ("--queue-depth stream:a/b/other", None, Some("queue_group_unknown")),
        ("--queue-depth stream:later/push", Some(0), None),
        ("--queue-depth list:a/b", None, Some("queue_not_list")),
        ("--queue-depth none", None, None),
    ] {
        let words = format!(
            "http://localhost/ --unix-socket {} -R 20 -n 20 --redis {} {queue}",
            nginx.socket("socket"),
            redis.url()
        );
        let (finished, report) = report_of(&words, |_| ());
        assert_eq!(finished.code, Some(0), "{queue}: {finished:?}");
        assert_eq!(depths(&report), [depth], "{queue}");
        let codes = report.list("verdict.codes.notes");
        assert_eq!(
            codes.iter().filter_map(|code| code.as_str()).find(|code| code.starts_with("queue_")),
            code,
            "{queue}: {codes:?}"
        );
    }
    // What was read and acknowledged has left the queue, and what others wrote is in it.
    let read = redis.cli(&["XREADGROUP", "GROUP", "push", "one", "STREAMS", "a/b", "0"]);
    let first = read.lines().find(|line| line.contains('-')).expect("an id").to_owned();
    redis.cli(&["XACK", "a/b", "push", &first]);
    let words = format!(
        "http://localhost/ --unix-socket {} -R 20 -n 20 --redis {} --queue-depth stream:a/b/push",
        nginx.socket("socket"),
        redis.url()
    );
    assert_eq!(depths(&report_of(&words, |_| ()).1), [Some(4)]);
}
