//! I1 and I6: no stored refresh token and no client secret in any output or in any file but its own slot, in
//! plain, base64 or URL-encoded form.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use support::server::Server;
use support::{Answer, SERVICE, Sandbox, expired, finish, get};

/// Characters that every encoding changes.
const REFRESH: &str = "canary+/=&%25 ~refresh?token";
const SECRET: &str = "canary:secret+/=&%";

fn encodings(text: &str) -> Vec<String> {
    let mut all = vec![text.to_owned(), text.chars().rev().collect()];
    // Base64 of a part of a longer text depends on where it begins: three ways, less the ends.
    for padding in ["", "x", "xx"] {
        for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(format!("{padding}{text}"));
            all.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    all.push(url::form_urlencoded::byte_serialize(text.as_bytes()).collect());
    all.push(
        text.bytes()
            .flat_map(|byte| ["%".to_owned(), claviger::secret::hex(&[byte]).to_uppercase()])
            .collect(),
    );
    all.push(claviger::secret::hex(text.as_bytes()));
    // Any twelve characters of it would be too many.
    all.extend(text.as_bytes().windows(12).map(|part| String::from_utf8_lossy(part).into_owned()));
    all
}

struct Watch {
    forbidden: Vec<String>,
    seen: usize,
}

impl Watch {
    fn new() -> Self {
        let forbidden = [REFRESH, SECRET].iter().flat_map(|text| encodings(text)).collect();
        Self { forbidden, seen: 0 }
    }

    fn clean(&mut self, answer: Answer) -> Answer {
        self.seen += 1;
        for output in [&answer.stdout, &answer.stderr] {
            for forbidden in &self.forbidden {
                assert!(!output.contains(forbidden.as_str()), "{forbidden} in {output}");
            }
        }
        answer
    }
}

#[test]
fn no_output_of_any_verb_in_any_state_holds_a_stored_refresh_token() {
    let mut watch = Watch::new();
    let server = Server::start(REFRESH);
    let sandbox = Sandbox::plaintext();
    let mut bundle = expired(&server, REFRESH);
    bundle["clientSecret"] = json!(SECRET);
    let forced = json!({ "service": SERVICE, "forceRefresh": true });
    let echo = format!(r#"{{"error":"invalid_request","error_description":"{REFRESH} {SECRET}"}}"#);
    let answers: [(u16, &str); 8] = [
        (500, ""),
        (400, &echo),
        (400, r#"{"error":"invalid_client"}"#),
        (200, "{}"),
        (200, "<html>"),
        (302, ""),
        (404, ""),
        (429, "{}"),
    ];
    for request in [&bundle, &bundle] {
        watch.clean(sandbox.run("store", request)).ok();
    }
    // One of these servers quotes what it was sent.
    for (status, body) in answers {
        server.behave(|behaviour| behaviour.instead = Some((status, String::new(), body.to_owned())));
        for request in [&get(), &forced] {
            let answer = watch.clean(sandbox.run("get", request));
            assert_ne!(answer.exit, 0);
        }
    }
    server.behave(|behaviour| behaviour.instead = None);
    for verb in ["list", "capabilities"] {
        watch.clean(sandbox.run_bytes(verb, b"")).ok();
    }
    // Broken requests that hold the token where a complaint might quote it.
    for broken in [
        json!({ "service": SERVICE, "account": "a", "accessToken": "AT", "refreshToken": [REFRESH] }),
        json!({ "service": REFRESH }),
        json!({ "service": SERVICE, "account": "a", "accessToken": "AT", "refreshToken": REFRESH }),
        json!({ "service": SERVICE, "account": "a", "accessToken": "AT", "refreshToken": format!("{REFRESH}\u{0}") }),
        json!({ "service": SERVICE, "account": "a", "accessToken": "AT", "expiresAt": REFRESH, "clientSecret": SECRET }),
        json!({ "service": SERVICE, "account": "a", "accessToken": "AT", "provider": REFRESH }),
    ] {
        for verb in ["store", "get", "erase"] {
            assert_ne!(watch.clean(sandbox.run(verb, &broken)).exit, 0);
        }
    }
    let truncated = bundle.to_string();
    watch.clean(sandbox.run_bytes("store", &truncated.as_bytes()[..truncated.len() - 1])).code(2);
    // Damaged slots: the complaint names them and quotes nothing.
    let slots: Vec<_> = support::files_below(&sandbox.home().join("slots"));
    for (path, bytes) in &slots {
        for end in [bytes.len() / 2, bytes.len() - 2] {
            std::fs::write(path, &bytes[..end]).unwrap();
            watch.clean(sandbox.run("get", &forced)).code(5);
        }
        let mut doubled = bytes.clone();
        doubled.extend_from_slice(bytes);
        std::fs::write(path, doubled).unwrap();
        watch.clean(sandbox.run("get", &forced)).code(5);
        std::fs::write(path, bytes).unwrap();
    }
    // No lock, no file.
    std::fs::remove_dir_all(sandbox.home().join("locks")).unwrap();
    std::fs::write(sandbox.home().join("locks"), "in the way").unwrap();
    watch.clean(sandbox.run("get", &forced)).code(5);
    std::fs::remove_file(sandbox.home().join("locks")).unwrap();

    // While it is stored, it lies in its own slot and nowhere else.
    let holding = |sandbox: &Sandbox| -> Vec<String> {
        let files = sandbox.files().into_iter();
        let holding = files.filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains("~refresh?token"));
        holding
            .map(|(path, _)| path.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(holding(&sandbox), ["slots"]);
    assert_eq!(watch.clean(sandbox.run("get", &forced)).ok()["outcome"], "refreshed");
    assert_eq!(holding(&sandbox), Vec::<String>::new(), "the spent one is gone");
    watch.clean(sandbox.run("erase", &get())).ok();
    assert!(watch.seen > 40, "{} outputs were searched", watch.seen);
}

#[test]
fn a_configured_secret_and_a_secret_in_the_wrong_place_are_never_quoted() {
    let mut watch = Watch::new();
    for config in [
        format!("client-secret = \"{SECRET}\""),
        format!("[providers.acme]\nissuer = \"https://id.example\"\nclient-secret = \"{SECRET}\""),
        format!(
            "[providers.acme]\nissuer = \"https://id.example\"\nclient-secret = {{ file = \"{SECRET}\" }}"
        ),
        format!("storage = \"{SECRET}\""),
        format!("storage = {SECRET}"),
        format!("storage = \"keyring\"\nstorage = \"{SECRET}\""),
    ] {
        let sandbox = Sandbox::plaintext();
        sandbox.configure(&config);
        watch.clean(sandbox.run("get", &get())).code(6);
    }
    for (name, value) in [("CLAVIGER_STORAGE", SECRET), ("HTTPS_PROXY", "http://canary:secret+/=&%@[")] {
        let sandbox = Sandbox::plaintext();
        let server = Server::start(REFRESH);
        sandbox.run("store", &expired(&server, REFRESH)).ok();
        let mut command = sandbox.command("get");
        command.env(name, value);
        watch.clean(finish(command, get().to_string().as_bytes()));
    }
    let value: Value = json!({ "service": SERVICE, REFRESH: 1 });
    // A key is named, for that is what helps; a token has no business in a key.
    assert_eq!(Sandbox::plaintext().run("get", &value).code(2), "BAD_REQUEST");
}
