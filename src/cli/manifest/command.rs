//! The command of each node: the flags of a run, read and checked as a run does it, without those that are secret.

use std::any::TypeId;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory as _};
use tokio::sync::watch;

use crate::cli::args::{Cli, Command, FleetPlans, ManifestArgs, ManifestKind, RunArgs, UsageError};
use crate::cli::mistakes::{CommandLine, ParseError};
use crate::cli::profiles::BUILT_IN;
use crate::cli::run::{PreparedRun, prepare};
use crate::config::settings::Settings;
use crate::core::secrets::{HIDDEN, mask_url};
use crate::fleet::FleetSize;

/// Key of the headers, which share a variable.
pub(super) const HEADER: &str = "header";
/// Time for pods to be scheduled, images to be pulled, and the report to be made.
const MARGIN: Duration = Duration::from_secs(300);
/// Time to report after the last answer.
const TIME_TO_REPORT: Duration = Duration::from_secs(20);

/// Flags that a manifest sets, or that have no meaning in a fleet, and what to do instead.
const OWN_FLAGS: [(&str, &str); 4] = [
    ("--fleet", "the manifest names the fleet; leave --fleet out"),
    ("--nodes", "the number of nodes belongs before the --: loadgen manifest LAUNCHER --nodes N"),
    ("--node", "the nodes of a fleet number themselves; leave --node out"),
    ("--start-at", "the nodes of a fleet start when all are ready; leave --start-at out"),
];

/// A variable whose value is secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SecretVariable {
    /// Name of the variable.
    pub(super) variable: String,
    /// Long name of its flag, and key in a Secret of Kubernetes.
    pub(super) key: String,
}

/// The command that all nodes run.
#[derive(Debug)]
pub(super) struct NodeCommand {
    /// Flags as `--flag=value`, in the order of the help.
    flags: Vec<String>,
    /// The URL, if it is not secret.
    url: Option<String>,
    /// Flags whose values are secret: these variables have them.
    pub(super) secrets: Vec<SecretVariable>,
    /// Number of nodes.
    pub(super) nodes: FleetSize,
    /// Threads of each node, if they are given.
    pub(super) threads: Option<u32>,
    connections: usize,
    /// Longest time from the start of the first node to the end of the last, with time to spare; `None` if the flags do
    /// not limit it.
    pub(super) longest: Option<Duration>,
    /// Time from a request to stop until a node has reported.
    pub(super) grace: Duration,
}

impl NodeCommand {
    /// Reads and checks the flags of a run as a node of the fleet.
    pub(super) fn of(args: &ManifestArgs) -> anyhow::Result<Self> {
        let words = words_of_a_node(args)?;
        let run = parse(&words)?;
        let given = GivenFlags::new(&words)?;
        let is_container = args.launcher != ManifestKind::Slurm;
        if is_container {
            given.refuse_files()?;
        }
        let PreparedRun { settings, plan, .. } = prepare(&run)?;
        let (stop, _) = watch::channel(false);
        let work =
            FleetPlans { settings: &settings, plans: std::slice::from_ref(&plan), profile: None };
        let request = run.fleet.request(work, |_| None, stop)?;
        let load = &plan.load;
        let sending = load.longest_s().map(Duration::from_secs_f64);
        let grace = load.drain + load.timeout + TIME_TO_REPORT;
        let before = request.join_timeout + settings.wait_for.unwrap_or_default() + load.warmup;
        let (flags, url, secrets) = given.split(&run.settings);
        Ok(Self {
            flags,
            url,
            secrets,
            nodes: args.nodes,
            threads: settings.threads.and_then(|threads| u32::try_from(threads).ok()),
            connections: load.connections,
            longest: sending.map(|sending| before + sending + grace + MARGIN),
            grace,
        })
    }

    /// Gives each node as many threads as cores, but no more than connections, unless their number is given: in a container
    /// loadgen sees all cores of the machine.
    pub(super) fn set_threads(&mut self, cpus: u32) {
        if self.threads.is_none() {
            let threads = self.connections.min(cpus as usize);
            self.flags.push(format!("--threads={threads}"));
        }
    }

    /// The words after `loadgen run`. Those that the launcher adds are the last: `--fleet` would take the URL for its name.
    pub(super) fn words_with(&self, added: &[String]) -> Vec<String> {
        let words = self.flags.iter().chain(&self.url).chain(added);
        words.cloned().collect()
    }
}

/// The words of a run as a node of a fleet.
fn words_of_a_node(args: &ManifestArgs) -> Result<Vec<String>, UsageError> {
    let typed = args.flags.iter().take_while(|word| *word != "--");
    for word in typed {
        let flag = word.split('=').next().unwrap_or(word);
        if let Some((flag, advice)) = OWN_FLAGS.iter().find(|(own, _)| *own == flag) {
            return Err(UsageError(format!("{flag} after --: {advice}")));
        }
    }
    let own = ["loadgen".to_owned(), "run".to_owned(), "--fleet=manifest".to_owned()];
    let words = own.into_iter().chain([format!("--nodes={}", args.nodes)]);
    Ok(words.chain(args.flags.iter().cloned()).collect())
}

