//! A reader against a server whose answers to pops are scripted.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::core::Address;

/// Time allowed for each test.
const LIMIT: Duration = Duration::from_secs(20);

/// Answer to one pop.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reply {
    /// This number of messages.
    Messages(usize),
    Error(&'static str),
    /// The connection is closed.
    Close,
}

type Script = Arc<Mutex<VecDeque<Reply>>>;

/// Starts a server with these answers; after the last one its list is empty.
async fn start(replies: impl IntoIterator<Item = Reply>) -> RedisList {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let script = Script::new(Mutex::new(replies.into_iter().collect()));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, Arc::clone(&script)));
        }
    });
    RedisList { address: Address::loopback("redis", port), key: "list".to_owned() }
}

async fn serve(client: TcpStream, script: Script) -> Option<()> {
    let mut client = BufReader::new(client);
    loop {
        let words = read_number(&mut client, b'*').await?;
        let name = read_word(&mut client).await?;
        for _ in 1..words {
            read_word(&mut client).await?;
        }
        let reply = if name == b"BLMPOP" {
            let next = script.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some(Reply::Messages(count)) => {
                    format!("*2\r\n$4\r\nlist\r\n*{count}\r\n{}", "$1\r\nm\r\n".repeat(count))
                }
                Some(Reply::Error(text)) => format!("-{text}\r\n"),
                Some(Reply::Close) => return None,
                None => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    "*-1\r\n".to_owned()
                }
            }
        } else {
            "+OK\r\n".to_owned()
        };
        client.write_all(reply.as_bytes()).await.ok()?;
    }
}

async fn read_number(client: &mut BufReader<TcpStream>, kind: u8) -> Option<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await.ok()?;
    assert_eq!(line.as_bytes().first().copied().unwrap_or(kind), kind, "{line}");
    line.get(1..)?.trim().parse().ok()
}

async fn read_word(client: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let len = read_number(client, b'$').await?;
    let mut word = vec![0; len + 2];
    client.read_exact(&mut word).await.ok()?;
    word.truncate(len);
    Some(word)
}

/// Takes until `enough` messages are there, and all that was asked for is answered. Returns their number.
async fn take_all(reader: &mut RedisReader, enough: usize) -> usize {
    let mut taken = 0;
    let take = async {
        while taken < enough {
            taken += reader.take(true).await.map_or(0, |batch| batch.len());
        }
        while let Some(batch) = reader.take(false).await {
            taken += batch.len();
        }
    };
    timeout(LIMIT, take).await.expect("all that was scripted comes");
    taken
}

#[tokio::test]
async fn an_error_answer_loses_none_of_the_answers_behind_it() {
    let messages = std::iter::repeat_n(Reply::Messages(64), 7);
    let refused = Reply::Error("ERR the proxy is tired");
    let list = start(std::iter::once(refused).chain(messages)).await;
    let counts = Arc::<ReadCounts>::default();
    let mut reader = RedisReader::open(&list, Batching::Ahead, Arc::clone(&counts)).await;
    let reader = reader.as_mut().expect("it answers");
    assert_eq!(take_all(reader, 7 * 64).await, 7 * 64);
    assert_eq!(reader.dialect, Dialect::Blmpop, "one refusal is no proof of an old server");
    assert_eq!((counts.asked.get(), counts.unaccounted.get()), (0, 0));
}

#[tokio::test]
async fn answers_that_a_cut_connection_held_are_counted() {
    let list = start([Reply::Messages(64), Reply::Close, Reply::Messages(3)]).await;
    let counts = Arc::<ReadCounts>::default();
    let mut reader = RedisReader::open(&list, Batching::Ahead, Arc::clone(&counts)).await;
    let reader = reader.as_mut().expect("it answers");
    assert_eq!(take_all(reader, 67).await, 67);
    // Of eight pops one was answered.
    assert_eq!((counts.asked.get(), counts.unaccounted.get()), (0, 7 * 64));
}

#[tokio::test]
async fn a_command_that_the_server_does_not_know_is_not_asked_for_again() {
    let unknown = Reply::Error("ERR unknown command 'BLMPOP', with args beginning with: '0.03'");
    let list = start(std::iter::repeat_n(unknown, AHEAD)).await;
    let counts = Arc::<ReadCounts>::default();
    let mut reader = RedisReader::open(&list, Batching::Ahead, Arc::clone(&counts)).await;
    let reader = reader.as_mut().expect("it answers");
    for _ in 0..AHEAD {
        let batch = timeout(LIMIT, reader.take(true)).await.expect("an answer");
        assert_eq!(batch.expect("it goes on").len(), 0);
    }
    assert_eq!(reader.dialect, Dialect::BrpopThenRpop);
    assert_eq!(counts.unaccounted.get(), 0);
}
