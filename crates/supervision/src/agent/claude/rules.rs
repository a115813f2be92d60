//! The CLI's permission rules: which one lets a call pass, and what is alike in calls of one kind.
//!
//! Measured on 2.1.332 and 2.1.197 with `--allowedTools "Bash(…)"`: the whole command, with `&&`, `;`, quotes, redirections
//! and line ends in it, passes by a rule of exactly that text, and nothing longer does. Backslash and parentheses are
//! escaped by a backslash. A `*` makes a rule a pattern and has no escape, so such a command has no rule of its own.
//! Of a pipeline each part needs a rule, the whole none. White space around a command must not stand in the rule.
//! A command in parentheses passes by no rule.

use crate::stream::Raw;

/// Programs whose first word after them says what they do.
pub(super) const DO_MANY_THINGS: &[&str] = &[
    "bash", "bun", "cargo", "deno", "docker", "gh", "git", "go", "just", "kubectl", "make", "node", "npm", "npx",
    "pip", "pnpm", "poetry", "python", "python3", "ruby", "sh", "uv", "yarn",
];
/// What in a command makes that its pipes cannot be told from text without reading it as a shell does.
const NO_PLAIN_PIPELINE: &[char] = &['\'', '"', '`', '\\', '$', '(', ')', '{', '}', '<', '>', '#', '\n', '&', ';'];

/// The rules under which exactly this command may run.
pub(super) fn exact(command: &str) -> Vec<String> {
    let command = command.trim();
    if command.is_empty() || command.contains('*') || command.starts_with('(') {
        return Vec::new();
    }
    let parts: Vec<&str> = command.split('|').map(str::trim).collect();
    if parts.len() > 1 && parts.iter().all(|part| !part.is_empty() && !part.contains(NO_PLAIN_PIPELINE)) {
        return parts.into_iter().map(rule).collect();
    }
    vec![rule(command)]
}

fn rule(command: &str) -> String {
    let mut content = String::with_capacity(command.len() + 6);
    content.push_str("Bash(");
    for char in command.chars() {
        if matches!(char, '\\' | '(' | ')') {
            content.push('\\');
        }
        content.push(char);
    }
    content.push(')');
    content
}

/// The class of a call, and the arguments that allow it.
pub(super) fn of_call(tool: &str, input: Option<Raw<'_>>) -> (String, Vec<String>) {
    let text = |name: &str| input.and_then(|input| input.member(name)).and_then(Raw::text).unwrap_or_default();
    match tool {
        "Bash" => {
            let command = text("command");
            let class = program(&command);
            let mut rules = exact(&command);
            if rules.is_empty() && !class.is_empty() {
                rules.push(format!("Bash({class}:*)"));
            }
            (class, allowed_tools(rules))
        }
        "Write" | "Edit" | "MultiEdit" => (folder(&text("file_path")), accept_edits()),
        "NotebookEdit" => (folder(&text("notebook_path")), accept_edits()),
        "Read" => {
            let folder = folder(&text("file_path"));
            let rule = format!("Read(/{folder}/**)");
            (folder, allowed_tools(vec![rule]))
        }
        "WebFetch" => {
            let url = text("url");
            let host = url.split("://").nth(1).unwrap_or_default().split(['/', ':', '?']).next().unwrap_or_default();
            let rule = if host.is_empty() { tool.to_owned() } else { format!("WebFetch(domain:{host})") };
            (host.to_owned(), allowed_tools(vec![rule]))
        }
        // Questions to somebody who is not there.
        "AskUserQuestion" | "ExitPlanMode" | "EnterPlanMode" => (String::new(), Vec::new()),
        _ => (String::new(), allowed_tools(vec![tool.to_owned()])),
    }
}

fn allowed_tools(rules: Vec<String>) -> Vec<String> {
    if rules.is_empty() { rules } else { std::iter::once("--allowedTools".to_owned()).chain(rules).collect() }
}

