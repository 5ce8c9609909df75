//! Clients of other projects.

use std::process::Command;
use std::time::Duration;

use loadgen::config::plan::Address;
use loadgen::pipeline::servers::redis::{self as ours, Use};

use super::{QueueServer, on_both};
use crate::support::{Process, find_program, require};

fn cli(server: &QueueServer, words: &[&str]) -> String {
    let program = find_program("redis-cli").expect("it was required");
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &server.address.port().to_string()]).args(words);
    let finished = Process::start("redis-cli", &mut command).finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.stdout.trim_end().to_owned()
}

#[test]
fn redis_cli_works() {
    if !require("redis-cli") {
        return;
    }
    on_both(|server| {
        for (words, expected) in [
            (&["PING"][..], "PONG"),
            (&["LPUSH", "q", "one two", "\"three\""], "2"),
            (&["LRANGE", "q", "0", "-1"], "\"three\"\none two"),
            (&["BLMPOP", "0.5", "1", "q", "RIGHT", "COUNT", "5"], "q\none two\n\"three\""),
            (&["BRPOP", "q", "0.05"], ""),
            (&["INCRBY", "n", "5"], "5"),
            (&["-r", "3", "INCR", "n"], "6\n7\n8"),
            (&["LPOP", "n"], "WRONGTYPE Operation against a key holding the wrong kind of value"),
        ] {
            assert_eq!(cli(server, words), expected, "{}: {words:?}", server.name);
        }
    });
}

#[test]
fn redis_benchmark_completes() {
    if !require("redis-benchmark") {
        return;
    }
    on_both(|server| {
        let port = server.address.port().to_string();
        for depth in ["1", "16"] {
            let mut command = Command::new(find_program("redis-benchmark").expect("required"));
            command.args(["-p", &port, "-t", "lpush,rpop", "-n", "5000", "-c", "20", "-q", "-P"]);
            let finished = Process::start("redis-benchmark", command.arg(depth)).finish();
            assert_eq!(finished.code, Some(0), "{finished:?}");
        }
        assert_eq!(server.client().call("LLEN mylist"), ":0", "as many popped as pushed");
    });
}

#[tokio::test]
async fn the_redis_crate_works() {
    let servers = [Some(QueueServer::embedded()), QueueServer::real()];
    for server in servers.iter().flatten() {
        let url = format!("redis://{}/0", server.address);
        let address = Address::parse("--redis", &url).expect("an address");
        let mut commands = ours::connect(&address, Use::Commands).await.expect("it answers");
        let mut blocking = ours::connect(&address, Use::Blocking).await.expect("it answers");
        let waiting = tokio::spawn(async move {
            let mut command = redis::cmd("BLMPOP");
            command.arg(5).arg(1).arg("q").arg("RIGHT").arg("COUNT").arg(512);
            let reply: (String, Vec<String>) = command.query_async(&mut blocking).await?;
            Ok::<_, redis::RedisError>(reply)
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (first, second): (u64, u64) = redis::pipe()
            .cmd("LPUSH")
            .arg("q")
            .arg("a")
            .arg("b")
            .cmd("INCRBY")
            .arg("n")
            .arg(7)
            .query_async(&mut commands)
            .await
            .expect("both are known");
        assert_eq!((first, second), (2, 7));
        let reply = waiting.await.expect("no panic").expect("a reply");
        assert_eq!(reply, ("q".to_owned(), vec!["a".to_owned(), "b".to_owned()]));
        let (_, _, micros) = ours::server_time(&mut commands).await.expect("a time");
        assert!(micros > 1_700_000_000_000_000);
        let counted = redis::cmd("INCRBY").arg("ids").arg(100).query_async(&mut commands).await;
        assert_eq!(counted, Ok(100));
        let version = ours::info(&mut commands, "redis_version").await;
        assert!(version.expect("an answer").is_some());
    }
}

#[tokio::test]
async fn a_password_or_another_database_is_refused_with_the_reason() {
    let server = QueueServer::embedded();
    for (url, part) in [
        (format!("redis://:secret@{}", server.address), "wants none"),
        (format!("redis://{}/3", server.address), "has only 0"),
    ] {
        let address = Address::parse("--redis", &url).expect("an address");
        let error = ours::connect(&address, Use::Commands).await.expect_err("refused").to_string();
        assert!(error.contains(part) && !error.contains("secret"), "{error}");
    }
}
