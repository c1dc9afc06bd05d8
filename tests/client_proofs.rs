//! How a configured client proves itself: by assertions that its key signs, and by a secret that the keyring keeps.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claviger::dialect::Verb;
use claviger::secret::ClientSecret;
use claviger::store;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::{Value, json};
use support::SERVICE;
use support::grants::{
    answers, asked, call, call_in, code, configured, get, grants, message, sent_field, token_and_outcome,
};
use support::world::{Machine, Mood};

const NOW: i64 = 1_767_225_600;
const ISSUER: &str = "issuer = \"https://id.example\"\n";

/// A kind of key: its name, how openssl makes it, in which form it is then written, and how it is verified.
type Kind =
    (&'static str, &'static [&'static str], &'static [&'static str], &'static dyn VerificationAlgorithm);

const RSA: &[&str] = &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const P256: &[&str] = &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const KINDS: [Kind; 5] = [
    ("RS256", RSA, &[], &RSA_PKCS1_2048_8192_SHA256),
    ("RS256", RSA, &["rsa", "-traditional"], &RSA_PKCS1_2048_8192_SHA256),
    ("ES256", P256, &[], &ECDSA_P256_SHA256_FIXED),
    ("ES256", P256, &["ec"], &ECDSA_P256_SHA256_FIXED),
    ("EdDSA", &["genpkey", "-algorithm", "ed25519"], &[], &ED25519),
];

fn openssl(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A key in a folder, and its public half as the verifier wants it. `None` where there is no openssl.
fn key(folder: &Path, (alg, make, form, _): Kind) -> Option<(PathBuf, Vec<u8>)> {
    if !support::has_program("openssl") {
        support::skipped("openssl", "openssl is not installed");
        return None;
    }
    openssl(folder, &[make, &["-out", "made.pem"]].concat());
    let path = folder.join("key.pem");
    if form.is_empty() {
        std::fs::copy(folder.join("made.pem"), &path).unwrap();
    } else {
        openssl(folder, &[form, &["-in", "made.pem", "-out", "key.pem"]].concat());
    }
    let public = match alg {
        "RS256" => openssl(folder, &["rsa", "-in", "made.pem", "-RSAPublicKey_out", "-outform", "DER"]),
        _ => openssl(folder, &["pkey", "-in", "made.pem", "-pubout", "-outform", "DER"]),
    };
    // Of the other two the public key is the end of its container.
    let length = match alg {
        "RS256" => public.len(),
        "ES256" => 65,
        _ => 32,
    };
    Some((path, public[public.len() - length..].to_vec()))
}

fn by_key(path: &Path, more: &str) -> String {
    format!(
        "[providers.ci]\ntoken-endpoint = \"https://id.example/token\"\nrevocation-endpoint = \"https://id.example/revoke\"\n\
         client-id = \"run:ner\"\nclient-auth = \"private_key_jwt\"\nprivate-key = {{ file = '{}' }}\n\
         services = [\"{SERVICE}\"]\n{more}",
        path.display()
    )
}

const MACHINE: &str = "grant = \"client_credentials\"\n";

/// Header and claims of the assertion that was sent at that turn, and whether the key has signed it.
fn assertion(machine: &Machine, turn: usize, public: &[u8], kind: Kind) -> (Value, Value) {
    let kind_of = sent_field(machine, turn, "client_assertion_type").unwrap();
    assert_eq!(kind_of, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert_eq!(sent_field(machine, turn, "client_id").as_deref(), Some("run:ner"));
    let jwt = sent_field(machine, turn, "client_assertion").unwrap();
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verifies =
        |message: &str| UnparsedPublicKey::new(kind.3, public).verify(message.as_bytes(), &signature);
    assert!(verifies(signed).is_ok(), "{}", kind.0);
    assert!(verifies(&format!("{signed}x")).is_err(), "{}", kind.0);
    let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    (part(header), part(claims))
}

#[test]
fn an_assertion_says_who_for_whom_and_for_how_long_and_the_key_has_signed_it() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let Some((path, public)) = key(folder.path(), kind) else { return };
        let machine = configured(&by_key(&path, &format!("{MACHINE}{ISSUER}key-id = \"k1\"\n")), &[]);
        grants(&machine, "AT1");
        let reply = get(&machine);
        assert_eq!(token_and_outcome(&reply), ("AT1", "minted"), "{}: {reply}", kind.0);
        let (header, claims) = assertion(&machine, 0, &public, kind);
        assert_eq!(header, json!({ "alg": kind.0, "typ": "JWT", "kid": "k1" }));
        let jti = claims["jti"].as_str().unwrap().to_owned();
        assert_eq!(
            claims,
            json!({ "iss": "run:ner", "sub": "run:ner", "aud": "https://id.example", "iat": NOW, "exp": NOW + 60, "jti": jti })
        );
        assert!(jti.len() == 32 && !machine.server.sent.borrow()[0].1.contains("client_secret"));
        grants(&machine, "AT2");
        call(&machine, Verb::Get, &json!({ "service": SERVICE, "forceRefresh": true }));
        assert_ne!(assertion(&machine, 1, &public, kind).1["jti"], jti, "each is used once");
    }
}

#[test]
fn without_an_issuer_it_is_for_the_token_endpoint_and_without_a_key_id_it_names_none() {
    let folder = tempfile::tempdir().unwrap();
    let Some((path, public)) = key(folder.path(), KINDS[4]) else { return };
    let pem = std::fs::read_to_string(&path).unwrap();
    let config = by_key(&path, MACHINE).replace(&format!("file = '{}'", path.display()), "env = \"KEY\"");
    let machine = configured(&config, &[("KEY", &pem)]);
    grants(&machine, "AT1");
    assert_eq!(token_and_outcome(&get(&machine)), ("AT1", "minted"));
    let (header, claims) = assertion(&machine, 0, &public, KINDS[4]);
    assert_eq!(header, json!({ "alg": "EdDSA", "typ": "JWT" }));
    assert_eq!(claims["aud"], "https://id.example/token");
}

#[test]
fn a_refresh_and_a_revocation_are_signed_too() {
    let folder = tempfile::tempdir().unwrap();
    let Some((path, public)) = key(folder.path(), KINDS[2]) else { return };
    let machine = configured(&by_key(&path, ISSUER), &[]);
    let stored = json!({ "service": SERVICE, "account": "a", "accessToken": "AT1", "refreshToken": "RT1" });
    assert_eq!(call(&machine, Verb::Store, &stored)["hasRefreshToken"], true);
    grants(&machine, "AT2");
    let forced = call(&machine, Verb::Get, &json!({ "service": SERVICE, "forceRefresh": true }));
    assert_eq!(token_and_outcome(&forced), ("AT2", "refreshed"));
    answers(&machine, 200, "");
    assert_eq!(call(&machine, Verb::Erase, &json!({ "service": SERVICE }))["revocation"], "revoked");
    for (turn, endpoint) in ["https://id.example/token", "https://id.example/revoke"].into_iter().enumerate()
    {
        assert_eq!(machine.server.sent.borrow()[turn].0, endpoint);
        assert_eq!(assertion(&machine, turn, &public, KINDS[2]).1["aud"], "https://id.example");
    }
}

#[test]
fn nothing_signed_goes_to_another_endpoint_than_the_providers() {
    let folder = tempfile::tempdir().unwrap();
    let Some((path, _)) = key(folder.path(), KINDS[4]) else { return };
    let machine = configured(&by_key(&path, ""), &[]);
    for (account, token, revocation) in [
        ("moved", "https://evil.example/token", "https://id.example/revoke"),
        ("lured", "https://id.example/token", "https://evil.example/revoke"),
    ] {
        let stored = json!({
            "service": SERVICE, "account": account, "accessToken": "AT1", "refreshToken": "RT1", "clientId": "run:ner",
            "tokenEndpoint": token, "revocationEndpoint": revocation,
        });
        assert_eq!(call(&machine, Verb::Store, &stored)["account"], account);
    }
    let forced = json!({ "service": SERVICE, "account": "moved", "forceRefresh": true });
    assert_eq!(code(&call(&machine, Verb::Get, &forced)), "CONFIG_INVALID");
    for account in ["moved", "lured"] {
        let ended = call(&machine, Verb::Erase, &json!({ "service": SERVICE, "account": account }));
        assert_eq!((&ended["erased"], &ended["revocation"]), (&json!(true), &json!("failed")), "{account}");
    }
    assert_eq!(asked(&machine), 0);
}

#[test]
fn a_key_that_cannot_be_used_is_told_without_a_word_of_it_and_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    let machine = configured(&by_key(&path, MACHINE), &[]);
    let refused = |why: &str| {
        let reply = get(&machine);
        assert_eq!(code(&reply), "CONFIG_INVALID", "{why}: {reply}");
        assert!(message(&reply).contains("the private key of provider `ci`"), "{reply}");
        assert!(message(&reply).contains(why) && !reply.to_string().contains("canary"), "{why}: {reply}");
    };
    refused("is not there");
    let block = |kind: &str| format!("-----BEGIN {kind}-----\nY2FuYXJ5\n-----END {kind}-----\n");
    for (text, why) in [
        ("canary".to_owned(), "holds no private key in PEM"),
        (block("ENCRYPTED PRIVATE KEY"), "holds no private key in PEM"),
        (block("PRIVATE KEY"), "holds no key that can be used"),
        ("canary".repeat(4096), "over 16384 bytes"),
    ] {
        std::fs::write(&path, text).unwrap();
        refused(why);
    }
    assert_eq!(asked(&machine), 0);
}

#[test]
fn what_a_server_quotes_of_an_assertion_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let Some((path, _)) = key(folder.path(), KINDS[4]) else { return };
    let machine = configured(&by_key(&path, MACHINE), &[]);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"JWT"}"#);
    let body = json!({ "error": "invalid_client", "error_description": format!("{header} is not known") });
    answers(&machine, 401, &body.to_string());
    let reply = get(&machine);
    assert_eq!(code(&reply), "PROVIDER_REJECTED");
    assert!(!reply.to_string().contains(&header), "{reply}");
}

