// Everything here comes on top: without it each page works by links and forms alone.

const body = document.body;
const dot = document.getElementById("live");
const LEAST = 250; // milliseconds between two looks at a page
let source, asking = false, again = false, lastLook = 0;

function show(word, away) {
  if (!dot) return;
  dot.hidden = false;
  dot.classList.toggle("away", away);
  const text = dot.querySelector("span");
  if (text.textContent !== word) text.textContent = word;
}

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

// An element is put in place of the old one only if it says something else; what was opened stays open.
const said = new WeakMap();

function put(fresh) {
  for (const old of document.querySelectorAll("[data-live][id]")) {
    const found = fresh.getElementById(old.id);
    if (!found || isInUse(old)) continue;
    const before = said.get(old) ?? old.innerHTML;
    if (found.innerHTML === before) continue;
    said.set(old, found.innerHTML);
    const opened = [...old.querySelectorAll("details[open][id]")].map((each) => each.id);
    old.replaceChildren(...document.importNode(found, true).childNodes);
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    if (old.dataset.live === "mark") mark(old);
  }
  if (fresh.title) document.title = fresh.title;
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
    const address = new URL(location.href);
    address.searchParams.delete("said");
    const answer = await fetch(address, { headers: { Accept: "text/html" }, redirect: "error" });
    if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch { /* the stream says when the server is there again */ }
  lastLook = performance.now();
  asking = false;
  if (again) { again = false; look(); }
}

function open() {
  if (!body.dataset.stream || source) return;
  source = new EventSource(body.dataset.stream);
  source.onopen = () => show("live", false);
  source.onerror = () => show(`reconnecting since ${new Date().toLocaleTimeString()}`, true);
  source.addEventListener("changed", look);
  source.addEventListener("over", () => { shut(); show("signed out", true); });
}

function shut() {
  source?.close();
  source = undefined;
}

document.addEventListener("visibilitychange", () => (document.hidden ? shut() : open()));
addEventListener("pagehide", shut);
open();

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

// Keyboard: Ctrl-K finds, g and a letter goes.
let leading = false;
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    document.getElementById("find")?.select();
    return;
  }
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); document.getElementById("find")?.focus(); return; }
  if (leading) document.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
  leading = event.key === "g";
});
