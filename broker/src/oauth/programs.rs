//! `/programs`: what a person has let in, what it may do, when it was last there, and the way to put it out (O6).
//!
//! Where two held one token the program is gone already, and this page says so: which, when, from where (RT-18).

mod rows;

use std::time::Duration;

use askama::Template;
use http::StatusCode;
use shared::id::GrantId;

use super::OAuth;
use super::consent::sentence;
use super::revoke::Why;
use crate::accounts::SignedIn;
use crate::http::ago::Moment;
use crate::http::limit::place;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, see_other};

/// How long it is said that a program was put out because its token was used by two.
const SAID: Duration = Duration::from_secs(30 * 24 * 3600);

/// A program, as its page shows it.
struct Program {
    id: GrantId,
    name: String,
    /// The workspace that registered it; the broker's own clients have none.
    registered_by: Option<String>,
    home: Option<String>,
    may: Vec<&'static str>,
    since: Moment,
    used: Moment,
    from: String,
    /// When it is out if it is not used until then.
    unused: Option<Moment>,
    /// When it is out whatever it does.
    latest: Moment,
}

/// A program that was put out because two held one token of it.
struct Notice {
    name: String,
    home: Option<String>,
    when: Moment,
    from: Option<String>,
}

#[derive(Template)]
#[template(path = "oauth/programs.html")]
struct ProgramsPage {
    frame: Frame,
    programs: Vec<Program>,
    notices: Vec<Notice>,
}

impl OAuth {
    /// `GET /programs`.
    pub(super) async fn programs(&self, asked: &Asked) -> Result<Answer, Fault> {
        let person = self.0.accounts.require(asked).await?;
        let (now, w) = (self.0.clock.now(), asked.words());
        let mut db = self.0.store.read().await?;
        let moment = |at| Moment::new(w, at, now);
        let program = |row: rows::Program| Program {
            id: row.grant,
            name: row.name,
            registered_by: row.registered_by,
            home: row.home,
            may: row.scopes.iter().map(sentence).collect(),
            since: moment(row.created_at),
            used: moment(row.used_at),
            from: row.used_from,
            unused: row.unused.map(|at| moment(at.min(row.ends_at))),
            latest: moment(row.ends_at),
        };
        let programs = rows::of(&mut db, person.account, now).await?.into_iter().map(program).collect();
        let notice = |row: rows::Ended| Notice {
            name: row.name,
            home: row.home,
            when: moment(row.at),
            from: row.from,
        };
        let ended = rows::reused(&mut db, person.account, now, SAID).await?;
        let notices = ended.into_iter().map(notice).collect();
        Ok(page(StatusCode::OK, &ProgramsPage { frame: person.frame(asked), programs, notices }))
    }

    /// `POST /programs/{id}/revoke`. One that is gone, or another's, is not there.
    pub(super) async fn put_out(&self, asked: &Asked, id: &str) -> Result<Answer, Fault> {
        let person: SignedIn = self.0.accounts.require(asked).await?;
        person.check(asked, Some(&asked.form()?))?;
        let grant: GrantId = id.parse().map_err(|_| Fault::NotFound)?;
        let mut tx = self.0.store.begin().await?;
        if !rows::is_of(&mut tx, grant, person.account).await? {
            return Err(Fault::NotFound);
        }
        let from = place(asked.peer.ip).to_string();
        self.end(tx, grant, Why::Person, Some(&from)).await?;
        Ok(see_other("/programs"))
    }
}
