//! Hostile and broken clients harm only themselves.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::client::{QueueClient, words};
use super::{QueueServer, on_embedded_with};
use crate::support::{SOON, allow_open_files, skip};

const MEGABYTE: u64 = 1 << 20;

/// Resident memory of the server.
fn memory(server: &QueueServer) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/statm", server.process().pid()));
    let pages = text.expect("it runs").split(' ').nth(1).and_then(|word| word.parse::<u64>().ok());
    pages.expect("a number") * 4096
}

#[track_caller]
fn assert_serves(client: &mut QueueClient) {
    let begun = Instant::now();
    client.script(&[("RPUSH alive a", ":1"), ("LPOP alive", "$1 a")]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn an_incomplete_command_does_not_delay_others() {
    let server = QueueServer::embedded();
    let mut other = server.client();
    let mut halves = Vec::new();
    for half in ["*", "*2", "*2\r\n", "*2\r\n$5\r\nLPU", "*3\r\n$5\r\nLPUSH\r\n$1", "PIN"] {
        let mut client = server.client();
        client.send(half.as_bytes());
        assert_serves(&mut other);
        halves.push(client);
    }
    let mut last = halves.pop().expect("six of them");
    last.send(b"G\r\n");
    assert_eq!(last.shown(), "+PONG");
}

#[test]
fn a_claimed_length_allocates_no_memory() {
    let server = QueueServer::embedded();
    let before = memory(&server);
    let mut clients = Vec::new();
    for _ in 0..50 {
        for claim in ["*1048576\r\n", "*3\r\n$5\r\nLPUSH\r\n$60000000\r\nx"] {
            let mut client = server.client();
            client.send(claim.as_bytes());
            clients.push(client);
        }
    }
    assert_serves(&mut server.client());
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 20 * MEGABYTE, "{grown} bytes for claims");
}

#[test]
fn a_command_above_the_size_limit_is_refused() {
    let server = QueueServer::embedded();
    for (bytes, said) in [
        (&b"*3\r\n$5\r\nLPUSH\r\n$67108865\r\n"[..], "a command of more than 67108864 bytes"),
        (b"*1\r\n$9223372036854775807\r\n", "a command of more than 67108864 bytes"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\n$4\r\nPINGPONG", "a bulk string does not end where it says"),
        (b"*00000000000000000000000000000000000000000000001\r\n", "invalid multibulk length"),
        (b"LPUSH q \"a b\"\r\n", "quotes are not known"),
    ] {
        let mut client = server.client();
        client.send(bytes);
        let rest = client.rest();
        assert!(rest.starts_with("-ERR Protocol error: ") && rest.contains(said), "{rest}");
    }
    // Two strings that fit alone and not together.
    let mut client = server.client();
    let string = [b"$40000000\r\n", &vec![b'x'; 40_000_000][..], b"\r\n"].concat();
    client.send(b"*4\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n");
    client.send(&string);
    // It may be refused while it is being sent.
    let _ = client.stream().write_all(&string);
    assert!(client.rest().contains("more than 67108864 bytes"));
    assert_serves(&mut server.client());
}

#[test]
fn nested_arrays_are_refused() {
    let server = QueueServer::embedded();
    let client = server.client();
    let _ = client.stream().write_all(&b"*1\r\n".repeat(1_000_000));
    assert!(client.rest().contains("expected '$', got '*'"));
    assert_serves(&mut server.client());
}

#[test]
fn garbage_closes_at_most_its_own_connection() {
    let server = QueueServer::embedded();
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for _ in 0..300 {
        let client = server.client();
        let garbage: Vec<u8> = b"*1\r\n$"
            .iter()
            .copied()
            .take(usize::from(random()) % 6)
            .chain(std::iter::repeat_with(&mut random).take(500))
            .collect();
        let _ = client.stream().write_all(&garbage);
    }
    assert_serves(&mut server.client());
}

/// Commands whose replies are never read: the server stops reading them, and goes on with others.
#[test]
fn a_client_that_never_reads_is_slowed() {
    let server = QueueServer::embedded();
    let mut other = server.client();
    let value = "x".repeat(1_000);
    for _ in 0..1_000 {
        other.call(&format!("RPUSH big {value}"));
    }
    let before = memory(&server);
    let flood = words("LRANGE big 0 -1").repeat(1_000);
    let mut clients: Vec<TcpStream> = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(server.address).expect("it listens");
        stream.set_nonblocking(true).expect("a socket");
        let mut sent = 0;
        let end = Instant::now() + Duration::from_millis(500);
        while Instant::now() < end && sent < 64 << 20 {
            match stream.write(&flood) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(sent < 64 << 20, "it takes whatever is sent");
        clients.push(stream);
        assert_serves(&mut other);
    }
    let grown = memory(&server).saturating_sub(before);
    assert!(grown < 50 * MEGABYTE, "{grown} bytes for replies that are not read");
    // Who reads after all gets it.
    clients[0].set_nonblocking(false).expect("a socket");
    let mut begin = [0; 7];
    clients[0].read_exact(&mut begin).expect("replies are there");
    assert_eq!(&begin, b"*1000\r\n");
}

#[test]
fn a_busy_client_does_not_starve_others() {
    let server = QueueServer::embedded();
    let address = server.address;
    let busy = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("it listens");
        let reader = stream.try_clone().expect("a socket");
        let drain = std::thread::spawn(move || {
            let _ = std::io::copy(&mut &reader, &mut std::io::sink());
        });
        let batch = words("PING").repeat(5_000);
        let end = Instant::now() + Duration::from_secs(1);
        while Instant::now() < end {
            stream.write_all(&batch).expect("it is read");
        }
        let _ = stream.shutdown(std::net::Shutdown::Write);
        drain.join().expect("no panic");
    });
    let mut other = server.client();
    let mut calls = 0;
    while !busy.is_finished() {
        assert_serves(&mut other);
        calls += 1;
    }
    assert!(calls > 20, "{calls} calls beside a busy client");
}

