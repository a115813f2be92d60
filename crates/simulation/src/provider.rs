//! The provider behind the agents: whether it accepts a request, and how the CLI reacts to a rejection.
//!
//! The real state of the accounts is here. The core knows only what the CLI's lines say and what the user's ccc processes share
//! ([`Provider::known`]).

use super::dice::Dice;
use super::rates::Rates;
use ccc::demo::scripted::{ApiError, CliVersion, Limit, LimitWarning, Retry, Step};
use supervision::core::policy;
use supervision::core::{TokenFact, TokenId, TokenKind, TokenReport, WindowFact};

/// The pauses between the CLI's own retries, in milliseconds (facts §8).
const RETRY_PAUSES_MS: [u64; 10] = [500, 1_000, 2_000, 4_000, 9_000, 18_000, 35_000, 35_000, 35_000, 33_000];
/// The usage window that fills up.
const WINDOW: &str = "five_hour";

/// All accounts of the night.
#[derive(Debug)]
pub(super) struct Provider {
    /// One account for each token, or one without a name when the CLI finds its credential by itself.
    accounts: Vec<Account>,
    /// What the user's ccc processes know together.
    pub(super) known: Vec<TokenFact>,
    /// Until when the provider answers no request, unix milliseconds.
    down_until_ms: i64,
    /// How often the CLI retries during that time.
    down_retries: usize,
}

#[derive(Debug)]
struct Account {
    id: Option<TokenId>,
    kind: TokenKind,
    trouble: Option<Trouble>,
    /// How its windows fill up; `None` for an account whose troubles are only drawn.
    meter: Option<Meter>,
}

/// The windows of an account, which fill up with each request.
#[derive(Debug)]
struct Meter {
    windows: [Metered; 2],
}

#[derive(Debug)]
struct Metered {
    name: &'static str,
    lasts_ms: i64,
    /// How much of it a request uses.
    cost: f64,
    /// From 0 to 1, and beyond.
    used: f64,
    /// When it begins anew, once something was used.
    resets_ms: Option<i64>,
}

impl Meter {
    fn draw(dice: &mut Dice) -> Meter {
        let cost = dice.between(1, 300) as f64 / 10_000.0;
        let window = |name, lasts_ms, cost| Metered { name, lasts_ms, cost, used: 0.0, resets_ms: None };
        let hour_ms = 3_600_000;
        Meter { windows: [window(WINDOW, 5 * hour_ms, cost), window("seven_day", 7 * 24 * hour_ms, cost / 20.0)] }
    }

    /// The windows at this time.
    fn at(&mut self, now_ms: i64) -> &mut [Metered; 2] {
        for window in self.windows.iter_mut().filter(|window| window.resets_ms.is_some_and(|at| at <= now_ms)) {
            (window.used, window.resets_ms) = (0.0, None);
        }
        &mut self.windows
    }

    /// A request is made. If a window is full, when that ends.
    fn asked(&mut self, now_ms: i64) -> Option<i64> {
        let windows = self.at(now_ms);
        let full = windows.iter().filter(|window| window.used >= 1.0).filter_map(|window| window.resets_ms).max();
        if full.is_none() {
            for window in windows {
                window.used += window.cost;
                window.resets_ms.get_or_insert(now_ms + window.lasts_ms);
            }
        }
        full
    }
}

#[derive(Debug, Clone, Copy)]
struct Trouble {
    class: Class,
    /// When the trouble ends, unix milliseconds.
    until_ms: i64,
    announced: Announced,
    /// How often the CLI retries before it gives up.
    retries: usize,
}

/// Why the provider rejects an account's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Quota,
    Throttle,
    Refused,
    Forbidden,
    NoCredit,
}

/// What the provider says about the reset of a limited token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    Truth,
    Nothing,
    /// A reset this many seconds ago.
    Past(i64),
    /// In milliseconds instead of seconds.
    Milliseconds,
    /// Years away.
    Implausible,
}

/// The result of a request.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What the CLI does before its next step or instead of it.
    pub(super) steps: Vec<Step>,
    /// Whether the CLI retries the request.
    pub(super) tries_again: bool,
}

