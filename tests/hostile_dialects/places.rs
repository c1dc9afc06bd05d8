//! Places that an attacker would like to be taken for another, and what may come of asking for a token there.

/// A session somebody would like to have the token of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Good,
    Org,
    Port,
    Loop,
    Idn,
}

/// The sessions: whose, where, and the account that each belongs to.
pub const VICTIMS: [(Who, &str, &str); 5] = [
    (Who::Good, "https://good.example", "alice"),
    (Who::Org, "https://good.example/org", "olga"),
    (Who::Port, "https://good.example:8443", "petra"),
    (Who::Loop, "http://127.0.0.1:4711", "lena"),
    (Who::Idn, "https://xn--bcher-kva.example", "ida"),
];

/// What a place is worth, whichever tool names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It names no host that two readers agree on: no token, and nothing is looked at.
    Unreadable,
    /// It is somewhere else, or nowhere: no token.
    Elsewhere,
    /// These tokens and no other, by the tools that read it so.
    May(&'static [Who]),
    /// This token, by every tool that can name the place.
    Must(Who),
}

pub struct Place {
    pub text: Vec<u8>,
    pub worth: Worth,
}

const GOOD: Worth = Worth::May(&[Who::Good]);
const PATH: Worth = Worth::May(&[Who::Good, Who::Org]);

#[rustfmt::skip]
const MUST: &[(&str, Who)] = &[
    ("https://good.example", Who::Good), ("https://good.example/", Who::Good), ("https://good.example/x/y", Who::Good),
    ("https://GOOD.example:443/", Who::Good), ("https://good.example/org", Who::Org), ("https://good.example/org/x", Who::Org),
    ("https://good.example:8443", Who::Port), ("https://good.example:8443/x", Who::Port),
    ("http://127.0.0.1:4711", Who::Loop), ("http://127.0.0.1:4711/x", Who::Loop),
    ("https://xn--bcher-kva.example", Who::Idn), ("https://xn--bcher-kva.example/x", Who::Idn),
];

