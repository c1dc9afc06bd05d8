//! `examples/ci.sh` as a CI runs it: a user with nothing but the variables of a job, against a certified server.

#![cfg(unix)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use support::oidc::{AuthorizationServer, SECRET};
use support::{files_below, has_program, skipped};

#[test]
fn a_job_from_nothing_reaches_a_protected_resource_with_a_secret_and_without_one() {
    if !has_program("curl") {
        skipped("curl", "curl is not installed");
        return;
    }
    let build = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJidWlsZCJ9.c2ln";
    let Some(server) = AuthorizationServer::start(&[("SUBJECT_TOKEN", build)]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (home, job, bin) = (folder.path().join("home"), folder.path().join("tmp"), folder.path().join("bin"));
    for path in [&home, &job, &bin] {
        std::fs::create_dir(path).unwrap();
    }
    std::os::unix::fs::symlink(support::binary(), bin.join("claviger")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci.sh");
    assert_eq!(std::fs::metadata(&script).unwrap().permissions().mode() & 0o111, 0o111);
    let output = Command::new("/bin/sh")
        .arg(script)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()))
        .env("HOME", &home)
        .env("TMPDIR", &job)
        .env("CI", "true")
        .env("ISSUER", server.issuer())
        .env("API", format!("{}/resource", server.issuer()))
        .env("ACME_SECRET", SECRET)
        .env("BUILD_TOKEN", build)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    assert_eq!(said.matches("\"svc\"").count(), 2, "{said}");
    assert_eq!(said.matches("\"runner\"").count(), 1, "{said}");
    // One request for two steps, and no token anywhere.
    assert_eq!(server.grants("client_credentials"), [200]);
    assert_eq!(server.grants("urn:ietf:params:oauth:grant-type:token-exchange"), [200]);
    assert!(!said.contains("Bearer") && !complained.contains("Bearer"), "{said}{complained}");
    let left: Vec<_> =
        files_below(folder.path()).into_iter().filter(|(path, _)| !path.starts_with(&bin)).collect();
    assert!(left.is_empty(), "{:?}", left.iter().map(|(path, _)| path).collect::<Vec<_>>());
}
