//! One member more or less in the text of a JSON object, the rest of it left to the byte. Where values lie is told by the
//! JSON parser itself; a member's name is what stands before its value.

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A member of an object: its name, and the bytes of the object's text that it takes.
pub(super) struct Member<'a> {
    pub(super) name: String,
    /// Its value, as it is written.
    pub(super) value: &'a str,
    begin: usize,
    end: usize,
}

/// The members of the object that a text is; `None`: it is none, or a name is written in a way that is not looked for.
pub(super) fn members(object: &str) -> Option<Vec<Member<'_>>> {
    let mut reader = serde_json::Deserializer::from_str(object);
    let found = reader.deserialize_map(Members).ok()?;
    reader.end().ok()?;
    found.into_iter().map(|(name, value)| member(object, name, value)).collect()
}

fn member<'a>(object: &'a str, name: String, value: &'a str) -> Option<Member<'a>> {
    let at = (value.as_ptr() as usize).checked_sub(object.as_ptr() as usize)?;
    let before = object.get(..at)?.trim_end().strip_suffix(':')?.trim_end();
    let written = serde_json::to_string(&name).ok()?;
    let begin = before.strip_suffix(&written)?.len();
    Some(Member { name, value, begin, end: at + value.len() })
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            found.push((name, value.get()));
        }
        Ok(found)
    }
}

/// What stands between an object's brace and its first member.
pub(super) fn lead(object: &str) -> &str {
    let inner = object.trim_start().strip_prefix('{').unwrap_or_default();
    let length = inner.len() - inner.trim_start().len();
    inner.get(..length).unwrap_or_default()
}

/// The object with one more member in front. In an empty one it touches the brace, so that `take` knows that the object
/// was there before it.
pub(super) fn add(object: &str, member: &str) -> Option<String> {
    let empty = members(object)?.is_empty();
    let (head, rest) = object.split_once('{')?;
    let parts =
        if empty { [head, "{", "", member, "", rest] } else { [head, "{", lead(object), member, ",", rest] };
    Some(parts.concat())
}

/// The object without a member.
pub(super) fn take(object: &str, name: &str) -> Option<String> {
    let all = members(object)?;
    let at = all.iter().position(|member| member.name == name)?;
    let member = all.get(at)?;
    let comma = |text: &str| text.find(',').map(|comma| comma + 1);
    let open = object.find('{')? + 1;
    let (from, to) = match (at.checked_sub(1).and_then(|before| all.get(before)), all.get(at + 1)) {
        (None, None) => (member.begin, member.end),
        (None, Some(_)) => (open, member.end + comma(object.get(member.end..)?)?),
        (Some(before), None) => (before.end, member.end),
        (Some(before), Some(_)) => {
            (before.end + comma(object.get(before.end..)?)?, member.end + comma(object.get(member.end..)?)?)
        }
    };
    Some([object.get(..from)?, object.get(to..)?].concat())
}

/// The object with another text for a member's value.
pub(super) fn put(object: &str, name: &str, value: &str) -> Option<String> {
    let all = members(object)?;
    let member = all.iter().find(|member| member.name == name)?;
    let from = member.end - member.value.len();
    Some([object.get(..from)?, value, object.get(member.end..)?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_came_goes_again_and_the_rest_stays_to_the_byte() {
        for text in [
            "{}",
            "{ }",
            "{\n}\n",
            r#"{"a":1}"#,
            "{\n\t\"a\": {\"b\": \"},{\"},\n  \"c\" : [1, 2]\n}",
            "  {\"a\":\"x\\\"y\"} \n",
        ] {
            let one = add(text, "\"one\": \"1\"").unwrap();
            assert!(serde_json::from_str::<serde_json::Value>(&one).is_ok(), "{one}");
            assert_eq!(take(&one, "one").unwrap(), text);
            let two = add(&one, "\"two\": 2").unwrap();
            assert_eq!(take(&take(&two, "one").unwrap(), "two").unwrap(), text, "{two}");
            assert_eq!(take(&take(&two, "two").unwrap(), "one").unwrap(), text, "{two}");
        }
        assert_eq!(take("{\"a\":1 , \"b\":2 ,\"c\":3}", "b").as_deref(), Some("{\"a\":1 ,\"c\":3}"));
        assert_eq!(put("{ \"a\" : {} }", "a", "1").as_deref(), Some("{ \"a\" : 1 }"));
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for text in ["", "[]", "1", "{", "{}}", "{\"a\":1,}", "// c\n{}"] {
            assert!(members(text).is_none(), "{text}");
        }
    }
}
