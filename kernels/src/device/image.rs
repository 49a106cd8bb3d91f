//! The compiled kernels, in the program: what `scripts/kernels` makes of `kernels/src/**/*.cu`.
//!
//! Each source gives portable code (PTX for compute capability 8.0, compiled by the driver for what
//! is newer) and machine code for 9.0.

/// The kernels of one source.
pub(super) struct Image {
    /// Its name.
    pub name: &'static str,
    /// Portable code, a text.
    pub ptx: &'static str,
    /// Machine code for compute capability 9.0.
    pub sm_90: &'static [u8],
}

impl Image {
    /// Names of the kernels in it.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> + use<> {
        let entries = self.ptx.split(".entry ").skip(1);
        entries.filter_map(|entry| entry.split(['(', '\n']).next()).map(str::trim)
    }
}

macro_rules! image {
    ($name:literal) => {
        Image {
            name: $name,
            ptx: include_str!(concat!("../../device/", $name, ".ptx")),
            sm_90: include_bytes!(concat!("../../device/", $name, ".sm_90.cubin")),
        }
    };
}

/// Every source.
pub(super) const IMAGES: &[Image] = &[
    image!("assemble"),
    image!("blend"),
    image!("coordinate"),
    image!("coordinate_begin"),
    image!("coordinate_step"),
    image!("decode_binary"),
    image!("decode_json"),
    image!("decode_warp"),
    image!("factor"),
    image!("moments"),
    image!("moments_wide"),
    image!("network"),
    image!("repair"),
    image!("tally"),
    image!("window_arrange"),
    image!("window_enter"),
    image!("window_read"),
    image!("window_leave"),
    image!("window_keep"),
    image!("window_wide"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Every `.cu` below a folder.
    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "cu") {
                found.push(path);
            }
        }
    }

    /// The kernels a source declares.
    fn kernels(text: &str) -> BTreeSet<String> {
        let heads = text.split("extern \"C\" __global__ void ").skip(1);
        heads.filter_map(|head| head.split_once('(')).map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn every_kernel_is_compiled_and_runs_on_the_host() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut found, mut all) = (Vec::new(), BTreeSet::new());
        sources(&root, &mut found);
        for source in &found {
            let relative = source.strip_prefix(&root).expect("below it").with_extension("");
            let name = relative.to_str().expect("UTF-8").replace('/', "_");
            let image = IMAGES.iter().find(|image| image.name == name);
            let image = image.unwrap_or_else(|| panic!("{name} is not in the list of images"));
            assert!(!image.sm_90.is_empty() && image.ptx.contains(".target sm_80"), "{name}");
            let declared = kernels(&std::fs::read_to_string(source).expect("a source"));
            let compiled: BTreeSet<String> = image.kernels().map(str::to_owned).collect();
            assert_eq!(compiled, declared, "run scripts/kernels: {name}");
            all.extend(declared);
        }
        assert_eq!(found.len(), IMAGES.len(), "an image without a source");
        let list = std::fs::read_to_string(root.join("../host/kernels.list")).expect("a list");
        let listed =
            list.lines().filter_map(|line| line.strip_prefix("KERNEL(")?.strip_suffix(')'));
        let listed: BTreeSet<String> =
            listed.filter(|name| !name.starts_with("probe_")).map(str::to_owned).collect();
        assert_eq!(listed, all, "kernels/host/kernels.list");
    }
}
