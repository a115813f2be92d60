//! No two files know each other, directly or over others: each can be read, changed and tested with what stands below it. The
//! files of one state machine share its state, and so may form a circle within their folder.

use std::collections::{BTreeMap, BTreeSet};

use crate::purity::{Source, code, is_test, sources};

/// The folders whose files are one state machine.
const MACHINES: [&str; 2] = ["core", "demo/scripted"];
/// How often a name may be handed on.
const MOST_HANDED_ON: usize = 8;

type Path = Vec<String>;

/// The modules, and the names that they hand on.
#[derive(Default)]
struct Modules {
    files: BTreeMap<Path, String>,
    handed_on: BTreeMap<(Path, String), Path>,
}

fn segments(text: &str) -> Path {
    text.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The module of a file; none for the root of a crate.
fn module_of(file: &str) -> Option<Path> {
    let path = file.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    (!["lib", "main"].contains(&path)).then(|| path.split('/').map(str::to_owned).collect())
}

/// What a `use` names: `a::{b, c as d}` is `a::b` under `b` and `a::c` under `d`.
fn spread(tree: &str, before: &[String], found: &mut Vec<(String, Path)>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let before: Path = before.iter().cloned().chain(segments(head)).collect();
        let group = group.trim_end().strip_suffix('}').unwrap_or(group);
        let (mut depth, mut at) = (0, 0);
        for (index, c) in group.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if c == ',' && depth == 0 {
                spread(&group[at..index], &before, found);
                at = index + 1;
            }
        }
        spread(&group[at..], &before, found);
    } else if !tree.is_empty() {
        let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name.trim())));
        let mut path: Path = before.iter().cloned().chain(segments(path)).collect();
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = name.map(str::to_owned).or_else(|| path.last().cloned()).unwrap_or_default();
        found.push((name, path));
    }
}

/// What is imported, or handed on, each under its name.
type Named = Vec<(String, Path)>;

/// What a file imports and what it hands on.
fn named(text: &str) -> (Named, Named) {
    let (mut imported, mut handed_on) = (Vec::new(), Vec::new());
    let mut open: Option<(bool, String)> = None;
    for (_, line) in code(text) {
        let trimmed = line.trim();
        let begins = trimmed.strip_prefix("use ").map(|rest| (false, rest)).or_else(|| {
            let rest = trimmed.strip_prefix("pub")?;
            let rest =
                rest.split_once("use ").filter(|(scope, _)| scope.trim().is_empty() || scope.starts_with('('))?;
            Some((true, rest.1))
        });
        match (&mut open, begins) {
            (Some((_, tree)), _) => tree.push_str(trimmed),
            (None, Some((public, rest))) => open = Some((public, rest.to_owned())),
            (None, None) => {
                let tokens = trimmed.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
                let paths = tokens.filter(|token| token.starts_with("crate::") || token.starts_with("super::"));
                imported.extend(paths.map(|path| (String::new(), segments(path))));
            }
        }
        if let Some((public, tree)) = open.take_if(|(_, tree)| tree.contains(';')) {
            let found = if public { &mut handed_on } else { &mut imported };
            spread(tree.split(';').next().unwrap_or_default(), &[], found);
        }
    }
    (imported, handed_on)
}

impl Modules {
    fn of(sources: &[Source]) -> Self {
        let mut modules = Self::default();
        for source in sources {
            modules.files.extend(module_of(&source.file).map(|module| (module, source.file.clone())));
        }
        for source in sources {
            let Some(module) = module_of(&source.file) else { continue };
            for (name, path) in named(&source.text).1 {
                let target = modules.absolute(&module, &path);
                modules.handed_on.extend(target.map(|target| ((module.clone(), name), target)));
            }
        }
        modules
    }

