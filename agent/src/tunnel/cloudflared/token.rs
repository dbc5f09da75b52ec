//! The token by which `cloudflared` runs a tunnel: padded base64 of `{"a": account, "t": tunnel, "s": secret}`.
//!
//! `cloudflared` itself takes `{}` for a token, and one that is cut short ends it with no more than "not valid"; so
//! it is looked at here before it is used or remembered.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use shared::secret::Secret;
use shared::tunnel::{DIRECT_TOKEN_PREFIX, TunnelTokenAnswer};

/// A secret of so many bytes at least.
const SECRET: usize = 32;

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    a: String,
    #[serde(default)]
    t: String,
    #[serde(default)]
    s: String,
}

/// A token that is one.
#[derive(Debug, Clone)]
pub struct Token {
    /// The whole, as the program wants it.
    pub text: Secret,
    /// The tunnel it opens.
    pub tunnel: String,
    /// Its part that must not be written anywhere.
    pub secret: Secret,
}

impl Token {
    /// Reads a token. What is wrong with one that is none never quotes it.
    pub fn parse(text: &Secret) -> Result<Self, String> {
        let json = BASE64_STANDARD
            .decode(text.expose().trim())
            .map_err(|_| "it is no base64 with its padding".to_owned())?;
        let Fields { a, t, s } = serde_json::from_slice(&json)
            .map_err(|_| "it does not hold what a tunnel's token holds".to_owned())?;
        if a.is_empty() {
            return Err("it names no account".to_owned());
        }
        if !is_uuid(&t) {
            return Err("it names no tunnel".to_owned());
        }
        match BASE64_STANDARD.decode(&s) {
            Ok(secret) if secret.len() >= SECRET => {}
            _ => return Err(format!("its secret is shorter than {SECRET} bytes")),
        }
        Ok(Self { text: text.clone(), tunnel: t, secret: Secret::from(s) })
    }
}

/// Whether what a broker gave opens the tunnel it says. Tokens of direct tunnels mean something to brokers alone.
pub fn check(answer: &TunnelTokenAnswer) -> Result<(), String> {
    if answer.tunnel_token.expose().starts_with(DIRECT_TOKEN_PREFIX) {
        return Ok(());
    }
    let token = Token::parse(&answer.tunnel_token)?;
    if token.tunnel != answer.tunnel_id {
        return Err(format!("it opens tunnel {} instead of {}", token.tunnel, answer.tunnel_id));
    }
    Ok(())
}

/// RFC 9562 section 4: 32 hexadecimal digits in five groups.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| group.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TUNNEL: &str = "c1744f8b-fa21-4a3b-9a1c-1f2e3d4c5b6a";

    fn token(json: &str) -> Secret {
        Secret::from(BASE64_STANDARD.encode(json))
    }

    fn good() -> String {
        let secret = BASE64_STANDARD.encode([7; 32]);
        format!(r#"{{"a":"699d98642c564d2e855e9661899b7252","t":"{TUNNEL}","s":"{secret}","e":"fed"}}"#)
    }

    #[test]
    fn a_good_token_opens_the_tunnel_it_names() {
        assert_eq!(Token::parse(&token(&good())).unwrap().tunnel, TUNNEL);
        let answer = |id: &str, token| TunnelTokenAnswer {
            tunnel_token: token,
            tunnel_id: id.to_owned(),
            subdomain: "h.example".to_owned(),
        };
        assert_eq!(check(&answer(TUNNEL, token(&good()))), Ok(()));
        assert_eq!(check(&answer("direct-7", Secret::from("lkt_x".to_owned()))), Ok(()));
        let other = check(&answer("00000000-0000-0000-0000-000000000000", token(&good())));
        assert!(other.unwrap_err().contains("instead of 00000000"));
    }

    #[test]
    fn what_is_no_token_is_refused_without_quoting_it() {
        let short = BASE64_STANDARD.encode([7; 31]);
        for (text, says) in [
            (Secret::from("not a token".to_owned()), "no base64"),
            (Secret::from(token(&good()).expose().trim_end_matches('=').to_owned() + "-_"), "no base64"),
            (token("{"), "does not hold"),
            (token("{}"), "no account"),
            (token(&good().replace(TUNNEL, "c1744f8b")), "no tunnel"),
            (token(&good().replace(&BASE64_STANDARD.encode([7; 32]), &short)), "shorter than 32"),
        ] {
            let said = Token::parse(&text).unwrap_err();
            assert!(said.contains(says), "{said}");
            assert!(!said.contains(text.expose()));
        }
    }
}
