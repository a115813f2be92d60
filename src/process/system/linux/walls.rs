//! Landlock, and the mount namespace of a child.
//!
//! Everything is prepared in ccc. The child, which uses ccc's memory or was forked from one thread of many, only makes system calls:
//! it allocates nothing and takes no lock.

use std::ffi::{CString, OsString, c_int};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr;

use landlock::{ABI, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, Scope};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{getegid, geteuid};

use super::start::succeeds_in_a_child;
use crate::process::system::walls::{Copied, Wall, Walls};

/// The rights that are handled: all that write, as of the version that added the last of them. What an older kernel does not
/// know is left out by the library.
const RIGHTS: ABI = ABI::V3;
/// Of `landlock_create_ruleset`: report the version instead.
const REPORT_VERSION: u32 = 1;
/// Of `landlock_add_rule`: the rule is a path, with all below it.
const PATH_BENEATH: c_int = 1;
/// Capabilities with which root passes by walls, or by the kernel itself, and which no ordinary work needs: numbers of
/// `linux/capability.h`. Opening files by their handles passes by a read-only mount (2, `CAP_DAC_READ_SEARCH`), a device file made in the
/// tree is a disk (27, `CAP_MKNOD`); besides modules (16), raw input and output (17), other processes' memory (19), administration,
/// among it mounts (21), the reboot (22), access labels (32, 33), the kernel's log (34), its tracing and programs in it (38, 39), and
/// restoring processes (40).
const DROPPED: [libc::c_ulong; 13] = [2, 16, 17, 19, 21, 22, 27, 32, 33, 34, 38, 39, 40];
/// The error number that says: the walls could not be raised. No other step between fork and exec fails with it.
pub(in crate::process) const NOT_RAISED: c_int = libc::ENOTRECOVERABLE;

/// The first version of Landlock that allows renames between directories.
const FIRST_WITH_RENAMES: u32 = 2;

/// Landlock, if it has all that ordinary work needs.
pub(in crate::process) fn wall() -> Option<Wall> {
    landlock_version().filter(|version| *version >= FIRST_WITH_RENAMES).map(Wall::Landlock)
}

/// The version of Landlock's interface; `None` without Landlock.
fn landlock_version() -> Option<u32> {
    #[allow(unsafe_code, reason = "neither rustix nor the library reports it")]
    // SAFETY: with this flag the call reads nothing.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<u8>(), 0_usize, REPORT_VERSION) };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// The argument of `landlock_add_rule`.
#[repr(C, packed)]
struct PathRule {
    allowed: u64,
    parent: c_int,
}

/// The walls of one child, prepared.
#[derive(Debug)]
pub(in crate::process) struct Raise {
    rules: OwnedFd,
    mounts: Option<Mounts>,
}

/// What the child mounts.
#[derive(Debug)]
struct Mounts {
    /// The maps of a new user namespace, in which the child has the right to mount; `None` for a user who has it anyway.
    user: Option<Maps>,
    pinned: Vec<CString>,
    read_only: Vec<CString>,
    copied: Option<Overlay>,
    /// The child's working directory, which it enters again: the old one is the directory below the mounts.
    cwd: CString,
}

#[derive(Debug)]
struct Maps {
    users: CString,
    groups: CString,
}

#[derive(Debug)]
struct Overlay {
    tree: CString,
    options: CString,
    /// The rights that are allowed below it. Its rule is added in the child, because only there it exists.
    rights: u64,
}

impl Raise {
    /// Prepares these walls for a child with this working directory.
    pub(in crate::process) fn prepare(walls: &Walls, cwd: &Path) -> io::Result<Raise> {
        let rights = AccessFs::from_write(RIGHTS);
        // A device file leads to a disk, wherever it lies.
        let allowed = rights & !(AccessFs::MakeChar | AccessFs::MakeBlock);
        let ruleset = Ruleset::default().handle_access(rights).and_then(|rules| rules.scope(Scope::Signal));
        let mut rules = ruleset.and_then(Ruleset::create).map_err(io::Error::other)?;
        for path in &walls.write {
            // What is not there cannot be written, and what cannot be opened could not be written, either.
            let Ok(path) = PathFd::new(path) else { continue };
            rules = rules.add_rule(PathBeneath::new(path, allowed)).map_err(io::Error::other)?;
        }
        let rules: Option<OwnedFd> = rules.into();
        let rules = rules.ok_or(io::ErrorKind::Unsupported)?;
        let mounts = if need_mounts(walls) { Some(Mounts::of(walls, cwd, allowed.bits())?) } else { None };
        Ok(Raise { rules, mounts })
    }

    /// The program itself raises the walls here, not another one that executes it.
    pub(in crate::process) fn command(&self, _: &Path, _: &[OsString]) -> Option<(PathBuf, Vec<OsString>)> {
        None
    }

    /// Called between fork and exec. A child for which it fails must not be executed.
    pub(in crate::process) fn raise(&self) -> io::Result<()> {
        let raised = self.mounts.as_ref().map_or(Ok(()), |mounts| mounts.make(&self.rules));
        raised.and_then(|()| self.restrict()).map_err(|_| io::Error::from_raw_os_error(NOT_RAISED))
    }

    fn restrict(&self) -> io::Result<()> {
        for capability in DROPPED {
            #[allow(unsafe_code, reason = "rustix wants to know each capability by its name")]
            // SAFETY: two integers. What is not there to be dropped (no root, an older kernel) is an error that says nothing.
            unsafe {
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
        }
        rustix::thread::set_no_new_privs(true)?;
        #[allow(unsafe_code, reason = "the library's call may allocate")]
        // SAFETY: two integers.
        done(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.rules.as_raw_fd(), 0_u32) })
    }
}

