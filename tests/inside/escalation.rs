//! From any set of API keys and any sequence of requests made with them, no caller obtains a right over the accounts, keys
//! and configurations of the start that the start did not cover.

mod requests;
mod rights;
mod world;

use lodge::api::operations::OPERATIONS;
use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};

pub use self::world::any_scopes;
use self::{
    requests::{Attempt, EXCEPTIONS, any_attempt, attempt_at, attempted},
    rights::Bounds,
    world::{StartKey, World, any_start_key},
};

/// Makes the attempts one after another; whatever they yield, the bounds hold after each.
async fn attack(keys: Vec<StartKey>, attempts: Vec<Attempt>) -> Result<(), TestCaseError> {
    let mut world = World::build(&keys).await;
    let bounds = Bounds::of(&world);
    for attempt in attempts {
        let description = format!("{attempt:?}");
        let status = world.make(attempt).await;
        let beyond = bounds.broken_by(&world).await;
        prop_assert!(beyond.is_empty(), "{description}, answered with {status}: {beyond:#?}");
    }
    Ok(())
}

#[test]
fn each_operation_is_attempted_or_excepted_with_a_reason() {
    let runner = &mut TestRunner::deterministic();
    for (id, _) in EXCEPTIONS {
        assert!(OPERATIONS.iter().any(|row| row.id == id), "{id} is no operation");
    }
    for operation in attempted() {
        let attempt = attempt_at(operation).new_tree(runner).unwrap().current();
        let status = actix_web::rt::System::new()
            .block_on(async { World::build(&[StartKey::of_an_administrator()]).await.make(attempt).await });
        assert!(![401, 404, 405].contains(&status), "{} is answered with {status}", operation.id);
    }
}

proptest! {
    // A case takes some milliseconds, and what is looked for takes the right keys and the right requests.
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases * 2,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_requests_obtains_a_right_that_the_keys_did_not_cover(
        keys in vec(any_start_key(), 2..7),
        attempts in vec(any_attempt(), 1..30),
    ) {
        actix_web::rt::System::new().block_on(attack(keys, attempts))?;
    }
}
