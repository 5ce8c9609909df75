//! The message template: text with holes for the id, for counters and for the columns of a table.

use std::fmt;
use std::sync::Arc;

use super::data::{Data, Escape, TableColumn};
use super::id_form::{IdForm, LONGEST_FORM};

/// The holes that every template may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    MsgId,
    Worker,
    Seq,
    Node,
}

const FIELDS: [(&str, Field); 3] =
    [("msg_id", Field::MsgId), ("worker", Field::Worker), ("seq", Field::Seq)];
/// The hole of the node's index. A column of this name comes first: tables had one before the hole was there.
const NODE: &str = "node";

/// Holes with another form of the id. One message in `sample` has a trace that is recorded, until [`Template::set_sample`].
const FORMS: [(&str, IdForm); 2] =
    [("msg_uuid", IdForm::Uuid), ("traceparent", IdForm::Traceparent { sample: 1 })];

/// Names of holes that are loadgen's own: no column may have one. Those of [`FORMS`] came later: a column of such a name
/// comes first.
pub(crate) const OWN_NAMES: [&str; 3] = [FIELDS[0].0, FIELDS[1].0, FIELDS[2].0];

/// The longest name of a hole, in bytes.
const LONGEST_NAME: usize = 256;
/// Digits of the largest number a hole may have.
const MOST_DIGITS: usize = 20;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TemplatePart {
    Text(Vec<u8>),
    Number(Field),
    Form(IdForm),
    Cell(Arc<TableColumn>),
}

/// Values for the placeholders of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Values {
    /// `{{msg_id}}`: globally unique.
    pub msg_id: u64,
    /// `{{worker}}`: the worker's number from 0.
    pub worker: u64,
    /// `{{seq}}`: the worker's count of messages from 0.
    pub seq: u64,
    /// `{{node}}`: the index of the node from 0; 0 of a run of one process.
    pub node: u64,
    /// Number of the message among those of all workers, from 0. It selects the line and the row.
    pub turn: u64,
}

impl Values {
    pub(super) fn of(&self, field: Field) -> u64 {
        match field {
            Field::MsgId => self.msg_id,
            Field::Worker => self.worker,
            Field::Seq => self.seq,
            Field::Node => self.node,
        }
    }
}

impl TemplatePart {
    fn len(&self, values: &Values) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(field) => digits(values.of(*field)),
            Self::Form(form) => form.len(),
            Self::Cell(column) => column.cell(column.row(values.turn)).len(),
        }
    }

    fn longest(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(_) => MOST_DIGITS,
            Self::Form(form) => form.len(),
            Self::Cell(column) => column.longest(),
        }
    }
}

pub(super) fn digits(value: u64) -> usize {
    value.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Text that a template is part of. It decides how values of columns are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EscapeContext {
    /// Path and query of a URL, or a body of an HTML form: percent-encoded.
    Url,
    /// A JSON body: between quotes escaped as JSON wants it, else as it is.
    Json,
    /// Anything else: as it is.
    Plain,
}

/// A `{{name}}` that nothing fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateError {
    name: String,
    known: Vec<String>,
}

/// Largest number of names in the message.
const TOLD: usize = 20;

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let braces = |name: &String| format!("{{{{{name}}}}}");
        let mut told: Vec<_> = self.known.iter().take(TOLD).map(braces).collect();
        let last = if self.known.len() > TOLD {
            format!("{} more", self.known.len() - TOLD)
        } else {
            told.pop().unwrap_or_default()
        };
        let (name, told) = (braces(&self.name), told.join(", "));
        write!(f, "unknown placeholder {name}; there are {told} and {last}")
    }
}

impl std::error::Error for TemplateError {}

/// A parsed template. Text that only looks like a hole (`{{}}`, `{{ a b }}`, JSON) stays text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Template {
    pub(super) parts: Vec<TemplatePart>,
}

