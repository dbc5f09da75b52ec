//! Who is in the workspace somebody looks at: invitations, roles, taking out, handing over.

use askama::Template;
use http::StatusCode;
use shared::id::AccountId;

use super::{Accounts, field};
use crate::accounts::role::{may_change, may_hand_over, may_invite, may_leave, may_remove};
use crate::accounts::workspaces::Not;
use crate::accounts::{Role, SignedIn};
use crate::http::ago::Moment;
use crate::http::page::{Frame, page};
use crate::http::{Answer, Asked, Fault, see_other};

#[derive(Template)]
#[template(path = "accounts/members.html")]
struct MembersPage {
    frame: Frame,
    workspace: String,
    manages: bool,
    members: Vec<MemberLine>,
    invitations: Vec<InvitationLine>,
    /// What one may invite people as.
    roles: Vec<Choice>,
    email: String,
    wrong: Option<&'static str>,
    done: Option<&'static str>,
}

struct MemberLine {
    id: AccountId,
    name: String,
    email: String,
    role: String,
    joined: Option<Moment>,
    is_you: bool,
    /// The roles one may give them; none to give.
    roles: Vec<Choice>,
    may_remove: bool,
    may_leave: bool,
    may_hand_over: bool,
}

struct InvitationLine {
    id: i64,
    email: String,
    role: String,
    by: String,
    lapses: Moment,
}

struct Choice {
    word: &'static str,
    name: String,
    hint: String,
    is_chosen: bool,
}

/// What a role is called.
pub fn role_word(role: Role) -> &'static str {
    match role {
        Role::Owner => "members-role-owner",
        Role::Admin => "members-role-admin",
        Role::Member => "members-role-member",
        Role::Observer => "members-role-observer",
    }
}

fn role_hint(role: Role) -> &'static str {
    match role {
        Role::Owner => "members-role-owner-hint",
        Role::Admin => "members-role-admin-hint",
        Role::Member => "members-role-member-hint",
        Role::Observer => "members-role-observer-hint",
    }
}

fn choice(asked: &Asked, role: Role, chosen: Role) -> Choice {
    let w = asked.words();
    Choice {
        word: role.word(),
        name: w.say(role_word(role)),
        hint: w.say(role_hint(role)),
        is_chosen: role == chosen,
    }
}

/// What was typed into the form for an invitation.
struct Tried {
    email: String,
    role: Role,
    wrong: Option<&'static str>,
}

pub async fn answer(accounts: &Accounts, asked: &Asked, segments: &[&str]) -> Result<Answer, Fault> {
    // Handing a workspace over asks for a proof of the last ten minutes.
    let person = match segments {
        [_, "owner"] => accounts.require_fresh(asked, "/members").await?,
        _ => accounts.require(asked).await?,
    };
    if asked.method != http::Method::POST {
        return match segments {
            [] => {
                show(
                    accounts,
                    asked,
                    &person,
                    Tried { email: String::new(), role: Role::Member, wrong: None },
                )
                .await
            }
            ["invitations", ..] | [_, "role" | "remove" | "owner"] => Err(Fault::Method("POST")),
            _ => Err(Fault::NotFound),
        };
    }
    let sent = asked.form()?;
    person.check(asked, Some(&sent))?;
    let member = |id: &str| id.parse::<AccountId>().map_err(|_| Fault::NotFound);
    match segments {
        ["invitations"] => {
            let (email, role) = (field(&sent, "email")?, role(&field(&sent, "role")?)?);
            return invite(accounts, asked, &person, email, role).await;
        }
        ["invitations", id, "revoke"] => {
            accounts.uninvite(&person, id.parse().map_err(|_| Fault::NotFound)?).await?;
        }
        [id, "role"] => accounts.change_role(&person, member(id)?, role(&field(&sent, "role")?)?).await?,
        [id, "owner"] => accounts.hand_over(&person, member(id)?).await?,
        [id, "remove"] => {
            let target = member(id)?;
            accounts.remove_member(&person, target).await?;
            if target == person.account {
                return Ok(see_other("/workspaces"));
            }
        }
        [] => return Err(Fault::Method("GET")),
        _ => return Err(Fault::NotFound),
    }
    Ok(see_other("/members"))
}

fn role(word: &str) -> Result<Role, Fault> {
    Role::ALL.into_iter().find(|role| role.word() == word).ok_or_else(|| Fault::bad("there is no such role"))
}

async fn invite(
    accounts: &Accounts,
    asked: &Asked,
    person: &SignedIn,
    email: String,
    role: Role,
) -> Result<Answer, Fault> {
    match accounts.invite(person, &email, role, asked.words()).await? {
        Ok(()) => Ok(see_other("/members?done=invited#invitations")),
        Err(Not(wrong)) => show(accounts, asked, person, Tried { email, role, wrong: Some(wrong) }).await,
    }
}

async fn show(accounts: &Accounts, asked: &Asked, person: &SignedIn, tried: Tried) -> Result<Answer, Fault> {
    let w = asked.words();
    let manages = person.role.manages();
    let members = accounts.members(person.workspace).await?;
    let line = |member: crate::accounts::workspaces::Member| {
        let is_you = member.account == person.account;
        let given = Role::ALL.into_iter().filter(|to| may_change(person.role, member.role, *to));
        MemberLine {
            id: member.account,
            roles: if is_you { Vec::new() } else { given.map(|to| choice(asked, to, member.role)).collect() },
            may_remove: !is_you && may_remove(person.role, member.role),
            may_leave: is_you && may_leave(member.role),
            may_hand_over: !is_you && may_hand_over(person.role, member.role),
            name: member.name,
            email: member.email,
            role: w.say(role_word(member.role)),
            joined: (member.joined_at.millis() > 0).then(|| accounts.moment(asked, member.joined_at)),
            is_you,
        }
    };
    let open = if manages { accounts.invitations(person.workspace).await? } else { Vec::new() };
    let invitation = |open: crate::accounts::invitations::Open| InvitationLine {
        id: open.id,
        email: open.email,
        role: w.say(role_word(open.role)),
        by: open.by,
        lapses: accounts.moment(asked, open.lapses_at),
    };
    let invited_as = Role::ALL.into_iter().filter(|role| may_invite(person.role, *role));
    let shown = MembersPage {
        frame: person.frame(asked),
        workspace: person.workspace_name.clone(),
        manages,
        members: members.into_iter().map(line).collect(),
        invitations: open.into_iter().map(invitation).collect(),
        roles: invited_as.map(|role| choice(asked, role, tried.role)).collect(),
        email: tried.email,
        wrong: tried.wrong,
        done: asked
            .query_form()?
            .optional("done")?
            .filter(|done| *done == "invited")
            .map(|_| "members-invited"),
    };
    Ok(page(if tried.wrong.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &shown))
}
