//! Text inside HTML: the five characters that mean something there, by the names that every reader knows.
//!
//! askama's own escaper writes numbers (`&#38;`), which browsers read and small programs that walk our forms do
//! not. Named in `askama.toml` for every template.

use std::fmt::{self, Write};

use askama::filters::Escaper;

/// What turns a name into something else on the page where people decide: controls, and marks that nobody sees or
/// that turn the direction of what follows.
pub fn is_unshowable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Escapes for texts and for attribute values in double or single quotes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Html;

fn name(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

impl Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut dest: W, mut rest: &str) -> fmt::Result {
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            let (plain, from) = rest.split_at(at);
            dest.write_str(plain)?;
            self.write_escaped_char(&mut dest, char::from(from.as_bytes()[0]))?;
            rest = &from[1..];
        }
        dest.write_str(rest)
    }

    fn write_escaped_char<W: Write>(&self, mut dest: W, c: char) -> fmt::Result {
        match name(c) {
            Some(name) => dest.write_str(name),
            None => dest.write_char(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template;

    #[derive(Template)]
    #[template(source = "<b title='{{ text }}'>{{ text }}</b>{{ number }}", ext = "html")]
    struct Planted<'a> {
        text: &'a str,
        number: u8,
    }

    #[test]
    fn nothing_a_template_is_given_becomes_markup() {
        let page = Planted { text: "é<svg onload='x'>&\"&amp;", number: 7 }.render().unwrap();
        let escaped = "é&lt;svg onload=&#39;x&#39;&gt;&amp;&quot;&amp;amp;";
        assert_eq!(page, format!("<b title='{escaped}'>{escaped}</b>7"));
    }
}
