"use strict";
// The page that annotators rank on, the admin page, and signing up. Answers are hostile: elements are made by name from a
// short list, and text is only ever text. The server's policy forbids everything else.

const $ = (id) => document.getElementById(id);
const secret = location.pathname.split("/")[2] || "";

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  element.append(...children);
  return element;
}

const NAMES = new Set("p blockquote ul ol li pre code em strong s u br hr small mark table thead tbody tr th td h4 h5 h6".split(" "));
const BLOCKS = new Set("p blockquote ul ol li pre table th td h4 h5 h6".split(" "));

/** Elements of the trees that the server makes of Markdown. */
function grow(trees) {
  return trees.map((tree) => {
    if (typeof tree === "string") return document.createTextNode(tree);
    const [name, given, children] = tree;
    if (!NAMES.has(name)) return document.createTextNode("");
    const element = make(name, null, ...grow(children));
    if (BLOCKS.has(name)) element.dir = name === "pre" ? "ltr" : "auto";
    if (name === "pre") element.tabIndex = 0;
    if (given && typeof given.start === "number") element.start = given.start;
    if (given && given.lang) element.dataset.lang = given.lang;
    return element;
  });
}

function fill(into, part) {
  into.replaceChildren(...grow(part.trees));
  if (!part.remark) return;
  into.firstChild.classList.add("plain");
  into.firstChild.dir = "auto";
  into.append(make("p", { class: "note" }, part.remark));
}

class Refused extends Error {}

/** The server's answer. While it cannot be reached, tries again; throws Refused when it says no. A sheet answers by itself. */
async function ask(path, body, more) {
  if (typeof sheet !== "undefined") return sheet.ask(path, body);
  for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    let problem = "The server cannot be reached: trying again. Your work is kept here.";
    try {
      const answer = await fetch("/api/" + path, {
        method: "POST", body: JSON.stringify(body), cache: "no-store", credentials: "omit", redirect: "error",
        headers: { "content-type": "application/json", authorization: "Bearer " + secret }, ...more,
      });
      const content = await answer.json();
      if (answer.ok) {
        trouble("");
        return content;
      }
      if (answer.status < 500) throw new Refused(content.error);
      problem = content.error + " Trying again.";
    } catch (error) {
      if (error instanceof Refused) throw error;
    }
    trouble(problem);
    await new Promise((done) => setTimeout(done, wait));
  }
}

function trouble(text) {
  const place = $("trouble") || $("said");
  if (!place || place.textContent === text) return;
  place.textContent = text;
  place.hidden = !text && place.id === "trouble";
}

/** What the browser keeps; where it keeps nothing, what lasts as long as the page. */
const held = (() => {
  try {
    localStorage.setItem("curate", "1");
    return localStorage;
  } catch (error) {
    const items = new Map();
    return { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), removeItem: (key) => items.delete(key) };
  }
})();

// ---------------------------------------------------------------------------------------------- ranking

let me, task, state, criterion, marked, past, lastKept, timer, busy;
let chips = new Map();
let saving = Promise.resolve();

const letter = (name) => String.fromCharCode(65 + task.answers.findIndex((answer) => answer.answer === name));
const judged = (name = criterion) => (state.criteria[name] ??= { ranks: {}, all_bad: false });
const count = () => Object.keys(judged().ranks).length;
const done = (name) => Object.keys(judged(name).ranks).length > 1 || judged(name).all_bad;
const drawer = () => `curate ${me.sheet || me.annotator} ${task.task}`;
const say = (text) => { $("live").textContent = text; };

function ordinal(rank) {
  const last = task.answers.length;
  return rank === 1 ? "1 best" : rank === last ? `${rank} worst` : `${rank}`;
}

