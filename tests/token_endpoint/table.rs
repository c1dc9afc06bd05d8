//! The rows: what is answered, and what must come of it.

#![allow(unreachable_pub, missing_docs, reason = "a part of one test")]

use std::ops::RangeInclusive;

use claviger::clock::{Clock as _, SystemClock};

use crate::{REFRESH, ROTATED, SCOPES, SECRET};

/// What the server does once it has been asked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Act {
    /// It says this and ends the connection.
    Says(Vec<u8>),
    /// It says this and holds the connection open.
    HoldsOpen(Vec<u8>),
    /// It says this one byte at a time, with so many milliseconds between.
    Drips(Vec<u8>, u64),
    /// It ends the connection before it has read anything.
    HangsUp,
}

impl Act {
    /// Whether only the deadline ends this exchange.
    pub fn ends_at_the_deadline(&self) -> bool {
        match self {
            Self::HoldsOpen(bytes) => !bytes.windows(10).any(|part| part == b"keep-alive"),
            Self::Drips(_, milliseconds) => *milliseconds > 10,
            Self::Says(_) | Self::HangsUp => false,
        }
    }
}

/// One answer and its consequence.
pub struct Row {
    group: &'static str,
    name: String,
    pub act: Act,
    pub then: Then,
}

impl Row {
    pub fn title(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }
}

/// What must come of an answer.
#[derive(Clone)]
pub struct Then {
    pub exit: i32,
    /// The outcome, or the error's code.
    pub said: &'static str,
    /// The access token then stored; `None`: the one there was.
    pub access: Option<String>,
    /// The refresh token then stored; `None`: the one there was.
    pub refresh: Option<String>,
    /// Lifetime of the new access token; `None`: not known.
    pub lives: Option<i64>,
    /// Lifetime of the refresh token, where the answer names one.
    pub refresh_lives: Option<i64>,
    pub scopes: Vec<String>,
    pub tombstone: bool,
    pub pending: bool,
    /// Whether the server is left alone for a while.
    pub note: bool,
    pub retry_after: Option<RangeInclusive<i64>>,
    /// Words that are in the message.
    pub tells: Vec<String>,
    /// Words that are in no output.
    pub hides: Vec<String>,
}

impl Then {
    fn failure(exit: i32, said: &'static str) -> Self {
        Self {
            exit,
            said,
            access: None,
            refresh: None,
            lives: None,
            refresh_lives: None,
            scopes: SCOPES.map(str::to_owned).to_vec(),
            tombstone: false,
            pending: false,
            note: false,
            retry_after: None,
            tells: Vec::new(),
            hides: Vec::new(),
        }
    }

    fn token(self, token: &str) -> Self {
        Self { access: Some(token.to_owned()), ..self }
    }

    fn rotated(self) -> Self {
        self.rotated_to(ROTATED)
    }

    fn rotated_to(self, token: &str) -> Self {
        Self { refresh: Some(token.to_owned()), ..self }
    }

    fn lives(self, seconds: impl Into<Option<i64>>) -> Self {
        Self { lives: seconds.into(), ..self }
    }

    fn refresh_lives(self, seconds: i64) -> Self {
        Self { refresh_lives: Some(seconds), ..self }
    }

    fn scopes(self, scopes: &[&str]) -> Self {
        Self { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(), ..self }
    }

    fn again_in(self, seconds: impl Into<Option<i64>>) -> Self {
        Self { retry_after: seconds.into().map(|seconds| seconds..=seconds), ..self }
    }

    fn tells(mut self, words: impl Into<String>) -> Self {
        self.tells.push(words.into());
        self
    }

    fn hides(mut self, words: impl Into<String>) -> Self {
        self.hides.push(words.into());
        self
    }
}

/// A grant of `AT2` without anything else (R10).
fn fresh() -> Then {
    Then { exit: 0, said: "refreshed", ..Then::failure(0, "") }.token("AT2")
}

/// It may work later, and the server may have rotated (R17).
fn later() -> Then {
    Then { pending: true, note: true, ..Then::failure(4, "AUTH_REFRESH_TRANSIENT") }
}

/// It may work later, and a new refresh token came with the answer (R20).
fn rescued() -> Then {
    later().rotated()
}

/// The refresh token is dead (R18).
fn dead() -> Then {
    Then { tombstone: true, ..Then::failure(3, "AUTH_REFRESH_EXPIRED") }
}

/// Client or request are wrong, the session is not (R17).
fn refused() -> Then {
    Then::failure(6, "PROVIDER_REJECTED")
}

fn no_endpoint() -> Then {
    Then::failure(6, "ENDPOINT_NOT_FOUND")
}

fn proxy() -> Then {
    Then::failure(6, "PROXY_AUTH_REQUIRED")
}

const JSON: &str = "Content-Type: application/json\r\n";

fn raw(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body.as_ref());
    bytes
}

