//! Answers as each tool takes them, read strictly: a line or a field too many is no answer. The fuzzers read by this too.

use serde_json::Value;

/// What a tool takes from an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What it is for, where the answer says so.
    pub place: Option<String>,
    /// The user name beside it.
    pub username: Option<String>,
    /// A scheme that is given apart from the secret.
    pub scheme: Option<String>,
    /// The token, the password, or the whole value of a header.
    pub secret: String,
    /// Until when, as it stands there.
    pub until: Option<String>,
}

/// How an answer is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Native,
    Git,
    Docker,
    Cargo,
    Kubernetes,
    Terraform,
    Bazel,
    Goauth,
    /// A password alone.
    Password,
    /// A user name and a password.
    Pair,
    /// The two as JSON.
    PairJson,
}

/// What a tool takes from an answer, or why it can make nothing of it.
pub fn read(shape: Shape, exit: u8, stdout: &str) -> Result<Vec<Taken>, String> {
    let taken = match shape {
        Shape::Native => native(exit, stdout),
        Shape::Git => git(stdout),
        Shape::Docker => docker(exit, stdout),
        Shape::Cargo => cargo(stdout),
        Shape::Kubernetes => kubernetes(stdout),
        Shape::Terraform => terraform(stdout),
        Shape::Bazel => bazel(stdout),
        Shape::Goauth => goauth(stdout),
        Shape::Password | Shape::Pair | Shape::PairJson => keyring(shape, stdout),
    };
    let taken = taken.ok_or_else(|| format!("not as {shape:?} has it: {stdout:?}"))?;
    // All but Docker and cargo tell good news from bad by the exit status.
    let fits = [Shape::Native, Shape::Docker, Shape::Cargo].contains(&shape) || exit == 0 || taken.is_empty();
    if fits { Ok(taken) } else { Err(format!("exit {exit} beside a secret")) }
}

fn lines(text: &str) -> Option<Vec<&str>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    Some(text.strip_suffix('\n')?.split('\n').collect())
}

/// One line with one object in it, no key of it twice, and none but these.
fn object(text: &str, keys: &[&str]) -> Option<Value> {
    let line = text.strip_suffix('\n').filter(|line| !line.contains('\n'))?;
    let value: Value = serde_json::from_str(line).ok()?;
    (value.to_string().len() == line.len() && has_only(&value, keys)).then_some(value)
}