fn parse(words: &[String]) -> Result<RunArgs, UsageError> {
    let line = CommandLine::of(words.iter().map(Into::into).collect());
    match line.parse() {
        Ok(Cli { command: Some(Command::Run(run)), .. }) => Ok(*run),
        Ok(_) => Err(UsageError("the flags after -- are not those of a run".to_owned())),
        Err(ParseError::Usage(error)) => Err(error),
        Err(ParseError::Clap(error)) => Err(usage_error(&error)),
    }
}

/// An error of clap as one of a manifest: without the usage of a run, which does not fit.
fn usage_error(error: &clap::Error) -> UsageError {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return UsageError("the flags after -- ask for help: see loadgen run --help".to_owned());
    }
    let text = error.render().to_string();
    let text = text.split("\n\nUsage:").next().unwrap_or_default();
    let text = text.split("\n\nFor more information").next().unwrap_or_default();
    UsageError(format!("after --: {}", text.trim_start_matches("error: ").trim()))
}

/// The flags of a run with their values: those of the command line, and those of the environment, which the nodes do not
/// have.
struct GivenFlags {
    run: clap::Command,
    matches: ArgMatches,
}

impl GivenFlags {
    fn new(words: &[String]) -> Result<Self, UsageError> {
        let mut whole = Cli::command();
        whole.build();
        let run = whole.find_subcommand("run").cloned().unwrap_or_default();
        let matches = whole.try_get_matches_from(words).map_err(|error| usage_error(&error))?;
        let matches = matches.subcommand_matches("run").cloned().unwrap_or_default();
        Ok(Self { run, matches })
    }

    /// The flags that were given, in the order of the help.
    fn given(&self) -> impl Iterator<Item = &Arg> {
        self.run.get_arguments().filter(|arg| {
            let id = arg.get_id().as_str();
            let source =
                self.matches.try_contains_id(id).ok().and_then(|_| self.matches.value_source(id));
            let is_set =
                matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable));
            is_set && !["fleet", "nodes"].contains(&id)
        })
    }

    /// Values of a flag as they were given.
    fn values(&self, arg: &Arg) -> Vec<String> {
        let values = self.matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
        values.map(|value| value.to_string_lossy().into_owned()).collect()
    }

    /// Refuses flags that name a file of this machine, which a container does not have.
    fn refuse_files(&self) -> Result<(), UsageError> {
        let is_path = |arg: &&Arg| arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        for arg in self.given().filter(is_path) {
            let flag = key(arg);
            for value in self.values(arg) {
                let is_built_in = BUILT_IN.iter().any(|(name, _)| *name == value);
                if flag != "profile" || !is_built_in || Path::new(&value).exists() {
                    let advice = advice_for_file(flag);
                    return Err(UsageError(format!(
                        "--{flag} {value}: this file is not in the container; {advice}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The flags that are not secret, the URL if it is not, and the variables of those that are.
    fn split(&self, settings: &Settings) -> (Vec<String>, Option<String>, Vec<SecretVariable>) {
        let hidden = secret_keys(settings);
        let (mut flags, mut url, mut secrets) = (Vec::new(), None, Vec::new());
        for arg in self.given() {
            let (key, values) = (key(arg), self.values(arg));
            let is_secret = hidden.contains(key)
                || key == "fleet-redis" && values.iter().any(|url| has_secret(url, &mask_url(url)));
            match arg.get_env().filter(|_| is_secret) {
                Some(variable) => secrets.push(SecretVariable {
                    variable: variable.to_string_lossy().into_owned(),
                    key: key.to_owned(),
                }),
                None if key == "url" => url = values.into_iter().next(),
                None if arg.get_action().takes_values() => {
                    flags.extend(values.iter().map(|value| format!("--{key}={value}")));
                }
                None if self.matches.get_flag(arg.get_id().as_str()) => {
                    flags.push(format!("--{key}"))
                }
                None => {}
            }
        }
        (flags, url, secrets)
    }
}

/// Long name of a flag; of the URL, which has none, its id.
fn key(arg: &Arg) -> &str {
    arg.get_long().unwrap_or(arg.get_id().as_str())
}

/// Advice in place of a file.
fn advice_for_file(flag: &str) -> &'static str {
    match flag {
        "output" => "use --format json or another form, and take the report from the log",
        "body-file" => "give its text with --body",
        "redis-password-file" | "mqtt-password-file" => {
            "give the password in the URL: a manifest has no secrets, and refers to the variable"
        }
        "profile" => "give its settings as flags",
        _ => "make the manifest without this flag, and add the flag and a mount of the file to it",
    }
}

/// Keys of the settings with a value that reports do not show.
fn secret_keys(settings: &Settings) -> BTreeSet<&'static str> {
    let shown = settings.shown_values();
    let mut keys = BTreeSet::new();
    for (definition, values) in settings.raw_values() {
        let shown = shown.iter().filter(|(other, _)| other.key == definition.key);
        let mut pairs = shown.flat_map(|(_, shown)| values.iter().zip(shown));
        if pairs.any(|(value, shown)| has_secret(value, shown)) {
            keys.insert(definition.key);
        }
    }
    keys
}

/// Returns true if a value has a part that is hidden where it is shown.
fn has_secret(value: &str, shown: &str) -> bool {
    value != shown && shown.contains(HIDDEN)
}
