//! Faults of ours: a client is told to come back later, never that it was wrong, and what was not written is not
//! claimed.

use kit::world::World;
use reqwest::StatusCode;
use shared::oauth::path;

use super::paired;
use super::program::Program;

kit::stories! {
    async fn a_database_that_cannot_be_written_is_no_reason_to_sign_in_again(world: World) {
        let program = Program::of(&world);
        let tokens = paired(&program, world.owner()).await;
        let refresh = tokens.text("refresh_token");
        let spoiled = world.spoil_database().await;
        for (path, fields) in [
            (path::TOKEN, &[("grant_type", "refresh_token"), ("refresh_token", &refresh)][..]),
            (path::DEVICE_AUTHORIZATION, &[]),
            (path::REVOKE, &[("token", &refresh)]),
        ] {
            let said = program.post(path, fields).await;
            assert_eq!(said.status, StatusCode::SERVICE_UNAVAILABLE, "TK-30, RV-07: {path}: {said:?}");
            assert!(said.retry_after, "TK-30, RV-07: {path}: {said:?}");
        }
        spoiled.mend().await;
        assert_eq!(program.call(&tokens.text("access_token")).await, StatusCode::OK, "RV-07: nothing was revoked");
        let again = program.refresh(&refresh).await;
        assert_eq!(again.status, StatusCode::OK, "TK-30: {again:?}");
        world.end().await;
    }
}
