//! What may be said in one place only: SQL, warp, the environment, the wall clock, a provider's address.

use super::{File, hold};

/// Something that is said in certain files only.
struct Place {
    /// What is looked for in the code outside of tests.
    words: &'static [&'static str],
    /// The crates it is looked for in; their `src` folders.
    crates: &'static [&'static str],
    /// Where it is at home: a file, a folder (with a slash at its end), or a file's name in any folder.
    homes: &'static [&'static str],
    /// The reason, for whoever runs into it.
    why: &'static str,
}

const BOTH: &[&str] = &["broker", "agent", "shared"];

const PLACES: &[Place] = &[
    Place {
        words: &["sqlx::", "sqlx_core::", "rusqlite::"],
        crates: BOTH,
        homes: &["broker/src/store.rs", "broker/src/store/", "rows.rs"],
        why: "rows.rs holds a feature's SQL and store.rs is the one door to the database",
    },
    Place {
        words: &["warp::"],
        crates: BOTH,
        homes: &[
            "broker/src/http.rs",
            "broker/src/http/",
            "web.rs",
            "broker/src/relay/agent.rs",
            "broker/src/relay/viewer.rs",
            "broker/src/app.rs",
            "agent/src/ingress.rs",
            "agent/src/ingress/",
        ],
        why: "web.rs holds a feature's routes; its rules never see the web",
    },
    Place {
        words: &["api.cloudflare.com"],
        crates: BOTH,
        homes: &["broker/src/tunnels/cloudflare.rs"],
        why: "one file knows that provider",
    },
    Place {
        words: &["env::var", "env::vars", "env::set_var"],
        crates: BOTH,
        homes: &["broker/src/config.rs", "broker/src/config/", "agent/src/config.rs", "agent/src/config/"],
        why: "every setting is read once, in config",
    },
    Place {
        words: &["SystemTime::now", "Timestamp::now", "Utc::now", "Zoned::now"],
        crates: &["broker"],
        homes: &["broker/src/clock.rs"],
        why: "time is handed in; tests turn the clock",
    },
    Place {
        words: &["tokio::spawn", "task::spawn(", "thread::spawn"],
        crates: BOTH,
        homes: &[
            "broker/src/http.rs",
            "broker/src/http/",
            "broker/src/app.rs",
            "broker/src/store/sqlite.rs", // the one writer; it ends with its connection, and `close` waits for that
            "agent/src/tasks.rs",
        ],
        why: "whoever starts a task waits for it: start it through the task keeper",
    },
];

#[test]
fn some_things_are_said_in_one_place_only() {
    for place in PLACES {
        for (words, name) in
            place.words.iter().flat_map(|words| place.crates.iter().map(move |name| (words, name)))
        {
            let path = format!("{name}/src/planted.rs");
            hold(misplaced, &[(&path, &format!("//! a\nfn a() {{ {words}(\"x\"); }}\n"))]);
        }
    }
}

#[test]
fn a_place_is_a_file_a_folder_or_a_name() {
    let homes = &["broker/src/store.rs", "broker/src/http/", "rows.rs"];
    for at_home in ["broker/src/store.rs", "broker/src/http/page.rs", "broker/src/oauth/rows.rs"] {
        assert!(is_at_home(at_home, homes), "{at_home}");
    }
    for away in ["broker/src/storehouse.rs", "broker/src/https/page.rs", "broker/src/oauth/arrows.rs"] {
        assert!(!is_at_home(away, homes), "{away}");
    }
}

fn misplaced(tree: &[File]) -> Vec<String> {
    let mut offences = Vec::new();
    for (place, file) in PLACES.iter().flat_map(|place| tree.iter().map(move |file| (place, file))) {
        let is_held = place.crates.iter().any(|name| file.path.starts_with(&format!("{name}/src/")));
        if !is_held || !file.is_rust() || is_at_home(&file.path, place.homes) {
            continue;
        }
        for (number, line) in file.production() {
            let said = place.words.iter().filter(|words| line.contains(**words));
            offences.extend(said.map(|words| format!("{}:{number}: {words} here; {}", file.path, place.why)));
        }
    }
    offences
}

fn is_at_home(path: &str, homes: &[&str]) -> bool {
    homes.iter().any(|home| match home {
        folder if folder.ends_with('/') => path.starts_with(folder),
        file if file.contains('/') => path == *file,
        name => path.rsplit('/').next() == Some(name),
    })
}
