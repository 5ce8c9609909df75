//! A whole and its parts as one bar.

use super::chart::legend;
use super::markup::escape;

/// A part of a whole that is counted, such as the requests that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share<'a> {
    pub(super) name: &'a str,
    pub(super) class: &'a str,
    pub(super) count: u64,
}

/// Smallest width of a share that is not zero, as a part of the bar: it stays visible.
const LEAST_WIDTH: f64 = 0.004;

/// A whole and its shares as one bar, with its legend. `by` says what the shares are by.
pub(super) fn bar(whole: &str, by: &str, shares: &[Share<'_>]) -> String {
    let present: Vec<_> = shares.iter().filter(|share| share.count > 0).collect();
    let sum: f64 = present.iter().map(|share| share.count as f64).sum();
    let widths: Vec<_> =
        present.iter().map(|share| (share.count as f64 / sum).max(LEAST_WIDTH)).collect();
    let all: f64 = widths.iter().sum();
    let (mut at, mut parts) = (0.0, String::new());
    for (share, width) in present.iter().zip(widths) {
        let width = width / all;
        parts += &format!(
            "<rect class=\"{}\" x=\"{:.3}%\" width=\"{:.3}%\" height=\"100%\"/>",
            share.class,
            at * 100.0,
            width * 100.0
        );
        at += width;
    }
    let legend = legend(present.iter().map(|share| (share.class, share.name)));
    let whole = escape(whole);
    format!(
        "<div class=\"share\"><h4>{whole}</h4><svg role=\"img\" aria-label=\"{whole} {by}\">{parts}</svg>{legend}</div>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_share_is_visible() {
        let shares = [
            Share { name: "arrived", class: "good", count: 1_000_000 },
            Share { name: "lost", class: "bad", count: 1 },
            Share { name: "unknown", class: "dull", count: 0 },
        ];
        let bar = bar("Messages", "by end", &shares);
        assert!(bar.contains("<rect class=\"bad\" x=\"99.602%\" width=\"0.398%\""), "{bar}");
        assert!(!bar.contains("unknown"), "{bar}");
    }
}
