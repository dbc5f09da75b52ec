//! The two letters of an incident, each in the language its reader was last seen with.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use shared::id::HomeId;

use super::Hop;
use crate::accounts::Reader;
use crate::clock::Timestamp;
use crate::http::words::{self, Words};
use crate::http::{Site, ago};
use crate::mail::Letter;

/// Yesterday's outage is no news.
const OF_USE: Duration = Duration::from_secs(24 * 3600);

/// Who sends letters, and when.
pub struct Sender {
    pub site: Arc<Site>,
    pub now: Timestamp,
}

#[derive(Template)]
#[template(path = "mail/home.txt")]
struct HomeLetter<'a> {
    w: &'a Words,
    lead: String,
    /// What failed, and what to do about it.
    more: Vec<String>,
    url: String,
    foot: String,
    origin: String,
}

/// What a letter says.
struct Said {
    subject: String,
    lead: String,
    more: Vec<String>,
    foot: String,
}

/// A home is offline.
pub struct Offline<'a> {
    pub home: HomeId,
    pub name: &'a str,
    pub worst: &'a Hop,
    pub began: Timestamp,
}

/// It is back.
pub struct Back<'a> {
    pub home: HomeId,
    pub name: &'a str,
    pub began: Timestamp,
    pub well: Timestamp,
}

fn language(reader: &Reader) -> &'static Words {
    words::for_header(reader.language.as_deref().unwrap_or(""))
}

impl Sender {
    fn letter(&self, reader: &Reader, home: HomeId, words: Said) -> anyhow::Result<Letter> {
        let Said { subject, lead, more, foot } = words;
        let url = self.site.address(&format!("/homes/{home}"));
        let (w, origin) = (language(reader), self.site.origin());
        let text = HomeLetter { w, lead, more, url, foot, origin }.render()?;
        Ok(Letter { to: reader.email.clone(), subject, text, lapses_at: self.now.after(OF_USE) })
    }
}

impl Offline<'_> {
    pub fn to(&self, sender: &Sender, reader: &Reader) -> anyhow::Result<Letter> {
        let w = language(reader);
        let subject = w.say_with("mail-offline-subject", "home", self.name);
        let (since, span) = (ago::date(self.began), ago::span(w, sender.now.since(self.began)));
        let lead = w.say_all(
            "mail-offline",
            &[("home", self.name), ("since", since.as_str()), ("span", span.as_str())],
        );
        let (hop, why) = (self.worst.which.name(w), self.worst.reason.map(|reason| reason.sentence(w)));
        let why = why.unwrap_or_default();
        let cause = w.say_all("mail-offline-hop", &[("hop", hop.as_str()), ("why", why.as_str())]);
        let help = self.worst.reason.and_then(|reason| reason.help(w));
        let more = [Some(cause), help].into_iter().flatten().collect();
        sender.letter(reader, self.home, Said { subject, lead, more, foot: w.say("mail-offline-foot") })
    }
}

impl Back<'_> {
    pub fn to(&self, sender: &Sender, reader: &Reader) -> anyhow::Result<Letter> {
        let w = language(reader);
        let subject = w.say_with("mail-back-subject", "home", self.name);
        let (since, until) = (ago::date(self.began), ago::date(self.well));
        let span = ago::span(w, self.well.since(self.began));
        let facts = [("home", self.name), ("span", &span), ("since", &since), ("until", &until)];
        let lead = w.say_all("mail-back", &facts);
        sender.letter(
            reader,
            self.home,
            Said { subject, lead, more: Vec::new(), foot: w.say("mail-back-foot") },
        )
    }
}
