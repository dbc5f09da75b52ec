//! Where a tunnel leads: at Cloudflare somebody else writes that down, and the house has the last word.
//!
//! A configuration comes from Cloudflare, on behalf of whoever may ask its API. What it may say here: Home Assistant,
//! on this machine or where the settings say it is, what the settings allow besides, and answers that go nowhere
//! (`http_status:404`). With anything else in it (the router's page, say) the tunnel is shut; and where visitors would
//! name the place themselves, too. What this cannot see: private routes of WARP, which newer versions take without a
//! word in the configuration. Only a network restriction on the program stops those.

use serde_json::Value;
use url::{Host, Url};

use crate::config::is_loopback;

/// Home Assistant's own port.
const USUAL: u16 = 8123;

/// Where a tunnel may lead.
#[derive(Debug, Clone)]
pub struct Allowed {
    home_assistant: Url,
    besides: Vec<Url>,
}

/// One place, as host and port.
type Place = (Host<String>, u16);

impl Allowed {
    /// Home Assistant as the agent knows it, and more.
    pub fn new(home_assistant: &Url, besides: &[Url]) -> Self {
        Self { home_assistant: home_assistant.clone(), besides: besides.to_vec() }
    }

    /// The first place of a configuration that is not allowed.
    pub fn breach(&self, config: &Value) -> Option<String> {
        if config["warp-routing"]["enabled"] == true {
            return Some("the whole network of the house (warp-routing)".to_owned());
        }
        if detours(config) {
            return Some("wherever a visitor says (originRequest)".to_owned());
        }
        let breach = services(config).find(|service| !self.admits(service));
        breach.map(|service| service.chars().take(200).collect())
    }

    fn admits(&self, service: &str) -> bool {
        if service.starts_with("http_status:") {
            return true;
        }
        let url = Url::parse(service).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url else { return false };
        let Some(asked) = place(&url) else { return false };
        let ours = place(&self.home_assistant);
        // In an add-on the address is the Supervisor's, and Home Assistant itself is where it always is.
        let is_supervisor = self.home_assistant.host_str() == Some("supervisor");
        let port = ours.as_ref().map(|(_, port)| *port).filter(|_| !is_supervisor).unwrap_or(USUAL);
        let is_here = asked.1 == port && is_loopback(&url);
        is_here
            || (!is_supervisor && ours.as_ref() == Some(&asked))
            || self.besides.iter().any(|besides| place(besides).as_ref() == Some(&asked))
    }
}

/// Whether `cloudflared` is told to let visitors name the place themselves: as a bastion, or as a SOCKS proxy.
fn detours(config: &Value) -> bool {
    let rules = config["ingress"].as_array().map_or(&[][..], Vec::as_slice);
    let manners = rules.iter().map(|rule| &rule["originRequest"]).chain([&config["originRequest"]]);
    let is_set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && value != "";
    manners.into_iter().any(|manners| is_set(&manners["bastionMode"]) || is_set(&manners["proxyType"]))
}

/// The places a configuration leads to.
pub fn services(config: &Value) -> impl Iterator<Item = &str> {
    let rules = config["ingress"].as_array().map_or(&[][..], Vec::as_slice);
    // One that cannot be read is one that cannot be allowed.
    rules.iter().map(|rule| rule["service"].as_str().unwrap_or("a service that is no text"))
}

fn place(url: &Url) -> Option<Place> {
    Some((url.host()?.to_owned(), url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn breach(home_assistant: &str, service: &str) -> Option<String> {
        let besides = ["http://192.168.1.9:8080".parse().unwrap()];
        let allowed = Allowed::new(&home_assistant.parse().unwrap(), &besides);
        allowed.breach(&json!({"ingress": [
            {"hostname": "h.example", "service": service}, {"service": "http_status:404"}]}))
    }

    #[test]
    fn a_tunnel_leads_to_home_assistant_and_nowhere_else() {
        let here = "http://127.0.0.1:8123";
        for good in [
            "http://localhost:8123",
            "https://localhost:8123",
            "http://127.0.0.1:8123",
            "http://[::1]:8123",
            "http://192.168.1.9:8080",
            "http_status:503",
        ] {
            assert_eq!(breach(here, good), None, "{good}");
        }
        for bad in [
            "http://192.168.1.1:8123",
            "http://localhost:22",
            "http://localhost",
            "ssh://localhost:8123",
            "unix:/run/docker.sock",
            "tcp://127.0.0.1:4357",
            "hello_world",
            "http://localhost.evil.example:8123",
            "",
        ] {
            assert_eq!(breach(here, bad).as_deref(), Some(bad), "{bad}");
        }
        assert_eq!(breach("http://ha.lan:8123", "http://ha.lan:8123"), None);
        assert_eq!(breach("http://supervisor/core", "http://localhost:8123"), None);
        // The Supervisor's own API is no place for visitors.
        assert!(breach("http://supervisor/core", "http://supervisor:80").is_some());
        let allowed = Allowed::new(&here.parse().unwrap(), &[]);
        assert!(allowed.breach(&json!({"ingress": [{"service": 7}]})).is_some());
        assert_eq!(allowed.breach(&json!({"warp-routing": {}})), None);
        assert!(allowed.breach(&json!({"warp-routing": {"enabled": true}})).is_some());
        for manners in [json!({"bastionMode": true}), json!({"proxyType": "socks"})] {
            let rule = json!({"ingress": [{"service": here, "originRequest": manners}]});
            assert!(allowed.breach(&rule).is_some(), "{rule}");
            let all = json!({"ingress": [{"service": here}], "originRequest": manners});
            assert!(allowed.breach(&all).is_some(), "{all}");
        }
        let harmless = json!({"bastionMode": false, "proxyType": "", "noTLSVerify": true});
        assert_eq!(allowed.breach(&json!({"ingress": [], "originRequest": harmless})), None);
    }
}