#[test]
fn a_connection_above_the_limit_gets_an_error() {
    const MOST: usize = 10_000;
    if !allow_open_files(MOST as u64 + 200) {
        return skip("too few open files are allowed");
    }
    let server = QueueServer::embedded();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.process().pid()));
    let open: Option<usize> = limits.expect("it runs").lines().find_map(|line| {
        line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok()
    });
    if open.is_some_and(|open| open < MOST + 64) {
        return skip("the server may not open as many files");
    }
    let clients: Vec<_> = (0..MOST).map(|_| server.client()).collect();
    let before = memory(&server);
    assert_eq!(server.client().rest(), "-ERR max number of clients reached\r\n");
    assert!(before < 120 * MEGABYTE, "{before} bytes for silent connections");
    drop(clients);
    crate::support::eventually("room again", || {
        let mut client = server.client();
        // One that is refused may be closed before it says anything.
        let _ = client.stream().write_all(b"PING\r\n");
        (client.shown() == "+PONG").then_some(())
    });
}

#[test]
fn clients_without_the_password_keep_no_client_out() {
    const MOST: usize = 10_000;
    if !allow_open_files(MOST as u64 + 200) {
        return skip("too few open files are allowed");
    }
    on_embedded_with("secret", |server| {
        let mut first = server.client();
        first.script(&[("AUTH secret", "+OK")]);
        let strangers: Vec<_> =
            (0..MOST).map(|_| TcpStream::connect(server.address).expect("it listens")).collect();
        let mut another = server.client();
        another.script(&[("AUTH secret", "+OK"), ("PING", "+PONG")]);
        first.script(&[("PING", "+PONG")]);
        drop(strangers);
    });
}

#[test]
fn sigterm_stops_it_with_clients_connected() {
    let server = QueueServer::embedded();
    let mut waiting = server.client();
    waiting.send(&words("BLPOP q 0"));
    let mut idle = server.client();
    assert_eq!(idle.call("PING"), "+PONG");
    server.process().signal(Signal::TERM);
    assert_eq!((waiting.rest(), idle.rest()), (String::new(), String::new()));
}
