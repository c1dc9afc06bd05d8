//! A token as other tools' commands print it, for programs that were written to call those. What such a program does not
//! read is left out: whose subscription or project it is, we do not know.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::message::{Code, Failure, Shape, Token};
use crate::time::Timestamp;

/// `gcloud config config-helper --format=json`.
#[derive(Serialize)]
struct Gcloud<'a> {
    configuration: Configuration<'a>,
    credential: GcloudCredential<'a>,
}

#[derive(Serialize)]
struct Configuration<'a> {
    active_configuration: &'static str,
    properties: Properties<'a>,
}

#[derive(Serialize)]
struct Properties<'a> {
    core: Core<'a>,
}

#[derive(Serialize)]
struct Core<'a> {
    account: &'a str,
}

#[derive(Serialize)]
struct GcloudCredential<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_expiry: Option<Timestamp>,
}

/// `az account get-access-token --output json`. The first of the two expiries is on the clock of the wall; programs that
/// know better read the second (azure-cli 2.54).
#[derive(Serialize)]
struct Az<'a> {
    #[serde(rename = "accessToken")]
    access_token: &'a str,
    #[serde(rename = "expiresOn", skip_serializing_if = "Option::is_none")]
    expires_on_the_wall: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_on: Option<i64>,
    #[serde(rename = "tokenType")]
    token_type: &'a str,
}

/// `databricks auth token`.
#[derive(Serialize)]
struct Databricks<'a> {
    access_token: &'a str,
    token_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry: Option<Timestamp>,
}

/// One JSON object and a newline; the end of the token is told a little early, as to any tool. `None`: it is a password,
/// which none of them prints.
pub(super) fn printed(token: &Token, shape: Shape) -> Option<Zeroizing<Vec<u8>>> {
    if token.is_password() {
        return None;
    }
    let (access_token, until) = (token.access.expose(), token.keep_until);
    match shape {
        Shape::Gcloud => pretty(&Gcloud {
            configuration: Configuration {
                active_configuration: "default",
                properties: Properties { core: Core { account: token.name.account.as_str() } },
            },
            credential: GcloudCredential { access_token, token_expiry: until },
        }),
        Shape::Az => pretty(&Az {
            access_token,
            expires_on_the_wall: until.map(Timestamp::on_the_wall),
            expires_on: until.map(Timestamp::unix),
            token_type: &token.token_type,
        }),
        Shape::Databricks => {
            pretty(&Databricks { access_token, token_type: &token.token_type, expiry: until })
        }
    }
}

fn pretty(body: &impl Serialize) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(8192));
    serde_json::to_writer_pretty(&mut *bytes, body).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

pub(super) fn unprintable() -> Failure {
    Failure::new(
        Code::NotFound,
        "what is kept is a password, and this format is a token's",
        "sign in, or say --format plain",
    )
}
