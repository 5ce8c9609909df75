//! Files with request data: bodies, lines of bodies, and tables. They are parsed once, before the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::read::read_bounded;
use super::{PlanError, refuse};
use crate::message::template::OWN_NAMES;
use crate::message::{Data, MAX_BODY};

/// Largest file of lines or rows, in bytes. In memory it takes several times its size.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// Largest number of lines or rows in a file.
const MOST_LINES: usize = 1_000_000;

/// Tables of a plan. Each file is read once, even if several requests use it.
#[derive(Debug, Default)]
pub(super) struct Tables {
    read: Vec<(PathBuf, Data)>,
}

impl Tables {
    /// Reads a table, if it was not read before.
    pub(super) fn read(&mut self, file: &Path) -> Result<(), PlanError> {
        if self.get(file).is_none() {
            self.read.push((file.to_owned(), table(file)?));
        }
        Ok(())
    }

    /// A table that was read.
    pub(super) fn get(&self, file: &Path) -> Option<&Data> {
        self.read.iter().find(|(own, _)| own == file).map(|(_, data)| data)
    }

    /// Refuses a table that no request uses: a name is misspelt, or its braces are missing.
    pub(super) fn all_used(&self) -> Result<(), PlanError> {
        let Some((file, data)) = self.read.iter().find(|(_, data)| !data.is_used()) else {
            return Ok(());
        };
        let names: Vec<_> = data.names().map(|name| format!("{{{{{name}}}}}")).collect();
        refuse(format!(
            "--data {}: no request uses one of its columns: {}",
            file.display(),
            names.join(", ")
        ))
    }
}

/// A whole file as a body.
pub(super) fn body(file: &Path) -> Result<Vec<u8>, PlanError> {
    read_bounded(file, MAX_BODY as u64, "a body")
        .map_err(|e| PlanError(format!("--body-file {}: {e}", file.display())))
}

/// The lines of a file as bodies, each with its number from 1.
pub(super) fn lines(text: &[u8]) -> Result<Vec<(usize, &[u8])>, String> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Err("the file is empty".to_owned());
    }
    let lines: Vec<_> = text
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .zip(1..)
        .collect();
    if lines.len() > MOST_LINES {
        return Err(format!("it has {} lines; at most {MOST_LINES} are allowed", lines.len()));
    }
    match lines.iter().find(|(line, _)| line.is_empty()) {
        Some((_, number)) => Err(format!("line {number} is empty; each line must contain a body")),
        None => Ok(lines.into_iter().map(|(line, number)| (number, line)).collect()),
    }
}

/// Reads a file of lines or rows, up to the size that is allowed.
pub(super) fn read(flag: &str, file: &Path) -> Result<Vec<u8>, PlanError> {
    let mut text = read_bounded(file, MAX_FILE, "a file of bodies or rows")
        .map_err(|e| PlanError(format!("{flag} {}: {e}", file.display())))?;
    // Skip the byte order mark that some editors write.
    if text.starts_with(b"\xEF\xBB\xBF") {
        text.drain(..3);
    }
    Ok(text)
}

fn table(file: &Path) -> Result<Data, PlanError> {
    let ending = file.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let parse: fn(&[u8]) -> Result<Data, String> = match ending.as_str() {
        "csv" => csv,
        "ndjson" | "jsonl" => ndjson,
        _ => {
            return refuse(format!(
                "--data {}: unknown ending; use .csv, .ndjson or .jsonl (a body is given with --body or \
                 --body-file)",
                file.display()
            ));
        }
    };
    parse(&read("--data", file)?)
        .and_then(check_rows)
        .map_err(|why| PlanError(format!("--data {}: {why}", file.display())))
}

fn check_rows(data: Data) -> Result<Data, String> {
    match data.rows() {
        0 => Err("it does not have a row".to_owned()),
        rows if rows > MOST_LINES => {
            Err(format!("it has {rows} rows; at most {MOST_LINES} are allowed"))
        }
        _ => Ok(data),
    }
}

