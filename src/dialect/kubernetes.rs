//! A Kubernetes exec credential plugin (`client.authentication.k8s.io`, v1 and v1beta1): what is asked comes in a variable,
//! one JSON object goes out. There is no way to say "not mine" but to fail.

use serde::Serialize;

use super::{Parsed, Rendered, Whose, place};
use crate::fields::{self, Fields, Problem};
use crate::limits::{REQUEST_BYTES, TEXT_BYTES, URL_BYTES};
use crate::message::{Caller, Code, Failure, Outcome, Request, Target, TokenWanted, Tool, Warning};
use crate::time::Timestamp;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Call {
    /// A provider or a service; without it, the cluster's own server.
    pub target: Option<String>,
    /// Whose session.
    pub whose: Whose,
}

/// What an answer depends on.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    version: &'static str,
}

impl Default for Form {
    fn default() -> Self {
        Self { version: VERSIONS[0] }
    }
}

/// The versions that there are; an answer repeats the one that was asked in.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

impl Call {
    pub(super) fn parse(&self, exec_info: Option<&str>) -> Parsed {
        let info = match exec_info.map_or(Ok(Info::default()), read) {
            Ok(info) => info,
            Err(error) => {
                let message = format!("KUBERNETES_EXEC_INFO: {error}");
                let failure = Failure::new(Code::BadRequest, message, "nothing was looked up");
                return Parsed::Ask(Err(failure), super::Form::Kubernetes(Form::default()));
            }
        };
        let server = info.server.as_deref().filter(|_| self.target.is_none());
        let word = server.map(|server| {
            place::of_url(server)
                .map(|service| service.to_string())
                .map_err(|fault| fault.about("the cluster's server"))
        });
        let request = word.transpose().map(|word| {
            let Whose { account, profile } = self.whose.clone();
            Request::Token(Box::new(TokenWanted {
                target: Target { word: word.or_else(|| self.target.clone()), account, profile },
                min_validity: None,
                force_refresh: false,
                caller: Caller { tool: Tool::Cluster, unattended: !info.interactive, ..Caller::default() },
            }))
        });
        Parsed::Ask(request, super::Form::Kubernetes(info.form))
    }
}

#[derive(Default)]
struct Info {
    form: Form,
    server: Option<String>,
    interactive: bool,
}

fn read(info: &str) -> Result<Info, fields::Error> {
    if info.len() > REQUEST_BYTES {
        return Err(fields::Error { field: String::new(), problem: Problem::Over(REQUEST_BYTES) });
    }
    let mut fields = fields::json(info.as_bytes()).and_then(Fields::of)?;
    let kind = fields.required_text("kind", TEXT_BYTES)?;
    if kind != "ExecCredential" {
        return Err(fields.error("kind", Problem::Invalid("must be ExecCredential")));
    }
    let version = fields.required_text("apiVersion", TEXT_BYTES)?;
    let known = VERSIONS.into_iter().find(|known| *known == version);
    let version = known.ok_or_else(|| {
        fields.error("apiVersion", Problem::Invalid("must be v1 or v1beta1 of client.authentication.k8s.io"))
    })?;
    let Some(mut spec) = fields.object("spec")? else {
        return Ok(Info { form: Form { version }, ..Info::default() });
    };
    let interactive = spec.truth("interactive")?.unwrap_or(false);
    let server = match spec.object("cluster")? {
        Some(mut cluster) => cluster.text("server", URL_BYTES)?,
        None => None,
    };
    Ok(Info { form: Form { version }, server, interactive })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credential<'a> {
    api_version: &'a str,
    kind: &'a str,
    status: Status<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_timestamp: Option<Timestamp>,
}

impl Form {
    pub(super) fn render(self, result: &Result<Outcome, Failure>, warnings: &[Warning]) -> Rendered {
        match result {
            Ok(Outcome::Token(token)) if token.is_password() => {
                Rendered::failed(&no_password("Kubernetes"), warnings)
            }
            Ok(Outcome::Token(token)) => {
                let status = Status { token: token.access.expose(), expiration_timestamp: token.keep_until };
                let credential = Credential { api_version: self.version, kind: "ExecCredential", status };
                Rendered::json(&credential, warnings)
            }
            Ok(_) => Rendered::failed(&Failure::internal(), warnings),
            // Who is asked must answer: every failure is one here.
            Err(failure) => Rendered::failed(failure, warnings),
        }
    }
}

/// What opens only with a user name is no use where a token alone is wanted.
pub(super) fn no_password(tool: &str) -> Failure {
    Failure::new(
        Code::NotFound,
        format!("what is kept is a password, and {tool} wants a token"),
        "sign in, or store a token with `claviger store`",
    )
}
