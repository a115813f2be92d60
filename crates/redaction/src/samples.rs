/// Invented secrets of every known shape. They are put together here, so that no scanner reports them as real ones.
pub(crate) fn samples() -> Vec<(&'static str, String)> {
    let word = "0123456789abcdefABCDEF0123456789abcdef";
    vec![
        ("anthropic", format!("sk-ant-api03-{word}-_{word}AA")),
        ("anthropic", format!("sk-ant-oat01-{word}")),
        ("openai", format!("sk-proj-{word}")),
        ("openai", format!("sk-{word}")),
        ("stripe", format!("sk_live_{word}")),
        ("github", format!("ghp_{word}")),
        ("github", format!("gho_{word}")),
        ("github", format!("github_pat_11ABC_{word}")),
        ("gitlab", format!("glpat-{word}")),
        ("npm", format!("npm_{word}")),
        ("huggingface", format!("hf_{word}")),
        ("aws", format!("AKIA{}", "IOSFODNN7EXAMPLE")),
        ("google", format!("AIza{}", &word[..35])),
        ("google", format!("ya29.{word}")),
        ("slack", format!("xoxb-{}-{}", "123456789012", "abcdefABCDEF")),
        ("jwt", format!("eyJ{0}.eyJ{0}.{0}", "hbGciOiJIUzI1NiJ9")),
        ("private-key", format!("-----BEGIN RSA PRIVATE KEY-----\n{word}\n{word}\n-----END RSA PRIVATE KEY-----")),
    ]
}
