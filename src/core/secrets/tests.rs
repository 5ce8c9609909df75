use proptest::prelude::*;

use super::*;

#[test]
fn names_of_secrets_are_told_from_names_that_only_look_like_them() {
    for name in [
        "password",
        "passwd",
        "pwd",
        "pass",
        "passphrase",
        "PASSWORD",
        "userPassword",
        "user_password",
        "db-password",
        "passWord",
        "secret",
        "client_secret",
        "clientSecret",
        "token",
        "access_token",
        "accessToken",
        "accesstoken",
        "ACCESS_TOKEN",
        "id_token",
        "refresh_token",
        "refresh-token",
        "csrf",
        "xsrf_token",
        "api_key",
        "apikey",
        "apiKey",
        "APIKey",
        "api-key",
        "X-API-Key",
        "key",
        "key2",
        "access_key",
        "AWSAccessKeyId",
        "private_key",
        "sig",
        "signature",
        "auth",
        "oauth",
        "Authorization",
        "Proxy-Authorization",
        "code",
        "auth_code",
        "session",
        "sessionid",
        "session_id",
        "JSESSIONID",
        "PHPSESSID_SESS",
        "sid",
        "jwt",
        "bearer",
        "credential",
        "credentials",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "X-Goog-Signature",
        "otp",
        "totp",
        "pin",
        "PIN",
        "card",
        "cvv",
        "cookie",
        "--password",
        "--api-key",
        "user.password",
    ] {
        assert!(is_secret_name(name), "{name} is a secret");
    }
    for name in [
        "monkey",
        "keyboard",
        "keyword",
        "turkey",
        "author",
        "authors",
        "design",
        "signal",
        "assign",
        "zipcode",
        "postcode",
        "country_code",
        "countryCode",
        "zip-code",
        "status_code",
        "error_code",
        "sort_key",
        "partitionKey",
        "public_key",
        "compass",
        "passenger",
        "bypass",
        "pinned",
        "spinner",
        "opinion",
        "cards",
        "discard",
        "side",
        "inside",
        "resid",
        "encode",
        "decoder",
        "unicode",
        "max_tokens",
        "token_type",
        "id",
        "MsgID",
        "msg_id",
        "user",
        "name",
        "page",
        "rate",
        "connections",
        "topic",
        "scorecard",
        "",
    ] {
        assert!(!is_secret_name(name), "{name} is not a secret");
    }
}

#[test]
fn urls_are_shown_without_user_and_secret_parameters() {
    for (url, shown) in [
        ("http://h/a?page=1&sort=up#top", "http://h/a?page=1&sort=up#top"),
        ("http://h/monkey/key?keyboard=us", "http://h/monkey/key?keyboard=us"),
        ("http://user:onyx@h:80/a", "http://***@h/a"),
        ("redis://:onyx@h/2", "redis://***@h/2"),
        ("mqtt://onyx@h", "mqtt://***@h"),
        (
            "http://h/x?access_token=onyx&page=1&sig=onyx",
            "http://h/x?access_token=***&page=1&sig=***",
        ),
        ("http://h/x?%74oken=onyx", "http://h/x?%74oken=***"),
        ("http://h/x?a=1;token=onyx", "http://h/x?a=1;token=***"),
        ("http://h/x?token=onyx=x&a", "http://h/x?token=***&a"),
        ("http://h/x;jsessionid=onyx/y;a=b?c", "http://h/x;jsessionid=***/y;a=b?c"),
        ("http://h/cb#access_token=onyx&state=1", "http://h/cb#access_token=***&state=1"),
        ("http://h/?next=http%3A%2F%2Fu%3Aonyx%40h%2F", "http://h/?next=***"),
        ("http://h/?v=eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.onyx", "http://h/?v=***"),
        ("http://h/eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.onyx/a", "http://h/***/a"),
        ("http://h/?id={{msg_id}}&token={{token}}", "http://h/?id={{msg_id}}&token=***"),
        (
            "http://h/?X-Amz-Credential=onyx&X-Amz-Signature=onyx&X-Amz-Date=1",
            "http://h/?X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Date=1",
        ),
        ("http://h/?q=Bearer+onyx", "http://h/?q=***"),
        ("http://h/?token=", "http://h/?token="),
        ("onyx@nowhere", "***"),
    ] {
        assert_eq!(mask_url(url), shown);
    }
    assert_eq!(mask_parts("user:onyx@h/a?b=c"), "***@h/a?b=c");
    assert_eq!(mask_parts("/@a/b?key=onyx"), "/@a/b?key=***");
}

#[test]
fn headers_show_their_values_only_where_these_are_known_to_be_harmless() {
    for (header, shown) in [
        ("Content-Type: text/plain", "Content-Type: text/plain"),
        ("Accept: */*", "Accept: */*"),
        ("Authorization: Bearer onyx", "Authorization: ***"),
        ("X-Anything: onyx", "X-Anything: ***"),
        ("User-Agent: Bearer onyx", "User-Agent: Bearer ***"),
    ] {
        assert_eq!(mask_header(header), shown);
    }
}

