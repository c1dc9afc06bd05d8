//! Machine grants by an identity token: exchanged or shown for a token, read anew each time, and sent to nobody else.

mod support;

use claviger::dialect::Verb;
use claviger::http::Error;
use serde_json::{Value, json};
use support::grants::{
    answers, asked, call, code, configured, get, grants, message, sent_field, token_and_outcome,
};
use support::server::{IDENTITY, Server};
use support::world::{Line, Machine};
use support::{SERVICE, Sandbox};

const TOKEN: &str = "https://id.example/token";
const ID: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpZGVudGl0eSI6ImNhbmFyeSJ9.c2lnbmVk";

/// A provider that shows what is in the variable `ID`.
fn provider(grant: &str, more: &str) -> String {
    format!(
        "[providers.ci]\ntoken-endpoint = \"{TOKEN}\"\ngrant = \"{grant}\"\nservices = [\"{SERVICE}\"]\n{more}"
    )
}

const BY_VARIABLE: &str = "identity-token = { env = \"ID\" }\n";

fn form(machine: &Machine, turn: usize) -> Vec<(String, String)> {
    let sent = machine.server.sent.borrow();
    assert_eq!(sent[turn].0, TOKEN);
    url::form_urlencoded::parse(sent[turn].1.as_bytes()).into_owned().collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn an_exchange_sends_the_identity_token_what_it_is_and_what_is_wanted_for_it() {
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let machine = configured(&provider("token_exchange", BY_VARIABLE), &[("ID", ID)]);
    grants(&machine, "AT1");
    let made = get(&machine);
    assert_eq!((token_and_outcome(&made), &made["account"]), (("AT1", "minted"), &json!("ci")));
    let kind = "urn:ietf:params:oauth:token-type:jwt";
    let least = [("grant_type", exchange), ("subject_token", ID), ("subject_token_type", kind)];
    assert_eq!(form(&machine, 0), pairs(&least), "a client without an id sends none");

    let kind = "urn:ietf:params:oauth:token-type:id_token";
    let more = format!(
        "{BY_VARIABLE}audience = \"https://aud.example\"\nsubject-token-type = \"{kind}\"\nscopes = [\"a\", \"b\"]\n\
         client-id = \"run:ner\"\nclient-auth = \"client_secret_post\"\nclient-secret = {{ env = \"CS\" }}\n\
         token-params = {{ resource = \"r\" }}\n"
    );
    let machine = configured(&provider("token_exchange", &more), &[("ID", ID), ("CS", "CS1")]);
    grants(&machine, "AT1");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "minted"));
    let all = [
        ("grant_type", exchange),
        ("subject_token", ID),
        ("subject_token_type", kind),
        ("audience", "https://aud.example"),
        ("scope", "a b"),
        ("resource", "r"),
        ("client_id", "run:ner"),
        ("client_secret", "CS1"),
    ];
    assert_eq!(form(&machine, 0), pairs(&all));
}

#[test]
fn an_identity_token_is_shown_as_an_assertion() {
    for client in ["", "client-id = \"run:ner\"\n"] {
        let more = format!("{BY_VARIABLE}{client}scopes = [\"a\"]\n");
        let machine = configured(&provider("jwt_bearer", &more), &[("ID", ID)]);
        answers(&machine, 200, r#"{"access_token":"AT1","token_type":"bearer","expires_in":3600}"#);
        assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "minted"));
        let mut expected = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", ID),
            ("scope", "a"),
        ];
        expected.extend((!client.is_empty()).then_some(("client_id", "run:ner")));
        assert_eq!(form(&machine, 0), pairs(&expected));
    }
}

