//! Profile of a ramp, in TOML: the settings of a plain profile, which all steps share, and the settings in which the
//! steps differ.
//!
//! ```toml
//! duration = "10s"            # any flag's long name: for all steps
//! rest = "5s"                 # pause between two steps
//!
//! [[step]]                    # a step: the settings it changes
//! name = "direct"
//! coupling = "direct"
//!
//! [sweep]                     # every step at every value; the last key varies fastest
//! connections = "1..10"       # or a list; or "100..1k step 100"
//! ```
//!
//! Instead of steps, a profile may have a search for the highest value that holds a condition:
//!
//! ```toml
//! [search]
//! rate = "5k..60k"            # or connections
//! holds = "arrival.p99 < 5ms and lost == 0 and queue not growing and generator valid"
//! within = "2%"
//! confirm = 3                 # runs at each end of the result
//! runs = 20                   # most runs in all
//! ```

use std::time::Duration;

use super::knee_file::{SearchFile, search};
use crate::config::plan::command::flags;
use crate::config::settings::{ProfileEntry, ProfileError, Settings, Table, setting_keys};
use crate::core::units::{parse_count, parse_duration};

/// Most steps of a ramp; a larger number is probably a typing error.
pub(super) const MOST_STEPS: usize = 1_000;
/// Keys of a ramp's profile that are not settings.
const RAMP_KEYS: [&str; 5] = ["rest", "clear", "step", "sweep", "search"];

/// Settings that a step changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// The step's name in the profile.
    pub(super) name: Option<String>,
    /// The changed settings with their values, without secrets.
    pub(super) written: Vec<(String, String)>,
    pub(super) settings: Settings,
}

/// The changes of one step at one value of each swept key.
#[derive(Debug, Clone)]
pub(super) struct StepChanges {
    pub(super) step: Changes,
    /// The values of the sweep.
    pub(super) point: Changes,
}

/// One key of a sweep, with its values.
#[derive(Debug, Clone)]
pub(super) struct SweepKey {
    pub(super) key: String,
    pub(super) values: Vec<Changes>,
}

/// The contents of a ramp's profile.
#[derive(Debug, Clone)]
pub(super) struct RampFile {
    pub(super) question: Option<String>,
    /// Settings of all steps.
    pub(super) base: Settings,
    pub(super) rest: Duration,
    pub(super) clear: bool,
    pub(super) steps: Vec<Changes>,
    pub(super) sweep: Vec<SweepKey>,
    pub(super) search: Option<SearchFile>,
}

/// Returns true if a profile has a key that only a ramp has. A file that cannot be read is not a ramp's.
pub(crate) fn is_ramp(text: &str) -> bool {
    let entries = Table::parse(text).map(|table| table.entries().to_vec()).unwrap_or_default();
    entries.iter().any(|entry| RAMP_KEYS.contains(&entry.key.as_str()))
}

impl Changes {
    fn new(name: Option<String>, settings: Settings) -> Self {
        let flags = flags(&settings).into_iter();
        Self {
            name,
            written: flags.map(|flag| (flag.name.to_owned(), flag.value)).collect(),
            settings,
        }
    }

    /// These changes with another value of the sweep.
    fn with_value(&self, value: &Self) -> Self {
        Self {
            name: None,
            written: [&self.written[..], &value.written].concat(),
            settings: value.settings.clone().layered_on(self.settings.clone()),
        }
    }
}

impl StepChanges {
    /// All changed settings.
    pub(super) fn written(&self) -> impl Iterator<Item = &(String, String)> {
        self.step.written.iter().chain(&self.point.written)
    }

    /// The changed settings that a name in the profile does not stand for.
    pub(super) fn unnamed(&self) -> impl Iterator<Item = &(String, String)> {
        let unnamed = self.step.written.iter().filter(|_| self.step.name.is_none());
        unnamed.chain(&self.point.written)
    }
}

impl RampFile {
    pub(super) fn parse(text: &str) -> Result<Self, ProfileError> {
        let mut table = Table::parse(text)?;
        let ramp_keys = RAMP_KEYS.iter().map(|key| (*key).to_owned());
        table.check_keys(&ramp_keys.chain(setting_keys()).collect::<Vec<_>>())?;
        let rest = table.take("rest").as_ref().map_or(Ok(Duration::ZERO), duration)?;
        let clear = table.take("clear").map_or(Ok(false), ProfileEntry::read)?;
        let steps = tables(table.take("step"))?.into_iter().map(step).collect::<Result<_, _>>()?;
        let sweep =
            only_table(table.take("sweep"))?.as_ref().map(sweep).transpose()?.unwrap_or_default();
        let file = Self {
            question: question(text),
            search: None,
            base: Settings::default(),
            rest,
            clear,
            steps,
            sweep,
        };
        let found = only_table(table.take("search"))?;
        let has_steps = !file.steps.is_empty() || !file.sweep.is_empty();
        if let Some(search) = found.as_ref().filter(|_| has_steps) {
            return Err(
                search.refuse("[search] finds its own steps: leave [[step]] and [sweep] out")
            );
        }
        if file.count() > MOST_STEPS {
            return Err(table.refuse(format!("{} steps are more than {MOST_STEPS}", file.count())));
        }
        let search = found.map(search).transpose()?;
        Ok(Self { base: table.settings()?, search, ..file })
    }