async function begin() {
  try {
    me = await ask("start", {});
  } catch (error) {
    return trouble(error.message);
  }
  if ($("who")) $("who").textContent = me.annotator;
  $("instructions").hidden = !me.instructions.length;
  $("instructions").lastElementChild.replaceChildren(...grow(me.instructions));
  $("instructions").open = !held.getItem("curate read");
  $("instructions").addEventListener("toggle", () => held.setItem("curate read", "1"));
  $("criteria").hidden = me.criteria.length < 2;
  me.criteria.forEach((name) => {
    const radio = make("input", { type: "radio", name: "criterion", value: name });
    radio.addEventListener("change", () => choose(name));
    $("criteria").append(make("label", null, radio, make("span", null, name)));
  });
  $("keys").checked = held.getItem("curate keys") !== "off";
  $("keys").addEventListener("change", () => held.setItem("curate keys", $("keys").checked ? "on" : "off"));
  await open(null);
}

async function open(name) {
  try {
    await saving;
    task = await ask("open", { task: name });
  } catch (error) {
    return trouble(error.message);
  }
  $("bar").max = task.done + task.left || 1;
  $("bar").value = task.done;
  $("count").textContent = `${task.done} done, ${task.left} left`;
  document.querySelectorAll(".back").forEach((button) => { button.disabled = !task.previous; });
  $("task").hidden = $("board").hidden = !task.task;
  $("end").hidden = !!task.task;
  $("saved").textContent = task.voted ? "You voted on this one; what you change counts." : "";
  if (!task.task) {
    $("end-text").textContent = `${task.done} ${task.done === 1 ? "task is" : "tasks are"} done. ${me.after || "More may come: what others leave goes to somebody else, so look in again later."}`;
    $("end-title").focus();
    return;
  }
  const kept = held.getItem(drawer());
  state = (kept && JSON.parse(kept)) || task.state || { criteria: {}, comment: "", seconds: 0 };
  past = [];
  $("prompt").replaceChildren(...task.prompt.map(message));
  $("answers").replaceChildren(...task.answers.map(card));
  $("answers").start = 1;
  $("bad").textContent = task.answers.length === 2 ? "Both bad" : "All bad";
  $("comment").value = state.comment;
  lanes();
  choose(me.criteria[0], true);
  lastKept = kept ? "" : JSON.stringify(state);
  scrollTo(0, 0);
  $("prompt").scrollTop = 0;
  $("title").focus({ preventScroll: true });
  say(`Task with ${task.answers.length} answers. ${task.done} done, ${task.left} left.`);
  keep();
}

/** To the task before this one, whose draft is kept. */
function goBack() {
  if (!task.previous || busy) return;
  if (task.task) send();
  open(task.previous);
}

function message(part) {
  const text = make("div", { class: "prose" });
  fill(text, part);
  return make("div", { class: "message " + part.role }, make("span", { class: "role" }, part.role), text);
}

function card(part) {
  const name = part.answer;
  const body = make("div", { class: "body prose", tabindex: 0, role: "region", "aria-label": `Text of answer ${letter(name)}` });
  fill(body, part);
  const grip = make("span", { class: "letter", "aria-hidden": "true" }, letter(name));
  grip.addEventListener("pointerdown", (event) => drag(event, name));
  const ranks = make("div", { class: "ranks", role: "group", "aria-label": `Rank of answer ${letter(name)}` });
  task.answers.forEach((_, i) => {
    const button = make("button", { type: "button", "data-rank": i + 1, "aria-label": `Answer ${letter(name)}: rank ${ordinal(i + 1)}` }, `${i + 1}`);
    button.addEventListener("click", () => { mark(name); place(name, judged().ranks[name] === i + 1 ? null : i + 1); });
    ranks.append(button);
  });
  const item = make("li", { class: "card", "data-answer": name, tabindex: -1, "aria-label": `Answer ${letter(name)}` },
    make("header", null, grip, make("h3", null, "Answer " + letter(name)), ranks), body);
  item.addEventListener("focusin", () => mark(name));
  return item;
}