fn has_only(value: &Value, keys: &[&str]) -> bool {
    value.as_object().is_some_and(|object| object.keys().all(|key| keys.contains(&key.as_str())))
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn is_nothing(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn native(exit: u8, stdout: &str) -> Option<Vec<Taken>> {
    let keys = [
        "version",
        "service",
        "account",
        "profile",
        "username",
        "tokenType",
        "accessToken",
        "expiresAt",
        "scopes",
        "hasRefreshToken",
        "storage",
        "outcome",
        "matchedBy",
        "warnings",
        "error",
        "erased",
        "revocation",
    ];
    let reply = object(stdout, &keys)?;
    if exit != 0 {
        return has_only(&reply, &["version", "error", "warnings"]).then(Vec::new);
    }
    if reply["accessToken"].is_null() {
        return Some(Vec::new());
    }
    let (place, username) = (text(&reply, "service"), text(&reply, "username"));
    let (scheme, until) = (text(&reply, "tokenType"), text(&reply, "expiresAt"));
    Some(vec![Taken { place, username, scheme, secret: text(&reply, "accessToken")?, until }])
}

fn git(stdout: &str) -> Option<Vec<Taken>> {
    let pairs: Option<Vec<(&str, &str)>> = lines(stdout)?.iter().map(|line| line.split_once('=')).collect();
    let pairs = pairs?;
    let (first, rest) = match pairs.as_slice() {
        [] => return Some(Vec::new()),
        [("capability[]", "authtype"), rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (taken, rest) = match rest {
        [("username", username), ("password", secret), rest @ ..] => {
            let username = Some((*username).to_owned());
            (Taken { username, secret: (*secret).to_owned(), ..Taken::default() }, rest)
        }
        [("authtype", scheme), ("credential", secret), rest @ ..] if first => {
            let scheme = Some((*scheme).to_owned());
            (Taken { scheme, secret: (*secret).to_owned(), ..Taken::default() }, rest)
        }
        _ => return None,
    };
    let rest = match rest {
        [("ephemeral", "1"), rest @ ..] if first => rest,
        rest if !first => rest,
        _ => return None,
    };
    let (until, rest) = match rest {
        [("password_expiry_utc", until), rest @ ..] => (Some((*until).to_owned()), rest),
        rest => (None, rest),
    };
    let ends = matches!(rest, [] | [("capability[]", "state"), ("state[]", _), ("continue", "1")]);
    ends.then(|| vec![Taken { until, ..taken }])
}

fn docker(exit: u8, stdout: &str) -> Option<Vec<Taken>> {
    if exit != 0 {
        return (lines(stdout)?.len() == 1 && !stdout.trim().is_empty() && !stdout.starts_with('{'))
            .then(Vec::new);
    }
    if stdout.is_empty() {
        return Some(Vec::new());
    }
    let answer = object(stdout, &["ServerURL", "Username", "Secret"])?;
    let (place, username) = (Some(text(&answer, "ServerURL")?), Some(text(&answer, "Username")?));
    Some(vec![Taken { place, username, secret: text(&answer, "Secret")?, ..Taken::default() }])
}

fn cargo(stdout: &str) -> Option<Vec<Taken>> {
    let answer = object(stdout, &["Ok", "Err"])?;
    let refused = &answer["Err"];
    if refused.is_object() {
        let known = has_only(refused, &["kind", "message", "caused-by"]);
        return (known && answer.as_object()?.len() == 1).then(Vec::new);
    }
    let answer = &answer["Ok"];
    if answer["kind"] != "get" {
        return (has_only(answer, &["kind"]) && answer.is_object()).then(Vec::new);
    }
    let known = has_only(answer, &["kind", "token", "cache", "expiration", "operation_independent"]);
    let until = answer["expiration"].as_i64().map(|until| until.to_string());
    let expires = answer["cache"] == if until.is_some() { "expires" } else { "session" };
    (known && expires).then_some(())?;
    Some(vec![Taken { secret: text(answer, "token")?, until, ..Taken::default() }])
}

fn kubernetes(stdout: &str) -> Option<Vec<Taken>> {
    if stdout.is_empty() {
        return Some(Vec::new());
    }
    let answer = object(stdout, &["apiVersion", "kind", "status"])?;
    let status = &answer["status"];
    let known = answer["kind"] == "ExecCredential" && has_only(status, &["token", "expirationTimestamp"]);
    known.then_some(())?;
    Some(vec![Taken {
        secret: text(status, "token")?,
        until: text(status, "expirationTimestamp"),
        ..Taken::default()
    }])
}

fn terraform(stdout: &str) -> Option<Vec<Taken>> {
    if stdout.is_empty() {
        return Some(Vec::new());
    }
    let answer = object(stdout, &["token"])?;
    if is_nothing(&answer) {
        return Some(Vec::new());
    }
    Some(vec![Taken { secret: text(&answer, "token")?, ..Taken::default() }])
}

fn bazel(stdout: &str) -> Option<Vec<Taken>> {
    if stdout.is_empty() {
        return Some(Vec::new());
    }
    let answer = object(stdout, &["headers", "expires"])?;
    if is_nothing(&answer) {
        return Some(Vec::new());
    }
    let headers = &answer["headers"];
    let values = headers["Authorization"].as_array().filter(|values| values.len() == 1)?;
    has_only(headers, &["Authorization"]).then_some(())?;
    let secret = values.first()?.as_str()?.to_owned();
    Some(vec![Taken { secret, until: text(&answer, "expires"), ..Taken::default() }])
}

fn goauth(stdout: &str) -> Option<Vec<Taken>> {
    let lines = lines(stdout)?;
    let set = |set: &[&str]| match set {
        [place, "", header, ""] if !place.is_empty() => Some(Taken {
            place: Some((*place).to_owned()),
            secret: header.strip_prefix("Authorization: ")?.to_owned(),
            ..Taken::default()
        }),
        _ => None,
    };
    lines.chunks(4).map(set).collect()
}

fn keyring(shape: Shape, stdout: &str) -> Option<Vec<Taken>> {
    if stdout.is_empty() {
        return Some(Vec::new());
    }
    let (username, secret) = match (shape, lines(stdout)?.as_slice()) {
        (Shape::Password, [secret]) => (None, (*secret).to_owned()),
        (Shape::Pair, [username, secret]) => (Some((*username).to_owned()), (*secret).to_owned()),
        (Shape::PairJson, [_]) => {
            let pair = object(stdout, &["username", "password"])?;
            (Some(text(&pair, "username")?), text(&pair, "password")?)
        }
        _ => return None,
    };
    Some(vec![Taken { username, secret, ..Taken::default() }])
}
