//! The message template: text with holes for the id, patched in place for each message.

use std::fmt;

/// The holes a template may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    MsgId,
    Worker,
    Seq,
}

const FIELDS: [(&str, Field); 3] =
    [("msg_id", Field::MsgId), ("worker", Field::Worker), ("seq", Field::Seq)];

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Hole(Field),
}

/// What fills the holes of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Values {
    /// `{{msg_id}}`: globally unique.
    pub msg_id: u64,
    /// `{{worker}}`: the worker's number from 0.
    pub worker: u64,
    /// `{{seq}}`: the worker's count of messages from 0.
    pub seq: u64,
}

impl Values {
    fn of(&self, field: Field) -> u64 {
        match field {
            Field::MsgId => self.msg_id,
            Field::Worker => self.worker,
            Field::Seq => self.seq,
        }
    }
}

/// A `{{name}}` that is none of the template's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown placeholder {{{{{0}}}}}; there are {{{{msg_id}}}}, {{{{worker}}}} and {{{{seq}}}}"
)]
pub struct TemplateError(String);

/// A parsed template. Text that only looks like a hole (`{{}}`, `{{ a b }}`, JSON) stays text.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// The default body, as the original's packet generator sent it.
pub const DEFAULT_BODY: &str = r#"{"MsgID":{{msg_id}},"source":"client-id","target":"target-id"}"#;

impl Template {
    /// Parses `{{msg_id}}`, `{{worker}}` and `{{seq}}`; refuses any other single word in the braces.
    pub fn parse(source: &[u8]) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut rest = source;
        while let Some(first) = rest.first() {
            match hole_at(rest) {
                Some((name, len)) => {
                    let field = FIELDS.iter().find(|(known, _)| *known == name);
                    let (_, field) = field.ok_or_else(|| TemplateError(name.to_owned()))?;
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Hole(*field));
                    rest = &rest[len..];
                }
                None => {
                    text.push(*first);
                    rest = &rest[1..];
                }
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self { parts })
    }

    /// Whether each message carries its id, so that its arrival can be told from all others'.
    pub fn carries_id(&self) -> bool {
        self.parts.contains(&Part::Hole(Field::MsgId))
    }

    /// Bytes of the message that `values` give.
    pub fn len(&self, values: &Values) -> usize {
        let len = |part: &Part| match part {
            Part::Text(text) => text.len(),
            Part::Hole(field) => digits(values.of(*field)),
        };
        self.parts.iter().map(len).sum()
    }

    /// Whether the template is empty, holes and all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Appends the message to `out` and tells where its holes are.
    fn render(&self, values: &Values, out: &mut Vec<u8>, holes: &mut Vec<Hole>) {
        holes.clear();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Hole(field) => {
                    let value = values.of(*field);
                    let start = out.len();
                    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
                    holes.push(Hole { field: *field, start, end: out.len(), value });
                }
            }
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(")?;
        for part in &self.parts {
            match part {
                Part::Text(text) => write!(f, "{}", String::from_utf8_lossy(text))?,
                Part::Hole(field) => write!(f, "{{{{{field:?}}}}}")?,
            }
        }
        f.write_str(")")
    }
}

/// The name in the braces at the start of `text`, and the length of the whole placeholder.
fn hole_at(text: &[u8]) -> Option<(&str, usize)> {
    let inner = text.strip_prefix(b"{{")?;
    let len = inner.iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))?;
    let name = std::str::from_utf8(&inner[..len]).ok()?;
    (len > 0 && inner[len..].starts_with(b"}}")).then_some((name, len + 4))
}

fn digits(value: u64) -> usize {
    value.checked_ilog10().unwrap_or(0) as usize + 1
}

#[derive(Debug, Clone, Copy)]
struct Hole {
    field: Field,
    start: usize,
    end: usize,
    value: u64,
}