/// The default body where the MsgID is in the field `MsgID`, as the original's packet generator sent it.
pub const DEFAULT_BODY: &str = r#"{"MsgID":{{msg_id}},"source":"client-id","target":"target-id"}"#;

/// Members of the default body after the MsgID, as the original's packet generator sent them.
const DEFAULT_MEMBERS: [(&str, &str); 2] = [("source", "client-id"), ("target", "target-id")];

impl Template {
    /// Parses `{{msg_id}}`, `{{worker}}` and `{{seq}}`; refuses any other single word in the braces.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn parse(source: &[u8]) -> Result<Self, TemplateError> {
        Self::parse_with(source, None, EscapeContext::Plain)
    }

    /// Parses a template with the columns of a table, whose names may have several words.
    pub(crate) fn parse_with(
        source: &[u8],
        data: Option<&Data>,
        place: EscapeContext,
    ) -> Result<Self, TemplateError> {
        let mut template = Self::default();
        let mut quotes = Quotes::default();
        let mut rest = source;
        while let Some(first) = rest.first() {
            let inside = place == EscapeContext::Json && quotes.open;
            match hole_at(rest, data, place.escape(inside))? {
                Some((part, len)) => {
                    template.parts.push(part);
                    rest = &rest[len..];
                }
                None => {
                    quotes.see(*first);
                    template.push_text(&[*first]);
                    rest = &rest[1..];
                }
            }
        }
        Ok(template)
    }

    /// The default body: a JSON object whose field `id_field` is the MsgID, and two constant members.
    pub(crate) fn default_body(id_field: &str) -> Self {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        // Appended part by part: a field name with braces stays text.
        let mut body = Self::text(format!("{{{}:", quoted(id_field)));
        body.parts.push(TemplatePart::Number(Field::MsgId));
        for (name, value) in DEFAULT_MEMBERS {
            if name != id_field {
                body.push_text(format!(",{}:{}", quoted(name), quoted(value)).as_bytes());
            }
        }
        body.push_text(b"}");
        body
    }

    /// Text without holes.
    pub(crate) fn text(text: impl AsRef<[u8]>) -> Self {
        let mut template = Self::default();
        template.push_text(text.as_ref());
        template
    }

    /// Adds the other behind it.
    pub(crate) fn append(&mut self, other: Self) {
        for part in other.parts {
            match part {
                TemplatePart::Text(text) => self.push_text(&text),
                hole => self.parts.push(hole),
            }
        }
    }

    fn push_text(&mut self, more: &[u8]) {
        match self.parts.last_mut() {
            _ if more.is_empty() => {}
            Some(TemplatePart::Text(text)) => text.extend_from_slice(more),
            _ => self.parts.push(TemplatePart::Text(more.to_vec())),
        }
    }

    /// Its text, if it has no holes.
    pub(crate) fn as_text(&self) -> Option<&[u8]> {
        match self.parts.as_slice() {
            [] => Some(b""),
            [TemplatePart::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns whether each message carries its id, so that its arrival can be joined.
    pub(crate) fn carries_id(&self) -> bool {
        let is_id = |part: &TemplatePart| {
            matches!(part, TemplatePart::Number(Field::MsgId) | TemplatePart::Form(_))
        };
        self.parts.iter().any(is_id)
    }

    /// Asks for the trace of one message in `sample`: those of the others have no flag *sampled*.
    pub(crate) fn set_sample(&mut self, sample: u64) {
        for part in &mut self.parts {
            if let TemplatePart::Form(IdForm::Traceparent { sample: own }) = part {
                *own = sample.max(1);
            }
        }
    }

    /// Bytes of the message that `values` give.
    pub(crate) fn len(&self, values: &Values) -> usize {
        self.parts.iter().map(|part| part.len(values)).sum()
    }

    /// Bytes that no message is longer than.
    pub(crate) fn longest(&self) -> usize {
        self.parts.iter().map(TemplatePart::longest).sum()
    }

    /// Returns whether the template is empty, holes and all.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Appends the message to `out`.
    #[cfg_attr(not(feature = "reqwest"), allow(dead_code, reason = "only reqwest needs it"))]
    pub(crate) fn write(&self, values: &Values, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => out.extend_from_slice(text),
                TemplatePart::Number(field) => {
                    out.extend_from_slice(itoa::Buffer::new().format(values.of(*field)).as_bytes());
                }
                TemplatePart::Form(form) => {
                    let mut buffer = [0; LONGEST_FORM];
                    form.write(values.msg_id, &mut buffer[..form.len()]);
                    out.extend_from_slice(&buffer[..form.len()]);
                }
                TemplatePart::Cell(column) => {
                    out.extend_from_slice(column.cell(column.row(values.turn)));
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
                TemplatePart::Text(text) => write!(f, "{}", String::from_utf8_lossy(text))?,
                TemplatePart::Number(field) => write!(f, "{{{{{field:?}}}}}")?,
                TemplatePart::Form(form) => write!(f, "{{{{{form:?}}}}}")?,
                TemplatePart::Cell(column) => write!(f, "{{{{{column:?}}}}}")?,
            }
        }
        f.write_str(")")
    }
}

impl EscapeContext {
    fn escape(self, in_quotes: bool) -> Escape {
        match self {
            Self::Url => Escape::Percent,
            Self::Json if in_quotes => Escape::JsonString,
            Self::Json | Self::Plain => Escape::Plain,
        }
    }
}

/// State of a JSON text: inside a string or not.
#[derive(Debug, Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    fn see(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.open => self.escaped = true,
            b'"' => self.open = !self.open,
            _ => {}
        }
    }
}

