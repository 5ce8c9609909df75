//! The servers and services behind the target: those that this run starts, and those that the user names.

#[cfg(feature = "embedded")]
mod embedded;
#[cfg(not(feature = "embedded"))]
#[path = "environment/no_embedded.rs"]
mod embedded;
mod service;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::RunError;
use super::services::{EndedChild, Services};
use crate::config::plan::{Plan, Target};
use crate::config::settings::StackChoice;
use crate::core::Address;
use crate::host::resources::Component;
use crate::pipeline::api::{self, ApiSettings};
use crate::pipeline::push::{self, PushSettings};
use crate::pipeline::servers::child::{Child, Launch};
use crate::pipeline::servers::spawned::{Spawned, are_installed, start_mosquitto, start_redis};
use crate::pipeline::servers::{StackError, mqtt, redis};
use crate::pipeline::settings::{self, ServerAddresses};
use crate::report::ServerKind;
use service::{Service, listening_port, start_thread};

/// Role of an embedded server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerRole {
    Queue,
    Broker,
}

impl ServerRole {
    /// Name in the report, and of the subcommand of `loadgen embedded`.
    fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Broker => "broker",
        }
    }

    /// Scheme of its address.
    #[cfg(feature = "embedded")]
    fn scheme(self) -> &'static str {
        match self {
            Self::Queue => "redis",
            Self::Broker => "mqtt",
        }
    }

    /// User of its clients: Redis has one without a name.
    #[cfg(feature = "embedded")]
    fn user(self) -> &'static str {
        match self {
            Self::Queue => "",
            Self::Broker => "loadgen",
        }
    }
}

/// An embedded server of this run.
#[derive(Debug)]
struct RunServer {
    service: Service,
    /// Address with the password.
    address: Address,
}

/// Time allowed for the start of a service.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// The servers and services behind the target.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) target: Url,
    pub(super) redis: Option<(ServerKind, Address)>,
    pub(super) mqtt: Option<(ServerKind, Address)>,
    /// The log server, if it is not the queue's Redis.
    log: Option<Address>,
    /// Processes to measure that this run does not start.
    pub(super) processes: Vec<Component>,
    /// Messages in the queue of the user's Redis before the services of this run; `None` if it has none of its own.
    pub(super) queued_before: Option<u64>,
    servers: Vec<Service>,
    services: Vec<Service>,
}

/// Origin of the servers that the user does not name. If both are missing, both have the same origin.
fn origin_of_servers(plan: &Plan) -> ServerKind {
    match plan.pipeline.stack {
        StackChoice::Spawned => ServerKind::Spawned,
        StackChoice::Embedded => ServerKind::Embedded,
        StackChoice::Auto => {
            let (redis, broker) = (&plan.pipeline.redis, &plan.pipeline.mqtt);
            if are_installed(redis.is_none(), broker.is_none()) {
                ServerKind::Spawned
            } else {
                ServerKind::Embedded
            }
        }
    }
}

impl Environment {
    /// Starts the servers and services that the plan needs: servers first.
    pub(super) async fn up(plan: &Plan, how: &Services) -> Result<Self, RunError> {
        let mut rig = Self {
            target: Url::parse("http://127.0.0.1/").expect("a constant"),
            redis: plan.pipeline.redis.clone().map(|address| (ServerKind::External, address)),
            mqtt: plan.pipeline.mqtt.clone().map(|address| (ServerKind::External, address)),
            log: plan.pipeline.log_server.clone(),
            processes: Vec::new(),
            queued_before: None,
            servers: Vec::new(),
            services: Vec::new(),
        };
        match &plan.target {
            Target::Url(url) => rig.target = url.clone(),
            Target::Pipeline => rig.bring_up(plan, how).await?,
        }
        Ok(rig)
    }

    async fn bring_up(&mut self, plan: &Plan, how: &Services) -> Result<(), RunError> {
        let origin = origin_of_servers(plan);
        let redis = self.queue(origin, how).await?;
        let mqtt = self.broker(origin, how).await?;
        let addresses = ServerAddresses { redis, mqtt, log_server: self.log.clone() };
        let api = ApiSettings::of_run(plan, &addresses);
        let push = PushSettings::of_run(plan, &addresses);
        let port = match how {
            Services::Children(program) => self.start_children(&api, &push, program).await?,
            Services::InProcess => self.start_threads(api, push).await?,
        };
        self.target = Url::parse(&format!("http://127.0.0.1:{port}/")).expect("a constant shape");
        Ok(())
    }

