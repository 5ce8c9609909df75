//! Arguments as typed. Parsing has no effects.

mod allow;
mod compare;
#[cfg(feature = "pipeline")]
mod dead;
#[cfg(feature = "pipeline")]
mod fleet;
mod log;
#[cfg(feature = "pipeline")]
mod manifest;
mod output;
#[cfg(feature = "pipeline")]
mod servers;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

pub(super) use self::allow::AllowArgs;
pub(super) use self::compare::{CompareArgs, Sides, with_divided_sides};
#[cfg(feature = "pipeline")]
pub(super) use self::dead::{DeadArgs, DeadCommand, DeadSelection};
#[cfg(feature = "pipeline")]
pub(super) use self::fleet::{FleetArgs, FleetPlans, VisitArgs};
pub(super) use self::log::LogArgs;
#[cfg(feature = "pipeline")]
pub(super) use self::manifest::{ManifestArgs, ManifestKind, NodeMemory};
pub(super) use self::output::OutputArgs;
use self::output::{RAMP_OUTPUT, fitting};
#[cfg(feature = "pipeline")]
pub(super) use self::servers::{MqttAccess, RedisAccess, ServerWait};
#[cfg(feature = "pipeline")]
pub(super) use self::watch::ServiceMetrics;
pub(super) use self::watch::WatchArgs;
use crate::config::settings::Settings;
use crate::core::units::StartTime;
use crate::output::forms::Subject;
#[cfg(feature = "pipeline")]
use crate::pipeline::api::ApiSettings;
#[cfg(feature = "pipeline")]
use crate::pipeline::push::PushSettings;
#[cfg(feature = "pipeline")]
use crate::pipeline::subscribe::SubscribeSettings;

/// Error in the command line that clap cannot detect.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);

const AFTER_HELP: &str = "\
Examples:
  loadgen --rate 1000 --duration 10s             starts a pipeline, measures it
  loadgen --rate 24000 --duration 10s            the same with more load
  loadgen -c 40 -t 2 http://127.0.0.1:8080/      one HTTP server, as wrk does it
  loadgen ramp concurrency -o ramp.json          several runs, and findings
  loadgen -s post.lua http://127.0.0.1:8080/ -- one two   a script of wrk
  loadgen -R 5k --fail-if 'arrival.p99>5ms' -o report.json
  loadgen report report.json -o report.md        a saved report in another form

Exit codes:
  0    done
  1    it could not run, no request succeeded, no message arrived, or a
       component of the stack ended (--allow-failed)
  2    the command line or a profile is wrong
  3    the generator could not hold the plan (--allow-limited)
  99   a --fail-if condition held or could not be judged, or a comparison is
       worse
  107  the script failed
  130  interrupted, after its report, or at once by a second Ctrl-C
If several apply, the first of 130, 107, 1, 3, 99 is taken.";

/// Open-loop load for asynchronous pipelines: HTTP in, MQTT out, and the time until each message arrives
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    // As with wrk, the last value wins, so that a user can override a flag of a shell alias.
    args_override_self = true,
    disable_version_flag = true
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) run: RunArgs,

    #[command(flatten)]
    pub(super) log: LogArgs,

    /// Print version
    #[arg(short = 'V', short_alias = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send load and report (the default)
    Run(Box<RunArgs>),
    /// Run the steps of a profile one after another, or search for the knee, and report findings
    Ramp(Box<RampArgs>),
    /// Print a saved report, or write it in other forms
    Report(ReportArgs),
    /// Compare new reports with a baseline: exit 99 if they are worse by more than chance and the tolerance
    Compare(CompareArgs),
    /// Merge the reports of the nodes that sent one load (--node k/N)
    Merge(MergeArgs),
    /// Show the progress of a fleet that is running (--fleet)
    #[cfg(feature = "pipeline")]
    Watch(VisitArgs),
    /// End a fleet: each of its nodes reports what it has
    #[cfg(feature = "pipeline")]
    Stop(VisitArgs),
    /// Print what Kubernetes, Slurm or compose needs to start a fleet
    #[cfg(feature = "pipeline")]
    Manifest(ManifestArgs),
    /// The API server: HTTP in, Redis list out
    #[cfg(feature = "pipeline")]
    Api(ApiArgs),
    /// The push server: Redis list in, MQTT out
    #[cfg(feature = "pipeline")]
    Push(PushArgs),
    /// The messages that push could not publish: print them, or put them back into the queue
    #[cfg(feature = "pipeline")]
    Dead(DeadArgs),
    /// The MQTT subscriber: counts messages and prints a line each second
    #[cfg(feature = "pipeline")]
    Subscribe(SubscribeArgs),
    /// Write a commented profile with every setting and its default
    Init(InitArgs),
    /// Print the completions of this command for a shell
    Completions(CompletionsArgs),
    /// Print the manual page (loadgen man | man -l -)
    Man,
    /// The servers that a run starts if Redis and Mosquitto are not installed
    #[cfg(feature = "embedded")]
    #[command(hide = true)]
    Embedded(EmbeddedArgs),
}

