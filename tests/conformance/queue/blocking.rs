//! Pops that wait.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::client::{QueueClient, words};
use super::{QueueServer, on_both};
use crate::support::{SOON, eventually};

/// A client that waits already when this returns: the server has had its command before that of
/// another, as far as a moment can tell.
fn waiting(server: &QueueServer, command: &str) -> QueueClient {
    let mut client = server.client();
    client.send(&words(command));
    client.expect_silence();
    client
}

#[test]
fn a_blocked_pop_is_served_at_once() {
    on_both(|server| {
        let mut pusher = server.client();
        for (command, reply) in [
            ("BRPOP q 0", "*2 $1 q $1 a"),
            ("BLPOP other q 5", "*2 $1 q $1 b"),
            ("BLMPOP 0 1 q RIGHT COUNT 512", "*2 $1 q *2 $1 a $1 b"),
            ("BLMPOP 0 2 q q LEFT", "*2 $1 q *1 $1 b"),
        ] {
            let mut client = waiting(server, command);
            let begun = Instant::now();
            // LPUSH returns the length after the push, also if waiting clients take the elements at once.
            assert_eq!(pusher.call("LPUSH q a b"), ":2", "{}", server.name);
            assert_eq!(client.shown(), reply, "{}", server.name);
            assert!(begun.elapsed() < SOON);
            pusher.call("DEL q");
            assert_eq!(client.call("PING"), "+PONG");
        }
    });
}

#[test]
fn blocked_pops_are_served_in_order() {
    on_both(|server| {
        let mut clients: Vec<_> = (0..4).map(|_| waiting(server, "BLPOP q 0")).collect();
        let mut pusher = server.client();
        pusher.call("RPUSH q 0 1");
        pusher.send(&[words("RPUSH q 2"), words("RPUSH q 3"), words("RPUSH q 4")].concat());
        for (n, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.shown(), format!("*2 $1 q $1 {n}"), "{}", server.name);
        }
        for count in [":1", ":1", ":1"] {
            assert_eq!(pusher.shown(), count, "{}", server.name);
        }
        assert_eq!(pusher.call("LPOP q"), "$1 4");
    });
}

#[test]
fn a_blocked_pop_times_out() {
    on_both(|server| {
        let mut client = server.client();
        for (command, millis) in [
            ("BRPOP q 0.2", 200),
            ("BLMPOP 0.05 1 q LEFT", 50),
            ("BLPOP q 0.0001", 0),
            ("BLPOP q 1", 1_000),
        ] {
            let begun = Instant::now();
            assert_eq!(client.call(command), "*-1");
            let took = begun.elapsed();
            let expected = Duration::from_millis(millis);
            assert!(took >= expected && took < expected + SOON, "{took:?}");
        }
        // Whose time was over takes nothing.
        assert_eq!(client.call("RPUSH q a"), ":1");
        assert_eq!(client.call("LLEN q"), ":1");
    });
}

#[test]
fn a_disconnected_waiter_takes_nothing() {
    on_both(|server| {
        let mut pusher = server.client();
        // One closes, one only its sending half with a command behind, and one stays.
        drop(waiting(server, "BLMPOP 0 1 q LEFT COUNT 10"));
        let mut half = waiting(server, "BLPOP q 0");
        half.send(&words("PING"));
        half.stream().shutdown(Shutdown::Write).expect("it is open");
        let mut last = waiting(server, "BLPOP q 0");
        assert_eq!(pusher.call("RPUSH q a b"), ":2");
        assert_eq!(last.shown(), "*2 $1 q $1 a", "{}", server.name);
        assert_eq!(pusher.call("LRANGE q 0 -1"), "*1 $1 b");
    });
}

#[test]
fn a_waiter_that_disconnects_just_before_a_push_takes_nothing() {
    on_both(|server| {
        let mut pusher = server.client();
        for _ in 0..20 {
            let mut client = server.client();
            client.send(&words("BLPOP q 0"));
            // It must wait by now: a command that is read first would be done first.
            std::thread::sleep(Duration::from_millis(50));
            drop(client);
            // Redis looks for the end of a connection once in a round of its loop.
            if server.name == "redis-server" {
                std::thread::sleep(Duration::from_millis(50));
            }
            assert_eq!(pusher.call("RPUSH q a"), ":1");
            assert_eq!(pusher.call("LPOP q"), "$1 a", "{}", server.name);
        }
    });
}

#[test]
fn commands_after_a_blocked_pop_wait_for_it() {
    on_both(|server| {
        let mut client = server.client();
        client.send(
            &[words("PING"), words("BLPOP q 0"), words("LLEN q"), words("BLPOP r 0.05")].concat(),
        );
        assert_eq!(client.shown(), "+PONG", "what was before it is answered before it");
        client.send(&words("ECHO end"));
        client.expect_silence();
        server.client().call("RPUSH q a b c");
        for expected in ["*2 $1 q $1 a", ":2", "*-1", "$3 end"] {
            assert_eq!(client.shown(), expected, "{}", server.name);
        }
    });
}

#[test]
fn a_key_of_another_type_does_not_wake_waiters() {
    on_both(|server| {
        let mut client = waiting(server, "BLPOP q 0");
        let mut other = server.client();
        other.script(&[("INCR q", ":1")]);
        client.expect_silence();
        other.script(&[("DEL q", ":1"), ("RPUSH q a", ":1")]);
        assert_eq!(client.shown(), "*2 $1 q $1 a");
    });
}

#[test]
fn each_of_many_waiters_gets_one_element() {
    on_both(|server| {
        let mut clients: Vec<_> = (0..200).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| client.send(&words("BLMPOP 0 1 q RIGHT COUNT 1")));
        let mut pusher = server.client();
        let all: Vec<_> = (0..200).flat_map(|n| words(&format!("LPUSH q {n}"))).collect();
        pusher.send(&all);
        let mut got: Vec<_> = clients.iter_mut().map(QueueClient::shown).collect();
        got.sort();
        got.dedup();
        assert_eq!(got.len(), 200);
        eventually("an empty list", || (server.client().call("LLEN q") == ":0").then_some(()));
    });
}
