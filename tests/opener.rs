//! What is started to show somebody an address, and what is not: one program, of an absolute path, with the address as
//! its one argument and nothing of ours in its environment.

#![cfg(target_os = "linux")]

mod support;

use std::path::{Path, PathBuf};

use support::signing::{Endpoints, Login, called, recorder};
use support::{Sandbox, finish};

#[test]
fn the_browser_gets_the_address_and_nothing_of_ours() {
    let server = Endpoints::granting();
    let folder = tempfile::tempdir().unwrap();
    let (program, record) = recorder(folder.path(), "browser");
    let mut sandbox =
        server.sandbox("authorization-params = { audience = \"$(id) `id` 'a' \\\"b\\\"; & | <>\" }");
    sandbox.set("BROWSER", program.to_str().unwrap());
    sandbox.set("PATH", "/usr/bin:.:/bin::bin");
    sandbox.set("SECRET_TOKEN", "canary");
    sandbox.set("GITHUB_TOKEN", "canary");
    sandbox.set("ACME_SECRET", "canary");
    let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
    let text = called(&record);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "1 arguments");
    assert_eq!(lines[1], login.event["authorizationUrl"].as_str().unwrap());
    assert!(
        !lines[1].contains(['$', '`', '\'', '"', ';', '|', '<', '>', '(', ' ', '\\', '*', '!']),
        "{}",
        lines[1]
    );
    assert_eq!(lines[2], "environment");
    assert!(lines.contains(&"PATH=/usr/bin:/bin"), "not the folder we were called in: {text}");
    assert!(!text.contains("canary") && !text.contains("CLAVIGER"), "{text}");
    login.come_back("TRUE");
    assert_eq!(login.end().exit, 0);
}

#[test]
fn a_program_of_this_folder_or_of_a_relative_path_is_never_started() {
    let server = Endpoints::granting();
    let folder = tempfile::tempdir().unwrap();
    let names = ["xdg-open", "x-www-browser", "firefox", "wslview", "gio", "browser"];
    let records: Vec<PathBuf> = names.iter().map(|name| recorder(folder.path(), name).1).collect();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    recorder(&folder.path().join("bin"), "xdg-open");
    for (path, browser) in [
        (".", None),
        ("", None),
        (":", None),
        ("bin", None),
        ("./bin:.", None),
        (".", Some("./browser")),
        (".", Some("browser")),
    ] {
        let mut sandbox = server.sandbox("");
        sandbox.set("PATH", path);
        sandbox.set("DISPLAY", ":0");
        match browser {
            Some(browser) => sandbox.set("BROWSER", browser),
            None => sandbox.unset("BROWSER"),
        }
        let mut command = sandbox.command("login");
        command.args(["acme", "--account", "alice", "--json"]).current_dir(folder.path());
        let answer = finish(command, b"");
        assert_eq!(answer.code(3), "INTERACTION_REQUIRED", "{path:?} {browser:?}");
    }
    for record in records {
        assert!(!record.exists(), "{} was started", record.display());
    }
    assert!(!folder.path().join("bin/xdg-open.called").exists());
}

/// Values that a hostile or careless server, or a configuration somebody was talked into, may have for an address.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "javascript:alert(1)",
    "data:text/html,<script>1</script>",
    "vbscript:x",
    "ftp://id.example/",
    "ssh://id.example/",
    "git+ssh://id.example/",
    "smb://id.example/share",
    "ms-msdt:/id",
    "vscode://x",
    "mailto:a@b.example",
    "tel:1",
    "about:blank",
    "chrome://settings",
    "x-apple.systempreferences:x",
    "http://id.example/authorize",
    "http://localhost/authorize",
    "http://10.0.0.1/authorize",
    "http://127.0.0.1.evil.example/",
    "http://[::2]/",
    "-flag",
    "--help",
    "-P/tmp/x",
    "$(id)",
    "`id`",
    "| id",
    "; id",
    "&& id",
    "\"&calc",
    "calc.exe",
    "/usr/bin/id",
    "./id",
    "..\\..\\id",
    "\\\\evil.example\\share",
    "https:/id.example/",
    "https:id.example",
    "https://",
    "https://:443/",
    "https:///etc/passwd",
    "https://user@id.example/",
    "https://user:pass@id.example/",
    "https://id.example\\@evil.example/",
    "https://id.example/a b",
    "https://id.example/\t",
    "https://id.example/\nHost: x",
    "https://id.example/\r\nx",
    "https://id.example/\u{0}",
    "https://id.example/#fragment",
    "https://id.example/\u{202e}",
    "https://id.example/\u{1b}[31m",
    "https://%69d.example/",
    "https://0x7f.1/",
    "https://id..example/",
    "HTTPS://user@id.example",
];