#[test]
fn what_an_exchange_gives_must_say_that_it_opens_a_service() {
    let machine = configured(&provider("token_exchange", BY_VARIABLE), &[("ID", ID)]);
    let of = |kind: &str| {
        format!(r#"{{"access_token":"AT-wrong","token_type":"bearer","expires_in":3600{kind}}}"#)
    };
    let named =
        |kind: &str| of(&format!(r#","issued_token_type":"urn:ietf:params:oauth:token-type:{kind}""#));
    for body in [of(""), named("id_token"), named("refresh_token"), of(r#","issued_token_type":1"#)] {
        answers(&machine, 200, &body);
        let reply = get(&machine);
        assert_eq!(code(&reply), "AUTH_REFRESH_TRANSIENT", "{body}: {reply}");
        assert!(message(&reply).contains("issued_token_type") && !reply.to_string().contains("AT-wrong"));
        machine.clock.now.set(machine.clock.now.get() + 3600);
    }
    assert_eq!(call(&machine, Verb::List, &json!({}))["sessions"], json!([]));
    for kind in ["access_token", "jwt"] {
        answers(&machine, 200, &named(kind));
        let forced = json!({ "service": SERVICE, "forceRefresh": true });
        assert_eq!(call(&machine, Verb::Get, &forced)["accessToken"], "AT-wrong", "{kind}");
    }
}

#[test]
fn a_session_of_a_client_without_an_id_is_cached_and_each_renewal_reads_the_token_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let more = format!("identity-token = {{ file = '{}' }}\nmin-validity = 1000\n", path.display());
    let machine = configured(&provider("jwt_bearer", &more), &[]);
    std::fs::write(&path, format!("{ID}1")).unwrap();
    grants(&machine, "AT1");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "minted"));
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "cached"));
    machine.clock.now.set(machine.clock.now.get() + 3600 - 1001);
    assert_eq!((token_and_outcome(&get(&machine)), asked(&machine)), (("AT1", "cached"), 1));
    machine.clock.now.set(machine.clock.now.get() + 2);
    std::fs::write(&path, format!("{ID}2\n")).unwrap();
    grants(&machine, "AT2");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT2", "refreshed"), "its provider's window is its own");
    let shown = |turn| sent_field(&machine, turn, "assertion").unwrap();
    assert_eq!((shown(0), shown(1)), (format!("{ID}1"), format!("{ID}2")));
    std::fs::remove_file(&path).unwrap();
    let forced = json!({ "service": SERVICE, "forceRefresh": true });
    let reply = call(&machine, Verb::Get, &forced);
    assert_eq!(code(&reply), "CONFIG_INVALID");
    assert!(message(&reply).contains("the identity token of provider `ci`"), "{reply}");
    assert_eq!((token_and_outcome(&get(&machine)), asked(&machine)), (("AT2", "cached"), 2));
    let slot = machine.slot("https://api.acme.example#ci").unwrap();
    assert!(slot.get("clientId").is_none() && !slot.to_string().contains(ID), "{slot}");
}

#[test]
fn eight_kibibytes_are_shown_whole_and_more_than_sixty_four_are_refused() {
    for (length, fits) in [(8 * 1024, true), (64 * 1024, true), (64 * 1024 + 1, false)] {
        let long = format!("eyJ{}", "x".repeat(length - 3));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, &long).unwrap();
        let by_file = format!("identity-token = {{ file = '{}' }}\n", path.display());
        for source in [BY_VARIABLE, &by_file] {
            let machine = configured(&provider("jwt_bearer", source), &[("ID", &long)]);
            grants(&machine, "AT1");
            let reply = get(&machine);
            if fits {
                assert_eq!(token_and_outcome(&reply), ("AT1", "minted"), "{length}: {reply}");
                assert_eq!(sent_field(&machine, 0, "assertion").unwrap(), long);
            } else {
                assert_eq!((code(&reply), asked(&machine)), ("CONFIG_INVALID", 0), "{length}");
            }
        }
    }
}

