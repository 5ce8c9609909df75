//! Messages that came and could not be joined to any that was sent: on which topics, what the first of
//! them looks like, and which setting to change where none was joined at all.

use std::fmt::{self, Display, Formatter};

use super::extract::IdError;
use super::id_place::IdPlaces;
use super::shape::{Candidate, Shape, shape_of};
use crate::core::units::{format_count, format_some};

/// Topics that are counted one by one.
const MOST_TOPICS: usize = 10;
/// Digits from which on a number in a topic is taken for an id: random ids have 16.
const DIGITS_OF_AN_ID: usize = 12;
/// Places that are named as candidates.
const MOST_NAMES: usize = 5;
/// Characters of a topic or a payload that are kept.
const KEPT_CHARS: usize = 200;

/// The first message that was not joined.
#[derive(Debug, Clone, PartialEq, Eq)]
struct First {
    shape: Shape,
    /// Its beginning, which `--show-payload` shows.
    payload: String,
    /// Why it gave no id; `None` where it has an id that is not one of this run.
    error: Option<IdError>,
}

/// Messages on one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OnTopic {
    topic: String,
    count: u64,
}

/// Messages that were not joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unjoined {
    topics: Vec<OnTopic>,
    /// Messages on further topics.
    elsewhere: u64,
    first: Option<First>,
}

/// Why nothing was joined, and which setting to change. Only of a run in which not one message was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// The messages that came.
    pub unjoined: Unjoined,
    /// The topics that were subscribed to.
    pub topics: Vec<String>,
    /// The places that may have the id.
    pub id_places: IdPlaces,
    /// Messages on other topics, as far as they were looked at.
    pub other_topics: Unjoined,
    /// Values of a payload may be shown.
    pub show_payload: bool,
}

impl Unjoined {
    /// Notes a message; `error` says why it gave no id.
    pub(crate) fn note(&mut self, topic: &str, payload: &[u8], error: Option<&IdError>) {
        if self.first.is_none() {
            let payload_text =
                visible(&String::from_utf8_lossy(&payload[..payload.len().min(1_024)]));
            let error = error.cloned();
            self.first = Some(First { shape: shape_of(payload), payload: payload_text, error });
        }
        let place = self.topics.iter().position(|known| known.topic == topic);
        match place {
            Some(place) => self.topics[place].count += 1,
            None if self.topics.len() < MOST_TOPICS => {
                self.topics.push(OnTopic { topic: topic.to_owned(), count: 1 });
            }
            None => self.elsewhere += 1,
        }
    }

    /// Returns true if nothing was noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The messages of each topic, in words.
    pub(crate) fn counts(&self) -> String {
        let mut all: Vec<_> = self
            .topics
            .iter()
            .map(|on: &OnTopic| format!("{} on '{}'", format_count(on.count), visible(&on.topic)))
            .collect();
        if self.elsewhere > 0 {
            all.push(format!("{} on further topics", format_count(self.elsewhere)));
        }
        all.join(", ")
    }
}

impl Diagnosis {
    /// The case that no message came on the topics.
    fn nothing_came(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let topics = self.topics.iter().map(|topic| format!("'{}'", visible(topic)));
        let topics = topics.collect::<Vec<_>>().join(" or ");
        if self.other_topics.is_empty() {
            return write!(
                f,
                "nothing came on {topics}: is --topic right, and does the service publish to this broker?"
            );
        }
        write!(
            f,
            "nothing came on {topics}: is --topic right? Messages came on other topics of this broker when they \
             were looked at for a moment: {}",
            self.other_topics.counts()
        )
    }
}

impl Display for Diagnosis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Unjoined { topics, elsewhere, first } = &self.unjoined;
        let Some(first) = first else { return self.nothing_came(f) };
        let came = topics.iter().map(|on| on.count).sum::<u64>() + elsewhere;
        write!(
            f,
            "{} came ({}), and none could be joined to a request: {}. ",
            format_some(came, "message", "messages"),
            self.unjoined.counts(),
            self.unjoined.reason(first, &self.id_places)
        )?;
        if self.show_payload {
            write!(f, "The first payload is {}", first.payload)
        } else {
            f.write_str("--show-payload shows the first payload")
        }
    }
}

