//! Tokens: given at login, checked at every other call.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::people::id_of;
use crate::settings::TokenClaims;

/// What the simulator knows of a token it gave.
#[derive(Clone, Copy, Debug)]
struct Token {
    organisation: usize,
    expires: Instant,
    revoked: bool,
}

/// All tokens that were given.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    given: HashMap<String, Token>,
    number: u64,
}

/// Tokens that are over are forgotten when there are so many.
const FORGET_ABOVE: usize = 10_000;

impl Tokens {
    /// Makes a token: a JWT with the algorithm `none`.
    pub(crate) fn give(
        &mut self,
        organisation: usize,
        service_id: &str,
        life: Duration,
        claims: TokenClaims,
        platform_now_ms: i64,
    ) -> String {
        self.number += 1;
        let issued = match claims {
            TokenClaims::Reference => platform_now_ms / 1000,
            TokenClaims::WallClock | TokenClaims::WithoutExpiry => {
                let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                i64::try_from(passed.as_secs()).unwrap_or(i64::MAX / 2)
            }
        };
        let expires = issued.saturating_add(i64::try_from(life.as_secs()).unwrap_or(i64::MAX / 2));
        let expiry = match claims {
            TokenClaims::WithoutExpiry => String::new(),
            TokenClaims::WallClock | TokenClaims::Reference => format!(",\"exp\":{expires}"),
        };
        let identity = id_of(self.number, 77);
        let payload = format!(r#"{{"iss":"{service_id}","iat":{issued}{expiry},"jti":"{identity}"}}"#);
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let token = format!("{head}.{}.", URL_SAFE_NO_PAD.encode(payload));
        if self.given.len() >= FORGET_ABOVE {
            let now = Instant::now();
            self.given.retain(|_, token| !token.revoked && token.expires > now);
        }
        let far = Instant::now() + Duration::from_hours(10 * 365 * 24);
        let expires = Instant::now().checked_add(life).unwrap_or(far);
        self.given.insert(token.clone(), Token { organisation, expires, revoked: false });
        token
    }

    /// The organisation of a token, valid or not.
    pub(crate) fn owner(&self, token: &str) -> Option<usize> {
        self.given.get(token).map(|token| token.organisation)
    }

    /// True for a token that is neither expired nor revoked.
    pub(crate) fn is_valid(&self, token: &str) -> bool {
        self.given.get(token).is_some_and(|token| !token.revoked && token.expires > Instant::now())
    }

    /// Revokes one token.
    pub(crate) fn revoke(&mut self, token: &str) {
        if let Some(token) = self.given.get_mut(token) {
            token.revoked = true;
        }
    }

    /// Lets all tokens of an organisation expire.
    pub(crate) fn expire_all(&mut self, organisation: usize) {
        for token in self.given.values_mut().filter(|token| token.organisation == organisation) {
            token.revoked = true;
        }
    }
}
