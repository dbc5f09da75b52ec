//! What there is at Cloudflare: tunnels, their connectors, and the records of one zone.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// What there is.
#[derive(Debug)]
pub struct State {
    /// The domain under which homes are, in the zone.
    pub domain: String,
    /// The zone's own.
    pub zone: String,
    /// All tunnels ever made; the deleted ones stay.
    pub tunnels: Vec<Tunnel>,
    /// The records of the zone.
    pub records: Vec<Record>,
    /// What the API token may do: `tunnels`, `dns`, `settings`.
    pub permissions: Vec<&'static str>,
    /// Whether the zone lets WebSockets through.
    pub websockets: bool,
    /// Whether its DNS servers keep texts to themselves.
    pub hides_texts: bool,
    /// How many tunnels an account may have.
    pub most_tunnels: usize,
    /// How many records a zone may have.
    pub most_records: usize,
    /// How long connections that went are still counted.
    pub lingering: Duration,
    /// How long the edge does not know a new tunnel.
    pub lag: Duration,
    made: u64,
}

/// A tunnel.
#[derive(Debug, Clone)]
pub struct Tunnel {
    /// Its UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What its token holds.
    pub secret: String,
    /// Whether it is run by remote configuration.
    pub is_remote: bool,
    /// The last configuration and its version.
    pub config: Option<(i64, Value)>,
    /// What runs it.
    pub connectors: Vec<Connector>,
    /// It is deleted.
    pub is_deleted: bool,
    born: Instant,
    /// Connections that went are counted until then.
    counted_until: Option<Instant>,
}

/// A running `cloudflared`.
#[derive(Debug, Clone)]
pub struct Connector {
    /// New at each start.
    pub id: String,
    /// Where it comes from.
    pub origin_ip: String,
}

/// A DNS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// `CNAME`, `A`, …
    pub kind: String,
    /// The whole name.
    pub name: String,
    /// What it points at.
    pub content: String,
    /// What its maker wrote beside it.
    pub comment: String,
}

impl State {
    pub(super) fn new(domain: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            zone: domain.to_owned(),
            tunnels: Vec::new(),
            records: Vec::new(),
            permissions: vec!["tunnels", "dns", "settings"],
            websockets: true,
            hides_texts: false,
            most_tunnels: 1000,
            most_records: 200,
            lingering: Duration::from_millis(300),
            lag: Duration::from_millis(200),
            made: 0,
        }
    }

    /// Tunnels that are not deleted.
    pub fn alive(&self) -> impl Iterator<Item = &Tunnel> {
        self.tunnels.iter().filter(|tunnel| !tunnel.is_deleted)
    }

    /// A tunnel that is not deleted.
    pub fn tunnel(&mut self, id: &str) -> Option<&mut Tunnel> {
        self.tunnels.iter_mut().find(|tunnel| tunnel.id == id && !tunnel.is_deleted)
    }

    /// Adds a tunnel.
    pub fn add_tunnel(&mut self, name: &str, is_remote: bool) -> &mut Tunnel {
        let id = self.uuid();
        let secret = self.secret();
        self.tunnels.push(Tunnel {
            id,
            name: name.to_owned(),
            secret,
            is_remote,
            config: None,
            connectors: Vec::new(),
            is_deleted: false,
            born: Instant::now(),
            counted_until: None,
        });
        self.tunnels.last_mut().expect("one was just added")
    }

    /// Adds a record.
    pub fn add_record(&mut self, kind: &str, name: &str, content: &str, comment: &str) -> Record {
        let id = self.uuid().replace('-', "");
        let [kind, name, content, comment] = [kind, name, content, comment].map(str::to_owned);
        let record = Record { id, kind, name, content, comment };
        self.records.push(record.clone());
        record
    }

    /// A `cloudflared` comes to the edge with a token: its connector's id, or what the edge answers.
    pub fn connect(&mut self, token: &str, origin_ip: &str) -> Result<String, &'static str> {
        let connector = self.uuid();
        let (id, secret) = opened(token).ok_or("Provided Tunnel token is not valid.")?;
        let lag = self.lag;
        let tunnel = self.tunnel(&id).ok_or("Unauthorized: Tunnel not found")?;
        if tunnel.born.elapsed() < lag {
            return Err("Unauthorized: Failed to get tunnel");
        }
        if tunnel.secret != secret {
            return Err("Unauthorized: Invalid tunnel secret");
        }
        tunnel.connectors.push(Connector { id: connector.clone(), origin_ip: origin_ip.to_owned() });
        Ok(connector)
    }

    /// A `cloudflared` goes.
    pub fn disconnect(&mut self, connector: &str) {
        let until = Instant::now() + self.lingering;
        for tunnel in &mut self.tunnels {
            let before = tunnel.connectors.len();
            tunnel.connectors.retain(|known| known.id != connector);
            if tunnel.connectors.len() < before {
                tunnel.counted_until = Some(until);
            }
        }
    }

    /// A secret as the API makes one.
    pub(super) fn secret(&mut self) -> String {
        let id = self.uuid();
        BASE64_STANDARD.encode(id.as_bytes().get(..32).unwrap_or_default())
    }

    fn uuid(&mut self) -> String {
        self.made += 1;
        // Spread over all digits, so that ids do not look alike at their ends.
        let mixed = self.made.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let digits = format!("{mixed:016x}{:016x}", mixed.rotate_left(23) ^ 0x5bd1_e995);
        let part = |from, to| &digits[from..to];
        format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
    }
}

impl Tunnel {
    /// The token by which `cloudflared` runs it.
    pub fn token(&self) -> String {
        BASE64_STANDARD.encode(json!({"a": super::ACCOUNT, "t": self.id, "s": self.secret}).to_string())
    }

    /// Whether connections are counted that keep it from being deleted.
    pub(super) fn is_connected(&self) -> bool {
        !self.connectors.is_empty() || self.counted_until.is_some_and(|until| until > Instant::now())
    }

    /// All connections are cut; they are counted for a while.
    pub(super) fn cut(&mut self, lingering: Duration) {
        if !self.connectors.is_empty() {
            self.connectors.clear();
            self.counted_until = Some(Instant::now() + lingering);
        }
    }
}

/// Tunnel and secret of a token.
fn opened(token: &str) -> Option<(String, String)> {
    let json: Value = serde_json::from_slice(&BASE64_STANDARD.decode(token).ok()?).ok()?;
    Some((json["t"].as_str()?.to_owned(), json["s"].as_str()?.to_owned()))
}