/// Whether the walls need namespaces.
fn need_mounts(walls: &Walls) -> bool {
    walls.counted_apart || !walls.pinned.is_empty() || !walls.read_only.is_empty() || walls.copied.is_some()
}

/// The options of the overlay's mount. A comma or a colon in a path would be read as a separator.
fn options_of(copied: &Copied) -> io::Result<CString> {
    let (lower, upper, work) = (copied.tree.as_os_str(), copied.upper(), copied.work());
    let mut options = OsString::from("userxattr");
    for (name, path) in [(",lowerdir=", lower), (",upperdir=", upper.as_os_str()), (",workdir=", work.as_os_str())] {
        if path.as_bytes().iter().any(|byte| matches!(byte, b',' | b':' | b'\\')) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        options.push(name);
        options.push(path);
    }
    Ok(CString::new(options.as_bytes())?)
}

impl Mounts {
    fn of(walls: &Walls, cwd: &Path, rights: u64) -> io::Result<Mounts> {
        // A user namespace in which only one user exists would take root's rights on other users' files, so root gets none.
        let user = if geteuid().is_root() {
            None
        } else {
            let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
            Some(Maps {
                users: CString::new(format!("{uid} {uid} 1"))?,
                groups: CString::new(format!("{gid} {gid} 1"))?,
            })
        };
        let copied = walls.copied.as_ref().map(|copied| {
            Ok::<_, io::Error>(Overlay { tree: c_path(&copied.tree)?, options: options_of(copied)?, rights })
        });
        Ok(Mounts {
            user,
            pinned: existing(&walls.pinned)?,
            read_only: existing(&walls.read_only)?,
            copied: copied.transpose()?,
            cwd: c_path(cwd)?,
        })
    }

