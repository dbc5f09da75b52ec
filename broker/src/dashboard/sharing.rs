//! Sharing: from the form to a link's address, which is shown this once.

use std::time::Duration;

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::StatusCode;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use qrcode::QrCode;
use qrcode::render::svg;
use shared::entity::{EntityId, Listed};

use super::Inner;
use super::devices::Device;
use super::lights::Reader;
use super::links::Link;
use super::pages::{SharePage, SharedPage};
use super::web::{Visit, place};
use crate::audit::Doer;
use crate::clock::Timestamp;
use crate::homes::Owned;
use crate::http::form::Form;
use crate::http::page::page;
use crate::http::{Answer, Fault, see_other};
use crate::portal::{NewLink, Permission};

/// How long a link may live: the form's value and the key of its words.
pub const SPANS: [(&str, &str); 5] = [
    ("hour", "dashboard-until-hour"),
    ("day", "dashboard-until-day"),
    ("week", "dashboard-until-week"),
    ("date", "dashboard-until-date"),
    ("never", "dashboard-until-never"),
];

const HOUR: Duration = Duration::from_secs(3600);
/// No link may be chosen to live longer: ten years, as in the portal.
const FARTHEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// No place on earth is further from UTC, in minutes.
const FURTHEST: i64 = 14 * 60;

/// What was typed into the form, to be shown again when something is wrong with it.
#[derive(Debug, Clone)]
pub struct Typed {
    /// For whom.
    pub label: String,
    /// Whether the guest may switch it.
    pub control: bool,
    /// One of [`SPANS`].
    pub expires: String,
    /// The last day, for `date`.
    pub date: String,
    /// Minutes from the owner's clock to UTC, as JavaScript's `getTimezoneOffset` tells them.
    offset: i64,
}

impl Default for Typed {
    /// The least a link can give, and not for ever.
    fn default() -> Self {
        let (label, date) = (String::new(), String::new());
        Self { label, control: false, expires: "week".to_owned(), date, offset: 0 }
    }
}

impl Typed {
    fn read(form: &Form) -> Result<Self, Fault> {
        let field = |name| Ok::<_, Fault>(form.optional(name)?.unwrap_or("").trim().to_owned());
        Ok(Self {
            label: field("label")?,
            control: form.optional("permission")? == Some("control"),
            expires: field("expires")?,
            date: field("date")?,
            offset: field("offset")?.parse::<i64>().unwrap_or(0).clamp(-FURTHEST, FURTHEST),
        })
    }

    /// The link that was asked for, or the word for the first thing that is wrong.
    fn link(&self, device: &Device, by: Doer, now: Timestamp) -> Result<NewLink, &'static str> {
        let length = self.label.chars().count();
        if length == 0 || length > 80 || self.label.chars().any(char::is_control) {
            return Err("dashboard-wrong-label");
        }
        if self.control && !device.controllable {
            return Err("dashboard-wrong-control");
        }
        let permission = if self.control { Permission::Control } else { Permission::View };
        Ok(NewLink { label: self.label.clone(), permission, expires: self.ends(now)?, by })
    }

    fn ends(&self, now: Timestamp) -> Result<Option<Timestamp>, &'static str> {
        match self.expires.as_str() {
            "never" => Ok(None),
            "hour" => Ok(Some(now.after(HOUR))),
            "day" => Ok(Some(now.after(24 * HOUR))),
            "week" => Ok(Some(now.after(7 * 24 * HOUR))),
            "date" => {
                let end = end_of_day(&self.date, self.offset)
                    .filter(|end| *end > now && *end <= now.after(FARTHEST));
                end.map(Some).ok_or("dashboard-wrong-date")
            }
            _ => Err("dashboard-wrong-until"),
        }
    }
}

/// The end of a day such as `2026-11-22` on the owner's clock.
fn end_of_day(date: &str, offset: i64) -> Option<Timestamp> {
    let next: Date = date.parse::<Date>().ok()?.tomorrow().ok()?;
    let midnight = next.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    Some(Timestamp::from_millis(midnight + offset * 60_000))
}

/// The form for a new link.
pub async fn show(dashboard: &Inner, visit: &Visit<'_>, home: &Owned) -> Result<Answer, Fault> {
    let query = visit.asked.query_form()?;
    let entity = entity(query.required("entity")?)?;
    match listed(dashboard, home, &entity).await? {
        Some(listed) => {
            Ok(form_page(dashboard, visit, home, &listed, Filled { typed: Typed::default(), wrong: None }))
        }
        // The home's own page tells that it is away.
        None => Ok(see_other(&format!("/homes/{}", home.id))),
    }
}

