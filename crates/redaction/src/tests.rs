use proptest::prelude::*;

use crate::samples::samples;
use crate::{Redactor, mark_in};

fn json_of(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn each_known_shape_is_replaced_in_text_and_in_json() {
    let redactor = Redactor::new();
    for (kind, secret) in samples() {
        let expected = format!("key=[redacted:{kind}] end");
        let text = format!("key={secret} end");
        assert_eq!(redactor.text(&text), expected);
        assert_eq!(redactor.json_str(&json_of(&text)), json_of(&expected));
        // After an escaped line end, whose letter must not hide the word boundary.
        let json = json_of(&format!("\n{secret}\t\n"));
        assert_eq!(redactor.json_str(&json), json_of(&format!("\n[redacted:{kind}]\t\n")));
        // JSON inside JSON, as in tool results.
        let nested = json_of(&json_of(&text));
        assert_eq!(redactor.json_str(&nested), json_of(&json_of(&expected)));
        assert_eq!(redactor.text(&secret), format!("[redacted:{kind}]"));
    }
}

#[test]
fn a_bearer_token_goes_and_the_word_stays() {
    let redactor = Redactor::new();
    assert_eq!(
        redactor.text("Authorization: Bearer abc.DEF-123~456+789/=="),
        "Authorization: Bearer [redacted:bearer]"
    );
}

#[test]
fn prose_and_names_stay_readable() {
    let redactor = Redactor::new();
    for text in [
        "the bearer token authentication-required-by-the-server is missing",
        "task-0123456789abcdef0123456789",
        "sk-some-long-kebab-case-identifier-name",
        "keys begin with sk-ant- or ghp_ or AKIA",
        "-----BEGIN PRIVATE KEY----- is the first line",
        "grep -r 'BEGIN RSA PRIVATE KEY' .",
        "eyJust.a.word and risk-1234",
        "3f2b8c1e-0000-4000-8000-000000000001",
        "MAKIAVELLIABCDEFGHIJKLMNOP",
    ] {
        assert_eq!(redactor.text(text), text);
    }
}

#[test]
fn a_key_cut_off_in_the_middle_goes_as_far_as_it_is_there() {
    let redactor = Redactor::new();
    let body = "MIIEpAIBAAKCAQEA7bq".repeat(4);
    let text = format!("x -----BEGIN PRIVATE KEY-----\n{body}\n{body}");
    assert_eq!(redactor.text(&text), "x [redacted:private-key]");
    let after = format!("-----BEGIN EC PRIVATE KEY-----\n{body}\n-----END EC PRIVATE KEY----- and more");
    assert_eq!(redactor.text(&after), "[redacted:private-key] and more");
}

#[test]
fn registered_values_go_wherever_they_stand() {
    let redactor = Redactor::with_values(["pa/ss\"wörd\\1", "hunter2hunter2", "short"]);
    assert_eq!(redactor.text("xxhunter2hunter2yy short"), "xx[redacted:value]yy short");
    let json = json_of("a pa/ss\"wörd\\1 b");
    assert_eq!(redactor.json_str(&json), json_of("a [redacted:value] b"));
    assert_eq!(redactor.json_str(&json.replace('/', "\\/")), json_of("a [redacted:value] b"));
    let whole = "sk-ant-api03-0123456789abcdef";
    let mut redactor = Redactor::new();
    assert!(redactor.register(&whole[..20]));
    assert!(!redactor.register("redacted"), "a piece of our own mark");
    assert!(!redactor.register("1234567"), "too short");
    assert_eq!(redactor.text(whole), "[redacted:anthropic]", "the longer match wins");
}

#[test]
fn a_cut_tail_does_not_begin_with_the_rest_of_a_secret() {
    let redactor = Redactor::with_values(["hunter2hunter2"]);
    assert_eq!(redactor.tail(b"ter2hunter2 and so on\nits last line", true), "its last line");
    assert_eq!(redactor.tail(b"ter2hunter2 and hunter2hunter2", true), " and [redacted:value]");
    assert_eq!(redactor.tail(b"ter2hunter2", true), "");
    assert_eq!(redactor.tail(b"all hunter2hunter2 of it\nis here", false), "all [redacted:value] of it\nis here");
}

#[test]
fn a_bearer_token_with_escaped_slashes_goes_as_a_whole() {
    let json = r#"{"h":"Authorization: Bearer abc\/def\/ghijklmnop9qr\/st, then"}"#;
    assert_eq!(Redactor::new().json_str(json), r#"{"h":"Authorization: Bearer [redacted:bearer], then"}"#);
}

#[test]
fn numbers_and_structure_are_left_alone() {
    let redactor = Redactor::with_values(["12345678", "true,false"]);
    let json = r#"{"pid":12345678,"a":[true,false],"s":"12345678"}"#;
    assert_eq!(redactor.json_str(json), r#"{"pid":12345678,"a":[true,false],"s":"[redacted:value]"}"#);
}

#[test]
fn a_value_is_not_found_inside_an_escape() {
    let redactor = Redactor::with_values(["nabcdefgh"]);
    let json = r#""x\nabcdefgh nabcdefgh""#;
    assert_eq!(redactor.json_str(json), r#""x\nabcdefgh [redacted:value]""#);
}

#[test]
fn a_redactor_does_not_show_its_values() {
    let redactor = Redactor::with_values(["hunter2hunter2"]);
    assert_eq!(format!("{redactor:?}"), "Redactor { values: 1, .. }");
}

/// Parts of texts with many secrets, near-secrets and escapes.
fn piece() -> impl Strategy<Value = String> {
    let secrets: Vec<String> = samples().into_iter().map(|(_, secret)| secret).collect();
    prop_oneof![
        proptest::sample::select(secrets.clone()),
        (proptest::sample::select(secrets), any::<proptest::sample::Index>())
            .prop_map(|(secret, index)| secret[..index.index(secret.len())].to_owned()),
        "[ -~]{0,12}",
        "[a-zA-Z0-9_.-]{0,30}",
        proptest::sample::select(vec![
            "\n",
            "\\",
            "\"",
            "\\n",
            "\\\\",
            "n",
            "\u{1}",
            "é",
            "Bearer ",
            "bearer 0123456789abcdef",
            "[redacted:",
            "[redacted:value]",
            "]",
            "s3cr3t-value",
            "va\"l/ue\\x",
            "eyJ",
            ".eyJ",
            "-----BEGIN ",
            " PRIVATE KEY-----",
            "-----END ",
            "sk-",
            "AKIA",
            "\u{e9}abcdefgh",
        ])
        .prop_map(str::to_owned),
    ]
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(piece(), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn json_stays_json_and_twice_is_once(texts in proptest::collection::vec(text(), 1..4), nested in any::<bool>()) {
        let redactor = Redactor::with_values(["s3cr3t-value", "va\"l/ue\\x", "nabcdefgh", "\u{e9}abcdefgh"]);
        let mut json = serde_json::json!({ "type": "assistant", "n": 12345678, "texts": &texts }).to_string();
        if nested {
            json = json_of(&json);
        }
        let once = redactor.json_str(&json).into_owned();
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(&once);
        prop_assert!(parsed.is_ok(), "{} -> {}", json, once);
        prop_assert_eq!(redactor.json_str(&once), once.as_str());
        if !nested {
            let shown = parsed.unwrap()["texts"].to_string();
            prop_assert!(!shown.contains("s3cr3t-value"), "{}", shown);
        }
    }

    #[test]
    fn text_redacted_twice_is_text_redacted_once(text in text()) {
        let redactor = Redactor::with_values(["s3cr3t-value", "va\"l/ue\\x"]);
        let once = redactor.text(&text).into_owned();
        prop_assert_eq!(redactor.text(&once), once.as_str());
        prop_assert!(!once.contains("s3cr3t-value"));
    }

    #[test]
    fn text_without_secrets_is_not_copied(text in "[a-z ]{0,200}") {
        let redactor = Redactor::new();
        prop_assert!(matches!(redactor.text(&text), std::borrow::Cow::Borrowed(_)));
    }
}

/// Found by the fuzz target `redactor`: the end of a secret that began inside another one remained.
#[test]
fn secrets_that_overlap_go_together() {
    let redactor = Redactor::with_values(["0123/hidden-part", "part-of-another/one"]);
    for text in [
        "sk-0123456789abcdef01230123/hidden-part",
        "0123/hidden-part-of-another/one",
        "sk-0123456789abcdef01230123/hidden-part-of-another/one",
    ] {
        let clean = redactor.text(text).into_owned();
        assert!(clean.starts_with("[redacted:") && clean.ends_with(']') && clean.len() < 24, "{text}: {clean}");
        assert_eq!(redactor.json_str(&json_of(text)), json_of(&clean));
    }
    assert_eq!(Redactor::with_values(["aabaa-aab"]).text("aabaa-aabaa-aab!"), "[redacted:value]!");
    let redactor = Redactor::with_values(["rer 0123456789ab"]);
    assert_eq!(redactor.text("Bearer 0123456789abcdef"), "Bea[redacted:bearer]");
}

/// Found by the fuzz target `redactor`: a document that was cut off is no longer JSON, but has its escapes.
#[test]
fn a_value_is_found_in_a_document_that_was_cut_off() {
    let redactor = Redactor::with_values(["va\"l/ue\\x-y"]);
    let document = json_of("is va\"l/ue\\x-y");
    assert_eq!(redactor.text(&document[..document.len() - 1]), "\"is [redacted:value]");
}

/// Two megabytes of near-secrets in one line. Quadratic time would take hours, and the test runner ends a test that
/// hangs.
#[test]
fn a_long_hostile_line_is_redacted_in_linear_time() {
    let redactor = Redactor::with_values(["s3cr3t-value"]);
    for piece in ["sk-", "eyJ", "eyJ-", "-----BEGIN PRIVATE KEY-----", "Bearer ", "-----BEGIN ", "\\\""] {
        let json = format!("\"{}\"", piece.repeat(2_000_000 / piece.len()));
        let out = redactor.json_str(&json);
        assert!(out.len() <= json.len());
    }
}

/// Each character of the text as an escape of JSON, at this depth of JSON in JSON.
fn escaped(text: &str, depth: u32) -> String {
    let backslashes = "\\".repeat(1 << depth);
    text.encode_utf16().map(|unit| format!("{backslashes}u{unit:04x}")).collect()
}

#[test]
fn escapes_of_json_hide_no_secret_at_any_depth() {
    let own = "päss/wörd-🔑-of-the-user";
    let redactor = Redactor::with_values([own]);
    for (kind, secret) in samples().into_iter().chain([("value", own.to_owned())]) {
        // Real line ends of a key are controls, which stay escaped.
        let secret = secret.replace('\n', " ");
        for depth in 0..3 {
            let whole = format!("\"key={} end\"", escaped(&secret, depth));
            let (head, tail) = secret.split_at(secret.char_indices().nth(3).unwrap().0);
            let part = format!("\"key={head}{} end\"", escaped(tail, depth));
            let slashes = format!("\"key={} end\"", secret.replace('/', &format!("{}/", "\\".repeat(1 << depth))));
            for json in [whole, part, slashes] {
                let expected = format!("\"key=[redacted:{kind}] end\"");
                assert_eq!(redactor.json_str(&json), expected, "{kind} {json}");
                assert_eq!(redactor.text(&json), expected, "{kind} {json}");
                assert_eq!(redactor.json_str(&expected), expected);
            }
        }
    }
}

#[test]
fn escapes_around_what_is_no_secret_stay_as_they_are() {
    let redactor = Redactor::new();
    let json = r#"{"text":"\u00e9 \/ \u001b[0m C:\\users \\u0041","nested":"{\"a\":\"\\u0041\"}"}"#;
    assert_eq!(redactor.json_str(json), json);
    let mixed = format!(r#"{{"text":"\u001b[0m \u0073k-ant-api03-{}","n":1}}"#, "a1b2c3d4e5f6a7b8c9d0");
    let redacted = redactor.json_str(&mixed).into_owned();
    assert_eq!(redacted, r#"{"text":"\u001b[0m [redacted:anthropic]","n":1}"#);
}

#[test]
fn a_mark_is_found_whatever_kind_it_is_of() {
    for (kind, secret) in samples() {
        let mark = format!("[redacted:{kind}]");
        assert_eq!(mark_in(&Redactor::new().text(&format!("an {secret} here"))), Some(mark));
    }
    let redactor = Redactor::with_values(["hunter2hunter2"]);
    assert_eq!(mark_in(&redactor.text("an hunter2hunter2")).as_deref(), Some("[redacted:value]"));
    assert_eq!(mark_in("Bearer [redacted:bearer]").as_deref(), Some("[redacted:bearer]"));
    assert_eq!(mark_in("[redacted] and [redacted:other]"), None);
}

/// Next to a mark such a value would be found again, composed of the mark and of text that is not secret.
#[test]
fn a_value_is_known_without_the_piece_of_a_mark_at_its_ends_where_enough_is_left() {
    for (value, known) in [
        ("12345678[redacted:", "12345678"),
        ("value]12345678", "12345678"),
        ("hub]a-longer-secret[re", "a-longer-secret"),
        ("1234567[redacted:", "1234567[redacted:"),
        ("value]1234567", "value]1234567"),
        ("pässwörd[", "pässwörd"),
    ] {
        let redactor = Redactor::with_values([value]);
        assert_eq!(redactor.text(&format!("<{known}>")), "<[redacted:value]>", "{value}");
        if known.len() > 8 {
            let less = &known[..known.len() - 1];
            assert_eq!(redactor.text(&format!("<{less}>")), format!("<{less}>"), "{value}");
        }
    }
}

#[test]
fn a_document_tells_whether_it_held_a_secret() {
    let redactor = Redactor::with_values(["hunter2hunter2"]);
    let mut json = br#"{"a":"hunter2hunter2"}"#.to_vec();
    assert!(redactor.json(&mut json));
    assert_eq!(json, br#"{"a":"[redacted:value]"}"#);
    assert!(!redactor.json(&mut json));
    assert_eq!(json, br#"{"a":"[redacted:value]"}"#);
}

#[test]
fn of_two_secrets_at_one_place_the_longer_goes_and_a_known_shape_gives_its_name() {
    let key = "sk-ant-api03-0123456789abcdef";
    for (value, text, clean) in [
        (format!("{key}/and+more"), format!("<{key}/and+more>"), "<[redacted:value]>"),
        (key.to_owned(), format!("<{key}>"), "<[redacted:anthropic]>"),
        (key[..20].to_owned(), format!("<{key}>"), "<[redacted:anthropic]>"),
    ] {
        assert_eq!(Redactor::with_values([value.as_str()]).text(&text), clean, "{value}");
    }
}

#[test]
fn secrets_side_by_side_are_two() {
    let redactor = Redactor::with_values(["hunter2hunter2", "s3cr3t-value", "pa/ss\"wörd\\1"]);
    assert_eq!(redactor.text("hunter2hunter2s3cr3t-value!"), "[redacted:value][redacted:value]!");
    assert_eq!(redactor.text("a pa/ss\"wörd\\1 b"), "a [redacted:value] b", "as it stands in plain text");
}

/// The shortest secret of each kind is replaced. A text that is one character shorter stays, because it may be an
/// ordinary word.
#[test]
fn each_kind_has_a_least_length() {
    let redactor = Redactor::new();
    let word = "0123456789abcdefABCDEF0123456789abcdef";
    for (kind, start, least) in [
        ("stripe", "sk_live_", 16),
        ("stripe", "rk_live_", 16),
        ("github", "ghp_", 20),
        ("github", "gho_", 20),
        ("github", "ghu_", 20),
        ("github", "ghs_", 20),
        ("github", "ghr_", 20),
        ("github", "github_pat_", 20),
        ("gitlab", "glpat-", 20),
        ("npm", "npm_", 30),
        ("huggingface", "hf_", 30),
        ("google", "AIza", 35),
        ("google", "ya29.", 20),
        ("slack", "xoxa-", 10),
        ("slack", "xoxb-", 10),
        ("slack", "xoxp-", 10),
        ("anthropic", "sk-ant-", 10),
        ("openai", "sk-", 20),
        ("jwt", "eyJ0123456.eyJ", 0),
        ("jwt", "eyJ0123456.eyJ0.", 0),
    ] {
        let shortest = format!("{start}{}", &word[..least]);
        assert_eq!(redactor.text(&format!("({shortest})")), format!("([redacted:{kind}])"), "{shortest}");
        assert_eq!(redactor.text(&shortest), format!("[redacted:{kind}]"), "at the end of the text");
        let shorter = format!("({})", shortest.split_at(shortest.len() - 1).0);
        if least > 0 {
            assert_eq!(redactor.text(&shorter), shorter);
        }
        if kind != "anthropic" {
            let within = format!("(a{shortest})");
            assert_eq!(redactor.text(&within), within, "not in the middle of a word");
            let after_mark = format!("ghp_{}-{shortest}", &word[..20]);
            assert_eq!(redactor.text(&after_mark), format!("[redacted:github]-[redacted:{kind}]"));
        }
    }
    for (kind, start) in [("aws", "AKIA"), ("aws", "ASIA")] {
        assert_eq!(redactor.text(&format!("{start}0123456789ABCDEF.")), format!("[redacted:{kind}]."));
        let lower = format!("{start}0123456789ABCDEf");
        assert_eq!(redactor.text(&lower), lower);
    }
    for jwt in ["eyJ012345.eyJ0", "eyJ0123456.ey0", "eyJ0123456-eyJ0", "eyJ0123456."] {
        assert_eq!(redactor.text(jwt), jwt);
    }
    assert_eq!(redactor.text("eyJ0123456.eyJ0.sig-na_ture.more"), "[redacted:jwt].more");
}

/// A name has no digit; a key of this length has one near its beginning.
#[test]
fn a_key_without_a_digit_near_its_beginning_is_a_name() {
    let redactor = Redactor::new();
    for (before, is_key) in [(0, true), (100, true), (127, true), (128, false), (400, false)] {
        let key = format!("sk-{}7{}", "a".repeat(before), "b".repeat(30));
        let expected = if is_key { "[redacted:openai]".to_owned() } else { key.clone() };
        assert_eq!(redactor.text(&key), expected, "{before}");
        let token = format!("Bearer {}7{}", "a".repeat(before), "b".repeat(30));
        let expected = if is_key { "Bearer [redacted:bearer]".to_owned() } else { token.clone() };
        assert_eq!(redactor.text(&token), expected, "{before}");
    }
    assert_eq!(redactor.text("bearer abcdefghijklmn-7"), "bearer [redacted:bearer]", "16 characters");
    assert_eq!(redactor.text("bearer abcdefghijklm-7"), "bearer abcdefghijklm-7", "15 characters");
    assert_eq!(redactor.text("xbearer abcdefghijklmn-7"), "xbearer abcdefghijklmn-7", "not in a word");
    // Each of many prefixes in one long run is checked separately.
    let run = format!("{}sk-{}7", "sk-a-".repeat(40), "a".repeat(20));
    assert!(redactor.text(&run).contains("[redacted:openai]"));
}

#[test]
fn a_private_key_needs_its_title_and_a_body() {
    let redactor = Redactor::new();
    let body = "A1b2C3d4".repeat(4);
    for begin in
        ["-----BEGIN PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----"]
    {
        for joint in ["\n", "\\n", "\\\\n", "\r\n", "\\r\\n", " ", "\t", "\\t", "\\/"] {
            assert_eq!(redactor.text(&format!("<{begin}{joint}{body}")), "<[redacted:private-key]", "{joint:?}");
            let end = begin.replace("BEGIN", "END");
            let whole = format!("<{begin}{joint}{body}{joint}{end}>");
            assert_eq!(redactor.text(&whole), "<[redacted:private-key]>", "{joint:?}");
        }
        let short = format!("{begin}\n{}", &body[..31]);
        assert_eq!(redactor.text(&short), short, "31 characters are no key");
        let headers = format!("{begin}\nProc-Type: 4,ENCRYPTED\n\n{body}\n");
        assert_eq!(redactor.text(&headers), "[redacted:private-key]");
        let other = format!("{begin}\n{body}\n-----END CERTIFICATE-----");
        assert_eq!(redactor.text(&other), "[redacted:private-key]-----END CERTIFICATE-----");
        let unclosed = format!("{begin}\n{body}\n-----END PRIVATE KEY---");
        assert_eq!(redactor.text(&unclosed), "[redacted:private-key]-----END PRIVATE KEY---");
    }
    for no_key in [
        format!("-----BEGIN PUBLIC KEY-----\n{body}"),
        format!("-----BEGIN PRIVATE KEY----\n{body}"),
        format!("-----BEGIN {} PRIVATE KEY-----\n{body}", "A".repeat(32)),
        format!("-----BEGIN PRIVATE KEY-----\\x{body}"),
        format!("-----BEGIN PRIVATE KEY-----({body}"),
    ] {
        assert_eq!(redactor.text(&no_key), no_key);
    }
    assert_eq!(redactor.text(&format!("-----BEGIN PRIVATE KEY-----\n{body}.x")), "[redacted:private-key].x");
}

#[test]
fn an_escape_before_a_secret_ends_the_word_before_it() {
    let redactor = Redactor::new();
    let key = "ghp_0123456789abcdefABCD";
    for before in ["\\n", "\\r", "\\t", "\\b", "\\f", "\\u001b", "\\u00E9", "-", ".", "é", "\""] {
        assert_eq!(redactor.text(&format!("x{before}{key}")), format!("x{before}[redacted:github]"), "{before}");
    }
    for before in ["a", "Z", "0", "_", "n", "\\x", "\\u00g1"] {
        let text = format!("x{before}{key}");
        assert_eq!(redactor.text(&text), text, "{before}");
    }
}
