//! Values larger than a keyring's items: cut, put together, never half, and gone when they are erased.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use claviger::store::Error;
use claviger::store::keyring::Chunked;
use support::SIZES;
use support::vault::{Vault, WINDOWS};

const SLOT: &str = "https://api.acme.example#alice";

fn value(size: usize, letter: char) -> claviger::store::Value {
    letter.to_string().repeat(size).into_bytes().into()
}

fn chunked(vault: &Vault) -> Chunked {
    Chunked::new(vault.clone(), Some(WINDOWS))
}

#[test]
fn every_size_comes_back_as_it_was_written_over_every_other() {
    let vault = Vault::with_limit(WINDOWS);
    let mut slots = chunked(&vault);
    for before in SIZES {
        for size in SIZES {
            slots.write(SLOT, &value(before, 'a')).unwrap();
            slots.write(SLOT, &value(size, 'b')).unwrap();
            assert_eq!(slots.read(SLOT).unwrap().unwrap(), value(size, 'b'), "{size} over {before}");
            assert_eq!(slots.slots().unwrap(), [SLOT], "the chunks are no slots");
            assert_eq!(slots.strays().unwrap(), Vec::<String>::new(), "{size} over {before}");
        }
    }
    assert!(slots.delete(SLOT).unwrap());
    assert_eq!(vault.names(), Vec::<String>::new(), "nothing of it is left");
    assert!(!slots.delete(SLOT).unwrap());
}

#[test]
fn a_clients_secret_is_cut_like_any_value_whatever_its_provider_is_called() {
    for slot in ["client-secret/acme", "client-secret/3.0"] {
        let vault = Vault::with_limit(WINDOWS);
        let mut slots = chunked(&vault);
        for size in [6000, 100, 6000, 5000] {
            slots.write(slot, &value(size, 'a')).unwrap();
            assert_eq!(slots.read(slot).unwrap().unwrap(), value(size, 'a'));
            assert_eq!((slots.slots().unwrap(), slots.strays().unwrap()), (vec![slot.to_owned()], vec![]));
        }
        assert!(slots.delete(slot).unwrap());
        assert_eq!(vault.names(), Vec::<String>::new(), "nothing of it is left");
    }
}

#[test]
fn what_fits_is_kept_whole_and_one_byte_more_is_cut_in_two() {
    let vault = Vault::with_limit(WINDOWS);
    let mut slots = chunked(&vault);
    slots.write(SLOT, &value(WINDOWS, 'a')).unwrap();
    assert_eq!(vault.names(), [SLOT]);
    slots.write(SLOT, &value(WINDOWS + 1, 'a')).unwrap();
    assert_eq!(vault.names(), [SLOT.to_owned(), format!("{SLOT}/1.0"), format!("{SLOT}/1.1")]);
    let head = String::from_utf8(vault.value(SLOT).unwrap()).unwrap();
    assert!(
        head.starts_with(r#"{"format":1,"slot":"chunks","generation":1,"count":2,"length":2561,"sha256":""#),
        "{head}"
    );
}

#[test]
fn where_there_is_no_limit_nothing_is_cut_and_nothing_more_is_read() {
    let vault = Vault::default();
    let mut slots = Chunked::new(vault.clone(), None);
    slots.write(SLOT, &value(65536, 'a')).unwrap();
    assert_eq!(slots.read(SLOT).unwrap().unwrap().len(), 65536);
    assert_eq!(vault.calls(), [format!("write {SLOT}"), format!("read {SLOT}")]);
}

#[test]
fn the_generation_before_stays_for_one_write_and_no_longer() {
    let vault = Vault::with_limit(WINDOWS);
    let mut slots = chunked(&vault);
    let generations = |vault: &Vault| {
        let tails = vault
            .names()
            .into_iter()
            .filter_map(|name| name.strip_prefix(&format!("{SLOT}/")).map(str::to_owned));
        tails.collect::<Vec<_>>()
    };
    slots.write(SLOT, &value(3000, 'a')).unwrap();
    slots.write(SLOT, &value(3000, 'b')).unwrap();
    assert_eq!(generations(&vault), ["1.0", "1.1", "2.0", "2.1"]);
    slots.write(SLOT, &value(3000, 'c')).unwrap();
    assert_eq!(generations(&vault), ["2.0", "2.1", "3.0", "3.1"]);
    slots.write(SLOT, &value(10, 'd')).unwrap();
    assert_eq!(generations(&vault), ["3.0", "3.1"]);
    slots.write(SLOT, &value(10, 'e')).unwrap();
    assert_eq!(generations(&vault), Vec::<String>::new());
}

#[test]
fn where_the_highest_number_is_taken_a_write_still_keeps_what_it_wrote() {
    let last = i64::MAX;
    let vault = Vault::with_limit(WINDOWS);
    let lay = |head: &str, number: i64| {
        vault.change(|items| {
            items.insert(SLOT.to_owned(), head.as_bytes().to_vec());
            items.insert(format!("{SLOT}/{number}.0"), b"of another write".to_vec());
        });
    };
    // Under a value, and under a head that names it.
    let head = format!(
        r#"{{"format":1,"slot":"chunks","generation":{last},"count":1,"length":16,"sha256":"{}"}}"#,
        "0".repeat(64)
    );
    for before in ["a value", &head] {
        lay(before, last);
        let mut slots = chunked(&vault);
        for (size, letter) in [(3000, 'a'), (6000, 'b'), (3000, 'c')] {
            slots.write(SLOT, &value(size, letter)).unwrap();
            assert_eq!(slots.read(SLOT).unwrap().unwrap(), value(size, letter), "over {before}");
        }
        assert_eq!(vault.value(&format!("{SLOT}/{last}.0")), None, "and the other is swept");
        slots.delete(SLOT).unwrap();
        assert_eq!(vault.names(), Vec::<String>::new());
    }
}

#[test]
fn a_reader_racing_a_writer_sees_the_old_value_or_the_new_and_never_half() {
    let vault = Vault::with_limit(WINDOWS);
    let mut writer = chunked(&vault);
    writer.write(SLOT, &value(9000, 'a')).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (vault, done) = (vault.clone(), Arc::clone(&done));
            std::thread::spawn(move || {
                let mut seen = 0_u32;
                while !done.load(Ordering::Relaxed) {
                    match chunked(&vault).read(SLOT) {
                        Ok(value) => {
                            let value = value.expect("it is there at any time");
                            assert!(value.iter().all(|byte| *byte == value[0]), "two values in one");
                            assert_eq!(value.len() % 10, 0, "a part of one");
                            seen += 1;
                        }
                        // Told, and never taken for damage.
                        Err(Error::Read { why, .. }) => assert!(why.contains("rewritten"), "{why}"),
                        Err(error) => panic!("{error}"),
                    }
                }
                seen
            })
        })
        .collect();
    for round in 0..2000_usize {
        let letter = char::from(b'a' + u8::try_from(round % 26).unwrap());
        writer.write(SLOT, &value([9000, 100, 40_000, 2570][round % 4], letter)).unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().unwrap() > 0, "it read");
    }
}

