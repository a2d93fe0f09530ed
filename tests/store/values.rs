//! Records for tests: plain ones, and any there can be.

use std::net::IpAddr;

use std::net::{Ipv4Addr, Ipv6Addr};

use lodge::{
    clock::Timestamp,
    domain::{
        AllowedNetworks, ApiKey, ApiKeyName, Configuration, ConfigurationKey, ConfigurationValue, Email, FormerValue,
        Id, KeyDigest, PasswordHash, Scope, Scopes, Session, SourceType, SystemId, User, Username,
    },
    store::{
        Store,
        verify::{Findings, verify},
    },
};
use proptest::{array, collection::vec, option, prelude::*, sample::select};
use uuid::Uuid;

pub fn id(number: u32) -> Id {
    Id::new(number).unwrap()
}

pub fn user(number: u32, username: &str) -> User {
    let (username, password) = (Username::parse(username).unwrap(), PasswordHash::new("$scrypt$".to_owned()));
    User {
        updated_at: Timestamp::from_millis(2),
        ..User::new(id(number), username, password, Timestamp::from_millis(1))
    }
}

pub fn administrator(number: u32, username: &str) -> User {
    User { is_admin: true, ..user(number, username) }
}

pub fn configuration(owner: u32, number: u32, key: &str, value: &str) -> Configuration {
    Configuration {
        id: id(number),
        owner: id(owner),
        key: ConfigurationKey::parse(key).unwrap(),
        value: ConfigurationValue::parse(value).unwrap(),
    }
}

pub fn api_key(owner: u32, number: u32, digest: u8) -> ApiKey {
    ApiKey {
        id: id(number),
        owner: id(owner),
        identifier: Uuid::from_u128(u128::from(number)),
        digest: KeyDigest([digest; 32]),
        last_four: *b"last",
        name: None,
        scopes: Scopes::default(),
        made_by: None,
        expires_at: None,
        allowed_networks: None,
        created_at: None,
        former_value: None,
    }
}

pub fn session(owner: u32, jti: u128, expires_at_secs: u64) -> Session {
    Session {
        owner: id(owner),
        jti: Uuid::from_u128(jti),
        number: 1,
        expires_at: Timestamp::from_secs(expires_at_secs),
        created_at: None,
        address: None,
    }
}

pub fn any_id() -> impl Strategy<Value = Id> {
    (1..=Id::LAST.get()).prop_map(id)
}

pub fn any_uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn any_moment() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

fn any_system_id() -> impl Strategy<Value = SystemId> {
    (0..=SystemId::MAX).prop_map(|number| SystemId::new(i128::from(number)).unwrap())
}

fn any_email() -> impl Strategy<Value = Email> {
    "[a-zé]{1,20}@[a-z.]{1,20}".prop_map(|text| Email::parse(&text).unwrap())
}

pub fn any_user() -> impl Strategy<Value = User> {
    let username = "[a-zA-Z_][a-zA-Z0-9._+@-]{0,63}".prop_map(|text| Username::parse(&text).unwrap());
    let name = (any_id(), username, ".{0,200}".prop_map(PasswordHash::new), option::of(any_email()));
    let rest = (option::of(any_system_id()), option::of(any_system_id()), any::<bool>(), any_moment(), any_moment());
    let system_name = option::of("[a-z]{1,20}");
    let newer = (any::<bool>(), option::of(any_moment()), option::of(select(&SourceType::ALL)), system_name);
    (name, rest, newer).prop_map(|(name, rest, (suspended, expired_at, source_type, system_name))| {
        let (id, username, password, email) = name;
        let (user_id, group_id, is_admin, created_at, updated_at) = rest;
        let ids = User { user_id, group_id, ..user(1, "any") };
        let user = User { id, username, password, email, is_admin, suspended, ..ids };
        User { expired_at, source_type, created_at, updated_at, system_name, ..user }
    })
}

pub fn any_configuration() -> impl Strategy<Value = Configuration> {
    let key = "\\PC{1,255}".prop_map(|text| ConfigurationKey::parse_stored(&text).unwrap());
    let value = prop_oneof!["(?s).{0,200}", "(?s).{0,20}".prop_map(|text| text.repeat(800))];
    let value = value.prop_map(|text| ConfigurationValue::parse(&text).unwrap());
    (any_id(), any_id(), key, value).prop_map(|(id, owner, key, value)| Configuration { id, owner, key, value })
}

pub fn any_api_key() -> impl Strategy<Value = ApiKey> {
    let half = || prop_oneof!["[a-z][a-z0-9_]{0,63}", Just("*".to_owned())];
    let scope = (half(), half()).prop_map(|(controller, action)| Scope::parse(&controller, &action).unwrap());
    let scopes = vec(scope, 0..8).prop_map(|scopes| Scopes::new(scopes).unwrap());
    let name = "\\PC{0,255}".prop_map(|text| ApiKeyName::parse(&text).unwrap());
    let key = (any_id(), any_id(), any_uuid(), array::uniform32(any::<u8>()), any::<[u8; 4]>());
    let rest = (option::of(name), scopes, option::of(any_id()), option::of(any_moment()));
    let newer = (option::of(any_networks()), option::of(any_moment()), option::of(any_former_value()));
    (key, rest, newer).prop_map(|((id, owner, identifier, digest, last_four), rest, newer)| {
        let (name, scopes, made_by, expires_at) = rest;
        let (allowed_networks, created_at, former_value) = newer;
        let digest = KeyDigest(digest);
        let key = ApiKey { id, owner, identifier, digest, last_four, ..api_key(1, 1, 1) };
        ApiKey { name, scopes, made_by, expires_at, allowed_networks, created_at, former_value, ..key }
    })
}

fn any_networks() -> impl Strategy<Value = AllowedNetworks> {
    let network = prop_oneof![
        any::<Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<[u8; 3]>().prop_map(|[a, b, c]| format!("{a}.{b}.{c}.0/24")),
        any::<Ipv6Addr>().prop_map(|address| address.to_string()),
    ];
    vec(network, 1..5).prop_map(|networks| AllowedNetworks::parse(&networks).unwrap())
}

fn any_former_value() -> impl Strategy<Value = FormerValue> {
    let value = (array::uniform32(any::<u8>()), any::<[u8; 4]>(), any_moment());
    value.prop_map(|(digest, last_four, ends)| FormerValue { digest: KeyDigest(digest), last_four, ends })
}

pub fn any_session() -> impl Strategy<Value = Session> {
    let newer = (option::of(any_moment()), option::of(any::<IpAddr>()));
    let session = (any_id(), any_uuid(), any::<u64>(), any_moment(), newer);
    session.prop_map(|(owner, jti, number, expires_at, (created_at, address))| Session {
        owner,
        jti,
        number,
        expires_at,
        created_at,
        address,
    })
}

/// What is wrong with the store, but for its sequences: where a test chooses the ids, they are not the sequences'.
pub fn findings_beside_sequences(store: &Store) -> Findings {
    let mut findings = verify(store, &mut |_| {}).unwrap();
    findings.faults.retain(|fault| !fault.starts_with("the sequence of"));
    findings
}
