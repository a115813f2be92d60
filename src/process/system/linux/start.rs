//! Starts a program in a child that uses ccc's memory until it executes it.
//!
//! fork(2) copies the tables of ccc's memory, and afterwards each page that either side writes to: 0.4 ms of ccc's processor time
//! and a hundred page faults for each program. This child copies nothing, as that of posix_spawn(3): the thread that starts it
//! stands still until the child has executed its program or has ended. The child has a stack of its own and makes system calls
//! only: what it wrote elsewhere, ccc would find there.

use std::ffi::{CString, OsStr, c_char, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};

/// Size of the child's stack. Nothing that it calls has a large frame.
const STACK_BYTES: usize = 64 * 1024;
/// Below the stack, so that an overflow ends the process instead of writing into ccc's memory: the largest page of a system.
const GUARD_BYTES: usize = 64 * 1024;
/// Where programs are looked for when the child has no `PATH`, as the C library does.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// Starts the command with these three standard streams, whose numbers are others than theirs. `steps` are made in the child, in its working directory; they must only
/// make system calls. What the command itself says about streams is not looked at. `None`: the file is neither a program nor names
/// its interpreter, so a shell may have to be asked.
///
/// # Errors
/// That of the step that failed, or of the execution. No child is left then.
pub(in crate::process) fn start(
    command: &Command,
    streams: &[OwnedFd; 3],
    steps: &dyn Fn() -> io::Result<()>,
) -> io::Result<Option<u32>> {
    let image = Image::of(command)?;
    // A pipe, and not a variable, because an emulation (qemu-user) makes an ordinary fork of this one.
    let (failed, fails) = io::pipe()?;
    let args = pointers(&image.args);
    let env = pointers(&image.env);
    let mut child = || {
        let error = become_program(&image, &args, &env, streams, steps);
        let number = error.raw_os_error().unwrap_or(libc::EINVAL);
        let _ = rustix::io::write(&fails, &number.to_ne_bytes());
        c_int::from(u8::MAX)
    };
    let pid = in_a_child(&mut child)?;
    drop(fails);
    let mut number = [0; size_of::<c_int>()];
    let read = loop {
        match rustix::io::read(&failed, &mut number) {
            Err(Errno::INTR) => {}
            other => break other,
        }
    };
    if read != Ok(number.len()) {
        return Ok(Some(pid.as_raw_nonzero().get().unsigned_abs()));
    }
    status_of(pid);
    match c_int::from_ne_bytes(number) {
        libc::ENOEXEC => Ok(None),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}

/// Runs this in a child, and returns when the child has executed a program or has ended with what it returned.
fn in_a_child(child: &mut dyn FnMut() -> c_int) -> io::Result<Pid> {
    extern "C" fn enter(child: *mut c_void) -> c_int {
        #[allow(unsafe_code, reason = "clone(2) passes a pointer")]
        // SAFETY: it is the one given below, to a closure that outlives the call.
        let child = unsafe { &mut *child.cast::<&mut dyn FnMut() -> c_int>() };
        child()
    }
    let stack = Stack::new()?;
    let mut child = child;
    // No handler of ccc's may run in the child.
    let masked = Masked::all();
    #[allow(unsafe_code, reason = "rustix wraps no clone(2)")]
    // SAFETY: the child has a stack of its own, and this thread stands still while it uses ccc's memory. It makes system calls only.
    let pid = unsafe {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(enter, stack.top(), flags, (&raw mut child).cast())
    };
    let error = io::Error::last_os_error();
    drop(masked);
    Pid::from_raw(pid).filter(|_| pid > 0).ok_or(error)
}

/// Whether this, made in a child, succeeds. It must only make system calls.
pub(super) fn succeeds_in_a_child(attempt: &dyn Fn() -> io::Result<()>) -> bool {
    in_a_child(&mut || c_int::from(attempt().is_err())).is_ok_and(|pid| status_of(pid) == Some(0))
}

fn status_of(pid: Pid) -> Option<c_int> {
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => return status.exit_status(),
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// In the child. Returns why it has not become the program.
fn become_program(
    image: &Image,
    args: &[*const c_char],
    env: &[*const c_char],
    streams: &[OwnedFd; 3],
    steps: &dyn Fn() -> io::Result<()>,
) -> io::Error {
    for (at, stream) in (0..).zip(streams) {
        #[allow(unsafe_code, reason = "a descriptor known by its number only")]
        // SAFETY: two integers.
        if unsafe { libc::dup2(stream.as_raw_fd(), at) } < 0 {
            return io::Error::last_os_error();
        }
    }
    if let Some(cwd) = &image.cwd
        && let Err(errno) = rustix::process::chdir(&**cwd)
    {
        return errno.into();
    }
    if let Err(error) = steps() {
        return error;
    }
    Masked::none();
    let mut denied = false;
    let mut error = Errno::NOENT.raw_os_error();
    for path in &image.paths {
        #[allow(unsafe_code, reason = "rustix has it behind a feature for experiments")]
        // SAFETY: the path ends with a zero byte, the lists of such texts with a null pointer, and all outlive the call.
        unsafe {
            libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr());
        }
        error = io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        match error {
            // As execvp(3): the next directory may have it.
            libc::EACCES => denied = true,
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            _ => return io::Error::from_raw_os_error(error),
        }
    }
    io::Error::from_raw_os_error(if denied { libc::EACCES } else { error })
}

/// What is executed, as execve(2) wants it.
struct Image {
    /// Where the program may be, in this order.
    paths: Vec<CString>,
    args: Vec<CString>,
    env: Vec<CString>,
    cwd: Option<CString>,
}

impl Image {
    fn of(command: &Command) -> io::Result<Image> {
        let program = command.get_program();
        let set = |(name, value): (_, Option<_>)| Some((name, value?));
        let path = command.get_envs().filter_map(set).find_map(|(name, value)| (name == "PATH").then_some(value));
        let env = command
            .get_envs()
            .filter_map(set)
            .map(|(name, value): (&OsStr, &OsStr)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()));
        let args = [program].into_iter().chain(command.get_args()).map(c_text);
        Ok(Image {
            paths: paths_of(program, path.map_or(DEFAULT_PATH, OsStr::as_bytes))?,
            args: args.collect::<io::Result<_>>()?,
            env: env.collect::<Result<_, _>>()?,
            cwd: command.get_current_dir().map(Path::as_os_str).map(c_text).transpose()?,
        })
    }
}