function lanes() {
  const lane = (rank) => {
    const found = make("div", { class: rank ? "lane" : "lane rest", role: "group", "data-rank": rank }, make("span", null, rank ? ordinal(rank) : "no rank yet"), make("div", { class: "chips" }));
    return found;
  };
  $("lanes").replaceChildren(lane(0), ...task.answers.map((_, i) => lane(i + 1)));
  chips = new Map(task.answers.map(({ answer }) => {
    const chip = make("button", { type: "button", class: "chip", "data-answer": answer }, letter(answer));
    chip.addEventListener("pointerdown", (event) => drag(event, answer));
    chip.addEventListener("focus", () => mark(answer));
    chip.addEventListener("click", () => {
      mark(answer);
      document.querySelector(`.card[data-answer="${answer}"]`).scrollIntoView({ block: "nearest" });
    });
    chip.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      event.stopPropagation();
      const rank = (judged().ranks[answer] || 0) + step;
      if (rank >= 0 && rank <= task.answers.length) place(answer, rank || null);
    });
    return [answer, chip];
  }));
}

function choose(name, quiet) {
  criterion = name;
  const radio = document.querySelector(`input[name="criterion"][value="${CSS.escape(name)}"]`);
  if (radio) radio.checked = true;
  show();
  mark(task.answers[0].answer);
  if (!quiet) say(`Now: ${name}. ${count()} of ${task.answers.length} ranked.`);
}

function mark(name) {
  marked = name;
  for (const one of document.querySelectorAll(".card, .chip")) one.classList.toggle("marked", one.dataset.answer === name);
}

/** Draw what is in `state`. Elements stay, so that the focus does. */
function show() {
  const { ranks, all_bad } = judged();
  for (const button of document.querySelectorAll(".ranks button")) {
    const name = button.closest(".card").dataset.answer;
    button.setAttribute("aria-pressed", String(ranks[name] === Number(button.dataset.rank)));
  }
  const active = document.activeElement;
  for (const lane of document.querySelectorAll(".lane")) {
    const rank = Number(lane.dataset.rank);
    const here = task.answers.map((a) => a.answer).filter((name) => (ranks[name] || 0) === rank);
    const inside = lane.lastChild;
    const wanted = here.map((name) => chips.get(name));
    if (wanted.length !== inside.children.length || wanted.some((chip, at) => inside.children[at] !== chip)) inside.replaceChildren(...wanted);
    wanted.forEach((chip) => chip.setAttribute("aria-label", `Answer ${letter(chip.dataset.answer)}, ${rank ? "rank " + ordinal(rank) : "no rank yet"}; arrow keys move it`));
    lane.setAttribute("aria-label", `${rank ? "Rank " + ordinal(rank) : "No rank yet"}: ${here.map(letter).join(", ") || "none"}`);
  }
  if (active && active.classList.contains("chip") && document.activeElement !== active) active.focus();
  $("bad").setAttribute("aria-pressed", String(all_bad));
  $("undo").disabled = !past.length;
  $("tie").disabled = count() === task.answers.length;
  const open = me.criteria.filter((name) => !done(name));
  for (const label of document.querySelectorAll("#criteria label")) label.classList.toggle("done", done(label.firstChild.value));
  $("submit").disabled = busy || open.length > 0;
  const partial = !all_bad && count() > 1 && count() < task.answers.length;
  $("submit").textContent = busy ? "Saving …" : task.voted ? "Submit the change" : partial ? `Submit ${count()} of ${task.answers.length}` : "Submit";
}

/** Change the state by `how`, remember the one before, and say what is new. */
function change(how, text) {
  if (busy) return;
  past.push(JSON.stringify([criterion, state.criteria]));
  how();
  show();
  say(text());
  keep();
}

function place(name, rank) {
  change(() => { if (rank) judged().ranks[name] = rank; else delete judged().ranks[name]; },
    () => `Answer ${letter(name)}: ${rank ? "rank " + ordinal(rank) : "no rank"}. ${count()} of ${task.answers.length} ranked.`);
}

function undo() {
  if (!past.length || busy) return;
  const [name, criteria] = JSON.parse(past.pop());
  state.criteria = criteria;
  choose(name, true);
  say(`Undone. ${count()} of ${task.answers.length} ranked.`);
  keep();
}

