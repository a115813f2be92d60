//! The CLI's permission rules: which rule allows a call, and the class that similar calls share.
//!
//! Measured on 2.1.332 and 2.1.197 with `--allowedTools "Bash(…)"`, the same on both:
//! - A command without a pipe, including one with `&&`, `;`, quotes, substitutions, redirections and line breaks, is
//!   allowed by a rule of exactly its text. Backslash and parentheses are escaped by a backslash; the rule must not
//!   contain the white space around the command.
//! - In a pipeline each part between two `|` needs a rule; the whole needs none. A part with a redirection to a file
//!   before the last `|` has no exact rule, and one with a substitution, a group or a keyword has no rule at all. A
//!   `for` loop around the pipeline counts as one command.
//! - A `*` makes a rule a pattern and cannot be escaped.
//! - The option's values are split at spaces and commas outside of parentheses, an escaped `)` closes them, and
//!   parentheses do not nest: a rule with a space or a comma after a `)` is split.
//! - `Bash(PROGRAM:*)` for each command of a list allows whatever has no substitution, group or unquoted heredoc.
//! - A subshell, a process substitution and `&` are allowed by no rule except `Bash`.

use super::shell_syntax::{Segment, segments};
use crate::agent::AllowedBy;
use crate::stream::Raw;

/// Programs whose next word says what they do.
pub(super) const DO_MANY_THINGS: &[&str] = &[
    "bash", "bun", "cargo", "deno", "docker", "gh", "git", "go", "just", "kubectl", "make", "node", "npm", "npx",
    "pip", "pnpm", "poetry", "python", "python3", "ruby", "sh", "uv", "yarn",
];
/// The option that takes rules.
const ALLOWED_TOOLS: &str = "--allowedTools";
/// The option and mode in which files may be changed: on neither version does a rule for one file allow `Write`.
pub(super) const ACCEPT_EDITS: (&str, &str) = ("--permission-mode", "acceptEdits");
/// Words that begin or continue a compound command, which is never judged by its parts.
const KEYWORDS: &[&str] = &[
    "!", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "select", "then", "until",
    "while", "[[",
];

/// The rules that allow exactly this command; empty when the CLI has none.
pub(in crate::agent) fn exact(command: &str) -> Vec<String> {
    exact_rules(command).unwrap_or_default()
}

/// The arguments that allow this command and others with it; `None` when rules can allow exactly this one.
pub(super) fn allowing_more(command: &str) -> Option<Vec<String>> {
    match exact_rules(command) {
        Some(_) => None,
        None => Some(in_one_line(command).map_or_else(allowing_all_commands, allowing)),
    }
}

/// Also allows what no other rule allows.
pub(super) fn allowing_all_commands() -> Vec<String> {
    allowing(vec!["Bash".to_owned()])
}

/// Whether a rule allows the tools that change files, or every command.
pub(super) fn is_for_changes(rule: &str) -> bool {
    let (tool, of) = rule.split_once('(').map_or((rule, None), |(tool, of)| (tool, Some(of)));
    match tool {
        "Edit" | "MultiEdit" | "NotebookEdit" | "Write" => true,
        "Bash" => of.is_none_or(|of| matches!(of, "*)" | ":*)")),
        _ => false,
    }
}

fn exact_rules(command: &str) -> Option<Vec<String>> {
    let command = command.trim();
    let Some(segments) = segments(command) else {
        return if command.contains(['|', '&']) { None } else { Some(vec![rule(command)?]) };
    };
    if segments.iter().any(passes_by_no_rule) {
        return None;
    }
    let pipes: Vec<usize> = (0..segments.len()).filter(|&at| is_pipe(&segments[at])).collect();
    let is_one_loop = command.starts_with("for ") && command.ends_with("done") && command.matches("done").count() == 1;
    if pipes.is_empty() || is_one_loop {
        return Some(vec![rule(command)?]);
    }
    let last = pipes.last().copied().unwrap_or_default();
    if segments.iter().any(is_compound) || segments.iter().take(last).any(|segment| segment.holds.redirection) {
        return None;
    }
    // The text between two pipes, including other operators.
    let ends = pipes.iter().copied().chain([segments.len()]);
    let mut begin = 0;
    let mut rules = Vec::new();
    for end in ends {
        let (first, last) = (segments.get(begin)?, segments.get(end.checked_sub(1)?)?);
        rules.push(rule(command.get(first.at..last.at + last.text.len())?)?);
        begin = end;
    }
    Some(rules)
}