impl Unjoined {
    /// Why the first message was not joined, and what to do.
    fn reason(&self, first: &First, places: &IdPlaces) -> String {
        let Shape { text, candidates, is_object } = &first.shape;
        let Some(error) = &first.error else {
            let elsewhere = self.elsewhere(candidates);
            return format!(
                "their {places} is not an id of this run. Another run or publisher uses the topic, or the \
                 service does not pass the id of the request on; the first payload is of the form {text}{elsewhere}"
            );
        };
        let in_topic = self.id_in_topics().map(|place| format!("the topic: --id-from '{place}'"));
        if !is_object && matches!(places, IdPlaces::Fields(_)) {
            let elsewhere = in_topic.unwrap_or_else(|| {
                "another place: --id-from 'regex:run-(\\d+)', bytes:0..8, or json:0.id for a list".to_owned()
            });
            return format!(
                "a payload must be a JSON object with the id in {places}; the first one is {text}. If the id is in \
                 it elsewhere, take it from {elsewhere}"
            );
        }
        let shape = format!("the first payload is of the form {text}");
        if let IdError::NotAnId(field) = error {
            let other = match &outermost_integers(candidates)[..] {
                [] => String::new(),
                keys => format!(". Or if {} is the id, say so with --id-field", keys.join(" or ")),
            };
            return format!(
                "{shape}: its {field} is not an integer from 0 to 9007199254740991. If it is the id as a text, take \
                 it with --id-from '{}'; else the service must pass the id on{other}",
                json_place(field)
            );
        }
        if let IdError::NoIdAt(_) = error {
            return format!("{shape}: it {error}{}", self.elsewhere(candidates));
        }
        if !is_object && candidates.is_empty() && in_topic.is_none() {
            return format!(
                "none has {places}; the first payload is {text}. --show-payload shows where the id is; then take it with \
                 --id-from 'regex:run-(\\d+)' or bytes:0..8"
            );
        }
        let mut advice = advice(candidates, places);
        if let Some(in_topic) = in_topic {
            advice += &format!(". Or take it from {in_topic}");
        }
        format!("none has {places}; {shape}: {advice}")
    }

    /// A proposal for an id that is certain to be one, in a sentence of its own; empty without one.
    fn elsewhere(&self, candidates: &[Candidate]) -> String {
        let in_payload = candidates.iter().find(|field| field.is_sure);
        let in_payload = in_payload.map(|field| format!("json:{}", field.path));
        let place = in_payload.or_else(|| self.id_in_topics());
        place.map_or_else(String::new, |place| {
            format!(". If the id is the one at {place}, take it with --id-from '{place}'")
        })
    }

    /// The place of the id in the topics, if one level of them is a long number.
    fn id_in_topics(&self) -> Option<String> {
        let first = self.topics.first()?;
        let is_id = |level: &str| {
            let digits = level.bytes().rev().take_while(u8::is_ascii_digit).count();
            digits >= DIGITS_OF_AN_ID
        };
        let place = first.topic.split('/').position(is_id)?;
        let mut levels: Vec<_> = first.topic.split('/').map(str::to_owned).collect();
        for (level, own) in levels.iter_mut().enumerate() {
            let is_common = |on: &OnTopic| on.topic.split('/').nth(level) == Some(own.as_str());
            if level == place {
                let text = own.trim_end_matches(|c: char| c.is_ascii_digit()).len();
                own.replace_range(text.., "{id}");
            } else if !self.topics.iter().all(is_common) {
                "+".clone_into(own);
            }
        }
        Some(format!("topic:{}", visible(&levels.join("/"))))
    }
}

/// The place of a field of the outermost object.
fn json_place(field: &str) -> String {
    format!("json:{}", field.replace('\\', "\\\\").replace('.', "\\."))
}