/// Parses CSV (RFC 4180); the first record names the columns.
fn csv(text: &[u8]) -> Result<Data, String> {
    let mut reader = csv::Reader::from_reader(text);
    let mut lines = Lines { text, at: 0, line: 1 };
    let names = reader.headers().map_err(|e| explain(&e, &mut lines))?;
    let names = names.iter().map(str::to_owned).collect();
    let mut data = Data::new(names, &OWN_NAMES).map_err(|why| format!("line 1: {why}"))?;
    for record in reader.records() {
        let record = record.map_err(|e| explain(&e, &mut lines))?;
        data.push(lines.of(record.position()), record.iter());
    }
    // With an open quote the reader would take the rest of the file as one cell.
    let quotes = text.iter().filter(|byte| **byte == b'"').count();
    let last_quote = text.iter().rposition(|byte| *byte == b'"');
    if let Some(last) = last_quote.filter(|_| quotes % 2 == 1) {
        let line = 1 + text[..last].iter().filter(|byte| **byte == b'\n').count();
        return Err(format!("line {line}: a quote is opened and not closed"));
    }
    Ok(data)
}

/// Counter of line numbers. The CSV reader's own line is one too low after a carriage return.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// Returns the line of a record. `position` may point to the line end before the record; positions must
    /// not decrease between calls.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let byte = position.map_or(0, csv::Position::byte) as usize;
        let passed = self.text.get(self.at..byte).unwrap_or_default();
        let ends = self.text.get(byte..).unwrap_or_default().iter();
        let ends = ends.take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let newlines = passed.iter().chain(ends.clone()).filter(|byte| **byte == b'\n').count();
        self.at = self.at.max(byte) + ends.count();
        self.line += newlines as u64;
        self.line
    }
}

fn explain(error: &csv::Error, lines: &mut Lines<'_>) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = lines.of(pos.as_ref());
            format!("line {line}: it has {len} values, the header row has {expected_len}")
        }
        csv::ErrorKind::Utf8 { pos, .. } => {
            format!("line {}: it is not UTF-8", lines.of(pos.as_ref()))
        }
        _ => error.to_string(),
    }
}

/// Parses one JSON object per line. The fields of the first object are the columns; later objects must have
/// them too.
fn ndjson(text: &[u8]) -> Result<Data, String> {
    let mut data: Option<Data> = None;
    let lines = text.split(|byte| *byte == b'\n').zip(1..);
    for (line, number) in lines.filter(|(line, _)| !line.trim_ascii().is_empty()) {
        add_json_row(&mut data, line, number).map_err(|why| format!("line {number}: {why}"))?;
    }
    data.ok_or_else(|| "it does not have a row".to_owned())
}

/// Adds the object in a line to the table, which the first object creates.
fn add_json_row(data: &mut Option<Data>, line: &[u8], number: u64) -> Result<(), String> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(line)
        .map_err(|error| format!("not a JSON object: {}", without_line(&error)))?;
    let table = match data {
        Some(table) => table,
        None => data.insert(Data::new(fields.keys().cloned().collect(), &OWN_NAMES)?),
    };
    let mut values = Vec::new();
    for name in table.names() {
        let Some(value) = fields.get(name) else {
            return Err(format!("it does not have '{name}', which the first line has"));
        };
        values.push(text_of(value)?);
    }
    table.push(number, values.iter().map(String::as_str));
    Ok(())
}

/// Returns the text of a JSON string; any other value as it is written.
fn text_of(value: &RawValue) -> Result<String, String> {
    if value.get().starts_with('"') {
        serde_json::from_str(value.get()).map_err(|e| without_line(&e))
    } else {
        Ok(value.get().to_owned())
    }
}

