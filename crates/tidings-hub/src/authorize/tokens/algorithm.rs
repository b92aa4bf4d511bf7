//! The algorithms of signatures (RFC 7518, section 3.1, and RFC 8037).

/// An algorithm that the hub verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

/// Algorithms of other libraries, and why the hub does not verify them.
pub(super) const NOT_SUPPORTED: [(&str, &str); 4] = [
    ("ES512", "ES512 (P-521) is not supported; use ES256, ES384 or EdDSA"),
    ("ES256K", "ES256K (secp256k1) is not supported; use ES256, ES384 or EdDSA"),
    ("Ed448", "Ed448 is not supported; use an Ed25519 key"),
    ("ML-DSA-65", "ML-DSA-65 is not supported; use ES256, ES384 or EdDSA"),
];

impl Algorithm {
    pub(super) const ALL: [Algorithm; 12] = [
        Algorithm::Hs256,
        Algorithm::Hs384,
        Algorithm::Hs512,
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
    ];

    /// Those of an RSA key. Which one it signs with is the choice of its owner.
    pub(super) const OF_RSA: [Algorithm; 6] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of this name. Upper and lower case are not the same. `Ed25519` is the newer name of EdDSA with that curve
    /// (RFC 9864).
    pub(super) fn parse(name: &str) -> Option<Algorithm> {
        match name {
            "Ed25519" => Some(Algorithm::EdDsa),
            name => Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == name),
        }
    }

    /// The fewest bytes of a secret: as many as the signature has, as RFC 7518 asks. `None` for an algorithm of public keys.
    pub(super) fn min_secret_bytes(self) -> Option<usize> {
        match self {
            Algorithm::Hs256 => Some(32),
            Algorithm::Hs384 => Some(48),
            Algorithm::Hs512 => Some(64),
            _ => None,
        }
    }
}

/// For people: `RS256, RS384 or RS512`.
pub(super) fn listed(algorithms: &[Algorithm]) -> String {
    match algorithms {
        [] => "none".to_owned(),
        [one] => one.as_str().to_owned(),
        [several @ .., last] => {
            let several: Vec<_> = several.iter().map(|algorithm| algorithm.as_str()).collect();
            format!("{} or {}", several.join(", "), last.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_is_known_by_its_own_name_alone() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
            let other_case = algorithm.as_str().to_ascii_lowercase();
            assert_eq!(Algorithm::parse(&other_case), None, "{other_case}");
        }
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDsa));
        for (other, why) in NOT_SUPPORTED {
            assert_eq!(Algorithm::parse(other), None);
            assert!(why.starts_with(other));
        }
        assert_eq!(Algorithm::parse("none"), None);
        assert_eq!(listed(&Algorithm::ALL[..2]), "HS256 or HS384");
    }
}
