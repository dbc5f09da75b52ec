//! Workspaces: invitations, roles, leaving, handing over.

use kit::world::World;
use reqwest::StatusCode;

use super::{PASSWORD, invited, is_in};

kit::stories! {
    async fn an_invitation_is_good_once_for_its_role(world: World) {
        let bob = invited(&world, "bob@example.org", "observer").await;
        let homes = bob.visitor.get("/").await.unwrap().well().unwrap();
        assert!(!homes.text.contains("add-home"), "an observer only looks: {}", homes.text);
        let link = world.link_for("bob@example.org", "/invitation?").await;
        assert_eq!(world.stranger().get(&link).await.unwrap().status, StatusCode::NOT_FOUND, "it is used up");
        let members = bob.visitor.get("/members").await.unwrap().well().unwrap();
        assert!(members.text.contains("Ada") && members.forms().all(|form| !form.action.contains("invitations")));
        world.end().await;
    }

    async fn an_invitation_that_was_taken_back_opens_nothing(world: World) {
        let ada = &world.owner().visitor;
        let members = ada.get("/members").await.unwrap();
        let fields = [("email", "eve@example.org"), ("role", "admin")];
        let listed = ada.submit(&members, "/members/invitations", &fields).await.unwrap().well().unwrap();
        let revoke = listed.forms().find(|form| form.action.ends_with("/revoke")).unwrap().action;
        let link = world.link_for("eve@example.org", "/invitation?").await;
        let eve = world.stranger();
        let page = eve.get(&link).await.unwrap().well().unwrap();
        ada.submit(&listed, &revoke, &[]).await.unwrap().well().unwrap();
        let late = [("name", "Eve"), ("password", PASSWORD)];
        let said = eve.submit(&page, "/invitation/new", &late).await.unwrap();
        assert_eq!(said.status, StatusCode::NOT_FOUND);
        assert!(!is_in(&eve).await);
        world.end().await;
    }

    async fn a_workspace_is_handed_over_and_always_has_one_owner(world: World) {
        let ada = &world.owner().visitor;
        let bob = invited(&world, "bob@example.org", "member").await;
        let members = ada.get("/members").await.unwrap().well().unwrap();
        assert!(!members.text.contains(">Leave<"), "an owner does not leave a workspace without one");
        let owner = members.forms().find(|form| form.action.ends_with("/owner")).unwrap().action;
        let stolen = bob.visitor.post(&owner, &[("csrf", "guess")]).await.unwrap();
        assert_eq!(stolen.status, StatusCode::FORBIDDEN, "WB-03");
        let after = ada.submit(&members, &owner, &[]).await.unwrap().well().unwrap();
        assert!(after.forms().all(|form| !form.action.ends_with("/owner")), "no longer hers to give");
        let now = bob.visitor.get("/members").await.unwrap().well().unwrap();
        assert_eq!(now.text.matches(">Owner</span>").count(), 1, "{}", now.text);
        assert!(now.forms().any(|form| form.action.ends_with("/owner")), "his to give");
        world.end().await;
    }

    async fn whoever_is_taken_out_of_the_last_workspace_gets_one_of_their_own(world: World) {
        let ada = &world.owner().visitor;
        let bob = invited(&world, "bob@example.org", "admin").await;
        let added = bob.visitor.get("/").await.unwrap();
        bob.visitor.submit(&added, "/homes", &[("name", "Shed"), ("port", "8123")]).await.unwrap().well().unwrap();
        let members = ada.get("/members").await.unwrap();
        let remove = members.forms().find(|form| form.action.ends_with("/remove")).unwrap().action;
        ada.submit(&members, &remove, &[]).await.unwrap().well().unwrap();
        let homes = bob.visitor.get("/").await.unwrap().well().unwrap();
        assert!(!homes.text.contains("Shed"), "the workspace's homes stay: {}", homes.text);
        assert!(homes.text.contains("add-home"), "and he has one of his own: {}", homes.text);
        world.end().await;
    }

    async fn a_person_makes_renames_and_switches_workspaces(world: World) {
        let ada = &world.owner().visitor;
        let page = ada.get("/workspaces").await.unwrap().well().unwrap();
        let home = ada.submit(&page, "/workspaces/new", &[("name", "Lake")]).await.unwrap();
        assert_eq!(home.status, StatusCode::OK, "{}", home.text);
        let page = ada.get("/workspaces").await.unwrap().well().unwrap();
        let renamed = ada.submit(&page, "/workspaces/rename", &[("name", "See & Ufer")]).await.unwrap().well().unwrap();
        assert_eq!(renamed.value_of("name").as_deref(), Some("See & Ufer"));
        let switch = renamed.forms().find(|form| form.action.ends_with("/switch")).unwrap().action;
        ada.submit(&renamed, &switch, &[]).await.unwrap().well().unwrap();
        let back = ada.get("/workspaces").await.unwrap();
        assert_eq!(back.value_of("name").as_deref(), Some("Ada"));
        world.end().await;
    }
}
