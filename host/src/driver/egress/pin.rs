//! The one certificate that an operator takes of a far side, in place of any that an authority signed or beside that.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::model::{Digest, Tls};

/// What is trusted of a far side whose certificate is pinned.
#[derive(Debug)]
struct Pinned {
    pin: Digest,
    /// The operator's own authorities: then both must fit. Without them the pinned certificate is trusted as it is.
    beside: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

/// `sha256:` and 64 hex digits.
pub(in super::super) fn check_pin(pin: &str) -> Result<Digest, String> {
    Digest::parse(pin)
        .ok_or_else(|| "tls.pin is sha256: and 64 lower-case hex digits of the far side's certificate".into())
}

/// For a binding that pins a certificate.
pub(super) fn pinned(tls: &Tls) -> Result<Option<ClientConfig>, String> {
    let Some(pin) = &tls.pin else { return Ok(None) };
    let pin = check_pin(pin)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let beside = match &tls.ca {
        None => None,
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            let found = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
            roots.add_parsable_certificates(found);
            let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build();
            Some(verifier.map_err(|error| format!("tls.ca: {error}"))?)
        }
    };
    let verifier = Arc::new(Pinned { pin, beside, provider: provider.clone() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Some(config))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Digest::of(end_entity);
        if shown != self.pin {
            return Err(Error::General(format!("it shows {shown}, and the binding's tls.pin is {}", self.pin)));
        }
        match &self.beside {
            Some(beside) => beside.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
