//! Whatever bytes come, every parser of messages takes or refuses them; and what one takes, it
//! takes again, equal, from what is written of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use planner_redis::wire::{
    Action, ActionResult, Alert, BYTES_MAX, Clock, Heard, MacKey, Membership, Routing, seal, verify,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Heard::Message(alert)) = Alert::parse(bytes) {
        let clock = Clock::new(planner_ports::Timeline::begin());
        if let Ok(window) = alert.to_window(&clock) {
            assert!(window.start() <= window.end());
        }
        assert_eq!(Alert::parse(alert.write().as_bytes()), Ok(Heard::Message(alert)));
    }
    let key = MacKey::new(b"sixteen bytes or more").expect("long enough");
    if let Ok(Heard::Message(action)) = Action::parse(bytes) {
        let sealed = seal(&action.write(), &key);
        assert_eq!(verify(sealed.as_bytes(), &key), Ok(()));
        assert_eq!(Action::parse(sealed.as_bytes()), Ok(Heard::Message(action)));
    }
    if let Ok(Heard::Fault(fault)) = Action::parse(bytes) {
        let text = fault.write_action();
        // It repeats another message, in which short numbers may become long ones.
        if text.len() <= BYTES_MAX {
            assert_eq!(Action::parse(text.as_bytes()), Ok(Heard::Fault(fault)));
        }
    }
    if let Ok(Heard::Message(result)) = ActionResult::parse(bytes) {
        assert_eq!(ActionResult::parse(result.write().as_bytes()), Ok(Heard::Message(result)));
    }
    if let Ok(membership) = Membership::parse(bytes) {
        assert_eq!(Membership::parse(membership.write().as_bytes()), Ok(membership));
    }
    if let Ok(routing) = Routing::parse(bytes) {
        assert_eq!(Routing::parse(routing.write().as_bytes()), Ok(routing));
    }
    assert!(verify(bytes, &key).is_err());
});
