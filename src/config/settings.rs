//! User settings exactly as typed: on the command line, in the environment, or in a TOML profile. All
//! three use one list, so that a setting cannot be missing in one of them.

mod define;
mod definitions;
mod layering;
mod options;
mod request;
mod table;
mod value;

pub(crate) use crate::engine::load::ArrivalProcess;
pub use crate::engine::shards::NodeShare;
pub use crate::engine::transport::config::Engine;
pub use definitions::Settings;
pub use options::{Coupling, Pacer, StackChoice};
pub use request::RequestSettings;
pub(crate) use table::{ProfileEntry, ProfileError, Table, setting_keys};
pub(crate) use value::Definition;

impl Settings {
    /// Reads a profile: the flags' long names as keys. The error names the line.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        Table::parse(text)?.settings()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::units::{Rate, Rates};

    #[test]
    fn a_profile_takes_the_flags_spellings() {
        let profile = "rate = '24k'\nduration = '1m30s'\nconnections = 64\nmax-in-flight = '10k'\n\
                       arrivals = 'poisson'\nheader = ['A: b']\nnode = '1/4'\nfail-if = ['messages.lost>0']\n";
        let settings = Settings::from_toml(profile).expect("valid");
        assert_eq!(settings.rate, Rate::per_second(24_000).ok().map(Rates::from));
        assert_eq!(settings.duration, Some(Duration::from_secs(90)));
        assert_eq!(settings.max_in_flight, Some(10_000));
        assert_eq!(settings.arrivals, Some(ArrivalProcess::Poisson));
        assert_eq!(settings.node, Some(NodeShare { index: 1, count: 4 }));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_without_its_text() {
        for profile in [
            "header = 'Authorization: Bearer onyx'\n",
            "rate = 5\n[[request]]\nname = 'a'\nheader = \"Cookie: a=\\\"onyx\\\"\"\n",
            "fail-if = 'onyx'\n",
            "stack = 'redis://:onyx@host'\n",
            "'Authorization: Bearer onyx' = 5\n",
            "qos = 'onyx'\n",
        ] {
            let error = Settings::from_toml(profile).expect_err(profile).to_string();
            assert!(error.starts_with("line ") && !error.contains("onyx"), "{profile}: {error}");
        }
        let error = Settings::from_toml("header = 'A: b'\n").expect_err("no list").to_string();
        assert!(
            error.contains("line 1: invalid type: a string, expected a list, such as ['a', 'b']"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_or_value_is_refused_with_its_line() {
        for (profile, line, part) in [
            ("rate = 5\nrates = 6\n", "line 2", "unknown key 'rates'; did you mean 'rate'?"),
            ("\n\nrate = 0\n", "line 3", "above zero"),
            ("duration = 'long'\n", "line 1", "not a duration"),
            ("rate = [1]\n", "line 1", "a number or text is wanted here, such as 24000 or \"24k\""),
            ("\nthreads = true\n", "line 2", "a number or text is wanted"),
            ("arrivals = 'weird'\n", "line 1", "unknown variant"),
            ("qos = '1'\n", "line 1", "a string, expected a whole number without quotes"),
            ("insecure = 'yes'\n", "line 1", "expected true or false without quotes"),
            ("topic = 5\n", "line 1", "a text or a list of texts is wanted here"),
            ("queue = 5\n", "line 1", "expected a text in quotes"),
            ("node = '4/4'\n", "line 1", "not k/N"),
            ("rate = 5\n[[request]]\nname = 'a'\nwieght = 2\n", "line 4", "did you mean 'weight'?"),
            ("[[request]]\nname = 'a'\n\n[[request]]\nweight = 2\n", "line 4", "needs a name"),
            ("[[request]]\nname = 'a'\nweight = 'much'\n", "line 3", "not a count"),
            ("request = 5\n", "line 1", "'request' is a table"),
        ] {
            let error = Settings::from_toml(profile).expect_err(profile).to_string();
            assert!(error.contains(line) && error.contains(part), "{profile}: {error}");
        }
    }

    #[test]
    fn requests_are_read_in_their_order() {
        let text = "method = 'GET'\n[[request]]\nname = 'b'\nweight = '2k'\npath = '/b'\nheader = ['A: 1']\n\
                    [[request]]\nname = 'a'\nbody-lines = 'x.txt'\ndata = 'y.csv'\n";
        let settings = Settings::from_toml(text).expect("valid");
        let names: Vec<_> = settings.mix.iter().map(|request| request.name.as_str()).collect();
        assert_eq!((names, settings.method.as_deref()), (vec!["b", "a"], Some("GET")));
        let [b, a] = &settings.mix[..] else { panic!("two") };
        assert_eq!((b.weight, b.headers.len(), b.has_body()), (Some(2_000), 1, false));
        assert_eq!((a.weight, a.has_body(), a.data.is_some()), (None, true, true));
        let typed = Settings { seed: Some(3), ..Settings::default() };
        assert_eq!(typed.layered_on(settings.clone()).mix, settings.mix);
    }

    #[test]
    fn the_command_line_wins_over_the_profile() {
        let base = Settings { qos: Some(1), body_file: Some("a".into()), ..Settings::default() };
        let typed = Settings { body: Some("b".into()), seed: Some(2), ..Settings::default() };
        let lines = Settings { body_lines: Some("c".into()), ..Settings::default() };
        assert_eq!(lines.layered_on(base.clone()).body_file, None);
        let both = typed.layered_on(base);
        assert_eq!((both.qos, both.seed, both.body_file), (Some(1), Some(2), None));
        assert_eq!(both.body.as_deref(), Some("b"));
    }
}
