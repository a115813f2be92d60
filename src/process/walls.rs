//! What a child, and everything that it starts, may write: raised in the child between fork and exec, and inherited by all that
//! it starts, whatever their session, group or environment. Nothing inside can take a wall down.
//!
//! Two means of Linux make a wall. **Landlock** denies every write that is not below a listed path, changing files by other paths
//! (links, renames), tracing of processes outside and signals to them. It can only allow: below a path that may be written,
//! nothing can be taken out. So what must not be written *within* such a path ([`Walls::read_only`], [`Walls::pinned`],
//! [`Walls::copied`]) is mounted, in a **mount namespace** of the child's own, before Landlock forbids every further mount.
//! Where a user may make no namespaces, those three must be empty, and [`Means::mounts`] says so.
//!
//! On macOS it is **Seatbelt**: a profile says the same of paths, except for copies, and the child is executed by `sandbox-exec`.

use std::path::Path;

use super::system::{self, Wall, Walls};

/// What this system has for walls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Means {
    /// What raises them; `None` if there is nothing, or nothing that ordinary work could be done behind.
    pub wall: Option<Wall>,
    /// Whether a child can have mounts of its own.
    pub mounts: bool,
}

impl Means {
    /// What this system has, found out by trying it in a child.
    #[must_use]
    pub fn find() -> Self {
        let pinned = Walls { pinned: vec!["/dev/null".into()], ..Walls::default() };
        let stands = |walls: &Walls| walls.stand(Path::new("/"));
        match system::wall() {
            Some(wall @ Wall::Landlock(_)) => Self { wall: Some(wall), mounts: stands(&pinned) },
            Some(wall @ Wall::Seatbelt) => Self { wall: Some(wall).filter(|_| stands(&pinned)), mounts: false },
            None => Self::default(),
        }
    }

    /// Whether something below a path that may be written can be kept from being written, or from being moved.
    #[must_use]
    pub fn take_out(self) -> bool {
        self.mounts || self.wall == Some(Wall::Seatbelt)
    }
}

impl Walls {
    /// Whether these walls can be raised here, around a child with this working directory; found out by raising them.
    #[must_use]
    pub fn stand(&self, cwd: &Path) -> bool {
        system::Raise::prepare(self, cwd).is_ok_and(|raise| system::try_in_a_child(&raise))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Means, Wall, Walls};
    use crate::process::{Cancel, CommandSpec, Copied, run_command};

    /// The exit code of a line behind these walls.
    fn behind(walls: &Walls, cwd: &Path, line: &str) -> Option<i32> {
        let mut spec = CommandSpec::shell(line, cwd.to_owned());
        spec.env = vec![("PATH".into(), std::env::var_os("PATH").unwrap_or_default())];
        spec.walls = Some(walls.clone().into());
        let result = run_command(&spec, &Cancel::new().unwrap()).unwrap();
        assert!(result.exit.code != Some(0) || result.exit.leaked == 0);
        result.exit.code
    }

    fn means() -> Option<Means> {
        let means = Means::find();
        if means.wall.is_none() {
            eprintln!("NOT TESTED: this kernel has no Landlock that can be used");
        }
        means.wall.map(|_| means)
    }

    /// The first version of Landlock that keeps a file from being truncated by its path.
    const FIRST_WITH_TRUNCATE: u32 = 3;
    /// The first version of Landlock that keeps signals inside.
    const FIRST_WITH_SIGNALS: u32 = 6;

    /// Whether the walls are Landlock's of this version or a later one, or Seatbelt's.
    fn is_from(means: Means, landlock: u32) -> bool {
        match means.wall {
            Some(Wall::Landlock(version)) => version >= landlock,
            Some(Wall::Seatbelt) => true,
            None => false,
        }
    }

