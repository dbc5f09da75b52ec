//! What the demo must remember itself: its account's password and the link's address are shown once, and only
//! their hashes are stored.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use kit::owner::Identity;
use serde::{Deserialize, Serialize};

/// A link and what it opens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Link {
    /// The entity's name.
    pub name: String,
    /// The whole address, token included.
    pub url: String,
}

/// What is kept in `demo.json`.
#[derive(Debug)]
pub struct Kept {
    /// Who signs in.
    pub owner: Identity,
    /// The broker's port; 0 before the first start.
    pub port: u16,
    /// The guest's link, once made.
    pub link: Option<Link>,
}

/// Its form on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    email: String,
    password: String,
    port: u16,
    link: Option<Link>,
}

impl Kept {
    /// Reads what is kept, or makes a new owner with a password of chance.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let ada = Identity::ada();
        let file = file(folder);
        match fs::read(&file) {
            Ok(text) => {
                let Stored { email, password, port, link } = serde_json::from_slice(&text)
                    .with_context(|| format!("read {} (or start with --fresh)", file.display()))?;
                Ok(Self { owner: Identity { email, password, ..ada }, port, link })
            }
            Err(err) if err.kind() == ErrorKind::NotFound => {
                let mut chance = [0; 12];
                fs::File::open("/dev/urandom")?.read_exact(&mut chance).context("draw a password")?;
                let password = BASE64_URL_SAFE_NO_PAD.encode(chance);
                Ok(Self { owner: Identity { password, ..ada }, port: 0, link: None })
            }
            Err(err) => Err(err).with_context(|| format!("read {}", file.display())),
        }
    }

    /// Writes it, for this user's eyes only.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let (email, password) = (self.owner.email.clone(), self.owner.password.clone());
        let stored = Stored { email, password, port: self.port, link: self.link.clone() };
        let file = file(folder);
        let mut open = fs::OpenOptions::new();
        let mut out = open.write(true).create(true).truncate(true).mode(0o600).open(&file)?;
        out.write_all(&serde_json::to_vec_pretty(&stored)?)
            .with_context(|| format!("write {}", file.display()))
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("demo.json")
}
