//! What the demo prints once everything runs.

use std::fmt;
use std::path::PathBuf;

use kit::owner::Identity;

use crate::kept::Link;

/// Addresses and how to get in.
#[derive(Debug)]
pub struct Shown {
    /// The broker's origin.
    pub origin: String,
    /// Who signs in there.
    pub owner: Identity,
    /// The home's address.
    pub home_url: String,
    /// Name and password of Home Assistant's owner, where we made them.
    pub password: Option<(&'static str, &'static str)>,
    /// The guest's link.
    pub link: Link,
    /// What is wrong with the way into the home, if anything.
    pub warning: Option<String>,
    /// Where everything is kept.
    pub folder: PathBuf,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, owner, home_url, link, .. } = self;
        writeln!(f, "\nLatchkey runs. Open:\n")?;
        writeln!(f, "  dashboard  {origin}/")?;
        writeln!(f, "             sign in with {} and {}", owner.email, owner.password)?;
        writeln!(f, "  home       {home_url}")?;
        match self.password {
            Some((name, password)) => writeln!(f, "             sign in with {name} and {password}")?,
            None => writeln!(f, "             your own Home Assistant, from outside")?,
        }
        writeln!(f, "  guest      {}", link.url)?;
        writeln!(f, "             {}, to see and to switch; best in a private window", link.name)?;
        if let Some(warning) = &self.warning {
            writeln!(f, "\n  The home's address does not work yet: {warning}")?;
        }
        write!(f, "\nCtrl-C stops it all; the next start finds it again in {}.", self.folder.display())
    }
}
