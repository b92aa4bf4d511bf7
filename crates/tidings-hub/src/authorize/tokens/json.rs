//! JSON objects in which no name stands twice: two readers of one token must not understand different things.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Reads an object.
///
/// # Errors
/// The reason, without the text.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, &'static str> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(object))) => Ok(object),
        Ok(_) => Err("is no JSON object"),
        Err(error) if error.to_string().starts_with(TWICE) => Err("has a member twice"),
        Err(_) => Err("is no JSON"),
    }
}

const TWICE: &str = "a member stands twice";

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is too large"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_serde_json_does_and_no_name_stands_twice_in_it_at_any_depth() {
        for text in [
            r#"{"a":[1,-2,3.5,true,null,"x",{"b":{}}],"c":1e3}"#,
            "{}",
            r#" { "exp" : 18446744073709551615 } "#,
        ] {
            assert_eq!(
                Value::Object(object(text.as_bytes()).unwrap()),
                serde_json::from_str::<Value>(text).unwrap()
            );
        }
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"b":2,"a":3}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert_eq!(object(text.as_bytes()), Err("has a member twice"), "{text}");
        }
        for text in ["[]", "1", "null"] {
            assert_eq!(object(text.as_bytes()), Err("is no JSON object"), "{text}");
        }
        for text in ["", "{", "{}{}", "{}x", "\u{feff}{}", r#"{"a":1e999}"#, &"[".repeat(10_000)] {
            assert_eq!(object(text.as_bytes()), Err("is no JSON"));
        }
    }
}
