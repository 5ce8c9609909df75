//! Places in a received message that may have its MsgID (`--id-from`).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use regex_lite::{Regex, RegexBuilder};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::extract::{IdError, IdFields};
use super::id::MsgId;
use super::id_form::id_in_text;

/// Largest program of a regular expression, in bytes.
const MOST_REGEX: usize = 1 << 20;
/// The place of the id in a topic.
const ID_IN_TOPIC: &str = "{id}";

/// The places that may have the id. The first one with an id counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IdPlaces {
    /// Fields of a JSON object, as the services of the pipeline read them.
    Fields(IdFields),
    /// Places of the user's own, at least one.
    Own(Vec<IdPlace>),
}

impl Default for IdPlaces {
    fn default() -> Self {
        Self::Fields(IdFields::default())
    }
}

impl IdPlaces {
    /// The id of a message.
    pub(crate) fn find(&self, topic: &str, payload: &[u8]) -> Result<MsgId, IdError> {
        let places = match self {
            Self::Fields(fields) => return fields.extract(payload),
            Self::Own(places) => places,
        };
        let mut wrong = None;
        for place in places {
            match place.find(topic, payload) {
                Some(Ok(id)) => return Ok(id),
                Some(Err(NoId)) if wrong.is_none() => wrong = Some(place),
                _ => {}
            }
        }
        match wrong {
            Some(place) => Err(IdError::NoIdAt(place.to_string())),
            None => Err(IdError::Missing(self.to_string())),
        }
    }
}

impl fmt::Display for IdPlaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(fields) => fields.fmt(f),
            Self::Own(places) => {
                let names: Vec<_> = places.iter().map(|place| format!("'{place}'")).collect();
                f.write_str(&names.join(" or "))
            }
        }
    }
}

/// A place that may have the id, as `--id-from` names it.
#[derive(Debug, Clone)]
pub(crate) struct IdPlace {
    /// The name.
    name: String,
    kind: PlaceKind,
}

impl PartialEq for IdPlace {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for IdPlace {}

impl fmt::Display for IdPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[derive(Debug, Clone)]
enum PlaceKind {
    /// Keys of objects and indexes of lists, from the outermost on. Without any, the whole payload.
    Json(Vec<String>),
    Topic(TopicPattern),
    Bytes(ByteRange),
    Regex(Regex),
}

/// The place is there, and its value is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NoId;

/// The id at a place; `None` if a message lacks the place.
type FoundAt = Option<Result<MsgId, NoId>>;

fn found(id: Option<MsgId>) -> FoundAt {
    Some(id.ok_or(NoId))
}

/// Why a text is not a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// There is no such kind.
    #[error(
        "'{0}' is not a place of the id; there are json:data.0.id, topic:devices/+/{{id}}, bytes:0..8 and regex:run-(\\d+)"
    )]
    Unknown(String),
    /// A path of JSON with an empty key.
    #[error(
        "'{0}': between two dots is the key of an object or the index of a list; write \\. for a dot in a key"
    )]
    EmptyKey(String),
    /// A topic without the place of the id.
    #[error(
        "'{0}': a topic has {{id}} once, + is a whole level and # the last one, such as topic:devices/+/{{id}}/#"
    )]
    Topic(String),
    /// A range of bytes that is none.
    #[error(
        "'{0}': an id has 1 to 8 bytes, such as bytes:0..8 (or bytes:0..8:le if the lowest comes first)"
    )]
    Bytes(String),
    /// A regular expression that cannot be read.
    #[error("'{name}': {why}")]
    Regex {
        /// The whole place.
        name: String,
        /// Words of the parser.
        why: String,
    },
}

impl FromStr for IdPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let own = || text.to_owned();
        let (kind, rest) = text.split_once(':').ok_or_else(|| PlaceError::Unknown(own()))?;
        let kind = match kind {
            "json" => PlaceKind::Json(keys(rest).ok_or_else(|| PlaceError::EmptyKey(own()))?),
            "topic" => {
                PlaceKind::Topic(TopicPattern::read(rest).ok_or_else(|| PlaceError::Topic(own()))?)
            }
            "bytes" => {
                PlaceKind::Bytes(ByteRange::read(rest).ok_or_else(|| PlaceError::Bytes(own()))?)
            }
            "regex" => {
                let regex = RegexBuilder::new(rest).size_limit(MOST_REGEX).build();
                let why = |error: regex_lite::Error| error.to_string().replace('\n', " ");
                PlaceKind::Regex(
                    regex.map_err(|error| PlaceError::Regex { name: own(), why: why(error) })?,
                )
            }
            _ => return Err(PlaceError::Unknown(own())),
        };
        Ok(Self { name: own(), kind })
    }
}

