//! The two facts about a certificate that webpki does not tell: the common name of its subject, and whether it has a
//! subject alternative name (RFC 5280 sections 4.1 and 4.2.1.6); and the key inside a SubjectPublicKeyInfo. Reads DER
//! (X.690) only as far as these need; says nothing about whether the certificate is to be trusted. No input panics.

/// Not a certificate, or DER this reader does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What a certificate says of whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// The value of the subject's common name, if there is exactly one.
    pub common_name: Option<&'a [u8]>,
    /// Whether there is a subject alternative name extension, of whatever content.
    pub has_alternative: bool,
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const BIT_STRING: u8 = 0x03;
const VERSION: u8 = 0xa0; // [0] of TBSCertificate
const EXTENSIONS: u8 = 0xa3; // [3] of TBSCertificate
const COMMON_NAME: &[u8] = &[0x55, 4, 3]; // id-at-commonName 2.5.4.3
const ALTERNATIVE_NAME: &[u8] = &[0x55, 29, 17]; // id-ce-subjectAltName 2.5.29.17
/// PrintableString, UTF8String, T61String, IA5String: one byte a character for the ASCII of a host name.
const STRINGS: [u8; 4] = [0x13, 0x0c, 0x14, 0x16];

/// Parses a certificate's names.
pub fn parse_names(der: &[u8]) -> Result<Names<'_>, Malformed> {
    let mut outer = Der(der);
    let mut certificate = outer.enter(SEQUENCE)?;
    let mut tbs = certificate.enter(SEQUENCE)?;
    if tbs.0.first() == Some(&VERSION) {
        tbs.next()?;
    }
    for _ in ["serialNumber", "signature", "issuer", "validity"] {
        tbs.next()?;
    }
    let common_name = parse_common_name(tbs.enter(SEQUENCE)?)?;
    tbs.next()?; // subjectPublicKeyInfo
    let mut has_alternative = false;
    while !tbs.0.is_empty() {
        let (tag, value) = tbs.next()?; // unique ids of both parties may come first
        if tag == EXTENSIONS {
            let mut list = Der(value).enter(SEQUENCE)?;
            while !list.0.is_empty() {
                has_alternative |= list.enter(SEQUENCE)?.expect(OID)? == ALTERNATIVE_NAME;
            }
        }
    }
    Ok(Names { common_name, has_alternative })
}

/// The content of a SEQUENCE that is all of `der`: how webpki wants names and keys.
pub fn parse_sequence(der: &[u8]) -> Result<&[u8], Malformed> {
    let mut outer = Der(der);
    let content = outer.expect(SEQUENCE)?;
    if outer.0.is_empty() { Ok(content) } else { Err(Malformed) }
}

/// The key of a SubjectPublicKeyInfo (RFC 5280 section 4.1), for RSA a PKCS#1 RSAPublicKey: how ring wants it.
pub fn parse_public_key(spki: &[u8]) -> Result<&[u8], Malformed> {
    let mut info = Der(parse_sequence(spki)?);
    info.expect(SEQUENCE)?; // algorithm
    match info.expect(BIT_STRING)?.split_first() {
        Some((0, key)) if info.0.is_empty() => Ok(key),
        _ => Err(Malformed),
    }
}

fn parse_common_name(mut subject: Der<'_>) -> Result<Option<&[u8]>, Malformed> {
    let (mut name, mut count) = (None, 0);
    while !subject.0.is_empty() {
        let mut relative = subject.enter(SET)?;
        while !relative.0.is_empty() {
            let mut attribute = relative.enter(SEQUENCE)?;
            let kind = attribute.expect(OID)?;
            let (tag, value) = attribute.next()?;
            if kind == COMMON_NAME {
                name = STRINGS.contains(&tag).then_some(value);
                count += 1;
            }
        }
    }
    Ok(name.filter(|_| count == 1))
}

