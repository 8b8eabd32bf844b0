//! The Internet checksum (RFC 1071): the ones' complement of the ones' complement sum of 16-bit words. Takes bytes of
//! any length; an odd last byte counts as the high half of a word.

/// The checksum of `b`. Over a message that holds its own right checksum it is zero.
pub fn internet(b: &[u8]) -> u16 {
    let words = b.chunks_exact(2);
    let last = words.remainder().first().map_or(0, |&last| u64::from(last) << 8);
    let mut sum = words.map(|w| u64::from(w[0]) << 8 | u64::from(w[1])).sum::<u64>() + last;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16) // folded to 16 bits on the line above
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_section_3_adds_up() {
        assert_eq!(internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn an_odd_byte_is_the_high_half_and_nothing_sums_to_nothing() {
        assert_eq!(internet(&[0xab]), !0xab00);
        assert_eq!(internet(&[]), 0xffff);
        assert_eq!(internet(&[0xff; 1 << 17]), 0);
    }
}
