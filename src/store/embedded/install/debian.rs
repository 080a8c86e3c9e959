//! Server programs from the packages of a Debian-like system.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::binaries::{OLDEST_MAJOR, debian_root};
use super::super::error::EmbeddedError;
use super::super::layout::Layout;
use super::super::settings::Settings;
use super::{Workshop, empty_directory, execute, finish, prepare};

/// Decides whether the package creates and starts a cluster of its own.
const CREATE_CLUSTER_CONF: &str = "/etc/postgresql-common/createcluster.conf";
/// Where apt keeps what it knows of the archive.
const PACKAGE_LISTS: &str = "/var/lib/apt/lists";
/// Package lists older than this may name files that the archive has replaced meanwhile.
const LISTS_ARE_OLD_AFTER: Duration = Duration::from_hours(24);

pub(super) fn install(
    workshop: &Workshop<'_>,
    settings: &Settings,
    wanted: Option<u32>,
) -> Result<(), EmbeddedError> {
    let apt = workshop.require("apt-get")?;
    if rustix::process::geteuid().is_root() {
        install_system_wide(workshop, &apt, wanted)
    } else {
        unpack_into_cache(workshop, &apt, settings, wanted)
    }
}

fn install_system_wide(
    workshop: &Workshop<'_>,
    apt: &Path,
    wanted: Option<u32>,
) -> Result<(), EmbeddedError> {
    let root = Path::new("/");
    if lists_are_old() {
        workshop.run(apt, ["update"], root)?;
    }
    let major = available_major(workshop, &[], wanted)?;
    prevent_main_cluster(workshop)?;
    let package = format!("postgresql-{major}");
    let arguments = [
        "install",
        "--yes",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confold",
        package.as_str(),
    ];
    workshop.run(apt, arguments, root).map(|_| ())
}

fn lists_are_old() -> bool {
    let has_lists = fs::read_dir(PACKAGE_LISTS).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    });
    let young = fs::metadata(PACKAGE_LISTS)
        .and_then(|found| found.modified())
        .is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age < LISTS_ARE_OLD_AFTER));
    !(has_lists && young)
}

/// Tells postgresql-common not to create the cluster `main`, unless an administrator has decided about that already.
fn prevent_main_cluster(workshop: &Workshop<'_>) -> Result<(), EmbeddedError> {
    let path = Path::new(CREATE_CLUSTER_CONF);
    let present = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(source) => return Err(EmbeddedError::directory("read", path)(source)),
    };
    if decides_about_main_cluster(&present) {
        return Ok(());
    }
    (workshop.progress)(&format!("writing create_main_cluster = false into {CREATE_CLUSTER_CONF}"));
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory).map_err(EmbeddedError::directory("create", directory))?;
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| {
            file.write_all(
                b"# Added by dsrd, which makes a private cluster of its own.\ncreate_main_cluster = false\n",
            )
        })
        .map_err(EmbeddedError::directory("write", path))
}

fn decides_about_main_cluster(text: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("create_main_cluster"))
}

/// Fetches the packages that the system lacks and unpacks what the server needs of them.
fn unpack_into_cache(
    workshop: &Workshop<'_>,
    apt: &Path,
    settings: &Settings,
    wanted: Option<u32>,
) -> Result<(), EmbeddedError> {
    let unpacker = workshop.require("dpkg-deb")?;
    let download = empty_directory(settings, "download")?;
    // The lists of the system first; when they are missing or name files that are gone, lists of our own.
    let fetched = fetch_packages(workshop, apt, &[], &download, wanted).or_else(|error| {
        (workshop.progress)(&format!("the system's package lists do not serve ({error}); fetching our own"));
        let options = private_state(&download)?;
        let mut arguments = options.clone();
        arguments.push("update".to_owned());
        workshop.run(apt, &arguments, &download)?;
        fetch_packages(workshop, apt, &options, &download, wanted)
    });
    let major = fetched?;
    let unfinished = empty_directory(settings, "debian.unfinished")?;
    let packages = package_files(&download)?;
    (workshop.progress)(&format!("unpacking {} packages with dpkg-deb -x", packages.len()));
    for package in packages {
        execute(prepare(&unpacker, [Path::new("-x"), &package, &unfinished], &download))?;
    }
    finish(&unfinished, &debian_root(&Layout::new(settings)?.cache, major))?;
    fs::remove_dir_all(&download).map_err(EmbeddedError::directory("remove", &download))
}

/// Options that make apt keep its lists and its cache in `download`, where we may write.
fn private_state(download: &Path) -> Result<Vec<String>, EmbeddedError> {
    let lists = download.join("lists");
    let cache = download.join("cache");
    for directory in [lists.join("partial"), cache.join("archives/partial")] {
        fs::create_dir_all(&directory).map_err(EmbeddedError::directory("create", &directory))?;
    }
    let mut options = Vec::new();
    for (name, value) in [("Dir::State::lists", &lists), ("Dir::Cache", &cache)] {
        options.push("-o".to_owned());
        options.push(format!("{name}={}", value.display()));
    }
    Ok(options)
}

