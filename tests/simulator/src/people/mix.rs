//! Hashes, and what is made of them: picks, numbers, ids, digits.

use crate::json::HEX;

/// Mixes the bits of a number; a bijection, undone by [`unmix`].
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Undoes [`mix`].
pub(super) const fn unmix(mut z: u64) -> u64 {
    z = (z ^ (z >> 31) ^ (z >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    z = (z ^ (z >> 27) ^ (z >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    z ^ (z >> 30) ^ (z >> 60)
}

/// Picks an element by a hash.
pub(crate) fn pick<T: Copy>(list: &[T], hash: u64) -> T {
    list[small(hash, list.len())]
}

/// A number below `bound` from a hash.
pub(crate) fn small(hash: u64, bound: usize) -> usize {
    usize::try_from(hash % bound.max(1) as u64).expect("below a usize")
}

/// A number below `bound` from a hash, for arithmetic with instants.
pub(crate) fn below(hash: u64, bound: i64) -> i64 {
    i64::try_from(hash % bound.max(1).unsigned_abs()).expect("below an i64")
}

/// Appends 16 hexadecimal digits.
pub(crate) fn push_hex(out: &mut String, value: u64) {
    for shift in (0..16).rev() {
        let digit = usize::try_from((value >> (shift * 4)) & 15).expect("four bits");
        out.push(char::from(HEX[digit]));
    }
}

/// A 32-digit id, as the platform gives them, from a seed and a label.
pub(crate) fn id_of(seed: u64, label: u64) -> String {
    let mut out = String::with_capacity(32);
    push_hex(&mut out, mix(seed ^ mix(label)));
    push_hex(&mut out, mix(seed.wrapping_add(label) ^ 0x5bd1_e995));
    out
}

/// Appends a number in base 36.
pub(super) fn push_base36(out: &mut String, mut number: u32) {
    let mut digits = [0_u8; 8];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[small(u64::from(number), 36)];
        number /= 36;
        if number == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
}

/// Appends a number padded with zeros.
pub(crate) fn push_padded(out: &mut String, number: u64, width: usize) {
    let mut divisor = 10_u64.pow(u32::try_from(width).expect("a few digits").saturating_sub(1));
    while divisor > 0 {
        let digit = u8::try_from(number / divisor % 10).expect("one digit");
        out.push(char::from(b'0' + digit));
        divisor /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixer_can_be_undone() {
        for value in [0, 1, 42, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(unmix(mix(value)), value);
        }
    }
}
