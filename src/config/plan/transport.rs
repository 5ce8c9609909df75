//! Transport to the target: protocol, route, certificates, and the engine that supports them.

#[cfg(feature = "reqwest")]
use hyper_util::client::proxy::matcher::Matcher;
use url::{Host, Url};

use super::connect_to::redirected;
use super::tls::tls;
use super::{PlanError, Target, refuse};
use crate::config::settings::Settings;
use crate::engine::transport::config::{Engine, Protocol, Proxy, TransportConfig};

/// Largest number of streams per connection; a larger value is probably a typing error.
const MOST_STREAMS: u64 = 10_000;
/// Largest number of redirects; a longer chain is probably a loop.
const MOST_REDIRECTS: u64 = 20;

/// Refusal of settings that need the reqwest engine, in a build without it.
const NO_REQWEST: &str = "this build does not have the engine reqwest (feature `reqwest`)";

/// Checks the settings of the transport and chooses the engine.
pub(super) fn transport(
    settings: &Settings,
    target: &Target,
) -> Result<TransportConfig, PlanError> {
    check_target(settings, target)?;
    let http2 = settings.http2.unwrap_or(false);
    let streams = settings.streams.unwrap_or(1);
    if !(1..=MOST_STREAMS).contains(&streams) {
        return refuse(format!("--streams must be from 1 to {MOST_STREAMS}"));
    }
    if streams > 1 && !http2 {
        return refuse(
            "--streams needs --http2: HTTP/1.1 has one request at a time on a connection",
        );
    }
    let redirects = settings.redirects.unwrap_or(0);
    if redirects > MOST_REDIRECTS {
        return refuse(format!("--redirects must be from 0 to {MOST_REDIRECTS}"));
    }
    check_ways(settings)?;
    let proxy = proxy(settings, target)?;
    let engine = engine(settings, proxy.as_ref())?;
    let transport = TransportConfig {
        engine,
        protocol: if http2 { Protocol::Http2 } else { Protocol::Http1 },
        streams: streams as usize,
        keep_alive: !settings.disable_keepalive.unwrap_or(false),
        unix_socket: settings.unix_socket.clone(),
        connect_to: connect_to(settings, target)?,
        proxy,
        redirects: redirects as usize,
        tls: tls(settings)?,
        shows_refusal: settings.show_payload.unwrap_or(false),
    };
    if let (Engine::Reqwest, Target::Url(url)) = (engine, target) {
        check_reqwest(&transport, url)?;
    }
    Ok(transport)
}

/// Refuses route settings for a pipeline that the run starts: its route is fixed.
fn check_target(settings: &Settings, target: &Target) -> Result<(), PlanError> {
    let given = [
        ("--http2", settings.http2 == Some(true)),
        ("--unix-socket", settings.unix_socket.is_some()),
        ("--connect-to", !settings.connect_to.is_empty()),
        ("--proxy", settings.proxy.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) if *target == Target::Pipeline => {
            refuse(format!("{flag} applies to a target of your own: give its URL"))
        }
        _ => Ok(()),
    }
}

/// Refuses settings that name two routes to the target.
fn check_ways(settings: &Settings) -> Result<(), PlanError> {
    let ways = [
        ("--unix-socket", settings.unix_socket.is_some()),
        ("--connect-to", !settings.connect_to.is_empty()),
        ("--proxy", settings.proxy.is_some()),
    ];
    let mut given = ways.into_iter().filter(|(_, is_given)| *is_given);
    match (given.next(), given.next()) {
        (Some((one, _)), Some((other, _))) => {
            refuse(format!("{one} and {other} both set the route to the target: use only one"))
        }
        _ => Ok(()),
    }
}

/// Chooses the engine; a setting that only one engine supports decides.
fn engine(settings: &Settings, proxy: Option<&Proxy>) -> Result<Engine, PlanError> {
    let reqwest = [
        ("--http2", settings.http2 == Some(true)),
        ("--proxy", settings.proxy.is_some()),
        ("--redirects", settings.redirects > Some(0)),
    ];
    let reqwest = reqwest.into_iter().find(|(_, is_given)| *is_given).map(|(flag, _)| flag);
    if !cfg!(feature = "reqwest") {
        let asked = (settings.engine == Some(Engine::Reqwest)).then_some("--engine reqwest");
        if let Some(flag) = reqwest.or(asked) {
            return refuse(format!("{flag}: {NO_REQWEST}"));
        }
    }
    let raw = (settings.disable_keepalive == Some(true)).then_some("--disable-keepalive");
    match (settings.engine, reqwest, raw) {
        (_, Some(flag), Some(other)) => refuse(format!(
            "{flag} needs the engine reqwest and {other} the engine raw: use only one"
        )),
        (Some(Engine::Raw), Some(flag), _) => refuse(format!(
            "--engine raw does not support {flag}; use --engine reqwest or remove --engine"
        )),
        (Some(Engine::Reqwest), _, Some(flag)) => refuse(format!(
            "--engine reqwest does not support {flag}, as it does not report the time to connect; \
             remove --engine"
        )),
        (Some(engine), _, _) => Ok(engine),
        (None, Some(_), _) => Ok(Engine::Reqwest),
        (None, None, _) => Ok(if proxy.is_some() { Engine::Reqwest } else { Engine::Raw }),
    }
}

