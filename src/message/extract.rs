//! Reading the MsgID out of a JSON body, and checking on the way that the body is JSON at all.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::id::MsgId;

/// Why a body gave no MsgID. Each says what to do when put after "the body".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdError {
    /// Not JSON, or not a JSON object.
    #[error("is not a JSON object: {0}")]
    NotAnObject(String),
    /// None of the fields that may carry the id is there.
    #[error("has no {0}")]
    Missing(String),
    /// A field that may carry the id is there twice. Parsers differ in which one they take.
    #[error("has {0} more than once")]
    Repeated(String),
    /// The value of the field is not an integer from 0 to 2^53 − 1.
    #[error("has a {0} that is not an integer from 0 to 9007199254740991")]
    NotAnId(String),
    /// A place that may have the id has something else.
    #[error(
        "has no MsgID at {0}: neither a number from 0 to 9007199254740991 nor a text with one at its end, and no UUID or traceparent of loadgen"
    )]
    NoIdAt(String),
}

/// The names of the field that may carry the MsgID, the first one present in this order counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdFields(Vec<String>);

impl Default for IdFields {
    /// `MsgID`, else `id`: the two spellings of the original.
    fn default() -> Self {
        Self(vec!["MsgID".to_owned(), "id".to_owned()])
    }
}

impl IdFields {
    /// One field of the user's own.
    pub(crate) fn only(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// The field that counts before the others.
    pub(crate) fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// The user's own field, if it is not the default.
    pub(crate) fn custom(&self) -> Option<&str> {
        (*self != Self::default()).then(|| self.0.first().map(String::as_str)).flatten()
    }

    /// Returns true if a field at this path, with this key, is probably meant by one of the names.
    pub(crate) fn may_mean(&self, path: &str, key: &str) -> bool {
        self.0.iter().any(|name| name == path || name == key)
    }

    /// The MsgID of a JSON object. The whole body is checked: what follows the id counts too.
    pub(crate) fn extract(&self, body: &[u8]) -> Result<MsgId, IdError> {
        let mut source = serde_json::Deserializer::from_slice(body);
        let found = source
            .deserialize_map(Object { fields: &self.0 })
            .and_then(|found| source.end().map(|()| found))
            .map_err(|e| IdError::NotAnObject(e.to_string()))?;
        match found {
            FoundId { repeated: Some(rank), .. } => Err(IdError::Repeated(self.0[rank].clone())),
            FoundId { best: Some((_, Some(id))), .. } => Ok(id),
            FoundId { best: Some((rank, None)), .. } => Err(IdError::NotAnId(self.0[rank].clone())),
            FoundId { best: None, .. } => Err(IdError::Missing(self.to_string())),
        }
    }

    /// Does the same as [`Self::extract`], and refuses what is not text: bytes that are not UTF-8, and escapes of half
    /// a character (`\ud800`).
    #[cfg(feature = "pipeline")]
    pub(crate) fn extract_checked(&self, body: &[u8]) -> Result<MsgId, IdError> {
        let text = std::str::from_utf8(body).map_err(|error| {
            IdError::NotAnObject(format!("it is not UTF-8 at byte {}", error.valid_up_to()))
        })?;
        // The parser does not look into escapes of values that it skips. Few bodies have such escapes.
        if text.contains("\\u") {
            let checked = serde_json::from_str::<WholeText>(text);
            checked.map_err(|error| IdError::NotAnObject(error.to_string()))?;
        }
        self.extract(body)
    }
}

impl fmt::Display for IdFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" or "))
    }
}

/// Fields of an object that may carry its id.
#[derive(Default)]
struct FoundId {
    /// Rank of the field that counts, and its value if that is an id.
    best: Option<(usize, Option<MsgId>)>,
    /// Ranks of the fields that were there, as bits.
    seen: u64,
    /// Rank of a field that was there twice.
    repeated: Option<usize>,
}

impl FoundId {
    fn see(&mut self, rank: usize) {
        let bit = 1 << rank.min(63);
        if self.seen & bit != 0 {
            self.repeated = Some(rank);
        }
        self.seen |= bit;
    }
}

struct Object<'a> {
    fields: &'a [String],
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = FoundId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FoundId, A::Error> {
        let mut found = FoundId::default();
        while let Some(rank) = map.next_key_seed(Key { fields: self.fields })? {
            if let Some(rank) = rank {
                found.see(rank);
            }
            match rank {
                Some(rank) if found.best.is_none_or(|(best, _)| rank < best) => {
                    found.best = Some((rank, map.next_value_seed(IdValue)?));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// A key becomes its rank among the wanted fields, without an allocation.
struct Key<'a> {
    fields: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.fields.iter().position(|field| field == key))
    }
}

/// Any JSON of which every string is decoded.
#[cfg(feature = "pipeline")]
struct WholeText;

#[cfg(feature = "pipeline")]
impl<'de> serde::Deserialize<'de> for WholeText {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(Self)
    }
}

