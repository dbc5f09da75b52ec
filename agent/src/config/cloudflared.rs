//! Settings of `cloudflared`, the program that runs a home's tunnel where that is at Cloudflare.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use url::Url;

/// Where Cloudflare publishes its programs: `<here>/<version>/cloudflared-linux-<machine>`.
pub const RELEASES: &str = "https://github.com/cloudflare/cloudflared/releases/download";

/// What the agent itself says to the program, or never says. `--loglevel debug` writes visitors' headers down, and a
/// token on a command line can be read by everybody on the machine.
const OURS: &[&str] = &[
    "autoupdate-freq",
    "config",
    "credentials-contents",
    "credentials-file",
    "grace-period",
    "logfile",
    "log-directory",
    "loglevel",
    "metrics",
    "no-autoupdate",
    "origincert",
    "output",
    "pidfile",
    "protocol",
    "token",
    "token-file",
    "transport-loglevel",
    "url",
];

/// How the program reaches Cloudflare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// QUIC, and HTTP/2 for a day where that does not get through.
    #[default]
    Auto,
    /// QUIC over UDP, port 7844.
    Quic,
    /// HTTP/2 over TCP, port 7844.
    Http2,
}

impl Protocol {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Quic => "quic",
            Self::Http2 => "http2",
        }
    }
}

/// The `[cloudflared]` part of the settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Table {
    program: Option<PathBuf>,
    protocol: Protocol,
    arguments: Vec<String>,
    origins: Vec<String>,
    releases: Option<String>,
    timings: TimingsTable,
}

/// Its `[cloudflared.timings]`; all in seconds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TimingsTable {
    startup: Option<f64>,
    look: Option<f64>,
    quic: Option<f64>,
    grace: Option<f64>,
    flood: Option<f64>,
    longest_wait: Option<f64>,
}

/// Settings of the program, checked.
#[derive(Debug, Clone)]
pub struct Cloudflared {
    /// The program to use and no other.
    pub program: Option<PathBuf>,
    /// Else it is looked for in these folders, as in `PATH`.
    pub search: Option<OsString>,
    /// How it reaches Cloudflare.
    pub protocol: Protocol,
    /// More arguments for `cloudflared tunnel`, such as `--region us`.
    pub arguments: Vec<String>,
    /// Where the tunnel may lead besides Home Assistant.
    pub origins: Vec<Url>,
    /// Where `cloudflared install` gets it.
    pub releases: String,
    /// A folder for the token while the program starts, and its empty home; by default in the data folder.
    pub runtime_dir: Option<PathBuf>,
    /// How long things may take.
    pub timings: Timings,
}

/// How long things may take; what was measured is in the comments.
#[derive(Debug, Clone)]
pub struct Timings {
    /// Until the metrics server answers. With a name server that swallows what it is asked, that takes 31 s.
    pub startup: Duration,
    /// Between two looks at how it is. Three in a row without any answer, and it hangs.
    pub look: Duration,
    /// Until QUIC must have got through. By itself the program gives it 140 s and more.
    pub quic: Duration,
    /// For visitors' requests to end when it is stopped. A WebSocket takes all of it.
    pub grace: Duration,
    /// For so long it may write more lines than anybody can read.
    pub flood: Duration,
    /// Between two starts, at most.
    pub longest_wait: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            startup: Duration::from_secs(60),
            look: Duration::from_secs(5),
            quic: Duration::from_secs(20),
            grace: Duration::from_secs(4),
            flood: Duration::from_secs(30),
            longest_wait: Duration::from_secs(30),
        }
    }
}

impl Default for Cloudflared {
    fn default() -> Self {
        Self {
            program: None,
            search: None,
            protocol: Protocol::default(),
            arguments: Vec::new(),
            origins: Vec::new(),
            releases: RELEASES.to_owned(),
            runtime_dir: None,
            timings: Timings::default(),
        }
    }
}

impl Cloudflared {
    /// Puts the settings file under the flag.
    ///
    /// # Errors
    /// Names the setting that is wrong.
    pub fn put_together(flag: Option<PathBuf>, file: Table) -> Result<Self> {
        let origins =
            file.origins.iter().map(|text| origin(text)).collect::<Result<_>>().context("origins")?;
        if let Some(ours) = file.arguments.iter().find(|argument| is_ours(argument)) {
            bail!("arguments: {ours} is for the agent to say");
        }
        Ok(Self {
            program: flag.or(file.program),
            protocol: file.protocol,
            arguments: file.arguments,
            origins,
            releases: releases(file.releases).context("releases")?,
            timings: file.timings.checked().context("timings")?,
            ..Self::default()
        })
    }
}

