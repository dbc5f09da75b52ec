//! What sealing anew promises; the stories tell it with real programs and on both databases.

use std::fs;

use shared::secret::Secret;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::mail::{self, Letter, Mail};
use crate::store::Where;
use crate::vault::KeyList;

struct Ground {
    store: Store,
    vault: Vault,
    mail: Mail,
    folder: tempfile::TempDir,
}

impl Ground {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Where::Sqlite(folder.path().join("test.db"));
        let store = Store::open(&place, CancellationToken::new()).await.unwrap();
        let vault = Vault::open(&folder.path().join("keys")).unwrap();
        let settings = mail::Settings {
            smtp: None,
            from: "Latchkey <latchkey@key.example>".to_owned(),
            folder: folder.path().join("mail"),
        };
        let mail = Mail::new(&settings, store.clone(), Clock::new(), vault.clone()).unwrap();
        note(&store, &vault).await.unwrap();
        Self { store, vault, mail, folder }
    }

    async fn write(&self, letters: usize) {
        let mut tx = self.store.begin().await.unwrap();
        for number in 0..letters {
            let letter = Letter {
                to: format!("{number}@example.org"),
                subject: "hello".to_owned(),
                text: format!("letter {number}"),
                lapses_at: Clock::new().now().after(Duration::from_secs(3600)),
            };
            self.mail.enqueue(&mut tx, &letter).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// A new key in front of the list.
    fn new_key(&self) -> String {
        let turn = KeyList::turn(self.vault.path()).unwrap();
        let list = self.vault.current().and_new_key();
        list.led_by(list.waiting().unwrap()).replace(self.vault.path(), &turn).unwrap();
        self.vault.current().active().0.to_owned()
    }

    async fn count(&self, key: &str) -> i64 {
        let counts = counts(&self.store).await.unwrap();
        counts.get(key).map_or(0, |records| records.iter().map(|(_, records)| records).sum())
    }

    /// The letters' rows as they are.
    async fn letters(&self) -> Vec<(i64, Vec<u8>)> {
        rows::all(&mut self.store.read().await.unwrap(), COLUMNS[0], i64::MIN, 999).await.unwrap()
    }

    async fn alter(&self, (row, sealed): &(i64, Vec<u8>), how: impl FnOnce(&mut Vec<u8>)) {
        let mut altered = sealed.clone();
        how(&mut altered);
        let mut tx = self.store.begin().await.unwrap();
        assert!(rows::replace(&mut tx, COLUMNS[0], *row, sealed, &altered).await.unwrap());
        tx.commit().await.unwrap();
    }

    async fn says(&self) -> String {
        format!("{:#}", check(&self.store, &self.vault).await.unwrap_err())
    }
}

#[tokio::test]
async fn all_is_sealed_anew_also_after_a_stop_in_the_middle() {
    let ground = Ground::new().await;
    let many = 3 * AT_ONCE as usize + 7;
    ground.write(many).await;
    let old = ground.vault.current().active().0.to_owned();
    let new = ground.new_key();
    {
        // Dropped in the middle, as a kill would end it.
        let stop = std::cell::Cell::new(false);
        let work = reseal(&ground.store, &ground.vault, |done| stop.set(done >= 2 * AT_ONCE as u64));
        tokio::pin!(work);
        std::future::poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            if stop.get() {
                std::task::Poll::Ready(())
            } else {
                polled.map(|_| panic!("it was to be stopped"))
            }
        })
        .await;
    }
    let (before, after) = (ground.count(&old).await, ground.count(&new).await);
    assert_eq!(before + after, many as i64);
    assert!(after >= 2 * AT_ONCE && before > 0, "{before} and {after}");
    check(&ground.store, &ground.vault).await.unwrap();

    let rest = reseal(&ground.store, &ground.vault, |_| ()).await.unwrap();
    // What was on its way to the disk may have arrived after all.
    assert!(rest.done <= before as u64 && rest.unreadable == 0, "{rest:?} of {before}");
    assert_eq!((ground.count(&old).await, ground.count(&new).await), (0, many as i64));
    while ground.mail.send_due(&CancellationToken::new()).await.unwrap() > 0 {}
    let letters = fs::read_dir(ground.folder.path().join("mail")).unwrap().count();
    assert_eq!(letters, many, "every letter can be opened");
}

