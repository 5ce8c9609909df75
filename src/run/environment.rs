//! The rig: everything behind the target that this run brought up, or was told of.

#[cfg(feature = "embedded")]
mod embedded;
#[cfg(not(feature = "embedded"))]
#[path = "environment/no_embedded.rs"]
mod embedded;
mod service;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::RunError;
use crate::config::plan::{Plan, Target};
use crate::config::settings::{Coupling, Stack};
use crate::core::Address;
use crate::host::resources::Component;
use crate::message::MAX_BODY;
use crate::pipeline::api::{self, ApiSettings};
use crate::pipeline::push::{self, PushSettings};
use crate::pipeline::servers::child::{Child, Launch};
use crate::pipeline::servers::spawned::{Spawned, are_installed, start_mosquitto, start_redis};
use crate::pipeline::servers::{mqtt, redis};
use crate::report::ServerKind;
use embedded::Server;
use service::{Service, listening_port, start_thread};

/// How api and push run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Services {
    /// As threads of this process: for tests and whoever has no binary at hand.
    #[default]
    InProcess,
    /// As child processes of this `loadgen` binary, one per component, as deployed.
    Children(PathBuf),
}

/// How long a service may take to come up.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// What stands behind the target.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) target: Url,
    pub(super) redis: Option<(ServerKind, Address)>,
    pub(super) mqtt: Option<(ServerKind, Address)>,
    /// The log server, where it is not the queue's Redis.
    log: Option<Address>,
    servers: Vec<Service>,
    services: Vec<Service>,
}

