//! Timing: how long a wrong secret and an unknown name take. That both do the same work is tested where the work is
//! done; here the medians are told, and nothing hangs on them: machines are noisy.

use std::time::{Duration, Instant};

use kit::world::{Database, World};
use reqwest::StatusCode;
use shared::oauth::path;

const SAMPLES: usize = 200;
/// Failures from one place before it is told to wait; clients have twenty, people fewer.
const FROM_ONE_PLACE: usize = 4;

/// The median over the samples of each of two forms, sent in turns; both must be answered so.
async fn medians(
    world: &World,
    path: &str,
    forms: [&[(&str, &str)]; 2],
    status: StatusCode,
) -> [Duration; 2] {
    let mut took = [vec![], vec![]];
    for sample in 0..SAMPLES {
        let place = u8::try_from(sample / FROM_ONE_PLACE + 1).unwrap();
        let visitor = world.stranger().living_at([127, 0, 2, place].into());
        // The page brings what its form must carry, and opens the connection.
        let page = visitor.get("/sign-in").await.unwrap();
        let hidden = page.form(path).map(|form| form.fields).unwrap_or_default();
        let hidden: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (&**name, &**value)).collect();
        // Whoever comes first finds things cold.
        let order = if sample % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let own = hidden.iter().filter(|(name, _)| forms[which].iter().all(|(other, _)| other != name));
            let fields: Vec<_> = own.chain(forms[which]).copied().collect();
            let began = Instant::now();
            let answer = visitor.post(path, &fields).await.unwrap();
            assert_eq!(answer.status, status, "{answer:?}");
            took[which].push(began.elapsed());
        }
        world.clock().turn(Duration::from_secs(3600)); // nobody is slowed for what came before
    }
    took.map(|mut took| {
        took.sort();
        took[SAMPLES / 2]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute"]
async fn long_unknown_names_take_as_long_as_wrong_secrets() {
    let world = World::new(Database::Sqlite).await;
    let client =
        world.register(&["--kind", "web", "--name", "A Program", "--redirect-uri", "https://a.example/cb"]);
    let form = |id| {
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", "x"),
            ("client_id", id),
            ("client_secret", "wrong"),
        ]
    };
    let forms = [&form(&client.id)[..], &form("a-program-nobody-knows")];
    let [wrong, unknown] = medians(&world, path::TOKEN, forms, StatusCode::UNAUTHORIZED).await;
    println!("TK-15: wrong secret {wrong:?}, unknown client {unknown:?} (medians of {SAMPLES})");

    let form = |email| [("email", email), ("password", "not the password at all")];
    let forms = [&form(&*world.owner().identity.email)[..], &form("nobody@example.org")];
    let [wrong, unknown] = medians(&world, "/sign-in", forms, StatusCode::FORBIDDEN).await;
    println!("WB-05: wrong password {wrong:?}, unknown account {unknown:?} (medians of {SAMPLES})");
    world.end().await;
}
