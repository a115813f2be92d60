//! The command that continues a run. Users copy it as it is, so it is complete: the run's id and what the run needs. A
//! word in capitals stands for what only the user can say; no command accepts it unchanged.

use super::format::bound;
use crate::core::shell::words;
use crate::core::{Amount, Finish, GoesOn, Needs, Plan, SpentBound};

const HOUR_MS: u64 = 3_600_000;
const MINUTE_MS: u64 = 60_000;
/// How much longer than to the reset a wait may last, because runs add jitter so that they do not all start at once.
const AFTER_RESET_MS: u64 = MINUTE_MS;

/// The arguments of `ccc resume` after the run's id; empty when nothing is needed.
pub(super) fn more(finish: &Finish, plan: &Plan, elapsed_ms: u64) -> String {
    let row = finish.outcome.row();
    let says = match (row.goes_on, &finish.needs) {
        (GoesOn::WithWords, Some(Needs::Checks { commands })) => checks(plan, commands),
        (GoesOn::WithWords, Some(Needs::Agreement)) => String::new(),
        (GoesOn::WithWords, Some(Needs::Permission { .. })) if row.goes_on_by_permission() => String::new(),
        (GoesOn::WithWords, _) => " -p \"TEXT\"".to_owned(),
        (GoesOn::WithMore, _) => finish.spent.map_or_else(String::new, raised),
        (GoesOn::PastLimit, needs) => past_limit(needs.as_ref(), plan, elapsed_ms),
        (GoesOn::AsItIs, _) => String::new(),
    };
    let arguments = finish.needs.as_ref().map(|needs| arguments(needs, plan, &finish.reason));
    format!("{says}{}", arguments.unwrap_or_default())
}

/// The option of the spent bound, with twice its value.
#[must_use]
pub fn raised(spent: SpentBound) -> String {
    let value = match (spent.used, spent.limit) {
        (Amount::Count(used), Amount::Count(limit)) => used.max(limit).saturating_mul(2).max(1).to_string(),
        // Whole hours, at least one more than what has passed.
        (Amount::Ms(used), Amount::Ms(limit)) => {
            let hours = limit.saturating_mul(2).div_ceil(HOUR_MS).max(used.div_ceil(HOUR_MS).saturating_add(1));
            bound(hours.saturating_mul(HOUR_MS))
        }
        // Whole dollars.
        (Amount::Usd(used), Amount::Usd(limit)) => (2.0 * used.max(limit)).ceil().max(1.0).to_string(),
        (Amount::Count(_) | Amount::Ms(_) | Amount::Usd(_) | Amount::UnixMs(_), _) => "+8h".to_owned(),
    };
    format!(" {} {value}", spent.bound.row().option)
}

/// The options that let the run wait for the reset and have time for work after it.
fn past_limit(needs: Option<&Needs>, plan: &Plan, elapsed_ms: u64) -> String {
    let budgets = &plan.budgets;
    let mut options = String::new();
    if plan.no_wait {
        options.push_str(" --wait");
    }
    let Some(Needs::Reset { at_unix_ms, now_unix_ms, .. }) = needs else { return options };
    let left_ms = u64::try_from(at_unix_ms.saturating_sub(*now_unix_ms)).unwrap_or(0).saturating_add(AFTER_RESET_MS);
    if budgets.max_wait_ms.is_some_and(|most| most < left_ms) {
        let step = if left_ms < HOUR_MS { 10 * MINUTE_MS } else { HOUR_MS };
        options.push_str(&format!(" --max-wait {}", bound(left_ms.next_multiple_of(step))));
    }
    let hours = |ms: u64| bound(ms.next_multiple_of(HOUR_MS).saturating_add(HOUR_MS));
    let needed_ms = elapsed_ms.saturating_add(left_ms);
    if budgets.max_duration_ms.is_some_and(|most| most <= needed_ms) {
        options.push_str(&format!(" --max-duration {}", hours(needed_ms)));
    }
    let passes = |until: i64| until.saturating_sub(*now_unix_ms) <= i64::try_from(left_ms).unwrap_or(i64::MAX);
    if budgets.until_unix_ms.is_some_and(passes) {
        options.push_str(&format!(" --until +{}", hours(left_ms)));
    }
    options
}

/// The run's checks, with a placeholder for each that cannot be run.
fn checks(plan: &Plan, missing: &[String]) -> String {
    let mut options = String::new();
    for check in &plan.checks {
        if missing.contains(&check.command) {
            options.push_str(" --check CMD");
        } else {
            options.push_str(" --check");
            options.push_str(&words([&check.command]));
        }
    }
    options
}

