//! Where sessions are kept: decided once, said aloud, and never found out by touching what was not asked for.

mod support;

use claviger::dialect::Verb;
use serde_json::{Value, json};
#[cfg(target_os = "linux")]
use support::finish;
use support::world::{Line, Machine};
use support::{SERVICE, Sandbox, get};

const NOW: &str = "2026-01-01T00:00:00Z";

fn static_bundle() -> Value {
    json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1" })
}

fn bundle() -> Value {
    json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresIn": 3600, "refreshToken": "RT1",
        "refreshTokenExpiresAt": "2026-06-01T00:00:00Z", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    })
}

fn call(machine: &Machine, verb: Verb, request: &Value) -> Value {
    let rendered = machine.call(verb, None, request.to_string().as_bytes());
    serde_json::from_slice(&rendered.stdout).expect("a reply is JSON")
}

fn grant(machine: &Machine, body: &str) {
    machine.server.lines.borrow_mut().push_back(Line::Reply {
        status: 200,
        content_type: Some("application/json".to_owned()),
        retry_after: None,
        body: body.to_owned(),
    });
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_plainly_wrong_is_refused_before_the_keyring_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("bus");
    let bus = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    bus.set_nonblocking(true).unwrap();
    let address = format!("unix:path={}", socket.display());
    let sandbox = Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &address)]);
    let useless =
        json!({ "service": SERVICE, "account": "alice", "accessToken": "AT1", "refreshToken": "RT1" });
    for (verb, request) in [
        ("get", json!({})),
        ("get", json!({ "service": SERVICE, "acount": "alice" })),
        ("store", useless),
        ("store", json!({ "service": SERVICE, "account": "alice", "accessToken": " " })),
        ("erase", json!({ "service": "http://api.acme.example" })),
    ] {
        assert_ne!(sandbox.run(verb, &request).exit, 0, "{verb} {request}");
    }
    for words in
        [["storage", "move", "nowhere"], ["storage", "copy", "keyring"], ["doctor", "--mend", "--json"]]
    {
        let mut command = sandbox.command(words[0]);
        command.args(&words[1..]);
        assert_eq!(finish(command, b"").exit, 2, "{words:?}");
    }
    sandbox.configure("storage = \"plaintext\"\n");
    let mut contradicted = sandbox.command("storage");
    contradicted.args(["move", "keyring"]);
    assert_eq!(finish(contradicted, b"").exit, 2);
    sandbox.configure("storage = \"keychain\"\n");
    for verb in ["get", "store", "erase", "list"] {
        assert_eq!(sandbox.run(verb, &get()).exit, if verb == "store" { 2 } else { 6 }, "{verb}");
    }
    let nobody = bus.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(nobody, Err(std::io::ErrorKind::WouldBlock), "nobody connected");
    let files: Vec<_> = sandbox.files().into_iter().map(|(path, _)| path).collect();
    assert_eq!(files, [sandbox.home().join("config.toml")], "and nothing was made");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pin_that_cannot_be_written_is_a_warning_with_its_path_and_the_variable_that_helps() {
    let sandbox = Sandbox::new(&[]);
    // Index entry, slot, default, and then the pin, for which the disk is full.
    let full = ["-e", "inject=renameat:error=ENOSPC:when=4"];
    let Some((answer, _)) = sandbox.traced("store", &static_bundle(), &full) else { return };
    let reply = answer.ok();
    let warnings = reply["warnings"].as_array().unwrap();
    let failed = warnings.iter().find(|warning| warning["code"] == "PIN_FAILED").expect("a warning");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("/pin/") && message.contains("CLAVIGER_STORAGE=plaintext"), "{message}");
    assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT1", "the store stands");
}

#[test]
#[cfg(target_os = "linux")]
fn pins_written_at_once_say_the_same_and_are_never_half() {
    let sandbox = Sandbox::new(&[]);
    let children: Vec<_> = (0..12)
        .map(|number| {
            let mut child = sandbox.command("store").spawn().unwrap();
            let bundle =
                json!({ "service": SERVICE, "account": format!("user{number}"), "accessToken": "AT1" });
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), bundle.to_string().as_bytes())
                .unwrap();
            child
        })
        .collect();
    for child in children {
        let answer = support::Answer::of(child.wait_with_output().unwrap());
        assert_eq!(answer.ok()["storage"], "plaintext");
    }
    let pin: Value =
        serde_json::from_slice(&std::fs::read(support::pin_file(sandbox.home())).unwrap()).unwrap();
    assert_eq!(pin["storage"], "plaintext");
}

#[test]
#[cfg(target_os = "linux")]
fn where_sessions_are_and_who_decided_it_is_told() {
    let sandbox = Sandbox::new(&[]);
    let show = |environment: &[(&str, &str)], arguments: &[&str]| {
        let mut command = sandbox.command("storage");
        command.args(["show", "--json"]).args(arguments).envs(environment.iter().copied());
        let reply = finish(command, b"").ok();
        (reply["storage"].clone(), reply["decidedBy"].clone(), reply["inUse"].clone())
    };
    let told = |storage: &str, by: &str, used: &str| (json!(storage), json!(by), json!(used));
    assert_eq!(show(&[], &[]), told("keyring", "the default", "plaintext"));
    sandbox.run("store", &static_bundle()).ok();
    assert_eq!(show(&[], &[]), told("plaintext", "this machine's pin", "plaintext"));
    sandbox.configure("storage = \"keyring\"\n");
    assert_eq!(show(&[], &[]), told("keyring", "`storage` in config.toml", "keyring"));
    let variable = [("CLAVIGER_STORAGE", "PlainText ")];
    assert_eq!(show(&variable, &[]), told("plaintext", "CLAVIGER_STORAGE", "plaintext"));
    assert_eq!(show(&variable, &["--storage", "keyring"]), told("keyring", "--storage", "keyring"));
}