/// The same place in other words, or a place that some tool writes so.
#[rustfmt::skip]
const MAY: &[(&str, Worth)] = &[
    ("good.example", GOOD), ("good.example:443", GOOD), ("good.example/x", GOOD), ("GOOD.EXAMPLE.", GOOD),
    ("HTTPS://GOOD.EXAMPLE", GOOD), ("hTTps://good.example", GOOD), ("https://good.example.", GOOD),
    ("https://good.example.:443", GOOD), ("https://good.example:", GOOD), ("https://good.example:0443", GOOD),
    ("https://good.example:00000000000000000000000000000000000443", GOOD), ("http://good.example", GOOD),
    ("HTTP://good.example", GOOD), ("http://good.example:443", GOOD), ("https://good.example?x", GOOD),
    ("https://good.example#x", GOOD), ("https://good.example/?x=https://evil.example", GOOD),
    ("https://good.example?@evil.example", GOOD), ("https://good.example#@evil.example", GOOD),
    ("https://good.example/@evil.example", GOOD), ("https://good.example/x@evil.example:443/", GOOD),
    ("https://good.example/\u{fc}", GOOD), ("grpcs://good.example", GOOD), ("sparse+https://good.example", GOOD),
    ("good.example:8443", Worth::May(&[Who::Port])), ("https://good.example:08443", Worth::May(&[Who::Port])),
    ("https://good.example.:8443", Worth::May(&[Who::Port])), ("http://good.example:8443", Worth::May(&[Who::Port])),
    ("127.0.0.1:4711", Worth::May(&[Who::Loop])), ("http://127.0.0.1:04711", Worth::May(&[Who::Loop])),
    ("https://127.0.0.1:4711", Worth::May(&[Who::Loop])), ("HTTP://127.0.0.1:4711/", Worth::May(&[Who::Loop])),
    ("http://evil.example@127.0.0.1:4711/", Worth::May(&[Who::Loop])),
    // What these become by the rules for names is this very name, for whoever reads them at all.
    ("https://\u{ff47}\u{ff4f}\u{ff4f}\u{ff44}.example", GOOD), ("https://good\u{3002}example", GOOD),
    ("https://good\u{ff0e}example", GOOD), ("https://good\u{ff61}example", GOOD), ("https://good.\u{24d4}xample", GOOD),
    ("https://goo\u{1d41d}.example", GOOD), ("https://good.exam\u{ff50}le:443", GOOD),
    ("https://b\u{fc}cher.example", Worth::May(&[Who::Idn])), ("https://B\u{dc}CHER.example", Worth::May(&[Who::Idn])),
    ("https://bu\u{308}cher.example", Worth::May(&[Who::Idn])), ("https://\u{ff42}\u{fc}cher.example", Worth::May(&[Who::Idn])),
    ("https://XN--BCHER-KVA.example", Worth::May(&[Who::Idn])), ("b\u{fc}cher.example", Worth::May(&[Who::Idn])),
    // Within one host, who is below whom.
    ("https://good.example/..", PATH), ("https://good.example/org/../x", PATH), ("https://good.example/org/./x", PATH),
    ("https://good.example/./org", PATH), ("https://good.example/x/../org", PATH), ("https://good.example/../org", PATH),
    ("https://good.example/org/%2e%2e/x", PATH), ("https://good.example/org/.%2e/x", PATH),
    ("https://good.example/org%2f..%2fx", PATH), ("https://good.example/org%2fx", PATH), ("https://good.example/%6frg", PATH),
    ("https://good.example/%2e/org", PATH), ("https://good.example//org", PATH), ("https://good.example/org//x", PATH),
    ("https://good.example/org///", PATH), ("https://good.example/org?x", PATH), ("https://good.example/org#x", PATH),
    ("https://good.example/org/..", PATH), ("https://good.example/org/../../org", PATH), ("https://good.example/org\\x", PATH),
    ("https://good.example/%6Frg/%2E%2E", PATH), ("https://good.example/org%00", PATH), ("https://good.example/org%0a", PATH),
    ("https://good.example/orgx", GOOD), ("https://good.example/org.git", GOOD), ("https://good.example/ORG", GOOD),
    ("https://good.example/organisation", GOOD), ("https://good.example/or", GOOD), ("https://good.example/org;x", GOOD),
    ("https://good.example/org:8443", GOOD), ("https://good.example/org@x", GOOD), ("https://good.example/org%20", GOOD),
    ("https://good.example/\u{ff4f}rg", GOOD), ("https://good.example/xorg/org", GOOD), ("https://good.example/org-", GOOD),
];

