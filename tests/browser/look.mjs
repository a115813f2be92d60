// Looks at pages of `ccc report` in Chromium, as a reader does: `node look.mjs WHAT PAGE...`, with CHROMIUM=PATH.
// WHAT is one of the functions in LOOKS. Each fault is a line on stdout; with one the exit code is 1.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WAIT_MS = 60_000;
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

const faults = [];
const check = (holds, fault) => {
  if (!holds) faults.push(fault);
};

/** A page that reports what a report must never do: talk, ask, load. `probe` lets scripts be added, which the policy forbids. */
async function opened(browser, path, { hash = "", probe = false, ...options } = {}) {
  const context = await browser.newContext({ viewport: WIDE, bypassCSP: probe, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const url = pathToFileURL(path).href;
  page.on("console", (message) => check(false, `${path}: the console says: ${message.text()}`));
  page.on("pageerror", (error) => check(false, `${path}: an error: ${error.message}`));
  page.on("dialog", (dialog) => {
    check(false, `${path}: a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => check(request.url().split("#")[0] === url, `${path}: a request to ${request.url()}`));
  page.on("popup", (popup) => check(false, `${path}: a window with ${popup.url()}`));
  await page.goto(url + hash);
  return page;
}

const hits = (page) => page.locator("#hits").textContent();

/** What is open and on the screen. */
const inView = (page, selector) =>
  page.locator(selector).evaluate((element) => {
    const { top, bottom, height } = element.getBoundingClientRect();
    return element.checkVisibility({ contentVisibilityAuto: true }) && height > 0 && bottom > 0 && top < innerHeight;
  });

async function folds(page, path) {
  const summary = page.locator("#iterations > details > summary").first();
  const is_open = () => summary.evaluate((it) => it.parentElement.open);
  const before = await is_open();
  await summary.click();
  check((await is_open()) !== before, `${path}: a click does not open or close a fold`);
  await summary.click();
  check((await is_open()) === before, `${path}: a second click does not bring a fold back`);
}

async function search(page, path) {
  await page.keyboard.press("/");
  const has_focus = await page.locator("#q").evaluate((box) => document.activeElement === box);
  check(has_focus, `${path}: / does not go to the search`);
  const all = await page.locator(".e").count();
  await page.keyboard.type("wordcount");
  // The search follows each letter, so an answer may be that to the first ones.
  await page.waitForFunction(() => {
    const shown = [...document.querySelectorAll(".e:not([hidden])")];
    const is_meant = (entry) => entry.textContent.toLowerCase().includes("wordcount");
    return document.getElementById("hits").textContent !== "" && shown.every(is_meant);
  });
  const found = Number.parseInt(await hits(page), 10);
  check(found > 1 && found < all, `${path}: ${found} of ${all} entries are found`);
  const shown = await page.locator(".e:visible").count();
  check(shown === found, `${path}: ${shown} entries are shown, ${found} were found`);
  await page.keyboard.press("Enter");
  check((await hits(page)) === `1 of ${found}`, `${path}: after Enter the search says ${await hits(page)}`);
  check(await inView(page, ".e.hit"), `${path}: the hit is not in view`);
  await page.locator("#prev").click();
  check((await hits(page)) === `${found} of ${found}`, `${path}: after Previous the search says ${await hits(page)}`);
  await page.locator("#q").fill("no such words are anywhere");
  await page.waitForFunction(() => document.getElementById("hits").textContent === "0 entries");
  await page.locator("#q").focus();
  await page.keyboard.press("Escape");
  check((await page.locator(".e[hidden]").count()) === 0, `${path}: Escape does not end the search`);
}

async function links(browser, path) {
  for (const id of ["m3", "i2", "t2", "undo"]) {
    const page = await opened(browser, path, { hash: `#${id}` });
    check(await inView(page, `#${id}`), `${path}: #${id} is not in view`);
    const is_open = await page.locator(`#${id}`).evaluate((it) => it.tagName !== "DETAILS" || it.open);
    check(is_open, `${path}: #${id} is not open`);
    await page.context().close();
  }
  const page = await opened(browser, path);
  const broken = await page.evaluate(() =>
    Array.from(document.querySelectorAll("a[href^='#']"), (a) => a.getAttribute("href")).filter(
      (href) => !document.getElementById(href.slice(1)) && !/^#m\d+$/.test(href),
    ),
  );
  check(broken.length === 0, `${path}: links to nothing: ${broken.join(" ")}`);
  await page.evaluate(() => (location.hash = "#<img src=x onerror=alert(1)>"));
  await page.context().close();
}

async function keyboard(browser, path) {
  const page = await opened(browser, path);
  const seen = [];
  for (let at = 0; at < 400; at += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const it = document.activeElement;
      if (!it || it === document.body) return null;
      const { outlineStyle, outlineWidth } = getComputedStyle(it);
      const box = it.getBoundingClientRect();
      const all = Array.from(document.querySelectorAll("*"));
      const is_seen = box.height > 0 && box.bottom > 0 && box.top < innerHeight;
      const name = `<${it.tagName.toLowerCase()}> ${it.textContent.trim().slice(0, 30)}`;
      return { name, place: all.indexOf(it), ring: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2, is_seen };
    });
    if (!focus || seen.some((other) => other.place === focus.place)) break;
    check(focus.ring, `${path}: the focus is not seen on ${focus.name}`);
    check(focus.is_seen, `${path}: ${focus.name} has the focus and is not in view`);
    const last = seen.at(-1);
    check(!last || last.place < focus.place, `${path}: ${focus.name} has the focus after ${last?.name}`);
    seen.push(focus);
  }
  for (const tag of ["<a>", "<summary>", "<input>", "<button>"]) {
    check(seen.some((it) => it.name.startsWith(tag)), `${path}: no ${tag} is reached by Tab (${seen.length} are, the last is ${seen.at(-1)?.name})`);
  }
  const summary = page.locator("#transcript > details > summary").first();
  for (const key of ["Enter", "Space"]) {
    const before = await summary.evaluate((it) => it.parentElement.open);
    await summary.press(key);
    const after = await summary.evaluate((it) => it.parentElement.open);
    check(before !== after, `${path}: ${key} neither opens nor closes a fold`);
  }
  await page.context().close();
}

async function axe(page, what) {
  await page.evaluate(() => document.querySelectorAll("details").forEach((it) => (it.open = true)));
  await page.addScriptTag({ content: AXE });
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, impact, nodes } of violations) {
    const is_grave = impact === "serious" || impact === "critical";
    check(!is_grave, `${what}: ${impact} ${id}: ${nodes[0].html.slice(0, 200)} ${nodes[0].failureSummary}`);
  }
}

