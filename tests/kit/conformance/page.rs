//! The page beside the README: what is promised, and where each promise is tested.

use std::fmt::Write as _;

use super::{Citation, Cited, Exempt, Level, Row, Section};

/// Where the page lies.
pub const PAGE: &str = "CONFORMANCE.md";
/// What writes it.
pub const COMMAND: &str = "cargo run -p latchkey-tests --bin conformance";
/// The one line that changes by itself.
const DATE: &str = "As of ";
/// More places than this are counted, not named.
const MOST_PLACES: usize = 3;

/// Writes the page, as of a date.
pub fn page(sections: &[Section], cited: &Cited, threats: &str, date: &str) -> String {
    let mut page = format!(
        "# Conformance\n\nWhat the OAuth 2.0 provider, the accounts behind it and the links promise, row by row, and the tests that\n\
         hold us to it. A row is a MUST (M) or SHOULD (S) of the text its section names, or a promise of our own (P).\n\
         `{COMMAND}` writes this page from [the rows](tests/conformance/rows.txt) and from\n\
         the tests that cite them; a tidy test fails when it is stale, or when a MUST has no test.\n\n\
         {DATE}{date}:\n\n"
    );
    count(&mut page, sections, cited);
    _ = writeln!(page, "\n{}", threats.trim_end());
    for section in sections {
        _ = writeln!(
            page,
            "\n## {}\n\n| row | level | what | where tested |\n|---|---|---|---|",
            section.title
        );
        for row in &section.rows {
            let places = cited.get(&row.id).map_or(&[][..], |places| places);
            let level = match row.level {
                Level::Must => "M",
                Level::Should => "S",
                Level::Promise => "P",
            };
            _ = writeln!(page, "| {} | {level} | {} | {} |", row.id, row.what, tested(row, places));
        }
    }
    page
}

/// The page but for its date, which may be old while the rest is right.
pub fn without_date(page: &str) -> String {
    page.lines().filter(|line| !line.starts_with(DATE)).collect::<Vec<_>>().join("\n")
}

fn count(page: &mut String, sections: &[Section], cited: &Cited) {
    page.push_str(
        "| section | rows | tested | MUST | tested | not offered, or later |\n|---|---|---|---|---|---|\n",
    );
    let mut total = [0; 5];
    for section in sections {
        let rows = &section.rows;
        let musts = || rows.iter().filter(|row| row.level == Level::Must);
        let is_tested = |row: &&Row| cited.contains_key(&row.id);
        let counts = [
            rows.len(),
            rows.iter().filter(is_tested).count(),
            musts().count(),
            musts().filter(is_tested).count(),
            rows.iter().filter(|row| row.exempt.is_some()).count(),
        ];
        line(page, &section.title, counts);
        total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    line(page, "all", total);
}

fn line(page: &mut String, title: &str, counts: [usize; 5]) {
    let counts = counts.map(|count| count.to_string()).join(" | ");
    _ = writeln!(page, "| {title} | {counts} |");
}

fn tested(row: &Row, places: &[Citation]) -> String {
    let mut words: Vec<String> = places.iter().take(MOST_PLACES).map(place).collect();
    if places.len() > MOST_PLACES {
        words.push(format!("{} more", places.len() - MOST_PLACES));
    }
    match &row.exempt {
        Some(Exempt::NotOffered(why)) => words.insert(0, format!("not offered: {why}")),
        Some(Exempt::Later(why)) => words.insert(0, format!("later: {why}")),
        None if words.is_empty() => words.push("no test yet".into()),
        None => {}
    }
    words.join("; ")
}

fn place(place: &Citation) -> String {
    format!("[{}]({})", place.test.replace('_', " "), place.path)
}
