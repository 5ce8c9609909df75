//! A queue in memory: api and push run on it as they do on the Redis list.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::*;
use crate::config::plan::Plan;
use crate::config::settings::Settings;
use crate::core::Address;
use crate::message::IdFields;
use crate::pipeline::api::{self, ApiCounts, ApiSettings, Lane};
use crate::pipeline::arrivals::{ArrivalSink, ArrivalSource as _, MqttSource, ReceivedMessage};
use crate::pipeline::push::{self, PushCounts, PushSettings};
use crate::pipeline::servers::embedded::broker;
use crate::pipeline::settings::{BrokerSettings, ServerAddresses};
use crate::pipeline::stamps::Stamper;

/// Time allowed for each step of the test.
const LIMIT: Duration = Duration::from_secs(10);
/// Time that a reader waits for a message.
const PATIENCE: Duration = Duration::from_millis(5);

#[derive(Clone, Default)]
struct MemoryQueue(Arc<Mutex<VecDeque<Bytes>>>);

impl MemoryQueue {
    fn messages(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle that takes at most `most` messages at once.
struct MemoryReader {
    queue: MemoryQueue,
    most: usize,
}

impl Queue for MemoryQueue {
    type Writer = Self;
    type Reader = MemoryReader;

    async fn open_writer(&self) -> Result<Self, StackError> {
        Ok(self.clone())
    }

    async fn open_reader(
        &self,
        batching: Batching,
        _: Arc<ReadCounts>,
    ) -> Result<MemoryReader, StackError> {
        let most = match batching {
            Batching::Ahead => usize::MAX,
            Batching::OnDemand(most) => most,
        };
        Ok(MemoryReader { queue: self.clone(), most })
    }

    async fn set_aside(&self, messages: &[Bytes]) -> Result<usize, StackError> {
        Ok(messages.len())
    }

    async fn clear(&self) -> Result<(), StackError> {
        self.messages().clear();
        Ok(())
    }
}

impl QueueWriter for MemoryQueue {
    async fn push<M: AsRef<[u8]> + Sync>(&mut self, messages: &[M]) -> Result<u64, QueueAway> {
        let mut queued = self.messages();
        queued.extend(messages.iter().map(|message| Bytes::copy_from_slice(message.as_ref())));
        Ok(queued.len() as u64)
    }

    async fn length(&mut self) -> Result<u64, QueueAway> {
        Ok(self.messages().len() as u64)
    }

    async fn check_write(&mut self) -> Result<(), NotReady> {
        Ok(())
    }
}

impl QueueReader for MemoryReader {
    async fn take(&mut self, more: bool) -> Option<Vec<Bytes>> {
        if !more {
            return None;
        }
        if self.queue.messages().is_empty() {
            tokio::time::sleep(PATIENCE).await;
        }
        let mut messages = self.queue.messages();
        let count = self.most.min(messages.len());
        Some(messages.drain(..count).collect())
    }

    async fn give_back(&mut self, messages: &[Bytes]) -> GivenBack {
        messages.iter().rev().for_each(|message| self.queue.messages().push_front(message.clone()));
        GivenBack::Yes
    }
}

/// A plan, and servers of which only the broker is there.
fn plan_and_servers(mqtt: Address) -> (Plan, ServerAddresses) {
    let plan = Plan::new(Settings::default()).expect("the defaults");
    (plan, ServerAddresses { redis: Address::loopback("redis", 1), mqtt, log_server: None })
}

/// Starts an api on the queue and returns its address.
async fn start_api(
    queue: &MemoryQueue,
    max_queue: Option<u64>,
    shutdown: watch::Receiver<bool>,
) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let (plan, servers) = plan_and_servers(Address::loopback("mqtt", 1));
    let settings = ApiSettings { max_queue, threads: 2, ..ApiSettings::of_run(&plan, &servers) };
    let lane = Lane {
        queue: queue.clone(),
        id_fields: IdFields::default(),
        settings: Arc::new(settings),
        counts: Arc::<ApiCounts>::default(),
        access: Arc::default(),
        stamper: Stamper::new(1).0,
        shutdown,
    };
    let (up, mut is_up) = mpsc::channel(1);
    tokio::spawn(api::serve_lanes(listener, lane, move || _ = up.try_send(())));
    timeout(LIMIT, is_up.recv()).await.expect("in time").expect("the api is up");
    address
}

/// Sends one message to the api and returns the status of its answer.
async fn post(address: std::net::SocketAddr, id: u64) -> String {
    let body = format!(r#"{{"MsgID":{id}}}"#);
    let request = format!(
        "POST / HTTP/1.1\r\nhost: api\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(address).await.expect("the api listens");
    socket.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = String::new();
    let read = timeout(LIMIT, socket.read_to_string(&mut answer)).await;
    read.expect("in time").expect("reads");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Sends each payload on.
struct Payloads(mpsc::UnboundedSender<Vec<u8>>);

impl ArrivalSink for Payloads {
    fn message(&mut self, message: ReceivedMessage<'_>) {
        let _ = self.0.send(message.payload.to_vec());
    }
}

/// Starts a broker with a subscriber. Returns its address and the payloads that arrive.
async fn start_broker(
    shutdown: &watch::Receiver<bool>,
) -> (Address, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let stop = shutdown.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(broker::run(listener, None, stop))
    });
    let mqtt = Address::loopback("mqtt", port);
    let settings =
        BrokerSettings { mqtt: mqtt.clone(), topics: vec!["/channel".to_owned()], qos: 0 };
    let (payloads, arrived) = mpsc::unbounded_channel();
    let (up, mut is_up) = mpsc::channel(1);
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        let ready = move || _ = up.try_send(());
        MqttSource::new(settings).run(&mut Payloads(payloads), ready, shutdown).await
    });
    timeout(LIMIT, is_up.recv()).await.expect("in time").expect("the subscriber is up");
    (mqtt, arrived)
}

