//! Terms of a fleet: the settings that all its nodes have in common. The first node writes them, and the others compare
//! theirs.
//!
//! Of a setting that may hold a secret Redis gets no value, only a keyed hash (HMAC-SHA-256, RFC 2104).

use std::path::Path;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use super::join::ArrivalsAt;
use super::size::FleetSize;
use crate::config::settings::Settings;

/// Settings in which nodes may differ: a machine has its own number of cores.
const OWN: [&str; 1] = ["threads"];
/// Settings that name a file whose content is sent, or decides what is sent.
const FILES: [&str; 4] = ["body-file", "body-lines", "data", "script"];
/// Bytes of a hash that are kept.
const DIGEST_BYTES: usize = 16;
/// Bytes of the key of the hashes.
const SALT_BYTES: usize = 32;

/// Terms of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    /// Version of loadgen.
    version: String,
    /// Number of nodes.
    pub(super) nodes: FleetSize,
    /// Longest time in which nodes may join, in microseconds.
    pub(super) join_timeout_us: u64,
    /// When the first node wrote the terms, in the time of Redis, in microseconds since 1970.
    pub(super) written_us: u64,
    /// Key of the hashes, in hexadecimal.
    salt: String,
    arrivals_at: ArrivalsAt,
    /// Keyed hash of the profile of a ramp; `None` for a run.
    ramp: Option<String>,
    settings: Vec<Term>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Term {
    /// Long name of its flag.
    name: String,
    /// Its value without secrets.
    shown: String,
    /// Keyed hash of its value, and of the content of its file.
    digest: String,
}

impl Term {
    /// Returns true if both mean the same: files of the same content may have different names.
    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.digest) == (&other.name, &other.digest)
    }
}

/// The work of a fleet.
#[derive(Debug, Clone, Copy)]
pub(super) struct FleetWork<'a> {
    pub(super) settings: &'a Settings,
    pub(super) arrivals_at: ArrivalsAt,
    /// Text of the profile of a ramp; `None` for a run.
    pub(super) profile: Option<&'a str>,
}

/// The parts of [`Terms`] that do not concern the load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gathering {
    pub(super) nodes: FleetSize,
    pub(super) join_timeout_us: u64,
    pub(super) written_us: u64,
}

impl Terms {
    /// Terms of the first node, with a new key.
    pub(super) fn new(work: FleetWork<'_>, gathering: Gathering) -> Self {
        let mut salt = [0; SALT_BYTES];
        // A failure leaves zeros: the hashes still compare.
        let _ = SystemRandom::new().fill(&mut salt);
        Self::with_salt(work, gathering, hex(&salt))
    }

    /// Terms of another node, with the hashes that those of the first have.
    pub(super) fn like(&self, work: FleetWork<'_>, nodes: FleetSize, join_timeout_us: u64) -> Self {
        let gathering = Gathering { nodes, join_timeout_us, written_us: self.written_us };
        Self::with_salt(work, gathering, self.salt.clone())
    }

    fn with_salt(work: FleetWork<'_>, gathering: Gathering, salt: String) -> Self {
        let settings = work.settings;
        let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
        let shown = settings.shown_values();
        let mut all = Vec::new();
        for (definition, raw) in settings.raw_values() {
            let name = definition.key;
            if OWN.contains(&name) {
                continue;
            }
            let same = shown.iter().find(|(other, _)| other.key == name);
            let shown = same.map(|(_, values)| values.join(" ")).unwrap_or_default();
            let digest = digest(&key, &raw, FILES.contains(&name));
            all.push(Term { name: name.to_owned(), shown, digest });
        }
        for request in &settings.mix {
            let files = [&request.body_file, &request.body_lines, &request.data];
            let mut raw = vec![format!("{request:?}")];
            raw.extend(files.into_iter().flatten().map(|file| file_digest(&key, file)));
            let (name, shown) = ("request".to_owned(), request.name.clone());
            all.push(Term { name, shown, digest: digest(&key, &raw, false) });
        }
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            nodes: gathering.nodes,
            join_timeout_us: gathering.join_timeout_us,
            written_us: gathering.written_us,
            salt,
            arrivals_at: work.arrivals_at,
            ramp: work.profile.map(|text| digest(&key, &[text.to_owned()], false)),
            settings: all,
        }
    }

    /// The first difference of `other` from these terms, in words; `None` if there is none.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let head = [
            ("the version of loadgen", self.version.clone(), other.version.clone()),
            ("--nodes", self.nodes.to_string(), other.nodes.to_string()),
            ("--arrivals-at", self.arrivals_at.to_string(), other.arrivals_at.to_string()),
        ];
        if let Some((what, first, own)) = head.into_iter().find(|(_, first, own)| first != own) {
            return Some(format!("{what} is {first} there and {own} here"));
        }
        match (&self.ramp, &other.ramp) {
            (Some(_), None) => return Some("it runs a ramp, and this one does not".to_owned()),
            (None, Some(_)) => return Some("this one runs a ramp, and it does not".to_owned()),
            _ => {}
        }
        for term in &self.settings {
            let same_name = |own: &&Term| own.name == term.name;
            let count = self.settings.iter().filter(same_name).count();
            let is_same = other.settings.iter().any(|own| own.is_same(term));
            if !is_same && count == 1 {
                return Some(match other.settings.iter().find(same_name) {
                    None => format!("--{} is {} there and not set here", term.name, term.shown),
                    Some(own) => differing(term, own),
                });
            } else if !is_same {
                return Some(format!(
                    "the {} '{}' of the profile is another here",
                    term.name, term.shown
                ));
            }
        }
        let is_more = |own: &&Term| !self.settings.iter().any(|term| term.is_same(own));
        if let Some(more) = other.settings.iter().find(is_more) {
            return Some(format!("--{} is {} here and not set there", more.name, more.shown));
        }
        let differs = self.ramp != other.ramp;
        differs.then(|| "the profile of the ramp has other steps here".to_owned())
    }
}