#[cfg(feature = "pipeline")]
#[derive(Debug, Args)]
pub(super) struct ApiArgs {
    #[command(flatten)]
    pub(super) settings: ApiSettings,
    #[command(flatten)]
    pub(super) redis_access: RedisAccess,
    #[command(flatten)]
    pub(super) wait: ServerWait,
}

#[cfg(feature = "pipeline")]
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    #[command(flatten)]
    pub(super) settings: PushSettings,
    #[command(flatten)]
    pub(super) redis_access: RedisAccess,
    #[command(flatten)]
    pub(super) mqtt_access: MqttAccess,
    #[command(flatten)]
    pub(super) metrics: ServiceMetrics,
    #[command(flatten)]
    pub(super) wait: ServerWait,
}

#[cfg(feature = "pipeline")]
#[derive(Debug, Args)]
pub(super) struct SubscribeArgs {
    #[command(flatten)]
    pub(super) settings: SubscribeSettings,
    #[command(flatten)]
    pub(super) redis_access: RedisAccess,
    #[command(flatten)]
    pub(super) mqtt_access: MqttAccess,
    #[command(flatten)]
    pub(super) metrics: ServiceMetrics,
    #[command(flatten)]
    pub(super) wait: ServerWait,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// File to write; - for standard output
    #[arg(value_name = "FILE", default_value = "loadgen.toml")]
    pub(super) file: PathBuf,

    /// Overwrite the file if it exists
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell to make completions for
    #[arg(value_name = "SHELL")]
    pub(super) shell: clap_complete::Shell,
}

#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
pub(super) struct EmbeddedArgs {
    #[command(subcommand)]
    pub(super) server: EmbeddedServer,
}

#[cfg(feature = "embedded")]
#[derive(Debug, Subcommand)]
pub(super) enum EmbeddedServer {
    /// The queue: the part of Redis that the pipeline uses
    Queue(EmbeddedListen),
    /// The broker: the part of MQTT 3.1.1 that the pipeline uses
    Broker(EmbeddedListen),
}

#[cfg(feature = "embedded")]
#[derive(Debug, Args)]
pub(super) struct EmbeddedListen {
    /// Address to listen on; port 0 selects a free one. It asks for a password only if LOADGEN_EMBEDDED_PASSWORD is set: use a loopback address
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Profile with settings: a TOML file, or the name of a built-in profile (smoke, soak); flags override it
    #[arg(long, value_name = "FILE", env = "LOADGEN_PROFILE")]
    pub(super) profile: Option<PathBuf>,

    #[command(flatten)]
    pub(super) settings: Settings,

    /// Time of the first request, so that several nodes start together; by the clock of Redis if --redis is given (2026-12-01T14:30:00Z; 14:30:00Z today)
    #[arg(long, value_name = "TIME", env = "LOADGEN_START_AT", help_heading = "Load")]
    pub(super) start_at: Option<StartTime>,

    #[cfg(feature = "pipeline")]
    #[command(flatten)]
    pub(super) fleet: FleetArgs,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    #[command(flatten)]
    pub(super) watch: WatchArgs,

    #[command(flatten)]
    pub(super) allow: AllowArgs,

    /// wrk2 times the batches of a pipelining script as a whole with it: refused with what to do
    #[arg(short = 'B', long = "batch_latency", hide = true)]
    pub(super) batch_latency: bool,
}

