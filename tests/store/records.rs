//! Records become bytes and come back the same; bytes that are no record are refused, each in its own way.

use std::{
    collections::BTreeMap,
    env,
    fmt::{Debug, Write},
    process::Command,
};

use lodge::{
    clock::Timestamp,
    domain::{
        Account, Action, Activity, Actor, AffectedResource, AllowedNetworks, ApiKey, ApiKeyName, AuditEntry,
        AuthMethod, Configuration, Email, Event, FormerValue, KeyDigest, Outcome, Scope, Scopes, Session, SourceType,
        SystemId, Target, User,
    },
    store::{
        assertion_keys::{AssertionKeys, SealedKey},
        audit::{AuditState, LogPosition},
        record::{RecordError, decode, encode},
        table::Record,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::Index};
use serde_json::Value;
use uuid::Uuid;

use crate::values::{any_api_key, any_configuration, any_session, any_user, api_key, configuration, id, session, user};

/// Bytes of every version of every record that a server has ever written; what is once in it stays as it is.
const GOLDEN: &str = include_str!("../data/golden-records.json");

/// The address space of the process that decodes hostile lengths, in KiB: far less than the lengths ask for.
const LITTLE_MEMORY: &str = "1048576";

fn decoded<R: Record>(bytes: &[u8]) -> Result<R, RecordError> {
    decode(R::TREE.name(), bytes)
}

fn too_short<R: Record>() -> RecordError {
    RecordError::TooShort { tree: R::TREE.name() }
}

fn corrupt<R: Record>() -> RecordError {
    RecordError::Corrupt { tree: R::TREE.name() }
}

fn comes_back_the_same<R: Record + Debug + PartialEq>(record: R) -> Result<(), TestCaseError> {
    prop_assert_eq!(decoded(&encode(&record)), Ok(record));
    Ok(())
}

fn is_too_short_wherever_it_is_cut<R: Record + Debug + PartialEq>(record: &R, cut: Index) -> Result<(), TestCaseError> {
    let whole = encode(record);
    prop_assert_eq!(decoded::<R>(&whole[..cut.index(whole.len())]), Err(too_short::<R>()));
    Ok(())
}

fn is_refused_under_another_version<R: Record + Debug + PartialEq>(
    record: &R,
    version: u8,
) -> Result<(), TestCaseError> {
    let mut bytes = encode(record);
    let version = if version == 0 { 0 } else { version.max(R::VERSION + 1) };
    bytes[0] = version;

    let refused = match version {
        0 => corrupt::<R>(),
        found => RecordError::TooNew { tree: R::TREE.name(), found, known: R::VERSION },
    };

    prop_assert_eq!(decoded::<R>(&bytes), Err(refused));
    Ok(())
}

fn is_corrupt_with_more_after_it<R: Record + Debug + PartialEq>(record: &R, more: &[u8]) -> Result<(), TestCaseError> {
    let bytes = [encode(record).as_slice(), more].concat();
    prop_assert_eq!(decoded::<R>(&bytes), Err(corrupt::<R>()));
    Ok(())
}

/// What arbitrary bytes may be: refused, or a record that is then kept as any other.
fn is_refused_or_a_record<R: Record + Debug + PartialEq>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(record) = decoded::<R>(bytes) {
        prop_assert_eq!(decoded(&encode(&record)), Ok(record));
    }
    Ok(())
}

