//! Courses: what was seen, in which order and when, and what follows.

use std::time::Duration;

use serde_json::json;

use super::*;

struct Run {
    course: Course,
    began: Instant,
}

fn run(protocol: Protocol) -> Run {
    let began = Instant::now();
    let allowed = Allowed::new(&"http://127.0.0.1:8123".parse().unwrap(), &[]);
    Run { course: Course::new(Timings::default(), protocol, allowed, began), began }
}

impl Run {
    fn at(&self, seconds: u64) -> Instant {
        self.began + Duration::from_secs(seconds)
    }

    fn hear(&mut self, meaning: Meaning, seconds: u64) {
        let at = self.at(seconds);
        self.course.hear(&meaning, str::to_owned, at);
    }

    fn see(&mut self, ready: Option<u32>, seconds: u64) {
        let at = self.at(seconds);
        self.course.see(&Look { ready, config: None, origin: None }, at);
    }

    fn verdict(&self, seconds: u64) -> Option<Verdict> {
        self.course.verdict(None, self.at(seconds))
    }

    fn status(&self, seconds: u64) -> Status {
        self.course.status(self.at(seconds))
    }
}

fn lost_with(status: &Status, words: &str) -> bool {
    matches!(status, Status::Lost(trouble) if trouble.word == TunnelTrouble::Edge && trouble.reason.contains(words))
}

#[test]
fn it_comes_up_goes_down_and_comes_back() {
    let mut run = run(Protocol::Auto);
    assert_eq!(run.status(0), Status::Connecting);
    run.hear(Meaning::Registered, 1);
    assert_eq!((run.status(1), run.course.registered()), (Status::Connected, Some(run.at(1))));
    run.see(Some(0), 6);
    run.hear(Meaning::NoEdge("DialContext".into()), 6);
    assert!(lost_with(&run.status(6), "lost Cloudflare and tries to reach it again: DialContext"));
    run.see(Some(4), 11);
    assert_eq!((run.status(11), run.verdict(11)), (Status::Connected, None));
}

#[test]
fn a_connection_is_seen_although_its_line_was_lost() {
    let mut run = run(Protocol::Auto);
    run.see(Some(2), 5);
    assert_eq!((run.status(5), run.course.registered()), (Status::Connected, Some(run.at(5))));
}

#[test]
fn who_is_refused_is_ended_at_once() {
    let mut run = run(Protocol::Auto);
    run.hear(Meaning::Unauthorized("Unauthorized: Tunnel not found".into()), 1);
    assert_eq!(run.verdict(1), Some(Verdict::Unauthorized("Unauthorized: Tunnel not found".into())));
}

#[test]
fn quic_has_twenty_seconds() {
    let mut blocked = run(Protocol::Auto);
    blocked.hear(Meaning::NoQuic, 6);
    assert_eq!((blocked.verdict(19), blocked.verdict(20)), (None, Some(Verdict::NoQuic)));
    blocked.hear(Meaning::Registered, 19);
    assert_eq!(blocked.verdict(59), None, "it got through after all");

    let mut elsewhere = run(Protocol::Auto);
    elsewhere.hear(Meaning::NoEdge("no route to host".into()), 6);
    elsewhere.see(Some(0), 6);
    assert_eq!(elsewhere.verdict(30), None, "no network at all is not QUIC's fault");
    assert!(lost_with(&elsewhere.status(30), "does not reach Cloudflare: no route to host"));

    let mut chosen = run(Protocol::Quic);
    chosen.hear(Meaning::NoQuic, 6);
    chosen.see(Some(0), 6);
    assert_eq!(chosen.verdict(59), None, "whoever wants QUIC and nothing else gets it");
}

#[test]
fn one_that_says_nothing_is_ended() {
    let never = run(Protocol::Auto);
    assert_eq!(never.verdict(59), None, "its metrics port may be 31 s late");
    assert!(matches!(never.verdict(60), Some(Verdict::Hung(_))));

    let mut later = run(Protocol::Auto);
    later.see(Some(4), 5);
    for (silent, at) in [(1, 10), (2, 15)] {
        later.see(None, at);
        assert_eq!(later.verdict(at), None, "{silent} looks without an answer");
    }
    later.see(Some(4), 20);
    for at in [25, 30, 35] {
        assert_eq!(later.verdict(at), None);
        later.see(None, at);
    }
    assert!(matches!(later.verdict(35), Some(Verdict::Hung(_))));
}

#[test]
fn one_that_floods_is_ended_after_a_while() {
    let mut run = run(Protocol::Auto);
    run.see(Some(0), 1);
    let flooding = |seconds| run.course.verdict(Some(Duration::from_secs(seconds)), run.at(seconds));
    assert_eq!((flooding(29), flooding(30)), (None, Some(Verdict::Floods)));
}

#[test]
fn a_tunnel_that_leads_elsewhere_is_shut() {
    let config = |service: &str| json!({"ingress": [{"hostname": "h", "service": service}]});
    let mut heard = run(Protocol::Auto);
    heard.hear(Meaning::Configured(config("http://localhost:8123")), 1);
    assert_eq!(heard.verdict(1), None);
    heard.hear(Meaning::Configured(config("http://192.168.1.1:80")), 2);
    let breach = Verdict::Breach("http://192.168.1.1:80".into());
    assert_eq!(heard.verdict(2), Some(breach.clone()));
    let mut seen = run(Protocol::Auto);
    let look = Look { ready: Some(4), config: Some(config("http://192.168.1.1:80")), origin: None };
    seen.course.see(&look, seen.began);
    assert_eq!(seen.verdict(2), Some(breach));
}

#[test]
fn a_tunnel_without_configuration_or_origin_is_up_and_amiss() {
    let mut run = run(Protocol::Auto);
    run.see(Some(4), 1);
    assert_eq!(run.status(20), Status::Connected);
    let amiss = |status: Status| match status {
        Status::Amiss(trouble) => Some(trouble.word),
        _ => None,
    };
    assert_eq!(amiss(run.status(21)), Some(TunnelTrouble::Configuration));
    let config = json!({"ingress": [{"service": "http://localhost:8123"}]});
    let nobody = Some(Err("nothing answers at http://localhost:8123".to_owned()));
    let look = Look { ready: Some(4), config: Some(config), origin: nobody };
    let at = run.at(25);
    run.course.see(&look, at);
    assert_eq!(amiss(run.status(25)), Some(TunnelTrouble::Origin));
    run.course.see(&Look { origin: Some(Ok(())), ..look }, at);
    assert_eq!(run.status(25), Status::Connected);
}