#[derive(Debug, Args)]
#[command(
    mut_arg("outputs", |arg| arg.help(RAMP_OUTPUT)),
    mut_arg("format", |arg| fitting(arg, Subject::Ramp)),
    // The flag does not change the table of a ramp.
    mut_arg("latency", |arg| arg.hide(true))
)]
pub(super) struct RampArgs {
    /// Profile of the ramp: a TOML file with settings and [[step]], [sweep] or [search], or the name of a built-in profile: concurrency, coupling, knee, rate, threads
    #[arg(value_name = "PROFILE")]
    pub(super) profile: PathBuf,

    #[command(flatten)]
    pub(super) settings: Settings,

    #[cfg(feature = "pipeline")]
    #[command(flatten)]
    pub(super) fleet: FleetArgs,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    #[command(flatten)]
    pub(super) watch: WatchArgs,

    #[command(flatten)]
    pub(super) allow: AllowArgs,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Report of a run or a ramp, written with -o FILE.json
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,

    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// Report of each node, written with -o FILE.json
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    #[command(flatten)]
    pub(super) allow: AllowArgs,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::{Arg, CommandFactory as _};

    use super::*;
    use crate::output::forms::Form;

    fn parse(words: &str) -> RunArgs {
        Cli::try_parse_from(words.split(' ')).expect(words).run
    }

    #[test]
    fn wrks_flags_mean_what_they_mean_to_wrk() {
        for words in [
            "loadgen -t 2 -c 1k -d 2m -H A:b -H C:d --latency --timeout 2s http://h/",
            "loadgen http://h/ -t2 -c1k -d120 -HA:b -HC:d -L -T2",
            "loadgen --threads 2 --connections 1000 --duration 2M --header A:b --header C:d \
             --latency --timeout 2S http://h/",
        ] {
            let RunArgs { settings, output, .. } = parse(words);
            assert_eq!((settings.threads, settings.connections), (Some(2), Some(1_000)), "{words}");
            assert_eq!(settings.duration, Some(Duration::from_secs(120)), "{words}");
            assert_eq!(settings.timeout, Some(Duration::from_secs(2)), "{words}");
            assert_eq!(settings.headers, ["A:b", "C:d"], "{words}");
            assert_eq!((settings.url.as_deref(), settings.rate), (Some("http://h/"), None));
            assert!(output.latency, "{words}");
        }
        assert_eq!(parse("loadgen -d 2h").settings.duration, Some(Duration::from_secs(7_200)));
    }

    #[test]
    fn wrk2s_flags_do_too() {
        for words in ["loadgen -R 24k -L -U", "loadgen --rate 24000 --latency --u_latency -U"] {
            let RunArgs { settings, output, .. } = parse(words);
            assert_eq!(settings.rate, "24000".parse().ok(), "{words}");
            assert!(output.latency, "{words}");
        }
        for words in ["loadgen -B", "loadgen --batch_latency"] {
            assert!(parse(words).batch_latency, "{words}");
        }
    }

    #[test]
    fn the_help_names_the_forms_that_there_are() {
        let whole = Cli::command();
        for (name, subject) in [("ramp", Subject::Ramp), ("compare", Subject::Comparison)] {
            let command = whole.find_subcommand(name).expect(name);
            let arg = |id: &str| command.get_arguments().find(|arg| arg.get_id() == id);
            let help = arg("outputs").and_then(Arg::get_help).expect("help").to_string();
            let listed = arg("format").expect("a flag").get_possible_values();
            for form in Form::all() {
                let ending = form.ending();
                let fits = form.fits(subject).is_ok();
                let words: Vec<_> = help.split(' ').collect();
                assert_eq!(words.contains(&format!(".{ending}").as_str()), fits, "{name} {ending}");
                assert_eq!(
                    listed.iter().any(|v| v.get_name() == form.name()),
                    fits,
                    "{name} {ending}"
                );
                let words = ["loadgen", name, "a", "b", "--format", ending];
                let words = words.iter().filter(|word| name != "ramp" || **word != "b");
                assert_eq!(Cli::try_parse_from(words).is_ok(), fits, "{name} {ending}");
            }
        }
    }

    #[test]
    fn the_version_is_asked_for_as_wrks_too() {
        for words in ["loadgen -v", "loadgen -V", "loadgen --version"] {
            let asked = Cli::try_parse_from(words.split(' ')).expect_err(words);
            assert_eq!(asked.kind(), clap::error::ErrorKind::DisplayVersion, "{words}");
        }
    }
}
