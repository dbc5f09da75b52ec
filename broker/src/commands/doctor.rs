//! `latchkey-broker doctor` and `latchkey-broker sweep`: what is missing, and what lies about.

use std::io::Write;

use anyhow::{bail, ensure};

use crate::acme;
use crate::clock::{Clock, Timestamp};
use crate::config::Settings;
use crate::homes;
use crate::http::certificate::{self, Files, Shown};
use crate::sealed;
use crate::store::Store;
use crate::tunnels::provider::{Finding, Ours, Sweep};
use crate::vault::Vault;

/// A certificate with fewer days left should have been renewed by now.
const ENOUGH_DAYS: u64 = 14;

/// Looks at everything; a line each, or JSON.
pub async fn run(
    settings: &Settings,
    store: Store,
    clock: Clock,
    json: bool,
    out: &mut (impl Write + Send),
) -> anyhow::Result<()> {
    let mut found = vec![well("database", "answers, and its tables are of this version")];
    found.extend(
        of_keys(settings, &store).await.unwrap_or_else(|err| vec![wrong("keys", format!("{err:#}"))]),
    );
    found.extend(Files::of(settings).map(|files| match files.look() {
        Ok(shown) => of_certificate(&shown, &certificate::needed(settings), clock.now()),
        Err(err) => wrong("certificate", format!("{err:#}")),
    }));
    if let Some(given) = &settings.acme {
        let needed = certificate::needed(settings);
        found.push(match acme::shown(&store, given).await? {
            Ok(shown) => of_certificate(&shown, &needed, clock.now()),
            Err(why) => wrong("certificate", why),
        });
        found.extend(acme::examine(&store, given, &needed, clock.now()).await?);
    }
    let stuck = homes::in_trouble(&store).await?;
    for (home, why) in &stuck {
        found.push(wrong(format!("home {home}"), why.clone()));
    }
    if settings.cloudflare.is_empty() {
        found.push(well("tunnels", format!("direct, under {}", settings.home_domain)));
    } else {
        found.extend(Ours::new(store, settings.cloudflare.clone(), clock.now())?.examine().await?);
    }
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&found)?)?;
    } else {
        for Finding { what, is_well, says } in &found {
            let mark = match is_well {
                Some(true) => "ok   ",
                Some(false) => "WRONG",
                None => "note ",
            };
            writeln!(out, "{mark}  {what}: {says}")?;
        }
    }
    let count = found.iter().filter(|finding| finding.is_well == Some(false)).count();
    ensure!(count == 0, "{count} of {} things are not as they should be", found.len());
    Ok(())
}

/// Removes what belongs to no home, or lists it.
pub async fn sweep(ours: &Ours, dry_run: bool, out: &mut (impl Write + Send)) -> anyhow::Result<()> {
    let found = ours.sweep(if dry_run { Sweep::DryRun } else { Sweep::Remove }).await?;
    let mut kept = 0;
    for left in &found {
        let done = match &left.removed {
            Ok(()) if dry_run => "would be removed".to_owned(),
            Ok(()) => "removed".to_owned(),
            Err(why) => {
                kept += 1;
                format!("NOT removed: {why}")
            }
        };
        writeln!(out, "{} {} ({}) at {}: {done}", left.kind, left.name, left.id, left.domain)?;
    }
    if found.is_empty() {
        writeln!(out, "Nothing belongs to no home.")?;
    }
    if kept > 0 {
        bail!("{kept} of {} could not be removed; run it again in some minutes", found.len());
    }
    Ok(())
}

/// The key list, and every sealed record that it should open and does not.
async fn of_keys(settings: &Settings, store: &Store) -> anyhow::Result<Vec<Finding>> {
    let vault = Vault::of(&settings.keys_file)?;
    sealed::check(store, &vault).await?;
    let list = settings.keys_file.display();
    let unreadable = sealed::unreadable(store, &vault).await?;
    if unreadable.is_empty() {
        return Ok(vec![well("keys", format!("{list} opens all that is sealed"))]);
    }
    let first = well("keys", format!("{list} has every key; {} records do not open", unreadable.len()));
    Ok([first]
        .into_iter()
        .chain(unreadable.iter().map(|one| wrong("sealed record", one.to_string())))
        .collect())
}

/// Its names and its days, and what is wrong with either.
fn of_certificate(shown: &Shown, needed: &[String], now: Timestamp) -> Finding {
    let left = shown.days_left(now);
    let says = format!("{shown}; {left} days left");
    let faults: Vec<_> = shown.is_out_of_time(now).into_iter().chain(shown.misses(needed)).collect();
    if !faults.is_empty() {
        return wrong("certificate", format!("{says}; {}", faults.join("; ")));
    }
    // Renewed a month before its end, as certbot does it, it never comes so far; some live a week in all.
    let is_well = (left >= ENOUGH_DAYS || now < shown.renew_at()).then_some(true);
    Finding { is_well, ..well("certificate", says) }
}

fn well(what: impl Into<String>, says: impl Into<String>) -> Finding {
    Finding { what: what.into(), is_well: Some(true), says: says.into() }
}

fn wrong(what: impl Into<String>, says: impl Into<String>) -> Finding {
    Finding { what: what.into(), is_well: Some(false), says: says.into() }
}
