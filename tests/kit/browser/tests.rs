//! The browser, on a page of its own.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;

const PAGE: &str = r#"<!doctype html><meta name="viewport" content="width=device-width"><title>Porch</title>
<link rel="icon" href="data:,"><style>@media (prefers-color-scheme: dark) { body { background: rgb(1, 2, 3) } }</style>
<p id=light>off</p><input name=who value=nobody>
<button onclick="setTimeout(() => light.textContent = 'on for ' + document.querySelector('input').value, 50)">Turn on</button>"#;

/// Serves [`PAGE`] to whoever asks, at a host name of its own, and 404 for `/missing.js`.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let missing = request[..read].windows(10).any(|part| part == b"missing.js");
            let status = if missing { "404 Not Found" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: text/html\r\nconnection: close\r\n");
            _ = write!(stream, "{head}content-length: {}\r\n\r\n{PAGE}", PAGE.len());
        }
    });
    format!("http://porch.localhost:{port}/")
}

#[tokio::test]
async fn a_page_is_read_filled_pressed_and_pictured() {
    let browser = Browser::start().await.unwrap();
    browser.open(&serve()).await.unwrap();
    browser.fill("input", "Ada").await.unwrap();
    browser.press("Turn on").await.unwrap();
    browser.until_text("on for Ada").await.unwrap();
    assert_eq!(browser.text_of("#light").await.unwrap(), "on for Ada");
    assert_eq!(browser.count("button").await.unwrap(), 1);

    let background = "return getComputedStyle(document.body).backgroundColor";
    for (scheme, wanted) in [(Scheme::Dark, "rgb(1, 2, 3)"), (Scheme::Light, "rgba(0, 0, 0, 0)")] {
        browser.prefer(scheme).await.unwrap();
        assert_eq!(browser.run(background).await.unwrap(), wanted);
    }
    browser.set_viewport(PHONE).await.unwrap();
    assert_eq!(browser.run("return [innerWidth, innerHeight]").await.unwrap(), json!([390, 844]));
    let picture = browser.screenshot("kit-porch").await.unwrap();
    assert!(fs::read(picture).unwrap().starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn complaints_are_heard_and_a_wait_in_vain_shows_the_page() {
    let browser = Browser::start().await.unwrap();
    browser.open(&serve()).await.unwrap();
    assert_eq!(browser.complaints().await.unwrap(), Vec::<String>::new());
    browser
        .run("const s = document.createElement('script'); s.src = '/missing.js'; document.body.append(s)")
        .await
        .unwrap();
    let heard = browser.until("a complaint", || async {
        let complaints = browser.complaints().await.unwrap_or_default();
        complaints.into_iter().find(|words| words.contains("missing.js"))
    });
    assert!(heard.await.contains("404"));
    let condition = || async { browser.count("#nothing").await.is_ok_and(|count| count > 0) };
    let vain = within(Duration::from_millis(200), "nothing", condition).await;
    assert!(vain.is_err());
    let words = browser.describe().await;
    assert!(words.contains("porch.localhost") && words.contains("Turn on"), "{words}");
}

#[tokio::test]
async fn nothing_is_left_of_a_dropped_browser() {
    let browser = Browser::start().await.unwrap();
    let profile = browser._folder.path().to_path_buf();
    drop(browser);
    assert!(!profile.exists(), "the profile is gone");
    let ours = profile.display().to_string();
    let left = crate::until::blocking(PATIENCE, || !commands().iter().any(|command| command.contains(&ours)));
    assert!(left, "a program still uses {ours}");
}

/// The command line of every process.
fn commands() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
}
