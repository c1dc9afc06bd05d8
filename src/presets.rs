//! Well-known authorization servers: what is public about each, so that a configuration need only name it.
//!
//! A preset is a set of keys of `config.toml` with their values. They go through the strict reader like any others, and
//! what the user's own table says wins. A client id stands here only where the server itself registers a public client
//! on every installation; where people register their own, the preset says where.

mod table;

use crate::address;
use crate::fields::Value;

/// A well-known authorization server, or a kind of them.
#[derive(Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Where to register a client; `None` where every server ships one.
    pub client_id_help: Option<&'static str>,
    host: Host,
    /// `tenant`, where it takes one and none is given.
    tenant: Option<&'static str>,
    texts: &'static [(&'static str, &'static str)],
    lists: &'static [(&'static str, &'static [&'static str])],
    authorization_params: &'static [(&'static str, &'static str)],
}

/// Which hosts a preset is for.
#[derive(Debug)]
enum Host {
    /// This one alone; the service has no other.
    Only,
    /// This one, or an installation of one's own.
    Usually(&'static str),
    /// An installation of one's own, which must be named.
    Named,
}

/// A preset that cannot be used as it is asked for: the key at fault and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Misfit {
    /// `host` or `tenant`.
    pub key: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What is said of a name that is none.
pub const UNKNOWN: &str = "is no preset; there are github, gitlab, bitbucket, gitea, forgejo, codeberg, google, entra, \
                           databricks";

/// The names there are.
pub fn names() -> impl Iterator<Item = &'static str> {
    table::ALL.iter().map(|preset| preset.name)
}

/// The preset of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Preset> {
    table::ALL.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// The public client that every such server registers by itself.
    #[must_use]
    pub fn shipped_client(&self) -> Option<&'static str> {
        self.texts.iter().find(|(key, _)| *key == "client-id").map(|(_, id)| *id)
    }

    /// The keys and values of a provider's table, for a host and tenant of one's own where they are given.
    pub fn keys(
        &self,
        host: Option<&str>,
        tenant: Option<&str>,
    ) -> Result<Vec<(&'static str, Value)>, Misfit> {
        let host = self.host(host).map_err(|why| Misfit { key: "host", why })?;
        let tenant = self.tenant(tenant).map_err(|why| Misfit { key: "tenant", why })?;
        let api = github_api(&host);
        let filled = |text: &str| {
            Value::Text(text.replace("{host}", &host).replace("{api}", &api).replace("{tenant}", tenant))
        };
        let mut keys: Vec<_> = self.texts.iter().map(|(key, text)| (*key, filled(text))).collect();
        for (key, texts) in self.lists {
            keys.push((*key, Value::List(texts.iter().map(|text| filled(text)).collect())));
        }
        if is_a_guid(tenant) {
            // Only here is the issuer known beforehand: the others' tokens name the tenant of whoever signed in.
            keys.push((
                "issuer",
                Value::Text(format!(
                    "https://login.microsoftonline.com/{}/v2.0",
                    tenant.to_ascii_lowercase()
                )),
            ));
        }
        if !self.authorization_params.is_empty() {
            let named = |(name, text): &(&str, &str)| ((*name).to_owned(), filled(text));
            let params = self.authorization_params.iter().map(named).collect();
            keys.push(("authorization-params", Value::Map(params)));
        }
        Ok(keys)
    }

    fn host(&self, given: Option<&str>) -> Result<String, &'static str> {
        match (&self.host, given) {
            (Host::Only, None) => Ok(String::new()),
            (Host::Only, Some(_)) => Err("means nothing with this preset, which is for one server alone"),
            (Host::Named, None) => Err("is needed with this preset: the name of your own server"),
            (Host::Usually(usual), None) => Ok((*usual).to_owned()),
            (Host::Usually(_) | Host::Named, Some(given)) => canonical_host(given),
        }
    }

    fn tenant<'a>(&self, given: Option<&'a str>) -> Result<&'a str, &'static str>
    where
        'static: 'a,
    {
        let part = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        match (self.tenant, given) {
            (usual, None) => Ok(usual.unwrap_or_default()),
            (None, Some(_)) => Err("means nothing with this preset"),
            (Some(_), Some(given)) => {
                let well = given.bytes().all(part) && given.bytes().any(|byte| byte != b'.');
                if well && given.len() <= 253 {
                    Ok(given)
                } else {
                    Err("must be a tenant's id or domain, or organizations, common or consumers")
                }
            }
        }
    }
}

