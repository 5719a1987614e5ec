//! Certificates for servers: of an authority of the tests, self-signed, expired, not yet valid.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoClientAuth;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::{TLS12, TLS13};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// A certificate of a server, and its key.
pub(super) struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) pem: String,
    key: KeyPair,
}

/// The versions of TLS that the client has.
pub(super) const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

type Authority = CertifiedIssuer<'static, KeyPair>;

/// The authority that the tests trust.
pub(super) static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| authority("Authority"));

/// The file of its certificate, for `--cacert`.
static AUTHORITY_FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let name = format!("authority-{}.pem", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, AUTHORITY.pem()).expect("the folder is writable");
    path
});

pub(super) fn authority_file() -> &'static Path {
    &AUTHORITY_FILE
}

/// Another authority.
pub(super) fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, key()).expect("the parameters are complete")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("ring makes keys")
}

impl Identity {
    /// A certificate for these names and addresses, issued by [`AUTHORITY`].
    pub(super) fn of(names: &[&str]) -> Self {
        Self::issued(&params(names), &AUTHORITY)
    }

    pub(super) fn issued(params: &CertificateParams, authority: &Authority) -> Self {
        let key = key();
        let certificate = params.signed_by(&key, authority).expect("the parameters are complete");
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    /// Its own issuer, marked as an authority or not.
    pub(super) fn self_signed(mut params: CertificateParams, is_ca: bool) -> Self {
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = key();
        let certificate = params.self_signed(&key).expect("the parameters are complete");
        Self { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    /// The same certificate with another's key.
    pub(super) fn with_key_of(self, other: Self) -> Self {
        Self { key: other.key, ..self }
    }

    /// A server with this certificate; all that it has in common with the client is the version.
    pub(super) fn server(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> ServerConfig {
        self.server_for(version, Arc::new(NoClientAuth))
    }

    /// The same, which demands these certificates of its clients.
    pub(super) fn server_for(
        &self,
        version: &'static rustls::SupportedProtocolVersion,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> ServerConfig {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).expect("the key is PKCS 8");
        let provider = Arc::new(ring::default_provider());
        let key = provider.key_provider.load_private_key(key).expect("ring reads its own keys");
        let certified = rustls::sign::CertifiedKey::new(vec![self.certificate.clone()], key);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("ring has suites for each version")
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

/// The parameters of a certificate that is valid now.
pub(super) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).expect("the names are valid")
}

/// The same, valid in these years alone.
pub(super) fn valid(names: &[&str], from: i32, to: i32) -> CertificateParams {
    let mut params = params(names);
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params
}