/// Other hosts, other ports, other protocols.
#[rustfmt::skip]
const ELSEWHERE: &[&str] = &[
    "https://evil.example", "https://good.example.evil", "https://good.example.evil.example", "https://evil-good.example",
    "https://good.exampleevil", "https://notgood.example", "https://xgood.example", "https://good.examplex",
    "https://good.exampl", "https://ood.example", "https://good-example", "https://goodexample", "https://good.example-evil.example",
    "https://good.example.com", "https://example", "https://good", "https://www.good.example", "https://evil.good.example",
    "https://g.ood.example", "https://good.exam.ple", "https://good.example_", "https://_good.example", "https://-good.example",
    "https://good.example-", "https://good.example.443", "https://good.example.8443", "https://good--example", "https://gooḍ.example",
    "https://g\u{43e}\u{43e}d.example", "https://good.ex\u{430}mple", "https://go\u{3bf}d.example", "https://good.exampIe",
    "https://good.examp1e", "https://g00d.example", "https://goo\u{501}.example", "https://\u{261}ood.example",
    "https://good.e\u{445}ample", "https://good\u{b7}example", "https://good\u{2024}evil.example", "https://good\u{2044}x.example",
    "https://good.example\u{2215}evil.example", "https://good.example\u{29f8}evil.example", "https://good.example\u{3000}evil",
    "https://bucher.example", "https://bu\u{307}cher.example", "https://xn--bcher-kvb.example", "https://xn--bcher-kva.example.evil.example",
    "https://xn--good-.example", "https://xn--a.example", "https://xn--.example", "https://xn--xn--bcher-kva-.example", "https://b\u{fc}cher.evil.example",
    "https://good.example:80", "https://good.example:444", "https://good.example:4430", "https://good.example:44", "https://good.example:84430",
    "https://good.example:843", "https://good.example:8444", "https://good.example:65535", "https://good.example:1", "http://good.example:80",
    "https://evil.example:8443", "https://evil.example/org", "https://evil.example/good.example", "https://evil.example/https://good.example",
    "https://evil.example?https://good.example", "https://evil.example/?u=https://good.example/org", "https://evil.example#https://good.example",
    "https://evil.example#@good.example", "https://evil.example?@good.example", "https://evil.example?x@good.example@", "https://evil.example/@good.example",
    "https://evil.example/..//good.example", "https://evil.example//good.example", "https://evil.example/%2f%2fgood.example",
    "ssh://good.example", "ssh://u:S3CRETPW@good.example", "git://good.example", "ftp://good.example", "ftps://good.example", "file://good.example/", "ws://good.example",
    "wss://good.example", "gopher://good.example", "javascript://good.example/%0aalert(1)", "data://good.example", "httpss://good.example",
    "xhttps://good.example", "https+x://good.example", "htt\u{440}s://good.example", "grpc://good.example", "unix://good.example", "docker://good.example",
    "https:/good.example", "https:good.example", "http:good.example", "oci:good.example", "about:blank",
    "http://127.0.0.1", "http://127.0.0.1:80", "http://127.0.0.1:47110", "http://127.0.0.1:471", "http://127.0.0.2:4711", "http://127.1.0.1:4711",
    "http://[::1]:4711", "http://[::ffff:127.0.0.1]:4711", "http://[::ffff:7f00:1]:4711", "http://[::127.0.0.1]:4711", "http://[64:ff9b::7f00:1]:4711",
    "http://localhost:4711", "https://localhost:4711", "http://localhost.:4711", "http://0.0.0.0:4711", "http://127.0.0.1.evil.example:4711",
    "http://127.0.0.1.nip.io:4711", "http://128.0.0.1:4711", "http://10.0.0.1:4711", "http://169.254.169.254:4711", "https://[::1]:4711",
    "https://[2001:db8::1]", "https://[::ffff:192.0.2.1]", "https://192.0.2.1", "https://1.1.1.1",
];

