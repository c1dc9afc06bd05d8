//! The facts, each server's with the page that states them. `{host}`, `{api}` and `{tenant}` are filled in.

use super::{Host, Preset};

pub(super) const ALL: &[Preset] =
    &[GITHUB, GITLAB, BITBUCKET, GITEA, FORGEJO, CODEBERG, GOOGLE, ENTRA, DATABRICKS];

/// `http` to a loopback address, at whatever port is free.
const LOOPBACK: (&str, &[&str]) = ("redirect-uris", &["http://127.0.0.1"]);

// https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps (endpoints, device flow)
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens
// https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency/network-details-for-ghecom (`api.` at ghe.com)
// The code flow wants a client secret whatever the client is; the device flow wants none, and neither does a refresh of
// what it granted. There is no revocation endpoint in the sense of RFC 7009.
const GITHUB: Preset = Preset {
    name: "github",
    client_id_help: Some(
        "register an OAuth app or a GitHub App with the device flow enabled at https://github.com/settings/developers \
         (or on your own server), and give its id as `client-id`",
    ),
    host: Host::Usually("github.com"),
    tenant: None,
    texts: &[
        ("authorization-endpoint", "https://{host}/login/oauth/authorize"),
        ("token-endpoint", "https://{host}/login/oauth/access_token"),
        ("device-authorization-endpoint", "https://{host}/login/device/code"),
        ("userinfo-endpoint", "https://{api}/user"),
        ("account-claim", "login"),
        ("grant", "device_code"),
        ("client-auth", "client_secret_post"),
        ("git-username", "x-access-token"),
    ],
    lists: &[("scopes", &["repo"]), ("services", &["https://{host}", "https://{api}"]), LOOPBACK],
    authorization_params: &[],
};

// https://docs.gitlab.com/api/oauth2/ (endpoints, PKCE without a secret, revocation, user name `oauth2` for git; the
// container registry takes no such token)
// https://docs.gitlab.com/integration/openid_connect_provider/ (claims: older servers give the user's
// name at the userinfo endpoint alone)
// A revocation ends an access token with its refresh token and leaves the others of the same application.
const GITLAB: Preset = Preset {
    name: "gitlab",
    client_id_help: Some(
        "register an application that is not confidential, with redirect URI http://127.0.0.1 and the scopes openid, \
         api and write_repository, at https://gitlab.com/-/user_settings/applications (or on your own server), and give its \
         id as `client-id`",
    ),
    host: Host::Usually("gitlab.com"),
    tenant: None,
    texts: &[
        ("issuer", "https://{host}"),
        ("authorization-endpoint", "https://{host}/oauth/authorize"),
        ("token-endpoint", "https://{host}/oauth/token"),
        ("device-authorization-endpoint", "https://{host}/oauth/authorize_device"),
        ("revocation-endpoint", "https://{host}/oauth/revoke"),
        ("userinfo-endpoint", "https://{host}/oauth/userinfo"),
        ("account-claim", "preferred_username"),
        ("revocation-ends", "token"),
        ("client-auth", "client_secret_post"),
        ("git-username", "oauth2"),
    ],
    lists: &[("scopes", &["openid", "api", "write_repository"]), ("services", &["https://{host}"]), LOOPBACK],
    authorization_params: &[],
};

// https://developer.atlassian.com/cloud/bitbucket/oauth-2/ (endpoints, HTTP Basic, `x-token-auth`; scopes are set on the
// consumer and not asked for)
// https://support.atlassian.com/bitbucket-cloud/docs/use-oauth-on-bitbucket-cloud/ (the callback URL, port and all, is
// that of the consumer)
const BITBUCKET: Preset = Preset {
    name: "bitbucket",
    client_id_help: Some(
        "add an OAuth consumer with callback URL http://localhost:34100, the permission to read the account and those \
         you want for repositories, in the settings of a workspace, as \
         https://support.atlassian.com/bitbucket-cloud/docs/use-oauth-on-bitbucket-cloud/ has it, and give its key as \
         `client-id` and its secret as `client-secret`",
    ),
    host: Host::Only,
    tenant: None,
    texts: &[
        ("authorization-endpoint", "https://bitbucket.org/site/oauth2/authorize"),
        ("token-endpoint", "https://bitbucket.org/site/oauth2/access_token"),
        ("userinfo-endpoint", "https://api.bitbucket.org/2.0/user"),
        ("account-claim", "username"),
        ("client-auth", "client_secret_basic"),
        ("git-username", "x-token-auth"),
    ],
    lists: &[
        ("services", &["https://bitbucket.org", "https://api.bitbucket.org"]),
        ("redirect-uris", &["http://localhost:34100"]),
    ],
    authorization_params: &[],
};

/// Registered by Gitea and Forgejo on every server, unless its administrator has taken it out of
/// `DEFAULT_APPLICATIONS`. The page where users consent shows it by the name it has there, `git-credential-oauth`.
const PREREGISTERED: &str = "a4792ccc-144e-407e-86c9-5e7d8d9c3269";

// https://docs.gitea.com/development/oauth2-provider (endpoints, scopes, clients registered beforehand, any port)
// https://forgejo.org/docs/latest/user/oauth2-provider/ (the same endpoints and clients)
// One user has one grant for one client: a request for other scopes than those of the first is refused, and where the
// server invalidates refresh tokens that were used, which it can be told to, two holders of the same client end each
// other's sessions.
// The issuer is left out: whether it ends in a slash depends on the version. A token is taken as a password beside any
// user name.
const GITEA_TEXTS: &[(&str, &str)] = &[
    ("authorization-endpoint", "https://{host}/login/oauth/authorize"),
    ("token-endpoint", "https://{host}/login/oauth/access_token"),
    ("userinfo-endpoint", "https://{host}/login/oauth/userinfo"),
    ("account-claim", "preferred_username"),
    ("client-id", PREREGISTERED),
    ("git-username", "oauth2"),
];
const GITEA_LISTS: &[(&str, &[&str])] =
    &[("scopes", &["read:repository", "write:repository"]), ("services", &["https://{host}"]), LOOPBACK];

