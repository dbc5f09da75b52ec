//! What a form may say.

use super::*;

fn subject<'a>(client: &'a Client, scopes: &'a Scopes) -> Subject<'a> {
    Subject { client, scopes }
}

#[test]
fn a_person_may_narrow_what_a_program_asks_and_never_widen_it() {
    let (client, scopes) = (Client::agent(), Scopes::parse("workspace:read smarthome:read").unwrap());
    let choose = |form: &[u8]| subject(&client, &scopes).choice(&Form::parse(form).unwrap());
    let chosen = choose(b"grant=smarthome:read&grant=shares:manage").unwrap();
    assert_eq!(
        chosen,
        Choice { scopes: Scopes::parse("smarthome:read").unwrap(), home: None, take_over: None }
    );
    for nothing in [&b""[..], b"grant=", b"grant=relay"] {
        assert!(matches!(choose(nothing), Err(NotYet::Wrong("oauth-choose-something"))));
    }
}

#[test]
fn an_agent_gets_all_it_asks_for_in_one_home() {
    let (client, scopes) = (Client::agent(), Scopes::agent());
    let choose = |form: &[u8]| subject(&client, &scopes).choice(&Form::parse(form).unwrap());
    let new = choose(b"grant=relay&home=new&home_name=+Lake+").unwrap();
    let home = Some(HomeChoice::New("Lake".to_owned()));
    assert_eq!(new, Choice { scopes: scopes.clone(), home, take_over: None });
    assert_eq!(choose(b"home=7&take_over=7").unwrap().take_over.unwrap().number(), 7);
    assert!(matches!(choose(b"home=7").unwrap().home, Some(HomeChoice::Existing(_))));
    for (form, word) in [
        (&b""[..], "oauth-choose-home"),
        (b"home=0", "oauth-choose-home"),
        (b"home=new&home_name=+", "oauth-name-home"),
    ] {
        assert!(matches!(choose(form), Err(NotYet::Wrong(wrong)) if wrong == word), "{word}");
    }
}

#[test]
fn every_scope_has_a_sentence() {
    for scope in Scope::ALL {
        let said = crate::http::words::english().say(sentence(scope));
        assert!(said.contains(' '), "{said}");
    }
}
