//! What an owner does on the broker's pages, done by a [`Visitor`]: the first account, signing in, letting an
//! agent in, sharing, revoking.

use anyhow::{Context, Result, ensure};
use shared::id::HomeId;

use crate::visitor::{Page, Visitor};

/// Who somebody is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Shown to others.
    pub name: String,
    /// To sign in with.
    pub email: String,
    /// At least fifteen characters.
    pub password: String,
}

impl Identity {
    /// The owner of most stories.
    pub fn ada() -> Self {
        Self {
            name: "Ada".into(),
            email: "ada@example.org".into(),
            password: "a lantern on the porch".into(),
        }
    }
}

/// What a link lets its guest do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// Look.
    View,
    /// Look and switch.
    Control,
}

/// An account with a session.
#[derive(Debug)]
pub struct Owner {
    /// The browser with the session in it.
    pub visitor: Visitor,
    /// Who.
    pub identity: Identity,
}

impl Owner {
    /// Makes the first account through the one-time address that the broker gave.
    ///
    /// # Errors
    /// When the broker refuses; its page is in the text.
    pub async fn make_first(first_run: &str, identity: Identity) -> Result<Self> {
        let visitor = Visitor::new(first_run)?;
        let page = visitor.get(first_run).await?.well()?;
        let Identity { name, email, password } = &identity;
        let fields = [("name", name.as_str()), ("email", email.as_str()), ("password", password.as_str())];
        visitor.submit(&page, "/first-run", &fields).await?.well().context("make the first account")?;
        Ok(Self { visitor, identity })
    }

    /// Signs in at the broker's origin.
    ///
    /// # Errors
    /// When the broker refuses; its page is in the text.
    pub async fn sign_in(origin: &str, identity: Identity) -> Result<Self> {
        let visitor = Visitor::new(origin)?;
        let page = visitor.get("/sign-in").await?.well()?;
        let fields = [("email", identity.email.as_str()), ("password", identity.password.as_str())];
        visitor.submit(&page, "/sign-in", &fields).await?.well().context("sign in")?;
        Ok(Self { visitor, identity })
    }

    /// Opens the address an agent showed (browser flow) and lets it in, for a new home of this name. The page
    /// that comes back is the agent's own.
    ///
    /// # Errors
    /// When the broker refuses; its page is in the text.
    pub async fn allow_by_browser(&self, address: &str, home_name: &str) -> Result<Page> {
        let page = self.visitor.get(address).await?.well()?;
        self.consent(&page, "/oauth2/authorize", home_name).await
    }

    /// Types the code an agent showed (device flow) and lets it in, for a new home of this name.
    ///
    /// # Errors
    /// When the broker refuses; its page is in the text.
    pub async fn allow_by_code(&self, code: &str, home_name: &str) -> Result<Page> {
        let page = self.visitor.get("/device").await?.well()?;
        let page = self.visitor.submit(&page, "/device", &[("user_code", code)]).await?.well()?;
        self.consent(&page, "/device", home_name).await
    }

    async fn consent(&self, page: &Page, action: &str, home_name: &str) -> Result<Page> {
        let fields = [("home", "new"), ("home_name", home_name), ("decision", "allow")];
        self.visitor.submit(page, action, &fields).await?.well().context("let the agent in")
    }

    /// Shares an entity of a home, for a week, and gives the link's address. The home must be online.
    ///
    /// # Errors
    /// When the broker refuses; its page is in the text.
    pub async fn share(&self, home: HomeId, entity: &str, label: &str, may: May) -> Result<String> {
        let path = format!("/homes/{home}/share");
        let page = self.visitor.get(&format!("{path}?entity={entity}")).await?.well()?;
        let permission = if may == May::Control { "control" } else { "view" };
        let fields = [("label", label), ("permission", permission), ("expires", "week")];
        let shared = self.visitor.submit(&page, &path, &fields).await?.well()?;
        let url = shared.value_of("url").context("the page shows no link")?;
        ensure!(url.contains("/portal/"), "{url} is no link");
        Ok(url)
    }

    /// Revokes the first live link on a home's page that has this label.
    ///
    /// # Errors
    /// When there is none, or the broker refuses; the page is in the text.
    pub async fn revoke(&self, home: HomeId, label: &str) -> Result<()> {
        let page = self.visitor.get(&format!("/homes/{home}")).await?.well()?;
        let start = format!("/homes/{home}/links/");
        let forms = page.forms().filter(|form| form.action.starts_with(&start));
        let places = forms.filter_map(|form| Some((page.text.find(&form.action)?, form.action)));
        // Each link's form stands below its label, so the form sought is the first one after it.
        let at = page.text.find(label).with_context(|| format!("no {label:?} on:\n{}", page.text))?;
        let below = places.filter(|(place, _)| *place > at).min_by_key(|(place, _)| *place);
        let (_, action) = below.with_context(|| format!("no live link {label:?} on:\n{}", page.text))?;
        self.visitor.submit(&page, &action, &[]).await?.well().map(drop)
    }
}