impl Provider {
    pub(super) fn draw(dice: &mut Dice) -> Provider {
        let count = match dice.between(0, 9) {
            0..=3 => 0,
            4..=5 => 1,
            _ => dice.between(2, 4),
        };
        let same = dice.percent(60);
        let kinds = [
            TokenKind::OAuth,
            TokenKind::OAuth,
            TokenKind::OAuth,
            TokenKind::ApiKey,
            TokenKind::AuthToken,
            TokenKind::Login,
        ];
        let first = dice.choose(&kinds, TokenKind::OAuth);
        let known: Vec<TokenFact> = (0..count)
            .map(|at| TokenFact {
                id: TokenId(format!("token-{at}")),
                label: format!("T{at}"),
                kind: if same { first } else { dice.choose(&kinds, first) },
                hot_group: None,
                model: None,
                windows: Vec::new(),
                limited_until_unix_ms: None,
                refused: false,
            })
            .collect();
        let mut accounts: Vec<Account> = known
            .iter()
            .map(|fact| Account { id: Some(fact.id.clone()), kind: fact.kind, trouble: None, meter: None })
            .collect();
        if accounts.is_empty() {
            accounts.push(Account { id: None, kind: TokenKind::OAuth, trouble: None, meter: None });
        }
        Provider { accounts, known, down_until_ms: i64::MIN, down_retries: 0 }
    }

    /// The tokens that a fleet shares, whose windows fill up with its work.
    pub(super) fn of_fleet(dice: &mut Dice) -> Provider {
        let count = dice.between(1, 3);
        let id = |at: u64| TokenId(format!("token-{at}"));
        let account = |at, dice: &mut Dice| Account {
            id: Some(id(at)),
            kind: TokenKind::OAuth,
            trouble: None,
            meter: Some(Meter::draw(dice)),
        };
        let fact = |at| TokenFact {
            id: id(at),
            label: format!("token number {at}"),
            kind: TokenKind::OAuth,
            hot_group: None,
            model: None,
            windows: Vec::new(),
            limited_until_unix_ms: None,
            refused: false,
        };
        Provider {
            accounts: (0..count).map(|at| account(at, dice)).collect(),
            known: (0..count).map(fact).collect(),
            down_until_ms: i64::MIN,
            down_retries: 0,
        }
    }

    /// What the provider tells about the windows of a token: name, usage in percent, and reset, unix milliseconds.
    pub(super) fn usage(&mut self, token: &TokenId, now_ms: i64) -> Vec<(&'static str, f64, Option<i64>)> {
        let meter = self.accounts.iter_mut().filter(|account| account.id.as_ref() == Some(token));
        let windows = meter.filter_map(|account| account.meter.as_mut()).flat_map(|meter| meter.at(now_ms).iter());
        windows.map(|window| (window.name, window.used * 100.0, window.resets_ms)).collect()
    }

    /// Something else uses a share of this token's window: more than there is, or less than before after a correction.
    pub(super) fn set_used(&mut self, token: usize, window: usize, used: f64, now_ms: i64) {
        let meter = self.accounts.get_mut(token).and_then(|account| account.meter.as_mut());
        if let Some(window) = meter.and_then(|meter| meter.at(now_ms).get_mut(window)) {
            window.used = used;
            window.resets_ms.get_or_insert(now_ms + window.lasts_ms);
        }
    }

    /// Until when the present limit of this token lasts, unix milliseconds, if the provider says so honestly.
    pub(super) fn honest_limit(&self, token: &TokenId) -> Option<i64> {
        let account = self.accounts.iter().find(|account| account.id.as_ref() == Some(token))?;
        let limit = account.trouble.filter(|it| it.class == Class::Quota && it.announced == Announced::Truth);
        limit.map(|limit| limit.until_ms)
    }

