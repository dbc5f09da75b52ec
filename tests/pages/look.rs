//! Looks: what every page must hold, whatever it shows, at every width, light and dark.

use kit::browser::{Browser, DESKTOP, Scheme, Viewport};
use serde_json::json;

use crate::axe;

const LOOK: &str = include_str!("look.js");
/// The narrowest phone there is.
const NARROW: Viewport = Viewport { width: 320, height: 640, mobile: true };
/// What most phones give a page.
const SMALL: Viewport = Viewport { width: 360, height: 780, mobile: true };
/// A fault of a list repeats itself.
const MOST_TOLD: usize = 12;

/// Looks at the page at 320, 360 and 1280 pixels, light and dark: nothing sticks out or is cut off, words can be
/// read, controls have names, and axe finds nothing. Takes pictures as `name-…`, and leaves the browser as it was started.
pub async fn survey(browser: &Browser, name: &str) {
    let mut wrong = Vec::new();
    for (viewport, called) in [(NARROW, "narrow"), (SMALL, "phone"), (DESKTOP, "desktop")] {
        browser.set_viewport(viewport).await.unwrap();
        for (scheme, shade) in [(Scheme::Dark, "dark"), (Scheme::Light, "light")] {
            browser.prefer(scheme).await.unwrap();
            settled(browser).await;
            let found = browser.page().execute(LOOK, vec![json!(viewport.width)]).await.unwrap();
            let found = found.as_array().unwrap().iter().filter_map(|sentence| sentence.as_str());
            wrong.extend(found.map(|sentence| format!("{called}, {shade}: {sentence}")));
            if viewport != NARROW {
                let found = axe::violations(browser).await;
                wrong.extend(found.iter().map(|sentence| format!("{called}, {shade}: {sentence}")));
                browser.screenshot(&format!("{name}-{called}-{shade}")).await.unwrap();
            }
        }
    }
    wrong.truncate(MOST_TOLD);
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

/// Waits until nothing on the page is on its way to another look. A change of shade reaches the page's styles with
/// the next frame.
async fn settled(browser: &Browser) {
    // What is far down the page is neither laid out nor animated before it is scrolled to, and would never settle.
    let moving = "for (const one of document.querySelectorAll('.area')) one.style.contentVisibility = 'visible'; \
        const [done] = arguments; requestAnimationFrame(() => requestAnimationFrame(() => \
        done(document.getAnimations().filter(one => one instanceof CSSTransition).length)))";
    let still =
        || async { browser.page().execute_async(moving, vec![]).await.is_ok_and(|moving| moving == 0) };
    browser.until("the page to have settled", still).await;
}

/// The console's complaints but for those that the story means to cause.
pub async fn complaints(browser: &Browser, meant: &[&str]) -> Vec<String> {
    let heard = browser.complaints().await.unwrap();
    heard.into_iter().filter(|words| !meant.iter().any(|meant| words.contains(meant))).collect()
}

/// Asserts that the console has said nothing at all.
pub async fn assert_quiet(browser: &Browser) {
    assert_eq!(complaints(browser, &[]).await, Vec::<String>::new());
}
