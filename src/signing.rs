//! Private keys in PEM, and what is signed with them: RS256, ES256 and `EdDSA` (RFC 7518 section 3.1, RFC 8037).

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

/// A key to sign with. It is never shown and never leaves the process.
pub struct SigningKey(Kind);

enum Kind {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey([redacted])")
    }
}

impl SigningKey {
    /// Reads the first private key of a PEM text: PKCS#8, PKCS#1 (RSA) or SEC1 (P-256), none of them encrypted.
    pub fn parse(pem: &str) -> Result<Self, &'static str> {
        const NONE: &str = "holds no private key in PEM that is not encrypted";
        const OTHER: &str =
            "holds no key that can be used; it takes RSA of 2048 to 4096 bits, P-256, Ed25519";
        let kind = match PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| NONE)? {
            PrivateKeyDer::Pkcs8(der) => pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => {
                RsaKeyPair::from_der(der.secret_pkcs1_der()).ok().map(Box::new).map(Kind::Rsa)
            }
            PrivateKeyDer::Sec1(der) => sec1(der.secret_sec1_der()).and_then(|der| p256(&der)),
            _ => None,
        };
        kind.map(Self).ok_or(OTHER)
    }

    /// The algorithm's name in a JWS header.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.0 {
            Kind::Rsa(_) => "RS256",
            Kind::P256(_) => "ES256",
            Kind::Ed25519(_) => "EdDSA",
        }
    }

    /// Signs; `None` where the system gives no random numbers.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.0 {
            Kind::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Kind::P256(key) => Some(key.sign(&random, message).ok()?.as_ref().to_vec()),
            Kind::Ed25519(key) => Some(key.sign(message).as_ref().to_vec()),
        }
    }
}

/// The container says which kind it holds; each reader refuses the others'.
fn pkcs8(der: &[u8]) -> Option<Kind> {
    let rsa = || RsaKeyPair::from_pkcs8(der).ok().map(Box::new).map(Kind::Rsa);
    let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(Box::new).map(Kind::Ed25519);
    rsa().or_else(|| p256(der)).or_else(ed25519)
}

fn p256(der: &[u8]) -> Option<Kind> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
    pair.ok().map(Box::new).map(Kind::P256)
}

/// The library reads elliptic keys in PKCS#8 alone: what SEC1 leaves to its container is put around it (RFC 5208 section
/// 5, RFC 5915).
fn sec1(key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    const VERSION_0: &[u8] = &[0x02, 0x01, 0x00];
    // SEQUENCE of the identifiers id-ecPublicKey (1.2.840.10045.2.1) and prime256v1 (1.2.840.10045.3.1.7).
    const ON_P256: &[u8] = &[
        0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
        0x3d, 0x03, 0x01, 0x07,
    ];
    let octets = tagged(0x04, &[key])?;
    tagged(0x30, &[VERSION_0, ON_P256, &octets])
}

/// One DER value of up to 255 bytes, which a P-256 key is well under.
fn tagged(tag: u8, parts: &[&[u8]]) -> Option<Zeroizing<Vec<u8>>> {
    let length = u8::try_from(parts.iter().map(|part| part.len()).sum::<usize>()).ok()?;
    let mut der = Zeroizing::new(Vec::with_capacity(3 + usize::from(length)));
    der.push(tag);
    if length >= 0x80 {
        der.push(0x81);
    }
    der.push(length);
    for part in parts {
        der.extend_from_slice(part);
    }
    Some(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_private_key_is_refused_and_nothing_of_it_is_shown() {
        let text = |kind: &str, body: &str| format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n");
        for bad in [
            String::new(),
            "s3cret".to_owned(),
            text("PUBLIC KEY", "AAAA"),
            text("ENCRYPTED PRIVATE KEY", "AAAA"),
            text("PRIVATE KEY", "AAAA"),
            text("RSA PRIVATE KEY", "AAAA"),
            text("EC PRIVATE KEY", "AAAA"),
        ] {
            let why = SigningKey::parse(&bad).err().unwrap();
            assert!(why.starts_with("holds no"), "{bad}: {why}");
        }
    }
}
