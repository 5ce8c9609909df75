//! `loadgen api`, `push` and `subscribe`: the services on their own.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

use super::args::{ApiArgs, BrokerArgs, MessageArgs, PushArgs, QueueArgs, SubscribeArgs};
use super::signals::Signals;
use super::{Outcome, logger};
use crate::config::plan::{check_filters, topic_to_publish};
use crate::core::Address;
use crate::core::units::format_count;
use crate::message::{Checkpoint, IdFields, MAX_BODY};
use crate::pipeline::api::{self, ApiSettings};
use crate::pipeline::metrics::Counter;
use crate::pipeline::push::{self, PushCounts, PushSettings};
use crate::pipeline::servers::StackError;
use crate::pipeline::stamps::{self, Stamper};
use crate::pipeline::subscriber::{
    self, ReceivedMessage, Sink, SubscribeCounts, SubscribeSettings,
};

/// Longest shutdown of a service after the first signal, even if a task hangs.
const LAST_MOMENT: Duration = Duration::from_millis(2_500);

pub(super) async fn api(args: ApiArgs) -> anyhow::Result<Outcome> {
    logger::install(log::LevelFilter::Info);
    let (redis, log_server) = queue_addresses(&args.queue)?;
    let listener = TcpListener::bind(args.listen)
        .with_context(|| format!("--listen {}: cannot listen there", args.listen))?;
    let address = listener.local_addr()?;
    let settings = ApiSettings {
        redis,
        log_server,
        queue: args.queue.queue,
        max_queue: args.max_queue,
        max_body: usize::try_from(args.max_body).unwrap_or(usize::MAX).min(MAX_BODY),
        threads: args.threads,
        sample: args.queue.message.sample,
        id_fields: id_fields(&args.queue.message),
    };
    serve(|shutdown| {
        let ready = move || say(&format!("listening on {address}"));
        api::run(listener, settings, Arc::default(), ready, shutdown)
    })
    .await
}

pub(super) async fn push(args: PushArgs) -> anyhow::Result<Outcome> {
    logger::install(log::LevelFilter::Info);
    let (redis, log_server) = queue_addresses(&args.queue)?;
    let topic = topic_to_publish(&args.broker.topics)?.to_owned();
    let settings = PushSettings {
        redis,
        mqtt: broker_address(&args.broker)?,
        log_server,
        queue: args.queue.queue,
        topic,
        qos: args.broker.qos,
        workers: args.workers,
        threads: args.threads.min(args.workers),
        coupling: args.coupling,
        limit: args.limit,
        sample: args.queue.message.sample,
        id_fields: id_fields(&args.queue.message),
    };
    let counts = Arc::<PushCounts>::default();
    let outcome =
        serve(|shutdown| push::run(settings, Arc::clone(&counts), || say("ready"), shutdown))
            .await?;
    let count = |counter: &Counter| format_count(counter.get());
    log::info!(
        "{} popped, {} published, {} sent again, {} put back, {} lost",
        count(&counts.popped),
        count(&counts.publish.published),
        count(&counts.publish.resent),
        count(&counts.returned),
        count(&counts.lost),
    );
    Ok(outcome)
}

pub(super) async fn subscribe(args: SubscribeArgs) -> anyhow::Result<Outcome> {
    logger::install(log::LevelFilter::Info);
    let sample = args.message.sample;
    let redis = args.redis.as_deref().map(|url| Address::parse("--redis", url)).transpose()?;
    let log_server = args.log_server.as_deref();
    let log_server = log_server.map(|url| Address::parse("--log-server", url)).transpose()?;
    let (stamper, writer) = match log_server.or(redis) {
        Some(address) => {
            let (stamper, writer) = stamps::start(&address, sample, "subscriber").await?;
            (Some(stamper), Some(writer))
        }
        None => (None, None),
    };
    check_filters(&args.broker.topics)?;
    let tally = Arc::<Tally>::default();
    let sink = Counting { tally: Arc::clone(&tally), id_fields: id_fields(&args.message), stamper };
    let settings = SubscribeSettings {
        mqtt: broker_address(&args.broker)?,
        topics: args.broker.topics,
        qos: args.broker.qos,
    };
    let counts = SubscribeCounts::default();
    let outcome = serve(|shutdown| async {
        let mut sink = sink;
        let receive = subscriber::run(settings, &counts, &mut sink, || say("ready"), shutdown);
        tokio::select! {
            result = receive => result,
            () = print_lines(&tally) => Ok(()),
        }
    })
    .await;
    if let Some(writer) = writer {
        let _ = writer.await;
    }
    outcome
}

/// Runs a service until a signal, then gives it up to [`LAST_MOMENT`] to finish.
async fn serve<F, R>(service: F) -> anyhow::Result<Outcome>
where
    F: FnOnce(watch::Receiver<bool>) -> R,
    R: Future<Output = Result<(), StackError>>,
{
    let mut signals = Signals::new()?;
    let (stop, shutdown) = watch::channel(false);
    let last_moment = async {
        signals.next().await;
        let _ = stop.send(true);
        tokio::time::sleep(LAST_MOMENT).await;
    };
    tokio::select! {
        result = service(shutdown) => result?,
        () = last_moment => log::warn!("stopped without finishing everything"),
    }
    Ok(Outcome::Done)
}

/// Prints a line to stdout for the process that started the service. A closed stdout is ignored.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn queue_addresses(args: &QueueArgs) -> anyhow::Result<(Address, Address)> {
    let redis = Address::parse("--redis", &args.redis)?;
    let log_server = match &args.log_server {
        Some(url) => Address::parse("--log-server", url)?,
        None => redis.clone(),
    };
    Ok((redis, log_server))
}

fn broker_address(args: &BrokerArgs) -> anyhow::Result<Address> {
    Ok(Address::parse("--mqtt", &args.mqtt)?)
}

fn id_fields(args: &MessageArgs) -> IdFields {
    args.id_field.as_deref().map_or_else(IdFields::default, IdFields::only)
}

/// Message counts of a subscriber.
#[derive(Debug, Default)]
struct Tally {
    messages: Counter,
    without_id: Counter,
    bytes: Counter,
}

struct Counting {
    tally: Arc<Tally>,
    id_fields: IdFields,
    stamper: Option<Stamper>,
}

impl Sink for Counting {
    fn message(&mut self, ReceivedMessage { payload, came, .. }: ReceivedMessage<'_>) {
        self.tally.messages.add(1);
        self.tally.bytes.add(payload.len() as u64);
        match (self.id_fields.extract(payload), &self.stamper) {
            (Ok(id), Some(stamper)) => stamper.stamp(Checkpoint::MqttClient, id, came.at),
            (Ok(_), None) => {}
            (Err(_), _) => self.tally.without_id.add(1),
        }
    }
}

/// Prints one line per second until stdout is closed.
async fn print_lines(tally: &Tally) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut last = 0;
    seconds.tick().await;
    loop {
        seconds.tick().await;
        let messages = tally.messages.get();
        let (bytes, without_id) = (tally.bytes.get(), tally.without_id.get());
        let line = format!(
            "{}/s, {messages} messages, {bytes} bytes, {without_id} without a MsgID",
            messages - last,
        );
        if writeln!(std::io::stdout(), "{line}").is_err() {
            return;
        }
        last = messages;
    }
}
