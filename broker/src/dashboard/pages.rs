//! The dashboard's pages: what each template is given.

use askama::Template;
use shared::id::HomeId;

use super::devices::{Device, Devices};
use super::lights::{Hop, Light};
use super::links::Link;
use super::sharing::{SPANS, Typed};
use crate::homes::Home;
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
    pub hops: [Hop; 3],
    pub broker: String,
    /// For owners and admins.
    pub managed: Option<Managed>,
}

/// What owners and admins see of a home besides its lights.
pub struct Managed {
    pub links: Vec<Link>,
    pub devices: Devices,
    pub settings: Settings,
}

/// A home's settings, as they are or as they were typed.
#[derive(Debug, Default)]
pub struct Settings {
    pub name: String,
    pub port: String,
    /// What was typed to delete it.
    pub typed: String,
    /// The form that was wrong, and the word for why.
    pub wrong: Option<(&'static str, &'static str)>,
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
