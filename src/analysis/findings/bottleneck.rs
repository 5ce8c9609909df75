//! The bottleneck of a curve, or the busiest component if no step shows one.

use super::Point;
use super::noise::has_slow_arrivals;
use crate::analysis::bottleneck::{
    Saturation, busiest as busiest_component, has_cpu_limits, saturation,
};
use crate::analysis::overload::overload_signs;
use crate::report::finding::{BusiestComponent, Conclusion, EndState, OverloadSign, SeenAt};

/// The saturated component at the break, if a queue or CPU time shows it there, else at the first later step that had too much
/// load, else what the stages at the break point to. Without a break any step that had too much load is looked at.
pub(super) fn bottleneck(curve: &[Point<'_>], break_place: Option<usize>) -> Option<Conclusion> {
    let places = (break_place.unwrap_or(0)..curve.len()).filter(|place| {
        let is_noise = has_slow_arrivals(curve, *place);
        Some(*place) == break_place || !is_noise && is_overloaded(&curve[*place])
    });
    let found = places.filter_map(|place| Some((place, saturation_at(curve, place)?)));
    let found: Vec<_> = found.collect();
    let clear = found.iter().position(|(_, found)| found.is_clear);
    match found.into_iter().nth(clear.unwrap_or(0)) {
        Some((place, found)) if Some(place) == break_place => {
            Some(Conclusion::Bottleneck(found.into_bottleneck(SeenAt::Break)))
        }
        Some((place, found)) => {
            let seen = SeenAt::Step { step: curve[place].name.to_owned() };
            Some(Conclusion::Bottleneck(found.into_bottleneck(seen)))
        }
        None => busiest(curve, break_place).map(Conclusion::BusiestComponent),
    }
}

fn is_overloaded(point: &Point<'_>) -> bool {
    !overload_signs(point.report).is_empty()
}

/// The saturated component at a step, beside the first step of the curve if that is an earlier one without trouble.
fn saturation_at(curve: &[Point<'_>], place: usize) -> Option<Saturation> {
    let calm = curve[..place].first().filter(|first| !is_overloaded(first));
    saturation(curve[place].report, calm.map(|point| point.report))
}

/// The busiest component of the step at the break, else of the last step.
fn busiest(curve: &[Point<'_>], break_place: Option<usize>) -> Option<BusiestComponent> {
    let (point, end) = match break_place {
        Some(place) => (curve.get(place)?, EndState::BrokeWithoutCause),
        None => (curve.last()?, end_state(curve)?),
    };
    let busiest = busiest_component(point.report).filter(|_| has_cpu_limits(point.report))?;
    Some(BusiestComponent {
        end,
        step: point.name.to_owned(),
        component: busiest.component,
        percent: busiest.percent,
        is_of_one_thread: busiest.is_of_one_thread,
    })
}

/// The end of a curve on which arrival did not break; `None` if it has no step.
fn end_state(curve: &[Point<'_>]) -> Option<EndState> {
    let last = curve.last()?;
    let signs: Vec<_> = curve.iter().flat_map(|point| overload_signs(point.report)).collect();
    Some(if last.is_open() && !last.is_held() {
        EndState::RateNotAnswered
    } else if curve.iter().any(Point::is_silent) {
        EndState::StepWithoutAnswer
    } else if signs.iter().any(|sign| matches!(sign, OverloadSign::Lost { .. })) {
        EndState::MessagesLost
    } else if signs.is_empty() {
        EndState::NothingBroke
    } else {
        EndState::QueueGrew
    })
}