/// A rule for one file does not let `Write` pass on either version; the mode does.
fn accept_edits() -> Vec<String> {
    vec!["--permission-mode".to_owned(), "acceptEdits".to_owned()]
}

/// The program that a command starts, with the word after it where that says what it does.
fn program(command: &str) -> String {
    let mut words =
        command.split_whitespace().skip_while(|word| word.split_once('=').is_some_and(|(name, _)| is_name(name)));
    let Some(program) = words.next() else { return String::new() };
    match words.next() {
        Some(what) if DO_MANY_THINGS.contains(&program) && what.chars().all(is_plain) => format!("{program} {what}"),
        Some(_) | None => program.to_owned(),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

fn is_plain(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '/' | ':' | '@')
}

fn folder(path: &str) -> String {
    path.rfind('/').map_or_else(String::new, |at| path[..at].to_owned())
}

#[cfg(test)]
mod tests {
    use super::{exact, of_call, program};
    use crate::stream::Raw;

    #[test]
    fn a_command_has_the_rules_that_were_measured() {
        let table: &[(&str, &[&str])] = &[
            ("sh test.sh", &["Bash(sh test.sh)"]),
            ("  sh test.sh \n", &["Bash(sh test.sh)"]),
            ("npm test && npm run lint", &["Bash(npm test && npm run lint)"]),
            (r#"sh test.sh "a b""#, &[r#"Bash(sh test.sh "a b")"#]),
            ("python3 -c 'print(1)'", &[r"Bash(python3 -c 'print\(1\)')"]),
            (r"sh test.sh a\b", &[r"Bash(sh test.sh a\\b)"]),
            ("sh test.sh\nsh other.sh", &["Bash(sh test.sh\nsh other.sh)"]),
            ("sh test.sh | tail -5", &["Bash(sh test.sh)", "Bash(tail -5)"]),
            ("test -f x || sh test.sh", &["Bash(test -f x || sh test.sh)"]),
            ("sh test.sh | grep 'a|b'", &["Bash(sh test.sh | grep 'a|b')"]),
            ("sh test.sh *.x", &[]),
            ("sh test.sh:*", &[]),
            ("(sh test.sh)", &[]),
            ("", &[]),
        ];
        for (command, rules) in table {
            assert_eq!(exact(command), *rules, "{command:?}");
        }
    }

    #[test]
    fn calls_of_one_kind_have_one_class_and_what_allows_them() {
        let bash = |command: &str| format!(r#"{{"command":"{command}"}}"#);
        let table: &[(&str, String, &str, &str)] = &[
            ("Bash", bash("sh test.sh"), "sh test.sh", "--allowedTools Bash(sh test.sh)"),
            ("Bash", bash("sh test.sh --all"), "sh test.sh", "--allowedTools Bash(sh test.sh --all)"),
            ("Bash", bash("FOO=1 npm run lint"), "npm run", "--allowedTools Bash(FOO=1 npm run lint)"),
            ("Bash", bash("touch a b"), "touch", "--allowedTools Bash(touch a b)"),
            ("Bash", bash("rm -f *.o"), "rm", "--allowedTools Bash(rm:*)"),
            ("Write", r#"{"file_path":"/p/a.txt"}"#.to_owned(), "/p", "--permission-mode acceptEdits"),
            ("Read", r#"{"file_path":"/etc/x/a"}"#.to_owned(), "/etc/x", "--allowedTools Read(//etc/x/**)"),
            ("WebFetch", r#"{"url":"https://a.b:1/c"}"#.to_owned(), "a.b", "--allowedTools WebFetch(domain:a.b)"),
            ("mcp__db__query", "{}".to_owned(), "", "--allowedTools mcp__db__query"),
        ];
        for (tool, input, class, allowed_by) in table {
            let (found, by) = of_call(tool, Raw::parse(input));
            assert_eq!((found.as_str(), by.join(" ").as_str()), (*class, *allowed_by), "{tool} {input}");
        }
        assert_eq!(program("git commit -m x"), "git commit");
        assert_eq!(program("git -C x status"), "git -C");
    }
}
