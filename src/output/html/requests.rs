//! The requests of a mix, each by itself: what became of them, and how long they took.

use super::markup::{Figures, Unit, escape, head, key, table};
use crate::report::{ByRequest, Report};

/// Two tables; nothing where there is but one request.
pub(super) fn requests(figures: &Figures<'_>, report: &Report) -> String {
    if report.by_request.is_empty() {
        return String::new();
    }
    let all = || report.by_request.iter().enumerate();
    let counts: Vec<_> = all().map(|(n, request)| counts(&place(figures, n), request)).collect();
    let names =
        ["request", "weight", "sent", "dropped", "completed", "failed", "unfinished", "answers"];
    let times: Vec<_> = all().flat_map(|(n, request)| times(&place(figures, n), request)).collect();
    let columns = ["request", "count", "p50", "p90", "p99", "max"];
    table("What became of each request", &head(names), &counts)
        + &table("How long each request took", &head(columns), &times)
}

fn place<'a>(figures: &Figures<'a>, n: usize) -> Figures<'a> {
    figures.below(&format!("/by_request/{n}"))
}

fn counts(figures: &Figures<'_>, request: &ByRequest) -> Vec<String> {
    let count = |path: &str| figures.show(path, Unit::Count);
    let answers = request
        .status
        .keys()
        .map(|status| format!("{}: {}", escape(status), count(&format!("/status{}", key(status)))));
    let mut cells = vec![escape(&request.name)];
    let paths = ["/weight", "/sent", "/dropped", "/completed", "/failed", "/unfinished"];
    cells.extend(paths.map(count));
    cells.push(answers.collect::<Vec<_>>().join("<br>"));
    cells
}

/// A row for each of its distributions.
fn times(figures: &Figures<'_>, request: &ByRequest) -> Vec<Vec<String>> {
    let arrival = request.arrival.iter().map(|_| "arrival");
    let row = |name: &str| {
        let time = |column: &str| figures.show(&format!("/{name}/{column}"), Unit::Time);
        let mut cells = vec![format!("{}, {name}", escape(&request.name))];
        cells.push(figures.show(&format!("/{name}/count"), Unit::Count));
        cells.extend(["p50", "p90", "p99", "max"].map(time));
        cells
    };
    arrival.chain(["response", "service"]).map(row).collect()
}
