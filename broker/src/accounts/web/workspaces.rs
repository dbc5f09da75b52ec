//! One's workspaces: looking at another, making one, giving one a name.

use askama::Template;
use http::StatusCode;
use shared::id::WorkspaceId;

use super::members::role_word;
use super::{Accounts, field};
use crate::accounts::SignedIn;
use crate::accounts::workspaces::Not;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, see_other};

#[derive(Template)]
#[template(path = "accounts/workspaces.html")]
struct WorkspacesPage {
    frame: Frame,
    workspaces: Vec<Line>,
    /// The one looked at, as it was typed into the form.
    name: String,
    manages: bool,
    new_name: String,
    wrong: Option<&'static str>,
    wrong_new: Option<&'static str>,
}

struct Line {
    id: WorkspaceId,
    name: String,
    role: String,
    homes: String,
    members: String,
    is_here: bool,
}

/// What was typed, and what was wrong with it.
#[derive(Default)]
struct Tried {
    name: Option<String>,
    new_name: String,
    wrong: Option<&'static str>,
    wrong_new: Option<&'static str>,
}

pub async fn answer(accounts: &Accounts, asked: &Asked, segments: &[&str]) -> Result<Answer, Fault> {
    let person = accounts.require(asked).await?;
    if asked.method != http::Method::POST {
        return match segments {
            [] => show(accounts, asked, &person, Tried::default()).await,
            ["new" | "rename"] | [_, "switch"] => Err(Fault::Method("POST")),
            _ => Err(Fault::NotFound),
        };
    }
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    match segments {
        [] => Err(Fault::Method("GET")),
        ["new"] => {
            let new_name = field(&sent, "name")?;
            match accounts.make_workspace(&person, &new_name).await? {
                Ok(()) => Ok(see_other("/")),
                Err(Not(wrong)) => {
                    show(
                        accounts,
                        asked,
                        &person,
                        Tried { new_name, wrong_new: Some(wrong), ..Tried::default() },
                    )
                    .await
                }
            }
        }
        ["rename"] => {
            let name = field(&sent, "name")?;
            match accounts.rename_workspace(&person, &name).await? {
                Ok(()) => Ok(see_other("/workspaces")),
                Err(Not(wrong)) => {
                    show(
                        accounts,
                        asked,
                        &person,
                        Tried { name: Some(name), wrong: Some(wrong), ..Tried::default() },
                    )
                    .await
                }
            }
        }
        [id, "switch"] => {
            accounts.switch(&person, id.parse().map_err(|_| Fault::NotFound)?).await?;
            Ok(see_other("/"))
        }
        _ => Err(Fault::NotFound),
    }
}

async fn show(accounts: &Accounts, asked: &Asked, person: &SignedIn, tried: Tried) -> Result<Answer, Fault> {
    let w = asked.words();
    let mine = accounts.my_workspaces(person).await?;
    let line = |mine: crate::accounts::workspaces::Mine| Line {
        is_here: mine.id == person.workspace,
        id: mine.id,
        name: mine.name,
        role: w.say(role_word(mine.role)),
        homes: w.say_with("workspaces-homes", "n", mine.homes),
        members: w.say_with("workspaces-members", "n", mine.members),
    };
    let is_wrong = tried.wrong.is_some() || tried.wrong_new.is_some();
    let shown = WorkspacesPage {
        frame: person.frame(asked),
        workspaces: mine.into_iter().map(line).collect(),
        name: tried.name.unwrap_or_else(|| person.workspace_name.clone()),
        manages: person.role.manages(),
        new_name: tried.new_name,
        wrong: tried.wrong,
        wrong_new: tried.wrong_new,
    };
    Ok(page(if is_wrong { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &shown))
}
