//! Messages that came and could not be joined to any that was sent: on which topics, what the first of
//! them looks like, and which setting to change where none was joined at all.

use std::fmt::{self, Display, Formatter};

use super::extract::{IdError, IdFields};
use super::shape::{Candidate, Shape, shape_of};
use crate::core::units::{format_count, format_some};

/// Topics that are counted one by one.
const MOST_TOPICS: usize = 10;
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
    /// The fields that may carry the id.
    pub id_fields: IdFields,
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
            first.reason(&self.id_fields)
        )?;
        if self.show_payload {
            write!(f, "The first payload is {}", first.payload)
        } else {
            f.write_str("--show-payload shows the first payload")
        }
    }
}

impl First {
    fn reason(&self, fields: &IdFields) -> String {
        let Shape { text, candidates, is_object } = &self.shape;
        let Some(error) = &self.error else {
            return format!(
                "their {fields} is not an id of this run. Another run or publisher uses the topic, or the \
                 service does not pass the id of the request on; the first payload is of the form {text}"
            );
        };
        if !is_object {
            return format!(
                "a payload must be a JSON object with the id in {fields}; the first one is {text}"
            );
        }
        let shape = format!("the first payload is of the form {text}");
        if let IdError::NotAnId(field) = error {
            let other = match &outermost_integers(candidates)[..] {
                [] => String::new(),
                keys => format!(". Or if {} is the id, say so with --id-field", keys.join(" or ")),
            };
            return format!(
                "{shape}: its {field} is not an integer from 0 to 9007199254740991. The service must pass \
                 the id on as a number: without quotes around {{{{msg_id}}}} in the request, and in what \
                 it publishes{other}"
            );
        }
        format!("none has {fields}; {shape}: {}", advice(candidates, fields))
    }
}

/// Advice for a payload that has no field of these names in its outermost object.
fn advice(candidates: &[Candidate], fields: &IdFields) -> String {
    const RULE: &str =
        "The id must be an integer of the outermost object: let the service publish it there";
    if let Some(meant) = candidates.iter().find(|field| fields.may_mean(&field.path, field.key())) {
        let Candidate { path, is_outermost, is_text, .. } = meant;
        let place = if *is_outermost { "" } else { " inside an object" };
        let kind = if *is_text { " as a text" } else { "" };
        return format!("{path} is there, but{place}{kind}. {RULE}");
    }
    let integers = outermost_integers(candidates);
    if !integers.is_empty() {
        return format!("if {} is the id, say so with --id-field", integers.join(" or "));
    }
    let mut numbers = Vec::new();
    for Candidate { path, is_text, .. } in candidates.iter().filter(|field| field.is_number) {
        numbers.push(if *is_text { format!("{path} (a text)") } else { path.clone() });
    }
    if numbers.is_empty() {
        return "it has no integer at all. The service must pass the id of the request on"
            .to_owned();
    }
    format!("{} can be the id. {RULE}", numbers.join(" or "))
}

/// Integers of the outermost object.
fn outermost_integers(candidates: &[Candidate]) -> Vec<&str> {
    let integers =
        candidates.iter().filter(|field| field.is_outermost && field.is_number && !field.is_text);
    integers.map(|field| field.path.as_str()).collect()
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

    fn diagnosis(payloads: &[&[u8]], fields: &IdFields, show_payload: bool) -> String {
        let mut unjoined = Unjoined::default();
        for payload in payloads {
            let error = fields.extract(payload).err();
            unjoined.note("/channel", payload, error.as_ref());
        }
        let topics = vec!["/channel".to_owned(), "a/+".to_owned()];
        let (id_fields, other_topics) = (fields.clone(), Unjoined::default());
        Diagnosis { unjoined, topics, id_fields, other_topics, show_payload }.to_string()
    }

    #[test]
    fn the_setting_to_change_is_named() {
        let default = IdFields::default();
        for (payload, parts) in [
            (
                &br#"{"payload":{"id":7}}"#[..],
                &["none has MsgID or id", "payload.id is there, but inside an object. The id must"]
                    [..],
            ),
            (br#"{"payload":{"n":7,"m":"8"}}"#, &["payload.m (a text) or payload.n can be the id"]),
            (br#"{"id":{"n":7},"seq":8}"#, &["its id is not", "Or if seq is the id, say so"]),
            (br#"{"id":"12"}"#, &[r#"{"id":string}"#, "its id is not an integer", "as a number"]),
            (br#"{"seq":12}"#, &["if seq is the id", "--id-field"]),
            (br#"{"a":"b"}"#, &["no integer at all"]),
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
        let own = diagnosis(&[br#"{"id":1}"#], &IdFields::only("order"), false);
        assert!(own.contains("none has order"), "{own}");
        let nested = br#"{"order":{"items":2,"ref":"17"},"total":3}"#;
        for field in ["order.ref", "ref"] {
            let text = diagnosis(&[nested], &IdFields::only(field), false);
            assert!(text.contains("order.ref is there, but inside an object as a text."), "{text}");
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
        let (unjoined, id_fields) = (Unjoined::default(), IdFields::default());
        let topics = vec!["/channel".to_owned()];
        let diagnosis =
            Diagnosis { unjoined, topics, id_fields, other_topics, show_payload: false };
        let text = diagnosis.to_string();
        assert!(
            text.contains("is --topic right?") && text.ends_with("1 on 'devices/7/inbox'"),
            "{text}"
        );
    }

    #[test]
    fn values_are_shown_to_who_asks_only() {
        let secret = br#"{"token":"s3cret"}"#;
        assert!(!diagnosis(&[secret], &IdFields::default(), false).contains("s3cret"));
        let shown = diagnosis(&[secret], &IdFields::default(), true);
        assert!(shown.ends_with(r#"The first payload is {"token":"s3cret"}"#), "{shown}");
        let hostile = diagnosis(&[b"\x1b[31m\xff"], &IdFields::default(), true);
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
