//! A slot's value that can be read is written back as the same session, and always in the same bytes.
#![no_main]

use claviger::session::SlotName;
use claviger::store::record::{Bundle, Fault, RefreshEntry};
use claviger_fuzz::{assert_plain_line, session_named_in};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match Bundle::decode(input, None) {
        Ok(bundle) => {
            let name = &bundle.record.name;
            let written = bundle.encode();
            let again = Bundle::decode(&written, Some(name)).expect("what is written can be read");
            assert_eq!(again.record, bundle.record);
            assert_eq!(*again.encode(), *written);
            assert!(RefreshEntry::decode(input, name).is_err(), "it is both kinds of slot");
            assert_eq!(SlotName::found_access(name.access_slot().as_str()), Some(name.access_slot()));
            assert_eq!(SlotName::found_access(name.refresh_slot().as_str()), None);
        }
        Err(Fault::Damaged(why)) => assert_plain_line(&why),
        Err(Fault::Newer) => {}
    }
    let Some(name) = session_named_in(input) else { return };
    if let Ok(entry) = RefreshEntry::decode(input, &name) {
        let written = entry.encode();
        let again = RefreshEntry::decode(&written, &name).expect("what is written can be read");
        assert!(again.token.same_as(&entry.token) && again.destination == entry.destination);
        assert_eq!(*again.encode(), *written);
    }
});