#[test]
fn a_refused_identity_token_is_the_providers_no_and_is_quoted_to_nobody() {
    for grant in ["jwt_bearer", "token_exchange"] {
        let machine = configured(&provider(grant, BY_VARIABLE), &[("ID", ID)]);
        let body = json!({ "error": "invalid_grant", "error_description": format!("{ID} has expired") });
        answers(&machine, 400, &body.to_string());
        let reply = get(&machine);
        assert_eq!(code(&reply), "PROVIDER_REJECTED");
        assert!(message(&reply).contains("invalid_grant") && !reply.to_string().contains(ID), "{reply}");
        assert_eq!(call(&machine, Verb::List, &json!({}))["sessions"], json!([]));
        let reply = json!({ "access_token": "AT1", "token_type": "bearer", "expires_in": 60, "scope": ID,
            "issued_token_type": "urn:ietf:params:oauth:token-type:jwt" });
        answers(&machine, 200, &reply.to_string());
        let made = get(&machine);
        assert_eq!((token_and_outcome(&made), &made["scopes"]), (("AT1", "minted"), &json!([])));
    }
}

const GITHUB: &str = "identity-token = { github-actions = true }\naudience = \"https://aud.example/a b\"\n";
const GITHUB_URL: &str = "https://actions.example/token?api-version=2.0";

fn github(url: &str) -> Machine {
    let variables = [("ACTIONS_ID_TOKEN_REQUEST_URL", url), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "RQ-canary")];
    configured(&provider("token_exchange", GITHUB), &variables)
}

#[test]
fn github_gives_an_identity_token_for_the_audience_and_each_secret_goes_to_its_own_server() {
    let machine = github(GITHUB_URL);
    for (turn, (id, token)) in [("ID-one", "AT1"), ("ID-two", "AT2")].into_iter().enumerate() {
        answers(&machine, 200, &json!({ "count": 1, "value": id }).to_string());
        grants(&machine, token);
        let reply = call(&machine, Verb::Get, &json!({ "service": SERVICE, "forceRefresh": turn > 0 }));
        assert_eq!(reply["accessToken"], token, "{reply}");
        assert!(!reply.to_string().contains("canary") && !reply.to_string().contains(id));
        let sent = machine.server.sent.borrow();
        let asked = &sent[turn * 2];
        assert_eq!(asked.0, format!("{GITHUB_URL}&audience=https%3A%2F%2Faud.example%2Fa+b"));
        assert_eq!(asked.1, "GET bearer RQ-canary");
        drop(sent);
        let form = form(&machine, turn * 2 + 1);
        assert!(form.contains(&("subject_token".to_owned(), id.to_owned())), "{form:?}");
        assert!(form.iter().all(|(_, value)| !value.contains("RQ-canary")), "{form:?}");
    }
    assert_eq!(asked(&machine), 4);
    let written = support::files_below(machine.home());
    let texts = written.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes));
    let slots = machine.keyring.slots.borrow();
    for text in texts.chain(slots.values().map(|bytes| String::from_utf8_lossy(bytes))) {
        assert!(!text.contains("ID-") && !text.contains("RQ-canary"), "{text}");
    }
}