/// A sandbox in which whatever opens addresses writes down that it was called.
fn watched(record: &mut PathBuf, folder: &Path) -> Sandbox {
    let (program, called) = recorder(folder, "browser");
    *record = called;
    let mut sandbox = Sandbox::plaintext();
    sandbox.set("BROWSER", program.to_str().unwrap());
    sandbox.set("PATH", "/usr/bin:/bin");
    sandbox
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn a_hostile_authorization_address_starts_no_process() {
    assert!(HOSTILE.len() >= 50);
    let folder = tempfile::tempdir().unwrap();
    let mut record = PathBuf::new();
    for hostile in HOSTILE {
        // By the configuration, but for what TOML cannot say.
        if !hostile.contains('\u{0}') {
            let sandbox = watched(&mut record, folder.path());
            sandbox.configure(&format!(
                "[providers.acme]\nauthorization-endpoint = {}\ntoken-endpoint = \"https://id.example/token\"\n\
                 client-id = \"cli\"\nservices = [\"https://api.acme.example\"]\n",
                quoted(hostile)
            ));
            let mut command = sandbox.command("login");
            command.args(["acme", "--account", "alice", "--json"]);
            let answer = finish(command, b"");
            assert_eq!(answer.code(6), "CONFIG_INVALID", "{hostile:?}");
            assert!(!answer.stderr.contains(['\u{1b}', '\u{202e}']), "{:?}", answer.stderr);
        }

        // By the issuer's own word.
        let sandbox = watched(&mut record, folder.path());
        let metadata = format!(
            "{{\"issuer\":\"BASE\",\"authorization_endpoint\":{},\"token_endpoint\":\"BASE/token\"}}",
            quoted(hostile)
        );
        let server = Endpoints::answering(vec![("/.well-known/oauth-authorization-server", 200, metadata)]);
        sandbox.configure(&format!(
            "[providers.acme]\nissuer = \"{}\"\nclient-id = \"cli\"\nservices = [\"https://api.acme.example\"]\n",
            server.address()
        ));
        let mut command = sandbox.command("login");
        command.args(["acme", "--account", "alice", "--json"]);
        let answer = finish(command, b"");
        assert_eq!(answer.code(6), "CONFIG_INVALID", "{hostile:?}: {}", answer.stderr);
        assert!(!record.exists(), "{hostile:?} was opened");
    }
}

#[test]
fn a_hostile_verification_address_is_neither_opened_nor_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = PathBuf::new();
    for hostile in HOSTILE {
        for (plain, complete) in [(*hostile, "https://id.example/x"), ("https://id.example/x", *hostile)] {
            if complete.is_empty() {
                continue; // as good as none
            }
            let body = format!(
                "{{\"device_code\":\"D\",\"user_code\":\"U\",\"verification_uri\":{},\"verification_uri_complete\":{}}}",
                quoted(plain),
                quoted(complete)
            );
            let sandbox = watched(&mut record, folder.path());
            let server = Endpoints::answering(vec![("/device", 200, body)]);
            sandbox.configure(&format!(
                "[providers.acme]\ntoken-endpoint = \"{0}/token\"\ndevice-authorization-endpoint = \"{0}/device\"\n\
                 grant = \"device_code\"\nclient-id = \"cli\"\nservices = [\"https://api.acme.example\"]\n",
                server.address()
            ));
            let mut command = sandbox.command("login");
            command.args(["acme", "--account", "alice", "--json"]);
            let answer = finish(command, b"");
            assert_eq!(answer.code(4), "AUTH_REFRESH_TRANSIENT", "{hostile:?}: {}", answer.stderr);
            assert!(hostile.len() < 4 || !answer.stderr.contains(hostile), "{}", answer.stderr);
            assert!(!record.exists(), "{hostile:?} was opened");
        }
    }
}