    #[test]
    fn only_what_is_listed_can_be_written() {
        let Some(means) = means() else { return };
        let dir = tempfile::tempdir().unwrap();
        let (tree, home) = (dir.path().join("tree"), dir.path().join("home"));
        std::fs::create_dir_all(tree.join("sub")).unwrap();
        std::fs::create_dir_all(home.join("Documents")).unwrap();
        std::fs::write(home.join("file"), "theirs").unwrap();
        std::fs::write(home.join("state"), "{}").unwrap();
        let walls = Walls {
            write: vec![tree.clone(), home.join("state"), home.join("missing"), "/dev/null".into()],
            ..Walls::default()
        };
        for line in [
            "echo x > made && mv made sub/made && rm sub/made && echo > /dev/null",
            "echo changed > ../home/state",
            "cat ../home/file",
            "sleep 60 & kill $!",
        ] {
            assert_eq!(behind(&walls, &tree, line), Some(0), "{line}");
        }
        for line in [
            "echo x > ../home/file",
            "echo x >> ../home/file",
            "rm ../home/state",
            "rm -rf ../home/Documents",
            "mkdir ../home/missing",
            "mv ../home/file .",
            "ln ../home/file linked && echo x > linked",
            "ln -s ../home/file link; echo x > link",
            "setsid sh -c 'echo x > ../home/file'",
            "mount -t tmpfs none .",
        ] {
            assert_ne!(behind(&walls, &tree, line), Some(0), "{line}");
        }
        if is_from(means, FIRST_WITH_TRUNCATE) {
            assert_ne!(behind(&walls, &tree, "truncate -s 0 ../home/file"), Some(0));
        }
        if is_from(means, FIRST_WITH_SIGNALS) {
            assert_ne!(behind(&walls, &tree, &format!("kill -0 {}", std::process::id())), Some(0));
        }
        assert_eq!(std::fs::read_to_string(home.join("file")).unwrap(), "theirs");
        assert!(home.join("Documents").is_dir() && !home.join("missing").exists());
    }

    #[test]
    fn what_is_read_only_or_pinned_stays_where_its_surroundings_may_be_written() {
        let Some(_) = means().filter(|means| means.mounts) else { return };
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join("tree/.git");
        std::fs::create_dir_all(git.join("hooks")).unwrap();
        std::fs::write(git.join("config"), "[core]\n").unwrap();
        let tree = dir.path().join("tree");
        let walls = Walls {
            write: vec![dir.path().to_owned()],
            pinned: vec![tree.clone(), git.clone()],
            read_only: vec![git.join("hooks"), git.join("config")],
            ..Walls::default()
        };
        assert_eq!(
            behind(&walls, &tree, "echo x > .git/index.lock && mv .git/index.lock .git/index && echo x > x"),
            Some(0)
        );
        for line in [
            "echo x > .git/hooks/pre-commit",
            "echo x >> .git/config",
            "echo x > .git/config.lock && mv .git/config.lock .git/config",
            "rm -rf .git/hooks",
            "mv .git gone",
            "cd .. && mv tree gone",
        ] {
            assert_ne!(behind(&walls, &tree, line), Some(0), "{line}");
        }
        assert_eq!(std::fs::read_to_string(git.join("config")).unwrap(), "[core]\n");
        assert!(std::fs::read_dir(git.join("hooks")).unwrap().next().is_none());
    }

    #[test]
    fn a_copied_tree_is_changed_without_a_trace() {
        let Some(_) = means().filter(|means| means.mounts) else { return };
        // The system's own directory for temporary files may be one in which no copy can be kept.
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("src")).unwrap();
        std::fs::write(tree.join("src/kept"), "before").unwrap();
        let copied = Copied { tree: tree.clone(), changes: dir.path().join("changes") };
        copied.make().unwrap();
        let walls = Walls { copied: Some(copied.clone()), ..Walls::default() };
        if !walls.stand(&tree) {
            eprintln!("NOT TESTED: no overlay can be mounted over {}", tree.display());
            return;
        }
        let line = "echo after > src/kept && echo x > made && mkdir -p target/a && rm -rf src && test -f made && test ! -e src";
        assert_eq!(behind(&walls, &tree, line), Some(0));
        assert_eq!(std::fs::read_to_string(tree.join("src/kept")).unwrap(), "before");
        assert_eq!(std::fs::read_dir(&tree).unwrap().count(), 1);
        assert_ne!(behind(&walls, &tree, "echo x > ../changes/changed/made"), Some(0));
        copied.remove().unwrap();
        assert!(!copied.changes.exists());
    }
}
