//! The agent's to-do list, which it keeps with its own tools: one call per item on 2.1.197 (`TaskCreate`,
//! `TaskUpdate`), the whole list at once on older CLIs (`TodoWrite`). In a session of ccc 2.1.332 has none of these
//! tools.

use std::collections::BTreeMap;

use super::target::first_line;
use crate::agent::TodoItem;
use crate::stream::Raw;

/// How many items are kept, and how many calls without a result.
const MAX_POINTS: usize = 256;

/// The list, as far as the calls reveal it.
#[derive(Debug, Clone, Default)]
pub(super) struct Todo {
    points: Vec<(String, TodoItem)>,
    /// Items whose creation has no result yet; the result names their ids.
    created: BTreeMap<String, String>,
}

impl Todo {
    /// The agent called this tool. True when the call changed the list.
    pub(super) fn called(&mut self, call: &str, tool: &str, input: Option<Raw<'_>>) -> bool {
        let Some(input) = input else { return false };
        let text = |name: &str| input.member(name).and_then(Raw::text).map(|text| first_line(&text));
        match tool {
            "TaskCreate" => {
                if self.created.len() < MAX_POINTS {
                    self.created.insert(call.to_owned(), text("subject").unwrap_or_default());
                }
                false
            }
            "TaskUpdate" => {
                let id = text("taskId").unwrap_or_default();
                let Some(at) = self.points.iter().position(|(known, _)| *known == id) else { return false };
                match text("status") {
                    Some(state) if state == "deleted" => drop(self.points.remove(at)),
                    state => {
                        let point = &mut self.points[at].1;
                        point.state = state.unwrap_or_else(|| point.state.clone());
                        point.text = text("subject").unwrap_or_else(|| point.text.clone());
                    }
                }
                true
            }
            "TodoWrite" => {
                let text_of = |item: Raw<'_>, name| {
                    item.member(name).and_then(Raw::text).map(|text| first_line(&text)).unwrap_or_default()
                };
                let items = input.member("todos").into_iter().flat_map(Raw::items).take(MAX_POINTS);
                let item = |item| TodoItem { text: text_of(item, "content"), state: text_of(item, "status") };
                self.points = items.map(|raw| (String::new(), item(raw))).collect();
                true
            }
            _ => false,
        }
    }

    /// A call returned with this result. True when that changed the list.
    pub(super) fn returned(&mut self, call: &str, failed: bool, result: Option<Raw<'_>>) -> bool {
        let Some(text) = self.created.remove(call).filter(|_| !failed && self.points.len() < MAX_POINTS) else {
            return false;
        };
        let id = result.and_then(|result| result.member("task")?.member("id")?.text());
        let id = id.map(|id| id.into_owned()).unwrap_or_default();
        self.points.push((id, TodoItem { text, state: "pending".to_owned() }));
        true
    }

    pub(super) fn items(&self) -> Vec<TodoItem> {
        self.points.iter().map(|(_, item)| item.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Todo;
    use crate::stream::Raw;

    #[test]
    fn the_list_follows_the_calls_that_make_and_move_its_points() {
        let mut todo = Todo::default();
        let raw = |json: &'static str| Raw::parse(json);
        assert!(!todo.called("c1", "TaskCreate", raw(r#"{"subject":"Write x","description":"d"}"#)));
        assert!(todo.returned("c1", false, raw(r#"{"task":{"id":"1","subject":"Write x"}}"#)));
        todo.called("c2", "TaskCreate", raw(r#"{"subject":"Refused"}"#));
        assert!(!todo.returned("c2", true, None), "a failed call makes no point");
        assert!(todo.called("c3", "TaskUpdate", raw(r#"{"taskId":"1","status":"in_progress"}"#)));
        assert!(!todo.called("c4", "TaskUpdate", raw(r#"{"taskId":"7","status":"completed"}"#)), "no such point");
        let items = todo.items();
        assert_eq!((items.len(), items[0].text.as_str(), items[0].state.as_str()), (1, "Write x", "in_progress"));
        assert!(
            todo.called("c5", "TaskUpdate", raw(r#"{"taskId":"1","status":"deleted"}"#)) && todo.items().is_empty()
        );
        assert!(todo.called("c6", "TodoWrite", raw(r#"{"todos":[{"content":"a","status":"completed"}]}"#)));
        assert_eq!(todo.items()[0].text, "a");
        assert!(!todo.called("c7", "Bash", raw(r#"{"command":"ls"}"#)));
    }
}
