//! The command that repeats a run: its settings as flags, wherever they came from (flags, the
//! environment, a profile), and without secrets, as reports are shown around.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::config::settings::{NodeShare, Settings};
use crate::core::secrets::{mask_arguments, mask_body, mask_header, mask_url};
use crate::core::units::format_duration;

/// Flags that need no value.
const SWITCHES: [&str; 4] = ["insecure", "http2", "disable-keepalive", "show-payload"];
/// Key of a profile's request, which has no flag.
const REQUEST: &str = "request";
/// Key of the arguments of a script. They have no flag and come last, after `--`.
const SCRIPT_ARGS: &str = "script-args";

/// Returns the given settings by the long names of their flags, without secrets. The URL has no flag and
/// comes first, as `url`. The names of a profile's requests come last, as `request`.
pub fn flags(settings: &Settings) -> Vec<(&'static str, String)> {
    // Lists every field, so that a new setting does not compile until it is handled here.
    let Settings {
        url,
        rate,
        connections,
        threads,
        duration,
        requests,
        arrivals,
        seed,
        tick,
        pacer,
        max_in_flight,
        warmup,
        drain,
        method,
        headers,
        body,
        body_file,
        body_lines,
        data,
        script,
        script_args,
        timeout,
        engine,
        id_field,
        first_id,
        insecure,
        cacert,
        cert,
        key,
        http2,
        streams,
        disable_keepalive,
        unix_socket,
        connect_to,
        proxy,
        redirects,
        node,
        stack: _,
        redis: _,
        log_server: _,
        mqtt: _,
        topics: _,
        show_payload: _,
        queue: _,
        sample: _,
        stages: _,
        api_threads: _,
        push_workers: _,
        push_threads: _,
        coupling: _,
        push_limit: _,
        qos: _,
        fail_if,
        mix,
        mix_file: _,
    } = settings;
    let mut flags = Vec::new();
    let mut add = |name, value: Option<String>| flags.extend(value.map(|value| (name, value)));
    let number = |value: &Option<u64>| value.map(|n| n.to_string());
    let file = |file: &PathBuf| file.display().to_string();
    add("url", url.as_deref().map(mask_url));
    add("rate", rate.map(|rate| rate.to_string()));
    add("connections", number(connections));
    add("threads", number(threads));
    add("duration", duration.map(format_duration));
    add("requests", number(requests));
    add("arrivals", word(arrivals.as_ref()));
    add("seed", number(seed));
    add("tick", tick.map(format_duration));
    add("pacer", word(pacer.as_ref()));
    add("max-in-flight", number(max_in_flight));
    add("warmup", warmup.map(format_duration));
    add("drain", drain.map(format_duration));
    add("method", method.clone());
    headers.iter().for_each(|header| add("header", Some(mask_header(header))));
    add("body", body.as_deref().map(mask_body));
    add("body-file", body_file.as_ref().map(file));
    add("body-lines", body_lines.as_ref().map(file));
    add("data", data.as_ref().map(file));
    add("script", script.as_ref().map(file));
    add("timeout", timeout.map(format_duration));
    add("engine", word(engine.as_ref()));
    add("id-field", id_field.clone());
    add("first-id", number(first_id));
    add("insecure", insecure.map(|is| is.to_string()));
    add("cacert", cacert.as_ref().map(file));
    add("cert", cert.as_ref().map(file));
    add("key", key.as_ref().map(file));
    add("http2", http2.map(|is| is.to_string()));
    add("streams", number(streams));
    add("disable-keepalive", disable_keepalive.map(|is| is.to_string()));
    add("unix-socket", unix_socket.as_ref().map(file));
    connect_to.iter().for_each(|rule| add("connect-to", Some(rule.clone())));
    add("proxy", proxy.as_deref().map(mask_url));
    add("redirects", number(redirects));
    add("node", node.map(|NodeShare { index, count }| format!("{index}/{count}")));
    flags.extend(pipeline_flags(settings));
    let mut add = |name, value: Option<String>| flags.extend(value.map(|value| (name, value)));
    fail_if.iter().for_each(|expr| add("fail-if", Some(expr.clone())));
    mask_arguments(script_args).into_iter().for_each(|arg| add(SCRIPT_ARGS, Some(arg)));
    mix.iter().for_each(|request| add(REQUEST, Some(request.name.clone())));
    flags
}

/// The flags of the pipeline behind the target.
fn pipeline_flags(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut flags = Vec::new();
    let mut add = |name, value: Option<String>| flags.extend(value.map(|value| (name, value)));
    add("stack", word(settings.stack.as_ref()));
    add("redis", settings.redis.as_deref().map(mask_url));
    add("log-server", settings.log_server.as_deref().map(mask_url));
    add("mqtt", settings.mqtt.as_deref().map(mask_url));
    settings.topics.iter().for_each(|topic| add("topic", Some(topic.clone())));
    add("show-payload", settings.show_payload.map(|is| is.to_string()));
    add("queue", settings.queue.clone());
    add("sample", settings.sample.map(|n| n.to_string()));
    add("stages", (!settings.stages.is_empty()).then(|| settings.stages.join(",")));
    add("api-threads", settings.api_threads.map(|n| n.to_string()));
    add("push-workers", settings.push_workers.map(|n| n.to_string()));
    add("push-threads", settings.push_threads.map(|n| n.to_string()));
    add("coupling", word(settings.coupling.as_ref()));
    add("push-limit", settings.push_limit.map(|limit| limit.to_string()));
    add("qos", settings.qos.map(|qos| qos.to_string()));
    flags
}

