//! Credentials that were refused: counted in memory, so that a flood of them is no flood of commits.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use crate::{
    clock::Timestamp,
    domain::{Action, Actor, Event, Means, Outcome, Subject},
};

/// How many different ones are told apart between two writes, at most.
const MOST: usize = 100;
/// By how many that number recovers with each write, so that a flood that lasts fills no disk.
const RECOVERS: usize = 1;

/// What has been refused since it was last written.
#[derive(Default)]
pub(super) struct Failures(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    counted: HashMap<(Actor, Action), Counted>,
    /// By what is left of them once they cannot be told apart any more.
    others: HashMap<(Means, Action), Counted>,
    spent: usize,
}

#[derive(Clone, Copy)]
struct Counted {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Failures {
    pub(super) fn note(&self, now: Timestamp, actor: Actor, action: Action) {
        self.waiting().add(actor, action, Counted { count: 1, first: now, last: now });
    }

    /// What is to be written, the first to come first.
    pub(super) fn take(&self) -> Vec<Event> {
        let mut waiting = self.waiting();
        let counted = std::mem::take(&mut waiting.counted);
        waiting.spent = (waiting.spent + counted.len()).saturating_sub(RECOVERS);
        let others = std::mem::take(&mut waiting.others);
        drop(waiting);
        let others = others.into_iter().map(|((means, action), counted)| {
            let event = event(Actor { account: None, means, address: None }, action, counted);
            let details = [event.subject.details, vec!["from several addresses or for several names".to_owned()]];
            Event { subject: Subject::details(details.concat()), ..event }
        });
        let mut events: Vec<_> =
            counted.into_iter().map(|((actor, action), counted)| event(actor, action, counted)).chain(others).collect();
        events.sort_by_key(|event| event.at);
        events
    }

    /// Takes back what could not be written.
    pub(super) fn give_back(&self, events: Vec<Event>) {
        let mut waiting = self.waiting();
        for Event { at, actor, action, count, .. } in events {
            waiting.add(actor, action, Counted { count, first: at, last: at });
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

impl Waiting {
    fn add(&mut self, actor: Actor, action: Action, more: Counted) {
        let has_room = self.counted.len() + self.spent < MOST;
        let key = (actor, action);
        if has_room || self.counted.contains_key(&key) {
            self.counted.entry(key).and_modify(|counted| counted.add(more)).or_insert(more);
        } else {
            let key = (key.0.means, key.1);
            self.others.entry(key).and_modify(|counted| counted.add(more)).or_insert(more);
        }
    }
}

impl Counted {
    fn add(&mut self, more: Self) {
        self.count = self.count.saturating_add(more.count);
        self.first = self.first.min(more.first);
        self.last = self.last.max(more.last);
    }
}

fn event(actor: Actor, action: Action, counted: Counted) -> Event {
    let Counted { count, first, last } = counted;
    let details = if count > 1 { vec![format!("since {first}")] } else { Vec::new() };
    Event { at: last, actor, action, outcome: Outcome::Refused, subject: Subject::details(details), count }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;

    fn from(number: u128) -> Actor {
        Actor { account: None, means: Means::Password, address: Some(IpAddr::V6(Ipv6Addr::from_bits(number))) }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn the_same_failures_are_one_event_with_their_number() {
        let failures = Failures::default();
        (1..=500).for_each(|second| failures.note(at(second), from(1), Action::SignIn));
        failures.note(at(7), from(1), Action::CheckCredential);

        let events = failures.take();

        let told: Vec<_> = events.iter().map(|event| (event.action, event.count, event.at)).collect();
        assert_eq!(told, [(Action::CheckCredential, 1, at(7)), (Action::SignIn, 500, at(500))]);
        assert_eq!(events[1].subject.details, ["since 1970-01-01T00:00:01.000Z"]);
        assert_eq!(failures.take(), []);
    }

    #[test]
    fn a_flood_of_different_failures_is_a_few_events_and_goes_on_as_fewer() {
        let failures = Failures::default();
        let flood = |round: u128| {
            (0..10_000).for_each(|number| failures.note(at(1), from(round << 64 | number), Action::SignIn));
            let events = failures.take();
            (events.len(), events.iter().map(|event| event.count).sum::<u64>())
        };

        let rounds: Vec<_> = (0..4).map(flood).collect();

        assert_eq!(
            rounds,
            [(MOST + 1, 10_000), (RECOVERS + 1, 10_000), (RECOVERS + 1, 10_000), (RECOVERS + 1, 10_000)]
        );
    }

    #[test]
    fn what_could_not_be_written_is_counted_on() {
        let failures = Failures::default();
        failures.note(at(1), from(1), Action::SignIn);
        failures.note(at(2), from(1), Action::SignIn);

        failures.give_back(failures.take());
        failures.note(at(3), from(1), Action::SignIn);

        assert_eq!(failures.take().iter().map(|event| event.count).collect::<Vec<_>>(), [3]);
    }
}
