// Everything here comes on top: without it each page works by links and forms alone.

const body = document.body;
const byId = (id) => document.getElementById(id);
const dot = byId("live");
const LEAST = 250; // milliseconds between two looks at a page
let source, heard = body.dataset.heard ?? "", asking = false, again = false, lastLook = 0, fresh = 0;

// The mark: live, reconnecting, or stale since when.
function show(word, away) {
  if (!dot) return;
  dot.classList.add("known");
  dot.classList.toggle("away", away);
  const text = dot.querySelector("span");
  if (text.textContent !== word) text.textContent = word;
}

const hour = (moment) => new Date(moment).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone() });
const stale = () => (Date.now() - fresh > 20000 ? `stale since ${hour(fresh)}` : "reconnecting");

// What somebody is writing, or has written and not sent, is left alone.
function isInUse(element) {
  const fields = [...element.querySelectorAll("input, select, textarea")];
  return fields.some((field) => field === document.activeElement || isChanged(field));
}

function isChanged(field) {
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.options) return [...field.options].some((each) => each.defaultSelected) && !field.selectedOptions[0]?.defaultSelected;
  return field.value !== field.defaultValue;
}

// An element is put in place of the old one only if it says something else. What was opened stays
// open, and who stands on a link stays there. Forms come without their token, which is this page's.
const said = new WeakMap();
const bare = (element) => element.innerHTML.replaceAll(body.dataset.form, "");

function put(page) {
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const found = page.getElementById(old.id);
    if (!found || isInUse(old)) continue;
    const text = found.innerHTML;
    if (text === (said.get(old) ?? bare(old))) continue;
    said.set(old, text);
    replace(old, document.importNode(found, true));
    if (old.dataset.live === "mark") mark(old);
  }
  if (page.title) document.title = page.title;
}

function replace(old, found) {
  for (const field of found.querySelectorAll("input[name=_form]")) field.setAttribute("value", body.dataset.form);
  const opened = [...old.querySelectorAll("details[open][id]")].map((each) => each.id);
  const href = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceChildren(...found.childNodes);
  for (const id of opened) byId(id)?.setAttribute("open", "");
  if (href) old.querySelector(`[href="${CSS.escape(href)}"]`)?.focus({ preventScroll: true });
}

function mark(element) {
  element.classList.remove("changed");
  void element.offsetWidth;
  element.classList.add("changed");
}

async function look() {
  if (asking) { again = true; return; }
  asking = true;
  const pause = lastLook + LEAST - performance.now();
  if (pause > 0) await new Promise((done) => setTimeout(done, pause));
  try {
    const address = new URL(body.dataset.look ?? location.href, location.href);
    address.searchParams.delete("said");
    const answer = await fetch(address, { headers: { Accept: "text/html", "X-Live": heard }, redirect: "error" });
    if (answer.ok) {
      put(new DOMParser().parseFromString(await answer.text(), "text/html"));
      fresh = Date.now();
      if (source) show("live", false);
    } else if (answer.status === 401) over();
    else setTimeout(look, 5000);
  } catch { setTimeout(look, 2000); }
  lastLook = performance.now();
  asking = false;
  if (again) { again = false; look(); }
}

function open() {
  if (!body.dataset.stream || source) return;
  const address = new URL(body.dataset.stream, location.href);
  address.searchParams.set("since", heard);
  source = new EventSource(address);
  source.onopen = () => { fresh = Date.now(); show("live", false); };
  source.onerror = () => {
    show(stale(), true);
    if (source?.readyState === EventSource.CLOSED) { shut(); setTimeout(open, 5000); }
  };
  source.addEventListener("changed", (event) => { heard = event.data; look(); });
  source.addEventListener("over", over);
}

function over() {
  shut();
  delete body.dataset.stream;
  show("signed out", true);
}

function shut() {
  source?.close();
  source = undefined;
}

document.addEventListener("visibilitychange", () => (document.hidden ? shut() : open()));
addEventListener("pagehide", shut);
addEventListener("pageshow", (event) => { if (event.persisted) { open(); look(); } });
open();

