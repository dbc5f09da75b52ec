//! The rules, at midnight and in bad company.

use super::*;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Of RFC 7636 appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(0).after(Duration::from_secs(seconds))
}

fn approval() -> Approval {
    let account = AccountId::from_random_bits(1 << 20);
    Approval { account: Some(account), home: None, scopes: Scopes::agent(), epoch: 0 }
}

fn code() -> Code {
    Code {
        approval: approval(),
        redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
        redirect_uri_sent: true,
        challenge: Some(CHALLENGE.to_owned()),
        expires_at: at(600),
    }
}

fn proof<'a>(redirect_uri: Option<&'a str>, verifier: Option<&'a str>) -> Proof<'a> {
    Proof { redirect_uri, verifier }
}

#[test]
fn a_code_needs_its_verifier_and_its_address() {
    let here = Some("http://127.0.0.1:1/callback");
    assert_eq!(code().redeem(at(599), proof(here, Some(VERIFIER))), Ok(approval()));
    assert_eq!(code().redeem(at(600), proof(here, Some(VERIFIER))), Err(Refusal::DeadGrant), "AZ-15");
    for (address, verifier, id) in [
        (here, None, "PK-02"),
        (here, Some(CHALLENGE), "PK-08"),
        (here, Some("wrong-wrong-wrong-wrong-wrong-wrong-wrong-wrong"), "PK-02"),
        (None, Some(VERIFIER), "TK-09"),
        (Some("http://127.0.0.1:2/callback"), Some(VERIFIER), "TK-09"),
    ] {
        assert_eq!(code().redeem(at(1), proof(address, verifier)), Err(Refusal::WrongProof), "{id}");
    }
    let not_sent = Code { redirect_uri_sent: false, ..code() };
    assert!(not_sent.clone().redeem(at(1), proof(None, Some(VERIFIER))).is_ok());
    assert!(not_sent.clone().redeem(at(1), proof(here, Some(VERIFIER))).is_ok());
    assert!(not_sent.redeem(at(1), proof(Some("http://evil/"), Some(VERIFIER))).is_err());
    let bare = Code { challenge: None, ..code() };
    assert_eq!(bare.redeem(at(1), proof(here, Some(VERIFIER))), Err(Refusal::WrongProof), "PK-03");
}

#[test]
fn a_verifier_has_its_form_even_where_the_hash_fits() {
    let fits = |verifier: &str| {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(chance::hash(verifier));
        is_challenge(&challenge) && is_verified(&challenge, verifier)
    };
    assert!(fits(&"a".repeat(43)) && fits(&"~".repeat(128)), "PK-10");
    for bad in ["a".repeat(20), "a".repeat(42), "a".repeat(129), "é".repeat(40), "+".repeat(43)] {
        assert!(!fits(&bad), "{bad} (PK-07)");
    }
    for bad in ["", "short", &"!".repeat(43), &"a".repeat(44), &format!("{CHALLENGE}=")] {
        assert!(!is_challenge(bad), "{bad} (PK-06)");
    }
}

fn device() -> Device {
    Device {
        standing: Standing::Pending,
        expires_at: at(900),
        interval: Duration::from_secs(5),
        polled_at: None,
    }
}

#[test]
fn a_hasty_device_is_slowed_down_for_good() {
    let mut device = device();
    assert_eq!(device.poll(at(10)), Err(Refusal::Pending), "DG-04");
    assert_eq!(device.poll(at(15)), Err(Refusal::Pending));
    for (second, interval) in [(16, 10), (17, 15)] {
        assert_eq!(device.poll(at(second)), Err(Refusal::SlowDown), "DG-05");
        assert_eq!(device.interval, Duration::from_secs(interval));
    }
    assert_eq!(device.poll(at(22)), Err(Refusal::SlowDown), "the old interval is too fast now (DG-05)");
    assert_eq!(device.poll(at(42)), Err(Refusal::Pending));
    assert_eq!(device.interval, Duration::from_secs(20));
}

