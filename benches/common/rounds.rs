//! Contenders that run in turn, so that changes of the machine affect all of them equally.

use super::table;

/// Measurement of each contender in each round; `None` if it could not run.
#[derive(Debug)]
pub(crate) struct Rounds<M> {
    contenders: Vec<(String, Vec<Option<M>>)>,
    /// Contenders that could not run, and why.
    pub(crate) failed: Vec<String>,
}

/// A figure of a measurement.
#[derive(Debug)]
pub(crate) struct Column<M> {
    pub(crate) title: &'static str,
    /// Digits after the point.
    pub(crate) digits: usize,
    pub(crate) value: fn(&M) -> Option<f64>,
    /// Adds a column with the ratio to the first contender.
    pub(crate) compared: bool,
}

/// Runs every contender once per round. Each round begins with another one, so that none is always first. A contender
/// that could not run is not tried again.
pub(crate) fn play<M>(
    names: &[String],
    rounds: usize,
    mut run: impl FnMut(usize) -> anyhow::Result<M>,
) -> Rounds<M> {
    let contenders = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    let mut played = Rounds { contenders, failed: Vec::new() };
    let mut gone = vec![false; names.len()];
    for round in 0..rounds {
        for turn in 0..names.len() {
            let which = (round + turn) % names.len();
            let (name, measured) = &mut played.contenders[which];
            let result = (!gone[which]).then(|| {
                eprintln!("round {} of {rounds}: {name}", round + 1);
                run(which)
            });
            if let Some(Err(error)) = &result {
                gone[which] = true;
                played.failed.push(format!("{name} ({error:#})"));
            }
            measured.push(result.and_then(Result::ok));
        }
    }
    played
}

impl<M> Rounds<M> {
    /// A row for each contender that ran: medians over the rounds, and the medians of the ratios to
    /// the first contender in the same round.
    pub(crate) fn print(&self, label: &str, columns: &[Column<M>]) {
        let mut header = vec![label.to_owned()];
        for column in columns {
            header.push(column.title.to_owned());
            header.extend(column.compared.then(|| "ratio".to_owned()));
        }
        let ran = self.contenders.iter().filter(|(_, rounds)| rounds.iter().any(Option::is_some));
        let row = |(name, rounds): &(String, Vec<Option<M>>)| {
            let mut row = vec![name.clone()];
            for column in columns {
                row.push(table::number(
                    median(rounds.iter().map(|m| value(column, m))),
                    column.digits,
                ));
                row.extend(column.compared.then(|| table::number(self.ratio(column, rounds), 2)));
            }
            row
        };
        table::print(&header, &ran.map(row).collect::<Vec<_>>());
    }

    /// Every measurement.
    pub(crate) fn all(&self) -> impl Iterator<Item = &M> {
        self.contenders.iter().flat_map(|(_, rounds)| rounds.iter().flatten())
    }

    fn ratio(&self, column: &Column<M>, rounds: &[Option<M>]) -> Option<f64> {
        let (_, first) = self.contenders.first()?;
        let pairs = rounds.iter().zip(first);
        median(pairs.map(|(own, first)| Some(value(column, own)? / value(column, first)?)))
    }
}

fn value<M>(column: &Column<M>, measured: &Option<M>) -> Option<f64> {
    measured.as_ref().and_then(column.value)
}

/// The median of the values that are there.
pub(crate) fn median(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut values: Vec<f64> = values.flatten().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}
