//! Replies to each command.

use super::{on_both, on_both_with};
use crate::support::eventually;

#[test]
fn lists_can_be_pushed_read_and_popped() {
    on_both(|server| {
        server.client().script(&[
            ("LPUSH q a", ":1"),
            ("lpush q b c", ":3"),
            ("RPUSH q z", ":4"),
            ("LRANGE q 0 -1", "*4 $1 c $1 b $1 a $1 z"),
            ("LRANGE q 1 2", "*2 $1 b $1 a"),
            ("LRANGE q -2 100", "*2 $1 a $1 z"),
            ("LRANGE q -100 0", "*1 $1 c"),
            ("LRANGE q 3 1", "*0"),
            ("LRANGE q 4 9", "*0"),
            ("LRANGE none 0 -1", "*0"),
            ("LRANGE q 9223372036854775807 -9223372036854775808", "*0"),
            ("LLEN q", ":4"),
            ("LLEN none", ":0"),
            ("RPOP q", "$1 z"),
            ("LPOP q 2", "*2 $1 c $1 b"),
            ("LPOP q 0", "*0"),
            ("RPOP q 9", "*1 $1 a"),
            ("EXISTS q", ":0"),
            ("LPOP q", "$-1"),
            ("RPOP q 2", "*-1"),
            ("RPOP q 0", "*-1"),
            ("RPUSH q 1 2 3 4 5", ":5"),
            ("LMPOP 2 none q LEFT", "*2 $1 q *1 $1 1"),
            ("LMPOP 2 none q right count 3", "*2 $1 q *3 $1 5 $1 4 $1 3"),
            ("LMPOP 1 none LEFT", "*-1"),
            ("BLPOP none q 1", "*2 $1 q $1 2"),
            ("RPUSH q 1 2 3", ":3"),
            ("BRPOP q 0", "*2 $1 q $1 3"),
            ("BLMPOP 1.5 1 q RIGHT COUNT 512", "*2 $1 q *2 $1 2 $1 1"),
            ("BLMPOP 0.01 1 q RIGHT COUNT 512", "*-1"),
            ("BRPOP q 0.01", "*-1"),
        ]);
    });
}

#[test]
fn counters_can_be_increased() {
    on_both(|server| {
        server.client().script(&[
            ("GET n", "$-1"),
            ("INCR n", ":1"),
            ("INCRBY n 41", ":42"),
            ("INCRBY n -50", ":-8"),
            ("GET n", "$2 -8"),
            ("INCRBY n 9223372036854775807", ":9223372036854775799"),
            ("INCRBY n 9", "-ERR increment or decrement would overflow"),
            ("GET n", "$19 9223372036854775799"),
            ("EXISTS n n none", ":2"),
            ("DEL n n none", ":1"),
            ("INCRBY n -9223372036854775808", ":-9223372036854775808"),
            ("INCRBY n -1", "-ERR increment or decrement would overflow"),
            ("FLUSHDB", "+OK"),
            ("EXISTS n", ":0"),
            ("INCR n", ":1"),
            ("FLUSHALL ASYNC", "+OK"),
            ("GET n", "$-1"),
        ]);
    });
}

#[test]
fn wrong_commands_are_refused_with_the_same_messages() {
    const INTEGER: &str = "-ERR value is not an integer or out of range";
    const POSITIVE: &str = "-ERR value is out of range, must be positive";
    const TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    const SYNTAX: &str = "-ERR syntax error";
    const KEYS: &str = "-ERR numkeys should be greater than 0";
    const COUNT: &str = "-ERR count should be greater than 0";
    on_both(|server| {
        let mut client = server.client();
        client.script(&[("RPUSH q a", ":1"), ("INCR n", ":1")]);
        for command in ["INCR q", "INCRBY q 2", "GET q", "LPUSH n a", "RPUSH n a", "LPOP n"] {
            client.script(&[(command, TYPE)]);
        }
        for command in ["RPOP n 2", "LLEN n", "LRANGE n 0 1", "BLPOP n q 1", "LMPOP 1 n LEFT"] {
            client.script(&[(command, TYPE)]);
        }
        for number in ["", "x", "+1", "01", "-0", "1.0", "9223372036854775808", "1\0"] {
            client.script(&[
                (&format!("INCRBY n {number}"), INTEGER),
                (&format!("LRANGE q {number} 1"), INTEGER),
            ]);
        }
        client.script(&[
            ("LPOP q -1", POSITIVE),
            ("LPOP q x", POSITIVE),
            ("LPOP n -1", POSITIVE),
            ("LMPOP 0 q LEFT", KEYS),
            ("LMPOP x q LEFT", KEYS),
            ("LMPOP -1 q LEFT", KEYS),
            ("LMPOP 2 q LEFT", SYNTAX),
            ("LMPOP 9223372036854775807 q LEFT", SYNTAX),
            ("LMPOP 1 q MIDDLE", SYNTAX),
            ("LMPOP 1 q LEFT COUNT", SYNTAX),
            ("LMPOP 1 q LEFT COUNT 0", COUNT),
            ("LMPOP 1 q LEFT COUNT x", COUNT),
            ("LMPOP 1 q LEFT COUNT 1 COUNT 1", SYNTAX),
            ("LMPOP 1 q LEFT LIMIT 1", SYNTAX),
            ("BLMPOP x 1 q LEFT", "-ERR timeout is not a float or out of range"),
            ("BLPOP q nan", "-ERR timeout is not a float or out of range"),
            ("BLPOP q -1", "-ERR timeout is negative"),
            ("BLPOP q -0.5", "-ERR timeout is negative"),
            ("FLUSHDB NOW", SYNTAX),
            ("FLUSHDB SYNC SYNC", SYNTAX),
            ("LLEN q", ":1"),
            ("GET n", "$1 1"),
        ]);
    });
}