#[tokio::test]
async fn messages_go_through_api_and_push_over_a_queue_in_memory() {
    let (_stop, shutdown) = watch::channel(false);
    let queue = MemoryQueue::default();
    let api = start_api(&queue, None, shutdown.clone()).await;
    for id in [100, 200, 300] {
        assert_eq!(post(api, id).await, "200");
    }
    assert_eq!(queue.messages().len(), 3);

    let (mqtt, mut arrived) = start_broker(&shutdown).await;
    let (plan, servers) = plan_and_servers(mqtt);
    let counts = Arc::<PushCounts>::default();
    let shared = push::PushParts {
        queue: queue.clone(),
        id_fields: IdFields::default(),
        settings: Arc::new(PushSettings::of_run(&plan, &servers)),
        counts: Arc::clone(&counts),
        stamper: Stamper::new(1).0,
    };
    tokio::spawn(push::run_workers(shared, || {}, shutdown));
    for id in [100, 200, 300] {
        let payload = timeout(LIMIT, arrived.recv()).await.expect("in time");
        assert_eq!(payload, Some(format!(r#"{{"MsgID":{id}}}"#).into_bytes()));
    }
    assert_eq!((counts.popped.get(), queue.messages().len()), (3, 0));
}

#[tokio::test]
async fn the_api_refuses_messages_while_any_queue_is_full() {
    let (_stop, shutdown) = watch::channel(false);
    let queue = MemoryQueue::default();
    let api = start_api(&queue, Some(2), shutdown).await;
    let mut statuses = Vec::new();
    for id in 1..=8 {
        statuses.push(post(api, id * 100).await);
    }
    assert_eq!(statuses.last().map(String::as_str), Some("503"));
    queue.clear().await.expect("it is in memory");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(post(api, 900).await, "200");
}

#[tokio::test]
async fn messages_that_are_given_back_are_the_next_ones() {
    let mut queue = MemoryQueue::default();
    queue.push(&["a", "b", "c"]).await.expect("it is in memory");
    let mut reader =
        queue.open_reader(Batching::OnDemand(2), Arc::default()).await.expect("it is in memory");
    let taken = reader.take(true).await.expect("messages");
    assert_eq!(taken, ["a", "b"]);
    assert_eq!(reader.give_back(&taken).await, GivenBack::Yes);
    assert_eq!(reader.take(true).await.expect("messages"), ["a", "b"]);
    assert_eq!(queue.length().await, Ok(1));
    assert_eq!(reader.take(false).await, None);
}
