//! The command that repeats a run: its settings as flags, wherever they came from (flags, the
//! environment, a profile), and without secrets, as reports are shown around.

use crate::config::settings::Settings;

/// Key of the URL, which has no flag and comes first.
const URL: &str = "url";
/// Key of a profile's request, which has no flag.
const REQUEST: &str = "request";
/// Key of the arguments of a script. They have no flag and come last, after `--`.
const SCRIPT_ARGS: &str = "script-args";

/// A flag with one of its values, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownFlag {
    /// Long name, or the key of a setting that has no flag.
    pub(crate) name: &'static str,
    pub(crate) value: String,
    is_switch: bool,
}

/// Returns the given settings by the long names of their flags, without secrets, in the order of the help. The URL has no
/// flag and comes first, as `url`. The arguments of a script and the names of a profile's requests come last.
pub(crate) fn flags(settings: &Settings) -> Vec<ShownFlag> {
    let mut flags = Vec::new();
    for (definition, values) in settings.shown_values() {
        let (name, is_switch) = (definition.key, definition.is_switch);
        flags.extend(values.into_iter().map(|value| ShownFlag { name, value, is_switch }));
    }
    flags.sort_by_key(|flag| flag.name == SCRIPT_ARGS);
    let requests = settings.mix.iter().map(|request| request.name.clone());
    flags.extend(requests.map(|value| ShownFlag { name: REQUEST, value, is_switch: false }));
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
pub(crate) fn words(settings: &Settings) -> String {
    let mut words = String::new();
    let mut args = String::new();
    for ShownFlag { name, value, is_switch } in flags(settings) {
        let word = quoted(&value);
        match name {
            REQUEST => {}
            SCRIPT_ARGS => args += &format!(" {word}"),
            URL => words += &format!(" {word}"),
            _ if is_switch && value == "true" => words += &format!(" --{name}"),
            // The value of a switch needs `=`: otherwise it would be read as the URL.
            _ if is_switch => words += &format!(" --{name}={value}"),
            _ => words += &format!(" --{name} {word}"),
        }
    }
    if args.is_empty() { words } else { format!("{words} --{args}") }
}

/// Quotes a word so that a shell takes it literally.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&b));
    if is_plain && !word.is_empty() {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
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