impl IdPlace {
    fn find(&self, topic: &str, payload: &[u8]) -> FoundAt {
        match &self.kind {
            PlaceKind::Json(keys) => {
                let mut source = serde_json::Deserializer::from_slice(payload);
                let found = JsonPlace { keys }.deserialize(&mut source).ok()?;
                source.end().ok()?;
                found
            }
            PlaceKind::Topic(pattern) => {
                pattern.id_in(topic).map(|text| id_in_text(text.as_bytes()).ok_or(NoId))
            }
            PlaceKind::Bytes(range) => range.read_from(payload).map(|id| id.ok_or(NoId)),
            PlaceKind::Regex(regex) => {
                // Bytes that are not UTF-8 are a character that no id has.
                let payload = String::from_utf8_lossy(payload);
                let captures = regex.captures(&payload)?;
                let text = captures.get(1).or_else(|| captures.get(0))?;
                found(id_in_text(text.as_str().as_bytes()))
            }
        }
    }
}

/// The keys of a path: `a.0.b\.c`.
fn keys(path: &str) -> Option<Vec<String>> {
    let mut keys = vec![String::new()];
    let mut rest = path.chars();
    while let Some(c) = rest.next() {
        match (c, keys.last_mut()) {
            ('.', _) => keys.push(String::new()),
            ('\\', Some(key)) => key.extend(rest.next()),
            (c, Some(key)) => key.push(c),
            (_, None) => {}
        }
    }
    keys.iter().all(|key| !key.is_empty()).then_some(keys)
}

/// A topic in which one level, or a part of it, is the id.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TopicPattern {
    before: Vec<String>,
    /// Beginning and end of the level that has the id.
    around: [String; 2],
    after: Vec<String>,
}

impl TopicPattern {
    fn read(text: &str) -> Option<Self> {
        let levels: Vec<_> = text.split('/').map(str::to_owned).collect();
        let place = levels.iter().position(|level| level.contains(ID_IN_TOPIC))?;
        let (before, after) = levels[place].split_once(ID_IN_TOPIC)?;
        let is_once = !after.contains(ID_IN_TOPIC)
            && !levels[place + 1..].iter().any(|level| level.contains(ID_IN_TOPIC));
        let last = levels.len() - 1;
        let is_level = |(at, level): (usize, &String)| match level.as_str() {
            "+" => true,
            "#" => at == last,
            level => !level.contains(['+', '#']) && !level.contains("{{"),
        };
        (is_once && levels.iter().enumerate().all(is_level)).then(|| Self {
            before: levels[..place].to_vec(),
            around: [before.to_owned(), after.to_owned()],
            after: levels[place + 1..].to_vec(),
        })
    }

    /// The text at the place of the id; `None` if the topic does not match.
    fn id_in<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let mut levels = topic.split('/');
        for wanted in &self.before {
            let level = levels.next()?;
            if wanted != "+" && wanted != level {
                return None;
            }
        }
        let [begin, end] = &self.around;
        let id = levels.next()?.strip_prefix(begin.as_str())?.strip_suffix(end.as_str())?;
        for wanted in &self.after {
            if wanted == "#" {
                return Some(id);
            }
            let level = levels.next()?;
            if wanted != "+" && wanted != level {
                return None;
            }
        }
        levels.next().is_none().then_some(id)
    }
}

/// Bytes of a payload that are the id as a binary number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ByteRange {
    at: Range<usize>,
    lowest_first: bool,
}

