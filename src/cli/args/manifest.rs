//! Arguments of `loadgen manifest`.

use std::fmt;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::fleet::FleetSize;

/// Longest name: Kubernetes makes host names of 63 characters of it, with the index of a pod behind it.
const LONGEST_NAME: usize = 50;

/// The launcher that a manifest is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ManifestKind {
    /// An Indexed Job, for kubectl apply -f -
    Kubernetes,
    /// A batch script, for sbatch
    Slurm,
    /// A service of a compose file, for docker compose -f - up
    Compose,
}

/// Arguments of `loadgen manifest`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ManifestArgs {
    /// Launcher that starts the nodes
    #[arg(value_name = "LAUNCHER", value_enum)]
    pub(in crate::cli) launcher: ManifestKind,

    /// Number of nodes, or N..M to start with at least N when --join-timeout is over
    #[arg(long, value_name = "N")]
    pub(in crate::cli) nodes: FleetSize,

    /// Image of the containers, made with the Containerfile (default: loadgen with the tag of this version)
    #[arg(long, value_name = "IMAGE", value_parser = parse_image)]
    pub(in crate::cli) image: Option<String>,

    /// Name of the job or the service
    #[arg(long, value_name = "NAME", default_value = "loadgen", value_parser = parse_name)]
    pub(in crate::cli) name: String,

    /// Cores of each node (default: kubernetes as many as --threads, else 2; slurm whole machines). In a container also --threads, if it is not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(in crate::cli) cpus: Option<u32>,

    /// Memory of each node, in powers of 1,024 (512M, 2G; default: kubernetes 512M)
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) memory: Option<NodeMemory>,

    /// Flags and URL of the run, after --
    #[arg(last = true, required = true, value_name = "FLAGS")]
    pub(in crate::cli) flags: Vec<String>,
}

/// Memory of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct NodeMemory {
    /// MiB, from 1 to 16 TiB.
    pub(in crate::cli) mib: u64,
}

impl NodeMemory {
    /// Most MiB; a larger number is probably a typing error.
    const MOST_MIB: u64 = 16 << 20;
}

impl FromStr for NodeMemory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "M" | "Mi" | "MiB" => Some(1),
            "G" | "Gi" | "GiB" => Some(1 << 10),
            _ => None,
        };
        let mib = number.parse::<u64>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
        match mib.filter(|mib| (1..=Self::MOST_MIB).contains(mib)) {
            Some(mib) => Ok(Self { mib }),
            None => Err(format!("'{text}' is not a size of memory such as 512M or 2G")),
        }
    }
}

impl fmt::Display for NodeMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}M", self.mib)
    }
}

/// A name that Kubernetes, Slurm and compose take.
fn parse_name(text: &str) -> Result<String, String> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase());
    let is_name = begins_well && text.bytes().all(is_plain) && !text.ends_with('-');
    if is_name && text.len() <= LONGEST_NAME {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "a name begins with a letter, and has small letters, digits and '-', at most {LONGEST_NAME} of them"
        ))
    }
}

fn parse_image(text: &str) -> Result<String, String> {
    let is_word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'$');
    if is_word && !text.starts_with('-') {
        Ok(text.to_owned())
    } else {
        Err("an image is a word such as example.org/loadgen:1.2".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_powers_of_1024() {
        for (text, mib) in [("512M", 512), ("2G", 2_048), ("1GiB", 1_024), ("300Mi", 300)] {
            assert_eq!(text.parse(), Ok(NodeMemory { mib }), "{text}");
        }
        for text in
            ["", "M", "0M", "512", "2T", "1.5G", "-1M", "99999999G", "18446744073709551615G"]
        {
            let error = text.parse::<NodeMemory>().expect_err(text);
            assert!(error.contains("such as 512M"), "{error}");
        }
        assert_eq!("2G".parse().map(|memory: NodeMemory| memory.to_string()), Ok("2048M".into()));
    }

    #[test]
    fn names_and_images_are_words() {
        let longest = "a".repeat(LONGEST_NAME);
        for name in ["a", "soak-17", &longest] {
            assert_eq!(parse_name(name).as_deref(), Ok(name));
        }
        let too_long = "a".repeat(LONGEST_NAME + 1);
        for name in ["", "-a", "a-", "A", "a_b", "a.b", "1a", "a b", "ü", &too_long] {
            assert!(parse_name(name).is_err(), "{name}");
        }
        assert!(parse_image("example.org:5000/a/loadgen@sha256:00").is_ok());
        for image in ["", "a b", "-a", "a\nb", "${IMAGE}"] {
            assert!(parse_image(image).is_err(), "{image}");
        }
    }
}
