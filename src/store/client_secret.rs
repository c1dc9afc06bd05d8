//! A configured client's secret in the keyring, in a slot of its own: it belongs to a provider and to no session.

use serde::Serialize;
use zeroize::Zeroizing;

use super::record::{FORMAT, Fault};
use super::{Backend, Error, Value, kept};
use crate::fields::{self, Fields, Problem};
use crate::limits::{SECRET_BYTES, SLOT_BYTES, TEXT_BYTES};
use crate::secret::ClientSecret;
use crate::session::SlotName;

const KIND: &str = "client-secret";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Out<'a> {
    format: i64,
    slot: &'static str,
    provider: &'a str,
    client_secret: &'a str,
}

/// Keeps the client secret of a provider in the keyring, and reads it back.
pub fn save_client_secret(backend: &dyn Backend, provider: &str, secret: &ClientSecret) -> Result<(), Error> {
    let (slot, value) = (SlotName::client_secret(provider), encode(provider, secret));
    backend.write(&slot, &value)?;
    kept(backend, &slot, &value)
}

/// Loads the client secret of a provider; `None` when there is none.
pub fn load_client_secret(backend: &dyn Backend, provider: &str) -> Result<Option<ClientSecret>, Error> {
    let slot = SlotName::client_secret(provider);
    let Some(value) = backend.read(&slot)? else { return Ok(None) };
    decode(&value, provider).map(Some).map_err(|fault| fault.of(&slot))
}

/// Deletes the client secret of a provider; `false` when there was none.
pub fn delete_client_secret(backend: &dyn Backend, provider: &str) -> Result<bool, Error> {
    backend.delete(&SlotName::client_secret(provider))
}

fn encode(provider: &str, secret: &ClientSecret) -> Value {
    let out = Out { format: FORMAT, slot: KIND, provider, client_secret: secret.reveal() };
    // Room for all of it, so that the value is not copied about while it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024 + out.client_secret.len() * 2));
    // Texts and a number: serialising them fails for nothing, and an empty value is refused on the next load.
    if serde_json::to_writer(&mut *bytes, &out).is_err() {
        bytes.clear();
    }
    bytes
}

fn decode(bytes: &[u8], provider: &str) -> Result<ClientSecret, Fault> {
    if bytes.len() > SLOT_BYTES {
        return Err(Fault::Damaged(format!("it is over {SLOT_BYTES} bytes")));
    }
    let mut fields = fields::json(bytes).and_then(Fields::of)?;
    match fields.count("format", i64::MAX)? {
        Some(FORMAT) => {}
        Some(newer) if newer > FORMAT => return Err(Fault::Newer),
        _ => return Err(Fault::Damaged("it has no format number".to_owned())),
    }
    if fields.required_text("slot", TEXT_BYTES)? != KIND {
        return Err(Fault::Damaged("it is another kind of slot".to_owned()));
    }
    if fields.required_text("provider", TEXT_BYTES)? != provider {
        return Err(Fault::Damaged("it belongs to another provider".to_owned()));
    }
    let secret = fields.parsed("clientSecret", SECRET_BYTES, ClientSecret::new)?;
    let secret = secret.ok_or_else(|| fields.error("clientSecret", Problem::Missing))?;
    fields.done()?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_as_written_and_for_its_own_provider_alone() {
        let value = encode("acme", &ClientSecret::new("CS \"1\"").unwrap());
        let text = r#"{"format":1,"slot":"client-secret","provider":"acme","clientSecret":"CS \"1\""}"#;
        assert_eq!(std::str::from_utf8(&value).unwrap(), text);
        assert_eq!(decode(&value, "acme").unwrap().reveal(), "CS \"1\"");
        assert!(matches!(decode(&value, "other"), Err(Fault::Damaged(_))));
    }

    #[test]
    fn what_was_not_written_so_is_damaged_or_a_newer_versions() {
        for (from, to) in [
            ("client-secret", "access"),
            ("\"format\":1,", ""),
            ("\"format\":1", "\"format\":0"),
            (",\"clientSecret\":\"CS1\"", ""),
            ("CS1", " "),
            ("CS1", "a\\nb"),
            ("}", ",\"more\":1}"),
        ] {
            let text = r#"{"format":1,"slot":"client-secret","provider":"acme","clientSecret":"CS1"}"#;
            assert!(decode(text.as_bytes(), "acme").is_ok());
            let text = text.replacen(from, to, 1);
            assert!(matches!(decode(text.as_bytes(), "acme"), Err(Fault::Damaged(_))), "{text}");
        }
        assert_eq!(decode(br#"{"format":2}"#, "acme").err(), Some(Fault::Newer));
    }
}
