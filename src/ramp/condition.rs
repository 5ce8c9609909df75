//! The condition of a search: `arrival.p99 < 5ms and lost == 0 and queue not growing and generator valid`.

use std::fmt;

use crate::analysis::queue_growth::{QueueGrowth, queue_growth};
use crate::config::plan::{Plan, PlanError, QueueDepth, Target, Threshold};
use crate::report::ramp::UnmetReason;
use crate::report::{Report, check_name, check_unit, number, numbers_ending_in};

/// Key of the condition in a profile, for errors.
const PLACE: &str = "holds";

/// Percentage of requests without a good answer above which a trial does not hold, whatever its condition:
/// neither errors nor missing answers are capacity.
const MOST_BAD_PERCENT: f64 = 0.1;
/// Shortest sending time, in seconds, in which growth of the queue can be seen: two rows of the series.
const LEAST_TO_GROW_S: f64 = 2.0;

/// The condition on a report: all of its parts must hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    text: String,
    parts: Vec<ConditionPart>,
}

#[derive(Debug, Clone, PartialEq)]
enum ConditionPart {
    Number(Threshold),
    QueueNotGrowing,
    GeneratorValid,
}

impl Condition {
    /// Parses parts joined by `and`: comparisons of the report's numbers, `queue not growing`, and
    /// `generator valid`. The end of a number's name is enough if only one name ends so.
    pub(super) fn parse(text: &str) -> Result<Self, PlanError> {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let parts = words.split(" and ").map(ConditionPart::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: words, parts })
    }

    /// Adds the stages that the condition needs to the plan.
    pub(super) fn add_stages(&self, plan: &mut Plan) -> Result<(), PlanError> {
        self.parts.iter().try_for_each(|part| match part {
            ConditionPart::Number(threshold) => plan.pipeline.add_stage_of(PLACE, threshold),
            ConditionPart::QueueNotGrowing | ConditionPart::GeneratorValid => Ok(()),
        })
    }

    /// Refuses a condition that a run of this plan cannot decide.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), PlanError> {
        self.parts.iter().try_for_each(|part| match part {
            ConditionPart::Number(threshold) => plan.check_values(PLACE, threshold),
            ConditionPart::QueueNotGrowing => check_queue(plan),
            ConditionPart::GeneratorValid => Ok(()),
        })
    }

    /// The reasons why it does not hold; none if it holds. Every condition includes that the run did not fail and
    /// that at most a thousandth of the requests had no good answer. A part that cannot be judged does not hold.
    pub(super) fn unmet_reasons(&self, report: &Report) -> Vec<UnmetReason> {
        let failures = report.failure_names().into_iter();
        let mut reasons: Vec<_> =
            failures.map(|failure| UnmetReason::RunFailed { failure }).collect();
        let requests = &report.requests;
        let percent = percent(requests.refused(), requests.completed);
        if percent > MOST_BAD_PERCENT {
            reasons.push(UnmetReason::BadAnswers { percent });
        }
        let percent = missing_percent(report);
        if percent > MOST_BAD_PERCENT {
            reasons.push(UnmetReason::NotAnswered { percent });
        }
        reasons.extend(self.parts.iter().filter_map(|part| part.unmet_reason(report)));
        reasons
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Requests without an answer in percent of the planned ones.
fn missing_percent(report: &Report) -> f64 {
    let requests = &report.requests;
    let missing = requests.failed + requests.dropped + requests.unfinished;
    percent(missing, requests.planned)
}

/// A part of a whole in percent; 0 of an empty whole.
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn check_queue(plan: &Plan) -> Result<(), PlanError> {
    let has_redis = plan.target == Target::Pipeline || plan.pipeline.redis.is_some();
    if !has_redis || plan.pipeline.queue_depth == QueueDepth::None {
        return Err(PlanError::new(format!(
            "{PLACE} 'queue not growing': this run does not watch a queue; name its Redis with \
             redis = \"redis://HOST\", and leave queue-depth out or name the queue"
        )));
    }
    match plan.load.longest_s().filter(|seconds| *seconds < LEAST_TO_GROW_S) {
        Some(seconds) => Err(PlanError::new(format!(
            "{PLACE} 'queue not growing' needs at least {LEAST_TO_GROW_S} s; this run sends for {seconds} s. \
             Run longer"
        ))),
        None => Ok(()),
    }
}

/// The threshold on the number that it names, or on the only number whose name ends so.
fn with_full_name(threshold: Threshold) -> Result<Threshold, String> {
    let Err(why) = check_name(threshold.name()) else { return Ok(threshold) };
    match numbers_ending_in(threshold.name()).as_slice() {
        [only] => Ok(threshold.named(only)),
        _ => Err(why),
    }
}

impl ConditionPart {
    fn parse(text: &str) -> Result<Self, PlanError> {
        match text {
            "queue not growing" => return Ok(Self::QueueNotGrowing),
            "generator valid" => return Ok(Self::GeneratorValid),
            _ => {}
        }
        let threshold =
            with_full_name(Threshold::parse(PLACE, text)?).map_err(|why| refused(&why))?;
        check_unit(&threshold).map_err(|why| refused(&why))?;
        Ok(Self::Number(threshold))
    }

    fn unmet_reason(&self, report: &Report) -> Option<UnmetReason> {
        match self {
            Self::Number(threshold) => {
                let name = threshold.name().to_owned();
                match number(report, threshold.name()) {
                    Some(value) if threshold.holds(value) => None,
                    Some(value) => Some(UnmetReason::Number { name, value }),
                    None => Some(UnmetReason::NumberNotKnown { name }),
                }
            }
            Self::QueueNotGrowing => match queue_growth(report) {
                None => Some(UnmetReason::QueueGrowthNotKnown),
                Some(growth) => growth_reason(growth),
            },
            Self::GeneratorValid => (!report.verdict.generator.is_valid())
                .then_some(UnmetReason::Generator { state: report.verdict.generator }),
        }
    }
}

fn growth_reason(growth: QueueGrowth) -> Option<UnmetReason> {
    growth.is_growing().then_some(UnmetReason::QueueGrew { per_s: growth.per_s })
}

fn refused(why: &str) -> PlanError {
    PlanError::new(format!("{PLACE}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::example;
    use crate::report::ramp::Trial;

    /// The reasons as one sentence.
    fn because(condition: &Condition, report: &Report) -> Option<String> {
        Trial::new(1.0, 0, condition.unmet_reasons(report)).because
    }

    #[test]
    fn all_parts_must_hold() {
        let report = example::report(1_000.0);
        let broken = |text: &str| because(&Condition::parse(text).expect(text), &report);
        let all = "arrival.p99 < 5ms  and lost == 0 and queue not growing and generator valid";
        assert_eq!(broken(all), None);
        assert_eq!(broken("arrival.p99 < 1us").as_deref(), Some("arrival.p99 is 2.00ms"));
        let both = broken("lost > 0 and arrival.p99_99 < 1s").expect("broken");
        assert_eq!(both, "messages.lost is 0; arrival.p99_99 is not known");
    }

    #[test]
    fn a_growing_queue_and_a_limited_generator_break_it() {
        let mut report = example::report(1_000.0);
        for (second, row) in report.series.iter_mut().enumerate() {
            row.queue_depth = Some(200 * second as u64);
        }
        report.verdict.generator = crate::report::GeneratorState::Limited;
        let condition = Condition::parse("queue not growing and generator valid").expect("valid");
        let broken = because(&condition, &report);
        assert_eq!(broken.as_deref(), Some("the queue grew by 200/s; the generator is limited"));
        report.series.iter_mut().for_each(|row| row.queue_depth = None);
        assert!(because(&condition, &report).is_some_and(|why| why.contains("not known")));
    }

    #[test]
    fn a_trial_without_good_answers_does_not_hold_whatever_its_condition() {
        let condition = Condition::parse("generator valid").expect("valid");
        let broken = |change: fn(&mut Report)| {
            let mut report = example::report(1_000.0);
            change(&mut report);
            because(&condition, &report)
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
    fn a_trial_of_a_failed_run_does_not_hold_whatever_its_condition() {
        let condition = Condition::parse("generator valid and messages.lost == 0").expect("valid");
        let mut report = example::report(1_000.0);
        assert_eq!(because(&condition, &report), None);
        report.verdict.failures =
            vec![crate::report::Remark::from_text("nothing arrived: 9 messages were accepted.")];
        assert_eq!(because(&condition, &report).as_deref(), Some("nothing arrived"));
    }

    #[test]
    fn a_text_that_is_not_a_condition_is_refused() {
        for (text, part) in [
            ("", "does not have a comparison"),
            ("queue growing", "does not have a comparison"),
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
