//! The user's time zone: from `TZ`, else the system's.

use std::path::Path;

use jiff::tz::TimeZone;

use crate::config::Env;
use crate::files::{self, TIME_ZONE};

/// The system's zone, used without `TZ`.
const SYSTEM: &str = "/etc/localtime";

/// The zone of this process's user.
pub(super) fn of_process() -> TimeZone {
    of_user(&Env::of_process()).0
}

/// The zone. A `TZ` that names no zone is ignored, and the second value says what is wrong with it. A `TZ` that names a file
/// outside the system's zones is read here with a limit, because reading a device or a FIFO would never end.
pub(super) fn of_user(env: &Env) -> (TimeZone, Option<String>) {
    // Without `TZ`, do not ask the library to look: it would list all zones of the system, hundreds of files, at each start.
    let Some(set) = env.get("TZ") else { return (of_system(), None) };
    let Some(text) = set.to_str() else { return (of_system(), Some("TZ is not UTF-8 text".to_owned())) };
    let named = text.strip_prefix(':').unwrap_or(text);
    // A path through a `zoneinfo` folder ends in the zone's name, wherever the folder is.
    let name = named.rsplit_once("zoneinfo/").map_or(named, |(_, name)| name);
    let is_rule = || named.len() == text.len() && TimeZone::posix(named).is_ok();
    if named.is_empty() {
        return (TimeZone::UTC, None);
    }
    if is_rule() || TimeZone::get(name).is_ok() {
        return (TimeZone::system(), None);
    }
    match of_file(Path::new(named)) {
        Ok(zone) => (zone, None),
        Err(why) => (of_system(), Some(format!("TZ does not name a time zone: {named} {why}"))),
    }
}

fn of_system() -> TimeZone {
    of_file(Path::new(SYSTEM)).unwrap_or(TimeZone::UTC)
}

fn of_file(path: &Path) -> Result<TimeZone, String> {
    let bytes = files::read(path, TIME_ZONE).map_err(|fault| fault.to_string())?;
    TimeZone::tzif("", &bytes).map_err(|_| "is not a time zone file".to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn of(tz: &str) -> (TimeZone, Option<String>) {
        of_user(&Env::from_pairs([("TZ", tz)]))
    }

    #[test]
    fn a_file_that_is_no_zone_is_passed_over_and_named() {
        let dir = tempfile::tempdir().expect("tempdir");
        let text = dir.path().join("text");
        fs::write(&text, "no zone").expect("write");
        let text = text.display().to_string();
        for (tz, why) in [
            (":/dev/zero", "/dev/zero is a device, not a regular file"),
            ("/dev/zero", "/dev/zero is a device, not a regular file"),
            ("/dev", "/dev is a directory, not a regular file"),
            ("No/Such_Zone", "No/Such_Zone does not exist"),
            (text.as_str(), "is not a time zone file"),
        ] {
            let (_, fault) = of(tz);
            assert!(fault.as_ref().is_some_and(|fault| fault.ends_with(why)), "{tz}: {fault:?}");
        }
        for tz in ["", ":", "UTC", ":UTC", "CET-1CEST,M3.5.0,M10.5.0/3", "Europe/Berlin"] {
            assert_eq!(of(tz).1, None, "{tz}");
        }
        assert_eq!(of_user(&Env::default()).1, None);
    }
}