const KEPT: &str = "[providers.ci]\ntoken-endpoint = \"https://id.example/token\"\n\
    revocation-endpoint = \"https://id.example/revoke\"\nclient-id = \"runner\"\nclient-auth = \"client_secret_post\"\n\
    client-secret = { keyring = true }\nservices = [\"https://api.acme.example\"]\n";
const SLOT: &str = "client-secret/ci";

fn kept(config: &str) -> Machine {
    let machine = configured(config, &[]);
    store::save_client_secret(&machine.keyring, "ci", &ClientSecret::new("CS-canary").unwrap()).unwrap();
    machine
}

#[test]
fn a_secret_in_the_keyring_is_read_when_a_request_is_made_whatever_the_storage() {
    for storage in [None, Some("plaintext"), Some("none")] {
        let machine = kept(&format!("{KEPT}{MACHINE}"));
        assert!(machine.keyring.slots.borrow().contains_key(SLOT));
        grants(&machine, "AT1");
        let made = call_in(&machine, Verb::Get, storage, &json!({ "service": SERVICE }));
        assert_eq!(token_and_outcome(&made), ("AT1", "minted"), "{storage:?}: {made}");
        assert_eq!(sent_field(&machine, 0, "client_secret").as_deref(), Some("CS-canary"));
        assert!(!made.to_string().contains("canary"));
    }
    let machine = kept(KEPT);
    let stored = json!({ "service": SERVICE, "account": "a", "accessToken": "AT1", "refreshToken": "RT1" });
    call(&machine, Verb::Store, &stored);
    grants(&machine, "AT2");
    call(&machine, Verb::Get, &json!({ "service": SERVICE, "forceRefresh": true }));
    answers(&machine, 200, "");
    assert_eq!(call(&machine, Verb::Erase, &json!({ "service": SERVICE }))["revocation"], "revoked");
    for turn in [0, 1] {
        assert_eq!(sent_field(&machine, turn, "client_secret").as_deref(), Some("CS-canary"), "{turn}");
    }
}