/// Message of a serde error without its line, which is always 1 here.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let column = error.column();
    text.split(" at line ").next().map_or(text.clone(), |why| format!("{why} (column {column})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Values;
    use crate::message::template::{EscapeContext, Template};

    fn filled(data: &Data, template: &str, turn: u64) -> String {
        let template = Template::parse_with(template.as_bytes(), Some(data), EscapeContext::Plain);
        let mut out = Vec::new();
        template.expect("valid").write(&Values { turn, ..Values::default() }, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn csv_is_read_as_rfc_4180_has_it() {
        let text = "id,full name\r\n1,\"Bo, \"\"the\r\nBear\"\"\"\r\n2,\r\n";
        let data = csv(text.as_bytes()).expect("valid");
        assert_eq!(data.rows(), 2);
        assert_eq!(filled(&data, "{{id}}={{full name}}", 0), "1=Bo, \"the\r\nBear\"");
        assert_eq!(filled(&data, "{{id}}={{full name}}", 1), "2=");
        assert_eq!(data.first_unfit("full name", |cell| !cell.is_empty()), Some(4));
    }

    #[test]
    fn what_is_wrong_in_a_csv_is_told_with_its_line() {
        for (text, part) in [
            (&b"a,b\n1,2\n3\n"[..], "line 3: it has 1 values, the header row has 2"),
            (b"a,b\r\n\r\n1,\"\r\n2\"\r\n\r\n3\r\n", "line 6: it has 1 values"),
            (b"a,b\n1,2,3\n", "line 2: it has 3 values, the header row has 2"),
            (b"a,b\n1,\xFF\n", "line 2: it is not UTF-8"),
            (b"a,msg_id\n1,2\n", "line 1: a column may not be called 'msg_id'"),
            (b"a,a\n1,2\n", "line 1: two columns are called 'a'"),
            (b"a,\n1,2\n", "line 1: column 2 has no name"),
            (b"", "line 1: it has no columns"),
            (b"a,b\n1,\"x\n2,y\n3,z\n", "line 2: a quote is opened and not closed"),
        ] {
            let error = csv(text).map(|_| ()).expect_err(part);
            assert!(error.contains(part), "{part}: {error}");
        }
        assert_eq!(csv(b"a,b\n").map(|data| data.rows()), Ok(0));
    }

    #[test]
    fn ndjson_gives_strings_as_text_and_the_rest_as_written() {
        let text = "{\"s\":\"a\\n\\\"b\\\"\",\"n\":1.50,\"big\":12345678901234567890123,\"o\":{\"x\": [1]}}\n\n\
                    {\"n\":null,\"s\":\"\",\"big\":true,\"o\":0,\"more\":1}\r\n";
        let data = ndjson(text.as_bytes()).expect("valid");
        let all = "{{s}}|{{n}}|{{big}}|{{o}}";
        assert_eq!(filled(&data, all, 0), "a\n\"b\"|1.50|12345678901234567890123|{\"x\": [1]}");
        assert_eq!(filled(&data, all, 1), "|null|true|0");
    }

    #[test]
    fn what_is_wrong_in_an_ndjson_is_told_with_its_line() {
        for (text, part) in [
            ("{\"a\":1}\n{\"b\":1}\n", "line 2: it does not have 'a', which the first line has"),
            ("{\"a\":1}\n\n[1]\n", "line 3: not a JSON object: invalid type: sequence"),
            ("{\"a\":1\n", "line 1: not a JSON object: EOF"),
            ("{\"seq\":1}\n", "line 1: a column may not be called 'seq'"),
            ("{}\n", "line 1: it has no columns"),
            ("\n \n", "it does not have a row"),
        ] {
            let error = ndjson(text.as_bytes()).map(|_| ()).expect_err(part);
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn lines_are_bodies_without_their_ends() {
        let all = |text: &'static str| lines(text.as_bytes());
        assert_eq!(all("a\r\n b \nc").expect("valid"), [(1, &b"a"[..]), (2, b" b "), (3, b"c")]);
        assert_eq!(all("a\n").map(|lines| lines.len()), Ok(1));
        for (text, part) in [("", "is empty"), ("\n", "is empty"), ("a\n\nb", "line 2 is empty")] {
            assert!(all(text).expect_err(part).contains(part));
        }
        assert!(all("a\n\n").expect_err("empty").contains("line 2"));
        let many = "x\n".repeat(MOST_LINES + 1);
        assert!(lines(many.as_bytes()).expect_err("many").contains("1000001 lines"));
    }
}
