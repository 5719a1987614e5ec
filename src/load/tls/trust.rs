//! The certificates that a load trusts.

use super::error::is_of_authority;
use crate::error::Failure;
use rustls::SignatureScheme;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The TLS of a load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsPlan {
    /// The host of the URL: a name, which is sent to the server (SNI), or an IP address, which is
    /// not (RFC 6066 3). The certificate must be for it.
    pub host: String,
    /// The certificates that are accepted.
    pub trust: Trust,
}

/// The certificates that are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trust {
    /// Those of the authorities that the machine trusts.
    System,
    /// Those of the authorities in this PEM file, and the file's own certificates.
    File(PathBuf),
    /// Any certificate for any name; but the server must have its key.
    Anything,
}

impl TlsPlan {
    /// The configuration that all sessions share, and the name that their servers must prove.
    ///
    /// # Errors
    /// If the host can't be in a certificate, or the trusted certificates can't be read.
    pub fn load(&self) -> Result<(Arc<ClientConfig>, ServerName<'static>), Failure> {
        let name = ServerName::try_from(self.host.clone()).map_err(|_| {
            let why = "it is neither a DNS name nor an IP address";
            Failure::new(format!("preparing TLS with {}", self.host), why, "check the URL")
        })?;
        Ok((Arc::new(self.trust.config()?), name))
    }
}

impl Trust {
    fn config(&self) -> Result<ClientConfig, Failure> {
        let provider = Arc::new(ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self {
            Self::Anything => Arc::new(AnyCertificate { provider: provider.clone() }),
            Self::System => web_pki("the system's certificates", &provider, system_roots()?)?,
            Self::File(path) => {
                let certificates = read(path)?;
                let what = format!("{} (--cacert)", path.display());
                let inner = web_pki(&what, &provider, certificates.clone())?;
                Arc::new(PinnedOrIssued { inner, certificates })
            }
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

type Certificates = Vec<CertificateDer<'static>>;

fn system_roots() -> Result<Certificates, Failure> {
    let loaded = rustls_native_certs::load_native_certs();
    if !loaded.certs.is_empty() {
        return Ok(loaded.certs);
    }
    let why = match loaded.errors.first() {
        Some(error) => error.to_string(),
        None => "there are none".to_owned(),
    };
    Err(Failure::new("reading the certificates that the system trusts", why, NO_ROOTS_HINT))
}

/// Reads the certificates of a PEM file.
fn read(path: &Path) -> Result<Certificates, Failure> {
    let what = || format!("reading certificates from {} (--cacert)", path.display());
    let hint = "it must have certificates in PEM form: -----BEGIN CERTIFICATE-----";
    // A file that is not PEM has no certificates.
    let certificates: Result<Certificates, _> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates = certificates.map_err(|error| Failure::new(what(), error, hint))?;
    if certificates.is_empty() {
        return Err(Failure::new(what(), "there are none", hint));
    }
    Ok(certificates)
}

/// Verifies chains of certificates as browsers do. Certificates of the system that it can't parse
/// are left out; a store without any is an error.
fn web_pki(
    what: &str,
    provider: &Arc<CryptoProvider>,
    certificates: Certificates,
) -> Result<Arc<WebPkiServerVerifier>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|_| Failure::new(format!("using {what}"), "none is a valid certificate", ""))
}

/// Accepts the server's certificate if it is one of these, which a self-signed one has to be, or if
/// one of these issued it.
#[derive(Debug)]
struct PinnedOrIssued {
    inner: Arc<WebPkiServerVerifier>,
    certificates: Certificates,
}

impl ServerCertVerifier for PinnedOrIssued {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // `openssl req -x509` marks a server's own certificate as that of an authority. webpki
            // reports this after it has checked the time of the certificate.
            Err(Error::InvalidCertificate(why))
                if is_of_authority(&why) && self.certificates.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Accepts any certificate, but demands the signature of its key.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        unless_unreadable(verify_tls12_signature(message, cert, signature, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        unless_unreadable(verify_tls13_signature(message, cert, signature, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts a signature whose certificate webpki can't read (it has no version 3, for example): the
/// user has asked for any certificate. A wrong signature is still an error.
fn unless_unreadable(
    verified: Result<HandshakeSignatureValid, Error>,
) -> Result<HandshakeSignatureValid, Error> {
    match verified {
        Err(Error::InvalidCertificate(why)) if why != CertificateError::BadSignature => {
            Ok(HandshakeSignatureValid::assertion())
        }
        verified => verified,
    }
}

const NO_ROOTS_HINT: &str = "install the package ca-certificates, or name the authority of the \
                             server with --cacert FILE, or accept any certificate with --insecure";
