//! Reading the forms of a page. Our pages are written by askama: every attribute stands in double quotes.

use reqwest::Method;

/// A form as it stands on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// GET or POST.
    pub method: Method,
    /// Where it goes, as written.
    pub action: String,
    /// Names and values of what is filled in already: hidden fields, chosen options, ticked boxes.
    pub fields: Vec<(String, String)>,
}

impl Form {
    /// With these fields filled in: what is there is replaced, the rest is added.
    pub fn filled(mut self, fields: &[(&str, &str)]) -> Self {
        self.fields.retain(|(name, _)| !fields.iter().any(|(other, _)| other == name));
        self.fields.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }
}

/// Every form of a page, in order.
pub fn forms(html: &str) -> impl Iterator<Item = Form> {
    html.split("<form").skip(1).map(|rest| read(rest.split("</form>").next().unwrap_or_default()))
}

/// The value of the input with this id.
pub fn value_of(html: &str, id: &str) -> Option<String> {
    let mut tags = html.split("<input").skip(1).filter_map(|rest| rest.split('>').next());
    attribute(tags.find(|tag| attribute(tag, "id").as_deref() == Some(id))?, "value")
}

fn read(form: &str) -> Form {
    let (head, body) = form.split_once('>').unwrap_or((form, ""));
    let is_post = attribute(head, "method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
    let mut fields = Vec::new();
    let mut selected_in = None;
    for tag in body.split('<').filter_map(|rest| rest.split('>').next()) {
        let kind = tag.split_whitespace().next().unwrap_or_default();
        let (name, value) = (attribute(tag, "name"), attribute(tag, "value").unwrap_or_default());
        match (kind, name) {
            ("input", Some(name)) if is_sent(tag) => fields.push((name, value)),
            ("select", name) => selected_in = name,
            ("option", _) if has(tag, "selected") => {
                fields.extend(selected_in.clone().map(|name| (name, value)))
            }
            _ => {}
        }
    }
    let method = if is_post { Method::POST } else { Method::GET };
    Form { method, action: attribute(head, "action").unwrap_or_default(), fields }
}

/// Boxes go along when ticked, buttons when pressed (then the caller names them).
fn is_sent(input: &str) -> bool {
    match attribute(input, "type").as_deref() {
        Some("checkbox" | "radio") => has(input, "checked"),
        Some("submit" | "button" | "image") => false,
        _ => true,
    }
}

fn has(tag: &str, word: &str) -> bool {
    tag.split_whitespace().any(|part| part == word || part.starts_with(&format!("{word}=")))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescape(rest.split('"').next()?))
}

/// What askama's escaping and ours write.
fn unescape(text: &str) -> String {
    // The ampersand comes last: what it sets free is text.
    let entities = [
        ("&#60;", "<"),
        ("&lt;", "<"),
        ("&#62;", ">"),
        ("&gt;", ">"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ];
    entities.iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<form method="post" action="/sign-out"><button class="quiet">Out</button></form>
        <form method="post" action="/device?a=1&#38;b=2"><input type="hidden" name="csrf" value="c&#34;d">
        <input type="checkbox" name="scope" value="relay" checked><input type="checkbox" name="scope" value="other">
        <select name="home"><option value="1">A</option><option value="2" selected>B</option></select>
        <input name="new_name" value=""><button name="answer" value="yes">Yes</button></form>"#;

    #[test]
    fn a_form_is_read_as_a_browser_would_send_it() {
        let form = forms(PAGE).nth(1).unwrap();
        assert_eq!((form.method.clone(), form.action.as_str()), (Method::POST, "/device?a=1&b=2"));
        let filled = form.filled(&[("new_name", "Lake"), ("answer", "yes")]);
        let fields: Vec<_> = filled.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(fields, ["csrf=c\"d", "scope=relay", "home=2", "new_name=Lake", "answer=yes"]);
    }
}
