//! `loadgen api`: Redis servers that change their role, refuse writes, or name another node.

use std::net::SocketAddr;

use crate::support::{Cutter, Redis, Sentinel, Service, eventually, get, post};

const MESSAGE: &str = r#"{"MsgID":5}"#;

fn port(redis: &Redis) -> String {
    redis.address().rsplit(':').next().unwrap_or_default().to_owned()
}

#[track_caller]
fn eventually_answers(address: SocketAddr, status: u16) {
    eventually("the answer to a message", || {
        (post(address, MESSAGE).status == status).then_some(())
    });
}

#[test]
fn a_master_that_becomes_a_replica_is_left_for_the_new_one() {
    let (Some(old), Some(new)) = (Redis::start(), Redis::start()) else { return };
    let name = Cutter::start(&old.address());
    let (_api, address) = Service::api(&format!("--redis redis://{}", name.address()));
    assert_eq!(post(address, MESSAGE).status, 200);
    old.cli(&["REPLICAOF", "127.0.0.1", &port(&new)]);
    assert_eq!(post(address, MESSAGE).status, 503);
    let not_ready = eventually("it is not ready", || {
        let answer = get(address, "/readyz");
        (answer.status == 503).then_some(answer)
    });
    assert!(not_ready.body.starts_with("not ready: "), "{not_ready:?}");
    assert_eq!(get(address, "/healthz").status, 200, "it is alive");
    name.lead_to(&new.address());
    eventually_answers(address, 200);
    eventually("it is ready", || (get(address, "/readyz").status == 200).then_some(()));
    assert!(new.len("myapp") >= 1);
}

#[test]
fn a_redis_without_memory_is_not_ready() {
    let Some(redis) = Redis::start() else { return };
    let (_api, address) = Service::api(&format!("--redis {}", redis.url()));
    let ready = get(address, "/readyz");
    assert_eq!(ready.status, 200, "{ready:?}");
    let seconds: i64 = redis.cli(&["TTL", "loadgen:ready:{myapp}"]).parse().expect("a number");
    assert!((1..=10).contains(&seconds), "the key expires: {seconds}");
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let not_ready = get(address, "/readyz");
    assert!(not_ready.status == 503 && not_ready.body.contains("OOM"), "{not_ready:?}");
    assert_eq!(get(address, "/healthz").status, 200, "it is alive");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(get(address, "/readyz").status, 200);
}

#[test]
fn the_master_that_the_sentinel_names_gets_the_messages() {
    let (Some(mut master), Some(replica)) = (Redis::start(), Redis::start()) else { return };
    replica.cli(&["REPLICAOF", "127.0.0.1", &port(&master)]);
    eventually("the replica is in step", || {
        replica.cli(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
    });
    let sentinel = Sentinel::of(&master);
    eventually("the Sentinel knows the replica", || {
        sentinel.cli(&["SENTINEL", "REPLICAS", "primary"]).contains(&port(&replica)).then_some(())
    });
    // The first Sentinel does not answer.
    let url = format!("redis+sentinel://127.0.0.1:1,{}/primary", sentinel.address());
    let (_api, address) = Service::api(&format!("--redis {url}"));
    assert_eq!(post(address, MESSAGE).status, 200);
    assert_eq!(master.len("myapp"), 1);
    master.kill();
    eventually_answers(address, 200);
    assert!(replica.cli(&["ROLE"]).starts_with("master"));
    assert!(replica.len("myapp") >= 1);
}

#[test]
fn the_node_of_a_cluster_that_has_the_list_gets_the_messages() {
    let (Some(other), Some(owner)) = (Redis::cluster_node(), Redis::cluster_node()) else { return };
    owner.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let bus = owner.cli(&["CONFIG", "GET", "cluster-port"]);
    let bus = bus.lines().last().unwrap_or_default();
    other.cli(&["CLUSTER", "MEET", "127.0.0.1", &port(&owner), bus]);
    let is_ok = |redis: &Redis| redis.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
    eventually("the cluster is up", || (is_ok(&other) && is_ok(&owner)).then_some(()));
    let log_server = Redis::start().expect("as the others");
    let (_api, address) =
        Service::api(&format!("--redis {} --log-server {}", other.url(), log_server.url()));
    assert_eq!(post(address, MESSAGE).status, 200);
    assert_eq!(get(address, "/readyz").status, 200);
    assert_eq!(owner.list("myapp"), [MESSAGE]);
}