/// A host with its port, where it has one, in canonical form and nothing else.
fn canonical_host(given: &str) -> Result<String, &'static str> {
    const WHY: &str = "must be a host, with a port where it has one, such as git.acme.example:8443";
    let url = address::parse(&format!("https://{given}")).map_err(|_| WHY)?;
    let host = url.host_str().ok_or(WHY)?;
    if given.contains(['/', '?', '#']) {
        return Err(WHY);
    }
    Ok(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Where GitHub's API lies: beside github.com and the hosts of ghe.com, below a server of one's own.
fn github_api(host: &str) -> String {
    if host == "github.com" || host.ends_with(".ghe.com") {
        format!("api.{host}")
    } else {
        format!("{host}/api/v3")
    }
}

fn is_a_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(preset: &str, host: Option<&str>, tenant: Option<&str>, key: &str) -> Option<String> {
        let keys = find(preset).unwrap().keys(host, tenant).ok().unwrap();
        keys.into_iter().find(|(known, _)| *known == key).map(|(_, value)| match value {
            Value::Text(text) => text,
            Value::List(texts) => {
                let Some(Value::Text(first)) = texts.into_iter().next() else { panic!("{key}") };
                first
            }
            _ => panic!("{key} is no text"),
        })
    }

    fn misfit(preset: &str, host: Option<&str>, tenant: Option<&str>) -> &'static str {
        find(preset).unwrap().keys(host, tenant).err().unwrap().key
    }

    #[test]
    fn each_name_is_one_and_the_complaint_lists_them_all() {
        let names: Vec<_> = names().collect();
        assert!(UNKNOWN.ends_with(&names.join(", ")), "{names:?}");
        for name in &names {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        }
        assert!(find("GitHub").is_none() && find("").is_none());
    }

    #[test]
    fn who_ships_no_client_says_where_to_register_one() {
        for preset in table::ALL {
            assert_ne!(preset.shipped_client().is_some(), preset.client_id_help.is_some(), "{}", preset.name);
            if let Some(help) = preset.client_id_help {
                assert!(help.contains("https://") && help.contains("client-id"), "{help}");
                assert!(!help.ends_with('.') && !help.contains('\n'), "{help}");
            }
        }
    }

    #[test]
    fn a_server_of_ones_own_has_its_own_addresses() {
        for (preset, host, key, wanted) in [
            ("github", None, "userinfo-endpoint", "https://api.github.com/user"),
            ("github", Some("Git.acme.example"), "userinfo-endpoint", "https://git.acme.example/api/v3/user"),
            ("github", Some("acme.ghe.com"), "userinfo-endpoint", "https://api.acme.ghe.com/user"),
            ("gitlab", None, "issuer", "https://gitlab.com"),
            ("gitlab", Some("git.acme.example:8443"), "issuer", "https://git.acme.example:8443"),
            ("gitea", None, "services", "https://gitea.com"),
            ("forgejo", Some("[::1]:443"), "token-endpoint", "https://[::1]/login/oauth/access_token"),
            ("codeberg", None, "token-endpoint", "https://codeberg.org/login/oauth/access_token"),
            (
                "databricks",
                Some("dbc-1.cloud.databricks.com"),
                "issuer",
                "https://dbc-1.cloud.databricks.com/oidc",
            ),
        ] {
            assert_eq!(text(preset, host, None, key).as_deref(), Some(wanted), "{preset}");
        }
    }

    #[test]
    fn a_tenant_is_part_of_the_addresses_and_of_the_issuer_where_it_is_an_id() {
        let endpoint = |tenant| text("entra", None, tenant, "token-endpoint").unwrap();
        assert!(endpoint(None).contains("/organizations/"), "{}", endpoint(None));
        assert!(endpoint(Some("acme.example")).contains("/acme.example/"));
        assert_eq!(text("entra", None, Some("acme.example"), "issuer"), None);
        let id = "72f988bf-0000-4000-8000-2d7cd011db47";
        let issuer = format!("https://login.microsoftonline.com/{id}/v2.0");
        assert_eq!(text("entra", None, Some(&id.to_ascii_uppercase()), "issuer"), Some(issuer));
        for wrong in ["", "..", "a/b", "a b", "a?b", "\u{fc}.example", &"x".repeat(254)] {
            assert_eq!(misfit("entra", None, Some(wrong)), "tenant", "{wrong:?}");
        }
    }

    #[test]
    fn a_host_that_is_none_or_that_is_missing_or_too_much_is_refused() {
        for wrong in [
            "",
            "/",
            "a.example/",
            "a.example/b",
            "u@a.example",
            "a.example?b",
            "a.example#b",
            "https://a.example",
        ] {
            assert_eq!(misfit("gitlab", Some(wrong), None), "host", "{wrong:?}");
        }
        for named in ["forgejo", "databricks"] {
            assert_eq!(misfit(named, None, None), "host");
        }
        for only in ["bitbucket", "google", "entra", "codeberg"] {
            assert_eq!(misfit(only, Some("a.example"), None), "host");
        }
        assert_eq!(misfit("gitlab", None, Some("acme")), "tenant");
    }

    #[test]
    fn no_value_has_a_place_left_open_and_no_secret_stands_here() {
        for preset in table::ALL {
            let host = matches!(preset.host, Host::Named).then_some("git.acme.example");
            let keys = preset.keys(host, None).ok().unwrap();
            for (key, value) in keys {
                assert!(!key.contains("secret"), "{}: {key}", preset.name);
                let texts = match value {
                    Value::Text(text) => vec![text],
                    Value::List(items) => items
                        .into_iter()
                        .filter_map(|item| if let Value::Text(text) = item { Some(text) } else { None })
                        .collect(),
                    _ => Vec::new(),
                };
                assert!(texts.iter().all(|text| !text.contains(['{', '}'])), "{}: {key}", preset.name);
            }
        }
    }
}
