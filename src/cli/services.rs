//! `loadgen api`, `push` and `subscribe`: the services on their own.

use std::future::pending;
use std::io::Write as _;
use std::iter::once;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

use super::CommandOutcome;
use super::args::{ApiArgs, PushArgs, ServerWait, SubscribeArgs};
use super::signals::Signals;
use crate::core::Address;
use crate::core::units::format_count;
use crate::host::descriptors;
use crate::pipeline::api::{self, ApiCounts};
use crate::pipeline::push::{self, PushCounts};
use crate::pipeline::servers::StackError;
use crate::pipeline::settings::QueueSettings;
use crate::pipeline::start_wait::StartWait;
use crate::pipeline::subscribe::{self, SubscribeCounts};

/// Longest shutdown of a service after the first signal, even if a task hangs.
const LAST_MOMENT: Duration = Duration::from_millis(2_500);

impl ServerWait {
    /// Waits until the servers are up, if that is asked for. Returns true if a signal ended the wait.
    async fn is_ended_by(
        &self,
        signals: &mut Signals,
        servers: impl Iterator<Item = &Address>,
    ) -> anyhow::Result<bool> {
        let Some(limit) = self.wait_for.filter(|limit| !limit.is_zero()) else { return Ok(false) };
        let wait = StartWait::new(limit);
        let all_up = async {
            for address in servers {
                wait.until_server_up(address).await?;
            }
            Ok::<_, StackError>(())
        };
        tokio::select! {
            result = all_up => match result {
                Ok(()) => Ok(false),
                Err(error) => {
                    let seconds = limit.as_secs_f64();
                    Err(anyhow::anyhow!("{error} (waited {seconds}s for it: --wait-for)"))
                }
            },
            () = signals.next() => Ok(true),
        }
    }
}

pub(super) async fn api(args: ApiArgs) -> anyhow::Result<CommandOutcome> {
    let mut settings = args.settings;
    let QueueSettings { redis, log_server, .. } = &mut settings.queue;
    args.redis_access.apply(Some(redis), log_server.as_mut())?;
    descriptors::raise_limit();
    settings.access.check_address(settings.listen)?;
    let mut signals = Signals::new()?;
    let QueueSettings { redis, log_server, .. } = &settings.queue;
    // Before the port is open: a client that connects then would wait as well.
    if args.wait.is_ended_by(&mut signals, once(redis).chain(log_server)).await? {
        return Ok(CommandOutcome::Interrupted);
    }
    let listener = settings
        .bind()
        .with_context(|| format!("--listen {}: cannot listen there", settings.listen))?;
    let address = listener.local_addr()?;
    let counts = Arc::<ApiCounts>::default();
    let outcome = serve(signals, |shutdown| {
        let ready = move || say(&format!("listening on {address}"));
        api::run(listener, settings, Arc::clone(&counts), ready, shutdown)
    })
    .await?;
    log::info!("{}", summary_of_api(&counts));
    Ok(if counts.unanswered.get() > 0 { CommandOutcome::Failed } else { outcome })
}

/// The account of all requests that an API server has read, in one line.
fn summary_of_api(counts: &ApiCounts) -> String {
    format!(
        "{} accepted, {} malformed, {} unreadable, {} denied, {} refused with 503, {} without an answer",
        format_count(counts.accepted.get()),
        format_count(counts.malformed.get()),
        format_count(counts.unreadable.get()),
        format_count(counts.denied.get()),
        format_count(counts.unavailable.get()),
        format_count(counts.unanswered.get()),
    )
}