#[tokio::test]
async fn one_that_was_changed_meanwhile_stays_as_somebody_else_wrote_it() {
    let ground = Ground::new().await;
    ground.write(1).await;
    ground.new_key();
    let prefix = vault::prefix(ground.vault.current().active().0);
    let some =
        rows::others(&mut ground.store.read().await.unwrap(), COLUMNS[0], &prefix, 0, 9).await.unwrap();
    let (row, old) = &some[0];
    let theirs = ground.vault.seal(&Secret::from("theirs".to_owned()), COLUMNS[0].of(*row));
    let mut tx = ground.store.begin().await.unwrap();
    assert!(rows::replace(&mut tx, COLUMNS[0], *row, old, &theirs).await.unwrap());
    tx.commit().await.unwrap();
    let late = batch(&ground.store, &ground.vault, COLUMNS[0], &some).await.unwrap();
    assert_eq!(late, Resealed::default());
    let kept = ground.letters().await;
    assert_eq!(kept, [(*row, theirs)]);
}

#[tokio::test]
async fn one_that_was_altered_is_named_and_keeps_nothing_else_back() {
    let ground = Ground::new().await;
    ground.write(3).await;
    let old = ground.vault.current().active().0.to_owned();
    let rows = ground.letters().await;
    let (row, _) = rows[1];
    ground.alter(&rows[1], |sealed| *sealed.last_mut().unwrap() ^= 1).await;
    check(&ground.store, &ground.vault).await.unwrap();
    let new = ground.new_key();
    let resealed = reseal(&ground.store, &ground.vault, |_| ()).await.unwrap();
    assert_eq!(resealed, Resealed { done: 2, unreadable: 1 });
    assert_eq!(ground.count(&old).await, 1);

    // All that the old key still names does not open: that is no reason to refuse a start.
    check(&ground.store, &ground.vault).await.unwrap();
    let named = unreadable(&ground.store, &ground.vault).await.unwrap();
    let [one] = &named[..] else { panic!("{named:?}") };
    assert_eq!((one.column.table, one.row, one.key.as_deref()), ("letter", row, Some(&*old)));
    let said = one.to_string();
    assert!(said.contains(&format!("letter.sealed of row {row}")) && said.contains("altered"), "{said}");
    assert_eq!(in_use(&ground.store, &ground.vault).await.unwrap(), [new]);
}

#[tokio::test]
async fn one_whose_beginning_was_altered_names_no_missing_key() {
    let ground = Ground::new().await;
    ground.write(4).await;
    let rows = ground.letters().await;
    // Its version, the length of its key's id, and the id itself.
    for (at, letter) in rows.iter().take(3).enumerate() {
        ground.alter(letter, |sealed| sealed[at] ^= 1).await;
        check(&ground.store, &ground.vault).await.unwrap();
        let named = unreadable(&ground.store, &ground.vault).await.unwrap();
        assert_eq!(named.iter().map(|one| one.row).collect::<Vec<_>>(), row_numbers(&rows[..=at]));
    }
    let left = in_use(&ground.store, &ground.vault).await.unwrap();
    assert_eq!(left, [ground.vault.current().active().0]);
}

fn row_numbers(rows: &[(i64, Vec<u8>)]) -> Vec<i64> {
    rows.iter().map(|(row, _)| *row).collect()
}

#[tokio::test]
async fn a_key_that_is_missing_or_another_is_named_at_the_start() {
    let ground = Ground::new().await;
    check(&ground.store, &ground.vault).await.unwrap();
    ground.write(4).await;
    check(&ground.store, &ground.vault).await.unwrap();
    let path = ground.vault.path();
    let list = fs::read_to_string(path).unwrap();
    let id = ground.vault.current().active().0.to_owned();

    fs::remove_file(path).unwrap();
    let lost = Ground { vault: Vault::open(path).unwrap(), ..ground };
    let says = lost.says().await;
    assert!(
        says.contains(&format!("lacks the key {id}")) && says.contains("4 (4 in letter.sealed)"),
        "{says}"
    );

    let other = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    fs::write(lost.vault.path(), format!("{id}/{other}\n")).unwrap();
    let says = lost.says().await;
    assert!(says.contains(&format!("key {id}")) && says.contains("not the one"), "{says}");
    fs::write(lost.vault.path(), list).unwrap();
    check(&lost.store, &lost.vault).await.unwrap();
}
