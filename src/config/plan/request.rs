//! The requests: method, path, headers, body; one request, or several that are chosen by weight.

mod carried_id;
pub(super) mod method;

use std::sync::Arc;

use super::files::{self, Tables};
use super::head::{header, open_holes, parse_path, place};
use super::{PlanError, Target, refuse};
use crate::config::settings::{RequestSettings, Settings};
use crate::core::secrets::mask_parts;
use crate::message::template::EscapeContext;
use crate::message::{
    Data, IdFields, IdPlace, IdPlaces, MAX_BODY, MessageBody, Mix, PlaceError, Template,
};
pub(crate) use carried_id::NO_REQUEST_CARRIES_ID;
use carried_id::{check_lines, head_carries_id};

/// Requests of a run and their mix.
#[derive(Debug, Clone)]
pub struct RequestPlan {
    /// Requests, at least one.
    pub requests: Vec<Request>,
    /// Choice of the request for each slot.
    pub mix: Arc<Mix>,
    /// The JSON field that carries the MsgID.
    pub id_fields: IdFields,
    /// The places of a message that arrives that may have the MsgID.
    pub(crate) id_places: IdPlaces,
    /// First id; `None` selects a random one.
    pub first_id: Option<u64>,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name in the profile; empty for a single request without a name.
    pub name: String,
    /// Weight relative to the other requests, 1 to 1000.
    pub weight: u64,
    /// Method, a valid token.
    pub method: String,
    /// Path and query with their holes, encoded as they are sent.
    pub path: Template,
    /// Names and values, valid for HTTP/1.1.
    pub headers: Vec<(String, Template)>,
    /// Body with its holes.
    pub body: MessageBody,
}

impl RequestPlan {
    /// Adds `Connection: close` to the requests that have no such header.
    pub(super) fn close_connections(&mut self) {
        for Request { headers, .. } in &mut self.requests {
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
                headers.push(("Connection".to_owned(), Template::text("close")));
            }
        }
    }

    /// Adds the header `traceparent` with the MsgID to the requests that have no such header. A script makes its own.
    pub(super) fn add_traceparent(&mut self, has_script: bool) -> Result<(), PlanError> {
        if has_script {
            return refuse(
                "--traceparent and --script: a script writes its own headers; leave one of them out",
            );
        }
        let own = header("traceparent: {{traceparent}}", None)?;
        for Request { headers, .. } in &mut self.requests {
            let is_trace = |(name, _): &&(String, Template)| name.eq_ignore_ascii_case(&own.0);
            match headers.iter().find(is_trace) {
                None => headers.push(own.clone()),
                Some((_, value)) if value.carries_id() => {}
                Some(_) => {
                    return refuse(
                        "--traceparent: the header traceparent of --header has no {{traceparent}}; leave one of them out",
                    );
                }
            }
        }
        Ok(())
    }

    /// Asks for the trace of one message in `sample`.
    pub(super) fn set_sample(&mut self, sample: u64) {
        for Request { path, headers, body, .. } in &mut self.requests {
            path.set_sample(sample);
            headers.iter_mut().for_each(|(_, value)| value.set_sample(sample));
            body.set_sample(sample);
        }
    }

    /// Returns true if the report has separate results for each request.
    pub(crate) fn is_mix(&self) -> bool {
        self.requests.len() > 1
    }
}

/// Largest number of requests in a profile: every worker has histograms for each.
const MOST_REQUESTS: usize = 64;
/// Largest weight; the sequence of requests is as long as the sum of the weights.
const HIGHEST_WEIGHT: u64 = 1_000;
/// The longest name of a request.
const LONGEST_NAME: usize = 64;
/// Error text for a body above [`MAX_BODY`].
pub(super) const TOO_LARGE: &str = "the body is larger than 16 MiB, the limit of the pipeline";

/// Checks the settings of the requests and reads their files.
pub(super) fn request(settings: &Settings, target: &Target) -> Result<RequestPlan, PlanError> {
    let whole = [RequestSettings::default()];
    let all = if settings.mix.is_empty() { &whole[..] } else { &settings.mix };
    if all.len() > MOST_REQUESTS {
        return refuse(format!(
            "{} [[request]] tables; at most {MOST_REQUESTS} are allowed",
            all.len()
        ));
    }
    let mut tables = Tables::default();
    let mut requests: Vec<Request> = Vec::new();
    for own in all {
        if requests.iter().any(|other| other.name == own.name) {
            return refuse(format!("two [[request]] tables have the name '{}'", own.name));
        }
        let is_named = !settings.mix.is_empty();
        if is_named {
            check_name(&own.name)?;
        }
        let request = Draft { settings, own, target }.request(&mut tables).map_err(|e| {
            if is_named { PlanError(format!("[[request]] '{}': {e}", own.name)) } else { e }
        })?;
        requests.push(request);
    }
    tables.all_used()?;
    let weights: Vec<_> = requests.iter().map(|request| request.weight).collect();
    Ok(RequestPlan {
        requests,
        mix: Arc::new(Mix::new(&weights, settings.seed.unwrap_or(1))),
        id_fields: id_fields(settings),
        id_places: id_places(settings)?,
        first_id: settings.first_id,
    })
}

