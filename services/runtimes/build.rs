//! Rebuilds the crate when the embedded data changes: `include_dir!` does not say so itself.

fn main() {
    println!("cargo::rerun-if-changed=../../infra/runtimes");
    println!("cargo::rerun-if-changed=../airflow/updraft_airflow");
}
