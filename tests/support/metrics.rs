//! A strict reader of Prometheus text 0.0.4 and OpenMetrics 1.0.

use std::collections::BTreeMap;

/// Sample (name with its labels) → value.
pub(crate) type Samples = BTreeMap<String, f64>;

/// The samples of a text, if every line is right.
#[track_caller]
pub(crate) fn samples(text: &str, open_metrics: bool) -> Samples {
    let body = if open_metrics {
        text.strip_suffix("# EOF\n").expect("OpenMetrics ends in # EOF")
    } else {
        text
    };
    assert!(body.ends_with('\n') && !body.contains("# EOF") && !body.contains("\n\n"), "{text}");
    let mut all = Samples::new();
    let mut families = Vec::new();
    let mut lines = body.lines().peekable();
    while let Some(help) = lines.next() {
        let help = help.strip_prefix("# HELP ").unwrap_or_else(|| panic!("not a HELP: {help}"));
        let (family, words) = help.split_once(' ').expect("a name and a text");
        assert!(is_name(family) && !words.is_empty(), "{help}");
        assert!(!families.contains(&family.to_owned()), "{family} comes twice");
        families.push(family.to_owned());
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {family} ")));
        let kind = kind.unwrap_or_else(|| panic!("no TYPE after the HELP of {family}"));
        let mut own = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            own.push(sample(line));
        }
        check(family, kind, &own, open_metrics);
        for (name, labels, value) in own {
            let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
            let key = format!("{name}{{{}}}", labels.collect::<Vec<_>>().join(","));
            assert_eq!(all.insert(key.replace("{}", ""), value), None, "{name} comes twice");
        }
    }
    all
}

type Sample = (String, Vec<(String, String)>, f64);

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// `name{label="value",…} number`
fn sample(line: &str) -> Sample {
    let (head, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, labels)) = head.split_once('{') else {
        assert!(is_name(head), "{line}");
        return (head.to_owned(), Vec::new(), value);
    };
    assert!(is_name(name), "{line}");
    let mut rest = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels: {line}"));
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (label, quoted) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        assert!(is_name(label), "{line}");
        let (value, after) = unquote(quoted).unwrap_or_else(|| panic!("bad quotes: {line}"));
        labels.push((label.to_owned(), value));
        rest = after.strip_prefix(',').unwrap_or(after);
        assert!(after.is_empty() || after.len() > rest.len(), "no comma: {line}");
    }
    (name.to_owned(), labels, value)
}

/// Text before the closing quote, unescaped, and the rest after it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"') => value.push(c),
                _ => return None,
            },
            c => value.push(c),
        }
    }
    None
}

/// The samples are those of a family of that kind.
fn check(family: &str, kind: &str, own: &[Sample], open_metrics: bool) {
    let (first, labels, value) = own.first().unwrap_or_else(|| panic!("{family} has no samples"));
    match kind {
        "counter" => {
            let wanted = if open_metrics { format!("{family}_total") } else { family.to_owned() };
            assert!(wanted.ends_with("_total") && own.len() == 1, "{own:?}");
            assert!(*first == wanted && *value >= 0.0, "{own:?}");
        }
        "info" => assert!(open_metrics && *first == format!("{family}_info"), "{own:?}"),
        "gauge" => assert!(own.iter().all(|(name, ..)| name == family), "{own:?}"),
        "histogram" => {
            let named = |ending: &str| {
                let name = format!("{family}_{ending}");
                own.iter().filter(move |sample| sample.0 == name).collect::<Vec<_>>()
            };
            let (buckets, sum, count) = (named("bucket"), named("sum"), named("count"));
            assert_eq!((sum.len(), count.len(), buckets.len() + 2), (1, 1, own.len()), "{own:?}");
            let bound = |sample: &&Sample| match sample.1.as_slice() {
                [(name, bound)] if name == "le" => {
                    assert!(bound == "+Inf" || bound.contains('.'), "{bound} is not a float");
                    bound.parse::<f64>().expect("a bound")
                }
                labels => panic!("labels of a bucket: {labels:?}"),
            };
            let rises =
                |pair: &[&Sample]| bound(&pair[0]) < bound(&pair[1]) && pair[0].2 <= pair[1].2;
            assert!(buckets.windows(2).all(rises), "{own:?}");
            let last = buckets.last().expect("buckets");
            assert_eq!((bound(last), last.2), (f64::INFINITY, count[0].2), "{own:?}");
        }
        other => panic!("{family} is a {other}"),
    }
    if kind == "info" {
        assert!(!labels.is_empty() && *value == 1.0, "{own:?}");
    }
}