    /// The answer to a request with this token, after `tries` failed tries.
    #[allow(clippy::too_many_arguments, reason = "a request is all of this, and nobody else makes one")]
    pub(super) fn answer(
        &mut self,
        dice: &mut Dice,
        rates: &Rates,
        faults_on: bool,
        version: CliVersion,
        token: Option<&TokenId>,
        tries: usize,
        now_ms: i64,
    ) -> Answer {
        if !faults_on {
            return Answer::default();
        }
        let Some(at) = self.accounts.iter().position(|account| account.id.as_ref() == token) else {
            return Answer::default();
        };
        let over = |trouble: &Trouble| trouble.until_ms <= now_ms;
        if self.accounts[at].trouble.as_ref().is_some_and(over) {
            self.accounts[at].trouble = None;
        }
        if self.accounts[at].trouble.is_none()
            && let Some(until_ms) = self.accounts[at].meter.as_mut().and_then(|meter| meter.asked(now_ms))
        {
            let announced = Announced::Truth;
            self.accounts[at].trouble = Some(Trouble { class: Class::Quota, until_ms, announced, retries: 0 });
        }
        if self.accounts[at].trouble.is_none() && self.down_until_ms <= now_ms && dice.chance(rates.trouble) {
            self.get_into_trouble(at, dice, rates, now_ms);
        }
        if self.down_until_ms > now_ms {
            let status = dice.choose(&[Some(500), Some(529), Some(502), None], None);
            return if tries < self.down_retries { Answer::retry(tries, status) } else { Answer::failure(status, "") };
        }
        if let Some(trouble) = self.accounts[at].trouble {
            return refusal(&self.accounts[at], trouble, version, tries, now_ms);
        }
        if dice.chance(rates.crowded) {
            let utilization = dice.between(80, 100) as f64 / 100.0;
            let resets_in_s = dice.between_signed(60, 18_000);
            let steps = vec![Step::LimitWarning(LimitWarning { utilization, resets_in_s })];
            return Answer { steps, tries_again: false };
        }
        Answer::default()
    }

    fn get_into_trouble(&mut self, at: usize, dice: &mut Dice, rates: &Rates, now_ms: i64) {
        let minutes = |dice: &mut Dice, from: i64, to: i64| dice.between_signed(from * 60_000, to * 60_000);
        let class = match dice.between(0, 11) {
            0..=3 => Class::Quota,
            4..=5 => Class::Throttle,
            6 => Class::Refused,
            7 => Class::Forbidden,
            8 => Class::NoCredit,
            _ => {
                self.down_retries = retries(dice);
                self.down_until_ms = now_ms + if dice.percent(70) { minutes(dice, 0, 3) } else { minutes(dice, 3, 40) };
                return;
            }
        };
        let mut trouble = Trouble { class, until_ms: 0, announced: Announced::Truth, retries: 0 };
        let key = matches!(self.accounts[at].kind, TokenKind::ApiKey | TokenKind::AuthToken | TokenKind::Helper);
        let lasts_ms = match class {
            Class::Quota => {
                if dice.chance(rates.odd_reset) {
                    trouble.announced = match dice.between(0, 3) {
                        0 => Announced::Nothing,
                        1 => Announced::Past(dice.between_signed(1, 100_000)),
                        2 => Announced::Milliseconds,
                        _ => Announced::Implausible,
                    };
                }
                if key {
                    trouble.retries = retries(dice);
                }
                match dice.between(0, 9) {
                    0..=3 => minutes(dice, 0, 3),
                    4..=8 => minutes(dice, 3, 300),
                    // A window of seven days.
                    _ => minutes(dice, 300, 7 * 24 * 60),
                }
            }
            Class::Throttle => {
                trouble.retries = retries(dice);
                minutes(dice, 0, 2)
            }
            Class::Refused => {
                trouble.retries = if key { retries(dice) } else { 2 };
                if dice.percent(30) { minutes(dice, 0, 3) } else { minutes(dice, 600, 6_000) }
            }
            Class::Forbidden => minutes(dice, 600, 6_000),
            Class::NoCredit => minutes(dice, 30, 600),
        };
        trouble.until_ms = now_ms + lasts_ms;
        self.accounts[at].trouble = Some(trouble);
    }

    /// Answers a usage request about this token. Such a request costs nothing.
    pub(super) fn probed(&mut self, token: &TokenId, now_ms: i64) {
        let Some(account) = self.accounts.iter().find(|account| account.id.as_ref() == Some(token)) else { return };
        let spent = account.trouble.filter(|trouble| trouble.class == Class::Quota && trouble.until_ms > now_ms);
        if let Some(trouble) = spent {
            self.learn(token, &TokenReport::Limited { until_unix_ms: trouble.until_ms, window: None });
        }
    }

