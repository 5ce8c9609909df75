//! The short help (`-h`): the flags that most users need, each in one line. `--help` explains all.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// Flags of a run in the short help, by their long names, with what they do in a few words.
const OF_RUNS: [(&str, &str); 14] = [
    ("url", "Target; without it loadgen starts a pipeline of its own"),
    ("rate", "Open loop: requests a second (1000, 24k, 1k..10k)"),
    ("duration", "Length of the run (10s, 1m30s) [default: 10s]"),
    ("requests", "Stop after N requests"),
    ("connections", "Connections; without --rate the concurrency"),
    ("method", "HTTP method"),
    ("header", "Header 'NAME: VALUE', repeatable"),
    ("body", "Body; {{msg_id}} is the number of the message"),
    ("script", "Lua script for wrk"),
    ("mqtt", "Broker at which the messages arrive"),
    ("topic", "Topic on which they arrive [default: /channel]"),
    ("redis", "Redis of the queue, for its depth and the stages"),
    ("fail-if", "Exit 99 if this holds, repeatable ('arrival.p99>5ms')"),
    ("output", "Report as .html .json .md .csv .xml …, repeatable"),
];

/// Flags of a ramp that a run does not have.
const OF_RAMPS: [(&str, &str); 1] =
    [("profile", "concurrency, coupling, knee, rate or threads; or a TOML file")];

const OF_API: [(&str, &str); 7] = [
    ("listen", "Address to listen on [default: 127.0.0.1:8080]"),
    ("redis", "Redis of the queue [default: redis://127.0.0.1:6379]"),
    ("queue", "Redis list of the messages [default: myapp]"),
    ("id-field", "JSON field that carries the MsgID"),
    ("threads", "Threads, each with a Redis connection"),
    ("tls-cert", "Certificate (PEM) to serve TLS with"),
    ("token-file", "File of tokens that requests need"),
];

const OF_PUSH: [(&str, &str); 7] = [
    ("redis", "Redis of the queue [default: redis://127.0.0.1:6379]"),
    ("queue", "Redis list of the messages [default: myapp]"),
    ("mqtt", "Broker to publish to"),
    ("topic", "Topic to publish on [default: /channel]"),
    ("qos", "Quality of service of MQTT: 0 or 1"),
    ("workers", "Workers that pop and publish"),
    ("metrics", "Serve metrics for Prometheus at this address"),
];

const OF_SUBSCRIBE: [(&str, &str); 5] = [
    ("mqtt", "Broker to subscribe at"),
    ("topic", "Topic to subscribe to"),
    ("id-field", "JSON field that carries the MsgID"),
    ("redis", "Redis of the stamps"),
    ("metrics", "Serve metrics for Prometheus at this address"),
];

const OF_COMPARE: [(&str, &str); 6] = [
    ("base", "Reports of the baseline"),
    ("new", "Reports to compare with them"),
    ("tolerance", "By how much a number may be worse [default: 5%]"),
    ("output", "Write the comparison to a file, repeatable"),
    ("allow-limited", "Do not exit with 3 if a generator was limited"),
    ("allow-failed", "Do not exit with 1 if a run failed"),
];

const ABOUT: &str = "Open-loop load: HTTP in, MQTT out, and the time until each message arrives";

/// Commands that the last lines leave to `--help`.
const RARE_COMMANDS: [&str; 5] = ["dead", "init", "manifest", "completions", "man"];

const EXAMPLES: &str = "\
Examples:
  loadgen --rate 1000 --duration 10s          a pipeline of its own
  loadgen -R 2k http://127.0.0.1:8080/        one HTTP server, open loop
  loadgen -c 40 -t 2 http://127.0.0.1:8080/   the same as wrk does it";

/// Returns the command with its short help if the arguments ask for it by `-h`. Nothing else about it changes.
pub(super) fn with_short_help(
    command: Command,
    arguments: impl Iterator<Item = OsString>,
) -> Command {
    let asks = arguments.take_while(|word| word != "--").any(|word| word == "-h");
    if asks { short_help(command) } else { command }
}

