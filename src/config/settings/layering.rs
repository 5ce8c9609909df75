//! Layers of settings: the command line overrides the profile.

use super::Settings;

impl Settings {
    /// Returns these settings, completed by those of `base`.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        // Body settings are replaced together: a body of one kind overrides a body of another kind.
        let own_body = self.body.is_some() || self.body_file.is_some() || self.body_lines.is_some();
        let (body, body_file, body_lines) = if own_body {
            (self.body, self.body_file, self.body_lines)
        } else {
            (base.body, base.body_file, base.body_lines)
        };
        let (mix, mix_file) =
            if self.mix.is_empty() { (base.mix, base.mix_file) } else { (self.mix, self.mix_file) };
        Self {
            url: self.url.or(base.url),
            rate: self.rate.or(base.rate),
            connections: self.connections.or(base.connections),
            threads: self.threads.or(base.threads),
            duration: self.duration.or(base.duration),
            requests: self.requests.or(base.requests),
            arrivals: self.arrivals.or(base.arrivals),
            seed: self.seed.or(base.seed),
            tick: self.tick.or(base.tick),
            pacer: self.pacer.or(base.pacer),
            max_in_flight: self.max_in_flight.or(base.max_in_flight),
            warmup: self.warmup.or(base.warmup),
            drain: self.drain.or(base.drain),
            method: self.method.or(base.method),
            headers: own_or_base(self.headers, base.headers),
            body,
            body_file,
            body_lines,
            data: self.data.or(base.data),
            script: self.script.or(base.script),
            script_args: own_or_base(self.script_args, base.script_args),
            timeout: self.timeout.or(base.timeout),
            engine: self.engine.or(base.engine),
            id_field: self.id_field.or(base.id_field),
            first_id: self.first_id.or(base.first_id),
            insecure: self.insecure.or(base.insecure),
            cacert: self.cacert.or(base.cacert),
            cert: self.cert.or(base.cert),
            key: self.key.or(base.key),
            http2: self.http2.or(base.http2),
            streams: self.streams.or(base.streams),
            disable_keepalive: self.disable_keepalive.or(base.disable_keepalive),
            unix_socket: self.unix_socket.or(base.unix_socket),
            connect_to: own_or_base(self.connect_to, base.connect_to),
            proxy: self.proxy.or(base.proxy),
            redirects: self.redirects.or(base.redirects),
            node: self.node.or(base.node),
            stack: self.stack.or(base.stack),
            redis: self.redis.or(base.redis),
            log_server: self.log_server.or(base.log_server),
            mqtt: self.mqtt.or(base.mqtt),
            topics: own_or_base(self.topics, base.topics),
            show_payload: self.show_payload.or(base.show_payload),
            queue: self.queue.or(base.queue),
            sample: self.sample.or(base.sample),
            stages: own_or_base(self.stages, base.stages),
            api_threads: self.api_threads.or(base.api_threads),
            push_workers: self.push_workers.or(base.push_workers),
            push_threads: self.push_threads.or(base.push_threads),
            coupling: self.coupling.or(base.coupling),
            push_limit: self.push_limit.or(base.push_limit),
            qos: self.qos.or(base.qos),
            fail_if: own_or_base(self.fail_if, base.fail_if),
            mix,
            mix_file,
        }
    }
}

fn own_or_base(own: Vec<String>, base: Vec<String>) -> Vec<String> {
    if own.is_empty() { base } else { own }
}
