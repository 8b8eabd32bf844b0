//! Whom a TLS connection trusts: the web's roots with more of one's own, or only given anchors; always ring, TLS 1.2
//! and 1.3, and a full check of the chain by webpki. Only [`Trust::ThisMachine`] checks nothing: qBittorrent's WebUI has a
//! certificate that it signed itself, if any.
//!
//! [`Verifier`] differs from webpki in one point: a leaf without any subject alternative name is matched by its
//! subject's common name, byte for byte (RFC 6125 section 6.4.4 allows that as a last resort). PIA's older servers have
//! such leaves.

use crate::wire::http::{Anchor, HttpError, Trust};
use crate::wire::x509;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{self, CryptoProvider, KeyProvider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, Der, PrivateKeyDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SigningKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// The certificates of a PEM text as trust anchors; what is no certificate is an error, as is a text without one.
pub fn anchors_from_pem(pem: &[u8]) -> Result<Vec<Anchor>, HttpError> {
    let bad = |e: &dyn std::fmt::Display| HttpError::Tls(format!("certificate in PEM: {e}"));
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_slice_iter(pem) {
        roots.add(cert.map_err(|e| bad(&e))?).map_err(|e| bad(&e))?;
    }
    if roots.is_empty() {
        return Err(bad(&"none found"));
    }
    let anchor = |r: &TrustAnchor<'_>| Anchor {
        subject: r.subject.to_vec(),
        spki: r.subject_public_key_info.to_vec(),
        name_constraints: r.name_constraints.as_ref().map(|names| names.to_vec()),
    };
    Ok(roots.roots.iter().map(anchor).collect())
}

/// The TLS settings of a request.
pub fn config(trust: &Trust) -> Result<Arc<ClientConfig>, HttpError> {
    let provider = Arc::new(CryptoProvider { key_provider: &NoKeys, ..crypto::ring::default_provider() });
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| HttpError::Tls(e.to_string()))?;
    Ok(Arc::new(match trust {
        Trust::Web { extra_pem } => {
            let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            if let Some(pem) = extra_pem {
                roots.extend(anchors_from_pem(pem)?.iter().map(trust_anchor));
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Only { anchors, name_from_cn } => {
            let roots: RootCertStore = anchors.iter().map(trust_anchor).collect();
            if *name_from_cn {
                let verifier = Arc::new(Verifier { roots: Some(roots), provider });
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            } else {
                builder.with_root_certificates(roots).with_no_client_auth()
            }
        }
        Trust::ThisMachine => {
            let verifier = Arc::new(Verifier { roots: None, provider });
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    }))
}

/// No client certificates: nobody asks for one, and what signs with RSA and ECDSA keys is 20 kB.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("pvpn has no client certificates".into()))
    }
}

fn trust_anchor(anchor: &Anchor) -> TrustAnchor<'static> {
    TrustAnchor {
        subject: Der::from(anchor.subject.clone()),
        subject_public_key_info: Der::from(anchor.spki.clone()),
        name_constraints: anchor.name_constraints.clone().map(Der::from),
    }
}

/// webpki's check with the common name as a last resort; without roots none at all.
#[derive(Debug)]
struct Verifier {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)?;
        let names = x509::parse_names(leaf).map_err(|_| CertificateError::BadEncoding)?;
        match (name, names.common_name) {
            (ServerName::DnsName(wanted), Some(cn)) if !names.has_alternative => {
                if wanted.as_ref().as_bytes() != cn {
                    return Err(CertificateError::NotValidForName.into());
                }
            }
            _ => verify_server_name(&parsed, name)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
