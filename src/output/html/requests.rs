//! The requests of a mix: the account and the times of each.

use super::located::{Located, field, number};
use super::markup::{Unit, escape};
use super::table::{Cell, head, table};
use crate::output::number::Statistic;
use crate::report::{ByRequest, Distribution, Report};

/// Two tables; empty if the run has only one request.
pub(super) fn requests(report: &Located<'_, Report>) -> String {
    let requests: Vec<_> = field!(report, by_request).items().collect();
    if requests.is_empty() {
        return String::new();
    }
    let names =
        ["request", "weight", "sent", "dropped", "completed", "failed", "unfinished", "answers"];
    let columns = ["request", "count", "p50", "p90", "p99", "max"];
    let counts: Vec<_> = requests.iter().map(count_row).collect();
    let times: Vec<_> = requests.iter().flat_map(time_rows).collect();
    table("What became of each request", &head(names), counts)
        + &table("How long each request took", &head(columns), times)
}

fn count_row(request: &Located<'_, ByRequest>) -> Vec<Cell> {
    let mut answers = Vec::new();
    for (status, count) in field!(request, status).entries() {
        answers.push(format!("{}: {}", escape(&status), count.number().show(Unit::Count)));
    }
    let counts = [
        number!(request, weight),
        number!(request, sent),
        number!(request, dropped),
        number!(request, completed),
        number!(request, failed),
        number!(request, unfinished),
    ];
    let mut cells = vec![Cell::from(escape(&request.name))];
    cells.extend(counts.map(|count| count.cell(Unit::Count)));
    cells.push(answers.join("<br>").into());
    cells
}

/// A row for each distribution of the request.
fn time_rows(request: &Located<'_, ByRequest>) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    if let Some(arrival) = field!(request, arrival).known() {
        rows.push(time_row(&request.name, "arrival", &arrival));
    }
    rows.push(time_row(&request.name, "response", &field!(request, response)));
    rows.push(time_row(&request.name, "service", &field!(request, service)));
    rows
}

fn time_row(request: &str, name: &str, times: &Located<'_, Distribution>) -> Vec<Cell> {
    let statistics = [Statistic::P50, Statistic::P90, Statistic::P99, Statistic::Max];
    let mut cells = vec![Cell::from(format!("{}, {name}", escape(request)))];
    cells.push(number!(times, count).cell(Unit::Count));
    cells.extend(statistics.map(|statistic| times.statistic(statistic).cell(Unit::Time)));
    cells
}
