//! Installing: what was asked for is put into its place whole, or what lay there stays.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use aws_lc_rs::digest;
use kit::programs;
use kit::until::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;

/// A web server with one program on it, under the name that this machine asks for.
struct Shelf {
    url: String,
    _stop: DropGuard,
}

/// Serves `program`, and says that it has `more` bytes than come.
async fn shelf(program: Vec<u8>, more: usize) -> Shelf {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/releases", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let read = socket.read(&mut request).await.unwrap_or(0);
            let asked = String::from_utf8_lossy(&request[..read]).into_owned();
            let is_there = asked.starts_with("GET /releases/2026.8.2/cloudflared-linux-a");
            let status = if is_there { "200 OK" } else { "404 Not Found" };
            let length = program.len() + more;
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            _ = socket.write_all(head.as_bytes()).await;
            _ = socket.write_all(&program).await;
        }
    };
    tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
    Shelf { url, _stop: stop.drop_guard() }
}

/// A program that says this version, so long that it does not fit everywhere.
fn program(version: &str) -> Vec<u8> {
    let text = format!("#!/bin/sh\necho 'cloudflared version {version} (built 2026-08-12-1010 UTC)'\n");
    let padding = "# padding\n".repeat(20_000);
    (text + &padding).into_bytes()
}

fn sha256(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Bench {
    folder: tempfile::TempDir,
    settings: Settings,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nobody = ("http://127.0.0.1:1", "no token");
        let settings = agents::settings(&folder.path().join("agent"), "http://localhost:1", nobody).unwrap();
        Self { folder, settings }
    }

    fn place(&self) -> PathBuf {
        self.settings.data_dir.join("bin/cloudflared")
    }

    fn command(&self, from: &str, sha256: Option<&str>) -> Command {
        let mut command = programs::agents_command(&self.settings, "cloudflared install").unwrap();
        command.args(["--from", from]).args(sha256.iter().flat_map(|sha256| ["--sha256", *sha256]));
        command
    }

    /// What lies in the folder with the program.
    fn lies_there(&self) -> Vec<String> {
        let entries = fs::read_dir(self.place().parent().unwrap()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

async fn run(mut command: Command) -> (bool, String) {
    let ended: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_one_is_installed_and_replaces_the_old() {
    let bench = Bench::new();
    for padding in ["", "# another build\n"] {
        let program = [program("2026.8.2"), padding.as_bytes().to_vec()].concat();
        let shelf = shelf(program.clone(), 0).await;
        let (well, said) = run(bench.command(&shelf.url, Some(&sha256(&program)))).await;
        assert!(well && said.contains("Installed"), "{said}");
        assert_eq!(fs::read(bench.place()).unwrap(), program);
        assert_eq!(fs::metadata(bench.place()).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(bench.lies_there(), ["cloudflared", "lock"]);
    }
    assert!(!bench.settings.data_dir.join("cloudflared-install").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_the_old_one_stays() {
    let bench = Bench::new();
    let old = program("2026.7.3");
    fs::create_dir_all(bench.place().parent().unwrap()).unwrap();
    fs::write(bench.place(), &old).unwrap();
    let new = program("2026.8.2");
    let right = sha256(&new);
    let good = shelf(new.clone(), 0).await;
    let short = shelf(new.clone(), 1000).await;
    let older = shelf(old.clone(), 0).await;
    let broken = shelf(b"\x7fELF and no more".to_vec(), 0).await;
    let nobody = "http://127.0.0.1:1/releases".to_owned();
    let elsewhere = good.url.replace("releases", "nowhere");
    let broken_sha256 = sha256(b"\x7fELF and no more");
    let full = || {
        // A file may not grow beyond 64 KiB; writing more fails, as on a full disk.
        let command = bench.command(&good.url, Some(&right));
        let mut limited = Command::new("sh");
        limited.args(["-c", r#"trap "" XFSZ; ulimit -f 128; exec "$@""#, "sh"]);
        limited.arg(command.get_program()).args(command.get_args());
        limited
    };
    for (what, command, says) in [
        ("another file", bench.command(&good.url, None), "instead of"),
        ("offline", bench.command(&nobody, Some(&right)), "no connection"),
        ("not there", bench.command(&elsewhere, Some(&right)), "404"),
        ("broken off", bench.command(&short.url, Some(&right)), "broke off after"),
        ("full", full(), "File too large"),
        ("no program", bench.command(&broken.url, Some(&broken_sha256)), "does not run"),
        ("another version", bench.command(&older.url, Some(&sha256(&old))), "calls itself 2026.7.3"),
    ] {
        let (well, said) = run(command).await;
        assert!(!well && said.contains(says), "{what}: {said}");
        assert!(said.contains("nothing was installed"), "{what}: {said}");
        println!("{what}: {}", said.lines().last().unwrap_or_default());
        assert_eq!(fs::read(bench.place()).unwrap(), old, "{what}: the old one stays");
        assert_eq!(bench.lies_there(), ["cloudflared", "lock"], "{what}: nothing else does");
    }
    drop(bench.folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_that_is_killed_harms_nothing() {
    let bench = Bench::new();
    let new = program("2026.8.2");
    // Half of it comes, and then nothing more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/releases", listener.local_addr().unwrap());
    let half = new.clone();
    let (_stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        _ = socket.read(&mut [0; 1024]).await.unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", half.len());
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&half[..half.len() / 2]).await.unwrap();
        _ = stopped.await;
    });
    let mut killed = bench.command(&url, Some(&sha256(&new))).spawn().unwrap();
    let fresh = bench.place().with_extension("new");
    until("half of it to lie there", || async { size(&fresh) >= (new.len() / 2) as u64 }).await;
    // Another one waits its turn, and then says so.
    let (well, said) = run(bench.command(&url, Some(&sha256(&new)))).await;
    assert!(!well && said.contains("another installation is under way"), "{said}");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(fresh.exists() && !bench.place().exists());
    let good = shelf(new.clone(), 0).await;
    let (well, said) = run(bench.command(&good.url, Some(&sha256(&new)))).await;
    assert!(well, "{said}");
    assert_eq!(fs::read(bench.place()).unwrap(), new);
    assert_eq!(bench.lies_there(), ["cloudflared", "lock"]);
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}
