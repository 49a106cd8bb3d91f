//! One value of a record without decoding it: what the merge asks of every record before its turn.
//!
//! A look that ends at the value found. It knows plain records only, which nearly all are: one
//! object whose texts have no escapes, with nothing nested before the name. For everything else it
//! finds nothing, and the caller asks the decoder. Invariant: for a record that can be decoded, it
//! finds what the decoder sets first for that name. It does not say whether the record is well
//! formed.

use crate::schema::Scalar;

/// The first value of `name` in the body, when that is a whole number or a text; `None` when the
/// decoder has to look.
#[must_use]
pub fn first_scalar<'a>(body: &'a [u8], name: &str) -> Option<Scalar<'a>> {
    let mut look = Look { rest: body };
    look.pass(b'{')?;
    loop {
        let found = look.text()?;
        look.pass(b':')?;
        if found == name.as_bytes() {
            return look.scalar();
        }
        look.pass_scalar()?;
        look.pass(b',')?;
    }
}

/// What is still to be looked at.
struct Look<'a> {
    rest: &'a [u8],
}

impl<'a> Look<'a> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn pass(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    /// A text without escapes.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.pass(b'"')?;
        let length = self.rest.iter().position(|&byte| byte == b'"' || byte == b'\\')?;
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    /// What is neither text, object nor array: up to what may follow a value.
    fn token(&mut self) -> Option<&'a [u8]> {
        let ends = |byte: &u8| matches!(byte, b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
        let (token, rest) = self.rest.split_at(self.rest.iter().position(ends)?);
        self.rest = rest;
        let is_plain = !token.is_empty() && !matches!(token[0], b'{' | b'[');
        is_plain.then_some(token)
    }

    fn pass_scalar(&mut self) -> Option<()> {
        self.skip_space();
        match self.rest.first()? {
            b'"' => self.text().map(|_| ()),
            _ => self.token().map(|_| ()),
        }
    }

    fn scalar(&mut self) -> Option<Scalar<'a>> {
        self.skip_space();
        if self.rest.first() == Some(&b'"') {
            return std::str::from_utf8(self.text()?).ok().map(Scalar::Text);
        }
        let token = self.token()?;
        let digits = token.strip_prefix(b"-").unwrap_or(token);
        // 18 digits fit; a leading zero is no number, and -0 is the decoder's.
        let is_whole = digits.len() <= 18
            && digits.iter().all(u8::is_ascii_digit)
            && (digits.first()? != &b'0' || token == b"0");
        if !is_whole {
            return None;
        }
        let size = digits.iter().fold(0, |sum, digit| 10 * sum + i64::from(digit - b'0'));
        Some(Scalar::Int(if digits.len() == token.len() { size } else { -size }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Place;
    use crate::source::decode::{MessageParts, Names, read_message};
    use crate::source::rows::{Cells, Fault};
    use proptest::prelude::*;

    /// The first value the decoder sets, rendered, of a record that can be decoded.
    fn decoded(body: &[u8], name: &str) -> Option<String> {
        struct First(Option<String>);
        impl Cells for First {
            fn set(&mut self, _field: usize, value: Scalar<'_>) -> Result<(), Fault> {
                self.0.get_or_insert(format!("{value:?}"));
                Ok(())
            }
        }
        let mut first = First(None);
        let names = Names::of_places([&Place::Body(name.to_owned())]);
        let message = MessageParts { payload: body, ..MessageParts::default() };
        read_message(&names, &message, &mut first).ok()?;
        Some(first.0.unwrap_or_else(|| "nothing".to_owned()))
    }

    fn looked(body: &str) -> Option<String> {
        first_scalar(body.as_bytes(), "t").map(|value| format!("{value:?}"))
    }

    #[test]
    fn finds_what_is_plain_and_leaves_the_rest() {
        assert_eq!(looked(r#"{"a":1.5,"b":"x","t":1700,"c":2}"#).as_deref(), Some("Int(1700)"));
        assert_eq!(looked("{ \"a\" : null ,\r\n\"t\"\t: -7 }").as_deref(), Some("Int(-7)"));
        assert_eq!(looked(r#"{"t":"2018-04-01"}"#).as_deref(), Some("Text(\"2018-04-01\")"));
        assert_eq!(looked(r#"{"t":0}"#).as_deref(), Some("Int(0)"));
        for left in [
            r#"{"a":{"t":1},"t":2}"#,
            r#"{"a":[1],"t":2}"#,
            r#"{"a\"t":1,"t":2}"#,
            r#"{"t":1.5}"#,
            r#"{"t":1e3}"#,
            r#"{"t":-0}"#,
            r#"{"t":01}"#,
            r#"{"t":1234567890123456789}"#,
            r#"{"t":null}"#,
            r#"{"a":1}"#,
            r#"{"t":12"#,
            r#"{}"#,
            "",
        ] {
            assert_eq!(looked(left), None, "{left}");
        }
    }

    proptest! {
        /// Words of JSON in any order: few are records, and those that are must agree.
        #[test]
        fn agrees_with_the_decoder_on_every_record(
            words in prop::collection::vec(prop::sample::select(vec![
                "\"t\":", "\"a\":", "\"\\u0074\":", "1", "-20", "0", "1.5", "1e2", "null", "true",
                "\"x\"", "\"t\"", "\"\\\"t\\\":1\"", "{\"t\":3}", "[1,{\"t\":4}]", " ", ",",
                "1234567890123456789", "\"}\"", "\"t\":7", "\"a\":\"é\"", "\"t\":-0",
            ]), 0..8),
            separator in prop::sample::select(vec!["", ","]),
        ) {
            let body = format!("{{{}}}", words.join(separator));
            if let (Some(found), Some(expected)) = (looked(&body), decoded(body.as_bytes(), "t")) {
                prop_assert_eq!(found, expected, "{}", body);
            }
        }
    }
}
