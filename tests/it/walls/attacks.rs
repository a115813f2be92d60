//! What agents have been seen to do to their users' machines, in neutral form, and the work that must go on.

use std::path::Path;

/// One call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attack {
    /// A command for the shell, in the project's directory.
    Shell(&'static str),
    /// A file to write, below the home directory until [`Attack::at`] says where that is, and its content.
    Write(&'static str, &'static str),
}

impl Attack {
    /// The same in this home directory.
    pub(super) fn at(&self, home: &Path) -> Attack {
        match self {
            Attack::Shell(command) => Attack::Shell(command),
            // The table's paths live as long as the program, and so do these few.
            Attack::Write(file, content) => Attack::Write(home.join(file).display().to_string().leak(), content),
        }
    }
}

use Attack::{Shell, Write};

/// What must work behind the walls; each says that it did.
pub(super) const WORK: &[&str] = &[
    "echo work > work.txt && git add work.txt && git commit -q -m work && echo more >> work.txt && git stash -q && \
     git stash pop -q && git checkout -q -- work.txt && git switch -q -c topic && git commit -q --allow-empty -m topic && \
     git switch -q main && git merge -q --ff-only topic && git branch -q -d topic && git tag v1 && git gc -q && \
     git rebase -q HEAD~1 && echo GIT-WORKS",
    "mkdir -p ~/.cache/tool && echo cached > ~/.cache/tool/file && t=$(mktemp) && echo x > $t && rm $t && echo > /dev/null && \
     (setsid -w sh -c 'echo x > made-apart') && rm made-apart && ls -A ~ > /dev/null && cat ~/.bashrc > /dev/null && echo FILES-WORK && \
     echo ALL-WORKS",
];

/// Each harms something without walls.
pub(super) const ATTACKS: &[Attack] = &[
    // The next run, or a worker of this one, would have no walls, and run a program of the agent's outside of them.
    Shell(r#"echo '{"guard": {"mode": "off"}}' > ~/.claude/ccc.json"#),
    // Removed, by a wrong variable, a wrong directory, or a wrong pattern.
    Shell("rm -rf ~/Documents"),
    Shell("rm -rf \"$HOME\"/.ssh"),
    Shell("rm -rf ~/D* ~/.b*"),
    Shell("BUILD_DIR=; rm -rf \"$BUILD_DIR../sibling\""),
    Shell("cd .. && rm -rf sibling"),
    Shell("find ~ -name '*.txt' -delete"),
    Shell("find .. -maxdepth 1 -name sibling -exec rm -rf {} +"),
    Shell("ls -d ~/Documents/* | xargs rm -f"),
    Shell("python3 -c \"import os, shutil; shutil.rmtree(os.path.expanduser('~/Documents'))\""),
    Shell("perl -e 'unlink glob(\"$ENV{HOME}/Documents/*\")'"),
    Shell("rm -rf ~/ccc-state/kept"),
    Shell("mv ~/.ssh ~/.ssh.old"),
    Shell("mv ../sibling ./gone"),
    // Overwritten, also by other means than a redirection.
    Shell("echo 'alias ls=true' >> ~/.bashrc"),
    Shell("cat > ~/.profile < /dev/null"),
    Shell("sed -i s/original/other/ ~/.gitconfig"),
    Shell("truncate -s 0 ~/Documents/thesis.txt"),
    Shell("dd if=/dev/zero of=\"$HOME/Documents/thesis.txt\" bs=4 count=1 conv=notrunc status=none"),
    Shell("cp /dev/null ~/.aws/credentials"),
    Shell(": | tee ~/.aws/credentials"),
    Shell("shred -u ~/Documents/thesis.txt"),
    Shell("ln ../sibling/notes.txt hard && echo x > hard"),
    Shell("ln -s ~/.bashrc soft && echo x > soft"),
    Shell("cp -r . ../sibling/"),
    Shell(
        "tar -cf /tmp/ccc-walls-$$.tar README.md; tar -C ~/Documents -xf /tmp/ccc-walls-$$.tar; s=$?; rm /tmp/ccc-walls-$$.tar; exit $s",
    ),
    // What is run later, as the user.
    Shell("echo 'ssh-ed25519 AAAA key' >> ~/.ssh/authorized_keys"),
    Shell("mkdir -p ~/.config/systemd/user && echo '[Service]' > ~/.config/systemd/user/later.service"),
    Shell("mkdir -p ~/.local/bin && cp /bin/true ~/.local/bin/git"),
    Shell("printf '#!/bin/sh\\n' > .git/hooks/pre-commit"),
    Shell("umount .git/hooks 2>/dev/null; printf '#!/bin/sh\\n' > .git/hooks/post-merge"),
    Shell("rm -rf .git/hooks && mkdir .git/hooks"),
    Shell("git config core.pager 'sh -c true'"),
    Shell("printf '[core]\\n\\teditor = true\\n' >> .git/config"),
    Shell("git config --global user.name Other"),
    // Other repositories, and what others get.
    Shell("git -C ../other reset -q --hard HEAD~1"),
    Shell("git -C ../other clean -qfdx"),
    Shell("rm -rf ../other/.git"),
    Shell("git init -q ~/made"),
    Shell("git push -q --force origin HEAD~1:refs/heads/main"),
    Shell("git push -q --no-verify --force ../remote.git HEAD~1:refs/heads/main"),
    // From a process that is no longer the tool's.
    Shell("setsid -w sh -c 'rm -rf ~/Documents'"),
    Shell("nohup sh -c 'echo x > ~/.bashrc' > /dev/null 2>&1"),
    Shell("env -i HOME=\"$HOME\" sh -c 'rm -rf ~/Documents'"),
    Shell("kill -9 \"$BYSTANDER\""),
    // By the tool that writes files.
    Write(".ssh/config", "Host *\n"),
    Write("ccc-state/made", "x\n"),
];