/// Returns the command in shell syntax. Requests of a profile are not part of it: the command names the
/// profile, or names the requests in a comment if they belong to a ramp.
pub(super) fn command(settings: &Settings) -> String {
    let mut line = "loadgen".to_owned();
    if let Some(path) = settings.mix_file.as_ref().filter(|_| !settings.mix.is_empty()) {
        line += &format!(" --profile {}", quoted(&path.display().to_string()));
    }
    line += &words(settings);
    let names: Vec<_> = settings.mix.iter().map(|request| request.name.as_str()).collect();
    if settings.mix_file.is_none() && !names.is_empty() {
        line += &format!(" # and the [[request]] tables of its profile: {}", names.join(", "));
    }
    line
}

/// Returns the settings that have a flag in shell syntax, each after a space.
pub fn words(settings: &Settings) -> String {
    let mut words = String::new();
    let mut args = String::new();
    for (name, value) in flags(settings) {
        let word = quoted(&value);
        words += &match (name, value.as_str()) {
            (REQUEST, _) => continue,
            (SCRIPT_ARGS, _) => {
                args += &format!(" {word}");
                continue;
            }
            ("url", _) => format!(" {word}"),
            (switch, "true") if SWITCHES.contains(&switch) => format!(" --{switch}"),
            // The value of a switch needs `=`: otherwise it would be read as the URL.
            (switch, _) if SWITCHES.contains(&switch) => format!(" --{switch}={value}"),
            _ => format!(" --{name} {word}"),
        };
    }
    if args.is_empty() { words } else { format!("{words} --{args}") }
}

/// Quotes a word so that a shell takes it literally.
pub fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn word(value: Option<&impl ValueEnum>) -> Option<String> {
    Some(value?.to_possible_value()?.get_name().to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        settings: Settings,
    }

    fn read(words: &[&str]) -> Settings {
        let words = std::iter::once("loadgen").chain(words.iter().copied());
        CommandLine::try_parse_from(words).expect("a valid line").settings
    }

    #[test]
    fn the_command_is_read_back_as_the_same_settings() {
        let settings = read(&[
            "http://127.0.0.1:8080/a%20b?c=d",
            "--rate=1.5k",
            "--connections=64",
            "--threads=2",
            "--duration=1m30s",
            "--requests=5",
            "--arrivals=poisson",
            "--seed=7",
            "--tick=200us",
            "--pacer=timer",
            "--max-in-flight=10k",
            "--warmup=0",
            "--drain=500ms",
            "--method=PUT",
            "--header=Content-Type: text/plain",
            "--header=Accept: */*",
            "--body=it's {{msg_id}}",
            "--timeout=0.25",
            "--engine=raw",
            "--id-field=id",
            "--first-id=1000",
            "-k",
            "--cacert=/a b.pem",
            "--cert=c.pem",
            "--key=k.pem",
            "--http2",
            "--streams=10",
            "--disable-keepalive=false",
            "--unix-socket=/run/s",
            "--connect-to=a:1:[::1]:2",
            "--connect-to=:::3",
            "--proxy=http://p:1/",
            "--redirects=2",
            "--node=1/4",
            "--stack=spawned",
            "--redis=redis://h:1/2",
            "--log-server=rediss://l:3",
            "--mqtt=mqtts://h",
            "--topic=/a b",
            "--queue=q",
            "--sample=10",
            "--stages=api-arrived,sent-arrived",
            "--api-threads=1",
            "--push-workers=2",
            "--push-threads=2",
            "--coupling=direct",
            "--push-limit=10k",
            "--qos=1",
            "--fail-if=arrival.p99>5ms",
            "--fail-if=messages.lost>0",
            "--script=/a b.lua",
            "--",
            "-x",
            "it's",
        ]);
        let command = command(&settings);
        // Let a real shell split the words.
        let words = std::process::Command::new("sh")
            .args(["-c", &format!("printf '%s\\n' {}", command.trim_start_matches("loadgen "))])
            .output()
            .expect("a shell");
        let words = String::from_utf8(words.stdout).expect("text");
        assert_eq!(read(&words.lines().collect::<Vec<_>>()), settings, "{command}");
        for flag in ["--body-file", "--body-lines"] {
            let words = [flag, "/a/b", "--data", "/a b.csv"];
            let command = super::command(&read(&words));
            assert_eq!(command, format!("loadgen {flag} /a/b --data '/a b.csv'"));
        }
    }

    #[test]
    fn requests_of_a_profile_are_left_to_it() {
        let text = "rate = 5\n[[request]]\nname = 'a'\n[[request]]\nname = 'b'\n";
        let settings = Settings::from_toml(text).expect("valid");
        assert_eq!(
            command(&settings),
            "loadgen --rate 5 # and the [[request]] tables of its profile: a, b"
        );
        let named = Settings { mix_file: Some("my shop.toml".into()), ..settings };
        assert_eq!(command(&named), "loadgen --profile 'my shop.toml' --rate 5");
    }

    #[test]
    fn no_secret_is_in_it() {
        let settings = read(&[
            "http://user:onyx@host/?page=1&api-key=onyx",
            "--redis=redis://:onyx@host/2",
            "--proxy=http://u:onyx@p:1/",
            "--mqtt=mqtt://onyx@host",
            "--header=Authorization: Bearer onyx",
            "--header=X-Anything: onyx",
            "--body={\"Password\":\"onyx\"}",
        ]);
        let command = command(&settings);
        assert!(!command.contains("onyx"), "{command}");
        assert_eq!(
            command,
            "loadgen 'http://***@host/?page=1&api-key=***' --header 'Authorization: ***' \
             --header 'X-Anything: ***' --body '{\"Password\":\"***\"}' --proxy 'http://***@p:1/' --redis 'redis://***@host/2' --mqtt 'mqtt://***@host'"
        );
    }
}