const GITEA: Preset = Preset {
    name: "gitea",
    client_id_help: None,
    host: Host::Usually("gitea.com"),
    tenant: None,
    texts: GITEA_TEXTS,
    lists: GITEA_LISTS,
    authorization_params: &[],
};

const FORGEJO: Preset = Preset { name: "forgejo", host: Host::Named, ..GITEA };

const CODEBERG: Preset = Preset {
    name: "codeberg",
    host: Host::Only,
    texts: &[
        ("authorization-endpoint", "https://codeberg.org/login/oauth/authorize"),
        ("token-endpoint", "https://codeberg.org/login/oauth/access_token"),
        ("userinfo-endpoint", "https://codeberg.org/login/oauth/userinfo"),
        ("account-claim", "preferred_username"),
        ("client-id", PREREGISTERED),
        ("git-username", "oauth2"),
    ],
    lists: &[
        ("scopes", &["read:repository", "write:repository"]),
        ("services", &["https://codeberg.org"]),
        LOOPBACK,
    ],
    ..GITEA
};

// https://developers.google.com/identity/protocols/oauth2/native-app (endpoints; a desktop client has a secret, which the
// token endpoint wants; any loopback port)
// https://developers.google.com/identity/protocols/oauth2/web-server#offline (a refresh token comes with
// `access_type=offline`, and a second time only with `prompt=consent`; a revocation takes the whole consent back)
// https://docs.cloud.google.com/artifact-registry/docs/docker/authentication#token (the user name for docker)
// The device flow is left out: it wants the secret too, and grants few scopes.
const GOOGLE: Preset = Preset {
    name: "google",
    client_id_help: Some(
        "create an OAuth client of the type desktop app at https://console.cloud.google.com/auth/clients, and give its id as \
         `client-id` and its secret as `client-secret`",
    ),
    host: Host::Only,
    tenant: None,
    texts: &[
        ("issuer", "https://accounts.google.com"),
        ("authorization-endpoint", "https://accounts.google.com/o/oauth2/v2/auth"),
        ("token-endpoint", "https://oauth2.googleapis.com/token"),
        ("revocation-endpoint", "https://oauth2.googleapis.com/revoke"),
        ("userinfo-endpoint", "https://openidconnect.googleapis.com/v1/userinfo"),
        ("account-claim", "email"),
        ("revocation-ends", "grant"),
        ("client-auth", "client_secret_post"),
        ("docker-username", "oauth2accesstoken"),
    ],
    lists: &[
        ("scopes", &["openid", "email", "https://www.googleapis.com/auth/cloud-platform"]),
        (
            "services",
            &[
                "https://www.googleapis.com",
                "https://cloudresourcemanager.googleapis.com",
                "https://storage.googleapis.com",
            ],
        ),
        LOOPBACK,
    ],
    authorization_params: &[("access_type", "offline"), ("prompt", "consent")],
};

// https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow (endpoints, `offline_access`)
// https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc (tenants, and the issuer of each)
// https://learn.microsoft.com/en-us/entra/identity-platform/reply-url (any port of localhost)
// `organizations` where no tenant is given: what the tokens are for takes work and school accounts, and `common` would
// let people pick a private one that is then refused. A client registered for one tenant needs that tenant.
const ENTRA: Preset = Preset {
    name: "entra",
    client_id_help: Some(
        "register an application with the platform for mobile and desktop, redirect URI http://localhost, at \
         https://entra.microsoft.com (App registrations), and give its application id as `client-id` and, where it is for \
         one organization alone, the directory id as `tenant`",
    ),
    host: Host::Only,
    tenant: Some("organizations"),
    texts: &[
        ("authorization-endpoint", "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize"),
        ("token-endpoint", "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"),
        (
            "device-authorization-endpoint",
            "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode",
        ),
        ("userinfo-endpoint", "https://graph.microsoft.com/oidc/userinfo"),
        ("account-claim", "preferred_username"),
        ("client-auth", "client_secret_post"),
    ],
    lists: &[
        ("scopes", &["openid", "profile", "offline_access", "User.Read"]),
        ("services", &["https://graph.microsoft.com"]),
        ("redirect-uris", &["http://localhost"]),
    ],
    authorization_params: &[],
};

// https://docs.databricks.com/aws/en/dev-tools/auth/oauth-u2m (endpoints of a workspace, the public client that every
// account has for people's tools and its redirect URI, `offline_access`)
// https://docs.databricks.com/api/workspace/currentuser/me (who is signed in)
const DATABRICKS: Preset = Preset {
    name: "databricks",
    client_id_help: None,
    host: Host::Named,
    tenant: None,
    texts: &[
        ("issuer", "https://{host}/oidc"),
        ("authorization-endpoint", "https://{host}/oidc/v1/authorize"),
        ("token-endpoint", "https://{host}/oidc/v1/token"),
        ("userinfo-endpoint", "https://{host}/api/2.0/preview/scim/v2/Me"),
        ("account-claim", "userName"),
        ("client-id", "databricks-cli"),
    ],
    lists: &[
        ("scopes", &["all-apis", "offline_access"]),
        ("services", &["https://{host}"]),
        ("redirect-uris", &["http://localhost:8020"]),
    ],
    authorization_params: &[],
};
