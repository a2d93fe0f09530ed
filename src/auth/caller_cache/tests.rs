use std::net::Ipv4Addr;

use uuid::Uuid;

use super::*;
use crate::{
    auth::Credential,
    domain::{ApiKey, Id, KeyDigest, PasswordHash, Scope, Scopes, User, Username},
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn user() -> Arc<User> {
    let (username, password) = (Username::parse("ann").unwrap(), PasswordHash::new("none".to_owned()));
    Arc::new(User::new(Id::FIRST, username, password, NOW))
}

/// An entry of an API key with that many scopes.
fn entry(scopes: usize) -> Entry {
    let scopes = (0..scopes).map(|number| Scope::parse(&format!("controller_{number}"), "index").unwrap());
    let key = ApiKey {
        id: Id::new(1).unwrap(),
        owner: Id::new(1).unwrap(),
        identifier: Uuid::nil(),
        digest: KeyDigest([0; 32]),
        last_four: [b'x'; 4],
        name: None,
        scopes: Scopes::new(scopes.collect()).unwrap(),
        made_by: None,
        expires_at: None,
        allowed_networks: None,
        created_at: None,
        former_value: None,
    };
    let authentication = Authentication::ApiKey(Arc::new(key));
    Entry { version: Version::of(1), user: user(), authentication, ends: None, since: NOW }
}

fn fingerprint(cache: &CallerCache, header: &str, address: IpAddr) -> Option<Fingerprint> {
    Presented::of(header.as_bytes()).map(|presented| cache.fingerprint(presented, address))
}

/// How many entries there are, and how many bytes they take.
fn held(cache: &CallerCache) -> (usize, usize) {
    let of_shard = |shard: &Mutex<Shard>| {
        let shard = lock(shard);
        let all = shard.recent.values().chain(shard.old.values());
        all.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.bytes()))
    };
    cache.shards.iter().map(of_shard).fold((0, 0), |all, of| (all.0 + of.0, all.1 + of.1))
}

#[test]
fn a_token_has_one_entry_in_any_spelling_of_its_header_and_from_any_address() {
    let cache = CallerCache::new();
    let blanks = (1..4096).map(|blanks| format!("Bearer{}lodge_x", " ".repeat(blanks)));
    let schemes =
        ["bearer lodge_x", "BEARER lodge_x", "Token lodge_x", "tOkEn  lodge_x ", "lodge_x"].map(str::to_owned);

    for header in blanks.chain(schemes) {
        for address in [HERE, THERE] {
            cache.insert(fingerprint(&cache, &header, address).unwrap(), entry(256));
        }
    }

    assert_eq!(held(&cache).0, 1);
}

#[test]
fn a_password_has_one_entry_in_any_folding_of_its_base64() {
    let cache = CallerCache::new();
    for folded in ["YW5uOm9wZW4gc2VzYW1l", "YW5uOm9w ZW4gc2VzYW1l", "Y W5uOm9w\tZW4gc2VzYW1  l"] {
        cache.insert(fingerprint(&cache, &format!("Basic {folded}"), HERE).unwrap(), entry(0));
    }

    assert_eq!(held(&cache).0, 1);
}

#[test]
fn another_credential_has_another_fingerprint_and_an_invalid_one_has_none() {
    let cache = CallerCache::new();
    let headers = ["lodge_x", "lodge_y", "Basic lodge_x", "Bearer lodge_x x", "Bearer Basic lodge_x"];
    let mut fingerprints: Vec<_> = headers.map(|header| fingerprint(&cache, header, HERE).unwrap().0).to_vec();
    fingerprints.push(fingerprint(&cache, "Basic lodge_x", THERE).unwrap().0);
    fingerprints.sort_unstable();
    fingerprints.dedup();

    assert_eq!(fingerprints.len(), headers.len() + 1);
    for refused in ["Digest lodge_x", "lodge_x lodge_x", &"x".repeat(5000)] {
        assert!(fingerprint(&cache, refused, HERE).is_none(), "{refused}");
        assert!(Credential::parse([refused.as_bytes()].into_iter()).is_err(), "{refused}");
    }
}

