//! The letters accounts write, in the language of whoever asked for them.

use askama::Template;

use crate::clock::Timestamp;
use crate::http::words::Words;
use crate::mail::Letter;

#[derive(Template)]
#[template(path = "mail/link.txt")]
struct LinkLetter<'a> {
    w: &'a Words,
    /// What it is about, whole paragraphs.
    lead: String,
    url: &'a str,
    /// How long the link works, and what to do when one did not ask for it.
    foot: String,
    origin: &'a str,
}

#[derive(Template)]
#[template(path = "mail/notice.txt")]
struct NoticeLetter<'a> {
    w: &'a Words,
    lead: String,
    foot: String,
    origin: &'a str,
}

/// Whom a letter goes to, from where, and how long it is of use.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    pub w: &'static Words,
    pub to: &'a str,
    pub origin: &'a str,
    pub lapses_at: Timestamp,
}

impl Head<'_> {
    fn letter(self, subject: String, text: Result<String, askama::Error>) -> anyhow::Result<Letter> {
        Ok(Letter { to: self.to.to_owned(), subject, text: text?, lapses_at: self.lapses_at })
    }

    fn link(self, subject: String, lead: String, foot: String, url: &str) -> anyhow::Result<Letter> {
        let text = LinkLetter { w: self.w, lead, url, foot, origin: self.origin }.render();
        self.letter(subject, text)
    }

    /// For a new password.
    pub fn reset(self, url: &str) -> anyhow::Result<Letter> {
        let w = self.w;
        self.link(w.say("mail-reset-subject"), w.say("mail-reset"), w.say("mail-reset-foot"), url)
    }

    /// To confirm the address of a new account.
    pub fn register(self, url: &str) -> anyhow::Result<Letter> {
        let w = self.w;
        self.link(w.say("mail-register-subject"), w.say("mail-register"), w.say("mail-register-foot"), url)
    }

    /// For whoever wanted an account and has one.
    pub fn known(self, url: &str) -> anyhow::Result<Letter> {
        let w = self.w;
        self.link(w.say("mail-known-subject"), w.say("mail-known"), w.say("mail-known-foot"), url)
    }

    /// Into a workspace.
    pub fn invitation(self, by: &str, workspace: &str, url: &str) -> anyhow::Result<Letter> {
        let w = self.w;
        let subject = w.say_all("mail-invitation-subject", &[("by", by), ("workspace", workspace)]);
        let lead = w.say_all("mail-invitation", &[("by", by), ("workspace", workspace)]);
        self.link(subject, lead, w.say("mail-invitation-foot"), url)
    }

    /// Something about the safety of the account was changed.
    pub fn notice(self, what: &str) -> anyhow::Result<Letter> {
        let w = self.w;
        let (lead, foot) = (w.say(what), w.say("mail-notice-foot"));
        let text = NoticeLetter { w, lead, foot, origin: self.origin }.render();
        self.letter(w.say("mail-notice-subject"), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::words::{english, for_header};

    #[test]
    fn a_letter_has_its_link_on_a_line_of_its_own_and_names_in_one_line() {
        for w in [english(), for_header("zh-TW")] {
            let lapses_at = Timestamp::from_millis(0);
            let head = Head { w, to: "ada@example.org", origin: "https://key.example", lapses_at };
            let url = "https://key.example/invitation?token=x&y=<b>";
            let letter = head.invitation("Bob & Söhne", "Lake", url).unwrap();
            assert!(letter.text.lines().any(|line| line == url), "{}", letter.text);
            assert!(
                letter.text.contains("Bob & Söhne") && letter.subject.contains("Lake"),
                "{}",
                letter.text
            );
            for letter in
                [head.reset(url), head.register(url), head.known(url), head.notice("mail-changed-password")]
            {
                let letter = letter.unwrap();
                assert!(
                    !letter.text.contains("mail-") && letter.text.contains("https://key.example"),
                    "{}",
                    letter.text
                );
            }
        }
    }
}