fn id_fields(settings: &Settings) -> IdFields {
    settings.id_field.as_deref().map_or_else(IdFields::default, IdFields::only)
}

fn id_places(settings: &Settings) -> Result<IdPlaces, PlanError> {
    if settings.id_from.is_empty() {
        return Ok(IdPlaces::Fields(id_fields(settings)));
    }
    let places = settings.id_from.iter().map(|text| text.parse::<IdPlace>());
    let places = places.collect::<Result<_, _>>();
    places.map(IdPlaces::Own).map_err(|error: PlaceError| PlanError(format!("--id-from {error}")))
}

/// Reads the templates of bodies.
struct BodyParser<'d> {
    data: Option<&'d Data>,
    context: EscapeContext,
}

impl BodyParser<'_> {
    /// Parses a body and checks its size. `source` names the flag or line in errors.
    fn parse(&self, source: &str, text: &[u8]) -> Result<Template, PlanError> {
        let body = Template::parse_with(text, self.data, self.context)
            .map_err(|error| PlanError(format!("{source}: {error}")))?;
        if body.longest() > MAX_BODY {
            return refuse(format!("{source}: {TOO_LARGE}"));
        }
        Ok(body)
    }
}

fn read_headers(
    texts: &[String],
    data: Option<&Data>,
) -> Result<Vec<(String, Template)>, PlanError> {
    texts.iter().map(|text| header(text, data)).collect()
}

/// Refuses names that cannot be a part of the report's dotted names.
fn check_name(name: &str) -> Result<(), PlanError> {
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if name.is_empty() || name.len() > LONGEST_NAME || !is_word {
        return refuse(format!(
            "[[request]] name '{name}': use up to {LONGEST_NAME} letters, digits, - and _"
        ));
    }
    Ok(())
}

/// Settings of one request, and the settings that all requests share.
struct Draft<'a> {
    settings: &'a Settings,
    own: &'a RequestSettings,
    target: &'a Target,
}

