use std::{
    net::IpAddr,
    sync::{
        Mutex,
        mpsc::{Sender, channel},
    },
};

use futures_util::FutureExt;

use super::*;
use crate::{auth::Throttle, clock::Clock};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn password(text: &str) -> PresentedPassword {
    PresentedPassword::parse(text).unwrap()
}

fn verification(attempt: Attempt, stored: Option<PasswordHash>, text: &str) -> Verification {
    Verification { attempt, stored, password: password(text), refused: Box::new(|| ()) }
}

/// A password to verify that is the first for its account.
fn first(stored: Option<PasswordHash>, text: &str) -> Verification {
    let attempt = Throttle::new(Clock::system(), 0).begin("ann", None, HERE).unwrap();
    verification(attempt, stored, text)
}

/// Lets the hasher's only thread do nothing else until something is sent.
fn hold(hasher: &Hasher) -> Sender<()> {
    let (begun, begins) = channel();
    let (end, ends) = channel();
    let job = move || {
        begun.send(()).unwrap();
        let _ = ends.recv();
    };
    let mut held = Box::pin(hasher.run(HashRequester::server(), job));
    assert!(held.as_mut().now_or_never().is_none());
    begins.recv().unwrap();
    end
}

#[tokio::test]
async fn a_hash_is_matched_by_its_password_alone() {
    let hasher = Hasher::start(Cost::LEAST, 1);
    let stored = hasher.hash(HashRequester::server(), &password("open sesame")).await.unwrap();

    assert!(stored.as_str().starts_with("$scrypt$ln=10,r=8,p=1$"));
    assert!(hasher.verify(first(Some(stored.clone()), "open sesame")).await.unwrap());
    assert!(!hasher.verify(first(Some(stored), "open barley")).await.unwrap());
}

#[tokio::test]
async fn the_load_is_what_waits_what_runs_and_what_was_refused() {
    let hasher = Hasher::start(Cost::LEAST, 1);
    let end = hold(&hasher);
    let asked = password("open sesame");
    let mut waiting = Box::pin(hasher.hash(HashRequester::server(), &asked));
    assert!(waiting.as_mut().now_or_never().is_none());

    assert_eq!(hasher.load(), HashLoad { waiting: 1, running: 1, refused: 0 });
    drop(waiting);
    assert_eq!(hasher.load(), HashLoad { waiting: 0, running: 1, refused: 0 });
    let hasher = hasher.with_max_wait(Duration::ZERO);
    assert!(matches!(hasher.hash(HashRequester::server(), &asked).await, Err(AuthError::Busy)));
    assert_eq!(hasher.load(), HashLoad { waiting: 0, running: 1, refused: 1 });
    drop(end);
}

#[tokio::test]
async fn an_unknown_user_costs_exactly_one_hash_as_a_known_one_does() {
    let hasher = Hasher::start(Cost::LEAST, 1);
    let stored = hasher.hash(HashRequester::server(), &password("open sesame")).await.unwrap();

    let old = hasher.computed();
    hasher.verify(first(None, "guess")).await.unwrap();
    let unknown = hasher.computed() - old;
    hasher.verify(first(Some(stored), "guess")).await.unwrap();
    let known = hasher.computed() - old - unknown;

    assert_eq!((unknown, known), (1, 1));
}

