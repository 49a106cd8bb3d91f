//! Rules about Rust and CUDA sources.

use super::Tree;

const FILE_LINES_MAX: usize = 400;
const LINE_COLUMNS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;

fn sources(tree: &Tree) -> impl Iterator<Item = (&String, &String)> {
    tree.iter().filter(|(path, _)| path.ends_with(".rs") || path.ends_with(".cu"))
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

pub fn long_files(tree: &Tree) -> Vec<String> {
    let long = |(path, text): (&String, &String)| {
        let lines = text.lines().count();
        (lines > FILE_LINES_MAX).then(|| format!("{path}: {lines} lines"))
    };
    sources(tree).filter_map(long).collect()
}

pub fn long_lines(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in sources(tree) {
        for (index, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > LINE_COLUMNS_MAX {
                faults.push(format!("{path}:{}: {columns} columns", index + 1));
            }
        }
    }
    faults
}

pub fn long_functions(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in sources(tree) {
        for (line, lines) in functions(&code(text)) {
            if lines > FUNCTION_LINES_MAX {
                faults.push(format!("{path}:{line}: a function of {lines} lines"));
            }
        }
    }
    faults
}

pub fn unfinished(tree: &Tree) -> Vec<String> {
    const CALLS: [&str; 4] = [".unwrap()", "todo!", "dbg!", "unimplemented!"];
    const NOTES: [&str; 2] = ["TODO", "FIXME"];
    let mut faults = Vec::new();
    for (path, text) in sources(tree).filter(|(path, _)| !is_test(path)) {
        let code = code(text);
        let tests = test_module_lines(&code);
        for (index, (line, code)) in text.lines().zip(code.lines()).enumerate() {
            let calls = CALLS.iter().filter(|call| code.contains(*call));
            for found in calls.chain(NOTES.iter().filter(|note| line.contains(*note))) {
                if !tests.iter().any(|lines| lines.contains(&index)) {
                    faults.push(format!("{path}:{}: {found}", index + 1));
                }
            }
        }
    }
    faults
}

pub fn undocumented(tree: &Tree) -> Vec<String> {
    let silent = |(path, text): (&String, &String)| {
        let says = text.starts_with("//!") || path.ends_with(".cu") && text.starts_with("//");
        (!says).then(|| format!("{path}: its first line is no //! comment"))
    };
    sources(tree).filter_map(silent).collect()
}

/// The engine's error has the client's error for a cause, once; nothing else is known of it.
pub fn strays_to_kafka(tree: &Tree) -> Vec<String> {
    const HOMES: [&str; 4] =
        ["engine/kafka", "engine/source/kafka", "engine/emit/kafka", "tests/kafka"];
    let mut faults = Vec::new();
    for (path, text) in sources(tree) {
        let legal = match path.as_str() {
            path if HOMES.iter().any(|home| path.starts_with(home)) => continue,
            "engine/error.rs" => 1,
            _ => 0,
        };
        let named = code(text).matches("rdkafka").count();
        if named > legal {
            faults.push(format!("{path}: names rdkafka {named} times"));
        }
    }
    faults
}

/// The text with comments and the insides of literals blanked out; lines stay where they are.
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let starts = |text: &str| text.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let follows_a_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    if starts("//") {
        return (at..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len());
    }
    if starts("/*") {
        return block_comment_end(chars, at);
    }
    if starts("r\"") || starts("r#") || starts("br\"") || starts("br#") {
        let quote = (at..chars.len()).find(|&i| chars[i] == '"').unwrap_or(at);
        let hashes = chars[at..quote].iter().filter(|&&c| c == '#').count();
        let is_raw = chars[at..quote].iter().all(|c| "br#".contains(*c));
        if is_raw && !follows_a_name {
            return raw_string_end(chars, quote + 1, hashes);
        }
    }
    match (chars[at], chars.get(at + 1), chars.get(at + 2)) {
        ('"', ..) => quoted_end(chars, at, '"'),
        ('\'', Some('\\'), _) | ('\'', _, Some('\'')) => quoted_end(chars, at, '\''),
        _ => at,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], start: usize, hashes: usize) -> usize {
    let closes =
        |i: &usize| chars[*i] == '"' && (1..=hashes).all(|hash| chars.get(i + hash) == Some(&'#'));
    (start..chars.len()).find(closes).map_or(chars.len(), |i| i + 1 + hashes)
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// First line and number of lines of each function with a body.
fn functions(code: &str) -> Vec<(usize, usize)> {
    let bytes = code.as_bytes();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let is_word = at == 0 || !is_name(bytes[at - 1]);
        if !is_word || !bytes.get(at + 3).is_some_and(|&byte| is_name(byte)) {
            continue;
        }
        if let Some(body) = body(bytes, at) {
            let line = 1 + code[..at].matches('\n').count();
            found.push((line, 1 + code[at..body.end].matches('\n').count()));
        }
    }
    found
}

/// From the first brace after `at` to the one that closes it; none when a semicolon comes first.
fn body(code: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    let mut depth = 0;
    let mut start = None;
    for (i, byte) in code.iter().enumerate().skip(at) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            _ => {}
        }
        if *byte == b'{' && depth == 1 {
            start.get_or_insert(i);
        }
        if let Some(start) = start
            && depth == 0
        {
            return Some(start..i + 1);
        }
    }
    None
}

/// Lines (from 0) of modules that only tests have.
fn test_module_lines(code: &str) -> Vec<std::ops::Range<usize>> {
    let line = |at: usize| code[..at].matches('\n').count();
    let modules = code.match_indices("#[cfg(test)]");
    let bodies = modules.filter_map(|(at, _)| body(code.as_bytes(), at));
    bodies.map(|body| line(body.start)..line(body.end) + 1).collect()
}

#[test]
fn literals_and_comments_are_not_code() {
    let text = r##"let a = "{\"}"; // {
/* { /* } */ { */ let b = r#"{"{"#; let c = '{'; let d = '\''; fn e<'a>(f: &'a str) {}"##;
    let kept: String = code(text).split_whitespace().collect();
    assert_eq!(kept, "leta=;letb=;letc=;letd=;fne<'a>(f:&'astr){}");
}

#[test]
fn functions_are_measured_from_name_to_last_brace() {
    let text = "trait T {\n fn a(&self) -> [u8; 2];
        fn b<T: Fn(u8)>(\n  x: fn(u8)\n ) where T: X\n {\n }\n}";
    assert_eq!(functions(text), [(3, 5)]);
    let lines = test_module_lines("a\n#[cfg(test)]\nmod t {\n}\nb");
    assert_eq!((lines.len(), lines[0].clone()), (1, 2..4));
}