#[test]
fn bodies_keep_all_but_the_values_of_secret_keys() {
    for (body, shown) in [
        (r#"{"MsgID":{{msg_id}},"text":"it is"}"#, r#"{"MsgID":{{msg_id}},"text":"it is"}"#),
        (r#"{"Password" : "on\"yx", "a":1}"#, r#"{"Password" : "***", "a":1}"#),
        (
            r#"{"a":{"pin":1234,"cards":[1]},"apiKey":{"x":["onyx"]}}"#,
            r#"{"a":{"pin":"***","cards":[1]},"apiKey":"***"}"#,
        ),
        (r#"{"token":{{token}},"id":{{msg_id}}}"#, r#"{"token":"***","id":{{msg_id}}}"#),
        (r#"[{"token":null},{"jwt":true}]"#, r#"[{"token":"***"},{"jwt":"***"}]"#),
        (r#"{"pass\u0077ord":"onyx"}"#, r#"{"pass\u0077ord":"***"}"#),
        (
            r#"{"inner":"{\"secret\":\"onyx\",\"b\":2}"}"#,
            r#"{"inner":"{\"secret\":\"***\",\"b\":2}"}"#,
        ),
        (
            r#"{"h":"Bearer onyx","u":"http://u:onyx@h/"}"#,
            r#"{"h":"Bearer ***","u":"http://***@h/"}"#,
        ),
        (r#"{"token":"onyx"#, r#"{"token":"***""#),
        ("user=bo&password=onyx&id={{msg_id}}", "user=bo&password=***&id={{msg_id}}"),
        ("it's {{msg_id}}", "it's {{msg_id}}"),
        ("my password is onyx", "***"),
        ("{'password': 'onyx'}", "***"),
        (r#"{"a":"-----BEGIN PRIVATE KEY-----\nonyx"}"#, "***"),
        ("<login><pin>onyx</pin></login>", "***"),
        ("<note><to>bo</to></note>", "<note><to>bo</to></note>"),
        ("{", "{"),
        ("", ""),
    ] {
        assert_eq!(mask_body(body), shown);
    }
}

#[test]
fn arguments_hide_what_follows_a_secret_flag() {
    for (arguments, shown) in [
        (&["--password", "onyx", "--rate", "5"][..], &["--password", "***", "--rate", "5"][..]),
        (&["--password=onyx", "x"], &["--password=***", "x"]),
        (&["-p", "onyx", "a"], &["-p", "***", "a"]),
        (&["-ponyx"], &["-p***"]),
        (&["--user", "bo:onyx", "a"], &["--user", "***", "a"]),
        (&["--proxy-user=bo:onyx"], &["--proxy-user=***"]),
        (&["-password", "-onyx"], &["-password", "***"]),
        (&["--api-key", "--verbose", "a"], &["--api-key", "--verbose", "a"]),
        (&["token=onyx", "key:onyx"], &["token=***", "key:***"]),
        (&["token", "onyx"], &["***", "***"]),
        (&["http://u:onyx@h/?sig=onyx"], &["http://***@h/?sig=***"]),
        (&["Authorization: Basic dTpvbnl4"], &["Authorization: ***"]),
        (&["Basic dTpvbnl4", "Basic things"], &["Basic ***", "Basic things"]),
        (&["-x", "it's", "a b", "monkey=1"], &["-x", "it's", "a b", "monkey=1"]),
    ] {
        assert_eq!(mask_arguments(arguments), shown);
    }
}

#[test]
fn messages_keep_all_but_the_secrets() {
    for (text, shown) in [
        (
            "line 2: unknown key 'rates'; did you mean 'rate'?",
            "line 2: unknown key 'rates'; did you mean 'rate'?",
        ),
        (
            "invalid: string \"Authorization: Bearer onyx\", expected a list",
            "invalid: string \"Authorization: ***\", expected a list",
        ),
        ("cookie: a=onyx; b=onyx", "cookie: ***"),
        ("unknown variant `redis://:onyx@h`, see", "unknown variant `redis://***@h`, see"),
        ("error for url (https://h/?token=onyx)", "error for url (https://h/?token=***"),
        ("password=onyx, user=bo", "password=***, user=bo"),
        ("a Bearer", "a Bearer"),
    ] {
        assert_eq!(mask_text(text), shown);
    }
}

proptest! {
    #[test]
    fn any_text_can_be_masked(text in "\\PC{0,40}", json in "[\\[\\]{}\":,\\\\a-c =&;/@?#-]{0,40}") {
        for text in [&text, &json] {
            let _ = (mask_url(text), mask_parts(text), mask_header(text), mask_body(text), mask_text(text));
            prop_assert_eq!(mask_arguments(&[text, text]).len(), 2);
        }
    }

    #[test]
    fn what_is_masked_stays_so(text in "[a-z =:/@?#&]{0,40}") {
        prop_assert_eq!(mask_text(&mask_text(&text)), mask_text(&text));
    }
}