/// Returns the given proxy, or that of the environment if no other route is set.
fn proxy(settings: &Settings, target: &Target) -> Result<Option<Proxy>, PlanError> {
    let Target::Url(url) = target else { return Ok(None) };
    let h2c = settings.http2 == Some(true) && url.scheme() == "http";
    let Some(text) = &settings.proxy else {
        let is_open = settings.engine != Some(Engine::Raw)
            && settings.disable_keepalive != Some(true)
            && settings.script.is_none()
            && settings.unix_socket.is_none()
            && settings.connect_to.is_empty()
            && !h2c;
        return Ok(if is_open { environment_proxy(url) } else { None });
    };
    if h2c {
        return refuse("--proxy supports HTTP/2 for https only: remove --http2 or --proxy");
    }
    // The error never repeats the value: it may contain a password.
    let example = "write http://[USER:PASSWORD@]HOST[:PORT]";
    let proxy = Url::parse(text)
        .map_err(|e| PlanError(format!("--proxy is not a URL ({e}); {example}")))?;
    match (proxy.scheme(), proxy.host()) {
        ("http" | "https", Some(_)) => Ok(Some(Proxy::Url(proxy))),
        (scheme, _) => refuse(format!("--proxy begins with {scheme}:; {example}")),
    }
}

/// A build without reqwest ignores the environment's proxy, as `--engine raw` does.
#[cfg(not(feature = "reqwest"))]
fn environment_proxy(_: &Url) -> Option<Proxy> {
    None
}

