"use strict";
(() => {
  const form = document.getElementById("find"), box = document.getElementById("q"), count = document.getElementById("hits");
  if (!form) return;
  form.hidden = false;
  const entries = Array.from(document.querySelectorAll(".e"));
  let hits = [], at = -1, timer = 0;
  const open = (element) => {
    for (let up = element; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  };
  const search = () => {
    const words = box.value.trim().toLowerCase();
    for (const entry of entries) entry.classList.remove("hit");
    hits = []; at = -1;
    for (const entry of entries) {
      const found = !words || entry.textContent.toLowerCase().includes(words);
      entry.hidden = !found;
      if (words && found) hits.push(entry);
    }
    if (hits.length) for (const entry of hits.slice(0, 500)) { open(entry.parentElement); }
    count.textContent = words ? (hits.length === 1 ? "1 entry" : hits.length + " entries") : "";
  };
  const go = (step) => {
    if (!hits.length) return;
    if (at >= 0) hits[at].classList.remove("hit");
    at = (at + step + hits.length) % hits.length;
    const entry = hits[at];
    const inner = entry.querySelector("details");
    open(inner || entry);
    entry.classList.add("hit");
    entry.scrollIntoView({ block: "center" });
    count.textContent = (at + 1) + " of " + hits.length;
  };
  box.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    if (at < 0) search();
    go(1);
  });
  document.getElementById("prev").addEventListener("click", () => { if (at < 0) search(); go(-1); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && document.activeElement !== box) { event.preventDefault(); box.focus(); }
    if (event.key === "Escape" && document.activeElement === box) { box.value = ""; search(); box.blur(); }
  });
  const follow = () => {
    const target = /^#[a-z]+[0-9]*$/.test(location.hash) && document.getElementById(location.hash.slice(1));
    if (target) { open(target); if (target.classList.contains("e")) { const inner = target.querySelector("details"); if (inner) inner.open = true; } target.scrollIntoView(); }
  };
  addEventListener("hashchange", follow);
  follow();
})();