/** Put what has no rank below all that has one, in one rank. */
function tie() {
  const rest = task.answers.map((a) => a.answer).filter((name) => !judged().ranks[name]);
  const levels = [...new Set(Object.values(judged().ranks))].sort((a, b) => a - b);
  const rank = levels.length + 1;
  if (!rest.length) return;
  change(() => {
    const { ranks } = judged();
    for (const name of Object.keys(ranks)) ranks[name] = levels.indexOf(ranks[name]) + 1;
    rest.forEach((name) => { ranks[name] = rank; });
  }, () => `Tied at rank ${rank}: ${rest.map(letter).join(", ")}.`);
}

function bad() {
  change(() => { judged().all_bad = !judged().all_bad; }, () => (judged().all_bad ? "Marked: all answers are bad." : "No longer marked as all bad."));
}

/** Keep the draft: in the browser at once, on the server soon. */
function keep() {
  if (!task || !task.task || JSON.stringify(state) === lastKept) return;
  held.setItem(drawer(), JSON.stringify(state));
  clearTimeout(timer);
  timer = setTimeout(send, 300);
}

function send(more) {
  clearTimeout(timer);
  const [body, text, place] = [{ task: task.task, state: structuredClone(state) }, JSON.stringify(state), drawer()];
  if (text === lastKept) return saving;
  lastKept = text;
  saving = saving.then(() => ask("draft", body, more)).then(() => {
    if (held.getItem(place) === text) held.removeItem(place);
    if (task.task === body.task) $("saved").textContent = "Draft saved";
  }, (error) => trouble(error.message));
  return saving;
}

async function submit(skipped) {
  if (busy || !task.task || (!skipped && me.criteria.some((name) => !done(name)))) return;
  clearTimeout(timer);
  busy = true;
  show();
  const place = drawer();
  const body = { task: task.task, submission: Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join(""), skipped, state };
  const had = task.voted;
  try {
    await saving;
    await ask("vote", body);
  } catch (error) {
    busy = false;
    show();
    return trouble(error.message);
  }
  held.removeItem(place);
  busy = false;
  await open(null);
  say(`${skipped ? "Skipped." : had ? "Changed." : "Saved."} ${$("live").textContent}`);
}

/** Drag a letter to a rank; mouse, pen and finger. */
function drag(event, name) {
  if (event.button || busy) return;
  const from = event.currentTarget;
  const [x, y] = [event.clientX, event.clientY];
  let ghost, over;
  from.setPointerCapture(event.pointerId);
  const move = (to) => {
    if (!ghost) {
      if (Math.hypot(to.clientX - x, to.clientY - y) < 5) return;
      mark(name);
      ghost = make("span", { class: "letter drag", "aria-hidden": "true" }, letter(name));
      document.body.append(ghost);
    }
    ghost.style.left = to.clientX - 17 + "px";
    ghost.style.top = to.clientY - 17 + "px";
    const found = document.elementFromPoint(to.clientX, to.clientY)?.closest(".lane");
    if (found === over) return;
    over?.classList.remove("over");
    found?.classList.add("over");
    over = found;
  };
  const end = (to) => {
    for (const kind of ["pointermove", "pointerup", "pointercancel"]) from.removeEventListener(kind, kind === "pointermove" ? move : end);
    over?.classList.remove("over");
    ghost?.remove();
    if (ghost && over && to.type === "pointerup") place(name, Number(over.dataset.rank) || null);
  };
  from.addEventListener("pointermove", move);
  from.addEventListener("pointerup", end);
  from.addEventListener("pointercancel", end);
}

function step(by, cycle) {
  const names = task.answers.map((a) => a.answer);
  const at = names.indexOf(marked) + by;
  if (!cycle && (at < 0 || at >= names.length)) return;
  mark(names[(at + names.length) % names.length]);
  document.querySelector(".card.marked").focus();
}

