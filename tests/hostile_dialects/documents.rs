//! Requests that are broken in themselves: fields twice, escapes, depths, lengths, lines.

use super::forms::{ASKING, Asked, Form, with};
use super::places::{Who, Worth};

const GOOD: Worth = Worth::May(&[Who::Good]);

fn form(name: &str) -> &'static Form {
    ASKING.iter().find(|form| form.name == name).unwrap_or_else(|| panic!("no form {name}"))
}

/// Objects, with the key by which a tool names a place for `K`.
#[rustfmt::skip]
fn objects() -> Vec<(String, Worth)> {
    let mut all: Vec<(String, Worth)> = [
        (r#"{"K":"https://evil.example","K":"https://good.example"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example","K":"https://good.example"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example","\u004b":"https://evil.example"}"#, Worth::Unreadable),
        (r#"{"K":["https://good.example"]}"#, Worth::Unreadable),
        (r#"{"K":{"K":"https://good.example"}}"#, Worth::Unreadable),
        (r#"{"K":null}"#, Worth::Unreadable),
        (r#"{"K":true}"#, Worth::Unreadable),
        (r#"{"K":443}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example"} {"K":"https://evil.example"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example"}x"#, Worth::Unreadable),
        (r#"{"K":"https://good.example",}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example""#, Worth::Unreadable),
        (r#"{"K":"https://good.example}"#, Worth::Unreadable),
        ("{'K':'https://good.example'}", Worth::Unreadable),
        (r#"{K:"https://good.example"}"#, Worth::Unreadable),
        (r#"["K","https://good.example"]"#, Worth::Unreadable),
        (r#""https://good.example""#, Worth::Unreadable),
        ("https://good.example", Worth::Unreadable),
        (r#"{"K":"https:\/\/good.example"}"#, GOOD),
        (r#"{"K":"https://\u0067ood.example"}"#, GOOD),
        (r#"{"K":"https://good.example\u0000"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example\u000a"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example\r\nhost=evil.example"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example\u002eevil.example"}"#, Worth::Elsewhere),
        (r#"{"K":"https://evil.example\u0040good.example"}"#, Worth::Unreadable),
        (r#"{"K":"https://evil.example\u005c.good.example"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example\ud800"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example\udc00\ud800"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example\ud83d\ude00.evil.example"}"#, Worth::Elsewhere),
        (r#"{"K":"https://good.example\u202e"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example\x41"}"#, Worth::Unreadable),
        (r#"{"K":"https://good.example\u00g0"}"#, Worth::Unreadable),
        ("{\"K\":\"https://good.example\n\"}", Worth::Unreadable),
        ("{\"K\":\"https://good.example\u{0}\"}", Worth::Unreadable),
        ("\u{feff}{\"K\":\"https://good.example\"}", Worth::Unreadable),
        ("{\"\u{43a}\":\"https://good.example\"}", Worth::Unreadable),
        ("{}", Worth::Unreadable),
        ("", Worth::Unreadable),
        ("nul", Worth::Unreadable),
    ]
    .map(|(text, worth)| (text.to_owned(), worth))
    .to_vec();
    for depth in [64, 200, 100_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        all.push((format!("{{\"K\":{open}\"https://good.example\"{close}}}"), Worth::Unreadable));
        all.push((format!("{open}{{\"K\":\"https://good.example\"}}{close}"), Worth::Unreadable));
    }
    all.push((format!("{{\"K\":\"{}\"}}", "x".repeat(300_000)), Worth::Unreadable));
    all.push((" ".repeat(300_000) + r#"{"K":"https://good.example"}"#, Worth::Unreadable));
    all
}

#[rustfmt::skip]
const LINES: &[(&str, Worth)] = &[
    ("", Worth::Unreadable), ("\n", Worth::Unreadable), ("\nprotocol=https\nhost=good.example\n", Worth::Unreadable),
    ("protocol=https\n", Worth::Unreadable), ("host=good.example\n", Worth::Unreadable), ("protocol=\nhost=good.example\n", Worth::Unreadable),
    ("protocol=https\nhost=\n", Worth::Unreadable), ("protocol=https\nhost= \n", Worth::Unreadable), ("protocol=https\nhost\n", Worth::Unreadable),
    ("protocol=https\n\nhost=good.example\n", Worth::Unreadable), ("protocol=https\nhost=evil.example\n\nhost=good.example\n", Worth::Elsewhere),
    ("protocol=https\nhost=evil.example\nhost=good.example\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example\nhost=evil.example\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example\nhost=good.example\n", Worth::Unreadable),
    ("protocol=https\nprotocol=http\nhost=good.example\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example\npath=a\npath=b\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example\nusername=alice\nusername=eve\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example\nusername=eve\n", Worth::Elsewhere),
    ("protocol=https\nhost=good.example\nusername=petra\n", Worth::Elsewhere),
    ("protocol=https\nhost=good.example\r\n", Worth::Unreadable), ("protocol=https\r\nhost=good.example\r\n", Worth::Unreadable),
    ("protocol=https\nhost=evil.example\rhost=good.example\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example\0.evil.example\n", Worth::Unreadable), ("protocol=https\nhost=good.example\0\n", Worth::Unreadable),
    ("protocol=https\0\nhost=good.example\n", Worth::Unreadable), ("protocol=https\nhost=good.example\npath=a\0b\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example\nusername=a\rb\n", Worth::Unreadable), ("protocol=https\nhost=evil.example\nwwwauth[]=x\rhost=good.example\n", Worth::Unreadable),
    (" protocol=https\nhost=good.example\n", Worth::Unreadable), ("protocol =https\nhost=good.example\n", Worth::Unreadable),
    ("Protocol=https\nHost=good.example\n", Worth::Unreadable), ("protocol=https\nhost =good.example\n", Worth::Unreadable),
    ("protocol= https\nhost=good.example\n", Worth::Elsewhere), ("protocol=https \nhost=good.example\n", Worth::Elsewhere),
    ("protocol=https\nhost=good.example \n", Worth::Unreadable), ("protocol=https\nhost= good.example\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example=\n", Worth::Unreadable), ("protocol=https\nhost==good.example\n", Worth::Unreadable),
    ("protocol=https://evil.example/\nhost=good.example\n", Worth::Unreadable), ("protocol=https:\nhost=good.example\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example/org\n", Worth::Unreadable), ("protocol=https\nhost=good.example?x\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example#x\n", Worth::Unreadable), ("protocol=https\nhost=https://good.example\n", Worth::Unreadable),
    ("protocol=https\nhost=good.example\npath=../../evil.example\n", Worth::Unreadable), ("protocol=https\nhost=good.example\npath=org/../x\n", Worth::Unreadable),
    ("protocol=https\nhost=evil.example\npath=@good.example\n", Worth::Elsewhere), ("protocol=https\nhost=evil.example\npath=/good.example\n", Worth::Elsewhere),
    ("url=https://good.example\nhost=evil.example\n", Worth::Unreadable), ("url=https://evil.example\nurl=https://good.example%0a\n", Worth::Unreadable),
    ("url=https://evil.example%0ahost=good.example\n", Worth::Unreadable), ("url=https://good.example%0a\n", Worth::Unreadable),
    ("url=https://good.example%0d\n", Worth::Unreadable), ("url=https://good.example%00\n", Worth::Unreadable), ("url=https://a%0ab@good.example\n", Worth::Unreadable),
    ("url=https://a:b%0ac@good.example\n", Worth::Unreadable), ("url=https://good.example/%0apath=x\n", Worth::Unreadable), ("url=good.example\n", Worth::Unreadable),
    ("url=\n", Worth::Unreadable), ("url=https://\n", Worth::Unreadable), ("url=https:///good.example\n", Worth::Unreadable), ("url=https://@\n", Worth::Unreadable),
    ("url=https://eve:S3CRETPW@good.example@evil.example\n", Worth::Unreadable), ("url=https://good.example%2f.evil.example\n", Worth::Unreadable),
    ("url=https://evil.example%40good.example\n", Worth::Unreadable), ("url=https://evil.example%5c@good.example%5c\n", Worth::Unreadable),
    ("protocol=https\nhost=evil.example\nurl=https://good.example\n", GOOD), ("protocol=https\nhost=good.example\n\n\n", GOOD),
    ("protocol=https\nhost=good.example\nkey[]=x\nunknown=y\nhost[]=evil.example\n", GOOD), ("protocol=https\nhost=good.example", GOOD),
    ("protocol=https\nhost=good.example\nstate[]=other:x\ncapability[]=state\ncontinue=1\n", GOOD),
    ("protocol=https\nhost=good.example\ncapability[]=authtype\nwwwauth[]=Bearer realm=\"x\"\n", GOOD),
    ("protocol=https\nhost=good.example\nquit=1\n", GOOD), ("protocol=https\nhost=good.example\npassword=S3CRETPW\n", GOOD),
];

/// Every one of them, as each tool that takes such a thing would say it.
pub fn all() -> Vec<(&'static Form, Asked, Worth)> {
    let mut all = Vec::new();
    for (text, worth) in objects() {
        let named = |key: &str| text.replace("\\u004b", key).replace('K', key);
        all.push((form("native"), with("get", named("service").into()), worth));
        all.push((form("bazel"), with("bazel get", named("uri").into()), worth));
        let index = named("index-url").replace("https:", "sparse+https:");
        let cargo = format!("{{\"v\":1,\"registry\":{index},\"kind\":\"get\",\"args\":[]}}");
        all.push((form("cargo, sparse index"), with("cargo", cargo.into()), worth));
        let cluster = named("server");
        // Without a server there is the one provider that is configured: it was named by being the only one.
        if !["{}", r#"{"server":null}"#].contains(&cluster.as_str()) && !cluster.contains('\u{43a}') {
            let info = format!(
                "{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"spec\":{{\"cluster\":{cluster}}}}}"
            );
            let asked = Asked { variable: Some(info), ..with("kubernetes", Vec::new()) };
            all.push((form("kubernetes, server"), asked, worth));
        }
        let docker = with("docker get", text.replace('K', "ServerURL").into_bytes());
        if text.contains('{') || text.is_empty() {
            all.push((form("docker"), docker, Worth::Unreadable));
        }
    }
    all.extend(
        LINES.iter().map(|(text, worth)| (form("git"), with("git get", text.as_bytes().to_vec()), *worth)),
    );
    let over = format!("protocol=https\nhost=good.example\nwwwauth[]={}\n", "x".repeat(300_000));
    all.push((form("git"), with("git get", over.into_bytes()), Worth::Unreadable));
    for length in [65_535, 65_536, 65_537] {
        let long = format!("protocol=https\nhost=good.example\nwwwauth[]={}\n", "x".repeat(length));
        all.push((form("git"), with("git get", long.into_bytes()), GOOD));
        let spaces = format!("{}https://good.example\n", " ".repeat(length));
        all.push((form("docker"), with("docker get", spaces.into_bytes()), GOOD));
    }
    let lines: [&[u8]; 3] = [
        b"protocol=https\nhost=good.example\xff\n",
        b"protocol=ht\xfftps\nhost=good.example\n",
        b"\xff\xfe\n",
    ];
    all.extend(lines.map(|text| (form("git"), with("git get", text.to_vec()), Worth::Unreadable)));
    all
}
