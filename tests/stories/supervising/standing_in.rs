//! Standing in: the stand-in does as was recorded of `cloudflared` 2026.8.2, so that the other stories mean something.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use kit::cloudflare::Cloudflare;
use kit::connector::Entry;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::*;

struct Stage {
    connector: Connector,
    cloudflare: Cloudflare,
    folder: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cloudflare = Cloudflare::start("homes.example").await;
        cloudflare.state().lag = Duration::ZERO;
        let connector = Connector::install(folder.path(), cloudflare.edge().await).unwrap();
        Self { cloudflare, connector, folder }
    }

    fn start(&self, arguments: &[&str], token: &str) -> Child {
        let file = self.folder.path().join("token");
        std::fs::write(&file, token).unwrap();
        let mut command = Command::new(self.connector.program());
        command.args(["tunnel", "--no-autoupdate", "--metrics", "127.0.0.1:0"]).args(arguments);
        command.args(["run", "--token-file"]).arg(file);
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    async fn says(&self, words: &str) {
        let says = || async {
            let log = std::fs::read_to_string(self.folder.path().join("log"))?;
            ensure!(log.contains(words), "{log}");
            Ok(())
        };
        within(PATIENCE, &format!("the log to say {words:?}"), says).await.unwrap();
    }
}

async fn ended(mut child: Child) -> ExitStatus {
    let end = || std::future::ready(child.try_wait().unwrap());
    within(PATIENCE, "its end", end).await.unwrap()
}

fn ask(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_as_was_recorded() {
    let stage = Stage::new().await;
    let token = stage.cloudflare.state().add_tunnel("t", true).token();
    for (arguments, token, code, says) in [
        (&[][..], "no token", 255, "Provided Tunnel token is not valid."),
        (&["--nope"], token.as_str(), 0, "flag provided but not defined: -nope"),
    ] {
        assert_eq!(ended(stage.start(arguments, token)).await.code(), Some(code), "{says}");
        stage.says(says).await;
    }
    let mut asked = stage.start(&[], &token);
    stage.says("Registered tunnel connection").await;
    assert!(asked.try_wait().unwrap().is_none());
    ask(&asked, Signal::SIGTERM);
    assert_eq!(ended(asked).await.code(), Some(0));

    let hung_up = stage.start(&[], &token);
    stage.says("Registered tunnel connection").await;
    ask(&hung_up, Signal::SIGHUP);
    assert_eq!(ended(hung_up).await.signal(), Some(Signal::SIGHUP as i32), "it is not handled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_it_never_ends_and_asked_twice_it_ends_at_once() {
    let stage = Stage::new().await;
    let token = stage.cloudflare.state().add_tunnel("t", true).token();
    stage.cloudflare.state().tunnels[0].is_deleted = true;
    let mut child = stage.start(&[], &token);
    stage.says("Unauthorized: Tunnel not found").await;
    stage.says("Retrying connection in up to 4s").await;
    assert!(child.try_wait().unwrap().is_none(), "it would try for ever");
    stage.connector.change(|orders| orders.deaf = true);
    // It looks at its orders every few milliseconds.
    stage.says("Retrying connection in up to 8s").await;
    ask(&child, Signal::SIGTERM);
    let id = child.id();
    let asked = || async { ensure_written(&stage.connector, &Entry::Asked(id)) };
    within(PATIENCE, "it to be asked", asked).await.unwrap();
    ask(&child, Signal::SIGTERM);
    assert_eq!(ended(child).await.code(), Some(143));
    ensure_written(&stage.connector, &Entry::AskedTwice(id)).unwrap();
}

fn ensure_written(connector: &Connector, entry: &Entry) -> Result<()> {
    let diary = connector.diary();
    ensure!(diary.contains(entry), "{diary:?}");
    Ok(())
}