fn never_panics_once_damaged<R: Record + Debug + PartialEq>(
    record: &R,
    place: Index,
    byte: u8,
) -> Result<(), TestCaseError> {
    let mut bytes = encode(record);
    let place = place.index(bytes.len());
    bytes[place] = byte;
    is_refused_or_a_record::<R>(&bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_record_comes_back_the_same(
        user in any_user(),
        configuration in any_configuration(),
        api_key in any_api_key(),
        session in any_session(),
    ) {
        comes_back_the_same(user)?;
        comes_back_the_same(configuration)?;
        comes_back_the_same(api_key)?;
        comes_back_the_same(session)?;
    }

    #[test]
    fn a_record_that_ends_early_is_too_short(
        user in any_user(),
        configuration in any_configuration(),
        api_key in any_api_key(),
        session in any_session(),
        cut in any::<Index>(),
    ) {
        is_too_short_wherever_it_is_cut(&user, cut)?;
        is_too_short_wherever_it_is_cut(&configuration, cut)?;
        is_too_short_wherever_it_is_cut(&api_key, cut)?;
        is_too_short_wherever_it_is_cut(&session, cut)?;
    }

    #[test]
    fn a_record_of_a_version_that_is_not_known_is_too_new_and_of_version_0_corrupt(
        user in any_user(),
        configuration in any_configuration(),
        api_key in any_api_key(),
        session in any_session(),
        version in prop_oneof![Just(0), 2..=u8::MAX],
    ) {
        is_refused_under_another_version(&user, version)?;
        is_refused_under_another_version(&configuration, version)?;
        is_refused_under_another_version(&api_key, version)?;
        is_refused_under_another_version(&session, version)?;
    }

    #[test]
    fn a_record_with_trailing_bytes_is_corrupt(
        user in any_user(),
        configuration in any_configuration(),
        api_key in any_api_key(),
        session in any_session(),
        more in vec(any::<u8>(), 1..9),
    ) {
        is_corrupt_with_more_after_it(&user, &more)?;
        is_corrupt_with_more_after_it(&configuration, &more)?;
        is_corrupt_with_more_after_it(&api_key, &more)?;
        is_corrupt_with_more_after_it(&session, &more)?;
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_a_record(version in option::of(1..=3_u8), body in vec(any::<u8>(), 0..200)) {
        let bytes = version.map_or_else(|| body.clone(), |version| [&[version], body.as_slice()].concat());

        is_refused_or_a_record::<User>(&bytes)?;
        is_refused_or_a_record::<Configuration>(&bytes)?;
        is_refused_or_a_record::<ApiKey>(&bytes)?;
        is_refused_or_a_record::<Session>(&bytes)?;
    }

    #[test]
    fn a_record_with_one_damaged_byte_is_refused_or_a_record(
        user in any_user(),
        configuration in any_configuration(),
        api_key in any_api_key(),
        session in any_session(),
        place in any::<Index>(),
        byte in any::<u8>(),
    ) {
        never_panics_once_damaged(&user, place, byte)?;
        never_panics_once_damaged(&configuration, place, byte)?;
        never_panics_once_damaged(&api_key, place, byte)?;
        never_panics_once_damaged(&session, place, byte)?;
    }
}

/// A body that begins well and then announces 2^40 bytes or items to come, as bincode writes such a number.
fn hostile(begin: &[u8]) -> Vec<u8> {
    [&[1], begin, &[253], (1_u64 << 40).to_le_bytes().as_slice(), b"a few bytes"].concat()
}

#[test]
fn a_hostile_length_is_refused() {
    let before_the_scopes = [&[1, 1], [16].as_slice(), &[7; 16], &[7; 32], b"last", &[0]].concat();

    assert_eq!(decoded::<User>(&hostile(&[1])), Err(corrupt::<User>()));
    assert_eq!(decoded::<Configuration>(&hostile(&[1, 1])), Err(corrupt::<Configuration>()));
    assert_eq!(decoded::<ApiKey>(&hostile(&[1, 1])), Err(corrupt::<ApiKey>()));
    assert_eq!(decoded::<ApiKey>(&hostile(&before_the_scopes)), Err(too_short::<ApiKey>()));
    assert_eq!(decoded::<Session>(&hostile(&[1])), Err(corrupt::<Session>()));
}

#[test]
fn a_hostile_length_takes_no_memory() {
    let limited = format!("ulimit -v {LITTLE_MEMORY} && exec \"$0\" --exact records::a_hostile_length_is_refused");

    let output = Command::new("sh").arg("-c").arg(limited).arg(env::current_exe().unwrap()).output().unwrap();

    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

fn user_with_every_attribute() -> User {
    User {
        email: Some(Email::parse("ann@example.org").unwrap()),
        user_id: Some(SystemId::new(1000).unwrap()),
        group_id: Some(SystemId::new(i128::from(SystemId::MAX)).unwrap()),
        is_admin: true,
        suspended: true,
        system_name: Some("ann".to_owned()),
        expired_at: Some(Timestamp::from_millis(1_798_761_600_123)),
        source_type: Some(SourceType::CliLdap),
        created_at: Timestamp::from_millis(1_763_918_520_007),
        updated_at: Timestamp::from_millis(1_795_454_520_999),
        ..user(70_000, "Ann.B_c-d+e@f")
    }
}

fn api_key_with_every_attribute() -> ApiKey {
    let scope = |controller, action| Scope::parse(controller, action).unwrap();
    ApiKey {
        identifier: Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        digest: KeyDigest(std::array::from_fn(|place| u8::try_from(place).unwrap())),
        name: Some(ApiKeyName::parse("backup, every night").unwrap()),
        scopes: Scopes::new(vec![scope("users", "index"), scope("*", "*")]).unwrap(),
        made_by: Some(id(300)),
        expires_at: Some(Timestamp::from_millis(1_795_454_520_999)),
        allowed_networks: Some(AllowedNetworks::parse(&["192.0.2.0/24", "2001:db8::7"]).unwrap()),
        created_at: Some(Timestamp::from_millis(1_763_918_520_007)),
        former_value: Some(FormerValue {
            digest: KeyDigest([9; 32]),
            last_four: *b"form",
            ends: Timestamp::from_millis(1_763_922_120_007),
        }),
        ..api_key(70_000, 300, 0)
    }
}

/// The same as 0.3.0 knew it.
fn api_key_of_version_1() -> ApiKey {
    ApiKey { allowed_networks: None, created_at: None, former_value: None, ..api_key_with_every_attribute() }
}

fn golden_session() -> Session {
    Session { number: 300, ..session(70_000, 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff, 1_795_454_520) }
}

fn golden_session_with_its_beginning() -> Session {
    let created_at = Some(Timestamp::from_millis(1_795_368_120_007));
    Session { created_at, address: Some("2001:db8::7".parse().unwrap()), ..golden_session() }
}

fn audit_entry_with_everything() -> AuditEntry {
    let account = Some(Account::Known(id(70_000), "Ann.B_c-d+e@f".to_owned()));
    let method = AuthMethod::Session(Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff));
    let actor = Actor { account, method, address: Some("2001:db8::7".parse().unwrap()) };
    let target = Target::Configuration(id(300), "thème/1".to_owned());
    let subject = AffectedResource::owned(id(7), target).with(vec!["value".to_owned()]);
    let at = Timestamp::from_millis(1_795_454_520_999);
    let event = Event { at, actor, action: Action::UpdateConfiguration, outcome: Outcome::Done, subject, count: 1 };
    AuditEntry { id: 70_000, event, mac: [8; 32], link: None }
}

/// The same entry as earlier versions knew it.
fn without_owner(mut entry: AuditEntry) -> AuditEntry {
    entry.event.subject.owner = None;
    entry
}

fn audit_entry_of_a_refusal() -> AuditEntry {
    let account = Some(Account::Unknown([9; 16]));
    let actor = Actor { account, method: AuthMethod::Password, address: Some("127.0.0.1".parse().unwrap()) };
    let (at, subject) = (Timestamp::from_millis(1), AffectedResource::default());
    let event = Event { at, actor, action: Action::SignIn, outcome: Outcome::Refused, subject, count: 300 };
    AuditEntry { id: 1, event, mac: [8; 32], link: None }
}

fn audit_entry_of_a_wait() -> AuditEntry {
    let AuditEntry { event, .. } = audit_entry_of_a_refusal();
    AuditEntry { event: Event { outcome: Outcome::HadToWait, ..event }, ..audit_entry_of_a_refusal() }
}

/// The same entry as 0.3.0 chained it.
fn linked(entry: AuditEntry) -> AuditEntry {
    AuditEntry { link: Some([7; 32]), ..entry }
}

fn audit_state() -> AuditState {
    let place = |id, byte| LogPosition { id, mac: [byte; 32] };
    let [last, exported, pruned, dropped] = [place(70_000, 4), place(69_999, 3), place(300, 2), place(0, 0)];
    AuditState { last, exported, pruned, dropped, key_id: [5; 16], key_since: 300, seal: [6; 32] }
}

fn assertion_keys() -> AssertionKeys {
    let key = |sealed: &[u8], since| SealedKey { sealed: sealed.to_vec(), since: Timestamp::from_millis(since) };
    AssertionKeys { signing: Some(key(&[1, 2, 3], 1_795_454_520_999)), next: None, former: Some(key(&[9], 1)) }
}

fn activity_from_an_address() -> Activity {
    Activity::at(Timestamp::from_millis(1_795_454_520_999), Some("2001:db8::7".parse().unwrap()))
}

fn activity_without_an_address() -> Activity {
    Activity::at(Timestamp::from_millis(1_795_454_520_999), None)
}

/// The bytes of one version of one record, by `tree, what it is`.
fn golden(version: u8, name: &str) -> Vec<u8> {
    let golden: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_str(GOLDEN).unwrap();
    let hex = golden[&format!("version {version}")][name].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[test]
fn records_of_version_1_are_still_read() {
    let v1 = |name| golden(1, name);

    assert_eq!(
        decoded(&v1("users, with every attribute")),
        Ok(User {
            suspended: false,
            expired_at: None,
            source_type: None,
            system_name: None,
            ..user_with_every_attribute()
        })
    );
    assert_eq!(decoded(&v1("users, without any optional attribute")), Ok(user(1, "ann")));
    assert_eq!(decoded(&v1("configurations, with a value")), Ok(configuration(70_000, 300, "thème/1", "dark\n")));
    assert_eq!(decoded(&v1("configurations, without a value")), Ok(configuration(1, 1, "k", "")));
    assert_eq!(decoded(&v1("api_keys, with every attribute")), Ok(api_key_of_version_1()));
    assert_eq!(decoded(&v1("api_keys, without any optional attribute")), Ok(api_key(1, 1, 7)));
    assert_eq!(decoded(&v1("sessions")), Ok(golden_session()));
    assert_eq!(decoded(&v1("audit, with everything")), Ok(linked(without_owner(audit_entry_with_everything()))));
    assert_eq!(decoded(&v1("audit, of a refusal")), Ok(linked(audit_entry_of_a_refusal())));
    assert_eq!(decoded(&v1("audit, of a try that had to wait")), Ok(linked(audit_entry_of_a_wait())));
    assert_eq!(decode("meta", &v1("meta, of the audit log")), Ok(audit_state()));
    assert_eq!(decode("meta", &v1("meta, of the keys of assertions")), Ok(assertion_keys()));
    assert_eq!(decode("activity", &v1("activity, from an address")), Ok(activity_from_an_address()));
    assert_eq!(decode("activity", &v1("activity, without an address")), Ok(activity_without_an_address()));
}

#[test]
fn records_of_version_2_are_still_read() {
    let v2 = |name| golden(2, name);

    let never_suspended = User { suspended: false, system_name: None, ..user_with_every_attribute() };
    assert_eq!(decoded(&v2("users, with every attribute")), Ok(never_suspended));
    assert_eq!(decoded(&v2("users, without any optional attribute")), Ok(user(1, "ann")));
    assert_eq!(decoded(&v2("api_keys, with every attribute")), Ok(api_key_with_every_attribute()));
    assert_eq!(decoded(&v2("api_keys, without any optional attribute")), Ok(api_key(1, 1, 7)));
    assert_eq!(decoded(&v2("audit, with everything")), Ok(without_owner(audit_entry_with_everything())));
    assert_eq!(decoded(&v2("audit, of a refusal")), Ok(audit_entry_of_a_refusal()));
    assert_eq!(decoded(&v2("audit, of a try that had to wait")), Ok(audit_entry_of_a_wait()));
    assert_eq!(decoded(&v2("sessions")), Ok(golden_session()));
    assert_eq!(decoded(&v2("sessions, with its beginning")), Ok(golden_session_with_its_beginning()));
    assert_eq!(decoded(&v2("audit, of 0.3.0")), Ok(linked(audit_entry_of_a_wait())));
}

#[test]
fn records_of_version_3_are_still_read() {
    let v3 = |name| golden(3, name);

    assert_eq!(decoded(&v3("users, with every attribute")), Ok(user_with_every_attribute()));
    assert_eq!(decoded(&v3("users, without any optional attribute")), Ok(user(1, "ann")));
    assert_eq!(decoded(&v3("audit, with everything")), Ok(audit_entry_with_everything()));
    assert_eq!(decoded(&v3("audit, of a refusal")), Ok(audit_entry_of_a_refusal()));
    assert_eq!(decoded(&v3("audit, of a try that had to wait")), Ok(audit_entry_of_a_wait()));
    assert_eq!(decoded(&v3("audit, of 0.3.0")), Ok(linked(audit_entry_of_a_wait())));
}

#[test]
fn records_are_written_as_the_newest_golden_ones() {
    assert_eq!(written(&user_with_every_attribute(), "users, with every attribute"), None);
    assert_eq!(written(&user(1, "ann"), "users, without any optional attribute"), None);
    assert_eq!(written(&configuration(70_000, 300, "thème/1", "dark\n"), "configurations, with a value"), None);
    assert_eq!(written(&configuration(1, 1, "k", ""), "configurations, without a value"), None);
    assert_eq!(written(&api_key_with_every_attribute(), "api_keys, with every attribute"), None);
    assert_eq!(written(&api_key(1, 1, 7), "api_keys, without any optional attribute"), None);
    assert_eq!(written(&golden_session(), "sessions"), None);
    assert_eq!(written(&golden_session_with_its_beginning(), "sessions, with its beginning"), None);
    assert_eq!(written(&audit_entry_with_everything(), "audit, with everything"), None);
    assert_eq!(written(&audit_entry_of_a_refusal(), "audit, of a refusal"), None);
    assert_eq!(written(&audit_entry_of_a_wait(), "audit, of a try that had to wait"), None);
    assert_eq!(written(&linked(audit_entry_of_a_wait()), "audit, of 0.3.0"), None);
    assert_eq!(hex(&encode(&audit_state())), hex(&golden(1, "meta, of the audit log")));
    assert_eq!(hex(&encode(&assertion_keys())), hex(&golden(1, "meta, of the keys of assertions")));
    assert_eq!(hex(&encode(&activity_from_an_address())), hex(&golden(1, "activity, from an address")));
    assert_eq!(hex(&encode(&activity_without_an_address())), hex(&golden(1, "activity, without an address")));
}

/// The bytes of the record in hex, unless they are the golden ones of its present version.
fn written<R: Record>(record: &R, name: &str) -> Option<String> {
    let bytes = encode(record);
    (bytes != golden(R::VERSION, name)).then(|| hex(&bytes))
}
