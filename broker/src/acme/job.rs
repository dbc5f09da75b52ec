//! One attempt at a certificate, under the lease that lets nobody else in (RFC 8555 section 7.4).
//!
//! What is asked for is written down before it is asked for: the account's key, the DNS records, the order and the
//! key of its certificate. So whatever call a crash cuts off, or whatever answer is lost, the next attempt goes on
//! with the same account and the same order, and knows which records may lie about.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::Context as _;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, Key, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use shared::secret::Secret;
use tokio::time::sleep;

use super::rows::{self, Row};
use super::stuck::{Stuck, in_words, is_passing};
use super::ways::Record;
use super::{Inner, place};
use crate::chance;
use crate::http::certificate;
use crate::store;
use crate::vault::Closed;

/// A CA takes seconds; after so long the attempt is given up, and a later one goes on with the order.
const POLLING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));
/// However short a certificate lives, or however a clock is wrong: no two are ordered within so long.
const LEAST: Duration = Duration::from_secs(3600);

/// An attempt.
pub struct Job<'a> {
    pub inner: &'a Inner,
    pub lease: i64,
    pub row: Row,
}

type Result<T, E = Stuck> = std::result::Result<T, E>;

impl Job<'_> {
    /// Removes what an earlier attempt left, orders a certificate if one is due, and removes what that needed.
    pub async fn run(&mut self) -> Result<()> {
        // Must not keep a certificate from being renewed; what stays is tried again below.
        let left = self.clean().await;
        if !self.inner.is_due(&self.row) {
            return left;
        }
        let ordered = self.order().await;
        if ordered.as_ref().is_err_and(Stuck::ends_order) {
            self.row.order = None;
            self.write(async |tx, lease| rows::drop_order(tx, lease).await).await?;
        }
        let cleaned = self.clean().await;
        ordered.and(cleaned)
    }

    /// Removes every DNS record that may be there.
    pub async fn clean(&mut self) -> Result<()> {
        let mut kept = Vec::new();
        let mut wrong = None;
        for record in &self.row.records {
            if let Err(stuck) = self.inner.ways.remove(record).await {
                kept.push(record.clone());
                wrong.get_or_insert(stuck);
            }
        }
        if kept.len() < self.row.records.len() {
            self.row.records = kept;
            let records = &self.row.records;
            self.write(async |tx, lease| rows::save_records(tx, lease, records).await).await?;
        }
        wrong.map_or(Ok(()), Err)
    }

    async fn order(&mut self) -> Result<()> {
        let account = self.account().await?;
        let (mut order, key) = self.begun(&account).await?;
        if order.state().status == OrderStatus::Pending {
            self.prove(&mut order).await?;
        }
        if order.state().status == OrderStatus::Ready {
            order.finalize_csr(&self.request(&key)?).await?;
        }
        let chain = match order.state().status {
            OrderStatus::Valid => order.certificate().await?.unwrap_or_default(),
            _ => order.poll_certificate(&POLLING).await?,
        };
        self.take(&chain, &key).await
    }

    /// The account of our key; the same question makes it, and finds it again (section 7.3.1).
    async fn account(&mut self) -> Result<Account> {
        let Inner { vault, given, .. } = self.inner;
        let directory = given.directory.as_str();
        let here = place("account_sealed");
        let known = self.row.account.as_ref().filter(|(of, _)| of == directory);
        let (key, pkcs8) = match known.map(|(_, sealed)| vault.unseal(sealed, here)) {
            Some(Err(closed @ Closed::NoKey { .. })) => return Err(Stuck::Key(closed.into())),
            Some(Ok(pkcs8)) => {
                let pkcs8 = BASE64_STANDARD
                    .decode(pkcs8.expose())
                    .context("the account's key")
                    .map_err(Stuck::Key)?;
                let pkcs8 = PrivatePkcs8KeyDer::from(pkcs8);
                (Key::from_pkcs8_der(pkcs8.clone_key())?, pkcs8)
            }
            // An account more costs nothing; one whose key was altered is of no use to anybody.
            None | Some(Err(Closed::Altered { .. })) => {
                let (key, pkcs8) = Key::generate_pkcs8()?;
                let sealed = Secret::from(BASE64_STANDARD.encode(pkcs8.secret_pkcs8_der()));
                let sealed = vault.seal(&sealed, here);
                self.write(async |tx, lease| rows::save_account(tx, lease, directory, &sealed).await).await?;
                (self.row.contact, self.row.order) = (None, None);
                self.row.account = Some((directory.to_owned(), sealed));
                (key, pkcs8)
            }
        };
        let builder = Account::builder_with_http(Box::new(self.inner.wire.clone()));
        let (account, _) =
            builder.create_from_key((key, PrivateKeyDer::Pkcs8(pkcs8)), directory.to_owned()).await?;
        if self.row.contact != given.contact {
            let contact = given.contact.as_deref();
            let address = contact.map(|contact| format!("mailto:{contact}"));
            account.update_contacts(&address.as_deref().into_iter().collect::<Vec<_>>()).await?;
            self.write(async |tx, lease| rows::save_contact(tx, lease, contact).await).await?;
        }
        Ok(account)
    }

    /// The order that was begun, if it can still come to something, else a new one; and the key it is for.
    async fn begun(&mut self, account: &Account) -> Result<(Order, KeyPair)> {
        let Inner { vault, of, names, .. } = self.inner;
        let here = place("order_key_sealed");
        if let Some((_, url, sealed)) = self.row.order.as_ref().filter(|(its, ..)| its == of) {
            match account.order(url.clone()).await {
                Ok(mut order) => {
                    if order.state().status != OrderStatus::Invalid {
                        return Ok((order, self.key(sealed)?));
                    }
                }
                // The CA has forgotten it.
                Err(Error::Api(problem)) if !is_passing(&problem) => {}
                Err(err) => return Err(err.into()),
            }
        }
        let identifiers: Vec<_> = names.iter().cloned().map(Identifier::Dns).collect();
        let order = account.new_order(&NewOrder::new(&identifiers)).await?;
        let key = KeyPair::generate().context("make a key").map_err(Stuck::Key)?;
        let sealed = vault.seal(&Secret::from(key.serialize_pem()), here);
        let begun = (of.as_str(), order.url(), sealed.as_slice());
        self.write(async |tx, lease| rows::save_order(tx, lease, begun).await).await?;
        self.row.order = Some((of.clone(), order.url().to_owned(), sealed));
        Ok((order, key))
    }

    fn key(&self, sealed: &[u8]) -> Result<KeyPair> {
        let opened = self.inner.vault.unseal(sealed, place("order_key_sealed"));
        let key = opened.map_err(anyhow::Error::from).and_then(|pem| Ok(KeyPair::from_pem(pem.expose())?));
        key.context("the key of the certificate that is ordered").map_err(Stuck::Key)
    }

    /// Shows the CA that the names are ours (section 8.4).
    async fn prove(&mut self, order: &mut Order) -> Result<()> {
        let mut records = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let mut authorization = next?;
            let name = challenge_name(authorization.identifier().identifier);
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let offered = authorization.challenge(ChallengeType::Dns01);
            let challenge = offered.ok_or(Error::Unsupported("dns-01, which alone proves a wildcard"))?;
            records.push(Record { name, value: challenge.key_authorization().dns_value() });
        }
        self.row.records.extend(records.iter().cloned());
        let all = &self.row.records;
        self.write(async |tx, lease| rows::save_records(tx, lease, all).await).await?;
        // Several may stand under one name: that of a domain and that of its wildcard.
        let mut wait = Duration::ZERO;
        for record in records.iter().collect::<HashSet<_>>() {
            wait = wait.max(self.inner.ways.present(record).await?);
        }
        // A CA that looks too soon counts it as a failure, and remembers that nothing was there.
        sleep(wait).await;
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let mut authorization = next?;
            if authorization.status == AuthorizationStatus::Pending
                && let Some(mut challenge) = authorization.challenge(ChallengeType::Dns01)
            {
                challenge.set_ready().await?;
            }
        }
        match order.poll_ready(&POLLING).await {
            Ok(OrderStatus::Invalid) | Err(Error::Api(_)) => Err(refusal(order).await?),
            polled => Ok(polled.map(drop)?),
        }
    }

    /// The request for our names and this key, DER (section 7.4, RFC 2986).
    fn request(&self, key: &KeyPair) -> Result<Vec<u8>> {
        let made = || {
            let mut params = CertificateParams::new(self.inner.names.clone())?;
            params.distinguished_name = DistinguishedName::new();
            anyhow::Ok(params.serialize_request(key)?.der().to_vec())
        };
        made().context("make the certificate's request").map_err(Stuck::Key)
    }

    /// Looks at what was issued before it takes the place of the one in use.
    async fn take(&mut self, chain: &str, key: &KeyPair) -> Result<()> {
        let Inner { vault, clock, names, of, .. } = self.inner;
        let pem = Secret::from(key.serialize_pem());
        let fit = certificate::fit(chain.as_bytes(), pem.expose().as_bytes());
        let (_, shown) = fit.map_err(|misfit| Stuck::Unfit(misfit.to_string()))?;
        let now = clock.now();
        if let Some(why) = shown.is_out_of_time(now).into_iter().chain(shown.misses(names)).next() {
            return Err(Stuck::Unfit(why));
        }
        // Up to a fiftieth sooner, so that not all who began together renew together.
        let renew_at = shown.renew_at();
        let sooner = renew_at.since(shown.not_before()).mul_f64((chance::bits() % 1000) as f64 / 50_000.0);
        let renew_at = renew_at.before(sooner).max(now.after(LEAST));
        let sealed = vault.seal(&pem, place("key_sealed"));
        let made = (of.as_str(), chain, sealed.as_slice());
        self.write(async |tx, lease| rows::save_made(tx, lease, made, renew_at).await).await
    }

    /// Writes something down, if the work is still ours.
    async fn write(&self, work: impl AsyncFnOnce(&mut store::Db, i64) -> store::Result<bool>) -> Result<()> {
        let mut tx = self.inner.store.begin().await?;
        let is_ours = work(&mut tx, self.lease).await?;
        tx.commit().await?;
        if is_ours { Ok(()) } else { Err(Stuck::Lost) }
    }
}

/// Where the CA looks for the proof of a name; a wildcard's is its domain's (RFC 8555 section 8.4).
fn challenge_name(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Dns(name) => format!("_acme-challenge.{name}"),
        // We ask for no other.
        _ => String::new(),
    }
}

/// Which names an order failed for, and why: its own error says neither.
async fn refusal(order: &mut Order) -> Result<Stuck> {
    order.refresh().await?;
    let mut failed = BTreeMap::new();
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let authorization = next?;
        if let Some(problem) = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref())
        {
            failed.insert(authorization.identifier().to_string(), in_words(problem));
        }
    }
    let names = failed.keys().cloned().collect::<Vec<_>>().join(" and ");
    let why = failed.into_values().next();
    let own = || order.state().error.as_ref().map_or_else(|| "it gives no reason".to_owned(), in_words);
    Ok(Stuck::Unproved { names, why: why.unwrap_or_else(own) })
}