    /// A path from the crate's root; none when it leads to another crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Path> {
        let mut base: Path = module.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while let Some(("super", after)) = rest.split_first().map(|(first, after)| (first.as_str(), after)) {
                    base.pop();
                    rest = after;
                }
            }
            first => {
                base.push(first.to_owned());
                self.files.get(&base)?;
                base.pop();
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The file in which what is named stands.
    fn file(&self, path: &[String]) -> Option<&str> {
        let mut path = path.to_vec();
        for _ in 0..MOST_HANDED_ON {
            let (module, rest) = (1..=path.len())
                .rev()
                .find_map(|at| self.files.contains_key(&path[..at]).then(|| path.split_at(at)))?;
            let key = |name: &String| self.handed_on.get(&(module.to_vec(), name.clone()));
            match rest.split_first().and_then(|(name, after)| Some((key(name)?, after))) {
                Some((target, after)) => path = target.iter().chain(after).cloned().collect(),
                None => return self.files.get(module).map(String::as_str),
            }
        }
        None
    }
}

/// The files that each file knows.
fn graph(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let modules = Modules::of(sources);
    let mut graph = BTreeMap::new();
    for source in sources.iter().filter(|source| !is_test(&source.file)) {
        let Some(module) = module_of(&source.file) else { continue };
        let imported = named(&source.text).0;
        let known = imported.iter().filter_map(|(_, path)| {
            let path = modules.absolute(&module, path)?;
            // Who names the module itself names what the module hands on, of which each name would be seen by itself.
            modules.file(&path).filter(|file| *file != source.file).map(str::to_owned)
        });
        graph.insert(source.file.clone(), known.collect::<BTreeSet<_>>());
    }
    graph
}

/// The circles, each with what ties it.
fn circles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reached = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&String> = vec![from];
        while let Some(file) = open.pop() {
            let known = graph.get(file).into_iter().flatten();
            open.extend(known.filter(|known| seen.insert((*known).clone())));
        }
        seen
    };
    let reach: BTreeMap<&String, BTreeSet<String>> = graph.keys().map(|file| (file, reached(file))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, reached) in &reach {
        if reached.contains(*file) {
            let ring = reached.iter().filter(|other| reach.get(other).is_some_and(|back| back.contains(*file)));
            found.insert(ring.cloned().collect());
        }
    }
    let in_one_machine = |ring: &Vec<String>| {
        MACHINES.iter().any(|folder| {
            ring.iter().all(|file| file.strip_prefix(folder).is_some_and(|rest| rest.rfind('/') == Some(0)))
        })
    };
    let told = |ring: Vec<String>| {
        let arrows = ring.iter().flat_map(|file| {
            let ring = &ring;
            graph[file].iter().filter(move |to| ring.contains(*to)).map(move |to| format!("{file} -> {to}"))
        });
        arrows.collect()
    };
    found.into_iter().filter(|ring| !in_one_machine(ring)).map(told).collect()
}

#[test]
fn no_files_know_each_other_outside_one_machine() {
    let graph = graph(&sources());
    assert!(graph["core/machine.rs"].contains("core/input.rs"), "{:?}", graph["core/machine.rs"]);
    assert!(graph["tokens/probe.rs"].contains("tokens/credential.rs"), "a name that tokens/mod.rs hands on");
    assert_eq!(circles(&graph), Vec::<Vec<String>>::new());
}

#[test]
fn a_circle_would_be_found_also_through_a_name_that_is_handed_on() {
    let source = |file: &str, text: &str| Source { file: file.to_owned(), text: text.to_owned() };
    let files = |x: &str, y: &str| {
        let face = "mod x;\nmod y;\npub use x::{X, other as Other};\npub(super) use y::Y;\n";
        circles(&graph(&[source("a/mod.rs", face), source("a/x.rs", x), source("a/y.rs", y)]))
    };
    let circle = [["a/x.rs -> a/y.rs", "a/y.rs -> a/x.rs"]];
    assert_eq!(files("use super::Y;", "use crate::a::{\n    Other,\n    Unknown,\n};"), circle);
    assert_eq!(files("use super::y;", "fn f() { super::X::new() }"), circle);
    assert_eq!(
        files("use super::Y;", "// super::X\n#[cfg(test)]\nmod tests {\n    use super::super::X;\n}"),
        [[""; 2]; 0]
    );
}
