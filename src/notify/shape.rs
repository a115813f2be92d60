//! The bodies of webhooks.
//!
//! - ntfy: JSON to the server's root, with the topic in it (<https://docs.ntfy.sh/publish/#publish-as-json>).
//! - Slack: an incoming webhook takes `text`, in which `&`, `<` and `>` are escaped; unescaped they are markup, which can
//!   address everyone (<https://docs.slack.dev/messaging/formatting-message-text>).
//! - Discord: `content`, up to 2,000 characters; without `allowed_mentions` a text could address everyone
//!   (<https://docs.discord.com/developers/resources/webhook#execute-webhook>).

use serde_json::{Value, json};

use super::message::{Message, cut};
use crate::config::NotifyEvent;

/// The longest `content` of Discord, in characters.
const DISCORD_LIMIT_CHARS: usize = 2_000;

/// For ntfy.
pub(super) fn ntfy(message: &Message, topic: &str) -> Value {
    let named = |event: NotifyEvent| message.event == event.name();
    let is_urgent = [NotifyEvent::NeedsUser, NotifyEvent::Approval, NotifyEvent::Failed, NotifyEvent::Stuck];
    let tag = if named(NotifyEvent::Completed) {
        "white_check_mark"
    } else if named(NotifyEvent::Limited) || named(NotifyEvent::Budget) {
        "hourglass"
    } else if named(NotifyEvent::Approval) || named(NotifyEvent::NeedsUser) {
        "question"
    } else if named(NotifyEvent::Restarts) {
        "arrows_counterclockwise"
    } else if named(NotifyEvent::Failed) || named(NotifyEvent::Stuck) {
        "x"
    } else {
        "wave"
    };
    json!({
        "topic": topic,
        "title": message.title,
        "message": message.body(),
        "priority": if is_urgent.into_iter().any(named) { 4 } else { 3 },
        "tags": [tag],
    })
}

/// For Slack.
pub(super) fn slack(message: &Message) -> Value {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({"text": format!("*{}*\n{}", escaped(&message.title), escaped(&message.body()))})
}

/// For Discord.
pub(super) fn discord(message: &Message) -> Value {
    let content = cut(format!("**{}**\n{}", message.title, message.body()), DISCORD_LIMIT_CHARS);
    json!({"content": content, "allowed_mentions": {"parse": []}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &str, text: &str) -> Message {
        let mut message = Message::test("/w", 7);
        event.clone_into(&mut message.event);
        text.clone_into(&mut message.text);
        "ccc: fix <completed> (shop)".clone_into(&mut message.title);
        message.command = Some("ccc report fix".to_owned());
        message
    }

    #[test]
    fn ntfy_gets_topic_title_message_priority_and_tags() {
        let expected = json!({
            "topic": "mine",
            "title": "ccc: fix <completed> (shop)",
            "message": "all is there\nccc report fix",
            "priority": 3,
            "tags": ["white_check_mark"],
        });
        assert_eq!(ntfy(&message("completed", "all is there"), "mine"), expected);
        let urgent = ntfy(&message("approval", "may it"), "mine");
        assert_eq!((&urgent["priority"], &urgent["tags"]), (&json!(4), &json!(["question"])));
    }

    #[test]
    fn slack_gets_text_in_which_nothing_is_markup() {
        let sent = slack(&message("failed", "<!channel> a & b"));
        let text = "*ccc: fix &lt;completed&gt; (shop)*\n&lt;!channel&gt; a &amp; b\nccc report fix";
        assert_eq!(sent, json!({"text": text}));
    }

    #[test]
    fn discord_gets_bounded_content_that_addresses_nobody() {
        let sent = discord(&message("failed", "@everyone"));
        let content = "**ccc: fix <completed> (shop)**\n@everyone\nccc report fix";
        assert_eq!(sent, json!({"content": content, "allowed_mentions": {"parse": []}}));
        let long = discord(&message("failed", &"x".repeat(3_000)));
        assert_eq!(long["content"].as_str().map(|text| text.chars().count()), Some(DISCORD_LIMIT_CHARS));
    }
}
