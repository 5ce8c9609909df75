//! A message rendered once and patched in place for each that follows.

use std::sync::Arc;

use super::data::TableColumn;
use super::id_form::IdForm;
use super::template::{Field, Template, TemplatePart, Values, digits};

/// A body: one template, or a line for each turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageBody {
    lines: Arc<[Template]>,
}

impl From<Template> for MessageBody {
    fn from(template: Template) -> Self {
        Self { lines: Arc::new([template]) }
    }
}

impl MessageBody {
    /// Bodies that are sent in turn: in order, and after the last the first again. None is empty.
    pub(crate) fn lines(lines: Vec<Template>) -> Option<Self> {
        (!lines.is_empty()).then(|| Self { lines: lines.into() })
    }

    /// Asks for the trace of one message in `sample`.
    pub(crate) fn set_sample(&mut self, sample: u64) {
        let mut lines = self.lines.to_vec();
        lines.iter_mut().for_each(|line| line.set_sample(sample));
        self.lines = lines.into();
    }

    /// Returns whether the body is empty, holes and all.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.iter().all(Template::is_empty)
    }

    /// Returns whether every message carries its id, so that its arrival can be joined.
    pub(crate) fn carries_id(&self) -> bool {
        self.lines.iter().all(Template::carries_id)
    }

    /// Number, from 1, of the first line without the id where another line has it.
    pub(crate) fn first_line_without_id(&self) -> Option<usize> {
        let without = self.lines.iter().position(|line| !line.carries_id())?;
        self.lines.iter().any(Template::carries_id).then_some(without + 1)
    }

    /// Bytes that no message is longer than.
    pub(crate) fn longest(&self) -> usize {
        self.lines.iter().map(Template::longest).max().unwrap_or(0)
    }

    /// Returns the template of a body without lines to choose from.
    #[cfg(test)]
    pub(crate) fn only(&self) -> Option<&Template> {
        if let [only] = &self.lines[..] { Some(only) } else { None }
    }

    fn line(&self, turn: u64) -> usize {
        match self.lines.len() {
            // Most bodies; spares the division.
            1 => 0,
            lines => (turn % (lines as u64).max(1)) as usize,
        }
    }
}

/// Value for a placeholder. A number needs no look into the template: most placeholders are numbers.
#[derive(Debug, Clone, Copy)]
enum Filler {
    Number(Field),
    Form(IdForm),
    /// The cell of a column, which is this part of the head or the body.
    Cell {
        in_head: bool,
        part: usize,
    },
}

/// A hole as it is filled now: with a number, or the cell of a row.
#[derive(Debug, Clone, Copy)]
struct Hole {
    filler: Filler,
    start: usize,
    end: usize,
    value: u64,
}

/// The bytes of one message, rendered once; the next one only overwrites what differs.
///
/// A number that grows by a digit, or a value of another length, moves everything behind it and
/// changes the head's Content-Length: then, and with another line, the whole is rendered again.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
    head: Template,
    end_head: fn(usize, &mut Vec<u8>),
    body: MessageBody,
    line: usize,
}

impl Rendered {
    /// `end_head(body_len, out)` writes what stands between the head and a body of that length.
    pub(crate) fn new(
        head: Template,
        end_head: fn(usize, &mut Vec<u8>),
        body: MessageBody,
    ) -> Self {
        Self { bytes: Vec::new(), holes: Vec::new(), head, end_head, body, line: 0 }
    }

    /// The message for `values`. No allocation unless it is longer than all before it.
    pub(crate) fn fill(&mut self, values: &Values) -> &[u8] {
        let line = self.body.line(values.turn);
        if self.bytes.is_empty() || line != self.line || !self.fits(values) {
            self.line = line;
            self.render(values);
            return &self.bytes;
        }
        let (head, body) = (&self.head, &self.body.lines[line]);
        for hole in &mut self.holes {
            let target = hole.start..hole.end;
            let value = match hole.filler {
                Filler::Number(field) => {
                    let value = values.of(field);
                    if value != hole.value {
                        let mut buffer = itoa::Buffer::new();
                        self.bytes[target].copy_from_slice(buffer.format(value).as_bytes());
                    }
                    value
                }
                Filler::Form(form) => {
                    form.write(values.msg_id, &mut self.bytes[target]);
                    values.msg_id
                }
                Filler::Cell { in_head, part } => {
                    let Some(column) = column(head, body, in_head, part) else { continue };
                    let row = column.row(values.turn);
                    if row != hole.value {
                        self.bytes[target].copy_from_slice(column.cell(row));
                    }
                    row
                }
            };
            hole.value = value;
        }
        &self.bytes
    }

