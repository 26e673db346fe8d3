//! What a user may have meant by a word that is none of those known.
//!
//! By the macro's own measure, so that `--spec rabitmq` and `AMQP_SPEC=rabitmq` get the same answer.

use crate::spec::nearest;

/// `, did you mean `that`?` where one of the names is near to the word; else nothing.
pub(crate) fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, names).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn only_what_is_near_is_suggested() {
        let names = ["0-9-1", "rabbitmq"];
        assert_eq!(did_you_mean("rabitmq", names), ", did you mean `rabbitmq`?");
        assert_eq!(did_you_mean("0-9-2", names), ", did you mean `0-9-1`?");
        assert_eq!(did_you_mean("target/my.xml", names), "");
    }
}
