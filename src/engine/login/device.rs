//! Signing in by a code that is entered on any other device (RFC 8628).

use std::time::Duration;

use super::client::Registration;
use super::{Call, Consent, Signing};
use crate::error;
use crate::http;
use crate::message::{Code, Event, Failure};
use crate::oauth::device::{self, Authorization, Poll};
use crate::oauth::token::Refused;
use crate::refresh::quotes::Sent;
use crate::text::Escaped;

/// What `slow_down` adds to the pause between two questions, for good (RFC 8628 section 3.5).
const SLOWER: i64 = 5;

impl Call<'_> {
    pub(super) fn by_device(
        &self,
        signing: &Signing<'_>,
        registered: Option<&Registration>,
    ) -> Result<Consent, Failure> {
        let provider = signing.provider;
        let Some(endpoint) = &signing.server.metadata.device_authorization_endpoint else {
            return Err(super::server::lacking(provider, "device-authorization-endpoint"));
        };
        let secret = registered.and_then(|registered| registered.client_secret.as_ref());
        let proof = signing.client.proof(secret);
        let post = device::request(
            endpoint,
            &signing.destination.client_id,
            signing.client,
            &proof,
            (&provider.scopes, &provider.resource),
            self.world.clock.now(),
        )
        .map_err(|_| Failure::internal())?;
        let reply =
            self.world.http.post(&post).map_err(|error| error::of_request(&error, "a device code"))?;
        let authorization = device::read(&reply, self.world.clock.now())
            .map_err(|refused| Sent::new(None, signing.client, &post).unquoted(refused))
            .map_err(|refused| error::of_login_refusal(refused, &provider.name, "give out a device code"))?;
        self.shown(signing, &authorization);
        let over = self.world.clock.monotonic() + seconds(authorization.expires_in);
        let mut interval = authorization.interval;
        loop {
            let next = self.world.clock.monotonic() + seconds(interval);
            while self.world.clock.monotonic() < next {
                if self.world.clock.monotonic() >= over {
                    return Err(expired(&provider.name));
                }
                self.waits(signing)?;
            }
            let begun = self.world.clock.now();
            let post =
                device::token_request(signing.destination, signing.client, &proof, &authorization, begun)
                    .map_err(|_| Failure::internal())?;
            let reply = match self.world.http.post(&post) {
                Ok(reply) => reply,
                // The user may still be typing: a network that fails in between is asked again, less often
                // (RFC 8628 section 3.5).
                Err(http::Error::Unsent(_) | http::Error::Broken(_)) => {
                    interval = interval.saturating_mul(2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(error) => return Err(error::of_request(&error, "the token")),
            };
            match device::poll(&reply, self.world.clock.now()) {
                Poll::Pending => {}
                Poll::SlowDown => interval += SLOWER,
                Poll::Granted(granted) => {
                    let identity = self
                        .identity(signing, &reply, &granted.access, None)
                        .inspect_err(|_| self.give_back(signing, &granted, registered))?;
                    let granted = Sent::new(None, signing.client, &post).unquoted_scopes(granted);
                    return Ok(Consent { granted, identity, begun, page: None });
                }
                Poll::Denied => return Err(error::of_denial("access_denied", None, &provider.name)),
                Poll::Expired => return Err(expired(&provider.name)),
                Poll::Refused(Refused::Transient { .. }) => {
                    interval = interval.saturating_mul(2).min(LONGEST_PAUSE);
                }
                Poll::Refused(refused) => {
                    let refused = Sent::new(None, signing.client, &post).unquoted(refused);
                    return Err(error::of_login_refusal(
                        refused,
                        &provider.name,
                        "exchange the code for a token",
                    ));
                }
            }
        }
    }

    fn shown(&self, signing: &Signing<'_>, authorization: &Authorization) {
        self.event(&Event::Device {
            verification_uri: &authorization.verification_uri,
            verification_uri_complete: authorization.verification_uri_complete.as_deref(),
            user_code: &authorization.user_code,
            expires_in: authorization.expires_in,
            interval: authorization.interval,
        });
        let scanned =
            authorization.verification_uri_complete.as_deref().unwrap_or(&authorization.verification_uri);
        let picture = if self.world.settings.place.shows {
            crate::terminal::qr_code(scanned).map(|picture| format!("{picture}\n")).unwrap_or_default()
        } else {
            String::new()
        };
        (self.world.tell)(&format!(
            "claviger: to sign in to `{}`, open on any device\n\n  {}\n\nand enter the code\n\n  {}\n\n{picture}\
             claviger: only if it was you who asked for it; waiting up to {} s, Ctrl-C breaks it off",
            signing.provider.name,
            Escaped(&authorization.verification_uri),
            Escaped(&authorization.user_code),
            authorization
                .expires_in
                .min(i64::try_from(self.world.settings.timeouts.login.as_secs()).unwrap_or(i64::MAX)),
        ));
    }
}

const LONGEST_PAUSE: i64 = 60;

fn seconds(count: i64) -> Duration {
    Duration::from_secs(count.unsigned_abs())
}

fn expired(provider: &str) -> Failure {
    Failure::new(
        Code::LoginTimeout,
        format!("the code was not entered in time; nobody signed in to `{provider}`"),
        "run it again for another code",
    )
}