    fn make(&self, rules: &OwnedFd) -> io::Result<()> {
        let mut spaces = libc::CLONE_NEWNS;
        if self.user.is_some() {
            spaces |= libc::CLONE_NEWUSER;
        }
        #[allow(unsafe_code, reason = "rustix wants a promise about other threads")]
        // SAFETY: this process has just begun and has one thread; it shares nothing that the call takes apart.
        done(i64::from(unsafe { libc::unshare(spaces) }))?;
        if let Some(maps) = &self.user {
            write(c"/proc/self/setgroups", b"deny")?;
            write(c"/proc/self/uid_map", maps.users.as_bytes())?;
            write(c"/proc/self/gid_map", maps.groups.as_bytes())?;
        }
        // What the user mounts later appears here, too; what is mounted here appears nowhere else.
        mount(None, c"/", None, libc::MS_REC | libc::MS_SLAVE, None)?;
        // First, because the place of the changes may be below one that becomes read-only.
        if let Some(copied) = &self.copied {
            mount(Some(c"overlay"), &copied.tree, Some(c"overlay"), 0, Some(&copied.options))?;
            let tree = openat(CWD, &*copied.tree, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let rule = PathRule { allowed: copied.rights, parent: tree.as_raw_fd() };
            #[allow(unsafe_code, reason = "the library's call may allocate")]
            // SAFETY: the rule lives during the call, which only reads it.
            done(unsafe {
                libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), PATH_BENEATH, &raw const rule, 0_u32)
            })?;
        }
        for path in &self.pinned {
            bind(path)?;
        }
        for path in &self.read_only {
            bind(path)?;
            make_read_only(path)?;
        }
        rustix::process::chdir(&*self.cwd)?;
        Ok(())
    }
}

/// Raises the walls in a child that ends at once, and says whether they stand.
pub(in crate::process) fn try_in_a_child(raise: &Raise) -> bool {
    succeeds_in_a_child(&|| raise.raise())
}

/// What is gone needs no protection, and keeps nothing from being started.
fn existing(paths: &[PathBuf]) -> io::Result<Vec<CString>> {
    paths.iter().filter(|path| path.exists()).map(|path| c_path(path)).collect()
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn done(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn write(file: &std::ffi::CStr, text: &[u8]) -> io::Result<()> {
    let file = openat(CWD, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let written = rustix::io::write(&file, text)?;
    if written == text.len() { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EIO)) }
}

fn bind(path: &CString) -> io::Result<()> {
    mount(Some(path), path, None, libc::MS_BIND | libc::MS_REC, None)
}

fn mount(
    from: Option<&std::ffi::CStr>,
    to: &std::ffi::CStr,
    kind: Option<&std::ffi::CStr>,
    flags: libc::c_ulong,
    options: Option<&std::ffi::CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&std::ffi::CStr>| text.map_or(ptr::null(), std::ffi::CStr::as_ptr);
    #[allow(unsafe_code, reason = "rustix has it behind a feature that nothing else here needs")]
    // SAFETY: all texts end with a zero byte and live during the call.
    let result = unsafe { libc::mount(pointer(from), to.as_ptr(), pointer(kind), flags, pointer(options).cast()) };
    done(i64::from(result))
}

/// Makes this mount read-only, and none below it. Changing its other flags, as a remount does, may be forbidden.
fn make_read_only(path: &CString) -> io::Result<()> {
    let attributes = libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    #[allow(unsafe_code, reason = "rustix has no form of it")]
    // SAFETY: path and attributes live during the call, which only reads them.
    done(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            0_u32,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Copied, DROPPED, Walls, geteuid, options_of, wall};
    use crate::process::{Cancel, CommandSpec, run_command};

    #[test]
    fn root_behind_walls_makes_no_device_and_keeps_no_capability_that_passes_by_them() {
        if !geteuid().is_root() || wall().is_none() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let line = "mknod disk b 7 0 && echo made; mkfifo pipe && echo ordinary; grep CapBnd /proc/self/status";
        let mut spec = CommandSpec::shell(line, dir.path().to_owned());
        spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        spec.walls = Some(Arc::new(Walls { write: vec![dir.path().to_owned()], ..Walls::default() }));
        let said = run_command(&spec, &Cancel::new().unwrap()).unwrap().tail;
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("ordinary") && !said.contains("made"), "{said}");
        let bound = said.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
        let bound = u64::from_str_radix(bound.trim(), 16).unwrap();
        assert_eq!(DROPPED.iter().filter(|capability| bound >> **capability & 1 == 1).count(), 0, "{said}");
    }

    #[test]
    fn a_path_that_an_overlay_would_read_as_two_is_refused() {
        for path in ["/a,b", "/a:b", "/a\\b"] {
            assert!(options_of(&Copied { tree: path.into(), changes: "/c".into() }).is_err(), "{path}");
        }
    }
}