#[test]
#[cfg(target_os = "linux")]
fn on_a_fresh_runner_one_variable_is_all_it_takes() {
    // Nothing but CLAVIGER_HOME: no HOME, no bus, no desktop, no configuration.
    let sandbox = Sandbox::new(&[]);
    assert_eq!(sandbox.run("store", &static_bundle()).ok()["storage"], "plaintext");
    assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT1");
    assert_eq!(sandbox.run("erase", &get()).ok()["erased"], true);
    assert_eq!(sandbox.run("get", &get()).code(1), "NOT_FOUND");
}

#[test]
fn a_record_that_says_there_is_no_refresh_token_is_believed() {
    let machine = Machine::new(NOW);
    call(&machine, Verb::Store, &static_bundle());
    machine.keyring.reads.set(0);
    machine.keyring.refresh_reads.set(0);
    let forced = json!({ "service": SERVICE, "account": "alice", "forceRefresh": true });
    assert_eq!(call(&machine, Verb::Get, &forced)["error"]["code"], "AUTH_REFRESH_UNAVAILABLE");
    assert!(machine.keyring.reads.get() > 0);
    assert_eq!(machine.keyring.refresh_reads.get(), 0, "false means no second read");
}

#[test]
fn an_unknown_refresh_token_that_is_there_is_written_down_even_if_the_refresh_fails() {
    let machine = Machine::new(NOW);
    call(&machine, Verb::Store, &bundle());
    let slot = format!("{SERVICE}#alice");
    let mut value = machine.slot(&slot).unwrap();
    value.as_object_mut().unwrap().remove("hasRefreshToken");
    machine.keyring.slots.borrow_mut().insert(slot.clone(), value.to_string().into_bytes());
    machine
        .server
        .lines
        .borrow_mut()
        .push_back(Line::Fail(|| claviger::http::Error::Unsent("refused".to_owned())));
    let forced = json!({ "service": SERVICE, "forceRefresh": true });
    assert_eq!(call(&machine, Verb::Get, &forced)["error"]["code"], "AUTH_REFRESH_TRANSIENT");
    let value = machine.slot(&slot).unwrap();
    assert_eq!((&value["hasRefreshToken"], &value["accessToken"]), (&json!(true), &json!("AT1")));
}

#[test]
fn the_end_of_a_refresh_token_is_kept_and_carried_as_long_as_it_is_the_same() {
    let machine = Machine::new(NOW);
    let slot = format!("{SERVICE}#alice");
    let ends = |machine: &Machine| machine.slot(&slot).unwrap()["refreshTokenExpiresAt"].clone();
    call(&machine, Verb::Store, &bundle());
    assert_eq!(ends(&machine), "2026-06-01T00:00:00Z");
    let forced = json!({ "service": SERVICE, "forceRefresh": true });
    grant(&machine, r#"{"access_token":"AT2","token_type":"Bearer","expires_in":3600}"#);
    call(&machine, Verb::Get, &forced);
    assert_eq!(ends(&machine), "2026-06-01T00:00:00Z", "no new one: the old one's end is carried");
    grant(
        &machine,
        r#"{"access_token":"AT3","token_type":"Bearer","refresh_token":"RT2","refresh_token_expires_in":60}"#,
    );
    call(&machine, Verb::Get, &forced);
    assert_eq!(ends(&machine), "2026-01-01T00:01:00Z");
    grant(&machine, r#"{"access_token":"AT4","token_type":"Bearer","refresh_token":"RT3"}"#);
    call(&machine, Verb::Get, &forced);
    assert_eq!(ends(&machine), Value::Null, "a new one of unknown end");
}

#[test]
fn tokens_of_every_size_survive_the_round_trip_in_files() {
    let sandbox = Sandbox::new(&[("CLAVIGER_STORAGE", "plaintext")]);
    for size in support::SIZES {
        let (access, refresh) = ("a".repeat(size), "r".repeat(size));
        let mut bundle = bundle();
        bundle["accessToken"] = json!(access);
        bundle["refreshToken"] = json!(refresh);
        bundle["refreshTokenExpiresAt"] = json!("2099-01-01T00:00:00Z");
        sandbox.run("store", &bundle).ok();
        assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], json!(access), "{size}");
        let kept = support::files_below(&sandbox.home().join("slots"));
        let token = format!("\"{refresh}\"");
        let holds = |bytes: &[u8]| bytes.windows(token.len()).any(|part| part == token.as_bytes());
        assert_eq!(kept.iter().filter(|(_, bytes)| holds(bytes)).count(), 1, "{size}");
    }
}