#[tokio::test]
async fn a_hash_of_lower_cost_is_matched_and_made_anew_in_the_same_turn() {
    let old = Hasher::start(Cost::LEAST, 1).hash(HashRequester::server(), &password("open sesame")).await.unwrap();
    let hasher = Hasher::start(Cost::new(12).unwrap(), 1);

    let right = hasher.verify_and_strengthen(first(Some(old.clone()), "open sesame")).await.unwrap().unwrap();
    // ln 10, and the padding of ln 10 and 11, which together cost what ln 12 does; then ln 12 itself.
    assert_eq!(hasher.computed(), 4);
    let stronger = right.stronger.expect("the stored hash is of a lower cost");
    assert!(stronger.as_str().starts_with("$scrypt$ln=12,"));

    let again = hasher.verify_and_strengthen(first(Some(stronger), "open sesame")).await.unwrap().unwrap();
    assert!(again.stronger.is_none());
    assert!(hasher.verify_and_strengthen(first(Some(old), "open barley")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_hash_is_not_made_anew_where_that_would_take_longer_than_a_password_may_wait() {
    let old = Hasher::start(Cost::LEAST, 1).hash(HashRequester::server(), &password("open sesame")).await.unwrap();
    let (scrypt, now) = (Scrypt::new(Cost::new(12).unwrap()), Instant::now());

    let strengthened = [now, now + DEFAULT_MAX_WAIT].map(|until| {
        let right = first(Some(old.clone()), "open sesame").end_and_strengthen(&scrypt, until).unwrap();
        right.stronger.is_some()
    });

    assert_eq!(strengthened, [false, true]);
}

#[tokio::test]
async fn a_job_that_panics_fails_alone_and_its_thread_goes_on() {
    let hasher = Hasher::start(Cost::LEAST, 1);

    let panicked = hasher.run(HashRequester::server(), || panic!("a bug")).await;

    assert!(matches!(panicked, Err::<(), _>(AuthError::Panicked)), "{panicked:?}");
    assert!(!hasher.verify(first(None, "guess")).await.unwrap());
}

#[tokio::test]
async fn a_job_that_has_begun_in_time_is_waited_for_and_one_that_has_not_is_refused() {
    let hasher = Hasher::start(Cost::LEAST, 1).with_max_wait(Duration::from_millis(10));
    let (begun, begins) = channel();
    let (end, ends) = channel::<()>();
    let job = move || {
        begun.send(()).unwrap();
        ends.recv().unwrap();
        "done"
    };
    let mut running = Box::pin(hasher.run(HashRequester::server(), job));
    assert!(running.as_mut().now_or_never().is_none());
    begins.recv().unwrap();

    let (refused, running) = futures_util::future::join(hasher.verify(first(None, "guess")), async {
        let refused = hasher.run(HashRequester::server(), || ()).await;
        assert!(matches!(refused, Err(AuthError::Busy)), "{refused:?}");
        end.send(()).unwrap();
        running.await
    })
    .await;

    assert!(matches!(refused, Err(AuthError::Busy)), "{refused:?}");
    assert_eq!(running.unwrap(), "done");
}

#[tokio::test]
async fn parameters_out_of_bounds_match_nothing() {
    let hasher = Hasher::start(Cost::LEAST, 1);
    let exhausting = "$scrypt$ln=40,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";
    let exhausting = PasswordHash::new(exhausting.to_owned());
    assert!(!hasher.verify(first(Some(exhausting), "password")).await.unwrap());
}

#[tokio::test]
async fn a_hash_keeps_its_thread_when_the_client_has_disconnected() {
    let hasher = Hasher::start(Cost::LEAST, 2);
    let (begun, begins) = channel();
    let (end, ends) = channel::<()>();
    let ends = Arc::new(Mutex::new(ends));
    let ask = || {
        let (begun, ends) = (begun.clone(), Arc::clone(&ends));
        let job = move || {
            begun.send(()).unwrap();
            ends.lock().unwrap().recv().unwrap();
        };
        let mut asked = Box::pin(hasher.run(HashRequester::server(), job));
        assert!(asked.as_mut().now_or_never().is_none());
        asked
    };
    for _ in 0..2 {
        let asked = ask();
        begins.recv().unwrap();
        drop(asked);
    }

    let third = ask();

    assert!(begins.try_recv().is_err(), "both threads are busy for clients that have disconnected");
    (0..3).for_each(|_| end.send(()).unwrap());
    third.await.unwrap();
    begins.recv().unwrap();
}

#[tokio::test]
async fn an_attempt_that_was_withdrawn_before_its_hash_counts_for_nothing() {
    let (hasher, throttle) = (Hasher::start(Cost::LEAST, 1), Throttle::new(Clock::system(), 1));
    let begin = || throttle.begin("ann", None, HERE);
    let end = hold(&hasher);

    let withdrawn = hasher.verify(verification(begin().unwrap(), None, "guess")).now_or_never();
    assert!(withdrawn.is_none());
    let next = begin().unwrap();
    end.send(()).unwrap();

    assert!(!hasher.verify(verification(next, None, "guess")).await.unwrap());
    assert!(matches!(begin(), Err(AuthError::Throttled { retry_after_secs: 1 })));
}

#[tokio::test]
async fn a_password_that_cannot_be_looked_at_in_time_is_refused_and_leaves_its_place() {
    let (hasher, throttle) = (Hasher::start(Cost::LEAST, 1), Throttle::new(Clock::system(), 1));
    let hasher = hasher.with_max_wait(Duration::from_millis(10));
    let end = hold(&hasher);

    let late = hasher.verify(verification(throttle.begin("ann", None, HERE).unwrap(), None, "guess")).await;

    assert!(matches!(late, Err(AuthError::Busy)), "{late:?}");
    assert!(throttle.begin("ann", None, HERE).is_ok(), "it counts for nothing");
    let computed = hasher.computed();
    end.send(()).unwrap();
    hasher.with_max_wait(DEFAULT_MAX_WAIT).verify(first(None, "guess")).await.unwrap();
    assert_eq!(computed, 0);
}

#[tokio::test]
async fn a_wrong_password_is_reported_also_when_the_client_has_disconnected() {
    let old = Hasher::start(Cost::LEAST, 1).hash(HashRequester::server(), &password("open sesame")).await.unwrap();
    let hasher = Hasher::start(Cost::new(14).unwrap(), 1);
    let (report, reported) = channel();
    let refused = Box::new(move || report.send("refused").unwrap());
    let mut running = Box::pin(hasher.verify(Verification { refused, ..first(Some(old), "guess") }));
    assert!(running.as_mut().now_or_never().is_none());
    while hasher.computed() == 0 {
        thread::yield_now();
    }

    drop(running);

    assert_eq!(reported.recv(), Ok("refused"));
}