const LOOKS = {
  /** Folds, search, links and keys of a page. */
  async use(browser, paths) {
    for (const path of paths) {
      const page = await opened(browser, path);
      check((await page.locator("h1").textContent()).length > 0, `${path}: no heading`);
      await folds(page, path);
      await search(page, path);
      await page.context().close();
      await keyboard(browser, path);
      await links(browser, path);
    }
  },

  /** Widths and colours. */
  async places(browser, paths) {
    for (const path of paths) {
      for (const [viewport, colorScheme] of [[WIDE, "light"], [PHONE, "dark"]]) {
        const what = `${path} at ${viewport.width} px, ${colorScheme}`;
        const page = await opened(browser, path, { viewport, colorScheme, probe: true });
        const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        const is_dark = dark.match(/\d+/g).slice(0, 3).every((part) => Number(part) < 64);
        check(is_dark === (colorScheme === "dark"), `${what}: the background is ${dark}`);
        await axe(page, what);
        // With all folds open.
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        check(width <= viewport.width, `${what}: it is ${width} px wide`);
        await page.context().close();
      }
    }
  },

  /** On paper: everything but the transcript, and the folds open. */
  async paper(browser, paths) {
    for (const path of paths) {
      const page = await opened(browser, path);
      await page.emulateMedia({ media: "print" });
      const hidden = await page.evaluate(() => {
        const texts = document.querySelectorAll("main section:not(#transcript) :is(p, li, td, pre, dt, summary)");
        const is_hidden = (it) => !it.checkVisibility() || it.getBoundingClientRect().height === 0;
        return Array.from(texts).filter((it) => it.textContent.trim() && is_hidden(it)).map((it) => it.textContent.trim());
      });
      check(hidden.length === 0, `${path}: not on paper: ${hidden.slice(0, 3).join(" | ")}`);
      check(await page.locator(".onpaper").isVisible(), `${path}: paper does not say that the transcript is left out`);
      check(!(await page.locator("nav").isVisible()), `${path}: links to sections on paper`);
      check(!(await page.locator(".e").first().isVisible()), `${path}: the transcript is on paper`);
      const pdf = await page.pdf({ format: "A4" });
      check(pdf.subarray(0, 5).toString() === "%PDF-" && pdf.length > 10_000, `${path}: no PDF`);
      await page.context().close();
    }
  },

  /** Whatever a run wrote, none of it runs. */
  async hostile(browser, paths) {
    for (const path of paths) {
      const page = await opened(browser, path);
      const counts = () =>
        page.evaluate(() => [
          document.scripts.length,
          document.querySelectorAll("iframe, img, object, embed, link, base, audio, video, [style]").length,
          document.forms.length,
        ]);
      check(String(await counts()) === "1,0,1", `${path}: scripts, foreign elements, forms: ${await counts()}`);
      await page.evaluate(() => {
        document.querySelectorAll("details").forEach((it) => (it.open = true));
        const kinds = ["mouseover", "mouseenter", "focus", "click", "animationstart", "error", "load"];
        const in_svg = "svg, svg *";
        for (const it of document.querySelectorAll(`main *, header *, ${in_svg}`)) {
          if (it.closest("form, a, summary")) continue;
          for (const kind of kinds) it.dispatchEvent(new Event(kind, { bubbles: true }));
        }
      });
      await page.locator("#q").fill("<script>");
      await page.locator("#q").press("Enter");
      await page.waitForFunction(() => document.getElementById("hits").textContent !== "");
      check(String(await counts()) === "1,0,1", `${path}: after a search: ${await counts()}`);
      await page.context().close();
    }
  },
};

const [what, ...paths] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, timeout: WAIT_MS });
try {
  await LOOKS[what](browser, paths);
} finally {
  await browser.close();
}
for (const fault of faults) console.log(fault);
process.exitCode = faults.length ? 1 : 0;
