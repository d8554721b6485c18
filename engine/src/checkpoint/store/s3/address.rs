//! The address of a bucket: parsed once, valid ever after. Nothing is escaped, and no secret may
//! stand in it.

use std::fmt;

use object_store::path::Path;

/// `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The bucket.
    pub bucket: String,
    /// Before all names; empty for none.
    pub prefix: String,
    /// URL of the service; `None` for that of Amazon in the region.
    pub endpoint: Option<String>,
    /// The region; `None` for what the environment says.
    pub region: Option<String>,
}

const OPTIONS: &str = "`endpoint`, `region`";

impl Address {
    /// From what follows `s3://`.
    pub(in crate::checkpoint::store) fn parse(text: &str) -> Result<Self, String> {
        let (place, options) = text.split_once('?').unwrap_or((text, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_end_matches('/').to_owned();
        let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if bucket.is_empty() || !bucket.chars().all(named) {
            return Err("the name of a bucket is of letters, digits, `-` and `.`".to_owned());
        }
        // What it would be changed to is not what was given.
        if Path::parse(&prefix).is_err() || prefix.starts_with('/') {
            return Err("the prefix is no path of plain names".to_owned());
        }
        let mut address = Self { bucket: bucket.to_owned(), prefix, endpoint: None, region: None };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            address.take_option(option)?;
        }
        Ok(address)
    }

    fn take_option(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let (place, is_valid) = match name {
            "endpoint" => (&mut self.endpoint, is_endpoint(value)),
            "region" => (&mut self.region, is_region(value)),
            _ => return Err(format!("it has an option that is none of {OPTIONS}")),
        };
        match place.replace(value.trim_end_matches('/').to_owned()) {
            Some(_) => Err(format!("option `{name}` is given twice")),
            None if is_valid => Ok(()),
            None if name == "endpoint" => {
                Err("the endpoint is no http://HOST:PORT or https://HOST \
                 (credentials come from the environment)"
                    .to_owned())
            }
            None => Err("the region is no name such as `eu-central-1`".to_owned()),
        }
    }

    /// An object in it, for messages.
    pub(super) fn object(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "" => format!("s3://{}/{name}", self.bucket),
            prefix => format!("s3://{}/{prefix}/{name}", self.bucket),
        }
    }

    /// Whether bytes go over the wire as they are.
    pub(super) fn is_plain(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"))
    }
}

fn is_endpoint(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:/[]".contains(c);
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/') && host.chars().all(plain))
}

fn is_region(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        let options = [("endpoint", &self.endpoint), ("region", &self.region)].into_iter();
        let given = options.filter_map(|(name, value)| Some((name, value.as_ref()?)));
        for (index, (name, value)) in given.enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Address::parse(text).expect_err("it is none")
    }

    #[test]
    fn it_is_printed_as_it_is_parsed() {
        for text in [
            "bucket",
            "bucket/app",
            "b.c-d/a/b?region=eu-central-1",
            "bucket/app?endpoint=http://127.0.0.1:9000",
            "bucket/app?endpoint=https://[::1]:9000/s3&region=x",
        ] {
            let address = Address::parse(text).expect("it is one");
            assert_eq!(address.to_string(), format!("s3://{text}"));
        }
        let ends_with_slashes = Address::parse("bucket/app/?endpoint=http://h:1/");
        assert_eq!(ends_with_slashes, Address::parse("bucket/app?endpoint=http://h:1"));
        assert_eq!(Address::parse("b/p").map(|it| it.object("HEAD")), Ok("s3://b/p/HEAD".into()));
        assert_eq!(Address::parse("b/").map(|it| it.object("HEAD")), Ok("s3://b/HEAD".into()));
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for (text, part) in [
            ("", "bucket"),
            ("/app", "bucket"),
            ("key@bucket/app", "bucket"),
            ("bucket//app", "prefix"),
            ("bucket/a//b", "prefix"),
            ("bucket/../app", "prefix"),
            ("bucket/a?endpoint=127.0.0.1:9000", "endpoint"),
            ("bucket/a?endpoint=http://", "endpoint"),
            ("bucket/a?region=", "region"),
            ("bucket/a?region=x&region=y", "twice"),
            ("bucket/a?size=1", "`endpoint`, `region`"),
        ] {
            assert!(refused(text).contains(part), "{text}: {}", refused(text));
        }
    }

    /// A secret that was put where none belongs is not in a log.
    #[test]
    fn a_secret_is_not_repeated() {
        for text in [
            "key:SECRET@bucket/app",
            "bucket/app?endpoint=http://key:SECRET@host",
            "bucket/app?SECRET=1",
            "bucket/app?region=SECRET/+=",
        ] {
            assert!(!refused(text).contains("SECRET"), "{}", refused(text));
        }
    }
}