/// The rest of a DER value, read one element at a time.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element's tag and content.
    fn next(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (&tag, rest) = self.0.split_first().ok_or(Malformed)?;
        let (&first, rest) = rest.split_first().ok_or(Malformed)?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(Malformed)?;
                (digits.iter().fold(0, |n, &d| n << 8 | usize::from(d)), rest)
            }
            _ => return Err(Malformed), // indefinite, or longer than any certificate
        };
        let (value, rest) = rest.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok((tag, value))
    }

    fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        let (found, value) = self.next()?;
        if found == tag { Ok(value) } else { Err(Malformed) }
    }

    fn enter(&mut self, tag: u8) -> Result<Der<'a>, Malformed> {
        self.expect(tag).map(Der)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let mut b = vec![tag, 0x82];
        b.extend((content.len() as u16).to_be_bytes());
        b.extend(content);
        b
    }

    fn attribute(oid: &[u8], value: &[u8]) -> Vec<u8> {
        element(SET, &[&element(SEQUENCE, &[&element(OID, &[oid]), &element(0x0c, &[value])])])
    }

    fn certificate(subject: &[&[u8]], extension: &[u8]) -> Vec<u8> {
        let any = element(SEQUENCE, &[b"\x05\0"]);
        let extension = element(SEQUENCE, &[&element(OID, &[extension]), &element(4, &[b"x"])]);
        let extensions = element(EXTENSIONS, &[&element(SEQUENCE, &[&extension])]);
        let version = element(VERSION, &[b"\x02\x01\x02"]);
        let subject = element(SEQUENCE, subject);
        let tbs =
            element(SEQUENCE, &[&version, b"\x02\x01\x01", &any, &any, &any, &subject, &any, &extensions]);
        element(SEQUENCE, &[&tbs, &any, b"\x03\x01\0"])
    }

    #[test]
    fn a_leaf_tells_its_common_name_and_whether_it_has_an_alternative_one() {
        let organisation = attribute(&[0x55, 4, 10], b"x");
        let cn = attribute(COMMON_NAME, b"Server-12621-0a");
        let old = certificate(&[&organisation, &cn], &[0x55, 29, 15]);
        let names = Names { common_name: Some(b"Server-12621-0a"), has_alternative: false };
        assert_eq!(parse_names(&old), Ok(names));
        let recent = certificate(&[&cn], ALTERNATIVE_NAME);
        assert!(parse_names(&recent).unwrap().has_alternative);
    }

    #[test]
    fn two_common_names_are_as_good_as_none() {
        let cn = attribute(COMMON_NAME, b"a");
        let twice = certificate(&[&cn, &attribute(COMMON_NAME, b"b")], &[0x55, 29, 15]);
        assert_eq!(parse_names(&twice).unwrap().common_name, None);
        assert_eq!(parse_names(&certificate(&[&cn], &[1])).unwrap().common_name, Some(&b"a"[..]));
    }

    #[test]
    fn a_public_key_is_unwrapped_and_nothing_shorter_or_longer_is_one() {
        let algorithm = element(SEQUENCE, &[b"\x05\0"]);
        let whole = element(SEQUENCE, &[&algorithm, &element(BIT_STRING, &[b"\0key"])]);
        assert_eq!(parse_public_key(&whole), Ok(&b"key"[..]));
        for n in 0..whole.len() {
            assert_eq!(parse_public_key(&whole[..n]), Err(Malformed), "{n} bytes");
        }
        assert_eq!(parse_public_key(&[&whole[..], b"x"].concat()), Err(Malformed));
        let uneven = element(SEQUENCE, &[&algorithm, &element(BIT_STRING, &[b"\x01key"])]);
        assert_eq!(parse_public_key(&uneven), Err(Malformed));
    }

    #[test]
    fn no_shorter_or_mangled_certificate_panics_or_passes_for_another() {
        let whole = certificate(&[&attribute(COMMON_NAME, b"host")], ALTERNATIVE_NAME);
        for n in 0..whole.len() {
            assert_eq!(parse_names(&whole[..n]), Err(Malformed), "{n} bytes");
        }
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut b = whole.clone();
            for _ in 0..3 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = state as usize % b.len();
                b[at] = (state >> 32) as u8;
            }
            let _ = parse_names(&b);
        }
    }
}