/// Downloads the server and the libraries that are not installed, and returns the major version.
fn fetch_packages(
    workshop: &Workshop<'_>,
    apt: &Path,
    options: &[String],
    download: &Path,
    wanted: Option<u32>,
) -> Result<u32, EmbeddedError> {
    let major = available_major(workshop, options, wanted)?;
    let server = format!("postgresql-{major}");
    let mut simulate = options.to_vec();
    simulate.extend(["install", "--simulate", "--no-install-recommends", &server].map(str::to_owned));
    let plan = workshop.run(apt, &simulate, download)?;
    let mut arguments = options.to_vec();
    arguments.push("download".to_owned());
    arguments.extend(needed_packages(&plan, major));
    workshop.run(apt, &arguments, download)?;
    Ok(major)
}

/// The packages of a simulated installation that the server needs at run time. Maintenance scripts, Perl and the
/// compiler for queries are not among them: we start the server ourselves, with `jit=off`.
fn needed_packages(plan: &str, major: u32) -> Vec<String> {
    let server = format!("postgresql-{major}");
    let client = format!("postgresql-client-{major}");
    let is_needed = |name: &str| {
        let bare = name.split(':').next().unwrap_or(name);
        let is_library = bare.starts_with("lib")
            && !bare.ends_with("-perl")
            && !["libllvm", "libperl", "libz3", "libc6"].iter().any(|prefix| bare.starts_with(prefix));
        is_library || bare == client
    };
    let mut needed = vec![server];
    for line in plan.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("Inst") {
            continue;
        }
        // An upgrade names the installed version in brackets; what is installed already serves.
        if let (Some(name), Some(next)) = (words.next(), words.next())
            && !next.starts_with('[')
            && is_needed(name)
        {
            needed.push(name.to_owned());
        }
    }
    needed
}

/// The wanted major version, or the highest one that the archive offers.
fn available_major(
    workshop: &Workshop<'_>,
    options: &[String],
    wanted: Option<u32>,
) -> Result<u32, EmbeddedError> {
    let search = workshop.require("apt-cache")?;
    let mut arguments = options.to_vec();
    arguments.extend(["--names-only", "search", "^postgresql-[0-9]+$"].map(str::to_owned));
    let listed = workshop.run(&search, &arguments, Path::new("/"))?;
    choose_major(&listed, wanted).ok_or_else(|| {
        let version = wanted.map_or(format!("{OLDEST_MAJOR} or newer"), |major| major.to_string());
        EmbeddedError::WayClosed { reason: format!("the package lists have no PostgreSQL {version}") }
    })
}

fn choose_major(listed: &str, wanted: Option<u32>) -> Option<u32> {
    listed
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix("postgresql-")?.parse().ok())
        .filter(|major| wanted.map_or(*major >= OLDEST_MAJOR, |wanted| *major == wanted))
        .max()
}

fn package_files(directory: &Path) -> Result<Vec<PathBuf>, EmbeddedError> {
    let entries = fs::read_dir(directory).map_err(EmbeddedError::directory("read", directory))?;
    let files = entries.flatten().map(|entry| entry.path());
    Ok(files.filter(|path| path.extension().is_some_and(|ending| ending == "deb")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_server_needs_at_run_time_is_fetched() {
        let plan = "Reading package lists...\n\
            Inst libc6 [2.36-9] (2.36-10 Debian:12 [amd64])\n\
            Inst libjson-perl (4.10 Debian:12 [all])\n\
            Inst libpq5 (15.18 Debian:12 [amd64])\n\
            Inst libllvm14 (14.0 Debian:12 [amd64])\n\
            Inst libxslt1.1 (1.1.35 Debian:12 [amd64])\n\
            Inst postgresql-client-common (248 Debian:12 [all])\n\
            Inst postgresql-client-15 (15.18 Debian:12 [amd64])\n\
            Inst postgresql-15 (15.18 Debian:12 [amd64])\n\
            Conf libpq5 (15.18 Debian:12 [amd64])\n";
        assert_eq!(
            needed_packages(plan, 15),
            ["postgresql-15", "libpq5", "libxslt1.1", "postgresql-client-15"]
        );
    }

    #[test]
    fn the_highest_offered_version_is_taken_unless_the_cluster_wants_another() {
        let listed = "postgresql-14 - old\npostgresql-16 - new\npostgresql-15 - middle\n";
        assert_eq!(choose_major(listed, None), Some(16));
        assert_eq!(choose_major(listed, Some(15)), Some(15));
        assert_eq!(choose_major(listed, Some(17)), None);
        assert_eq!(choose_major("postgresql-14 - old\n", None), None);
    }

    #[test]
    fn a_decision_of_the_administrator_about_the_main_cluster_stands() {
        assert!(decides_about_main_cluster("create_main_cluster = true\n"));
        assert!(!decides_about_main_cluster("# Create a main cluster\n#create_main_cluster = true\n"));
    }
}
