use serde_json::{Number, Value, json};

/// Numbers that break arithmetic.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1",
    "0.5",
    "-0.0",
    "1e19",
    "1e308",
    "-1e308",
    "9007199254740992",
    "9223372036854775807",
    "18446744073709551615",
    "4294967295",
    "5e-324",
    "1e9",
];

/// Strings that break rows, markup and terminals.
const STRINGS: [&str; 9] = [
    "",
    "\u{1b}[31m\u{9b}2J\u{202e}",
    "=1+1",
    "a\nb\r\tc",
    "<script>|`![x](y)\"',;\\",
    "9999-12-31T23:59:59Z",
    "HISTFAAAAAB4nA==",
    "é\u{feff}漢👍\u{fffe}\0",
    "arrival.p99>5ms",
];

/// A xorshift generator: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

/// The mutation of that number: one or two changes of the document.
pub(super) fn mutate(original: &str, number: u64) -> Vec<u8> {
    let mut random = Random((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    match random.below(8) {
        0 => flip_bits(original, &mut random),
        1 => original.as_bytes()[..random.below(original.len())].to_vec(),
        _ => {
            let mut document: Value = serde_json::from_str(original).expect("a report");
            for _ in 0..=random.below(2) {
                change(&mut document, &mut random);
            }
            document.to_string().into_bytes()
        }
    }
}

fn flip_bits(original: &str, random: &mut Random) -> Vec<u8> {
    let mut bytes = original.as_bytes().to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
    bytes
}

/// Changes one value, found by going down from the top at random.
fn change(value: &mut Value, random: &mut Random) {
    match value {
        Value::Object(fields) if !fields.is_empty() && random.below(12) > 0 => {
            let key = fields.keys().nth(random.below(fields.len())).cloned().unwrap_or_default();
            if random.below(30) == 0 {
                fields.remove(&key);
            } else if random.below(30) == 0 {
                let moved = fields.remove(&key).unwrap_or_default();
                fields.insert(STRINGS[random.below(STRINGS.len())].to_owned(), moved);
            } else if let Some(field) = fields.get_mut(&key) {
                change(field, random);
            }
        }
        Value::Array(items) if !items.is_empty() && random.below(12) > 0 => {
            let at = random.below(items.len());
            match random.below(20) {
                0 => _ = items.remove(at),
                1 => items.push(items[at].clone()),
                _ => change(&mut items[at], random),
            }
        }
        value => *value = replacement(value, random),
    }
}

/// Mostly of the same type, which is what a reader lets in.
fn replacement(value: &Value, random: &mut Random) -> Value {
    let number = |random: &mut Random| {
        let text = NUMBERS[random.below(NUMBERS.len())];
        let whole = text.parse::<u64>().map(Number::from).ok();
        let extreme = whole.or_else(|| Number::from_f64(text.parse().unwrap_or_default()));
        match random.below(3) {
            0 => json!(random.below(100_000)),
            1 => json!(random.below(1_000) as f64 / 8.0),
            _ => extreme.map_or(Value::Null, Value::Number),
        }
    };
    let string = |random: &mut Random| json!(STRINGS[random.below(STRINGS.len())]);
    match (value, random.below(6)) {
        (Value::Number(_), 1..) => number(random),
        (Value::String(_), 1..) => string(random),
        (Value::Bool(is), 1..) => json!(!is),
        (_, 0 | 1) => Value::Null,
        (_, 2) => number(random),
        (_, 3) => string(random),
        (_, 4) => json!([]),
        _ => json!({}),
    }
}
