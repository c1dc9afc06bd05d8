//! Lines of ours in a text of people's, between two marks that name them: `# claviger: begin NAME` and `# claviger: end
//! NAME`. Taken away again, the text is what it was, to the byte; what somebody else has written between the marks stays.

pub(super) const BEGIN: &str = "# claviger: begin ";
const END: &str = "# claviger: end ";
/// The text did not end with a line break, and was given one.
const BROKEN: &str = ", with the line break before it";
/// The lines stand in the place of another.
const INSTEAD: &str = ", instead of ";

/// Whether a line is one of ours.
pub(super) type Ours<'a> = &'a dyn Fn(&str) -> bool;

/// The text with a block at its end.
pub(super) fn append(before: &str, name: &str, lines: &[String]) -> String {
    let broken = !before.is_empty() && !before.ends_with('\n');
    let (line_end, remark) = if broken { (line_end(before), BROKEN) } else { ("", "") };
    [before, line_end, &block(before, name, remark, lines)].concat()
}

/// The text with a block at some place, where a line begins.
pub(super) fn insert(before: &str, at: usize, name: &str, lines: &[String]) -> Option<String> {
    let (above, below) = before.split_at_checked(at)?;
    Some([above, &block(before, name, "", lines), below].concat())
}

/// The text with a block in the place of a line, which is ended by a line break.
pub(super) fn instead(before: &str, at: usize, name: &str, lines: &[String]) -> Option<String> {
    let (above, rest) = before.split_at_checked(at)?;
    let (line, _) = rest.split_once('\n')?;
    let below = rest.get(line.len() + 1..)?;
    let remark = [INSTEAD, line.trim_end_matches('\r')].concat();
    Some([above, &block(before, name, &remark, lines), below].concat())
}

fn block(before: &str, name: &str, remark: &str, lines: &[String]) -> String {
    let (begin, end) = ([BEGIN, name, remark].concat(), [END, name].concat());
    let whole = [&begin].into_iter().chain(lines).chain([&end]);
    whole.flat_map(|line| [line.as_str(), line_end(before)]).collect()
}

/// How lines end here.
pub(super) fn line_end(text: &str) -> &'static str {
    if text.split_inclusive('\n').next().is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" }
}

/// The names of the blocks there are.
pub(super) fn names(text: &str) -> Vec<String> {
    let begins = text.lines().filter_map(|line| line.strip_prefix(BEGIN));
    begins.filter_map(|rest| rest.split(',').next()).map(|name| name.trim_end().to_owned()).collect()
}

/// The text without a block, and the lines of ours that went with it; `None`: there is none of that name.
pub(super) fn take(
    before: &str,
    name: &str,
    ours: Ours<'_>,
) -> Result<Option<(String, Vec<String>)>, &'static str> {
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let bare = |line: &str| line.trim_end_matches(['\r', '\n']).to_owned();
    let remark = |line: &str| {
        let rest = bare(line).strip_prefix(BEGIN)?.strip_prefix(name)?.to_owned();
        (rest.is_empty() || rest.starts_with(',')).then_some(rest)
    };
    let Some((begin, remark)) = lines.iter().enumerate().find_map(|(at, line)| Some((at, remark(line)?)))
    else {
        return Ok(None);
    };
    let is_end = |line: &&str| bare(line).strip_prefix(END) == Some(name);
    let inner = lines.get(begin + 1..).unwrap_or_default();
    let length = inner.iter().position(is_end).ok_or("the mark of an end is missing")?;
    let (inner, below) = inner.split_at_checked(length).unwrap_or_default();
    let (mut kept, gone): (Vec<&str>, Vec<&str>) = inner.iter().partition(|line| !ours(&bare(line)));
    // What somebody else has written in a section of ours needs that section.
    let header = gone.first().filter(|line| line.starts_with('[') && !kept.is_empty()).copied();
    kept.splice(0..0, header);
    let removed = gone.into_iter().filter(|line| Some(*line) != header).map(bare).collect();
    let mut above = lines.get(..begin).unwrap_or_default().concat();
    let mut below = below.get(1..).unwrap_or_default().concat();
    if remark == BROKEN && kept.is_empty() {
        if below.is_empty() {
            above.truncate(above.strip_suffix(line_end(before)).map_or(above.len(), str::len));
        } else if let Some(next) =
            below.lines().next().filter(|line| line.starts_with(BEGIN) && !line.contains(','))
        {
            // The line break is now the next block's to take along.
            below.insert_str(next.len(), BROKEN);
        }
    }
    let instead = remark.strip_prefix(INSTEAD).map(|line| [line, line_end(before)].concat());
    Ok(Some(([above, instead.unwrap_or_default(), kept.concat(), below].concat(), removed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<String> {
        vec!["[x]".to_owned(), "\ta = b".to_owned()]
    }

    fn ours(line: &str) -> bool {
        lines().iter().any(|known| known == line)
    }

    fn taken(text: &str, name: &str) -> String {
        take(text, name, &ours).unwrap().unwrap_or_else(|| panic!("no block {name}: {text}")).0
    }

    const TEXTS: [&str; 9] =
        ["", "\n", "a", "a\n", "a\r\n", "a\r\nb", "a\n\n", "# claviger: begin\n", "a\nb\r\n"];

    #[test]
    fn what_was_there_before_is_there_afterwards_to_the_byte() {
        for text in TEXTS {
            let one = append(text, "one", &lines());
            assert_eq!(taken(&one, "one"), text, "{text:?}");
            let both = append(&one, "two", &lines());
            assert_eq!(taken(&taken(&both, "one"), "two"), text, "{text:?}");
            assert_eq!(taken(&taken(&both, "two"), "one"), text, "{text:?}");
            let first = insert(text, 0, "first", &lines()).unwrap();
            assert_eq!(taken(&first, "first"), text, "{text:?}");
        }
        let replaced = instead("a\r\nusers: []\r\nb", 3, "users", &lines()).unwrap();
        assert!(
            !replaced.contains("\nusers") && !replaced.replace("\r\n", "").contains('\n'),
            "{replaced:?}"
        );
        assert_eq!(taken(&replaced, "users"), "a\r\nusers: []\r\nb");
    }

    #[test]
    fn what_somebody_else_wrote_between_the_marks_stays_with_its_section() {
        let text = append("a", "one", &lines()).replace("\ta = b\n", "\ta = b\n\tc = d\n");
        assert_eq!(taken(&text, "one"), "a\n[x]\n\tc = d\n");
        let text = append("a\n", "one", &lines()) + "z\n";
        assert_eq!(taken(&text, "one"), "a\nz\n");
    }

    #[test]
    fn a_block_is_found_by_its_whole_name_and_has_an_end() {
        let text = append("", "one.example", &lines());
        assert_eq!(names(&text), ["one.example"]);
        assert_eq!(take(&text, "one", &ours), Ok(None));
        let cut = text.replace("# claviger: end one.example\n", "");
        assert!(take(&cut, "one.example", &ours).is_err());
    }
}
