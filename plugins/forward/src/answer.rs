//! What a receiver's answer means: its status, its `Retry-After`, and what is kept of its words.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use hookyard_plugin::{Failure, Outcome};
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use url::Url;

/// "Later", whatever else is a dead letter: they are retried always.
const LATER: [u16; 4] = [408, 425, 429, 503];
/// A `Location` in a message.
const LOCATION_BYTES_MAX: usize = 256;

/// The statuses that no retry will help.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rejecting {
    statuses: BTreeSet<u16>,
    client_errors: bool,
}

/// A whole answer, its text cut and cleaned.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) excerpt: String,
}

impl Rejecting {
    /// Takes a status, or "4xx": all of 400 to 499 but those that say "later". Says whether it could.
    pub(crate) fn add(&mut self, word: &str) -> bool {
        if word == "4xx" {
            self.client_errors = true;
            return true;
        }
        let status =
            word.parse().ok().filter(|status| (400..=599).contains(status) && ![429, 503].contains(status));
        self.statuses.extend(status);
        status.is_some()
    }

    fn holds(&self, status: u16) -> bool {
        self.statuses.contains(&status)
            || (self.client_errors && (400..=499).contains(&status) && !LATER.contains(&status))
    }
}

impl Answer {
    /// What hookyard is told. `target` is the URL that was asked, `now` the time for dates in `Retry-After`.
    pub(crate) fn judge(
        self,
        target: &Url,
        rejecting: &Rejecting,
        now: SystemTime,
    ) -> Result<Outcome, Failure> {
        let host = target.host_str().unwrap_or_default();
        let status = self.status;
        if status.is_success() {
            let mut result = json!({ "status": status.as_u16() });
            if !self.excerpt.is_empty() {
                result["response"] = self.excerpt.into();
            }
            return Ok(Outcome::done().with_result(result));
        }
        let code = format!("http_{}", status.as_u16());
        let mut message = format!("{host} answered {status}");
        if status.is_redirection() {
            message.push_str(&redirected(&self.headers, target));
            return Err(Failure::retry(code, message));
        }
        if !self.excerpt.is_empty() {
            message = format!("{message}: {}", self.excerpt);
        }
        if rejecting.holds(status.as_u16()) {
            return Err(Failure::reject(code, message));
        }
        let failure = Failure::retry(code, message);
        Err(match retry_after(&self.headers, now) {
            Some(wait) => failure.after(wait),
            None => failure,
        })
    }
}

/// The wait that `Retry-After` asks for: seconds, or a date. `None` where it says nothing usable, or no wait at all.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than fit are as good as forever; hookyard has a longest wait.
        Duration::from_secs(value.parse().unwrap_or(u64::from(u32::MAX)))
    } else {
        httpdate::parse_http_date(value).ok()?.duration_since(now).ok()?
    };
    (!wait.is_zero()).then_some(wait)
}

/// Where a redirect points, without what may be a secret in it.
fn redirected(headers: &HeaderMap, target: &Url) -> String {
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location.and_then(|location| target.join(location).ok()) else {
        return "; redirects are not followed".to_owned();
    };
    let place = format!("{}{}", location.origin().ascii_serialization(), location.path());
    let place = &place[..place.floor_char_boundary(LOCATION_BYTES_MAX)];
    format!(" and points at {place}; redirects are not followed: write the last address in `url`")
}