function rankByKey(rank) {
  if (rank > task.answers.length) return say(`There are ${task.answers.length} ranks.`);
  place(marked, rank);
  const names = task.answers.map((a) => a.answer);
  const from = names.indexOf(marked);
  const next = [...names.slice(from + 1), ...names.slice(0, from)].find((name) => !judged().ranks[name]);
  if (!next) return;
  mark(next);
  const card = document.querySelector(".card.marked");
  if (document.activeElement.matches(".card")) card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

function onKey(event) {
  if (!task || $("help").open) return;
  const typing = event.target.matches("textarea, input:not([type=radio])");
  if (task.task && event.key === "Enter" && (event.ctrlKey || event.metaKey)) return void submit(false);
  if (event.key === "Escape" && typing) return event.target.blur();
  if (typing || event.metaKey || event.altKey) return;
  if (event.ctrlKey) {
    if (event.key === "z" && task.task) { event.preventDefault(); undo(); }
    return;
  }
  if (!$("keys").checked) return;
  const key = event.key.toLowerCase();
  if (key === "p") return goBack();
  if (key === "?") return $("help").showModal();
  if (!task.task || (key === "enter" && event.target.closest("button, summary, input, a"))) return;
  const ring = me.criteria.indexOf(criterion) + 1;
  const does = {
    enter: () => submit(false), u: undo, t: tie, b: bad, s: () => submit(true), c: () => $("comment").focus(),
    n: () => choose(me.criteria[ring % me.criteria.length]), 0: () => place(marked, null), backspace: () => place(marked, null),
  }[key];
  if (/^[1-9]$/.test(key)) rankByKey(Number(key));
  else if (does) does();
  else if ((key === "arrowleft" || key === "arrowright") && !event.target.matches("input, pre, .body, #prompt")) step(key === "arrowright" ? 1 : -1, false);
  else return;
  event.preventDefault();
}

function startRanking() {
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("undo").addEventListener("click", undo);
  $("tie").addEventListener("click", tie);
  $("bad").addEventListener("click", bad);
  $("skip").addEventListener("click", () => submit(true));
  $("submit").addEventListener("click", () => submit(false));
  document.querySelectorAll(".back").forEach((button) => button.addEventListener("click", goBack));
  $("comment").addEventListener("input", () => { state.comment = $("comment").value; keep(); });
  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", () => { if (document.hidden && task && task.task && !busy) send({ keepalive: true }); });
  setInterval(() => { if (!document.hidden && task && task.task && !busy) state.seconds += 1; }, 1000);
  begin();
}

// ---------------------------------------------------------------------------------------------- admin, signing up

function startAdmin() {
  const tell = (text) => { $("said").textContent = text; };
  const doing = (how) => () => how().catch((error) => tell(error.message));
  $("export").addEventListener("click", doing(async () => {
    const { added } = await ask("admin/export", {});
    tell(`${added} ${added === 1 ? "vote" : "votes"} added to votes.jsonl`);
  }));
  $("votes").addEventListener("click", doing(async () => {
    const { lines } = await ask("admin/votes", {});
    const address = URL.createObjectURL(new Blob(lines.map((line) => line + "\n"), { type: "application/jsonl" }));
    make("a", { href: address, download: "votes.jsonl" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    tell(`${lines.length} votes`);
  }));
  $("add").addEventListener("submit", (event) => {
    event.preventDefault();
    doing(async () => {
      const { link } = await ask("admin/link", { name: $("name").value.trim() });
      $("made").replaceChildren(`Link of ${$("name").value.trim()}: `, make("code", null, location.origin + link));
      $("name").value = "";
    })();
  });
  for (const button of document.querySelectorAll(".copy")) {
    const link = location.origin + button.dataset.link;
    button.addEventListener("click", () => {
      if (!navigator.clipboard) return $("made").replaceChildren(make("code", null, link));
      navigator.clipboard.writeText(link).then(() => tell("Copied"), () => $("made").replaceChildren(make("code", null, link)));
    });
  }
}

function startSignup() {
  if (!$("signup")) return;
  $("signup").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      location.assign((await ask("signup", { name: $("name").value.trim() })).link);
    } catch (error) {
      $("said").textContent = error.message;
    }
  });
}

({ rank: startRanking, admin: startAdmin, notice: startSignup })[document.body.dataset.page]();