    /// Number of steps, with all values of the sweep.
    fn count(&self) -> usize {
        let values = self.sweep.iter().map(|key| key.values.len());
        values.fold(self.steps.len().max(1), usize::saturating_mul)
    }

    /// Every step at every value of the sweep. The last key of the sweep varies fastest.
    pub(super) fn all_steps(&self) -> Vec<StepChanges> {
        let mut points = vec![Changes::default()];
        for SweepKey { values, .. } in &self.sweep {
            let next =
                points.iter().flat_map(|point| values.iter().map(|value| point.with_value(value)));
            points = next.collect();
        }
        let unchanged = [Changes::default()];
        let steps = if self.steps.is_empty() { &unchanged[..] } else { &self.steps };
        let mut all = Vec::new();
        for step in steps {
            let of_step = points.iter().cloned();
            all.extend(of_step.map(|point| StepChanges { step: step.clone(), point }));
        }
        all
    }
}

/// The comment at the top of the file, up to the first empty line: the question that the ramp answers. A line such as
/// `#:schema FILE`, which editors read, does not belong to it.
fn question(text: &str) -> Option<String> {
    let lines = text.lines().skip_while(|line| line.starts_with("#:"));
    let lines = lines.map_while(|line| line.strip_prefix('#'));
    let words: Vec<_> = lines.map(str::trim).take_while(|line| !line.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn duration(entry: &ProfileEntry<'_>) -> Result<Duration, ProfileError> {
    parse_duration(&entry.shown()).map_err(|e| entry.refuse(e.to_string()))
}

fn tables(entry: Option<ProfileEntry<'_>>) -> Result<Vec<Table<'_>>, ProfileError> {
    entry.map_or_else(|| Ok(Vec::new()), ProfileEntry::tables)
}

/// The table under a key that may be there once.
fn only_table(entry: Option<ProfileEntry<'_>>) -> Result<Option<Table<'_>>, ProfileError> {
    let Some(entry) = entry else { return Ok(None) };
    let error = entry.refuse(format!("[{}] may be there only once", entry.key));
    let mut tables = entry.tables()?;
    let only = tables.pop();
    if tables.is_empty() { Ok(only) } else { Err(error) }
}

fn step(mut table: Table<'_>) -> Result<Changes, ProfileError> {
    let mut known = setting_keys();
    known.push("name".to_owned());
    table.check_keys(&known)?;
    let name = table.take("name").map(ProfileEntry::read).transpose()?;
    Ok(Changes::new(name, table.settings()?))
}

fn sweep(table: &Table<'_>) -> Result<Vec<SweepKey>, ProfileError> {
    table.check_keys(&setting_keys())?;
    table.entries().iter().map(sweep_key).collect()
}

fn sweep_key(entry: &ProfileEntry<'_>) -> Result<SweepKey, ProfileError> {
    let range = entry.as_text().filter(|text| text.contains(".."));
    let items = match range {
        Some(text) => range_values(text)
            .map_err(|why| entry.refuse(why))?
            .into_iter()
            .map(|value| entry.with_text(value))
            .collect(),
        None => entry.clone().items(),
    };
    if items.is_empty() {
        return Err(entry.refuse(format!("'{}' has no values", entry.key)));
    }
    let values = items.into_iter().map(|item| Ok(Changes::new(None, item.setting()?)));
    Ok(SweepKey { key: entry.key.clone(), values: values.collect::<Result<_, _>>()? })
}

/// The values of a range of whole numbers with both ends, such as `1..10` or `1k..10k step 1k`.
fn range_values(text: &str) -> Result<Vec<String>, String> {
    let Some((from, to, step)) = range(text).filter(|(from, to, step)| *step > 0 && from <= to)
    else {
        return Err(format!("'{text}' is not a range: write 1..10 or '1k..10k step 1k'"));
    };
    let count = (to - from) / step + 1;
    if count > MOST_STEPS as u64 {
        return Err(format!(
            "'{text}' has {count} values; give it a step, as in '1k..10k step 1k'"
        ));
    }
    Ok((0..count).map(|n| (from + n * step).to_string()).collect())
}

/// Both ends and the step of a range; the step is 1 if the text has none.
fn range(text: &str) -> Option<(u64, u64, u64)> {
    let (ends, step) = match text.split_once("step") {
        Some((ends, step)) => (ends, parse_count(step).ok()?),
        None => (text, 1),
    };
    let (from, to) = ends.split_once("..")?;
    Some((parse_count(from).ok()?, parse_count(to).ok()?, step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ramp::search::KneeSearch;
    use crate::report::ramp::SearchAxis;

    #[test]
    fn every_step_runs_at_every_value_in_the_order_of_the_file() {
        let text = "#:schema a.json\n# Does it\n# hold?\n\n# More.\nduration = '1s'\nrest = 2\n[sweep]\nrate = ['1k', 2000]\n\
                    coupling = ['channel', 'direct']\n[[step]]\nname = 'one'\nthreads = 1\n[[step]]\nthreads = 2\n";
        let file = RampFile::parse(text).expect("valid");
        assert_eq!(file.question.as_deref(), Some("Does it hold?"));
        assert_eq!((file.rest, file.clear), (Duration::from_secs(2), false));
        assert_eq!(file.base.duration, Some(Duration::from_secs(1)));
        let steps = file.all_steps();
        let words: Vec<_> = steps
            .iter()
            .map(|changes| {
                let values = changes.point.written.iter().map(|(_, value)| value.as_str());
                format!(
                    "{} {}",
                    changes.step.settings.threads.unwrap_or(0),
                    values.collect::<Vec<_>>().join(" ")
                )
            })
            .collect();
        assert_eq!(words.len(), 8);
        assert_eq!(words[..3], ["1 1000 channel", "1 1000 direct", "1 2000 channel"]);
        assert_eq!(words[7], "2 2000 direct");
        assert_eq!(steps[0].step.name.as_deref(), Some("one"));
    }

    #[test]
    fn a_range_gives_its_values() {
        assert_eq!(range_values("1..4").expect("a range"), ["1", "2", "3", "4"]);
        assert_eq!(range_values("1k..3k step 1k").expect("a range"), ["1000", "2000", "3000"]);
        for text in ["4..1", "..", "1..", "a..b", "1..4 step 0", "1..4 by 2", "1k..10k"] {
            assert!(range_values(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_search_has_its_defaults() {
        let text = "[search]\nrate = '5k..60k'\nholds = ['lost == 0', 'generator valid']\n";
        let search = RampFile::parse(text).expect("valid").search.expect("there is one");
        let knee = KneeSearch { low: 5_000.0, high: 60_000.0, within: 0.02, confirm: 3, runs: 20 };
        assert_eq!((search.axis, search.knee), (SearchAxis::Rate, knee));
        assert_eq!(search.condition.to_string(), "lost == 0 and generator valid");
    }

    #[test]
    fn an_error_names_its_line() {
        for (text, line, part) in [
            ("rate = 5\nrset = '1s'\n", 2, "unknown key 'rset'; did you mean 'rest'?"),
            ("[[step]]\nconections = 4\n", 2, "did you mean 'connections'?"),
            ("[sweep]\n\nthread = [1]\n", 3, "did you mean 'threads'?"),
            ("[search]\nrate = '1k..2k'\nhold = 'lost == 0'\n", 3, "did you mean 'holds'?"),
            ("[[step]]\nrate = 1\n[[step]]\nrate = 'fast'\n", 4, "not a rate"),
            ("[sweep]\nrate = '1k..10k'\n", 2, "9001 values; give it a step"),
            ("[sweep]\nrate = [1, 'x']\n", 2, "not a rate"),
            ("[sweep]\nrate = []\n", 2, "no values"),
            ("step = 5\n", 1, "'step' is a table"),
            ("\n[search]\nrate = '1k..2k'\n", 2, "needs a condition"),
            ("[search]\nholds = 'lost == 0'\n", 1, "needs one of rate and connections"),
            ("[search]\nrate = '2k..1k'\nholds = 'lost == 0'\n", 2, "not a range to search"),
            ("[search]\nrate = '1k..2k'\nholds = 'lots == 0'\n", 3, "has no number 'lots'"),
            ("[search]\nrate = '1k..2k'\nholds = 'lost == 0'\nwithin = '200%'\n", 4, "not a share"),
            ("[search]\nrate = '1..2'\nholds = 'lost == 0'\n[[step]]\n", 1, "own steps"),
            ("rest = 'long'\n", 1, "not a duration"),
            ("clear = 3\n", 1, "true or false"),
            ("rate = \n", 1, "value"),
        ] {
            let error = RampFile::parse(text).map(|_| ()).expect_err(text).to_string();
            let begin = format!("line {line}: ");
            assert!(error.starts_with(&begin) && error.contains(part), "{text}: {error}");
        }
    }
}
