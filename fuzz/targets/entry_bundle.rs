//! The content of an entry bundle, after two bytes for its width.

#![no_main]

use dsrd::audit::tlog::{Bundle, bundle};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((width, content)) = bytes.split_first_chunk::<2>() else { return };
    let Ok(name) = Bundle::new(0, u16::from_be_bytes(*width)) else { return };
    if let Ok(entries) = bundle::read(name, content) {
        assert_eq!(entries.len(), usize::from(name.width()));
        assert_eq!(bundle::write(entries).as_deref(), Ok(content));
    }
});