    /// Shares what a ccc process has learnt about a token with the others.
    pub(super) fn learn(&mut self, token: &TokenId, report: &TokenReport) {
        if let Some(fact) = self.known.iter_mut().find(|fact| fact.id == *token) {
            policy::learn(fact, report);
        }
    }

    /// Another ccc of the user learns something about a token and shares it.
    pub(super) fn elsewhere(&mut self, dice: &mut Dice, now_ms: i64) {
        if self.known.is_empty() {
            return;
        }
        let at = usize::try_from(dice.between(0, self.known.len() as u64 - 1)).unwrap_or(0);
        let Some(id) = self.known.get(at).map(|fact| fact.id.clone()) else { return };
        let until_ms = now_ms + dice.between_signed(30_000, 18_000_000);
        let (class, report) = match dice.between(0, 5) {
            0..=2 => (Some(Class::Quota), TokenReport::Limited { until_unix_ms: until_ms, window: None }),
            3 => (Some(Class::Refused), TokenReport::Refused),
            4 => (None, TokenReport::Works),
            _ => {
                let window = WindowFact {
                    name: WINDOW.to_owned(),
                    utilization: Some(dice.between(0, 110) as f64 / 100.0),
                    resets_at_unix_s: Some(until_ms / 1_000),
                };
                self.learn(&id, &TokenReport::Windows(vec![window]));
                return;
            }
        };
        if let Some(account) = self.accounts.iter_mut().find(|account| account.id.as_ref() == Some(&id)) {
            account.trouble = class.map(|class| Trouble { class, until_ms, announced: Announced::Truth, retries: 0 });
        }
        self.learn(&id, &report);
    }
}

/// How often the CLI retries. Mostly less often than the real CLI, or retries would fill the night.
fn retries(dice: &mut Dice) -> usize {
    if dice.percent(15) { RETRY_PAUSES_MS.len() } else { usize::try_from(dice.between(0, 3)).unwrap_or(0) }
}

/// How the CLI reacts to a rejected request.
fn refusal(account: &Account, trouble: Trouble, version: CliVersion, tries: usize, now_ms: i64) -> Answer {
    let subscription = account.kind.is_subscription();
    let status = match trouble.class {
        Class::Quota | Class::Throttle => Some(429),
        Class::Refused => Some(401),
        Class::Forbidden => Some(403),
        Class::NoCredit => Some(400),
    };
    if tries < trouble.retries {
        return Answer::retry(tries, status);
    }
    match trouble.class {
        Class::Quota if subscription => {
            let left_s = (trouble.until_ms - now_ms) / 1_000 + 1;
            let now_s = now_ms / 1_000;
            let resets_in_s = match trouble.announced {
                Announced::Truth => Some(left_s),
                Announced::Nothing => None,
                Announced::Past(ago_s) => Some(-ago_s),
                Announced::Milliseconds => Some((now_s + left_s) * 1_000 - now_s),
                Announced::Implausible => Some(10 * 365 * 24 * 3_600),
            };
            // Without a window and a reset the failure is not a usage limit. The newest version always names the window.
            let nameless = resets_in_s.is_none() && version < CliVersion::V332;
            if nameless {
                return Answer::failure(status, "");
            }
            let steps = vec![Step::Limit(Limit { resets_in_s, window: String::new() })];
            Answer { steps, tries_again: false }
        }
        Class::NoCredit => Answer::failure(status, "billing_error"),
        Class::Quota | Class::Throttle | Class::Refused | Class::Forbidden => Answer::failure(status, ""),
    }
}

impl Answer {
    fn retry(tries: usize, status: Option<u16>) -> Answer {
        let delay_ms = RETRY_PAUSES_MS.get(tries).copied().unwrap_or(35_000);
        Answer { steps: vec![Step::Retry(Retry { attempts: 1, status, delay_ms })], tries_again: true }
    }

    fn failure(status: Option<u16>, error: &str) -> Answer {
        Answer::fails(ApiError { status, error: error.to_owned(), ..ApiError::default() })
    }

    pub(super) fn fails(error: ApiError) -> Answer {
        Answer { steps: vec![Step::ApiError(error)], tries_again: false }
    }
}
