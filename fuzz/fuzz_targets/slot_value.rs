//! A slot's value that can be read is written back as the same session, and always in the same bytes.
#![no_main]

use claviger::fields::{Fields, json};
use claviger::limits::TEXT_BYTES;
use claviger::session::{Account, Profile, Service, SessionName, SlotName};
use claviger::store::record::{Bundle, Fault, RefreshEntry};
use claviger_fuzz::assert_plain_line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    match Bundle::decode(input, None) {
        Ok(bundle) => {
            let name = &bundle.record.name;
            let written = bundle.encode();
            let again = Bundle::decode(&written, Some(name)).expect("what is written can be read");
            assert_eq!(again.record, bundle.record);
            assert_eq!(*again.encode(), *written);
            assert_eq!(SlotName::found_access(name.access_slot().as_str()), Some(name.access_slot()));
            assert_eq!(SlotName::found_access(name.refresh_slot().as_str()), None);
            assert!(RefreshEntry::decode(input, name).is_err(), "read as either kind of slot");
        }
        Err(Fault::Damaged(why)) => assert_plain_line(&why),
        Err(Fault::Newer) => {}
    }
    if let Some(name) = name(input)
        && let Ok(entry) = RefreshEntry::decode(input, &name)
    {
        let written = entry.encode();
        let again = RefreshEntry::decode(&written, &name).expect("what is written can be read");
        assert!(again.token.same_as(&entry.token) && again.destination == entry.destination);
        assert_eq!(*again.encode(), *written);
    }
});

fn name(input: &[u8]) -> Option<SessionName> {
    let mut fields = json(input).and_then(Fields::of).ok()?;
    let mut text = |key| fields.text(key, TEXT_BYTES).ok().flatten();
    let (service, account) =
        (Service::parse(&text("service")?).ok()?, Account::parse(&text("account")?).ok()?);
    Some(SessionName {
        service,
        account,
        profile: text("profile").and_then(|word| Profile::parse(&word).ok()),
    })
}