/// What brings up a server, or the one of the two that is not named: never a mixture.
fn provider(plan: &Plan) -> ServerKind {
    match plan.pipeline.stack {
        Stack::Spawned => ServerKind::Spawned,
        Stack::Embedded => ServerKind::Embedded,
        Stack::Auto => {
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
    /// Brings up what the plan needs: servers first, then the services on them.
    pub(super) async fn up(plan: &Plan, how: &Services) -> Result<Self, RunError> {
        let external = |address: &Address| (ServerKind::External, address.clone());
        let mut rig = Self {
            target: Url::parse("http://127.0.0.1/").expect("a constant"),
            redis: plan.pipeline.redis.as_ref().map(external),
            mqtt: plan.pipeline.mqtt.as_ref().map(external),
            log: plan.pipeline.log_server.clone(),
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
        let kind = provider(plan);
        let redis = self.queue(kind, how).await?;
        let mqtt = self.broker(kind, how).await?;
        let port = match how {
            Services::Children(program) => {
                self.start_children(plan, program, (&redis, &mqtt)).await?
            }
            Services::InProcess => self.start_threads(plan, (&redis, &mqtt)).await?,
        };
        self.target = Url::parse(&format!("http://127.0.0.1:{port}/")).expect("a constant shape");
        Ok(())
    }

    /// The Redis that was named, once it has answered; else one of our own.
    async fn queue(&mut self, kind: ServerKind, how: &Services) -> Result<Address, RunError> {
        if let Some((_, address)) = &self.redis {
            redis::connect(address, redis::Use::Commands).await?;
            return Ok(address.clone());
        }
        let address = match kind {
            ServerKind::Embedded => {
                let (port, server) = embedded::start(Server::Queue, how).await?;
                self.servers.push(server);
                Address::loopback("redis", port)
            }
            ServerKind::Spawned | ServerKind::External => self.keep(start_redis().await?),
        };
        self.redis = Some((kind, address.clone()));
        Ok(address)
    }

    /// The broker that was named, once it has answered; else one of our own.
    async fn broker(&mut self, kind: ServerKind, how: &Services) -> Result<Address, RunError> {
        if let Some((_, address)) = &self.mqtt {
            mqtt::connect(address, &mqtt::client_id("probe"), mqtt::ReceiptTimes::Read).await?;
            return Ok(address.clone());
        }
        let address = match kind {
            ServerKind::Embedded => {
                let (port, server) = embedded::start(Server::Broker, how).await?;
                self.servers.push(server);
                Address::loopback("mqtt", port)
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

    async fn start_children(
        &mut self,
        plan: &Plan,
        program: &std::path::Path,
        (redis, mqtt): (&Address, &Address),
    ) -> Result<u16, RunError> {
        let program = program.to_string_lossy();
        let secrets = vec![
            ("LOADGEN_REDIS", redis.secret_url().to_owned()),
            ("LOADGEN_MQTT", mqtt.secret_url().to_owned()),
            ("LOADGEN_LOG_SERVER", self.log.as_ref().unwrap_or(redis).secret_url().to_owned()),
        ];
        let launch = |name, args: Vec<String>| {
            let env = secrets.clone();
            Launch { name, program: &program, args, env, stdin: None }
        };
        let pipeline = &plan.pipeline;
        let flag = |name: &str, value: &dyn ToString| [name.to_owned(), value.to_string()];
        let mut common = flag("--queue", &pipeline.queue).to_vec();
        common.extend(flag("--sample", &pipeline.sample));
        if let Some(field) = plan.request.id_fields.custom() {
            common.extend(flag("--id-field", &field));
        }
        let mut args = vec!["api".to_owned()];
        args.extend(common.clone());
        args.extend(flag("--listen", &"127.0.0.1:0"));
        args.extend(flag("--max-body", &max_body(plan)));
        args.extend(flag("--threads", &pipeline.api_threads));
        let mut api = Child::start(launch("api", args)).await?;
        let port = api.expect_line(READY_TIMEOUT, listening_port).await?;
        self.services.push(Service::Child(api));

        let mut args = vec!["push".to_owned()];
        args.extend(common);
        args.extend(flag("--topic", &pipeline.topics[0]));
        args.extend(flag("--qos", &pipeline.qos));
        args.extend(flag("--workers", &pipeline.push_workers));
        args.extend(flag("--threads", &pipeline.push_threads));
        let coupling = match pipeline.coupling {
            Coupling::Channel => "channel",
            Coupling::Direct => "direct",
        };
        args.extend(flag("--coupling", &coupling));
        if let Some(limit) = pipeline.push_limit {
            args.extend(flag("--limit", &limit));
        }
        let mut push = Child::start(launch("push", args)).await?;
        push.expect_line(READY_TIMEOUT, |line| (line == "ready").then_some(())).await?;
        self.services.push(Service::Child(push));
        Ok(port)
    }

    async fn start_threads(
        &mut self,
        plan: &Plan,
        (redis, mqtt): (&Address, &Address),
    ) -> Result<u16, RunError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(RunError::Thread)?;
        let port = listener.local_addr().map_err(RunError::Thread)?.port();
        let settings = ApiSettings {
            log_server: self.log.as_ref().unwrap_or(redis).clone(),
            ..api_settings(plan, redis)
        };
        let api = start_thread("api", move |ready, shutdown| {
            api::run(listener, settings, Arc::default(), ready, shutdown)
        });
        self.services.push(api.await?);
        let settings = PushSettings {
            log_server: self.log.as_ref().unwrap_or(redis).clone(),
            ..push_settings(plan, redis, mqtt)
        };
        let push = start_thread("push", move |ready, shutdown| {
            push::run(settings, Arc::default(), ready, shutdown)
        });
        self.services.push(push.await?);
        Ok(port)
    }

    /// The Redis of the stamps and their time.
    pub(super) fn log_server(&self) -> Option<&Address> {
        self.log.as_ref().or(self.redis.as_ref().map(|(_, address)| address))
    }

    /// What to watch, beside the generator itself.
    pub(super) fn components(&self) -> Vec<Component> {
        self.services.iter().chain(&self.servers).map(Service::component).collect()
    }

    /// Children that ended although nobody asked them to, each as a sentence.
    pub(super) fn ended_components(&mut self) -> Vec<String> {
        let all = self.services.iter_mut().chain(&mut self.servers);
        let children = all.filter_map(|service| match service {
            Service::Child(child) => Some(child),
            Service::Thread { .. } => None,
        });
        children
            .filter_map(|child: &mut Child| {
                child.ended().map(|status| format!("{} ended: {status}", child.name()))
            })
            .collect()
    }

    /// Stops api and push: they finish what they hold and write their last stamps.
    pub(super) async fn stop_services(&mut self) {
        // The api first, so that push can still take what it accepted.
        for service in self.services.drain(..) {
            service.stop().await;
        }
    }

    /// Takes everything down.
    pub(super) async fn down(mut self) {
        self.stop_services().await;
        for server in self.servers.drain(..) {
            server.stop().await;
        }
    }
}

/// Our own api takes whatever the plan sends, and of what a script may send the most there is.
fn max_body(plan: &Plan) -> usize {
    if plan.script.is_some() {
        return MAX_BODY;
    }
    let longest = plan.request.requests.iter().map(|request| request.body.longest()).max();
    longest.unwrap_or(0).max(api::DEFAULT_MAX_BODY)
}

fn api_settings(plan: &Plan, redis: &Address) -> ApiSettings {
    ApiSettings {
        redis: redis.clone(),
        log_server: redis.clone(),
        queue: plan.pipeline.queue.clone(),
        max_queue: None,
        max_body: max_body(plan),
        threads: plan.pipeline.api_threads,
        sample: plan.pipeline.sample,
        id_fields: plan.request.id_fields.clone(),
    }
}

fn push_settings(plan: &Plan, redis: &Address, mqtt: &Address) -> PushSettings {
    PushSettings {
        redis: redis.clone(),
        mqtt: mqtt.clone(),
        log_server: redis.clone(),
        queue: plan.pipeline.queue.clone(),
        topic: plan.pipeline.topics[0].clone(),
        qos: plan.pipeline.qos,
        workers: plan.pipeline.push_workers,
        threads: plan.pipeline.push_threads,
        coupling: plan.pipeline.coupling,
        limit: plan.pipeline.push_limit,
        sample: plan.pipeline.sample,
        id_fields: plan.request.id_fields.clone(),
    }
}
