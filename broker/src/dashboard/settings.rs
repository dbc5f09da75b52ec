//! A home's settings: its name and port, a new token for its tunnel, and its end.

use super::Inner;
use super::pages::Settings;
use super::web::{Visit, home};
use crate::homes::Owned;
use crate::http::{Answer, Fault, see_other};

/// `POST /homes/{id}/settings`.
pub async fn change(dashboard: &Inner, visit: &Visit<'_>, owned: &Owned) -> Result<Answer, Fault> {
    let form = visit.asked.form()?;
    visit.signed_in.check(visit.asked, Some(&form))?;
    let field = |name| Ok::<_, Fault>(form.optional(name)?.unwrap_or("").trim().to_owned());
    let (name, port) = (field("name")?, field("port")?);
    let wrong = match port.parse::<u16>() {
        Ok(number) if number > 0 => match dashboard.homes.change(owned, &name, number, &visit.doer()).await {
            Ok(()) => return Ok(see_other(&format!("/homes/{}#settings", owned.id))),
            Err(Fault::Bad(_)) => "dashboard-wrong-name",
            Err(fault) => return Err(fault),
        },
        _ => "dashboard-wrong-port",
    };
    let tried = Settings { name, port, wrong: Some(("settings", wrong)), ..Settings::default() };
    home(dashboard, visit, owned.id, tried).await
}

/// `POST /homes/{id}/letters`: `on` is `yes` or `no`.
pub async fn letters(dashboard: &Inner, visit: &Visit<'_>, owned: &Owned) -> Result<Answer, Fault> {
    let form = visit.asked.form()?;
    visit.signed_in.check(visit.asked, Some(&form))?;
    let on = match form.optional("on")? {
        Some("yes") => true,
        Some("no") => false,
        _ => return Err(Fault::bad("on: it must be yes or no")),
    };
    dashboard.tunnels.set_letters(owned, on, &visit.doer()).await?;
    Ok(see_other(&format!("/homes/{}#settings", owned.id)))
}

/// `POST /homes/{id}/renew`.
pub async fn renew(dashboard: &Inner, visit: &Visit<'_>, owned: &Owned) -> Result<Answer, Fault> {
    visit.signed_in.check(visit.asked, Some(&visit.asked.form()?))?;
    dashboard.tunnels.renew(owned, &visit.doer()).await?;
    Ok(see_other(&format!("/homes/{}#settings", owned.id)))
}

/// `POST /homes/{id}/prove`: asks the home's address now.
pub async fn prove(dashboard: &Inner, visit: &Visit<'_>, owned: &Owned) -> Result<Answer, Fault> {
    visit.signed_in.check(visit.asked, Some(&visit.asked.form()?))?;
    dashboard.tunnels.prove(owned).await?;
    Ok(see_other(&format!("/homes/{}#proof", owned.id)))
}

/// `POST /homes/{id}/delete`: who types the home's name means it.
pub async fn delete(dashboard: &Inner, visit: &Visit<'_>, owned: &Owned) -> Result<Answer, Fault> {
    let form = visit.asked.form()?;
    visit.signed_in.check(visit.asked, Some(&form))?;
    let typed = form.optional("typed")?.unwrap_or("").trim().to_owned();
    if typed.to_lowercase() != owned.name.trim().to_lowercase() {
        let tried =
            Settings { typed, wrong: Some(("delete", "dashboard-wrong-typed")), ..Settings::default() };
        return home(dashboard, visit, owned.id, tried).await;
    }
    dashboard.tunnels.delete(owned, &visit.doer()).await?;
    Ok(see_other("/"))
}