// The clock goes on between two looks; `mine` is the zone of this browser.
function zone() { return byId("clock")?.dataset.zone ?? "UTC"; }
if (byId("clock")) setInterval(() => { byId("clock").textContent = hour(Date.now()); }, 5000);
const mine = document.querySelector("[data-mine]");
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (mine && own && own !== zone()) { mine.hidden = false; mine.value = own; mine.textContent = `Mine: ${own}`; }

// Logs: pieces are appended as text, never as markup.
const log = document.getElementById("log");
if (log?.dataset.stream) {
  const nearEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const told = new EventSource(log.dataset.stream);
  const following = document.getElementById("following");
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  const tell = () => { if (following) following.hidden = nearEnd(); };
  toEnd();
  log.addEventListener("scroll", tell);
  following?.addEventListener("click", toEnd);
  told.addEventListener("pieces", (event) => {
    const follow = nearEnd();
    for (const [kind, text] of JSON.parse(event.data)) {
      const piece = document.createElement(kind === "at" ? "a" : "span");
      piece.className = kind;
      piece.textContent = text;
      if (kind === "at") { piece.id = `b${text}`; piece.href = `${log.dataset.here}?from=${text}#b${text}`; }
      log.append(piece);
    }
    while (follow && log.childNodes.length > 20000) log.firstChild.remove();
    if (follow) toEnd();
    tell();
  });
  told.addEventListener("end", () => { told.close(); look(); });
  addEventListener("pagehide", () => told.close());
}

// What is to be taken elsewhere.
for (const button of document.querySelectorAll("[data-copy]")) {
  const field = byId(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
    button.textContent = "Copied";
  });
}

// Boxes before rows: how many are ticked stands beside what can be done to them.
for (const bar of document.querySelectorAll("[data-bulk]")) {
  const form = bar.closest("form");
  const text = bar.querySelector("[data-chosen]");
  const first = text?.textContent;
  const tell = () => {
    const count = form.querySelectorAll("input[name=id]:checked").length;
    text.textContent = count ? `With ${count} ticked:` : first;
  };
  form?.addEventListener("change", tell);
  if (text) tell();
}

// What opens over the page: made when it is first asked for.
function box(id, title, ...inside) {
  const made = Object.assign(document.createElement("dialog"), { id, className: "over" });
  made.setAttribute("aria-label", title);
  made.append(...inside);
  made.addEventListener("click", (event) => { if (event.target === made) made.close(); });
  made.addEventListener("close", () => { if (made.contains(document.activeElement)) document.activeElement.blur(); });
  body.append(made);
  return made;
}

function node(name, text, more = {}) {
  return Object.assign(document.createElement(name), { textContent: text ?? "" }, more);
}

// The palette: screens by their names at once, what there is of runs, types and records a moment later.
const screens = () => [...document.querySelectorAll("#nav a")].map((each) => ({ kind: "screen", text: each.firstChild.textContent.trim(), href: each.href }));
let palette, field, list, latest = 0;

function openPalette() {
  if (!byId("nav")) return;
  if (!palette) {
    field = node("input", "", { type: "text", maxLength: 200, placeholder: "A screen, a type, a record, a run by its id or key", autocomplete: "off" });
    field.setAttribute("role", "combobox");
    field.setAttribute("aria-expanded", "true");
    field.setAttribute("aria-controls", "found");
    field.setAttribute("aria-label", "Go to");
    list = node("ul", "", { id: "found" });
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Where to");
    palette = box("palette", "Go to", field, list);
    field.addEventListener("input", seek);
    palette.addEventListener("keydown", move);
  }
  field.value = byId("find")?.value ?? "";
  if (!palette.open) palette.showModal();
  field.select();
  seek();
}

async function seek() {
  const text = field.value.trim(), turn = ++latest;
  const near = screens().filter((each) => each.text.toLowerCase().includes(text.toLowerCase()));
  fill(near);
  if (text.length < 2) return;
  await new Promise((done) => setTimeout(done, 120));
  if (turn !== latest) return;
  try {
    const answer = await fetch(`/ui/find?q=${encodeURIComponent(text)}`, { headers: { Accept: "application/json" } });
    const found = answer.ok ? (await answer.json()).items : [];
    if (turn === latest) fill([...near, ...found, { kind: "search", text: `Search for ${text}`, href: `/ui/find?q=${encodeURIComponent(text)}` }]);
  } catch { /* screens are found without the server */ }
}

