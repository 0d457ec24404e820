//! What an operator wants to know of a certificate: whose it is and when it ends. Read from DER (RFC 5280, section 4.1), not checked:
//! the handshake did that.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::driver::text;
use crate::model::Millis;

/// Characters of a name that are shown.
const NAME: usize = 200;

/// Tags of DER that stand in a certificate.
const INTEGER: u8 = 0x02;
const OID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// Object identifier 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// Of a far side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The subject's common name; empty where it has none, as new ones may.
    pub subject: String,
    pub ends_at: Millis,
}

impl Certificate {
    /// None when it is not one.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (mut whole, _) = take(der, SEQUENCE)?;
        let mut fields = next(&mut whole, SEQUENCE)?;
        if fields.first() == Some(&VERSION) {
            next(&mut fields, VERSION)?;
        }
        next(&mut fields, INTEGER)?;
        let (_signature, _issuer) = (next(&mut fields, SEQUENCE)?, next(&mut fields, SEQUENCE)?);
        let mut validity = next(&mut fields, SEQUENCE)?;
        let _begins = time(&mut validity)?;
        let ends_at = time(&mut validity)?;
        let subject = common_name(next(&mut fields, SEQUENCE)?).unwrap_or_default();
        Some(Self { subject: text::plain(&subject, NAME), ends_at })
    }
}

fn common_name(mut subject: &[u8]) -> Option<String> {
    while !subject.is_empty() {
        let mut set = next(&mut subject, SET)?;
        let mut pair = next(&mut set, SEQUENCE)?;
        if next(&mut pair, OID)? == COMMON_NAME {
            let (value, _) = take(pair, *pair.first()?)?;
            return Some(String::from_utf8_lossy(value).into_owned());
        }
    }
    None
}

/// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from then on.
fn time(from: &mut &[u8]) -> Option<Millis> {
    let tag = *from.first()?;
    let digits = std::str::from_utf8(next(from, tag)?).ok()?.strip_suffix('Z')?;
    let digits = match tag {
        UTC_TIME if digits < "50" => format!("20{digits}"),
        UTC_TIME => format!("19{digits}"),
        GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    Some(Timestamp::as_millisecond(time.to_zoned(TimeZone::UTC).ok()?.timestamp()))
}

/// The content of the element in front, which must have this tag; `from` goes on behind it.
fn next<'d>(from: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    let (content, rest) = take(from, tag)?;
    *from = rest;
    Some(content)
}

/// Content and rest. Lengths of more than two bytes stand in no certificate that a handshake takes.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    (found == tag && length <= rest.len()).then(|| rest.split_at(length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn a_certificate_says_whose_it_is_and_when_it_ends() {
        let pem = include_bytes!("../../../tests/far-side.pem");
        let der = CertificateDer::from_pem_slice(pem).unwrap();
        // 2120-01-01T00:00:00Z
        let read = Certificate::read(&der);
        assert_eq!(read, Some(Certificate { subject: "far side".into(), ends_at: 4_733_510_400_000 }));
        for cut in 0..der.len() {
            assert_eq!(Certificate::read(&der[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_time_of_two_digits_is_of_this_century_up_to_2049() {
        let read = |text: &str| time(&mut [&[UTC_TIME, 13], text.as_bytes()].concat().as_slice());
        assert_eq!(read("491231235959Z"), Some(2_524_607_999_000));
        assert_eq!(read("500101000000Z"), Some(-631_152_000_000));
        assert_eq!(read("491331235959Z"), None);
    }
}