/// Returns the environment's proxy for this URL. A target on this machine never uses it, regardless of
/// `NO_PROXY`.
#[cfg(feature = "reqwest")]
fn environment_proxy(url: &Url) -> Option<Proxy> {
    let is_local = match url.host()? {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    if is_local {
        return None;
    }
    // Pass scheme and host only: the rest of the URL may contain a password.
    let place = format!("{}://{}/", url.scheme(), url.host_str()?).parse().ok()?;
    let intercept = Matcher::from_env().intercept(&place)?;
    let uri = intercept.uri();
    let usual = match uri.scheme_str() {
        Some("https") => 443,
        Some(scheme) if scheme.starts_with("socks") => 1080,
        _ => 80,
    };
    Some(Proxy::Environment(uri.host()?.to_owned(), uri.port_u16().unwrap_or(usual)))
}

fn connect_to(settings: &Settings, target: &Target) -> Result<Option<(String, u16)>, PlanError> {
    match target {
        Target::Url(url) => redirected(&settings.connect_to, url),
        Target::Pipeline => Ok(None),
    }
}

/// reqwest's way to connect elsewhere is to resolve the URL's name differently.
fn check_reqwest(transport: &TransportConfig, url: &Url) -> Result<(), PlanError> {
    let Some((_, port)) = &transport.connect_to else { return Ok(()) };
    if !matches!(url.host(), Some(Host::Domain(_))) {
        return refuse(
            "--connect-to with the engine reqwest needs a URL with a host name, not an address",
        );
    }
    if transport.protocol == Protocol::Http2 && url.port().is_some_and(|own| own != *port) {
        return refuse(
            "--connect-to with --http2 cannot change the port of the URL; remove the port from \
             the URL, or leave the port of --connect-to empty",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(url: &str, change: impl FnOnce(&mut Settings)) -> Result<TransportConfig, String> {
        let mut settings = Settings::default();
        change(&mut settings);
        let target = Target::Url(Url::parse(url).expect("a URL"));
        transport(&settings, &target).map_err(|e| e.to_string())
    }

    #[cfg(not(feature = "reqwest"))]
    #[test]
    fn a_build_without_reqwest_refuses_what_needs_it() {
        type Change = fn(&mut Settings);
        let cases: [(Change, &str); 4] = [
            (|s| s.engine = Some(Engine::Reqwest), "--engine reqwest"),
            (|s| s.http2 = Some(true), "--http2"),
            (|s| s.proxy = Some("http://p:1".into()), "--proxy"),
            (|s| s.redirects = Some(1), "--redirects"),
        ];
        for (change, flag) in cases {
            let error = plan("http://h/", change).map(|_| ()).expect_err(flag);
            let expected = "this build does not have the engine reqwest (feature `reqwest`)";
            assert_eq!(error, format!("{flag}: {expected}"));
        }
    }

    #[cfg(feature = "reqwest")]
    #[test]
    fn what_only_one_engine_can_do_chooses_it() {
        type Change = fn(&mut Settings);
        let cases: [(&str, Change, Engine); 7] = [
            ("http://h/", |_| (), Engine::Raw),
            ("https://h/", |_| (), Engine::Raw),
            ("https://h/", |s| s.engine = Some(Engine::Reqwest), Engine::Reqwest),
            ("http://h/", |s| s.http2 = Some(true), Engine::Reqwest),
            ("http://h/", |s| s.proxy = Some("http://p:1".into()), Engine::Reqwest),
            ("http://h/", |s| s.redirects = Some(1), Engine::Reqwest),
            ("http://h/", |s| s.redirects = Some(0), Engine::Raw),
        ];
        for (url, change, engine) in cases {
            assert_eq!(plan(url, change).map(|transport| transport.engine), Ok(engine), "{url}");
        }
    }

    #[cfg(feature = "reqwest")]
    #[test]
    fn what_does_not_go_together_is_refused_by_its_flag() {
        type Change = fn(&mut Settings);
        let cases: [(&str, Change, &str); 12] = [
            ("http://h/", |s| s.streams = Some(2), "--streams needs --http2"),
            (
                "http://h/",
                |s| (s.http2, s.streams) = (Some(true), Some(0)),
                "--streams must be from 1",
            ),
            ("http://h/", |s| s.redirects = Some(21), "--redirects"),
            (
                "http://h/",
                |s| (s.http2, s.engine) = (Some(true), Some(Engine::Raw)),
                "--engine raw does not support --http2",
            ),
            (
                "http://h/",
                |s| (s.disable_keepalive, s.engine) = (Some(true), Some(Engine::Reqwest)),
                "--engine reqwest does not support --disable-keepalive",
            ),
            (
                "http://h/",
                |s| (s.disable_keepalive, s.redirects) = (Some(true), Some(1)),
                "--redirects needs the engine reqwest",
            ),
            (
                "http://h/",
                |s| (s.proxy, s.unix_socket) = (Some("http://p".into()), Some("/s".into())),
                "--unix-socket and --proxy",
            ),
            (
                "http://h/",
                |s| (s.proxy, s.http2) = (Some("http://p".into()), Some(true)),
                "--proxy supports HTTP/2 for https only",
            ),
            (
                "http://h/",
                |s| s.proxy = Some("socks5://u:onyx@p".into()),
                "--proxy begins with socks5",
            ),
            ("http://h/", |s| s.proxy = Some("onyx".into()), "--proxy is not a URL"),
            (
                "http://127.0.0.1/",
                |s| {
                    s.engine = Some(Engine::Reqwest);
                    s.connect_to = vec![":::1".into()];
                },
                "needs a URL with a host name",
            ),
            (
                "http://h:8080/",
                |s| (s.http2, s.connect_to) = (Some(true), vec![":::1".into()]),
                "cannot change the port of the URL",
            ),
        ];
        for (url, change, part) in cases {
            let error = plan(url, change).map(|_| ()).expect_err(part);
            assert!(error.contains(part) && !error.contains("onyx"), "{part}: {error}");
        }
        let http2 = Settings { http2: Some(true), ..Settings::default() };
        let error = transport(&http2, &Target::Pipeline).map(|_| ()).expect_err("no URL");
        assert!(error.to_string().contains("give its URL"), "{error}");
    }

    #[cfg(feature = "reqwest")]
    #[test]
    fn a_proxys_password_is_not_printed() {
        let proxied = plan("http://h/", |s| s.proxy = Some("http://u:onyx@p:1/".into()));
        let proxy = proxied.expect("valid").proxy.expect("given");
        assert_eq!(format!("{proxy} {proxy:?}").matches("onyx").count(), 0, "{proxy}");
    }
}
