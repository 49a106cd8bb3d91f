//! Compiles the kernels as host C++ for the double of a GPU; without that feature it does nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "double")]
    double();
}

/// Contraction is off and nothing is taken to be associative, as on the device.
#[cfg(feature = "double")]
fn double() {
    println!("cargo::rerun-if-changed=host");
    println!("cargo::rerun-if-changed=src");
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .file("host/kernels.cpp")
        .define("HOST_CUDA", None)
        .define("HOST_CUDA_PROBES", None)
        .flag("-ffp-contract=off")
        .flag("-Wno-unknown-pragmas")
        .opt_level(2)
        .extra_warnings(true)
        .warnings_into_errors(true)
        .compile("pelton_host_kernels");
}