/// The arguments for the agent, which always come last.
fn arguments(needs: &Needs, plan: &Plan, complaint: &str) -> String {
    match needs {
        Needs::Permission { arguments } => format!(" --{}", words(arguments)),
        Needs::Arguments { .. } if refused_in_configuration(plan, complaint) => " --reload".to_owned(),
        Needs::Arguments { proven, falls_back } => {
            let instead = plan.agent.amended_args(&plan.agent_args, proven, complaint).instead;
            match (instead.as_slice(), falls_back) {
                ([], true) => String::new(),
                // Which ones are wrong is not known, so it continues without them.
                ([], false) => " --replace-args".to_owned(),
                (instead, _) => format!(" --{}", words(instead)),
            }
        }
        Needs::Reset { .. } | Needs::Checks { .. } | Needs::Agreement | Needs::Setup => String::new(),
    }
}

/// Whether the refused arguments come from the configuration, so that they must be corrected there.
pub(super) fn refused_in_configuration(plan: &Plan, complaint: &str) -> bool {
    let configured = plan.configured_agent_args();
    let refused = plan.agent.amended_args(&plan.agent_args, &[], complaint).refused;
    !refused.is_empty() && refused.iter().all(|arg| configured.contains(arg))
}

#[cfg(test)]
mod tests {
    use super::more;
    use crate::core::{Amount, Bound, Budgets, CheckPlan, Finish, Needs, Outcome, Plan, SpentBound};
    use crate::journal::Header;

    const BUDGETS: Budgets = Budgets::DEFAULT;
    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const NOW: i64 = 1_800_000_000_000;

    /// The plan of a recorded run. Each test sets what matters to it.
    fn plan() -> Plan {
        let journal = include_str!("../../fixtures/runs/demo/journal.jsonl");
        let header: Header = serde_json::from_str(journal.lines().next().expect("a header")).expect("a header");
        Plan { budgets: BUDGETS, no_wait: false, given: None, ..header.plan().expect("a plan") }
    }

    fn ended(outcome: Outcome, needs: Option<Needs>) -> Finish {
        Finish { needs, ..Finish::new(outcome, "") }
    }