/// Rules without line breaks that allow this command: for each command of a list its exact rule if there is one,
/// otherwise a rule for its program.
fn in_one_line(command: &str) -> Option<Vec<String>> {
    let is_line = |rules: &Vec<String>| !rules.iter().any(|rule| rule.contains('\n'));
    if let Some(rules) = exact_rules(command).filter(is_line) {
        return Some(rules);
    }
    let head = without_quoted_heredoc(command);
    let segments = segments(head.unwrap_or(command))?;
    if segments
        .iter()
        .any(|segment| passes_by_no_rule(segment) || is_compound(segment) || segment.text.starts_with("cd "))
        || head.is_some() && segments.len() > 1
    {
        return None;
    }
    let mut rules = Vec::new();
    for segment in &segments {
        let exact =
            rule(segment.text).filter(|rule| !rule.contains('\n') && !segment.holds.redirection && head.is_none());
        let rule = match exact {
            Some(rule) => rule,
            None => format!("Bash({}:*)", prefix(segment.text)?),
        };
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    Some(rules)
}

/// The command before a heredoc with a quoted delimiter (whose text the shell does not expand), if nothing follows
/// the heredoc.
fn without_quoted_heredoc(command: &str) -> Option<&str> {
    let (line, body) = command.trim().split_once('\n')?;
    let (head, delimiter) = line.split_once("<<")?;
    let delimiter = delimiter.trim();
    let word = delimiter.strip_prefix('\'')?.strip_suffix('\'')?;
    let ends_last = body.lines().position(|line| line == word)? + 1 == body.lines().count();
    (is_name(word) && ends_last).then_some(head)
}

fn is_pipe(segment: &Segment<'_>) -> bool {
    matches!(segment.after, "|" | "|&")
}

fn is_compound(segment: &Segment<'_>) -> bool {
    segment.holds.nesting || segment.text.split_whitespace().next().is_some_and(|word| KEYWORDS.contains(&word))
}

fn passes_by_no_rule(segment: &Segment<'_>) -> bool {
    segment.after == "&" || segment.holds.subshell
}

/// The rule of exactly this text; `None` when the CLI would parse it differently.
fn rule(command: &str) -> Option<String> {
    if command.is_empty() || command.contains('*') {
        return None;
    }
    let mut content = String::with_capacity(command.len() + 6);
    let mut is_inside = true;
    content.push_str("Bash(");
    for char in command.chars() {
        match char {
            '(' => is_inside = true,
            ')' => is_inside = false,
            ' ' | ',' if !is_inside => return None,
            _ => {}
        }
        if matches!(char, '\\' | '(' | ')') {
            content.push('\\');
        }
        content.push(char);
    }
    content.push(')');
    Some(content)
}

/// The beginning of a command up to its program and subcommand; `None` if that is more than plain words.
fn prefix(command: &str) -> Option<String> {
    let program = program(command);
    let at = command.find(&program).filter(|_| !program.is_empty())?;
    let prefix = command.get(..at + program.len())?;
    prefix.chars().all(|char| is_plain(char) || matches!(char, ' ' | '=')).then(|| prefix.to_owned())
}

/// The class of a call, and what allows it.
pub(super) fn of_call(tool: &str, input: Option<Raw<'_>>) -> (String, AllowedBy) {
    of_subject(tool, &subject(tool, input))
}

/// The part of a call's input that its class and rules depend on.
pub(super) fn subject(tool: &str, input: Option<Raw<'_>>) -> String {
    let name = match tool {
        "Bash" => "command",
        "Write" | "Edit" | "MultiEdit" | "Read" => "file_path",
        "NotebookEdit" => "notebook_path",
        "WebFetch" => "url",
        _ => return String::new(),
    };
    input.and_then(|input| input.member(name)).and_then(Raw::text).unwrap_or_default().into_owned()
}

/// The same as [`of_call`], from the call's [`subject`].
pub(super) fn of_subject(tool: &str, subject: &str) -> (String, AllowedBy) {
    match tool {
        "Bash" => (program(subject), allowed_tools(in_one_line(subject).unwrap_or_default())),
        "Write" | "Edit" | "MultiEdit" | "NotebookEdit" => (folder(subject), accept_edits()),
        "Read" => {
            let folder = folder(subject);
            let rule = format!("Read(/{folder}/**)");
            (folder, allowed_tools(vec![rule]))
        }
        "WebFetch" => {
            let host = subject.split("://").nth(1).unwrap_or_default();
            let host = host.split(['/', ':', '?']).next().unwrap_or_default();
            let rule = if host.is_empty() { tool.to_owned() } else { format!("WebFetch(domain:{host})") };
            (host.to_owned(), allowed_tools(vec![rule]))
        }
        // Questions to a user who is absent.
        "AskUserQuestion" | "ExitPlanMode" | "EnterPlanMode" => (String::new(), AllowedBy::Nothing),
        _ => (String::new(), allowed_tools(vec![tool.to_owned()])),
    }
}

fn allowing(rules: Vec<String>) -> Vec<String> {
    std::iter::once(ALLOWED_TOOLS.to_owned()).chain(rules).collect()
}

fn allowed_tools(rules: Vec<String>) -> AllowedBy {
    if rules.is_empty() { AllowedBy::Nothing } else { AllowedBy::Rules { option: ALLOWED_TOOLS.to_owned(), rules } }
}

fn accept_edits() -> AllowedBy {
    let (option, mode) = ACCEPT_EDITS;
    AllowedBy::Mode { option: option.to_owned(), mode: mode.to_owned() }
}

/// The program of a command, with its next word if that says what it does.
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
    use super::{AllowedBy, exact, in_one_line, of_call, program};
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
            ("sh test.sh $(echo a)", &[r"Bash(sh test.sh $\(echo a\))"]),
            ("python3 - <<EOF\nprint(1)\nEOF", &["Bash(python3 - <<EOF\nprint\\(1\\)\nEOF)"]),
            ("sh t.sh a > o.txt 2>&1", &["Bash(sh t.sh a > o.txt 2>&1)"]),
            ("if true; then sh t.sh; fi", &["Bash(if true; then sh t.sh; fi)"]),
            ("{ sh t.sh; sh t.sh b; }", &["Bash({ sh t.sh; sh t.sh b; })"]),
            ("test -f x || sh test.sh", &["Bash(test -f x || sh test.sh)"]),
            // Pipelines, and commands that only look like one.
            ("sh test.sh | tail -5", &["Bash(sh test.sh)", "Bash(tail -5)"]),
            ("make all 2>&1 | tail -5", &["Bash(make all 2>&1)", "Bash(tail -5)"]),
            ("sh t.sh|&tail -1", &["Bash(sh t.sh)", "Bash(tail -1)"]),
            ("sh test.sh | grep 'a|b'", &["Bash(sh test.sh)", "Bash(grep 'a|b')"]),
            (r"sh t.sh a\|b | tail", &[r"Bash(sh t.sh a\\|b)", "Bash(tail)"]),
            ("cd sub && sh ../t.sh 2>&1 | tail", &["Bash(cd sub && sh ../t.sh 2>&1)", "Bash(tail)"]),
            ("sh t.sh | tail -1 > o.txt 2>&1", &["Bash(sh t.sh)", "Bash(tail -1 > o.txt 2>&1)"]),
            ("sh t.sh | tail -1 && make | tail", &["Bash(sh t.sh)", "Bash(tail -1 && make)", "Bash(tail)"]),
            ("sh t.sh |\n  tail -1", &["Bash(sh t.sh)", "Bash(tail -1)"]),
            (r#"bash -c "sh t.sh | tail -1""#, &[r#"Bash(bash -c "sh t.sh | tail -1")"#]),
            (r#"sh t.sh "$(echo a | tail -1)""#, &[r#"Bash(sh t.sh "$\(echo a | tail -1\)")"#]),
            ("for i in 1 2; do sh t.sh $i | tail; done", &["Bash(for i in 1 2; do sh t.sh $i | tail; done)"]),
            ("sh t.sh # it's a | b", &["Bash(sh t.sh # it's a | b)"]),
            ("sh t.sh a > o.txt | tail", &[]),
            ("sh t.sh $(echo a) | tail", &[]),
            ("{ sh t.sh; } | tail", &[]),
            ("while true; do sh t.sh | tail; done", &[]),
            ("cat <<'EOF' | sh t.sh\na\nEOF", &[]),
            // Rules that the option's parser would split at a space or a comma after a parenthesis.
            ("sh test.sh 'a (b)'", &[r"Bash(sh test.sh 'a \(b\)')"]),
            ("sh t.sh 'f(a) b'", &[]),
            ("sh t.sh \"f(a)\",b", &[]),
            (r#"sh -c 'test "$(echo a)" = a'"#, &[]),
            // Commands without any rule.
            ("sh test.sh *.x", &[]),
            ("sh test.sh:*", &[]),
            ("(sh test.sh)", &[]),
            ("sh t.sh && (sh t.sh b)", &[]),
            ("diff <(sh t.sh) t.sh", &[]),
            ("sh t.sh a &", &[]),
            ("sh t.sh & sh t.sh b", &[]),
            ("", &[]),
        ];
        for (command, rules) in table {
            assert_eq!(exact(command), *rules, "{command:?}");
        }
    }

    #[test]
    fn what_is_advised_for_a_command_stands_in_one_line_and_lets_it_pass() {
        let table: &[(&str, &[&str])] = &[
            ("make all 2>&1 | tail -5", &["Bash(make all 2>&1)", "Bash(tail -5)"]),
            (r#"python3 -c 'print("it")' --odd '(a b)'"#, &["Bash(python3 -c:*)"]),
            (r#"sh -c 'test "$(echo a)" = a'"#, &["Bash(sh -c:*)"]),
            ("rm -f *.o", &["Bash(rm:*)"]),
            ("FOO=1 sh t.sh *.x", &["Bash(FOO=1 sh t.sh:*)"]),
            ("sh t.sh *.x && make all", &["Bash(sh t.sh:*)", "Bash(make all)"]),
            ("sh t.sh\nsh t.sh b", &["Bash(sh t.sh)", "Bash(sh t.sh b)"]),
            ("sh -c 'sh t.sh\nsh t.sh b'", &["Bash(sh -c:*)"]),
            ("sh t.sh a > o.txt | tail", &["Bash(sh t.sh:*)", "Bash(tail)"]),
            ("python3 - <<'EOF'\nprint(1) | x\nEOF", &["Bash(python3 -:*)"]),
            ("cat > a.txt <<'EOF'\n$(x)\nEOF\n", &["Bash(cat:*)"]),
            ("python3 - <<'EOF'\nprint(1)\nEOF\nmake", &[]),
            ("python3 - <<EOF\nprint(1)\nEOF", &[]),
            ("sh t.sh $(echo *)", &[]),
            ("sh t.sh \"${HOME}\" *.x", &[]),
            ("cd sub && rm -f *.o", &[]),
            ("if true; then sh t.sh | tail -1; fi", &[]),
            ("(sh t.sh)", &[]),
            ("sh t.sh &", &[]),
            ("sh t.sh 'open *", &[]),
        ];
        for (command, rules) in table {
            assert_eq!(in_one_line(command).unwrap_or_default(), *rules, "{command:?}");
        }
    }

    #[test]
    fn a_command_that_nests_for_ever_has_no_rule() {
        for opening in ["$(", "\"$(", "{ ", "\"${a"] {
            assert_eq!(in_one_line(&format!("a | {}", opening.repeat(100_000))), None, "{opening}");
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
            let by = match by {
                AllowedBy::Nothing => String::new(),
                AllowedBy::Rules { option, rules } => format!("{option} {}", rules.join(" ")),
                AllowedBy::Mode { option, mode } => format!("{option} {mode}"),
            };
            assert_eq!((found.as_str(), by.as_str()), (*class, *allowed_by), "{tool} {input}");
        }
        assert_eq!(program("git commit -m x"), "git commit");
        assert_eq!(program("git -C x status"), "git -C");
    }
}