    /// Returns true if the values for the holes are as long as those in them.
    fn fits(&self, values: &Values) -> bool {
        let (head, body) = (&self.head, &self.body.lines[self.line]);
        self.holes.iter().all(|hole| {
            let len = match hole.filler {
                Filler::Number(field) => digits(values.of(field)),
                Filler::Form(form) => form.len(),
                Filler::Cell { in_head, part } => column(head, body, in_head, part)
                    .map_or(0, |column| column.cell(column.row(values.turn)).len()),
            };
            len == hole.end - hole.start
        })
    }

    fn render(&mut self, values: &Values) {
        self.bytes.clear();
        self.holes.clear();
        let body = &self.body.lines[self.line];
        write(&self.head, values, true, &mut self.bytes, &mut self.holes);
        (self.end_head)(body.len(values), &mut self.bytes);
        write(body, values, false, &mut self.bytes, &mut self.holes);
    }
}

/// The column that fills a part.
fn column<'a>(
    head: &'a Template,
    body: &'a Template,
    in_head: bool,
    part: usize,
) -> Option<&'a TableColumn> {
    match if in_head { head } else { body }.parts.get(part) {
        Some(TemplatePart::Cell(column)) => Some(column),
        _ => None,
    }
}

/// Appends a template to `out`, and its holes to `holes`.
fn write(
    template: &Template,
    values: &Values,
    in_head: bool,
    out: &mut Vec<u8>,
    holes: &mut Vec<Hole>,
) {
    for (n, part) in template.parts.iter().enumerate() {
        let start = out.len();
        let (filler, value) = match part {
            TemplatePart::Text(text) => {
                out.extend_from_slice(text);
                continue;
            }
            TemplatePart::Number(field) => {
                let value = values.of(*field);
                out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
                (Filler::Number(*field), value)
            }
            TemplatePart::Form(form) => {
                out.resize(start + form.len(), 0);
                form.write(values.msg_id, &mut out[start..]);
                (Filler::Form(*form), values.msg_id)
            }
            TemplatePart::Cell(column) => {
                let row = column.row(values.turn);
                out.extend_from_slice(column.cell(row));
                (Filler::Cell { in_head, part: n }, row)
            }
        };
        holes.push(Hole { filler, start, end: out.len(), value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::data::Data;
    use crate::message::template::EscapeContext;
    use proptest::prelude::*;

    fn end_head(len: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{len}:").as_bytes());
    }

    fn afresh(head: &Template, body: &Template, values: &Values) -> Vec<u8> {
        let mut out = Vec::new();
        head.write(values, &mut out);
        end_head(body.len(values), &mut out);
        body.write(values, &mut out);
        out
    }

    proptest! {
        /// Patching in place gives the same bytes as rendering afresh, whatever came before.
        #[test]
        fn patching_equals_rendering(
            ids in prop::collection::vec((0u64..1 << 53, 0u64..20), 1..50), worker in 0u64..20,
            cells in prop::collection::vec("[a-c]{0,3}", 1..6), lines in 1usize..4,
        ) {
            let mut data = Data::new(vec!["cell".to_owned()], &[]).expect("valid");
            cells.iter().for_each(|cell| data.push(1, [cell.as_str()]));
            let parse = |text: &str| {
                Template::parse_with(text.as_bytes(), Some(&data), EscapeContext::Plain).expect("valid")
            };
            let head = parse("len {{worker}} {{cell}} ");
            let all = ["a{{msg_id}}b{{seq}}{{worker}}{{msg_id}}", "{{cell}}-{{seq}}{{node}}{{msg_uuid}}", "x{{cell}}{{traceparent}}"];
            let templates: Vec<_> = all[..lines].iter().map(|text| parse(text)).collect();
            let body = MessageBody::lines(templates.clone()).expect("not empty");
            let mut rendered = Rendered::new(head.clone(), end_head, body);
            for (seq, (msg_id, turn)) in ids.iter().enumerate() {
                let seq = seq as u64;
                let values = Values { msg_id: *msg_id, worker, seq, node: worker / 3, turn: *turn };
                let line = &templates[*turn as usize % lines];
                prop_assert_eq!(rendered.fill(&values), afresh(&head, line, &values));
            }
        }
    }

    #[test]
    fn lines_are_sent_in_turn() {
        let lines = ["one", "two"].map(Template::text).to_vec();
        let body = MessageBody::lines(lines).expect("not empty");
        assert_eq!((body.only(), body.longest(), body.is_empty()), (None, 3, false));
        let mut rendered = Rendered::new(Template::default(), |_, _| (), body);
        for (turn, wanted) in ["one", "two", "one"].into_iter().enumerate() {
            let values = Values { turn: turn as u64, ..Values::default() };
            assert_eq!(rendered.fill(&values), wanted.as_bytes());
        }
        assert_eq!(MessageBody::lines(Vec::new()), None);
    }
}