    /// Returns the Redis that the user names, once it has answered; otherwise starts one.
    async fn queue(&mut self, kind: ServerKind, how: &Services) -> Result<Address, RunError> {
        if let Some((_, address)) = &self.redis {
            redis::connect(address, redis::Use::Commands).await?;
            return Ok(address.clone());
        }
        let address = match kind {
            ServerKind::Embedded => {
                self.keep_embedded(embedded::start(ServerRole::Queue, how).await?)
            }
            ServerKind::Spawned | ServerKind::External => self.keep(start_redis().await?),
        };
        self.redis = Some((kind, address.clone()));
        Ok(address)
    }

    /// Returns the broker that the user names, once it has answered; otherwise starts one.
    async fn broker(&mut self, kind: ServerKind, how: &Services) -> Result<Address, RunError> {
        if let Some((_, address)) = &self.mqtt {
            mqtt::connect(address, &mqtt::client_id("probe"), mqtt::ReceiptTimes::Read).await?;
            return Ok(address.clone());
        }
        let address = match kind {
            ServerKind::Embedded => {
                self.keep_embedded(embedded::start(ServerRole::Broker, how).await?)
            }
            ServerKind::Spawned | ServerKind::External => self.keep(start_mosquitto().await?),
        };
        self.mqtt = Some((kind, address.clone()));
        Ok(address)
    }

    fn keep(&mut self, spawned: Spawned) -> Address {
        self.servers.push(Service::Child(spawned.child));
        spawned.address
    }

    fn keep_embedded(&mut self, server: RunServer) -> Address {
        self.servers.push(server.service);
        server.address
    }

    /// Starts api and push as children of `program`. Returns the port of the api.
    async fn start_children(
        &mut self,
        api: &ApiSettings,
        push: &PushSettings,
        program: &Path,
    ) -> Result<u16, RunError> {
        let mut child = start_service(program, "api", settings::flags(api), api.secrets()).await?;
        let port = child.expect_line(READY_TIMEOUT, listening_port).await?;
        self.services.push(Service::Child(child));
        let flags = settings::flags(push);
        let mut child = start_service(program, "push", flags, push.secrets()).await?;
        child.expect_line(READY_TIMEOUT, |line| (line == "ready").then_some(())).await?;
        self.services.push(Service::Child(child));
        Ok(port)
    }

    /// Starts api and push as threads. Returns the port of the api.
    async fn start_threads(
        &mut self,
        api: ApiSettings,
        push: PushSettings,
    ) -> Result<u16, RunError> {
        let listener = api.bind().map_err(RunError::Thread)?;
        let port = listener.local_addr().map_err(RunError::Thread)?.port();
        let api = start_thread("api", move |ready, shutdown| {
            api::run(listener, api, Arc::default(), ready, shutdown)
        });
        self.services.push(api.await?);
        let push = start_thread("push", move |ready, shutdown| {
            push::run(push, Arc::default(), ready, shutdown)
        });
        self.services.push(push.await?);
        Ok(port)
    }

    /// The Redis of the stamps and their time.
    pub(super) fn log_server(&self) -> Option<&Address> {
        self.log.as_ref().or(self.redis.as_ref().map(|(_, address)| address))
    }

    /// Components to measure, besides the generator.
    pub(super) fn components(&self) -> Vec<Component> {
        self.services.iter().chain(&self.servers).map(Service::component).collect()
    }

    /// Children that ended by themselves.
    pub(super) fn ended_children(&mut self) -> Vec<EndedChild> {
        let mut ended = Vec::new();
        for service in self.services.iter_mut().chain(&mut self.servers) {
            if let Service::Child(child) = service
                && let Some(status) = child.ended()
            {
                ended.push(EndedChild { name: child.name().to_owned(), status });
            }
        }
        ended
    }

    /// Stops api and push. They finish what they hold and write their last stamps.
    pub(super) async fn stop_services(&mut self) {
        // The api first, so that push still takes the messages that it accepted.
        for service in self.services.drain(..) {
            service.stop().await;
        }
    }

    /// Stops the services and servers that this run started.
    pub(super) async fn down(mut self) {
        self.stop_services().await;
        for server in self.servers.drain(..) {
            server.stop().await;
        }
    }
}

/// Starts a service as a child process of `program`, which is this binary.
async fn start_service(
    program: &Path,
    name: &str,
    flags: Vec<String>,
    env: Vec<(&'static str, String)>,
) -> Result<Child, StackError> {
    let mut args = vec![name.to_owned()];
    args.extend(flags);
    let program = &program.to_string_lossy();
    Child::start(Launch { name, program, args, env, stdin: None }).await
}