/// What two readers could see differently, and what names no host at all.
#[rustfmt::skip]
const UNREADABLE: &[&str] = &[
    "", " ", "   ", "\t", "https://", "http://", "://", "://good.example", "/", "//", "//good.example", "/good.example", "///good.example",
    "https:///", "https:///good.example", "https:////good.example", "https:///good.example/org", "https://?", "https://?good.example", "https://#",
    "https://#good.example", "https://:443", "https://:8443/good.example", "https://:", "https://.", "https://..", "https://.good.example",
    "https://good..example", "https://good.example..", "https://good.example..:443", "https://...good.example", "?", "#", "?good.example", "#good.example",
    "\\\\good.example", "https:\\\\good.example", "https:/\\good.example", "https://\\good.example", "https://good.example\\@evil.example",
    "https://evil.example\\@good.example", "https://evil.example\\.good.example", "https://good.example\\", "https://good.example\\.evil.example",
    // A name and a password where a host should be.
    "https://user@good.example", "https://user:S3CRETPW@good.example", "https://:S3CRETPW@good.example", "https://@good.example", "https://:@good.example",
    "https://good.example@evil.example", "https://good.example:443@evil.example", "https://evil.example@good.example", "https://a@b@good.example",
    "https://good.example@", "https://@", "https://user@", "https://evil.example:80@good.example:443", "https://good.example:S3CRETPW@evil.example",
    "user:S3CRETPW@good.example", "good.example:S3CRETPW@evil.example", ":S3CRETPW@good.example/org", "https://u:S3CRETPW@good.example?x",
    "https://u:S3CRETPW@good.example/?x#y", "http://u:S3CRETPW@good.example", "u:S3CRETPW@127.0.0.1:4711",
    "https://good.example%40evil.example", "https://evil.example%40good.example", "https://user%40good.example", "https://a%3aS3CRETPW@good.example",
    "https://evil.example%2f@good.example", "https://good.example%2f@evil.example", "https://evil.example;@good.example",
    "http://127.0.0.1:4711@evil.example", "http://user:S3CRETPW@127.0.0.1:4711", "https://[::1]@good.example", "https://good.example:8443@evil.example",
    // Several hosts.
    "https://good.example,evil.example", "https://evil.example,good.example", "https://good.example;evil.example", "https://good.example&evil.example",
    "https://good.example evil.example", "https://good.example|evil.example", "https://good.example+evil.example", "https://good.example https://evil.example",
    "https://good.example=evil.example", "https://*.example", "https://good.*", "https://$good.example", "https://good.example!", "https://good.example'",
    "https://(good.example)", "https://good.example,", "https://good.example%", "https://good~.example",
    // Ports that are none.
    "https://good.example:0", "https://good.example:00", "https://good.example:65536", "https://good.example:65979", "https://good.example:73979",
    "https://good.example:4294967739", "https://good.example:18446744073709552059", "https://good.example:-1", "https://good.example:+443",
    "https://good.example:443x", "https://good.example:x443", "https://good.example:0x1bb", "https://good.example:443:443", "https://good.example::443",
    "https://good.example:8443:443", "https://good.example:443.evil.example", "https://good.example:4_43", "https://good.example:4 43",
    "https://good.example:\u{ff14}\u{ff14}\u{ff13}", "https://good.example:4%343", "https://good.example:443,8443", "https://good.example:1e3",
    // Addresses in other words: 127.0.0.1 to some, a name to others.
    "http://127.1:4711", "http://127.0.1:4711", "http://2130706433:4711", "http://0x7f000001:4711", "http://0x7f.0.0.1:4711", "http://0x7f.1:4711",
    "http://0177.0.0.1:4711", "http://017700000001:4711", "http://127.0.0.01:4711", "http://127.0.0.1.:4711", "http://127.0.0.0x1:4711",
    "http://127.000.000.001:4711", "http://127.0.0.1.0:4711", "http://127.0.0.256:4711", "http://1270.0.0.1:4711", "http://4294967296:4711",
    "http://127\u{3002}0\u{3002}0\u{3002}1:4711", "http://\u{2460}\u{2461}\u{2466}.0.0.1:4711", "http://127.0.0.\u{ff11}:4711", "http://127.0.0.1%00:4711",
    "http://[127.0.0.1]:4711", "http://[::1:4711", "http://::1:4711", "http://[::1]x:4711", "http://[::1%25lo]:4711", "http://[::1%lo]:4711",
    "http://[0:0:0:0:0:0:0:0:1]:4711", "http://[::g]:4711", "http://[]:4711", "http://[v1.x]:4711", "https://[good.example]", "https://1.2.3.4.5",
    // Forms of punctuation that become that punctuation on the way to a name.
    "https://good.example\u{ff0f}evil.example", "https://evil.example\u{ff0f}.good.example", "https://good.example\u{ff1f}evil.example",
    "https://evil.example\u{ff03}.good.example", "https://good.example\u{ff20}evil.example", "https://evil.example\u{ff1a}443.good.example",
    "https://good.example\u{ff05}2f", "https://evil.example\u{ff3c}.good.example", "https://evil.example\u{2100}.good.example",
    "https://good.example\u{ff0c}evil.example", "https://good\u{3002}\u{3002}example", "https://evil.example\u{fe6b}good.example",
    "https://evil.example\u{fe5f}.good.example", "https://good.example\u{fe55}8443", "https://evil.example\u{2048}.good.example",
];