function fill(items) {
  list.replaceChildren(...items.slice(0, 40).map(row));
  choose(0);
}

function row(item, place) {
  const link = node("a", item.text, { href: item.href, tabIndex: -1 });
  const made = node("li", "", { id: `found-${place}` });
  made.setAttribute("role", "option");
  if (item.note) link.append(" ", node("span", item.note, { className: "soft" }));
  made.append(link, node("small", item.kind));
  return made;
}

function choose(place) {
  const rows = [...list.children];
  for (const each of rows) each.setAttribute("aria-selected", String(each === rows[place]));
  rows[place]?.scrollIntoView({ block: "nearest" });
  if (rows[place]) field.setAttribute("aria-activedescendant", rows[place].id);
  else field.removeAttribute("aria-activedescendant");
}

function move(event) {
  const rows = [...list.children];
  const here = rows.findIndex((each) => each.getAttribute("aria-selected") === "true");
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) { event.preventDefault(); choose((here + step + rows.length) % Math.max(rows.length, 1)); }
  if (event.key === "Enter") { event.preventDefault(); rows[here]?.querySelector("a").click(); }
}

// The keys, and a sheet that says them.
let sheet;
function openKeys() {
  if (!sheet) {
    const all = [
      ["Ctrl K", "go to anything"], ["/", "the field for finding"], ["j  k", "next or previous row"], ["Enter", "open the row"],
      ["x", "tick the row"], ["?", "this sheet"], ["Esc", "close what is open"],
      ...[...document.querySelectorAll("#nav a[data-key]")].map((each) => [`g ${each.dataset.key}`, each.firstChild.textContent.trim()]),
    ];
    const told = node("dl", "", { className: "facts" });
    for (const [keys, what] of all) {
      const name = node("dt");
      name.append(...keys.split(" ").filter(Boolean).map((each) => node("kbd", each)));
      told.append(name, node("dd", what));
    }
    const close = node("button", "Close", { type: "button" });
    sheet = box("keys", "Keys", node("h2", "Keys"), told, close);
    close.addEventListener("click", () => sheet.close());
  }
  sheet.showModal();
}

const shower = byId("show-keys");
if (shower) { shower.hidden = false; shower.addEventListener("click", openKeys); }

// The row that somebody is in is the one of the element they stand on.
function step(by) {
  const rows = [...document.querySelectorAll("main tbody tr")].filter((each) => each.querySelector("a"));
  const here = rows.findIndex((each) => each.contains(document.activeElement));
  const next = rows[here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by];
  (next?.querySelector("a.id") ?? next?.querySelector("a"))?.focus();
}

let leading = -Infinity; // when g was pressed
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  const writes = event.target.matches("input, select, textarea") && !event.target.closest("dialog:not([open])");
  if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const led = performance.now() - leading < 1500;
  leading = -Infinity;
  if (led) { document.querySelector(`#nav [data-key="${CSS.escape(event.key)}"]`)?.click(); return; }
  const does = {
    "/": () => byId("find")?.focus(), "?": openKeys, j: () => step(1), k: () => step(-1), g: () => { leading = performance.now(); },
    x: () => document.activeElement?.closest?.("tr")?.querySelector("input[type=checkbox]")?.click(),
  }[event.key];
  if (does) { event.preventDefault(); does(); }
});

// Menus close when somebody goes elsewhere.
addEventListener("click", (event) => {
  for (const each of document.querySelectorAll("details.who[open]")) if (!each.contains(event.target)) each.open = false;
});
addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && event.target.closest?.("details.who[open], details.dialog[open]");
  if (open) { open.open = false; open.querySelector("summary").focus(); }
});

// A link that lets somebody in once: the code stands behind the #, which no server is ever sent.
const code = byId("code");
if (code && location.hash.length > 1) {
  code.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  code.closest("label").hidden = true;
}
