//! What the operator wants to know of the certificate that the broker orders: `latchkey-broker doctor`.

use std::collections::BTreeSet;

use super::ways::Ways;
use super::{asked_for, of, rows};
use crate::clock::Timestamp;
use crate::config::Acme;
use crate::http::certificate::Shown;
use crate::store::Store;
use crate::tunnels::provider::Finding;

/// What the certificate in use says of itself.
///
/// # Errors
/// Why there is none, in words.
pub async fn shown(store: &Store, given: &Acme) -> anyhow::Result<Result<Shown, String>> {
    let row = rows::find(&mut *store.read().await?).await?;
    Ok(match row.made {
        Some((_, chain, _)) => Shown::read(chain.as_bytes()).map_err(|misfit| misfit.to_string()),
        None => Err(format!(
            "there is none yet, and the broker refuses every connection until {} has issued one",
            given.directory
        )),
    })
}

/// How its renewal goes, and whether the records that prove its names can be written.
///
/// # Errors
/// When our own database does not answer.
pub async fn examine(
    store: &Store,
    given: &Acme,
    needed: &[String],
    now: Timestamp,
) -> anyhow::Result<Vec<Finding>> {
    let names = asked_for(needed);
    let row = rows::find(&mut *store.read().await?).await?;
    let is_other = row.made.as_ref().is_none_or(|(its, ..)| *its != of(given, &names));
    let (is_well, says) = match &row.trouble {
        Some((why, since)) => (
            Some(false),
            format!(
                "fails since {since} ({} tries), and is tried again at {}: {why}",
                row.tries,
                row.due_at.max(now)
            ),
        ),
        None if is_other => (None, format!("{} is ordered from {} next", names.join(", "), given.directory)),
        None => (Some(true), format!("is ordered anew at {} from {}", row.renew_at, given.directory)),
    };
    let mut found = vec![Finding { what: "renewal".to_owned(), is_well, says }];
    let ways = Ways::new(given)?;
    let proofs: BTreeSet<_> = names.iter().map(|name| name.trim_start_matches("*.")).collect();
    for name in proofs {
        let examined = ways.examine(&format!("_acme-challenge.{name}")).await;
        let (is_well, says) = match examined {
            Ok(says) => (Some(true), says),
            Err(says) => (Some(false), says),
        };
        found.push(Finding { what: format!("proof of {name}"), is_well, says });
    }
    Ok(found)
}
