//! Conformance: the promises in `tests/conformance/rows.txt`, the tests that cite them, and the page that says so.
//!
//! A test cites a row by writing its id where it says what must hold: in its name (`tk_32_…`), in its doc comment,
//! or in the words of an assertion. A comment cites nothing.

mod citations;
mod page;

use std::collections::BTreeMap;

use crate::tree::File;

pub use citations::{Citation, citations};
pub use page::{PAGE, page, without_date};

/// Where the rows are written down.
pub const ROWS: &str = "tests/conformance/rows.txt";
/// The threat model, which becomes part of the page as it is.
pub const THREATS: &str = "tests/conformance/threats.md";

/// How binding a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A MUST of the named text.
    Must,
    /// A SHOULD.
    Should,
    /// A promise of our own.
    Promise,
}

/// Why a row has no test of the usual kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exempt {
    /// The broker does not have it; a test shows that it is neither announced nor answered.
    NotOffered(String),
    /// It comes with other work. The day a test cites it, the reason has to go.
    Later(String),
}

/// One promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// For example `TK-06`.
    pub id: String,
    /// How binding it is.
    pub level: Level,
    /// What it says, in a line.
    pub what: String,
    /// Why it is not tested as others are.
    pub exempt: Option<Exempt>,
}

/// Rows that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its heading, with the texts it comes from.
    pub title: String,
    /// In order.
    pub rows: Vec<Row>,
}

/// Reads the rows.
///
/// # Errors
/// The lines that cannot be read, numbered from 1.
pub fn read(text: &str) -> Result<Vec<Section>, Vec<String>> {
    let (mut sections, mut wrong): (Vec<Section>, Vec<String>) = (vec![], vec![]);
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(title) = line.strip_prefix("= ") {
            sections.push(Section { title: title.to_owned(), rows: vec![] });
            continue;
        }
        let is_twice =
            |row: &Row| sections.iter().flat_map(|section| &section.rows).any(|known| known.id == row.id);
        match (row(line).filter(|row| !is_twice(row)), sections.last_mut()) {
            (Some(row), Some(section)) => section.rows.push(row),
            _ => wrong.push(format!("{ROWS}:{number}: no row, or one that is there already: {line}")),
        }
    }
    if wrong.is_empty() { Ok(sections) } else { Err(wrong) }
}

fn row(line: &str) -> Option<Row> {
    let (line, reason) = match line.split_once(" | ") {
        Some((line, reason)) => (line, Some(reason)),
        None => (line, None),
    };
    let (id, rest) = line.split_once(' ')?;
    let (level, what) = rest.split_once("  ")?;
    let level = match level {
        "M" => Level::Must,
        "S" => Level::Should,
        "P" => Level::Promise,
        _ => return None,
    };
    let exempt = match reason.map(|reason| reason.split_once(": ")) {
        None => None,
        Some(Some(("not offered", why))) => Some(Exempt::NotOffered(why.to_owned())),
        Some(Some(("later", why))) => Some(Exempt::Later(why.to_owned())),
        Some(_) => return None,
    };
    (citations::ids(id).next() == Some(id)).then(|| Row { id: id.into(), level, what: what.into(), exempt })
}

/// The text of a file of the tree, empty when it is not there.
pub fn text_of<'a>(tree: &'a [File], path: &str) -> &'a str {
    tree.iter().find(|file| file.path == path).map_or("", |file| &file.text)
}

/// What is wrong between rows, tests and page, each beginning with a file's path.
pub fn offences(tree: &[File]) -> Vec<String> {
    let sections = match read(text_of(tree, ROWS)) {
        Ok(sections) => sections,
        Err(wrong) => return wrong,
    };
    let cited = citations(tree);
    let mut offences: Vec<String> = vec![];
    let rows: Vec<&Row> = sections.iter().flat_map(|section| &section.rows).collect();
    for row in &rows {
        let tests = cited.get(&*row.id).map_or(0, Vec::len);
        match &row.exempt {
            Some(Exempt::Later(_)) if tests > 0 => {
                offences.push(format!("{ROWS}: {} is tested now; it is not for later any more", row.id));
            }
            Some(Exempt::NotOffered(_)) | None if tests == 0 && row.level == Level::Must => {
                offences.push(format!("{ROWS}: no test cites {} ({})", row.id, row.what));
            }
            _ => {}
        }
    }
    for (id, places) in &cited {
        if rows.iter().all(|row| row.id != *id) {
            let places = places.iter().map(|place| format!("{}: there is no row {id}", place.path));
            offences.extend(places);
        }
    }
    let written = text_of(tree, PAGE);
    if without_date(written) != without_date(&page(&sections, &cited, text_of(tree, THREATS), "")) {
        offences.push(format!("{PAGE}: it is out of date; write it anew: {}", page::COMMAND));
    }
    if !text_of(tree, "README.md").contains(PAGE) {
        offences.push(format!("README.md: it does not lead to {PAGE}"));
    }
    offences
}

/// Places by row.
pub type Cited = BTreeMap<String, Vec<Citation>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_with_their_reasons() {
        let text = "# a\n= Tokens\nTK-01 M  POST only\nBR-09 M  PAR | not offered: nobody asked\n";
        let sections = read(text).unwrap();
        assert_eq!((sections[0].title.as_str(), sections[0].rows[0].what.as_str()), ("Tokens", "POST only"));
        assert_eq!(sections[0].rows[1].exempt, Some(Exempt::NotOffered("nobody asked".into())));
    }

    #[test]
    fn what_is_no_row_is_named() {
        for line in ["TK-1 M  a", "TK-01 X  a", "TK-01 M a", "TK-01 M  a | because: b", "XX-01 M  a"] {
            assert_eq!(read(&format!("= A\n{line}\n")).unwrap_err().len(), 1, "{line}");
        }
        assert_eq!(read("= A\nTK-01 M  a\nTK-01 M  a\n").unwrap_err().len(), 1, "twice");
    }
}
