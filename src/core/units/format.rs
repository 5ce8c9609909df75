//! Quantities as they are printed: in wrk's units and widths, so that what reads wrk's output reads ours.

use std::time::Duration;

/// Unit of a time in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    Micros,
    Millis,
    Seconds,
}

impl TimeUnit {
    /// The largest unit of which a rounded time, in microseconds, has at least one.
    pub(crate) fn of(micros: f64) -> Self {
        if micros < 999.5 {
            Self::Micros
        } else if micros < 999_500.0 {
            Self::Millis
        } else {
            Self::Seconds
        }
    }

    /// One unit for all times of a column, in microseconds, so that their digits can be compared. It is that of the longest
    /// one, and milliseconds if the shortest would be lost in seconds.
    pub(crate) fn of_column(micros: impl Iterator<Item = f64>) -> Self {
        let (mut shortest, mut longest) = (f64::INFINITY, 0.0f64);
        for time in micros.filter(|time| time.is_finite() && *time > 0.0) {
            (shortest, longest) = (shortest.min(time), longest.max(time));
        }
        match Self::of(longest) {
            Self::Seconds if shortest < 9_995.0 => Self::Millis,
            unit => unit,
        }
    }

    /// A time in microseconds as text: three significant digits, or fewer if it is short for the unit. The gap stands between
    /// number and unit.
    pub(crate) fn write(self, micros: f64, gap: &str) -> String {
        let (divisor, name) = match self {
            Self::Micros => (1.0, "µs"),
            Self::Millis => (1e3, "ms"),
            Self::Seconds => (1e6, "s"),
        };
        format!("{}{gap}{name}", three_digits(micros / divisor))
    }
}

/// A number with three significant digits, at most three decimals unless they were zeros, and all digits of its whole part.
pub(crate) fn three_digits(value: f64) -> String {
    let decimals = match value {
        0.0 => 0,
        value if value < 0.0005 => 5,
        value if value < 0.9995 => 3,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        value if value < 999.5 => 0,
        value => return format_count(value.round() as u64),
    };
    format!("{value:.decimals$}")
}

/// A time in microseconds with three significant digits: `564µs`, `1.07ms`, `12.3s`.
pub(crate) fn format_time(micros: f64) -> String {
    TimeUnit::of(micros).write(micros, "")
}

/// Microseconds in wrk's way: two decimals in `us`, `ms`, `s` or `m`; wrk does not get to hours.
pub(crate) fn format_wrk_time(micros: f64) -> String {
    if micros >= 1e6 {
        return format_scaled(micros / 1e6, 60.0, "s", &["m"]);
    }
    format_scaled(micros, 1000.0, "us", &["ms"])
}

/// A count in wrk's way: `512.00`, `56.20k`.
pub(crate) fn format_metric(amount: f64) -> String {
    format_scaled(amount, 1000.0, "", &["k", "M", "G", "T"])
}

/// Bytes in wrk's way: `17.76MB` with the `B` left to the caller, as wrk leaves it.
pub(crate) fn format_binary(bytes: f64) -> String {
    format_scaled(bytes, 1024.0, "", &["K", "M", "G", "T"])
}

/// An amount of memory in binary units: `15.67MiB`.
pub(crate) fn format_memory(bytes: f64) -> String {
    let unit = if bytes < 1024.0 { "B" } else { "iB" };
    format!("{}{unit}", format_binary(bytes))
}