fn http(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Act {
    let length = body.as_ref().len();
    let framed = format!("{headers}Content-Length: {length}\r\nConnection: close\r\n");
    Act::Says(raw(&format!("{status} Answer"), &framed, body))
}

fn json(status: u16, body: impl AsRef<[u8]>) -> Act {
    http(status, JSON, body)
}

fn ok(body: impl AsRef<[u8]>) -> Act {
    json(200, body)
}

/// The least a grant has, and these fields.
fn with(fields: &str) -> String {
    let comma = if fields.is_empty() { "" } else { "," };
    format!(r#"{{"access_token":"AT2","token_type":"Bearer"{comma}{fields}}}"#)
}

/// A grant with a new refresh token.
fn full() -> String {
    with(&format!(r#""expires_in":3600,"refresh_token":"{ROTATED}""#))
}

/// Fields and a new refresh token, and no more.
fn beside(fields: &str) -> String {
    format!(r#"{{{fields},"refresh_token":"{ROTATED}"}}"#)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is written as JSON")
}

/// One answer that is a grant, for those who look at the question.
pub fn grant() -> Act {
    ok(full())
}

/// A grant of so many seconds whose answer takes three.
pub fn slow_grant(lives: i64) -> Act {
    let bytes = raw("200 OK", JSON, with(&format!(r#""expires_in":{lives}"#)));
    let between = 3200 / u64::try_from(bytes.len()).expect("an answer is short");
    Act::Drips(bytes, between + 1)
}

pub fn cut(text: &str) -> String {
    text.chars().take(400).collect()
}

struct Table {
    group: &'static str,
    rows: Vec<Row>,
}

impl Table {
    fn row(&mut self, name: impl Into<String>, act: Act, then: Then) {
        self.rows.push(Row { group: self.group, name: name.into(), act, then });
    }
}

type Group = (&'static str, fn(&mut Table));

pub fn rows() -> Vec<Row> {
    let groups: [Group; 14] = [
        ("a grant", grants),
        ("no grant", no_grants),
        ("an access token", access_tokens),
        ("a lifetime", lifetimes),
        ("a refresh token's lifetime", refresh_lifetimes),
        ("a token type", token_types),
        ("a refresh token", refresh_tokens),
        ("scopes", scopes),
        ("a refusal", refusals),
        ("words of a refusal", words),
        ("a status", statuses),
        ("a content type", content_types),
        ("when to come back", retry_after),
        ("the exchange", exchanges),
    ];
    let mut table = Table { group: "", rows: Vec::new() };
    for (group, add) in groups {
        table.group = group;
        add(&mut table);
    }
    table.rows
}

fn grants(t: &mut Table) {
    let everything = format!(
        r#""expires_in":3600,"refresh_token":"{ROTATED}","scope":"read admin","refresh_token_expires_in":86400"#
    );
    t.row(
        "everything",
        ok(with(&everything)),
        fresh().rotated().lives(3600).refresh_lives(86400).scopes(&["read", "admin"]),
    );
    t.row("the least there is", ok(with("")), fresh());
    t.row("a new refresh token and a lifetime", ok(full()), fresh().rotated().lives(3600));
    t.row("keys nobody knows", ok(with(r#""id_token":"x.y.z","a":{"b":[1,{"c":null}]}"#)), fresh());
    t.row(
        "keys of the same letters in another case",
        ok(with(r#""Expires_In":9,"SCOPE":"x","Error":"no""#)),
        fresh(),
    );
    let spaced = "\r\n\t {\n \"token_type\" : \"bearer\" ,\r\n\"access_token\"\t:\"AT2\"\n} \n\n";
    t.row("white space all over", ok(spaced), fresh());
    t.row(
        "letters written as escapes",
        ok(r#"{"\u0061ccess_token":"\u0041T2","token_type":"Be\u0061rer"}"#),
        fresh(),
    );
    t.row(
        "another account is named, and ours stays",
        ok(with(r#""account":"bob","username":"bob","sub":"7""#)),
        fresh(),
    );
    t.row("a description and no error", ok(with(r#""error_description":"all is well""#)), fresh());
    t.row(
        "an error that is null",
        ok(with(&format!(r#""error":null,"refresh_token":"{ROTATED}""#))),
        fresh().rotated(),
    );
    t.row(
        "an error that is empty",
        ok(with(&format!(r#""error":"","refresh_token":"{ROTATED}""#))),
        fresh().rotated(),
    );
    t.row(
        "an identity token of 200 KiB",
        ok(with(&format!(r#""id_token":"{}""#, "x".repeat(200 * 1024)))),
        fresh(),
    );
    let nested = format!(r#""x":{}1{}"#, "[".repeat(120), "]".repeat(120));
    t.row("lists in lists, 120 deep", ok(with(&nested)), fresh());
    let many = (0..5000).map(|number| format!(r#","k{number}":0"#)).collect::<Vec<_>>().concat();
    t.row("five thousand keys", ok(with(&many[1..])), fresh());
    let whole = format!("{}{}", with(""), " ".repeat(1024 * 1024 - with("").len()));
    t.row("a body of 1 MiB", ok(whole), fresh());
}

fn no_grants(t: &mut Table) {
    for (name, body) in [
        ("nothing", ""),
        ("a blank", " "),
        ("null", "null"),
        ("true", "true"),
        ("a number", "3600"),
        ("not a number", "NaN"),
        ("a text", "\"AT2\""),
        ("an empty list", "[]"),
        ("an empty object", "{}"),
        ("an open object", "{"),
        ("a page", "<html><body>Sign in to the network</body></html>"),
        ("a form", "access_token=AT2&token_type=bearer"),
        ("a comma too many", r#"{"access_token":"AT2","token_type":"Bearer",}"#),
        ("single quotes", "{'access_token':'AT2','token_type':'Bearer'}"),
        ("a comment", r#"{"access_token":"AT2","token_type":"Bearer"/*x*/}"#),
        ("a call", r#"callback({"access_token":"AT2","token_type":"Bearer"})"#),
        ("two documents", r#"{"access_token":"AT2","token_type":"Bearer"}{}"#),
        ("a list of one grant", r#"[{"access_token":"AT2","token_type":"Bearer"}]"#),
        ("a grant within", r#"{"data":{"access_token":"AT2","token_type":"Bearer"}}"#),
        ("an access token twice", r#"{"access_token":"AT2","access_token":"AT3","token_type":"Bearer"}"#),
        (
            "the same access token twice",
            r#"{"access_token":"AT2","access_token":"AT2","token_type":"Bearer"}"#,
        ),
        ("a key within twice", r#"{"access_token":"AT2","token_type":"Bearer","x":{"y":1,"y":2}}"#),
        ("half of a surrogate", r#"{"access_token":"AT2\ud800","token_type":"Bearer"}"#),
        ("a line break in a text", "{\"access_token\":\"AT2\n\",\"token_type\":\"Bearer\"}"),
        ("a NUL behind it", "{\"access_token\":\"AT2\",\"token_type\":\"Bearer\"}\0"),
        ("a lifetime that is NaN", r#"{"access_token":"AT2","token_type":"Bearer","expires_in":NaN}"#),
        (
            "a lifetime that is Infinity",
            r#"{"access_token":"AT2","token_type":"Bearer","expires_in":Infinity}"#,
        ),
        // The one reader of JSON has doubles for what no 64 bits hold; R10 says so.
        ("a number no double holds", r#"{"access_token":"AT2","token_type":"Bearer","expires_in":1e400}"#),
    ] {
        t.row(name, ok(body), later());
    }
    t.row("a byte order mark", ok(format!("\u{feff}{}", full())), later());
    t.row("UTF-16", ok(full().encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()), later());
    t.row("a byte that is no UTF-8", ok([full().as_bytes(), b"\xff"].concat()), later());
    t.row("half a grant", ok(&full()[..full().len() / 2]), later());
    let deep = format!(r#""x":{}1{}"#, "[".repeat(1000), "]".repeat(1000));
    t.row("lists in lists, 1,000 deep", ok(with(&deep)), later());
    t.row("a hundred thousand open brackets", ok("[".repeat(100_000)), later());
    t.row(
        "a body of 1 MiB and a byte",
        ok(format!("{}{}", full(), " ".repeat(1024 * 1024 + 1 - full().len()))),
        later().tells("too large"),
    );
}

fn access_tokens(t: &mut Table) {
    let good = |t: &mut Table, name: &str, token: &str| {
        let body = format!(r#"{{"access_token":{},"token_type":"Bearer"}}"#, quoted(token));
        t.row(name, ok(body), fresh().token(token));
    };
    good(t, "of one character", "x");
    good(t, "the one there was", crate::ACCESS);
    good(t, "a blank within", "a b");
    good(t, "a form's and a URL's characters", "a+b%2B&c=d?e#f;g,h");
    good(t, "all that is printable", &(' '..='~').collect::<String>());
    good(t, "of 64 KiB", &"x".repeat(65_536));
    good(t, "of 64 KiB that JSON writes twice as long", &"\"\\".repeat(32_768));
    // The refresh token that came with it is kept all the same: the old one is spent.
    let long = quoted(&"x".repeat(65_537));
    for (name, written) in [
        ("null", "null"),
        ("a number", "2"),
        ("a truth", "true"),
        ("a list", r#"["AT2"]"#),
        ("an object", r#"{"value":"AT2"}"#),
        ("empty", r#""""#),
        ("blank", r#""  ""#),
        ("a tab", r#""\t""#),
        ("a tab within", r#""AT2\tx""#),
        ("CR at the end", r#""AT2\r""#),
        ("LF at the end", r#""AT2\n""#),
        ("a line and a field more", r#""AT2\r\nX-Field: x""#),
        ("NUL within", r#""AT2\u0000x""#),
        ("ESC within", r#""AT2\u001b[31m""#),
        ("DEL within", r#""AT2\u007f""#),
        ("NEL within", r#""AT2\u0085""#),
        ("a letter that is not ASCII", r#""AT2é""#),
        ("a line separator", r#""AT2\u2028""#),
        ("a mark of direction", r#""AT2\u202e""#),
        ("an emoji", r#""AT2😀""#),
        ("of 64 KiB and a byte", long.as_str()),
    ] {
        let body = beside(&format!(r#""access_token":{written},"token_type":"Bearer""#));
        t.row(name, ok(body), rescued().tells("`access_token`"));
    }
    t.row(
        "none",
        ok(beside(r#""token_type":"Bearer","expires_in":3600"#)),
        rescued().tells("`access_token`"),
    );
    t.row("none, nor a new refresh token", ok(r#"{"token_type":"Bearer","expires_in":3600}"#), later());
}

fn lifetimes(t: &mut Table) {
    const TEN_YEARS: i64 = 315_576_000;
    for (written, seconds) in [
        ("3600", Some(3600)),
        (r#""3600""#, Some(3600)),
        ("3600.0", Some(3600)),
        ("3600.9", Some(3600)),
        ("3.6e3", Some(3600)),
        ("1", Some(1)),
        ("0", Some(0)),
        (r#""0""#, Some(0)),
        (r#""0003600""#, Some(3600)),
        ("315576000", Some(TEN_YEARS)),
        ("315576001", Some(TEN_YEARS)),
        ("9223372036854775807", Some(TEN_YEARS)),
        ("9223372036854775808", Some(TEN_YEARS)),
        ("99999999999999999999", Some(TEN_YEARS)),
        ("1e300", Some(TEN_YEARS)),
        (r#""99999999999999999999""#, Some(TEN_YEARS)),
        ("-1", None),
        ("-0.5", None),
        ("-9223372036854775808", None),
        ("-1e300", None),
        (r#""-1""#, None),
        (r#""+3600""#, None),
        (r#"" 3600""#, None),
        (r#""3600 s""#, None),
        (r#""3600.0""#, None),
        (r#""1e3""#, None),
        (r#""0x10""#, None),
        (r#""٣٦٠٠""#, None),
        (r#""""#, None),
        (r#""soon""#, None),
        (r#""NaN""#, None),
        (r#""2030-01-01T00:00:00Z""#, None),
        ("true", None),
        ("null", None),
        ("[3600]", None),
        (r#"{"seconds":3600}"#, None),
    ] {
        t.row(
            format!("written {written}"),
            ok(with(&format!(r#""expires_in":{written}"#))),
            fresh().lives(seconds),
        );
    }
    t.row(
        "under another name",
        ok(with(r#""expires":3600,"expires_at":4102444800,"expiresIn":3600"#)),
        fresh(),
    );
}

fn refresh_lifetimes(t: &mut Table) {
    let new = format!(r#""refresh_token":"{ROTATED}""#);
    let with_new = |fields: &str| ok(with(&format!("{new},{fields}")));
    t.row(
        "of a new one",
        with_new(r#""refresh_token_expires_in":900"#),
        fresh().rotated().refresh_lives(900),
    );
    t.row(
        "under its other name",
        with_new(r#""refresh_expires_in":900"#),
        fresh().rotated().refresh_lives(900),
    );
    t.row(
        "under both names",
        with_new(r#""refresh_expires_in":1,"refresh_token_expires_in":900"#),
        fresh().rotated().refresh_lives(900),
    );
    t.row("of the old one", ok(with(r#""refresh_token_expires_in":900"#)), fresh().refresh_lives(900));
    t.row(
        "a text of digits",
        with_new(r#""refresh_token_expires_in":"900""#),
        fresh().rotated().refresh_lives(900),
    );
    // Some servers say so of a token that never ends.
    t.row("nought, of a new one", with_new(r#""refresh_expires_in":0"#), fresh().rotated());
    t.row("nought, of the old one", ok(with(r#""refresh_expires_in":0"#)), fresh());
    t.row("less than nothing", with_new(r#""refresh_token_expires_in":-5"#), fresh().rotated());
    t.row("a word", with_new(r#""refresh_token_expires_in":"never""#), fresh().rotated());
    t.row(
        "a million years",
        with_new(r#""refresh_token_expires_in":31557600000000"#),
        fresh().rotated().refresh_lives(315_576_000),
    );
}

fn token_types(t: &mut Table) {
    for written in ["bearer", "BEARER", "bEaReR"] {
        let body = beside(&format!(r#""access_token":"AT2","token_type":"{written}""#));
        t.row(written, ok(body), fresh().rotated());
    }
    for written in [
        "null",
        "1",
        "true",
        "[\"Bearer\"]",
        r#""""#,
        r#"" ""#,
        r#"" Bearer""#,
        r#""Bearer ""#,
        r#""Bearer\n""#,
        r#""Bearer, DPoP""#,
        r#""DPoP""#,
        r#""mac""#,
        r#""N_A""#,
        r#""Basic""#,
        r#""urn:ietf:params:oauth:token-type:jwt""#,
    ] {
        let body = beside(&format!(r#""access_token":"AT2","token_type":{written}"#));
        t.row(format!("written {written}"), ok(body), rescued().tells("`token_type`"));
    }
    t.row("none", ok(beside(r#""access_token":"AT2","expires_in":3600"#)), rescued().tells("`token_type`"));
}

fn refresh_tokens(t: &mut Table) {
    let of = |written: &str| ok(with(&format!(r#""refresh_token":{written}"#)));
    t.row("null", of("null"), fresh());
    t.row("empty", of(r#""""#), fresh());
    t.row("unchanged", of(&quoted(REFRESH)), fresh());
    for (name, token) in [
        ("of one character", "r".to_owned()),
        ("the old one and a character", format!("{REFRESH}x")),
        ("the old one in capitals", REFRESH.to_uppercase()),
        ("all that is printable", (' '..='~').collect()),
        ("a form's characters", "a+b%2B&c=d e".to_owned()),
        ("of 64 KiB", "r".repeat(65_536)),
        ("of 64 KiB that JSON writes twice as long", "\\\"".repeat(32_768)),
    ] {
        t.row(name, of(&quoted(&token)), fresh().rotated_to(&token));
    }
    // The session goes on with the only one there is, and the mark says what may have happened.
    let long = quoted(&"r".repeat(65_537));
    for (name, written) in [
        ("blank", r#""  ""#),
        ("a tab", r#""\t""#),
        ("CR and LF", r#""RT2\r\n""#),
        ("NUL", r#""RT2\u0000""#),
        ("a letter that is not ASCII", r#""RT2é""#),
        ("a number", "2"),
        ("no", "false"),
        ("a list", r#"["RT2"]"#),
        ("an object", "{}"),
        ("of 64 KiB and a byte", long.as_str()),
    ] {
        t.row(name, of(written), later().tells("`refresh_token`"));
    }
    let both = format!(r#"{{"access_token":"","token_type":"Bearer","refresh_token":"{REFRESH}"}}"#);
    t.row("unchanged, in no grant", ok(both), later());
    t.row("blank, in no grant", ok(r#"{"token_type":"Bearer","refresh_token":" "}"#), later());
}

fn scopes(t: &mut Table) {
    let of = |written: &str| ok(with(&format!(r#""scope":{written}"#)));
    let most: Vec<String> = (0..128).map(|number| format!("s{number}")).collect();
    let most: Vec<&str> = most.iter().map(String::as_str).collect();
    let long = "s".repeat(512);
    for (name, text, scopes) in [
        ("fewer", "read", vec!["read"]),
        ("others", "admin openid", vec!["admin", "openid"]),
        ("the same in another order", "write read", vec!["write", "read"]),
        ("two blanks between", "read  admin", vec!["read", "admin"]),
        ("blanks around", " read ", vec!["read"]),
        ("a URL", "https://graph.example/.default", vec!["https://graph.example/.default"]),
        ("commas are no blanks", "read,write", vec!["read,write"]),
        ("128", &most.join(" "), most.clone()),
        ("one of 512 bytes", &long, vec![&long]),
    ] {
        t.row(name, of(&quoted(text)), fresh().scopes(&scopes));
    }
    // What is no list of scopes changes none, and costs no token.
    for (name, text) in [
        ("empty", ""),
        ("blank", "  "),
        ("a quote", "read\"x"),
        ("a backslash", "read\\x"),
        ("a tab between", "read\twrite"),
        ("a line break", "read\nX-Field: x"),
        ("NUL", "read\0"),
        ("ESC", "\u{1b}[31mread"),
        ("a letter that is not ASCII", "r\u{e9}ad"),
        ("a mark of direction", "read\u{202e}"),
        ("129", &format!("{} more", most.join(" "))),
        ("one of 513 bytes", &"s".repeat(513)),
        ("one of 100,000 bytes", &"s".repeat(100_000)),
    ] {
        t.row(name, of(&quoted(text)), fresh());
    }
    for written in ["null", "7", "true", r#"["admin"]"#, r#"{"admin":true}"#] {
        t.row(format!("written {written}"), of(written), fresh());
    }
    for (name, quote) in [
        ("the refresh token", REFRESH.to_owned()),
        ("the client secret within", format!("read x-{SECRET}-x")),
        ("the refresh token as in a form", crate::encoded(REFRESH)),
    ] {
        t.row(format!("that quote {name}"), of(&quoted(&quote)), fresh());
    }
    let new = with(&format!(r#""refresh_token":"{ROTATED}","scope":"{ROTATED} admin""#));
    t.row("that quote the new refresh token", ok(new), fresh().rotated());
}

fn refusals(t: &mut Table) {
    for error in [
        "invalid_client",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_request",
        "invalid_target",
        "access_denied",
        "interaction_required",
        "use_dpop_nonce",
        "bad_refresh_token",
    ] {
        for status in [400, 401, 403, 200] {
            let body = format!(r#"{{"error":"{error}"}}"#);
            t.row(format!("{status} {error}"), json(status, body), refused().tells(format!("`{error}`")));
        }
    }
    for error in ["temporarily_unavailable", "server_error", "slow_down"] {
        for status in [400, 401, 403, 200] {
            let body = format!(r#"{{"error":"{error}"}}"#);
            t.row(format!("{status} {error}"), json(status, body), later().tells(format!("`{error}`")));
        }
    }
    let gone = r#"{"error":"invalid_grant","error_description":"it is gone"}"#;
    for status in [400, 401] {
        t.row(format!("{status} invalid_grant"), json(status, gone), dead().tells("it is gone"));
    }
    for status in [200, 402, 403, 405, 409, 418, 422, 451, 499] {
        let then = refused().tells("`invalid_grant`").tells("it is gone");
        t.row(format!("{status} invalid_grant"), json(status, gone), then);
    }
    // The status comes first.
    for status in [408, 429, 500, 502, 503, 504, 302, 307, 201, 202] {
        t.row(format!("{status} invalid_grant"), json(status, gone), later().tells(status.to_string()));
    }
    for status in [404, 410] {
        t.row(format!("{status} invalid_grant"), json(status, gone), no_endpoint());
    }
    t.row("407 invalid_grant", json(407, gone), proxy());
    for written in ["Invalid_Grant", "INVALID_GRANT", "invalid_grant ", "invalid_grants", "invalid grant"] {
        let body = format!(r#"{{"error":"{written}"}}"#);
        t.row(format!("400 {written:?}"), json(400, body), refused().tells(format!("`{written}`")));
    }
    t.row("invalid_grant in another object", json(400, r#"{"body":{"error":"invalid_grant"}}"#), later());
    t.row("invalid_grant in a list", json(400, r#"[{"error":"invalid_grant"}]"#), later());
    t.row("invalid_grant twice", json(400, r#"{"error":"invalid_grant","error":"invalid_grant"}"#), later());
    t.row("invalid_grant cut short", json(400, r#"{"error":"invalid_grant""#), later());
    t.row("invalid_grant as a page", http(400, "Content-Type: text/html\r\n", gone), later());
    t.row("invalid_grant as text", http(400, "Content-Type: text/plain\r\n", gone), later());
    t.row("invalid_grant as nothing said", http(400, "", gone), later());
    t.row(
        "invalid_grant as a form",
        http(400, "Content-Type: application/x-www-form-urlencoded\r\n", "error=invalid_grant"),
        later(),
    );
    t.row(
        "invalid_grant as a problem",
        http(400, "Content-Type: application/problem+json\r\n", gone),
        dead(),
    );
    t.row("invalid_grant behind a byte order mark", json(400, format!("\u{feff}{gone}")), later());
    t.row(
        "invalid_grant with tokens beside",
        json(400, beside(r#""error":"invalid_grant","access_token":"AT2","token_type":"Bearer""#)),
        dead(),
    );

    for written in
        ["null", r#""""#, "7", "false", "[]", r#"["invalid_grant"]"#, r#"{"code":"invalid_grant"}"#]
    {
        let body = format!(r#"{{"error":{written}}}"#);
        t.row(format!("400 with an error {written}"), json(400, body), later());
    }
    for written in ["7", "true", "[]", r#"{"code":7}"#] {
        let body = with(&format!(r#""error":{written},"refresh_token":"{ROTATED}""#));
        t.row(format!("200 with tokens and an error {written}"), ok(body), later());
    }
    for error in ["invalid_grant", "invalid_request"] {
        let body = with(&format!(r#""error":"{error}","refresh_token":"{ROTATED}""#));
        t.row(format!("200 with tokens and {error}"), ok(body), refused());
    }
    t.row(
        "200 with tokens and slow_down",
        ok(with(&format!(r#""error":"slow_down","refresh_token":"{ROTATED}""#))),
        later(),
    );
    t.row("400 with tokens and no error", json(400, full()), later());
    t.row("401 with tokens and no error", json(401, full()), later());
}

fn words(t: &mut Table) {
    let says = |error: &str, description: &str| {
        json(400, format!(r#"{{"error":{},"error_description":{}}}"#, quoted(error), quoted(description)))
    };
    for (name, error, then) in
        [("of a dead token", "invalid_grant", dead()), ("of a refusal", "invalid_client", refused())]
    {
        let row = |t: &mut Table, what: &str, description: &str, then: Then| {
            t.row(format!("{name}: {what}"), says(error, description), then);
        };
        row(
            t,
            "a sentence",
            "ask the administrator, please.",
            then.clone().tells("ask the administrator, please."),
        );
        row(t, "escapes", "a\u{1b}[31m\u{1b}]0;x\u{7}b", then.clone().tells(r"a\u{1b}[31m\u{1b}]0;x\u{7}b"));
        row(
            t,
            "line breaks",
            "a\r\nclaviger: all is well\u{85}\u{2028}",
            then.clone().tells(r"a\u{d}\u{a}claviger"),
        );
        row(
            t,
            "marks of direction",
            "a\u{202e}b\u{2066}c\u{200f}",
            then.clone().tells(r"a\u{202e}b\u{2066}c\u{200f}"),
        );
        row(
            t,
            "what has no width",
            "a\u{200b}\u{feff}\u{ad}b",
            then.clone().tells(r"a\u{200b}\u{feff}\u{ad}b"),
        );
        row(t, "NUL", "a\0b", then.clone().tells(r"a\u{0}b"));
        row(t, "256 characters", &"x".repeat(256), then.clone().tells("x".repeat(256)).hides("..."));
        row(t, "257 characters", &"x".repeat(257), then.clone().tells(format!("{}...", "x".repeat(256))));
        row(t, "1,024 bytes", &"x".repeat(1024), then.clone().tells(format!("{}...", "x".repeat(256))));
        row(t, "1,025 bytes", &"x".repeat(1025), then.clone().hides("xx"));
        row(t, "half a MiB", &"x".repeat(512 * 1024), then.clone().hides("xx"));
        row(t, "the refresh token", &format!("unknown token {REFRESH}!"), then.clone().hides("unknown"));
        row(
            t,
            "the refresh token as in a form",
            &format!("unknown token {}", crate::encoded(REFRESH)),
            then.clone().hides("unknown"),
        );
        row(
            t,
            "most of the refresh token",
            &format!("unknown token {}...", &REFRESH[..18]),
            then.clone().hides("unknown").hides(&REFRESH[..18]),
        );
        row(t, "the client secret", &format!("wrong secret {SECRET}"), then.clone().hides("wrong"));
        row(t, "a letter that is not ASCII", "erg\u{e4}nzen Sie", then.clone().tells("erg\u{e4}nzen Sie"));
        row(t, "what looks like a quote's end", "x\") and more (\"", then.clone());
        let body = format!(r#"{{"error":"{error}","error_description":{{"text":"hello"}}}}"#);
        t.row(format!("{name}: no text"), json(400, body), then.clone().hides("hello"));
        let body = format!(r#"{{"error":"{error}","error_uri":"https://evil.example/x","hint":"y"}}"#);
        t.row(format!("{name}: an address"), json(400, body), then.hides("evil.example"));
    }
    t.row(
        "an error with escapes",
        says("\u{1b}[2Jx\r\n\u{202e}", ""),
        refused().tells(r"`\u{1b}[2Jx\u{d}\u{a}\u{202e}`"),
    );
    t.row("an error that is the refresh token", says(REFRESH, ""), refused());
    t.row("an error that quotes the client secret", says(&format!("no {SECRET}"), ""), refused());
    t.row(
        "an error of 1,024 bytes",
        says(&"e".repeat(1024), ""),
        refused().tells(format!("{}...", "e".repeat(256))),
    );
    t.row("an error of 1,025 bytes", says(&"e".repeat(1025), ""), refused().hides("eeee"));
    t.row(
        "a page that quotes the refresh token",
        http(500, "Content-Type: text/html\r\n", format!("<p>{REFRESH} {SECRET}</p>")),
        later(),
    );
    t.row(
        "headers that quote the refresh token",
        http(
            503,
            &format!("{JSON}X-Echo: {REFRESH}\r\nLocation: /{REFRESH}\r\nRetry-After: {REFRESH}\r\n"),
            "",
        ),
        later(),
    );
}

fn statuses(t: &mut Table) {
    for status in [300, 301, 302, 303, 304, 305, 307, 308, 399] {
        let headers = format!("{JSON}Location: /token\r\n");
        let then = later().tells("redirect").tells(status.to_string());
        t.row(format!("{status} to the same place"), http(status, &headers, ""), then);
    }
    t.row(
        "307 to another place, with a grant",
        http(307, &format!("{JSON}Location: http://127.0.0.1:9/\r\n"), full()),
        later(),
    );
    t.row("302 to nowhere", json(302, "{}"), later());
    t.row("308 to nonsense", http(308, "Location: http://[\u{1}\r\n", ""), later());
    for status in [404, 410] {
        t.row(format!("{status}"), json(status, "{}"), no_endpoint());
        t.row(
            format!("{status} as a page, with a time"),
            http(status, "Content-Type: text/html\r\nRetry-After: 60\r\n", "<p>"),
            no_endpoint(),
        );
    }
    t.row("407", http(407, "Proxy-Authenticate: Basic\r\nRetry-After: 60\r\n", ""), proxy());
    for status in [408, 429, 500, 501, 502, 503, 504, 507, 511, 520, 599] {
        t.row(format!("{status}"), json(status, "{}"), later().tells(status.to_string()));
    }
    t.row("500 with a grant", json(500, full()), later());
    for status in [201, 202, 203, 206, 226, 299] {
        t.row(format!("{status} with a grant"), json(status, full()), rescued().tells(status.to_string()));
    }
    t.row("201 without a new refresh token", json(201, with("")), later());
    t.row("202 with a grant and an error", json(202, beside(r#""error":"x","access_token":"AT2""#)), later());
    for status in [204, 205] {
        t.row(
            format!("{status}"),
            Act::Says(raw(&format!("{status} Empty"), "Connection: close\r\n", "")),
            later(),
        );
    }
    for status in [400, 401, 402, 403, 405, 406, 409, 411, 413, 415, 418, 421, 425, 426, 431, 451] {
        t.row(format!("{status} and no error"), json(status, "{}"), later().tells(status.to_string()));
    }
    t.row("403 as a page", http(403, "Content-Type: text/html\r\n", "<p>Forbidden</p>"), later());
    t.row(
        "401 with a challenge",
        http(401, "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", ""),
        later(),
    );
    for status in [600, 999] {
        t.row(format!("{status} with a grant"), json(status, full()), later());
    }
}

fn content_types(t: &mut Table) {
    for kind in [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json ; charset=\"utf-8\"",
        "application/json;",
        "Application/JSON",
        "APPLICATION/JSON;CHARSET=UTF-8",
        "application/json; charset=iso-8859-1",
        "application/problem+json",
        "application/vnd.acme.token.v2+json; q=1",
    ] {
        t.row(kind, http(200, &format!("Content-Type: {kind}\r\n"), full()), fresh().rotated().lives(3600));
    }
    t.row(
        "in small letters, no blank",
        http(200, "content-type:application/json\r\n", full()),
        fresh().rotated().lives(3600),
    );
    for kind in [
        "text/html",
        "text/html; charset=utf-8",
        "text/plain",
        "text/json",
        "text/javascript",
        "application/javascript",
        "application/jsonp",
        "application/json-seq",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "application/jwt",
        "image/svg+json",
        "json",
        "*/*",
        "",
        "application/json, text/html",
        "text/html; application/json",
        "application/json\u{e9}",
    ] {
        t.row(
            format!("no JSON: {kind:?}"),
            http(200, &format!("Content-Type: {kind}\r\n"), full()),
            rescued().tells("not JSON"),
        );
    }
    t.row("none", http(200, "", full()), rescued().tells("not JSON"));
    t.row(
        "a page that is one",
        http(200, "Content-Type: text/html\r\n", "<html>Sign in</html>"),
        later().tells("not JSON"),
    );
}

fn retry_after(t: &mut Table) {
    let of =
        |status: u16, value: &str, body: &str| http(status, &format!("{JSON}Retry-After: {value}\r\n"), body);
    for (value, seconds) in [
        ("120", Some(120)),
        ("1", Some(1)),
        ("0", Some(0)),
        ("007", Some(7)),
        ("86400", Some(86_400)),
        ("86401", Some(86_400)),
        ("999999999", Some(86_400)),
        ("99999999999999999999999999", Some(86_400)),
        ("-5", None),
        ("-99999999999999999999", None),
        ("1.5", None),
        ("1e3", None),
        ("120 s", None),
        ("120, 60", None),
        ("0x10", None),
        ("soon", None),
        ("", None),
        ("never\u{e9}", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("Thu, 31 Dec 9998 23:59:59 GMT", Some(86_400)),
        ("2099-01-01T00:00:00Z", None),
    ] {
        t.row(format!("503 {value:?}"), of(503, value, "{}"), later().again_in(seconds));
    }
    let soon = date_after(90);
    let mut then = later();
    then.retry_after = Some(1..=90);
    t.row("503 a date 90 s ahead", of(503, &soon, "{}"), then);
    for status in [429, 408, 500, 502, 302, 201] {
        t.row(format!("{status} 33"), of(status, "33", "{}"), later().again_in(33));
    }
    t.row(
        "200 and a page",
        http(200, "Content-Type: text/html\r\nRetry-After: 33\r\n", "<p>"),
        later().again_in(33),
    );
    t.row("200 and no grant", of(200, "33", "{}"), later().again_in(33));
    t.row("400 slow_down", of(400, "33", r#"{"error":"slow_down"}"#), later().again_in(33));
    t.row("400 and no error", of(400, "33", "{}"), later().again_in(33));
    // A refusal is no matter of time.
    t.row("400 invalid_client", of(400, "33", r#"{"error":"invalid_client"}"#), refused());
    t.row("400 invalid_grant", of(400, "33", r#"{"error":"invalid_grant"}"#), dead());
    t.row("200 and a grant", of(200, "33", &with("")), fresh());
    t.row(
        "twice",
        http(503, &format!("{JSON}Retry-After: 33\r\nRetry-After: 44\r\n"), "{}"),
        later().again_in(33),
    );
}

/// The one preferred form of an HTTP date, so many seconds from now.
fn date_after(seconds: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = SystemClock::start().now().plus(seconds);
    let text = at.to_string();
    let days = usize::try_from(at.unix() / 86_400).expect("days since a Thursday");
    let day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days % 7];
    let month = MONTHS[text[5..7].parse::<usize>().expect("a month") - 1];
    format!("{day}, {} {month} {} {} GMT", &text[8..10], &text[..4], &text[11..19])
}

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("X-{number}: y\r\n")).collect::<Vec<_>>().concat()
}

fn chunked(chunks: &[&str], end: &str) -> Act {
    let mut body =
        chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect::<Vec<_>>().concat();
    body.push_str(end);
    Act::Says(raw("200 OK", &format!("{JSON}Transfer-Encoding: chunked\r\n"), body))
}

#[allow(clippy::too_many_lines, reason = "a table, as flat as it can be")]
fn exchanges(t: &mut Table) {
    let full = full();
    let good = || fresh().rotated().lives(3600);
    let length = |length: &str| format!("{JSON}Content-Length: {length}\r\n");
    let says = |status: &str, headers: &str, body: &str| Act::Says(raw(status, headers, body));
    let exact = length(&full.len().to_string());

    // How a body may be framed.
    t.row("up to the end of the connection", says("200 OK", JSON, &full), good());
    t.row("in HTTP/1.0", Act::Says(format!("HTTP/1.0 200 OK\r\n{JSON}\r\n{full}").into_bytes()), good());
    t.row(
        "on a connection that stays",
        Act::HoldsOpen(raw("200 OK", &format!("{exact}Connection: keep-alive\r\n"), &full)),
        good(),
    );
    t.row("in one chunk", chunked(&[&full], "0\r\n\r\n"), good());
    let bytes: Vec<&str> = full.split_inclusive(|_: char| true).collect();
    t.row("in chunks of one byte", chunked(&bytes, "0\r\n\r\n"), good());
    t.row("in chunks with a trailer", chunked(&[&full], "0\r\nX-Check: 1\r\n\r\n"), good());
    let named = format!("{:X};name=\"value\"\r\n{full}\r\n0\r\n\r\n", full.len());
    t.row(
        "in a chunk with an extension",
        says("200 OK", &format!("{JSON}Transfer-Encoding: chunked\r\n"), &named),
        good(),
    );
    t.row("without a reason", says("200", &exact, &full), good());
    t.row("with a reason of many words", says("200 it went very well", &exact, &full), good());
    t.row(
        "cookies and caching",
        says(
            "200 OK",
            &format!("{exact}Set-Cookie: a=b\r\nCache-Control: no-store\r\nPragma: no-cache\r\n"),
            &full,
        ),
        good(),
    );
    t.row(
        "another answer behind it",
        says("200 OK", &exact, &format!("{full}HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")),
        good(),
    );
    t.row("100 first", says("100 Continue\r\n\r\nHTTP/1.1 200 OK", &exact, &full), good());
    t.row("103 first", says("103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK", &exact, &full), good());
    t.row(
        "102 twice first",
        says("102 Wait\r\n\r\nHTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK", &exact, &full),
        good(),
    );
    t.row(
        "100 and a refusal",
        says("100 Continue\r\n\r\nHTTP/1.1 400 No", JSON, r#"{"error":"invalid_grant"}"#),
        dead(),
    );
    t.row("slow and in time", Act::Drips(raw("200 OK", &exact, &full), 1), good());
    // Two more name the content's type and length.
    t.row("128 fields", says("200 OK", &format!("{exact}{}", lines(126)), &full), good());
    let filler = format!("X-Filler: {}\r\n", "y".repeat(60_000));
    t.row("a header of 60,000 bytes", says("200 OK", &format!("{exact}{filler}"), &full), good());

    // What no client can make sense of.
    let unread = later;
    t.row("over before a word", Act::HangsUp, unread());
    t.row("over without a word", Act::Says(Vec::new()), unread());
    t.row("over in the status", Act::Says(b"HTTP/1.1".to_vec()), unread());
    t.row("over in the header", Act::Says(format!("HTTP/1.1 200 OK\r\n{JSON}").into_bytes()), unread());
    t.row("over before the body", says("200 OK", &exact, ""), unread());
    t.row("over in the body", says("200 OK", &exact, &full[..full.len() - 1]), unread());
    t.row("over in a refusal", says("400 No", &length("500"), r#"{"error":"invalid_grant"}"#), unread());
    t.row(
        "a length too long by one",
        says("200 OK", &length(&(full.len() + 1).to_string()), &full),
        unread(),
    );
    t.row(
        "a length too short by one",
        says("200 OK", &length(&(full.len() - 1).to_string()), &full),
        unread(),
    );
    t.row("a length of nought", says("200 OK", &length("0"), &full), unread());
    t.row("a length below nought", says("200 OK", &length("-1"), &full), unread());
    t.row("a length that is no number", says("200 OK", &length("many"), &full), unread());
    t.row("a length no number holds", says("200 OK", &length("99999999999999999999999"), &full), unread());
    t.row("two lengths", says("200 OK", &format!("{exact}Content-Length: 3\r\n"), &full), unread());
    t.row("a chunk cut short", chunked(&[&full[..9]], "ff\r\nabc"), unread());
    t.row("chunks without an end", chunked(&[&full], ""), unread());
    t.row("a chunk's length is nonsense", chunked(&[], &format!("zz\r\n{full}\r\n0\r\n\r\n")), unread());
    t.row(
        "a chunk's length is endless",
        chunked(&[], &format!("fffffffffffffffff\r\n{full}\r\n0\r\n\r\n")),
        unread(),
    );
    t.row("not HTTP", Act::Says(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), unread());
    t.row("a body and nothing else", Act::Says(full.clone().into_bytes()), unread());
    t.row("in HTTP/2.0", Act::Says(format!("HTTP/2.0 200 OK\r\n{exact}\r\n{full}").into_bytes()), unread());
    t.row("TLS where none is wanted", Act::Says(b"\x15\x03\x03\x00\x02\x02\x28".to_vec()), unread());
    t.row("a status of two digits", says("20 OK", &exact, &full), unread());
    t.row("a status of four digits", says("2000 OK", &exact, &full), unread());
    t.row("a status below 100", says("099 OK", &exact, &full), unread());
    t.row("a header without a colon", says("200 OK", &format!("{exact}nonsense\r\n"), &full), unread());
    t.row("a header with NUL", says("200 OK", &format!("{exact}X: a\0b\r\n"), &full), unread());
    t.row(
        "101, another protocol",
        says("101 Switching", "Upgrade: x\r\nConnection: Upgrade\r\n", &full),
        unread(),
    );
    t.row(
        "compressed",
        says(
            "200 OK",
            &format!("{}Content-Encoding: gzip\r\n", length("10")),
            "\u{1f}\u{8}\0\0\0\0\0\0\0\u{3}",
        ),
        unread(),
    );

    // Over a limit.
    let filler = format!("X-Filler: {}\r\n", "y".repeat(66_000));
    t.row(
        "a header of 66,000 bytes",
        says("200 OK", &format!("{exact}{filler}"), &full),
        unread().tells("too large"),
    );
    t.row("129 fields", says("200 OK", &format!("{exact}{}", lines(127)), &full), unread());
    let headers = lines(9_000);
    t.row("9,000 headers", says("200 OK", &format!("{exact}{headers}"), &full), unread());
    t.row(
        "an endless header",
        Act::Says(format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(2_000_000)).into_bytes()),
        unread().tells("too large"),
    );
    t.row("a body of 2 MB", ok(" ".repeat(2_000_000)), unread().tells("too large"));
    t.row(
        "a body of 2 MB up to the end",
        says("200 OK", JSON, &" ".repeat(2_000_001)),
        unread().tells("too large"),
    );
    t.row(
        "chunks of 2 MB",
        chunked(&[&" ".repeat(1_000_000), &" ".repeat(1_000_000)], "0\r\n\r\n"),
        unread().tells("too large"),
    );
    t.row(
        "a page of 2 MB",
        http(500, "Content-Type: text/html\r\n", "x".repeat(2_000_000)),
        unread().tells("too large"),
    );

    // Only the deadline ends these.
    t.row("no word at all", Act::HoldsOpen(Vec::new()), unread());
    t.row("no word after the status", Act::HoldsOpen(b"HTTP/1.1 200 OK\r\n".to_vec()), unread());
    t.row("no word after the header", Act::HoldsOpen(raw("200 OK", &exact, "")), unread());
    t.row("a body without an end", Act::HoldsOpen(raw("200 OK", JSON, &full)), unread());
    t.row("100 and no word after it", Act::HoldsOpen(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()), unread());
    t.row("a grant, byte by byte", Act::Drips(raw("200 OK", &exact, &full), 40), unread());
    t.row(
        "a refusal, byte by byte",
        Act::Drips(raw("400 No", JSON, r#"{"error":"invalid_grant"}"#), 40),
        unread(),
    );
    t.row(
        "chunks, byte by byte",
        Act::Drips(raw("200 OK", "Transfer-Encoding: chunked\r\n", "1\r\n{\r\n".repeat(30)), 40),
        unread(),
    );

    // Claimed, but plain: it is read as it is.
    t.row(
        "said to be compressed, and plain",
        says("200 OK", &format!("{exact}Content-Encoding: gzip\r\n"), &full),
        good(),
    );
    t.row(
        "said to be what it is",
        says("200 OK", &format!("{exact}Content-Encoding: identity\r\n"), &full),
        good(),
    );
}