#[test]
fn without_an_audience_github_is_asked_for_none_and_the_exchange_may_have_its_own() {
    let variables = [("ACTIONS_ID_TOKEN_REQUEST_URL", GITHUB_URL), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "RQ")];
    let source = "identity-token = { github-actions = true }\n";
    for (more, url, audience) in [
        ("", GITHUB_URL.to_owned(), None),
        ("audience = \"one\"\n", format!("{GITHUB_URL}&audience=one"), Some("one")),
        (
            "audience = \"one\"\ntoken-params = { audience = \"two\" }\n",
            format!("{GITHUB_URL}&audience=one"),
            Some("two"),
        ),
    ] {
        let machine = configured(&provider("token_exchange", &format!("{source}{more}")), &variables);
        answers(&machine, 200, r#"{"value":"ID-one"}"#);
        grants(&machine, "AT1");
        assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "minted"));
        assert_eq!(machine.server.sent.borrow()[0].0, url);
        let form = form(&machine, 1);
        let sent: Vec<&str> =
            form.iter().filter(|(name, _)| name == "audience").map(|(_, value)| value.as_str()).collect();
        assert_eq!(sent, audience.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn where_github_gives_none_the_token_endpoint_is_not_asked() {
    let machine = github(GITHUB_URL);
    let later = "AUTH_REFRESH_TRANSIENT";
    let long = json!({ "value": "x".repeat(80_000) }).to_string();
    let too_long = json!({ "value": "x".repeat(66_000) }).to_string();
    for (status, body, expected) in [
        (403, "{}", "CONFIG_INVALID"),
        (401, r#"{"value":"ID-one"}"#, "CONFIG_INVALID"),
        (500, "{}", later),
        (429, "{}", later),
        (302, "{}", later),
        (200, "canary", later),
        (200, "{}", later),
        (200, r#"{"value":""}"#, later),
        (200, r#"{"value":1}"#, later),
        (200, &too_long, later),
        (200, &long, later),
    ] {
        answers(&machine, status, body);
        let before = asked(&machine);
        let reply = get(&machine);
        assert_eq!((code(&reply), asked(&machine)), (expected, before + 1), "{status} {body:.40}: {reply}");
        assert!(!reply.to_string().contains("canary"), "{reply}");
        if expected == later {
            get(&machine);
            assert_eq!(asked(&machine), before + 1, "it is left alone for a while");
        }
        machine.clock.now.set(machine.clock.now.get() + 3600);
    }
    machine.server.lines.borrow_mut().push_back(Line::Fail(|| Error::Untrusted("unknown issuer".to_owned())));
    assert_eq!(code(&get(&machine)), "TLS_UNTRUSTED");
    assert_eq!(call(&machine, Verb::List, &json!({}))["sessions"], json!([]));
}

#[test]
fn a_variable_that_is_missing_or_wrong_is_named_and_nothing_is_sent() {
    let gitlab = "identity-token = { gitlab = true }\n";
    let all = [("ACTIONS_ID_TOKEN_REQUEST_URL", GITHUB_URL), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "RQ-canary")];
    let insecure = ("ACTIONS_ID_TOKEN_REQUEST_URL", "http://actions.example/canary");
    let blank = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", " ");
    for (source, variables, named) in [
        (BY_VARIABLE, vec![], "variable ID is not set"),
        (BY_VARIABLE, vec![("ID", "canary\n")], "variable ID may hold printable ASCII only"),
        (gitlab, vec![("ID", ID)], "variable GITLAB_OIDC_TOKEN is not set"),
        (GITHUB, vec![all[1]], "variable ACTIONS_ID_TOKEN_REQUEST_URL is not set"),
        (GITHUB, vec![all[0]], "variable ACTIONS_ID_TOKEN_REQUEST_TOKEN is not set"),
        (GITHUB, vec![insecure, all[1]], "variable ACTIONS_ID_TOKEN_REQUEST_URL must be https"),
        (GITHUB, vec![all[0], blank], "variable ACTIONS_ID_TOKEN_REQUEST_TOKEN must not be empty"),
    ] {
        let machine = configured(&provider("token_exchange", source), &variables);
        let reply = get(&machine);
        assert_eq!((code(&reply), asked(&machine)), ("CONFIG_INVALID", 0), "{named}: {reply}");
        assert!(message(&reply).contains(named) && !reply.to_string().contains("canary"), "{named}: {reply}");
    }
    let machine = configured(&provider("token_exchange", gitlab), &[("GITLAB_OIDC_TOKEN", ID)]);
    grants(&machine, "AT1");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "minted"));
    assert_eq!(sent_field(&machine, 0, "subject_token").as_deref(), Some(ID));
}

#[test]
fn a_grant_that_its_keys_contradict_is_refused() {
    let all = [
        ("token_exchange", "", "identity-token"),
        ("jwt_bearer", "", "identity-token"),
        ("client_credentials", BY_VARIABLE, "client-auth"),
        ("authorization_code", BY_VARIABLE, "identity-token"),
        ("jwt_bearer", "identity-token = { env = \"ID\", gitlab = true }\n", "identity-token"),
        ("jwt_bearer", "identity-token = { github-actions = false }\n", "identity-token"),
        ("jwt_bearer", "identity-token = { keyring = true }\n", "identity-token"),
        ("jwt_bearer", "identity-token = { file = \"token\" }\n", "identity-token.file"),
        (
            "jwt_bearer",
            "identity-token = { gitlab = true }\nsubject-token-type = \"urn:x\"\n",
            "subject-token-type",
        ),
        ("jwt_bearer", "identity-token = { gitlab = true }\naudience = \"a\"\n", "audience"),
        (
            "jwt_bearer",
            "identity-token = { gitlab = true }\nclient-auth = \"client_secret_basic\"\n",
            "client-secret",
        ),
    ];
    for (grant, keys, named) in all {
        let complaint = claviger::settings::check_config(provider(grant, keys).as_bytes()).unwrap_err();
        let key = format!("`providers.ci.{named}`");
        assert!(complaint.starts_with(&key) || named == "identity-token", "{grant} {keys}: {complaint}");
        assert!(complaint.contains(&format!("providers.ci.{named}")), "{grant} {keys}: {complaint}");
    }
    let config = provider("jwt_bearer", BY_VARIABLE).replace("services", "redirect-uris");
    let complaint = claviger::settings::check_config(config.as_bytes()).unwrap_err();
    assert!(complaint.starts_with("`providers.ci.services`"), "{complaint}");
    // What a confidential client needs besides is told when it is needed.
    let more = format!("{BY_VARIABLE}client-auth = \"private_key_jwt\"\nprivate-key = {{ env = \"K\" }}\n");
    let machine = configured(&provider("jwt_bearer", &more), &[("ID", ID)]);
    let reply = get(&machine);
    assert_eq!((code(&reply), asked(&machine)), ("CONFIG_INVALID", 0), "{reply}");
    assert!(message(&reply).contains("`client-id`"), "{reply}");
}

#[test]
fn the_binary_asks_both_servers_and_shows_no_secret() {
    let server = Server::start("unused");
    let url = server.identity_url();
    let mut sandbox = Sandbox::plaintext();
    sandbox.configure(&format!(
        "[providers.ci]\ntoken-endpoint = \"{}\"\ngrant = \"token_exchange\"\nidentity-token = {{ github-actions = true }}\n\
         audience = \"aud\"\nservices = [\"{SERVICE}\"]\n",
        server.token_endpoint()
    ));
    sandbox.set("ACTIONS_ID_TOKEN_REQUEST_URL", &url);
    sandbox.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "RQ-canary");
    let answer = sandbox.run("get", &json!({ "service": SERVICE }));
    let made: Value = answer.ok();
    assert_eq!(token_and_outcome(&made), ("AT-machine-1", "minted"));
    assert_eq!(server.log(|log| log.identities.clone()), ["/identity?api-version=2.0&audience=aud"]);
    let form = server.log(|log| log.tokens[0].clone());
    assert_eq!((form["subject_token"].as_str(), form.get("client_id")), (IDENTITY, None));
    for text in [answer.stdout, answer.stderr] {
        assert!(!text.contains("canary"), "{text}");
    }
    for (path, bytes) in support::files_below(sandbox.home()) {
        assert!(!String::from_utf8_lossy(&bytes).contains("canary"), "{}", path.display());
    }
    assert_eq!(token_and_outcome(&sandbox.run("get", &json!({ "service": SERVICE })).ok()).1, "cached");
    assert_eq!(server.token_requests(), 1);
}
