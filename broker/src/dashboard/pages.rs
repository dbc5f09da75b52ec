//! The dashboard's pages: what each template is given.

use askama::Template;
use shared::id::HomeId;

use super::devices::{Device, Devices};
use super::lights::{Light, Past, Step};
use super::links::Link;
use super::making::Making;
use super::sharing::{SPANS, Typed};
use crate::homes::Home;
use crate::http::ago::Moment;
use crate::http::page::Frame;

/// A home's name and address.
#[derive(Debug)]
pub struct Place {
    /// Which home.
    pub id: HomeId,
    /// What it is called.
    pub name: String,
    /// Its address on the internet.
    pub url: String,
    /// The same, short.
    pub hostname: String,
    /// It was never paired with an agent.
    pub is_new: bool,
}

/// A home's card.
#[derive(Debug)]
pub struct Card {
    /// Which home, and where.
    pub place: Place,
    /// How it is.
    pub light: Light,
}

/// `/`: all homes, and a form for one more.
#[derive(Template)]
#[template(path = "dashboard/homes.html")]
pub struct HomesPage {
    pub frame: Frame,
    pub cards: Vec<Card>,
    pub may_add: bool,
    /// Our own address, for the command that pairs an agent.
    pub broker: String,
    /// What was typed into the form.
    pub name: String,
    pub port: String,
    /// The word for what was wrong with it.
    pub wrong: Option<&'static str>,
}

/// `/homes/{id}`: one home.
#[derive(Template)]
#[template(path = "dashboard/home.html")]
pub struct HomePage {
    pub frame: Frame,
    pub home: Place,
    pub hops: [Step; 4],
    /// When they were cut lately.
    pub past: Past,
    /// Where its tunnel is not as wanted.
    pub making: Option<Making>,
    pub broker: String,
    /// For owners and admins.
    pub managed: Option<Managed>,
}

/// What owners and admins see of a home besides its lights.
pub struct Managed {
    pub links: Vec<Link>,
    pub devices: Devices,
    pub settings: Settings,
    /// Its tunnel has a token that can be renewed.
    pub may_renew: bool,
    pub proof: Option<Proved>,
}

/// What asking the home's address came to (T9).
pub struct Proved {
    pub is_well: bool,
    /// The sentence that explains it.
    pub words: String,
    pub at: Moment,
    /// The addresses that Home Assistant's `trusted_proxies` lacks.
    pub proxies: Vec<String>,
}

/// A home's settings, as they are or as they were typed.
#[derive(Debug, Default)]
pub struct Settings {
    pub name: String,
    pub port: String,
    /// Whether its owners get letters when it is offline; nothing where the broker never sends any.
    pub letters: Option<Letters>,
    /// What was typed to delete it.
    pub typed: String,
    /// The form that was wrong, and the word for why.
    pub wrong: Option<(&'static str, &'static str)>,
}

/// The letters of a home that is offline.
#[derive(Debug, Clone, Copy)]
pub struct Letters {
    /// Whether they are sent.
    pub on: bool,
    /// After how many minutes.
    pub minutes: u64,
}

impl Settings {
    /// What was typed, and where nothing was, what is.
    pub fn or(self, home: &Home) -> Self {
        if self.wrong.is_some_and(|(form, _)| form == "settings") {
            return self;
        }
        Self { name: home.name.clone(), port: home.ha_port.to_string(), ..self }
    }

    /// What is wrong with a form.
    pub fn wrong_in(&self, form: &str) -> Option<&'static str> {
        self.wrong.filter(|(known, _)| *known == form).map(|(_, word)| word)
    }
}

/// `/homes/{id}/history?before=…`: when its hops were cut.
#[derive(Template)]
#[template(path = "dashboard/history.html")]
pub struct HistoryPage {
    pub frame: Frame,
    pub home: Place,
    pub past: Past,
    /// This is not the first page.
    pub is_older: bool,
}

/// `/homes/{id}/share?entity=…`: the form for a new link.
#[derive(Template)]
#[template(path = "dashboard/share.html")]
pub struct SharePage {
    pub frame: Frame,
    pub home: Place,
    pub device: Device,
    pub area: Option<String>,
    pub typed: Typed,
    /// The first day that can be chosen, such as `2026-11-22`.
    pub today: String,
    pub wrong: Option<&'static str>,
}

/// The new link, shown this once.
#[derive(Template)]
#[template(path = "dashboard/shared.html")]
pub struct SharedPage {
    pub frame: Frame,
    pub home: Place,
    pub link: Link,
    /// The whole address, token included.
    pub url: String,
    /// The same as a QR code, a `data:` URI.
    pub qr: String,
}
