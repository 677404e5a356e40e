//! Embeds the console's assets: htmx and its SSE extension as the lock file names them, our stylesheet and script.
//!
//! Each file is compressed here, once, at the highest quality; the hash over all of them becomes part of their URL,
//! so that browsers may keep them for ever. It refuses to build without npm, and says so.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use sha2::{Digest, Sha256};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Name in the URL, place, media type.
const OURS: [(&str, &str, &str); 4] = [
    ("console.css", "assets/console.css", "text/css; charset=utf-8"),
    (
        "console.js",
        "assets/console.js",
        "text/javascript; charset=utf-8",
    ),
    ("logs.js", "assets/logs.js", "text/javascript; charset=utf-8"),
    ("icon.svg", "assets/icon.svg", "image/svg+xml"),
];
const THEIRS: [(&str, &str, &str); 2] = [
    (
        "htmx.js",
        "htmx.org/dist/htmx.min.js",
        "text/javascript; charset=utf-8",
    ),
    (
        "sse.js",
        "htmx-ext-sse/dist/sse.min.js",
        "text/javascript; charset=utf-8",
    ),
];

fn main() -> Outcome<()> {
    for watched in ["package.json", "package-lock.json", "assets", "build.rs"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let modules = install(&out.join("npm"))?;
    let ours = OURS
        .iter()
        .map(|(name, path, kind)| (*name, PathBuf::from(path), *kind));
    let theirs = THEIRS
        .iter()
        .map(|(name, path, kind)| (*name, modules.join(path), *kind));
    embed(&out, ours.chain(theirs))
}

/// Runs `npm ci` unless exactly this lock was installed before; answers with `node_modules`.
fn install(dir: &Path) -> Outcome<PathBuf> {
    let lock = fs::read("package-lock.json")?;
    let stamp = dir.join("installed.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(dir.join("node_modules"));
    }
    fs::create_dir_all(dir)?;
    fs::copy("package.json", dir.join("package.json"))?;
    fs::write(dir.join("package-lock.json"), &lock)?;
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(dir)
        .output()
        .map_err(|error| {
            format!(
                "The console embeds htmx, which npm brings, but `npm` could not be run ({error}). \
                 Install Node.js 18 or newer with npm, then build again."
            )
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "`npm ci` in {} failed. Is the package registry reachable?\n{said}",
            dir.display()
        )
        .into());
    }
    fs::write(stamp, lock)?;
    Ok(dir.join("node_modules"))
}

fn embed<'a>(out: &Path, files: impl Iterator<Item = (&'a str, PathBuf, &'a str)>) -> Outcome<()> {
    let mut all = Sha256::new();
    let mut entries = String::new();
    for (name, path, kind) in files {
        let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        all.update(name);
        all.update(&bytes);
        fs::write(out.join(name), &bytes)?;
        fs::write(out.join(format!("{name}.br")), brotli(&bytes)?)?;
        fs::write(out.join(format!("{name}.gz")), gzip(&bytes)?)?;
        let include =
            |suffix: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}{suffix}\"))");
        writeln!(
            entries,
            "    Asset {{ name: {name:?}, kind: {kind:?}, identity: {}, brotli: {}, gzip: {} }},",
            include(""),
            include(".br"),
            include(".gz"),
        )?;
    }
    let hash = hex::encode(&all.finalize()[..8]);
    let code =
        format!("pub(crate) const HASH: &str = {hash:?};\nstatic ASSETS: &[Asset] = &[\n{entries}];\n");
    fs::write(out.join("assets.rs"), code)?;
    Ok(())
}

fn brotli(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality: 11,
        lgwin: 22,
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &bytes[..], &mut out, &params)?;
    Ok(out)
}

fn gzip(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