pub(super) async fn push(args: PushArgs) -> anyhow::Result<CommandOutcome> {
    let mut settings = args.settings;
    let QueueSettings { redis, log_server, .. } = &mut settings.queue;
    args.redis_access.apply(Some(redis), log_server.as_mut())?;
    args.mqtt_access.apply(&mut settings.broker.mqtt)?;
    settings.broker.check_topic()?;
    let mut signals = Signals::new()?;
    let QueueSettings { redis, log_server, .. } = &settings.queue;
    let servers = once(redis).chain(log_server).chain(once(&settings.broker.mqtt));
    if args.wait.is_ended_by(&mut signals, servers).await? {
        return Ok(CommandOutcome::Interrupted);
    }
    let counts = Arc::<PushCounts>::default();
    let shown = Arc::clone(&counts);
    let _metrics = args.metrics.serve(move |format| shown.metrics(format))?;
    let outcome = serve(signals, |shutdown| {
        push::run(settings, Arc::clone(&counts), || say("ready"), shutdown)
    })
    .await?;
    counts.settle();
    log::info!("{}", summary_of_push(&counts));
    Ok(if counts.lost.get() > 0 { CommandOutcome::Failed } else { outcome })
}

/// The account of all messages that a push server has taken, in one line.
fn summary_of_push(counts: &PushCounts) -> String {
    let unaccounted = match counts.unaccounted() {
        0 => "0 unaccounted".to_owned(),
        most => format!("up to {} unaccounted", format_count(most)),
    };
    format!(
        "{} popped, {} published, {} sent again, {} put back, {} lost, {} dead, {unaccounted}",
        format_count(counts.popped.get()),
        format_count(counts.publish.published.get()),
        format_count(counts.publish.resent.get()),
        format_count(counts.returned.get()),
        format_count(counts.lost.get()),
        format_count(counts.dead.get()),
    )
}

pub(super) async fn subscribe(args: SubscribeArgs) -> anyhow::Result<CommandOutcome> {
    let mut settings = args.settings;
    args.redis_access.apply(settings.redis.as_mut(), settings.log_server.as_mut())?;
    args.mqtt_access.apply(&mut settings.broker.mqtt)?;
    settings.broker.check_filters()?;
    let mut signals = Signals::new()?;
    let servers = once(&settings.broker.mqtt).chain(&settings.redis).chain(&settings.log_server);
    if args.wait.is_ended_by(&mut signals, servers).await? {
        return Ok(CommandOutcome::Interrupted);
    }
    let counts = Arc::<SubscribeCounts>::default();
    let shown = Arc::clone(&counts);
    let _metrics = args.metrics.serve(move |format| shown.metrics(format))?;
    serve(signals, |mut shutdown| async move {
        let (stop, must_stop) = watch::channel(false);
        let service = subscribe::run(settings, Arc::clone(&counts), || say("ready"), must_stop);
        let stop_at_end = async {
            tokio::select! {
                () = print_lines(&counts) => {}
                _ = shutdown.wait_for(|stop| *stop) => {}
            }
            let _ = stop.send(true);
            pending().await
        };
        tokio::select! {
            result = service => result,
            () = stop_at_end => Ok(()),
        }
    })
    .await
}

/// Runs a service until a signal, then gives it up to [`LAST_MOMENT`] to finish.
async fn serve<F, R>(mut signals: Signals, service: F) -> anyhow::Result<CommandOutcome>
where
    F: FnOnce(watch::Receiver<bool>) -> R,
    R: Future<Output = Result<(), StackError>>,
{
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
    Ok(CommandOutcome::Done)
}

/// Prints a line to stdout for the process that started the service. A closed stdout is ignored.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints one line per second until stdout is closed.
async fn print_lines(counts: &SubscribeCounts) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let mut last = 0;
    seconds.tick().await;
    loop {
        seconds.tick().await;
        let messages = counts.messages.get();
        let (bytes, without_id) = (counts.bytes.get(), counts.without_id.get());
        let line = format!(
            "{}/s, {messages} messages, {bytes} bytes, {without_id} without a MsgID",
            messages - last,
        );
        // Stdout may be a full pipe: only this task waits for it.
        let written =
            tokio::task::spawn_blocking(move || writeln!(std::io::stdout(), "{line}")).await;
        if !written.is_ok_and(|result| result.is_ok()) {
            return;
        }
        last = messages;
    }
}