/// Two values of one setting in words.
fn differing(first: &Term, own: &Term) -> String {
    if first.shown == own.shown {
        let what = if FILES.contains(&first.name.as_str()) {
            "the content of its file"
        } else {
            "a part that is not shown"
        };
        format!("--{} {} differs in {what}", first.name, first.shown)
    } else {
        format!("--{} is {} there and {} here", first.name, first.shown, own.shown)
    }
}

/// Keyed hash of values, each with its length.
fn digest(key: &hmac::Key, values: &[String], are_files: bool) -> String {
    let mut context = hmac::Context::with_key(key);
    for value in values {
        let text = if are_files { file_digest(key, Path::new(value)) } else { value.clone() };
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    hex(&context.sign().as_ref()[..DIGEST_BYTES])
}

/// Keyed hash of the content of a file; of its name if it cannot be read, as a pipe or a missing file.
fn file_digest(key: &hmac::Key, file: &Path) -> String {
    let is_file = std::fs::metadata(file).is_ok_and(|found| found.is_file());
    match std::fs::read(file) {
        Ok(content) if is_file => hex(&hmac::sign(key, &content).as_ref()[..DIGEST_BYTES]),
        _ => file.display().to_string(),
    }
}

/// Bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(settings: &Settings) -> Terms {
        let nodes = FleetSize::exactly(4).expect("a size");
        Terms::new(run_of(settings), Gathering { nodes, join_timeout_us: 1, written_us: 5 })
    }

    fn run_of(settings: &Settings) -> FleetWork<'_> {
        FleetWork { settings, arrivals_at: ArrivalsAt::All, profile: None }
    }

    fn difference(first: &Settings, own: &Settings) -> Option<String> {
        let first = terms(first);
        first.difference(&first.like(run_of(own), first.nodes, 2))
    }

    fn settings(rate: &str, redis: &str) -> Settings {
        Settings { rate: rate.parse().ok(), redis: Some(redis.to_owned()), ..Settings::default() }
    }

    #[test]
    fn the_first_difference_is_named_and_the_number_of_threads_is_none() {
        let first = settings("4k", "redis://h");
        let threads = Settings { threads: Some(3), ..first.clone() };
        assert_eq!(difference(&first, &threads), None);
        let other = settings("5k", "redis://h");
        assert_eq!(
            difference(&first, &other).as_deref(),
            Some("--rate is 4000 there and 5000 here")
        );
        let less = Settings { rate: None, ..first.clone() };
        assert_eq!(
            difference(&first, &less).as_deref(),
            Some("--rate is 4000 there and not set here")
        );
        assert_eq!(
            difference(&less, &first).as_deref(),
            Some("--rate is 4000 here and not set there")
        );
        let terms = terms(&first);
        let more = terms.like(run_of(&first), FleetSize::exactly(5).expect("a size"), 1);
        assert_eq!(terms.difference(&more).as_deref(), Some("--nodes is 4 there and 5 here"));
    }

    #[test]
    fn the_profile_of_a_ramp_is_compared_as_a_whole() {
        let (settings, nodes) =
            (settings("4k", "redis://h"), FleetSize::exactly(4).expect("a size"));
        let ramp =
            |profile| FleetWork { settings: &settings, arrivals_at: ArrivalsAt::All, profile };
        let terms = |profile| {
            Terms::new(ramp(profile), Gathering { nodes, join_timeout_us: 1, written_us: 5 })
        };
        let differences =
            [(Some("a"), Some("a")), (Some("a"), Some("b")), (Some("a"), None), (None, Some("a"))]
                .map(|(first, own)| {
                    let first = terms(first);
                    first.difference(&first.like(ramp(own), nodes, 1)).unwrap_or_default()
                });
        assert_eq!(
            differences,
            [
                "",
                "the profile of the ramp has other steps here",
                "it runs a ramp, and this one does not",
                "this one runs a ramp, and it does not"
            ]
        );
    }

    #[test]
    fn a_secret_is_compared_and_never_written() {
        let (first, own) = (settings("4k", "redis://:onyx@h"), settings("4k", "redis://:opal@h"));
        let words = difference(&first, &own).expect("another password");
        assert_eq!(words, "--redis redis://***@h differs in a part that is not shown");
        let json = serde_json::to_string(&terms(&first)).expect("JSON");
        assert!(!json.contains("onyx"), "{json}");
        assert_ne!(terms(&first).settings, terms(&first).settings, "each fleet has its own key");
    }

    #[test]
    fn files_are_compared_by_content_and_requests_by_all_they_have() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let body = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).expect("space");
            Settings { body_file: Some(file), ..Settings::default() }
        };
        let first = body("a", "one");
        assert_eq!(difference(&first, &body("a", "one")), None);
        // The hashes are of the content when they were taken.
        let taken = terms(&first);
        let changed = taken.like(run_of(&body("a", "two")), taken.nodes, 1);
        let words = taken.difference(&changed).expect("another content");
        assert!(words.ends_with("differs in the content of its file"), "{words}");
        let mix = |weight: u32| {
            let text = format!(
                "rate = 5\n[[request]]\nname = 'a'\nweight = {weight}\n[[request]]\nname = 'b'\n"
            );
            Settings::from_toml(&text).expect("valid")
        };
        assert_eq!(difference(&mix(1), &mix(1)), None);
        let words = difference(&mix(1), &mix(2)).expect("another weight");
        assert_eq!(words, "the request 'a' of the profile is another here");
    }
}
