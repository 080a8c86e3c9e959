//! What a change of keys says of a key.

use zeroize::Zeroizing;

use super::*;

#[test]
fn a_key_is_told_whole_whatever_its_letters() {
    let name: KeyName = "log.example".parse().unwrap();
    let mut with_plus = 0;
    for seed in 0..64 {
        let key = SigningKey::from_seed(name.clone(), &Zeroizing::new([seed; 32]));
        let told = public_part(key.verifier());
        assert_eq!(format!("{name}+{}+{told}", key.verifier().id()), key.verifier().to_string());
        with_plus += usize::from(told.contains('+'));
    }
    assert!(with_plus > 0, "none of them tells anything");
}
