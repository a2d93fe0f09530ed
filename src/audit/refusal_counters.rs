//! Counts refused credentials in memory, so that a flood of them does not cause a flood of commits.
//!
//! The name of a locked-out attempt is kept until the entry is written, because the time of a look-up in the request
//! would reveal whether the account exists. So names stay in memory for up to three seconds, and an account that is
//! renamed meanwhile appears as an unknown one.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard},
};

use crate::{
    clock::Timestamp,
    domain::{Account, Action, Actor, AffectedResource, AuthMethod, Event, Outcome, Username},
};

/// The maximum number of distinct refusals between two writes; further ones are counted together.
const MAX: usize = 100;
/// The number of distinct refusals from which on locked-out attempts are counted together: they cost the client almost
/// nothing, and must not displace others.
const MAX_WITH_WAITS: usize = 50;
/// How many distinct refusals each write allows again. It is small, so that a lasting flood does not fill the disk.
const RECOVERS: usize = 1;

/// The refusals since the last write.
#[derive(Default)]
pub(super) struct RefusalCounters(Mutex<Unwritten>);

#[derive(Default)]
struct Unwritten {
    counted: HashMap<(Actor, Kind), Counted>,
    /// The refusals beyond that number, counted together by method and kind.
    others: HashMap<(AuthMethod, Kind), Counted>,
    spent: usize,
    /// How many there were since the start, by kind.
    totals: HashMap<Kind, u64>,
}

/// The refused action, and whether it was refused or had to wait.
pub(super) type Kind = (Action, Outcome);

struct Counted {
    count: u64,
    first: Timestamp,
    last: Timestamp,
    /// The given name, if it has not been looked up yet.
    name: Option<Username>,
}

impl RefusalCounters {
    /// Counts a refusal; its name, if any, is looked up later.
    pub(super) fn note(&self, now: Timestamp, actor: Actor, kind: Kind, name: Option<Username>) {
        let mut unwritten = self.unwritten();
        *unwritten.totals.entry(kind).or_default() += 1;
        unwritten.add(actor, kind, Counted { count: 1, first: now, last: now, name });
    }

    /// How many refusals of that kind there were since the start.
    pub(super) fn total(&self, kind: Kind) -> u64 {
        self.unwritten().totals.get(&kind).copied().unwrap_or(0)
    }

    /// The events to write, in the order of their first refusals.
    pub(super) fn take(&self, account_of: impl Fn(&Username) -> Option<Account>) -> Vec<Event> {
        let mut unwritten = self.unwritten();
        let counted = std::mem::take(&mut unwritten.counted);
        unwritten.spent = (unwritten.spent + counted.len()).saturating_sub(RECOVERS);
        let others = std::mem::take(&mut unwritten.others);
        drop(unwritten);
        let others = others.into_iter().map(|((method, kind), counted)| {
            let event = event(Actor { account: None, method, address: None }, kind, &counted);
            let details = [event.subject.details, vec!["from several addresses or for several names".to_owned()]];
            Event { subject: AffectedResource::details(details.concat()), ..event }
        });
        let counted = counted.into_iter().map(|((actor, kind), counted)| {
            let account = counted.name.as_ref().and_then(&account_of).or(actor.account);
            event(Actor { account, ..actor }, kind, &counted)
        });
        let mut events: Vec<_> = counted.chain(others).collect();
        events.sort_by_key(|event| event.at);
        events
    }

