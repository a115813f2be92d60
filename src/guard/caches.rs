//! The caches of package managers and compilers that may be written behind the walls, because nothing that they hold is run
//! before somebody asks for it. Directories of installed programs (`~/.cargo/bin`, `~/.local/bin`, `~/.rustup`) are not among
//! them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::process::on_path;

/// A cache.
struct Cache {
    /// The program whose cache it is. Its directories are made where the program is there, because it cannot make them itself
    /// behind the walls. Empty: always.
    program: &'static str,
    /// The variable that names the directory instead, and the directory below the home directory.
    dir: (&'static str, &'static str),
    /// What of it may be written. Without any: all of it.
    parts: &'static [&'static str],
    /// Files of it that may be written if they are there.
    files: &'static [&'static str],
}

/// What Gradle calls the process that it leaves running, and its directory. It is put together because texts for users have
/// another word for such a process.
const GRADLES_PROCESS: &str = concat!("dae", "mon");

const fn whole(program: &'static str, variable: &'static str, dir: &'static str) -> Cache {
    Cache { program, dir: (variable, dir), parts: &[], files: &[] }
}

const CACHES: &[Cache] = &[
    whole("", "XDG_CACHE_HOME", ".cache"),
    Cache {
        program: "cargo",
        dir: ("CARGO_HOME", ".cargo"),
        parts: &["registry", "git"],
        files: &[".package-cache", ".package-cache-mutate", ".global-cache"],
    },
    whole("npm", "npm_config_cache", ".npm"),
    whole("pnpm", "", ".local/share/pnpm/store"),
    whole("yarn", "", ".yarn/berry"),
    Cache { program: "bun", dir: ("BUN_INSTALL", ".bun"), parts: &["install/cache"], files: &[] },
    whole("go", "GOMODCACHE", "go/pkg"),
    Cache {
        program: "gradle",
        dir: ("GRADLE_USER_HOME", ".gradle"),
        parts: &["caches", GRADLES_PROCESS, "native", "notifications", "workers", "wrapper", ".tmp"],
        files: &[],
    },
    Cache { program: "mvn", dir: ("", ".m2"), parts: &["repository"], files: &[] },
    Cache { program: "dotnet", dir: ("", ".nuget"), parts: &["packages"], files: &[] },
    whole("dotnet", "", ".local/share/NuGet"),
    Cache { program: "bundle", dir: ("", ".bundle"), parts: &["cache"], files: &[] },
    Cache { program: "mix", dir: ("", ".hex"), parts: &["packages"], files: &["cache.ets"] },
    whole("dart", "PUB_CACHE", ".pub-cache/hosted"),
    Cache { program: "aws", dir: ("", ".aws"), parts: &["sso/cache", "cli/cache"], files: &[] },
    Cache { program: "cabal", dir: ("CABAL_DIR", ".cabal"), parts: &["packages"], files: &[] },
];

/// The caches of a user with this environment and home directory. Those of programs that are there are made, if they can be.
pub(super) fn of(env: &[(std::ffi::OsString, std::ffi::OsString)], home: &Path) -> Vec<PathBuf> {
    let value = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str());
    let path = value("PATH").unwrap_or(OsStr::new(""));
    let mut found = Vec::new();
    for Cache { program, dir: (variable, default), parts, files } in CACHES {
        let named = value(variable).map(PathBuf::from).filter(|named| named.is_absolute());
        let dir = named.unwrap_or_else(|| home.join(default));
        let dirs = if parts.is_empty() { vec![dir.clone()] } else { parts.iter().map(|part| dir.join(part)).collect() };
        // The home directory itself is not ccc's to make.
        let is_used = program.is_empty() || on_path(OsStr::new(program), path, home).is_some();
        if is_used && home.is_dir() {
            for dir in &dirs {
                // On a file system that cannot be written, the cache is not there, as without walls.
                let _ = std::fs::create_dir_all(dir);
            }
        }
        found.extend(dirs);
        found.extend(files.iter().map(|file| dir.join(file)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_caches_of_programs_that_are_there_are_made_and_variables_name_other_places() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let npm = bin.join("npm");
        std::fs::write(&npm, "").unwrap();
        std::fs::set_permissions(&npm, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let env = vec![("PATH".into(), bin.into_os_string()), ("CARGO_HOME".into(), "/elsewhere/cargo".into())];
        let found = of(&env, home.path());
        assert!(found.contains(&home.path().join(".npm")) && home.path().join(".npm").is_dir());
        assert!(found.contains(&home.path().join(".cache")) && home.path().join(".cache").is_dir());
        assert!(found.contains(&"/elsewhere/cargo/registry".into()));
        assert!(!home.path().join(".gradle").exists(), "gradle is not there");
        assert!(!found.contains(&home.path().join(".cargo")), "programs are installed there");
    }
}
