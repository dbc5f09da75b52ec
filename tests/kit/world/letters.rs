//! Letters of this world's broker, as whoever gets them reads them.

use anyhow::{Context, Result};
use broker::config::Settings;

use super::World;
use crate::until::until;

impl World {
    /// Starts the broker again with other settings; its data stay.
    pub async fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        self.stop_broker().await;
        change(&mut self.settings);
        self.start_broker().await;
    }

    /// Every letter that lies in the broker's folder for an address, in no order.
    pub fn letters(&self, to: &str) -> Vec<String> {
        let files = std::fs::read_dir(&self.settings.mail.folder).into_iter().flatten().flatten();
        let whole =
            files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "eml"));
        let texts = whole.filter_map(|path| std::fs::read_to_string(path).ok());
        texts.filter(|text| text.contains(&format!("\nTo: {to}\n"))).collect()
    }

    /// The link below a path, such as `/reset?`, in the first letter to an address that has one; waits for it.
    pub async fn link_for(&self, to: &str, path: &str) -> String {
        until(&format!("a letter to {to} with a link to {path}"), || async {
            let letters = self.letters(to);
            letters.iter().find_map(|text| link_in(text, path)).context(letters.join("\n")) as Result<_>
        })
        .await
    }
}

/// The first line of a letter that is a link to a path.
pub fn link_in(letter: &str, path: &str) -> Option<String> {
    letter
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("http") && line.contains(path))
        .map(str::to_owned)
}
