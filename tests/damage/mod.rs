//! A store that was damaged is served whole or refused; it never has less in silence.

mod ages;
mod damages;
mod index;
mod interrupted;
mod start;
mod values;
mod verify;

use std::{
    env, fs,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tempfile::TempDir;

use self::{
    ages::{Age, Lives, copy},
    damages::{Damage, Random},
    start::{Ended, Started},
};
use crate::harness::repetitions;

/// How many damages are done, unless `LODGE_TEST_DAMAGES` is set.
const DAMAGES: u64 = 20;
/// How many servers run at once.
const AT_ONCE: usize = 4;
/// Every so many refused stores one is salvaged.
const SALVAGED: u64 = 4;

/// How a server took the damage.
#[derive(Debug)]
enum Taken {
    ServedWhole,
    Refused,
    Salvaged,
    SalvageRefused,
}

/// What became of all damages.
#[derive(Default)]
struct Outcomes {
    taken: Vec<Taken>,
    faults: Vec<String>,
}

#[test]
fn a_damaged_store_is_served_whole_or_refused_and_salvaged_into_a_sound_one() {
    let lives = Lives::live();
    let first = first_seed();
    let next = AtomicU64::new(first);
    let outcomes = Mutex::new(Outcomes::default());

    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::SeqCst)).filter(|seed| *seed < first + count())
                {
                    let taken = take(&lives, seed);
                    let mut outcomes = outcomes.lock().unwrap();
                    match taken {
                        Ok(taken) => outcomes.taken.push(taken),
                        Err(fault) => outcomes.faults.push(fault),
                    }
                }
            });
        }
    });

    let Outcomes { taken, faults } = outcomes.into_inner().unwrap();
    println!("{}", summary(&taken, faults.len()));
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// The damages are those from this number on; `LODGE_TEST_DAMAGE_SEED` repeats one.
fn first_seed() -> u64 {
    let random = || RandomState::new().hash_one(0) >> 1;
    env::var("LODGE_TEST_DAMAGE_SEED").map_or_else(|_| random(), |seed| seed.parse().expect("the seed is a number"))
}

fn count() -> u64 {
    let usual = if env::var_os("LODGE_TEST_DAMAGE_SEED").is_some() { 1 } else { DAMAGES };
    repetitions("LODGE_TEST_DAMAGES", usual)
}

fn summary(taken: &[Taken], faults: usize) -> String {
    let served = taken.iter().filter(|taken| matches!(taken, Taken::ServedWhole)).count();
    let salvaged = taken.iter().filter(|taken| matches!(taken, Taken::Salvaged)).count();
    let unsalvageable = taken.iter().filter(|taken| matches!(taken, Taken::SalvageRefused)).count();
    let refused = taken.len() - served;
    format!(
        "{} damages: {served} served whole, {refused} refused ({salvaged} of them salvaged, {unsalvageable} beyond \
         salvage), {faults} taken wrongly",
        taken.len() + faults
    )
}

/// Damages a copy of a store and runs a server on it; a wrong outcome keeps the copy and is reported with its seed.
fn take(lives: &Lives, seed: u64) -> Result<Taken, String> {
    let mut random = Random::new(seed);
    let (age, older) = lives.any_with_an_older(&mut random);
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    copy(&age.data, &data);
    let damage = Damage::any(&data.join("store"), age.is_stopped, &mut random);
    damage.apply(&data.join("store"), &older.data.join("store"));

    let taken = serve(lives, age, &data, seed).and_then(|taken| match taken {
        Taken::Refused | Taken::Salvaged | Taken::SalvageRefused if damage.is_of_index() => {
            Err("it is refused though only its index is damaged".to_owned())
        }
        taken => Ok(taken),
    });
    taken.map_err(|fault| {
        let kept = directory.keep();
        format!("LODGE_TEST_DAMAGE_SEED={seed}, {damage:?} to {}: {fault}; see {}", age.name, kept.display())
    })
}

fn serve(lives: &Lives, age: &Age, data: &Path, seed: u64) -> Result<Taken, String> {
    match start::serve(lives.command(&["serve"], data))? {
        Started::Serving(serving) => {
            let found = lives.holdings(serving.address);
            if found != age.holdings {
                return Err(format!("it serves something else\nexpected {:?}\nfound    {found:?}", age.holdings));
            }
            serving.stop().map(|_| Taken::ServedWhole)
        }
        Started::Ended(ended) if seed.is_multiple_of(SALVAGED) => refused(&ended).and_then(|()| salvage(lives, data)),
        Started::Ended(ended) => refused(&ended).map(|()| Taken::Refused),
    }
}

/// A refusal prints a sentence of its own, with the exit code of a damaged or unreadable store.
fn refused(ended: &Ended) -> Result<(), String> {
    let says_so = ended.log.lines().any(|line| line.starts_with("lodge: "));
    if matches!(ended.code, Some(10 | 12)) && says_so { Ok(()) } else { Err(format!("it is refused so: {ended:?}")) }
}

fn salvage(lives: &Lives, data: &Path) -> Result<Taken, String> {
    match start::serve(lives.command(&["serve", "--accept-loss"], data))? {
        Started::Ended(Ended { code: Some(12), .. }) => Ok(Taken::SalvageRefused),
        Started::Ended(ended) => Err(format!("the salvage is refused so: {ended:?}")),
        Started::Serving(serving) => {
            lives.holdings(serving.address);
            let log = serving.stop()?;
            if !log.contains(" saved ") {
                return Err(format!("what was saved is not logged: {log}"));
            }
            if kept_stores(data) != 1 {
                return Err("the damaged store is not kept".to_owned());
            }
            let verified = lives.command(&["verify"], data).output().unwrap();
            let is_sound = verified.status.success();
            if is_sound { Ok(Taken::Salvaged) } else { Err(format!("the salvaged store is unsound: {verified:?}")) }
        }
    }
}

fn kept_stores(data: &Path) -> usize {
    let names = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("store.replaced-")).count()
}
