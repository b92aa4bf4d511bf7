//! A policy that takes the place of another one.

use super::*;

fn policy(secret: &[u8], everybody: Grant) -> Policy {
    Policy::new(Tokens::new(TokenKey::parse(secret).unwrap())).with_anonymous(everybody)
}

fn readers() -> Grant {
    Grant::default().with_read(Matchers::parse(["news"]).unwrap())
}

#[tokio::test]
async fn streams_of_a_key_that_is_replaced_end_and_those_that_may_read_as_much_go_on() {
    let setup = Setup::with(readers(), |control| control).await;
    let alice = bearer(&of_user("alice"));
    let mut of_nobody = Stream::open(&setup, "/topics/news", "").await;
    let mut of_alice = Stream::open(&setup, "/topics/users/alice/a", &alice).await;
    // The same keys, and the same rights.
    setup.hub.set_policy(policy(SECRET, readers()));
    setup.say("users/alice/a", "goes on").await;
    of_alice.up_to("goes on").await;

    setup.hub.set_policy(policy(b"another key with 32 bytes or more", readers()));
    let read = of_alice.end().await;
    assert!(read.ends_with("data: {\"reason\":\"rules\"}\n\n\r\n0\r\n\r\n"), "{read}");
    setup.ask("GET", "/topics/users/alice/a", &alice, "").await.refusal(401, "token-not-accepted", &[]);
    let public = Update::new(Topic::parse("news").unwrap(), "for everybody");
    setup.hub.publish(public).await.unwrap();
    of_nobody.up_to("for everybody").await;

    setup.hub.set_policy(policy(SECRET, Grant::default()));
    of_nobody.end().await;
}

#[tokio::test]
async fn a_ticket_of_a_key_that_is_replaced_is_void() {
    let setup = Setup::with(readers(), |control| control).await;
    let ticket = setup.ticket(&of_user("alice"), &json!({ "topics": ["news"] })).await;
    setup.hub.set_policy(policy(b"another key with 32 bytes or more", readers()));
    setup.ask("GET", &format!("/topics?ticket={ticket}"), "", "").await.refusal(401, "ticket-not-valid", &[]);
}

#[tokio::test]
async fn a_credential_that_is_shown_again_gets_the_rights_of_the_policy_in_force() {
    let setup = Setup::with(Grant::default(), |control| control).await;
    let alice = bearer(&of_user("alice"));
    let _open = Stream::open(&setup, "/topics/news", &alice).await;
    let page = async || {
        let headers = format!("{alice}Accept: application/json\r\n");
        setup.ask("GET", "/topics/more", &headers, "").await.status()
    };
    assert_eq!(page().await, 403);
    setup.hub.set_policy(policy(SECRET, Grant::default().with_read(Matchers::all())));
    assert_eq!(page().await, 200);
    setup.hub.set_policy(policy(SECRET, Grant::default()));
    assert_eq!(page().await, 403);
}