/// The bytes of one message, rendered once; the next one only overwrites the digits that differ.
///
/// A number that grows by a digit changes the length of everything, the head's Content-Length too:
/// then, and only then, the whole is rendered again.
#[derive(Debug, Clone)]
pub struct Rendered {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
    body: Template,
    head: fn(&[u8], usize, &mut Vec<u8>),
    head_text: Vec<u8>,
}

impl Rendered {
    /// `head(text, body_len, out)` writes what comes before a body of that length.
    pub(crate) fn new(
        body: Template,
        head_text: Vec<u8>,
        head: fn(&[u8], usize, &mut Vec<u8>),
    ) -> Self {
        Self { bytes: Vec::new(), holes: Vec::new(), body, head, head_text }
    }

    /// The message for `values`. No allocation unless it is longer than all before it.
    pub fn fill(&mut self, values: &Values) -> &[u8] {
        let fits = |hole: &Hole| hole.end - hole.start == digits(values.of(hole.field));
        if self.bytes.is_empty() || !self.holes.iter().all(fits) {
            self.render(values);
            return &self.bytes;
        }
        for hole in &mut self.holes {
            let value = values.of(hole.field);
            if hole.value != value {
                let mut buffer = itoa::Buffer::new();
                self.bytes[hole.start..hole.end].copy_from_slice(buffer.format(value).as_bytes());
                hole.value = value;
            }
        }
        &self.bytes
    }

    fn render(&mut self, values: &Values) {
        self.bytes.clear();
        (self.head)(&self.head_text, self.body.len(values), &mut self.bytes);
        self.body.render(values, &mut self.bytes, &mut self.holes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(template: &Template, values: &Values) -> String {
        let mut out = Vec::new();
        template.render(values, &mut out, &mut Vec::new());
        assert_eq!(out.len(), template.len(values));
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn holes_are_filled_and_other_braces_stay() {
        let template = Template::parse(b"{{{msg_id}}-{{worker}}.{{seq}}{{}}{{ msg_id }}{{a b}}}");
        let values = Values { msg_id: 10, worker: 2, seq: 0 };
        assert_eq!(
            template.map(|t| plain(&t, &values)),
            Ok("{10-2.0{{}}{{ msg_id }}{{a b}}}".to_owned())
        );
    }

    #[test]
    fn an_unknown_placeholder_is_named_with_the_known_ones() {
        let error = Template::parse(b"{{msgid}}").map(|_| ()).expect_err("unknown").to_string();
        assert_eq!(
            error,
            "unknown placeholder {{msgid}}; there are {{msg_id}}, {{worker}} and {{seq}}"
        );
    }

    #[test]
    fn the_default_body_carries_the_id() {
        let template = Template::parse(DEFAULT_BODY.as_bytes()).expect("valid");
        assert!(template.carries_id());
        let body = plain(&template, &Values { msg_id: 1234, ..Values::default() });
        assert_eq!(body, r#"{"MsgID":1234,"source":"client-id","target":"target-id"}"#);
    }

    proptest! {
        /// Patching in place gives the same bytes as rendering afresh, whatever came before.
        #[test]
        fn patching_equals_rendering(ids in prop::collection::vec(0u64..1 << 53, 1..50), worker in 0u64..20) {
            let template = Template::parse(b"a{{msg_id}}b{{seq}}{{worker}}{{msg_id}}").expect("valid");
            let head = |text: &[u8], len: usize, out: &mut Vec<u8>| {
                out.extend_from_slice(text);
                out.extend_from_slice(format!("{len}:").as_bytes());
            };
            let mut rendered = Rendered::new(template.clone(), b"len ".to_vec(), head);
            for (seq, msg_id) in ids.iter().enumerate() {
                let values = Values { msg_id: *msg_id, worker, seq: seq as u64 };
                let body = plain(&template, &values);
                let afresh = format!("len {}:{body}", body.len());
                prop_assert_eq!(rendered.fill(&values), afresh.as_bytes());
            }
        }
    }
}
