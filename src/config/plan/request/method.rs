//! The method of a request: as it is given, or by what there is to send.

use crate::config::plan::head::is_token;
use crate::config::plan::{PlanError, Target, refuse};
use crate::config::settings::{RequestSettings, Settings};

/// Methods that are taken in any case: `get` is GET. Others are sent as they are written.
const STANDARD: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// A method as it is sent.
pub(in crate::config::plan) fn method(text: &str) -> Result<String, PlanError> {
    if text.is_empty() || !text.bytes().all(is_token) {
        return refuse(format!("--method '{text}' is not an HTTP method"));
    }
    let standard = STANDARD.iter().find(|standard| standard.eq_ignore_ascii_case(text));
    Ok(standard.map_or_else(|| text.to_owned(), |standard| (*standard).to_owned()))
}

/// The method where none is given. A bare URL is sent GET, as by wrk. A pipeline takes messages, which are
/// sent by POST; so is a body.
pub(super) fn default_method(settings: &Settings, target: &Target) -> &'static str {
    let Settings { body, body_file, body_lines, mix, mqtt, .. } = settings;
    let has_body = body.is_some() || body_file.is_some() || body_lines.is_some();
    let is_pipeline = *target == Target::Pipeline || mqtt.is_some();
    if is_pipeline || has_body || mix.iter().any(RequestSettings::has_body) {
        "POST"
    } else {
        "GET"
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn standard_methods_are_taken_in_any_case() {
        for (given, sent) in
            [("get", "GET"), ("Patch", "PATCH"), ("PURGE", "PURGE"), ("purge", "purge")]
        {
            assert_eq!(method(given).expect(given), sent);
        }
        for text in ["", "G T", "G\n"] {
            let error = method(text).expect_err(text).to_string();
            assert!(error.contains("is not an HTTP method"), "{error}");
        }
    }

    #[test]
    fn a_bare_url_is_sent_get_and_everything_else_post() {
        let url = Target::Url(Url::parse("http://h/").expect("a URL"));
        let of = |target: &Target, change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            default_method(&settings, target)
        };
        assert_eq!(of(&url, |_| ()), "GET");
        assert_eq!(of(&url, |s| s.headers = vec!["X: {{msg_id}}".to_owned()]), "GET");
        assert_eq!(of(&Target::Pipeline, |_| ()), "POST");
        assert_eq!(of(&url, |s| s.mqtt = Some("mqtt://h".to_owned())), "POST");
        assert_eq!(of(&url, |s| s.body = Some("x".to_owned())), "POST");
        assert_eq!(of(&url, |s| s.body_file = Some("x".into())), "POST");
        assert_eq!(of(&url, |s| s.body_lines = Some("x".into())), "POST");
        let mix = |text: &str| {
            let settings = Settings::from_toml(text).expect("a profile");
            default_method(&settings, &url)
        };
        assert_eq!(mix("[[request]]\nname = 'a'\n[[request]]\nname = 'b'\nbody = 'x'\n"), "POST");
        assert_eq!(mix("[[request]]\nname = 'a'\n[[request]]\nname = 'b'\n"), "GET");
    }
}