#[test]
fn argument_counts_are_checked_and_unknown_commands_named() {
    on_both(|server| {
        let mut client = server.client();
        for command in [
            "LPUSH",
            "LPUSH q",
            "RPUSH q",
            "RPOP",
            "RPOP q 1 2",
            "LPOP q 1 2",
            "LLEN",
            "LLEN q q",
            "LRANGE q 0",
            "LRANGE q 0 1 2",
            "BRPOP q",
            "BLPOP",
            "LMPOP 1 q",
            "BLMPOP 1 1 q",
            "TIME x",
            "PING a b",
            "ECHO",
            "ECHO a b",
            "INCR",
            "INCR n 1",
            "INCRBY n",
            "GET",
            "GET a b",
            "DEL",
            "EXISTS",
            "CLIENT",
            "SELECT",
            "SELECT 0 0",
            "AUTH",
        ] {
            let name = command.split(' ').next().unwrap_or_default().to_lowercase();
            let expected = format!("-ERR wrong number of arguments for '{name}' command");
            client.script(&[(command, &expected)]);
        }
        let long = "x".repeat(200);
        let unknown = |name: &str, shown: &str| {
            let reply = format!("-ERR unknown command '{name}', with args beginning with: {shown}");
            reply.trim_end().to_owned()
        };
        client.script(&[
            ("FROB", &unknown("FROB", "")),
            ("frob a b", &unknown("frob", "'a' 'b'")),
            (&format!("FROB {long} b"), &unknown("FROB", &format!("'{}'", &long[..128]))),
            (&long, &unknown(&long[..128], "")),
            ("A\r\nB C\nD", &unknown("A  B", "'C D'")),
            ("CLIENT FROB", "-ERR unknown subcommand 'FROB'. Try CLIENT HELP."),
            ("CLIENT GETNAME x", "-ERR wrong number of arguments for 'client|getname' command"),
            ("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command"),
            ("CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command"),
        ]);
    });
}

#[test]
fn commands_on_the_connection_are_answered() {
    on_both(|server| {
        let mut client = server.client();
        client.script(&[
            ("PING", "+PONG"),
            ("PING hello", "$5 hello"),
            ("ECHO hello", "$5 hello"),
            ("SELECT 0", "+OK"),
            ("SELECT x", "-ERR value is not an integer or out of range"),
            ("CLIENT GETNAME", "$-1"),
            ("CLIENT SETNAME me", "+OK"),
            ("CLIENT GETNAME", "$2 me"),
            (
                "CLIENT SETNAME a\nb",
                "-ERR Client names cannot contain spaces, newlines or special characters.",
            ),
            (
                "AUTH secret",
                "-ERR AUTH <password> called without any password configured for the \
                default user. Are you sure your configuration is correct?",
            ),
            ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
            ("HELLO 4", "-NOPROTO unsupported protocol version"),
        ]);
        let hello = client.call("HELLO 2 SETNAME you");
        assert!(hello.starts_with("*14 $6 server $"), "{hello}");
        for part in ["$5 proto :2 $2 id :", "$4 role $6 master $7 modules *0"] {
            assert!(hello.contains(part), "{hello}");
        }
        client.script(&[("CLIENT GETNAME", "$3 you")]);
        let ids = [client.call("CLIENT ID"), server.client().call("CLIENT ID")];
        assert!(ids[0] != ids[1] && ids[0].starts_with(':'), "{ids:?}");
        assert!(client.call("INFO server").contains("redis_version:"));
        assert!(client.call("INFO").contains("# Server"));
        assert_eq!(client.call("INFO nothing"), "$0");
        client.script(&[("QUIT", "+OK")]);
        assert_eq!(client.rest(), "");
    });
}