#[test]
fn a_secret_that_the_keyring_does_not_give_is_an_error_and_no_client_goes_without_it() {
    for config in [format!("{KEPT}{MACHINE}"), KEPT.to_owned()] {
        let machine = kept(&config);
        let refreshes =
            json!({ "service": SERVICE, "account": "a", "accessToken": "AT1", "refreshToken": "RT1" });
        call_in(&machine, Verb::Store, Some("plaintext"), &refreshes);
        let request = json!({ "service": SERVICE, "forceRefresh": true, "account": "a" });
        let refused = || code(&call_in(&machine, Verb::Get, Some("plaintext"), &request)).to_owned();
        machine.keyring.mood.set(Mood::Locked);
        assert_eq!(refused(), "STORE_LOCKED");
        machine.keyring.mood.set(Mood::Unreachable);
        assert_eq!(refused(), "STORE_UNAVAILABLE");
        machine.keyring.mood.set(Mood::Open);
        for broken in ["{\"format\":1}", "{\"format\":2}"] {
            machine.keyring.slots.borrow_mut().insert(SLOT.to_owned(), broken.as_bytes().to_vec());
            assert!(refused().contains("STORE_"), "{broken}");
        }
        assert!(store::delete_client_secret(&machine.keyring, "ci").unwrap());
        let reply = call_in(&machine, Verb::Get, Some("plaintext"), &request);
        assert_eq!(code(&reply), "CONFIG_INVALID", "{reply}");
        assert!(message(&reply).contains("there is none in the keyring"), "{reply}");
        assert_eq!(asked(&machine), 0);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_locked_keyring_is_opened_for_its_secret_where_somebody_can_be_asked() {
    for storage in ["plaintext", "none"] {
        let machine = kept(&format!("{KEPT}{MACHINE}"));
        machine.variables.borrow_mut().push(("DISPLAY".to_owned(), ":0".to_owned()));
        machine.keyring.mood.set(Mood::Opens);
        grants(&machine, "AT1");
        let made = call_in(&machine, Verb::Get, Some(storage), &json!({ "service": SERVICE }));
        assert_eq!(token_and_outcome(&made), ("AT1", "minted"), "{storage}: {made}");
        assert_eq!(machine.told.borrow().len(), 1, "{storage}");
        machine.keyring.mood.set(Mood::Opens);
        grants(&machine, "AT2");
        let forced = json!({ "service": SERVICE, "forceRefresh": true });
        assert_eq!(call_in(&machine, Verb::Get, Some(storage), &forced)["accessToken"], "AT2", "{storage}");
    }
}

#[test]
fn a_secret_in_the_keyring_is_no_session() {
    let machine = kept(KEPT);
    assert_eq!(call(&machine, Verb::List, &json!({}))["sessions"], json!([]));
    assert_eq!(code(&get(&machine)), "NOT_FOUND");
    let rendered = machine.people(claviger::message::Request::Doctor { fix: true });
    let reply: Value = serde_json::from_slice(&rendered.stdout).unwrap();
    assert_eq!(reply["problems"], 0, "{reply}");
    let moved =
        machine.people(claviger::message::Request::MoveStorage(claviger::session::Storage::Plaintext));
    assert_eq!(moved.exit, 0);
    assert!(machine.keyring.slots.borrow().contains_key(SLOT));
}

#[test]
fn a_client_whose_keys_contradict_each_other_is_refused() {
    let secret = "client-secret = { env = \"S\" }\n";
    let signs = "client-auth = \"private_key_jwt\"\n";
    let signer = "private-key = { env = \"K\" }\n";
    for (keys, named) in [
        (signs.to_owned(), "private-key"),
        (format!("{signs}private-key = {{ keyring = true }}\n"), "private-key"),
        (format!("{signs}{signer}{secret}"), "client-secret"),
        (signer.to_owned(), "private-key"),
        ("key-id = \"k\"\n".to_owned(), "key-id"),
        (secret.to_owned(), "client-secret"),
    ] {
        let config = format!("[providers.ci]\nissuer = \"https://id.example\"\n{keys}");
        let complaint = claviger::settings::check_config(config.as_bytes()).unwrap_err();
        assert!(complaint.contains(&format!("`providers.ci.{named}`")), "{keys}: {complaint}");
    }
    let config = format!("[providers.ci]\nissuer = \"https://id.example\"\n{signs}{signer}key-id = \"k\"\n");
    assert_eq!(claviger::settings::check_config(config.as_bytes()), Ok(1));
}
