//! Ids derived from the seed of the run, so that a replay makes the same ones.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One execution of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(pub u32);

/// One measurement of the working tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MeasureId(pub u32);

/// One checkpoint that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointId(pub u32);

/// A uuid derived from a run's seed, a purpose and a number: the core has no random source, and a replay must name the same
/// turns. It is a version 8 (custom) uuid of RFC 9562.
#[must_use]
pub fn derive_uuid(seed: &str, purpose: &str, number: u32) -> String {
    let mut hasher = Sha256::new();
    for part in [seed.as_bytes(), b"\0", purpose.as_bytes(), b"\0", &number.to_be_bytes()] {
        hasher.update(part);
    }
    let hash = hasher.finalize();
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A number in `0..1` derived from a run's seed: jitter without a random source.
pub(super) fn jitter_unit(seed: &str, purpose: &str, number: u32) -> f64 {
    let mut hasher = Sha256::new();
    for part in [seed.as_bytes(), b"\0jitter\0", purpose.as_bytes(), b"\0", &number.to_be_bytes()] {
        hasher.update(part);
    }
    let hash = hasher.finalize();
    let mut bytes = [0u8; 4];
    bytes.copy_from_slice(&hash[..4]);
    f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::derive_uuid;

    #[test]
    fn derived_uuids_are_stable_distinct_and_well_formed() {
        let first = derive_uuid("seed", "turn", 1);
        assert_eq!(first, derive_uuid("seed", "turn", 1));
        assert_ne!(first, derive_uuid("seed", "turn", 2));
        assert_ne!(first, derive_uuid("seed", "session", 1));
        assert_ne!(first, derive_uuid("other", "turn", 1));
        let parsed = uuid::Uuid::parse_str(&first).expect("a uuid");
        assert_eq!(parsed.get_version_num(), 8);
        assert_eq!(parsed.get_variant(), uuid::Variant::RFC4122);
    }
}
