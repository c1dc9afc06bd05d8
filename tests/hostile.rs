//! Bad input: every one of these requests is refused with a message that names the field, exit 2 (6 for an
//! insecure URL), and without a look at the store.

mod support;

use claviger::dialect::Verb;
use serde_json::{Value, json};
use support::world::Machine;
use support::{SERVICE, Sandbox};

/// A request and the field its complaint must name; `""` where the document itself is at fault.
#[expect(clippy::too_many_lines, reason = "a table, as flat as it can be")]
fn requests() -> Vec<(Verb, Vec<u8>, String)> {
    let mut all: Vec<(Verb, Vec<u8>, String)> = Vec::new();
    let mut add = |verb: Verb, bytes: &[u8], field: &str| all.push((verb, bytes.to_vec(), field.to_owned()));

    for verb in [Verb::Get, Verb::Store, Verb::Erase] {
        for document in [
            "",
            " ",
            "null",
            "[]",
            "1",
            "\"x\"",
            "{",
            "}",
            "{}{}",
            "{} x",
            "\u{feff}{}",
            "{'a':1}",
            "{\"a\"}",
            "nul",
        ] {
            add(verb, document.as_bytes(), "");
        }
        add(verb, b"\xff\xfe{\x00}\x00", "");
        add(verb, &[0; 64], "");
        add(verb, "[".repeat(200_000).as_bytes(), "");
        add(verb, format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200)).as_bytes(), "a");
        add(verb, &vec![b' '; claviger::limits::REQUEST_BYTES + 1], "");
        add(verb, format!("{{\"service\":\"{SERVICE}\",\"service\":\"{SERVICE}\"}}").as_bytes(), "service");
        add(verb, br#"{"service":"\ud800"}"#, "service");
        add(verb, br#"{"service":"\udc00\ud800"}"#, "service");
        add(verb, b"{\"service\":\"https://a.example\xff\"}", "service");
        add(verb, b"{\"service\":\"https://a.example\n\"}", "service");
        add(verb, br#"{"version":2,"service":"https://a.example"}"#, "version");
        add(verb, br#"{"version":"1","service":"https://a.example"}"#, "version");
        add(verb, br#"{"version":-1,"service":"https://a.example"}"#, "version");
        add(verb, br#"{"version":1.5,"service":"https://a.example"}"#, "version");
    }
    let urls = [
        "",
        " ",
        "api.acme.example",
        "//api.acme.example",
        "/x",
        "https:",
        "https://",
        "https:///x",
        "https:/a.example",
        "https:a.example",
        "ftp://a.example",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "data:,x",
        "https://user@a.example",
        "https://u:p@a.example",
        "https://@a.example",
        "https://a.example@evil.example",
        "https://a.example\\@evil.example",
        "https://a.example%40evil.example",
        "https://a.example?x",
        "https://a.example/?",
        "https://a.example#",
        "https://a.example#x",
        "https://a.example/\u{0}",
        "https://a.example/\r\nhost=evil",
        "https://a.example\t",
        " https://a.example",
        "https://a.example ",
        "https://a .example",
        "https://a.example:0",
        "https://a.example:65536",
        "https://a.example:-1",
        "https://a.example:x",
        "https://:443",
        "https://.",
        "https://..",
        "https://a.example..",
        "https://a..example",
        "https://[::1",
        "https://[::1]x",
        "https://1.2.3.4.5",
        "https://127.1",
        "https://0x7f000001",
        "https://2130706433",
        "https://017700000001",
        "https://%61.example",
        "https://a%00.example",
        "https://a.example/{x}",
        "https://a.example/<x>",
        "https://a.example/|",
        "https://a.example/^",
        "https://a.example/`",
        "https://a.example/\"",
        "https://\u{ad}.example",
        "https://xn--\u{80}.example",
        "https://a\u{2028}.example",
        "https://a\u{85}.example",
    ];
    for url in urls {
        add(Verb::Get, json!({ "service": url }).to_string().as_bytes(), "service");
        add(Verb::Erase, json!({ "service": url }).to_string().as_bytes(), "service");
    }
    add(
        Verb::Get,
        json!({ "service": format!("https://a.example/{}", "x".repeat(240)) }).to_string().as_bytes(),
        "service",
    );
    add(
        Verb::Get,
        json!({ "service": format!("https://a.example/{}", "x".repeat(99_999)) }).to_string().as_bytes(),
        "service",
    );
    for value in [json!(null), json!(1), json!(true), json!([]), json!({}), json!([SERVICE])] {
        add(Verb::Get, json!({ "service": value }).to_string().as_bytes(), "service");
    }
    for (key, values) in [
        (
            "account",
            vec![
                json!(""),
                json!(1),
                json!(null),
                json!("a\nb"),
                json!("a\u{0}"),
                json!("x".repeat(513)),
                json!([]),
            ],
        ),
        (
            "profile",
            vec![
                json!(""),
                json!("UPPER"),
                json!("a/b"),
                json!("a b"),
                json!("x".repeat(33)),
                json!(1),
                json!(null),
            ],
        ),
        (
            "minValidity",
            vec![
                json!(-1),
                json!("60"),
                json!(1.5),
                json!(true),
                json!(null),
                json!(315_576_001),
                json!(i64::MAX),
                json!(u64::MAX),
                json!(1e300),
            ],
        ),
        ("forceRefresh", vec![json!("true"), json!(1), json!(0), json!(null), json!({})]),
        ("refreshToken", vec![json!("x")]),
        ("access_token", vec![json!("x")]),
        ("accessToken", vec![json!("x")]),
        ("", vec![json!("x")]),
        ("\u{1b}[31m", vec![json!("x")]),
    ] {
        for value in values {
            let named = if key == "\u{1b}[31m" { "\\u{1b}[31m" } else { key };
            add(Verb::Get, json!({ "service": SERVICE, key: value }).to_string().as_bytes(), named);
        }
    }
    add(Verb::Get, format!("{{\"service\":\"{SERVICE}\",\"minValidity\":1e400}}").as_bytes(), "minValidity");
    add(Verb::Get, format!("{{\"service\":\"{SERVICE}\",\"minValidity\":NaN}}").as_bytes(), "minValidity");
    add(Verb::Get, format!("{{\"service\":\"{SERVICE}\",\"minValidity\":0x10}}").as_bytes(), "minValidity");
    let base = json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" });
    let with = |changes: Value| {
        let mut request = base.clone();
        for (key, value) in changes.as_object().expect("an object") {
            request[key] = value.clone();
        }
        request.to_string().into_bytes()
    };
    for key in ["service", "account", "accessToken"] {
        let mut request = base.clone();
        request.as_object_mut().expect("an object").remove(key);
        add(Verb::Store, request.to_string().as_bytes(), key);
    }
    let token = json!("x".repeat(65_537));
    for (key, values) in [
        ("account", vec![json!(""), json!("a\u{7f}"), json!("/".repeat(67)), json!(7)]),
        (
            "accessToken",
            vec![
                json!(""),
                json!("  "),
                json!("a\r\nb"),
                json!("t\u{f6}ken"),
                json!("\u{0}"),
                json!(1),
                json!(null),
                token.clone(),
            ],
        ),
        (
            "refreshToken",
            vec![json!(""), json!("\t"), json!("a\nb"), json!(1), json!(null), json!([]), token],
        ),
        (
            "expiresAt",
            vec![
                json!(""),
                json!("now"),
                json!("2026-01-01"),
                json!("2026-01-01T00:00:00"),
                json!("2026-01-01T00:00:00+00:00"),
                json!("2026-02-30T00:00:00Z"),
                json!("2026-01-01T25:00:00Z"),
                json!("2026-01-01T00:00:00.5Z"),
                json!("2026-01-01t00:00:00z"),
                json!("+12026-01-01T00:00:00Z"),
                json!(1_767_225_600),
                json!(null),
                json!("2026-01-01T00:00:00Z\n"),
            ],
        ),
        (
            "expiresIn",
            vec![json!(-1), json!("3600"), json!(3600.5), json!(315_576_001), json!(null), json!(true)],
        ),
        ("refreshTokenExpiresAt", vec![json!("soon"), json!("2026-01-01T00:00:00Z")]),
        ("tokenType", vec![json!(""), json!("Bearer x"), json!("Bearer\r\n"), json!(1)]),
        (
            "scopes",
            vec![
                json!("api"),
                json!([1]),
                json!([""]),
                json!(["a b"]),
                json!(["a\"b"]),
                json!(["a\nb"]),
                json!(vec!["x"; 129]),
            ],
        ),
        (
            "services",
            vec![
                json!("https://a.example"),
                json!([1]),
                json!(["x"]),
                json!(vec!["https://a.example"; 65]),
                json!(["https://u@a.example"]),
            ],
        ),
        ("label", vec![json!(""), json!("a\u{9b}b"), json!(1), json!("x".repeat(513))]),
        ("username", vec![json!(""), json!("a\nb"), json!({})]),
        ("makeDefault", vec![json!("true"), json!(1)]),
        ("replace", vec![json!("yes"), json!(null)]),
        ("provider", vec![json!(""), json!(1), json!("none-of-that-name")]),
        (
            "tokenEndpoint",
            vec![
                json!(""),
                json!("x"),
                json!("ftp://id.example/token"),
                json!("https://u:p@id.example/token"),
                json!(1),
            ],
        ),
        ("issuer", vec![json!("https://id.example"), json!("x"), json!("https://id.example?x")]),
        ("revocationEndpoint", vec![json!("https://id.example/revoke"), json!("x")]),
        ("clientSecret", vec![json!("CS1"), json!(""), json!("a\nb"), json!("x".repeat(4097))]),
        ("session", vec![json!("x")]),
    ] {
        for value in values {
            add(Verb::Store, &with(json!({ key: value })), key);
        }
    }
    add(Verb::Store, &with(json!({ "tokenEndpoint": "https://id.example/token" })), "clientId");
    add(Verb::Store, &with(json!({ "clientId": "cli" })), "tokenEndpoint");
    add(Verb::Store, &with(json!({ "expiresAt": "2026-01-01T00:00:00Z", "expiresIn": 1 })), "expiresIn");
    let both = json!({ "provider": "acme", "tokenEndpoint": "https://id.example/token", "clientId": "cli" });
    add(Verb::Store, &with(both), "tokenEndpoint");
    add(Verb::Store, &with(json!({ "refreshToken": "RT1" })), "refreshToken");
    add(Verb::List, br#"{"service":1}"#, "service");
    add(Verb::List, br#"{"account":"alice"}"#, "account");
    add(Verb::List, b"[]", "");
    add(Verb::Capabilities, br#"{"service":"https://a.example"}"#, "service");
    all
}

#[test]
fn two_hundred_hostile_requests_are_refused_by_name() {
    let requests = requests();
    assert!(requests.len() >= 200, "only {} requests", requests.len());
    for (verb, bytes, field) in requests {
        let machine = Machine::new("2026-01-01T00:00:00Z");
        let rendered = machine.call(verb, None, &bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
        let reply: Value =
            serde_json::from_slice(&rendered.stdout).unwrap_or_else(|_| panic!("{shown}: no JSON"));
        let code = reply["error"]["code"].as_str().unwrap_or_else(|| panic!("{shown}: {reply}"));
        assert_eq!((code, rendered.exit), ("BAD_REQUEST", 2), "{shown}: {reply}");
        let message = reply["error"]["message"].as_str().unwrap_or_default();
        assert!(field.is_empty() || message.contains(&format!("`{field}")), "{shown}: {message}");
        assert!(
            !message.chars().any(char::is_control) && rendered.stderr.matches('\n').count() == 1,
            "{shown}: {message:?}"
        );
        assert_eq!(machine.keyring.reads.get() + machine.keyring.writes.get(), 0, "{shown}: no store access");
        assert_eq!(support::files_below(machine.home()).len(), 0, "{shown}: no file");
    }
}

#[test]
fn http_off_loopback_is_told_apart_from_nonsense() {
    let machine = Machine::new("2026-01-01T00:00:00Z");
    for url in
        ["http://a.example", "http://localhost:8080", "http://10.0.0.1", "http://[::2]", "HTTP://A.EXAMPLE"]
    {
        let rendered = machine.call(Verb::Get, None, json!({ "service": url }).to_string().as_bytes());
        let reply: Value = serde_json::from_slice(&rendered.stdout).unwrap();
        assert_eq!((&reply["error"]["code"], rendered.exit), (&json!("INSECURE_URL"), 6), "{url}");
    }
    assert_eq!(machine.keyring.reads.get(), 0);
}

#[test]
fn the_binary_refuses_as_the_library_does() {
    let sandbox = Sandbox::plaintext();
    for (verb, bytes, _) in requests().into_iter().step_by(17) {
        let word = Verb::ALL.into_iter().find(|(known, _)| *known == verb).unwrap().1;
        let answer = sandbox.run_bytes(word, &bytes);
        assert_eq!(answer.code(2), "BAD_REQUEST");
        assert!(
            !answer.stderr.contains("panicked") && !answer.stderr.contains("internal fault"),
            "{}",
            answer.stderr
        );
    }
    assert_eq!(sandbox.run_bytes("get", &vec![b'x'; 1 << 20]).code(2), "BAD_REQUEST");
    assert_eq!(sandbox.files().len(), 0);
}

#[test]
fn a_document_of_a_hundred_thousand_keys_is_refused_in_no_time() {
    // Comparing each key with each other would take minutes; a bound of a minute has far more than the room.
    let keys: Vec<String> = (0..20_000).map(|number| format!("\"k{number}\":1")).collect();
    let request = format!("{{{}}}", keys.join(","));
    let machine = Machine::new("2026-01-01T00:00:00Z");
    for verb in [Verb::Get, Verb::Store, Verb::List] {
        assert_eq!(machine.call(verb, None, request.as_bytes()).exit, 2);
    }
    let keys: Vec<String> = (0..100_000).map(|number| format!("\"k{number}\":1")).collect();
    let reply = claviger::http::Reply {
        status: 200,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: format!("{{{}}}", keys.join(",")).into_bytes().into(),
    };
    assert!(claviger::oauth::token::read(&reply, claviger::time::Timestamp::EPOCH).is_err());
}
