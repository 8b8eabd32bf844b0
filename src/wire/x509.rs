//! The two facts about a certificate that webpki does not tell: the common name of its subject, and whether it has a
//! subject alternative name (RFC 5280 sections 4.1 and 4.2.1.6). Reads DER (X.690) only as far as these need; says nothing
//! about whether the certificate is to be trusted. No input panics.

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