#[test]
fn a_clock_set_back_slows_nobody_down() {
    let mut device = Device { polled_at: Some(at(500)), ..device() };
    assert_eq!(device.poll(at(100)), Err(Refusal::Pending));
}

#[test]
fn an_approval_is_handed_out_once() {
    let mut device = Device { standing: Standing::Approved(approval()), ..device() };
    device.polled_at = Some(at(1));
    assert_eq!(device.poll(at(2)), Ok(approval()), "an approval does not wait for the interval");
    assert_eq!(device.poll(at(3)), Err(Refusal::DeadGrant), "DG-08");
    assert_eq!(device.poll(at(999)), Err(Refusal::DeadGrant), "DG-08");
}

#[test]
fn a_denied_device_hears_it_each_time_and_a_lapsed_one_lapses() {
    let mut denied = Device { standing: Standing::Denied, ..device() };
    assert_eq!(denied.poll(at(1)), Err(Refusal::Denied), "DG-06");
    assert_eq!(denied.poll(at(2)), Err(Refusal::Denied), "DG-06");
    for standing in [Standing::Pending, Standing::Claimed, Standing::Approved(approval())] {
        let mut device = Device { standing, ..device() };
        assert_eq!(device.poll(at(900)), Err(Refusal::DeviceLapsed), "DG-07");
    }
}

#[test]
fn a_refresh_token_by_what_became_of_its_line() {
    let family = Family {
        id: GrantId::from_random_bits(1 << 20),
        approval: approval(),
        ends_at: at(1000),
        is_revoked: false,
    };
    let fresh = Refresh { expires_at: at(100), used_at: None, is_superseded: false, moved_on: false };
    let used = Refresh { used_at: Some(at(90)), ..fresh };
    let superseded = Refresh { is_superseded: true, ..fresh };
    assert_eq!(fresh.turn(at(99), &family, HOUR), Ok(Turn::First), "RT-01");
    assert_eq!(used.turn(at(99), &family, HOUR), Ok(Turn::Again), "RT-05");
    let second = Duration::from_secs(1);
    assert_eq!(used.turn(at(91), &family, second), Ok(Turn::Again), "RT-05");
    assert_eq!(used.turn(at(92), &family, second), Ok(Turn::Reuse), "RT-03: an answer is not lost for ever");
    assert_eq!(used.turn(at(90), &family, Duration::ZERO), Ok(Turn::Again), "two at once are one client");
    assert_eq!(Refresh { moved_on: true, ..used }.turn(at(99), &family, HOUR), Ok(Turn::Reuse), "RT-03");
    assert_eq!(superseded.turn(at(99), &family, HOUR), Err(Refusal::DeadGrant), "RT-05");
    assert_eq!(
        Refresh { moved_on: true, ..superseded }.turn(at(99), &family, HOUR),
        Ok(Turn::Reuse),
        "RT-04"
    );
    assert_eq!(fresh.turn(at(100), &family, HOUR), Err(Refusal::DeadGrant), "RT-12");
    let long = Refresh { expires_at: at(5000), ..fresh };
    assert_eq!(long.turn(at(1000), &family, HOUR), Err(Refusal::DeadGrant), "RT-12");
    let revoked = Family { is_revoked: true, ..family };
    assert_eq!(fresh.turn(at(1), &revoked, HOUR), Err(Refusal::DeadGrant), "RT-10");
}

#[test]
fn a_refresh_may_narrow_and_never_widen() {
    let granted = Scopes::parse("smarthome:read relay").unwrap();
    assert_eq!(narrowed(None, &granted).as_ref(), Ok(&granted));
    assert_eq!(narrowed(Some("relay"), &granted).map(|s| s.to_string()).as_deref(), Ok("relay"), "RT-07");
    for wider in ["relay workspace:read", "nonsense", " "] {
        assert_eq!(narrowed(Some(wider), &granted), Err(Refusal::InvalidScope), "{wider} (RT-08)");
    }
}
