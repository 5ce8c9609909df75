//! Errors about quantities that say what was probably meant.

use super::{UnitError, bad};

/// Units of a rate that people write and loadgen does not read.
const PER_SECOND: [&str; 9] =
    ["rps", "qps", "req/s", "requests/s", "/1s", "/sec", "/second", "ps", "hz"];
/// Units of a rate that are not seconds, with their seconds.
const PER_LONGER: [(&str, f64); 6] = [
    ("rpm", 60.0),
    ("/m", 60.0),
    ("/min", 60.0),
    ("/minute", 60.0),
    ("/h", 3_600.0),
    ("/hour", 3_600.0),
];

/// Refuses `1,000`, and `24.000`, which is 24 to some and 24,000 to others. `what` is the quantity.
pub(super) fn check_thousands(text: &str, what: &str) -> Result<(), UnitError> {
    if is_grouped_by(text, ',') {
        let plain = text.replace(',', "");
        return Err(bad(format!(
            "'{text}' is not {what}: commas are not allowed in it; write {plain}"
        )));
    }
    // Without a zero at the end it is read as a fraction: 12.345.
    if is_grouped_by(text, '.') && text.ends_with('0') && !text.starts_with('0') {
        let (whole, plain) =
            (text.trim_end_matches('0').trim_end_matches('.'), text.replace('.', ""));
        return Err(bad(format!("'{text}' can be {whole} or {plain}; write the one you mean")));
    }
    Ok(())
}

/// Returns true if the digits of a number are in groups of three behind the first.
fn is_grouped_by(text: &str, sign: char) -> bool {
    let mut groups = text.split(sign);
    let is_number = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().is_some_and(|group| is_number(group) && group.len() <= 3);
    let mut rest = groups.peekable();
    first && rest.peek().is_some() && rest.all(|group| is_number(group) && group.len() == 3)
}

/// The error about a text that is not a rate.
pub(super) fn not_a_rate(text: &str) -> UnitError {
    let lower = text.trim().to_lowercase();
    for (unit, seconds) in PER_LONGER {
        let number = lower.strip_suffix(unit).and_then(|number| number.trim().parse::<f64>().ok());
        if let Some(number) = number {
            let per_second = (number / seconds * 1e6).round() / 1e6;
            return bad(format!("'{text}' is not a rate: it is for a second; write {per_second}"));
        }
    }
    let mut numbers = PER_SECOND.iter().filter_map(|unit| lower.strip_suffix(unit));
    match numbers.find_map(|number| super::scaled(number.trim(), 1_000.0).map(|_| number.trim())) {
        Some(number) => {
            bad(format!("'{text}' is not a rate; write {number}, which is requests a second"))
        }
        None => bad(format!("'{text}' is not a rate; write 24000, 24k or 24k/s")),
    }
}

/// The error about a text that is not a duration.
pub(super) fn not_a_duration(text: &str) -> UnitError {
    let with_point = text.replace(',', ".");
    if text.contains(',') && super::parse_duration(&with_point).is_ok() {
        return bad(format!("'{text}' is not a duration; write {with_point}"));
    }
    bad(format!("'{text}' is not a duration; write 10s, 500ms or 1m30s"))
}

#[cfg(test)]
mod tests {
    use super::super::{Rate, parse_count, parse_duration, parse_size};

    #[test]
    fn a_quantity_with_a_mistake_is_answered_with_the_one_that_was_meant() {
        for (text, part) in [
            ("24.000", "can be 24 or 24000; write the one you mean"),
            ("1.500", "can be 1.5 or 1500"),
            ("1.000.000", "can be"),
            ("1,000", "commas are not allowed in it; write 1000"),
            ("1,000,000", "write 1000000"),
            ("100rps", "write 100, which is requests a second"),
            ("5k req/s", "write 5k, which"),
            ("100/1s", "write 100, which"),
            ("50 QPS", "write 50, which"),
            ("90/min", "it is for a second; write 1.5"),
            ("7200/h", "write 2"),
            ("fast", "write 24000, 24k or 24k/s"),
            ("5x", "write 24000, 24k or 24k/s"),
        ] {
            let error = text.parse::<Rate>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let count = parse_count("10.000").expect_err("ambiguous").to_string();
        assert!(count.contains("10 or 10000"), "{count}");
        assert!(parse_size("1,024").expect_err("a comma").to_string().contains("write 1024"));
        let duration = parse_duration("1,5s").expect_err("a comma").to_string();
        assert!(duration.contains("write 1.5s"), "{duration}");
    }

    #[test]
    fn a_fraction_is_not_taken_for_thousands() {
        for text in ["12.345", "0.500", "0.125", "2.5", "1000.125", "1_000", "24.0000"] {
            assert!(text.parse::<Rate>().is_ok(), "{text}");
        }
    }
}
