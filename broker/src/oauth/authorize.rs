//! The authorization endpoint: a browser brings a program's request, a person decides, a code goes back.
//!
//! Invariant: nothing leads to an address that is not the client's own. Until client and address are known
//! good, whatever is wrong is told on a page of ours (AZ-05); after that, to the client.

pub(super) mod rows;

use http::{Method, StatusCode};
use shared::oauth::{Scopes, path};

use super::client::{Client, GrantType};
use super::consent::{Setting, Subject, note_consent, notice, wrong_address};
use super::grant::{Approval, Code, is_challenge};
use super::refusal::Refusal;
use super::{OAuth, client};
use crate::accounts::SignedIn;
use crate::chance::{self, Kind};
use crate::http::form::Form;
use crate::http::page::Frame;
use crate::http::{Answer, Asked, Fault, see_other};

/// A request whose client and address are good (RFC 6749 section 4.1.1).
struct Request {
    client: Client,
    redirect_uri: String,
    redirect_uri_sent: bool,
    state: Option<String>,
}

/// What a good request asks for.
struct Wanted {
    scopes: Scopes,
    /// None from a client that need not send one (PK-11).
    challenge: Option<String>,
}

/// What is wrong before there is anywhere to send it: the word that tells the person, and whose address it was
/// not.
struct NowhereToGo(&'static str, Option<Client>);

impl OAuth {
    /// `GET` and `POST /oauth2/authorize`. A POST that decides nothing is a request like a GET.
    pub(super) async fn authorize(&self, asked: &Asked) -> Result<Answer, Fault> {
        let form = if asked.method == Method::POST { asked.form()? } else { asked.query_form()? };
        let request = match self.request(&form).await? {
            Ok(request) => request,
            Err(NowhereToGo(why, client)) => return self.led_nowhere(asked, &form, why, client).await,
        };
        let wanted = match self.is_for_us(&form).and_then(|()| Wanted::read(&form, &request.client)) {
            Ok(wanted) => wanted,
            Err(refusal) => {
                // Whoever may register in a workspace could else send strangers anywhere under our name (AZ-24).
                if request.client.workspace.is_some() && self.0.accounts.signed_in(asked).await?.is_none() {
                    return Err(Fault::SignIn(format!("{}?{}", asked.path, asked.query)));
                }
                return Ok(self.refuse(&request, refusal));
            }
        };
        let person = self.0.accounts.signed_in(asked).await?;
        let person = person.ok_or_else(|| Fault::SignIn(request.here(&wanted)))?;
        let decision = if asked.method == Method::POST { form.optional("decision")? } else { None };
        match decision {
            None => self.ask(asked, &person, request.subject(&wanted), request.setting(&wanted)).await,
            Some(decision) => {
                person.check(asked, Some(&form))?;
                self.decide(asked, &person, &form, request, wanted, decision == "allow").await
            }
        }
    }

    /// Flow A, step 1: client and address.
    async fn request(&self, form: &Form) -> Result<Result<Request, NowhereToGo>, Fault> {
        let (Ok(id), Ok(sent)) = (form.optional("client_id"), form.optional("redirect_uri")) else {
            return Ok(Err(NowhereToGo("oauth-repeated", None)));
        };
        let known = match id {
            Some(id) => client::rows::find(&mut *self.0.store.read().await?, id).await?,
            None => None,
        };
        let Some(client) = known.filter(|client| !client.disabled) else {
            return Ok(Err(NowhereToGo("oauth-unknown-client", None)));
        };
        let Some(redirect_uri) = client.redirect_uri(sent) else {
            return Ok(Err(NowhereToGo("oauth-wrong-address", Some(client))));
        };
        // A state that is there twice cannot be given back; `Wanted::read` refuses it.
        let state = form.optional("state").ok().flatten().map(str::to_owned);
        Ok(Ok(Request { client, redirect_uri, redirect_uri_sent: sent.is_some(), state }))
    }

    /// Tells whoever came with a request that leads nowhere. Owners and admins of the client's workspace see what
    /// was sent and what is registered; nobody else learns anything of the client (RU-09).
    async fn led_nowhere(
        &self,
        asked: &Asked,
        form: &Form,
        why: &'static str,
        client: Option<Client>,
    ) -> Result<Answer, Fault> {
        let frame = Frame::bare(asked.words());
        let Some((client, workspace)) = client.and_then(|c| c.workspace.map(|workspace| (c, workspace)))
        else {
            return Ok(notice(StatusCode::BAD_REQUEST, frame, "oauth-cannot-ask", why));
        };
        let manages = match self.0.accounts.signed_in(asked).await? {
            Some(person) => {
                let memberships = self.0.accounts.memberships(person.account).await?;
                memberships.iter().any(|member| member.workspace == workspace && member.role.manages())
            }
            None => false,
        };
        if !manages {
            return Ok(notice(StatusCode::BAD_REQUEST, frame, "oauth-cannot-ask", why));
        }
        let sent = form.optional("redirect_uri")?.unwrap_or("").to_owned();
        Ok(wrong_address(frame, why, sent, client.redirect_uris))
    }

    /// Flow A, steps 3 and 4: what the person decided.
    async fn decide(
        &self,
        asked: &Asked,
        person: &SignedIn,
        form: &Form,
        request: Request,
        wanted: Wanted,
        allow: bool,
    ) -> Result<Answer, Fault> {
        if !allow {
            return Ok(self.refuse(&request, Refusal::Denied));
        }
        let subject = request.subject(&wanted);
        let approved = match subject.choice(form) {
            Ok(choice) => self.approve(person, subject.client, choice).await,
            Err(not_yet) => Err(not_yet),
        };
        match approved {
            Ok(approval) => self.issue(asked, &request, wanted.challenge, approval).await,
            Err(not_yet) => self.ask_again(asked, person, subject, request.setting(&wanted), not_yet).await,
        }
    }

    /// Flow A, step 4: the code.
    async fn issue(
        &self,
        asked: &Asked,
        request: &Request,
        challenge: Option<String>,
        approval: Approval,
    ) -> Result<Answer, Fault> {
        let code = chance::token(Kind::Code);
        let row = Code {
            approval,
            redirect_uri: request.redirect_uri.clone(),
            redirect_uri_sent: request.redirect_uri_sent,
            challenge,
            expires_at: self.0.clock.now().after(self.0.lifetimes.code),
        };
        let mut tx = self.0.store.begin().await?;
        rows::add(&mut tx, &chance::hash(code.expose()), &request.client.id, &row).await?;
        note_consent(&mut tx, asked, &request.client, &row.approval, self.0.clock.now()).await?;
        tx.commit().await?;
        Ok(self.send_back(request, &[("code", code.expose())]))
    }

    fn refuse(&self, request: &Request, refusal: Refusal) -> Answer {
        let says = [("error", refusal.word()), ("error_description", refusal.description())];
        self.send_back(request, &says)
    }

    /// RFC 6749 sections 4.1.2 and 4.1.2.1, with the issuer (RFC 9207). The registered address keeps its own
    /// query (RU-07) and is otherwise left as it is written.
    fn send_back(&self, request: &Request, says: &[(&str, &str)]) -> Answer {
        let issuer = self.0.site.origin();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(says);
        query.extend_pairs(request.state.iter().map(|state| ("state", state)));
        query.append_pair("iss", &issuer);
        let mark = if request.redirect_uri.contains('?') { '&' } else { '?' };
        see_other(&format!("{}{mark}{}", request.redirect_uri, query.finish()))
    }
}

impl Wanted {
    /// The rest of the request: what is wrong here is told to the client.
    fn read(form: &Form, client: &Client) -> Result<Self, Refusal> {
        let field = |name| form.optional(name).map_err(|_| Refusal::Malformed("a parameter is there twice"));
        for name in ["state", "response_mode", "prompt"] {
            field(name)?;
        }
        client.may(GrantType::Code)?;
        match field("response_type")? {
            None => return Err(Refusal::Malformed("response_type is missing")),
            Some("code") => {}
            Some(_) => return Err(Refusal::UnsupportedResponseType),
        }
        let challenge = challenge(field("code_challenge")?, field("code_challenge_method")?, client)?;
        Ok(Self { scopes: client.asked_scopes(field("scope")?)?, challenge })
    }
}

/// PKCE for every client but those that cannot (RFC 9700 section 2.1.1, PK-01, PK-11), S256 only: a missing
/// method would mean plain (PK-05). What is sent is held against the verifier, whoever sends it (PK-02).
fn challenge(sent: Option<&str>, method: Option<&str>, client: &Client) -> Result<Option<String>, Refusal> {
    let Some(challenge) = sent else {
        return match (client.pkce_required, method) {
            (false, None) => Ok(None),
            _ => Err(Refusal::Malformed("code_challenge is missing")),
        };
    };
    if method != Some("S256") {
        return Err(Refusal::Malformed("code_challenge_method must be S256"));
    }
    if !is_challenge(challenge) {
        return Err(Refusal::Malformed("code_challenge is not 43 characters of base64url"));
    }
    Ok(Some(challenge.to_owned()))
}

impl Request {
    fn subject<'a>(&'a self, wanted: &'a Wanted) -> Subject<'a> {
        Subject { client: &self.client, scopes: &wanted.scopes }
    }

    /// The request's own parameters, to be sent through a form or a sign-in and read again.
    fn fields(&self, wanted: &Wanted) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("client_id", self.client.id.clone()),
            ("response_type", "code".to_owned()),
            ("scope", wanted.scopes.to_string()),
        ];
        if let Some(challenge) = &wanted.challenge {
            fields.push(("code_challenge", challenge.clone()));
            fields.push(("code_challenge_method", "S256".to_owned()));
        }
        if self.redirect_uri_sent {
            fields.push(("redirect_uri", self.redirect_uri.clone()));
        }
        fields.extend(self.state.iter().map(|state| ("state", state.clone())));
        fields
    }

    /// The address of this request, whole (AZ-28).
    fn here(&self, wanted: &Wanted) -> String {
        let fields = self.fields(wanted);
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        format!("{}?{query}", path::AUTHORIZE)
    }

    fn setting(&self, wanted: &Wanted) -> Setting {
        Setting {
            action: path::AUTHORIZE,
            fields: self.fields(wanted),
            here: self.here(wanted),
            leads_to: Some(leads_to(&self.redirect_uri)),
            device: None,
            wrong: None,
            take_over: None,
        }
    }
}

/// The host of an address for people, and its source for `form-action` (AZ-26). A policy has no way to name an
/// IPv6 address (CSP 3 section 2.3.1), so there and for private schemes it is the scheme.
fn leads_to(uri: &str) -> (String, String) {
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    let host = rest.strip_prefix("//").and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or("");
    match host {
        "" => (format!("{scheme}:"), format!("{scheme}:")),
        host if host.starts_with('[') => (host.to_owned(), format!("{scheme}:")),
        host => (host.to_owned(), format!("{scheme}://{host}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_where_the_answer_goes() {
        for (uri, host, policy) in [
            ("https://ha.example/auth/external/callback", "ha.example", "https://ha.example"),
            ("http://127.0.0.1:51234/callback", "127.0.0.1:51234", "http://127.0.0.1:51234"),
            ("http://[::1]:51234/callback", "[::1]:51234", "http:"),
            ("org.example.app:/callback", "org.example.app:", "org.example.app:"),
            ("https://ha.example?a=b", "ha.example", "https://ha.example"),
        ] {
            assert_eq!(leads_to(uri), (host.to_owned(), policy.to_owned()), "{uri} (AZ-26)");
        }
    }
}