/// The files that execvp(3) would try.
fn paths_of(program: &OsStr, path: &[u8]) -> io::Result<Vec<CString>> {
    let program = program.as_bytes();
    if program.contains(&b'/') || program.is_empty() {
        return Ok(vec![CString::new(program)?]);
    }
    let in_dir =
        |dir: &[u8]| CString::new(if dir.is_empty() { program.to_vec() } else { [dir, b"/", program].concat() });
    Ok(path.split(|byte| *byte == b':').map(in_dir).collect::<Result<_, _>>()?)
}

fn c_text(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

/// The pointers to these texts, and the null pointer that ends them.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// A stack, with a guard below it.
struct Stack(*mut c_void);

impl Stack {
    fn new() -> io::Result<Stack> {
        #[allow(unsafe_code, reason = "rustix has it behind a feature that nothing else here needs")]
        // SAFETY: new memory, of which nothing else knows; the guard is within it.
        let start = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
            libc::mmap(ptr::null_mut(), GUARD_BYTES + STACK_BYTES, protection, flags, -1, 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack(start);
        #[allow(unsafe_code, reason = "as above")]
        // SAFETY: as above.
        if unsafe { libc::mprotect(start, GUARD_BYTES, libc::PROT_NONE) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// Stacks grow downwards on every processor that this runs on.
    fn top(&self) -> *mut c_void {
        self.0.wrapping_byte_add(GUARD_BYTES + STACK_BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        #[allow(unsafe_code, reason = "as above")]
        // SAFETY: the child that ran on it has its own memory now, or none.
        unsafe {
            libc::munmap(self.0, GUARD_BYTES + STACK_BYTES);
        }
    }
}

/// Blocks all signals of this thread until it is dropped.
struct Masked(libc::sigset_t);

impl Masked {
    fn all() -> Masked {
        let mut all = MaybeUninit::uninit();
        let mut before = MaybeUninit::zeroed();
        #[allow(unsafe_code, reason = "rustix wraps no signal masks")]
        // SAFETY: the first call fills the set, and an empty set is one of zeros.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            Masked(before.assume_init())
        }
    }

    /// Blocks no signal any more.
    fn none() {
        let mut none = MaybeUninit::uninit();
        #[allow(unsafe_code, reason = "as above")]
        // SAFETY: as above.
        unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
        }
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        #[allow(unsafe_code, reason = "as above")]
        // SAFETY: a set that the system has filled.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs::{self, File, Permissions};
    use std::io::{self, Read as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::Command;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::Pid;

    use super::{paths_of, start, status_of};

    fn streams(output: impl Into<OwnedFd>) -> [OwnedFd; 3] {
        let null = || File::options().read(true).write(true).open("/dev/null").expect("it is there").into();
        [null(), output.into(), null()]
    }

    fn to_pid(number: u32) -> Pid {
        i32::try_from(number).ok().and_then(Pid::from_raw).expect("a pid")
    }

    #[test]
    fn the_child_uses_our_memory_until_it_executes_and_ccc_goes_on_only_then() {
        let (mut read, write) = io::pipe().expect("a pipe");
        let seen = AtomicU32::new(0);
        let mut command = Command::new("sh");
        command.args(["-c", "echo $PPID $A; pwd"]).env_clear().env("PATH", "/nowhere:/usr/bin:/bin").env("A", "b");
        let started = start(command.current_dir("/"), &streams(write), &|| {
            seen.store(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(), Ordering::Relaxed);
            Ok(())
        });
        let pid = started.expect("it starts").expect("it is a program");
        assert_eq!(seen.load(Ordering::Relaxed), pid, "a copy of our memory would not tell us");
        let mut said = String::new();
        read.read_to_string(&mut said).expect("text");
        assert_eq!(said, format!("{} b\n/\n", std::process::id()));
        assert_eq!(status_of(to_pid(pid)), Some(0));
    }

    #[test]
    fn a_step_that_fails_is_the_error_and_leaves_no_child() {
        let seen = AtomicU32::new(0);
        let (_, write) = io::pipe().expect("a pipe");
        let failed = start(&Command::new("/bin/true"), &streams(write), &|| {
            seen.store(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs(), Ordering::Relaxed);
            Err(io::Error::from_raw_os_error(libc::EXDEV))
        });
        assert_eq!(failed.expect_err("the step fails").raw_os_error(), Some(libc::EXDEV));
        assert_eq!(status_of(to_pid(seen.load(Ordering::Relaxed))), None, "it is reaped");
    }

    #[test]
    fn a_file_without_interpreter_is_left_to_who_asks_a_shell_and_one_that_may_not_be_executed_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |mode: u32| {
            let path = dir.path().join("file");
            fs::write(&path, "echo it\n").expect("written");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            let (_, write) = io::pipe().expect("a pipe");
            let mut command = Command::new("file");
            command.env_clear().env("PATH", format!("{}:/nowhere", dir.path().display()));
            start(&command, &streams(write), &|| Ok(()))
        };
        assert_eq!(at(0o700).expect("no error"), None);
        assert_eq!(at(0o600).expect_err("it may not").raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn a_program_is_looked_for_where_execvp_looks_for_it() {
        let of = |program: &str, path: &str| -> Vec<String> {
            let paths = paths_of(OsStr::new(program), path.as_bytes()).expect("paths");
            paths.into_iter().map(|path| path.into_string().expect("text")).collect()
        };
        assert_eq!(of("git", "/a:/b"), ["/a/git", "/b/git"]);
        assert_eq!(of("git", ":/b:"), ["git", "/b/git", "git"]);
        assert_eq!(of("./git", "/a"), ["./git"]);
        assert_eq!(of("", "/a"), [""]);
        assert!(paths_of(OsStr::new("a\0b"), b"/a").is_err());
        assert!(Path::new("/bin").is_dir(), "the default has a directory");
    }
}
