//! I9: a cached `get` makes no network call, no write, takes no lock, and reads one slot.

mod support;

use claviger::dialect::Verb;
use serde_json::json;
use support::bus::Bus;
use support::world::Machine;
use support::{SERVICE, Sandbox, get};

/// The system calls of one cached `get`, one a line.
fn traced(sandbox: &Sandbox, request: &serde_json::Value) -> Option<Vec<String>> {
    let (answer, calls) = sandbox.traced("get", request, &[])?;
    assert_eq!(answer.ok()["outcome"], "cached");
    Some(calls)
}

fn count(calls: &[String], names: &[&str]) -> usize {
    calls.iter().filter(|call| names.iter().any(|name| call.starts_with(&format!("{name}(")))).count()
}

fn is_quiet(calls: &[String]) {
    assert_eq!(count(calls, &["flock", "fcntl64"]), 0, "no lock");
    let locking =
        calls.iter().filter(|call| call.contains("F_SETLK") || call.contains("F_OFD_SETLK")).count();
    assert_eq!(locking, 0, "no lock");
    let changing = [
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "ftruncate",
        "fchmod",
        "chmod",
        "fsync",
        "link",
    ];
    assert_eq!(count(calls, &changing), 0, "no change to any file");
    let for_writing = |call: &&String| {
        call.starts_with("open") && ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|flag| call.contains(flag))
    };
    assert_eq!(
        calls.iter().filter(for_writing).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "no file is opened for writing"
    );
    assert_eq!(count(calls, &["write"]), 1, "one write: the reply");
}

#[test]
fn a_cached_get_in_plaintext_reads_one_slot_and_nothing_else() {
    let sandbox = Sandbox::plaintext();
    for account in ["alice", "bob"] {
        sandbox
            .run(
                "store",
                &json!({ "service": SERVICE, "account": account, "accessToken": "AT1", "expiresIn": 3600 }),
            )
            .ok();
    }
    let Some(calls) = traced(&sandbox, &json!({ "service": SERVICE, "account": "bob" })) else { return };
    is_quiet(&calls);
    assert_eq!(
        count(&calls, &["socket", "connect", "clone", "clone3", "fork", "vfork"]),
        0,
        "no network, no thread, no process"
    );
    let opened =
        |part: &str| calls.iter().filter(|call| call.starts_with("open") && call.contains(part)).count();
    let slots = calls.iter().filter(|call| call.starts_with("openat(") && !call.contains("AT_FDCWD")).count();
    assert_eq!(
        (slots, opened("index"), opened("defaults"), opened("locks")),
        (1, 0, 0, 0),
        "one slot, no index: {calls:#?}"
    );

    let calls = traced(&sandbox, &get()).unwrap();
    is_quiet(&calls);
    assert!(calls.iter().any(|call| call.contains("/index")), "without the account the index is asked");
}

#[test]
fn a_cached_get_in_the_keyring_makes_four_calls_on_the_bus() {
    let Some(bus) = Bus::with_keyring() else { return };
    let sandbox =
        Sandbox::new(&[("DBUS_SESSION_BUS_ADDRESS", &bus.address), ("CLAVIGER_STORAGE", "keyring")]);
    sandbox
        .run(
            "store",
            &json!({ "service": SERVICE, "account": "bob", "accessToken": "AT1", "expiresIn": 3600 }),
        )
        .ok();
    let Some(calls) = traced(&sandbox, &json!({ "service": SERVICE, "account": "bob" })) else { return };
    is_quiet(&calls);
    assert_eq!(count(&calls, &["connect"]), 1, "the bus and nothing else");
    let said = ["OpenSession", "SearchItems", "GetSecret"].map(|method| {
        calls.iter().filter(|call| call.starts_with("sendmsg(") && call.contains(method)).count()
    });
    assert_eq!(said, [1, 1, 1]);
    assert_eq!(count(&calls, &["sendmsg"]), 4, "Hello, OpenSession, SearchItems, GetSecret");
}

#[test]
fn a_cached_get_reads_the_access_slot_alone_whichever_way_it_is_chosen() {
    let machine = Machine::new("2026-01-01T00:00:00Z");
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresIn": 3600,
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    machine.call(Verb::Store, None, bundle.to_string().as_bytes());
    for request in [
        get(),
        json!({ "service": SERVICE, "account": "alice" }),
        json!({ "service": format!("{SERVICE}/org") }),
    ] {
        machine.keyring.reads.set(0);
        machine.keyring.writes.set(0);
        assert_eq!(machine.call(Verb::Get, None, request.to_string().as_bytes()).exit, 0);
        assert_eq!((machine.keyring.reads.get(), machine.keyring.writes.get()), (1, 0), "{request}");
        assert_eq!(machine.server.sent.borrow().len(), 0);
    }
}

#[test]
fn a_cached_get_is_as_quiet_in_every_tools_dialect() {
    let machine = Machine::new("2026-01-01T00:00:00Z");
    let bundle = json!({
        "service": SERVICE, "account": "alice", "accessToken": "AT1", "expiresIn": 3600,
        "refreshToken": "RT1", "tokenEndpoint": "https://id.example/token", "clientId": "cli",
    });
    machine.call(Verb::Store, None, bundle.to_string().as_bytes());
    let host = SERVICE.strip_prefix("https://").unwrap();
    let cluster = json!({
        "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
        "spec": { "cluster": { "server": SERVICE }, "interactive": false },
    });
    machine.variables.borrow_mut().push(("KUBERNETES_EXEC_INFO".to_owned(), cluster.to_string()));
    let cargo = json!({
        "v": 1, "registry": { "index-url": format!("sparse+{SERVICE}/") }, "kind": "get", "operation": "read",
    });
    let calls = [
        ("git get".to_owned(), format!("protocol=https\nhost={host}\n")),
        ("git get".to_owned(), format!("protocol=https\nhost={host}\nusername=alice\n")),
        ("git get".to_owned(), format!("protocol=https\nhost={host}\nusername=oauth2\n")),
        ("docker get".to_owned(), host.to_owned()),
        ("cargo".to_owned(), cargo.to_string()),
        ("kubernetes".to_owned(), String::new()),
        (format!("terraform get {host}"), String::new()),
        ("bazel get".to_owned(), json!({ "uri": format!("{SERVICE}/x") }).to_string()),
        (format!("goauth {SERVICE}/x"), String::new()),
        (format!("goauth --service {SERVICE}"), String::new()),
        (format!("keyring get {SERVICE}/simple/ oauth2"), String::new()),
    ];
    for (words, input) in calls {
        machine.keyring.reads.set(0);
        machine.keyring.writes.set(0);
        machine.keyring.refresh_reads.set(0);
        let said = machine.by(&words, &input);
        assert!(String::from_utf8_lossy(&said.stdout).contains("AT1"), "{words}: {}", said.stderr);
        assert_eq!((machine.keyring.reads.get(), machine.keyring.writes.get()), (1, 0), "{words} {input}");
        assert_eq!(machine.keyring.refresh_reads.get(), 0, "{words}");
        assert_eq!(machine.server.sent.borrow().len(), 0);
    }
}
