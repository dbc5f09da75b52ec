//! Letters leave the outbox once, are sealed in it, and wait while nobody takes them.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::store::Where;

struct Office {
    mail: Mail,
    store: Store,
    clock: Clock,
    folder: tempfile::TempDir,
}

async fn office(smtp: Option<&str>) -> Office {
    let folder = tempfile::tempdir().unwrap();
    let place = Where::Sqlite(folder.path().join("test.db"));
    let store = Store::open(&place, CancellationToken::new()).await.unwrap();
    let clock = Clock::new();
    let vault = Vault::open(&folder.path().join("keys")).unwrap();
    let settings = Settings {
        smtp: smtp.map(|url| Secret::from(url.to_owned())),
        from: "Latchkey <latchkey@key.example>".to_owned(),
        folder: folder.path().join("mail"),
    };
    let mail = Mail::new(&settings, store.clone(), clock.clone(), vault).unwrap();
    Office { mail, store, clock, folder }
}

impl Office {
    async fn write(&self) {
        let mut tx = self.store.begin().await.unwrap();
        let letter = Letter {
            to: "ada@example.org".to_owned(),
            subject: "鑰匙".to_owned(),
            text: "Open https://key.example/reset?token=lkw_secret\n".to_owned(),
            lapses_at: self.clock.now().after(Duration::from_secs(3600)),
        };
        self.mail.enqueue(&mut tx, &letter).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn waiting(&self) -> i64 {
        rows::count(&mut self.store.read().await.unwrap()).await.unwrap()
    }

    async fn try_all(&self) -> usize {
        self.mail.send_due(&CancellationToken::new()).await.unwrap()
    }
}

#[tokio::test]
async fn without_a_server_a_letter_is_a_file_for_its_owner() {
    let office = office(None).await;
    office.write().await;
    let database = std::fs::read(office.folder.path().join("test.db-wal")).unwrap();
    assert!(!database.windows(10).any(|w| w == b"lkw_secret"), "a letter waits sealed");
    assert_eq!((office.try_all().await, office.waiting().await), (1, 0));
    let files: Vec<_> = std::fs::read_dir(office.folder.path().join("mail")).unwrap().collect();
    let [Ok(file)] = &files[..] else { panic!("{files:?}") };
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file.path()).unwrap();
    assert!(
        text.contains("To: ada@example.org\nSubject: 鑰匙\n") && text.contains("token=lkw_secret"),
        "{text}"
    );
    assert_eq!(office.try_all().await, 0, "once");
}

#[tokio::test]
async fn a_letter_waits_while_no_server_answers_and_is_given_up_when_it_is_of_no_use() {
    // Nothing listens on port 9 of this machine.
    let office = office(Some("smtp://127.0.0.1:9")).await;
    office.write().await;
    assert_eq!((office.try_all().await, office.waiting().await), (1, 1));
    assert_eq!(office.try_all().await, 0, "not again at once");
    office.clock.turn(AGAIN * 2);
    assert_eq!((office.try_all().await, office.waiting().await), (1, 1), "but later");
    office.clock.turn(Duration::from_secs(3600));
    assert_eq!((office.try_all().await, office.waiting().await), (1, 0), "not for ever");
}

#[tokio::test]
async fn a_server_far_away_is_spoken_to_in_secret() {
    let said = |url: &str| smtp(&Secret::from(url.to_owned())).map(drop).map_err(|err| err.to_string());
    for good in [
        "smtps://n:p@mail.example.com",
        "smtp://n:p@mail.example.com:587?tls=required",
        "smtp://127.0.0.1:2525",
        "smtp://localhost",
    ] {
        // The verifier of certificates is the process's.
        _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        assert_eq!(said(good), Ok(()), "{good}");
    }
    for bad in [
        "smtp://n:hunter2@mail.example.com",
        "smtp://mail.example.com?tls=opportunistic",
        "mail.example.com",
        "https://hunter2",
    ] {
        let err = said(bad).unwrap_err();
        assert!(err.contains("smtp_url") && !err.contains("hunter2"), "{err}");
    }
}

#[test]
fn an_address_is_one_a_letter_can_go_to() {
    for good in ["ada@example.org", "a.b+c@x.example", "ada@xn--bcher-kva.example"] {
        assert!(is_address(good), "{good}");
    }
    for bad in
        ["", "ada", "@b", "a@", "a b@c.example", "a@b\nBcc: c@d", &format!("{}@b.example", "a".repeat(250))]
    {
        assert!(!is_address(bad), "{bad:?}");
    }
}
