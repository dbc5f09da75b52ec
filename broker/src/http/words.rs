//! The words of the pages, by language: `words/en.ftl` and `words/zh-Hant.ftl`, with the same keys.

use std::fmt;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

static ENGLISH: LazyLock<Words> = LazyLock::new(|| Words::new("en", include_str!("../../words/en.ftl")));
static CHINESE: LazyLock<Words> =
    LazyLock::new(|| Words::new("zh-Hant", include_str!("../../words/zh-Hant.ftl")));

/// One language's words.
pub struct Words {
    /// The BCP 47 tag, for `<html lang>`.
    pub tag: &'static str,
    bundle: FluentBundle<FluentResource>,
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Words").field(&self.tag).finish()
    }
}

impl Words {
    fn new(tag: &'static str, text: &str) -> Self {
        let language: LanguageIdentifier = tag.parse().expect("the tags above are language tags");
        let mut bundle = FluentBundle::new_concurrent(vec![language]);
        // Templates wrap names in <bdi>; marks inside the text would only show up in copies of it.
        bundle.set_use_isolating(false);
        // A broken message is left out and its key shows instead; a test reads both files whole.
        let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(resource, _)| resource);
        bundle.add_resource_overriding(resource);
        Self { tag, bundle }
    }

    /// The words of a key.
    pub fn say(&self, key: &str) -> String {
        self.format(key, &FluentArgs::new())
    }

    /// The words of a key with one value in them.
    pub fn say_with<'a>(&self, key: &str, name: &'a str, value: impl Into<FluentValue<'a>>) -> String {
        let mut args = FluentArgs::new();
        args.set(name, value);
        self.format(key, &args)
    }

    /// The words of a key with several texts in them.
    pub fn say_all(&self, key: &str, values: &[(&str, &str)]) -> String {
        self.format(key, &values.iter().map(|(name, value)| (*name, *value)).collect())
    }

    fn format(&self, key: &str, args: &FluentArgs<'_>) -> String {
        let Some(pattern) = self.bundle.get_message(key).and_then(|message| message.value()) else {
            tracing::error!(key, language = self.tag, "a word is missing");
            return key.to_owned();
        };
        self.bundle.format_pattern(pattern, Some(args), &mut Vec::new()).into_owned()
    }
}

/// English.
pub fn english() -> &'static Words {
    &ENGLISH
}

/// The best of our languages for an `Accept-Language` header (RFC 9110 section 12.5.4). Chinese readers of
/// any region get Traditional Chinese: it is nearer than English.
pub fn for_header(header: &str) -> &'static Words {
    let mut wishes: Vec<(f32, &str)> = header
        .split(',')
        .filter_map(|wish| {
            let (tag, quality) = wish.split_once(";q=").unwrap_or((wish, "1"));
            let quality = quality.trim().parse().ok()?;
            Some((quality, tag.trim())).filter(|_| quality > 0.0)
        })
        .collect();
    wishes.sort_by(|a, b| b.0.total_cmp(&a.0));
    let ours = wishes.iter().find_map(|(_, tag)| {
        let language = tag.split('-').next().unwrap_or("").to_ascii_lowercase();
        match language.as_str() {
            "zh" => Some(&*CHINESE),
            "en" | "*" => Some(&*ENGLISH),
            _ => None,
        }
    });
    ours.unwrap_or(&ENGLISH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_decides_the_language() {
        for (header, tag) in [
            ("", "en"),
            ("de-DE,de;q=0.9", "en"),
            ("zh-TW,zh;q=0.9,en;q=0.8", "zh-Hant"),
            ("en;q=0.5, zh-Hant;q=0.7", "zh-Hant"),
            ("zh;q=0, en", "en"),
            ("fr, *;q=0.1", "en"),
            (";;;,,q=", "en"),
        ] {
            assert_eq!(for_header(header).tag, tag, "{header}");
        }
    }

    #[test]
    fn both_files_read_without_an_error() {
        for text in [include_str!("../../words/en.ftl"), include_str!("../../words/zh-Hant.ftl")] {
            let (_, errors) = match FluentResource::try_new(text.to_owned()) {
                Ok(resource) => (resource, vec![]),
                Err(broken) => broken,
            };
            assert!(errors.is_empty(), "{errors:?}");
        }
    }
}