impl Draft<'_> {
    fn request(&self, tables: &mut Tables) -> Result<Request, PlanError> {
        let Self { settings, own, .. } = self;
        let weight = own.weight.unwrap_or(1);
        if !(1..=HIGHEST_WEIGHT).contains(&weight) {
            return refuse(format!("weight {weight} must be from 1 to {HIGHEST_WEIGHT}"));
        }
        let method = match own.method.as_ref().or(settings.method.as_ref()) {
            Some(given) => method::method(given)?,
            None => method::default_method(settings, self.target).to_owned(),
        };
        let data = match own.data.as_ref().or(settings.data.as_ref()) {
            Some(file) => {
                tables.read(file)?;
                tables.get(file)
            }
            None => None,
        };
        let headers = self.headers(data)?;
        let path = self.path(data)?;
        let body = self.body(&method, &headers, data)?;
        let has_traceparent = self.settings.traceparent.unwrap_or_default();
        check_lines(&body, has_traceparent || head_carries_id(&path, &headers))?;
        Ok(Request { name: own.name.clone(), weight, path, body, method, headers })
    }

    /// Merges the common headers with the request's own, which replace those of the same name.
    fn headers(&self, data: Option<&Data>) -> Result<Vec<(String, Template)>, PlanError> {
        let own = read_headers(&self.own.headers, data)?;
        let mut all = read_headers(&self.settings.headers, data)?;
        all.retain(|(name, _)| !own.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
        all.extend(own);
        Ok(all)
    }

    /// Returns the request's own path, or that of the URL.
    fn path(&self, data: Option<&Data>) -> Result<Template, PlanError> {
        let (flag, url) = match (&self.own.path, self.target) {
            (Some(path), _) => (format!("path '{}'", mask_parts(path)), parse_path(path)?),
            (None, Target::Url(url)) => ("the URL".to_owned(), url.clone()),
            (None, Target::Pipeline) => return Ok(Template::text("/")),
        };
        let text = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let text = open_holes(text, data);
        Template::parse_with(text.as_bytes(), data, EscapeContext::Url)
            .map_err(|e| PlanError(format!("{flag}: {e}")))
    }

    fn body(
        &self,
        method: &str,
        headers: &[(String, Template)],
        data: Option<&Data>,
    ) -> Result<MessageBody, PlanError> {
        let (own, all) = (self.own, self.settings);
        let silent = matches!(method, "GET" | "HEAD");
        let given = if own.has_body() {
            (&own.body, &own.body_file, &own.body_lines)
        } else if silent && own.method.is_some() {
            // The request sets a method without a body, so the common body does not apply.
            (&None, &None, &None)
        } else {
            (&all.body, &all.body_file, &all.body_lines)
        };
        let parser = BodyParser { data, context: place(headers) };
        match given {
            (Some(text), None, None) => Ok(parser.parse("--body", text.as_bytes())?.into()),
            (None, Some(file), None) => {
                let flag = format!("--body-file {}", file.display());
                Ok(parser.parse(&flag, &files::body(file)?)?.into())
            }
            (None, None, Some(file)) => {
                let flag = format!("--body-lines {}", file.display());
                let text = files::read("--body-lines", file)?;
                let lines =
                    files::lines(&text).map_err(|why| PlanError(format!("{flag}: {why}")))?;
                let lines = lines
                    .into_iter()
                    .map(|(number, line)| parser.parse(&format!("{flag}: line {number}"), line))
                    .collect::<Result<Vec<_>, _>>()?;
                MessageBody::lines(lines)
                    .ok_or_else(|| PlanError(format!("{flag}: the file is empty")))
            }
            (None, None, None) if silent => Ok(Template::default().into()),
            (None, None, None) => Ok(Template::default_body(id_fields(all).first()).into()),
            _ => refuse("give only one of --body, --body-file and --body-lines"),
        }
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::message::Values;

    fn plan(change: impl FnOnce(&mut Settings)) -> Result<RequestPlan, String> {
        let mut settings = Settings::default();
        change(&mut settings);
        let url = settings.url.as_deref().map(|url| Url::parse(url).expect("a URL"));
        let target = url.map_or(Target::Pipeline, Target::Url);
        request(&settings, &target).map_err(|e| e.to_string())
    }

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        plan(change).map(|_| ()).expect_err("it is refused")
    }

    fn profile(text: &str) -> Settings {
        Settings::from_toml(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn file(name: &str, text: impl AsRef<[u8]>) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        (folder, path)
    }

    fn written(template: &Template, turn: u64) -> String {
        let mut out = Vec::new();
        template.write(&Values { turn, ..Values::default() }, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn holes_are_found_in_url_headers_and_body() {
        let (_folder, data) = file("users.csv", "user,full name\nbo,B O\nzoë,a/b\n");
        let plan = plan(|s| {
            s.url =
                Some("http://h/u/{{user}}/{{full name}}/%7B?q={{full name}}&n={{seq}}#x".into());
            s.headers = vec!["X-User: {{user}}".into()];
            s.body = Some(r#"{"n":"{{full name}}"}"#.into());
            s.data = Some(data);
        });
        let request = &plan.expect("valid").requests[0];
        assert_eq!(written(&request.path, 0), "/u/bo/B%20O/%7B?q=B%20O&n=0");
        assert_eq!(written(&request.path, 1), "/u/zo%C3%AB/a%2Fb/%7B?q=a%2Fb&n=0");
        assert_eq!(written(&request.headers[0].1, 1), "zoë");
        assert_eq!(written(request.body.only().expect("one"), 1), r#"{"n":"a/b"}"#);
    }

    #[test]
    fn a_body_is_escaped_as_its_content_type_says() {
        let (_folder, data) = file("d.csv", "x\n\"a\"\"&b\"\n");
        let body = |kind: Option<&str>| {
            let plan = plan(|s| {
                s.headers = kind.map(|kind| format!("Content-Type: {kind}")).into_iter().collect();
                s.body = Some("\"{{x}}\"".to_owned());
                s.data = Some(data.clone());
            });
            written(plan.expect("valid").requests[0].body.only().expect("one"), 0)
        };
        assert_eq!(body(None), r#""a\"&b""#);
        assert_eq!(body(Some("application/vnd.api+json; charset=utf-8")), r#""a\"&b""#);
        assert_eq!(body(Some("application/x-www-form-urlencoded")), "\"a%22%26b\"");
        assert_eq!(body(Some("text/plain")), "\"a\"&b\"");
    }

    #[test]
    fn requests_have_what_all_have_and_what_is_theirs() {
        let text = "header = ['A: 1', 'B: 2']\nbody = 'all'\n\
                    [[request]]\nname = 'view'\nweight = 3\nmethod = 'GET'\npath = '/v?x=1'\n\
                    [[request]]\nname = 'buy'\nheader = ['b: 3']\n\
                    [[request]]\nname = 'own'\nmethod = 'PUT'\nbody = 'own'\n";
        let plan = plan(|s| *s = profile(text)).expect("valid");
        let shown = |r: &Request| {
            let headers = r.headers.iter().map(|(n, v)| format!("{n}={}", written(v, 0)));
            let (path, headers) = (written(&r.path, 0), headers.collect::<Vec<_>>().join(","));
            let body = written(r.body.only().expect("one"), 0);
            format!("{} {} {} {path} {headers} {body}", r.name, r.weight, r.method)
        };
        assert_eq!(
            plan.requests.iter().map(shown).collect::<Vec<_>>(),
            ["view 3 GET /v?x=1 A=1,B=2 ", "buy 1 POST / A=1,b=3 all", "own 1 PUT / A=1,B=2 own"]
        );
        assert_eq!((plan.mix.cycle(), plan.is_mix()), (5, true));
    }

    #[test]
    fn a_senseless_request_is_refused_by_its_name() {
        let two = "[[request]]\nname = 'a'\n[[request]]\nname = 'b'\n";
        for (text, part) in [
            ("[[request]]\nname = 'a b'\n", "name 'a b': use up to 64 letters, digits, - and _"),
            ("[[request]]\nname = ''\n", "name ''"),
            ("[[request]]\nname = 'a'\n[[request]]\nname = 'a'\n", "two [[request]] tables"),
            ("weight = 0\n", "[[request]] 'b': weight 0 must be from 1 to 1000"),
            ("weight = '1001'\n", "weight 1001"),
            ("method = 'G T'\n", "[[request]] 'b': --method 'G T'"),
            ("path = 'x'\n", "[[request]] 'b': path 'x': write /PATH"),
            ("path = '//host/x'\n", "write /PATH"),
            ("path = '/{{x}}'\n", "path '/{{x}}': unknown placeholder {{x}}"),
            ("header = ['x']\n", "'Name: value'"),
            ("body = '{{x}}'\n", "--body: unknown placeholder"),
            ("body = 'x'\nbody-file = 'y'\n", "give only one of --body, --body-file"),
            ("body-lines = '/nowhere/x'\n", "--body-lines /nowhere/x"),
            ("data = '/nowhere/x.csv'\n", "--data /nowhere/x.csv"),
        ] {
            let text = if text.starts_with('[') { text.to_owned() } else { format!("{two}{text}") };
            let error = refused(|s| *s = profile(&text));
            assert!(error.contains(part), "{text}: {error}");
        }
        let many: String = (0..65).map(|n| format!("[[request]]\nname = 'r{n}'\n")).collect();
        assert!(refused(|s| *s = profile(&many)).contains("65 [[request]] tables"));
    }

    #[test]
    fn files_that_say_nothing_of_use_are_refused() {
        let (_a, data) = file("d.csv", "user,bell\nbo,a\u{7}b\n");
        let with = |change: fn(&mut Settings)| {
            refused(|s| {
                s.data = Some(data.clone());
                change(s);
            })
        };
        assert!(with(|_| ()).contains("no request uses one of its columns: {{user}}, {{bell}}"));
        let unknown = with(|s| s.body = Some("{{users}}".into()));
        assert!(unknown.contains("{{seq}}, {{node}}, {{user}} and {{bell}}"), "{unknown}");
        let unfit = with(|s| s.headers = vec!["X: {{bell}}".into()]);
        assert!(unfit.contains("line 2 of the data has a character in 'bell'"), "{unfit}");
        let (_b, lines) = file("lines", "one\n{{two}}\n");
        let unknown = refused(|s| s.body_lines = Some(lines.clone()));
        assert!(unknown.contains("lines: line 2: unknown placeholder {{two}}"), "{unknown}");
        let both = refused(|s| {
            s.body = Some("x".into());
            s.body_lines = Some(lines.clone());
        });
        assert!(both.contains("give only one of --body, --body-file"), "{both}");
        let (_c, other) = file("data.txt", "a\n1\n");
        let ending = refused(|s| s.data = Some(other.clone()));
        assert!(
            ending.contains(".csv, .ndjson or .jsonl (a body is given with --body"),
            "{ending}"
        );
        let (_d, head) = file("head.csv", "a,b\n");
        let empty = refused(|s| s.data = Some(head.clone()));
        assert!(empty.contains("head.csv: it does not have a row"), "{empty}");
    }
}