/// Advice for a payload that has no id at these places.
fn advice(candidates: &[Candidate], places: &IdPlaces) -> String {
    let meant = match places {
        IdPlaces::Fields(fields) => {
            candidates.iter().find(|field| fields.may_mean(&field.raw, &field.key))
        }
        IdPlaces::Own(_) => None,
    };
    if let Some(Candidate { path, is_outermost, is_text, .. }) = meant {
        let place = if *is_outermost { "" } else { " inside an object" };
        let kind = if *is_text { " as a text" } else { "" };
        return format!("{path} is there, but{place}{kind}: take it with --id-from 'json:{path}'");
    }
    let integers = outermost_integers(candidates);
    if !integers.is_empty() && matches!(places, IdPlaces::Fields(_)) {
        return format!("if {} is the id, say so with --id-field", integers.join(" or "));
    }
    let numbers: Vec<_> = candidates.iter().filter(|field| field.is_number).collect();
    let sure = numbers.iter().find(|field| field.is_sure);
    let Some(first) = sure.or(numbers.first()) else {
        return "it has no number at all. The service must pass the id of the request on"
            .to_owned();
    };
    let name = |field: &&Candidate| {
        if field.is_text { format!("{} (a text)", field.path) } else { field.path.clone() }
    };
    let names = numbers.iter().take(MOST_NAMES).map(name).collect::<Vec<_>>().join(" or ");
    format!("{names} can be the id: take it with --id-from 'json:{}'", first.path)
}

/// Integers of the outermost object.
fn outermost_integers(candidates: &[Candidate]) -> Vec<&str> {
    let integers =
        candidates.iter().filter(|field| field.is_outermost && field.is_number && !field.is_text);
    integers.map(|field| field.raw.as_str()).take(MOST_NAMES).collect()
}

