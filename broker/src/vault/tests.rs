//! What a vault promises, and its key list.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::*;

const PLACE: Place = Place { table: "tunnel_token", column: "token_sealed", row: 7 };

fn vault(ids: &[&str]) -> Vault {
    let lines = ids.iter().map(|id| format!("{id}/{}\n", BASE64_STANDARD.encode([id.len() as u8; 32])));
    let list = Arc::new(KeyList::parse(&lines.collect::<String>()).unwrap());
    Vault(Arc::new(Inner { path: "nowhere".into(), known: RwLock::new(Known { list, stamp: None }) }))
}

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

#[test]
fn a_record_opens_in_its_place_only() {
    let vault = vault(&["k1"]);
    let secret = secret("hunter2");
    let sealed = vault.seal(&secret, PLACE);
    assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
    assert_ne!(sealed, vault.seal(&secret, PLACE), "sealing twice must not look alike");
    assert_eq!(vault.unseal(&sealed, PLACE).unwrap().expose(), "hunter2");
    assert!(vault.unseal(&sealed, Place { row: 8, ..PLACE }).is_err());
    for index in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[index] ^= 1;
        assert!(vault.unseal(&altered, PLACE).is_err(), "byte {index}");
        assert!(vault.unseal(&sealed[..index], PLACE).is_err(), "cut at {index}");
    }
}

#[test]
fn an_older_key_still_opens_and_a_missing_one_is_named() {
    let sealed = vault(&["old"]).seal(&secret("x"), PLACE);
    assert_eq!(key_in(&sealed), Some("old"));
    assert!(sealed.starts_with(&prefix("old")));
    assert!(vault(&["k22222", "old"]).unseal(&sealed, PLACE).is_ok());
    let err = vault(&["k1"]).unseal(&sealed, PLACE).unwrap_err();
    assert!(err.to_string().contains("key old is missing"), "{err}");
}

#[test]
fn a_bad_key_list_says_which_line() {
    let waits = format!("+k1/{}\n", BASE64_STANDARD.encode([1; 32]));
    let twice = format!("k1/{0}\nk1/{0}\n", BASE64_STANDARD.encode([1; 32]));
    for (text, says) in [
        ("", "no key"),
        ("k1/abc\n", "line 1"),
        ("\nk 1/AAAA\n", "line 2"),
        (&twice, "k1 again"),
        (&waits, "no key"),
    ] {
        let err = format!("{:#}", KeyList::parse(text).err().unwrap());
        assert!(err.contains(says), "{err}");
    }
}

#[test]
fn a_new_list_is_private_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let sealed = Vault::open(&path).unwrap().seal(&secret("x"), PLACE);
    assert!(Vault::open(&path).unwrap().unseal(&sealed, PLACE).is_ok());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Vault::open(&path).unwrap_err().to_string().contains("chmod 600"));
}

#[test]
fn a_running_vault_follows_its_list() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let running = Vault::open(&path).unwrap();
    let reader = Vault::open(&path).unwrap();
    let before = running.seal(&secret("before"), PLACE);

    let turn = KeyList::turn(&path).unwrap();
    assert!(KeyList::turn(&path).err().unwrap().to_string().contains("another"));
    running.current().and_new_key().replace(&path, &turn).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(key_in(&running.seal(&secret("x"), PLACE)), key_in(&before), "a key that waits does not seal");
    let waiting = running.current().waiting().unwrap().to_owned();
    assert_eq!(running.current().ids().last(), Some(&*waiting));
    running.current().led_by(&waiting).replace(&path, &turn).unwrap();
    assert_eq!(running.current().waiting(), None);
    let after = running.seal(&secret("after"), PLACE);
    assert_ne!(key_in(&before), key_in(&after), "the new key seals at once");
    assert_eq!(reader.unseal(&after, PLACE).unwrap().expose(), "after", "a key added after the start");
    assert_eq!(running.unseal(&before, PLACE).unwrap().expose(), "before");

    let old = key_in(&before).unwrap();
    running.current().without(old).replace(&path, &turn).unwrap();
    drop(turn);
    assert_eq!(running.current().ids().count(), 1);
    assert!(running.unseal(&before, PLACE).is_err(), "a retired key opens nothing");
    KeyList::turn(&path).unwrap();

    fs::write(&path, "nonsense").unwrap();
    assert_eq!(key_in(&running.seal(&secret("x"), PLACE)), key_in(&after), "a broken list is not taken over");
    fs::remove_file(&path).unwrap();
    assert!(running.unseal(&after, PLACE).is_ok());
}

#[test]
fn a_list_that_root_changes_belongs_to_its_broker_still() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let vault = Vault::open(&path).unwrap();
    let brokers = (54_321, 54_322);
    // Only root may give a file away, and for others there is nothing to be shown.
    if chown(&path, Some(brokers.0), Some(brokers.1)).is_err() {
        return;
    }
    let turn = KeyList::turn(&path).unwrap();
    vault.current().and_new_key().replace(&path, &turn).unwrap();
    for file in ["keys", "keys.lock"] {
        let about = fs::metadata(folder.path().join(file)).unwrap();
        assert_eq!(
            ((about.uid(), about.gid()), about.permissions().mode() & 0o777),
            (brokers, 0o600),
            "{file}"
        );
    }
}

#[test]
fn every_sealed_column_of_the_schema_is_listed() {
    for (database, schema) in [
        ("sqlite", include_str!("../../migrations/sqlite/0001_first.sql")),
        ("postgres", include_str!("../../migrations/postgres/0001_first.sql")),
    ] {
        let mut sealed = sealed_columns(schema);
        let mut listed: Vec<_> = COLUMNS.iter().map(|column| (column.table, column.column)).collect();
        sealed.sort_unstable();
        listed.sort_unstable();
        assert_eq!(sealed, listed, "{database}");
    }
    let planted = "CREATE TABLE a (\n    id BIGINT,\n    secret_sealed BYTEA\n);\n";
    assert_eq!(sealed_columns(planted), [("a", "secret_sealed")]);
}

/// Tables and columns whose name ends in `sealed`.
fn sealed_columns(schema: &str) -> Vec<(&str, &str)> {
    let (mut table, mut found) = ("", Vec::new());
    for line in schema.lines() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            table = rest.split(' ').next().unwrap();
        }
        let column = line.split_whitespace().next().unwrap_or("");
        let is_column = line.starts_with("    ");
        if is_column && column.ends_with("sealed") {
            found.push((table, column));
        }
    }
    found
}
