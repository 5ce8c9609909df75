//! Data as JSON values and back, always by way of text. So each type has one writer and one reader in the program, and
//! not a second pair for values, which was a fortieth of the binary.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The data as a value; `null` for what JSON cannot express.
pub(crate) fn to_value(data: &impl Serialize) -> Value {
    let text = serde_json::to_string_pretty(data);
    text.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// The data of a value; `None` if it has another shape.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_str(&value.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_keep_every_bit(number in any::<f64>().prop_filter("JSON has it", |n| n.is_finite()), whole: u64) {
            let value = to_value(&(number, whole));
            prop_assert_eq!(value[0].as_f64().map(f64::to_bits), Some(number.to_bits()));
            prop_assert_eq!(value[1].as_u64(), Some(whole));
            let back: Option<(f64, u64)> = from_value(&value);
            prop_assert_eq!(back.map(|(n, w)| (n.to_bits(), w)), Some((number.to_bits(), whole)));
        }
    }

    #[test]
    fn another_shape_is_no_data() {
        assert_eq!(from_value::<u64>(&Value::from("7")), None);
        assert_eq!(to_value(&f64::NAN), Value::Null);
    }
}