#[cfg(feature = "pipeline")]
impl<'de> Visitor<'de> for WholeText {
    type Value = Self;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

/// The value of the id's field: an id, or `None` for anything else that is valid JSON.
struct IdValue;

impl<'de> DeserializeSeed<'de> for IdValue {
    type Value = Option<MsgId>;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IdValue {
    type Value = Option<MsgId>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(MsgId::new(value))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>().map_err(A::Error::custom)?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(body: &str) -> Result<u64, IdError> {
        IdFields::default().extract(body.as_bytes()).map(MsgId::get)
    }

    #[test]
    fn both_spellings_are_read_and_msgid_wins() {
        assert_eq!(id(r#"{"MsgID":1234,"source":"a","target":"b"}"#), Ok(1234));
        assert_eq!(id(r#"{"data":"news","id":12000}"#), Ok(12000));
        assert_eq!(id(r#"{"id":1,"MsgID":2}"#), Ok(2));
        assert_eq!(id(r#"{"MsgID":2,"id":1}"#), Ok(2));
        assert_eq!(id(r#" { "x" : {"MsgID":5} , "Msg\u0049D" : 0 } "#), Ok(0));
        assert_eq!(id(r#"{"MsgID":9007199254740991}"#), Ok(MsgId::MAX));
    }

    #[test]
    fn a_field_of_the_users_own_is_read_alone() {
        let fields = IdFields::only("order");
        assert_eq!(fields.extract(br#"{"order":7,"id":1}"#).map(MsgId::get), Ok(7));
        assert_eq!(fields.extract(br#"{"id":1}"#), Err(IdError::Missing("order".to_owned())));
    }

    #[test]
    fn what_is_no_id_is_named() {
        for value in [
            "-1",
            "1.5",
            "1e3",
            "\"12\"",
            "9007199254740992",
            "99999999999999999999999",
            "null",
            "true",
            "[1]",
            "{}",
        ] {
            let error = id(&format!("{{\"MsgID\":{value}}}"));
            assert_eq!(error, Err(IdError::NotAnId("MsgID".to_owned())), "{value}");
        }
        assert_eq!(id("{}"), Err(IdError::Missing("MsgID or id".to_owned())));
    }

    #[test]
    fn an_id_that_is_there_twice_is_refused() {
        for body in [
            r#"{"MsgID":1,"MsgID":1}"#,
            r#"{"MsgID":1,"x":{},"Msg\u0049D":2}"#,
            r#"{"MsgID":"x","MsgID":2}"#,
        ] {
            assert_eq!(id(body), Err(IdError::Repeated("MsgID".to_owned())), "{body}");
        }
        assert_eq!(id(r#"{"id":1,"MsgID":2,"id":3}"#), Err(IdError::Repeated("id".to_owned())));
        assert_eq!(id(r#"{"MsgID":1,"x":{"MsgID":2},"x":0,"x":0}"#), Ok(1));
    }

    #[cfg(feature = "pipeline")]
    #[test]
    fn what_is_not_text_is_refused_where_it_is_checked() {
        let checked = |body: &[u8]| IdFields::default().extract_checked(body).map(MsgId::get);
        for good in
            [r#"{"MsgID":1,"d":"n\u00e4ws \ud83d\ude00 näws"}"#, r#"{"MsgID":1,"d":[{"\\u":1.5}]}"#]
        {
            assert_eq!(checked(good.as_bytes()), Ok(1), "{good}");
        }
        for bad in [
            &b"{\"MsgID\":1,\"d\":\"\xff\"}"[..],
            br#"{"MsgID":1,"d":"\ud800"}"#,
            br#"{"MsgID":1,"\udc00":0}"#,
        ] {
            let error = checked(bad);
            assert!(matches!(error, Err(IdError::NotAnObject(_))), "{error:?}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in [
            "",
            "[]",
            "12",
            "\"x\"",
            "{\"MsgID\":1",
            "{\"MsgID\":1}x",
            "{\"MsgID\":1,}",
            "{'MsgID':1}",
            "\u{0}",
        ] {
            assert!(matches!(id(body), Err(IdError::NotAnObject(_))), "{body}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(id(&format!("{{\"x\":{deep}")), Err(IdError::NotAnObject(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = IdFields::default().extract(&body);
        }
    }
}