/// A test's length for wrk's opening line: whole seconds, or whole minutes as `2m`. Where wrk rounds
/// (it calls 90 s `2m`) this stays true and readable by the same parsers: `90s`, `3.42s`.
pub(crate) fn format_length(seconds: f64) -> String {
    let whole = seconds.round();
    if (seconds - whole).abs() >= 0.001 || whole == 0.0 {
        return format_wrk_time(seconds * 1e6);
    }
    match whole as u64 {
        s if s.is_multiple_of(60) => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A duration as people write it, exactly: `10s`, `2m`, `1m30s`, `1s500ms`.
pub(crate) fn format_duration(span: Duration) -> String {
    if span.subsec_nanos() != 0 || span.as_secs() == 0 {
        return humantime::format_duration(span).to_string().replace(' ', "");
    }
    match span.as_secs() {
        s if s % 3600 == 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 => format!("{}m", s / 60),
        _ => humantime::format_duration(span).to_string().replace(' ', ""),
    }
}

/// wrk changes unit at 85 % of the next one: 850 us print as `0.85ms`, and 52 s as `0.87m`.
fn format_scaled(amount: f64, step: f64, base: &str, units: &[&str]) -> String {
    let (mut amount, mut unit) = (amount, base);
    for next in units {
        if amount < step * 0.85 {
            break;
        }
        amount /= step;
        unit = next;
    }
    format!("{amount:.2}{unit}")
}

/// A count with three digits: `512`, `24.0k`, `1.25M`.
pub(crate) fn format_short_metric(amount: f64) -> String {
    if amount < 999.5 {
        return format!("{amount:.0}");
    }
    let (mut amount, mut units) = (amount, ["", "k", "M", "G", "T"].into_iter());
    while amount >= 999.5 && units.len() > 1 {
        amount /= 1000.0;
        units.next();
    }
    format!("{}{}", three_digits(amount), units.next().unwrap_or_default())
}

/// Right-aligns a printed quantity as wrk does: one with a two-letter unit ends at the column, a
/// shorter unit is padded after it, so that the digits stand below each other.
pub(crate) fn align(text: &str, width: usize) -> String {
    let letters = text.bytes().rev().take(2).filter(u8::is_ascii_alphabetic).count();
    let pad = 2 - letters.min(2);
    format!("{text:>0$}{1:pad$}", width.saturating_sub(pad), "")
}

/// Groups the digits of a count by thousands: `240,000`.
pub fn format_count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Formats a count with the noun that fits: `1 message was`, `2,000 messages were`.
pub(crate) fn format_some(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", format_count(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text was printed by wrk's own functions.
    #[test]
    fn quantities_print_as_wrk_prints_them() {
        for (micros, text) in [
            (0.0, "0.00us"),
            (0.5, "0.50us"),
            (635.914, "635.91us"),
            (849.994, "849.99us"),
            (850.0, "0.85ms"),
            (1_000.0, "1.00ms"),
            (850_000.0, "850.00ms"),
            (999_999.0, "1000.00ms"),
            (1_000_000.0, "1.00s"),
            (50_990_000.0, "50.99s"),
            (51_000_000.0, "0.85m"),
            (60_000_000.0, "1.00m"),
            (3_600_000_000.0, "60.00m"),
            (7_200_000_000.0, "120.00m"),
        ] {
            assert_eq!(format_wrk_time(micros), text, "{micros}");
        }
        for (count, text) in [
            (0.0, "0.00"),
            (849.0, "849.00"),
            (850.0, "0.85k"),
            (56_200.0, "56.20k"),
            (850_000.0, "0.85M"),
            (2.5e9, "2.50G"),
            (3e12, "3.00T"),
            (4e15, "4000.00T"),
        ] {
            assert_eq!(format_metric(count), text, "{count}");
        }
        for (bytes, text) in [
            (0.0, "0.00"),
            (870.0, "870.00"),
            (871.0, "0.85K"),
            (1_024.0, "1.00K"),
            (18_622_906.0, "17.76M"),
            (5_368_709_120.0, "5.00G"),
            (1_099_511_627_776.0, "1.00T"),
        ] {
            assert_eq!(format_binary(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn times_have_three_significant_digits() {
        for (micros, text) in [
            (0.0, "0µs"),
            (0.0624, "0.062µs"),
            (20.03, "20.0µs"),
            (635.914, "636µs"),
            (999.4, "999µs"),
            (999.5, "1.00ms"),
            (9_994.0, "9.99ms"),
            (9_996.0, "10.0ms"),
            (850_000.0, "850ms"),
            (999_999.0, "1.00s"),
            (75_300_000.0, "75.3s"),
            (7_200_000_000.0, "7,200s"),
        ] {
            assert_eq!(format_time(micros), text, "{micros}");
        }
    }

    #[test]
    fn short_counts_have_three_digits() {
        for (count, text) in
            [(0.0, "0"), (99.0, "99"), (999.6, "1.00k"), (24_000.0, "24.0k"), (1.254e6, "1.25M")]
        {
            assert_eq!(format_short_metric(count), text, "{count}");
        }
    }

    #[test]
    fn a_column_of_times_has_one_unit() {
        for (column, unit) in [
            (&[20.0, 564.0, f64::NAN][..], TimeUnit::Micros),
            (&[0.0, 20.0, 1_070.0], TimeUnit::Millis),
            (&[20_000.0, 2_000_000.0], TimeUnit::Seconds),
            (&[20.0, 2_000_000.0], TimeUnit::Millis),
            (&[], TimeUnit::Micros),
        ] {
            assert_eq!(TimeUnit::of_column(column.iter().copied()), unit, "{column:?}");
        }
        assert_eq!(TimeUnit::Millis.write(20.0, " "), "0.020 ms");
        assert_eq!(TimeUnit::Millis.write(2_340_000.0, " "), "2,340 ms");
    }

    #[test]
    fn quantities_stand_below_each_other_as_wrks() {
        assert_eq!(align("635.91us", 9), " 635.91us");
        assert_eq!(align("1.20s", 9), "   1.20s ");
        assert_eq!(align("56.20k", 9), "  56.20k ");
        assert_eq!(align("512.00", 9), " 512.00  ");
        assert_eq!(format_count(240_000), "240,000");
        assert_eq!(format_count(999), "999");
    }

    #[test]
    fn a_length_is_wrks_where_wrk_does_not_round() {
        for (seconds, text) in [
            (1.0, "1s"),
            (30.0, "30s"),
            (60.0, "1m"),
            (120.0, "2m"),
            (3_600.0, "60m"),
            (55.0, "55s"),
            (90.0, "90s"),
            (9.9996, "10s"),
            (3.417, "3.42s"),
            (0.25, "250.00ms"),
            (0.0, "0.00us"),
        ] {
            assert_eq!(format_length(seconds), text, "{seconds}");
        }
        assert_eq!(format_duration(Duration::from_secs(90)), "1m30s");
        assert_eq!(format_duration(Duration::from_secs(120)), "2m");
        assert_eq!(format_duration(Duration::from_millis(1500)), "1s500ms");
    }
}
