//! `cargo verify`: everything that must hold, in one command, on a fresh machine too.
//!
//! 1. what is missing is installed (as root on Debian) or named;
//! 2. a real Home Assistant and a PostgreSQL cluster start while the code is compiled;
//! 3. formatting, lints, documentation, then every test, with that home and that cluster in its environment.
//!
//! A step that fails is named at the end and the rest still runs. The last line is `N passed, N failed,
//! N skipped`; the exit code is 0 only if nothing failed.

mod count;
mod machine;
mod steps;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use kit::home_assistant::HomeAssistant;
use kit::judge;
use kit::postgres::{self, Durability, Postgres};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use count::Count;
use steps::{Steps, cargo};

/// Checks everything: formatting, lints, documentation and all tests, against a real Home Assistant.
#[derive(Debug, Parser)]
#[command(
    name = "cargo verify",
    bin_name = "cargo verify",
    after_help = "Exit codes: 0 all is well, 1 something failed."
)]
struct Arguments {
    /// Also run the tests that take minutes (ignored ones whose names begin with long_)
    #[arg(long)]
    long: bool,
    /// Run only the tests whose names contain this, and none of the other checks
    #[arg(long, value_name = "PART-OF-A-NAME")]
    only: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    kit::install_tls();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let all_well = runtime.block_on(async {
        let mut stop = signal(SignalKind::terminate()).expect("signals can be heard");
        // Dropping the future stops whatever it has started.
        tokio::select! {
            all_well = verify(&arguments) => all_well,
            _ = tokio::signal::ctrl_c() => interrupted(),
            _ = stop.recv() => interrupted(),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn interrupted() -> bool {
    eprintln!("\ninterrupted; stopping what was started");
    false
}

async fn verify(arguments: &Arguments) -> bool {
    let mut steps = Steps::default();
    steps.take("what this machine has", machine::prepare()).await;
    let surroundings = tokio::spawn(Surroundings::start());
    // Ends with us: dropped on Ctrl-C, it takes the home and the cluster along.
    let surroundings = Started(surroundings);
    if arguments.only.is_none() {
        check(&mut steps).await;
    }
    let count = test(&mut steps, arguments, surroundings).await;
    steps.conclude();
    println!("{count}");
    steps.all_well() && count.failed == 0
}

/// Formatting, lints and documentation.
async fn check(steps: &mut Steps) {
    steps.take("format", cargo(&["fmt", "--all", "--check"]).run()).await;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    steps.take("lints", cargo(&clippy).run()).await;
    // The readers are those who work here: what is private is explained, and linked to, as well.
    let doc = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"]);
    steps.take("documentation", doc.with("RUSTDOCFLAGS", "-Dwarnings").run()).await;
}

/// Builds the tests, waits for what they need, and runs them.
async fn test(steps: &mut Steps, arguments: &Arguments, surroundings: Started) -> Count {
    let runner = Runner::find();
    // Some stories run the programs themselves, to kill them.
    let programs = cargo(&["build", "--workspace", "--bins", "--locked"]).run();
    let built = steps.take("build the programs", programs).await
        && steps.take("build the tests", cargo(&runner.build()).run()).await;
    if !built {
        return Count::default();
    }
    let mut environment = Vec::new();
    let mut surroundings = surroundings;
    let ready = async {
        let ready = match surroundings.wait().await {
            Ok(ready) => ready,
            // Beside two compilers it may have been too slow; now they are done.
            Err(err) => {
                println!("   once more, because: {err:#}");
                Surroundings::start().await?
            }
        };
        environment = ready.environment();
        Ok(ready)
    };
    // Without a home the stories fail one by one, and say why; the rest is still worth running.
    let ready = steps.take_for("Home Assistant and PostgreSQL are up", ready).await;
    let run = |words: Vec<String>| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        environment.iter().fold(cargo(&words), |command, (name, value)| command.with(name, value))
    };
    let mut count = Count::default();
    _ = std::fs::remove_dir_all(judge::verdicts()); // of last time
    let usual = run(runner.usual(arguments.only.as_deref())).count(runner.read(), &mut count);
    steps.take("tests", usual).await;
    tell_verdicts(arguments);
    if arguments.long {
        let mut long = Count::default();
        let run = run(runner.long(arguments.only.as_deref())).count(runner.read(), &mut long);
        steps.take("long tests", run).await;
        count.add_ignored(&long);
        if arguments.only.is_none() {
            let release = cargo(&["build", "--release", "--package", "latchkey-broker", "--locked"]).run();
            let built = steps.take("build the broker that ships", release).await;
            let folder = kit::target_folder().join("release").display().to_string();
            let words = [
                "run",
                "--quiet",
                "--package",
                "latchkey-tests",
                "--bin",
                "bench",
                "--",
                "--programs",
                &folder,
            ];
            if built {
                steps.take("benchmarks", cargo(&words).run()).await;
            }
        }
    }
    drop(ready);
    count
}

/// What the outside judge of the OAuth provider said, and what it left out.
fn tell_verdicts(arguments: &Arguments) {
    let notes = std::fs::read_dir(judge::verdicts()).into_iter().flatten().flatten();
    let mut verdicts: Vec<String> =
        notes.filter_map(|note| std::fs::read_to_string(note.path()).ok()).collect();
    verdicts.sort();
    for verdict in &verdicts {
        print!("── the judge on {verdict}");
    }
    if judge::at_hand().is_none() && arguments.only.is_none() {
        println!("── the judge: SKIPPED, there is no ../shared/oauth-judge beside this repository");
    }
}

/// The program that runs the tests: cargo-nextest where it is installed.
struct Runner {
    nextest: bool,
}

impl Runner {
    fn find() -> Self {
        Self { nextest: kit::process::which("cargo-nextest").is_some() }
    }

    fn read(&self) -> count::Read {
        if self.nextest { Count::read_nextest } else { Count::read_libtest }
    }

    fn build(&self) -> Vec<&'static str> {
        match self.nextest {
            true => vec!["nextest", "run", "--no-run", "--workspace", "--locked"],
            false => vec!["test", "--no-run", "--workspace", "--lib", "--bins", "--tests", "--locked"],
        }
    }

    fn usual(&self, only: Option<&str>) -> Vec<String> {
        let words = match self.nextest {
            true => vec!["nextest", "run", "--workspace", "--locked", "--no-tests", "warn"],
            false => vec!["test", "--workspace", "--lib", "--bins", "--tests", "--locked", "--no-fail-fast"],
        };
        words.into_iter().chain(only).map(str::to_owned).collect()
    }

    fn long(&self, only: Option<&str>) -> Vec<String> {
        let mut words = self.usual(None);
        if self.nextest {
            let named = only.map_or(String::new(), |part| format!(" & test({part})"));
            let filter = format!("test(/(^|::)long_/){named}");
            words.extend(["--run-ignored", "only", "-E"].map(str::to_owned));
            words.push(filter);
        } else {
            words.extend(["--", "--ignored", only.unwrap_or("long_")].map(str::to_owned));
        }
        words
    }
}

/// What the stories stand in: one home and one cluster for all of them.
struct Surroundings {
    home: HomeAssistant,
    cluster: Postgres,
    _folder: TempDir,
}

impl Surroundings {
    async fn start() -> Result<Self> {
        let cluster = tokio::task::spawn_blocking(|| Postgres::given_or_start(Durability::None)).await??;
        let folder = tempfile::Builder::new().prefix("latchkey-verify-").tempdir()?;
        let say = |line: &str| println!("   home assistant: {line}");
        let home = HomeAssistant::for_stories(folder.path(), say).await?;
        Ok(Self { home, cluster, _folder: folder })
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("HA_URL", self.home.url().to_owned()),
            ("HA_TOKEN", self.home.token().to_owned()),
            (postgres::GIVEN, self.cluster.admin_url().to_owned()),
        ]
    }
}

/// A task that is given up when nobody waits for it any more.
struct Started(JoinHandle<Result<Surroundings>>);

impl Started {
    async fn wait(&mut self) -> Result<Surroundings> {
        (&mut self.0).await.context("start the surroundings")?
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.0.abort();
    }
}
