//! JSON by serde; with feature `json`.

use amqp_types::Body;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::essence;
use super::{BodyCodec, CodecError};

/// JSON, for every type that serde knows: `application/json`. Reads that, every `*/*+json`, and a message without a content
/// type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl<T: Serialize + DeserializeOwned> BodyCodec<T> for Json {
    fn content_type(&self) -> Option<&str> {
        Some("application/json")
    }

    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        serde_json::to_vec(value).map(Bytes::from).map_err(CodecError::encode)
    }

    fn decode(&self, body: &Body, content_type: Option<&str>) -> Result<T, CodecError> {
        if let Some(found) = content_type
            && !is_json(found)
        {
            return Err(CodecError::content_type(found));
        }
        serde_json::from_slice(&body.to_bytes()).map_err(CodecError::decode)
    }
}

fn is_json(content_type: &str) -> bool {
    let (essence, _) = essence(content_type);
    let lower = essence.to_ascii_lowercase();
    lower == "application/json"
        || lower == "text/json"
        || (lower.contains('/') && lower.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn json_reads_what_it_writes() {
        let value = BTreeMap::from([("a".to_owned(), vec![1, 2])]);
        let body = Body::from(Json.encode(&value).unwrap());
        assert_eq!(body.to_bytes(), r#"{"a":[1,2]}"#);
        for known in
            [None, Some("application/json"), Some("Application/JSON; x=y"), Some("a/b+json")]
        {
            let read: BTreeMap<String, Vec<i32>> = Json.decode(&body, known).unwrap();
            assert_eq!(read, value, "{known:?}");
        }
    }

    #[test]
    fn json_refuses_other_content_types_other_values_and_deep_nesting() {
        let decode = |body: Bytes, kind| BodyCodec::<Vec<i32>>::decode(&Json, &body.into(), kind);
        for unknown in ["text/plain", "+json", "application/jsonx"] {
            assert!(decode("[]".into(), Some(unknown)).unwrap_err().is_content_type(), "{unknown}");
        }
        for wrong in ["", "[", "{}", "[1] 2"] {
            assert!(!decode(wrong.into(), None).unwrap_err().is_content_type(), "{wrong}");
        }
        decode("[".repeat(1_000_000).into(), None).unwrap_err();
    }
}