#[test]
fn a_write_cut_short_anywhere_leaves_the_old_value_and_the_next_one_cleans_up() {
    for cut in 1.. {
        let vault = Vault::with_limit(WINDOWS);
        chunked(&vault).write(SLOT, &value(6000, 'a')).unwrap();
        vault.calls();
        // From that call on nothing is done any more, as after a kill.
        vault.before(move |number, _, _| {
            if number >= cut {
                return Err(Error::Write { what: SLOT.to_owned(), why: "dead".to_owned() });
            }
            Ok(())
        });
        let written = chunked(&vault).write(SLOT, &value(7000, 'b'));
        vault.before(|_, _, _| Ok(()));
        let mut slots = chunked(&vault);
        let now = slots.read(SLOT).unwrap().unwrap();
        if written.is_ok() {
            assert_eq!(now, value(7000, 'b'));
            break;
        }
        assert_eq!(now, value(6000, 'a'), "cut at call {cut}");
        let strays = slots.strays().unwrap();
        assert!(strays.iter().all(|stray| stray.starts_with(&format!("{SLOT}/2."))), "{strays:?}");
        slots.write(SLOT, &value(5000, 'c')).unwrap();
        assert_eq!(slots.strays().unwrap(), Vec::<String>::new(), "cut at call {cut}");
        assert_eq!(slots.read(SLOT).unwrap().unwrap(), value(5000, 'c'));
        assert!(cut < 100, "it ends");
    }
}

#[test]
fn a_lost_or_changed_chunk_is_damage_and_can_be_erased_and_written_over() {
    for lose in [true, false] {
        let vault = Vault::with_limit(WINDOWS);
        let mut slots = chunked(&vault);
        slots.write(SLOT, &value(6000, 'a')).unwrap();
        vault.change(|values| {
            if lose {
                values.remove(&format!("{SLOT}/1.1"));
            } else {
                values.insert(format!("{SLOT}/1.1"), vec![b'x'; WINDOWS]);
            }
        });
        assert!(matches!(slots.read(SLOT), Err(Error::Damaged { .. })));
        slots.write(SLOT, &value(3000, 'b')).unwrap();
        assert_eq!(slots.read(SLOT).unwrap().unwrap(), value(3000, 'b'));
        slots.delete(SLOT).unwrap();
        assert_eq!(vault.names(), Vec::<String>::new());
    }
}

#[test]
fn one_slots_chunks_are_never_anothers() {
    let vault = Vault::with_limit(WINDOWS);
    let mut slots = chunked(&vault);
    let refresh = format!("{SLOT}/refresh");
    for slot in [SLOT, &refresh, "https://api.acme.example#alice2"] {
        slots.write(slot, &value(4000, 'a')).unwrap();
    }
    slots.delete(SLOT).unwrap();
    assert_eq!(slots.read(&refresh).unwrap().unwrap().len(), 4000);
    slots.delete(&refresh).unwrap();
    assert_eq!(slots.read("https://api.acme.example#alice2").unwrap().unwrap().len(), 4000);
    assert_eq!(vault.names().len(), 3);
}

#[test]
fn parts_of_no_value_are_found_and_told_from_those_in_use() {
    let vault = Vault::with_limit(WINDOWS);
    let mut slots = chunked(&vault);
    slots.write(SLOT, &value(3000, 'a')).unwrap();
    slots.write(SLOT, &value(3000, 'b')).unwrap();
    vault.change(|values| {
        for name in ["3.0", "0.7"] {
            values.insert(format!("{SLOT}/{name}"), b"x".to_vec());
        }
        values.insert("https://gone.example#bob/refresh/4.2".to_owned(), b"x".to_vec());
    });
    let strays = slots.strays().unwrap();
    assert_eq!(
        strays,
        [format!("{SLOT}/0.7"), format!("{SLOT}/3.0"), "https://gone.example#bob/refresh/4.2".to_owned()]
    );
    for stray in strays {
        slots.items().delete(&stray).unwrap();
    }
    assert_eq!(slots.read(SLOT).unwrap().unwrap(), value(3000, 'b'));
}