#[test]
fn time_returns_the_time_of_the_machine() {
    on_both(|server| {
        let since_1970 = || {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.expect("after 1970").as_micros()
        };
        let before = since_1970();
        let reply = server.client().call("TIME");
        let parts: Vec<u128> = reply.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [seconds, micros] = parts[..] else { panic!("{reply}") };
        let time = seconds * 1_000_000 + micros;
        assert!(micros < 1_000_000 && before <= time && time <= since_1970(), "{reply}");
    });
}

#[test]
fn a_client_gives_the_password_first() {
    const NO_AUTH: &str = "-NOAUTH Authentication required.";
    const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
    on_both_with("secret", |server| {
        server.client().script(&[
            ("PING", NO_AUTH),
            ("LPUSH q a", NO_AUTH),
            ("LLEN", "-ERR wrong number of arguments for 'llen' command"),
            ("AUTH wrong", WRONG),
            ("AUTH secretsecret", WRONG),
            ("AUTH other secret", WRONG),
            ("LLEN q", NO_AUTH),
            ("AUTH secret", "+OK"),
            ("LPUSH q a", ":1"),
            ("AUTH wrong", WRONG),
            ("LLEN q", ":1"),
        ]);
        let mut client = server.client();
        assert!(client.call("HELLO 2").starts_with("-NOAUTH HELLO must be called with"));
        assert_eq!(client.call("HELLO 2 AUTH default wrong"), WRONG);
        assert!(client.call("HELLO 2 AUTH default secret SETNAME me").starts_with("*14 "));
        client.script(&[("CLIENT GETNAME", "$2 me"), ("LLEN q", ":1")]);
        server.client().script(&[("AUTH default secret", "+OK"), ("LLEN q", ":1")]);
    });
}

#[test]
fn without_a_password_the_default_user_may_give_any() {
    on_both(|server| {
        let mut client = server.client();
        client.script(&[("AUTH default any", "+OK"), ("PING", "+PONG")]);
        assert!(client.call("HELLO 2 AUTH default any").starts_with("*14 "));
    });
}

#[test]
fn lists_are_trimmed() {
    on_both(|server| {
        server.client().script(&[
            ("RPUSH q a b c d e f g", ":7"),
            ("LTRIM q 0 99", "+OK"),
            ("LTRIM q 1 -2", "+OK"),
            ("LRANGE q 0 -1", "*5 $1 b $1 c $1 d $1 e $1 f"),
            ("LTRIM q -3 2", "+OK"),
            ("LRANGE q 0 -1", "*1 $1 d"),
            ("LPUSH q x", ":2"),
            ("LTRIM q 0 0", "+OK"),
            ("LRANGE q 0 -1", "*1 $1 x"),
            ("LTRIM q 1 0", "+OK"),
            ("EXISTS q", ":0"),
            ("LTRIM none 0 1", "+OK"),
            ("INCR n", ":1"),
            ("LTRIM n 0 1", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("LTRIM q 0", "-ERR wrong number of arguments for 'ltrim' command"),
            ("LTRIM q x 1", "-ERR value is not an integer or out of range"),
        ]);
    });
}

#[test]
fn keys_expire() {
    on_both(|server| {
        let mut client = server.client();
        client.script(&[
            ("EXPIRE q 1", ":0"),
            ("RPUSH q a", ":1"),
            ("EXPIRE q 100", ":1"),
            ("RPUSH q b", ":2"),
            ("DEL q", ":1"),
            ("RPUSH gone a", ":1"),
            ("EXPIRE gone 0", ":1"),
            ("EXISTS gone", ":0"),
            ("INCR n", ":1"),
            ("EXPIRE n -1", ":1"),
            ("GET n", "$-1"),
            ("RPUSH again a", ":1"),
            ("EXPIRE again 1", ":1"),
            ("DEL again", ":1"),
            ("RPUSH again b", ":1"),
            ("EXPIRE q", "-ERR wrong number of arguments for 'expire' command"),
            ("EXPIRE q x", "-ERR value is not an integer or out of range"),
            ("EXPIRE q 1 NOW", "-ERR Unsupported option NOW"),
            ("EXPIRE q 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("RPUSH short a", ":1"),
            ("EXPIRE short 1", ":1"),
        ]);
        eventually("the end of a key", || (client.call("EXISTS short") == ":0").then_some(()));
        client.script(&[("LLEN short", ":0"), ("LRANGE again 0 -1", "*1 $1 b")]);
    });
}