impl TimingsTable {
    fn checked(self) -> Result<Timings> {
        let usual = Timings::default();
        // What the agent sleeps through must be shorter than the quiet after which it counts as hung.
        let seconds = |name: &str, given: Option<f64>, usual: Duration| {
            let most = match name {
                "grace" => 60.0,
                "look" | "longest_wait" => 120.0,
                _ => 3600.0,
            };
            match given {
                None => Ok(usual),
                Some(given) if (0.05..=most).contains(&given) => Ok(Duration::from_secs_f64(given)),
                Some(given) => bail!("{name}: {given} is not between 0.05 and {most} seconds"),
            }
        };
        Ok(Timings {
            startup: seconds("startup", self.startup, usual.startup)?,
            look: seconds("look", self.look, usual.look)?,
            quic: seconds("quic", self.quic, usual.quic)?,
            grace: seconds("grace", self.grace, usual.grace)?,
            flood: seconds("flood", self.flood, usual.flood)?,
            longest_wait: seconds("longest_wait", self.longest_wait, usual.longest_wait)?,
        })
    }
}

fn is_ours(argument: &str) -> bool {
    let Some(name) = argument.strip_prefix('-') else { return argument == "run" };
    let name = name.trim_start_matches('-').split('=').next().unwrap_or_default();
    OURS.contains(&name)
}

fn origin(text: &str) -> Result<Url> {
    let url = Url::parse(text).with_context(|| format!("{text} is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.path() != "/" {
        bail!("{text}: scheme, host and port, such as http://127.0.0.1:8080");
    }
    Ok(url)
}

/// Where releases are fetched, checked.
///
/// # Errors
/// Says what is wrong with it.
pub fn releases(given: Option<String>) -> Result<String> {
    let Some(given) = given else { return Ok(RELEASES.to_owned()) };
    let url = Url::parse(&given).context("not a URL")?;
    if url.scheme() != "https" && !super::is_loopback(&url) {
        bail!("{given}: what is fetched and then run comes by https://");
    }
    Ok(given.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_together(text: &str) -> Result<Cloudflared> {
        Cloudflared::put_together(None, toml::from_str(text)?)
    }

    #[test]
    fn what_is_not_said_is_as_it_was_measured() {
        let usual = put_together("").unwrap();
        assert_eq!(usual.timings.startup, Duration::from_secs(60));
        assert_eq!((usual.timings.quic, usual.protocol), (Duration::from_secs(20), Protocol::Auto));
        let given = put_together(
            "program = '/opt/cloudflared'\nprotocol = 'http2'\norigins = ['http://10.0.0.2:80']\n\
             arguments = ['--region', 'us']\n[timings]\nquic = 3\ngrace = 0.5",
        );
        let given = given.unwrap();
        assert_eq!(given.program, Some(PathBuf::from("/opt/cloudflared")));
        assert_eq!(
            (given.timings.quic, given.timings.grace),
            (Duration::from_secs(3), Duration::from_millis(500))
        );
        assert_eq!((given.protocol.word(), given.origins.len(), given.arguments.len()), ("http2", 1, 2));
        let flag =
            Cloudflared::put_together(Some("/flag".into()), toml::from_str("program = '/file'").unwrap());
        assert_eq!(flag.unwrap().program, Some(PathBuf::from("/flag")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("prgram = 'x'", "prgram"),
            ("protocol = 'tcp'", "tcp"),
            ("arguments = ['--token', 'x']", "--token is for the agent"),
            ("arguments = ['--loglevel=debug']", "--loglevel=debug is for the agent"),
            ("arguments = ['run']", "run is for the agent"),
            ("origins = ['10.0.0.2']", "origins: 10.0.0.2 is not a URL"),
            ("origins = ['http://10.0.0.2/path']", "scheme, host and port"),
            ("releases = 'http://mirror.example'", "https://"),
            ("[timings]\nquic = 0", "quic: 0"),
        ] {
            let said = format!("{:#}", put_together(text).unwrap_err());
            assert!(said.contains(says), "{text}: {said}");
        }
        assert!(put_together("releases = 'http://127.0.0.1:1/x/'").is_ok());
    }
}