/// The beginning of a text for one line: without control characters and secrets, white space drawn together.
pub(crate) fn excerpt(body: &[u8], max: usize, secrets: &[String]) -> String {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for secret in secrets {
        text = text.replace(secret.as_str(), "[secret]");
    }
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = words.collect::<Vec<_>>().join(" ");
    if line.len() > max {
        line.truncate(line.floor_char_boundary(max));
        if max > 0 {
            line.push('\u{2026}');
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn answer(status: u16, headers: &[(http::HeaderName, &str)]) -> Result<Outcome, Failure> {
        answer_with(status, headers, &Rejecting::default())
    }

    fn answer_with(
        status: u16,
        headers: &[(http::HeaderName, &str)],
        rejecting: &Rejecting,
    ) -> Result<Outcome, Failure> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect();
        let answer =
            Answer { status: StatusCode::from_u16(status).unwrap(), headers, excerpt: "words".into() };
        answer.judge(&Url::parse("https://shop.example/hooks").unwrap(), rejecting, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn every_2xx_is_done_and_tells_the_status() {
        for status in [200, 201, 202, 204, 299] {
            let result = json!({ "status": status, "response": "words" });
            assert_eq!(answer(status, &[]), Ok(Outcome::done().with_result(result)));
        }
    }

    #[test]
    fn what_is_rejected_is_what_the_settings_name() {
        let mut rejecting = Rejecting::default();
        assert!(rejecting.add("410") && rejecting.add("501"));
        for refused in ["200", "302", "399", "429", "503", "600", "5xx", "", "-410", "4XX"] {
            assert!(!rejecting.add(refused), "{refused}");
        }
        let rejects =
            |status, rejecting: &Rejecting| answer_with(status, &[], rejecting).unwrap_err().is_reject();
        for status in 400..=599 {
            assert_eq!(rejects(status, &rejecting), [410, 501].contains(&status), "{status}");
        }
        assert!(rejecting.add("4xx"));
        for status in 400..=499 {
            assert_eq!(rejects(status, &rejecting), ![408, 425, 429].contains(&status), "{status}");
        }
        let failure = answer_with(422, &[], &rejecting).unwrap_err();
        assert_eq!(
            (failure.code(), failure.message()),
            ("http_422", "shop.example answered 422 Unprocessable Entity: words")
        );
    }

    #[test]
    fn retry_after_is_honoured_in_both_its_forms() {
        let after = |status, value: &str| answer(status, &[(RETRY_AFTER, value)]).unwrap_err();
        let plain = |status, text: &str| {
            Failure::retry(format!("http_{status}"), format!("shop.example answered {text}: words"))
        };
        let (busy, down) = ("429 Too Many Requests", "503 Service Unavailable");
        assert_eq!(after(429, "120"), plain(429, busy).after(Duration::from_secs(120)));
        let date = after(503, "Thu, 01 Jan 1970 00:10:00 GMT");
        assert_eq!(date, plain(503, down).after(Duration::from_secs(600)));
        for none in ["0", "soon", "-5", "", "Wed, 31 Dec 1969 00:00:00 GMT", "1.5"] {
            assert_eq!(after(503, none), plain(503, down), "{none:?}");
        }
        let forever = after(503, "99999999999999999999");
        assert_eq!(forever, plain(503, down).after(Duration::from_secs(u64::from(u32::MAX))));
    }

    #[test]
    fn a_redirect_is_a_failure_that_says_where_it_points() {
        let message = |location: &str| {
            let failure = answer(302, &[(LOCATION, location)]).unwrap_err();
            assert!(!failure.is_reject());
            failure.message().to_owned()
        };
        let told = message("https://user:pass@other.example/login?token=secret#x");
        assert!(told.contains("302 Found and points at https://other.example/login; "), "{told}");
        assert!(message("/elsewhere").contains("points at https://shop.example/elsewhere;"));
        assert_eq!(message("https://["), "shop.example answered 302 Found; redirects are not followed");
        assert!(message(&format!("/{}", "x".repeat(5000))).len() < 500);
    }

    #[test]
    fn an_excerpt_is_one_line_without_secrets() {
        let secrets = ["whsec_abc".to_owned()];
        assert_eq!(excerpt(b"a\r\n\tb\x1b[31m  whsec_abc\xff", 100, &secrets), "a b [31m [secret]\u{fffd}");
        assert_eq!(excerpt(b"", 100, &secrets), "");
        assert_eq!(excerpt(b"abc", 0, &secrets), "");
        assert_eq!(excerpt("\u{e4}\u{e4}".as_bytes(), 3, &[]), "\u{e4}\u{2026}");
    }

    proptest! {
        #[test]
        fn an_excerpt_is_bounded_and_of_one_line(body in prop::collection::vec(any::<u8>(), 0..600), max in 0_usize..300) {
            let line = excerpt(&body, max, &[]);
            let mark = '\u{2026}'.len_utf8();
            prop_assert!(line.len() <= max + mark);
            prop_assert!(!line.chars().any(char::is_control));
        }

        #[test]
        fn retry_after_never_fails(value in "[ -~]{0,40}") {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(&value).unwrap());
            let wait = retry_after(&headers, SystemTime::UNIX_EPOCH);
            prop_assert!(wait.is_none_or(|wait| !wait.is_zero()));
        }
    }
}
