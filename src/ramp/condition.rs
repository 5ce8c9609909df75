//! The condition of a search: `arrival.p99 < 5ms and lost == 0 and queue not growing and generator valid`.

use std::fmt;

use crate::analysis::queue_growth::growth;
use crate::config::plan::{Plan, PlanError, Target, Threshold};
use crate::core::units::format_count;
use crate::report::ramp::NOT_KNOWN;
use crate::report::{Report, check_name, check_unit, format_number, number, numbers_ending_in};

/// Where the parts of a condition come from, for errors.
const PLACE: &str = "holds";

/// A share of requests without a good answer, in percent, above which a trial does not hold, whatever
/// its condition: answers that are neither 2xx nor 3xx are no capacity, nor are those that never came.
const MOST_BAD_PERCENT: f64 = 0.1;
/// Below so long a time the series has fewer than two whole seconds, and no queue is seen to grow.
const LEAST_TO_GROW_S: f64 = 2.0;

/// What must hold of a report: all of its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Number(Threshold),
    QueueNotGrowing,
    GeneratorValid,
}

impl Condition {
    /// Parts joined by `and`: comparisons of the report's numbers, which may go by the end of their
    /// name where only one ends so, `queue not growing`, and `generator valid`.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = words.split(" and ").map(part).collect::<Result<_, _>>()?;
        Ok(Self { text: words, parts })
    }

    /// Adds the rows of the stages that it is about to the plan.
    pub fn add_stages(&self, plan: &mut Plan) -> Result<(), PlanError> {
        self.parts.iter().try_for_each(|part| match part {
            Part::Number(threshold) => plan.pipeline.add_stage_of(PLACE, threshold),
            Part::QueueNotGrowing | Part::GeneratorValid => Ok(()),
        })
    }

    /// Refuses what a run of this plan cannot tell.
    pub fn check(&self, plan: &Plan) -> Result<(), PlanError> {
        self.parts.iter().try_for_each(|part| match part {
            Part::Number(threshold) => plan.check_values(PLACE, threshold),
            Part::QueueNotGrowing => check_queue(plan),
            Part::GeneratorValid => Ok(()),
        })
    }

    /// Reasons why it does not hold, with the numbers: of every condition, a run that proves nothing, and
    /// more than a thousandth of the requests without a good answer; then its parts. `None` when all
    /// hold. What cannot be judged does not hold.
    pub fn broken_by(&self, report: &Report) -> Option<String> {
        let parts = self.parts.iter().filter_map(|part| part.broken_by(report));
        let always = report.failure_names().into_iter().chain(unanswered(report));
        let broken: Vec<_> = always.chain(parts).collect();
        (!broken.is_empty()).then(|| broken.join("; "))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Of a report without requests there is nothing to say.
fn unanswered(report: &Report) -> Option<String> {
    let requests = &report.requests;
    let percent = |some: u64, all: u64| some as f64 * 100.0 / all.max(1) as f64;
    let refused = percent(requests.refused(), requests.completed);
    let missing = requests.failed + requests.dropped + requests.unfinished;
    let missing = percent(missing, requests.planned);
    let told = [
        (refused, "of the answers were neither 2xx nor 3xx"),
        (missing, "of the requests were not answered"),
    ];
    let reasons = told.into_iter().filter(|(percent, _)| *percent > MOST_BAD_PERCENT);
    let reasons: Vec<_> = reasons.map(|(percent, what)| format!("{percent:.1}% {what}")).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

fn check_queue(plan: &Plan) -> Result<(), PlanError> {
    if plan.target != Target::Pipeline && plan.pipeline.redis.is_none() {
        return Err(PlanError::new(format!(
            "{PLACE} 'queue not growing': no queue is watched; name its Redis with redis = \"redis://HOST\""
        )));
    }
    match plan.load.longest_s().filter(|seconds| *seconds < LEAST_TO_GROW_S) {
        Some(seconds) => Err(PlanError::new(format!(
            "{PLACE} 'queue not growing': it needs at least {LEAST_TO_GROW_S} s, and this run sends \
             for {seconds} s; let it run longer"
        ))),
        None => Ok(()),
    }
}

fn part(text: &str) -> Result<Part, PlanError> {
    match text {
        "queue not growing" => return Ok(Part::QueueNotGrowing),
        "generator valid" => return Ok(Part::GeneratorValid),
        _ => {}
    }
    let refused = |why: String| PlanError::new(format!("{PLACE}: {why}"));
    let threshold = known(Threshold::parse(PLACE, text)?).map_err(refused)?;
    check_unit(&threshold).map_err(refused)?;
    Ok(Part::Number(threshold))
}

/// The condition on the number that it names, or that alone ends so.
fn known(threshold: Threshold) -> Result<Threshold, String> {
    let Err(why) = check_name(threshold.name()) else { return Ok(threshold) };
    match numbers_ending_in(threshold.name()).as_slice() {
        [only] => Ok(threshold.named(only)),
        _ => Err(why),
    }
}

impl Part {
    fn broken_by(&self, report: &Report) -> Option<String> {
        match self {
            Self::Number(threshold) => match number(report, threshold.name()) {
                Some(value) if threshold.holds(value) => None,
                Some(value) => {
                    let name = threshold.name();
                    Some(format!("{name} is {}", format_number(name, value)))
                }
                None => Some(format!("{} {NOT_KNOWN}", threshold.name())),
            },
            Self::QueueNotGrowing => match growth(report) {
                None => Some(format!("how the queue grew {NOT_KNOWN}")),
                Some(growth) => growth.is_growing().then(|| {
                    format!("the queue grew by {}/s", format_count(growth.per_s.round() as u64))
                }),
            },
            Self::GeneratorValid => (report.verdict.generator != "valid")
                .then(|| format!("the generator is {}", report.verdict.generator)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::example;

    #[test]
    fn all_parts_must_hold() {
        let report = example::report(1_000.0);
        let broken = |text: &str| Condition::parse(text).expect(text).broken_by(&report);
        let all = "arrival.p99 < 5ms  and lost == 0 and queue not growing and generator valid";
        assert_eq!(broken(all), None);
        assert_eq!(broken("arrival.p99 < 1us").as_deref(), Some("arrival.p99 is 2.00ms"));
        let both = broken("lost > 0 and arrival.p99_99 < 1s").expect("broken");
        assert_eq!(both, "messages.lost is 0; arrival.p99_99 is not known");
    }

    #[test]
    fn a_queue_that_grows_and_a_generator_that_is_late_break_it() {
        let mut report = example::report(1_000.0);
        for (second, row) in report.series.iter_mut().enumerate() {
            row.queue_depth = Some(200 * second as u64);
        }
        report.verdict.generator = "limited".to_owned();
        let condition = Condition::parse("queue not growing and generator valid").expect("valid");
        let broken = condition.broken_by(&report);
        assert_eq!(broken.as_deref(), Some("the queue grew by 200/s; the generator is limited"));
        report.series.iter_mut().for_each(|row| row.queue_depth = None);
        assert!(condition.broken_by(&report).is_some_and(|why| why.contains("not known")));
    }

    #[test]
    fn a_trial_without_good_answers_does_not_hold_whatever_its_condition() {
        let condition = Condition::parse("generator valid").expect("valid");
        let broken = |change: fn(&mut Report)| {
            let mut report = example::report(1_000.0);
            change(&mut report);
            condition.broken_by(&report)
        };
        let shed = broken(|report| {
            report.requests.status = [("200".to_owned(), 1_250), ("503".to_owned(), 3_750)].into();
        });
        assert_eq!(shed.as_deref(), Some("75.0% of the answers were neither 2xx nor 3xx"));
        let lost = broken(|report| (report.requests.failed, report.requests.unfinished) = (40, 10));
        assert_eq!(lost.as_deref(), Some("1.0% of the requests were not answered"));
        assert_eq!(broken(|report| report.requests.failed = 5), None, "one in a thousand");
    }

    #[test]
    fn a_trial_that_proves_nothing_does_not_hold_whatever_its_condition() {
        let condition = Condition::parse("generator valid and messages.lost == 0").expect("valid");
        let mut report = example::report(1_000.0);
        assert_eq!(condition.broken_by(&report), None);
        report.verdict.failures = vec!["nothing arrived: 9 messages were accepted.".to_owned()];
        assert_eq!(condition.broken_by(&report).as_deref(), Some("nothing arrived"));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (text, part) in [
            ("", "no comparison"),
            ("queue growing", "no comparison"),
            ("p99 < 5ms", "has no number 'p99'; did you mean"),
            ("arrival.p99 < soon", "not a number, a duration or a percentage"),
            ("lost == 0 and", "not a number, a duration or a percentage"),
            ("lost < 1%", "messages.lost is not a percentage"),
        ] {
            let error = Condition::parse(text).expect_err(text).to_string();
            assert!(error.starts_with("holds") && error.contains(part), "{text}: {error}");
        }
    }
}