/// Makes the link and shows its address.
pub async fn make(dashboard: &Inner, visit: &Visit<'_>, home: &Owned) -> Result<Answer, Fault> {
    let form = visit.asked.form()?;
    visit.signed_in.check(visit.asked, Some(&form))?;
    let entity = entity(form.required("entity")?)?;
    let Some(listed) = listed(dashboard, home, &entity).await? else {
        return Ok(see_other(&format!("/homes/{}", home.id)));
    };
    let typed = Typed::read(&form)?;
    let new = match typed.link(&Device::new(&listed, 0), visit.doer(), dashboard.clock.now()) {
        Ok(new) => new,
        Err(wrong) => {
            return Ok(form_page(dashboard, visit, home, &listed, Filled { typed, wrong: Some(wrong) }));
        }
    };
    let named = (listed.name.as_str(), listed.area.as_deref());
    let shared = dashboard.portal.share(home, &entity, named, new).await?;
    let reader = Reader { w: visit.asked.words(), now: dashboard.clock.now() };
    let shown = SharedPage {
        frame: visit.frame(),
        home: place(dashboard, home),
        link: Link::new(reader, &shared.link, &shared.entity, None),
        qr: qr(shared.url.expose())?,
        url: shared.url.expose().to_owned(),
    };
    Ok(page(StatusCode::OK, &shown))
}

struct Filled {
    typed: Typed,
    wrong: Option<&'static str>,
}

fn form_page(dashboard: &Inner, visit: &Visit<'_>, home: &Owned, listed: &Listed, form: Filled) -> Answer {
    let status = if form.wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let today = dashboard.clock.now().to_string();
    let shown = SharePage {
        frame: visit.frame(),
        home: place(dashboard, home),
        device: Device::new(listed, 0),
        area: listed.area.clone(),
        typed: form.typed,
        today: today.get(..10).unwrap_or_default().to_owned(),
        wrong: form.wrong,
    };
    page(status, &shown)
}

fn entity(text: &str) -> Result<EntityId, Fault> {
    text.parse().map_err(|_| Fault::NotFound)
}

/// The entity as the home names it now; `None` while the home is away.
///
/// # Errors
/// [`Fault::NotFound`] when the home has no such entity.
async fn listed(dashboard: &Inner, home: &Owned, entity: &EntityId) -> Result<Option<Listed>, Fault> {
    match dashboard.relay.list(home).await {
        Ok(list) => {
            let found = list.entities.into_iter().find(|listed| listed.entity_id == *entity);
            found.map(Some).ok_or(Fault::NotFound)
        }
        Err(_) => Ok(None),
    }
}

/// An address as a QR code: an SVG in a `data:` URI, dark on white in either colour scheme.
pub fn qr(url: &str) -> anyhow::Result<String> {
    let code = QrCode::new(url).context("put the link's address into a QR code")?;
    let picture = code
        .render::<svg::Color<'_>>()
        .min_dimensions(240, 240)
        .dark_color(svg::Color("#10211b"))
        .light_color(svg::Color("#ffffff"))
        .build();
    Ok(format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(picture)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_795_348_800_000); // 2026-11-22T12:00:00Z

    fn typed(expires: &str, date: &str, offset: i64) -> Typed {
        let (label, expires, date) = ("Anna".to_owned(), expires.to_owned(), date.to_owned());
        Typed { label, control: false, expires, date, offset }
    }

    #[test]
    fn a_day_ends_at_midnight_on_the_owners_clock() {
        let ends = |date, offset| {
            typed("date", date, offset)
                .ends(NOON)
                .map(|end| end.map(|end| end.to_string()).unwrap_or_default())
        };
        assert_eq!(ends("2026-11-22", 0).as_deref(), Ok("2026-11-23T00:00:00Z"));
        assert_eq!(ends("2026-11-22", -480).as_deref(), Ok("2026-11-22T16:00:00Z"));
        assert_eq!(ends("2026-11-21", 0), Err("dashboard-wrong-date"));
        assert_eq!(ends("22.11.2026", 0), Err("dashboard-wrong-date"));
        assert_eq!(ends("", 0), Err("dashboard-wrong-date"));
    }

    #[test]
    fn a_span_counts_from_now() {
        for (span, hours) in [("hour", 1), ("day", 24), ("week", 168)] {
            assert_eq!(typed(span, "", 0).ends(NOON), Ok(Some(NOON.after(hours * HOUR))));
        }
        assert_eq!(typed("never", "", 0).ends(NOON), Ok(None));
        assert_eq!(typed("", "", 0).ends(NOON), Err("dashboard-wrong-until"));
    }

    #[test]
    fn only_what_can_be_switched_is_shared_for_switching() {
        let by = Doer::default();
        let device = |id: &str, view_only| {
            let (entity_id, name) = (id.parse().unwrap(), "It".to_owned());
            Device::new(&Listed { entity_id, name, area: None, floor: None, view_only }, 0)
        };
        let (light, lock) = (device("light.porch", false), device("lock.door", false));
        let control = Typed { control: true, ..typed("week", "", 0) };
        assert!(control.link(&light, by, NOON).is_ok());
        assert_eq!(control.link(&lock, by, NOON).err(), Some("dashboard-wrong-control"));
        assert_eq!(
            control.link(&device("light.porch", true), by, NOON).err(),
            Some("dashboard-wrong-control")
        );
        let nobody = Typed { label: String::new(), ..typed("week", "", 0) };
        assert_eq!(nobody.link(&light, by, NOON).err(), Some("dashboard-wrong-label"));
    }

    #[test]
    fn a_links_address_fits_into_a_picture() {
        let url = format!(
            "https://latchkey.example/portal/entity/9007199254740991?access_token={}",
            "x".repeat(60)
        );
        assert!(qr(&url).unwrap().starts_with("data:image/svg+xml;base64,"));
    }
}