#[test]
fn entries_take_bounded_memory_and_the_latest_are_kept() {
    let cache = CallerCache::new();
    let keys = |number: u32| fingerprint(&cache, &format!("lodge_{number}"), HERE).unwrap();

    for number in 0..4096 {
        cache.insert(keys(number), entry(256));
    }

    let (count, bytes) = held(&cache);
    assert!(bytes <= MAX_BYTES && count >= 256, "{count} entries with {bytes} bytes");
    assert!(cache.shared(keys(4095)).is_some());
    assert!(cache.shared(keys(0)).is_none());
}

#[test]
fn an_entry_that_is_used_outlives_unused_ones() {
    let cache = CallerCache::new();
    let keys = |number: u32| fingerprint(&cache, &format!("lodge_{number}"), HERE).unwrap();

    for number in 0..4096 {
        cache.insert(keys(number), entry(256));
        assert!(cache.shared(keys(0)).is_some());
    }
}

#[test]
fn idle_entries_are_dropped() {
    let cache = CallerCache::new();
    let keys = |number: u32| fingerprint(&cache, &format!("lodge_{number}"), HERE).unwrap();
    for number in 0..64 {
        let since = Timestamp::from_millis(NOW.as_millis() + u64::from(number % 2));
        cache.insert(keys(number), Entry { since, ..entry(0) });
    }

    cache.drop_idle(Timestamp::from_millis(NOW.as_millis() + LIFETIME_MILLIS));

    assert_eq!(held(&cache).0, 32);
    assert!((cache.shared(keys(0)).is_none(), cache.shared(keys(1)).is_some()) == (true, true));
}

#[test]
fn an_entry_that_a_thread_uses_again_and_again_is_copied_if_it_is_small() {
    let cache = CallerCache::new();
    let are_copies = |name, entry| {
        let key = fingerprint(&cache, name, HERE).unwrap();
        cache.insert(key, entry);
        let shared = cache.shared(key).unwrap();
        [(); 4].map(|()| !Arc::ptr_eq(&cache.get(key, |_| true).unwrap().user, &shared.user))
    };

    assert_eq!(are_copies("lodge_x", entry(1)), [false, false, true, true]);
    assert_eq!(are_copies("lodge_y", entry(256)), [false; 4]);
}

#[test]
fn a_copy_that_is_not_valid_any_more_gives_way_to_the_entry_that_is() {
    let cache = CallerCache::new();
    let key = fingerprint(&cache, "lodge_x", HERE).unwrap();
    let get = |number| cache.get(key, |entry| entry.version == Version::of(number)).map(|entry| entry.version);
    cache.insert(key, entry(0));
    assert_eq!([(); 3].map(|()| get(1)), [Some(Version::of(1)); 3]);

    cache.insert(key, Entry { version: Version::of(2), ..entry(0) });

    assert_eq!([get(2), get(1)], [Some(Version::of(2)), None]);
}

#[test]
fn an_entry_is_valid_for_its_version_until_its_end_and_for_a_minute() {
    let until = |secs| Entry { ends: Some(Timestamp::from_secs(NOW.as_secs() + secs)), ..entry(0) };
    let after = |secs| Timestamp::from_secs(NOW.as_secs() + secs);

    assert!(until(5).is_valid(Version::of(1), after(4)));
    assert!(!until(5).is_valid(Version::of(1), after(5)));
    assert!(!until(5).is_valid(Version::of(2), after(4)));
    assert!(until(90).is_valid(Version::of(1), after(59)));
    assert!(!until(90).is_valid(Version::of(1), after(60)));
    assert!(!until(90).is_valid(Version::of(1), Timestamp::from_secs(NOW.as_secs() - 1)), "a clock that was set back");
}
