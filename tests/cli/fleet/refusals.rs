//! What a fleet refuses.

use super::{Meeting, ended};
use crate::support::{Process, eventually, loadgen, run};

/// The error of a command that is refused.
fn refused(words: &str) -> String {
    let finished = run(words);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{finished:?}");
    finished.stderr
}

#[test]
fn a_command_that_cannot_be_a_fleet_is_refused_before_anything_is_sent() {
    let url = "http://127.0.0.1:9/";
    for (words, part) in [
        (
            "--fleet f --nodes 2 --fleet-redis redis://127.0.0.1:1",
            "--fleet needs the URL of a target",
        ),
        (&format!("{url} --fleet f --nodes 2"), "needs a Redis in which the nodes meet"),
        (&format!("{url} --fleet f --fleet-redis redis://h"), "needs the number of its nodes"),
        (&format!("{url} --nodes 2 --fleet-redis redis://h --fleet"), "--fleet NAME"),
        (&format!("--fleet {url} --nodes 2"), "takes the URL"),
        (&format!("{url} --fleet a/b --nodes 2 --fleet-redis redis://h"), "a name has letters"),
        (
            &format!("{url} --fleet f --nodes 2 --node 0/2 --fleet-redis redis://h"),
            "leave --node out",
        ),
        (&format!("{url} --nodes 2"), "--fleet"),
        (
            &format!("{url} --fleet f --nodes 2 --arrivals-at shared --fleet-redis redis://h"),
            "arrivals are measured with --mqtt only",
        ),
        (
            &format!(
                "{url} --fleet f --nodes 2 --arrivals-at own --mqtt mqtt://h --redis redis://h"
            ),
            "--topic 'x/{{node}}'",
        ),
        (&format!("{url} --fleet f --nodes 8..6"), "such as 8"),
        (
            &format!(
                "{url} -R 400k --fleet f --nodes 4 --max-per-node 60k --fleet-redis redis://h"
            ),
            "7 nodes are needed",
        ),
        (
            &format!("{url} --fleet f --nodes 2 --start-at 10:00:00Z --fleet-redis redis://h"),
            "leave --start-at out",
        ),
    ] {
        let error = refused(words);
        assert!(error.contains(part), "{words}: {error}");
    }
    // MPI gives rank and size, and no name.
    let mut command = loadgen(&format!("{url} --fleet-redis redis://h --fleet"));
    command.env("PMI_RANK", "0").env("PMI_SIZE", "2");
    let finished = Process::start("node", &mut command).finish();
    assert_eq!(finished.code, Some(2));
    assert!(finished.stderr.contains("MPICH gives none: write --fleet NAME"), "{finished:?}");
}

#[test]
fn a_node_with_other_settings_is_refused_and_no_secret_is_in_redis() {
    let Some(meeting) = Meeting::start() else { return };
    let header = "--header Authorization:onyx";
    let first = meeting.node(&format!("-R 100 -d 1s --nodes 2 {header}"));
    first.await_complaint("1 of 2 nodes");
    let terms = meeting.redis.cli(&["GET", "{loadgen:f}:terms"]);
    assert!(terms.contains("Authorization: ***") && !terms.contains("onyx"), "{terms}");
    for (words, part) in [
        (format!("-R 200 -d 1s --nodes 2 {header}"), "--rate is 100 there and 200 here"),
        (
            "-R 100 -d 1s --nodes 2 --header Authorization:opal".to_owned(),
            "a part that is not shown",
        ),
        (format!("-R 100 -d 1s --nodes 3 {header}"), "--nodes is 2 there and 3 here"),
    ] {
        let finished = meeting.node(&words).finish();
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
    let second = meeting.node(&format!("-R 100 -d 1s --nodes 2 {header}"));
    assert!(ended(vec![first, second]).iter().all(|node| node.code == Some(0)));
    // The name is used up.
    let late = meeting.node(&format!("-R 100 -d 1s --nodes 2 {header}")).finish();
    assert_eq!(late.code, Some(2));
    assert!(late.stderr.contains("has ended within the last day"), "{late:?}");
}

#[test]
fn a_ninth_process_and_a_second_holder_of_a_rank_are_refused() {
    let Some(meeting) = Meeting::start() else { return };
    let words = "-R 400 -d 3s --nodes 8";
    let nodes: Vec<_> = (0..8).map(|_| meeting.node(words)).collect();
    eventually("a roster", || {
        (!meeting.redis.cli(&["GET", "{loadgen:f}:roster"]).is_empty()).then_some(())
    });
    let ninth = meeting.node(words).finish();
    assert_eq!(ninth.code, Some(3), "it came after the start: {ninth:?}");
    assert!(ninth.stderr.contains("this process came later and sends nothing"), "{ninth:?}");
    assert!(ended(nodes).iter().all(|node| node.code == Some(0)));
    assert_eq!(meeting.report().count("/requests/sent"), 1_200);
    meeting.redis.cli(&["FLUSHALL"]);

    let ranked = |rank: &str| {
        let mut command = meeting.command("-R 100 -d 1s --nodes 2");
        command.env("JOB_COMPLETION_INDEX", rank);
        Process::start("node", &mut command)
    };
    let first = ranked("1");
    first.await_complaint("1 of 2 nodes");
    let second = ranked("1").finish();
    assert_eq!(second.code, Some(2), "{second:?}");
    let owner = format!("node 1 is process {} on ", first.pid());
    assert!(second.stderr.contains(&owner), "{second:?}");
    assert!(ended(vec![first, ranked("0")]).iter().all(|node| node.code == Some(0)));
}

#[test]
fn a_fleet_that_does_not_come_together_says_who_is_there() {
    let Some(meeting) = Meeting::start() else { return };
    let alone = meeting.node("-R 100 -d 1s --nodes 3 --join-timeout 1s").finish();
    assert_eq!(alone.code, Some(1), "{alone:?}");
    assert!(alone.stderr.contains("1 node of 3 joined within 1s (--join-timeout)"), "{alone:?}");
}

#[test]
fn no_node_sends_if_one_cannot() {
    let Some(meeting) = Meeting::start() else { return };
    let words = "-R 100 -d 1s --nodes 2";
    let good = meeting.node(words);
    let mut command = meeting.command(words);
    command.args(["--metrics", "203.0.113.1:1", "--metrics-insecure-listen"]);
    let bad = Process::start("node", &mut command).finish();
    assert_eq!(bad.code, Some(1), "{bad:?}");
    let good = good.finish();
    assert_eq!((good.code, good.stdout.as_str()), (Some(1), ""), "{good:?}");
    assert!(good.stderr.contains("the fleet cannot start: node "), "{good:?}");
}