/// A foreign text as far as it is shown, without characters that a terminal acts on.
fn visible(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(KEPT_CHARS)
        .map(|c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect();
    if text.chars().nth(KEPT_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::extract::IdFields;

    fn diagnosis(payloads: &[&[u8]], places: &IdPlaces, show_payload: bool) -> String {
        diagnosis_on("/channel", payloads, places, show_payload)
    }

    fn diagnosis_on(
        topic: &str,
        payloads: &[&[u8]],
        places: &IdPlaces,
        show_payload: bool,
    ) -> String {
        let mut unjoined = Unjoined::default();
        for payload in payloads {
            let error = places.find(topic, payload).err();
            unjoined.note(topic, payload, error.as_ref());
        }
        let topics = vec!["/channel".to_owned(), "a/+".to_owned()];
        let (id_places, other_topics) = (places.clone(), Unjoined::default());
        Diagnosis { unjoined, topics, id_places, other_topics, show_payload }.to_string()
    }

    fn field(name: &str) -> IdPlaces {
        IdPlaces::Fields(IdFields::only(name))
    }

    #[test]
    fn an_id_elsewhere_is_proposed_with_its_flag() {
        let default = IdPlaces::default();
        let topic = "devices/eu/1000000000000017/inbox";
        let text = diagnosis_on(topic, &[b"news"], &default, false);
        assert!(
            text.contains("take it from the topic: --id-from 'topic:devices/eu/{id}/inbox'"),
            "{text}"
        );
        let text = diagnosis_on("t", &[b"news"], &default, false);
        assert!(text.contains(r"--id-from 'regex:run-(\d+)', bytes:0..8"), "{text}");
        let text = diagnosis(&[br#"{"id":5,"a.b":"order-1000000000000017"}"#], &default, false);
        assert!(
            text.ends_with(
                r"take it with --id-from 'json:a\.b'. --show-payload shows the first payload"
            ),
            "{text}"
        );
        let own = IdPlaces::Own(vec!["json:data.ref".parse().expect("a place")]);
        for (payload, part) in [
            (&br#"{"data":{"ref":null}}"#[..], "has no MsgID at json:data.ref"),
            (b"id=7", "text of 4 bytes, not JSON. --show-payload"),
            (br#"{"data":{"id":7}}"#, "none has 'json:data.ref'"),
            (
                br#"{"data":{"id":7}}"#,
                "data.id can be the id: take it with --id-from 'json:data.id'",
            ),
            (br#"{"data":[{"order":"order-1000000000000017"}]}"#, "--id-from 'json:data.0.order'"),
        ] {
            let text = diagnosis(&[payload], &own, false);
            assert!(text.contains(part), "'{part}' is missing: {text}");
        }
    }

    #[test]
    fn the_setting_to_change_is_named() {
        let default = IdPlaces::default();
        for (payload, parts) in [
            (
                &br#"{"payload":{"id":7}}"#[..],
                &[
                    "none has MsgID or id",
                    "payload.id is there, but inside an object: take it with --id-from 'json:payload.id'",
                ][..],
            ),
            (
                br#"{"payload":{"n":7,"m":"8"}}"#,
                &[
                    "payload.m (a text) or payload.n can be the id: take it with --id-from 'json:payload.m'",
                ],
            ),
            (br#"{"id":{"n":7},"seq":8}"#, &["its id is not", "Or if seq is the id, say so"]),
            (
                br#"{"id":"12"}"#,
                &[r#"{"id":string}"#, "its id is not an integer", "--id-from 'json:id'"],
            ),
            (br#"{"seq":12}"#, &["if seq is the id", "--id-field"]),
            (br#"{"a":"b"}"#, &["no number at all"]),
            (b"[1]", &["a JSON object", "the first one is [int]"]),
            (b"news", &["text of 4 bytes, not JSON"]),
            (
                br#"{"id":12}"#,
                &[
                    "their MsgID or id is not an id of this run",
                    "Another run or publisher uses the topic",
                    r#"{"id":int}"#,
                ],
            ),
        ] {
            let text = diagnosis(&[payload, payload], &default, false);
            let all = ["2 messages came (2 on '/channel')"].iter().chain(parts);
            all.for_each(|part| assert!(text.contains(part), "'{part}' is missing: {text}"));
            assert!(text.ends_with("--show-payload shows the first payload"), "{text}");
        }
        let own = diagnosis(&[br#"{"id":1}"#], &field("order"), false);
        assert!(own.contains("none has order"), "{own}");
        let nested = br#"{"order":{"items":2,"ref":"17"},"total":3}"#;
        for name in ["order.ref", "ref"] {
            let text = diagnosis(&[nested], &field(name), false);
            assert!(
                text.contains("order.ref is there, but inside an object as a text: take"),
                "{text}"
            );
        }
        let nothing = diagnosis(&[], &default, false);
        assert!(
            nothing.contains("nothing came on '/channel' or 'a/+': is --topic right"),
            "{nothing}"
        );
    }

    #[test]
    fn other_topics_are_named_where_nothing_came_on_ours() {
        let mut other_topics = Unjoined::default();
        other_topics.note("devices/7/inbox", br#"{"id":1}"#, None);
        let (unjoined, id_places) = (Unjoined::default(), IdPlaces::default());
        let topics = vec!["/channel".to_owned()];
        let diagnosis =
            Diagnosis { unjoined, topics, id_places, other_topics, show_payload: false };
        let text = diagnosis.to_string();
        assert!(
            text.contains("is --topic right?") && text.ends_with("1 on 'devices/7/inbox'"),
            "{text}"
        );
    }

    #[test]
    fn values_are_shown_to_who_asks_only() {
        let secret = br#"{"token":"s3cret"}"#;
        assert!(!diagnosis(&[secret], &IdPlaces::default(), false).contains("s3cret"));
        let shown = diagnosis(&[secret], &IdPlaces::default(), true);
        assert!(shown.ends_with(r#"The first payload is {"token":"s3cret"}"#), "{shown}");
        let hostile = diagnosis(&[b"\x1b[31m\xff"], &IdPlaces::default(), true);
        assert!(!hostile.chars().any(char::is_control), "{hostile:?}");
    }

    #[test]
    fn topics_beyond_a_few_are_counted_together() {
        let mut unjoined = Unjoined::default();
        for n in 0..30 {
            unjoined.note(&format!("t/{}", n % 15), b"x", None);
        }
        assert!(
            unjoined.counts().ends_with("2 on 't/9', 10 on further topics"),
            "{}",
            unjoined.counts()
        );
    }
}