fn short_help(root: Command) -> Command {
    let mut ramp = OF_RAMPS.to_vec();
    ramp.extend(OF_RUNS.iter().filter(|(name, _)| *name != "url"));
    let mut names = Vec::new();
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        if !RARE_COMMANDS.contains(&command.get_name()) {
            names.push(command.get_name().to_owned());
        }
    }
    let tables: [(&str, &[(&str, &str)]); 6] = [
        ("run", &OF_RUNS),
        ("ramp", &ramp),
        ("api", &OF_API),
        ("push", &OF_PUSH),
        ("subscribe", &OF_SUBSCRIBE),
        ("compare", &OF_COMPARE),
    ];
    let mut root = root;
    for (name, common) in tables {
        if root.find_subcommand(name).is_some() {
            let pointer = format!("All flags, explained: loadgen {name} --help");
            root = root.mut_subcommand(name, |command| {
                in_two_groups(only(command, common)).after_help(pointer)
            });
        }
    }
    let commands = names.join(", ");
    let root = in_two_groups(only(root, &OF_RUNS)).about(ABOUT);
    root.mut_subcommands(|command| command.hide(true)).after_help(format!(
        "{EXAMPLES}\n\nCommands: {commands}, …\nHelp on one: loadgen COMMAND -h. All flags and exit codes: loadgen --help"
    ))
}

/// The headings of a run's flags, joined to two, so that the help fits a screen.
fn in_two_groups(command: Command) -> Command {
    command.mut_args(|arg| match arg.get_help_heading() {
        Some("Request") => arg.help_heading("Load"),
        Some("Pipeline" | "Report") => arg.help_heading("Pipeline and report"),
        _ => arg,
    })
}

/// The command with the help of its common flags only.
fn only(command: Command, common: &[(&'static str, &'static str)]) -> Command {
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).hide(true);
    let command = command.mut_args(|arg| {
        let name = arg.get_long().unwrap_or(arg.get_id().as_str()).to_owned();
        match common.iter().find(|(common, _)| *common == name) {
            Some((_, help)) => {
                let takes_value = arg.get_action().takes_values();
                let arg = arg.help(*help).hide_env(true);
                let arg = if takes_value {
                    arg.hide_default_value(true).hide_possible_values(true)
                } else {
                    arg
                };
                if name == "url" { arg.help_heading("Load") } else { arg }
            }
            None => arg.hide(true),
        }
    });
    command.disable_help_flag(true).arg(help)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::super::args::Cli;
    use super::*;

    fn help(name: &str) -> String {
        let mut root = short_help(Cli::command()).term_width(80);
        root.build();
        let command =
            if name.is_empty() { Some(&mut root) } else { root.find_subcommand_mut(name) };
        command.expect(name).render_help().to_string()
    }

    #[test]
    fn the_short_help_fits_a_screen() {
        for (name, most) in
            [("", 30), ("ramp", 30), ("api", 20), ("push", 20), ("subscribe", 20), ("compare", 20)]
        {
            let help = help(name);
            let lines = help.lines().count();
            assert!(lines <= most, "{name}: {lines} lines\n{help}");
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
            assert!(help.contains("--help"), "{help}");
        }
    }

    #[test]
    fn every_common_flag_is_there() {
        let whole = Cli::command();
        for (name, common) in [
            ("run", &OF_RUNS[..]),
            ("ramp", &OF_RAMPS),
            ("api", &OF_API),
            ("push", &OF_PUSH),
            ("subscribe", &OF_SUBSCRIBE),
            ("compare", &OF_COMPARE),
        ] {
            let command = whole.find_subcommand(name).expect(name);
            for (flag, help) in common {
                let has = |arg: &&Arg| arg.get_long().unwrap_or(arg.get_id().as_str()) == *flag;
                assert!(command.get_arguments().any(|arg| has(&arg)), "{name} --{flag}");
                assert!(super::tests::help(name).contains(help), "{name}: {help}");
            }
        }
    }

    #[test]
    fn only_h_asks_for_it() {
        let asks = |words: &str| {
            let words = words.split(' ').map(OsString::from);
            with_short_help(Cli::command(), words).is_disable_help_flag_set()
        };
        assert!(asks("loadgen -h") && asks("loadgen ramp -h"));
        assert!(!asks("loadgen --help") && !asks("loadgen -R 5 -- -h"));
    }
}
