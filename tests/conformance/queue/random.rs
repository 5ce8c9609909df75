//! Any sequence of commands has the same replies on both.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::QueueServer;
use super::client::encode;

/// Words that make commands that are right, and ones that are nearly right.
fn command() -> impl Strategy<Value = Vec<String>> {
    let key = prop::sample::select(vec!["a", "b", "c", "n", ""]).prop_map(str::to_owned);
    let value = "[a-z0-9 \r\n]{0,6}";
    let number = prop_oneof![
        4 => (-4i64..8).prop_map(|n| n.to_string()),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => prop::sample::select(vec!["x", "", "1.5", "+1", "-0"]).prop_map(str::to_owned),
    ];
    let name = |names: &'static [&'static str]| prop::sample::select(names).prop_map(str::to_owned);
    let end = name(&["LEFT", "right", "UP"]);
    prop_oneof![
        6 => (name(&["LPUSH", "RPUSH", "lpush"]), key.clone(), prop::collection::vec(value, 1..5))
            .prop_map(|(name, key, values)| [vec![name, key], values].concat()),
        4 => (name(&["LPOP", "RPOP"]), key.clone(), prop::option::of(number.clone()))
            .prop_map(|(name, key, count)| [name, key].into_iter().chain(count).collect()),
        4 => (name(&["LRANGE", "LTRIM"]), key.clone(), number.clone(), number.clone())
            .prop_map(|(name, key, first, last)| vec![name, key, first, last]),
        3 => (name(&["LLEN", "GET", "DEL", "EXISTS", "INCR"]), key.clone())
            .prop_map(|(name, key)| vec![name, key]),
        3 => (key.clone(), number.clone())
            .prop_map(|(key, by)| vec!["INCRBY".to_owned(), key, by]),
        3 => (key.clone(), key.clone(), end.clone(), number.clone()).prop_map(
            |(one, two, end, count)| {
                let words = ["LMPOP", "2", &one, &two, &end, "COUNT", &count];
                words.map(str::to_owned).to_vec()
            }
        ),
        1 => (name(&["BLPOP", "BRPOP"]), key.clone(), key.clone())
            .prop_map(|(name, one, two)| vec![name, one, two, "0.001".to_owned()]),
        1 => (key, end, number).prop_map(|(key, end, count)| {
            let words = ["BLMPOP", "0.001", "1", &key, &end, "COUNT", &count];
            words.map(str::to_owned).to_vec()
        }),
        1 => prop::collection::vec("[A-Z]{1,8}", 1..4),
        1 => prop::sample::select(vec!["PING", "FLUSHDB"]).prop_map(|name| vec![name.to_owned()]),
    ]
    .prop_filter("has other words for what it knows more of", |words| {
        !matches!(words[0].as_str(), "SET" | "TIME" | "INFO")
    })
}

#[test]
fn random_commands_get_the_same_replies() {
    let (embedded, Some(real)) = (QueueServer::embedded(), QueueServer::real()) else { return };
    let clients = RefCell::new([embedded.client(), real.client()]);
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    let sequences = prop::collection::vec(command(), 1..60);
    let result = TestRunner::new(config).run(&sequences, |commands| {
        let bytes: Vec<u8> = commands.iter().flat_map(|words| encode(words)).collect();
        let mut clients = clients.borrow_mut();
        for client in clients.iter_mut() {
            client.call("FLUSHALL");
            client.send(&bytes);
        }
        for command in &commands {
            let [ours, theirs] = clients.each_mut().map(|client| client.shown());
            prop_assert_eq!(ours, theirs, "{:?}", command);
        }
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
