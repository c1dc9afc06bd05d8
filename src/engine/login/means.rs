//! By what means somebody is asked, and whether it can be known who it was.

use super::super::Call;
use super::server::{self, Server};
use crate::message::{Code, Failure, Way};
use crate::provider::{Grant, Provider};

/// By what means, once that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    Browser,
    Paste,
    Device,
}

impl Call<'_> {
    /// By what means a user is asked here. What the command says counts; else what the provider and the place suggest.
    pub(super) fn means(&self, way: &Way, provider: &Provider, server: &Server) -> Result<Means, Failure> {
        let by_device = server.metadata.device_authorization_endpoint.is_some();
        let by_code = server.metadata.authorization_endpoint.is_some();
        match way {
            Way::Device if by_device => return Ok(Means::Device),
            Way::Device => {
                return Err(Failure::new(
                    Code::BadRequest,
                    format!("the server of `{}` gives out no device codes", provider.name),
                    "say --no-browser; if it does, name its `device-authorization-endpoint` in config.toml",
                ));
            }
            Way::Paste if by_code => return Ok(Means::Paste),
            Way::Browser { .. } if by_code => return Ok(Means::Browser),
            Way::Paste | Way::Browser { .. } => {
                return Err(server::lacking(provider, "authorization-endpoint"));
            }
            Way::Best => {}
        }
        if provider.grant == Grant::DeviceCode {
            return if by_device {
                Ok(Means::Device)
            } else {
                Err(server::lacking(provider, "device-authorization-endpoint"))
            };
        }
        if !by_code {
            return Err(server::lacking(provider, "authorization-endpoint"));
        }
        let place = &self.world.settings.place;
        if place.has_browser() {
            return Ok(Means::Browser);
        }
        match (by_device, place.ci, place.terminal) {
            (_, true, _) | (false, _, false) => Err(Failure::new(
                Code::InteractionRequired,
                format!("nobody can be asked to sign in to `{}` here", provider.name),
                if by_device { OR_DEVICE } else { OR_PASTE },
            )),
            (true, false, _) => Ok(Means::Device),
            (false, false, true) => Ok(Means::Paste),
        }
    }
}

/// Without a name there is no session: known before anybody is sent to sign in.
pub(super) fn somebody_is_named(
    provider: &Provider,
    server: &Server,
    account: Option<&str>,
) -> Result<(), Failure> {
    let told = provider.scopes.iter().any(|scope| scope == "openid")
        || server.metadata.userinfo_endpoint.is_some()
        || account.is_some();
    if told {
        return Ok(());
    }
    Err(super::super::store::bad_request(
        &format!("provider `{}` does not say who signs in", provider.name),
        "name the account with --account, or configure the scope openid or `userinfo-endpoint`",
    ))
}

const OR_DEVICE: &str = "run it where there is a browser or a terminal, or say --device or --no-browser; for a CI job, the README has what to configure";
const OR_PASTE: &str = "run it where there is a browser or a terminal, or say --no-browser; for a CI job, the README has what to configure";
