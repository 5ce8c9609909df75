//! The protocol: pieces, batches, inline commands, and input that is not a command.

use std::time::Duration;

use super::client::{encode, words};
use super::on_both;

#[test]
fn a_batch_is_answered_in_order() {
    on_both(|server| {
        let mut client = server.client();
        let commands: Vec<_> = (0..5_000).flat_map(|n| words(&format!("RPUSH q {n}"))).collect();
        client.send(&commands);
        for n in 1..=5_000 {
            assert_eq!(client.shown(), format!(":{n}"));
        }
        let commands: Vec<_> = (0..5_000).flat_map(|_| words("LPOP q")).collect();
        client.send(&commands);
        for n in 0..5_000 {
            assert_eq!(client.reply(), format!("${}\r\n{n}\r\n", n.to_string().len()).as_bytes());
        }
    });
}

#[test]
fn commands_may_be_split_anywhere() {
    on_both(|server| {
        let all: Vec<_> = ["RPUSH q a bc", "*0", "BLMPOP 1 1 q LEFT COUNT 10", "INCRBY n -12"]
            .map(|text| if text == "*0" { b"*0\r\n".to_vec() } else { words(text) })
            .concat();
        let all = [&all[..], b"PING\r\n\r\nDEL n q\n"].concat();
        let expected = [":2", "*2 $1 q *2 $1 a $2 bc", ":-12", "+PONG", ":1"];
        let mut client = server.client();
        for cut in 1..all.len() {
            let (head, tail) = all.split_at(cut);
            client.send(head);
            // Long enough to be two reads most of the time.
            std::thread::sleep(Duration::from_micros(300));
            client.send(tail);
            for reply in expected {
                assert_eq!(client.shown(), reply, "{} cut at {cut}", server.name);
            }
        }
        for byte in &all {
            client.send(&[*byte]);
        }
        for reply in expected {
            assert_eq!(client.shown(), reply, "{} byte by byte", server.name);
        }
    });
}

#[test]
fn payloads_may_be_any_bytes_of_any_length() {
    on_both(|server| {
        let mut client = server.client();
        let all_bytes: Vec<u8> = (0..=255).collect();
        let large = b"0123456789".repeat(600_000);
        for payload in [&b""[..], b"\r\n", b"$3\r\nabc\r\n", &all_bytes, &large] {
            client.send(&encode(&[b"LPUSH", payload, payload]));
            assert_eq!(client.shown(), ":1");
            client.send(&encode(&[b"BRPOP", payload, b"0"]));
            let expected = [b"*2\r\n", &encode(&[payload, payload])[4..]].concat();
            assert!(client.reply() == expected, "{}: {} bytes", server.name, payload.len());
        }
        let elements: Vec<Vec<u8>> = (0..100_000).map(|n| format!("{n}").into_bytes()).collect();
        let command = [vec![b"RPUSH".to_vec(), b"q".to_vec()], elements.clone()].concat();
        client.send(&encode(&command));
        assert_eq!(client.shown(), ":100000");
        client.send(&words("LRANGE q 0 -1"));
        assert!(client.reply() == encode(&elements));
    });
}

#[test]
fn inline_commands_are_accepted() {
    on_both(|server| {
        let mut client = server.client();
        client.send(b"  RPUSH\tq  a \r\n\r\n   \nLLEN q\nlpop q\r\n*-1\r\n*-10\r\nPING\n");
        for expected in [":1", ":1", "$1 a", "+PONG"] {
            assert_eq!(client.shown(), expected, "{}", server.name);
        }
        client.expect_silence();
    });
}

#[test]
fn invalid_commands_close_only_their_connection() {
    on_both(|server| {
        let mut bystander = server.client();
        for (bytes, expected) in [
            (&b"*x\r\n"[..], "invalid multibulk length"),
            (b"*99999999999999999999\r\n", "invalid multibulk length"),
            (b"*4294967296\r\n", "invalid multibulk length"),
            (b"*1\r\n:5\r\n", "expected '$', got ':'"),
            (b"*2\r\n*1\r\n$1\r\na\r\n", "expected '$', got '*'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$x\r\n", "invalid bulk length"),
            (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
            (&[b'a'; 70_000], "too big inline request"),
        ] {
            let mut client = server.client();
            client.send(&words("PING"));
            client.send(bytes);
            let said = client.rest();
            let expected = format!("+PONG\r\n-ERR Protocol error: {expected}\r\n");
            assert_eq!(said, expected, "{}: {:?}", server.name, bytes.get(..30));
            assert_eq!(bystander.call("PING"), "+PONG");
        }
        // A web page that tries loopback ports: its body must not be taken for commands.
        let mut page = server.client();
        page.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nRPUSH q a\r\n");
        page.rest();
        assert_eq!(bystander.call("LLEN q"), ":0");
    });
}
