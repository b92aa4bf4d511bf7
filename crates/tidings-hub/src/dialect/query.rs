//! The query of a request: its parameters, percent-decoded.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::Refusal;

/// The value of the first parameter of this name, as it was sent.
pub(crate) fn raw<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    let mut pairs = query?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The parameters of a query. A value that is not UTF-8 is refused only if the parameter is known.
pub(crate) fn pairs(query: Option<&str>) -> impl Iterator<Item = (String, Result<String, Refusal>)> {
    query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8().map(Cow::into_owned)
        };
        let name = decode(name).unwrap_or_default();
        let value = decode(value).map_err(|_| {
            Refusal::invalid(format!("{name} is {value:?}, which is not UTF-8 when it is percent-decoded"))
        });
        (name, value)
    })
}
