//! Forms and queries: each name at most once (RFC 6749 section 3.1), empty is the same as left out.

use super::Fault;

/// The fields of a form or a query, in order.
#[derive(Debug, Clone, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// When a percent escape is broken or the text is not UTF-8.
    pub fn parse(text: &[u8]) -> Result<Self, Fault> {
        let mut rest = text;
        while let Some(at) = rest.iter().position(|b| *b == b'%') {
            rest = &rest[at + 1..];
            if rest.len() < 2 || !rest[..2].iter().all(u8::is_ascii_hexdigit) {
                return Err(Fault::bad("a percent escape is broken"));
            }
        }
        let fields: Vec<_> = url::form_urlencoded::parse(text).into_owned().collect();
        let broken = |text: &String| text.contains(['\u{fffd}', '\0']);
        if fields.len() > 100 || fields.iter().any(|(name, value)| broken(name) || broken(value)) {
            return Err(Fault::bad("the form is not UTF-8 text, or has too many fields"));
        }
        Ok(Self(fields))
    }

    /// A field that may be missing.
    ///
    /// # Errors
    /// When it is there twice.
    pub fn optional(&self, name: &str) -> Result<Option<&str>, Fault> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() {
            return Err(Fault::bad(format!("{name} is there twice")));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// When it is missing, empty, or there twice.
    pub fn required(&self, name: &str) -> Result<&str, Fault> {
        self.optional(name)?.ok_or_else(|| Fault::bad(format!("{name} is missing")))
    }

    /// All values of a field that may be repeated (check boxes).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_left_out_and_twice_is_refused() {
        let form = Form::parse(b"a=1&b=&c=x&c=y&d=%C3%A9+z").unwrap();
        assert_eq!(form.optional("a").unwrap(), Some("1"));
        assert_eq!(form.optional("b").unwrap(), None);
        assert!(form.optional("c").is_err() && form.required("b").is_err());
        assert_eq!(form.required("d").unwrap(), "é z");
        assert_eq!(form.all("c").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn garbage_is_a_clear_error() {
        for bad in [&b"a=%"[..], b"a=%2", b"a=%zz", b"a=%FF", b"a=%00", "a=&".repeat(101).as_bytes()] {
            assert!(matches!(Form::parse(bad), Err(Fault::Bad(_))), "{bad:?}");
        }
    }
}