    fn list(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_spent_bound_names_its_own_option_with_a_value_that_leaves_room() {
        let spent = |bound, used, limit| Some(SpentBound { bound, used, limit });
        let count = |bound, used, limit| spent(bound, Amount::Count(used), Amount::Count(limit));
        let time = |used, limit| spent(Bound::Duration, Amount::Ms(used), Amount::Ms(limit));
        let cost = |used, limit| spent(Bound::Cost, Amount::Usd(used), Amount::Usd(limit));
        let rows = [
            (count(Bound::Iterations, 20, 20), " --max-iterations 40"),
            (count(Bound::Iterations, 0, 0), " --max-iterations 1"),
            (count(Bound::Tokens, 130, 100), " --max-tokens 260"),
            (time(1_200, 1_000), " --max-duration 2h"),
            (time(8 * HOUR, 8 * HOUR), " --max-duration 16h"),
            (time(7 * HOUR, 90_000), " --max-duration 8h"),
            (cost(5.31, 5.0), " --max-cost-usd 11"),
            (cost(0.02, 0.02), " --max-cost-usd 1"),
            (spent(Bound::Until, Amount::UnixMs(NOW), Amount::UnixMs(NOW)), " --until +8h"),
            (None, ""),
        ];
        for (spent, advice) in rows {
            let finish = Finish { spent, ..ended(Outcome::Budget, None) };
            assert_eq!(more(&finish, &plan(), 0), advice);
        }
    }

    #[test]
    fn at_a_limit_each_bound_that_the_wait_passes_is_raised_beyond_the_reset() {
        let wait = |ms| Budgets { max_wait_ms: Some(ms), ..BUDGETS };
        let duration = |ms| Budgets { max_duration_ms: Some(ms), ..BUDGETS };
        let until = |ms: u64| Budgets { until_unix_ms: Some(NOW + ms as i64), ..BUDGETS };
        let rows = [
            // The bounds, the time that has passed, the time to the reset, and the options expected.
            (wait(10 * MINUTE), 0, 119 * MINUTE, " --max-wait 2h"),
            (wait(10 * MINUTE), 0, 120 * MINUTE, " --max-wait 3h"),
            (wait(10 * MINUTE), 0, 25 * MINUTE, " --max-wait 30m"),
            (wait(3 * HOUR), 0, 2 * HOUR, ""),
            (duration(8 * HOUR), HOUR, 69 * HOUR, " --max-duration 72h"),
            (duration(80 * HOUR), HOUR, 69 * HOUR, ""),
            (until(8 * HOUR), 0, 69 * HOUR, " --until +71h"),
            (until(80 * HOUR), 0, 69 * HOUR, ""),
            (Budgets { max_wait_ms: Some(HOUR), ..until(8 * HOUR) }, 0, 69 * HOUR, " --max-wait 70h --until +71h"),
        ];
        for (budgets, elapsed_ms, left_ms, advice) in rows {
            let needs = Needs::Reset { at_unix_ms: NOW + left_ms as i64, announced: true, now_unix_ms: NOW };
            let finish = ended(Outcome::Limits, Some(needs));
            let plan = Plan { budgets, ..plan() };
            assert_eq!(more(&finish, &plan, elapsed_ms), advice);
            let unwilling = Plan { no_wait: true, ..plan };
            assert_eq!(more(&finish, &unwilling, elapsed_ms), format!(" --wait{advice}"));
        }
        let unwilling = Plan { no_wait: true, ..plan() };
        assert_eq!(more(&ended(Outcome::Limits, None), &unwilling, 0), " --wait", "also without a reset");
    }

    #[test]
    fn what_the_run_needs_stands_in_the_command_and_what_only_the_user_knows_is_a_word_in_capitals() {
        let permission = Some(Needs::Permission { arguments: list("--permission-mode acceptEdits") });
        let checks = Some(Needs::Checks { commands: vec!["carg test".to_owned()] });
        let rows = [
            (Outcome::Stuck, None, " -p \"TEXT\""),
            (Outcome::NeedsUser, None, " -p \"TEXT\""),
            (Outcome::Stuck, permission.clone(), " -- --permission-mode acceptEdits"),
            (Outcome::NeedsUser, permission.clone(), " -p \"TEXT\" -- --permission-mode acceptEdits"),
            (Outcome::Budget, permission, " --max-iterations 40 -- --permission-mode acceptEdits"),
            (Outcome::NeedsUser, checks, " --check CMD --check \"sh test.sh\""),
            (Outcome::Failed, None, ""),
        ];
        let check = |command: &str| CheckPlan { command: command.to_owned(), timeout_ms: 1 };
        let plan = Plan { checks: vec![check("carg test"), check("sh test.sh")], ..plan() };
        let twenty = Amount::Count(20);
        let spent = SpentBound { bound: Bound::Iterations, used: twenty, limit: twenty };
        for (outcome, needs, advice) in rows {
            let finish = Finish { spent: (outcome == Outcome::Budget).then_some(spent), ..ended(outcome, needs) };
            assert_eq!(more(&finish, &plan, 0), advice);
        }
    }

    #[test]
    fn arguments_that_were_refused_are_spelt_out_as_they_are_to_be_given() {
        let unknown = "the agent's CLI refused its arguments: error: unknown option '--permision-mode'";
        let rows = [
            // All arguments, how many come from the command line, the proven ones, and whether a plain resume falls
            // back on those.
            ("--permision-mode acceptEdits", 2, "", false, unknown, " -- --permission-mode acceptEdits"),
            (
                "--model m --permision-mode acceptEdits",
                4,
                "--model m",
                true,
                unknown,
                " -- --permission-mode acceptEdits",
            ),
            ("--model m --xyzzy", 3, "--model m", true, "error: unknown option '--xyzzy'", ""),
            ("--xyzzy", 1, "", false, "error: unknown option '--xyzzy'", " --replace-args"),
            ("--model m --mcp-config x", 4, "", false, "Invalid MCP configuration:", " --replace-args"),
            ("--xyzzy --model m", 2, "--xyzzy", false, "error: unknown option '--xyzzy'", " --reload"),
        ];
        for (all, given, proven, falls_back, complaint, advice) in rows {
            let agent_args = list(all);
            let given = serde_json::json!({"agent_args": agent_args[agent_args.len() - given..]});
            let plan = Plan { agent_args, given: Some(given), ..plan() };
            let needs = Some(Needs::Arguments { proven: list(proven), falls_back });
            let finish = Finish { reason: complaint.to_owned(), ..ended(Outcome::Failed, needs) };
            assert_eq!(more(&finish, &plan, 0), advice, "{all}");
        }
    }
}
