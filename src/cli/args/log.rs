//! Level and form of the messages on stderr, for every command.

use clap::Args;
use log::LevelFilter;

use super::super::logger::LogFormat;
use super::Command;

/// Messages on stderr.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogArgs {
    /// Least level of the messages on stderr (default: info for api, push and subscribe, warn for the others)
    #[arg(
        long = "log",
        value_name = "LEVEL",
        env = "LOADGEN_LOG",
        global = true,
        value_parser = clap::builder::TypedValueParser::map(
            clap::builder::PossibleValuesParser::new(["off", "error", "warn", "info", "debug"]),
            |name| level_of(&name),
        ),
        help_heading = "Messages"
    )]
    pub(in crate::cli) log_level: Option<LevelFilter>,

    /// Form of the messages on stderr: json is one object a line
    #[arg(
        long = "log-format",
        value_name = "FORM",
        env = "LOADGEN_LOG_FORMAT",
        default_value = "text",
        global = true,
        help_heading = "Messages"
    )]
    pub(in crate::cli) log_format: LogFormat,
}

/// Level with a name that clap has checked.
fn level_of(name: &str) -> LevelFilter {
    name.parse().unwrap_or(LevelFilter::Warn)
}

impl Command {
    /// Level of a command without `--log`. A service says when it reaches its servers again.
    pub(in crate::cli) fn default_level(command: Option<&Self>) -> LevelFilter {
        match command {
            #[cfg(feature = "pipeline")]
            Some(Self::Api(_) | Self::Push(_) | Self::Subscribe(_)) => LevelFilter::Info,
            #[cfg(feature = "embedded")]
            Some(Self::Embedded(_)) => LevelFilter::Info,
            _ => LevelFilter::Warn,
        }
    }
}