/// What one character is worth in the midst of a host, before it, behind it and in a path.
#[rustfmt::skip]
const CHARACTERS: &[char] = &[
    '\n', '\r', '\0', '\t', '\u{b}', '\u{c}', '\u{1b}', '\u{8}', '\u{7f}', '\u{85}', '\u{9b}', '\u{a0}', '\u{ad}', '\u{200b}', '\u{200d}',
    '\u{200e}', '\u{202e}', '\u{2028}', '\u{2060}', '\u{2066}', '\u{feff}', '\u{e0041}', ' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}',
];

const ENCODED: &[&str] = &[
    "%0a",
    "%0d",
    "%00",
    "%09",
    "%20",
    "%2f",
    "%5c",
    "%40",
    "%3a",
    "%23",
    "%3f",
    "%2e",
    "%61",
    "%25",
    "%",
    "%g0",
    "%c0%af",
    "%e2%80%ae",
];

/// All of them.
pub fn places() -> Vec<Place> {
    let mut all: Vec<Place> = Vec::new();
    let mut add = |text: &str, worth| all.push(Place { text: text.as_bytes().to_vec(), worth });
    for (text, who) in MUST {
        add(text, Worth::Must(*who));
    }
    for (text, worth) in MAY {
        add(text, *worth);
    }
    for text in ELSEWHERE {
        add(text, Worth::Elsewhere);
    }
    for text in UNREADABLE {
        add(text, Worth::Unreadable);
    }
    for character in CHARACTERS {
        // docker's own helpers, too, take the space around an address for none of it; a line's end is one to git.
        let around = if character.is_whitespace() { GOOD } else { Worth::Unreadable };
        add(&format!("{character}https://good.example"), around);
        add(&format!("https://good.example{character}"), around);
        add(&format!("https://go{character}od.example"), Worth::Unreadable);
        add(&format!("https://good.example{character}.evil.example"), Worth::Unreadable);
        add(&format!("https://good.example/x{character}/y"), GOOD);
    }
    for encoded in ENCODED {
        add(&format!("https://good{encoded}.example"), Worth::Unreadable);
        add(&format!("https://good.example{encoded}"), Worth::Unreadable);
        add(&format!("https://evil.example{encoded}.good.example"), Worth::Unreadable);
        add(&format!("https://good.example/{encoded}x"), GOOD);
    }
    for attack in
        ["host=evil.example", "protocol=http", "username=eve", "password=x", "url=https://evil.example"]
    {
        for end in ["\n", "\r", "\r\n", "\0", "%0a"] {
            add(&format!("https://good.example{end}{attack}{end}x"), Worth::Unreadable);
        }
    }
    for length in [65_535, 65_536, 65_537] {
        let head = "https://good.example/";
        add(&format!("{head}{}", "x".repeat(length - head.len())), Worth::Unreadable);
        add(&format!("https://{}.good.example", "x".repeat(length - 21)), Worth::Unreadable);
        add(&format!("https://good.example?{}", "x".repeat(length - head.len())), GOOD);
    }
    add(&format!("https://good.example/{}", "x".repeat(300_000)), Worth::Unreadable);
    add(&format!("https://good.example/org{}", "/x".repeat(500)), PATH);
    add(&format!("https://{}.example", "x".repeat(64)), Worth::Elsewhere);
    let bytes: [&[u8]; 8] = [
        b"https://good.example\xff",
        b"https://good.example/\xff",
        b"https://go\xc0\xafod.example",
        b"https://good.example\xc0\xaeevil.example",
        b"\xff\xfe",
        b"https://good\xed\xa0\x80.example",
        b"https://good\xe3\x80.example",
        b"\xef\xbb\xbf\xff",
    ];
    all.extend(bytes.map(|text| Place { text: text.to_vec(), worth: Worth::Unreadable }));
    all
}