    /// Counts events again that could not be written.
    pub(super) fn give_back(&self, events: Vec<Event>) {
        let mut unwritten = self.unwritten();
        for Event { at, actor, action, outcome, count, .. } in events {
            unwritten.add(actor, (action, outcome), Counted { count, first: at, last: at, name: None });
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

impl Unwritten {
    fn add(&mut self, actor: Actor, kind: Kind, more: Counted) {
        let max = if kind.1 == Outcome::HadToWait { MAX_WITH_WAITS } else { MAX };
        let has_room = self.counted.len() + self.spent < max;
        let key = (actor, kind);
        if has_room || self.counted.contains_key(&key) {
            join(self.counted.entry(key), more);
        } else {
            join(self.others.entry((key.0.method, kind)), more);
        }
    }
}

impl Counted {
    fn add(&mut self, more: &Self) {
        self.count = self.count.saturating_add(more.count);
        self.first = self.first.min(more.first);
        self.last = self.last.max(more.last);
    }
}

fn join<K>(entry: Entry<'_, K, Counted>, more: Counted) {
    match entry {
        Entry::Occupied(mut counted) => counted.get_mut().add(&more),
        Entry::Vacant(position) => drop(position.insert(more)),
    }
}

fn event(actor: Actor, (action, outcome): Kind, counted: &Counted) -> Event {
    let Counted { count, first, last, .. } = *counted;
    let details = if count > 1 { vec![format!("since {first}")] } else { Vec::new() };
    Event { at: last, actor, action, outcome, subject: AffectedResource::details(details), count }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use super::*;
    use crate::domain::Id;

    const SIGN_IN: Kind = (Action::SignIn, Outcome::Refused);
    const CHECK: Kind = (Action::CheckCredential, Outcome::Refused);
    const WAIT: Kind = (Action::SignIn, Outcome::HadToWait);

    fn from(number: u128) -> Actor {
        Actor { account: None, method: AuthMethod::Password, address: Some(IpAddr::V6(Ipv6Addr::from_bits(number))) }
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn take(refusal_counters: &RefusalCounters) -> Vec<Event> {
        refusal_counters.take(|_| None)
    }

    /// The number of events for ten thousand different failures of a kind, and the sum of their counts.
    fn flood(refusal_counters: &RefusalCounters, kind: Kind, round: u128) -> (usize, u64) {
        (0..10_000).for_each(|number| refusal_counters.note(at(1), from(round << 64 | number), kind, None));
        let events = take(refusal_counters);
        (events.len(), events.iter().map(|event| event.count).sum())
    }

    #[test]
    fn the_same_failures_are_one_event_with_their_number() {
        let refusal_counters = RefusalCounters::default();
        (1..=500).for_each(|second| refusal_counters.note(at(second), from(1), SIGN_IN, None));
        refusal_counters.note(at(7), from(1), CHECK, None);
        (8..=9).for_each(|second| refusal_counters.note(at(second), from(1), WAIT, None));

        let events = take(&refusal_counters);

        let found: Vec<_> = events.iter().map(|event| ((event.action, event.outcome), event.count, event.at)).collect();
        assert_eq!(found, [(CHECK, 1, at(7)), (WAIT, 2, at(9)), (SIGN_IN, 500, at(500))]);
        assert_eq!([CHECK, WAIT, SIGN_IN].map(|kind| refusal_counters.total(kind)), [1, 2, 500]);
        assert_eq!(events[2].subject.details, ["since 1970-01-01T00:00:01.000Z"]);
        assert_eq!(take(&refusal_counters), []);
    }

    #[test]
    fn a_flood_of_different_failures_is_a_few_events_and_then_fewer() {
        for (kind, max) in [(SIGN_IN, MAX), (WAIT, MAX_WITH_WAITS)] {
            let refusal_counters = RefusalCounters::default();

            let rounds: Vec<_> = (0..3).map(|round| flood(&refusal_counters, kind, round)).collect();

            assert_eq!(rounds, [(max + 1, 10_000), (RECOVERS + 1, 10_000), (RECOVERS + 1, 10_000)]);
        }
    }

    #[test]
    fn a_flood_of_locked_out_attempts_leaves_room_for_distinct_others() {
        let refusal_counters = RefusalCounters::default();
        assert_eq!((0..100).map(|round| flood(&refusal_counters, WAIT, round).1).sum::<u64>(), 1_000_000);

        (1..=40).for_each(|number| refusal_counters.note(at(1), from(number), SIGN_IN, None));

        assert_eq!(take(&refusal_counters).len(), 40);
    }

    #[test]
    fn a_name_becomes_an_account_when_it_is_written_if_there_is_one() {
        let refusal_counters = RefusalCounters::default();
        let account = |number: u64| Some(Account::Unknown(u128::from(number).to_be_bytes()));
        let ann = Account::Known(Id::new(7).unwrap(), "ann".to_owned());
        for (number, name) in [(1, Some("Ann")), (2, Some("ben")), (3, None)] {
            let name = name.map(|name| Username::parse(name).unwrap());
            refusal_counters.note(at(number), Actor { account: account(number), ..from(1) }, WAIT, name);
        }

        let events = refusal_counters.take(|name| (name.folded() == "ann").then(|| ann.clone()));

        let accounts: Vec<_> = events.into_iter().map(|event| event.actor.account).collect();
        assert_eq!(accounts, [Some(ann), account(2), account(3)]);
    }

    #[test]
    fn events_that_could_not_be_written_are_counted_again() {
        let refusal_counters = RefusalCounters::default();
        for kind in [SIGN_IN, WAIT, SIGN_IN] {
            refusal_counters.note(at(1), from(1), kind, None);
        }

        refusal_counters.give_back(take(&refusal_counters));
        refusal_counters.note(at(3), from(1), SIGN_IN, None);

        let counted: Vec<_> = take(&refusal_counters).iter().map(|event| (event.outcome, event.count)).collect();
        assert_eq!(counted, [(Outcome::HadToWait, 1), (Outcome::Refused, 3)]);
    }
}
