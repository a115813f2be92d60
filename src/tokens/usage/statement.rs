//! Parses the answer of Anthropic's usage endpoint about a subscription (facts §9).

use serde_json::Value;

use super::super::rate_headers;
use super::window::{ExtraUsage, UsageWindow};
use crate::json::from_json;

/// How many windows of an answer are kept.
const WINDOWS_LIMIT: usize = 32;
/// The longest name of a window, in bytes.
const NAME_LIMIT_BYTES: usize = 64;
/// The largest plausible usage of a window, in percent.
const PERCENT_LIMIT: f64 = 10_000.0;

/// The usage of a subscription.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::tokens) struct Account {
    pub(in crate::tokens) windows: Vec<UsageWindow>,
    pub(in crate::tokens) extra: Option<ExtraUsage>,
}

/// Parses an answer: every object with a `utilization` is a window, whatever its name.
pub(in crate::tokens) fn account(body: &[u8], now_unix_ms: i64) -> Option<Account> {
    let answer: Value = from_json(body).ok()?;
    let fields = answer.as_object()?;
    let mut windows: Vec<UsageWindow> = fields
        .iter()
        .filter(|(name, value)| *name != "extra_usage" && value.get("utilization").is_some() && is_name(name))
        .map(|(name, value)| window(name.clone(), value.get("utilization"), value.get("resets_at"), now_unix_ms))
        .collect();
    let scoped = fields.get("limits").and_then(Value::as_array).into_iter().flatten().filter_map(|limit| {
        let model = limit.pointer("/scope/model/display_name")?.as_str()?;
        let slug: String =
            model.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        let kind = limit.get("kind")?.as_str()?.trim_end_matches("_scoped");
        let kind = if kind == "weekly" { "seven_day" } else { kind };
        let name = format!("{kind}_{slug}");
        is_name(&name).then(|| window(name, limit.get("percent"), limit.get("resets_at"), now_unix_ms))
    });
    for scoped in scoped {
        if windows.iter().all(|window| window.name != scoped.name) {
            windows.push(scoped);
        }
    }
    windows.truncate(WINDOWS_LIMIT);
    let extra = fields.get("extra_usage").and_then(extra);
    Some(Account { windows, extra })
}

fn window(name: String, percent: Option<&Value>, resets_at: Option<&Value>, now_unix_ms: i64) -> UsageWindow {
    let resets_at_unix_ms = resets_at.and_then(|value| match value {
        Value::String(text) => rate_headers::reset_unix_ms(text, now_unix_ms),
        Value::Number(number) => rate_headers::reset_unix_ms(&number.to_string(), now_unix_ms),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    });
    UsageWindow::new(name, percent.and_then(percentage), resets_at_unix_ms.map(|at| at.div_euclid(1_000)))
}

fn percentage(value: &Value) -> Option<f64> {
    value.as_f64().filter(|percent| (0.0..=PERCENT_LIMIT).contains(percent))
}

fn extra(value: &Value) -> Option<ExtraUsage> {
    let number = |name: &str| value.get(name).and_then(Value::as_f64).filter(|number| number.is_finite());
    let currency = value.get("currency").and_then(Value::as_str);
    Some(ExtraUsage {
        is_enabled: value.get("is_enabled")?.as_bool()?,
        monthly_limit: number("monthly_limit"),
        used_credits: number("used_credits"),
        utilization: value.get("utilization").and_then(percentage),
        currency: currency
            .filter(|text| text.len() <= 8 && text.bytes().all(|b| b.is_ascii_alphabetic()))
            .map(str::to_owned),
    })
}

/// Whether a name can be shown and stored unchanged.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_LIMIT_BYTES
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15 08:00:00 UTC.
    const NOW: i64 = 1_800_000_000_000;

    /// Name, percentage, reset in unix seconds.
    type Shown = (String, Option<f64>, Option<i64>);

    fn windows(body: &str) -> Option<Vec<Shown>> {
        let account = account(body.as_bytes(), NOW)?;
        let shown = account.windows.into_iter().map(|w| (w.name, w.utilization, w.resets_at_epoch));
        Some(shown.collect())
    }

    #[test]
    fn all_windows_of_an_answer_are_taken_as_they_come() {
        let body = r#"{
            "five_hour": {"utilization": 34.5, "resets_at": "2027-01-15T10:15:00.123456+00:00"},
            "seven_day": {"utilization": 81, "resets_at": null},
            "seven_day_opus": {"utilization": null, "resets_at": null},
            "seven_day_oauth_apps": null,
            "some_new_window": {"utilization": 1, "resets_at": 1800000060},
            "extra_usage": {"is_enabled": true, "monthly_limit": 5000, "used_credits": 120.5, "utilization": 2.41, "currency": "USD"},
            "limits": [{"kind": "weekly_scoped", "percent": 12, "resets_at": "2027-01-16T08:00:00Z",
                        "scope": {"model": {"display_name": "Sonnet 5"}}},
                       {"kind": "session", "percent": 34}, 7]
        }"#;
        let at = |s: i64| Some(NOW / 1_000 + s);
        assert_eq!(
            windows(body).expect("an account"),
            [
                ("five_hour".to_owned(), Some(34.5), at(8_100)),
                ("seven_day".to_owned(), Some(81.0), None),
                ("seven_day_opus".to_owned(), None, None),
                ("some_new_window".to_owned(), Some(1.0), at(60)),
                ("seven_day_sonnet_5".to_owned(), Some(12.0), at(86_400)),
            ]
        );
        let extra = account(body.as_bytes(), NOW).expect("an account").extra.expect("extra usage");
        assert!(extra.is_enabled);
        assert_eq!((extra.used_credits, extra.currency.as_deref()), (Some(120.5), Some("USD")));
    }

    #[test]
    fn what_is_odd_is_left_out_and_what_is_no_account_is_none() {
        let window = |text: &str| windows(&format!("{{\"five_hour\":{text}}}")).expect("an account");
        for (text, utilization, reset) in [
            (r#"{"utilization":-1}"#, None, None),
            (r#"{"utilization":1e9}"#, None, None),
            (r#"{"utilization":"12"}"#, None, None),
            (r#"{"utilization":12,"resets_at":"8pm"}"#, Some(12.0), None),
            (r#"{"utilization":12,"resets_at":"2083-01-15T08:00:00Z"}"#, Some(12.0), None),
            (r#"{"utilization":12,"resets_at":1800000060000}"#, Some(12.0), Some(NOW / 1_000 + 60)),
            (r#"{"utilization":12,"resets_at":{}}"#, Some(12.0), None),
        ] {
            assert_eq!(window(text), [("five_hour".to_owned(), utilization, reset)], "{text}");
        }
        for none in [r#"{"five_hour":7}"#, r#"{"five_hour":null}"#, "{}", r#"{"limits":{}}"#] {
            assert_eq!(windows(none).expect("an account"), [], "{none}");
        }
        let odd = r#"{"\u001b[31m": {"utilization": 1}, "A b": {"utilization": 1}, "": {"utilization": 1}}"#;
        assert_eq!(windows(odd).expect("an account"), [], "names that cannot be shown");
        for malformed in ["", "x", "[]", "null", "7", "{", "{\"five_hour\":"] {
            assert_eq!(windows(malformed), None, "{malformed:?}");
        }
        let many: Vec<String> = (0..200).map(|n| format!("\"w{n}\":{{\"utilization\":1}}")).collect();
        assert_eq!(windows(&format!("{{{}}}", many.join(","))).expect("an account").len(), WINDOWS_LIMIT);
    }
}
