//! `latchkey-broker audit …`: the list of who did what, for files and for doubts.

use std::io::Write;

use anyhow::{Context as _, bail};

use crate::audit::{self, Chain, hex};
use crate::config::AuditCommand;
use crate::store::Store;

/// Entries read at once.
const SOME: i64 = 500;

pub async fn run(store: &Store, command: AuditCommand, out: &mut impl Write) -> anyhow::Result<()> {
    match command {
        AuditCommand::Export { after } => export(store, after, out).await,
        AuditCommand::Verify => match audit::verify(&mut *store.read().await?).await? {
            Chain::Whole { entries, end } => {
                Ok(writeln!(out, "whole: {entries} entries, the last hash is {}", hex(&end))?)
            }
            Chain::Broken { at } => bail!("the chain is broken: entry {at} is missing or was changed"),
        },
    }
}

async fn export(store: &Store, mut after: i64, out: &mut impl Write) -> anyhow::Result<()> {
    loop {
        let some = audit::after(&mut *store.read().await?, after, SOME).await?;
        let Some(last) = some.last() else { return Ok(()) };
        after = last.number;
        for entry in &some {
            let line = serde_json::to_string(entry).context("write an entry as JSON")?;
            writeln!(out, "{line}")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Act, Entry};
    use crate::clock::Timestamp;
    use crate::store::Where;

    async fn said(store: &Store, command: AuditCommand) -> anyhow::Result<String> {
        let mut out = Vec::new();
        run(store, command, &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn the_list_is_exported_a_line_an_entry_and_its_chain_is_walked() {
        let folder = tempfile::tempdir().unwrap();
        let place = Where::Sqlite(folder.path().join("test.db"));
        let store = Store::open(&place, tokio_util::sync::CancellationToken::new()).await.unwrap();
        assert_eq!(said(&store, AuditCommand::Export { after: 0 }).await.unwrap(), "");
        for number in 0..SOME + 3 {
            let mut tx = store.begin().await.unwrap();
            let entry = Entry::new(Act::SignedIn).with("number", number);
            audit::note(&mut tx, &entry, Timestamp::from_millis(number)).await.unwrap();
            tx.commit().await.unwrap();
        }
        let all = said(&store, AuditCommand::Export { after: 0 }).await.unwrap();
        assert_eq!(all.lines().count() as i64, SOME + 3, "LG-01");
        let line: serde_json::Value = serde_json::from_str(all.lines().next().unwrap()).unwrap();
        assert_eq!((line["number"].as_i64(), line["act"].as_str()), (Some(1), Some("session.begun")));
        assert_eq!(line["facts"]["number"], "0");
        let rest = said(&store, AuditCommand::Export { after: SOME }).await.unwrap();
        assert_eq!(rest.lines().count(), 3);
        let whole = said(&store, AuditCommand::Verify).await.unwrap();
        assert!(whole.starts_with(&format!("whole: {} entries", SOME + 3)), "{whole}");
    }
}