impl ByteRange {
    fn read(text: &str) -> Option<Self> {
        let (range, lowest_first) = match text.rsplit_once(':') {
            Some((range, "le")) => (range, true),
            Some((range, "be")) => (range, false),
            Some(_) => return None,
            None => (text, false),
        };
        let (from, to) = range.split_once("..")?;
        let at = from.parse().ok()?..to.parse().ok()?;
        (1..=8).contains(&at.len()).then_some(Self { at, lowest_first })
    }

    /// `None` if the payload is too short.
    fn read_from(&self, payload: &[u8]) -> Option<Option<MsgId>> {
        let bytes = payload.get(self.at.clone())?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        let number = if self.lowest_first {
            bytes.iter().rev().fold(0, add)
        } else {
            bytes.iter().fold(0, add)
        };
        Some(MsgId::new(number))
    }
}

/// A place in JSON.
struct JsonPlace<'a> {
    keys: &'a [String],
}

impl<'de> DeserializeSeed<'de> for JsonPlace<'_> {
    type Value = FoundAt;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<FoundAt, D::Error> {
        source.deserialize_any(self)
    }
}

/// The value at the end of the path is an id or not; one before its end is looked into.
impl<'de> Visitor<'de> for JsonPlace<'_> {
    type Value = FoundAt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_u64<E>(self, value: u64) -> Result<FoundAt, E> {
        Ok(self.at_end(MsgId::new(value)))
    }
    fn visit_str<E>(self, text: &str) -> Result<FoundAt, E> {
        Ok(self.at_end(id_in_text(text.as_bytes())))
    }
    fn visit_i64<E>(self, _: i64) -> Result<FoundAt, E> {
        Ok(self.at_end(None))
    }
    fn visit_f64<E>(self, _: f64) -> Result<FoundAt, E> {
        Ok(self.at_end(None))
    }
    fn visit_bool<E>(self, _: bool) -> Result<FoundAt, E> {
        Ok(self.at_end(None))
    }
    fn visit_unit<E>(self) -> Result<FoundAt, E> {
        Ok(self.at_end(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FoundAt, A::Error> {
        let wanted = self.keys.first().and_then(|key| key.parse::<usize>().ok());
        let mut result = self.at_end(None);
        for index in 0usize.. {
            let is_over = if wanted == Some(index) {
                let inner = list.next_element_seed(JsonPlace { keys: &self.keys[1..] })?;
                inner.map(|inner| result = inner).is_none()
            } else {
                list.next_element::<IgnoredAny>()?.is_none()
            };
            if is_over {
                break;
            }
        }
        Ok(result)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<FoundAt, A::Error> {
        let mut result = self.at_end(None);
        let mut is_seen = false;
        let wanted = self.keys.first();
        while let Some(is_wanted) = object.next_key_seed(IsKey { wanted })? {
            // Of a key that is there twice the first counts.
            if is_wanted && !is_seen {
                is_seen = true;
                result = object.next_value_seed(JsonPlace { keys: &self.keys[1..] })?;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
        }
        Ok(result)
    }
}

impl JsonPlace<'_> {
    /// The id of this place, if it is the end of the path.
    fn at_end(&self, id: Option<MsgId>) -> FoundAt {
        if self.keys.is_empty() { found(id) } else { None }
    }
}

/// Compares a key without an allocation.
struct IsKey<'a> {
    wanted: Option<&'a String>,
}

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<bool, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(self.wanted.is_some_and(|wanted| wanted == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(names: &[&str]) -> IdPlaces {
        IdPlaces::Own(names.iter().map(|name| name.parse().expect(name)).collect())
    }

    fn find(names: &[&str], topic: &str, payload: &[u8]) -> Result<u64, String> {
        let found = places(names).find(topic, payload);
        found.map(MsgId::get).map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_of_place_is_read() {
        for (place, topic, payload, id) in [
            ("json:id", "t", &br#"{"id":17}"#[..], 17),
            ("json:data.items.1.id", "t", br#"{"x":[],"data":{"items":[0,{"id":"17"}]}}"#, 17),
            ("json:data\\.id", "t", br#"{"data.id":17}"#, 17),
            ("json:1", "t", br#"[1,17,2]"#, 17),
            ("json:id", "t", br#"{"id":17,"id":18}"#, 17),
            ("json:ref", "t", br#"{"ref":"order-0017"}"#, 17),
            ("topic:devices/+/{id}", "devices/eu/17", b"", 17),
            ("topic:d/dev-{id}.x/+/#", "d/dev-17.x/a/b/c", b"\xff", 17),
            ("bytes:0..8", "t", b"\0\0\0\0\0\0\x01\x02rest", 258),
            ("bytes:1..3:le", "t", b"x\x01\x02", 513),
            (r"regex:run-(\d+)", "t", b"\xff run-17 of 20", 17),
            (r"regex:\d+", "t", b"a 17 b 18", 17),
        ] {
            assert_eq!(find(&[place], topic, payload), Ok(id), "{place}");
        }
    }

    #[test]
    fn the_first_place_with_an_id_counts() {
        let both = ["json:a", "json:b"];
        assert_eq!(find(&both, "t", br#"{"b":2,"a":1}"#), Ok(1));
        assert_eq!(find(&both, "t", br#"{"a":null,"b":2}"#), Ok(2));
        assert_eq!(
            find(&both, "t", br#"{"a":1.5}"#),
            Err("has no MsgID at json:a: neither a number from 0 to 9007199254740991 nor a text with one at its end, and \
                 no UUID or traceparent of loadgen"
                .to_owned())
        );
        assert_eq!(find(&both, "t", b"{}"), Err("has no 'json:a' or 'json:b'".to_owned()));
        for (place, topic, payload) in [
            ("json:id", "t", &b"{\"id\":17"[..]),
            ("json:id.x", "t", br#"{"id":17}"#),
            ("json:3", "t", b"[1]"),
            ("topic:devices/+/{id}", "devices/17", b""),
            ("topic:devices/{id}", "devices/17/more", b""),
            ("bytes:0..8", "t", b"1234567"),
            (r"regex:run-(\d+)", "t", b"run-"),
        ] {
            let error = find(&[place], topic, payload).expect_err(place);
            assert_eq!(error, format!("has no '{place}'"));
        }
    }

    #[test]
    fn a_place_that_cannot_be_is_refused_with_what_it_should_be() {
        for (place, part) in [
            ("id", "there are json:data.0.id"),
            ("xml:id", "there are json:data.0.id"),
            ("json:", "write \\. for a dot"),
            ("json:a..b", "the key of an object"),
            ("topic:devices/+", "has {id} once"),
            ("topic:{id}/{id}", "has {id} once"),
            ("topic:a/{{id}}", "has {id} once"),
            ("topic:a/#/{id}", "# the last one"),
            ("topic:{id}/#/x", "# the last one"),
            ("topic:a+/{id}", "+ is a whole level"),
            ("bytes:0..9", "1 to 8 bytes"),
            ("bytes:8..0", "1 to 8 bytes"),
            ("bytes:0..8:x", "1 to 8 bytes"),
            ("regex:(", "open group"),
            (r"regex:(\w{1000}){1000}", "limit"),
        ] {
            let error = place.parse::<IdPlace>().expect_err(place).to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{place}: {error}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_messages_never_panic(
            topic in "[a-z0-9/+#]{0,20}", payload in prop::collection::vec(any::<u8>(), 0..200),
            text in r#"[\[\]{}:,"0-9a\\]{0,60}"#,
        ) {
            let all = places(&["json:a.0.a", "topic:a/+/{id}/#", "bytes:3..9", r"regex:(\d)a"]);
            let _ = all.find(&topic, &payload);
            let _ = all.find(&topic, text.as_bytes());
        }

        /// A path finds what serde_json finds.
        #[test]
        fn a_path_is_that_of_a_json_pointer(id in 0..=MsgId::MAX, depth in 0usize..6, in_list: bool) {
            let mut value = serde_json::json!(id);
            let mut path = Vec::new();
            for level in 0..depth {
                if in_list && level % 2 == 0 {
                    value = serde_json::json!([null, value, 3]);
                    path.insert(0, "1".to_owned());
                } else {
                    value = serde_json::json!({"x": 1, "k": value});
                    path.insert(0, "k".to_owned());
                }
            }
            prop_assume!(!path.is_empty());
            let place = format!("json:{}", path.join("."));
            prop_assert_eq!(find(&[&place], "t", value.to_string().as_bytes()), Ok(id));
        }
    }
}