/// Names of all holes but those of columns.
fn own_names() -> impl Iterator<Item = &'static str> {
    let forms = FORMS.iter().map(|(name, _)| *name);
    OWN_NAMES[..1].iter().copied().chain(forms).chain(OWN_NAMES[1..].iter().copied()).chain([NODE])
}

/// Returns whether braces around this text make a hole, known or not.
pub(crate) fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The hole at the start of `text`, and the length of the whole placeholder.
fn hole_at(
    text: &[u8],
    data: Option<&Data>,
    escape: Escape,
) -> Result<Option<(TemplatePart, usize)>, TemplateError> {
    let Some(inner) = text.strip_prefix(b"{{") else { return Ok(None) };
    let end = inner.windows(2).take(LONGEST_NAME + 1).position(|pair| pair == b"}}");
    let name = end.and_then(|end| std::str::from_utf8(&inner[..end]).ok());
    let Some(name) = name else { return Ok(None) };
    let len = name.len() + 4;
    if let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) {
        return Ok(Some((TemplatePart::Number(*field), len)));
    }
    if let Some(column) = data.and_then(|data| data.column(name, escape)) {
        return Ok(Some((TemplatePart::Cell(column), len)));
    }
    match FORMS.iter().find(|(known, _)| *known == name) {
        Some((_, form)) => Ok(Some((TemplatePart::Form(*form), len))),
        None if name == NODE => Ok(Some((TemplatePart::Number(Field::Node), len))),
        None if is_word(name) => {
            let columns = data.into_iter().flat_map(Data::names);
            let known = own_names().map(str::to_owned).chain(columns.map(str::to_owned)).collect();
            Err(TemplateError { name: name.to_owned(), known })
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(template: &Template, values: &Values) -> String {
        let mut out = Vec::new();
        template.write(values, &mut out);
        assert_eq!(out.len(), template.len(values));
        assert!(out.len() <= template.longest());
        String::from_utf8(out).unwrap_or_default()
    }

    fn data() -> Data {
        let names = ["name", "full name", "n"].map(str::to_owned).to_vec();
        let mut data = Data::new(names, &OWN_NAMES).expect("valid");
        data.push(2, ["Bo", "a \"b\"", "5"]);
        data.push(3, ["Zoë", "\\", "[1, 2]"]);
        data
    }

    #[test]
    fn holes_are_filled_and_other_braces_stay() {
        let template = Template::parse(b"{{{msg_id}}-{{worker}}.{{seq}}{{}}{{ msg_id }}{{a b}}}");
        let values = Values { msg_id: 10, worker: 2, ..Values::default() };
        assert_eq!(
            template.map(|t| plain(&t, &values)),
            Ok("{10-2.0{{}}{{ msg_id }}{{a b}}}".to_owned())
        );
    }

    #[test]
    fn an_unknown_placeholder_is_named_with_the_known_ones() {
        let error = |data: Option<&Data>| {
            let parsed = Template::parse_with(b"{{msgid}}", data, EscapeContext::Plain);
            parsed.map(|_| ()).expect_err("unknown").to_string()
        };
        assert_eq!(
            error(None),
            "unknown placeholder {{msgid}}; there are {{msg_id}}, {{msg_uuid}}, {{traceparent}}, {{worker}}, \
             {{seq}} and {{node}}"
        );
        assert_eq!(
            error(Some(&data())),
            "unknown placeholder {{msgid}}; there are {{msg_id}}, {{msg_uuid}}, {{traceparent}}, {{worker}}, \
             {{seq}}, {{node}}, {{name}}, {{full name}} and {{n}}"
        );
        let many = (0..40).map(|n| format!("c{n}")).collect();
        let text = error(Data::new(many, &[]).ok().as_ref());
        assert!(text.ends_with("{{c13}} and 26 more"), "{text}");
    }

    #[test]
    fn a_column_is_written_for_the_place_it_stands_in() {
        let source = br#"{"a\"{{name}}":"{{full name}}","n":{{n}},{{name}}{{other name}}"#;
        let text = |place, turn| {
            let template = Template::parse_with(source, Some(&data()), place).expect("valid");
            plain(&template, &Values { turn, ..Values::default() })
        };
        let json = r#"{"a\"Bo":"a \"b\"","n":5,Bo{{other name}}"#;
        assert_eq!(text(EscapeContext::Json, 0), json);
        assert_eq!(text(EscapeContext::Json, 2), json, "after the last row the first again");
        assert_eq!(text(EscapeContext::Json, 1), r#"{"a\"Zoë":"\\","n":[1, 2],Zoë{{other name}}"#);
        assert_eq!(text(EscapeContext::Plain, 1), r#"{"a\"Zoë":"\","n":[1, 2],Zoë{{other name}}"#);
        assert!(text(EscapeContext::Url, 1).contains(r#":"%5C","n":%5B1%2C%202%5D,Zo%C3%AB"#));
    }

    #[test]
    fn the_default_body_carries_the_id() {
        let body = |field: &str| {
            let template = Template::default_body(field);
            assert!(template.carries_id(), "{field}");
            plain(&template, &Values { msg_id: 1234, worker: 7, ..Values::default() })
        };
        assert_eq!(body("MsgID"), r#"{"MsgID":1234,"source":"client-id","target":"target-id"}"#);
        assert_eq!(Template::parse(DEFAULT_BODY.as_bytes()), Ok(Template::default_body("MsgID")));
        assert_eq!(body("order"), r#"{"order":1234,"source":"client-id","target":"target-id"}"#);
        assert_eq!(body("target"), r#"{"target":1234,"source":"client-id"}"#, "each field once");
        let odd = body("a\"{{worker}}");
        assert_eq!(odd, r#"{"a\"{{worker}}":1234,"source":"client-id","target":"target-id"}"#);
    }

    #[test]
    fn templates_are_put_together() {
        let mut template = Template::text("a");
        template.append(Template::text("b"));
        assert_eq!(template.as_text(), Some(&b"ab"[..]));
        template.append(Template::parse(b"c{{seq}}").expect("valid"));
        assert_eq!(plain(&template, &Values::default()), "abc0");
        assert_eq!((template.as_text(), Template::text("").is_empty()), (None, true));
    }
}
